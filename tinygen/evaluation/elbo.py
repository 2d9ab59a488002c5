"""The parts of a VAE's bound on test images, in nats per image."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygen.backend import Array, backend_of
from tinygen.evaluation.latent import active_units


@dataclass(frozen=True)
class Bound:
    """The evidence lower bound, taken apart.

    Attributes:
        reconstruction: ``-log p(x | z)``, the mean over the images.
        kl_per_unit: (c,), the KL of each number of the code, the mean over the images.
        active_units: how many numbers of the code tell images apart.
    """

    reconstruction: float
    kl_per_unit: np.ndarray
    active_units: int

    @property
    def kl(self) -> float:
        return float(self.kl_per_unit.sum())

    @property
    def negative_elbo(self) -> float:
        """An upper bound on ``-log p(x)``."""
        return self.reconstruction + self.kl

    @property
    def figures(self) -> dict[str, float]:
        """What a run records of it."""
        return {
            "negative_elbo": self.negative_elbo,
            "reconstruction": self.reconstruction,
            "kl": self.kl,
            "active_units": self.active_units,
        }


def bound(parts: Callable[..., tuple[Any, Any, Any]], data: Iterable[tuple[Array, ...]]) -> Bound:
    """The bound's parts, averaged over all images.

    Args:
        parts: of a batch, as `tinygen.models.VAE.bound` gives them: ``-log p(x | z)`` (b,), the
            KL of each number of the code (b, c), and the means of the codes (b, c).
        data: what `parts` takes, a batch at a time.

    Raises:
        ValueError: there is no batch.
    """
    nll, kl, means = [], [], []
    for batch in data:
        host = [backend_of(part).to_numpy(part) for part in parts(*batch)]
        nll.append(host[0])
        kl.append(host[1])
        means.append(host[2])
    if not nll:
        raise ValueError("bound: expected images, got none")
    return Bound(
        reconstruction=float(np.concatenate(nll).mean(dtype=np.float64)),
        kl_per_unit=np.concatenate(kl).mean(axis=0, dtype=np.float64),
        active_units=int(active_units(np.concatenate(means)).sum()),
    )
