"""Where a model's gradients come from, autograd or the derivation by hand: the choice is made here.

A model with one loss gives a function ``(parameters, *data, out=None) -> (loss, gradients)``; one
whose players have a loss each gives such a function for every player.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from tinygen.autograd import value_and_grad
from tinygen.backend import Array
from tinygen.backend.patches import Size, smallest_size
from tinygen.byhand import chain, conv, pieces
from tinygen.errors import InputError, refuse_unknown
from tinygen.nn import Conv, ConvTranspose, Dense, Layer, Reshape, Sequential
from tinygen.ops import ACTIVATIONS
from tinygen.parameters import Parameters

LossAndGrads = Callable[..., tuple[Array, Parameters]]
"""``(parameters, *data, out=None) -> (loss, gradients)``; they are written into `out`."""

SOURCES = ("autograd", "by-hand")
"""Where gradients can come from."""

A = TypeVar("A")
B = TypeVar("B")


def choose(how: str, autograd: Callable[[], A], by_hand: Callable[[], B]) -> A | B:
    """What `autograd` or `by_hand` returns, whichever is asked for; the other is not called.

    Raises:
        InputError: `how` is neither "autograd" nor "by-hand".

    >>> choose("by-hand", autograd=lambda: "ops", by_hand=lambda: "equations")
    'equations'
    """
    refuse_unknown("source of gradients", how, SOURCES)
    return by_hand() if how == "by-hand" else autograd()


def of_one_loss(how: str, model: Any, by_hand: LossAndGrads) -> LossAndGrads:
    """The gradient of ``model.loss``; by hand it is `by_hand` with ``model.terms`` as keywords.

    Raises:
        InputError: `how` is neither "autograd" nor "by-hand".
    """
    return choose(
        how,
        autograd=lambda: value_and_grad(model.loss),
        by_hand=lambda: partial(by_hand, **model.terms),
    )


def geometry(net: Sequential) -> chain.Geometry:
    """The kind of each layer with weights, by hand; empty if all are dense.

    Raises:
        InputError: the network has a function that `tinygen.byhand.chain` does not know, a pool,
            or a convolution of what is not an image.
    """
    kinds: list[pieces.Dense] = []
    size: Size | None = None
    for layer in net.layers:
        if isinstance(layer, Reshape):
            size = layer.shape[:2] if len(layer.shape) == 3 else None
        elif isinstance(layer, Conv):
            if size is None:
                raise InputError(f"expected a Reshape(h, w, c) before {layer}, got none")
            window = layer.kernel, layer.stride, layer.padding
            if isinstance(layer, ConvTranspose):
                (h, w), (rows, columns) = smallest_size(size, *window), layer.output_padding
                size = h + rows, w + columns
                kinds.append(conv.ConvTranspose(size, *window))
            else:
                kinds.append(of_images := conv.Conv(size, *window))
                size = of_images.windows
        elif isinstance(layer, Dense):
            kinds.append(pieces.DENSE)
            size = None
        elif not isinstance(layer, Layer) and layer not in ACTIVATIONS.values():
            raise InputError(
                f"gradients by hand cover convolutions and activations, not {layer}; "
                "take gradients 'autograd'"
            )
    return tuple(kinds) if set(kinds) - {pieces.DENSE} else ()
