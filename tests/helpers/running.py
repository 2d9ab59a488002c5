"""Runs of the examples on tiny data, inside the test's process or in one of their own."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from functools import cache
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tinygen.commands import command_line
from tinygen.data import idx
from tinygen.data.datasets import FILES

ROOT = Path(__file__).parents[2]
TINY = ("--data", "idx", "--hidden", "6", "--latent", "2", "--batch-size", "32", "--epochs", "2")
"""Flags for a network that fits the tiny data; its 250 images are 8 steps, the last one smaller."""


def write_tiny_data(folder, train=250, test=40, size=5, seed=0):
    """Four IDX files with images of blurred bars, `size` pixels wide."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    for file in FILES:
        n = train if file.startswith("train") else test
        if "images" in file:
            place = generator.uniform(0, size - 1, (n, 1, 1))
            width = generator.uniform(0.5, 1.5, (n, 1, 1))
            bars = 255 * np.exp(-(((np.arange(size) - place) / width) ** 2))
            idx.write(folder / file, np.broadcast_to(bars, (n, size, size)).astype(np.uint8).copy())
        else:
            idx.write(folder / file, np.arange(n, dtype=np.uint8) % 10)
    return folder


def write_labelled_data(folder, train=250, test=40, seed=0):
    """Four IDX files of 5 by 5 pixels: digit k shows as a bright row k, or column k - 5."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    for part, n in (("train", train), ("t10k", test)):
        labels = np.arange(n, dtype=np.uint8) % 10
        x = generator.integers(0, 60, (n, 5, 5), dtype=np.uint8)
        for image, k in zip(x, labels, strict=True):
            line = image[k] if k < 5 else image[:, k - 5]
            line[...] = generator.integers(150, 250, 5)
        for file in FILES:
            if file.startswith(part):
                idx.write(folder / file, x if "images" in file else labels)
    return folder


COMMANDS = {
    "mnist_autoencoder": "autoencoder",
    "mnist_vae": "vae",
    "mnist_gan": "gan",
    "mnist_judge": "judge",
    "gan_ring": "ring",
}
"""The examples whose code is a command of the package."""


def path_of(name):
    """The file of an example, or of an experiment."""
    (path,) = (ROOT / "examples").rglob(f"{name}.py")
    return path


@cache
def example(name="mnist_autoencoder"):
    """The example as a module, or the command that it calls."""
    if name in COMMANDS:
        return import_module(f"tinygen.commands.{COMMANDS[name]}")
    spec = importlib.util.spec_from_file_location(name, path_of(name))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_here(*arguments, name="mnist_autoencoder"):
    """Run an example in this process; returns the exit code."""
    return command_line.run(example(name).main, [str(a) for a in arguments])


def run_captured(capsys, *arguments, name="mnist_autoencoder"):
    """As `run_there`, but in this process, which takes less time."""
    capsys.readouterr()
    code = run_here(*arguments, name=name)
    captured = capsys.readouterr()
    return SimpleNamespace(returncode=code, stdout=captured.out, stderr=captured.err)


def command(*arguments, name="mnist_autoencoder"):
    return [sys.executable, str(path_of(name)), *map(str, arguments)]


def environment(**more):
    """That of a user who cloned the project, on one core."""
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    return {**os.environ, "PYTHONPATH": str(ROOT), **threads, **more}


def run_there(*arguments, name="mnist_autoencoder", timeout=120, **options):
    """Run an example in a process of its own; returns it with `stdout` and `stderr` as text."""
    return subprocess.run(
        command(*arguments, name=name),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        **options,
    )


def start_there(*arguments, name="mnist_autoencoder", **options):
    """Start an example in a process of its own, to which a signal will be sent."""
    if sys.platform == "win32":
        pytest.skip("there are no signals between processes here")
    return subprocess.Popen(
        command(*arguments, name=name),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def press_at(steps):
    """Ctrl-C before the gradients of these steps."""
    return lambda step: step in steps and signal.raise_signal(signal.SIGINT)


def rows_without_time(rows):
    return [{**row, "seconds": 0} for row in rows]


def before_each_step(learner, call):
    """Call a function of the step before each step that a learner takes for the first time.

    A step begins with `draw`. The search for NaN repeats steps, and calls nothing.
    """
    draw, seen = learner.draw, []

    def calling(x, generator, step, *labels):
        if step not in seen:
            seen.append(step)
            call(step)
        return draw(x, generator, step, *labels)

    learner.draw = calling
