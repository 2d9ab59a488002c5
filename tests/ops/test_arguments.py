"""What ops are given: axes, lists in the place of arrays, keywords; forward and backward agree."""

from __future__ import annotations

import itertools
import math
import time

import numpy as np
import pytest

import tinygen as tg
from tinygen import Tensor, grad, ops

REDUCTIONS = ("sum", "mean", "max", "min", "logsumexp", "norm", "variance", "std")
OF_ONE_NUMBER = {
    **dict.fromkeys(("sum", "mean", "max", "min", "logsumexp", "norm"), (0.7, 1.0)),
    **dict.fromkeys(("variance", "std", "log_softmax"), (0.0, 0.0)),
    "softmax": (1.0, 0.0),
}


def leaf(backend, x, dtype=np.float64):
    return Tensor(backend.asarray(np.array(x, dtype)), requires_grad=True)


@pytest.mark.parametrize("axis", [None, 0, -1, ()])
@pytest.mark.parametrize("name", OF_ONE_NUMBER)
def test_a_number_has_an_axis_for_every_reduction_and_backend(backend, name, axis):
    """As NumPy's sum and max have it; its mean refuses, and CuPy refuses all."""
    x = leaf(backend, 0.7)
    y = getattr(ops, name)(x, axis=axis)
    value, derivative = OF_ONE_NUMBER[name]
    assert y.shape == () and y.item() == pytest.approx(value, abs=1e-15)  # a rounding
    assert float(grad(y, x)) == pytest.approx(derivative, abs=1e-15)


@pytest.mark.parametrize("name", (*REDUCTIONS, "softmax", "log_softmax", "argmax", "cumsum"))
@pytest.mark.parametrize(("shape", "axis"), [((2, 3), 2), ((2, 3), -3), ((), 1), ((), -2)])
def test_an_axis_out_of_range(backend, name, shape, axis):
    with pytest.raises(IndexError, match="axis"):
        getattr(ops, name)(leaf(backend, np.ones(shape)), axis=axis)


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("axis", [(0, 0), (1, -1), (0, 2), [0, 1], 1.0, "0"])
def test_axes_named_twice_and_what_is_no_axis(backend, name, axis):
    with pytest.raises((ValueError, TypeError, IndexError)):
        getattr(ops, name)(leaf(backend, np.ones((2, 3))), axis=axis)


AXES = (None, 0, 1, -1, -2, (), (0,), (-1,), (0, 1), (1, 0), (0, -1), np.int64(1), (0, 0), 2, True)
CALLS = [
    *((name, {"axis": a, "keepdims": k}) for name in REDUCTIONS for a in AXES for k in (0, 1)),
    *((name, {"axis": a}) for name in ("softmax", "log_softmax", "cumsum") for a in AXES),
    *((name, {"axis": a}) for name in ("squeeze", "expand_dims") for a in AXES),
    *(("transpose", {"axes": a}) for a in (*AXES, (-1, 0), [1, 0])),
    *(("swapaxes", {"axis1": a, "axis2": b}) for a, b in itertools.product((0, 1, -1, 2), (0, -1))),
    *(("reshape", {"shape": s}) for s in (-1, 6, (6,), [3, 2], (-1, 2), (), (0, -1), None)),
    *(("pad", {"widths": w}) for w in (0, 1, (1,), (1, 2), ((1, 2),), [[0, 1], [2, 0]], [[1]])),
    *(("broadcast_to", {"shape": s}) for s in ((4, 2, 3), [2, 3], (2, 3), 3)),
    *(("getitem", {"index": i}) for i in (0, None, ..., (), ((0, 1),), [], True, (slice(None), 0))),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:invalid value", "ignore:divide")
@pytest.mark.parametrize("shape", [(2, 3), (1, 6), (6, 1), (), (1,), (0, 3)])
def test_what_the_forward_pass_accepts_has_a_gradient(backend, shape):
    for name, options in CALLS:
        x = leaf(backend, np.arange(math.prod(shape)).reshape(shape) + 0.5)
        try:
            y = getattr(ops, name)(x, **options)
        except (ValueError, TypeError, IndexError):
            continue
        dx = grad(y, x, g=backend.xp.ones_like(y.array), create_graph=True)
        assert dx.shape == shape, (name, options)
        grad(dx.sum(), x)


def test_concatenate_and_stack_take_one_list(backend):
    a, b = leaf(backend, [1.0, 2.0]), leaf(backend, [3.0, 4.0])
    for join, expected in ((tg.concatenate, [1, 2, 3, 4]), (tg.stack, [[1, 2], [3, 4]])):
        for together in ([a, b], (a, b)):
            y = join(together)
            assert y.numpy().tolist() == expected
            weights = backend.asarray(np.arange(1.0, 5).reshape(y.shape))
            assert backend.to_numpy(grad((y * weights).sum(), b)).tolist() == [3, 4]
    assert tg.concatenate([a]).numpy().tolist() == [1, 2]
    assert tg.stack([a, b], axis=1).numpy().tolist() == [[1, 3], [2, 4]]
    assert np.concatenate([a.numpy(), b.numpy()]).tolist() == [1, 2, 3, 4]
    for join in (tg.concatenate, tg.stack):
        for nothing in ((), ([],)):
            with pytest.raises(ValueError, match=f"{join.__name__}: .*got none"):
                join(*nothing)
        with pytest.raises(TypeError, match=f"{join.__name__}: .* the axis is a keyword, axis=1"):
            join([a, b], 1)
    with pytest.raises(ValueError, match="stack: the arrays need one shape, got float"):
        tg.stack(1.0, 2.0)


@pytest.mark.parametrize("join", [tg.concatenate, tg.stack])
def test_twenty_thousand_parts(join):
    x = Tensor(np.arange(20_000.0), requires_grad=True)
    rows = [Tensor(a.reshape(1), requires_grad=True) for a in x.array]
    y = join(rows)
    np.testing.assert_array_equal(y.numpy().ravel(), x.array)
    gradients = grad(y, rows, g=y.array * 2)
    assert [float(g[0]) for g in gradients] == [2 * i for i in range(20_000)]


def test_concatenation_is_linear_in_the_number_of_parts():
    def seconds(n):
        rows = [Tensor(np.ones(1), requires_grad=True) for _ in range(n)]
        times = []
        for _ in range(3):
            y = tg.concatenate(rows)
            start = time.process_time()
            grad(y, rows, g=y.array)
            times.append(time.process_time() - start)
        return min(times)

    assert seconds(16_000) < 8 * seconds(4_000)  # 4 times as many, and not 16


def test_lists_are_arrays(backend):
    """Of the dtype of the array beside them; by themselves of float32, as in a Tensor."""
    x = leaf(backend, [2.0, 3.0])
    third = 1 / 3
    for y, value, dx in [
        (x ** [1, 2], [2, 9], [1, 6]),
        ([1, 2] ** x, [1, 8], [0, math.log(2) * 8]),
        (x * [third, 1], [2 * third, 3], [third, 1]),
        (tg.multiply((third, 1), x), [2 * third, 3], [third, 1]),
        (tg.where([True, False], x, [5.0, 6.0]), [2, 6], [1, 0]),
        (tg.matmul([[1.0, 2.0]], x), [8], [1, 2]),
        (tg.maximum(x, [2.5, 2.5]), [2.5, 3], [0, 1]),
        (tg.clip(x, [0, 0], [1, 9]), [1, 3], [0, 1]),
        (tg.concatenate(x, [5.0]), [2, 3, 5], [1, 1]),
        (tg.einsum("i,i->i", x, [1, 2]), [2, 6], [1, 2]),
    ]:
        assert y.dtype == np.float64
        np.testing.assert_allclose(y.numpy(), value, rtol=1e-15)  # a rounding: no float32 between
        np.testing.assert_allclose(backend.to_numpy(grad(y.sum(), x)), dx, rtol=1e-15, atol=1e-15)
    assert (leaf(backend, [1, 2], np.float32) * [1, 2]).dtype == np.float32
    for f in (tg.exp, tg.silu, tg.norm, tg.std, tg.squeeze, tg.softmax):
        y = f([1.0, 2.0])
        assert type(y) is not list and y.dtype == np.float32
        np.testing.assert_array_equal(y, f(np.float32([1, 2])))
    assert [part.tolist() for part in tg.split([1, 2], 2)] == [[1], [2]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: tg.exp([x, x]), "exp: .*stack"),
        (lambda x: tg.exp([[1, 2], [3]]), "exp: x is "),
        (lambda x: tg.exp("a"), "exp: x is 'a'; expected an array"),
        (lambda x: tg.matmul(2.0, x), "matmul: x is 2.0, .*a number is no matrix"),
        (lambda x: tg.reshape(3.0, shape=(1,)), "reshape: x is 3.0; "),
        (lambda x: tg.affine(x, 2, 2), "affine: .*W is 2, b is 2; "),
        (lambda x: tg.reshape(x, (2, 1)), "reshape: takes 1 by position, got 2; .* shape"),
        (lambda x: tg.squeeze(x, 0), "squeeze: takes 1 by position, got 2; .* axis"),
        (lambda x: tg.einsum("i,i->i", x), "einsum: .* of 1 operands"),
        (lambda x: tg.einsum(x, "i->i"), "einsum: .* before the operands"),
        (lambda x: tg.gelu(x, approximate="none"), "gelu: .* True or False, got 'none'"),
        (lambda x: tg.pad(x, widths={0: 1}), "pad: .* a pair for each axis, got {0: 1}"),
        (lambda x: tg.split(x, 1.5), "split: expected a number of sections or indices, got 1.5"),
    ],
)
def test_what_is_no_array_is_refused_in_a_sentence(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call(Tensor([1.0, 2.0], requires_grad=True))


@pytest.mark.parametrize(
    "name", (*REDUCTIONS, "softmax", "log_softmax", "cumsum", "concatenate", "stack", "argmax")
)
def test_pytorchs_keywords_are_answered_with_numpys(name):
    x = Tensor(np.ones((2, 3)), requires_grad=True)
    with pytest.raises(TypeError, match=f"^{name}: .*'dim', here it is axis="):
        getattr(ops, name)(x, dim=1)
    if name in REDUCTIONS:
        with pytest.raises(TypeError, match=f"^{name}: .*'keepdim', here it is keepdims="):
            getattr(ops, name)(x, axis=1, keepdim=True)
    if name in ("variance", "std"):
        with pytest.raises(TypeError, match=f"^{name}: .*'correction', here it is ddof="):
            getattr(ops, name)(x, axis=1, correction=1)
    if hasattr(Tensor, name):
        with pytest.raises(TypeError, match=f"^{name}: .*'dim', here it is axis="):
            getattr(x, name)(dim=1)


def test_numpys_functions_lead_to_what_is_put_together_from_ops():
    x = Tensor(np.array([[1.0, 2.0], [4.0, 3.0]]), requires_grad=True)
    for y, expected in (
        (np.clip(x, 2, 3), [[2, 2], [3, 3]]), (np.std(x, axis=1), [0.5, 0.5]),
        (np.stack([x[0], x[1]]), x.array), (np.concatenate([x, x])[2:], x.array),
        (np.cumsum(x), [1, 3, 7, 10]),
    ):  # fmt: skip
        assert y.requires_grad
        np.testing.assert_allclose(y.numpy(), expected, rtol=1e-15)  # a rounding of the root


def test_numpys_functions_take_by_position_what_numpys_do():
    array = np.array([[1.0, 2.0, 4.0], [4.0, 3.0, 1.0]])
    x = Tensor(array, requires_grad=True)
    for f in (
        lambda x: np.sum(x, 0), lambda x: np.mean(x, -1), lambda x: np.max(x, 1),
        lambda x: np.std(x, 0), lambda x: np.var(x, axis=0, ddof=1), lambda x: np.var(x),
        lambda x: np.reshape(x, (3, 2)), lambda x: np.swapaxes(x, 0, 1),
        lambda x: np.transpose(x, (1, 0)), lambda x: np.expand_dims(x, 1),
        lambda x: np.cumsum(x, 1), lambda x: np.split(x, 3, 1)[2], lambda x: np.pad(x, 1),
        lambda x: np.pad(x, ((0, 1), (2, 0)), constant_values=3.0),
        lambda x: np.broadcast_to(x, (2, 2, 3)), lambda x: np.where(array > 2, x, 0.0),
        lambda x: np.clip(x, a_min=2, a_max=3), lambda x: np.linalg.norm(x, axis=1),
        lambda x: np.einsum("ij,kj", x, x), lambda x: np.stack([x, x], axis=1),
    ):  # fmt: skip
        y = f(x)
        assert y.requires_grad
        np.testing.assert_allclose(y.numpy(), f(array), rtol=1e-14)  # of the root
    with pytest.raises(TypeError, match="sum: got an unexpected keyword 'dtype'"):
        np.sum(x, 0, np.float32)
    with pytest.raises(TypeError, match="norm: got an unexpected keyword 'ord'"):
        np.linalg.norm(x, 1)


def test_an_argument_of_an_op_has_no_default():
    """Left out of the call, it would be left out of the call of the partials, too."""
    with pytest.raises(TypeError, match="op scaled: expected the argument z without a default"):

        @tg.op(dx=lambda g, y, x, z: g * z, dz=lambda g, y, x, z: g * x)
        def scaled(x, z=2.0):
            return x * z
