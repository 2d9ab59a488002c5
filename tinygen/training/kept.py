"""Models that others are measured with: trained once for a data set, and kept in the cache."""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from tinygen import optim
from tinygen.autograd import value_and_grad
from tinygen.backend import Array, Backend
from tinygen.byhand.vae import loss_and_grads
from tinygen.byhand.workspace import Workspace
from tinygen.data import Dataset, in_order
from tinygen.data.mnist import cache_folder
from tinygen.errors import InputError
from tinygen.losses import one_hot
from tinygen.metrics import PCA, Generation, generation
from tinygen.models.classifier import Classifier
from tinygen.models.vae import VAE
from tinygen.parameters import Parameters
from tinygen.training.descent import Descent
from tinygen.training.loop import Interrupted, Plan, fit
from tinygen.training.progress import Progress
from tinygen.training.record import Record
from tinygen.training.state import State

EPOCHS, SMOKE_EPOCHS = 10, 4
BATCH_SIZE, SEED = 128, 0
PCA_CODES = 64
FEWEST = 8
"""Test images: each half of them needs neighbours."""
RECIPE = 1
"""To be raised when a training here changes, so that what was kept is not taken for its result."""
RATES = {"judge": 2e-3, "vae": 6e-3}


@dataclass(frozen=True)
class Judge:
    """A classifier that says what generated images show.

    Attributes:
        model, parameters: the classifier.
        sha256: of the parameters, little-endian float32: the name under which scores compare.
        error: its share of wrong answers on the test images.
    """

    model: Classifier
    parameters: Parameters
    backend: Backend
    sha256: str
    error: float

    def __call__(self, images: Any) -> tuple[Any, Any]:
        """Of host images (n, pixels) the probabilities (n, classes) and features (n, f)."""
        return _judged(self.model, self.parameters, self.backend, images)


def judge(dataset: Dataset, backend: Backend, progress: Progress, smoke: bool = False) -> Judge:
    """The judge of a data set's images, trained when it is asked for the first time.

    Raises:
        InputError: the images have no labels, or there are too few to be judged by.
    """
    if dataset.train_labels is None or dataset.test_labels is None:
        raise InputError(f"{dataset.name} has no labels, from which a judge could learn")
    if len(dataset.test_labels) < FEWEST:
        raise InputError(
            f"{dataset.name} has {len(dataset.test_labels)} test images; to judge generated ones "
            f"takes at least {FEWEST}"
        )
    every = np.concatenate([dataset.train_labels, dataset.test_labels])
    model = Classifier(dataset.pixels, classes=int(every.max()) + 1)
    labels = one_hot(backend.asarray(dataset.train_labels), model.classes)
    learner = Descent(model, value_and_grad(model.loss))
    p = _trained("judge", model, learner, dataset, backend, progress, smoke, labels)
    flat = backend.to_numpy(p.flat).astype("<f4")
    x = np.concatenate([*in_order(dataset.test_images)])
    said = _judged(model, p, backend, x)[0].argmax(axis=1)
    error = float(np.mean(said != dataset.test_labels))
    return Judge(model, p, backend, hashlib.sha256(flat.tobytes()).hexdigest(), error)


def vae(
    dataset: Dataset, backend: Backend, progress: Progress, smoke: bool = False
) -> tuple[VAE, Parameters]:
    """The VAE beside which generators are shown, trained when it is asked for the first time."""
    model = VAE(dataset.pixels)
    by_hand = partial(loss_and_grads, workspace=Workspace(), **model.terms)
    learner = Descent(model, by_hand)
    return model, _trained("vae", model, learner, dataset, backend, progress, smoke)


def _trained(
    name: str,
    model: Any,
    learner: Descent,
    dataset: Dataset,
    backend: Backend,
    progress: Progress,
    smoke: bool,
    labels: Array | None = None,
) -> Parameters:
    """The parameters from the cache, or from a training that ends there."""
    n = len(dataset.train_images)
    epochs, rate, size = SMOKE_EPOCHS if smoke else EPOCHS, RATES[name], min(BATCH_SIZE, n)
    steps = epochs * ceil(n / size)
    schedule = optim.warm_up(optim.linear(rate, steps - steps // 10), steps // 10)
    config = {"recipe": RECIPE, "model": asdict(model), "epochs": epochs, "rate": rate,
              "batch_size": size, "images": n, "data": dataset.sha256,
              "backend": backend.name}  # fmt: skip
    plan = Plan(epochs, size, SEED, 50, schedule, config)
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:16]
    record = Record(cache_folder() / "models" / f"{name}-{digest}")
    p = model.initialise(SEED, np.float32, backend)
    state = State(p, optim.Adam(p, beta2=0.95))
    images = backend.asarray(dataset.train_images)
    try:
        with _alone(record.folder):
            record.open()
            try:
                state.restore(record, backend)
            except InputError:  # it is not there yet, or damaged
                state = State(p, state.optimizer)
            if len(state.history) < plan.epochs:
                progress.say(
                    f"training the {name} of {dataset.name}, once; it is kept in the cache"
                )
            bars = _Bars(plan.epochs, {}, progress.quiet)
            fit(state, learner, images, plan, dict, record, bars, backend, labels)
    except Interrupted:
        raise Interrupted(
            f"stopped while the {name} was trained; the same command goes on from there, with "
            "--resume if the run itself had begun"
        ) from None
    return p


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process trains the same; the system lets go of it when one dies."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "lock").open("w")
    except OSError as error:
        raise InputError(
            f"{folder}: models that are trained once are kept there, but it cannot be written "
            f"into ({error.strerror or error})"
        ) from None
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _judged(model: Classifier, p: Parameters, backend: Backend, images: Any) -> tuple[Any, Any]:
    pieces = []
    for start in range(0, len(images), 1000):
        x = backend.asarray(np.asarray(images[start : start + 1000], p.flat.dtype))
        pieces.append([backend.to_numpy(y) for y in model.judge(p, x)])
    probabilities, features = zip(*pieces, strict=True)
    return np.concatenate(probabilities), np.concatenate(features)


def yardsticks(
    dataset: Dataset, read: Judge, backend: Backend, progress: Progress, smoke: bool = False
) -> dict[str, Generation]:
    """What a generator's figures are held against, by the names of the rows of a table.

    As many images as there are for testing: these themselves, one random half of them against the
    other, training images, which are what the best generator would make, a normal distribution of
    PCA's codes, and the VAE. The halves differ more, since they are smaller.
    """
    x = np.concatenate([*in_order(dataset.test_images)])
    generator = np.random.default_rng(SEED)
    half, other = np.array_split(generator.permutation(len(x)), 2)
    labels = np.asarray(dataset.test_labels)
    probabilities, features = read(x)

    def against_real(images: Any) -> Generation:
        return generation(*read(images), features, labels)

    pca = PCA.fit(dataset.train_images, min(PCA_CODES, dataset.pixels))
    deviation = np.sqrt(np.maximum(pca.variances, 0))  # rounding may leave less than 0
    codes = generator.standard_normal((len(x), len(deviation))) * deviation
    model, p = vae(dataset, backend, progress, smoke)
    z = backend.asarray(generator.standard_normal((len(x), model.latent)), p.flat.dtype)
    return {
        "real test images": generation(probabilities, features, features, labels),
        "a real half, the other": generation(
            probabilities[half], features[half], features[other], labels[other]
        ),
        "training images": against_real(
            np.concatenate([*in_order(dataset.train_images[: len(x)])])
        ),
        f"Gaussian, {len(pca.variances)} PCA codes": against_real(pca.decode(codes).clip(0, 1)),
        "VAE": against_real(backend.to_numpy(model.decode(p, z))),
    }


class _Bars(Progress):
    """The bars of a training, without a line for each epoch."""

    def row(self, row: dict[str, Any]) -> None:
        pass
