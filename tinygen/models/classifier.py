"""A classifier of images: the layers of an encoder, and a softmax on their features.

It evaluates generated images, and it reuses an encoder that was trained with a decoder. The same
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
from tinygen.byhand import classifier as byhand
from tinygen.errors import InputError, refuse_unknown
from tinygen.losses import cross_entropy, l2
from tinygen.models.architecture import KERNEL, from_images, shape_of, widths_of_stages
from tinygen.models.distortion import distorted
from tinygen.models.encoder_decoder import Encoder, Network
from tinygen.models.gradients import LossAndGrads, geometry, of_one_loss
from tinygen.models.options import convert_options
from tinygen.models.verbs import of_parameters
from tinygen.nn import Dense, Sequential
from tinygen.ops import ACTIVATIONS, affine, concatenate, reshape, softmax
from tinygen.parameters import Parameters

READS = ("last", "all")


@dataclass(frozen=True)
class Classifier(Network):
    """An encoder's layers and a softmax, ``pixels -> hidden -> classes``, and their cross-entropy.

    Args:
        pixels: the width of an image.
        hidden: the widths of the hidden layers, or one; without any it is softmax regression.
        classes: the number of classes.
        activation: a name in `tinygen.ops.ACTIVATIONS`.
        dropout: the probability with which a hidden unit is dropped in a training step.
        weights, biases: initialisers, names in `tinygen.nn.WEIGHTS` and `tinygen.nn.BIASES`.
        latent: the width of a linear layer after the hidden ones, like an encoder's code layer; 0
            for none.
        reads: the features of the softmax, the "last" of these layers or "all" of them
            concatenated.
        input_noise: the standard deviation of normal noise on the images of a training step.
        input_distortion: how far they are turned, stretched, sheared and moved at random before
            that; the `strength` of `tinygen.models.distortion.distorted`.
        weight_decay: this times half the sum of squared weights (not biases) is added to the loss.
        channels, kernel, image: as in `Encoder`; a distortion needs the image's shape, too.

    Raises:
        InputError: a width or a name is invalid.

    >>> import numpy as np
    >>> from tinygen.losses import one_hot
    >>> model = Classifier(pixels=784, hidden=(64,))
    >>> p, x = model.initialise(seed=0), np.zeros((5, 784), np.float32)
    >>> labels = one_hot([0, 1, 2, 3, 4], classes=10)
    >>> loss, gradients = model.gradients("by-hand")(p, x, labels)  # or "autograd"
    >>> gradients["W1"].shape
    (784, 64)
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
    channels: tuple[int, ...] = ()
    kernel: int = KERNEL
    image: tuple[int, ...] = ()
    input_distortion: float = 0.0

    def __post_init__(self) -> None:
        convert_options(self)
        refuse_unknown("activation", self.activation, ACTIVATIONS)
        refuse_unknown("reads", self.reads, READS)
        if self.input_distortion:
            shape_of(self)  # which refuses a shape that is not the images'
        _ = self.net  # building it checks the widths and the other names

    @cached_property
    def body(self) -> Sequential:
        """All layers before the softmax layer."""
        last = self.latent or self.classes
        net = from_images(self, [*self.hidden, last], **self._style)
        return net if self.latent else Sequential(*net.layers[:-1])

    @property
    def widths(self) -> tuple[int, ...]:
        """The widths of the layers whose outputs are the features."""
        every = (*widths_of_stages(self), *self.hidden, *([self.latent] if self.latent else []))
        return (every if self.reads == "all" else every[-1:]) or (self.pixels,)

    @cached_property
    def net(self) -> Sequential:
        """All layers, for their parameters: with `reads` "all" they do not form a chain."""
        features = int(np.sum(self.widths))
        return Sequential(self.body, Dense(features, self.classes, self.weights, self.biases))

    @property
    def terms(self) -> dict[str, Any]:
        """The options of the loss: the keywords of `tinygen.byhand.classifier`."""
        return {
            "activation": self.activation,
            "linear": bool(self.latent),
            "reads": self.reads,
            "weight_decay": self.weight_decay,
            "geometry": geometry(self.body),
        }

    def draw(
        self, x: Array, generator: Any, step: int = 0, labels: Array | None = None
    ) -> tuple[Any, ...]:
        """The data of `loss` for one training step on the images `x`.

        Args:
            labels: ``(n, classes)``, a row of probabilities for each image, on the backend of `x`;
                `tinygen.losses.one_hot` converts integers, once for a whole data set.

        Returns:
            ``(x, labels, masks)``: the images, distorted and with noise if `input_distortion` and
            `input_noise` are set, the labels, and a dropout mask for each hidden layer.

        Raises:
            InputError: the labels are missing, or have another shape.
        """
        expected, shape = (x.shape[0], self.classes), getattr(labels, "shape", None)
        if shape != expected:
            raise InputError(f"the classifier needs labels of shape {expected}, got {shape}")
        noisy, masks = self.perturb(x, generator)
        return noisy, labels, masks

    def perturb(self, x: Array, generator: Any) -> tuple[Array, tuple[Array, ...]]:
        """The images of a training step, perturbed, and a dropout mask for each hidden layer."""
        if self.input_distortion:
            x = distorted(x, shape_of(self), self.input_distortion, generator)
        if self.input_noise:
            x = x + self.input_noise * generator.standard_normal(x.shape, dtype=x.dtype)
        return x, self.body.draw_masks(generator, x.shape[0], x.dtype)

    def copy_encoder(self, p: Parameters, encoder: Encoder, weights: Mapping[str, Array]) -> None:
        """Write an encoder's layers into `p`, and 0 into the softmax layer: a uniform prediction.

        From a VAE's code layer it copies the means.

        Raises:
            InputError: the encoder has other layers, or is for images of another shape.
        """
        own = _layers_of(self, self.latent or encoder.latent)
        other = _layers_of(encoder, encoder.latent)
        if own != other:
            raise InputError(f"the classifier has the layers {own}, the encoder {other}")
        p.flat[...] = 0
        for name in self.body.shapes:
            p[name][...] = weights[name][..., : p[name].shape[-1]]
        p.note_write()

    @of_parameters
    def loss(
        self, p: Mapping[str, Any], x: Array, labels: Array, masks: Sequence[Array] = ()
    ) -> Any:
        """The cross-entropy in nats per image; Tensors in `p` record it for autograd.

        Args:
            x: images, ``(n, pixels)``.
            labels: ``(n, classes)``, rows of probabilities. A row's sum is its weight in the
                loss: 1 for probabilities, 0 to leave it out.
            masks: from `draw`; without them nothing is dropped.
        """
        total = cross_entropy(self.logits(p, x, masks), labels)
        if self.weight_decay:
            for W in p.values():
                if len(W.shape) == 2:
                    total = total + self.weight_decay * l2(W)
        return total

    def gradients(self, how: str) -> LossAndGrads:
        """``(parameters, *data, out=None) -> (loss, gradients)`` for the data of `draw`.

        Args:
            how: "autograd", or "by-hand" for `tinygen.byhand.classifier.loss_and_grads`.

        Raises:
            InputError: `how` is neither.
        """
        return of_one_loss(how, self, byhand.loss_and_grads)

    def logits(self, p: Mapping[str, Any], x: Any, masks: Sequence[Array] = ()) -> Any:
        """``(n, pixels) -> (n, classes)``; the largest is the class."""
        return self._softmax_layer(p, self.features(p, x, masks))

    def features(self, p: Mapping[str, Any], x: Any, masks: Sequence[Array] = ()) -> Any:
        """The input of the softmax layer: ``(n, pixels) -> (n, sum of widths)``."""
        outputs = self.body.outputs(p, x, training=bool(masks), masks=masks)
        hidden: list[Any] = []
        for layer, h in zip(self.body.layers, outputs, strict=True):
            if isinstance(layer, Dense):  # or a convolution, which is one on windows
                hidden.append(h)
            elif hidden:  # what follows it: its activation, its dropout
                hidden[-1] = h
        read = hidden if self.reads == "all" else hidden[-1:]
        used = [_as_rows(h) for h in read] or [x]
        return concatenate(*used, axis=1) if len(used) > 1 else used[0]

    def _softmax_layer(self, p: Mapping[str, Any], features: Any) -> Any:
        last = len(self.shapes) // 2
        return affine(features, p[f"W{last}"], p[f"b{last}"])

    def probabilities(self, p: Mapping[str, Any], x: Any) -> Any:
        """``(n, pixels) -> (n, classes)``, rows that sum to 1."""
        return softmax(self.logits(p, x))

    def probabilities_and_features(self, p: Mapping[str, Any], x: Any) -> tuple[Any, Any]:
        """Probabilities and features in one pass: ``(n, pixels) -> (n, classes) (n, features)``.

        They are what `tinygen.evaluation.evaluate_generation` takes, once they are on the host.
        """
        h = self.features(p, x)
        return softmax(self._softmax_layer(p, h)), h


def _layers_of(model: Classifier | Encoder, latent: int) -> tuple[Any, ...]:
    """What two models have in common if one can take over the layers of the other."""
    image = shape_of(model) if model.channels else model.pixels
    return image, model.channels, model.kernel, model.hidden, model.activation, latent


def _as_rows(h: Any) -> Any:
    return h if len(h.shape) == 2 else reshape(h, shape=(h.shape[0], -1))


@dataclass(frozen=True)
class Frozen:
    """A softmax on the features of images that a frozen function extracts, such as an encoder.

    To the softmax's loss the features are data. So no gradient can reach the extractor, and there
    is no parameter to freeze.

    Args:
        head: a classifier without hidden layers, as wide as the features; its `input_noise` is on
            the images.
        extract: images ``(n, pixels)`` to raw features ``(n, width)``, both on the backend.
        mean, scale: ``(width,)``; raw features are standardised to ``(raw - mean) * scale``.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).random((100, 3))
    >>> head = Classifier(pixels=3, hidden=(), classes=2)
    >>> frozen = Frozen.standardised(head, lambda images: 1000 * images, x)
    >>> bool(abs(frozen.features(x).mean()) < 1e-12)
    True
    """

    head: Classifier
    extract: Callable[[Array], Array]
    mean: Array
    scale: Array

    @classmethod
    def standardised(cls, head: Classifier, extract: Callable[[Array], Array], x: Array) -> Frozen:
        """With features of mean 0 on the images `x`, and a mean squared norm of at most 1."""
        raw = extract(x)
        xp = namespace(raw)
        std = raw.std(axis=0)
        # Features that hardly vary, such as pixels that are black in nearly all images, must not be
        # blown up, and constant ones must not be divided by 0.
        least = xp.maximum(0.1 * xp.sqrt((std**2).mean()), 1e-6)
        scale = 1 / (xp.maximum(std, least) * raw.shape[1] ** 0.5)
        return cls(head, extract, raw.mean(axis=0), scale)

    def initialise(
        self, seed: int, dtype: Any = np.float32, backend: Backend | str = "numpy"
    ) -> Parameters:
        """The head's initial parameters."""
        return self.head.initialise(seed, dtype, backend)

    def to_classifier(
        self, body: Classifier, weights: Parameters, p: Mapping[str, Array]
    ) -> Parameters:
        """Extractor and head as one classifier: parameters of `body`.

        Args:
            body: a classifier whose features `extract` returns.
            weights: its parameters.
            p: the head's parameters.
        """
        q, last = weights.copy(), len(body.shapes) // 2
        W = p["W1"] * self.scale[:, None]
        q[f"W{last}"][...] = W
        q[f"b{last}"][...] = p["b1"] - self.mean @ W
        return q

    def features(self, x: Array) -> Array:
        """The head's input: ``(n, pixels) -> (n, width)``.

        Raises:
            InputError: `extract` returned another width, which might broadcast.
        """
        raw = self.extract(x)
        if raw.ndim != 2 or not raw.shape[1:] == self.mean.shape == self.scale.shape:
            raise InputError(
                f"Frozen: features are {raw.shape}, mean is {self.mean.shape}, scale is "
                f"{self.scale.shape}; expected (n, {self.head.pixels}) and one number a column"
            )
        return (raw - self.mean) * self.scale

    def draw(
        self, x: Array, generator: Any, step: int = 0, labels: Array | None = None
    ) -> tuple[Any, ...]:
        """The data of `loss` for one training step on the images `x`, noise included."""
        noisy, labels, masks = self.head.draw(x, generator, step, labels)
        return self.features(noisy), labels, masks

    def loss(
        self, p: Mapping[str, Any], features: Array, labels: Array, masks: Sequence[Array] = ()
    ) -> Any:
        """The head's cross-entropy in nats per image."""
        return self.head.loss(p, features, labels, masks)

    def gradients(self, how: str) -> LossAndGrads:
        """Those of the head, by "autograd" or "by-hand"; nothing else is trained."""
        return self.head.gradients(how)

    def probabilities(self, p: Mapping[str, Any], x: Any) -> Any:
        """``(n, pixels) -> (n, classes)``, rows that sum to 1."""
        return self.head.probabilities(p, self.features(x))
