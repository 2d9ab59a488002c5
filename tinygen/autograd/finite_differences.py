"""Compares gradients with finite differences, which know nothing of how they were derived."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygen.autograd.engine import Tensor, grad
from tinygen.autograd.operators import has_gradient, raw
from tinygen.backend import Array, backend_of, namespace

STEP = 6e-6
"""About the cube root of float64's epsilon: there truncation (h^2) and rounding (eps / h) meet."""

STEPS = (1, 0.1, 10, 0.01, 100, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9)
"""The usual step and, should that fail, others."""


STREAM = 2718281828
"""Keeps the draws apart from those of ``default_rng(seed)``, which may have made the inputs."""


class GradientError(AssertionError):
    """A gradient disagrees with finite differences, or with another gradient.

    Attributes:
        name: the parameter or input whose gradient it is; "" if no array can be named.
        losses: the losses of both functions if two were compared, else None.
        got: the gradients by name; if two functions were compared, those of the first.
        expected: those of the second function; None if the check was by finite differences.
        function: the number that was differenced, as a function of Tensors by name; or None.
        arrays: the point at which it was differenced, by name.

    >>> import numpy as np
    >>> from tinygen.autograd import compare_gradients
    >>> right = lambda p: ((p["x"] ** 2).sum(), {"x": 2 * p["x"]})
    >>> wrong = lambda p: ((p["x"] ** 2).sum(), {"x": p["x"]})
    >>> try:
    ...     compare_gradients(wrong, right, {"x": np.ones(3)})
    ... except GradientError as error:
    ...     print(error.name, "ratio 0.5" in str(error))
    x True
    """

    def __init__(self, message: str, name: str = "") -> None:
        super().__init__(message)
        self.name = name
        self.losses: tuple[float, float] | None = None
        self.got: Mapping[str, Any] = {}
        self.expected: Mapping[str, Any] | None = None
        self.function: Callable[[Mapping[str, Tensor]], Tensor] | None = None
        self.arrays: Mapping[str, Any] = {}


def derivatives_along(
    v: Any, x: Any, g: Any, s: Callable[[Any], float], h: float
) -> tuple[float, float]:
    """The mathematics of the check: two derivatives of ``s(x)`` along the direction `v`.

    One is claimed by the gradient `g`, ``<g, v>``; the other is measured, by a central difference.
    If `g` is right, they agree up to terms of order ``h^2`` and rounding. Where `s` is
    ``<c, f(x)>``, `g` is a vector-Jacobian product of `f`, and this checks its partials.
    """
    low, high = x - h * v, x + h * v
    claimed = float((g * ((high - low) / (2 * h))).sum())  # x + h v is rounded: what v really was
    return claimed, (s(high) - s(low)) / (2 * h)


@dataclass
class GradientReport:
    """What a check found.

    Attributes:
        checks: how many derivatives were compared.
        worst: the largest disagreement among those that passed, relative to the derivative.
        kinks: where the function has a corner and the gradient lies between the one-sided
            derivatives, but is not their mean, such as relu's at 0; one line each.
    """

    checks: int = 0
    worst: float = 0.0
    kinks: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        passed = f"passed: {self.checks} derivatives, the worst {self.worst:.2g} off"
        return "\n".join([passed, *self.kinks])


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
    the gradients are checked for the inputs as given.

    Args:
        f: a function of Tensors that returns a Tensor of any shape, or a list of Tensors.
        inputs: an array or a Tensor, a list of them (passed by position), or a mapping such as
            `Parameters` (passed as one mapping).
        order: 2 also checks the gradient of the gradient.
        elementwise: compare every single element as well.
        directions: how many random directions to try for each input.
        tolerance: the largest disagreement allowed, relative to the derivative. The rounding error
            of central differences, about ``4e-10 sum |c f(x)| / max |x|``, is allowed on top.
        seed: of the cotangent and the directions.

    Returns:
        A report. A corner, such as that of relu at 0, is listed there and is not a failure if the
        gradient with respect to that element lies between the one-sided derivatives.

    Raises:
        GradientError: naming the input, the index, and both derivatives.
        ValueError: `f` returns something else when it is called again, so nothing can be said about
            its gradient; noise and dropout masks must be inputs, or drawn beforehand. Or it writes
            into its inputs, or its last partial into `g`.

    >>> from tinygen.ops import tanh
    >>> check_gradients(lambda x: tanh(x * x), np.float64([0.5, -2.0])).checks
    3
    """
    if order not in (1, 2):
        raise ValueError(f"check_gradients: expected the order 1 or 2, got {order}")
    names, arrays, call = _arranged(f, inputs)
    _refuse_unrepeatable(call, names, arrays)
    _check_kinds(call, names, arrays)
    doubles = [namespace(a).array(a, dtype=np.float64) for a in arrays]
    report = GradientReport()
    random = np.random.default_rng((seed, STREAM))
    checker = _Checker(names, elementwise, directions, tolerance, random)
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
        """Compare the derivatives with respect to each input, along directions or also elements."""
        xs = [Tensor(a, requires_grad=True) for a in arrays]
        outputs = _listed(call(xs))
        cotangents = [_like(self.random.standard_normal(y.shape), y.array) for y in outputs]
        times = None  # the factor of f in s, if f is a single number
        if not what and [y.array.size for y in outputs] == [1]:
            cotangents = [abs(cotangents[0])]
            times = float(cotangents[0].sum())

        def s(xs: list[Tensor]) -> Any:
            return _contracted(_listed(call(xs)), cotangents)

        total = s(xs)
        if not total.requires_grad:  # constant: then finite differences must find zeros
            gradients = [namespace(a).zeros(a.shape, a.dtype) for a in arrays]
        else:
            gradients = grad(total, xs)
        # The terms of the sum s, each of which is rounded.
        terms = sum(float(abs(y.array * c).sum()) for y, c in zip(outputs, cotangents, strict=True))
        for k, name in enumerate(self.names):
            one = _OneInput(s, arrays, k, gradients[k], terms, self.tolerance, times)
            try:
                # A step may leave the domain; then a smaller one decides.
                with np.errstate(all="ignore"):
                    self._check_input(one, f"{what}input {name}", report)
            except GradientError as error:
                error.name, error.function = name, lambda xs: s([*xs.values()])
                error.arrays = dict(zip(self.names, arrays, strict=True))
                error.got = dict(zip(self.names, gradients, strict=True))
                raise

    def _check_input(self, one: _OneInput, name: str, report: GradientReport) -> None:
        shape = one.x.shape
        failed = []
        for _ in range(self.directions if one.x.size else 0):
            v = np.asarray(self.random.standard_normal(shape))
            report.checks += 1
            if not one.agrees_along(v, report):
                failed.append(v)
        if not (self.elementwise or failed):
            return
        corners = len(report.kinks)
        for index in np.ndindex(*shape):
            v = np.zeros(shape)
            v[index] = 1
            where = f"{name}, index {index}"
            report.checks += 1
            if not one.agrees_along(v, report) and not one.is_corner_along(v, where, report):
                raise GradientError(f"{where}: {one.both_along(v)}")
        # A corner in one element is one in every direction; then the elements have decided.
        if len(report.kinks) == corners:
            for v in failed:
                if not one.is_corner_along(v, f"{name}, a direction", report):
                    raise GradientError(
                        f"{name}: the gradient disagrees with central differences along a random "
                        "direction, though each element agrees within the tolerance"
                    )


class _OneInput:
    """The derivatives of ``s`` with respect to input k, measured and as its gradient claims."""

    def __init__(
        self,
        s: Any,
        arrays: list[Array],
        k: int,
        g: Array,
        terms: float,
        tolerance: float,
        c: float | None,
    ) -> None:
        self.s, self.arrays, self.k, self.tolerance, self.c = s, arrays, k, tolerance, c
        to_numpy = backend_of(g).to_numpy
        self.x, self.g = to_numpy(arrays[k]), to_numpy(g)
        # The step is relative to the size of the numbers: 1e-6 must not be moved by 6e-6.
        self.step = STEP * (float(abs(self.x).max(initial=0)) or 1.0)
        # The rounding error of a difference: that of the terms of s, and that of the inputs.
        rounded = terms + float(abs(self.g * self.x).sum())
        self.noise = 10 * float(np.finfo(np.float64).eps) * rounded / self.step

    def both_along(self, v: Any) -> str:
        """Both derivatives along `v` in words: those of f itself if it is a single number."""
        claimed, measured = self.derivatives(v)
        what = "; both are derivatives of sum(c * f), where c is random"
        if self.c:
            claimed, measured, what = claimed / self.c, measured / self.c, ""
        return f"expected {measured:.12g} by central differences, got {claimed:.12g}{what}"

    def derivatives(self, v: Any, factor: float = 1.0) -> tuple[float, float]:
        """Those along `v`, claimed and measured, with `factor` times the usual step."""
        return derivatives_along(v, self.x, self.g, self._at, factor * self.step)

    def agrees_along(self, v: Any, report: GradientReport) -> bool:
        """Whether the claimed derivative along `v` is the measured one.

        If not with the usual step, then with another: a function may curve within one and drown in
        rounding with a smaller one. A right gradient agrees at some step, a wrong one at none.
        """
        scale = float(np.sqrt(np.square(self.g * v).sum()))
        allowed = self.tolerance * scale + self.noise
        usual = np.inf
        for factor in STEPS:
            # A step so small that rounding alone could explain the disagreement proves nothing.
            if self.noise / factor > max(0.1 * usual, self.noise):
                continue
            claimed, measured = self.derivatives(v, factor)
            error = abs(claimed - measured)
            usual = min(usual, error) if factor == 1 else usual
            if not error <= allowed:  # Richardson: two steps give the term of order h^2
                claimed_2h, measured_2h = self.derivatives(v, 2 * factor)
                error = abs(4 * (claimed - measured) - (claimed_2h - measured_2h)) / 3
            if error <= allowed < np.inf:
                relative = error and error / max(scale, self.noise / self.tolerance)
                report.worst = max(report.worst, relative)
                return True
        return False

    def is_corner_along(self, v: Any, where: str, report: GradientReport) -> bool:
        """Whether s has a corner, and the gradient lies between the one-sided derivatives."""
        middle = self._at(self.x)

        def sides(h: float) -> tuple[float, float]:
            left = (middle - self._at(self.x - h * v)) / h
            right = (self._at(self.x + h * v) - middle) / h
            return min(left, right), max(left, right)

        wide, narrow = sides(self.step), sides(self.step / 16)
        jump, jump_narrow = wide[1] - wide[0], narrow[1] - narrow[0]
        # A curve's sides differ by h s'', which shrinks 16-fold; a corner's jump stays.
        if not (jump_narrow > 0.5 * jump and jump > 1e3 * self.noise):
            return False
        claimed = float((self.g * v).sum())
        if not wide[0] - 1e-3 * jump <= claimed <= wide[1] + 1e-3 * jump:
            return False
        report.kinks.append(f"{where}: the derivative jumps by {jump:.6g} at {claimed:.6g}")
        return True

    def _at(self, x: Any) -> float:
        moved = [*self.arrays]
        moved[self.k] = _like(x, self.arrays[self.k])
        return float(self.s([Tensor(a, requires_grad=True) for a in moved]).array)


def check_one_gradient(s: Callable[[Any], Any], x: Array, g: Array) -> None:
    """Check the gradient `g` of a function of one array that returns a number, without the engine.

    This is how the ops that `check_gradients` itself computes with can be checked one by one.

    Raises:
        GradientError: as `check_gradients` does; its input is called 0.
    """
    number = s(x)
    one = _OneInput(lambda xs: Tensor(s(xs[0].array)), [x], 0, g, float(abs(number)), 1e-7, 1.0)
    checker = _Checker(["0"], False, 2, 1e-7, np.random.default_rng(STREAM))
    try:
        with np.errstate(all="ignore"):
            checker._check_input(one, "input 0", GradientReport())
    except GradientError as error:
        error.name, error.function = "0", lambda xs: Tensor(s(xs["0"].array))
        error.arrays, error.got = {"0": x}, {"0": g}
        raise


def _gradient_of(call: Callable[..., Any], random: np.random.Generator) -> Callable[..., Any]:
    """A function that returns the gradients of a number, which are themselves recorded.

    The number is ``sum(c y) + sum(y^2) / (2 max|y|)``. Because of its second term the gradient that
    arrives at `call` depends on the inputs, as it does inside a network.
    """
    cotangents: list[Any] = []
    sizes: list[float] = []

    def gradients(xs: list[Tensor]) -> list[Tensor]:
        ys = _listed(call(xs))
        if not cotangents:
            cotangents.extend(_like(random.standard_normal(y.shape), y.array) for y in ys)
            sizes.extend(float(abs(y.array).max()) if y.size else 0.0 for y in ys)
        total = _contracted(ys, cotangents)
        for y, size in zip(ys, sizes, strict=True):
            total = total + (y * y).sum() * (0.5 / (size or 1.0))
        if not total.requires_grad:
            return [Tensor(namespace(x.array).zeros(x.shape, x.dtype)) for x in xs]
        return grad(total, xs, create_graph=True)

    return gradients


def _contracted(ys: list[Tensor], cotangents: list[Array]) -> Tensor:
    """``sum(c y)`` over all outputs."""
    total = (ys[0] * cotangents[0]).sum()
    for y, c in zip(ys[1:], cotangents[1:], strict=True):
        total = total + (y * c).sum()
    return total


def _refuse_unrepeatable(
    call: Callable[..., Any], names: Sequence[str], arrays: list[Array]
) -> None:
    """Refuse a function that draws its own noise: its differences are those of the noise.

    If it writes into its input, the next call is at another point; and a partial that writes into
    the gradient is right alone and wrong in a graph where others get that gradient, too.
    """
    before = [namespace(a).array(a) for a in arrays]
    first, second = (
        [y.numpy() for y in _listed(call([Tensor(a, requires_grad=True) for a in arrays]))]
        for _ in range(2)
    )
    for name, a, old in zip(names, arrays, before, strict=True):
        if bool(((a != old) & (old == old)).any()):
            raise ValueError(
                f"check_gradients: the function writes into its input {name}; expected a new array "
                "as its result, and the input as it was"
            )
    xs = [Tensor(a, requires_grad=True) for a in arrays]
    for y in filter(has_gradient, _listed(call(xs))):
        c = namespace(y.array).ones(y.shape, y.dtype)
        grad(y, xs, g=c, retain_graph=True)
        if bool((c != 1).any()):
            raise ValueError(
                f"check_gradients: a partial of {y._op}, or of an op before it, writes into g; "
                "expected a new array, since other ops need g"
            )
    same = len(first) == len(second) and all(
        np.array_equal(y, again, equal_nan=True) for y, again in zip(first, second, strict=True)
    )
    if not same:
        raise ValueError(
            "check_gradients: two calls of the function at the same point differ; what it draws, "
            "such as noise or a dropout mask, must be an input or drawn before"
        )


def _check_kinds(call: Callable[..., Any], names: Sequence[str], arrays: list[Array]) -> None:
    """The gradients have the shapes and dtypes of the inputs, and live on their backend."""
    xs = [Tensor(a, requires_grad=True) for a in arrays]
    ys = _listed(call(xs))
    total = _contracted(ys, [namespace(y.array).ones(y.shape, y.dtype) for y in ys])
    if not total.requires_grad:
        return
    for name, x, g in zip(names, xs, grad(total, xs), strict=True):
        kind, expected = (type(g), g.shape, g.dtype), (type(x.array), x.shape, x.dtype)
        if kind != expected:
            raise GradientError(
                f"input {name}: expected a gradient of shape {x.shape} and dtype {x.dtype}, "
                f"got {tuple(g.shape)} {g.dtype}"
            )


def _arranged(
    f: Callable[..., Any], inputs: Any
) -> tuple[list[str], list[Array], Callable[[list[Tensor]], Any]]:
    """Names and arrays of the inputs, and `f` as a function of a list of Tensors."""
    if not callable(f):
        raise TypeError(f"check_gradients: expected a function, got a {type(f).__name__}")
    if isinstance(inputs, Mapping):
        names, arrays = list(inputs), [raw(x) for x in inputs.values()]
        return names, arrays, lambda xs: f(dict(zip(names, xs, strict=True)))
    arrays = [raw(x) for x in inputs] if isinstance(inputs, (list, tuple)) else [raw(inputs)]
    return [str(i) for i in range(len(arrays))], arrays, lambda xs: f(*xs)


def _listed(y: Any) -> list[Tensor]:
    ys = y if isinstance(y, (list, tuple)) else [y]
    return [y if type(y) is Tensor else Tensor(y) for y in ys]


def _like(x: Any, a: Array) -> Array:
    """Host numbers `x` on the backend and in the dtype of `a`."""
    return backend_of(a).asarray(np.asarray(x), a.dtype)
