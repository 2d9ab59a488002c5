"""The strict backend: NumPy arrays that behave like CuPy's, and tell when the host would wait.

Hardly any machine that runs these tests has a GPU, so what CuPy refuses is refused here: turning
into a NumPy array by itself, mixing with NumPy arrays, functions and keywords that CuPy lacks. What
CuPy does silently is done here just as silently: indices out of range wrap around, and of several
values stored at one index the "wrong" one stays. What would wait for a GPU, `count_syncs` notes,
and `count_launches` what would be given to it; helpers/launches.py has the rules of that.

Checked against the sources of CuPy 14.2: cupy/_core/core.pyx has the methods, operators and
conversions of arrays, _routines_indexing.pyx what indices do and which dtypes `add.at` takes,
_kernel.pyx the keywords of ufuncs, _reduction.pyx axes, and cupy/random/_generator_api.pyx what is
drawn; `test_what_the_strict_namespace_has_cupy_has` compares names and keywords with CuPy itself.
Where CuPy is more lenient (a NumPy array as an index, say), this is stricter on purpose.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from fusing import Traced, namespace_of, trace
from launches import got, launches, put, shares_memory
from recording import Recording, refuse_copy_from_host, refuse_stacks, refuse_waiting

import tinygen
from tinygen.backend import register
from tinygen.backend.base import seed_sequence
from tinygen.backend.fused import fused
from tinygen.backend.numpy_backend import NUMPY, adam_numpy

_watching: list[list[str]] = []
_counting: list[list[Launch]] = []
_seeing: list[dict[np.dtype, None]] = []
_recordings: list[Recording] = []
_fusing: list[dict[Callable[..., Any], set[Signature]]] = []


T = TypeVar("T")
Signature = tuple[Any, ...]
"""For each argument of a fused function its shape and dtype, or the number that it is."""


class Launch(NamedTuple):
    """Something that a GPU is given to do, and the line of code that asks for it."""

    name: str
    line: str


@contextmanager
def _noting(listeners: list[T], found: T) -> Iterator[T]:
    """Let `found` be one of those that are told."""
    listeners.append(found)
    try:
        yield found
    finally:
        listeners.remove(found)


def count_syncs() -> AbstractContextManager[list[str]]:
    """Note what would make the host wait for a GPU: a list with one name for each wait."""
    return _noting(_watching, [])


def count_launches() -> AbstractContextManager[list[Launch]]:
    """Note the kernels, copies and calls of libraries that a GPU would be given, one by one."""
    return _noting(_counting, [])


def see_dtypes() -> AbstractContextManager[dict[np.dtype, None]]:
    """Note the dtype of every array that is made, intermediate results included."""
    return _noting(_seeing, {})


def see_fused() -> AbstractContextManager[dict[Callable[..., Any], set[Signature]]]:
    """Note what fused functions are called with: CuPy makes a kernel for each such signature."""
    return _noting(_fusing, defaultdict(set))


def _sync(name: str) -> None:
    if _recordings:
        refuse_waiting()
    for found in _watching:
        found.append(name)


def _launch(*names: str) -> None:
    if _recordings and "from host" in names:
        refuse_copy_from_host()
    line = _line() if _counting and names else ""
    for found in _counting:
        found += [Launch(name, line) for name in names]


def _line() -> str:
    """The innermost line outside this file and `fused`, such as "tinygen/optim.py:52"."""
    frame = sys._getframe(1)
    while frame.f_code.co_filename in (__file__, fused.__code__.co_filename) and frame.f_back:
        frame = frame.f_back
    return f"{frame.f_code.co_filename.removeprefix(ROOT)}:{frame.f_lineno}"


ROOT = f"{Path(tinygen.__file__).parents[1]}{os.sep}"


class StrictArray:
    """An array "on the device"; `_a` is the NumPy array that only this file may touch."""

    __slots__ = ("__weakref__", "_a", "base")
    __array_ufunc__ = None  # `numpy_array + strict` comes to __radd__ here, which refuses
    __hash__ = None  # as for any array

    def __init__(self, a: np.ndarray, viewed: StrictArray | None = None) -> None:
        assert type(a) is np.ndarray, type(a)
        self._a = a
        # The array whose memory this is, if it is another's: _view in cupy/_core/core.pyx.
        self.base = viewed if viewed is None or viewed.base is None else viewed.base
        for found in _seeing:
            found[a.dtype] = None

    # What can be asked without waiting.
    shape = property(lambda self: self._a.shape)
    dtype = property(lambda self: self._a.dtype)
    ndim = property(lambda self: self._a.ndim)
    size = property(lambda self: self._a.size)
    nbytes = property(lambda self: self._a.nbytes)
    itemsize = property(lambda self: self._a.itemsize)
    strides = property(lambda self: self._a.strides)
    T = property(lambda self: StrictArray(self._a.T, self))

    def __len__(self) -> int:
        return len(self._a)

    def __iter__(self) -> Iterator[StrictArray]:
        return (self[i] for i in range(len(self)))  # views

    # What waits for the device: for a copy of the array.
    def get(self) -> np.ndarray:
        return _to_host(self, "get").copy()

    def item(self) -> Any:
        return _to_host(self, "item").item()

    def tolist(self) -> Any:
        return _to_host(self, "tolist").tolist()

    def __float__(self) -> float:
        return float(_to_host(self, "float"))

    def __int__(self) -> int:
        return int(_to_host(self, "int"))

    def __bool__(self) -> bool:
        return bool(_to_host(self, "bool"))

    def __repr__(self) -> str:
        return f"strict {_to_host(self, 'repr')!r}"

    def __format__(self, spec: str) -> str:
        return format(_to_host(self, "format"), spec)

    # What CuPy refuses.
    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to "
            "construct a NumPy array explicitly."
        )

    # What gives a new array, or a view.
    def __getitem__(self, index: Any) -> StrictArray:
        index = _index(index, self._a)
        _launch(*got(index))
        has_dots = any(part is Ellipsis for part in index)
        # With the dots, NumPy too gives a 0-d view where it would give a scalar.
        index, a = index if has_dots else (*index, ...), self._a
        y = a[index]
        view = StrictArray(y, self if shares_memory(y, a) else None)
        if view.base is None:
            _remember(lambda: a[index], [view], self)
        return view

    def __setitem__(self, index: Any, value: Any) -> None:
        given = index, value
        index, value = _index(index, self._a), _raw(value)
        arrays = [part for part in index if isinstance(part, np.ndarray)]
        if not arrays and isinstance(value, (list, tuple)):
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        _launch(*put(self._a, index, value))
        _write(partial(_store, self._a, index, value), self, given)

    def reshape(self, *shape: Any) -> StrictArray:
        return _called("reshape", partial(self._a.reshape, *shape), self)

    def ravel(self) -> StrictArray:
        return self.reshape(-1)

    def flatten(self) -> StrictArray:
        return _called("copy", self._a.flatten, self)

    def transpose(self, *axes: Any) -> StrictArray:
        return StrictArray(self._a.transpose(*axes), self)

    def swapaxes(self, axis1: int, axis2: int) -> StrictArray:
        return StrictArray(self._a.swapaxes(axis1, axis2), self)

    def astype(self, dtype: Any, copy: bool = True) -> StrictArray:
        dtype = _dtype(dtype)
        if not copy and dtype == self.dtype:
            return self
        return _called("astype", partial(self._a.astype, dtype), self)

    def copy(self) -> StrictArray:
        return _called("copy", self._a.copy, self)

    def fill(self, value: Any) -> None:
        if type(value) is StrictArray:
            bool(value == 0)  # which core.pyx asks, and waits for
        _launch("fill")
        _write(partial(self._a.fill, _raw(value)), self, value)


def _store(a: np.ndarray, index: tuple[Any, ...], value: Any) -> None:
    if not any(isinstance(part, np.ndarray) and part.dtype.kind in "iu" for part in index):
        a[index] = value
        return
    # Of several values for one place, NumPy keeps the last. A GPU keeps any: here the first.
    places = np.arange(a.size).reshape(a.shape)[index]
    values = np.broadcast_to(value, places.shape)
    a.flat[places.ravel()[::-1]] = values.ravel()[::-1]


def _write(write: Callable[[], Any], *used: Any) -> None:
    """Do what changes an array in place."""
    write()
    _remember(write, [], *used)


def _remember(compute: Callable[[], Any], made: list[StrictArray], *used: Any) -> None:
    """What was just computed is launched again with each graph that is being recorded."""
    for recording in _recordings:
        recording.note(compute, made, _arrays(used))


def _arrays(x: Any) -> list[StrictArray]:
    if isinstance(x, (tuple, list)):
        return [found for part in x for found in _arrays(part)]
    return [x] if type(x) is StrictArray else []


def _to_host(x: StrictArray, name: str) -> np.ndarray:
    _sync(name)
    _launch("to host")
    return x._a


def _raw(x: Any) -> Any:
    """The NumPy array inside; refuses whatever CuPy would not compute with."""
    if type(x) is StrictArray:
        return x._a
    if x is None or isinstance(x, (bool, int, float, str, slice, type, np.dtype, np.generic)):
        return x  # a NumPy scalar is no "weak" number: by NEP 50 it takes part in promotion
    if isinstance(x, (tuple, list)):
        return type(x)(_raw(part) for part in x)
    raise TypeError(f"Unsupported type {type(x)}")


def _called(name: str, compute: Callable[[], Any], *arguments: Any, **options: Any) -> Any:
    """The result of a call, which is noted; an array on the device also where it is one number.

    Args:
        compute: gives the values of the result, or writes them into `out`.
    """
    y = compute()
    if _counting:
        raw = {key: _raw(value) for key, value in options.items()}
        _launch(*launches(name, y, *_raw(arguments), **raw))
    used = [*arguments, *options.values()]
    if options.get("out") is not None:
        _remember(compute, [], *used)
        return options["out"]
    if type(y) is bool:  # may_share_memory looks at addresses, which the host knows
        return y
    if isinstance(y, (tuple, list)):
        return type(y)(_wrapped(part, *arguments) for part in y)
    found = _wrapped(y, *arguments)
    if found.base is None:
        _remember(compute, [found], *used)
    return found


def _wrapped(y: Any, *arguments: Any) -> StrictArray:
    """An array on the device, and a view of that argument whose memory it has."""
    y = np.asarray(y)
    arrays = (x for x in arguments if type(x) is StrictArray)
    return StrictArray(y, next((x for x in arrays if shares_memory(x._a, y)), None))


def _kind(x: Any) -> Any:
    return (x.shape, str(x.dtype)) if type(x) is StrictArray else x


def _new(a: Any) -> StrictArray:
    """An array of values that the host knows; a graph that is recorded keeps to them."""
    a = np.asarray(a)
    made = StrictArray(a)
    _remember(a.copy, [made])
    return made


def _dtype(dtype: Any) -> np.dtype:
    dtype = np.dtype(dtype)
    if dtype.kind not in "biufc" or dtype.itemsize > 16:
        raise ValueError(f"Unsupported dtype {dtype}")
    return dtype


def _index(index: Any, a: np.ndarray) -> tuple[Any, ...]:
    """The index for NumPy; integer arrays wrap around instead of being refused."""
    _launch(*("from host" for p in _tuple(index) if isinstance(p, list)))
    parts = [np.asarray(p) if isinstance(p, list) else _checked(p) for p in _tuple(index)]
    parts = [p.astype(int) if isinstance(p, np.ndarray) and not p.size and p.dtype.kind == "f"
             else p for p in parts]  # fmt: skip
    used = sum(_axes_used(p) for p in parts)
    axis, found = 0, []
    for p in parts:
        if isinstance(p, np.ndarray) and p.dtype.kind == "b":
            _sync("boolean mask")  # how many elements it selects is known to the device only
        elif isinstance(p, np.ndarray) and p.dtype.kind in "iu" and axis < a.ndim and a.shape[axis]:
            p = np.asarray(p % a.shape[axis])  # a 0-d one would else become a scalar
        found.append(p)
        axis += a.ndim - used if p is Ellipsis else _axes_used(p)
    return tuple(found)


def _tuple(index: Any) -> tuple[Any, ...]:
    return index if isinstance(index, tuple) else (index,)


def _checked(part: Any) -> Any:
    return part if part is Ellipsis else _raw(part)


def _axes_used(part: Any) -> int:
    if part is None or part is Ellipsis:
        return 0
    return part.ndim if isinstance(part, np.ndarray) and part.dtype.kind == "b" else 1


# The functions of the namespace, each with the keywords that it has in CuPy.

UFUNCS = """
    abs absolute add arctan arctan2 bitwise_and bitwise_or ceil copysign cos cosh divide equal exp
    exp2 expm1 floor floor_divide fmax fmin greater greater_equal hypot invert isfinite isinf isnan
    left_shift less less_equal log log10 log1p log2 logaddexp logaddexp2 logical_and logical_not
    logical_or logical_xor maximum minimum mod multiply negative not_equal positive power
    reciprocal remainder rint sign signbit sin sinh sqrt square subtract tan tanh true_divide trunc
""".split()  # noqa: SIM905  sixty quoted names would be hard to read

KEYWORDS = {name: "out dtype casting" for name in UFUNCS}  # CuPy's ufuncs have no `where`
KEYWORDS |= {
    **dict.fromkeys(("sum", "mean", "prod"), "axis dtype out keepdims"),
    **dict.fromkeys(("max", "min", "amax", "amin", "all", "any"), "axis out keepdims"),
    **dict.fromkeys(("argmax", "argmin"), "axis dtype out keepdims"),
    **dict.fromkeys(("std", "var"), "axis dtype out ddof keepdims"),
    **dict.fromkeys(("cumsum", "cumprod"), "axis dtype out"),
    **dict.fromkeys(("argsort", "sort"), "axis kind"),
    **dict.fromkeys(("count_nonzero", "squeeze", "expand_dims", "flip"), "axis"),
    **dict.fromkeys(("transpose", "permute_dims"), "axes"),
    **dict.fromkeys(("reshape", "swapaxes", "moveaxis", "broadcast_arrays"), ""),
    **dict.fromkeys(("outer", "inner", "vdot", "diag", "isclose", "array_equal"), ""),
    "may_share_memory": "",
    **dict.fromkeys(("zeros", "ones", "empty", "eye", "tri"), "dtype"),
    **dict.fromkeys(("zeros_like", "ones_like", "empty_like"), "dtype shape"),
    "allclose": "rtol atol equal_nan",
    "arange": "dtype",
    "clip": "out",
    "pad": "constant_values",
    "concatenate": "axis out",
    "dot": "out",
    "einsum": "optimize",
    "full": "dtype",
    "full_like": "dtype shape",
    "linspace": "endpoint dtype",
    "matmul": "out",
    "repeat": "axis",
    "roll": "axis",
    "stack": "axis out",
    "tensordot": "axes",
    "tile": "",
    "trace": "axis1 axis2",
    "tril": "k",
    "triu": "k",
}

SYNCING = {"nonzero": "", "flatnonzero": "", "argwhere": "", "unique": "", "bincount": "minlength"}
"""Functions whose result has a size that only the device knows."""


class _Function:
    """A function of NumPy that takes what CuPy's takes."""

    def __init__(self, name: str, keywords: str) -> None:
        self.__name__ = name
        self.keywords = keywords.split()
        self.function = getattr(np, name)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        for key in options:
            if key not in self.keywords:
                raise TypeError(f"{self.__name__}() got an unexpected keyword argument {key!r}")
        if self.__name__ in SYNCING:
            _sync(self.__name__)
        raw, named = _raw(arguments), {k: _raw(v) for k, v in options.items()}
        if _recordings:
            refuse_stacks(self.__name__, *raw)
        compute = partial(self.compute, *raw, **named)
        return _called(self.__name__, compute, *arguments, **options)

    def compute(self, *arguments: Any, **options: Any) -> Any:
        return self.function(*arguments, **options)


class _UFunc(_Function):
    """To a kernel a float32 below 1.2e-38 is 0, given or made; to libraries and copies it is not.

    From _compile_with_cache_cuda in cupy/cuda/compiler.py, which lets nvrtc flush them (-ftz=true).
    """

    TINY = np.finfo(np.float32).tiny

    def compute(self, *arguments: Any, **options: Any) -> Any:
        if len(arguments) > self.function.nin:
            raise TypeError(f"{self.__name__}() takes `out` by its name here")
        y = np.asarray(self.function(*(self.flushed(x) for x in arguments), **options))
        return y if y.dtype != np.float32 else np.multiply(y, np.abs(y) >= self.TINY, out=y)

    def flushed(self, x: Any) -> Any:
        is_float32 = getattr(x, "dtype", None) == np.float32
        return x * (np.abs(x) >= self.TINY) if is_float32 else x


class _AlongAxes(_Function):
    """Of arrays alone; and whoever names an axis must have it.

    A 0-d array has none, and NumPy takes its 0 and -1. From _get_axis in cupy/_core/_reduction.pyx,
    scan_core in _routines_math.pyx, and _ndarray_argsort in _routines_sorting.pyx; from
    cupy/_math/sumprod.py and its like, which call the array's method.
    """

    def __call__(self, x: Any, *arguments: Any, **options: Any) -> Any:
        if type(x) is not StrictArray:
            raise TypeError(f"{self.__name__}() takes an array, got {type(x).__name__}")
        axis = arguments[0] if arguments else options.get("axis")
        if axis is not None and getattr(x, "shape", None) == ():
            for each in axis if isinstance(axis, tuple) else (axis,):
                raise np.exceptions.AxisError(each, 0)
        return super().__call__(x, *arguments, **options)


ALONG_AXES = """
    all amax amin any argmax argmin argsort count_nonzero cumprod cumsum flip max mean min prod sort
    std sum var
""".split()  # noqa: SIM905


class _Add(_UFunc):
    """Addition, with the one `at` that tinygen uses."""

    # From _scatter_op_single in cupy/_core/_routines_indexing.pyx: what CUDA adds atomically.
    ATOMIC = ("int32", "int64", "float16", "float32", "float64", "uint32", "uint64")

    def at(self, a: StrictArray, index: Any, b: Any) -> None:
        if a.dtype.name not in self.ATOMIC:
            raise TypeError(f"cupy.add.at only supports {', '.join(self.ATOMIC)} as data type")
        used = a, index, b
        index, b = _index(index, _raw(a)), _raw(b)
        _launch(*put(a._a, index, b, "add"))
        _write(partial(np.add.at, a._a, index, b), used)


class StrictNamespace:
    """Stands for the module ``cupy``; a function that is not listed here is an error."""

    ndarray = StrictArray
    float16, float32, float64 = np.float16, np.float32, np.float64
    int8, int16, int32, int64 = np.int8, np.int16, np.int32, np.int64
    uint8, uint16, uint32, uint64, bool_ = np.uint8, np.uint16, np.uint32, np.uint64, np.bool_
    pi, e, inf, nan, newaxis = np.pi, np.e, np.inf, np.nan, None

    def __init__(self) -> None:
        for name, keywords in {**KEYWORDS, **SYNCING}.items():
            kind = _UFunc if name in UFUNCS else _AlongAxes if name in ALONG_AXES else _Function
            setattr(self, name, (_Add if name == "add" else kind)(name, keywords))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"{name} is not among the functions of CuPy in tests/helpers/strict.py; "
            "if CuPy has it, add it"
        )

    def asarray(self, x: Any, dtype: Any = None) -> StrictArray:
        if type(x) is StrictArray:
            return x.astype(dtype or x.dtype, copy=False)
        return self.array(x, dtype)

    def array(self, x: Any, dtype: Any = None, copy: bool = True) -> StrictArray:
        """Unlike in a computation, a NumPy array is taken here: it is sent to the device."""
        if type(x) is StrictArray:
            if not copy and dtype is not None and np.dtype(dtype) != x.dtype:
                # _astype in cupy/_core/core.pyx
                raise ValueError("Unable to avoid copy while creating an array as requested.")
            return x.astype(dtype or x.dtype, copy)
        a = np.array(x, dtype)
        _dtype(a.dtype)
        _launch("from host" if a.ndim else "fill")  # _array_default in cupy/_core/core.pyx
        return _new(a)

    def ascontiguousarray(self, x: StrictArray, dtype: Any = None) -> StrictArray:
        return _called("ascontiguousarray", partial(np.ascontiguousarray, _raw(x), dtype), x)

    def asnumpy(self, x: Any) -> np.ndarray:
        return x.get() if type(x) is StrictArray else np.asarray(x)

    def where(self, condition: Any, x: Any, z: Any) -> StrictArray:
        condition_, x_, z_ = condition._a, _raw(x), _raw(z)
        return _called("where", lambda: np.where(condition_.astype(bool), x_, z_), condition, x, z)

    def split(self, x: StrictArray, indices: Any, axis: int = 0) -> list[StrictArray]:
        # cupy/_core/_routines_manipulation.pyx, array_split: indices on the host, views, no wait
        return [_wrapped(part, x) for part in np.split(_raw(x), indices, axis)]

    def take(self, x: StrictArray, indices: Any, axis: int | None = None) -> StrictArray:
        compute = partial(np.take, _raw(x), _raw(indices), axis=axis, mode="wrap")
        return _called("take", compute, x, indices)

    def broadcast_to(self, x: StrictArray, shape: Any) -> StrictArray:
        """A view that may be written into, unlike NumPy's: a write changes all of its copies.

        From broadcast_to in cupy/_core/_routines_manipulation.pyx.
        """
        view = np.broadcast_to(_raw(x), shape)
        return StrictArray(np.lib.stride_tricks.as_strided(_raw(x), view.shape, view.strides), x)

    def copyto(
        self, to: StrictArray, x: Any, casting: Any = "same_kind", where: Any = True
    ) -> None:
        copy = partial(np.copyto, _raw(to), _raw(x), casting=casting, where=_raw(where))
        _called("copyto", copy, x, where, out=to)


XP = StrictNamespace()


def _install() -> None:
    """Operators and methods, through the functions above, so that they follow the same rules."""

    def binary(function: Any, reflected: bool = False) -> Any:
        def method(x: StrictArray, z: Any) -> Any:
            if hasattr(z, "__array_function__") and not isinstance(z, (np.ndarray, np.generic)):
                # A Tensor. CuPy calls NumPy's ufunc (ndarray.__mul__ in _core/core.pyx), which asks
                # the __array_ufunc__ of both and comes to the Tensor's, as CuPy's declines.
                return NotImplemented
            return function(z, x) if reflected else function(x, z)

        return method

    def in_place(function: Any) -> Any:
        return lambda x, z: function(x, z, out=x)

    def by_method(function: Any) -> Any:
        return lambda x, *arguments, **options: function(x, *arguments, **options)

    for short, name in {
        "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "pow": "power",
        "floordiv": "floor_divide", "mod": "remainder", "matmul": "matmul", "and": "bitwise_and",
        "or": "bitwise_or",
    }.items():  # fmt: skip
        function = getattr(XP, name)
        setattr(StrictArray, f"__{short}__", binary(function))
        setattr(StrictArray, f"__r{short}__", binary(function, reflected=True))
        if short != "matmul":  # core.pyx has no __imatmul__: `a @= b` makes another array
            setattr(StrictArray, f"__i{short}__", in_place(function))
    for short, name in {
        "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "eq": "equal",
        "ne": "not_equal",
    }.items():  # fmt: skip
        setattr(StrictArray, f"__{short}__", binary(getattr(XP, name)))
    for short, name in {"neg": "negative", "abs": "absolute", "invert": "invert"}.items():
        setattr(StrictArray, f"__{short}__", by_method(getattr(XP, name)))
    for name in (
        *("sum", "mean", "prod", "max", "min", "all", "any", "argmax", "argmin", "std", "var"),
        *("cumsum", "clip", "dot", "squeeze"),
    ):
        setattr(StrictArray, name, by_method(getattr(XP, name)))
    StrictArray.take = by_method(XP.take)


_install()


class StrictGenerator:
    """What `PhiloxGenerator` has, which has no state on the device, and one kernel for a draw.

    Its numbers differ from those of NumPy's generator, as they do on a GPU.
    """

    def __init__(self, seed: Any) -> None:
        self._generator = np.random.Generator(np.random.Philox(seed_sequence(seed)))

    def standard_normal(self, size: Any = None, dtype: Any = np.float64) -> StrictArray:
        _launch("standard_normal")
        return _new(self._generator.standard_normal(size, dtype))

    def random(self, size: Any = None, dtype: Any = np.float64) -> StrictArray:
        _launch("random")
        return _new(self._generator.random(size, dtype))

    def integers(
        self, low: int, high: int | None = None, size: Any = None, dtype: Any = np.int64
    ) -> StrictArray:
        _launch("integers")
        return _new(self._generator.integers(low, high, size, dtype))


class StrictBackend:
    """`tinygen.backend.base.Backend` over strict arrays."""

    name = "strict"
    xp = XP

    def asarray(self, x: Any, dtype: Any = None) -> Any:
        return XP.asarray(x, dtype)

    def to_numpy(self, x: Any) -> Any:
        return XP.asnumpy(x)

    def address(self, x: Any) -> int:
        if type(x) is not StrictArray:
            raise TypeError(f"Unsupported type {type(x)}")
        return x._a.__array_interface__["data"][0]

    def generator(self, seed: Any) -> Any:
        return StrictGenerator(seed)

    def erf(self, x: Any) -> Any:
        return _called("erf", partial(NUMPY.erf, _raw(x)), x)

    def lgamma(self, x: Any) -> Any:
        return _called("lgamma", partial(NUMPY.lgamma, _raw(x)), x)

    def sum_of_squares(self, x: Any) -> Any:
        return _called("sum_of_squares", partial(NUMPY.sum_of_squares, _raw(x)), x)

    def fuse(self, function: Any) -> Any:
        """The function itself, as one launch; what CuPy cannot fuse is refused."""

        def call(*arguments: Any) -> Any:
            if type(arguments[0]) is Traced:  # by another fused function
                return function(*arguments)
            for found in _fusing:
                found[function].add(tuple(map(_kind, arguments)))
            compute = partial(trace, function, [_raw(x) for x in arguments])
            y = compute()
            _launch(f"fused {function.__name__}")
            made = [_wrapped(each) for each in (y if isinstance(y, tuple) else (y,))]
            _remember(compute, made, *arguments)
            return tuple(made) if isinstance(y, tuple) else made[0]

        return call

    def record(self, function: Callable[[], T]) -> tuple[T, Callable[[], None]]:
        """As CuPy's: called once before it is recorded, and its products pass."""
        self.synchronize()
        function()
        self.synchronize()
        recording = Recording()
        with _noting(_recordings, recording):
            y = function()

        def launch() -> None:
            _launch("graph")
            recording.launch()

        return y, launch

    def synchronize(self) -> None:
        _sync("synchronize")

    def describe(self) -> str:
        return f"strict, over numpy {np.__version__}"

    def adam(
        self,
        x: Any,
        g: Any,
        m: Any,
        v: Any,
        *,
        rate: float,
        beta1: float,
        beta2: float,
        epsilon: float,
        decay: float,
    ) -> None:
        for a in (x, g, m, v):
            if type(a) is not StrictArray:
                raise TypeError(f"Unsupported type {type(a)}")
        for number in (rate, beta1, beta2, epsilon, decay):
            float(number)  # a device scalar would have to be waited for
        _launch("adam")
        arrays = x._a, g._a, m._a, v._a
        _write(partial(adam_numpy, *arrays, rate, beta1, beta2, epsilon, decay), x, g, m, v)


def _see(a: np.ndarray) -> None:
    for found in _seeing:
        found[a.dtype] = None


class FusingBackend(StrictBackend):
    """Where what stands for an array in a fused function belongs to."""

    xp = namespace_of({name: getattr(XP, name).compute for name in UFUNCS})


STRICT = StrictBackend()
register(StrictArray, STRICT)
register(Traced, FusingBackend())
Traced.seen = staticmethod(_see)
