"""The generator of the CuPy backend: its bits are Philox's, and its numbers have their laws.

Its kernels are compiled for the processor here (tests/helpers/elementwise.py), and by CuPy where
there is a GPU.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from elementwise import COMPILER, ON_THE_PROCESSOR, compiled
from philox_reference import fraction, halves, normal, philox

from tinygen.backend import philox as ours
from tinygen.backend.base import seed_sequence

KNOWN = [
    ("00000000 " * 4, "00000000 " * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff " * 4, "ffffffff " * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    (
        "243f6a88 85a308d3 13198a2e 03707344",  # the digits of pi
        "a4093822 299f31d0",
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]
"""Counter, key and answer of philox4x32 in the file tests/kat_vectors of Random123."""

EVERY_ANSWER = pytest.mark.parametrize(
    ("counter", "key", "answer"), KNOWN, ids=["zeros", "ones", "pi"]
)
FLOATS = pytest.mark.parametrize(("dtype", "digits"), [(np.float32, 24), (np.float64, 53)])


def words(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


@EVERY_ANSWER
def test_the_reference_gives_the_published_answers(counter: str, key: str, answer: str) -> None:
    assert [int(word) for word in philox(words(counter), words(key))] == words(answer)


def test_the_reference_with_words_of_64_bits_is_numpys() -> None:
    high, key = [2**64 - 1, 7, 1], [2**63 + 11, 3]
    numpys = np.random.Philox(counter=np.array([5, *high], np.uint64), key=np.array(key, np.uint64))
    for low in (6, 7, 8):  # NumPy counts before it computes
        words = philox([low, *high], key, bits=64)
        assert [int(word) for word in words] == numpys.random_raw(4).tolist()


needs_a_compiler = pytest.mark.skipif(not COMPILER, reason="there is no C compiler here")


@needs_a_compiler
@EVERY_ANSWER
def test_the_kernels_cipher_gives_the_published_answers(
    counter: str, key: str, answer: str
) -> None:
    source = f"#define __device__\n#define T float\n{ours.PHILOX}"
    c = (ctypes.c_uint * 4)(*words(counter))
    compiled(source).philox(c, *map(ctypes.c_uint, words(key)))
    assert list(c) == words(answer)


@pytest.fixture(params=[pytest.param("compiled", marks=needs_a_compiler),
                        pytest.param("cupy", marks=pytest.mark.gpu)])  # fmt: skip
def generator(request: Any) -> Callable[..., Any]:
    """A function of a seed, that gives a generator whose draws are NumPy arrays."""
    on_gpu = request.param == "cupy"
    cupy = request.getfixturevalue("gpu").xp if on_gpu else ON_THE_PROCESSOR
    kernels = ours.kernels(cupy)

    class Generator(ours.PhiloxGenerator):
        def _draw(self, *arguments: Any) -> Any:
            return cupy.asnumpy(super()._draw(*arguments))

    return lambda seed: Generator(cupy, kernels, seed)


SEED, N = (3, 1), 2_000


def bits(seed: Any = SEED, first: int = 0, size: int = N) -> tuple[Any, Any]:
    return halves(seed_sequence(seed).generate_state(2, np.uint32), first, size)


@FLOATS
def test_uniform_numbers_are_the_leading_digits(generator: Any, dtype: Any, digits: int) -> None:
    x = generator(SEED).random(N, dtype=dtype)
    assert x.dtype == dtype and x.tolist() == fraction(bits()[0], digits).tolist()


@FLOATS
def test_normal_numbers_are_box_and_mullers(generator: Any, dtype: Any, digits: int) -> None:
    x = generator(SEED).standard_normal(N, dtype=dtype)
    # The angle, up to 2 pi, is rounded before its cosine is taken.
    far = np.abs(x - normal(*bits(), digits)).max()
    assert x.dtype == dtype and far < 20 * np.finfo(dtype).eps


@pytest.mark.parametrize(("low", "high"), [(0, 7), (-3, 4), (0, 2**40), (-(2**62), 2**62)])
def test_whole_numbers_are_remainders(generator: Any, low: int, high: int) -> None:
    x = generator(SEED).integers(low, high, N)
    assert x.dtype == np.int64 and x.tolist() == (low + bits()[0] % (high - low)).tolist()


def test_whole_numbers_of_other_types(generator: Any) -> None:
    x = generator(0).integers(256, size=(N,), dtype=np.uint8)
    assert x.dtype == np.uint8 and {*x.tolist()} == {*range(256)}
    for low, high in ((0, 257), (-1, 3), (5, 5), (5, 4)):
        with pytest.raises(ValueError, match=f"low < high in uint8, got {low}, {high}"):
            generator(0).integers(low, high, dtype=np.uint8)


def test_a_draw_goes_on_where_the_last_one_ended(generator: Any) -> None:
    one, other = generator(SEED), generator(SEED)
    parts = [one.random(5), one.random((2, 3)), one.random(), one.random(0), one.random(4)]
    assert [part.shape for part in parts] == [(5,), (2, 3), (), (0,), (4,)]
    assert np.concatenate([part.ravel() for part in parts]).tolist() == other.random(16).tolist()
    # A number in the stream is used once, whatever is made of it.
    mixed = generator(SEED)
    mixed.standard_normal(5)
    mixed.integers(9, size=6)
    assert mixed.random(5).tolist() == generator(SEED).random(16)[11:].tolist()


def test_more_than_32_bits_of_elements(generator: Any) -> None:
    late = generator(SEED)
    late._drawn = 2**32 - 3
    assert late.random(6).tolist() == fraction(bits(first=2**32 - 3, size=6)[0], 53).tolist()


def test_both_precisions_draw_the_same(generator: Any) -> None:
    for draw in ("random", "standard_normal"):
        single, double = (getattr(generator(SEED), draw)(N, dtype=d) for d in ("f4", "f8"))
        assert 0 < np.abs(single - double).max() < 3e-6


def test_only_floats_of_these_precisions(generator: Any) -> None:
    for dtype in (np.float16, np.int64):
        with pytest.raises(TypeError, match="expected float32 or float64, got"):
            generator(0).random(3, dtype=dtype)
        with pytest.raises(TypeError, match="expected float32 or float64, got"):
            generator(0).standard_normal(3, dtype=dtype)


# Their laws. The seed is fixed, so what passes once passes always; in each line a right generator
# would pass with all but one seed in a thousand.


def kolmogorov(x: Any, distribution: Any) -> float:
    """The largest distance of the two distribution functions, times the root of n."""
    expected, n = distribution(np.sort(x.ravel())), x.size
    above = np.arange(1, n + 1) / n - expected
    return math.sqrt(n) * max(above.max(), (1 / n - above).max())


def normal_distribution(x: Any) -> Any:
    return np.array([0.5 * math.erfc(-each / math.sqrt(2)) for each in x.tolist()])


@FLOATS
def test_the_laws(generator: Any, dtype: Any, digits: int) -> None:
    n, one = 200_000, generator((7, 0))
    u, z = one.random(n, dtype=dtype), one.standard_normal(n, dtype=dtype)
    assert u.min() >= 0 and u.max() < 1 and np.isfinite(z).all()
    assert kolmogorov(u, lambda x: x) < 1.95
    assert kolmogorov(z, normal_distribution) < 1.95
    z = z.astype(float)
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((z**power).mean() - moment) < 3.3 * math.sqrt(variance / n), power
    counts = np.bincount(one.integers(0, 10, n), minlength=10)
    assert ((counts - n / 10) ** 2 / (n / 10)).sum() < 27.9  # chi squared with 9 degrees


def test_nothing_is_correlated(generator: Any) -> None:
    """Neighbours in a stream, successive draws, and the streams of neighbouring steps."""
    n = 100_000
    one, next_step = generator((0, 1, 5)), generator((0, 1, 6))
    z, more, other = (g.standard_normal(n) for g in (one, one, next_step))
    pairs = [(z[1:], z[:-1]), (z[2:], z[:-2]), (z, more), (z, other), (z**2 - 1, other**2 - 1)]
    for x, y in pairs:
        assert abs((x * y).mean()) < 3.3 * x.std() * y.std() / math.sqrt(n)
