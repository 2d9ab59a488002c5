"""Reverse-mode automatic differentiation: computations with tensors are recorded and walked back.

A `Tensor` is an array that knows which `Op` computed it and from which other tensors. An `Op` knows
its own partial derivatives and nothing else. `grad` goes back over the record and applies the chain
rule once to each tensor. docs/autograd.md follows an example through this file.

What Python's syntax does with a Tensor is in operators.py.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, overload

import numpy as np

from tinygen.autograd.operators import Operators, has_gradient, raw
from tinygen.autograd.recording import ENGINE
from tinygen.autograd.registry import OPS, array_of_list, signature_of, unexpected_keyword
from tinygen.backend import Array, backend_of, namespace
from tinygen.backend.writes import WRITES, next_number
from tinygen.parameters import Parameters

# Tensors.


class Tensor(Operators):
    """An array, and how it was computed.

    A tensor that the user creates is a *leaf*. One that an op computes from tensors that require a
    gradient is *interior*: it holds the op, the op's arguments (its parents) and its options.

    Args:
        x: an array of any backend, used as it is, not copied. Python numbers and
            lists of them become float32.
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
    _name: str | None = None

    def __init__(self, x: Any, requires_grad: bool = False) -> None:
        if type(x) is Tensor:
            raise TypeError("Tensor: got a Tensor; use x.detach() for a leaf with the same values")
        if type(x) in (bool, int, float):  # np.float64 is a float, too, and stays one
            x = np.asarray(x, dtype=np.float32)
        elif isinstance(x, (list, tuple)):
            x = array_of_list(x, np.float32)
        elif isinstance(x, np.generic):
            x = np.asarray(x)
        backend_of(x)  # refuses anything but an array
        if x.dtype.kind not in "fiub":
            raise TypeError(f"Tensor: expected an array of real numbers, got {_kind(x)}")
        self.array = x
        self._requires_grad = False
        self._number = next_number()
        if requires_grad:
            self.requires_grad = True

    @property
    def requires_grad(self) -> bool:
        """Whether a gradient is computed for this tensor; can be set on a leaf."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        if not self.is_leaf:
            raise ValueError(
                f"requires_grad of the result of {self._op} follows from its arguments; "
                "use x.detach() for a leaf without a gradient"
            )
        if wanted and self.dtype.kind != "f":
            raise TypeError(f"Tensor: only floats have gradients, got {self.dtype}")
        self._requires_grad = bool(wanted)

    @property
    def is_leaf(self) -> bool:
        return self._op is None

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
            accumulate: add to the existing ``.grad``. By default it is replaced, so there is no
                ``zero_grad()`` to forget.
        """
        nodes = topological_order(self)
        wanted = [t for t in nodes if t._op is None or t._retains]
        gradients = walk_back(self, g, nodes, wanted, create_graph, retain_graph)
        for t in wanted:
            new = _copy_out(gradients, t, create_graph)
            t.grad = t.grad + new if accumulate and t.grad is not None else new

    def retain_grad(self) -> Tensor:
        """Ask `backward` to leave ``.grad`` on this interior tensor, too; returns the tensor."""
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

    def __init_subclass__(cls) -> None:
        raise TypeError("a Tensor has no subclasses: ops recognise it by its exact type")

    def __reduce__(self) -> tuple[Any, ...]:
        """A leaf is copied or pickled as a new leaf; a graph can be neither."""
        if not self.is_leaf:
            raise TypeError(
                f"the result of {self._op} cannot be copied or pickled without its graph; "
                "use x.detach()"
            )
        return Tensor, (self.array, self._requires_grad)

    def __repr__(self) -> str:
        op = f", op={self._op}" if self._op is not None else ""
        needs = ", requires_grad=True" if self._requires_grad and self.is_leaf else ""
        return f"Tensor({self.array}{op}{needs})"


def leaves(parameters: Any) -> dict[str, Tensor]:
    """A leaf that requires a gradient for each of the `parameters`, in the same memory.

    Args:
        parameters: a `tinygen.Parameters`, or a mapping of names to arrays.

    >>> import numpy as np
    >>> p = leaves({"W": np.ones((3, 2)), "b": np.zeros(2)})
    >>> (p["W"] * p["W"]).sum().backward()
    >>> float(p["W"].grad[0, 0]), p["b"].grad is None  # b is not in the loss
    (2.0, True)
    """
    return {name: Tensor(array, requires_grad=True) for name, array in parameters.items()}


# Ops.

Partial = Callable[..., Any]

LISTS = (list, tuple)
"""What an op accepts as an array."""


class _WithPosition:
    """The partials of an op of ``*xs``: the last serves for all xs, and is told which one."""

    def __init__(self, partials: tuple[Partial | None, ...]) -> None:
        self.first, self.of_any = partials[:-1], partials[-1]

    def __getitem__(self, i: int) -> Partial | None:
        if i < len(self.first):
            return self.first[i]
        return self.of_any and partial(self.of_any, i - len(self.first))


class Op:
    """A differentiable function of arrays.

    Called with arrays it computes at array speed and records nothing. Called with a Tensor it also
    records itself, so that the backward pass can ask for its partials. Made by the decorator `op`.

    >>> import tinygen as tg
    >>> tg.power.name, tg.power.arguments, tg.power(3.0, 2.0)
    ('power', ['x', 'z'], 9.0)
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
        for p in signature:  # left out of a call, it would be missing for the partials, too
            if p.kind != p.KEYWORD_ONLY and p.default is not p.empty:
                raise TypeError(
                    f"op {self.name}: expected the argument {p.name} without a default, got "
                    f"{p.name}={p.default!r}; put an option after a *, so that it is keyword-only"
                )
        expected = ["d" + name for name in self.arguments]
        if list(partials) != expected:
            raise TypeError(
                f"op {self.name}: expected the partials {', '.join(expected)}, "
                f"got {', '.join(partials) or 'none'}; an argument without a derivative gets None, "
                "or is an option after a *"
            )
        for name, dx in partials.items():
            self._refuse_other_form(name, dx)
        each = tuple(partials.values())
        self.partials: tuple[Partial | None, ...] | _WithPosition = (
            _WithPosition(each) if self.variadic else each
        )

    def _refuse_other_form(self, name: str, dx: Partial | None) -> None:
        """Report now, not in a backward pass, a partial that cannot be called."""
        with_position = self.variadic and name == "d" + self.arguments[-1]
        form = [*(["i"] if with_position else []), "g", "y", *self.arguments]
        try:
            if dx is not None:
                inspect.signature(dx).bind(*form, **self.defaults)
        except ValueError:
            pass  # a function written in C, which may have no signature
        except TypeError:
            options = ["*", *self.defaults] if self.defaults else []
            got = f"{name}{inspect.signature(dx)}" if callable(dx) else repr(dx)
            raise TypeError(
                f"op {self.name}: expected {name}({', '.join([*form, *options])}), got {got}"
            ) from None

    def argument(self, i: int) -> str:
        """The name of argument i, for messages."""
        return self.arguments[min(i, len(self.arguments) - 1)]

    @overload
    def __call__(self, x: Tensor, *arguments: Any, **options: Any) -> Tensor: ...
    @overload
    def __call__(self, *arguments: Any, **options: Any) -> Any: ...
    def __call__(self, *arguments: Any, **options: Any) -> Any:
        if options and not options.keys() <= self.defaults.keys():
            arguments, options = self._by_position(arguments, options)
        try:
            for x in arguments:
                if type(x) is Tensor:
                    return self._record(arguments, options)
                if type(x) in LISTS:
                    return self(*self._without_lists(arguments), **options)
            return self.forward(*arguments, **options)
        except (ValueError, TypeError, IndexError, AttributeError) as error:
            if str(error).startswith(self.name + ":"):
                raise
            raise self._explain(error, [raw(x) for x in arguments]) from error

    def _record(self, arguments: tuple[Any, ...], options: dict[str, Any]) -> Tensor:
        """The result as a Tensor, which knows its origin if a gradient may be asked for."""
        arrays, differentiable = [], False
        for x in arguments:
            if type(x) is Tensor:
                arrays.append(x.array)
                differentiable |= x._requires_grad
            elif type(x) in LISTS:
                return self(*self._without_lists(arguments), **options)
            else:
                if isinstance(x, np.ndarray):
                    backend_of(x)  # refuses np.matrix, which multiplies differently
                arrays.append(x)
        y = self.forward(*arrays, **options)
        if ENGINE.watch is not None:
            ENGINE.watch(self.name, arrays, y)
        t = Tensor.__new__(Tensor)  # without the checks of __init__: this runs at every op
        t.array = y
        t._requires_grad = False
        t._number = next_number()
        kind = y.dtype.kind if hasattr(y, "strides") else "no array"  # such as a Tensor
        # A result of integers, as of astype(int), is constant: only floats have gradients.
        if differentiable and ENGINE.recording and kind == "f":
            t._requires_grad = True
            t._op, t._parents, t._arrays = self, arguments, arrays
            t._options = {**self.defaults, **options} if self.defaults else options
        elif kind not in "fiub":
            raise TypeError(f"expected the result to be an array of real numbers, got {_kind(y)}")
        return t

    def _without_lists(self, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        """Lists become arrays with the dtype and the library of the arrays beside them."""
        arrays = [raw(x) for x in arguments if hasattr(x, "dtype")]
        dtype = next((x.dtype for x in arrays if x.dtype.kind == "f"), np.float32)
        backend = backend_of(arrays[0] if arrays else 0)
        return tuple(
            backend.asarray(array_of_list(x, dtype)) if type(x) in LISTS else x for x in arguments
        )

    def _by_position(self, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Put arrays that were passed by keyword into the order of the arguments."""
        signature = inspect.signature(self.forward)
        for name in options:
            if name not in self.defaults and (self.variadic or name not in self.arguments):
                raise unexpected_keyword(self.forward, name)
        try:
            bound = signature.bind(*arguments, **options)
        except TypeError as error:
            raise TypeError(
                f"{self.name}: {error}; its signature is {signature_of(self.forward)}"
            ) from None
        return bound.args, bound.kwargs

    def _explain(self, error: Exception, arrays: Any) -> Exception:
        """The same kind of error, saying which op it was and what it got."""
        if len(arrays) > len(self.arguments) and not self.variadic:
            return TypeError(
                f"{self.name}: takes {len(self.arguments)} by position, got {len(arrays)}; "
                f"by keyword it takes {', '.join(self.defaults) or 'nothing'}"
            )
        got = ", ".join(f"{self.argument(i)} is {_kind(x)}" for i, x in enumerate(arrays))
        # An argument that lacks an attribute, such as ndim, is of the wrong type.
        kind = next((k for k in (IndexError, ValueError) if isinstance(error, k)), TypeError)
        return kind(f"{self.name}: {got and got + '; '}{error}")

    def __str__(self) -> str:
        return self.name

    def __reduce__(self) -> str:
        """Pickled by its name in its module, as a function is, and copied as itself."""
        return self.name

    def __repr__(self) -> str:
        return f"<op {self.name}{signature_of(self.forward)}>"


def op(*others: Any, **partials: Partial | None) -> Callable[[Callable[..., Any]], Op]:
    """Turn a function of arrays into an op, given its partials in the order of its arguments.

    The function takes arrays by position and everything else by keyword. A partial of an argument
    ``x`` is called ``dx`` and has the form ``dx(g, y, *arguments, **options)``:

    - ``g`` is the gradient of the loss with respect to the op's result ``y``, and has its shape;
    - it returns the gradient with respect to ``x``. If ``x`` was broadcast, so may this be: the
      engine sums it back to the shape of ``x``;
    - it is written with ops and operators only, so that with Tensors it is itself recorded;
    - None instead of a function says that no gradient flows to this argument.

    A function of ``*xs`` has one partial, which gets the position first: ``dxs(i, g, y, *xs)``.

    >>> @op(dx=lambda g, y, x: 3.0 * x * x * g)
    ... def cube(x):
    ...     return x * x * x
    >>> x = Tensor(2.0, requires_grad=True)
    >>> cube(x).backward()
    >>> float(x.grad)
    12.0
    >>> del OPS["cube"]
    """

    if others:
        raise TypeError(
            "op: expected the partials by name, as in @op(dx=lambda g, y, x: ...), "
            f"got {_kind(others[0])}"
        )

    def decorate(forward: Callable[..., Any]) -> Op:
        new = Op(forward, partials)
        # A notebook cell may be run again; a relu of your own leaves tinygen's in the table.
        if OPS.setdefault(new.name, new).__module__ == new.__module__:
            OPS[new.name] = new
        return new

    return decorate


def _kind(x: Any) -> str:
    shape = getattr(x, "shape", None)
    if shape is not None:
        return f"{'Tensor ' if type(x) is Tensor else ''}{tuple(shape)} {x.dtype}"
    return repr(x) if len(repr(x)) < 60 else f"a {type(x).__name__}"


# The backward pass.


@op(dz=lambda g, y, z, x: g, dx=None)
def gradient_of(z: Array, x: Array) -> Array:
    """A copy of `z` that also counts as a function of `x`, with derivative 0.

    This lets a gradient that happens to be constant, such as relu's, be differentiated once more.
    """
    return namespace(z).array(z)


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
        retain_graph: keep the graph behind `y`, so that it can be walked again.

    Returns:
        A gradient, or a list, tuple or dict of them, as `wrt` is: arrays of their own, or Tensors
        with `create_graph`. A tensor that `y` does not depend on gets zeros.

    >>> x = Tensor(3.0, requires_grad=True)
    >>> dx = grad(x * x * x, x, create_graph=True)
    >>> dx.item(), grad(dx, x).item()
    (27.0, 18.0)
    """
    wanted = _as_list(wrt)
    gradients = walk_back(y, g, topological_order(y), wanted, create_graph, retain_graph)
    return _in_layout_of(wrt, [_copy_out(gradients, x, create_graph) for x in wanted])


def _in_layout_of(wrt: Any, gradients: list[Any]) -> Any:
    """The gradients as a single one, a dict, a list or a tuple, as `wrt` is."""
    if type(wrt) is Tensor:
        return gradients[0]
    if isinstance(wrt, Mapping):
        return dict(zip(wrt, gradients, strict=True))
    return in_container_of(wrt, gradients)


def value_and_grad(f: Callable[..., Tensor]) -> Callable[..., tuple[Array, Any]]:
    """Turn ``f(parameters, *data) -> loss`` into ``(parameters, *data) -> (loss, gradients)``.

    The parameters are a `Parameters`, a mapping of names to arrays, a list or tuple of arrays, or a
    single array; the gradients have the same layout. With `Parameters`, ``out=`` takes gradients of
    an earlier step, to write into.
    Further keywords go to `f`.

    >>> import numpy as np
    >>> value_and_grad(lambda x: (x * x).sum())(np.float32([1, 2]))
    (np.float32(5.0), array([2., 4.], dtype=float32))
    """

    if not callable(f):
        raise TypeError(f"value_and_grad: expected a function, got a {type(f).__name__}")

    def with_gradients(
        parameters: Any, *data: Any, out: Parameters | None = None, **options: Any
    ) -> tuple[Array, Any]:
        xs = leaves_like(parameters)
        loss = f(xs, *data, **options)
        if type(loss) is not Tensor:
            raise TypeError(
                f"value_and_grad: the function returned a {type(loss).__name__}, "
                "expected a Tensor that depends on the parameters"
            )
        wanted = _as_list(xs)
        nodes = topological_order(loss)
        refuse_outer_leaves(nodes, wanted)
        if out is not None and not isinstance(parameters, Parameters):
            raise TypeError("value_and_grad: out= needs parameters that are a Parameters")
        by_id = walk_back(loss, None, nodes, wanted)
        if not isinstance(parameters, Parameters):
            return loss.array, _in_layout_of(xs, [_copy_out(by_id, x, False) for x in wanted])
        out = parameters.room_for_gradients(out)
        for name, leaf in xs.items():
            out[name][...] = by_id.get(id(leaf), 0)
        return loss.array, out

    with_gradients.__wrapped__ = f  # type: ignore[attr-defined]  # for callers who want its graph
    return with_gradients


def leaves_like(parameters: Any) -> Any:
    """A leaf for each array, in the layout of the `parameters`."""
    one = not isinstance(parameters, (Mapping, list, tuple))
    arrays = [parameters] if one else [*_values(parameters)]
    for x in arrays:
        if type(x) is Tensor:
            raise TypeError(
                "expected arrays as parameters, got a Tensor; for a gradient of a gradient use "
                "grad(..., create_graph=True)"
            )
        if not hasattr(x, "dtype") and _holds_several(x):
            raise TypeError(
                f"expected an array for each parameter, got a {type(x).__name__} of several; "
                "put all of them into one mapping, by names such as 'encoder.W'"
            )
    if isinstance(parameters, Mapping):
        return leaves(parameters)
    if one or not any(hasattr(x, "dtype") for x in arrays):
        return Tensor(parameters, requires_grad=True)
    return in_container_of(parameters, [Tensor(x, requires_grad=True) for x in arrays])


def _holds_several(x: Any) -> bool:
    is_list = isinstance(x, (list, tuple))
    return isinstance(x, Mapping) or (is_list and any(getattr(part, "ndim", 0) for part in x))


def in_container_of(several: Any, values: list[Any]) -> Any:
    """The values in a tuple, named or not, if `several` is one, else in a list."""
    return getattr(type(several), "_make", tuple)(values) if isinstance(several, tuple) else values


def refuse_outer_leaves(nodes: Sequence[Tensor], wanted: Sequence[Tensor]) -> None:
    """Refuse outer leaves, such as another value_and_grad's: to them the result is constant.

    They are older than the parameters' leaves; what the function makes for itself is younger.
    """
    first = min((t._number for t in wanted), default=0)
    for t in nodes:
        if t._number < first:
            raise ValueError(
                f"the result also depends on a Tensor {t.shape} that requires a gradient and is "
                "none of the parameters; for a gradient of a gradient use "
                "grad(..., create_graph=True), for a constant x.detach()"
            )


def walk_back(
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
    plain = ENGINE.watch is None and ENGINE.follow is None
    vjp = _vjp if plain else _watched_vjp
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
            dt = _run_hooks(t, _own(dt, t))
        if key in asked:
            complete[key] = dt
            owned.discard(key)
        if t._op is None:
            continue
        for i, dx in vjp(t, dt, needed, create_graph):
            x = id(t._parents[i])  # type: ignore[index]  # it has parents, as it has an op
            if x in gradients:
                _accumulate(gradients, owned, x, dx)
            else:
                gradients[x] = dx
        if not (retain_graph or create_graph):
            t._parents, t._arrays = None, ()
    return complete


def topological_order(y: Tensor) -> list[Tensor]:
    """`y` and everything it depends on that requires a gradient, parents before children.

    A tensor is numbered after its parents, so the order of the numbers is such an order.
    """
    if callable(y):
        raise TypeError(
            "grad: expected a Tensor, such as a loss, got a function; for functions there is "
            "value_and_grad"
        )
    if not has_gradient(y):
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
            if type(x) is Tensor and x._requires_grad and id(x) not in seen:
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


def _vjp(t: Tensor, g: Any, needed: set[int], create_graph: bool) -> list[tuple[int, Any]]:
    """What `t` adds to the gradients of its parents, by their position: ``g`` times a Jacobian."""
    op: Any = t._op
    parents: Any = t._parents
    if t._number < WRITES.latest:
        _refuse_stale(t)
    y, arguments = (t, parents) if create_graph else (t.array, t._arrays)
    if create_graph and any(raw(x) is not a for x, a in zip(parents, t._arrays, strict=True)):
        raise RuntimeError(f"{op}: the array of an argument was replaced since it was recorded")
    products = []
    for i, x in enumerate(parents):
        if id(x) in needed and op.partials[i] is not None:
            dx = op.partials[i](g, y, *arguments, **t._options)
            if type(dx) is not type(g):
                dx = _of_another_type(dx, x, g, op, i)
            if dx.shape != x.array.shape:
                dx = _unbroadcast(dx, y, i, arguments, op)
            if dx.dtype != x.array.dtype:
                dx = _converted(dx, x, op, i)
            products.append((i, dx))
    return products


def _watched_vjp(t: Tensor, g: Any, needed: set[int], create_graph: bool) -> Any:
    """The same, shown to whoever watches every result or follows them from node to node."""
    products = _vjp(t, g, needed, create_graph)
    if ENGINE.watch is not None:
        for _, dx in products:
            ENGINE.watch(f"the gradient of {t._op}", (g, *t._arrays), dx)
    if ENGINE.follow is not None:
        ENGINE.follow(t, products)
    return products


def _accumulate(gradients: Gradients, owned: set[int], key: int, dx: Any) -> None:
    """Add `dx` to the gradient that has arrived at a tensor before.

    A partial may hand the same array to both parents, or a view of another: it is not ours to write
    into. The sum of two is, unless it is a Tensor, whose graph needs it.
    """
    if key in owned:
        gradients[key] += dx
    else:
        gradients[key] = gradients[key] + dx
        if type(dx) is not Tensor:
            owned.add(key)


NUMPYS = (np.ndarray, np.generic)
"""What NumPy's functions return: scalars for 0-d arrays."""


def _of_another_type(dx: Any, x: Tensor, g: Any, op: Op, i: int) -> Any:
    """A partial may be the number 0, or a NumPy scalar for a 0-d array.

    Anything else is refused: a Tensor among arrays would be returned to the user, an array among
    Tensors has no derivative, and a host array among a GPU's would stay on the host.
    """
    recorded = type(g) is Tensor
    if isinstance(dx, (int, float)) and dx == 0:
        zeros = namespace(x.array).zeros(x.shape, x.dtype)
        return Tensor(zeros) if recorded else zeros
    if isinstance(dx, NUMPYS) and isinstance(g, NUMPYS):
        return dx
    raise TypeError(
        f"{op}: the partial d{op.argument(i)} returned {_kind(dx)}; "
        f"expected {'a Tensor, made by ops,' if recorded else 'an array'} of shape {x.shape}"
    )


def _converted(dx: Any, x: Tensor, op: Op, i: int) -> Any:
    """`dx` in the dtype of `x`; complex numbers, which would lose a part, are refused."""
    if dx.dtype.kind not in "fiub":
        raise TypeError(
            f"{op}: the partial d{op.argument(i)} returned {_kind(dx)}; expected real numbers"
        )
    return dx.astype(x.array.dtype)


def _unbroadcast(dx: Any, y: Any, i: int, arguments: Sequence[Any], op: Op) -> Any:
    """Sum `dx` over the axes along which argument i was repeated.

    It was repeated to the shape of the result, or else to the lengths of another argument.
    """
    shape = arguments[i].shape
    lengths = {1}.union(*(getattr(x, "shape", ()) for j, x in enumerate(arguments) if j != i))
    new = dx.ndim - len(shape)
    repeated = [k for k, n in enumerate(dx.shape) if k < new or n != shape[k - new]]
    if (
        new < 0
        or any(k >= new and shape[k - new] != 1 for k in repeated)
        or not (dx.shape == y.shape or lengths.issuperset(dx.shape[k] for k in repeated))
    ):
        raise ValueError(
            f"{op}: the partial d{op.argument(i)} has shape {tuple(dx.shape)}, its argument "
            f"{shape}; expected that shape, or what broadcasting makes of it"
        )
    if dx.dtype.itemsize < 4:  # float16, in which a sum of ones stops at 2048
        dx = dx.astype(np.float32)
    return dx.sum(axis=tuple(repeated), keepdims=True).reshape(shape)


def _seed(y: Tensor, g: Any, create_graph: bool) -> Any:
    """The gradient that the walk begins with."""
    if g is None:
        if y.size != 1:
            raise ValueError(
                f"a gradient starts at a single number, {_origin(y)} has shape "
                f"{y.shape}; reduce it with sum() or mean(), or pass the cotangent g"
            )
        g = namespace(y.array).ones(y.shape, y.dtype)
    if not hasattr(g, "shape"):
        raise TypeError(f"the cotangent g must be an array or a Tensor, got {g!r}")
    if g.dtype.kind not in "fiub":
        raise TypeError(f"the cotangent g must be of real numbers, got {_kind(g)}")
    if tuple(g.shape) != y.shape:
        raise ValueError(f"the cotangent g has shape {tuple(g.shape)}, the result has {y.shape}")
    if g.dtype != y.dtype:
        g = g.astype(y.dtype)
    if create_graph:
        return g if type(g) is Tensor else Tensor(g)
    return raw(g)


def _origin(t: Tensor) -> str:
    return f"this result of {t._op}" if t._op else "this leaf"


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
    """What the hooks of `t` make of the gradient `g`; it is theirs, so they may write into it."""
    for hook in tuple(t._hooks or ()):
        new = hook(g)
        if new is None:
            continue
        if isinstance(new, np.generic) and not t.shape:  # what NumPy makes of 2 * g then
            new = np.asarray(new)
        if type(new) is not type(g) or new.shape != t.shape or new.dtype != t.dtype:
            got = f"{tuple(new.shape)} {new.dtype}" if hasattr(new, "dtype") else repr(new)
            raise ValueError(
                f"a hook returned {type(new).__name__} {got} for a gradient that is "
                f"{type(g).__name__} {t.shape} {t.dtype}"
            )
        g = new
    return g


def _copy_out(gradients: Gradients, t: Tensor, create_graph: bool) -> Any:
    """The gradient as an array that the caller may write into; zeros where nothing arrived."""
    g = gradients.get(id(t))
    if g is None:
        zeros = namespace(t.array).zeros(t.shape, t.dtype)
        g = Tensor(zeros) if create_graph else zeros
    return _own(g, t)


def _own(g: Any, t: Tensor) -> Any:
    """A gradient of `t` that nobody else holds; a recorded one depends on `t`, if only by zero."""
    if type(g) is Tensor:
        return gradient_of(g, t)
    return namespace(g).array(g)


def _values(several: Any) -> Any:
    return several.values() if isinstance(several, Mapping) else several


def _as_list(wrt: Any) -> list[Tensor]:
    wanted = [wrt] if type(wrt) is Tensor else [*_values(wrt)]
    for i, x in enumerate(wanted):
        if not has_gradient(x):
            raise TypeError(
                f"grad: wrt number {i} is no tensor that requires a gradient, "
                f"but a {type(x).__name__}; tg.leaves(parameters) makes such tensors"
            )
    return wanted
