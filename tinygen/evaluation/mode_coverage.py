"""Which modes of a known mixture samples have found, by the protocol of PacGAN (Lin et al. 2018).

There 2,500 samples are drawn: a sample is good within three deviations of the nearest mode, and a
mode is found with one good sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp
from typing import Any

import numpy as np

from tinygen.data.mixtures import Mixture

REACH = 3.0
"""Deviations within which a sample is good."""

PERFECT_SHARE = 1 - exp(-(REACH**2) / 2)
"""The share of good samples of a perfect generator, 98.89 %.

The squared distance from a mode of the plane, in squared deviations, is above r^2 with probability
exp(-r^2 / 2). A generator with more good samples than that is no better: its modes are narrower
than those of the data.
"""


@dataclass(frozen=True)
class Modes:
    """What samples found.

    Attributes:
        found: how many modes have a good sample.
        good: the share of samples that are good; compare it with `PERFECT_SHARE`.
        counts: ``(k,)``, the good samples of each mode.
    """

    found: int
    good: float
    counts: np.ndarray

    @property
    def figures(self) -> dict[str, float]:
        """What a run records of it."""
        return {"modes": self.found, "good_samples": self.good}


def modes(samples: Any, mixture: Mixture) -> Modes:
    """The modes of a mixture that samples ``(n, 2)`` on the host have found.

    Raises:
        ValueError: the samples are no points of the plane, are none at all, or are not finite.

    >>> from tinygen.data import MIXTURES
    >>> found = modes([[1.0, 0.02], [0.99, 0], [0, 0]], MIXTURES["ring"])
    >>> found.figures
    {'modes': 1, 'good_samples': 0.6666666666666666}
    """
    x = np.asarray(samples, np.float64)
    if x.ndim != 2 or not len(x) or x.shape[1] != 2:
        raise ValueError(f"modes: expected samples (n, 2), got {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError("modes: expected finite samples, got NaN or infinity")
    distance = np.linalg.norm(x[:, None] - mixture.centres, axis=2)
    good = distance.min(axis=1) <= REACH * mixture.deviation
    counts = np.bincount(distance.argmin(axis=1)[good], minlength=len(mixture.centres))
    return Modes(int(np.count_nonzero(counts)), float(good.mean()), counts)
