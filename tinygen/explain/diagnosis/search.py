"""The search for the mistake that gives a wrong gradient: a known one, somewhere in the graph.

A gradient is linear in what is sent along one edge. So a mistake there changes it by what the
backward pass makes of the difference, and along a random direction v of the parameters by the
difference times the tangent, by which the step changes along v. With the tangents of a few
directions, every mistake at every edge can be tried at the cost of a dot product; only those that
agree in all directions are run through the backward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from itertools import combinations
from typing import Any

import numpy as np

from tinygen.explain.diagnosis.arrays import Explanation, fitted, wrong_names
from tinygen.explain.diagnosis.backward import PLAIN_OPS, BackwardPass, Edge, where
from tinygen.explain.diagnosis.factors import Sizes, named
from tinygen.explain.diagnosis.mistakes import Mistake, mistakes, says_more
from tinygen.explain.trace import Node

DIRECTIONS = 4
"""The number of directions of the parameters in which a mistake must agree to be considered."""

TIMES = {0.0: "were missing", 1.0: "", -1.0: "had the other sign", 2.0: "counted twice"}
"""How many times a term may count."""


class Search:
    """All single mistakes that turn the right gradients into the wrong ones.

    Args:
        backward: the right backward pass.
        got, expected: the wrong gradients and the right ones, by name, on the host.
        sizes: the lengths of axes, by which factors are named.
        tolerance: how well an explanation must fit.
    """

    def __init__(
        self,
        backward: BackwardPass,
        got: Mapping[str, Any],
        expected: Mapping[str, Any],
        sizes: Sizes,
        tolerance: float,
    ) -> None:
        self.backward, self.got = backward, got
        self.sizes, self.tolerance = sizes, tolerance
        self.wrong = wrong_names(got, expected, tolerance)
        self.shapes = {name: x.shape for name, x in expected.items()}
        # Parameters count equally: each is scaled by its mistake, or by its size if it has none.
        whole = max(float(np.linalg.norm(x)) for x in expected.values())
        self.weights = {}
        for name, b in expected.items():
            apart, size = (float(np.linalg.norm(x)) for x in (got[name] - b, b))
            counts = apart if name in self.wrong else max(size, 1e-3 * whole, 1e-300)
            self.weights[name] = 1 / counts
        self.expected = self.vector(expected)
        self.mistake = self.vector(got) - self.expected

    def vector(self, gradients: Mapping[str, Any]) -> Any:
        """All gradients as one vector, weighted."""
        return np.concatenate(
            [
                np.ravel(gradients.get(name, np.zeros(shape))).astype(np.float64)
                * self.weights[name]
                for name, shape in self.shapes.items()
            ]
        )

    def misfit(self, gradients: Mapping[str, Any]) -> float:
        """How far these gradients are from the wrong ones, relative to the mistake."""
        off = self.vector(gradients) - self.expected - self.mistake
        return float(np.linalg.norm(off) / np.linalg.norm(self.mistake))

    def explanations(self) -> list[Explanation]:
        """All explanations, the simplest first."""
        with np.errstate(all="ignore"):
            explanations = [
                e
                for edge in self.backward.edges
                if self._may_be(edge.parent)
                for e in self._at(edge)
            ]
            for search in (self._exchanged, self._skipped, self._terms, self._at_steps, self._cut):
                explanations += search()
            if not any(e.cost < 3 for e in explanations):
                explanations += self._everywhere()
        return sorted(explanations, key=lambda e: e.cost)

    def _may_be(self, node: Node) -> bool:
        """Whether a step passes its gradient on to all wrong parameters."""
        return {*self.wrong} <= self.backward.behind[node.index]

    # Along the directions.

    @cached_property
    def _directions(self) -> list[Any]:
        random = np.random.default_rng(0)
        return [random.standard_normal(self.mistake.shape) for _ in range(DIRECTIONS)]

    @cached_property
    def _along(self) -> Any:
        """The mistake along each of the directions."""
        return np.array([v @ self.mistake for v in self._directions])

    @cached_property
    def _tangents(self) -> list[dict[int, Any]]:
        """How each step changes along each of the directions."""
        ends = np.cumsum([int(np.prod(shape)) for shape in self.shapes.values()])[:-1]
        return [
            self.backward.tangents(
                {
                    name: part.reshape(shape) * self.weights[name]
                    for (name, shape), part in zip(
                        self.shapes.items(), np.split(v, ends), strict=True
                    )
                    if name in self.backward.leaves
                }
            )
            for v in self._directions
        ]

    def _effect(self, node: Node, g: Any) -> Any:
        """What arrives at the parameters along each of the directions if `g` arrives at `node`."""
        moved = [tangents.get(node.index) for tangents in self._tangents]
        return np.array([0.0 if t is None else float(np.vdot(t, g)) for t in moved])

    def _fits(
        self, node: Node, difference: Any, kind: str, text: str, cost: float, at: str
    ) -> Iterator[Explanation]:
        """An explanation, if it fits: `difference` too much arrives at `node`."""
        if not self._may_be(node):
            return
        off = self._along - self._effect(node, difference)
        if np.abs(off).max() > 10 * self.tolerance * np.abs(self._along).max():
            return
        predicted = self.vector(self.backward.gradients(node, difference))
        error = float(np.linalg.norm(self.mistake - predicted) / np.linalg.norm(self.mistake))
        if error <= self.tolerance:
            yield Explanation(f"as if {text} ({at})", error, cost, kind)

    # One edge at a time.

    def _at(self, edge: Edge) -> Iterator[Explanation]:
        node, g = edge.parent, edge.node.gradient
        product = self.backward.product(edge, g)
        own = self._effect(node, product)
        c = 1 + fitted(self._along, own)
        if scaled := self._scaled(edge, c):
            yield from self._fits(node, (c - 1) * product, *scaled, edge.where)
        for mistake in mistakes(self.backward, edge, g, self._other_calls(edge.node)):
            if not says_more(mistake, edge, product):
                continue
            base = 0 if mistake.adds else product
            c = fitted(self._along + (0 if mistake.adds else own), self._effect(node, mistake.sent))
            factor = named(c, self.sizes, 100 * self.tolerance)
            if factor is None or not factor.value:
                continue
            scalable = mistake.kind in ("left out", "axis")
            if mistake.adds and factor.cost < 2:
                text, cost = mistake.text.replace("{}", factor.text), mistake.cost
            elif factor.value == 1 and not mistake.adds:
                text, cost = mistake.text, mistake.cost
            elif scalable:
                text = f"{mistake.text}, times {factor.text}"
                cost = mistake.cost + 1.5 + factor.cost
            else:
                continue
            difference = factor.value * mistake.sent - base
            yield from self._fits(node, difference, mistake.kind, text, cost, edge.where)

    def _other_calls(self, node: Node) -> list[Node]:
        """Nodes of the same op, with a result of the same shape."""
        return [
            other
            for other in self.backward.visits
            if other.op is node.op and other is not node and other.value.shape == node.value.shape
        ]

    def _scaled(self, edge: Edge, c: float) -> tuple[str, str, float] | None:
        """The kind, words and cost of a factor; None if it has no name."""
        path = f"the path back from {edge.node.name} to {edge.parent.name}"
        factor = named(c, self.sizes, 100 * self.tolerance)
        if factor is None:  # it would fit wherever there is one path, and say nothing
            return None
        words: dict[float, str] = {0: "were missing", -1: "had the other sign", 2: "counted twice"}
        said = words.get(factor.value, f"were multiplied by {factor.text}")
        cost = 0.3 + 0.1 * (edge.op in (*PLAIN_OPS, "mean")) + factor.cost
        if factor.value == 0:
            cost = 0.2
        elif _reduces_by(edge, factor.value):  # a sum instead of a mean, at the sum
            cost = 0.1 + 0.5 * factor.cost
        kinds: dict[float, str] = {0: "missing", -1: "sign"}
        return kinds.get(factor.value, "factor"), f"{path} {said}", cost

    # Two places.

    def _exchanged(self) -> Iterator[Explanation]:
        """Two results of one tensor get each other's gradient, such as the halves of a code."""
        for a, b in pairs(self.backward):
            right = self._products(a, a.node) + self._products(b, b.node)
            other = self._products(a, b.node) + self._products(b, a.node)
            text = f"the gradients of {a.node.name} and {b.node.name} were exchanged"
            yield from self._fits(a.parent, other - right, "exchanged", text, 0, a.where)

    def _products(self, edge: Edge, node: Node) -> Any:
        return self.backward.product(edge, node.gradient)

    def _skipped(self) -> Iterator[Explanation]:
        """What arrives at a step is passed on to an earlier one, skipping what lies between."""
        for late, early, between in spans(self.backward):
            text = f"{between} were left out on the path back from {late.name} to {early.name}"
            difference = late.gradient - early.gradient
            yield from self._fits(early, difference, "left out", text, 0.5, where(late))

    def _terms(self) -> Iterator[Explanation]:
        """Some terms of a gradient are missing, or count twice: least squares over the terms."""
        words, predicted, first = [], dict(self.backward.gradients()), None
        for name in self.wrong:
            into = self.backward.into.get(self.backward.leaves[name].index, [])
            terms = [self._products(edge, edge.node) for edge in into]
            if not 1 < len(terms) < predicted[name].size:
                return
            matrix = np.stack([np.ravel(term) for term in terms], axis=1)
            coefficients, _, rank, _ = np.linalg.lstsq(matrix, np.ravel(self.got[name]), rcond=None)
            factors = [named(c, {}, 100 * self.tolerance) for c in coefficients]
            if rank < len(terms) or any(f is None or f.value not in TIMES for f in factors):
                return
            for value, said in TIMES.items():
                some = [e.node.name for e, f in zip(into, factors, strict=True) if f.value == value]  # type: ignore[union-attr]
                if some and said:
                    words.append(f"the paths back from {' and '.join(some)} to {name} {said}")
            predicted[name] = sum(f.value * t for f, t in zip(factors, terms, strict=True))  # type: ignore[union-attr]
            first = first or into[0]
        error = self.misfit(predicted)
        if first and error <= self.tolerance:
            text = f"as if {', and '.join(words)} ({first.where})"
            yield Explanation(text, error, 0.4 + 0.2 * len(words), "terms")

    # At a step.

    def _at_steps(self) -> Iterator[Explanation]:
        """All that arrives at a step is replaced by something else."""
        for node in self.backward.visits:
            if node.op is None or node.value.size < 2:
                continue
            g = node.gradient
            along = self._along + self._effect(node, g)
            ones = np.ones_like(g)
            c = fitted(along, self._effect(node, ones))
            if not np.allclose(g, g.mean(), rtol=1e-6):  # else it would be a factor
                text = f"the same number, {c:.6g}, arrived at every element of {node.name}"
                yield from self._fits(node, c * ones - g, "constant", text, 4, where(node))
            for op in self._activations():
                text = f"the derivative of {op.name} were applied to {node.name}, which has none"
                difference = derivative_of(op, g, node.value) - g
                yield from self._fits(node, difference, "one too many", text, 1, where(node))

    def _activations(self) -> list[Any]:
        """Ops of one argument that act element by element, with a derivative of their own."""
        ops = {
            id(node.op): node.op
            for node in self.backward.visits
            if node.op and len(node.inputs) == 1 and not node.options
            and node.value.shape == node.inputs[0][1].value.shape
            and node.op.name not in PLAIN_OPS
        }  # fmt: skip
        return [*ops.values()]

    def _cut(self) -> Iterator[Explanation]:
        """A step's value became a constant, as by x.array: the path back to it is missing."""
        for node in self.backward.visits:
            for i, (_, x) in enumerate(node.inputs):
                known = x.gradient is not None or node.op is None or node.op.partials[i] is None
                if known or np.size(x.value) < 2:
                    continue
                sent = self.backward.product(Edge(node, i), node.gradient)
                for step in self.backward.visits:
                    if _equal(step.value, x.value):
                        text = f"{x.name} were no constant, but {step.name} with its path back"
                        there = sent.reshape(step.value.shape)
                        yield from self._fits(step, there, "cut", text, 0, where(node))

    # One mistake in all uses of an op: a piece by hand that is wrong once is wrong everywhere.

    def _everywhere(self) -> Iterator[Explanation]:
        kinds: dict[tuple[str, ...], list[Edge]] = {}
        for edge in self.backward.edges:
            kinds.setdefault((edge.op, edge.argument), []).append(edge)
            kinds.setdefault((edge.op, edge.argument, edge.node.line), []).append(edge)
        groups = {tuple((e.node.index, e.i) for e in edges): edges for edges in kinds.values()}
        for keys, edges in groups.items():
            if len(edges) > 1:
                yield from self._at_all({*keys}, edges)
        yield from self._activated_everywhere()

    def _activated_everywhere(self) -> Iterator[Explanation]:
        """The derivative of an activation at all results of an op that no activation follows."""
        for op in self._activations():
            for kind in {node.op.name for node in self.backward.visits if node.op}:

                def change(edge: Edge, g: Any, product: Any, op: Any = op, kind: str = kind) -> Any:
                    x = edge.parent
                    if x.op is None or x.op.name != kind or edge.op == op.name:
                        return product
                    return derivative_of(op, product, x.value)

                error = self.misfit(self.backward.gradients(change=change))
                if error <= self.tolerance:
                    text = f"the derivative of {op.name} were applied to all results of {kind}"
                    yield Explanation(f"as if {text}", error, 1.5, "one too many")

    def _at_all(self, keys: set[tuple[int, int]], edges: list[Edge]) -> Iterator[Explanation]:
        first = edges[-1]
        ending = f", and so in all {len(edges)} uses of {first.op} there"
        for c in self._factors():
            if scaled := self._scaled(first, c):
                kind, text, cost = scaled
                yield from self._if_changed(
                    keys, partial(_times, c), kind, text + ending, cost + 0.5, first
                )
        for mistake in mistakes(self.backward, first, first.node.gradient):
            if not mistake.adds:
                yield from self._if_changed(
                    keys, self._same_kind(_key(mistake, first)), mistake.kind,
                    mistake.text + ending, mistake.cost + 0.5, first,
                )  # fmt: skip

    def _if_changed(
        self,
        keys: set[tuple[int, int]],
        change: Callable[[Edge, Any, Any], Any],
        kind: str,
        text: str,
        cost: float,
        first: Edge,
    ) -> Iterator[Explanation]:
        """An explanation, if it fits: `change` at all edges with some keys."""

        def changed(edge: Edge, g: Any, product: Any) -> Any:
            return change(edge, g, product) if (edge.node.index, edge.i) in keys else product

        error = self.misfit(self.backward.gradients(change=changed))
        if error <= self.tolerance:
            yield Explanation(f"as if {text} ({first.where})", error, cost, kind)

    def _same_kind(self, key: str) -> Callable[[Edge, Any, Any], Any]:
        """The same mistake at other edges."""

        def changed(edge: Edge, g: Any, product: Any) -> Any:
            for mistake in mistakes(self.backward, edge, g):
                if _key(mistake, edge) == key:
                    return mistake.sent
            return product

        return changed

    def _factors(self) -> list[float]:
        """The factors by which single parameters are wrong, and the usual ones."""
        of_each = []
        for name in self.wrong:
            here = self.vector({name: np.ones(self.shapes[name])}) != 0
            b = self.expected[here]
            of_each.append(fitted(b + self.mistake[here], b))
        return [*dict.fromkeys([0.0, -1.0, 2.0, 0.5, *of_each])]


def pairs(backward: BackwardPass) -> Iterator[tuple[Edge, Edge]]:
    """Two calls of the same op on the same tensor, with results of the same shape."""
    for a, b in combinations(backward.edges, 2):
        same = a.parent is b.parent and a.op == b.op and a.i == b.i and a.node is not b.node
        if same and a.node.value.shape == b.node.value.shape:
            yield a, b


def spans(backward: BackwardPass) -> Iterator[tuple[Node, Node, str]]:
    """A step, an earlier one of its shape, and the ops between: two or more, with no way around."""
    latest = backward.visits[0].index
    by_index = {node.index: node for node in backward.visits}
    through: dict[int, list[int]] = {latest: [latest]}  # the steps on every path back
    for early in backward.visits[1:]:
        met = [through[edge.node.index] for edge in backward.into.get(early.index, ())]
        if not met:
            continue
        all_met = [i for i in met[0] if all(i in other for other in met[1:])]
        through[early.index] = [*all_met, early.index]
        for i in all_met[:-1] if len(met) == 1 else all_met:
            late = by_index[i]
            if late.value.shape == early.value.shape and late.value.size > 1:
                yield late, early, _between(backward, late, early)


def _between(backward: BackwardPass, late: Node, early: Node) -> str:
    """The factors between two steps, where there is one path; or the names of both."""
    factors, node = [], early
    while node is not late:
        (edge, *more) = backward.into[node.index]
        if more:
            return f"all steps from {early.name} to {late.name}"
        factors.append(edge.factor)
        node = edge.node
    return " and ".join(reversed(factors))


def _times(c: float, edge: Edge, g: Any, product: Any) -> Any:
    return c * product


def derivative_of(op: Any, g: Any, x: Any) -> Any:
    """`g` times the derivative of an op of one argument at `x`."""
    return op.partials[0](g, op.forward(x), x)


def _equal(x: Any, y: Any) -> bool:
    return x.size == y.size and bool(np.allclose(np.ravel(x), np.ravel(y), rtol=1e-10, atol=0))


def _reduces_by(edge: Edge, factor: float) -> bool:
    """Whether a factor is a length that the op sums over, or its inverse."""
    x, y = edge.parent.value, edge.node.value
    lengths = [x.size / max(y.size, 1), *(n for n in x.shape if x.size > y.size)]
    return any(np.isclose(abs(factor), [n, 1 / n]).any() for n in lengths if n > 1)


def _key(mistake: Mistake, edge: Edge) -> str:
    """The words of a mistake without the names in them: the same at every edge of one op."""
    return mistake.text.replace(edge.factor, "").replace(edge.path, "")
