"""Checks of the classifier by hand, for its tests and for the table of mutants."""

from __future__ import annotations

import math
from itertools import chain, pairwise
from typing import Any

import numpy as np
import pytest
from differences import PHI

from tinygen.byhand.classifier import loss_and_grads
from tinygen.parameters import Parameters

LOG3 = math.log(3)


def make(
    widths: list[int],
    classes: int,
    reads: str = "last",
    rng: Any = None,
    dtype: Any = np.float64,
    scale: float = 0.7,
) -> Parameters:
    """Parameters of the layers d -> widths..., and a softmax on them; random or zero."""
    shapes: dict[str, tuple[int, ...]] = {}
    for k, (i, o) in enumerate(pairwise(widths), 1):
        shapes |= {f"W{k}": (i, o), f"b{k}": (o,)}
    L = len(widths)
    read = sum(widths[1:]) if reads == "all" and L > 1 else widths[-1]
    shapes |= {f"W{L}": (read, classes), f"b{L}": (classes,)}
    size = sum(math.prod(shape) for shape in shapes.values())
    flat = np.zeros(size) if rng is None else scale * rng.standard_normal(size)
    return Parameters(shapes, flat.astype(dtype))


def drawn_labels(rng: Any, n: int, classes: int) -> np.ndarray:
    """Rows of all kinds: one class, several, none at all, and rows that count more than once."""
    t = np.eye(classes)[rng.integers(0, classes, n)]
    for row, kind in zip(t, rng.integers(0, 5, n), strict=True):
        if kind == 1:
            row[...] = rng.dirichlet(np.ones(classes))
        elif kind == 2:
            row[...] = 0
        elif kind == 3:
            row *= 2.5
        elif kind == 4:
            row[...] = rng.random(classes)
    return t


# An independent opinion: one number at a time, with Python's own mathematics.


def walk(p: Any, x: Any, masks: Any, activation: str, linear: bool, reads: str) -> Any:
    """Each image's logits, and what was met before a kink."""
    L, kinks, logits = len(p) // 2, [], []
    for i, row in enumerate(np.asarray(x, float).tolist()):
        said: list[list[float]] = []
        for k in range(1, L + 1):
            if k == L and said:
                row = [*chain(*said)] if reads == "all" else said[-1]
            W, b = p[f"W{k}"], p[f"b{k}"]
            assert len(row) == len(W)
            row = [
                sum(row[j] * float(W[j, o]) for j in range(len(row))) + float(b[o])
                for o in range(len(b))
            ]
            if k < L and not (linear and k == L - 1):
                kinks += row
                row = [PHI[activation](a) for a in row]
                if masks:
                    row = [h * float(m) for h, m in zip(row, masks[k - 1][i], strict=True)]
            said.append(row)
        logits.append(row)
    return logits, kinks


def textbook_loss(
    p: Any,
    x: Any,
    labels: Any,
    masks: Any = (),
    *,
    activation: str,
    linear: bool,
    reads: str,
    weight_decay: float,
    geometry: Any = (),
) -> float:
    assert not geometry  # all layers are dense
    logits, _ = walk(p, x, masks, activation, linear, reads)
    J = 0.0
    for row, t in zip(logits, labels.tolist(), strict=True):
        total = sum(math.exp(a) for a in row)
        J -= sum(share * math.log(math.exp(a) / total) for a, share in zip(row, t, strict=True))
    squares = sum(float(w) ** 2 for name in p if name.startswith("W") for w in p[name].flat)
    return J / len(logits) + weight_decay / 2 * squares


# Paper: the example of docs/derivations/classifier.md.


def worked_example() -> Any:
    """A relu unit and a linear code of one number, of which the softmax reads both."""
    p = make([2, 1, 1], 2, "all")
    p["W1"][...] = [[1], [1 / 2]]
    p["W2"][...] = [[2]]
    p["b2"][...] = [-3]
    p["W3"][...] = [[0, LOG3], [1, 1]]
    p["b3"][...] = [0, -LOG3]
    options = {"activation": "relu", "linear": True, "reads": "all"}
    return p, np.array([[1.0, 2]]), np.array([[1.0, 0]]), options


EXACT: dict[str, float] = {"rel": 1e-14, "abs": 1e-15}  # rounding of log 3 and a few operations


def check_worked_example() -> None:
    p, x, t, options = worked_example()
    loss, g = loss_and_grads(p, x, t, **options)
    assert loss == pytest.approx(math.log(4), **EXACT) and round(float(loss), 3) == 1.386
    assert g["W3"] == pytest.approx(np.array([[-3 / 2, 3 / 2], [-3 / 4, 3 / 4]]), **EXACT)
    assert g["b3"] == pytest.approx(np.array([-3 / 4, 3 / 4]), **EXACT)
    assert g["W2"] == pytest.approx(np.array([[0]]), **EXACT)
    assert g["b2"] == pytest.approx(np.array([0]), **EXACT)
    assert g["b1"] == pytest.approx(np.array([3 / 4 * LOG3]), **EXACT)
    assert g["W1"] == pytest.approx(3 / 4 * LOG3 * np.array([[1], [2]]), **EXACT)
    assert round(3 / 4 * LOG3, 3) == 0.824


def check_exercise_reading_the_code_alone() -> None:
    p, x, t, options = worked_example()
    q = make([2, 1, 1], 2)
    q.flat[: p.flat.size - 6] = p.flat[:-6]
    q["W3"][...] = [[1, 1 + LOG3]]
    loss, g = loss_and_grads(q, x, t, **options | {"reads": "last"})
    assert loss == pytest.approx(math.log(4), **EXACT)
    assert g["b3"] == pytest.approx(np.array([-3 / 4, 3 / 4]), **EXACT)
    assert g["b2"] == pytest.approx(np.array([3 / 4 * LOG3]), **EXACT)
    assert g["b1"] == pytest.approx(np.array([3 / 2 * LOG3]), **EXACT)


def check_exercise_with_a_label_that_sums_to_two() -> None:
    p, x, _, options = worked_example()
    loss, g = loss_and_grads(p, x, np.ones((1, 2)), **options)
    assert loss == pytest.approx(math.log(4) + math.log(4 / 3), **EXACT)
    assert g["b3"] == pytest.approx(np.array([-1 / 2, 1 / 2]), **EXACT)


def check_weights_of_zero() -> None:
    p = make([4, 3], 7)
    x, t = np.random.default_rng(0).random((5, 4)), np.eye(7)[:5]
    loss, g = loss_and_grads(p, x, t, activation="tanh")
    assert loss == pytest.approx(math.log(7), rel=1e-14)
    assert not g["W1"].any() and not g["b1"].any() and not g["W2"].any()
    np.testing.assert_allclose(g["b2"], 1 / 7 - t.mean(axis=0), rtol=1e-13)


def check_row_weight(case: Any, w: float) -> None:
    """The loss is linear in the labels; weight decay is not among what is counted."""
    p, (x, t, masks), options, _ = case
    plain, n = options | {"weight_decay": 0.0}, len(x)
    loss, g = loss_and_grads(p, x, t, masks, **plain)
    first = tuple(m[:1] for m in masks)
    one, of_one = loss_and_grads(p, x[:1], t[:1], first, **plain)
    weighed = t.copy()
    weighed[0] *= w
    other, f = loss_and_grads(p, x, weighed, masks, **plain)
    # Cancellation against the other rows: all are sums of a few numbers of order 1.
    assert other == pytest.approx(loss + (w - 1) * one / n, rel=1e-11, abs=1e-12)
    np.testing.assert_allclose(f.flat, g.flat + (w - 1) * of_one.flat / n, rtol=1e-9, atol=1e-12)


def check_rows_of_zeros(reads: str) -> None:
    rng = np.random.default_rng(1)
    p, options = make([3, 4, 2], 3, reads, rng), {"activation": "elu", "reads": reads}
    x, t = rng.random((6, 3)), np.eye(3)[[0, 1, 2, 0, 1, 2]]
    t[4:] = 0
    loss, g = loss_and_grads(p, x, t, **options)
    other, f = loss_and_grads(p, x[:4], t[:4], **options)
    assert loss == pytest.approx(other * 4 / 6, rel=1e-14)
    np.testing.assert_allclose(g.flat, f.flat * 4 / 6, rtol=1e-12, atol=1e-16)
    x[4:] = 1e6 * rng.standard_normal((2, 3))  # whatever they show
    np.testing.assert_allclose(
        loss_and_grads(p, x, t, **options)[1].flat, g.flat, rtol=1e-12, atol=1e-16
    )


def check_no_labels() -> None:
    p = make([3, 4], 2, rng=np.random.default_rng(1))
    loss, g = loss_and_grads(
        p, np.ones((2, 3)), np.zeros((2, 2)), activation="tanh", weight_decay=0.3
    )
    squares = (p["W1"] ** 2).sum() + (p["W2"] ** 2).sum()
    assert loss == pytest.approx(0.15 * squares, rel=1e-14)
    for name, array in p.items():
        expected = 0.3 * array if name.startswith("W") else 0 * array
        np.testing.assert_allclose(g[name], expected, rtol=1e-14)


def check_extreme_logits(dtype: Any) -> None:
    """Surely right costs nothing; surely wrong costs the distance, with the full push."""
    p = make([1], 3, dtype=dtype)
    p["b1"][...] = [1000, -1000, 0]
    x = np.ones((1, 1), dtype)
    for label, cost, push in ((0, 0, [0, 0, 0]), (1, 2000, [1, -1, 0]), (2, 1000, [1, 0, -1])):
        loss, g = loss_and_grads(p, x, np.eye(3, dtype=dtype)[[label]], activation="none")
        assert loss == cost and g["b1"].tolist() == push
