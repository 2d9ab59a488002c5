"""The activations of a network's layers, each with its derivative."""

from __future__ import annotations

from math import pi, sqrt

from tinygen.autograd.engine import op
from tinygen.autograd.operators import raw
from tinygen.autograd.registry import composed
from tinygen.backend import Array, float_namespace, namespace, require_floats
from tinygen.backend.fused import fused
from tinygen.ops.arithmetic import exp, minimum, multiply
from tinygen.ops.reductions import allowed_axis, sum, wide_sum
from tinygen.ops.special import erf

GELU_SCALE = sqrt(2 / pi)
GELU_CUBE = 0.044715


def linear(x: Array) -> Array:
    """`x` itself: the activation of a layer that has none.

    >>> import tinygen as tg
    >>> tg.linear(tg.Tensor([-1.0, 2.0])).array.tolist()
    [-1.0, 2.0]
    """
    return x


@op(dx=fused(lambda g, y, x: g * (y > 0)))
def relu(x: Array) -> Array:
    """``max(x, 0)``; its derivative at 0 is taken to be 0.

    >>> import tinygen as tg
    >>> x = tg.Tensor([-1.0, 0.0, 2.0], requires_grad=True)
    >>> y = tg.relu(x)
    >>> tg.sum(y).backward()
    >>> y.array.tolist(), x.grad.tolist()
    ([0.0, 0.0, 2.0], [0.0, 0.0, 1.0])
    """
    return float_namespace(x).maximum(x, 0)


@op(dx=lambda g, y, x, *, slope: g * _leaky_derivative(raw(x), slope))
def leaky_relu(x: Array, *, slope: float = 0.01) -> Array:
    """`x` where positive, ``slope x`` elsewhere, with a slope from 0 to 1 (Maas et al. 2013).

    ``dx = g where x > 0, else slope * g``.

    >>> import tinygen as tg
    >>> tg.leaky_relu(tg.Tensor([-2.0, 2.0]), slope=0.25).array.tolist()
    [-0.5, 2.0]
    """
    if not 0 <= slope <= 1:
        raise ValueError(f"expected a slope from 0 to 1, got {slope}")
    return _leaky(x, slope)


@fused
def _leaky(x: Array, slope: float) -> Array:
    return float_namespace(x).maximum(x, slope * x)  # where() costs 15 times as much


@fused
def _leaky_derivative(x: Array, slope: float) -> Array:
    return namespace(x).maximum((x > 0).astype(x.dtype), slope)


@op(dx=fused(lambda g, y, x: g * (1 + minimum(y, 0.0))))
@fused
def elu(x: Array) -> Array:
    """`x` where positive, ``exp(x) - 1`` elsewhere (Clevert et al. 2016, with alpha = 1).

    ``dx = g where x > 0, else g * (y + 1)``.

    >>> import numpy as np
    >>> elu(np.array([-30.0, -1.0, 0.0, 2.0])).round(4)
    array([-1.    , -0.6321,  0.    ,  2.    ])
    """
    xp = float_namespace(x)
    # exp(m) - 1 loses its digits near 0, and NumPy's expm1 is slow; tanh(m / 2) (exp(m) + 1) is
    # the same number, exact and fast.
    m = xp.minimum(x, 0)
    return xp.maximum(x, 0) + xp.tanh(0.5 * m) * (xp.exp(m) + 1)


@fused
def _gelu_gate(x: Array) -> Array:
    return sigmoid((2 * GELU_SCALE) * (x + GELU_CUBE * x * x * x))


def _gelu_partial(g: Array, x: Array, approximate: bool) -> Array:
    if approximate:
        return _gated_partial(g, x)
    return g * (_normal_cdf(x) + x * exp(-0.5 * x * x) / sqrt(2 * pi))


@fused
def _gated(x: Array) -> Array:
    return x * _gelu_gate(x)


@fused
def _gated_partial(g: Array, x: Array) -> Array:
    s = _gelu_gate(x)
    return g * (s + x * s * (1 - s) * (2 * GELU_SCALE) * (1 + (3 * GELU_CUBE) * x * x))


def _normal_cdf(x: Array) -> Array:
    """Phi(x), the probability that a standard normal variable is below `x`."""
    return 0.5 * (1 + erf(x / sqrt(2)))


@op(dx=lambda g, y, x, *, approximate: _gelu_partial(g, x, approximate))
def gelu(x: Array, *, approximate: bool = True) -> Array:
    """``0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))``, or ``x Phi(x)`` if not `approximate`.

    ``dx = g * (s + x * s'), where y = x * s``.

    Both are from Hendrycks and Gimpel (2016); they differ by less than 0.0005. The tanh form is
    computed as ``x sigmoid(2 u)``, which is the same as ``0.5 x (1 + tanh(u))``.

    >>> import numpy as np
    >>> x = np.array([-1.0, 0.0, 1.0])
    >>> gelu(x).round(4), gelu(x, approximate=False).round(4)
    (array([-0.1588,  0.    ,  0.8412]), array([-0.1587,  0.    ,  0.8413]))
    """
    require_floats(x)
    if approximate not in (True, False):  # PyTorch's "none" would count as true
        raise TypeError(f"expected approximate to be True or False, got {approximate!r}")
    return _gated(x) if approximate else x * _normal_cdf(x)


@composed
def silu(x: Array) -> Array:
    """``x sigmoid(x)``, also called swish (Elfwing et al. 2018; Ramachandran et al. 2017).

    >>> import numpy as np
    >>> silu(np.array([-1.0, 0.0, 1.0])).round(4)
    array([-0.2689,  0.    ,  0.7311])
    """
    return multiply(x, sigmoid(x))


@op(dx=fused(lambda g, y, x: g * (1 - y * y)))
def tanh(x: Array) -> Array:
    """The hyperbolic tangent.

    >>> import tinygen as tg
    >>> x = tg.Tensor(0.0, requires_grad=True)
    >>> tg.tanh(x).backward()
    >>> float(x.grad)  # 1 - tanh(0)^2, the largest that it has
    1.0
    """
    return float_namespace(x).tanh(x)


@op(dx=fused(lambda g, y, x: g * y * (1 - y)))
@fused
def sigmoid(x: Array) -> Array:
    """``1 / (1 + exp(-x))``, without overflow: with ``e = exp(-|x|)`` it is 1 or e over 1 + e.

    >>> import numpy as np
    >>> sigmoid(np.array([-1000.0, 0.0, 1.0])).round(4)
    array([0.    , 0.5   , 0.7311])
    """
    xp = float_namespace(x)
    e = xp.exp(-xp.absolute(x))
    return xp.maximum(x >= 0, e) / (1 + e)


@op(dx=fused(lambda g, y, x: g * sigmoid(x)))
@fused
def softplus(x: Array) -> Array:
    """``log(1 + exp(x))``, written as ``max(x, 0) + log(1 + exp(-|x|))``.

    >>> import numpy as np
    >>> softplus(np.array([-1.0, 0.0, 30.0])).round(4)
    array([ 0.3133,  0.6931, 30.    ])
    """
    xp = float_namespace(x)
    return xp.maximum(x, 0) + xp.log1p(xp.exp(-xp.absolute(x)))


@op(dx=lambda g, y, x, *, axis: y * (g - sum(g * y, axis=axis, keepdims=True)))
def softmax(x: Array, *, axis: int = -1) -> Array:
    """``exp(x) / sum exp(x)`` along `axis`, shifted by the maximum so that nothing overflows.

    ``dx = y * (g - sum(g * y))``.

    >>> import numpy as np
    >>> x = np.array([[1000.0, 1000.0], [0.0, np.log(3.0)]])
    >>> softmax(x).round(4)
    array([[0.5 , 0.5 ],
           [0.25, 0.75]])
    """
    xp = float_namespace(x)
    e = xp.exp(x - xp.max(x, axis=allowed_axis(x, axis), keepdims=True))
    return (e / wide_sum(e, axis)).astype(e.dtype, copy=False)


@op(dx=lambda g, y, x, *, axis: g - exp(y) * sum(g, axis=axis, keepdims=True))
def log_softmax(x: Array, *, axis: int = -1) -> Array:
    """``x - log sum exp(x)`` along `axis`, shifted by the maximum.

    ``dx = g - exp(y) * sum(g)``.

    >>> import numpy as np
    >>> log_softmax(np.array([0.0, 1000.0]))  # log(softmax(x)) would be -inf and 0
    array([-1000.,     0.])
    """
    xp = float_namespace(x)
    shifted = x - xp.max(x, axis=allowed_axis(x, axis), keepdims=True)
    return (shifted - xp.log(wide_sum(xp.exp(shifted), axis))).astype(shifted.dtype, copy=False)


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
