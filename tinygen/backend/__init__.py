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
from tinygen.backend.memory import keep_freed_memory
from tinygen.backend.numpy_backend import NUMPY
from tinygen.errors import refuse_unknown

__all__ = [
    "Array",
    "Backend",
    "Generator",
    "backend_of",
    "float_namespace",
    "get_backend",
    "keep_freed_memory",
    "namespace",
    "register",
    "require_floats",
    "to_host",
]

NAMES = ("numpy", "cupy")

_EXPECTED_FLOATS = (
    "expected floats, got {}; convert with x.astype(np.float32), "
    "and images with tinygen.data.as_floats"
)
_backend_of_type: dict[type, Backend] = {np.ndarray: NUMPY}
_namespace_of_type: dict[type, Any] = {np.ndarray: np}


def register(array_type: type, backend: Backend) -> None:
    """Let arrays of `array_type` be computed by `backend`.

    >>> import numpy as np
    >>> class Pixels(np.ndarray):
    ...     pass
    >>> register(Pixels, get_backend("numpy"))
    >>> namespace(np.zeros(3).view(Pixels)).__name__
    'numpy'
    """
    _backend_of_type[array_type] = backend
    _namespace_of_type[array_type] = backend.xp


def get_backend(name: str, local_rank: int | None = None) -> Backend:
    """The backend called `name`, one of `NAMES`.

    Args:
        local_rank: the number of this process on its machine, from 0: each takes a GPU of its own,
            as long as there are any; by default CuPy's current one.

    Raises:
        InputError: the name is unknown, or CuPy is not installed or does not work; the message says
            how to fix that.

    >>> get_backend("numpy").asarray([1.0, 2.0])
    array([1., 2.])
    """
    refuse_unknown("backend", name, NAMES)
    if name == "numpy":
        return NUMPY
    from tinygen.backend.cupy_backend import connect

    backend = connect(local_rank)
    register(backend.xp.ndarray, backend)
    return backend


def namespace(x: Any) -> ModuleType:
    """The module that computes on `x`: ``numpy`` or ``cupy`` (or a registered one).

    >>> import numpy as np
    >>> namespace(np.ones(3)).__name__
    'numpy'
    """
    xp = _namespace_of_type.get(type(x))
    return xp if xp is not None else backend_of(x).xp


def float_namespace(x: Any) -> ModuleType:
    """The same for an array that has to hold floats.

    Integers would compute something else without any error: the negative of a byte is positive, the
    exponential of one is a float16, and pixels from 0 to 255 are not probabilities.

    Raises:
        TypeError: it holds integers, booleans, complex numbers or objects.

    >>> import numpy as np
    >>> float_namespace(np.ones(3)).__name__
    'numpy'
    """
    try:
        if x.dtype.kind != "f":
            raise TypeError(_EXPECTED_FLOATS.format(x.dtype))
    except AttributeError:
        pass  # a Python number, which takes any dtype; anything else is not an array
    return namespace(x)


def require_floats(*arrays: Any, where: str = "") -> None:
    """All of these must hold floats, as in `float_namespace`; they may be Tensors.

    Args:
        where: what the message begins with; an op says by itself which one it is.

    Raises:
        TypeError: one of them holds something else, or is neither an array nor a number.

    >>> import numpy as np
    >>> require_floats(np.ones(3), 2.0)  # says nothing, as all is well
    """
    for x in arrays:
        try:
            if x.dtype.kind != "f":
                raise TypeError(f"{where and where + ': '}{_EXPECTED_FLOATS.format(x.dtype)}")
        except AttributeError:
            if not isinstance(x, (int, float)):
                raise TypeError(
                    f"{where and where + ': '}expected an array or a number, got {type(x).__name__}"
                ) from None


def backend_of(x: Any) -> Backend:
    """The backend that `x` belongs to. Python numbers and NumPy scalars belong to NumPy.

    Raises:
        TypeError: `x` is neither a number nor an array of a known library.

    >>> import numpy as np
    >>> backend_of(np.ones(3)).name
    'numpy'
    """
    backend = _backend_of_type.get(type(x))
    if backend is None:
        backend = _recognise(x)
        register(type(x), backend)
    return backend


def to_host(x: Any) -> np.ndarray:
    """The array as a NumPy array, on the host. On a GPU this waits for the device.

    >>> import numpy as np
    >>> to_host(np.ones(2))
    array([1., 1.])
    """
    return backend_of(x).to_numpy(x)


def _recognise(x: Any) -> Backend:
    if isinstance(x, np.ndarray) and not isinstance(x, np.memmap):
        raise TypeError(  # matrices multiply differently, and masks get lost
            f"expected a plain array, got {type(x).__name__}; np.asarray(x) is one, without a mask"
        )
    if isinstance(x, (int, float, np.generic, np.memmap)):
        return NUMPY
    cupy = sys.modules.get("cupy")  # a CuPy array can only exist once CuPy is imported
    if isinstance(x, getattr(cupy, "ndarray", ())):
        return get_backend("cupy")
    raise TypeError(f"expected an array or a number, got {type(x).__name__}")
