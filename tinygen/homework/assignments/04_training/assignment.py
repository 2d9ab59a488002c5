"""Adam, a schedule, batches, and a loop that has to reach a figure."""

import numpy as np

from tinygen.homework.feedback import Verdict

TITLE = "Adam, and a loop that trains"
MINUTES = 120
RESULTS = {
    "q1": ("`m`", "`v`"),
    "q2": ("the corrected `m`", "the corrected `v`"),
}
"""What sentences call them, where a question has several."""
LETTERS = {
    "p": "p w theta",
    "g": "g delta h",
    "m": "m a e",
    "v": "v q u",
}

BEST = 1.1
"""The error to be reached, as a multiple of what singular vectors of the same images have."""


def arrays(random, *names):
    return {name: random.standard_normal((4, 3)) for name in names}


def betas(random):
    return {"beta1": random.uniform(0.6, 0.85), "beta2": random.uniform(0.9, 0.98)}


def rates(random):
    return {"rate": random.uniform(0.2, 0.5)}


def decays(random):
    return {"decay": random.uniform(0.1, 0.4)}


def q1(random, form):
    case = arrays(random, "m", "v", "g")
    return {**case, "v": case["v"] ** 2, **betas(random)}


def q2(random, form):
    """The first step, and a later one."""
    case = arrays(random, "m", "v")
    case["v"] **= 2
    later, rest = int(random.integers(4, 9)), betas(random)
    return [{**case, "t": t, **rest} for t in (1, later)]


def q3(random, form):
    """Squares so small that `eps` matters, and where it stands."""
    case = arrays(random, "p", "m", "v")
    return {**case, "v": 1e-3 * case["v"] ** 2, **rates(random), "eps": random.uniform(5e-3, 2e-2)}


def q4(random, form):
    return {**arrays(random, "g", "p"), **decays(random)}


def q5(random, form):
    return {**arrays(random, "p"), **rates(random), **decays(random)}


def q6(random, form):
    warm, more = random.integers([4, 8], [8, 15]).tolist()
    return {"top": random.uniform(0.5, 1), "warm": warm, "steps": warm + more}


def q7(random, form):
    """With a last batch that is smaller, and without."""
    seed, size, count = random.integers([0, 5, 9], [1000, 9, 12]).tolist()
    rest = int(random.integers(1, size - 1))  # batches of nearly one size are others, too
    return [{"n": n, "size": size, "seed": seed} for n in (count * size + rest, count * size)]


def judge_q7(got, expected, case):
    """Any order that is drawn anew in each epoch."""
    n, size = case["n"], case["size"]
    for name in ("first", "second", "again", "other"):
        images = got[name].tolist()
        if others := {*images} - {*range(n)}:
            return Verdict(0, f"expected images 0 to {n - 1} in the batches, got {min(others)}")
        if missing := n - len({*images} & {*range(n)}):
            return Verdict(0, f"{missing} of {n} images are in none of the batches of an epoch")
        if len(images) > n:
            return Verdict(0, f"an epoch of {n} images has {len(images)} in its batches")
    if got["sizes"].tolist() != expected["sizes"].tolist():
        sizes = ", ".join(map(str, got["sizes"]))
        return Verdict(0, f"of {n} images, batches of {size} were expected, got {sizes}")
    if got["first"].tolist() == sorted(got["first"].tolist()):
        return Verdict(0, "the images are in the order of their numbers")
    if np.array_equal(got["first"], got["second"]):
        return Verdict(0, "the second epoch has the order of the first")
    if not np.array_equal(got["first"], got["again"]):
        what = "the order is not drawn from `random`: with two equal generators it is not the same"
        return Verdict(0, what)
    for name in ("second", "other"):
        if not (shuffled(got[name], np.arange(n)) and shuffled(got[name], got["first"])):
            return Verdict(0, "the images are not shuffled: most follow each other as before")
    return Verdict(1)


def shuffled(order, before):
    """Whether images follow each other in other ways than before; not so if it is only turned."""
    steps = np.diff(np.argsort(before)[order.astype(int)]) % len(order)
    return len({*steps.tolist()}) > len(order) / 4


def strokes(random, n):
    """Images of 6 x 6 pixels: some of five strokes, more or less bright, and noise."""
    pen = np.zeros((5, 6, 6))
    pen[0, 1] = pen[1, 4] = pen[2, :, 1] = pen[3, :, 4] = 1
    pen[4] = np.eye(6)
    brightness = random.random((n, 5)) * (random.random((n, 5)) < 0.5)
    return brightness @ pen.reshape(5, 36) + 0.05 * random.standard_normal((n, 36))


def q8(random, form):
    """A linear autoencoder of strokes; `held` are images that it is judged by."""
    n, size, epochs = 90, 15, 24
    order = np.array([random.permutation(n).reshape(-1, size) for _ in range(epochs)])
    steps, warm = order.shape[0] * order.shape[1], 30
    t = np.arange(steps)
    return {
        "start": 0.1 * random.standard_normal((36, 5)),
        "order": order,
        "rates": np.minimum((t + 1) / warm, (steps - t) / (steps - warm)),
        "images": strokes(random, n),
        "held": strokes(random, 60),
    }


def judge_q8(got, expected, case):
    """The parameters must be those that the recorded steps lead to, and their error a small one."""
    if not is_record(got, len(case["images"])):
        return Verdict(0, "this is no record of steps")
    count, due = len(got["rates"]), len(case["rates"])
    if not count:
        return Verdict(0, "`update` was never called")
    if count > due or len(got["images"]) > case["order"].size:
        images, of = len(got["images"]), case["order"].size
        return Verdict(0, f"{due} updates on {of} images are due, got {count} on {images}")
    if not all(got["gradient at p"]):
        t = np.argmin(got["gradient at p"])
        return Verdict(0, f"in step {t}, `update` is given the gradient at other parameters")
    if np.shape(got["p"]) != case["start"].shape or not np.allclose(got["p"], replayed(got, case)):
        return Verdict(
            0,
            "`update` has to begin with the first parameters, go on with what it returned in the "
            "step before, and its last result has to be returned",
        )
    _, _, axes = np.linalg.svd(case["images"])
    enough = BEST * error_of(axes[:5].T, case["held"])
    error = error_of(got["p"], case["held"])
    remark = about_steps(got, case)
    if not error <= enough:
        what = f"the error of new images is {error:.4f}, expected at most {enough:.4f}"
        return Verdict(0, f"{what}; {remark}" if remark else what)
    return Verdict(0.5, f"the error is low enough, but {remark}") if remark else Verdict(1)


def about_steps(got, case):
    """The first thing in which the steps are not those that are due, in words; "" if none is."""
    count, due = len(got["rates"]), len(case["rates"])
    lost = np.flatnonzero(got["state is None"] != (np.arange(count) == 0))
    if len(lost):
        given = "a state, where None is due" if lost[0] == 0 else "None for a state"
        return f"in step {lost[0]} `update` was given {given}"
    wrong = np.flatnonzero(~np.isclose(got["rates"], case["rates"][:count]))
    if len(wrong):
        t = wrong[0]
        given = f"in step {t} `update` was given the rate {got['rates'][t]:.4f}"
        return f"{given}, where the schedule has {case['rates'][t]:.4f}"
    if count < due:
        return f"there are {count} updates, where {due} are due"
    if epochs_of(got["images"], case) != epochs_of(case["order"], case):
        return "in some epoch the batches are not those of `batches(epoch)`"
    return ""


def epochs_of(images, case):
    """The batches of each epoch, in an order of their own."""
    if images.size != case["order"].size:
        return []
    return [sorted(epoch.tolist()) for epoch in images.reshape(case["order"].shape)]


def is_record(got, n):
    """Whether these are steps, each on some of n images; a submission may have made them up."""
    names = "images", "sizes", "rates", "state is None", "gradient at p"
    images, sizes, rates, new, at = (got[name] for name in names)
    return (
        all(np.ndim(x) == 1 for x in (images, sizes, rates, new, at))
        and images.dtype.kind == sizes.dtype.kind == "i"
        and len(sizes) == len(rates) == len(new) == len(at)
        and np.all((images >= 0) & (images < n))
        and np.all((sizes >= 0) & (sizes <= len(images)))
        and sizes.sum() == len(images)
    )


def replayed(got, case):
    """The parameters after the steps that driver.py has recorded."""
    p, state = case["start"], 0
    batches = np.split(got["images"], np.cumsum(got["sizes"])[:-1])
    for batch, rate, new in zip(batches, got["rates"], got["state is None"], strict=True):
        x = case["images"][batch]
        error = x @ p @ p.T - x
        g = 2 / error.size * (x.T @ error + error.T @ x) @ p
        state = g if new else 0.9 * state + g
        p = p - rate * state
    return p


def error_of(p, images):
    """The mean squared error of a linear autoencoder."""
    return float(np.mean((images @ p @ p.T - images) ** 2))
