"""Each window of an image as a row of numbers, and such rows summed into an image.

Both are linear, and each is the transpose of the other: where `patches` copies a number from,
`fold` adds it. So a convolution is ``patches(x) @ W``, a transposed convolution
``fold(x @ W)``, and the gradient of either needs only the other one. (Elsewhere they are called
im2col and col2im, or unfold and fold.)

Images are ``(n, h, w, c)``, channels last. ``kernel`` is the height and the width of a window,
``stride`` how far apart windows are, and ``padding`` how many zeros are put on each side of an
image. "same" puts enough zeros for ``ceil(h / stride)`` by ``ceil(w / stride)`` windows; where the
number of zeros is odd, bottom and right get one more (as in TensorFlow).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from tinygen.backend import Array, float_namespace, namespace
from tinygen.errors import InputError

Size = tuple[int, int]
"""Height and width, or rows and columns of windows."""

Padding = int | str
"""Zeros on each side, or "same"."""

Loop = Callable[[Array, Array, int], None]

MANY = 2**17
"""How many numbers in windows make a compiled loop worth the second that compiling takes."""


def patches(x: Array, kernel: int, stride: int = 1, padding: Padding = 0) -> Array:
    """Every window of `x` as a row: ``(n, h, w, c) -> (n, oh, ow, k k c)``.

    A row has the window's rows, columns and channels in this order.

    Raises:
        InputError: `x` is not a batch of images, or the window does not fit into them.
        TypeError: `x` is not an array.

    >>> import numpy as np
    >>> x = np.arange(9.0).reshape(1, 3, 3, 1)
    >>> patches(x, kernel=2)[0, 0]
    array([[0., 1., 3., 4.],
           [1., 2., 4., 5.]])
    """
    shape = _shape_of(x)
    if len(shape) != 4:
        raise InputError(f"expected images (n, h, w, c), got {shape}")
    n, h, w, c = shape
    kernel, stride, padding = as_window(kernel, stride, padding)
    oh, ow = output_size((h, w), kernel, stride, padding)
    (top, bottom), (left, right) = margins((h, w), kernel, stride, padding)
    xp = namespace(x)
    if top or bottom or left or right:
        padded = xp.zeros((n, top + h + bottom, left + w + right, c), x.dtype)
        padded[:, top : top + h, left : left + w] = x
        x = padded
    p = xp.empty((n, oh, ow, kernel, kernel, c), x.dtype)
    copy, _ = _loops(p)
    copy(x, p, stride)
    return p.reshape(n, oh, ow, kernel * kernel * c)


def fold(p: Array, size: Size, kernel: int, stride: int = 1, padding: Padding = 0) -> Array:
    """Rows summed into images, each at its window: ``(n, oh, ow, k k c) -> (n, h, w, c)``.

    Whatever falls on the padding is left out.

    Args:
        p: one row for each window of images of that size.
        size: ``(h, w)``, which stride and padding leave open: 3 windows of height 1 with a stride
            of 2 belong to 5 rows of pixels or to 6.

    Raises:
        InputError: images of that size have other numbers of windows.
        TypeError: `p` does not hold floats.

    >>> import numpy as np
    >>> fold(np.ones((1, 2, 2, 4)), (3, 3), kernel=2)[0, :, :, 0]
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    """
    kernel, stride, padding = as_window(kernel, stride, padding)
    oh, ow = output_size(size, kernel, stride, padding)
    h, w = map(int, size)
    shape = _shape_of(p)
    if len(shape) != 4 or shape[1:3] != (oh, ow) or shape[3] % kernel**2:
        raise InputError(
            f"expected (n, {oh}, {ow}, a multiple of {kernel**2}), the windows of images of "
            f"{h} x {w} with {_settings(kernel, stride, padding)}, got {shape}"
        )
    n, c = shape[0], shape[3] // kernel**2
    (top, bottom), (left, right) = margins(size, kernel, stride, padding)
    p = p.reshape(n, oh, ow, kernel, kernel, c)
    x = float_namespace(p).zeros((n, top + h + bottom, left + w + right, c), p.dtype)
    _, add = _loops(p)
    add(x, p, stride)
    return x[:, top : top + h, left : left + w]


def copy_windows(x: Array, p: Array, stride: int) -> None:
    """``p[:, a, b, i, j] = x[:, stride a + i, stride b + j]``: all windows, pixel by pixel.

    x is ``(n, h, w, c)``, with its padding, and p is ``(n, oh, ow, k, k, c)``.
    """
    _, oh, ow, k, _, _ = p.shape
    for i in range(k):
        for j in range(k):
            p[:, :, :, i, j] = x[:, _every(stride, i, oh), _every(stride, j, ow)]


def add_windows(x: Array, p: Array, stride: int) -> None:
    """``x[:, stride a + i, stride b + j] += p[:, a, b, i, j]``, the other way round."""
    _, oh, ow, k, _, _ = p.shape
    for i in range(k):
        for j in range(k):
            x[:, _every(stride, i, oh), _every(stride, j, ow)] += p[:, :, :, i, j]


def output_size(size: Size, kernel: int, stride: int = 1, padding: Padding = 0) -> Size:
    """How many windows there are down and across.

    Raises:
        InputError: a window does not fit, or a number is invalid.

    >>> output_size((28, 21), kernel=3, stride=2, padding=1)
    (14, 11)
    """
    is_pair = isinstance(size, (tuple, list)) and len(size) == 2
    if not is_pair or not all(is_whole(n, 1) for n in size):
        raise InputError(f"expected the size of images, (h, w), of at least 1 x 1, got {size}")
    kernel, stride, padding = as_window(kernel, stride, padding)
    sides = zip(size, margins(size, kernel, stride, padding), strict=True)
    h, w = (before + int(length) + after for length, (before, after) in sides)
    if kernel > min(h, w):
        raise InputError(
            f"expected a kernel of at most {min(h, w)} for images of {size[0]} x {size[1]}, "
            f"got {_settings(kernel, stride, padding)}"
        )
    return (h - kernel) // stride + 1, (w - kernel) // stride + 1


def smallest_size(windows: Size, kernel: int, stride: int = 1, padding: Padding = 0) -> Size:
    """The size of the smallest images with so many windows; the largest are stride - 1 larger.

    >>> smallest_size((4, 4), kernel=3, stride=2, padding=1), output_size((8, 8), 3, 2, 1)
    ((7, 7), (4, 4))
    """
    kernel, stride, padding = as_window(kernel, stride, padding)
    rest = 1 if isinstance(padding, str) else kernel - 2 * padding
    h, w = map(int, windows)
    return (h - 1) * stride + rest, (w - 1) * stride + rest


def margins(size: Size, kernel: int, stride: int, padding: Padding) -> tuple[Size, Size]:
    """The zeros on the sides of an image: ``((top, bottom), (left, right))``.

    >>> margins((28, 21), kernel=3, stride=2, padding="same")
    ((0, 1), (1, 1))
    """
    kernel, stride, padding = as_window(kernel, stride, padding)
    if not isinstance(padding, str):
        return (padding, padding), (padding, padding)
    size = int(size[0]), int(size[1])
    last = (-(-length // stride) * stride - stride for length in size)  # where a last window begins
    h, w = (max(0, start + kernel - length) for start, length in zip(last, size, strict=True))
    return (h // 2, h - h // 2), (w // 2, w - w // 2)


def as_window(kernel: Any, stride: Any, padding: Any, where: str = "") -> tuple[int, int, Padding]:
    """Kernel, stride and padding as Python numbers: products would overflow NumPy's 8-bit integers.

    Args:
        where: what the message begins with.

    Raises:
        InputError: a number is invalid.

    >>> as_window(np.int8(16), np.uint8(2), padding="same")
    (16, 2, 'same')
    """
    if not (is_whole(kernel, 1) and is_whole(stride, 1)):
        raise InputError(
            f"{where}kernel and stride must be whole numbers, at least 1, "
            f"got {kernel!r} and {stride!r}"
        )
    if isinstance(padding, str) and padding == "same":
        return int(kernel), int(stride), padding
    if not is_whole(padding, 0):
        raise InputError(
            f"{where}padding must be 'same' or a whole number, at least 0, got {padding!r}"
        )
    return int(kernel), int(stride), int(padding)


def _loops(p: Array) -> tuple[Loop, Loop]:
    """`copy_windows` and `add_windows`, compiled if there is numba and windows are many."""
    if type(p) is not np.ndarray or p.size < MANY or p.dtype not in (np.float32, np.float64):
        return copy_windows, add_windows
    return _compiled()


@lru_cache(maxsize=1)
def _compiled() -> tuple[Loop, Loop]:
    """The compiled loops where numba works; tried once."""
    try:
        from tinygen.backend.numba_kernels import add_windows_numba, copy_windows_numba

        x, p = np.zeros((1, 1, 1, 1), np.float32), np.zeros((1, 1, 1, 1, 1, 1), np.float32)
        copy_windows_numba(x, p, 1)
        add_windows_numba(x, p, 1)
    except Exception:  # absent, or unfit for this machine: whatever the error, NumPy works
        return copy_windows, add_windows
    return copy_windows_numba, add_windows_numba


def _shape_of(x: Any) -> tuple[int, ...]:
    """The shape of an array; images can be nothing else."""
    if not hasattr(x, "shape"):
        raise TypeError(f"expected an array, got {type(x).__name__}")
    return x.shape


def _every(stride: int, first: int, count: int) -> slice:
    return slice(first, first + stride * count, stride)


def _settings(kernel: int, stride: int, padding: Padding) -> str:
    return f"kernel {kernel}, stride {stride} and padding {padding}"


def is_whole(x: Any, least: int) -> bool:
    """Whether `x` is a whole number, at least `least`."""
    return isinstance(x, (int, np.integer)) and not isinstance(x, bool) and int(x) >= least
