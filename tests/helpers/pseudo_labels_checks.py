"""Checks of a step with pseudo-labels, against its loss in plain arithmetic."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from agreement import relative
from strict import count_syncs

import tinygen as tg
from tinygen import optim
from tinygen.models import Classifier
from tinygen.training import PseudoLabelLearner
from tinygen.training.learners.pseudo_labels import THRESHOLD

NUMPY = tg.get_backend("numpy")
MODEL = Classifier(
    pixels=4, hidden=(5,), classes=3, activation="tanh", dropout=0.3, latent=2, reads="all",
    input_noise=0.2, weight_decay=0.01, biases="normal",
)  # fmt: skip
CLEAN = replace(MODEL, dropout=0.0, input_noise=0.0)
SOFTMAX = Classifier(pixels=4, hidden=(), classes=3, dropout=0.0)
"""Softmax regression, whose probabilities its biases give if its weights are 0."""
IMAGES = np.random.default_rng(0).integers(0, 256, (9, 2, 2), dtype=np.uint8)
ROWS = IMAGES.reshape(9, 4) / 255
LABELS = np.eye(3)[np.arange(9) % 3]
OTHERS = np.random.default_rng(1).integers(0, 256, (34, 2, 2), dtype=np.uint8)
"""Images without labels."""
RATE = 0.5


def learner_of(
    model: Classifier,
    gradients: str = "by-hand",
    place: Any = NUMPY,
    dtype: Any = np.float64,
    optimizer: Any = optim.SGD,
    batch_size: int = 6,
    ramp_up: int = 4,
    labels: np.ndarray = LABELS,
) -> PseudoLabelLearner:
    """A learner whose average is another classifier; both are sure of some images."""
    p, other = (model.initialise(seed, np.float64) for seed in (19, 37))
    for q in (p, other):
        q["W1"][...] *= 2
        q[[*q.shapes][-2]][...] *= 6
    p = p.to(place, dtype)
    images, labels = place.asarray(IMAGES), place.asarray(labels, dtype)
    learner = PseudoLabelLearner(
        model, p, optimizer, model.gradients(gradients), images, labels,
        batch_size=batch_size, ramp_up=ramp_up, decay=0.9,
    )  # fmt: skip
    learner.average.flat[...] = place.asarray(other.flat, dtype)
    return learner


def data_of(learner: PseudoLabelLearner, step: int = 0, dtype: Any = np.float64) -> Any:
    """What a step takes, drawn on the host."""
    x = (OTHERS[:10].reshape(10, 4) / 255).astype(dtype)
    return learner.draw(x, NUMPY.generator((0, 1, step)), step)


def sent(data: Any, place: Any) -> Any:
    x, seen, labels, masks, weight = data
    return (*map(place.asarray, (x, seen, labels)), tuple(map(place.asarray, masks)), weight)


# An independent opinion: E3, in plain arithmetic.


def log_q(p: Any, x: Any, masks: Any = ()) -> Any:
    """Of `MODEL`, by hand: one layer of tanh, a linear code, and a softmax that reads both."""
    h = np.tanh(x @ p["W1"] + p["b1"]) * (masks[0] if masks else 1)
    z = np.concatenate([h, h @ p["W2"] + p["b2"]], axis=1) @ p["W3"] + p["b3"]
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


def own_labels(average: Any, x: Any) -> Any:
    """Of the first step, with a prior of 1/3 each, and a decay of 0.9."""
    q = np.exp(log_q(average, x))
    q = q / (0.9 + 0.1 * 3 * q.mean(axis=0))
    return (q / q.sum(axis=1, keepdims=True) >= THRESHOLD).astype(float)


def expected_loss(p: Any, data: Any, own: Any, size: int = 6) -> float:
    _, seen, labels, masks, weight = data
    said = log_q(p, seen, masks)
    of_labelled, of_others = -(labels * said[:size]).sum(axis=1), -(own * said[size:]).sum(axis=1)
    squares = sum((p[name] ** 2).sum() for name in ("W1", "W2", "W3"))
    return of_labelled.mean() + weight * of_others.mean() + 0.005 * squares


# What a step draws.


def check_labelled_images_first() -> None:
    learner = learner_of(CLEAN, batch_size=50)
    x = OTHERS.reshape(34, 4) / 255
    same, seen, labels, masks, _ = learner.draw(x, NUMPY.generator(3), 0)
    assert same is x and masks == ()
    assert seen.shape == (84, 4) and labels.shape == (50, 3)
    np.testing.assert_array_equal(seen[50:], x)
    for row, label in zip(seen[:50], labels, strict=True):
        (k,) = np.flatnonzero((row == ROWS).all(axis=1))
        np.testing.assert_array_equal(label, LABELS[k])


def check_labelled_images_are_drawn_alike() -> None:
    learner = learner_of(CLEAN, batch_size=900)
    found = np.zeros(9)
    for seed in range(10):
        _, seen, _, _, _ = learner.draw(ROWS[:1], NUMPY.generator((4, seed)), 0)
        found += (seen[:900, None] == ROWS).all(axis=2).sum(axis=0)
    assert found.sum() == 9000
    # Five standard deviations of a fraction of 1/9 in 9000 draws.
    assert abs(found - 1000).max() < 5 * (9000 * (1 / 9) * (8 / 9)) ** 0.5


def check_noise_of_all_rows() -> None:
    learner = learner_of(replace(MODEL, hidden=(40,)))
    x, seen, _, masks, _ = data_of(learner)
    np.testing.assert_array_equal(x, OTHERS[:10].reshape(10, 4) / 255)
    assert all((row != ROWS).all() for row in seen[:6]) and (seen[6:] != x).all()
    assert (seen[6:] - x).std() == pytest.approx(0.2, rel=0.3)  # of 40 numbers
    ((mask),) = masks
    assert mask.shape == (16, 40) and {*np.unique(mask)} == {0, 1 / 0.7}
    assert (mask[:6] == 0).any() and (mask[6:] == 0).any()


def check_weight_of_the_unlabelled() -> None:
    learner = learner_of(CLEAN, ramp_up=4)
    weights = [data_of(learner, step)[-1] for step in range(7)]
    assert weights == [0.25, 0.5, 0.75, 1, 1, 1, 1] and all(type(w) is float for w in weights)
    assert data_of(learner_of(CLEAN, ramp_up=1))[-1] == 1


# What it does with it.


def check_gradient_of_both_means(gradients: str, step: int) -> None:
    """With plain descent, how far the parameters moved is the gradient that moved them."""
    learner = learner_of(MODEL, gradients)
    average, p = learner.average.copy(), learner.parameters.copy()
    data = data_of(learner, step)
    own = own_labels(average, data[0])
    assert own.sum(axis=0).tolist() == [2, 2, 1]  # of half of them it is sure
    figures = learner.step(data, RATE)
    assert set(figures) == set(PseudoLabelLearner.figures) == {"loss", "sure"}
    assert figures["loss"] == pytest.approx(expected_loss(p, data, own), rel=1e-12)
    assert figures["sure"] == pytest.approx(own.sum() / 10, rel=1e-14)
    moved = (p.flat - learner.parameters.flat) / RATE
    directions = np.random.default_rng(0).standard_normal((6, p.flat.size))
    for v in directions:
        h = 1e-5 * v
        up, down = (expected_loss(p.like(p.flat + s * h), data, own) for s in (1, -1))
        # 1e-10 of the step's square and 1e-11 of rounding, on derivatives of order 1.
        assert v @ moved == pytest.approx((up - down) / 2e-5, rel=1e-7, abs=1e-7)


def check_pseudo_labels_of_the_average(gradients: str) -> None:
    learner = learner_of(MODEL, gradients)
    average = learner.average.copy()
    x, seen, *_ = data = data_of(learner, 5)
    own = own_labels(average, x)
    for other in (own_labels(learner.parameters, x), own_labels(average, seen[6:])):
        assert (own != other).any()  # else nothing here could be told apart
        assert expected_loss(learner.parameters, data, own) != pytest.approx(
            expected_loss(learner.parameters, data, other), rel=1e-3
        )
    p = learner.parameters.copy()
    loss = learner.step(data, RATE)["loss"]
    assert loss == pytest.approx(expected_loss(p, data, own), rel=1e-12)


def check_average_after_the_step(gradients: str) -> None:
    learner = learner_of(MODEL, gradients)
    before = learner.average.flat.copy()
    learner.step(data_of(learner), RATE)
    # The first step keeps a tenth of what the average was.
    expected = 0.1 * before + 0.9 * learner.parameters.flat
    np.testing.assert_allclose(learner.average.flat, expected, rtol=1e-12, atol=1e-14)
    assert learner.steps == 1


def certain(q: float, gradients: str, **options: Any) -> PseudoLabelLearner:
    """A softmax on nothing, whose average gives class 1 the probability q."""
    learner = learner_of(SOFTMAX, gradients, **options)
    average = learner.average
    average.flat[...] = 0
    average["b1"][1] = np.log(2 * q / (1 - q))
    predicted = SOFTMAX.probabilities(average, ROWS)
    np.testing.assert_allclose(predicted[:, 1], q, rtol=1e-12)
    # After the first step they are the labels' frequencies, which leave it as it is.
    learner.frequencies[...] = (1 / 3 - 0.1 * predicted[0]) / 0.9
    return learner


def check_threshold(gradients: str, q: float, sure: float) -> None:
    assert THRESHOLD == 0.95
    learner = certain(q, gradients, ramp_up=1)
    x, seen, labels, _, _ = data = data_of(learner)
    p = learner.parameters.copy()
    figures = learner.step(data, RATE)
    assert figures["sure"] == sure
    labelled = SOFTMAX.loss(p, seen[:6], labels)
    others = SOFTMAX.loss(p, x, np.eye(3)[[1] * 10])
    assert figures["loss"] == pytest.approx(labelled + sure * others, rel=1e-12)


def check_alignment(gradients: str) -> None:
    """Of labels in the ratio 1 : 2 : 3, and predictions that are the same for all images."""
    learner = learner_of(SOFTMAX, gradients, labels=np.eye(3)[[0, 1, 1, 2, 2, 2] * 2][:9])
    prior, q = np.array([2, 4, 3]) / 9, np.array([0.02, 0.87, 0.11])

    def step() -> float:
        learner.average.flat[...] = 0
        learner.average["b1"][...] = np.log(q)
        return float(learner.step(data_of(learner, 3), RATE)["sure"])

    np.testing.assert_allclose(learner.frequencies, prior, rtol=1e-12)
    for steps in (1, 2, 3):
        step()
        left = 0.9**steps
        expected = left * prior + (1 - left) * q
        np.testing.assert_allclose(learner.frequencies, expected, rtol=1e-12)
    # A class that is predicted half as often as there are labels of it, the others twice as often.
    twice = prior * [2, 0.5, 2]
    learner.frequencies[...] = (twice - 0.1 * q) / 0.9
    assert step() == 1  # 1.74 / (0.01 + 1.74 + 0.055) is 0.964
    # What is predicted of every image says nothing of any.
    q = np.array([0.002, 0.996, 0.002])
    learner.frequencies[...] = q
    assert step() == 0  # it is as if the labels' frequencies had been predicted


def check_a_class_without_labels(gradients: str) -> None:
    """It is never a pseudo-label, however sure of it the average is; nor is 0 divided by 0."""
    learner = learner_of(SOFTMAX, gradients, labels=np.eye(3)[np.arange(9) % 2])
    learner.average.flat[...] = 0
    learner.average["b1"][...] = (-1000, -3, 0)
    learner.frequencies[0] = 0
    figures = learner.step(data_of(learner, 3), RATE)
    assert figures["sure"] == 1 and np.isfinite(figures["loss"])  # of class 1
    learner.average["b1"][...] = (-1000, -1000, 0)
    with np.errstate(all="raise", under="ignore"):
        figures = learner.step(data_of(learner, 3), RATE)
    assert figures["sure"] == 0 and np.isfinite(figures["loss"])  # nothing is left of class 2


# By hand and by autograd.


def after_steps(gradients: str, place: Any, dtype: Any, steps: int = 3) -> Any:
    """Parameters and average on the host; nothing was waited for on the way."""
    learner = learner_of(MODEL, gradients, place, dtype, optim.Adam)
    drawn = [sent(data_of(learner_of(MODEL, dtype=dtype), s, dtype), place) for s in range(steps)]
    totals: Any = 0.0
    with count_syncs() as syncs:
        for data in drawn:
            figures = learner.step(data, 1e-3)
            totals = totals + figures["loss"] + figures["sure"]
    assert not syncs
    assert {a.dtype for a in (*figures.values(), learner.parameters.flat)} == {np.dtype(dtype)}
    vectors = (learner.parameters.flat, learner.average.flat, totals)
    return [place.to_numpy(v) for v in vectors]


def check_by_hand_after_three_steps(dtype: str, tolerance: float) -> None:
    by_hand, by_autograd = (after_steps(k, NUMPY, dtype) for k in ("by-hand", "autograd"))
    # The gradients differ by rounding, which Adam magnifies where they are small.
    for one, other in zip(by_hand, by_autograd, strict=True):
        assert relative(one, other) < tolerance
