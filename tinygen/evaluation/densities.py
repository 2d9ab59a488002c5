"""Densities that are fitted to codes, so that new codes can be drawn from them.

All arrays are on the host, in float64. The letters::

    x (n, c)      codes                            w (k,)        the components' weights
    m (k, c)      the components' means            S (k, c, c)   their covariances, S = L L^T
    r (n, k)      the responsibilities: how likely a code was drawn from a component
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import inf, log, pi
from typing import Any

import numpy as np

from tinygen.errors import InputError

RIDGE = 0.01
"""How many codes of isotropic variance each covariance is fitted to besides its own codes."""
TOLERANCE = 1e-3
"""Nats per code: EM ends with the first step that gains less than this."""
MAX_STEPS = 200
EMPTY = 1e-6
"""A component with fewer codes than this, summed over its responsibilities, is dropped."""


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """``p(x) = sum_k w_k N(x; m_k, S_k)``, each covariance a full matrix.

    Attributes:
        weights, means, covariances: ``w`` ``(k,)``, ``m`` ``(k, c)``, ``S`` ``(k, c, c)``.
        history: the objective of `fit` before each step of EM, in nats per code.
        converged: whether the last step gained less than the tolerance.

    >>> standard = GaussianMixture(np.ones(1), np.zeros((1, 2)), np.eye(2)[None])
    >>> standard.log_density([[0.0, 0.0]]).round(4).tolist()  # -log(2 pi)
    [-1.8379]
    """

    weights: Any
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
        max_steps: int = MAX_STEPS,
    ) -> GaussianMixture:
        """Expectation maximisation (Dempster et al. 1977), initialised by k-means++.

        Each step raises the log-likelihood of the codes plus the logarithm of a prior on the
        covariances, because the covariance of a few codes alone would be singular::

            1/n (sum_i log p(x_i) - lambda/2 sum_k tr(S_k^-1))

        where lambda is `ridge` times the variance of the codes, averaged over the dimensions. For
        given r, with ``n_k = sum_i r_ik``, the maximum is at
        ``S_k = (sum_i r_ik (x_i - m_k)(x_i - m_k)^T + lambda I) / n_k``: the more codes a component
        has, the less the ridge matters.

        A component that loses all its codes is dropped, so the result may have fewer than k. A
        strong ridge drops many, since it costs a few large components less than many small ones.

        Args:
            x: codes ``(n, c)``, with at least as many distinct ones as components.
            components: k.
            generator: draws the initial centres.
            tolerance: nats per code; the first step that gains less than this is the last.

        Raises:
            InputError: the codes are not a finite matrix, all the same, or too few; `components` or
                `ridge` is out of range; or a covariance is singular, which is possible only with a
                ridge of 0.
        """
        x = _checked("mixture", x)
        if components < 1:
            raise InputError(f"mixture: expected at least 1 component, got {components}")
        if len(x) < components:
            raise InputError(
                f"mixture: expected at least as many codes as the {components} components, "
                f"got {len(x)}"
            )
        scale = _prior_scale("mixture", x, ridge)
        fitted = cls(*_m_step(x, _k_means_plus_plus(x, components, generator), scale))
        history: list[float] = []
        converged = False
        for _ in range(max_steps):
            joint = fitted._log_joint(x)
            total = _logsumexp(joint)
            history.append(float(total.sum() - fitted._penalty(scale)) / len(x))
            converged = len(history) > 1 and history[-1] - history[-2] < tolerance
            if converged:
                break
            joint -= total[:, None]
            fitted = cls(*_m_step(x, np.exp(joint, out=joint), scale))
        return replace(fitted, history=tuple(history), converged=converged)

    def sample(self, n: int, generator: np.random.Generator) -> Any:
        """n codes, ``(n, c)``."""
        which = generator.choice(len(self.weights), n, p=self.weights)
        return self._sample_components(which, generator)

    def log_density(self, x: Any) -> Any:
        """``log p(x)`` in nats: ``(n, c) -> (n,)``.

        Raises:
            InputError: the codes are not a finite matrix, or do not have the width of the means.
        """
        x = _checked("mixture", x)
        if x.shape[1] != self.means.shape[1]:
            raise InputError(
                f"mixture: expected codes of {self.means.shape[1]} dimensions, got {x.shape[1]}"
            )
        return _logsumexp(self._log_joint(x))

    def _sample_components(self, which: Any, generator: np.random.Generator) -> Any:
        """A code from each of the components with these indices: ``(n,) -> (n, c)``."""
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
                "mixture: expected covariances of full rank, got a singular one; "
                "fit to more codes, or with a ridge above 0"
            ) from None

    @cached_property
    def _inverses(self) -> Any:
        return np.linalg.inv(self._factors)

    def _log_joint(self, x: Any) -> Any:
        """``log w_k N(x; m_k, S_k)``: ``(n, c) -> (n, k)``."""
        c = x.shape[1]
        half_log_det = np.log(np.diagonal(self._factors, axis1=1, axis2=2)).sum(axis=1)
        joint = np.empty((len(x), len(self.weights)))
        for k, (m, inverse) in enumerate(zip(self.means, self._inverses, strict=True)):
            white = (x - m) @ inverse.T  # standard normal, if x is drawn from this component
            joint[:, k] = np.einsum("ni,ni->n", white, white)
        joint *= -0.5
        joint += np.log(self.weights) - half_log_det - c / 2 * log(2 * pi)
        return joint

    def _penalty(self, scale: float) -> float:
        """``lambda/2 sum_k tr(S_k^-1)``, as ``S^-1 = L^-T L^-1``."""
        return scale / 2 * float((self._inverses**2).sum())


@dataclass(frozen=True, eq=False)
class GaussianPerClass:
    """One Gaussian for each class: a mixture in which the component of each code is known.

    Attributes:
        labels: the classes that have codes, ``(k,)``, ascending.
        mixture: component i belongs to the class ``labels[i]``.

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
            labels: ``(n,)`` integers.
            ridge: as in `GaussianMixture.fit`; 0 gives maximum likelihood.

        Raises:
            InputError: the codes are not a finite matrix or all the same, or the labels are not one
                integer for each code.
        """
        x, labels = _checked("Gaussian per class", x), np.asarray(labels)
        if labels.shape != (len(x),) or labels.dtype.kind not in "iu":
            raise InputError(
                f"Gaussian per class: expected {len(x)} integer labels, "
                f"got {labels.dtype} of shape {labels.shape}"
            )
        scale = _prior_scale("Gaussian per class", x, ridge)
        classes = np.unique(labels)
        r = (labels[:, None] == classes).astype(float)
        return cls(classes, GaussianMixture(*_m_step(x, r, scale)))

    def sample(self, n: int, generator: np.random.Generator, label: Any = None) -> Any:
        """n codes, ``(n, c)``.

        Args:
            label: the class of all of them, or of each one, ``(n,)``; without it classes are drawn
                as often as they occurred among the codes that were fitted.

        Raises:
            InputError: a class has no codes.
        """
        if label is None:
            return self.mixture.sample(n, generator)
        wanted = np.broadcast_to(np.asarray(label), (n,))
        which = np.searchsorted(self.labels, wanted).clip(max=len(self.labels) - 1)
        unknown = wanted[self.labels[which] != wanted]
        if len(unknown):
            raise InputError(
                "Gaussian per class: expected a label that codes had, one of "
                f"{', '.join(map(str, self.labels))}, got {unknown[0]}"
            )
        return self.mixture._sample_components(which, generator)

    def log_density(self, x: Any) -> Any:
        """``log p(x)`` in nats, summed over the classes: ``(n, c) -> (n,)``.

        Raises:
            InputError: as in `GaussianMixture.log_density`.
        """
        return self.mixture.log_density(x)


def _k_means_plus_plus(x: Any, k: int, generator: np.random.Generator) -> Any:
    """Initial r, 1 for the nearest of k centres and 0 otherwise: ``(n, c) -> (n, k)``.

    The centres are codes far apart (Arthur and Vassilvitskii 2007): each one is drawn with a
    probability proportional to its squared distance from the nearest centre so far.
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
                    f"mixture: expected at least as many distinct codes as the {k} components, "
                    f"got {j + 1}"
                )
            chosen = int(generator.choice(len(x), p=nearest / nearest.sum()))
    return (owner[:, None] == np.arange(k)).astype(float)


def _m_step(x: Any, r: Any, scale: float) -> tuple[Any, Any, Any]:
    """The w, m and S that maximise the objective for given r."""
    counts = r.sum(axis=0)
    nonempty = np.flatnonzero(counts > EMPTY)
    counts = counts[nonempty]
    m = (r.T @ x)[nonempty] / counts[:, None]
    S = np.empty((len(nonempty), x.shape[1], x.shape[1]))
    for j, k in enumerate(nonempty):
        centred = x - m[j]
        S[j] = (centred * r[:, k : k + 1]).T @ centred
    S += scale * np.eye(x.shape[1])
    S /= counts[:, None, None]
    return counts / counts.sum(), m, S


def _prior_scale(name: str, x: Any, ridge: float) -> float:
    """The lambda of `GaussianMixture.fit`."""
    if not 0 <= ridge < inf:
        raise InputError(f"{name}: expected a ridge of at least 0, got {ridge}")
    if (x == x[0]).all():
        raise InputError(f"{name}: expected codes that differ, got the same code {len(x)} times")
    with np.errstate(over="ignore", invalid="ignore"):
        variance = float(x.var(axis=0).mean())
    if not variance < inf:
        raise InputError(f"{name}: expected codes whose squares are finite, got larger ones")
    return ridge * variance


def _checked(name: str, x: Any) -> Any:
    """`x` in float64 if it is a finite matrix."""
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
