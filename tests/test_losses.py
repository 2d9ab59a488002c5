"""Losses: closed forms, extreme logits, refusals, and what is a sum and what is a mean."""

from __future__ import annotations

import warnings
from math import exp, log, log1p

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from strict import STRICT, count_syncs, see_dtypes

import tinygen as tg
from tinygen import Tensor, check_gradients, grad
from tinygen.autograd.operators import raw
from tinygen.losses import (
    bernoulli_nll,
    binary_cross_entropy_with_logits,
    cross_entropy,
    gaussian_kl,
    gaussian_nll,
    l1,
    l2,
    mse,
    one_hot,
)

random = np.random.default_rng(11)


def normal(*shape):
    return random.standard_normal(shape)


def on(backend, x, dtype=np.float64):
    return backend.asarray(np.asarray(x), dtype)


def value_and_gradient(backend, f, x, dtype=np.float64):
    leaf = Tensor(on(backend, x, dtype), requires_grad=True)
    y = f(leaf)
    assert y.shape == ()
    return y.item(), backend.to_numpy(grad(y, leaf))


SOFT = random.dirichlet(np.ones(4), 3)
GREY = random.random((3, 4))
ARGUMENTS = {
    "mse": (mse, normal(3, 4)),
    "bce": (binary_cross_entropy_with_logits, GREY),
    "cross_entropy": (cross_entropy, SOFT),
}
PAIRS = pytest.mark.parametrize(("loss", "t"), ARGUMENTS.values(), ids=ARGUMENTS)


# Values, against formulas one number at a time.


def test_mse_is_the_mean_over_all_elements(backend):
    x, t = normal(3, 4), normal(3, 4)
    expected = sum((a - b) ** 2 for a, b in zip(x.flat, t.flat, strict=True)) / 12
    assert float(mse(on(backend, x), on(backend, t))) == pytest.approx(expected, rel=1e-14)
    y, dx = value_and_gradient(backend, lambda x: mse(x, on(backend, t)), x)
    assert y == pytest.approx(expected, rel=1e-14)
    np.testing.assert_allclose(dx, 2 * (x - t) / 12, rtol=1e-13)


def test_bce_is_the_log_likelihood_of_independent_pixels_summed_over_columns_only(backend):
    z, t = normal(3, 4), random.integers(0, 2, (3, 4))
    p = 1 / (1 + np.exp(-z))
    # The probability of the whole row is a product of probabilities; nats are its logarithm.
    expected = -np.log(np.where(t == 1, p, 1 - p).prod(axis=1)).mean()
    y, dz = value_and_gradient(
        backend, lambda z: binary_cross_entropy_with_logits(z, on(backend, t)), z
    )
    assert y == pytest.approx(expected, rel=1e-13)
    np.testing.assert_allclose(dz, (p - t) / 3, rtol=1e-13)


def test_bce_of_grey_targets_is_least_where_the_probability_is_the_target(backend):
    t = np.array([[0.1, 0.5, 0.9]])
    z = np.log(t / (1 - t))
    y, dz = value_and_gradient(
        backend, lambda z: binary_cross_entropy_with_logits(z, on(backend, t)), z
    )
    assert y == pytest.approx(-(t * np.log(t) + (1 - t) * np.log(1 - t)).sum(), rel=1e-14)
    np.testing.assert_allclose(dz, 0, atol=1e-15)


def test_cross_entropy_is_the_log_of_the_softmax_of_the_right_class(backend):
    z, labels = normal(5, 3), [0, 2, 1, 1, 0]
    expected = [-log(exp(row[k]) / sum(map(exp, row))) for row, k in zip(z, labels, strict=True)]
    y, dz = value_and_gradient(backend, lambda z: cross_entropy(z, labels), z)
    assert y == pytest.approx(sum(expected) / 5, rel=1e-14)
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    p[range(5), labels] -= 1
    np.testing.assert_allclose(dz, p / 5, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("k", [2, 10, 1000])
def test_knowing_nothing_costs_the_log_of_the_number_of_classes(k):
    assert float(cross_entropy(np.zeros((4, k)), [0, 1, 1, k - 1])) == pytest.approx(log(k))
    assert float(binary_cross_entropy_with_logits(np.zeros((4, k)), np.ones((4, k)))) == (
        pytest.approx(k * log(2))
    )


def test_labels_come_as_list_array_any_integers_or_rows(backend):
    z = on(backend, normal(4, 3))
    labels = [2, 0, 1, 2]
    expected = float(cross_entropy(z, labels))
    rows = np.eye(3)[labels]
    for t in (
        tuple(labels),
        np.array(labels),
        np.array(labels, np.uint8),
        backend.asarray(np.array(labels)),
        Tensor(backend.asarray(np.array(labels))),
        rows.tolist(),
        on(backend, rows),
        Tensor(on(backend, rows)),
    ):
        assert float(cross_entropy(z, t)) == expected, type(t)


def test_soft_labels_are_a_mixture_of_hard_ones(backend):
    z = on(backend, normal(1, 3))
    hard = [float(cross_entropy(z, [k])) for k in range(3)]
    soft = float(cross_entropy(z, [[0.2, 0.5, 0.3]]))
    assert soft == pytest.approx(0.2 * hard[0] + 0.5 * hard[1] + 0.3 * hard[2], rel=1e-14)


def test_penalties_are_sums(backend):
    x = np.array([[1.5, -2.0], [0.0, 4.0]])
    y, dx = value_and_gradient(backend, l1, x)
    assert y == 7.5
    np.testing.assert_array_equal(dx, [[1, -1], [0, 1]])
    y, dx = value_and_gradient(backend, l2, x)
    assert y == 0.5 * (2.25 + 4 + 16)
    np.testing.assert_array_equal(dx, x)


@PAIRS
@pytest.mark.parametrize("times", [2, 5])
def test_repeating_the_batch_changes_nothing(loss, t, times):
    """All three are means over the rows."""
    x = normal(3, 4)
    repeated = loss(np.tile(x, (times, 1)), np.tile(t, (times, 1)))
    assert float(repeated) == pytest.approx(float(loss(x, t)), rel=1e-13)


@pytest.mark.parametrize(("loss", "factor"), [(mse, 1), (binary_cross_entropy_with_logits, 3)])
def test_repeating_the_columns_shows_who_sums_over_them(loss, factor):
    x, t = normal(3, 4), GREY
    wide = loss(np.tile(x, (1, 3)), np.tile(t, (1, 3)))
    assert float(wide) == pytest.approx(factor * float(loss(x, t)), rel=1e-13)


# Extreme logits. Warnings are errors in this test run.


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bce_stays_finite_and_goes_on_pulling_at_extreme_logits(backend, dtype):
    z = np.array([[1000.0, -1000.0, 1000.0, -1000.0, 0.0]])
    t = np.array([[0.0, 1.0, 1.0, 0.0, 1.0]])
    y, dz = value_and_gradient(
        backend, lambda z: binary_cross_entropy_with_logits(z, on(backend, t, dtype)), z, dtype
    )
    assert y == pytest.approx(2000 + log(2), rel=1e-6)  # float32 has 7 digits
    np.testing.assert_allclose(dz, [[1, -1, 0, 0, -0.5]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cross_entropy_stays_finite_and_goes_on_pulling_at_extreme_logits(backend, dtype):
    z = [[1000.0, -1000.0, 0.0], [1000.0, -1000.0, 0.0]]
    y, dz = value_and_gradient(backend, lambda z: cross_entropy(z, [1, 0]), z, dtype)
    assert y == 1000  # 2000 nats for the first row, 0 for the second
    np.testing.assert_array_equal(dz, [[0.5, -0.5, 0], [0, 0, 0]])


@pytest.mark.parametrize("z", [-30.0, -10.0, -1.0, 0.0, 3.0, 40.0])
def test_a_pixels_loss_is_right_to_half_a_unit_in_the_last_place_of_one(z):
    y = float(binary_cross_entropy_with_logits(np.float32([[z]]), np.float32([[0]])))
    exact = max(z, 0.0) + log1p(exp(-abs(z)))
    # What rounding 1 + exp(-|z|) may cost, besides the rounding of the result itself.
    assert y == pytest.approx(exact, rel=1.2e-7, abs=6e-8)


logits = hnp.arrays(np.float64, (3, 4), elements=st.floats(-1e4, 1e4))


@given(z=logits, dtype=st.sampled_from([np.float32, np.float64]))
def test_any_logits_give_a_finite_loss_that_is_no_less_than_zero(z, dtype):
    z = z.astype(dtype)
    for loss, t in ((binary_cross_entropy_with_logits, GREY), (cross_entropy, SOFT)):
        leaf = Tensor(z, requires_grad=True)
        y = loss(leaf, t.astype(dtype))
        dz = grad(y, leaf)
        assert np.isfinite(y.array) and y.array >= 0
        # A column pulls by the difference of two probabilities, shared among 3 rows.
        assert np.isfinite(dz).all() and abs(dz).max() <= (1 + 1e-6) / 3


# Refusals.


@PAIRS
def test_n_by_1_against_n_is_refused(backend, loss, t):
    with pytest.raises(ValueError, match=r"\w+ (is|are) \(5, 1\), \w+ (is|are) \(5,\)"):
        loss(on(backend, normal(5, 1)), on(backend, normal(5)))
    with pytest.raises(ValueError, match=r"\w+ (is|are) \(5, 1\), \w+ (is|are) \(5,\)"):
        loss(Tensor(on(backend, normal(5, 1)), requires_grad=True), on(backend, normal(5)))
    with pytest.raises(ValueError, match=r"\w+ (is|are) \(3, 4\), \w+ (is|are) \(1, 4\)"):
        loss(on(backend, normal(3, 4)), on(backend, t[:1]))


@pytest.mark.parametrize(("label", "named"), [(3, "3"), (-1, "-1"), (1000, "1000")])
@pytest.mark.parametrize("where", ["list", "host", "backend"])
def test_a_label_out_of_range_is_refused(backend, label, named, where):
    labels = [0, label, 2]
    if where != "list":
        labels = np.array(labels)
    if where == "backend":
        labels = backend.asarray(labels)
    message = rf"label {named} is out of range; expected 0 \.\. 2"
    with pytest.raises(ValueError, match=message):
        cross_entropy(on(backend, normal(3, 3)), labels)
    with pytest.raises(ValueError, match=message):
        one_hot(labels, 3)


@pytest.mark.parametrize("labels", [[0, 1], [[0], [1], [2]], [0, 1, 2, 0]])
def test_one_integer_a_row_is_needed(backend, labels):
    with pytest.raises(ValueError, match=r"expected logits .* and one integer a row"):
        cross_entropy(on(backend, normal(3, 3)), labels)


def test_logits_without_rows_are_refused(backend):
    with pytest.raises(ValueError, match=r"logits are \(3,\), labels are \(3,\)"):
        cross_entropy(on(backend, normal(3)), [0, 1, 2])


# One-hot.


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_hot_has_a_single_one_in_a_row(backend, dtype):
    labels = np.array([2, 0, 3, 3])
    rows = one_hot(backend.asarray(labels), 5, dtype)
    assert type(rows) is backend.xp.ndarray and rows.dtype == dtype
    np.testing.assert_array_equal(backend.to_numpy(rows), np.eye(5)[labels])


@pytest.mark.parametrize("kind", [np.uint8, np.int8])
def test_one_hot_of_small_integers_with_more_classes_than_they_can_count(kind):
    """The classes 0 .. 299 as uint8 would wrap around, and a row would hold two ones."""
    rows = one_hot(np.array([1, 100], kind), 300)
    np.testing.assert_array_equal(rows, np.eye(300)[[1, 100]])


@pytest.mark.parametrize("labels", [np.float32([0.5, 1]), np.array([True]), np.array([[0], [1]])])
def test_one_hot_of_what_is_no_vector_of_integers_is_refused(labels):
    with pytest.raises(ValueError, match="expected integers"):
        one_hot(labels, 2)


def test_one_hot_of_no_labels():
    assert one_hot(np.zeros(0, int), 3).shape == (0, 3)


# Gradients, dtypes, waiting.


@PAIRS
@pytest.mark.parametrize("order", [1, 2])
def test_gradients_by_both_arguments(loss, t, order):
    assert check_gradients(loss, [normal(3, 4), t], elementwise=True, order=order).checks > 24


def test_gradients_of_what_has_one_argument():
    check_gradients(l1, normal(3, 4), elementwise=True)
    check_gradients(l2, normal(3, 4), elementwise=True, order=2)
    check_gradients(lambda z: cross_entropy(z, [2, 0, 1]), normal(3, 4), elementwise=True, order=2)


@PAIRS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_is_kept_and_nothing_waits(loss, t, dtype):
    x, t = on(STRICT, normal(3, 4), dtype), on(STRICT, t, dtype)
    with count_syncs() as syncs, see_dtypes() as seen:
        leaf = Tensor(x, requires_grad=True)
        y = loss(leaf, t)
        g = grad(y, leaf)
        z = loss(x, t)
    assert y.dtype == z.dtype == g.dtype == dtype
    assert {d for d in seen if d.kind == "f"} == {np.dtype(dtype)}  # nowhere on the way either
    assert syncs == []


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("labels", [[0, 1, 2], [[0.5, 0.25, 0.25]] * 3])
def test_labels_on_the_host_cost_neither_the_dtype_nor_a_wait(dtype, labels):
    z = on(STRICT, normal(3, 3), dtype)
    with count_syncs() as syncs:
        y = cross_entropy(z, labels)
    assert y.dtype == dtype and syncs == []


def test_integers_on_the_device_cost_the_one_wait_that_is_documented():
    z = on(STRICT, normal(3, 3))
    labels = STRICT.asarray(np.array([0, 1, 2]))
    with count_syncs() as syncs:
        cross_entropy(z, labels)
    assert len(syncs) == 1


@pytest.mark.parametrize("penalty", [l1, l2])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_penalties_keep_the_dtype_and_never_wait(penalty, dtype):
    with count_syncs() as syncs:
        leaf = Tensor(on(STRICT, normal(3), dtype), requires_grad=True)
        y = penalty(leaf)
        g = grad(y, leaf)
    assert y.dtype == g.dtype == dtype and syncs == []


def test_losses_of_plain_arrays_record_nothing():
    for loss, t in ARGUMENTS.values():
        assert type(loss(normal(3, 4), t)) is not Tensor


# PyTorch, where it is installed; it is no dependency.


def test_losses_agree_with_pytorch():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # whatever PyTorch has to say at import is not our affair
        torch = pytest.importorskip("torch")
    F = torch.nn.functional
    theirs = {
        "mse": F.mse_loss,
        "bce": lambda z, t: F.binary_cross_entropy_with_logits(z, t, reduction="sum") / len(z),
        "cross_entropy": F.cross_entropy,
    }
    for name, (loss, t) in ARGUMENTS.items():
        x = 3 * normal(3, 4)
        xt = torch.tensor(x, requires_grad=True)
        yt = theirs[name](xt, torch.tensor(t))
        y, dx = value_and_gradient(tg.get_backend("numpy"), lambda x, f=loss, t=t: f(x, t), x)
        # Sums of 12 numbers in float64, in another order.
        assert y == pytest.approx(yt.item(), rel=1e-13)
        dxt = torch.autograd.grad(yt, xt)[0].numpy()
        np.testing.assert_allclose(dx, dxt, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("loss", "shapes"),
    [
        (gaussian_kl, [(4, 1), (4,)]),
        (gaussian_kl, [(4, 3), (4, 1)]),
        (gaussian_nll, [(4, 1), (1,), (4,)]),
        (gaussian_nll, [(4, 3), (1,), (4, 1)]),
        (gaussian_nll, [(4, 1), (1,), (4, 3)]),
        (gaussian_nll, [(3,), (1,), (4, 3)]),
        (gaussian_nll, [(2, 4, 3), (1,), (1, 3)]),
        (gaussian_nll, [(4, 1), (3,), (4, 1)]),
        (gaussian_nll, [(4, 3), (4, 4, 3), (4, 3)]),
        (bernoulli_nll, [(4, 1), (4,)]),
        (bernoulli_nll, [(3,), (4, 3)]),
        (bernoulli_nll, [(2, 4, 3), (1, 3)]),
    ],
)
def test_likelihoods_refuse_what_would_broadcast_to_a_wrong_number(backend, loss, shapes):
    with pytest.raises(ValueError, match=r"gaussian_|bernoulli_"):
        loss(*(on(backend, np.zeros(shape)) for shape in shapes))


@pytest.mark.parametrize("shape", [(1,), (3,), (4, 3), (2, 4, 3)])
def test_one_variance_or_one_a_column_or_one_for_each(shape):
    mean, log_var, x = normal(2, 4, 3), normal(*shape), normal(4, 3)
    everywhere = np.broadcast_to(log_var, mean.shape)
    if shape == (4, 3):  # neither one a column nor one for each
        with pytest.raises(ValueError, match="gaussian_nll: means are"):
            gaussian_nll(mean, log_var, x)
    else:
        np.testing.assert_allclose(
            gaussian_nll(mean, log_var, x), gaussian_nll(mean, everywhere.copy(), x), rtol=1e-14
        )


# Dtypes.


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.bool_])
@pytest.mark.parametrize("name", ["mse", "bce", "bernoulli_nll", "gaussian_kl", "gaussian_nll"])
def test_integers_are_refused_in_every_argument(backend, name, kind):
    """The squared distance of the bytes 100 and 200 is 10000, and wraps around to 16."""
    loss = {"bce": "binary_cross_entropy_with_logits"}.get(name, name)
    x, integers = on(backend, np.ones((2, 3))), on(backend, np.ones((2, 3)), kind)
    n = 3 if name == "gaussian_nll" else 2
    for k in range(n):
        arguments = [x] * n
        arguments[k] = integers
        for first in (arguments[0], Tensor(arguments[0])):
            with pytest.raises(TypeError, match=f"^{loss}: expected floats, got {integers.dtype}"):
                getattr(tg, loss)(first, *arguments[1:])


@pytest.mark.parametrize("penalty", [l1, l2])
def test_penalties_of_integers_are_refused(backend, penalty):
    """Half the square of the byte 20 is 200, and was 72."""
    with pytest.raises(TypeError, match="expected floats, got uint8"):
        penalty(on(backend, [20], np.uint8))


def test_logits_are_floats(backend):
    with pytest.raises(TypeError, match="cross_entropy: expected floats, got int64"):
        cross_entropy(on(backend, np.ones((2, 2)), np.int64), [0, 1])


@pytest.mark.parametrize("loss", [mse, binary_cross_entropy_with_logits, bernoulli_nll])
def test_what_is_no_array_is_refused_in_a_sentence(loss):
    x = normal(2, 3)
    with pytest.raises(TypeError, match="expected an array or a number, got str"):
        loss(x, "1")
    with pytest.raises(ValueError, match=r"output is \(2, 3\), target is \(\)"):
        loss(x, 1.0)


# Labels.


class Series:
    """A column of a table, as pandas has it: an array by request, and with a dtype."""

    def __init__(self, x):
        self.x = np.asarray(x)

    dtype = property(lambda self: self.x.dtype)
    shape = property(lambda self: self.x.shape)

    def __array__(self, dtype=None, copy=None):
        return self.x.astype(dtype or self.x.dtype)


Z, LABELS = normal(4, 3), [2, 0, 1, 2]
RIGHT = -(Z - np.log(np.exp(Z).sum(axis=1, keepdims=True)))[range(4), LABELS].mean()


@pytest.mark.parametrize(
    "labels",
    [LABELS, tuple(LABELS), Series(LABELS), [*map(np.int64, LABELS)], Tensor(np.array(LABELS)),
     np.eye(3)[LABELS], np.eye(3)[LABELS].tolist(), Series(np.eye(3)[LABELS])],
)  # fmt: skip
def test_labels_in_every_form_that_is_clear(labels):
    assert float(cross_entropy(Z, labels)) == pytest.approx(RIGHT, rel=1e-14)
    if np.ndim(raw(labels)) == 1:
        np.testing.assert_array_equal(one_hot(labels, 3), np.eye(3)[LABELS])


@pytest.mark.parametrize(
    "labels",
    [[2.0, 0.0, 1.0, 2.0], ["2", "0", "1", "2"], [True, False, True, True], [2, None, 1, 0], 2,
     "2012", Series([2.0, 0.0, 1.0, 2.0]), np.array([2, 0, 1, 2], object), np.ones((4, 3), int)],
)  # fmt: skip
def test_labels_in_no_form_that_is_clear_are_told_what_they_must_be(labels):
    with pytest.raises(ValueError, match=r"cross_entropy: .* one integer a row, or .* prob"):
        cross_entropy(Z, labels)
    with pytest.raises(ValueError, match=r"one_hot: .*expected integers \(n,\)"):
        one_hot(labels, 3)


def test_labels_with_a_mask_are_refused():
    with pytest.raises(TypeError, match="expected a plain array, got MaskedArray"):
        cross_entropy(Z, np.array(LABELS).view(np.ma.MaskedArray))


@pytest.mark.parametrize("shape", [(3,), (2, 4, 3), ()])
def test_soft_labels_have_two_axes(backend, shape):
    """Of one axis they were divided by the number of classes, of three softmax took the last."""
    z = on(backend, np.zeros(shape))
    with pytest.raises(ValueError, match=r"cross_entropy: logits are .* expected logits"):
        cross_entropy(z, on(backend, np.ones(shape) / 3))


@pytest.mark.parametrize("labels", [[], np.zeros(0, int), np.zeros((0, 3))])
def test_there_is_no_cross_entropy_of_no_rows(labels):
    """It was a division by zero."""
    with pytest.raises(ValueError, match=r"cross_entropy: logits are \(0, 3\), labels are \(0, ?"):
        cross_entropy(np.zeros((0, 3)), labels)
    with pytest.raises(ValueError, match=r"cross_entropy: logits are \(\)"):
        cross_entropy(1.0, labels)


@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:invalid value")
def test_the_gradient_of_the_squared_error_of_nothing_is_nothing(backend):
    y, dx = value_and_gradient(
        backend, lambda x: mse(x, on(backend, np.zeros((0, 3)))), np.ones((0, 3))
    )
    assert np.isnan(float(y)) and dx.shape == (0, 3)


def test_a_list_beside_an_array_is_told_where():
    x = np.zeros((1, 2))
    for call, name in (
        (lambda: binary_cross_entropy_with_logits(x, [[0, 1]]), "binary_cross_entropy_with_logits"),
        (lambda: gaussian_nll(x, [0.0], x), "gaussian_nll"),
    ):
        with pytest.raises(TypeError, match=f"^{name}: expected an array or a number, got list"):
            call()
    with pytest.raises(ValueError, match=r"log_var is \(\); expected \(1,\), \(2,\) or the shape"):
        gaussian_nll(x, 0.0, x)
