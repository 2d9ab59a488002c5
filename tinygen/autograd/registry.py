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


NUMPYS_NAMES = {
    "dim": "axis", "dims": "axes", "keepdim": "keepdims", "correction": "ddof", "var": "variance",
    "a_min": "min", "a_max": "max", "pad_width": "widths", "constant_values": "value",
}  # fmt: skip
"""What a name of PyTorch's or NumPy's is here, where it is another one."""


def as_keywords(known: Any, function: Any, inputs: Any, options: Any) -> tuple[Any, Any]:
    """NumPy's function takes by position what the `known` one, which stands for it, takes by name.

    Those of several arrays take any number of arrays by position, and nothing else.
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
    """The names and defaults of its arguments, for messages: without types."""
    parameters = inspect.signature(f).parameters.values()
    return inspect.Signature([p.replace(annotation=p.empty) for p in parameters])


def array_of_list(x: Any, dtype: Any) -> Any:
    """Python's numbers take the `dtype`; arrays in a list, or in lists of it, keep theirs."""
    return np.asarray(x, None if _holds_arrays(x) else dtype)


def _holds_arrays(x: Any) -> bool:
    return any(
        hasattr(part, "dtype") or (isinstance(part, (list, tuple)) and _holds_arrays(part))
        for part in x
    )
