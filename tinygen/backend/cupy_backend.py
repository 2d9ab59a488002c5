"""The backend that computes with CuPy on the GPU; the only file that imports CuPy."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any

from tinygen.backend.base import Array, Generator, seed_sequence
from tinygen.errors import InputError


@lru_cache(maxsize=1)
def connect() -> CupyBackend:
    """The backend on the current GPU.

    Raises:
        InputError: CuPy is not installed, or it sees no GPU that it can use.
    """
    try:
        import cupy
    except ImportError as error:
        raise InputError(
            "the cupy backend needs CuPy: install tinygen[cuda12] or tinygen[cuda13], "
            f"or use --backend numpy ({error})"
        ) from None
    if not cupy.is_available():
        raise InputError(
            "the cupy backend needs a GPU: CuPy is installed, but finds no CUDA device; "
            "use --backend numpy"
        )
    return CupyBackend(cupy)


class CupyBackend:
    """CuPy behind the interface of `tinygen.backend.base.Backend`."""

    name = "cupy"

    def __init__(self, cupy: Any) -> None:
        self.xp = cupy

    def asarray(self, x: Any, dtype: Any = None) -> Array:
        return self.xp.asarray(x, dtype)

    def to_numpy(self, x: Array) -> Any:
        return self.xp.asnumpy(x)

    def address(self, x: Array) -> int:
        return x.data.ptr

    def generator(self, seed: int | Sequence[int]) -> Generator:
        # Philox is counter based: making one costs a small kernel and no wait, so every step can
        # have its own.
        return self.xp.random.Generator(self.xp.random.Philox4x3210(seed_sequence(seed)))

    def synchronize(self) -> None:
        self.xp.cuda.get_current_stream().synchronize()

    def describe(self) -> str:
        device = self.xp.cuda.runtime.getDeviceProperties(self.xp.cuda.Device().id)
        return f"cupy {self.xp.__version__}, {device['name'].decode()}"

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
        # Scalars take the vectors' dtype, or the kernel would compute in float64.
        s = x.dtype.type
        self._adam(g, s(rate), s(1 - beta1), s(1 - beta2), s(epsilon), s(1 - decay), x, m, v)

    @cached_property
    def _adam(self) -> Any:
        return self.xp.ElementwiseKernel(
            "T g, T rate, T one_minus_beta1, T one_minus_beta2, T epsilon, T keep",
            "T x, T m, T v",
            """
            m += one_minus_beta1 * (g - m);
            v += one_minus_beta2 * (g * g - v);
            x = keep * x - rate * m / (sqrt(v) + epsilon);
            """,
            "tinygen_adam",
        )
