"""Layers: descriptions of a computation, whose parameters are passed in at every call.

A layer holds no weights. ``layer.shapes`` names them, ``layer.initialise`` fills them, and
``layer(p, x)`` computes with the mapping `p`, which holds arrays, or Tensors when a gradient is
wanted.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from numbers import Integral
from types import MappingProxyType
from typing import Any

import numpy as np

from tinygen.autograd.operators import raw
from tinygen.backend import Array, namespace, require_floats
from tinygen.backend.fused import fused
from tinygen.errors import InputError, refuse_unknown
from tinygen.nn.initialisers import BIASES, WEIGHTS, Draw
from tinygen.ops import affine, matmul, max, mean, reshape, sqrt, variance

Shapes = Mapping[str, tuple[int, ...]]


class Layer:
    """The interface of a layer; one without parameters need not override `shapes` or `initialise`.

    >>> class Scale(Layer):
    ...     shapes = {"a": (1,)}
    ...     def initialise(self, generator):
    ...         return {"a": np.ones(1)}
    ...     def __call__(self, p, x, *, training=False):
    ...         return x * p["a"]
    >>> from tinygen.nn import Dense, Sequential
    >>> Sequential(Dense(2, 3), Scale()).shapes
    {'W1': (2, 3), 'b1': (3,), 'a2': (1,)}
    """

    shapes: Shapes = MappingProxyType({})

    def initialise(self, generator: np.random.Generator) -> dict[str, Any]:
        """A host array for each name in `shapes`."""
        return {}

    def __call__(self, p: Mapping[str, Any], x: Any, *, training: bool = False) -> Any:
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self._arguments())})"

    def _arguments(self) -> list[str]:
        """The layer's arguments, as they are written in a call."""
        return []


class Dense(Layer):
    """A fully connected layer, ``x W + b``: ``(n, inputs) -> (n, outputs)``.

    Args:
        inputs, outputs: the widths, at least 1.
        weights: a name in `tinygen.nn.WEIGHTS`, or an initialiser of your own.
        biases: a name in `tinygen.nn.BIASES`, or an initialiser of your own; None is no bias, as
            before a batch norm, which would subtract it again.

    Raises:
        InputError: a width is not a positive integer, or a name is unknown.

    >>> layer = Dense(3, 2)
    >>> layer.shapes
    {'W': (3, 2), 'b': (2,)}
    >>> layer({"W": np.ones((3, 2)), "b": np.array([0.0, 10.0])}, np.array([[1.0, 2.0, 3.0]]))
    array([[ 6., 16.]])
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        weights: str | Draw = "he_normal",
        biases: str | Draw | None = "zeros",
    ) -> None:
        inputs, outputs = whole_numbers(type(self).__name__, inputs, outputs)
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

    def _arguments(self) -> list[str]:
        bias = [] if self.biases else ["biases=None"]
        return [str(self.inputs), str(self.outputs), *self._more_arguments(), *bias]

    def _more_arguments(self) -> list[str]:
        return []

    def __call__(self, p: Mapping[str, Any], x: Any, *, training: bool = False) -> Any:
        if self.biases:
            return affine(x, p["W"], p["b"])
        require_floats(x, where=type(self).__name__)
        return matmul(x, p["W"])


class Maxout(Dense):
    """The largest of several affine functions for each output (Goodfellow et al. 2013).

    ``(n, inputs) -> (n, outputs)``; W is ``(inputs, pieces outputs)``, its columns ordered by
    piece, so that NumPy compares long rows. It needs no other activation.

    >>> layer = Maxout(1, 1, pieces=2)  # of x and -x the larger is |x|
    >>> layer({"W": np.array([[1.0, -1.0]]), "b": np.zeros(2)}, np.array([[3.0], [-4.0]]))
    array([[3.],
           [4.]])
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        pieces: int = 5,
        weights: str | Draw = "he_normal",
        biases: str | Draw | None = "zeros",
    ) -> None:
        inputs, outputs, pieces = whole_numbers("Maxout", inputs, outputs, pieces)
        super().__init__(inputs, outputs * pieces, weights, biases)
        self.outputs, self.pieces = outputs, pieces

    def _more_arguments(self) -> list[str]:
        return [f"pieces={self.pieces}"]

    def __call__(self, p: Mapping[str, Any], x: Any, *, training: bool = False) -> Any:
        a = super().__call__(p, x)
        return max(reshape(a, shape=(a.shape[0], self.pieces, self.outputs)), axis=1)


class Dropout(Layer):
    """Drops each element with probability `rate` while training, and scales up the others.

    In images it drops whole channels, since a pixel's neighbours give it away (Tompson et al. 2015;
    PyTorch calls this Dropout2d).

    The mask is an input, drawn beforehand by `Sequential.draw_masks`, so every way of computing
    the gradient sees the same draw (Srivastava et al. 2014, in the inverted form: the scaling
    happens in training, and the trained network needs none).

    >>> mask = Dropout(0.75).draw_mask(np.random.default_rng(0), (1000,), np.float64)
    >>> np.unique(mask)  # what is not dropped counts four times, so the mean stays
    array([0., 4.])
    """

    def __init__(self, rate: float) -> None:
        if not isinstance(rate, (int, float, np.number)) or not 0 <= rate < 1:
            raise InputError(f"Dropout: the rate must be at least 0 and below 1, got {rate!r}")
        self.rate = float(rate)

    def _arguments(self) -> list[str]:
        return [str(self.rate)]

    def draw_mask(self, generator: Any, shape: tuple[int, ...], dtype: Any) -> Array:
        """0 with probability `rate`, else ``1 / (1 - rate)``."""
        require_float_dtype("Dropout", dtype)
        keep = generator.random(shape, dtype=np.float32) >= self.rate
        return keep.astype(dtype) * (1 / (1 - self.rate))


class Reshape(Layer):
    """Rows to images, or images to rows: ``(n, ...) -> (n, *shape)``.

    >>> Reshape(7, 7, 32)({}, np.zeros((5, 1568))).shape
    (5, 7, 7, 32)

    Raises:
        InputError: a row of the input has another number of elements.
    """

    def __init__(self, *shape: int) -> None:
        if not shape:
            raise InputError("Reshape: expected the lengths of one axis or more, got none")
        self.shape = whole_numbers("Reshape", *shape, what="lengths")
        self.outputs = self.shape[-1]

    def _arguments(self) -> list[str]:
        return [*map(str, self.shape)]

    def __call__(self, p: Mapping[str, Any], x: Any, *, training: bool = False) -> Any:
        if prod(x.shape[1:]) != prod(self.shape):
            raise InputError(
                f"Reshape: x is {x.shape}, {prod(x.shape[1:])} elements a row; "
                f"expected {prod(self.shape)} for {self.shape}"
            )
        return reshape(x, shape=(x.shape[0], *self.shape))


class LayerNorm(Layer):
    """Normalises each row to mean 0 and variance 1, then scales and shifts (Ba et al. 2016).

    ``(..., width) -> (..., width)``.

    Raises:
        InputError: the input, or a parameter, has another width.

    >>> layer = LayerNorm(2)
    >>> p = layer.initialise(np.random.default_rng(0))
    >>> layer(p, np.array([[1.0, 3.0], [100.0, 0.0]])).round(4)
    array([[-1.,  1.],
           [ 1., -1.]])
    """

    def __init__(self, width: int, epsilon: float = 1e-5) -> None:
        (width,) = whole_numbers("LayerNorm", width)
        self.epsilon = float(epsilon)  # a NumPy float64 would widen float32
        self.shapes = {"gamma": (width,), "beta": (width,)}

    def _arguments(self) -> list[str]:
        return [str(self.shapes["gamma"][0])]

    def initialise(self, generator: np.random.Generator) -> dict[str, Any]:
        return _scale_and_shift(self.shapes)

    def __call__(self, p: Mapping[str, Any], x: Any, *, training: bool = False) -> Any:
        _refuse_other_width("LayerNorm", x, p, self.shapes)
        m, v = mean(x, axis=-1, keepdims=True), variance(x, axis=-1, keepdims=True)
        return _normalised(x, m, v, self.epsilon, p["gamma"], p["beta"])


class BatchNorm(Layer):
    """Normalises each column to mean 0 and variance 1 over the batch (Ioffe and Szegedy 2015).

    For images a column is a channel, over all pixels of the batch.

    In training it uses the statistics of the batch, through which the gradient flows, and updates
    their running averages; outside training it uses those averages. They are the only state
    that a layer has, and `Sequential.statistics` returns them to be saved. With momentum 0 there
    are none: outside training the layer needs the statistics that `Sequential.calibrate`
    returns. ``(n, width) -> (n, width)`` or ``(n, h, w, width) -> (n, h, w, width)``.

    Raises:
        InputError: the input, a parameter or a statistic has another width.

    >>> layer = BatchNorm(2)
    >>> p = layer.initialise(np.random.default_rng(0))
    >>> layer(p, np.array([[1.0, 100.0], [3.0, 0.0]]), training=True).round(4)
    array([[-1.,  1.],
           [ 1., -1.]])
    """

    def __init__(self, width: int, epsilon: float = 1e-5, momentum: float = 0.1) -> None:
        (width,) = whole_numbers("BatchNorm", width)
        self.epsilon, self.momentum = float(epsilon), float(momentum)
        self.shapes = {"gamma": (width,), "beta": (width,)}
        self.statistics: dict[str, Array] = {}

    def _arguments(self) -> list[str]:
        return [str(self.shapes["gamma"][0])]

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
        """`statistics`, if given, replace the running averages."""
        _refuse_other_width("BatchNorm", x, p, self.shapes, axes=(2, 4))
        known = statistics or self.statistics
        if training:
            m, v = _statistics(x)
            if self.momentum:
                self._update_averages(raw(m), raw(v), _rows(x))
        elif known:
            m, v = known["mean"], known["variance"]
            if not m.shape == v.shape == x.shape[-1:]:
                raise InputError(
                    f"BatchNorm: x is {x.shape}, its statistics are {m.shape} and {v.shape}; "
                    f"expected {x.shape[-1:]}"
                )
        else:
            raise InputError("BatchNorm: it has no statistics before its first training batch")
        return _normalised(x, m, v, self.epsilon, p["gamma"], p["beta"])

    def calibrate(self, x: Array) -> dict[str, Array]:
        """The limit of the running averages if every batch were `x`: mean and unbiased variance."""
        m, v = _statistics(x)
        return {"mean": m, "variance": v * (_rows(x) / (_rows(x) - 1))}

    def _update_averages(self, m: Array, v: Array, n: int) -> None:
        v = v * (n / (n - 1))  # the unbiased estimate, as these are for other data
        xp = namespace(m)
        old = self.statistics or {"mean": xp.zeros_like(m), "variance": xp.ones_like(v)}
        # New arrays: a graph may need the old ones.
        self.statistics = {
            name: old[name] + self.momentum * (new - old[name])
            for name, new in (("mean", m), ("variance", v))
        }


def _rows(x: Any) -> int:
    """How many rows there are of each column, or pixels of each channel."""
    return prod(x.shape[:-1])


def _statistics(x: Any) -> tuple[Any, Any]:
    """Mean and variance of each column."""
    if _rows(x) < 2:
        raise InputError("BatchNorm: a batch of one has no variance; expected two or more")
    axis = tuple(range(x.ndim - 1))
    return mean(x, axis=axis), variance(x, axis=axis)


@fused
def _normalised(x: Any, m: Any, v: Any, epsilon: float, gamma: Any, beta: Any) -> Any:
    return (x - m) / sqrt(v + epsilon) * gamma + beta


def _scale_and_shift(shapes: Shapes) -> dict[str, Any]:
    return {"gamma": np.ones(shapes["gamma"]), "beta": np.zeros(shapes["beta"])}


def _refuse_other_width(
    layer: str, x: Any, p: Mapping[str, Any], shapes: Shapes, axes: tuple[int, ...] = ()
) -> None:
    """An axis of length 1, of the input or of a parameter, would broadcast."""
    require_floats(x, where=layer)
    gamma, beta, width = p["gamma"].shape, p["beta"].shape, shapes["gamma"]
    if not x.shape[-1:] == gamma == beta == width or (axes and len(x.shape) not in axes):
        c = width[0]
        expected = f"(n, {c}) or (n, h, w, {c})" if axes else f"(..., {c})"
        raise InputError(
            f"{layer}: x is {x.shape}, gamma is {gamma}, beta is {beta}; "
            f"expected {expected}, {width}, {width}"
        )


def require_float_dtype(what: str, dtype: Any) -> None:
    """Masks and parameters are floats.

    Raises:
        TypeError: `dtype` is of another kind.
    """
    if np.dtype(dtype).kind != "f":
        raise TypeError(f"{what}: expected a dtype of floats, got {np.dtype(dtype)}")


def whole_numbers(where: str, *numbers: Any, what: str = "widths") -> tuple[int, ...]:
    """Widths or other numbers as Python integers: NumPy's are accepted, but not by JSON."""
    if not all(isinstance(n, Integral) and type(n) is not bool and int(n) >= 1 for n in numbers):
        given = " and ".join(map(repr, numbers))
        raise InputError(f"{where}: {what} must be whole numbers, at least 1, got {given}")
    return tuple(map(int, numbers))


def _named(what: str, name: str | Draw, table: Mapping[str, Draw]) -> Draw:
    if callable(name):
        return name
    refuse_unknown(what, name, table)
    return table[name]
