"""Scores of generated images: how they compare with real ones, as seen by a classifier.

Nothing here sees an image: the scores compare the class probabilities and last-layer features that
a classifier computes for each. So they depend on the classifier, and most of them on the number of
images: compare scores only if both are the same. All arrays are on the host; sums are in float64.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import frexp, inf, isfinite
from typing import Any

import numpy as np

from tinygen.backend import require_floats

BLOCK = 4_000_000
"""Distances that are in memory at a time: 32 MB of float64, and as much again for temporaries."""


@dataclass(frozen=True)
class GenerationScores:
    """The scores of a generator; each is explained in the function of the same name.

    >>> scores = GenerationScores(9, 8.7, 12.5, inf, 0.9, 0.8)  # a digit that the data do not have
    >>> print(scores.metrics["histogram_kl"])
    None
    >>> GenerationScores.from_metrics(scores.metrics) == scores
    True
    """

    digits_covered: int
    inception_score: float
    frechet_distance: float
    histogram_kl: float
    precision: float
    recall: float

    @property
    def metrics(self) -> dict[str, float | None]:
        """What a run records about them; None stands for infinity, which JSON does not have."""
        return {name: x if isfinite(x) else None for name, x in vars(self).items()}

    @classmethod
    def from_metrics(cls, metrics: Mapping[str, Any]) -> GenerationScores:
        """The scores whose `metrics` these are."""
        scores: dict[str, Any] = {n: inf if x is None else x for n, x in metrics.items()}
        return cls(**scores)


def evaluate_generation(
    probabilities: Any, features: Any, real_features: Any, real_labels: Any, *, k: int = 3
) -> GenerationScores:
    """All scores of n generated images against m real ones.

    Args:
        probabilities: ``(n, c)``, of each class; an image counts as its most probable digit.
        features: ``(n, f)``, of the same images.
        real_features: ``(m, f)``.
        real_labels: ``(m,)``, integers in ``0 .. c-1``, the true digits.
        k: as in `precision_recall`.

    Raises:
        ValueError: shapes do not fit together, a number is not finite, or there are too few images.

    For the real images themselves, four images of two digits, with a classifier that is sure:

    >>> probabilities = np.array([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    >>> features = np.array([[0.0], [1], [8], [9]])
    >>> scores = evaluate_generation(probabilities, features, features, [0, 0, 1, 1], k=1)
    >>> print(scores_table({"real images": scores}))
                 digits  score  Frechet  hist. KL  precision  recall
    real images       2   2.00     0.00    0.0000      1.000   1.000
    """
    score = inception_score(probabilities)
    if len(probabilities) != len(features) or len(real_features) != len(real_labels):
        shapes = " ".join(
            str(np.shape(a)) for a in (probabilities, features, real_features, real_labels)
        )
        raise ValueError(f"evaluate_generation: expected (n, c) (n, f) (m, f) (m,), got {shapes}")
    classes = np.shape(probabilities)[1]
    labels = np.argmax(probabilities, axis=1)
    precision, recall = precision_recall(real_features, features, k)
    return GenerationScores(
        digits_covered=digits_covered(labels, real_labels, classes),
        inception_score=score,
        frechet_distance=frechet_distance(features, real_features),
        histogram_kl=histogram_kl(labels, real_labels, classes),
        precision=precision,
        recall=recall,
    )


def scores_table(rows: Mapping[str, GenerationScores]) -> str:
    """The scores of several sources of images as a table, a named line for each.

    >>> print(scores_table({"a mode": GenerationScores(1, 1.0, 90.0, 2.3, 0.9, 0.1)}))
            digits  score  Frechet  hist. KL  precision  recall
    a mode       1   1.00    90.00    2.3000      0.900   0.100
    """
    width = max(map(len, rows))
    lines = [f"{'':{width}}  digits  score  Frechet  hist. KL  precision  recall"]
    for name, row in rows.items():
        lines.append(
            f"{name:{width}}  {row.digits_covered:6}  {row.inception_score:5.2f}  "
            f"{row.frechet_distance:7.2f}  {row.histogram_kl:8.4f}  {row.precision:9.3f}  "
            f"{row.recall:6.3f}"
        )
    return "\n".join(lines)


def inception_score(probabilities: Any) -> float:
    """How sure a classifier is of each image, and how varied the images are: ``(n, c) -> 1 .. c``.

    ::

        exp(mean KL(p(y|x) || p(y)))       p(y): the mean of p(y|x) over the images

    Salimans et al. (2016), with another classifier instead of Inception, and over all images at
    once, where they average over ten parts. It is 1 if all images look alike to the classifier,
    and c if it is sure of each and all classes are equally frequent. It does not compare with real
    images, so it does not notice if all images of a class are the same.

    Raises:
        ValueError: the rows are not probabilities.

    >>> inception_score([[1.0, 0, 0, 0], [0, 0, 1, 0]])
    2.0
    """
    p = _matrix("inception_score", probabilities)
    # Probabilities computed in float32 sum to 1 within some 1e-6; logits do not.
    if p.min() < 0 or abs(p.sum(axis=1) - 1).max() > 1e-4:
        raise ValueError("inception_score: expected probabilities, rows that sum to 1")
    return float(np.exp(_entropy(p.mean(axis=0)) - _entropy(p).mean()))


def frechet_distance(a: Any, b: Any) -> float:
    """The squared Frechet distance between normal distributions fitted to two sets of features.

    ::

        |mu_a - mu_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2))         (n, f) (m, f) -> at least 0

    Heusel et al. (2017); covariances are the unbiased ones. Two sets of n images from the same
    distribution have a distance not of 0, but of up to about ``tr(C) (f + 5) / (2 n)``.

    No matrix square root is computed. With ``C = R^T R``, the eigenvalues of ``C_a C_b`` are the
    squares of the singular values of ``R_a R_b^T``, so the trace of its square root is the sum of
    the singular values; R is the triangular factor in the QR decomposition of the centred features,
    divided by ``sqrt(n - 1)``. Covariances may be singular: nothing is inverted, and no square root
    turns a rounding error of 1e-16 into one of 1e-8. The trace as a whole is the minimum of
    ``|R_a - Q R_b|^2`` over all orthogonal Q, so only rounding makes it negative; it is then set to
    0. Where it overflows float64 it is infinite.

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
    """The KL divergence of the generated digits from the reference ones, in nats: ``(n,) (m,)``.

    ::

        KL(g || r) = sum_k g_k log(g_k / r_k)      g, r: the frequencies of the digits

    g is for the generated images. In this direction a digit that is never generated costs
    ``-log(1 - r_k)`` if nothing else is wrong; in the other direction the divergence would be
    infinite. Here it is infinite if a digit is generated that the reference does not have.

    Raises:
        ValueError: labels are not a vector of integers in ``0 .. classes-1``, or there are none.

    >>> round(histogram_kl([0, 0, 1, 1], [0, 1, 2, 2], classes=3), 4)  # log 2
    0.6931
    """
    g = _counts("histogram_kl", labels, classes) / len(labels)
    r = _counts("histogram_kl", reference, classes) / len(reference)
    present = g > 0
    with np.errstate(divide="ignore"):  # x / 0 is the intended infinity
        return float(np.sum(g[present] * np.log(g[present] / r[present])))


def digits_covered(labels: Any, reference: Any, classes: int = 10, least: float = 0.1) -> int:
    """How many digits are generated at all: ``(n,) (m,) -> 0 .. classes``.

    A digit counts if its frequency is at least `least` times its frequency in the reference, so
    about 100 of 10,000 images must show it, and if at least two images do: a single blob that is
    classified as an 8 does not cover it.

    Raises:
        ValueError: as in `histogram_kl`.

    >>> digits_covered([0] * 99 + [1], [0, 0, 1, 1], classes=2)
    1
    """
    count = _counts("digits_covered", labels, classes)
    frequency = _counts("digits_covered", reference, classes) / len(reference)
    needed = np.maximum(least * frequency * len(labels), 2)
    return int(np.sum((count >= needed) & (frequency > 0)))


def precision_recall(real: Any, fake: Any, k: int = 3) -> tuple[float, float]:
    """Precision, how many generated images look real, and recall, how many real ones are covered.

    A ball around each point of a set reaches to its k-th nearest neighbour in that set; the balls
    together approximate the support of its distribution (Kynkäänniemi et al. 2019). Precision is
    the fraction of generated points inside a ball of the real ones, recall the fraction of real
    points inside a ball of the generated ones.

    Args:
        real, fake: features, ``(m, f)`` and ``(n, f)``; published figures have m = n.
        k: the number of neighbours, 3 in the paper.

    Raises:
        ValueError: the shapes do not fit together, a set has only k rows or fewer, or a number is
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
    # Centred, as a large mean would cost the distances precision.
    mean = real.mean(axis=0)
    real, fake = real - mean, fake - mean
    real_radius, fake_radius = _squared_radius(real, k), _squared_radius(fake, k)
    precise, recalled = 0, np.zeros(len(real), bool)
    for rows, d2 in squared_distances(fake, real):
        precise += int((d2 <= real_radius).any(axis=1).sum())
        recalled |= (d2 <= fake_radius[rows, None]).any(axis=0)
    return precise / len(fake), float(recalled.mean())


def nearest(a: Any, b: Any) -> np.ndarray:
    """The index of the row of b that is nearest to each row of a: ``(n, d) (m, d) -> (n,)`` int64.

    To check whether a generator has merely memorised training images.

    >>> nearest(np.array([[0.0, 1], [4, 4]]), np.array([[5.0, 4], [0, 0], [9, 9]])).tolist()
    [1, 0]
    """
    require_floats(a, b, where="nearest")  # the squares of bytes wrap around
    # The squares of 256 and more are infinite in float16.
    a, b = (x.astype(np.result_type(x, np.float32), copy=False) for x in (a, b))
    return np.concatenate([d2.argmin(axis=1) for _, d2 in squared_distances(a, b)])


def squared_distances(a: Any, b: Any) -> Iterator[tuple[slice, Any]]:
    """The squared distances of rows of a from all rows of b, some at a time: ``(n, d) (m, d)``.

    ``|a|^2 + |b|^2 - 2 a b``, one matrix product; what rounding leaves below 0 is set to 0.

    Yields:
        the rows of a, and their squared distances to all of b, ``(rows, m)``, which may be
        overwritten.
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


def _squared_radius(x: Any, k: int) -> Any:
    """The squared distance from each row to its k-th nearest other row: ``(n, f) -> (n,)``."""
    radius = np.empty(len(x))
    for rows, d2 in squared_distances(x, x):
        own = np.arange(rows.start, rows.stop)
        d2[own - rows.start, own] = np.inf  # a row is not its own neighbour
        d2.partition(k - 1, axis=1)
        radius[rows] = d2[:, k - 1]
    return radius


def _covariance_factor(x: Any) -> Any:
    """R such that ``R^T R`` is the unbiased covariance of the rows."""
    return np.linalg.qr(x - x.mean(axis=0), mode="r") / (len(x) - 1) ** 0.5


def _entropy(p: Any) -> Any:
    """``-sum p log p`` over the last axis, in nats; ``0 log 0`` is 0."""
    return -np.sum(p * np.log(p, where=p > 0, out=np.zeros_like(p)), axis=-1)


def _counts(name: str, labels: Any, classes: int) -> Any:
    """How often each of ``0 .. classes-1`` occurs."""
    labels = np.asarray(labels)
    if labels.ndim != 1 or not len(labels) or labels.dtype.kind not in "iu":
        raise ValueError(f"{name}: expected integer labels (n,), got {labels.shape} {labels.dtype}")
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(
            f"{name}: expected labels in 0 .. {classes - 1}, got {labels.min()} to {labels.max()}"
        )
    return np.bincount(labels, minlength=classes)


def _matrix(name: str, x: Any, least: int = 1) -> Any:
    """`x` in float64 if it is a finite matrix of at least so many rows."""
    x = np.asarray(x, np.float64)
    if x.ndim != 2 or len(x) < least or not x.shape[1]:
        rows = "a row" if least == 1 else f"{least} rows"
        raise ValueError(f"{name}: expected a matrix of {rows} or more, got {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError(f"{name}: expected finite numbers, got NaN or infinity")
    return x


def _scaled(a: Any, b: Any) -> tuple[Any, Any, float]:
    """Both divided by a unit so that no square overflows; a power of 2, so nothing is rounded."""
    unit = 2.0 ** (frexp(max(abs(a).max(), abs(b).max()))[1] - 1)
    return a / unit, b / unit, unit


def _same_width(name: str, a: Any, b: Any) -> None:
    if a.shape[1] != b.shape[1]:
        raise ValueError(
            f"{name}: expected the same number of columns in both, got {a.shape} and {b.shape}"
        )
