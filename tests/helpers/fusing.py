"""What stands for an array while CuPy finds out what a fused function computes.

From cupy/_core/fusion.pyx of CuPy 14.2: `_FusionVarScalar` and `_FusionVarArray` have these methods
and no others, so an array has a dtype there, and neither a shape nor a length; `_call_ufunc` takes
what works element by element; `_call_reduction` takes one sum, and of its options the axis only;
and `_get_fusion_var` refuses to compute with a sum and an argument at once. `Fusion` itself would
then try cupy/_core/new_fusion.pyx, which may do more, and more slowly; here that is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np


class Traced:
    """An argument of a fused function, or what it has computed."""

    __slots__ = ("_a", "given", "reduced")
    __array_ufunc__ = None  # so that NumPy leaves operators to these here
    __hash__ = None
    seen: Callable[[np.ndarray], None] = staticmethod(lambda a: None)

    def __init__(self, a: Any, *, given: bool = False, reduced: bool = False) -> None:
        self._a = np.asarray(a) if isinstance(a, np.generic) else a  # or a Python number
        self.given, self.reduced = given, reduced
        if isinstance(a, np.ndarray):
            self.seen(a)

    dtype = property(lambda self: self._a.dtype)
    ndim = property(lambda self: self._a.ndim)

    def astype(self, dtype: Any, copy: bool = True) -> Traced:
        return self if not copy and self.dtype == dtype else _called(_astype(dtype), self)

    def __bool__(self) -> bool:
        raise TypeError("a fused function does not know values")


def _astype(dtype: Any) -> Any:
    return lambda a: a.astype(dtype)


def _called(function: Any, *arguments: Any, out: Any = None) -> Any:
    """The function of what is inside, or a refusal."""
    for x in arguments:
        if not isinstance(x, (Traced, bool, int, float, np.generic)):
            raise TypeError(f"expected what a fused function was given or made, got {type(x)}")
    traced = [x for x in arguments if isinstance(x, Traced)]
    arrays = [x for x in traced if isinstance(x._a, np.ndarray)]
    reduced = any(x.reduced for x in traced)
    if reduced and not all(x.reduced for x in traced):
        raise TypeError("a sum and an argument cannot be computed with at once")
    if out is None:
        y = function(*(x._a if isinstance(x, Traced) else x for x in arguments))
        return Traced(y, reduced=reduced)
    if type(out) is not Traced or out.given or not isinstance(out._a, np.ndarray):
        raise TypeError("a fused function writes into nothing but what it made itself")
    if any(x._a.ndim > out._a.ndim for x in arrays):
        raise ValueError("non-broadcastable output operand")
    function(*(x._a if isinstance(x, Traced) else x for x in arguments), out=out._a)
    return out


def _sum(x: Traced, axis: int | None = None) -> Traced:
    if x.reduced:
        raise TypeError("a fused function has one sum")
    return Traced(np.sum(x._a, axis=axis), reduced=True)


def namespace_of(ufuncs: dict[str, Any]) -> Any:
    """What stands for the module ``cupy`` meanwhile; it also gives `Traced` its operators."""
    functions = {name: partial(_called, function) for name, function in ufuncs.items()}
    for short, name in {
        "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "pow": "power",
        "and": "bitwise_and", "or": "bitwise_or",
    }.items():  # fmt: skip
        f = functions[name]
        setattr(Traced, f"__{short}__", lambda x, z, f=f: f(x, z))
        if short != "pow":
            setattr(Traced, f"__r{short}__", lambda x, z, f=f: f(z, x))
        setattr(Traced, f"__i{short}__", lambda x, z, f=f: f(x, z, out=x))
    for short, name in {
        "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "eq": "equal",
        "ne": "not_equal",
    }.items():  # fmt: skip
        setattr(Traced, f"__{short}__", lambda x, z, f=functions[name]: f(x, z))
    Traced.__neg__ = lambda x: functions["negative"](x)
    Traced.__invert__ = lambda x: functions["invert"](x)

    def where(condition: Any, x: Any, z: Any) -> Traced:
        return _called(np.where, condition.astype(bool), x, z)

    return SimpleNamespace(
        **functions, where=where, sum=_sum, float32=np.float32, float64=np.float64
    )


def trace(function: Callable[..., Any], arguments: list[Any]) -> tuple[Any, ...] | np.ndarray:
    """What a fused function makes of arrays and numbers, if it can be fused."""
    for x in arguments:
        if not isinstance(x, (np.ndarray, int, float)):
            raise TypeError(f"Unsupported type {type(x)}")
    y = function(*(Traced(x, given=True) for x in arguments))
    shape = np.broadcast_shapes(*(np.shape(x) for x in arguments))
    as_tuple = y if isinstance(y, tuple) else (y,)
    for each in as_tuple:
        if type(each) is not Traced:
            raise TypeError(f"expected what a fused function has computed, got {type(each)}")
        if not each.reduced and np.shape(each._a) != shape:
            raise ValueError(f"expected {shape}, as of all arguments, got {np.shape(each._a)}")
    # What is returned as it was given is copied by the kernel.
    out = [each._a.copy() if each.given else each._a for each in as_tuple]
    return tuple(out) if isinstance(y, tuple) else out[0]
