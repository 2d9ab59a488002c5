"""A training step of a model that has one loss: its gradient, and an update of all parameters."""

from __future__ import annotations

from copy import copy
from typing import Any, ClassVar

from tinygen.backend import Array
from tinygen.models.gradients import LossAndGrads
from tinygen.parameters import Parameters
from tinygen.training.learners.learner import MakeOptimizer


class SingleLossLearner:
    """One loss, its gradient, and one optimiser for all parameters.

    Args:
        model: offers ``draw(x, generator, step)``, which gives the data of a step, and
            ``gradients(how)``.
        parameters: of the model; a step changes them in place.
        optimizer: makes an optimiser for them.
        gradients: ``(parameters, *data, out=) -> (loss, gradients)``: ``model.gradients(how)``.

    >>> import numpy as np
    >>> import tinygen as tg
    >>> model, rng = tg.Autoencoder(pixels=4, hidden=(3,), latent=1), np.random.default_rng(0)
    >>> p, x = model.initialise(seed=0), np.eye(4, dtype=np.float32)
    >>> learner = SingleLossLearner(model, p, tg.Adam, model.gradients("by-hand"))
    >>> losses = [learner.step(learner.draw(x, rng, k), rate=0.01)["loss"] for k in range(20)]
    >>> bool(losses[-1] < losses[0])
    True
    """

    figures: ClassVar[dict[str, str]] = {"loss": "loss"}
    averaged: str | None = None

    def __init__(
        self, model: Any, parameters: Parameters, optimizer: MakeOptimizer, gradients: LossAndGrads
    ) -> None:
        self.model, self.parameters, self.gradients = model, parameters, gradients
        self.optimizer = optimizer(parameters)
        self._out = parameters.zeros_like()

    @property
    def vectors(self) -> dict[str, Array]:
        return {"parameters": self.parameters.flat, **self.optimizer.state}

    @property
    def steps(self) -> int:
        return self.optimizer.steps

    @steps.setter
    def steps(self, steps: int) -> None:
        self.optimizer.steps = steps

    def draw(self, x: Array, generator: Any, step: int, *labels: Array) -> Any:
        return self.model.draw(x, generator, step, *labels)

    def step(self, data: Any, rate: float) -> dict[str, Array]:
        loss, _ = self.gradients(self.parameters, *data, out=self._out)
        self.optimizer.update(self.parameters, self._out, rate)
        return {"loss": loss}

    def watched(self) -> SingleLossLearner:
        twin = copy(self)
        if hasattr(self.model, "gradients"):  # else its gradients may be autograd's already
            twin.gradients = self.model.gradients("autograd")
        return twin
