"""Each activation phi with phi' and phi'', derived by hand in docs/derivations/activations.md.

The letters, all arrays of one shape: ``a`` the sum that goes in, ``h = phi(a)`` what comes out,
``s`` scratch memory that must keep from forward until slope or backward. Slope puts phi' in the
place of ``a``, which nobody needs any more. Bend, which comes before it, writes phi'' into ``c``;
only a loss that contains a gradient needs that.

Where they can, the derivatives are read off the output ``h``, so that no exponential is computed
twice. At a kink, a = 0, they are those from the left: the slope is 0 for relu, 0.01 for leaky relu.
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


def none_slope(a: Array, h: Array, s: Array) -> None:
    a[...] = 1


def relu_forward(a: Array, h: Array, s: Array) -> None:
    h[...] = 0  # NumPy takes the maximum of two arrays several times faster than with a number
    namespace(a).maximum(a, h, out=h)  # (1)


def relu_slope(a: Array, h: Array, s: Array) -> None:
    # Ones and zeros as floats: a product of floats and booleans would be converted piece by piece.
    namespace(a).greater(h, 0, out=a)  # (2)


def leaky_relu_forward(a: Array, h: Array, s: Array) -> None:
    xp = namespace(a)
    xp.multiply(a, SLOPE, out=s)
    xp.maximum(a, s, out=h)  # (3)


def leaky_relu_slope(a: Array, h: Array, s: Array) -> None:
    namespace(a).greater(h, 0, out=a)
    a *= 1 - SLOPE
    a += SLOPE  # (4)


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


def elu_slope(a: Array, h: Array, s: Array) -> None:
    namespace(a).minimum(h, 0, out=a)
    a += 1  # (6)


def elu_bend(a: Array, h: Array, s: Array, c: Array, t: Array) -> None:
    xp = namespace(a)
    xp.less_equal(h, 0, out=t)
    xp.add(h, 1, out=c)
    c *= t  # (7)


def tanh_forward(a: Array, h: Array, s: Array) -> None:
    namespace(a).tanh(a, out=h)  # (8)


def tanh_slope(a: Array, h: Array, s: Array) -> None:
    xp = namespace(a)
    xp.multiply(h, h, out=a)
    xp.subtract(1, a, out=a)  # (9)


def tanh_bend(a: Array, h: Array, s: Array, c: Array, t: Array) -> None:
    namespace(a).multiply(h, h, out=c)
    c -= 1
    c *= h
    c *= 2  # (10)


def _exp_of_minus_abs(a: Array, s: Array) -> None:
    """The exponential that cannot overflow, of which sigmoid and softplus are made."""
    xp = namespace(a)
    xp.abs(a, out=s)
    xp.negative(s, out=s)
    xp.exp(s, out=s)  # (11)


def sigmoid_forward(a: Array, h: Array, s: Array) -> None:
    """The logistic function; it leaves 1 + exp(-abs(a)) in `s`, whose logarithm a loss may want."""
    xp = namespace(a)
    _exp_of_minus_abs(a, s)
    xp.greater_equal(a, 0, out=h)
    xp.maximum(h, s, out=h)  # (12)
    s += 1
    h /= s  # (12)


def sigmoid_slope(a: Array, h: Array, s: Array) -> None:
    namespace(a).subtract(1, h, out=a)
    a *= h  # (13)


def sigmoid_bend(a: Array, h: Array, s: Array, c: Array, t: Array) -> None:
    xp = namespace(a)
    xp.subtract(1, h, out=t)
    xp.multiply(t, h, out=c)
    t -= h
    c *= t  # (14)


def softplus_forward(a: Array, h: Array, s: Array) -> None:
    """It leaves log(1 + exp(-abs(a))) in `s`."""
    xp = namespace(a)
    _exp_of_minus_abs(a, s)
    xp.log1p(s, out=s)
    xp.maximum(a, 0, out=h)
    h += s  # (15)


def softplus_slope(a: Array, h: Array, s: Array) -> None:
    xp = namespace(a)
    xp.minimum(a, 0, out=a)
    a -= s
    xp.exp(a, out=a)  # (16)


def softplus_bend(a: Array, h: Array, s: Array, c: Array, t: Array) -> None:
    xp = namespace(a)
    xp.minimum(a, 0, out=c)
    c -= s
    c -= h
    xp.exp(c, out=c)  # (17)


def gelu_forward(a: Array, h: Array, s: Array) -> None:
    """GELU in its tanh approximation; it leaves the gate p in `s`."""
    xp = namespace(a)
    xp.multiply(a, a, out=s)
    s *= B
    s += 1
    s *= a
    s *= C  # (18)
    xp.tanh(s, out=s)
    s += 1
    s *= 0.5  # (19)
    xp.multiply(a, s, out=h)  # (20)


def gelu_slope(a: Array, h: Array, s: Array) -> None:
    xp = namespace(a)
    a *= a
    a *= 3 * B * C
    a += C  # (21)
    a *= h
    a *= 2
    a -= 1
    xp.subtract(1, s, out=s)
    a *= s
    a += 1  # (22)


def gelu_bend(a: Array, h: Array, s: Array, c: Array, t: Array) -> None:
    xp = namespace(a)
    xp.multiply(a, a, out=c)
    c *= 3 * B * C
    c += C  # (21)
    xp.multiply(s, -2, out=t)
    t += 1
    t *= a
    t *= c
    t += 2
    t *= c
    t -= C
    t *= s
    t *= 4
    xp.subtract(1, s, out=c)
    c *= t  # (23)


class Activation(NamedTuple):
    """phi, phi' and phi'', each writing into memory that the caller gives."""

    forward: Callable[[Array, Array, Array], None]
    """``forward(a, h, s)``: h = phi(a). `a` is left as it is."""
    slope: Callable[[Array, Array, Array], None]
    """``slope(a, h, s)``: a <- phi'(a), with a, h, s as forward left them; `h` is left as it is."""
    bend: Callable[[Array, Array, Array, Array, Array], None] | None = None
    """``bend(a, h, s, c, t)``: c = phi''(a), with a, h, s as forward left them, and left as they
    are; `t` is scratch. None where phi is made of straight lines, and phi'' is 0."""

    def backward(self, d: Array, a: Array, h: Array, s: Array) -> None:
        """d <- d phi'(a), a gradient by h into that by a; with a, h, s as forward left them."""
        self.slope(a, h, s)
        d *= a


ACTIVATIONS = {
    "none": Activation(none_forward, none_slope),
    "relu": Activation(relu_forward, relu_slope),
    "leaky_relu": Activation(leaky_relu_forward, leaky_relu_slope),
    "elu": Activation(elu_forward, elu_slope, elu_bend),
    "gelu": Activation(gelu_forward, gelu_slope, gelu_bend),
    "tanh": Activation(tanh_forward, tanh_slope, tanh_bend),
    "sigmoid": Activation(sigmoid_forward, sigmoid_slope, sigmoid_bend),
    "softplus": Activation(softplus_forward, softplus_slope, softplus_bend),
}
"""Every activation by the name under which a model asks for it."""
