"""The checks of gradients, with the reason when one fails.

They are those of `tinygen.autograd`; here a failure is investigated, and its message gets lines
that begin with "why:". Functions that return gradients by hand can be checked as well.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import numpy as np

from tinygen.autograd import GradientComparison, GradientError, GradientReport, Op, value_and_grad
from tinygen.autograd import check_gradients as plain_check
from tinygen.autograd import compare_gradients as plain_compare
from tinygen.autograd.operators import raw
from tinygen.explain.diagnosis import why_not_equal, why_not_measured
from tinygen.parameters import Parameters


@wraps(plain_compare)
def compare_gradients(
    f: Callable[..., Any],
    g: Callable[..., Any],
    p: Mapping[str, Any],
    *data: Any,
    tolerance: float | None = None,
) -> GradientComparison:
    for given in (f, g):
        if not callable(given):
            raise TypeError(
                "compare_gradients: expected two functions, such as model.gradients('autograd'), "
                f"got a {type(given).__name__}"
            )
    f, g = _with_gradients(f), _with_gradients(g)
    try:
        return plain_compare(f, g, p, *data, tolerance=tolerance)
    except GradientError as error:
        _explain(error, why_not_equal, f, g, p, data)
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
        _explain(error, why_not_measured, order, not by_hand)
        raise


def _documented(f: Any, plain: Any, before: str, more: str) -> None:
    """Give `f` the docstring of the plain function, with one more sentence."""
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


# Which kind of function is given.


def _with_gradients(f: Callable[..., Any]) -> Callable[..., Any]:
    """`f` if it returns ``(loss, gradients)``; for a function of Tensors, one that does."""

    @wraps(f)
    def called(p: Any, *data: Any) -> Any:
        result = f(p, *data)
        if not isinstance(result, float) and getattr(result, "shape", None) != ():
            return result
        try:  # the loss alone: a function of Tensors also takes arrays
            return value_and_grad(f)(p, *data)
        except Exception as error:
            raise TypeError(
                "compare_gradients: expected (loss, gradients), or the loss of Tensors as of "
                f"model.loss, got a loss from a function that refuses Tensors: {error}"
            ) from error

    return called


def _returns_gradients(f: Callable[..., Any], inputs: Any) -> bool:
    """Whether `f` returns ``(loss, gradients by name)`` for a mapping of arrays."""
    if not isinstance(inputs, Mapping) or not callable(f):
        return False
    try:
        result = f(_like(inputs, {name: raw(x).copy() for name, x in inputs.items()}))
    except Exception:  # a function of Tensors; called with Tensors, it says what is wrong
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
    """Arrays in the layout of the inputs: `Parameters`, or a mapping."""
    if not isinstance(inputs, Parameters):
        return arrays
    flat = np.concatenate([x.reshape(-1) for x in arrays.values()])
    return inputs.like(flat)


# Why the gradient is wrong.


def _explain(error: GradientError, reasons: Callable[..., list[str]], *given: Any) -> None:
    """Add lines to the message; a diagnosis that fails must not hide the error itself."""
    try:
        lines = reasons(error, *given)
    except Exception as problem:
        lines = [f"(the search for a reason failed: {type(problem).__name__}: {problem})"]
    error.args = ("\n".join(_wrapped(line) for line in [str(error), *lines]),)


def _wrapped(line: str) -> str:
    return textwrap.fill(
        line, 80, subsequent_indent="     ", break_long_words=False, break_on_hyphens=False
    )
