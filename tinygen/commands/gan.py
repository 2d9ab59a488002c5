"""Train a GAN on MNIST, with gradients by autograd or derived by hand.

tinygen train gan
tinygen train gan --conditional --out runs/conditional
tinygen train gan --preset wgan-gp --out runs/wgan-gp
"""

import math
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinygen import plots
from tinygen.commands import command_line
from tinygen.commands.gan_command_line import (
    WHAT_TO_TRY,
    add_flags,
    build,
    fit_to_data,
    new_learner,
)
from tinygen.commands.gan_monitor import GANMonitor, train
from tinygen.commands.setup import Run, set_up
from tinygen.data import as_floats
from tinygen.errors import InputError
from tinygen.evaluation import digits_covered, nearest, parzen_beside_training, scores_table
from tinygen.evaluation.reference_models import Judge, baselines, reference_classifier
from tinygen.models import GAN
from tinygen.training import AdversarialLearner, Trainer
from tinygen.training.distributed import refuse_other_than_means
from tinygen.training.progress import warn
from tinygen.training.recipes import RECIPES

COLUMNS = {
    "train_discriminator_loss": "D {:.3f}",
    "train_generator_loss": "G {:.3f}",
    "real_accuracy": "right {:.0%} real",
    "fake_accuracy": "{:.0%} fake",
    "train_discriminator_norm": "|dD| {:.2f}",
    "train_generator_norm": "|dG| {:.2f}",
    "digits_covered": "digits {:.0f}",
}
DEFAULTS: dict[str, Any] = {
    **RECIPES[GAN]._asdict(), "epochs": 20, "latent": 20,
    "generator_hidden": (256, 512, 512), "generator_norm": "batch",
    "discriminator_hidden": (512, 256), "discriminator_activation": "gelu",
}  # fmt: skip
CONV: dict[str, Any] = {"generator_hidden": (256,), "discriminator_hidden": (256,), "kernel": 4,
                        "epochs": 15, "lr": 2e-3}  # fmt: skip
SMOKE = {"data": "strokes", "epochs": 2, "batch_size": 32, "latent": 8, "generator_hidden": (64,),
         "discriminator_hidden": (64,)}  # fmt: skip
PRESETS: dict[str, dict[str, Any]] = {
    # With the critic's steps and Adam's betas of Gulrajani et al. (2017).
    "wgan-gp": {"loss": "wasserstein-gp", "critic_steps": 5, "lr": 1e-3, "beta1": 0.0,
                "beta2": 0.9},
}  # fmt: skip
NEEDS = [("conditional", "architecture", ("dense",))]
GAMMA = 2.0
"""The penalty's weight for the loss "r1"."""
COVERAGE_SAMPLES, ACCURACY_SAMPLES = 2000, 1000
"""How many images the classifier and the discriminator get after each epoch; at the end as many are
generated as there are test images."""
FILM_STREAM, EPOCH_STREAM, END_STREAM = 2, 3, 4
"""Streams of the seed; a step's draws are stream 1."""


def flags(prog: str | None = None) -> ArgumentParser:
    p = command_line.parser("mnist_gan", __doc__, prog=prog, distributed=True, graphs=True)
    group = add_flags(p, GAMMA)
    command_line.add_convolution_flags(group, CONV)
    add = group.add_argument
    add("--conditional", action="store_true", help="condition both players on the digit")
    p.set_defaults(**DEFAULTS)
    return p


class Monitor(GANMonitor):
    """Shows the generator's images, and how many digits a classifier sees in them."""

    covered = "digits_covered"

    def __init__(self, run: Run, learner: AdversarialLearner, classifier: Judge) -> None:
        super().__init__(run, learner)
        self.classifier = classifier
        self.total = len(np.unique(np.asarray(run.dataset.test_labels)))  # some may be left out

    def picture(self, film: Path, epoch: int) -> None:
        """Draw images from the same noise each time, as a sheet and as a frame of the film."""
        images, shape = self.samples(100, FILM_STREAM), self.run.dataset.image_shape
        plots.sheet(images, shape, 10, path=film.with_name("samples.png"))
        plots.add_frame(film, images, shape, 10, epoch)

    def figures(self) -> dict[str, float]:
        probabilities, _ = self.classifier(self.samples(COVERAGE_SAMPLES, EPOCH_STREAM))
        digits, classes = probabilities.argmax(axis=1), self.classifier.model.classes
        covered = digits_covered(digits, self.run.dataset.test_labels, classes)
        n = max(ACCURACY_SAMPLES, 2 * self.model.pack)  # two rows of packs, for a batch norm
        return self.accuracy(n, EPOCH_STREAM) | {self.covered: covered}


def report(monitor: Monitor, trainer: Trainer) -> None:
    """The final scores beside those of the baselines, and the pictures."""
    run, data, classifier = monitor.run, monitor.run.dataset, monitor.classifier
    say, folder, total = run.progress.say, run.run_dir.folder, monitor.total
    images = monitor.samples(len(data.test_images), END_STREAM)
    digits, scores = classifier.score(images, data)
    rows = baselines(data, classifier, run.progress, run.args.smoke)
    say(scores_table(rows | {"this GAN": scores}))
    say(f"classifier: test error {classifier.error:.2%}, sha256 {classifier.sha256[:16]}")
    test: dict[str, Any] = dict(scores.metrics)
    if monitor.model.classes:
        labels = np.arange(len(images)) % monitor.model.classes
        test["as_asked"] = float(np.mean(digits == labels))
        say(f"{test['as_asked']:.1%} of the images show the digit that was asked for")
    try:
        window, of_training = parzen_beside_training(images, data.test_images, data.train_images)
        test["parzen"] = window.mean
        say("Parzen window, as figures were in 2014:")
        say(f"  training images {of_training}\n  this GAN {window}")
    except InputError as error:
        say(f"no Parzen window: {error}")
    if scores.digits_covered < total and not run.args.smoke:
        covered = f"the samples cover only {scores.digits_covered} of {total} digits"
        warn(f"warning: {covered}; {WHAT_TO_TRY}")
    run.summarise(
        trainer.learner.parameters.flat.size,
        trainer.state.seconds,
        test=test,
        baselines={name: row.metrics for name, row in rows.items()},
        judge=classifier.metrics,
    )
    draw_pictures(run, trainer.state.history, images, monitor.levels())
    say(f"plots, metrics and checkpoint are in {folder}")


def draw_pictures(run: Run, history: Any, images: Any, levels: dict[str, float]) -> None:
    """The final pictures; `Monitor.picture` draws the others."""
    data, folder = run.dataset, run.run_dir.folder
    losses = {"train_discriminator_loss": "discriminator", "train_generator_loss": "generator"}
    panel = {"loss (nats)" if levels else "loss": losses}
    plots.loss_curves(history, panel, levels, path=folder / "loss.png")
    accuracy = {"real_accuracy": "real test images", "fake_accuracy": "fake images"}
    right = {"discriminator is right (fraction)": accuracy}
    plots.loss_curves(history, right, path=folder / "accuracy.png")
    norms = {"train_discriminator_norm": "discriminator", "train_generator_norm": "generator"}
    plots.loss_curves(history, {"norm of the gradient": norms}, path=folder / "gradients.png")
    shown, train = images[:10], as_floats(data.train_images)
    rows = {"generated": shown, "nearest real": train[nearest(shown, train)]}
    plots.images_in_rows(rows, data.image_shape, path=folder / "nearest.png")


def main(arguments: Sequence[str] | None = None, prog: str | None = None) -> None:
    args = command_line.parse(flags(prog), arguments, SMOKE, PRESETS, CONV, NEEDS)
    # What does not go together raises before any data are read; the data then set the size.
    pixels = math.prod(command_line.UNKNOWN_SIZE)
    model = build(args, pixels=pixels, output="sigmoid", gamma=GAMMA)
    if args.distributed:
        refuse_other_than_means(model)
    run = set_up(args, COLUMNS, drop_last=True)
    model = fit_to_data(model, run.dataset, args.conditional)
    classifier = reference_classifier(run.dataset, run.progress, args.smoke)
    monitor = Monitor(run, new_learner(run, model), classifier)
    report(monitor, train(monitor))
