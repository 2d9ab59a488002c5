"""The routing audit: what each player's step reads and what it changes, by both kinds of gradients.

Most of it looks at a step from outside: with plain gradient descent, how far parameters moved is
the gradient that moved them, wherever it was computed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from adversarial_step_checks import (
    MODELS,
    NUMPY,
    SMALL,
    N,
    begin,
    bits,
    check_average_at_first,
    check_average_every_tenth_step,
    check_average_follows_the_generator,
    check_average_later,
    check_critic_steps,
    check_discriminator_step_alone,
    check_figures,
    check_first_step_of_adam,
    check_generator_step_alone,
    check_gradient_through_the_discriminator,
    check_order,
    check_passes_are_independent,
    check_ratio,
    check_vectors_of_the_players,
    check_what_moves_the_discriminator,
    check_what_moves_the_generator,
    data_of,
    small_learner,
)
from running import before_each_step, press_at, rows_without_time
from strict import STRICT, count_syncs

from tinygen import optim
from tinygen.backend.numpy_backend import adam_numpy
from tinygen.errors import InputError
from tinygen.models import GAN
from tinygen.training import (
    AdversarialLearner,
    Diverged,
    Interrupted,
    Plan,
    Progress,
    RunDir,
    State,
    Trainer,
)

EVERY_MODEL = pytest.mark.parametrize("name", MODELS)
BOTH_KINDS = pytest.mark.parametrize("gradients", ["autograd", "by-hand"])


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither for the disk nor for numba's threads, as in test_trainer.py."""
    monkeypatch.setattr("os.fsync", lambda file: None)
    monkeypatch.setattr(NUMPY, "_adam", adam_numpy)


def sent(data: Any, backend: Any) -> Any:
    if isinstance(data, tuple):
        parts = [sent(part, backend) for part in data]
        return type(data)(*parts) if hasattr(data, "_fields") else tuple(parts)
    return data if data is None else backend.asarray(data)


# What each step changes.


@EVERY_MODEL
@BOTH_KINDS
def test_the_discriminators_step_changes_the_discriminator_alone(gradients: str, name: str) -> None:
    check_discriminator_step_alone(gradients, name)


@EVERY_MODEL
@BOTH_KINDS
def test_the_generators_step_changes_the_generator_alone(gradients: str, name: str) -> None:
    check_generator_step_alone(gradients, name)


# Where the gradients are taken.


@EVERY_MODEL
@BOTH_KINDS
def test_d_follows_the_gradient_of_its_loss_at_images_of_g_before_its_step(
    gradients: str, name: str
) -> None:
    check_what_moves_the_discriminator(gradients, name)


@EVERY_MODEL
@BOTH_KINDS
def test_g_follows_the_gradient_of_its_loss_through_d_as_it_is_after_its_step(
    gradients: str, name: str
) -> None:
    check_what_moves_the_generator(gradients, name)


@BOTH_KINDS
def test_all_of_the_generators_gradient_comes_through_the_discriminator(gradients: str) -> None:
    check_gradient_through_the_discriminator(gradients)


@EVERY_MODEL
@BOTH_KINDS
def test_one_step_is_images_then_d_then_g(gradients: str, name: str) -> None:
    check_order(gradients, name)


@EVERY_MODEL
@BOTH_KINDS
def test_nothing_of_one_pass_is_left_for_another(gradients: str, name: str) -> None:
    check_passes_are_independent(gradients, name)


@EVERY_MODEL
@BOTH_KINDS
def test_the_figures_are_losses_and_norms_of_this_step(gradients: str, name: str) -> None:
    check_figures(gradients, name)


# How often, and how far.


@pytest.mark.parametrize("critic_steps", [1, 2, 3, 5])
@BOTH_KINDS
def test_the_generator_moves_in_every_kth_step(gradients: str, critic_steps: int) -> None:
    check_critic_steps(gradients, critic_steps)


@BOTH_KINDS
def test_the_generator_may_learn_at_another_rate(gradients: str) -> None:
    check_ratio(gradients)


def test_adams_first_step_of_each_player_is_the_rate_of_each_player() -> None:
    check_first_step_of_adam()


# The moving average.


def test_at_first_the_average_weighs_the_steps_by_a_power_of_their_time() -> None:
    check_average_at_first()


def test_later_it_keeps_the_tenth_power_of_what_a_step_keeps() -> None:
    check_average_later()


def test_it_moves_in_every_tenth_step_of_the_generator() -> None:
    check_average_every_tenth_step()


@BOTH_KINDS
def test_it_follows_the_generators_steps_not_those_of_the_discriminator(gradients: str) -> None:
    check_average_follows_the_generator(gradients)


def test_the_generator_to_sample_from() -> None:
    """Before the average has moved it is the generator's start, which is worth nothing."""
    with_it, without = (small_learner(average=a) for a in (0.9, 0))
    np.testing.assert_array_equal(with_it.average.flat, with_it.g.flat)
    assert without.average is None
    for step in range(25):
        for learner in (with_it, without):
            learner.g_optimizer.steps = step
            learner.update_average()
        assert without.averaged_generator is without.g and without.averaged is None
        assert with_it.averaged_generator is (with_it.g if step < 10 else with_it.average)
        assert with_it.averaged == (None if step < 10 else "generator.")


@pytest.mark.parametrize("critic_steps", [1, 3])
def test_whether_the_average_has_moved_is_known_after_a_resume(critic_steps: int) -> None:
    """By the number of steps alone, which is the discriminator's."""
    for step in (0, 9, 10, 29, 30, 31):
        learner = small_learner(critic_steps=critic_steps, average=0.9)
        learner.steps = step
        assert (learner.averaged_generator is learner.average) == (step // critic_steps >= 10)


# What a checkpoint keeps.


def test_all_vectors_have_a_name() -> None:
    check_vectors_of_the_players()


IMAGES = np.random.default_rng(0).integers(0, 256, (42, 2, 2), dtype=np.uint8)
LABELS = np.eye(3)[np.arange(42) % 3]
EPOCHS, BATCH, PER_EPOCH = 3, 8, 5  # the last two images of an epoch are left out
STEPS = EPOCHS * PER_EPOCH


class Run:
    """A run as an example makes it, on a few random images."""

    def __init__(
        self, folder: Any, model: GAN, gradients: str = "autograd", backend: Any = NUMPY,
        dtype: Any = np.float32, critic_steps: int = 2, average: float = 0.9, rate: float = 1e-2,
        optimizer: Any = optim.Adam, **changes: Any,
    ) -> None:  # fmt: skip
        self.backend, self.run_dir = backend, RunDir(folder)
        self.run_dir.open()
        self.learner: Any = AdversarialLearner(
            model, model.initialise(1, dtype, backend), optimizer, model.gradients(gradients),
            ratio=0.5, critic_steps=critic_steps, average=average,
        )  # fmt: skip
        plan = {"epochs": EPOCHS, "batch_size": BATCH, "seed": 3, "show_every": 4, "config": {},
                "drop_last": True, "schedule": optim.linear(rate, STEPS)}  # fmt: skip
        self.trainer = Trainer(self.learner, Plan(**(plan | changes)), self.run_dir,
                               Progress(EPOCHS, {}, quiet=True), backend)  # fmt: skip
        self.state = self.trainer.state
        self.labels = backend.asarray(LABELS, dtype) if model.classes else None

    def resume(self) -> Run:
        self.trainer.restore()
        return self

    def fit(self, each: Any = None) -> Run:
        """Train; `each(step)` is called before a step."""
        if each:
            before_each_step(self.learner, each)
        self.trainer.fit(self.backend.asarray(IMAGES), dict, self.labels)
        return self

    @property
    def end(self) -> Any:
        vectors = self.learner.vectors.items()
        bits = {name: self.backend.to_numpy(v).tobytes() for name, v in vectors}
        steps = self.learner.d_optimizer.steps, self.learner.g_optimizer.steps
        return bits, steps, rows_without_time(self.state.history)


@pytest.fixture
def restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """An average that moves in every second step of G, since there are only seven."""
    monkeypatch.setattr("tinygen.training.learners.adversarial_step.AVERAGED_EVERY", 2)


@pytest.mark.parametrize("backend", [NUMPY, STRICT], ids=["numpy", "strict"])
@pytest.mark.parametrize("name", ["non-saturating, all options", "wasserstein-gp, all options"])
@BOTH_KINDS
def test_a_run_that_is_stopped_at_every_step_ends_the_same(
    tmp_path: Any, restless: None, gradients: str, name: str, backend: Any
) -> None:
    def run(folder: str) -> Run:
        return Run(tmp_path / folder, MODELS[name], gradients, backend)

    straight = run("straight").fit()
    assert straight.learner.g_optimizer.steps == 7
    for step in range(STEPS):
        with pytest.raises(Interrupted, match=f"stopped after step {step + 1} of {STEPS}$"):
            (run("often") if step == 0 else run("often").resume()).fit(press_at({step}))
    often = run("often").resume().fit()
    assert often.end == straight.end
    # So that there was something to compare: the average is neither player, and has moved.
    average, g = (backend.to_numpy(x.flat) for x in (often.learner.average, often.learner.g))
    start = MODELS[name].initialise(1).part("generator.").flat
    assert (average != g).mean() > 0.9 and (average != start).mean() > 0.9


@BOTH_KINDS
def test_a_run_in_double_precision_resumes_too(
    tmp_path: Any, restless: None, gradients: str
) -> None:
    def run(folder: str) -> Run:
        return Run(tmp_path / folder, MODELS["r1, all options"], gradients, dtype=np.float64,
                   critic_steps=1)  # fmt: skip

    straight = run("straight").fit().end
    with pytest.raises(Interrupted):
        run("stopped").fit(press_at({7}))
    assert run("stopped").resume().fit().end == straight


@pytest.mark.parametrize("options", [{"average": 0.0}, {"optimizer": optim.SGD}])
def test_a_checkpoint_that_lacks_vectors_is_refused(tmp_path: Any, options: Any) -> None:
    """What it has too many of, the configuration tells."""
    model = MODELS["non-saturating"]
    Run(tmp_path, model, **options).fit()
    run = Run(tmp_path, model)
    before = run.end
    with pytest.raises(InputError, match=r"checkpoint\.npz"):
        run.resume()
    assert run.end == before


@BOTH_KINDS
def test_the_rows_hold_the_means_of_the_steps_that_each_player_made(
    tmp_path: Any, gradients: str
) -> None:
    run = Run(tmp_path, MODELS["non-saturating"], gradients, dtype=np.float64, critic_steps=2)
    right, seen = run.learner.step, []

    def step(data: Any, rate: float) -> Any:
        figures = right(data, rate)
        seen.append({name: float(x) for name, x in figures.items()})
        return figures

    run.learner.step = step
    run.fit()
    for epoch, row in enumerate(run.state.history):
        steps = seen[epoch * PER_EPOCH : (epoch + 1) * PER_EPOCH]
        for name in AdversarialLearner.figures:
            figures = [s[name] for s in steps if name in s]
            assert row[f"train_{name}"] == pytest.approx(np.mean(figures), rel=1e-12)
        # G moves in steps 2, 4, ..., of all steps: two or three of five.
        assert sum("generator_loss" in s for s in steps) == (3 if epoch == 1 else 2)


# NaN.


def plant(monkeypatch: pytest.MonkeyPatch, at: int, where: str) -> None:
    """One number that one player sees in one step is not finite."""
    drawn = Trainer.draw

    def draw(trainer: Trainer, batch: Any) -> Any:
        (by_d, by_g), step = drawn(trainer, batch), trainer.state.step
        if step == at:
            {"D's noise": by_d.z, "real": by_d.real, "G's noise": by_g.z}[where][0, 0] = np.nan
        return by_d, by_g

    monkeypatch.setattr(Trainer, "draw", draw)


@pytest.mark.parametrize("show_every", [1, 1000])
@pytest.mark.parametrize(
    ("where", "player"),
    [("D's noise", "in the generator's images, matmul made"),
     ("real", "in the discriminator's step, affine made"),
     ("G's noise", "in the generator's step, matmul made")],
)  # fmt: skip
@BOTH_KINDS
def test_nan_in_either_player_is_reported_with_player_and_op(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, gradients: str, where: str, player: str,
    show_every: int,
) -> None:  # fmt: skip
    model = MODELS["non-saturating"]
    run = Run(tmp_path, model, gradients, show_every=show_every)
    plant(monkeypatch, at=7, where=where)  # the eighth step, in which G moves, too
    with pytest.raises(Diverged) as error:
        run.fit()
    sentence = str(error.value)
    assert f"at step 8, {player}" in sentence and "that were so already" in sentence
    assert error.value.checkpoint == run.run_dir.checkpoint and "\n" not in sentence
    good = Run(tmp_path, model, gradients).resume()
    assert good.state.step == PER_EPOCH and np.isfinite(good.learner.parameters.flat).all()
    assert good.learner.g_optimizer.steps == 2
    monkeypatch.undo()  # and from there it can go on
    monkeypatch.setattr(NUMPY, "_adam", adam_numpy)
    straight = Run(tmp_path / "straight", model, gradients).fit()
    assert good.fit().end == straight.end


@pytest.mark.parametrize("show_every", [1, 1000])
@pytest.mark.parametrize("player", ["discriminator", "generator"])
@BOTH_KINDS
def test_a_norm_that_overflows_is_reported_as_the_players(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, gradients: str, player: str, show_every: int
) -> None:
    """The gradient itself is finite, and what it leads to shows in a later part of a step."""
    loss = {"discriminator": "least-squares", "generator": "non-saturating"}[player]
    model = GAN(loss=loss, dropout=0.3, **{**SMALL, "discriminator_activation": "relu"})
    run = Run(tmp_path, model, gradients, critic_steps=1, optimizer=optim.SGD, average=0.0,
              show_every=show_every)  # fmt: skip
    drawn = Trainer.draw

    def draw(trainer: Trainer, batch: Any) -> Any:
        (by_d, by_g), step = drawn(trainer, batch), trainer.state.step
        if step == 7 and player == "discriminator":
            by_d.real[...] = 1e12  # the logits are as large, and the gradient is their product
        elif step == 7:
            by_g.masks[0][...] = 1e24  # a factor of a logit's derivative
        return by_d, by_g

    monkeypatch.setattr(Trainer, "draw", draw)
    with pytest.raises(Diverged) as error:
        run.fit()
    where = f"at step 8, in the norm of the {player}'s gradient, square made"
    assert where in str(error.value), error.value


@BOTH_KINDS
def test_a_rate_that_is_too_high(tmp_path: Any, gradients: str) -> None:
    model = GAN(loss="least-squares", **{**SMALL, "output": "none"})
    run = Run(tmp_path, model, gradients, optimizer=optim.SGD, rate=1e18, average=0.0)
    with pytest.raises(Diverged, match=r"at step .* NaN or infinite") as error:
        run.fit()
    assert "\n" not in str(error.value)
    good = Run(tmp_path, model, optimizer=optim.SGD, average=0.0).resume()
    assert good.state.step == 0 and np.isfinite(good.learner.parameters.flat).all()


@pytest.mark.parametrize("critic_steps", [1, 3])
def test_an_update_of_d_that_overflows_is_reported_as_ds(tmp_path: Any, critic_steps: int) -> None:
    """Also where G's step, right after it, is the first to see it."""
    run = Run(tmp_path, MODELS["non-saturating"], critic_steps=critic_steps, show_every=1000,
              schedule=lambda step: np.inf if step == 7 else 1e-2)  # fmt: skip
    with pytest.raises(Diverged, match=r"the update of step 8 made discriminator\.W1"):
        run.fit()


# What a step costs a GPU, and that it is the same on each backend and by both derivations.


@EVERY_MODEL
@BOTH_KINDS
def test_steps_are_the_same_on_every_backend_and_wait_for_nothing(
    backend: Any, gradients: str, name: str
) -> None:
    model = MODELS[name]
    ends = []
    for place in (NUMPY, backend):
        state = State()
        learner = begin(model, gradients, optim.Adam, place, np.float32, ratio=0.5, average=0.9)
        learner.steps = 8  # the average moves in the second step
        data = [sent(data_of(model, step, np.float32), place) for step in range(3)]
        with count_syncs() as syncs:
            for each in data:
                figures = learner.step(each, 1e-3)
                state.add(figures, N)
        assert not syncs
        assert all(x.shape == () and x.dtype == np.float32 for x in figures.values())
        both = {**learner.parameters, **{f"average {k}": x for k, x in learner.average.items()}}
        ends.append({k: place.to_numpy(x) for k, x in both.items()})
    here, there = ends
    if backend.name == "cupy" and model.loss == "wasserstein-gp":
        # What a critic adds to all of its scores cancels. The gradient is a rounding, of which Adam
        # makes a step of 1e-3, and CuPy adds in another order.
        last = max(k for k in here if k.startswith("discriminator.b"))
        del here[last], there[last]
    for k in here:
        # The same float32 arithmetic in another library: a few roundings, three steps of 1e-3.
        np.testing.assert_allclose(there[k], here[k], atol=5e-6, err_msg=k)


@BOTH_KINDS
def test_no_step_of_a_run_waits_for_the_device(tmp_path: Any, gradients: str) -> None:
    run = Run(tmp_path, MODELS["wasserstein-gp, all options"], gradients, STRICT,
              show_every=10**9)  # fmt: skip
    with count_syncs() as syncs:
        waits: dict[int, int] = {}
        run.fit(lambda step: waits.update({step: len(syncs)}))
    for step in range(1, STEPS):
        if step % PER_EPOCH:
            assert waits[step] == waits[step - 1], syncs[waits[step - 1] : waits[step]]
        else:  # the end of an epoch may wait: for the figures, and to save
            assert waits[step] > waits[step - 1]


@EVERY_MODEL
def test_by_hand_and_autograd_train_alike(name: str) -> None:
    model, ends = MODELS[name], []
    for gradients in ("autograd", "by-hand"):
        learner = begin(model, gradients, optim.Adam, critic_steps=2)
        for step in range(8):
            learner.step(data_of(model, step), 1e-2)
        ends.append(learner.parameters.flat)
    # Adam divides by the root of v, which magnifies rounding where gradients are tiny.
    np.testing.assert_allclose(ends[1], ends[0], rtol=1e-7, atol=1e-10)


# Which gradients.


@pytest.mark.parametrize(
    ("options", "words"),
    [({"generator_norm": "layer"}, "a layer norm in the generator"),
     ({"discriminator_norm": "layer"}, "a layer norm in the discriminator"),
     ({"discriminator_norm": "batch"}, "a batch norm in the discriminator")],
)  # fmt: skip
def test_what_is_not_covered_by_hand_is_refused(options: dict[str, str], words: str) -> None:
    """At once, not in the first step, which is after the judge has been trained."""
    model = GAN(**(SMALL | options))
    with pytest.raises(InputError, match=f"{words}; take gradients 'autograd'"):
        model.gradients("by-hand")
    begin(model, "autograd").step(data_of(model), 1e-2)


def test_the_one_that_looks_for_nan_makes_the_same_steps() -> None:
    model = MODELS["least-squares"]
    ends = []
    for watched in (False, True):
        learner = begin(model, "autograd", optim.Adam, ratio=0.3, critic_steps=2)
        learner = learner.watched() if watched else learner
        for step in range(4):
            learner.step(data_of(model, step), 1e-2)
        ends.append(bits(learner.parameters))
    assert ends[0] == ends[1]
    by_hand = replace(model, penalty=None)
    assert begin(by_hand, "by-hand", ratio=0.3).watched().ratio == 0.3
