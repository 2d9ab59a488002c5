"""What a second thread of BLAS gains, and what it costs while other programs run.

    python tests/benchmarks/threads.py

For products of matrices (n, i) (i, o), as in a dense layer, it prints the median time of a product
with two threads as a multiple of that with one, and the largest of all rounds; first with nothing
else running, then beside as many busy processes as there are cores.
"""

from __future__ import annotations

import multiprocessing
import statistics
import time
from contextlib import contextmanager

import numpy as np
from threadpoolctl import threadpool_limits

PRODUCTS = [(20, 784, 200), (128, 128, 128), (200, 128, 128), (256, 128, 128),
            (128, 512, 256), (100, 784, 400), (128, 784, 512), (512, 784, 512)]  # fmt: skip
ROUNDS = 15


def burn() -> None:
    while True:
        sum(range(10_000))


@contextmanager
def others(number: int):
    processes = [multiprocessing.Process(target=burn, daemon=True) for _ in range(number)]
    for process in processes:
        process.start()
    yield
    for process in processes:
        process.kill()


def seconds(x: np.ndarray, W: np.ndarray, threads: int) -> float:
    repeats = max(3, 10**7 // (x.size * W.shape[1]))
    with threadpool_limits(threads, user_api="blas"):
        start = time.perf_counter()
        for _ in range(repeats):
            x @ W
        return (time.perf_counter() - start) / repeats


def main() -> None:
    random = np.random.default_rng(0)
    print("product, millions of multiplications | alone: median, worst | busy: median, worst")
    for n, i, o in PRODUCTS:
        x, W = (random.standard_normal(s, dtype=np.float32) for s in ((n, i), (i, o)))
        cells = []
        for number in (0, multiprocessing.cpu_count()):
            with others(number):
                rounds = [[seconds(x, W, threads) for threads in (1, 2)] for _ in range(ROUNDS)]
            one = statistics.median(a for a, _ in rounds)
            cells.append(f"{statistics.median(b for _, b in rounds) / one:6.2f}")
            cells.append(f"{max(b for _, b in rounds) / one:6.1f}")
        print(f"{n} x {i} x {o}, {n * i * o / 1e6:.1f} | {' '.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
