"""The trainer: stopped anywhere it goes on to the same end, and it stops by itself at NaN."""

from __future__ import annotations

import json
import math
import signal
import threading
from functools import partial

import numpy as np
import pytest
from running import before_each_step, press_at, rows_without_time
from strict import STRICT, count_syncs

import tinygen as tg
from tinygen import optim, value_and_grad
from tinygen.backend import get_backend
from tinygen.backend.numpy_backend import adam_numpy
from tinygen.errors import InputError
from tinygen.models import VAE, Autoencoder
from tinygen.training import (
    Diverged,
    Interrupted,
    Plan,
    Progress,
    RunDir,
    SingleLossLearner,
    Trainer,
    stopping,
)

NUMPY = get_backend("numpy")
IMAGES = np.random.default_rng(0).integers(0, 256, (42, 3, 3), dtype=np.uint8)
EPOCHS, BATCH = 3, 8
PER_EPOCH = 6  # the last batch has but two images
STEPS = EPOCHS * PER_EPOCH

PLAIN = Autoencoder(pixels=9, hidden=(5,), latent=2)
NOISY = Autoencoder(
    pixels=9, hidden=(5, 4), latent=2, activation="gelu", reconstruction="bce",
    weight_decay=1e-3, code_l1=1e-2, input_noise=0.2, dropout=0.3,
)  # fmt: skip


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """Neither for the disk nor for numba's threads, which would be most of the time here.

    test_checkpoint.py looks at the one, tests/examples/test_examples.py runs the other.
    """
    monkeypatch.setattr("os.fsync", lambda file: None)
    monkeypatch.setattr(NUMPY, "_adam", adam_numpy)


class Crash(Exception):
    """Stands for a killed process: nothing is caught or saved after it."""


class Run:
    """A run as an example makes it, on a few random images."""

    def __init__(self, folder, model=PLAIN, gradients="autograd", backend=NUMPY, **changes):
        dtype, learner = changes.pop("dtype", np.float32), changes.pop("learner", SingleLossLearner)
        optimizer, rate = changes.pop("optimizer", optim.Adam), changes.pop("rate", 1e-2)
        self.model, self.backend, self.run_dir = model, backend, RunDir(folder)
        self.run_dir.open()
        p = model.initialise(1, dtype, backend)
        self.learner = learner(model, p, optimizer, model.gradients(gradients))
        plan = {"epochs": EPOCHS, "batch_size": BATCH, "seed": 3, "show_every": 5, "config": {}}
        plan = Plan(**{"schedule": optim.linear(rate, STEPS), **plan, **changes})
        progress = Progress(plan.epochs, {}, quiet=True)
        self.trainer = Trainer(self.learner, plan, self.run_dir, progress, backend)
        self.state = self.trainer.state

    def evaluate(self):
        return {"test_mse": 0.5}

    def resume(self):
        self.trainer.restore()
        return self

    def fit(self, each=None, labels=None):
        """Train; `each(step)` is called before each step."""
        if each:
            before_each_step(self.learner, each)
        self.trainer.fit(self.backend.asarray(IMAGES), lambda: self.evaluate(), labels)
        return self

    @property
    def end(self):
        """All that must be the same, bit for bit, and the rows without their time."""
        vectors = self.learner.vectors.items()
        bits = {name: self.backend.to_numpy(v).tobytes() for name, v in vectors}
        return bits, rows_without_time(self.state.history)


def rows(run_dir):
    lines = (run_dir.folder / "metrics.jsonl").read_text().splitlines()
    return rows_without_time(map(json.loads, lines))


def test_too_few_images_for_a_step_are_refused(tmp_path):
    run = Run(tmp_path, batch_size=len(IMAGES) + 1, drop_last=True)
    with pytest.raises(InputError, match=r"images are too few for a batch of"):
        run.fit()


@pytest.mark.parametrize(
    ("model", "value", "sentence"),
    [
        (PLAIN, np.nan, r"1 of \d+ values are NaN or infinite, the first in row 7, column 2"),
        (PLAIN, 200.0, r"expected values in \[0, 1\], got 0\S* to 200; divide by 255\?"),
        (VAE(9), -0.5, r"expected values in \[0, 1\], got -0.5 to"),
        (VAE(9, likelihood="gaussian"), np.inf, "1 of"),
    ],
    ids=["nan", "bytes as floats", "bernoulli", "infinite"],
)
def test_images_that_cannot_be_learned_are_refused_before_the_first_step(
    tmp_path, model, value, sentence
):
    x = np.random.default_rng(0).random((50, 9)).astype(np.float32)
    x[7, 2] = value
    run = Run(tmp_path, model)
    with pytest.raises(InputError, match=f"^images: {sentence}"):
        run.trainer.fit(run.backend.asarray(x), run.evaluate)
    assert run.state.step == 0 and not run.trainer.run_dir.checkpoint.exists()


def test_points_and_gaussian_images_may_lie_anywhere(tmp_path):
    x = 3 * np.random.default_rng(0).standard_normal((len(IMAGES), 9)).astype(np.float32)
    run = Run(tmp_path, VAE(9, (3,), 2, likelihood="gaussian"))
    run.trainer.fit(run.backend.asarray(x), lambda: {})
    assert run.state.step == STEPS


# Stopped and gone on.


@pytest.mark.parametrize("model", [PLAIN, NOISY], ids=["plain", "noisy"])
@pytest.mark.parametrize("gradients", ["autograd", "by-hand"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_run_that_is_stopped_at_every_step_ends_the_same(tmp_path, model, gradients, dtype):
    def run(folder):
        return Run(tmp_path / folder, model, gradients, dtype=dtype)

    straight = run("straight").fit().end
    for step in range(STEPS):
        with pytest.raises(Interrupted, match=f"stopped after step {step + 1} of {STEPS}$"):
            (run("often") if step == 0 else run("often").resume()).fit(press_at({step}))
    assert run("often").resume().fit().end == straight


@pytest.mark.parametrize("error", [Interrupted, Crash], ids=["stopped", "killed"])
@pytest.mark.parametrize(
    "at",
    [
        (0,),
        (PER_EPOCH - 2, 2 * PER_EPOCH - 2),  # so that only the small batch of an epoch is left
        (PER_EPOCH - 1, STEPS - 1),  # so that nothing of an epoch is left
        (PER_EPOCH, PER_EPOCH + 1, PER_EPOCH + 2),
        (3, 8, 16),
    ],
)
def test_stopped_or_killed_more_than_once(tmp_path, at, error):
    straight = Run(tmp_path / "straight", NOISY).fit()
    run = Run(tmp_path / "disturbed", NOISY)
    for step in at:
        with pytest.raises(error):
            run.fit(press_at({step}) if error is Interrupted else partial(crash_at, step))
        run = Run(tmp_path / "disturbed", NOISY).resume()
        # What was killed goes on from the end of an epoch.
        expected = step + 1 if error is Interrupted else step // PER_EPOCH * PER_EPOCH
        assert run.state.step == expected
    assert run.fit().end == straight.end
    assert rows(run.run_dir) == rows(straight.run_dir)


def crash_at(last, step):
    if step == last:
        raise Crash


def test_ctrl_c_during_an_evaluation(tmp_path):
    straight = Run(tmp_path / "straight").fit()
    for epoch in range(1, EPOCHS + 1):
        run = Run(tmp_path / f"{epoch}")
        evaluations = []

        def evaluate(epoch=epoch, evaluations=evaluations):
            evaluations.append(1)
            if len(evaluations) == epoch:
                signal.raise_signal(signal.SIGINT)
            return {"test_mse": 0.5}

        run.evaluate = evaluate
        with pytest.raises(Interrupted, match=f"after step {epoch * PER_EPOCH} of {STEPS}$"):
            run.fit()
        assert len(rows(run.run_dir)) == epoch
        assert Run(tmp_path / f"{epoch}").resume().fit().end == straight.end


def test_ctrl_c_after_the_last_epochs_line_is_not_lost(tmp_path, monkeypatch):
    """Nothing is trained after it, so only the trainer's end can notice."""
    run = Run(tmp_path)

    def interrupted_late(trainer, figures):
        right(trainer, figures)
        if len(trainer.state.history) == EPOCHS:
            signal.raise_signal(signal.SIGINT)

    right = Trainer._end_epoch
    monkeypatch.setattr(Trainer, "_end_epoch", interrupted_late)
    with pytest.raises(Interrupted, match=f"after step {STEPS} of {STEPS}$"):
        run.fit()
    monkeypatch.undo()
    assert len(rows(Run(tmp_path).resume().fit().run_dir)) == EPOCHS


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGBREAK"])
def test_other_signals_save_as_ctrl_c_does(tmp_path, name):
    number = getattr(signal, name, None)
    if number is None or signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip(f"no {name} here")
    with pytest.raises(Interrupted, match="stopped after step 5 of"):
        Run(tmp_path).fit(lambda step: step == 4 and signal.raise_signal(number))
    assert Run(tmp_path).resume().state.step == 5


def test_a_run_that_is_asked_by_its_process_to_stop(tmp_path):
    """As in a worker whose parent is gone."""
    try:
        with pytest.raises(Interrupted, match="stopped after step 3 of"):
            Run(tmp_path).fit(lambda step: step == 2 and stopping.requested.set())
    finally:
        stopping.requested.clear()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"batch_size": 4}, "batch_size 8, seed 3, drop_last False; expected batch_size 4, seed 3"),
        ({"seed": 4}, "seed 3, drop_last False; expected batch_size 8, seed 4"),
        ({"drop_last": True}, "drop_last False; expected batch_size 8, seed 3, drop_last True"),
    ],
)
def test_a_checkpoint_of_other_batches_is_refused(tmp_path, change, words):
    """Also where a script asks, whose configuration may be empty."""
    Run(tmp_path).fit()
    other = Run(tmp_path, **change)
    before = other.learner.parameters.flat.copy()
    with pytest.raises(InputError, match=f"the checkpoint is of a run with .*{words}"):
        other.resume()
    np.testing.assert_array_equal(other.learner.parameters.flat, before)
    assert other.state.step == 0


def test_a_checkpoint_of_before_does_not_say_its_batches_and_loads(tmp_path, monkeypatch):
    monkeypatch.setattr(Plan, "batches", lambda plan: None)
    Run(tmp_path).fit()
    monkeypatch.undo()
    assert Run(tmp_path, epochs=EPOCHS + 1).resume().state.step == STEPS


def test_a_second_ctrl_c_stops_at_once(tmp_path):
    run = Run(tmp_path)

    def press_twice(step):
        if step == 8:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run.fit(press_twice)
    assert Run(tmp_path).resume().state.step == PER_EPOCH, "the checkpoint of the first epoch"


def test_ctrl_c_means_what_it_meant_before_once_the_loop_is_left(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    Run(tmp_path / "a").fit()
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(Crash):
        Run(tmp_path / "b").fit(lambda step: (_ for _ in ()).throw(Crash))
    assert signal.getsignal(signal.SIGINT) is before


def test_a_run_in_another_thread_trains_without_a_handler(tmp_path):
    straight = Run(tmp_path / "straight").fit().end
    run = Run(tmp_path / "thread")
    thread = threading.Thread(target=run.fit)
    thread.start()
    thread.join()
    assert run.end == straight


def test_going_on_with_a_finished_run_changes_nothing(tmp_path):
    straight = Run(tmp_path).fit()
    saved = straight.run_dir.checkpoint.read_bytes()
    (tmp_path / "metrics.jsonl").unlink()  # as if killed just before its last row was written
    again = Run(tmp_path).resume().fit()
    assert again.end == straight.end and len(rows(again.run_dir)) == EPOCHS
    assert again.run_dir.checkpoint.read_bytes() == saved


@pytest.mark.parametrize("name", list(optim.OPTIMIZERS))
def test_every_optimiser_resumes(tmp_path, name):
    def run(folder):
        return Run(tmp_path / folder, optimizer=optim.OPTIMIZERS[name])

    straight = run("straight").fit().end
    with pytest.raises(Interrupted):
        run("stopped").fit(press_at({9}))
    assert run("stopped").resume().fit().end == straight


def test_the_strict_backend_resumes(tmp_path):
    straight = Run(tmp_path / "straight", NOISY, backend=STRICT).fit().end
    with pytest.raises(Interrupted):
        Run(tmp_path / "stopped", NOISY, backend=STRICT).fit(press_at({9}))
    assert Run(tmp_path / "stopped", NOISY, backend=STRICT).resume().fit().end == straight


@pytest.mark.parametrize(
    ("step", "epochs"), [(5, 1), (13, 1), (1, 2), (PER_EPOCH + 1, 0), (STEPS + 1, 3), (24, 4)]
)
def test_a_checkpoint_that_cannot_be_of_this_run(tmp_path, step, epochs):
    run = Run(tmp_path)
    run.state.step = step
    run.state.history = [{"epoch": e} for e in range(1, epochs + 1)]
    with pytest.raises(InputError, match=f"step {step} after {epochs} epochs of 6 steps"):
        run.fit()


# What a step costs a GPU.


@pytest.mark.parametrize("loss", ["mse", "bce"])
@pytest.mark.parametrize("gradients", ["autograd", "by-hand"])
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop", "sgd"])
def test_no_step_waits_for_the_device(tmp_path, gradients, loss, optimizer):
    model = Autoencoder(pixels=9, hidden=(5, 4), latent=2, reconstruction=loss,
        weight_decay=1e-3, code_l1=1e-2, input_noise=0.2, dropout=0.3)  # fmt: skip
    run = Run(tmp_path, model, gradients, STRICT, show_every=10**9,
        optimizer=optim.OPTIMIZERS[optimizer])  # fmt: skip
    with count_syncs() as syncs:
        waits = {}
        run.fit(lambda step: waits.update({step: len(syncs)}))
    for step in range(1, STEPS):
        if step % PER_EPOCH:
            assert waits[step] == waits[step - 1], syncs[waits[step - 1] : waits[step]]
        else:  # the end of an epoch may wait: for the loss, and to save
            assert waits[step] > waits[step - 1]


def test_the_loss_is_read_only_when_it_is_shown(tmp_path):
    def waits(folder, show_every):
        with count_syncs() as syncs:
            Run(tmp_path / folder, backend=STRICT, show_every=show_every).fit()
        return len(syncs)

    assert waits("often", 2) - waits("never", 1000) == STEPS // 2


def test_backends_see_the_same_batches_and_agree(tmp_path):
    on_numpy, on_strict = (Run(tmp_path / b.name, backend=b).fit() for b in (NUMPY, STRICT))
    assert on_numpy.end == on_strict.end


def test_by_hand_and_autograd_train_alike(tmp_path):
    ends = [
        Run(tmp_path / g, NOISY, g, dtype=np.float64).fit().learner for g in ("autograd", "by-hand")
    ]
    # Adam divides by the root of v, which magnifies rounding where gradients are tiny.
    np.testing.assert_allclose(ends[0].parameters.flat, ends[1].parameters.flat, rtol=1e-7)


# NaN.


def assert_last_good(run, error, step):
    """The checkpoint is that of `step`, finite, and what the state is again."""
    assert error.value.checkpoint == run.run_dir.checkpoint and "\n" not in str(error.value)
    good = Run(run.run_dir.folder, run.model, optimizer=type(run.learner.optimizer)).resume()
    assert good.state.step == step and np.isfinite(good.learner.parameters.flat).all()


@pytest.mark.parametrize("gradients", ["autograd", "by-hand"])
@pytest.mark.parametrize("show_every", [1, 1000])
def test_a_rate_that_is_too_high(tmp_path, gradients, show_every):
    model = Autoencoder(pixels=9, hidden=(5,), latent=2, activation="none", output="none")
    run = Run(tmp_path, model, gradients, show_every=show_every, optimizer=optim.SGD, rate=1e4)
    # That no warning of NumPy's reaches the user is tested too: warnings are errors here.
    with pytest.raises(
        Diverged, match=r"the loss became (nan|inf): at step \d+, .* made "
    ) as error:
        run.fit()
    assert_last_good(run, error, 0)


@pytest.mark.parametrize("gradients", ["autograd", "by-hand"])
@pytest.mark.parametrize("show_every", [1, 4, 1000])
@pytest.mark.parametrize("step", [0, 1, PER_EPOCH - 1, PER_EPOCH, PER_EPOCH + 2, STEPS - 1])
def test_nan_in_the_data_of_one_step(tmp_path, monkeypatch, gradients, show_every, step):
    run = Run(tmp_path, NOISY, gradients, show_every=show_every)
    plant(monkeypatch, at=step)
    with pytest.raises(Diverged) as error:
        run.fit()
    where = f"at step {step + 1}, affine made"
    assert where in str(error.value) and "that were so already" in str(error.value)
    assert_last_good(run, error, step // PER_EPOCH * PER_EPOCH)


def plant(monkeypatch, at, value=np.nan):
    """The noise of one step gets a value that is not finite."""
    drawn = Trainer.draw

    def draw(trainer, batch):
        x, corrupted, masks = drawn(trainer, batch)
        if trainer.state.step == at:
            corrupted[0, 0] = value
        return x, corrupted, masks

    monkeypatch.setattr(Trainer, "draw", draw)


def test_labels_that_hold_nan_are_refused_before_the_first_step(tmp_path):
    labels = np.ones((42, 3), np.float32)
    labels[7, 2] = np.nan
    run = Run(tmp_path, learner=Noting)
    with pytest.raises(InputError, match=r"labels: 1 of 126 values .* row 7, column 2"):
        run.fit(labels=labels)
    assert not run.run_dir.checkpoint.exists()


class Script:
    """A model of a user's own script, which has a loss and no more."""

    def draw(self, x, generator, step):
        return (x,)


@pytest.mark.parametrize("by", ["autograd", "hand"])
def test_a_model_without_gradients_of_its_own_diverges_in_a_sentence(tmp_path, by):
    def loss(p, x):
        return tg.sum(tg.exp(1e4 * p["W"]) * x)

    def by_hand(p, x, out):
        out.flat[...] = np.inf
        return np.float32(np.inf), out

    p = tg.Parameters.zeros({"W": (9,)}, np.float32, NUMPY)
    p["W"][...] = 1
    gradients = value_and_grad(loss) if by == "autograd" else by_hand
    learner = SingleLossLearner(Script(), p, optim.SGD, gradients)
    plan = Plan(1, BATCH, 0, 5, optim.constant(0.1), {})
    run_dir = RunDir(tmp_path)
    run_dir.open()
    trainer = Trainer(learner, plan, run_dir, Progress(1, {}, quiet=True), NUMPY)
    words = {"autograd": "at step 1, exp made 9 of", "hand": "the update of step 1 made W NaN or"}
    with pytest.raises(Diverged, match=f"the loss became (inf|nan): {words[by]}"):
        trainer.fit(IMAGES, dict)


def test_an_infinite_loss(tmp_path):
    model = Autoencoder(pixels=9, hidden=(5,), latent=2, output="none")
    run = Run(tmp_path, model, show_every=1)
    run.learner.parameters["decoder.b2"][...] = 1e30  # its square is more than a float32 can hold
    with pytest.raises(Diverged, match="the loss became inf: at step 1, mse made 1 of 1") as error:
        run.fit()
    assert_last_good(run, error, 0)


@pytest.mark.parametrize("last", [PER_EPOCH, 2 * PER_EPOCH - 3])
def test_nan_that_only_the_update_makes(tmp_path, last):
    """The loss is finite to the end; but what would be saved is not."""
    run = Run(tmp_path, show_every=1000,
              schedule=lambda step: 1e-2 if step < last - 1 else math.inf)  # fmt: skip
    # At the end of an epoch, or where Ctrl-C asks for a checkpoint.
    disturb = press_at({last - 1} if last % PER_EPOCH else ())
    with pytest.raises(Diverged) as error:
        run.fit(disturb)
    sentence = f"a parameter became NaN or infinite: the update of step {last} made encoder.W1"
    assert sentence in str(error.value)
    assert_last_good(run, error, (last - 1) // PER_EPOCH * PER_EPOCH)


def test_a_fault_in_the_hand_written_gradient_alone(tmp_path):
    run = Run(tmp_path, show_every=1)

    def broken(parameters, x, *noise, out):
        loss, gradients = value_and_grad(run.model.loss)(parameters, x, *noise, out=out)
        return loss * (np.nan if run.state.step == 7 else 1), gradients

    run.learner.gradients = broken
    with pytest.raises(Diverged, match="before step 8, though autograd's own steps stay finite"):
        run.fit()


@pytest.mark.parametrize("value", [math.nan, math.inf, np.float32("nan")])
def test_test_figures_that_are_not_finite(tmp_path, value):
    run = Run(tmp_path)
    run.evaluate = lambda: {"test_mse": value if run.state.history else 0.1}
    with pytest.raises(Diverged, match=f"after epoch 2 test_mse is {value}") as error:
        run.fit()
    assert_last_good(run, error, PER_EPOCH)


def test_after_nan_the_run_can_go_on_from_the_good_checkpoint(tmp_path, monkeypatch):
    straight = Run(tmp_path / "straight", NOISY).fit().end
    with monkeypatch.context() as context:
        plant(context, at=PER_EPOCH + 1)
        with pytest.raises(Diverged):
            Run(tmp_path / "x", NOISY).fit()
    assert Run(tmp_path / "x", NOISY).resume().fit().end == straight


def test_numpy_warns_again_after_the_loop(tmp_path):
    before = np.geterr()
    Run(tmp_path).fit()
    assert np.geterr() == before


# Labels, whole batches, and figures that not every step has.


class Noting(SingleLossLearner):
    """A learner that changes nothing, and remembers what it was given."""

    figures = {"loss": "loss", "now_and_then": "now"}  # noqa: RUF012  nobody writes it

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.seen, self.drawn = [], None

    def draw(self, x, generator, step, *labels):
        self.drawn = step
        return x, *labels

    def step(self, data, rate):
        self.seen.append(data)
        figures = {"loss": data[0][0, 0] * 0 + len(data[0])}
        if len(self.seen) % 2 == 0:
            figures["now_and_then"] = data[0][0, 0] * 0 + len(self.seen)
        return figures

    def watched(self):
        return self


def noted(folder, labels=None, backend=NUMPY, **changes):
    run = Run(folder, backend=backend, learner=Noting, **changes)
    run.evaluate = dict
    run.fit(labels=None if labels is None else backend.asarray(labels))
    return run, [[backend.to_numpy(a) for a in data] for data in run.learner.seen]


@pytest.mark.parametrize("width", [(), (3,)])
def test_a_batchs_labels_are_those_of_its_images(tmp_path, backend, width):
    x = IMAGES.reshape(42, 9).astype(np.float32) / np.float32(255)
    number = {row.tobytes(): k for k, row in enumerate(x)}
    labels = np.arange(42 * int(np.prod(width)), dtype=np.float32).reshape(42, *width)
    _, seen = noted(tmp_path, labels, backend)
    assert len(seen) == STEPS
    for images, given in seen:
        of = [number[row.tobytes()] for row in images]
        np.testing.assert_array_equal(given, labels[of])
    for epoch in range(EPOCHS):
        given = np.concatenate([t for _, t in seen[epoch * PER_EPOCH : (epoch + 1) * PER_EPOCH]])
        assert sorted(given.ravel()) == sorted(labels.ravel()), "each label once in an epoch"


def test_without_labels_none_are_drawn(tmp_path):
    _, seen = noted(tmp_path)
    assert all(len(data) == 1 for data in seen)


def test_an_epoch_may_leave_out_what_fills_no_batch(tmp_path):
    run, seen = noted(tmp_path / "whole", drop_last=True)
    assert (
        run.trainer.plan.steps(42) == 5
        and run.trainer.plan.steps(48) == 6
        and run.trainer.plan.steps(47) == 5
    )
    assert [len(x) for (x,) in seen] == [BATCH] * 15
    assert [row["step"] for row in run.state.history] == [5, 10, 15]
    run, all_seen = noted(tmp_path / "all")
    assert run.trainer.plan.steps(42) == run.trainer.plan.steps(48) == 6
    # The batches are the same but for the last one, and other images are left out in each epoch.
    for step, (x,) in enumerate(seen):
        np.testing.assert_array_equal(x, all_seen[step // 5 * 6 + step % 5][0])
    left = {x.tobytes() for (x,) in all_seen if len(x) != BATCH}
    assert len(left) == EPOCHS


def test_a_figures_mean_is_over_the_steps_that_had_it(tmp_path):
    run, _ = noted(tmp_path)
    sizes = [8, 8, 8, 8, 8, 2]
    for epoch, row in enumerate(run.state.history):
        # Weighed by how many images a step had.
        assert row["train_loss"] == pytest.approx(sum(n * n for n in sizes) / 42, rel=1e-6)
        steps = [(6 * epoch + k, sizes[k - 1]) for k in (2, 4, 6)]
        expected = sum(k * n for k, n in steps) / sum(n for _, n in steps)
        assert row["train_now_and_then"] == pytest.approx(expected, rel=1e-6)


def test_a_figure_whose_sum_is_too_large(tmp_path, monkeypatch):
    right = Noting.step

    def step(self, data, rate):
        figures = right(self, data, rate)
        return {**figures, "loss": np.float32(1e38)} if self.drawn == 8 else figures

    monkeypatch.setattr(Noting, "step", step)
    with pytest.raises(Diverged, match="at step 9 the loss is too large to add up") as error:
        noted(tmp_path)
    assert error.value.checkpoint.is_relative_to(tmp_path)
    assert Run(tmp_path).resume().state.step == PER_EPOCH


def test_totals_count_the_images_of_each_figure_and_survive_a_checkpoint(tmp_path):
    run = Run(tmp_path)
    state = run.state
    state.add({"a": np.float32(0.1), "b": np.float32(2)}, 8)
    state.add({"a": np.float32(0.3)}, 2)
    assert [seen for _, seen in state.totals.values()] == [10, 8]
    means = state.means()
    assert means["train_a"] == pytest.approx((0.8 + 0.6) / 10, rel=1e-6)
    assert means["train_b"] == 2
    run.trainer.save()
    again = Run(tmp_path).resume().state
    assert again.totals == state.totals
    assert {type(x) for x, _ in again.totals.values()} == {np.float32}


@pytest.mark.parametrize(("epochs", "most"), [(1, 60), (7, 3), (60, 60), (100, 60), (200, 7)])
def test_a_film_has_its_frames_evenly_and_the_last_epoch_always(tmp_path, epochs, most):
    plan = Run(tmp_path, epochs=epochs).trainer.plan
    frames = [epoch for epoch in range(1, epochs + 1) if plan.has_frame(epoch, most)]
    assert len(frames) == min(most, epochs) and frames[-1] == epochs
    gaps = np.diff([0, *frames])
    assert gaps.max() - gaps.min() <= 1


# What a run leaves behind.


def test_the_rows(tmp_path):
    run = Run(tmp_path).fit()
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert rows == run.state.history
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert [row["step"] for row in rows] == [6, 12, 18]
    assert [row["rate"] for row in rows] == [run.trainer.plan.schedule(s - 1) for s in (6, 12, 18)]
    seconds = [row["seconds"] for row in rows]
    assert seconds == sorted(seconds) and seconds[0] > 0
    assert run.state.seconds >= seconds[-1] - 1e-3


def test_the_training_loss_is_the_mean_over_the_images(tmp_path):
    run = Run(tmp_path, dtype=np.float64, rate=1e-300)  # parameters do not move
    run.fit()
    x = IMAGES.reshape(-1, 9) / 255
    expected = float(PLAIN.loss(run.learner.parameters, x))
    for row in run.state.history:  # also with the last batch, which is smaller
        assert row["train_loss"] == pytest.approx(expected, rel=1e-12)


def test_seconds_add_up_over_a_resume(tmp_path):
    with pytest.raises(Interrupted):
        Run(tmp_path).fit(press_at({9}))
    run = Run(tmp_path).resume()
    run.state.seconds = before = 1000.0
    run.fit()
    assert before < run.state.history[-1]["seconds"] < before + 60


def test_a_new_run_takes_the_place_of_a_finished_one(tmp_path):
    Run(tmp_path).fit()
    (tmp_path / "summary.json").write_text("{}")
    run = Run(tmp_path)
    with pytest.raises(Crash):
        run.fit(lambda step: (_ for _ in ()).throw(Crash))
    assert not run.run_dir.summary.exists() and rows(run.run_dir) == []
    assert Run(tmp_path).resume().state.step == 0


def test_a_new_run_that_cannot_save_loses_nothing_of_a_finished_one(tmp_path, monkeypatch):
    Run(tmp_path).fit()
    (tmp_path / "summary.json").write_text("{}")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    run = Run(tmp_path)

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        run.fit()
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
