"""Models that others are measured with: trained once for a data set, and kept in the cache.

Figures that were measured with another classifier do not compare. So there must be one for a data
set, whoever trains it, and all that is done here is done in one way: on the host, by one thread of
BLAS, which adds in another order with more, and without a compiled Adam, which rounds otherwise.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from tinygen import optim
from tinygen.autograd import value_and_grad
from tinygen.backend import Array
from tinygen.backend.numpy_backend import NumpyBackend, adam_numpy
from tinygen.byhand import autoencoder
from tinygen.byhand import vae as byhand_vae
from tinygen.data import Dataset, in_order
from tinygen.data.datasets import cache_folder
from tinygen.errors import InputError
from tinygen.evaluation import PCA, Generation, generation
from tinygen.files import write_text
from tinygen.losses import one_hot
from tinygen.models.autoencoder import Autoencoder
from tinygen.models.classifier import Classifier
from tinygen.models.vae import VAE
from tinygen.parameters import Parameters
from tinygen.training.learners.single_step import Descent
from tinygen.training.loading import Trained, sha256_of
from tinygen.training.progress import Progress
from tinygen.training.run_dir import Record, about
from tinygen.training.state import State
from tinygen.training.trainer import Interrupted, Plan, fit

EPOCHS, SMOKE_EPOCHS = {"judge": 10, "vae": 10, "encoder": 30}, 4
BATCH_SIZE, SEED = 128, 0
PCA_CODES = 64
FEWEST = {"test": 8, "training": 4}
"""Images to judge generated ones by: each needs three neighbours, also in a half of the test
images."""
RECIPE = 2
"""To be raised when a training here changes, so that what was kept is not taken for its result."""
RATES = {"judge": 2e-3, "vae": 6e-3, "encoder": 4e-3}


class _Host(NumpyBackend):
    """NumPy without a compiled Adam."""

    def _find_adam(self) -> Any:
        return adam_numpy


class _Adam(optim.Adam):
    """Adam on that backend, which an array of NumPy does not lead to."""

    def __init__(self, parameters: Parameters) -> None:
        super().__init__(parameters, beta2=0.95)
        self._backend = HOST


HOST = _Host()
on_one_thread = threadpool_limits.wrap(limits=1, user_api="blas")


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
    sha256: str
    error: float

    def __call__(self, images: Any) -> tuple[Any, Any]:
        """Of host images (n, pixels) the probabilities (n, classes) and features (n, f)."""
        return _judged(self.model, self.parameters, images)


def judge(dataset: Dataset, progress: Progress, smoke: bool = False) -> Judge:
    """The judge of a data set's images, trained when it is asked for the first time.

    Raises:
        InputError: the images have no labels, or there are too few to be judged by.
    """
    if dataset.train_labels is None or dataset.test_labels is None:
        raise InputError(f"{dataset.name} has no labels, from which a judge could learn")
    there = {"test": len(dataset.test_labels), "training": len(dataset.train_labels)}
    for part, fewest in FEWEST.items():
        if there[part] < fewest:
            raise InputError(
                f"{dataset.name} has {there[part]} {part} images; to judge generated ones "
                f"takes at least {fewest}"
            )
    every = np.concatenate([dataset.train_labels, dataset.test_labels])
    model = Classifier(dataset.pixels, classes=int(every.max()) + 1)
    labels = one_hot(dataset.train_labels, model.classes)
    learner = Descent(model, value_and_grad(model.loss))
    p = _trained("judge", model, learner, dataset, progress, smoke, labels)
    x = np.concatenate([*in_order(dataset.test_images)])
    error = float(np.mean(_judged(model, p, x)[0].argmax(axis=1) != dataset.test_labels))
    return Judge(model, p, sha256_of(p.flat), error)


def vae(dataset: Dataset, progress: Progress, smoke: bool = False) -> tuple[VAE, Parameters]:
    """The VAE beside which generators are shown, trained when it is asked for the first time."""
    model = VAE(dataset.pixels)
    by_hand = partial(byhand_vae.loss_and_grads, **model.terms)
    learner = Descent(model, by_hand)
    return model, _trained("vae", model, learner, dataset, progress, smoke)


def encoder(dataset: Dataset, progress: Progress, smoke: bool = False) -> Trained:
    """An autoencoder whose encoder others begin with, trained when it is asked for the first time.

    It learns to take away noise as strong as the images themselves. So it must know what digits
    look like, and its layers say more of them than those of one that only has to copy.
    """
    model = Autoencoder(dataset.pixels, input_noise=1.0)
    by_hand = partial(autoencoder.loss_and_grads, **model.terms)
    p = _trained("encoder", model, Descent(model, by_hand), dataset, progress, smoke)
    return Trained(model, p, HOST, Path("the denoising autoencoder"), about(dataset))


@on_one_thread
def _trained(
    name: str,
    model: Any,
    learner: Descent,
    dataset: Dataset,
    progress: Progress,
    smoke: bool,
    labels: Array | None = None,
) -> Parameters:
    """The parameters from the cache, or from a training that ends there."""
    n = len(dataset.train_images)
    epochs, rate, size = SMOKE_EPOCHS if smoke else EPOCHS[name], RATES[name], min(BATCH_SIZE, n)
    steps = epochs * ceil(n / size)
    schedule = optim.warm_up(optim.linear(rate, steps - steps // 10), steps // 10)
    config = {"recipe": RECIPE, "model": asdict(model), "epochs": epochs, "rate": rate,
              "batch_size": size, "images": n, "data": dataset.sha256}  # fmt: skip
    plan = Plan(epochs, size, SEED, 50, schedule, config, data=about(dataset))
    record = Record(_folder(name, config))

    def found() -> State:
        """That of the checkpoint, or of the beginning where there is none that is whole."""
        p = model.initialise(SEED)
        state = State(p, _Adam(p))
        with suppress(InputError, OSError):
            state.restore(record, HOST)
        return state

    state = found()
    if state.step == steps and len(state.history) == epochs:
        return state.parameters  # nobody changes it any more, so it may be read by all
    try:
        with _alone(record.folder, f"trains the {name} of {dataset.name}", progress):
            record.open()
            state = found()
            if len(state.history) < plan.epochs:
                progress.say(
                    f"training the {name} of {dataset.name}, once; it is kept in the cache"
                )
            bars = _Bars(plan.epochs, {}, progress.quiet)
            fit(state, learner, dataset.train_images, plan, dict, record, bars, HOST, labels)
    except Interrupted:
        raise Interrupted(
            f"stopped while the {name} was trained; the same command goes on from there, with "
            "--resume if the run itself had begun"
        ) from None
    return state.parameters


def _folder(name: str, config: dict[str, Any]) -> Path:
    """Where something is kept that depends on nothing but that."""
    return cache_folder() / "models" / f"{name}-{_digest(config)[:16]}"


def _digest(x: Any) -> str:
    """The SHA-256 of what JSON can write."""
    return hashlib.sha256(json.dumps(x, sort_keys=True).encode()).hexdigest()


@contextmanager
def _alone(folder: Path, what: str, progress: Progress) -> Iterator[None]:
    """Wait until no other process does the same; the system lets go of it when one dies."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "lock").open("w")
    except OSError as error:
        raise InputError(
            f"{folder}: models that are trained once are kept there, but it cannot be written "
            f"into ({error.strerror or error})"
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say(f"waiting for another process that {what}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@on_one_thread
def _judged(model: Classifier, p: Parameters, images: Any) -> tuple[Any, Any]:
    pieces = [
        model.judge(p, np.asarray(images[start : start + 1000], p.flat.dtype))
        for start in range(0, len(images), 1000)
    ]
    probabilities, features = zip(*pieces, strict=True)
    return np.concatenate(probabilities), np.concatenate(features)


def yardsticks(
    dataset: Dataset, read: Judge, progress: Progress, smoke: bool = False
) -> dict[str, Generation]:
    """What a generator's figures are held against, by the names of the rows of a table.

    As many images as there are for testing: these themselves, one random half of them against the
    other, training images, which are what the best generator would make, a normal distribution of
    PCA's codes, and the VAE. The halves differ more, since they are smaller.

    They are measured once, and kept as the judge is.
    """
    images = [len(dataset.train_images), len(dataset.test_images)]
    config = {"recipe": RECIPE, "judge": read.sha256, "vae": asdict(VAE(dataset.pixels)),
              "smoke": smoke, "images": images, "data": dataset.sha256}  # fmt: skip
    folder = _folder("rows", config)
    file = folder / "rows.json"
    if rows := _rows(file):
        return rows
    with _alone(folder, f"measures the yardsticks of {dataset.name}", progress):
        if rows := _rows(file):
            return rows
        rows = _measured(dataset, read, progress, smoke)
        figures = {name: row.figures for name, row in rows.items()}
        write_text(file, json.dumps({"rows": figures, "sha256": _digest(figures)}, indent=2))
    return rows


def _rows(file: Path) -> dict[str, Generation]:
    """Those that are kept there; none if they are not there yet, or damaged."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        kept = json.loads(file.read_text())
        if kept["sha256"] == _digest(kept["rows"]):
            return {name: Generation.of(row) for name, row in kept["rows"].items()}
    return {}


@on_one_thread
def _measured(
    dataset: Dataset, read: Judge, progress: Progress, smoke: bool
) -> dict[str, Generation]:
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
    model, p = vae(dataset, progress, smoke)
    z = generator.standard_normal((len(x), model.latent)).astype(p.flat.dtype)
    return {
        "real test images": generation(probabilities, features, features, labels),
        "a real half, the other": generation(
            probabilities[half], features[half], features[other], labels[other]
        ),
        "training images": against_real(
            np.concatenate([*in_order(dataset.train_images[: len(x)])])
        ),
        f"Gaussian, {len(pca.variances)} PCA codes": against_real(pca.decode(codes).clip(0, 1)),
        "VAE": against_real(model.decode(p, z)),
    }


class _Bars(Progress):
    """The bars of a training, without a line for each epoch."""

    def row(self, row: dict[str, Any]) -> None:
        pass
