"""Measure the bias and the variance of three estimators of a VAE's gradient, and of a wrong one.

python examples/experiments/vae_estimators.py
python examples/experiments/vae_estimators.py --latent 2 --draws 100000
"""

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from math import hypot
from typing import Any

import numpy as np

from tinygen import Adam, plots, value_and_grad
from tinygen.backend import namespace
from tinygen.commands import command_line
from tinygen.commands.setup import Run, set_up
from tinygen.data import as_floats, batches, epoch_order
from tinygen.errors import InputError
from tinygen.evaluation import evaluate_elbo
from tinygen.losses import gaussian_kl
from tinygen.models import VAE
from tinygen.models.vae import reparameterise
from tinygen.ops import exp, mean, sum
from tinygen.parameters import Parameters
from tinygen.training import RunDir

DEFAULTS = {"hidden": (64,), "latent": 5, "epochs": 3, "lr": 2e-3}
SMOKE = {"data": "strokes", "epochs": 1, "hidden": (16,), "latent": 2, "images": 4,
         "draws": 256}  # fmt: skip
SAMPLES = (1, 4, 16, 64, 256)
"""How many draws per image an estimate is the mean of."""
REPEATS = (4, 8000)
"""The fewest and the most estimates from which a row of the table is computed."""
EVALUATED_ON = 1000
"""Test images on which the ELBO is evaluated after each epoch."""


# The estimators. Each is a mean over k draws; its gradient with respect to mu and log_var estimates
# that of E_q[f(z)]. f takes codes (k, n, c) to costs (k, n). Equations: docs/vae-estimators.md.


def reparameterised(f: Callable, mu: Any, log_var: Any, noise: Any) -> Any:
    """The gradient flows through the draws, and through f: (E5)."""
    return mean(f(reparameterise(mu, log_var, noise)))


def score_function(
    f: Callable, mu: Any, log_var: Any, noise: Any, baseline: Callable | None = None
) -> Any:
    """The draws are constants, and their costs too; the gradient is that of log q: (E3), (E6)."""
    z = reparameterise(mu, log_var, noise).detach()
    costs = f(z)  # a gradient still flows through f to the decoder, for which it is right
    weight = costs.detach()
    if baseline is not None:
        weight = weight - baseline(weight)
    log_q = -0.5 * sum(log_var + (z - mu) * (z - mu) * exp(-log_var), axis=-1)
    return mean(costs + weight * log_q)


def others(costs: Any) -> Any:
    """The mean cost of an image's other draws, which does not depend on this one: (E7)."""
    return (sum(costs, axis=0) - costs) * (1 / (costs.shape[0] - 1))


def all_draws(costs: Any) -> Any:
    """The mean cost of an image's draws, this one included, which is wrong: (E9)."""
    return mean(costs, axis=0)


BY_REPARAMETERISATION = "reparameterised"
ESTIMATORS = {
    BY_REPARAMETERISATION: reparameterised,
    "score function": score_function,
    "score - others' mean": partial(score_function, baseline=others),
    "score - whole mean": partial(score_function, baseline=all_draws),
}
TRAINED = list(ESTIMATORS)[:3]
"""Estimators without a bias."""
PAIRED = list(ESTIMATORS)[2:]
"""Estimators that need two draws."""


def estimated_elbo(estimator: Callable, model: VAE, p: Any, x: Any, noise: Any) -> Any:
    """A loss whose gradient estimates that of the negative ELBO; the KL's part has no noise."""
    mu, log_var = model.encode(p, x)
    kl = mean(sum(gaussian_kl(mu, log_var), axis=-1))
    return estimator(partial(model.reconstruction, p, x), mu, log_var, noise) + kl


def encoder_gradient(estimator: Callable, model: VAE, p: Parameters, x: Any, noise: Any) -> Any:
    """The gradient of the reconstruction term with respect to the encoder's parameters (P,)."""

    def loss(encoder: dict[str, Any]) -> Any:
        mu, log_var = model.encode(encoder, x)
        return estimator(partial(model.reconstruction, p, x), mu, log_var, noise)

    encoder = {name: W for name, W in p.items() if name.startswith("encoder.")}
    _, gradients = value_and_grad(loss)(encoder)
    return namespace(x).concatenate([g.ravel() for g in gradients.values()])


# What an estimator is worth.


def measure(estimates: Iterable[Any], truth: Any) -> dict[str, float]:
    """Bias and variance of estimates (P,) of a true gradient (P,); all except `repeats` relative.

    Returns:
        ``along``: the component of their mean along the truth, 1 without bias; and its standard
        error ``along_error``. ``distance``: that of their mean from the truth; and ``noise``, its
        root mean square if there were no bias. ``variance``: summed over the P numbers, for one
        estimate; and ``snr``, 1 over its square root.
    """
    truth = np.asarray(truth, np.float64)
    size = truth @ truth
    total, squares, along = np.zeros_like(truth), 0.0, []
    for g in estimates:
        total += g
        d = g - truth  # small where the variance is, so that no digits are lost
        squares += d @ d / size
        along.append(1 + d @ truth / size)
    n = len(along)
    d = total / n - truth
    bias = d @ d / size
    variance = (squares - n * bias) / (n - 1)
    return {
        "repeats": n,
        "along": float(np.mean(along)),
        "along_error": float(np.std(along, ddof=1) / n**0.5),
        "distance": float(bias**0.5),
        "noise": float((variance / n) ** 0.5),
        "variance": float(variance),
        "snr": float(variance**-0.5),
    }


def compare(run: Run, model: VAE, p: Parameters) -> list[dict[str, Any]]:
    """A row of figures for each estimator and number of draws, on one batch of test images."""
    args, backend = run.args, run.backend
    images = backend.asarray(run.dataset.test_images[: args.images])
    x = model.draw(as_floats(images, args.dtype), backend.generator((args.seed, 2)))[0]

    def estimates(estimator: Callable, k: int, repeats: int, stream: int) -> Iterable[Any]:
        for r in range(repeats):
            generator = backend.generator((args.seed, stream, k, r))
            noise = generator.standard_normal((k, len(x), model.latent), dtype=x.dtype)
            yield backend.to_numpy(encoder_gradient(estimator, model, p, x, noise))

    most = SAMPLES[-1]
    long = np.stack([*estimates(reparameterised, most, max(4, 2 * args.draws // most), 3)])
    truth = long.mean(axis=0, dtype=np.float64)
    known = measure(long, truth)  # how well the truth is known
    rows = []
    for stream, (name, estimator) in enumerate(ESTIMATORS.items(), 4):
        for k in SAMPLES[1:] if name in PAIRED else SAMPLES:
            repeats = int(np.clip(args.draws // k, *REPEATS))
            row = measure(estimates(estimator, k, repeats, stream), truth)
            row["along_error"] = hypot(row["along_error"], known["along_error"])
            row["noise"] = hypot(row["noise"], known["noise"])
            row["z"] = (row["along"] - 1) / row["along_error"]
            rows.append({"estimator": name, "samples": k, **row})
        run.progress.say(f"measured  {name}")
    return rows


def train(
    run: Run, model: VAE, estimator: Callable
) -> tuple[Parameters, float, list[dict[str, float]]]:
    """Train with one estimator; all have the same initial weights, batches and noise.

    Returns:
        The parameters, how many seconds it took, and the figures of each epoch.
    """
    args, backend = run.args, run.backend
    p = model.initialise(args.seed, args.dtype, backend)
    adam, step = Adam(p, beta2=args.beta2, epsilon=args.epsilon), 0
    gradients, out = value_and_grad(partial(estimated_elbo, estimator, model)), p.zeros_like()
    images = backend.asarray(run.dataset.train_images)
    test = backend.asarray(run.dataset.test_images[:EVALUATED_ON])
    history = []
    began = time.perf_counter()
    for epoch in range(args.epochs):
        order = backend.asarray(epoch_order(len(images), args.seed, epoch))
        for x in batches(images, order, args.batch_size, dtype=args.dtype):
            x, noise, _ = model.draw(x, backend.generator((args.seed, 1, step)))
            gradients(p, x, noise, out=out)
            adam.update(p, out, run.plan.schedule(step))
            step += 1
        x, noise, _ = model.draw(as_floats(test, args.dtype), backend.generator((args.seed, 9)))
        figures = evaluate_elbo(partial(model.elbo_terms, p), [(x, noise)]).metrics
        history.append({"epoch": epoch + 1, **figures})
    return p, time.perf_counter() - began, history


# What is shown.


def table(rows: list[dict[str, Any]]) -> list[str]:
    """One line per row, of at most 80 columns."""
    lines = [f"{'estimator':21}{'k':>4}{'along':>9}{'+-':>8}{'distance':>10}{'noise':>8}"
             f"{'variance':>11}{'snr':>8}"]  # fmt: skip
    for r in rows:
        lines.append(
            f"{r['estimator']:21}{r['samples']:4}{r['along']:9.4f}{r['along_error']:8.4f}"
            f"{r['distance']:10.4f}{r['noise']:8.4f}{r['variance']:11.4g}{r['snr']:8.3g}"
        )
    return lines


def draw_pictures(run: Run, rows: list[dict[str, Any]], history: dict[str, Any]) -> None:
    """Draw bias and variance over the number of draws, and the ELBO during training."""
    folder = run.run_dir.folder

    def curves(key: str) -> dict[str, list[float]]:
        values = {(r["estimator"], r["samples"]): r[key] for r in rows}
        return {name: [values.get((name, k), np.nan) for k in SAMPLES] for name in ESTIMATORS}

    label = "draws for an image, k"
    levels = {"+2 standard errors": 2.0, "-2 standard errors": -2.0}
    plots.line_plot(SAMPLES, curves("z"), label, "bias in standard errors",
                    levels, log_x=True, log_y=False, path=folder / "bias.png")  # fmt: skip
    plots.line_plot(SAMPLES, curves("variance"), label, "variance / true gradient squared",
                    log_x=True, log_y=True, path=folder / "variance.png")  # fmt: skip
    elbos = {name: [row["negative_elbo"] for row in h] for name, h in history.items()}
    epochs = [row["epoch"] for row in history[BY_REPARAMETERISATION]]
    path = folder / "training.png"
    plots.line_plot(epochs, elbos, "epoch", "test -ELBO (nats per image)", path=path)


def flags():
    p = command_line.parser("vae_estimators", __doc__)
    add = command_line.add_network_flags(p).add_argument
    whole = command_line.whole
    add("--train-samples", type=whole(2, 10**4), default=4, metavar="K",
        help="codes drawn for an image in a training step")  # fmt: skip
    add("--images", type=whole(1, 10**4), default=8, metavar="N", help="test images of a gradient")
    add("--draws", type=whole(256, 10**8), default=25_600, metavar="N",
        help="codes for an image in a row of the table, as far as repeats allow")  # fmt: skip
    p.set_defaults(**DEFAULTS)
    return p


def main(arguments: Sequence[str] | None = None) -> None:
    args = command_line.parse(flags(), arguments, SMOKE)
    if args.gradients == "by-hand":
        raise InputError("--gradients by-hand: the estimators are written for autograd")
    RunDir(args.out).refuse_experiment(args.resume, args.restart, [])
    run = set_up(args, {})
    say = run.progress.say
    network = command_line.network(args)
    model = VAE(run.dataset.pixels, binarize=True, samples=args.train_samples, **network)
    trained, seconds, history = {}, {}, {}
    for name in TRAINED:
        trained[name], seconds[name], history[name] = train(run, model, ESTIMATORS[name])
        say(f"trained   {name:21} test -elbo {history[name][-1]['negative_elbo']:.2f} nats")
    p = trained[BY_REPARAMETERISATION]
    rows = compare(run, model, p)
    for line in ["", *table(rows), ""]:
        say(line)
    test, own = history[BY_REPARAMETERISATION][-1], seconds[BY_REPARAMETERISATION]
    run.summarise(p.flat.size, own, test=test, estimators=rows, training=history)
    draw_pictures(run, rows, history)
    say(f"pictures and figures are in {run.run_dir.folder}")


if __name__ == "__main__":
    sys.exit(command_line.run(main))
