"""A number as a fraction, or in terms of the sizes at hand: 0.2 is 1/n if n is 5."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from math import sqrt
from typing import Any, NamedTuple


class Factor(NamedTuple):
    """A factor in words, such as ``"1/n with n = 5"``; the simpler, the lower its cost."""

    value: float
    text: str
    cost: int


PLAIN = [
    Factor(0.0, "0", 0), Factor(-1.0, "-1", 0), Factor(1.0, "1", 0), Factor(2.0, "2", 0),
    Factor(0.5, "1/2", 0), Factor(-2.0, "-2", 1), Factor(-0.5, "-1/2", 1),
]  # fmt: skip

Sizes = Mapping[int, str]
"""Lengths of axes, and what has that length: ``{5: "n", 3: "W1.shape[0]"}``."""


def sizes_of(arrays: Mapping[str, Any], data: Mapping[str, Any]) -> dict[int, str]:
    """The lengths of all axes. In the first data array, rows are called n and columns d."""
    sizes: dict[int, str] = {}
    shapes = {name: x.shape for name, x in data.items() if getattr(x, "ndim", 0)}
    matrices = [shape for shape in shapes.values() if len(shape) == 2]
    for letter, length in zip("nd", matrices[0] if matrices else (), strict=False):
        sizes.setdefault(length, letter)
    for name, x in {**data, **arrays}.items():
        for axis, length in enumerate(getattr(x, "shape", ())):
            sizes.setdefault(length, f"{name}.shape[{axis}]")
    sizes.pop(1, None)
    return sizes


def named(value: float, sizes: Sizes, tolerance: float) -> Factor | None:
    """The simplest factor that `value` is, within the tolerance, or None."""
    fits = [
        factor
        for factor in (*PLAIN, *_of_sizes(sizes), *_fractions(value))
        if abs(value - factor.value) <= tolerance * max(abs(factor.value), 1e-3)
    ]
    if len(fits) > 1 and fits[0].cost > 1 and fits[-1].text.isdigit():
        return Factor(fits[-1].value, f"{fits[-1].text}, or {fits[0].text}", 2)  # 10, or 2 n
    return fits[0] if fits else None


def _of_sizes(sizes: Sizes) -> Iterator[Factor]:
    """One size, then products and ratios of two of them, and roots."""
    for sign, minus in ((1, ""), (-1, "-")):
        for s in sizes:
            yield _factor(sign * s, minus + "{}", sizes, s)
            yield _factor(sign / s, minus + "1/{}", sizes, s)
    for s in sizes:
        yield _factor(2 * s, "2 {}", sizes, s, cost=2)
        yield _factor(2 / s, "2/{}", sizes, s, cost=2)
        yield _factor(s / 2, "{}/2", sizes, s, cost=2)
        yield _factor(1 / (2 * s), "1/(2 {})", sizes, s, cost=2)
        yield _factor(sqrt(s), "sqrt({})", sizes, s, cost=2)
        yield _factor(1 / sqrt(s), "1/sqrt({})", sizes, s, cost=2)
        yield _factor((s - 1) / s, "({0} - 1)/{0}", sizes, s, cost=2)
        if s > 1:
            yield _factor(s / (s - 1), "{0}/({0} - 1)", sizes, s, cost=2)
    for s in sizes:
        yield _factor(s * s, "{}^2", sizes, s, cost=2)
        yield _factor(1 / (s * s), "1/{}^2", sizes, s, cost=2)
        for t in sizes:
            if s < t:
                letter = min(len(sizes[s]), len(sizes[t])) == 1
                both = "{} {}" if letter else "{} * {}"  # "n d", but not "3 5"
                yield _factor(s * t, both, sizes, s, t, cost=2)
                yield _factor(1 / (s * t), f"1/({both})", sizes, s, t, cost=2)
            if s != t:
                yield _factor(s / t, "{}/{}", sizes, s, t, cost=2)


def _factor(value: float, form: str, sizes: Sizes, *of: int, cost: int = 1) -> Factor:
    """Sizes with a letter keep it, and it is explained; others are numbers, with their origin."""
    letters = [sizes[s] if len(sizes[s]) == 1 else str(s) for s in of]
    where = [
        f"{sizes[s]} = {s}" if len(sizes[s]) == 1 else f"{s} = {sizes[s]}"
        for s in dict.fromkeys(of)
    ]
    return Factor(value, f"{form.format(*letters)} with {' and '.join(where)}", cost)


def _fractions(value: float) -> Iterator[Factor]:
    if abs(value) < 100:
        fraction = Fraction(value).limit_denominator(20)
        yield Factor(float(fraction), str(fraction), 1 if fraction.denominator < 5 else 3)
