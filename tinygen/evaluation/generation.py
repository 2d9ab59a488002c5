"""How generated images compare with real ones, in the eyes of a classifier.

Nothing here sees an image: a classifier gives each one the probabilities of the classes and its
last features, and the figures compare those. So they hold for that one classifier, and most of
them depend on how many images there are: put figures side by side only if both are the same.
All arrays lie on the host; sums are float64.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import frexp, inf, isfinite
from typing import Any

import numpy as np

BLOCK = 4_000_000
"""Distances that are in memory at once: 32 MB of float64, and as much again in passing."""


@dataclass(frozen=True)
class Generation:
    """What a generator is judged by; each figure is explained at the function of its name."""

    digits_covered: int
    inception_score: float
    frechet_distance: float
    histogram_kl: float
    precision: float
    recall: float

    @property
    def figures(self) -> dict[str, float | None]:
        """What a run records of it; None stands for infinity, which JSON has not."""
        return {name: x if isfinite(x) else None for name, x in vars(self).items()}

    @classmethod
    def of(cls, figures: Mapping[str, Any]) -> Generation:
        """The one that has these `figures`."""
        known: dict[str, Any] = {n: inf if x is None else x for n, x in figures.items()}
        return cls(**known)


def generation(
    probabilities: Any, features: Any, real_features: Any, real_labels: Any, *, k: int = 3
) -> Generation:
    """All figures of n generated images against m real ones.

    Args:
        probabilities: ``(n, c)``, of each class; the largest is the digit that an image shows.
        features: ``(n, f)``, of the same images.
        real_features: ``(m, f)``.
        real_labels: ``(m,)``, integers in ``0 .. c-1``, the true digits.
        k: of `precision_recall`.

    Raises:
        ValueError: shapes do not fit together, a number is not finite, or there are too few images.
    """
    score = inception_score(probabilities)
    if len(probabilities) != len(features) or len(real_features) != len(real_labels):
        found = " ".join(
            str(np.shape(a)) for a in (probabilities, features, real_features, real_labels)
        )
        raise ValueError(f"generation: expected (n, c) (n, f) (m, f) (m,), got {found}")
    classes = np.shape(probabilities)[1]
    labels = np.argmax(probabilities, axis=1)
    precision, recall = precision_recall(real_features, features, k)
    return Generation(
        digits_covered=digits_covered(labels, real_labels, classes),
        inception_score=score,
        frechet_distance=frechet_distance(features, real_features),
        histogram_kl=histogram_kl(labels, real_labels, classes),
        precision=precision,
        recall=recall,
    )


def comparison(rows: Mapping[str, Generation]) -> str:
    """A table of the figures of several sources of images, a line each, by their names."""
    wide = max(map(len, rows))
    lines = [f"{'':{wide}}  digits  score  Frechet  hist. KL  precision  recall"]
    for name, row in rows.items():
        lines.append(
            f"{name:{wide}}  {row.digits_covered:6}  {row.inception_score:5.2f}  "
            f"{row.frechet_distance:7.2f}  {row.histogram_kl:8.4f}  {row.precision:9.3f}  "
            f"{row.recall:6.3f}"
        )
    return "\n".join(lines)


def inception_score(probabilities: Any) -> float:
    """How sure a classifier is of each image, and how varied the images are: ``(n, c) -> 1 .. c``.

    ::

        exp(mean KL(p(y|x) || p(y)))       p(y): the mean of p(y|x) over the images

    Salimans et al. (2016), with a classifier of one's own in the place of Inception, and over all
    images at once, where they average over ten parts. It is 1 if the images all look alike to the
    classifier, and c if it is sure of each and all classes come equally often. It never looks at
    real images, so it does not see that a class has a single image only.

    Raises:
        ValueError: the rows are no probabilities.

    >>> inception_score([[1.0, 0, 0, 0], [0, 0, 1, 0]])
    2.0
    """
    p = _matrix("inception_score", probabilities)
    # Rows that a classifier computed in float32 sum to 1 within some 1e-6; logits do not.
    if p.min() < 0 or abs(p.sum(axis=1) - 1).max() > 1e-4:
        raise ValueError("inception_score: expected probabilities, rows that sum to 1")
    return float(np.exp(_entropy(p.mean(axis=0)) - _entropy(p).mean()))


def frechet_distance(a: Any, b: Any) -> float:
    """The squared Frechet distance between normal distributions fitted to two sets of features.

    ::

        |mu_a - mu_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2))         (n, f) (m, f) -> at least 0

    Heusel et al. (2017); covariances are the unbiased ones. Two sets of n images of one kind are
    not 0 apart, but up to about ``tr(C) (f + 5) / (2 n)``.

    No root of a matrix is taken. Where ``C = R^T R``, the eigenvalues of ``C_a C_b`` are the
    squares of the singular values of ``R_a R_b^T``, so the trace of its root is their sum; and R is
    the triangle in the QR decomposition of the centred features by ``sqrt(n - 1)``. Covariances may
    be singular: there is nothing to invert, and no rounding error of 1e-16 whose root would be
    1e-8. The trace as a whole is the least ``|R_a - Q R_b|^2`` over all rotations Q, therefore
    never negative but for rounding, which is cut off. It is infinite where float64 ends.

    Raises:
        ValueError: the shapes do not fit together, there are fewer than two rows, or a number is
            not finite.

    >>> round(frechet_distance([[0.0], [2]], [[3.0], [7]]), 12)  # means 1 and 5, variances 2 and 8
    18.0
    """
    a, b = _matrix("frechet_distance", a, least=2), _matrix("frechet_distance", b, least=2)
    _same_width("frechet_distance", a, b)
    a, b, unit = _scaled(a, b)
    shift = a.mean(axis=0) - b.mean(axis=0)
    Ra, Rb = _covariance_factor(a), _covariance_factor(b)
    cross = np.linalg.svd(Ra @ Rb.T, compute_uv=False).sum()
    distance = float(shift @ shift + (Ra * Ra).sum() + (Rb * Rb).sum() - 2 * cross)
    return max(0.0, distance) * unit * unit


def histogram_kl(labels: Any, reference: Any, classes: int = 10) -> float:
    """How far the digits that came are from those of the reference, in nats: ``(n,) (m,)``.

    ::

        KL(g || r) = sum_k g_k log(g_k / r_k)      g, r: the shares of the digits

    g is of the generated images. In this direction a digit that was never generated counts no more
    than its share, ``-log(1 - r_k)`` if nothing else is wrong; it would be infinite in the other.
    A digit that the reference does not have makes it infinite.

    Raises:
        ValueError: labels are no vector of integers in ``0 .. classes-1``, or there are none.

    >>> round(histogram_kl([0, 0, 1, 1], [0, 1, 2, 2], classes=3), 4)  # log 2
    0.6931
    """
    g = _counts("histogram_kl", labels, classes) / len(labels)
    r = _counts("histogram_kl", reference, classes) / len(reference)
    came = g > 0
    with np.errstate(divide="ignore"):  # x / 0 is the infinity that is meant
        return float(np.sum(g[came] * np.log(g[came] / r[came])))


def digits_covered(labels: Any, reference: Any, classes: int = 10, least: float = 0.1) -> int:
    """How many digits are generated at all: ``(n,) (m,) -> 0 .. classes``.

    A digit counts if its share of the images is at least `least` times its share of the reference,
    so of 10,000 images about 100 must show it; and if they are two or more. One blob that the
    classifier took for an 8 covers nothing.

    Raises:
        ValueError: as in `histogram_kl`.

    >>> digits_covered([0] * 99 + [1], [0, 0, 1, 1], classes=2)
    1
    """
    count = _counts("digits_covered", labels, classes)
    share = _counts("digits_covered", reference, classes) / len(reference)
    needed = np.maximum(least * share * len(labels), 2)
    return int(np.sum((count >= needed) & (share > 0)))


def precision_recall(real: Any, fake: Any, k: int = 3) -> tuple[float, float]:
    """How many generated images look real, and how much of the real there is among them.

    A ball around each point of a set reaches to its k-th nearest neighbour in that set; the balls
    together stand for where the set's distribution is (Kynkäänniemi et al. 2019). Precision is the
    share of generated points inside a ball of the real ones, recall the share of real points inside
    a ball of the generated ones.

    Args:
        real, fake: features, ``(m, f)`` and ``(n, f)``; published figures have m = n.
        k: neighbours, 3 in the paper.

    Raises:
        ValueError: the shapes do not fit together, a set has no more than k rows, or a number is
            not finite.

    >>> precision_recall([[0.0], [1], [2], [3]], [[0.8], [0.9], [1], [1.1]], k=1)
    (1.0, 0.25)
    """
    if k < 1:
        raise ValueError(f"precision_recall: expected k of at least 1, got {k}")
    real = _matrix("precision_recall", real, least=k + 1)
    fake = _matrix("precision_recall", fake, least=k + 1)
    _same_width("precision_recall", real, fake)
    real, fake, _ = _scaled(real, fake)
    # About their mean, as a large one would eat the digits of the distances.
    middle = real.mean(axis=0)
    real, fake = real - middle, fake - middle
    real_reach, fake_reach = _reach(real, k), _reach(fake, k)
    precise, recalled = 0, np.zeros(len(real), bool)
    for rows, d2 in squared_distances(fake, real):
        precise += int((d2 <= real_reach).any(axis=1).sum())
        recalled |= (d2 <= fake_reach[rows, None]).any(axis=0)
    return precise / len(fake), float(recalled.mean())


def squared_distances(a: Any, b: Any) -> Iterator[tuple[slice, Any]]:
    """Between all rows of a and b, some rows of a at a time: ``(n, d) (m, d)``.

    ``|a|^2 + |b|^2 - 2 a b``, one matrix product; what rounding leaves below 0 is 0.

    Yields:
        the rows of a, and their distances to all of b, ``(rows, m)``, free to be written to.
    """
    squares = np.sum(b * b, axis=1)
    size = max(1, BLOCK // len(b))
    for first in range(0, len(a), size):
        rows = slice(first, min(first + size, len(a)))
        d2 = a[rows] @ b.T
        d2 *= -2
        d2 += squares
        d2 += np.sum(a[rows] ** 2, axis=1)[:, None]
        yield rows, np.maximum(d2, 0, out=d2)


def _reach(x: Any, k: int) -> Any:
    """The squared distance of each row to its k-th nearest other row: ``(n, f) -> (n,)``."""
    found = np.empty(len(x))
    for rows, d2 in squared_distances(x, x):
        inside = np.arange(rows.start, rows.stop)
        d2[inside - rows.start, inside] = np.inf  # a row is no neighbour of its own
        d2.partition(k - 1, axis=1)
        found[rows] = d2[:, k - 1]
    return found


def _covariance_factor(x: Any) -> Any:
    """R such that ``R^T R`` is the unbiased covariance of the rows."""
    return np.linalg.qr(x - x.mean(axis=0), mode="r") / (len(x) - 1) ** 0.5


def _entropy(p: Any) -> Any:
    """``-sum p log p`` over the last axis, in nats; ``0 log 0`` is 0."""
    return -np.sum(p * np.log(p, where=p > 0, out=np.zeros_like(p)), axis=-1)


def _counts(name: str, labels: Any, classes: int) -> Any:
    """How often each of ``0 .. classes-1`` comes."""
    labels = np.asarray(labels)
    if labels.ndim != 1 or not len(labels) or labels.dtype.kind not in "iu":
        raise ValueError(f"{name}: expected integer labels (n,), got {labels.shape} {labels.dtype}")
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(
            f"{name}: expected labels in 0 .. {classes - 1}, got {labels.min()} to {labels.max()}"
        )
    return np.bincount(labels, minlength=classes)


def _matrix(name: str, x: Any, least: int = 1) -> Any:
    """`x` in float64, if it is a finite matrix of at least so many rows."""
    x = np.asarray(x, np.float64)
    if x.ndim != 2 or len(x) < least or not x.shape[1]:
        rows = "a row" if least == 1 else f"{least} rows"
        raise ValueError(f"{name}: expected a matrix of {rows} or more, got {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError(f"{name}: expected finite numbers, got NaN or infinity")
    return x


def _scaled(a: Any, b: Any) -> tuple[Any, Any, float]:
    """Both in a unit in which no square overflows; it is a power of 2, so no digit changes."""
    unit = 2.0 ** (frexp(max(abs(a).max(), abs(b).max()))[1] - 1)
    return a / unit, b / unit, unit


def _same_width(name: str, a: Any, b: Any) -> None:
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"{name}: expected as many columns in both, got {a.shape} and {b.shape}")
