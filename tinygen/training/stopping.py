"""Signals that ask a run to stop: Ctrl-C, SIGTERM, and a terminal that is closed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

# Windows has no SIGHUP, and only Windows has Ctrl-Break.
SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    if hasattr(signal, name)
)

requested = threading.Event()
"""Asks the training of this process to stop, as a signal does."""

Noted = Callable[[], AbstractContextManager[Callable[[], bool]]]
"""The type of `noted`: a context with a function that says whether the run was asked to stop."""


@contextmanager
def noted() -> Iterator[Callable[[], bool]]:
    """A function that says whether the run was asked to stop; the same signal again stops at once.

    A different signal does not: a system may send several, and so may a terminal and a parent.
    """
    received: set[int] = set()

    def handler(number: int, frame: Any) -> None:
        if number in received:
            raise KeyboardInterrupt
        received.add(number)

    with _handled_by(handler):
        yield lambda: bool(received) or requested.is_set()


@contextmanager
def as_ctrl_c() -> Iterator[None]:
    """Each of the signals raises KeyboardInterrupt."""
    with _handled_by(signal.default_int_handler):
        yield


@contextmanager
def _handled_by(handler: Callable[[int, Any], Any]) -> Iterator[None]:
    """Give a handler to the signals that are not ignored, as SIGHUP is under nohup."""
    before = {}
    if threading.current_thread() is threading.main_thread():  # the only one that handles signals
        before = {s: signal.getsignal(s) for s in SIGNALS}
        before = {s: was for s, was in before.items() if was not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, was in before.items():
            signal.signal(number, was)
