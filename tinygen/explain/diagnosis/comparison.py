"""Why two gradients differ: what the arrays show, and the graph, where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from inspect import ismethod
from typing import Any

import numpy as np

from tinygen.autograd import GradientError
from tinygen.autograd.engine import in_container_of
from tinygen.backend import get_backend, to_host
from tinygen.explain.diagnosis.arrays import (
    Explanation,
    explain_array,
    tolerance_of,
    wrong_names,
)
from tinygen.explain.diagnosis.backward import BackwardPass
from tinygen.explain.diagnosis.factors import Sizes, sizes_of
from tinygen.explain.diagnosis.search import Search
from tinygen.explain.diagnosis.wrong_loss import explain_loss
from tinygen.explain.trace import trace
from tinygen.parameters import Parameters

MOST = 2e8
"""Elements times edges: a larger graph is not searched, as it would take minutes."""

NONE_KNOWN = "no known mistake gives this gradient"


def why_not_equal(
    error: GradientError, f: Any, g: Any, p: Mapping[str, Any], data: tuple[Any, ...]
) -> list[str]:
    """The lines that explain why `f` has other gradients than `g`."""
    got, expected = error.got, error.expected or {}
    if not expected or not all(np.isfinite(x).all() for x in (*got.values(), *expected.values())):
        return []
    if error.name and not (error.name in got and error.name in expected):
        return []  # the message says it all
    (loss, right), which = error.losses or (0.0, 0.0), "first"
    graph = graph_of(g, p, data, expected)
    if graph is None and (graph := graph_of(f, p, data, got)) is not None:
        got, expected, loss, which = expected, got, right, "second"
    sizes = sizes_of(p, {f"data[{i}]": x for i, x in enumerate(data)})
    return lines_of(diagnose(error.name, got, expected, sizes, graph, loss), which)


def graph_of(f: Any, p: Any, data: Any, gradients: Mapping[str, Any]) -> BackwardPass | None:
    """The backward pass of a function of Tensors, on the host.

    None for any other function, or for one that does not have these `gradients`.
    """
    arrays = {name: _on_host(x) for name, x in p.items()}
    try:
        traced = trace(tensor_function(f), arrays, *_on_host(data))
    except Exception:  # whatever a function by hand raises for Tensors
        return None
    leaves = {
        name: node
        for name, x in arrays.items()
        for node in traced.nodes
        if node.op is None and node.value is x
    }
    tolerance = 1e-3 if tolerance_of(*gradients.values()) > 1e-6 else 1e-9
    scale = max(float(np.linalg.norm(x)) for x in gradients.values())
    for name, x in gradients.items():
        own = leaves[name].gradient if name in leaves else None
        own = 0 * x if own is None else own
        if own.shape != x.shape or np.linalg.norm(own - x) > tolerance * scale:
            return None
    return BackwardPass(traced, leaves)


def tensor_function(f: Any) -> Any:
    """The function of Tensors behind one that returns gradients, with what `partial` has bound."""
    if isinstance(f, partial):
        return partial(tensor_function(f.func), *f.args, **f.keywords)
    if ismethod(f) or not hasattr(f, "__wrapped__"):  # a model's loss is a function of Tensors
        return f
    return tensor_function(f.__wrapped__)


def _on_host(x: Any) -> Any:
    """All arrays as NumPy arrays, with which a replay computes."""
    if isinstance(x, Parameters):
        return x.to(get_backend("numpy"))
    if isinstance(x, Mapping):
        return {name: _on_host(part) for name, part in x.items()}
    if isinstance(x, (list, tuple)):
        return in_container_of(x, [_on_host(part) for part in x])
    return to_host(x) if hasattr(x, "dtype") else x


def diagnose(
    name: str,
    got: Mapping[str, Any],
    expected: Mapping[str, Any],
    sizes: Sizes,
    graph: BackwardPass | None = None,
    loss: float | None = None,
) -> list[Explanation]:
    """Every mistake that would turn `expected` into `got`, the simplest first.

    Args:
        name: the parameter that is most wrong; "" for none in particular.
        got, expected: gradients by name, on the host.
        sizes: by which factors are named.
        graph: that of the right function; a function by hand has none.
        loss: that of the wrong function, which may be wrong as well.
    """
    tolerance = tolerance_of(*got.values(), *expected.values())
    if any(name not in got or got[name].shape != x.shape for name, x in expected.items()):
        return explain_array(name, got, expected, sizes, tolerance) if name in got else []
    explanations = _of_arrays(got, expected, sizes, tolerance)
    if graph is not None and graph.size < MOST:
        search = Search(graph, got, expected, sizes, tolerance)
        explanations += search.explanations() if search.wrong else []
        right = float(graph.trace.nodes[-1].value)
        allowed = 1e-10 if tolerance < 1e-6 else 1e-5
        if loss is not None and abs(loss - right) > allowed * abs(right) and not explanations:
            explanations = explain_loss(search, loss, allowed)
    return sorted(explanations, key=lambda e: e.cost)


def _of_arrays(
    got: Mapping[str, Any], expected: Mapping[str, Any], sizes: Sizes, tolerance: float
) -> list[Explanation]:
    """What the arrays show: about one that is wrong, or about all that are wrong alike."""
    wrong = wrong_names(got, expected, tolerance)
    if not wrong:
        return []
    first, *others = [explain_array(name, got, expected, sizes, tolerance) for name in wrong]
    known_of_others = [{e.predicate for e in of_one} for of_one in others]
    subject, cost = f"the gradient of {_listed(wrong)}", 0.2 + (len(wrong) > 1)
    return [
        replace(e, subject=subject, cost=e.cost + cost)
        for e in first
        if all(e.predicate in known for known in known_of_others)
    ]


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def lines_of(explanations: list[Explanation], which: str = "") -> list[str]:
    """The lines about the best explanation, with its digits, and the second best if it is close.

    Args:
        explanations: the simplest first.
        which: which of two functions has the mistake, in words.
    """
    if not explanations:
        return [f"why: {NONE_KNOWN}"]
    best, *others = explanations
    function = f"the {which} one is " if which and not best.subject else ""
    lines = [f"why: {function}{best.text}; fits to {_digits(best.error)} digits"]
    for other in others:
        if other.kind != best.kind and other.cost <= best.cost + 0.5:
            return [*lines, f"or:  {other.text}"]
    return lines


def _digits(error: float) -> int:
    return int(min(16, -np.log10(max(error, 1e-16))))
