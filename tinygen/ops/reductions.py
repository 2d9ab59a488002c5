"""Ops that reduce axes; with ``axis=None`` they reduce all of them."""

from __future__ import annotations

from math import prod

from tinygen.autograd.engine import Axis, op, raw
from tinygen.backend import Array, namespace
from tinygen.ops.arithmetic import exp
from tinygen.ops.shaping import broadcast_to, reshape


def _axes(x: Array, axis: Axis) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(x.ndim))
    axes = axis if isinstance(axis, tuple) else (axis,)
    return tuple(a % (x.ndim or 1) for a in axes)  # a number may be reduced along axis 0, too


def _with_axes(y: Array, x: Array, axis: Axis) -> Array:
    """The result `y` with the reduced axes of `x` as axes of length 1, so that it broadcasts."""
    axes = _axes(x, axis)
    return reshape(y, shape=tuple(1 if i in axes else n for i, n in enumerate(x.shape)))


def _count(x: Array, axis: Axis) -> int:
    return prod(x.shape[i] for i in _axes(x, axis))


def _winners(x: Array, y: Array, axis: Axis) -> Array:
    """1 / k at each of the k elements along `axis` that are equal to the result, else 0."""
    x, y = raw(x), raw(y)
    equal = (x == _with_axes(y, x, axis)).astype(x.dtype)
    return equal / equal.sum(axis=_axes(x, axis), keepdims=True)


@op(dx=lambda g, y, x, *, axis, keepdims: broadcast_to(_with_axes(g, x, axis), shape=x.shape))
def sum(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """The sum over `axis`."""
    return namespace(x).sum(x, axis=axis, keepdims=keepdims)


@op(
    dx=lambda g, y, x, *, axis, keepdims: broadcast_to(
        _with_axes(g / _count(x, axis), x, axis), shape=x.shape
    )
)
def mean(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """The mean over `axis`."""
    return namespace(x).mean(x, axis=axis, keepdims=keepdims)


@op(dx=lambda g, y, x, *, axis, keepdims: _with_axes(g, x, axis) * _winners(x, y, axis))
def max(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """The largest element along `axis`; several equal ones share the gradient evenly."""
    return namespace(x).max(x, axis=axis, keepdims=keepdims)


@op(dx=lambda g, y, x, *, axis, keepdims: _with_axes(g, x, axis) * _winners(x, y, axis))
def min(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """The smallest element along `axis`; several equal ones share the gradient evenly."""
    return namespace(x).min(x, axis=axis, keepdims=keepdims)


@op(dx=lambda g, y, x, *, axis, keepdims: _with_axes(g, x, axis) * exp(x - _with_axes(y, x, axis)))
def logsumexp(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """``log sum exp(x)`` over `axis`, shifted by the maximum so that nothing overflows."""
    xp = namespace(x)
    top = xp.max(x, axis=axis, keepdims=True)
    top = xp.where(xp.isfinite(top), top, 0)  # inf - inf would be NaN
    y = xp.log(xp.sum(xp.exp(x - top), axis=axis, keepdims=True)) + top
    return y if keepdims else xp.squeeze(y, axis=_axes(x, axis))


def variance(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """The mean squared distance from the mean over `axis` (division by n, not by n - 1)."""
    d = x - mean(x, axis=axis, keepdims=True)
    return mean(d * d, axis=axis, keepdims=keepdims)
