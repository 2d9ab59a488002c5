"""Train one GAN with several seeds, side by side, and print the mean of what they reached.

python examples/gan_seeds.py --seeds 10 gan_ring --mixture grid
python examples/gan_seeds.py --seeds 3 mnist_gan --gradients by-hand
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from math import inf, nan
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from tqdm import tqdm

from tinygen.errors import InputError
from tinygen.files import write_text
from tinygen.training import Diverged, command_line
from tinygen.training.progress import warn

SCRIPTS = ("gan_ring", "mnist_gan")
OURS = ("--seed", "--out", "--resume", "--restart", "--quiet")
"""Flags of an example that are set here."""


def flags() -> argparse.ArgumentParser:
    p = command_line.bare_parser(__doc__.splitlines()[0])
    add = p.add_argument
    add("--seeds", type=command_line.whole(1, 1000), default=10, metavar="N",
        help="how many, from 0 on")  # fmt: skip
    add("--jobs", type=command_line.whole(1, 1000), default=os.cpu_count() or 1, metavar="N",
        help="trainings at a time, each on its share of the cores")  # fmt: skip
    add("--out", type=Path, metavar="DIR", help="folder of the runs, else runs/seeds/EXAMPLE")
    add("--resume", action="store_true", help="go on with the runs that are there")
    add("--restart", action="store_true", help="begin anew, even over unfinished runs")
    add("script", choices=SCRIPTS, metavar="EXAMPLE", help=f"one of {', '.join(SCRIPTS)}")
    add("rest", nargs=argparse.REMAINDER, metavar="...", help="its flags")
    return p


def train(args: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Train with one seed in a process of its own; returns the run's summary."""
    out = args.out / f"seed-{seed}"
    threads = str(max(1, (os.cpu_count() or 1) // args.jobs))
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    go_on = args.resume and (out / "checkpoint.npz").exists()
    how = ["--resume"] if go_on else ["--restart"] if args.restart else []
    command = [sys.executable, str(Path(__file__).with_name(f"{args.script}.py")), *args.rest,
               "--seed", str(seed), "--out", str(out), "--quiet", *how]  # fmt: skip
    done = subprocess.run(command, env=os.environ | dict.fromkeys(names, threads),
                          stderr=subprocess.PIPE, text=True, check=False)  # fmt: skip
    told = done.stderr.strip().splitlines()
    if done.returncode:
        refused = InputError if done.returncode == 2 else Diverged
        raise refused(f"seed {seed}: {(told or ['it said nothing'])[-1].removeprefix('error: ')}")
    for line in told:  # what it warned of
        warn(f"seed {seed}: {line}")
    return json.loads((out / "summary.json").read_text())


def table(found: dict[int, dict[str, Any]]) -> str:
    """The figures of each seed in a line, and below them their mean and deviation."""
    tests = {  # None stands for infinity, which JSON has not
        seed: {key: inf if x is None else x for key, x in found[seed]["test"].items()}
        for seed in sorted(found)
    }
    keys = list(next(iter(tests.values())))
    wide = {key: max(len(key), 9) for key in keys}

    def line(name: str, values: Sequence[float]) -> str:
        shown = (f"{value:{wide[key]}.4g}" for key, value in zip(keys, values, strict=True))
        return f"{name:>9}  " + "  ".join(shown)

    columns = [[test[key] for test in tests.values()] for key in keys]
    lines = [f"{'seed':>9}  " + "  ".join(f"{key:>{wide[key]}}" for key in keys)]
    lines += [line(str(seed), [test[key] for key in keys]) for seed, test in tests.items()]
    lines.append(line("mean", [mean(column) for column in columns]))
    if len(tests) > 1:
        lines.append(line("deviation", [stdev(x) if inf not in x else nan for x in columns]))
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    args = flags().parse_args(arguments)
    args.out = args.out or Path("runs") / "seeds" / args.script
    for flag in args.rest:
        if flag.split("=")[0] in OURS:
            raise InputError(f"{flag} must stand before {args.script}, or is set for each seed")
    began, found = time.perf_counter(), {}
    with ThreadPoolExecutor(args.jobs) as pool:
        jobs = {pool.submit(train, args, seed): seed for seed in range(args.seeds)}
        try:
            done = as_completed(jobs)
            for job in tqdm(done, total=args.seeds, desc="seeds", leave=False, disable=None):
                if job.exception():
                    warn(f"seed {jobs[job]} failed; those that are running are waited for")
                found[jobs[job]] = job.result()
        finally:
            pool.shutdown(cancel_futures=True)
    seconds = time.perf_counter() - began
    text = table(found)
    print(text)
    versions = found[0]["versions"]
    print(f"{args.seeds} seeds in {seconds / 60:.1f} minutes, {args.jobs} at a time, "
          f"{versions['backend']}, {versions['machine']}")  # fmt: skip
    runs = {str(seed): found[seed] for seed in sorted(found)}
    write_text(args.out / "summary.json", json.dumps({"seconds": seconds, "runs": runs}, indent=2))


if __name__ == "__main__":
    sys.exit(command_line.run(main))
