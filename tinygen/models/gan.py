"""The GAN: a generator that makes samples of noise, and a discriminator that tells them from data.

Each player has a loss of its own, a function of its own parameters; everything else is data. To
the discriminator the generator's images are data, and to the generator the discriminator's weights
are. So no gradient can reach the other player, and there is nothing to detach.

Autograd derives the gradients of both losses. The same gradients derived on paper are in
`tinygen.byhand.gan`, and the derivation in docs/derivations/gan.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np

from tinygen.autograd import Tensor, grad
from tinygen.backend import Array, Backend, backend_of, namespace
from tinygen.errors import InputError, refuse_unknown
from tinygen.models.encoder_decoder import make_floats
from tinygen.nn import Sequential, mlp
from tinygen.nn.sequential import started
from tinygen.ops import concatenate, mean, reshape, sigmoid, softplus, sqrt, square, sum
from tinygen.parameters import Parameters

LOSSES = ("non-saturating", "minimax", "least-squares", "wasserstein-gp", "r1")
OUTPUTS = ("sigmoid", "none")
PENALTIES = {"wasserstein-gp": 10.0, "r1": 1.0}
"""The losses that have a gradient penalty, with its usual weight."""
TINY = 1e-12
"""Added to a squared norm, whose root has no derivative at 0."""
SETTLED = 2048
"""Rows of noise from which batch norm takes its averages."""

Masks = Sequence[Array]


class SeenByD(NamedTuple):
    """What the discriminator's step takes besides parameters; the images made of `z` join it."""

    real: Array
    z: Array
    labels: Array | None
    share: Array | None
    masks: tuple[Masks, Masks, Masks]


class SeenByG(NamedTuple):
    """What the generator's step takes besides parameters."""

    z: Array
    labels: Array | None
    masks: Masks


@dataclass(frozen=True)
class GAN:
    """A generator ``noise -> hidden -> pixels`` and a discriminator ``pixels -> hidden -> logit``.

    Args:
        pixels: the width of an image, or of any sample.
        latent: the width of the noise, which is standard normal.
        generator_hidden, discriminator_hidden: widths of hidden layers.
        generator_activation, discriminator_activation: names in `tinygen.ops.ACTIVATIONS`, or
            "maxout".
        generator_norm, discriminator_norm: "none", "batch" or "layer", before each activation.
        dropout: the probability with which a hidden unit of the discriminator is dropped.
        output: of the generator: "sigmoid" for pixels, "none" for samples without bounds.
        loss: "non-saturating" and "minimax" (Goodfellow et al. 2014), "least-squares" (Mao et al.
            2017, with labels 0 and 1), "wasserstein-gp" (Gulrajani et al. 2017), or "r1",
            non-saturating with a penalty on the gradient at real images (Mescheder et al. 2018).
        penalty: the weight of the gradient penalty: lambda of "wasserstein-gp", gamma of "r1".
            None is the usual one, in `PENALTIES`; the other losses have none.
        smoothing: real images get the label ``1 - smoothing`` (Salimans et al. 2016, one-sided).
        pack: the discriminator judges so many images at once (PacGAN, Lin et al. 2018).
        classes: both players are told the class of an image, one of so many; 0 tells them nothing.
        weights, biases: initialisers, names in `tinygen.nn.WEIGHTS` and `tinygen.nn.BIASES`.

    Raises:
        InputError: a width, a name or a combination makes no sense.
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

    def __post_init__(self) -> None:
        refuse_unknown("loss", self.loss, LOSSES)
        refuse_unknown("output", self.output, OUTPUTS)
        if self.penalty is not None and self.loss not in PENALTIES:
            raise InputError(f"the loss {self.loss} has no gradient penalty to weigh")
        make_floats(self, ("smoothing",) if self.penalty is None else ("smoothing", "penalty"))
        if self.smoothing >= 1:
            raise InputError(f"smoothing must be below 1, got {self.smoothing}")
        if self.smoothing and self.loss == "wasserstein-gp":
            raise InputError("smoothing needs labels, which the loss wasserstein-gp has not")
        for name, least in (("pack", "1 image"), ("classes", "0")):
            count: Any = getattr(self, name)
            if not isinstance(count, Integral) or count < int(least[0]):
                raise InputError(f"{name} must be at least {least}, got {count}")
            object.__setattr__(self, name, int(count))  # JSON has no NumPy integers
        if self.loss in PENALTIES and self.discriminator_norm == "batch":
            raise InputError(
                f"the loss {self.loss} penalises the gradient at each image by itself, which a "
                "batch norm in the discriminator mixes with others; use layer norm"
            )
        _ = self.generator, self.discriminator  # building them checks the widths and names

    @property
    def weight(self) -> float:
        """Of the gradient penalty: what was asked for, or the usual one; 0 if there is none."""
        return PENALTIES.get(self.loss, 0.0) if self.penalty is None else self.penalty

    @cached_property
    def generator(self) -> Sequential:
        sizes = (self.latent + self.classes, *self.generator_hidden, self.pixels)
        activation, norm = self.generator_activation, self.generator_norm
        return mlp(sizes, activation, 0.0, self.weights, self.biases, norm)

    @cached_property
    def discriminator(self) -> Sequential:
        sizes = (self.pack * (self.pixels + self.classes), *self.discriminator_hidden, 1)
        activation, norm = self.discriminator_activation, self.discriminator_norm
        return mlp(sizes, activation, self.dropout, self.weights, self.biases, norm)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The parameters' names and shapes: ``generator.W1``, ... ``discriminator.b3``."""
        players = {"generator": self.generator, "discriminator": self.discriminator}
        return {
            f"{who}.{n}": shape for who, net in players.items() for n, shape in net.shapes.items()
        }

    def initialise(
        self, seed: int, dtype: Any = np.float32, backend: Backend | str = "numpy"
    ) -> Parameters:
        """The starting parameters; each player's are ``p.part("generator.")`` and so on."""
        return started(self.shapes, self._fill, seed, dtype, backend)

    def _fill(self, p: Parameters, generator: np.random.Generator) -> None:
        self.generator.fill(p, generator, "generator.")
        self.discriminator.fill(p, generator, "discriminator.")

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
        }

    def draw(
        self, x: Array, generator: Any, step: int = 0, labels: Array | None = None
    ) -> tuple[SeenByD, SeenByG]:
        """What both players see in one training step on the real images `x`, noise included.

        Each player gets noise of its own, and the classes of the real images.

        Args:
            x: ``(n, pixels)``; n is a multiple of `pack`.
            labels: ``(n, classes)`` with a single 1 in each row, for a model with classes.
        """
        n, dtype = x.shape[0], x.dtype

        def noise() -> Array:
            return generator.standard_normal((n, self.latent), dtype=dtype)

        def masks() -> Masks:
            return self.discriminator.draw_masks(generator, n // self.pack, dtype)

        between = self.loss == "wasserstein-gp"
        share = generator.random((n // self.pack, 1), dtype=dtype) if between else None
        hidden = masks(), masks(), masks() if between else ()
        return SeenByD(x, noise(), labels, share, hidden), SeenByG(noise(), labels, masks())

    def generate(self, g: Mapping[str, Any], z: Any, labels: Array | None = None) -> Any:
        """Images of a training step, where batch norm uses the batch: noise -> (n, pixels)."""
        return self._squashed(self.generator(g, self._told(z, labels), training=True))

    def sampler(self, g: Mapping[str, Array]) -> Callable[..., Array]:
        """The trained generator, a function ``(z, labels=None) -> images`` of arrays.

        Here an image does not depend on those beside it: batch norm's averages are those of 2,048
        rows of noise, always the same ones, under the parameters `g`. So they need not be kept,
        and they are right for an average of a training's parameters, too.
        """
        host = np.random.default_rng(0).standard_normal((SETTLED, self.latent))
        W = g["W1"]
        z = backend_of(W).asarray(host, W.dtype)
        labels = None
        if self.classes:
            every = np.eye(self.classes)[np.arange(SETTLED) % self.classes]
            labels = backend_of(W).asarray(every, W.dtype)
        settled = self.generator.settle(g, self._told(z, labels))

        def sample(z: Array, labels: Array | None = None) -> Array:
            return self._squashed(self.generator(g, self._told(z, labels), settled=settled))

        return sample

    def logits(
        self,
        d: Mapping[str, Any],
        x: Any,
        labels: Array | None = None,
        masks: Masks = (),
        *,
        training: bool = False,
        settled: Mapping[str, Mapping[str, Array]] | None = None,
    ) -> Any:
        """The discriminator's logits of images: ``(n, pixels) -> (n / pack, 1)``.

        Args:
            masks: for each hidden layer, in a training step of a model with dropout.
            training: units are dropped, and batch norm has the statistics of these images.
            settled: from `settle`, what batch norm has else.

        Raises:
            InputError: it is not said in which of the two ways, or labels or packs do not fit.
        """
        if masks and not training:
            raise InputError("GAN: masks are those of a training step; pass training=True")
        if self.discriminator_norm == "batch" and not training and settled is None:
            raise InputError(
                "GAN: a batch norm in the discriminator needs statistics outside of training; "
                "pass settled=model.settle(d, images)"
            )
        rows = self._rows(x, labels)
        return self.discriminator(d, rows, training=training, masks=masks, settled=settled)

    def settle(
        self, d: Mapping[str, Array], x: Array, labels: Array | None = None
    ) -> dict[str, dict[str, Array]]:
        """The statistics of these images, for `logits` outside of training.

        There, what the discriminator says of an image shall not depend on which others it is asked
        about; so somebody has to say with which images it is to be compared.
        """
        return self.discriminator.settle(d, self._rows(x, labels))

    def accuracy(
        self, d: Mapping[str, Array], real: Array, fake: Array, labels: Array | None = None
    ) -> dict[str, float]:
        """The shares of the real and of the fake images that the discriminator has right.

        Nothing is dropped, and batch norm looks at real and at fake images by themselves, as it
        does in training. Rows that do not fill a pack are left out. A critic has no logit at which
        it is undecided; for it that is the middle between its means. It waits for a GPU.

        Raises:
            InputError: there are fewer images than a pack has.
        """
        n = real.shape[0] // self.pack * self.pack
        if not n:
            raise InputError(f"GAN: {real.shape[0]} images do not fill a pack of {self.pack}")
        some = None if labels is None else labels[:n]
        a, b = (
            self.logits(d, x, some, settled=self.settle(d, x, some)) for x in (real[:n], fake[:n])
        )
        border = {"least-squares": 0.5, "wasserstein-gp": 0.5 * (a.mean() + b.mean())}
        least = border.get(self.loss, 0.0)
        return {
            "real_accuracy": float((a > least).mean()),
            "fake_accuracy": float((b <= least).mean()),
        }

    def discriminator_loss(
        self,
        d: Mapping[str, Any],
        real: Array,
        fake: Array,
        labels: Array | None = None,
        share: Array | None = None,
        masks: tuple[Masks, Masks, Masks] = ((), (), ()),
    ) -> Any:
        """The discriminator's loss, a function of its parameters `d`: a number.

        Args:
            real, fake: ``(n, pixels)``, data both of them.
            labels: ``(n, classes)``, of the real images and of the fake ones.
            share: ``(n / pack, 1)`` in [0, 1], how much of the real images is in those between,
                where "wasserstein-gp" has its penalty.
            masks: for the passes of the real images, of the fake ones, and of those between.
        """
        if fake.shape != real.shape:
            raise InputError(f"GAN: fake is {fake.shape}, real is {real.shape}; expected one shape")
        for_real, for_fake, for_between = masks
        x = Tensor(real, requires_grad=True) if self.loss == "r1" else real
        a_real = self._in_step(d, x, labels, for_real)
        a_fake = self._in_step(d, fake, labels, for_fake)
        if self.loss == "wasserstein-gp":
            x = self._between(real, fake, share)
            a = self._in_step(d, x, labels, for_between)
            norm = sqrt(self._squared_slopes(a, x) + TINY)
            return mean(a_fake) - mean(a_real) + self.weight * mean(square(norm - 1))
        if self.loss == "least-squares":
            return 0.5 * (mean(square(a_real - (1 - self.smoothing))) + mean(square(a_fake)))
        total = mean(softplus(-a_real)) + mean(softplus(a_fake))
        if self.smoothing:
            total = total + self.smoothing * mean(a_real)
        if self.loss == "r1":
            total = total + (0.5 * self.weight) * mean(self._squared_slopes(a_real, x))
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

    def _squared_slopes(self, a: Any, x: Tensor) -> Any:
        """For each logit the squared norm of its derivative by the images it judged: (n / pack,).

        The derivative is recorded, as the loss that it enters is differentiated in turn.
        """
        dx = grad(sum(a), x, create_graph=True)
        rows = reshape(dx, shape=(a.shape[0], self.pack * self.pixels))
        return sum(square(rows), axis=1)

    def _between(self, real: Array, fake: Array, share: Array | None) -> Tensor:
        """Images on the line from fake to real, the same share for all that are judged at once."""
        if share is None or share.shape != (real.shape[0] // self.pack, 1):
            came = None if share is None else share.shape
            raise InputError(
                f"wasserstein-gp: share is {came}, expected {(real.shape[0] // self.pack, 1)}"
            )
        every = namespace(share).repeat(share, self.pack, axis=0)
        return Tensor(fake + every * (real - fake), requires_grad=True)

    def _in_step(self, d: Mapping[str, Any], x: Any, labels: Array | None, masks: Masks) -> Any:
        """Logits in a training step; without masks nothing is dropped."""
        return self.logits(d, x, labels, masks, training=bool(masks) or not self.dropout)

    def _rows(self, x: Any, labels: Array | None) -> Any:
        """What the discriminator gets: images with their class, as many in a row as a pack has."""
        x = self._told(x, labels)
        if x.shape[0] % self.pack:
            raise InputError(f"GAN: {x.shape[0]} images do not fill packs of {self.pack}")
        return reshape(x, shape=(x.shape[0] // self.pack, self.pack * x.shape[1]))

    def _told(self, x: Any, labels: Array | None) -> Any:
        """Rows with their class beside them, if the model has classes."""
        expected = (x.shape[0], self.classes) if self.classes else None
        came = None if labels is None else labels.shape
        if came != expected:
            raise InputError(f"GAN: labels need to be {expected} for these images, got {came}")
        if labels is None:
            return x
        if labels.dtype != x.dtype:  # the wider one would go on into the images
            raise TypeError(f"GAN: labels are {labels.dtype}, what they belong to is {x.dtype}")
        return concatenate(x, labels, axis=1)

    def _squashed(self, a: Any) -> Any:
        return sigmoid(a) if self.output == "sigmoid" else a
