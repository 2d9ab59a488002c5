"""Compares gradients with finite differences, which know nothing of how they were derived."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygen.autograd.backward import grad
from tinygen.autograd.tensor import Tensor
from tinygen.backend import Array, backend_of, namespace

STEP = 6e-6
"""About the cube root of float64's epsilon: there truncation (h^2) and rounding (eps / h) meet."""


class GradientError(AssertionError):
    """A gradient disagrees with finite differences."""


@dataclass
class GradientReport:
    """What a check saw.

    Attributes:
        checks: how many derivatives were compared.
        worst: the largest relative disagreement among them.
        kinks: where the function has a corner, so that no derivative is right; one line each.
    """

    checks: int = 0
    worst: float = 0.0
    kinks: list[str] = field(default_factory=list)


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
    """Check autograd's gradients of `f` against central differences.

    The output is contracted with a random cotangent ``c``, so that ``s(x) = sum(c * f(x))`` is a
    number and no error hides in a symmetry. Along random directions ``v`` it then compares
    ``<gradient, v>`` with ``(s(x + h v) - s(x - h v)) / 2h``, in float64. The shapes and dtypes of
    the gradients are checked for the inputs as they came.

    Args:
        f: a function of Tensors that returns a Tensor of any shape, or a list of Tensors.
        inputs: an array, a list of arrays (passed by position), or a mapping such as `Parameters`
            (passed as one mapping).
        order: 2 also checks the gradient of the gradient.
        elementwise: compare every single element as well.
        directions: how many random directions to try for each input.
        tolerance: the largest relative disagreement allowed.
        seed: of the cotangent and the directions.

    Returns:
        A report. A corner, such as that of relu at 0, is listed there and is no failure, if the
        gradient lies between the slopes of both sides.

    Raises:
        GradientError: naming the input and index, what was expected and what came.

    >>> from tinygen.ops import tanh
    >>> check_gradients(lambda x: tanh(x * x), np.float64([0.5, -2.0])).checks
    3
    """
    names, arrays, call = _arranged(f, inputs)
    _check_kinds(call, names, arrays)
    doubles = [namespace(a).array(a, dtype=np.float64) for a in arrays]
    report = GradientReport()
    checker = _Checker(names, elementwise, directions, tolerance, np.random.default_rng(seed))
    checker.run(call, doubles, report, "")
    if order > 1:
        checker.run(_gradient_of(call, checker.random), doubles, report, "second order, ")
    return report


class _Checker:
    def __init__(
        self,
        names: Sequence[str],
        elementwise: bool,
        directions: int,
        tolerance: float,
        random: np.random.Generator,
    ) -> None:
        self.names = names
        self.elementwise = elementwise
        self.directions = directions
        self.tolerance = tolerance
        self.random = random

    def run(
        self, call: Callable[..., Any], arrays: list[Array], report: GradientReport, what: str
    ) -> None:
        """Compare the derivatives by each input, along directions and, if asked, elements."""
        xs = [Tensor(a, requires_grad=True) for a in arrays]
        outputs = _listed(call(xs))
        cotangents = [_like(self.random.standard_normal(y.shape), y.array) for y in outputs]

        def s(xs: list[Tensor]) -> Any:
            ys = _listed(call(xs))
            return _total([(y * c).sum() for y, c in zip(ys, cotangents, strict=True)])

        total = s(xs)
        if not total.requires_grad:  # constant: then finite differences must find zeros
            gradients = [namespace(a).zeros(a.shape, a.dtype) for a in arrays]
        else:
            gradients = grad(total, xs)
        for k, name in enumerate(self.names):
            along = [self.random.standard_normal(arrays[k].shape) for _ in range(self.directions)]
            failed = not all(
                self._agrees(s, arrays, k, gradients[k], v, f"{what}{name}", report)
                for v in along
                if v.size
            )
            if self.elementwise or failed:
                self._each_element(s, arrays, k, gradients[k], f"{what}{name}", report)
            if failed:
                raise GradientError(
                    f"{what}input {name}: the gradient disagrees with central differences along a "
                    "random direction, though each element agrees within the tolerance"
                )

    def _each_element(
        self, s: Any, arrays: list[Array], k: int, g: Array, name: str, report: GradientReport
    ) -> None:
        for index in np.ndindex(*arrays[k].shape):
            v = np.zeros(arrays[k].shape)
            v[index] = 1
            slopes = _Slopes(s, arrays, k, v)
            claimed = float(g[index])
            if not self._within(claimed, slopes, f"{name}, index {index}", report):
                raise GradientError(
                    f"input {name}, index {index}: expected {slopes.central:.12g} by central "
                    f"differences, got {claimed:.12g}"
                )

    def _agrees(
        self, s: Any, arrays: list[Array], k: int, g: Array, v: Any, name: str, report: Any
    ) -> bool:
        claimed = float((g * _like(v, g)).sum())
        return self._within(claimed, _Slopes(s, arrays, k, v), f"{name}, a direction", report)

    def _within(
        self, claimed: float, slopes: _Slopes, where: str, report: GradientReport
    ) -> bool:
        report.checks += 1
        # Relative to the slope, but not below what rounding alone makes of such a value.
        error = abs(claimed - slopes.central) / max(abs(slopes.central), slopes.rounding)
        if error <= self.tolerance:
            report.worst = max(report.worst, error)
            return True
        kink = slopes.kink(self.tolerance)
        if kink and kink[0] <= claimed <= kink[1]:
            report.kinks.append(f"{where}: the slope jumps from {kink[0]:.6g} to {kink[1]:.6g}")
            return True
        return False


class _Slopes:
    """The slopes of ``s`` at the inputs when input k moves along v."""

    def __init__(self, s: Any, arrays: list[Array], k: int, v: Any) -> None:
        self.s, self.arrays, self.k, self.v = s, arrays, k, v
        size = max(1.0, float(abs(arrays[k]).max()))
        self.h = STEP * size
        low, high = self._at(-self.h), self._at(self.h)
        self.central = (high - low) / (2 * self.h)
        # Rounding of s, divided by the step, must stay below tolerance * this.
        self.rounding = max(1.0, abs(high), abs(low))

    def _at(self, h: float) -> float:
        a = self.arrays[self.k]
        moved = [*self.arrays]
        moved[self.k] = a + _like(h * self.v, a)
        return float(self.s([Tensor(x, requires_grad=True) for x in moved]).array)

    def kink(self, tolerance: float) -> tuple[float, float] | None:
        """The slopes on both sides, the lower first, if they differ however small the step is."""
        middle = self._at(0.0)

        def sides(h: float) -> tuple[float, float]:
            return (middle - self._at(-h)) / h, (self._at(h) - middle) / h

        wide, narrow = sides(self.h), sides(self.h / 16)
        jump, jump_narrow = abs(wide[1] - wide[0]), abs(narrow[1] - narrow[0])
        # A curve's sides differ by h s'', which shrinks 16-fold; a corner's jump stays.
        if jump_narrow < 0.5 * jump or jump < 1e3 * tolerance * self.rounding:
            return None
        slack = 1e-3 * jump
        return min(wide) - slack, max(wide) + slack


def _gradient_of(call: Callable[..., Any], random: np.random.Generator) -> Callable[..., Any]:
    """The function that gives the gradients of ``sum(c * call(xs))``, themselves recorded."""
    cotangents: list[Any] = []

    def gradients(xs: list[Tensor]) -> list[Tensor]:
        ys = _listed(call(xs))
        if not cotangents:
            cotangents.extend(_like(random.standard_normal(y.shape), y.array) for y in ys)
        total = _total([(y * c).sum() for y, c in zip(ys, cotangents, strict=True)])
        return grad(total, xs, create_graph=True)

    return gradients


def _check_kinds(call: Callable[..., Any], names: Sequence[str], arrays: list[Array]) -> None:
    """The gradients have the shapes and dtypes of the inputs, and live on their backend."""
    xs = [Tensor(a, requires_grad=True) for a in arrays]
    total = _total([y.sum() for y in _listed(call(xs))])
    if not total.requires_grad:
        return
    for name, x, g in zip(names, xs, grad(total, xs), strict=True):
        kind, expected = (type(g), g.shape, g.dtype), (type(x.array), x.shape, x.dtype)
        if kind[1:] != expected[1:] or kind[0] is not expected[0]:
            raise GradientError(
                f"input {name}: expected a gradient of shape {x.shape} and dtype {x.dtype}, "
                f"got {tuple(g.shape)} {g.dtype}"
            )


def _arranged(
    f: Callable[..., Any], inputs: Any
) -> tuple[list[str], list[Array], Callable[[list[Tensor]], Any]]:
    """Names and arrays of the inputs, and `f` as a function of a list of Tensors."""
    if isinstance(inputs, Mapping):
        names = list(inputs)
        return names, list(inputs.values()), lambda xs: f(dict(zip(names, xs, strict=True)))
    arrays = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
    return [str(i) for i in range(len(arrays))], arrays, lambda xs: f(*xs)


def _listed(y: Any) -> list[Tensor]:
    return list(y) if isinstance(y, (list, tuple)) else [y]


def _total(numbers: list[Any]) -> Any:
    total = numbers[0]
    for y in numbers[1:]:
        total = total + y
    return total


def _like(x: Any, a: Array) -> Array:
    """Host numbers `x` on the backend and in the dtype of `a`."""
    return backend_of(a).asarray(np.asarray(x), a.dtype)
