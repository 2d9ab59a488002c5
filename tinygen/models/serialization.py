"""A model as a description in JSON and back, so that a checkpoint says which model it holds."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

import tinygen.models as models
from tinygen.errors import InputError, refuse_unknown

KINDS: dict[str, Any] = {
    name: getattr(models, name)
    for name in models.__all__
    if name != "Frozen"  # it holds arrays besides its options
}
"""The models that can be restored from a checkpoint, by name."""

MOST_LAYERS, LARGEST = 1000, 2**53
"""Limits of a credible description: more layers cost memory, larger integers are inexact floats."""


def describe(model: Any) -> dict[str, Any] | None:
    """A model's kind and options, ready for JSON; None for an object of no known kind.

    >>> describe(models.Encoder(pixels=4, hidden=(3,), latent=2))["options"]["hidden"]
    (3,)
    """
    kind = type(model).__name__
    if KINDS.get(kind) is not type(model):
        return None
    return {"kind": kind, "options": asdict(model)}


def from_description(description: Any) -> Any:
    """The model that `describe` described; nothing in the description is trusted.

    Raises:
        InputError: it is not a description, or its options are invalid.

    >>> from_description({"kind": "Encoder", "options": {"pixels": 4, "hidden": [3], "latent": 2}})
    Encoder(pixels=4, hidden=(3,), latent=2, ...)
    """
    kind, options = (
        (description.get("kind"), description.get("options"))
        if isinstance(description, dict)
        else (None, None)
    )
    if not isinstance(kind, str) or not isinstance(options, dict):
        raise InputError("it does not say which model it holds")
    refuse_unknown("kind of model", kind, KINDS)
    known = {field.name: field.type for field in fields(KINDS[kind])}
    for name, value in options.items():
        if name not in known or not _matches(value, known[name]):
            raise InputError(f"{kind}: option {name[:40]!r} cannot be {str(value)[:60]!r}")
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
    return KINDS[kind](**values)


def _matches(value: Any, annotation: Any) -> bool:
    """Whether a value from JSON has the type of a field, whose annotation is a string."""
    if annotation == "tuple[int, ...]":
        is_list = isinstance(value, (list, tuple)) and len(value) <= MOST_LAYERS
        return is_list and all(_matches(x, "int") for x in value)
    if type(value) is int and abs(value) > LARGEST:
        return False
    types = {"int": (int,), "float": (int, float), "str": (str,), "bool": (bool,)}
    return any(
        type(value) in types.get(name, (type(None),)) for name in str(annotation).split(" | ")
    )
