"""The latent space: which of its dimensions a model uses, paths through it, and views of it."""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import numpy as np

from tinygen.backend import Array, backend_of


def active_units(means: Array, threshold: float = 0.01) -> np.ndarray:
    """The latent dimensions that depend on the image, by Burda et al. (2016), section 5.2.

    A unit is active if the variance of its posterior mean over the images is above `threshold`;
    one that the model ignores stays at the prior, with mean 0 for every image.

    Args:
        means: ``(n, c)``, the posterior mean of each image's code, on any backend.

    Returns:
        ``(c,)`` of bool on the host; its sum is the number to report.

    Raises:
        ValueError: the means are not a matrix, or there are none.

    >>> active_units(np.array([[0.3, 0.05], [-0.3, -0.05]])).tolist()  # variances .09 and .0025
    [True, False]
    """
    if means.ndim != 2 or not len(means):
        raise ValueError(f"active_units: expected means (n, c) of images, got {means.shape}")
    variances = means.astype(np.float64).var(axis=0)
    return backend_of(means).to_numpy(variances) > threshold


def interpolate(start: Any, end: Any, steps: int) -> np.ndarray:
    """Codes at equal steps along the line from one to another: ``(c,) (c,) -> (steps, c)``.

    Both ends are among them.

    >>> interpolate(np.array([0.0, 1.0]), np.array([4.0, 1.0]), steps=3).tolist()
    [[0.0, 1.0], [2.0, 1.0], [4.0, 1.0]]
    """
    alpha = np.linspace(0, 1, steps)[:, None]
    return (1 - alpha) * start + alpha * end


def neighbours(codes: Any, index: int, steps: Any, directions: int) -> dict[str, np.ndarray]:
    """Codes around that of one image, along the principal directions of all codes, by name.

    Args:
        codes: ``(n, c)`` host array.
        index: that of the image in the middle.
        steps: how far to go, in standard deviations of the codes along the direction.
        directions: how many, those of the largest variance first; there are at most c of them, and
            at most n.

    Returns:
        ``{"direction 1": (len(steps), c), ...}``

    >>> codes = np.array([[5.0, 1.0], [1.0, 1.0]])  # their standard deviation is 2
    >>> around = neighbours(codes, index=0, steps=(-1, 0, 1), directions=1)
    >>> sorted(around["direction 1"].round(4).tolist())  # the direction itself may point either way
    [[3.0, 1.0], [5.0, 1.0], [7.0, 1.0]]
    """
    centred = codes - codes.mean(axis=0)
    _, lengths, rows = np.linalg.svd(centred, full_matrices=False)
    deviations = lengths / np.sqrt(len(codes))
    far = np.asarray(steps)[:, None]
    return {
        f"direction {k + 1}": codes[index] + far * deviations[k] * rows[k]
        for k in range(min(directions, len(rows)))
    }


def interpolations(
    codes: Any, labels: Any, steps: int = 10, pairs: int = 5
) -> dict[str, np.ndarray]:
    """Interpolations between the codes of images of different classes, by name.

    The first image of a class stands for it, and the first ``2 pairs`` classes are paired from both
    ends: the lowest with the highest, and so on. Without labels each image is a class of its own.

    Args:
        codes: ``(n, c)`` host array.
        labels: ``(n,)``, or None.
        steps: codes in an interpolation, both ends included.
        pairs: how many at most. With a single class it is one, from its first image to itself.

    Returns:
        ``{"3 to 8": (steps, c)}``, or ``{"1": (steps, c)}`` numbered from 1 without labels.

    >>> codes = np.array([[0.0], [1.0], [6.0]])
    >>> {name: z.ravel().tolist() for name, z in interpolations(codes, [3, 3, 8], steps=3).items()}
    {'3 to 8': [0.0, 3.0, 6.0]}
    """
    first = np.arange(len(codes)) if labels is None else np.unique(labels, return_index=True)[1]
    first = first[: 2 * pairs]
    paths: dict[str, np.ndarray] = {}
    for i, j in [*zip(first, first[::-1], strict=True)][: max(1, len(first) // 2)]:
        name = str(len(paths) + 1) if labels is None else f"{labels[i]} to {labels[j]}"
        paths[name] = interpolate(codes[i], codes[j], steps)
    return paths


def prior_quantiles(n: int) -> np.ndarray:
    """n numbers in ascending order, one for each n-th of the standard normal's mass: ``(n,)``.

    They are the medians of the parts, so codes on a grid of them are as dense as the prior.

    >>> prior_quantiles(3).round(2).tolist()
    [-0.97, 0.0, 0.97]
    """
    return np.array([NormalDist().inv_cdf((k + 0.5) / n) for k in range(n)])


def plane_projection(codes: Any) -> Callable[[Any], np.ndarray]:
    """A projection of codes onto the plane, to look at them: the first two principal components.

    Codes that are pairs stay as they are; those of one number get 0 as a second.

    Args:
        codes: ``(n, c)`` host array, from which the components are computed.

    Returns:
        ``(m, c) -> (m, 2)``, for these codes and for others.

    >>> codes = np.array([[0.0, 0, 3], [0, 0, -3], [1, 0, 0], [-1, 0, 0]])
    >>> abs(plane_projection(codes)(codes)).round(12).tolist()
    [[3.0, 0.0], [3.0, 0.0], [0.0, 1.0], [0.0, 1.0]]
    """
    if codes.shape[1] == 2:
        return lambda z: z
    mean = codes.mean(axis=0)
    axes = np.linalg.svd(codes - mean, full_matrices=False)[2][:2].T
    axes = np.pad(axes, ((0, 0), (0, 2 - axes.shape[1])))
    return lambda z: (z - mean) @ axes
