"""`tinygen completion`: scripts that the shells accept, and what they complete by one."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from tinygen import __main__ as program
from tinygen.commands.completion import SHELLS
from tinygen.commands.vae import PRESETS
from tinygen.homework.assignment import names

BASH = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
function=$(complete -p tinygen | sed 's/.*-F \\([^ ]*\\).*/\\1/')
"$function" tinygen "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
echo "${COMPREPLY[@]}"
"""
"""What bash does when Tab is pressed behind some words."""

FISH = 'source $argv[1]; complete --do-complete (string join -- " " $argv[2..])'
"""The same of fish, which writes what a word means behind it and a tab."""


@pytest.fixture
def script(tmp_path, capsys):
    """Writes the script of a shell; returns its path."""
    pytest.importorskip("shtab")

    def write(shell):
        assert program.main(["completion", shell]) == 0
        (tmp_path / shell).write_text(capsys.readouterr().out)
        return tmp_path / shell

    return write


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_accepts_its_script(shell, script):
    path = script(shell)
    text = path.read_text()
    assert f"# Made by `tinygen completion {shell}`, with shtab.\n" in text[:70]
    assert "AUTOMATICALLY" not in text
    for word in ("autoencoder", "free-bits", "gradescope", "cosine", "diamond", "likelihood"):
        assert word in text
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    subprocess.run([shell, "-n", path], check=True)


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_what_a_shell_completes(shell, script, tmp_path):
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    path = script(shell)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runner.txt").touch()
    ask = [shell, "-c", BASH, "bash", path] if shell == "bash" else [shell, "-c", FISH, path]

    def completed(*words):
        command = [*ask, "tinygen", *words]
        done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
        lines = [line.partition("\t")[0] for line in done.stdout.splitlines()]
        return {word.rstrip("/") for line in lines for word in line.split()}

    assert completed("") == {name.split()[0] for name in program.COMMANDS}
    assert completed("train", "") == {"autoencoder", "vae", "gan", "ring", "judge"}
    assert completed("train", "vae", "--lat") == {"--latent"}
    assert completed("train", "vae", "--preset", "") == set(PRESETS)
    assert completed("train", "vae", "--backend", "") == {"numpy", "cupy"}
    assert completed("train", "gan", "--gradients", "b") == {"by-hand"}
    assert completed("train", "vae", "--data-dir", "r") == {"runs"}
    assert completed("sample", "r") == {"runs", "runner.txt"}
    assert completed("homework", "new", "--format", "") == {"py", "notebook"}
    assert completed("homework", "new", "") == {*names()}
    assert completed("homework", "prove", "vae", "ga") == {"gan"}
    assert completed("explain", "di") == {"diamond"}


def test_without_the_package_one_sentence_says_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert program.main(["completion", "bash"]) == 2
    sentence = 'expected the package shtab, got none; pip install "tinygen[completion]"'
    assert capsys.readouterr().err == f"error: {sentence}\n"
