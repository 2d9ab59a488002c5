"""The engine: an order, a sum over what was repeated, and a sum where paths meet."""

import numpy as np

from tinygen.homework.feedback import Verdict

TITLE = "An engine of your own"
MINUTES = 120
NEEDS = "the chain rule, NumPy's broadcasting, Python's lists and dicts"
LETTERS = {"x": "x u s", "z": "z w r", "g": "g delta q", "y": "y t v"}


def q1(random, form):
    return {name: random.standard_normal((3, 4)) for name in ("x", "z", "g")}


def graph(parents):
    """The numbers of each node's two parents; -1 where there is none."""
    pairs = np.array([(*p, -1, -1)[:2] for p in parents])
    return {"first": pairs[:, 0], "second": pairs[:, 1]}


def q2(random, form):
    """A diamond with a node on the way, a node that the last does not need, and long chains."""
    few = [[], [0, 0], [0, 1], [], [1, 2], [0, 4], [3, 1], [5, 4], [7, 2]]
    few = [parents[:: random.choice([-1, 1])] for parents in few]
    straight = [[], *([i] for i in range(1500))]
    diamonds: list[list[int]] = [[]]
    for _ in range(40):
        x = len(diamonds) - 1
        diamonds += [[x], [x], [x + 1, x + 2]]
    return [graph(few), graph(straight), graph(diamonds)]


def judge_q2(got, expected, case):
    """Any order that is one."""
    got = np.asarray(got)
    if got.ndim != 1 or got.dtype.kind not in "iu":
        return Verdict(0, "expected a list of nodes")
    missing = len(set(expected.tolist()) - set(got.tolist()))
    if missing:
        return Verdict(0, f"{missing} of the {len(expected)} nodes behind the result are missing")
    if len(got) > len(set(got.tolist())):
        return Verdict(0, f"{len(expected)} nodes are visited {len(got)} times: each is due once")
    if len(got) > len(expected):
        return Verdict(0, "it has nodes that the result was not computed from")
    place = {node: i for i, node in enumerate(got.tolist())}
    for node in got.tolist():
        for parent in (int(case["first"][node]), int(case["second"][node])):
            if parent >= 0 and place[parent] < place[node]:
                why = "stands before one that was computed from it: its gradient is incomplete then"
                return Verdict(0, f"a node {why}")
    return Verdict(1, "")


def q3(random, form):
    shapes = [((4, 3), (3,)), ((2, 4, 3), (4, 3)), ((5, 3), (1, 3)), ((5, 2, 3), (5, 1, 3)),
              ((2, 5, 3), (5, 1)), ((4, 3), ()), ((4, 3), (4, 3))]  # fmt: skip
    return [
        {"g": random.standard_normal(large), "shape": np.array(small, dtype=np.int64)}
        for large, small in shapes
    ]


def q4(random, form):
    """y = c + d with d = c x, c = a + b, b = a x and a = x x: three diamonds in one another."""
    arrays = graph([[], [0, 0], [1, 0], [1, 2], [3, 0], [3, 4]])
    factors = random.uniform(0.5, 2, (6, 2)) * random.choice([-1, 1], (6, 2))
    factors[[3, 5]] = 1  # sums
    return {**arrays, "factors": factors, "g": random.standard_normal(7)}


def q5(random, form):
    return {
        "x": random.uniform(0.5, 1.5, (3, 2)),
        "c": random.uniform(0.5, 1.5, (3, 2)),
        "h": 0.01,
    }
