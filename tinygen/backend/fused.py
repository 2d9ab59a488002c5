"""Functions of arrays that a GPU computes as one kernel; NumPy calls them as they are written.

A GPU is given one kernel for each operation, and to launch one takes longer than to compute a small
array: ``1 - y * y`` is two. Marked with `fused`, a function stays what it is, code for NumPy that
can be read, called and differentiated, and CuPy makes one kernel of it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np

from tinygen.backend import backend_of

F = TypeVar("F", bound=Callable[..., Any])


def fused(function: F) -> F:
    """One kernel on a GPU: every element of the result depends on its own elements alone.

    So the function can be fused it

    - takes arrays, the first of all, and numbers by position;
    - computes with operators, ``astype``, functions of `namespace` that work element by element,
      and other fused functions; it asks for the dtype of an array, and not for its shape;
    - may write in place into what it made itself, and into nothing else;
    - returns one array or several, each of the shape to which all its arguments are broadcast;
      or it ends in one ``sum`` over an axis, times a constant perhaps.

    What is fused and breaks one of these rules is refused by the strict backend of the tests. With
    a Tensor among its arguments it is a function like any other, and each of its ops is recorded.

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
