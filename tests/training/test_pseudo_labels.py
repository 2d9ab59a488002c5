"""Learning from few labels: what a step is made of, recomputed, and that it goes on where it was.

The loss that it goes down is (E3) of docs/derivations/classifier.md: two means, each over its own
kind of images.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from agreement import gradient_of, relative
from strict import STRICT, count_syncs
from test_trainer import press_at, rows_without_time

import tinygen as tg
from tinygen import optim
from tinygen.backend.numpy_backend import adam_numpy
from tinygen.byhand.classifier import loss_and_grads
from tinygen.models import Classifier
from tinygen.training import Diverged, FewLabels, Interrupted, Plan, Progress, Record, State, fit
from tinygen.training.learners.pseudo_labels import SURE

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
BOTH_KINDS = pytest.mark.parametrize("gradients", ["autograd", "by-hand"])


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither for the disk nor for numba's threads, as in tests/training/test_trainer.py."""
    monkeypatch.setattr("os.fsync", lambda file: None)
    monkeypatch.setattr(NUMPY, "_adam", adam_numpy)


def learner_of(
    model: Classifier,
    gradients: str = "by-hand",
    place: Any = NUMPY,
    dtype: Any = np.float64,
    size: int = 6,
    rising: int = 4,
) -> FewLabels:
    of = gradient_of(model, loss_and_grads, gradients)
    images, labels = place.asarray(IMAGES), place.asarray(LABELS, dtype)
    return FewLabels(model, of, images, labels, size, rising)


def begin(
    model: Classifier,
    place: Any = NUMPY,
    dtype: Any = np.float64,
    optimizer: Any = optim.SGD,
    decay: float = 0.9,
) -> State:
    """A state whose average is another classifier; both are sure of some images."""
    p, other = (model.initialise(seed, np.float64) for seed in (19, 37))
    for q in (p, other):
        q["W1"][...] *= 2
        q[[*q.shapes][-2]][...] *= 5
    p = p.to(place, dtype)
    averaged: Any = optim.Averaged(optimizer(p), p, decay)
    averaged.average.flat[...] = place.asarray(other.flat, dtype)
    return State(p, averaged)


def data_of(learner: FewLabels, step: int = 0, dtype: Any = np.float64) -> Any:
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
    return (np.exp(log_q(average, x)) >= 0.9).astype(float)


def expected_loss(p: Any, data: Any, own: Any, size: int = 6) -> float:
    _, seen, labels, masks, weight = data
    said = log_q(p, seen, masks)
    of_labelled, of_others = -(labels * said[:size]).sum(axis=1), -(own * said[size:]).sum(axis=1)
    squares = sum((p[name] ** 2).sum() for name in ("W1", "W2", "W3"))
    return of_labelled.mean() + weight * of_others.mean() + 0.005 * squares


# What a step draws.


def test_the_labelled_images_stand_above_the_others_with_their_own_labels() -> None:
    learner = learner_of(CLEAN, size=50)
    x = OTHERS.reshape(34, 4) / 255
    same, seen, labels, masks, _ = learner.draw(x, NUMPY.generator(3), 0)
    assert same is x and masks == ()
    assert seen.shape == (84, 4) and labels.shape == (50, 3)
    np.testing.assert_array_equal(seen[50:], x)
    for row, label in zip(seen[:50], labels, strict=True):
        (k,) = np.flatnonzero((row == ROWS).all(axis=1))
        np.testing.assert_array_equal(label, LABELS[k])


def test_each_labelled_image_is_drawn_as_often_as_any_other() -> None:
    learner = learner_of(CLEAN, size=900)
    found = np.zeros(9)
    for seed in range(10):
        _, seen, _, _, _ = learner.draw(ROWS[:1], NUMPY.generator((4, seed)), 0)
        found += (seen[:900, None] == ROWS).all(axis=2).sum(axis=0)
    assert found.sum() == 9000
    # Five deviations of a share of 1/9 in 9000 draws.
    assert abs(found - 1000).max() < 5 * (9000 * (1 / 9) * (8 / 9)) ** 0.5


def test_all_rows_are_disturbed_and_the_clean_images_are_kept() -> None:
    learner = learner_of(replace(MODEL, hidden=(40,)))
    x, seen, _, masks, _ = data_of(learner)
    np.testing.assert_array_equal(x, OTHERS[:10].reshape(10, 4) / 255)
    assert all((row != ROWS).all() for row in seen[:6]) and (seen[6:] != x).all()
    assert (seen[6:] - x).std() == pytest.approx(0.2, rel=0.3)  # of 40 numbers
    ((mask),) = masks
    assert mask.shape == (16, 40) and {*np.unique(mask)} == {0, 1 / 0.7}
    assert (mask[:6] == 0).any() and (mask[6:] == 0).any()


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
    learner = learner_of(CLEAN, rising=4)
    weights = [data_of(learner, step)[-1] for step in range(7)]
    assert weights == [0.25, 0.5, 0.75, 1, 1, 1, 1] and all(type(w) is float for w in weights)
    assert data_of(learner_of(CLEAN, rising=1))[-1] == 1


# What it does with it.


@BOTH_KINDS
@pytest.mark.parametrize("step", [0, 5])
def test_a_step_goes_down_the_slope_of_both_means(gradients: str, step: int) -> None:
    """With plain descent, how far the parameters moved is the gradient that moved them."""
    learner, state = learner_of(MODEL, gradients), begin(MODEL)
    average, p = state.optimizer.average.copy(), state.parameters.copy()
    data = data_of(learner, step)
    own = own_labels(average, data[0])
    assert own.sum(axis=0).tolist() == [2, 2, 1]  # of half of them it is sure
    figures = learner.step(state, data, RATE)
    assert set(figures) == set(FewLabels.figures) == {"loss", "sure"}
    assert figures["loss"] == pytest.approx(expected_loss(p, data, own), rel=1e-12)
    assert figures["sure"] == pytest.approx(own.sum() / 10, rel=1e-14)
    moved = (p.flat - state.parameters.flat) / RATE
    directions = np.random.default_rng(0).standard_normal((6, p.flat.size))
    for v in directions:
        h = 1e-5 * v
        up, down = (expected_loss(p.like(p.flat + s * h), data, own) for s in (1, -1))
        # 1e-10 of the step's square and 1e-11 of rounding, on slopes of order 1.
        assert v @ moved == pytest.approx((up - down) / 2e-5, rel=1e-7, abs=1e-7)


@BOTH_KINDS
def test_it_is_the_average_that_names_the_images_and_it_sees_them_clean(gradients: str) -> None:
    learner, state = learner_of(MODEL, gradients), begin(MODEL)
    average = state.optimizer.average.copy()
    x, seen, *_ = data = data_of(learner, 5)
    own = own_labels(average, x)
    for other in (own_labels(state.parameters, x), own_labels(average, seen[6:])):
        assert (own != other).any()  # else nothing here could be told apart
        assert expected_loss(state.parameters, data, own) != pytest.approx(
            expected_loss(state.parameters, data, other), rel=1e-3
        )
    p = state.parameters.copy()
    loss = learner.step(state, data, RATE)["loss"]
    assert loss == pytest.approx(expected_loss(p, data, own), rel=1e-12)


@BOTH_KINDS
def test_the_average_follows_after_the_step(gradients: str) -> None:
    learner, state = learner_of(MODEL, gradients), begin(MODEL)
    before = state.optimizer.average.flat.copy()
    learner.step(state, data_of(learner), RATE)
    # The first step keeps a tenth of what the average was.
    expected = 0.1 * before + 0.9 * state.parameters.flat
    np.testing.assert_allclose(state.optimizer.average.flat, expected, rtol=1e-12, atol=1e-14)
    assert state.optimizer.steps == 1


def certain(q: float) -> State:
    """A softmax on nothing, whose average gives class 1 the probability q."""
    state = begin(SOFTMAX)
    average = state.optimizer.average
    average.flat[...] = 0
    average["b1"][1] = np.log(2 * q / (1 - q))
    np.testing.assert_allclose(SOFTMAX.probabilities(average, ROWS)[:, 1], q, rtol=1e-12)
    return state


@pytest.mark.parametrize(
    ("q", "sure"), [(0.5, 0), (SURE - 1e-6, 0), (SURE + 1e-6, 1), (1 - 1e-9, 1)]
)
@BOTH_KINDS
def test_who_is_sure_enough_counts_as_if_labelled(gradients: str, q: float, sure: float) -> None:
    assert SURE == 0.9
    learner, state = learner_of(SOFTMAX, gradients, size=6, rising=1), certain(q)
    x, seen, labels, _, _ = data = data_of(learner)
    p = state.parameters.copy()
    figures = learner.step(state, data, RATE)
    assert figures["sure"] == sure
    labelled = SOFTMAX.loss(p, seen[:6], labels)
    others = SOFTMAX.loss(p, x, np.eye(3)[[1] * 10])
    assert figures["loss"] == pytest.approx(labelled + sure * others, rel=1e-12)


@BOTH_KINDS
def test_images_of_which_nobody_is_sure_change_nothing(gradients: str) -> None:
    learner, state = learner_of(SOFTMAX, gradients), certain(0.5)
    p, data = state.parameters.copy(), data_of(learner)
    learner.step(state, data, RATE)
    _, g = loss_and_grads(p, data[1][:6], data[2], **SOFTMAX.terms)
    moved = p.flat - state.parameters.flat
    np.testing.assert_allclose(moved, RATE * g.flat, rtol=1e-12, atol=1e-15)


@BOTH_KINDS
def test_what_comes_in_stays_what_it_was(gradients: str) -> None:
    learner, state = learner_of(MODEL, gradients), begin(MODEL)
    images, labels = learner.images.copy(), learner.labels.copy()
    x, seen, of_seen, masks, _ = data = data_of(learner)
    before = [a.tobytes() for a in (x, seen, of_seen, *masks)]
    learner.step(state, data, RATE)
    assert [a.tobytes() for a in (x, seen, of_seen, *masks)] == before
    np.testing.assert_array_equal(learner.images, images)
    np.testing.assert_array_equal(learner.labels, labels)


# By hand, by autograd, and on every backend.


def after_steps(gradients: str, place: Any, dtype: Any, steps: int = 3) -> Any:
    """Parameters and average on the host; nothing was waited for on the way."""
    learner = learner_of(MODEL, gradients, place, dtype)
    state = begin(MODEL, place, dtype, optim.Adam)
    drawn = [sent(data_of(learner_of(MODEL, dtype=dtype), s, dtype), place) for s in range(steps)]
    totals: Any = 0.0
    with count_syncs() as syncs:
        for data in drawn:
            figures = learner.step(state, data, 1e-3)
            totals = totals + figures["loss"] + figures["sure"]
    assert not syncs
    assert {a.dtype for a in (*figures.values(), state.parameters.flat)} == {np.dtype(dtype)}
    vectors = (state.parameters.flat, state.optimizer.average.flat, totals)
    return [place.to_numpy(v) for v in vectors]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 1e-4)])
def test_by_hand_and_autograd_are_at_one_place_after_three_steps(
    dtype: str, tolerance: float
) -> None:
    by_hand, by_autograd = (after_steps(k, NUMPY, dtype) for k in ("by-hand", "autograd"))
    # The gradients differ by rounding, which Adam magnifies where they are small.
    for one, other in zip(by_hand, by_autograd, strict=True):
        assert relative(one, other) < tolerance


@BOTH_KINDS
def test_a_step_is_the_same_on_every_backend_and_waits_for_nothing(
    backend: Any, gradients: str
) -> None:
    host, there = (after_steps(gradients, place, np.float32) for place in (NUMPY, backend))
    # The same float32 arithmetic in another library: a few roundings, three steps of 1e-3.
    for one, other in zip(there, host, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=2e-6)


def test_watched_is_the_same_by_autograd() -> None:
    learner = learner_of(MODEL, "by-hand", size=6, rising=3)
    watched = learner.watched()
    assert type(watched) is FewLabels and watched.loss_and_grads is not learner.loss_and_grads
    data, ends = data_of(learner, 1), []
    assert all(
        np.array_equal(a, b) for a, b in zip(data[1:3], data_of(watched, 1)[1:3], strict=True)
    )
    assert data_of(watched, 1)[-1] == data[-1] == 2 / 3
    for one in (learner, watched, learner_of(MODEL, "autograd")):
        state = begin(MODEL)
        one.step(state, data, RATE)
        ends.append(state.parameters.flat)
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
        self.record, self.place = Record(folder), place
        self.record.open()
        self.learner = learner_of(model, gradients, place, dtype, rising=STEPS)
        self.state = begin(model, place, dtype, optimizer)
        self.plan = Plan(EPOCHS, BATCH, 3, 5, optim.linear(rate, STEPS), {})

    def resume(self) -> Run:
        self.state.restore(self.record, self.place)
        return self

    def fit(self, each: Any = None) -> Run:
        right = self.learner.loss_and_grads

        def gradients(*arguments: Any, **options: Any) -> Any:
            if each:
                each(self.state.step)
            return right(*arguments, **options)

        self.learner.loss_and_grads = gradients
        images, quiet = self.place.asarray(OTHERS), Progress(EPOCHS, {}, quiet=True)
        fit(self.state, self.learner, images, self.plan, dict, self.record, quiet, self.place)
        return self

    @property
    def end(self) -> Any:
        """All that must be the same, bit for bit."""
        vectors = {"parameters": self.state.parameters.flat, **self.state.optimizer.state}
        bits = {name: self.place.to_numpy(v).tobytes() for name, v in vectors.items()}
        return bits, self.state.optimizer.steps, rows_without_time(self.state.history)


@BOTH_KINDS
def test_a_run_that_is_stopped_at_every_step_ends_the_same(tmp_path: Path, gradients: str) -> None:
    straight = Run(tmp_path / "straight", gradients).fit().end
    assert set(straight[0]) == {"parameters", "m", "v", "average"} and straight[1] == STEPS
    for step in range(STEPS):
        run = Run(tmp_path / "often", gradients)
        with pytest.raises(Interrupted, match=f"stopped after step {step + 1} of {STEPS};"):
            (run.resume() if step else run).fit(press_at({step}))
    assert Run(tmp_path / "often", gradients).resume().fit().end == straight


def test_what_the_average_was_decides_how_a_run_goes_on(tmp_path: Path) -> None:
    """So it must be among what is saved."""
    straight = Run(tmp_path / "straight").fit().end
    run = Run(tmp_path / "other")
    with pytest.raises(Interrupted):
        run.fit(press_at({6}))
    run = Run(tmp_path / "other").resume()
    run.state.optimizer.average.flat[...] = 0
    assert run.fit().end[0]["parameters"] != straight[0]["parameters"]


def test_the_history_has_the_loss_and_how_often_it_was_sure(tmp_path: Path) -> None:
    run = Run(tmp_path).fit()
    for row in run.state.history:
        assert set(row) == {"epoch", "step", "train_loss", "train_sure", "rate", "seconds"}
        assert 0 < row["train_sure"] < 1


def test_the_checkpoint_gives_the_average_back(tmp_path: Path) -> None:
    """It is what the run is judged by."""
    run = Run(tmp_path).fit()
    trained = tg.load(tmp_path)
    assert trained.model == MODEL
    average, last = run.state.optimizer.average.flat, run.state.parameters.flat
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
    with pytest.raises(Diverged, match=r"became (nan|inf): at step \d, affine made") as told:
        run.fit()
    assert "is the last good one" in str(told.value)
    saved = Run(tmp_path, gradients, wild, optimizer=optim.SGD).resume().state
    assert np.isfinite(saved.parameters.flat).all()
    assert np.isfinite(saved.optimizer.average.flat).all()


def test_it_learns_what_four_labels_cannot_teach() -> None:
    """Two clouds, each a long thin arc, with a label near each of its ends."""
    random = np.random.default_rng(0)
    turn = np.pi * random.random(400)
    side = np.arange(400) % 2
    x = np.where(side, 1 - np.cos(turn), np.cos(turn))
    y = np.where(side, 0.5 - np.sin(turn), np.sin(turn))
    points = np.stack([x, y], axis=1) + 0.05 * random.standard_normal((400, 2))
    chosen = [int(np.argmin(abs(turn - at) + 9 * (side != k))) for k in (0, 1) for at in (0.3, 2.8)]
    labels = np.eye(2)[side[chosen]]
    model = Classifier(2, (32,), 2, "tanh", dropout=0.0, input_noise=0.1)
    errors = []
    for rising in (10**9, 100):  # as good as without the others, and with them
        p = model.initialise(0, np.float64)
        state = State(p, optim.Averaged(optim.Adam(p), p, 0.95))
        of = partial(loss_and_grads, **model.terms)
        learner = FewLabels(model, of, points[chosen], labels, 4, rising)
        for step in range(1500):
            data = learner.draw(points, NUMPY.generator((0, step)), step)
            learner.step(state, data, 1e-2)
        said = model.probabilities(state.optimizer.average, points).argmax(axis=1)
        errors.append(np.mean(said != side))
    assert errors[0] > 0.2 and errors[1] < 0.02  # 0.34 and 0 were measured
