"""What CuPy gives a GPU to do for one call of the namespace: a name for each launch.

A launch is a kernel, a copy, or a call of a library (cuBLAS, CUB), which is one however
many kernels it starts itself. A view is none. From the sources of CuPy 14.2; each rule says which.
Arrays here are NumPy's: those inside the strict backend's, whose strides are as CuPy's would be.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Names = list[str]
Rule = Callable[..., Names]


def launches(name: str, y: Any, *arguments: Any, **options: Any) -> Names:
    """Those of a function that gives `y`; its arguments are in CuPy's order."""
    out = options.get("out")
    arrays = [x for x in _flat(arguments) if isinstance(x, np.ndarray)]
    if out is None and any(shares_memory(x, y) for x in arrays):
        return []  # a view, or the array itself
    if isinstance(y, np.ndarray) and not y.size:
        return []  # ufunc.__call__, _reduction.pyx's _call: nothing is launched for no elements
    rule = RULES.get(name)
    if rule is None and isinstance(getattr(np, name, None), np.ufunc):
        rule = elementwise
    if rule is None:
        raise NotImplementedError(
            f"how many launches {name} is must be read in CuPy's source, and added to "
            "tests/helpers/launches.py"
        )
    return rule(name, *arguments, **options)


def shares_memory(x: Any, y: Any) -> bool:
    """By the first and the last byte, as in may_share_bounds, _core/_memory_range.pyx."""
    return isinstance(x, np.ndarray) and isinstance(y, np.ndarray) and np.may_share_memory(x, y)


def elementwise(name: str, *inputs: Any, out: Any = None, **_: Any) -> Names:
    """One kernel; an input that overlaps `out`, and is another object, is copied first.

    ufunc.__call__ and _copy_in_args_if_needed in _core/_kernel.pyx.
    """
    copied = [x for x in inputs if x is not out and shares_memory(x, out)]
    return [f"copy for {name}"] * len(copied) + [name]


def reduction(
    name: str, x: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False
) -> Names:
    """CUB where it can (`_ndarray_sum` and the others, _core/_routines_*.pyx), else one kernel.

    CUB's result is copied to `out`: device_reduce and device_segmented_reduce in cuda/cub.pyx.
    """
    if by_cub(name, x, axis, dtype):
        copies = [] if out is None else [f"copy for {name}"]
        return [name, *copies]
    return [name] * passes(x, axis)


def mean(
    name: str, x: Any, axis: Any = None, dtype: Any = None, out: Any = None, **_: Any
) -> Names:
    """CUB gives a sum, which another kernel divides; `_mean` does both. Then it may convert.

    _ndarray_mean in _core/_routines_statistics.pyx.
    """
    if dtype is None and x.dtype.char in "ebBhHiIlLqQ?":
        dtype = np.float32 if x.dtype.char == "e" else np.float64
    by_library = by_cub("sum", x, axis, dtype)
    sums = [*reduction("sum", x, axis, dtype, out), "divide"] if by_library else []
    converted = ["astype"] if dtype is not None and out is None else []
    return [*(sums or [name] * passes(x, axis)), *converted]


def variance(name: str, x: Any, axis: Any = None, dtype: Any = None, **_: Any) -> Names:
    """The mean, then a kernel of two inputs, which CUB is not for: `_var` in the same file."""
    return [*mean("mean", x, axis, x.dtype), name, *(["sqrt"] if name == "std" else [])]


def argument(name: str, x: Any, axis: Any = None, **_: Any) -> Names:
    """Of all elements by CUB, which gives pairs, whose keys are converted; else one kernel.

    _ndarray_argmax in _core/_routines_statistics.pyx, device_reduce in cuda/cub.pyx.
    """
    return [name, "astype"] if by_cub(name, x, axis, None) else [name] * passes(x, axis)


def by_cub(name: str, x: np.ndarray, axis: Any, dtype: Any) -> bool:
    """Whether a library adds: contiguous arrays, over all axes or over the last ones.

    cub_reduction, can_use_device_reduce and can_use_device_segmented_reduce in cuda/cub.pyx.
    """
    if name not in ("sum", "prod", "max", "min", "amax", "amin", "argmax", "argmin"):
        return False
    promoted = "bBhHiI?" if name in ("sum", "prod") and dtype is None else "?"
    if x.dtype.char in promoted or (dtype is not None and np.dtype(dtype) != x.dtype):
        return False
    whole = len(_axes(x, axis)) == x.ndim
    if name.startswith("arg"):
        return whole and _contiguous(x)
    return _contiguous(x) and (whole or _at_the_end(x, axis))


def passes(x: np.ndarray, axis: Any) -> int:
    """Kernels of a reduction by blocks: two for all elements of a contiguous array, else one.

    _can_use_cub_block_reduction and _cub_two_pass_launch in _core/_cub_reduction.pyx.
    """
    return 2 if len(_axes(x, axis)) == x.ndim and _contiguous(x) and x.size >= 128 else 1


def _axes(x: np.ndarray, axis: Any) -> tuple[int, ...]:
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return tuple(sorted(a % x.ndim for a in axes))


def _contiguous(x: np.ndarray) -> bool:
    return x.flags.c_contiguous or x.flags.f_contiguous


def _at_the_end(x: np.ndarray, axis: Any) -> bool:
    """Whether the axes are those whose elements lie side by side."""
    axes = _axes(x, axis)
    together = axes == tuple(range(axes[0], axes[0] + len(axes))) if axes else False
    return together and (axes[-1] == x.ndim - 1 if x.flags.c_contiguous else axes[0] == 0)


def product(name: str, a: Any, b: Any, out: Any = None) -> Names:
    """One call of cuBLAS for matrices, and one for a stack of them; its operands may be copied.

    matmul, dot and tensordot_core in _core/_routines_linalg.pyx.
    """
    if max(a.ndim, b.ndim) > 2:
        return _stack_of_products(name, a, b, out)
    if a.ndim == 0 or b.ndim == 0:
        return elementwise("multiply", a, b, out=out)
    dtype = np.result_type(a, b)
    if not a.size or not b.size:
        return ["fill"]
    if out is not None and not (out.flags.c_contiguous and out.dtype == dtype):
        return [*product(name, a, b), f"copy for {name}"]
    if (a.ndim == 1 or a.shape[0] == 1) and (b.ndim == 1 or b.shape[1] == 1):
        # A number: multiplied, summed by CUB, and copied to its place.
        ravelled = [f"copy for {name}" for x in (a, b) if not x.flags.c_contiguous]
        return [*ravelled, "multiply", "sum", "copy for sum"]
    copies = [f"copy for {name}" for x in (a, b) if x.dtype != dtype]
    # A matrix is taken as it is if its rows or its columns lie side by side without gaps.
    copies += [f"copy for {name}" for x in (a, b) if not _contiguous(x)]
    copies += [f"copy for {name}"] if shares_memory(a, out) or shares_memory(b, out) else []
    return [*copies, name]


def _stack_of_products(name: str, a: Any, b: Any, out: Any) -> Names:
    """Matrices lie row by row, or are copied; broadcast ones are found by pointers."""
    dtype = np.result_type(a, b)
    copies = [f"copy for {name}" for x in (a, b) if not x.flags.c_contiguous or x.dtype != dtype]
    in_place = out is None or (out.flags.c_contiguous and out.dtype == dtype)
    in_place = in_place and not (shares_memory(a, out) or shares_memory(b, out))
    copies += [] if in_place else [f"copy for {name}"]
    stacks = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    depth = len(stacks) or 1
    same = all((1,) * (len(stacks) - x.ndim + 2) + x.shape[:-2] == stacks for x in (a, b))
    return [*copies, *([] if same else ["pointers"] * 3 * depth), name]


def one(name: str, *_: Any, **__: Any) -> Names:
    """Of functions that are one kernel, or one filling of memory."""
    return [name]


def sum_of_squares(name: str, x: Any) -> Names:
    """A call of cuBLAS, of elements side by side; else they are copied: ravel in _core/core.pyx."""
    return [*([] if x.flags.c_contiguous else [f"copy for {name}"]), name]


def copied(name: str, *_: Any, **__: Any) -> Names:
    """Of functions that give a view, if they can."""
    return [f"copy for {name}"]


def none(*_: Any, **__: Any) -> Names:
    """Of functions that reserve memory, or only look at it: empty, empty_like, may_share_memory."""
    return []


def where(name: str, condition: Any, x: Any, z: Any) -> Names:
    """The condition is converted to bool, unless it is: where in _sorting/search.py."""
    return [*([] if condition.dtype == bool else ["astype"]), name]


def concatenate(name: str, xs: Any, axis: Any = 0, out: Any = None) -> Names:
    """A copy for each array; from nine on, one kernel that is told their addresses.

    _concatenate and _concatenate_single_kernel in _core/_routines_manipulation.pyx.
    """
    if axis is None:
        ravelled = [f"copy for {name}" for x in xs if not x.flags.c_contiguous]
        return ravelled + concatenate(name, [x.reshape(-1) for x in xs])
    if len(xs) > 8 and len({x.dtype for x in xs}) == 1 and max(x.nbytes for x in xs) < 2**21:
        alike = all(x.flags.c_contiguous and x.shape[axis] == xs[0].shape[axis] for x in xs)
        return ["from host"] * (1 if alike else 3) + [name]
    return [name] * sum(x.size > 0 for x in xs)


def repeat(name: str, x: Any, repeats: Any, axis: Any = None) -> Names:
    """One copy of a broadcast view: _broadcast_repeat in _core/_routines_manipulation.pyx."""
    if not isinstance(repeats, int):
        raise NotImplementedError("repeats that differ wait for the device")
    flat = axis is None and not x.flags.c_contiguous
    return [*([f"copy for {name}"] if flat else []), name]


# Elements by their index.


def got(index: tuple[Any, ...]) -> Names:
    """A view, or a kernel if indices are arrays.

    _ndarray_getitem in _core/_routines_indexing.pyx.
    """
    return [*_prepared(index), "take"] if _is_advanced(index) else []


def put(x: np.ndarray, index: tuple[Any, ...], value: Any, name: str = "") -> Names:
    """Into a view a copy, a filling or a function; by arrays as indices a kernel of their own.

    _scatter_op and _scatter_op_single in _core/_routines_indexing.pyx.

    Args:
        name: of the function that is applied to what is there; "" puts the value in its place.
    """
    if _is_advanced(index):
        on_device = isinstance(value, np.ndarray) and value.dtype == x.dtype
        return [*_prepared(index), *([] if on_device else ["value"]), name or "put"]
    view = x[(*index, ...)] if Ellipsis not in index else x[index]
    if not view.size:
        return []
    if name:
        return elementwise(name, view, value, out=view)
    if not isinstance(value, np.ndarray):
        return ["fill"]
    while value.ndim > view.ndim:
        value = value[0]
    if (value.shape, value.strides) == (view.shape, view.strides):
        if address(value) == address(view):
            return []  # `x[...] += 1` puts x into itself
        if view.flags.c_contiguous and value.dtype == view.dtype:
            return ["copy"]
    return elementwise("copy", value, out=view)


def _is_advanced(index: tuple[Any, ...]) -> bool:
    return any(isinstance(part, np.ndarray) for part in index)


def _prepared(index: tuple[Any, ...]) -> Names:
    """Several arrays are made one index into all axes; a mask is summed up, and waited for."""
    arrays = [part for part in index if isinstance(part, np.ndarray)]
    masks = ["scan", "to host"] * sum(part.dtype.kind == "b" for part in arrays)
    return masks + (["fill", *(["index"] * len(arrays))] if len(arrays) > 1 else [])


def address(x: np.ndarray) -> int:
    return x.__array_interface__["data"][0]


def _flat(arguments: Any) -> list[Any]:
    if isinstance(arguments, (tuple, list)):
        return [x for part in arguments for x in _flat(part)]
    return [arguments]


RULES: dict[str, Rule] = {
    **dict.fromkeys(("sum", "prod", "max", "min", "amax", "amin"), reduction),
    **dict.fromkeys(("all", "any", "count_nonzero"), reduction),
    **dict.fromkeys(("argmax", "argmin"), argument),
    **dict.fromkeys(("std", "var"), variance),
    "mean": mean,
    **dict.fromkeys(("matmul", "dot"), product),
    **dict.fromkeys(("ones", "full", "ones_like", "full_like", "arange"), one),
    **dict.fromkeys(("zeros", "zeros_like", "tile"), one),
    **dict.fromkeys(("astype", "copy", "erf", "lgamma"), one),
    "sum_of_squares": sum_of_squares,
    **dict.fromkeys(("reshape", "ascontiguousarray"), copied),
    **dict.fromkeys(("empty", "empty_like", "may_share_memory"), none),
    **dict.fromkeys(("concatenate", "stack"), concatenate),
    "where": where,
    "repeat": repeat,
    **dict.fromkeys(("clip", "isclose", "copyto", "take"), elementwise),
}
