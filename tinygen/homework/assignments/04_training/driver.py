"""What `batches` and `train` are called with, and a record of the steps that were taken."""

import numpy as np


def named(results, *names):
    """Results, with what sentences call them."""
    if not isinstance(results, (tuple, list)) or len(results) != len(names):
        got = len(results) if isinstance(results, (tuple, list)) else type(results).__name__
        raise ValueError(f"expected {len(names)} results, {' and '.join(names)}, got {got}")
    return dict(zip(names, results, strict=True))


def q1(submission, arguments, ask):
    return named(submission.moments(*arguments.values()), "`m`", "`v`")


def q2(submission, arguments, ask):
    return named(
        submission.corrected(*arguments.values()), "the corrected `m`", "the corrected `v`"
    )


def q6(submission, arguments, ask):
    top, warm, steps = arguments.values()
    rates = [submission.rate_of(t, top, warm, steps) for t in range(steps)]
    for t, rate in enumerate(rates):
        if np.ndim(rate) or rate is None:
            raise ValueError(f"expected a number for each step, got {type(rate).__name__} for {t}")
    return np.array(rates)


def q7(submission, arguments, ask):
    n, size, seed = arguments.values()

    def epoch(random):
        batches = submission.batches(n, size, random)
        if batches is None:
            raise TypeError("expected a list of batches, got None: is there a return?")
        batches = [np.asarray(batch) for batch in batches]
        for batch in batches:
            if batch.ndim != 1 or batch.dtype.kind not in "iu":
                raise TypeError(
                    "expected a list of batches, each an array (size,) of whole numbers, "
                    f"got one {batch.shape} of {batch.dtype}"
                )
        return batches

    random = np.random.default_rng(seed)
    epochs = {"first": epoch(random), "second": epoch(random)}
    epochs["again"] = epoch(np.random.default_rng(seed))
    epochs["other"] = epoch(np.random.default_rng(seed + 1))
    sizes = np.array([len(batch) for batch in epochs["first"]], dtype=int)
    none = np.zeros(0, dtype=int)
    return {**{name: np.concatenate([none, *x]) for name, x in epochs.items()}, "sizes": sizes}


def q8(submission, arguments, ask):
    images, rates, order = (arguments[name] for name in ("images", "rates", "order"))
    gradients = {}  # each that was computed, and the batch that it is of
    steps = []

    def schedule(t):
        if not 0 <= t < len(rates):
            raise ValueError(f"schedule: expected a step from 0 to {len(rates) - 1}, got {t}")
        return float(rates[t])

    def loss_and_grad(p, batch):
        x = images[batch]
        error = x @ p @ p.T - x
        g = 2 / error.size * (x.T @ error + error.T @ x) @ p
        gradients[id(g)] = g, np.asarray(batch)
        return float(np.mean(error**2)), g

    def update(p, g, state, rate):
        if id(g) not in gradients:
            raise ValueError("update: expected a gradient as loss_and_grad has returned it")
        steps.append((gradients[id(g)][1], rate, state is None))
        state = g if state is None else 0.9 * state + g
        return p - rate * state, state

    p = submission.train(
        arguments["start"],
        len(order),
        lambda epoch: list(order[epoch]),
        schedule,
        loss_and_grad,
        update,
    )
    used = [batch for batch, _, _ in steps]
    return {
        "p": p,
        "images": np.concatenate([np.zeros(0, dtype=np.int64), *used]),
        "sizes": np.array([len(batch) for batch in used], dtype=int),
        "rates": np.array([rate for _, rate, _ in steps]),
        "state is None": np.array([new for _, _, new in steps]),
    }
