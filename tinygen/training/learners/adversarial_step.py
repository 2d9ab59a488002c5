"""A training step of two players: what each sees, in which order, and why."""

from __future__ import annotations

from copy import copy
from typing import Any, ClassVar

from tinygen import ops
from tinygen.autograd import Tensor, leaves
from tinygen.backend import Array, backend_of, namespace
from tinygen.models.gan import GANGradients
from tinygen.optim import MovingAverage
from tinygen.parameters import Parameters
from tinygen.training.learners.learner import MakeOptimizer, named

AVERAGED_EVERY = 10
"""Steps of the generator for one update of its average, which costs a pass over memory."""


class AdversarialLearner:
    """The discriminator learns to tell real images from fake ones, the generator to mislead it.

    Args:
        model: a `tinygen.models.GAN`, or one with the same methods.
        parameters: of both players, called ``generator.*`` and ``discriminator.*``.
        optimizer: makes an optimiser for the parameters of one player.
        gradients: of both losses, ``model.gradients(how)``.
        ratio: the generator's learning rate divided by the discriminator's.
        critic_steps: steps of the discriminator for each one of the generator.
        average: how much of the generator's moving average remains after a step, such as 0.999; 0
            keeps none.

    Attributes:
        g, d: the parameters of the generator and of the discriminator, parts of `parameters`.

    >>> import numpy as np
    >>> import tinygen as tg
    >>> model = tg.GAN(pixels=4, latent=2, generator_hidden=(3,), discriminator_hidden=(3,))
    >>> p, x, rng = model.initialise(seed=0), np.ones((8, 4), np.float32), np.random.default_rng(0)
    >>> learner = AdversarialLearner(model, p, tg.Adam, model.gradients("by-hand"), critic_steps=2)
    >>> steps = [learner.step(learner.draw(x, rng, k), rate=0.01) for k in range(4)]
    >>> ["generator_loss" in figures for figures in steps]  # it moves in every second step
    [False, True, False, True]
    """

    figures: ClassVar[dict[str, str]] = {
        "discriminator_loss": "D",
        "generator_loss": "G",
        "discriminator_norm": "|dD|",
        "generator_norm": "|dG|",
    }

    def __init__(
        self,
        model: Any,
        parameters: Parameters,
        optimizer: MakeOptimizer,
        gradients: GANGradients,
        *,
        ratio: float = 1.0,
        critic_steps: int = 1,
        average: float = 0.0,
    ) -> None:
        self.model, self.parameters, self.gradients = model, parameters, gradients
        self.g, self.d = parameters.part("generator."), parameters.part("discriminator.")
        self.g_optimizer, self.d_optimizer = optimizer(self.g), optimizer(self.d)
        self.ratio, self.critic_steps = ratio, critic_steps
        self._moving = MovingAverage(self.g, average**AVERAGED_EVERY) if average else None
        self._norm = _norm
        self._dg, self._dd = self.g.zeros_like(), self.d.zeros_like()

    @property
    def vectors(self) -> dict[str, Array]:
        vectors = {"parameters": self.parameters.flat}
        vectors |= {f"generator.{name}": x for name, x in self.g_optimizer.state.items()}
        vectors |= {f"discriminator.{name}": x for name, x in self.d_optimizer.state.items()}
        return vectors | ({} if self.average is None else {"average": self.average.flat})

    @property
    def average(self) -> Parameters | None:
        """The moving average of `g`, if one is kept."""
        return None if self._moving is None else self._moving.average

    @property
    def averaged(self) -> str | None:
        return None if self.averaged_generator is self.g else "generator."

    @property
    def steps(self) -> int:
        """Of the discriminator; the generator's follow from it."""
        return self.d_optimizer.steps

    @steps.setter
    def steps(self, steps: int) -> None:
        self.d_optimizer.steps, self.g_optimizer.steps = steps, steps // self.critic_steps

    @property
    def averaged_generator(self) -> Parameters:
        """The generator to sample from: its average, if there is one and it has moved.

        Until then it is the generator itself, as the average is still its random start.
        """
        if self.average is None or self.g_optimizer.steps < AVERAGED_EVERY:
            return self.g
        return self.average

    def draw(self, x: Array, generator: Any, step: int, *labels: Array) -> Any:
        return self.model.draw(x, generator, step, *labels)

    def step(self, data: Any, rate: float) -> dict[str, Array]:
        g, d, (seen_by_d, seen_by_g) = self.g, self.d, data

        # First the discriminator, so that the generator learns from one that has seen its current
        # images. They are computed before anything is differentiated: to the discriminator they
        # are data like the real ones, and its gradient ends there.
        with named("generator's images"):
            fake = self.gradients.generate(g, seen_by_d.z, seen_by_d.labels)
        with named("discriminator's step"):
            loss_d, _ = self.gradients.discriminator(
                d, seen_by_d.real, fake, *seen_by_d[2:], out=self._dd
            )
            self.d_optimizer.update(d, self._dd, rate)
        with named("norm of the discriminator's gradient"):
            figures = {"discriminator_loss": loss_d, "discriminator_norm": self._norm(self._dd)}
        if self.d_optimizer.steps % self.critic_steps:
            return figures

        # Then the generator, with new noise: images that the discriminator has just learned from
        # would teach it less. The gradient passes through the discriminator as it is now, whose
        # parameters are data here: they get no gradient from this loss, and do not change.
        with named("generator's step"):
            loss_g, _ = self.gradients.generator(g, d, *seen_by_g, out=self._dg)
            self.g_optimizer.update(g, self._dg, rate * self.ratio)
        self.update_average()
        with named("norm of the generator's gradient"):
            return figures | {"generator_loss": loss_g, "generator_norm": self._norm(self._dg)}

    def update_average(self) -> None:
        """Move the average towards the generator, if it is time to."""
        count, rest = divmod(self.g_optimizer.steps, AVERAGED_EVERY)
        if self._moving is not None and not rest:
            self._moving.update(self.g, count)

    def watched(self) -> AdversarialLearner:
        twin, model = copy(self), self.model
        # Only ops of Tensors are watched; otherwise images and norms are computed from arrays.
        twin.gradients = model.gradients("autograd")._replace(
            generate=lambda g, z, labels: model.generate(leaves(g), z, labels).array
        )
        twin._norm = _watched_norm
        return twin


def _norm(gradients: Parameters) -> Array:
    x = gradients.flat
    return namespace(x).sqrt(backend_of(x).sum_of_squares(x))


def _watched_norm(gradients: Parameters) -> Array:
    """The same by Tensor ops: a norm may overflow though the gradient does not."""
    return ops.sqrt(ops.sum(ops.square(Tensor(gradients.flat)))).array
