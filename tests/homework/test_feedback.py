"""Why a result is wrong, in a sentence."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygen.homework.feedback import (
    Known,
    Stopped,
    Verdict,
    failure,
    fingerprint,
    line_of,
    same,
    verdict,
)

RANDOM = np.random.default_rng(0)
A, B = RANDOM.standard_normal((3, 4)), RANDOM.standard_normal((5,))
CASE = {"x": RANDOM.standard_normal((3, 4)), "k": 7, "p": {"W": RANDOM.standard_normal((4, 2))}}


def known(expected, *mistakes, judge=None, cases=None, pairs=()):
    return Known(
        cases=cases or [CASE],
        expected=[expected] if cases is None else expected,
        mistakes=lambda: [(hint, fingerprint([wrong])) for hint, wrong in mistakes],
        pairs=lambda: [(hint, fingerprint([wrong])) for hint, wrong in pairs],
        names={"x": "u"},
        tolerance=1e-7,
        judge=judge,
    )


SENTENCES = [
    (A, 2 * A, "the result is twice too large"),
    (A, A / 2, "the result is half of what is right"),
    (A, -A, "the result has the other sign"),
    (A, A / 3, "the result is 1/3 times what is right, with 3 = u.shape[0]"),
    (A, A / 7, "the result is 1/k times what is right, with k = 7"),
    (A, A * 0, "the result is 0"),
    (A, A.T, "the result: expected the shape (3, 4), got (4, 3): it is transposed"),
    (A, A[0], "the result: expected the shape (3, 4), got (4,)"),
    (A, A + 1, "the result is 1 too large in every element"),
    (A, A * 12 / 7, "the result is 12/7 times what is right, or 3 * 4/7 times, with 3 = u.s"),
    (A, A * 4 / 3, "the result is 4/3 times what is right, with 3 = u.shape[0] and 4 = u.shape[1]"),
    (A, A * 49, "the result is 49, or k^2 times what is right, with k = 7"),
    (A, A / 12, "the result is 1/(3 * 4) times what is right, with 3 = u.shape[0] and 4 = u.s"),
    (A, A / 3.5, "the result is 2/k times what is right, with k = 7"),
    (A, A - 1, "the result is 1 too small in every element"),
    (3.0, B, "the result: expected a number, got an array (5,)"),
    (A, (A,), "expected an array, got 1 result in a tuple"),
    (A, A.cumsum().reshape(3, 4), "the result is wrong in 11 of 12 elements; at "),
    (A, A**2 + 9, "the result is wrong in all 12 elements; at "),
    (A, A + 1e-6 * (A > 1), "the result is right to 6 digits only: is something small added?"),
    (A, A + 1e-2 * (A > 1), "the result is wrong in 1 of 12 elements; at [1, 2], expected 1.304"),
    (A, np.where(A > 1, np.nan, A), "the result has NaN in "),
    (A, A + np.inf, "the result has infinity in 12 of 12 elements"),
    (A, None, "expected an array, got None: is there a return?"),
    (A, "A", "expected an array, got str"),
    (A, (A, A), "expected an array, got 2 results"),
    (A, A * 1j, "expected an array, got an array of complex128"),
    (A, {}, "expected an array, got a dictionary with nothing"),
    (3.0, 5.1, "the result is 17/10 times what is right"),
    (3.0, 3.1415, "the result: expected 3, got 3.1415"),
    (3.0, 10**400, "expected a number, got a whole number that is too large for NumPy"),
    (3.0, np.nan, "the result is NaN"),
    ((A, B), A, "expected 2 results, got an array (3, 4)"),
    ((A, B), (A,), "expected 2 results, got 1 result in a tuple"),
    ((A, B), (A, 2 * B), "result 2 is twice too large"),
    ((A, B), (B, B), "result 1: expected the shape (3, 4), got (5,)"),
    ((A, B), (B, A), "result 1 and result 2 are exchanged"),
    ((A, 2 * A), (2 * A, 4 * A), "result 1 is twice too large (result 2 is wrong, too)"),
    ((A, A**2), (A**2, A), "result 1 and result 2 are exchanged"),
    ((A, A**2), (A**2, A**2), "result 1 is result 2"),
    ({"dW": A}, {"dV": A}, "expected a dictionary with dW, got a dictionary with dV"),
    ({"dW": A, "db": B}, {"dW": A, "db": -B}, "result db has the other sign"),
    ({"e": {"W": A}}, {"e": {"W": None}}, "expected an array, result e.W is None: is there a"),
]  # fmt: skip


@pytest.mark.parametrize(("expected", "got", "sentence"), SENTENCES)
def test_sentences(expected, got, sentence):
    fraction, text = verdict([got], known(expected))
    assert fraction == 0
    assert text.startswith(sentence), text


@pytest.mark.parametrize("expected", [A, 3.0, True, (A, B), {"a": A, "b": {"c": 2}}, np.inf])
def test_right_is_right(expected):
    assert verdict([expected], known(expected)) == Verdict(1)


@pytest.mark.parametrize("got", [0.0, -np.inf, np.nan, 1e300])
def test_what_should_be_infinite_is_nothing_else(got):
    assert verdict([got], known(np.inf)).fraction == 0
    two = verdict([np.array([1, got])], known(np.array([1, np.inf])))
    assert two.fraction == 0 and "in 0 of" not in two.sentence
    assert verdict([np.array([5, np.inf])], known(np.array([1, np.inf]))).fraction == 0


def test_lists_and_numbers_without_axes_are_as_good():
    assert verdict([np.array(3)], known(3.0)) == Verdict(1)
    assert verdict([[A, B]], known((A, B))) == Verdict(1)


def test_numbers_in_a_list_are_as_good():
    """Which a message holds as an array."""
    assert verdict([np.array([1.0, 2.0])], known((1.0, 2.0))) == Verdict(1)
    of = known((1.0, 2.0), ("the 1/2 is missing", (1.0, 4.0)))
    assert verdict([np.array([1.0, 4.0])], of) == Verdict(0, "the 1/2 is missing")
    got = verdict([np.array([1.0, 2.0, 3.0])], known((1.0, 2.0)))
    assert got == Verdict(0, "expected 2 results, got an array (3,)")


def test_rounding_is_no_mistake_and_a_small_difference_is():
    largest = np.abs(A).max()
    assert verdict([A + 0.9e-7 * largest], known(A)) == Verdict(1)
    assert verdict([A + 1.1e-7 * largest], known(A)).fraction == 0


def test_a_planted_mistake_is_recognised_whatever_else_could_be_said():
    unstable = np.where(A > 0, np.inf, A)
    of = known(A, ("the 1/2 is missing", 2 * A), ("shape", A.T), ("overflow", unstable))
    assert verdict([2 * A * (1 + 1e-12)], of) == Verdict(0, "the 1/2 is missing")
    assert verdict([A.T.copy()], of) == Verdict(0, "shape")
    assert verdict([unstable.copy()], of) == Verdict(0, "overflow")
    assert verdict([3 * A], of).sentence.startswith("the result is 3")


def test_two_mistakes_at_once():
    of = known(A, ("one", 2 * A), pairs=[("one; and two", -2 * A)])
    assert verdict([-2 * A], of) == Verdict(0, "one; and two")


def test_the_first_wrong_case_is_named():
    of = known([A, B], cases=[CASE, CASE])
    assert verdict([A, 2 * B], of) == Verdict(0, "case 2 of 2 (k 7): the result is twice too large")


def test_a_case_is_described_where_that_is_short():
    cases = [{"g": A, "shape": np.array([3, 1]), "b": 0.25}] * 3
    wrong = verdict([A, 2 * A, 2 * A], known([A, A, A], cases=cases))
    start = "case 2 of 3 (g (3, 4), shape (3, 1), b 0.25): the result is twice"
    assert wrong.sentence.startswith(start)
    long = [{name: A for name in ("aaaa", "bbbb", "cccc", "dddd")}] * 2
    wrong = verdict([A, 2 * A], known([A, A], cases=long)).sentence
    assert wrong.startswith("case 2 of 2: the result")
    numbers = [{**long[0], "stride": 4, "pad": 0}] * 2
    wrong = verdict([A, 2 * A], known([A, A], cases=numbers)).sentence
    assert wrong.startswith("case 2 of 2 (stride 4, pad 0): the result")


def test_cases_that_stop_are_as_wrong_as_others():
    stopped = [Stopped("too long"), Stopped("too long")]
    both = known([A, B], cases=[CASE, CASE])
    assert verdict(stopped, both) == Verdict(0, "too long")
    assert verdict([A, stopped[0]], both) == Verdict(0, "case 2 of 2 (k 7): too long")
    assert verdict([2 * A, stopped[0]], both).sentence.startswith(
        "case 1 of 2 (k 7): the result is twice"
    )


def test_a_judge_decides_where_there_is_one():
    def judge(got, expected, case):
        return Verdict(min(1, 2 / float(got)), f"{got:g} steps for {case['k']}")

    assert verdict([1.0], known(3.0, judge=judge)) == Verdict(1)
    assert verdict([4.0], known(3.0, judge=judge)) == Verdict(0.5, "4 steps for 7")
    assert verdict([None], known(3.0, judge=judge)).sentence.startswith("expected a number")
    # What it cannot judge is worth nothing, and the class goes on.
    sentence = "this cannot be judged: float division by zero"
    assert verdict([0.0], known(3.0, judge=judge)) == Verdict(0, sentence)


@given(st.integers(0, 2**32), st.sampled_from([(3, 4), (5,), ()]))
def test_fingerprints_tell_results_apart(seed, shape):
    x = np.random.default_rng(seed).standard_normal(shape)
    assert same(fingerprint([x]), fingerprint([x * (1 + 1e-13)]), 1e-9)
    others = [2 * x, -x, x + 1e-3, (x,), {"x": x}, np.full(shape, np.nan)]
    others += [x[::-1], x[:-1], np.roll(x, 1)] if shape else []
    for other in others:
        assert not same(fingerprint([x]), fingerprint([other]), 1e-9)


def test_fingerprints_of_what_is_not_finite():
    one, two = np.array([1.0, np.nan, 2]), np.array([1.0, np.inf, 2])
    assert same(fingerprint([one]), fingerprint([one.copy()]), 1e-9)
    for other in (two, -two, one[[1, 0, 2]], np.array([1.0, 0, 2])):
        assert not same(fingerprint([one]), fingerprint([other]), 1e-9)


def test_what_stopped():
    source = "def f(x):\n    return x / 0\n"
    sentence = "line 2, `return x / 0`: ZeroDivisionError: division by zero"
    assert failure("ZeroDivisionError", "division by zero", 2, source) == sentence
    assert failure("KeyboardInterrupt", "", 0, source) == "it stopped: KeyboardInterrupt"
    todo = "q1: f is to be written"
    assert failure("NotImplementedError", todo, 1, "", "q1") == "not written yet"
    calls = "it calls f (q1), which is not written yet"
    assert failure("NotImplementedError", todo, 1, "", "q3") == calls
    left_over = failure("NotImplementedError", "", 1, "    raise Not\n    # and\n    return 3\n")
    assert left_over.startswith("not written yet: the line `raise NotImplementedError` is still")
    assert failure("NotImplementedError", "", 1, "    raise Not\n\nx = 3\n") == "not written yet"


@pytest.mark.parametrize("end", ["\x0c", "\x1c", "\x85", "\u2028"])
def test_a_line_is_what_python_counts_as_one(end):
    """Text that was taken for latin-1 has a \\x85 where an ellipsis was, and Emacs writes \\x0c."""
    source = f"# one {end} and the same\ndef f():\n    return y\n"
    assert failure("NameError", "?", 3, source) == "line 3, `return y`: NameError: ?"


@pytest.mark.parametrize("kind", ["right", "ImportError", "PermissionError", "WireError", "Error"])
@pytest.mark.parametrize("message", ["right", "it is right", "not written yet", ""])
def test_a_sentence_does_not_begin_with_the_words_of_who_stopped(kind, message):
    for line, start in ((0, "it stopped: "), (1, "line 1, `f()`: ")):
        assert failure(kind, message, line, "f()").startswith(start)


def test_a_function_that_could_not_be_loaded_is_not_missing():
    missing = "expected `total` in the file, got none"
    assert failure("Missing", missing, 0, "x = 1\n") == missing
    sentence = "`total` cannot be read, because of an error in the file"
    assert failure("Missing", missing, 0, "def total(x:\n    return x\n") == sentence
    begun = time.process_time()
    assert failure("Missing", missing, 0, "\n" * 10**5 + "x = 1\n") == missing
    assert time.process_time() - begun < 1  # as it is linear in the blank lines


SHAPES = {
    "the rows on the left of @ have 4 numbers, the columns on the right 3": [
        lambda: np.ones((5, 4)) @ np.ones((3, 4)),
        lambda: np.ones((5, 4)) @ np.ones(3),
        lambda: np.ones(4) @ np.ones((3, 4)),
        lambda: np.ones((2, 5, 4)) @ np.ones((2, 3, 6)),
    ],
    "the shapes (5,) and (5, 3) do not fit: axes are compared from the last one on": [
        lambda: np.ones(5) * np.ones((5, 3)),
    ],
}


@pytest.mark.parametrize("sentence", SHAPES)
def test_shapes_that_do_not_fit_are_named_in_plain_words(sentence):
    """What this NumPy says of them."""
    for wrong in SHAPES[sentence]:
        with pytest.raises(ValueError) as caught:
            wrong()
        assert failure("ValueError", str(caught.value), 1, "f()") == f"line 1, `f()`: {sentence}"


def test_a_line_of_a_notebook_is_one_of_its_cell():
    source = "# %% cell 2\na\n\n\n# %% cell 5\nb\nc\n"
    for line, where in ((2, "cell 2, line 1, `a`"), (7, "cell 5, line 2, `c`")):
        assert failure("NameError", "?", line, source) == f"{where}: NameError: ?"


def test_lines():
    assert line_of("q3 (23)", Verdict(1)) == "q3 (23): right"
    assert line_of("q3 (23)", Verdict(0, "the sign")) == "q3 (23): the sign"
