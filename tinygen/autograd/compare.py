"""Compares two gradients of one loss: by hand against autograd, or one's own against another's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygen.autograd.check import GradientError
from tinygen.backend import backend_of

TOLERANCES = {"float64": 1e-12, "float32": 1e-5}
"""What two right derivations may differ by: some thousand roundings in float64, a hundred in
float32."""


@dataclass(frozen=True)
class GradientComparison:
    """How far two gradients that agree are apart.

    Attributes:
        loss: the difference of the losses, relative to the larger one.
        gradient: the norm of the difference of the gradients, relative to that of the second.
        worst: the parameter whose gradients are furthest apart, measured by what is allowed.
    """

    loss: float
    gradient: float
    worst: str


def compare_gradients(
    f: Callable[..., Any],
    g: Callable[..., Any],
    p: Mapping[str, Any],
    *data: Any,
    tolerance: float | None = None,
) -> GradientComparison:
    """Compare two functions ``(parameters, *data) -> (loss, gradients)`` at `p` and `data`.

    The gradient of a parameter may differ by `tolerance` times the norm of the whole gradient; and
    by no more than the root of `tolerance` times its own norm, so that a wrong gradient does not
    hide behind larger ones. What is as small as the rounding of the whole is not judged.

    Args:
        f, g: the two functions, such as ``partial(byhand.vae.loss_and_grads, **model.terms)`` and
            ``value_and_grad(model.loss)``.
        p: the parameters.
        data: what else both functions take, noise included.
        tolerance: 1e-12 for float64 and 1e-5 for float32, if it is not given.

    Raises:
        GradientError: the losses or gradients differ, or are not finite. The message names the
            worst parameter, the worst index in it, and the ratio of both numbers there.

    >>> f = lambda p, x: (p["W"] * x, {"W": x})
    >>> g = lambda p, x: (p["W"] * x, {"W": x / 2})
    >>> compare_gradients(f, f, {"W": np.float64(3)}, np.float64(2))
    GradientComparison(loss=0.0, gradient=0.0, worst='W')
    >>> compare_gradients(f, g, {"W": np.float64(3)}, np.float64(2))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    tinygen.autograd.check.GradientError: W: the first gradient is 2, the second 1, ratio 2; ...
    """
    (J, of_f), (K, of_g) = (_on_the_host(*function(p, *data)) for function in (f, g))
    first, second = ({n: (x.shape, str(x.dtype)) for n, x in of.items()} for of in (of_f, of_g))
    if first != second:
        raise GradientError(f"the first gradient has the layout {first}, the second {second}")
    dtype = np.result_type(*of_g.values())
    tolerance = TOLERANCES[str(dtype)] if tolerance is None else tolerance
    rounding = 10 * float(np.finfo(dtype).eps)

    difference, size = abs(J - K), max(abs(J), abs(K))
    if not difference <= tolerance * size + rounding or size == np.inf:  # nan is not, either
        raise GradientError(f"the first loss is {J:.12g}, the second {K:.12g}")
    for name, b in of_g.items():
        if not np.isfinite(of_f[name] + b).all():
            raise GradientError(_message(name, of_f[name], b))
    norm = _norm(*of_g.values())
    apart = {name: _norm(of_f[name] - b) for name, b in of_g.items()}
    allowed = {
        name: min(tolerance * norm, max(tolerance**0.5 * _norm(b), rounding * norm))
        for name, b in of_g.items()
    }
    worst = max(apart, key=lambda name: _ratio(apart[name], allowed[name]))
    if apart[worst] > allowed[worst]:
        raise GradientError(_message(worst, of_f[worst], of_g[worst]))
    return GradientComparison(_ratio(difference, size), _ratio(_norm(*apart.values()), norm), worst)


def _on_the_host(loss: Any, gradients: Mapping[str, Any]) -> tuple[float, dict[str, Any]]:
    """Copies, since the other function may write its gradient to the same memory."""
    return float(loss), {name: np.array(backend_of(x).to_numpy(x)) for name, x in gradients.items()}


def _norm(*arrays: Any) -> float:
    return float(np.sqrt(sum(np.square(np.abs(a), dtype=np.float64).sum() for a in arrays)))


def _ratio(a: float, b: float) -> float:
    return a / b if b else (np.inf if a else 0.0)


def _message(name: str, a: Any, b: Any) -> str:
    """What is wrong with one parameter, at its worst index."""
    with np.errstate(invalid="ignore"):
        error = np.where(np.isfinite(a + b), abs(a - b), np.inf)
    index = np.unravel_index(np.argmax(error), a.shape)
    at = f"[{', '.join(str(int(i)) for i in index)}]" if index else ""
    ratio = _ratio(float(a[index]), float(b[index]))
    return (
        f"{name}{at}: the first gradient is {a[index]:.12g}, the second {b[index]:.12g}, "
        f"ratio {ratio:.6g}; all of {name} is {_norm(error) / (_norm(b) or 1):.2g} apart"
    )
