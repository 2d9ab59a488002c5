"""What the students' checks are tried on: right implementations, and wrong ones.

All stay with the grader. In a wrong one, pieces of the first right one's source are replaced.
"""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

# Softmax and cross-entropy: logits a (n, c), labels t (n, c) -> the loss, and da.


def softmax_shifted(a, t):
    a = a - a.max(axis=1, keepdims=True)
    q = np.exp(a)
    q = q / q.sum(axis=1, keepdims=True)
    log_q = a - np.log(np.exp(a).sum(axis=1, keepdims=True))
    return -(t * log_q).sum() / len(a), (q - t) / len(a)


def softmax_by_logaddexp(a, t):
    log_q = a - np.logaddexp.reduce(a, axis=1)[:, None]
    return np.mean(np.sum(-t * log_q, axis=1)), (np.exp(log_q) - t) / a.shape[0]


def softmax_in_loops(a, t):
    loss, da = 0.0, np.zeros(a.shape)
    for i, (logits, labels) in enumerate(zip(a, t, strict=True)):
        top = max(logits)
        total = sum(np.exp(logit - top) for logit in logits)
        for j, label in enumerate(labels):
            loss += label * (np.log(total) - (logits[j] - top)) / len(a)
            da[i, j] = (np.exp(logits[j] - top) / total - label) / len(a)
    return loss, da


# The divergence from a standard normal: mu, v (n, c) -> KL (n,), and its sum's dmu, dv.


def kl_plain(mu, v):
    kl = (np.exp(v) - v - 1 + mu**2) / 2
    return kl.sum(axis=1), mu, (np.exp(v) - 1) / 2


def kl_by_expm1(mu, v):
    excess = np.expm1(v)
    return 0.5 * np.einsum("ij->i", excess - v + mu * mu), 1.0 * mu, 0.5 * excess


def kl_of_deviations(mu, v):
    sigma = np.exp(v / 2)
    kl = -np.log(sigma) + (sigma**2 + mu**2) / 2 - 0.5
    return np.array([sum(row) for row in kl]), mu + 0.0, (sigma * sigma - 1) / 2


# A sampler: mu, v (n, c), how many, and a seed -> codes (count, n, c).


def sample_plain(mu, v, count, seed):
    random = np.random.default_rng(seed)
    noise = random.standard_normal((count, *mu.shape))
    return mu + np.exp(v / 2) * noise


def sample_by_normal(mu, v, count, seed):
    deviation = np.sqrt(np.exp(v))
    return np.random.default_rng([seed, 7]).normal(mu, deviation, (count, *mu.shape))


def sample_by_polar_angles(mu, v, count, seed):
    random = np.random.RandomState(seed)
    length = np.sqrt(-2 * np.log(1 - random.random_sample((count, *mu.shape))))
    angle = 2 * np.pi * random.random_sample((count, *mu.shape))
    return mu + np.exp(v / 2) * length * np.cos(angle)


# A step of Adam: w, dw, moments m and v, the step's number, the rate -> w, m, v.


def adam_plain(w, dw, m, v, step, rate):
    m = 0.9 * m + 0.1 * dw
    v = 0.999 * v + 0.001 * dw**2
    m_hat, v_hat = m / (1 - 0.9**step), v / (1 - 0.999**step)
    return w - rate * m_hat / (np.sqrt(v_hat) + 1e-8), m, v


def adam_in_one_rate(w, dw, m, v, step, rate):
    m = m + (1 - 0.9) * (dw - m)
    v = v + (1 - 0.999) * (dw * dw - v)
    root = np.sqrt(1 - 0.999**step)
    rate = rate * root / (1 - 0.9**step)
    return w - rate * m / (np.sqrt(v) + 1e-8 * root), m, v


def adam_in_loops(w, dw, m, v, step, rate):
    w, m, v = w.copy(), m.copy(), v.copy()
    for i in range(len(w)):
        m[i] = m[i] * 0.9 + dw[i] * (1 - 0.9)
        v[i] = v[i] * 0.999 + dw[i] ** 2 * (1 - 0.999)
        m_hat, v_hat = m[i] / (1 - 0.9**step), v[i] / (1 - 0.999**step)
        w[i] -= rate * m_hat / (v_hat**0.5 + 1e-8)
    return w, m, v


RIGHT: dict[str, list[Callable[..., Any]]] = {
    "softmax": [softmax_shifted, softmax_by_logaddexp, softmax_in_loops],
    "kl": [kl_plain, kl_by_expm1, kl_of_deviations],
    "sample": [sample_plain, sample_by_normal, sample_by_polar_angles],
    "adam": [adam_plain, adam_in_one_rate, adam_in_loops],
}

LOSS, GRADIENT = "-(t * log_q).sum() / len(a)", "(q - t) / len(a)"
KL, BY_MU, BY_V = "(np.exp(v) - v - 1 + mu**2) / 2", ", mu,", "(np.exp(v) - 1) / 2"
NOISE = "random.standard_normal((count, *mu.shape))"
CODES = "mu + np.exp(v / 2) * noise"
HATS = "m / (1 - 0.9**step), v / (1 - 0.999**step)"

# What is wrong, and the pieces of source that are replaced.
WRONG: dict[str, dict[str, list[tuple[str, str]]]] = {
    "softmax": {
        "the loss is a sum over the rows, and its gradient, too": [
            (LOSS, "-(t * log_q).sum()"), (GRADIENT, "q - t"),
        ],
        "the loss is a mean over rows and classes, and its gradient, too": [
            (LOSS, "-(t * log_q).mean()"), (GRADIENT, "(q - t) / a.size"),
        ],
        "the loss is in bits, and its gradient, too": [
            (LOSS, f"{LOSS} / np.log(2)"), (GRADIENT, "(q - t) / len(a) / np.log(2)"),
        ],
        "the gradient is a sum over the rows, while the loss is a mean": [(GRADIENT, "q - t")],
        "the gradient has the other sign": [(GRADIENT, "(t - q) / len(a)")],
        "the gradient lacks the labels": [(GRADIENT, "q / len(a)")],
        "large logits overflow": [("a - a.max(axis=1, keepdims=True)", "1.0 * a")],
        "the logarithm is taken of a probability that may be 0, plus something tiny": [
            ("a - np.log(np.exp(a).sum(axis=1, keepdims=True))", "np.log(q + 1e-12)"),
        ],
        "of a row of labels only the largest is used": [
            ("q = np.exp(a)", "t, q = 1.0 * (t == t.max(axis=1, keepdims=True)), np.exp(a)"),
        ],
        "the loss is the divergence from the labels, which is another number for soft ones": [
            (LOSS, f"({LOSS[1:]} - (t * np.log(t + (t == 0))).sum() / len(a)) * -1"),
        ],
        "the probabilities of a class add up to 1, and not those of a row": [
            ("q / q.sum(axis=1, keepdims=True)", "q / q.sum(axis=0, keepdims=True)"),
            ("np.exp(a).sum(axis=1, keepdims=True)", "np.exp(a).sum(axis=0, keepdims=True)"),
        ],
    },
    "kl": {
        "v is read as the logarithm of the deviation, in the gradient, too": [
            (KL, "(np.exp(2 * v) - 2 * v - 1 + mu**2) / 2"), (BY_V, "np.exp(2 * v) - 1"),
        ],
        "the half is missing, in the gradient, too": [
            (KL, KL[:-4]), (BY_MU, ", 2 * mu,"), (BY_V, BY_V[:-4]),
        ],
        "it is a mean over the units, and its gradient, too": [
            ("kl.sum(axis=1)", "kl.mean(axis=1)"), (BY_MU, ", mu / mu.shape[1],"),
            (BY_V, f"{BY_V} / mu.shape[1]"),
        ],
        "it is not 0 where both distributions are the same": [(KL, "(np.exp(v) - v + mu**2) / 2")],
        "it is the divergence the other way round, and its gradient, too": [
            (KL, "(v - 1 + (1 + mu**2) * np.exp(-v)) / 2"), (BY_MU, ", mu * np.exp(-v),"),
            (BY_V, "(1 - (1 + mu**2) * np.exp(-v)) / 2"),
        ],
        "the gradient with respect to v lacks its half": [(BY_V, "np.exp(v) - 1")],
        "the gradient with respect to mu has a half": [(BY_MU, ", mu / 2,")],
        "the gradient is that of a mean over the rows": [
            (BY_MU, ", mu / len(mu),"), (BY_V, f"{BY_V} / len(mu)"),
        ],
        "log variances below -2 are taken for -2": [
            ("kl = (np.exp(v)", "v = np.maximum(v, -2); kl = (np.exp(v)"),
        ],
        "the sum is over the rows, and not over the units": [("kl.sum(axis=1)", "kl.sum(axis=0)")],
    },
    "sample": {
        "exp(v) is taken for the deviation": [("np.exp(v / 2)", "np.exp(v)")],
        "v is taken for the deviation": [("np.exp(v / 2)", "v")],
        "the mean is missing": [(CODES, "np.exp(v / 2) * noise")],
        "the noise is uniform between 0 and 1": [(NOISE, "random.random((count, *mu.shape))")],
        "the noise is uniform, with mean 0 and variance 1": [
            (NOISE, "random.uniform(-(3**0.5), 3**0.5, (count, *mu.shape))"),
        ],
        "the noise has the tails of a Laplace distribution": [
            (NOISE, "random.laplace(0, 0.5**0.5, (count, *mu.shape))"),
        ],
        "the noise is positive": [(NOISE, f"abs({NOISE})")],
        "all units of a code get the same noise": [
            (NOISE, "random.standard_normal((count, len(mu), 1))"),
        ],
        "all rows get the same noise": [
            (NOISE, "random.standard_normal((count, 1, mu.shape[1]))"),
        ],
        "each noise is used for two codes, one after the other": [
            (NOISE, "random.standard_normal((count, *mu.shape))[np.arange(count) // 2]"),
        ],
        "the seed makes no difference": [("default_rng(seed)", "default_rng(0)")],
        "the same seed gives other codes each time": [("default_rng(seed)", "default_rng()")],
    },
    "adam": {
        "the first moment is not corrected": [(HATS, "m, v / (1 - 0.999**step)")],
        "the second moment is not corrected": [(HATS, "m / (1 - 0.9**step), v")],
        "no moment is corrected": [(HATS, "m, v")],
        "the correction is that of the next step": [
            (HATS, "m / (1 - 0.9 ** (step + 1)), v / (1 - 0.999 ** (step + 1))"),
        ],
        "the correction is always that of the first step": [
            (HATS, "m / (1 - 0.9), v / (1 - 0.999)"),
        ],
        "it goes uphill": [("w - rate", "w + rate")],
        "the second moment is that of absolute values": [("dw**2", "abs(dw)")],
        "the decay of the first moment is 0.99": [
            ("0.9 * m + 0.1 * dw", "0.99 * m + 0.01 * dw"), (HATS, HATS.replace("0.9**", "0.99**")),
        ],
        "1e-8 is within the root": [("np.sqrt(v_hat) + 1e-8", "np.sqrt(v_hat + 1e-8)")],
        "nothing keeps it from dividing by 0": [("np.sqrt(v_hat) + 1e-8", "np.sqrt(v_hat)")],
        "it returns corrected moments": [("1e-8), m, v", "1e-8), m_hat, v_hat")],
        "the second moment never becomes smaller": [
            ("v = 0.999 * v + 0.001 * dw**2", "v = np.maximum(v, 0.999 * v + 0.001 * dw**2)"),
        ],
        "gradients are clipped to lie between -1 and 1": [
            ("m = 0.9 * m", "dw = np.clip(dw, -1, 1); m = 0.9 * m"),
        ],
    },
}  # fmt: skip


def planted(function, pieces):
    """A function with other pieces of source."""
    source = inspect.getsource(function)
    for old, new in pieces:
        assert source.count(old) == 1, f"{function.__name__}: {source.count(old)} times {old!r}"
        source = source.replace(old, new)
    made = {"np": np}
    exec(source, made)
    return made[function.__name__]


IMPLEMENTATIONS = {
    name: [
        *((function, "") for function in RIGHT[name]),
        *((planted(RIGHT[name][0], pieces), what) for what, pieces in WRONG[name].items()),
    ]
    for name in RIGHT
}
"""For each kind all functions, each with what is wrong with it; "" of those that are right."""
