"""A balanced subset is a few labels of a data set, the same number of each class."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygen.backend.base import seed_sequence
from tinygen.errors import InputError


def number_of_classes(labels: Any) -> int:
    """How many classes there are: labels are whole numbers from 0 on, and none is left out.

    Raises:
        InputError: there are no labels, they are not whole numbers (n,) from 0 on, or a class has
            no image.

    >>> number_of_classes(np.array([2, 0, 1, 1], np.uint8))
    3
    """
    labels = np.asarray(labels)
    if not labels.size:
        raise InputError("labels: expected whole numbers from 0 on, got none")
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise InputError(
            f"labels: expected whole numbers (n,) from 0 on, got {labels.dtype} {labels.shape}"
        )
    if labels.min() < 0:
        raise InputError(f"labels: expected whole numbers from 0 on, got {labels.min()}")
    counts = np.bincount(labels)
    if not counts.all():
        raise InputError(
            f"labels go up to {len(counts) - 1}, but no training image is labelled "
            f"{int(np.argmin(counts))}; number the classes from 0 on, without a gap"
        )
    return len(counts)


def balanced_subset(labels: Any, n: int, seed: int, draw: int = 0) -> np.ndarray:
    """The indices of n labels, the same number of each class, or nearly: (n,) int64.

    Where n is not a multiple of the number of classes, some classes, drawn at random, get one more.
    A class with too few labels gives all it has, and the others make up for it. If n is all of
    them, the order is that of the data set.

    Args:
        labels: ``(m,)``, whole numbers from 0 on.
        seed, draw: which of the many ways to choose.

    Raises:
        InputError: there are fewer labels than n, or n is below the number of classes.

    >>> labels = np.array([0, 1, 2] * 10)
    >>> np.bincount(labels[balanced_subset(labels, 6, seed=0)]).tolist()
    [2, 2, 2]
    """
    labels, classes = np.asarray(labels), number_of_classes(labels)
    if n > len(labels):
        raise InputError(f"{n} labels were asked for, and there are {len(labels)}")
    if n < classes:
        raise InputError(f"{n} labels would leave some of the {classes} classes without any")
    if n == len(labels):
        return np.arange(n)
    generator = np.random.default_rng(seed_sequence((seed, 4, draw)))
    rank = np.empty(len(labels), np.int64)  # of an image within its class
    for k in range(classes):
        own = np.flatnonzero(labels == k)
        rank[generator.permutation(own)] = np.arange(len(own))
    # The first of each class, then the second of each; within a round the classes are in any order.
    chosen = np.lexsort((generator.random(len(labels)), rank))[:n]
    return np.sort(chosen)
