"""A network for PyTorch: the Python expression that builds it there, and its weights by name.

PyTorch is not needed for this. There a dense layer's weight is ``(outputs, inputs)`` and a
convolution's ``(outputs, inputs, k, k)``, and images are ``(n, c, h, w)``, channels first. So where
rows become images, or images rows, the units of the adjacent dense layer have another order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygen.backend import to_host
from tinygen.backend.patches import margins, output_size, smallest_size
from tinygen.errors import InputError
from tinygen.nn import (
    BatchNorm,
    Conv,
    ConvTranspose,
    Dense,
    Dropout,
    LayerNorm,
    Maxout,
    Reshape,
    Sequential,
)
from tinygen.ops import (
    elu,
    gelu,
    leaky_relu,
    linear,
    log_softmax,
    relu,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)
from tinygen.parameters import part

Arrays = dict[str, np.ndarray]

FUNCTIONS: dict[Callable[..., Any], str] = {
    linear: "nn.Identity()",
    relu: "nn.ReLU()",
    leaky_relu: "nn.LeakyReLU(0.01)",
    elu: "nn.ELU()",
    gelu: 'nn.GELU(approximate="tanh")',
    silu: "nn.SiLU()",
    tanh: "nn.Tanh()",
    sigmoid: "nn.Sigmoid()",
    softplus: "nn.Softplus()",
    softmax: "nn.Softmax(dim=-1)",
    log_softmax: "nn.LogSoftmax(dim=-1)",
}
"""The functions that PyTorch has, too, with the same constants."""


class TorchNetwork(NamedTuple):
    """A network as PyTorch has it.

    Attributes:
        source: an expression that builds it, with ``import torch`` and ``from torch import nn``.
        state_dict: its weights, on the host, by the names that ``state_dict()`` has there.

    >>> net = Sequential(Dense(2, 3), relu)
    >>> source, weights = to_torch(net, net.initialise(seed=0))
    >>> print(source)
    nn.Sequential(
        nn.Linear(2, 3),
        nn.ReLU(),
    )
    """

    source: str
    state_dict: Arrays


def to_torch(model: Any, parameters: Mapping[str, Any] | None = None) -> TorchNetwork:
    """A trained model, or a model or `Sequential` and its parameters, for PyTorch::

        source, weights = tg.to_torch(trained)
        net = eval(source)              # or print(source), and paste it; from torch import nn
        net.load_state_dict({name: torch.from_numpy(x) for name, x in weights.items()})
        net.eval()

    A model of several networks becomes an ``nn.ModuleDict`` of them, such as ``net["encoder"]``; a
    decoder ends with its sigmoid if it has one. The output of a VAE's encoder is the means and then
    the logarithms of the variances. A batch norm of a generator is calibrated as for sampling; one
    of a discriminator uses the statistics of its batch.

    Images go in and come out as rows, as here; but before and after a convolution a row is
    ``c h w``, as an image in PyTorch is, and not ``h w c``. With one channel these are the same.

    Raises:
        InputError: PyTorch has no such layer, the layers form no chain, or there are no parameters.

    >>> net = Sequential(Dense(2, 3), relu)
    >>> p = net.initialise(seed=0)
    >>> weights = to_torch(net, p).state_dict
    >>> bool((weights["0.weight"] == p["W1"].T).all())
    True
    """
    if parameters is None:
        trained = model
        model, parameters = (getattr(trained, k, None) for k in ("model", "parameters"))
        if parameters is None:
            raise InputError(
                "to_torch: expected a trained model, or a model and its parameters, "
                f"got a {type(trained).__name__}"
            )
    if isinstance(model, Sequential):
        return _network(model, parameters)
    networks = getattr(model, "networks", None)
    if networks is None:
        raise InputError(f"to_torch: expected a model or a Sequential, got {type(model).__name__}")
    if [*networks] == [""]:
        return _network(networks[""], parameters)
    parts: dict[str, str] = {}
    state: Arrays = {}
    others = {*parameters}
    for prefix, net in networks.items():
        p = part(parameters, prefix)
        norms = model.calibrate_generator(p) if prefix == "generator." else {}
        one = _network(net, p, norms)
        parts[prefix[:-1]] = one.source
        state |= {prefix + name: x for name, x in one.state_dict.items()}
        others -= {prefix + name for name in net.shapes}
    if others == {"decoder.log_var"}:  # the variance of the pixels of a VAE
        parts["pixels"] = 'nn.ParameterDict({"log_var": nn.Parameter(torch.zeros(1))})'
        state["pixels.log_var"] = _copied(parameters["decoder.log_var"])
    inside = ",\n".join(f'"{name}": {source}' for name, source in parts.items())
    return TorchNetwork(f"nn.ModuleDict({{\n{inside},\n}})", state)


def _network(
    net: Sequential, p: Mapping[str, Any], norms: Mapping[str, Mapping[str, Any]] | None = None
) -> TorchNetwork:
    """A network, given its batch norms' statistics as `Sequential.calibrate` returns them."""
    walk = _Walk(norms or {})
    for k, layer in enumerate(net.layers):
        arrays = {short: _copied(p[name]) for short, name in net.names[k].items()}
        walk.add(layer, arrays, net.names[k], net.layers[k + 1 :])
    inside = ",\n".join(f"    {source}" for source, _ in walk.modules)
    state = {
        f"{k}.{name}": np.ascontiguousarray(x)
        for k, (_, arrays) in enumerate(walk.modules)
        for name, x in arrays.items()
    }
    return TorchNetwork(f"nn.Sequential(\n{inside},\n)", state)


class _Walk:
    """Goes through the layers, and keeps what is known of their input so far.

    Attributes:
        modules: the source of each module of PyTorch, and its arrays.
        width: of a row, if it is known.
        image: the shape ``(h, w, c)`` of an image; None if the input is rows, or if it is unknown.
        order: where column j of PyTorch's rows stands in ours; None if it is column j.
    """

    def __init__(self, norms: Mapping[str, Mapping[str, Any]]) -> None:
        self.norms = norms
        self.modules: list[tuple[str, Arrays]] = []
        self.width: int | None = None
        self.image: tuple[int, ...] | None = None
        self.order: np.ndarray | None = None

    def add(
        self, layer: Any, arrays: Arrays, names: Mapping[str, str], rest: Sequence[Any]
    ) -> None:
        """Add a layer, given its arrays, their names in the network, and the layers after it."""
        if isinstance(layer, Maxout):
            raise _no_counterpart(layer)
        if isinstance(layer, ConvTranspose):
            self._conv_transpose(layer, arrays)
        elif isinstance(layer, Conv):
            self._conv(layer, arrays)
        elif isinstance(layer, Dense):
            self._dense(layer, arrays, _order_behind(rest))
        elif isinstance(layer, Reshape):
            self._reshape(layer)
        elif isinstance(layer, BatchNorm):
            self._batch_norm(layer, arrays, self.norms.get(names["gamma"], layer.statistics))
        elif isinstance(layer, LayerNorm) and not self.image:
            weights = {"weight": arrays["gamma"], "bias": arrays["beta"]}
            source = f"nn.LayerNorm({layer.shapes['gamma'][0]}, eps={layer.epsilon})"
            self._put(source, **{name: self._ordered(x) for name, x in weights.items()})
        elif isinstance(layer, Dropout):
            self._put(f"nn.Dropout{'2d' if self.image else ''}({layer.rate})")
        elif layer in FUNCTIONS:
            self._put(FUNCTIONS[layer])
        else:
            raise _no_counterpart(layer)

    def _put(self, source: str, **arrays: np.ndarray) -> None:
        self.modules.append((source, arrays))

    def _ordered(self, columns: np.ndarray) -> np.ndarray:
        return columns if self.order is None else columns[self.order]

    def _dense(self, layer: Dense, arrays: Arrays, behind: np.ndarray | None) -> None:
        if self.width not in (None, layer.inputs):
            raise InputError(
                f"to_torch: expected layers that are a chain, got one of {layer.inputs} inputs "
                f"behind {self.width} outputs"
            )
        rows = self._ordered(arrays["W"])
        self.width, self.order = layer.outputs, behind
        weights = {"weight": self._ordered(rows.T)}
        if layer.biases:
            weights["bias"] = self._ordered(arrays["b"])
        self._put(f"nn.Linear({layer.inputs}, {layer.outputs}{_bias(layer)})", **weights)

    def _reshape(self, layer: Reshape) -> None:
        if len(layer.shape) == 3 and not self.image:
            h, w, c = self.image = layer.shape
            self._put(f"nn.Unflatten(1, ({c}, {h}, {w}))")
        elif len(layer.shape) == 1 and self.image:
            self.order, self.width, self.image = _order(self.image), layer.shape[0], None
            self._put("nn.Flatten()")
        else:
            raise _no_counterpart(layer)

    def _conv(self, layer: Conv, arrays: Arrays) -> None:
        size, k = self._size(layer), layer.kernel
        (top, bottom), (left, right) = margins(size, k, layer.stride, layer.padding)
        symmetric = top == bottom and left == right
        if not symmetric:
            self._put(f"nn.ZeroPad2d(({left}, {right}, {top}, {bottom}))")
        zeros = (top, left) if symmetric else (0, 0)
        W = arrays["W"].reshape(k, k, layer.inputs, layer.outputs).transpose(3, 2, 0, 1)
        self._put(
            f"nn.Conv2d({layer.inputs}, {layer.outputs}, {k}, stride={layer.stride}, "
            f"padding={zeros}{_bias(layer)})",
            weight=W, **({"bias": arrays["b"]} if layer.biases else {}),
        )  # fmt: skip
        self.image = (*output_size(size, k, layer.stride, layer.padding), layer.outputs)

    def _conv_transpose(self, layer: ConvTranspose, arrays: Arrays) -> None:
        """PyTorch crops both sides equally; where they differ, the result is cropped afterwards."""
        (oh, ow), k, stride = self._size(layer), layer.kernel, layer.stride
        h, w = smallest_size((oh, ow), k, stride, layer.padding)
        h, w = h + layer.output_padding[0], w + layer.output_padding[1]
        (top, bottom), (left, right) = margins((h, w), k, stride, layer.padding)
        symmetric = top == bottom and left == right
        zeros = (top, left) if symmetric else (0, 0)
        cut = (0, 0) if symmetric else (top + bottom, left + right)
        more = tuple(
            length + gone - ((windows - 1) * stride + k - 2 * zero)
            for length, gone, windows, zero in zip((h, w), cut, (oh, ow), zeros, strict=True)
        )
        W = arrays["W"].reshape(layer.inputs, k, k, layer.outputs).transpose(0, 3, 1, 2)
        self._put(
            f"nn.ConvTranspose2d({layer.inputs}, {layer.outputs}, {k}, stride={stride}, "
            f"padding={zeros}, output_padding={more}{_bias(layer)})",
            weight=W, **({"bias": arrays["b"]} if layer.biases else {}),
        )  # fmt: skip
        if not symmetric:
            self._put(f"nn.ZeroPad2d(({-left}, {-right}, {-top}, {-bottom}))")
        self.image = (h, w, layer.outputs)

    def _size(self, layer: Conv) -> tuple[int, int]:
        """Height and width of the images that a convolution gets."""
        if not self.image:
            raise InputError(
                f"to_torch: expected a Reshape(h, w, c) before the first {type(layer).__name__}, "
                "as the size of images decides where zeros are put"
            )
        return self.image[0], self.image[1]

    def _batch_norm(self, layer: BatchNorm, arrays: Arrays, statistics: Mapping[str, Any]) -> None:
        own = {"weight": arrays["gamma"], "bias": arrays["beta"]}
        own |= {f"running_{TORCH[name]}": _copied(x) for name, x in statistics.items()}
        kind = "nn.BatchNorm2d" if self.image else "nn.BatchNorm1d"
        tracked = "" if statistics else ", track_running_stats=False"
        self._put(
            f"{kind}({layer.shapes['gamma'][0]}, eps={layer.epsilon}{tracked})",
            **{name: x if self.image else self._ordered(x) for name, x in own.items()},
        )


TORCH = {"mean": "mean", "variance": "var"}


def _order(image: Sequence[int]) -> np.ndarray:
    """Where the numbers of a channels-first image stand in a channels-last one."""
    return np.arange(np.prod(image)).reshape(image).transpose(2, 0, 1).ravel()


def _order_behind(layers: Sequence[Any]) -> np.ndarray | None:
    """The order of a dense layer's outputs: that of images, if they become images."""
    for layer in layers:
        if isinstance(layer, Reshape):
            return _order(layer.shape) if len(layer.shape) == 3 else None
        if isinstance(layer, Dense):
            return None
    return None


def _bias(layer: Dense) -> str:
    return "" if layer.biases else ", bias=False"


def _copied(x: Any) -> np.ndarray:
    return np.array(to_host(x))


def _no_counterpart(layer: Any) -> InputError:
    name = getattr(layer, "__name__", type(layer).__name__)
    return InputError(f"to_torch: PyTorch has no layer that does the same as {name} here")
