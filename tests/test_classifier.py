"""The classifier: its gradient, its loss where it is known, and what it learns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from agreement import after_three_steps
from hypothesis import given
from hypothesis import strategies as st
from strict import count_syncs

import tinygen as tg
from tinygen.data import stroke_digits
from tinygen.data.batches import as_floats
from tinygen.losses import one_hot
from tinygen.models.classifier import Classifier
from tinygen.ops import ACTIVATIONS

NUMPY = tg.get_backend("numpy")
SMALL = Classifier(pixels=5, hidden=(4, 3), classes=6, activation="tanh", biases="normal")


def batch(model: Classifier, n: int, seed: int, dtype: Any, backend: Any = NUMPY) -> Any:
    """Parameters, and all that the loss takes in one step."""
    x = np.random.default_rng(seed).random((n, model.pixels)).astype(dtype)
    labels = one_hot(np.arange(n) % model.classes, model.classes, dtype)
    data = model.draw(backend.asarray(x), backend.generator(seed), labels=backend.asarray(labels))
    return (model.initialise(seed, dtype, backend), *data)


@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=3),
    st.sampled_from(sorted(ACTIVATIONS)),
    st.sampled_from([0.0, 0.4]),
    st.integers(1, 5),
    st.integers(0, 10**6),
)
def test_autograd_and_finite_differences_agree(
    hidden: list[int], activation: str, dropout: float, n: int, seed: int
) -> None:
    model = Classifier(5, tuple(hidden), 4, activation, dropout, biases="normal")
    p, x, labels, masks = batch(model, n, seed, np.float64)
    assert len(masks) == (len(hidden) if dropout else 0)
    tg.check_gradients(lambda q: model.loss(q, x, labels, masks), p, tolerance=1e-7)


def test_a_step_is_the_same_on_every_backend_and_waits_for_nothing(backend: Any) -> None:
    p, x, labels, masks = batch(SMALL, 7, 0, np.float32)
    finals = []
    for place in (NUMPY, backend):
        data = (place.asarray(x), place.asarray(labels), tuple(map(place.asarray, masks)))
        step_of = tg.value_and_grad(SMALL.loss)
        finals.append(after_three_steps(step_of, p.copy().to(place), data, place))
    # The same float32 arithmetic in another library: a few roundings, three steps of 1e-3.
    np.testing.assert_allclose(finals[1], finals[0], atol=2e-6)


def test_drawing_waits_for_nothing_and_hands_images_and_labels_on(backend: Any) -> None:
    x = backend.asarray(np.ones((5, 5), np.float32))
    labels = backend.asarray(np.eye(6, dtype=np.float32)[:5])
    with count_syncs() as syncs:
        same_x, same_labels, masks = SMALL.draw(x, backend.generator((0, 1, 7)), 7, labels)
    assert not syncs
    assert same_x is x and same_labels is labels
    assert [mask.shape for mask in masks] == [(5, 4), (5, 3)]
    again, other = (SMALL.draw(x, backend.generator((0, 1, s)), s, labels)[2] for s in (7, 8))
    masks, again, other = ([backend.to_numpy(m) for m in drawn] for drawn in (masks, again, other))
    np.testing.assert_array_equal(masks[0], again[0])
    assert (masks[0] != other[0]).any()
    assert {*np.unique(masks[0])} == {np.float32(0), np.float32(1.25)}


def test_a_network_that_knows_nothing_loses_log_classes(backend: Any) -> None:
    model = Classifier()
    p, x, labels, _ = batch(model, 30, 0, np.float64, backend)
    p.flat[...] = 0
    assert float(model.loss(p, x, labels)) == pytest.approx(np.log(10), rel=1e-12)
    np.testing.assert_allclose(backend.to_numpy(model.probabilities(p, x)), 0.1, rtol=1e-12)


def test_the_loss_is_minus_the_log_of_the_right_probability() -> None:
    p, x, labels, _ = batch(SMALL, 7, 0, np.float64)
    right = SMALL.probabilities(p, x)[np.arange(7), np.arange(7) % 6]
    assert SMALL.loss(p, x, labels) == pytest.approx(-np.log(right).mean(), rel=1e-12)
    soft = np.full((7, 6), 1 / 6)
    expected = -np.log(SMALL.probabilities(p, x)).mean()
    assert SMALL.loss(p, x, soft) == pytest.approx(expected, rel=1e-12)


def test_all_that_it_says_is_what_plain_arithmetic_says(backend: Any) -> None:
    p, x, _, _ = batch(SMALL, 7, 0, np.float64, backend)
    q, rows = {k: backend.to_numpy(v) for k, v in p.items()}, backend.to_numpy(x)
    h = np.tanh(np.tanh(rows @ q["W1"] + q["b1"]) @ q["W2"] + q["b2"])
    z = h @ q["W3"] + q["b3"]
    e = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    found = (SMALL.features(p, x), SMALL.logits(p, x), SMALL.probabilities(p, x))
    for value, expected in zip(found + SMALL.judge(p, x), (h, z, e, e, h), strict=True):
        np.testing.assert_allclose(backend.to_numpy(value), expected, rtol=1e-12)


def test_dropout_is_in_the_loss_of_a_step_and_nowhere_else() -> None:
    p, x, labels, masks = batch(SMALL, 7, 0, np.float64)
    assert SMALL.loss(p, x, labels, masks) != pytest.approx(SMALL.loss(p, x, labels), rel=1e-3)
    kept = tuple(np.ones_like(mask) for mask in masks)
    assert SMALL.loss(p, x, labels, kept) == SMALL.loss(p, x, labels)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_stays(backend: Any, dtype: Any) -> None:
    p, *data = batch(SMALL, 7, 0, dtype, backend)
    loss, gradients = tg.value_and_grad(SMALL.loss)(p, *data)
    assert loss.dtype == gradients.flat.dtype == dtype
    masks, judged = data[2], SMALL.judge(p, data[0])
    assert len(masks) == 2 and {a.dtype for a in (*masks, *judged)} == {np.dtype(dtype)}


def test_the_parameters_have_the_names_of_the_layers() -> None:
    assert Classifier().shapes == {
        "W1": (784, 512), "b1": (512,), "W2": (512, 64), "b2": (64,), "W3": (64, 10), "b3": (10,),
    }  # fmt: skip
    p = Classifier().initialise(3)
    assert p.flat.dtype == np.float32 and p.shapes == Classifier().shapes
    assert p["W1"].std() == pytest.approx((2 / 784) ** 0.5, rel=0.01) and not p["b1"].any()


def test_it_learns_stroke_digits(backend: Any) -> None:
    if backend.name == "cupy":
        pytest.skip("thousands of small steps, which the strict backend has taken already")
    digits = stroke_digits(0, train=600, test=200)
    model = Classifier(hidden=(32, 16), dropout=0.0)
    x = backend.asarray(as_floats(digits.train_images))
    labels = backend.asarray(one_hot(digits.train_labels, 10))
    p = model.initialise(0, backend=backend)
    adam, step_of = tg.Adam(p), tg.value_and_grad(model.loss)
    for step in range(60):
        data = model.draw(x, backend.generator((0, 1, step)), step, labels)
        adam.update(p, step_of(p, *data)[1], 1e-2)
    logits = backend.to_numpy(model.logits(p, backend.asarray(as_floats(digits.test_images))))
    # Measured: 0.02; a guess is wrong in 0.9.
    assert np.mean(logits.argmax(axis=1) != digits.test_labels) < 0.1


@pytest.mark.parametrize(
    ("labels", "came"),
    [(None, "None"), (np.zeros(7, int), r"\(7,\)"), (np.zeros((7, 5)), r"\(7, 5\)"),
     (np.zeros((1, 6)), r"\(1, 6\)")],
)  # fmt: skip
def test_labels_that_are_missing_or_do_not_fit_are_refused(labels: Any, came: str) -> None:
    with pytest.raises(tg.InputError, match=rf"labels of shape \(7, 6\), got {came}"):
        SMALL.draw(np.ones((7, 5)), NUMPY.generator(0), labels=labels)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"hidden": ()}, "needs a hidden layer"),
        ({"classes": 0}, "at least 1"),
        ({"hidden": (5, -1)}, "at least 1"),
        ({"activation": "swish"}, "unknown activation 'swish'"),
        ({"weights": "magic"}, "unknown weights 'magic'"),
        ({"dropout": 1.0}, "below 1"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(tg.InputError, match=sentence):
        Classifier(**wrong)
