"""Layers and their initialisers: against published variances, independent formulas and PyTorch."""

from __future__ import annotations

import copy
import json
import pickle
import re
import subprocess
import sys
import warnings
from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strict import STRICT, count_syncs

import tinygen as tg
from tinygen.nn import (
    BIASES,
    WEIGHTS,
    BatchNorm,
    Dense,
    Dropout,
    Layer,
    LayerNorm,
    Maxout,
    Sequential,
    mlp,
)
from tinygen.ops import relu, tanh

random = np.random.default_rng(3)


def normal(*shape):
    return random.standard_normal(shape)


def on(backend, x, dtype=np.float32):
    return backend.asarray(np.asarray(x), dtype)


# Initialisers. The variances are those of the papers, written out here once more.

VARIANCES = {
    "glorot": lambda i, o: 2 / (i + o),  # Glorot and Bengio 2010, equation 16
    "he": lambda i, o: 2 / i,  # He et al. 2015, equation 10
    "lecun": lambda i, o: 1 / i,  # LeCun et al. 1998, equation 16
}


def test_every_published_variance_comes_as_normal_and_as_uniform():
    expected = {f"{who}_{how}" for who in VARIANCES for how in ("normal", "uniform")}
    assert set(WEIGHTS) == expected
    assert set(BIASES) == {"zeros", "uniform", "normal"}


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("shape", [(300, 200), (1000, 60), (60, 1000)])
def test_weights_have_the_published_mean_and_variance(name, shape):
    W = WEIGHTS[name](np.random.default_rng(1), shape)
    who, how = name.split("_")
    v = VARIANCES[who](*shape)
    assert W.shape == shape and W.dtype == np.float64
    # The mean of N draws has the standard deviation sqrt(v / N).
    assert abs(W.mean()) < 4.5 * sqrt(v / W.size)
    # The mean square of N draws has the relative standard deviation sqrt((kurtosis - 1) / N), where
    # the kurtosis is 3 (normal) or 9/5 (uniform). 4.5 of them: 1 false alarm in 150,000.
    kurtosis = {"normal": 3, "uniform": 9 / 5}[how]
    assert abs((W * W).mean() / v - 1) < 4.5 * sqrt((kurtosis - 1) / W.size)


@pytest.mark.parametrize("name", [name for name in WEIGHTS if "uniform" in name])
@given(i=st.integers(1, 60), o=st.integers(1, 60), seed=st.integers(0, 99))
def test_uniform_weights_stay_within_their_bound(name, i, o, seed):
    W = WEIGHTS[name](np.random.default_rng(seed), (i, o))
    assert abs(W).max() <= sqrt(3 * VARIANCES[name.split("_")[0]](i, o))


def test_uniform_weights_fill_their_range_and_normal_ones_have_tails():
    for who, variance in VARIANCES.items():
        v = variance(100, 400)
        W = WEIGHTS[f"{who}_uniform"](np.random.default_rng(0), (100, 400))
        # The largest of 40,000 is below 0.9995 of the bound with probability e^-20.
        assert abs(W).max() > 0.9995 * sqrt(3 * v)
        W = WEIGHTS[f"{who}_normal"](np.random.default_rng(0), (100, 400))
        # P(|z| > 3) = 0.0027, so 108 of 40,000 are expected, with a standard deviation of 10.
        assert 60 < (abs(W) > 3 * sqrt(v)).sum() < 160


def test_biases():
    g = np.random.default_rng(0)
    shape = (25, 40_000)
    np.testing.assert_array_equal(BIASES["zeros"](g, shape), np.zeros(40_000))
    b = BIASES["uniform"](g, shape)
    assert b.shape == (40_000,)
    assert 0.999 / 5 < b.max() <= 1 / 5 and -1 / 5 <= b.min() < -0.999 / 5
    b = BIASES["normal"](g, shape)
    # A standard deviation estimated from 40,000 draws has a relative error of 1 / sqrt(80,000),
    # which is 0.35 %.
    assert b.shape == (40_000,) and abs(b.std() / 0.01 - 1) < 4.5 * 0.0035


def test_initialising_is_reproducible_and_differs_by_seed():
    net = mlp([5, 4, 3])
    np.testing.assert_array_equal(net.initialise(7).flat, net.initialise(7).flat)
    assert (net.initialise(7)["W1"] != net.initialise(8)["W1"]).all()


def test_two_layers_of_one_shape_start_differently():
    p = mlp([4, 4, 4]).initialise(0)
    assert (p["W1"] != p["W2"]).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_backend_starts_from_the_same_numbers(backend, dtype):
    net = mlp([5, 4, 3], biases="uniform")
    p = net.initialise(7, dtype, backend)
    assert p.flat.dtype == dtype and type(p.flat) is backend.xp.ndarray
    np.testing.assert_array_equal(backend.to_numpy(p.flat), net.initialise(7, dtype).flat)


def test_float32_starts_from_the_float64_numbers_rounded():
    net = mlp([5, 4, 3], biases="normal")
    rounded = net.initialise(7, np.float64).flat.astype(np.float32)
    np.testing.assert_array_equal(net.initialise(7).flat, rounded)


# Layers without state.


def test_dense_is_x_w_plus_b(backend):
    x, W, b = normal(4, 3), normal(3, 2), normal(2)
    p = {"W": on(backend, W, np.float64), "b": on(backend, b, np.float64)}
    y = backend.to_numpy(Dense(3, 2)(p, on(backend, x, np.float64)))
    expected = [
        [sum(x[n, i] * W[i, o] for i in range(3)) + b[o] for o in range(2)] for n in range(4)
    ]
    np.testing.assert_allclose(y, expected, rtol=1e-14, atol=1e-14)  # sums of 4 in float64


def test_dense_says_what_does_not_fit(backend):
    net = Dense(3, 2)
    p = {"W": on(backend, normal(3, 2)), "b": on(backend, normal(2))}
    with pytest.raises(ValueError, match=r"x is \(5, 4\), W is \(3, 2\)"):
        net(p, on(backend, normal(5, 4)))


@pytest.mark.parametrize("make", [Dense, lambda i, o: LayerNorm(i), lambda i, o: BatchNorm(i)])
@pytest.mark.parametrize("width", [0, -3])
def test_a_layer_without_width_is_refused(make, width):
    with pytest.raises(ValueError, match="widths must be whole numbers, at least 1"):
        make(width, 2)


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="unknown weights 'xavier'; choose one of glorot_normal, "):
        Dense(2, 2, weights="xavier")
    with pytest.raises(ValueError, match="unknown biases 'ones'; choose one of zeros, "):
        Dense(2, 2, biases="ones")
    with pytest.raises(ValueError, match="unknown activation 'swish'; choose one of none, relu, "):
        mlp([2, 2], "swish")


@pytest.mark.parametrize("returned", [{}, {"b": np.ones(3)}, {"a": np.ones(3), "b": np.ones(3)}])
def test_a_layer_that_does_not_initialise_its_parameters_is_refused(returned):
    """Zeros would be trained without a word."""

    class Scale(tg.Layer):
        def __init__(self):
            self.shapes = {"a": (3,)}

        def initialise(self, generator):
            return returned

    with pytest.raises(
        tg.InputError, match=r"^Scale: expected initialise to return arrays for a, got"
    ):
        Sequential(Dense(2, 3), Scale()).initialise(seed=0)


def test_a_layer_of_ones_own_needs_only_its_call():
    class Double(Layer):
        def __call__(self, p, x, *, training=False):
            return x * 2

    net = Sequential(Double(), Dense(1, 1))
    p = net.initialise(0)
    assert list(p) == ["W1", "b1"]
    np.testing.assert_array_equal(net(p, np.float32([[3]])), 6 * p["W1"])
    with pytest.raises(NotImplementedError):
        Layer()({}, np.zeros(1))


# Networks.


def test_names_count_the_layers_that_have_parameters():
    net = Sequential(Dropout(0.1), Dense(6, 4), relu, LayerNorm(4), Dense(4, 2), tanh, BatchNorm(2))
    assert net.shapes == {
        "W1": (6, 4), "b1": (4,), "gamma2": (4,), "beta2": (4,),
        "W3": (4, 2), "b3": (2,), "gamma4": (2,), "beta4": (2,),
    }  # fmt: skip
    p = net.initialise(0)
    assert p.shapes == net.shapes and p.flat.shape == (net.size,) == (24 + 4 + 8 + 8 + 2 + 4,)


def test_nested_networks_are_laid_out_like_a_flat_one():
    layers = [Dense(5, 4), relu, LayerNorm(4), Dense(4, 3), tanh, Dense(3, 2)]
    flat = Sequential(*layers)
    nested = Sequential(Sequential(*layers[:2]), Sequential(Sequential(*layers[2:4]), *layers[4:]))
    assert nested.shapes == flat.shapes and list(nested.shapes) == list(flat.shapes)
    p, x = flat.initialise(0), normal(7, 5).astype(np.float32)
    np.testing.assert_array_equal(nested.initialise(0).flat, p.flat)
    np.testing.assert_array_equal(nested(p, x), flat(p, x))


def test_a_network_is_its_layers_one_after_the_other(backend):
    net = Sequential(Dense(5, 4), tanh, Dense(4, 2))
    p, x = net.initialise(1, np.float64), normal(3, 5)
    expected = np.tanh(x @ p["W1"] + p["b1"]) @ p["W2"] + p["b2"]
    there = net(p.to(backend), on(backend, x, np.float64))
    np.testing.assert_allclose(backend.to_numpy(there), expected, rtol=1e-13, atol=1e-13)


def test_mlp_puts_activation_and_dropout_between_the_layers_only():
    net = mlp([9, 8, 7, 6], "tanh", dropout=0.5)
    kinds = [type(layer).__name__ for layer in net.layers]
    assert kinds == ["Dense", "Op", "Dropout", "Dense", "Op", "Dropout", "Dense"]
    assert net.layers[1] is tanh
    assert [layer.shapes["W"] for layer in net.layers if isinstance(layer, Dense)] == [
        (9, 8), (8, 7), (7, 6),
    ]  # fmt: skip
    assert not any(isinstance(layer, Dropout) for layer in mlp([9, 8, 7]).layers)


def test_a_dense_layer_may_have_no_bias(backend):
    net = Sequential(Dense(3, 4, biases=None), tanh, Dense(4, 2))
    assert net.shapes == {"W1": (3, 4), "W2": (4, 2), "b2": (2,)}
    p, x = net.initialise(0, np.float64), normal(5, 3)
    there = net(p.to(backend), on(backend, x, np.float64))
    expected = np.tanh(x @ p["W1"]) @ p["W2"] + p["b2"]
    np.testing.assert_allclose(backend.to_numpy(there), expected, rtol=1e-13, atol=1e-13)
    tg.check_gradients(lambda q: net(q, x), p)


@pytest.mark.parametrize(
    ("norm", "shapes"),
    [
        ("none", {"W1": (4, 3), "b1": (3,), "W2": (3, 2), "b2": (2,), "W3": (2, 1), "b3": (1,)}),
        ("layer", {"W1": (4, 3), "b1": (3,), "gamma2": (3,), "beta2": (3,), "W3": (3, 2),
                   "b3": (2,), "gamma4": (2,), "beta4": (2,), "W5": (2, 1), "b5": (1,)}),
        # A bias would move a column that batch norm moves back; the last layer has none behind it.
        ("batch", {"W1": (4, 3), "gamma2": (3,), "beta2": (3,), "W3": (3, 2), "gamma4": (2,),
                   "beta4": (2,), "W5": (2, 1), "b5": (1,)}),
    ],
)  # fmt: skip
def test_mlp_puts_a_norm_between_a_hidden_layer_and_its_activation(norm, shapes):
    net = mlp([4, 3, 2, 1], "relu", dropout=0.5, norm=norm)
    assert net.shapes == shapes
    name = {"none": [], "batch": ["BatchNorm"], "layer": ["LayerNorm"]}[norm]
    kinds = [type(layer).__name__ for layer in net.layers]
    assert kinds == 2 * ["Dense", *name, "Op", "Dropout"] + ["Dense"]
    p = net.initialise(0)
    if norm != "none":
        assert (p["gamma2"] == 1).all() and (p["beta2"] == 0).all()
    assert all(layer.momentum == 0 for layer in net.layers if isinstance(layer, BatchNorm))


def test_mlp_of_maxout_has_no_other_activation():
    net = mlp([4, 3, 2], "maxout", dropout=0.5)
    assert net.shapes == {"W1": (4, 15), "b1": (15,), "W2": (3, 2), "b2": (2,)}
    assert [type(layer).__name__ for layer in net.layers] == ["Maxout", "Dropout", "Dense"]
    assert [m.shape for m in net.draw_masks(np.random.default_rng(0), 7)] == [(7, 3)]


@pytest.mark.parametrize(
    ("activation", "norm", "sentence"),
    [
        ("maxout", "batch", "maxout has no place for a batch norm before its activation"),
        ("maxout", "layer", "maxout has no place for a layer norm before its activation"),
        ("relu", "group", "unknown norm 'group'; choose one of none, batch, layer"),
        ("maxin", "none", "unknown activation 'maxin'; choose one of .*, maxout"),
    ],
)
def test_options_that_do_not_fit_an_mlp_are_refused(activation, norm, sentence):
    with pytest.raises(ValueError, match=sentence):
        mlp([4, 3, 2], activation, norm=norm)
    with pytest.raises(ValueError, match=sentence):
        mlp([4, 2], activation, norm=norm)  # even where there would be none


# Maxout.


def test_maxout_is_the_largest_of_its_pieces(backend):
    net = Sequential(Maxout(3, 2, pieces=4, biases="normal"))
    assert net.shapes == {"W1": (3, 8), "b1": (8,)}
    p, x = net.initialise(1, np.float64), normal(6, 3)
    expected = np.empty((6, 2))
    for row in range(6):
        for unit in range(2):
            # The pieces of a unit lie as far apart as there are units.
            sums = [x[row] @ p["W1"][:, unit + 2 * k] + p["b1"][unit + 2 * k] for k in range(4)]
            expected[row, unit] = max(sums)
    found = net(p.to(backend), on(backend, x, np.float64))
    np.testing.assert_allclose(backend.to_numpy(found), expected, rtol=1e-13, atol=1e-13)


def test_maxout_of_one_piece_is_a_dense_layer_and_of_two_may_be_an_absolute_value():
    x = normal(5, 3)
    dense, one = Sequential(Dense(3, 2)), Sequential(Maxout(3, 2, pieces=1))
    p = dense.initialise(0, np.float64)
    np.testing.assert_array_equal(one(p, x), dense(p, x))
    two = Sequential(Maxout(3, 3, pieces=2, biases=None))
    p = two.initialise(0, np.float64)
    p["W1"][...] = np.concatenate([np.eye(3), -np.eye(3)], axis=1)
    np.testing.assert_array_equal(two(p, x), abs(x))


def test_the_gradient_of_maxout_goes_to_the_piece_that_won():
    net = Sequential(Maxout(3, 2, pieces=3, biases="normal"), tanh, Dense(2, 1))
    p, x = net.initialise(0, np.float64), normal(4, 3)
    tg.check_gradients(lambda q: net(q, x), p, elementwise=True)
    tg.check_gradients(lambda x: net(p, x), [x], order=2)


def test_a_maxout_layer_starts_like_a_dense_one_of_all_its_pieces():
    W = Maxout(300, 40, pieces=5, weights="he_normal").initialise(np.random.default_rng(0))["W"]
    assert W.shape == (300, 200)
    assert abs((W * W).mean() / (2 / 300) - 1) < 4.5 * sqrt(2 / W.size)


@pytest.mark.parametrize("widths", [(3, 2, 0), (0, 2, 5), (3, -1, 5), (3, 2, 2.0)])
def test_widths_of_maxout_that_make_no_sense_are_refused(widths):
    with pytest.raises(ValueError, match="Maxout: widths must be whole numbers, at least 1"):
        Maxout(*widths)


def test_a_layer_may_be_used_twice_with_parameters_for_each_use():
    dense = Dense(3, 3)
    assert list(Sequential(dense, relu, dense).shapes) == ["W1", "b1", "W2", "b2"]


@pytest.mark.parametrize("activation", tg.ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_training_step_keeps_the_dtype_and_never_waits(activation, dtype):
    net = mlp([4, 6, 6, 2], activation, dropout=0.25, biases="uniform")
    p = net.initialise(0, dtype, STRICT)
    x = on(STRICT, normal(5, 4), dtype)
    with count_syncs() as syncs:
        masks = net.draw_masks(STRICT.generator(0), 5, dtype)
        loss, gradients = tg.value_and_grad(
            lambda p, x: net(p, x, training=True, masks=masks).sum()
        )(p, x)
    assert syncs == []
    assert loss.dtype == dtype and gradients.flat.dtype == dtype


@given(
    widths=st.lists(st.integers(1, 5), min_size=2, max_size=4),
    n=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_gradients_of_networks_of_any_shape(widths, n, seed):
    net = mlp(widths, "tanh", biases="uniform")
    x = np.random.default_rng(seed).standard_normal((n, widths[0]))
    tg.check_gradients(lambda p: net(p, x), net.initialise(seed, np.float64))


# Dropout.


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_mask_is_0_or_1_over_the_probability_of_staying(backend, rate, dtype):
    mask = Dropout(rate).draw_mask(backend.generator(1), (200, 300), dtype)
    assert mask.dtype == dtype and mask.shape == (200, 300)
    mask = backend.to_numpy(mask)
    keep = mask != 0
    # One rounding of the quotient to the dtype.
    np.testing.assert_allclose(mask[keep], 1 / (1 - rate), rtol=np.finfo(dtype).eps)
    # 60,000 coins: their fraction has the standard deviation sqrt(rate (1 - rate) / 60,000).
    assert abs(keep.mean() - (1 - rate)) <= 4.5 * sqrt(rate * (1 - rate) / 60_000)
    # So the mean of what passes is what it would be without dropout.
    assert abs(mask.mean() - 1) <= 4.5 * sqrt(rate / (1 - rate) / 60_000) + 1e-6  # and rounding


def test_masks_differ_by_element_and_row():
    mask = Dropout(0.5).draw_mask(np.random.default_rng(0), (50, 60), np.float32)
    # Rows (columns) of 60 (50) fair coins all differ: two alike have probability 1e-12 or less.
    assert len({row.tobytes() for row in mask}) == 50
    assert len({column.tobytes() for column in mask.T}) == 60


def test_dropout_multiplies_by_its_mask_in_training_and_is_absent_afterwards(backend):
    net = Sequential(Dense(3, 4), Dropout(0.5), Dense(4, 2), relu, Dropout(0.25))
    p, x = net.initialise(0, np.float64), normal(6, 3)
    there = p.to(backend)
    x_there = on(backend, x, np.float64)
    masks = net.draw_masks(backend.generator(4), 6, np.float64)
    assert [m.shape for m in masks] == [(6, 4), (6, 2)]
    y = net(there, x_there, training=True, masks=masks)
    a, b = map(backend.to_numpy, masks)
    expected = np.maximum(((x @ p["W1"] + p["b1"]) * a) @ p["W2"] + p["b2"], 0) * b
    np.testing.assert_allclose(backend.to_numpy(y), expected, rtol=1e-13, atol=1e-13)
    expected = np.maximum((x @ p["W1"] + p["b1"]) @ p["W2"] + p["b2"], 0)
    y = net(there, x_there)
    np.testing.assert_allclose(backend.to_numpy(y), expected, rtol=1e-13, atol=1e-13)


def test_too_few_and_too_many_masks_are_refused(backend):
    net = Sequential(Dense(3, 4), Dropout(0.5))
    p, x = net.initialise(0, backend=backend), on(backend, normal(6, 3))
    masks = net.draw_masks(backend.generator(0), 6)
    with pytest.raises(ValueError, match=r"each of 1 layers, got 0; pass masks=net\.draw_masks"):
        net(p, x, training=True)
    with pytest.raises(ValueError, match="a mask for each of 1 layers, got 2"):
        net(p, x, training=True, masks=masks * 2)


def test_a_mask_for_one_row_is_not_spread_over_all(backend):
    net = Sequential(Dense(3, 4), Dropout(0.5))
    p, x = net.initialise(0, backend=backend), on(backend, normal(6, 3))
    with pytest.raises(ValueError, match=r"the mask is \(1, 4\), x is \(6, 4\)"):
        net(p, x, training=True, masks=net.draw_masks(backend.generator(0), 1))


@pytest.mark.parametrize("rate", ["0.5", None, -0.1, 1.0, 2.0, float("nan")])
def test_a_rate_that_makes_no_sense_is_refused(rate):
    with pytest.raises(ValueError, match="the rate must be at least 0 and below 1"):
        Dropout(rate)


def test_dropout_before_any_width_is_known_is_refused():
    with pytest.raises(ValueError, match="it must come after a Dense layer"):
        Sequential(Dropout(0.5)).draw_masks(np.random.default_rng(0), 3)


# Normalisation.


def normalised(x, axis, epsilon, gamma, beta):
    """By the papers' words, a row or column at a time."""
    y = np.empty_like(x)
    for k in range(x.shape[1 - axis]):
        line = x[:, k] if axis == 0 else x[k]
        m = sum(line) / len(line)
        v = sum((a - m) ** 2 for a in line) / len(line)
        z = (line - m) / sqrt(v + epsilon)
        if axis == 0:
            y[:, k] = z * gamma[k] + beta[k]
        else:
            y[k] = z * gamma + beta
    return y


NORMS = {"layer": (LayerNorm, 1), "batch": (BatchNorm, 0)}


@pytest.mark.parametrize("kind", NORMS)
@pytest.mark.parametrize("epsilon", [1e-5, 0.3])
def test_normalisation_is_the_papers_formula(backend, kind, epsilon):
    make, axis = NORMS[kind]
    x, gamma, beta = 5 + 2 * normal(6, 4), normal(4), normal(4)
    p = {"gamma": on(backend, gamma, np.float64), "beta": on(backend, beta, np.float64)}
    y = make(4, epsilon)(p, on(backend, x, np.float64), training=True)
    expected = normalised(x, axis, epsilon, gamma, beta)
    np.testing.assert_allclose(backend.to_numpy(y), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", NORMS)
def test_normalised_numbers_have_mean_0_and_variance_1(kind):
    make, axis = NORMS[kind]
    net = Sequential(make(50))
    x = (100 + 7 * normal(50, 50)).astype(np.float32)
    y = net(net.initialise(0), x, training=True).astype(np.float64)
    # float32 numbers around 100 are known to 4e-6, that is to 6e-7 of their standard deviation 7.
    np.testing.assert_allclose(y.mean(axis), 0, atol=5e-6)
    np.testing.assert_allclose(y.var(axis), 1, atol=2e-5)  # epsilon / 49 is 2e-7


def test_layer_norm_treats_a_row_alike_whatever_the_batch_and_in_evaluation():
    net = Sequential(LayerNorm(5))
    p, x = net.initialise(0, np.float64), normal(6, 5)
    np.testing.assert_array_equal(net(p, x[:1]), net(p, x, training=True)[:1])


def test_a_constant_row_or_column_is_normalised_to_zero_without_a_warning(backend):
    x = on(backend, np.full((3, 4), 2.5))
    for make, _ in NORMS.values():
        net = Sequential(make(4))
        y = net(net.initialise(0, backend=backend), x, training=True)
        np.testing.assert_array_equal(backend.to_numpy(y), 0)


@pytest.mark.parametrize("kind", NORMS)
def test_gradients_of_normalisation_to_the_second_order(kind):
    """None of this passes if the inverse standard deviation is treated as a constant."""
    layer = NORMS[kind][0](3)
    inputs = [normal(5, 3), 1 + normal(3), normal(3)]

    def f(x, gamma, beta):
        return tanh(layer({"gamma": gamma, "beta": beta}, x, training=True))

    assert tg.check_gradients(f, inputs, order=2, elementwise=True).checks > 20


def test_gradients_of_normalisation_in_evaluation():
    layer = BatchNorm(3)
    p = {"gamma": np.ones(3), "beta": np.zeros(3)}
    layer(p, 4 + 3 * normal(8, 3), training=True)

    def f(x, gamma, beta):
        return tanh(layer({"gamma": gamma, "beta": beta}, x))

    tg.check_gradients(f, [normal(5, 3), normal(3), normal(3)], order=2)


def test_the_gradient_of_a_batch_norm_moves_no_column_and_scales_none(backend):
    """Its output ignores a shift of a column, so the gradient's columns sum to zero."""
    layer = BatchNorm(4, epsilon=1e-12)
    p = {"gamma": on(backend, np.ones(4), np.float64), "beta": on(backend, np.ones(4), np.float64)}
    values, c = normal(6, 4), on(backend, normal(6, 4), np.float64)
    x = tg.Tensor(on(backend, values, np.float64), requires_grad=True)
    dx = backend.to_numpy(tg.grad((layer(p, x, training=True) * c).sum(), x))
    np.testing.assert_allclose(dx.sum(0), 0, atol=1e-13)  # rounding of sums of 6
    # Nor does a scaling about the mean change it (but for epsilon).
    np.testing.assert_allclose((dx * values).sum(0), 0, atol=1e-10)


@pytest.mark.parametrize("kind", NORMS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_normalisation_keeps_the_dtype_and_never_waits(kind, dtype):
    net = Sequential(Dense(4, 3), NORMS[kind][0](3))
    p = net.initialise(0, dtype, STRICT)
    x = on(STRICT, normal(5, 4), dtype)
    with count_syncs() as syncs:
        for training in (True, False):
            f = tg.value_and_grad(lambda p, x, t=training: (net(p, x, training=t) * 2).sum())
            loss, gradients = f(p, x)
            assert loss.dtype == dtype and gradients.flat.dtype == dtype
    assert syncs == []
    assert all(s.dtype == dtype for s in net.statistics().values())


# The running averages of batch norm.


def test_running_averages_follow_the_batches(backend):
    layer = BatchNorm(3, momentum=0.2)
    net = Sequential(layer)
    p = net.initialise(0, np.float64, backend)
    m, v = np.zeros(3), np.ones(3)
    for _ in range(4):
        x = 3 + 2 * normal(5, 3)
        net(p, on(backend, x, np.float64), training=True)
        m = 0.8 * m + 0.2 * x.mean(0)
        v = 0.8 * v + 0.2 * x.var(0, ddof=1)
    seen = {name: backend.to_numpy(a) for name, a in net.statistics().items()}
    np.testing.assert_allclose(seen["mean0"], m, rtol=1e-13)
    np.testing.assert_allclose(seen["variance0"], v, rtol=1e-13)
    x = normal(1, 3)  # a batch of one is fine now
    y = backend.to_numpy(net(p, on(backend, x, np.float64)))
    np.testing.assert_allclose(y, (x - m) / np.sqrt(v + 1e-5), rtol=1e-12)


def test_evaluation_neither_changes_the_averages_nor_depends_on_the_batch():
    net = Sequential(BatchNorm(3))
    p = net.initialise(0, np.float64)
    net(p, normal(5, 3), training=True)
    before = net.statistics()
    x = normal(4, 3)
    np.testing.assert_array_equal(net(p, x)[:2], net(p, x[:2]))
    for name, a in net.statistics().items():
        np.testing.assert_array_equal(a, before[name])


def test_a_batch_of_one_and_an_untrained_layer_are_refused(backend):
    net = Sequential(BatchNorm(3))
    p = net.initialise(0, backend=backend)
    with pytest.raises(ValueError, match="a batch of one has no variance"):
        net(p, on(backend, normal(1, 3)), training=True)
    with pytest.raises(ValueError, match="no statistics before its first training batch"):
        net(p, on(backend, normal(4, 3)))


def test_initialising_forgets_the_averages():
    net = Sequential(BatchNorm(3))
    net(net.initialise(0), normal(4, 3).astype(np.float32), training=True)
    net.initialise(0)
    assert net.statistics() == {}


def trained(backend=None):
    net = Sequential(Dense(4, 3), BatchNorm(3), Sequential(relu, Dense(3, 2), BatchNorm(2)))
    p = net.initialise(0, np.float64)
    for _ in range(3):
        net(p, normal(6, 4), training=True)
    return net, p


def test_statistics_can_be_taken_along_and_put_back():
    net, p = trained()
    saved = net.statistics()
    assert {name: a.shape for name, a in saved.items()} == {
        "mean1": (3,), "variance1": (3,), "mean4": (2,), "variance4": (2,),
    }  # fmt: skip
    other, _ = trained()
    x = normal(5, 4)
    assert not np.array_equal(other(p, x), net(p, x))
    other.restore_statistics(saved)
    np.testing.assert_array_equal(other(p, x), net(p, x))


def test_what_was_saved_stays_as_it_was_when_training_goes_on():
    net, p = trained()
    saved = net.statistics()
    copies = {name: a.copy() for name, a in saved.items()}
    net(p, normal(6, 4), training=True)
    net.restore_statistics(saved)
    net(p, normal(6, 4), training=True)
    for name, a in saved.items():
        np.testing.assert_array_equal(a, copies[name])


def test_statistics_from_before_the_first_batch_can_be_put_back_too():
    net, p = trained()
    net.restore_statistics(Sequential(*net.layers[:1], BatchNorm(3)).statistics())
    assert net.statistics() == {}
    net(p, normal(6, 4), training=True)
    assert len(net.statistics()) == 4


# Averages that are taken at once, of a batch that is large.


def calibrated(momentum=0.0, dropout=0.0):
    net = Sequential(
        Dense(4, 3), BatchNorm(3, momentum=momentum), tanh, Dropout(dropout),
        Dense(3, 5), BatchNorm(5, momentum=momentum), tanh, Dense(5, 2),
    )  # fmt: skip
    return net, net.initialise(0, np.float64)


def test_calibrated_averages_are_those_of_the_rows_layer_by_layer(backend):
    """Written out; of the second layer they are what the first makes with its averages."""
    net, p = calibrated(dropout=0.5)
    x, other = 2 + normal(40, 4), normal(6, 4)

    def output(z):
        h = z
        for k, gamma in ((1, 2), (3, 4)):
            a = [rows @ p[f"W{k}"] + p[f"b{k}"] for rows in (h, seen[-1])]
            m, v = a[1].mean(axis=0), a[1].var(axis=0, ddof=1)
            h, next_seen = (np.tanh((y - m) / np.sqrt(v + 1e-5) * p[f"gamma{gamma}"]
                                    + p[f"beta{gamma}"]) for y in a)  # fmt: skip
            seen.append(next_seen)
        return h @ p["W5"] + p["b5"]

    seen = [x]
    there = p.to(backend)
    averages = net.calibrate(there, on(backend, x, np.float64))
    assert list(averages) == ["gamma2", "gamma4"] and net.statistics() == {}
    for z in (x, other, other[:1]):
        seen = [x]
        y = net(there, on(backend, z, np.float64), calibrated=averages)
        np.testing.assert_allclose(backend.to_numpy(y), output(z), rtol=1e-11)


def test_calibration_agrees_with_training_but_for_the_unbiased_variance():
    """With a batch norm behind a dense layer the factor is n / (n - 1) in the variance alone."""
    net = Sequential(Dense(4, 3), BatchNorm(3, epsilon=0.0))
    p = net.initialise(0, np.float64)
    for n in (2, 10, 1000):
        x = normal(n, 4)
        calibrated_ = net(p, x, calibrated=net.calibrate(p, x))
        np.testing.assert_allclose(calibrated_ * np.sqrt(n / (n - 1)), net(p, x, training=True),
                                   rtol=1e-9)  # fmt: skip


def test_with_momentum_0_training_keeps_nothing():
    net, p = calibrated()
    net(p, normal(6, 4), training=True, masks=(np.ones((6, 3)),))
    assert net.statistics() == {}
    with pytest.raises(ValueError, match="no statistics before its first training batch"):
        net(p, normal(6, 4))


def test_calibration_changes_neither_the_layers_nor_the_parameters():
    """Its result belongs to the caller; the running averages of training are unchanged."""
    net, p = calibrated(momentum=0.1)
    net(p, 9 + normal(7, 4), training=True, masks=(np.ones((7, 3)),))
    x, z = normal(20, 4), normal(3, 4)
    start, before, remembered = p.flat.copy(), net(p, z), net.statistics()
    statistics = net.calibrate(p, x)
    first = net(p, z, calibrated=statistics)
    net.calibrate(p, 3 * normal(20, 4))
    np.testing.assert_array_equal(net(p, z, calibrated=statistics), first)
    np.testing.assert_array_equal(net(p, z), before)
    assert not np.allclose(first, before)
    np.testing.assert_array_equal(p.flat, start)
    for name, a in net.statistics().items():
        np.testing.assert_array_equal(a, remembered[name])


def test_averaged_parameters_get_their_own_calibration():
    """Statistics of the last parameters would be wrong for an average of them and earlier ones."""
    net, p = calibrated()
    q = p.copy()
    q.flat[...] += 0.5 * normal(q.flat.size)
    average = p.like((p.flat + q.flat) / 2)
    x = normal(500, 4)
    y = net(average, x, calibrated=net.calibrate(average, x))
    # But for the n / (n - 1) of each layer it is what training makes of these parameters.
    expected = net(average, x, training=True, masks=(np.ones((500, 3)),))
    np.testing.assert_allclose(y, expected, atol=0.02)
    assert abs(net(average, x, calibrated=net.calibrate(q, x)) - y).max() > 0.1


def test_a_net_without_batch_norm_has_nothing_to_calibrate():
    net = mlp([3, 4, 2], "tanh", norm="layer")
    p, x = net.initialise(0, np.float64), normal(1, 3)
    assert net.calibrate(p, x) == {}
    np.testing.assert_array_equal(net(p, x, calibrated={}), net(p, x))
    with pytest.raises(ValueError, match="a batch of one has no variance"):
        mlp([3, 4, 2], "tanh", norm="batch").calibrate({"W1": np.ones((3, 4))}, x)


def test_calibration_keeps_the_dtype_and_never_waits():
    net = mlp([4, 3, 2], "tanh", norm="batch")
    for dtype in (np.float32, np.float64):
        p = net.initialise(0, dtype, STRICT)
        with count_syncs() as syncs:
            statistics = net.calibrate(p, on(STRICT, normal(7, 4), dtype))
            y = net(p, on(STRICT, normal(2, 4), dtype), calibrated=statistics)
        assert not syncs and y.dtype == dtype
        assert all(a.dtype == dtype for own in statistics.values() for a in own.values())


# PyTorch, where it is installed; it is no dependency. Tolerances: sums of ten numbers or so in
# float64, in another order.


@pytest.fixture
def torch():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # whatever PyTorch has to say at import is not our affair
        return pytest.importorskip("torch")


@pytest.mark.parametrize("kind", NORMS)
def test_normalisation_agrees_with_pytorch_in_values_and_gradients(torch, kind):
    layer = NORMS[kind][0](3)
    theirs = {"layer": torch.nn.LayerNorm, "batch": torch.nn.BatchNorm1d}[kind](3).double()
    gamma, beta = normal(3), normal(3)
    with torch.no_grad():
        theirs.weight[:], theirs.bias[:] = torch.tensor(gamma), torch.tensor(beta)
    for training in (True, True, False):
        x, c = 2 + normal(5, 3), normal(5, 3)
        xt = torch.tensor(x, requires_grad=True)
        theirs.train(training)
        yt = theirs(xt)
        dxt, dgamma = torch.autograd.grad((yt * torch.tensor(c)).sum(), [xt, theirs.weight])
        ours = [tg.Tensor(a, requires_grad=True) for a in (x, gamma, beta)]
        y = layer({"gamma": ours[1], "beta": ours[2]}, ours[0], training=training)
        dx, dg, _ = tg.grad((y * c).sum(), ours)
        np.testing.assert_allclose(y.array, yt.detach().numpy(), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(dx, dxt.numpy(), rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(dg, dgamma.numpy(), rtol=1e-11, atol=1e-12)
    if kind == "batch":
        np.testing.assert_allclose(layer.statistics["mean"], theirs.running_mean.numpy())
        np.testing.assert_allclose(layer.statistics["variance"], theirs.running_var.numpy())


def test_uniform_biases_are_pytorchs(torch):
    torch.manual_seed(0)
    theirs = torch.nn.Linear(25, 20_000).bias.detach().numpy()
    ours = BIASES["uniform"](np.random.default_rng(0), (25, 20_000))
    # Means of 20,000 squares, each with the relative standard error sqrt(0.8 / 20,000) = 0.63 %.
    assert abs((ours**2).mean() / (theirs**2).mean() - 1) < 4.5 * 0.0063 * sqrt(2)


# Widths, dtypes and copies.


@pytest.mark.parametrize("kind", [np.int64, np.uint8])
@pytest.mark.parametrize(
    "make", [Dense, Maxout, lambda i, _: LayerNorm(i), lambda i, _: BatchNorm(i)]
)
def test_a_width_may_be_an_integer_of_numpy_and_becomes_one_of_python(make, kind):
    layer = make(kind(3), kind(2))
    assert layer.shapes == make(3, 2).shapes
    assert all(type(n) is int for shape in layer.shapes.values() for n in shape)
    json.dumps(dict(layer.shapes))


@pytest.mark.parametrize("width", [2.0, np.float64(2), "2", None, True, np.array([2, 3])])
def test_a_width_that_is_no_whole_number_is_refused(width):
    with pytest.raises(tg.InputError, match="Dense: widths must be whole numbers"):
        Dense(3, width)


def test_a_network_has_two_widths_or_more():
    for sizes in ([], [784], 784):
        with pytest.raises(tg.InputError, match="mlp: expected two widths or more, got"):
            mlp(sizes)


def test_an_activation_may_be_a_function(backend):
    x = on(backend, normal(5, 3), np.float64)
    for f in (tg.tanh, lambda x: tg.tanh(x)):
        net, named = mlp([3, 4, 2], f), mlp([3, 4, 2], "tanh")
        p = named.initialise(0, np.float64, backend)
        np.testing.assert_array_equal(backend.to_numpy(net(p, x)), backend.to_numpy(named(p, x)))


@pytest.mark.parametrize("kind", [LayerNorm, BatchNorm])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(3, 1), (3, 4), (1,), ()])
def test_a_norm_of_another_width_than_its_input_is_refused(backend, kind, training, shape):
    """LayerNorm(5) of (3, 1) was (3, 5)."""
    layer = kind(5)
    p = {name: on(backend, value) for name, value in layer.initialise(None).items()}
    if not training and kind is BatchNorm:
        layer(p, on(backend, normal(4, 5)), training=True)
    for x in (on(backend, np.ones(shape)), tg.Tensor(on(backend, np.ones(shape)))):
        with pytest.raises(tg.InputError, match=re.escape(f"{kind.__name__}: x is {shape}")):
            layer(p, x, training=training)


@pytest.mark.parametrize("kind", [LayerNorm, BatchNorm])
@pytest.mark.parametrize("name", ["gamma", "beta"])
def test_parameters_of_a_norm_do_not_broadcast(kind, name):
    p = {"gamma": np.ones(5), "beta": np.zeros(5)}
    for shape in ((1,), (4, 5), ()):
        with pytest.raises(tg.InputError, match=rf"{kind.__name__}: .*{name}.* expected"):
            kind(5)(p | {name: np.ones(shape)}, normal(4, 5), training=True)


def test_statistics_of_another_width_are_refused():
    layer, p = BatchNorm(5), {"gamma": np.ones(5), "beta": np.zeros(5)}
    with pytest.raises(tg.InputError, match=r"BatchNorm: .*statistics.* \(1,\)"):
        layer(p, normal(4, 5), statistics={"mean": np.ones(1), "variance": np.ones(1)})


def test_batch_norm_is_of_rows_and_layer_norm_of_any_axes_before_the_last():
    x = normal(2, 4, 5)
    p = {"gamma": np.ones(5), "beta": np.zeros(5)}
    np.testing.assert_array_equal(LayerNorm(5)(p, x)[1], LayerNorm(5)(p, x[1]))
    for wrong in (x, x[0, 0]):
        with pytest.raises(tg.InputError, match=r"BatchNorm: x is \(.*5,?\).*expected \(n, 5\)"):
            BatchNorm(5)(p, wrong, training=True)


@pytest.mark.parametrize("kind", [LayerNorm, BatchNorm])
def test_numbers_of_numpy_do_not_make_a_norm_wider(kind):
    layer = kind(3, epsilon=np.float64(1e-5))
    if kind is BatchNorm:
        layer = kind(3, epsilon=np.float64(1e-5), momentum=np.float64(0.1))
    p = {"gamma": np.ones(3, np.float32), "beta": np.zeros(3, np.float32)}
    x = normal(4, 3).astype(np.float32)
    assert layer(p, x, training=True).dtype == np.float32
    assert layer(p, x).dtype == np.float32


@pytest.mark.parametrize(
    "layer", [Dense(3, 2), Dense(3, 2, biases=None), Maxout(3, 2), LayerNorm(3), BatchNorm(3)],
    ids=lambda layer: type(layer).__name__,
)  # fmt: skip
def test_layers_of_integers_are_refused(backend, layer):
    p = {name: on(backend, value) for name, value in layer.initialise(random).items()}
    x = backend.asarray(np.arange(6).reshape(2, 3).astype(np.uint8))
    with pytest.raises(TypeError, match="expected floats, got uint8"):
        layer(p, x, training=True)


@pytest.mark.parametrize("dtype", [np.uint8, int, bool, complex])
def test_masks_and_parameters_are_floats(backend, dtype):
    net = mlp([3, 4, 2], dropout=0.5)
    with pytest.raises(TypeError, match="Dropout: expected a dtype of floats, got"):
        net.draw_masks(backend.generator(0), 5, dtype)
    with pytest.raises(TypeError, match="initialise: expected a dtype of floats, got"):
        net.initialise(0, dtype, backend)


def test_a_mask_of_booleans_is_refused():
    """It would drop units without scaling up the others."""
    net = mlp([3, 4, 2], dropout=0.5)
    p = net.initialise(0)
    with pytest.raises(TypeError, match="Dropout: expected floats, got bool"):
        net(p, np.ones((5, 3), np.float32), training=True, masks=[np.ones((5, 4), bool)])


@pytest.mark.parametrize("wrong", [(2,), (2, 3), (1, 1), ()])
def test_an_initialiser_of_ones_own_gives_the_shape_that_it_is_asked_for(wrong):
    with pytest.raises(tg.InputError, match=r"W1: .* expected \(3, 2\)"):
        Sequential(Dense(3, 2, weights=lambda generator, shape: np.ones(wrong))).initialise(0)
    with pytest.raises(tg.InputError, match=r"b1: .* expected \(2,\)"):
        Sequential(Dense(3, 2, biases=lambda generator, shape: np.ones(shape))).initialise(0)


NETWORKS = {
    "functions": Sequential(Dense(3, 4), tg.tanh, Dense(4, 2, "glorot_normal", "uniform"), tg.relu),
    "norms": mlp([3, 4, 2], "gelu", norm="layer"),
    "statistics": Sequential(Dense(3, 4, "lecun_uniform", None), BatchNorm(4), Dense(4, 2)),
    "maxout": mlp([3, 4, 2], "maxout", dropout=0.5),
}


@pytest.mark.parametrize("copy_of", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_can_be_copied_and_pickled(name, copy_of):
    net, x = NETWORKS[name], normal(5, 3)
    p = net.initialise(0, np.float64)
    if name == "statistics":
        net(p, x, training=True)
    twin, q = copy_of(net), copy_of(p)
    assert q.shapes == p.shapes and not np.shares_memory(p.flat, q.flat)
    np.testing.assert_array_equal(twin.initialise(0, np.float64).flat, p.flat)
    if name == "statistics":  # initialise() has forgotten them
        net(p, x, training=True)
        twin = copy_of(net)
    np.testing.assert_array_equal(twin(q, x), net(p, x))
    q.flat[...] = 0
    assert p["W1"].any()


def test_an_op_is_pickled_by_its_name_and_copied_as_itself():
    for f in filter(callable, (getattr(tg.ops, name) for name in tg.ops.__all__)):
        assert pickle.loads(pickle.dumps(f)) is f is copy.deepcopy(f)


def test_a_network_is_read_in_another_process(tmp_path):
    """One that has not imported tinygen, as a worker of a pool."""
    net = NETWORKS["functions"]
    p, x = net.initialise(0), np.ones((2, 3), np.float32)
    path = tmp_path / "network"
    path.write_bytes(pickle.dumps((net, p, x)))
    code = "import pickle, sys; net, p, x = pickle.load(open(sys.argv[1], 'rb'));"
    code += "sys.stdout.buffer.write(net(p, x).tobytes())"
    answer = subprocess.run([sys.executable, "-c", code, path], capture_output=True, check=True)
    assert answer.stdout == net(p, x).tobytes()


def test_the_input_before_the_parameters():
    net = Sequential(Dense(3, 2))
    with pytest.raises(TypeError, match="arrays by name, before the data, got a ndarray"):
        net(np.ones((4, 3)), net.initialise(0))
