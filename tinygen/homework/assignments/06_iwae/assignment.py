"""IWAE: importance weights by their logarithms, the bound, and its gradient."""

import numpy as np

from tinygen.homework.feedback import Verdict, wrong_parts

TITLE = "IWAE's weights"
MINUTES = 100
LETTERS = {
    "u": "u h b",
    "m": r"m eta:\eta nu:\nu",
    "t": r"t ell:\ell",
    "eps": r"eps:\varepsilon xi:\xi zeta:\zeta",
    "r": "r f",
    "omega": r"omega alpha:\alpha gamma:\gamma",
}

N, K, C = 5, 6, 4  # images, draws, dimensions of a code


def q1(random, form):
    u, m, t = normal(random, (N, K, C), (N, C), (N, C))
    t[:, 0] = -np.abs(t[:, 0])  # so that its logarithm is none
    return {"log_p": -random.uniform(1, 9, (N, K)), "u": u, "m": m, "t": 0.5 * t}


def q2(random, form):
    return log_weights_of_all_sizes(random)


def q3(random, form):
    return log_weights_of_all_sizes(random)


def judge_q2(got, expected, case):
    """The numbers have to agree; where those of large logarithms do not, the reason is known."""
    if not wrong_parts(got, expected, 1e-7):
        return Verdict(1)
    return Verdict(0, OF_ALL_SIZES if np.abs(case["r"]).max() > 1000 else "")


judge_q3 = judge_q2

OF_ALL_SIZES = (
    "the logarithms here go from -3000 to 3000, and one image has draws that are thousands apart, "
    "so that exponentials are 0 or infinite unless the right number is subtracted first; clipping, "
    "or adding something small, makes the result finite, but not right"
)


def q4(random, form):
    return {"omega": weights(random)}


def q5(random, form):
    return {"omega": weights(random)}


def q6(random, form):
    return draws(random)


def q7(random, form):
    return draws(random)


def q8(random, form):
    return draws(random)


def q9(random, form):
    du, t, eps, mean, scale = normal(random, (N, K, C), (N, C), (N, K, C), (N, C), (N, C))
    return {"du": du, "t": t, "eps": eps, "mean_rest": mean, "scale_rest": scale}


def q10(random, form):
    return {"r": normal(random, (N, K))[0], "size": 3}


def log_weights_of_all_sizes(random):
    """Ordinary ones; and those of images whose weights are 0, or infinite, if one computes them.

    The draws of one of these images are thousands apart.
    """
    ordinary, large = normal(random, (N, K), (N, K))
    large += np.array([-3000.0, -1000, 0, 1000, 3000])[:, None]
    large[2] = random.permutation([-3000.0, -1000, 0, 1000, 2000, 3000]) + large[2]
    return [{"r": ordinary}, {"r": large}]


def weights(random):
    """Positive, and each row adds up to 1."""
    w = random.uniform(0.1, 2, (N, K))
    return w / w.sum(axis=1, keepdims=True)


def draws(random):
    dr, u, m, t = normal(random, (N, K), (N, K, C), (N, C), (N, C))
    return {"dr": dr, "u": u, "m": m, "t": 0.5 * t}


def normal(random, *shapes):
    """Standard normal arrays of these shapes."""
    return [random.standard_normal(shape) for shape in shapes]
