"""The backend that computes with NumPy on the processor."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygen.backend.base import Array, Generator, T, seed_sequence

BLOCK = 32_768
"""Elements that the plain Adam handles at once: a few blocks of this size stay in the cache."""


class NumpyBackend:
    """NumPy behind the interface of `tinygen.backend.base.Backend`."""

    name = "numpy"
    xp: Any = np

    def __init__(self) -> None:
        self._adam: Callable[..., None] | None = None

    def asarray(self, x: Any, dtype: Any = None) -> Array:
        return np.asarray(x, dtype)

    def to_numpy(self, x: Array) -> Any:
        return np.asarray(x)

    def address(self, x: Array) -> int:
        return x.__array_interface__["data"][0]

    def generator(self, seed: int | Sequence[int]) -> Generator:
        return np.random.default_rng(seed_sequence(seed))

    def erf(self, x: Array) -> Array:
        return _each(math.erf, x)

    def lgamma(self, x: Array) -> Array:
        return _each(_lgamma, x)

    def sum_of_squares(self, x: Array) -> Array:
        x = x.reshape(-1)
        return x @ x

    def fuse(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return function

    def record(self, function: Callable[[], T]) -> tuple[T, Callable[[], None]]:
        raise RuntimeError("NumPy launches nothing that could be recorded; take backend 'cupy'")

    def synchronize(self) -> None:
        """NumPy has finished whenever it returns."""

    def describe(self) -> str:
        return f"numpy {np.__version__}, {self._find_adam().__name__}"

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
        kernel = self._find_adam() if x.dtype in (np.float32, np.float64) else adam_numpy
        kernel(x, g, m, v, rate, beta1, beta2, epsilon, decay)

    def _find_adam(self) -> Callable[..., None]:
        """The compiled kernel where numba works; tried once, at the first update."""
        if self._adam is None:
            try:
                from tinygen.backend.numba_kernels import adam_numba

                x, g, m, v = np.ones((4, 1), np.float32)
                adam_numba(x, g, m, v, 0.1, 0.9, 0.999, 1e-8, 0.0)
            except Exception:  # absent, or unfit for this machine: whatever the error, NumPy works
                self._adam = adam_numpy
            else:
                self._adam = adam_numba
        return self._adam


def _each(f: Callable[[float], float], x: Array) -> Array:
    """`f` of each element: NumPy has no such function, and SciPy is needed for nothing else."""
    x = np.asarray(x, getattr(x, "dtype", float))
    return np.fromiter(map(f, x.ravel().tolist()), x.dtype, x.size).reshape(x.shape)


def _lgamma(x: float) -> float:
    try:
        return math.lgamma(x)
    except (ValueError, OverflowError):  # at a pole, or too large
        return math.inf


def adam_numpy(
    x: Array,
    g: Array,
    m: Array,
    v: Array,
    rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    decay: float,
) -> None:
    """Adam's update in plain NumPy, block by block; the reference for the compiled kernels."""
    scratch = np.empty(min(BLOCK, x.size), x.dtype)
    for start in range(0, x.size, BLOCK):
        block = slice(start, start + BLOCK)
        xs, gs, ms, vs = x[block], g[block], m[block], v[block]
        t = scratch[: xs.size]
        np.subtract(gs, ms, out=t)
        t *= 1 - beta1
        ms += t
        np.multiply(gs, gs, out=t)
        t -= vs
        t *= 1 - beta2
        vs += t
        np.sqrt(vs, out=t)
        t += epsilon
        np.divide(ms, t, out=t)
        t *= rate
        if decay:
            xs *= 1 - decay
        xs -= t


NUMPY = NumpyBackend()
