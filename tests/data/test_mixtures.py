"""The mixtures' points have the modes, the moments and the seeds that they should."""

from __future__ import annotations

import dataclasses
from functools import partial

import numpy as np
import pytest

from tinygen.data import MIXTURES, Mixture, mixtures
from tinygen.errors import InputError

DRAWS = {name: partial(mixtures.points, name) for name in MIXTURES}
N = 40_000


def test_the_modes_are_where_the_protocol_has_them():
    ring, grid = MIXTURES["ring"], MIXTURES["grid"]
    assert list(MIXTURES) == list(DRAWS) == [ring.name, grid.name]
    assert (ring.centres.shape, ring.std) == ((8, 2), 0.01)
    np.testing.assert_allclose(np.hypot(*ring.centres.T), 1, rtol=1e-15)
    angles = np.sort(np.arctan2(ring.centres[:, 1], ring.centres[:, 0]))
    np.testing.assert_allclose(np.diff(angles), np.pi / 4, rtol=1e-12)
    every = {(x, y) for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)}
    assert ({*map(tuple, grid.centres)}, grid.std) == (every, 0.05)


@pytest.mark.parametrize("name", MIXTURES)
def test_modes_are_equally_likely_and_each_is_round(name):
    mixture = MIXTURES[name]
    points, k = DRAWS[name](N, seed=5), len(mixture.centres)
    assert points.shape == (N, 2) and points.dtype == np.float64
    offsets = points[:, None] - mixture.centres
    nearest = np.sum(offsets**2, axis=2).argmin(axis=1)
    counts = np.bincount(nearest, minlength=k)
    # Chi squared of k - 1 degrees: mean k - 1, variance 2 (k - 1).
    statistic = np.sum((counts - N / k) ** 2) / (N / k)
    assert abs(statistic - (k - 1)) < 4 * np.sqrt(2 * (k - 1))
    assert counts.std() > 0  # random, not dealt out
    own = offsets[np.arange(N), nearest] / mixture.std
    # Five standard errors of a mean, of a variance and of a correlation.
    np.testing.assert_allclose(own.mean(axis=0), 0, atol=5 / N**0.5)
    np.testing.assert_allclose(np.cov(own.T), np.eye(2), atol=5 * (2 / N) ** 0.5)
    np.testing.assert_allclose(np.mean(own**4, axis=0), 3, atol=5 * (96 / N) ** 0.5)  # normal
    for mode in range(0, k, 7):  # and about each mode by itself
        m = counts[mode]
        np.testing.assert_allclose(own[nearest == mode].mean(axis=0), 0, atol=5 / m**0.5)


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_points_depend_on_the_seed_and_the_part_alone(draw):
    np.testing.assert_array_equal(draw(50, 3), draw(50, 3))
    assert (draw(50, 3) != draw(50, 4)).all()
    assert (draw(50, 3) != draw(50, 3, part=1)).all()


def test_points_in_float32_are_the_same_ones():
    single = mixtures.points("grid", 50, 3, dtype=np.float32)
    assert single.dtype == np.float32
    np.testing.assert_array_equal(single, mixtures.points("grid", 50, 3).astype(np.float32))
    generator = np.random.default_rng(0)
    assert MIXTURES["ring"].draw(4, generator, np.float32).dtype == np.float32


def test_the_stream_is_not_that_of_the_weights():
    """Weights are drawn from the seed by itself."""
    ring = MIXTURES["ring"]
    assert (mixtures.points("ring", 50, 3) != ring.draw(50, np.random.default_rng(3))).all()


def test_a_mixture_stays_as_it_is():
    with pytest.raises(dataclasses.FrozenInstanceError):
        MIXTURES["ring"].std = 1.0
    assert MIXTURES["ring"] == MIXTURES["ring"] != MIXTURES["grid"]  # by identity: no arrays
    assert len({*MIXTURES.values()}) == 2
    far = Mixture("far", np.array([[9.0, 7]]), 0.0)
    np.testing.assert_array_equal(far.draw(3, np.random.default_rng(0)), [[9, 7]] * 3)


@pytest.mark.parametrize("n", [0, -1])
def test_no_points_are_refused(n):
    with pytest.raises(InputError, match=f"ring: expected at least one point to draw, got {n}"):
        mixtures.points("ring", n)
