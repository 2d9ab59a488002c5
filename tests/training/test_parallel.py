"""Trainings in processes: all are done, an error is heard of, and Ctrl-C begins nothing more.

Real trainings, and Ctrl-C at a terminal, are in tests/examples/test_encoder_classifier.py.
"""

from __future__ import annotations

import signal
from functools import partial
from typing import Any

import pytest

from tinygen.training.parallel import default_jobs, train_in_processes

# Processes of their own import what they call, which they cannot from a test's module.
POWER_OF_TWO: Any = partial(partial, pow, 2)
DIVIDE: Any = partial(partial, divmod, 7)


def test_all_are_done_and_told_of_one_by_one() -> None:
    results: dict[int, int] = {}
    train_in_processes(POWER_OF_TWO, range(10), 2, results.__setitem__)
    assert dict(sorted(results.items())) == {n: 2**n for n in range(10)}


def test_an_error_is_raised_here_and_what_was_done_is_known() -> None:
    results: dict[int, Any] = {}
    with pytest.raises(ZeroDivisionError):
        train_in_processes(DIVIDE, [2, 0, 3], 1, results.__setitem__)
    assert results.get(2) == (3, 1)


def test_ctrl_c_here_begins_nothing_more() -> None:
    before, results = signal.getsignal(signal.SIGINT), []

    def finished(n: int, result: int) -> None:
        results.append(n)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train_in_processes(POWER_OF_TWO, range(10_000), 1, finished)
    assert len(results) == 1 and signal.getsignal(signal.SIGINT) is before


def test_how_many_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 6)
    assert (default_jobs("numpy"), default_jobs("cupy")) == (6, 1)
    monkeypatch.setattr("os.cpu_count", lambda: None)
    assert default_jobs("numpy") == 1
