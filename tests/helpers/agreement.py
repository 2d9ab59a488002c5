"""What every model's gradient by hand and by autograd must have in common."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from differences import directional_derivative
from strict import count_syncs

import tinygen as tg

TOLERANCES = pytest.mark.parametrize(
    ("dtype", "tolerance"),
    # Rounding alone gives about 10 epsilon, 2e-15 and 1e-6; what is promised is in docs/results.md.
    [("float64", 1e-12), ("float32", 1e-5)],
)


def relative(a: Any, b: Any) -> float:
    return float(np.linalg.norm(a - b) / max(np.linalg.norm(b), np.finfo(b.dtype).tiny))


def assert_by_hand_agrees(
    model: Any, loss_and_grads: Any, data: tuple[Any, ...], dtype: str, tolerance: float
) -> None:
    """The loss and the gradient, and their dtype; `data` begins with the parameters."""
    by_hand, autograd = partial(loss_and_grads, **model.terms), tg.value_and_grad(model.loss)
    tg.compare_gradients(by_hand, autograd, *data, tolerance=tolerance)
    for loss, gradients in (by_hand(*data), autograd(*data)):
        assert gradients.flat.dtype == loss.dtype == dtype


def after_three_steps(step_of: Any, p: tg.Parameters, data: tuple[Any, ...], place: Any) -> Any:
    """The parameters, on the host, after three steps of Adam that waited for nothing."""
    adam, out, total = tg.Adam(p), p.zeros_like(), 0.0
    with count_syncs() as syncs:
        for _ in range(3):
            value, _ = step_of(p, *data, out=out)
            adam.update(p, out, 1e-3)
            total = value + total
    assert not syncs
    return place.to_numpy(p.flat)


def sent(data: Any, backend: Any) -> Any:
    if isinstance(data, (tuple, list)):
        return tuple(sent(part, backend) for part in data)
    return data if data is None else backend.asarray(data)


def arrays_in(data: Any) -> list[np.ndarray]:
    if isinstance(data, (tuple, list)):
        return [a for part in data for a in arrays_in(part)]
    if isinstance(data, tg.Parameters):
        return [data.flat]
    return [data] if isinstance(data, np.ndarray) else []


def assert_close(by_hand: Any, by_autograd: Any, tolerance: float, floor: float) -> None:
    (J, f), (loss, g) = by_hand, by_autograd
    assert f.shapes == g.shapes
    assert J.dtype == loss.dtype == f.flat.dtype == g.flat.dtype
    assert J.shape == ()
    scale = max(float(np.linalg.norm(g.flat)), floor)
    assert np.linalg.norm(f.flat - g.flat) <= tolerance * scale
    assert abs(J - loss) <= tolerance * max(abs(loss), 1)  # a critic's loss may be a small rest


def assert_directional_derivatives(
    loss: Any, p: tg.Parameters, gradient: tg.Parameters, tolerance: float
) -> None:
    """The gradient is that of the loss, by central differences along three random directions."""
    for v in np.random.default_rng(0).standard_normal((3, p.flat.size)):
        v /= np.linalg.norm(v)
        measured = directional_derivative(lambda q: loss(q).item(), p, v, step=1e-5)
        assert measured == pytest.approx(float(gradient.flat @ v), abs=tolerance)
