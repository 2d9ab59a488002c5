"""otter-grader, nbgrader and Gradescope's setup run the packages, and give the points of `grade`.

Needs the extra `graders`; what they print is shown if a test fails.
"""

from __future__ import annotations

import csv
import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tinygen.homework import notebooks
from tinygen.homework.assignment import Assignment, load
from tinygen.homework.grading import grade
from tinygen.homework.packages import package

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent.parent
VARIANT = 3
NAMES = ["vae", "find_the_mistake", "write_the_check"]
"""Of each kind one: all is to be written, or mended, or judged by what is asked of the grader."""
ENVIRONMENT = {
    **os.environ,
    "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    "PYTHONPATH": str(ROOT),
    "OPENBLAS_NUM_THREADS": "1",
}


def run(*command: str, folder: Path) -> str:
    """What a command prints that a teacher enters in a terminal."""
    print("+", *command)
    done = subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    printed = done.stdout.decode(errors="replace")
    print(printed)
    done.check_returncode()
    return printed


def submissions(assignment: Assignment) -> Iterator[tuple[str, str]]:
    """Names and programs: the solution, the stub, and mistakes in the first and last question."""
    variant = assignment.variant(VARIANT)
    yield "solution", assignment.solution(variant)
    yield "stub", assignment.stub(variant).partition("\n")[2]
    first, *_, last = (
        m for m in assignment.mistakes if variant.form in (m.forms or [variant.form])
    )
    yield "mistakes", assignment.solution(variant, [first, last])


@pytest.mark.parametrize("name", NAMES)
def test_otter(name: str, tmp_path: Path) -> None:
    pytest.importorskip("otter")
    assignment = load(name)
    archive = package(name, "otter", tmp_path / "autograder.zip")
    for number, (of, source) in enumerate(submissions(assignment)):
        path = tmp_path / of / f"{name}{'.py' if number % 2 else '.ipynb'}"
        path.parent.mkdir()
        text = f"# tinygen homework: {name}, variant {VARIANT}\n{source}"
        cells = notebooks.cells(text)
        path.write_text(text if number % 2 else notebooks.notebook(cells), encoding="utf-8")
        run("otter", "run", str(path), "-a", str(archive), "-o", str(path.parent), folder=tmp_path)
        tests = json.loads((path.parent / "results.json").read_text())["tests"][1:]  # a summary
        given = grade(path)
        assert [(q.id, q.points, q.of) for q in given.questions] == [
            (test["name"], test["score"], test["max_score"]) for test in tests
        ], of
        assert all(
            q.text in test["output"]
            for q, test in zip(given.questions, tests, strict=True)
            if q.points < q.of
        )


def test_otter_runs_nothing_of_what_is_handed_in(tmp_path: Path) -> None:
    """A module of the name of one of its own, a log that is unpickled, and a test."""
    pytest.importorskip("otter")
    vae, marker = load("vae"), tmp_path / "i_was_here"
    attack = f"open({str(marker)!r}, 'w')"
    archive = package("vae", "otter", tmp_path / "autograder.zip")
    source = f"# tinygen homework: vae, variant 0\n{vae.stub(vae.variant(0))}\n"
    alone = tmp_path / "otter.py"
    alone.write_text(f"{source}try:\n    {attack}\nexcept Exception:\n    pass\n")
    several = tmp_path / "handed_in.zip"
    with zipfile.ZipFile(several, "w") as file:
        file.writestr("vae.ipynb", notebooks.notebook(notebooks.cells(source)))
        file.writestr(".OTTER_LOG", pickle.dumps(Unpickled(attack)))
        for name in ("otter.py", "numpy.py", "tests/q01.py", "tinygen/__init__.py", "a/b.py"):
            file.writestr(name, attack)
    for path in (alone, several):
        run("otter", "run", str(path), "-a", str(archive), "-o", str(tmp_path), folder=tmp_path)
        tests = json.loads((tmp_path / "results.json").read_text())["tests"]
        assert [test.get("score", 0) for test in tests] == [0] * 12
        assert not marker.exists(), path


class Unpickled:
    """Runs a program when it is unpickled."""

    def __init__(self, source: str) -> None:
        self.source = source

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (self.source,)


def test_otter_in_a_container(tmp_path: Path) -> None:
    """run_autograder, where otter's Dockerfile puts it; tinygen is not installed there."""
    pytest.importorskip("otter")
    vae = load("vae")
    with zipfile.ZipFile(package("vae", "otter", tmp_path / "a.zip")) as archive:
        archive.extractall(tmp_path / "source")
    shutil.copy(tmp_path / "source" / "run_autograder", tmp_path)
    for name in ("submission", "results", "venv/bin"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "submission_metadata.json").touch()  # as the Dockerfile does
    python = tmp_path / "venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    [mistake, *_] = vae.mistakes_of("q1", vae.variant(0).form)
    source = vae.solution(vae.variant(0), [mistake])
    (tmp_path / "submission" / "vae.py").write_text(source, encoding="utf-8")
    run("bash", str(tmp_path / "run_autograder"), folder=Path("/"))
    tests = json.loads((tmp_path / "results" / "results.json").read_text())["tests"]
    assert sum(test.get("score", 0) for test in tests) == 9


@pytest.mark.parametrize("name", NAMES)
def test_nbgrader(name: str, tmp_path: Path) -> None:
    pytest.importorskip("nbgrader")
    assignment = load(name)
    course = package(name, "nbgrader", tmp_path / "course", variant=VARIANT)
    run("nbgrader", "generate_assignment", name, folder=course)
    released = course / "release" / name / f"{name}.ipynb"
    expected = {}
    for of, source in [*submissions(assignment), ("released", "")]:
        path = course / "submitted" / of / name / f"{name}.ipynb"
        path.parent.mkdir(parents=True)
        text = released.read_text(encoding="utf-8")
        path.write_text(filled_in(text, source) if source else text, encoding="utf-8")
        expected[of] = grade(path, name, VARIANT).points
    assert expected["solution"] == 10
    assert expected["released"] == 0
    assert "has changed!" not in run("nbgrader", "autograde", name, folder=course)
    assert exported(course) == expected


def exported(course: Path) -> dict[str, float]:
    """The points of each student."""
    run("nbgrader", "export", folder=course)
    with (course / "grades.csv").open() as file:
        return {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}


def test_nbgrader_gives_no_points_where_its_configuration_is_missing(tmp_path: Path) -> None:
    """It runs the notebook then, as any other."""
    pytest.importorskip("nbgrader")
    vae = load("vae")
    course = package("vae", "nbgrader", tmp_path / "course")
    (course / "nbgrader_config.py").unlink()
    run("nbgrader", "generate_assignment", "vae", folder=course)
    released = (course / "release" / "vae" / "vae.ipynb").read_text(encoding="utf-8")
    path = course / "submitted" / "ada" / "vae" / "vae.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text(filled_in(released, vae.solution(vae.variant(0))), encoding="utf-8")
    run("nbgrader", "autograde", "vae", folder=course)
    [points] = exported(course).values()
    assert points == 0


def filled_in(released: str, source: str) -> str:
    """The students' notebook with what a student has written in it; one of its tests is deleted."""
    written = json.loads(released)
    code = iter(notebooks.cells(source))
    cells = []
    for cell in written["cells"]:
        its = cell["metadata"].get("nbgrader", {})
        if its.get("grade_id") == "q1":
            continue
        if (
            cell["cell_type"] == "code"
            and not its.get("grade")
            and not cell["metadata"].get("tags")
        ):
            cell["source"] = next(code).text
        cells.append(cell)
    assert next(code, None) is None
    return json.dumps({**written, "cells": cells})


@pytest.mark.skipif(
    "CI" not in os.environ
    or not hasattr(os, "geteuid")
    or os.geteuid() != 0
    or not shutil.which("apt-get"),
    reason="installs packages of the system, for which it must be root on a machine of CI",
)
def test_gradescopes_setup(tmp_path: Path) -> None:
    """setup.sh installs all that run_autograder needs."""
    vae = load("vae")
    with zipfile.ZipFile(package("vae", "gradescope", tmp_path / "a.zip")) as archive:
        archive.extractall(tmp_path / "source")
    shutil.copy(tmp_path / "source" / "run_autograder", tmp_path)
    (tmp_path / "submission").mkdir()
    (tmp_path / "submission" / "vae.py").write_text(vae.solution(vae.variant(0)), encoding="utf-8")
    run("apt-get", "update", "-qq", folder=tmp_path)  # as Gradescope does
    run("bash", "source/setup.sh", folder=tmp_path)
    run("bash", "run_autograder", folder=tmp_path)
    tests = json.loads((tmp_path / "results" / "results.json").read_text())["tests"]
    assert sum(test["score"] for test in tests) == 10
