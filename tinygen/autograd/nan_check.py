"""Finds the first op whose result is NaN or infinite though its arguments were finite."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tinygen.autograd.operators import raw
from tinygen.autograd.recording import ENGINE
from tinygen.backend import namespace


class NonFiniteError(ArithmeticError):
    """An op made NaN or infinity; the message names it.

    >>> import numpy as np
    >>> import tinygen as tg
    >>> try:
    ...     with np.errstate(all="ignore"), tg.stop_at_nonfinite():
    ...         tg.sqrt(tg.Tensor([0.0, 1.0])) / 0.0
    ... except NonFiniteError as error:
    ...     print(error)
    divide made 2 of 2 numbers NaN or infinite, from finite ones
    """


@contextmanager
def stop_at_nonfinite() -> Iterator[None]:
    """Check the result of every op inside, forward and backward.

    Each check waits for a GPU, so this is for finding a fault, not for training.

    Raises:
        NonFiniteError: at the first op whose result is not finite.

    >>> import numpy as np
    >>> from tinygen import Tensor, log
    >>> with np.errstate(divide="ignore"), stop_at_nonfinite():
    ...     log(Tensor([1.0, 0.0]))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    tinygen...NonFiniteError: log made 1 of 2 numbers NaN or infinite, from finite ones
    """
    before = ENGINE.watch
    ENGINE.watch = _watch
    try:
        yield
    finally:
        ENGINE.watch = before


def _watch(name: str, arguments: Sequence[Any], y: Any) -> None:
    bad = count_nonfinite(y)
    if bad:
        before = sum(count_nonfinite(x) for x in arguments if hasattr(x, "dtype"))
        source = f"from {before} that were so already" if before else "from finite ones"
        size = raw(y).size
        raise NonFiniteError(f"{name} made {bad} of {size} numbers NaN or infinite, {source}")


def count_nonfinite(x: Any) -> int:
    """How many elements are NaN or infinite. On a GPU this waits for the device."""
    x = raw(x)
    if x.dtype.kind != "f":
        return 0
    return int((~namespace(x).isfinite(x)).sum())
