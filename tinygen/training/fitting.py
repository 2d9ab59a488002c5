"""From an array of images to a trained model in one call, as in a notebook."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from numbers import Integral, Real
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from tinygen import optim
from tinygen.backend import Backend, get_backend
from tinygen.data import Dataset
from tinygen.data.datasets import require_images
from tinygen.data.locations import expanded
from tinygen.display import times
from tinygen.errors import InputError, require_seed
from tinygen.losses import one_hot
from tinygen.models import GAN, AdversarialAutoencoder, Classifier
from tinygen.models.architecture import needs_shape, shape_of
from tinygen.parameters import Parameters
from tinygen.training.learners import AAELearner, AdversarialLearner, Learner, SingleLossLearner
from tinygen.training.learners.learner import MakeOptimizer
from tinygen.training.loading import VERBS, TrainedModel, load
from tinygen.training.plan import Plan
from tinygen.training.progress import Progress, in_notebook
from tinygen.training.recipes import AVERAGE, RECIPES
from tinygen.training.run_dir import RunDir, about, versions
from tinygen.training.trainer import Diverged, Interrupted, Trainer

TASK = "fit"
BATCH_SIZE = 128
COLUMNS = {
    "train_loss": "train loss {:.4g}",
    "test_loss": "test loss {:.4g}",
    "train_reconstruction_loss": "reconstruction {:.4g}",
    "train_discriminator_loss": "D {:.3f}",
    "train_generator_loss": "G {:.3f}",
    "train_encoder_loss": "E {:.3f}",
}

Evaluate = Callable[[TrainedModel], Mapping[str, float]]
"""Takes a model in training and returns figures by name."""


def fit(
    model: Any,
    images: Dataset | np.ndarray,
    labels: Any = None,
    *,
    epochs: int = 10,
    batch_size: int | None = None,
    rate: float | None = None,
    optimizer: MakeOptimizer | None = None,
    gradients: str = "autograd",
    evaluate: Evaluate | None = None,
    seed: int = 0,
    backend: Backend | str = "numpy",
    out: str | os.PathLike[str] | None = None,
    restart: bool = False,
    quiet: bool = False,
) -> TrainedModel:
    """Train a model on images, with the same trainer as the examples.

    A notebook shows a curve of the losses, which grows with each epoch; `TrainedModel.history` has
    the numbers.

    Args:
        model: an `Autoencoder`, `VAE`, `GAN`, `AdversarialAutoencoder` or `Classifier`. It holds no
            weights; what comes back does.
        images: a data set, whose test images are then evaluated after each epoch; or images
            ``(n, h, w)`` or ``(n, h, w, c)`` of uint8, or rows ``(n, d)`` of floats.
        labels: ``(n,)``, for a classifier, or a GAN with classes; a data set has its own.
        epochs: how often each image is seen.
        batch_size: 128 by default, or all images if there are fewer, which makes an epoch one step:
            few images want small batches.
        rate: the highest learning rate; by default that of the command that trains such a model.
        optimizer: makes one for the parameters of a player, such as `tinygen.SGD` or
            ``functools.partial(tinygen.Adam, beta1=0.0)``; by default that command's Adam.
        gradients: "autograd" or "by-hand".
        evaluate: takes the model as it is after each epoch, a `TrainedModel`, and returns figures
            by name, which are printed and recorded in the history.
        seed: of the initial weights, the order of the images and the noise; the same seed gives the
            same model on the same machine.
        backend: "numpy" or "cupy".
        out: a folder for the checkpoint and the figures of each epoch, as a run leaves them; by
            default nothing is left behind.
        restart: replace a run that is in `out`.
        quiet: print and show nothing.

    Raises:
        InputError: an argument is not what is expected.
        Interrupted: on Ctrl-C; the model as it was then is in `out`.
        Diverged: the loss is not finite.

    >>> from tinygen.data import stroke_digits
    >>> from tinygen.models import VAE
    >>> digits = stroke_digits(train=40, test=10)
    >>> trained = fit(VAE(hidden=(8,), latent=3), digits, epochs=2, batch_size=20, quiet=True)
    >>> trained.sample(4).shape
    (4, 28, 28)
    >>> trained.history[1]["test_loss"] < trained.history[0]["test_loss"]
    True
    """
    _refuse_other_models(model)
    recipe = RECIPES[type(model)]
    if labels is not None and not getattr(model, "classes", 0):
        raise InputError(f"fit: expected no labels, as {_a(model)} has no classes")
    data = _dataset(images, labels)
    _refuse_other_images(model, data)
    rate = recipe.lr if rate is None else rate
    batch_size = min(BATCH_SIZE, len(data.train_images)) if batch_size is None else batch_size
    if optimizer is not None and not callable(optimizer):
        raise InputError(f"fit: expected an optimizer such as tinygen.SGD, got {optimizer!r}"[:300])
    _refuse_numbers(len(data.train_images), epochs, batch_size, rate)
    require_seed(seed)
    backend = get_backend(backend) if isinstance(backend, str) else backend
    plan = _plan(model, data, epochs, batch_size, seed, rate, recipe.warm_up)
    optimizer = optimizer or partial(optim.Adam, beta1=recipe.beta1, beta2=recipe.beta2)
    learner = _learner(model, model.initialise(seed, np.float32, backend), optimizer, gradients)
    with _folder(out, restart) as folder:
        progress = _progress(epochs, quiet)
        trainer = Trainer(learner, plan, RunDir(folder), progress, backend)
        try:
            _train(trainer, data, evaluate)
        except Interrupted as stopped:
            left = f"tg.load({str(out)!r}) is the model so far" if out else "it left nothing behind"
            checkpoint = stopped.checkpoint if out else None
            raise Interrupted(f"{stopped}; {left}", checkpoint=checkpoint) from None
        except Diverged as diverged:
            checkpoint = diverged.checkpoint if out else None
            less = f"a rate below {rate:g} may get further"
            raise Diverged(f"{diverged}; {less}", checkpoint=checkpoint) from None
        trained = load(folder, backend)  # with a generator's average in place of the generator
    return trained if out is not None else replace(trained, path=None)


def _plan(
    model: Any, data: Dataset, epochs: int, batch_size: int, seed: int, rate: float, warm_up: float
) -> Plan:
    """The rate rises over the fraction `warm_up` of all steps, and then falls to 0."""
    numbers = {"epochs": epochs, "batch_size": batch_size, "lr": rate, "seed": seed}
    plan = Plan(
        epochs, batch_size, seed, show_every=50, schedule=optim.constant(rate),
        config={**numbers, "dtype": "float32"}, drop_last=isinstance(model, GAN), data=about(data),
    )  # fmt: skip
    steps = epochs * plan.steps(len(data.train_images))
    rising = round(warm_up * steps)
    return replace(plan, schedule=optim.warm_up(optim.linear(rate, steps - rising), rising))


def _train(trainer: Trainer, data: Dataset, evaluate: Evaluate | None) -> None:
    """Train until the last epoch, recording the figures of the model after each."""
    learner, plan, backend = trainer.learner, trainer.plan, trainer.backend
    model = learner.model
    has_tests = bool(plan.data["test"]) and isinstance(model, VERBS["loss"])
    test_labels = data.test_labels if isinstance(model, Classifier) else None

    def figures() -> dict[str, float]:
        now = TrainedModel(model, _averaged(learner), backend, None, plan.data)
        test = (
            {"test_loss": now.loss(data.test_images, test_labels, plan.seed)} if has_tests else {}
        )
        own = {} if evaluate is None else _as_figures(evaluate(now))
        trainer.progress.columns |= {name: f"{name} {{:.4g}}" for name in own}
        return test | own

    labels = None
    if getattr(model, "classes", 0):
        labels = one_hot(backend.asarray(np.asarray(data.train_labels)), model.classes)
    trainer.fit(backend.asarray(data.train_images), figures, labels)
    trainer.run_dir.write_summary(
        task=TASK, config=plan.config, data=plan.data, versions=versions(backend),
        seconds=round(trainer.state.seconds, 3), parameters=learner.parameters.flat.size,
    )  # fmt: skip


def _progress(epochs: int, quiet: bool) -> Progress:
    """Lines on a terminal, a curve in a notebook."""
    if quiet or not in_notebook():
        return Progress(epochs, {**COLUMNS}, quiet)
    from tinygen.training.live import LiveProgress  # which loads matplotlib

    return LiveProgress(epochs, {**COLUMNS})


@contextmanager
def _folder(out: str | os.PathLike[str] | None, restart: bool) -> Iterator[Path]:
    """The folder of the run; if none was asked for, a temporary one."""
    if out is None:
        with TemporaryDirectory() as temporary:
            yield Path(temporary)
        return
    run_dir = RunDir(expanded(out))
    run_dir.claim(TASK)
    if run_dir.holds and not restart:
        raise InputError(
            f"fit: {out} holds {run_dir.holds}; restart=True replaces it, or choose another out"
        )
    yield run_dir.folder


def _dataset(images: Any, labels: Any) -> Dataset:
    """The images as a data set; without test images, the training images stand in for them."""
    if isinstance(images, Dataset):
        if labels is not None:
            raise InputError("fit: expected no labels beside a Dataset, which has its own")
        return images
    labels = labels if labels is None else np.asarray(labels)
    require_images("fit", images, labels)
    return Dataset("images", images, labels, images, labels, "an array")


def _refuse_other_models(model: Any) -> None:
    """Refuse what is not a model that can be trained here, such as images, or a class."""
    if type(model) in RECIPES:
        return
    kinds = ", ".join(kind.__name__ for kind in RECIPES)
    got = type(model).__name__
    if isinstance(model, type):
        got = f"the class {model.__name__}; {model.__name__}() is one"
    raise InputError(f"fit: expected first one of {kinds}, and then images, got {got}")


def _refuse_other_images(model: Any, data: Dataset) -> None:
    """Refuse images of the wrong size, or without the labels that are needed."""
    if data.pixels != model.pixels:
        way = f"{type(model).__name__}(pixels={data.pixels}) is for these"
        if data.train_images.size == model.pixels:
            way = "images[None] is a batch of one"
        raise InputError(
            f"fit: expected images of {model.pixels} pixels, got {times(data.image_shape)}; {way}"
        )
    shape = (*data.image_shape, 1)[:3]  # for a grey image too; rows have none
    if needs_shape(model) and len(shape) == 3 and shape_of(model) != shape:
        raise InputError(
            f"fit: expected images of {times(shape_of(model))} (image={shape_of(model)}), got "
            f"{times(shape)}; {type(model).__name__}(image={shape}) is for these"
        )
    classes, labels = getattr(model, "classes", 0), data.train_labels
    if classes and labels is None:
        raise InputError(f"fit: expected labels (n,), as {_a(model)} has classes")
    if labels is not None and classes and (most := np.max(labels)) >= classes:
        raise InputError(
            f"fit: expected labels from 0 to {classes - 1}, as the {type(model).__name__} has "
            f"{classes} classes, got {most}"
        )


def _a(model: Any) -> str:
    name = type(model).__name__
    return f"{'an' if name.startswith('A') else 'a'} {name}"


def _refuse_numbers(images: int, epochs: Any, batch_size: Any, rate: Any) -> None:
    """Refuse numbers with which nothing could be learned."""
    if not isinstance(epochs, Integral) or int(epochs) < 1:
        raise InputError(f"fit: expected epochs of at least 1, a whole number, got {epochs!r}")
    if not isinstance(batch_size, Integral) or not 1 <= int(batch_size) <= images:
        raise InputError(
            f"fit: expected a batch_size of 1 to {images}, the number of images, got {batch_size!r}"
        )
    if not isinstance(rate, Real) or not 0 < float(rate) < float("inf"):
        raise InputError(f"fit: expected a rate above 0, got {rate!r}")


def _learner(model: Any, p: Parameters, optimizer: MakeOptimizer, how: str) -> Learner:
    gradients = model.gradients(how)
    if isinstance(model, GAN):
        return AdversarialLearner(model, p, optimizer, gradients, average=AVERAGE)
    if isinstance(model, AdversarialAutoencoder):
        return AAELearner(model, p, optimizer, gradients)
    return SingleLossLearner(model, p, optimizer, gradients)


def _averaged(learner: Learner) -> Parameters:
    """A copy of the parameters, with the average of a part that has one, as in a checkpoint."""
    p = learner.parameters.copy()
    if learner.averaged is not None:
        p.part(learner.averaged).flat[...] = learner.vectors["average"]
    return p


def _as_figures(figures: Any) -> dict[str, float]:
    """What an `evaluate` returned, for the row of an epoch, whose own names are taken."""
    if not isinstance(figures, Mapping) or not all(
        isinstance(name, str) and isinstance(x, Real) for name, x in figures.items()
    ):
        raise InputError(
            "fit: expected evaluate to return numbers by name, such as {'modes': 8}, "
            f"got {figures!r}"[:300]
        )
    if taken := [name for name in figures if name in ("epoch", "step", "rate", "seconds")]:
        raise InputError(f"fit: expected another name for a figure of evaluate than {taken[0]!r}")
    return {name: float(x) for name, x in figures.items()}
