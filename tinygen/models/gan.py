"""The GAN: a generator turns noise into samples, a discriminator tells them from data.

Each player has a loss of its own, a function of its own parameters; everything else is data. To
the discriminator the generator's images are data, and to the generator the discriminator's weights
are. So no gradient can reach the other player, and there is nothing to detach.

Autograd derives the gradients of both losses. The same gradients derived on paper are in
`tinygen.byhand.gan`, and the derivation in docs/derivations/gan.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np

from tinygen.autograd import Tensor, grad, value_and_grad
from tinygen.backend import Array, backend_of, namespace
from tinygen.byhand import checks
from tinygen.byhand import gan as byhand
from tinygen.errors import InputError, refuse_unknown
from tinygen.models.architecture import KERNEL, SeveralNetworks, from_images, to_images
from tinygen.models.gradients import LossAndGrads, choose, geometry
from tinygen.models.options import convert_options
from tinygen.nn import Sequential
from tinygen.ops import concatenate, mean, reshape, sigmoid, softplus, sqrt, square, sum

LOSSES = ("non-saturating", "minimax", "least-squares", "wasserstein-gp", "r1")
OUTPUTS = ("sigmoid", "none")
PENALTIES = {"wasserstein-gp": 10.0, "r1": 1.0}
"""The losses that have a gradient penalty, with its usual weight."""
TINY = 1e-12
"""Added to a squared norm, as the square root has no derivative at 0."""
CALIBRATION_ROWS = 2048
"""Rows of noise on which the generator's batch norm is calibrated for sampling."""

Masks = Sequence[Array]


class DiscriminatorBatch(NamedTuple):
    """The data of a discriminator step; the images generated from `z` are added to it."""

    real: Array
    z: Array
    labels: Array | None
    alpha: Array | None
    masks: tuple[Masks, Masks, Masks]


class GeneratorBatch(NamedTuple):
    """The data of a generator step."""

    z: Array
    labels: Array | None
    masks: Masks


class GANGradients(NamedTuple):
    """What an adversarial step computes; every gradient is that of a player's own loss.

    Attributes:
        discriminator: ``(d, real, fake, labels, alpha, masks, out=) -> (loss, gradients)``.
        generator: ``(g, d, z, labels, masks, out=) -> (loss, gradients)``.
        generate: ``(g, z, labels) -> images``, which are data to the discriminator.
    """

    discriminator: LossAndGrads
    generator: LossAndGrads
    generate: Callable[..., Array]


@dataclass(frozen=True)
class GAN(SeveralNetworks):
    """A generator ``noise -> hidden -> pixels`` and a discriminator ``pixels -> hidden -> logit``.

    Args:
        pixels: the width of an image, or of a sample of any kind.
        latent: the width of the noise, which is standard normal.
        generator_hidden, discriminator_hidden: widths of hidden layers, or one.
        generator_activation, discriminator_activation: names in `tinygen.ops.ACTIVATIONS`, or
            "maxout".
        generator_norm, discriminator_norm: "none", "batch" or "layer", before each activation.
        dropout: the probability with which a hidden unit of the discriminator is dropped.
        output: of the generator: "sigmoid" for pixels, "none" for unbounded samples.
        loss: "non-saturating" and "minimax" (Goodfellow et al. 2014), "least-squares" (Mao et al.
            2017, with labels 0 and 1), "wasserstein-gp" (Gulrajani et al. 2017), or "r1",
            non-saturating with a penalty on the gradient at real images (Mescheder et al. 2018).
        penalty: the weight of the gradient penalty: lambda of "wasserstein-gp", gamma of "r1".
            None is the usual one, in `PENALTIES`. The other losses have no penalty.
        smoothing: real images get the label ``1 - smoothing`` (Salimans et al. 2016, one-sided).
        pack: how many images the discriminator judges together (PacGAN, Lin et al. 2018).
        classes: how many classes both players are conditioned on; 0 for an unconditional GAN.
        weights, biases: initialisers, names in `tinygen.nn.WEIGHTS` and `tinygen.nn.BIASES`.
        channels: of each convolution of the discriminator, before `discriminator_hidden`; the
            generator has them in reverse, after `generator_hidden` (a DCGAN, Radford et al. 2016).
            Without any the networks are dense.
        kernel: the height and width of the windows of convolutions, whose stride is 2.
        image: the shape of an image for convolutions, ``(h, w, c)``; by default a grey square.

    Raises:
        InputError: a width, a name or a combination of options is invalid.

    >>> import numpy as np
    >>> gan = GAN(pixels=784, latent=16, generator_hidden=(32,), discriminator_hidden=(32,))
    >>> p = gan.initialise(seed=0)
    >>> [*p.part("generator.")]
    ['W1', 'gamma2', 'beta2', 'W3', 'b3']
    >>> noise = np.zeros((5, 16), np.float32)
    >>> gan.gradients("by-hand").generate(p.part("generator."), noise, None).shape
    (5, 784)
    """

    pixels: int = 784
    latent: int = 100
    generator_hidden: tuple[int, ...] = (256, 512, 1024)
    discriminator_hidden: tuple[int, ...] = (512, 256)
    generator_activation: str = "relu"
    discriminator_activation: str = "leaky_relu"
    generator_norm: str = "batch"
    discriminator_norm: str = "none"
    dropout: float = 0.0
    output: str = "sigmoid"
    loss: str = "non-saturating"
    penalty: float | None = None
    smoothing: float = 0.0
    pack: int = 1
    classes: int = 0
    weights: str = "glorot_uniform"
    biases: str = "zeros"
    channels: tuple[int, ...] = ()
    kernel: int = KERNEL
    image: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        convert_options(self)
        refuse_unknown("loss", self.loss, LOSSES)
        refuse_unknown("output", self.output, OUTPUTS)
        if self.penalty is not None and self.loss not in PENALTIES:
            raise InputError(f"the loss {self.loss} has no gradient penalty to weigh")
        if self.smoothing >= 1:
            raise InputError(f"smoothing must be below 1, got {self.smoothing}")
        if self.smoothing and self.loss == "wasserstein-gp":
            raise InputError("smoothing needs labels, which the loss wasserstein-gp has not")
        if self.loss in PENALTIES and self.discriminator_norm == "batch":
            raise InputError(
                f"the loss {self.loss} penalises the gradient at each image by itself, which a "
                "batch norm in the discriminator mixes with others; use layer norm, or none with "
                "convolutions"
            )
        if self.channels and (self.pack > 1 or self.classes):
            raise InputError(
                "a convolutional GAN takes images one by one and without a class; expected pack 1 "
                f"and classes 0, got {self.pack} and {self.classes}"
            )
        _ = self.generator, self.discriminator  # building them checks the widths and names

    @property
    def weight(self) -> float:
        """The gradient penalty's: `penalty`, or the usual one; 0 if the loss has no penalty."""
        return PENALTIES.get(self.loss, 0.0) if self.penalty is None else self.penalty

    @cached_property
    def generator(self) -> Sequential:
        return to_images(
            self,
            [self.latent + self.classes, *self.generator_hidden],
            activation=self.generator_activation,
            norm=self.generator_norm,
            weights=self.weights,
            biases=self.biases,
        )

    @cached_property
    def discriminator(self) -> Sequential:
        return from_images(
            self,
            [*self.discriminator_hidden, 1],
            inputs=self.pack * (self.pixels + self.classes),
            activation=self.discriminator_activation,
            dropout=self.dropout,
            norm=self.discriminator_norm,
            weights=self.weights,
            biases=self.biases,
        )

    @cached_property
    def networks(self) -> dict[str, Sequential]:
        """The players, each with the function of its output, by the prefix of its parameters."""
        output = [sigmoid] if self.output == "sigmoid" else []
        return {
            "generator.": Sequential(self.generator, *output),
            "discriminator.": self.discriminator,
        }

    @property
    def generator_terms(self) -> dict[str, Any]:
        """The keywords of `tinygen.byhand.gan.generator_loss_and_grads`."""
        return {
            "loss": self.loss,
            "pack": self.pack,
            "output": self.output,
            "generator_activation": self.generator_activation,
            "generator_norm": self.generator_norm,
            "discriminator_activation": self.discriminator_activation,
            "discriminator_norm": self.discriminator_norm,
            "generator_geometry": geometry(self.generator),
            "discriminator_geometry": geometry(self.discriminator),
        }

    @property
    def discriminator_terms(self) -> dict[str, Any]:
        """The keywords of `tinygen.byhand.gan.discriminator_loss_and_grads`."""
        return {
            "loss": self.loss,
            "penalty": self.weight,
            "smoothing": self.smoothing,
            "pack": self.pack,
            "discriminator_activation": self.discriminator_activation,
            "discriminator_norm": self.discriminator_norm,
            "discriminator_geometry": geometry(self.discriminator),
        }

    def draw(
        self, x: Array, generator: Any, step: int = 0, labels: Array | None = None
    ) -> tuple[DiscriminatorBatch, GeneratorBatch]:
        """The data of both players for one training step on the real images `x`, noise included.

        Each player gets its own noise, and the labels of the real images.

        Args:
            x: ``(n, pixels)``; n is a multiple of `pack`.
            labels: ``(n, classes)`` with a single 1 in each row, for a model with classes.
        """
        n, dtype = x.shape[0], x.dtype

        def noise() -> Array:
            return generator.standard_normal((n, self.latent), dtype=dtype)

        def masks() -> Masks:
            return self.discriminator.draw_masks(generator, n // self.pack, dtype)

        penalised = self.loss == "wasserstein-gp"  # at interpolates, which alpha places
        alpha = generator.random((n // self.pack, 1), dtype=dtype) if penalised else None
        hidden = masks(), masks(), masks() if penalised else ()
        return (
            DiscriminatorBatch(x, noise(), labels, alpha, hidden),
            GeneratorBatch(noise(), labels, masks()),
        )

    def generate(self, g: Mapping[str, Any], z: Any, labels: Array | None = None) -> Any:
        """Images of a training step, with batch statistics: ``(n, latent) -> (n, pixels)``."""
        return self._activate_output(self.generator(g, self._with_labels(z, labels), training=True))

    def sampler(self, g: Mapping[str, Array]) -> Callable[..., Array]:
        """The trained generator, a function ``(z, labels=None) -> images`` of arrays.

        An image does not depend on the others in its batch: batch norm is calibrated.
        """
        calibrated = self.calibrate_generator(g)

        def sample(z: Array, labels: Array | None = None) -> Array:
            a = self.generator(g, self._with_labels(z, labels), calibrated=calibrated)
            return self._activate_output(a)

        return sample

    def calibrate_generator(self, g: Mapping[str, Array]) -> dict[str, dict[str, Array]]:
        """The generator's batch-norm statistics on 2,048 rows of noise, the same ones each time.

        So they need not be saved, and they also suit a moving average of the parameters.
        """
        host = np.random.default_rng(0).standard_normal((CALIBRATION_ROWS, self.latent))
        W = g["W1"]
        z = backend_of(W).asarray(host, W.dtype)
        labels = None
        if self.classes:
            cycled = np.eye(self.classes)[np.arange(CALIBRATION_ROWS) % self.classes]
            labels = backend_of(W).asarray(cycled, W.dtype)
        return self.generator.calibrate(g, self._with_labels(z, labels))

    def logits(
        self,
        d: Mapping[str, Any],
        x: Any,
        labels: Array | None = None,
        masks: Masks = (),
        *,
        training: bool = False,
        calibrated: Mapping[str, Mapping[str, Array]] | None = None,
    ) -> Any:
        """The discriminator's logits of images: ``(n, pixels) -> (n / pack, 1)``.

        Args:
            masks: a dropout mask for each hidden layer, in a training step.
            training: whether dropout is active and batch norm uses the statistics of these images.
            calibrated: from `calibrate`, the statistics that batch norm uses otherwise.

        Raises:
            InputError: batch norm has no statistics, or masks, labels or packs do not fit.
        """
        if masks and not training:
            raise InputError("GAN: masks belong to a training step; pass training=True")
        if self.discriminator_norm == "batch" and not training and calibrated is None:
            raise InputError(
                "GAN: a batch norm in the discriminator needs statistics outside of training; "
                "pass calibrated=model.calibrate(d, images)"
            )
        rows = self._packed(x, labels)
        return self.discriminator(d, rows, training=training, masks=masks, calibrated=calibrated)

    def calibrate(
        self, d: Mapping[str, Array], x: Array, labels: Array | None = None
    ) -> dict[str, dict[str, Array]]:
        """The batch-norm statistics of these images, for `logits` outside training.

        They make the logit of an image independent of which other images are evaluated with it.
        """
        return self.discriminator.calibrate(d, self._packed(x, labels))

    def accuracy(
        self, d: Mapping[str, Array], real: Array, fake: Array, labels: Array | None = None
    ) -> dict[str, float]:
        """The fractions of real and of fake images that the discriminator classifies correctly.

        Nothing is dropped, and real and fake images have batch statistics of their own, as in
        training. Rows that do not fill a pack are left out. A critic has no decision threshold;
        the midpoint of its two means serves as one. This waits for a GPU.

        Raises:
            InputError: there are fewer images than a pack has.
        """
        n = real.shape[0] // self.pack * self.pack
        if not n:
            raise InputError(f"GAN: {real.shape[0]} images do not fill a pack of {self.pack}")
        some = None if labels is None else labels[:n]
        a, b = (
            self.logits(d, x, some, calibrated=self.calibrate(d, x, some))
            for x in (real[:n], fake[:n])
        )
        thresholds = {"least-squares": 0.5, "wasserstein-gp": 0.5 * (a.mean() + b.mean())}
        threshold = thresholds.get(self.loss, 0.0)
        return {
            "real_accuracy": float((a > threshold).mean()),
            "fake_accuracy": float((b <= threshold).mean()),
        }

    def discriminator_loss(
        self,
        d: Mapping[str, Any],
        real: Array,
        fake: Array,
        labels: Array | None = None,
        alpha: Array | None = None,
        masks: tuple[Masks, Masks, Masks] = ((), (), ()),
    ) -> Any:
        """The discriminator's loss, a function of its parameters `d`: a number.

        Args:
            real, fake: ``(n, pixels)``; both are data.
            labels: ``(n, classes)``, of the real images and of the fake ones alike.
            alpha: ``(n / pack, 1)`` in [0, 1], the weight of the real images in the interpolates
                at which "wasserstein-gp" has its penalty.
            masks: for the passes of the real images, of the fake ones, and of the interpolates.
        """
        if fake.shape != real.shape:
            raise InputError(f"GAN: fake is {fake.shape}, real is {real.shape}; expected one shape")
        for_real, for_fake, for_interpolates = masks
        x = Tensor(real, requires_grad=True) if self.loss == "r1" else real
        a_real = self._in_step(d, x, labels, for_real)
        a_fake = self._in_step(d, fake, labels, for_fake)
        if self.loss == "wasserstein-gp":
            x = self._interpolates(real, fake, alpha)
            a = self._in_step(d, x, labels, for_interpolates)
            norm = sqrt(self._squared_gradient_norms(a, x) + TINY)
            return mean(a_fake) - mean(a_real) + self.weight * mean(square(norm - 1))
        if self.loss == "least-squares":
            return 0.5 * (mean(square(a_real - (1 - self.smoothing))) + mean(square(a_fake)))
        total = mean(softplus(-a_real)) + mean(softplus(a_fake))
        if self.smoothing:
            total = total + self.smoothing * mean(a_real)
        if self.loss == "r1":
            total = total + (0.5 * self.weight) * mean(self._squared_gradient_norms(a_real, x))
        return total

    def generator_loss(
        self,
        g: Mapping[str, Any],
        d: Mapping[str, Array],
        z: Array,
        labels: Array | None = None,
        masks: Masks = (),
    ) -> Any:
        """The generator's loss, a function of its parameters `g`: a number.

        Args:
            d: the discriminator's parameters, data here.
            z: noise ``(n, latent)``.
            labels: ``(n, classes)``.
            masks: of the discriminator's dropout.
        """
        a = self._in_step(d, self.generate(g, z, labels), labels, masks)
        if self.loss == "wasserstein-gp":
            return -mean(a)
        if self.loss == "least-squares":
            return 0.5 * mean(square(a - 1))
        if self.loss == "minimax":
            return -mean(softplus(a))
        return mean(softplus(-a))

    def gradients(self, how: str) -> GANGradients:
        """The gradients of both players' losses.

        Args:
            how: "autograd", or "by-hand" for `tinygen.byhand.gan`.

        Raises:
            InputError: `how` is neither, or the derivation by hand does not cover the model.
        """
        return choose(how, autograd=self._by_autograd, by_hand=self._by_hand)

    def _by_autograd(self) -> GANGradients:
        return GANGradients(
            value_and_grad(self.discriminator_loss),
            value_and_grad(self.generator_loss),
            self.generate,
        )

    def _by_hand(self) -> GANGradients:
        checks.refuse_norm("generator", self.generator_norm)
        checks.refuse_norm("discriminator", self.discriminator_norm)
        return GANGradients(
            partial(byhand.discriminator_loss_and_grads, **self.discriminator_terms),
            partial(byhand.generator_loss_and_grads, **self.generator_terms),
            partial(byhand.generate, **self.generator_terms),
        )

    def _squared_gradient_norms(self, a: Any, x: Tensor) -> Any:
        """The squared norm of each logit's gradient with respect to its images: (n / pack,).

        The gradient is recorded, because the loss that contains it is differentiated in turn.
        """
        dx = grad(sum(a), x, create_graph=True)
        rows = reshape(dx, shape=(a.shape[0], self.pack * self.pixels))
        return sum(square(rows), axis=1)

    def _interpolates(self, real: Array, fake: Array, alpha: Array | None) -> Tensor:
        """``alpha real + (1 - alpha) fake``, with one alpha for all images of a pack."""
        expected, shape = (real.shape[0] // self.pack, 1), getattr(alpha, "shape", None)
        if alpha is None or shape != expected:
            raise InputError(f"wasserstein-gp: alpha is {shape}, expected {expected}")
        repeated = alpha if self.pack == 1 else namespace(alpha).repeat(alpha, self.pack, axis=0)
        return Tensor(fake + repeated * (real - fake), requires_grad=True)

    def _in_step(self, d: Mapping[str, Any], x: Any, labels: Array | None, masks: Masks) -> Any:
        """Logits in a training step; without masks nothing is dropped."""
        return self.logits(d, x, labels, masks, training=bool(masks) or not self.dropout)

    def _packed(self, x: Any, labels: Array | None) -> Any:
        """The discriminator's input: images with their labels, a pack of them in each row."""
        x = self._with_labels(x, labels)
        if x.shape[0] % self.pack:
            raise InputError(f"GAN: {x.shape[0]} images do not fill packs of {self.pack}")
        return reshape(x, shape=(x.shape[0] // self.pack, self.pack * x.shape[1]))

    def _with_labels(self, x: Any, labels: Array | None) -> Any:
        """Rows with their labels appended, if the model has classes."""
        expected = (x.shape[0], self.classes) if self.classes else None
        shape = None if labels is None else labels.shape
        if shape != expected:
            raise InputError(f"GAN: expected labels {expected} for these images, got {shape}")
        if labels is None:
            return x
        if labels.dtype != x.dtype:  # the wider dtype would spread to the images
            raise TypeError(f"GAN: labels are {labels.dtype}, their rows are {x.dtype}")
        return concatenate(x, labels, axis=1)

    def _activate_output(self, a: Any) -> Any:
        return sigmoid(a) if self.output == "sigmoid" else a
