"""Train one GAN with several seeds, side by side, and print the mean of their scores.

python examples/experiments/gan_seeds.py --seeds 10 gan_ring --mixture grid
python examples/experiments/gan_seeds.py --seeds 3 mnist_gan --gradients by-hand
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import suppress
from itertools import takewhile
from math import inf, nan
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from tqdm import tqdm

from tinygen.arguments import name_in
from tinygen.commands import command_line
from tinygen.errors import InputError, did_you_mean
from tinygen.files import write_text
from tinygen.training import Diverged, Progress, RunDir, checkpoint
from tinygen.training.parallel import default_jobs
from tinygen.training.progress import warn

TASK = "gan_seeds"
SCRIPTS = ("gan_ring", "mnist_gan")
OURS, SET = ("--seeds", "--jobs", "--out", "--resume", "--restart"), ("--seed", "--quiet")
"""Flags of this script; and those of an example that it sets for each run."""
RUNNING: set[subprocess.Popen[str]] = set()
"""The runs' processes, to be stopped if necessary."""
LOOK_EVERY = 2.0
"""Seconds between two updates of the progress shown."""


def flags() -> argparse.ArgumentParser:
    p = command_line.bare_parser(__doc__)
    add = p.add_argument
    add("--seeds", type=command_line.whole(1, 1000), default=10, metavar="N",
        help="how many, from 0 on")  # fmt: skip
    add("--jobs", type=command_line.whole(1, 1000), metavar="N",
        help="trainings at a time, else one for each core, but 1 on a GPU")  # fmt: skip
    add("--out", type=command_line.path, metavar="DIR",
        help="folder of the runs, else runs/seeds/EXAMPLE")  # fmt: skip
    either = p.add_mutually_exclusive_group().add_argument
    either("--resume", action="store_true", help="go on with the runs that are there")
    either("--restart", action="store_true", help="begin anew, and replace the runs there")
    add("script", type=name_in(SCRIPTS), metavar="EXAMPLE",
        help=f"one of {', '.join(SCRIPTS)}")  # fmt: skip
    add("rest", nargs=argparse.REMAINDER, metavar="...", help="its flags")
    return p


def refuse_unknown_flags(words: Sequence[str]) -> None:
    """Refuse unknown flags before the example's name: argparse would take their values for it."""
    for word in takewhile(lambda word: word not in SCRIPTS, words):
        flag = word.partition("=")[0]
        if flag.startswith("--") and flag not in (*OURS, "--help"):
            meant = did_you_mean(flag, OURS)
            raise InputError(f"{flag}: no such flag{meant}; those of an example follow its name")


def backend_in(rest: Sequence[str]) -> str:
    """The backend that the example is told to use."""
    p = command_line.bare_parser("")
    p.add_argument("--backend", default="numpy")
    return p.parse_known_args(rest)[0].backend


def train(args: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Train with one seed in a process of its own; return the run's summary."""
    out = args.out / f"seed-{seed}"
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    go_on = args.resume and (out / "checkpoint.npz").exists()
    how = ["--resume"] if go_on else ["--restart"] if args.restart else []
    command = [*call(args.script), *args.rest, "--seed", str(seed), "--out", str(out), "--quiet",
               *how]  # fmt: skip
    process = subprocess.Popen(command, env=os.environ | dict.fromkeys(names, str(args.threads)),
                               stderr=subprocess.PIPE, text=True, errors="replace")  # fmt: skip
    RUNNING.add(process)
    errors = process.communicate()[1].strip().splitlines()
    RUNNING.discard(process)
    if process.returncode:
        refused = InputError if process.returncode == 2 else Diverged
        last = (errors or ["it failed without a message"])[-1]
        raise refused(f"seed {seed}: {last.removeprefix('error: ')}")
    for line in errors:  # its warnings
        warn(f"seed {seed}: {line}")
    return json.loads((out / "summary.json").read_text())


def call(script: str) -> list[str]:
    """The command that runs an example, without its flags."""
    return [sys.executable, str(Path(__file__).parents[1] / f"{script}.py")]


def table(summaries: dict[int, dict[str, Any]]) -> str:
    """The figures of each seed in a line, and below them their mean and standard deviation."""
    tests = {  # None stands for infinity, which JSON lacks
        seed: {key: inf if x is None else x for key, x in summaries[seed]["test"].items()}
        for seed in sorted(summaries)
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
        lines.append(line("std", [stdev(x) if inf not in x else nan for x in columns]))
    judges = {run["judge"]["sha256"] for run in summaries.values() if "judge" in run}
    if len(judges) > 1:
        lines.append(f"warning: {len(judges)} judges scored these, so the figures do not compare")
    return "\n".join(lines)


def show_progress(args: argparse.Namespace, began: float, bar: Any) -> None:
    """Show how many epochs all runs have completed."""
    done = 0
    for seed in range(args.seeds):
        folder = args.out / f"seed-{seed}"
        with suppress(OSError):  # it has not begun
            rows = folder / "metrics.jsonl"
            if rows.stat().st_mtime < began:
                continue  # nor has this one; the rows are from an earlier run
            done += rows.read_text().count("\n")
            if bar.total is None:
                config = checkpoint.read_meta(folder / "checkpoint.npz")["config"]
                bar.total = args.seeds * config["epochs"]
    bar.n = done
    bar.refresh()


def train_all(args: argparse.Namespace) -> tuple[dict[int, Any], dict[int, BaseException]]:
    """The summaries of the seeds that finished, and what went wrong with others.

    After a failure no further run begins, and those that are running are allowed to finish.
    """
    began, summaries, failed = time.time(), {}, {}
    with (
        ThreadPoolExecutor(args.jobs) as pool,
        tqdm(
            unit=" epochs",
            desc=f"{args.seeds} seeds",
            leave=False,
            disable=not Progress(0, {}).bars,
        ) as bar,
    ):
        jobs = {pool.submit(train, args, seed): seed for seed in range(args.seeds)}
        left = {*jobs}
        try:
            while left:
                done, left = wait(left, LOOK_EVERY, FIRST_COMPLETED)
                for job in done:
                    if error := job.exception():
                        failed[jobs[job]] = error
                        left = {other for other in left if not other.cancel()}
                        warn(
                            f"seed {jobs[job]} failed; {len(left)} that are running are waited for"
                        )
                    else:
                        summaries[jobs[job]] = job.result()
                show_progress(args, began, bar)
        except BaseException:  # a terminal's Ctrl-C reaches the runs; other signals do not
            pool.shutdown(wait=False, cancel_futures=True)
            for process in [*RUNNING]:
                process.terminate()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
    return summaries, failed


def main(arguments: Sequence[str] | None = None) -> None:
    refuse_unknown_flags(sys.argv[1:] if arguments is None else arguments)
    args = flags().parse_args(arguments)
    args.out = args.out or Path("runs") / "seeds" / args.script
    for flag in (word.split("=")[0] for word in args.rest):
        if flag in OURS:
            raise InputError(f"{flag} must stand before {args.script}")
        if flag in SET:
            raise InputError(f"{flag} cannot be given: it is set for each run")
    if {"-h", "--help"} & {*args.rest}:
        sys.exit(subprocess.call([*call(args.script), "--help"]))
    args.jobs = min(args.jobs or default_jobs(backend_in(args.rest)), args.seeds)
    run_dir = RunDir(args.out)
    run_dir.claim(TASK)
    runs = args.out.glob("seed-*/checkpoint.npz")
    run_dir.refuse_experiment(args.resume, args.restart, runs)
    args.threads = max(1, (os.cpu_count() or 1) // args.jobs)
    print(
        f"{args.seeds} seeds, {args.jobs} at a time, threads for each: {args.threads}", flush=True
    )
    began = time.perf_counter()
    summaries, failed = train_all(args)
    seconds = time.perf_counter() - began
    if not failed:  # before anything is printed, as nobody may be left to read it
        runs = {str(seed): summaries[seed] for seed in sorted(summaries)}
        text = json.dumps({"task": TASK, "seconds": seconds, "runs": runs}, indent=2)
        write_text(args.out / "summary.json", text)
    if summaries:
        print(table(summaries))
    for error in failed.values():
        if isinstance(error, (InputError, Diverged)) and [*args.out.glob("*/checkpoint.npz")]:
            raise type(error)(
                f"{error}; {len(summaries)} of {args.seeds} seeds are done, and the same command "
                "with --resume goes on from there"
            )
        raise error
    versions = summaries[0]["versions"]
    print(f"{args.seeds} seeds in {seconds / 60:.1f} minutes, {args.jobs} at a time, "
          f"{versions['backend']}, {versions['machine']}", flush=True)  # fmt: skip


if __name__ == "__main__":
    sys.exit(command_line.run(main))
