"""Jacobians and products with them, against closed forms and differences, in every layout."""

from __future__ import annotations

import numpy as np
import pytest
from strict import count_syncs

import tinygen as tg
from tinygen import Parameters, Tensor

random = np.random.default_rng(3)
A, B = random.standard_normal((2, 3)), random.standard_normal((3, 3))
X, V = random.standard_normal((2, 3))


def on(backend, *arrays):
    return [backend.asarray(a) for a in arrays]


def test_of_a_linear_map_they_are_its_matrix(backend):
    a, x, v = on(backend, A, X, V)
    f = lambda x: tg.matmul(a, x)  # noqa: E731
    np.testing.assert_allclose(backend.to_numpy(tg.jacobian(f, x)), A, rtol=1e-15)
    np.testing.assert_allclose(backend.to_numpy(tg.jvp(f, x, v)), A @ V, rtol=1e-14)  # roundings


def test_the_hessian_of_a_quadratic_form_is_its_matrix(backend):
    b, x, v = on(backend, B, X, V)
    product = tg.hvp(lambda x: (x * tg.matmul(b, x)).sum() * 0.5, x, v)
    np.testing.assert_allclose(backend.to_numpy(product), (B + B.T) @ V / 2, rtol=1e-13)


def net(p, x):
    return tg.tanh(tg.affine(x, p["W"], p["b"])) * p["scale"]


P = Parameters({"W": (2, 3), "b": (3,), "scale": ()}, random.standard_normal(10))
DATA = random.standard_normal((4, 2))


def test_a_network_in_every_layout_against_differences():
    """Of a whole Jacobian, its product, and the Hessian's, each from the one before."""
    p, v, h = P, P.like(random.standard_normal(10)), 1e-6
    at = lambda t: p.like(p.flat + t * v.flat)  # noqa: E731
    difference = (net(at(h), DATA) - net(at(-h), DATA)) / (2 * h)
    product = tg.jvp(net, p, v, DATA)
    np.testing.assert_allclose(product, difference, atol=1e-8)  # h^2, and a rounding over h
    jacobians = tg.jacobian(net, p, DATA)
    assert {name: j.shape[2:] for name, j in jacobians.items()} == p.shapes
    total = sum(np.tensordot(j, v[name], v[name].ndim) for name, j in jacobians.items())
    np.testing.assert_allclose(total, product, rtol=1e-12, atol=1e-14)  # order of the additions

    def loss(p, x):
        return (net(p, x) ** 2).sum()

    gradient = lambda t: tg.value_and_grad(loss)(at(t), DATA)[1].flat  # noqa: E731
    second = tg.hvp(loss, p, v, DATA)
    assert isinstance(second, Parameters) and second.shapes == p.shapes
    np.testing.assert_allclose(second.flat, (gradient(h) - gradient(-h)) / (2 * h), atol=1e-6)

    def named(p):
        return dict(zip(P, p, strict=True)) if type(p) is list else p

    for other, direction in ((dict(p), dict(v)), ([*p.values()], [*v.values()])):
        again = tg.hvp(lambda p, x: loss(named(p), x), other, direction, DATA)
        assert type(again) is type(other)
        for name, a in named(again).items():
            np.testing.assert_array_equal(a, second[name])
        again = tg.jacobian(lambda p, x: net(named(p), x), other, DATA)
        assert type(again) is type(other)
        for name, j in named(again).items():
            np.testing.assert_array_equal(j, jacobians[name])


def test_lists_of_numbers_and_empty_results():
    assert tg.jvp(lambda x: x * x, [1.0, 3.0], [1.0, 10.0]).tolist() == [2, 60]
    assert tg.hvp(lambda x: (x**3).sum(), [1.0, 3.0], [1, 10]).tolist() == [6, 180]
    assert tg.jacobian(lambda x: x[:0], X).shape == (0, 3)


def test_what_is_linear_or_constant_has_derivatives_of_zero(backend):
    x, v = on(backend, X, V)
    for f in (lambda x: x.sum(), lambda x: tg.relu(x).sum(), lambda x: tg.sign(x).sum()):
        assert backend.to_numpy(tg.hvp(f, x, v)).tolist() == [0, 0, 0]
    assert backend.to_numpy(tg.jvp(tg.sign, x, v)).tolist() == [0, 0, 0]
    assert backend.to_numpy(tg.jacobian(tg.sign, x)).tolist() == [[0] * 3] * 3


def test_numbers_and_dtypes(backend):
    x = backend.asarray(np.array(3.0, np.float32))
    for f, expected in ((tg.jacobian, 27), (lambda f, x: tg.jvp(f, x, x), 81)):
        y = f(lambda x: x**3, x)
        assert y.shape == () and y.dtype == np.float32 and float(y) == expected
    assert float(tg.hvp(lambda x: x**3, x, x)) == 54


def test_nothing_waits_for_the_device(backend):
    x, v = on(backend, X, V)
    with count_syncs() as syncs:
        tg.jvp(tg.tanh, x, v)
        tg.hvp(lambda x: tg.tanh(x).sum(), x, v)
    assert syncs == []


def test_a_direction_of_another_layout_is_refused():
    """It would broadcast."""
    expected = r"expected v in the layout of x, \{None: \(3,\)\}"
    for wrong in (np.ones(1), np.ones((3, 3)), 1.0):
        for product in (tg.jvp, tg.hvp):
            with pytest.raises(ValueError, match=expected):
                product(lambda x: (x * x).sum(), X, wrong)
    for other in ({"W": P["W"]}, {**P, "more": X}, [*P.values()], P["W"]):
        with pytest.raises(ValueError, match="expected v in the layout of x"):
            tg.hvp(lambda p: net(p, DATA).sum(), P, other)


@pytest.mark.parametrize(
    "inner",
    [
        lambda f: tg.jacobian(f, X),
        lambda f: tg.jvp(f, X, V),
        lambda f: tg.hvp(lambda y: (f(y) * f(y)).sum(), X, V),
    ],
)
def test_inside_of_a_function_they_are_no_constants(inner):
    """Of z, on which they depend, they have a derivative, and would be taken to have none."""
    for outer in (lambda z: z, lambda z: z * 2):
        with pytest.raises(ValueError, match=r"also depends on a Tensor .* create_graph=True"):
            tg.value_and_grad(lambda z: (z * inner(lambda y: y * outer(z))).sum())(X)  # noqa: B023


def test_what_is_no_tensor_is_refused():
    for f in (tg.jacobian, lambda f, x: tg.jvp(f, x, x), lambda f, x: tg.hvp(f, x, x)):
        with pytest.raises(TypeError, match="returned a float, expected a Tensor"):
            f(lambda x: 1.0, X)
    with pytest.raises(ValueError, match="single number"):
        tg.hvp(lambda x: x * x, X, V)
    with pytest.raises(TypeError, match="Tensor"):
        tg.hvp(lambda x: (x * x).sum(), Tensor(X), V)
