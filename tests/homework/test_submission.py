"""What students hand in, as it is in life: one text of Python, or one sentence."""

from __future__ import annotations

import json
import os
import re
import subprocess
import zipfile
from pathlib import Path

import pytest
from tiny_homework import HEADER, RIGHT

from tinygen.errors import InputError
from tinygen.homework import submission
from tinygen.homework.assignment import load, names
from tinygen.homework.sandbox import wire
from tinygen.homework.submission import read

CODE = HEADER + "def f(x):\n    return x  # ä\n"


def written(folder, **files):
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        path = folder / name.replace("__", ".")
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return folder


def zip_of(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in files.items():
            file.writestr(name, data)
    return path


def notebook(*cells):
    return json.dumps({"cells": [*cells], "nbformat": 4, "nbformat_minor": 5, "metadata": {}})


def code(source, *outputs, **metadata):
    return {"cell_type": "code", "source": source, "outputs": [*outputs], "metadata": metadata}


def test_a_file_says_what_it_is_of(tmp_path):
    got = read(written(tmp_path / "s", tiny__py=CODE) / "tiny.py")
    assert (got.name, got.assignment, got.variant) == ("tiny.py", "tiny", 0)
    assert got.source == CODE


def test_a_folder_or_a_zip_may_not_be_large(tmp_path):
    """Hidden folders are not looked into: a .venv has thousands of files."""
    folder = written(tmp_path / "s", tiny__py=CODE)
    many = {f"{i}.txt": b"" for i in range(submission.MOST_FILES)}
    written(folder / ".venv", **many)
    assert read(folder).source == CODE
    written(folder / "data", **many)
    with pytest.raises(InputError, match=r"expected at most 2000 files in s, got more"):
        read(folder)
    with open(tmp_path / "a.zip", "wb") as file:
        file.truncate(submission.LARGEST_ZIP + 1)
    with pytest.raises(InputError, match=r"expected at most 20,000 kB, got more in a\.zip"):
        read(tmp_path / "a.zip")


def test_what_the_grader_may_not_read_is_not_called_empty(tmp_path, monkeypatch):
    zipped = zip_of(tmp_path / "a.zip", {"tiny.py": CODE})
    folder = written(tmp_path / "s", tiny__py=CODE)
    monkeypatch.setattr(submission.os, "access", lambda *_: False)  # as to root all is permitted
    for path in (zipped, folder, folder / "tiny.py"):
        with pytest.raises(InputError, match=f"{path.name} cannot be read: permission denied"):
            read(path)


@pytest.mark.parametrize(
    "data",
    [
        CODE.encode(),
        CODE.replace("\n", "\r\n").encode(),
        CODE.replace("\n", "\r").encode(),
        b"\xef\xbb\xbf" + CODE.encode(),
        CODE.encode("utf-16"),
        CODE.encode("latin-1"),
        CODE.encode("cp1252"),
    ],
    ids=["utf-8", "windows", "old mac", "BOM", "utf-16", "latin-1", "cp1252"],
)
def test_line_ends_and_encodings_are_no_mistakes(data, tmp_path):
    assert read(written(tmp_path / "s", tiny__py=data)).source == CODE


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "tiny.py, which is empty"),
        (b" \r\n\t\n", "tiny.py, which is empty"),
        (b"x = 1\0", "null bytes"),
        (CODE.encode("utf-16")[2:], "null bytes"),
        (b"#" * 200_001, "at most 200 kB in tiny.py"),
        ("ä".encode() * 50_000, "at most 200 kB of Python in tiny.py"),  # as it is sent
    ],
)
def test_a_file_that_is_no_text_is_refused_in_a_sentence(data, sentence, tmp_path):
    with pytest.raises(InputError, match=re.escape(sentence)):
        read(written(tmp_path / "s", tiny__py=data))


def test_a_large_file_is_not_read(tmp_path):
    path = tmp_path / "tiny.py"
    with open(path, "wb") as file:
        file.truncate(10**8)
    with pytest.raises(InputError, match=r"at most 200 kB in tiny\.py, got more"):
        read(path)


def test_of_a_folder_the_file_with_the_first_line_is_taken(tmp_path):
    folder = written(tmp_path / "s", tiny__py=CODE, helper__py="x = 1", notes__txt="?", page__md="")
    written(folder / "checking", checker__py=CODE)
    written(folder / "data", more__py="y = 1")
    written(folder, check__py=CODE, _hidden__py="")
    assert read(folder).source == CODE


def test_the_largest_file_can_be_sent_to_the_sandbox():
    """With the longest driver that there is."""
    longest = max(len(load(name).driver(load(name).variant(0))) for name in names())
    wire.pack({"source": "x" * submission.LARGEST_SOURCE, "driver": "x" * 3 * longest})


def test_folders_may_be_deep_and_names_long(tmp_path, monkeypatch):
    """Only 20 levels are looked at; a long name is shown in part."""
    folder = written(tmp_path / "s", tiny__py=CODE)
    long = folder.joinpath(*["a" * 199] * 4, "a" * 197 + ".py")  # of 1000 characters
    long.mkdir(parents=True)
    (long / "notes.txt").touch()
    monkeypatch.chdir(folder)
    for _ in range(1100):
        os.mkdir("x")
        os.chdir("x")
    Path("other.py").write_text(CODE)
    os.chdir(tmp_path)
    try:
        assert read(folder).source == CODE
    finally:
        subprocess.run(["rm", "-r", folder], check=True)


def test_of_two_the_one_that_is_named_after_the_homework_is_taken(tmp_path):
    folder = written(tmp_path / "s", tiny__py=CODE, tiny_old__py=CODE + "x = 1\n")
    assert read(folder).name == "tiny.py"
    (folder / "tiny.py").rename(folder / "tiny (1).py")
    with pytest.raises(
        InputError, match=r"expected one submission in s, got tiny \(1\).py, tiny_old"
    ):
        read(folder)


def test_without_the_first_line_a_single_file_or_the_name_will_do(tmp_path):
    folder = written(tmp_path / "s", mine__py="x = 1\n")
    assert read(folder).assignment == ""
    written(folder, other__py="x = 1\n")
    with pytest.raises(InputError, match=r"expected one submission in s, got mine\.py, other\.py"):
        read(folder)
    (folder / "other.py").rename(folder / "tiny.py")
    assert read(folder, "tiny").name == "tiny.py"


def test_one_of_another_homework_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"expected homework vae, got tiny in tiny\.py"):
        read(written(tmp_path / "s", tiny__py=CODE), "vae")


@pytest.mark.parametrize("name", ["nowhere.py", "s.docx", "s"])
def test_what_is_no_submission_is_refused(name, tmp_path):
    written(tmp_path / "s", notes__txt="?")
    (tmp_path / "s.docx").write_bytes(b"?")
    with pytest.raises(InputError, match=r"^expected "):
        read(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no pipes")
def test_a_link_or_a_pipe_is_not_followed(tmp_path):
    """It would lead to the solution, on the grader's disk."""
    (tmp_path / "solution.py").write_text(CODE)
    folder = written(tmp_path / "s")
    (folder / "tiny.py").symlink_to(tmp_path / "solution.py")
    with pytest.raises(InputError, match=r"tiny\.py cannot be read"):
        read(folder)
    (folder / "tiny.py").unlink()
    os.mkfifo(folder / "tiny.py")
    with pytest.raises(InputError, match=r"tiny\.py, which is none"):
        read(folder)
    (folder / "tiny.py").rename(tmp_path / "tiny.zip")
    with pytest.raises(InputError, match=r"got tiny\.zip"):
        read(tmp_path / "tiny.zip")
    (folder / "sub").symlink_to(tmp_path)
    with pytest.raises(InputError, match="got none"):
        read(folder)


def test_a_zip_is_read_without_being_unpacked(tmp_path):
    files = {"alice/tiny.py": CODE, "alice/check.py": "x", "__MACOSX/alice/._tiny.py": "x"}
    assert read(zip_of(tmp_path / "a.zip", files)).source == CODE
    windows = {"alice\\tiny.py": CODE}
    assert read(zip_of(tmp_path / "b.zip", windows)).source == CODE
    assert sorted(os.listdir(tmp_path)) == ["a.zip", "b.zip"]


def test_a_zip_in_a_folder_is_read_if_there_is_nothing_else(tmp_path):
    """As where a platform gives a folder to each student."""
    folder = written(tmp_path / "ada_1_file_", notes__txt="?")
    zip_of(folder / "mine.zip", {"tiny/tiny.py": CODE, "tiny/check.py": "x"})
    assert read(folder).source == CODE
    written(folder, tiny__py=CODE + "# mine\n")
    assert read(folder).source == CODE + "# mine\n"
    (folder / "tiny.py").unlink()
    (folder / "mine.zip").rename(tmp_path / "other.zip")
    (folder / "mine.zip").symlink_to(tmp_path / "other.zip")
    with pytest.raises(InputError, match="got none"):
        read(folder)


def test_a_link_that_the_teacher_names_is_followed(tmp_path):
    (written(tmp_path / "s", tiny__txt=CODE) / "tiny.py").symlink_to(tmp_path / "s" / "tiny.txt")
    assert read(tmp_path / "s" / "tiny.py").source == CODE


def test_a_program_goes_before_its_notebook(tmp_path):
    """As Jupyter writes it; the other one is named."""
    cells = notebook(code(CODE))
    got = read(zip_of(tmp_path / "a.zip", {"s/tiny.ipynb": cells, "s/tiny.py": CODE}))
    assert (got.name, got.ignored) == ("s/tiny.py", ("s/tiny.ipynb",))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_file_that_is_in_a_zip_twice(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for _ in range(2):
            file.writestr("tiny.py", CODE)
    with pytest.raises(InputError, match=r"each file once in a\.zip, got tiny\.py twice"):
        read(tmp_path / "a.zip")


def test_a_zip_that_climbs_out_is_read_for_what_does_not(tmp_path):
    climbing = {"../../tiny.py": "evil", "/tmp/tiny.py": "evil", "..\\tiny.py": "evil"}
    assert read(zip_of(tmp_path / "a.zip", {**climbing, "tiny.py": CODE})).source == CODE
    with pytest.raises(InputError, match="got none"):
        read(zip_of(tmp_path / "b.zip", climbing))
    assert sorted(os.listdir(tmp_path)) == ["a.zip", "b.zip"]


def broken(path, change):
    data = bytearray(zip_of(path, {"tiny.py": CODE}).read_bytes())
    change(data)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("position", range(0, 150, 3))
def test_a_broken_zip_is_refused_in_a_sentence(position, tmp_path):
    def flip(data):
        data[position % len(data)] ^= 0xFF

    try:
        assert read(broken(tmp_path / "a.zip", flip)).source == CODE
    except InputError as error:
        assert "\n" not in str(error)


def test_a_zip_bomb_does_not_go_off(tmp_path, monkeypatch):
    path = zip_of(tmp_path / "a.zip", {"tiny.py": b"#" * 10**8})
    with zipfile.ZipFile(path) as file:
        monkeypatch.setattr(file, "open", None)  # nothing of it is unpacked
        got = submission._of_member(file, file.infolist()[0], "tiny.py")
        assert str(got) == "expected at most 200 kB in tiny.py, got more"
    assert path.stat().st_size < 10**6
    with pytest.raises(InputError, match=r"at most 200 kB in tiny\.py, got more"):
        read(path)
    with zipfile.ZipFile(tmp_path / "c.zip", "w", zipfile.ZIP_BZIP2) as file:
        file.writestr("tiny.py", CODE)  # of which Python unpacks more than it is asked for
    with pytest.raises(InputError, match=r"got tiny\.py compressed in another way"):
        read(tmp_path / "c.zip")
    notebooks = {f"{i}.ipynb": b" " * 15_000_000 for i in range(3)}
    with pytest.raises(InputError, match=r"at most 40,000 kB of \.py and \.ipynb files in d\.zip"):
        read(zip_of(tmp_path / "d.zip", notebooks))
    many = zip_of(tmp_path / "b.zip", {f"{i}.py": "" for i in range(submission.MOST_FILES + 1)})
    with pytest.raises(InputError, match=r"at most 2000 files in b\.zip"):
        read(many)


def test_a_zip_with_a_link_or_a_password_is_refused(tmp_path):
    link = zipfile.ZipInfo("tiny.py")
    link.external_attr = 0o120777 << 16
    with pytest.raises(InputError, match=r"tiny\.py, which is a link"):
        read(zip_of(tmp_path / "a.zip", {link: "/etc/passwd"}))

    def encrypt(data):
        data[6] |= 1
        data[data.index(b"PK\x01\x02") + 8] |= 1

    with pytest.raises(InputError, match=r"tiny\.py cannot be unpacked"):
        read(broken(tmp_path / "b.zip", encrypt))


def test_names_are_shown_without_what_a_terminal_would_obey(tmp_path):
    with pytest.raises(InputError) as caught:
        read(zip_of(tmp_path / "a.zip", {"\x1b[2J.py": "", "b.py": ""}))
    assert str(caught.value) == "expected one submission in a.zip, got ?[2J.py, b.py"


def test_of_a_notebook_the_cells_with_code_are_taken(tmp_path):
    text = notebook(
        {"cell_type": "markdown", "source": "x = 1"},
        code([HEADER, "import numpy as np"]),
        code(
            "%matplotlib inline\n!pip install torch\n?f\nx = 2",
            {"output_type": "stream", "text": "?"},
        ),
        code("1 / 0", {"output_type": "error", "ename": "ZeroDivisionError", "traceback": []}),
        code("%%time\nx = 3"),
        code("assert False", nbgrader={"grade": True, "solution": False}),
        {"cell_type": "raw", "source": "x = 4"},
    )
    got = read(written(tmp_path / "s", tiny__ipynb=text))
    assert (got.assignment, got.variant) == ("tiny", 0)
    names = {}
    exec(got.source.replace("1 / 0", ""), names)
    assert names["x"] == 3


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "no json", '{"cells": 3}', '{"cells": [3]}', '{"cells": [{}]}', "[" * 10**5,
     notebook(code(3)), notebook(code([3])), notebook({"cell_type": "code"}),
     notebook({**code("x"), "metadata": []}), "9" * 10**4],
    ids=str.__len__,
)  # fmt: skip
def test_what_is_no_notebook_is_refused_in_a_sentence(text, tmp_path):
    with pytest.raises(InputError, match=r"(tiny\.ipynb|which is empty)") as caught:
        read(written(tmp_path / "s", tiny__ipynb=text))
    assert "\n" not in str(caught.value)


def test_the_right_one_of_the_tests_is_python():
    compile(RIGHT, "tiny.py", "exec")
    assert "BEGIN" not in RIGHT
