"""What it costs that several processes train together.

    mpiexec -n 2 python tests/benchmarks/communication.py

First the time of an all-reduce for vectors of several sizes. Then, for the VAE of the examples, the
parts of a step: what every rank does for the whole batch (images and noise; Adam), the gradient of
its rows, and the all-reduce, as multiples of the step that each rank takes by itself, on all rows,
in the same rounds. A time is that of the slowest rank in the quickest round, since what else runs
on the machine only adds to it. One thread a rank.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from mpi4py import MPI
from threadpoolctl import threadpool_limits

import tinygen as tg
from tinygen.data import as_floats
from tinygen.training.distributed import joined, rows_of

SIZES = [1, 10**3, 10**5, 652_824, 10**7]
"""The fourth is the VAE's."""
BATCHES = [128, 1024]
BINARIZE = [False, True]
ROUNDS = 15
WORLD = MPI.COMM_WORLD


def seconds(call: Callable[[], object]) -> float:
    """Of the slowest rank; all begin together."""
    WORLD.Barrier()
    start = time.perf_counter()
    call()
    return WORLD.allreduce(time.perf_counter() - start, MPI.MAX)


def quickest(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """All calls in turn, round by round."""
    rounds = [{name: seconds(call) for name, call in calls.items()} for _ in range(ROUNDS)]
    return {name: min(one[name] for one in rounds) for name in calls}


def all_reduce(size: int) -> Callable[[], object]:
    part, total = np.ones(size, np.float32), np.empty(size, np.float32)
    return lambda: WORLD.Allreduce(part, total)


def parts_of_a_step(batch: int, binarize: bool) -> dict[str, Callable[[], object]]:
    model, images = tg.VAE(binarize=binarize), np.zeros((60_000, 28, 28), np.uint8)
    images[:] = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
    p, index = model.initialise(0), np.random.default_rng(0).permutation(60_000)[:batch]
    adam, out, loss_and_grads = tg.Adam(p), p.zeros_like(), model.gradients("by-hand")

    def draw() -> tuple:
        return model.draw(as_floats(images[index], np.float32), np.random.default_rng(0), 0)

    data, first = draw(), WORLD.rank * batch // WORLD.size
    rows = rows_of(data, batch, slice(first, (WORLD.rank + 1) * batch // WORLD.size))
    return {
        "step": lambda: (loss_and_grads(p, *draw(), out=out), adam.update(p, out, 1e-3)),
        "draws": draw,
        "its rows": lambda: loss_and_grads(p, *rows, out=out),
        "all-reduce": all_reduce(p.flat.size + 2),
        "Adam": lambda: adam.update(p, out, 1e-3),
    }


def main() -> None:
    print(f"{WORLD.size} ranks\n\nall-reduce of float32 | microseconds | MB/s")
    times = quickest({str(size): all_reduce(size) for size in SIZES})
    for size in SIZES:
        took = times[str(size)]
        print(f"{size:>10} | {1e6 * took:10.1f} | {4e-6 * size / took:8.0f}")
    print("\nbatch, binarised | step alone, ms | draws | its rows | all-reduce | Adam | together")
    for batch, binarize in ((b, c) for b in BATCHES for c in BINARIZE):
        times = quickest(parts_of_a_step(batch, binarize))
        alone = times.pop("step")
        cells = [f"{took / alone:.3f}" for took in (*times.values(), sum(times.values()))]
        print(f"{batch:>5}, {binarize!s:>5} | {1e3 * alone:6.1f} | {' | '.join(cells)}")


if __name__ == "__main__":
    with threadpool_limits(1), joined():
        main()
