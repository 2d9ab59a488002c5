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
from tinygen.homework.classroom import Work, grade_class, is_class, submissions, variants_in
from tinygen.homework.report import report, results_in
from tinygen.homework.submission import Submission, read

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
        ".class",
        *(f"{student}.{kind}" for student in points for kind in ("json", "txt")),
    }
    assert "q1" in (out / "bob.txt").read_text()
    assert "walled off" not in (out / "bob.txt").read_text()
    sentence = "expected Python, got gil.py, which is empty"
    assert (out / "gil.txt").read_text() == f"{sentence}\n0 points\n"
    assert points.pop("bob") < 10
    assert points == {
        **dict.fromkeys(["ada", "dan", "eve"], 10),
        **dict.fromkeys(["cyd", "fay", "gil", "hal", "ivy", "jo", "kim"], 0),
    }
    for result in results:
        assert json.loads((out / f"{result['student']}.json").read_text()) == result


def test_who_cannot_be_graded_has_a_sentence(graded):
    problems = {result["student"]: result["problems"] for result in graded[2]}
    assert problems["gil"] == ["expected Python, got gil.py, which is empty"]
    assert problems["ivy"] == ["expected a .py or .ipynb file, a folder or a .zip, got ivy.docx"]
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
    assert changed == {".class", "bob.json", "bob.txt", "cyd.json", "cyd.txt"}
    assert {r["student"]: r["points"] for r in again}["cyd"] == 10
    assert [r for r in again if r["student"] == "bob"] == [
        r for r in results if r["student"] == "bob"
    ]


def test_other_options_are_another_grading(graded):
    submission = read(graded[0] / "ada.py")
    states = [
        classroom._state(submission, options)
        for options in ({}, {"seed": 1}, {"hints": "hidden"}, {"variant": 1}, {"level": 1})
    ]
    assert len({*states}) == 5


def test_a_file_one_student_and_a_class_are_told_apart(tmp_path):
    folder = tmp_path / "s"
    folder.mkdir()
    file = folder / "tiny.py"
    file.write_text(HEADER + "x = 1\n")
    assert not is_class(file) and not is_class(folder)
    (folder / "helper.py").write_text("x = 1\n")
    (folder / "data").mkdir()
    assert not is_class(folder)  # extra files of one student
    (folder / "bob.py").write_text(HEADER)
    assert is_class(folder)
    assert {*submissions(folder)} == {"tiny", "helper", "bob", "data"}
    (folder / "bob.zip").write_bytes(b"")
    (folder / "bob.py.x").mkdir()
    all_of_them = {"tiny", "helper", "bob.py", "bob.py.x", "bob.zip", "data"}
    assert {*submissions(folder)} == all_of_them
    (folder / "check.py").write_text(HEADER)
    (folder / "__MACOSX").mkdir()
    assert {*submissions(folder)} == all_of_them
    (folder / "checking").mkdir()
    assert submissions(folder) == {}  # what the kit made for one student
    assert not is_class(folder)
    (folder / "check.py").unlink()
    for name in ("tiny.py", "bob.zip"):
        (folder / name).unlink()
    assert is_class(folder)  # with one header
    assert {*submissions(folder)} == {"helper", "bob", "bob.py.x", "data"}
    (folder / "check.py").touch()
    with pytest.raises(InputError, match="expected a folder with what each student handed in"):
        grade_class(folder, tmp_path / "out")
    with pytest.raises(InputError, match="unknown assignment 'nonsense'"):
        grade_class(folder, tmp_path / "out", assignment="nonsense")


def test_each_student_has_a_name_that_can_be_a_file(tmp_path):
    """And a terminal does not obey it, nor is it a line of the table."""
    folder = tmp_path / "class"
    folder.mkdir()
    names = [
        "a\x01.py",
        "a\x02.py",
        "A?.py",
        "new\nline.py",
        "b" * 248 + ".py",
        "c  10  1.py",
        " .py",
    ]
    for name in names:
        (folder / name).touch()
    (folder / "dora\x1b[31m").mkdir()
    (folder / " .class").mkdir()
    known = {"a?", "a? (2)", "A? (3)", "new?line", "b" * 50, "c 10 1", "dora?[31m", "?", "class"}
    assert {name.lower() for name in submissions(folder)} == {name.lower() for name in known}
    results = grade_class(folder, tmp_path / "out", jobs=1)
    assert len(results) == len(names) + 2
    assert all(text.isprintable() for one in results for text in one["problems"])
    table = report(tmp_path / "out").splitlines()
    assert "c 10 1                  0" in table
    assert "b" * 15 + "...      0" in table


def test_a_class_goes_on_when_a_worker_is_ended(tmp_path):
    """As by a submission where there are no walls, or by the system when memory is short."""

    class Ends:
        def __reduce__(self):
            return os._exit, (1,)

    work = [
        Work(name, name, "there is none", options, tmp_path, "some")
        for name, options in (("ada", {}), ("eve", {"seed": Ends()}), ("fay", {}))
    ]
    results = {one["student"]: one for one in classroom._graded(work, 2)}
    eve = results.pop("eve")
    assert (eve["points"], eve["state"]) == (None, "")  # so it is graded the next time
    assert eve["problems"] == ["the grader was ended while it graded this"]
    assert {*results} == {"ada", "fay"}
    assert all(one["problems"] == ["there is none"] for one in results.values())
    assert len([*tmp_path.glob("*.json")]) == 3


def test_one_whose_file_cannot_even_be_read_does_not_stop_a_class(tmp_path, monkeypatch):
    def fails(*arguments):
        raise RecursionError

    monkeypatch.setattr(classroom, "read", fails)
    for name in ("ada.py", "bob.py"):
        (tmp_path / name).write_text("x = 1\n")
    assert is_class(tmp_path)
    results = grade_class(tmp_path, tmp_path / "out", jobs=1)
    assert [one["problems"] for one in results] == [["it cannot be read: RecursionError()"]] * 2


def test_a_class_has_one_seed_which_its_results_keep(tmp_path):
    seed = classroom._seed_in(tmp_path)
    assert classroom._seed_in(tmp_path) == seed > 2**40
    other = tmp_path / "other"
    other.mkdir()
    assert classroom._seed_in(other) != seed


def test_each_submission_is_read_once(tmp_path, monkeypatch):
    """In this process: the workers get what was read."""
    times = []

    def counts(path, *arguments):
        times.append(path.name)
        return read(path, *arguments)

    monkeypatch.setattr(classroom, "read", counts)
    for name in ("ada.py", "bob.py"):
        (tmp_path / name).write_text("# tinygen homework: unknown, variant 1\n")
    results = grade_class(tmp_path, tmp_path / "out", jobs=1)
    assert sorted(times) == ["ada.py", "bob.py"]
    assert all("unknown assignment" in one["problems"][0] for one in results)


def test_of_earlier_gradings_nothing_is_reported(tmp_path):
    """Nor does who hands in under another name count twice."""
    folder, out = tmp_path / "class", tmp_path / "out"
    folder.mkdir()
    for name in ("ada.py", "bob.py"):
        (folder / name).write_text("x = 1\n")
    grade_class(folder, out, jobs=1)
    assert [one["student"] for one in results_in(out)] == ["ada", "bob"]
    (folder / "bob.py").rename(folder / "bob_late.py")
    grade_class(folder, out, jobs=1)
    assert [one["student"] for one in results_in(out)] == ["ada", "bob_late"]
    sentence = "there are older results of bob, which are not in this report"
    assert "bob " not in report(out)
    assert sentence in report(out).splitlines()
    (folder / "ada.zip").write_bytes(b"")
    grade_class(folder, out, jobs=1)
    assert [one["student"] for one in results_in(out)] == ["ada.py", "ada.zip", "bob_late"]
    assert "ada.py, ada.zip: is this one student?" in report(out).splitlines()


NFD = "Jose\u0301"
NFC = "Jos\u00e9"


def test_whoever_handed_in_anything_is_not_missing(tmp_path):
    """By the names of the table, however a Mac or a platform writes them, and whatever it is."""
    folder, table = tmp_path / "class", tmp_path / "variants.csv"
    names = [
        *(f"{NFD}.py", "ada.py", "ada.zip", "bob_x_1_file_.docx", "cyd_2_file_vae.py", "readme.md"),
        *("cyd_2_assignsubmission_onlinetext.html", "cyd_2_report.pdf", "variants.csv"),
    ]
    (folder / "cyd_2_assignsubmission_onlinetext_").mkdir(parents=True)
    (folder / "results").mkdir()
    (folder / "results" / ".class").touch()
    for name in names:
        (folder / name).write_text("x = 1\n")
    table.write_text(f"student,variant\n{NFC},1\nada,2\nbob_x,3\ncyd,4\ndan,5\n")
    grade_class(folder, tmp_path / "out", jobs=1, variants=variants_in(table))
    results = {one["student"] for one in results_in(tmp_path / "out")}
    assert results == {NFC, "ada.py", "ada.zip", "bob_x", "cyd", "readme"}
    lines = report(tmp_path / "out").splitlines()
    assert "nothing was handed in by: dan" in lines
    assert "not in the table of variants: readme" in lines
    assert "ada.py, ada.zip: is this one student?" in lines
    assert classroom.listed("ada.zip", {"ada": 2}) == "ada"
    assert classroom.listed("doe.jane", {"doe": 2}) == "doe.jane"


def test_a_folder_has_its_whole_name(tmp_path):
    for name in ("doe.jane", "doe.john"):
        (tmp_path / name).mkdir()
    assert {*submissions(tmp_path)} == {"doe.jane", "doe.john"}


def test_a_zip_of_a_class_is_to_be_unpacked(tmp_path):
    path = tmp_path / "moodle.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("Ada/vae.py", HEADER)
    with pytest.raises(InputError, match=r"handed in, got .*moodle.zip; unpack it"):
        grade_class(path, tmp_path / "out")


def test_the_table_of_variants(tmp_path):
    path = tmp_path / "variants.csv"
    path.write_text("\ufeffstudent,variant\nAda L,1\neve,2\n", encoding="utf-8")
    assert variants_in(path) == {"Ada L": 1, "eve": 2}
    for text in ("ada\neve\n", "student,variant\nada\n", "student;variant\nada;1\n"):
        path.write_text(text)
        with pytest.raises(InputError, match=r"expected a variants\.csv of `new --class`, got"):
            variants_in(path)


def test_who_has_lost_the_first_line_is_graded_as_what_was_given(tmp_path):
    (tmp_path / "ada.py").write_text("x = 1\n")
    (tmp_path / "Eve X_123_file_vae.py").write_text("x = 1\n")
    (tmp_path / "fay.py").write_text("# tinygen homework: vae, variant 9\n")
    variants = {"ada": 3, "Eve X": 4, "fay": 5}
    work = {
        name: classroom._work(name, path, variants, {"variant": None}, tmp_path).options["variant"]
        for name, path in submissions(tmp_path).items()
    }
    assert work == {"ada": 3, "Eve X_123_file_vae": 4, "fay": None}


def fingerprint(source):
    return classroom._fingerprint(Submission("vae.py", source))


def test_equal_programs_have_one_fingerprint():
    source = "# tinygen homework: vae, variant 1\n\ndef f(x):\n    return x  # (1)\n"
    disguised = "# tinygen homework: vae, variant 2\ndef f( x ):\n  # mine\n\n  return x\n"
    assert fingerprint(source) == fingerprint(disguised)
    assert fingerprint(source) != fingerprint(source.replace("return x", "return -x"))


def test_new_names_do_not_hide_a_copy_but_other_functions_make_another_program():
    source = 'def f(z, n):\n    """Of `z`."""\n    return np.exp(z).sum() / len(z) + n\n'
    renamed = 'def f(h, k):\n    """Of `h`, by me."""\n    return np.exp(h).sum() / len(h) + k\n'
    assert fingerprint(source) == fingerprint(renamed)
    for old, new in [(".sum", ".mean"), ("np.exp", "np.log"), ("len", "sum"), ("len(z)", "len(n)")]:
        assert fingerprint(source) != fingerprint(source.replace(old, new)), new


def test_a_solution_has_one_fingerprint_in_all_letters_of_a_form():
    vae = load("vae")
    variants = [vae.variant(number) for number in range(1, 7)]
    found = {
        (variant.form, classroom._fingerprint(Submission("vae.py", vae.solution(variant))))
        for variant in variants
    }
    assert len(found) == len(vae.forms) == 2
    assert len({one for _, one in found}) == 2
