"""Points in the plane drawn from known mixtures, so that every mode a model misses shows.

The ring and the grid are those of PacGAN (Lin et al. 2018, config.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygen.backend.base import seed_sequence
from tinygen.errors import InputError, refuse_unknown

STREAM = 22
"""Keeps the points' random numbers apart from all others that are drawn from the same seed."""


@dataclass(frozen=True, eq=False)
class Mixture:
    """Isotropic normals with means `centres` ``(k, 2)`` and one `std`, all equally likely.

    >>> corners = Mixture("corners", np.array([[0.0, 0.0], [1.0, 1.0]]), std=0.01)
    >>> x = corners.draw(1000, np.random.default_rng(0))
    >>> x.shape, bool(abs(x.std() - 0.5) < 0.01)
    ((1000, 2), True)
    """

    name: str
    centres: Any
    std: float

    def draw(self, n: int, generator: np.random.Generator, dtype: Any = np.float64) -> Any:
        """n points ``(n, 2)`` on the host; the same ones, rounded, in float32.

        Raises:
            InputError: n is below 1.
        """
        if n < 1:
            raise InputError(f"{self.name}: expected at least one point to draw, got {n}")
        mode = generator.integers(0, len(self.centres), n)
        points = self.centres[mode] + self.std * generator.standard_normal((n, 2))
        return points.astype(dtype)


def _ring() -> Mixture:
    angle = 2 * np.pi * np.arange(8) / 8
    return Mixture("ring", np.stack([np.cos(angle), np.sin(angle)], axis=1), 0.01)


def _grid() -> Mixture:
    x, y = np.meshgrid(np.arange(-4.0, 5, 2), np.arange(-4.0, 5, 2))
    return Mixture("grid", np.stack([x.ravel(), y.ravel()], axis=1), 0.05)


MIXTURES = {mixture.name: mixture for mixture in (_ring(), _grid())}
"""ring: 8 modes on a circle of radius 1, std .01. grid: 25 modes, two apart, std .05."""


def points(name: str, n: int, seed: int = 0, part: int = 0, dtype: Any = np.float64) -> Any:
    """n points of the mixture of that name, ``(n, 2)``; another `part` of a seed holds others.

    Raises:
        InputError: there is no mixture of that name, or n is below 1.

    >>> points("ring", 3, seed=1).shape
    (3, 2)
    """
    refuse_unknown("mixture", name, MIXTURES)
    generator = np.random.default_rng(seed_sequence((seed, STREAM, part)))
    return MIXTURES[name].draw(n, generator, dtype)
