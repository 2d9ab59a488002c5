"""What the homework on writing checks asks, and how good a check is."""

import inspect
import runpy
import secrets
from pathlib import Path

import numpy as np

from tinygen.homework.feedback import Verdict
from tinygen.homework.sandbox.wire import numbers

TITLE = "Write the check: tests that find mistakes, and only mistakes"
MINUTES = 120
LETTERS = {
    "a": "a s",
    "t": "t y",
    "mu": "mu nu",
    "v": "v r",
    "w": "w u",
}

IMPLEMENTATIONS = runpy.run_path(str(Path(__file__).with_name("implementations.py")))[
    "IMPLEMENTATIONS"
]
MOST_NUMBERS, MOST_CODES, MOST_DRAWN = 1000, 20_000, 1_000_000
"""In an array; codes at once; numbers in these: what a check may ask the grader to compute."""


SECRET = secrets.randbits(128)
"""Of this process: what is drawn with it is the same each time, and no submission can know it."""
ASKED_ABOUT: dict[int, tuple] = {}
"""The implementation that a case is about, and what is wrong with it, by the case's key."""


def cases(kind, random):
    """One for each implementation, in an order that nobody can know, with keys that tell nothing.

    Each is asked in a process of its own (see `judge`), so that a check cannot compare them.
    """
    some = IMPLEMENTATIONS[kind]
    order = np.random.default_rng([SECRET, random.integers(2**31)]).permutation(len(some))
    keys = [secrets.randbits(60) for _ in some]
    ASKED_ABOUT.update(zip(keys, (some[i] for i in order), strict=True))
    return [{"key": key} for key in keys]


def q1(random, form):
    return cases("softmax", random)


def q2(random, form):
    return cases("kl", random)


def q3(random, form):
    return cases("sample", random)


def q4(random, form):
    return cases("adam", random)


def ask_call(case, **arguments):
    """The results of the implementation; an error is the student's."""
    function, _ = ASKED_ABOUT[case["key"]]
    names = [*inspect.signature(function).parameters]
    if [*arguments] != names:
        raise ValueError(f"expected arguments {', '.join(names)}, got {', '.join(arguments)}")
    values = [np.array(x, float) if np.ndim(x) else x for x in arguments.values()]
    size = numbers(np.broadcast_shapes(*map(np.shape, values)))
    if size > MOST_NUMBERS:
        raise ValueError(f"expected arrays of at most {MOST_NUMBERS:,} numbers")
    count = arguments.get("count", 1)
    if not 1 <= count <= MOST_CODES or count * size > MOST_DRAWN:
        raise ValueError(f"expected 1 to {MOST_CODES:,} codes, of {MOST_DRAWN:,} numbers at most")
    with np.errstate(all="ignore"):
        return function(*values)


def judge(got, expected, cases):
    """The fraction of wrong implementations that a check refuses, if it passes the right ones."""
    said = [(*ASKED_ABOUT[case["key"]], one) for case, one in zip(cases, got, strict=True)]
    for _, wrong, verdict in said:  # which may be anything
        if not wrong and not np.array_equal(verdict, 0):
            how = "refuses" if np.array_equal(verdict, 1) else "does not get through with"
            return Verdict(0, f"the check {how} a right implementation")
    missed = [wrong for _, wrong, verdict in said if wrong and not np.array_equal(verdict, 1)]
    count = sum(bool(wrong) for _, wrong, _ in said)
    if not missed:
        return Verdict(1)
    caught = count - len(missed)
    example = f"in one that is not refused, {min(missed)}"
    return Verdict(caught / count, f"{caught} of {count} wrong ones are refused; {example}")


judge_all_q1 = judge_all_q2 = judge_all_q3 = judge_all_q4 = judge
