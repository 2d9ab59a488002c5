"""What the homework on convolutions asks, and of which inputs."""

TITLE = "Convolution, its gradients, and its transpose"
MINUTES = 150
NEEDS = "the gradients of a dense layer; NumPy's slices, reshape and transpose"
FORMS = ["channels_last", "channels_first"]
LETTERS = {
    "X": "X U",
    "Y": "Y A",
    "M": "M K",
    "e": "e v",
    "T": "T Q",
    "g": "g f",
}

# With windows that overlap, and with gaps between them and pixels that are in no window.
SETTINGS = [
    {"n": 6, "h": 7, "w": 9, "c": 2, "o": 8, "size": 3, "stride": 2, "pad": 1, "p": 4, "q": 5},
    {"n": 3, "h": 12, "w": 14, "c": 6, "o": 7, "size": 2, "stride": 3, "pad": 0, "p": 4, "q": 5},
]


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
    lengths = [7, 12, int(random.integers(20, 40))]
    others = [(3, 2, 1), (2, 3, 0), (5, 1, 2)]
    return [
        {"length": length, "size": size, "stride": stride, "pad": pad}
        for length, (size, stride, pad) in zip(lengths, others, strict=True)
    ]


def q2(random, form):
    return [
        {"X": images(random, form, s, "h", "w", "c"), **only(s, "size stride pad p q")}
        for s in SETTINGS
    ]


def q3(random, form):
    return [{"rows": rows(random, s), **only(s, "size stride pad n h w p q")} for s in SETTINGS]


def q4(random, form):
    return [
        {
            "rows": rows(random, s),
            "M": weights(random, form, s),
            "e": random.standard_normal(s["o"]),
            **only(s, "n p q"),
        }
        for s in SETTINGS[:1]
    ]


def q5(random, form):
    return [
        {"rows": rows(random, s), "dY": images(random, form, s, "p", "q", "o")}
        for s in SETTINGS[:1]
    ]


def q6(random, form):
    return [
        {"dY": images(random, form, s, "p", "q", "o"), "M": weights(random, form, s)}
        for s in SETTINGS[:1]
    ]


def q7(random, form):
    return [
        {
            "X": images(random, form, s, "p", "q", "c"),
            "T": weights_of_transpose(random, form, s),
            "g": random.standard_normal(s["o"]),
            **only(s, "stride pad h w"),
        }
        for s in SETTINGS
    ]


def q8(random, form):
    return [
        {
            "dY": images(random, form, s, "h", "w", "o"),
            "T": weights_of_transpose(random, form, s),
            **only(s, "stride pad p q"),
        }
        for s in SETTINGS
    ]


def q9(random, form):
    return [
        {
            "X": images(random, form, s, "p", "q", "c"),
            "dY": images(random, form, s, "h", "w", "o"),
            **only(s, "size stride pad"),
        }
        for s in SETTINGS
    ]
