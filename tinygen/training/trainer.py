"""The training loop: batches in, gradients out, an update; a checkpoint after every epoch.

Everything that changes while training is in `State`, and all randomness is derived from
``(seed, epoch)`` or ``(seed, step)``. So a run that was interrupted anywhere goes on to the same
end, bit for bit.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygen.autograd import NonFiniteError, stop_at_nonfinite
from tinygen.autograd.nan_check import count_nonfinite
from tinygen.backend import Array, Backend
from tinygen.data.batches import as_floats, epoch_order, index_batches
from tinygen.models.serialization import described
from tinygen.optim import Schedule
from tinygen.training import checkpoint
from tinygen.training.learners.single_step import Learner
from tinygen.training.progress import Progress
from tinygen.training.run_dir import Record
from tinygen.training.state import State


class Interrupted(Exception):
    """The user pressed Ctrl-C; a checkpoint was saved. The message says where."""


class Diverged(Exception):
    """A number became NaN or infinite; the message says which op made it so."""


@dataclass(frozen=True)
class Plan:
    """How long and how to train.

    Attributes:
        epochs, batch_size, seed: as on the command line.
        show_every: steps between two looks at the loss, the only times when a GPU is waited for.
        schedule: the learning rate of each step.
        config: written into the checkpoint; a run can only be resumed with the same.
        whole: an epoch leaves out its last images if they do not fill a batch.
        data: what the checkpoint says of the images.
    """

    epochs: int
    batch_size: int
    seed: int
    show_every: int
    schedule: Schedule
    config: dict[str, Any]
    whole: bool = False
    data: dict[str, Any] = field(default_factory=dict)

    def steps(self, n: int) -> int:
        """Steps of an epoch over n images."""
        return n // self.batch_size if self.whole else math.ceil(n / self.batch_size)

    def films(self, epoch: int, most: int) -> bool:
        """Whether an epoch, counted from 1, gives a frame of a film of at most so many."""
        frames = min(most, self.epochs)
        return frames * epoch // self.epochs > frames * (epoch - 1) // self.epochs


def fit(
    state: State,
    learner: Learner,
    images: Array,
    plan: Plan,
    evaluate: Callable[[], dict[str, float]],
    record: Record,
    progress: Progress,
    backend: Backend,
    labels: Array | None = None,
) -> None:
    """Train until `plan.epochs` epochs are in `state.history`.

    Args:
        state: where to begin; changed in place.
        learner: what a step is.
        images: ``(n, h, w)`` uint8 on `backend`, or rows ``(n, d)`` of floats.
        evaluate: figures on the test set, for the row of an epoch.
        labels: ``(n, ...)`` on `backend`; those of a batch go with it to ``learner.draw``.

    Raises:
        Interrupted: after Ctrl-C, with a checkpoint saved.
        Diverged: the loss is not finite; the last good checkpoint stays.
    """
    n = len(images)
    per_epoch = plan.steps(n)
    _refuse_misplaced(state, plan, per_epoch, record, list(progress.columns), learner)
    began = time.perf_counter() - state.seconds

    def batches_of(epoch: int, done: int) -> Iterator[tuple[Array, ...]]:
        """What is left of an epoch after `done` steps of it."""
        order = backend.asarray(epoch_order(n, plan.seed, epoch))
        order = order[done * plan.batch_size : per_epoch * plan.batch_size]
        for index in index_batches(order, plan.batch_size):
            x = as_floats(images[index], state.parameters.flat.dtype)
            yield (x,) if labels is None else (x, labels[index])

    def number(name: str, figure: Array) -> float:
        """A figure as a number, which waits for a GPU."""
        value = float(figure)
        if not math.isfinite(value):
            raise diverged(f"the {name.replace('_', ' ')} became {value}")
        return value

    def diverged(what: str) -> Diverged:
        """Go back to the last checkpoint, which is good, to find the first fault."""
        bad = state.step
        state.restore(record, backend)
        epoch = len(state.history)
        left = batches_of(epoch, state.step - epoch * per_epoch)
        why = _first_fault(state, bad, learner.watched(), left, plan, backend)
        return Diverged(
            f"{what}: {why}; {record.checkpoint} is the last good one, "
            "and --restart with a lower --lr may get further"
        )

    def check() -> None:
        """To be called before a save, since only what is finite may be saved."""
        for name, (total, _) in state.totals.items():
            number(name, total)
        if count_nonfinite(state.parameters.flat):
            raise diverged("a parameter became NaN or infinite")

    def save() -> None:
        state.seconds = time.perf_counter() - began
        about = {"model": described(learner.model), "data": plan.data}
        state.save(record, backend, plan.config, about)

    def stopped() -> Interrupted:
        return Interrupted(
            f"stopped after step {state.step} of {plan.epochs * per_epoch}; "
            f"{record.checkpoint} is saved, the same command with --resume goes on"
        )

    if not state.step:
        save()
        record.forget_summary()  # of an earlier run, which the new one now takes the place of
    record.write_history(state.history)  # its last row is missing if the process was killed there
    # NumPy need not warn of overflow: the loop looks for NaN and infinity itself.
    with _interrupt_asked() as asked, np.errstate(all="ignore"):
        while len(state.history) < plan.epochs:
            epoch = len(state.history)
            done = state.step - epoch * per_epoch  # not 0 when resumed within an epoch
            if not done:
                state.totals = {}
            with closing(progress.epoch(epoch, n, done * plan.batch_size)) as bar:
                for batch in batches_of(epoch, done):
                    data = _data(learner, batch, plan.seed, state.step, backend)
                    figures = learner.step(state, data, plan.schedule(state.step))
                    state.add(figures, len(batch[0]))
                    state.step += 1
                    bar.update(len(batch[0]))
                    if state.step % plan.show_every == 0:
                        shown = learner.figures.items()
                        bar.show({s: number(k, figures[k]) for k, s in shown if k in figures})
                    if asked():
                        check()
                        save()
                        raise stopped()
            check()
            row = {
                "epoch": epoch + 1,
                "step": state.step,
                **state.means(),
                **evaluate(),
                "rate": plan.schedule(state.step - 1),
                "seconds": round(time.perf_counter() - began, 3),
            }
            _refuse_nonfinite_figures(row, record)
            state.history.append(row)
            save()
            record.write_history(state.history)
            progress.row(row)
            if asked():
                raise stopped()


def _data(
    learner: Learner, batch: tuple[Array, ...], seed: int, step: int, backend: Backend
) -> Any:
    """What one step takes; its draws depend on nothing but the seed and the step."""
    x, *labels = batch
    return learner.draw(x, backend.generator((seed, 1, step)), step, *labels)


def _first_fault(
    state: State,
    bad: int,
    watched: Learner,
    left: Iterator[tuple[Array, ...]],
    plan: Plan,
    backend: Backend,
) -> str:
    """Repeat the steps up to number `bad`, looking at the result of every op."""
    for batch in left:
        if state.step == bad:
            break
        data = _data(watched, batch, plan.seed, state.step, backend)
        try:
            with stop_at_nonfinite():
                figures = watched.step(state, data, plan.schedule(state.step))
        except NonFiniteError as error:
            # What one player's update made would else be told as the other's fault.
            return _overflown(state) or f"at step {state.step + 1}, {error}"
        if told := _overflown(state):
            return told
        state.step += 1
        state.add(figures, len(batch[0]))
        for name, (total, _) in state.totals.items():
            if not math.isfinite(float(total)):
                return f"at step {state.step} the {name.replace('_', ' ')} is too large to add up"
    return f"somewhere before step {bad}, though autograd's own steps stay finite"


def _overflown(state: State) -> str:
    """A sentence on the first parameter that the step, not counted yet, made NaN or infinite."""
    for name, values in state.parameters.items():
        if count_nonfinite(values):
            return f"the update of step {state.step + 1} made {name} NaN or infinite"
    return ""


def _refuse_nonfinite_figures(row: dict[str, Any], record: Record) -> None:
    for key, value in row.items():
        if not math.isfinite(value):
            raise Diverged(
                f"after epoch {row['epoch']} {key} is {value}, though all parameters are finite; "
                f"{record.checkpoint} is the last good one"
            )


def _refuse_misplaced(
    state: State,
    plan: Plan,
    per_epoch: int,
    record: Record,
    columns: list[str],
    learner: Learner,
) -> None:
    """A checkpoint must lie within this plan, and its history have the figures that are shown."""
    epochs = len(state.history)
    done = state.step - epochs * per_epoch
    if epochs > plan.epochs or not 0 <= done <= (per_epoch if epochs < plan.epochs else 0):
        raise checkpoint.damaged(
            record.checkpoint, f"step {state.step} after {epochs} epochs of {per_epoch} steps"
        )
    columns = [*columns, *(f"train_{name}" for name in learner.figures)]
    if any(key not in row for row in state.history for key in columns):
        raise checkpoint.damaged(record.checkpoint, "its history lacks figures")
    if not set(state.totals) <= set(learner.figures):
        raise checkpoint.damaged(record.checkpoint, "it has figures of another kind of model")


@contextmanager
def _interrupt_asked() -> Iterator[Callable[[], bool]]:
    """A function that says whether Ctrl-C was pressed; a second Ctrl-C stops at once."""
    pressed: list[int] = []

    def handler(number: int, frame: Any) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(number)

    try:
        before = signal.signal(signal.SIGINT, handler)
    except ValueError:  # not in the main thread, where signals do not arrive
        yield lambda: False
        return
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, before)
