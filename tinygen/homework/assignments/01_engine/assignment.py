"""The engine: an order, a sum over what was repeated, and a sum where paths meet."""

import numpy as np

from tinygen.homework.feedback import Verdict

TITLE = "An engine of your own"
MINUTES = 120
LETTERS = {"x": "x u s", "z": "z w r", "g": "g delta rho", "y": "y t v"}


def q1(random, form):
    return {name: random.standard_normal((3, 4)) for name in ("x", "z", "g")}


def graph(parents):
    """The numbers of each node's two parents; -1 where there is none."""
    return {"parents": np.array([(*p, -1, -1)[:2] for p in parents])}


def q2(random, form):
    """A small graph, the one of the page, and long chains.

    In the small one, two nodes are squared and have another use on a longer way: once the square
    is the first parent and once the second, so that in one of them it has its turn first.
    """
    squares = [[], [], [0, 0], [0], [3], [2, 4], [1], [6], [1, 1], [7, 8]]
    few = [*squares, [5, 9], [0, 10], [10, 9], [5, 12]]
    turned = random.choice([-1, 1])
    few = [parents[::turned] for parents in few]
    straight = [[], *([i] for i in range(1499))]
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
        also = "" if len(case["parents"]) - 1 in got else ", the result among them"
        return Verdict(0, f"it lacks {missing} of the {len(expected)} nodes{also}")
    if len(got) > len(set(got.tolist())):
        return Verdict(0, f"{len(expected)} nodes are visited {len(got)} times: each is due once")
    if len(got) > len(expected):
        return Verdict(0, "it has nodes that the result was not computed from")
    if got[-1] == len(case["parents"]) - 1:
        return Verdict(0, "the list is the other way round: the result comes first")
    place = {node: i for i, node in enumerate(got.tolist())}
    for node in got.tolist():
        for parent in case["parents"][node].tolist():
            if parent >= 0 and place[parent] < place[node]:
                why = "which was computed from it: its gradient is incomplete then"
                return Verdict(0, f"node {parent} stands before node {node}, {why}")
    return Verdict(1, "")


def q3(random, form):
    shapes = [
        ((4, 3), (3,)), ((3, 3), (3,)), ((2, 4, 3), (4, 3)), ((5, 3), (1, 3)),
        ((5, 2, 3), (5, 1, 3)), ((2, 5, 3), (5, 1)), ((4, 3), ()), ((4, 3), (4, 3)),
    ]  # fmt: skip
    return [
        {"g": random.standard_normal(large), "shape": np.array(small, dtype=np.int64)}
        for large, small in shapes
    ]


def q4(random, form):
    """b = a a, c = a b, d = b + c, e is made of d and c, f = e + d; e and f have the shape of g.

    So when d passes on one array to both b and c, c has a gradient already, and b has none.
    """
    factors = random.uniform(0.5, 2, (6, 2)) * random.choice([-1, 1], (6, 2))
    factors[[3, 5]] = 1  # sums
    return {
        **graph([[], [0, 0], [0, 1], [1, 2], [3, 2], [4, 3]]),
        "factors": factors,
        "g": random.standard_normal((4, 3)),
    }


def q5(random, form):
    return {
        "x": random.uniform(0.5, 1.5, (3, 2)),
        "c": random.uniform(0.5, 1.5, (3, 2)),
        "h": 0.01,
    }
