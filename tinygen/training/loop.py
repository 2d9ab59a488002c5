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
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tinygen.autograd import NonFiniteError, stop_at_nonfinite, value_and_grad
from tinygen.autograd.finite import count_nonfinite
from tinygen.backend import Array, Backend
from tinygen.data.batches import batches, epoch_order
from tinygen.errors import InputError
from tinygen.optim import Optimizer, Schedule
from tinygen.parameters import Parameters
from tinygen.training import checkpoint
from tinygen.training.progress import Progress
from tinygen.training.record import Record

LossAndGrads = Callable[..., tuple[Array, Parameters]]
"""``(parameters, x, *noise, out=gradients) -> (loss, gradients)``, by autograd or by hand."""


class Interrupted(Exception):
    """The user pressed Ctrl-C; a checkpoint was saved. The message says where."""


class Diverged(Exception):
    """The loss is NaN or infinite; the message says which op made it so."""


@dataclass
class State:
    """All that changes while training.

    Attributes:
        parameters: of the model.
        optimizer: with its moments.
        step: how many updates were made.
        total: the sum of the losses of this epoch's batches, each times its images; 0-d.
        history: one row for each finished epoch.
        seconds: training time before this process, for a run that was resumed.
    """

    parameters: Parameters
    optimizer: Optimizer
    step: int = 0
    total: Any = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0

    def save(self, record: Record, backend: Backend, config: dict[str, Any]) -> None:
        """Write a checkpoint of everything; the one before survives until it is complete."""
        arrays = {"parameters": self.parameters.flat, **self.optimizer.state}
        host = {name: backend.to_numpy(array) for name, array in arrays.items()}
        meta = {
            "config": config,
            "shapes": self.parameters.shapes,
            "step": self.step,
            "total": float(self.total),
            "history": self.history,
            "seconds": self.seconds,
        }
        checkpoint.save(record.checkpoint, host, meta)

    def restore(self, record: Record, backend: Backend) -> None:
        """Go back to what the checkpoint says.

        Raises:
            InputError: it is damaged, or of another architecture.
        """
        vectors = {"parameters": self.parameters.flat, **self.optimizer.state}
        expected = {name: vector.shape for name, vector in vectors.items()}
        arrays, meta = checkpoint.load(record.checkpoint, expected)
        for name, vector in vectors.items():
            if arrays[name].dtype != vector.dtype:
                raise InputError(
                    f"{record.checkpoint}: {name} is {arrays[name].dtype}, expected {vector.dtype}"
                )
            vector[...] = backend.asarray(arrays[name])
        self.parameters.version += 1
        try:
            self.step = self.optimizer.steps = int(meta["step"])
            # A Python float holds a float32 exactly, and adds to one without widening it.
            self.total = float(meta["total"])
            self.history, self.seconds = list(meta["history"]), float(meta["seconds"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{record.checkpoint}: its description is damaged ({error})") from None


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
        model: offers ``loss`` (to find a fault in), ``is_random`` and ``draw`` (for noise).
        images: ``(n, h, w)`` uint8 on `backend`.
        evaluate: figures on the test set, for the row of an epoch.

    Raises:
        Interrupted: after Ctrl-C, with a checkpoint saved.
        Diverged: the loss is not finite; the last good checkpoint stays.
    """
    n = len(images)
    per_epoch = math.ceil(n / plan.batch_size)
    gradients = state.parameters.zeros_like()
    if not record.checkpoint.exists():
        state.save(record, backend, plan.config)
    began = time.perf_counter() - state.seconds
    with _interrupt_asked() as asked:
        while len(state.history) < plan.epochs:
            epoch = len(state.history)
            done = state.step - epoch * per_epoch  # not 0 when resumed within an epoch
            order = backend.asarray(epoch_order(n, plan.seed, epoch)[done * plan.batch_size :])
            if not done:
                state.total = 0.0
            bar = progress.epoch(epoch, n, done * plan.batch_size)
            for x in batches(images, order, plan.batch_size, dtype=state.parameters.flat.dtype):
                noise = _noise(model, x, plan.seed, state.step, backend)
                loss, _ = loss_and_grads(state.parameters, x, *noise, out=gradients)
                rate = plan.schedule(state.step)
                state.optimizer.update(state.parameters, gradients, rate)
                state.total = state.total + loss * len(x)
                state.step += 1
                bar.update(len(x))
                if state.step % plan.show_every == 0:
                    bar.show(_finite(loss, state, model, images, plan, record, backend))
                if asked():
                    _finite(state.total, state, model, images, plan, record, backend)
                    state.seconds = time.perf_counter() - began
                    state.save(record, backend, plan.config)
                    bar.close()
                    raise Interrupted(
                        f"stopped in epoch {epoch + 1} of {plan.epochs}, after step {state.step}; "
                        f"{record.checkpoint} is saved, go on with --resume"
                    )
            bar.close()
            total = _finite(state.total, state, model, images, plan, record, backend)
            _refuse_nonfinite_parameters(state)
            state.seconds = time.perf_counter() - began
            row = {
                "epoch": epoch + 1,
                "step": state.step,
                "train_loss": total / n,
                **evaluate(),
                "rate": rate,
                "seconds": round(state.seconds, 3),
            }
            state.history.append(row)
            state.save(record, backend, plan.config)
            record.write_history(state.history)
            progress.row(row)


def _noise(model: Any, x: Array, seed: int, step: int, backend: Backend) -> tuple[Any, ...]:
    """The draws of one step; they depend on nothing but the seed and the step."""
    if not model.is_random:
        return ()
    return model.draw(x, backend.generator((seed, 1, step)))


def _finite(
    loss: Array,
    state: State,
    model: Any,
    images: Array,
    plan: Plan,
    record: Record,
    backend: Backend,
) -> float:
    """The loss as a number, which waits for a GPU; if it is not finite, find out why and stop."""
    value = float(loss)
    if math.isfinite(value):
        return value
    bad = state.step
    state.restore(record, backend)
    why = _first_fault(state, bad, model, images, plan, backend)
    raise Diverged(f"the loss became {value}: {why}; {record.checkpoint} is the last good one")


def _refuse_nonfinite_parameters(state: State) -> None:
    if count_nonfinite(state.parameters.flat):
        raise Diverged(f"the update of step {state.step} made a parameter NaN or infinite")


def _first_fault(
    state: State, bad: int, model: Any, images: Array, plan: Plan, backend: Backend
) -> str:
    """Repeat the steps since the last checkpoint, looking at the result of every op."""
    per_epoch = math.ceil(len(images) / plan.batch_size)
    epoch = len(state.history)
    done = state.step - epoch * per_epoch
    order = backend.asarray(epoch_order(len(images), plan.seed, epoch)[done * plan.batch_size :])
    watched = value_and_grad(model.loss)
    for x in batches(images, order, plan.batch_size, dtype=state.parameters.flat.dtype):
        noise = _noise(model, x, plan.seed, state.step, backend)
        try:
            with stop_at_nonfinite():
                _, gradients = watched(state.parameters, x, *noise)
        except NonFiniteError as error:
            return f"at step {state.step + 1}, {error}"
        state.optimizer.update(state.parameters, gradients, plan.schedule(state.step))
        state.step += 1
        if count_nonfinite(state.parameters.flat):
            return f"the update of step {state.step} made a parameter NaN or infinite"
        if state.step > bad:
            break
    return f"somewhere before step {bad}, though autograd's own steps stay finite"


@contextmanager
def _interrupt_asked() -> Iterator[Callable[[], bool]]:
    """A function that says whether Ctrl-C was pressed; a second Ctrl-C stops at once."""
    pressed = []

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
