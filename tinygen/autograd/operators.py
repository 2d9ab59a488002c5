"""What Python's syntax and NumPy's functions do with a Tensor: they call ops by their names.

So a formula serves arrays and Tensors alike. Nothing here knows about gradients, except to say
where one would be lost.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from tinygen.autograd.recording import ENGINE
from tinygen.autograd.registry import COMPOSED, NUMPYS_NAMES, OPS, as_keywords
from tinygen.backend import Array, namespace, to_host
from tinygen.backend.writes import WRITES

if TYPE_CHECKING:
    from tinygen.autograd.engine import Tensor

Axis = int | tuple[int, ...] | None


class Operators:
    """The base of Tensor, its only subclass."""

    array: Any
    _requires_grad: bool
    _op: Any

    # Reading and writing.

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

    def numpy(self) -> Any:
        """The values as a NumPy array on the host. On a GPU this waits for the device."""
        return to_host(self.array)

    def item(self) -> float:
        """The single value as a Python number. On a GPU this waits for the device."""
        return self.array.item()

    def __setitem__(self, index: Any, value: Any) -> None:
        """Write into a leaf, in place; a graph that still needs the old values will refuse."""
        if self._op is not None:
            raise ValueError(
                f"the result of {self._op} cannot be written in place: its gradient would be "
                "wrong; build a new tensor with where() or concatenate()"
            )
        if isinstance(value, Operators):
            if value._requires_grad and ENGINE.recording:
                raise ValueError(
                    "a value that requires a gradient cannot be written into a tensor, where its "
                    "gradient would be lost; use where() or concatenate(), or write x.detach()"
                )
            value = value.array
        try:
            self.array[index] = value
        finally:  # what fails halfway has written something
            WRITES.note(self.array)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a Tensor with no axes has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        """Each row; many are cut from blocks: a gradient is as large as what its row is from."""
        n, size = len(self), 128
        blocks = [self] if n <= size else [self[i : i + size] for i in range(0, n, size)]
        return (block[i] for block in blocks for i in range(len(block)))

    def __format__(self, form: str) -> str:
        return format(self.item(), form) if form else str(self)

    def __int__(self) -> int:
        number = int(self.array)
        self._warn_of_a_lost_gradient()
        return number

    def __float__(self) -> float:
        number = float(self.array)
        self._warn_of_a_lost_gradient()
        return number

    def _warn_of_a_lost_gradient(self) -> None:
        """``a[i] = x`` on an array, or math.exp(x), asks for a number without anybody noticing."""
        if self._requires_grad and ENGINE.recording:
            warnings.warn(
                "a Tensor became a plain number, through which no gradient flows: use x.item() to "
                "read its value, stack() to collect results, and tinygen's functions for math's",
                stacklevel=3,
            )

    def __bool__(self) -> bool:
        return bool(self.array)

    # What NumPy asks when it is given a Tensor.

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError(
            "a Tensor does not turn into an array by itself; use x.array or x.numpy(), "
            "and stack() for a list of Tensors"
        )

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """``array * x`` and ``np.exp(x)`` call the ops of these names; tests give booleans."""
        if method == "__call__" and not options:
            if ufunc.__name__ in OPS:
                return OPS[ufunc.__name__](*inputs)
            if all(loop[-1] in "?O" for loop in ufunc.types):  # such as less: yes or no
                return getattr(namespace(self.array), ufunc.__name__)(*map(raw, inputs))
        how = f".{method}" * (method != "__call__")
        if options:
            how += f" with {', '.join(f'{name}=' for name in options)}"
        raise TypeError(_no_gradient(f"np.{ufunc.__name__}{how}"))

    def __array_function__(self, function: Any, _: Any, inputs: Any, options: Any) -> Any:
        """``np.sum(x, 0)`` calls the op of this name."""
        name = NUMPYS_NAMES.get(function.__name__, function.__name__)
        known = COMPOSED.get(name) or OPS.get(name)
        if function.__module__ in ("numpy", "numpy.linalg") and known:
            inputs, options = as_keywords(known, function, inputs, options)
            return known(*inputs, **options)
        raise TypeError(_no_gradient(f"{function.__module__}.{function.__name__}"))

    __hash__ = object.__hash__

    # Arithmetic, reductions and shapes are ops, which tinygen.ops defines; here they are called by
    # name, so that a formula serves arrays and Tensors.

    def __add__(self, other: Any) -> Tensor:
        return OPS["add"](self, other)

    def __radd__(self, other: Any) -> Tensor:
        return OPS["add"](other, self)

    def __sub__(self, other: Any) -> Tensor:
        return OPS["subtract"](self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return OPS["subtract"](other, self)

    def __mul__(self, other: Any) -> Tensor:
        return OPS["multiply"](self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return OPS["multiply"](other, self)

    def __truediv__(self, other: Any) -> Tensor:
        return OPS["divide"](self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return OPS["divide"](other, self)

    def __pow__(self, other: Any) -> Tensor:
        return OPS["power"](self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return OPS["power"](other, self)

    def __matmul__(self, other: Any) -> Tensor:
        return OPS["matmul"](self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return OPS["matmul"](other, self)

    def __neg__(self) -> Tensor:
        return OPS["negative"](self)

    def __abs__(self) -> Tensor:
        return OPS["absolute"](self)

    def __getitem__(self, index: Any) -> Tensor:
        return OPS["getitem"](self, index=index)

    # ``w -= rate * g`` writes into a leaf.

    def __iadd__(self, other: Any) -> Tensor:
        return self._in_place("add", operator.iadd, other)

    def __isub__(self, other: Any) -> Tensor:
        return self._in_place("subtract", operator.isub, other)

    def __imul__(self, other: Any) -> Tensor:
        return self._in_place("multiply", operator.imul, other)

    def __itruediv__(self, other: Any) -> Tensor:
        return self._in_place("divide", operator.itruediv, other)

    def __ipow__(self, other: Any) -> Tensor:
        return self._in_place("power", operator.ipow, other)

    def __imatmul__(self, other: Any) -> Tensor:
        return self._in_place("matmul", operator.imatmul, other)

    def _in_place(self, name: str, write: Callable[[Any, Any], Any], other: Any) -> Any:
        """Write into a leaf; where a gradient flows, return a new tensor for the name instead."""
        recorded = ENGINE.recording and (self._requires_grad or has_gradient(other))
        if recorded and self._requires_grad and self._op is None:
            raise ValueError(
                f"{name} in place would replace a leaf that requires a gradient by a result; "
                "update a leaf under no_grad(), or give the result a name of its own"
            )
        if recorded:
            return OPS[name](self, other)
        if self._op is not None:
            raise ValueError(
                f"{name} in place cannot write into the result of {self._op}, nor into what that "
                "is a view of; write into the leaf, or give the result a name of its own"
            )
        try:
            new = write(self.array, raw(other))
            if new is not self.array and self.shape:  # CuPy has no @= in place
                self.array[...] = new
            else:
                self.array = new
        finally:  # what fails halfway has written something
            WRITES.note(self.array)
        return self

    # A comparison has no gradient; it answers with an array of booleans.

    def __lt__(self, other: Any) -> Array:
        return self.array < raw(other)

    def __le__(self, other: Any) -> Array:
        return self.array <= raw(other)

    def __gt__(self, other: Any) -> Array:
        return self.array > raw(other)

    def __ge__(self, other: Any) -> Array:
        return self.array >= raw(other)

    def __eq__(self, other: Any) -> Array:
        return self.array == raw(other)

    def __ne__(self, other: Any) -> Array:
        return self.array != raw(other)

    def exp(self) -> Tensor:
        """``e ** x``, element by element."""
        return OPS["exp"](self)

    def log(self) -> Tensor:
        """The natural logarithm, element by element."""
        return OPS["log"](self)

    def sqrt(self) -> Tensor:
        """The square root, element by element."""
        return OPS["sqrt"](self)

    def sum(self, axis: Axis = None, keepdims: bool = False, **other: Any) -> Tensor:
        """The sum over `axis`; over all axes by default."""
        return OPS["sum"](self, axis=axis, keepdims=keepdims, **other)

    def mean(self, axis: Axis = None, keepdims: bool = False, **other: Any) -> Tensor:
        """The mean over `axis`; over all axes by default."""
        return OPS["mean"](self, axis=axis, keepdims=keepdims, **other)

    def max(self, axis: Axis = None, keepdims: bool = False, **other: Any) -> Tensor:
        """The largest element along `axis`; of all by default."""
        return OPS["max"](self, axis=axis, keepdims=keepdims, **other)

    def min(self, axis: Axis = None, keepdims: bool = False, **other: Any) -> Tensor:
        """The smallest element along `axis`; of all by default."""
        return OPS["min"](self, axis=axis, keepdims=keepdims, **other)

    @property
    def T(self) -> Tensor:
        """The axes reversed: a matrix transposed."""
        return OPS["transpose"](self)

    def transpose(self, *axes: Any) -> Tensor:
        """The axes in another order, by default reversed."""
        return OPS["transpose"](self, axes=_as_tuple(axes) or None)

    def swapaxes(self, axis1: int, axis2: int) -> Tensor:
        """Two axes exchanged."""
        return OPS["swapaxes"](self, axis1=axis1, axis2=axis2)

    def reshape(self, *shape: Any) -> Tensor:
        """The same elements in another shape; one length may be -1."""
        return OPS["reshape"](self, shape=_as_tuple(shape))

    def astype(self, dtype: Any) -> Tensor:
        """The values in another dtype."""
        return OPS["astype"](self, dtype=dtype)


def raw(x: Any) -> Any:
    """The array of a Tensor; anything else as it is."""
    return x.array if isinstance(x, Operators) else x


def has_gradient(x: Any) -> bool:
    return isinstance(x, Operators) and x._requires_grad


def _no_gradient(name: str) -> str:
    return f"{name} knows no gradients; use an op of tinygen, or x.array for the values alone"


def _as_tuple(numbers: tuple[Any, ...]) -> tuple[int, ...]:
    """Allow both ``reshape(2, 3)`` and ``reshape((2, 3))``."""
    if len(numbers) == 1 and isinstance(numbers[0], (tuple, list)):
        return tuple(numbers[0])
    return numbers
