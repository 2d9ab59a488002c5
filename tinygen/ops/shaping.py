"""Ops that move elements without computing with them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygen.autograd.engine import op, raw
from tinygen.backend import Array, backend_of, namespace

Shape = tuple[int, ...]


@op(dx=lambda g, y, x, *, shape: reshape(g, shape=x.shape))
def reshape(x: Array, *, shape: Shape) -> Array:
    """The elements of `x` in another shape; one length may be -1."""
    return x.reshape(shape)


@op(dx=lambda g, y, x, *, shape: g)
def broadcast_to(x: Array, *, shape: Shape) -> Array:
    """`x` repeated to `shape`, as a view where the library has one."""
    return namespace(x).broadcast_to(x, shape)


@op(dx=lambda g, y, x, *, axes: transpose(g, axes=_inverse(axes)))
def transpose(x: Array, *, axes: Shape | None = None) -> Array:
    """The axes of `x` in the order `axes`; by default reversed."""
    return x.transpose(axes)


@op(dx=lambda g, y, x, *, axis1, axis2: swapaxes(g, axis1=axis1, axis2=axis2))
def swapaxes(x: Array, *, axis1: int, axis2: int) -> Array:
    """`x` with two axes exchanged."""
    return x.swapaxes(axis1, axis2)


@op(dxs=lambda i, g, y, *xs, axis: _slab(i, g, xs, axis))
def concatenate(*xs: Array, axis: int = 0) -> Array:
    """The arrays one behind the other along `axis`."""
    return namespace(xs[0]).concatenate(xs, axis=axis)


def stack(*xs: Array, axis: int = 0) -> Array:
    """Arrays of one shape side by side along a new `axis`."""
    shapes = {tuple(x.shape): None for x in xs}
    if len(shapes) != 1:
        raise ValueError(f"stack: the arrays need one shape, got {', '.join(map(str, shapes))}")
    if not -xs[0].ndim - 1 <= axis <= xs[0].ndim:
        raise ValueError(f"stack: axis {axis} is out of range for arrays of {xs[0].ndim} axes")
    at = axis % (xs[0].ndim + 1)
    shape = (*xs[0].shape[:at], 1, *xs[0].shape[at:])
    return concatenate(*(reshape(x, shape=shape) for x in xs), axis=at)


@op(dx=lambda g, y, x, *, index: scatter(g, index=index, shape=x.shape))
def getitem(x: Array, *, index: Any) -> Array:
    """``x[index]`` for integers, slices, None, ``...``, and arrays of integers or booleans.

    An index out of range is refused on every backend (CuPy by itself wraps it around). For indices
    that lie on a GPU this check waits for the device; slices and indices on the host do not.
    """
    return x[_checked(index, x)]


@op(dx=lambda g, y, x, *, index, shape: getitem(g, index=index))
def scatter(x: Array, *, index: Any, shape: Shape) -> Array:
    """Zeros of `shape` to which `x` is added at `index`: what `getitem` does, the other way."""
    xp = namespace(x)
    y = xp.zeros(shape, x.dtype)
    index = _checked(index, y)
    if _has_array(index):
        xp.add.at(y, index, x)  # an element that is named twice gets both
    else:
        y[index] = x
    return y


def _inverse(axes: Shape | None) -> Shape | None:
    if axes is None:
        return None
    return tuple(int(i) for i in np.argsort([a % len(axes) for a in axes]))


def _slab(i: int, g: Array, xs: tuple[Array, ...], axis: int) -> Array:
    """The part of `g` that belongs to the i-th of the concatenated arrays."""
    axis %= xs[0].ndim
    start = sum(x.shape[axis] for x in xs[:i])
    return getitem(g, index=(slice(None),) * axis + (slice(start, start + xs[i].shape[axis]),))


def _parts(index: Any) -> tuple[Any, ...]:
    return index if isinstance(index, tuple) else (index,)


def _has_array(index: Any) -> bool:
    return any(hasattr(part, "dtype") and part.ndim for part in _parts(index))


def _checked(index: Any, x: Array) -> Any:
    """`index` with its arrays on the backend of `x`, after a look at their range.

    Raises:
        IndexError: an index is out of range.
    """
    parts = [np.asarray(p, None if p else int) if isinstance(p, list) else raw(p)
             for p in _parts(index)]  # fmt: skip
    used = sum(
        part.ndim if _is_mask(part) else 1
        for part in parts
        if part is not None and part is not Ellipsis
    )
    axis, checked = 0, []
    for part in parts:
        if part is Ellipsis:
            axis += x.ndim - used
        elif _is_mask(part):
            if isinstance(part, np.ndarray) and part.ndim and not isinstance(x, np.ndarray):
                # Where a mask on the host is true is known here; on a GPU one would wait for it.
                _refuse_other_mask(part, axis, x)
                checked += [backend_of(x).asarray(i) for i in part.nonzero()]
                axis += part.ndim
                continue
            axis += part.ndim
        elif part is not None:
            _refuse_out_of_range(part, axis, x)
            axis += 1
        is_array = hasattr(part, "dtype") and part.ndim
        checked.append(backend_of(x).asarray(part) if is_array else part)
    return tuple(checked)


def _is_mask(part: Any) -> bool:
    return getattr(part, "dtype", None) == np.bool_


def _refuse_other_mask(part: Any, axis: int, x: Array) -> None:
    shape = tuple(x.shape[axis : axis + part.ndim])
    if part.shape != shape:
        raise IndexError(f"getitem: the mask is {part.shape}, the axes that it is for are {shape}")


def _refuse_out_of_range(part: Any, axis: int, x: Array) -> None:
    if isinstance(part, slice) or axis >= x.ndim or getattr(part, "size", 1) == 0:
        return
    n = x.shape[axis]
    if not (isinstance(part, int) or getattr(part, "dtype", np.dtype(object)).kind in "iu"):
        raise IndexError(
            f"getitem: an index is an integer, a slice, None, ... or an array of integers or "
            f"booleans, got {part!r}"
        )
    low, high = (part, part) if isinstance(part, int) else (int(part.min()), int(part.max()))
    if low < -n or high >= n:
        raise IndexError(
            f"getitem: index {high if high >= n else low} is out of range for axis {axis}, "
            f"which has {n} elements"
        )
