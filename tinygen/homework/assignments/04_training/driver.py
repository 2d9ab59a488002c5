"""What `batches` and `train` are called with, and a record of the steps that were taken."""

import numpy as np


def q6(submission, arguments, ask):
    top, warm, steps = arguments.values()
    rates = [submission.rate_of(t, top, warm, steps) for t in range(steps)]
    for t, rate in enumerate(rates):
        if np.ndim(rate) or rate is None:
            got = "None: is there a return?" if rate is None else type(rate).__name__
            raise ValueError(f"expected a number for each step, in step {t} got {got}")
    return np.array(rates)


def q7(submission, arguments, ask):
    n, size, seed = arguments.values()

    def epoch(random):
        batches = submission.batches(n, size, random)
        if not isinstance(batches, (list, tuple)):
            got = "None: is there a return?" if batches is None else type(batches).__name__
            raise TypeError(f"expected a list of batches, got {got}")
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
    gradients = {}  # each that was computed, with its batch and its parameters
    steps = []

    def schedule(t):
        if not 0 <= t < len(rates):
            raise ValueError(f"schedule: expected a step from 0 to {len(rates) - 1}, got {t}")
        return float(rates[t])

    def batches(epoch):
        if not 0 <= epoch < len(order):
            raise ValueError(f"batches: expected an epoch from 0 to {len(order) - 1}, got {epoch}")
        return list(order[epoch])

    def loss_and_grad(p, batch):
        if not isinstance(p, np.ndarray):
            raise TypeError(f"loss_and_grad: expected parameters, got {type(p).__name__}")
        x = images[batch]
        error = x @ p @ p.T - x
        g = 2 / error.size * (x.T @ error + error.T @ x) @ p
        gradients[id(g)] = g, np.asarray(batch), p.copy()
        return float(np.mean(error**2)), g

    def update(p, g, state, rate):
        if id(g) not in gradients:
            got = "the pair of loss and gradient" if isinstance(g, tuple) else type(g).__name__
            raise ValueError(f"update: expected a gradient of loss_and_grad's, got {got}")
        _, batch, at = gradients[id(g)]
        steps.append((batch, rate, state is None, np.array_equal(at, p)))
        state = g if state is None else 0.9 * state + g
        return p - rate * state, state

    p = submission.train(
        arguments["start"],
        len(order),
        batches,
        schedule,
        loss_and_grad,
        update,
    )
    if not isinstance(p, np.ndarray):
        got = "None: is there a return?" if p is None else type(p).__name__
        raise ValueError(f"expected the parameters, got {got}")
    used = [batch for batch, *_ in steps]
    return {
        "p": p,
        "images": np.concatenate([np.zeros(0, dtype=np.int64), *used]),
        "sizes": np.array([len(batch) for batch in used], dtype=int),
        "rates": np.array([rate for _, rate, *_ in steps]),
        "state is None": np.array([new for *_, new, _ in steps]),
        "gradient at p": np.array([at for *_, at in steps]),
    }
