"""Losses: single numbers that say how far a network's output is from what it should be.

They check shapes and dtypes but never values, for which a training step would have to wait: that
pixels are in [0, 1] is checked where data are loaded.
"""

from __future__ import annotations

from math import log, pi
from typing import Any

import numpy as np

from tinygen.autograd.engine import Tensor, op
from tinygen.autograd.operators import raw
from tinygen.autograd.registry import composed
from tinygen.backend import Array, backend_of, float_namespace, namespace, require_floats
from tinygen.backend.fused import fused
from tinygen.ops import absolute, exp, expm1, log_softmax, mean, reshape, sigmoid, sum, where

__all__ = [
    "bernoulli_nll",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "gaussian_kl",
    "gaussian_nll",
    "l1",
    "l2",
    "mse",
    "one_hot",
]

LOG_2PI = log(2 * pi)


@op(
    dx=lambda g, y, x, t: _times_difference(g, 2 / max(x.size, 1), x, t),
    dt=lambda g, y, x, t: _times_difference(g, 2 / max(x.size, 1), t, x),
)
def mse(x: Array, t: Array) -> Array:
    """Mean squared error: the mean of ``(x - t)^2`` over all elements of two arrays of one shape.

    ``dx = 2 * g * (x - t) / n`` and ``dt = 2 * g * (t - x) / n``.

    >>> mse(np.float32([[1, 2]]), np.float32([[1, 4]]))
    np.float32(2.0)
    """
    _refuse_other_shape("mse", x, t)
    return namespace(x).mean(_squared_difference(x, t))


@fused
def _squared_difference(x: Array, t: Array) -> Array:
    d = x - t
    return d * d


@fused
def _times_difference(g: Array, factor: float, x: Array, t: Array) -> Array:
    return (g * factor) * (x - t)


@op(
    dz=lambda g, y, z, t: _times_error(_per_row(g), z, t),
    dt=lambda g, y, z, t: _per_row(-g) * z,
)
def bernoulli_nll(z: Array, t: Array) -> Array:
    """The negative log-likelihood of rows `t` whose pixels are 1 with probability ``sigmoid(z)``.

    ``dz = g * (sigmoid(z) - t)`` and ``dt = -g * z``.

    ``softplus(z) - t z``, summed over the last axis: nats per row. It is computed from the logits,
    so nothing saturates and no probability is clipped.

    Args:
        z: logits, ``(..., n, d)``.
        t: targets in [0, 1], ``(..., n, d)``; grey values are allowed. Leading axes may be missing:
            ``(n, d)`` is then compared with each of k samples ``(k, n, d)``.

    Returns:
        ``(..., n)``.

    >>> import numpy as np
    >>> z, t = np.array([[0.0, 0.0], [100.0, -100.0]]), np.array([[0.0, 1.0], [1.0, 0.0]])
    >>> bernoulli_nll(z, t).round(4)  # 2 log 2 where all is open; 0 where it is sure
    array([1.3863, 0.    ])
    """
    _refuse_other_rows("bernoulli_nll", z, t)
    return _nats_of_rows(z, t)


@fused
def _nats_of_rows(z: Array, t: Array) -> Array:
    xp = namespace(z)
    # log(1 + e), not log1p(e), which takes NumPy seven times as long: the sum over the columns
    # cannot show what is lost, half a unit in the last place of 1, and the gradient has no log.
    nats = (xp.maximum(z, 0) - z * t) + xp.log(1 + xp.exp(-xp.absolute(z)))
    return xp.sum(nats, axis=-1)


@fused
def _times_error(g: Array, z: Array, t: Array) -> Array:
    return g * (sigmoid(z) - t)


@composed
def binary_cross_entropy_with_logits(z: Array | Tensor, t: Array | Tensor) -> Array | Tensor:
    """Binary cross-entropy of ``sigmoid(z)`` against `t`, in nats per row: `bernoulli_nll`'s mean.

    Args:
        z: logits, ``(n, d)``.
        t: targets in [0, 1], ``(n, d)``; grey values are allowed.

    >>> import numpy as np
    >>> z, t = np.array([[0.0, 0.0], [100.0, -100.0]]), np.array([[0.0, 1.0], [1.0, 0.0]])
    >>> round(float(binary_cross_entropy_with_logits(z, t)), 4)  # the mean of 2 log 2 and 0
    0.6931
    """
    _refuse_other_shape("binary_cross_entropy_with_logits", z, t)
    return mean(bernoulli_nll(z, t))


@composed
def gaussian_nll(
    mean: Array | Tensor, log_var: Array | Tensor, x: Array | Tensor
) -> Array | Tensor:
    """The negative log-density of rows `x` under independent normal distributions.

    ``0.5 [log(2 pi) + log_var + (x - mean)^2 / exp(log_var)]``, summed over the last axis: nats per
    row, which may be negative, as densities may be above 1.

    Args:
        mean: ``(..., n, d)``.
        log_var: the logarithm of the variance, not of the standard deviation; ``(1,)`` is one
            variance for all, ``(d,)`` one for each column, else it has the shape of `mean`.
        x: ``(..., n, d)``; leading axes may be missing.

    >>> gaussian_nll(np.zeros((1, 2)), np.zeros(1), np.array([[1.0, 1.0]])).round(3)  # 1 + log(2pi)
    array([2.838])
    """
    _refuse_other_rows("gaussian_nll", mean, x)
    require_floats(log_var, where="gaussian_nll")
    if _shape(log_var) not in ((1,), mean.shape[-1:], mean.shape):
        raise ValueError(
            f"gaussian_nll: means are {mean.shape}, log_var is {_shape(log_var)}; "
            f"expected (1,), {mean.shape[-1:]} or the shape of the means"
        )
    d = x - mean
    return 0.5 * sum(d * d * exp(-log_var) + (log_var + LOG_2PI), axis=-1)


@op(
    dmean=lambda g, y, mean, log_var: g * mean,
    dlog_var=fused(lambda g, y, mean, log_var: (0.5 * g) * expm1(log_var)),
)
def gaussian_kl(mean: Array, log_var: Array) -> Array:
    """The KL divergence from ``N(mean, exp(log_var))`` to ``N(0, 1)``, element by element, in nats.

    ``dlog_var = 0.5 * g * (exp(log_var) - 1)``.

    ``0.5 (exp(log_var) + mean^2 - 1 - log_var)``: Kingma and Welling 2014, appendix B. `log_var` is
    the logarithm of the variance, not of the standard deviation.

    >>> gaussian_kl(np.array([0.0, 1.0]), np.array([0.0, 0.0]))
    array([0. , 0.5])
    """
    _refuse_other_shape("gaussian_kl", mean, log_var)
    return _kl(mean, log_var)


@fused
def _kl(mean: Array, log_var: Array) -> Array:
    # exp(log_var) - 1 - log_var, which is small near 0, would lose its digits with a plain exp.
    return 0.5 * (namespace(mean).expm1(log_var) - log_var + mean * mean)


@composed
def cross_entropy(z: Array | Tensor, labels: Any) -> Array | Tensor:
    """Softmax cross-entropy from logits, in nats, averaged over the rows.

    Args:
        z: logits, ``(n, k)``.
        labels: integer classes ``(n,)`` in ``0 .. k-1``, on the host (a list or a column of a table
            will do) or on the backend of `z`; or soft labels ``(n, k)``, rows of probabilities.
            Integers that lie on a GPU cost one wait for the device, because they are checked; see
            `one_hot` to do that once.

    Raises:
        ValueError: the labels are something else, or one is out of range.

    >>> round(float(cross_entropy(np.float32([[0, 0], [0, 0]]), [0, 1])), 4)
    0.6931
    """
    require_floats(z, where="cross_entropy")
    t, shape = _as_labels(labels), _shape(z)
    rows = len(shape) == 2 and shape[0] > 0  # the mean over no rows is NaN
    if t.dtype.kind in "iu" and rows and t.shape == shape[:1]:
        t = one_hot(raw(t), shape[1], z.dtype)
    elif t.dtype.kind != "f" or not rows or t.shape != shape:
        raise ValueError(
            f"cross_entropy: logits are {shape}, labels are {t.shape} {t.dtype}; "
            "expected logits (n, k) and one integer a row, or k floats a row, its probabilities"
        )
    if type(t) is not Tensor and t is not labels:  # built here, perhaps on the host
        t = backend_of(raw(z)).asarray(t, z.dtype)
    log_p = log_softmax(z)
    if type(t) is not Tensor:
        log_p = where(t == 0, 0.0, log_p)  # a class that is ruled out, -inf, adds nothing
    return sum(t * log_p) * (-1 / z.shape[0])


def one_hot(labels: Any, classes: int, dtype: Any = np.float32) -> Array:
    """Integer labels ``(n,)`` as rows ``(n, classes)`` with a single 1, on the labels' backend.

    For labels on a GPU the check of their range waits for the device, once.

    Raises:
        ValueError: the labels are not a vector of integers, or one is not in ``0 .. classes-1``.

    >>> one_hot([0, 2], classes=3)
    array([[1., 0., 0.],
           [0., 0., 1.]], dtype=float32)
    """
    labels = raw(_as_labels(labels))
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ValueError(
            f"one_hot: labels are {labels.shape} {labels.dtype}; expected integers (n,)"
        )
    outside = (labels < 0) | (labels >= classes)
    if bool(outside.any()):
        raise ValueError(
            f"one_hot: label {int(labels[outside][0])} is out of range; expected 0 .. {classes - 1}"
        )
    return (labels[:, None] == namespace(labels).arange(classes)).astype(dtype)


@composed
def l1(x: Array | Tensor) -> Array | Tensor:
    """The sum of ``|x|``: a penalty that makes entries exactly zero.

    >>> import tinygen as tg
    >>> l1(tg.Tensor([3.0, -4.0])).item()
    7.0
    """
    require_floats(x, where="l1")
    return sum(absolute(x))


@op(dx=lambda g, y, x: g * x)
def l2(x: Array) -> Array:
    """Half the sum of ``x^2``: a penalty whose gradient is `x` itself (weight decay).

    >>> import tinygen as tg
    >>> x = tg.Tensor([3.0, -4.0], requires_grad=True)
    >>> y = l2(x)
    >>> y.backward()
    >>> y.item(), x.grad.tolist()
    (12.5, [3.0, -4.0])
    """
    return 0.5 * float_namespace(x).sum(x * x)


def _per_row(g: Any) -> Any:
    """The gradient of each row's number, shaped so that it broadcasts along the row."""
    return reshape(g, shape=(*g.shape, 1))


def _as_labels(labels: Any) -> Any:
    """Labels as an array; a list becomes one on the host, and so does the column of a table."""
    if not hasattr(labels, "dtype"):
        return np.asarray(labels)
    try:
        backend_of(raw(labels))
    except TypeError:
        if isinstance(labels, np.ndarray):  # with a mask, which would get lost
            raise
        return np.asarray(labels)
    return labels


def _refuse_other_rows(name: str, z: Array | Tensor, t: Array | Tensor) -> None:
    """Each row of the output needs a row of the target; an axis of length 1 would broadcast."""
    require_floats(z, t, where=name)
    z_shape, t_shape = _shape(z), _shape(t)
    missing = len(z_shape) - len(t_shape)
    if missing < 0 or z_shape[missing:] != t_shape or len(t_shape) < min(2, len(z_shape)):
        raise ValueError(
            f"{name}: output is {z_shape}, target is {t_shape}; "
            "expected one shape, or a target without the leading axes"
        )


def _refuse_other_shape(name: str, x: Array, t: Array) -> None:
    """(n, 1) against (n,) would broadcast to (n, n) without a word."""
    require_floats(x, t, where=name)
    if _shape(x) != _shape(t):
        raise ValueError(
            f"{name}: output is {_shape(x)}, target is {_shape(t)}; expected one shape"
        )


def _shape(x: Any) -> tuple[int, ...]:
    return getattr(x, "shape", ())  # a Python number has none
