"""The arms of `step.py` for an autoencoder of convolutions: 1-16-32-64 channels and back.

Windows of 3 x 3 with a stride of 2 make 28 x 28 pixels 14 x 14, 7 x 7 and 4 x 4; transposed ones go
back. PyTorch has images with the channels last, as tinygen has, and in its own order.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

import tinygen as tg
from tinygen.byhand import conv as byhand
from tinygen.byhand.chain import chain, chain_backward, layers
from tinygen.nn import Conv, ConvTranspose, Reshape, Sequential
from tinygen.ops import relu
from tinygen.training.graphs import by_graphs

CHANNELS, SIZES = (1, 16, 32, 64), (28, 14, 7, 4)
WINDOW = {"kernel": 3, "stride": 2, "padding": 1}
RATE = 1e-3


def stages() -> list[tuple[Any, ...]]:
    """Of each layer: its channels, before and after, and the height of images, before and after."""
    down = [(*c, *h) for c, h in zip(pairwise(CHANNELS), pairwise(SIZES), strict=True)]
    return down + [(o, i, low, high) for i, o, high, low in down[::-1]]


def network() -> Sequential:
    made: list[Any] = [Reshape(28, 28, 1)]
    for i, o, before, after in stages():
        more = after - 2 * before + 1
        made += [Conv(i, o, **WINDOW) if before > after else
                 ConvTranspose(i, o, **WINDOW, output_padding=more), relu]  # fmt: skip
    return Sequential(*made[:-1], Reshape(784))


def tinygen_step(gradients_of: Callable[..., Any], backend: Any, x: Any) -> Callable[[], Any]:
    tg.backend.keep_freed_memory()  # as the programs in examples/ do
    p = network().initialise(0, backend=backend)
    gradients, adam = p.zeros_like(), tg.Adam(p)

    def step() -> None:
        gradients_of(p, x, out=gradients)
        adam.update(p, gradients, RATE)

    return step


def by_hand(p: Any, x: Any, out: Any) -> Any:
    geometry = [
        byhand.Conv((before, before), **WINDOW) if before > after else
        byhand.ConvTranspose((after, after), **WINDOW) for _, _, before, after in stages()
    ]  # fmt: skip
    y, cache = chain(layers(p), x, "relu", geometry=geometry)
    d = y - x
    chain_backward((2 / x.size) * d, layers(p), cache, layers(out), to_input=False)
    return (d * d).mean()


def by_autograd() -> Callable[..., Any]:
    net = network()
    return tg.value_and_grad(lambda p, x: tg.mse(net(p, x), x))


def matrix_products(backend: Any, x: Any) -> Callable[[], Any]:
    """Forward R = H W; backward H^T dR and dR W^T, the last one not for the first layer."""
    xp, make = backend.xp, backend.generator(0)
    products = []
    for k, (i, o, before, after) in enumerate(stages()):
        rows = len(x) * min(before, after) ** 2
        inner, outer = (9 * i, o) if before > after else (i, 9 * o)
        H, W, R = (make.standard_normal(shape, dtype=np.float32)
                   for shape in ((rows, inner), (inner, outer), (rows, outer)))  # fmt: skip
        products += [(H, W, xp.empty_like(R)), (H.T, R, xp.empty_like(W))]
        products += [(R, W.T, xp.empty_like(H))] if k else []

    def step() -> None:
        for a, b, out in products:
            xp.matmul(a, b, out=out)

    return step


def pytorch(order: str, backend: Any, x: Any) -> Callable[[], Any]:
    import torch
    from torch import nn

    made: list[Any] = []
    for i, o, before, after in stages():
        more = after - 2 * before + 1
        made += [nn.Conv2d(i, o, 3, 2, 1) if before > after else
                 nn.ConvTranspose2d(i, o, 3, 2, 1, more), nn.ReLU()]  # fmt: skip
    form = {"memory_format": getattr(torch, order)}
    device = "cuda" if backend.name == "cupy" else "cpu"
    net = nn.Sequential(*made[:-1]).to(device, **form)
    data = torch.from_numpy(backend.to_numpy(x)).reshape(-1, 1, 28, 28).to(device, **form)
    adam = torch.optim.Adam(net.parameters(), lr=RATE, fused=True)

    def step() -> None:
        adam.zero_grad()
        nn.functional.mse_loss(net(data), data).backward()
        adam.step()

    return step


ARMS = {
    "matrix products": matrix_products,
    "tinygen by hand": partial(tinygen_step, by_hand),
    "tinygen autograd": partial(tinygen_step, by_autograd()),
    "tinygen by hand, graphs": partial(tinygen_step, by_graphs(by_hand)),
    "tinygen autograd, graphs": partial(tinygen_step, by_graphs(by_autograd())),
    "PyTorch, fused Adam": partial(pytorch, "channels_last"),
    "PyTorch, channels first": partial(pytorch, "contiguous_format"),
}
