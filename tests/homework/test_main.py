"""The command line, as a teacher uses it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tiny_homework import install

from tinygen.homework.__main__ import main
from tinygen.homework.assignment import load

ROOT = Path(__file__).parents[2]
posix = pytest.mark.skipif(os.name != "posix", reason="grading needs Linux or a Mac")


@pytest.fixture(autouse=True)
def tiny(tmp_path, monkeypatch):
    install(tmp_path / "kit", monkeypatch)
    monkeypatch.chdir(tmp_path)


def refused(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    return stopped.value.code


def test_list(capsys):
    main(["list"])
    assert capsys.readouterr().out.splitlines() == [
        "tiny              Two questions",
        "                  2 questions, 3 points, 5 minutes",
    ]


def test_new(tmp_path, capsys):
    main(["new", "tiny", "--variant", "7"])
    assert capsys.readouterr().out == f"{tmp_path / 'tiny' / 'tiny.py'}\n"
    first = (tmp_path / "tiny" / "tiny.py").read_text().splitlines()[0]
    assert first == "# tinygen homework: tiny, variant 7"
    assert refused("new", "tiny") == 2
    sentence = "error: tiny exists already; expected the name of a new folder\n"
    assert capsys.readouterr().err == sentence


def test_new_for_a_class(tmp_path, capsys):
    (tmp_path / "class.txt").write_bytes(b"\xef\xbb\xbfAda L\r\neve\r\n\r\n")
    main(["new", "tiny", "--class", "class.txt", "--out", "handout"])
    table = "student,variant\nAda L,1\neve,2\n"
    assert (tmp_path / "handout" / "variants.csv").read_text() == table
    for number, name in enumerate(["Ada L", "eve"], 1):
        text = (tmp_path / "handout" / name / "tiny" / "tiny.py").read_text()
        assert text.startswith(f"# tinygen homework: tiny, variant {number}\n")
    assert refused("new", "tiny", "--class", "class.txt", "--out", "handout") == 2
    assert refused("new", "tiny", "--class", "class.txt", "--variant", "0", "--out", "more") == 2
    assert "expected --class or --variant, got both" in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_a_class_list_of_any_editor(encoding, tmp_path):
    (tmp_path / "class.txt").write_bytes("José  L\r\n".encode(encoding))
    main(["new", "tiny", "--class", "class.txt", "--out", "handout"])
    assert (tmp_path / "handout" / "José L" / "tiny").is_dir()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("../eve", "expected a name without '/', got '../eve'"),
        ("O'Neill, Sean", "expected a name without ',', got"),
        ("ada\nada", "expected each student once, got 'ada' twice"),
        ("ada\nAda", "expected each student once, got 'Ada' twice"),
        ("Jos\u00e9\nJose\u0301", "expected each student once, got"),
        (".ada", "expected a name that begins with no full stop, got '.ada'"),
        ("a" * 51, "expected names of at most 50 characters, got"),
        ("\n \n", "expected the names of students, got none"),
    ],
)
def test_names_that_students_cannot_have(text, sentence, tmp_path, capsys):
    (tmp_path / "class.txt").write_text(text, encoding="utf-8")
    assert refused("new", "tiny", "--class", "class.txt", "--out", "more") == 2
    assert sentence in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"class.txt", "kit"}


def test_a_handout_is_whole_or_not_there(tmp_path, monkeypatch):
    def fails(*arguments):
        raise KeyboardInterrupt

    (tmp_path / "class.txt").write_text("ada\neve\n")
    monkeypatch.setattr("tinygen.homework.student.write_text", fails)
    assert refused("new", "tiny", "--class", "class.txt", "--out", "handout") == 130
    assert {path.name for path in tmp_path.iterdir()} == {"class.txt", "kit"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["new", "tini"],
            "argument NAME: invalid choice: 'tini' (did you mean 'tiny'?); choose one of tiny",
        ),
        (["new", "tiny", "--variant", "-1"], "expected a whole number such as 7, got '-1'"),
        (["new", "tiny", "--level", "3"], "argument --level: invalid choice: 3"),
        (
            ["grade", "nothing.py"],
            "expected a file or a folder, got nothing.py, which does not exist",
        ),
        (
            ["grade", "nothing", "--assignment", "tiny"],
            "expected a file or a folder, got nothing, which does not exist",
        ),
        (["grade", "bare.py"], "got none; name the assignment (--assignment vae)"),
        (["grade", "nothing", "--out", "results"], "expected a folder with what each student"),
        (["grade", ".", "--class", "nothing.csv"], "No such file or directory: 'nothing.csv'"),
        (["report", "nothing"], "expected a folder of results"),
        (["package", "tiny", "--for", "moodle"], "argument --for: invalid choice: 'moodle'"),
        ([], "arguments are required: COMMAND; choose one of list, new, grade, package, rep"),
        (
            ["lsit"],
            "error: argument COMMAND: invalid choice: 'lsit' (did you mean 'list'?); choose",
        ),
        (["new", "tiny", "--varaint", "3"], "--varaint 3 (did you mean '--variant'?)"),
        (["grade", "x.py", "--assignment", "tniy"], "'tniy' (did you mean 'tiny'?); choose one of"),
    ],
)
def test_what_is_refused(arguments, sentence, capsys):
    Path("bare.py").write_text("x = 1\n")
    assert refused(*arguments) == 2
    err = capsys.readouterr().err
    assert sentence in err and err.startswith("error: ") and err.count("\n") == 1


@posix
def test_grade_one(tmp_path, capsys):
    path = tmp_path / "tiny.py"
    variant = load("tiny").variant(7)
    source = load("tiny").solution(variant, [load("tiny").mistakes[0]])
    path.write_text(load("tiny").header(variant, 2) + source)
    main(["grade", str(path), "--assignment", "tiny", "--variant", "7", "--json"])
    result = json.loads(capsys.readouterr().out)
    assert (result["points"], result["of"], result["variant"]) == (1, 3, 7)
    main(["grade", str(path), "--assignment", "tiny", "--hints", "hidden"])
    shown = capsys.readouterr().out
    assert "q1 (1): wrong\nq2 (2) (3): right\n1 of 3 points\n" in shown


@posix
def test_what_cannot_be_read_is_refused_in_one_sentence(tmp_path, capsys):
    with zipfile.ZipFile(tmp_path / "class.zip", "w") as file:
        for name in ("ada/a.py", "eve/b.py"):
            file.writestr(name, "x = 1\n")
    assert refused("grade", "class.zip", "--assignment", "tiny") == 2
    assert "expected one submission in class.zip, got ada/a.py, eve/b.py" in capsys.readouterr().err
    assert refused("grade", "class.zip", "--assignment", "tiny", "--out", "results") == 2
    assert "class.zip; unpack it" in capsys.readouterr().err


@posix
def test_what_else_came_with_a_submission_is_named(tmp_path, capsys):
    header = load("tiny").header(load("tiny").variant(0), 2)
    with zipfile.ZipFile(tmp_path / "ada.zip", "w") as file:
        file.writestr("tiny.py", header + "x = 1\n")
        file.writestr("final.py", header + "x = 2\n")
    main(["grade", "ada.zip"])
    assert "tiny.py is graded; ignored: final.py" in capsys.readouterr().out.splitlines()
    with zipfile.ZipFile(tmp_path / "bob.zip", "w") as file:
        file.writestr("tiny.py", load("tiny").stub(load("tiny").variant(0)))
        file.writestr("final.py", header + "x = 2\n")
    main(["grade", "bob.zip"])
    sentence = "tiny.py, in which something is to be written yet, is graded; ignored: final.py"
    assert sentence in capsys.readouterr().out.splitlines()


@posix
def test_a_class_of_one(tmp_path, capsys):
    """Which the folder of one student looks like."""
    (tmp_path / "class").mkdir()
    (tmp_path / "class" / "eve.py").write_text("x = 1\n")
    (tmp_path / "variants.csv").write_text("student,variant\nada,1\neve,2\n")
    for flags in (["--out", "results"], ["--class", "variants.csv"]):
        main(["grade", "class", "--assignment", "tiny", *flags])
        assert "1 student" in capsys.readouterr().out.splitlines()[0]
    assert (tmp_path / "results" / "eve.json").is_file()
    main(["report", "class-graded"])
    assert "nothing was handed in by: ada" in capsys.readouterr().out.splitlines()


@posix
def test_a_failure_of_the_grader_shows_in_the_exit(tmp_path, capsys, monkeypatch):
    (tmp_path / "class").mkdir()
    failed = [{"student": "ada", "points": None}]
    monkeypatch.setattr("tinygen.homework.__main__.grade_class", lambda *_, **__: failed)
    assert refused("grade", "class", "--out", "results", "--json") == 1
    assert json.loads(capsys.readouterr().out) == failed


@posix
def test_grade_a_class_and_report(tmp_path, capsys):
    for number, student in enumerate(["ada", "eve"]):
        variant = load("tiny").variant(number)
        (tmp_path / "class" / student).mkdir(parents=True)
        (tmp_path / "class" / student / "tiny.py").write_text(load("tiny").solution(variant))
    # The workers are other processes, in which there is no `tiny`.
    main(["grade", str(tmp_path / "class"), "--assignment", "tiny"])
    shown = capsys.readouterr().out
    assert "ada" in shown and "eve" in shown
    assert {p.name for p in (tmp_path / "class-graded").glob("*.json")} == {"ada.json", "eve.json"}
    main(["report", str(tmp_path / "class-graded")])
    assert capsys.readouterr().out == shown
    main(["report", str(tmp_path / "class-graded"), "--json"])
    results = json.loads(capsys.readouterr().out)
    assert [one["student"] for one in results] == ["ada", "eve"]
    main(["report", str(tmp_path / "class-graded"), "--csv"])
    assert [line.split(",")[0] for line in capsys.readouterr().out.splitlines()] == [
        "student", "ada", "eve",
    ]  # fmt: skip
    assert refused("report", str(tmp_path / "class-graded"), "--csv", "--json") == 2
    capsys.readouterr()
    main(["grade", str(tmp_path / "class"), "--assignment", "tiny", "--json"])
    assert json.loads(capsys.readouterr().out) == results


def test_a_reader_that_goes_away():
    """As `head` does."""
    command = [sys.executable, "-m", "tinygen.homework", "list"]
    done = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT)
    done.stdout.close()
    assert (done.stderr.read(), done.wait()) == (b"", 1)
    done.stderr.close()


def test_without_a_sandbox_it_is_not_the_input_that_is_refused(tmp_path, monkeypatch, capsys):
    def fails(*arguments, **options):
        raise OSError("too many processes")

    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setattr("subprocess.Popen", fails)
    header = load("tiny").header(load("tiny").variant(0), 2)
    (tmp_path / "tiny.py").write_text(header + "x = 1\n")
    assert refused("grade", "tiny.py") == 1
    assert "the sandbox did not start: too many processes" in capsys.readouterr().err
    assert not [*temporary.iterdir()]


def test_ctrl_c(tmp_path, monkeypatch, capsys):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    (tmp_path / "tiny.py").write_text("x = 1\n")
    monkeypatch.setattr("tinygen.homework.__main__.grade", interrupted)
    assert refused("grade", "tiny.py") == 130
    assert capsys.readouterr().err.startswith("interrupted; with a class, the same command goes on")


@posix
def test_prove(capsys):
    assert refused("prove", "tiny") == 1
    out, err = capsys.readouterr()
    assert err.splitlines() == [
        "1 of 1, tiny: solution, stub and mistakes",
        "1 of 1, tiny: grades in the sandbox",
        "1 of 1, tiny: cheats",
    ]
    assert out.splitlines() == [
        "tiny: expected 10 points in all, got 3",
        "tiny: expected at least 10 planted mistakes, got 2",
    ]
