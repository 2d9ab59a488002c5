"""What it costs that several processes train together.

    mpiexec -n 2 python tests/benchmarks/communication.py

First the time of an all-reduce for vectors of several sizes. Then, for the VAE of the examples, the
parts of a step: what every rank does for the whole batch (images and noise; Adam), the gradient of
its rows, and the all-reduce, as multiples of the step that a rank takes by itself, on all rows. All
are measured in turn, in the same rounds; a time is that of the slowest rank in the quickest round,
since what else runs on the machine only adds to it. Computing is measured in processor time of one
thread, and the all-reduce, which waits for others, in time that passes.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from mpi4py import MPI
from threadpoolctl import threadpool_limits

import tinygen as tg
from tinygen.data import as_floats
from tinygen.training.distributed import rows_of, rows_of_rank

PARAMETERS = tg.VAE().initialise(0).flat.size
SIZES = [1, 10**3, 10**5, PARAMETERS + 2]
BATCHES = [128, 1024]
WORLD = MPI.COMM_WORLD
Call = Callable[[], object]


def quickest(calls: dict[str, Call], rounds: int, clock: Callable[[], float]) -> dict[str, float]:
    """The seconds of each call, which are called in turn; all ranks begin together."""
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for name, call in calls.items():
            WORLD.Barrier()
            start = clock()
            call()
            best[name] = min(best[name], WORLD.allreduce(clock() - start, MPI.MAX))
    return best


def all_reduce(size: int) -> Call:
    part, total = np.ones(size, np.float32), np.empty(size, np.float32)
    return lambda: WORLD.Allreduce(part, total)


def parts_of_a_step(batch: int, binarize: bool) -> dict[str, Call]:
    model, images = tg.VAE(binarize=binarize), np.zeros((60_000, 28, 28), np.uint8)
    images[:] = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
    p, index = model.initialise(0), np.random.default_rng(0).permutation(60_000)[:batch]
    adam, out, loss_and_grads = tg.Adam(p), p.zeros_like(), model.gradients("by-hand")

    def draw() -> tuple:
        return model.draw(as_floats(images[index], np.float32), np.random.default_rng(0), 0)

    rows = rows_of(draw(), batch, rows_of_rank(batch, WORLD.rank, WORLD.size))
    return {
        "step alone": lambda: (loss_and_grads(p, *draw(), out=out), adam.update(p, out, 1e-3)),
        "draws": draw,
        "its rows": lambda: loss_and_grads(p, *rows, out=out),
        "Adam": lambda: adam.update(p, out, 1e-3),
    }


def main() -> None:
    say = print if WORLD.rank == 0 else lambda line: None
    say(f"ranks: {WORLD.size}\n\nall-reduce of float32 | microseconds | MB/s")
    times = quickest({str(n): all_reduce(n) for n in SIZES}, 300, time.perf_counter)
    for size, took in times.items():
        say(f"{size:>10} | {1e6 * took:10.1f} | {4e-6 * int(size) / took:8.0f}")
    say("\nbatch, binarised | step alone, ms | draws | its rows | Adam | all-reduce | together")
    for batch, binarize in ((b, c) for b in BATCHES for c in (False, True)):
        parts = quickest(parts_of_a_step(batch, binarize), 15, time.process_time)
        alone, *others = *parts.values(), times[str(SIZES[-1])]
        cells = [f"{took / alone:.3f}" for took in (*others, sum(others))]
        say(f"{batch:>5}, {binarize!s:>5} | {1e3 * alone:6.1f} | {' | '.join(cells)}")


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
