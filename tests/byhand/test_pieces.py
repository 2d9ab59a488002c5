"""Each piece by hand against a textbook and finite differences, and where its numbers are extreme.

The three tables of helpers/pieces_checks.py have a row for every function of the module. A function
that is added without its rows makes a test fail.
"""

from __future__ import annotations

import math
from types import FunctionType
from typing import Any

import numpy as np
import pytest
from differences import NON_SMOOTH, PHI, STEP, TOLERANCE
from hypothesis import given, settings
from hypothesis import strategies as st
from pieces_checks import (
    ARGUMENTS,
    CLAIMS,
    SEEDS,
    TEXTBOOK,
    Sizes,
    check_batch_of_two,
    check_bernoulli_of_large_logits,
    check_cross_entropy_of_large_logits,
    check_derivative,
    check_derivative_at_zero,
    check_digits_of_a_log_ratio,
    check_digits_of_a_small_kl,
    check_digits_of_activations,
    check_digits_of_bernoulli,
    check_float32_without_syncs,
    check_logistic_without_overflow,
    check_mean_of_extreme_weights,
    check_penalty_of_a_zero_gradient,
    check_second_derivative_of_elu_at_zero,
    check_ties_of_maxout,
    check_untouched,
    check_value,
    derivatives,
    flat,
    results,
)

from tinygen.byhand import pieces
from tinygen.byhand.checks import DENSE
from tinygen.byhand.pieces import ACTIVATIONS, SECOND

NO_DERIVATIVE = {
    "DENSE.product", "add_bias", "logistic", "batch_norm", "reparameterise", "log_ratio",
    "sum_of_squares", "sum_of_products", "batch_norm_input_gradient", "bernoulli_of_each_pixel",
}  # fmt: skip
"""Functions that give a value alone, or a part of one; another one gives its derivative."""


def test_every_function_is_in_the_tables() -> None:
    functions = {
        name
        for name, function in vars(pieces).items()
        if isinstance(function, FunctionType) and function.__module__ == pieces.__name__
    }
    functions |= {f"DENSE.{name}" for name in vars(pieces.Dense) if not name.startswith("__")}
    tables = [{name.split()[0] for name in table} for table in (ARGUMENTS, TEXTBOOK, CLAIMS)]
    assert tables[0] == tables[1] == functions
    assert tables[2] | NO_DERIVATIVE == functions and not tables[2] & NO_DERIVATIVE
    assert list(ARGUMENTS) == list(TEXTBOOK)


SIZES = st.builds(Sizes, *(st.integers(1, 5) for _ in Sizes()))
EVERY_FUNCTION = pytest.mark.parametrize("name", ARGUMENTS)


@EVERY_FUNCTION
@settings(max_examples=10)
@given(SIZES, SEEDS)
def test_a_value_is_the_textbooks(name: str, s: Sizes, seed: int) -> None:
    check_value(name, s, seed)


@pytest.mark.parametrize("name", CLAIMS)
@settings(max_examples=10)
@given(SIZES, SEEDS)
def test_a_derivative_is_what_differences_say(name: str, s: Sizes, seed: int) -> None:
    check_derivative(name, s, seed)


@EVERY_FUNCTION
def test_float32_stays_float32_and_nothing_waits(backend: Any, name: str) -> None:
    check_float32_without_syncs(backend, name)


@EVERY_FUNCTION
def test_no_argument_is_changed_but_those_that_are_there_to_be_filled(name: str) -> None:
    check_untouched(name)


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
    pieces.DENSE.weight_gradient(h, da, out=dW)
    pieces.bias_gradient(da, out=db)
    assert_paper([pieces.DENSE.product(h, W) + b, dW, db], [5, 0, 2, 1], [1, 0, 4, -1], [3, -1])
    assert_paper(pieces.DENSE.input_gradient(da, W), [1, 2, 3, 4])


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
    assert {name for name in SECOND if not SECOND[name]} == {"none", "maxout", *NON_SMOOTH}


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
    check_derivative_at_zero(name, left)


def test_the_second_derivative_of_elu_at_zero_is_that_of_the_left() -> None:
    check_second_derivative_of_elu_at_zero()


def test_small_numbers_keep_their_digits() -> None:
    check_digits_of_activations()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_exponential_of_the_logistic_function_cannot_overflow(dtype: Any) -> None:
    check_logistic_without_overflow(dtype)


def test_sums_of_a_maxout_unit_that_are_equal_share_its_gradient() -> None:
    # Two units, whose sums lie side by side: of the first two are the largest, of the second all.
    check_ties_of_maxout()


# Batch norm.


def test_batch_norm_sets_mean_and_standard_deviation() -> None:
    r = 5 + 3 * np.random.default_rng(0).standard_normal((50, 2))
    a, _ = pieces.batch_norm(r, np.array([2.0, 0.5]), np.array([1.0, -1]))
    np.testing.assert_allclose(a.mean(axis=0), [1, -1], rtol=1e-13)
    np.testing.assert_allclose(a.std(axis=0), [2, 0.5], rtol=1e-5)  # 1e-5 in 9


@pytest.mark.parametrize("distance", [2.0, 1e-2])
def test_a_batch_of_two_has_almost_no_gradient(distance: float) -> None:
    check_batch_of_two(distance)


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


@DTYPES
def test_cross_entropy_of_large_logits(dtype: Any) -> None:
    check_cross_entropy_of_large_logits(dtype)


@DTYPES
def test_log_likelihood_of_pixels_of_large_logits(dtype: Any) -> None:
    check_bernoulli_of_large_logits(dtype)


def test_the_log_likelihood_of_right_pixels_has_the_digits_of_a_small_number() -> None:
    check_digits_of_bernoulli()


def test_a_small_kl_keeps_its_digits() -> None:
    check_digits_of_a_small_kl()


def test_the_weight_of_a_code_near_the_prior_keeps_its_digits() -> None:
    check_digits_of_a_log_ratio()


@DTYPES
def test_the_mean_of_very_small_and_very_large_weights(dtype: Any) -> None:
    check_mean_of_extreme_weights(dtype)


def test_one_weight_is_its_own_mean() -> None:
    bound, weights = pieces.log_mean_exp(np.array([[0.3, -7]]))
    assert bound.tolist() == [0.3, -7] and weights.tolist() == [[1, 1]]


@DTYPES
def test_a_gradient_of_zero_has_a_penalty_that_can_be_derived(dtype: Any) -> None:
    check_penalty_of_a_zero_gradient(dtype)


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
