"""The adversarial autoencoder: an autoencoder whose codes a discriminator pushes to a prior.

Makhzani et al. (2015). Its codes are to be standard normal, so that a decoded draw of the prior is
a new image. It takes three losses, all of which are there already: that of an autoencoder, and
those of a GAN's two players, in which the encoder is the generator and an image its noise. Each is
a function of its own parameters alone, and everything else is data.

The same losses by hand are in `tinygen.byhand.aae`; docs/derivations/aae.md says why these three.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from tinygen.backend import Array
from tinygen.errors import InputError, refuse_unknown
from tinygen.models.autoencoder import Autoencoder
from tinygen.models.encoder_decoder import RECONSTRUCTIONS, EncoderDecoder, make_floats
from tinygen.models.gan import GAN
from tinygen.ops import ACTIVATIONS
from tinygen.parameters import Parameters


class Seen(NamedTuple):
    """What a training step takes besides parameters; the codes of `x` join it."""

    x: Array
    z: Array
    share: Array | None


@dataclass(frozen=True)
class AdversarialAutoencoder(EncoderDecoder):
    """An autoencoder ``pixels -> hidden -> latent -> ...``, and a discriminator of its codes.

    Args:
        pixels: the width of an image.
        hidden: the widths of the encoder's hidden layers; the decoder has them in reverse.
        latent: the width of the code, whose prior is standard normal.
        activation: of the encoder and the decoder, a name in `tinygen.ops.ACTIVATIONS`.
        reconstruction: "mse", the mean over pixels and images; or "bce", cross-entropy in nats per
            image, which needs the sigmoid.
        output: of the decoder: "sigmoid", or "none" for a linear output.
        discriminator_hidden: the widths of the discriminator's hidden layers.
        discriminator_activation: a name in `tinygen.ops.ACTIVATIONS`, or "maxout".
        loss, penalty: of discriminator and encoder, as in `tinygen.models.GAN`.
        weights, biases: initialisers, names in `tinygen.nn.WEIGHTS` and `tinygen.nn.BIASES`.

    Raises:
        InputError: a width, a name or a combination makes no sense.
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

    def __post_init__(self) -> None:
        refuse_unknown("reconstruction", self.reconstruction, RECONSTRUCTIONS)
        refuse_unknown("activation", self.activation, ACTIVATIONS)  # maxout is D's alone
        if self.penalty is not None:
            make_floats(self, ("penalty",))
        _ = self.autoencoder, self.game  # building them checks the widths and the other names

    @cached_property
    def autoencoder(self) -> Autoencoder:
        """Encoder and decoder; its loss is that of the first phase."""
        return Autoencoder(
            self.pixels, self.hidden, self.latent, self.activation, self.output,
            self.reconstruction, weights=self.weights, biases=self.biases,
        )  # fmt: skip

    @cached_property
    def game(self) -> GAN:
        """Encoder and discriminator; its losses are those of the second and the third phase.

        What the GAN calls an image is a code here, and what it calls noise is an image.
        """
        return GAN(
            pixels=self.latent, latent=self.pixels, output="none", loss=self.loss,
            generator_hidden=self.hidden, discriminator_hidden=self.discriminator_hidden,
            generator_activation=self.activation, generator_norm="none",
            discriminator_activation=self.discriminator_activation, penalty=self.penalty,
            weights=self.weights, biases=self.biases,
        )  # fmt: skip

    @property
    def _decoded(self) -> dict[str, str]:
        return {"output": self.output, "reconstruction": self.reconstruction}

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The parameters' names and shapes: ``encoder.*``, ``decoder.*``, ``discriminator.*``."""
        judge = self.game.discriminator.shapes
        return super().shapes | {f"discriminator.{n}": shape for n, shape in judge.items()}

    def _fill(self, p: Parameters, generator: np.random.Generator) -> None:
        super()._fill(p, generator)
        self.game.discriminator.fill(p, generator, "discriminator.")

    @property
    def reconstruction_terms(self) -> dict[str, Any]:
        """The keywords of `tinygen.byhand.aae.reconstruction_loss_and_grads`."""
        return {
            "activation": self.activation,
            "output": self.output,
            "reconstruction": self.reconstruction,
        }

    @property
    def discriminator_terms(self) -> dict[str, Any]:
        """The keywords of `tinygen.byhand.aae.discriminator_loss_and_grads`."""
        return {
            "loss": self.loss,
            "penalty": self.game.weight,
            "discriminator_activation": self.discriminator_activation,
        }

    @property
    def encoder_terms(self) -> dict[str, Any]:
        """The keywords of `tinygen.byhand.aae.encoder_loss_and_grads`."""
        return {
            "loss": self.loss,
            "activation": self.activation,
            "discriminator_activation": self.discriminator_activation,
        }

    def encode(self, p: Mapping[str, Any], x: Any) -> Any:
        """Images to codes: ``(n, pixels) -> (n, latent)``."""
        return self.autoencoder.encode(p, x)

    def decode(self, p: Mapping[str, Any], z: Any) -> Any:
        """Codes, or draws of the prior, to images: ``(n, latent) -> (n, pixels)``."""
        return self.autoencoder.decode(p, z)

    def reconstruct(self, p: Mapping[str, Any], x: Any) -> Any:
        """Images through the bottleneck: ``(n, pixels) -> (n, pixels)``."""
        return self.autoencoder.reconstruct(p, x)

    def draw(self, x: Array, generator: Any, step: int = 0) -> Seen:
        """What the three losses take in one training step on the images `x`.

        Returns:
            ``(x, z, share)``: the images; as many draws of the prior, ``(n, latent)``; and for
            "wasserstein-gp" how much of each draw is in the code between, ``(n, 1)``, else None.
        """
        n, dtype = x.shape[0], x.dtype
        z = generator.standard_normal((n, self.latent), dtype=dtype)
        between = self.loss == "wasserstein-gp"
        return Seen(x, z, generator.random((n, 1), dtype=dtype) if between else None)

    def reconstruction_loss(self, p: Mapping[str, Any], x: Array) -> Any:
        """How far images are from what the decoder makes of their codes: a number.

        Args:
            p: the parameters of encoder and decoder, ``parameters.only("encoder.", "decoder.")``.
            x: images ``(n, pixels)``.
        """
        return self.autoencoder.loss(p, x)

    def discriminator_loss(
        self, d: Mapping[str, Any], z: Array, codes: Array, share: Array | None = None
    ) -> Any:
        """The discriminator's loss, a function of its parameters `d`: a number.

        Args:
            z, codes: draws of the prior and codes of images, ``(n, latent)``, data both of them.
            share: ``(n, 1)`` in [0, 1], for "wasserstein-gp", as `draw` gives it.
        """
        if z.shape != codes.shape or z.shape[1:] != (self.latent,):
            raise InputError(
                f"AAE: z is {z.shape}, codes are {codes.shape}; "
                f"expected {self.latent} numbers in each row, and as many rows"
            )
        return self.game.discriminator_loss(d, z, codes, share=share)

    def encoder_loss(self, e: Mapping[str, Any], d: Mapping[str, Array], x: Array) -> Any:
        """The encoder's loss, low where its codes pass for draws of the prior: a number.

        Args:
            e: the encoder's parameters.
            d: the discriminator's, data here.
            x: images ``(n, pixels)``.
        """
        return self.game.generator_loss(e, d, x)
