"""The adversarial autoencoder: an autoencoder whose codes a discriminator drives towards a prior.

Makhzani et al. (2015). Its codes should be standard normal, so that a decoded draw of the prior is
a new image. It needs three losses, all of which exist already: that of an autoencoder, and those of
a GAN's two players, where the encoder is the generator and an image its noise. Each is a function
of its own parameters alone, and everything else is data.

The same losses by hand are in `tinygen.byhand.aae`; docs/derivations/aae.md says why these three.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

from tinygen.autograd import value_and_grad
from tinygen.backend import Array
from tinygen.byhand import aae as byhand
from tinygen.errors import InputError, refuse_unknown
from tinygen.models.architecture import KERNEL, convolutions_of
from tinygen.models.autoencoder import Autoencoder
from tinygen.models.encoder_decoder import RECONSTRUCTIONS, EncoderDecoder
from tinygen.models.gan import GAN
from tinygen.models.gradients import LossAndGrads, choose, geometry
from tinygen.models.options import convert_options
from tinygen.models.verbs import of_parameters
from tinygen.nn import Sequential
from tinygen.ops import ACTIVATIONS


class Batch(NamedTuple):
    """The data of a training step; the codes of `x` are added to it."""

    x: Array
    z: Array
    alpha: Array | None


class AAEGradients(NamedTuple):
    """What a step of three phases computes; every gradient is that of the phase's own loss.

    Attributes:
        reconstruction: ``(p, x, out=) -> (loss, gradients)``, of encoder and decoder.
        discriminator: ``(d, z, codes, alpha, out=) -> (loss, gradients)``.
        encoder: ``(e, d, x, out=) -> (loss, gradients)``.
        encode: ``(e, x) -> codes``, which are data to the discriminator.
    """

    reconstruction: LossAndGrads
    discriminator: LossAndGrads
    encoder: LossAndGrads
    encode: Callable[..., Array]


@dataclass(frozen=True)
class AdversarialAutoencoder(EncoderDecoder):
    """An autoencoder ``pixels -> hidden -> latent -> ...``, and a discriminator of its codes.

    Args:
        pixels: the width of an image.
        hidden: the widths of the encoder's hidden layers, or one; the decoder has them in reverse.
        latent: the width of the code, whose prior is standard normal.
        activation: of the encoder and the decoder, a name in `tinygen.ops.ACTIVATIONS`.
        reconstruction: "mse", the mean over pixels and images; or "bce", cross-entropy in nats per
            image, which needs the sigmoid.
        output: of the decoder: "sigmoid", or "none" for a linear output.
        discriminator_hidden: the widths of the discriminator's hidden layers.
        discriminator_activation: a name in `tinygen.ops.ACTIVATIONS`, or "maxout".
        loss, penalty: of discriminator and encoder, as in `tinygen.models.GAN`.
        weights, biases: initialisers, names in `tinygen.nn.WEIGHTS` and `tinygen.nn.BIASES`.
        channels, kernel, image: of encoder and decoder, as in `Autoencoder`.

    Raises:
        InputError: a width, a name or a combination of options is invalid.

    >>> model = AdversarialAutoencoder(hidden=(64,), latent=2, discriminator_hidden=(16,))
    >>> [name for name in model.initialise(seed=0) if "W" in name]
    ['encoder.W1', 'encoder.W2', 'decoder.W1', 'decoder.W2', 'discriminator.W1', 'discriminator.W2']
    """

    pixels: int = 784
    hidden: tuple[int, ...] = (512, 256)
    latent: int = 8
    activation: str = "elu"
    reconstruction: str = "bce"
    output: str = "sigmoid"
    discriminator_hidden: tuple[int, ...] = (256, 256)
    discriminator_activation: str = "leaky_relu"
    loss: str = "non-saturating"
    penalty: float | None = None
    weights: str = "glorot_uniform"
    biases: str = "zeros"
    channels: tuple[int, ...] = ()
    kernel: int = KERNEL
    image: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        convert_options(self)
        refuse_unknown("reconstruction", self.reconstruction, RECONSTRUCTIONS)
        refuse_unknown("activation", self.activation, ACTIVATIONS)  # maxout is D's alone
        _ = self.autoencoder, self.gan  # building them checks the widths and the other names

    @cached_property
    def autoencoder(self) -> Autoencoder:
        """Encoder and decoder; its loss is minimised in the first phase."""
        return Autoencoder(
            self.pixels, self.hidden, self.latent, self.activation, self.output,
            self.reconstruction, weights=self.weights, biases=self.biases,
            **convolutions_of(self),
        )  # fmt: skip

    @cached_property
    def gan(self) -> GAN:
        """Encoder and discriminator; its losses are minimised in the second and the third phase.

        What the GAN calls an image is a code here, and what it calls noise is an image.
        """
        gan = GAN(
            pixels=self.latent, latent=self.pixels, output="none", loss=self.loss,
            generator_hidden=self.hidden, discriminator_hidden=self.discriminator_hidden,
            generator_activation=self.activation, generator_norm="none",
            discriminator_activation=self.discriminator_activation, penalty=self.penalty,
            weights=self.weights, biases=self.biases,
        )  # fmt: skip
        object.__setattr__(gan, "generator", self.encoder.net)  # with its convolutions
        return gan

    @property
    def _decoder_options(self) -> dict[str, str]:
        return {"output": self.output, "reconstruction": self.reconstruction}

    @cached_property
    def networks(self) -> dict[str, Sequential]:
        """By the prefixes of their parameters: ``encoder.``, ``decoder.``, ``discriminator.``."""
        return self.autoencoder.networks | {"discriminator.": self.gan.discriminator}

    @property
    def reconstruction_terms(self) -> dict[str, Any]:
        """The keywords of `tinygen.byhand.aae.reconstruction_loss_and_grads`."""
        return {
            "activation": self.activation,
            "output": self.output,
            "reconstruction": self.reconstruction,
            **self.geometry_terms,
        }

    @property
    def discriminator_terms(self) -> dict[str, Any]:
        """The keywords of `tinygen.byhand.aae.discriminator_loss_and_grads`."""
        return {
            "loss": self.loss,
            "penalty": self.gan.weight,
            "discriminator_activation": self.discriminator_activation,
        }

    @property
    def encoder_terms(self) -> dict[str, Any]:
        """The keywords of `tinygen.byhand.aae.encoder_loss_and_grads`."""
        return {
            "loss": self.loss,
            "activation": self.activation,
            "discriminator_activation": self.discriminator_activation,
            "encoder_geometry": geometry(self.encoder.net),
        }

    @of_parameters
    def encode(self, p: Mapping[str, Any], x: Any) -> Any:
        """Images to codes: ``(n, pixels) -> (n, latent)``."""
        return self.autoencoder.encode(p, x)

    @of_parameters
    def decode(self, p: Mapping[str, Any], z: Any) -> Any:
        """Codes, or draws of the prior, to images: ``(n, latent) -> (n, pixels)``."""
        return self.autoencoder.decode(p, z)

    @of_parameters
    def reconstruct(self, p: Mapping[str, Any], x: Any) -> Any:
        """Images through the bottleneck: ``(n, pixels) -> (n, pixels)``."""
        return self.autoencoder.reconstruct(p, x)

    def draw(self, x: Array, generator: Any, step: int = 0) -> Batch:
        """The data of the three losses for one training step on the images `x`.

        Returns:
            ``(x, z, alpha)``: the images; as many draws of the prior, ``(n, latent)``; and for
            "wasserstein-gp" the weight of each draw in its interpolate, ``(n, 1)``, else None.
        """
        n, dtype = x.shape[0], x.dtype
        z = generator.standard_normal((n, self.latent), dtype=dtype)
        penalised = self.loss == "wasserstein-gp"  # at interpolates, which alpha places
        return Batch(x, z, generator.random((n, 1), dtype=dtype) if penalised else None)

    def reconstruction_loss(self, p: Mapping[str, Any], x: Array) -> Any:
        """The reconstruction loss of images: a number.

        Args:
            p: the parameters of encoder and decoder, ``parameters.only("encoder.", "decoder.")``.
            x: images ``(n, pixels)``.
        """
        return self.autoencoder.loss(p, x)

    def discriminator_loss(
        self, d: Mapping[str, Any], z: Array, codes: Array, alpha: Array | None = None
    ) -> Any:
        """The discriminator's loss, a function of its parameters `d`: a number.

        Args:
            z, codes: draws of the prior and codes of images, ``(n, latent)``; both are data.
            alpha: ``(n, 1)`` in [0, 1], for "wasserstein-gp", as `draw` gives it.
        """
        if z.shape != codes.shape or z.shape[1:] != (self.latent,):
            raise InputError(
                f"AAE: z is {z.shape}, codes are {codes.shape}; "
                f"expected {self.latent} numbers in each row, and as many rows"
            )
        return self.gan.discriminator_loss(d, z, codes, alpha=alpha)

    def encoder_loss(self, e: Mapping[str, Any], d: Mapping[str, Array], x: Array) -> Any:
        """The encoder's loss, low where its codes pass for draws of the prior: a number.

        Args:
            e: the encoder's parameters.
            d: the discriminator's, data here.
            x: images ``(n, pixels)``.
        """
        return self.gan.generator_loss(e, d, x)

    def gradients(self, how: str) -> AAEGradients:
        """The gradients of the three losses.

        Args:
            how: "autograd", or "by-hand" for `tinygen.byhand.aae`.

        Raises:
            InputError: `how` is neither.
        """
        return choose(how, autograd=self._by_autograd, by_hand=self._by_hand)

    def _by_autograd(self) -> AAEGradients:
        return AAEGradients(
            value_and_grad(self.reconstruction_loss),
            value_and_grad(self.discriminator_loss),
            value_and_grad(self.encoder_loss),
            self.encoder,
        )

    def _by_hand(self) -> AAEGradients:
        return AAEGradients(
            partial(byhand.reconstruction_loss_and_grads, **self.reconstruction_terms),
            partial(byhand.discriminator_loss_and_grads, **self.discriminator_terms),
            partial(byhand.encoder_loss_and_grads, **self.encoder_terms),
            partial(
                byhand.encode,
                activation=self.activation,
                encoder_geometry=geometry(self.encoder.net),
            ),
        )
