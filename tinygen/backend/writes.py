"""Which memory was written in place, and when, so that no gradient is computed from changed values.

Whatever in tinygen writes in place notes it: a Tensor, an optimiser, the restoring of a checkpoint.
The backward pass asks. Both go by addresses, so it does not matter through which view, copy or
second Tensor the memory was written. A graph that is younger than the last write costs nothing.
"""

from __future__ import annotations

import weakref
from itertools import count
from typing import Any

import numpy as np

from tinygen.backend import Array, backend_of

next_number = count(1).__next__
"""Numbers tensors and writes into memory in the order in which they happen."""

Span = tuple[int, int]
"""The address of an array's first byte, and the one after its last byte."""


class Writes:
    """The last write into each piece of memory that was written and still exists.

    Attributes:
        latest: the number of the last write of all; a tensor with a larger one needs no check.
    """

    def __init__(self) -> None:
        self.latest = 0
        self._last: dict[Span, tuple[int, weakref.ref[Any] | None]] = {}

    def note(self, x: Array) -> None:
        """Remember that `x` was written in place just now."""
        span, number = span_of(x), next_number()

        def forget(owner: weakref.ref[Any]) -> None:
            # Another array may lie at these addresses by then, and have been written.
            if span in self._last and self._last[span][1] is owner:
                del self._last[span]

        owner = _owner(x)
        self._last.pop(span, None)  # so that the last write is the last entry
        self._last[span] = number, None if owner is None else weakref.ref(owner, forget)
        self.latest = number

    def any_since(self, number: int, x: Array) -> bool:
        """Whether any of the memory of `x` was written after that number was given out.

        Memory between the elements of a view counts as its own: a write into one of two
        interleaved views, such as ``a[::2]`` and ``a[1::2]`` or two columns, is taken for a write
        into both.
        """
        low, high = span_of(x)
        for (start, end), (when, _) in reversed(self._last.copy().items()):
            if when <= number:
                return False
            if low < end and start < high:
                return True
        return False


WRITES = Writes()
"""The writes of this process; threads share memory, so they share this."""


def span_of(x: Array) -> Span:
    """Where the elements of `x` begin and end; nowhere, if it has none or is a NumPy scalar."""
    if isinstance(x, np.generic) or not x.size:
        return 0, 0
    low = high = backend_of(x).address(x)
    for n, stride in zip(x.shape, x.strides, strict=True):
        if stride < 0:
            low += (n - 1) * stride
        else:
            high += (n - 1) * stride
    return low, high + x.itemsize


def _owner(x: Array) -> Any:
    """The array that lives as long as the memory does; None if it is not one, but a buffer, say.

    A write into memory whose end cannot be noticed is never forgotten.
    """
    while (base := getattr(x, "base", None)) is not None:
        if not hasattr(base, "dtype"):
            return None
        x = base
    return x
