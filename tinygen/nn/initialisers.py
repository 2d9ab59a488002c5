"""The initial weights and biases of a layer.

They are drawn on the host, so that NumPy and CuPy begin with the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import prod, sqrt
from typing import Any

import numpy as np

# In quotes: looking up np.random would import it, a tenth of the time of `import tinygen`.
Draw = Callable[["np.random.Generator", tuple[int, ...]], Any]
"""``(generator, (inputs, outputs)) -> float64 host array`` of that shape.

The weights of a convolution are drawn as ``(kernel, kernel, inputs, outputs)``.
"""


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """How many inputs an output sums (fan-in), and how many outputs an input goes into (fan-out).

    With a stride above 1 the latter are fewer; here they are counted as in PyTorch and Keras.
    """
    *window, inputs, outputs = shape
    return prod(window) * inputs, prod(window) * outputs


def _normal(
    variance: Callable[[int, int], float], generator: np.random.Generator, shape: tuple[int, ...]
) -> Any:
    return generator.standard_normal(shape) * sqrt(variance(*_fans(shape)))


def _uniform(
    variance: Callable[[int, int], float], generator: np.random.Generator, shape: tuple[int, ...]
) -> Any:
    # A uniform variable on (-a, a) has variance a^2 / 3.
    limit = sqrt(3 * variance(*_fans(shape)))
    return generator.uniform(-limit, limit, shape)


def _glorot(inputs: int, outputs: int) -> float:
    """The variance of Glorot and Bengio 2010."""
    return 2 / (inputs + outputs)


def _he(inputs: int, outputs: int) -> float:
    """The variance of He et al. 2015."""
    return 2 / inputs


def _lecun(inputs: int, outputs: int) -> float:
    """The variance of LeCun et al. 1998."""
    return 1 / inputs


# partial rather than a closure, so that a layer can be pickled.
WEIGHTS: dict[str, Draw] = {
    "glorot_normal": partial(_normal, _glorot),
    "glorot_uniform": partial(_uniform, _glorot),
    "he_normal": partial(_normal, _he),
    "he_uniform": partial(_uniform, _he),
    "lecun_normal": partial(_normal, _lecun),
    "lecun_uniform": partial(_uniform, _lecun),
}
"""Initialisers of weights ``(inputs, outputs)`` or ``(kernel, kernel, inputs, outputs)``."""


def zeros(generator: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """All zero, the usual choice for a bias."""
    return np.zeros(shape[1:])


def small_uniform(generator: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Uniform within ``1 / sqrt(inputs)``, as PyTorch initialises the biases of its layers."""
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
"""Initialisers of biases; they are passed ``(inputs, outputs)``, where inputs is the fan-in."""
