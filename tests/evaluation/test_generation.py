"""Scores of generated images against closed forms, loops, and images whose faults are known."""

from __future__ import annotations

import re
import tracemalloc
from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygen.evaluation import (
    GenerationScores,
    digits_covered,
    evaluate_generation,
    frechet_distance,
    generation,
    histogram_kl,
    inception_score,
    nearest,
    precision_recall,
    scores_table,
)


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def probabilities(n, c, seed=0):
    p = np.random.default_rng(seed).exponential(size=(n, c)) ** 3
    return p / p.sum(axis=1, keepdims=True)


# The inception score.


@pytest.mark.parametrize("c", [2, 10])
def test_the_score_of_images_that_all_look_alike_is_one_and_of_sure_and_even_ones_all(c):
    assert inception_score(np.tile(probabilities(1, c), (50, 1))) == pytest.approx(1, rel=1e-12)
    assert inception_score(np.eye(c)[np.arange(5 * c) % c]) == pytest.approx(c, rel=1e-12)
    assert inception_score(np.full((7, c), 1 / c)) == pytest.approx(1, rel=1e-12)  # never sure
    assert inception_score(np.eye(c)[[0] * 9]) == 1  # collapsed


def test_the_score_of_sure_images_is_the_number_of_classes_they_are_as_good_as():
    """One half, one quarter twice: an entropy of 1.5 bits."""
    assert inception_score(np.eye(4)[[0, 0, 1, 2]]) == pytest.approx(2**1.5, rel=1e-12)


@given(st.integers(1, 20), st.integers(1, 6), st.integers(0, 10**6))
def test_the_score_is_what_its_definition_says(n, c, seed):
    p = probabilities(n, c, seed)
    p[0] = np.eye(c)[0]  # zeros, too
    mean = [sum(row[k] for row in p) / n for k in range(c)]
    kl = [sum(q * np.log(q / m) for q, m in zip(row, mean, strict=True) if q) for row in p]
    assert inception_score(p) == pytest.approx(np.exp(sum(kl) / n), rel=1e-10)


def test_probabilities_of_float32_are_good_and_logits_are_not():
    p = probabilities(40, 10)
    assert inception_score(p.astype(np.float32)) == pytest.approx(inception_score(p), rel=1e-5)
    for wrong in (p * 1.01, np.log(p), p + np.linspace(-0.5, 0.5, 10)):
        with pytest.raises(ValueError, match="inception_score: expected probabilities"):
            inception_score(wrong)


# The Frechet distance.


def sample_with(mean, covariance, n, seed):
    """Rows whose mean and unbiased covariance are these exactly."""
    x = np.random.default_rng(seed).standard_normal((n, len(mean)))
    x -= x.mean(axis=0)
    x @= np.linalg.inv(np.linalg.cholesky(np.cov(x.T)).T)
    return mean + x @ np.linalg.cholesky(covariance).T


def covariance(f, seed):
    A = np.random.default_rng(seed).standard_normal((f, f))
    return A @ A.T + 0.1 * np.eye(f)


@pytest.mark.parametrize("f", [2, 5, 12])
def test_the_distance_of_normals_whose_covariances_do_not_commute(rng, f):
    Ca, Cb = covariance(f, 1), covariance(f, 2)
    assert abs(Ca @ Cb - Cb @ Ca).max() > 0.1  # or a product of roots would do
    shift = rng.standard_normal(f)
    a, b = sample_with(np.zeros(f), Ca, 40, 3), sample_with(shift, Cb, 70, 4)
    # The eigenvalues of the product itself, which is not symmetric.
    root = np.sqrt(np.linalg.eigvals(Ca @ Cb).real).sum()
    expected = shift @ shift + np.trace(Ca) + np.trace(Cb) - 2 * root
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(b, a) == pytest.approx(expected, rel=1e-9)


def test_the_distance_by_a_root_that_is_known():
    """In two dimensions ``tr C^(1/2) = sqrt(tr C + 2 sqrt(det C))``."""
    Ca, Cb = np.array([[2.0, 1], [1, 3]]), np.array([[5.0, -2], [-2, 1]])
    a, b = sample_with([0, 0], Ca, 9, 0), sample_with([1, 2], Cb, 9, 1)
    product = Ca @ Cb
    root = np.sqrt(np.trace(product) + 2 * np.sqrt(np.linalg.det(product)))
    assert frechet_distance(a, b) == pytest.approx(5 + 5 + 6 - 2 * root, rel=1e-9)


def test_the_distance_to_itself_is_nothing_and_to_a_shift_its_square(rng):
    x = 1000 + rng.standard_normal((30, 6))
    assert 0 <= frechet_distance(x, x[::-1]) < 1e-9  # features of 1000 are rounded to 1e-13
    assert frechet_distance(x, x + 2) == pytest.approx(24, rel=1e-9)
    assert frechet_distance(x, 3 * x - 2 * x.mean(axis=0)) == pytest.approx(
        4 * np.trace(np.cov(x.T)), rel=1e-9
    )


def test_covariances_that_are_singular(rng):
    """Fewer rows than columns, units that are dead, and two normals that share no direction."""
    x = np.zeros((30, 8))
    x[:, :2] = rng.standard_normal((30, 2))
    y = np.roll(x, 4, axis=1)
    both = 2 * np.trace(np.cov(x.T)) + 2 * x.mean(axis=0) @ x.mean(axis=0)
    # No root of a rounding error: 1e-16 would have left 1e-8 here.
    assert frechet_distance(x, y) == pytest.approx(both, rel=1e-13)
    assert 0 <= frechet_distance(x, x) < 1e-14
    few = rng.standard_normal((3, 50))
    assert 0 <= frechet_distance(few, few) < 1e-12
    assert frechet_distance(np.zeros((2, 3)), np.ones((2, 3))) == 3


def test_two_sets_of_one_kind_are_as_far_apart_as_chance_has_it(rng):
    """With C = I: ``2 f / n`` by the means, ``f (f + 1) / (2 n)`` by the covariances."""
    f, n = 8, 1000
    distances = [frechet_distance(*rng.standard_normal((2, n, f))) for _ in range(60)]
    error = np.std(distances) / 60**0.5
    assert np.mean(distances) == pytest.approx(f * (f + 5) / (2 * n), abs=4 * error)


@pytest.mark.parametrize("power", [-300, -1, 1, 500, 508])
def test_the_unit_of_features_is_no_matter(rng, power):
    """Also where their squares are too large for float64; a power of 2 changes no digit."""
    a, b = rng.standard_normal((50, 6)), 1 + rng.standard_normal((40, 6))
    unit = 2.0**power
    assert frechet_distance(unit * a, unit * b) == unit * unit * frechet_distance(a, b) > 0
    assert precision_recall(unit * a, unit * b) == precision_recall(a, b)


def test_a_distance_that_is_too_large_is_infinite(rng):
    a, b = rng.standard_normal((50, 6)), 1 + rng.standard_normal((40, 6))
    for unit in (1e154, 1e300, 4e307):
        assert frechet_distance(unit * a, unit * b) == np.inf
        assert precision_recall(unit * a, unit * b) == precision_recall(a, b)


# Histograms of digits.


def test_the_kl_of_histograms_by_hand():
    reference = [0, 0, 1, 2]
    assert histogram_kl([2, 0, 0, 1] * 5, reference, 3) == 0
    by_hand = 0.25 * np.log(0.25 / 0.5) + 0.75 * np.log(0.75 / 0.25)
    assert histogram_kl([0, 1, 1, 1], reference, 3) == pytest.approx(by_hand, rel=1e-12)


def test_a_digit_that_is_never_generated_costs_its_frequency_and_an_unknown_one_everything():
    reference = np.arange(10)
    assert histogram_kl(np.arange(9), reference) == pytest.approx(-np.log(0.9), rel=1e-12)
    assert histogram_kl([7], reference) == pytest.approx(np.log(10), rel=1e-12)
    assert histogram_kl(reference, np.arange(9)) == np.inf


def test_digits_are_covered_by_a_tenth_of_their_frequency_and_never_by_one_image():
    reference = np.repeat(np.arange(10), 100)
    most = [0] * 9900
    assert digits_covered(most + [1] * 99, reference) == 1
    assert digits_covered(most + [1] * 110, reference) == 2  # a tenth of a tenth of 10,010
    assert digits_covered(np.arange(10).repeat(2), reference) == 10
    assert digits_covered(np.arange(10), reference) == 0  # of so few, nothing can be said
    assert digits_covered([*([0] * 19), 1], reference) == 1
    assert digits_covered([*([0] * 18), 1, 1], reference) == 2
    assert digits_covered(most + [1] * 99, reference, least=0.05) == 2


def test_the_frequency_of_a_digit_is_that_in_the_reference():
    reference = [0] * 98 + [1] * 2  # 2 % are ones, so 2 in 1,000 are enough
    assert digits_covered([0] * 998 + [1] * 2, reference) == 2
    assert digits_covered([0] * 998 + [1, 5], reference) == 1
    assert digits_covered([0] * 500 + [5] * 500, reference) == 1  # no digit of the reference


# Precision and recall.


def by_loops(real, fake, k):
    def reach(x):
        return [
            sorted(np.linalg.norm(x[i] - x[j]) for j in range(len(x)) if j != i)[k - 1]
            for i in range(len(x))
        ]

    def fraction(points, x):
        radii = reach(x)
        inside = [
            any(np.linalg.norm(p - c) <= r for c, r in zip(x, radii, strict=True)) for p in points
        ]
        return sum(inside) / len(inside)

    return fraction(fake, real), fraction(real, fake)


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("block", [1, 137, 10**6])
def test_precision_and_recall_are_what_loops_find(rng, monkeypatch, k, block):
    monkeypatch.setattr(generation, "BLOCK", block)
    real = rng.standard_normal((50, 4)) + 100
    fake = 0.7 * rng.standard_normal((40, 4)) + 101
    both = precision_recall(real, fake, k)
    assert both == pytest.approx(by_loops(real, fake, k), abs=1e-12)
    assert 0 < both[1] < both[0] <= 1  # or little was compared


def test_a_generator_of_one_mode_is_precise_and_recalls_that_mode_only(rng):
    centres = 50 * np.eye(5)
    real = np.concatenate([c + rng.standard_normal((100, 5)) for c in centres])
    fake = centres[2] + 0.5 * rng.standard_normal((500, 5))
    precision, recall = precision_recall(real, fake)
    assert precision > 0.99 and 0.05 < recall <= 0.2
    precision, recall = precision_recall(fake, real)  # and the other way round
    assert recall > 0.99 and 0.05 < precision <= 0.2


def test_images_that_are_copies_or_far_away_or_all_the_same(rng):
    real = rng.standard_normal((60, 3))
    assert precision_recall(real, real[::-1]) == (1, 1)
    assert precision_recall(real, real + 100) == (0, 0)
    assert precision_recall(real, np.tile(real[:1], (60, 1))) == (1, 1 / 60)


def test_memory_stays_flat(rng, monkeypatch):
    monkeypatch.setattr(generation, "BLOCK", 100_000)  # 0.8 MB
    real, fake = rng.standard_normal((2, 2000, 4))
    tracemalloc.start()
    try:
        precision_recall(real, fake)
        assert tracemalloc.get_traced_memory()[1] < 4e6  # all distances at once are 32 MB
    finally:
        tracemalloc.stop()


# All of them.


def test_all_scores_are_those_of_the_functions(rng):
    p, labels = probabilities(80, 4, seed=1), rng.integers(0, 4, 90)
    features, real = rng.standard_normal((80, 3)), rng.standard_normal((90, 3))
    scores = evaluate_generation(p, features, real, labels, k=2)
    assert type(scores) is GenerationScores
    digits = p.argmax(axis=1)
    precision, recall = precision_recall(real, features, 2)
    assert precision != recall
    assert scores.metrics == {
        "digits_covered": digits_covered(digits, labels, 4),
        "inception_score": inception_score(p),
        "frechet_distance": frechet_distance(features, real),
        "histogram_kl": histogram_kl(digits, labels, 4),
        "precision": precision,
        "recall": recall,
    }
    kinds = [int, float, float, float, float, float]  # as JSON wants them
    assert [type(value) for value in scores.metrics.values()] == kinds


@pytest.mark.parametrize(("n", "m"), [(79, 90), (80, 91)])
def test_scores_of_other_images_than_the_features_are_refused(n, m):
    with pytest.raises(
        ValueError, match=r"evaluate_generation: expected \(n, c\) \(n, f\) .* got \(80, 4\)"
    ):
        evaluate_generation(probabilities(80, 4), np.ones((n, 3)), np.ones((m, 3)), [0] * 90)


NAN = np.full((9, 3), np.nan)
BAD = [
    (lambda: inception_score(np.ones(3)), "inception_score: expected a matrix .* got \\(3,\\)"),
    (lambda: inception_score(np.ones((0, 3))), "inception_score: .* got \\(0, 3\\)"),
    (lambda: inception_score(NAN), "inception_score: expected finite numbers"),
    (lambda: frechet_distance(np.ones((1, 3)), np.ones((5, 3))), "2 rows or more, got \\(1, 3\\)"),
    (lambda: frechet_distance(np.ones((5, 2)), np.ones((5, 3))), "\\(5, 2\\) and \\(5, 3\\)"),
    (lambda: frechet_distance(np.ones((9, 3)), NAN), "frechet_distance: expected finite numbers"),
    (lambda: precision_recall(np.ones((9, 3)), np.ones((3, 3))), "4 rows or more, got \\(3, 3\\)"),
    (lambda: precision_recall(np.ones((9, 2)), np.ones((9, 3))), "same number of columns"),
    (lambda: precision_recall(NAN, np.ones((9, 3))), "precision_recall: expected finite numbers"),
    (lambda: precision_recall(np.ones((9, 3)), np.ones((9, 3)), 0), "k of at least 1, got 0"),
    (lambda: histogram_kl([], [0]), "histogram_kl: expected integer labels"),
    (lambda: histogram_kl([0], [[0]]), "histogram_kl: expected integer labels"),
    (lambda: histogram_kl([0.0], [0]), "integer labels \\(n,\\), got \\(1,\\) float64"),
    (lambda: histogram_kl([0], [3, 10]), "labels in 0 .. 9, got 3 to 10"),
    (lambda: digits_covered([-1], [0]), "digits_covered: expected labels in 0 .. 9, got -1 to -1"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD)
def test_what_makes_no_sense_is_refused(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


def test_the_table_of_scores_fits_and_is_straight():
    def row(x, y, z):
        return GenerationScores(x, y, y, z, z, z)

    names = ("a real half, the other", "Gaussian, 64 PCA codes", "this GAN")
    figures = row(10, 9.994, 0.0001), row(1, 1, 1), row(0, 1234.5, inf)
    rows = dict(zip(names, figures, strict=True))
    lines = scores_table(rows).splitlines()
    assert [len(line) for line in lines[:3]] == [len(lines[0])] * 3 and len(lines[0]) <= 80
    assert all(len(line) <= 80 for line in lines)
    ends = [match.end() for match in re.finditer(r"\S( ?\S)*", lines[0])]
    for line in lines[1:3]:
        figures = line[len("Gaussian, 64 PCA codes") :]
        assert [match.end() for match in re.finditer(r"\S+", figures)] == [
            end - len("Gaussian, 64 PCA codes") for end in ends
        ]
    assert "inf" in lines[3]


def test_the_nearest_row_is_that_of_a_loop(monkeypatch):
    monkeypatch.setattr(generation, "BLOCK", 100)  # several blocks
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((30, 4)), rng.standard_normal((20, 4))
    expected = [min(range(20), key=lambda k: np.linalg.norm(x - b[k])) for x in a]
    assert nearest(a, b).tolist() == expected
    assert nearest(b, b).tolist() == [*range(20)]


def test_the_nearest_row_in_float16():
    """The square of 300 is infinite there, and every row was nearest to the first."""
    x = np.float16([[300, 1], [1, 300], [200, 200]])
    assert nearest(x, x).tolist() == [0, 1, 2]


def test_distances_of_bytes_are_refused():
    """The square of the byte 20 is 144."""
    x = np.array([[20]], np.uint8)
    for a, b in ((x, x), (x, x / 255), (x / 255, x)):
        with pytest.raises(TypeError, match="nearest: expected floats, got uint8"):
            nearest(a, b)
