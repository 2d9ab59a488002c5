"""A training step that learns from a few labels, and from many images that have none."""

from __future__ import annotations

from typing import Any, ClassVar

from tinygen.backend import Array, namespace
from tinygen.data import as_floats
from tinygen.models.classifier import Classifier
from tinygen.models.gradients import LossAndGrads
from tinygen.optim import MovingAverage
from tinygen.parameters import Parameters
from tinygen.training.learners.learner import MakeOptimizer
from tinygen.training.learners.single_step import SingleLossLearner

THRESHOLD = 0.95
"""The probability from which a class is taken as the label of an image that has none."""
RARE = 1e-3
"""The least frequency that the predictions of a class are divided by: otherwise a class that is
hardly predicted any more would win every image."""
TINY = 1e-30
"""Where a prediction is entirely a class without labels, 0 is divided by this and not by 0."""


class PseudoLabelLearner(SingleLossLearner):
    """Cross-entropy on images with labels, and with pseudo-labels on images without.

    Where the moving average of the classifier is sure of an image without a label, the class it
    predicts is the label that the classifier must predict when the image is perturbed. So labels
    spread to images that look like the labelled ones, and on from there. (Pseudo-labels of Lee
    2013; predicted on clean images and learned on perturbed ones, as in Sohn et al. 2020; by an
    average, as in Tarvainen and Valpola 2017.) A class that is predicted more often than it occurs
    among the labels would draw ever more images to itself; so predictions are first aligned with
    the labels' frequencies, which are assumed for the other images too (Berthelot et al. 2020).

    Args:
        model: its `input_distortion`, `input_noise` and `dropout` are the perturbation.
        parameters: of the classifier; a step changes them in place.
        optimizer: makes an optimiser for them.
        gradients: of its loss, ``model.gradients(how)``.
        images: those with labels, uint8 on the backend.
        labels: ``(n, classes)``, of these images.
        batch_size: how many of them are in a step; those without labels come from the trainer.
        ramp_up: steps over which the weight of the images without labels rises to 1.
        decay: how much of the averages a step keeps, such as 0.99.

    Attributes:
        average: the moving average of the parameters, with which the classifier is evaluated.
        frequencies: ``(classes,)``, the moving average of its predictions, which begins at the
            labels' frequencies.

    >>> import numpy as np
    >>> import tinygen as tg
    >>> model, rng = tg.Classifier(pixels=4, hidden=(3,), classes=2), np.random.default_rng(0)
    >>> learner = PseudoLabelLearner(
    ...     model, model.initialise(seed=0), tg.Adam, model.gradients("by-hand"),
    ...     images=np.zeros((2, 2, 2), np.uint8), labels=np.eye(2, dtype=np.float32),
    ...     batch_size=2, ramp_up=2, decay=0.99,
    ... )
    >>> x = np.ones((8, 4), np.float32)
    >>> [learner.draw(x, rng, step)[-1] for step in range(3)]  # the weight of these images
    [0.5, 1.0, 1.0]
    >>> float(learner.step(learner.draw(x, rng, 0), rate=0.01)["sure"])  # of none of them so far
    0.0
    """

    figures: ClassVar[dict[str, str]] = {"loss": "loss", "sure": "sure"}
    averaged = ""

    def __init__(
        self,
        model: Classifier,
        parameters: Parameters,
        optimizer: MakeOptimizer,
        gradients: LossAndGrads,
        images: Array,
        labels: Array,
        *,
        batch_size: int,
        ramp_up: int,
        decay: float,
    ) -> None:
        super().__init__(model, parameters, optimizer, gradients)
        self._moving = MovingAverage(parameters, decay)
        self.average = self._moving.average
        self._prior = labels.mean(axis=0)
        self.frequencies = self._prior.copy()
        self.images, self.labels = images, labels
        self.batch_size, self.ramp_up = batch_size, ramp_up

    @property
    def vectors(self) -> dict[str, Array]:
        own = {"average": self.average.flat, "frequencies": self.frequencies}
        return {**super().vectors, **own}

    def draw(self, x: Array, generator: Any, step: int, *labels: Array) -> tuple[Any, ...]:
        """What `step` takes on images `x` without labels.

        Returns:
            ``(x, seen, labels, masks, weight)``: the images as they are; labelled images with these
            below them, all perturbed; the labels of the former; a dropout mask for each row; and
            the weight of the latter.
        """
        n, xp = len(self.images), namespace(x)
        index = (generator.random(self.batch_size, dtype=xp.float64) * n).astype(xp.int64)
        rows = xp.concatenate([as_floats(self.images[index], x.dtype), x])
        seen, masks = self.model.perturb(rows, generator)
        return x, seen, self.labels[index], masks, min(1.0, (step + 1) / self.ramp_up)

    def step(self, data: Any, rate: float) -> dict[str, Array]:
        x, seen, labels, masks, weight = data
        p, xp = self.parameters, namespace(x)

        # Pseudo-labels are computed on clean images before anything is differentiated: to the loss
        # they are labels like the others. Where the average is not sure, the row is zero and does
        # not count.
        q = self._aligned(self.model.probabilities(self.average, x))
        pseudo_labels = (q >= THRESHOLD).astype(x.dtype)
        # The loss is a mean over all rows; so each kind is weighted to be a mean over its own.
        n = len(seen)
        of_labelled = labels * (n / self.batch_size)
        of_others = pseudo_labels * (weight * n / len(x))
        targets = xp.concatenate([of_labelled, of_others])
        loss, _ = self.gradients(p, seen, targets, masks, out=self._out)
        self.optimizer.update(p, self._out, rate)
        self._moving.update(p, self.optimizer.steps)
        return {"loss": loss, "sure": pseudo_labels.sum() * (1 / len(x))}

    def _aligned(self, q: Array) -> Array:
        """Predictions (n, classes) as they would be if no class were predicted too often."""
        self.frequencies += (1 - self._moving.decay) * (q.mean(axis=0) - self.frequencies)
        q = q * (self._prior / namespace(q).maximum(self.frequencies, RARE))
        return q / namespace(q).maximum(q.sum(axis=1, keepdims=True), TINY)
