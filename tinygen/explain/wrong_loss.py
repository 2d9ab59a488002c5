"""The forward pass once more with one mistake in it: which mistake gives the wrong loss?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import log, pi
from typing import Any, NamedTuple

import numpy as np

from tinygen.explain.diagnosis import Explanation
from tinygen.explain.factors import Sizes
from tinygen.explain.measured import recomputed
from tinygen.explain.replay import Edge, Replay
from tinygen.explain.trace import Node, Trace


class Mistake(NamedTuple):
    """The values that some nodes would have, and what their edges would then send back."""

    edge: Edge
    kind: str
    text: str
    cost: float
    values: dict[int, Any]
    change: Callable[[Replay, Edge, Any], Any]


def explain_loss(trace: Trace, replay: Replay, loss: float, tolerance: float) -> list[Explanation]:
    """Every single mistake that gives the wrong loss, and the wrong gradients as well.

    Args:
        trace: of the right function.
        replay: of its backward pass; it knows the wrong gradients.
        loss: the wrong one.
        tolerance: how well an explanation has to fit the loss, relative to it.
    """
    right = float(trace.nodes[-1].value)
    allowed = tolerance * max(abs(loss), abs(right))
    found = [] if replay.wrong else [*_constants(loss - right, replay.sizes, allowed)]
    with np.errstate(all="ignore"):
        for mistake in _mistakes(replay):
            values = recomputed(trace, mistake.values)
            result = float(values.get(trace.nodes[-1].index, right))
            if abs(result - loss) <= allowed:
                error = _misfit(trace, values, mistake, replay)
                if error <= replay.tolerance:
                    text = f"as if {mistake.text} ({mistake.edge.where})"
                    cost = mistake.cost + 0.5
                    found.append(Explanation(text, error, cost, mistake.kind))
    return sorted(found, key=lambda e: e.cost)


def _constants(difference: float, sizes: Sizes, allowed: float) -> Iterator[Explanation]:
    """A constant that is missing, or one too many: the gradient does not see it."""
    known = {f"log({s})": log(s) for s in sizes} | {
        f"{s}/2 log(2 pi)": s / 2 * log(2 * pi) for s in sizes
    }
    for text, value in known.items():
        for sign, word in ((1, "more"), (-1, "less")):
            if abs(difference - sign * value) <= allowed:
                size = int(text.strip("log()").split("/")[0])
                said = f"the loss is {text} {word} than it should be, with {size} = {sizes[size]}"
                yield Explanation(said, 0.0, 0, "constant")


def _mistakes(replay: Replay) -> Iterator[Mistake]:
    factors = {-1.0: "had the other sign", 2.0: "were doubled", 0.5: "were halved", 0.0: "were 0"}
    for s, name in replay.sizes.items():
        factors[float(s)] = f"were multiplied by {s} = {name}"
        factors[1 / s] = f"were divided by {s} = {name}"
    for edge in _all_edges(replay):
        x, i, n = edge.parent.value, edge.i, edge.node.index
        for c, words in factors.items():
            text = f"{edge.parent.name}, the {edge.argument} of {edge.node.name}, {words}"
            cost = 0.0 if abs(c) in (0, 0.5, 1, 2) else 0.5
            moved = _forward(edge, c * x)
            if moved is not None:
                yield Mistake(edge, "factor", text, cost, {n: moved}, _scaled(i, c, c * x))
        if x.shape == edge.node.value.shape:
            text = f"{edge.node.name} were its argument {edge.parent.name} as it is"
            yield Mistake(edge, "left out", text, 0.1, {n: x}, _passed(i))
    for a, b in replay.pairs():
        if any(len(replay.of_node[edge.node.index]) > 1 for edge in (a, b)):
            continue
        text = f"{a.node.name} and {b.node.name} were exchanged"
        values = {a.node.index: b.node.value, b.node.index: a.node.value}
        yield Mistake(a, "exchanged", text, 0, values, _exchanged(a, b))


def _all_edges(replay: Replay) -> Iterator[Edge]:
    """To constants as well, such as noise; not to single numbers, which have no name."""
    for node in replay.visits:
        for i, (_, x) in enumerate(node.inputs):
            shape = getattr(x.value, "shape", ())
            if x.gradient is not None or (shape and x.value.dtype.kind == "f"):
                yield Edge(node, i)


def _forward(edge: Edge, x: Any) -> Any:
    node = edge.node
    assert node.op is not None
    arrays = [parent.value for _, parent in node.inputs]
    arrays[edge.i] = x
    try:
        return node.op.forward(*arrays, **node.options)
    except ValueError:  # a value that the op does not take
        return None


def _scaled(i: int, c: float, x: Any) -> Callable[[Replay, Edge, Any], Any]:
    def change(replay: Replay, edge: Edge, g: Any) -> Any:
        return replay.product(edge, g, {i: x}) * (c if edge.i == i else 1.0)

    return change


def _passed(i: int) -> Callable[[Replay, Edge, Any], Any]:
    return lambda replay, edge, g: g if edge.i == i else 0 * edge.parent.value


def _exchanged(a: Edge, b: Edge) -> Callable[[Replay, Edge, Any], Any]:
    return lambda replay, edge, g: replay.product(b if edge.node.index == a.node.index else a, g)


def _misfit(trace: Trace, values: dict[int, Any], mistake: Mistake, replay: Replay) -> float:
    """How far the gradients of the wrong graph are off those that are to be explained."""
    if not replay.wrong:
        return 0.0
    nodes: dict[int, Node] = {}
    for node in trace.nodes:
        inputs = [(argument, nodes.get(x.index, x)) for argument, x in node.inputs]
        value = values.get(node.index, node.value)
        nodes[node.index] = replace(node, inputs=inputs, value=value)
    other = replay.of(Trace([*nodes.values()], [nodes[node.index] for node in trace.visits]))
    keys = {(index, i) for index in mistake.values for i in range(len(nodes[index].inputs))}
    ways = (
        lambda edge, g, _: mistake.change(other, edge, g),  # the gradient of the wrong loss
        lambda edge, g, product: product,  # the right formulas, of wrong values
    )
    size = float(np.linalg.norm(replay.mistake))
    return min(
        float(np.linalg.norm(replay.mistake - other.changed(keys, way))) / size for way in ways
    )
