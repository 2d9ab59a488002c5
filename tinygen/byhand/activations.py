"""Each activation phi with its derivative phi', derived by hand in docs/derivations/activations.md.

The letters, all arrays of one shape: ``a`` the sum that goes in, ``h = phi(a)`` what comes out,
``s`` scratch memory that must keep from forward to backward, ``d`` a gradient with respect to
``h``, which backward turns in place into the gradient with respect to ``a``. Backward is the last
use of a layer's numbers, so it may overwrite ``a``, ``h`` and ``s``.

Where it can, backward reads phi' off the output ``h``, so that no exponential is computed twice.
At a kink, a = 0, it takes the slope from the left: 0 for relu, 0.01 for leaky relu.
"""

from __future__ import annotations

from collections.abc import Callable
from math import pi, sqrt
from typing import NamedTuple

from tinygen.backend import Array, namespace

SLOPE = 0.01
"""The slope of leaky relu on the left."""

C = sqrt(2 / pi)
"""The constants of GELU's tanh approximation (Hendrycks and Gimpel 2016)."""
B = 0.044715


def none_forward(a: Array, h: Array, s: Array) -> None:
    namespace(a).copyto(h, a)


def none_backward(d: Array, a: Array, h: Array, s: Array) -> None:
    """phi' = 1 leaves d as it is."""


def relu_forward(a: Array, h: Array, s: Array) -> None:
    h[...] = 0  # NumPy takes the maximum of two arrays several times faster than with a number
    namespace(a).maximum(a, h, out=h)  # (1)


def relu_backward(d: Array, a: Array, h: Array, s: Array) -> None:
    # Ones and zeros as floats: a product of floats and booleans would be converted piece by piece.
    namespace(d).greater(h, 0, out=s)  # (2)
    d *= s


def leaky_relu_forward(a: Array, h: Array, s: Array) -> None:
    xp = namespace(a)
    xp.multiply(a, SLOPE, out=s)
    xp.maximum(a, s, out=h)  # (3)


def leaky_relu_backward(d: Array, a: Array, h: Array, s: Array) -> None:
    namespace(d).greater(h, 0, out=s)
    s *= 1 - SLOPE
    s += SLOPE  # (4)
    d *= s


def elu_forward(a: Array, h: Array, s: Array) -> None:
    xp = namespace(a)
    xp.minimum(a, 0, out=s)
    xp.exp(s, out=h)
    h += 1
    s *= 0.5
    xp.tanh(s, out=s)
    h *= s  # (5)
    xp.maximum(a, 0, out=s)
    h += s  # (5)


def elu_backward(d: Array, a: Array, h: Array, s: Array) -> None:
    namespace(d).minimum(h, 0, out=s)
    s += 1  # (6)
    d *= s


def tanh_forward(a: Array, h: Array, s: Array) -> None:
    namespace(a).tanh(a, out=h)  # (7)


def tanh_backward(d: Array, a: Array, h: Array, s: Array) -> None:
    xp = namespace(d)
    xp.multiply(h, h, out=s)
    xp.subtract(1, s, out=s)  # (8)
    d *= s


def _exp_of_minus_abs(a: Array, s: Array) -> None:
    """The exponential that cannot overflow, of which sigmoid and softplus are made."""
    xp = namespace(a)
    xp.abs(a, out=s)
    xp.negative(s, out=s)
    xp.exp(s, out=s)  # (9)


def sigmoid_forward(a: Array, h: Array, s: Array) -> None:
    """The logistic function; it leaves 1 + exp(-abs(a)) in `s`, whose logarithm a loss may want."""
    xp = namespace(a)
    _exp_of_minus_abs(a, s)
    xp.greater_equal(a, 0, out=h)
    xp.maximum(h, s, out=h)  # (10)
    s += 1
    h /= s  # (10)


def sigmoid_backward(d: Array, a: Array, h: Array, s: Array) -> None:
    namespace(d).subtract(1, h, out=s)
    s *= h  # (11)
    d *= s


def softplus_forward(a: Array, h: Array, s: Array) -> None:
    xp = namespace(a)
    _exp_of_minus_abs(a, s)
    xp.log1p(s, out=s)
    xp.maximum(a, 0, out=h)
    h += s  # (12)


def softplus_backward(d: Array, a: Array, h: Array, s: Array) -> None:
    xp = namespace(d)
    xp.negative(h, out=s)
    xp.expm1(s, out=s)
    xp.negative(s, out=s)  # (13)
    d *= s


def gelu_forward(a: Array, h: Array, s: Array) -> None:
    """GELU in its tanh approximation; it leaves the gate p in `s`."""
    xp = namespace(a)
    xp.multiply(a, a, out=s)
    s *= B
    s += 1
    s *= a
    s *= C  # (14)
    xp.tanh(s, out=s)
    s += 1
    s *= 0.5  # (15)
    xp.multiply(a, s, out=h)  # (16)


def gelu_backward(d: Array, a: Array, h: Array, s: Array) -> None:
    xp = namespace(d)
    a *= a
    a *= 3 * B
    a += 1
    a *= C  # (17)
    h *= a
    h *= 2
    xp.subtract(1, s, out=a)
    h *= a
    h += s  # (18)
    d *= h


class Activation(NamedTuple):
    """phi and phi', each writing into memory that the caller gives."""

    forward: Callable[[Array, Array, Array], None]
    """``forward(a, h, s)``: h = phi(a). `a` is left as it is."""
    backward: Callable[[Array, Array, Array, Array], None]
    """``backward(d, a, h, s)``: d <- d phi'(a), with a, h, s as forward left them."""


ACTIVATIONS = {
    "none": Activation(none_forward, none_backward),
    "relu": Activation(relu_forward, relu_backward),
    "leaky_relu": Activation(leaky_relu_forward, leaky_relu_backward),
    "elu": Activation(elu_forward, elu_backward),
    "gelu": Activation(gelu_forward, gelu_backward),
    "tanh": Activation(tanh_forward, tanh_backward),
    "sigmoid": Activation(sigmoid_forward, sigmoid_backward),
    "softplus": Activation(softplus_forward, softplus_backward),
}
"""Every activation by the name under which a model asks for it."""
