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
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygen.autograd import NonFiniteError, stop_at_nonfinite, value_and_grad
from tinygen.autograd.finite import count_nonfinite
from tinygen.backend import Array, Backend
from tinygen.data.batches import batches, epoch_order
from tinygen.optim import Schedule
from tinygen.parameters import Parameters
from tinygen.training import checkpoint
from tinygen.training.progress import Progress
from tinygen.training.record import Record
from tinygen.training.state import State

LossAndGrads = Callable[..., tuple[Array, Parameters]]
"""``(parameters, *data, out=gradients) -> (loss, gradients)``, by autograd or by hand."""


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
    """

    epochs: int
    batch_size: int
    seed: int
    show_every: int
    schedule: Schedule
    config: dict[str, Any]


def fit(
    state: State,
    loss_and_grads: LossAndGrads,
    model: Any,
    images: Array,
    plan: Plan,
    evaluate: Callable[[], dict[str, float]],
    record: Record,
    progress: Progress,
    backend: Backend,
) -> None:
    """Train until `plan.epochs` epochs are in `state.history`.

    Args:
        state: where to begin; changed in place.
        loss_and_grads: the gradient, by autograd or by hand.
        model: offers ``draw(x, generator, step)``, the data of a step on the images x, noise
            included; and ``loss``, to find a fault in.
        images: ``(n, h, w)`` uint8 on `backend`.
        evaluate: figures on the test set, for the row of an epoch.

    Raises:
        Interrupted: after Ctrl-C, with a checkpoint saved.
        Diverged: the loss is not finite; the last good checkpoint stays.
    """
    n = len(images)
    per_epoch = math.ceil(n / plan.batch_size)
    _refuse_misplaced(state, plan, per_epoch, record, list(progress.columns))
    gradients = state.parameters.zeros_like()
    began = time.perf_counter() - state.seconds

    def number(loss: Array) -> float:
        """The loss as a number, which waits for a GPU."""
        value = float(loss)
        if not math.isfinite(value):
            raise diverged(f"the loss became {value}")
        return value

    def diverged(what: str) -> Diverged:
        """Go back to the last checkpoint, which is good, to find the first fault."""
        bad = state.step
        state.restore(record, backend)
        why = _first_fault(state, bad, model, images, plan, backend)
        return Diverged(
            f"{what}: {why}; {record.checkpoint} is the last good one, "
            "and --restart with a lower --lr may get further"
        )

    def checked_total() -> float:
        """The loss so far; to be called before a save, since only what is finite may be saved."""
        total = number(state.total)
        if count_nonfinite(state.parameters.flat):
            raise diverged("a parameter became NaN or infinite")
        return total

    def save() -> None:
        state.seconds = time.perf_counter() - began
        state.save(record, backend, plan.config)

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
                state.total = state.parameters.flat.dtype.type(0)
            with closing(progress.epoch(epoch, n, done * plan.batch_size)) as bar:
                for x in _batches(images, plan, epoch, done, state, backend):
                    data = _data(model, x, plan.seed, state.step, backend)
                    loss, _ = loss_and_grads(state.parameters, *data, out=gradients)
                    rate = plan.schedule(state.step)
                    state.optimizer.update(state.parameters, gradients, rate)
                    state.total = state.total + loss * len(x)
                    state.step += 1
                    bar.update(len(x))
                    if state.step % plan.show_every == 0:
                        bar.show(number(loss))
                    if asked():
                        checked_total()
                        save()
                        raise stopped()
            row = {
                "epoch": epoch + 1,
                "step": state.step,
                "train_loss": checked_total() / n,
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


def _batches(
    images: Array, plan: Plan, epoch: int, done: int, state: State, backend: Backend
) -> Iterator[Array]:
    """What is left of an epoch after `done` steps of it."""
    order = backend.asarray(epoch_order(len(images), plan.seed, epoch)[done * plan.batch_size :])
    return batches(images, order, plan.batch_size, dtype=state.parameters.flat.dtype)


def _data(model: Any, x: Array, seed: int, step: int, backend: Backend) -> tuple[Any, ...]:
    """What the loss of one step takes; its draws depend on nothing but the seed and the step."""
    return model.draw(x, backend.generator((seed, 1, step)), step)


def _first_fault(
    state: State, bad: int, model: Any, images: Array, plan: Plan, backend: Backend
) -> str:
    """Repeat the steps up to number `bad`, looking at the result of every op."""
    epoch = len(state.history)
    done = state.step - epoch * math.ceil(len(images) / plan.batch_size)
    watched = value_and_grad(model.loss)
    for x in _batches(images, plan, epoch, done, state, backend):
        if state.step == bad:
            break
        data = _data(model, x, plan.seed, state.step, backend)
        try:
            with stop_at_nonfinite():
                _, gradients = watched(state.parameters, *data)
        except NonFiniteError as error:
            return f"at step {state.step + 1}, {error}"
        state.optimizer.update(state.parameters, gradients, plan.schedule(state.step))
        state.step += 1
        if count_nonfinite(state.parameters.flat):
            return f"the update of step {state.step} made a parameter NaN or infinite"
    return f"somewhere before step {bad}, though autograd's own steps stay finite"


def _refuse_nonfinite_figures(row: dict[str, Any], record: Record) -> None:
    for key, value in row.items():
        if not math.isfinite(value):
            raise Diverged(
                f"after epoch {row['epoch']} {key} is {value}, though all parameters are finite; "
                f"{record.checkpoint} is the last good one"
            )


def _refuse_misplaced(
    state: State, plan: Plan, per_epoch: int, record: Record, columns: list[str]
) -> None:
    """A checkpoint must lie within this plan, and its history have the figures that are shown."""
    if any(key not in row for row in state.history for key in columns):
        raise checkpoint.damaged(record.checkpoint, "its history lacks figures")
    epochs = len(state.history)
    done = state.step - epochs * per_epoch
    if epochs > plan.epochs or not 0 <= done <= (per_epoch if epochs < plan.epochs else 0):
        raise checkpoint.damaged(
            record.checkpoint, f"step {state.step} after {epochs} epochs of {per_epoch} steps"
        )


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
