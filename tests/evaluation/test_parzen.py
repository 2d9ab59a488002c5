"""The Parzen window against a direct sum, an integral, and normals whose answer is known."""

from __future__ import annotations

from math import exp, log, pi

import numpy as np
import pytest

from tinygen.errors import InputError
from tinygen.evaluation import (
    ParzenEstimate,
    generation,
    parzen,
    parzen_beside_training,
    parzen_estimate,
    parzen_log_likelihood,
)
from tinygen.evaluation.parzen import SIGMAS


@pytest.fixture
def rng():
    return np.random.default_rng(4)


@pytest.mark.parametrize("block", [1, 50, 10**6])
@pytest.mark.parametrize("sigma", [0.3, 1, 4.0])
def test_it_is_the_sum_over_all_pairs(rng, monkeypatch, sigma, block):
    monkeypatch.setattr(generation, "BLOCK", block)
    samples, points = rng.standard_normal((20, 3)), rng.standard_normal((13, 3))
    computed = parzen_log_likelihood(samples, points, sigma)
    assert computed.shape == (13,) and computed.dtype == np.float64
    for x, nats in zip(points, computed, strict=True):
        density = 0.0
        for s in samples:
            squared = sum((x[j] - s[j]) ** 2 for j in range(3))
            density += exp(-squared / (2 * sigma**2)) / (2 * pi * sigma**2) ** 1.5 / 20
        assert nats == pytest.approx(log(density), rel=1e-10)


def test_it_is_a_density():
    x = np.linspace(-9, 9, 2001)[:, None]
    density = np.exp(parzen_log_likelihood([[-2.0], [0.5], [3]], x, 0.4))
    assert density.sum() * (x[1, 0] - x[0, 0]) == pytest.approx(1, rel=1e-9)


def test_a_point_so_far_away_that_its_density_is_zero():
    computed = parzen_log_likelihood(np.zeros((5, 2)), [[1000.0, 0]], 0.1)
    assert computed == pytest.approx(-(1000**2) / 0.02 - log(2 * pi * 0.01), rel=1e-12)


def test_images_count_in_nats_a_pixel_at_a_time():
    """784 pixels at their sample's own place: -784 log(sigma sqrt(2 pi)), whatever else is far."""
    samples = np.concatenate([np.zeros((1, 784)), np.ones((9, 784))]).astype(np.float32)
    expected = -784 * log(0.2 * (2 * pi) ** 0.5) - log(10)
    assert parzen_log_likelihood(samples, samples[:1], 0.2) == pytest.approx(expected, rel=1e-12)


def test_sigma_is_the_best_one_for_the_validation_points(rng):
    """For one sample the best variance is the mean squared distance, of which the grid has one."""
    grid = np.logspace(-1, 1, 41)
    validation = rng.standard_normal((400, 2))
    validation *= 0.5 / np.sqrt(np.mean(validation**2))
    estimate = parzen_estimate([[0.0, 0]], validation, 7 * validation, grid)
    assert estimate.sigma == grid[abs(np.log(grid / 0.5)).argmin()]
    nats = parzen_log_likelihood([[0.0, 0]], 7 * validation, estimate.sigma)  # of the test points
    assert estimate.mean == pytest.approx(nats.mean(), rel=1e-12)
    assert estimate.standard_error == pytest.approx(np.sqrt(np.var(nats) / 400), rel=1e-12)


def test_the_grid_is_that_of_the_paper():
    assert len(SIGMAS) == 10 and SIGMAS[0] == 0.1 and SIGMAS[-1] == 1
    np.testing.assert_allclose(np.diff(np.log10(SIGMAS)), 1 / 9, rtol=1e-12)


def test_many_samples_of_a_normal_give_its_entropy(rng):
    samples, validation, points = rng.standard_normal((3, 3000, 1))
    estimate = parzen_estimate(samples, validation, points)
    entropy = 0.5 * log(2 * pi * np.e)
    # Five standard errors; the window itself costs some 0.003 nats.
    assert estimate.mean == pytest.approx(-entropy, abs=5 * estimate.standard_error + 0.005)
    assert estimate.standard_error == pytest.approx(
        (0.5 / 3000) ** 0.5, rel=0.2
    )  # var(x^2/2) = 1/2


def test_why_it_is_history(rng):
    """Theis et al. 2015: the means of clusters, no image themselves, beat fresh real images."""
    centres = 4 * rng.standard_normal((10, 30))

    def real(n):
        return centres[rng.integers(0, 10, n)] + rng.standard_normal((n, 30))

    validation, points = real(300), real(300)
    sigmas = np.logspace(-0.5, 0.5, 11)
    honest, means = (parzen_estimate(s, validation, points, sigmas) for s in (real(500), centres))
    assert means.mean > honest.mean + 5 * honest.standard_error


@pytest.mark.parametrize(
    ("samples", "points", "sigma", "sentence"),
    [
        (
            np.ones((3, 2)),
            np.ones((3, 4)),
            1,
            r"expected samples \(m, d\) .* got \(3, 2\) \(3, 4\)",
        ),
        (np.ones(3), np.ones(3), 1, "expected samples"),
        (np.ones((0, 2)), np.ones((3, 2)), 1, "expected samples"),
        (np.ones((3, 2)), np.ones((0, 2)), 1, "expected samples"),
        (np.full((3, 2), np.nan), np.ones((3, 2)), 1, "expected finite numbers"),
        (np.ones((3, 2)), np.full((3, 2), np.inf), 1, "expected finite numbers"),
        (np.ones((3, 2)), np.ones((3, 2)), 0, "expected standard deviations above 0"),
        (np.ones((3, 2)), np.ones((3, 2)), float("nan"), "expected standard deviations above 0"),
    ],
)
def test_what_makes_no_sense_is_refused(samples, points, sigma, sentence):
    with pytest.raises(ValueError, match=f"parzen: {sentence}"):
        parzen_log_likelihood(samples, points, sigma)


def test_a_grid_without_a_sigma_is_refused():
    with pytest.raises(ValueError, match="parzen: expected standard deviations above 0"):
        parzen_estimate(np.ones((3, 2)), np.ones((3, 2)), np.ones((3, 2)), sigmas=())


@pytest.mark.parametrize(("train", "left"), [(250, 210), (140, 100), (139, 99), (40, 0)])
def test_beside_training_images_none_chooses_sigma_that_is_a_centre(monkeypatch, train, left):
    rng, seen = np.random.default_rng(0), []
    data = rng.integers(0, 256, (train, 2, 3), dtype=np.uint8)
    real = rng.integers(0, 256, (30, 2, 3), dtype=np.uint8)
    images = rng.random((40, 6), np.float32)

    def spy(samples, validation, points):
        seen.append((samples, validation, points))
        return parzen_estimate(samples, validation, points)

    monkeypatch.setattr(parzen, "parzen_estimate", spy)
    if left < 100:
        with pytest.raises(InputError, match=f"^{left} training images are left to choose"):
            parzen_beside_training(images, real, data)
        assert not seen
        return
    own, of_training = parzen_beside_training(images, real, data)
    (training, validation, points), (samples, same, _) = seen
    assert len(training) == 40 and len(validation) == left and same is validation
    assert not {x.tobytes() for x in training} & {x.tobytes() for x in validation}
    np.testing.assert_allclose(points, real.reshape(30, 6) / 255, rtol=1e-6)
    assert samples is images and own == parzen_estimate(images, validation, points)
    assert of_training == parzen_estimate(training, validation, points)


def test_at_most_a_thousand_choose_sigma(monkeypatch):
    seen = []
    monkeypatch.setattr(parzen, "parzen_estimate", lambda _, x, points: seen.append(len(x)))
    parzen_beside_training(np.ones((5, 1)), np.ones((2, 1, 1), np.uint8),
                           np.ones((1500, 1, 1), np.uint8))  # fmt: skip
    assert seen == [1000, 1000]


def test_an_estimate_in_words():
    assert str(ParzenEstimate(224.7, 2.1, 0.2)) == "225 +- 2 nats"


def test_generated_images_of_bytes_are_refused():
    images = np.zeros((200, 2, 2), np.uint8)
    with pytest.raises(TypeError, match="parzen: expected floats, got uint8"):
        parzen_beside_training(images.reshape(200, 4)[:50], images, images)
