"""Philox by the paper, in Python's whole numbers, which do not overflow: the opinion of the tests.

Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (2011), section 3.3.
"""

from __future__ import annotations

from typing import Any

import numpy as np

CONSTANTS = {
    32: (0xD2511F53, 0xCD9E8D57, 0x9E3779B9, 0xBB67AE85),
    64: (0xD2E7470EE14C6C93, 0xCA5A826395121157, 0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B),
}
"""Two multipliers, and what is added to the two words of the key after a round."""


def philox(counter: Any, key: Any, bits: int = 32) -> tuple[Any, Any, Any, Any]:
    """The four words of a counter of four words, after ten rounds; the words may be arrays."""
    m0, m1, w0, w1 = CONSTANTS[bits]
    base = 2**bits
    x0, x1, x2, x3 = (np.asarray(word, object) for word in counter)
    for turn in range(10):
        k0, k1 = (int(key[0]) + turn * w0) % base, (int(key[1]) + turn * w1) % base
        p, q = m0 * x0, m1 * x2
        x0, x1, x2, x3 = q // base ^ x1 ^ k0, q % base, p // base ^ x3 ^ k1, p % base
    return x0, x1, x2, x3


def halves(seed_key: Any, first: int, size: int) -> tuple[Any, Any]:
    """The two halves of 64 bits for the elements `first`, `first + 1`, ... of a stream."""
    element = np.arange(first, first + size).astype(object)
    zero = 0 * element
    x0, x1, x2, x3 = philox((element % 2**32, element // 2**32, zero, zero), seed_key)
    return x0 * 2**32 + x1, x2 * 2**32 + x3


def fraction(bits: Any, digits: int) -> Any:
    """The leading digits behind the point; exact in float64."""
    return (bits // 2 ** (64 - digits)).astype(float) / 2.0**digits


def normal(a: Any, b: Any, digits: int) -> Any:
    """Box and Muller in float64: a radius from all of `a`, an angle from the digits of `b`."""
    radius = np.sqrt(-2 * np.log(((a + 1) / 2**64).astype(float)))
    return radius * np.cos(2 * np.pi * fraction(b, digits))
