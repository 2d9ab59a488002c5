"""The options of a model as plain Python values, which can be compared and written down as JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from math import inf
from numbers import Integral, Real
from typing import Any

import numpy as np

from tinygen.errors import InputError
from tinygen.nn import BIASES, WEIGHTS
from tinygen.ops import ACTIVATIONS

FUNCTIONS = [*ACTIVATIONS.items(), *WEIGHTS.items(), *BIASES.items()]
"""Functions by the names that stand for them in a checkpoint."""


def convert_options(model: Any) -> None:
    """Give each option of a frozen dataclass the type of its field, if it is clear what is meant.

    A NumPy number becomes Python's (a float64 would widen float32); a list of widths, or a single
    width, becomes a tuple; and an activation or an initialiser becomes its name.

    Raises:
        InputError: an option is of another type, a float is negative or not finite, or a whole
            number is below 1, or below 0 where 0 is the default and stands for none.
    """
    for field in fields(model):
        name, kind = field.name, str(field.type)
        value = CONVERSIONS[kind](name, getattr(model, name))
        least = 0 if field.default == 0 else 1
        if kind in COUNTS and np.min(value, initial=least) < least:
            raise InputError(f"{name} must be at least {least}{COUNTS[kind]}, got {value}")
        object.__setattr__(model, name, value)


def option_for_any_numbers(model: Any) -> str:
    """The option with which a model whose outputs are in [0, 1] would give any number; else "".

    Images of such a model are probabilities, or grey values from 0 to 1.
    """
    if getattr(model, "likelihood", None) == "bernoulli":
        return "likelihood='gaussian'"
    return "output='none'" if getattr(model, "output", None) == "sigmoid" else ""


def _integer(name: str, value: Any) -> int:
    if not _is_integer(value):
        raise InputError(f"{name} must be a whole number, got {value!r}")
    return int(value)


def _integers(name: str, value: Any) -> tuple[int, ...]:
    given = [value] if _is_integer(value) else value
    if isinstance(given, str) or not np.iterable(given) or not all(map(_is_integer, given)):
        raise InputError(f"{name} must be whole numbers, such as (512, 256), got {value!r}")
    return tuple(map(int, given))


def _is_integer(value: Any) -> bool:
    return isinstance(value, Integral) and type(value) is not bool


def _float(name: str, value: Any) -> float:
    if not isinstance(value, Real) or type(value) is bool or not 0 <= float(value) < inf:
        raise InputError(f"{name} must be at least 0, got {value!r}")
    return float(value)


def _float_or_none(name: str, value: Any) -> float | None:
    return None if value is None else _float(name, value)


def _name(name: str, value: Any) -> str:
    known = next((n for n, function in FUNCTIONS if function is value), value)
    if not isinstance(known, str):
        raise InputError(f"{name} must be a name, got {value!r}")
    return str(known)


def _bool(name: str, value: Any) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise InputError(f"{name} must be True or False, got {value!r}")
    return bool(value)


CONVERSIONS: dict[str, Callable[[str, Any], Any]] = {
    "int": _integer,
    "tuple[int, ...]": _integers,
    "float": _float,
    "float | None": _float_or_none,
    "str": _name,
    "bool": _bool,
}
"""How an option is converted, by the annotation of its field."""
COUNTS = {"int": "", "tuple[int, ...]": " each"}
"""The annotations of what is counted, and what they add to a message."""
