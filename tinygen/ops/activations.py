"""The activations of a network's layers, each with its derivative."""

from __future__ import annotations

from math import pi, sqrt

from tinygen.autograd.engine import op, raw
from tinygen.backend import Array, namespace
from tinygen.ops.arithmetic import exp, minimum
from tinygen.ops.reductions import sum

GELU_SCALE = sqrt(2 / pi)
GELU_CUBE = 0.044715


def linear(x: Array) -> Array:
    """`x` itself: the activation of a layer that has none."""
    return x


@op(dx=lambda g, y, x: g * (y > 0))
def relu(x: Array) -> Array:
    """``max(x, 0)``; its derivative at 0 is taken to be 0."""
    return namespace(x).maximum(x, 0)


@op(dx=lambda g, y, x, *, slope: g * _leaky_derivative(raw(x), slope))
def leaky_relu(x: Array, *, slope: float = 0.01) -> Array:
    """`x` where positive, ``slope x`` elsewhere, with a slope from 0 to 1 (Maas et al. 2013)."""
    if not 0 <= slope <= 1:
        raise ValueError(f"expected a slope from 0 to 1, got {slope}")
    return namespace(x).maximum(x, slope * x)  # where() costs 15 times as much


def _leaky_derivative(x: Array, slope: float) -> Array:
    return namespace(x).maximum((x > 0).astype(x.dtype), slope)


@op(dx=lambda g, y, x: g * (1 + minimum(y, 0.0)))
def elu(x: Array) -> Array:
    """`x` where positive, ``exp(x) - 1`` elsewhere (Clevert et al. 2016, with alpha = 1)."""
    xp = namespace(x)
    # exp(m) - 1 loses its digits near 0, and NumPy's expm1 is slow; tanh(m / 2) (exp(m) + 1) is
    # the same number, exact and fast.
    m = xp.minimum(x, 0)
    return xp.maximum(x, 0) + xp.tanh(0.5 * m) * (xp.exp(m) + 1)


def _gelu_gate(x: Array) -> Array:
    return sigmoid((2 * GELU_SCALE) * (x + GELU_CUBE * x * x * x))


def _gelu_derivative(x: Array) -> Array:
    s = _gelu_gate(x)
    return s + x * s * (1 - s) * (2 * GELU_SCALE) * (1 + (3 * GELU_CUBE) * x * x)


@op(dx=lambda g, y, x: g * _gelu_derivative(x))
def gelu(x: Array) -> Array:
    """``0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))``.

    This is the tanh form of Hendrycks and Gimpel (2016); it differs from ``x Phi(x)`` by less
    than 0.0005. It is computed as ``x sigmoid(2 u)``, which is the same as ``0.5 x (1 + tanh(u))``.
    """
    return x * _gelu_gate(x)


@op(dx=lambda g, y, x: g * (1 - y * y))
def tanh(x: Array) -> Array:
    """The hyperbolic tangent."""
    return namespace(x).tanh(x)


@op(dx=lambda g, y, x: g * y * (1 - y))
def sigmoid(x: Array) -> Array:
    """``1 / (1 + exp(-x))``, without overflow: with ``e = exp(-|x|)`` it is 1 or e over 1 + e."""
    xp = namespace(x)
    e = xp.exp(-abs(x))
    return xp.maximum(x >= 0, e) / (1 + e)


@op(dx=lambda g, y, x: g * sigmoid(x))
def softplus(x: Array) -> Array:
    """``log(1 + exp(x))``, written as ``max(x, 0) + log(1 + exp(-|x|))``."""
    xp = namespace(x)
    return xp.maximum(x, 0) + xp.log1p(xp.exp(-abs(x)))


@op(dx=lambda g, y, x, *, axis: y * (g - sum(g * y, axis=axis, keepdims=True)))
def softmax(x: Array, *, axis: int = -1) -> Array:
    """``exp(x) / sum exp(x)`` along `axis`, shifted by the maximum so that nothing overflows."""
    xp = namespace(x)
    e = xp.exp(x - xp.max(x, axis=axis, keepdims=True))
    return e / xp.sum(e, axis=axis, keepdims=True)


@op(dx=lambda g, y, x, *, axis: g - exp(y) * sum(g, axis=axis, keepdims=True))
def log_softmax(x: Array, *, axis: int = -1) -> Array:
    """``x - log sum exp(x)`` along `axis`, shifted by the maximum."""
    xp = namespace(x)
    shifted = x - xp.max(x, axis=axis, keepdims=True)
    return shifted - xp.log(xp.sum(xp.exp(shifted), axis=axis, keepdims=True))


ACTIVATIONS = {
    "none": linear,
    "relu": relu,
    "leaky_relu": leaky_relu,
    "elu": elu,
    "gelu": gelu,
    "tanh": tanh,
    "sigmoid": sigmoid,
    "softplus": softplus,
}
"""The activations that act element by element, by the names of the command line."""
