"""Watches a GAN while it trains: samples, accuracy, a film, and warnings of what goes wrong."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from tinygen.backend import Array
from tinygen.commands.setup import Run
from tinygen.data import as_floats
from tinygen.errors import InputError
from tinygen.losses import one_hot
from tinygen.ops import concatenate, sigmoid
from tinygen.training import checkpoint
from tinygen.training.diagnostics import new_diagnoses
from tinygen.training.learners.adversarial_step import AdversarialLearner
from tinygen.training.progress import warn
from tinygen.training.state import State
from tinygen.training.trainer import Diverged, Trainer

FRAMES = 60
"""The most frames of a film."""


class GANMonitor:
    """Watches both players during training; an example decides what to show of them.

    Args:
        run: that of the example.
        learner: what is trained.

    Attributes:
        covered: the figure that says how much of the data is covered, such as "digits_covered".
        total: its best possible value.
    """

    covered: str
    total: int

    def __init__(self, run: Run, learner: AdversarialLearner) -> None:
        self.run, self.learner, self.model = run, learner, learner.model

    def figures(self) -> dict[str, float]:
        """The figures of an epoch, `covered` among them."""
        raise NotImplementedError

    def picture(self, film: Path, epoch: int) -> None:
        """Append an epoch's frame to the film at that path."""
        raise NotImplementedError

    def levels(self) -> dict[str, float]:
        """The losses of both players where D is 1/2 everywhere, if they are logarithms.

        So it is when the samples have the distribution of the data (Goodfellow et al. 2014); the
        penalty of "r1" is 0 there.
        """
        if self.model.smoothing or self.model.loss in ("least-squares", "wasserstein-gp"):
            return {}
        name, sign = ("-log 2", -1) if self.model.loss == "minimax" else ("log 2", 1)
        return {
            "log 4: discriminator at D = 1/2": math.log(4),
            f"{name}: generator at D = 1/2": sign * math.log(2),
        }

    def noise(self, n: int, stream: int) -> tuple[Array, Array | None]:
        """n rows of noise, and the classes in turn as labels ``(n, classes)``, or None.

        Args:
            stream: of the seed; a training step's draws are stream 1.
        """
        args, backend, classes = self.run.args, self.run.backend, self.model.classes
        generator = backend.generator((args.seed, stream))
        z = generator.standard_normal((n, self.model.latent), dtype=args.dtype)
        if not classes:
            return z, None
        return z, backend.asarray(one_hot(np.arange(n) % classes, classes, args.dtype))

    def samples(self, n: int, stream: int) -> Any:
        """n samples of the averaged generator, on the host: ``(n, pixels)``.

        Raises:
            Diverged: they are not finite. The trainer checks the weights, which may still be.
        """
        z, labels = self.noise(n, stream)
        with np.errstate(all="ignore"):  # as in training
            sample = self.model.sampler(self.learner.averaged_generator)
            pieces = [slice(k, k + 1000) for k in range(0, n, 1000)]
            images = [sample(z[k], None if labels is None else labels[k]) for k in pieces]
        x = np.concatenate([self.run.backend.to_numpy(piece) for piece in images])
        if not np.isfinite(x).all():
            raise Diverged(
                "the generator's images became NaN or infinite, though its weights are finite",
                checkpoint=self.run.run_dir.checkpoint,
            )
        return x

    def real_and_fake(self, most: int, stream: int) -> tuple[Array, Array, Array | None]:
        """What the discriminator sees in training, but with test images as the real ones.

        Returns:
            The first test images, the same number of fake ones, and the labels of both, or None.
        """
        data, backend, dtype = self.run.dataset, self.run.backend, self.run.args.dtype
        real = as_floats(backend.asarray(data.test_images[:most]), dtype)
        z, labels = self.noise(len(real), stream)
        if self.model.classes and data.test_labels is not None:
            shown = backend.asarray(data.test_labels[:most])
            labels = one_hot(shown, self.model.classes, dtype)
        return real, self.model.generate(self.learner.g, z, labels), labels

    def accuracy(self, most: int, stream: int) -> dict[str, float]:
        """The discriminator's accuracy on the real and on the fake images of `real_and_fake`."""
        return self.model.accuracy(self.learner.d, *self.real_and_fake(most, stream))

    def probability_of_real(self, points: Any, most: int, stream: int) -> Any:
        """How real the discriminator takes points to be: host ``(m, d) -> (m, 1)`` in [0, 1].

        A critic's values, which have no zero and no unit, are standardised first. Batch norm uses
        the statistics of `real_and_fake`, as in training, not those of the points. The model must
        have neither packs nor classes.
        """
        d, backend = self.learner.d, self.run.backend
        real, fake, _ = self.real_and_fake(most, stream)
        calibrated = self.model.calibrate(d, concatenate(real, fake, axis=0))
        x = backend.asarray(points, self.run.args.dtype)
        a = backend.to_numpy(self.model.logits(d, x, calibrated=calibrated))
        if self.model.loss == "wasserstein-gp":
            a = (a - a.mean()) / (a.std() + 1e-12)  # it may be flat
        return (a if self.model.loss == "least-squares" else sigmoid(a)).clip(0, 1)


def train(monitor: GANMonitor) -> Trainer:
    """Train both players on the data of the run, or resume it; draw a film, and print warnings.

    Raises:
        InputError: the generator would never move, or a checkpoint is of another run.
    """
    run, learner, model = monitor.run, monitor.learner, monitor.model
    data, backend, labels = run.dataset, run.backend, None
    steps = run.plan.steps(len(data.train_images))
    if learner.critic_steps > steps:
        raise InputError(
            f"--critic-steps {learner.critic_steps}: an epoch has only {steps} steps, in none of "
            "which the generator would move"
        )
    trainer, film = run.trainer(learner), run.run_dir.folder / "training.gif"
    state = trainer.state
    _refuse_lacking(state, learner, steps, monitor.covered, run.run_dir.checkpoint)
    if not state.step:  # of an earlier run; from here on no input can be wrong
        film.unlink(missing_ok=True)

    def evaluate() -> dict[str, float]:
        epoch = len(state.history) + 1
        if run.plan.has_frame(epoch, FRAMES):
            monitor.picture(film, epoch)
        figures = monitor.figures()
        rows = [*state.history, state.means() | figures]
        critic = model.loss == "wasserstein-gp"
        lines = new_diagnoses(rows, monitor.covered, monitor.total, critic)
        for line in () if run.args.smoke else lines:  # a run too short to train anything
            warn(f"epoch {epoch}: {line}")
        return figures

    if model.classes:
        labels = one_hot(backend.asarray(data.train_labels), model.classes, run.args.dtype)
    trainer.fit(backend.asarray(data.train_images), evaluate, labels)
    return trainer


def _refuse_lacking(
    state: State, learner: AdversarialLearner, steps: int, covered: str, path: Path
) -> None:
    """A checkpoint must have the figures that diagnoses need, including those of a begun epoch.

    The trainer checks those that it prints.
    """
    needed = (covered, "real_accuracy", "fake_accuracy")
    if not all(key in row for row in state.history for key in needed):
        raise checkpoint.damaged(path, "its history lacks figures")
    before, critic_steps = len(state.history) * steps, learner.critic_steps
    moved = {"discriminator": state.step > before,
             "generator": state.step // critic_steps > before // critic_steps}  # fmt: skip
    if any(name not in state.totals for name in learner.figures if moved[name.split("_")[0]]):
        raise checkpoint.damaged(path, f"after step {state.step} it lacks figures of its epoch")
