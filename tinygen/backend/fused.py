"""Functions of arrays that a GPU computes as one kernel; NumPy calls them as they are written.

A GPU is given one kernel for each operation, and launching one takes longer than computing a small
array: ``1 - y * y`` is two. Marked with `fused`, a function stays what it is, code for NumPy that
can be read, called and differentiated, and CuPy turns it into one kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np

from tinygen.backend import backend_of

F = TypeVar("F", bound=Callable[..., Any])


def fused(function: F) -> F:
    """Make a function one kernel on a GPU: each element of the result needs only its own elements.

    To be fused, a function

    - takes arrays, the first argument being one, and numbers by position;
    - computes with operators, ``astype``, functions of `namespace` that work element by element,
      and other fused functions; it may ask for the dtype of an array, but not for its shape;
    - writes in place only into what it made itself;
    - returns one array or several, each of the shape to which all its arguments are broadcast;
      or it ends in one ``sum`` over an axis, perhaps times a constant.

    A fused function that breaks one of these rules is refused by the strict backend of the tests.
    With a Tensor among its arguments it is a function like any other, and each op is recorded.

    >>> @fused
    ... def derivative_of_tanh(y):
    ...     return 1 - y * y
    >>> derivative_of_tanh(np.array([0.0, 0.5]))
    array([1.  , 0.75])
    """
    kernels: dict[type, Callable[..., Any]] = {}

    @wraps(function)
    def call(*arguments: Any) -> Any:
        kind = type(arguments[0])
        if kind is np.ndarray or not all(type(x) in (kind, float, int) for x in arguments):
            return function(*arguments)
        if kind not in kernels:
            kernels[kind] = _kernel(function, arguments[0])
        return kernels[kind](*arguments)

    return cast(F, call)


def _kernel(function: Callable[..., Any], x: Any) -> Callable[..., Any]:
    """What computes `function` for arguments like `x`."""
    try:
        return backend_of(x).fuse(function)
    except TypeError:  # a Tensor, or what the function itself refuses
        return function
