"""Densities that are fitted to codes, so that new codes can be drawn.

All of it lies on the host, in float64. The letters::

    x (n, c)      codes                            w (k,)        the components' shares
    m (k, c)      the components' means            S (k, c, c)   their covariances, S = L L^T
    r (n, k)      the probability that a code came from a component
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import inf, log, pi
from typing import Any

import numpy as np

from tinygen.errors import InputError

RIDGE = 0.01
"""Codes' worth of round variance that each covariance has seen beside its own codes."""
TOLERANCE = 1e-3
"""Nats per code: EM ends with the first step that gains less."""
MOST_STEPS = 200
EMPTY = 1e-6
"""Codes: a component that has fewer is dropped."""


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """``p(x) = sum_k w_k N(x; m_k, S_k)``, each covariance a full matrix.

    Attributes:
        shares, means, covariances: ``w`` ``(k,)``, ``m`` ``(k, c)``, ``S`` ``(k, c, c)``.
        history: what `fit` climbed, in nats per code: its value before each step of EM.
        converged: whether the last step gained less than the tolerance.

    >>> standard = GaussianMixture(np.ones(1), np.zeros((1, 2)), np.eye(2)[None])
    >>> standard.log_density([[0.0, 0.0]]).round(4).tolist()  # -log(2 pi)
    [-1.8379]
    """

    shares: Any
    means: Any
    covariances: Any
    history: tuple[float, ...] = ()
    converged: bool = True

    @classmethod
    def fit(
        cls,
        x: Any,
        components: int,
        generator: np.random.Generator,
        *,
        ridge: float = RIDGE,
        tolerance: float = TOLERANCE,
        most_steps: int = MOST_STEPS,
    ) -> GaussianMixture:
        """Expectation maximisation (Dempster et al. 1977) from a start by k-means++.

        What no step lowers is the likelihood of the codes and, as a covariance of few codes would
        be singular, a prior of the covariances::

            1/n (sum_i log p(x_i) - lambda/2 sum_k tr(S_k^-1))

        where lambda is `ridge` times the variance of the codes, averaged over their numbers. Its
        maximum for given r is ``S_k = sum_i r_ik (x_i - m_k)(x_i - m_k)^T / n_k + lambda / n_k I``
        with ``n_k = sum_i r_ik``: the more codes a component has, the less it sees of the ridge.

        A component that loses all its codes is dropped; the result then has fewer. A strong ridge
        drops many, as a few large components see less of it than many small ones.

        Args:
            x: codes ``(n, c)``, at least as many different ones as components.
            components: k.
            generator: of the start.
            tolerance: nats per code; the first step that gains less is the last.

        Raises:
            InputError: the codes are no finite matrix, all the same, or too few; another number
                makes no sense; or a covariance is singular, which only a ridge of 0 allows.
        """
        x = _codes("mixture", x)
        if components < 1:
            raise InputError(f"mixture: expected at least 1 component, got {components}")
        if len(x) < components:
            raise InputError(f"mixture: {len(x)} codes are too few for {components} components")
        strength = _strength("mixture", x, ridge)
        found = cls(*_maximised(x, _start(x, components, generator), strength))
        history: list[float] = []
        converged = False
        for _ in range(most_steps):
            joint = found._joint(x)
            total = _logsumexp(joint)
            history.append(float(total.sum() - found._penalty(strength)) / len(x))
            converged = len(history) > 1 and history[-1] - history[-2] < tolerance
            if converged:
                break
            joint -= total[:, None]
            found = cls(*_maximised(x, np.exp(joint, out=joint), strength))
        return cls(found.shares, found.means, found.covariances, tuple(history), converged)

    def sample(self, n: int, generator: np.random.Generator) -> Any:
        """n codes, ``(n, c)``."""
        which = generator.choice(len(self.shares), n, p=self.shares)
        return self._drawn(which, generator)

    def log_density(self, x: Any) -> Any:
        """``log p(x)`` in nats: ``(n, c) -> (n,)``.

        Raises:
            InputError: the codes are no finite matrix of the width of those it was fitted to.
        """
        x = _codes("mixture", x)
        if x.shape[1] != self.means.shape[1]:
            raise InputError(
                f"mixture: expected codes of {self.means.shape[1]} numbers, got {x.shape[1]}"
            )
        return _logsumexp(self._joint(x))

    def _drawn(self, which: Any, generator: np.random.Generator) -> Any:
        """A code from each of the components of these numbers, ``(n,) -> (n, c)``."""
        z = generator.standard_normal((len(which), self.means.shape[1]))
        for k, (m, L) in enumerate(zip(self.means, self._factors, strict=True)):
            rows = which == k
            z[rows] = m + z[rows] @ L.T
        return z

    @cached_property
    def _factors(self) -> Any:
        """L of each covariance, lower triangular."""
        try:
            return np.linalg.cholesky(self.covariances)
        except np.linalg.LinAlgError:
            raise InputError(
                "mixture: a covariance is singular; it takes more codes, or a ridge above 0"
            ) from None

    @cached_property
    def _inverses(self) -> Any:
        return np.linalg.inv(self._factors)

    def _joint(self, x: Any) -> Any:
        """``log w_k N(x; m_k, S_k)``: ``(n, c) -> (n, k)``."""
        c = x.shape[1]
        half_log_det = np.log(np.diagonal(self._factors, axis1=1, axis2=2)).sum(axis=1)
        joint = np.empty((len(x), len(self.shares)))
        for k, (m, inverse) in enumerate(zip(self.means, self._inverses, strict=True)):
            white = (x - m) @ inverse.T  # white noise, if x came from this component
            joint[:, k] = np.einsum("ni,ni->n", white, white)
        joint *= -0.5
        joint += np.log(self.shares) - half_log_det - c / 2 * log(2 * pi)
        return joint

    def _penalty(self, strength: float) -> float:
        """``lambda/2 sum_k tr(S_k^-1)``, as ``S^-1 = L^-T L^-1``."""
        return strength / 2 * float((self._inverses**2).sum())


@dataclass(frozen=True, eq=False)
class GaussianPerClass:
    """One Gaussian for each class: a mixture of which it is known what came from where.

    Attributes:
        labels: the classes that had codes, ``(k,)``, ascending.
        mixture: component i is the class ``labels[i]``.

    >>> x = np.array([[0.0], [2.0], [10.0], [14.0]])
    >>> fitted = GaussianPerClass.fit(x, [3, 3, 7, 7], ridge=0)
    >>> fitted.labels.tolist(), fitted.mixture.means.tolist(), fitted.mixture.covariances.tolist()
    ([3, 7], [[1.0], [12.0]], [[[1.0]], [[4.0]]])
    """

    labels: Any
    mixture: GaussianMixture

    @classmethod
    def fit(cls, x: Any, labels: Any, *, ridge: float = RIDGE) -> GaussianPerClass:
        """The mean and the covariance of the codes of each class, in closed form.

        Args:
            x: codes ``(n, c)``.
            labels: ``(n,)`` whole numbers.
            ridge: as in `GaussianMixture.fit`; with 0 it is the greatest likelihood.

        Raises:
            InputError: the codes are no finite matrix or all the same, or the labels are not one
                whole number for each code.
        """
        x, labels = _codes("Gaussian per class", x), np.asarray(labels)
        if labels.shape != (len(x),) or labels.dtype.kind not in "iu":
            raise InputError(
                f"Gaussian per class: expected {len(x)} whole numbers as labels, "
                f"got {labels.dtype} of shape {labels.shape}"
            )
        strength = _strength("Gaussian per class", x, ridge)
        classes = np.unique(labels)
        r = (labels[:, None] == classes).astype(float)
        return cls(classes, GaussianMixture(*_maximised(x, r, strength)))

    def sample(self, n: int, generator: np.random.Generator, label: Any = None) -> Any:
        """n codes, ``(n, c)``.

        Args:
            label: the class of all of them, or of each one, ``(n,)``; without it classes come in
                the shares that they had.

        Raises:
            InputError: a class had no codes.
        """
        if label is None:
            return self.mixture.sample(n, generator)
        asked = np.broadcast_to(np.asarray(label), (n,))
        which = np.searchsorted(self.labels, asked).clip(max=len(self.labels) - 1)
        strange = asked[self.labels[which] != asked]
        if len(strange):
            raise InputError(
                f"Gaussian per class: no code had the label {strange[0]}, only "
                f"{', '.join(map(str, self.labels))}"
            )
        return self.mixture._drawn(which, generator)

    def log_density(self, x: Any) -> Any:
        """``log p(x)`` in nats, whatever its class: ``(n, c) -> (n,)``.

        Raises:
            InputError: as in `GaussianMixture.log_density`.
        """
        return self.mixture.log_density(x)


def _start(x: Any, k: int, generator: np.random.Generator) -> Any:
    """r, each code belonging to the nearest of k of them that lie apart: ``(n, c) -> (n, k)``.

    By k-means++ (Arthur and Vassilvitskii 2007): the next one is drawn with a probability that
    grows with the squared distance to the nearest one so far.
    """
    nearest, owner = np.full(len(x), inf), np.zeros(len(x), int)
    chosen = int(generator.integers(len(x)))
    for j in range(k):
        squares = ((x - x[chosen]) ** 2).sum(axis=1)
        closer = squares < nearest
        nearest[closer], owner[closer] = squares[closer], j
        if j < k - 1:
            if not nearest.any():
                raise InputError(
                    f"mixture: only {j + 1} of the codes are different, too few for {k} components"
                )
            chosen = int(generator.choice(len(x), p=nearest / nearest.sum()))
    return (owner[:, None] == np.arange(k)).astype(float)


def _maximised(x: Any, r: Any, strength: float) -> tuple[Any, Any, Any]:
    """w, m, S that are best for given r."""
    counts = r.sum(axis=0)
    kept = np.flatnonzero(counts > EMPTY)
    counts = counts[kept]
    m = (r.T @ x)[kept] / counts[:, None]
    S = np.empty((len(kept), x.shape[1], x.shape[1]))
    for j, k in enumerate(kept):
        apart = x - m[j]
        S[j] = (apart * r[:, k : k + 1]).T @ apart
    S += strength * np.eye(x.shape[1])
    S /= counts[:, None, None]
    return counts / counts.sum(), m, S


def _strength(name: str, x: Any, ridge: float) -> float:
    """lambda."""
    if not 0 <= ridge < inf:
        raise InputError(f"{name}: expected a ridge of at least 0, got {ridge}")
    if (x == x[0]).all():
        raise InputError(f"{name}: the codes are all the same")
    with np.errstate(over="ignore", invalid="ignore"):
        variance = float(x.var(axis=0).mean())
    if not variance < inf:
        raise InputError(f"{name}: the codes are too large to be squared")
    return ridge * variance


def _codes(name: str, x: Any) -> Any:
    """`x` in float64, if it is a finite matrix."""
    x = np.asarray(x, np.float64)
    if x.ndim != 2 or not x.size:
        raise InputError(f"{name}: expected codes (n, c), got shape {x.shape}")
    if not np.isfinite(x).all():
        raise InputError(f"{name}: expected finite codes, got NaN or infinity")
    return x


def _logsumexp(a: Any) -> Any:
    """``log sum exp`` over the columns: ``(n, k) -> (n,)``."""
    top = a.max(axis=1)
    return top + np.log(np.exp(a - top[:, None]).sum(axis=1))
