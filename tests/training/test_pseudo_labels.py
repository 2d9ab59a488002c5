"""Learning from few labels: what a step is made of, recomputed, and that it goes on where it was.

The loss that it goes down is (E3) of docs/derivations/classifier.md: two means, each over its own
kind of images.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pseudo_labels_checks import (
    MODEL,
    NUMPY,
    OTHERS,
    RATE,
    ROWS,
    SOFTMAX,
    after_steps,
    certain,
    check_a_class_without_labels,
    check_alignment,
    check_average_after_the_step,
    check_by_hand_after_three_steps,
    check_gradient_of_both_means,
    check_labelled_images_are_drawn_alike,
    check_labelled_images_first,
    check_noise_of_all_rows,
    check_pseudo_labels_of_the_average,
    check_threshold,
    check_weight_of_the_unlabelled,
    data_of,
    learner_of,
)
from running import before_each_step, press_at, rows_without_time
from strict import STRICT, count_syncs

import tinygen as tg
from tinygen import optim
from tinygen.backend.numpy_backend import adam_numpy
from tinygen.byhand.classifier import loss_and_grads
from tinygen.models import Classifier
from tinygen.training import (
    Diverged,
    Interrupted,
    Plan,
    Progress,
    PseudoLabelLearner,
    RunDir,
    Trainer,
)
from tinygen.training.learners.pseudo_labels import THRESHOLD

BOTH_KINDS = pytest.mark.parametrize("gradients", ["autograd", "by-hand"])


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither for the disk nor for numba's threads, as in test_trainer.py."""
    monkeypatch.setattr("os.fsync", lambda file: None)
    monkeypatch.setattr(NUMPY, "_adam", adam_numpy)


# What a step draws.


def test_the_labelled_images_stand_above_the_others_with_their_own_labels() -> None:
    check_labelled_images_first()


def test_each_labelled_image_is_drawn_as_often_as_any_other() -> None:
    check_labelled_images_are_drawn_alike()


def test_all_rows_get_noise_and_the_clean_images_are_there_too() -> None:
    check_noise_of_all_rows()


def test_a_draw_depends_on_nothing_but_its_seed_and_waits_for_nothing(backend: Any) -> None:
    learner = learner_of(MODEL, place=backend, dtype=np.float32)
    x = backend.asarray(ROWS, np.float32)
    with count_syncs() as syncs:
        draws = [learner.draw(x, backend.generator((0, 1, s)), s) for s in (7, 7, 8)]
    assert not syncs
    hosts = [[backend.to_numpy(a) for a in (d[1], d[2], *d[3])] for d in draws]
    for first, same, other in zip(*hosts, strict=True):
        assert first.dtype == np.float32
        np.testing.assert_array_equal(first, same)
        assert (first != other).any()


def test_the_weight_of_the_others_rises_in_a_line_to_1() -> None:
    check_weight_of_the_unlabelled()


# What it does with it.


@BOTH_KINDS
@pytest.mark.parametrize("step", [0, 5])
def test_a_step_descends_the_gradient_of_both_means(gradients: str, step: int) -> None:
    check_gradient_of_both_means(gradients, step)


@BOTH_KINDS
def test_pseudo_labels_are_the_averages_on_images_without_noise(gradients: str) -> None:
    check_pseudo_labels_of_the_average(gradients)


@BOTH_KINDS
def test_the_average_follows_after_the_step(gradients: str) -> None:
    check_average_after_the_step(gradients)


@pytest.mark.parametrize(
    ("q", "sure"), [(0.5, 0), (THRESHOLD - 1e-6, 0), (THRESHOLD + 1e-6, 1), (1 - 1e-9, 1)]
)
@BOTH_KINDS
def test_a_confident_prediction_counts_as_a_label(gradients: str, q: float, sure: float) -> None:
    check_threshold(gradients, q, sure)


@BOTH_KINDS
def test_predictions_are_aligned_with_the_labels_frequencies(gradients: str) -> None:
    check_alignment(gradients)


@BOTH_KINDS
def test_a_class_without_labels_is_no_pseudo_label(gradients: str) -> None:
    check_a_class_without_labels(gradients)


@BOTH_KINDS
def test_images_without_a_confident_prediction_change_nothing(gradients: str) -> None:
    learner = certain(0.5, gradients)
    p, data = learner.parameters.copy(), data_of(learner)
    learner.step(data, RATE)
    _, g = loss_and_grads(p, data[1][:6], data[2], **SOFTMAX.terms)
    moved = p.flat - learner.parameters.flat
    np.testing.assert_allclose(moved, RATE * g.flat, rtol=1e-12, atol=1e-15)


@BOTH_KINDS
def test_a_step_does_not_write_to_its_inputs(gradients: str) -> None:
    learner = learner_of(MODEL, gradients)
    images, labels = learner.images.copy(), learner.labels.copy()
    x, seen, of_seen, masks, _ = data = data_of(learner)
    before = [a.tobytes() for a in (x, seen, of_seen, *masks)]
    learner.step(data, RATE)
    assert [a.tobytes() for a in (x, seen, of_seen, *masks)] == before
    np.testing.assert_array_equal(learner.images, images)
    np.testing.assert_array_equal(learner.labels, labels)


# By hand, by autograd, and on every backend.


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 1e-4)])
def test_by_hand_and_autograd_agree_after_three_steps(dtype: str, tolerance: float) -> None:
    check_by_hand_after_three_steps(dtype, tolerance)


@BOTH_KINDS
def test_a_step_is_the_same_on_every_backend_and_waits_for_nothing(
    backend: Any, gradients: str
) -> None:
    host, there = (after_steps(gradients, place, np.float32) for place in (NUMPY, backend))
    # The same float32 arithmetic in another library: a few roundings, three steps of 1e-3.
    for one, other in zip(there, host, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=2e-6)


def test_watched_is_the_same_by_autograd() -> None:
    learner = learner_of(MODEL, "by-hand", ramp_up=3)
    watched = learner.watched()
    assert type(watched) is PseudoLabelLearner and watched.gradients is not learner.gradients
    assert watched.parameters is learner.parameters and watched.optimizer is learner.optimizer
    data, ends = data_of(learner, 1), []
    assert all(
        np.array_equal(a, b) for a, b in zip(data[1:3], data_of(watched, 1)[1:3], strict=True)
    )
    assert data_of(watched, 1)[-1] == data[-1] == 2 / 3
    for one in (learner, learner_of(MODEL, "by-hand").watched(), learner_of(MODEL, "autograd")):
        one.step(data, RATE)
        ends.append(one.parameters.flat)
    np.testing.assert_allclose(ends[1], ends[0], rtol=1e-11, atol=1e-13)  # rounding
    np.testing.assert_array_equal(ends[1], ends[2])


# As the loop trains it.

EPOCHS, BATCH = 3, 8
PER_EPOCH = 5  # the last batch has but two images
STEPS = EPOCHS * PER_EPOCH


class Run:
    """A run on few labels, as an example makes it."""

    def __init__(
        self, folder: Path, gradients: str = "by-hand", model: Classifier = MODEL, **changes: Any
    ) -> None:
        dtype, place = changes.pop("dtype", np.float32), changes.pop("place", NUMPY)
        rate, optimizer = changes.pop("rate", 1e-2), changes.pop("optimizer", optim.Adam)
        self.place, run_dir = place, RunDir(folder)
        run_dir.open()
        self.learner = learner_of(model, gradients, place, dtype, optimizer, ramp_up=STEPS)
        plan = Plan(EPOCHS, BATCH, 3, 5, optim.linear(rate, STEPS), {})
        quiet = Progress(EPOCHS, {}, quiet=True)
        self.trainer = Trainer(self.learner, plan, run_dir, quiet, place)
        self.state = self.trainer.state

    def resume(self) -> Run:
        self.trainer.restore()
        return self

    def fit(self, each: Any = None) -> Run:
        if each:
            before_each_step(self.learner, each)
        self.trainer.fit(self.place.asarray(OTHERS), dict)
        return self

    @property
    def end(self) -> Any:
        """All that must be the same, bit for bit."""
        vectors = self.learner.vectors.items()
        bits = {name: self.place.to_numpy(v).tobytes() for name, v in vectors}
        return bits, self.learner.steps, rows_without_time(self.state.history)


@BOTH_KINDS
def test_a_run_that_is_stopped_at_every_step_ends_the_same(tmp_path: Path, gradients: str) -> None:
    straight = Run(tmp_path / "straight", gradients).fit().end
    assert set(straight[0]) == {"parameters", "m", "v", "average", "frequencies"}
    assert straight[1] == STEPS
    for step in range(STEPS):
        run = Run(tmp_path / "often", gradients)
        with pytest.raises(Interrupted, match=f"stopped after step {step + 1} of {STEPS}$"):
            (run.resume() if step else run).fit(press_at({step}))
    assert Run(tmp_path / "often", gradients).resume().fit().end == straight


def test_what_the_average_was_decides_how_a_run_goes_on(tmp_path: Path) -> None:
    """So it must be among what is saved."""
    straight = Run(tmp_path / "straight").fit().end
    run = Run(tmp_path / "other")
    with pytest.raises(Interrupted):
        run.fit(press_at({6}))
    run = Run(tmp_path / "other").resume()
    run.learner.average.flat[...] = 0
    assert run.fit().end[0]["parameters"] != straight[0]["parameters"]


def test_the_history_has_the_loss_and_the_fraction_of_confident_images(tmp_path: Path) -> None:
    run = Run(tmp_path).fit()
    for row in run.state.history:
        assert set(row) == {"epoch", "step", "train_loss", "train_sure", "rate", "seconds"}
        assert 0 < row["train_sure"] < 1


def test_the_checkpoint_gives_the_average_back(tmp_path: Path) -> None:
    """It is what the run is evaluated by."""
    run = Run(tmp_path).fit()
    trained = tg.load(tmp_path)
    assert trained.model == MODEL
    average, last = run.learner.average.flat, run.learner.parameters.flat
    assert trained.parameters.flat.tobytes() == average.tobytes() != last.tobytes()


@BOTH_KINDS
def test_a_run_on_the_strict_backend_is_deterministic_and_resumes(
    tmp_path: Path, gradients: str
) -> None:
    straight = Run(tmp_path / "straight", gradients, place=STRICT).fit().end
    run = Run(tmp_path / "stopped", gradients, place=STRICT)
    with pytest.raises(Interrupted):
        run.fit(press_at({7}))
    resumed = Run(tmp_path / "stopped", gradients, place=STRICT).resume()
    assert resumed.fit().end == straight


@BOTH_KINDS
def test_nan_stops_a_run_and_names_the_op(tmp_path: Path, gradients: str) -> None:
    wild = replace(MODEL, activation="relu", weight_decay=0.0, dropout=0.0)
    run = Run(tmp_path, gradients, wild, rate=1e30, optimizer=optim.SGD)
    with pytest.raises(Diverged, match=r"became (nan|inf): at step \d, affine made") as error:
        run.fit()
    assert error.value.checkpoint == tmp_path / "checkpoint.npz"
    saved = Run(tmp_path, gradients, wild, optimizer=optim.SGD).resume().learner
    assert np.isfinite(saved.parameters.flat).all()
    assert np.isfinite(saved.average.flat).all()


def test_it_learns_what_four_labels_cannot_teach() -> None:
    """Two clouds, each a long thin arc, with a label near each of its ends."""
    random = np.random.default_rng(0)
    turn = np.pi * random.random(200)
    side = np.arange(200) % 2
    x = np.where(side, 1 - np.cos(turn), np.cos(turn))
    y = np.where(side, 0.5 - np.sin(turn), np.sin(turn))
    points = np.stack([x, y], axis=1) + 0.05 * random.standard_normal((200, 2))
    chosen = [int(np.argmin(abs(turn - at) + 9 * (side != k))) for k in (0, 1) for at in (0.3, 2.8)]
    labels = np.eye(2)[side[chosen]]
    model = Classifier(2, (16,), 2, "tanh", dropout=0.0, input_noise=0.1)
    errors = []
    for ramp_up in (10**9, 50):  # as good as without the others, and with them
        p = model.initialise(0, np.float64)
        learner = PseudoLabelLearner(
            model, p, optim.Adam, model.gradients("by-hand"), points[chosen], labels,
            batch_size=4, ramp_up=ramp_up, decay=0.95,
        )  # fmt: skip
        for step in range(600):
            data = learner.draw(points, NUMPY.generator((0, step)), step)
            learner.step(data, 3e-2)
        predicted = model.probabilities(learner.average, points).argmax(axis=1)
        errors.append(np.mean(predicted != side))
    assert errors[0] > 0.2 and errors[1] < 0.02  # 0.295 and 0 were measured
