"""Data-parallel training: the processes that `mpiexec` has started differentiate a batch together.

Each of these processes, a rank, is a whole run: it has all parameters, all images and all random
numbers. It differs from a single run in two ways. Its gradients are computed from its rows of a
batch and averaged with those of the others, so that all take the same step; and it ends when any
of them does. docs/data-parallel.md derives why the average is the gradient of the whole batch.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

import tinygen
from tinygen.backend import Backend, backend_of, to_host
from tinygen.backend.numpy_backend import NUMPY
from tinygen.errors import InputError
from tinygen.models.gradients import LossAndGrads
from tinygen.parameters import Parameters
from tinygen.training import stopping
from tinygen.training.progress import warn
from tinygen.training.run_dir import RunDir
from tinygen.training.trainer import Ended

A = TypeVar("A")

PATIENCE, PATIENCE_AT_THE_END = 10.0, 600.0
"""Seconds that a rank with an error waits for the others to leave before it ends them. A run that
has `Ended` has ended on all ranks, but one may take longer to save the checkpoint."""


class Ranks:
    """The processes that train together, seen from one of them.

    Args:
        communicator: one of mpi4py's, such as ``MPI.COMM_WORLD``.
        scratch: an empty folder of this process.
        local_rank: which one this is among those on its machine, from 0.
        reads_gpus: whether MPI takes CuPy arrays; else they are copied to the host and back.

    Attributes:
        rank, size: which one this is, from 0, and how many there are.
    """

    def __init__(
        self, communicator: Any, scratch: Path, local_rank: int = 0, reads_gpus: bool = False
    ) -> None:
        self._communicator, self._scratch = communicator, scratch
        self.rank, self.size, self.local_rank = communicator.rank, communicator.size, local_rank
        self._reads_gpus = reads_gpus
        self._asked: Callable[[], bool] = lambda: False
        self._stop: bool | None = None  # what the last step's message said, until it is asked for

    def describe(self, backend: Backend) -> str:
        """How many there are, and where gradients are averaged."""
        if self.size == 1:
            return "1; with more it starts as mpiexec -n 4 python ..."
        where = "host memory"
        if backend is not NUMPY:
            where = "the memory of GPUs" if self._reads_gpus else f"{where}: MPI reads no GPU's"
        return f"{self.size}, which average gradients in {where}"

    def averaged(self, loss_and_grads: LossAndGrads) -> LossAndGrads:
        """The same function of a whole batch, each rank differentiating its own rows of it.

        All ranks must call it together, with the same arguments; all get the same result.

        Args:
            loss_and_grads: ``(parameters, *data, out=None) -> (loss, gradients)`` of a loss that is
                a mean over rows; the first of `data` are the images.
        """

        def of_the_batch(p: Parameters, *data: Any, out: Parameters | None = None) -> Any:
            n = len(data[0])
            rows = rows_of_rank(n, self.rank, self.size)
            weight = (rows.stop - rows.start) / n
            backend = backend_of(p.flat)
            there, to_there = (backend, backend.asarray) if self._reads_gpus else (NUMPY, to_host)
            part = there.xp.zeros(p.flat.size + 2, p.flat.dtype)  # gradient, loss, a wish to stop
            if weight:  # a last batch may have fewer images than there are ranks
                loss, out = loss_and_grads(p, *rows_of(data, n, rows), out=out)
                there.xp.multiply(to_there(out.flat), weight, out=part[:-2])
                part[-2] = to_there(loss) * weight
            else:
                out = p.room_for_gradients(out)
            part[-1] = self._asked()
            total = there.xp.empty_like(part)
            there.synchronize()  # MPI would not wait for work queued on a GPU
            self._communicator.Allreduce(part, total)
            self._stop = bool(total[-1])
            out.flat = backend.asarray(total[:-2])
            return backend.asarray(total[-2]), out

        return of_the_batch

    @contextmanager
    def noted(self) -> Iterator[Callable[[], bool]]:
        """As `stopping.noted`, but the answer is the same on all ranks, which ask together.

        Otherwise one would stop while the others wait for its gradients. The answer comes with the
        gradients of a step; only where there was no step, as after an evaluation, does it cost a
        message of its own.
        """

        def asked_of_any() -> bool:
            stop, self._stop = self._stop, None
            return any(self._communicator.allgather(self._asked())) if stop is None else stop

        with stopping.noted() as self._asked:
            yield asked_of_any

    def together(self, begin: Callable[[], A]) -> A:
        """Call a function that may refuse to begin, on rank 0 first, and return its result.

        The others then find what rank 0 has downloaded.

        Raises:
            InputError: on all ranks if any refused, so that none waits for it in vain.
        """
        result, refused = None, None
        for mine in (self.rank == 0, self.rank > 0):
            if mine:
                try:
                    result = begin()
                except InputError as error:
                    refused = str(error)
            if said := [text for text in self._communicator.allgather(refused) if text]:
                raise InputError(said[0])
        return result  # type: ignore[return-value]

    def refuse_different(self, what: str, value: Any) -> None:
        """Something, such as flags or data, must be the same on all ranks.

        Raises:
            InputError: on all ranks, if it differs on one.
        """
        values = self._communicator.allgather(value)
        if others := [rank for rank in range(self.size) if values[rank] != values[0]]:
            raise InputError(
                f"expected the same {what} on all ranks, got other ones on rank {others[0]}"
            )

    def folder(self, out: Path, resume: bool) -> Path:
        """Where this rank writes: `out` on rank 0, elsewhere a folder that is removed at the end.

        Args:
            resume: whether a checkpoint in `out` is copied there, so that all continue from it.
        """
        there = RunDir(out).checkpoint
        copied = there.read_bytes() if resume and self.rank == 0 and there.is_file() else None
        copied = self._communicator.bcast(copied)
        if self.rank == 0:
            return out
        if copied is not None:
            RunDir(self._scratch).checkpoint.write_bytes(copied)
        return self._scratch


def rows_of_rank(n: int, rank: int, size: int) -> slice:
    """Which of n rows a rank has; each row belongs to one rank, and all have nearly equally many.

    >>> [rows_of_rank(10, rank, 3) for rank in range(3)]
    [slice(0, 3, None), slice(3, 6, None), slice(6, 10, None)]
    """
    return slice(n * rank // size, n * (rank + 1) // size)


def rows_of(data: Any, n: int, rows: slice) -> Any:
    """Some rows of everything that a step on n images takes.

    Rows are the last axis but one: of images ``(n, pixels)``, labels ``(n, classes)``, dropout
    masks ``(n, width)`` and a VAE's noise ``(samples, n, latent)``. Anything else stays as it is.

    Raises:
        ValueError: an array has no such axis.

    >>> x, noise = np.zeros((5, 784)), np.zeros((3, 5, 2))
    >>> x, (noise, beta) = rows_of((x, (noise, 1.0)), 5, slice(1, 3))
    >>> x.shape, noise.shape, beta
    ((2, 784), (3, 2, 2), 1.0)
    """
    if isinstance(data, tuple):
        return tuple(rows_of(x, n, rows) for x in data)
    if not hasattr(data, "shape"):
        return data
    if data.shape[-2:-1] != (n,):
        raise ValueError(f"expected an array (..., {n}, columns), got {data.shape}")
    return data[..., rows, :]


def refuse_other_than_means(model: Any) -> None:
    """The loss must be one mean over images: only then is the mean of the parts that of all.

    Raises:
        InputError: it is not.
    """
    if getattr(model, "free_bits", 0):
        raise InputError(
            "--distributed needs a loss that is a mean over images; free bits, got "
            f"{model.free_bits:g}, compare the mean KL of a whole batch, which no rank has"
        )
    if "discriminator." in model.networks:
        raise InputError(
            "--distributed needs a loss that is a mean over images, expected an autoencoder or a "
            f"VAE, got a {type(model).__name__}; docs/data-parallel.md says what it would take"
        )


@contextmanager
def joined() -> Iterator[Ranks]:
    """The ranks, of which 0 speaks for all; an error on only one of them ends the others.

    Raises:
        InputError: there is no MPI, or tinygen's version is not the same on all ranks.
    """
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # the latter if mpi4py finds no MPI library
        raise InputError(
            "--distributed needs mpi4py and a library of MPI, such as MPICH: "
            f"pip install tinygen[mpi] ({error})"
        ) from None
    # MPICH and Open MPI have this function, which is 1 if they were built for CUDA.
    cuda = getattr(ctypes.CDLL(MPI.__file__), "MPIX_Query_cuda_support", int)
    with _ending_together(MPI.COMM_WORLD):
        here = MPI.COMM_WORLD.Split_type(MPI.COMM_TYPE_SHARED)
        with TemporaryDirectory(ignore_cleanup_errors=True) as scratch, _threads(here.size):
            ranks = Ranks(MPI.COMM_WORLD, Path(scratch), here.rank, bool(cuda()))
            ranks.refuse_different("version of tinygen", tinygen.__version__)
            yield ranks


@contextmanager
def _ending_together(communicator: Any) -> Iterator[None]:
    """No rank is left waiting for one that has gone, and what all have to say is said once.

    A rank that leaves tells the others so, and whether it has an error, and waits until they leave
    too. Without an error it waits for as long as they take. With one it cannot, since they may be
    waiting for its gradients; if they do not leave within a moment, it ends them.
    """
    from mpi4py.run import set_abort_status

    rank, size = communicator.rank, communicator.size
    leaving = communicator.Dup()  # so that no other message is mistaken for this one
    failed = np.zeros(size, np.intc)
    streams = sys.stdout, sys.stderr
    if rank:
        sys.stdout = sys.stderr = None

    def all_leave(error: int, patience: float) -> bool:
        request, end = leaving.Iallgather(np.array([error], np.intc), failed), time.monotonic()
        while not request.Test():
            if time.monotonic() > end + patience:
                return False
            time.sleep(0.01)  # rank 0 may be drawing and need the core
        return True

    try:
        try:
            yield
            all_leave(0, float("inf"))
            sys.stdout, sys.stderr = streams
        except (Exception, SystemExit) as error:
            together = all_leave(1, PATIENCE_AT_THE_END if isinstance(error, Ended) else PATIENCE)
            if not together or rank == failed.argmax():
                sys.stdout, sys.stderr = streams
            if not together:
                warn(f"rank {rank} of {size}, counted from 0, stopped alone and ends the others")
                set_abort_status(2 if isinstance(error, InputError) else 1)  # when Python ends
            raise
    except KeyboardInterrupt:  # at once
        set_abort_status(130)
        raise


def _threads(neighbours: int) -> Any:
    """A context in which a machine's ranks do not ask BLAS for more threads than it has cores."""
    now = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    most = max(1, (os.cpu_count() or 1) // neighbours)
    return threadpool_limits(min([most, *now]), user_api="blas")
