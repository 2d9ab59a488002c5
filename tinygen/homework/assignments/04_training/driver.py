"""What `batches` and `train` are called with, and a record of the steps that were taken."""

import numpy as np


def q6(submission, arguments, ask):
    top, warm, steps = arguments.values()
    return np.array([submission.rate_of(t, top, warm, steps) for t in range(steps)])


def q7(submission, arguments, ask):
    n, size, seed = arguments.values()
    random = np.random.default_rng(seed)
    epochs = {
        "first": submission.batches(n, size, random),
        "second": submission.batches(n, size, random),
        "again": submission.batches(n, size, np.random.default_rng(seed)),
    }
    sizes = np.array([len(batch) for batch in epochs["first"]])
    return {**{name: np.concatenate(epoch) for name, epoch in epochs.items()}, "sizes": sizes}


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
        "sizes": np.array([len(batch) for batch in used]),
        "rates": np.array([rate for _, rate, _ in steps]),
        "state is None": np.array([new for _, _, new in steps]),
    }
