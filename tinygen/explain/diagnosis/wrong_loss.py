"""The forward pass again with one mistake in it: which mistake gives the wrong loss?

Such a mistake is a different graph, in which some steps have another op or other inputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import log, pi
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from tinygen.autograd import Op
from tinygen.explain.diagnosis.arrays import Explanation
from tinygen.explain.diagnosis.backward import BackwardPass, where
from tinygen.explain.diagnosis.factors import Sizes
from tinygen.explain.diagnosis.search import Search, pairs, spans
from tinygen.explain.trace import Node, Trace

IDENTITY = Op(lambda x: x, {"dx": lambda g, y, x: g})


class WrongGraph(NamedTuple):
    """A mistake in the forward pass.

    Attributes:
        kind, text, cost: as of a `Mistake`.
        steps: the steps as they would be, by index; their values are still the right ones.
    """

    kind: str
    text: str
    cost: float
    steps: dict[int, Node]


def explain_loss(search: Search, loss: float, tolerance: float) -> list[Explanation]:
    """Every single mistake that gives the wrong loss and also the wrong gradients.

    Args:
        search: has the right graph and the wrong gradients.
        loss: the wrong one.
        tolerance: how well an explanation must fit the loss, relative to it.
    """
    trace = search.backward.trace
    right = float(trace.nodes[-1].value)
    allowed = tolerance * max(abs(loss), abs(right))
    explanations = [] if search.wrong else [*_constants(loss - right, search.sizes, allowed)]
    with np.errstate(all="ignore"):
        for wrong in _wrong_graphs(search.backward, search.sizes):
            values = _values(trace, wrong)
            if values is None:
                continue
            off = abs(float(values[trace.nodes[-1].index]) - loss)
            if not off <= allowed:  # it may be NaN
                continue
            error = _misfit(trace, values, wrong, search)
            if error <= search.tolerance:
                first = next(iter(wrong.steps.values()))
                predicate = f"as if {wrong.text} ({where(trace.nodes[first.index])})"
                explanations.append(Explanation(predicate, error, wrong.cost + 0.5, wrong.kind))
    return sorted(explanations, key=lambda e: e.cost)


def _constants(difference: float, sizes: Sizes, allowed: float) -> Iterator[Explanation]:
    """A constant that is missing, or one too many: the gradient does not see it."""
    for s, name in sizes.items():
        constants = {f"log({s})": log(s), f"{s}/2 log(2 pi)": s / 2 * log(2 * pi)}
        for text, constant in constants.items():
            for value, word in ((constant, "more"), (-constant, "less")):
                if abs(difference - value) <= allowed:
                    predicate = f"is {text} {word} than it should be, with {s} = {name}"
                    yield Explanation(predicate, 0.0, 0, "constant", "the loss")


# The mistakes that are tried.


def _wrong_graphs(backward: BackwardPass, sizes: Sizes) -> Iterator[WrongGraph]:
    steps = [node for node in backward.visits if node.op is not None]
    for node in steps:
        yield from _scaled(node, sizes)
        yield from _without(node)
        yield from _other_axis(node)
    for late, early, _ in spans(backward):
        text = f"{late.name} were {early.name} as it is"
        yield WrongGraph("left out", text, 0.5, {late.index: _identity(late, early)})
    for a, b in pairs(backward):
        if len(a.node.inputs) == len(b.node.inputs) == 1:
            text = f"{a.node.name} and {b.node.name} were exchanged"
            exchanged = {a.node.index: _like(a.node, b.node), b.node.index: _like(b.node, a.node)}
            yield WrongGraph("exchanged", text, 0, exchanged)
    yield from _everywhere(steps)


def _scaled(node: Node, sizes: Sizes) -> Iterator[WrongGraph]:
    """An input times a factor."""
    factors = {-1.0: "had the other sign", 2.0: "were doubled", 0.5: "were halved", 0.0: "were 0"}
    for s, name in sizes.items():
        factors[float(s)] = f"were multiplied by {s} = {name}"
        factors[1 / s] = f"were divided by {s} = {name}"
    for i, (argument, x) in enumerate(node.inputs):
        if x.gradient is None and not (np.shape(x.value) and x.value.dtype.kind == "f"):
            continue  # a number has no name, and whole numbers are options
        for c, words in factors.items():
            text = f"{x.name}, the {argument} of {node.name}, {words}"
            cost = 0.0 if abs(c) in (0, 0.5, 1, 2) else 0.5
            yield WrongGraph("factor", text, cost, {node.index: _times(node, i, c)})


def _without(node: Node) -> Iterator[WrongGraph]:
    for _, x in node.inputs:
        if x.gradient is not None and x.value.shape == node.value.shape:
            text = f"{node.name} were its argument {x.name} as it is"
            yield WrongGraph("left out", text, 0.1, {node.index: _identity(node, x)})


def _other_axis(node: Node) -> Iterator[WrongGraph]:
    axis = node.options.get("axis")
    if isinstance(axis, int):
        x = node.inputs[0][1].value
        for other in range(x.ndim):
            if other != axis % x.ndim:
                text = f"{node.name} were along axis {other}, not {axis % x.ndim}"
                step = replace(node, options={**node.options, "axis": other})
                yield WrongGraph("axis", text, 0.3, {node.index: step})


def _everywhere(steps: list[Node]) -> Iterator[WrongGraph]:
    """All uses of an op are left out, or one of its arguments is 0."""
    uses: dict[tuple[str, str], list[Node]] = {}
    for node in steps:
        uses.setdefault((node.op.name if node.op else "", node.line), []).append(node)
    for (op, _), nodes in uses.items():
        if len(nodes) < 2:
            continue
        for i, (argument, x) in enumerate(nodes[0].inputs):
            ending = f" in all {len(nodes)} uses of {op} there"
            if np.shape(x.value) == np.shape(nodes[0].value):
                left_out = {node.index: _identity(node, node.inputs[i][1]) for node in nodes}
                text = f"{op} were left out, and its {argument} taken,{ending}"
                yield WrongGraph("left out", text, 0.6, left_out)
            zero = {node.index: _times(node, i, 0.0) for node in nodes}
            yield WrongGraph("missing", f"the {argument} of {op} were 0{ending}", 0.7, zero)


# A step as it would be.


def _identity(node: Node, x: Node) -> Node:
    return replace(node, op=IDENTITY, inputs=[("x", x)], options={})


def _like(node: Node, other: Node) -> Node:
    """The op, the inputs and the options of another step."""
    return replace(node, op=other.op, inputs=other.inputs, options=other.options)


def _times(node: Node, i: int, c: float) -> Node:
    """The step with argument i multiplied by c."""
    op: Any = node.op

    def scaled(xs: Any) -> list[Any]:
        return [c * x if k == i else x for k, x in enumerate(xs)]

    def partial_of(k: int) -> Any:
        partial, factor = op.partials[k], c if k == i else 1.0
        return partial and (lambda g, y, *xs, **o: factor * partial(g, y, *scaled(xs), **o))

    wrong: Any = SimpleNamespace(  # what a step needs of an op
        name=op.name,
        forward=lambda *xs, **o: op.forward(*scaled(xs), **o),
        partials=[partial_of(k) for k in range(len(node.inputs))],
    )
    return replace(node, op=wrong)


# Its loss and its gradients.


def _values(trace: Trace, wrong: WrongGraph) -> dict[int, Any] | None:
    """All values of the wrong graph that change, including the last one; None if it has none."""
    steps = wrong.steps
    try:
        values: dict[int, Any] = {}
        for node in trace.nodes[min(steps) :]:
            node = steps.get(node.index, node)
            if node.op is not None and (
                node.index in steps or any(x.index in values for _, x in node.inputs)
            ):
                arrays = [values.get(x.index, x.value) for _, x in node.inputs]
                values[node.index] = node.op.forward(*arrays, **node.options)
        return values if np.ndim(values.get(trace.nodes[-1].index, [0])) == 0 else None
    except (ValueError, TypeError, IndexError):  # shapes that later steps reject
        return None


def _misfit(trace: Trace, values: Mapping[int, Any], wrong: WrongGraph, search: Search) -> float:
    """How far the gradients of the wrong graph are from those to be explained."""
    if not search.wrong:
        return 0.0
    errors = []
    for steps in (wrong.steps, {}):  # its own gradients; the right formulas at wrong values
        other = _backward(trace, values, steps, search)
        try:
            errors.append(search.misfit(other.gradients()))
        except (ValueError, TypeError):
            errors.append(np.inf)
    return min(errors)


def _backward(
    trace: Trace, values: Mapping[int, Any], steps: Mapping[int, Node], search: Search
) -> BackwardPass:
    nodes: dict[int, Node] = {}
    for node in trace.nodes:
        node = steps.get(node.index, node)
        inputs = [(argument, nodes.get(x.index, x)) for argument, x in node.inputs]
        value = values.get(node.index, node.value)
        nodes[node.index] = replace(node, inputs=inputs, value=value)
    visits = [nodes[node.index] for node in trace.visits]
    leaves = {name: nodes[leaf.index] for name, leaf in search.backward.leaves.items()}
    return BackwardPass(Trace([*nodes.values()], visits), leaves)
