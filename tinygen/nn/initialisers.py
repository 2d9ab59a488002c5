"""The initial weights and biases of a layer.

They are drawn on the host, so that NumPy and CuPy begin with the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np

# In quotes: looking np.random up would import it, a tenth of the time of `import tinygen`.
Draw = Callable[["np.random.Generator", tuple[int, ...]], Any]
"""``(generator, (inputs, outputs)) -> float64 host array`` of that shape."""


def _normal(variance: Callable[[int, int], float], source: str) -> Draw:
    def draw(generator: np.random.Generator, shape: tuple[int, ...]) -> Any:
        return generator.standard_normal(shape) * sqrt(variance(*shape))

    draw.__doc__ = f"Normal with the variance of {source}."
    return draw


def _uniform(variance: Callable[[int, int], float], source: str) -> Draw:
    def draw(generator: np.random.Generator, shape: tuple[int, ...]) -> Any:
        # A uniform variable on (-a, a) has variance a^2 / 3.
        limit = sqrt(3 * variance(*shape))
        return generator.uniform(-limit, limit, shape)

    draw.__doc__ = f"Uniform with the variance of {source}."
    return draw


def _glorot(inputs: int, outputs: int) -> float:
    return 2 / (inputs + outputs)


def _he(inputs: int, outputs: int) -> float:
    return 2 / inputs


def _lecun(inputs: int, outputs: int) -> float:
    return 1 / inputs


WEIGHTS: dict[str, Draw] = {
    "glorot_normal": _normal(_glorot, "Glorot and Bengio 2010: 2 / (inputs + outputs)"),
    "glorot_uniform": _uniform(_glorot, "Glorot and Bengio 2010: 2 / (inputs + outputs)"),
    "he_normal": _normal(_he, "He et al. 2015: 2 / inputs"),
    "he_uniform": _uniform(_he, "He et al. 2015: 2 / inputs"),
    "lecun_normal": _normal(_lecun, "LeCun et al. 1998: 1 / inputs"),
    "lecun_uniform": _uniform(_lecun, "LeCun et al. 1998: 1 / inputs"),
}
"""Initialisers of weight matrices ``(inputs, outputs)``."""


def zeros(generator: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """All zero, the usual choice for a bias."""
    return np.zeros(shape[1:])


def small_uniform(generator: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Uniform within ``1 / sqrt(inputs)``, as PyTorch's ``Linear`` initialises its biases."""
    limit = 1 / sqrt(shape[0])
    return generator.uniform(-limit, limit, shape[1:])


def small_normal(generator: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Normal with standard deviation 0.01."""
    return 0.01 * generator.standard_normal(shape[1:])


BIASES: dict[str, Draw] = {
    "zeros": zeros,
    "uniform": small_uniform,
    "normal": small_normal,
}
"""Initialisers of biases; they are passed the shape ``(inputs, outputs)`` of the weights."""
