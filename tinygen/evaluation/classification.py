"""What a classifier is judged by: how often it is wrong, about what, and how sure it was of it."""

from __future__ import annotations

from typing import Any

import numpy as np


def confusion(labels: Any, said: Any, classes: int) -> np.ndarray:
    """How often each class was taken for each other: ``(n,) (n,) -> (classes, classes)`` int64.

    Row k counts the images of class k by the class that was said. The error is the share of all
    that is not on the diagonal.

    Raises:
        ValueError: the shapes differ, or something is not in ``0 .. classes-1``.

    >>> confusion([0, 0, 1], [0, 1, 1], classes=2).tolist()
    [[1, 1], [0, 1]]
    """
    labels, said = (np.asarray(x, np.int64) for x in (labels, said))
    if labels.ndim != 1 or labels.shape != said.shape:
        raise ValueError(f"confusion: expected (n,) (n,), got {labels.shape} {said.shape}")
    for x in (labels, said):
        if len(x) and (x.min() < 0 or x.max() >= classes):
            raise ValueError(
                f"confusion: expected classes in 0 .. {classes - 1}, got {x.min()} to {x.max()}"
            )
    return np.bincount(labels * classes + said, minlength=classes**2).reshape(classes, classes)


def most_wrong(probabilities: Any, labels: Any, most: int) -> np.ndarray:
    """The images whose class was given the least probability, the worst first: (k,) int64.

    Images whose class was the likeliest are not among them.

    Args:
        probabilities: ``(n, classes)``.
        labels: ``(n,)``.

    >>> most_wrong([[0.6, 0.4], [0.9, 0.1], [0.8, 0.2]], [1, 1, 0], most=5).tolist()
    [1, 0]
    """
    q, labels = np.asarray(probabilities), np.asarray(labels, np.int64)
    if q.ndim != 2 or labels.shape != q.shape[:1]:
        raise ValueError(f"most_wrong: expected (n, classes) (n,), got {q.shape} {labels.shape}")
    right = q[np.arange(len(q)), labels]
    order = np.argsort(right, kind="stable")
    return order[q.argmax(axis=1)[order] != labels[order]][:most]
