"""What every backend offers, so that NumPy and CuPy can be swapped by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

Array = Any
"""A NumPy or CuPy array, or anything whose type was registered with a backend."""

T = TypeVar("T")

Generator = Any
"""A random generator with ``standard_normal``, ``random`` and ``integers``: NumPy's, or on the GPU
that of `tinygen.backend.philox`."""


def seed_sequence(seed: int | Sequence[int]) -> np.random.SeedSequence:
    """The seed of a stream that no other seed gives.

    NumPy by itself gives 7, (7,) and (7, 0) the same stream: the noise of step 0 would be that from
    which the weights were drawn. Here all but the first number are a key, as in `spawn`.
    """
    first, *key = seed if isinstance(seed, Sequence) else (seed,)
    return np.random.SeedSequence(first, spawn_key=tuple(key))


class Backend(Protocol):
    """One array library. `test_backend.py` asserts that all have exactly these signatures.

    >>> from tinygen.backend import get_backend
    >>> backend = get_backend("numpy")
    >>> backend.asarray([1, 2], "float32")
    array([1., 2.], dtype=float32)
    >>> steps = [backend.generator((7, step)).random() for step in (0, 1, 0)]  # of the seed 7
    >>> steps[0] == steps[1], steps[0] == steps[2]
    (False, True)
    """

    name: str
    xp: Any

    def asarray(self, x: Any, dtype: Any = None) -> Array:
        """`x` as an array of this backend; copies only if it has to."""

    def to_numpy(self, x: Array) -> Any:
        """`x` as a NumPy array on the host. On a GPU this waits for the device."""

    def address(self, x: Array) -> int:
        """Where the first element of `x` lies in memory. Nothing waits for a GPU."""

    def generator(self, seed: int | Sequence[int]) -> Generator:
        """A generator whose stream depends on `seed` alone, such as ``(seed, step)``."""

    def erf(self, x: Array) -> Array:
        """The error function of each element."""

    def lgamma(self, x: Array) -> Array:
        """``log |Gamma(x)|`` of each element."""

    def sum_of_squares(self, x: Array) -> Array:
        """The sum over all elements, a number of the dtype of `x`."""

    def fuse(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function computed as one kernel, where there are kernels; see `fused`."""

    def record(self, function: Callable[[], T]) -> tuple[T, Callable[[], None]]:
        """Record what `function` gives a GPU to do as one graph; returns its result and its launch.

        It is called twice. Each launch computes the result anew, in the same memory, from what the
        arrays that the function has read hold at that time. Nothing else may differ between two
        launches: a Python number stays what it was, and so does a random number.

        Raises:
            RuntimeError: it cannot be recorded, or the backend records nothing.
        """

    def synchronize(self) -> None:
        """Wait until all work that was queued is done."""

    def describe(self) -> str:
        """The library, its version and the device, for a run's record."""

    def adam(
        self,
        x: Array,
        g: Array,
        m: Array,
        v: Array,
        *,
        rate: float,
        beta1: float,
        beta2: float,
        epsilon: float,
        decay: float,
    ) -> None:
        """One fused update of Adam, in place on flat vectors.

        ::

            m <- m + (1 - beta1) (g - m)
            v <- v + (1 - beta2) (g g - v)
            x <- x - decay x - rate m / (sqrt(v) + epsilon)

        The bias corrections are folded into `rate` and `epsilon` by `tinygen.optim.Adam`.
        """
