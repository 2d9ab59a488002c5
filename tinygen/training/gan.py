"""What the examples of GANs share: their flags, the model, and a training that is watched."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from tinygen.backend import Array
from tinygen.errors import InputError
from tinygen.models.gan import GAN, LOSSES
from tinygen.nn import BIASES, NORMS, WEIGHTS
from tinygen.ops import ACTIVATIONS
from tinygen.training import command_line
from tinygen.training.duel import Players, duel
from tinygen.training.loop import fit
from tinygen.training.progress import warn
from tinygen.training.start import Run
from tinygen.training.state import State
from tinygen.training.trouble import new_troubles

FRAMES = 60
"""The most frames of a film."""


def add_flags(p: argparse.ArgumentParser) -> Any:
    """The flags of a generator and a discriminator; returns their group, to add others to."""
    group = p.add_argument_group("model")
    add = group.add_argument
    add(
        "--latent",
        type=command_line.whole(1, command_line.MOST_UNITS),
        default=64,
        metavar="N",
        help="width of the noise",
    )
    for who in ("generator", "discriminator"):
        add(f"--{who}-hidden", type=command_line.widths, default=(256, 256), metavar="N,N",
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
    add("--penalty", type=command_line.real(least=0, most=10**6), metavar="X",
        help="weight of the gradient penalty, else the usual one")  # fmt: skip
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


def build(
    args: argparse.Namespace, pixels: int, output: str, classes: int = 0, gamma: float = 1.0
) -> GAN:
    """The model that the flags of `add_flags` ask for.

    Args:
        gamma: the penalty's weight for the loss "r1" where none is asked for. It is one over a
            squared slope, so what is usual depends on the scale of the data.

    Raises:
        InputError: they do not go together.
    """
    if args.batch_size % args.pack:
        raise InputError(f"--pack {args.pack} does not divide the batch of {args.batch_size}")
    if args.batch_size == 1 and "batch" in (args.generator_norm, args.discriminator_norm):
        raise InputError("--batch-size 1: a batch of one has no variance for a batch norm")
    names = [field.name for field in fields(GAN) if field.name in args]
    given = {name: getattr(args, name) for name in names}
    if args.loss == "r1" and args.penalty is None:
        given["penalty"] = gamma
    return GAN(pixels=pixels, output=output, classes=classes, **given)


def train(
    run: Run,
    model: GAN,
    images: Array,
    figures: Callable[[Players], dict[str, float]],
    picture: Callable[[Players, Path, int], None],
    covered: str,
    total: int,
    labels: Array | None = None,
) -> tuple[State, Players]:
    """Train both players, or go on with it; make a film, and say out loud what goes wrong.

    Args:
        images: all real ones on the backend, as `fit` takes them.
        figures: of an epoch.
        picture: adds a frame to the film at that path, of the epoch of that number.
        covered: the figure that says how much of the data is covered, such as "digits_covered".
        total: what it would be at best.
        labels: ``(n, classes)``, for a model with classes.

    Raises:
        InputError: the generator would never move, or a checkpoint is of another run.
    """
    args, backend, film = run.args, run.backend, run.record.folder / "training.gif"
    steps = run.plan.steps(len(images))
    if args.critic_steps > steps:
        raise InputError(
            f"--critic-steps {args.critic_steps}: an epoch has only {steps} steps, in none of "
            "which the generator would move"
        )
    p = model.initialise(args.seed, args.dtype, backend)
    players = Players(p, run.optimizer, args.critic_steps, args.average)
    state = run.state(p, players)
    if not state.step:  # of an earlier run
        film.unlink(missing_ok=True)

    def evaluate() -> dict[str, float]:
        epoch = len(state.history) + 1
        if run.plan.films(epoch, FRAMES):
            picture(players, film, epoch)
        found = figures(players)
        rows = [*state.history, state.means() | found]
        for line in new_troubles(rows, covered, total, model.loss == "wasserstein-gp"):
            warn(f"epoch {epoch}: {line}")
        return found

    learner = duel(model, args.gradients, (args.generator_lr or args.lr) / args.lr)
    fit(state, learner, images, run.plan, evaluate, run.record, run.progress, backend, labels)
    return state, players
