"""Compares two gradients of one loss: by hand against autograd, or yours against another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygen.autograd.finite_differences import GradientError
from tinygen.backend import to_host

TOLERANCES = {"float64": 1e-12, "float32": 1e-5}
"""How far two correct derivations may differ: some thousands of roundings in float64, a hundred in
float32."""


@dataclass(frozen=True)
class GradientComparison:
    """How far apart two agreeing gradients are.

    Attributes:
        loss: the difference of the losses, relative to the larger one.
        gradient: the norm of the difference of the gradients, relative to that of the second.
        worst: the parameter whose gradients are furthest apart, relative to what is allowed; if
            all are equal, the first one.

    >>> import numpy as np
    >>> f = lambda p: ((p["x"] ** 2).sum(), {"x": 2 * p["x"]})
    >>> compare_gradients(f, f, {"x": np.ones(3)})
    GradientComparison(loss=0.0, gradient=0.0, worst='x')
    """

    loss: float
    gradient: float
    worst: str

    def __str__(self) -> str:
        furthest = f", {self.worst} the furthest" * bool(self.gradient)
        return f"they agree: gradients {self.gradient:.2g} apart{furthest}; losses {self.loss:.2g}"


def compare_gradients(
    f: Callable[..., Any],
    g: Callable[..., Any],
    p: Mapping[str, Any],
    *data: Any,
    tolerance: float | None = None,
) -> GradientComparison:
    """Compare two functions ``(parameters, *data) -> (loss, gradients)`` at `p` and `data`.

    The gradient of a parameter may differ by `tolerance` times the norm of the whole gradient, but
    by no more than the square root of `tolerance` times its own norm, so that a wrong gradient
    cannot hide behind larger ones. A difference as small as the rounding of the whole, a tenth of
    `tolerance` times its norm, does not count. Two correct formulas may differ by more where a
    sigmoid saturates, since one of them keeps more digits there; so compare at ordinary weights.

    Args:
        f, g: the two functions, such as ``partial(byhand.vae.loss_and_grads, **model.terms)`` and
            ``value_and_grad(model.loss)``.
        p: the parameters.
        data: whatever else both functions take, noise included.
        tolerance: by default 1e-12 for float64 and 1e-5 for float32.

    Raises:
        GradientError: the losses or gradients differ, or are not finite. The message names the
            worst parameter, the worst index in it, the ratio of the two numbers there, and the
            parameters whose gradients agree: a mistake lies between these and the others. Also
            if a function changes its arguments, since the other would then see something else.
        ValueError: they differ, and a function returns something else when it is called again.

    >>> f = lambda p, x: (p["W"] * x, {"W": x})
    >>> g = lambda p, x: (p["W"] * x, {"W": x / 2})
    >>> compare_gradients(f, f, {"W": np.float64(3)}, np.float64(2))
    GradientComparison(loss=0.0, gradient=0.0, worst='W')
    >>> compare_gradients(f, g, {"W": np.float64(3)}, np.float64(2))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    tinygen...GradientError: W: the first gradient is 2, the second 1, ratio 2; ...
    """
    functions = {"first": f, "second": g}
    results = {which: _called(which, h, p, data) for which, h in functions.items()}
    try:
        return _compared(*results["first"], *results["second"], tolerance)
    except GradientError as error:
        (J, error.got), (K, error.expected) = results.values()
        error.losses = J, K
        for which, h in functions.items():
            _refuse_random(which, results[which], _called(which, h, p, data))
        raise


def _compared(
    J: float, of_f: dict[str, Any], K: float, of_g: dict[str, Any], tolerance: float | None
) -> GradientComparison:
    for name in {**of_f, **of_g}:
        first, second = (_kind(of.get(name)) for of in (of_f, of_g))
        if first != second:
            message = f"{name}: the first gradient is {first}, the second {second}"
            raise GradientError(message, name)
    if not of_g:
        raise GradientError("there is no gradient to compare")
    dtype = np.result_type(*of_g.values())
    if tolerance is None:
        if str(dtype) not in TOLERANCES:
            raise GradientError(f"gradients of {dtype} need a tolerance that you choose")
        tolerance = TOLERANCES[str(dtype)]
    rounding = tolerance / 10

    difference, size = abs(J - K), max(abs(J), abs(K))
    if not difference <= tolerance * size + rounding or size == np.inf:  # NaN is refused, too
        ratio = f", ratio {J / K:.6g}" if K else ""
        raise GradientError(f"the first loss is {J:.12g}, the second {K:.12g}{ratio}")
    for name, b in of_g.items():
        if not (np.isfinite(of_f[name]) & np.isfinite(b)).all():
            raise GradientError(_message(name, of_f[name], b), name)
    norm = _norm(*of_g.values())
    apart = {name: _norm(of_f[name] - b) for name, b in of_g.items()}
    allowed = {
        name: min(tolerance * norm, max(tolerance**0.5 * _norm(b), rounding * norm))
        for name, b in of_g.items()
    }
    worst = max(apart, key=lambda name: _ratio(apart[name], allowed[name]))
    if apart[worst] > allowed[worst]:
        right = [name for name in apart if apart[name] <= allowed[name]]
        message = _message(worst, of_f[worst], of_g[worst])
        message = f"{message}; these agree: {', '.join(right) or 'none'}"
        raise GradientError(message, worst)
    return GradientComparison(_ratio(difference, size), _ratio(_norm(*apart.values()), norm), worst)


def _called(
    which: str, function: Callable[..., Any], p: Mapping[str, Any], data: tuple[Any, ...]
) -> tuple[float, dict[str, Any]]:
    """What a function returns, copied to the host: the other may write to the same memory."""
    before = [np.array(x) for x in _arrays((p, data))]
    result = function(p, *data)
    if not (isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], Mapping)):
        raise GradientError(
            f"the {which} function returns {type(result).__name__}; "
            "it needs to return (loss, gradients), gradients under the names of the parameters"
        )
    after = _arrays((p, data))
    if len(after) != len(before) or not all(map(_equal, after, before)):
        raise GradientError(f"the {which} function changes the parameters or data it was given")
    loss, gradients = result
    return float(loss), {name: np.array(to_host(x)) for name, x in gradients.items()}


def _refuse_random(which: str, result: tuple[float, dict[str, Any]], again: Any) -> None:
    """A function that draws its own noise has no gradient to compare."""
    one, other = ([np.asarray(J), *g.values()] for J, g in (result, again))
    if len(one) != len(other) or not all(map(_equal, one, other)):
        raise ValueError(
            f"compare_gradients: two calls of the {which} function differ; what it draws, such as "
            "noise or a dropout mask, must be part of the data"
        )


def _arrays(given: Any) -> list[Any]:
    """All arrays in nested sequences and mappings, on the host."""
    if isinstance(given, Mapping):
        given = list(given.values())
    if isinstance(given, (list, tuple)):
        return [array for part in given for array in _arrays(part)]
    given = getattr(given, "array", given)  # of a Tensor
    return [to_host(given)] if hasattr(given, "dtype") else []


def _equal(x: Any, y: Any) -> bool:
    return np.array_equal(x, y, equal_nan=y.dtype.kind in "fc")


def _kind(x: Any) -> str:
    return "missing" if x is None else f"{x.shape} {x.dtype}"


def _norm(*arrays: Any) -> float:
    largest = max(float(np.max(np.abs(a), initial=0)) for a in arrays)
    if not 0 < largest < np.inf:
        return largest
    # Scaled to at most 1, as squares of other numbers might overflow or vanish.
    squares = (np.square(np.abs(a) / largest, dtype=np.float64).sum() for a in arrays)
    return largest * float(np.sqrt(sum(squares)))


def _ratio(a: float, b: float) -> float:
    return a / b if b else (np.inf if a else 0.0)


def _message(name: str, a: Any, b: Any) -> str:
    """What is wrong with one parameter, at its worst index."""
    with np.errstate(invalid="ignore"):
        error = np.where(np.isfinite(a) & np.isfinite(b), abs(a - b), np.inf)
    index = np.unravel_index(np.argmax(error), a.shape)
    at = f"[{', '.join(str(int(i)) for i in index)}]" if index else ""
    ratio, apart = _ratio(float(a[index]), float(b[index])), _norm(error) / (_norm(b) or 1)
    return (
        f"{name}{at}: the first gradient is {a[index]:.12g}, the second {b[index]:.12g}, "
        f"ratio {ratio:.6g}; all of {name}: relative difference {apart:.2g}"
    )
