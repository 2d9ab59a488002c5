"""Reference models, by which others are measured: trained once for a data set, then cached.

Figures that were measured with different classifiers cannot be compared. So there must be one for a
data set, whoever trains it, and everything is done here in one way: on the host, with one thread of
BLAS, which sums in another order with more, and without a compiled Adam, which rounds differently.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from threadpoolctl import threadpool_limits

from tinygen import optim
from tinygen.backend import Array
from tinygen.backend.numpy_backend import NumpyBackend, adam_numpy
from tinygen.data import Dataset, as_floats, in_order
from tinygen.data.locations import cache_folder
from tinygen.errors import InputError
from tinygen.evaluation import PCA, GenerationScores, evaluate_generation
from tinygen.files import write_text
from tinygen.losses import one_hot
from tinygen.models.autoencoder import Autoencoder
from tinygen.models.classifier import Classifier
from tinygen.models.vae import VAE
from tinygen.parameters import Parameters
from tinygen.training.learners.single_step import SingleLossLearner
from tinygen.training.loading import TrainedModel, sha256_of
from tinygen.training.plan import Plan
from tinygen.training.progress import Progress
from tinygen.training.run_dir import RunDir, about
from tinygen.training.trainer import Interrupted, Trainer

EPOCHS, SMOKE_EPOCHS = {"judge": 10, "vae": 10, "encoder": 30}, 4
BATCH_SIZE, SEED = 128, 0
PCA_CODES = 64
FEWEST = {"test": 8, "training": 4}
"""The fewest images for scores of generated ones: each needs three neighbours, even in one half of
the test images."""
RECIPE = 2
"""Increase this when a training run here changes, so that what is in the cache is not taken for its
result."""
RATES = {"judge": 2e-3, "vae": 6e-3, "encoder": 4e-3}


class _Host(NumpyBackend):
    """NumPy without a compiled Adam."""

    def _find_adam(self) -> Any:
        return adam_numpy


class _Adam(optim.Adam):
    """Adam on that backend, which cannot be inferred from a NumPy array."""

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
        sha256: of the parameters, little-endian float32; scores with the same one are comparable.
        error: the fraction of the test images that it gets wrong.
    """

    model: Classifier
    parameters: Parameters
    sha256: str
    error: float

    def __call__(self, images: Any) -> tuple[Any, Any]:
        """The probabilities (n, classes) and features (n, f) of host images (n, pixels)."""
        return _classify(self.model, self.parameters, images)

    def score(self, images: Any, dataset: Dataset) -> tuple[Any, GenerationScores]:
        """The classes of generated images (n, pixels), (n,), and their scores.

        They are compared with the test images of `dataset`.
        """
        probabilities, features = self(images)
        real = self(as_floats(dataset.test_images))[1]
        scores = evaluate_generation(probabilities, features, real, dataset.test_labels)
        return probabilities.argmax(axis=1), scores

    @property
    def metrics(self) -> dict[str, Any]:
        """What a run records about it."""
        return {"sha256": self.sha256, "error": self.error}


def reference_classifier(dataset: Dataset, progress: Progress, smoke: bool = False) -> Judge:
    """The classifier that scores a data set's images, trained the first time it is asked for.

    Raises:
        InputError: the images have no labels, or there are too few for scores.
    """
    if dataset.train_labels is None or dataset.test_labels is None:
        raise InputError(
            f"{dataset.name} has no labels, from which a judge could learn; "
            "tg.fit(tg.GAN(), images) needs neither"
        )
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
    p = _trained("judge", model, "autograd", dataset, progress, smoke, labels)
    x = np.concatenate([*in_order(dataset.test_images)])
    error = float(np.mean(_classify(model, p, x)[0].argmax(axis=1) != dataset.test_labels))
    return Judge(model, p, sha256_of(p.flat), error)


def reference_vae(
    dataset: Dataset, progress: Progress, smoke: bool = False
) -> tuple[VAE, Parameters]:
    """The VAE with which generators are compared, trained the first time it is asked for."""
    model = VAE(dataset.pixels)
    return model, _trained("vae", model, "by-hand", dataset, progress, smoke)


def denoising_autoencoder(
    dataset: Dataset, progress: Progress, smoke: bool = False, **network: Any
) -> TrainedModel:
    """An autoencoder whose encoder others start from, trained the first time it is asked for.

    It learns to remove noise as strong as the images themselves. So it must know what digits look
    like, and its layers represent them better than those of one that only has to copy.

    Args:
        network: options of `tinygen.models.Autoencoder`, such as `channels`.
    """
    untrained = untrained_autoencoder(dataset, **network)
    p = _trained("encoder", untrained.model, "by-hand", dataset, progress, smoke)
    return replace(untrained, parameters=p, path=Path("the denoising autoencoder"))


def untrained_autoencoder(dataset: Dataset, **network: Any) -> TrainedModel:
    """The same with random weights, for those who only need to know its layers."""
    model = Autoencoder(dataset.pixels, input_noise=1.0, **network)
    return TrainedModel(model, model.initialise(SEED), HOST, Path("untrained"), about(dataset))


@on_one_thread
def _trained(
    name: str,
    model: Any,
    gradients: str,
    dataset: Dataset,
    progress: Progress,
    smoke: bool,
    labels: Array | None = None,
) -> Parameters:
    """The parameters from the cache, or from a training run whose result is kept there."""
    n = len(dataset.train_images)
    epochs, rate, size = SMOKE_EPOCHS if smoke else EPOCHS[name], RATES[name], min(BATCH_SIZE, n)
    steps = epochs * ceil(n / size)
    schedule = optim.warm_up(optim.linear(rate, steps - steps // 10), steps // 10)
    config = {"recipe": RECIPE, "model": asdict(model), "epochs": epochs, "rate": rate,
              "batch_size": size, "images": n, "data": dataset.sha256}  # fmt: skip
    plan = Plan(epochs, size, SEED, 50, schedule, config, data=about(dataset))
    run_dir, bars = RunDir(_folder(name, config)), _Bars(epochs, {}, progress.quiet)

    def restored() -> Trainer:
        """A trainer at the checkpoint, or at the beginning if there is no complete one."""
        p, how = model.initialise(SEED), model.gradients(gradients)
        trainer = Trainer(SingleLossLearner(model, p, _Adam, how), plan, run_dir, bars, HOST)
        with suppress(InputError, OSError):
            trainer.restore()
        return trainer

    trainer = restored()
    if trainer.state.step == steps and len(trainer.state.history) == epochs:
        return trainer.learner.parameters  # no longer written, so safe to read without the lock
    try:
        with _alone(run_dir.folder, f"trains the {name} of {dataset.name}", progress):
            run_dir.open()
            run_dir.sweep()
            trainer = restored()
            if len(trainer.state.history) < epochs:
                progress.say(
                    f"training the {name} of {dataset.name}, once; it is kept in the cache"
                )
            trainer.fit(dataset.train_images, dict, labels)
    except Interrupted:
        raise Interrupted(
            f"stopped while the {name} was trained; the same command goes on from there, with "
            "--resume if the run itself had begun"
        ) from None
    return trainer.learner.parameters


def _folder(name: str, config: dict[str, Any]) -> Path:
    """The folder in the cache for what depends on nothing but `config`."""
    return cache_folder() / "models" / f"{name}-{_digest(config)[:16]}"


def _digest(x: Any) -> str:
    """The SHA-256 of what JSON can write."""
    return hashlib.sha256(json.dumps(x, sort_keys=True).encode()).hexdigest()


@contextmanager
def _alone(folder: Path, what: str, progress: Progress) -> Iterator[None]:
    """Wait until no other process does the same; the system releases the lock of one that dies."""
    lock = FileLock(folder / "lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            progress.say(f"waiting for another process that {what}")
            lock.acquire()
    except OSError as error:
        raise InputError(
            f"{folder}: models that are trained once are kept there, but it cannot be written "
            f"into ({error.strerror or error}); set TINYGEN_CACHE_DIR to a folder that can"
        ) from None
    try:
        yield
    finally:
        lock.release()


@on_one_thread
def _classify(model: Classifier, p: Parameters, images: Any) -> tuple[Any, Any]:
    pieces = [
        model.probabilities_and_features(p, np.asarray(images[start : start + 1000], p.flat.dtype))
        for start in range(0, len(images), 1000)
    ]
    probabilities, features = zip(*pieces, strict=True)
    return np.concatenate(probabilities), np.concatenate(features)


def baselines(
    dataset: Dataset, classifier: Judge, progress: Progress, smoke: bool = False
) -> dict[str, GenerationScores]:
    """What a generator's figures are compared with, by the names of the rows of a table.

    The rows are the test images themselves; one random half of them against the other; and as many
    training images, which are what the best generator would make, images from a normal distribution
    of PCA's codes, and images from the VAE. The halves differ more, as they are smaller.

    They are measured once, and cached like the classifier.
    """
    images = [len(dataset.train_images), len(dataset.test_images)]
    config = {"recipe": RECIPE, "judge": classifier.sha256, "vae": asdict(VAE(dataset.pixels)),
              "smoke": smoke, "images": images, "data": dataset.sha256}  # fmt: skip
    folder = _folder("rows", config)
    file = folder / "rows.json"
    if rows := _rows(file):
        return rows
    with _alone(folder, f"measures the baselines of {dataset.name}", progress):
        if rows := _rows(file):
            return rows
        rows = _measured(dataset, classifier, progress, smoke)
        figures = {name: row.metrics for name, row in rows.items()}
        write_text(file, json.dumps({"rows": figures, "sha256": _digest(figures)}, indent=2))
    return rows


def _rows(file: Path) -> dict[str, GenerationScores]:
    """The rows in the file; none if it is not there yet, or damaged."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        saved = json.loads(file.read_text())
        if saved["sha256"] == _digest(saved["rows"]):
            return {name: GenerationScores.from_metrics(row) for name, row in saved["rows"].items()}
    return {}


@on_one_thread
def _measured(
    dataset: Dataset, classifier: Judge, progress: Progress, smoke: bool
) -> dict[str, GenerationScores]:
    x = np.concatenate([*in_order(dataset.test_images)])
    generator = np.random.default_rng(SEED)
    half, other = np.array_split(generator.permutation(len(x)), 2)
    labels = np.asarray(dataset.test_labels)
    probabilities, features = classifier(x)

    def against_real(images: Any) -> GenerationScores:
        return evaluate_generation(*classifier(images), features, labels)

    pca = PCA.fit(dataset.train_images, min(PCA_CODES, dataset.pixels))
    std = np.sqrt(np.maximum(pca.variances, 0))  # rounding may leave less than 0
    codes = generator.standard_normal((len(x), len(std))) * std
    model, p = reference_vae(dataset, progress, smoke)
    z = generator.standard_normal((len(x), model.latent)).astype(p.flat.dtype)
    return {
        "real test images": evaluate_generation(probabilities, features, features, labels),
        "a real half, the other": evaluate_generation(
            probabilities[half], features[half], features[other], labels[other]
        ),
        "training images": against_real(
            np.concatenate([*in_order(dataset.train_images[: len(x)])])
        ),
        f"Gaussian, {len(pca.variances)} PCA codes": against_real(pca.decode(codes).clip(0, 1)),
        "VAE": against_real(model.decode(p, z)),
    }


class _Bars(Progress):
    """The bars of a training run, without a line for each epoch."""

    def row(self, row: dict[str, Any]) -> None:
        pass
