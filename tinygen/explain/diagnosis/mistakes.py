"""What a mistake would send along one edge of a graph instead of what is right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from tinygen.explain.diagnosis.arrays import fitted
from tinygen.explain.diagnosis.backward import PLAIN_OPS, BackwardPass, Edge, summed_to
from tinygen.explain.trace import Node

MATRIX_OPS = ("affine", "matmul")


class Mistake(NamedTuple):
    """What is sent instead of the product.

    Attributes:
        kind: such as ``"left out"``.
        text: in words; "{}" is the factor, if there is one.
        sent: the array.
        cost: the simpler, the lower.
        adds: whether it is sent in addition to what is right.
    """

    kind: str
    text: str
    sent: Any
    cost: float
    adds: bool = False


def mistakes(
    backward: BackwardPass, edge: Edge, g: Any, others: Sequence[Node] = ()
) -> Iterator[Mistake]:
    """All mistakes to try at an edge where `g` arrives; `others` are other calls of the op."""
    product = backward.product(edge, g)
    for mistake in chain(  # one after another, as the caller may stop
        _factor_lost(edge, g, product),
        _factor_repeated(backward, edge, g, product),
        _other_factor(edge, g),
        _of_a_sum(edge, g, product),
        _of_a_matrix(backward, edge, g),
        _other_place(edge, product),
        _other_call(backward, edge, g, others),
    ):
        if mistake.sent.shape == product.shape and np.isfinite(mistake.sent).all():
            yield mistake


def says_more(mistake: Mistake, edge: Edge, product: Any) -> bool:
    """Whether a mistake is more than a factor; a constant that is left out is reported as such."""
    if mistake.kind == "left out" and edge.op not in PLAIN_OPS:
        return True
    c = fitted(mistake.sent, product)
    least = 1e-9 * np.abs(product).max()
    return not np.allclose(mistake.sent, c * product, rtol=1e-6, atol=least)


def _factor_lost(edge: Edge, g: Any, product: Any) -> Iterator[Mistake]:
    bare = bare_gradient(edge, g)
    if bare is None:
        return
    factor, path = edge.factor, edge.path
    if not np.array_equal(bare, product):
        yield Mistake("left out", f"{factor} were left out {path}", bare, 0)
    yield Mistake("shift", f"{{}} were added to {factor} {path}", bare, 2, adds=True)
    if product.shape == bare.shape:
        text = f"1 minus {factor} stood there {path}"
        yield Mistake("complement", text, bare - product, 1)
    if edge.op == "logsumexp":
        x = edge.parent.value
        weights = np.exp(x - x.max(axis=edge.node.options["axis"], keepdims=True))
        text = f"weights were not divided by their sum {path}"
        yield Mistake("left out", text, bare * weights, 0)


def bare_gradient(edge: Edge, g: Any) -> Any:
    """`g` unchanged, in the shape of the argument: summed, or repeated; None if it does not fit."""
    x, axis = edge.parent.value, edge.node.options.get("axis", ())
    try:
        if g.size >= x.size:
            bare = summed_to(g, x)
            return bare if bare.shape == x.shape else None
        if axis != () and axis is not None and g.ndim < x.ndim:
            g = np.expand_dims(g, axis)
        if axis != () or g.size == 1 or g.shape == x.shape[-g.ndim :]:
            return np.array(np.broadcast_to(g, x.shape))
        if g.shape == x.shape[: g.ndim]:  # a loss that has summed its last axis
            return np.array(np.broadcast_to(g.reshape(*g.shape, *[1] * (x.ndim - g.ndim)), x.shape))
    except ValueError:
        pass
    return None


def _factor_repeated(backward: BackwardPass, edge: Edge, g: Any, product: Any) -> Iterator[Mistake]:
    if product.shape == g.shape == edge.node.value.shape:
        factor, path = edge.factor, edge.path
        twice = backward.product(edge, product)
        yield Mistake("twice", f"{factor} were applied twice {path}", twice, 0)
        text = f"{factor} divided, not multiplied, {path}"
        yield Mistake("inverse", text, g * (g / product), 1)


def _other_factor(edge: Edge, g: Any) -> Iterator[Mistake]:
    """Something else instead of the derivative: the result, the argument, ..."""
    x, y, op = edge.parent.value, edge.node.value, edge.op
    if x.ndim > g.ndim or any(
        m not in (1, n) for m, n in zip(x.shape[::-1], g.shape[::-1], strict=False)
    ):
        return
    values = {
        f"the result of {op}": y,
        f"1 - the result of {op}": 1 - y,
        f"1 + the result of {op}": 1 + y,
        f"exp of the argument of {op}": np.exp(x),
        f"exp(-|x|) of the argument of {op}": np.exp(-np.abs(x)),
        f"the result of {op} over its argument": y / x,
        f"the argument {edge.argument} of {op}": x,
    }
    for words, value in values.items():
        text = f"{words} stood for {edge.factor} {edge.path}"
        yield Mistake("other factor", text, summed_to(g * value, x), 1)


def _of_a_sum(edge: Edge, g: Any, product: Any) -> Iterator[Mistake]:
    """A mean over what should be summed."""
    matrix = edge.op in MATRIX_OPS and edge.argument == "W"
    if g.size > product.size or matrix:
        mean = product / (len(g) if matrix else g.size / product.size)
        yield Mistake("mean", f"the sum over rows were a mean {edge.path}", mean, 0.5)


def _of_a_matrix(backward: BackwardPass, edge: Edge, g: Any) -> Iterator[Mistake]:
    if edge.op not in MATRIX_OPS:
        return
    if edge.i and len(g) > 1:
        only = np.zeros_like(g)
        only[-1] = g[-1]
        last = backward.product(edge, only)
        yield Mistake("rows", f"only the last row of the batch counted {edge.path}", last, 1)
    for j, (argument, x) in enumerate(edge.node.inputs):
        if j != edge.i and np.ndim(x.value) == 2 and len({*x.value.shape}) == 1:
            turned = backward.product(edge, g, {j: x.value.T})
            text = f"{x.name}, the {argument} of {edge.op}, were transposed {edge.path}"
            yield Mistake("transposed", text, turned, 0.5)


def _other_place(edge: Edge, product: Any) -> Iterator[Mistake]:
    """The right numbers in a wrong place, or only some of them."""
    path, x = edge.path, edge.parent.value
    if product.ndim and len(product) > 1:
        only = np.zeros_like(product)
        only[-1] = product[-1]
        yield Mistake("rows", f"only the last row were sent {path}", only, 1)
    if product.ndim > 1:
        a, b, *rest = product.shape
        if a > 1 and b > 1:
            mixed = product.reshape(b, a, *rest).swapaxes(0, 1)
            yield Mistake("order", f"a reshape took axis 0 for axis 1 {path}", mixed, 1)
        if a == b > 1 and not rest:
            yield Mistake("transposed", f"what is sent were transposed {path}", product.T, 1)
    for axis, n in enumerate(product.shape):
        if n > 1 and product.size > n:
            total = np.array(np.broadcast_to(product.sum(axis=axis, keepdims=True), x.shape))
            text = f"what is sent were summed over its axis {axis} {path}"
            yield Mistake("axis", text, total, 2)


def _other_call(
    backward: BackwardPass, edge: Edge, g: Any, others: Sequence[Node]
) -> Iterator[Mistake]:
    """The arguments of another call of the same op, as when a cache was overwritten."""
    for other in others:
        for j, (argument, x) in enumerate(other.inputs):
            here = edge.node.inputs[j][1]
            if j == edge.i or x is here or np.shape(x.value) != np.shape(here.value):
                continue
            sent = backward.product(edge, g, {j: x.value})
            text = (
                f"the {argument} of {other.name}, {x.name}, stood for that of {edge.node.name}, "
                f"{here.name}, {edge.path}"
            )
            yield Mistake("other call", text, sent, 0.6)
