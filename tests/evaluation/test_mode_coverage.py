"""The protocol of the mixtures, point by point, and what a perfect generator scores."""

from __future__ import annotations

from math import erf, exp, sqrt

import numpy as np
import pytest

from tinygen.data import MIXTURES, Mixture, mixtures
from tinygen.evaluation import PERFECT_GOOD_SAMPLES, mode_coverage

RING, GRID = MIXTURES["ring"], MIXTURES["grid"]


@pytest.mark.parametrize("mixture", MIXTURES.values(), ids=MIXTURES)
def test_three_standard_deviations_are_good_and_a_little_more_is_not(mixture):
    way = np.array([0.6, 0.8])
    inside = mixture.centres + 2.999 * mixture.std * way
    outside = mixture.centres - 3.001 * mixture.std * way
    k = len(mixture.centres)
    assert mode_coverage(inside, mixture).metrics == {"modes": k, "good_samples": 1}
    assert mode_coverage(outside, mixture).metrics == {"modes": 0, "good_samples": 0}
    coverage = mode_coverage(np.concatenate([inside[:3], outside]), mixture)
    assert coverage.counts.tolist() == [1] * 3 + [0] * (k - 3)
    assert coverage.metrics == {"modes": 3, "good_samples": 3 / (k + 3)}


def test_each_sample_belongs_to_the_nearest_mode():
    wide = Mixture("wide", np.array([[0.0, 0], [1, 0]]), 1.0)  # each reaches to both
    coverage = mode_coverage([[0.4, 0], [0.6, 0], [0.7, 2.9], [-2.9, 0], [9, 0]], wide)
    assert coverage.counts.tolist() == [2, 2]
    assert (coverage.modes, coverage.good_samples) == (2, 0.8)


def test_one_good_sample_covers_a_mode_and_a_thousand_bad_ones_do_not():
    bad = np.full((1000, 2), 0.5)
    coverage = mode_coverage(np.concatenate([bad, RING.centres[3:4]]), RING)
    assert coverage.metrics == {"modes": 1, "good_samples": 1 / 1001}
    assert coverage.counts.tolist() == [0, 0, 0, 1, 0, 0, 0, 0]


@pytest.mark.parametrize("name", MIXTURES)
def test_a_perfect_generator_scores_what_is_said(name):
    n = 100_000
    coverage = mode_coverage(mixtures.points(name, n, seed=1), MIXTURES[name])
    assert coverage.modes == len(MIXTURES[name].centres)
    error = sqrt(PERFECT_GOOD_SAMPLES * (1 - PERFECT_GOOD_SAMPLES) / n)
    assert coverage.good_samples == pytest.approx(PERFECT_GOOD_SAMPLES, abs=4 * error)
    assert coverage.counts.sum() == round(coverage.good_samples * n)


def test_the_fraction_of_a_perfect_generator():
    assert pytest.approx(1 - exp(-4.5), rel=1e-15) == PERFECT_GOOD_SAMPLES
    assert round(PERFECT_GOOD_SAMPLES, 4) == 0.9889
    # In one dimension it is the well-known 99.73 %, and the disc lies within that square.
    assert erf(3 / sqrt(2)) ** 2 > PERFECT_GOOD_SAMPLES


def test_narrower_modes_score_more_than_perfect_ones():
    rng = np.random.default_rng(0)
    shrunken = Mixture("shrunken", GRID.centres, GRID.std / 2)
    assert (
        mode_coverage(shrunken.draw(20_000, rng), GRID).good_samples > PERFECT_GOOD_SAMPLES + 0.01
    )


def test_samples_of_float32_and_metrics_for_json():
    coverage = mode_coverage(mixtures.points("ring", 500, dtype=np.float32), RING)
    assert coverage.metrics == mode_coverage(mixtures.points("ring", 500), RING).metrics
    assert [type(value) for value in coverage.metrics.values()] == [int, float]


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
    with pytest.raises(ValueError, match=f"mode_coverage: .*{sentence}"):
        mode_coverage(samples, RING)


def test_coverage_in_words():
    points = [[1.0, 0], [0, 1.0], [0, 0]]
    assert str(mode_coverage(points, MIXTURES["ring"])) == "2 of 8 modes, 66.67% good samples"
