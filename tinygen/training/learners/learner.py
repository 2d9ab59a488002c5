"""What all learners have in common, beginning with what the trainer needs of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from tinygen.autograd import NonFiniteError
from tinygen.backend import Array
from tinygen.optim import Optimizer
from tinygen.parameters import Parameters

MakeOptimizer = Callable[[Parameters], Optimizer]
"""Makes an optimiser for the parameters that it will update, such as `tinygen.Adam`."""


class Learner(Protocol):
    """A model in training. It owns the parameters and everything else that a step changes.

    >>> import numpy as np
    >>> import tinygen as tg
    >>> model, rng = tg.Autoencoder(pixels=4, hidden=(3,), latent=1), np.random.default_rng(0)
    >>> learner: Learner = tg.training.SingleLossLearner(
    ...     model, model.initialise(seed=0), tg.Adam, model.gradients("by-hand")
    ... )
    >>> figures = learner.step(learner.draw(np.eye(4, dtype=np.float32), rng, 0), rate=0.01)
    >>> figures.keys() == learner.figures.keys(), learner.steps
    (True, 1)
    """

    @property
    def model(self) -> Any:
        """The model, which a checkpoint describes."""

    @property
    def parameters(self) -> Parameters:
        """All parameters of the model, in one vector; a step changes them in place."""

    @property
    def figures(self) -> Mapping[str, str]:
        """The names of what `step` returns, each with its label on the progress bar."""

    @property
    def vectors(self) -> dict[str, Array]:
        """The vectors that a checkpoint keeps, by name: "parameters", moments, averages."""

    @property
    def averaged(self) -> str | None:
        """The prefix of the parameters whose average is the vector "average"; None for none.

        "" stands for all of them.
        """

    @property
    def steps(self) -> int:
        """How many steps were taken, as the optimisers count them."""

    @steps.setter
    def steps(self, steps: int) -> None:
        """Set every optimiser's count, after `vectors` were restored from a checkpoint."""

    def draw(self, x: Array, generator: Any, step: int, *labels: Array) -> Any:
        """The data of one step on the batch `x`, random numbers included."""

    def step(self, data: Any, rate: float) -> dict[str, Array]:
        """Take one step; the figures are 0-d arrays, so nothing waits for the device."""

    def watched(self) -> Learner:
        """This learner with gradients by autograd, sharing its parameters and optimisers.

        The search for NaN looks at the result of every op, and only autograd has ops.
        """


@contextmanager
def named(what: str) -> Iterator[None]:
    """Add to an error in which part of a step an op gave NaN."""
    try:
        yield
    except NonFiniteError as error:
        raise NonFiniteError(f"in the {what}, {error}") from None
