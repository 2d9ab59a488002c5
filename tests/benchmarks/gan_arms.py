"""The arms of `step.py` for a GAN: both players' steps, with their draws and their updates."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

import tinygen as tg
from tinygen.models import GAN
from tinygen.training.graphs import by_graphs
from tinygen.training.learners import AdversarialLearner

MODEL = GAN(
    latent=100,
    generator_hidden=(256, 512, 1024),
    discriminator_hidden=(512, 256),
    generator_norm="batch",
    loss="non-saturating",
)
RATE = 2e-4


def tinygen_step(
    model: GAN, how: str, backend: Any, x: Any, graphs: bool = False
) -> Callable[[], Any]:
    gradients = by_graphs(model.gradients(how)) if graphs else model.gradients(how)
    p, adam = model.initialise(0, backend=backend), partial(tg.Adam, beta1=0.5)
    learner, count = (
        AdversarialLearner(model, p, adam, gradients),
        itertools.count(),
    )

    def step() -> None:
        t = next(count)
        learner.step(learner.draw(x, backend.generator((0, 1, t)), t), RATE)

    return step


def matrix_products(model: GAN, backend: Any, x: Any) -> Callable[[], Any]:
    """Those of both steps, without those of a penalty, written into memory that is there."""
    xp, n, make = backend.xp, len(x), backend.generator(0)
    p = model.initialise(0, backend=backend)

    def half(who: str, rows: int) -> tuple[Any, ...]:
        W = [w for name, w in p.part(who).items() if name.startswith("W")]
        h = [make.standard_normal((rows, w.shape[0]), dtype=np.float32) for w in W]
        y = [make.standard_normal((rows, w.shape[1]), dtype=np.float32) for w in W]
        return W, h, y, [xp.empty_like(a) for a in h], [xp.empty_like(w) for w in W]

    both, alone, other = (
        half("discriminator.", 2 * n),
        half("discriminator.", n),
        half("generator.", n),
    )

    def forward(W: Any, h: Any, y: Any, *_: Any) -> None:
        for w, a, b in zip(W, h, y, strict=True):
            xp.matmul(a, w, out=b)

    def backward(W: Any, h: Any, y: Any, dh: Any, dW: Any, weights: bool, images: bool) -> None:
        for k in range(len(W) - 1, -1, -1):
            if weights:
                xp.matmul(h[k].T, y[k], out=dW[k])
            if k or images:
                xp.matmul(y[k], W[k].T, out=dh[k])

    def step() -> None:
        for part in (other, both, other, alone):
            forward(*part)
        backward(*both, weights=True, images=False)
        backward(*alone, weights=False, images=True)
        backward(*other, weights=True, images=False)

    return step


def pytorch(model: GAN, backend: Any, x: Any) -> Callable[[], Any]:
    import torch
    from torch import nn

    device = "cuda" if backend.name == "cupy" else "cpu"
    layers: list[Any] = []
    for i, o in pairwise((model.latent, *model.generator_hidden)):
        layers += [nn.Linear(i, o, bias=False), nn.BatchNorm1d(o), nn.ReLU()]
    G = nn.Sequential(*layers, nn.Linear(model.generator_hidden[-1], 784), nn.Sigmoid()).to(device)
    layers = []
    for i, o in pairwise((784, *model.discriminator_hidden)):
        layers += [nn.Linear(i, o), nn.LeakyReLU(0.01)]
    D = nn.Sequential(*layers, nn.Linear(model.discriminator_hidden[-1], 1)).to(device)
    optimizers = [
        torch.optim.Adam(net.parameters(), lr=RATE, betas=(0.5, 0.999), fused=True)
        for net in (D, G)
    ]
    real, softplus = torch.from_numpy(backend.to_numpy(x)).to(device), nn.functional.softplus
    n = len(real)

    def penalty(fake: Any) -> Any:
        alpha = torch.rand(n, 1, device=device)
        interpolates = (fake + alpha * (real - fake)).requires_grad_()
        (dx,) = torch.autograd.grad(D(interpolates).sum(), interpolates, create_graph=True)
        return model.weight * ((dx.norm(dim=1) - 1) ** 2).mean()

    def update(net: Any, optimizer: Any, loss: Any) -> None:
        # Of these parameters only: backward() would compute D's gradient in G's step, too.
        gradients = torch.autograd.grad(loss, list(net.parameters()))
        for p, g in zip(net.parameters(), gradients, strict=True):
            p.grad = g
        optimizer.step()

    def step() -> None:
        with torch.no_grad():
            fake = G(torch.randn(n, model.latent, device=device))
        if model.loss == "wasserstein-gp":
            loss = D(fake).mean() - D(real).mean() + penalty(fake)
        else:
            loss = softplus(-D(real)).mean() + softplus(D(fake)).mean()
        update(D, optimizers[0], loss)
        a = D(G(torch.randn(n, model.latent, device=device)))
        update(
            G, optimizers[1], -a.mean() if model.loss == "wasserstein-gp" else softplus(-a).mean()
        )

    return step


def arms(loss: str) -> dict[str, Callable[[Any, Any], Callable[[], Any]]]:
    model = replace(MODEL, loss=loss, penalty=None)
    return {
        "matrix products": partial(matrix_products, model),
        "tinygen by hand": partial(tinygen_step, model, "by-hand"),
        "tinygen autograd": partial(tinygen_step, model, "autograd"),
        "tinygen by hand, graphs": partial(tinygen_step, model, "by-hand", graphs=True),
        "tinygen autograd, graphs": partial(tinygen_step, model, "autograd", graphs=True),
        "PyTorch, fused Adam": partial(pytorch, model),
    }
