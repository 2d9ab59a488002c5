"""Ops that move elements without computing with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from itertools import pairwise
from typing import Any

import numpy as np

from tinygen.autograd.engine import Op, op
from tinygen.autograd.operators import raw
from tinygen.autograd.registry import composed
from tinygen.backend import Array, backend_of, namespace

Shape = tuple[int, ...]

MANY = 128
"""How many arrays one op concatenates at most."""


@op(dx=lambda g, y, x, *, shape: reshape(g, shape=x.shape))
def reshape(x: Array, *, shape: Shape) -> Array:
    """The elements of `x` in another shape; one length may be -1.

    ``dx = g in the shape of x``.

    >>> import tinygen as tg
    >>> tg.reshape(tg.Tensor([1.0, 2.0, 3.0, 4.0]), shape=(2, 2)).array.tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    return x.reshape(shape)


@op(dx=lambda g, y, x, *, shape: g)
def broadcast_to(x: Array, *, shape: Shape) -> Array:
    """`x` repeated to `shape`, as a view where the library has one.

    >>> import tinygen as tg
    >>> x = tg.Tensor([1.0, 2.0], requires_grad=True)
    >>> tg.sum(tg.broadcast_to(x, shape=(3, 2))).backward()
    >>> x.grad.tolist()  # each was copied three times
    [3.0, 3.0]
    """
    return namespace(x).broadcast_to(x, shape)


@op(dx=lambda g, y, x, *, axes: transpose(g, axes=_inverse(axes)))
def transpose(x: Array, *, axes: Shape | None = None) -> Array:
    """The axes of `x` in the order `axes`; by default reversed.

    ``dx = g with its axes in the order of x``.

    >>> import tinygen as tg
    >>> x = tg.Tensor([[[1.0, 2.0]]])
    >>> tg.transpose(x).shape, tg.transpose(x, axes=(0, 2, 1)).shape
    ((2, 1, 1), (1, 2, 1))
    """
    return x.transpose(axes)


@op(dx=lambda g, y, x, *, axis1, axis2: swapaxes(g, axis1=axis1, axis2=axis2))
def swapaxes(x: Array, *, axis1: int, axis2: int) -> Array:
    """`x` with two axes exchanged.

    ``dx = g with the two axes exchanged``.

    >>> import numpy as np
    >>> swapaxes(np.zeros((2, 3, 4)), axis1=0, axis2=2).shape
    (4, 3, 2)
    """
    return x.swapaxes(axis1, axis2)


@op(dx=lambda g, y, x, *, axis: reshape(g, shape=x.shape))
def squeeze(x: Array, *, axis: int | Shape | None = None) -> Array:
    """`x` without its axes of length 1, or without those of them that `axis` names.

    ``dx = g in the shape of x``.

    >>> import numpy as np
    >>> squeeze(np.zeros((2, 1, 3, 1))).shape, squeeze(np.zeros((2, 1, 3, 1)), axis=1).shape
    ((2, 3), (2, 3, 1))
    """
    return namespace(x).squeeze(x, axis=axis)


@op(dx=lambda g, y, x, *, axis: reshape(g, shape=x.shape))
def expand_dims(x: Array, *, axis: int | Shape) -> Array:
    """`x` with an additional axis of length 1, which is number `axis` of the result.

    ``dx = g in the shape of x``.

    >>> import numpy as np
    >>> expand_dims(np.zeros((2, 3)), axis=0).shape
    (1, 2, 3)
    """
    return namespace(x).expand_dims(x, axis=axis)


@op(dx=lambda g, y, x, *, widths, value: getitem(g, index=_inside(x, widths)))
def pad(x: Array, *, widths: Any, value: float = 0.0) -> Array:
    """`x` with a border of one value.

    ``dx = g without the border``.

    Args:
        widths: of the border: a number for all sides, ``(before, after)`` for all axes, or such a
            pair for each axis.

    >>> import numpy as np
    >>> pad(np.array([[1.0, 2.0]]), widths=((0, 1), (1, 1)))
    array([[0., 1., 2., 0.],
           [0., 0., 0., 0.]])
    """
    if isinstance(widths, dict):  # which NumPy takes
        raise TypeError(f"expected a number, a pair of them, or a pair for each axis, got {widths}")
    return namespace(x).pad(x, widths, constant_values=value)


def _inside(x: Array, widths: Any) -> tuple[slice, ...]:
    before = np.broadcast_to(widths, (x.ndim, 2))[:, 0]
    return tuple(slice(int(b), int(b) + n) for b, n in zip(before, x.shape, strict=True))


@composed
def split(x: Array, sections: int | Sequence[int], *, axis: int = 0) -> list[Array]:
    """`x` cut along `axis` into so many equal sections, or before each of the given indices.

    >>> import numpy as np
    >>> mu, log_var = split(np.array([[1.0, 2.0, 3.0, 4.0]]), 2, axis=1)  # as a VAE's encoder ends
    >>> mu, log_var
    (array([[1., 2.]]), array([[3., 4.]]))
    """
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(f"split: axis {axis} is out of range for an array of {x.ndim} axes")
    n = x.shape[axis]
    if isinstance(sections, (int, np.integer)):
        if sections < 1 or n % sections:
            raise ValueError(f"split: axis {axis} has {n} elements, got {sections} equal sections")
        sections = [i * (n // sections) for i in range(1, sections)]
    elif not np.iterable(sections):
        raise TypeError(f"split: expected a number of sections or indices, got {sections!r}")
    bounds = []
    for pair in pairwise([0, *sections, n]):
        start, end, _ = slice(*pair).indices(n)
        bounds.append((start, max(start, end)))
    return _cut(x, axis % x.ndim, bounds)


def _cut(x: Array, axis: int, bounds: list[tuple[int, int]]) -> list[Array]:
    """Slices; many are cut from blocks: a gradient is as large as what its part is cut from."""
    if len(bounds) <= MANY:
        before = (slice(None),) * axis
        return [getitem(x, index=(*before, slice(*bound))) for bound in bounds]
    parts = []
    for i in range(0, len(bounds), MANY):
        group = bounds[i : i + MANY]
        low, high = min(start for start, _ in group), max(end for _, end in group)
        (block,) = _cut(x, axis, [(low, high)])
        parts += _cut(block, axis, [(start - low, end - low) for start, end in group])
    return parts


def _members(name: str, xs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arrays in one list, as NumPy takes them, or those given one by one."""
    if not xs or not isinstance(xs[0], (list, tuple)):
        return xs
    if len(xs) == 2 and isinstance(xs[1], int):
        raise TypeError(f"{name}: got {xs[1]} by position; the axis is a keyword, axis={xs[1]}")
    return tuple(xs[0]) if len(xs) == 1 else xs


def _in_groups(join: Op) -> Callable[..., Any]:
    """`join` for any number of arrays: n partials that each get all n would cost n^2."""

    @wraps(join.forward)
    def joined(*xs: Array, **options: Any) -> Array:
        xs = _members(join.name, xs)
        while len(xs) > MANY:
            xs = tuple(join(*xs[i : i + MANY], **options) for i in range(0, len(xs), MANY))
        return join(*xs, **options)

    return joined


@composed
@_in_groups
@op(dxs=lambda i, g, y, *xs, axis: _slab(i, g, xs, axis))
def concatenate(*xs: Array, axis: int | None = 0) -> Array:
    """The arrays, or those in one list, one after another along `axis`.

    ``dxs = the part of g where this array lies``.

    With ``axis=None``, all elements of the first come before all of the second.

    >>> import numpy as np
    >>> import tinygen as tg
    >>> tg.concatenate([np.zeros((1, 2)), np.ones((1, 3))], axis=1)
    array([[0., 0., 1., 1., 1.]])
    """
    if not xs:
        raise ValueError("expected arrays, got none")
    return namespace(xs[0]).concatenate(xs, axis=axis)


@composed
def stack(*xs: Array, axis: int = 0) -> Array:
    """Arrays of one shape, or those in one list, side by side along a new `axis`.

    >>> import numpy as np
    >>> stack([np.zeros(2), np.ones(2)], axis=1)
    array([[0., 1.],
           [0., 1.]])
    """
    xs = _members("stack", xs)
    shapes = {getattr(x, "shape", type(x).__name__): None for x in xs}
    if len(shapes) != 1 or not hasattr(xs[0], "shape"):
        got = ", ".join(map(str, shapes)) or "none"
        raise ValueError(f"stack: the arrays need one shape, got {got}")
    if not -xs[0].ndim - 1 <= axis <= xs[0].ndim:
        raise ValueError(f"stack: axis {axis} is out of range for arrays of {xs[0].ndim} axes")
    at = axis % (xs[0].ndim + 1)
    shape = (*xs[0].shape[:at], 1, *xs[0].shape[at:])
    return concatenate(*(reshape(x, shape=shape) for x in xs), axis=at)


@op(dx=lambda g, y, x, *, index: scatter(g, index=index, shape=x.shape))
def getitem(x: Array, *, index: Any) -> Array:
    """``x[index]`` for integers, slices, None, ``...``, and arrays of integers or booleans.

    ``dx = g at [index], zeros elsewhere``.

    An index out of range is refused on every backend (CuPy itself wraps it around). For indices
    that lie on a GPU this check waits for the device; slices and indices on the host do not.

    >>> import tinygen as tg
    >>> x = tg.Tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> tg.sum(x[[0, 0, 2]]).backward()  # tg.getitem(x, index=[0, 0, 2])
    >>> x.grad.tolist()
    [2.0, 0.0, 1.0]
    """
    return x[_checked(index, x)]


@op(dx=lambda g, y, x, *, index, shape: getitem(g, index=index))
def scatter(x: Array, *, index: Any, shape: Shape) -> Array:
    """Zeros of `shape` to which `x` is added at `index`: the transpose of `getitem`.

    ``dx = g[index]``.

    >>> import numpy as np
    >>> scatter(np.array([1.0, 2.0, 4.0]), index=[0, 0, 2], shape=(4,))
    array([3., 0., 4., 0.])
    """
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
    return tuple(np.argsort(np.mod(axes, np.size(axes)), axis=None).tolist())


def _slab(i: int, g: Array, xs: tuple[Array, ...], axis: int | None) -> Array:
    """The part of `g` that belongs to the i-th of the concatenated arrays."""
    lengths = [x.size if axis is None else x.shape[axis] for x in xs[: i + 1]]
    before = (slice(None),) * (0 if axis is None else axis % xs[0].ndim)
    part = getitem(g, index=(*before, slice(sum(lengths[:-1]), sum(lengths))))
    return part if axis is not None else reshape(part, shape=xs[i].shape)


def flipped(x: Array, axis: int | None) -> Array:
    """The elements along `axis` in reverse order."""
    before = (slice(None),) * (0 if axis is None else axis % x.ndim)
    return getitem(x, index=(*before, slice(None, None, -1)))


def _parts(index: Any) -> tuple[Any, ...]:
    return index if isinstance(index, tuple) else (index,)


def _has_array(index: Any) -> bool:
    return any(hasattr(part, "dtype") and part.ndim for part in _parts(index))


def _checked(index: Any, x: Array) -> Any:
    """`index` with its arrays on the backend of `x`, after a check of their range.

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
                # Where a mask on the host is true is known here; one on a GPU would make us wait.
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
