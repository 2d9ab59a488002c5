"""A training step of a model that has one loss: down its gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from tinygen.autograd import value_and_grad
from tinygen.backend import Array
from tinygen.parameters import Parameters
from tinygen.training.state import State

LossAndGrads = Callable[..., tuple[Array, Parameters]]
"""``(parameters, *data, out=gradients) -> (loss, gradients)``, by autograd or by hand."""


class Learner(Protocol):
    """What `fit` trains."""

    figures: ClassVar[dict[str, str]]
    """What `step` returns, each with its name on the progress bar."""

    model: Any
    """What the parameters are those of."""

    def draw(self, x: Array, generator: Any, step: int, *labels: Array) -> Any:
        """The data of a step on the batch `x`, noise included."""

    def step(self, state: State, data: Any, rate: float) -> dict[str, Array]:
        """Change the parameters of `state` once; the figures are 0-d, and nothing is waited for."""

    def watched(self) -> Learner:
        """The same with gradients by autograd, which can look at the result of every op."""


class Descent:
    """One loss, its gradient, and an update of all parameters.

    Args:
        model: offers ``draw(x, generator, step)``, the data of a step, and ``loss``.
        loss_and_grads: the gradient of that loss, by autograd or by hand.
    """

    figures: ClassVar[dict[str, str]] = {"loss": "loss"}

    def __init__(self, model: Any, loss_and_grads: LossAndGrads) -> None:
        self.model, self.loss_and_grads = model, loss_and_grads
        self.draw = model.draw
        self._gradients: Parameters | None = None

    def step(self, state: State, data: Any, rate: float) -> dict[str, Array]:
        p = state.parameters
        self._gradients = p.zeros_like() if self._gradients is None else self._gradients
        loss, _ = self.loss_and_grads(p, *data, out=self._gradients)
        state.optimizer.update(p, self._gradients, rate)
        return {"loss": loss}

    def watched(self) -> Descent:
        return Descent(self.model, value_and_grad(self.model.loss))
