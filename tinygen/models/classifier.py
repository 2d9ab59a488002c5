"""A classifier of images: the layers of an encoder, and a softmax on what they say.

It judges generated images, and it is what an encoder becomes whose decoder was taken off. The same
gradient derived on paper is in `tinygen.byhand.classifier`, and the derivation in
docs/derivations/classifier.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tinygen.backend import Array, Backend, namespace
from tinygen.errors import InputError, refuse_unknown
from tinygen.losses import cross_entropy, l2
from tinygen.models.encoder_decoder import Encoder, make_floats
from tinygen.nn import Dense, Dropout, Sequential
from tinygen.ops import ACTIVATIONS, affine, concatenate, softmax
from tinygen.parameters import Parameters

READS = ("last", "all")


@dataclass(frozen=True)
class Classifier:
    """A dense network ``pixels -> hidden -> classes``, trained by softmax cross-entropy.

    Args:
        pixels: the width of an image.
        hidden: the widths of the hidden layers; without any it is softmax regression.
        classes: how many there are.
        activation: a name in `tinygen.ops.ACTIVATIONS`.
        dropout: the probability with which a hidden unit is dropped in a training step.
        weights, biases: initialisers, names in `tinygen.nn.WEIGHTS` and `tinygen.nn.BIASES`.
        latent: the width of one more layer behind the hidden ones that stays linear, as an
            encoder's code; 0 is none.
        reads: what the softmax reads, the "last" of these layers or "all" of them side by side.
        input_noise: the deviation of normal noise on the images of a training step.
        weight_decay: times half the sum of all squared weights (not biases) is added to the loss.

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
    latent: int = 0
    reads: str = "last"
    input_noise: float = 0.0
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        refuse_unknown("activation", self.activation, ACTIVATIONS)
        refuse_unknown("reads", self.reads, READS)
        make_floats(self, ("input_noise", "weight_decay"))
        if not isinstance(self.latent, int) or self.latent < 0:
            raise InputError(f"latent must be a whole number, at least 0, got {self.latent}")
        _ = self.net  # building it checks the widths and the other names

    @cached_property
    def body(self) -> Sequential:
        """All layers but the softmax's."""
        layers: list[Any] = []
        width = self.pixels
        for outputs in self.hidden:
            layers += [Dense(width, outputs, self.weights, self.biases)]
            layers += [ACTIVATIONS[self.activation]]
            layers += [Dropout(self.dropout)] if self.dropout else []
            width = outputs
        if self.latent:
            layers.append(Dense(width, self.latent, self.weights, self.biases))
        return Sequential(*layers)

    @property
    def widths(self) -> tuple[int, ...]:
        """Of what the softmax reads, layer by layer."""
        every = (*self.hidden, self.latent) if self.latent else self.hidden
        return (every if self.reads == "all" else every[-1:]) or (self.pixels,)

    @cached_property
    def net(self) -> Sequential:
        """All layers, for their parameters: with `reads` "all" they do not form a chain."""
        read = int(np.sum(self.widths))
        return Sequential(self.body, Dense(read, self.classes, self.weights, self.biases))

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The parameters' names and shapes: ``W1``, ``b1``, ..., the softmax's last."""
        return self.net.shapes

    @property
    def terms(self) -> dict[str, Any]:
        """What the loss is made of: the keywords of `tinygen.byhand.classifier`."""
        return {
            "activation": self.activation,
            "linear": bool(self.latent),
            "reads": self.reads,
            "weight_decay": self.weight_decay,
        }

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
            ``(x, labels, masks)``: the images, with noise if the model asks for it, and a dropout
            mask for each hidden layer.

        Raises:
            InputError: the labels are missing, or have another shape.
        """
        expected, came = (x.shape[0], self.classes), getattr(labels, "shape", None)
        if came != expected:
            raise InputError(f"the classifier needs labels of shape {expected}, got {came}")
        seen, masks = self.disturbed(x, generator)
        return seen, labels, masks

    def disturbed(self, x: Array, generator: Any) -> tuple[Array, tuple[Array, ...]]:
        """Images as a training step sees them, with noise, and a dropout mask for each layer."""
        if self.input_noise:
            x = x + self.input_noise * generator.standard_normal(x.shape, dtype=x.dtype)
        return x, self.body.draw_masks(generator, x.shape[0], x.dtype)

    def take_over(self, p: Parameters, encoder: Encoder, weights: Mapping[str, Array]) -> None:
        """Write an encoder's layers into `p`; the softmax begins at 0, without an opinion.

        Of a VAE's code it takes the means.

        Raises:
            InputError: the encoder has other layers, or is for images of another size.
        """
        wanted = (self.pixels, self.hidden, self.activation, self.latent or encoder.latent)
        found = (encoder.pixels, encoder.hidden, encoder.activation, encoder.latent)
        if wanted != found:
            raise InputError(f"the classifier is of {wanted}, the encoder of {found}")
        p.flat[...] = 0
        for k in range(1, len(self.hidden) + bool(self.latent) + 1):
            for name in (f"W{k}", f"b{k}"):
                p[name][...] = weights[name][..., : p[name].shape[-1]]
        p.version += 1

    def loss(
        self, p: Mapping[str, Any], x: Array, labels: Array, masks: Sequence[Array] = ()
    ) -> Any:
        """The cross-entropy in nats per image; Tensors in `p` record it for autograd.

        Args:
            x: images, ``(n, pixels)``.
            labels: ``(n, classes)``, rows of probabilities. A row that sums to something else than
                1 counts that many times.
            masks: from `draw`; without them nothing is dropped.
        """
        total = cross_entropy(self.logits(p, x, masks), labels)
        if self.weight_decay:
            for W in p.values():
                if len(W.shape) == 2:
                    total = total + self.weight_decay * l2(W)
        return total

    def logits(self, p: Mapping[str, Any], x: Any, masks: Sequence[Array] = ()) -> Any:
        """``(n, pixels) -> (n, classes)``; the largest is the class."""
        return self._read_out(p, self.features(p, x, masks))

    def features(self, p: Mapping[str, Any], x: Any, masks: Sequence[Array] = ()) -> Any:
        """What the softmax reads of images: ``(n, pixels) -> (n, sum of widths)``."""
        layers = self.body.layers
        ends = [isinstance(after, Dense) for after in layers[1:]] + [True]
        outputs = self.body.outputs(p, x, training=bool(masks), masks=masks)
        read = [h for h, end in zip(outputs, ends, strict=False) if end] or [x]
        return concatenate(*read, axis=1) if self.reads == "all" and len(read) > 1 else read[-1]

    def _read_out(self, p: Mapping[str, Any], features: Any) -> Any:
        last = len(self.shapes) // 2
        return affine(features, p[f"W{last}"], p[f"b{last}"])

    def probabilities(self, p: Mapping[str, Any], x: Any) -> Any:
        """``(n, pixels) -> (n, classes)``, rows that sum to 1."""
        return softmax(self.logits(p, x))

    def judge(self, p: Mapping[str, Any], x: Any) -> tuple[Any, Any]:
        """Probabilities and features in one pass: ``(n, pixels) -> (n, classes) (n, features)``.

        They are what `tinygen.evaluation.generation` takes, once they are on the host.
        """
        h = self.features(p, x)
        return softmax(self._read_out(p, h)), h


@dataclass(frozen=True)
class Frozen:
    """A softmax on what something says of images that stays what it is, such as an encoder.

    To the softmax's loss the answers are data. So no gradient can reach what gives them, and there
    is nothing to freeze.

    Args:
        head: a classifier without hidden layers, as wide as the answers; its `input_noise` is on
            the images.
        says: images ``(n, pixels)`` to answers ``(n, width)``, both on the backend.
        mean, scale: ``(width,)``; the answers are shifted and scaled, so that all count alike.
    """

    head: Classifier
    says: Callable[[Array], Array]
    mean: Array
    scale: Array

    @classmethod
    def on(cls, head: Classifier, says: Callable[[Array], Array], x: Array) -> Frozen:
        """With answers of mean 0 on the images `x`, and on average a squared norm of at most 1."""
        answers = says(x)
        xp = namespace(answers)
        deviation = answers.std(axis=0)
        # What hardly changes must not be blown up: some pixels are black in nearly all images.
        # And where nothing changes at all, nothing may be divided by 0.
        least = xp.maximum(0.1 * xp.sqrt((deviation**2).mean()), 1e-6)
        scale = 1 / (xp.maximum(deviation, least) * answers.shape[1] ** 0.5)
        return cls(head, says, answers.mean(axis=0), scale)

    def initialise(
        self, seed: int, dtype: Any = np.float32, backend: Backend | str = "numpy"
    ) -> Parameters:
        """The head's starting parameters."""
        return self.head.initialise(seed, dtype, backend)

    def into(self, body: Classifier, weights: Parameters, p: Mapping[str, Array]) -> Parameters:
        """The head and what it stands on as one classifier: parameters of `body`.

        Args:
            body: a classifier whose features `says` gives.
            weights: its parameters.
            p: the head's.
        """
        q, last = weights.copy(), len(body.shapes) // 2
        W = p["W1"] * self.scale[:, None]
        q[f"W{last}"][...] = W
        q[f"b{last}"][...] = p["b1"] - self.mean @ W
        return q

    def answers(self, x: Array) -> Array:
        """What the softmax reads of images: ``(n, pixels) -> (n, width)``."""
        return (self.says(x) - self.mean) * self.scale

    def draw(
        self, x: Array, generator: Any, step: int = 0, labels: Array | None = None
    ) -> tuple[Any, ...]:
        """What `loss` takes in one training step on the images `x`, noise included."""
        seen, labels, masks = self.head.draw(x, generator, step, labels)
        return self.answers(seen), labels, masks

    def loss(
        self, p: Mapping[str, Any], answers: Array, labels: Array, masks: Sequence[Array] = ()
    ) -> Any:
        """The head's cross-entropy in nats per image."""
        return self.head.loss(p, answers, labels, masks)

    def probabilities(self, p: Mapping[str, Any], x: Any) -> Any:
        """``(n, pixels) -> (n, classes)``, rows that sum to 1."""
        return self.head.probabilities(p, self.answers(x))
