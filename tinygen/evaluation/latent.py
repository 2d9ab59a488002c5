"""Which numbers of a code a model makes use of."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygen.backend import Array, backend_of


def active_units(means: Array, threshold: float = 0.01) -> Any:
    """The numbers of a code that depend on the image, by Burda et al. (2016), section 5.2.

    A unit is active if its posterior mean varies over the images with more than the variance
    `threshold`; one that the model ignores stays at the prior, with the mean 0 for every image.

    Args:
        means: ``(n, c)``, for each image the mean of its code, on any backend.

    Returns:
        ``(c,)`` of bool on the host; its sum is the figure to report.

    Raises:
        ValueError: the means are no matrix, or of no images.

    >>> active_units(np.array([[0.3, 0.05], [-0.3, -0.05]])).tolist()  # variances .09 and .0025
    [True, False]
    """
    if means.ndim != 2 or not len(means):
        raise ValueError(f"active_units: expected means (n, c) of images, got {means.shape}")
    variances = means.astype(np.float64).var(axis=0)
    return backend_of(means).to_numpy(variances) > threshold
