"""What the homework on finding mistakes asks, and of which inputs."""

import numpy as np

from tinygen.homework.feedback import Verdict

TITLE = "Find the mistake: four programs that are almost right"
MINUTES = 120
LETTERS = {
    "x": "x X",
    "M": "M P",
    "L": "L Q",
    "D": "D U",
    "A": "A B",
    "w": "w u",
    "G": "G F",
    "a": "a e",
    "z": "z h",
    "r": "r R",
    "s": "s f",
}
RESULTS = {
    "q1": ("the loss", "the gradient of `M`", "that of `L`", "that of `D`"),
    "q3": ("`loss_D`", "`loss_G`", "the new `A`", "the new `w`", "the new `G`"),
    "q7": ("`a`", "`dr`", "`dgain`", "`dshift`", "`mean`", "`variance`", "`b`"),
}


def q1(random, form):
    n, d, c = 5, 7, 3
    return {
        "x": random.uniform(0.1, 0.9, (n, d)),
        "M": random.standard_normal((d, c)),
        "L": random.standard_normal((d, c)),
        "D": random.standard_normal((c, d)),
        "seed": int(random.integers(1000)),
    }


def q3(random, form):
    n, i, k, o = 6, 4, 3, 5
    return {
        "x": random.standard_normal((n, i)),
        "z": random.standard_normal((n, k)),
        "A": random.standard_normal((i, o)),
        "w": random.standard_normal(o),
        "G": random.standard_normal((k, i)),
        "rate": random.uniform(0.2, 0.5),
    }


def q5(random, form):
    n, d = 12, 5
    return {
        "x": random.standard_normal((n, d)),
        "t": random.permutation(np.arange(n) % 2).astype(float),
        "w": random.standard_normal(d),
        "rate": random.uniform(0.1, 0.3),
        "beta": 0.8,
        "gamma": 0.95,
        "epochs": 3,
        "batch": 4,
        "seed": int(random.integers(1000)),
    }


def q7(random, form):
    n, o, m = 7, 4, 6
    return {
        "r": 2 * random.standard_normal((n, o)) + 1,
        "da": random.standard_normal((n, o)),
        "gain": random.uniform(0.5, 2, o),
        "shift": random.standard_normal(o),
        "mean": random.standard_normal(o),
        "variance": random.uniform(1, 3, o),
        "rate": random.uniform(0.1, 0.4),
        "test": random.standard_normal((m, o)),
    }


def q2(random, form):
    return {}


q4 = q6 = q8 = q2


def judge_q2(got, expected, case):
    """A label is right or wrong, and which one is right must not be said."""
    if np.ndim(got) or got not in range(1, 56):
        return Verdict(0, "expected the number in a label, from 1 to 55")
    return Verdict(1) if got == expected else Verdict(0, "the mistake is in another line")


judge_q4 = judge_q6 = judge_q8 = judge_q2
