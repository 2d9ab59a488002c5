"""Where a classifier is wrong: which classes it confuses, and the images it is most wrong about."""

from __future__ import annotations

from typing import Any

import numpy as np


def confusion(labels: Any, predictions: Any, classes: int) -> np.ndarray:
    """The confusion matrix: ``(n,) (n,) -> (classes, classes)`` int64.

    Entry (k, j) counts the images of class k that were classified as j. The error rate is the
    fraction of all images off the diagonal.

    Raises:
        ValueError: the shapes differ, or a class is not an integer in ``0 .. classes-1``.

    >>> confusion([0, 0, 1], [0, 1, 1], classes=2).tolist()
    [[1, 1], [0, 1]]
    """
    labels, predictions = (_classes("confusion", x) for x in (labels, predictions))
    if labels.ndim != 1 or labels.shape != predictions.shape:
        raise ValueError(f"confusion: expected (n,) (n,), got {labels.shape} {predictions.shape}")
    for x in (labels, predictions):
        if len(x) and (x.min() < 0 or x.max() >= classes):
            raise ValueError(
                f"confusion: expected classes in 0 .. {classes - 1}, got {x.min()} to {x.max()}"
            )
    pairs = np.bincount(labels * classes + predictions, minlength=classes**2)
    return pairs.reshape(classes, classes)


def most_wrong(probabilities: Any, labels: Any, most: int) -> np.ndarray:
    """The misclassified images whose true class got the least probability, worst first: (k,) int64.

    Args:
        probabilities: ``(n, classes)``.
        labels: ``(n,)``.
        most: how many to return at most.

    Raises:
        ValueError: the shapes do not fit together, or the labels are not integers.

    >>> most_wrong([[0.6, 0.4], [0.9, 0.1], [0.8, 0.2]], [1, 1, 0], most=5).tolist()
    [1, 0]
    """
    q, labels = np.asarray(probabilities), _classes("most_wrong", labels)
    if q.ndim != 2 or labels.shape != q.shape[:1]:
        raise ValueError(f"most_wrong: expected (n, classes) (n,), got {q.shape} {labels.shape}")
    of_true_class = q[np.arange(len(q)), labels]
    order = np.argsort(of_true_class, kind="stable")
    return order[q.argmax(axis=1)[order] != labels[order]][:most]


def _classes(name: str, labels: Any) -> Any:
    """Labels as int64; floats would be truncated, and 0.7 counted as class 0."""
    labels = np.asarray(labels)
    if labels.size and labels.dtype.kind not in "iu":  # an empty list becomes floats
        raise ValueError(f"{name}: expected integers as classes, got {labels.dtype}")
    return labels.astype(np.int64)
