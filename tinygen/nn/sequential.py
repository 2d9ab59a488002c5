"""Layers applied in order, with their parameters in one flat vector."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tinygen.backend import Array, Backend, get_backend, require_floats
from tinygen.display import html_table
from tinygen.errors import InputError, require_seed
from tinygen.nn.layers import BatchNorm, Dropout, Layer, require_float_dtype
from tinygen.parameters import Parameters, Shapes, refuse_unnamed


class Sequential:
    """Layers and activations, applied in order.

    The parameters of the k-th layer that has any are called ``W1``, ``b1``, ``gamma2`` and so on.

    Args:
        layers: `Layer` or `Sequential` objects, or functions of one array, such as
            ``partial(max_pool, kernel=2)``.

    Attributes:
        layers: all of them in one list, with those of inner `Sequential` objects unpacked.
        names: for each layer what its parameters are called, such as ``{"W": "W1", "b": "b1"}``.
        shapes: of all parameters, by name.

    >>> from tinygen.nn import Dense
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
                    "Sequential: expected layers and functions of one array as arguments, "
                    f"got {layer!r}"
                )
            self.layers += layer.layers if isinstance(layer, Sequential) else [layer]
        self.names: list[dict[str, str]] = []
        self.shapes: dict[str, tuple[int, ...]] = {}
        k = 0
        for layer in self.layers:
            own = layer.shapes if isinstance(layer, Layer) else {}
            k += bool(own)
            self.names.append({name: f"{name}{k}" for name in own})
            self.shapes.update({f"{name}{k}": shape for name, shape in own.items()})

    def initialise(
        self, seed: int, dtype: Any = np.float32, backend: Backend | str = "numpy"
    ) -> Parameters:
        """The initial parameters; the same numbers on every backend."""
        return initialise_parameters(self.shapes, self.fill, seed, dtype, backend)

    def fill(self, p: Mapping[str, Any], generator: np.random.Generator, prefix: str = "") -> None:
        """Write the initial values into the host arrays named ``prefix + name``."""
        for layer, names in zip(self.layers, self.names, strict=True):
            if names:
                values = layer.initialise(generator)
                if {*values} != {*layer.shapes}:
                    raise InputError(
                        f"{type(layer).__name__}: expected initialise to return arrays for "
                        f"{', '.join(layer.shapes)}, got {', '.join(values) or 'none'}"
                    )
                for short, value in values.items():
                    expected = layer.shapes[short]
                    if np.shape(value) != expected:  # it might broadcast
                        raise InputError(
                            f"{names[short]}: its initialiser returned {np.shape(value)}, "
                            f"expected {expected}"
                        )
                    p[prefix + names[short]][...] = value

    @property
    def size(self) -> int:
        """The number of parameters."""
        return sum(int(np.prod(shape)) for shape in self.shapes.values())

    def __repr__(self) -> str:
        return f"Sequential({', '.join(map(_shown, self.layers))})"

    def _repr_html_(self) -> str:
        rows = [
            (_shown(layer), ", ".join(f"{name} {self.shapes[name]}" for name in names.values()))
            for layer, names in zip(self.layers, self.names, strict=True)
        ]
        return html_table(f"{self.size} parameters", ("layer", "parameters"), rows)

    def draw_masks(self, generator: Any, n: int, dtype: Any = np.float32) -> tuple[Array, ...]:
        """A mask ``(n, width)`` for every `Dropout` layer, for one training step.

        For images the width is their number of channels.
        """
        masks = []
        width = None
        for layer in self.layers:
            width = getattr(layer, "outputs", width)
            if isinstance(layer, Dropout):
                if width is None:
                    raise InputError(
                        "Dropout: it must come after a Dense layer or another that has a width"
                    )
                masks.append(layer.draw_mask(generator, (n, width), dtype))
        return tuple(masks)

    def statistics(self) -> dict[str, Array]:
        """Copies of the `BatchNorm` layers' running averages, by name, for a checkpoint."""
        return {
            f"{name}{k}": array.copy()
            for k, layer in enumerate(self.layers)
            for name, array in getattr(layer, "statistics", {}).items()
        }

    def restore_statistics(self, saved: Mapping[str, Array]) -> None:
        """Restore what `statistics` returned, which is empty before the first batch."""
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
        calibrated: Mapping[str, Mapping[str, Array]] | None = None,
    ) -> Any:
        """The output for the rows of `x`: ``(n, inputs) -> (n, outputs)``.

        Args:
            p: arrays or Tensors by name.
            x: the input, an array or a Tensor.
            training: whether dropout is active and batch norm uses the statistics of the batch.
            masks: from `draw_masks`, one for each `Dropout` layer, in training.
            calibrated: from `calibrate`, the statistics that replace batch norm's running averages.
        """
        for y in self.outputs(p, x, training=training, masks=masks, calibrated=calibrated):
            x = y
        return x

    def outputs(
        self,
        p: Mapping[str, Any],
        x: Any,
        *,
        training: bool = False,
        masks: Sequence[Array] = (),
        calibrated: Mapping[str, Mapping[str, Array]] | None = None,
    ) -> Iterator[Any]:
        """The output of each layer in turn; the last is what a call returns."""
        if training:
            drops = sum(isinstance(layer, Dropout) for layer in self.layers)
            if len(masks) != drops:
                raise InputError(
                    f"Dropout: expected a mask for each of {drops} layers, got {len(masks)}; "
                    "pass masks=net.draw_masks(generator, n)"
                )
        refuse_unnamed(p)
        remaining = iter(masks)
        for layer, names in zip(self.layers, self.names, strict=True):
            try:
                own = {short: p[full] for short, full in names.items()}
            except KeyError as missing:
                raise self._other_names(p) from missing
            if isinstance(layer, Dropout):
                if training:
                    x = _drop(x, next(remaining))
            elif isinstance(layer, BatchNorm) and calibrated:
                x = layer(own, x, training=training, statistics=calibrated[names["gamma"]])
            elif isinstance(layer, Layer):
                x = layer(own, x, training=training)
            else:
                x = layer(x)
            yield x

    def _other_names(self, p: Mapping[str, Any]) -> InputError:
        """The error for parameters among which one of the network's is missing."""
        expected, given = (", ".join(names) or "none" for names in (self.shapes, p))
        return InputError(f"Sequential: expected the parameters {expected}, got {given}")

    def calibrate(self, p: Mapping[str, Any], x: Any) -> dict[str, dict[str, Array]]:
        """The statistics of each `BatchNorm` on the rows of `x`; pass them as ``calibrated=``.

        They suit parameters that no training step has used, such as a moving average.
        """
        calibrated: dict[str, dict[str, Array]] = {}
        for k, (layer, names) in enumerate(zip(self.layers, self.names, strict=True)):
            if isinstance(layer, BatchNorm):
                # The layers before it are run again: their norms have to be calibrated first.
                before = Sequential(*self.layers[:k])
                calibrated[names["gamma"]] = layer.calibrate(before(p, x, calibrated=calibrated))
        return calibrated


def initialise_parameters(
    shapes: Shapes,
    fill: Callable[[Parameters, np.random.Generator], None],
    seed: int,
    dtype: Any,
    backend: Backend | str,
) -> Parameters:
    """Parameters that `fill` writes on the host in float64: the same on every backend."""
    require_float_dtype("initialise", dtype)
    require_seed(seed)
    backend = get_backend(backend) if isinstance(backend, str) else backend
    host = Parameters.zeros(shapes, np.float64, get_backend("numpy"))
    fill(host, np.random.default_rng(seed))
    return host.to(backend, dtype)


def _shown(layer: Any) -> str:
    """A layer as one would write it, a function by its name."""
    return repr(layer) if isinstance(layer, Layer) else getattr(layer, "__name__", repr(layer))


def _drop(x: Any, mask: Array) -> Any:
    if len(x.shape) == 4 and mask.shape == (x.shape[0], x.shape[3]):
        mask = mask.reshape(x.shape[0], 1, 1, x.shape[3])  # whole channels
    # A mask with a single row would broadcast, and drop the same units in every row.
    elif mask.shape != x.shape:
        raise InputError(f"Dropout: the mask is {mask.shape}, x is {x.shape}; expected one shape")
    require_floats(mask, where="Dropout")
    return x * mask
