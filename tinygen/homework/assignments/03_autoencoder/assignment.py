"""The autoencoder's backward pass: a dense layer, an activation, a loss and its penalties."""

import numpy as np

TITLE = "The autoencoder's way back"
MINUTES = 90
FORMS = ["rows", "columns"]
LETTERS = {
    "g": "g v",
    "s": "s r",
    "A": "A M",
    "t": "t f",
    "u": r"u w xi:\xi",
    "p": r"p eta:\eta",
}

N, INPUTS, OUTPUTS, C, D = 5, 4, 3, 2, 7  # images, ..., dimensions of the code, pixels
KAPPA, LAMBDA = 0.7, 0.3


def q1(random, form):
    return {
        "g": batch(random, INPUTS, form),
        "A": random.standard_normal((OUTPUTS, INPUTS)),
        "t": random.standard_normal(OUTPUTS),
    }


def q2(random, form):
    return {
        "p": pixels(random, D, form),
        "x": pixels(random, D, form),
        "u": batch(random, C, form),
        "weights": {"encoder": random.standard_normal((C, D)), "decoder": random.random((D, C))},
        "kappa": KAPPA,
        "lam": LAMBDA,
    }


def q3(random, form):
    return {"s": batch(random, D, form), "x": pixels(random, D, form)}


def q4(random, form):
    return {"ds": batch(random, OUTPUTS, form), "g": batch(random, INPUTS, form)}


def q5(random, form):
    return {"ds": batch(random, OUTPUTS, form)}


def q6(random, form):
    return {"ds": batch(random, OUTPUTS, form), "A": random.standard_normal((OUTPUTS, INPUTS))}


def q7(random, form):
    return {"dg": batch(random, OUTPUTS, form), "s": batch(random, OUTPUTS, form)}


def q8(random, form):
    return {"du": batch(random, C, form), "u": batch(random, C, form), "kappa": KAPPA}


def q9(random, form):
    dA, A = random.standard_normal((2, OUTPUTS, INPUTS))
    return {"dA": dA, "A": A, "lam": LAMBDA}


def q10(random, form):
    x, noise = pixels(random, D, form), batch(random, D, form)
    return {"ds": batch(random, OUTPUTS, form), "x": x, "seen": x + 0.3 * noise}


def q11(random, form):
    return {
        "at_code": batch(random, C, form),
        "x": pixels(random, D, form),
        "at_pixels": batch(random, D, form),
        "u": batch(random, C, form),
    }


def batch(random, width, form):
    """Numbers for each of N images: a row each, or a column each."""
    return laid_out(random.standard_normal((N, width)), form)


def pixels(random, width, form):
    """The same with numbers between 0 and 1."""
    return laid_out(random.uniform(0.05, 0.95, (N, width)), form)


def laid_out(rows, form):
    """A batch as the form has it, in memory of its own."""
    return np.ascontiguousarray(rows if form == "rows" else rows.T)
