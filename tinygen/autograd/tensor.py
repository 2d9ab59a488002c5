"""A Tensor: an array that remembers which op made it from which parents."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from threading import local
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygen.backend import Array, backend_of

if TYPE_CHECKING:
    from tinygen.autograd.op import Op

next_serial = count(1).__next__
"""Numbers tensors, and writes into them, in the order in which they happen."""

_NEVER = [0]
"""When a tensor was last written in place; this one list serves all that never were."""


class _Engine(local):
    """What the engine is doing now; each thread has its own."""

    recording = True
    watch: Callable[..., None] | None = None


ENGINE = _Engine()


class Tensor:
    """An array, and how it came to be.

    A tensor made by hand is a *leaf*. A tensor made by an op from tensors that require a gradient
    is *interior*: it holds the op, the op's arguments (its parents) and its options.

    Args:
        x: an array of any backend, kept as it is, not copied. Python numbers and
            lists become float32.
        requires_grad: whether `backward` shall bring a gradient here.

    Attributes:
        array: the values.
        grad: the gradient that `backward` left here, an array of the same shape and dtype, or None.

    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> loss = (x * x).sum()
    >>> loss.backward()
    >>> x.grad
    array([2., 4.], dtype=float32)
    """

    __slots__ = (
        "__weakref__",
        "_hooks",
        "_op",
        "_options",
        "_parents",
        "_retains",
        "_serial",
        "_source",
        "_written",
        "array",
        "grad",
        "requires_grad",
    )
    __array_ufunc__ = None  # NumPy then leaves `array * tensor` to Tensor.__rmul__
    __array_priority__ = 1000.0  # and so does CuPy

    def __init__(self, x: Any, requires_grad: bool = False) -> None:
        if type(x) is Tensor:
            raise TypeError("Tensor: got a Tensor; use x.detach() for a leaf with the same values")
        if type(x) in (bool, int, float, list, tuple):  # np.float64 is a float, too, and stays one
            x = np.asarray(x, dtype=np.float32)
        elif isinstance(x, np.generic):
            x = np.asarray(x)
        backend_of(x)  # refuses what is no array
        if requires_grad and x.dtype.kind != "f":
            raise TypeError(f"Tensor: only floats have gradients, got {x.dtype}")
        self.array = x
        self.requires_grad = requires_grad
        self.grad: Any = None
        self._op: Op | None = None
        self._parents: tuple[Any, ...] | None = ()
        self._options: dict[str, Any] = {}
        self._serial = next_serial()
        self._written = _NEVER
        self._hooks: list[Callable[[Any], Any]] | None = None
        self._retains = False
        self._source: tuple[Any, int] | None = None

    @classmethod
    def _made(
        cls, y: Array, op: Op, parents: tuple[Any, ...], options: dict[str, Any], records: bool
    ) -> Tensor:
        """The result of an op; `__init__` without its checks, because it runs at every op."""
        t = cls.__new__(cls)
        t.array = y
        t.requires_grad = records
        t.grad = None
        t._op = op if records else None
        t._parents = parents if records else ()
        t._options = options
        t._serial = next_serial()
        t._written = _NEVER
        t._hooks = None
        t._retains = False
        t._source = None
        return t

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def ndim(self) -> int:
        return self.array.ndim

    @property
    def size(self) -> int:
        return self.array.size

    @property
    def dtype(self) -> Any:
        return self.array.dtype

    @property
    def is_leaf(self) -> bool:
        return self._op is None

    def numpy(self) -> Any:
        """The values as a NumPy array on the host. On a GPU this waits for the device."""
        return backend_of(self.array).to_numpy(self.array)

    def item(self) -> float:
        """The single value as a Python number. On a GPU this waits for the device."""
        return self.array.item()

    def detach(self) -> Tensor:
        """A leaf with the same values, in the same memory, through which no gradient flows."""
        t = Tensor(self.array)
        t._written = self._shared_count()
        return t

    def _shared_count(self) -> list[int]:
        """When this memory was last written; who shares the memory shares the list."""
        if self._written is _NEVER:
            self._written = [0]
        return self._written

    def backward(
        self,
        g: Array | None = None,
        *,
        create_graph: bool = False,
        retain_graph: bool = False,
        accumulate: bool = False,
    ) -> None:
        """Fill ``.grad`` of every leaf that this tensor depends on; see `tinygen.grad`.

        Args:
            g: the gradient arriving here, of this tensor's shape; 1 for a single number.
            create_graph: record the gradients, so that they can be differentiated.
            retain_graph: keep the graph for a second call.
            accumulate: add to the ``.grad`` that is there. By default it is replaced, so that no
                ``zero_grad()`` can be forgotten.
        """
        from tinygen.autograd.backward import fill_gradients  # imports this module

        fill_gradients(self, g, create_graph, retain_graph, accumulate)

    def retain_grad(self) -> Tensor:
        """Ask `backward` to leave ``.grad`` at this interior tensor as well; returns it."""
        self._retains = True
        return self

    def register_hook(self, hook: Callable[[Any], Any]) -> Callable[[], None]:
        """Call ``hook(g)`` when the gradient of this tensor is complete.

        What the hook returns replaces the gradient, unless it returns None. The function returned
        here removes the hook.
        """
        if self._hooks is None:
            self._hooks = []
        hooks = self._hooks
        hooks.append(hook)
        return lambda: hooks.remove(hook)

    def __setitem__(self, index: Any, value: Any) -> None:
        """Write into a leaf, in place; a graph that still needs the old values will refuse."""
        if not self.is_leaf:
            raise ValueError(
                f"the result of {self._op} cannot be written in place: its gradient would be "
                "wrong; build a new tensor with where() or concatenate()"
            )
        if type(value) is Tensor:
            if value.requires_grad and ENGINE.recording:
                raise ValueError(
                    "a value that requires a gradient cannot be written into a tensor, where its "
                    "gradient would be lost; use where() or concatenate(), or write x.detach()"
                )
            value = value.array
        self.array[index] = value
        self._shared_count()[0] = next_serial()

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a Tensor with no axes has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __format__(self, form: str) -> str:
        return format(self.item(), form) if form else str(self)

    def __int__(self) -> int:
        return int(self.array)

    def __float__(self) -> float:
        return float(self.array)

    def __bool__(self) -> bool:
        return bool(self.array)

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("a Tensor does not turn into an array by itself; use x.array or x.numpy()")

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        made = f", op={self._op}" if self._op is not None else ""
        needs = ", requires_grad=True" if self.requires_grad and self.is_leaf else ""
        return f"Tensor({self.array}{made}{needs})"

    # Arithmetic, indexing, `sum`, `reshape` and the like are ops; tinygen.ops.operators adds them.
    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...
        def __add__(self, other: Any) -> Tensor: ...
        def __radd__(self, other: Any) -> Tensor: ...
        def __sub__(self, other: Any) -> Tensor: ...
        def __rsub__(self, other: Any) -> Tensor: ...
        def __mul__(self, other: Any) -> Tensor: ...
        def __rmul__(self, other: Any) -> Tensor: ...
        def __truediv__(self, other: Any) -> Tensor: ...
        def __rtruediv__(self, other: Any) -> Tensor: ...
        def __pow__(self, other: Any) -> Tensor: ...
        def __rpow__(self, other: Any) -> Tensor: ...
        def __matmul__(self, other: Any) -> Tensor: ...
        def __rmatmul__(self, other: Any) -> Tensor: ...
        def __neg__(self) -> Tensor: ...
        def __abs__(self) -> Tensor: ...
        def __getitem__(self, index: Any) -> Tensor: ...
        def __lt__(self, other: Any) -> Array: ...
        def __le__(self, other: Any) -> Array: ...
        def __gt__(self, other: Any) -> Array: ...
        def __ge__(self, other: Any) -> Array: ...


def raw(x: Any) -> Any:
    """The array of a Tensor; anything else as it is."""
    return x.array if type(x) is Tensor else x


@contextmanager
def no_grad() -> Iterator[None]:
    """Record nothing inside, in this thread: results are leaves without a gradient."""
    before = ENGINE.recording
    ENGINE.recording = False
    try:
        yield
    finally:
        ENGINE.recording = before


def leaves(parameters: Any) -> dict[str, Tensor]:
    """A leaf that requires a gradient for each of the `parameters`; make them anew every step.

    Args:
        parameters: a `tinygen.Parameters`, or a mapping of names to arrays.

    An update of the parameters makes a graph on older leaves stale, and `backward` says so.
    """
    found = {}
    for name, view in parameters.items():
        found[name] = leaf = Tensor(view, requires_grad=True)
        if hasattr(parameters, "version"):
            leaf._source = (parameters, parameters.version)
    return found
