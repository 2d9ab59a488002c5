"""What people bring from Python, NumPy and PyTorch does what it says, or is refused."""

from __future__ import annotations

import math
import pickle
import re
import subprocess
import sys
import warnings
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pytest
from strict import STRICT

import tinygen as tg
from tinygen import OPS, Tensor, grad, no_grad, op, value_and_grad


def leaf(x, dtype=np.float64):
    return Tensor(np.array(x, dtype), requires_grad=True)


@pytest.fixture
def own_ops():
    """Ops that a test makes are gone after it."""
    before = dict(OPS)
    yield
    OPS.clear()
    OPS.update(before)


# Copies.


def test_a_leaf_from_another_process_gets_its_gradient():
    """Its number there is higher than that of anything made in a younger process."""
    for _ in range(1000):
        x = leaf([1.0, 2.0])
    program = (
        "import pickle, sys, tinygen as tg\n"
        "x = pickle.load(sys.stdin.buffer)\n"
        "print(tg.grad((x * x * x).sum(), x).tolist())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=pickle.dumps(x), capture_output=True, check=True
    )
    assert done.stdout.decode().strip() == "[3.0, 12.0]"


# Gradients that are recorded belong to whoever asked for them.


def test_a_hook_cannot_write_into_what_others_hold():
    a, b, c = leaf([1.0, 2.0]), leaf([1.0, 2.0]), np.ones(2)
    a.register_hook(lambda g: g.__setitem__(..., 100.0))
    with pytest.raises(ValueError, match="cannot be written in place"):
        grad(a + b, [a, b], g=c, create_graph=True)
    assert c.tolist() == [1, 1]
    da, db = grad(a + b, [a, b], g=c)
    assert da.tolist() == [100, 100] and db.tolist() == [1, 1] and c.tolist() == [1, 1]


def test_no_two_leaves_get_one_gradient():
    x, z = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    (x + z).backward(np.ones(2), create_graph=True)
    assert x.grad is not z.grad
    assert not np.shares_memory(x.grad.array, z.grad.array)


def test_a_hook_on_a_single_number():
    x = leaf(3.0)
    x.register_hook(lambda g: 2 * g)
    assert grad(x * x, x) == 12
    assert grad(x * x, x, create_graph=True).item() == 12
    x.register_hook(lambda g: 5.0)
    with pytest.raises(ValueError, match=r"a hook returned float 5.0 for a gradient that is ndarr"):
        grad(x * x, x)


# Zero is a derivative like any other.


@pytest.mark.parametrize(
    "f", [tg.sign, tg.relu, tg.absolute, lambda x: x * 3.0, lambda x: tg.leaky_relu(x, slope=0.1)]
)
def test_a_gradient_that_is_constant_is_differentiated_again(f):
    x = leaf([-1.0, 2.0])
    dx = grad(f(x).sum(), x, create_graph=True)
    ddx = grad(dx.sum(), x, create_graph=True)
    assert ddx.numpy().tolist() == [0, 0]
    assert grad(ddx.sum(), x).tolist() == [0, 0]


def test_what_is_constant_almost_everywhere_has_gradient_zero():
    x = leaf([-1.0, 2.0])
    assert grad(tg.sign(x).sum(), x).tolist() == [0, 0]
    tg.sign(x).sum().backward()
    assert x.grad.tolist() == [0, 0]
    with no_grad():
        y = tg.sign(x).sum()
    with pytest.raises(ValueError, match="depends on no tensor that requires a gradient"):
        grad(y, x)


# Only real numbers.


@pytest.mark.parametrize("factor", [1j, Fraction(1, 2), np.complex64(2)])
def test_a_value_that_is_no_real_number_is_refused_on_the_way(factor):
    with pytest.raises(TypeError, match=r"multiply: .*expected the result to be an array of real"):
        leaf([1.0, 2.0]) * factor


@pytest.mark.parametrize(
    "array", [np.array([1j]), np.array([None]), np.array(["a"]), np.array(["2026"], "datetime64")]
)
def test_a_tensor_holds_real_numbers(array):
    with pytest.raises(TypeError, match="Tensor: expected an array of real numbers, got "):
        Tensor(array)


def test_requires_grad_is_for_leaves_of_floats():
    x = Tensor(np.arange(3))
    with pytest.raises(TypeError, match="only floats have gradients, got int"):
        x.requires_grad = True
    assert not x.requires_grad
    y = leaf([1.0]) * 2
    for wanted in (True, False):
        with pytest.raises(ValueError, match="requires_grad of the result of multiply"):
            y.requires_grad = wanted
    z = Tensor([1.0, 2.0])
    z.requires_grad = True
    assert grad((z * z).sum(), z).tolist() == [2, 4]


def test_arrays_in_a_list_keep_their_dtype():
    assert Tensor([np.ones(2), np.ones(2)]).dtype == np.float64
    assert Tensor([1.0, 2]).dtype == Tensor([[1, 2]]).dtype == np.float32


# A gradient is not lost without a word.


def test_a_tensor_that_becomes_a_plain_number_warns():
    x, a = leaf([1.0, 2.0]), np.zeros(2)
    with pytest.warns(UserWarning, match="a Tensor became a plain number"):
        a[0] = x[0] * x[0]
    for convert in (float, int, math.exp):
        with pytest.warns(UserWarning, match=r"use x.item\(\)"):
            convert(x[1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert x[1].item() == float(x.detach()[1]) == 2
        with no_grad():
            assert float(x[1]) == 2


def test_several_numbers_are_no_number_and_nothing_is_lost():
    for convert in (float, int):
        with pytest.raises(TypeError):  # warnings are errors here
            convert(leaf([1.0, 2.0]))


def test_the_warning_points_at_the_line_that_lost_it():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        float(leaf(1.0))
    assert seen[0].filename == __file__


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("np.add with out=", lambda a, x: a.__iadd__(x)),
        ("np.add.at", lambda a, x: np.add.at(a, [0, 1], x)),
        ("np.multiply with out=, where=", lambda a, x: np.multiply(a, x, out=a, where=a > 0)),
    ],
)
def test_what_numpy_was_asked_for_is_named(name, call):
    """np.add itself is an op."""
    with pytest.raises(TypeError, match=f"^{re.escape(name)} knows no gradients"):
        call(np.zeros(2), leaf([1.0, 2.0]))


def test_no_array_is_made_of_tensors():
    x, a = leaf([1.0, 2.0]), np.zeros(2)
    for wrong in (lambda: np.array([x[0], x[1]]), lambda: np.asarray(x), lambda: a.__iadd__(x)):
        with pytest.raises(TypeError, match=r"use x.array|x.array for the values alone"):
            wrong()
    assert a.tolist() == [0, 0]


# In place.


def test_a_leaf_is_updated_in_place():
    w = leaf([1.0, 2.0])
    also = w
    for _ in range(3):
        (w * w).sum().backward()
        with no_grad():
            w -= 0.25 * w.grad
    assert w is also and w.requires_grad and w.array.tolist() == [0.125, 0.25]
    with no_grad():
        w += 1
        w *= 2
        w /= 4
        w **= 2
    assert w is also and w.array.tolist() == [0.5625**2, 0.625**2]


def test_a_leaf_is_not_replaced_by_a_result():
    w = leaf([1.0])
    with pytest.raises(ValueError, match="subtract in place would replace a leaf"):
        w -= 0.1


def test_a_part_of_a_leaf_is_not_updated_beside_it():
    """The name would go to a new tensor, and w stay as it is."""
    w = leaf([1.0, 2.0])
    part = w[:1]
    with no_grad():
        with pytest.raises(ValueError, match="add in place cannot write into the result of getit"):
            part += 1
        w[:1] += 1
    assert w.array.tolist() == [2, 2]


def test_a_write_in_place_is_noticed_by_a_graph():
    x = leaf([1.0, 2.0])
    y = (x * x).sum()
    with no_grad():
        x += 1
    with pytest.raises(RuntimeError, match="was written in place"):
        grad(y, x)


def test_sums_may_be_collected_in_place():
    x = leaf([1.0, 2.0])
    total = Tensor(np.float64(0))
    for i in range(2):
        total += x[i] * x[i]
    y = x * 2
    before = y
    y += 1
    assert grad(total + y.sum(), x).tolist() == [4, 6]
    assert before.array.tolist() == [2, 4]
    count = Tensor(np.arange(3))
    with pytest.raises(TypeError, match="divide"):
        count /= 2


def test_a_parameter_is_updated_in_place():
    p = tg.Parameters({"W": (2,), "b": ()}, np.arange(3.0))
    p["W"] -= np.array([1.0, 2.0])
    p["b"] = 7.0
    assert p.flat.tolist() == [-1, -1, 7]
    with pytest.raises(KeyError, match="no parameter 'c'; there are W, b"):
        p["c"] = 1
    with pytest.raises(ValueError, match=r"W \(2,\): got a value of shape \(3,\)"):
        p["W"] = np.ones(3)


# NumPy's functions, torch's habits, other layouts.


@pytest.mark.parametrize("to_backend", [np.asarray, STRICT.asarray], ids=["numpy", "strict"])
def test_numpys_functions_are_the_ops_of_their_names(to_backend):
    a = np.array([[1.0, 2.0], [3.0, 4.0]])
    x = Tensor(to_backend(a), requires_grad=True)
    for y, expected in [
        (np.exp(x), np.exp(a)), (np.sum(x, axis=0), a.sum(axis=0)), (np.mean(x), a.mean()),
        (np.maximum(x, 2.0), np.maximum(a, 2.0)), (np.where(x > 1, x, 0.0), np.where(a > 1, a, 0)),
        (np.float64(2) * x, 2 * a), (np.swapaxes(x, axis1=0, axis2=1), a.T),
    ]:  # fmt: skip
        assert y.requires_grad
        np.testing.assert_allclose(y.numpy(), expected, rtol=1e-12)
    np.testing.assert_array_equal(Tensor(np.isfinite(x)).numpy(), np.isfinite(a))


def test_numpys_other_functions_say_what_to_use():
    x = leaf([1.0, 2.0])
    for function in (np.floor, np.median, np.linalg.inv, np.add.reduce, np.add.accumulate):
        with pytest.raises(TypeError, match=r"knows no gradients; use an op of tinygen, or x.arr"):
            function(x)


def test_arrays_may_be_given_by_name():
    x, t = leaf([1.0, 2.0]), np.array([1.0, 4.0])
    loss = tg.mse(x=x, t=t)
    assert loss.item() == 2 and grad(loss, x).tolist() == [0, -2]
    assert grad(tg.mse(x, t=t), x).tolist() == [0, -2]
    with pytest.raises(TypeError, match=r"mse: got an unexpected keyword 'target'; .*mse\(x"):
        tg.mse(x, target=t)
    with pytest.raises(TypeError, match="mse: missing a required argument: 'x'"):
        tg.mse(t=t)
    with pytest.raises(TypeError, match="concatenate: got an unexpected keyword 'xs'"):
        tg.concatenate(axis=0, xs=[x, x])
    assert tg.einsum("ij->", [[1.0, 2.0], [3.0, 4.0]]) == 10  # a list is one operand


def test_parameters_in_a_list():
    W, b = np.array([1.0, 2.0]), np.float32([3.0])
    loss, (dW, db) = value_and_grad(lambda p: (p[0] * p[1]).sum())([W, b])
    assert loss == 9 and dW.tolist() == [3, 3] and db.tolist() == [3]
    assert dW.dtype == np.float64 and db.dtype == np.float32
    with pytest.raises(TypeError, match="out= needs parameters that are a Parameters"):
        value_and_grad(lambda p: p[0].sum())([W, b], out=[W, b])


class Layer(NamedTuple):
    W: np.ndarray
    b: np.ndarray


@pytest.mark.parametrize("container", [list, tuple, Layer._make])
def test_gradients_come_in_the_container_of_the_parameters(container):
    p = container([np.array([1.0, 2.0]), np.array(3.0)])

    def f(p):
        W, b = (p.W, p.b) if isinstance(p, Layer) else p
        return (W * W).sum() * b

    _, gradients = value_and_grad(f)(p)
    products = [tg.hvp(f, p, p), grad(f(xs := container([leaf(x) for x in p])), xs)]
    for g in [gradients, *products, tg.jacobian(f, p)]:
        assert type(g) is type(p) and g[0].shape == (2,) and g[1].shape == ()
    assert gradients[0].tolist() == [6, 12] and gradients[1] == 5


def test_parameters_in_a_list_of_lists():
    """They were turned into one float32 array, if they fitted."""
    layer = (np.ones((2, 2)), np.ones((2, 2)))
    named = tg.Parameters({"W": (1,)}, np.ones(1))
    for p in ([layer, layer], {"first": layer}, [{"W": layer[0]}], [named]):
        with pytest.raises(TypeError, match="expected an array for each parameter, got a "):
            value_and_grad(lambda p: p[0][0].sum())(p)
    assert Tensor([[np.ones(2)], [np.zeros(2)]]).dtype == np.float64
    assert value_and_grad(lambda x: (x * x).sum())([[1.0, 2.0], [3.0, 4.0]])[1].shape == (2, 2)


def test_a_gradient_inside_of_a_function_is_not_a_constant():
    """d/dx of x times d/dy (y x) is 2 x; as a constant, the inner gradient would give x."""

    def inner(x):
        return value_and_grad(lambda y: y * x)(np.float64(1))[1]

    with pytest.raises(ValueError, match=r"also depends on a Tensor .* create_graph=True"):
        value_and_grad(lambda x: x * inner(x))(np.float64(3))
    with pytest.raises(TypeError, match="expected arrays as parameters, got a Tensor"):
        value_and_grad(lambda x: x * value_and_grad(lambda y: y * y)(x)[0])(np.float64(3))

    def recorded(x):
        y = leaf(1.0)
        return x * grad(y * x, y, create_graph=True)

    assert value_and_grad(recorded)(np.float64(3)) == (9, 6)


def test_an_array_that_is_replaced_after_the_recording():
    x = leaf(3.0)
    y = x * x * x
    x.array = np.array(5.0)
    with pytest.raises(RuntimeError, match="multiply: the array of an argument was replaced"):
        grad(y, x, create_graph=True)


# Ops that students write.


def test_a_forward_that_returns_no_array(own_ops):
    @op(dx=lambda g, y, x: g)
    def total(x):
        return float(x.sum())

    with pytest.raises(TypeError, match=r"total: x is .*expected the result to be an array .* 3.0"):
        total(leaf([1.0, 2.0]))


def test_a_partial_that_is_too_large_is_not_summed_away(own_ops):
    """No argument was broadcast; the engine sums only what was."""

    @op(dx=lambda g, y, x: g * np.ones((2, 2)))
    def doubled(x):
        return x * 2.0

    x = leaf([[1.0], [2.0]])
    with pytest.raises(ValueError, match=r"doubled: the partial dx has shape \(2, 2\), its argum"):
        grad(doubled(x).sum(), x)

    @op(dx=lambda g, y, x, z: np.ones((2, 5)), dz=None)
    def shifted(x, z):
        return x + z

    with pytest.raises(ValueError, match=r"shifted: the partial dx has shape \(2, 5\)"):
        grad(shifted(x, np.ones((2, 3))).sum(), x)


@pytest.mark.parametrize(
    ("partial", "message"),
    [
        (lambda g, x: g, r"op half: expected dx\(g, y, x, \*, by\), got dx\(g, x\)"),
        (lambda g, y, x: g, r"op half: expected dx\(g, y, x, \*, by\), got dx\(g, y, x\)"),
        (2.0, r"op half: expected dx\(g, y, x, \*, by\), got 2.0"),
    ],
)
def test_a_partial_of_another_form_is_told_where_it_is_written(own_ops, partial, message):
    def half(x, *, by=2):
        return x / by

    with pytest.raises(TypeError, match=message):
        op(dx=partial)(half)
    with pytest.raises(TypeError, match="op: expected the partials by name, as in @op"):
        op(half)
    op(dx=np.multiply)(lambda x: x)  # its signature is unknown


def test_what_is_no_tensor_and_no_function_is_named(own_ops):
    with pytest.raises(TypeError, match="expected a Tensor, such as a loss, got a function"):
        grad(lambda x: x, leaf(1.0))
    with pytest.raises(TypeError, match="value_and_grad: expected a function, got a Tensor"):
        value_and_grad(leaf(1.0))
    with pytest.raises(ValueError, match=r"at a single number, this leaf has shape \(2,\)"):
        grad(leaf([1.0, 2.0]), leaf(1.0))
    with pytest.raises(TypeError, match=r"^relu: relu\(\) missing 1 required"):
        tg.relu()
    with pytest.raises(TypeError, match=r"got a tuple$"):
        op(dx=None)(lambda x: (x, x))(leaf(np.ones(30)))


@pytest.mark.parametrize("dtype", ["complex128", "str", "m8"])
def test_a_partial_that_is_no_real_number(own_ops, dtype):
    """It would be converted to floats: of a complex number, without its imaginary part."""

    @op(dx=lambda g, y, x: g.astype(dtype))
    def same(x):
        return x * 1.0

    with pytest.raises(TypeError, match=r"same: the partial dx returned \(2,\) .* real numbers"):
        grad(same(x := leaf([1.0, 2.0])).sum(), x)


def test_a_cotangent_that_is_no_real_number():
    x = leaf([1.0, 2.0])
    with pytest.raises(TypeError, match=r"cotangent g must be of real numbers, got \(2,\) c"):
        grad(x * x, x, g=np.array([1j, 2]))


def test_a_partial_that_leaves_the_graph(own_ops):
    """Its own derivative would be 0; or an array is asked for, and a Tensor returned."""

    @op(dx=lambda g, y, x: np.multiply(2.0 * getattr(g, "array", g), getattr(x, "array", x)))
    def cut(x):
        return x * x

    x = leaf([1.0, 2.0])
    assert grad(cut(x).sum(), x).tolist() == [2, 4]
    with pytest.raises(TypeError, match=r"cut: the partial dx returned \(2,\) .* expected a Te"):
        grad(cut(x).sum(), x, create_graph=True)

    @op(dx=lambda g, y, x: g * leaf(2.0))
    def doubled(x):
        return x * 2.0

    with pytest.raises(TypeError, match=r"doubled: the partial dx returned Tensor .* expected an "):
        grad(doubled(x).sum(), x)


def test_a_partial_of_another_library(own_ops):
    @op(dx=lambda g, y, x: np.full(2, 2.0))
    def doubled(x):
        return x * 2.0

    assert grad(doubled(x := leaf([1.0, 2.0])).sum(), x).tolist() == [2, 2]
    x = Tensor(STRICT.asarray(np.ones(2)), requires_grad=True)
    with pytest.raises(TypeError, match=r"doubled: the partial dx returned \(2,\) float64; expec"):
        grad(doubled(x).sum(), x)


def test_a_forward_that_returns_a_tensor(own_ops):
    @op(dx=lambda g, y, x: g)
    def same(x):
        return Tensor(x)

    with pytest.raises(TypeError, match=r"same: x is .*expected the result to be an array of real"):
        same(leaf([1.0, 2.0]))
    with pytest.raises(TypeError, match=r"leaky_relu: .*expected the result to be an array"):
        tg.leaky_relu(leaf([1.0, 2.0]), slope=leaf(0.5))
