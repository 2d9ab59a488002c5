"""Layers of images: against loops, dense layers, finite differences and PyTorch."""

from __future__ import annotations

import re
from functools import partial
from math import sqrt

import images_by_torch
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strict import STRICT, count_syncs

import tinygen as tg
from tinygen.nn import (
    WEIGHTS,
    BatchNorm,
    Conv,
    ConvTranspose,
    Dense,
    Dropout,
    LayerNorm,
    Reshape,
    Sequential,
    convolutional,
    deconvolutional,
)

random = np.random.default_rng(5)
X = np.ones((1, 5, 4, 3))
P = {"W": np.ones((3, 8)), "b": np.ones(2)}


def normal(*shape):
    return random.standard_normal(shape)


def drawn(layer):
    """Parameters of a layer, biases too."""
    return {name: normal(*shape) for name, shape in layer.shapes.items()}


# Values.


def test_a_convolution_is_a_sum_over_the_window(backend):
    layer = Conv(2, 3, kernel=3, stride=2, padding=1)
    p, x = drawn(layer), normal(2, 5, 4, 2)
    W = p["W"].reshape(3, 3, 2, 3)
    expected = np.zeros((2, 3, 2, 3))
    for n, row, column, o in np.ndindex(expected.shape):
        expected[n, row, column, o] = p["b"][o] + sum(
            x[n, 2 * row + i - 1, 2 * column + j - 1, c] * W[i, j, c, o]
            for i, j, c in np.ndindex(3, 3, 2)
            if 0 <= 2 * row + i - 1 < 5 and 0 <= 2 * column + j - 1 < 4
        )
    there = {name: backend.asarray(a) for name, a in p.items()}
    y = backend.to_numpy(layer(there, backend.asarray(x)))
    np.testing.assert_allclose(y, expected, rtol=1e-13, atol=1e-13)  # sums of 19


def test_a_kernel_of_one_pixel_is_a_dense_layer_of_channels():
    x, p = normal(2, 3, 4, 5), drawn(Dense(5, 2))
    y = Dense(5, 2)(p, x.reshape(-1, 5)).reshape(2, 3, 4, 2)
    np.testing.assert_array_equal(Conv(5, 2, kernel=1)(p, x), y)
    np.testing.assert_allclose(ConvTranspose(5, 2, kernel=1)(p, x), y, rtol=1e-14, atol=1e-14)


def test_a_kernel_of_the_whole_image_is_a_dense_layer():
    x, layer = normal(2, 4, 4, 3), Conv(3, 5, kernel=4)
    p = drawn(layer)
    np.testing.assert_array_equal(layer(p, x).reshape(2, 5), Dense(48, 5)(p, x.reshape(2, 48)))


def matrix(f, shape):
    """The matrix of a linear function of images, a column for each of their numbers."""
    units = np.eye(np.prod(shape)).reshape(-1, *shape)
    return f(units).reshape(len(units), -1).T


@st.composite
def windows(draw):
    """The size of images, and the kernel, stride and padding of a layer that fits them."""
    size = draw(st.tuples(st.integers(1, 7), st.integers(1, 7)))
    padding = draw(st.one_of(st.integers(0, 3), st.just("same")))
    largest = 5 if padding == "same" else min(5, min(size) + 2 * padding)
    return size, (draw(st.integers(1, largest)), draw(st.integers(1, 4)), padding)


@given(window=windows(), c=st.integers(1, 2), o=st.integers(1, 2))
def test_the_transposed_convolution_is_the_transposed_matrix(window, c, o):
    """Of images of any size, so that no symmetry hides a row that is missing on one side."""
    (h, w), (k, s, padding) = window
    conv = Conv(c, o, k, s, padding, biases=None)
    W = normal(*conv.shapes["W"])
    oh, ow = conv({"W": W}, np.zeros((1, h, w, c))).shape[1:3]
    least = 1 if padding == "same" else k - 2 * padding
    more = (h - (oh - 1) * s - least, w - (ow - 1) * s - least)
    back = ConvTranspose(o, c, k, s, padding, more, biases=None)
    np.testing.assert_allclose(
        matrix(lambda y: back({"W": W.T}, y), (oh, ow, o)),
        matrix(lambda x: conv({"W": W}, x), (h, w, c)).T,
        rtol=1e-14, atol=1e-14,  # sums in another order
    )  # fmt: skip


@pytest.mark.parametrize("size", [(28, 28), (28, 21), (7, 10)])
@pytest.mark.parametrize(
    ("padding", "more"), [(1, 0), (1, 1), ("same", 0), ("same", (0, 1)), (0, (1, 0))]
)
def test_sizes_of_transposed_convolutions(size, padding, more):
    """By PyTorch's formula, where "same" is the padding with which a stride s divides by s."""
    layer = ConvTranspose(1, 1, 3, 2, padding, more)
    y = layer(drawn(layer), np.zeros((1, *size, 1)))
    least = {0: 1, 1: -1, "same": -1}[padding]
    assert y.shape[1:3] == tuple(2 * np.array(size) + least + more)


# Gradients.

LAYERS = {
    "conv": Conv(2, 3, kernel=3, stride=2, padding=1),
    "same": Conv(1, 2, kernel=2, padding="same"),
    "no bias": Conv(2, 1, kernel=2, biases=None),
    "transposed": ConvTranspose(2, 3, kernel=3, stride=2, padding=1, output_padding=(1, 0)),
    "apart": ConvTranspose(1, 2, kernel=2, stride=3, padding="same", output_padding=2),
}


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_to_the_second_order(name):
    layer = LAYERS[name]
    p, x = drawn(layer), normal(2, 4, 3, layer.inputs)

    def f(x, *values):
        return tg.tanh(layer(dict(zip(p, values, strict=True)), x))

    tg.check_gradients(f, [x, *p.values()], order=2, elementwise=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_step_keeps_the_dtype_and_never_waits(dtype):
    net = Sequential(
        Conv(1, 4, 3, 2, "same", biases=None), BatchNorm(4), tg.relu, Dropout(0.5),
        partial(tg.max_pool, kernel=2), Reshape(3 * 2 * 4), Dense(24, 24), Reshape(3, 2, 4),
        partial(tg.upsample, factor=2), ConvTranspose(4, 1, 3, 2, "same", 1),
    )  # fmt: skip
    p = net.initialise(0, dtype, STRICT)
    x = STRICT.asarray(normal(2, 12, 8, 1), dtype)
    with count_syncs() as syncs:
        masks = net.draw_masks(STRICT.generator(0), 2, dtype)
        loss, gradients = tg.value_and_grad(
            lambda p, x: tg.mse(net(p, x, training=True, masks=masks), x)
        )(p, x)
    assert syncs == [] and loss.dtype == gradients.flat.dtype == dtype


# PyTorch: what it made of 200 layers lies in a file, with the script that asked it.


def ours(case):
    make = {"conv": Conv, "transposed": partial(ConvTranspose, output_padding=case.more)}
    if case.name in make:
        layer = make[case.name](case.inputs, case.outputs, case.kernel, case.stride, case.padding)
        return lambda x, W, b: layer({"W": W, "b": b}, x)
    pool = {"max": tg.max_pool, "average": tg.average_pool}[case.name]
    return partial(pool, kernel=case.kernel, stride=case.stride)


def by_us(case, arrays, backend):
    """The result and its derivatives, as `images_by_torch.by_torch` has them."""
    count = len(case.shapes)
    there = [backend.asarray(a) for a in arrays]
    xs = [tg.Tensor(a, requires_grad=True) for a in there[:count]]
    g, *directions = there[count:]
    both = images_by_torch.orders(ours(case), partial(tg.grad, create_graph=True), xs, g,
                                  directions)  # fmt: skip
    return [backend.to_numpy(y.array) for y in both]


def test_two_hundred_layers_agree_with_pytorch(backend):
    """In values, first and second derivatives; whole numbers, so that any sum of them is exact."""
    names = []
    for case, arrays, expected in images_by_torch.read():
        names.append(case.name)
        for y, numbers in zip(by_us(case, arrays, backend), expected, strict=True):
            np.testing.assert_array_equal(y, numbers, err_msg=str(case))
    assert [names.count(name) for name in images_by_torch.KINDS] == [86, 88, 16, 10]


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


@given(seed=st.integers(0, 2**32 - 1))
def test_any_layer_agrees_with_pytorch(torch, seed):
    """Asked now, where it is installed, in numbers that are not whole."""
    rng = np.random.default_rng(seed)
    case = images_by_torch.draw_case(rng)
    arrays = [a + 0.5 * rng.random(a.shape) for a in images_by_torch.draw_integers(case, rng)]
    expected = images_by_torch.by_torch(case, arrays)
    for y, numbers in zip(by_us(case, arrays, tg.get_backend("numpy")), expected, strict=True):
        np.testing.assert_allclose(y, numbers, rtol=1e-10, atol=1e-10 * abs(numbers).max())


# How weights start.


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("make", [Conv, ConvTranspose])
def test_weights_have_the_variance_of_their_fans(make, name):
    """As `_calculate_fan_in_and_fan_out` of torch/nn/init.py has them.

    That is ``size(1)`` and ``size(0)`` times the window; a convolution has (outputs, inputs, k, k),
    a transposed one (inputs, outputs, k, k).
    """
    layer = make(30, 50, kernel=4, weights=name)
    fan_in, fan_out = (30 * 16, 50 * 16) if make is Conv else (50 * 16, 30 * 16)
    v = {"glorot": 2 / (fan_in + fan_out), "he": 2 / fan_in, "lecun": 1 / fan_in}[
        name.split("_")[0]
    ]
    W = layer.initialise(np.random.default_rng(0))["W"]
    assert W.shape == layer.shapes["W"]
    # A mean square of N draws has a relative standard deviation of sqrt(2 / N) or less.
    assert abs((W * W).mean() / v - 1) < 4.5 * sqrt(2 / W.size)


def test_biases_are_within_one_over_the_root_of_the_fan():
    for layer in (Conv(9, 4000, 2, biases="uniform"), ConvTranspose(4000, 9, 2, biases="uniform")):
        b = layer.initialise(np.random.default_rng(0))["b"]
        assert b.shape == layer.shapes["b"] and 0.7 / 6 < abs(b).max() <= 1 / 6


def test_a_transposed_layer_starts_like_the_convolution_that_it_mirrors():
    conv, back = Conv(2, 5, 3), ConvTranspose(5, 2, 3)
    W = conv.initialise(np.random.default_rng(3))["W"]
    np.testing.assert_array_equal(back.initialise(np.random.default_rng(3))["W"], W.T)


# Norms, dropout and shapes.


@pytest.mark.parametrize("kind", [BatchNorm, LayerNorm])
def test_a_norm_takes_pixels_for_rows(backend, kind):
    x, p = 2 + normal(2, 3, 4, 5), drawn(kind(5))
    there = {name: backend.asarray(a) for name, a in p.items()}
    layer, of_rows = kind(5), kind(5)
    for training in (True, False):
        y = layer(there, backend.asarray(x), training=training)
        expected = of_rows(p, x.reshape(-1, 5), training=training)
        np.testing.assert_allclose(
            backend.to_numpy(y).reshape(-1, 5), expected, rtol=1e-13, atol=1e-13
        )
    if kind is BatchNorm:
        pairs = [(layer.statistics, of_rows.statistics)]
        pairs.append((layer.calibrate(backend.asarray(x)), of_rows.calibrate(x.reshape(-1, 5))))
        for found, expected in pairs:
            for name in ("mean", "variance"):
                np.testing.assert_allclose(
                    backend.to_numpy(found[name]), expected[name], rtol=1e-13
                )


def test_one_image_is_a_batch_of_pixels():
    layer = BatchNorm(3)
    y = layer(layer.initialise(random), normal(1, 2, 2, 3), training=True)
    np.testing.assert_allclose(y.mean((0, 1, 2)), 0, atol=1e-15)
    with pytest.raises(tg.InputError, match="a batch of one"):
        layer(layer.initialise(random), normal(1, 1, 1, 3), training=True)


def test_gradients_of_batch_norm_of_images():
    layer = BatchNorm(2)

    def f(x, gamma, beta):
        return tg.tanh(layer({"gamma": gamma, "beta": beta}, x, training=True))

    tg.check_gradients(f, [normal(2, 2, 3, 2), normal(2), normal(2)], order=2, elementwise=True)


def test_dropout_drops_whole_channels_of_images(backend):
    net = Sequential(Conv(1, 40, 3), Dropout(0.5))
    p, x = net.initialise(0, np.float64, backend), backend.asarray(normal(5, 6, 4, 1))
    masks = net.draw_masks(backend.generator(0), 5, np.float64)
    assert [mask.shape for mask in masks] == [(5, 40)]
    y, whole = (backend.to_numpy(net(p, x, training=t, masks=masks)) for t in (True, False))
    mask = backend.to_numpy(masks[0])
    np.testing.assert_array_equal(y, whole * mask[:, None, None, :])
    assert {0.0, 2.0} == {*mask.ravel().tolist()}
    with pytest.raises(tg.InputError, match=re.escape("the mask is (1, 40), x is (5, 4, 2, 40)")):
        net(p, x, training=True, masks=[masks[0][:1]])


def test_widths_of_masks_follow_the_reshaping():
    net = Sequential(
        Dense(3, 24), Dropout(0.1), Reshape(2, 3, 4), Dropout(0.1), partial(tg.upsample, factor=2),
        ConvTranspose(4, 7, 2), Dropout(0.1), Reshape(245), Dropout(0.1),
    )  # fmt: skip
    masks = net.draw_masks(np.random.default_rng(0), 2)
    assert [mask.shape for mask in masks] == [(2, 24), (2, 4), (2, 7), (2, 245)]
    y = net(net.initialise(0), np.ones((2, 3), np.float32), training=True, masks=masks)
    assert y.shape == (2, 245)


def test_rows_as_images_and_images_as_rows(backend):
    x = normal(2, 24)
    images = Reshape(2, 3, 4)({}, backend.asarray(x))
    np.testing.assert_array_equal(backend.to_numpy(images), x.reshape(2, 2, 3, 4))
    np.testing.assert_array_equal(backend.to_numpy(Reshape(24)({}, images)), x)
    assert Reshape(2, 3, 4)({}, np.zeros((0, 24))).shape == (0, 2, 3, 4)
    with pytest.raises(
        tg.InputError, match=re.escape("x is (2, 24), 24 elements a row; expected 8")
    ):
        Reshape(2, 4)({}, x)


# What is refused.


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Conv(0, 2, 3), "Conv: channels must be whole numbers, at least 1, got 0 and 2"),
        (lambda: Conv(1, 2, 0), "Conv: kernel and stride must be whole numbers, at least 1, got 0"),
        (lambda: Conv(1, 2, 3, 0), "at least 1, got 3 and 0"),
        (lambda: Conv(1, 2, 3, 1, "valid"), "padding must be 'same' or a whole number"),
        (lambda: ConvTranspose(1, 2, 3, 2, 1, 2), "a whole number below the stride, 2, or two"),
        (lambda: ConvTranspose(1, 2, 3, 2, 1, (0, -1)), "below the stride, 2"),
        (lambda: ConvTranspose(1, 2, 3, 2, 1, (0, 1, 0)), "below the stride, 2"),
        (lambda: ConvTranspose(1, 2, 3, 2, 1, "same"), "below the stride, 2"),
        (lambda: of(Conv(4, 2, 3), (2, 9, 9, 3)), "Conv: expected images (n, h, w, 4), got (2"),
        (lambda: of(Conv(784, 2, 3), (2, 784)), "images (n, h, w, 784), got (2, 784)"),
        (lambda: of(Conv(1, 2, 7), (2, 4, 9, 1)), "a kernel of at most 4 for images of 4 x 9"),
        (lambda: of(ConvTranspose(4, 2, 3), (2, 9, 9, 3)), "ConvTranspose: expected images (n, "),
        (lambda: of(ConvTranspose(1, 2, 3, 1, 3), (2, 4, 5, 1)), "less padding, got 4 x 5"),
        (lambda: Reshape(2, 0), "Reshape: lengths must be whole numbers, at least 1, got 2 and 0"),
        (lambda: Reshape(), "Reshape: expected the lengths of one axis or more, got none"),
        (lambda: tg.upsample(np.zeros((2, 3)), factor=2), "upsample: expected images (n, h, w, c)"),
        (lambda: tg.upsample(np.zeros((1, 2, 2, 1)), factor=0), "factor of at least 1, got (1, "),
        (lambda: tg.upsample(None, factor=2), "upsample: expected images (n, h, w, c) and a whole"),
        (lambda: tg.max_pool(X, kernel=6), "max_pool: x is (1, 5, 4, 3) float64; expected a kernel "
            "of at most 4 for images of 5 x 4, got kernel 6, stride 6 and padding 0"),
        (lambda: tg.max_pool(X[0], kernel=2), "max_pool: x is (5, 4, 3) float64; expected images"),
        (lambda: tg.average_pool(X, kernel=2, stride=0), "average_pool: x is (1, 5, 4, 3) float64; "
            "kernel and stride must be whole numbers, at least 1, got 2 and 0"),
        (lambda: Conv(3, 2, 2)({"W": P["W"], "b": P["b"]}, X),
            "Conv: expected parameters {'W': (12, 2), 'b': (2,)}, got {'W': (3, 8), 'b': (2,)}"),
        (lambda: Conv(3, 2, 2)({"W": np.ones((12, 2))}, X), "got {'W': (12, 2)}"),
        (lambda: ConvTranspose(3, 2, 2)(P | {"b": np.ones(1)}, X), "ConvTranspose: expected "
            "parameters {'W': (3, 8), 'b': (2,)}, got {'W': (3, 8), 'b': (1,)}"),
        (lambda: Sequential(Conv(3, 2, 2))(P, X), "expected the parameters W1, b1, got W, b"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_with_its_numbers(call, message):
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        call()
    assert "\n" not in str(error.value)


def of(layer, shape):
    return layer(drawn(layer), np.zeros(shape))


@pytest.mark.parametrize("x", [None, 2.0, "images"])
def test_what_is_no_array_is_refused(x):
    kind = type(x).__name__
    for name, call in {
        "patches: x is": lambda: tg.patches(x, kernel=2),
        "fold: p is": lambda: tg.fold(x, size=(2, 2), kernel=1),
        "max_pool: x is": lambda: tg.max_pool(x, kernel=2),
        "average_pool: x is": lambda: tg.average_pool(x, kernel=2),
    }.items():
        with pytest.raises(TypeError, match=f"{name} .*; expected an array, got {kind}"):
            call()


@pytest.mark.parametrize("layer", [Conv(1, 2, 2), ConvTranspose(1, 2, 2)])
def test_images_of_integers_are_refused(backend, layer):
    p = {name: backend.asarray(a) for name, a in drawn(layer).items()}
    with pytest.raises(TypeError, match="expected floats, got uint8"):
        layer(p, backend.asarray(np.zeros((2, 3, 3, 1), np.uint8)))


def test_numbers_of_numpy_are_as_good_as_pythons_in_pools():
    x = np.random.default_rng(0).standard_normal((1, 100, 16, 1))
    for pool in (tg.average_pool, tg.max_pool):
        np.testing.assert_array_equal(
            pool(x, kernel=np.int8(12), stride=np.int8(4)), pool(x, kernel=12, stride=4)
        )
    np.testing.assert_array_equal(tg.upsample(x, factor=np.int8(2)), tg.upsample(x, factor=2))


def test_ties_of_a_maximum_are_shared():
    x = tg.Tensor(np.array([2.0, 2, 1, 2]).reshape(1, 2, 2, 1), requires_grad=True)
    dx = tg.grad(tg.max_pool(x, kernel=2).sum(), x)
    np.testing.assert_allclose(dx.ravel(), [1 / 3, 1 / 3, 0, 1 / 3], rtol=1e-15)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ConvTranspose(3, 2, 2, padding=5)(P, X), "got 5 x 4 with kernel 2, stride 1"),
        (lambda: ConvTranspose(3, 2, 3, 2, output_padding=1.0), "below the stride, 2"),
        (lambda: ConvTranspose(3, 2, 3, 2, output_padding=[[1], [2]]), "below the stride, 2"),
        (lambda: ConvTranspose(3, 2, 3, 2, output_padding="1"), "or two of them, got '1'"),
        (lambda: Conv("3", 2, 3), "channels must be whole numbers, at least 1, got '3' and 2"),
        (lambda: tg.upsample(X, factor=1.5), "a whole factor of at least 1"),
        (lambda: tg.upsample(X, factor="2"), "a whole factor of at least 1"),
        (lambda: tg.fold(X, size=5, kernel=1), "the size of images, (h, w)"),
        (lambda: tg.fold(X, size=(5, 4, 3), kernel=1), "the size of images, (h, w)"),
        (lambda: convolutional((12, 12, 1), (4,), 99, [2]), "at most 23 for images of 12 x 12"),
        (lambda: convolutional((12, 12, 1), (4, 0), 3, [2]), "channels must be whole numbers, at"),
        (lambda: convolutional((12, 0, 1), (4,), 3, [2]), "the lengths of an image must be whole"),
        (lambda: convolutional((12, 12), (4,), 3, [2]), "of an image, (h, w, c), got (12, 12)"),
        (lambda: convolutional((12, 12, 1), 4, 3, [2]), "of one convolution or more, got 4"),
        (lambda: convolutional((12, 12, 1), (4,), "3", [2]), "at least 1, got '3' and 2"),
        (lambda: convolutional((12, 12, 1), (4,), 3, []), "of one dense layer or more, got []"),
        (lambda: deconvolutional([], (4,), 3, (12, 12, 1)), "one dense layer or more, got []"),
        (lambda: deconvolutional([2], (), 3, (12, 12, 1)), "channels of one convolution or more"),
        (lambda: deconvolutional([2], 4, 3, (12, 12, 1)), "of one convolution or more, got 4"),
        (lambda: convolutional("571", (4,), 3, [2]), "at least 1, got '5' and '7' and '1'"),
    ],
)
def test_what_cannot_be_is_one_sentence(make, said):
    with pytest.raises(ValueError, match=re.escape(said)) as caught:
        make()
    assert "\n" not in str(caught.value)
