"""A class: all of it is graded, whatever a few of them hand in, and nobody twice."""

from __future__ import annotations

import json
import os
import zipfile

import pytest
from tiny_homework import HEADER

from tinygen.errors import InputError
from tinygen.homework import classroom
from tinygen.homework.assignment import load
from tinygen.homework.classroom import grade_class, submissions
from tinygen.homework.report import report

if os.name != "posix":
    pytest.skip("grading needs Linux or a Mac", allow_module_level=True)


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """A class with all sorts of students, its folder and that of the results."""
    folder = tmp_path_factory.mktemp("class")
    vae = load("vae")
    variant = vae.variant(0)
    right = vae.stub(variant).splitlines()[0] + "\n" + vae.solution(variant)
    mistake = next(m for m in vae.mistakes if not m.forms)
    wrong = vae.stub(variant).splitlines()[0] + "\n" + vae.solution(variant, [mistake])
    (folder / "ada.py").write_text(right)
    (folder / "bob.py").write_text(wrong)
    (folder / "cyd.py").write_text(vae.stub(variant))
    (folder / "dan").mkdir()
    (folder / "dan" / "vae.py").write_text(right)
    (folder / "dan" / "notes.txt").write_text("?")
    with zipfile.ZipFile(folder / "eve.zip", "w") as file:
        file.writestr("eve/vae.py", right)
    (folder / "fay.py").write_text(right + "\nimport sys\nsys.modules['os']._exit(0)\n")
    (folder / "gil.py").write_text("")
    (folder / "hal.zip").write_bytes(b"no zip")
    (folder / "ivy.docx").write_bytes(b"no submission")
    (folder / "jo").mkdir()
    (folder / "kim.py").symlink_to(vae.folder / "solution_log_sigma.py")
    (folder / ".DS_Store").write_bytes(b"")
    out = tmp_path_factory.mktemp("results")
    return folder, out, grade_class(folder, out, jobs=2)


def test_each_student_has_a_file_of_results(graded):
    _, out, results = graded
    points = {result["student"]: result["points"] for result in results}
    assert {path.name for path in out.iterdir()} == {
        ".seed",
        *(f"{student}.{kind}" for student in points for kind in ("json", "txt")),
    }
    assert "q1" in (out / "bob.txt").read_text()
    assert "walled off" not in (out / "bob.txt").read_text()
    assert (out / "gil.txt").read_text() == "expected Python, got gil.py, which is empty\n"
    assert points.pop("bob") < 10
    assert points == {
        **dict.fromkeys(["ada", "dan", "eve"], 10),
        **dict.fromkeys(["cyd", "fay", "gil", "hal", "jo", "kim"], 0),
    }
    for result in results:
        assert json.loads((out / f"{result['student']}.json").read_text()) == result


def test_who_cannot_be_graded_has_a_sentence(graded):
    problems = {result["student"]: result["problems"] for result in graded[2]}
    assert problems["gil"] == ["expected Python, got gil.py, which is empty"]
    assert problems["jo"] == ["expected a .py or .ipynb file in jo, got none"]
    assert problems["kim"] == ["expected a file or a folder, got kim.py, which is a link"]
    assert "ended Python" in problems["fay"][0]


def test_nobody_is_graded_twice_but_who_hands_in_again(graded, monkeypatch):
    folder, out, results = graded
    times = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    cyd = folder / "cyd.py"
    cyd.write_text((folder / "ada.py").read_text() + "\n")
    (out / "bob.json").write_text('{"student": "bob", ')  # as if it had been cut off
    again = grade_class(folder, out, jobs=1)
    changed = {p.name for p in out.iterdir() if p.stat().st_mtime_ns != times[p.name]}
    assert changed == {"bob.json", "bob.txt", "cyd.json", "cyd.txt"}
    assert {r["student"]: r["points"] for r in again}["cyd"] == 10
    assert [r for r in again if r["student"] == "bob"] == [
        r for r in results if r["student"] == "bob"
    ]


def test_other_options_are_another_grading(graded):
    folder, _, _ = graded
    states = [
        classroom._state(folder / "ada.py", options)
        for options in ({}, {"seed": 1}, {"hints": "hidden"}, {"variant": 1}, {"level": 1})
    ]
    assert len({*states}) == 5


def test_a_file_one_student_and_a_class_are_told_apart(tmp_path):
    folder = tmp_path / "s"
    folder.mkdir()
    file = folder / "tiny.py"
    file.write_text(HEADER + "x = 1\n")
    assert submissions(file) == submissions(folder) == {}
    (folder / "helper.py").write_text("x = 1\n")
    (folder / "data").mkdir()
    assert submissions(folder) == {}  # extra files of one student
    (folder / "bob.py").write_text(HEADER)
    assert {*submissions(folder)} == {"tiny", "helper", "bob", "data"}
    (folder / "bob.zip").write_bytes(b"")
    (folder / "bob.py.x").mkdir()
    all_of_them = {"tiny", "helper", "bob.py", "bob.py (2)", "bob.zip", "data"}
    assert {*submissions(folder)} == all_of_them
    (folder / "check.py").write_text(HEADER)
    (folder / "__MACOSX").mkdir()
    assert {*submissions(folder)} == all_of_them
    (folder / "checking").mkdir()
    assert submissions(folder) == {}  # what the kit made for one student
    (folder / "check.py").unlink()
    for name in ("tiny.py", "bob.zip"):
        (folder / name).unlink()
    assert {*submissions(folder)} == {"helper", "bob", "bob.py", "data"}  # with one header
    (folder / "check.py").touch()
    with pytest.raises(InputError, match="expected a folder with what each student handed in"):
        grade_class(folder, tmp_path / "out")
    with pytest.raises(InputError, match="unknown assignment 'nonsense'"):
        grade_class(folder, tmp_path / "out", assignment="nonsense")


def test_each_student_has_a_name_that_can_be_a_file(tmp_path):
    """And a terminal does not obey it, nor is it a line of the table."""
    folder = tmp_path / "class"
    folder.mkdir()
    names = ["a\x01.py", "a\x02.py", "A?.py", "new\nline.py", "b" * 248 + ".py", "c  10  1.py"]
    for name in names:
        (folder / name).touch()
    (folder / "dora\x1b[31m").mkdir()
    known = {"a?", "a? (2)", "A? (3)", "new?line", "b" * 50, "c 10 1", "dora?[31m"}
    assert {name.lower() for name in submissions(folder)} == {name.lower() for name in known}
    results = grade_class(folder, tmp_path / "out", jobs=1)
    assert len(results) == len(names) + 1
    assert all(text.isprintable() for one in results for text in one["problems"])
    table = report(tmp_path / "out").splitlines()
    assert "c 10 1                         0" in table
    assert "b" * 21 + "...       0" in table


def test_a_class_goes_on_when_a_worker_is_ended(tmp_path):
    """As by a submission where there are no walls, or by the system when memory is short."""

    class Ends:
        def __reduce__(self):
            return os._exit, (1,)

    work = {
        name: (tmp_path, options, name, tmp_path / name, "")
        for name, options in (("ada", {}), ("eve", {"seed": Ends()}), ("fay", {}))
    }
    problems = {one["student"]: one["problems"][0] for one in classroom._graded(work, 2)}
    assert problems.pop("eve") == "the grader was ended while it graded this"
    assert {*problems} == {"ada", "fay"}
    assert all("which does not exist" in text for text in problems.values())
    assert len([*tmp_path.glob("*.json")]) == 3


def test_one_whose_file_cannot_even_be_read_does_not_stop_a_class(tmp_path, monkeypatch):
    def fails(*arguments):
        raise RecursionError

    monkeypatch.setattr(classroom, "read", fails)
    for name in ("ada.py", "bob.py"):
        (tmp_path / name).write_text("x = 1\n")
    assert {*submissions(tmp_path)} == {"ada", "bob"}
    assert classroom._state(tmp_path / "ada.py", {})


def test_a_class_has_one_seed_which_its_results_keep(tmp_path):
    seed = classroom._seed_in(tmp_path)
    assert classroom._seed_in(tmp_path) == seed > 2**40
    other = tmp_path / "other"
    other.mkdir()
    assert classroom._seed_in(other) != seed


RESULT = {"assignment": "vae", "of": 2, "isolation": "walled off: all", "problems": []}


def student(name, *points, text="the 1/2 is missing", **more):
    questions = [
        {
            "id": f"q{i}",
            "equations": [f"({i})"],
            "points": p,
            "of": 1,
            "text": text if p < 1 else "right",
        }
        for i, p in enumerate(points, 1)
    ]
    return {"student": name, **RESULT, "points": sum(points), "questions": questions, **more}


def test_the_report_has_a_table_a_histogram_and_what_failed_most(tmp_path):
    class_ = [
        student("ada", 1, 1),
        student("bob", 1, 0),
        student("cyd", 0, 0, text="twice too large"),
        student("dan", 1, 0.5),
        student("eve", problems=["it is empty"], assignment=None, of=None),
    ]
    for one in class_:
        (tmp_path / f"{one['student']}.json").write_text(json.dumps(one))
    (tmp_path / "other.json").write_text("[1]")
    (tmp_path / "broken.json").write_text("{")
    text = report(tmp_path)
    assert "vae: 5 students" in text
    lines = text.splitlines()
    assert "ada           2     1    1" in lines
    assert "dan         1.5     1  0.5" in lines
    assert "eve           0     -    -" in lines
    assert ["mean", "0.90", "0.75", "0.38"] in [line.split() for line in lines]
    assert [line.split()[-1] for line in lines if " - " in line and "#" in line] == [
        "##", "#", "#", "#",
    ]  # fmt: skip
    failed = lines[lines.index("equations that failed most") + 1 :]
    assert failed[0] == "q2 (2): 3 of 4 wrong; 2 times: the 1/2 is missing"
    assert failed[1] == "q1 (1): 1 of 4 wrong; 1 time: twice too large"
    assert "eve: it is empty" in lines


def test_a_report_on_nothing_is_refused(tmp_path):
    with pytest.raises(InputError, match="expected a folder of results that grade has written"):
        report(tmp_path)


def test_the_report_says_which_walls_were_missing(tmp_path):
    one = student("ada", 1, isolation="NOT walled off, since ...")
    (tmp_path / "ada.json").write_text(json.dumps(one))
    assert "NOT walled off" in report(tmp_path)
