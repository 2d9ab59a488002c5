"""The classifier by hand against finite differences, plain loops, closed forms and paper."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from byhand_classifier_checks import (
    EXACT,
    LOG3,
    check_exercise_reading_the_code_alone,
    check_exercise_with_a_label_that_sums_to_two,
    check_extreme_logits,
    check_no_labels,
    check_row_weight,
    check_rows_of_zeros,
    check_weights_of_zero,
    check_worked_example,
    drawn_labels,
    make,
    textbook_loss,
    walk,
    worked_example,
)
from differences import (
    MARGIN,
    NON_SMOOTH,
    TOLERANCE,
    check_directional_derivatives,
    directional_derivative,
)
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strict import STRICT, count_syncs, see_dtypes

from tinygen.byhand.checks import DENSE, READS
from tinygen.byhand.classifier import loss_and_grads
from tinygen.parameters import Parameters


def drawn_masks(rng: Any, n: int, activated: list[int], keep: float = 0.75) -> tuple[Any, ...]:
    return tuple((rng.random((n, width)) < keep) / keep for width in activated)


# --- an independent opinion: one number at a time, with Python's own mathematics ---


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
    if options["activation"] in NON_SMOOTH:
        assume(min(map(abs, kinks), default=1) > MARGIN)
    return p, (x, labels, masks), options, rng


@settings(max_examples=80)
@given(cases())
def test_directional_derivatives_of_the_loss(case: Any) -> None:
    check_directional_derivatives(loss_and_grads, *case)


@settings(max_examples=40)
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
        directional_derivative(lambda q: loss_and_grads(q, x, labels, masks, **options)[0], p, v)
        for v in np.eye(p.flat.size)
    ]
    np.testing.assert_allclose(
        gradients.flat, measured, rtol=TOLERANCE, atol=TOLERANCE * np.abs(measured).max()
    )


# --- paper: the example of docs/derivations/classifier.md ---


def test_the_worked_example() -> None:
    check_worked_example()


def test_the_worked_example_forward() -> None:
    """Its logits 1 and 1 + log 3, by the plain loops, and so its probabilities 1/4 and 3/4."""
    p, x, _, options = worked_example()
    logits, kinks = walk(p, x, (), **options)
    assert logits[0] == pytest.approx([1, 1 + LOG3], **EXACT) and kinks == [2]
    for k, q in enumerate((1 / 4, 3 / 4)):
        loss, _ = loss_and_grads(p, x, np.eye(2)[[k]], **options)
        assert loss == pytest.approx(-math.log(q), **EXACT)


def test_the_exercise_that_reads_the_code_alone() -> None:
    check_exercise_reading_the_code_alone()


def test_the_exercise_with_a_label_that_sums_to_two() -> None:
    check_exercise_with_a_label_that_sums_to_two()


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
    check_weights_of_zero()


@settings(max_examples=40)
@given(cases(), st.sampled_from([0.0, 1.0, 2.0, 3.5]))
def test_a_row_of_labels_that_sums_to_w_counts_w_times(case: Any, w: float) -> None:
    check_row_weight(case, w)


@pytest.mark.parametrize("reads", READS)
def test_rows_of_zeros_count_nothing_but_in_the_mean(reads: str) -> None:
    check_rows_of_zeros(reads)


def test_no_labels_at_all_leave_weight_decay_alone() -> None:
    check_no_labels()


@settings(max_examples=40)
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
    check_extreme_logits(dtype)


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


@settings(max_examples=40)
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
def test_what_does_not_fit_is_refused_with_what_was_expected(change: Any, words: str) -> None:
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
