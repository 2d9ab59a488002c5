"""Many seeds of a GAN side by side, as a user runs them."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import threading
import time
from math import inf, nan
from statistics import mean, stdev

import pytest
from running import (
    ROOT,
    command,
    environment,
    example,
    run_here,
    start_there,
)

from tinygen.commands import command_line
from tinygen.errors import InputError
from tinygen.training import checkpoint

pytestmark = pytest.mark.usefixtures("without_pictures")
MNIST, RING, SEEDS = "mnist_gan", "gan_ring", "gan_seeds"


def summary_of(folder):
    return json.loads((folder / "summary.json").read_text())


def refused(stderr):
    """Whether it is one sentence."""
    return stderr.startswith("error: ") and stderr.count("\n") == 1


@pytest.fixture
def alone(monkeypatch):
    """The processes that `gan_seeds` starts find the project and use one core."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def figures_of_table(text):
    """Of what `gan_seeds` prints: ``{first word: {column: figure}}``."""
    lines = [line.split() for line in text.splitlines()]
    (head,) = (k for k, words in enumerate(lines) if words[:1] == ["seed"])
    rows = [words for words in lines[head + 1 :] if len(words) == len(lines[head])]
    return {words[0]: dict(zip(lines[head][1:], map(float, words[1:]), strict=True))
            for words in rows}  # fmt: skip


@pytest.mark.parametrize(
    ("flags", "rest", "jobs"),
    [((), (), 5), ((), ("--backend", "cupy"), 1), ((), ("--epochs", "2", "--backend=cupy"), 1),
     (("--jobs", "3"), ("--backend", "cupy"), 3)],
)  # fmt: skip
def test_a_gpu_has_one_training_at_a_time(flags, rest, jobs, tmp_path, capsys, monkeypatch):
    """Each process would have a context of its own there, and they would take turns."""
    monkeypatch.setattr("os.cpu_count", lambda: 5)

    def stop(args):
        raise InputError("stopped")

    monkeypatch.setattr(example(SEEDS), "train_all", stop)
    assert run_here("--seeds", "9", *flags, "--out", tmp_path, RING, *rest, name=SEEDS) == 2
    assert f"9 seeds, {jobs} at a time, " in capsys.readouterr().out


def test_a_seed_that_fails_is_named_and_the_others_are_not_lost(alone, tmp_path, capsys):
    """And when what is in its way is gone, the same command with --resume gets to the end."""
    blocked = tmp_path / "seed-1"
    blocked.write_text("a file where a folder should be")
    flags = ("--seeds", "2", "--jobs", "2", "--out", tmp_path)
    rest = (RING, "--smoke", "--epochs", "1")
    assert run_here(*flags, *rest, name=SEEDS) == 2
    captured = capsys.readouterr()
    (error,) = (line for line in captured.err.splitlines() if line.startswith("error: "))
    assert error.startswith(f"error: seed 1: {tmp_path}") and "cannot be written into" in error
    assert error.endswith("; 1 of 2 seeds are done, and the same command with --resume goes on "
                          "from there")  # fmt: skip
    assert not (tmp_path / "summary.json").exists()
    first = summary_of(tmp_path / "seed-0")
    table = figures_of_table(captured.out)
    assert list(table) == ["0", "mean"]
    assert table["0"] == pytest.approx(first["test"], rel=1e-3)

    blocked.unlink()
    assert run_here(*flags, "--resume", *rest, name=SEEDS) == 0
    runs = {seed: summary_of(tmp_path / f"seed-{seed}") for seed in ("0", "1")}
    assert runs["0"] == first  # it is not trained again, which its seconds would show
    for seed, run in runs.items():
        assert run["config"]["seed"] == int(seed) and run["config"]["epochs"] == 1
    tests = {seed: run["test"] for seed, run in runs.items()}
    assert tests["0"] != tests["1"]
    summary = summary_of(tmp_path)
    assert list(summary) == ["task", "seconds", "runs"] and summary["runs"] == runs
    stdout = capsys.readouterr().out
    assert stdout.startswith("2 seeds, 2 at a time, threads for each: ")
    assert re.search(r"^2 seeds in \d+\.\d minutes, 2 at a time, numpy", stdout, re.MULTILINE)
    table = figures_of_table(stdout)
    assert list(table) == ["0", "1", "mean", "std"]
    for seed, test in tests.items():
        assert table[seed] == pytest.approx(test, rel=1e-3)
    for key in ("modes", "good_samples"):
        column = [test[key] for test in tests.values()]
        assert table["mean"][key] == pytest.approx(mean(column), rel=1e-3)
        assert table["std"][key] == pytest.approx(stdev(column), rel=1e-3)


@pytest.mark.parametrize(("name", "flag"), [(RING, "-h"), (MNIST, "--help")])
def test_the_help_of_an_example_is_all_that_is_asked_for(name, flag, tmp_path, monkeypatch):
    """What it prints is tested above."""
    commands = []
    monkeypatch.setattr(subprocess, "call", lambda command: commands.append(command) or 0)
    with pytest.raises(SystemExit) as stop:
        run_here("--seeds", "1", "--out", tmp_path / "run", name, "--smoke", flag, name=SEEDS)
    assert stop.value.code == 0
    assert commands == [command("--help", name=name)]
    assert not (tmp_path / "run").exists()


def test_the_summary_is_there_before_the_table_is_printed(tmp_path, monkeypatch):
    """Whose reader may have gone away."""

    class Gone(Exception):
        pass

    def table(summaries):
        raise Gone

    module = example(SEEDS)
    run = {"test": {"modes": 8}, "versions": {"backend": "numpy", "machine": "one"}}
    monkeypatch.setattr(module, "train", lambda args, seed: run)
    monkeypatch.setattr(module, "table", table)
    with pytest.raises(Gone):
        run_here("--seeds", "2", "--out", tmp_path, RING, name=SEEDS)
    assert summary_of(tmp_path)["runs"] == {"0": run, "1": run}


def test_seeds_without_a_stderr(tmp_path):
    flags = ("--seeds", "1", "--out", tmp_path, RING, "--smoke", "--epochs", "1")
    done = subprocess.run(
        ["sh", "-c", shlex.join(command(*flags, name=SEEDS)) + " 2>&-"],
        env=environment(), stdout=subprocess.PIPE, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0 and "1 seeds in " in done.stdout
    assert set(summary_of(tmp_path)["runs"]) == {"0"}


def test_no_seed_begins_after_one_has_failed(tmp_path, monkeypatch, capsys):
    module, began = example(SEEDS), []

    def train(args, seed):
        began.append(seed)
        raise InputError(f"seed {seed}: no")

    monkeypatch.setattr(module, "train", train)
    assert run_here("--seeds", "9", "--jobs", "1", "--out", tmp_path, RING, name=SEEDS) == 2
    captured = capsys.readouterr()
    assert len(began) < 9  # the next one may have been taken up before the failure is seen
    assert captured.err.splitlines()[-1] == "error: seed 0: no"  # nothing is there to go on from
    assert figures_missing(captured.out)


@pytest.mark.parametrize("resumed", [False, True])
def test_the_bar_of_seeds_counts_the_epochs_of_all_of_them(tmp_path, monkeypatch, capsys, resumed):
    """Those of an earlier run in the same folder are not among them."""
    module, seen = example(SEEDS), []
    flags = ("--points", "100", "--batch-size", "50", "--epochs", "3", "--quiet",
             "--generator-hidden", "4", "--discriminator-hidden", "4")  # fmt: skip

    class Bar:
        total, n = None, 0

        def __init__(self, **options):
            assert options["disable"]  # a terminal alone has it
            self.desc = options["desc"]

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def refresh(self):
            seen.append((self.n, self.total))

    def train(args, seed):
        before.wait(10)
        out = args.out / f"seed-{seed}"
        how = ("--resume",) * args.resume or ("--restart",) * args.restart
        command_line.run(example(RING).main, [*flags, *how, "--seed", str(seed), "--out", str(out)])
        return summary_of(out)

    before = threading.Event()
    before.set()
    monkeypatch.setattr(module, "tqdm", Bar)
    monkeypatch.setattr(module, "train", train)
    monkeypatch.setattr(module, "LOOK_EVERY", 0.01)
    how = ("--seeds", "2", "--jobs", "1", "--out", tmp_path)
    assert run_here(*how, RING, name=SEEDS) == 0
    assert seen[-1] == (6, 6)
    counts = [n for n, _ in seen]
    assert counts == sorted(counts) and {total for _, total in seen} <= {None, 6}
    assert len({*counts}) > 2, "more than the seeds that are done"

    seen.clear()
    before.clear()
    threading.Timer(0.2, before.set).start()
    assert run_here(*how, "--resume" if resumed else "--restart", RING, name=SEEDS) == 0
    assert seen[0] == (0, None) and seen[-1] == (6, 6)


def figures_missing(text):
    return "mean" not in text and "std" not in text


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--seeds", "0", RING), "argument --seeds: expected at least 1, got 0"),
        (("--jobs", "0", RING), "argument --jobs: expected at least 1, got 0"),
        (("mnist_vae",), "invalid choice: 'mnist_vae'"),
        ((RING, "--quiet"), "--quiet cannot be given: it is set for each run"),
        ((RING, "--seed=3"), "--seed cannot be given: it is set for each run"),
        ((RING, "--smoke", "--resume"), "--resume must stand before gan_ring"),
        (("--sed", "3", RING), "--sed: no such flag (did you mean '--seeds'?)"),
        (("--smoke", RING), "--smoke: no such flag; those of an example follow its name"),
        ((MNIST, "--out=there"), "--out must stand before mnist_gan"),
        ((MNIST, "--jobs", "2"), "--jobs must stand before mnist_gan"),
        ((), "EXAMPLE"),
    ],
)
def test_what_gan_seeds_refuses(flags, sentence, tmp_path, capsys):
    assert run_here("--out", tmp_path, *flags, name=SEEDS) == 2
    stderr = capsys.readouterr().err
    assert sentence in stderr and refused(stderr)


def test_the_table_says_when_there_was_more_than_one_judge():
    runs = {seed: {"test": {"score": 9.0}, "judge": {"sha256": judge}}
            for seed, judge in enumerate("aab")}  # fmt: skip
    table = example(SEEDS).table
    lines = table(runs).splitlines()
    assert lines[-1] == "warning: 2 judges scored these, so the figures do not compare"
    assert not any(line.startswith("warning") for line in lines[:-1])
    assert "warning" not in table({seed: runs[seed] for seed in (0, 1)})


def test_the_table_of_one_seed_and_of_infinite_figures():
    table = example(SEEDS).table
    one = figures_of_table(table({3: {"test": {"modes": 8, "good": 0.5}}}))
    assert one == {"3": {"modes": 8, "good": 0.5}, "mean": {"modes": 8, "good": 0.5}}
    # None stands for infinity, which JSON has not.
    tests = [{"kl": 1.0, "score": 2.0}, {"kl": None, "score": 4.0}]
    for order in (tests, tests[::-1]):
        two = figures_of_table(table({seed: {"test": test} for seed, test in enumerate(order)}))
        assert two["mean"] == {"kl": inf, "score": 3}
        assert two["std"] == pytest.approx({"kl": nan, "score": 2**0.5}, rel=1e-3, nan_ok=True)
        assert sorted([two["0"]["kl"], two["1"]["kl"]]) == [1, inf]


@pytest.mark.parametrize(("sent", "to_all"), [("SIGINT", True), ("SIGTERM", False)])
def test_a_signal_stops_all_seeds_and_each_leaves_a_checkpoint(tmp_path, sent, to_all):
    flags = ("--seeds", "3", "--jobs", "2", "--out", tmp_path, RING, "--smoke", "--epochs", "5000")
    process = start_there(*flags, name=SEEDS, start_new_session=True)
    try:
        wanted = [tmp_path / f"seed-{k}" / "metrics.jsonl" for k in (0, 1)]
        until = time.monotonic() + 60
        while not all(path.exists() and path.read_text() for path in wanted):
            assert time.monotonic() < until and process.poll() is None
            time.sleep(0.05)
        # As a terminal does, and as `kill` does.
        (os.killpg if to_all else os.kill)(process.pid, getattr(signal, sent))
        out, err = process.communicate(timeout=60)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    assert process.returncode == 130, err
    assert "Traceback" not in err and "stopped" in err and figures_missing(out)
    for k in (0, 1):
        assert checkpoint.read_meta(tmp_path / f"seed-{k}" / "checkpoint.npz")["step"] > 0
    assert not (tmp_path / "seed-2").exists()
