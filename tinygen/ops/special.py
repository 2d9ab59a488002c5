"""Special functions: the integral of the normal density, and the logarithm of the factorial.

NumPy has neither, so for NumPy `erf` and `lgamma` are those of Python's math, called element by
element: a GELU with `erf` costs some fifteen times as much as with tanh. CuPy has kernels of both.
"""

from __future__ import annotations

from math import factorial, nan, pi, sqrt

from tinygen.autograd.engine import op
from tinygen.backend import Array, backend_of, float_namespace, require_floats
from tinygen.ops.arithmetic import exp

STEPS = 16
"""How much the argument of a polygamma function is raised before its series is summed."""
BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6)
"""The Bernoulli numbers B_2, B_4, ..., B_14."""


@op(dx=lambda g, y, x: g * (2 / sqrt(pi)) * exp(-x * x))
def erf(x: Array) -> Array:
    """The error function: ``2 / sqrt(pi)`` times the integral of ``exp(-t^2)`` from 0 to `x`.

    >>> import numpy as np
    >>> erf(np.array([-1.0, 0.0, 1.0])).round(4)
    array([-0.8427,  0.    ,  0.8427])
    """
    require_floats(x)
    return backend_of(x).erf(x)


@op(dx=lambda g, y, x: g * polygamma(x, order=0))
def lgamma(x: Array) -> Array:
    """``log |Gamma(x)|``, the logarithm of ``(x - 1)!``; it has a derivative here for ``x > 0``.

    >>> import numpy as np
    >>> float(np.exp(lgamma(np.array(5.0))).round(4))  # 4!
    24.0
    """
    require_floats(x)
    return backend_of(x).lgamma(x)


@op(dx=lambda g, y, x, *, order: g * polygamma(x, order=order + 1))
def polygamma(x: Array, *, order: int) -> Array:
    """The derivative of order ``order + 1`` of `lgamma`, for ``x > 0``; NaN below.

    Order 0 is the digamma function. It is computed by the recurrence and the asymptotic series of
    Abramowitz and Stegun (1964), 6.4.6 and 6.4.11, to the precision of the dtype.

    >>> import numpy as np
    >>> float(polygamma(np.array(1.0), order=1).round(4))  # pi^2 / 6
    1.6449
    """
    if order < 0:
        raise ValueError(f"expected an order of 0 or more, got {order}")
    xp, n = float_namespace(x), order
    x = xp.where(x >= 0, x, nan)
    t = 1 / (x + STEPS)
    y = 0.5 * factorial(n) * t ** (n + 1)
    for j, B in enumerate(BERNOULLI, 1):
        y = y + B * factorial(2 * j + n - 1) / factorial(2 * j) * t ** (2 * j + n)
    y = y + (factorial(n - 1) * t**n if n else xp.log(t))
    for k in reversed(range(STEPS)):
        y = y + factorial(n) * (1 / (x + k)) ** (n + 1)
    return y * (-1) ** (n + 1)
