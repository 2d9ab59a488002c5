"""Every function of Tensors by name, and what happens to arguments that none of them has.

The operators and methods of a Tensor, NumPy's functions and error messages look names up here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np

OPS: dict[str, Any] = {}
"""Every `Op` by name, the first one that had it."""

COMPOSED: dict[str, Callable[..., Any]] = {}
"""Functions composed of ops, by name."""

P = ParamSpec("P")
Result = TypeVar("Result")


def composed(f: Callable[P, Result]) -> Callable[P, Result]:
    """A function that calls ops, and so needs no partials; arguments are checked like an op's."""
    known = inspect.signature(f).parameters
    takes_one = next(iter(known.values())).kind != inspect.Parameter.VAR_POSITIONAL

    @wraps(f)
    def checked(*arguments: P.args, **options: P.kwargs) -> Result:
        for name in options:
            if name not in known:
                raise unexpected_keyword(f, name)
        if takes_one and arguments and isinstance(arguments[0], (list, tuple)):
            x = array_of_list(arguments[0], np.float32)
            return cast("Callable[..., Result]", f)(x, *arguments[1:], **options)
        return f(*arguments, **options)

    COMPOSED[f.__name__] = checked
    return checked


NUMPYS_NAMES = {
    "dim": "axis", "dims": "axes", "keepdim": "keepdims", "correction": "ddof", "var": "variance",
    "a_min": "min", "a_max": "max", "pad_width": "widths", "constant_values": "value",
}  # fmt: skip
"""The names that PyTorch or NumPy have for things, and tinygen's where they differ."""


def as_keywords(known: Any, function: Any, inputs: Any, options: Any) -> tuple[Any, Any]:
    """Name what NumPy's function takes by position, as the `known` one that stands for it requires.

    Functions of several arrays take any number of arrays by position, and nothing else.
    """
    kinds = [p.kind for p in inspect.signature(known).parameters.values()]
    n = kinds.count(inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if len(inputs) > n and inspect.Parameter.VAR_POSITIONAL not in kinds:
        names = [*inspect.signature(function).parameters][n:]
        inputs, options = inputs[:n], dict(zip(names, inputs[n:], strict=False)) | options
    return inputs, {NUMPYS_NAMES.get(name, name): x for name, x in options.items()}


def unexpected_keyword(f: Callable[..., Any], name: str) -> TypeError:
    signature = signature_of(f)
    here = NUMPYS_NAMES.get(name)
    hint = f", here it is {here}=" if here in signature.parameters else ""
    return TypeError(
        f"{f.__name__}: got an unexpected keyword {name!r}{hint}; "
        f"its signature is {f.__name__}{signature}"
    )


def signature_of(f: Callable[..., Any]) -> inspect.Signature:
    """The names and defaults of its arguments, without types, for messages."""
    parameters = inspect.signature(f).parameters.values()
    return inspect.Signature([p.replace(annotation=p.empty) for p in parameters])


def array_of_list(x: Any, dtype: Any) -> Any:
    """Python numbers take the `dtype`; arrays in a list, or in lists inside it, keep theirs."""
    return np.asarray(x, None if _holds_arrays(x) else dtype)


def _holds_arrays(x: Any) -> bool:
    return any(
        hasattr(part, "dtype") or (isinstance(part, (list, tuple)) and _holds_arrays(part))
        for part in x
    )
