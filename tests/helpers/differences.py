"""Central differences along a direction, and activations as a textbook has them."""

from __future__ import annotations

import math

import numpy as np

NON_SMOOTH = {"relu", "leaky_relu"}

STEP = 6e-6  # eps^(1/3) of float64: the best step of a central difference, autoencoder.md (F3)
TOLERANCE = 1e-7  # the error there is about eps^(2/3) = 4e-11; the rest is room for curvature
MARGIN = 1e-3  # how far from a kink a number must stay; a step of 6e-6 moves it far less

PHI = {
    "none": lambda a: a,
    "relu": lambda a: a if a > 0 else 0.0,
    "leaky_relu": lambda a: a if a > 0 else 0.01 * a,
    "elu": lambda a: a if a > 0 else math.exp(a) - 1,
    "gelu": lambda a: 0.5 * a * (1 + math.tanh(math.sqrt(2 / math.pi) * (a + 0.044715 * a**3))),
    "tanh": math.tanh,
    "sigmoid": lambda a: 1 / (1 + math.exp(-a)),
    "softplus": lambda a: math.log(1 + math.exp(a)),
}


def directional_derivative(f, p, v, step=STEP):
    """The central difference of f at p along v."""
    return (f(p.like(p.flat + step * v)) - f(p.like(p.flat - step * v))) / (2 * step)


def check_directional_derivatives(loss_and_grads, p, data, options, rng):
    """The gradient against differences of its loss, along itself and along a random direction."""
    loss, gradients = loss_and_grads(p, *data, **options)
    assert gradients.shapes == p.shapes
    for v in (gradients.flat, rng.standard_normal(p.flat.size)):
        length = np.linalg.norm(v)
        if length == 0:
            continue
        v = v / length
        measured = directional_derivative(lambda q: loss_and_grads(q, *data, **options)[0], p, v)
        scale = np.linalg.norm(gradients.flat) + abs(loss)  # `measured` has the loss's rounding
        assert abs(measured - gradients.flat @ v) <= TOLERANCE * scale
