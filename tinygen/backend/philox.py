"""Random numbers on the GPU: an element depends only on the seed and its number in the stream.

The device holds no state. Philox 4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random
numbers: as easy as 1, 2, 3" (2011), section 3.3, is a cipher of ten rounds: its plain text is the
number of the element, its key comes from the seed, and its cipher text is 128 random bits, whose
first and second half are `a` and `b` here. An element gets the same bits on every GPU.

The code is plain C as well as CUDA, so that tests can compile it for the processor.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from tinygen.backend.base import Array, seed_sequence

PHILOX = """
__device__ void philox(unsigned int c[4], unsigned int k0, unsigned int k1) {
    for (int round = 0; round < 10; ++round) {
        unsigned long long p = 0xD2511F53ull * c[0], q = 0xCD9E8D57ull * c[2];
        c[0] = (unsigned int)(q >> 32) ^ c[1] ^ k0;
        c[1] = (unsigned int)q;
        c[2] = (unsigned int)(p >> 32) ^ c[3] ^ k1;
        c[3] = (unsigned int)p;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

/* As many of the leading bits as T has digits, 24 or 53, as a number in [0, 1). */
__device__ T fraction(unsigned long long bits) {
    const int digits = sizeof(T) == 4 ? 24 : 53;
    return (T)(bits >> (64 - digits)) / (1ull << digits);
}
"""

BITS = """
unsigned long long element = first + i;
unsigned int c[4] = {(unsigned int)element, (unsigned int)(element >> 32), 0, 0};
philox(c, k0, k1);
unsigned long long a = (unsigned long long)c[0] << 32 | c[1];
unsigned long long b = (unsigned long long)c[2] << 32 | c[3];
"""

DISTRIBUTIONS = {
    "random": ("", "x = fraction(a);"),
    # Box and Muller (1958). The radius takes all 64 bits, so that the tails reach 9.4.
    "standard_normal": (
        "",
        "x = sqrt(-2 * log(((T)a + 1) * (T)0x1p-64)) * cos((T)6.283185307179586 * fraction(b));",
    ),
    # Some of the n numbers are likelier than others, by n / 2^64 of their probability.
    "integers": (", int64 low, uint64 n", "x = (T)(low + (long long)(a % n));"),
}
"""For each distribution, its kernel's further arguments, and its element `x` from `a` and `b`."""


def kernels(cupy: Any) -> dict[str, Any]:
    """The kernel of each distribution, ``(k0, k1, first, ..., x)``, which writes all of `x`."""
    return {
        name: cupy.ElementwiseKernel(
            f"uint32 k0, uint32 k1, uint64 first{more}",
            "T x",
            BITS + element,
            f"tinygen_{name}",
            preamble=PHILOX,
        )
        for name, (more, element) in DISTRIBUTIONS.items()
    }


class PhiloxGenerator:
    """The generator of one stream, with the methods of NumPy's that tinygen needs.

    Making one costs nothing on the GPU, and a draw is one kernel.
    """

    def __init__(self, cupy: Any, kernels: dict[str, Any], seed: int | Sequence[int]) -> None:
        self._cupy, self._kernels, self._seed = cupy, kernels, seed
        self._drawn = 0

    def standard_normal(self, size: Any = None, dtype: Any = np.float64) -> Array:
        return self._draw("standard_normal", size, _float(dtype))

    def random(self, size: Any = None, dtype: Any = np.float64) -> Array:
        return self._draw("random", size, _float(dtype))

    def integers(
        self, low: int, high: int | None = None, size: Any = None, dtype: Any = np.int64
    ) -> Array:
        low, high = (0, low) if high is None else (low, high)
        limits = np.iinfo(dtype)
        if not limits.min <= low < high <= limits.max + 1:
            raise ValueError(f"integers: expected low < high in {limits.dtype}, got {low}, {high}")
        return self._draw("integers", size, dtype, np.int64(low), np.uint64(high - low))

    @cached_property
    def _key(self) -> Any:
        return seed_sequence(self._seed).generate_state(2, np.uint32)

    def _draw(self, distribution: str, size: Any, dtype: Any, *more: Any) -> Array:
        x = self._cupy.empty(() if size is None else size, dtype)
        self._kernels[distribution](*self._key, np.uint64(self._drawn), *more, x)
        self._drawn += x.size
        return x


def _float(dtype: Any) -> Any:
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise TypeError(f"expected float32 or float64, got {np.dtype(dtype)}")
    return dtype
