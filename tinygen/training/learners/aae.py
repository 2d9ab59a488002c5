"""A training step of an adversarial autoencoder: its three phases, their order, and why."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from tinygen.autograd import leaves, value_and_grad
from tinygen.backend import Array
from tinygen.byhand import aae
from tinygen.optim import Optimizer
from tinygen.parameters import Parameters
from tinygen.training.learners.adversarial_step import named
from tinygen.training.learners.single_step import LossAndGrads
from tinygen.training.state import State


class Optimizers:
    """One for each phase, over the parameters that it moves; they stand in a `State` as one.

    The encoder is moved by two of them. An optimizer remembers the gradients of its own loss: with
    moments in common, the loss with the larger gradients would set the size of the other's steps.

    Args:
        parameters: called ``encoder.*``, ``decoder.*`` and ``discriminator.*``.
        optimizer: makes one for the parameters it is given.
    """

    def __init__(
        self, parameters: Parameters, optimizer: Callable[[Parameters], Optimizer]
    ) -> None:
        self.p = parameters.only("encoder.", "decoder.")
        self.d, self.e = parameters.part("discriminator."), parameters.part("encoder.")
        self.of_p, self.of_d, self.of_e = optimizer(self.p), optimizer(self.d), optimizer(self.e)

    @property
    def state(self) -> dict[str, Array]:
        """All vectors that a checkpoint must keep besides the parameters."""
        every = {"reconstruction": self.of_p, "discriminator": self.of_d, "encoder": self.of_e}
        return {f"{what}.{name}": x for what, o in every.items() for name, x in o.state.items()}

    @property
    def steps(self) -> int:
        """Of each phase."""
        return self.of_p.steps

    @steps.setter
    def steps(self, steps: int) -> None:
        self.of_p.steps = self.of_d.steps = self.of_e.steps = steps


class ThreePhases:
    """Encoder and decoder learn to reconstruct; then the encoder plays a game for its codes.

    Args:
        model: a `tinygen.models.AdversarialAutoencoder`, or what offers the same.
        of_reconstruction: ``(p, x, out=) -> (loss, gradients)``.
        of_discriminator: ``(d, z, codes, share, out=) -> (loss, gradients)``.
        of_encoder: ``(e, d, x, out=) -> (loss, gradients)``.
        encode: ``(e, x) -> codes``.
        ratio: the learning rates of the game divided by that of the reconstruction.
    """

    figures: ClassVar[dict[str, str]] = {
        "reconstruction_loss": "R",
        "discriminator_loss": "D",
        "encoder_loss": "E",
    }

    def __init__(
        self,
        model: Any,
        of_reconstruction: LossAndGrads,
        of_discriminator: LossAndGrads,
        of_encoder: LossAndGrads,
        encode: Callable[..., Array],
        ratio: float = 1.0,
    ) -> None:
        self.model, self.ratio, self.encode = model, ratio, encode
        self.of_reconstruction, self.of_discriminator = of_reconstruction, of_discriminator
        self.of_encoder = of_encoder
        self.draw = model.draw
        self._gradients: tuple[Parameters, ...] = ()

    @classmethod
    def by_autograd(cls, model: Any, ratio: float = 1.0) -> ThreePhases:
        return cls(
            model,
            value_and_grad(model.reconstruction_loss),
            value_and_grad(model.discriminator_loss),
            value_and_grad(model.encoder_loss),
            model.encoder,
            ratio,
        )

    def watched(self) -> ThreePhases:
        made, model = ThreePhases.by_autograd(self.model, self.ratio), self.model
        # Only ops of Tensors are looked at, and the codes are else made by arrays alone.
        made.encode = lambda e, x: model.encoder(leaves(e), x).array
        return made

    def step(self, state: State, data: Any, rate: float) -> dict[str, Array]:
        optimizers: Any = state.optimizer
        p, d, e = optimizers.p, optimizers.d, optimizers.e
        if not self._gradients:
            self._gradients = p.zeros_like(), d.zeros_like(), e.zeros_like()
        dp, dd, de = self._gradients
        x, z, share = data

        # First the reconstruction, which moves the encoder: whatever was known of its codes
        # before is out of date after it.
        with named("reconstruction"):
            R, _ = self.of_reconstruction(p, x, out=dp)
            optimizers.of_p.update(p, dp, rate)

        # Then the discriminator, on the codes as they are now. They are made before anything is
        # differentiated: to it they are numbers like the draws of the prior, and its gradient ends
        # there. An encoder that followed it would move its codes to where they are told apart.
        with named("codes"):
            codes = self.encode(e, x)
        with named("discriminator's step"):
            loss_d, _ = self.of_discriminator(d, z, codes, share, out=dd)
            optimizers.of_d.update(d, dd, rate * self.ratio)

        # Then the encoder again, so that it is told by a discriminator that knows its present
        # codes. The gradient passes through the discriminator, whose parameters are data here, and
        # the decoder has no part in it: it learns of the new codes in the next step.
        with named("encoder's step"):
            loss_e, _ = self.of_encoder(e, d, x, out=de)
            optimizers.of_e.update(e, de, rate * self.ratio)
        return {"reconstruction_loss": R, "discriminator_loss": loss_d, "encoder_loss": loss_e}


def aae_learner(model: Any, gradients: str, ratio: float = 1.0) -> ThreePhases:
    """The three phases with gradients by "autograd" or "by-hand"; `Optimizers` go with them."""
    if gradients == "autograd":
        return ThreePhases.by_autograd(model, ratio)

    return ThreePhases(
        model,
        partial(aae.reconstruction_loss_and_grads, **model.reconstruction_terms),
        partial(aae.discriminator_loss_and_grads, **model.discriminator_terms),
        partial(aae.encoder_loss_and_grads, **model.encoder_terms),
        partial(aae.encode, activation=model.activation),
        ratio,
    )
