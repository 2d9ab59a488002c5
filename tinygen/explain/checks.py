"""The checks of gradients, with the reason when one fails.

They are those of `tinygen.autograd`; here a failure is looked into, and its message gets lines that
begin with "why:". Functions that return gradients by hand are checked as well.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from functools import partial, wraps
from typing import Any

import numpy as np

from tinygen.autograd import (
    GradientComparison,
    GradientError,
    GradientReport,
    Op,
    Tensor,
    value_and_grad,
)
from tinygen.autograd import check_gradients as plain_check
from tinygen.autograd import compare_gradients as plain_compare
from tinygen.autograd.engine import in_container_of
from tinygen.autograd.finite_differences import STEP, check_one_gradient
from tinygen.autograd.operators import raw
from tinygen.backend import backend_of, get_backend, to_host
from tinygen.explain.diagnosis import Explanation, explain_array, tolerance_of, wrong_names
from tinygen.explain.factors import Sizes, sizes_of
from tinygen.explain.replay import Replay, summed_to
from tinygen.explain.sources import place
from tinygen.explain.trace import Node, Trace, trace
from tinygen.explain.wrong_loss import explain_loss
from tinygen.parameters import Parameters

FEW = 2000
"""So many elements are measured one by one."""

NONE_KNOWN = "no mistake that I know gives this gradient"


@wraps(plain_compare)
def compare_gradients(
    f: Callable[..., Any],
    g: Callable[..., Any],
    p: Mapping[str, Any],
    *data: Any,
    tolerance: float | None = None,
) -> GradientComparison:
    f, g = _with_gradients(f), _with_gradients(g)
    try:
        return plain_compare(f, g, p, *data, tolerance=tolerance)
    except GradientError as error:
        _explain(error, _of_comparison, f, g, p, data)
        raise


@wraps(plain_check)
def check_gradients(
    f: Callable[..., Any],
    inputs: Any,
    *,
    order: int = 1,
    elementwise: bool = False,
    directions: int = 3,
    tolerance: float = 1e-7,
    seed: int = 0,
) -> GradientReport:
    by_hand = _returns_gradients(f, inputs)
    if by_hand and order > 1:
        raise ValueError(
            "check_gradients: expected order=1 for a function that returns gradients as arrays; "
            f"its second derivatives are not known, got order={order}"
        )
    try:
        return plain_check(
            _as_tensor_function(f, inputs) if by_hand else f,
            inputs, order=order, elementwise=elementwise,
            directions=directions, tolerance=tolerance, seed=seed,
        )  # fmt: skip
    except GradientError as error:
        _explain(error, _of_check, order, not by_hand)
        raise


def _documented(f: Any, plain: Any, before: str, more: str) -> None:
    """The docstring of the plain function, with a sentence more."""
    f.__doc__ = (plain.__doc__ or "").replace(before, more + before, 1)


_documented(
    compare_gradients,
    plain_compare,
    "    Args:\n",
    "    Either function may also be one of Tensors, ``(parameters, *data) -> loss``.\n"
    "    The message of a failure ends with the mistake that explains it, where one is known.\n\n",
)
_documented(
    check_gradients,
    plain_check,
    "    Args:\n",
    "    `f` may also return ``(loss, gradients)`` of a mapping of arrays, by hand. The\n"
    "    message of a failure ends with the op whose partial is wrong, or with what is wrong with\n"
    "    the gradient.\n\n",
)


# Which function is given.


def _with_gradients(f: Callable[..., Any]) -> Callable[..., Any]:
    """`f` if it returns ``(loss, gradients)``; of a Tensor function, that which does."""

    @wraps(f)
    def called(p: Any, *data: Any) -> Any:
        result = f(p, *data)
        return result if getattr(result, "shape", None) != () else value_and_grad(f)(p, *data)

    return called


def _tensor_function(f: Any) -> Any:
    """The function of Tensors behind one that returns gradients, with what `partial` has bound."""
    if isinstance(f, partial):
        return partial(_tensor_function(f.func), *f.args, **f.keywords)
    return _tensor_function(f.__wrapped__) if hasattr(f, "__wrapped__") else f


def _returns_gradients(f: Callable[..., Any], inputs: Any) -> bool:
    """Whether `f` returns ``(loss, gradients by name)`` of a mapping of arrays."""
    if not isinstance(inputs, Mapping) or not callable(f):
        return False
    try:
        result = f(_like(inputs, {name: raw(x).copy() for name, x in inputs.items()}))
    except Exception:  # a function of Tensors; when it is called with some, it says what is wrong
        return False
    return isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], Mapping)


def _as_tensor_function(f: Callable[..., Any], inputs: Mapping[str, Any]) -> Callable[..., Any]:
    """The loss as an op, whose partials are the gradients by hand."""
    names = list(inputs)

    def by_hand(*xs: Any) -> Any:
        return np.asarray(f(_like(inputs, dict(zip(names, xs, strict=True))))[0])

    def partial_of(i: int, g: Any, _: Any, *xs: Any) -> Any:
        gradients = f(_like(inputs, dict(zip(names, xs, strict=True))))[1]
        dx = gradients.get(names[i])
        if dx is None or dx.shape != xs[i].shape:
            shape = "none" if dx is None else f"one of shape {tuple(dx.shape)}"
            raise GradientError(
                f"input {names[i]}: expected a gradient of shape {xs[i].shape}, got {shape}",
                names[i],
            )
        return g * dx

    op = Op(by_hand, {"dxs": partial_of})
    return lambda mapping: op(*mapping.values())


def _like(inputs: Mapping[str, Any], arrays: dict[str, Any]) -> Any:
    """Arrays in the layout of the inputs: a `Parameters`, or a mapping."""
    if not isinstance(inputs, Parameters):
        return arrays
    flat = np.concatenate([x.reshape(-1) for x in arrays.values()])
    return inputs.like(flat)


# Why it is wrong.


def _explain(error: GradientError, reasons: Callable[..., list[str]], *given: Any) -> None:
    """Add lines to the message; a diagnosis that fails must not hide what it is about."""
    try:
        lines = reasons(error, *given)
    except Exception:
        lines = []
    error.args = ("\n".join([str(error), *(_wrapped(line) for line in lines)]),)


def _wrapped(line: str) -> str:
    return textwrap.fill(
        line, 80, subsequent_indent="     ", break_long_words=False, break_on_hyphens=False
    )


def _of_comparison(
    error: GradientError, f: Any, g: Any, p: Mapping[str, Any], data: tuple[Any, ...]
) -> list[str]:
    got, expected = error.got, error.expected or {}
    if not expected or not all(np.isfinite(x).all() for x in (*got.values(), *expected.values())):
        return []
    (loss, right), which = error.losses or (0.0, 0.0), "first"
    graph = graph_of(g, p, data, expected)
    if graph is None and (graph := graph_of(f, p, data, got)) is not None:
        got, expected, loss, which = expected, got, right, "second"
    sizes = sizes_of(p, {f"data[{i}]": x for i, x in enumerate(data)})
    return lines_of(diagnose(error.name, got, expected, sizes, graph, loss), which)


Graph = tuple[Trace, dict[str, Node]]


def graph_of(f: Any, p: Any, data: Any, gradients: Mapping[str, Any]) -> Graph | None:
    """The trace of a function of Tensors on the host, and the nodes of the parameters.

    None of a function that is none of Tensors, or has not these `gradients`.
    """
    arrays = {name: _on_host(x) for name, x in p.items()}
    try:
        traced = trace(_tensor_function(f), arrays, *_on_host(data))
    except Exception:  # whatever a function by hand says to Tensors
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
        own = leaves[name].gradient if name in leaves else 0 * x
        if own.shape != x.shape or np.linalg.norm(own - x) > tolerance * scale:
            return None
    return traced, leaves


def _on_host(x: Any) -> Any:
    """All arrays as those of NumPy, which a replay computes with."""
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
    graph: Graph | None = None,
    loss: float | None = None,
) -> list[Explanation]:
    """Every mistake that would make `expected` into `got`, the simplest first.

    Args:
        name: the parameter that is most wrong; "" for none in particular.
        got, expected: gradients by name, on the host.
        sizes: by which factors are named.
        graph: of the right function; by hand, it has none.
        loss: that of the wrong function, which may be wrong as well.
    """
    tolerance = tolerance_of(*got.values(), *expected.values())
    if any(name not in got or got[name].shape != x.shape for name, x in expected.items()):
        return explain_array(name, got, expected, sizes, tolerance) if name in got else []
    found = _of_arrays(got, expected, sizes, tolerance)
    if graph is not None:
        replay = Replay(*graph, got, expected, sizes, tolerance)
        if not replay.too_large:
            found += replay.explanations() if replay.wrong else []
            right = float(graph[0].nodes[-1].value)
            allowed = 1e-10 if tolerance < 1e-6 else 1e-5
            if loss is not None and abs(loss - right) > allowed * abs(right) and not found:
                found = explain_loss(graph[0], replay, loss, allowed)
    return sorted(found, key=lambda e: e.cost)


def _of_arrays(
    got: Mapping[str, Any], expected: Mapping[str, Any], sizes: Sizes, tolerance: float
) -> list[Explanation]:
    """What can be said of the arrays: of one that is wrong, or of all that are wrong alike."""
    wrong = wrong_names(got, expected, tolerance)
    if not wrong:
        return []
    each = [explain_array(name, got, expected, sizes, tolerance) for name in wrong]
    first, others = wrong[0], each[1:]
    return [
        Explanation(
            e.text.replace(f"gradient of {first} ", f"gradient of {_listed(wrong)} ", 1),
            e.error, e.cost + 0.2 + (len(wrong) > 1), e.kind,
        )
        for e in each[0]
        if all(any(e.text.split(first, 1)[1] == o.text.split(name, 1)[1] for o in found)
               for name, found in zip(wrong[1:], others, strict=True))
    ]  # fmt: skip


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def lines_of(found: list[Explanation], which: str = "") -> list[str]:
    """The best explanation with its digits, and the second best where it is close."""
    if not found:
        return [f"why: {NONE_KNOWN}"]
    best = found[0]
    of = f"the {which} one is " if which and best.text.startswith("as if") else ""
    lines = [f"why: {of}{best.text}; fits to {_digits(best.error)} digits"]
    for other in found[1:]:
        if other.kind != best.kind and other.cost <= best.cost + 0.5:
            return [*lines, f"or:  {other.text}"]
    return lines


def _digits(error: float) -> int:
    return int(min(16, -np.log10(max(error, 1e-16))))


# Autograd's own gradient.


def _of_check(error: GradientError, order: int, by_ops: bool) -> list[str]:
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
    """Which op's partial disagrees with differences of the op alone, at its values here; or ""."""
    traced = trace(error.function, dict(error.arrays))  # type: ignore[arg-type]
    for node in traced.visits:
        for i, (_, x) in enumerate(node.inputs):
            if x.gradient is not None and (failed := _failure(node, i, order)) is not None:
                return _said(node, i, failed)
    return ""


def _failure(node: Node, i: int, order: int) -> GradientError | None:
    """That of the partial of argument i, as a function of this argument alone."""
    op: Any = node.op
    values = [x.value for _, x in node.inputs]
    c = np.random.default_rng(0).standard_normal(node.value.shape)
    c = backend_of(node.value).asarray(c, node.value.dtype)

    def alone(x: Any) -> Any:
        return op(*values[:i], x, *values[i + 1 :], **node.options)

    try:
        dx = op.partials[i]
        product = dx(c, node.value, *values, **node.options) if dx else 0  # None: 0, it says
        check_one_gradient(lambda x: (alone(x) * c).sum(), values[i], summed_to(product, values[i]))
        if order > 1:
            plain_check(alone, [values[i]], order=order, directions=2)
    except GradientError as error:
        return error
    return None


def _said(node: Node, i: int, error: GradientError) -> str:
    """Which partial is wrong, where it is written and where it is called, and how it is wrong."""
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
            text += f": {known[0].text.replace('the gradient of 0', 'what it returns')}"
    return text
