"""Checks of convolutions by hand: by matrices that loops over pixels make, by PyTorch, on paper.

The matrix of a convolution has a row for each number of the image that goes in and a column for
each that comes out. In it stand the entries of W, many times each, and zeros; `places` says where.
With it a chain of convolutions is a chain of dense layers, and so are its gradients.
"""

from __future__ import annotations

import math
from typing import Any

import images_by_torch
import numpy as np
from chain_checks import Net, filled, forward
from pieces_checks import check_gradient, total, weights

from tinygen.backend.patches import smallest_size
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
from tinygen.byhand.pieces import Dense, bias_gradient, zero_centred

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


def check_matrix(conv: Conv, c: int, o: int, seed: int = 0) -> None:
    """What a convolution does, and its transposed one, are products with one matrix."""
    rng, n = np.random.default_rng(seed), 2
    (h, w), (oh, ow) = conv.size, conv.windows
    W = rng.standard_normal((conv.kernel**2 * c, o))
    x, da = rng.standard_normal((n, h * w * c)), rng.standard_normal((n, oh * ow * o))
    M = matrix(at := places(conv, c, o), W)
    np.testing.assert_allclose(conv.product(x, W), x @ M, **EXACT)
    np.testing.assert_allclose(conv.input_gradient(da, W), da @ M.T, **EXACT)
    dW = gathered(at, x.T @ da, W)
    np.testing.assert_allclose(conv.weight_gradient(x, da), dW, **EXACT)

    transposed, V = ConvTranspose(conv.size, conv.kernel, conv.stride, conv.padding), W.T
    np.testing.assert_allclose(transposed.product(da, V), da @ M.T, **EXACT)
    np.testing.assert_allclose(transposed.input_gradient(x, V), x @ M, **EXACT)
    np.testing.assert_allclose(transposed.weight_gradient(da, x), dW.T, **EXACT)


def check_chain_of_matrices(net: Net) -> None:
    """A chain, backwards and up again too, is the dense one of its layers' matrices."""
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


# Pooling.


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


def check_pools(size: tuple[int, int], kernel: int, stride: int) -> None:
    """They are those of loops, and their gradients those of differences."""
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


def check_upsampling(times: int) -> None:
    """It repeats, and its transpose adds."""
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 2))
    y = upsample(x, times)
    np.testing.assert_array_equal(y, np.kron(x, np.ones((1, times, times, 1))))
    check_gradient((lambda x: total(upsample(x, times)), x, upsample_backward(weights(y), times)))
    np.testing.assert_allclose(average_pool(y, times, times), x, **EXACT)


# What PyTorch made of 200 layers: the result, and the gradients of sum(g y^2).


def check_by_torch() -> None:
    """Whole numbers, so that any sum of them is exact; a mean is not."""
    for case, (x, *others), (y, *gradients) in images_by_torch.read():
        given, g = others[: len(case.shapes) - 1], others[len(case.shapes) - 1]
        actual = by_hand(case, x, given, lambda y, g=g: 2 * g * y)
        for a, b in zip(actual, [y, *gradients[: len(case.shapes)]], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-13, atol=0, err_msg=str(case))


def by_hand(case: images_by_torch.Case, x: np.ndarray, given: list[np.ndarray], dy: Any) -> Any:
    """The result, and its gradients with respect to x, W and b, where `dy` says the result's."""
    size, k, s = (case.h, case.w), case.kernel, case.stride
    if case.name == "max":
        y, f = max_pool(x, k, s)
        return y, max_pool_backward(dy(y), f, size, k, s)
    if case.name == "average":
        y = average_pool(x, k, s)
        return y, average_pool_backward(dy(y), size, k, s)
    layer = Conv(size, k, s, case.padding) if case.name == "conv" else transposed_of(case)
    (W, b), rows = given, x.reshape(len(x), -1)
    y = layer.product(rows, W).reshape(case.output) + b
    da = dy(y).reshape(len(x), -1)
    dx = layer.input_gradient(da, W).reshape(x.shape)
    return y, dx, layer.weight_gradient(rows, da), bias_gradient(da.reshape(-1, len(b)))


def transposed_of(case: images_by_torch.Case) -> ConvTranspose:
    h, w = smallest_size((case.h, case.w), case.kernel, case.stride, case.padding)
    size = h + case.more_rows, w + case.more_columns
    return ConvTranspose(size, case.kernel, case.stride, case.padding)


# The examples "on paper" of docs/derivations/conv.md.

WINDOW = np.array([[1.0, 0, -1, 2]])


def check_convolution_on_paper() -> None:
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


def check_transposed_convolution_on_paper() -> None:
    layer, W, b = ConvTranspose((3, 3), 2), WINDOW, np.zeros(1)
    a, cache = chain({1: [W, b]}, np.array([[1.0, 2, 3, 0]]), "none", geometry=[layer])
    assert a.tolist() == [[1, 2, 0, 2, 0, 4, -3, 6, 0]]
    middle, dW, db = np.zeros((1, 9)), np.empty((1, 4)), np.empty(1)
    middle[0, 4] = 1
    dx = chain_backward(middle, {1: [W, b]}, cache, {1: [dW, db]})
    assert layer.patches(middle).tolist() == np.eye(4)[::-1].tolist()
    assert dx.tolist() == [[2, -1, 0, 1]] and dW.tolist() == [[0, 3, 2, 1]] and db == 1


def check_pools_on_paper() -> None:
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


def check_r1_on_paper() -> None:
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
