"""What a network tells the gradients by hand of its layers: by hand and by autograd they agree."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

import tinygen as tg
from tinygen.byhand import chain, conv
from tinygen.errors import InputError
from tinygen.models.gradients import geometry
from tinygen.nn import BatchNorm, Conv, ConvTranspose, Dense, Dropout, Reshape, Sequential, mlp
from tinygen.ops import gelu, max_pool

NETS = {
    "down": Sequential(
        Reshape(7, 5, 2), Conv(2, 4, 3, stride=2, padding=1), gelu, Conv(4, 3, 2), gelu,
        Reshape(18), Dense(18, 3),
    ),
    "up": Sequential(
        Dense(3, 12), gelu, Reshape(3, 2, 2), ConvTranspose(2, 3, 4, stride=2, padding=1), gelu,
        ConvTranspose(3, 1, 3, stride=3, padding="same", output_padding=(2, 0)), Reshape(180),
    ),
    "batch norm": Sequential(
        Dense(3, 12, biases=None), BatchNorm(12), gelu, Reshape(2, 3, 2),
        ConvTranspose(2, 3, 3, stride=2, padding=1, output_padding=1, biases=None),
        BatchNorm(3), gelu, Conv(3, 2, 3, padding="same"), Reshape(48),
    ),
    "dropout": Sequential(
        Reshape(7, 5, 2), Conv(2, 4, 3, stride=2, padding=1), gelu, Dropout(0.3), Reshape(48),
        Dense(48, 3), gelu, Dropout(0.3), Dense(3, 1),
    ),
}  # fmt: skip
INPUTS = {"down": 70, "up": 3, "batch norm": 3, "dropout": 70}


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_a_chain_by_hand_is_the_network(name: str, dtype: Any, tolerance: float) -> None:
    net, rng = NETS[name], np.random.default_rng(0)
    p = net.initialise(1, dtype)
    p.flat[...] += 0.1 * rng.standard_normal(p.flat.shape).astype(dtype)
    x = rng.standard_normal((4, INPUTS[name])).astype(dtype)
    masks = net.draw_masks(rng, 4, dtype)

    def loss(p: Any, x: Any) -> Any:
        return tg.sum(tg.tanh(net(p, x, training=True, masks=masks)))

    def by_hand(p: Any, x: Any, out: Any = None) -> Any:
        layers, gradients = chain.layers(p), p.room_for_gradients(out)
        a, cache = chain.chain(layers, x, "gelu", masks, geometry=geometry(net))
        h = np.tanh(a)
        chain.chain_backward(1 - h * h, layers, cache, chain.layers(gradients))
        return h.sum(), gradients

    tg.compare_gradients(by_hand, tg.value_and_grad(loss), p, x, tolerance=tolerance)


def test_geometry_has_the_sizes_of_the_images() -> None:
    assert geometry(NETS["down"])[:2] == (conv.Conv((7, 5), 3, 2, 1), conv.Conv((4, 3), 2))
    _, first, second = geometry(NETS["up"])
    assert first == conv.ConvTranspose((6, 4), 4, 2, 1)
    assert second == conv.ConvTranspose((18, 10), 3, 3, "same")
    assert geometry(mlp((4, 3, 2), "relu")) == ()


def test_what_by_hand_does_not_cover_is_refused() -> None:
    net = Sequential(Reshape(4, 4, 1), Conv(1, 1, 3, padding=1), partial(max_pool, kernel=2))
    with pytest.raises(InputError, match="by hand cover convolutions and activations, not"):
        geometry(net)
    for before in ((), (Reshape(4, 4, 1), Reshape(16)), (Dense(3, 16),)):
        with pytest.raises(InputError, match=r"expected a Reshape\(h, w, c\) before .*, got none"):
            geometry(Sequential(*before, Conv(1, 1, 3)))
