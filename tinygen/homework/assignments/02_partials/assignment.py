"""Partials of six operations: the first order, and the second."""

import numpy as np

TITLE = "Partials of six operations, first and second order"
MINUTES = 150
RESULTS = {
    "q1": ("`dx`", "`dz`"),
    "q4": ("`dA`", "`dB`"),
    "q7": ("`dg`", "`dx`", "`dz`"),
    "q8": ("`dg`", "`dx`"),
    "q9": ("`dg`", "`dx`"),
    "q10": ("`dg`", "`dA`", "`dB`"),
    "q11": ("`dg`", "`dx`"),
}
"""What sentences call them, where a question has several."""
LETTERS = {
    "x": "x u q",
    "z": "z b a",
    "g": r"g delta p",
    "r": "r rho kappa",
    "s": "s tau sigma",
    "A": "A K L",
    "B": "B Q R",
}


def normal(random, **shapes):
    return {name: random.standard_normal(shape) for name, shape in shapes.items()}


def q1(random, form):
    return {**normal(random, g=(5, 3), x=(5, 3)), "z": random.uniform(0.5, 2, 3)}


def q2(random, form):
    return normal(random, g=(4, 3), x=(4, 3))


def q3(random, form):
    """The second case has sums of exponentials that no float can hold."""
    case = normal(random, g=(5,), x=(5, 3))
    return [case, {**case, "x": case["x"] + np.array([[0], [800], [-800], [5], [1000]])}]


def q4(random, form):
    return normal(random, g=(5, 3), A=(5, 4), B=(4, 3))


def q5(random, form):
    return normal(random, g=(5,), x=(5, 3))


def q6(random, form):
    """The second case has two largest elements in one row, and three in another."""
    case = normal(random, g=(5,), x=(5, 4))
    return [case, {**case, "x": ties(case["x"])}]


def ties(x):
    x = x.copy()
    x[1, [0, 2]] = x[1].max() + 1
    x[3, 1:] = x[3].max() + 1
    return x


def q7(random, form):
    return {
        **normal(random, r=(5, 3), s=(3,), g=(5, 3), x=(5, 3)),
        "z": random.uniform(0.5, 2, 3),
    }


def q8(random, form):
    return normal(random, r=(4, 3), g=(4, 3), x=(4, 3))


def q9(random, form):
    return normal(random, r=(5, 3), g=(5,), x=(5, 3))


def q10(random, form):
    return normal(random, r=(5, 4), s=(4, 3), g=(5, 3), A=(5, 4), B=(4, 3))


def q11(random, form):
    case = normal(random, r=(5, 4), g=(5,), x=(5, 4))
    return [case, {**case, "x": ties(case["x"])}]
