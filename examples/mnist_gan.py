"""Train a GAN on MNIST, with gradients by autograd or derived by hand.

python examples/mnist_gan.py
python examples/mnist_gan.py --conditional --out runs/conditional
python examples/mnist_gan.py --preset wgan-gp --out runs/wgan-gp
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tinygen import plots
from tinygen.data import Dataset, classes_of, in_order
from tinygen.errors import InputError
from tinygen.evaluation import comparison, digits_covered, generation, parzen
from tinygen.evaluation.reference_models import Judge, judge, yardsticks
from tinygen.losses import one_hot
from tinygen.models import GAN
from tinygen.training import Run, State, command_line, gan_command_line, start
from tinygen.training.learners.adversarial_step import Players
from tinygen.training.progress import warn

COLUMNS = {
    "train_discriminator_loss": "D {:.3f}",
    "train_generator_loss": "G {:.3f}",
    "real_accuracy": "right {:.0%}",
    "fake_accuracy": "{:.0%}",
    "train_discriminator_norm": "|dD| {:.2f}",
    "train_generator_norm": "|dG| {:.2f}",
    "digits_covered": "digits {:.0f}",
}
DEFAULTS: dict[str, Any] = {
    "epochs": 20, "lr": 4e-3, "beta1": 0.5, "beta2": 0.99, "warm_up": 0.0, "latent": 20,
    "generator_hidden": (256, 512, 512), "generator_norm": "batch",
    "discriminator_hidden": (512, 256), "discriminator_activation": "gelu",
}  # fmt: skip
SMOKE = {"data": "strokes", "epochs": 2, "batch_size": 32, "latent": 8, "generator_hidden": (64,),
         "discriminator_hidden": (64,)}  # fmt: skip
PRESETS: dict[str, dict[str, Any]] = {
    # With the critic's steps and Adam's betas of Gulrajani et al. (2017).
    "wgan-gp": {"loss": "wasserstein-gp", "critic_steps": 5, "lr": 1e-3, "beta1": 0.0,
                "beta2": 0.9},
}  # fmt: skip
GAMMA = 2.0
"""The penalty's weight for the loss "r1"."""
GLANCED_AT, ASKED = 2000, 1000
"""Images that are generated after each epoch, and how many of them the discriminator is asked of;
in the end as many are generated as there are for testing."""
SHOWN, VALIDATED = 10, 1000
SHOWN_STREAM, EPOCH_STREAM, END_STREAM = 2, 3, 4
"""Of the seed: a step's draws are its stream 1."""


def flags():
    p = command_line.parser("mnist_gan", __doc__.splitlines()[0])
    add = gan_command_line.add_flags(p, GAMMA).add_argument
    add("--conditional", action="store_true", help="tell both players which digit it is")
    p.set_defaults(**DEFAULTS)
    return p


class Eye(gan_command_line.Eye):
    """What can be seen of a GAN: the generator's images, and whether the other is deceived."""

    def __init__(self, run: Run, model: GAN, read: Judge) -> None:
        super().__init__(run, model)
        self.read = read
        self.digits = len(np.unique(np.asarray(run.dataset.test_labels)))
        """How many there are to be covered; labels may leave some numbers out."""

    def picture(self, players: Players, film: Path, epoch: int) -> None:
        """The same noise as images, as a sheet and as a frame of the film."""
        shown, shape = self.samples(players, 100, SHOWN_STREAM), self.run.dataset.image_shape
        plots.sheet(film.with_name("samples.png"), shown, shape, 10)
        plots.add_frame(film, shown, shape, 10, epoch)

    def figures(self, players: Players) -> dict[str, float]:
        probabilities, _ = self.read(self.samples(players, GLANCED_AT, EPOCH_STREAM))
        digits, classes = probabilities.argmax(axis=1), self.read.model.classes
        covered = digits_covered(digits, self.run.dataset.test_labels, classes)
        asked = max(ASKED, 2 * self.model.pack)  # two rows of packs, which a batch norm needs
        return self.accuracy(players, asked, EPOCH_STREAM) | {"digits_covered": covered}


def report(eye: Eye, state: State, players: Players) -> None:
    """The figures of the end beside what they are measured by, and the pictures."""
    run, say, data = eye.run, eye.run.progress.say, eye.run.dataset
    n, images = len(data.test_images), eye.samples(players, len(data.test_images), END_STREAM)
    real = np.concatenate([*in_order(data.test_images)])
    probabilities, features = eye.read(images)
    found = generation(probabilities, features, eye.read(real)[1], data.test_labels)
    rows = yardsticks(data, eye.read, run.progress, run.args.smoke)
    say(comparison(rows | {"this GAN": found}))
    say(f"the judge: test error {eye.read.error:.2%}, sha256 {eye.read.sha256[:16]}")
    test: dict[str, Any] = dict(found.figures)
    if eye.model.classes:
        asked = np.arange(n) % eye.model.classes
        test["as_asked"] = float(np.mean(probabilities.argmax(axis=1) == asked))
        say(f"{test['as_asked']:.1%} of the images show the digit that was asked for")
    test |= parzen_windows(run, images, real)
    if found.digits_covered < eye.digits:
        warn(
            f"warning: only {found.digits_covered} of {eye.digits} digits are covered; "
            "docs/gan-training.md says what to try"
        )
    draw_pictures(run, state.history, images)
    baselines = {name: row.figures for name, row in rows.items()}
    scored_by = {"sha256": eye.read.sha256, "error": eye.read.error}
    run.summarise(state, test=test, baselines=baselines, judge=scored_by)
    say(f"pictures, figures and checkpoint are in {run.record.folder}")


def parzen_windows(run: Run, images: Any, real: Any) -> dict[str, float]:
    """Say what the Parzen window makes of generated images beside as many training images."""
    train, say = run.dataset.train_images, run.progress.say
    held_out = train[len(images) :][-VALIDATED:]  # in no row of the table
    if len(held_out) < VALIDATED // 10:
        say(f"no Parzen window: {len(held_out)} training images are left to choose its width by")
        return {}
    held_out = np.concatenate([*in_order(held_out)])
    training = np.concatenate([*in_order(train[: len(images)])])
    window = {name: parzen(x, held_out, real) for name, x in
              (("training images", training), ("this GAN", images))}  # fmt: skip
    told = [f"  {name} {w.mean:.0f} +- {w.standard_error:.0f} nats" for name, w in window.items()]
    say("\n".join(["Parzen window, as figures were in 2014:", *told]))
    return {"parzen": window["this GAN"].mean}


def draw_pictures(run: Run, history: Any, images: Any) -> None:
    """Those of the end; `Eye.picture` draws the others."""
    data, folder = run.dataset, run.record.folder
    losses = {"train_discriminator_loss": "discriminator", "train_generator_loss": "generator"}
    plots.loss_curves(folder / "loss.png", history, losses, "loss")
    accuracy = {"real_accuracy": "real test images", "fake_accuracy": "fake images"}
    plots.loss_curves(folder / "accuracy.png", history, accuracy, "share that D has right")
    norms = {"train_discriminator_norm": "discriminator", "train_generator_norm": "generator"}
    plots.loss_curves(folder / "gradients.png", history, norms, "norm of the gradient")
    train = np.concatenate([*in_order(data.train_images)])
    shown = images[:SHOWN]
    distance = (train**2).sum(axis=1) - 2 * shown @ train.T  # but for what is the same in a row
    rows = {"generated": shown, "nearest real": train[distance.argmin(axis=1)]}
    plots.images_in_rows(folder / "nearest.png", rows, data.image_shape)


def told_apart(data: Dataset) -> int:
    """How many digits a conditional GAN is told of.

    Raises:
        InputError: there are no labels, or not an image of each digit to learn from.
    """
    if data.train_labels is None:
        raise InputError(f"--conditional needs labels, and {data.name} has none")
    try:
        classes = classes_of(data.train_labels)
    except InputError as error:
        raise InputError(f"--conditional: {error}") from None
    most = 0 if data.test_labels is None else int(np.max(data.test_labels))
    if most >= classes:
        raise InputError(f"--conditional: a test image is labelled {most}, but none to train on is")
    return classes


def main(arguments: Sequence[str] | None = None) -> None:
    args = command_line.parse(flags(), arguments, SMOKE, PRESETS)
    # What does not go together is refused before any data are read; these have their own size.
    model = gan_command_line.build(args, pixels=784, output="sigmoid", gamma=GAMMA)
    run = start(args, COLUMNS, whole=True)
    data, backend = run.dataset, run.backend
    n, fewest = len(data.test_images), args.pack * (1 + (args.discriminator_norm == "batch"))
    if n < fewest:
        raise InputError(f"--pack {args.pack}: there are {n} test images, {fewest} are needed")
    classes, labels = told_apart(data) if args.conditional else 0, None
    read = judge(data, run.progress, args.smoke)
    model = replace(model, pixels=data.pixels, classes=classes)
    if classes:
        labels = one_hot(backend.asarray(data.train_labels), classes, args.dtype)
    eye = Eye(run, model, read)
    images = backend.asarray(data.train_images)
    state, players = gan_command_line.train(eye, images, "digits_covered", eye.digits, labels)
    report(eye, state, players)


if __name__ == "__main__":
    sys.exit(command_line.run(main))
