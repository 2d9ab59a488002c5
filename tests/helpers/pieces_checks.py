"""Checks of the pieces by hand: of every function, its value and what it says of derivatives.

Three tables have a row for every function of the module: `ARGUMENTS` draws what it is given,
`TEXTBOOK` says what it should return, by plain loops or in NumPy's own words, and `CLAIMS` of what
it is said to be the derivative.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
import pytest
from differences import MARGIN, PHI, TOLERANCE, directional_derivative
from hypothesis import strategies as st
from strict import count_syncs, see_dtypes

from tinygen.byhand import pieces
from tinygen.byhand.pieces import ACTIVATIONS, SECOND
from tinygen.parameters import Parameters

Rng = np.random.Generator


class Sizes(NamedTuple):
    """As in the module: rows, columns that come in and that go out, and draws."""

    n: int = 4
    i: int = 3
    o: int = 2
    k: int = 3


# What is drawn. A string has the letters of a shape: "ni" is a normal array (n, i), "?ni" one of
# NaN, which is there to be filled.


def drawn(*parts: Any) -> Callable[[Sizes, Rng], list[Any]]:
    """Arguments one after the other: normal arrays, what a function draws, and numbers."""

    def draw(s: Sizes, rng: Rng) -> list[Any]:
        found = []
        for part in parts:
            if isinstance(part, str):
                a = rng.standard_normal([getattr(s, letter) for letter in part.strip("?")])
                found.append(a * np.nan if part.startswith("?") else a)
            else:
                found.append(part(s, rng) if callable(part) else part)
        return found

    return draw


def apart(s: Sizes, rng: Rng) -> np.ndarray:
    """Numbers that stay away from the kink at 0."""
    a = rng.standard_normal((s.n, s.o))
    return a + np.copysign(MARGIN, a)


def sums(s: Sizes, rng: Rng) -> np.ndarray:
    """For maxout, none close to another."""
    a = rng.permutation(np.arange(5.0 * s.n * s.o))
    return 0.1 * (a - a.mean()).reshape(s.n, 5 * s.o)


def of_sums(s: Sizes, rng: Rng) -> np.ndarray:
    """A number for each sum of a maxout unit."""
    return rng.standard_normal((s.n, 5 * s.o))


def spread(s: Sizes, rng: Rng) -> np.ndarray:
    """For batch norm: columns whose standard deviation is not tiny by chance."""
    rows = rng.permuted(np.tile(np.arange(s.n)[:, None], s.o), axis=0)
    return rows + 0.2 * rng.standard_normal((s.n, s.o))


def norm_cache(s: Sizes, rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    r = spread(s, rng)
    return r - r.mean(axis=0), 1 / np.sqrt(r.var(axis=0) + 1e-5)


def a_mask(s: Sizes, rng: Rng) -> np.ndarray:
    return np.where(rng.random((s.n, s.o)) < 0.7, 1 / 0.7, 0.0)


def pixels(s: Sizes, rng: Rng) -> np.ndarray:
    return rng.random((s.n, s.i))


def labels(s: Sizes, rng: Rng) -> np.ndarray:
    """Rows whose sum is not 1: they count that many times."""
    return rng.random((s.n, s.o)) + 0.1


def units(s: Sizes, _: Rng) -> int:
    return s.o


ARGUMENTS = {
    "DENSE.product": drawn("ni", "io"),
    "DENSE.weight_gradient": drawn("ni", "no", "?io"),
    "DENSE.input_gradient": drawn("no", "io"),
    "add_bias": drawn("no", "o"),
    "bias_gradient": drawn("no", "?o"),
    "identity": drawn(apart),
    "relu": drawn(apart),
    "leaky_relu": drawn(apart),
    "elu": drawn(apart),
    "elu_second": drawn(apart),
    "tanh": drawn(apart),
    "tanh_second": drawn(apart),
    "logistic": drawn(apart),
    "sigmoid": drawn(apart),
    "sigmoid_second": drawn(apart),
    "softplus": drawn(apart),
    "softplus_second": drawn(apart),
    "gelu": drawn(apart),
    "gelu_gate": drawn(apart),
    "gelu_second": drawn(apart),
    "maxout": drawn(sums),
    "activation_backward": drawn("no", "no"),
    "activation_backward of maxout": drawn("no", of_sums),
    "activation_jvp": drawn("no", "no", units),
    "activation_jvp of maxout": drawn(of_sums, of_sums, units),
    "dropout": drawn("no", "no", a_mask),
    "dropout of maxout": drawn("no", of_sums, a_mask),
    "batch_norm": drawn(spread, "o", "o"),
    "batch_norm_backward": drawn("no", norm_cache, "o", "?o", "?o"),
    "batch_norm_input_gradient": drawn("no", "no", *4 * ["o"], 7),
    "sum_of_products": drawn("no", "no"),
    "mse": drawn("ni", "ni"),
    "softmax_cross_entropy": drawn("no", labels),
    "bernoulli": drawn("kni", pixels),
    "bernoulli_of_each_pixel": drawn("kni", pixels),
    "gaussian": drawn("kni", lambda s, rng: 0.5 * rng.standard_normal(1), pixels),
    "reparameterise": drawn("no", "no", "kno"),
    "reparameterise_backward": drawn("kno", "kno"),
    "kl": drawn("no", "no"),
    "log_ratio": drawn("kno", "no", "kno"),
    "log_ratio_backward": drawn("kn", "kno"),
    "log_mean_exp": drawn("kn"),
    "zero_centred": drawn("ni", 0.7),
    "one_centred": drawn("ni", 0.7),
    "l2_penalty": drawn("io", "io", 0.7),
    "sum_of_squares": drawn("kni"),
}
FILLED = {
    "DENSE.weight_gradient": (2,),
    "add_bias": (0,),
    "bias_gradient": (1,),
    "batch_norm_backward": (3, 4),
    "l2_penalty": (1,),
}
"""The places of the arguments that a function writes into."""


def function_of(name: str) -> Callable[..., Any]:
    function: Callable[..., Any] = attrgetter(name.split()[0])(pieces)
    return function


def mapped(f: Callable[[Any], Any], x: Any) -> Any:
    """Tuples, lists and dictionaries with `f` of each array in them; the rest stays as it is."""
    if isinstance(x, dict):
        return {key: mapped(f, part) for key, part in x.items()}
    if isinstance(x, (tuple, list)):
        parts = [mapped(f, part) for part in x]
        return x._make(parts) if hasattr(x, "_make") else type(x)(parts)  # a named tuple
    return f(x) if hasattr(x, "dtype") else x


def flat(x: Any) -> list[Any]:
    """The arrays in tuples, lists and dictionaries, one after the other."""
    found: list[Any] = []
    mapped(found.append, x)
    return found


def results(name: str, arguments: list[Any]) -> list[Any]:
    """Everything that a function returns, and then what it fills, in copies of the arguments."""
    copies = mapped(lambda a: a.copy(), arguments)
    returned = function_of(name)(*copies)
    return flat([returned, [copies[j] for j in FILLED.get(name, ())]])


# What a textbook says: a value for each result, or None where only differences know.


def each(*functions: Callable[[float], float] | None) -> Callable[[np.ndarray], list[Any]]:
    """Functions of one number, of each entry of an array."""
    return lambda a: [f and np.vectorize(f, otypes=[float])(a) for f in functions]


def matrix_product(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """By its definition."""
    return np.array([[sum(a * b for a, b in zip(x, y, strict=True)) for y in B.T] for x in A])


def by_units(a: np.ndarray) -> np.ndarray:
    """The five sums of each maxout unit side by side: (n, 5 o) -> (n, o, 5)."""
    return np.stack(np.split(a, 5, axis=1), axis=2)


def for_sums(h: np.ndarray) -> np.ndarray:
    """A unit's number for each of its sums: (n, o) -> (n, 5 o)."""
    return np.concatenate([h] * 5, axis=1)


def norm_forward(r: np.ndarray, gamma: np.ndarray, beta: np.ndarray) -> list[Any]:
    """Ioffe and Szegedy 2015, algorithm 1."""
    s = 1 / np.sqrt(r.var(axis=0) + 1e-5)
    return [gamma * (r - r.mean(axis=0)) * s + beta, r - r.mean(axis=0), s]


def norm_backward(da: np.ndarray, cache: Any, gamma: np.ndarray, *_: Any) -> list[Any]:
    """Their section 3, step by step: r moves the mean and the variance, too."""
    (y, s), n = cache, len(da)
    dxhat = da * gamma
    dvariance = (dxhat * y).sum(axis=0) * -0.5 * s**3
    dmean = -(dxhat * s).sum(axis=0)
    return [dxhat * s + dvariance * 2 * y / n + dmean / n, (da * y * s).sum(axis=0), da.sum(axis=0)]


def cross_entropy(a: np.ndarray, t: np.ndarray) -> list[Any]:
    q = np.exp(a) / np.exp(a).sum(axis=1, keepdims=True)
    return [-(t * np.log(q)).sum() / len(a), None]


def log_normal(x: Any, mean: Any, variance: Any) -> np.ndarray:
    """log of the density of N(mean, variance), number by number."""
    return np.log(np.exp(-((x - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance))


def log_bernoulli(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    y = 1 / (1 + np.exp(-a))
    return (x * np.log(y) + (1 - x) * np.log(1 - y)).sum(axis=-1)


def kl_of_numbers(mu: np.ndarray, v: np.ndarray) -> np.ndarray:
    """E_q[-log p] less the entropy E_q[-log q]."""
    cross_entropy = 0.5 * (math.log(2 * math.pi) + mu**2 + np.exp(v))
    return cross_entropy - 0.5 * np.log(2 * math.pi * math.e * np.exp(v))


def log_ratio(z: np.ndarray, v: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Of two densities; z = mu + sigma noise says what mu is."""
    mu = z - np.exp(v / 2) * noise
    return (log_normal(z, 0, 1) - log_normal(z, mu, np.exp(v))).sum(axis=-1)


def norms(v: np.ndarray, tiny: float = 0.0) -> np.ndarray:
    return np.array([math.sqrt(sum(x * x for x in row) + tiny) for row in v.tolist()])


def sigmoid(a: float) -> float:
    return 1 / (1 + math.exp(-a))


def inside(a: float) -> float:
    """Of GELU's tanh."""
    return math.sqrt(2 / math.pi) * (a + 0.044715 * a**3)


TEXTBOOK: dict[str, Callable[..., list[Any]]] = {
    "DENSE.product": lambda h, W: [matrix_product(h, W)],
    "DENSE.weight_gradient": lambda h, da, _: 2 * [matrix_product(h.T, da)],
    "DENSE.input_gradient": lambda da, W: [matrix_product(da, W.T)],
    "add_bias": lambda r, b: 2 * [r + b],
    "bias_gradient": lambda da, _: 2 * [matrix_product(np.ones((1, len(da))), da)[0]],
    "identity": each(PHI["none"], lambda a: 1),
    "relu": each(PHI["relu"], lambda a: a > 0),
    "leaky_relu": each(PHI["leaky_relu"], lambda a: 1 if a > 0 else 0.01),
    "elu": each(PHI["elu"], lambda a: 1 if a > 0 else math.exp(a)),
    "elu_second": each(lambda a: 0 if a > 0 else math.exp(a)),
    "tanh": each(PHI["tanh"], lambda a: 1 / math.cosh(a) ** 2),
    "tanh_second": each(lambda a: -2 * math.sinh(a) / math.cosh(a) ** 3),
    "logistic": each(sigmoid, lambda a: math.exp(-abs(a))),
    "sigmoid": each(sigmoid, lambda a: math.exp(-a) * sigmoid(a) ** 2),
    "sigmoid_second": each(lambda a: -math.tanh(a / 2) / (2 * math.cosh(a / 2)) ** 2),
    "softplus": each(PHI["softplus"], sigmoid),
    "softplus_second": each(lambda a: 1 / (2 * math.cosh(a / 2)) ** 2),
    "gelu": each(PHI["gelu"], None),
    "gelu_gate": each(lambda a: (1 + math.tanh(inside(a))) / 2, None),
    "gelu_second": each(None),
    "maxout": lambda a: [
        [[max(unit) for unit in row] for row in by_units(a)],
        a == for_sums(by_units(a).max(axis=2)),
    ],
    "activation_backward": lambda dh, f: [dh * f],
    "activation_backward of maxout": lambda dh, f: [for_sums(dh) * f],
    "activation_jvp": lambda q, f, _: [q * f],
    "activation_jvp of maxout": lambda q, f, _: [by_units(q * f).sum(axis=2)],
    "dropout": lambda h, f, mask: [h * mask, f * mask],
    "dropout of maxout": lambda h, f, mask: [h * mask, f * for_sums(mask)],
    "batch_norm": norm_forward,
    "batch_norm_backward": norm_backward,
    "batch_norm_input_gradient": lambda da, y, s, gamma, dgamma, dbeta, n: [
        s * gamma * (da - (dbeta + s * y * dgamma) / n)
    ],
    "sum_of_products": lambda y, z: [np.diag(matrix_product(y.T, z))],
    "mse": lambda y, x: [np.mean((y - x) ** 2), None],
    "softmax_cross_entropy": cross_entropy,
    "bernoulli": lambda a, x: [log_bernoulli(a, x), None],
    "bernoulli_of_each_pixel": lambda a, x: [log_bernoulli(a[..., None], x[..., None]), None],
    "gaussian": lambda a, s, x: [log_normal(x, a, np.exp(s)).sum(axis=-1), None, None],
    "reparameterise": lambda mu, v, noise: [
        [mu + np.sqrt(np.exp(v)) * draw for draw in noise],
        [np.sqrt(np.exp(v)) * draw for draw in noise],
    ],
    "reparameterise_backward": lambda dz, scaled: [sum(dz), None],
    "kl": lambda mu, v: [kl_of_numbers(mu, v), None, None],
    "log_ratio": lambda z, v, noise: [log_ratio(z, v, noise)],
    "log_ratio_backward": lambda drho, z: [None, None],
    "log_mean_exp": lambda log_w: [np.log(np.exp(log_w).mean(axis=0)), None],
    "zero_centred": lambda v, weight: [weight / 2 * np.mean(norms(v) ** 2), None],
    "one_centred": lambda v, weight: [weight * np.mean((norms(v, 1e-12) - 1) ** 2), None],
    "l2_penalty": lambda W, dW, weight: [weight / 2 * sum(w * w for w in W.flat), None],
    "sum_of_squares": lambda v: [sum(x * x for x in v.flat)],
}


def check_value(name: str, s: Sizes, seed: int) -> None:
    """The textbook's results, and what fills an array fills all of it."""
    arguments = ARGUMENTS[name](s, np.random.default_rng(seed))
    for value, textbook in zip(results(name, arguments), TEXTBOOK[name](*arguments), strict=True):
        assert np.isfinite(value).all()
        if textbook is not None:
            assert np.shape(value) == np.shape(textbook)
            # The textbook's formulas lose a few digits, of numbers of order 1.
            np.testing.assert_allclose(value, textbook, rtol=1e-12, atol=1e-13)


# Derivatives, and of what they are said to be some.

Claim = tuple[Callable[[np.ndarray], Any], np.ndarray, Any]
"""A function whose value is a number, an array, and what should be the gradient there."""
Claims = Iterator[Claim]


def weights(h: Any) -> np.ndarray:
    """Another one for each entry."""
    return np.cos(np.arange(h.size)).reshape(h.shape)


def total(h: Any) -> Any:
    """A number, whose gradient by `h` are the weights."""
    return (weights(h) * h).sum()


def differences(f: Callable[[np.ndarray], Any], x: np.ndarray) -> np.ndarray:
    """The central difference of f at x along each entry of x."""
    p = Parameters({"x": x.shape}, x.ravel())
    along = [directional_derivative(lambda q: f(q["x"]), p, v) for v in np.eye(x.size)]
    return np.array(along).reshape(x.shape)


def of_weight_gradient(h: Any, da: Any, _: Any, dW: Any, filled: Any) -> Claims:
    yield lambda W: (da * pieces.DENSE.product(h, W)).sum(), 0 * dW, dW
    yield lambda W: (da * pieces.DENSE.product(h, W)).sum(), 0 * dW, filled


def of_input_gradient(da: Any, W: Any, dh: Any) -> Claims:
    yield lambda h: (da * pieces.DENSE.product(h, W)).sum(), 0 * dh, dh


def of_bias_gradient(da: Any, _: Any, db: Any, filled: Any) -> Claims:
    yield lambda b: (da * (0 * da + b)).sum(), 0 * db, db
    yield lambda b: (da * (0 * da + b)).sum(), 0 * db, filled


def of_activation(name: str) -> Callable[..., Claims]:
    def claims(a: Any, h: Any, f: Any) -> Claims:
        yield lambda a: total(ACTIVATIONS[name](a)[0]), a, pieces.activation_backward(weights(h), f)

    return claims


def of_second(name: str) -> Callable[..., Claims]:
    def claims(a: Any, second: Any) -> Claims:
        yield lambda a: total(ACTIVATIONS[name](a)[1]), a, weights(a) * second

    return claims


def of_gelu_gate(a: Any, p: Any, du: Any) -> Claims:
    # p = (1 + tanh u) / 2, and so p' = (1 - tanh^2 u) / 2 u' = 2 p (1 - p) u'.
    yield lambda a: total(pieces.gelu_gate(a)[0]), a, weights(a) * 2 * p * (1 - p) * du


def of_activation_backward(dh: Any, f: Any, da: Any) -> Claims:
    yield lambda a: (dh * pieces.activation_jvp(a, f, dh.shape[1])).sum(), 0 * f, da


def of_activation_jvp(q: Any, f: Any, units: int, dh: Any) -> Claims:
    w = weights(dh)
    yield lambda w: (q * pieces.activation_backward(w, f)).sum(), w, dh


def of_dropout(h: Any, f: Any, mask: Any, _: Any, dropped: Any) -> Claims:
    # Where an activation has the derivative f, its sums a change h by f a.
    da = pieces.activation_backward(weights(h), dropped)
    yield (
        lambda a: total(pieces.dropout(pieces.activation_jvp(a, f, h.shape[1]), f, mask)[0]),
        0 * f,
        da,
    )


def of_batch_norm_backward(da: Any, cache: Any, gamma: Any, *filled: Any) -> Claims:
    _, _, dr, dgamma, dbeta = filled
    r, beta = cache[0] + 3, 0 * gamma
    yield lambda r: (da * pieces.batch_norm(r, gamma, beta)[0]).sum(), r, dr
    yield lambda gamma: (da * pieces.batch_norm(r, gamma, beta)[0]).sum(), gamma, dgamma
    yield lambda beta: (da * pieces.batch_norm(r, gamma, beta)[0]).sum(), beta, dbeta


def of_loss(name: str) -> Callable[..., Claims]:
    """A number and its gradient by the first argument."""

    def claims(a: Any, other: Any, _: Any, da: Any) -> Claims:
        yield lambda a: function_of(name)(a, other)[0], a, da

    return claims


def of_bernoulli(a: Any, x: Any, log_p: Any, by_a: Any) -> Claims:
    yield lambda a: total(pieces.bernoulli(a, x)[0]), a, weights(log_p)[..., None] * by_a


def of_gaussian(a: Any, s: Any, x: Any, log_p: Any, by_a: Any, by_s: Any) -> Claims:
    yield lambda a: total(pieces.gaussian(a, s, x)[0]), a, weights(log_p)[..., None] * by_a
    yield lambda s: total(pieces.gaussian(a, s, x)[0]), s, [(weights(log_p) * by_s).sum()]


def of_reparameterise_backward(dz: Any, scaled: Any, dmu: Any, dv: Any) -> Claims:
    mu, v = 0 * dmu, 0.3 + 0 * dv
    noise = scaled / np.exp(v / 2)
    yield lambda mu: (dz * pieces.reparameterise(mu, v, noise)[0]).sum(), mu, dmu
    yield lambda v: (dz * pieces.reparameterise(mu, v, noise)[0]).sum(), v, dv


def of_kl(mu: Any, v: Any, _: Any, by_mu: Any, by_v: Any) -> Claims:
    yield lambda mu: total(pieces.kl(mu, v)[0]), mu, weights(mu) * by_mu
    yield lambda v: total(pieces.kl(mu, v)[0]), v, weights(v) * by_v


def of_log_ratio_backward(drho: Any, z: Any, dz: Any, dv: Any) -> Claims:
    v, noise = 0 * z[0], weights(z)
    yield lambda z: (drho * pieces.log_ratio(z, v, noise)).sum(), z, dz
    yield lambda v: (drho * pieces.log_ratio(z, v, noise)).sum(), v, np.broadcast_to(dv, v.shape)


def of_log_mean_exp(log_w: Any, bound: Any, by_log_w: Any) -> Claims:
    yield lambda log_w: total(pieces.log_mean_exp(log_w)[0]), log_w, weights(bound) * by_log_w


def of_l2_penalty(W: Any, before: Any, weight: float, _: Any, after: Any) -> Claims:
    yield lambda W: pieces.l2_penalty(W, 0 * W, weight), W, after - before


CLAIMS: dict[str, Callable[..., Claims]] = {
    "DENSE.weight_gradient": of_weight_gradient,
    "DENSE.input_gradient": of_input_gradient,
    "bias_gradient": of_bias_gradient,
    "identity": of_activation("none"),
    **{name: of_activation(name) for name in ACTIVATIONS if name != "none"},
    **{f"{name}_second": of_second(name) for name, second in SECOND.items() if second},
    "gelu_gate": of_gelu_gate,
    "activation_backward": of_activation_backward,
    "activation_backward of maxout": of_activation_backward,
    "activation_jvp": of_activation_jvp,
    "activation_jvp of maxout": of_activation_jvp,
    "dropout": of_dropout,
    "dropout of maxout": of_dropout,
    "batch_norm_backward": of_batch_norm_backward,
    "mse": of_loss("mse"),
    "softmax_cross_entropy": of_loss("softmax_cross_entropy"),
    "bernoulli": of_bernoulli,
    "gaussian": of_gaussian,
    "reparameterise_backward": of_reparameterise_backward,
    "kl": of_kl,
    "log_ratio_backward": of_log_ratio_backward,
    "log_mean_exp": of_log_mean_exp,
    "zero_centred": of_loss("zero_centred"),
    "one_centred": of_loss("one_centred"),
    "l2_penalty": of_l2_penalty,
}


def check_gradient(claim: Claim, tolerance: float = TOLERANCE) -> None:
    """Each entry of what is said to be a gradient."""
    f, x, gradient = claim
    assert np.shape(gradient) == x.shape
    error = np.abs(gradient - differences(f, x)).max()
    assert error <= tolerance * (np.abs(gradient).max() + abs(f(x)))


def check_derivative(name: str, s: Sizes, seed: int) -> None:
    arguments = ARGUMENTS[name](s, np.random.default_rng(seed))
    for claim in CLAIMS[name](*arguments, *results(name, arguments)):
        check_gradient(claim)


SEEDS = st.integers(0, 2**32 - 1)


# Backends, and what is given stays what it is.


def check_float32_without_syncs(backend: Any, name: str) -> None:
    wide = ARGUMENTS[name](Sizes(), np.random.default_rng(3))
    arguments = mapped(lambda a: a.astype(np.float32), wide)
    there = mapped(backend.asarray, arguments)
    with count_syncs() as syncs, see_dtypes() as dtypes:
        actual = results(name, there)
    assert not syncs and set(dtypes) <= {np.dtype("f4"), np.dtype(bool)}
    for a, narrow, exact in zip(
        actual, *(results(name, x) for x in (arguments, wide)), strict=True
    ):
        assert a.dtype == narrow.dtype == np.float32
        # The same arithmetic, perhaps in another library; and rounding, of numbers of order 1.
        np.testing.assert_allclose(backend.to_numpy(a), narrow, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(narrow, exact, rtol=1e-5, atol=1e-5)


def check_untouched(name: str) -> None:
    """No argument is changed but those that are there to be filled."""
    arguments = ARGUMENTS[name](Sizes(), np.random.default_rng(3))
    copies = mapped(lambda a: a.copy(), arguments)
    function_of(name)(*arguments)
    for j, (now, before) in enumerate(zip(arguments, copies, strict=True)):
        if j not in FILLED.get(name, ()):
            for a, b in zip(flat(now), flat(before), strict=True):
                np.testing.assert_array_equal(a, b)


# Activations, at zero and where numbers are small.


def derivatives(name: str, a: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """phi, phi' and phi''; an activation without a second derivative is made of straight lines."""
    return *ACTIVATIONS[name](a), SECOND[name](a) if SECOND[name] else 0 * a


def check_derivative_at_zero(name: str, left: float) -> None:
    assert ACTIVATIONS[name](np.zeros(1))[1] == left


def check_second_derivative_of_elu_at_zero() -> None:
    assert pieces.elu_second(np.array([-1e-9, 0.0, 1e-9])) == pytest.approx([1, 1, 0])


def check_digits_of_activations() -> None:
    a = np.array([-30.0, -300.0])
    for name in ("sigmoid", "softplus"):  # both are exp(a) (1 - O(exp(a))), and so are these
        for order in derivatives(name, a):
            np.testing.assert_allclose(order, np.exp(a), rtol=1e-12)
    np.testing.assert_allclose(pieces.sigmoid(-a)[1], np.exp(a), rtol=1e-12)  # where h is 1
    a = -np.logspace(-300, 0, 61)
    np.testing.assert_allclose(pieces.elu(a)[0], np.expm1(a), rtol=1e-15)
    y, t = pieces.logistic(np.array([-700.0, 700]))
    np.testing.assert_allclose([y[0], *t], math.exp(-700), rtol=1e-13)


def check_logistic_without_overflow(dtype: Any) -> None:
    with np.errstate(over="raise", invalid="raise"):
        y, t = pieces.logistic(np.array([-1e6, -1e3, 0, 1e3, 1e6], dtype))
    assert y.tolist() == [0, 0, 1 / 2, 1, 1] and t.tolist() == [0, 0, 1, 0, 0]


def check_ties_of_maxout() -> None:
    # Two units, whose sums lie side by side: of the first two are the largest, of the second all.
    a = np.array([[3.0, 7], [1, 7], [3, 7], [2, 7], [0, 7]]).reshape(1, 10)
    h, f = pieces.maxout(a)
    assert h.tolist() == [[3, 7]]
    assert f.reshape(5, 2).T.tolist() == [[1 / 2, 0, 1 / 2, 0, 0], [1 / 5] * 5]
    da = pieces.activation_backward(np.array([[6.0, 10]]), f)
    assert da.reshape(5, 2).T.tolist() == [[3, 0, 3, 0, 0], [2] * 5]


# Batch norm.


def check_batch_of_two(distance: float) -> None:
    """Whatever the numbers, they become 1 and -1, but for what epsilon adds to the variance."""
    r, da = np.array([[1.0], [1 + distance]]), np.array([[3.0], [-1.0]])
    a, cache = pieces.batch_norm(r, np.array([2.0]), np.zeros(1))
    variance = distance**2 / 4
    s = (variance + 1e-5) ** -0.5
    np.testing.assert_allclose(a.ravel(), [-s * distance, s * distance], rtol=1e-12)
    dr = pieces.batch_norm_backward(da, cache, np.array([2.0]), np.empty(1), np.empty(1))
    # dr = gamma s (1 - s^2 variance) (da - mean da), and s^2 variance = 1 - epsilon s^2.
    expected = 2 * s**3 * 1e-5 * np.array([[2.0], [-2]])
    np.testing.assert_allclose(dr, expected, rtol=1e-9, atol=1e-14)


NO_OVERFLOW = {"over": "raise", "invalid": "raise", "divide": "raise"}


def check_cross_entropy_of_large_logits(dtype: Any) -> None:
    a = np.array([[1000, 0, -1000]], dtype)
    for which, nats in enumerate((0, 1000, 2000)):
        t = np.eye(3, dtype=dtype)[[which]]
        with np.errstate(**NO_OVERFLOW):
            J, da = pieces.softmax_cross_entropy(a, t)
        assert nats == J and J.dtype == dtype
        assert np.array_equal(da, np.eye(3)[[0]] - t)


def check_bernoulli_of_large_logits(dtype: Any) -> None:
    a = np.array([1000, 1000, -1000, -1000], dtype)[:, None]
    x = np.array([1, 0, 0, 1], dtype)[:, None]
    with np.errstate(**NO_OVERFLOW):
        log_p, by_a = pieces.bernoulli(a, x)
    assert log_p.tolist() == [0, -1000, 0, -1000] and log_p.dtype == dtype
    assert by_a.ravel().tolist() == [0, -1, 0, 1] and by_a.dtype == dtype


def check_digits_of_bernoulli() -> None:
    a = np.linspace(0, 12, 1000, dtype=np.float32)[:, None]
    exact = -np.log1p(np.exp(-a.astype(float)))
    for pixel in (1, 0):
        log_p, _ = pieces.bernoulli(a if pixel else -a, np.full_like(a, pixel))
        # Half of the distance between floats below 2, twice; that of floats below 12 is 9.5e-7.
        np.testing.assert_allclose(log_p, exact[:, 0], rtol=0, atol=1.3e-7)


def check_digits_of_a_small_kl() -> None:
    v = np.array([1e-6, -1e-6, 1e-4, 0.0])
    KL, by_mu, by_v = pieces.kl(np.zeros(4), v)
    # exp(v) - 1 - v, and exp(v) - 1; what is left of the series is below 1e-16 of the sum.
    np.testing.assert_allclose(KL, 0.5 * (v**2 / 2 + v**3 / 6 + v**4 / 24), rtol=1e-9)
    np.testing.assert_allclose(by_v, 0.5 * (v + v**2 / 2 + v**3 / 6 + v**4 / 24), rtol=1e-14)
    assert KL[3] == 0 and not by_mu.any()
    assert pieces.kl(np.array([1e-9]), np.zeros(1))[0] == pytest.approx(5e-19, rel=1e-14)


def check_digits_of_a_log_ratio() -> None:
    rng = np.random.default_rng(0)
    noise, v = rng.standard_normal((2, 3, 1)), 1e-9 * rng.standard_normal((3, 1))
    z = noise + 1e-9 * rng.standard_normal((2, 3, 1))
    numbers = (np.vectorize(Fraction, otypes=[object])(a) for a in (z, v, noise))
    exact = [(w + e * e - x * x) / 2 for x, w, e in np.broadcast(*numbers)]
    np.testing.assert_allclose(
        pieces.log_ratio(z, v, noise).ravel(), np.array(exact, float), rtol=1e-12
    )


def check_mean_of_extreme_weights(dtype: Any) -> None:
    log_w = np.array([[-1000, 1000, 0], [-1000, 1000, -1000], [-1000, 1000, -2000]], dtype)
    with np.errstate(**NO_OVERFLOW):
        bound, weights = pieces.log_mean_exp(log_w)
    np.testing.assert_allclose(bound, [-1000, 1000, -math.log(3)], rtol=1e-6)
    np.testing.assert_allclose(weights.T, [[1 / 3] * 3, [1 / 3] * 3, [1, 0, 0]], rtol=1e-6)
    assert bound.dtype == weights.dtype == dtype


def check_penalty_of_a_zero_gradient(dtype: Any) -> None:
    v = np.zeros((2, 3), dtype)
    with np.errstate(**NO_OVERFLOW):
        P, dv = pieces.one_centred(v, 10.0)
    assert pytest.approx(10, rel=3e-6) == P and not dv.any() and dv.dtype == dtype
