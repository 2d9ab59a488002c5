"""A forward and a backward pass, step by step: values, gradients, and who sent them to whom.

`trace` makes a `Trace`, whose nodes are the tensors of the graph. The modules that draw and print
them (`tinygen.explain.table`, `tinygen.explain.graphviz`) read nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

from tinygen.autograd import Op, Tensor
from tinygen.autograd.engine import topological_order, walk_back
from tinygen.autograd.operators import raw
from tinygen.autograd.recording import ENGINE
from tinygen.explain import graphviz, measured, stepper, table
from tinygen.explain.names import Names
from tinygen.explain.sources import partial_formula
from tinygen.files import named_with, write_text

NUMBER = -1
"""The index of a constant that is a plain number."""


@dataclass
class Arrival:
    """What a consumer sends to one of its arguments: its gradient times a Jacobian.

    Attributes:
        sender: the node that sends it.
        argument: which argument of the sender's op this is, such as ``"W"``.
        position: its number, from 0.
        formula: the partial that computed it, as documented or written in the op.
        value: the array.

    >>> import tinygen as tg
    >>> x = tg.Tensor(3.0, requires_grad=True)
    >>> y = x * x
    >>> for arrival in trace(y)["x"].arrivals:  # one for each argument that x is
    ...     print(arrival.sender.name, arrival.argument, arrival.formula, "=", arrival.value)
    y x g * z = 3.0
    y z g * x = 3.0
    """

    sender: Node
    argument: str
    position: int
    formula: str
    value: Any


@dataclass
class Node:
    """A tensor of the graph, or a constant that an op was given.

    Attributes:
        index: its place in the forward pass, from 0, where a leaf comes right before what is first
            computed from it; `NUMBER` for a plain number, which is an input and not a step.
        name: what the program calls it, or else the op's name with a number.
        op: what computed it; None for a leaf and for a constant.
        inputs: the nodes that the op was given, with the names of its arguments.
        options: those of the op.
        value: the array.
        line: the line of the program that computed it, as ``"model.py:12: h = x @ W"``; "" if that
            was not recorded.
        scopes: the functions in which it was computed, outermost first.
        calls: a number for each of their calls, which no other call has.
        is_data: whether it is an array that the traced function was given beside its parameters.
        gradient: that of the loss with respect to it; None if it needs none.
        arrivals: the terms whose sum is the gradient, in the order in which they arrived.
        hooked: whether the gradient is what a hook made of that sum.

    >>> import tinygen as tg
    >>> x = tg.Tensor(3.0, requires_grad=True)
    >>> y = tg.exp(x) * x
    >>> node = trace(y)["y"]
    >>> node.op.name, [(argument, parent.name) for argument, parent in node.inputs]
    ('multiply', [('x', 'exp1'), ('z', 'x')])
    """

    index: int
    name: str
    op: Op | None
    inputs: list[tuple[str, Node]]
    options: dict[str, Any]
    value: Any
    line: str = ""
    scopes: tuple[str, ...] = ()
    calls: tuple[int, ...] = ()
    is_data: bool = False
    gradient: Any = None
    arrivals: list[Arrival] = field(default_factory=list)
    hooked: bool = False


class Trace:
    """The steps of a forward pass, and of the backward pass from its result.

    Attributes:
        nodes: in the order of the forward pass; the last one is the result.
        visits: those that have a gradient, in the order of the backward pass.

    >>> import tinygen as tg
    >>> x = tg.Tensor(3.0, requires_grad=True)
    >>> a, b = x * x, x + 1
    >>> y = a * b
    >>> t = trace(y)
    >>> [node.name for node in t.visits]
    ['y', 'b', 'a', 'x']
    >>> [float(arrival.value) for arrival in t["x"].arrivals]
    [9.0, 12.0, 12.0]
    """

    def __init__(self, nodes: Sequence[Node], visits: Sequence[Node]) -> None:
        self.nodes, self.visits = tuple(nodes), tuple(visits)

    def __getitem__(self, name: str) -> Node:
        """The node of that name."""
        if not isinstance(name, str):
            raise TypeError(f"expected the name of a step, got a {type(name).__name__}")
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(f"no step is called {name!r}; there are {', '.join(self.names)}")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all nodes, in the order of the forward pass."""
        return tuple(node.name for node in self.nodes)

    def __repr__(self) -> str:
        name, steps, gradients = self.nodes[-1].name, len(self.nodes), len(self.visits)
        return f"Trace({name}; {steps} steps; {gradients} gradients; print it for a table)"

    def __str__(self) -> str:
        return table.table(self)

    def save(self, path: str | PathLike[str], about: str = "") -> None:
        """Write the stepper: one page of HTML, which needs no network, to step through the trace.

        Args:
            path: that of the file, which ends in .html; its name is the title.
            about: a sentence to put under the title: what there is to see.

        Raises:
            InputError: the name does not end in .html.
            OSError: the file cannot be written.
        """
        path = named_with(path, ".html")
        write_text(path, stepper.page(self, path.stem, about))

    def _repr_html_(self) -> str:
        """The stepper in a notebook."""
        return stepper.frame(self)

    def finite_difference(self, name: str, index: int | tuple[int, ...] = ()) -> float:
        """The derivative of the result with respect to one element of a step, measured.

        The forward pass is repeated from that step on with the element moved; see
        `tinygen.explain.measured`.

        Raises:
            KeyError: no step has that name.
            IndexError: the index is not that of one element.
            TypeError: the step is of integers or booleans.
        """
        return measured.finite_difference(self, self[name], index)

    def dot(self) -> str:
        """The graph in the language of Graphviz; see `tinygen.explain.graphviz`."""
        return graphviz.dot(self)


def trace(f: Callable[..., Tensor] | Tensor, /, *arguments: Any, **options: Any) -> Trace:
    """Follow a forward pass and the backward pass behind it.

    Args:
        f: a function ``(parameters, *data) -> loss`` of Tensors, such as ``model.loss``; or a
            Tensor, whose graph is there already (it is not freed).
        arguments, options: what `f` is called with, as in `value_and_grad`.

    Raises:
        TypeError: `f` is neither, or does not return a Tensor.
        ValueError: the result depends on no parameter, or is not a single number.
        RuntimeError: the graph of the Tensor was freed by a backward pass.

    >>> import numpy as np
    >>> import tinygen as tg
    >>> def loss(p, x):
    ...     return tg.mean((x - p["mu"]) * 3)
    >>> t = trace(loss, {"mu": np.array([1.0])}, np.array([2.0, 3.0]))
    >>> t.names
    ('x', 'mu', 'subtract1', 'multiply1', 'loss')
    >>> t["mu"].gradient
    array([-3.])
    """
    names = Names()
    if isinstance(f, Tensor):
        if arguments or options:
            raise TypeError("trace: a Tensor has a graph already; expected no further arguments")
        names.of_caller(depth=2)
        return _Follower(names).of(f)
    if not callable(f):
        raise TypeError(f"trace: expected a function or a Tensor, got a {type(f).__name__}")
    if not arguments:
        raise TypeError("trace: expected the parameters after the function, as in trace(f, p, x)")
    loss = names.call(f, arguments, options)
    if not isinstance(loss, Tensor):
        raise TypeError(
            f"trace: expected a Tensor, the function returned a {type(loss).__name__}; model.loss "
            "is a function that can be traced"
        )
    return _Follower(names).of(loss)


class _Follower:
    """Makes the nodes of a graph, and records what the backward pass sends along its edges."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.nodes: dict[int, Node] = {}
        self.order: list[Node] = []
        self.tensors: list[Any] = []  # or constants, from which the nodes are made

    def of(self, loss: Tensor) -> Trace:
        tensors = topological_order(loss)
        for t in tensors:
            if t._op or t is loss:  # a leaf's node is made with what is first computed from it
                self._node(t)
        for node, name in zip(self.order, self.names.of(self.tensors), strict=True):
            node.name = name
        with self._following():
            gradients = walk_back(loss, None, [*tensors], tensors, retain_graph=True)
        for t in tensors:
            self.nodes[id(t)].gradient = gradients.get(id(t))
            self.nodes[id(t)].hooked = bool(t._hooks)
        visits = [node for node in reversed(self.order) if node.gradient is not None]
        return Trace(self.order, visits)

    def _node(self, x: Any) -> Node:
        if id(x) in self.nodes:
            return self.nodes[id(x)]
        if not hasattr(x, "shape"):
            return Node(NUMBER, repr(x), None, [], {}, x)
        op = x._op if isinstance(x, Tensor) else None
        parents = x._parents if op else ()
        inputs = [(op.argument(i), self._node(p)) for i, p in enumerate(parents)] if op else []
        node = Node(len(self.order), "", op, inputs, x._options if op else {}, raw(x))
        node.line, node.scopes, node.calls = self.names.where(x)
        node.is_data = self.names.is_data(x)
        self.order.append(node)
        self.tensors.append(x)
        self.nodes[id(x)] = node
        return node

    @contextmanager
    def _following(self) -> Iterator[None]:
        before = ENGINE.follow
        ENGINE.follow = self._note
        try:
            yield
        finally:
            ENGINE.follow = before

    def _note(self, t: Tensor, products: Sequence[tuple[int, Any]]) -> None:
        """Called by the backward pass with the products and the number of the argument of each."""
        sender, op = self.nodes[id(t)], t._op
        assert op is not None and t._parents is not None
        for i, dx in products:
            arrival = Arrival(sender, op.argument(i), i, partial_formula(op, i), dx)
            self.nodes[id(t._parents[i])].arrivals.append(arrival)
