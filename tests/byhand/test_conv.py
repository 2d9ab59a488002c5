"""Convolutions by hand, against matrices that loops over pixels make, and finite differences.

The matrix of a convolution has a row for each number of the image that goes in and a column for
each that comes out. In it stand the entries of W, many times each, and zeros; `places` says where.
With it a chain of convolutions is a chain of dense layers, and so are its gradients.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chain_checks import (
    Net,
    check_also,
    check_backward,
    check_input_derivative,
    check_rows,
    check_sine,
    check_squares,
    check_untouched,
    check_ways_back,
    filled,
    forward,
)
from conv_checks import (
    JUDGES,
    NETS,
    check_by_torch,
    check_chain_of_matrices,
    check_convolution_on_paper,
    check_matrix,
    check_pools,
    check_pools_on_paper,
    check_r1_on_paper,
    check_transposed_convolution_on_paper,
    check_upsampling,
    drawn,
)
from differences import check_directional_derivatives
from hypothesis import given, settings
from hypothesis import strategies as st
from pieces_checks import SEEDS, flat, mapped
from strict import count_syncs, see_dtypes

from tinygen import nn
from tinygen.byhand import autoencoder, classifier, gan, vae
from tinygen.byhand.chain import (
    chain_backward,
    input_derivative,
    input_derivative_backward,
    layers,
)
from tinygen.byhand.conv import (
    Conv,
    ConvTranspose,
    average_pool,
    average_pool_backward,
    max_pool,
    max_pool_backward,
    upsample,
    upsample_backward,
)
from tinygen.byhand.pieces import Dense
from tinygen.errors import InputError
from tinygen.parameters import Parameters

ANY = pytest.mark.parametrize("name", NETS)
JUDGE = pytest.mark.parametrize("name", JUDGES)
SMOOTH = pytest.mark.parametrize("activation", ["tanh", "gelu", "softplus", "none"])


# A layer is the product with a matrix.

SETTINGS = st.tuples(
    st.tuples(st.integers(1, 8), st.integers(1, 8)),
    st.integers(1, 4),
    st.integers(1, 4),
    st.sampled_from([0, 1, 2, "same"]),
)


@settings(max_examples=100)
@given(SETTINGS, st.integers(1, 3), st.integers(1, 3), SEEDS)
def test_a_convolution_is_the_product_with_its_matrix(
    setting: Any, c: int, o: int, seed: int
) -> None:
    (h, w), k, _, padding = setting
    if padding != "same" and k > min(h, w) + 2 * padding:
        with pytest.raises(InputError, match=f"a kernel of at most .* for images of {h} x {w}"):
            Conv(*setting)
    else:
        check_matrix(Conv(*setting), c, o, seed)


@ANY
@pytest.mark.parametrize("dropout", [False, True])
def test_a_chain_is_the_one_of_its_matrices(name: str, dropout: bool) -> None:
    check_chain_of_matrices(drawn(name, "tanh", dropout=dropout))


# Finite differences.


@ANY
@SMOOTH
@pytest.mark.parametrize("norm", [False, True])
def test_the_gradient_of_a_function_of_the_result(name: str, activation: str, norm: bool) -> None:
    check_backward(drawn(name, activation, norm=norm))


@ANY
def test_with_whole_channels_dropped(name: str) -> None:
    check_backward(drawn(name, "gelu", dropout=True))
    check_backward(drawn(name, "gelu", dropout=True, norm=True))


@ANY
def test_gradients_of_other_paths_and_ways_back(name: str) -> None:
    check_also(drawn(name))
    check_ways_back(drawn(name))


@JUDGE
@SMOOTH
def test_the_second_derivative(name: str, activation: str) -> None:
    net = drawn(name, activation)
    check_input_derivative(net)
    check_sine(net)


@JUDGE
def test_the_second_derivative_with_whole_channels_dropped(name: str) -> None:
    check_squares(drawn(name, "gelu", dropout=True))
    check_rows(drawn(name, "gelu", dropout=True))


@ANY
def test_batch_norm_is_over_the_pixels_of_all_images(name: str) -> None:
    """Each channel of the first layer has mean beta and standard deviation |gamma|."""
    net = drawn(name, norm=True)
    _, gamma, beta = net.layers[1]
    _, cache = forward(net)
    a = cache.a[1].reshape(-1, len(gamma))
    np.testing.assert_allclose(a.mean(axis=0), beta, atol=1e-12)
    np.testing.assert_allclose(a.std(axis=0), abs(gamma), rtol=1e-3)


@ANY
@pytest.mark.parametrize("norm", [False, True])
def test_nothing_that_is_given_is_changed(name: str, norm: bool) -> None:
    net = drawn(name, norm=norm)
    check_untouched(net._replace(linear=name in JUDGES))


@ANY
@pytest.mark.parametrize("norm", [False, True])
def test_float32_stays_float32_and_nothing_waits(backend: Any, name: str, norm: bool) -> None:
    net = mapped(lambda a: a.astype(np.float32), drawn(name, dropout=True, norm=norm))

    def everything(net: Net, gradients: Any) -> list[Any]:
        result, cache = forward(net)
        dx = chain_backward(result, net.layers, cache, gradients)
        if norm or name not in JUDGES:
            return [result, dx, gradients]
        v, path = input_derivative(net.layers, cache)
        input_derivative_backward(v, net.layers, cache, path, gradients)
        return [result, dx, v, gradients]

    expected = everything(net, filled(net, 0.0))
    there = mapped(backend.asarray, net)
    room = mapped(backend.asarray, filled(net, 0.0))
    with count_syncs() as syncs, see_dtypes() as dtypes:
        actual = everything(there, room)
    assert not syncs and set(dtypes) <= {np.dtype("f4"), np.dtype(bool)}
    for a, b in zip(flat(actual), flat(expected), strict=True):
        np.testing.assert_allclose(backend.to_numpy(a), b, rtol=1e-4, atol=1e-5 * abs(b).max())


# Pooling.

POOLS = pytest.mark.parametrize(
    ("size", "kernel", "stride"), [((4, 6), 2, 2), ((5, 7), 3, 2), ((7, 4), 2, 3), ((3, 3), 1, 1)]
)


@POOLS
def test_pools_are_those_of_loops_and_their_gradients_those_of_differences(
    size: tuple[int, int], kernel: int, stride: int
) -> None:
    check_pools(size, kernel, stride)


@pytest.mark.parametrize("times", [1, 2, 3])
def test_upsampling_repeats_and_its_transpose_adds(times: int) -> None:
    check_upsampling(times)


def test_two_hundred_layers_agree_with_pytorch() -> None:
    check_by_torch()


def test_pools_on_every_backend(backend: Any) -> None:
    x = np.random.default_rng(0).standard_normal((2, 4, 6, 3)).astype(np.float32)

    def everything(x: Any) -> list[Any]:
        h, f = max_pool(x, 2, 2)
        y, z = average_pool(x, 2, 2), upsample(x, 2)
        return [
            h, f, y, z, max_pool_backward(h, f, (4, 6), 2, 2),
            average_pool_backward(y, (4, 6), 2, 2), upsample_backward(z, 2),
        ]  # fmt: skip

    with count_syncs() as syncs, see_dtypes() as dtypes:
        actual = everything(backend.asarray(x))
    assert not syncs and set(dtypes) <= {np.dtype("f4"), np.dtype(bool)}
    for a, b in zip(actual, everything(x), strict=True):
        np.testing.assert_allclose(backend.to_numpy(a), b, rtol=1e-6, atol=1e-6)


# The examples "on paper" of docs/derivations/conv.md, section by section.

PAGE = (Path(__file__).parents[2] / "docs" / "derivations" / "conv.md").read_text(encoding="utf-8")


def test_a_convolution_on_paper() -> None:
    check_convolution_on_paper()


def test_the_matrix_on_the_page_is_that_of_the_code() -> None:
    (block,) = re.findall(r"```\n( +a11.*?)```", PAGE, re.DOTALL)
    columns, *rows = block.splitlines()
    assert columns.split() == ["a11", "a12", "a21", "a22"]
    entries = [row.split() for row in rows]
    assert [name for name, *_ in entries] == [f"x{r}{q}" for r in range(1, 5) for q in range(1, 5)]
    M = np.array([[0 if e == "." else int(e[1:]) for e in row[1:]] for row in entries], float)
    W = np.arange(1.0, 10)
    conv, transposed = Conv((4, 4), 3), ConvTranspose((4, 4), 3)
    np.testing.assert_array_equal(conv.product(np.eye(16), W[:, None]), M)
    np.testing.assert_array_equal(transposed.product(np.eye(4), W[None]), M.T)


def test_a_transposed_convolution_on_paper() -> None:
    check_transposed_convolution_on_paper()


def test_two_sizes_have_the_same_windows() -> None:
    assert Conv((7, 7), 3, 2).windows == Conv((8, 8), 3, 2).windows == (3, 3)


def test_the_checkerboard_on_paper() -> None:
    """A row of four pixels, in each of which a window of ones begins."""
    counted = windows_of_each_pixel(ConvTranspose((9, 9), 3, 2))
    row = np.array([1, 1, 2, 1, 2, 1, 2, 1, 1])
    np.testing.assert_array_equal(counted, np.outer(row, row))
    assert " ".join(map(str, row)) in re.sub(" +", " ", PAGE)
    assert (windows_of_each_pixel(ConvTranspose((10, 10), 4, 2))[2:-2, 2:-2] == 4).all()


def windows_of_each_pixel(layer: ConvTranspose) -> np.ndarray:
    ones = np.ones((1, math.prod(layer.windows)))
    W = np.ones((1, layer.kernel**2))
    return layer.product(ones, W).reshape(layer.size)


def test_pools_on_paper() -> None:
    check_pools_on_paper()


def test_r1_on_paper() -> None:
    check_r1_on_paper()


def test_the_table_of_parameters_and_products() -> None:
    def counted(*layers: tuple[int, int, int]) -> tuple[int, int]:
        """Of layers that have W (i, o) and multiply it with so many rows."""
        return sum(i * o for i, o, _ in layers), sum(i * o * rows for i, o, rows in layers)

    dense = [(784, 512, 1), (512, 256, 1), (256, 32, 1)]
    convolutions = [(9, 32, 196), (288, 64, 49)]
    top = [(3136, 256, 1), (256, 32, 1)]
    biases = 2 * (512 + 256) + 32 + 784
    biases_of_convolutions = 32 + 64 + 32 + 1
    (weights_of_dense, products_of_dense), (W, products) = counted(*dense), counted(*convolutions)
    all_weights, all_products = counted(*convolutions, *top)
    rows = {
        "dense, 784-512": (2 * weights_of_dense + biases, 2 * products_of_dense),
        "convolutions 1-32-64": (2 * all_weights + biases_of_convolutions + 2 * 256 + 32 + 3136,
                                 2 * all_products),
        "of these the convolutions": (2 * W + biases_of_convolutions, 2 * products),
    }  # fmt: skip
    for name, (parameters_, products_) in rows.items():
        (line,) = [line for line in PAGE.splitlines() if line.startswith(f"| {name}")]
        assert line.endswith(f"| {parameters_:,} | {products_:,} |")


def test_what_a_pool_cannot_take_is_refused() -> None:
    x = np.ones((1, 4, 6, 2))
    for call, said in {
        lambda: max_pool(x, 5, 1): "a kernel of at most 4 for images of 4 x 6, got kernel 5",
        lambda: average_pool(x, 2, 0): "kernel and stride must be whole numbers, at least 1, got 2",
        lambda: average_pool_backward(x, (4, 6), 0, 2): "at least 1, got 0 and 2",
        lambda: average_pool_backward(x, (9, 6), 2, 2): "images of 9 x 6 with kernel 2, stride 2",
        lambda: upsample(x, 1.5): "images (n, h, w, c) and a whole factor, got (1, 4, 6, 2) an",  # type: ignore[arg-type]
        lambda: upsample(x[0], 2): "whole factor, got (4, 6, 2) and 2",
        lambda: upsample(x, 0): "whole factor, got (1, 4, 6, 2) and 0",
        lambda: upsample_backward(x, 4): "that divides h and w, got (1, 4, 6, 2) and 4",
        lambda: upsample_backward(x, 0): "that divides h and w, got (1, 4, 6, 2) and 0",
    }.items():
        with pytest.raises(InputError, match=re.escape(said)):
            call()
    for call in (lambda: max_pool(x.astype(int), 2, 2), lambda: average_pool(x.tolist(), 2, 2)):
        with pytest.raises(TypeError, match=r"expected (floats|an array or a number), got "):
            call()


@pytest.mark.parametrize("layer", [nn.Conv(1, 2, 3, biases=None), nn.Dense(4, 2, biases=None)])
def test_a_chain_has_a_vector_for_each_matrix(layer: nn.Dense) -> None:
    p = nn.Sequential(layer).initialise(0)
    with pytest.raises(InputError, match="expected a bias, or gamma and beta, of W1, got none"):
        layers(p)


# Models of convolutions. Their pages say nothing of them: they hand on what kind each layer is.

SIDE = (6, 5)
ENCODER = (Conv(SIDE, 3, 2, "same"), Dense())
DECODER = (Dense(), ConvTranspose(SIDE, 3, 2, "same"))
GENERATOR = (*DECODER, Conv(SIDE, 3, 1, 1))
JUDGE_OF_IMAGES = (Conv(SIDE, 4, 2, 1), Conv((3, 2), 2), Dense())
E = {"W1": (9, 2), "b1": (2,), "W2": (18, 2), "b2": (2,)}
D = {"W1": (2, 18), "b1": (18,), "W2": (2, 9), "b2": (1,)}
G = {
    "W1": (3, 18), "gamma2": (18,), "beta2": (18,), "W3": (2, 18), "gamma4": (2,), "beta4": (2,),
    "W5": (18, 1), "b5": (1,),
}  # fmt: skip
J = {"W1": (16, 3), "b1": (3,), "W2": (12, 2), "b2": (2,), "W3": (4, 1), "b3": (1,)}
BOTH = {f"encoder.{k}": s for k, s in E.items()} | {f"decoder.{k}": s for k, s in D.items()}
GEOMETRY = {"encoder_geometry": ENCODER, "decoder_geometry": DECODER}


def parameters(shapes: dict[str, tuple[int, ...]], seed: int = 1) -> Parameters:
    size = sum(math.prod(shape) for shape in shapes.values())
    return Parameters(shapes, np.random.default_rng(seed).standard_normal(size) * 0.5)


def check(loss_and_grads: Any, p: Parameters, *data: Any, **options: Any) -> None:
    rng = np.random.default_rng(2)
    check_directional_derivatives(loss_and_grads, p, data, options, rng)


def images(n: int = 4, c: int = 1) -> np.ndarray:
    return np.random.default_rng(0).random((n, 30 * c))


def channels_dropped(n: int, *widths: int) -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    return [np.where(rng.random((n, width)) < 0.7, 1 / 0.7, 0.0) for width in widths]


@pytest.mark.parametrize("reconstruction", ["mse", "bce"])
def test_autoencoder(reconstruction: str) -> None:
    options = {"activation": "gelu", "output": "sigmoid", "reconstruction": reconstruction}
    masks = channels_dropped(4, 2, 18)
    more = {"weight_decay": 0.1, "code_l1": 0.1, **GEOMETRY}
    check(autoencoder.loss_and_grads, parameters(BOTH), images(), None, masks, **options, **more)
    codes = np.random.default_rng(3).standard_normal((4, 2))
    data = images(), codes, channels_dropped(4, 18)
    decode = autoencoder.decoder_loss_and_grads
    check(decode, parameters(D), *data, geometry=DECODER, **options)


@pytest.mark.parametrize("objective", ["elbo", "iwae"])
def test_vae(objective: str) -> None:
    shapes = BOTH | {"encoder.W2": (18, 4), "encoder.b2": (4,), "decoder.log_var": (1,)}
    noise = np.random.default_rng(3).standard_normal((3, 4, 2))
    options = {"activation": "elu", "likelihood": "gaussian", "objective": objective}
    check(vae.loss_and_grads, parameters(shapes), images(), noise, 0.7, **options, **GEOMETRY)


@pytest.mark.parametrize(("reads", "read"), [("last", 5), ("all", 23)])
def test_classifier(reads: str, read: int) -> None:
    shapes = {**E, "W2": (18, 5), "b2": (5,), "W3": (read, 3), "b3": (3,)}
    data = images(), np.eye(3)[[0, 2, 1, 1]], channels_dropped(4, 2, 5)
    options = {"activation": "tanh", "reads": reads, "weight_decay": 0.1, "geometry": ENCODER}
    check(classifier.loss_and_grads, parameters(shapes), *data, **options)


LOSSES = [("r1", 1.0), ("wasserstein-gp", 10.0), ("non-saturating", 0.0)]


@pytest.mark.parametrize(("loss", "penalty"), LOSSES)
@pytest.mark.parametrize("dropout", [False, True])
def test_discriminator_with_its_penalty(loss: str, penalty: float, dropout: bool) -> None:
    """R1 and WGAN-GP, whose gradients are of second order."""
    alpha = np.random.default_rng(4).random((4, 1)) if loss == "wasserstein-gp" else None
    masks = (channels_dropped(4, 3, 2),) * 3 if dropout else ((), (), ())
    check(
        gan.discriminator_loss_and_grads, parameters(J), images(), images()[::-1] ** 2, None,
        alpha, masks, loss=loss, penalty=penalty, smoothing=0.1, pack=1,
        discriminator_activation="softplus", discriminator_norm="none",
        discriminator_geometry=JUDGE_OF_IMAGES,
    )  # fmt: skip


def test_generator_with_batch_norm() -> None:
    z, options = np.random.default_rng(3).standard_normal((5, 3)), {
        "output": "sigmoid", "generator_activation": "elu", "generator_norm": "batch",
        "generator_geometry": GENERATOR,
    }  # fmt: skip
    judge = {
        "loss": "r1", "pack": 1, "discriminator_activation": "tanh", "discriminator_norm": "none",
        "discriminator_geometry": JUDGE_OF_IMAGES,
    }  # fmt: skip
    check(gan.generator_loss_and_grads, parameters(G), parameters(J), z, **options, **judge)
    assert gan.generate(parameters(G), z, **options).shape == (5, 30)


# What does not fit is refused, and the message names the sizes.

AUTOENCODER = {"activation": "tanh", "output": "sigmoid", "reconstruction": "mse"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoder_geometry": ENCODER[:1]}, "expected a geometry of 2 layers, got one of 1"),
        (
            {"encoder_geometry": (Conv((7, 5), 3), Dense())},
            r"W1 .* Conv\(.*the 30 columns .* no im",
        ),
        (
            {"encoder_geometry": (Conv((4, 5), 3), Dense())},
            "the 30 columns .* no images of its size",
        ),
        ({"encoder_geometry": (Conv(SIDE, 4, 2, 1), Dense())}, r"W1 is \(9, 2\); .* the 16 col"),
        ({"encoder_geometry": (Conv((3, 5), 3), Dense())}, r"W1 is \(9, 2\); .* the 18 col"),
        ({"encoder_geometry": (Conv(SIDE, 3), Dense())}, r"W2 is \(18, 2\); .* the 24 columns"),
        (
            {"decoder_geometry": (Dense(), ConvTranspose(SIDE, 2, 2, "same"))},
            "columns are no windows",
        ),
        ({"decoder_geometry": (Dense(), ConvTranspose((5, 5), 3, 2, "same"))}, "gives 25 columns"),
        ({"decoder_geometry": ()}, r"decoder.W2 is \(2, 9\); it needs a row for each of the 18"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(change: dict[str, Any], message: str) -> None:
    options = AUTOENCODER | GEOMETRY | change
    with pytest.raises(ValueError, match=message):
        autoencoder.loss_and_grads(parameters(BOTH), images(), **options)


def test_masks_of_images_have_a_column_for_each_channel() -> None:
    masks = channels_dropped(4, 18, 18)
    with pytest.raises(ValueError, match=r"need \[\(4, 2\), \(4, 18\)\]"):
        options = AUTOENCODER | GEOMETRY
        autoencoder.loss_and_grads(parameters(BOTH), images(), None, masks, **options)


def test_maxout_has_no_convolution() -> None:
    p = parameters({"W1": (16, 5), "b1": (5,), "W2": (6, 1), "b2": (1,)})
    with pytest.raises(InputError, match=r"maxout needs dense layers, got Conv\("):
        gan.discriminator_loss_and_grads(
            p, images(), images(), loss="r1", penalty=1.0, smoothing=0.0, pack=1,
            discriminator_activation="maxout", discriminator_norm="none",
            discriminator_geometry=(Conv(SIDE, 4, 2, 1), Dense()),
        )  # fmt: skip
