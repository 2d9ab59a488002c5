"""The marks in a solution, and the stub that is made from it."""

from __future__ import annotations

import re

import pytest

from tinygen.errors import InputError
from tinygen.homework import marks

SOLUTION = '''import numpy as np


def double(x):
    """Twice `x`."""
    # BEGIN q1 (1) (2a) points=1.5
    y = x + x
    return y
    # END


class Counter:
    def step(self):
        # BEGIN q2 level=2
        self.n += 1
        # END
        return self.n


def half(x):
    # BEGIN q3 (3) faulty
    return x / 2
    # END
'''
PLAIN, QUESTIONS = marks.parse(SOLUTION, "solution.py")


def test_a_solution_without_its_marks_is_the_program():
    assert re.sub(r" +# (BEGIN|END).*\n", "", SOLUTION) == PLAIN


def test_what_a_mark_says():
    one, two, three = QUESTIONS
    assert (one.function, two.function, three.function) == ("double", "Counter.step", "half")
    assert (one.equations, two.equations, three.equations) == (("(1)", "(2a)"), (), ("(3)",))
    assert (one.points, two.points, three.points) == (1.5, 1, 1)
    assert (one.level, two.level, three.level) == (1, 2, 1)
    assert (one.faulty, two.faulty, three.faulty) == (False, False, True)
    assert one.title == "q1 (1) (2a)"


def test_the_stub():
    stub = marks.stub(PLAIN, QUESTIONS, {"q3": "    return x * 2"})
    assert (
        stub
        == '''import numpy as np


def double(x):
    """Twice `x`."""
    # q1: equations (1) (2a), 1.5 points
    raise NotImplementedError("q1: double is to be written")


class Counter:
    def step(self):
        # q2: 1 point
        raise NotImplementedError("q2: Counter.step is to be written")
        return self.n


def half(x):
    # q3: equation (3), 1 point
    return x * 2
'''
    )


def test_what_is_not_asked_is_given():
    stub = marks.stub(PLAIN, [q for q in QUESTIONS if q.level == 1][:1], {})
    assert "self.n += 1" in stub and "x + x" not in stub


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("def f():\n    # BEGIN q1\n    pass\n", "expected # END, got the end of the file"),
        ("def f():\n    # END\n", "solution.py:2: expected # BEGIN and a line before # END"),
        ("def f():\n    # BEGIN q1\n    # END\n", "expected # BEGIN and a line before # END"),
        (
            "def f():\n    # BEGIN q1\n    # BEGIN q2\n",
            ":3: expected # END before the next # BEGIN",
        ),
        ("def f():\n    # BEGIN q2\n    pass\n    # END\n", "questions q1 in this order, got q2"),
        ("# BEGIN q1\nx = 1\n# END\n", "expected, in a function, a mark such as"),
        ("def f():\n    # BEGIN q1 5\n    pass\n    # END\n", "got # BEGIN q1 5"),
        ("def f():\n    # BEGIN q1 points=1.5.5\n    pass\n    # END\n", "a mark such as"),
        ("def f():\n    # BEGIN q1 points=.\n    pass\n    # END\n", "a mark such as"),
        ("def f():\n    # BEGIN q1 points=0.3\n    pass\n    # END\n", "expected points of 0.5, 1"),
        ("def f():\n    # BEGIN q1 level=3\n    pass\n    # END\n", "and level 1 or 2"),
    ],
)
def test_wrong_marks_are_refused(text, sentence):
    with pytest.raises(InputError, match=re.escape(sentence)):
        marks.parse(text, "solution.py")


def test_the_label_of_a_line():
    region = "    a = 1  # [7]\n    b = (a +\n         2)  # [8]\n    return b"
    assert marks.label_at(region, "a = 1") == "7"
    with pytest.raises(InputError, match=r"expected a label such as # \[7\] at the end of b = "):
        marks.label_at(region, "(a")
