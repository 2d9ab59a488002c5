"""What Gradescope, otter-grader and nbgrader get: files, their formats, and the points of `grade`.

run_autograder runs here as at Gradescope; otter-grader and nbgrader run in test_packages_there.py.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tinygen.errors import InputError
from tinygen.homework.assignment import Assignment, load
from tinygen.homework.grading import Grade, grade
from tinygen.homework.packages import package

linux = pytest.mark.skipif(sys.platform != "linux", reason="Gradescope's machines have Linux")
VISIBILITY = {"hidden", "after_due_date", "after_published", "visible"}
FORMATS = {"text", "html", "simple_format", "md", "ansi"}
OF_RESULTS = {
    "score": (int, float), "execution_time": (int, float), "output": str, "output_format": FORMATS,
    "test_output_format": FORMATS, "test_name_format": FORMATS, "visibility": VISIBILITY,
    "stdout_visibility": VISIBILITY, "extra_data": dict, "tests": list, "leaderboard": list,
}  # fmt: skip
OF_A_TEST = {
    "score": (int, float), "max_score": (int, float), "status": {"passed", "failed"}, "name": str,
    "name_format": FORMATS, "number": str, "output": str, "output_format": FORMATS, "tags": list,
    "visibility": VISIBILITY, "extra_data": dict,
}  # fmt: skip
"""Gradescope's format, as its page has it: the type of each field, or its values."""


def is_of_gradescopes_format(results: dict[str, Any]) -> None:
    for fields, things in ((OF_RESULTS, [results]), (OF_A_TEST, results.get("tests", []))):
        for thing in things:
            for name, value in thing.items():
                kind = fields[name]
                assert value in kind if isinstance(kind, set) else isinstance(value, kind), name
    assert "score" in results or all("score" in test for test in results["tests"])


class Autograder:
    """The folder that Gradescope makes of a zip."""

    def __init__(self, path: Path) -> None:
        self.folder = Path(tempfile.mkdtemp())
        with zipfile.ZipFile(path) as archive:
            archive.extractall(self.folder / "source")
        shutil.copy(self.folder / "source" / "run_autograder", self.folder)
        python = self.folder / "venv" / "bin" / "python"  # which setup.sh would make
        python.parent.mkdir(parents=True)
        python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        python.chmod(0o755)

    def run(self, name: str, source: str) -> dict[str, Any]:
        """The results of a submission."""
        submission = self.folder / "submission"
        shutil.rmtree(submission, ignore_errors=True)
        submission.mkdir()
        (submission / name).write_text(source, encoding="utf-8")
        environment = {"PATH": os.defpath, "OPENBLAS_NUM_THREADS": "1"}
        command = ["bash", self.folder / "run_autograder"]
        self.printed = subprocess.run(
            command, cwd="/", env=environment, capture_output=True, text=True, check=True
        )
        return json.loads((self.folder / "results" / "results.json").read_text())


Upload = Callable[..., Autograder]


@pytest.fixture
def autograder(tmp_path: Path) -> Iterator[Upload]:
    """Gradescope, to which a package has been uploaded."""
    made = []

    def upload(name: str = "vae", **options: Any) -> Autograder:
        made.append(Autograder(package(name, "gradescope", tmp_path / "a.zip", **options)))
        return made[-1]

    yield upload
    for one in made:
        shutil.rmtree(one.folder)


def headed(assignment: Assignment, source: str, variant: int) -> str:
    return f"# tinygen homework: {assignment.name}, variant {variant}\n{source}"


def points(results: dict[str, Any]) -> dict[str, tuple[float, float]]:
    return {test["name"]: (test["score"], test["max_score"]) for test in results["tests"]}


def points_of(given: Grade) -> dict[str, tuple[float, float]]:
    return {" ".join([q.id, *q.equations]): (q.points, q.of) for q in given.questions}


@linux
def test_gradescope_gives_the_points_of_grade(autograder: Upload, tmp_path: Path) -> None:
    there, vae = autograder(), load("vae")
    variant = vae.variant(7)
    first, *_, last = (m for m in vae.mistakes if variant.form in (m.forms or vae.forms))
    sources = {
        10.0: vae.solution(variant),
        0.0: vae.stub(variant).partition("\n")[2],
        None: vae.solution(variant, [first, last]),
    }
    for expected, source in sources.items():
        path = tmp_path / "vae.py"
        path.write_text(headed(vae, source, 7), encoding="utf-8")
        given = grade(path)
        results = there.run("vae.py", path.read_text(encoding="utf-8"))
        is_of_gradescopes_format(results)
        assert points(results) == points_of(given)
        assert [test["output"] for test in results["tests"]] == [q.text for q in given.questions]
        assert given.points == (10 - lost(vae, first, last) if expected is None else expected)


def lost(assignment: Assignment, *mistakes: Any) -> float:
    questions = {q.id: q.points for q in assignment.questions(assignment.variant(0))}
    return sum(questions[id_] for id_ in {mistake.question for mistake in mistakes})


@linux
@pytest.mark.parametrize("name", ["engine", "write_the_check"])  # which have files of their own
def test_a_zip_has_all_that_its_assignment_needs(autograder: Upload, name: str) -> None:
    there, assignment = autograder(name), load(name)
    source = assignment.solution(assignment.variant(1))
    results = there.run("homework.py", headed(assignment, source, 1))
    assert sum(test["score"] for test in results["tests"]) == 10, there.printed


@linux
def test_the_teacher_chooses_variant_level_and_hints(autograder: Upload) -> None:
    there = autograder(variant=4, level=1, hints="hidden", seed=5)
    vae = load("vae")
    variant = vae.variant(4)
    [mistake, *_] = vae.mistakes_of("q1", variant.form)
    results = there.run("a.py", headed(vae, vae.solution(variant, [mistake]), 5))
    assert sum(test["max_score"] for test in results["tests"]) == 9
    assert sum(test["score"] for test in results["tests"]) == 8
    assert mistake.hint not in json.dumps(results)


@linux
def test_what_is_handed_in_may_be_anything(autograder: Upload) -> None:
    there = autograder()
    for source in ("", "def", "import os\nos._exit(0)", "print('<b>10 of 10 points</b>')\n" * 2000):
        results = there.run("vae.py", source)
        is_of_gradescopes_format(results)
        assert sum(test["score"] for test in results["tests"]) == 0
        assert {results["output_format"], results["test_output_format"]} == {"text"}


@linux
def test_a_failure_of_the_grader_is_not_the_students(autograder: Upload) -> None:
    there = autograder()
    (there.folder / "source" / "settings.json").write_text("{")
    results = there.run("vae.py", "")
    is_of_gradescopes_format(results)
    assert "tell your instructor" in results["output"]
    assert "JSONDecodeError" in there.printed.stderr


@linux
def test_others_can_read_nothing(autograder: Upload) -> None:
    there = autograder()
    there.run("vae.py", "")
    for name in ("source", "submission", "results"):
        for path in (there.folder / name).rglob("*"):
            assert not path.stat().st_mode & 0o077, path


def test_a_zip_has_one_assignment_and_no_page(tmp_path: Path) -> None:
    with zipfile.ZipFile(package("vae", "gradescope", tmp_path / "a.zip")) as archive:
        files = archive.namelist()
    assert {"setup.sh", "run_autograder", "settings.json"} <= {*files}  # at the top
    assert {f.split("/")[3] for f in files if "assignments/" in f} == {"05_vae", "__init__.py"}
    assert not [f for f in files if f.endswith(".md")]
    assert not [f for f in files if re.search("/(ops|autograd|models)/|student|prove|classroom", f)]


def test_the_same_package_has_the_same_bytes(tmp_path: Path) -> None:
    for platform in ("gradescope", "otter"):
        one, other = (
            package("vae", platform, tmp_path / f"{platform}{i}.zip", seed=7) for i in (1, 2)
        )
        assert one.read_bytes() == other.read_bytes()
        with zipfile.ZipFile(one) as archive:  # and tomorrow, too
            assert {file.date_time for file in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_otters_zip_has_what_its_dockerfile_copies_and_no_points_without_the_plugin(
    tmp_path: Path,
) -> None:
    with zipfile.ZipFile(package("vae", "otter", tmp_path / "a.zip")) as archive:
        texts = {name: archive.read(name).decode() for name in archive.namelist()}
    copied = {"run_autograder", "setup.sh", "environment.yml", "otter_config.json", "run_otter.py"}
    assert copied == {name for name in texts if "/" not in name}
    assert {name.split("/")[0] for name in texts if "/" in name} == {"files", "tests"}
    tests = [text for name, text in texts.items() if name.startswith("tests/")]
    assert sum(float(re.findall("^points = (.*)", text, re.M)[0]) for text in tests) == 10
    assert all("raise RuntimeError" in text for text in tests)


@pytest.mark.parametrize("name", ["vae", "engine", "find_the_mistake", "write_the_check"])
def test_nbgraders_notebook(name: str, tmp_path: Path) -> None:
    """Its cells' metadata are nbgrader's; with solutions it gets all points, without them none."""
    assignment = load(name)
    course = package(name, "nbgrader", tmp_path / "course", variant=3)
    path = course / "source" / name / f"{name}.ipynb"
    written = json.loads(path.read_text(encoding="utf-8"))
    marked = [c["metadata"]["nbgrader"] for c in written["cells"] if "nbgrader" in c["metadata"]]
    assert len({its["grade_id"] for its in marked}) == len(marked)
    graded = [its for its in marked if its["grade"]]
    questions = assignment.questions(assignment.variant(3))
    assert [(its["grade_id"], its["points"]) for its in graded] == [
        (q.id, q.points) for q in questions
    ]
    assert all(its["locked"] and not its["solution"] for its in graded)
    for cell in written["cells"]:
        text = "".join(cell["source"])
        solution = cell["metadata"].get("nbgrader", {}).get("solution", False)
        assert solution == ("BEGIN SOLUTION" in text), text
        cell["source"] = re.sub(
            r"### BEGIN SOLUTION.*?### END SOLUTION",
            "raise NotImplementedError()",
            text,
            flags=re.S,
        )
    released = json.dumps(written)
    for q in questions:
        answer = assignment.solution(assignment.variant(3)).splitlines()[q.first : q.last]
        assert "\\n".join(json.dumps(line)[1:-1] for line in answer) not in released
    if name in ("vae", "find_the_mistake"):
        path.with_name("released.ipynb").write_text(released, encoding="utf-8")
        assert grade(path, name).points == 10 - sum(q.points for q in questions if q.faulty)
        assert grade(path.with_name("released.ipynb"), name).points == 0


def test_nbgraders_folder_has_the_students_check_and_the_configuration(tmp_path: Path) -> None:
    course = package("vae", "nbgrader", tmp_path / "course")
    assert {"check.py", "checking", "page.md", "vae.ipynb"} == {
        path.name for path in (course / "source" / "vae").iterdir()
    }
    config = (course / "nbgrader_config.py").read_text(encoding="utf-8")
    assert "'variant': 0" in config
    compile(config, "nbgrader_config.py", "exec")


def test_a_second_homework_goes_to_the_same_course(tmp_path: Path) -> None:
    """And a teacher's own configuration stays."""
    config = tmp_path / "nbgrader_config.py"
    config.write_text("c = get_config()\nc.CourseDirectory.course_id = 'b'")
    for name in ("vae", "gan"):
        assert package(name, "nbgrader", tmp_path) == tmp_path
    assert {path.name for path in (tmp_path / "source").iterdir()} == {"vae", "gan"}
    text = config.read_text(encoding="utf-8")
    assert text.startswith("c = get_config()\nc.CourseDirectory.course_id = 'b'\n\n")
    assert text.count("import PREPROCESSORS") == 1
    assert [line[:42] for line in text.splitlines()[-2:]] == [
        "c.GradedByTinygen.homework.update({'vae': ",
        "c.GradedByTinygen.homework.update({'gan': ",
    ]


@pytest.mark.parametrize("wrong, sentence", [
    ({"name": "vea"}, "unknown assignment 'vea' \\(did you mean 'vae'\\?\\)"),
    ({"platform": "moodle"}, "unknown platform 'moodle'; choose one of gradescope, otter"),
    ({"hints": "some"}, "unknown hints 'some'; choose one of shown, hidden"),
    ({"level": 3}, "expected level 1 or 2, got 3"),
    ({"out": "there"}, "expected --out that does not exist, got there, which does"),
    ({"out": "there", "platform": "nbgrader"}, "vae exists already; expected the name of a new"),
])  # fmt: skip
def test_what_is_refused(
    wrong: dict[str, Any], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there/source/vae").mkdir(parents=True)
    with pytest.raises(InputError, match=sentence):
        package(**{"name": "vae", "platform": "otter", "out": "new", **wrong})
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_where_a_package_is_written_if_nobody_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for platform in ("gradescope", "otter", "nbgrader"):
        package("vae", platform)
    assert {path.name for path in tmp_path.iterdir()} == {
        "vae-gradescope.zip", "vae-otter.zip", "vae-nbgrader",
    }  # fmt: skip
