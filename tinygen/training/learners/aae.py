"""A training step of an adversarial autoencoder: its three phases, their order, and why."""

from __future__ import annotations

from copy import copy
from typing import Any, ClassVar

from tinygen.autograd import leaves
from tinygen.backend import Array
from tinygen.models.aae import AAEGradients
from tinygen.parameters import Parameters
from tinygen.training.learners.learner import MakeOptimizer, named


class AAELearner:
    """Encoder and decoder learn to reconstruct; then the encoder plays a game for its codes.

    Each phase has an optimiser of its own, and the encoder is updated by two of them. An optimiser
    remembers the gradients of its own loss: with shared moments, the loss with the larger
    gradients would set the size of the other's steps.

    Args:
        model: a `tinygen.models.AdversarialAutoencoder`, or one with the same methods.
        parameters: called ``encoder.*``, ``decoder.*`` and ``discriminator.*``.
        optimizer: makes an optimiser for the parameters of one phase.
        gradients: of the three losses, ``model.gradients(how)``.
        ratio: the learning rates of the game divided by that of the reconstruction.

    Attributes:
        p, d, e: what each phase updates: encoder and decoder, the discriminator, the encoder;
            parts of `parameters`.

    >>> import numpy as np
    >>> import tinygen as tg
    >>> model = tg.models.AdversarialAutoencoder(pixels=4, hidden=(3,), discriminator_hidden=(3,))
    >>> p, x, rng = model.initialise(seed=0), np.ones((8, 4), np.float32), np.random.default_rng(0)
    >>> learner = AAELearner(model, p, tg.Adam, model.gradients("by-hand"))
    >>> [*learner.step(learner.draw(x, rng, 0), rate=0.01)]
    ['reconstruction_loss', 'discriminator_loss', 'encoder_loss']
    >>> [name for name in learner.vectors if name.endswith(".m")]  # Adam's moments, of three
    ['reconstruction.m', 'discriminator.m', 'encoder.m']
    """

    figures: ClassVar[dict[str, str]] = {
        "reconstruction_loss": "R",
        "discriminator_loss": "D",
        "encoder_loss": "E",
    }
    averaged: str | None = None

    def __init__(
        self,
        model: Any,
        parameters: Parameters,
        optimizer: MakeOptimizer,
        gradients: AAEGradients,
        *,
        ratio: float = 1.0,
    ) -> None:
        self.model, self.parameters, self.gradients = model, parameters, gradients
        self.p = parameters.only("encoder.", "decoder.")
        self.d, self.e = parameters.part("discriminator."), parameters.part("encoder.")
        self.p_optimizer, self.d_optimizer = optimizer(self.p), optimizer(self.d)
        self.e_optimizer = optimizer(self.e)
        self.ratio = ratio
        self._dp, self._dd, self._de = (q.zeros_like() for q in (self.p, self.d, self.e))

    @property
    def vectors(self) -> dict[str, Array]:
        phases = {
            "reconstruction": self.p_optimizer,
            "discriminator": self.d_optimizer,
            "encoder": self.e_optimizer,
        }
        moments = {f"{who}.{name}": x for who, o in phases.items() for name, x in o.state.items()}
        return {"parameters": self.parameters.flat, **moments}

    @property
    def steps(self) -> int:
        """Of each phase."""
        return self.p_optimizer.steps

    @steps.setter
    def steps(self, steps: int) -> None:
        self.p_optimizer.steps = self.d_optimizer.steps = self.e_optimizer.steps = steps

    def draw(self, x: Array, generator: Any, step: int, *labels: Array) -> Any:
        return self.model.draw(x, generator, step, *labels)

    def step(self, data: Any, rate: float) -> dict[str, Array]:
        p, d, e, (x, z, alpha) = self.p, self.d, self.e, data

        # First the reconstruction, which changes the encoder: what was known of its codes before
        # is out of date afterwards.
        with named("reconstruction"):
            R, _ = self.gradients.reconstruction(p, x, out=self._dp)
            self.p_optimizer.update(p, self._dp, rate)

        # Then the discriminator, on the codes as they are now. They are computed before anything
        # is differentiated: to the discriminator they are data like the draws of the prior, and
        # its gradient ends there. Following it, the encoder would make its codes easier to tell
        # apart.
        with named("codes"):
            codes = self.gradients.encode(e, x)
        with named("discriminator's step"):
            loss_d, _ = self.gradients.discriminator(d, z, codes, alpha, out=self._dd)
            self.d_optimizer.update(d, self._dd, rate * self.ratio)

        # Then the encoder again, so that it learns from a discriminator that has seen its present
        # codes. The gradient passes through the discriminator, whose parameters are data here, and
        # the decoder has no part in it: it learns of the new codes in the next step.
        with named("encoder's step"):
            loss_e, _ = self.gradients.encoder(e, d, x, out=self._de)
            self.e_optimizer.update(e, self._de, rate * self.ratio)
        return {"reconstruction_loss": R, "discriminator_loss": loss_d, "encoder_loss": loss_e}

    def watched(self) -> AAELearner:
        twin, model = copy(self), self.model
        # Only ops of Tensors are watched, and otherwise codes are computed from arrays.
        twin.gradients = model.gradients("autograd")._replace(
            encode=lambda e, x: model.encoder(leaves(e), x).array
        )
        return twin
