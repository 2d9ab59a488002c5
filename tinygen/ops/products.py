"""Ops that multiply matrices."""

from __future__ import annotations

from tinygen.autograd.op import op
from tinygen.backend import Array, namespace
from tinygen.ops.shaping import broadcast_to, reshape, transpose


@op(
    dx=lambda g, y, x, W: g @ _flipped(W),
    dW=lambda g, y, x, W: _flipped(x) @ g,
)
def matrix_product(x: Array, W: Array) -> Array:
    """``x @ W`` for arrays of two axes or more: ``(..., n, i) (..., i, o) -> (..., n, o)``."""
    if x.ndim < 2 or W.ndim < 2:
        raise ValueError("both need two axes or more; matmul() also takes vectors")
    return x @ W


def matmul(x: Array, W: Array) -> Array:
    """``x @ W`` by NumPy's rules, vectors included."""
    if x.ndim >= 2 and W.ndim >= 2:
        return matrix_product(x, W)
    if x.ndim == 0 or W.ndim == 0:
        raise ValueError(f"matmul: x is {x.shape}, W is {W.shape}; a number is no matrix")
    row = x if x.ndim > 1 else reshape(x, shape=(1, *x.shape))
    column = W if W.ndim > 1 else reshape(W, shape=(*W.shape, 1))
    y = matrix_product(row, column)
    kept = (*y.shape[:-2], *(y.shape[-2:-1] * (x.ndim > 1)), *(y.shape[-1:] * (W.ndim > 1)))
    return reshape(y, shape=kept)


@op(
    dx=lambda g, y, x, W, b: g @ W.T,
    dW=lambda g, y, x, W, b: x.T @ g,
    db=lambda g, y, x, W, b: g,
)
def affine(x: Array, W: Array, b: Array) -> Array:
    """``x W + b``, a dense layer: ``(n, i) (i, o) (o,) -> (n, o)``."""
    if x.ndim != 2 or W.ndim != 2 or x.shape[1] != W.shape[0]:
        raise ValueError(
            f"affine: x is {x.shape}, W is {W.shape}; x needs as many columns as W has rows"
        )
    if b.shape != W.shape[1:]:
        raise ValueError(
            f"affine: b is {b.shape}, W is {W.shape}; b needs as many elements as W has columns"
        )
    y = x @ W
    y += b
    return y


def einsum(subscripts: str, *xs: Array) -> Array:
    """Einstein summation with an explicit result, such as ``"bi,io->bo"``.

    Each operand names each of its axes once; there is no ``...``.
    """
    return einstein_sum(*xs, subscripts=subscripts)


@op(dxs=lambda i, g, y, *xs, subscripts: _einsum_partial(i, g, xs, subscripts))
def einstein_sum(*xs: Array, subscripts: str) -> Array:
    """The op behind `einsum`: arrays come first, the subscripts by keyword."""
    inputs, _ = _subscripts(subscripts, xs)
    if any(len(s) != len({*s}) for s in inputs):
        raise ValueError(f"{subscripts!r} names an axis twice in one operand")
    return namespace(xs[0]).einsum(subscripts.replace(" ", ""), *xs)


def _subscripts(subscripts: str, xs: tuple[Array, ...]) -> tuple[list[str], str]:
    left, arrow, result = subscripts.replace(" ", "").partition("->")
    inputs = left.split(",")
    letters = left.replace(",", "") + result
    if not arrow or not (letters.isalpha() or not letters) or len(inputs) != len(xs):
        raise ValueError(
            f"{subscripts!r} must name the axes of {len(xs)} operands by letters and, "
            "after an arrow, those of the result"
        )
    return inputs, result


def _einsum_partial(i: int, g: Array, xs: tuple[Array, ...], subscripts: str) -> Array:
    """The other operands and `g`, summed to the axes of operand `i`."""
    inputs, result = _subscripts(subscripts, xs)
    others = [(s, x) for j, (s, x) in enumerate(zip(inputs, xs, strict=True)) if j != i]
    known = {letter for s, _ in others for letter in s} | {*result}
    # An axis that only this operand has was summed alone: its gradient is the same all along it.
    reachable = "".join(letter for letter in inputs[i] if letter in known)
    dx = einsum(",".join([*(s for s, _ in others), result]) + "->" + reachable,
                *(x for _, x in others), g)  # fmt: skip
    length = dict(zip(reachable, dx.shape, strict=True))
    kept = tuple(length.get(s, 1) for s in inputs[i])
    whole = tuple(length.get(s, n) for s, n in zip(inputs[i], xs[i].shape, strict=True))
    return broadcast_to(reshape(dx, shape=kept), shape=whole)


def _flipped(x: Array) -> Array:
    if x.ndim == 2:
        return x.T
    return transpose(x, axes=(*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))
