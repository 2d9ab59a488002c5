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
from tinygen.errors import refuse_unknown
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
