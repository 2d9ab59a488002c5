"""Writes a model with its parameters to one file, for `tinygen.load` and for other programs.

docs/layout.md says what is in it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinygen.backend import get_backend
from tinygen.data import Dataset
from tinygen.data.locations import expanded
from tinygen.errors import InputError
from tinygen.models.architecture import shape_of
from tinygen.models.serialization import KINDS, describe
from tinygen.parameters import Parameters, refuse_other_types
from tinygen.training import checkpoint
from tinygen.training.loading import BY_NAME, DTYPES, FORMATS, TrainedModel
from tinygen.training.run_dir import about


def save(
    path: str | os.PathLike[str],
    model: Any,
    parameters: Parameters | None = None,
    data: Dataset | Mapping[str, Any] | None = None,
) -> None:
    """Write a model and its parameters to a file, which replaces an older one once it is complete.

    Args:
        path: ends in .npz, or in .safetensors, which needs the package of this name.
        model: of one of the kinds in `tinygen.models`; or a `TrainedModel`, which has all the rest.
        parameters: in the layout of the model, on any backend.
        data: what it was trained on, or the `data` of a loaded model: the shape of an image and the
            brightness of its border, with which a loaded model compares new images. Without it an
            image is the model's `image`, or else a grey square.

    Raises:
        InputError: the model is of no such kind, the parameters are not the model's, not finite or
            of another dtype, or the file is that of a run, which could not resume without it.
        OSError: the file cannot be written; what was there stays.

    >>> from tempfile import TemporaryDirectory
    >>> from tinygen.models import VAE
    >>> from tinygen.training import load
    >>> model = VAE(pixels=784, hidden=(8,), latent=3)
    >>> with TemporaryDirectory() as folder:
    ...     save(f"{folder}/vae.npz", model, model.initialise(seed=0))
    ...     again = load(f"{folder}/vae.npz")
    ...     save(f"{folder}/copy.npz", again)
    >>> again.sample(100).shape
    (100, 28, 28)
    """
    if not isinstance(path, (str, os.PathLike)):
        raise InputError(f"save: expected a path, and then a model, got a {type(path).__name__}")
    path = expanded(path)
    if path.suffix not in FORMATS:
        raise InputError(f"{path}: expected a name that ends in {' or '.join(FORMATS)}")
    _refuse_run(path)
    if isinstance(model, TrainedModel) and parameters is None:
        model, parameters, data = model.model, model.parameters, data or model.data
    description = describe(model)
    if description is None:
        raise InputError(
            f"save: expected a model such as {', '.join(KINDS)}, got a {type(model).__name__}; "
            "np.savez(path, **parameters) writes the arrays of any network"
        )
    if parameters is None:
        raise InputError(
            "save: expected the parameters, too, as a model holds none; what tg.fit and tg.load "
            "return has them: tg.save(path, trained)"
        )
    arrays = _on_host(model, parameters)
    meta = {
        "model": description,
        "shapes": parameters.shapes,
        "dtype": str(parameters.flat.dtype),
        "arrays": BY_NAME,
        "data": about(data) if isinstance(data, Dataset) else data or _images_of(model),
    }
    FORMATS[path.suffix].save(path, arrays, meta)


def _on_host(model: Any, parameters: Parameters) -> dict[str, np.ndarray]:
    """The arrays by name, if they can be the model's parameters."""
    refuse_other_types("save", parameters)
    if [*parameters.shapes.items()] != [*model.shapes.items()]:
        raise InputError(f"save: expected the parameters {model.shapes}, got {parameters.shapes}")
    if str(parameters.flat.dtype) not in DTYPES:
        raise InputError(f"save: expected {' or '.join(DTYPES)}, got {parameters.flat.dtype}")
    host = parameters.to(get_backend("numpy"))
    if not np.isfinite(host.flat).all():
        raise InputError("save: expected finite parameters, got NaN or infinity among them")
    return {**host}


def _images_of(model: Any) -> dict[str, Any]:
    """What a model's options alone tell about its images."""
    try:
        h, w, c = shape_of(model)
    except InputError:  # rows that are not images
        return {"shape": [int(model.pixels)]}
    return {"shape": [h, w] if c == 1 else [h, w, c]}


def _refuse_run(path: Path) -> None:
    """Refuse to replace the checkpoint of a run, which holds more than a model and is needed."""
    try:
        meta = checkpoint.read_meta(path)
    except InputError:  # there is none
        return
    if "history" in meta:
        raise InputError(f"{path}: expected another name, as this is the checkpoint of a run")
