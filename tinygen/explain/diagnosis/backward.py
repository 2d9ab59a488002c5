"""The backward pass of a trace, to be run again from any step, and with a mistake in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, NamedTuple

from tinygen.autograd import Tensor, grad
from tinygen.autograd.operators import has_gradient
from tinygen.backend import namespace
from tinygen.explain.sources import place
from tinygen.explain.trace import Node, Trace

PLAIN_OPS = ("add", "subtract", "negative", "sum", "reshape", "getitem", "transpose", "astype")
"""Ops whose partials have no factor that could be left out: others are likelier to be wrong."""

Change = Callable[["Edge", Any, Any], Any]
"""Changes what an edge sends, given the gradient that arrives and the right product."""


class Edge(NamedTuple):
    """What `node` sends to its argument number i."""

    node: Node
    i: int

    @property
    def parent(self) -> Node:
        return self.node.inputs[self.i][1]

    @property
    def argument(self) -> str:
        return self.node.inputs[self.i][0]

    @property
    def op(self) -> str:
        return self.node.op.name if self.node.op else ""

    @property
    def path(self) -> str:
        return f"on the path back from {self.node.name} to {self.parent.name}"

    @property
    def factor(self) -> str:
        """What the op multiplies by on the way back, in the program's words."""
        others = [x.name for j, (_, x) in enumerate(self.node.inputs) if j != self.i]
        if self.op in ("multiply", "matmul", "affine"):
            return f"the factor {others[0]}"
        if self.op == "mean":
            return "the division by the count (a sum for a mean)"
        return f"the derivative of {self.op}"

    @property
    def where(self) -> str:
        return where(self.node)


def where(node: Node) -> str:
    """The op's partial, and the line that called the op."""
    called = f"; {node.line[:60]}" if node.line else ""
    return f"{place(node.op.forward)}{called}" if node.op else ""


class BackwardPass:
    """The edges of a trace, and what is sent along them.

    Args:
        trace: a forward and a backward pass.
        leaves: the nodes whose gradients are wanted, by name.
    """

    def __init__(self, trace: Trace, leaves: Mapping[str, Node]) -> None:
        self.trace = trace
        self.leaves = leaves
        self.names = {leaf.index: name for name, leaf in leaves.items()}
        self.visits = sorted(trace.visits, key=lambda node: -node.index)
        self.edges = [
            Edge(node, i)
            for node in self.visits
            if node.op is not None
            for i, (_, x) in enumerate(node.inputs)
            if x.gradient is not None and node.op.partials[i] is not None
        ]
        self.of_node: dict[int, list[Edge]] = {}
        self.into: dict[int, list[Edge]] = {}
        for edge in self.edges:
            self.of_node.setdefault(edge.node.index, []).append(edge)
            self.into.setdefault(edge.parent.index, []).append(edge)

    @cached_property
    def behind(self) -> dict[int, set[str]]:
        """The leaves to which each step passes its gradient on."""
        behind: dict[int, set[str]] = {}
        for node in reversed(self.visits):
            own = {self.names[node.index]} if node.index in self.names else set()
            further = [behind[edge.parent.index] for edge in self.of_node.get(node.index, ())]
            behind[node.index] = own.union(*further)
        return behind

    @property
    def size(self) -> int:
        """The number of elements times the number of edges."""
        return sum(node.value.size for node in self.visits) * len(self.edges)

    def gradients(
        self, node: Node | None = None, g: Any = None, change: Change | None = None
    ) -> dict[str, Any]:
        """The leaves' gradients if only `g` arrives, at `node`; by default, all that does."""
        node = node or self.visits[0]
        arrived = {node.index: node.gradient if g is None else g}
        at_leaves = {}
        for node in self.visits:
            g = arrived.pop(node.index, None)
            if g is None:
                continue
            if node.index in self.names:
                at_leaves[self.names[node.index]] = g
            for edge in self.of_node.get(node.index, ()):
                product, x = self.product(edge, g), edge.parent.index
                if change:
                    product = change(edge, g, product)
                arrived[x] = arrived[x] + product if x in arrived else product
        return at_leaves

    def product(self, edge: Edge, g: Any, values: Mapping[int, Any] | None = None) -> Any:
        """``g`` times the Jacobian; at other values of some arguments, if `values` are given."""
        node, op = edge.node, edge.node.op
        assert op is not None
        arrays = [x.value for _, x in node.inputs]
        for j, value in (values or {}).items():
            arrays[j] = value
        partial: Any = op.partials[edge.i]
        return summed_to(partial(g, node.value, *arrays, **node.options), edge.parent.value)

    def tangents(self, directions: Mapping[str, Any]) -> dict[int, Any]:
        """How every step changes as the leaves move along their directions.

        The product ``u J`` of an edge is linear in u; its derivative with respect to u, times a
        change t of the argument, is ``J t`` (see `tinygen.autograd.jvp`).
        """
        moved = {self.leaves[name].index: v for name, v in directions.items()}
        for node in reversed(self.visits):
            for edge in self.of_node.get(node.index, ()):
                if edge.parent.index in moved:
                    u = Tensor(namespace(node.value).zeros_like(node.value), requires_grad=True)
                    along = (self.product(edge, u) * moved[edge.parent.index]).sum()
                    if has_gradient(along):
                        t = grad(along, u)
                        moved[node.index] = moved.get(node.index, 0) + t
        return moved


def summed_to(dx: Any, x: Any) -> Any:
    """Sum over the axes along which `x` was repeated, as the engine does.

    But an array that broadcasting cannot have made, for which the engine raises, is passed on in
    its own shape, as a mistake may produce it; and `dx` may be the number 0, or a Tensor.
    """
    if not hasattr(dx, "shape"):  # a partial may be the number 0
        return dx * namespace(x).ones_like(x)
    new = dx.ndim - x.ndim
    if new < 0:
        return namespace(x).broadcast_to(dx, x.shape)
    axes = [k for k, n in enumerate(dx.shape) if k < new or n != x.shape[k - new]]
    dx = dx.sum(axis=tuple(axes), keepdims=True) if axes else dx
    return dx.reshape(x.shape) if dx.size == x.size else dx
