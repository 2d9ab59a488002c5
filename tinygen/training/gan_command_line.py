"""What the examples of GANs share: their flags, the model, and a training that is watched."""

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
from tinygen.training.diagnostics import new_troubles
from tinygen.training.learners.adversarial_step import Duel, Players, duel
from tinygen.training.progress import warn
from tinygen.training.setup import Run
from tinygen.training.state import State
from tinygen.training.trainer import Diverged, fit

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
        help="share of the discriminator's units dropped in a step")  # fmt: skip
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
        help="share of the generator's average that a step leaves; 0: none")  # fmt: skip
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
            squared slope, so what is usual depends on the scale of the data.

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
    duel(model, args.gradients)  # which refuses what the derivation by hand does not cover
    return model


class Eye:
    """What can be seen of both players; an example says what it makes of it.

    Args:
        run, model: those of the example.
    """

    def __init__(self, run: Run, model: GAN) -> None:
        self.run, self.model = run, model

    def figures(self, players: Players) -> dict[str, float]:
        """Those of an epoch."""
        raise NotImplementedError

    def picture(self, players: Players, film: Path, epoch: int) -> None:
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

    def samples(self, players: Players, n: int, stream: int) -> Any:
        """n samples of the generator's average, on the host: ``(n, pixels)``.

        Raises:
            Diverged: they are not finite. The loop looks at the weights, which may still be.
        """
        z, labels = self.noise(n, stream)
        with np.errstate(all="ignore"):  # as in the loop
            sample = self.model.sampler(players.best)
            pieces = [slice(k, k + 1000) for k in range(0, n, 1000)]
            made = [sample(z[k], None if labels is None else labels[k]) for k in pieces]
        x = np.concatenate([self.run.backend.to_numpy(piece) for piece in made])
        if not np.isfinite(x).all():
            raise Diverged(
                "the generator's images became NaN or infinite, though its weights are finite; "
                f"{self.run.record.checkpoint} is the last good one, and --restart with a lower "
                "--lr may get further"
            )
        return x

    def met(self, players: Players, most: int, stream: int) -> tuple[Array, Array, Array | None]:
        """What the discriminator meets in training, with real images that are for testing.

        Returns:
            The first of these, as many fake ones, and the classes of both, or None.
        """
        data, backend, dtype = self.run.dataset, self.run.backend, self.run.args.dtype
        real = as_floats(backend.asarray(data.test_images[:most]), dtype)
        z, labels = self.noise(len(real), stream)
        if self.model.classes and data.test_labels is not None:
            shown = backend.asarray(data.test_labels[:most])
            labels = one_hot(shown, self.model.classes, dtype)
        return real, self.model.generate(players.g, z, labels), labels

    def accuracy(self, players: Players, most: int, stream: int) -> dict[str, float]:
        """How often the discriminator is right on what it meets."""
        return self.model.accuracy(players.d, *self.met(players, most, stream))


def train(
    eye: Eye, images: Array, covered: str, total: int, labels: Array | None = None
) -> tuple[State, Players]:
    """Train both players, or go on with it; make a film, and say out loud what goes wrong.

    Args:
        images: all real ones on the backend, as `fit` takes them.
        covered: the figure that says how much of the data is covered, such as "digits_covered".
        total: what it would be at best.
        labels: ``(n, classes)``, for a model with classes.

    Raises:
        InputError: the generator would never move, or a checkpoint is of another run.
    """
    run, model, args, backend = eye.run, eye.model, eye.run.args, eye.run.backend
    steps = run.plan.steps(len(images))
    if args.critic_steps > steps:
        raise InputError(
            f"--critic-steps {args.critic_steps}: an epoch has only {steps} steps, in none of "
            "which the generator would move"
        )
    learner = duel(model, args.gradients, (args.generator_lr or args.lr) / args.lr)
    p = model.initialise(args.seed, args.dtype, backend)
    players = Players(p, run.optimizer, args.critic_steps, args.average)
    state, film = run.state(p, players), run.record.folder / "training.gif"
    _refuse_lacking(state, learner, steps, args.critic_steps, covered, run.record.checkpoint)
    if not state.step:  # of an earlier run; from here on nothing is refused any more
        film.unlink(missing_ok=True)

    def evaluate() -> dict[str, float]:
        epoch = len(state.history) + 1
        if run.plan.films(epoch, FRAMES):
            eye.picture(players, film, epoch)
        found = eye.figures(players)
        rows = [*state.history, state.means() | found]
        for line in new_troubles(rows, covered, total, model.loss == "wasserstein-gp"):
            warn(f"epoch {epoch}: {line}")
        return found

    fit(state, learner, images, run.plan, evaluate, run.record, run.progress, backend, labels)
    return state, players


def _refuse_lacking(
    state: State, learner: Duel, steps: int, critic_steps: int, covered: str, path: Path
) -> None:
    """A checkpoint must have the figures by which troubles are told, also of the epoch begun.

    The loop looks at those that it prints.
    """
    told = {covered, "real_accuracy", "fake_accuracy"}
    if not all(told <= set(row) for row in state.history):
        raise checkpoint.damaged(path, "its history lacks figures")
    before = len(state.history) * steps
    moved = {"discriminator": state.step > before,
             "generator": state.step // critic_steps > before // critic_steps}  # fmt: skip
    made = {name for name in learner.figures if moved[name.split("_")[0]]}
    if not made <= set(state.totals):
        raise checkpoint.damaged(path, f"after step {state.step} it lacks figures of its epoch")
