"""What the homework on GANs asks, and of which inputs."""

import numpy as np

from tinygen.homework.feedback import Verdict, wrong_parts

TITLE = "The GAN: two losses, the way through the discriminator, and R1"
MINUTES = 150
FORMS = ["rows", "columns"]
RESULTS = {
    "q2": ("`dr`", "`dq`"),
    "q3": ("the loss", "`dq`"),
    "q4": ("the loss", "`dq`"),
    "q5": ("`F`", "`K`"),
    "q7": ("`dB`", "`db`"),
    "q8": ("`V`", "the penalty"),
    "q9": ("`dA`", "`dw`"),
    "q10": ("`dA`", "`de`"),
}
"""What sentences call them, where a question has several."""
LETTERS = {
    "r": "r t",
    "q": "q g",
    "Y": "Y X",
    "A": "A M",
    "e": "e p",
    "w": "w u",
    "S": "S T",
    "F": "F L",
    "K": "K C",
    "V": "V N",
    "Z": "Z E",
    "B": "B W",
    "b": "b s",
    "lam": r"lam:\lambda gamma",
}

SIZES = {"n": 7, "m": 5, "i": 4, "o": 6, "k": 3}


def drawn(random, form, axes):
    """Standard normal numbers; axes of rows, such as "no", are exchanged for columns."""
    axes = axes if form == "rows" else axes[::-1]
    return random.standard_normal([SIZES[axis] for axis in axes])


def logits(random, name, axis):
    """As they are in the beginning, and of a discriminator that is very sure."""
    ordinary = 2 * random.standard_normal(SIZES[axis])
    sure = random.uniform(760, 900, SIZES[axis]) * (-1) ** np.arange(SIZES[axis])
    return [{name: ordinary}, {name: sure}]


def q1(random, form):
    pairs = zip(logits(random, "r", "n"), logits(random, "q", "m"), strict=True)
    return [r | q for r, q in pairs]


def judge_q1(got, expected, case):
    """The numbers have to agree; where those of large logits do not, the reason is known."""
    if not wrong_parts(got, expected, 1e-7):
        return Verdict(1)
    return Verdict(0, SURE if np.abs(case["r"]).max() > 700 else "")


SURE = (
    "the logits here are in the hundreds, so that probabilities are 0 or 1 to the last digit: "
    "clipping them, or adding something small, makes the loss finite, but not right"
)


def judge_q2(got, expected, case):
    """The same; where the discriminator is right and sure, digits get lost in a difference."""
    if not wrong_parts(got, expected, 1e-7):
        return Verdict(1)
    return Verdict(0, DIFFERENCE if case["r"].min() > 20 and case["q"].max() < -20 else "")


DIFFERENCE = (
    "the discriminator is right and sure here, and the gradients are tiny: a difference of two "
    "numbers close to 1, such as 1 - sigmoid(x), has lost their digits"
)


def q2(random, form):
    right = {"r": random.uniform(30, 40, SIZES["n"]), "q": -random.uniform(30, 40, SIZES["m"])}
    return [*q1(random, form), right]


def q3(random, form):
    return logits(random, "q", "m")


def q4(random, form):
    return logits(random, "q", "m")


def q5(random, form):
    return {"S": drawn(random, form, "no")}


def q6(random, form):
    return {
        "dq": random.standard_normal(SIZES["m"]),
        "w": random.standard_normal(SIZES["o"]),
        "F": drawn(random, form, "mo"),
        "A": drawn(random, form, "io"),
    }


def q7(random, form):
    return {
        "dY": drawn(random, form, "mi"),
        "Y": 1 / (1 + np.exp(-drawn(random, form, "mi"))),
        "Z": drawn(random, form, "mk"),
    }


def q8(random, form):
    return {
        "w": random.standard_normal(SIZES["o"]),
        "F": drawn(random, form, "no"),
        "A": drawn(random, form, "io"),
        "lam": random.uniform(2, 5),
    }


def q9(random, form):
    return {"V": drawn(random, form, "ni"), **q8(random, form)}


def q10(random, form):
    return {
        "V": drawn(random, form, "ni"),
        "w": random.standard_normal(SIZES["o"]),
        "K": drawn(random, form, "no"),
        "A": drawn(random, form, "io"),
        "Y": drawn(random, form, "ni"),
        "lam": random.uniform(2, 5),
    }
