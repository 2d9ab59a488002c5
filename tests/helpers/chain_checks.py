"""Checks of a chain of layers by hand, and the networks that they are made with."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from differences import MARGIN, NON_SMOOTH, PHI
from pieces_checks import (
    Claim,
    by_units,
    check_gradient,
    flat,
    matrix_product,
    norm_forward,
    total,
    weights,
)

from tinygen.byhand.chain import (
    Cache,
    Geometry,
    Layers,
    chain,
    chain_backward,
    decay,
    input_derivative,
    input_derivative_backward,
    layers,
)
from tinygen.byhand.pieces import SUMS
from tinygen.parameters import Parameters

SECOND_ORDER = 1e-6
"""The tolerance of gradients of a function of v, whose curvature is larger."""


class Net(NamedTuple):
    """All that `chain` is given."""

    layers: Layers
    x: np.ndarray
    activation: str
    masks: tuple[np.ndarray, ...] = ()
    linear: bool = True
    geometry: Geometry = ()


def forward(net: Net) -> tuple[Any, Cache]:
    *positional, geometry = net
    return chain(*positional, geometry=geometry)


VARIANTS: dict[str, dict[str, bool]] = {
    "plain": {},
    "dropout": {"dropout": True},
    "norm": {"norm": True},
    "norm and dropout": {"norm": True, "dropout": True},
    "activated": {"linear": False},
    "activated and dropout": {"linear": False, "dropout": True},
}
WIDTHS = (3, 4, 2, 3, 2)
ROWS = 5


def drawn(
    widths: tuple[int, ...],
    activation: str,
    seed: int = 0,
    *,
    dropout: bool = False,
    norm: bool = False,
    linear: bool = True,
    n: int = ROWS,
) -> Net:
    """A chain of these widths, the first one that stays away from kinks."""
    rng = np.random.default_rng(seed)
    while True:
        net = once(rng, widths, activation, dropout, norm, linear, n)
        kinked = activation in {*NON_SMOOTH, "elu", "maxout"}
        if not kinked or min(gap for _, gap in textbook(net)) > MARGIN:
            return net


def once(
    rng: np.random.Generator,
    widths: tuple[int, ...],
    activation: str,
    dropout: bool,
    norm: bool,
    linear: bool,
    n: int,
) -> Net:
    made: Layers = {}
    for k, (i, o) in enumerate(itertools.pairwise(widths), 1):
        activated = k < len(widths) - 1 or not linear
        sums = SUMS * o if activation == "maxout" and activated else o
        made[k] = [rng.standard_normal((i, sums)) / math.sqrt(i), 0.5 * rng.standard_normal(sums)]
        if norm and activated:
            made[k].insert(1, 1 + 0.5 * rng.standard_normal(sums))
    masks = [np.where(rng.random((n, o)) < 0.7, 1 / 0.7, 0.0) for o in widths[1:]]
    masks = masks[:-1] if linear else masks
    x = rng.standard_normal((n, widths[0]))
    return Net(made, x, activation, tuple(masks) if dropout else (), linear=linear)


def textbook(net: Net) -> list[tuple[np.ndarray, float]]:
    """What each layer says, entry by entry, and how close one of its numbers is to a kink."""
    h, found = net.x, []
    for k, (W, *vectors) in net.layers.items():
        a = matrix_product(h, W)
        a = norm_forward(a, *vectors)[0] if len(vectors) == 2 else a + vectors[0]
        h, gap = a, math.inf
        if k < len(net.layers) or not net.linear:
            if net.activation == "maxout":
                units = np.sort(by_units(a), axis=2)
                h, gap = units[:, :, -1], (units[:, :, -1] - units[:, :, -2]).min()
            else:
                h, gap = np.vectorize(PHI[net.activation], otypes=[float])(a), abs(a).min()
            if net.masks:
                h = h * net.masks[k - 1]
        found.append((h, gap))
    return found


def filled(net: Net, value: float = math.nan) -> Layers:
    """Memory for the gradients of its layers."""
    return {k: [np.full_like(array, value) for array in layer] for k, layer in net.layers.items()}


def with_array(net: Net, k: int, j: int, array: np.ndarray) -> Net:
    """The same with another array in layer k."""
    layer = [array if m == j else other for m, other in enumerate(net.layers[k])]
    return net._replace(layers={**net.layers, k: layer})


def by_layers(f: Callable[[Net], Any], net: Net, gradients: Layers) -> list[Claim]:
    """That these are the gradients of f by every W, b, gamma and beta."""
    return [
        (lambda array, k=k, j=j: f(with_array(net, k, j, array)), array, gradients[k][j])
        for k, layer in net.layers.items()
        for j, array in enumerate(layer)
    ]


# Forward and backward.


def check_forward(net: Net) -> None:
    result, cache = forward(net)
    for k, (h, _) in enumerate(textbook(net), 1):
        np.testing.assert_allclose(cache.h[k], h, rtol=1e-11, atol=1e-12)
    assert result is cache.h[len(net.layers)] and cache.h[0] is net.x


def check_backward(net: Net) -> None:
    """The gradient of a function of the result, by every array and by the input."""

    def f(net: Net) -> Any:
        return total(forward(net)[0])

    gradients = filled(net)
    result, cache = forward(net)
    dx = chain_backward(weights(result), net.layers, cache, gradients)
    for claim in by_layers(f, net, gradients):
        check_gradient(claim)
    check_gradient((lambda x: f(net._replace(x=x)), net.x, dx))


def check_also(net: Net) -> None:
    """A function of several layers: what another road brings is added where it arrives."""
    L, gradients = len(net.layers), filled(net)
    result, cache = forward(net)
    also = {k: 2 * weights(cache.h[k]) for k in range(1, L + 1)}

    def f(net: Net) -> Any:
        result, cache = forward(net)
        return total(result) + 2 * sum(total(cache.h[k]) for k in also)

    dx = chain_backward(weights(result), net.layers, cache, gradients, also)
    for claim in by_layers(f, net, gradients):
        check_gradient(claim)
    check_gradient((lambda x: f(net._replace(x=x)), net.x, dx))


def check_ways_back(net: Net) -> None:
    """Without gradients there is the input's alone; and one may stop before the input."""
    result, cache = forward(net)
    dh, gradients, again = weights(result), filled(net), filled(net)
    dx = chain_backward(dh, net.layers, cache, gradients)
    dh_1 = chain_backward(dh, net.layers, cache, again, to_input=False)
    # All layers but the first are a chain, too, whose input is h[1].
    rest = {k - 1: layer for k, layer in net.layers.items() if k > 1}
    above = net._replace(layers=rest, x=cache.h[1], masks=net.masks[1:], geometry=net.geometry[1:])
    check_gradient((lambda h: total(forward(above._replace(x=h))[0]), cache.h[1], dh_1))
    for a, b in zip(flat(again), flat(gradients), strict=True):
        np.testing.assert_array_equal(a, b)
    also = {1: weights(cache.h[1])}
    both = chain_backward(dh, net.layers, cache, again, also, to_input=False)
    np.testing.assert_array_equal(both, dh_1 + also[1])
    if not cache.norms:
        np.testing.assert_array_equal(chain_backward(dh, net.layers, cache), dx)
        some = {1: filled(net)[1]}
        np.testing.assert_array_equal(chain_backward(dh, net.layers, cache, some), dx)
        for a, b in zip(some[1], gradients[1], strict=True):
            np.testing.assert_array_equal(a, b)


# The derivative of the result with respect to the input.


def check_input_derivative(net: Net) -> None:
    result, cache = forward(net)
    v, _ = input_derivative(net.layers, cache)
    assert result.shape == (len(v), 1) and v.shape == net.x.shape
    # Rows do not know of each other: the sum's derivative by a row is that of the row's result.
    check_gradient((lambda x: forward(net._replace(x=x))[0].sum(), net.x, v))
    by_backward = chain_backward(np.ones_like(result), net.layers, cache)
    np.testing.assert_allclose(v, by_backward, rtol=1e-13, atol=1e-15)


def check_second(net: Net, f: Callable[..., Any], df: Callable[..., Any]) -> None:
    """The gradient of f(v), which is added to what is there already."""
    _, cache = forward(net)
    v, path = input_derivative(net.layers, cache)
    gradients = filled(net, 0.25)
    input_derivative_backward(df(v), net.layers, cache, path, gradients)

    def f_of_v(net: Net) -> Any:
        return f(input_derivative(net.layers, forward(net)[1])[0])

    for function, array, gradient in by_layers(f_of_v, net, gradients):
        check_gradient((function, array, gradient - 0.25), SECOND_ORDER)


def check_sine(net: Net) -> None:
    check_second(net, lambda v: total(np.sin(v)), lambda v: weights(v) * np.cos(v))


def check_squares(net: Net) -> None:
    check_second(net, lambda v: total(v * v), lambda v: 2 * weights(v) * v)


# Closed forms.


def check_linear(depth: int) -> None:
    """x W1 W2 ... and biases: with P before layer k and S behind it, all is a product."""
    net = drawn((*WIDTHS[:depth], 1), "none", depth)
    Ws = [W for W, _ in net.layers.values()]

    def product(matrices: list[np.ndarray], size: int) -> np.ndarray:
        M = np.eye(size)
        for W in matrices:
            M = M @ W
        return M

    result, cache = forward(net)
    d, gradients, of_v = weights(result), filled(net), filled(net, 0.0)
    dx = chain_backward(d, net.layers, cache, gradients)
    v, path = input_derivative(net.layers, cache)
    dv = weights(v)
    input_derivative_backward(dv, net.layers, cache, path, of_v)
    exact = {"rtol": 1e-12, "atol": 1e-13}
    np.testing.assert_allclose(dx, d @ product(Ws, 3).T, **exact)
    np.testing.assert_allclose(v, np.tile(product(Ws, 3).T, (ROWS, 1)), **exact)
    h = net.x
    for k, (W, b) in net.layers.items():
        P, S = product(Ws[: k - 1], 3), product(Ws[k:], W.shape[1])
        dW, db = gradients[k]
        np.testing.assert_allclose(dW, h.T @ d @ S.T, **exact)
        np.testing.assert_allclose(db, d.sum(axis=0) @ S.T, **exact)
        # v = P W S for every row, and no bias is in it.
        dW, db = of_v[k]
        np.testing.assert_allclose(dW, P.T @ dv.sum(axis=0)[:, None] @ S.T, **exact)
        assert not db.any()
        h = h @ W + b
    np.testing.assert_allclose(result, h, **exact)


def column(*numbers: float) -> np.ndarray:
    return np.array(numbers, float)[:, None]


def check_one_unit() -> None:
    """The table in section 5: 4 tanh(x) at tanh(x) = 1/2, and P = (v - 1)^2."""
    x = 0.5 * math.log(3)
    net = Net({1: [column(1), np.zeros(1)], 2: [column(4), np.zeros(1)]}, column(x), "tanh")
    _, cache = forward(net)
    v, (e, t) = input_derivative(net.layers, cache)
    gradients, exact = filled(net, 0.0), {"rel": 1e-14}
    input_derivative_backward(2 * (v - 1), net.layers, cache, (e, t), gradients)
    assert cache.h[1] == pytest.approx(1 / 2, **exact)
    assert cache.f[1] == pytest.approx(3 / 4, **exact)
    assert e[2] == 1 and t[1] == 4
    assert e[1] == v == pytest.approx(3, **exact)
    (dW1, db1), (dW2, db2) = gradients[1], gradients[2]
    assert dW1 == pytest.approx(12 - 6 * math.log(3), **exact)
    assert db1 == pytest.approx(-12, **exact)
    assert dW2 == pytest.approx(3, **exact) and db2 == 0


# What a cache can do, and what is left as it is.


def check_rows(net: Net) -> None:
    """Some rows of a cache are the cache of those rows."""
    _, cache = forward(net)
    some = slice(1, 4)
    alone = net._replace(x=net.x[some], masks=tuple(mask[some] for mask in net.masks))
    result, expected = forward(alone)
    actual = cache.rows(1, 4)
    assert actual.activation == net.activation
    for field in ("masks", "h", "a", "f"):
        a, b = flat(getattr(actual, field)), flat(getattr(expected, field))
        for x, y in zip(a, b, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-14)  # products of another size
    both = []
    for of in (actual, expected):
        v, path = input_derivative(net.layers, of)
        gradients = filled(net, 0.0)
        chain_backward(weights(result), net.layers, of, gradients)
        input_derivative_backward(weights(v), net.layers, of, path, gradients)
        both.append(flat([v, gradients]))
    for x, y in zip(*both, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-11, atol=1e-13)


def check_untouched(net: Net) -> None:
    """No function changes what it is given, or the cache; only gradients are filled."""
    arrays = flat(net)
    before = [array.copy() for array in arrays]
    result, cache = forward(net)
    d, also = weights(result), {k: weights(cache.h[k]) for k in net.layers}
    given = arrays + flat([cache, d, also])
    before += [array.copy() for array in flat([cache, d, also])]
    chain_backward(d, net.layers, cache, filled(net), also)
    if not cache.norms and net.linear:
        v, path = input_derivative(net.layers, cache)
        dv = weights(v)
        given += flat([dv, path])
        before += [array.copy() for array in flat([dv, path])]
        input_derivative_backward(dv, net.layers, cache, path, filled(net, 0.0))
        decay(net.layers, filled(net, 0.0), 0.1)
    for now, then in zip(given, before, strict=True):
        np.testing.assert_array_equal(now, then)


# Layers among parameters, and weight decay.


def check_layers() -> None:
    shapes = {"W1": (1, 3), "b1": (3,), "encoder.W1": (2, 3), "encoder.b1": (3,),
              "decoder.W1": (3, 1), "decoder.b1": (1,), "decoder.W2": (1, 2), "decoder.b2": (2,),
              "decoder.log_var": (1,)}  # fmt: skip
    p = Parameters(shapes, np.arange(24.0))
    for prefix, names in {
        "encoder.": [["W1", "b1"]],
        "decoder.": [["W1", "b1"], ["W2", "b2"]],
        "": [["W1", "b1"]],
        "other.": [],
    }.items():
        found = layers(p, prefix)
        assert list(found) == list(range(1, len(names) + 1))
        for k, layer in enumerate(names, 1):
            assert len(found[k]) == len(layer)
            # The arrays themselves, so that who writes there has written into the parameters.
            assert all(a is p[prefix + n] for a, n in zip(found[k], layer, strict=True))


def check_layers_of_batch_norm() -> None:
    """In whichever order the parameters lie."""
    names = ["W1", "gamma2", "beta2", "W3", "gamma4", "beta4", "W5", "b5"]
    for order in (names, names[::-1], sorted(names)):
        found = layers({name: name for name in order})
        assert found == {1: names[:3], 2: names[3:6], 3: names[6:]}


def check_more_than_nine_layers() -> None:
    names = [[f"W{k}", f"b{k}"] for k in range(1, 13)]
    p = {name: name for layer in names for name in layer}
    assert layers(p) == dict(enumerate(names, 1))


def check_weight_decay(variant: str) -> None:
    net = drawn(WIDTHS[:4], "tanh", **VARIANTS[variant])
    gradients = filled(net, 0.25)
    J = decay(net.layers, gradients, 0.3)
    matrices = [layer[0] for layer in net.layers.values()]
    assert pytest.approx(0.15 * sum(w * w for W in matrices for w in W.flat), rel=1e-13) == J
    for (W, *_), (dW, *others) in zip(net.layers.values(), gradients.values(), strict=True):
        np.testing.assert_allclose(dW, 0.25 + 0.3 * W, rtol=1e-13)
        assert all((other == 0.25).all() for other in others)
