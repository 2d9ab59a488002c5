"""Every function of Tensors by its name, and what becomes of arguments that none of them has.

Operators and methods of a Tensor, NumPy's functions, and messages look here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np

OPS: dict[str, Any] = {}
"""Every `Op` by its name, the first that had it."""

COMPOSED: dict[str, Callable[..., Any]] = {}
"""Functions that are put together from ops, by name."""

P = ParamSpec("P")
Result = TypeVar("Result")


def composed(f: Callable[P, Result]) -> Callable[P, Result]:
    """A function that calls ops, and so needs no partials; its arguments are checked as an op's."""
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


NUMPYS_NAMES = {"dim": "axis", "dims": "axes", "keepdim": "keepdims", "correction": "ddof"}
"""What a keyword of PyTorch's is called here."""


def unexpected_keyword(f: Callable[..., Any], name: str) -> TypeError:
    signature = inspect.signature(f)
    here = NUMPYS_NAMES.get(name)
    hint = f", here it is {here}=" if here in signature.parameters else ""
    return TypeError(
        f"{f.__name__}: got an unexpected keyword {name!r}{hint}; "
        f"its signature is {f.__name__}{signature}"
    )


def array_of_list(x: Any, dtype: Any) -> Any:
    """Python's numbers take the `dtype`; arrays in a list keep theirs."""
    return np.asarray(x, None if any(hasattr(part, "dtype") for part in x) else dtype)
