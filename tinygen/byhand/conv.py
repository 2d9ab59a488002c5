"""Convolutions by hand: the product of images with W, and its two gradients.

(K1) at the end of a line is equation K1 of docs/derivations/conv.md, which that line computes.

A convolution, `Conv`, is a dense layer that gets the windows of an image instead of the image. The
transpose of its matrix, `ConvTranspose`, sums windows into an image. In a chain either takes the
place of `tinygen.byhand.pieces.Dense`; there an image is a row, (n, h w c). The pools, which are in
no chain, take images (n, h, w, c). A batch norm over channels is that of `tinygen.byhand.pieces`
with a row for each pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

from tinygen.backend import Array, namespace, require_floats
from tinygen.backend.patches import (
    Padding,
    Size,
    as_window,
    fold,
    is_whole,
    output_size,
    patches,
)
from tinygen.byhand.pieces import Dense, Pair
from tinygen.errors import InputError


@dataclass(frozen=True)
class Conv(Dense):
    """A convolution: the windows of an image go in, and a pixel for each of them comes out.

    W is (k k c, o), its rows in the order of a window's rows, columns and channels.

    Args:
        size: height and width of the images that go in.
        kernel, stride, padding: as in `tinygen.backend.patches`.

    Raises:
        InputError: the kernel is larger than the images, or a number is invalid.

    One image of 3 x 3, whose windows of 2 x 2 are summed:

    >>> import numpy as np
    >>> conv, W = Conv(size=(3, 3), kernel=2), np.ones((4, 1))
    >>> conv.product(np.arange(9.0).reshape(1, 9), W)
    array([[ 8., 12., 20., 24.]])
    """

    size: Size
    kernel: int
    stride: int = 1
    padding: Padding = 0

    def __post_init__(self) -> None:
        _ = self.windows  # which refuses a kernel that does not fit

    @property
    def windows(self) -> Size:
        """How many there are, down and across."""
        return output_size(self.size, self.kernel, self.stride, self.padding)

    def product(self, h: Array, W: Array) -> Array:
        """(n, h w c) (k k c, o) -> (n, oh ow o)."""
        return (self.patches(h) @ W).reshape(len(h), -1)

    def weight_gradient(self, h: Array, da: Array, out: Array | None = None) -> Array:
        """(n, h w c) (n, oh ow o) -> (k k c, o)."""
        return namespace(h).matmul(self.patches(h).T, self.pixels(da), out=out)

    def input_gradient(self, da: Array, W: Array) -> Array:
        """(n, oh ow o) (k k c, o) -> (n, h w c)."""
        return self.fold(self.pixels(da) @ W.T)

    def patches(self, h: Array) -> Array:
        """A row for each window: (n, h w c) -> (n oh ow, k k c)."""
        images = h.reshape(len(h), *self.size, -1)
        P = patches(images, self.kernel, self.stride, self.padding)  # (K1)
        return P.reshape(-1, P.shape[3])

    def fold(self, dP: Array) -> Array:
        """The windows summed into images: (n oh ow, k k c) -> (n, h w c)."""
        windows = dP.reshape(-1, *self.windows, dP.shape[1])
        dx = fold(windows, self.size, self.kernel, self.stride, self.padding)  # (K2)
        return dx.reshape(len(dx), -1)

    def pixels(self, a: Array) -> Array:
        """A row for each pixel: (n, oh ow o) -> (n oh ow, o)."""
        oh, ow = self.windows
        return a.reshape(len(a) * oh * ow, -1)


class ConvTranspose(Conv):
    """The transposed convolution: each pixel gives a window, and an image is the windows' sum.

    It takes what a `Conv` with the same settings gives, and gives what that takes. W is (c, k k o).

    Args:
        size: height and width of the images that come out.
        kernel, stride, padding: as in `tinygen.backend.patches`.

    A pixel of 1 and one of 10 side by side, each times a window of ones; in the middle they add up:

    >>> import numpy as np
    >>> transposed, W = ConvTranspose(size=(2, 3), kernel=2), np.ones((1, 4))
    >>> transposed.product(np.array([[1.0, 10]]), W)
    array([[ 1., 11., 10.,  1., 11., 10.]])
    """

    def product(self, h: Array, W: Array) -> Array:
        """(n, oh ow c) (c, k k o) -> (n, h w o)."""
        return super().input_gradient(h, W.T)  # (K3)

    def weight_gradient(self, h: Array, da: Array, out: Array | None = None) -> Array:
        """(n, oh ow c) (n, h w o) -> (c, k k o)."""
        return namespace(h).matmul(self.pixels(h).T, self.patches(da), out=out)  # (K4)

    def input_gradient(self, da: Array, W: Array) -> Array:
        """(n, h w o) (c, k k o) -> (n, oh ow c)."""
        return super().product(da, W.T)  # (K4)


# Pooling, and its opposite. No padding: a maximum must not see zeros that are not pixels.


def average_pool(x: Array, kernel: int, stride: int) -> Array:
    """The mean of each window, for each channel: (n, h, w, c) -> (n, oh, ow, c).

    >>> import numpy as np
    >>> average_pool(np.arange(16.0).reshape(1, 4, 4, 1), 2, 2)[0, :, :, 0]
    array([[ 2.5,  4.5],
           [10.5, 12.5]])
    """
    return _windows(x, kernel, stride).mean(axis=3)  # (K5)


def average_pool_backward(dy: Array, size: Size, kernel: int, stride: int) -> Array:
    """The gradient with respect to the images, whose height and width is `size`.

    Two windows side by side, each of 2 x 2; in the middle they overlap, and what they send adds up:

    >>> import numpy as np
    >>> dy = np.array([4.0, 40.0]).reshape(1, 1, 2, 1)
    >>> average_pool_backward(dy, size=(2, 3), kernel=2, stride=1)[0, :, :, 0]
    array([[ 1., 11., 10.],
           [ 1., 11., 10.]])
    """
    kernel, stride, _ = as_window(kernel, stride, padding=0)
    dP = namespace(dy).concatenate([dy * (1 / kernel**2)] * kernel**2, axis=3)
    return fold(dP, size, kernel, stride)  # (K6)


def max_pool(x: Array, kernel: int, stride: int) -> Pair:
    """The largest number of each window, for each channel: (n, h, w, c) -> (n, oh, ow, c); and f.

    f (n, oh, ow, k k, c) is its derivative with respect to the numbers of the window. If several
    are the largest, they share the derivative equally, as in maxout.

    >>> import numpy as np
    >>> y, _ = max_pool(np.arange(16.0).reshape(1, 4, 4, 1), 2, 2)
    >>> y[0, :, :, 0]
    array([[ 5.,  7.],
           [13., 15.]])
    """
    windows = _windows(x, kernel, stride)
    h = windows.max(axis=3)  # (K7)
    f = (windows == h[:, :, :, None]).astype(x.dtype)
    f /= f.sum(axis=3, keepdims=True)  # (K8)
    return h, f


def max_pool_backward(dh: Array, f: Array, size: Size, kernel: int, stride: int) -> Array:
    """The gradient with respect to the images, whose height and width is `size`.

    >>> import numpy as np
    >>> y, f = max_pool(np.array([[1.0, 7.0], [2.0, 7.0]]).reshape(1, 2, 2, 1), 2, 2)
    >>> max_pool_backward(10 * np.ones_like(y), f, (2, 2), 2, 2)[0, :, :, 0]  # two are the largest
    array([[0., 5.],
           [0., 5.]])
    """
    dP = dh[:, :, :, None] * f
    return fold(dP.reshape(*dh.shape[:3], -1), size, kernel, stride)  # (K9)


def upsample(x: Array, factor: int) -> Array:
    """Each pixel becomes a square of ``factor x factor`` copies of it: nearest neighbour.

    >>> import numpy as np
    >>> upsample(np.array([[1.0, 2.0]]).reshape(1, 1, 2, 1), 2)[0, :, :, 0]
    array([[1., 1., 2., 2.],
           [1., 1., 2., 2.]])
    """
    _refuse_other_squares(x, factor, divides=False)
    xp = namespace(x)
    return xp.repeat(xp.repeat(x, factor, axis=1), factor, axis=2)  # (K10)


def upsample_backward(dy: Array, factor: int) -> Array:
    """(n, factor h, factor w, c) -> (n, h, w, c): the sum of each square.

    >>> import numpy as np
    >>> dy = np.array([[1.0, 2.0, 10.0, 20.0], [3.0, 4.0, 30.0, 40.0]])
    >>> upsample_backward(dy.reshape(1, 2, 4, 1), 2)[0, :, :, 0]
    array([[ 10., 100.]])
    """
    _refuse_other_squares(dy, factor, divides=True)
    n, h, w, c = dy.shape
    return dy.reshape(n, h // factor, factor, w // factor, factor, c).sum(axis=(2, 4))  # (K11)


def _windows(x: Array, kernel: int, stride: int) -> Array:
    """(n, h, w, c) -> (n, oh, ow, k k, c)."""
    require_floats(x)
    kernel, stride, _ = as_window(kernel, stride, padding=0)
    P = patches(x, kernel, stride)
    return P.reshape(*P.shape[:3], kernel**2, x.shape[3])


def _refuse_other_squares(x: Array, factor: int, divides: bool) -> None:
    """Images, and a whole factor; where it `divides` them, their sides are multiples of it."""
    fits = is_whole(factor, least=1) and x.ndim == 4
    if not fits or (divides and any(length % factor for length in x.shape[1:3])):
        expected = "a whole factor" + " that divides h and w" * divides
        raise InputError(
            f"expected images (n, h, w, c) and {expected}, got {x.shape} and {factor!r}"
        )
