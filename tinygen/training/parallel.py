"""Independent training runs, several at a time, each a process on one core; Ctrl-C stops all."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import connection
from typing import Any

from tinygen.training import stopping
from tinygen.training.progress import warn
from tinygen.training.run_dir import release_claims
from tinygen.training.trainer import Interrupted


def default_jobs(backend: str) -> int:
    """How many training runs at a time: one for each core, but only one on a GPU.

    There each process has a CUDA context of its own, which takes memory, and contexts take turns.
    """
    return 1 if backend == "cupy" else os.cpu_count() or 1


def train_in_processes(
    prepare: Callable[[], Callable[[Any], Any]],
    trainings: Iterable[Any],
    jobs: int,
    finished: Callable[[Any, Any], None],
) -> None:
    """Do all training runs, `jobs` at a time.

    Whatever ends this process, even a signal that it cannot catch, ends the others: each saves a
    checkpoint of its current run, and exits.

    Args:
        prepare: called once in each process; returns the function that does one run. It is sent to
            the processes, as the trainings are, so it must be something that can be pickled, such
            as a `functools.partial` of a module's function.
        trainings: what the function is called with; each must be hashable.
        finished: called in this process, with a training and with what the function returned.

    Raises:
        KeyboardInterrupt, Interrupted: on Ctrl-C, or if a process was killed, after the runs that
            had begun have saved their checkpoints; no other begins. An error in a run is raised
            here too.
    """
    spawn = multiprocessing.get_context("spawn")
    # Nothing is ever sent: whoever waits at one end learns that the other is closed, or dead.
    end, ours = spawn.Pipe(duplex=False)
    with end, ours, ProcessPoolExecutor(jobs, spawn, _begin, (prepare, end)) as pool:
        try:
            with _signals_wait():
                futures = {pool.submit(_train, training): training for training in trainings}
            for future in as_completed(futures):
                finished(futures[future], future.result())
        except BaseException as error:
            ours.close()
            if isinstance(error, BrokenProcessPool):
                warn("a process was killed, perhaps for want of memory")
                raise Interrupted("a process was killed") from None
            raise
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _signals_wait() -> Iterator[None]:
    """Signals wait: those to this process, and those to one started here until it is ready."""
    if not hasattr(signal, "pthread_sigmask"):  # on Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, stopping.SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# In a worker.

_train_one: Callable[[Any], Any]
_at_work = threading.Lock()


def _begin(prepare: Callable[[], Callable[[Any], Any]], end: Any) -> None:
    global _train_one
    # A terminal sends a signal to all of its processes. The parent obeys, and this one follows.
    for number in stopping.SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, stopping.SIGNALS)
    threading.Thread(target=_go_with_the_parent, args=(end,), daemon=True).start()
    _train_one = prepare()


def _go_with_the_parent(end: Any) -> None:
    """Wait for the parent's end, stop the training and exit: nobody else may be left to say so."""
    connection.wait([end])
    stopping.requested.set()
    with _at_work:
        pass  # no other training begins
    if parent := multiprocessing.parent_process():
        parent.join(10)  # if it is alive, it ends this process in the usual way
    os._exit(1)


def _train(training: Any) -> Any:
    with _at_work:
        if stopping.requested.is_set():  # it was queued before the request to stop
            raise Interrupted(f"{training} was not begun")
        try:
            return _train_one(training)
        finally:
            release_claims()
