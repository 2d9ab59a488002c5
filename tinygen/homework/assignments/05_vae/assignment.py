"""The VAE's loss and its gradient: one equation in each question."""

import numpy as np

from tinygen.homework.feedback import Verdict, wrong_parts

TITLE = "The VAE, each equation alone"
MINUTES = 120
FORMS = ["log_sigma", "log_variance"]
LETTERS = {
    "u": "u h s",
    "m": r"m eta:\eta nu:\nu",
    "t": r"t w ell:\ell",
    "eps": r"eps:\varepsilon xi:\xi zeta:\zeta",
    "f": "f g",
}

K, N, C, D = 3, 5, 4, 7  # draws, images, dimensions of a code, pixels
BETA = 1.7


def q1(random, form):
    m, t, eps = normal(random, (N, C), (N, C), (K, N, C))
    return {"m": m, "t": t, "eps": eps}


def q2(random, form):
    f, large = normal(random, (K, N, D), (K, N, D))
    black_or_white = random.integers(0, 2, (N, D)).astype(float)
    grey = random.uniform(0.1, 0.9, (N, D))
    return [{"f": 2 * f, "x": black_or_white}, {"f": 2000 * large, "x": grey}]


def judge_q2(got, expected, case):
    """The numbers have to agree; where those of large logits do not, the reason is known."""
    if not wrong_parts(got, expected, 1e-7):
        return Verdict(1)
    return Verdict(0, LARGE_LOGITS if np.abs(case["f"]).max() > 1000 else "")


LARGE_LOGITS = (
    "the logits here are in the thousands, so that y is 0 or 1 to the last digit: clipping y or "
    "the logits, or adding something small, makes the result finite, but not right; do without y"
)


def q3(random, form):
    m, t = normal(random, (N, C), (N, C))
    return {"m": m, "t": t}


def q4(random, form):
    return {
        "log_p": -random.uniform(1, 9, (K, N)),
        "KL": random.uniform(0.1, 2, (N, C)),
        "beta": BETA,
    }


def q5(random, form):
    return {"f": normal(random, (K, N, D))[0], "x": random.uniform(0, 1, (N, D))}


def q6(random, form):
    return {"du": normal(random, (K, N, C))[0]}


def q7(random, form):
    du, t, eps = normal(random, (K, N, C), (N, C), (K, N, C))
    return {"du": du, "t": t, "eps": eps}


def q8(random, form):
    return {"m": normal(random, (N, C))[0], "beta": BETA}


def q9(random, form):
    return {"t": normal(random, (N, C))[0], "beta": BETA}


def q10(random, form):
    names = "mean_draw", "scale_draw", "mean_KL", "scale_KL"
    return dict(zip(names, normal(random, *[(N, C)] * 4), strict=True))


def q11(random, form):
    KL = random.uniform(0.1, 2, (N, C))
    R = np.sort(KL.mean(axis=0))
    return {"KL": KL, "floor": (R[1] + R[2]) / 2, "beta": BETA}  # two dimensions on each side


def normal(random, *shapes):
    """Standard normal arrays of these shapes."""
    return [random.standard_normal(shape) for shape in shapes]
