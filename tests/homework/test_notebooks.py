"""Programs as notebooks, and back."""

from __future__ import annotations

import ast
import json
import time

import pytest

from tinygen.errors import InputError
from tinygen.homework.assignment import load, names
from tinygen.homework.notebooks import Cell, cells, notebook, source_of

SOURCE = '''# tinygen homework: vae, variant 7
"""What it is."""

import numpy as np

A = 1


# About f.
@decorated
def f(x):
    return x


class C:
    def g(self):
        pass


if __name__ == "__main__":
    print(f(A))
'''


def test_each_function_has_its_own_cell():
    assert [cell.text.splitlines()[0] for cell in cells(SOURCE)] == [
        "# tinygen homework: vae, variant 7",
        "# About f.",
        "class C:",
        'if __name__ == "__main__":',
    ]
    assert {cell.kind for cell in cells(SOURCE)} == {"code"}


@pytest.mark.parametrize("name", names())
def test_a_notebook_is_the_same_program(name):
    stub = load(name).stub(load(name).variant(3))
    text = source_of(notebook(cells(stub)))
    assert ast.dump(ast.parse(text)) == ast.dump(ast.parse(stub))


def test_the_format():
    """What nbformat 4.5 requires of a notebook and of its cells."""
    both = [Cell("markdown", "# Title\nText"), Cell("code", "x = 1\n", ["check"])]
    read = json.loads(notebook(both))
    assert (read["nbformat"], read["nbformat_minor"]) == (4, 5)
    assert {"kernelspec", "language_info"} <= {*read["metadata"]}
    text, code = read["cells"]
    assert {*text} == {"cell_type", "id", "metadata", "source"}
    assert {*code} == {*text, "execution_count", "outputs"}
    assert text["source"] == ["# Title\n", "Text"]
    assert code["metadata"] == {"tags": ["check"]} and code["outputs"] == []
    assert text["id"] != code["id"]


def test_what_is_no_program_is_left_out():
    graders = {"nbgrader": {"grade": True, "solution": False}}
    both = {"nbgrader": {"grade": True, "solution": True}}
    text = json.dumps(
        {
            "cells": [
                {
                    "cell_type": "code",
                    "source": ["%matplotlib inline\n", "!pip install x\n", "a = 1"],
                },
                {"cell_type": "markdown", "source": "b = 2"},
                {"cell_type": "code", "source": "%%timeit\nc = 3", "outputs": ["junk"]},
                {"cell_type": "code", "source": "d = 4", "metadata": graders},
                {"cell_type": "code", "source": "e = 5", "metadata": both},
                {"cell_type": "raw", "source": "f = 6"},
            ]
        }
    )
    meaning = {}
    exec(source_of(text), meaning)
    assert {*meaning} - {"__builtins__"} == {"a", "e"}
    marks = [line for line in source_of(text).splitlines() if line.startswith("# %% ")]
    assert marks == ["# %% cell 1", "# %% cell 3", "# %% cell 5"]


MAGICS = """%matplotlib inline
!pip install numpy
?np.sum
np.sum?
np.sum??
if True:
    !ls -l
    files = !ls
    y = %time 3
text = ("%s"
        % 3)"""


def test_magics_are_ignored_and_lines_stay_lines():
    meaning = {}
    exec(program := source_of(notebook([Cell("code", MAGICS)])), meaning)
    assert meaning["text"] == "3"
    assert program.splitlines()[1:][-1] == MAGICS.splitlines()[-1]
    assert program.count("\n") == MAGICS.count("\n") + 1
    exec(source_of(notebook([Cell("code", "%%time\ndef f():\n    return 1")])), meaning)
    assert meaning["f"]() == 1


@pytest.mark.parametrize("line", [" " * 10**5 + "(", "a" * 10**5, "%" * 10**5, "a =" + " " * 10**5])
def test_a_long_line_takes_no_long_time(line):
    begun = time.process_time()
    source_of(notebook([Cell("code", line + "\n(")]))
    assert time.process_time() - begun < 1


def test_what_is_too_long_is_refused_before_it_is_parsed(monkeypatch):
    monkeypatch.setattr(ast, "parse", None)
    with pytest.raises(InputError, match="expected at most 200 kB of Python, got more"):
        source_of(notebook([Cell("code", "0;" * 60_000)] * 2))


def test_what_jupyter_calls_a_line_is_one_for_python():
    cell = Cell("code", "%%time\r\n# one \x85 and the same\n1 / 0")
    assert source_of(notebook([cell])).split("\n")[3] == "1 / 0"


@pytest.mark.parametrize(
    "text", ["", "x = 1", "[]", "{}", '{"cells": 3}', '{"cells": [{"source": "x"}]}', "[" * 10**5]
)
def test_what_is_no_notebook_is_refused(text):
    with pytest.raises(InputError, match="expected a notebook of Jupyter's format 4, got another"):
        source_of(text)
