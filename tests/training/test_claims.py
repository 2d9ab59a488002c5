"""A folder belongs to one process and to one task at a time, and nothing is left in it for that."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from running import environment, run_captured

from tinygen.errors import InputError
from tinygen.training import RunDir, checkpoint
from tinygen.training.run_dir import release_claims

HOLD = """
import sys
from pathlib import Path
from tinygen.training import RunDir
RunDir(Path(sys.argv[1])).claim("one")
print("claimed", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def released() -> Any:
    yield
    release_claims()


def hold(folder: Path) -> subprocess.Popen[str]:
    """A process that has claimed the folder, until its input is closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], env=environment(),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout and process.stdout.readline() == "claimed\n"
    return process


def test_a_folder_is_one_processs_until_it_ends(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    other = hold(folder)
    with pytest.raises(InputError, match=r"^another run is writing into .*b; choose another --out"):
        RunDir(folder).claim("one")
    RunDir(tmp_path / "c").claim("one")  # another folder is another matter
    other.communicate()
    assert other.returncode == 0
    # Nothing came of it, so nothing is left of it.
    assert sorted(os.listdir(tmp_path)) == ["c"]
    RunDir(folder).claim("one")


def test_what_dies_without_a_word_holds_nothing(tmp_path: Path) -> None:
    other = hold(tmp_path)
    other.kill()
    other.communicate()
    RunDir(tmp_path).claim("one")
    release_claims()
    assert os.listdir(tmp_path) == []


def test_a_process_may_claim_a_folder_again(tmp_path: Path) -> None:
    for _ in range(2):
        RunDir(tmp_path).claim("one")
    (tmp_path / "file").touch()
    release_claims()
    assert os.listdir(tmp_path) == ["file"]


def test_of_two_runs_that_start_together_one_is_refused(tmp_path: Path, capsys: Any) -> None:
    """And the other one is not disturbed by that, though it be writing its checkpoint."""
    other, writing = hold(tmp_path), tmp_path / ".checkpoint.npz.0.unfinished"
    writing.touch()
    done = run_captured(capsys, "--smoke", "--restart", "--out", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: another run is writing into")
    assert sorted(os.listdir(tmp_path)) == [writing.name, ".lock"]
    other.communicate()


@pytest.mark.parametrize("flags", [(), ("--resume",), ("--restart",)])
@pytest.mark.parametrize("text", ['{"task": "mnist_vae"}', None])
def test_a_run_of_another_task_is_not_overwritten(
    tmp_path: Path, capsys: Any, flags: tuple[str, ...], text: str | None
) -> None:
    """Neither a finished one nor the trainings of an experiment."""
    if text:
        (tmp_path / "summary.json").write_text(text)
        checkpoint.save(tmp_path / "checkpoint.npz", {}, {"config": {}})
        task = "mnist_vae"
    else:
        (tmp_path / "cells" / "pixels-20-0").mkdir(parents=True)
        checkpoint.save(tmp_path / "cells" / "pixels-20-0" / "checkpoint.npz", {}, {})
        task = "encoder_classifier"
    before = {p: p.read_bytes() for p in tmp_path.rglob("*.*")}
    done = run_captured(capsys, "--smoke", *flags, "--out", tmp_path)
    assert done.returncode == 2
    assert done.stderr == f"error: {tmp_path} holds a run of {task}; choose another --out\n"
    assert {p: p.read_bytes() for p in tmp_path.rglob("*.*")} == before


EXPERIMENTS = {
    "compare_autoencoders": ("--smoke",),
    "vae_scaling": ("--smoke",),
    "vae_estimators": ("--smoke",),
    "encoder_classifier": ("--smoke",),
    "encoder_generator": ("--smoke",),
    "gan_seeds": ("gan_ring", "--smoke"),
}


@pytest.mark.parametrize("name", EXPERIMENTS)
@pytest.mark.parametrize("finished", [True, False])
def test_no_experiment_is_put_into_the_folder_of_a_run(
    tmp_path: Path, capsys: Any, name: str, finished: bool
) -> None:
    checkpoint.save(tmp_path / "checkpoint.npz", {}, {"config": {}})
    if finished:
        (tmp_path / "summary.json").write_text(json.dumps({"task": "mnist_vae"}))
    before = sorted(os.listdir(tmp_path))
    done = run_captured(capsys, "--out", tmp_path, *EXPERIMENTS[name], name=name)
    assert done.returncode == 2 and "choose another --out" in done.stderr, done.stderr
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize("damaged", ["", "[]", "{", '{"task": 3}', "{}"])
def test_a_summary_that_says_nothing_is_in_nobodys_way(tmp_path: Path, damaged: str) -> None:
    (tmp_path / "summary.json").write_text(damaged)
    RunDir(tmp_path).claim("one")


def test_data_that_cannot_be_had_leave_no_folder(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run_captured(capsys, "--data", "idx", "--data-dir", "nowhere", "--out", "some/where")
    assert done.returncode == 2 and os.listdir(tmp_path) == []


def test_a_system_that_cannot_lock_is_warned_of(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As some network drives."""

    def acquire(*arguments: Any, **options: Any) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("tinygen.training.run_dir.FileLock.acquire", acquire)
    RunDir(tmp_path).claim("one")
    assert "cannot be locked (No locks available)" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="signals are sent otherwise there")
@pytest.mark.parametrize("sent", ["SIGTERM", "SIGHUP"])
def test_the_end_of_a_run_by_a_signal_leaves_no_lock(tmp_path: Path, sent: str) -> None:
    code = f"""
import signal
from tinygen.commands import command_line
signal.signal(signal.{sent}, signal.SIG_DFL)  # under nohup it would be ignored
def main():
    exec({HOLD!r})
raise SystemExit(command_line.run(main))
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "run")], env=environment(),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout and process.stdout.readline() == "claimed\n"
    process.send_signal(getattr(signal, sent))
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "stopped\n") and os.listdir(tmp_path) == []
