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
from differences import check_directional_derivatives
from hypothesis import given, settings
from hypothesis import strategies as st
from pieces_checks import SEEDS, check_gradient, flat, mapped, total, weights
from strict import count_syncs, see_dtypes

from tinygen.byhand import autoencoder, classifier, gan, vae
from tinygen.byhand.chain import (
    chain,
    chain_backward,
    input_derivative,
    input_derivative_backward,
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
from tinygen.byhand.pieces import Dense, zero_centred
from tinygen.errors import InputError
from tinygen.parameters import Parameters

EXACT = {"rtol": 1e-12, "atol": 1e-13}


# The matrix of a convolution.


def zeros_before(length: int, kernel: int, stride: int, padding: int | str) -> int:
    """How many there are before the first pixel of a row or a column."""
    if isinstance(padding, int):
        return padding
    windows = math.ceil(length / stride)
    return max(0, (windows - 1) * stride + kernel - length) // 2


def places(conv: Conv, c: int, o: int) -> np.ndarray:
    """(h w c, oh ow o): 1 + the index in W.flat of the entry that stands there; 0 where none."""
    (h, w), k, s = conv.size, conv.kernel, conv.stride
    top, left = (zeros_before(length, k, s, conv.padding) for length in conv.size)
    oh, ow = conv.windows
    at = np.zeros((h, w, c, oh, ow, o), int)
    for y in range(oh):
        for x in range(ow):
            for i in range(k):
                for j in range(k):
                    row, column = y * s + i - top, x * s + j - left
                    if 0 <= row < h and 0 <= column < w:
                        for m in range(c):
                            for out in range(o):
                                entry = ((i * k + j) * c + m) * o + out
                                at[row, column, m, y, x, out] = 1 + entry
    return at.reshape(h * w * c, oh * ow * o)


def places_of(kind: Dense, W: np.ndarray) -> np.ndarray:
    """The same of any layer, for its W."""
    if isinstance(kind, ConvTranspose):  # the transposed matrix of a convolution with W^T
        c, columns = W.shape
        at = places(kind, columns // kind.kernel**2, c).T
        index = np.arange(W.size).reshape(W.shape).T.ravel()
        return np.concatenate([[0], 1 + index])[at]
    if isinstance(kind, Conv):
        return places(kind, len(W) // kind.kernel**2, W.shape[1])
    return 1 + np.arange(W.size).reshape(W.shape)


def matrix(at: np.ndarray, W: np.ndarray) -> np.ndarray:
    return np.concatenate([[0.0], W.ravel()])[at]


def gathered(at: np.ndarray, dM: np.ndarray, W: np.ndarray) -> np.ndarray:
    """The gradient with respect to W: the sum over the places where an entry stands."""
    sums = np.bincount(at.ravel(), dM.ravel(), 1 + W.size)
    return sums[1:].reshape(W.shape)


# Networks.

NETS: dict[str, tuple[int, list[tuple[Dense, int]]]] = {
    "same": (70, [(Conv((5, 7), 3, 2, "same"), 3), (Conv((3, 4), 2), 2), (Dense(), 1)]),
    "even kernel": (24, [(Conv((6, 4), 4, 2, 1), 2), (Dense(), 3), (Dense(), 1)]),
    "stride 3": (56, [(Conv((8, 7), 2, 3), 4), (Conv((3, 2), 2, 1, "same"), 1), (Dense(), 1)]),
    "a pixel": (12, [(Conv((3, 2), 1), 3), (Conv((3, 2), 3, 1, 1), 2), (Dense(), 1)]),
    "up": (
        3,
        [(Dense(), 12), (ConvTranspose((4, 6), 3, 2, 1), 2), (ConvTranspose((9, 13), 3, 2), 1)],
    ),
    "up and judged": (
        12,
        [(ConvTranspose((3, 5), 3, 2, "same"), 3), (ConvTranspose((5, 7), 3), 2), (Dense(), 1)],
    ),
}
"""The inputs, and the kind of each layer with the units or channels of its output."""
JUDGES = [name for name in NETS if name != "up"]
"""Those that give one number for each row."""

ANY = pytest.mark.parametrize("name", NETS)
JUDGE = pytest.mark.parametrize("name", JUDGES)
SMOOTH = pytest.mark.parametrize("activation", ["tanh", "gelu", "softplus", "none"])


def sizes(kind: Dense, width: int, units: int) -> tuple[int, int, int]:
    """The rows and columns of W, and how wide the output is."""
    if not isinstance(kind, Conv):
        return width, units, units
    small, large, window = math.prod(kind.windows), math.prod(kind.size), kind.kernel**2
    if isinstance(kind, ConvTranspose):
        return width // small, units * window, units * large
    return width // large * window, units, units * small


def drawn(
    name: str, activation: str = "tanh", *, dropout: bool = False, norm: bool = False, n: int = 5
) -> Net:
    rng = np.random.default_rng(len(name))
    width, spec = NETS[name]
    inputs, layers, masks = width, {}, []
    for k, (kind, units) in enumerate(spec, 1):
        i, columns, width = sizes(kind, width, units)
        layers[k] = [rng.standard_normal((i, columns)) / math.sqrt(i), rng.standard_normal(units)]
        if norm and k < len(spec):
            layers[k].insert(1, 1 + 0.5 * rng.standard_normal(units))
        masks.append(np.where(rng.random((n, units)) < 0.7, 1 / 0.7, 0.0))
    x = rng.standard_normal((n, inputs))
    geometry = tuple(kind for kind, _ in spec)
    return Net(layers, x, activation, tuple(masks[:-1]) if dropout else (), geometry=geometry)


def as_dense(net: Net) -> tuple[Net, dict[int, np.ndarray]]:
    """The same network of dense layers, with the matrices that its convolutions are; and places."""
    at = {k: places_of(net.geometry[k - 1], W) for k, (W, *_) in net.layers.items()}
    layers = {
        k: [matrix(at[k], W), np.tile(b, at[k].shape[1] // len(b))]
        for k, (W, b) in net.layers.items()
    }
    return net._replace(layers=layers, geometry=()), at


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
    rng = np.random.default_rng(seed)
    (h, w), k, _, padding = setting
    if padding != "same" and k > min(h, w) + 2 * padding:
        with pytest.raises(InputError, match=f"a kernel of at most .* for images of {h} x {w}"):
            Conv(*setting)
        return
    conv, n = Conv(*setting), 2
    oh, ow = conv.windows
    W = rng.standard_normal((k * k * c, o))
    x, da = rng.standard_normal((n, h * w * c)), rng.standard_normal((n, oh * ow * o))
    M = matrix(at := places(conv, c, o), W)
    np.testing.assert_allclose(conv.product(x, W), x @ M, **EXACT)
    np.testing.assert_allclose(conv.input_gradient(da, W), da @ M.T, **EXACT)
    dW = conv.weight_gradient(x, da)
    np.testing.assert_allclose(dW, gathered(at, x.T @ da, W), **EXACT)

    transposed, V = ConvTranspose(*setting), W.T
    np.testing.assert_allclose(transposed.product(da, V), da @ M.T, **EXACT)
    np.testing.assert_allclose(transposed.input_gradient(x, V), x @ M, **EXACT)
    np.testing.assert_allclose(transposed.weight_gradient(da, x), dW.T, **EXACT)


@ANY
@pytest.mark.parametrize("dropout", [False, True])
def test_a_chain_is_the_one_of_its_matrices(name: str, dropout: bool) -> None:
    net = drawn(name, "tanh", dropout=dropout)
    dense, at = as_dense(net)
    pixels = [len(dense.layers[k][1]) // len(b) for k, (_, b) in net.layers.items()]
    masks = tuple(np.tile(m, p) for m, p in zip(net.masks, pixels, strict=False))
    dense = dense._replace(masks=masks)
    results, gradients = [], []
    for each in (net, dense):
        result, cache = forward(each)
        filled_in = filled(each)
        dx = chain_backward(np.cos(result), each.layers, cache, filled_in)
        v, path = input_derivative(each.layers, cache)
        input_derivative_backward(np.sin(v), each.layers, cache, path, filled_in)
        results.append([result, *cache.h.values(), dx, v])
        gradients.append(filled_in)
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, **EXACT)
    for k, (W, b) in net.layers.items():
        (dW, db), (dM, dbs) = gradients[0][k], gradients[1][k]
        np.testing.assert_allclose(dW, gathered(at[k], dM, W), rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(db, dbs.reshape(-1, len(b)).sum(axis=0), rtol=1e-11, atol=1e-12)


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


def pooled(x: np.ndarray, kernel: int, stride: int, function: Any) -> np.ndarray:
    """A number for each window, by loops."""
    n, h, w, c = x.shape
    rows, columns = range(0, h - kernel + 1, stride), range(0, w - kernel + 1, stride)
    y = [
        [[[function(x[i, r : r + kernel, s : s + kernel, m]) for m in range(c)] for s in columns]
         for r in rows]
        for i in range(n)
    ]  # fmt: skip
    return np.array(y)


@POOLS
def test_pools_are_those_of_loops_and_their_gradients_those_of_differences(
    size: tuple[int, int], kernel: int, stride: int
) -> None:
    x = np.random.default_rng(0).permutation(2 * size[0] * size[1] * 3) * 0.1
    x = x.reshape(2, *size, 3)  # no two are equal, so that no maximum has a kink
    y = average_pool(x, kernel, stride)
    np.testing.assert_allclose(y, pooled(x, kernel, stride, np.mean), **EXACT)
    dx = average_pool_backward(weights(y), size, kernel, stride)
    check_gradient((lambda x: total(average_pool(x, kernel, stride)), x, dx))
    y, f = max_pool(x, kernel, stride)
    np.testing.assert_allclose(y, pooled(x, kernel, stride, np.max), **EXACT)
    dx = max_pool_backward(weights(y), f, size, kernel, stride)
    check_gradient((lambda x: total(max_pool(x, kernel, stride)[0]), x, dx))


@pytest.mark.parametrize("times", [1, 2, 3])
def test_upsampling_repeats_and_its_transpose_adds(times: int) -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 2))
    y = upsample(x, times)
    np.testing.assert_array_equal(y, np.kron(x, np.ones((1, times, times, 1))))
    check_gradient((lambda x: total(upsample(x, times)), x, upsample_backward(weights(y), times)))
    np.testing.assert_allclose(average_pool(y, times, times), x, **EXACT)


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
WINDOW = np.array([[1.0, 0, -1, 2]])


def test_a_convolution_on_paper() -> None:
    conv, W, b = Conv((3, 3), 2), WINDOW.T, np.ones(1)
    x, da = np.array([[1.0, 2, 0, 0, 1, 3, 2, 1, 0]]), np.array([[1.0, 0, 2, -1]])
    a, cache = chain({1: [W, b]}, x, "none", geometry=[conv])
    assert conv.patches(x).tolist() == [[1, 2, 0, 1], [2, 0, 1, 3], [0, 1, 2, 1], [1, 3, 1, 0]]
    assert a.tolist() == [[4, 8, 1, 1]]
    dW, db = np.empty((4, 1)), np.empty(1)
    dx = chain_backward(da, {1: [W, b]}, cache, {1: [dW, db]})
    assert dW.T.tolist() == [[0, 1, 3, 3]] and db == 2
    assert dx.tolist() == [[1, 0, 0, 1, 1, 0, -2, 5, -2]]
    assert (x * dx).sum() == ((a - b) * da).sum() == 3


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
    layer, W, b = ConvTranspose((3, 3), 2), WINDOW, np.zeros(1)
    a, cache = chain({1: [W, b]}, np.array([[1.0, 2, 3, 0]]), "none", geometry=[layer])
    assert a.tolist() == [[1, 2, 0, 2, 0, 4, -3, 6, 0]]
    middle, dW, db = np.zeros((1, 9)), np.empty((1, 4)), np.empty(1)
    middle[0, 4] = 1
    dx = chain_backward(middle, {1: [W, b]}, cache, {1: [dW, db]})
    assert layer.patches(middle).tolist() == np.eye(4)[::-1].tolist()
    assert dx.tolist() == [[2, -1, 0, 1]] and dW.tolist() == [[0, 3, 2, 1]] and db == 1


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
    x = np.array([[1.0, 2, 3, 1], [3, 0, 3, 1]])[None, :, :, None]
    dy = np.array([[4.0, 8]])[None, :, :, None]
    h, f = max_pool(x, 2, 2)
    assert average_pool(x, 2, 2).ravel().tolist() == [1.5, 2] and h.ravel().tolist() == [3, 3]
    dx = average_pool_backward(dy, (2, 4), 2, 2)
    assert dx[0, :, :, 0].tolist() == [[1, 1, 2, 2]] * 2
    assert max_pool_backward(dy, f, (2, 4), 2, 2)[0, :, :, 0].tolist() == [
        [0, 0, 4, 0],
        [4, 0, 4, 0],
    ]
    wide = upsample(np.array([1.0, 2]).reshape(1, 1, 2, 1), 2)
    assert wide[0, :, :, 0].tolist() == [[1, 1, 2, 2]] * 2
    assert upsample_backward(np.arange(1.0, 9).reshape(1, 2, 4, 1), 2).ravel().tolist() == [14, 22]


def test_r1_on_paper() -> None:
    layers = {1: [np.array([[1.0], [0], [0], [2]]), np.zeros(1)],
              2: [np.array([[1.0], [3]]), np.zeros(1)]}  # fmt: skip
    net = Net(layers, np.ones((1, 6)), "none", geometry=(Conv((2, 3), 2), Dense()))
    _, cache = forward(net)
    v, path = input_derivative(layers, cache)
    assert v.tolist() == [[1, 3, 0, 0, 2, 6]]
    P, dv = zero_centred(v, 1.0)
    gradients = filled(net, 0.0)
    input_derivative_backward(dv, layers, cache, path, gradients)
    (dW1, db1), (dW2, db2) = gradients[1], gradients[2]
    assert P == 25 and not db1.any() and not db2.any()
    assert dW1.ravel().tolist() == [10, 3, 6, 20] and dW2.ravel().tolist() == [5, 15]


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
