"""Networks of the usual shapes: dense layers, with convolutions before or after them.

Convolutions have a stride of 2, which halves the height and width of an image (rounded up), and
"same" zero padding. Transposed convolutions double them, and restore exactly the sizes that a
mirrored network of convolutions went through.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import prod
from typing import Any, NamedTuple

import numpy as np

from tinygen.backend.patches import as_window, smallest_size
from tinygen.errors import InputError, refuse_unknown
from tinygen.nn.convolution import Conv, ConvTranspose
from tinygen.nn.layers import (
    BatchNorm,
    Dense,
    Dropout,
    LayerNorm,
    Maxout,
    Reshape,
    whole_numbers,
)
from tinygen.nn.sequential import Sequential
from tinygen.ops import ACTIVATIONS

NORMS = ("none", "batch", "layer")
STRIDE, PADDING = 2, "same"


class _Style(NamedTuple):
    """What all layers of a network have in common; `mlp` says what it may be."""

    activation: str | Callable[[Any], Any] = "relu"
    dropout: float = 0.0
    weights: str = "he_normal"
    biases: str = "zeros"
    norm: str = "none"

    def check(self, dense: bool = True) -> None:
        """Refuse unknown names, and options that do not go together."""
        if not callable(self.activation):
            refuse_unknown("activation", self.activation, (*ACTIVATIONS, "maxout"))
        refuse_unknown("norm", self.norm, NORMS)
        if self.activation == "maxout" and self.norm != "none":
            raise InputError(f"maxout has no place for a {self.norm} norm before its activation")
        if not dense and (self.activation == "maxout" or self.norm == "layer"):
            raise InputError(
                "convolutions have no maxout and no layer norm; expected another activation, and "
                f"a norm of none or batch, got {self.activation} and {self.norm}"
            )

    def hidden(self, kind: type[Dense], inputs: int, outputs: int, *window: Any) -> list[Any]:
        """A hidden layer, and what follows it."""
        kind = Maxout if self.activation == "maxout" else kind
        return [self.layer(kind, inputs, outputs, *window), *self._after(outputs)]

    def layer(self, kind: Callable[..., Dense], *sizes: Any, last: bool = False) -> Dense:
        """A layer alone, which lacks a bias only before a batch norm."""
        biases = None if self.norm == "batch" and not last else self.biases
        return kind(*sizes, weights=self.weights, biases=biases)

    def _after(self, outputs: int) -> list[Any]:
        """The norm, the activation and the dropout for so many units or channels."""
        layers: list[Any] = []
        if self.norm == "batch":
            layers.append(BatchNorm(outputs, momentum=0))
        elif self.norm == "layer":
            layers.append(LayerNorm(outputs))
        if callable(self.activation):
            layers.append(self.activation)
        elif self.activation != "maxout":
            layers.append(ACTIVATIONS[self.activation])
        return layers + ([Dropout(self.dropout)] if self.dropout else [])


def mlp(
    sizes: Sequence[int],
    activation: str | Callable[[Any], Any] = "relu",
    dropout: float = 0.0,
    weights: str = "he_normal",
    biases: str = "zeros",
    norm: str = "none",
) -> Sequential:
    """Dense layers of the given widths, with an activation between them and none at the end.

    Args:
        sizes: the widths, two or more.
        activation: a name in `tinygen.ops.ACTIVATIONS`, a function of one array, or "maxout", with
            5 pieces.
        dropout: the probability with which a hidden unit, or a channel of images, is dropped.
        weights, biases: names in `tinygen.nn.WEIGHTS` and `tinygen.nn.BIASES`.
        norm: one of `NORMS`, between a hidden layer and its activation. A batch norm here has no
            running averages; see `Sequential.calibrate`.

    >>> mlp([784, 512, 32]).shapes
    {'W1': (784, 512), 'b1': (512,), 'W2': (512, 32), 'b2': (32,)}
    >>> mlp([784, 512, 32], norm="batch").shapes
    {'W1': (784, 512), 'gamma2': (512,), 'beta2': (512,), 'W3': (512, 32), 'b3': (32,)}
    """
    style = _Style(activation, dropout, weights, biases, norm)
    style.check()
    if not np.iterable(sizes) or len(sizes) < 2:
        raise InputError(f"mlp: expected two widths or more, got {sizes}")
    *hidden, last = pairwise(sizes)
    layers = [layer for widths in hidden for layer in style.hidden(Dense, *widths)]
    return Sequential(*layers, style.layer(Dense, *last, last=True))


def convolutional(
    image: Sequence[int], channels: Sequence[int], kernel: int, sizes: Sequence[int], **options: Any
) -> Sequential:
    """Convolutions of images, then dense layers: ``(n, h w c) -> (n, outputs)``.

    Args:
        image: ``(h, w, c)``; images come as rows.
        channels: of each convolution's output, one or more.
        kernel: the height and width of all windows.
        sizes: the widths of the dense layers, the last of which is the output.
        options: `activation` and so on, as in `mlp`; all layers but the last are hidden.

    >>> convolutional((28, 28, 1), (16, 32), 3, [10]).shapes
    {'W1': (9, 16), 'b1': (16,), 'W2': (144, 32), 'b2': (32,), 'W3': (1568, 10), 'b3': (10,)}
    """
    style, stages = _Style(**options), stages_of(image, channels)
    style.check(dense=False)
    _refuse_sizes(image, kernel, sizes)
    layers: list[Any] = [Reshape(*image)]
    for (_, _, inputs), (_, _, outputs) in pairwise(stages):
        layers += style.hidden(Conv, inputs, outputs, kernel, STRIDE, PADDING)
    width = prod(stages[-1])
    return Sequential(*layers, Reshape(width), mlp([width, *sizes], **options))


def deconvolutional(
    sizes: Sequence[int], channels: Sequence[int], kernel: int, image: Sequence[int], **options: Any
) -> Sequential:
    """The mirror image of `convolutional`: ``(n, inputs) -> (n, h w c)``.

    Args:
        sizes: the widths of the dense layers, the first of which is the input.
        channels: of each transposed convolution's input, one or more.
        kernel, image, options: as in `convolutional`.

    >>> deconvolutional([10], (32, 16), 3, (28, 28, 1)).shapes
    {'W1': (10, 1568), 'b1': (1568,), 'W2': (32, 144), 'b2': (16,), 'W3': (16, 9), 'b3': (1,)}
    """
    backwards = channels[::-1] if np.iterable(channels) else channels  # which is then refused
    style, stages = _Style(**options), stages_of(image, backwards)[::-1]
    style.check(dense=False)
    _refuse_sizes(image, kernel, sizes)
    dense = pairwise([*sizes, prod(stages[0])])
    layers = [layer for widths in dense for layer in style.hidden(Dense, *widths)]
    layers.append(Reshape(*stages[0]))
    *hidden, last = pairwise(stages)
    for smaller, larger in hidden:
        layers += style.hidden(ConvTranspose, *_transposed(smaller, larger, kernel))
    layers.append(style.layer(ConvTranspose, *_transposed(*last, kernel), last=True))
    return Sequential(*layers, Reshape(prod(image)))


def stages_of(image: Sequence[int], channels: Sequence[int]) -> list[tuple[int, ...]]:
    """The shapes ``(h, w, c)`` of an image on its way through convolutions with these channels."""
    if not np.iterable(image) or len(image) != 3:
        raise InputError(f"expected the shape of an image, (h, w, c), got {image!r}")
    if not np.iterable(channels) or not len(channels):
        raise InputError(f"expected the channels of one convolution or more, got {channels!r}")
    stages = [whole_numbers("convolutions", *image, what="the lengths of an image")]
    for c in whole_numbers("convolutions", *channels, what="channels"):
        h, w, _ = stages[-1]
        stages.append((-(-h // STRIDE), -(-w // STRIDE), c))
    return stages


def _refuse_sizes(image: Sequence[int], kernel: int, sizes: Sequence[int]) -> None:
    """Refuse windows twice as large as the image, and a network without dense layers."""
    as_window(kernel, STRIDE, PADDING, where="convolutions: ")
    if not np.iterable(sizes) or not len(sizes):
        raise InputError(f"expected the width of one dense layer or more, got {sizes}")
    h, w, _ = image
    if kernel >= 2 * max(h, w):
        raise InputError(
            f"expected a kernel of at most {2 * max(h, w) - 1} for images of {h} x {w}, "
            f"got {kernel}: some of its weights would see nothing but padding"
        )


def _transposed(smaller: Sequence[int], larger: Sequence[int], kernel: int) -> tuple[Any, ...]:
    """The arguments of a `ConvTranspose` from one stage to another."""
    h, w = smallest_size((smaller[0], smaller[1]), kernel, STRIDE, PADDING)
    more = larger[0] - h, larger[1] - w
    return smaller[2], larger[2], kernel, STRIDE, PADDING, more
