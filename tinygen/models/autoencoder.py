"""The autoencoder: a network that reconstructs an image from a code of a few numbers.

The loss is written with ops, so autograd derives its gradient. The same gradient derived on paper
is in `tinygen.byhand.autoencoder`, and the derivation in docs/derivations/autoencoder.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinygen.backend import Array
from tinygen.byhand import autoencoder as byhand
from tinygen.losses import l1, l2
from tinygen.models.architecture import KERNEL
from tinygen.models.encoder_decoder import EncoderDecoder
from tinygen.models.gradients import LossAndGrads, of_one_loss
from tinygen.models.options import convert_options
from tinygen.models.verbs import of_parameters
from tinygen.parameters import part


@dataclass(frozen=True)
class Autoencoder(EncoderDecoder):
    """An encoder ``pixels -> hidden -> latent`` and its mirror image, the decoder.

    The code layer is linear; every other hidden layer has the activation.

    Args:
        pixels: the width of an image.
        hidden: the widths of the encoder's hidden layers, or one; the decoder has them in reverse.
        latent: the width of the code.
        activation: a name in `tinygen.ops.ACTIVATIONS`; "none" makes the network linear.
        output: "sigmoid", or "none" for a linear output.
        reconstruction: "mse", the mean over pixels and images; or "bce", cross-entropy in nats per
            image, which needs the sigmoid.
        weight_decay: this times half the sum of squared weights (not biases) is added to the loss.
        code_l1: this times the sum of ``|code|``, averaged over the images, is added (sparse).
        input_noise: the standard deviation of normal noise on the encoder's input (denoising); the
            target stays clean.
        dropout: the probability with which a hidden unit is dropped in a training step.
        weights, biases: initialisers, names in `tinygen.nn.WEIGHTS` and `tinygen.nn.BIASES`.
        channels: of each convolution of the encoder, before `hidden`; the decoder has them in
            reverse. Without any the networks are dense.
        kernel: the height and width of the windows of convolutions, whose stride is 2.
        image: the shape of an image for convolutions, ``(h, w, c)``; by default a grey square.

    Raises:
        InputError: a width or a name is invalid.

    >>> import numpy as np
    >>> model = Autoencoder(pixels=784, hidden=(64,), latent=8)
    >>> p, x = model.initialise(seed=0), np.zeros((5, 784), np.float32)
    >>> model.encode(p, x).shape
    (5, 8)
    >>> loss, gradients = model.gradients("by-hand")(p, x)  # or "autograd"
    >>> gradients["encoder.W1"].shape
    (784, 64)
    """

    pixels: int = 784
    hidden: tuple[int, ...] = (512, 256)
    latent: int = 32
    activation: str = "elu"
    output: str = "sigmoid"
    reconstruction: str = "mse"
    weight_decay: float = 0.0
    code_l1: float = 0.0
    input_noise: float = 0.0
    dropout: float = 0.0
    weights: str = "glorot_uniform"
    biases: str = "zeros"
    channels: tuple[int, ...] = ()
    kernel: int = KERNEL
    image: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        convert_options(self)
        _ = self.encoder, self.decoder  # building them checks the widths and the other names

    @property
    def terms(self) -> dict[str, Any]:
        """The options of the loss: the keywords of `tinygen.byhand.autoencoder`."""
        return {
            "activation": self.activation,
            "output": self.output,
            "reconstruction": self.reconstruction,
            "weight_decay": self.weight_decay,
            "code_l1": self.code_l1,
            **self.geometry_terms,
        }

    @property
    def _decoder_options(self) -> dict[str, str]:
        return {"output": self.output, "reconstruction": self.reconstruction}

    @of_parameters
    def encode(self, p: Mapping[str, Any], x: Any) -> Any:
        """Images to codes: ``(n, pixels) -> (n, latent)``."""
        return self.encoder(part(p, "encoder."), x)

    @of_parameters
    def decode(self, p: Mapping[str, Any], z: Any) -> Any:
        """Codes to images: ``(n, latent) -> (n, pixels)``."""
        return self.decoder(part(p, "decoder."), z)

    @of_parameters
    def reconstruct(self, p: Mapping[str, Any], x: Any) -> Any:
        """Images through the bottleneck: ``(n, pixels) -> (n, pixels)``."""
        return self.decode(p, self.encode(p, x))

    def draw(self, x: Array, generator: Any, step: int = 0) -> tuple[Any, ...]:
        """The data of `loss` for one training step on the images `x`, noise included.

        Returns:
            ``(x, corrupted, masks)``: the images; the encoder's input if it differs, or None; and a
            dropout mask for each hidden layer of the encoder and then the decoder.
        """
        corrupted = None
        if self.input_noise:
            noise = generator.standard_normal(x.shape, dtype=x.dtype)
            corrupted = x + self.input_noise * noise
        n = x.shape[0]
        masks = (
            *self.encoder.net.draw_masks(generator, n, x.dtype),
            *self.decoder.net.draw_masks(generator, n, x.dtype),
        )
        return x, corrupted, masks

    @of_parameters
    def loss(
        self,
        p: Mapping[str, Any],
        x: Array,
        corrupted: Array | None = None,
        masks: Sequence[Array] = (),
    ) -> Any:
        """The training loss on images ``(n, pixels)``; Tensors in `p` record it for autograd."""
        seen = x if corrupted is None else corrupted
        k = len(masks) // 2
        z = self.encoder.net(part(p, "encoder."), seen, training=bool(masks), masks=masks[:k])
        total = self.decoder.loss(part(p, "decoder."), x, z, masks[k:])
        if self.weight_decay:
            for W in p.values():
                if len(W.shape) == 2:
                    total = total + self.weight_decay * l2(W)
        if self.code_l1:
            total = total + (self.code_l1 / x.shape[0]) * l1(z)
        return total

    def gradients(self, how: str) -> LossAndGrads:
        """``(parameters, *data, out=None) -> (loss, gradients)`` for the data of `draw`.

        Args:
            how: "autograd", or "by-hand" for `tinygen.byhand.autoencoder.loss_and_grads`.

        Raises:
            InputError: `how` is neither.
        """
        return of_one_loss(how, self, byhand.loss_and_grads)
