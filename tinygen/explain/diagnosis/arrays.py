"""What is wrong with an array of gradients, given the right one: a factor, an axis, some rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygen.explain.diagnosis.factors import Sizes, named


@dataclass(frozen=True)
class Explanation:
    """What would turn the right gradient into the wrong one.

    Attributes:
        predicate: in words, such as ``"is 1/n with n = 5 times what is right"``.
        error: how far what it predicts is from the wrong gradient, relative to the mistake.
        cost: the simpler, the lower.
        kind: that of the mistake, such as ``"factor"`` or ``"left out"``.
        subject: what the predicate is about; "" for the function as a whole.
    """

    predicate: str
    error: float
    cost: float
    kind: str
    subject: str = ""

    @property
    def text(self) -> str:
        """One sentence without its full stop."""
        return f"{self.subject} {self.predicate}".lstrip()


def tolerance_of(*arrays: Any) -> float:
    """How well an explanation must fit: float32 has seven digits, some of which sums cost."""
    narrow = any(a.dtype.itemsize < 8 for a in arrays)
    return 2e-4 if narrow else 1e-7


def wrong_names(got: Mapping[str, Any], expected: Mapping[str, Any], tolerance: float) -> list[str]:
    """The names whose gradients differ by more than the tolerance."""
    size = {name: float(np.linalg.norm(x)) for name, x in expected.items()}
    least = 1e-3 * max(size.values())
    return [
        name
        for name, x in expected.items()
        if np.linalg.norm(got[name] - x) > 1e-2 * tolerance * max(size[name], least)
    ]


def explain_array(
    name: str,
    got: Mapping[str, Any],
    expected: Mapping[str, Any],
    sizes: Sizes,
    tolerance: float,
) -> list[Explanation]:
    """All known explanations that fit the gradient of `name`, the simplest first.

    Args:
        name: which gradient is wrong.
        got, expected: all gradients by name, on the host.
        sizes: the lengths of axes, by which a factor is named.
        tolerance: how well an explanation must fit, relative to the mistake.
    """
    a, b = got[name], expected[name]
    if a.shape != b.shape:
        return _of_shapes(name, a, b, tolerance)
    explanations = [
        Explanation(predicate, error, cost, kind, f"the gradient of {name}")
        for kind, predicate, guess, cost in _guesses(name, a, b, expected, sizes, tolerance)
        if (error := _misfit(a, b, guess)) <= tolerance
    ]
    return sorted(explanations, key=lambda e: e.cost)


def _misfit(a: Any, b: Any, guess: Any) -> float:
    """How far a guess at `a` is off, relative to how far `a` is from the right `b`."""
    wrong = float(np.linalg.norm(a - b))
    return float(np.linalg.norm(a - guess)) / wrong if wrong else np.inf


def _of_shapes(name: str, a: Any, b: Any, tolerance: float) -> list[Explanation]:
    if a.shape == b.T.shape and np.allclose(a, b.T, rtol=tolerance, atol=tolerance):
        return [Explanation("is transposed", 0.0, 0, "transposed", f"the gradient of {name}")]
    return []


def fitted(a: Any, b: Any) -> float:
    """The c for which ``c b`` is closest to `a`: least squares."""
    size = float(np.vdot(b, b))
    return float(np.vdot(b, a)) / size if size else 0.0


Guess = tuple[str, str, Any, float]


def _guesses(
    name: str, a: Any, b: Any, expected: Mapping[str, Any], sizes: Sizes, tolerance: float
) -> Iterator[Guess]:
    """Guesses: kind, predicate, the array that it predicts, and cost."""
    if not np.any(a):
        yield "zero", "is 0", 0 * b, 0
        return
    factor = named(fitted(a, b), sizes, 100 * tolerance)
    if factor:
        text = (
            "has the other sign" if factor.value == -1 else f"is {factor.text} times what is right"
        )
        yield "factor", text, factor.value * b, factor.cost
    elif a.size > 2:
        c = fitted(a, b)
        yield "factor", f"is {c:.6g} times what is right", c * b, 5
    if a.ndim == 2 and a.shape[0] == a.shape[1]:
        yield from _scaled("transposed", "is transposed", a, b.T, sizes, tolerance)
    if a.ndim == 2:
        other = b.T.reshape(b.shape)
        yield "order", "is in another order: a transpose without its reshape", other, 1
    for other_name, x in expected.items():
        if other_name != name and x.shape == a.shape:
            yield "exchanged", f"is that of {other_name}", x, 1
    if a.ndim and a.size > 1:
        yield "order", "is in reverse order", b[::-1], 1
    yield from _rows(a, b)
    for axis in range(a.ndim):
        if a.shape[axis] > 1:
            total = np.broadcast_to(b.sum(axis=axis, keepdims=True), b.shape)
            text = f"is a sum over its axis {axis}, the same all along it"
            yield from _scaled("axis", text, a, total, sizes, tolerance)
    if a.size > 2:
        shift = float((a - b).mean())
        factor = named(shift, sizes, tolerance)
        text = f"is {factor.text if factor else f'{shift:.6g}'} too large in every element"
        yield "shift", text, b + shift, 2


def _scaled(
    kind: str, text: str, a: Any, guess: Any, sizes: Sizes, tolerance: float
) -> Iterator[Guess]:
    """A guess, or a factor times it if the factor has a name."""
    factor = named(fitted(a, guess), sizes, 100 * tolerance)
    if factor and factor.value:
        times = "" if factor.value == 1 else f", times {factor.text}"
        yield kind, text + times, factor.value * guess, 1 + factor.cost


def _rows(a: Any, b: Any) -> Iterator[Guess]:
    """Some rows are right, and the others are 0 or have the other sign."""
    if not a.ndim or len(a) < 2:
        return
    size = np.abs(b).max() or 1.0
    right = np.abs(a - b).reshape(len(a), -1).max(axis=1) <= 1e-6 * size
    if right.any() and not right.all():
        rows = _numbers(np.flatnonzero(right), len(a))
        guess = np.where(right.reshape(-1, *[1] * (a.ndim - 1)), b, 0)
        yield "rows", f"is right in {rows} only, and 0 elsewhere", guess, 1


def _numbers(rows: Any, n: int) -> str:
    """``"rows 3 to 4"``, or the first few of them."""
    word = "row" if len(rows) == 1 else "rows"
    if len(rows) > 1 and rows[-1] - rows[0] == len(rows) - 1:
        return f"{word} {rows[0]} to {rows[-1]} of {n}"
    more = ", ..." if len(rows) > 5 else ""
    return f"{word} {', '.join(map(str, rows[:5]))}{more} of {n}"
