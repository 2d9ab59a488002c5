"""Principal component analysis: the best linear bottleneck, and so the baseline for all others.

No linear encoder and decoder of the same width reconstruct with a smaller squared error (Eckart and
Young 1936), and a linear autoencoder converges to the same subspace (Baldi and Hornik 1989).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygen.backend import require_floats
from tinygen.data.batches import in_order

BLOCK = 5000
"""Images that are read at a time, so that memory use stays flat."""


@dataclass(frozen=True)
class PCA:
    """The `mean` ``(d,)``, orthonormal `components` ``(k, d)`` and their `variances` ``(k,)``.

    >>> images = np.zeros((4, 1, 2), np.uint8)
    >>> images[:, 0, 0] = [0, 100, 0, 100]  # all that varies is the first pixel
    >>> abs(PCA.fit(images, k=1).components).round(4)
    array([[1., 0.]])
    """

    mean: Any
    components: Any
    variances: Any

    @classmethod
    def fit(cls, images: Any, k: int) -> PCA:
        """The k directions of largest variance of uint8 images in host memory.

        Pixels are scaled to [0, 1]; sums are float64.

        Args:
            images: ``(n, h, w)`` or ``(n, h, w, c)``.
            k: from 1 to the number of pixels, ``d``.

        Raises:
            ValueError: k is not in that range.
            InputError: the images are not uint8.
        """
        n, d = len(images), int(np.prod(images.shape[1:]))
        if not 1 <= k <= d:
            raise ValueError(f"PCA: expected 1 to {d} components, the number of pixels, got {k}")
        total, products = np.zeros(d), np.zeros((d, d))
        for x in in_order(images, np.float64, BLOCK):
            total += x.sum(axis=0)
            products += x.T @ x
        mean = total / n
        variances, vectors = np.linalg.eigh(products / n - np.outer(mean, mean))
        return cls(mean, vectors[:, ::-1][:, :k].T.copy(), variances[::-1][:k].copy())

    def encode(self, x: Any) -> Any:
        """``(n, d) -> (n, k)``, for pixels in [0, 1]."""
        require_floats(x, where="PCA")
        return (x - self.mean) @ self.components.T

    def decode(self, z: Any) -> Any:
        """``(n, k) -> (n, d)``."""
        return z @ self.components + self.mean

    def reconstruct(self, x: Any) -> Any:
        """``(n, d) -> (n, d)``: the nearest point in the subspace."""
        return self.decode(self.encode(x))


def principal_angles(A: Any, B: Any) -> np.ndarray:
    """The angles in radians between two subspaces spanned by rows: ``(k, d) (k, d) -> (k,)``.

    All are 0 if the subspaces are the same, whatever their bases. By Björck and Golub (1973): small
    angles are computed from their sines, because in finite precision the cosine of a small angle
    does not determine it. They are float64, in ascending order.

    >>> principal_angles([[1, 0, 0], [0, 1, 0]], [[0, 2, 0], [0, 0, 3]]) / np.pi
    array([0. , 0.5])

    Raises:
        ValueError: the shapes differ, or there are more rows than columns.
    """
    A, B = np.asarray(A, np.float64), np.asarray(B, np.float64)
    if A.ndim != 2 or A.shape != B.shape or A.shape[0] > A.shape[1]:
        raise ValueError(
            "principal_angles: expected two matrices of one shape with no more rows than columns, "
            f"got {A.shape} and {B.shape}"
        )
    qa, qb = np.linalg.qr(A.T)[0], np.linalg.qr(B.T)[0]
    cosines = np.clip(np.linalg.svd(qa.T @ qb, compute_uv=False), 0, 1)
    sines = np.clip(np.linalg.svd(qb - qa @ (qa.T @ qb), compute_uv=False), 0, 1)[::-1]
    return np.where(cosines**2 > 0.5, np.arcsin(sines), np.arccos(cosines))
