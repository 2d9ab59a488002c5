"""What the GAN examples have in common: their flags, the model, and the training."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from tinygen.backend import Array
from tinygen.data import as_floats
from tinygen.errors import InputError
from tinygen.losses import one_hot
from tinygen.models.gan import GAN, LOSSES, PENALTIES
from tinygen.nn import BIASES, NORMS, WEIGHTS
from tinygen.ops import ACTIVATIONS
from tinygen.training import checkpoint, command_line
from tinygen.training.diagnostics import new_diagnoses
from tinygen.training.learners.adversarial_step import AdversarialLearner
from tinygen.training.progress import warn
from tinygen.training.setup import Run
from tinygen.training.state import State
from tinygen.training.trainer import Diverged, Trainer

FRAMES = 60
"""The most frames of a film."""


def add_flags(p: argparse.ArgumentParser, gamma: float) -> Any:
    """The flags of a generator and a discriminator; returns their group, to add others to.

    The widths have no default here: they are what the examples differ in.

    Args:
        gamma: as in `build`.
    """
    group = p.add_argument_group("model")
    add = group.add_argument
    add("--latent", type=command_line.whole(1, command_line.MOST_UNITS), metavar="N",
        help="width of the noise")  # fmt: skip
    for who in ("generator", "discriminator"):
        add(f"--{who}-hidden", type=command_line.widths, metavar="N,N",
            help=f"widths of the {who}'s hidden layers")  # fmt: skip
        names = (*ACTIVATIONS, "maxout")
        add(
            f"--{who}-activation",
            **command_line.choice(names, f"of the {who}'s hidden layers", "relu"),
        )
        add(f"--{who}-norm", **command_line.choice(NORMS, "before each activation"))
    add("--weights", **command_line.choice(tuple(WEIGHTS), "how weights start", "glorot_uniform"))
    add("--biases", **command_line.choice(tuple(BIASES), "how biases start"))
    add("--dropout", type=command_line.real(least=0, most=0.99), default=0.0, metavar="X",
        help="fraction of the discriminator's units dropped in a step")  # fmt: skip
    add("--loss", **command_line.choice(LOSSES, "of both players", "r1"))
    usual = ", ".join(f"{weight:g} for {loss}" for loss, weight in penalties(gamma).items())
    add("--penalty", type=command_line.real(least=0, most=10**6), metavar="X",
        help=f"weight of the gradient penalty (default: {usual})")  # fmt: skip
    add("--smoothing", type=command_line.real(least=0, most=0.99), default=0.0, metavar="X",
        help="real images get the label 1 - X")  # fmt: skip
    add("--pack", type=command_line.whole(1, 1000), default=1, metavar="N",
        help="images that the discriminator judges at once (PacGAN)")  # fmt: skip
    add("--critic-steps", type=command_line.whole(1, 1000), default=1, metavar="N",
        help="steps of the discriminator for one of the generator")  # fmt: skip
    add("--generator-lr", type=command_line.real(above=0, most=10), metavar="X",
        help="learning rate of the generator, else that of --lr")  # fmt: skip
    add("--average", type=command_line.real(least=0, most=0.999999), default=0.999, metavar="X",
        help="fraction of the generator's average that a step leaves; 0: none")  # fmt: skip
    return group


def penalties(gamma: float) -> dict[str, float]:
    """The losses that have a gradient penalty, with its weight where none is asked for."""
    return {**PENALTIES, "r1": gamma}


def build(args: argparse.Namespace, pixels: int, output: str, gamma: float) -> GAN:
    """The model that the flags of `add_flags` ask for, without classes, which the data decide.

    All that can be refused without data is refused here, so before the folder of a run is opened.
    Where no weight was asked for, `args.penalty` becomes the one that is used, so that the run's
    record has it.

    Args:
        gamma: the penalty's weight for the loss "r1" where none is asked for. It is one over a
            squared gradient, so what is usual depends on the scale of the data.

    Raises:
        InputError: the flags do not go together.
    """
    if args.batch_size % args.pack:
        raise InputError(f"--pack {args.pack} does not divide the batch of {args.batch_size}")
    rows = {"generator": args.batch_size, "discriminator": args.batch_size // args.pack}
    for who, n in rows.items():
        if n == 1 and getattr(args, f"{who}_norm") == "batch":
            raise InputError(
                f"--batch-size {args.batch_size} and --pack {args.pack}: a batch of one has no "
                f"variance for the {who}'s batch norm"
            )
    if args.penalty is None:
        args.penalty = penalties(gamma).get(args.loss)
    given = {field.name: getattr(args, field.name) for field in fields(GAN) if field.name in args}
    model = GAN(pixels=pixels, output=output, **given)
    model.gradients(args.gradients)  # refuses what the derivation by hand does not cover
    return model


def new_learner(run: Run, model: GAN) -> AdversarialLearner:
    """Both players at their start, with what the flags of `add_flags` say of their steps."""
    args = run.args
    return AdversarialLearner(
        model,
        model.initialise(args.seed, args.dtype, run.backend),
        run.optimizer,
        model.gradients(args.gradients),
        ratio=(args.generator_lr or args.lr) / args.lr,
        critic_steps=args.critic_steps,
        average=args.average,
    )


class GANMonitor:
    """Watches both players during a training; an example says what it shows of them.

    Args:
        run: of the example.
        learner: what is trained.
    """

    def __init__(self, run: Run, learner: AdversarialLearner) -> None:
        self.run, self.learner, self.model = run, learner, learner.model

    def figures(self) -> dict[str, float]:
        """Those of an epoch."""
        raise NotImplementedError

    def picture(self, film: Path, epoch: int) -> None:
        """Add a frame to the film at that path, of the epoch of that number."""
        raise NotImplementedError

    def noise(self, n: int, stream: int) -> tuple[Array, Array | None]:
        """n rows of noise, and each class in turn to ask for, or None.

        Args:
            stream: of the seed. A step's draws are its stream 1.
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
            Diverged: they are not finite. The trainer looks at the weights, which may still be.
        """
        z, labels = self.noise(n, stream)
        with np.errstate(all="ignore"):  # as in training
            sample = self.model.sampler(self.learner.averaged_generator)
            pieces = [slice(k, k + 1000) for k in range(0, n, 1000)]
            images = [sample(z[k], None if labels is None else labels[k]) for k in pieces]
        x = np.concatenate([self.run.backend.to_numpy(piece) for piece in images])
        if not np.isfinite(x).all():
            raise Diverged(
                "the generator's images became NaN or infinite, though its weights are finite; "
                f"{self.run.run_dir.checkpoint} is the last good one, and --restart with a lower "
                "--lr may get further"
            )
        return x

    def real_and_fake(self, most: int, stream: int) -> tuple[Array, Array, Array | None]:
        """What the discriminator sees in training, but with real images that are for testing.

        Returns:
            The first of these, as many fake ones, and the classes of both, or None.
        """
        data, backend, dtype = self.run.dataset, self.run.backend, self.run.args.dtype
        real = as_floats(backend.asarray(data.test_images[:most]), dtype)
        z, labels = self.noise(len(real), stream)
        if self.model.classes and data.test_labels is not None:
            shown = backend.asarray(data.test_labels[:most])
            labels = one_hot(shown, self.model.classes, dtype)
        return real, self.model.generate(self.learner.g, z, labels), labels

    def accuracy(self, most: int, stream: int) -> dict[str, float]:
        """How often the discriminator is right on `real_and_fake`."""
        return self.model.accuracy(self.learner.d, *self.real_and_fake(most, stream))


def train(
    monitor: GANMonitor, images: Array, covered: str, total: int, labels: Array | None = None
) -> Trainer:
    """Train both players, or go on with it; draw a film, and warn of what goes wrong.

    Args:
        images: all real ones on the backend, as `Trainer.fit` takes them.
        covered: the figure that says how much of the data is covered, such as "digits_covered".
        total: what it would be at best.
        labels: ``(n, classes)``, for a model with classes.

    Raises:
        InputError: the generator would never move, or a checkpoint is of another run.
    """
    run, learner = monitor.run, monitor.learner
    steps = run.plan.steps(len(images))
    if learner.critic_steps > steps:
        raise InputError(
            f"--critic-steps {learner.critic_steps}: an epoch has only {steps} steps, in none of "
            "which the generator would move"
        )
    trainer, film = run.trainer(learner), run.run_dir.folder / "training.gif"
    state = trainer.state
    _refuse_lacking(state, learner, steps, covered, run.run_dir.checkpoint)
    if not state.step:  # of an earlier run; from here on nothing is refused any more
        film.unlink(missing_ok=True)

    def evaluate() -> dict[str, float]:
        epoch = len(state.history) + 1
        if run.plan.has_frame(epoch, FRAMES):
            monitor.picture(film, epoch)
        figures = monitor.figures()
        rows = [*state.history, state.means() | figures]
        for line in new_diagnoses(rows, covered, total, learner.model.loss == "wasserstein-gp"):
            warn(f"epoch {epoch}: {line}")
        return figures

    trainer.fit(images, evaluate, labels)
    return trainer


def _refuse_lacking(
    state: State, learner: AdversarialLearner, steps: int, covered: str, path: Path
) -> None:
    """A checkpoint must have the figures that diagnoses need, also of the epoch that has begun.

    The trainer looks at those that it prints.
    """
    needed = (covered, "real_accuracy", "fake_accuracy")
    if not all(key in row for row in state.history for key in needed):
        raise checkpoint.damaged(path, "its history lacks figures")
    before, critic_steps = len(state.history) * steps, learner.critic_steps
    moved = {"discriminator": state.step > before,
             "generator": state.step // critic_steps > before // critic_steps}  # fmt: skip
    if any(name not in state.totals for name in learner.figures if moved[name.split("_")[0]]):
        raise checkpoint.damaged(path, f"after step {state.step} it lacks figures of its epoch")
