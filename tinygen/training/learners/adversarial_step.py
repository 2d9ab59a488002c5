"""A training step of two players: what each of them sees, in which order, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar

from tinygen import ops
from tinygen.autograd import NonFiniteError, Tensor, leaves, value_and_grad
from tinygen.backend import Array, namespace
from tinygen.byhand import checks, gan
from tinygen.optim import Optimizer
from tinygen.parameters import Parameters
from tinygen.training.learners.single_step import LossAndGrads
from tinygen.training.state import State

AVERAGED_EVERY = 10
"""Steps of the generator between two of its average, which would be a pass over memory in each."""


class Players:
    """A generator and a discriminator that share one vector, each with an optimizer of its own.

    It stands in a `State` where a single optimizer would.

    Args:
        parameters: of both, called ``generator.*`` and ``discriminator.*``.
        optimizer: makes one for the parameters it is given.
        critic_steps: steps of the discriminator for one of the generator.
        average: how much of the generator's moving average remains after a step, such as 0.999; 0
            keeps none.
    """

    def __init__(
        self,
        parameters: Parameters,
        optimizer: Callable[[Parameters], Optimizer],
        critic_steps: int = 1,
        average: float = 0.0,
    ) -> None:
        self.g, self.d = parameters.part("generator."), parameters.part("discriminator.")
        self.of_g, self.of_d = optimizer(self.g), optimizer(self.d)
        self.critic_steps, self.decay = critic_steps, average
        self.average = self.g.copy() if average else None

    @property
    def state(self) -> dict[str, Array]:
        """All vectors that a checkpoint must keep besides the parameters."""
        both = {"generator": self.of_g, "discriminator": self.of_d}
        vectors = {f"{who}.{name}": x for who, o in both.items() for name, x in o.state.items()}
        return vectors | ({} if self.average is None else {"average": self.average.flat})

    @property
    def averaged(self) -> str | None:
        """Of which parameters there is an average: those whose names begin like this."""
        return None if self.best is self.g else "generator."

    @property
    def steps(self) -> int:
        """Of the discriminator; the generator's follow from it."""
        return self.of_d.steps

    @steps.setter
    def steps(self, steps: int) -> None:
        self.of_d.steps, self.of_g.steps = steps, steps // self.critic_steps

    @property
    def best(self) -> Parameters:
        """The generator to sample from: its average, if there is one and it has moved.

        Until then it is the generator's start.
        """
        if self.average is None or self.of_g.steps < AVERAGED_EVERY:
            return self.g
        return self.average

    def follow(self) -> None:
        """Let the average move towards the generator, if it is time to.

        At first it moves faster, since where the generator began is worth nothing.
        """
        times, rest = divmod(self.of_g.steps, AVERAGED_EVERY)
        if self.average is not None and not rest:
            decay = min(self.decay**AVERAGED_EVERY, times / (9 + times))
            x = self.average.flat
            x += (1 - decay) * (self.g.flat - x)


class Duel:
    """The discriminator learns to tell real images from fake ones, the generator to mislead it.

    Args:
        model: a `tinygen.models.GAN`, or what offers the same.
        of_discriminator: ``(d, real, fake, labels, share, masks, out=) -> (loss, gradients)``.
        of_generator: ``(g, d, z, labels, masks, out=) -> (loss, gradients)``.
        generate: ``(g, z, labels) -> fake images``.
        ratio: the generator's learning rate divided by the discriminator's.
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
        of_discriminator: LossAndGrads,
        of_generator: LossAndGrads,
        generate: Callable[..., Array],
        ratio: float = 1.0,
    ) -> None:
        self.model, self.ratio = model, ratio
        self.of_discriminator, self.of_generator = of_discriminator, of_generator
        self.generate, self.norm = generate, _norm
        self.draw = model.draw
        self._dg: Parameters | None = None
        self._dd: Parameters | None = None

    @classmethod
    def by_autograd(cls, model: Any, ratio: float = 1.0) -> Duel:
        d, g = value_and_grad(model.discriminator_loss), value_and_grad(model.generator_loss)
        return cls(model, d, g, model.generate, ratio)

    def watched(self) -> Duel:
        made, model = Duel.by_autograd(self.model, self.ratio), self.model
        # Only ops of Tensors are looked at; images are else made by arrays alone, and so are norms.
        made.generate = lambda g, z, labels: model.generate(leaves(g), z, labels).array
        made.norm = _watched_norm
        return made

    def step(self, state: State, data: Any, rate: float) -> dict[str, Array]:
        players: Any = state.optimizer
        g, d = players.g, players.d
        if self._dg is None or self._dd is None:
            self._dg, self._dd = g.zeros_like(), d.zeros_like()
        seen_by_d, seen_by_g = data

        # First the discriminator, so that the generator is told by one that knows its present
        # images. They are made before anything is differentiated: to the discriminator they are
        # numbers like the real ones, and its gradient ends there.
        with named("generator's images"):
            fake = self.generate(g, seen_by_d.z, seen_by_d.labels)
        with named("discriminator's step"):
            loss_d, _ = self.of_discriminator(d, seen_by_d.real, fake, *seen_by_d[2:], out=self._dd)
            players.of_d.update(d, self._dd, rate)
        with named("norm of the discriminator's gradient"):
            figures = {"discriminator_loss": loss_d, "discriminator_norm": self.norm(self._dd)}
        if players.of_d.steps % players.critic_steps:
            return figures

        # Then the generator, with new noise: images that the discriminator has just learned from
        # would tell it less. The gradient passes through the discriminator as it is now, whose
        # parameters are data here: it has none of its own from this loss, and stays what it is.
        with named("generator's step"):
            loss_g, _ = self.of_generator(g, d, *seen_by_g, out=self._dg)
            players.of_g.update(g, self._dg, rate * self.ratio)
        players.follow()
        with named("norm of the generator's gradient"):
            return figures | {"generator_loss": loss_g, "generator_norm": self.norm(self._dg)}


def _norm(gradients: Parameters) -> Array:
    x = gradients.flat
    return namespace(x).sqrt(x @ x)


def _watched_norm(gradients: Parameters) -> Array:
    """The same by ops of a Tensor: a norm may overflow though the gradient does not."""
    return ops.sqrt(ops.sum(ops.square(Tensor(gradients.flat)))).array


@contextmanager
def named(what: str) -> Iterator[None]:
    """Say in whose part of a step an op made NaN."""
    try:
        yield
    except NonFiniteError as error:
        raise NonFiniteError(f"in the {what}, {error}") from None


def duel(model: Any, gradients: str, ratio: float = 1.0) -> Duel:
    """The duel with gradients by "autograd" or "by-hand".

    Raises:
        InputError: the derivation by hand does not cover the model.
    """
    if gradients == "autograd":
        return Duel.by_autograd(model, ratio)
    checks.refuse_norm("generator", model.generator_norm)
    checks.refuse_norm("discriminator", model.discriminator_norm)
    d = partial(gan.discriminator_loss_and_grads, **model.discriminator_terms)
    g = partial(gan.generator_loss_and_grads, **model.generator_terms)
    generate = partial(gan.generate, **model.generator_terms)
    return Duel(model, d, g, generate, ratio)
