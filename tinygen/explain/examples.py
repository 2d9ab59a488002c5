"""Small programs to step through, each a function without arguments that returns its trace."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinygen.byhand import pieces
from tinygen.byhand.chain import chain, chain_backward, layers
from tinygen.explain.side_by_side import SideBySide, side_by_side
from tinygen.explain.trace import Trace, trace
from tinygen.losses import mse
from tinygen.models import GAN, VAE
from tinygen.nn import mlp
from tinygen.ops import mean, softplus, tanh
from tinygen.parameters import Parameters

SIDE = 28
IMAGES = 8


def diamond() -> Trace:
    """Three paths lead from x to y, one through b and two through a = x * x: dx = 9 + 12 + 12."""

    def f(x: Any) -> Any:
        a = x * x
        b = x + 1
        y = a * b
        return y

    return trace(f, np.array(3.0))


def dense() -> SideBySide:
    """A network of 3, 4 and 2 units, small enough that every number is on the page."""
    random = np.random.default_rng(0)
    net = mlp([3, 4, 2], activation=tanh)

    def loss(p: Mapping[str, Any], x: Any, target: Any) -> Any:
        y = net(p, x)
        return mse(y, target)

    def by_hand(p: Parameters, x: Any, target: Any) -> Any:
        gradients = p.room_for_gradients(None)
        y, cache = chain(layers(p), x, "tanh")
        R, dy = pieces.mse(y, target)
        chain_backward(dy, layers(p), cache, layers(gradients), to_input=False)
        return R, gradients

    x, target = random.standard_normal((5, 3)), random.standard_normal((5, 2))
    return side_by_side(loss, by_hand, net.initialise(0, dtype=np.float64), x, target)


def vae() -> SideBySide:
    """A VAE trained a little on rings of all sizes: its weights already look like images."""
    model = VAE(SIDE**2, (64,), 4)
    random = np.random.default_rng(0)
    p, f = model.initialise(0, dtype=np.float64), model.gradients("by-hand")
    for _ in range(150):
        _, gradient = f(p, *model.draw(_rings(random, 32), random))
        p.flat -= 0.01 * gradient.flat
    return side_by_side(model.loss, f, p, *model.draw(_rings(random, IMAGES), random))


def gan() -> SideBySide:
    """The generator's turn: its gradient passes through D, whose weights are held constant."""
    random = np.random.default_rng(0)
    model = GAN(2, 2, (6,), (5,), "tanh", "tanh", "none", output="none")
    p, noise = model.initialise(0, dtype=np.float64), random.standard_normal((4, 2))

    def generate(g: Mapping[str, Any], z: Any) -> Any:
        return model.generator(g, z)

    def discriminate(d: Mapping[str, Any], fake: Any) -> Any:
        return model.discriminator(d, fake)

    def generator_loss(g: Mapping[str, Any], d: Mapping[str, Any], z: Any) -> Any:
        fake = generate(g, z)
        logit = discriminate(d, fake)
        return mean(softplus(-logit))

    by_hand = model.gradients("by-hand").generator
    g, d = p.part("generator."), p.part("discriminator.")
    return side_by_side(generator_loss, by_hand, g, {**d}, noise)


def _rings(random: np.random.Generator, n: int) -> np.ndarray:
    """Images of rings, white on black: ``(n, 784)``."""
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    centre = random.uniform(-4, 4, (2, n, 1, 1))
    radius = random.uniform(3, 9, (n, 1, 1))
    distance = np.hypot(x - centre[0], y - centre[1]) - radius
    return np.exp(-(distance**2) / 2).reshape(n, -1)


EXAMPLES: dict[str, Callable[[], Trace | SideBySide]] = {
    "diamond": diamond, "dense": dense, "vae": vae, "gan": gan,
}  # fmt: skip
"""The examples by the names that ``python -m tinygen.explain`` takes."""
