"""Each piece by hand against a textbook and finite differences, and where its numbers are extreme.

Three tables have a row for every function of the module: `ARGUMENTS` draws what it is given,
`TEXTBOOK` says what it should return, by plain loops or in NumPy's own words, and `CLAIMS` of what
it is said to be the derivative. A function that is added without its rows makes a test fail.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strict import count_syncs, see_dtypes
from test_byhand_autoencoder import KINKED, MARGIN, PHI, STEP, TOLERANCE, slope_along

from tinygen.byhand import pieces
from tinygen.byhand.checks import DENSE
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
    """For batch norm: columns whose deviation is not tiny by chance."""
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
    "dense": drawn("ni", "io", "o"),
    "dense_gradients": drawn("no", "ni", "?io", "?o"),
    "dense_backward": drawn("no", "io"),
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
    "mse": drawn("ni", "ni"),
    "softmax_cross_entropy": drawn("no", labels),
    "bernoulli": drawn("kni", pixels),
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
FILLED = {"dense_gradients": (2, 3), "batch_norm_backward": (3, 4), "l2_penalty": (1,)}
"""The places of the arguments that a function writes into."""


def function_of(name: str) -> Callable[..., Any]:
    return getattr(pieces, name.split()[0])


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
    "dense": lambda h, W, b: [matrix_product(h, W) + b],
    "dense_gradients": lambda da, h, *_: [matrix_product(h.T, da), da.sum(axis=0)],
    "dense_backward": lambda da, W: [matrix_product(da, W.T)],
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
    "mse": lambda y, x: [np.mean((y - x) ** 2), None],
    "softmax_cross_entropy": cross_entropy,
    "bernoulli": lambda a, x: [log_bernoulli(a, x), None],
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


def assert_value(name: str, s: Sizes, seed: int) -> None:
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
    along = [slope_along(lambda q: f(q["x"]), p, v) for v in np.eye(x.size)]
    return np.array(along).reshape(x.shape)


def of_dense_gradients(da: Any, h: Any, _: Any, __: Any, dW: Any, db: Any) -> Claims:
    W, b = np.zeros(dW.shape), np.zeros(db.shape)
    yield lambda W: (da * pieces.dense(h, W, b)).sum(), W, dW
    yield lambda b: (da * pieces.dense(h, W, b)).sum(), b, db


def of_dense_backward(da: Any, W: Any, dh: Any) -> Claims:
    yield lambda h: (da * pieces.dense(h, W, 0 * da[0])).sum(), 0 * dh, dh


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
    "dense_gradients": of_dense_gradients,
    "dense_backward": of_dense_backward,
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
NO_DERIVATIVE = {"dense", "logistic", "batch_norm", "reparameterise", "log_ratio", "sum_of_squares"}
"""Functions that give a value alone; its derivative is given by another one."""


def assert_gradient(claim: Claim, tolerance: float = TOLERANCE) -> None:
    """Each entry of what is said to be a gradient."""
    f, x, gradient = claim
    assert np.shape(gradient) == x.shape
    error = np.abs(gradient - differences(f, x)).max()
    assert error <= tolerance * (np.abs(gradient).max() + abs(f(x)))


def assert_derivative(name: str, s: Sizes, seed: int) -> None:
    arguments = ARGUMENTS[name](s, np.random.default_rng(seed))
    for claim in CLAIMS[name](*arguments, *results(name, arguments)):
        assert_gradient(claim)


def test_every_function_is_in_the_tables() -> None:
    functions = {
        name
        for name, function in vars(pieces).items()
        if isinstance(function, FunctionType) and function.__module__ == pieces.__name__
    }
    tables = [{name.split()[0] for name in table} for table in (ARGUMENTS, TEXTBOOK, CLAIMS)]
    assert tables[0] == tables[1] == functions
    assert tables[2] | NO_DERIVATIVE == functions and not tables[2] & NO_DERIVATIVE
    assert list(ARGUMENTS) == list(TEXTBOOK)


SIZES = st.builds(Sizes, *(st.integers(1, 5) for _ in Sizes()))
SEEDS = st.integers(0, 2**32 - 1)
EVERY_FUNCTION = pytest.mark.parametrize("name", ARGUMENTS)


@EVERY_FUNCTION
@settings(max_examples=20)
@given(SIZES, SEEDS)
def test_a_value_is_the_textbooks(name: str, s: Sizes, seed: int) -> None:
    assert_value(name, s, seed)


@pytest.mark.parametrize("name", CLAIMS)
@settings(max_examples=20)
@given(SIZES, SEEDS)
def test_a_derivative_is_what_differences_say(name: str, s: Sizes, seed: int) -> None:
    assert_derivative(name, s, seed)


@EVERY_FUNCTION
def test_float32_stays_float32_and_nothing_waits(backend: Any, name: str) -> None:
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


def assert_untouched(name: str) -> None:
    """No argument is changed but those that are there to be filled."""
    arguments = ARGUMENTS[name](Sizes(), np.random.default_rng(3))
    copies = mapped(lambda a: a.copy(), arguments)
    function_of(name)(*arguments)
    for j, (now, before) in enumerate(zip(arguments, copies, strict=True)):
        if j not in FILLED.get(name, ()):
            for a, b in zip(flat(now), flat(before), strict=True):
                np.testing.assert_array_equal(a, b)


@EVERY_FUNCTION
def test_no_argument_is_changed_but_those_that_are_there_to_be_filled(name: str) -> None:
    assert_untouched(name)


@EVERY_FUNCTION
def test_what_lay_in_new_memory_never_shows(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ARGUMENTS[name](Sizes(), np.random.default_rng(3))
    expected = results(name, arguments)
    monkeypatch.setattr(np, "empty_like", lambda a: np.full_like(a, np.nan))
    for a, b in zip(results(name, arguments), expected, strict=True):
        np.testing.assert_array_equal(a, b)


# The examples "on paper" of docs/derivations/pieces.md, section by section.

LOG2, LOG3 = math.log(2), math.log(3)


def assert_paper(actual: Any, *expected: Any) -> None:
    """What a function returns, array by array; how numbers are nested is left to the arrays."""
    for a, numbers in zip(flat(actual), expected, strict=True):
        np.testing.assert_allclose(a, np.reshape(numbers, a.shape), rtol=1e-12, atol=1e-15)


def test_a_dense_layer_on_paper() -> None:
    h, W, b = np.array([[1.0, 2], [0, 1]]), np.array([[1.0, -1], [2, 0]]), np.array([0.0, 1])
    da, dW, db = np.array([[1.0, 0], [2, -1]]), np.empty((2, 2)), np.empty(2)
    pieces.dense_gradients(da, h, dW, db)
    assert_paper([pieces.dense(h, W, b), dW, db], [5, 0, 2, 1], [1, 0, 4, -1], [3, -1])
    assert_paper(pieces.dense_backward(da, W), [1, 2, 3, 4])


@pytest.mark.parametrize(
    ("name", "a", "expected"),
    [
        ("relu", -2, (0, 0, 0)),
        ("relu", 3, (3, 1, 0)),
        ("leaky_relu", -2, (-0.02, 0.01, 0)),
        ("leaky_relu", 3, (3, 1, 0)),
        ("elu", -LOG2, (-1 / 2, 1 / 2, 1 / 2)),
        ("tanh", LOG3 / 2, (1 / 2, 3 / 4, -3 / 4)),
        ("sigmoid", LOG3, (3 / 4, 3 / 16, -3 / 32)),
        ("softplus", LOG3, (math.log(4), 3 / 4, 3 / 16)),
        ("gelu", 0, (0, 1 / 2, math.sqrt(2 / math.pi))),
    ],
)
def test_an_activation_on_paper(name: str, a: float, expected: tuple[float, ...]) -> None:
    assert_paper(derivatives(name, np.array([[float(a)]])), *expected)


def test_maxout_and_dropout_on_paper() -> None:
    h, f = pieces.maxout(np.array([[1.0, 3, 2, 3, 0]]))
    assert_paper([h, f], 3, [0, 1 / 2, 0, 1 / 2, 0])
    assert_paper(pieces.activation_backward(np.array([[4.0]]), f), [0, 2, 0, 2, 0])
    h, f, mask = (np.array([[number]]) for number in (2.0, 3 / 4, 2.0))
    assert_paper(pieces.dropout(h, f, mask), 4, 3 / 2)


def test_batch_norm_on_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "EPSILON", 0.0)
    gamma, dgamma, dbeta = np.array([math.sqrt(2)]), np.empty(1), np.empty(1)
    a, cache = pieces.batch_norm(np.array([[0.0], [0], [3]]), gamma, np.zeros(1))
    assert_paper([a, cache], [-1, -1, 2], [-1, -1, 2], 1 / math.sqrt(2))
    dr = pieces.batch_norm_backward(np.array([[1.0], [0], [0]]), cache, gamma, dgamma, dbeta)
    assert_paper([dbeta, dgamma, dr], 1, -1 / math.sqrt(2), [1 / 2, -1 / 2, 0])


def test_losses_and_likelihoods_on_paper() -> None:
    assert_paper(pieces.mse(np.array([[1.0, 3]]), np.array([[0.0, 1]])), 5 / 2, [1, 2])
    a = np.array([[0.0, LOG3]])
    q_minus_t = [-3 / 4, 3 / 4]
    assert_paper(pieces.softmax_cross_entropy(a, np.array([[1.0, 0]])), math.log(4), q_minus_t)
    two = math.log(4) + math.log(4 / 3)
    assert_paper(pieces.softmax_cross_entropy(a, np.array([[1.0, 1]])), two, [-1 / 2, 1 / 2])
    a, x = np.array([[LOG3, -LOG3]]), np.array([[1.0, 0]])
    assert_paper(pieces.bernoulli(a, x), 2 * math.log(3 / 4), [1 / 4, -1 / 4])
    actual = pieces.gaussian(np.array([[1.0, -1]]), np.array([math.log(4)]), x)
    assert_paper(actual, -math.log(8 * math.pi) - 1 / 8, [0, 1 / 4], -7 / 8)


def test_a_code_on_paper() -> None:
    mu, v, noise = np.array([[2.0]]), np.array([[2 * LOG2]]), np.array([[[-1 / 2]]])
    z, scaled = pieces.reparameterise(mu, v, noise)
    assert_paper([z, scaled], 1, -1)
    assert_paper(pieces.reparameterise_backward(np.array([[[3.0]]]), scaled), 3, -3 / 2)
    assert_paper(pieces.kl(mu, v), 7 / 2 - LOG2, 2, 3 / 2)
    assert_paper(pieces.log_ratio(z, v, noise), LOG2 - 3 / 8)
    assert_paper(pieces.log_ratio_backward(np.array([[2.0]]), z), -2, 1)
    log_w = np.array([[math.log(9)], [0]])
    assert_paper(pieces.log_mean_exp(log_w), math.log(5), [9 / 10, 1 / 10])


def test_penalties_on_paper() -> None:
    v, W, dW = np.array([[3.0, 4]]), np.array([[1.0, 2]]), np.array([[5.0, 7]])
    assert_paper(pieces.zero_centred(v, 1.0), 25 / 2, [3, 4])
    assert_paper(pieces.one_centred(v, 1.0), 16, [24 / 5, 32 / 5])
    assert_paper([pieces.l2_penalty(W, dW, 3.0), dW], 15 / 2, [5 + 3, 7 + 6])


# Activations, entry by entry.

EVERY_ACTIVATION = pytest.mark.parametrize("name", DENSE)


def derivatives(name: str, a: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """phi, phi' and phi''; an activation without a second derivative is made of straight lines."""
    return *ACTIVATIONS[name](a), SECOND[name](a) if SECOND[name] else 0 * a


@EVERY_ACTIVATION
def test_each_activation_and_its_derivatives(name: str) -> None:
    a = np.linspace(-6, 6, 101) + 0.01  # no point lies on a kink
    h, f, second = derivatives(name, a)
    # 1e-15 is for exp(a) - 1 and log(1 + exp(a)), in which the textbook loses digits
    np.testing.assert_allclose(h, [PHI[name](t) for t in a], rtol=1e-13, atol=1e-15)
    right, left = derivatives(name, a + STEP), derivatives(name, a - STEP)
    for order, claimed in ((0, f), (1, second)):
        measured = (right[order] - left[order]) / (2 * STEP)
        np.testing.assert_allclose(claimed, measured, rtol=TOLERANCE, atol=1e-9)  # eps^(2/3)


def test_activations_without_a_second_derivative_are_those_with_a_kink_and_none() -> None:
    assert {*ACTIVATIONS} == {*SECOND}
    assert {name for name in SECOND if not SECOND[name]} == {"none", "maxout", *KINKED}


@EVERY_ACTIVATION
def test_far_out_the_derivatives_are_those_of_straight_lines(name: str) -> None:
    a = np.array([-1e6, -1e3, -150, 150, 1e3, 1e6])
    right = {"tanh": 0, "sigmoid": 0}.get(name, 1)
    left = {"none": 1, "leaky_relu": 0.01}.get(name, 0)
    for dtype in (np.float32, np.float64):
        with np.errstate(over="raise", invalid="raise"):
            _, f, second = derivatives(name, a.astype(dtype))
        assert f.dtype == second.dtype == dtype
        np.testing.assert_allclose(f, [left] * 3 + [right] * 3, rtol=1e-6, atol=1e-60)
        np.testing.assert_allclose(second, 0, atol=1e-60)  # exp(-150) = 7e-66


@EVERY_ACTIVATION
def test_the_derivatives_in_float32(name: str) -> None:
    a = np.linspace(-12, 12, 1001, dtype=np.float32)
    exact = derivatives(name, a.astype(np.float64))
    # Of rounding: the gate of gelu is 1 - 6e-8 where u' is 20.
    for narrow, wide in zip(derivatives(name, a), exact, strict=True):
        np.testing.assert_allclose(narrow, wide, rtol=1e-6, atol=2e-5 if name == "gelu" else 1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@EVERY_ACTIVATION
def test_activations_of_extreme_numbers(name: str, dtype: Any) -> None:
    a = np.array([-1000, -100, 0, 100, 1000], dtype)
    right, f_right = {"tanh": (1, 0), "sigmoid": (1, 0)}.get(name, (1000, 1))
    left, f_left = {
        "none": (-1000, 1),
        "leaky_relu": (dtype(-10), dtype(0.01)),
        "elu": (-1, 0),
        "tanh": (-1, 0),
    }.get(name, (0, 0))
    with np.errstate(over="raise", invalid="raise"):
        h, f = ACTIVATIONS[name](a)
    assert h[0] == pytest.approx(left) and h[-1] == right
    assert f[0] == pytest.approx(f_left) and f[-1] == f_right
    assert np.isfinite(f).all() and h.dtype == f.dtype == dtype


@pytest.mark.parametrize(
    ("name", "left"),
    [("relu", 0.0), ("leaky_relu", 0.01), ("elu", 1.0), ("none", 1.0), ("tanh", 1.0),
     ("sigmoid", 1 / 4), ("softplus", 1 / 2), ("gelu", 1 / 2)],
)  # fmt: skip
def test_the_derivative_at_zero_is_that_of_the_left(name: str, left: float) -> None:
    assert ACTIVATIONS[name](np.zeros(1))[1] == left


def test_the_second_derivative_of_elu_at_zero_is_that_of_the_left() -> None:
    assert pieces.elu_second(np.array([-1e-9, 0.0, 1e-9])) == pytest.approx([1, 1, 0])


def test_small_numbers_keep_their_digits() -> None:
    a = np.array([-30.0, -300.0])
    for name in ("sigmoid", "softplus"):  # both are exp(a) (1 - O(exp(a))), and so are these
        for order in derivatives(name, a):
            np.testing.assert_allclose(order, np.exp(a), rtol=1e-12)
    np.testing.assert_allclose(pieces.sigmoid(-a)[1], np.exp(a), rtol=1e-12)  # where h is 1
    a = -np.logspace(-300, 0, 61)
    np.testing.assert_allclose(pieces.elu(a)[0], np.expm1(a), rtol=1e-15)
    y, t = pieces.logistic(np.array([-700.0, 700]))
    np.testing.assert_allclose([y[0], *t], math.exp(-700), rtol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_exponential_of_the_logistic_function_cannot_overflow(dtype: Any) -> None:
    with np.errstate(over="raise", invalid="raise"):
        y, t = pieces.logistic(np.array([-1e6, -1e3, 0, 1e3, 1e6], dtype))
    assert y.tolist() == [0, 0, 1 / 2, 1, 1] and t.tolist() == [0, 0, 1, 0, 0]


def test_sums_of_a_maxout_unit_that_are_equal_share_its_gradient() -> None:
    # Two units, whose sums lie side by side: of the first two are the largest, of the second all.
    a = np.array([[3.0, 7], [1, 7], [3, 7], [2, 7], [0, 7]]).reshape(1, 10)
    h, f = pieces.maxout(a)
    assert h.tolist() == [[3, 7]]
    assert f.reshape(5, 2).T.tolist() == [[1 / 2, 0, 1 / 2, 0, 0], [1 / 5] * 5]
    da = pieces.activation_backward(np.array([[6.0, 10]]), f)
    assert da.reshape(5, 2).T.tolist() == [[3, 0, 3, 0, 0], [2] * 5]


# Batch norm.


def test_a_batch_norms_columns_have_the_mean_and_the_deviation_that_it_gives_them() -> None:
    r = 5 + 3 * np.random.default_rng(0).standard_normal((50, 2))
    a, _ = pieces.batch_norm(r, np.array([2.0, 0.5]), np.array([1.0, -1]))
    np.testing.assert_allclose(a.mean(axis=0), [1, -1], rtol=1e-13)
    np.testing.assert_allclose(a.std(axis=0), [2, 0.5], rtol=1e-5)  # 1e-5 in 9


@pytest.mark.parametrize("distance", [2.0, 1e-2])
def test_a_batch_of_two_has_almost_no_gradient(distance: float) -> None:
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


def test_a_column_without_variance_stays_finite() -> None:
    r, gamma = np.full((3, 1), 7.0), np.array([2.0])
    a, cache = pieces.batch_norm(r, gamma, np.array([0.5]))
    assert a.tolist() == [[0.5]] * 3
    dgamma, da = np.empty(1), np.array([[1.0], [2], [6]])
    dr = pieces.batch_norm_backward(da, cache, gamma, dgamma, np.empty(1))
    assert dgamma == 0
    np.testing.assert_allclose(dr, 2 / math.sqrt(1e-5) * (da - 3), rtol=1e-13)


# Losses and likelihoods of extreme numbers, and digits that must not get lost.

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
NO_OVERFLOW = {"over": "raise", "invalid": "raise", "divide": "raise"}


@DTYPES
def test_cross_entropy_of_large_logits(dtype: Any) -> None:
    a = np.array([[1000, 0, -1000]], dtype)
    for which, nats in enumerate((0, 1000, 2000)):
        t = np.eye(3, dtype=dtype)[[which]]
        with np.errstate(**NO_OVERFLOW):
            J, da = pieces.softmax_cross_entropy(a, t)
        assert nats == J and J.dtype == dtype
        assert np.array_equal(da, np.eye(3)[[0]] - t)


@DTYPES
def test_log_likelihood_of_pixels_of_large_logits(dtype: Any) -> None:
    a = np.array([1000, 1000, -1000, -1000], dtype)[:, None]
    x = np.array([1, 0, 0, 1], dtype)[:, None]
    with np.errstate(**NO_OVERFLOW):
        log_p, by_a = pieces.bernoulli(a, x)
    assert log_p.tolist() == [0, -1000, 0, -1000] and log_p.dtype == dtype
    assert by_a.ravel().tolist() == [0, -1, 0, 1] and by_a.dtype == dtype


def test_the_log_likelihood_of_right_pixels_has_the_digits_of_a_small_number() -> None:
    a = np.linspace(0, 12, 1000, dtype=np.float32)[:, None]
    exact = -np.log1p(np.exp(-a.astype(float)))
    for pixel in (1, 0):
        log_p, _ = pieces.bernoulli(a if pixel else -a, np.full_like(a, pixel))
        # Half of the distance between floats below 2, twice; that of floats below 12 is 9.5e-7.
        np.testing.assert_allclose(log_p, exact[:, 0], rtol=0, atol=1.3e-7)


def test_a_small_kl_keeps_its_digits() -> None:
    v = np.array([1e-6, -1e-6, 1e-4, 0.0])
    KL, by_mu, by_v = pieces.kl(np.zeros(4), v)
    # exp(v) - 1 - v, and exp(v) - 1; what is left of the series is below 1e-16 of the sum.
    np.testing.assert_allclose(KL, 0.5 * (v**2 / 2 + v**3 / 6 + v**4 / 24), rtol=1e-9)
    np.testing.assert_allclose(by_v, 0.5 * (v + v**2 / 2 + v**3 / 6 + v**4 / 24), rtol=1e-14)
    assert KL[3] == 0 and not by_mu.any()
    assert pieces.kl(np.array([1e-9]), np.zeros(1))[0] == pytest.approx(5e-19, rel=1e-14)


def test_the_weight_of_a_code_near_the_prior_keeps_its_digits() -> None:
    rng = np.random.default_rng(0)
    noise, v = rng.standard_normal((2, 3, 1)), 1e-9 * rng.standard_normal((3, 1))
    z = noise + 1e-9 * rng.standard_normal((2, 3, 1))
    numbers = (np.vectorize(Fraction, otypes=[object])(a) for a in (z, v, noise))
    exact = [(w + e * e - x * x) / 2 for x, w, e in np.broadcast(*numbers)]
    np.testing.assert_allclose(
        pieces.log_ratio(z, v, noise).ravel(), np.array(exact, float), rtol=1e-12
    )


@DTYPES
def test_the_mean_of_very_small_and_very_large_weights(dtype: Any) -> None:
    log_w = np.array([[-1000, 1000, 0], [-1000, 1000, -1000], [-1000, 1000, -2000]], dtype)
    with np.errstate(**NO_OVERFLOW):
        bound, weights = pieces.log_mean_exp(log_w)
    np.testing.assert_allclose(bound, [-1000, 1000, -math.log(3)], rtol=1e-6)
    np.testing.assert_allclose(weights.T, [[1 / 3] * 3, [1 / 3] * 3, [1, 0, 0]], rtol=1e-6)
    assert bound.dtype == weights.dtype == dtype


def test_one_weight_is_its_own_mean() -> None:
    bound, weights = pieces.log_mean_exp(np.array([[0.3, -7]]))
    assert bound.tolist() == [0.3, -7] and weights.tolist() == [[1, 1]]


@DTYPES
def test_a_gradient_of_zero_has_a_penalty_that_can_be_derived(dtype: Any) -> None:
    v = np.zeros((2, 3), dtype)
    with np.errstate(**NO_OVERFLOW):
        P, dv = pieces.one_centred(v, 10.0)
    assert pytest.approx(10, rel=3e-6) == P and not dv.any() and dv.dtype == dtype


def test_a_rows_own_norm_is_penalised() -> None:
    """(3, 4) has length 5, (0, 1) has length 1 and costs nothing."""
    v = np.array([[3.0, 4], [0, 1]])
    P, dv = pieces.one_centred(v, 10.0)
    assert pytest.approx(10 * 16 / 2, rel=1e-12) == P
    np.testing.assert_allclose(
        dv, [[4 * 10 * 3 / 5, 4 * 10 * 4 / 5], [0, 0]], rtol=1e-12, atol=1e-11
    )
    P, dv = pieces.zero_centred(v, 10.0)
    assert P == 10 / 2 * (25 + 1) / 2 and dv.tolist() == [[15, 20], [0, 5]]
