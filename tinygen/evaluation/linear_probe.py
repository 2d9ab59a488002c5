"""A linear probe: what a linear map can predict from codes is what they hold.

The probe is least squares with a bias, which has a closed form: nothing is tuned, and the same
codes always give the same result.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def linear_probe_r2(
    train_codes: Any, train_targets: Any, test_codes: Any, test_targets: Any
) -> np.ndarray:
    """How well targets are predicted from codes: ``(n, c) (n, t) (m, c) (m, t) -> R^2 (t,)``.

    ::

        R^2 = 1 - sum (target - prediction)^2 / sum (target - mean)^2        on the test part

    1 means that a target is predicted exactly, 0 no better than by its mean; a probe that was
    fitted to noise is below 0. All arrays are on the host; sums are in float64.

    Raises:
        ValueError: the shapes do not fit together, or a target is constant on the test part, which
            leaves nothing to predict.

    >>> codes = np.array([[0.0, 1], [1, 0], [2, 2], [3, 1]])
    >>> linear_probe_r2(codes, codes @ [[2], [1]] + 5, codes, codes @ [[2], [1]] + 5)
    array([1.])
    """
    z, test_z = np.asarray(train_codes, np.float64), np.asarray(test_codes, np.float64)
    y, test_y = np.asarray(train_targets, np.float64), np.asarray(test_targets, np.float64)
    _check("linear_probe_r2", z, y, test_z, test_y, axes=2)
    constant = np.flatnonzero(np.ptp(test_y, axis=0) == 0)
    if len(constant):
        raise ValueError(
            f"linear_probe_r2: expected targets that vary, got target {constant[0]} that is the "
            "same for every test code"
        )
    residual = np.sum((test_y - _predict(z, y, test_z)) ** 2, axis=0)
    return 1 - residual / np.sum((test_y - test_y.mean(axis=0)) ** 2, axis=0)


def linear_probe_factors(
    train_codes: Any,
    train_factors: Mapping[str, Any],
    test_codes: Any,
    test_factors: Mapping[str, Any],
) -> dict[str, float]:
    """`linear_probe_r2` for each factor of drawn images that is a real number, by name.

    Args:
        train_codes, test_codes: ``(n, c)`` and ``(m, c)``.
        train_factors, test_factors: as in `tinygen.data.Dataset`; of the former, the first n count.

    Raises:
        ValueError: as in `linear_probe_r2`.

    >>> z = np.array([[0.0], [1.0], [2.0]])
    >>> factors = {"slant": 3 * z[:, 0] + 1, "digit": np.array([7, 7, 1])}  # no real number
    >>> {name: round(r2, 4) for name, r2 in linear_probe_factors(z, factors, z, factors).items()}
    {'slant': 1.0}
    """
    names = [name for name, values in test_factors.items() if values.dtype.kind == "f"]
    train, test = (
        np.stack([factors[name] for name in names], axis=1)
        for factors in (train_factors, test_factors)
    )
    r2 = linear_probe_r2(train_codes, train[: len(train_codes)], test_codes, test)
    return dict(zip(names, map(float, r2), strict=True))


def linear_probe_error(
    train_codes: Any, train_labels: Any, test_codes: Any, test_labels: Any
) -> float:
    """The error rate of a linear classifier of codes: ``(n, c) (n,) (m, c) (m,)``.

    The classifier has a closed form: least squares with one target column for each class, 1 for the
    codes of that class and 0 for all others; the largest prediction wins. Logistic regression would
    do somewhat better, at the cost of a training run of its own. All arrays are on the host.

    Raises:
        ValueError: the shapes do not fit together.

    >>> linear_probe_error([[0.0], [1], [9]], [3, 3, 7], [[2.0], [8], [7]], [3, 7, 3])
    0.3333333333333333
    """
    z, test_z = np.asarray(train_codes, np.float64), np.asarray(test_codes, np.float64)
    labels, test_labels = np.asarray(train_labels), np.asarray(test_labels)
    _check("linear_probe_error", z, labels, test_z, test_labels, axes=1)
    classes = np.unique(labels)
    scores = _predict(z, labels[:, None] == classes, test_z)
    return float(np.mean(classes[scores.argmax(axis=1)] != test_labels))


def _predict(z: Any, y: Any, test_z: Any) -> Any:
    """The predictions of least squares, fitted to `z` and `y`: ``(n, c) (n, t) (m, c) -> (m, t)``.

    Of all best fits it takes the one with the smallest weights, so units of the code that are
    constant or repeat one another do no harm.
    """
    z_mean, y_mean = z.mean(axis=0), y.mean(axis=0)
    W = np.linalg.lstsq(z - z_mean, y - y_mean, rcond=None)[0]
    return (test_z - z_mean) @ W + y_mean


def _check(name: str, z: Any, y: Any, test_z: Any, test_y: Any, axes: int) -> None:
    """Codes must be matrices with a row for each target, and targets have one or two `axes`."""
    fits = (
        z.ndim == test_z.ndim == 2
        and y.ndim == test_y.ndim == axes
        and z.shape[1:] == test_z.shape[1:]
        and y.shape[1:] == test_y.shape[1:]
        and 0 < len(z) == len(y)
        and 0 < len(test_z) == len(test_y)
    )
    if not fits:
        expected = "(n, c) (n,) (m, c) (m,)" if axes == 1 else "(n, c) (n, t) (m, c) (m, t)"
        shapes = " ".join(str(a.shape) for a in (z, y, test_z, test_y))
        raise ValueError(f"{name}: expected {expected}, got {shapes}")
    if not all(np.isfinite(a).all() for a in (z, y, test_z, test_y) if a.dtype.kind == "f"):
        raise ValueError(f"{name}: expected finite numbers, got NaN or infinity")
