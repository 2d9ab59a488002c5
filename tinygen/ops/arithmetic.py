"""Ops that work element by element, broadcasting as NumPy does; the engine undoes the broadcast."""

from __future__ import annotations

import math

from tinygen.autograd.engine import op
from tinygen.autograd.operators import raw
from tinygen.autograd.registry import composed
from tinygen.backend import Array, float_namespace, namespace, require_floats
from tinygen.backend.fused import fused

# In every partial: y is the op's result, g the gradient of the loss with respect to y.


@op(dx=lambda g, y, x, z: g, dz=lambda g, y, x, z: g)
def add(x: Array, z: Array) -> Array:
    """``x + z``.

    >>> import tinygen as tg
    >>> x, b = tg.Tensor([[1.0, 2.0], [3.0, 4.0]]), tg.Tensor([10.0, 20.0], requires_grad=True)
    >>> tg.sum(tg.add(x, b)).backward()
    >>> b.grad.tolist()  # b was added to both rows
    [2.0, 2.0]
    """
    return x + z


@op(dx=lambda g, y, x, z: g, dz=lambda g, y, x, z: -g)
def subtract(x: Array, z: Array) -> Array:
    """``x - z``.

    >>> import tinygen as tg
    >>> tg.subtract(5.0, tg.Tensor(3.0)).item()  # 5.0 - tg.Tensor(3.0) is the same
    2.0
    """
    return x - z


@op(dx=lambda g, y, x, z: g * z, dz=lambda g, y, x, z: g * x)
def multiply(x: Array, z: Array) -> Array:
    """``x z``, element by element.

    >>> import tinygen as tg
    >>> x = tg.Tensor(3.0, requires_grad=True)
    >>> tg.multiply(x, x).backward()  # two paths to x: 3 + 3
    >>> float(x.grad)
    6.0
    """
    return x * z


@op(dx=lambda g, y, x, z: g / z, dz=fused(lambda g, y, x, z: -g * y / z))
def divide(x: Array, z: Array) -> Array:
    """``x / z``.

    >>> import tinygen as tg
    >>> z = tg.Tensor(2.0, requires_grad=True)
    >>> tg.divide(8.0, z).backward()
    >>> float(z.grad)  # -8 / 2^2
    -2.0
    """
    return x / z


@op(
    dx=lambda g, y, x, z: g * z * x ** _one_less(x, z),
    dz=lambda g, y, x, z: g * y * _log_unless_0(x),
)
def power(x: Array, z: Array) -> Array:
    """``x ** z``. The derivative with respect to `z` needs ``x >= 0``.

    ``dx = g * z * x ** (z - 1)`` and ``dz = g * y * log(x)``.

    >>> import tinygen as tg
    >>> x = tg.Tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> tg.sum(tg.power(x, 3)).backward()
    >>> x.grad.tolist()
    [3.0, 12.0, 27.0]
    """
    return x**z


@op(dx=lambda g, y, x: -g)
def negative(x: Array) -> Array:
    """``-x``.

    >>> import tinygen as tg
    >>> tg.negative(tg.Tensor([1.0, -2.0])).array.tolist()
    [-1.0, 2.0]
    """
    return -x


@op(dx=fused(lambda g, y, x: g * sign(x)))
def absolute(x: Array) -> Array:
    """``|x|``; its derivative at 0 is taken to be 0.

    >>> import tinygen as tg
    >>> x = tg.Tensor([-2.0, 0.0, 3.0], requires_grad=True)
    >>> tg.sum(tg.absolute(x)).backward()
    >>> x.grad.tolist()
    [-1.0, 0.0, 1.0]
    """
    return abs(x)


@op(dx=None)
def sign(x: Array) -> Array:
    """-1, 0 or 1. Constant almost everywhere, so no gradient flows through it.

    >>> import tinygen as tg
    >>> tg.sign(tg.Tensor([-2.0, 0.0, 3.0])).array.tolist()
    [-1.0, 0.0, 1.0]
    """
    return namespace(x).sign(x)


@op(dx=lambda g, y, x: g * y)
def exp(x: Array) -> Array:
    """``e ** x``.

    >>> import tinygen as tg
    >>> x = tg.Tensor(1.0, requires_grad=True)
    >>> y = tg.exp(x)
    >>> y.backward()
    >>> round(y.item(), 4), round(float(x.grad), 4)  # its own derivative
    (2.7183, 2.7183)
    """
    return float_namespace(x).exp(x)


@op(dx=fused(lambda g, y, x: g * (y + 1)))
def expm1(x: Array) -> Array:
    """``e ** x - 1``, accurate for small `x`.

    >>> import numpy as np
    >>> x = np.array(1e-12)
    >>> round(float(expm1(x)) * 1e12, 4), round(float(exp(x) - 1) * 1e12, 4)
    (1.0, 1.0001)
    """
    return float_namespace(x).expm1(x)


@op(dx=lambda g, y, x: g / x)
def log(x: Array) -> Array:
    """The natural logarithm.

    >>> import tinygen as tg
    >>> x = tg.Tensor(4.0, requires_grad=True)
    >>> tg.log(x).backward()
    >>> float(x.grad)  # 1 / x
    0.25
    """
    return float_namespace(x).log(x)


@op(dx=fused(lambda g, y, x: g / (1 + x)))
def log1p(x: Array) -> Array:
    """``log(1 + x)``, accurate for small `x`.

    >>> import numpy as np
    >>> x = np.array(1e-12)
    >>> round(float(log1p(x)) * 1e12, 4), round(float(log(1 + x)) * 1e12, 4)
    (1.0, 1.0001)
    """
    return float_namespace(x).log1p(x)


@op(dx=fused(lambda g, y, x: g * 0.5 / y))
def sqrt(x: Array) -> Array:
    """The square root.

    >>> import tinygen as tg
    >>> x = tg.Tensor(16.0, requires_grad=True)
    >>> tg.sqrt(x).backward()
    >>> float(x.grad)  # 1 / (2 sqrt(x))
    0.125
    """
    return float_namespace(x).sqrt(x)


@op(dx=fused(lambda g, y, x: g * 2.0 * x))
def square(x: Array) -> Array:
    """``x x``.

    >>> import tinygen as tg
    >>> x = tg.Tensor(3.0, requires_grad=True)
    >>> tg.square(x).backward()
    >>> float(x.grad)
    6.0
    """
    return x * x


@op(dx=fused(lambda g, y, x: g * cos(x)))
def sin(x: Array) -> Array:
    """The sine of `x` in radians.

    >>> import tinygen as tg
    >>> x = tg.Tensor(0.0, requires_grad=True)
    >>> tg.sin(x).backward()
    >>> float(x.grad)  # cos(0)
    1.0
    """
    return float_namespace(x).sin(x)


@op(dx=fused(lambda g, y, x: -g * sin(x)))
def cos(x: Array) -> Array:
    """The cosine of `x` in radians.

    >>> import math
    >>> import tinygen as tg
    >>> x = tg.Tensor(math.pi / 2, requires_grad=True)
    >>> tg.cos(x).backward()
    >>> float(x.grad)  # -sin(pi / 2)
    -1.0
    """
    return float_namespace(x).cos(x)


@op(
    dx=fused(lambda g, y, x, z: g * exp(x - y)),
    dz=fused(lambda g, y, x, z: g * exp(z - y)),
)
def logaddexp(x: Array, z: Array) -> Array:
    """``log(exp(x) + exp(z))`` without overflow.

    >>> import numpy as np
    >>> import tinygen as tg
    >>> round(float(tg.logaddexp(np.array(1000.0), np.array(1000.0))), 4)  # 1000 + log 2
    1000.6931
    """
    require_floats(x, z)
    return namespace(_array_of(x, z)).logaddexp(x, z)


@op(
    dx=fused(lambda g, y, x, z: g * _fraction(x > z, x == z, y)),
    dz=fused(lambda g, y, x, z: g * _fraction(z > x, x == z, y)),
)
def maximum(x: Array, z: Array) -> Array:
    """The larger of the two; where they are equal, each gets half of the gradient.

    ``dx = g where x > z, g / 2 where x = z, else 0`` and
    ``dz = g where z > x, g / 2 where x = z, else 0``.

    >>> import tinygen as tg
    >>> x = tg.Tensor([-1.0, 0.0, 2.0], requires_grad=True)
    >>> tg.sum(tg.maximum(x, 0.0)).backward()
    >>> x.grad.tolist()
    [0.0, 0.5, 1.0]
    """
    return namespace(_array_of(x, z)).maximum(x, z)


@op(
    dx=fused(lambda g, y, x, z: g * _fraction(x < z, x == z, y)),
    dz=fused(lambda g, y, x, z: g * _fraction(z < x, x == z, y)),
)
def minimum(x: Array, z: Array) -> Array:
    """The smaller of the two; where they are equal, each gets half of the gradient.

    ``dx = g where x < z, g / 2 where x = z, else 0`` and
    ``dz = g where z < x, g / 2 where x = z, else 0``.

    >>> import tinygen as tg
    >>> x = tg.Tensor([-1.0, 0.0, 2.0], requires_grad=True)
    >>> tg.sum(tg.minimum(x, 0.0)).backward()
    >>> x.grad.tolist()
    [1.0, 0.5, 0.0]
    """
    return namespace(_array_of(x, z)).minimum(x, z)


@composed
def clip(x: Array, min: Array | None = None, max: Array | None = None) -> Array:
    """`x`, but not below `min` and not above `max`; where it equals either, see `maximum`.

    >>> import tinygen as tg
    >>> x = tg.Tensor([-3.0, 0.5, 7.0], requires_grad=True)
    >>> y = tg.clip(x, 0.0, 1.0)
    >>> tg.sum(y).backward()
    >>> y.array.tolist(), x.grad.tolist()  # no gradient where it is clipped
    ([0.0, 0.5, 1.0], [0.0, 1.0, 0.0])
    """
    x = x if min is None else maximum(x, min)
    return x if max is None else minimum(x, max)


@op(
    dcondition=None,
    dx=lambda g, y, condition, x, z: where(condition, g, 0.0),
    dz=lambda g, y, condition, x, z: where(condition, 0.0, g),
)
def where(condition: Array, x: Array, z: Array) -> Array:
    """`x` where the condition holds, else `z`.

    ``dx = g where condition holds, else 0`` and ``dz = 0 where condition holds, else g``.

    >>> import numpy as np
    >>> import tinygen as tg
    >>> x = tg.Tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> tg.sum(tg.where(np.array([True, False, True]), x, 0.0)).backward()
    >>> x.grad.tolist()
    [1.0, 0.0, 1.0]
    """
    return namespace(condition).where(condition, x, z)


@op(dx=lambda g, y, x, *, dtype: g)
def astype(x: Array, *, dtype: object) -> Array:
    """`x` in another dtype. The engine converts the gradient back to the dtype of `x`.

    >>> import tinygen as tg
    >>> x = tg.Tensor([1.0, 2.0], requires_grad=True)
    >>> y = tg.astype(x, dtype="float64")
    >>> tg.sum(y).backward()
    >>> str(x.dtype), str(y.dtype), str(x.grad.dtype)
    ('float32', 'float64', 'float32')
    """
    return x.astype(dtype)


def _one_less(x: Array, z: Array) -> Array:
    """``z - 1``, but 1 for 0^0, whose derivative ``z x^(z-1)`` is 0 and not 0 times infinity."""
    if isinstance(z, (int, float)):
        return z - 1 if z else 1
    return where((raw(x) == 0) & (raw(z) == 0), 1.0, z - 1)


def _log_unless_0(x: Array) -> Array:
    """``log x``, but 0 for x = 0: 0^z does not change with z > 0."""
    if isinstance(x, (int, float)):  # stays a plain number, or its dtype would win over float32
        return math.log(x) if x > 0 else 0.0 if x == 0 else math.nan
    return log(where(raw(x) == 0, 1.0, x))


def _array_of(x: Array, z: Array) -> Array:
    """Whichever of the two is not a plain Python number; it knows the namespace."""
    return z if isinstance(x, (int, float)) else x


def _fraction(wins: Array, ties: Array, y: Array) -> Array:
    """1 where an argument wins, one half where both are equal, in the dtype of the result."""
    return wins.astype(y.dtype) + ties.astype(y.dtype) * 0.5
