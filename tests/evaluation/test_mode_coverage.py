"""The protocol of the mixtures, point by point, and what a perfect generator scores."""

from __future__ import annotations

from math import erf, exp, sqrt

import numpy as np
import pytest

from tinygen.data import MIXTURES, Mixture, mixtures
from tinygen.evaluation import PERFECT_SHARE, modes

RING, GRID = MIXTURES["ring"], MIXTURES["grid"]


@pytest.mark.parametrize("mixture", MIXTURES.values(), ids=MIXTURES)
def test_three_deviations_are_good_and_a_little_more_is_not(mixture):
    way = np.array([0.6, 0.8])
    inside = mixture.centres + 2.999 * mixture.deviation * way
    outside = mixture.centres - 3.001 * mixture.deviation * way
    k = len(mixture.centres)
    assert modes(inside, mixture).figures == {"modes": k, "good_samples": 1}
    assert modes(outside, mixture).figures == {"modes": 0, "good_samples": 0}
    found = modes(np.concatenate([inside[:3], outside]), mixture)
    assert found.counts.tolist() == [1] * 3 + [0] * (k - 3)
    assert found.figures == {"modes": 3, "good_samples": 3 / (k + 3)}


def test_each_sample_belongs_to_the_nearest_mode():
    wide = Mixture("wide", np.array([[0.0, 0], [1, 0]]), 1.0)  # each reaches to both
    found = modes([[0.4, 0], [0.6, 0], [0.7, 2.9], [-2.9, 0], [9, 0]], wide)
    assert found.counts.tolist() == [2, 2]
    assert (found.found, found.good) == (2, 0.8)


def test_one_good_sample_finds_a_mode_and_a_thousand_bad_ones_do_not():
    bad = np.full((1000, 2), 0.5)
    found = modes(np.concatenate([bad, RING.centres[3:4]]), RING)
    assert found.figures == {"modes": 1, "good_samples": 1 / 1001}
    assert found.counts.tolist() == [0, 0, 0, 1, 0, 0, 0, 0]


@pytest.mark.parametrize("name", MIXTURES)
def test_a_perfect_generator_scores_what_is_said(name):
    n = 100_000
    found = modes(mixtures.points(name, n, seed=1), MIXTURES[name])
    assert found.found == len(MIXTURES[name].centres)
    error = sqrt(PERFECT_SHARE * (1 - PERFECT_SHARE) / n)
    assert found.good == pytest.approx(PERFECT_SHARE, abs=4 * error)
    assert found.counts.sum() == round(found.good * n)


def test_the_perfect_share():
    assert pytest.approx(1 - exp(-4.5), rel=1e-15) == PERFECT_SHARE
    assert round(PERFECT_SHARE, 4) == 0.9889
    # In one dimension it is the well-known 99.73 %, and the disc lies within that square.
    assert erf(3 / sqrt(2)) ** 2 > PERFECT_SHARE


def test_narrower_modes_score_more_than_perfect_ones():
    rng = np.random.default_rng(0)
    shrunken = Mixture("shrunken", GRID.centres, GRID.deviation / 2)
    assert modes(shrunken.draw(20_000, rng), GRID).good > PERFECT_SHARE + 0.01


def test_samples_of_float32_and_figures_for_json():
    found = modes(mixtures.points("ring", 500, dtype=np.float32), RING)
    assert found.figures == modes(mixtures.points("ring", 500), RING).figures
    assert [type(value) for value in found.figures.values()] == [int, float]


@pytest.mark.parametrize(
    ("samples", "sentence"),
    [
        (np.ones((5, 3)), r"expected samples \(n, 2\), got \(5, 3\)"),
        (np.ones((5, 1)), r"expected samples \(n, 2\), got \(5, 1\)"),  # would broadcast
        (np.ones(2), r"got \(2,\)"),
        (np.ones((0, 2)), r"got \(0, 2\)"),
        ([[0.0, np.nan]], "expected finite samples, got NaN or infinity"),
    ],
)
def test_what_makes_no_sense_is_refused(samples, sentence):
    with pytest.raises(ValueError, match=f"modes: .*{sentence}"):
        modes(samples, RING)
