"""An encoder and a decoder, each a model of its own, and the base of models that have both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from tinygen.backend import Array, Backend
from tinygen.byhand import autoencoder as byhand
from tinygen.errors import InputError, refuse_unknown
from tinygen.losses import binary_cross_entropy_with_logits, mse
from tinygen.models.architecture import (
    KERNEL,
    SeveralNetworks,
    convolutions_of,
    from_images,
    to_images,
)
from tinygen.models.gradients import LossAndGrads, geometry, of_one_loss
from tinygen.models.options import convert_options
from tinygen.models.verbs import WithoutWeights, of_parameters
from tinygen.nn import Sequential
from tinygen.ops import sigmoid
from tinygen.parameters import Parameters

RECONSTRUCTIONS = ("mse", "bce")
OUTPUTS = ("sigmoid", "none")


class Network(WithoutWeights):
    """A model of one network, whose parameters are called ``W1``, ``b1`` and so on."""

    activation: str
    dropout: float
    weights: str
    biases: str

    @cached_property
    def net(self) -> Sequential:
        """All layers; the last has no activation."""
        raise NotImplementedError

    @property
    def _style(self) -> dict[str, Any]:
        return {
            "activation": self.activation,
            "dropout": self.dropout,
            "weights": self.weights,
            "biases": self.biases,
        }

    @cached_property
    def networks(self) -> dict[str, Sequential]:
        """The network, with the function that its output goes through, by its prefix, ""."""
        return {"": self.net}

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
class Encoder(Network):
    """A network ``pixels -> hidden -> latent``, whose last layer, the code, is linear.

    Args:
        pixels, hidden, latent: the widths.
        activation: a name in `tinygen.ops.ACTIVATIONS`.
        dropout: the probability with which a hidden unit is dropped in a training step.
        heads: how many columns the last layer has for each latent dimension: 2 for a VAE, first
            the means and then the logarithms of the variances.
        weights, biases: initialisers, names in `tinygen.nn.WEIGHTS` and `tinygen.nn.BIASES`.
        channels: of each convolution before the dense layers; without any the network is dense.
            Each convolution has a stride of 2, which halves height and width.
        kernel: the height and width of the windows of convolutions.
        image: the shape of an image for convolutions, ``(h, w, c)``; by default a grey square.

    Raises:
        InputError: a width or a name is invalid.

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
    channels: tuple[int, ...] = ()
    kernel: int = KERNEL
    image: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        convert_options(self)
        _ = self.net  # building it checks the widths and the names

    @cached_property
    def net(self) -> Sequential:
        return from_images(self, [*self.hidden, self.heads * self.latent], **self._style)

    def __call__(self, p: Mapping[str, Any], x: Any) -> Any:
        """Images to codes, a VAE's to their means: ``(n, pixels) -> (n, latent)``."""
        return self.net(p, x)[:, : self.latent]


@dataclass(frozen=True)
class Decoder(Network):
    """A network ``latent -> hidden -> pixels``, from codes to images.

    By itself it can be trained to invert a frozen encoder: its loss is that of an autoencoder,
    computed from given codes.

    Args:
        latent, hidden, pixels: the widths.
        activation: a name in `tinygen.ops.ACTIVATIONS`.
        dropout: the probability with which a hidden unit is dropped in a training step.
        output: "sigmoid", or "none" for a linear output.
        reconstruction: "mse", the mean over pixels and images; or "bce", cross-entropy in nats per
            image, which needs the sigmoid.
        weights, biases: initialisers, names in `tinygen.nn.WEIGHTS` and `tinygen.nn.BIASES`.
        channels: those of the encoder that this mirrors, in the encoder's order; without any the
            network is dense.
        kernel, image: as in `Encoder`.

    Raises:
        InputError: a width, a name or a combination of options is invalid.

    >>> decoder = Decoder(latent=32, hidden=(256, 512), pixels=784)
    >>> decoder(decoder.initialise(seed=0), np.zeros((5, 32), np.float32)).shape
    (5, 784)
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
    channels: tuple[int, ...] = ()
    kernel: int = KERNEL
    image: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        convert_options(self)
        refuse_unknown("reconstruction", self.reconstruction, RECONSTRUCTIONS)
        refuse_unknown("output", self.output, OUTPUTS)
        if self.reconstruction == "bce" and self.output != "sigmoid":
            raise InputError("reconstruction bce compares probabilities; it needs output sigmoid")
        _ = self.net  # building it checks the widths and the other names

    @cached_property
    def net(self) -> Sequential:
        return to_images(self, [self.latent, *self.hidden], **self._style)

    @cached_property
    def networks(self) -> dict[str, Sequential]:
        return {"": Sequential(self.net, *([sigmoid] if self.output == "sigmoid" else []))}

    @property
    def terms(self) -> dict[str, Any]:
        """The options of the loss: the keywords of `tinygen.byhand.autoencoder`."""
        return {
            "activation": self.activation,
            "output": self.output,
            "reconstruction": self.reconstruction,
            "geometry": geometry(self.net),
        }

    def __call__(self, p: Mapping[str, Any], z: Any) -> Any:
        """Codes to images: ``(n, latent) -> (n, pixels)``."""
        return self.activate_output(self.net(p, z))

    def activate_output(self, a: Any) -> Any:
        """Images from the output of the last layer."""
        return sigmoid(a) if self.output == "sigmoid" else a

    def draw(
        self, x: Array, generator: Any, step: int = 0, codes: Array | None = None
    ) -> tuple[Any, ...]:
        """The data of `loss` for one training step on the images `x`: ``(x, codes, masks)``.

        Raises:
            InputError: the codes are missing, or have another shape.
        """
        expected, shape = (x.shape[0], self.latent), getattr(codes, "shape", None)
        if shape != expected:
            raise InputError(f"the decoder needs codes of shape {expected}, got {shape}")
        return x, codes, self.net.draw_masks(generator, x.shape[0], x.dtype)

    @of_parameters
    def loss(self, p: Mapping[str, Any], x: Array, codes: Any, masks: Sequence[Array] = ()) -> Any:
        """The reconstruction loss of `x` from `codes`; Tensors in `p` record it for autograd.

        Args:
            x: the images, ``(n, pixels)``.
            codes: their codes, ``(n, latent)``.
            masks: a dropout mask for each hidden layer; without them nothing is dropped.
        """
        a = self.net(p, codes, training=bool(masks), masks=masks)
        if self.reconstruction == "mse":
            return mse(self.activate_output(a), x)
        return binary_cross_entropy_with_logits(a, x)

    def gradients(self, how: str) -> LossAndGrads:
        """``(parameters, *data, out=None) -> (loss, gradients)`` for the data of `draw`.

        Args:
            how: "autograd", or "by-hand" for `tinygen.byhand.autoencoder.decoder_loss_and_grads`.

        Raises:
            InputError: `how` is neither.
        """
        return of_one_loss(how, self, byhand.decoder_loss_and_grads)


class EncoderDecoder(SeveralNetworks):
    """An `Encoder` ``pixels -> hidden -> code`` and its mirror image, a `Decoder`, in one vector.

    A model derives from it, has these options as fields, and adds its loss. The parameters of the
    two parts are ``p.part("encoder.")`` and ``p.part("decoder.")``.
    """

    pixels: int
    hidden: tuple[int, ...]
    latent: int
    activation: str
    dropout: float = 0.0
    weights: str
    biases: str
    channels: tuple[int, ...] = ()
    kernel: int = KERNEL
    image: tuple[int, ...] = ()

    heads: ClassVar[int] = 1
    """How many columns the encoder has for each latent dimension."""

    @cached_property
    def encoder(self) -> Encoder:
        return Encoder(
            self.pixels, self.hidden, self.latent, self.activation, self.dropout, self.heads,
            self.weights, self.biases, **convolutions_of(self),
        )  # fmt: skip

    @cached_property
    def decoder(self) -> Decoder:
        return Decoder(
            self.latent, self.hidden[::-1], self.pixels, self.activation, self.dropout,
            weights=self.weights, biases=self.biases,
            **{**convolutions_of(self), **self._decoder_options},
        )  # fmt: skip

    @property
    def geometry_terms(self) -> dict[str, Any]:
        """The keywords of the losses by hand that say which layers are convolutions."""
        return {
            "encoder_geometry": geometry(self.encoder.net),
            "decoder_geometry": geometry(self.decoder.net),
        }

    @property
    def _decoder_options(self) -> dict[str, str]:
        """The decoder's `output` and `reconstruction`."""
        raise NotImplementedError

    @cached_property
    def networks(self) -> dict[str, Sequential]:
        """Its networks, each with the function of its output, by the prefix of its parameters."""
        return {"encoder.": self.encoder.networks[""], "decoder.": self.decoder.networks[""]}
