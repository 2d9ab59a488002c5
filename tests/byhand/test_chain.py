"""The chain of layers by hand: forward, backward, and the derivative of that derivative.

Values are compared with plain loops, gradients with finite differences: those of a function of the
chain's result, and those of a function of its derivative v by its input.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from chain_checks import (
    VARIANTS,
    WIDTHS,
    Net,
    check_also,
    check_backward,
    check_forward,
    check_input_derivative,
    check_layers,
    check_layers_of_batch_norm,
    check_linear,
    check_more_than_nine_layers,
    check_one_unit,
    check_rows,
    check_sine,
    check_squares,
    check_untouched,
    check_ways_back,
    check_weight_decay,
    column,
    drawn,
    filled,
    forward,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from pieces_checks import SEEDS, flat, mapped
from strict import count_syncs, see_dtypes

from tinygen.byhand.chain import (
    Cache,
    Layers,
    chain_backward,
    decay,
    input_derivative,
    input_derivative_backward,
)
from tinygen.byhand.pieces import ACTIVATIONS

ANY = pytest.mark.parametrize("activation", ACTIVATIONS)
DEPTH = pytest.mark.parametrize("depth", [1, 2, 4])
VARIANT = pytest.mark.parametrize("variant", VARIANTS)


# Forward.


@DEPTH
@ANY
@VARIANT
def test_each_layer_says_what_the_textbook_says(variant: str, activation: str, depth: int) -> None:
    check_forward(drawn(WIDTHS[: depth + 1], activation, depth, **VARIANTS[variant]))


# Backward.


@DEPTH
@ANY
@VARIANT
def test_the_gradient_of_a_function_of_the_result(
    variant: str, activation: str, depth: int
) -> None:
    check_backward(drawn(WIDTHS[: depth + 1], activation, depth, **VARIANTS[variant]))


@settings(max_examples=40)
@given(
    st.lists(st.integers(1, 4), min_size=2, max_size=5).map(tuple),
    st.sampled_from(list(ACTIVATIONS)),
    st.sampled_from([name for name in VARIANTS if "norm" not in name]),
    st.integers(1, 4),
    SEEDS,
)
def test_the_gradient_for_any_widths(
    widths: tuple[int, ...], activation: str, variant: str, n: int, seed: int
) -> None:
    check_backward(drawn(widths, activation, seed, n=n, **VARIANTS[variant]))


@ANY
@VARIANT
def test_gradients_by_layers_on_the_way_are_added(variant: str, activation: str) -> None:
    check_also(drawn(WIDTHS[:4], activation, **VARIANTS[variant]))


@DEPTH
@VARIANT
def test_the_way_back_may_fill_nothing_and_end_early(variant: str, depth: int) -> None:
    check_ways_back(drawn(WIDTHS[: depth + 1], "tanh", **VARIANTS[variant]))


# The derivative of the result by the input.


ONE_RESULT = pytest.mark.parametrize("variant", ["plain", "dropout"])
"""Batch norm has no derivative of a row alone."""


@DEPTH
@ANY
@ONE_RESULT
def test_the_derivative_by_the_input(variant: str, activation: str, depth: int) -> None:
    check_input_derivative(drawn((*WIDTHS[:depth], 1), activation, depth, **VARIANTS[variant]))


FUNCTIONS = pytest.mark.parametrize("of_v", [check_sine, check_squares])


@DEPTH
@ANY
@ONE_RESULT
@FUNCTIONS
def test_the_gradient_of_a_function_of_the_derivative(
    of_v: Callable[[Net], None], variant: str, activation: str, depth: int
) -> None:
    of_v(drawn((*WIDTHS[:depth], 1), activation, depth, **VARIANTS[variant]))


@settings(max_examples=40)
@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple),
    st.sampled_from(list(ACTIVATIONS)),
    st.sampled_from(["plain", "dropout"]),
    st.integers(1, 4),
    SEEDS,
)
def test_the_gradient_of_a_function_of_the_derivative_for_any_widths(
    widths: tuple[int, ...], activation: str, variant: str, n: int, seed: int
) -> None:
    net = drawn((*widths, 1), activation, seed, n=n, **VARIANTS[variant])
    check_input_derivative(net)
    check_sine(net)


# Closed forms.


@DEPTH
def test_a_linear_chain_is_a_product_of_matrices(depth: int) -> None:
    check_linear(depth)


def assert_relu_on_paper() -> None:
    """The table in section 3 of docs/derivations/chain.md."""
    W1 = np.array([[1.0, -1], [1, 2]])
    net = Net({1: [W1, np.zeros(2)], 2: [column(1, -3), np.zeros(1)]}, column(1, 0).T, "relu")
    result, cache = forward(net)
    assert cache.a[1].tolist() == [[1, -1]] and cache.f[1].tolist() == [[1, 0]]
    assert cache.h[1].tolist() == [[1, 0]] and result == 1
    gradients, da = filled(net), column(2)
    dh_1 = chain_backward(da, net.layers, cache, gradients, to_input=False)
    dx = chain_backward(da, net.layers, cache, gradients)
    assert dh_1.tolist() == [[2, -6]] and dx.tolist() == [[2, 2]]
    (dW1, db1), (dW2, db2) = gradients[1], gradients[2]
    assert dW2.tolist() == [[2], [0]] and db2 == 2
    assert dW1.tolist() == [[2, 0], [0, 0]] and db1.tolist() == [2, 0]


def test_the_examples_on_paper() -> None:
    assert_relu_on_paper()
    check_one_unit()


# What a cache can do, and what is left as it is.


@ANY
@ONE_RESULT
def test_some_rows_of_a_cache_are_the_cache_of_these_rows(variant: str, activation: str) -> None:
    check_rows(drawn((*WIDTHS[:3], 1), activation, **VARIANTS[variant]))


def everything(net: Net, gradients: Layers) -> tuple[Any, Cache]:
    """All four functions one after the other, as a discriminator's step has them."""
    result, cache = forward(net)
    dx = chain_backward(result, net.layers, cache, gradients, {1: cache.h[1]})
    if cache.norms or not net.linear:
        return [result, dx, gradients], cache
    v, path = input_derivative(net.layers, cache)
    input_derivative_backward(v, net.layers, cache, path, gradients)
    return [result, dx, v, decay(net.layers, gradients, 0.1), gradients], cache


@ANY
@VARIANT
def test_nothing_that_is_given_is_changed(variant: str, activation: str) -> None:
    check_untouched(drawn(WIDTHS[:4], activation, **VARIANTS[variant]))


@ANY
@VARIANT
def test_float32_stays_float32_and_nothing_waits(
    backend: Any, variant: str, activation: str
) -> None:
    wide = drawn((*WIDTHS[:3], 1), activation, **VARIANTS[variant])
    net = mapped(lambda a: a.astype(np.float32), wide)
    exact, _ = everything(wide, filled(wide, 0.0))
    expected, _ = everything(net, filled(net, 0.0))
    there, room = (mapped(backend.asarray, part) for part in (net, filled(net, 0.0)))
    with count_syncs() as syncs, see_dtypes() as dtypes:
        actual, _ = everything(there, room)
    assert not syncs and set(dtypes) <= {np.dtype("f4"), np.dtype(bool)}
    for a, narrow, right in zip(flat(actual), flat(expected), flat(exact), strict=True):
        assert a.dtype == narrow.dtype == np.float32
        scale = abs(right).max()
        np.testing.assert_allclose(backend.to_numpy(a), narrow, rtol=1e-5, atol=1e-6 * scale)
        np.testing.assert_allclose(narrow, right, rtol=1e-4, atol=1e-5 * scale)


# Layers among parameters, and weight decay.


def test_layers_under_a_prefix_leave_out_the_variance() -> None:
    check_layers()


def test_layers_with_batch_norm_have_three_arrays() -> None:
    check_layers_of_batch_norm()


def test_there_may_be_more_than_nine_layers() -> None:
    check_more_than_nine_layers()


@VARIANT
def test_weight_decay_is_that_of_all_matrices_and_of_nothing_else(variant: str) -> None:
    check_weight_decay(variant)
