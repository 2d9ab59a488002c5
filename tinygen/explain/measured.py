"""The derivative with respect to any step of a graph, measured by recomputing what follows it.

This is done in float64, whatever the graph's dtype, so that the measured value is more accurate
than the one it is compared with.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygen.backend import backend_of

if TYPE_CHECKING:
    from tinygen.explain.trace import Node, Trace

STEPS = tuple(10.0**-k for k in range(3, 17))
"""Relative to the element, or to 1 if the element is smaller."""


def finite_difference(trace: Trace, node: Node, index: Any, by: Node | None = None) -> float:
    """The derivative of the result with respect to one element of a node, a central difference.

    No single step size suits every element: log at 1e-9 needs a smaller one than a weight of 1e-9.
    So the step shrinks tenfold until rounding is worse than what the last one changed, and the
    result is the difference that is nearest to its predecessor. Its error is about 1e-12 times the
    result of the graph: a derivative of 1e-6 times that result has six correct digits.

    Args:
        by: the only consumer that sees the element move, for the part of the gradient that it
            sends; by default all do.
    """
    backend = backend_of(node.value)
    x = np.array(backend.to_numpy(node.value))
    index = _one_element(x, node.name, index)
    x, result = x.astype(np.float64), recomputed(trace, node, by)
    middle = x[index]

    def at(value: float) -> float:
        x[index] = value
        return float(result(backend.asarray(x)))

    best, error, last = np.nan, np.inf, np.nan
    size = max(abs(middle), 1.0)
    rounding = float(np.finfo(np.float64).eps) * abs(float(trace.nodes[-1].value)) / size
    with np.errstate(all="ignore"):  # a step may leave the domain; a smaller one may not
        for step in STEPS:
            if rounding / step > error:
                break
            low, high = middle - step * size, middle + step * size
            derivative = (at(high) - at(low)) / (high - low)
            disagreement = abs(derivative - last) + rounding / step
            if disagreement < error:
                best, error = derivative, disagreement
            last = derivative
    return float(best)


def recomputed(trace: Trace, node: Node, by: Node | None = None) -> Callable[[Any], Any]:
    """The result of the traced graph in float64, as a function of the array of a node.

    With `by`, only that consumer sees the array; all others see the node's own value.
    """
    last = trace.nodes[-1]
    moving, steps = {node.index}, []
    for later in trace.nodes[node.index + 1 :]:
        seen = moving - {node.index} if by and later is not by else moving
        parents = [parent for _, parent in later.inputs]
        if later.op is not None and any(parent.index in seen for parent in parents):
            moving.add(later.index)
            options = {key: _in_float64(option, key) for key, option in later.options.items()}
            constants = [
                (p.index if p.index in seen else None, _in_float64(p.value)) for p in parents
            ]
            steps.append((later.index, later.op.forward, constants, options))

    def result(x: Any) -> Any:
        values: dict[int | None, Any] = {node.index: x}
        for index, forward, parents, options in steps:
            arrays = [values.get(i, constant) for i, constant in parents]
            values[index] = forward(*arrays, **options)
        return values.get(last.index, last.value)

    return result


def _one_element(x: np.ndarray, name: str, index: Any) -> tuple[int, ...]:
    if x.dtype.kind != "f":
        raise TypeError(
            f"finite_difference: expected a step of floats, got {name}, which is of {x.dtype}"
        )
    indices = index if isinstance(index, tuple) else (index,)
    if len(indices) != x.ndim or not all(
        isinstance(i, (int, np.integer)) and -n <= i < n
        for i, n in zip(indices, x.shape, strict=True)
    ):
        raise IndexError(
            f"finite_difference: expected the index of one element of {name}, whose shape is "
            f"{x.shape}, got {index!r}"
        )
    return tuple(map(int, indices))


def _in_float64(x: Any, name: str = "") -> Any:
    """Convert an array of floats, those in a tuple, or the option ``dtype``; leave all else."""
    if name == "dtype":
        return np.float64 if np.dtype(x).kind == "f" else x
    if isinstance(x, tuple):
        return tuple(map(_in_float64, x))
    return x.astype(np.float64) if hasattr(x, "dtype") and x.dtype.kind == "f" else x
