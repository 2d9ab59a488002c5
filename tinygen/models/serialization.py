"""A model as text and back, so that a checkpoint says what it is a checkpoint of."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

from tinygen.errors import InputError, refuse_unknown
from tinygen.models.aae import AdversarialAutoencoder
from tinygen.models.autoencoder import Autoencoder
from tinygen.models.classifier import Classifier
from tinygen.models.encoder_decoder import Decoder, Encoder
from tinygen.models.gan import GAN
from tinygen.models.vae import VAE

KINDS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (Autoencoder, VAE, GAN, AdversarialAutoencoder, Classifier, Encoder, Decoder)
}
"""The models that a checkpoint can give back, by their names."""

MOST_LAYERS, LARGEST = 1000, 2**53
"""A description that asks for more is no model's; layers cost memory, and floats end somewhere."""


def described(model: Any) -> dict[str, Any] | None:
    """A model's kind and options, JSON-able; None for what is no single model.

    >>> described(Encoder(pixels=4, hidden=(3,), latent=2))["options"]["hidden"]
    (3,)
    """
    kind = type(model).__name__
    return {"kind": kind, "options": asdict(model)} if kind in KINDS else None


def from_description(description: Any) -> Any:
    """The model that `described` was asked about; nothing of the description is believed.

    Raises:
        InputError: it is no description, or the model refuses its options.

    >>> from_description({"kind": "Encoder", "options": {"pixels": 4, "hidden": [3], "latent": 2}})
    Encoder(pixels=4, hidden=(3,), latent=2, ...)
    """
    kind, options = (
        (description.get("kind"), description.get("options"))
        if isinstance(description, dict)
        else (None, None)
    )
    if not isinstance(kind, str) or not isinstance(options, dict):
        raise InputError("it does not say what model it is of")
    refuse_unknown("kind of model", kind, KINDS)
    known = {field.name: field.type for field in fields(KINDS[kind])}
    for name, value in options.items():
        if name not in known or not _suits(value, known[name]):
            raise InputError(f"{kind}: option {name[:40]!r} of {str(value)[:60]!r} makes no sense")
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
    return KINDS[kind](**values)


def _suits(value: Any, annotation: Any) -> bool:
    """Whether a value out of JSON can be that of a field; annotations are text here."""
    if annotation == "tuple[int, ...]":
        few = isinstance(value, (list, tuple)) and len(value) <= MOST_LAYERS
        return few and all(_suits(x, "int") for x in value)
    if type(value) is int and abs(value) > LARGEST:
        return False
    types = {"int": (int,), "float": (int, float), "str": (str,), "bool": (bool,)}
    return any(
        type(value) in types.get(name, (type(None),)) for name in str(annotation).split(" | ")
    )
