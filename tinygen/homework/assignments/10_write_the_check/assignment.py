"""What the homework on writing checks asks, and how good a check is."""

import runpy
from pathlib import Path

import numpy as np

from tinygen.homework.feedback import Verdict

TITLE = "Write the check: tests that find mistakes, and only mistakes"
MINUTES = 120
NEEDS = "the softmax, the VAE's divergence and sampler, Adam, and what a gradient check is"
LETTERS = {
    "a": "a s",
    "t": "t y",
    "mu": "mu nu",
    "v": "v r",
    "w": "w u",
}
SECONDS = {"q1": 10, "q2": 10, "q3": 15, "q4": 10}

IMPLEMENTATIONS = runpy.run_path(str(Path(__file__).with_name("implementations.py")))[
    "IMPLEMENTATIONS"
]
MOST_NUMBERS, MOST_CODES, MOST_DRAWN = 1000, 20_000, 1_000_000
"""In an array; codes at once; numbers in these: what a check may ask the grader to compute."""


ORDERS: dict[int, np.ndarray] = {}
"""Of each case, by its key: in which order implementations come, so that a check cannot count."""


def case(kind, random):
    """What a submission sees: how many implementations there are, and the key of their order."""
    count, key = len(IMPLEMENTATIONS[kind]), int(random.integers(2**31))
    ORDERS[key] = random.permutation(count)
    return {"kind": kind, "count": count, "key": key}


def q1(random, form):
    return case("softmax", random)


def q2(random, form):
    return case("kl", random)


def q3(random, form):
    return case("sample", random)


def q4(random, form):
    return case("adam", random)


def shuffled(case):
    """The implementations of a case, in its order."""
    return [IMPLEMENTATIONS[case["kind"]][i] for i in ORDERS[case["key"]]]


def ask_call(case, number, **arguments):
    """The results of one implementation; an error is the student's."""
    values = [np.array(x, float) if np.ndim(x) else x for x in arguments.values()]
    if max(np.size(x) for x in values) > MOST_NUMBERS:
        raise ValueError(f"expected arrays of at most {MOST_NUMBERS:,} numbers")
    count = arguments.get("count", 1)
    if not 1 <= count <= MOST_CODES or count * np.size(values[0]) > MOST_DRAWN:
        raise ValueError(f"expected 1 to {MOST_CODES:,} codes, of {MOST_DRAWN:,} numbers at most")
    function, _ = shuffled(case)[int(number)]
    with np.errstate(all="ignore"):
        return function(*values)


def judge(got, expected, case):
    """The fraction of wrong implementations that a check refuses, if it passes the right ones."""
    said = list(zip(np.asarray(got), shuffled(case), strict=True))
    for verdict, (_, wrong) in said:
        if not wrong and verdict:
            how = "refuses" if verdict == 1 else "does not get through with"
            return Verdict(0, f"the check {how} a right implementation")
    missed = [wrong for verdict, (_, wrong) in said if wrong and verdict != 1]
    count = sum(bool(wrong) for _, (_, wrong) in said)
    if not missed:
        return Verdict(1)
    caught = count - len(missed)
    example = f"in one that is not refused, {min(missed)}"
    return Verdict(caught / count, f"{caught} of {count} wrong ones are refused; {example}")


judge_q1 = judge_q2 = judge_q3 = judge_q4 = judge
