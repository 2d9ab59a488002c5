"""The derivative with respect to any step of a graph, measured: the rest is computed once more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygen.autograd.finite_differences import STEP, derivatives_along
from tinygen.backend import backend_of

if TYPE_CHECKING:
    from tinygen.explain.trace import Node, Trace


def replayed(trace: Trace, node: Node, value: Any) -> Any:
    """The result of the traced graph, had `node` had that value."""
    last = trace.nodes[-1]
    return recomputed(trace, {node.index: value}).get(last.index, last.value)


def recomputed(trace: Trace, values: Mapping[int, Any]) -> dict[int, Any]:
    """All that would have another value, had some nodes these `values`: by their index."""
    moved = {**values}
    for later in trace.nodes[min(moved) + 1 :]:
        if later.index in values:
            continue
        op, parents = later.op, [parent for _, parent in later.inputs]
        if op is not None and any(parent.index in moved for parent in parents):
            arrays = [moved.get(parent.index, parent.value) for parent in parents]
            moved[later.index] = op.forward(*arrays, **later.options)
    return moved


def finite_difference(trace: Trace, node: Node, index: Any) -> float:
    """The derivative of the result with respect to one element of a node, a central difference.

    In float64 it has ten digits; in float32, where the step is larger, three.
    """
    backend = backend_of(node.value)
    x = backend.to_numpy(node.value)
    v = np.zeros_like(x)
    v[index] = 1
    coarser = float(np.finfo(x.dtype).eps / np.finfo(np.float64).eps) ** (1 / 3)
    step = STEP * coarser * (float(abs(x).max(initial=0)) or 1.0)

    def result(x: Any) -> float:
        return float(replayed(trace, node, backend.asarray(x)))

    return derivatives_along(v, x, v, result, step)[1]
