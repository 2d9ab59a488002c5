"""The Parzen window estimate, by which the first GAN was evaluated, here as a piece of history.

Each generated image becomes the centre of a normal distribution, and the result is the likelihood
of test images under their mixture (Goodfellow et al. 2014: 225 +- 2 nats on MNIST). Theis et al.
(2015) advise against it: even for patches of 6 x 6 pixels no affordable number of samples brings it
near the likelihood of the model, and on MNIST the centres of k-means beat real images. Since pixels
are grey it is a density, with a positive logarithm here, and must not be compared with a likelihood
of binary pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygen.backend import require_floats
from tinygen.data.batches import as_floats
from tinygen.errors import InputError
from tinygen.evaluation.generation import squared_distances

SIGMAS = tuple(np.logspace(-1, 0, 10).tolist())
"""The grid of Goodfellow et al., who chose from it with 1,000 validation images (parzen_ll.py)."""
VALIDATION = 1000


@dataclass(frozen=True)
class ParzenEstimate:
    """The `mean` log-likelihood of the test points in nats, its `standard_error`, and `sigma`.

    >>> print(ParzenEstimate(mean=225.3, standard_error=1.9, sigma=0.2))
    225 +- 2 nats
    """

    mean: float
    standard_error: float
    sigma: float

    def __str__(self) -> str:
        return f"{self.mean:.0f} +- {self.standard_error:.0f} nats"


def parzen_estimate(
    samples: Any, validation: Any, points: Any, sigmas: Any = SIGMAS
) -> ParzenEstimate:
    """The estimate of the paper, with the sigma under which the validation points are likeliest.

    If this is the first or the last of `sigmas`, a better one may lie outside the grid.

    Args:
        samples: generated points, ``(m, d)``; 10,000 in the paper.
        validation, points: real points, ``(v, d)`` and ``(n, d)``; the second are the test set.
        sigmas: standard deviations, above 0.

    Raises:
        ValueError: as in `parzen_log_likelihood`.

    >>> parzen_estimate([[0.0]], [[0.5], [-0.5]], [[0.5]], sigmas=(0.2, 0.5, 1)).sigma
    0.5
    """
    scores = _log_likelihoods(samples, validation, sigmas).mean(axis=1)
    sigma = float(sigmas[int(scores.argmax())])
    nats = parzen_log_likelihood(samples, points, sigma)
    return ParzenEstimate(float(nats.mean()), float(nats.std()) / len(nats) ** 0.5, sigma)


def parzen_beside_training(
    images: Any, real_images: Any, train_images: Any
) -> tuple[ParzenEstimate, ParzenEstimate]:
    """The estimates from n generated images, and from the first n training images for comparison.

    Sigma is chosen with up to 1,000 of the last training images, none of them among the first n.

    Args:
        images: generated ones, ``(n, pixels)`` in [0, 1].
        real_images: those whose likelihood is estimated, ``(m, h, w)`` of uint8.
        train_images: all of them, of uint8.

    Raises:
        InputError: fewer than 100 training images are left to choose sigma with.

    A generator that only draws black, where the pixels of the data are uniform:

    >>> rng = np.random.default_rng(0)
    >>> train = rng.integers(0, 256, (200, 1, 2), dtype=np.uint8)
    >>> test = rng.integers(0, 256, (50, 1, 2), dtype=np.uint8)
    >>> of_generator, of_training = parzen_beside_training(np.zeros((100, 2)), test, train)
    >>> of_generator.mean < of_training.mean
    True
    """
    require_floats(images, where="parzen")
    n, points = len(images), as_floats(real_images)
    validation = as_floats(train_images[n:][-VALIDATION:])
    if len(validation) < VALIDATION // 10:
        raise InputError(f"{len(validation)} training images are left to choose its width by")
    training = as_floats(train_images[:n])
    of_training = parzen_estimate(training, validation, points)
    return parzen_estimate(images, validation, points), of_training


def parzen_log_likelihood(samples: Any, points: Any, sigma: float) -> np.ndarray:
    """The log-density of points under a mixture of normals: ``(m, d) (n, d) -> (n,)`` nats.

    ::

        log(1/m sum_i N(x; s_i, sigma^2 I))        s_i: the samples

    Computed in log space, some points at a time.

    Raises:
        ValueError: the shapes do not fit together, a number is not finite, or sigma is not above 0.

    >>> parzen_log_likelihood([[0.0, 0]], [[0.0, 0]], sigma=1) + np.log(2 * np.pi)
    array([0.])
    """
    return _log_likelihoods(samples, points, (sigma,))[0]


def _log_likelihoods(samples: Any, points: Any, sigmas: Any) -> np.ndarray:
    """For several sigmas at once, so that distances are computed once: ``(len(sigmas), n)``."""
    samples, points = np.asarray(samples, np.float64), np.asarray(points, np.float64)
    _check(samples, points, sigmas)
    (m, d), n = samples.shape, len(points)
    nats = np.empty((len(sigmas), n))
    for rows, d2 in squared_distances(points, samples):
        nearest = d2.min(axis=1, keepdims=True)
        d2 -= nearest  # the nearest sample's term is then 1, and the sum neither 0 nor infinite
        for k, sigma in enumerate(sigmas):
            total = np.exp(d2 * (-0.5 / sigma**2)).sum(axis=1)
            nats[k, rows] = np.log(total) - nearest[:, 0] * (0.5 / sigma**2)
            nats[k, rows] -= np.log(m) + d * np.log(sigma * (2 * np.pi) ** 0.5)
    return nats


def _check(samples: Any, points: Any, sigmas: Any) -> None:
    fits = samples.ndim == points.ndim == 2 and samples.shape[1:] == points.shape[1:]
    if not fits or not samples.size or not points.size:
        raise ValueError(
            f"parzen: expected samples (m, d) and points (n, d), got {samples.shape} {points.shape}"
        )
    if not (np.isfinite(samples).all() and np.isfinite(points).all()):
        raise ValueError("parzen: expected finite numbers, got NaN or infinity")
    if not len(sigmas) or not all(0 < sigma < np.inf for sigma in sigmas):
        raise ValueError(f"parzen: expected standard deviations above 0, got {sigmas}")
