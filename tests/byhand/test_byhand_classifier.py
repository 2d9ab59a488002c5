"""The classifier by hand against finite differences, plain loops, closed forms and paper."""

from __future__ import annotations

import math
from itertools import chain, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strict import STRICT, count_syncs, see_dtypes
from test_byhand_autoencoder import KINKED, MARGIN, PHI, TOLERANCE, slope_along

from tinygen.byhand.checks import DENSE, READS
from tinygen.byhand.classifier import loss_and_grads
from tinygen.parameters import Parameters

LOG3 = math.log(3)


def make(
    widths: list[int],
    classes: int,
    reads: str = "last",
    rng: Any = None,
    dtype: Any = np.float64,
    scale: float = 0.7,
) -> Parameters:
    """Parameters of the layers d -> widths..., and a softmax on them; random or zero."""
    shapes: dict[str, tuple[int, ...]] = {}
    for k, (i, o) in enumerate(pairwise(widths), 1):
        shapes |= {f"W{k}": (i, o), f"b{k}": (o,)}
    L = len(widths)
    read = sum(widths[1:]) if reads == "all" and L > 1 else widths[-1]
    shapes |= {f"W{L}": (read, classes), f"b{L}": (classes,)}
    size = sum(math.prod(shape) for shape in shapes.values())
    flat = np.zeros(size) if rng is None else scale * rng.standard_normal(size)
    return Parameters(shapes, flat.astype(dtype))


def drawn_labels(rng: Any, n: int, classes: int) -> np.ndarray:
    """Rows of all kinds: one class, several, none at all, and rows that count more than once."""
    t = np.eye(classes)[rng.integers(0, classes, n)]
    for row, kind in zip(t, rng.integers(0, 5, n), strict=True):
        if kind == 1:
            row[...] = rng.dirichlet(np.ones(classes))
        elif kind == 2:
            row[...] = 0
        elif kind == 3:
            row *= 2.5
        elif kind == 4:
            row[...] = rng.random(classes)
    return t


def drawn_masks(rng: Any, n: int, activated: list[int], keep: float = 0.75) -> tuple[Any, ...]:
    return tuple((rng.random((n, width)) < keep) / keep for width in activated)


# --- an independent opinion: one number at a time, with Python's own mathematics ---


def walk(p: Any, x: Any, masks: Any, activation: str, linear: bool, reads: str) -> Any:
    """Each image's logits, and what was met before a kink."""
    L, kinks, logits = len(p) // 2, [], []
    for i, row in enumerate(np.asarray(x, float).tolist()):
        said: list[list[float]] = []
        for k in range(1, L + 1):
            if k == L and said:
                row = [*chain(*said)] if reads == "all" else said[-1]
            W, b = p[f"W{k}"], p[f"b{k}"]
            assert len(row) == len(W)
            row = [
                sum(row[j] * float(W[j, o]) for j in range(len(row))) + float(b[o])
                for o in range(len(b))
            ]
            if k < L and not (linear and k == L - 1):
                kinks += row
                row = [PHI[activation](a) for a in row]
                if masks:
                    row = [h * float(m) for h, m in zip(row, masks[k - 1][i], strict=True)]
            said.append(row)
        logits.append(row)
    return logits, kinks


def textbook_loss(
    p: Any,
    x: Any,
    labels: Any,
    masks: Any = (),
    *,
    activation: str,
    linear: bool,
    reads: str,
    weight_decay: float,
) -> float:
    logits, _ = walk(p, x, masks, activation, linear, reads)
    J = 0.0
    for row, t in zip(logits, labels.tolist(), strict=True):
        total = sum(math.exp(a) for a in row)
        J -= sum(share * math.log(math.exp(a) / total) for a, share in zip(row, t, strict=True))
    squares = sum(float(w) ** 2 for name in p if name.startswith("W") for w in p[name].flat)
    return J / len(logits) + weight_decay / 2 * squares


@st.composite
def cases(draw: Any) -> Any:
    """A classifier of any shape, a batch, and every option, away from kinks."""
    width = st.integers(1, 4)
    widths = [draw(st.integers(1, 5)), *draw(st.lists(width, max_size=3))]
    n, classes = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    options = {
        "activation": draw(st.sampled_from(sorted(DENSE))),
        "linear": len(widths) > 1 and draw(st.booleans()),
        "reads": draw(st.sampled_from(READS)),
        "weight_decay": draw(st.sampled_from([0.0, 0.1])),
    }
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    p = make(widths, classes, options["reads"], rng)
    x, labels = rng.random((n, widths[0])), drawn_labels(rng, n, classes)
    activated = widths[1:-1] if options["linear"] else widths[1:]
    masks = drawn_masks(rng, n, activated) if draw(st.booleans()) else ()
    _, kinks = walk(p, x, masks, options["activation"], options["linear"], options["reads"])
    if options["activation"] in KINKED:
        assume(min(map(abs, kinks), default=1) > MARGIN)
    return p, (x, labels, masks), options, rng


@settings(max_examples=150, deadline=None)
@given(cases())
def test_gradient_is_the_slope_of_the_loss_along_any_direction(case: Any) -> None:
    p, data, options, rng = case
    loss, gradients = loss_and_grads(p, *data, **options)
    assert gradients.shapes == p.shapes
    for v in (gradients.flat, rng.standard_normal(p.flat.size)):
        length = np.linalg.norm(v)
        if length == 0:
            continue
        v = v / length
        measured = slope_along(lambda q: loss_and_grads(q, *data, **options)[0], p, v)
        scale = np.linalg.norm(gradients.flat) + abs(loss)  # `measured` has the loss's rounding
        assert abs(measured - gradients.flat @ v) <= TOLERANCE * scale


@settings(max_examples=80, deadline=None)
@given(cases())
def test_loss_is_the_textbook_loss(case: Any) -> None:
    p, data, options, _ = case
    loss, _ = loss_and_grads(p, *data, **options)
    # Rounding of a few hundred float64 operations.
    assert loss == pytest.approx(textbook_loss(p, *data, **options), rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("reads", READS)
@pytest.mark.parametrize("activation", sorted(DENSE))
def test_every_single_entry_of_the_gradient(activation: str, reads: str, linear: bool) -> None:
    rng = np.random.default_rng(3)
    p = make([3, 4, 3, 2], 3, reads, rng)
    x, labels = rng.random((4, 3)), drawn_labels(rng, 4, 3)
    masks = drawn_masks(rng, 4, [4, 3] if linear else [4, 3, 2])
    options: Any = {"activation": activation, "linear": linear, "reads": reads}
    _, kinks = walk(p, x, masks, **options)
    assert min(map(abs, kinks)) > MARGIN  # the seed is chosen for this
    options["weight_decay"] = 0.01
    _, gradients = loss_and_grads(p, x, labels, masks, **options)
    measured = [
        slope_along(lambda q: loss_and_grads(q, x, labels, masks, **options)[0], p, v)
        for v in np.eye(p.flat.size)
    ]
    np.testing.assert_allclose(
        gradients.flat, measured, rtol=TOLERANCE, atol=TOLERANCE * np.abs(measured).max()
    )


# --- paper: the example of docs/derivations/classifier.md ---


def worked_example() -> Any:
    """A relu unit and a linear code of one number, of which the softmax reads both."""
    p = make([2, 1, 1], 2, "all")
    p["W1"][...] = [[1], [1 / 2]]
    p["W2"][...] = [[2]]
    p["b2"][...] = [-3]
    p["W3"][...] = [[0, LOG3], [1, 1]]
    p["b3"][...] = [0, -LOG3]
    options = {"activation": "relu", "linear": True, "reads": "all"}
    return p, np.array([[1.0, 2]]), np.array([[1.0, 0]]), options


EXACT: dict[str, float] = {"rel": 1e-14, "abs": 1e-15}  # rounding of log 3 and a few operations


def test_the_worked_example() -> None:
    p, x, t, options = worked_example()
    loss, g = loss_and_grads(p, x, t, **options)
    assert loss == pytest.approx(math.log(4), **EXACT) and round(float(loss), 3) == 1.386
    assert g["W3"] == pytest.approx(np.array([[-3 / 2, 3 / 2], [-3 / 4, 3 / 4]]), **EXACT)
    assert g["b3"] == pytest.approx(np.array([-3 / 4, 3 / 4]), **EXACT)
    assert g["W2"] == pytest.approx(np.array([[0]]), **EXACT)
    assert g["b2"] == pytest.approx(np.array([0]), **EXACT)
    assert g["b1"] == pytest.approx(np.array([3 / 4 * LOG3]), **EXACT)
    assert g["W1"] == pytest.approx(3 / 4 * LOG3 * np.array([[1], [2]]), **EXACT)
    assert round(3 / 4 * LOG3, 3) == 0.824


def test_the_worked_example_forward() -> None:
    """Its logits 1 and 1 + log 3, by the plain loops, and so its probabilities 1/4 and 3/4."""
    p, x, _, options = worked_example()
    logits, kinks = walk(p, x, (), **options)
    assert logits[0] == pytest.approx([1, 1 + LOG3], **EXACT) and kinks == [2]
    for k, q in enumerate((1 / 4, 3 / 4)):
        loss, _ = loss_and_grads(p, x, np.eye(2)[[k]], **options)
        assert loss == pytest.approx(-math.log(q), **EXACT)


def test_the_exercise_that_reads_the_code_alone() -> None:
    p, x, t, options = worked_example()
    q = make([2, 1, 1], 2)
    q.flat[: p.flat.size - 6] = p.flat[:-6]
    q["W3"][...] = [[1, 1 + LOG3]]
    loss, g = loss_and_grads(q, x, t, **options | {"reads": "last"})
    assert loss == pytest.approx(math.log(4), **EXACT)
    assert g["b3"] == pytest.approx(np.array([-3 / 4, 3 / 4]), **EXACT)
    assert g["b2"] == pytest.approx(np.array([3 / 4 * LOG3]), **EXACT)
    assert g["b1"] == pytest.approx(np.array([3 / 2 * LOG3]), **EXACT)


def test_the_exercise_with_a_label_that_sums_to_two() -> None:
    p, x, _, options = worked_example()
    loss, g = loss_and_grads(p, x, np.ones((1, 2)), **options)
    assert loss == pytest.approx(math.log(4) + math.log(4 / 3), **EXACT)
    assert g["b3"] == pytest.approx(np.array([-1 / 2, 1 / 2]), **EXACT)


# --- closed forms ---


def test_softmax_regression_is_probability_minus_label() -> None:
    rng = np.random.default_rng(0)
    p, n = make([4], 3, rng=rng), 6
    x, t = rng.random((n, 4)), np.eye(3)[rng.integers(0, 3, n)]
    e = np.exp(x @ p["W1"] + p["b1"])
    q = e / e.sum(axis=1, keepdims=True)
    loss, g = loss_and_grads(p, x, t, activation="relu")
    assert loss == pytest.approx(-np.log(q[t == 1]).mean(), rel=1e-14)
    np.testing.assert_allclose(g["W1"], x.T @ (q - t) / n, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(g["b1"], (q - t).mean(axis=0), rtol=1e-12, atol=1e-15)
    assert abs(g["b1"].sum()) < 1e-15  # adding the same to all logits changes nothing


def test_weights_of_zero_lose_the_logarithm_of_the_classes() -> None:
    p = make([4, 3], 7)
    x, t = np.random.default_rng(0).random((5, 4)), np.eye(7)[:5]
    loss, g = loss_and_grads(p, x, t, activation="tanh")
    assert loss == pytest.approx(math.log(7), rel=1e-14)
    assert not g["W1"].any() and not g["b1"].any() and not g["W2"].any()
    np.testing.assert_allclose(g["b2"], 1 / 7 - t.mean(axis=0), rtol=1e-13)


@settings(max_examples=40, deadline=None)
@given(cases(), st.sampled_from([0.0, 1.0, 2.0, 3.5]))
def test_a_row_of_labels_that_sums_to_w_counts_w_times(case: Any, w: float) -> None:
    """The loss is linear in the labels; weight decay is not among what is counted."""
    p, (x, t, masks), options, _ = case
    plain, n = options | {"weight_decay": 0.0}, len(x)
    loss, g = loss_and_grads(p, x, t, masks, **plain)
    first = tuple(m[:1] for m in masks)
    one, of_one = loss_and_grads(p, x[:1], t[:1], first, **plain)
    weighed = t.copy()
    weighed[0] *= w
    other, f = loss_and_grads(p, x, weighed, masks, **plain)
    # Cancellation against the other rows: all are sums of a few numbers of order 1.
    assert other == pytest.approx(loss + (w - 1) * one / n, rel=1e-11, abs=1e-12)
    np.testing.assert_allclose(f.flat, g.flat + (w - 1) * of_one.flat / n, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("reads", READS)
def test_rows_of_zeros_count_nothing_but_in_the_mean(reads: str) -> None:
    rng = np.random.default_rng(1)
    p, options = make([3, 4, 2], 3, reads, rng), {"activation": "elu", "reads": reads}
    x, t = rng.random((6, 3)), np.eye(3)[[0, 1, 2, 0, 1, 2]]
    t[4:] = 0
    loss, g = loss_and_grads(p, x, t, **options)
    other, f = loss_and_grads(p, x[:4], t[:4], **options)
    assert loss == pytest.approx(other * 4 / 6, rel=1e-14)
    np.testing.assert_allclose(g.flat, f.flat * 4 / 6, rtol=1e-12, atol=1e-16)
    x[4:] = 1e6 * rng.standard_normal((2, 3))  # whatever they show
    np.testing.assert_allclose(
        loss_and_grads(p, x, t, **options)[1].flat, g.flat, rtol=1e-12, atol=1e-16
    )


def test_no_labels_at_all_leave_weight_decay_alone() -> None:
    p = make([3, 4], 2, rng=np.random.default_rng(1))
    loss, g = loss_and_grads(
        p, np.ones((2, 3)), np.zeros((2, 2)), activation="tanh", weight_decay=0.3
    )
    squares = (p["W1"] ** 2).sum() + (p["W2"] ** 2).sum()
    assert loss == pytest.approx(0.15 * squares, rel=1e-14)
    for name, array in p.items():
        expected = 0.3 * array if name.startswith("W") else 0 * array
        np.testing.assert_allclose(g[name], expected, rtol=1e-14)


@settings(max_examples=40, deadline=None)
@given(cases())
def test_a_label_split_between_classes_is_as_good_as_rows_with_one_each(case: Any) -> None:
    p, (x, t, masks), options, _ = case
    classes, n = t.shape[1], len(x)
    loss, g = loss_and_grads(p, x, t, masks, **options)
    each = [np.where(np.arange(classes) == k, t, 0) for k in range(classes)]
    rows, masks = np.tile(x, (classes, 1)), tuple(np.tile(m, (classes, 1)) for m in masks)
    # There are `classes` times as many rows, and the loss is a mean over rows.
    other, f = loss_and_grads(p, rows, np.concatenate(each) * classes, masks, **options)
    assert len(rows) == n * classes
    assert other == pytest.approx(loss, rel=1e-12, abs=1e-13)
    np.testing.assert_allclose(f.flat, g.flat, rtol=1e-10, atol=1e-12)


def test_a_batch_of_copies_has_the_gradient_of_one_image() -> None:
    rng = np.random.default_rng(0)
    for reads in READS:
        p, x, t = make([3, 4, 2], 3, reads, rng), rng.random((1, 3)), np.eye(3)[[1]]
        options: Any = {"activation": "gelu", "linear": True, "reads": reads}
        options["weight_decay"] = 0.2
        one = loss_and_grads(p, x, t, **options)
        many = loss_and_grads(p, np.repeat(x, 7, axis=0), np.repeat(t, 7, axis=0), **options)
        assert many[0] == pytest.approx(one[0], rel=1e-13)  # sums in another order
        np.testing.assert_allclose(many[1].flat, one[1].flat, rtol=1e-12, atol=1e-15)


def test_a_dropped_unit_neither_speaks_nor_learns() -> None:
    p, x, t, options = worked_example()
    for mask in (0.0, 2.0):
        q = p.copy()
        q["W1"][...] *= mask  # relu(c a) = c relu(a), and the bias is 0
        loss, g = loss_and_grads(p, x, t, (np.array([[mask]]),), **options)
        other, f = loss_and_grads(q, x, t, **options)
        assert loss == pytest.approx(other, rel=1e-14)
        for name in ("W2", "b2", "W3", "b3"):
            np.testing.assert_allclose(g[name], f[name], rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(g["b1"], mask * f["b1"] if mask else [0], rtol=1e-13)
        assert mask or not g["W1"].any()


def test_masks_of_ones_are_no_masks() -> None:
    rng = np.random.default_rng(2)
    p, x, t = make([3, 4, 2], 3, "all", rng), rng.random((5, 3)), drawn_labels(rng, 5, 3)
    options: Any = {"activation": "tanh", "reads": "all"}
    loss, g = loss_and_grads(p, x, t, **options)
    other, f = loss_and_grads(p, x, t, (np.ones((5, 4)), np.ones((5, 2))), **options)
    assert loss == other and np.array_equal(g.flat, f.flat)


def test_a_linear_layer_is_one_whose_activation_is_none() -> None:
    rng = np.random.default_rng(2)
    x, t = rng.random((5, 3)), drawn_labels(rng, 5, 3)
    for reads in READS:
        p = make([3, 4], 3, reads, rng)
        one = loss_and_grads(p, x, t, activation="tanh", linear=True, reads=reads)
        other = loss_and_grads(p, x, t, activation="none", reads=reads)
        assert one[0] == other[0] and np.array_equal(one[1].flat, other[1].flat)


def test_reading_all_layers_with_weights_of_zero_is_reading_the_last() -> None:
    rng = np.random.default_rng(4)
    p, q = make([3, 4, 2], 3, "all", rng), make([3, 4, 2], 3)
    p["W3"][:4] = 0
    q.flat[: 12 + 4 + 8 + 2] = p.flat[: 12 + 4 + 8 + 2]
    q["W3"][...], q["b3"][...] = p["W3"][4:], p["b3"]
    x, t = rng.random((5, 3)), drawn_labels(rng, 5, 3)
    loss, g = loss_and_grads(p, x, t, activation="tanh", reads="all")
    other, f = loss_and_grads(q, x, t, activation="tanh")
    assert pytest.approx(other, rel=1e-14) == loss
    for name in ("W1", "b1", "W2", "b2", "b3"):
        np.testing.assert_allclose(g[name], f[name], rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(g["W3"][4:], f["W3"], rtol=1e-12, atol=1e-15)
    assert abs(g["W3"][:4]).min() > 1e-6  # yet these weights want to be others


def test_without_a_body_and_with_one_layer_all_is_the_last() -> None:
    rng = np.random.default_rng(4)
    x, t = rng.random((5, 3)), drawn_labels(rng, 5, 2)
    for widths in ([3], [3, 4]):
        p = make(widths, 2, rng=rng)
        one, other = (loss_and_grads(p, x, t, activation="elu", reads=reads) for reads in READS)
        assert one[0] == other[0] and np.array_equal(one[1].flat, other[1].flat)


def test_the_loss_of_softmax_regression_is_convex() -> None:
    """As docs/derivations/classifier.md says of a frozen encoder."""
    rng = np.random.default_rng(6)
    x, t = rng.random((7, 4)), drawn_labels(rng, 7, 3)
    for _ in range(30):
        p, q = (make([4], 3, rng=rng, scale=3) for _ in range(2))
        s = rng.random()
        between = p.like(s * p.flat + (1 - s) * q.flat)
        left, right, middle = (
            loss_and_grads(w, x, t, activation="none")[0] for w in (p, q, between)
        )
        assert middle <= s * left + (1 - s) * right + 1e-12  # rounding


# --- numbers that overflow, dtypes, what is written ---


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extreme_logits(dtype: Any) -> None:
    """Surely right costs nothing; surely wrong costs the distance, with the full push."""
    p = make([1], 3, dtype=dtype)
    p["b1"][...] = [1000, -1000, 0]
    x = np.ones((1, 1), dtype)
    for label, cost, push in ((0, 0, [0, 0, 0]), (1, 2000, [1, -1, 0]), (2, 1000, [1, 0, -1])):
        loss, g = loss_and_grads(p, x, np.eye(3, dtype=dtype)[[label]], activation="none")
        assert loss == cost and g["b1"].tolist() == push


@pytest.mark.parametrize("number", [float, np.float64])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("activation", sorted(DENSE))
def test_dtype_in_is_dtype_out_and_float32_agrees(activation: str, dtype: Any, number: Any) -> None:
    rng = np.random.default_rng(3)
    p = make([6, 5, 3], 4, "all", rng)
    x, t, masks = rng.random((4, 6)), drawn_labels(rng, 4, 4), drawn_masks(rng, 4, [5])
    options: Any = {"activation": activation, "linear": True, "reads": "all"}
    options["weight_decay"] = number(1e-3)
    exact = loss_and_grads(p, x, t, masks, **options)
    cast = [x.astype(dtype), t.astype(dtype), tuple(m.astype(dtype) for m in masks)]
    loss, g = loss_and_grads(p.like(p.flat.astype(dtype)), *cast, **options)
    assert loss.dtype == dtype and loss.shape == () and g.flat.dtype == dtype
    tolerance = 20 * float(np.finfo(dtype).eps)  # a handful of roundings in sums of a few terms
    assert exact[0] == pytest.approx(loss, rel=tolerance)
    assert np.linalg.norm(g.flat - exact[1].flat) <= tolerance * np.linalg.norm(exact[1].flat)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nothing_in_between_has_another_dtype_and_nothing_is_waited_for(dtype: Any) -> None:
    rng = np.random.default_rng(3)
    for reads in READS:
        p = make([6, 5, 3], 4, reads, rng, dtype).to(STRICT)
        arrays = rng.random((4, 6)), drawn_labels(rng, 4, 4)
        x, t = (STRICT.asarray(a, dtype) for a in arrays)
        masks = tuple(STRICT.asarray(m, dtype) for m in drawn_masks(rng, 4, [5]))
        options: Any = {"activation": "gelu", "linear": True, "reads": reads, "weight_decay": 0.1}
        with count_syncs() as syncs, see_dtypes() as seen:
            loss_and_grads(p, x, t, masks, **options)
        assert not syncs and set(seen) == {np.dtype(dtype)}


@settings(max_examples=40, deadline=None)
@given(cases())
def test_what_lay_in_out_never_shows_and_what_was_given_stays(case: Any) -> None:
    p, (x, t, masks), options, _ = case
    inputs = [p.flat, x, t, *masks]
    copies = [array.copy() for array in inputs]
    loss, g = loss_and_grads(p, x, t, masks, **options)
    out = p.like(np.full_like(p.flat, np.nan))
    again, same = loss_and_grads(p, x, t, masks, **options, out=out)
    assert same is out
    assert again == loss and np.array_equal(out.flat, g.flat)
    assert all(np.array_equal(a, b) for a, b in zip(inputs, copies, strict=True))


def test_gradients_of_two_steps_do_not_share_memory() -> None:
    p, x, t, options = worked_example()
    _, first = loss_and_grads(p, x, t, **options)
    kept = first.flat.copy()
    _, second = loss_and_grads(p, 2 * x, t, **options)
    assert np.array_equal(first.flat, kept) and not np.shares_memory(first.flat, second.flat)


def test_writing_into_out_raises_its_version() -> None:
    p, x, t, options = worked_example()
    out = p.zeros_like()
    _, g = loss_and_grads(p, x, t, **options, out=out)
    assert g is out and out.version == 1 and p.version == 0
    _, fresh = loss_and_grads(p, x, t, **options)
    assert fresh.shapes == p.shapes and np.array_equal(fresh.flat, out.flat)


# --- refusals ---

OTHER = make([2, 1], 2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"activation": "swish"}, r"^classifier: unknown activation 'swish'; choose one of none"),
        ({"activation": "maxout"}, r"^classifier: unknown activation 'maxout'; .* softplus$"),
        ({"reads": "first"}, r"^classifier: unknown reads 'first'; choose one of last, all$"),
        ({"reads": "last"}, r"W3 is \(2, 2\); it needs a row for each of the 1 columns"),
        ({"x": np.zeros(2)}, r"^classifier: x needs to be images in rows \(n, d\), .* \(2,\)"),
        ({"x": np.zeros((0, 2))}, r"x needs to be images in rows \(n, d\), got shape \(0, 2\)"),
        ({"x": np.zeros((1, 0))}, r"x needs to be images in rows \(n, d\), got shape \(1, 0\)"),
        ({"x": np.zeros((1, 5))}, r"W1 is \(2, 1\); it needs a row for each of the 5 columns"),
        ({"labels": np.zeros(1)}, r"^classifier: labels are \(1,\); they need to be \(1, 2\)"),
        ({"labels": np.zeros((1, 3))}, r"labels are \(1, 3\); they need to be \(1, 2\)"),
        ({"labels": np.zeros((2, 2))}, r"labels are \(2, 2\); they need to be \(1, 2\)"),
        ({"masks": (np.ones((1, 2)),)}, r"masks are \[\(1, 2\)\]; the activated layers need \[\("),
        ({"masks": (np.ones((1, 1)),) * 2}, r"masks are \[\(1, 1\), \(1, 1\)\]; .* \[\(1, 1\)\]"),
        ({"masks": (np.ones(1),)}, r"masks are \[\(1,\)\]; the activated layers need \[\(1, 1\)\]"),
        ({"linear": False, "masks": (np.ones((1, 1)),)}, r"need \[\(1, 1\), \(1, 1\)\]"),
        ({"out": OTHER}, r"out needs the layout of the parameters, .*W3"),
        ({"out": make([2, 1, 1], 2, "all", dtype=np.float32)}, "out needs the layout"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_was_expected_and_what_came(
    change: Any, words: str
) -> None:
    p, x, t, options = worked_example()
    arguments = {"x": x, "labels": t, **options, **change}
    with pytest.raises(ValueError, match=words) as refused:
        loss_and_grads(p, **arguments)
    assert "\n" not in str(refused.value)


def test_a_softmax_alone_has_no_linear_layer() -> None:
    sentence = "^classifier: there is no layer before the softmax that could be linear$"
    with pytest.raises(ValueError, match=sentence):
        loss_and_grads(make([2], 2), np.ones((1, 2)), np.eye(2)[:1], activation="none", linear=True)


def test_out_must_not_be_the_parameters() -> None:
    p, x, t, options = worked_example()
    for out in (p, p.like(p.flat)):
        with pytest.raises(ValueError, match="needs memory of its own"):
            loss_and_grads(p, x, t, **options, out=out)


@pytest.mark.parametrize("which", ["labels", "masks[0]", "W1"])
def test_dtypes_are_not_mixed(which: str) -> None:
    p, x, t, options = worked_example()
    masks = (np.ones((1, 1)),)
    if which == "W1":
        p = p.like(p.flat.astype(np.float32))
    elif which == "labels":
        t = t.astype(np.int64)
    else:
        masks = (np.ones((1, 1), bool),)
    name = which.replace("[", r"\[").replace("]", r"\]")
    sentence = f"^classifier: x is numpy float64, {name} is numpy .*; they need to be the same$"
    with pytest.raises(TypeError, match=sentence):
        loss_and_grads(p, x, t, masks, **options)


def test_libraries_are_not_mixed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(STRICT.xp, "__name__", "strict", raising=False)
    p, x, t, options = worked_example()
    with pytest.raises(TypeError, match=r"x is numpy float64, labels is strict float64; they need"):
        loss_and_grads(p, x, STRICT.asarray(t), **options)
    with pytest.raises(TypeError, match=r"x is strict float64, labels is numpy float64; they need"):
        loss_and_grads(p, STRICT.asarray(x), t, **options)


@pytest.mark.parametrize(
    "shapes",
    [
        {},
        {"b1": (2,)},
        {"W1": (2, 2)},
        {"W1": (2, 2), "b2": (2,)},
        {"W2": (2, 2), "b2": (2,)},
        {"W1": (2, 2), "b1": (2,), "W3": (2, 2), "b3": (2,)},
        {"W1": (2, 2), "b1": (2,), "scale": (1,)},
        {"encoder.W1": (2, 2), "encoder.b1": (2,)},
    ],
)
def test_names_that_are_no_classifier_are_refused(shapes: Any) -> None:
    p = Parameters(shapes, np.zeros(sum(math.prod(shape) for shape in shapes.values())))
    came = ", ".join(shapes) or "none"
    with pytest.raises(ValueError, match=rf"expected the parameters W1, b1, \.\.\., got {came}$"):
        loss_and_grads(p, np.zeros((1, 2)), np.zeros((1, 2)), activation="none")


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        ("b1", (2,), r"b1 is \(2,\), W1 is \(2, 1\); b1 needs to be \(1,\)"),
        ("W2", (3, 1), r"W2 is \(3, 1\); it needs a row for each of the 1 columns"),
        ("W2", (1,), r"W2 is \(1,\); it needs a row"),
        ("W3", (3, 2), r"W3 is \(3, 2\); it needs a row for each of the 2 columns"),
        ("W3", (2, 3), r"b3 is \(2,\), W3 is \(2, 3\); b3 needs to be \(3,\)"),
    ],
)
def test_sizes_that_do_not_chain_are_refused(name: str, shape: Any, words: str) -> None:
    p, x, t, options = worked_example()
    with pytest.raises(ValueError, match=words):
        loss_and_grads({**p, name: np.zeros(shape)}, x, t, **options)
