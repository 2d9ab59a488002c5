"""Whether computations are recorded, which each thread decides for itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import local


class _Engine(local):
    """The state of the engine; each thread has its own."""

    recording = True
    watch: Callable[..., None] | None = None
    """Called with the name, the arguments and the result of everything that is computed."""
    follow: Callable[..., None] | None = None
    """Called in a backward pass with each node and what it adds to the gradients of its parents."""


ENGINE = _Engine()


@contextmanager
def no_grad() -> Iterator[None]:
    """Record nothing inside, in this thread: results are leaves without a gradient.

    >>> import tinygen as tg
    >>> w = tg.Tensor(2.0, requires_grad=True)
    >>> (w * w).backward()
    >>> with no_grad():
    ...     w -= 0.25 * w.grad  # a step of gradient descent, which is no part of any graph
    >>> w.item()
    1.0
    """
    before = ENGINE.recording
    ENGINE.recording = False
    try:
        yield
    finally:
        ENGINE.recording = before
