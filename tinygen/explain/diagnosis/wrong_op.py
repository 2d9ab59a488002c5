"""Why a gradient differs from finite differences: the op whose partial is wrong at these values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygen.autograd import GradientError, Tensor
from tinygen.autograd import check_gradients as plain_check
from tinygen.autograd.finite_differences import STEP, check_one_gradient
from tinygen.backend import backend_of, to_host
from tinygen.explain.diagnosis.arrays import explain_array
from tinygen.explain.diagnosis.backward import summed_to
from tinygen.explain.diagnosis.comparison import lines_of
from tinygen.explain.diagnosis.factors import sizes_of
from tinygen.explain.sources import place
from tinygen.explain.trace import Node, trace

FEW = 2000
"""The most elements to measure one by one."""


def why_not_measured(error: GradientError, order: int, by_ops: bool) -> list[str]:
    """The lines that explain why a gradient differs from the measured one."""
    if error.function is None:
        return []
    if by_ops and (wrong := _wrong_op(error, order)):
        return [wrong]
    lines = []
    got = {name: to_host(x) for name, x in error.got.items()}
    name = error.name.split("input ")[-1]
    if name in got and got[name].size <= FEW:
        measured = _measured(error.function, error.arrays, name)
        sizes = sizes_of(error.arrays, {})
        lines = lines_of(explain_array(name, got, {name: measured}, sizes, 1e-5))
    if by_ops:
        lines += [
            "every op agrees with differences of its own: a path is missing in the graph, as by "
            "x.array or x.detach() of what depends on the input"
        ]
    return lines


def _measured(function: Any, arrays: Mapping[str, Any], name: str) -> Any:
    """The gradient by central differences, element by element, on the host."""
    x = backend_of(arrays[name]).to_numpy(arrays[name]).astype(np.float64)
    h = STEP * (float(abs(x).max(initial=0)) or 1.0)

    def at(moved: Any) -> float:
        there = backend_of(arrays[name]).asarray(moved, arrays[name].dtype)
        xs = {n: Tensor(there if n == name else a, requires_grad=True) for n, a in arrays.items()}
        return float(function(xs).array)

    measured = np.zeros_like(x)
    for index in np.ndindex(*x.shape):
        v = np.zeros_like(x)
        v[index] = h
        measured[index] = (at(x + v) - at(x - v)) / (2 * h)
    return measured


def _wrong_op(error: GradientError, order: int) -> str:
    """Which op's partial disagrees with differences of the op alone, at these values; or ""."""
    traced = trace(error.function, dict(error.arrays))  # type: ignore[arg-type]
    for node in traced.visits:
        for i, (_, x) in enumerate(node.inputs):
            if x.gradient is not None and (failed := _failure(node, i, order)) is not None:
                return _said(node, i, failed)
    return ""


def _failure(node: Node, i: int, order: int) -> GradientError | None:
    """The failure of the partial of argument i, as a function of this argument alone."""
    op: Any = node.op
    values = [x.value for _, x in node.inputs]
    c = np.random.default_rng(0).standard_normal(node.value.shape)
    c = backend_of(node.value).asarray(c, node.value.dtype)

    def alone(x: Any) -> Any:
        return op(*values[:i], x, *values[i + 1 :], **node.options)

    try:
        dx = op.partials[i]
        product = dx(c, node.value, *values, **node.options) if dx else 0  # None stands for 0
        check_one_gradient(lambda x: (alone(x) * c).sum(), values[i], summed_to(product, values[i]))
        if order > 1:
            plain_check(alone, [values[i]], order=order, directions=2)
    except GradientError as error:
        return error
    return None


def _said(node: Node, i: int, error: GradientError) -> str:
    """Which partial is wrong, where it is defined, where it is called, and how it is wrong."""
    op: Any = node.op
    argument, x = node.inputs[i]
    function = getattr(op.partials[i], "func", op.partials[i])
    where = place(function) or place(op.forward)
    text = f"why: the partial d{argument} of {op.name} is wrong"
    text += f" ({where})" if where else ""
    if node.line:
        text += f", called in {node.line}"
    got = {name: to_host(a) for name, a in error.got.items()}
    if error.function is not None and "0" in got and got["0"].size <= FEW:
        measured = {"0": _measured(error.function, error.arrays, "0")}
        known = explain_array("0", got, measured, sizes_of({x.name: x.value}, {}), 1e-5)
        if known and "second order" not in str(error):
            text += f": what it returns {known[0].predicate}"
    return text
