"""Where arrays live: NumPy on the processor, CuPy on the GPU, and one way to ask for either.

Inside a computation the library follows the array: ``namespace(x)`` is NumPy for a NumPy array and
CuPy for a CuPy array. Only creation, transfer and randomness need a `Backend`, got by name.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np

from tinygen.backend.base import Array, Backend, Generator
from tinygen.backend.numpy_backend import NUMPY
from tinygen.errors import InputError

__all__ = ["Array", "Backend", "Generator", "backend_of", "get_backend", "namespace", "register"]

NAMES = ("numpy", "cupy")

_backend_of_type: dict[type, Backend] = {np.ndarray: NUMPY}
_namespace_of_type: dict[type, Any] = {np.ndarray: np}


def register(array_type: type, backend: Backend) -> None:
    """Let arrays of `array_type` be computed by `backend`."""
    _backend_of_type[array_type] = backend
    _namespace_of_type[array_type] = backend.xp


def get_backend(name: str) -> Backend:
    """The backend called `name`, one of `NAMES`.

    Raises:
        InputError: the name is unknown, CuPy is not installed, or there is no GPU.
    """
    if name == "numpy":
        return NUMPY
    if name == "cupy":
        from tinygen.backend.cupy_backend import connect

        backend = connect()
        register(backend.xp.ndarray, backend)
        return backend
    raise InputError(f"unknown backend {name!r}; choose one of {', '.join(NAMES)}")


def namespace(x: Any) -> ModuleType:
    """The module that computes on `x`: ``numpy`` or ``cupy`` (or a registered one)."""
    xp = _namespace_of_type.get(type(x))
    return xp if xp is not None else backend_of(x).xp


def backend_of(x: Any) -> Backend:
    """The backend that `x` belongs to. Python numbers and NumPy scalars belong to NumPy.

    Raises:
        TypeError: `x` is neither a number nor an array of a known library.
    """
    backend = _backend_of_type.get(type(x))
    if backend is None:
        backend = _recognise(x)
        register(type(x), backend)
    return backend


def _recognise(x: Any) -> Backend:
    if isinstance(x, (int, float, np.generic, np.ndarray)):
        return NUMPY
    cupy = sys.modules.get("cupy")  # an array of CuPy can only exist once CuPy was imported
    if isinstance(x, getattr(cupy, "ndarray", ())):
        return get_backend("cupy")
    raise TypeError(f"expected an array or a number, got {type(x).__name__}")
