"""The engine: what it computes, what it refuses, what it costs."""

from __future__ import annotations

import copy
import gc
import math
import pickle
import time
import weakref
from threading import Thread

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strict import STRICT, count_syncs

import tinygen as tg
from tinygen import (
    OPS,
    BatchNorm,
    LayerNorm,
    NonFiniteError,
    Parameters,
    Tensor,
    check_gradients,
    grad,
    leaves,
    no_grad,
    op,
    stop_at_nonfinite,
    value_and_grad,
)

random = np.random.default_rng(3)


def leaf(x, dtype=np.float64):
    return Tensor(np.array(x, dtype), requires_grad=True)


@pytest.fixture
def own_ops():
    """Ops that a test makes are gone after it."""
    before = dict(OPS)
    yield
    OPS.clear()
    OPS.update(before)


# The walk.


def test_a_node_that_is_used_often():
    x = leaf(3)
    assert grad(x * x, x) == 6
    assert grad(x + x + x, x) == 3
    y = x * x
    assert grad(y * y + y, x) == 4 * 27 + 6  # a diamond: x^4 + x^2
    a = x * 2
    assert grad(a * x + a * a, x) == 4 * 3 + 8 * 3


def test_no_path_is_walked_twice():
    """2^60 paths lead back to x; one that is walked per edge would never end."""
    x = y = leaf(1)
    for _ in range(60):
        y = y + y
    start = time.perf_counter()
    assert grad(y, x) == 2**60
    assert time.perf_counter() - start < 1


def test_a_node_waits_for_its_late_consumer():
    """x reaches the loss over one op and over many; the short way must not go first."""
    x = leaf(0.5)
    y = x * 1
    far = y
    for _ in range(10):
        far = tg.sin(far)
    check_gradients(lambda x: tg.exp(x) * tg.sin(tg.sin(tg.exp(x))), 0.5 + np.zeros(1))
    z = y * 3 + far
    expected, v = 1.0, 0.5
    for _ in range(10):
        expected, v = expected * math.cos(v), math.sin(v)
    np.testing.assert_allclose(grad(z, x), 3 + expected, rtol=1e-14)  # ten roundings


def test_a_long_chain_needs_no_recursion():
    x = y = leaf(1, np.float32)
    for _ in range(100_000):
        y = y + 0.0
    assert grad(y, x, retain_graph=True) == 1
    dead = weakref.ref(y)
    del y
    gc.collect()
    assert dead() is None
    y = x
    for _ in range(20_000):
        y = y * 1.0
    assert grad(y, x, create_graph=True).item() == 1


def test_only_what_is_needed_is_computed(own_ops):
    def never(g, y, x, z):
        raise AssertionError("nobody asked for this")

    @op(dx=lambda g, y, x, z: g * z, dz=never)
    def half_product(x, z):
        return x * z

    x, z = leaf(2), leaf(5)
    assert grad(half_product(x, z), x) == 5
    assert grad(half_product(x, z.detach()), x) == 5
    y = half_product(x, np.float64(5))
    y.backward()
    assert x.grad == 5
    # Nor anything on a branch that does not lead to what is wanted.
    assert grad(half_product(x, x.detach()) + half_product(np.float64(1), z), x) == 2
    with pytest.raises(AssertionError, match="nobody asked"):
        grad(half_product(x, z), z)


def test_the_graph_is_freed_on_the_way_back(own_ops):
    """An activation goes as soon as its partial was computed, not at the end of the walk."""
    alive = []

    @op(dx=lambda g, y, x: (alive.append(watched() is not None), g)[1])
    def look(x):
        return x + 0

    x = leaf([1.0, 2.0])
    hidden = tg.exp(look(x))
    watched = weakref.ref(hidden)
    loss = (hidden * hidden).sum()
    del hidden
    grad(loss, x)
    assert alive == [False]


def test_two_parents_do_not_share_their_gradient():
    x, z = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    dx, dz = grad((x + z).sum(), [x, z])
    dx[:] = 7
    assert dz.tolist() == [1, 1]
    (x + z).sum().backward()
    x.grad[:] = 7
    assert z.grad.tolist() == [1, 1]
    g = np.ones(2)
    d = grad(x + 0, x, g=g)
    d[:] = 7
    assert g.tolist() == [1, 1]


def test_accumulation_writes_into_its_own_arrays_only():
    x = leaf([1.0, 2.0])
    g = np.array([1.0, 10.0])
    y = x + x  # the cotangent reaches x twice
    assert grad(y + x, x, g=g).tolist() == [3, 30]
    assert g.tolist() == [1, 10]
    # A gradient that is a read-only, broadcast view arrives three times, in any order.
    for f in (lambda x: x.sum() + x.sum() + x.sum(), lambda x: x.sum() + (x * x).sum() + x.mean()):
        check_gradients(f, np.array([1.0, 2.0]), elementwise=True)
    # The same array goes to x as its whole gradient and to a, which gets more.
    a, b = leaf([1.0]), leaf([1.0])
    y = a + b
    da, db = grad((y + a + a).sum(), [a, b])
    assert (da.tolist(), db.tolist()) == ([3], [1])
    # An interior gradient that was asked for is not touched by later sums.
    t = x * 1.0
    u = t + x
    dt, dx = grad((u + x + x).sum(), [t, x])
    assert (dt.tolist(), dx.tolist()) == ([1, 1], [4, 4])


def test_interior_gradients():
    x = leaf([1.0, 2.0])
    y = x * 3
    z = (y * y).sum()
    assert grad(z, y, retain_graph=True).tolist() == [6, 12]
    both = grad(z, {"y": y, "x": x}, retain_graph=True)
    assert both["y"].tolist() == [6, 12] and both["x"].tolist() == [18, 36]
    y.retain_grad()
    z.backward()
    assert y.grad.tolist() == [6, 12] and x.grad.tolist() == [18, 36]
    assert z.grad is None
    t = (x * 2).retain_grad()
    t.backward(np.array([1.0, 1.0]))
    assert t.grad.tolist() == [1, 1]


def test_grad_keeps_the_layout_of_wrt():
    x, z = leaf(2), leaf(3)
    y = x * z
    assert grad(y, x, retain_graph=True) == 3
    assert grad(y, [x, z], retain_graph=True) == [3, 2]
    assert grad(y, (z, x), retain_graph=True) == (2, 3)
    assert grad(y, {"b": z, "a": x}, retain_graph=True) == {"b": 2, "a": 3}
    assert grad(y, [x, x], retain_graph=True) == [3, 3]
    assert grad(y, []) == []
    assert grad(x, x) == 1


def test_hooks():
    x = leaf([1.0, 2.0])
    seen = []
    y = x * 2
    remove_first = y.register_hook(lambda g: seen.append(g.tolist()))
    y.register_hook(lambda g: g * 10)
    z = (y * 1).sum() + y.sum()
    assert grad(z, x, retain_graph=True).tolist() == [40, 40]
    assert seen == [[2, 2]]  # the complete gradient, once
    remove_first()
    assert grad(z, y, retain_graph=True).tolist() == [20, 20] and len(seen) == 1
    remove = x.register_hook(lambda g: -g)
    assert grad(z, x, retain_graph=True).tolist() == [-40, -40]
    remove()
    y.register_hook(lambda g: g.sum())
    with pytest.raises(ValueError, match=r"a hook returned float64 \(\) .* ndarray \(2,\)"):
        grad(z, x)
    w = leaf(2)
    w3 = w * w * w
    w3.register_hook(lambda g: g * w)  # recorded, where the gradient is
    assert grad(grad(w3, w, create_graph=True), w).item() == 36  # of 3 w^2 w


def test_no_grad_and_detach():
    x = leaf([1.0, 2.0])
    with no_grad():
        y = x * 2
        with no_grad():
            pass
        z = x * 2
    assert not y.requires_grad and not z.requires_grad and y.is_leaf
    assert (x * 2).requires_grad
    with pytest.raises(RuntimeError, match="boom"), no_grad():
        raise RuntimeError("boom")
    assert (x * 2).requires_grad
    d = x.detach()
    assert not d.requires_grad and d.is_leaf and d.array is x.array
    assert grad((x * x.detach()).sum(), x).tolist() == [1, 2]
    with pytest.raises(ValueError, match="no tensor that requires a gradient"):
        d.sum().backward()
    assert x.sum().detach().dtype == np.float64  # a NumPy scalar is a Python float as well


def test_backward_replaces_or_accumulates():
    x = leaf([1.0, 2.0])
    x.sum().backward()
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2, 2]
    (x * 3).sum().backward(accumulate=True)
    assert x.grad.tolist() == [5, 5]
    x.grad = None
    (x * 3).sum().backward(accumulate=True)
    assert x.grad.tolist() == [3, 3]


# What is refused.


def test_a_freed_graph():
    x = leaf([1.0, 2.0])
    y = (x * x).sum()
    y.backward()
    with pytest.raises(RuntimeError, match=r"behind this result of sum was freed .* retain_graph"):
        y.backward()
    h = tg.exp(x)
    h.sum().backward()
    with pytest.raises(RuntimeError, match="behind this result of exp was freed"):
        (h * h).sum().backward()
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [2, 4]


def test_writing_what_the_graph_needs():
    x = leaf([1.0, 2.0])
    y = (x * x).sum()
    x[0] = 5.0
    with pytest.raises(RuntimeError, match="multiply: its argument x was written in place"):
        y.backward()
    assert grad((x * x).sum(), x).tolist() == [10, 4]  # recorded after the write: fine
    y = tg.concatenate(x, leaf([1.0]))
    x[:] = (x * 2).detach()
    with pytest.raises(RuntimeError, match="concatenate: its argument xs was written"):
        grad(y.sum(), x)
    with pytest.raises(ValueError, match="result of exp cannot be written in place"):
        tg.exp(x)[0] = 1.0


def test_parameters_updated_after_the_recording():
    p = Parameters({"W": (2,), "b": (1,)}, np.array([1.0, 2.0, 3.0]))
    optimizer = tg.SGD(p)
    x = leaf([1.0, 1.0])
    named = leaves(p)
    hidden = x * named["W"]
    loss = hidden.sum()
    optimizer.update(p, p.zeros_like(), rate=0.1)
    for wrt in (named["W"], x):  # also where only x is wanted, whose gradient is W
        with pytest.raises(RuntimeError, match=r"multiply: its argument z was written .* updating"):
            grad(loss, wrt, retain_graph=True)
    with pytest.raises(RuntimeError, match="call backward before"):
        loss.backward()
    # The old leaves lie in the memory that was updated, so a new graph on them is right.
    assert grad((x * named["W"]).sum(), x).tolist() == [1, 2]
    assert grad((x * leaves(p)["W"]).sum(), x).tolist() == [1, 2]


def test_where_a_gradient_may_start():
    x = leaf([1.0, 2.0])
    y = x * x
    with pytest.raises(ValueError, match=r"this result of multiply has shape \(2,\); reduce it"):
        y.backward()
    with pytest.raises(ValueError, match=r"g has shape \(3,\), the result has \(2,\)"):
        grad(y, x, g=np.ones(3))
    with pytest.raises(ValueError, match=r"g has shape \(\), the result has \(2,\)"):
        y.backward(np.ones(()))
    with pytest.raises(TypeError, match=r"must be an array or a Tensor, got 1\.0"):
        y.backward(1.0)
    assert grad(y, x, g=np.array([1.0, 10.0])).tolist() == [2, 40]
    assert grad(leaf([[3.0]]) * x[:1], x).tolist() == [3, 0]  # one element, of any shape
    with pytest.raises(ValueError, match="depends on no tensor"):
        grad(np.float64(3), x)
    with pytest.raises(TypeError, match="returned a float64, expected a Tensor"):
        value_and_grad(lambda x: np.float64(3))(np.ones(2))


def test_the_cotangent_takes_the_dtype_of_the_result():
    x = leaf([1.0, 2.0], np.float32)
    y = x * x
    assert grad(y, y, g=np.ones(2)).dtype == np.float32
    assert grad(x * x, x, g=Tensor(np.ones(2)), create_graph=True).dtype == np.float32


def test_what_grad_can_be_taken_by():
    x, z = leaf([1.0, 2.0]), leaf([1.0, 2.0, 3.0], np.float32)
    dz = grad(x.sum(), z)
    assert dz.tolist() == [0, 0, 0] and dz.dtype == np.float32
    assert grad(x.sum(), z, create_graph=True).numpy().tolist() == [0, 0, 0]
    for wrong in (x.detach(), np.ones(2), [x, 3.0]):
        with pytest.raises(TypeError, match=r"wrt number \d is no tensor that requires a gradient"):
            grad(x.sum(), wrong)


def test_tensors_of_other_things():
    with pytest.raises(TypeError, match="only floats have gradients, got int64"):
        Tensor(np.arange(3), requires_grad=True)
    with pytest.raises(TypeError, match="got a Tensor"):
        Tensor(leaf(1))
    with pytest.raises(TypeError, match="expected an array or a number, got str"):
        Tensor("a")
    with pytest.raises(TypeError, match="does not turn into an array by itself"):
        np.asarray(leaf(1))
    assert Tensor([1, 2]).dtype == np.float32 and Tensor(3).dtype == np.float32
    assert Tensor(np.float64(3)).dtype == np.float64


@pytest.mark.parametrize(("returned", "shown"), [(None, "None"), (2.0, "2.0"), ([1.0], r"\[1.0\]")])
def test_a_partial_that_returns_no_array_is_named(own_ops, returned, shown):
    @op(dz=lambda g, y, z: returned)
    def wrong(z):
        return z * 1

    x = leaf([1.0, 2.0])
    expected = rf"wrong: the partial dz returned {shown}; expected an array of shape \(2,\)"
    with pytest.raises(TypeError, match=expected):
        wrong(x).sum().backward()


def test_zero_is_a_legal_derivative(own_ops):
    @op(dx=lambda g, y, x: 0.0)
    def rounded(x):
        return np.round(x)

    x = leaf([1.2, 2.0])
    assert grad((rounded(x) + x).sum(), x).tolist() == [1, 1]
    assert grad(rounded(x).sum(), x).tolist() == [0, 0]
    assert grad(rounded(x).sum(), x, create_graph=True).numpy().tolist() == [0, 0]


def test_a_leaf_is_copied_and_pickled_as_a_new_leaf():
    x = leaf([1.0, 2.0])
    for other in (copy.copy(x), copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert other.requires_grad and other.is_leaf and other._number > x._number
        assert grad((other * other).sum(), other).tolist() == [2, 4]
    assert copy.copy(x).array is x.array and copy.deepcopy(x).array is not x.array
    for make in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match=r"result of exp cannot be copied or pickled .*detach"):
            make(tg.exp(x))


def test_a_tensor_has_no_subclasses():
    with pytest.raises(TypeError, match="exact type"):

        class Mine(Tensor):
            pass


def test_grad_with_respect_to_the_values_of_a_dict():
    named = {"x": leaf(2), "z": leaf(3)}
    assert grad(named["x"] * named["z"], named.values()) == [3, 2]


def test_out_belongs_to_parameters():
    with pytest.raises(TypeError, match="out= needs parameters that are a Parameters"):
        value_and_grad(lambda x: x.sum())(np.ones(2), out=np.ones(2))


def test_ops_that_are_declared_wrongly(own_ops):
    with pytest.raises(TypeError, match="op area: expected the partials dx, dz, got dx, dw"):

        @op(dx=None, dw=None)
        def area(x, z):
            return x * z

    with pytest.raises(TypeError, match="expected the partials dx, got none"):

        @op()
        def square_root(x):
            return x


@pytest.mark.parametrize("shape", [(3, 2), (2,), (1, 3), (3, 3)])
def test_a_partial_of_a_wrong_shape(own_ops, shape):
    """Also where it has the right number of elements, and a reshape would hide it."""

    @op(dx=lambda g, y, x: np.ones(shape))
    def wrong(x):
        return x * 1

    x = leaf(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"wrong: the partial dx has .*its argument \(2, 3\)"):
        grad(wrong(x).sum(), x)


# Operators.


def test_arrays_and_tensors_in_either_order(backend):
    a = backend.asarray(np.array([2.0, 4.0], np.float32))
    x = Tensor(backend.asarray(np.array([1.0, 2.0], np.float32)), requires_grad=True)
    W = backend.asarray(np.ones((2, 2), np.float32))
    for y, expected in [
        (a + x, [3, 6]), (x + a, [3, 6]), (a - x, [1, 2]), (x - a, [-1, -2]), (a * x, [2, 8]),
        (x * a, [2, 8]), (a / x, [2, 2]), (x / a, [0.5, 0.5]), (a**x, [2, 16]), (x**a, [1, 16]),
        (W @ x, [3, 3]), (x @ W, [3, 3]), (-x, [-1, -2]), (abs(-x), [1, 2]),
    ]:  # fmt: skip
        assert type(y) is Tensor and y.requires_grad and y.dtype == np.float32
        assert y.numpy().tolist() == expected
    scalar = np.float32(2) * x
    assert type(scalar) is Tensor and scalar.dtype == np.float32


def test_comparisons_give_plain_booleans(backend):
    array = type(backend.asarray(np.zeros(2)))
    a = backend.asarray(np.array([2.0, 2.0]))
    x = Tensor(backend.asarray(np.array([1.0, 2.0])), requires_grad=True)
    for y, expected in [
        (x < a, [1, 0]), (a < x, [0, 0]), (x <= a, [1, 1]), (x > 1, [0, 1]), (a >= x, [1, 1]),
        (x == a, [0, 1]), (a == x, [0, 1]), (x != x, [0, 0]),
    ]:  # fmt: skip
        assert type(y) is array and y.dtype == bool
        assert backend.to_numpy(y).tolist() == expected


def test_methods_of_tensors(backend):
    a = random.standard_normal((2, 3, 4))
    x = Tensor(backend.asarray(a), requires_grad=True)
    for y, expected in [
        (x.T, a.T), (x.transpose(), a.T), (x.transpose(1, 0, 2), a.transpose(1, 0, 2)),
        (x.transpose((1, 0, 2)), a.transpose(1, 0, 2)), (x.swapaxes(0, 1), a.swapaxes(0, 1)),
        (x.reshape(6, 4), a.reshape(6, 4)), (x.reshape((4, -1)), a.reshape(4, 6)),
        (x.sum(axis=0), a.sum(axis=0)), (x.mean(axis=(0, 1)), a.mean(axis=(0, 1))),
        (x.max(axis=0, keepdims=True), a.max(axis=0, keepdims=True)), (x.min(), a.min()),
    ]:  # fmt: skip
        # NumPy's own methods; CuPy adds in another order.
        np.testing.assert_allclose(y.numpy(), expected, rtol=1e-12)
    assert len(x) == 2 and [row.shape for row in x] == [(3, 4)] * 2
    assert float(x.detach().sum()) == x.sum().item() and bool(x.sum() < 1e9)
    assert "requires_grad=True" in repr(x) and "op=sum" in repr(x.sum())
    with pytest.raises(TypeError, match="has no length"):
        len(x.sum())


# Derivatives of derivatives.


@pytest.mark.parametrize(
    ("f", "second", "third"),
    [
        (tg.sin, lambda x: -np.sin(x), lambda x: -np.cos(x)),
        (tg.exp, np.exp, np.exp),
        (
            tg.tanh,
            lambda x: -2 * np.tanh(x) / np.cosh(x) ** 2,
            lambda x: (4 * np.sinh(x) ** 2 - 2) / np.cosh(x) ** 4,
        ),
        (tg.log, lambda x: -1 / x**2, lambda x: 2 / x**3),
        (tg.sqrt, lambda x: -(x**-1.5) / 4, lambda x: 3 * x**-2.5 / 8),
        (lambda x: 1 / x, lambda x: 2 / x**3, lambda x: -6 / x**4),
        (lambda x: x**4, lambda x: 12 * x**2, lambda x: 24 * x),
        (
            lambda x: tg.exp(tg.sin(x)),
            lambda x: np.exp(np.sin(x)) * (np.cos(x) ** 2 - np.sin(x)),
            None,
        ),
    ],
)
def test_higher_derivatives(backend, f, second, third):
    a = np.array([0.3, 1.2, 2.5])
    x = Tensor(backend.asarray(a), requires_grad=True)
    d1 = grad(f(x).sum(), x, create_graph=True)
    d2 = grad(d1.sum(), x, create_graph=True)
    np.testing.assert_allclose(d2.numpy(), second(a), rtol=1e-10)  # a dozen roundings
    if third is not None:
        d3 = backend.to_numpy(grad(d2.sum(), x))
        np.testing.assert_allclose(d3, third(a), rtol=1e-10)  # a dozen roundings


def test_a_hessian_of_a_product():
    x, z = leaf(2), leaf(3)
    dx, dz = grad(x * x * z, [x, z], create_graph=True)
    assert grad(dx, [x, z], retain_graph=True) == [6, 4]
    assert grad(dz, [x, z]) == [4, 0]


def test_the_recorded_gradient_is_the_plain_one(backend):
    net = tg.mlp([3, 8, 1], "tanh")
    p = net.initialise(seed=1, dtype=np.float64, backend=backend)
    x = Tensor(backend.asarray(random.standard_normal((5, 3))), requires_grad=True)
    loss = net(leaves(p), x).sum()
    plain = grad(loss, x, retain_graph=True)
    recorded = grad(loss, x, create_graph=True)
    np.testing.assert_array_equal(backend.to_numpy(plain), recorded.numpy())


def gradient_penalty(net, p, x):
    """``mean (|d net / d x| - 1)^2``, as in WGAN-GP."""
    x = Tensor(x, requires_grad=True)
    dx = grad(net(p, x).sum(), x, create_graph=True)
    norm = tg.sqrt((dx * dx).sum(axis=1))
    return ((norm - 1.0) ** 2).mean()


@pytest.mark.parametrize("activation", ["tanh", "softplus", "gelu", "elu", "sigmoid"])
def test_a_gradient_penalty_with_curvature(activation):
    net = tg.mlp([3, 6, 5, 1], activation, biases="uniform")
    p = net.initialise(seed=2, dtype=np.float64)
    x = random.standard_normal((4, 3))
    check_gradients(lambda p: gradient_penalty(net, p, x), p, elementwise=True)


@pytest.mark.parametrize("layer", [BatchNorm(3), LayerNorm(3)])
def test_double_backward_through_normalisation(layer):
    """A layer that takes the deviation for a constant passes first order by luck, never this."""
    x = random.standard_normal((5, 3))
    gamma, beta = 1 + 0.1 * random.standard_normal(3), random.standard_normal(3)

    def f(x, gamma, beta):
        return layer({"gamma": gamma, "beta": beta}, x, training=True)

    check_gradients(f, [x, gamma, beta], order=2, elementwise=True)

    def penalty(gamma, W):
        y = Tensor(x, requires_grad=True)
        h = tg.tanh(layer({"gamma": gamma, "beta": beta}, y @ W, training=True))
        dy = grad(h.sum(), y, create_graph=True)
        return (dy * dy).sum()

    check_gradients(penalty, [gamma, random.standard_normal((3, 3))], elementwise=True)


# value_and_grad.


def test_value_and_grad_keeps_the_layout(backend):
    a = backend.asarray(np.array([1.0, 2.0], np.float32))
    loss, g = value_and_grad(lambda x, k, *, power: ((x * k) ** power).sum())(a, 3.0, power=2)
    assert backend.to_numpy(loss) == 45 and backend.to_numpy(g).tolist() == [18, 36]
    assert type(g) is type(a) and g.dtype == np.float32
    loss, g = value_and_grad(lambda p: (p["x"] * 2).sum())({"x": a, "unused": a})
    assert backend.to_numpy(g["x"]).tolist() == [2, 2]
    assert backend.to_numpy(g["unused"]).tolist() == [0, 0]


def test_value_and_grad_of_parameters(backend):
    p = Parameters({"W": (2, 2), "b": (2,), "c": ()}, backend.asarray(np.arange(7.0)))
    out = p.like(backend.asarray(np.full(7, np.nan)))

    def f(p):
        return (p["W"] * p["W"]).sum() + 3 * p["c"]

    with count_syncs() as syncs:
        loss, g = value_and_grad(f)(p)
        loss, same = value_and_grad(f)(p, out=out)
    assert syncs == []
    assert same is out and g is not out
    for gradient in (g, out):
        assert backend.to_numpy(gradient.flat).tolist() == [0, 2, 4, 6, 0, 0, 3]
    assert backend.to_numpy(loss) == 0 + 1 + 4 + 9 + 18


# Finding NaNs.


def test_stop_at_nonfinite(backend):
    x = Tensor(backend.asarray(np.array([1.0, 0.0, 0.0])), requires_grad=True)
    with np.errstate(all="ignore"):
        with stop_at_nonfinite(), pytest.raises(NonFiniteError, match="log made 2 of 3 numbers"):
            tg.log(x)
        y = tg.sqrt(x).sum()
        with stop_at_nonfinite():
            with pytest.raises(
                NonFiniteError, match=r"the gradient of sqrt made 2 of 3 .* finite ones"
            ):
                y.backward()
            nan = Tensor(backend.asarray(np.array([np.nan])))
            with pytest.raises(NonFiniteError, match=r"add made 1 of 1 .* 1 that w.* so already"):
                nan + 1.0
        tg.log(x)  # outside, nobody looks
    with stop_at_nonfinite():
        (x * x).sum().backward()
        x.astype(np.int64)


# dtypes, on graphs drawn at random.

STEPS = {
    "add": lambda x, z: x + z,
    "subtract": lambda x, z: 0.7 * x - z,
    "multiply": lambda x, z: x * z * 0.5,
    "divide": lambda x, z: x / (2 + z * z),
    "tanh": lambda x, z: tg.tanh(x),
    "sigmoid": lambda x, z: tg.sigmoid(z) * x,
    "softplus": lambda x, z: tg.softplus(x - z),
    "sin": lambda x, z: tg.sin(x),
    "logaddexp": lambda x, z: tg.logaddexp(x, z),
    "matmul": lambda x, z: x @ z.T @ x / 3,
    "mean": lambda x, z: x - z.mean(axis=0),
    "softmax": lambda x, z: tg.softmax(x) * z,
    "index": lambda x, z: x[::-1] + z[:, [1, 0, 0]],
    "reshape": lambda x, z: x.T.reshape(3, 3) + z.sum(axis=1, keepdims=True),
    "power": lambda x, z: x**2 - 1,
    "gelu": lambda x, z: tg.gelu(x),
    "logsumexp": lambda x, z: x - tg.logsumexp(z, axis=1, keepdims=True),
    "variance": lambda x, z: x / tg.sqrt(tg.variance(z, axis=1, keepdims=True) + 0.1),
}

GRAPHS = st.lists(
    st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 9), st.integers(0, 9)),
    min_size=1,
    max_size=8,
)


def run_graph(graph, x, z):
    nodes = [x, z]
    for name, i, j in graph:
        nodes.append(STEPS[name](nodes[i % len(nodes)], nodes[j % len(nodes)]))
    return sum(nodes[2:], 0.0 * x + 0.0 * z)


@settings(max_examples=60)
@given(graph=GRAPHS)
def test_random_graphs_agree_with_finite_differences(graph):
    make = np.random.default_rng(len(graph))
    # 1e-6 for chains such as (((x^2 - 1)^2 - 1)^2 ...), whose values grow with every step.
    inputs = [make.standard_normal((3, 3)) for _ in range(2)]
    check_gradients(lambda x, z: run_graph(graph, x, z), inputs, directions=2, tolerance=1e-6)


@settings(max_examples=60)
@given(graph=GRAPHS)
def test_random_graphs_keep_float32_on_both_backends(graph):
    make = np.random.default_rng(len(graph))
    inputs = [make.standard_normal((3, 3)).astype(np.float32) for _ in range(2)]
    found = []
    for backend in (tg.get_backend("numpy"), STRICT):
        with count_syncs() as syncs:
            xs = [Tensor(backend.asarray(a), requires_grad=True) for a in inputs]
            y = run_graph(graph, *xs)
            gradients = grad(y.sum(), xs)
        assert syncs == []
        assert y.dtype == np.float32 and all(g.dtype == np.float32 for g in gradients)
        found.append([y.numpy(), *(backend.to_numpy(g) for g in gradients)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)  # the same NumPy inside


def test_out_is_refused_where_it_cannot_hold_the_gradients():
    p = Parameters({"W": (2,), "b": ()}, np.ones(3))
    other = Parameters({"W": (1,), "b": (2,)}, np.ones(3))
    f = value_and_grad(lambda p: (p["W"] * p["b"]).sum())
    with pytest.raises(ValueError, match="needs memory of its own"):
        f(p, out=p)
    with pytest.raises(ValueError, match="out needs the layout of the parameters"):
        f(p, out=other)


def test_an_op_may_be_made_again_where_it_was_made():
    """As when the cell of a notebook is run twice."""
    for _ in range(2):

        @op(dx=lambda g, y, x: g * 2.0)
        def doubled(x):
            return x * 2.0

    assert tg.OPS.pop("doubled") is doubled


def test_an_op_of_ones_own_may_have_a_name_that_is_taken():
    """It is what its name says, and the operators go on calling tinygen's."""

    @op(dx=lambda g, y, x, z: g * 10.0, dz=None)
    def add(x, z):
        return x + z + 1.0

    x = leaf(2.0)
    assert add(x, 1.0).item() == 4 and grad(add(x, 1.0), x) == 10
    assert (x + 1.0).item() == 3 and grad(x + 1.0, x) == 1
    assert OPS["add"] is tg.add


def test_the_habits_people_bring():
    net = tg.Sequential(tg.Dense(2, 1))
    p = net.initialise(0)
    x = np.float32([[1, 2], [3, 4]])
    optimizer = tg.SGD(p)
    losses = []
    for _ in range(20):
        named = leaves(p)
        loss = tg.mse(net(named, x), np.float32([[1], [2]]))
        loss.backward()
        optimizer.update(p, {name: t.grad for name, t in named.items()}, rate=0.02)
        losses.append(float(f"{loss:.6f}"))
    assert losses[-1] < 0.2 * losses[0]


def test_a_hook_may_write_into_its_gradient():
    a, b = leaf([1.0]), leaf([1.0])
    a.register_hook(lambda g: g.__imul__(10))  # add hands one array to both
    (a + b).backward(np.array([3.0]))
    assert (a.grad.item(), b.grad.item()) == (30, 3)


def test_a_value_with_a_gradient_is_not_lost_by_writing_it():
    b, w = leaf([1.0, 2.0]), leaf([3.0])
    with pytest.raises(ValueError, match="its gradient would be lost"):
        b[0] = w[0] * 5
    b[0] = w.detach()[0]
    assert b.array.tolist() == [3, 2]


def test_each_thread_records_for_itself():
    results = []

    def elsewhere():
        results.append((leaf([2.0]) * 3).requires_grad)

    with no_grad():
        thread = Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert results == [True]


def test_what_is_no_matrix_is_no_weight():
    with pytest.raises(ValueError, match="affine: x is"):
        tg.affine(leaf(np.ones((2, 2))), leaf(np.ones((2, 2, 2))), leaf(np.ones((2, 2))))


@pytest.mark.parametrize("axis", [3, -4])
def test_stack_refuses_an_axis_that_is_not_there(axis):
    with pytest.raises(ValueError, match="out of range"):
        tg.stack(np.ones((2, 2)), np.ones((2, 2)), axis=axis)


def test_logsumexp_of_infinities():
    assert tg.logsumexp(np.array([-np.inf, 1.0])) == 1
    with np.errstate(divide="ignore"):
        assert tg.logsumexp(np.array([-np.inf, -np.inf])) == -np.inf


def test_cross_entropy_with_a_class_that_is_ruled_out():
    z = leaf([[1.0, -np.inf, 2.0]])
    loss = tg.cross_entropy(z, [0])
    loss.backward()
    assert loss.item() == pytest.approx(np.log(1 + np.e), rel=1e-12)
    np.testing.assert_allclose(z.grad, [[1 / (1 + np.e) - 1, 0, np.e / (1 + np.e)]], rtol=1e-12)
