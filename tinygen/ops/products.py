"""Ops that multiply matrices."""

from __future__ import annotations

from math import prod

from tinygen.autograd.engine import op
from tinygen.backend import Array, namespace, require_floats
from tinygen.ops.shaping import broadcast_to, reshape, transpose


@op(
    dx=lambda g, y, x, W: _matrix_of(g, x, W) @ _flipped(_column(W)),
    dW=lambda g, y, x, W: _like(W, _flipped(_row(x)) @ _matrix_of(g, x, W)),
)
def matmul(x: Array, W: Array) -> Array:
    """``x @ W`` by NumPy's rules: ``(..., n, i) (..., i, o) -> (..., n, o)``, and vectors.

    ``dx = g @ W.T`` and ``dW = x.T @ g``.

    >>> import tinygen as tg
    >>> x, W = tg.Tensor([[1.0, 2.0]]), tg.Tensor([[3.0], [4.0]], requires_grad=True)
    >>> y = tg.matmul(x, W)  # x @ W
    >>> tg.sum(y).backward()
    >>> y.array.tolist(), W.grad.tolist()  # x^T g
    ([[11.0]], [[1.0], [2.0]])
    """
    if not getattr(x, "ndim", 0) or not getattr(W, "ndim", 0):
        raise ValueError("a number is no matrix")
    if x.shape[-1] != W.shape[-2:][0]:
        raise ValueError("x needs as many columns as W has rows")
    return x @ W


@op(
    dx=lambda g, y, x, W, b: g @ W.T,
    dW=lambda g, y, x, W, b: x.T @ g,
    db=lambda g, y, x, W, b: g,
)
def affine(x: Array, W: Array, b: Array) -> Array:
    """``x W + b``, a dense layer: ``(n, i) (i, o) (o,) -> (n, o)``.

    >>> import numpy as np
    >>> affine(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]), np.array([5.0]))
    array([[16.]])
    """
    require_floats(x, W, b)
    if x.ndim != 2 or W.ndim != 2 or x.shape[1] != W.shape[0]:
        images = x.ndim > 2 and W.ndim == 2 and prod(x.shape[1:]) == W.shape[0]
        way = "; x.reshape(len(x), -1) has, a row for each image" * images
        raise ValueError(
            f"affine: x is {x.shape}, W is {W.shape}; x needs as many columns as W has rows{way}"
        )
    if b.shape != W.shape[1:]:
        raise ValueError(
            f"affine: b is {b.shape}, W is {W.shape}; b needs as many elements as W has columns"
        )
    y = x @ W
    y += b
    return y


@op(
    dsubscripts=None,
    dxs=lambda i, g, y, subscripts, *xs: _einsum_partial(i, g, subscripts, xs),
)
def einsum(subscripts: str, *xs: Array) -> Array:
    """Einstein summation, such as ``"bi,io->bo"``.

    ``dxs = einsum of g with all other operands``.

    Without an arrow, the result has the axes that are named once, in alphabetical order. Each
    operand names each of its axes once; there is no ``...``.

    >>> import numpy as np
    >>> x, W = np.arange(6.0).reshape(2, 3), np.ones((3, 2))
    >>> einsum("ni,io->no", x, W).tolist()  # a product of matrices
    [[3.0, 3.0], [12.0, 12.0]]
    >>> einsum("ni,ni->n", x, x).tolist()  # the squared norm of each row
    [5.0, 50.0]
    """
    inputs, result = _subscripts(subscripts, xs)
    if any(len(s) != len({*s}) for s in inputs):
        raise ValueError(f"{subscripts!r} names an axis twice in one operand")
    # With three or more at once, each letter would be one more loop around all others.
    return namespace(xs[0]).einsum(",".join(inputs) + "->" + result, *xs, optimize=len(xs) > 2)


def _subscripts(subscripts: str, xs: tuple[Array, ...]) -> tuple[list[str], str]:
    if not isinstance(subscripts, str):
        raise TypeError("expected the subscripts, such as 'bi,io->bo', before the operands")
    left, arrow, result = subscripts.replace(" ", "").partition("->")
    inputs = left.split(",")
    letters = left.replace(",", "")
    if not arrow:
        result = "".join(sorted(s for s in {*letters} if letters.count(s) == 1))
    if not (letters + result or "a").isalpha() or len(inputs) != len(xs):
        raise ValueError(
            f"{subscripts!r} must name the axes of {len(xs)} operands by letters and, "
            "after an arrow, those of the result"
        )
    return inputs, result


def _einsum_partial(i: int, g: Array, subscripts: str, xs: tuple[Array, ...]) -> Array:
    """The other operands and `g`, summed to the axes of operand `i`."""
    inputs, result = _subscripts(subscripts, xs)
    others = [(s, x) for j, (s, x) in enumerate(zip(inputs, xs, strict=True)) if j != i]
    known = {letter for s, _ in others for letter in s} | {*result}
    # An axis that only this operand has was summed alone: its gradient is the same all along it.
    reachable = "".join(letter for letter in inputs[i] if letter in known)
    dx = einsum(",".join([*(s for s, _ in others), result]) + "->" + reachable,
                *(x for _, x in others), g)  # fmt: skip
    length = dict(zip(reachable, dx.shape, strict=True))
    reduced = tuple(length.get(s, 1) for s in inputs[i])
    # An axis of length 1 is repeated, as in broadcasting, here in `xs[i]` or there in the others.
    whole = tuple(n if m == 1 else m for m, n in zip(reduced, xs[i].shape, strict=True))
    return broadcast_to(reshape(dx, shape=reduced), shape=whole)


def _flipped(x: Array) -> Array:
    """Each matrix transposed."""
    if x.ndim == 2:
        return x.T
    return transpose(x, axes=(*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


def _row(x: Array) -> Array:
    """A vector on the left is a matrix of one row."""
    return x if x.ndim > 1 else reshape(x, shape=(1, *x.shape))


def _column(W: Array) -> Array:
    """A vector on the right is a matrix of one column."""
    return W if W.ndim > 1 else reshape(W, shape=(*W.shape, 1))


def _matrix_of(g: Array, x: Array, W: Array) -> Array:
    """The gradient of ``x @ W`` with the axes restored that a vector on either side leaves out."""
    if x.ndim > 1 and W.ndim > 1:
        return g
    columns = g.shape[-1:] if W.ndim > 1 else (1,)
    rest = g.shape[:-1] if W.ndim > 1 else g.shape
    return reshape(g, shape=(*(rest if x.ndim > 1 else (*rest, 1)), *columns))


def _like(W: Array, dW: Array) -> Array:
    """The gradient of a column in the shape of the vector that it stands for."""
    return dW if W.ndim > 1 else reshape(dW, shape=dW.shape[:-1])
