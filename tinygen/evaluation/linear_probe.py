"""What codes know is what the simplest reader, a linear one, can read out of them.

The reader is least squares with a bias, which has a closed form: nothing is tuned, and the same
codes always give the same figure.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def linear_readout_r2(
    train_codes: Any, train_targets: Any, test_codes: Any, test_targets: Any
) -> np.ndarray:
    """How well numbers can be read from codes: ``(n, c) (n, t) (m, c) (m, t) -> R^2 (t,)``.

    ::

        R^2 = 1 - sum (target - read)^2 / sum (target - mean)^2        on the test part

    1 is all of a target, 0 no more than its mean; a reader that learned chance is below 0. All
    arrays lie on the host; sums are float64.

    Raises:
        ValueError: the shapes do not fit together, or a target is constant on the test part, of
            which nothing could be read.

    >>> codes = np.array([[0.0, 1], [1, 0], [2, 2], [3, 1]])
    >>> linear_readout_r2(codes, codes @ [[2], [1]] + 5, codes, codes @ [[2], [1]] + 5)
    array([1.])
    """
    z, test_z = np.asarray(train_codes, np.float64), np.asarray(test_codes, np.float64)
    y, test_y = np.asarray(train_targets, np.float64), np.asarray(test_targets, np.float64)
    _check("linear_readout_r2", z, y, test_z, test_y, axes=2)
    constant = np.flatnonzero(np.ptp(test_y, axis=0) == 0)
    if len(constant):
        raise ValueError(f"linear_readout_r2: target {constant[0]} is the same for every test code")
    missed = np.sum((test_y - _read(z, y, test_z)) ** 2, axis=0)
    return 1 - missed / np.sum((test_y - test_y.mean(axis=0)) ** 2, axis=0)


def linear_probe_error(
    train_codes: Any, train_labels: Any, test_codes: Any, test_labels: Any
) -> float:
    """The share of codes that a linear classifier gets wrong: ``(n, c) (n,) (m, c) (m,)``.

    The classifier is the closed form: least squares on a column for each class, 1 where a code is
    of that class and 0 where not, and the largest column wins. Logistic regression would do
    somewhat better, at the price of a training run of its own. All arrays lie on the host.

    Raises:
        ValueError: the shapes do not fit together.

    >>> linear_probe_error([[0.0], [1], [9]], [3, 3, 7], [[2.0], [8], [7]], [3, 7, 3])
    0.3333333333333333
    """
    z, test_z = np.asarray(train_codes, np.float64), np.asarray(test_codes, np.float64)
    labels, test_labels = np.asarray(train_labels), np.asarray(test_labels)
    _check("linear_probe_error", z, labels, test_z, test_labels, axes=1)
    classes = np.unique(labels)
    scores = _read(z, labels[:, None] == classes, test_z)
    return float(np.mean(classes[scores.argmax(axis=1)] != test_labels))


def _read(z: Any, y: Any, test_z: Any) -> Any:
    """What least squares learned from `z` and `y` says: ``(n, c) (n, t) (m, c) -> (m, t)``.

    Of equally good readers it is the smallest, so units of the code that are constant, or repeat
    one another, do no harm.
    """
    mean, middle = z.mean(axis=0), y.mean(axis=0)
    W = np.linalg.lstsq(z - mean, y - middle, rcond=None)[0]
    return (test_z - mean) @ W + middle


def _check(name: str, z: Any, y: Any, test_z: Any, test_y: Any, axes: int) -> None:
    """Codes are matrices with a row for each target, whose `axes` are one or two."""
    fits = (
        z.ndim == test_z.ndim == 2
        and y.ndim == test_y.ndim == axes
        and z.shape[1:] == test_z.shape[1:]
        and y.shape[1:] == test_y.shape[1:]
        and 0 < len(z) == len(y)
        and 0 < len(test_z) == len(test_y)
    )
    if not fits:
        wanted = "(n, c) (n,) (m, c) (m,)" if axes == 1 else "(n, c) (n, t) (m, c) (m, t)"
        found = " ".join(str(a.shape) for a in (z, y, test_z, test_y))
        raise ValueError(f"{name}: expected {wanted}, got {found}")
    if not all(np.isfinite(a).all() for a in (z, y, test_z, test_y) if a.dtype.kind == "f"):
        raise ValueError(f"{name}: expected finite numbers, got NaN or infinity")
