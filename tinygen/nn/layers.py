"""Layers: descriptions of a computation, whose parameters are passed in at every call.

A layer holds no weights. ``layer.shapes`` names them, ``layer.initialise`` fills them, and
``layer(p, x)`` computes with the mapping `p`, which holds arrays, or Tensors when a gradient is
wanted.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from tinygen.autograd.tensor import raw
from tinygen.backend import Array, namespace
from tinygen.errors import InputError, refuse_unknown
from tinygen.nn.initialisers import BIASES, WEIGHTS, Draw
from tinygen.ops import affine, matmul, max, mean, reshape, sqrt, variance

Shapes = Mapping[str, tuple[int, ...]]


class Layer:
    """What every layer offers; one without parameters need not change `shapes`."""

    shapes: Shapes = MappingProxyType({})

    def initialise(self, generator: np.random.Generator) -> dict[str, Any]:
        """A host array for each name in `shapes`."""
        return {}

    def __call__(self, p: Mapping[str, Any], x: Any, *, training: bool = False) -> Any:
        raise NotImplementedError


class Dense(Layer):
    """A fully connected layer, ``x W + b``: ``(n, inputs) -> (n, outputs)``.

    Args:
        inputs, outputs: the widths, at least 1.
        weights: a name in `tinygen.nn.WEIGHTS`, or a function like those.
        biases: a name in `tinygen.nn.BIASES`, or a function like those; None is no bias, as before
            a batch norm, which would take it away again.

    Raises:
        InputError: a width is no whole number from 1 up, or a name is unknown.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        weights: str | Draw = "he_normal",
        biases: str | Draw | None = "zeros",
    ) -> None:
        _refuse_width(type(self).__name__, inputs, outputs)
        self.inputs, self.outputs = inputs, outputs
        self.weights = _named("weights", weights, WEIGHTS)
        self.biases = None if biases is None else _named("biases", biases, BIASES)
        self.shapes = {"W": (inputs, outputs)} | ({"b": (outputs,)} if self.biases else {})

    def initialise(self, generator: np.random.Generator) -> dict[str, Any]:
        shape = self.shapes["W"]
        drawn = {"W": self.weights(generator, shape)}
        if self.biases:
            drawn["b"] = self.biases(generator, shape)
        return drawn

    def __call__(self, p: Mapping[str, Any], x: Any, *, training: bool = False) -> Any:
        return affine(x, p["W"], p["b"]) if self.biases else matmul(x, p["W"])


class Maxout(Dense):
    """The largest of several affine functions for each output (Goodfellow et al. 2013).

    ``(n, inputs) -> (n, outputs)``; W is ``(inputs, pieces outputs)``: first the first piece of
    every output, so that NumPy compares long rows. It needs no other activation.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        pieces: int = 5,
        weights: str | Draw = "he_normal",
        biases: str | Draw | None = "zeros",
    ) -> None:
        _refuse_width("Maxout", inputs, outputs, pieces)
        super().__init__(inputs, outputs * pieces, weights, biases)
        self.outputs, self.pieces = outputs, pieces

    def __call__(self, p: Mapping[str, Any], x: Any, *, training: bool = False) -> Any:
        a = super().__call__(p, x)
        return max(reshape(a, shape=(x.shape[0], self.pieces, self.outputs)), axis=1)


class Dropout(Layer):
    """Each element is dropped with probability `rate` while training; the others grow to match.

    The mask is an input, drawn beforehand by `Sequential.draw_masks`, so that every way to compute
    the gradient sees the same draw (Srivastava et al. 2014, in the form that scales at training
    time and leaves the trained network alone).
    """

    def __init__(self, rate: float) -> None:
        if not 0 <= rate < 1:
            raise InputError(f"Dropout: the rate must be at least 0 and below 1, got {rate}")
        self.rate = float(rate)

    def draw_mask(self, generator: Any, shape: tuple[int, ...], dtype: Any) -> Array:
        """0 with probability `rate`, else ``1 / (1 - rate)``."""
        kept = generator.random(shape, dtype=np.float32) >= self.rate
        return kept.astype(dtype) * (1 / (1 - self.rate))


class LayerNorm(Layer):
    """Each row brought to mean 0 and variance 1, then scaled and shifted (Ba et al. 2016)."""

    def __init__(self, width: int, epsilon: float = 1e-5) -> None:
        _refuse_width("LayerNorm", width)
        self.epsilon = epsilon
        self.shapes = {"gamma": (width,), "beta": (width,)}

    def initialise(self, generator: np.random.Generator) -> dict[str, Any]:
        return _scale_and_shift(self.shapes)

    def __call__(self, p: Mapping[str, Any], x: Any, *, training: bool = False) -> Any:
        m, v = mean(x, axis=-1, keepdims=True), variance(x, axis=-1, keepdims=True)
        return _normalised(x, m, v, self.epsilon) * p["gamma"] + p["beta"]


class BatchNorm(Layer):
    """Each column brought to mean 0 and variance 1 over the batch (Ioffe and Szegedy 2015).

    While training it uses the statistics of the batch, through which the gradient flows, and
    remembers their running average; afterwards it uses that average. The average is the only state
    that a layer has: it is saved by `Sequential.statistics`. With momentum 0 none is kept, and
    outside of training the layer must be given what `Sequential.settle` found.
    """

    def __init__(self, width: int, epsilon: float = 1e-5, momentum: float = 0.1) -> None:
        _refuse_width("BatchNorm", width)
        self.epsilon, self.momentum = epsilon, momentum
        self.shapes = {"gamma": (width,), "beta": (width,)}
        self.statistics: dict[str, Array] = {}

    def initialise(self, generator: np.random.Generator) -> dict[str, Any]:
        self.statistics = {}
        return _scale_and_shift(self.shapes)

    def __call__(
        self,
        p: Mapping[str, Any],
        x: Any,
        *,
        training: bool = False,
        statistics: Mapping[str, Array] | None = None,
    ) -> Any:
        """`statistics`, if they are given, take the place of the running average."""
        known = statistics or self.statistics
        if training:
            m, v = _statistics(x)
            if self.momentum:
                self._remember(raw(m), raw(v), x.shape[0])
        elif known:
            m, v = known["mean"], known["variance"]
        else:
            raise InputError("BatchNorm: it has seen no batch yet; train it before")
        return _normalised(x, m, v, self.epsilon) * p["gamma"] + p["beta"]

    def settle(self, x: Array) -> dict[str, Array]:
        """What the running average would be if all batches were like the rows of `x`."""
        m, v = _statistics(x)
        return {"mean": m, "variance": v * (x.shape[0] / (x.shape[0] - 1))}

    def _remember(self, m: Array, v: Array, n: int) -> None:
        v = v * (n / (n - 1))  # the unbiased estimate, for data that were not in the batch
        if not self.statistics:
            xp = namespace(m)
            self.statistics = {"mean": xp.zeros_like(m), "variance": xp.ones_like(v)}
        self.statistics["mean"] += self.momentum * (m - self.statistics["mean"])
        self.statistics["variance"] += self.momentum * (v - self.statistics["variance"])


def _statistics(x: Any) -> tuple[Any, Any]:
    """Mean and variance of each column."""
    if x.shape[0] < 2:
        raise InputError("BatchNorm: a batch of one has no variance; expected two or more")
    return mean(x, axis=0), variance(x, axis=0)


def _normalised(x: Any, m: Any, v: Any, epsilon: float) -> Any:
    return (x - m) / sqrt(v + epsilon)


def _scale_and_shift(shapes: Shapes) -> dict[str, Any]:
    return {"gamma": np.ones(shapes["gamma"]), "beta": np.zeros(shapes["beta"])}


def _refuse_width(layer: str, *widths: int) -> None:
    if not all(isinstance(w, int) and w >= 1 for w in widths):
        came = " and ".join(map(str, widths))
        raise InputError(f"{layer}: widths must be whole numbers, at least 1, got {came}")


def _named(what: str, name: str | Draw, table: Mapping[str, Draw]) -> Draw:
    if callable(name):
        return name
    refuse_unknown(what, name, table)
    return table[name]
