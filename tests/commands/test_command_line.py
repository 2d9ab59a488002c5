"""The command line: what it refuses, with nothing lost, and what stops it from outside."""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from running import ROOT, TINY, command, environment, example, run_here, start_there
from running import write_tiny_data as write_tiny
from terminal import COLUMNS, Terminal, screen_lines

from tinygen.commands import command_line
from tinygen.errors import InputError
from tinygen.training import Diverged, Interrupted, checkpoint

MISSING = object()
not_on_windows = pytest.mark.skipif(os.name == "nt", reason="POSIX has these signals, pipes, paths")


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    """tests/training/test_checkpoint.py looks at that."""
    monkeypatch.setattr("os.fsync", lambda file: None)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def complete(data, tmp_path_factory):
    """A run that is complete, only to be copied."""
    out = tmp_path_factory.mktemp("complete") / "run"
    assert run_here(*TINY, "--data-dir", data, "--out", out, "--quiet") == 0
    return out


@pytest.fixture
def finished(complete, data, tmp_path):
    """A folder with a run that is complete, and its flags."""
    shutil.copytree(complete, tmp_path / "run")
    return tmp_path / "run", (*TINY, "--data-dir", data, "--out", tmp_path / "run", "--quiet")


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def stderr_line(capsys):
    """The one line on stderr."""
    err = capsys.readouterr().err
    assert err.endswith("\n") and err.count("\n") == 1, err
    assert "Traceback" not in err
    return err[:-1]


# Refused, with exit code 2.

REFUSED = {
    ("--epochs", "0"): "argument --epochs: expected at least 1, got 0",
    ("--epochs", "-3"): "argument --epochs: expected at least 1, got -3",
    ("--epochs", "2.5"): "argument --epochs: expected a whole number in digits, got '2.5'",
    ("--epochs", "1e3"): "argument --epochs: expected a whole number in digits, got '1e3'",
    ("--epochs", "9" * 5000): "argument --epochs: expected a whole number in digits, got",
    ("--epochs", "9" * 500): "argument --epochs: expected at most 50000, got",
    ("--epochs",): "argument --epochs: expected one argument",
    ("--lr", "nan"): "argument --lr: expected a number above 0 and at most 10, got nan",
    ("--lr", "inf"): "argument --lr: expected a number above 0 and at most 10, got inf",
    ("--lr", "1e9"): "argument --lr: expected a number above 0 and at most 10, got 1e9",
    ("--lr", "0"): "argument --lr: expected a number above 0 and at most 10, got 0",
    ("--lr=-1e-3",): "argument --lr: expected a number above 0 and at most 10, got -1e-3",
    ("--lr", "fast"): "argument --lr: expected a number, got 'fast'",
    ("--beta2", "1"): "argument --beta2: expected a number at least 0 and at most 0.999999, got 1",
    ("--warm-up", "1"): "argument --warm-up: expected a number at least 0 and at most 0.9, got 1",
    ("--latent", "0"): "argument --latent: expected at least 1, got 0",
    ("--latent", "9" * 30): "argument --latent: expected at most",
    ("--hidden", "0"): "argument --hidden: expected at least 1, got 0 in '0'; write widths as",
    ("--hidden=-5,4",): "argument --hidden: expected at least 1, got -5 in '-5,4'; write widths",
    ("--hidden", "5,,5"): "got '' in '5,,5'; write widths as 512,256",
    ("--hidden", "400,"): "got '' in '400,'; write widths as 512,256",
    ("--hidden", "400 200"): "got '400 200' in '400 200'; write widths as 512,256",
    ("--hidden", "5;5"): "argument --hidden: expected a whole number in digits, got '5;5'",
    ("--batch-size", "0"): "argument --batch-size: expected at least 1, got 0",
    (
        "--batch-size",
        "251",
    ): "--batch-size 251: idx has 250 training images; expected at most --batch-size 250",
    ("--show-every", "0"): "argument --show-every: expected at least 1, got 0",
    ("--seed", "-1"): "argument --seed: expected at least 0, got -1",
    ("--seed", str(2**64)): "argument --seed: expected at most",
    ("--backend", "torch"): "--backend: invalid choice: 'torch'; choose one of numpy, cupy",
    ("--gradients", "hand"): "argument --gradients: invalid choice: 'hand'",
    ("--dtype", "float16"): "argument --dtype: invalid choice: 'float16'",
    ("--data", "cifar"): "argument --data: invalid choice: 'cifar'",
    ("--activation", "swish"): "argument --activation: invalid choice: 'swish'",
    ("--activation", "rellu"): "'rellu' (did you mean 'relu'?); choose one of ",
    ("--activation", "ReLU"): "'ReLU' (did you mean 'relu'?); choose one of ",
    ("--gradients", "by_hand"): "(did you mean 'by-hand'?); choose one of autograd, by-hand",
    ("--backend", "cuppy"): "invalid choice: 'cuppy' (did you mean 'cupy'?); choose one of numpy",
    ("--output", "sigmoidal"): "invalid choice: 'sigmoidal' (did you mean 'sigmoid'?)",
    ("--preset", "hintn"): "invalid choice: 'hintn' (did you mean 'hinton'?)",
    ("--weights", "ones"): "argument --weights: invalid choice: 'ones'",
    ("--optimizer", "lion"): "argument --optimizer: invalid choice: 'lion'",
    ("--reconstruction", "l1"): "argument --reconstruction: invalid choice: 'l1'",
    ("--preset", "best"): "argument --preset: invalid choice: 'best'",
    ("--reconstruction", "bce", "--output", "none"): "bce compares probabilities",
    ("--dropout", "1"): "argument --dropout: expected a number at least 0 and at most 0.95, got 1",
    ("--weight-decay=-1",): "argument --weight-decay: expected a number at least 0, got -1",
    ("--code-l1", "nan"): "argument --code-l1: expected a number at least 0, got nan",
    ("--input-noise", "inf"): "argument --input-noise: expected a number at least 0, got inf",
    ("--kernel", "5"): "--kernel needs --architecture conv, got dense",
    ("--optimizer", "sgd", "--beta1", ".5"): "--beta1 needs --optimizer adam, got sgd",
    ("--schedule", "stages", "--warm-up", "0"): "--warm-up needs --schedule linear or cosine or",
    ("--data", "strokes"): "--data-dir needs --data auto or mnist or fashion-mnist or kmnist or",
    ("--resume", "--restart"): "argument --restart: not allowed with argument --resume",
    ("--epoch", "3"): "unrecognized arguments: --epoch 3 (did you mean '--epochs'?)",
    ("-epochs", "3"): "unrecognized arguments: -epochs 3 (did you mean '--epochs'?)",
    ("epochs=3",): "unrecognized arguments: epochs=3 (did you mean '--epochs'?)",
    ("--batch_size=9",): "unrecognized arguments: --batch_size=9 (did you mean '--batch-size'?)",
    ("--zzz",): "error: unrecognized arguments: --zzz",
    ("--one\ntwo",): "unrecognized arguments: --one two",
    ("stray",): "unrecognized arguments: stray",
    ("--data-dir", "/nowhere"): "/nowhere: expected a folder with data, cannot read it",
    ("--out", ""): "argument --out: expected a path, got an empty text; the folder here is .",
    ("--out=",): "argument --out: expected a path, got an empty text; the folder here is .",
    ("--data-dir", ""): "argument --data-dir: expected a path, got an empty text",
    ("--data-dir", str(ROOT / "setup.cfg")): "setup.cfg: expected a folder with data, cannot read",
    ("--out", "~nobody-here/run"): "argument --out: ~nobody-here/run: there is no such home folder",
    ("--out", "/proc/run"): "error: /proc/run: cannot be written into (",
    ("--out", str(ROOT / "setup.cfg")): "setup.cfg: cannot be written into (",
    ("--out", str(ROOT / "setup.cfg" / "run")): "setup.cfg/run: cannot be written into (",
    ("--out", "x" * 300): "cannot be written into (File name too long)",
}


def spelled(flags):
    """A case of the table by its beginning; what the system says of paths is POSIX's there."""
    path = flags[0] in ("--out", "--data-dir") and flags[1]
    return pytest.param(flags, id=" ".join(flags)[:40], marks=[not_on_windows] if path else [])


@pytest.mark.parametrize("flags", [spelled(flags) for flags in REFUSED])
def test_refused_in_one_sentence_with_nothing_lost(finished, capsys, flags):
    folder, base = finished
    before = contents(folder)
    capsys.readouterr()
    anew = () if "--resume" in flags else ("--restart",)
    assert run_here(*base, *anew, *flags) == 2
    sentence = stderr_line(capsys)
    assert sentence.startswith("error: ") and REFUSED[flags] in sentence
    assert contents(folder) == before


def test_a_damaged_file_of_data_loses_nothing(finished, capsys, tmp_path):
    folder, base = finished
    bad = write_tiny(tmp_path / "bad")
    file = bad / "t10k-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-1])
    before = contents(folder)
    capsys.readouterr()
    assert run_here(*base, "--restart", "--data-dir", bad) == 2
    assert str(file) in stderr_line(capsys)
    assert contents(folder) == before


NO_GPU = """
from types import SimpleNamespace
__version__ = "14.2.0"
cuda = SimpleNamespace(runtime=SimpleNamespace(runtimeGetVersion=lambda: 12090))
def __getattr__(name):
    raise RuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")
"""


@pytest.mark.parametrize(
    ("cupy", "sentence"),
    [
        ("raise ImportError('No module named cupy')", "needs CuPy; install it with pip install"),
        (NO_GPU, "needs a GPU: CuPy is installed, but finds no CUDA device"),
    ],
)
def test_cupy_absent_and_cupy_without_a_gpu(data, tmp_path, capsys, monkeypatch, cupy, sentence):
    (tmp_path / "cupy.py").write_text(cupy)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    from tinygen.backend.cupy_backend import connect

    connect.cache_clear()
    assert run_here(*TINY, "--data-dir", data, "--out", tmp_path / "r", "--backend", "cupy") == 2
    sys.modules.pop("cupy", None)  # monkeypatch would put this one back
    assert sentence in stderr_line(capsys)
    assert not (tmp_path / "r").exists(), "not even a folder"


def test_not_enough_memory_loses_nothing(finished, capsys):
    folder, base = finished
    before = contents(folder)
    capsys.readouterr()
    assert run_here(*base, "--restart", "--hidden", "1000000,1000000") == 1
    assert "there is not enough memory (" in stderr_line(capsys)
    assert contents(folder) == before


# Resuming.


def test_resuming_a_finished_run_reports_again(finished, capsys):
    folder, base = finished
    before = contents(folder)
    assert run_here(*base, "--resume") == 0
    after = contents(folder)
    assert after["checkpoint.npz"] == before["checkpoint.npz"]
    assert after["metrics.jsonl"] == before["metrics.jsonl"]
    assert json.loads(after["summary.json"]) == json.loads(before["summary.json"])


def test_a_finished_run_is_replaced_by_a_new_one_only_if_asked(finished, capsys):
    folder, base = finished
    before = contents(folder)
    assert run_here(*base, "--seed", "1") == 2
    sentence = f"error: {folder} holds a finished run; add --restart to begin anew, or choose "
    assert stderr_line(capsys).startswith(sentence)
    assert contents(folder) == before
    assert run_here(*base, "--seed", "1", "--restart") == 0
    assert json.loads((folder / "summary.json").read_text())["config"]["seed"] == 1
    assert contents(folder)["checkpoint.npz"] != before["checkpoint.npz"]


def test_an_unfinished_run_is_not_overwritten(finished, capsys):
    folder, base = finished
    (folder / "summary.json").unlink()
    before = contents(folder)
    capsys.readouterr()
    assert run_here(*base) == 2
    assert "holds an unfinished run; add --resume to go on with it" in stderr_line(capsys)
    assert contents(folder) == before
    assert run_here(*base, "--resume") == 0


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--lr", "0.1"], "--lr was 0.004, is 0.1"),
        (["--hidden", "7,6"], "--hidden was 6, is 7,6"),
        (["--hidden", ""], "--hidden was 6, is empty"),
        (["--epochs", "3", "--latent", "1"], "--epochs was 2, is 3; --latent was 2, is 1"),
        (["--gradients", "by-hand"], "--gradients was autograd, is by-hand"),
        (["--dropout", "0.5"], "--dropout was 0.0, is 0.5"),
        (["--batch-size", "16"], "--batch-size was 32, is 16"),
        (["--seed", "2"], "--seed was 0, is 2"),
    ],
)
def test_resuming_with_other_flags_names_them(finished, capsys, flags, sentence):
    folder, base = finished
    before = contents(folder)
    capsys.readouterr()
    assert run_here(*base, "--resume", *flags) == 2
    refusal = f"{folder} cannot be resumed with other flags ({sentence}); --restart begins anew"
    assert refusal in stderr_line(capsys)
    assert contents(folder) == before


def test_a_run_of_another_command_is_not_resumed():
    """Nor are all the flags listed that one of them lacks."""
    vae, autoencoder = {"lr": 0.1, "beta": 1.0}, {"lr": 0.2, "dropout": 0.0}
    with pytest.raises(
        InputError, match=r"^x holds a run of another command; choose another --out$"
    ):
        command_line.refuse_other_configuration(vae, autoencoder, Path("x"))


def test_rows_are_no_images(tmp_path, capsys):
    """Of which a command could draw pictures at its end."""
    rows = np.random.default_rng(0).random((300, 12), np.float32)
    np.savez(tmp_path / "rows.npz", x_train=rows, x_test=rows[:50])
    flags = ("--data", "npz", "--data-dir", tmp_path / "rows.npz", "--out", tmp_path / "run")
    assert run_here(*TINY, *flags) == 2
    assert "got rows (300, 12); in Python tg.fit trains on rows" in stderr_line(capsys)
    assert not (tmp_path / "run").exists()


def test_resuming_with_other_data(finished, capsys, tmp_path):
    _, base = finished
    other = write_tiny(tmp_path / "other", seed=1)
    capsys.readouterr()
    assert run_here(*base, "--resume", "--data-dir", other) == 2
    sentence = stderr_line(capsys)
    assert "cannot be resumed with other data: it began with " in sentence
    assert (
        f" in {base[base.index('--data-dir') + 1]} (" in sentence and f" in {other} (" in sentence
    )
    for way_out in ("--data, --data-dir", "--restart", "another --out"):
        assert way_out in sentence
    same = write_tiny(tmp_path / "moved")  # the same data elsewhere
    assert (
        run_here(*base, "--resume", "--data-dir", same, "--show-every", "3", "--plot-style", "dark")
        == 0
    )


def test_resuming_nothing_leaves_nothing(data, tmp_path, capsys):
    out = tmp_path / "typo"
    assert run_here(*TINY, "--data-dir", data, "--out", out, "--resume") == 2
    assert f"there is no checkpoint in {out} to resume from" in stderr_line(capsys)
    assert not out.exists()


def damage_truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def damage_folder(path):
    path.unlink()
    path.mkdir()


def damage_meta(path, **changes):
    with np.load(path) as archive:
        arrays = {n: archive[n] for n in archive.files if not n.endswith("json")}
    meta = {**checkpoint.read_meta(path), **changes}
    checkpoint.save(path, arrays, {k: v for k, v in meta.items() if v is not MISSING})


def nested(depth):
    return json.loads("[" * depth + "]" * depth)


@pytest.mark.parametrize(
    "damage",
    [
        damage_truncate,
        damage_folder,
        lambda path: path.write_bytes(b"PK not at all"),
        lambda path: damage_meta(path, config=MISSING),
        lambda path: damage_meta(path, config=[1]),
        lambda path: damage_meta(path, config={}),
        lambda path: damage_meta(path, config={"lr": nested(500)}),
        lambda path: damage_meta(path, config={"lr": "\x00\n\ud800" * 3}),
        lambda path: damage_meta(path, step=-8),
        lambda path: damage_meta(path, step=8),
        lambda path: damage_meta(path, history=[]),
        lambda path: damage_meta(path, history="ab"),
        lambda path: damage_meta(path, totals={"loss": [float("nan"), 1]}),
    ],
)
def test_resuming_from_a_damaged_checkpoint(finished, capsys, damage):
    folder, base = finished
    damage(folder / "checkpoint.npz")
    capsys.readouterr()
    assert run_here(*base, "--resume") == 2
    sentence = stderr_line(capsys)
    assert str(folder) in sentence and len(sentence) < 3000


# Flags and their defaults.


def test_help_fits_80_columns_and_says_every_default(capsys):
    with pytest.raises(SystemExit) as done:
        run_here("--help")
    assert done.value.code == 0
    out, err = capsys.readouterr()
    assert not err and max(map(len, out.splitlines())) <= 80
    flat = " ".join(out.split())
    for flag, default in {
        "--backend": "numpy", "--gradients": "autograd", "--dtype": "float32", "--seed": "0",
        "--data": "auto", "--epochs": "10", "--batch-size": "128", "--lr": "0.004",
        "--hidden": "512,256", "--latent": "32", "--reconstruction": "mse", "--weight-decay": "0.0",
        "--dropout": "0.0",
    }.items():  # fmt: skip
        entry = flat.split(f" {flag} ")[-1].split(" --")[0]
        assert f"(default: {default})" in entry, entry


def parsed(*flags):
    module = example()
    return command_line.parse(module.flags(), flags, module.SMOKE, module.PRESETS)


def test_presets_and_smoke_change_defaults_and_explicit_flags_win():
    args = parsed()
    assert (args.hidden, args.latent, args.epochs) == ((512, 256), 32, 10)
    assert str(args.out) == "runs/mnist_autoencoder"
    args = parsed("--preset", "hinton")
    assert (args.hidden, args.latent, args.epochs) == ((1000, 500, 250), 30, 40)
    args = parsed("--latent", "5", "--preset", "hinton")
    assert (args.hidden, args.latent, args.epochs) == ((1000, 500, 250), 5, 40)
    args = parsed("--smoke", "--preset", "hinton", "--batch-size", "7")
    smoke = example().SMOKE
    assert (args.hidden, args.epochs, args.batch_size) == (smoke["hidden"], smoke["epochs"], 7)
    assert str(args.out) == "runs/mnist_autoencoder-smoke"


def test_no_hidden_layer_at_all(data, tmp_path):
    flags = ("--hidden", "", "--activation", "none", "--data-dir", data, "--out", tmp_path)
    assert run_here(*TINY, *flags, "--quiet") == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["config"]["hidden"] == [] and summary["parameters"] == 2 * 25 * 2 + 2 + 25


@pytest.mark.parametrize("name", command_line.SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 7, 100])
@pytest.mark.parametrize("warm_up", [0.0, 0.1, 0.9])
def test_schedules_stay_within_the_rate(name, steps, warm_up):
    more = () if name == "stages" else ("--warm-up", str(warm_up))
    args = parsed("--schedule", name, "--lr", "0.5", *more)
    rates = [command_line.schedule(args, steps)(step) for step in range(steps)]
    assert all(0 <= rate <= 0.5 * (1 + 1e-12) for rate in rates)
    assert any(rate > 0 for rate in rates)
    if steps == 100 and name != "one-cycle":
        assert max(rates) == pytest.approx(0.5)
        assert rates.index(max(rates)) <= max(0, round(warm_up * steps))


@pytest.mark.parametrize("spelled", [("--out=~/a b",), ("--out", "~/a b")])
def test_a_home_folder_is_understood(data, tmp_path, monkeypatch, spelled):
    """The shell leaves the ~ of --out=~/x alone."""
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    shutil.copytree(data, tmp_path / "data")
    monkeypatch.chdir(tmp_path / "data")
    before = contents(tmp_path / "data")
    assert run_here(*TINY, "--data-dir=~/data", *spelled, "--quiet") == 0
    assert (tmp_path / "a b" / "summary.json").exists()
    assert contents(tmp_path / "data") == before


PATHS = {
    "mnist_vae": ("--out", "--data-dir", "--start"),
    "mnist_judge": ("--data-dir",),
    "gan_losses": ("--out",),
    "convolution_matrices": ("--out",),
    "gan_seeds": ("--out",),
    "encoder_classifier": ("--out", "--data-dir", "--checkpoint"),
    "encoder_generator": ("--out", "--data-dir", "--checkpoint"),
}


@pytest.mark.parametrize("name", PATHS)
def test_every_flag_that_takes_a_path_expands_it_and_takes_no_empty_one(name, monkeypatch):
    monkeypatch.setenv("HOME", str(ROOT))
    monkeypatch.setenv("USERPROFILE", str(ROOT))
    taken = {
        a.option_strings[0]: a
        for a in example(name).flags()._actions
        if a.metavar in ("DIR", "RUN")
    }
    assert set(taken) == set(PATHS[name])
    for action in taken.values():
        assert action.type("~/x") == ROOT / "x"
        with pytest.raises(argparse.ArgumentTypeError, match="got an empty text"):
            action.type("")


# Exit codes.


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("no\nsuch"), 2, "error: no such"),
        (Interrupted("stopped there"), 130, "stopped there"),
        (KeyboardInterrupt(), 130, "stopped"),
        (Diverged("NaN"), 1, "error: NaN"),
        (OSError(28, "No space left on device", "/x"), 1, "error: /x: No space left on device"),
        (OSError(5, "Input/output error"), 1, "error: a file: Input/output error"),
        (MemoryError("2 PiB"), 1, "error: there is not enough memory (2 PiB)"),
    ],
)
def test_what_ends_a_run_is_one_line_and_a_code(capsys, error, code, line):
    def main(arguments):
        raise error

    assert command_line.run(main, []) == code
    assert stderr_line(capsys) == line


def test_a_program_keeps_the_memory_that_a_step_frees(monkeypatch):
    calls = []
    monkeypatch.setattr(command_line, "keep_freed_memory", lambda: calls.append("memory"))
    assert command_line.run(lambda: calls.append("main")) == 0
    assert calls == ["memory", "main"]


def test_a_mistake_in_the_program_is_not_hidden():
    def main(arguments):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        command_line.run(main, [])


def test_training_that_diverges(data, tmp_path, capsys):
    flags = ("--activation", "none", "--optimizer", "sgd", "--lr", "10", "--weight-decay", "100")
    flags += ("--data-dir", data, "--out", tmp_path, "--quiet", "--warm-up", "0")
    assert run_here(*TINY, *flags, "--epochs", "30") == 1
    sentence = stderr_line(capsys)
    assert re.search(r"^error: the loss became (nan|inf): at step \d+, \w+ made ", sentence)
    assert f"{tmp_path}/checkpoint.npz is the last good one" in sentence
    assert not (tmp_path / "summary.json").exists()
    assert checkpoint.read_meta(tmp_path / "checkpoint.npz")["step"] % 8 == 0


# What is printed.


def test_lines_fit_80_columns_and_there_is_no_bar_in_a_file(data, tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_here(*TINY, "--data-dir", data, "--out", "run") == 0
    out, err = capfd.readouterr()
    assert err == "" and "\r" not in out and "\x1b" not in out
    lines = [line for line in out.splitlines() if str(data) not in line]
    assert max(map(len, lines)) <= 80
    assert sum(line.startswith("epoch ") for line in lines) == 2


def test_a_quiet_run_prints_nothing_and_its_folder_may_have_any_name(data, tmp_path, capfd):
    out = tmp_path / "a b" / "Läufe →"
    assert run_here(*TINY, "--data-dir", data, "--out", out, "--quiet") == 0
    assert capfd.readouterr() == ("", "")
    assert (out / "summary.json").exists() and (out / "reconstructions.png").exists()


def test_a_terminal_shows_a_bar_that_leaves_clean_lines(data, tmp_path, monkeypatch):
    from tinygen.training import progress

    # Drawn at every update, so that something is seen of a run this short.
    monkeypatch.setattr(progress, "tqdm", partial(progress.tqdm, mininterval=0))
    monkeypatch.chdir(tmp_path)
    flags = (*TINY, "--data-dir", data, "--out", "run", "--epochs", "3", "--show-every", "1")
    terminal = Terminal(monkeypatch, "stdout", "stderr")
    code = run_here(*flags)
    written = terminal.close()
    assert code == 0
    assert "epoch 1/3:" in written and "images/s" in written and "loss " in written
    lines = screen_lines(written)
    assert not any("images/s" in line or "%|" in line for line in lines), lines
    assert sum(line.startswith("epoch ") for line in lines) == 3
    assert max(len(line) for line in lines if str(data) not in line) <= COLUMNS


@not_on_windows
def test_a_reader_that_goes_away(data, tmp_path):
    script = 'set -o pipefail; "$@" | head -1'
    flags = command(*TINY, "--data-dir", data, "--out", tmp_path / "run")
    done = subprocess.run(
        ["bash", "-c", script, "bash", *flags],
        env=environment(), capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.stdout.startswith("data ") and done.stdout.count("\n") == 1
    assert done.stderr == "" and done.returncode == 1


# Disturbed from outside.

LONG = ("--epochs", "3", "--batch-size", "1", "--dropout", "0.2", "--input-noise", "0.1")
"""750 steps, about half a second."""


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    """The end of a run that nothing disturbed."""
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    assert run_here(*TINY, *LONG, "--data-dir", data, "--out", out, "--quiet") == 0
    return end(out)


def end(folder):
    """The bytes of all arrays, and the rows without their time."""
    with np.load(folder / "checkpoint.npz") as archive:
        arrays = {n: archive[n].tobytes() for n in archive.files if not n.endswith("json")}
    assert set(arrays) == {"parameters", "m", "v"}
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return arrays, [{**json.loads(line), "seconds": 0} for line in lines]


def run_and_send(sent, after, flags):
    """Run in a process of its own, and send it a signal, that long after all was loaded.

    Returns:
        The exit code and stderr.
    """
    process = start_there(*flags)
    for line in process.stdout:
        if line.startswith("backend "):
            break
    time.sleep(after)
    process.send_signal(sent)
    _, err = process.communicate(timeout=120)
    return process.returncode, err


@not_on_windows
@pytest.mark.parametrize("sent", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_a_real_signal_at_a_random_moment(data, tmp_path, undisturbed, sent):
    """test_trainer.py stops runs at every step; here a signal may arrive between any two."""
    out, sent = tmp_path / "run", signal.Signals[sent]
    flags = (*TINY, *LONG, "--data-dir", data, "--out", out)
    code, err = run_and_send(sent, random.Random().uniform(0.05, 0.4), flags)
    if sent == signal.SIGKILL and code == -signal.SIGKILL:
        assert err == ""
    elif code == 130:
        assert err.count("\n") == 1 and err.startswith("stopped"), err
    else:  # it was quicker: done, or Python was just leaving, when nothing handles a signal
        # Python drops what a handler raises in a callback of the garbage collection, and says so.
        assert code in (0, -sent) and (not err or err.startswith("Exception ignored in"))
        assert (out / "summary.json").exists()
    checkpoint.read_meta(out / "checkpoint.npz")  # is complete, whatever happened
    assert run_here(*flags, "--resume", "--quiet") == 0
    assert end(out) == undisturbed, f"exit code {code}"
    assert set(os.listdir(out)) == {
        "checkpoint.npz", "metrics.jsonl", "summary.json", "filters.png", "loss.png",
        "neighbours.png", "reconstructions.png",
    }  # fmt: skip


@pytest.mark.parametrize("where", ["tinygen.data.load", "tinygen.evaluation.PCA.fit"])
def test_ctrl_c_while_loading_or_reporting(finished, capsys, monkeypatch, where):
    folder, base = finished
    before = contents(folder)
    capsys.readouterr()

    def press(*arguments, **options):
        signal.raise_signal(signal.SIGINT)
        pytest.fail("it went on")

    if where == "tinygen.data.load":
        monkeypatch.setattr(sys.modules["tinygen.commands.setup"], "load", press)
    else:
        monkeypatch.setattr(example().PCA, "fit", press)
    assert run_here(*base, "--resume" if "PCA" in where else "--restart") == 130
    assert stderr_line(capsys) == "stopped"
    assert contents(folder) == before
    monkeypatch.undo()
    assert run_here(*base, "--resume") == 0


def test_a_disk_that_is_full(finished, capsys):
    """Really: no file may become larger than 4,000 bytes, which a checkpoint of this net is."""
    folder, base = finished
    before = contents(folder)
    assert len(before["checkpoint.npz"]) > 4000
    capsys.readouterr()
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, limits[1]))
    try:
        code = run_here(*base, "--restart")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert code == 1
    assert stderr_line(capsys) == f"error: {folder}/checkpoint.npz: File too large"
    assert contents(folder) == before
