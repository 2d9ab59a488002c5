"""The student's folder: what is in it, that it works without tinygen, and has no answers."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from tiny_homework import ASSIGNMENT, FILES, RIGHT, SOLUTION, write

from tinygen.errors import InputError
from tinygen.homework import student
from tinygen.homework.assignment import Assignment, load, names

# With -S, nothing is on the path but what is put there: the folder, and where NumPy is.
START = """
import sys
sys.path += [{folder!r}, {numpy!r}]
sys.argv = ["check.py", *{wanted!r}]
try:
    exec(open({folder!r} + "/check.py").read(), {{"__name__": "__main__"}})
finally:
    loaded = [name for name in sys.modules if name.split(".")[0] == "tinygen"]
    assert not loaded, loaded
"""


def check(folder: Path, *wanted: str) -> subprocess.CompletedProcess[str]:
    """python check.py, where there is no tinygen."""
    numpy = str(Path(np.__file__).parent.parent)
    code = START.format(folder=str(folder), numpy=numpy, wanted=wanted)
    command = [sys.executable, "-S", "-E", "-X", "utf8", "-c", code]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, encoding="utf-8")


@pytest.fixture
def tiny(tmp_path):
    return Assignment(write(tmp_path))


def test_what_is_in_the_folder(tiny, tmp_path):
    written = student.new(tiny, tmp_path / "new" / "ada")
    assert written == tmp_path / "new" / "ada" / "tiny.py"
    files = {p.relative_to(written.parent).as_posix() for p in written.parent.rglob("*.*")}
    assert {"page.md", "tiny.py", "check.py", "checking/checker.py", "checking/q2.npz"} <= files
    assert written.read_text() == tiny.stub(tiny.variant(0))
    assert [*(tmp_path / "new").iterdir()] == [written.parent]  # and nothing unfinished


def test_checking_the_stub(tiny, tmp_path):
    done = check(student.new(tiny, tmp_path / "ada").parent)
    assert done.stdout.splitlines() == [
        "q1 (1): not written yet",
        "q2 (2) (3): not written yet",
        "",
        "0 of the 3 points that are checked here; the grader uses other numbers",
    ]
    assert not done.stderr and not done.returncode


def test_checking_what_is_right_what_is_planted_and_what_is_not(tiny, tmp_path):
    path = student.new(tiny, tmp_path / "ada", 3)
    variant = tiny.variant(3)
    assert variant.letters["x"].code == "u"
    path.write_text(tiny.solution(variant))
    assert "3 of the 3 points that" in check(path.parent).stdout
    path.write_text(tiny.solution(variant, [tiny.mistakes[0]]))
    lines = check(path.parent, "q1").stdout
    hint = tiny.mistakes[0].hint.replace("@x", "u")
    assert lines.startswith(f"q1 (1): {hint}\n")
    path.write_text(tiny.solution(variant).replace("np.sum(", "-np.sum(").replace("len(u)", "5"))
    assert check(path.parent).stdout.splitlines()[:2] == [
        "q1 (1): the result is 3/5 times what is right",
        "q2 (2) (3): case 1 of 2: the result has the other sign",
    ]


def test_a_long_sentence_fits_into_a_terminal(tiny, tmp_path):
    path = student.new(tiny, tmp_path / "ada")
    path.write_text(
        path.read_text().replace("raise Not", f"raise ValueError('{'long ' * 60}')\n    raise Not")
    )
    assert max(map(len, check(path.parent).stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (
            "def product(x, w):\n    return x @\n",
            r"line 2, `return x @`: SyntaxError: invalid syntax",
        ),
        ("import nonsense\n", r"line 1, `import nonsense`: ModuleNotFoundError: No module named"),
        ("1 / 0\n", "line 1, `1 / 0`: ZeroDivisionError: division by zero"),
    ],
)
def test_a_file_that_does_not_run(source, sentence, tiny, tmp_path):
    path = student.new(tiny, tmp_path / "ada")
    path.write_text(source)
    done = check(path.parent)
    assert done.returncode and re.fullmatch(rf"check.py: {sentence}.*\n", done.stderr)


def test_a_function_that_fails_or_is_missing(tiny, tmp_path):
    path = student.new(tiny, tmp_path / "ada")
    path.write_text("def product(x, w):\n    y = x\n    return z\n")
    one, two, *_ = check(path.parent).stdout.splitlines()
    assert one == "q1 (1): line 3, `return z`: NameError: name 'z' is not defined"
    assert two == "q2 (2) (3): AttributeError: module 'submission' has no attribute 'total'"


def test_an_unknown_question_and_a_missing_file(tiny, tmp_path):
    path = student.new(tiny, tmp_path / "ada")
    assert (
        check(path.parent, "q9").stderr == "check.py: unknown question 'q9'; choose one of q1, q2\n"
    )
    path.unlink()
    assert check(path.parent).stderr.startswith("check.py: tiny.py cannot be read: ")


def test_arguments_that_are_written_into_are_no_ones_elses(tiny, tmp_path):
    path = student.new(tiny, tmp_path / "ada")
    path.write_text(
        "def product(x, w):\n    x *= 0\n    return w\n\n" + tiny.solution(tiny.variant(0))
    )
    path.write_text(
        path.read_text().replace("return x @ w", "x /= 1; y = x.copy(); x *= 0; return y @ w")
    )
    assert "3 of the 3 points" in check(path.parent).stdout


def test_a_notebook(tiny, tmp_path):
    path = student.new(tiny, tmp_path / "ada", format="notebook")
    assert path.name == "tiny.ipynb"
    assert "q1 (1): not written yet" in check(path.parent).stdout
    text = path.read_text().replace("raise NotImplementedError(", "return (")
    path.write_text(text)
    assert "q1 (1): expected an array, got str" in check(path.parent).stdout


def test_what_exists_is_not_touched(tiny, tmp_path):
    (tmp_path / "ada").mkdir()
    with pytest.raises(InputError, match="ada exists already; expected the name of a new folder"):
        student.new(tiny, tmp_path / "ada")
    with pytest.raises(InputError, match="unknown format 'pdf'; choose one of py, notebook"):
        student.new(tiny, tmp_path / "eve", format="pdf")


def test_a_failure_leaves_nothing(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(student, "_numbers", lambda *a: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        student.new(tiny, tmp_path / "class" / "ada")
    assert not [*(tmp_path / "class").iterdir()]


def test_the_page(tmp_path):
    page = (
        FILES["page.md"]
        + "<!-- form rows -->\nRows.\n<!-- end -->\n<!-- form columns -->\nCols.\n<!-- end -->\n"
    )
    home = write(tmp_path, page=page, assignment=ASSIGNMENT + 'FORMS = ["rows", "columns"]\n')
    for form in ("rows", "columns"):
        text = SOLUTION.replace("points=1", "level=2 points=1")
        (home / f"solution_{form}.py").write_text(text)
    tiny = Assignment(home)
    text = student.page(tiny, tiny.variant(1))
    assert "Cols." in text and "Rows." not in text and "<!--" not in text
    assert "| q1 | `product` | (1) | 2 |\n| q2 | `total` | (2) (3) | 1 |\n| | | | 3 |" in text
    assert "q2" not in student.page(tiny, tiny.variant(1), level=1)


def test_judges_are_taken_with_what_they_need_and_nothing_else(tmp_path):
    more = """
import math
from tinygen.homework.feedback import Verdict

LIMIT: float = 2.0
SECRET = 3

def helper(x):
    return math.sqrt(x) < LIMIT

def judge_q1(got, expected, case):
    return Verdict(float(helper(got.sum() ** 2)), "too large")

def ask_secret(case):
    return SECRET
"""
    text = student.judges(Assignment(write(tmp_path, assignment=ASSIGNMENT + more)))
    meaning = [n for node in ast.parse(text).body for n in student._defines(node)]
    assert sorted(meaning) == ["LIMIT", "Verdict", "helper", "judge_q1", "math"]
    assert "from checking.feedback import Verdict" in text


def test_what_only_the_grader_knows_is_not_in_the_folder(tmp_path):
    driver = "def q1(submission, arguments, ask):\n    return ask('sum', x=arguments['x'])\n"
    more = "\ndef ask_sum(case, x):\n    return x.sum()\n"
    home = write(tmp_path, assignment=ASSIGNMENT + more)
    (home / "driver.py").write_text(driver)
    folder = student.new(Assignment(home), tmp_path / "ada").parent
    assert "q1 (1): not written yet\n" in check(folder).stdout
    (folder / "tiny.py").write_text(RIGHT)
    assert "q1 (1): only the grader can check this one\n" in check(folder).stdout
    assert (folder / "checking" / "q1.npz").stat().st_size < 1000


def lines_of(lines: Iterable[str]) -> set[str]:
    """The lines of a program without comments and spaces, but the shortest, which say nothing."""
    bare = {"".join(line.partition("#")[0].split()) for line in lines}
    return {line for line in bare if len(line) > 15}


@pytest.mark.parametrize("name", names())
def test_every_assignment_works_without_tinygen_and_gives_no_answers_away(name, tmp_path):
    assignment = load(name)
    variant = assignment.variant(11)
    questions = assignment.questions(variant)
    path = student.new(assignment, tmp_path / "ada", 11)
    to_write = [q for q in questions if not q.faulty]
    assert check(path.parent).stdout.count("not written yet\n") == len(to_write)

    solution = assignment.solution(variant)
    lines = solution.splitlines()
    asked = {i for q in to_write for i in range(q.first, q.last)}
    given = lines_of(line for i, line in enumerate(lines) if i not in asked)
    secret = lines_of(lines[i] for i in asked) - given
    assert secret or any(q.faulty for q in questions)
    for file in path.parent.rglob("*.*"):
        if file.suffix in (".py", ".md"):
            assert not secret & lines_of(file.read_text(encoding="utf-8").splitlines()), file

    path.write_text(solution, encoding="utf-8")
    right = sum(not assignment.is_secret(q) for q in questions)
    assert check(path.parent).stdout.count(": right\n") == right
