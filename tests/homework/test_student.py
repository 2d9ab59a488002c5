"""The student's folder: what is in it, that it works without tinygen, and has no answers."""

from __future__ import annotations

import ast
import io
import json
import multiprocessing
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from tiny_homework import ASSIGNMENT, FILES, HEADER, RIGHT, SOLUTION, write

from tinygen.errors import InputError
from tinygen.homework import checker, student
from tinygen.homework.assignment import FOLDER, Assignment, load, names

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
    header = path.read_text().splitlines()[0] + "\n"
    path.write_text(header + tiny.solution(variant))
    assert "3 of the 3 points that" in check(path.parent).stdout
    path.write_text(header + tiny.solution(variant, [tiny.mistakes[0]]))
    lines = check(path.parent, "q1").stdout
    hint = tiny.mistakes[0].hint.replace("@x", "u")
    assert lines.startswith(f"q1 (1): {hint}\n")
    wrong = tiny.solution(variant).replace("np.sum(", "-np.sum(").replace("len(u)", "5")
    path.write_text(header + wrong)
    assert check(path.parent).stdout.splitlines()[:2] == [
        "q1 (1): the result is 3/5 times what is right",
        "q2 (2) (3): case 1 of 2 (u (3, 4)): the result has the other sign",
    ]


def test_a_long_sentence_fits_into_a_terminal(tiny, tmp_path):
    path = student.new(tiny, tmp_path / "ada")
    path.write_text(
        path.read_text().replace("raise Not", f"raise ValueError('{'long ' * 60}')\n    raise Not")
    )
    assert max(map(len, check(path.parent).stdout.splitlines())) <= 80


SYNTAX = "def product(x, w):\n    return x @\n"


def test_a_file_that_is_no_python(tiny, tmp_path):
    path = student.new(tiny, tmp_path / "ada")
    path.write_text(SYNTAX)
    done = check(path.parent)
    assert done.returncode and not done.stdout
    assert done.stderr == "check.py: tiny.py: line 2, `return x @`: SyntaxError: invalid syntax\n"


def test_what_fails_costs_itself_alone(tiny, tmp_path):
    """As with the grader, and with its words: also for what the grader does not permit."""
    path = student.new(tiny, tmp_path / "ada")
    path.write_text(f"import torch\n1 / 0\nimport sys\nsys.exit()\n{RIGHT}")
    lines = " ".join(check(path.parent).stdout.split())
    assert "tiny.py: line 1, `import torch`: a homework may not import torch; expected" in lines
    assert "tiny.py: line 2, `1 / 0`: ZeroDivisionError: division by zero" in lines
    assert "3 of the 3 points" in lines


def test_a_function_that_fails_or_is_missing(tiny, tmp_path):
    path = student.new(tiny, tmp_path / "ada")
    path.write_text(f"{HEADER}def product(x, w):\n    y = x\n    return z\n")
    one, two, *_ = check(path.parent).stdout.splitlines()
    assert one == "q1 (1): line 4, `return z`: NameError: name 'z' is not defined"
    assert two == "q2 (2) (3): expected `total` in the file, got none"


STOPS = [
    (
        "while True: pass",
        "it takes longer than 0.5 s: is there an endless loop, or far too many steps?",
        "raise SystemExit",
        "`raise SystemExit`: it leaves Python, where a function has to return",
    ),
    (
        "sys.modules['os']._exit(3)",
        "it ended Python, where a function has to return",
        "return total(x)",
        "functions call each other more than 1000 levels deep",
    ),
    (
        "return total(x)",
        "it calls total (q2), which is not written yet",
        'raise NotImplementedError("q2: total is to be written")',
        "not written yet",
    ),
]


@pytest.mark.parametrize(("q1", "of_q1", "q2", "of_q2"), STOPS)
def test_a_question_that_stops_costs_itself_alone(q1, of_q1, q2, of_q2, tiny, tmp_path):
    path = student.new(tiny, tmp_path / "ada")
    stub = path.read_text().replace('raise NotImplementedError("q1: product is to be written")', q1)
    stub = stub.replace('raise NotImplementedError("q2: total is to be written")', q2)
    path.write_text(stub.replace("import numpy", "import sys\nimport numpy"))
    done = check(path.parent)
    text = " ".join(done.stdout.split())
    one, two = text.index("q1 (1): "), text.index("q2 (2) (3): ")
    assert of_q1 in text[one:two] and of_q2 in text[two:]
    assert not done.stderr


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is limited on Linux")
def test_memory_is_limited_as_at_the_graders(tiny, tmp_path):
    path = student.new(tiny, tmp_path / "ada")
    path.write_text(RIGHT.replace("return x @ w / len(x)", "return np.ones(2**28)"))
    lines = check(path.parent).stdout.splitlines()
    assert lines[0] == "q1 (1): line 6, `return np.ones(2**28)`: it needs more memory than 1 GiB"
    assert lines[1] == "q2 (2) (3): right"


def test_a_wrong_case_is_said_though_a_later_one_has_no_end(tiny, tmp_path):
    path = student.new(tiny, tmp_path / "ada")
    path.write_text(
        RIGHT.replace("return np.sum(x", "while x.shape[1] > 4: pass\n    return 2 * np.sum(x")
    )
    sentence = "q2 (2) (3): case 1 of 2 (x (3, 4)): the result is twice too large\n"
    assert sentence in check(path.parent).stdout


def test_ctrl_c_is_no_traceback(tiny, tmp_path):
    path = student.new(tiny, tmp_path / "ada")
    loop = "print('begun', flush=True)\n    while True: pass"
    path.write_text(RIGHT.replace("return x @ w / len(x)", loop))
    command = [sys.executable, "-X", "utf8", "check.py"]
    options = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with subprocess.Popen(command, cwd=path.parent, **options) as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate()[1] == "check.py: interrupted\n"
        assert process.returncode == 1


def test_the_raise_that_was_left_where_it_stood(tiny, tmp_path):
    path = student.new(tiny, tmp_path / "ada")
    path.write_text(path.read_text().replace('written")', 'written")\n    return 3', 1))
    assert "q1 (1): not written yet: the line `raise" in check(path.parent).stdout


def test_the_first_line_has_to_stay(tiny, tmp_path):
    path = student.new(tiny, tmp_path / "ada", 3)
    path.write_text(path.read_text().replace("variant 3", "variant 4"))
    text = check(path.parent).stdout
    assert text.startswith("tiny.py: expected the first line `# tinygen homework: tiny, variant 3`")
    assert "got `# tinygen homework: tiny, variant 4`" in " ".join(text.split())
    assert "the grader uses other numbers and needs the first line" in " ".join(text.split())
    path.write_text(path.read_text().replace("# tinygen", "# my"))
    assert "grader knows it, got none" in " ".join(check(path.parent).stdout.split())


def test_that_arguments_are_changed_is_said(tiny, tmp_path):
    path = student.new(tiny, tmp_path / "ada")
    source = RIGHT.replace("    return np.sum(x", "    x *= 2\n    return np.sum(x / 2")
    path.write_text(source)
    lines = check(path.parent).stdout.splitlines()
    assert lines[0] == "q1 (1): right"
    assert lines[1] == "q2 (2) (3): right (it changes its argument `x`: is that meant?)"
    path.write_text(RIGHT.replace("    return x @ w", "    x *= -1; w *= -1\n    return x @ w"))
    both = "q1 (1): right (it changes its arguments `w` and `x`: is that meant?) "
    assert " ".join(check(path.parent, "q1").stdout.split()).startswith(both)


def test_that_python_refuses_tabs_among_spaces_is_said(tiny, tmp_path):
    path = student.new(tiny, tmp_path / "ada")
    path.write_text(RIGHT.replace("    return x", "    y = x\n\treturn y"))
    assert subprocess.run([sys.executable, path], capture_output=True).returncode == 1
    first, second, *_ = check(path.parent).stdout.splitlines()
    assert first == "tiny.py: line 7 mixes tabs and spaces: Python itself refuses it"
    assert second == "q1 (1): right"


def test_what_editors_make_of_a_file(tiny, tmp_path):
    path = student.new(tiny, tmp_path / "ada")
    path.write_bytes((RIGHT + "# \xfc\n").replace("\n", "\r\n").encode("latin-1"))
    assert "3 of the 3 points" in check(path.parent).stdout


def test_where_a_line_is_printed_is_not_always_a_terminal(monkeypatch):
    """In IDLE and in Jupyter it is an object of theirs; pythonw of Windows has none."""
    for stream in (io.StringIO(), None):
        monkeypatch.setattr(sys, "stdout", stream)
        checker.print_all_letters()


@pytest.mark.parametrize("missing", ["checking", "checking/checker.py"])
def test_a_check_without_its_folder_says_so(missing, tiny, tmp_path):
    path = student.new(tiny, tmp_path / "ada")
    (path.parent / missing).rename(path.parent / "elsewhere")
    sentence = "check.py: expected the folder `checking` beside it, with all that was in it\n"
    assert check(path.parent).stderr == sentence


def test_a_process_that_does_not_start_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(checker, "PATIENCE", 0)
    with pytest.raises(InputError, match=r"ada\.py: it cannot be started"):
        checker.Process(RIGHT, "ada.py")
    assert not multiprocessing.active_children()


def test_an_unknown_question_and_a_missing_file(tiny, tmp_path):
    path = student.new(tiny, tmp_path / "ada")
    assert (
        check(path.parent, "q9").stderr == "check.py: unknown question 'q9'; choose one of q1, q2\n"
    )
    assert check(path.parent, "kl").stderr.startswith("check.py: unknown question 'kl'; choose")
    assert check(path.parent, "-h").stderr.startswith("check.py: expected questions, as in python")
    two_lines = "q2 (2) (3): not written yet\n" * 2
    assert check(path.parent, "2,Q2").stdout.startswith(two_lines)
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
    cells = json.loads(text)["cells"]
    assert cells[0]["cell_type"] == "markdown"
    assert "this notebook, `tiny.ipynb`" in "".join(cells[0]["source"])
    scratch = {"cell_type": "code", "source": ["%pylab\n", "x = 1\n", "x / 0"]}
    broken = {"cell_type": "code", "source": "return ("}
    path.write_text(json.dumps({"cells": [cells[0], scratch, broken, *cells[1:]]}))
    lines = check(path.parent).stdout.splitlines()
    assert lines[0] == "tiny.ipynb: cell 2, line 3, `x / 0`: ZeroDivisionError: division by zero"
    assert lines[1] == "tiny.ipynb: cell 3, line 1, `return (`: SyntaxError: '(' was never closed"
    assert lines[2] == "q1 (1): expected an array, got str"


def test_in_a_notebook_the_check_stands_before_what_tries_the_program():
    program = 'def f():\n    pass\n\n\nif __name__ == "__main__":\n    f()\n'
    page, _, check, demo = student.student_cells("# Page", program)
    assert (page, check) == (("markdown", "# Page", ()), student.CHECK_CELL)
    assert demo.text.startswith("if __name__")


def test_what_exists_is_not_touched(tiny, tmp_path):
    (tmp_path / "ada").mkdir()
    with pytest.raises(InputError, match="ada exists already; expected the name of a new folder"):
        student.new(tiny, tmp_path / "ada")
    with pytest.raises(InputError, match="unknown format 'pdf'; choose one of py, notebook"):
        student.new(tiny, tmp_path / "eve", format="pdf")
    with pytest.raises(InputError, match="unknown hints 'none'; choose one of shown, hidden"):
        student.new(tiny, tmp_path / "eve", hints="none")
    with pytest.raises(InputError, match="expected level 1 or 2, got 3"):
        student.new(tiny, tmp_path / "eve", level=3)


def test_hidden_hints_are_not_in_the_folder(tiny, tmp_path):
    for hints in ("shown", "hidden"):
        path = student.new(tiny, tmp_path / hints, hints=hints)
        data = (path.parent / "checking" / "q1.npz").read_bytes()
        assert (b"number of rows" in data) == (hints == "shown")
        path.write_text(RIGHT.replace("x @ w / len(x)", "x @ w"))
    assert check(path.parent, "q1").stdout.startswith("q1 (1): the result is 3 times what is right")


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
    for format in student.FORMATS:
        text = " ".join(student.page(tiny, tiny.variant(1), format=format).split())
        assert "calls another of yours has that one's mistakes, too. Keep the first line" in text


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


def test_a_label_is_a_whole_number_and_whether_it_is_right_is_not_in_the_folder(tmp_path):
    assignment = load("find_the_mistake")
    path = student.new(assignment, tmp_path / "ada")
    stub = path.read_text()
    numbers = assignment.labels(assignment.question("q2", ""), assignment.variant(0))
    first, last = min(numbers), max(numbers)
    missing = 'raise NotImplementedError("q2: line_of_vae is to be written")'
    path.write_text(stub.replace(missing, f"return {last}"))
    sentence = f"q2: {last}; whether the mistake is in that line, only the grader says\n"
    assert check(path.parent, "q2").stdout == sentence
    for label in ("[2]", first - 1, last + 1, True, 2.0):
        sentence = f"expected the whole number of a label, {first} to {last}, got {label!r}"
        assert checker.about_label(label, numbers) == sentence


def test_results_are_named_by_one_function():
    drivers = [path.read_text(encoding="utf-8") for path in FOLDER.glob("*/driver.py")]
    assert drivers and not any("def named(" in text for text in drivers)
    driver = load("find_the_mistake").driver(load("find_the_mistake").variant(0))
    assert driver.count("def named(") == 1
    assert "named(submission.vae(*arguments.values()), 'the loss', " in driver


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
