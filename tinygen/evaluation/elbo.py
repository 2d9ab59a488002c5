"""A VAE's evidence lower bound (ELBO) on test images, term by term, in nats per image."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygen.backend import Array, to_host
from tinygen.evaluation.latent import active_units


@dataclass(frozen=True)
class ELBO:
    """The terms of the evidence lower bound.

    Attributes:
        reconstruction: ``-log p(x | z)``, the mean over the images.
        kl_per_dimension: (c,), the KL of each latent dimension, the mean over the images.
        active_units: how many latent dimensions depend on the image.

    >>> elbo = ELBO(reconstruction=80.0, kl_per_dimension=np.array([20.0, 0.0]), active_units=1)
    >>> print(elbo)
    100.00 nats = 80.00 + kl 20.00, 1 of 2 units active
    """

    reconstruction: float
    kl_per_dimension: np.ndarray
    active_units: int

    @property
    def kl(self) -> float:
        return float(self.kl_per_dimension.sum())

    @property
    def negative_elbo(self) -> float:
        """An upper bound on ``-log p(x)``."""
        return self.reconstruction + self.kl

    @property
    def metrics(self) -> dict[str, float]:
        """What a run records about it."""
        return {
            "negative_elbo": self.negative_elbo,
            "reconstruction": self.reconstruction,
            "kl": self.kl,
            "active_units": self.active_units,
        }

    def __str__(self) -> str:
        return (
            f"{self.negative_elbo:.2f} nats = {self.reconstruction:.2f} + kl {self.kl:.2f}, "
            f"{self.active_units} of {len(self.kl_per_dimension)} units active"
        )


def evaluate_elbo(
    terms: Callable[..., tuple[Any, Any, Any]], data: Iterable[tuple[Array, ...]]
) -> ELBO:
    """The terms of the ELBO, averaged over all images.

    Args:
        terms: computes a batch's terms as `tinygen.models.VAE.elbo_terms` does: ``-log p(x | z)``
            (b,), the KL of each latent dimension (b, c), and the means of the codes (b, c).
        data: the arguments of `terms`, one batch at a time.

    Raises:
        ValueError: there is no batch.

    For two images whose codes differ in the first of two dimensions:

    >>> kl, means = np.array([[4.0, 0.0], [6.0, 0.0]]), np.array([[1.0, 0.0], [-1.0, 0.0]])
    >>> terms = lambda x: (np.array([90.0, 70.0]), kl, means)
    >>> print(evaluate_elbo(terms, [(np.zeros((2, 784)),)]))
    85.00 nats = 80.00 + kl 5.00, 1 of 2 units active
    """
    nll, kl, means = [], [], []
    for batch in data:
        host = [to_host(term) for term in terms(*batch)]
        nll.append(host[0])
        kl.append(host[1])
        means.append(host[2])
    if not nll:
        raise ValueError("evaluate_elbo: expected images, got none")
    return ELBO(
        reconstruction=float(np.concatenate(nll).mean(dtype=np.float64)),
        kl_per_dimension=np.concatenate(kl).mean(axis=0, dtype=np.float64),
        active_units=int(active_units(np.concatenate(means)).sum()),
    )
