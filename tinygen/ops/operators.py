"""Gives Tensor the operators and methods that arrays have, so that a formula serves both."""

from __future__ import annotations

from typing import Any

from tinygen.autograd.tensor import Tensor, raw
from tinygen.ops import arithmetic, products, reductions, shaping


def _shape(shape: tuple[Any, ...]) -> tuple[int, ...]:
    """Allow both ``reshape(2, 3)`` and ``reshape((2, 3))``."""
    return tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape


def _install(**methods: Any) -> None:
    for name, method in methods.items():
        setattr(Tensor, name, method)


_install(
    __add__=lambda x, z: arithmetic.add(x, z),
    __radd__=lambda x, z: arithmetic.add(z, x),
    __sub__=lambda x, z: arithmetic.subtract(x, z),
    __rsub__=lambda x, z: arithmetic.subtract(z, x),
    __mul__=lambda x, z: arithmetic.multiply(x, z),
    __rmul__=lambda x, z: arithmetic.multiply(z, x),
    __truediv__=lambda x, z: arithmetic.divide(x, z),
    __rtruediv__=lambda x, z: arithmetic.divide(z, x),
    __pow__=lambda x, z: arithmetic.power(x, z),
    __rpow__=lambda x, z: arithmetic.power(z, x),
    __matmul__=lambda x, z: products.matmul(x, z),
    __rmatmul__=lambda x, z: products.matmul(z, x),
    __neg__=lambda x: arithmetic.negative(x),
    __abs__=lambda x: arithmetic.absolute(x),
    __getitem__=lambda x, index: shaping.getitem(x, index=index),
    # A comparison has no gradient; it answers with an array of booleans.
    __lt__=lambda x, z: x.array < raw(z),
    __le__=lambda x, z: x.array <= raw(z),
    __gt__=lambda x, z: x.array > raw(z),
    __ge__=lambda x, z: x.array >= raw(z),
    __eq__=lambda x, z: x.array == raw(z),
    __ne__=lambda x, z: x.array != raw(z),
    T=property(lambda x: shaping.transpose(x)),
    transpose=lambda x, *axes: shaping.transpose(x, axes=_shape(axes) or None),
    swapaxes=lambda x, axis1, axis2: shaping.swapaxes(x, axis1=axis1, axis2=axis2),
    reshape=lambda x, *shape: shaping.reshape(x, shape=_shape(shape)),
    astype=lambda x, dtype: arithmetic.astype(x, dtype=dtype),
    sum=lambda x, axis=None, keepdims=False: reductions.sum(x, axis=axis, keepdims=keepdims),
    mean=lambda x, axis=None, keepdims=False: reductions.mean(x, axis=axis, keepdims=keepdims),
    max=lambda x, axis=None, keepdims=False: reductions.max(x, axis=axis, keepdims=keepdims),
    min=lambda x, axis=None, keepdims=False: reductions.min(x, axis=axis, keepdims=keepdims),
)
