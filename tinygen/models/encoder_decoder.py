"""An encoder and a decoder, each a model of its own, and what has both of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from tinygen.backend import Array, Backend
from tinygen.errors import InputError, refuse_unknown
from tinygen.losses import binary_cross_entropy_with_logits, mse
from tinygen.nn import Sequential, mlp
from tinygen.nn.sequential import started
from tinygen.ops import sigmoid
from tinygen.parameters import Parameters

RECONSTRUCTIONS = ("mse", "bce")
OUTPUTS = ("sigmoid", "none")


class Half:
    """A dense network whose parameters are called ``W1``, ``b1`` and so on."""

    activation: str
    dropout: float
    weights: str
    biases: str

    @cached_property
    def net(self) -> Sequential:
        """From its first layer to its last, which has no activation."""
        return mlp(self._sizes, self.activation, self.dropout, self.weights, self.biases)

    @property
    def _sizes(self) -> Sequence[int]:
        raise NotImplementedError

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The parameters' names and shapes: ``W1``, ``b1``, ..."""
        return self.net.shapes

    def initialise(
        self, seed: int, dtype: Any = np.float32, backend: Backend | str = "numpy"
    ) -> Parameters:
        """The starting parameters; the same numbers on every backend."""
        return self.net.initialise(seed, dtype, backend)


@dataclass(frozen=True)
class Encoder(Half):
    """A dense network ``pixels -> hidden -> latent``, whose last layer, the code, is linear.

    Args:
        pixels, hidden, latent: the widths.
        activation: a name in `tinygen.ops.ACTIVATIONS`.
        dropout: the probability with which a hidden unit is dropped in a training step.
        heads: how many columns the last layer has for each number of the code: 2 for that of a
            VAE, whose means come first and then the logarithms of its variances.
        weights, biases: initialisers, names in `tinygen.nn.WEIGHTS` and `tinygen.nn.BIASES`.

    Raises:
        InputError: a width or a name makes no sense.

    >>> encoder = Encoder(pixels=784, hidden=(512, 256), latent=32)
    >>> encoder(encoder.initialise(seed=0), np.zeros((5, 784), np.float32)).shape
    (5, 32)
    """

    pixels: int = 784
    hidden: tuple[int, ...] = (512, 256)
    latent: int = 32
    activation: str = "elu"
    dropout: float = 0.0
    heads: int = 1
    weights: str = "glorot_uniform"
    biases: str = "zeros"

    def __post_init__(self) -> None:
        _ = self.net  # building it checks the widths and the names

    @property
    def _sizes(self) -> Sequence[int]:
        return self.pixels, *self.hidden, self.heads * self.latent

    def __call__(self, p: Mapping[str, Any], x: Any) -> Any:
        """Images to codes, a VAE's to their means: ``(n, pixels) -> (n, latent)``."""
        return self.net(p, x)[:, : self.latent]


@dataclass(frozen=True)
class Decoder(Half):
    """A dense network ``latent -> hidden -> pixels``, which makes images of codes.

    By itself it can be trained to invert an encoder that stays what it is: its loss is that of an
    autoencoder, with codes in the place of an encoder.

    Args:
        latent, hidden, pixels: the widths.
        activation: a name in `tinygen.ops.ACTIVATIONS`.
        dropout: the probability with which a hidden unit is dropped in a training step.
        output: "sigmoid", or "none" for a linear output.
        reconstruction: "mse", the mean over pixels and images; or "bce", cross-entropy in nats per
            image, which needs the sigmoid.
        weights, biases: initialisers, names in `tinygen.nn.WEIGHTS` and `tinygen.nn.BIASES`.

    Raises:
        InputError: a width, a name or a combination makes no sense.
    """

    latent: int = 32
    hidden: tuple[int, ...] = (256, 512)
    pixels: int = 784
    activation: str = "elu"
    dropout: float = 0.0
    output: str = "sigmoid"
    reconstruction: str = "mse"
    weights: str = "glorot_uniform"
    biases: str = "zeros"

    def __post_init__(self) -> None:
        refuse_unknown("loss", self.reconstruction, RECONSTRUCTIONS)
        refuse_unknown("output", self.output, OUTPUTS)
        if self.reconstruction == "bce" and self.output != "sigmoid":
            raise InputError("the loss bce is that of probabilities; it needs the output sigmoid")
        _ = self.net  # building it checks the widths and the other names

    @property
    def _sizes(self) -> Sequence[int]:
        return self.latent, *self.hidden, self.pixels

    @property
    def terms(self) -> dict[str, Any]:
        """What the loss is made of: the keywords of `tinygen.byhand.autoencoder`."""
        return {
            "activation": self.activation,
            "output": self.output,
            "loss": self.reconstruction,
        }

    def __call__(self, p: Mapping[str, Any], z: Any) -> Any:
        """Codes to images: ``(n, latent) -> (n, pixels)``."""
        return self.squashed(self.net(p, z))

    def squashed(self, a: Any) -> Any:
        """What the last layer gives, as images."""
        return sigmoid(a) if self.output == "sigmoid" else a

    def draw(
        self, x: Array, generator: Any, step: int = 0, codes: Array | None = None
    ) -> tuple[Any, ...]:
        """What `loss` takes in one training step on the images `x`: ``(x, codes, masks)``.

        Raises:
            InputError: the codes are missing, or have another shape.
        """
        expected, came = (x.shape[0], self.latent), getattr(codes, "shape", None)
        if came != expected:
            raise InputError(f"the decoder needs codes of shape {expected}, got {came}")
        return x, codes, self.net.draw_masks(generator, x.shape[0], x.dtype)

    def loss(self, p: Mapping[str, Any], x: Array, codes: Any, masks: Sequence[Array] = ()) -> Any:
        """How far images decoded from `codes` are from `x`; Tensors in `p` record it for autograd.

        Args:
            x: the images that the codes are those of, ``(n, pixels)``.
            codes: ``(n, latent)``.
            masks: a dropout mask for each hidden layer; without them nothing is dropped.
        """
        a = self.net(p, codes, training=bool(masks), masks=masks)
        if self.reconstruction == "mse":
            return mse(self.squashed(a), x)
        return binary_cross_entropy_with_logits(a, x)


class EncoderDecoder:
    """An `Encoder` ``pixels -> hidden -> code`` and its mirror image, a `Decoder`, in one vector.

    A model derives from it, has these options as fields, and adds its loss. The parameters of each
    half are ``p.part("encoder.")`` and ``p.part("decoder.")``.
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
    def encoder(self) -> Encoder:
        return Encoder(
            self.pixels, self.hidden, self.latent, self.activation, self.dropout, self.heads,
            self.weights, self.biases,
        )  # fmt: skip

    @cached_property
    def decoder(self) -> Decoder:
        return Decoder(
            self.latent, self.hidden[::-1], self.pixels, self.activation, self.dropout,
            weights=self.weights, biases=self.biases, **self._decoded,
        )  # fmt: skip

    @property
    def _decoded(self) -> dict[str, str]:
        """The decoder's output and reconstruction."""
        raise NotImplementedError

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The parameters' names and shapes: ``encoder.W1``, ``encoder.b1``, ... ``decoder.b3``."""
        halves = {"encoder": self.encoder, "decoder": self.decoder}
        return {f"{h}.{n}": shape for h, half in halves.items() for n, shape in half.shapes.items()}

    def initialise(
        self, seed: int, dtype: Any = np.float32, backend: Backend | str = "numpy"
    ) -> Parameters:
        """The starting parameters; the same numbers on every backend."""
        return started(self.shapes, self._fill, seed, dtype, backend)

    def _fill(self, p: Parameters, generator: np.random.Generator) -> None:
        self.encoder.net.fill(p, generator, "encoder.")
        self.decoder.net.fill(p, generator, "decoder.")


def make_floats(model: Any, names: Sequence[str]) -> None:
    """Numbers of a frozen model as Python's floats: a NumPy one would turn float32 into float64.

    Raises:
        InputError: one is negative or not finite.
    """
    for name in names:
        object.__setattr__(model, name, float(getattr(model, name)))
        if not 0 <= getattr(model, name) < np.inf:
            raise InputError(f"{name} must be at least 0, got {getattr(model, name)}")
