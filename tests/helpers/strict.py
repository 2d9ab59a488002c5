"""The strict backend: NumPy arrays that behave like CuPy's, and tell when the host would wait.

Hardly any machine that runs these tests has a GPU, so what CuPy refuses is refused here: turning
into a NumPy array by itself, mixing with NumPy arrays, functions and keywords that CuPy lacks. What
CuPy does silently is done here just as silently: indices out of range wrap around, and of several
values stored at one index the "wrong" one stays. What would wait for a GPU, `count_syncs` notes.

Checked against the sources of CuPy 14.2: cupy/_core/core.pyx has the methods, operators and
conversions of arrays, _routines_indexing.pyx what indices do and which dtypes `add.at` takes,
_kernel.pyx the keywords of ufuncs, _reduction.pyx axes, and cupy/random/_generator_api.pyx what is
drawn; `test_what_the_strict_namespace_has_cupy_has` compares names and keywords with CuPy itself.
Where CuPy is more lenient (a NumPy array as an index, say), this is stricter on purpose.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from fusing import Traced, namespace_of, trace

from tinygen.backend import register
from tinygen.backend.base import seed_sequence
from tinygen.backend.numpy_backend import NUMPY, adam_numpy

_watching: list[list[str]] = []
_seeing: list[dict[np.dtype, None]] = []


@contextmanager
def count_syncs() -> Iterator[list[str]]:
    """Note what would make the host wait for a GPU: a list with one name for each wait."""
    found: list[str] = []
    _watching.append(found)
    try:
        yield found
    finally:
        _watching.remove(found)


@contextmanager
def see_dtypes() -> Iterator[dict[np.dtype, None]]:
    """Note the dtype of every array that is made, intermediate results included."""
    found: dict[np.dtype, None] = {}
    _seeing.append(found)
    try:
        yield found
    finally:
        _seeing.remove(found)


def _sync(name: str) -> None:
    for found in _watching:
        found.append(name)


class StrictArray:
    """An array "on the device"; `_a` is the NumPy array that only this file may touch."""

    __slots__ = ("__weakref__", "_a")
    __array_ufunc__ = None  # `numpy_array + strict` comes to __radd__ here, which refuses
    __hash__ = None  # as for any array

    def __init__(self, a: np.ndarray) -> None:
        assert type(a) is np.ndarray, type(a)
        self._a = a
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
    T = property(lambda self: StrictArray(self._a.T))
    # What keeps the memory alive; with CuPy that is an array of its own kind.
    base = property(lambda self: self._a if self._a.base is None else self._a.base)

    def __len__(self) -> int:
        return len(self._a)

    # What waits for the device.
    def get(self) -> np.ndarray:
        _sync("get")
        return self._a.copy()

    def item(self, *at: int) -> Any:
        _sync("item")
        return self._a.item(*at)

    def tolist(self) -> Any:
        _sync("tolist")
        return self._a.tolist()

    def __float__(self) -> float:
        _sync("float")
        return float(self._a)

    def __int__(self) -> int:
        _sync("int")
        return int(self._a)

    def __bool__(self) -> bool:
        _sync("bool")
        return bool(self._a)

    def __contains__(self, x: Any) -> bool:
        _sync("in")
        return x in self._a

    def __iter__(self) -> Iterator[StrictArray]:
        _sync("iteration")
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        _sync("repr")
        return f"strict {self._a!r}"

    def __format__(self, spec: str) -> str:
        _sync("format")
        return format(self._a, spec)

    # What CuPy refuses.
    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to "
            "construct a NumPy array explicitly."
        )

    # What gives a new array, or a view.
    def __getitem__(self, index: Any) -> StrictArray:
        index = _index(index, self._a)
        has_dots = any(part is Ellipsis for part in index)
        # With the dots, NumPy too gives a 0-d view where it would give a scalar.
        return StrictArray(self._a[index if has_dots else (*index, ...)])

    def __setitem__(self, index: Any, value: Any) -> None:
        index, value = _index(index, self._a), _raw(value)
        if not any(isinstance(part, np.ndarray) and part.dtype.kind in "iu" for part in index):
            self._a[index] = value
            return
        # Of several values for one place, NumPy keeps the last. A GPU keeps any: here the first.
        places = np.arange(self._a.size).reshape(self._a.shape)[index]
        values = np.broadcast_to(value, places.shape)
        self._a.flat[places.ravel()[::-1]] = values.ravel()[::-1]

    def reshape(self, *shape: Any) -> StrictArray:
        return StrictArray(self._a.reshape(*shape))

    def transpose(self, *axes: Any) -> StrictArray:
        return StrictArray(self._a.transpose(*axes))

    def swapaxes(self, axis1: int, axis2: int) -> StrictArray:
        return StrictArray(self._a.swapaxes(axis1, axis2))

    def astype(self, dtype: Any, copy: bool = True) -> StrictArray:
        dtype = _dtype(dtype)
        return self if not copy and dtype == self.dtype else StrictArray(self._a.astype(dtype))

    def copy(self) -> StrictArray:
        return StrictArray(self._a.copy())

    def fill(self, value: Any) -> None:
        if type(value) is StrictArray:
            _sync("fill")  # core.pyx asks whether it is 0
        self._a.fill(_raw(value))


def _raw(x: Any) -> Any:
    """The NumPy array inside; refuses whatever CuPy would not compute with."""
    if type(x) is StrictArray:
        return x._a
    if x is None or isinstance(x, (bool, int, float, str, slice, type, np.dtype, np.generic)):
        return x  # a NumPy scalar is no "weak" number: by NEP 50 it takes part in promotion
    if isinstance(x, (tuple, list)):
        return type(x)(_raw(part) for part in x)
    raise TypeError(f"Unsupported type {type(x)}")


def _wrapped(y: Any) -> Any:
    """Every result is an array on the device, also the single number that a reduction gives."""
    if isinstance(y, tuple):
        return tuple(_wrapped(part) for part in y)
    if type(y) is bool:  # may_share_memory looks at addresses, which the host knows
        return y
    return StrictArray(np.asarray(y))


def _dtype(dtype: Any) -> np.dtype:
    dtype = np.dtype(dtype)
    if dtype.kind not in "biufc" or dtype.itemsize > 16:
        raise ValueError(f"Unsupported dtype {dtype}")
    return dtype


def _index(index: Any, a: np.ndarray) -> tuple[Any, ...]:
    """The index for NumPy; integer arrays wrap around instead of being refused."""
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
        y = self.function(*_raw(arguments), **{k: _raw(v) for k, v in options.items()})
        out = options.get("out")
        return _wrapped(y) if out is None else out


class _AlongAxes(_Function):
    """Whoever names an axis must have it: a 0-d array has none, and NumPy takes its 0 and -1.

    From _get_axis in cupy/_core/_reduction.pyx, scan_core in _routines_math.pyx, and
    _ndarray_argsort in _routines_sorting.pyx.
    """

    def __call__(self, x: Any, *arguments: Any, **options: Any) -> Any:
        axis = arguments[0] if arguments else options.get("axis")
        if axis is not None and getattr(x, "shape", None) == ():
            for each in axis if isinstance(axis, tuple) else (axis,):
                raise np.exceptions.AxisError(each, 0)
        return super().__call__(x, *arguments, **options)


ALONG_AXES = """
    all amax amin any argmax argmin argsort count_nonzero cumprod cumsum flip max mean min prod sort
    std sum var
""".split()  # noqa: SIM905


class _Add(_Function):
    """Addition, with the one `at` that tinygen uses."""

    # From _scatter_op_single in cupy/_core/_routines_indexing.pyx: what CUDA adds atomically.
    ATOMIC = ("int32", "int64", "float16", "float32", "float64", "uint32", "uint64")

    def at(self, a: StrictArray, index: Any, b: Any) -> None:
        if a.dtype.name not in self.ATOMIC:
            raise TypeError(f"cupy.add.at only supports {', '.join(self.ATOMIC)} as data type")
        np.add.at(_raw(a), _index(index, _raw(a)), _raw(b))


class StrictNamespace:
    """Stands for the module ``cupy``; a function that is not listed here is an error."""

    ndarray = StrictArray
    float16, float32, float64 = np.float16, np.float32, np.float64
    int8, int16, int32, int64 = np.int8, np.int16, np.int32, np.int64
    uint8, uint16, uint32, uint64, bool_ = np.uint8, np.uint16, np.uint32, np.uint64, np.bool_
    pi, e, inf, nan, newaxis = np.pi, np.e, np.inf, np.nan, None

    def __init__(self) -> None:
        for name, keywords in {**KEYWORDS, **SYNCING}.items():
            kind = _Add if name == "add" else _AlongAxes if name in ALONG_AXES else _Function
            setattr(self, name, kind(name, keywords))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"{name} is not among the functions of CuPy in tests/helpers/strict.py; "
            "if CuPy has it, add it"
        )

    def asarray(self, x: Any, dtype: Any = None) -> StrictArray:
        return self.array(x, dtype, copy=False)

    def array(self, x: Any, dtype: Any = None, copy: bool = True) -> StrictArray:
        """Unlike in a computation, a NumPy array is taken here: it is sent to the device."""
        if type(x) is StrictArray:
            same = dtype is None or np.dtype(dtype) == x.dtype
            return x if same and not copy else x.astype(dtype or x.dtype)
        a = np.array(x, dtype)
        _dtype(a.dtype)
        return StrictArray(a)

    def ascontiguousarray(self, x: StrictArray, dtype: Any = None) -> StrictArray:
        return _wrapped(np.ascontiguousarray(_raw(x), dtype))

    def asnumpy(self, x: Any) -> np.ndarray:
        return x.get() if type(x) is StrictArray else np.asarray(x)

    def where(self, condition: Any, x: Any, z: Any) -> StrictArray:
        return _wrapped(np.where(_raw(condition.astype(bool)), _raw(x), _raw(z)))

    def split(self, x: StrictArray, indices: Any, axis: int = 0) -> list[StrictArray]:
        # cupy/_core/_routines_manipulation.pyx, array_split: indices on the host, views, no wait
        return [_wrapped(part) for part in np.split(_raw(x), indices, axis)]

    def take(self, x: StrictArray, indices: Any, axis: int | None = None) -> StrictArray:
        return _wrapped(np.take(_raw(x), _raw(indices), axis=axis, mode="wrap"))

    def broadcast_to(self, x: StrictArray, shape: Any) -> StrictArray:
        """A view that may be written into, unlike NumPy's: a write changes all of its copies.

        From broadcast_to in cupy/_core/_routines_manipulation.pyx.
        """
        view = np.broadcast_to(_raw(x), shape)
        return StrictArray(np.lib.stride_tricks.as_strided(_raw(x), view.shape, view.strides))

    def copyto(
        self, to: StrictArray, x: Any, casting: Any = "same_kind", where: Any = True
    ) -> None:
        np.copyto(_raw(to), _raw(x), casting=casting, where=_raw(where))


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
    StrictArray.ravel = lambda x: x.reshape(-1)
    StrictArray.flatten = lambda x: x.reshape(-1).copy()
    StrictArray.take = by_method(XP.take)


_install()


class StrictGenerator:
    """What CuPy's Generator has; its numbers differ from NumPy's, as CuPy's do."""

    def __init__(self, seed: Any) -> None:
        self._generator = np.random.Generator(np.random.Philox(seed_sequence(seed)))

    def standard_normal(self, size: Any = None, dtype: Any = np.float64) -> StrictArray:
        return _wrapped(self._generator.standard_normal(size, dtype))

    def random(self, size: Any = None, dtype: Any = np.float64) -> StrictArray:
        return _wrapped(self._generator.random(size, dtype))

    def integers(
        self, low: int, high: int | None = None, size: Any = None, dtype: Any = np.int64
    ) -> StrictArray:
        return _wrapped(self._generator.integers(low, high, size, dtype))


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
        return _wrapped(NUMPY.erf(_raw(x)))

    def lgamma(self, x: Any) -> Any:
        return _wrapped(NUMPY.lgamma(_raw(x)))

    def sum_of_squares(self, x: Any) -> Any:
        return _wrapped(NUMPY.sum_of_squares(_raw(x)))

    def fuse(self, function: Any) -> Any:
        """The function itself, as one launch; what CuPy cannot fuse is refused."""

        def call(*arguments: Any) -> Any:
            if type(arguments[0]) is Traced:  # by another fused function
                return function(*arguments)
            return _wrapped(trace(function, [_raw(x) for x in arguments]))

        return call

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
        adam_numpy(x._a, g._a, m._a, v._a, rate, beta1, beta2, epsilon, decay)


def _see(a: np.ndarray) -> None:
    for found in _seeing:
        found[a.dtype] = None


class FusingBackend(StrictBackend):
    """Where what stands for an array in a fused function belongs to."""

    xp = namespace_of(UFUNCS)


STRICT = StrictBackend()
register(StrictArray, STRICT)
register(Traced, FusingBackend())
Traced.seen = staticmethod(_see)
