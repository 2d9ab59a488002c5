"""Reverse-mode automatic differentiation: computations with tensors are recorded and walked back.

A `Tensor` is an array that knows which `Op` computed it, from which other tensors. An `Op` knows
its own partial derivatives and nothing else. `grad` goes back over the record and applies the chain
rule once to each tensor. docs/autograd.md works an example through this file.

The second half of Tensor only calls ops by their names, and may be skipped.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from operator import attrgetter
from threading import local
from typing import Any, overload

import numpy as np

from tinygen.backend import Array, backend_of, namespace
from tinygen.backend.writes import WRITES, next_number
from tinygen.parameters import Parameters


class _Engine(local):
    """What the engine is doing now; each thread has its own."""

    recording = True
    watch: Callable[..., None] | None = None
    """Called with the name, the arguments and the result of everything that is computed."""


ENGINE = _Engine()


@contextmanager
def no_grad() -> Iterator[None]:
    """Record nothing inside, in this thread: results are leaves without a gradient."""
    before = ENGINE.recording
    ENGINE.recording = False
    try:
        yield
    finally:
        ENGINE.recording = before


# Tensors.


class Tensor:
    """An array, and how it was computed.

    A tensor that the user creates is a *leaf*. One that an op computes from tensors that require a
    gradient is *interior*: it holds the op, the op's arguments (its parents) and its options.

    Args:
        x: an array of any backend, used as it is, not copied. Python numbers and
            lists become float32.
        requires_grad: whether `backward` computes a gradient for this tensor.

    Attributes:
        array: the values.
        grad: the gradient that `backward` left here, an array of the same shape and dtype, or None.

    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> loss = (x * x).sum()
    >>> loss.backward()
    >>> x.grad
    array([2., 4.], dtype=float32)
    """

    # What a leaf has, and an interior tensor overrides.
    grad: Any = None
    _op: Op | None = None
    _parents: tuple[Any, ...] | None = ()
    _arrays: Sequence[Any] = ()
    _options: dict[str, Any] = {}  # noqa: RUF012  nobody writes into it
    _hooks: list[Callable[[Any], Any]] | None = None
    _retains = False

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
        self._number = next_number()

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
        return Tensor(self.array)

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
        nodes = _topological_order(self)
        wanted = [t for t in nodes if t._op is None or t._retains]
        gradients = _walk_back(self, g, nodes, wanted, create_graph, retain_graph)
        for t in wanted:
            new = _copy_out(gradients, t, create_graph)
            t.grad = t.grad + new if accumulate and t.grad is not None else new

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
        try:
            self.array[index] = value
        finally:  # what fails halfway has written something
            WRITES.note(self.array)

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

    def __init_subclass__(cls) -> None:
        raise TypeError("a Tensor has no subclasses: ops recognise it by its exact type")

    def __reduce__(self) -> tuple[Any, ...]:
        """A leaf is copied, and pickled, as a new leaf; a graph is neither."""
        if not self.is_leaf:
            raise TypeError(
                f"the result of {self._op} cannot be copied or pickled without its graph; "
                "use x.detach()"
            )
        return Tensor, (self.array, self.requires_grad)

    def __repr__(self) -> str:
        op = f", op={self._op}" if self._op is not None else ""
        needs = ", requires_grad=True" if self.requires_grad and self.is_leaf else ""
        return f"Tensor({self.array}{op}{needs})"

    # Arithmetic, reductions and shapes are ops, which tinygen.ops defines; here they are called by
    # their names, so that a formula serves arrays and Tensors.

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

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The sum over `axis`; over all axes by default."""
        return OPS["sum"](self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The mean over `axis`; over all axes by default."""
        return OPS["mean"](self, axis=axis, keepdims=keepdims)

    def max(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The largest element along `axis`; of all by default."""
        return OPS["max"](self, axis=axis, keepdims=keepdims)

    def min(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The smallest element along `axis`; of all by default."""
        return OPS["min"](self, axis=axis, keepdims=keepdims)

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
        """The values as another dtype."""
        return OPS["astype"](self, dtype=dtype)


Axis = int | tuple[int, ...] | None


def _as_tuple(numbers: tuple[Any, ...]) -> tuple[int, ...]:
    """Allow both ``reshape(2, 3)`` and ``reshape((2, 3))``."""
    if len(numbers) == 1 and isinstance(numbers[0], (tuple, list)):
        return tuple(numbers[0])
    return numbers


def raw(x: Any) -> Any:
    """The array of a Tensor; anything else as it is."""
    return x.array if type(x) is Tensor else x


def leaves(parameters: Any) -> dict[str, Tensor]:
    """A leaf that requires a gradient for each of the `parameters`, in the same memory.

    Args:
        parameters: a `tinygen.Parameters`, or a mapping of names to arrays.
    """
    return {name: Tensor(array, requires_grad=True) for name, array in parameters.items()}


# Ops.

Partial = Callable[..., Any]

OPS: dict[str, Op] = {}
"""Every op by its name."""


class _WithPosition:
    """The partials of an op of ``*xs``: the last one stands for all xs, and is told which it is."""

    def __init__(self, partials: tuple[Partial | None, ...]) -> None:
        self.first, self.of_any = partials[:-1], partials[-1]

    def __getitem__(self, i: int) -> Partial | None:
        if i < len(self.first):
            return self.first[i]
        return self.of_any and partial(self.of_any, i - len(self.first))


class Op:
    """A differentiable function of arrays.

    Called with arrays it computes at array speed and records nothing. Called with a Tensor it also
    records itself, so that the backward pass can ask for its partials. The decorator `op` makes it.
    """

    def __init__(self, forward: Callable[..., Any], partials: dict[str, Partial | None]) -> None:
        self.forward = forward
        self.name = forward.__name__
        self.__name__ = self.name
        self.__doc__ = forward.__doc__
        self.__module__ = forward.__module__
        self.__wrapped__ = forward  # help() and doctest look here for signature and examples
        signature = inspect.signature(forward).parameters.values()
        self.arguments = [p.name for p in signature if p.kind != p.KEYWORD_ONLY]
        self.variadic = any(p.kind == p.VAR_POSITIONAL for p in signature)
        self.defaults = {p.name: p.default for p in signature if p.kind == p.KEYWORD_ONLY}
        expected = ["d" + name for name in self.arguments]
        if list(partials) != expected:
            raise TypeError(
                f"op {self.name}: expected the partials {', '.join(expected)}, "
                f"got {', '.join(partials) or 'none'}"
            )
        each = tuple(partials.values())
        self.partials: tuple[Partial | None, ...] | _WithPosition = (
            _WithPosition(each) if self.variadic else each
        )

    def argument(self, i: int) -> str:
        """The name of argument i, for messages."""
        return self.arguments[min(i, len(self.arguments) - 1)]

    @overload
    def __call__(self, x: Tensor, *arguments: Any, **options: Any) -> Tensor: ...
    @overload
    def __call__(self, *arguments: Any, **options: Any) -> Any: ...
    def __call__(self, *arguments: Any, **options: Any) -> Any:
        try:
            for x in arguments:
                if type(x) is Tensor:
                    return self._record(arguments, options)
            return self.forward(*arguments, **options)
        except (ValueError, TypeError, IndexError) as error:
            if str(error).startswith(self.name + ":"):
                raise
            raise self._explain(error, [raw(x) for x in arguments]) from error

    def _record(self, arguments: tuple[Any, ...], options: dict[str, Any]) -> Tensor:
        """The result as a Tensor, which knows where it is from if a gradient may be asked for."""
        arrays, differentiable = [], False
        for x in arguments:
            if type(x) is Tensor:
                arrays.append(x.array)
                differentiable |= x.requires_grad and self.partials[len(arrays) - 1] is not None
            else:
                arrays.append(x)
        y = self.forward(*arrays, **options)
        if ENGINE.watch is not None:
            ENGINE.watch(self.name, arrays, y)
        t = Tensor.__new__(Tensor)  # without the checks of __init__: this runs at every op
        t.array = y
        t.requires_grad = False
        t._number = next_number()
        # A result that is no float, as of astype(int), is constant: only floats have gradients.
        if differentiable and ENGINE.recording and y.dtype.kind == "f":
            t.requires_grad = True
            t._op, t._parents, t._arrays = self, arguments, arrays
            t._options = {**self.defaults, **options} if self.defaults else options
        return t

    def _explain(self, error: Exception, arrays: Any) -> Exception:
        """The same kind of error, saying which op it was and what it got."""
        if len(arrays) > len(self.arguments) and not self.variadic:
            return TypeError(
                f"{self.name}: takes {len(self.arguments)} by position, got {len(arrays)}; "
                f"by keyword it takes {', '.join(self.defaults) or 'nothing'}"
            )
        got = ", ".join(f"{self.argument(i)} is {_kind(x)}" for i, x in enumerate(arrays))
        kind = next(k for k in (IndexError, ValueError, TypeError) if isinstance(error, k))
        return kind(f"{self.name}: {got}; {error}")

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<op {self.name}{inspect.signature(self.forward)}>"


def op(**partials: Partial | None) -> Callable[[Callable[..., Any]], Op]:
    """Turn a function of arrays into an op; its partials stand on it in the order of its arguments.

    The function takes arrays by position and everything else by keyword. A partial of an argument
    ``x`` is called ``dx`` and has the form ``dx(g, y, *arguments, **options)``:

    - ``g`` is the gradient of the loss with respect to the op's result ``y``, and has its shape;
    - it returns the gradient with respect to ``x``. If ``x`` was broadcast, so may this be: the
      engine sums it back to the shape of ``x``;
    - it is written with ops and operators only, so that with Tensors it is itself recorded;
    - None instead of a function says that no gradient flows to this argument.

    A function of ``*xs`` has one partial with the position in front: ``dxs(i, g, y, *xs)``.

    >>> @op(dx=lambda g, y, x: 3.0 * x * x * g)
    ... def cube(x):
    ...     return x * x * x
    >>> x = Tensor(2.0, requires_grad=True)
    >>> cube(x).backward()
    >>> float(x.grad)
    12.0
    >>> del OPS["cube"]
    """

    def decorate(forward: Callable[..., Any]) -> Op:
        new = Op(forward, partials)
        known = OPS.get(new.name, new)
        if known.__module__ != new.__module__:  # the same cell of a notebook may be run again
            raise TypeError(f"op {new.name}: {known.__module__} has one of this name already")
        OPS[new.name] = new
        return new

    return decorate


def _kind(x: Any) -> str:
    shape = getattr(x, "shape", None)
    return repr(x) if shape is None else f"{tuple(shape)} {x.dtype}"


# The backward pass.

Gradients = dict[int, Any]
"""Gradients by the ``id`` of their tensor."""


def grad(
    y: Tensor,
    wrt: Any,
    *,
    g: Array | Tensor | None = None,
    create_graph: bool = False,
    retain_graph: bool = False,
) -> Any:
    """The gradient of `y` with respect to one tensor, or to each of a list, tuple or dict of them.

    Args:
        y: the result to differentiate.
        wrt: a Tensor, leaf or interior, or a list, tuple or mapping of Tensors.
        g: the cotangent, of the shape of `y`; may be left out if `y` is a single number.
        create_graph: record the gradients as Tensors, so that they can be differentiated again.
        retain_graph: keep the graph behind `y`, so that it can be walked once more.

    Returns:
        A gradient, or a list, tuple or dict of them, as `wrt` is: arrays of their own, or Tensors
        with `create_graph`. A tensor that `y` does not depend on gets zeros.

    >>> x = Tensor(3.0, requires_grad=True)
    >>> dx = grad(x * x * x, x, create_graph=True)
    >>> dx.item(), grad(dx, x).item()
    (27.0, 18.0)
    """
    wanted = _as_list(wrt)
    gradients = _walk_back(y, g, _topological_order(y), wanted, create_graph, retain_graph)
    results = [_copy_out(gradients, x, create_graph) for x in wanted]
    if type(wrt) is Tensor:
        return results[0]
    if isinstance(wrt, Mapping):
        return dict(zip(wrt, results, strict=True))
    return tuple(results) if isinstance(wrt, tuple) else results


def value_and_grad(f: Callable[..., Tensor]) -> Callable[..., tuple[Array, Any]]:
    """Turn ``f(parameters, *data) -> loss`` into ``(parameters, *data) -> (loss, gradients)``.

    The parameters are a `Parameters`, a mapping of names to arrays, or a single array; the
    gradients have the same layout. With `Parameters`, ``out=`` takes those of an earlier step, to
    write into.
    Further keywords go to `f`.

    >>> import numpy as np
    >>> value_and_grad(lambda x: (x * x).sum())(np.float32([1, 2]))
    (np.float32(5.0), array([2., 4.], dtype=float32))
    """

    def with_gradients(
        parameters: Any, *data: Any, out: Parameters | None = None, **options: Any
    ) -> tuple[Array, Any]:
        is_mapping = isinstance(parameters, Mapping)
        named = leaves(parameters if is_mapping else {"x": parameters})
        loss = f(named if is_mapping else named["x"], *data, **options)
        if type(loss) is not Tensor:
            raise TypeError(
                f"value_and_grad: the function returned a {type(loss).__name__}, "
                "expected a Tensor that depends on the parameters"
            )
        if not isinstance(parameters, Parameters):
            if out is not None:
                raise TypeError("value_and_grad: out= needs parameters that are a Parameters")
            gradients = grad(loss, named)
            return loss.array, gradients if is_mapping else gradients["x"]
        by_id = _walk_back(loss, None, _topological_order(loss), list(named.values()))
        out = parameters.room_for_gradients(out)
        for name, leaf in named.items():
            out[name][...] = by_id.get(id(leaf), 0)
        return loss.array, out

    return with_gradients


def _walk_back(
    y: Tensor,
    g: Any,
    nodes: list[Tensor],
    wanted: Sequence[Tensor],
    create_graph: bool = False,
    retain_graph: bool = False,
) -> Gradients:
    """The gradients of the `wanted` tensors, in a walk from the last of the `nodes` to the first.

    When a node's turn comes, all its consumers have had theirs, so its gradient is complete. Nodes
    are taken off the list, so that each is freed once it has had its turn.
    """
    vjp = _vjp if ENGINE.watch is None else _watched_vjp
    needed = _needed(nodes, wanted)
    asked = {id(t) for t in wanted}
    gradients: Gradients = {id(y): _seed(y, g, create_graph)}
    owned: set[int] = set()  # gradients that are sums made here, into which more may be added
    complete: Gradients = {}
    while nodes:
        t = nodes.pop()
        key = id(t)
        if key not in gradients:
            continue
        dt = gradients.pop(key)
        if t._hooks:
            dt = _run_hooks(t, dt)
        if key in asked:
            complete[key] = dt
            owned.discard(key)
        if t._op is None:
            continue
        for x, dx in vjp(t, dt, needed, create_graph):
            if id(x) in gradients:
                _accumulate(gradients, owned, id(x), dx)
            else:
                gradients[id(x)] = dx
        if not (retain_graph or create_graph):
            t._parents, t._arrays = None, ()
    return complete


def _topological_order(y: Tensor) -> list[Tensor]:
    """`y` and all that it depends on and that requires a gradient, parents before children.

    A tensor is numbered after its parents, so the order of the numbers is such an order.
    """
    if type(y) is not Tensor or not y.requires_grad:
        raise ValueError(
            "this result depends on no tensor that requires a gradient; "
            "make a leaf with Tensor(x, requires_grad=True), outside of no_grad()"
        )
    seen = {id(y): y}
    waiting = [y]
    while waiting:
        t = waiting.pop()
        if t._parents is None:
            raise RuntimeError(
                f"the graph behind this result of {t._op} was freed by an earlier backward pass; "
                "pass retain_graph=True to that one"
            )
        for x in t._parents:
            if type(x) is Tensor and x.requires_grad and id(x) not in seen:
                seen[id(x)] = x
                waiting.append(x)
    return sorted(seen.values(), key=attrgetter("_number"))


def _needed(nodes: list[Tensor], wanted: Sequence[Tensor]) -> set[int]:
    """The nodes through which a wanted tensor is reached; nothing else need be differentiated."""
    needed = {id(t) for t in wanted}
    for t in nodes:
        if t._parents:
            for x in t._parents:
                if id(x) in needed:
                    needed.add(id(t))
                    break
    return needed


def _vjp(t: Tensor, g: Any, needed: set[int], create_graph: bool) -> list[tuple[Tensor, Any]]:
    """The parents that need a gradient, each with what `t` adds to it: ``g`` times a Jacobian."""
    op: Any = t._op
    parents: Any = t._parents
    if t._number < WRITES.latest:
        _refuse_stale(t)
    y, arguments = (t, parents) if create_graph else (t.array, t._arrays)
    products = []
    for i, x in enumerate(parents):
        if id(x) in needed and op.partials[i] is not None:
            dx = op.partials[i](g, y, *arguments, **t._options)
            if not hasattr(dx, "shape"):
                dx = _from_number(dx, x, g, op, i)
            if dx.shape != x.array.shape:
                dx = _unbroadcast(dx, x.array.shape, op)
            if dx.dtype != x.array.dtype:
                dx = dx.astype(x.array.dtype)
            products.append((x, dx))
    return products


def _watched_vjp(t: Tensor, g: Any, needed: set[int], create_graph: bool) -> Any:
    """The same while `ENGINE.watch` looks at every result."""
    products = _vjp(t, g, needed, create_graph)
    for _, dx in products:
        assert ENGINE.watch is not None
        ENGINE.watch(f"the gradient of {t._op}", (g, *t._arrays), dx)
    return products


def _accumulate(gradients: Gradients, owned: set[int], key: int, dx: Any) -> None:
    """Add `dx` to the gradient that has arrived at a tensor before.

    A partial may hand one array to both parents, or a view of another: it is not owned to write
    into. The sum of two is, unless it is a Tensor, whose graph needs it.
    """
    if key in owned:
        gradients[key] += dx
    else:
        gradients[key] = gradients[key] + dx
        if type(dx) is not Tensor:
            owned.add(key)


def _from_number(dx: Any, x: Tensor, g: Any, op: Op, i: int) -> Any:
    """A partial may be the number 0; of anything else that is no array, the op is told."""
    if isinstance(dx, (int, float)) and dx == 0:
        zeros = namespace(x.array).zeros(x.shape, x.dtype)
        return Tensor(zeros) if type(g) is Tensor else zeros
    raise TypeError(
        f"{op}: the partial d{op.argument(i)} returned {dx!r}; expected an array of shape {x.shape}"
    )


def _unbroadcast(g: Any, shape: tuple[int, ...], op: Any) -> Any:
    """Sum `g` over the axes along which `shape` was repeated."""
    new = g.ndim - len(shape)
    if new < 0 or any(n not in (1, m) for n, m in zip(shape, g.shape[new:], strict=True)):
        raise ValueError(
            f"{op}: a partial has shape {tuple(g.shape)}, its argument {shape}; expected that "
            "shape, or what broadcasting makes of it"
        )
    repeated = [new + i for i, n in enumerate(shape) if n == 1 and g.shape[new + i] != 1]
    return g.sum(axis=(*range(new), *repeated), keepdims=True).reshape(shape)


def _seed(y: Tensor, g: Any, create_graph: bool) -> Any:
    """The gradient that the walk begins with."""
    if g is None:
        if y.size != 1:
            raise ValueError(
                f"a gradient starts at a single number, this result of {y._op} has shape "
                f"{y.shape}; reduce it with sum() or mean(), or pass the cotangent g"
            )
        g = namespace(y.array).ones(y.shape, y.dtype)
    if not hasattr(g, "shape"):
        raise TypeError(f"the cotangent g must be an array or a Tensor, got {g!r}")
    if tuple(g.shape) != y.shape:
        raise ValueError(f"the cotangent g has shape {tuple(g.shape)}, the result has {y.shape}")
    if g.dtype != y.dtype:
        g = g.astype(y.dtype)
    if create_graph:
        return g if type(g) is Tensor else Tensor(g)
    return raw(g)


def _refuse_stale(t: Tensor) -> None:
    """A gradient computed from values that were overwritten since would be silently wrong."""
    op: Any = t._op
    values = [("result", t.array)]
    values += [(f"argument {op.argument(i)}", x) for i, x in enumerate(t._arrays)]
    values += [(f"option {name}", option) for name, option in t._options.items()]
    for what, value in values:
        if any(WRITES.any_since(t._number, array) for array in _arrays_in(value)):
            raise RuntimeError(
                f"{op}: its {what} was written in place after the graph was recorded, so the "
                "gradient would be wrong; call backward before writing or updating"
            )


def _arrays_in(value: Any) -> Iterator[Any]:
    if isinstance(value, (tuple, list)):
        for part in value:
            yield from _arrays_in(part)
    elif hasattr(raw(value), "strides"):
        yield raw(value)


def _run_hooks(t: Tensor, g: Any) -> Any:
    """The gradient that the hooks of `t` make of `g`."""
    if type(g) is not Tensor:
        g = namespace(g).array(g)  # a hook may write into it, and others may hold the same array
    for hook in tuple(t._hooks or ()):
        new = hook(g)
        if new is None:
            continue
        if tuple(new.shape) != t.shape or new.dtype != t.dtype or type(new) is not type(g):
            raise ValueError(
                f"a hook returned {type(new).__name__} {tuple(new.shape)} {new.dtype} for a "
                f"gradient that is {type(g).__name__} {t.shape} {t.dtype}"
            )
        g = new
    return g


def _copy_out(gradients: Gradients, t: Tensor, create_graph: bool) -> Any:
    """The gradient as an array that the caller may write into; zeros where nothing arrived."""
    g = gradients.get(id(t))
    if g is None:
        zeros = namespace(t.array).zeros(t.shape, t.dtype)
        return Tensor(zeros) if create_graph else zeros
    return g if create_graph else namespace(t.array).array(g)


def _as_list(wrt: Any) -> list[Tensor]:
    if type(wrt) is Tensor:
        wanted = [wrt]
    else:
        wanted = list(wrt.values() if isinstance(wrt, Mapping) else wrt)
    for i, x in enumerate(wanted):
        if type(x) is not Tensor or not x.requires_grad:
            raise TypeError(
                f"grad: wrt number {i} is no tensor that requires a gradient, "
                f"but a {type(x).__name__}"
            )
    return wanted
