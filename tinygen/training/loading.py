"""A trained model, as loaded from a checkpoint: what it is, and what it has learned."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from math import inf, prod
from numbers import Integral
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tinygen.backend import Array, Backend, get_backend
from tinygen.data.batches import as_floats, background, require_finite
from tinygen.data.datasets import as_pixels
from tinygen.data.locations import expanded
from tinygen.display import html_table, times
from tinygen.errors import InputError, require_seed
from tinygen.losses import one_hot
from tinygen.models import (
    GAN,
    VAE,
    AdversarialAutoencoder,
    Autoencoder,
    Classifier,
    Decoder,
    Encoder,
)
from tinygen.models.encoder_decoder import EncoderDecoder
from tinygen.models.options import option_for_any_numbers
from tinygen.models.serialization import KINDS, from_description
from tinygen.parameters import Parameters
from tinygen.training import checkpoint, tensors
from tinygen.training.run_dir import RunDir

FORMATS: dict[str, ModuleType] = {".npz": checkpoint, ".safetensors": tensors}
"""What reads and writes a file, by the suffix of its name."""
BY_NAME = "by name"
"""What the description in a file of `save` says about its arrays; a run's are one vector."""
DTYPES = ("float32", "float64")
ROWS = 1000
"""Images or codes that go through a model at a time, so that memory use stays flat."""
TEST_STREAM = 2
"""The stream of the seed for the noise of test images, as in the figures of a run."""

VERBS: dict[str, tuple[type, ...]] = {
    "encode": (EncoderDecoder, Encoder),
    "posterior": (VAE,),
    "decode": (EncoderDecoder, Decoder),
    "reconstruct": (EncoderDecoder,),
    "sample": (VAE, AdversarialAutoencoder, GAN),
    "loss": (Autoencoder, VAE, Classifier),
    "classify": (Classifier,),
}
"""What a trained model can be asked for, and which models can answer."""


@dataclass(frozen=True, repr=False)
class TrainedModel:
    """A model with its parameters.

    Attributes:
        model: such as a `tinygen.models.Autoencoder`.
        parameters: as they were when saved, on `backend`.
        data: what it was trained on: the data set's name, source and hashes, the shape of an
            image, and how pixels became numbers.
        config: the flags of its run.
        path: its file, or None.
        history: the figures of each epoch of its run, as in ``metrics.jsonl``; empty for a file
            written by `tinygen.save`. `tinygen.plots.loss_curves` draws them.

    Its verbs are `encode`, `posterior`, `decode`, `reconstruct`, `sample`, `loss` and `classify`,
    from host arrays to host arrays; `VERBS` says which models have which. Images are what `prepare`
    takes; images that are returned have the shape ``(n, h, w)`` of the training images, or are rows
    ``(n, d)`` if it was trained on rows.

    >>> from tinygen.data import stroke_digits
    >>> from tinygen.training import fit
    >>> digits = stroke_digits(train=20, test=10)
    >>> trained = fit(VAE(hidden=(8,), latent=3), digits, epochs=1, batch_size=10, quiet=True)
    >>> codes = trained.encode(digits.test_images)
    >>> codes.shape, trained.decode(codes).shape, trained.sample(4, seed=1).shape
    ((10, 3), (10, 28, 28), (4, 28, 28))

    The model, its encoder and its decoder are also functions of arrays with the backend and dtype
    of the parameters, as a training step needs them, such as ``trained.prepare(images)``.
    """

    model: Any
    parameters: Parameters
    backend: Backend
    path: Path | None
    data: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    history: Sequence[dict[str, Any]] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"TrainedModel({'; '.join(self._facts().values())})"

    def _repr_html_(self) -> str:
        return html_table("TrainedModel", (), [*self._facts().items()])

    @property
    def _name(self) -> str:
        """What messages call it."""
        return str(self.path or f"the trained {type(self.model).__name__}")

    def _facts(self) -> dict[str, str]:
        """What a reader wants to know about it, in a few words each."""
        p, options = self.parameters.flat, {f.name: f.default for f in fields(self.model)}
        own = {name: getattr(self.model, name) for name in options}
        changed = [f"{name}={x!r}" for name, x in own.items() if x != options[name]]
        return {
            "model": f"{type(self.model).__name__}({', '.join(changed)})",
            "parameters": f"{p.size} parameters, {p.dtype} on {self.backend.name}",
            "data": f"trained on {str(self.data.get('name', 'unknown data'))[:100]}",
            "file": str(self.path or "not saved"),
            "verbs": ", ".join(v for v, kinds in VERBS.items() if isinstance(self.model, kinds)),
        }

    def __dir__(self) -> list[str]:
        """Without the verbs that the model does not have."""
        lacks = {verb for verb, kinds in VERBS.items() if not isinstance(self.model, kinds)}
        lacks |= {part for part in ("encoder", "decoder") if not hasattr(self.model, part)}
        return sorted({*super().__dir__()} - lacks)

    @property
    def encoder(self) -> TrainedModel:
        """The encoder with its parameters: a model of its own."""
        return self._part("encoder")

    @property
    def decoder(self) -> TrainedModel:
        """The decoder with its parameters: a model of its own."""
        return self._part("decoder")

    @property
    def sha256(self) -> str:
        """Of the parameters, little-endian."""
        return sha256_of(self.backend.to_numpy(self.parameters.flat))

    def _part(self, name: str) -> TrainedModel:
        model = getattr(self.model, name, None)
        if model is None:
            raise InputError(f"{self._name}: {type(self.model).__name__} has no {name}")
        p = self.parameters.part(f"{name}.")
        own = {n: p.shapes[n] for n in model.shapes}  # a VAE has a variance beside its decoder
        flat = p.flat[: sum(map(prod, own.values()))]
        return replace(self, model=model, parameters=Parameters(own, flat))

    def to(self, backend: Backend, dtype: Any) -> TrainedModel:
        """The same model on another backend, or in another dtype."""
        return replace(self, parameters=self.parameters.to(backend, dtype), backend=backend)

    def prepare(self, images: Any) -> Array:
        """Host images as rows of floats in [0, 1] on the model's backend, ``(n, d)``.

        They are uint8, or floats in [0, 1]; in the shape of the training images, where grey ones
        may have an axis of one channel or none, or as rows of their pixels. A model that was
        trained on rows of floats takes images of any shape. If some of those floats were outside
        [0, 1], only whoever made them knows how pixels become such numbers: then uint8 is an error,
        and floats far from those of the training give a warning.

        A VAE that was trained on black and white pixels gets grey ones. Ink on white paper, given
        to a model of bright digits on a dark background, or the other way round, gives a warning.

        Raises:
            InputError: their size or type differs from that of the training images.
        """
        images = images if hasattr(images, "shape") else np.asarray(images)
        self._refuse_other_size(images)
        if images.dtype != np.uint8 and images.dtype.kind != "f":
            raise InputError(
                f"{self._name}: expected images of uint8 or of floats in [0, 1], got "
                f"{images.dtype}{as_pixels(images)}"
            )
        if self.data.get("preprocessing") == "none" and not option_for_any_numbers(self.model):
            self._compare_range(images)
        else:
            require_finite("images", images, unit_interval=True)
        self._compare_background(images)
        rows = images.reshape(len(images), prod(images.shape[1:]))
        return as_floats(self.backend.asarray(rows), self.parameters.flat.dtype)

    def _refuse_other_size(self, images: Any) -> None:
        """Images must have the shape of the training images; rows have none."""
        shape, row, got = self.data.get("shape"), [self.model.pixels], images.shape[1:]
        expected = shape if isinstance(shape, list) else []
        as_images = _without_grey(got) == _without_grey(expected)
        unknown = not isinstance(shape, list) and images.dtype != np.uint8
        any_shape = expected == row or unknown
        as_rows = [*got] == row or (any_shape and prod(got) == row[0])
        if images.ndim > 1 and (as_images or as_rows):
            return
        alone = _without_grey(images.shape) == _without_grey(expected)
        one = "; images[None] is a batch of one" if alone else ""
        raise InputError(
            f"{self._name}: the model is of images of {times(expected or row)} pixels, "
            f"got {times(got) or 'no'}{one}"
        )

    def _compare_range(self, images: Any) -> None:
        """Refuse bytes, and warn of floats, if the rows of the training were scaled differently."""
        require_finite("images", images)
        least, most, of = -inf, inf, ""  # older checkpoints do not say
        trained = self.data.get("range")
        if isinstance(trained, list) and [*map(type, trained)] == [float, float]:
            least, most = trained
            of = f" from {least:g} to {most:g}"
        if images.dtype == np.uint8 and not 0 <= least <= most <= 1:
            raise InputError(
                f"{self._name}: expected floats scaled as those of the training, which were rows "
                f"of floats{of}, got uint8; images / 255 is in [0, 1]"
            )
        if images.dtype == np.uint8 or not images.size:
            return
        now, width = (float(images.min()), float(images.max())), most - least
        if now[0] < least - width or now[1] > most + width:
            warnings.warn(
                f"the images are numbers from {now[0]:g} to {now[1]:g}, those that {self._name} "
                f"has seen{of}; were they scaled alike?",
                stacklevel=3,
            )

    def _compare_background(self, images: Any) -> None:
        """Warn of images that are dark where the training images are bright, or vice versa."""
        trained = self.data.get("background")  # older checkpoints do not say
        has_border = images.dtype == np.uint8 and images.ndim > 2 and images.size
        if not isinstance(trained, float) or not has_border:
            return
        if abs((new := background(images)) - trained) > 0.5:
            warnings.warn(
                f"the images have a mean background of {new:.2f}, those that {self._name} has "
                f"seen one of {trained:.2f}, where 0 is black and 1 is white; "
                "255 - images inverts them",
                stacklevel=3,
            )

    def __call__(self, *arrays: Array) -> Any:
        """The model's output for arrays such as those of `prepare`.

        Raises:
            InputError: an array is not of floats.
        """
        for array in arrays:
            if (dtype := getattr(array, "dtype", None)) is None or dtype.kind != "f":
                raise InputError(
                    f"{self._name}: expected arrays of floats, got "
                    f"{dtype or type(array).__name__}; trained.prepare(images) makes them of "
                    "images of uint8, and trained.encode and trained.decode take what is on the "
                    "host as it is"
                )
        return self.model(self.parameters, *arrays)

    # The verbs.

    def encode(self, images: Any) -> np.ndarray:
        """The codes of images, for a VAE the means: ``(n, h, w)`` to ``(n, latent)``."""
        self._require("encode")
        encoder = self if isinstance(self.model, Encoder) else self.encoder
        return self._in_pieces(encoder, images, self.prepare)

    def posterior(self, images: Any) -> tuple[np.ndarray, np.ndarray]:
        """The distribution of each image's code: means and log-variances, ``(n, latent)`` each.

        ``tg.gaussian_kl(*trained.posterior(images)).mean(axis=0)`` is the KL of each dimension, in
        nats: what it tells about an image.
        """
        self._require("posterior")
        encoder = self.encoder
        net, p = encoder.model.net, encoder.parameters
        both = self._in_pieces(lambda x: net(p, x), images, self.prepare)
        mean, log_var = np.split(both, 2, axis=1)
        return mean, log_var

    def decode(self, codes: Any) -> np.ndarray:
        """The images decoded from codes, floats: ``(n, latent)`` to ``(n, h, w)``."""
        self._require("decode")
        decoder = self if isinstance(self.model, Decoder) else self.decoder
        codes, latent = np.asarray(codes), decoder.model.latent
        if codes.ndim != 2 or codes.shape[1] != latent:
            raise InputError(f"{self._name}: expected codes (n, {latent}), got {codes.shape}")
        return self._as_images(self._in_pieces(decoder, codes, self._on_backend))

    def reconstruct(self, images: Any) -> np.ndarray:
        """Images decoded from their codes, for a VAE the means: ``(n, h, w)``, floats.

        ``trained.model.reconstruct(trained.parameters, x)`` takes and returns rows ``(n, pixels)``.
        """
        self._require("reconstruct")
        return self.decode(self.encode(images))

    def sample(self, n: int = 1, seed: int = 0, labels: Any = None) -> np.ndarray:
        """New images ``(n, h, w)``, floats: decoded draws of the prior, or generated from noise.

        They are rows ``(n, d)`` if the model was trained on rows.

        The draws are the same on every backend. For a VAE these are the means of the pixels.

        Args:
            labels: whole numbers, one or (n,): which classes, for a GAN that has some; without
                them it shows its classes in turn.
        """
        self._require("sample")
        require_seed(seed)
        z = np.random.default_rng(seed).standard_normal((_count(n), self.model.latent))
        classes = getattr(self.model, "classes", 0)
        if labels is not None and not classes:
            raise InputError(f"{self._name}: expected no labels, as the model has no classes")
        if not isinstance(self.model, GAN):
            return self.decode(z)
        generate = self.model.sampler(self.parameters.part("generator."))
        if not classes:
            return self._as_images(self._in_pieces(generate, z, self._on_backend))
        labels = np.arange(n) % classes if labels is None else np.asarray(labels)
        if labels.shape not in ((), (n,)):
            raise InputError(
                f"{self._name}: expected one label, or one for each of {n} images, got a shape of "
                f"{labels.shape}"
            )
        labels = np.broadcast_to(labels, n)
        if outside := {*labels.tolist()} - {*range(classes)}:
            raise InputError(
                f"{self._name}: label {min(outside)} is out of range; expected 0 to {classes - 1}"
            )
        rows = np.concatenate([z, one_hot(labels, classes, z.dtype)], axis=1)

        def conditional(rows: Array) -> Array:
            return generate(rows[:, :-classes], rows[:, -classes:])

        return self._as_images(self._in_pieces(conditional, rows, self._on_backend))

    def loss(self, images: Any, labels: Any = None, seed: int = 0) -> float:
        """The mean loss of images, as in a run's test figures.

        Nothing is distorted or dropped. A VAE's loss is its bound in nats, with a weight of 1 for
        the KL and no free bits, whatever it was trained with; `seed` is that of its noise.

        Args:
            labels: ``(n,)``, for a classifier.
        """
        self._require("loss")
        require_seed(seed)
        takes_labels = isinstance(self.model, Classifier)
        if takes_labels != (labels is not None) or (takes_labels and len(labels) != len(images)):
            expected = "a label for each image" if takes_labels else "images and no labels"
            got = "no labels" if labels is None else f"{len(images)} images, {len(labels)} labels"
            raise InputError(f"{self._name}: expected {expected}, got {got}")
        total = 0.0
        for k, start in enumerate(_starts(images)):
            x = self.prepare(images[start : start + ROWS])
            some = labels[start : start + ROWS] if takes_labels else None
            total += len(x) * float(self._loss(x, some, (seed, TEST_STREAM, k)))
        return total / len(images)

    def _loss(self, x: Array, labels: Any, seed: tuple[int, ...]) -> Any:
        model, p = self.model, self.parameters
        if isinstance(model, Autoencoder):
            return model.loss(p, x)
        if isinstance(model, Classifier):
            rows = one_hot(np.asarray(labels), model.classes, p.flat.dtype)
            return model.loss(p, x, self.backend.asarray(rows))
        x, noise, _ = model.evaluated.draw(x, self.backend.generator(seed))
        nll, kl, _ = model.evaluated.elbo_terms(p, x, noise)
        return nll.mean() + kl.mean(axis=0).sum()

    def classify(self, images: Any) -> np.ndarray:
        """The most probable class of each image: ``(n, h, w)`` to ``(n,)``, whole numbers."""
        self._require("classify")

        def classes(x: Array) -> Array:
            return self.model.logits(self.parameters, x).argmax(axis=1)

        return self._in_pieces(classes, images, self.prepare)

    def _require(self, verb: str) -> None:
        """Refuse a verb that the model does not have."""
        if not isinstance(self.model, VERBS[verb]):
            *some, last = [name for name, kind in KINDS.items() if issubclass(kind, VERBS[verb])]
            can = f"{', '.join(some)} and {last} have" if some else f"{last} has"
            raise InputError(f"{self._name}: {type(self.model).__name__} has no {verb}; {can} one")

    def _in_pieces(
        self, function: Callable[[Array], Array], rows: Any, to_backend: Callable[[Any], Array]
    ) -> np.ndarray:
        """A function of host rows, computed on the backend piece by piece; returns a host array."""
        pieces = (function(to_backend(rows[k : k + ROWS])) for k in _starts(rows))
        return np.concatenate([self.backend.to_numpy(y) for y in pieces])

    def _on_backend(self, rows: Any) -> Array:
        return self.backend.asarray(np.asarray(rows), self.parameters.flat.dtype)

    @property
    def _image_shape(self) -> tuple[int, ...]:
        """The shape of a training image; that of a row if the checkpoint does not say."""
        shape, pixels = self.data.get("shape"), int(self.model.pixels)
        if isinstance(shape, list) and all(type(n) is int for n in shape):
            return tuple(shape) if prod(shape) == pixels else (pixels,)
        return (pixels,)

    def _as_images(self, rows: np.ndarray) -> np.ndarray:
        return rows.reshape(len(rows), *self._image_shape)


def sha256_of(vector: Any) -> str:
    """The SHA-256 of a host vector's bytes, in little-endian order on every machine."""
    return hashlib.sha256(vector.astype(vector.dtype.newbyteorder("<")).tobytes()).hexdigest()


def load(path: str | os.PathLike[str], backend: Backend | str = "numpy") -> TrainedModel:
    """The model that a run left behind, or that `tinygen.save` wrote.

    >>> from tempfile import TemporaryDirectory
    >>> from tinygen.training import save
    >>> model = Autoencoder(pixels=6, hidden=(5,), latent=2)
    >>> with TemporaryDirectory() as folder:
    ...     save(f"{folder}/model.npz", model, model.initialise(seed=0))
    ...     load(f"{folder}/model.npz").encode(np.ones((4, 6))).shape
    (4, 2)

    Args:
        path: the folder of the run, or a file; ~ is the home folder.
        backend: where its parameters are put.

    Returns:
        The model as it was after the last step that was saved. Where a run keeps a moving average
        of a part, such as a GAN's generator, the average takes the place of that part.

    Raises:
        InputError: there is no checkpoint, it is damaged, or it does not say which model it holds.
    """
    path = expanded(path)
    file = RunDir(path).checkpoint if path.is_dir() else path
    backend = get_backend(backend) if isinstance(backend, str) else backend
    format = FORMATS.get(file.suffix, checkpoint)
    meta = format.read_meta(file)
    try:
        model = from_description(meta.get("model"))
    except InputError as error:
        raise InputError(f"{file}: {str(error)[:300]}") from None
    rows = meta.get("history")
    history = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    config, data = ({**x} if isinstance(x := meta.get(k), dict) else {} for k in ("config", "data"))
    dtype = np.dtype(name if (name := meta.get("dtype")) in DTYPES else "float32")
    size = sum(map(prod, model.shapes.values()))
    if size * dtype.itemsize > file.stat().st_size:  # before any memory is asked for
        raise checkpoint.damaged(file, f"a model of {size} parameters does not fit into it")
    host = Parameters.zeros(model.shapes, dtype, get_backend("numpy"))
    averaged = meta.get("averaged")
    vectors = {**host} if meta.get("arrays") == BY_NAME else {"parameters": host.flat}
    parts = {"", *(name[: name.find(".") + 1] for name in host)}  # "" is all of them
    if isinstance(averaged, str) and averaged in parts:
        vectors["average"] = host.part(averaged).flat
    arrays, _ = format.load(file, vectors)
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise checkpoint.damaged(file, "it holds NaN or infinity")
    for name, vector in vectors.items():  # the average after the parameters, into their memory
        vector[...] = arrays[name]
    return TrainedModel(model, host.to(backend), backend, file, data, config, history)


def _starts(rows: Any) -> range:
    """Where each piece of some rows begins; there is at least one piece."""
    if not len(rows):
        raise InputError("expected at least one image or code, got none")
    return range(0, len(rows), ROWS)


def _count(n: Any) -> int:
    """The number of samples, if it is a valid one."""
    if not isinstance(n, Integral) or n < 1:
        raise InputError(f"sample: expected a whole number of images, at least 1, got {n!r}")
    return int(n)


def _without_grey(shape: Sequence[int]) -> tuple[int, ...]:
    """The shape of an image without its channel axis if there is only one channel."""
    return tuple(shape[:2] if len(shape) == 3 and shape[2] == 1 else shape)
