"""Independent trainings, several at a time, each in a process with one core; Ctrl-C stops all."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

from tinygen.training.trainer import Interrupted


def train_in_processes(
    prepare: Callable[[], Callable[[Any], Any]],
    trainings: Iterable[Any],
    jobs: int,
    finished: Callable[[Any, Any], None],
) -> None:
    """Do all of the trainings, `jobs` at a time.

    Args:
        prepare: called once in each process; returns the function that does a training. It goes to
            the processes, as the trainings do, so it must be something that can be pickled, such
            as a `functools.partial` of a module's function.
        trainings: what the function is called with; each can be a key of a dictionary.
        finished: called in this process, with a training and with what the function returned.

    Raises:
        KeyboardInterrupt, Interrupted: on Ctrl-C, after the trainings that had begun have saved
            their checkpoints; no other begins. An error of a training is raised here, too.
    """
    spawn = multiprocessing.get_context("spawn")
    stop = spawn.Event()
    with ProcessPoolExecutor(jobs, spawn, _begin, (prepare, stop)) as pool:
        # Ctrl-C reaches all processes of a terminal. A worker leaves it to the training that it
        # is at, and to this process; it inherits that from here, where it is started.
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
        futures = {pool.submit(_train, training): training for training in trainings}
        signal.signal(signal.SIGINT, handler)
        try:
            for future in as_completed(futures):
                finished(futures[future], future.result())
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


_train_one: Callable[[Any], Any]
_stop: Any
"""Of a worker: what does a training, and whether it is to begin nothing more."""


def _begin(prepare: Callable[[], Callable[[Any], Any]], stop: Any) -> None:
    global _train_one, _stop
    _train_one, _stop = prepare(), stop


def _train(training: Any) -> Any:
    if _stop.is_set():  # trainings wait in a process for their turn
        raise Interrupted(f"{training} was not begun")
    return _train_one(training)
