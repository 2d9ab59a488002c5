"""The kit proves itself, for all assignments; and what a proof says of one that is wrong."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tiny_homework import ASSIGNMENT, FILES, MISTAKES, SOLUTION, install, write

from tinygen.errors import InputError
from tinygen.homework.assignment import Assignment, execute, load, names
from tinygen.homework.feedback import verdict
from tinygen.homework.prove import prove, prove_grading
from tinygen.homework.sandbox import wire

posix = pytest.mark.skipif(os.name != "posix", reason="grading needs Linux or a Mac")


@pytest.mark.parametrize("name", names())
def test_an_assignment_is_what_it_should_be(name):
    assert [*prove(load(name), range(3), seeds=(0, 1))] == []


@posix
@pytest.mark.parametrize("name", names())
def test_an_assignment_is_graded_as_it_should_be(name):
    assert [*prove_grading(load(name), [0], most=2)] == []


CHANGES = {
    "None": lambda x: None,
    "text": lambda x: "x",
    "NaN": lambda x: np.full(np.shape(x), np.nan),
    "infinity": lambda x: np.full(np.shape(x), np.inf),
    "large": lambda x: np.full(np.shape(x), 1e300),
    "negative": lambda x: np.full(np.shape(x), -(10**9)),
    "number": lambda x: 1.7,
    "nothing": lambda x: np.zeros(0),
    "more axes": lambda x: np.zeros((2, 1, 3, 1, 2)),
    "complex": lambda x: np.asarray(x) * 1j,
}


def changed(result: Any, change: Callable) -> Any:
    """A result with something else in the place of each array."""
    if isinstance(result, dict):
        return {name: changed(x, change) for name, x in result.items()}
    if isinstance(result, tuple):
        return tuple(changed(x, change) for x in result)
    return change(result)


@pytest.mark.parametrize("name", names())
def test_whatever_is_returned_is_judged_in_a_sentence(name):
    variant = load(name).variant(1)
    for question in load(name).questions(variant):
        known = load(name).known(question.id, variant, 0)
        known = replace(known, mistakes=lambda: [], pairs=lambda: [])
        right = known.expected
        wrong = [[changed(r, change) for r in right] for change in CHANGES.values()]
        for results in [*wrong, [(r, r) for r in right], [{"a": r} for r in right]]:
            fraction, sentence = verdict(results, known)
            assert fraction < 1 and sentence, (question.id, results)


def test_ten_assignments_have_a_hundred_points_and_a_hundred_mistakes():
    all_ = [load(name) for name in names()]
    assert len(all_) == 10
    assert sum(q.points for a in all_ for q in a.questions(a.variant(0))) == 100
    assert sum(len(a.mistakes) for a in all_) >= 100


SMALL = ["expected 10 points in all, got 3", "expected at least 10 planted mistakes, got 2"]
"""What is wrong with `tiny` at all times."""


def test_a_good_assignment(tmp_path):
    assert [*prove(Assignment(write(tmp_path)))] == SMALL


def mistake(old: str, new: str, hint: str = "a hint", question: str = "q1") -> str:
    """mistakes.py with one more."""
    return MISTAKES.replace("\n]", f"\n    Mistake({question!r}, {old!r}, {new!r}, {hint!r}),\n]")


DIVISION = "/ len(x)"
RETURN = "return x @ w / len(x)"
LABELS = SOLUTION.replace(RETURN, RETURN.replace("return", "y =") + "  # [7]\n    return y")
LABELS += "\ndef line():\n    # BEGIN q3 label=q1\n    return 0\n    # END\n"
WRONG = [
    ({"mistakes": mistake(DIVISION, "/ x.shape[0]")}, "-> '/ x.shape[0]': no point is lost"),
    ({"mistakes": mistake(DIVISION, "* 1.0")}, "q1: two mistakes have the same result: a hint;"),
    ({"mistakes": mistake(DIVISION, "/ 0 + None")}, "q1: of 2 mistakes, 1 give a result"),
    ({"mistakes": mistake(DIVISION, "/ 5", "a.")}, "the hint ends with a full stop: a."),
    ({"mistakes": mistake(DIVISION, "/ 5", DIVISION)}, "the hint shows the right code: / len(x)"),
    ({"mistakes": mistake(DIVISION, "/ 5", "of @v")}, "@v: expected one of LETTERS: x"),
    ({"mistakes": mistake("return x @ w", "return w\nnp = None\ndef f(x):\n    1")},
     "q2 fails: AttributeError"),
    ({"solution": LABELS, "mistakes": mistake("return y", "return 2 * y"),
      "assignment": ASSIGNMENT + "\ndef q3(random, form):\n    return {}\n"},
     "q1: expected a label such as # [7] at the end of return y"),
    ({"solution": SOLUTION.replace("\ndef t", "\nclass A:\n  def t")},
     "expected a q2 in driver.py, as A.total is a method"),
    ({"page": FILES["page.md"].replace("{2}", "{9}")}, "q2: equation (2) is not in the page"),
    ({"page": FILES["page.md"] + "$u = 2$"}, "page.md: u without an @ in $u = 2$"),
    ({"page": FILES["page.md"] + "`f(u, 2)`"}, "page.md: u without an @ in `f(u, 2)`"),
    ({"page": FILES["page.md"] + "of @x"}, "@x is in prose"),
    ({"solution": SOLUTION.replace("np.sum(x", "np.random.uniform() * np.sum(x")},
     "q2: the solution loses points: "),
    ({"solution": SOLUTION.replace("np.sum", "np.add_up")},
     "tiny: the solution of q2 fails: AttributeError: module 'numpy' has no attribute"),
    ({"assignment": ASSIGNMENT.replace("(4, 2)", "(4, 4)")},
     "q1: expected different sizes above 1 of w, got [(4, 4)]"),
    ({"solution": SOLUTION + "\nproduct(np.ones((1, 1)), np.ones((1, 1)))\n"},
     "q2: the stub says q1: product is to be written"),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "sentence"), WRONG, ids=[sentence for _, sentence in WRONG])
def test_what_is_wrong_is_said(changed, sentence, tmp_path):
    sentences = [*prove(Assignment(write(tmp_path, **changed)))]
    assert any(sentence in one for one in sentences), sentences


def test_a_missing_page_and_note(tmp_path):
    home = write(tmp_path)
    (home / "page.md").unlink()
    (home / "teacher.md").unlink()
    assert [*prove(Assignment(home))] == ["expected a page.md", "expected a teacher.md", *SMALL]


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (
            {"mistakes": mistake("np.exp", "np.log")},
            "tiny: expected 'np.exp' once in q1, got 0 times",
        ),
        ({"mistakes": mistake("x", "y")}, "tiny: expected 'x' once in q1, got 2 times"),
        ({"mistakes": mistake("x", "y", question="q7")}, "unknown question 'q7'"),
        ({"assignment": ASSIGNMENT.replace("x u", "x w")}, "w is in LETTERS of x already"),
        ({"solution": LABELS}, "expected a function q3 in assignment.py of 01_tiny"),
        ({"solution": "x = (\n"}, "solution.py:1: '(' was never closed"),
        ({"assignment": "TITLE = x\n"}, "assignment.py of 01_tiny fails: NameError: name 'x'"),
        ({"assignment": ASSIGNMENT + 'FORMS = ["rows"]'}, "expected a solution_rows.py in 01_tiny"),
    ],
)
def test_what_cannot_be_loaded(changed, sentence, tmp_path):
    with pytest.raises(InputError, match=re.escape(sentence)):
        Assignment(write(tmp_path, **changed))


def test_results_are_what_they_are_when_they_have_been_sent():
    lists = {"a": [1, 2.5], "b": ([[1, 2], [3, 4]], None, True, "x", np.float32(0.1), np.int64(3))}
    for value in (lists, np.ones((2, 3)).T, [np.float64(1), np.float64(2)], (), np.nan):
        one, other = wire.sent(value), wire.unpack(wire.pack(value))
        assert repr(one) == repr(other)


def test_what_is_given_follows_the_solution_of_each_form(tmp_path):
    home = write(tmp_path, assignment=ASSIGNMENT + 'FORMS = ["rows", "columns"]')
    for form in ("rows", "columns"):
        (home / f"solution_{form}.py").write_text(f"{SOLUTION}\n\nFORM = {form!r}\n")
    given = "# Given.\n\n\ndef both(y):\n    return FORM, total(y)\n"
    (home / "given.py").write_text(given)
    tiny = Assignment(home)
    for number, form in enumerate(tiny.forms):
        variant = tiny.variant(number)
        assert execute(tiny.solution(variant), "solution").both([[2.0], [3]]) == (form, [5])
        assert tiny.stub(variant).endswith(f"\n\n\nFORM = {form!r}\n\n\n{given}")
    (home / "given.py").write_text("x = 1\ny = (\n")
    with pytest.raises(InputError, match=re.escape("given.py:2: '(' was never closed")):
        Assignment(home)


@posix
def test_a_proof_of_grading_sees_what_is_wrong(tmp_path, monkeypatch):
    install(tmp_path, monkeypatch)
    assert [*prove_grading(load("tiny"))] == []
    load("tiny").mistakes[0] = load("tiny").mistakes[1]  # q1 has none now, and q2 its own twice
    solution = load("tiny").solution
    monkeypatch.setattr(load("tiny"), "solution", lambda v, m=(): solution(v, m).replace("0", "1"))
    assert any(
        "expected 'right', got 'the sum is over the w" in s for s in prove_grading(load("tiny"))
    )
