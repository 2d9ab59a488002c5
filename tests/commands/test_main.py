"""`tinygen` as a user types it: which command is called, what it is called, and what it leaves."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from running import COMMANDS, ROOT, TINY, environment, path_of, write_tiny_data

import tinygen
from tinygen import __main__ as program
from tinygen.models import GAN, VAE
from tinygen.training import fitting

pytestmark = pytest.mark.usefixtures("without_pictures")
HEAVY = "matplotlib pooch tqdm PIL tinygen.commands tinygen.training tinygen.homework"
GANS = ("--generator-hidden", "6", "--discriminator-hidden", "6", "--epochs", "2")
FLAGS = {
    "mnist_autoencoder": TINY,
    "mnist_vae": (*TINY, "--nll-samples", "5"),
    "mnist_gan": ("--data", "idx", "--batch-size", "32", "--latent", "3", *GANS),
    "gan_ring": ("--points", "200", "--batch-size", "28", *GANS),
}
"""Of a tiny run of each."""


def typed(*words, **options):
    """Type ``python -m tinygen`` and some words, in a process of its own."""
    command = [sys.executable, "-m", "tinygen", *map(str, words)]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, check=False,
                          timeout=120, **options)  # fmt: skip


def run_script(monkeypatch, name, *flags):
    """The script of an example, as ``python examples/NAME.py`` runs it, but in this process."""
    monkeypatch.setattr(sys, "argv", [str(path_of(name)), *map(str, flags)])
    with pytest.raises(SystemExit) as done:
        runpy.run_path(str(path_of(name)), run_name="__main__")
    return done.value.code


def contents(folder):
    """All files of a run, without the seconds that it took."""
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    with np.load(folder / "checkpoint.npz") as arrays:
        files["checkpoint.npz"] = {n: arrays[n].tobytes() for n in arrays if "json" not in n}
    rows = files["metrics.jsonl"].splitlines()
    files["metrics.jsonl"] = [{**json.loads(row), "seconds": 0} for row in rows]
    files["summary.json"] = {**json.loads(files["summary.json"]), "seconds": 0}
    return files


@pytest.mark.parametrize("name", FLAGS)
@pytest.mark.usefixtures("pictures")
def test_a_command_leaves_what_the_script_leaves(name, tmp_path, monkeypatch):
    flags = [*map(str, FLAGS[name]), "--seed", "3", "--quiet"]
    if name != "gan_ring":
        flags += ["--data-dir", str(write_tiny_data(tmp_path / "data"))]
    assert run_script(monkeypatch, name, *flags, "--out", tmp_path / "script") == 0
    words = ["train", COMMANDS[name], *flags, "--out", str(tmp_path / "command")]
    assert program.main(words) == 0
    script, command = contents(tmp_path / "script"), contents(tmp_path / "command")
    assert len(script) >= 6 and script == command


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_names_what_was_typed_and_is_otherwise_the_same(name, monkeypatch, capsys):
    assert run_script(monkeypatch, name, "--help") == 0
    script = capsys.readouterr().out.split()
    with pytest.raises(SystemExit):
        program.main(["train", COMMANDS[name], "--help"])
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    command = text.split()
    assert script[:2] == ["usage:", f"{name}.py"]
    assert command[:4] == ["usage:", "tinygen", "train", COMMANDS[name]]
    assert script[2:] == command[4:]


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",), ("train",), ("train", "--help")])
def test_the_help_of_all(words, capsys):
    assert program.main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    shown = {line[2:21].strip() for line in lines if line.startswith("  ")}
    group = "train" if "train" in words else ""
    assert shown == {name for name in program.COMMANDS if name.startswith(group)}


def test_help_and_a_short_v(capsys):
    assert program.main(["-V"]) == 0
    assert capsys.readouterr().out == f"tinygen {tinygen.__version__}\n"
    for words in ([], ["train"]):
        said = [program.main([*words, "--help"]), capsys.readouterr().out]
        assert said == [program.main(["help", *words]), capsys.readouterr().out]
    with pytest.raises(SystemExit):
        program.main(["help", "sample"])
    assert capsys.readouterr().out.startswith("usage: tinygen sample ")


@pytest.mark.parametrize("name", ["sample", "completion", "homework", "explain"])
def test_the_help_of_the_others(name, capsys):
    with pytest.raises(SystemExit) as done:
        program.main([name, "--help"])
    out = capsys.readouterr().out
    assert done.value.code == 0 and out.startswith(f"usage: tinygen {name} ")
    assert max(map(len, out.splitlines())) <= 80 and "python -m" not in out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("trian vae", "unknown command 'trian' (did you mean 'train'?); choose one of train, "),
        ("sampel runs/vae", "unknown command 'sampel' (did you mean 'sample'?)"),
        ("train vea --latent 2", "unknown command 'train vea' (did you mean 'train vae'?)"),
        ("vae --latent 2", "expected tinygen train vae, got tinygen vae"),
        ("--latent 2", "unknown command '--latent'; choose one of train, sample, homework, "),
        ("train vae --latnet 2", "unrecognized arguments: --latnet 2 (did you mean '--latent'?)"),
        ("train --smoke vae", "expected a model before --smoke, as in tinygen train vae --smoke"),
        ("train autoencoder extra", "unrecognized arguments: extra\n"),
        ("train vae --latent x", "argument --latent: expected a whole number in digits, got 'x'"),
    ],
)
def test_what_is_unknown_is_refused_in_one_sentence(words, sentence, capsys):
    assert program.main(words.split()) == 2
    out, err = capsys.readouterr()
    assert err.startswith(f"error: {sentence}") and err.count("\n") == 1 and not out


def test_homework_and_explain_are_passed_on(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert program.main(["homework", "list"]) == 0
    assert "vae" in capsys.readouterr().out
    (tmp_path / "vae").mkdir()
    with pytest.raises(SystemExit) as refused:
        program.main(["homework", "new", "vae"])
    assert refused.value.code == 2
    assert capsys.readouterr().err.startswith("error: vae exists already")
    assert program.main(["explain", "diamond"]) == 0
    assert (tmp_path / "diamond.html").read_text().startswith("<!doctype html>")


def test_in_a_process_of_its_own(tmp_path):
    """What was trained there can be sampled there."""
    done = typed("--version")
    assert (done.returncode, done.stdout) == (0, f"tinygen {tinygen.__version__}\n")
    flags = ("--smoke", "--epochs", "1", "--quiet", "--out", "ring")
    done = typed("train", "ring", *flags, cwd=tmp_path)
    assert done.returncode == 0 and "error" not in done.stderr, done.stderr
    done = typed("sample", "ring", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ring-samples.png\n", "")
    assert (tmp_path / "ring-samples.png").read_bytes().startswith(b"\x89PNG")
    done = typed("sample", "rong", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, "error: rong: there is no such run\n")


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["train", "--help"], ["trian"]])
def test_what_needs_no_command_imports_none(words):
    code = (
        "import sys\nfrom tinygen.__main__ import main\n"
        f"main({words})\nprint('loaded', *[n for n in {HEAVY.split()} if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True,
                          text=True, check=True)  # fmt: skip
    assert done.stdout.splitlines()[-1] == "loaded"


def test_fit_and_the_commands_have_the_same_recipes():
    for kind, name in ((VAE, "vae"), (GAN, "gan")):
        module = program.import_module(f"tinygen.commands.{name}")
        args = module.flags().parse_args([])
        recipe = (args.lr, args.beta1, args.beta2, args.warm_up)
        assert recipe == tuple(fitting.RECIPES[kind])
        usual = {VAE: (6e-3, 0.9, 0.95, 0.1), GAN: (4e-3, 0.5, 0.99, 0.0)}
        assert recipe == usual[kind]


@pytest.mark.slow
def test_an_installed_wheel_from_another_folder(tmp_path):
    """Where there is no clone, the command does what the examples do."""
    source, site = tmp_path / "source", tmp_path / "site"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "tinygen", source / "tinygen", ignore=ignored)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", site, source]
    subprocess.run(pip, check=True, capture_output=True)
    tinygen_here = next(path for path in (site / "bin").iterdir() if path.stem == "tinygen")
    there = environment(PYTHONPATH=str(site), PYTHONSAFEPATH="1")

    def run(*words):
        return subprocess.run([tinygen_here, *words], cwd=tmp_path, env=there, check=True,
                              capture_output=True, text=True).stdout  # fmt: skip

    code = "import tinygen; print(tinygen.__file__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=there, check=True,
                          capture_output=True, text=True)  # fmt: skip
    assert Path(done.stdout.strip()).is_relative_to(site)
    assert run("--version") == f"tinygen {tinygen.__version__}\n"
    for name in ("autoencoder", "vae", "gan", "ring"):
        run("train", name, "--smoke", "--quiet", "--out", name)
        assert json.loads((tmp_path / name / "summary.json").read_text())["test"]
    assert run("sample", "vae") == "vae-samples.png\n"
    assert run("explain", "diamond") == "diamond.html\n"
    run("homework", "new", "vae", "--out", "homework")
    assert "check.py" in os.listdir(tmp_path / "homework")
