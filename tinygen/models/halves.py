"""An encoder and a decoder whose parameters lie in one vector."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from tinygen.backend import Backend
from tinygen.errors import InputError
from tinygen.nn import Sequential, mlp
from tinygen.nn.sequential import started
from tinygen.parameters import Parameters


class EncoderDecoder:
    """An encoder ``pixels -> hidden -> code``, and its mirror image, the decoder.

    A model derives from it, has these options as fields, and adds its loss.
    """

    pixels: int
    hidden: tuple[int, ...]
    latent: int
    activation: str
    dropout: float = 0.0
    weights: str
    biases: str

    heads: ClassVar[int] = 1
    """How many numbers the encoder gives for each one of the code."""

    @cached_property
    def encoder(self) -> Sequential:
        return self._half((self.pixels, *self.hidden, self.heads * self.latent))

    @cached_property
    def decoder(self) -> Sequential:
        return self._half((self.latent, *reversed(self.hidden), self.pixels))

    def _half(self, sizes: Sequence[int]) -> Sequential:
        return mlp(sizes, self.activation, self.dropout, self.weights, self.biases)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The parameters' names and shapes: ``encoder.W1``, ``encoder.b1``, ... ``decoder.b3``."""
        halves = {"encoder": self.encoder, "decoder": self.decoder}
        return {f"{h}.{n}": shape for h, net in halves.items() for n, shape in net.shapes.items()}

    def initialise(
        self, seed: int, dtype: Any = np.float32, backend: Backend | str = "numpy"
    ) -> Parameters:
        """The starting parameters; the same numbers on every backend."""
        return started(self.shapes, self._fill, seed, dtype, backend)

    def _fill(self, p: Parameters, generator: np.random.Generator) -> None:
        self.encoder.fill(p, generator, "encoder.")
        self.decoder.fill(p, generator, "decoder.")


def make_floats(model: Any, names: Sequence[str]) -> None:
    """Numbers of a frozen model as Python's floats: a NumPy one would turn float32 into float64.

    Raises:
        InputError: one is negative or not finite.
    """
    for name in names:
        object.__setattr__(model, name, float(getattr(model, name)))
        if not 0 <= getattr(model, name) < np.inf:
            raise InputError(f"{name} must be at least 0, got {getattr(model, name)}")
