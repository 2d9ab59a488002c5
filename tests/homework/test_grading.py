"""From what was handed in to points and sentences, on an assignment of two questions."""

from __future__ import annotations

import json
import os
import re

import pytest
from tiny_homework import HEADER, RIGHT, install

from tinygen.errors import InputError
from tinygen.homework import assignment as assignments
from tinygen.homework import grading
from tinygen.homework.grading import Graded, grade

if os.name != "posix":
    pytest.skip("grading needs Linux or a Mac", allow_module_level=True)


@pytest.fixture(autouse=True)
def tiny(tmp_path, monkeypatch):
    install(tmp_path / "kit", monkeypatch)


def graded(source, folder, **options):
    path = folder / "tiny.py"
    path.write_bytes(source if isinstance(source, bytes) else source.encode())
    return grade(path, **options)


def lines(result):
    return [question.line for question in result.questions]


@pytest.mark.parametrize(
    ("points", "line"),
    [(2, "q1 (1): half"), (1.5, "q1 (1): half (1.5 of 2 points)"), (0, "q1 (1): half")],
)
def test_what_is_right_in_part_says_how_many_points_that_is(points, line):
    assert Graded("q1", ["(1)"], points, 2, "half").line == line


def test_the_solution_has_all_points_and_the_stub_none(tmp_path):
    result = graded(RIGHT, tmp_path)
    assert (result.points, result.of, result.problems) == (3, 3, [])
    assert lines(result) == ["q1 (1): right", "q2 (2) (3): right"]
    tiny = assignments.load("tiny")
    result = graded(tiny.stub(tiny.variant(0)), tmp_path)
    assert (result.points, result.of) == (0, 3)
    assert lines(result) == ["q1 (1): not written yet", "q2 (2) (3): not written yet"]


def test_a_planted_mistake_costs_its_question_and_says_why(tmp_path):
    source = RIGHT.replace("x @ w / len(x)", "x @ w")
    result = graded(source, tmp_path)
    assert result.points == 1
    assert lines(result) == [
        "q1 (1): it is divided by the number of rows of x",
        "q2 (2) (3): right",
    ]
    assert lines(graded(source, tmp_path, hints="hidden")) == ["q1 (1): wrong", "q2 (2) (3): right"]


def test_it_is_written_as_json(tmp_path):
    result = json.loads(json.dumps(graded(RIGHT, tmp_path).as_dict()))
    assert {*result} == {
        *("assignment", "variant", "points", "of", "isolation", "questions", "problems")
    }
    assert result["questions"][1] == {
        "id": "q2",
        "equations": ["(2)", "(3)"],
        "points": 1,
        "of": 1,
        "text": "right",
    }


def test_a_missing_function_costs_its_question(tmp_path):
    result = graded(RIGHT.replace("def product", "def produkt"), tmp_path)
    assert lines(result) == [
        "q1 (1): expected `product` in the file, got none",
        "q2 (2) (3): right",
    ]


def test_another_number_of_arguments_costs_its_question(tmp_path):
    result = graded(RIGHT.replace("(x, w)", "(x)"), tmp_path)
    assert result.points == 1
    assert "takes 1 positional argument but 2 were given" in lines(result)[0]


def test_the_line_that_failed_is_shown(tmp_path):
    result = graded(RIGHT.replace("len(x)", "n"), tmp_path)
    assert lines(result)[0] == (
        "q1 (1): line 6, `return x @ w / n`: NameError: name 'n' is not defined"
    )


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("Dear teacher, I was ill.", "line 1, `Dear teacher, I was ill.`: SyntaxError"),
        ("", "tiny.py, which is empty"),
        (b"\x00\x01", "null bytes"),
        ("#", "expected `(product|total)` in the file, got none"),
        ("def product(x, w):\nreturn 1", "line 2, `return 1`: IndentationError"),
        ("print 'x'", "SyntaxError"),
        ("(" * 10**5, "SyntaxError|MemoryError|too many|memory"),
        ("x = " + "-" * 10**5 + "1", "levels deep|memory|crash|expected `"),
        ("return 1", "SyntaxError: 'return' outside function"),
    ],
    ids=["prose", "empty", "null", "comment", "indent", "python 2", "deep", "minus", "return"],
)
def test_what_is_no_python_has_no_points_and_a_sentence(source, sentence, tmp_path):
    result = graded(source, tmp_path, assignment="tiny")
    assert (result.points, result.of, len(result.questions)) == (0, 3, 2)
    for question in result.questions:
        assert re.search(sentence, question.text), question.text
        assert "\n" not in question.text


@pytest.mark.parametrize("width", [4, 8])
def test_tabs_are_so_many_spaces(width, tmp_path):
    """As of an editor that indents by four and writes eight as a tab."""
    deeper = RIGHT.replace("    return x @ w", "    if True:\n        return x @ w")
    assert graded(deeper.replace(" " * width, "\t"), tmp_path).points == 3
    mixed = RIGHT.replace("    return x @", "    y = x\n\treturn y @")
    assert graded(mixed, tmp_path).points == 3


def test_what_the_future_brings_is_for_the_whole_file(tmp_path):
    source = (
        HEADER + "from __future__ import annotations\n" + RIGHT.replace("(x, w)", "(x: Unknown, w)")
    )
    assert graded(source, tmp_path).points == 3


def test_a_wrong_case_is_said_though_a_later_one_has_no_end(tmp_path):
    loop = "while x.shape[1] > 4: pass\n    return 2 * np.sum(x"
    result = graded(RIGHT.replace("return np.sum(x", loop), tmp_path)
    assert lines(result) == [
        "q1 (1): right",
        "q2 (2) (3): case 1 of 2 (x (3, 4)): the result is twice too large",
    ]


def test_a_question_that_calls_one_that_is_not_written(tmp_path):
    tiny = assignments.load("tiny")
    missing = 'raise NotImplementedError("q1: product is to be written")'
    stub = tiny.stub(tiny.variant(0)).replace(missing, "return total(x)")
    assert (
        lines(graded(stub, tmp_path))[0] == "q1 (1): it calls total (q2), which is not written yet"
    )


def test_a_notebook_with_a_cell_that_fails_has_the_points_of_the_others(tmp_path):
    product, total = RIGHT.split("def total")
    sources = [product, "1 / 0", "x = (", "plt.plot(x)", "%matplotlib inline", "def total" + total]
    cells = [{"cell_type": "code", "source": source, "outputs": [{}]} for source in sources]
    path = tmp_path / "tiny.ipynb"
    path.write_text(json.dumps({"cells": cells, "nbformat": 4, "nbformat_minor": 5}))
    result = grade(path)
    assert result.points == 3, result
    assert len(result.problems) == 1
    assert result.problems[0] == "cell 2, line 1, `1 / 0`: ZeroDivisionError: division by zero"


def test_a_module_may_look_at_itself(tmp_path):
    """Dataclasses do, and functions that are found by their names."""
    source = RIGHT.replace(
        "def total",
        "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: 'float' = 1\n"
        "import sys\nassert sys.modules[__name__].P().x == 1\nassert __name__ != '__main__'\n"
        "def total",
    )
    result = graded(source, tmp_path)
    assert (result.points, result.problems) == (3, [])


HONEST = [
    "np.linalg.norm(np.linalg.inv(np.eye(2))), np.einsum('ij,jk->ik', np.eye(2), np.eye(2))",
    "np.random.default_rng(0).standard_normal(3), np.random.seed(0), np.random.randn(2)",
    "np.fft.fft(np.ones(3)), np.polynomial.Polynomial([1]), np.ma.masked_array([1])",
    "np.testing.assert_allclose(1, 1), np.lib.stride_tricks.as_strided(np.ones(3))",
    "str(np.ones((3, 3))), repr(np.float32(1)), f'{np.pi:.3f}', np.array2string(np.eye(2))",
    "np.log(np.zeros(2)), 1 / np.zeros(2), np.exp(np.full(2, 1e4))",
    "__import__('warnings').warn('once'), print('text', flush=True)",
    "np.median(np.arange(3)), np.quantile(np.arange(3), 0.5), np.unique([1])",
    "[f for f in (math, itertools, functools, collections.abc, typing, re, json, random)]",
    "statistics.mean([1, 2]), fractions.Fraction(1, 2), inspect.signature(product)",
    "time.perf_counter(), time.strftime('%c'), 'ß'.encode('latin-1'), sorted('ab')",
    "np.vectorize(abs)(1), np.apply_along_axis(sum, 0, np.eye(2)), np.meshgrid([1], [2])",
    "np.block([[np.eye(2)]]), np.kron(np.eye(2), np.eye(2)), np.genfromtxt(['1 2'])",
]


def test_what_honest_students_use_works_without_files(tmp_path):
    modules = "math itertools functools collections.abc typing re json random statistics fractions"
    imports = [f"import {name}" for name in [*modules.split(), "inspect", "time", "warnings"]]
    source = "\n".join([*imports, RIGHT, *(f"used = ({line},)" for line in HONEST)])
    result = graded(source, tmp_path)
    assert (result.points, result.problems) == (3, [])


def test_a_star_loads_what_numpy_loads_late(tmp_path):
    source = RIGHT.replace("import numpy as np", "import numpy as np\nfrom numpy import *")
    result = graded(f"{source}\nfrom unittest.mock import Mock\n", tmp_path)
    assert (result.points, result.problems) == (3, [])


def test_a_notebook_with_half_a_character_is_read(tmp_path):
    cells = [{"cell_type": "code", "source": source} for source in (RIGHT, "x = '\ud800'")]
    path = tmp_path / "tiny.ipynb"
    path.write_text(json.dumps({"cells": cells, "nbformat": 4, "nbformat_minor": 5}))
    assert grade(path).points == 3


@pytest.mark.parametrize("seed", [0, 7])
def test_right_results_of_a_seed_that_is_known_do_not_help(seed, tmp_path):
    """That of the student's own check, or of the grader."""
    tiny = assignments.load("tiny")
    expected = tiny.known("q1", tiny.variant(0), seed).expected[0].tolist()
    source = RIGHT.replace("x @ w / len(x)", f"np.array({expected})")
    assert graded(source, tmp_path, seed=seed).questions[0].points == 0


def test_without_a_seed_nobody_can_know_the_numbers(tmp_path, monkeypatch):
    """Each grading has a new one; with a seed it is that."""
    seeds = []
    monkeypatch.setattr(grading, "_seed", lambda seed, source: seeds.append(seed) or 1)
    for options in ({}, {}, {"seed": 5}):
        graded("", tmp_path, assignment="tiny", **options)
    assert seeds[2] == 5 and len({*seeds}) == 3
    assert min(seeds[:2]) > 2**40  # or they could be tried one by one


def test_the_numbers_depend_on_the_seed_and_on_what_was_handed_in_and_on_nothing_else():
    seeds = [grading._seed(*both) for both in ((1, "x"), (1, "y"), (2, "x"), (1, "x"))]
    assert seeds[0] == seeds[3] and len({*seeds}) == 3
    assert min(seeds) >= 0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"hints": "some"}, "hints"),
        ({"level": 3}, "expected level 1 or 2, got 3"),
        ({"assignment": "nonsense"}, "unknown assignment 'nonsense'"),
    ],
)
def test_options_that_there_are_not_are_refused(options, sentence, tmp_path):
    with pytest.raises(InputError, match=sentence):
        graded(RIGHT, tmp_path, **options)


def test_without_the_first_line_it_must_be_said_which_homework_it_is(tmp_path):
    source = RIGHT.removeprefix(HEADER)
    with pytest.raises(InputError, match="expected a first line such as"):
        graded(source, tmp_path)
    result = graded(source, tmp_path, assignment="tiny")
    assert result.points == 3
    assert result.problems == [
        "there is no first line that says which variant it is: graded as variant 0"
    ]
    assert not graded(source, tmp_path, assignment="tiny", variant=0).problems


def test_the_first_line_says_the_level(tmp_path, monkeypatch):
    tiny = assignments.load("tiny")
    questions = tiny.questions
    monkeypatch.setattr(tiny, "questions", lambda v, level=2: questions(v, level)[:level])
    assert tiny.header(tiny.variant(3), 1) == "# tinygen homework: tiny, variant 3, level 1\n"
    source = RIGHT.replace("variant 0", "variant 0, level 1")
    assert graded(source, tmp_path).of == 2
    assert graded(source, tmp_path, level=2).of == graded(RIGHT, tmp_path).of == 3


def test_a_function_that_is_no_python_costs_itself_alone(tmp_path):
    for broken in (
        "def f(:\n    return 1\n",
        "def f():\nreturn 1\n",
        "x = (\n\n",
        "if True\n    y = 1\n",
    ):
        for source in (RIGHT + broken, RIGHT.replace("def total", broken + "def total")):
            result = graded(source, tmp_path)
            assert result.points == 3, source
            assert "line " in result.problems[0]
    result = graded(RIGHT.replace("axis=0)", "axis=0"), tmp_path)
    unread = "q2 (2) (3): `total` cannot be read, because of an error in the file"
    assert lines(result) == ["q1 (1): right", unread]


def test_a_variant_is_graded_as_what_it_says(tmp_path):
    source = RIGHT.replace("variant 0", "variant 3").replace("x @ w / len(x)", "x @ w")
    result = graded(source, tmp_path)
    letter = assignments.load("tiny").variant(3).names.get("x", "x")
    assert result.variant == 3
    assert result.questions[0].text.endswith(f"rows of {letter}")
    assert graded(source, tmp_path, variant=0).questions[0].text.endswith("rows of x")


def test_which_walls_there_were_is_said():
    assert grading._isolation(["files", "network", "processes", "memory"]).startswith("walled off")
    text = grading._isolation(["files", "memory"])
    assert text.startswith("NOT walled off") and "network, processes" in text
