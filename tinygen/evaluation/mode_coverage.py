"""How many modes of a known mixture samples cover, by the protocol of PacGAN (Lin et al. 2018).

In the paper 2,500 samples are drawn. A sample is good if it lies within three standard deviations
of the nearest mode, and a mode is covered if one good sample belongs to it, even one of 2,500 that
strayed there by chance; `ModeCoverage.counts` shows such modes.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp
from typing import Any

import numpy as np

from tinygen.data.mixtures import Mixture

RADIUS = 3.0
"""Standard deviations within which a sample is good."""

PERFECT_GOOD_SAMPLES = 1 - exp(-(RADIUS**2) / 2)
"""The fraction of good samples of a perfect generator, 98.89 %.

The squared distance from a mode in the plane, in units of the variance, is above r^2 with
probability exp(-r^2 / 2). A generator with more good samples than this is no better: its modes are
narrower than those of the data.
"""


@dataclass(frozen=True)
class ModeCoverage:
    """Which modes samples cover.

    Attributes:
        modes: how many modes have at least one good sample, as in PacGAN.
        good_samples: the fraction of good samples; compare it with `PERFECT_GOOD_SAMPLES`.
        counts: ``(k,)``, the good samples of each mode.

    >>> print(ModeCoverage(modes=2, good_samples=0.75, counts=np.array([2, 1, 0])))
    2 of 3 modes, 75.00% good samples
    """

    modes: int
    good_samples: float
    counts: np.ndarray

    @property
    def metrics(self) -> dict[str, float]:
        """What a run records about it."""
        return {"modes": self.modes, "good_samples": self.good_samples}

    def __str__(self) -> str:
        return f"{self.modes} of {len(self.counts)} modes, {self.good_samples:.2%} good samples"


def mode_coverage(samples: Any, mixture: Mixture) -> ModeCoverage:
    """The modes of a mixture that samples ``(n, 2)`` on the host cover.

    Raises:
        ValueError: the samples are not points in the plane, there are none, or one is not finite.

    >>> from tinygen.data import MIXTURES
    >>> coverage = mode_coverage([[1.0, 0.02], [0.99, 0], [0, 0]], MIXTURES["ring"])
    >>> coverage.metrics
    {'modes': 1, 'good_samples': 0.6666666666666666}
    """
    x = np.asarray(samples, np.float64)
    if x.ndim != 2 or not len(x) or x.shape[1] != 2:
        raise ValueError(f"mode_coverage: expected samples (n, 2), got {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError("mode_coverage: expected finite samples, got NaN or infinity")
    distance = np.linalg.norm(x[:, None] - mixture.centres, axis=2)
    good = distance.min(axis=1) <= RADIUS * mixture.std
    counts = np.bincount(distance.argmin(axis=1)[good], minlength=len(mixture.centres))
    return ModeCoverage(int(np.count_nonzero(counts)), float(good.mean()), counts)
