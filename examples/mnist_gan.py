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
from tinygen.data import Dataset, in_order, number_of_classes
from tinygen.errors import InputError
from tinygen.evaluation import (
    digits_covered,
    evaluate_generation,
    parzen_estimate,
    scores_table,
)
from tinygen.evaluation.reference_models import Judge, baselines, reference_classifier
from tinygen.losses import one_hot
from tinygen.training import (
    AdversarialLearner,
    Run,
    Trainer,
    command_line,
    gan_command_line,
    set_up,
)
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


class Monitor(gan_command_line.GANMonitor):
    """What can be seen of a GAN: the generator's images, and whether the other is deceived."""

    def __init__(self, run: Run, learner: AdversarialLearner, classifier: Judge) -> None:
        super().__init__(run, learner)
        self.classifier = classifier
        self.digits = len(np.unique(np.asarray(run.dataset.test_labels)))
        """How many there are to be covered; labels may leave some numbers out."""

    def picture(self, film: Path, epoch: int) -> None:
        """The same noise as images, as a sheet and as a frame of the film."""
        shown, shape = self.samples(100, SHOWN_STREAM), self.run.dataset.image_shape
        plots.sheet(film.with_name("samples.png"), shown, shape, 10)
        plots.add_frame(film, shown, shape, 10, epoch)

    def figures(self) -> dict[str, float]:
        probabilities, _ = self.classifier(self.samples(GLANCED_AT, EPOCH_STREAM))
        digits, classes = probabilities.argmax(axis=1), self.classifier.model.classes
        covered = digits_covered(digits, self.run.dataset.test_labels, classes)
        asked = max(ASKED, 2 * self.model.pack)  # two rows of packs, which a batch norm needs
        return self.accuracy(asked, EPOCH_STREAM) | {"digits_covered": covered}


def report(monitor: Monitor, trainer: Trainer) -> None:
    """The figures of the end beside what they are measured by, and the pictures."""
    run, say, data = monitor.run, monitor.run.progress.say, monitor.run.dataset
    classifier = monitor.classifier
    n, images = len(data.test_images), monitor.samples(len(data.test_images), END_STREAM)
    real = np.concatenate([*in_order(data.test_images)])
    probabilities, features = classifier(images)
    found = evaluate_generation(probabilities, features, classifier(real)[1], data.test_labels)
    rows = baselines(data, classifier, run.progress, run.args.smoke)
    say(scores_table(rows | {"this GAN": found}))
    say(f"the judge: test error {classifier.error:.2%}, sha256 {classifier.sha256[:16]}")
    test: dict[str, Any] = dict(found.metrics)
    if monitor.model.classes:
        asked = np.arange(n) % monitor.model.classes
        test["as_asked"] = float(np.mean(probabilities.argmax(axis=1) == asked))
        say(f"{test['as_asked']:.1%} of the images show the digit that was asked for")
    test |= parzen_windows(run, images, real)
    if found.digits_covered < monitor.digits:
        warn(
            f"warning: only {found.digits_covered} of {monitor.digits} digits are covered; "
            "docs/gan-training.md says what to try"
        )
    draw_pictures(run, trainer.state.history, images)
    compared = {name: row.metrics for name, row in rows.items()}
    scored_by = {"sha256": classifier.sha256, "error": classifier.error}
    run.summarise(trainer.learner.parameters.flat.size, trainer.state.seconds, test=test,
                  baselines=compared, judge=scored_by)  # fmt: skip
    say(f"pictures, figures and checkpoint are in {run.run_dir.folder}")


def parzen_windows(run: Run, images: Any, real: Any) -> dict[str, float]:
    """Say what the Parzen window makes of generated images beside as many training images."""
    train, say = run.dataset.train_images, run.progress.say
    held_out = train[len(images) :][-VALIDATED:]  # in no row of the table
    if len(held_out) < VALIDATED // 10:
        say(f"no Parzen window: {len(held_out)} training images are left to choose its width by")
        return {}
    held_out = np.concatenate([*in_order(held_out)])
    training = np.concatenate([*in_order(train[: len(images)])])
    window = {name: parzen_estimate(x, held_out, real) for name, x in
              (("training images", training), ("this GAN", images))}  # fmt: skip
    told = [f"  {name} {w.mean:.0f} +- {w.standard_error:.0f} nats" for name, w in window.items()]
    say("\n".join(["Parzen window, as figures were in 2014:", *told]))
    return {"parzen": window["this GAN"].mean}


def draw_pictures(run: Run, history: Any, images: Any) -> None:
    """Those of the end; `Monitor.picture` draws the others."""
    data, folder = run.dataset, run.run_dir.folder
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
        classes = number_of_classes(data.train_labels)
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
    run = set_up(args, COLUMNS, drop_last=True)
    data, backend = run.dataset, run.backend
    n, fewest = len(data.test_images), args.pack * (1 + (args.discriminator_norm == "batch"))
    if n < fewest:
        raise InputError(f"--pack {args.pack}: there are {n} test images, {fewest} are needed")
    classes, labels = told_apart(data) if args.conditional else 0, None
    classifier = reference_classifier(data, run.progress, args.smoke)
    model = replace(model, pixels=data.pixels, classes=classes)
    if classes:
        labels = one_hot(backend.asarray(data.train_labels), classes, args.dtype)
    monitor = Monitor(run, gan_command_line.new_learner(run, model), classifier)
    images = backend.asarray(data.train_images)
    digits = monitor.digits
    trainer = gan_command_line.train(monitor, images, "digits_covered", digits, labels)
    report(monitor, trainer)


if __name__ == "__main__":
    sys.exit(command_line.run(main))
