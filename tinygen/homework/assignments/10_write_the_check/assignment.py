"""What the homework on writing checks asks, and how good a check is."""

import inspect
import math
import runpy
import secrets
from dataclasses import dataclass, field
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


SECRET = secrets.randbits(128)
"""Of this process: what is drawn with it is the same each time, and no submission can know it."""


@dataclass
class Run:
    """Implementations in the order in which a check meets them, and what it has said of them."""

    kind: str
    order: list[int]
    said: list[int] = field(default_factory=list)

    @property
    def implementations(self):
        return [IMPLEMENTATIONS[self.kind][i] for i in self.order]


RUNS: dict[int, Run] = {}
"""By the key that a case has, which tells nothing."""


def case(kind, random):
    key, drawn = secrets.randbits(60), int(random.integers(2**31))
    order = np.random.default_rng([SECRET, drawn]).permutation(len(IMPLEMENTATIONS[kind]))
    RUNS[key] = Run(kind, order.tolist())
    return {"key": key}


def q1(random, form):
    return case("softmax", random)


def q2(random, form):
    return case("kl", random)


def q3(random, form):
    return case("sample", random)


def q4(random, form):
    return case("adam", random)


def ask_left(case):
    """How many implementations the check has not judged yet."""
    run = RUNS[case["key"]]
    return len(run.order) - len(run.said)


def ask_call(case, **arguments):
    """The results of the next implementation, the only one there is; an error is the student's."""
    run = RUNS[case["key"]]
    function, _ = run.implementations[len(run.said)]
    names = [*inspect.signature(function).parameters]
    if [*arguments] != names:
        raise ValueError(f"expected arguments {', '.join(names)}, got {', '.join(arguments)}")
    values = [np.array(x, float) if np.ndim(x) else x for x in arguments.values()]
    size = math.prod(np.broadcast_shapes(*map(np.shape, values)))
    if size > MOST_NUMBERS:
        raise ValueError(f"expected arrays of at most {MOST_NUMBERS:,} numbers")
    count = arguments.get("count", 1)
    if not 1 <= count <= MOST_CODES or count * size > MOST_DRAWN:
        raise ValueError(f"expected 1 to {MOST_CODES:,} codes, of {MOST_DRAWN:,} numbers at most")
    with np.errstate(all="ignore"):
        return function(*values)


def ask_write_down(case, said):
    """What the check says of this implementation, for good; then it meets the next one."""
    run = RUNS[case["key"]]
    if said not in (0, 1, 2) or len(run.said) == len(run.order):
        raise ValueError("expected one verdict on each implementation")
    run.said.append(int(said))


def ask_sealed(case):
    """All that was written down. The seal is the grader's, so that nobody can change it later."""
    run = RUNS[case["key"]]
    return {"said": np.array(run.said, dtype=int), "seal": seal(run, run.said)}


def seal(run, said):
    return np.random.default_rng([SECRET, *run.order, *said]).random()


def judge(got, expected, case):
    """The fraction of wrong implementations that a check refuses, if it passes the right ones."""
    run, verdicts = RUNS[case["key"]], got["said"].tolist()
    if len(verdicts) != len(run.order) or got["seal"] != seal(run, verdicts):
        return Verdict(0, "these are not the verdicts that the grader wrote down")
    said = [*zip(verdicts, run.implementations, strict=True)]
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
