"""Layers one after the other, with their parameters in one flat vector."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from tinygen.backend import Array, Backend, get_backend
from tinygen.errors import InputError, refuse_unknown
from tinygen.nn.layers import BatchNorm, Dense, Dropout, Layer, LayerNorm, Maxout
from tinygen.ops import ACTIVATIONS
from tinygen.parameters import Parameters, Shapes

NORMS = ("none", "batch", "layer")


class Sequential:
    """Layers and activations, applied in order.

    The parameters of the k-th layer that has any are called ``W1``, ``b1``, ``gamma2`` and so on.

    Args:
        layers: `Layer` objects, other `Sequential` ones, or functions of one array.

    >>> from tinygen.ops import relu
    >>> net = Sequential(Dense(784, 16), relu, Dense(16, 2))
    >>> p = net.initialise(seed=0)
    >>> p
    Parameters(12594 float32: W1 (784, 16), b1 (16,), W2 (16, 2), b2 (2,))
    >>> net(p, np.zeros((5, 784), np.float32)).shape
    (5, 2)
    """

    def __init__(self, *layers: Layer | Sequential | Callable[[Any], Any]) -> None:
        self.layers: list[Any] = []
        for layer in layers:
            if isinstance(layer, type) or not callable(layer):
                raise InputError(
                    "Sequential: expected layers and functions of one array, one by one, "
                    f"got {layer!r}"
                )
            self.layers += layer.layers if isinstance(layer, Sequential) else [layer]
        self._names: list[dict[str, str]] = []
        self.shapes: dict[str, tuple[int, ...]] = {}
        k = 0
        for layer in self.layers:
            own = layer.shapes if isinstance(layer, Layer) else {}
            k += bool(own)
            self._names.append({name: f"{name}{k}" for name in own})
            self.shapes.update({f"{name}{k}": shape for name, shape in own.items()})

    def initialise(
        self, seed: int, dtype: Any = np.float32, backend: Backend | str = "numpy"
    ) -> Parameters:
        """Parameters as the layers want to start; the same numbers on every backend."""
        return started(self.shapes, self.fill, seed, dtype, backend)

    def fill(self, p: Mapping[str, Any], generator: np.random.Generator, prefix: str = "") -> None:
        """Write the starting values into host arrays that are called ``prefix + name``."""
        for layer, names in zip(self.layers, self._names, strict=True):
            if names:
                for short, value in layer.initialise(generator).items():
                    p[prefix + names[short]][...] = value

    @property
    def size(self) -> int:
        """The number of parameters."""
        return sum(int(np.prod(shape)) for shape in self.shapes.values())

    def draw_masks(self, generator: Any, n: int, dtype: Any = np.float32) -> tuple[Array, ...]:
        """A mask ``(n, width)`` for every `Dropout` layer, for one training step."""
        masks = []
        width = None
        for layer in self.layers:
            width = getattr(layer, "outputs", width)
            if isinstance(layer, Dropout):
                if width is None:
                    raise InputError("Dropout: it must come after a Dense layer")
                masks.append(layer.draw_mask(generator, (n, width), dtype))
        return tuple(masks)

    def statistics(self) -> dict[str, Array]:
        """Copies of the `BatchNorm` layers' running averages, by name, for a checkpoint to keep."""
        return {
            f"{name}{k}": array.copy()
            for k, layer in enumerate(self.layers)
            for name, array in getattr(layer, "statistics", {}).items()
        }

    def restore_statistics(self, saved: Mapping[str, Array]) -> None:
        """Put back what `statistics` gave; nothing, if that was before the first batch."""
        for k, layer in enumerate(self.layers):
            if hasattr(layer, "statistics"):
                names = ("mean", "variance") if saved else ()
                layer.statistics = {name: saved[f"{name}{k}"].copy() for name in names}

    def __call__(
        self,
        p: Mapping[str, Any],
        x: Any,
        *,
        training: bool = False,
        masks: Sequence[Array] = (),
        settled: Mapping[str, Mapping[str, Array]] | None = None,
    ) -> Any:
        """The output for the rows of `x`: ``(n, inputs) -> (n, outputs)``.

        Args:
            p: arrays or Tensors by name.
            x: the input, an array or a Tensor.
            training: whether dropout drops and batch norm uses the batch.
            masks: from `draw_masks`, one for each `Dropout`, when training.
            settled: from `settle`, what batch norm uses in the place of its running averages.
        """
        for y in self.outputs(p, x, training=training, masks=masks, settled=settled):
            x = y
        return x

    def outputs(
        self,
        p: Mapping[str, Any],
        x: Any,
        *,
        training: bool = False,
        masks: Sequence[Array] = (),
        settled: Mapping[str, Mapping[str, Array]] | None = None,
    ) -> Iterator[Any]:
        """What each layer gives, one after the other; the last is what a call returns."""
        if training:
            drops = sum(isinstance(layer, Dropout) for layer in self.layers)
            if len(masks) != drops:
                raise InputError(
                    f"Dropout: {len(masks)} masks came for {drops} layers; "
                    "pass masks=net.draw_masks(generator, n)"
                )
        waiting = iter(masks)
        for layer, names in zip(self.layers, self._names, strict=True):
            own = {short: p[full] for short, full in names.items()}
            if isinstance(layer, Dropout):
                if training:
                    x = _dropped(x, next(waiting))
            elif isinstance(layer, BatchNorm) and settled:
                x = layer(own, x, training=training, statistics=settled[names["gamma"]])
            elif isinstance(layer, Layer):
                x = layer(own, x, training=training)
            else:
                x = layer(x)
            yield x

    def settle(self, p: Mapping[str, Any], x: Any) -> dict[str, dict[str, Array]]:
        """For each `BatchNorm` its statistics on the rows of `x`; pass them as ``settled=``.

        That serves parameters that no batch was seen with, such as an average of a training's.
        """
        settled: dict[str, dict[str, Array]] = {}
        for k, (layer, names) in enumerate(zip(self.layers, self._names, strict=True)):
            if isinstance(layer, BatchNorm):
                # Up to here the network is run anew: each norm depends on those before it.
                before = Sequential(*self.layers[:k])
                settled[names["gamma"]] = layer.settle(before(p, x, settled=settled))
        return settled


def started(
    shapes: Shapes,
    fill: Callable[[Parameters, np.random.Generator], None],
    seed: int,
    dtype: Any,
    backend: Backend | str,
) -> Parameters:
    """Parameters that `fill` writes on the host in float64, so that all backends start alike."""
    backend = get_backend(backend) if isinstance(backend, str) else backend
    host = Parameters.zeros(shapes, np.float64, get_backend("numpy"))
    fill(host, np.random.default_rng(seed))
    return host.to(backend, dtype)


def mlp(
    sizes: Sequence[int],
    activation: str = "relu",
    dropout: float = 0.0,
    weights: str = "he_normal",
    biases: str = "zeros",
    norm: str = "none",
) -> Sequential:
    """Dense layers of the given widths, with an activation between them and none at the end.

    Args:
        activation: a name in `tinygen.ops.ACTIVATIONS`, or "maxout", of 5 pieces.
        norm: one of `NORMS`, between a hidden layer and its activation. It is a batch norm that
            keeps no average; see `Sequential.settle`.

    >>> mlp([784, 512, 32]).shapes
    {'W1': (784, 512), 'b1': (512,), 'W2': (512, 32), 'b2': (32,)}
    >>> mlp([784, 512, 32], norm="batch").shapes
    {'W1': (784, 512), 'gamma2': (512,), 'beta2': (512,), 'W3': (512, 32), 'b3': (32,)}
    """
    refuse_unknown("activation", activation, (*ACTIVATIONS, "maxout"))
    refuse_unknown("norm", norm, NORMS)
    if activation == "maxout" and norm != "none":
        raise InputError(f"maxout has no place for a {norm} norm before its activation")
    *hidden, last = pairwise(sizes)
    layers: list[Any] = []
    for inputs, outputs in hidden:
        if activation == "maxout":
            layers.append(Maxout(inputs, outputs, weights=weights, biases=biases))
        elif norm == "batch":
            layers += [Dense(inputs, outputs, weights, None), BatchNorm(outputs, momentum=0)]
        elif norm == "layer":
            layers += [Dense(inputs, outputs, weights, biases), LayerNorm(outputs)]
        else:
            layers.append(Dense(inputs, outputs, weights, biases))
        if activation != "maxout":
            layers.append(ACTIVATIONS[activation])
        if dropout:
            layers.append(Dropout(dropout))
    return Sequential(*layers, Dense(*last, weights, biases))


def _dropped(x: Any, mask: Array) -> Any:
    # A mask for one row would broadcast, and drop the same units in every row.
    if mask.shape != x.shape:
        raise InputError(f"Dropout: the mask is {mask.shape}, x is {x.shape}; expected one shape")
    return x * mask
