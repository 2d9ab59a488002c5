"""A trained model, as a checkpoint gives it back: what it is, and what it has learned."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from tinygen.backend import Array, Backend, get_backend
from tinygen.data.batches import as_floats, background, require_finite
from tinygen.data.locations import expanded
from tinygen.errors import InputError
from tinygen.models.encoder_decoder import Decoder, Encoder
from tinygen.models.serialization import from_description
from tinygen.parameters import Parameters
from tinygen.training import checkpoint
from tinygen.training.run_dir import RunDir

DTYPES = ("float32", "float64")
ROWS = 1000
"""Images or codes that go through a model at a time, so that memory stays flat."""


@dataclass(frozen=True)
class TrainedModel:
    """A model with its parameters.

    Attributes:
        model: such as a `tinygen.models.Autoencoder`.
        parameters: as they were when they were saved, on `backend`.
        data: what it was trained on: the data set's name, source and hashes, the shape of an
            image, and how pixels became numbers.
        config: the flags of its run.
        path: the file, for messages.

    It, its encoder and its decoder are called with arrays on the backend of the parameters and of
    their dtype::

        trained = tg.load("runs/mnist_autoencoder")
        codes = trained.encoder(trained.prepare(images))
        images = trained.decoder(codes)

    `encode` and `decode` do the same from host arrays to host arrays.
    """

    model: Any
    parameters: Parameters
    backend: Backend
    path: Path
    data: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)

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
            raise InputError(f"{self.path}: {type(self.model).__name__} has no {name}")
        p = self.parameters.part(f"{name}.")
        own = {n: p.shapes[n] for n in model.shapes}  # a VAE's decoder has a variance beside it
        flat = p.flat[: sum(map(prod, own.values()))]
        return TrainedModel(
            model, Parameters(own, flat), self.backend, self.path, self.data, self.config
        )

    def to(self, backend: Backend, dtype: Any) -> TrainedModel:
        """The same in another place, or in another arithmetic."""
        return replace(self, parameters=self.parameters.to(backend, dtype), backend=backend)

    def prepare(self, images: Any) -> Array:
        """Host images (n, h, w) of uint8 as rows of floats in [0, 1], on the model's backend.

        Or (n, h, w, c); grey ones may have an axis of one channel or none, whatever those of the
        training had.

        A VAE that was trained on black and white pixels gets grey ones. Ink on white paper, given
        to a model of bright digits on a dark background, or the other way round, is warned of.

        Raises:
            InputError: they have another size than those that it was trained on, or another type.
        """
        images = images if hasattr(images, "shape") else np.asarray(images)
        shape = self.data.get("shape")
        expected = shape if isinstance(shape, list) else []
        if _without_grey(images.shape[1:]) != _without_grey(expected):
            alone = _without_grey(images.shape) == _without_grey(expected)
            one = "; images[None] is a batch of one" if alone else ""
            raise InputError(
                f"{self.path}: the model is of images of {_by(expected)} pixels, "
                f"got {_by(images.shape[1:])}{one}"
            )
        if images.ndim > 2 and images.dtype != np.uint8:
            raise InputError(
                f"{self.path}: expected uint8 images, got {images.dtype}; floats in [0, 1] need no "
                "preparation but images.reshape(len(images), -1)"
            )
        require_finite("images", images)
        self._compare_background(images)
        return as_floats(self.backend.asarray(images), self.parameters.flat.dtype)

    def _compare_background(self, images: Any) -> None:
        """Warn of images that are dark where those of the training are bright."""
        trained = self.data.get("background")  # older checkpoints do not say
        if not isinstance(trained, float) or images.ndim < 3 or not images.size:
            return
        if abs((new := background(images)) - trained) > 0.5:
            warnings.warn(
                f"the images have a mean background of {new:.2f}, those that {self.path} was "
                f"trained on one of {trained:.2f}, where 0 is black and 1 is white; "
                "255 - images inverts them",
                stacklevel=3,
            )

    def __call__(self, *arrays: Array) -> Any:
        """The model's answer to arrays such as those of `prepare`.

        Raises:
            InputError: an array is not of floats.
        """
        for array in arrays:
            if (dtype := getattr(array, "dtype", None)) is None or dtype.kind != "f":
                raise InputError(
                    f"{self.path}: expected arrays of floats, got {dtype or type(array).__name__}; "
                    "trained.prepare(images) makes them of images of uint8, and trained.encode and "
                    "trained.decode take what is on the host as it is"
                )
        return self.model(self.parameters, *arrays)

    def encode(self, images: Any) -> Any:
        """The codes of host images, a VAE's the means: ``(n, h, w)`` of uint8 to ``(n, latent)``.

        Raises:
            InputError: there is no encoder, or it is of images of another size.
        """
        encoder = self if isinstance(self.model, Encoder) else self.encoder
        return encoder._from_host(images, encoder.prepare)

    def decode(self, codes: Any) -> Any:
        """The images of host codes, as rows on the host: ``(n, latent)`` to ``(n, pixels)``.

        Raises:
            InputError: there is no decoder.
        """
        decoder = self if isinstance(self.model, Decoder) else self.decoder
        dtype, asarray = decoder.parameters.flat.dtype, decoder.backend.asarray
        return decoder._from_host(np.asarray(codes), lambda z: asarray(z.astype(dtype)))

    def _from_host(self, rows: Any, prepare: Callable[[Any], Array]) -> Any:
        """The model's output for host rows, which `prepare` moves to the backend; on the host."""
        pieces = (self(prepare(rows[k : k + ROWS])) for k in range(0, len(rows), ROWS))
        return np.concatenate([self.backend.to_numpy(y) for y in pieces])


def sha256_of(vector: Any) -> str:
    """The SHA-256 of a host vector's bytes, in little-endian order on every machine."""
    return hashlib.sha256(vector.astype(vector.dtype.newbyteorder("<")).tobytes()).hexdigest()


def load(path: str | os.PathLike[str], backend: Backend | str = "numpy") -> TrainedModel:
    """The model that a run left behind.

    Args:
        path: the folder of the run, or its ``checkpoint.npz``; ~ is the home folder.
        backend: where its parameters shall lie.

    Returns:
        The model as it was after the last step that was saved. Where a run keeps a moving average
        of a part, as that of a GAN's generator, the average stands in the place of the part.

    Raises:
        InputError: there is no checkpoint, it is damaged, or it does not say which model it holds.
    """
    path = expanded(path)
    file = RunDir(path).checkpoint if path.is_dir() else path
    backend = get_backend(backend) if isinstance(backend, str) else backend
    meta = checkpoint.read_meta(file)
    try:
        model = from_description(meta.get("model"))
    except InputError as error:
        raise InputError(f"{file}: {str(error)[:300]}") from None
    config, data = ({**x} if isinstance(x := meta.get(k), dict) else {} for k in ("config", "data"))
    dtype = np.dtype(name if (name := meta.get("dtype")) in DTYPES else "float32")
    size = sum(map(prod, model.shapes.values()))
    if size * dtype.itemsize > file.stat().st_size:  # before any memory is asked for
        raise checkpoint.damaged(file, f"a model of {size} parameters does not fit into it")
    host = Parameters.zeros(model.shapes, dtype, get_backend("numpy"))
    averaged = meta.get("averaged")
    vectors = {"parameters": host.flat}
    parts = {"", *(name[: name.find(".") + 1] for name in host)}  # "" is all of them
    if isinstance(averaged, str) and averaged in parts:
        vectors["average"] = host.part(averaged).flat
    arrays, _ = checkpoint.load(file, vectors)
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise checkpoint.damaged(file, "it holds NaN or infinity")
    for name, vector in vectors.items():  # the average after the parameters, into their memory
        vector[...] = arrays[name]
    return TrainedModel(model, host.to(backend), backend, file, data, config)


def _without_grey(shape: Sequence[int]) -> tuple[int, ...]:
    """The shape of an image without its axis of channels if there is only one."""
    return tuple(shape[:2] if len(shape) == 3 and shape[2] == 1 else shape)


def _by(shape: Any) -> str:
    return " x ".join(map(str, shape)) or "no"
