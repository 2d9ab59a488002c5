"""A training step that learns from few labels, and from many images that have none."""

from __future__ import annotations

from typing import Any, ClassVar

from tinygen.autograd import value_and_grad
from tinygen.backend import Array, namespace
from tinygen.data import as_floats
from tinygen.models.classifier import Classifier
from tinygen.parameters import Parameters
from tinygen.training.learners.single_step import LossAndGrads
from tinygen.training.state import State

SURE = 0.9
"""The probability above which a class is taken for the label of an image that has none."""


class FewLabels:
    """Cross-entropy on images with labels, and on the others with what is said of them already.

    Where the moving average of the classifier is sure of an image without a label, the classifier
    has to say the same of this image under noise and dropout. So what is right of the labelled
    images spreads to those that look like them, and from there on. (Pseudo-labels of Lee 2013; on
    images that the one sees clean and the other disturbed, as Sohn et al. 2020; from an average,
    as Tarvainen and Valpola 2017.)

    Args:
        model: its `input_noise` and dropout are the disturbance.
        loss_and_grads: the gradient of its loss, by autograd or by hand.
        images: those with labels, uint8 on the backend.
        labels: ``(n, classes)``, of these.
        size: how many of them are in a step; those without labels come from the loop.
        rising: steps over which the weight of the images without labels rises to 1.

    The state's optimizer must be `tinygen.optim.Averaged`.
    """

    figures: ClassVar[dict[str, str]] = {"loss": "loss", "sure": "sure"}

    def __init__(
        self,
        model: Classifier,
        loss_and_grads: LossAndGrads,
        images: Array,
        labels: Array,
        size: int,
        rising: int,
    ) -> None:
        self.model, self.loss_and_grads = model, loss_and_grads
        self.images, self.labels, self.size, self.rising = images, labels, size, rising
        self._gradients: Parameters | None = None

    def draw(self, x: Array, generator: Any, step: int) -> tuple[Any, ...]:
        """What `step` takes on images `x` without labels.

        Returns:
            ``(x, seen, labels, masks, weight)``: the images as they are; labelled ones above them,
            under noise, all of them with a dropout mask; the labels of the former; and the weight
            of the latter.
        """
        n, xp = len(self.images), namespace(x)
        index = (generator.random(self.size, dtype=xp.float64) * n).astype(xp.int64)
        rows = xp.concatenate([as_floats(self.images[index], x.dtype), x])
        seen, masks = self.model.disturbed(rows, generator)
        return x, seen, self.labels[index], masks, min(1.0, (step + 1) / self.rising)

    def step(self, state: State, data: Any, rate: float) -> dict[str, Array]:
        x, seen, labels, masks, weight = data
        p, xp = state.parameters, namespace(x)
        optimizer: Any = state.optimizer
        self._gradients = p.zeros_like() if self._gradients is None else self._gradients

        # What the average says of the clean images is made before anything is differentiated: to
        # the loss these are labels like the others. A row of zeros, where it is not sure, counts
        # nothing.
        said = self.model.probabilities(optimizer.average, x)
        own = (said >= SURE).astype(x.dtype)
        # The loss is a mean over all rows; so each kind is weighed to be a mean over its own.
        rows = len(seen)
        every = xp.concatenate([labels * (rows / self.size), own * (weight * rows / len(x))])
        loss, _ = self.loss_and_grads(p, seen, every, masks, out=self._gradients)
        optimizer.update(p, self._gradients, rate)
        return {"loss": loss, "sure": own.sum() * (1 / len(x))}

    def watched(self) -> FewLabels:
        of, rest = value_and_grad(self.model.loss), (self.images, self.labels)
        return FewLabels(self.model, of, *rest, self.size, self.rising)
