"""The backward pass once more with one mistake in it: which mistake gives the wrong gradient?

A gradient is linear in what is sent along one edge of the graph. So a mistake there changes the
gradient by what the backward pass makes of the difference, from that edge on; and of a wrong factor
the size need not be guessed, as least squares gives it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from typing import Any, NamedTuple

import numpy as np

from tinygen.backend import namespace
from tinygen.explain.diagnosis import Explanation, fitted, wrong_names
from tinygen.explain.factors import Sizes, named
from tinygen.explain.sources import place
from tinygen.explain.trace import Node, Trace

MOST = 2e8
"""Numbers times edges: a larger graph is not replayed, as it would take minutes."""


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
    def where(self) -> str:
        """The op's partial, and the line that called the op."""
        assert self.node.op is not None
        called = f"; {self.node.line[:60]}" if self.node.line else ""
        return f"{place(self.node.op.forward)}{called}"

    @property
    def factor(self) -> str:
        """What the op multiplies by on the way back, in the program's words."""
        others = [x.name for j, (_, x) in enumerate(self.node.inputs) if j != self.i]
        if self.op in ("multiply", "matmul", "affine"):
            return f"the factor {others[0]}"
        if self.op == "mean":
            return "the division by the count (a sum for a mean)"
        return f"the derivative of {self.op}"


class Other(NamedTuple):
    """What a mistake would send in the place of the product; "{}" is the factor in words."""

    kind: str
    text: str
    product: Any
    cost: float
    adds: bool = False


class Replay:
    """The backward pass of a trace, to be repeated with mistakes.

    Args:
        trace: of the right function.
        leaves: the nodes of the parameters, by name.
        got, expected: the wrong gradients and the right ones, by name, on the host.
        sizes: the lengths of axes, by which factors are named.
        tolerance: how well an explanation has to fit.
    """

    def __init__(
        self,
        trace: Trace,
        leaves: Mapping[str, Node],
        got: Mapping[str, Any],
        expected: Mapping[str, Any],
        sizes: Sizes,
        tolerance: float,
    ) -> None:
        self.sizes, self.tolerance = sizes, tolerance
        self.names = {leaf.index: name for name, leaf in leaves.items() if name in expected}
        self.shapes = {name: x.shape for name, x in expected.items()}
        self._set_edges(trace)
        self._weigh(got, expected)

    def _set_edges(self, trace: Trace) -> None:
        self.visits = sorted(trace.visits, key=lambda node: -node.index)
        self.edges = [
            Edge(node, i)
            for node in self.visits
            if node.op is not None
            for i, (_, x) in enumerate(node.inputs)
            if x.gradient is not None and node.op.partials[i] is not None
        ]
        self.of_node: dict[int, list[Edge]] = {}
        for edge in self.edges:
            self.of_node.setdefault(edge.node.index, []).append(edge)

    def _weigh(self, got: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
        """Each parameter counts alike: by its mistake, or by its size where it has none."""
        self.wrong = wrong_names(got, expected, self.tolerance)
        whole = max(float(np.linalg.norm(x)) for x in expected.values())
        self.weights = {}
        for name, b in expected.items():
            apart, size = (float(np.linalg.norm(x)) for x in (got[name] - b, b))
            counts = apart if name in self.wrong else max(size, 1e-3 * whole, 1e-300)
            self.weights[name] = 1 / counts
        self.expected = self._vector(expected)
        self.mistake = self._vector(got) - self.expected

    @property
    def too_large(self) -> bool:
        return sum(node.value.size for node in self.visits) * len(self.edges) > MOST

    def of(self, trace: Trace) -> Replay:
        """The same question about another trace of the same steps."""
        other = copy(self)
        other._set_edges(trace)
        return other

    def _vector(self, gradients: Mapping[str, Any]) -> Any:
        return np.concatenate(
            [
                np.ravel(gradients.get(name, np.zeros(shape))).astype(np.float64)
                * self.weights[name]
                for name, shape in self.shapes.items()
            ]
        )

    def explanations(self) -> list[Explanation]:
        """Every single mistake that gives the wrong gradient, the simplest first."""
        with np.errstate(all="ignore"):
            found = [e for edge in self.edges if self._may_be(edge.parent) for e in self._of(edge)]
            found += self._exchanged()
            found += self._skipped()
            if not any(e.cost < 3 for e in found):
                found += self._everywhere()
        return sorted(found, key=lambda e: e.cost)

    # One edge at a time.

    def _may_be(self, node: Node) -> bool:
        """Whether all wrong parameters lie behind a node."""
        return {*self.wrong} <= {self.names[i] for i in self._behind(node) if i in self.names}

    def _behind(self, node: Node) -> list[int]:
        seen, waiting = {node.index: None}, [node]
        while waiting:
            for edge in self.of_node.get(waiting.pop().index, ()):
                if edge.parent.index not in seen:
                    seen[edge.parent.index] = None
                    waiting.append(edge.parent)
        return [*seen]

    def _of(self, edge: Edge) -> Iterator[Explanation]:
        g = edge.node.gradient
        product = self.product(edge, g)
        own = self._below(edge.parent, product)
        c = 1 + fitted(self.mistake, own)
        yield from self._fits(edge, *self._scaled(edge, c), (c - 1) * own)
        for other in self._others(edge, g, product):
            if not _says_more(other, edge, product):
                continue
            sent = self._below(edge.parent, other.product)
            base = 0 * own if other.adds else own
            c = fitted(self.mistake + base, sent)
            factor = named(c, self.sizes, 100 * self.tolerance)
            if factor is None or not factor.value:
                continue
            scalable = other.kind in ("left out", "axis") or (other.adds and factor.cost < 2)
            if not (scalable or factor.value == 1):
                continue
            times = "" if factor.value == 1 or other.adds else f", times {factor.text}"
            text = other.text.replace("{}", factor.text) + times
            cost = other.cost + (0 if factor.value == 1 or other.adds else 1.5 + factor.cost)
            yield from self._fits(edge, other.kind, text, cost, factor.value * sent - base)

    def _fits(
        self, edge: Edge, kind: str, text: str, cost: float, predicted: Any
    ) -> Iterator[Explanation]:
        error = float(np.linalg.norm(self.mistake - predicted) / np.linalg.norm(self.mistake))
        if error <= self.tolerance:
            said = f"as if {text} ({edge.where})"
            yield Explanation(
                said, error, cost, kind, ((edge.op, edge.argument, edge.parent.name),)
            )

    def _scaled(self, edge: Edge, c: float) -> tuple[str, str, float]:
        path = f"the path back from {edge.node.name} to {edge.parent.name}"
        factor = named(c, self.sizes, 100 * self.tolerance)
        if factor is None:
            return "factor", f"{path} were multiplied by {c:.6g}", 6
        words: dict[float, str] = {0: "were missing", -1: "had the other sign", 2: "counted twice"}
        said = words.get(factor.value, f"were multiplied by {factor.text}")
        cost = 0.3 + 0.1 * (edge.op in (*PLAIN_OPS, "mean")) + factor.cost
        if factor.value == 0:
            cost = 0.2
        elif _reduces_by(edge, factor.value):  # a sum for a mean, where the sum is
            cost = 0.1 + 0.5 * factor.cost
        kinds: dict[float, str] = {0: "missing", -1: "sign"}
        kind = kinds.get(factor.value, "factor")
        return kind, f"{path} {said}", cost

    def _others(self, edge: Edge, g: Any, product: Any) -> Iterator[Other]:
        """What else might be sent along an edge."""
        path = edge.path
        x, y = edge.parent.value, edge.node.value
        bare = _bare(edge, g)
        if bare is not None:
            if not np.array_equal(bare, product):
                yield Other("left out", f"{edge.factor} were left out {path}", bare, 0)
            yield Other("shift", f"{{}} were added to {edge.factor} {path}", bare, 2, adds=True)
            yield Other(
                "complement", f"1 minus {edge.factor} stood there {path}", bare - product, 1
            )
        if product.shape == g.shape == y.shape:
            twice = self.product(edge, product)
            yield Other("twice", f"{edge.factor} were applied twice {path}", twice, 0)
            yield Other(
                "inverse", f"{edge.factor} divided, not multiplied, {path}", g * (g / product), 1
            )
        matrix = edge.op in ("affine", "matmul") and edge.argument == "W"
        if g.size > product.size or matrix:
            mean = product / (len(g) if matrix else g.size / product.size)
            yield Other("mean", f"the sum over rows were a mean {path}", mean, 0.5)
        if edge.op == "logsumexp":
            weights = np.exp(x - x.max(axis=edge.node.options["axis"], keepdims=True))
            yield Other(
                "left out", f"weights were not divided by their sum {path}", bare * weights, 0
            )
        yield from _wrong_factors(edge, g, path)
        yield from self._matrices(edge, g, product, path)
        yield from _misplaced(product, path, x)

    def _matrices(self, edge: Edge, g: Any, product: Any, path: str) -> Iterator[Other]:
        if edge.op in ("affine", "matmul") and edge.i and len(g) > 1:
            only = np.zeros_like(g)
            only[-1] = g[-1]
            last = self.product(edge, only)
            yield Other("rows", f"only the last row of the batch counted {path}", last, 1)
        if product.ndim == 2 and product.shape[0] == product.shape[1] > 1:
            yield Other("transposed", f"what is sent were transposed {path}", product.T, 1)
        for j, (argument, x) in enumerate(edge.node.inputs):
            square = len({*np.shape(x.value)}) == 1 and np.ndim(x.value) == 2
            if square and j != edge.i and edge.op in ("affine", "matmul"):
                turned = self.product(edge, g, {j: x.value.T})
                text = f"{x.name}, the {argument} of {edge.op}, were transposed {path}"
                yield Other("transposed", text, turned, 0.5)

    # Two edges, and all edges of a kind.

    def _exchanged(self) -> Iterator[Explanation]:
        """Two results of one tensor get each other's gradient, such as the halves of a code."""
        for a, b in self.pairs():
            if not self._may_be(a.parent):
                continue
            right = self.product(a, a.node.gradient) + self.product(b, b.node.gradient)
            other = self.product(a, b.node.gradient) + self.product(b, a.node.gradient)
            text = f"the gradients of {a.node.name} and {b.node.name} were exchanged"
            yield from self._fits(a, "exchanged", text, 0, self._below(a.parent, other - right))

    def _skipped(self) -> Iterator[Explanation]:
        """What arrives at one op is passed on behind the next: the factors of both are missing."""
        consumers = Counter(edge.parent.index for edge in self.edges)
        for first in self.edges:
            for second in self.of_node.get(first.parent.index, ()):
                g, x = first.node.gradient, second.parent.value
                if g.shape == x.shape and consumers[first.parent.index] == 1:
                    text = f"{first.factor} and {second.factor} were left out {second.path}"
                    sent = self._below(
                        second.parent, g - self.product(second, second.node.gradient)
                    )
                    yield from self._fits(second, "left out", text, 0.5, sent)

    def pairs(self) -> Iterator[tuple[Edge, Edge]]:
        for k, a in enumerate(self.edges):
            for b in self.edges[k + 1 :]:
                same = a.parent is b.parent and a.op == b.op and a.i == b.i and a.node is not b.node
                if same and a.node.value.shape == b.node.value.shape:
                    yield a, b

    def _everywhere(self) -> Iterator[Explanation]:
        """One mistake in all uses of an op: a piece by hand that is wrong is wrong everywhere."""
        kinds: dict[tuple[str, ...], list[Edge]] = {}
        for edge in self.edges:
            kinds.setdefault((edge.op, edge.argument), []).append(edge)
            kinds.setdefault((edge.op, edge.argument, edge.node.line), []).append(edge)
        groups = {
            tuple((edge.node.index, edge.i) for edge in edges): edges for edges in kinds.values()
        }
        for edges in groups.values():
            if len(edges) > 1:
                yield from self._at_all(edges)

    def _at_all(self, edges: list[Edge]) -> Iterator[Explanation]:
        first, n = edges[-1], len(edges)
        keys = {(edge.node.index, edge.i) for edge in edges}
        ending = f", and so in all {n} uses of {first.op} there"
        for c in self._factors():
            kind, text, cost = self._scaled(first, c)
            predicted = self.changed(keys, lambda _, __, product, c=c: c * product)
            yield from self._fits(first, kind, text + ending, cost + 0.5, predicted)
        for other in self._others(
            first, first.node.gradient, self.product(first, first.node.gradient)
        ):
            if other.adds:
                continue
            predicted = self.changed(keys, self._same_kind(_key(other, first)))
            yield from self._fits(
                first, other.kind, other.text + ending, other.cost + 0.5, predicted
            )

    def _same_kind(self, key: str) -> Callable[..., Any]:
        """The same mistake at other edges."""

        def changed(edge: Edge, g: Any, product: Any) -> Any:
            for other in self._others(edge, g, product):
                if _key(other, edge) == key:
                    return other.product if other.product.shape == product.shape else product
            return product

        return changed

    def _factors(self) -> list[float]:
        """Those of single parameters, and the usual ones."""
        of_each = []
        for name in self.wrong:
            here = self._vector({name: np.ones(self.shapes[name])}) != 0
            b = self.expected[here]
            of_each.append(fitted(b + self.mistake[here], b))
        return [*dict.fromkeys([0.0, -1.0, 2.0, 0.5, *of_each])]

    def changed(self, keys: Any, change: Callable[..., Any]) -> Any:
        """How the gradient changes, when some edges send something else."""
        top = self.visits[0]
        new = self._below(top, top.gradient, keys, change)
        return new - self.expected

    # The backward pass.

    def _below(
        self, node: Node, g: Any, keys: Any = (), change: Callable[..., Any] | None = None
    ) -> Any:
        """The gradients of the parameters as one vector, if only `g` arrives, at `node`."""
        arrived = {node.index: g}
        found = {}
        for node in self.visits:
            g = arrived.pop(node.index, None)
            if g is None:
                continue
            if node.index in self.names:
                found[self.names[node.index]] = g
            for edge in self.of_node.get(node.index, ()):
                product, x = self.product(edge, g), edge.parent.index
                if change and (node.index, edge.i) in keys:
                    product = change(edge, g, product)
                arrived[x] = arrived[x] + product if x in arrived else product
        return self._vector(found)

    def product(self, edge: Edge, g: Any, instead: Mapping[int, Any] | None = None) -> Any:
        """``g`` times the Jacobian, as the engine has it; with other values of some arguments."""
        node, op = edge.node, edge.node.op
        assert op is not None
        values = [x.value for _, x in node.inputs]
        for j, value in (instead or {}).items():
            values[j] = value
        partial: Any = op.partials[edge.i]
        return summed_to(partial(g, node.value, *values, **node.options), edge.parent.value)


def _reduces_by(edge: Edge, factor: float) -> bool:
    """Whether a factor is a length, or the inverse of one, that the op sums over."""
    x, y = edge.parent.value, edge.node.value
    lengths = [x.size / max(y.size, 1), *(n for n in x.shape if x.size > y.size)]
    return any(np.isclose(abs(factor), [n, 1 / n]).any() for n in lengths if n > 1)


PLAIN_OPS = ("add", "subtract", "negative", "sum", "reshape", "getitem", "transpose", "astype")
"""Their partials have no factor that could be left out: other ops are likelier to be wrong."""


def _says_more(other: Other, edge: Edge, product: Any) -> bool:
    """Whether a mistake is more than a factor; a constant that is left out is named as such."""
    if other.product.shape != product.shape or not np.isfinite(other.product).all():
        return False
    if other.kind == "left out" and edge.op not in PLAIN_OPS:
        return True
    c = fitted(other.product, product)
    return not np.allclose(other.product, c * product, rtol=1e-6, atol=1e-9 * np.abs(product).max())


def summed_to(dx: Any, x: Any) -> Any:
    """Summed over the axes along which `x` was repeated."""
    if not hasattr(dx, "shape"):  # a partial may be the number 0
        return dx * namespace(x).ones_like(x)
    new = dx.ndim - x.ndim
    if new < 0:
        return namespace(x).broadcast_to(dx, x.shape)
    axes = [k for k, n in enumerate(dx.shape) if k < new or n != x.shape[k - new]]
    dx = dx.sum(axis=tuple(axes), keepdims=True) if axes else dx
    return dx.reshape(x.shape) if dx.size == x.size else dx


def _bare(edge: Edge, g: Any) -> Any:
    """`g` as it is, in the shape of the argument: summed, or repeated; None if it does not fit."""
    x, axis = edge.parent.value, edge.node.options.get("axis", ())
    try:
        if g.size >= x.size:
            bare = summed_to(g, x)
            return bare if bare.shape == x.shape else None
        if axis != () and axis is not None and g.ndim < x.ndim:
            g = np.expand_dims(g, axis)
        if axis != () or g.size == 1 or g.shape == x.shape[-g.ndim :]:
            return np.array(np.broadcast_to(g, x.shape))
        if g.shape == x.shape[: g.ndim]:  # a loss that has summed its last axis
            return np.array(np.broadcast_to(g.reshape(*g.shape, *[1] * (x.ndim - g.ndim)), x.shape))
    except ValueError:
        pass
    return None


def _wrong_factors(edge: Edge, g: Any, path: str) -> Iterator[Other]:
    """Something else in the place of the derivative: the result, the argument, ..."""
    x, y, op = edge.parent.value, edge.node.value, edge.op
    if not _broadcasts(x, g):
        return
    values = {
        f"the result of {op}": y,
        f"1 - the result of {op}": 1 - y,
        f"1 + the result of {op}": 1 + y,
        f"exp of the argument of {op}": np.exp(x),
        f"the result of {op} over its argument": y / x,
        f"the argument {edge.argument} of {op}": x,
    }
    for words, value in values.items():
        product = summed_to(g * value, x)
        if product.shape == x.shape:
            yield Other("other factor", f"{words} stood for {edge.factor} {path}", product, 1)


def _broadcasts(x: Any, g: Any) -> bool:
    """Whether `x` was repeated, if at all, to the shape of `g`."""
    return x.ndim <= g.ndim and all(
        m in (1, n) for m, n in zip(x.shape[::-1], g.shape[::-1], strict=False)
    )


def _misplaced(product: Any, path: str, x: Any) -> Iterator[Other]:
    """The right numbers in a wrong place, or only some of them."""
    if product.ndim and len(product) > 1:
        for row, which in ((-1, "last"), (0, "first")):
            only = np.zeros_like(product)
            only[row] = product[row]
            yield Other("rows", f"only the {which} row were sent {path}", only, 1)
    if product.ndim > 1:
        a, b, *rest = product.shape
        if a > 1 and b > 1:
            mixed = product.reshape(b, a, *rest).swapaxes(0, 1)
            yield Other("order", f"a reshape took axis 0 for axis 1 {path}", mixed, 1)
    for axis, n in enumerate(product.shape):
        if n > 1 and product.size > n:
            total = np.array(np.broadcast_to(product.sum(axis=axis, keepdims=True), x.shape))
            yield Other("axis", f"what is sent were summed over its axis {axis} {path}", total, 2)


def _key(other: Other, edge: Edge) -> str:
    """The words of a mistake without the names in them: the same at every edge of one op."""
    return other.text.replace(edge.factor, "").replace(edge.path, "")
