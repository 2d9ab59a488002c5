"""A VAE on images, with the same noise each time, so that figures of two epochs are comparable."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from tinygen.backend import Array, backend_of
from tinygen.data.batches import in_order
from tinygen.evaluation.elbo import ELBO, evaluate_elbo
from tinygen.evaluation.likelihood import negative_log_likelihood

TEST_STREAM, NLL_STREAM = 2, 3
"""Streams of the seed for test images and for their likelihood; training steps use stream 1."""


class VAEEvaluator:
    """Figures and images of a VAE, whose parameters may still be in training.

    Binary pixels and noise depend on the seed and on the stream of it that is named. Images are
    on the host, ``(n, h, w)`` of uint8, and results are on the host too.

    Args:
        model: a `tinygen.models.VAE`; whatever its `samples`, one code is drawn for an image, which
            is not distorted.
        parameters: of the model; they decide on which backend and in which dtype it computes.
        seed: of the run.

    With all weights 0, each of 4 pixels is white with probability 1/2, so the loss is 4 log 2:

    >>> import tinygen as tg
    >>> model = tg.VAE(pixels=4, hidden=(3,), latent=2)
    >>> p = model.initialise(seed=0)
    >>> p.flat[...] = 0
    >>> print(VAEEvaluator(model, p, seed=0).elbo(np.zeros((5, 2, 2), np.uint8)))
    2.77 nats = 2.77 + kl 0.00, 0 of 2 units active
    """

    def __init__(self, model: Any, parameters: Any, seed: int) -> None:
        self.model = model.evaluated
        self.parameters, self.seed = parameters, seed
        self.backend, self.dtype = backend_of(parameters.flat), parameters.flat.dtype

    def draw(self, images: Any, stream: int = TEST_STREAM) -> Iterator[tuple[Array, Array]]:
        """The images as the model sees them, with noise, a batch at a time, on the backend."""
        for k, x in enumerate(in_order(self.backend.asarray(images), self.dtype)):
            yield self.model.draw(x, self.backend.generator((self.seed, stream, k)))[:2]

    def elbo(self, images: Any) -> ELBO:
        """The ELBO and its terms, with a KL of weight 1."""
        return evaluate_elbo(partial(self.model.elbo_terms, self.parameters), self.draw(images))

    def negative_log_likelihood(
        self, images: Any, samples: int, advance: Callable[[int], object] = lambda n: None
    ) -> dict[str, float]:
        """The importance-weighted estimate of ``-log p(x)``.

        Args:
            samples, advance: as in `tinygen.evaluation.negative_log_likelihood`.
        """

        def log_weights(x: Array, k: int, generator: Any) -> Array:
            shape = (k, len(x), self.model.latent)
            noise = generator.standard_normal(shape, dtype=x.dtype)
            return self.model.log_weights(self.parameters, x, noise)

        batches = (x for x, _ in self.draw(images))
        generator = self.backend.generator((self.seed, NLL_STREAM))
        return negative_log_likelihood(log_weights, batches, samples, generator, advance=advance)

    def encode(self, images: Any, stream: int = TEST_STREAM) -> Any:
        """The means of the images' codes: ``(n, latent)``."""
        means = (self.model.encode(self.parameters, x)[0] for x, _ in self.draw(images, stream))
        return np.concatenate([self.backend.to_numpy(mean) for mean in means])

    def decode(self, z: Any) -> Any:
        """Codes to images: ``(m, latent) -> (m, pixels)``."""
        z = self.backend.asarray(np.asarray(z, self.dtype))
        return self.backend.to_numpy(self.model.decode(self.parameters, z))

    def reconstruct(self, images: Any, n: int) -> Mapping[str, Any]:
        """The first n images as the model sees them, and decoded from the means of their codes."""
        x = next(self.draw(images))[0][:n]
        rows = {"original": x, "reconstruction": self.model.reconstruct(self.parameters, x)}
        return {name: self.backend.to_numpy(y) for name, y in rows.items()}
