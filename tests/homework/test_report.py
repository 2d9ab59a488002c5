"""The report on a class: its figures from results that are written here, one by one."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tinygen.errors import InputError
from tinygen.homework.report import csv_of, report, results_in


def student(name, *points, texts=("the mean is missing", "the 1/2 is missing"), **more):
    """A result of `grade`; each question is worth a point."""
    questions = [
        {
            "id": f"q{i}",
            "equations": [f"({i})"],
            "points": its,
            "of": 1,
            "text": text if its < 1 else "right",
        }
        for i, (its, text) in enumerate(zip(points, texts, strict=False), 1)
    ]
    return {
        "student": name,
        "file": f"{name}.py",
        "assignment": "vae",
        "variant": 1,
        "points": sum(points),
        "of": 2,
        "isolation": "walled off: all",
        "questions": questions,
        "problems": [],
        "fingerprint": name,
        **more,
    }


def unreadable(name, **more):
    return student(name, assignment=None, of=None, problems=["it is empty"], **more)


def lines_of(folder: Path, *results, variants=None) -> list[str]:
    """The report on them."""
    for one in results:
        (folder / f"{one['student']}.json").write_text(json.dumps(one))
    class_ = {"students": [one["student"] for one in results], "variants": variants or {}}
    (folder / ".class").write_text(json.dumps(class_))
    return report(folder).splitlines()


def below(title: str, lines: list[str]) -> list[str]:
    """The lines below a title, up to the next empty one."""
    start = lines.index(title) + 1
    return lines[start : [*lines, ""].index("", start)]


def test_a_table_a_histogram_and_what_failed_most(tmp_path):
    (tmp_path / "other.json").write_text("[1]")
    (tmp_path / "broken.json").write_text("{")
    lines = lines_of(
        tmp_path,
        student("ada", 1, 1),
        student("bob", 1, 0),
        student("cyd", 0, 0, texts=["twice too large", "twice too small"]),
        student("dan", 1, 0.5),
        unreadable("eve"),
    )
    assert lines[:2] == ["vae: 5 students", ""]
    assert [line.split() for line in below("", lines)] == [
        ["student", "points", "q1", "q2"],
        ["ada", "2", "1", "1"],
        ["bob", "1", "1", "0"],
        ["cyd", "0", "0", "0"],
        ["dan", "1.5", "1", "0.5"],
        ["eve", "0", "-", "-"],
        ["mean", "0.90", "0.8", "0.4"],
    ]
    bars = [line.split()[-1] for line in below("points      students", lines) if "#" in line]
    assert bars == ["##", "#", "#", "#"]
    title = "equations that failed most (without 1 student: blank or unreadable)"
    assert below(title, lines) == [
        "q2 (2): 3 of 4 wrong; 2 times: the 1/2 is missing",
        "q1 (1): 1 of 4 wrong; once: twice too large",
    ]
    assert below("notes", lines) == ["eve: it is empty"]


def test_what_is_blank_says_nothing_of_an_equation(tmp_path):
    blank = [student(name, 0, 0, texts=["not written yet"] * 2) for name in ("ada", "bob")]
    lines = lines_of(tmp_path, *blank, student("cyd", 0, 1))
    title = "equations that failed most (without 2 students: blank or unreadable)"
    assert below(title, lines) == ["q1 (1): 1 of 1 wrong; once: the mean is missing"]


def test_who_has_all_wrong_is_not_blank(tmp_path):
    """Where hints are hidden, or there is one question, one sentence on all means nothing."""
    hidden = student("ada", 0, 0, texts=["wrong"] * 2)
    lines = lines_of(tmp_path, hidden, student("bob", 1, 0, texts=["", "wrong"]))
    assert below("equations that failed most", lines) == [
        "q2 (2): 2 of 2 wrong",
        "q1 (1): 1 of 2 wrong",
    ]
    lines = lines_of(tmp_path, student("cyd", 0))
    assert below("equations that failed most", lines) == [
        "q1 (1): 1 of 1 wrong; once: the mean is missing"
    ]


@pytest.mark.parametrize("text", ['{"fingerprint": 1}', "[]", "1", "{", '{"student": "ada"}'])
def test_files_of_other_programs_are_left_out(text, tmp_path):
    lines = lines_of(tmp_path, student("ada", 1, 1))
    (tmp_path / "other.json").write_text(text)
    assert report(tmp_path).splitlines() == lines
    (tmp_path / ".class").write_text("[]")
    assert report(tmp_path).splitlines() == lines


def test_hidden_hints_stay_hidden(tmp_path):
    lines = lines_of(tmp_path, student("ada", 1, 0, texts=["", "wrong"]))
    assert below("equations that failed most", lines) == ["q2 (2): 1 of 1 wrong"]


def test_who_could_not_be_graded_is_not_in_the_mean(tmp_path):
    failed = unreadable("eve", points=None)
    lines = lines_of(tmp_path, student("ada", 1, 1), failed)
    assert not any("equations that failed most" in line for line in lines)
    assert ["eve", "-", "-", "-"] in [line.split() for line in lines]
    assert ["mean", "2.00", "1.0", "1.0"] in [line.split() for line in lines]
    assert sum("#" in line for line in lines) == 1
    assert ["mean", "-"] in [line.split() for line in lines_of(tmp_path, failed)]


def test_variants_are_shown_where_they_differ(tmp_path):
    ada, bob = student("ada", 1, 1), student("bob", 1, 1, variant=12)
    assert ["student", "points", "q1", "q2"] in [x.split() for x in lines_of(tmp_path, ada)]
    lines = [line.split() for line in lines_of(tmp_path, ada, bob, unreadable("eve", variant=None))]
    assert ["student", "variant", "points", "q1", "q2"] in lines
    assert ["bob", "12", "2", "1", "1"] in lines
    assert ["eve", "-", "0", "-", "-"] in lines


def test_a_program_that_two_have_handed_in(tmp_path):
    same = {"fingerprint": "f"}
    two = [student(name, 1, 0, **same) for name in ("ada", "bob")]
    blank = [student(name, 0, 0, fingerprint="b") for name in ("cyd", "dan")]
    lines = lines_of(tmp_path, *two, *blank, student("eve", 1, 1))
    [note] = below("notes", lines)
    assert note == "ada, bob: the same program, but for white space, comments and names"


def test_what_was_given_out_and_what_was_handed_in(tmp_path):
    lines = lines_of(
        tmp_path,
        student("ada", 1, 1, variant=1),
        student("bob", 1, 1, variant=1),
        student("Cyd X_12_file", 1, 1, variant=4),
        student("eve", 1, 1, variant=5),
        unreadable("fay", variant=None),
        variants={"ada": 1, "bob": 2, "Cyd X": 3, "dan": 4, "fay": 6, "gil": 7},
    )
    assert below("notes", lines) == [
        "fay: it is empty",
        "Cyd X_12_file: expected variant 3, got 4, which is dan's",
        "bob: expected variant 2, got 1, which is ada's",
        "not in the table of variants: eve",
        "nothing was handed in by: dan, gil",
    ]


def test_all_of_it_fits_a_terminal(tmp_path):
    points = [0.5] * 11  # no assignment has more questions
    texts = [f"{i} " + "a sentence that is long, " * 9 for i in range(11)]
    ada = student("a" * 60, *points, texts=texts, problems=["another-long one " * 9])
    lines = lines_of(tmp_path, ada, student("b", *points, texts=texts, variant=123456789))
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("a" * 15 + "... ") for line in lines)


def test_results_that_are_put_together_and_those_of_an_earlier_grading(tmp_path):
    lines_of(tmp_path, student("ada", 1, 1), student("bob", 1, 1))
    assert lines_of(tmp_path, student("cyd", 1, 1))[0] == "vae: 1 student"
    (tmp_path / ".class").unlink()
    assert [one["student"] for one in results_in(tmp_path)] == ["ada", "bob", "cyd"]


def test_several_homeworks_have_a_table_each(tmp_path):
    lines = lines_of(tmp_path, student("ada", 1, 1), student("bob", 1, assignment="gan"))
    assert [line for line in lines if "1 student" in line] == ["gan: 1 student", "vae: 1 student"]


def test_a_spreadsheet_has_the_points_of_each(tmp_path):
    ungraded = student("Eve, B.", points=None, of=None, assignment=None, questions=[])
    short = student("ada", 1, 0.5)
    long = student("Dan", *[1] * 11, texts=[""] * 11)
    lines_of(tmp_path, ungraded, short, long, student("=1+1", 1, 1))
    rows = {row["student"]: row for row in csv.DictReader(csv_of(tmp_path).splitlines())}
    assert [*rows] == ["'=1+1", "ada", "Dan", "Eve, B."]  # as in the report, and no formula
    assert [*rows["ada"]][4:] == [f"q{i}" for i in range(1, 12)]
    assert [rows["ada"][key] for key in ("assignment", "variant", "points")] == ["vae", "1", "1.5"]
    assert [rows[name]["q2"] for name in rows] == ["1", "0.5", "1", ""]
    assert rows["Eve, B."]["points"] == ""


def test_a_report_on_nothing_is_refused(tmp_path):
    with pytest.raises(InputError, match="expected a folder of results that grade has written"):
        report(tmp_path)


def test_which_walls_were_missing(tmp_path):
    ada = student("ada", 1, isolation="NOT walled off, since ...")
    assert below("notes", lines_of(tmp_path, ada)) == ["NOT walled off, since ..."]
