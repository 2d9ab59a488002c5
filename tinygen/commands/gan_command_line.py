"""The flags that all GAN examples share, and the model and the learner that they specify."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

import numpy as np

from tinygen.commands import command_line
from tinygen.commands.setup import Run
from tinygen.data import Dataset, number_of_classes
from tinygen.errors import InputError
from tinygen.models.architecture import image_option
from tinygen.models.gan import GAN, LOSSES, PENALTIES
from tinygen.nn import BIASES, NORMS, WEIGHTS
from tinygen.ops import ACTIVATIONS
from tinygen.training.learners.adversarial_step import AdversarialLearner
from tinygen.training.recipes import AVERAGE

WHAT_TO_TRY = (
    "try more --epochs, another --seed, --loss r1 with a larger --penalty, or a lower --lr"
)
"""Printed after the last epoch if a generator covers too little."""


def add_flags(p: argparse.ArgumentParser, gamma: float) -> Any:
    """The flags of a generator and a discriminator; returns their group, to add others to.

    The widths have no default here, as the examples differ in them.

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
            **command_line.choice(names, f"activation of the {who}'s hidden layers", "relu"),
        )
        about = f"normalisation before the {who}'s activations"
        add(f"--{who}-norm", **command_line.choice(NORMS, about))
    add("--weights", **command_line.choice(tuple(WEIGHTS), "initial weights", "glorot_uniform"))
    add("--biases", **command_line.choice(tuple(BIASES), "initial biases"))
    add("--dropout", type=command_line.real(least=0, most=0.99), default=0.0, metavar="X",
        help="fraction of the discriminator's units dropped in a step")  # fmt: skip
    add("--loss", **command_line.choice(LOSSES, "loss of both players", "r1"))
    usual = ", ".join(f"{weight:g} for {loss}" for loss, weight in penalties(gamma).items())
    add("--penalty", type=command_line.real(least=0, most=10**6), metavar="X",
        help=f"weight of the gradient penalty (default: {usual})")  # fmt: skip
    add("--smoothing", type=command_line.real(least=0, most=0.99), default=0.0, metavar="X",
        help="one-sided label smoothing: real images get the label 1 - X")  # fmt: skip
    add("--pack", type=command_line.whole(1, 1000), default=1, metavar="N",
        help="images that the discriminator sees together (PacGAN)")  # fmt: skip
    add("--critic-steps", type=command_line.whole(1, 1000), default=1, metavar="N",
        help="steps of the discriminator per step of the generator")  # fmt: skip
    add("--generator-lr", type=command_line.real(above=0, most=10), metavar="X",
        help="learning rate of the generator (default: that of --lr)")  # fmt: skip
    add("--average", type=command_line.real(least=0, most=0.999999), default=AVERAGE, metavar="X",
        help="decay of the moving average of the generator's weights; 0: no average")  # fmt: skip
    return group


def penalties(gamma: float) -> dict[str, float]:
    """The losses that have a gradient penalty, with its default weight."""
    return {**PENALTIES, "r1": gamma}


def build(args: argparse.Namespace, pixels: int, output: str, gamma: float) -> GAN:
    """The model that the flags of `add_flags` specify, without classes, which depend on the data.

    Whatever can be rejected without data is rejected here, before the folder of a run is opened. If
    no weight was given, `args.penalty` becomes the default one, so that it is recorded in the run.

    Args:
        gamma: the penalty's default weight for the loss "r1". Its unit is one over a squared
            gradient, so the usual value depends on the scale of the data.

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
    model = GAN(pixels=pixels, output=output, **command_line.options(args, GAN))
    model.gradients(args.gradients)  # raises for what the derivation by hand does not cover
    return model


def fit_to_data(model: GAN, data: Dataset, conditional: bool) -> GAN:
    """The model for images of the data's size, and for their classes if it is conditional.

    Raises:
        InputError: there are too few test images for the discriminator; or it is conditional and
            there are no labels, or a class has no image to learn from.
    """
    n, fewest = len(data.test_images), model.pack * (1 + (model.discriminator_norm == "batch"))
    if n < fewest:
        raise InputError(f"--pack {model.pack}: there are {n} test images, {fewest} are needed")
    classes = _number_of_classes(data) if conditional else 0
    image = image_option(model.channels, data.image_shape)
    return replace(model, pixels=data.pixels, classes=classes, image=image)


def _number_of_classes(data: Dataset) -> int:
    if data.train_labels is None:
        raise InputError(f"--conditional needs labels, and {data.name} has none")
    try:
        classes = number_of_classes(data.train_labels)
    except InputError as error:
        raise InputError(f"--conditional: {error}") from None
    largest = 0 if data.test_labels is None else int(np.max(data.test_labels))
    if largest >= classes:
        raise InputError(
            f"--conditional: a test image is labelled {largest}, but no training image is"
        )
    return classes


def new_learner(run: Run, model: GAN) -> AdversarialLearner:
    """Both players at their start, with what the flags of `add_flags` say of their steps."""
    args = run.args
    return AdversarialLearner(
        model,
        model.initialise(args.seed, args.dtype, run.backend),
        run.optimizer,
        run.gradients(model),
        ratio=(args.generator_lr or args.lr) / args.lr,
        critic_steps=args.critic_steps,
        average=args.average,
    )
