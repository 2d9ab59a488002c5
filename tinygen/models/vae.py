"""The variational autoencoder: the code of an image is a distribution, not a point.

The loss is written with ops, so autograd derives its gradient. The same gradient derived on paper
is in `tinygen.byhand.vae`, and the derivation in docs/derivations/vae.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import log
from typing import Any, ClassVar

from tinygen.backend import Array, namespace
from tinygen.byhand import vae as byhand
from tinygen.errors import InputError, refuse_unknown
from tinygen.losses import bernoulli_nll, gaussian_kl, gaussian_nll
from tinygen.models.architecture import KERNEL, convolutions_of, shape_of
from tinygen.models.distortion import distorted
from tinygen.models.encoder_decoder import EncoderDecoder
from tinygen.models.gradients import LossAndGrads, of_one_loss
from tinygen.models.options import convert_options
from tinygen.models.verbs import of_parameters
from tinygen.ops import exp, logsumexp, maximum, mean, reshape, sum
from tinygen.parameters import part

LIKELIHOODS = ("bernoulli", "gaussian")
OBJECTIVES = ("elbo", "iwae")


@dataclass(frozen=True)
class VAE(EncoderDecoder):
    """An encoder ``pixels -> hidden -> mean, log_var of the code``, and a decoder that mirrors it.

    The encoder's last layer has ``2 latent`` columns: first the means of the code, then the
    logarithms of its variances. Everything is in nats per image: sums over pixels and over latent
    dimensions, means over images.

    Args:
        pixels: the width of an image.
        hidden: the widths of the encoder's hidden layers, or one; the decoder has them in reverse.
        latent: the width of the code.
        activation: a name in `tinygen.ops.ACTIVATIONS`.
        likelihood: "bernoulli", pixels are 0 or 1 and the decoder returns logits (grey pixels
            are allowed, but then the ELBO bounds no likelihood); or "gaussian", the decoder returns
            means, and one variance for all pixels is learned as well, ``decoder.log_var``.
        objective: "elbo" (Kingma and Welling 2014), with the KL in closed form; or "iwae", the
            importance-weighted bound of Burda et al. (2016).
        samples: how many codes are drawn for an image in a step.
        beta: the weight of the KL (Higgins et al. 2017); 1 for the ELBO itself.
        kl_warm_up: steps over which that weight rises linearly to `beta`.
        free_bits: nats below which the KL of a latent dimension, averaged over a batch, is not
            rewarded for falling further (Kingma et al. 2016); for "elbo" only.
        binarize: each step draws its pixels anew, 1 with the probability of their grey value.
        input_distortion: how far the images of a training step are turned, stretched, sheared and
            moved at random; the `strength` of `tinygen.models.distortion.distorted`.
        distorted_steps: for how many steps they are; 0 for all.
        weights, biases: initialisers, names in `tinygen.nn.WEIGHTS` and `tinygen.nn.BIASES`.
        channels: of each convolution of the encoder, before `hidden`; the decoder has them in
            reverse. Without any the networks are dense.
        kernel: the height and width of the windows of convolutions, whose stride is 2.
        image: the shape of an image for convolutions or distortions, ``(h, w, c)``; by default a
            grey square.

    Raises:
        InputError: a width, a name or a combination of options is invalid.

    >>> import numpy as np
    >>> model = VAE(pixels=784, hidden=(64,), latent=8)
    >>> p, x = model.initialise(seed=0), np.zeros((5, 784), np.float32)
    >>> data = model.draw(x, np.random.default_rng(0))  # the images and their noise
    >>> loss, gradients = model.gradients("by-hand")(p, *data)  # or "autograd"
    >>> gradients["encoder.W1"].shape
    (784, 64)
    """

    pixels: int = 784
    hidden: tuple[int, ...] = (400,)
    latent: int = 20
    activation: str = "gelu"
    likelihood: str = "bernoulli"
    objective: str = "elbo"
    samples: int = 1
    beta: float = 1.0
    kl_warm_up: int = 0
    free_bits: float = 0.0
    binarize: bool = False
    weights: str = "glorot_uniform"
    biases: str = "zeros"
    channels: tuple[int, ...] = ()
    kernel: int = KERNEL
    image: tuple[int, ...] = ()
    input_distortion: float = 0.0
    distorted_steps: int = 0

    heads: ClassVar[int] = 2

    def __post_init__(self) -> None:
        convert_options(self)
        refuse_unknown("likelihood", self.likelihood, LIKELIHOODS)
        refuse_unknown("objective", self.objective, OBJECTIVES)
        if self.input_distortion:
            shape_of(self)  # which refuses a shape that is not the images'
        if self.distorted_steps and not self.input_distortion:
            raise InputError(
                "a number of distorted steps or epochs changes nothing without an input distortion"
            )
        if self.free_bits and self.objective == "iwae":
            raise InputError("free bits need a separate KL term, which the objective iwae has not")
        if self.binarize and self.likelihood == "gaussian":
            raise InputError("pixels that are 0 or 1 need the likelihood bernoulli")
        _ = self.encoder, self.decoder  # building them checks the widths and the other names

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The parameters' names and shapes: ``encoder.W1``, ``encoder.b1``, ... ``decoder.b2``."""
        log_var = {"decoder.log_var": (1,)} if self.likelihood == "gaussian" else {}
        return super().shapes | log_var

    @property
    def terms(self) -> dict[str, Any]:
        """The options of the loss: the keywords of `tinygen.byhand.vae`."""
        return {
            "activation": self.activation,
            "likelihood": self.likelihood,
            "objective": self.objective,
            "free_bits": self.free_bits,
            **self.geometry_terms,
        }

    @property
    def _decoder_options(self) -> dict[str, str]:
        if self.likelihood == "bernoulli":
            return {"output": "sigmoid", "reconstruction": "bce"}
        return {"output": "none", "reconstruction": "mse"}

    @cached_property
    def evaluated(self) -> VAE:
        """The same model as used for test figures: images as they are, and one code for each."""
        as_they_are = {"input_distortion": 0.0, "distorted_steps": 0, **convolutions_of(self)}
        return replace(self, samples=1, **as_they_are)

    @of_parameters
    def encode(self, p: Mapping[str, Any], x: Any) -> tuple[Any, Any]:
        """Images to codes: ``(n, pixels) -> mean (n, latent), log_var (n, latent)``."""
        h = self.encoder.net(part(p, "encoder."), x)
        return h[:, : self.latent], h[:, self.latent :]

    @of_parameters
    def decode(self, p: Mapping[str, Any], z: Any) -> Any:
        """Codes to the means of the pixels: ``(n, latent) -> (n, pixels)``."""
        return self.decoder(part(p, "decoder."), z)

    @of_parameters
    def reconstruct(self, p: Mapping[str, Any], x: Any) -> Any:
        """Images decoded from the mean of their code: ``(n, pixels) -> (n, pixels)``."""
        return self.decode(p, self.encode(p, x)[0])

    def beta_at(self, step: int) -> float:
        """The weight of the KL in a step, counted from 0."""
        return self.beta * min(1.0, (step + 1) / self.kl_warm_up) if self.kl_warm_up else self.beta

    def draw(self, x: Array, generator: Any, step: int = 0) -> tuple[Any, ...]:
        """The data of `loss` for one training step on the images `x`, noise included.

        Returns:
            ``(x, noise, beta)``: the images, distorted and binarised if the model asks for it;
            standard normal noise (samples, n, latent); and the weight of the KL.
        """
        if self.input_distortion and not 0 < self.distorted_steps <= step:
            x = distorted(x, shape_of(self), self.input_distortion, generator)
        if self.binarize:
            x = bernoulli(x, generator)
        shape = (self.samples, x.shape[0], self.latent)
        return x, generator.standard_normal(shape, dtype=x.dtype), self.beta_at(step)

    @of_parameters
    def loss(self, p: Mapping[str, Any], x: Array, noise: Array, beta: float = 1.0) -> Any:
        """The negative ELBO, or IWAE bound, of images ``(n, pixels)``; Tensors in `p` record it.

        Args:
            noise: standard normal (k, n, latent), k draws for each image.
            beta: the weight of the KL; with 1 the loss is an upper bound on ``-log p(x)``.
        """
        beta = float(beta)  # np.float64 is contagious
        mu, log_var = self.encode(p, x)
        z = reparameterise(mu, log_var, noise)
        if self.objective == "iwae":
            log_w = beta * log_ratio(z, log_var, noise) - self.reconstruction(p, x, z)
            return log(noise.shape[0]) - mean(logsumexp(log_w, axis=0))
        kl = mean(gaussian_kl(mu, log_var), axis=0)
        if self.free_bits:
            kl = maximum(kl, self.free_bits)
        return mean(self.reconstruction(p, x, z)) + beta * sum(kl)

    def gradients(self, how: str) -> LossAndGrads:
        """``(parameters, *data, out=None) -> (loss, gradients)`` for the data of `draw`.

        Args:
            how: "autograd", or "by-hand" for `tinygen.byhand.vae.loss_and_grads`.

        Raises:
            InputError: `how` is neither.
        """
        return of_one_loss(how, self, byhand.loss_and_grads)

    def reconstruction(self, p: Mapping[str, Any], x: Any, z: Any) -> Any:
        """``-log p(x | z)`` in nats: images (n, pixels), codes (k, n, latent) -> (k, n)."""
        k, n, c = z.shape
        a = self.decoder.net(part(p, "decoder."), reshape(z, shape=(k * n, c)))
        a = reshape(a, shape=(k, n, self.pixels))
        if self.likelihood == "bernoulli":
            return bernoulli_nll(a, x)
        return gaussian_nll(a, p["decoder.log_var"], x)

    def elbo_terms(self, p: Mapping[str, Any], x: Array, noise: Array) -> tuple[Any, Any, Any]:
        """The terms of each image's ELBO, with beta 1 and no free bits.

        Args:
            noise: standard normal (k, n, latent).

        Returns:
            ``-log p(x | z)`` averaged over the draws (n,); the KL of each latent dimension
            (n, latent); and the means of the codes (n, latent).
        """
        mu, log_var = self.encode(p, x)
        nll = self.reconstruction(p, x, reparameterise(mu, log_var, noise))
        return mean(nll, axis=0), gaussian_kl(mu, log_var), mu

    def log_weights(self, p: Mapping[str, Any], x: Array, noise: Array) -> Any:
        """``log [p(x, z) / q(z | x)]`` of k draws per image: noise (k, n, latent) -> (k, n)."""
        mu, log_var = self.encode(p, x)
        z = reparameterise(mu, log_var, noise)
        return log_ratio(z, log_var, noise) - self.reconstruction(p, x, z)


def reparameterise(mu: Any, log_var: Any, noise: Any) -> Any:
    """Draws from ``N(mu, exp(log_var))`` as a function of standard normal `noise`.

    The standard deviation is ``exp(log_var / 2)``, the square root of the variance.
    ``(n, c), (n, c), (k, n, c) -> (k, n, c)``.

    Raises:
        ValueError: the shapes do not fit; broadcasting would correlate the draws.
        TypeError: the dtype of the noise does not fit.
    """
    if log_var.shape != mu.shape:
        raise ValueError(
            f"reparameterise: means are {mu.shape}, log_var is {log_var.shape}; expected one shape"
        )
    if noise.ndim != 3 or not noise.size or noise.shape[1:] != mu.shape:
        raise ValueError(
            f"reparameterise: noise is {noise.shape}, means are {mu.shape}; "
            "expected (k, n, c) and (n, c)"
        )
    if noise.dtype != mu.dtype:
        raise TypeError(f"reparameterise: noise is {noise.dtype}, means are {mu.dtype}")
    sigma = exp(0.5 * log_var)
    return mu + sigma * noise


def log_ratio(z: Any, log_var: Any, noise: Any) -> Any:
    """``log p(z) - log q(z | x)`` of a z drawn with `noise`: ``(k, n, c) -> (k, n)``.

    ``(z - mean)^2 / variance`` is the noise squared, and ``log(2 pi)`` cancels.
    """
    return 0.5 * sum(log_var + (noise * noise - z * z), axis=-1)


def bernoulli(x: Array, generator: Any) -> Array:
    """Pixels that are 1 with probability `x`, else 0, in the dtype of `x`."""
    xp = namespace(x)
    drawn = generator.random(x.shape, dtype=x.dtype)
    return xp.less(drawn, x).astype(x.dtype)
