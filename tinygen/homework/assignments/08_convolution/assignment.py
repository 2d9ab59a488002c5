"""What the homework on convolutions asks, and of which inputs."""

import numpy as np

from tinygen.homework.feedback import Verdict

TITLE = "Convolution, its gradients, and its transpose"
MINUTES = 150
FORMS = ["channels_last", "channels_first"]
RESULTS = {
    "q5": ("`dM`", "`de`"),
    "q9": ("`dT`", "`dg`"),
}
"""What sentences call them, where a question has several."""
LETTERS = {
    "X": "X U",
    "Y": "Y A",
    "M": "M K",
    "e": "e v",
    "T": "T Q",
    "g": "g f",
}

OVERLAPPING = (3, 2, 1), (4, 2, 1), (4, 3, 1)
APART = (2, 3, 0), (2, 4, 0), (3, 4, 0)
"""Size, stride and zeros; of the second, some pixels are in no window."""


def settings(random):
    """One of either kind, with sizes that are all different."""
    return [setting(random, *random.choice(kind).tolist()) for kind in (OVERLAPPING, APART)]


def setting(random, size, stride, pad):
    while True:
        n, c, o, p, q, *rest = random.integers(
            [2, 2, 4, 3, 3, 0, 0], [7, 5, 9, 6, 6, stride, stride]
        )
        h, w = (stride * (k - 1) + size - 2 * pad + r for k, r in zip((p, q), rest, strict=True))
        sizes = {"n": n, "h": h, "w": w, "c": c, "o": o, "p": p, "q": q}
        if len({*sizes.values()}) == len(sizes):
            numbers = {"size": size, "stride": stride, "pad": pad, **sizes}
            return {name: int(number) for name, number in numbers.items()}


def images(random, form, s, height, width, channels):
    """Images of the sizes of these names."""
    axes = ["n", height, width, channels]
    if form == "channels_first":
        axes = ["n", channels, height, width]
    return random.standard_normal([s[axis] for axis in axes])


def rows(random, s):
    """Windows."""
    return random.standard_normal((s["n"] * s["p"] * s["q"], s["size"] ** 2 * s["c"]))


def weights(random, form, s):
    """Those of a convolution."""
    shape = s["size"] ** 2 * s["c"], s["o"]
    return random.standard_normal(shape if form == "channels_last" else shape[::-1])


def weights_of_transpose(random, form, s):
    """Those of a transposed convolution."""
    last = s["c"], s["size"], s["size"], s["o"]
    first = s["c"], s["o"], s["size"], s["size"]
    return random.standard_normal(last if form == "channels_last" else first)


def only(s, names):
    """Some of the settings, in this order."""
    return {name: s[name] for name in names.split()}


def q1(random, form):
    """With every step, with a rest at the end, without one, and with any numbers."""
    size, stride, pad, length = random.integers([2, 2, 1, 20], [6, 6, 4, 60]).tolist()
    whole = size + stride * int(random.integers(5, 12))
    rest = int(random.integers(1, stride))
    others = [(length, 1, pad), (whole + rest, stride, 0), (whole, stride, 0)]
    others += [(length + 1, stride, pad)]
    return [
        {"length": length, "size": size, "stride": stride, "pad": pad}
        for length, stride, pad in others
    ]


def judge_q1(got, expected, case):
    """It has to be an integer, too, since sizes of arrays are."""
    if got == expected and np.asarray(got).dtype.kind == "f":
        return Verdict(0, "right, but a float, and no array has a size that is one: make it an int")
    return Verdict(float(got == expected))


def q2(random, form):
    return [
        {"X": images(random, form, s, "h", "w", "c"), **only(s, "size stride pad p q")}
        for s in settings(random)
    ]


def q3(random, form):
    return [
        {"rows": rows(random, s), **only(s, "size stride pad n h w p q")} for s in settings(random)
    ]


def q4(random, form):
    return [
        {
            "rows": rows(random, s),
            "M": weights(random, form, s),
            "e": random.standard_normal(s["o"]),
            **only(s, "n p q"),
        }
        for s in settings(random)[:1]
    ]


def q5(random, form):
    return [
        {"rows": rows(random, s), "dY": images(random, form, s, "p", "q", "o")}
        for s in settings(random)[:1]
    ]


def q6(random, form):
    return [
        {"dY": images(random, form, s, "p", "q", "o"), "M": weights(random, form, s)}
        for s in settings(random)[:1]
    ]


def q7(random, form):
    return [
        {
            "X": images(random, form, s, "p", "q", "c"),
            "T": weights_of_transpose(random, form, s),
            "g": random.standard_normal(s["o"]),
            **only(s, "stride pad h w"),
        }
        for s in settings(random)
    ]


def q8(random, form):
    return [
        {
            "dY": images(random, form, s, "h", "w", "o"),
            "T": weights_of_transpose(random, form, s),
            **only(s, "stride pad p q"),
        }
        for s in settings(random)
    ]


def q9(random, form):
    return [
        {
            "X": images(random, form, s, "p", "q", "c"),
            "dY": images(random, form, s, "h", "w", "o"),
            **only(s, "size stride pad"),
        }
        for s in settings(random)
    ]
