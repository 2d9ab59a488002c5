"""Ops on images ``(n, h, w, c)``: their windows, and what is computed from them."""

from __future__ import annotations

from tinygen.autograd.engine import op
from tinygen.autograd.registry import composed
from tinygen.backend import Array
from tinygen.backend import patches as arrays
from tinygen.backend.patches import Padding, Size, is_whole
from tinygen.ops.reductions import max, mean
from tinygen.ops.shaping import broadcast_to, reshape


@op(
    dx=lambda g, y, x, *, kernel, stride, padding: fold(
        g, size=x.shape[1:3], kernel=kernel, stride=stride, padding=padding
    )
)
def patches(x: Array, *, kernel: int, stride: int = 1, padding: Padding = 0) -> Array:
    """Each window of `x` as a row: ``(n, h, w, c) -> (n, oh, ow, k k c)``.

    ``dx = fold(g), each window added at its place``.

    A row has the window's rows, columns and channels in this order, so that a convolution is
    ``patches(x) @ W``. For padding see `tinygen.backend.patches`.

    >>> import numpy as np
    >>> patches(np.arange(9.0).reshape(1, 3, 3, 1), kernel=2)[0, 0]
    array([[0., 1., 3., 4.],
           [1., 2., 4., 5.]])
    """
    return arrays.patches(x, kernel, stride, padding)


@op(
    dp=lambda g, y, p, *, size, kernel, stride, padding: patches(
        g, kernel=kernel, stride=stride, padding=padding
    )
)
def fold(p: Array, *, size: Size, kernel: int, stride: int = 1, padding: Padding = 0) -> Array:
    """Rows summed into images, each at its window: ``(n, oh, ow, k k c) -> (n, h, w, c)``.

    ``dp = patches(g)``.

    This is the transpose of `patches`, so that a transposed convolution is ``fold(x @ W)``.

    >>> import numpy as np
    >>> fold(np.ones((1, 2, 2, 4)), size=(3, 3), kernel=2)[0, :, :, 0]
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    """
    return arrays.fold(p, size, kernel, stride, padding)


@composed
def average_pool(x: Array, *, kernel: int, stride: int | None = None) -> Array:
    """The mean of each window, in each channel: ``(n, h, w, c) -> (n, oh, ow, c)``.

    By default windows lie side by side; rows and columns that fill none of them are left out.

    >>> import numpy as np
    >>> average_pool(np.arange(16.0).reshape(1, 4, 4, 1), kernel=2)[0, :, :, 0]
    array([[ 2.5,  4.5],
           [10.5, 12.5]])
    """
    return mean(_windows("average_pool", x, kernel, stride), axis=3)


@composed
def max_pool(x: Array, *, kernel: int, stride: int | None = None) -> Array:
    """The largest number of each window, in each channel: ``(n, h, w, c) -> (n, oh, ow, c)``.

    Equal largest numbers of a window share its gradient equally, as in `max` (in PyTorch the first
    gets all of it). By default windows lie side by side; rows and columns that fill none of them
    are left out.

    >>> import numpy as np
    >>> max_pool(np.arange(16.0).reshape(1, 4, 4, 1), kernel=2)[0, :, :, 0]
    array([[ 5.,  7.],
           [13., 15.]])
    """
    return max(_windows("max_pool", x, kernel, stride), axis=3)


def _windows(pool: str, x: Array, kernel: int, stride: int | None) -> Array:
    """``(n, oh, ow, k k, c)``; what does not fit is refused in the name of the pool."""
    try:
        p = patches(x, kernel=kernel, stride=kernel if stride is None else stride)
    except (TypeError, ValueError) as error:
        raise type(error)(pool + str(error).removeprefix("patches")) from None
    return reshape(p, shape=(*p.shape[:3], int(kernel) ** 2, x.shape[3]))


@composed
def upsample(x: Array, *, factor: int) -> Array:
    """Each pixel repeated, factor by factor: ``(n, h, w, c) -> (n, factor h, factor w, c)``.

    >>> import numpy as np
    >>> upsample(np.array([[1.0, 2.0]]).reshape(1, 1, 2, 1), factor=2)[0, :, :, 0]
    array([[1., 1., 2., 2.],
           [1., 1., 2., 2.]])
    """
    shape = getattr(x, "shape", ())
    if len(shape) != 4 or not is_whole(factor, least=1):
        raise ValueError(
            f"upsample: expected images (n, h, w, c) and a whole factor of at least 1, "
            f"got {shape or x!r} and {factor!r}"
        )
    n, h, w, c = x.shape
    factor = int(factor)  # products would overflow NumPy's 8-bit integers
    y = broadcast_to(reshape(x, shape=(n, h, 1, w, 1, c)), shape=(n, h, factor, w, factor, c))
    return reshape(y, shape=(n, h * factor, w * factor, c))
