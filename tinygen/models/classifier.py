"""A classifier of images, whose last features are what generated images are judged by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tinygen.backend import Array, Backend
from tinygen.errors import InputError
from tinygen.losses import cross_entropy
from tinygen.nn import Sequential, mlp
from tinygen.ops import affine, softmax
from tinygen.parameters import Parameters


@dataclass(frozen=True)
class Classifier:
    """A dense network ``pixels -> hidden -> classes``, trained by softmax cross-entropy.

    Args:
        pixels: the width of an image.
        hidden: the widths of the hidden layers, at least one; the last one gives the features.
        classes: how many there are.
        activation: a name in `tinygen.ops.ACTIVATIONS`.
        dropout: the probability with which a hidden unit is dropped in a training step.
        weights, biases: initialisers, names in `tinygen.nn.WEIGHTS` and `tinygen.nn.BIASES`.

    Raises:
        InputError: a width or a name makes no sense.
    """

    pixels: int = 784
    hidden: tuple[int, ...] = (512, 64)
    classes: int = 10
    activation: str = "relu"
    dropout: float = 0.2
    weights: str = "he_normal"
    biases: str = "zeros"

    def __post_init__(self) -> None:
        if not self.hidden:
            raise InputError("the classifier needs a hidden layer, whose output are the features")
        _ = self.net  # building it checks the widths and the names

    @cached_property
    def net(self) -> Sequential:
        """From images to logits."""
        sizes = (self.pixels, *self.hidden, self.classes)
        return mlp(sizes, self.activation, self.dropout, self.weights, self.biases)

    @cached_property
    def _body(self) -> Sequential:
        """All but the last layer, whose parameters have the names that they have in `net`."""
        return Sequential(*self.net.layers[:-1])

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The parameters' names and shapes: ``W1``, ``b1``, ..."""
        return self.net.shapes

    def initialise(
        self, seed: int, dtype: Any = np.float32, backend: Backend | str = "numpy"
    ) -> Parameters:
        """The starting parameters; the same numbers on every backend."""
        return self.net.initialise(seed, dtype, backend)

    def draw(
        self, x: Array, generator: Any, step: int = 0, labels: Array | None = None
    ) -> tuple[Any, ...]:
        """What `loss` takes in one training step on the images `x`.

        Args:
            labels: ``(n, classes)``, a row of probabilities for each image, on the backend of `x`;
                `tinygen.losses.one_hot` makes them of integers, once for a whole data set.

        Returns:
            ``(x, labels, masks)``, with a dropout mask for each hidden layer.

        Raises:
            InputError: the labels are missing, or have another shape.
        """
        expected, came = (x.shape[0], self.classes), getattr(labels, "shape", None)
        if came != expected:
            raise InputError(f"the classifier needs labels of shape {expected}, got {came}")
        return x, labels, self.net.draw_masks(generator, x.shape[0], x.dtype)

    def loss(
        self, p: Mapping[str, Any], x: Array, labels: Array, masks: Sequence[Array] = ()
    ) -> Any:
        """The cross-entropy in nats per image; Tensors in `p` record it for autograd.

        Args:
            x: images, ``(n, pixels)``.
            labels: ``(n, classes)``, rows of probabilities.
            masks: from `draw`; without them nothing is dropped.
        """
        return cross_entropy(self.net(p, x, training=bool(masks), masks=masks), labels)

    def logits(self, p: Mapping[str, Any], x: Any) -> Any:
        """``(n, pixels) -> (n, classes)``; the largest is the class."""
        return self.net(p, x)

    def features(self, p: Mapping[str, Any], x: Any) -> Any:
        """What the last hidden layer says of images: ``(n, pixels) -> (n, hidden[-1])``."""
        return self._body(p, x)

    def probabilities(self, p: Mapping[str, Any], x: Any) -> Any:
        """``(n, pixels) -> (n, classes)``, rows that sum to 1."""
        return softmax(self.logits(p, x))

    def judge(self, p: Mapping[str, Any], x: Any) -> tuple[Any, Any]:
        """Probabilities and features in one pass: ``(n, pixels) -> (n, classes) (n, hidden[-1])``.

        They are what `tinygen.metrics.generation` takes, once they are on the host.
        """
        h = self.features(p, x)
        last = len(self.hidden) + 1
        return softmax(affine(h, p[f"W{last}"], p[f"b{last}"])), h
