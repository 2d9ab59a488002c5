"""The trainer: one step of the learner for each batch; a checkpoint after every epoch.

Everything that changes during training belongs to the learner or is in `State`, and all randomness
is derived from ``(seed, epoch)`` or ``(seed, step)``. So a run that was interrupted anywhere
continues to the same end, bit for bit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from tinygen.autograd.nan_check import count_nonfinite
from tinygen.backend import Array, Backend
from tinygen.data.batches import as_floats, epoch_order, index_batches, require_finite
from tinygen.errors import InputError
from tinygen.models.options import option_for_any_numbers
from tinygen.models.serialization import describe
from tinygen.training import checkpoint, stopping
from tinygen.training.learners.learner import Learner
from tinygen.training.nan_search import first_fault
from tinygen.training.plan import Plan
from tinygen.training.progress import Progress
from tinygen.training.run_dir import RunDir
from tinygen.training.state import State
from tinygen.training.threads import enough_threads

Batch = tuple[Array, ...]
"""Images ``(n, d)`` as floats, and their labels, if there are any."""


class Ended(Exception):
    """A run has ended early.

    Attributes:
        checkpoint: the last good one, if there is one; whoever started the run, `tinygen.fit` or a
            command, must say what can be done with it.
    """

    def __init__(self, *message: str, checkpoint: Path | None = None) -> None:
        super().__init__(*message)
        self.checkpoint = checkpoint


class Interrupted(Ended):
    """The run was asked to stop, for instance by Ctrl-C, and was saved.

    >>> import numpy as np
    >>> import tinygen as tg
    >>> from tinygen.training import stopping
    >>> model, x = tg.Autoencoder(pixels=4, hidden=(3,), latent=1), np.eye(4, dtype=np.float32)
    >>> stopping.requested.set()  # as if Ctrl-C had been pressed
    >>> try:
    ...     tg.fit(model, x, epochs=1, batch_size=4, quiet=True)
    ... except tg.training.Interrupted as interrupted:
    ...     print(interrupted)
    ... finally:
    ...     stopping.requested.clear()
    stopped after step 0 of 1; it left nothing behind
    """


class Diverged(Ended):
    """A number became NaN or infinite; the message says which op made it so.

    >>> import numpy as np
    >>> import tinygen as tg
    >>> model, x = tg.Autoencoder(pixels=4, hidden=(3,), latent=1), np.eye(4, dtype=np.float32)
    >>> try:
    ...     tg.fit(model, x, batch_size=4, rate=1e30, quiet=True)
    ... except tg.training.Diverged as diverged:
    ...     print(str(diverged).partition(":")[0])
    a parameter became NaN or infinite
    """


class Trainer:
    """Trains a learner, and saves how far it is after every epoch.

    Args:
        learner: a model with its parameters and optimisers; it defines a step.
        plan: how to train, and for how long.
        run_dir: the folder for the checkpoint and for the rows of the epochs.
        progress: shows a bar while an epoch is trained, and a line after it.
        backend: where images and parameters are.
        noted: the context in which it trains, with a function that says whether to stop.

    Attributes:
        state: how far the run is.

    Two epochs, each of two batches; then a second trainer continues from the checkpoint:

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> import tinygen as tg
    >>> from tinygen import optim
    >>> from tinygen.backend import get_backend
    >>> from tinygen.training import SingleLossLearner
    >>> model = tg.Autoencoder(pixels=4, hidden=(3,), latent=1)
    >>> def trainer(folder, epochs):
    ...     p, backend = model.initialise(seed=0), get_backend("numpy")
    ...     learner = SingleLossLearner(model, p, tg.Adam, model.gradients("by-hand"))
    ...     plan = Plan(epochs, 2, seed=0, show_every=50, schedule=optim.constant(0.01), config={})
    ...     progress = Progress(epochs, {}, quiet=True)
    ...     return Trainer(learner, plan, RunDir(Path(folder)), progress, backend)
    >>> with TemporaryDirectory() as folder:
    ...     trainer(folder, epochs=2).fit(np.eye(4, dtype=np.float32), evaluate=dict)
    ...     resumed = trainer(folder, epochs=3)
    ...     resumed.restore()
    ...     print(resumed.state.step, len(resumed.state.history))
    4 2
    """

    def __init__(
        self,
        learner: Learner,
        plan: Plan,
        run_dir: RunDir,
        progress: Progress,
        backend: Backend,
        noted: stopping.Noted = stopping.noted,
    ) -> None:
        self.learner, self.plan, self.run_dir = learner, plan, run_dir
        self.progress, self.backend, self.noted = progress, backend, noted
        self.state = State()
        self._start = time.perf_counter()

    def fit(
        self,
        images: Array,
        evaluate: Callable[[], dict[str, float]],
        labels: Array | None = None,
    ) -> None:
        """Train until `plan.epochs` epochs are in `state.history`.

        Args:
            images: ``(n, h, w)`` uint8 on `backend`, or rows ``(n, d)`` of floats.
            evaluate: figures on the test set, for the row of an epoch.
            labels: ``(n, ...)`` on `backend`; a batch's go with it to ``learner.draw``.

        Raises:
            Interrupted: after Ctrl-C, SIGTERM or SIGHUP, with a checkpoint saved.
            Diverged: the loss is not finite; the last good checkpoint stays.
            InputError: `state` was restored from a checkpoint of another run, no batch is full, or
                `images` hold what the model cannot learn: NaN, or 200 where its outputs are in
                [0, 1].
        """
        require_finite("images", images, option_for_any_numbers(self.learner.model))
        if labels is not None:
            require_finite("labels", labels)
        self.images, self.labels = images, labels
        self.steps_per_epoch = self.plan.steps(len(images))
        if not self.steps_per_epoch:
            size = self.plan.batch_size
            raise InputError(f"{len(images)} images are too few for a batch of {size}")
        self._refuse_other_run()
        self._start = time.perf_counter() - self.state.seconds
        if not self.state.step:
            self.save()
            self.run_dir.forget_summary()  # of an earlier run, which this one replaces
        # The last row is missing if the process was killed before it was written.
        self.run_dir.write_history(self.state.history)
        # NumPy need not warn of overflow: the trainer itself looks for NaN and infinity.
        with (
            self.noted() as self.interrupted,
            enough_threads(self.learner, self.plan.batch_size),
            np.errstate(all="ignore"),
        ):
            while len(self.state.history) < self.plan.epochs and not self.interrupted():
                self._train_epoch()
                self._end_epoch(evaluate())
        if self.interrupted():  # here, so that a request in the last epoch counts too
            raise self._stopped()

    def save(self) -> None:
        """Write a checkpoint; the previous one stays until it is complete."""
        self.state.seconds = self._seconds()
        about = {
            "model": describe(self.learner.model),
            "data": self.plan.data,
            "plan": self.plan.batches(),
        }
        path, config = self.run_dir.checkpoint, self.plan.config
        self.state.save(path, self.learner, self.backend, config, about)

    def restore(self) -> None:
        """Go back to the checkpoint.

        Raises:
            InputError: it is damaged, of another model, or of a run with other batches; then
                nothing has changed.
        """
        saved, now = checkpoint.read_meta(self.run_dir.checkpoint).get("plan"), self.plan.batches()
        if saved not in (None, now):  # older checkpoints do not say
            raise InputError(
                f"{self.run_dir.checkpoint}: the checkpoint is of a run with {_listed(saved)}; "
                f"expected {_listed(now)}"
            )
        self.state.restore(self.run_dir.checkpoint, self.learner, self.backend)

    # An epoch.

    def _train_epoch(self) -> None:
        """Take the steps that are left in the epoch, all of them unless it was interrupted."""
        state, done = self.state, self._steps_into_epoch()
        if not done:
            state.totals = {}
        epoch, seen = len(state.history), done * self.plan.batch_size
        with closing(self.progress.epoch(epoch, len(self.images), seen)) as bar:
            for batch in self.batches():
                figures = self._step(batch)
                bar.update(len(batch[0]))
                if state.step % self.plan.show_every == 0:
                    bar.show(self._shown(figures))
                if self.interrupted():
                    self._refuse_nonfinite()
                    self.save()
                    raise self._stopped()
        self._refuse_nonfinite()

    def _end_epoch(self, test_figures: dict[str, float]) -> None:
        """Write the row of the epoch and a checkpoint."""
        state = self.state
        row = {
            "epoch": len(state.history) + 1,
            "step": state.step,
            **state.means(),
            **test_figures,
            "rate": self.plan.schedule(state.step - 1),
            "seconds": round(self._seconds(), 3),
        }
        self._refuse_nonfinite_row(row)
        state.history.append(row)
        self.save()
        self.run_dir.write_history(state.history)
        self.progress.row(row)

    def batches(self) -> Iterator[Batch]:
        """The batches that are left in the epoch."""
        plan, images, labels = self.plan, self.images, self.labels
        order = self.backend.asarray(epoch_order(len(images), plan.seed, len(self.state.history)))
        first, last = self._steps_into_epoch(), self.steps_per_epoch
        order = order[first * plan.batch_size : last * plan.batch_size]
        for index in index_batches(order, plan.batch_size):
            x = as_floats(images[index], self.learner.parameters.flat.dtype)
            yield (x,) if labels is None else (x, labels[index])

    def _steps_into_epoch(self) -> int:
        """Not 0 if a run was resumed in the middle of an epoch."""
        return self.state.step - len(self.state.history) * self.steps_per_epoch

    # A step.

    def _step(self, batch: Batch) -> dict[str, Array]:
        state = self.state
        figures = self.learner.step(self.draw(batch), self.plan.schedule(state.step))
        state.add(figures, len(batch[0]))
        state.step += 1
        return figures

    def draw(self, batch: Batch) -> Any:
        """The data of a step; its draws depend on nothing but the seed and the step."""
        (x, *labels), step = batch, self.state.step
        generator = self.backend.generator((self.plan.seed, 1, step))
        return self.learner.draw(x, generator, step, *labels)

    def _shown(self, figures: dict[str, Array]) -> dict[str, float]:
        """The figures of a step that the bar shows; a step may not have all of them."""
        labels = self.learner.figures.items()
        return {label: self._number(k, figures[k]) for k, label in labels if k in figures}

    def _number(self, name: str, figure: Array) -> float:
        """A figure as a number; this waits for a GPU."""
        value = float(figure)
        if not math.isfinite(value):
            raise self._diverged(f"the {name.replace('_', ' ')} became {value}")
        return value

    # Only finite numbers are saved.

    def _refuse_nonfinite(self) -> None:
        for name, (total, _) in self.state.totals.items():
            self._number(name, total)
        if count_nonfinite(self.learner.parameters.flat):
            raise self._diverged("a parameter became NaN or infinite")

    def _refuse_nonfinite_row(self, row: dict[str, Any]) -> None:
        for key, value in row.items():
            if not math.isfinite(value):
                raise Diverged(
                    f"after epoch {row['epoch']} {key} is {value}, though all parameters are "
                    "finite",
                    checkpoint=self.run_dir.checkpoint,
                )

    def _diverged(self, what: str) -> Diverged:
        """The error for a number that is not finite; it names the first op that made one."""
        return Diverged(f"{what}: {first_fault(self)}", checkpoint=self.run_dir.checkpoint)

    def _refuse_other_run(self) -> None:
        """A checkpoint must lie within this plan and have the figures that are shown."""
        state, path, per_epoch = self.state, self.run_dir.checkpoint, self.steps_per_epoch
        epochs, done = len(state.history), self._steps_into_epoch()
        most = per_epoch if epochs < self.plan.epochs else 0
        if epochs > self.plan.epochs or not 0 <= done <= most:
            raise checkpoint.damaged(
                path, f"step {state.step} after {epochs} epochs of {per_epoch} steps"
            )
        shown = [*self.progress.columns, *(f"train_{name}" for name in self.learner.figures)]
        if any(key not in row for row in state.history for key in shown):
            raise checkpoint.damaged(path, "its history lacks figures")
        if any(name not in self.learner.figures for name in state.totals):
            raise checkpoint.damaged(path, "it has figures of another kind of model")

    def _seconds(self) -> float:
        """Training time, that of earlier processes included."""
        return time.perf_counter() - self._start

    def _stopped(self) -> Interrupted:
        last = self.plan.epochs * self.steps_per_epoch
        what = f"stopped after step {self.state.step} of {last}"
        return Interrupted(what, checkpoint=self.run_dir.checkpoint)


def _listed(plan: Any) -> str:
    return ", ".join(f"{k} {x}" for k, x in plan.items()) if isinstance(plan, dict) else str(plan)
