"""How long a step by hand takes, beside the same step of another checkout, interleaved in one run.

    git worktree add ../before e6033b4
    python tests/benchmarks/against_checkout.py ../before --threads 1

Each checkout has two processes for each model, and PyTorch has one, if it is installed. They take
bursts of steps, one after the other in a random order that changes from round to round. The table
has the medians over the rounds, and the quartiles, of the ratio of this checkout's median time to
the other's: of elapsed time, and of processor time, which is to be preferred where other programs
run; and the elapsed time of both as a multiple of PyTorch's.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parents[2]
CASES = {
    "autoencoder, batch 32": "step.ARMS, 32",
    "autoencoder, batch 128": "step.ARMS, 128",
    "autoencoder, batch 512": "step.ARMS, 512",
    "VAE of Burda et al., batch 20": "step.VAE_ARMS, 20",
    "GAN, non-saturating, batch 128": "gan_arms.arms('non-saturating'), 128",
    "GAN, r1, batch 128": "gan_arms.arms('r1'), 128",
    "GAN, wasserstein-gp, batch 128": "gan_arms.arms('wasserstein-gp'), 128",
}
BURST, WARM = 6, 1
"""Steps that a process takes at once, and how many of them, the first, are not counted."""

SERVE = """
import sys, time
sys.path[:0] = [sys.argv[1] + "/tests/benchmarks", sys.argv[1]]
import numpy as np, gan_arms, step, tinygen
assert tinygen.__file__.startswith(sys.argv[1]), tinygen.__file__
arms, batch = {case}
x = np.random.default_rng(1).random((batch, 784), dtype=np.float32)
take = arms["{arm}"](tinygen.get_backend("numpy"), x)
print("ready", flush=True)
for line in sys.stdin:
    times = []
    for _ in range(int(line)):
        start = time.perf_counter(), time.process_time()
        take()
        times.append([time.perf_counter() - start[0], time.process_time() - start[1]])
    print(times, flush=True)
"""


class Server:
    """A process that takes steps of one model in one checkout."""

    def __init__(
        self, folder: Path, case: str, environment: dict[str, str], arm: str = "tinygen by hand"
    ) -> None:
        code = SERVE.format(case=CASES[case], arm=arm)
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, str(folder)], text=True, env=environment, cwd=folder,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        if not self.answer():
            raise SystemExit(f"{folder} has no such benchmark")
        self.take(WARM + BURST)

    def answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def take(self, steps: int) -> list[list[float]]:
        """The seconds of each step, elapsed and of the processor."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        return json.loads(self.answer())[WARM:]

    def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def measure(case: str, before: Path, threads: int, rounds: int) -> dict[str, list[float]]:
    """For each round the milliseconds of both checkouts, and ratios."""
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, str(threads))}
    folders = 2 * [("here", HERE), ("before", before)]
    servers = [(name, Server(folder, case, environment)) for name, folder in folders]
    if find_spec("torch"):
        servers.append(("PyTorch", Server(HERE, case, environment, "PyTorch, fused Adam")))
    rows: dict[str, list[float]] = {}
    for round_ in range(rounds):
        random.Random(round_).shuffle(servers)
        times: dict[str, list[list[float]]] = {}
        for name, server in servers:
            times.setdefault(name, []).extend(server.take(BURST + WARM))
        elapsed, processor = (
            {name: statistics.median(t[kind] for t in ts) for name, ts in times.items()}
            for kind in (0, 1)
        )
        row = {name: 1e3 * seconds for name, seconds in elapsed.items()}
        row["elapsed"] = elapsed["here"] / elapsed["before"]
        row["processor"] = processor["here"] / processor["before"]
        if "PyTorch" in elapsed:
            row |= {f"{n}, PyTorch": elapsed[n] / elapsed["PyTorch"] for n in ("before", "here")}
        for name, value in row.items():
            rows.setdefault(name, []).append(value)
    for _, server in servers:
        server.stop()
    return rows


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("before", type=Path, help="the folder of the other checkout")
    p.add_argument("--threads", type=int, nargs="*", default=[1, 2], help="of BLAS and numba")
    p.add_argument("--rounds", type=int, default=25)
    args = p.parse_args()
    print("| step | threads | before, ms | here, ms | elapsed | processor time "
          "| x PyTorch, before and here |")  # fmt: skip
    print("|---|---|---|---|---|---|---|")
    for threads in args.threads:
        for case in CASES:
            rows = measure(case, args.before.resolve(), threads, args.rounds)
            middle = {name: statistics.median(values) for name, values in rows.items()}
            cells = [case, str(threads), f"{middle['before']:.2f}", f"{middle['here']:.2f}"]
            for name in ("elapsed", "processor"):
                low, _, high = statistics.quantiles(rows[name], n=4)
                cells.append(f"{middle[name]:.3f} ({low:.2f} to {high:.2f})")
            beside = [middle[name] for name in middle if name.endswith(", PyTorch")]
            cells.append(", ".join(f"{ratio:.2f}" for ratio in beside))
            print("|", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
