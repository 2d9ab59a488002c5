"""Ops that reduce axes; with ``axis=None`` they reduce all of them."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from tinygen.autograd.engine import op
from tinygen.autograd.operators import Axis, raw
from tinygen.autograd.registry import composed
from tinygen.backend import Array, float_namespace, namespace
from tinygen.ops.arithmetic import exp, square
from tinygen.ops.shaping import broadcast_to, flipped, reshape

LARGEST_FLOAT16 = 65504


def allowed_axis(x: Array, axis: Axis) -> Axis:
    """`axis` as every library takes it: a scalar has no axis, but NumPy's sum accepts 0 and -1."""
    return axis if getattr(x, "ndim", 0) or axis not in (0, -1) else None


def _axes(x: Array, axis: Axis) -> tuple[int, ...]:
    if axis is None or x.ndim == 0:
        return tuple(range(x.ndim))
    axes = axis if isinstance(axis, tuple) else (axis,)
    return tuple(a % x.ndim for a in axes)


def _with_axes(y: Array, x: Array, axis: Axis) -> Array:
    """The result `y` with the reduced axes of `x` as axes of length 1, so that it broadcasts."""
    axes = _axes(x, axis)
    return reshape(y, shape=tuple(1 if i in axes else n for i, n in enumerate(x.shape)))


def _count(x: Array, axis: Axis) -> Any:
    """How many elements of `x` are reduced to one: a number that float16 can be divided by."""
    n = prod(x.shape[i] for i in _axes(x, axis))
    return np.float32(n) if n > LARGEST_FLOAT16 and x.dtype == np.float16 else n


def wide_sum(x: Array, axis: Axis, keepdims: bool = True) -> Array:
    """The sum over `axis`; float16 is summed in float32, as float16 ends at 65,504."""
    return namespace(x).sum(x, axis=allowed_axis(x, axis), keepdims=keepdims, dtype=_wide(x))


def _wide(x: Array) -> Any:
    """The dtype to sum `x` in: in float16, the sum of ones along a first axis stops at 2048."""
    return np.float32 if x.dtype.char == "e" else None


def _winners(x: Array, y: Array, axis: Axis) -> Array:
    """1 / k at each of the k elements along `axis` that are equal to the result, else 0."""
    x, y = raw(x), raw(y)
    equal = (x == _with_axes(y, x, axis)).astype(x.dtype)
    return equal / wide_sum(equal, axis)


@op(dx=lambda g, y, x, *, axis, keepdims: broadcast_to(_with_axes(g, x, axis), shape=x.shape))
def sum(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """The sum over `axis`.

    ``dx = g, repeated to the shape of x``.

    >>> import tinygen as tg
    >>> x = tg.Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    >>> y = tg.sum(x, axis=0)
    >>> tg.sum(y * y).backward()
    >>> y.array.tolist(), x.grad.tolist()
    ([4.0, 6.0], [[8.0, 12.0], [8.0, 12.0]])
    """
    if _wide(x):
        return wide_sum(x, axis, keepdims).astype(x.dtype)
    return namespace(x).sum(x, axis=allowed_axis(x, axis), keepdims=keepdims)


@op(
    dx=lambda g, y, x, *, axis, keepdims: broadcast_to(
        _with_axes(g / _count(x, axis), x, axis), shape=x.shape
    )
)
def mean(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """The mean over `axis`.

    ``dx = g / n at each of the n elements averaged``.

    >>> import tinygen as tg
    >>> x = tg.Tensor([1.0, 2.0, 3.0, 6.0], requires_grad=True)
    >>> y = tg.mean(x)
    >>> y.backward()
    >>> y.item(), x.grad.tolist()
    (3.0, [0.25, 0.25, 0.25, 0.25])
    """
    return namespace(x).mean(x, axis=allowed_axis(x, axis), keepdims=keepdims)


@op(dx=lambda g, y, x, *, axis, keepdims: _with_axes(g, x, axis) * _winners(x, y, axis))
def max(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """The largest element along `axis`; several equal ones share the gradient equally.

    ``dx = g / k at the k elements that are the largest, else 0``.

    >>> import tinygen as tg
    >>> x = tg.Tensor([1.0, 3.0, 3.0], requires_grad=True)
    >>> tg.max(x).backward()
    >>> x.grad.tolist()
    [0.0, 0.5, 0.5]
    """
    return namespace(x).max(x, axis=allowed_axis(x, axis), keepdims=keepdims)


@op(dx=lambda g, y, x, *, axis, keepdims: _with_axes(g, x, axis) * _winners(x, y, axis))
def min(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """The smallest element along `axis`; several equal ones share the gradient equally.

    ``dx = g / k at the k elements that are the smallest, else 0``.

    >>> import tinygen as tg
    >>> x = tg.Tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> tg.min(x).backward()
    >>> x.grad.tolist()
    [1.0, 0.0, 0.0]
    """
    return namespace(x).min(x, axis=allowed_axis(x, axis), keepdims=keepdims)


@op(dx=None)
def argmax(x: Array, *, axis: int | None = None, keepdims: bool = False) -> Array:
    """The index of the largest element along `axis`, of the first if several are equal: an integer.

    >>> import tinygen as tg
    >>> tg.argmax(tg.Tensor([[1.0, 5.0, 2.0], [7.0, 0.0, 3.0]]), axis=1).array.tolist()
    [1, 0]
    """
    return namespace(x).argmax(x, axis=allowed_axis(x, axis), keepdims=keepdims)


@op(dx=lambda g, y, x, *, axis, keepdims: _with_axes(g, x, axis) * exp(x - _with_axes(y, x, axis)))
def logsumexp(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """``log sum exp(x)`` over `axis`, shifted by the maximum so that nothing overflows.

    ``dx = g * exp(x - y)``.

    >>> import numpy as np
    >>> round(float(logsumexp(np.array([1000.0, 1000.0]))), 4)  # 1000 + log 2
    1000.6931
    """
    xp = float_namespace(x)
    top = xp.max(x, axis=allowed_axis(x, axis), keepdims=True)
    top = xp.where(xp.isfinite(top), top, 0)  # inf - inf would be NaN
    y = (xp.log(wide_sum(xp.exp(x - top), axis)) + top).astype(top.dtype, copy=False)
    return y if keepdims else xp.squeeze(y, axis=_axes(x, axis))


# At 0 the norm has no derivative. There the divisor is 1, so the gradient is the point itself: 0.
@op(dx=lambda g, y, x, *, axis, keepdims: (
        _with_axes(g, x, axis) * (x / _with_axes(y + (raw(y) == 0), x, axis))
    )
)  # fmt: skip
def norm(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """The Euclidean norm ``sqrt(sum x^2)`` over `axis`; its derivative at 0 is taken to be 0.

    ``dx = g * x / y``.

    >>> import tinygen as tg
    >>> x = tg.Tensor([3.0, 4.0], requires_grad=True)
    >>> y = tg.norm(x)
    >>> y.backward()
    >>> y.item(), x.grad.astype("float64").round(4).tolist()  # the gradient is x / norm(x)
    (5.0, [0.6, 0.8])
    """
    xp = float_namespace(x)
    wide = x.astype(np.result_type(x.dtype, np.float32), copy=False)
    return xp.sqrt(wide_sum(wide * wide, axis, keepdims)).astype(x.dtype, copy=False)


@op(dx=lambda g, y, x, *, axis: reshape(
        flipped(cumsum(flipped(g, axis), axis=axis), axis), shape=x.shape
    )
)  # fmt: skip
def cumsum(x: Array, *, axis: int | None = None) -> Array:
    """The sums of the elements up to each one along `axis`; with None, of the flattened array.

    ``dx = g, summed from each element to the last``.

    >>> import tinygen as tg
    >>> x = tg.Tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> y = tg.cumsum(x)
    >>> tg.sum(y).backward()
    >>> y.array.tolist(), x.grad.tolist()  # the first is in all three sums
    ([1.0, 3.0, 6.0], [3.0, 2.0, 1.0])
    """
    y = namespace(x).cumsum(x, axis=allowed_axis(x, axis), dtype=_wide(x))
    return y.astype(x.dtype) if _wide(x) else y


@composed
def variance(x: Array, *, axis: Axis = None, keepdims: bool = False, ddof: int = 0) -> Array:
    """The mean squared distance from the mean over `axis`; division is by ``n - ddof``.

    >>> import numpy as np
    >>> x = np.array([1.0, 2.0, 3.0, 4.0])
    >>> float(variance(x)), round(float(variance(x, ddof=1)), 4)
    (1.25, 1.6667)
    """
    d = x - mean(x, axis=axis, keepdims=True)
    y = mean(square(d), axis=axis, keepdims=keepdims)
    return y * (int(_count(x, axis)) / _freedom("variance", x, axis, ddof)) if ddof else y


@composed
def std(x: Array, *, axis: Axis = None, keepdims: bool = False, ddof: int = 0) -> Array:
    """The square root of `variance`; where it is 0, the derivative is taken to be 0, as for `norm`.

    >>> import numpy as np
    >>> round(float(std(np.array([1.0, 3.0]))), 4)
    1.0
    """
    d = x - mean(x, axis=axis, keepdims=True)
    return norm(d, axis=axis, keepdims=keepdims) * _freedom("std", x, axis, ddof) ** -0.5


def _freedom(name: str, x: Array, axis: Axis, ddof: int) -> float:
    n = int(_count(x, axis))
    if n <= ddof:
        raise ValueError(f"{name}: expected more elements than ddof, got {n} and ddof={ddof}")
    return n - ddof
