"""Sum or mean: train a VAE on MNIST with its two terms weighted as common code weights them.

python examples/experiments/vae_scaling.py
python examples/experiments/vae_scaling.py --likelihood gaussian --out runs/vae_scaling-gaussian
"""

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from tinygen import plots, value_and_grad
from tinygen.backend import namespace
from tinygen.commands import command_line
from tinygen.commands.setup import Run, set_up
from tinygen.data import as_floats, in_order
from tinygen.data.batches import batches, epoch_order
from tinygen.errors import InputError
from tinygen.evaluation import ELBO, VAEEvaluator, evaluate_elbo
from tinygen.models import VAE
from tinygen.models.vae import LIKELIHOODS
from tinygen.parameters import Parameters
from tinygen.training import Diverged, RunDir, SingleLossLearner

# R and KL are sums, over the d pixels of an image and over the c numbers of its code, and means
# over images. The weights of R and KL:
LOSSES = {
    "R + KL / d": lambda d, c: (1, 1 / d),
    "R + KL / c": lambda d, c: (1, 1 / c),
    "R + KL": lambda d, c: (1, 1),
    "R / d + KL / c": lambda d, c: (1 / d, 1 / c),
    "R / d + KL": lambda d, c: (1 / d, 1),
}
DEFAULTS = {"hidden": (400,), "latent": 20, "activation": "gelu"}
SMOKE = {"data": "strokes", "epochs": 1, "batch_size": 32, "hidden": (32,), "latent": 8}
SHOWN = 14
PROBE_STREAM, TEST_STREAM = 2, 3
"""Streams of the seed; a step's draws are stream 1."""


def flags():
    p = command_line.parser("vae_scaling", __doc__)
    add = command_line.add_network_flags(p).add_argument
    add("--likelihood", **command_line.choice(LIKELIHOODS, "of a pixel"))
    p.set_defaults(**DEFAULTS)
    return p


def build(args, pixels: int) -> VAE:
    return VAE(pixels=pixels, likelihood=args.likelihood, **command_line.network(args))


def effective_beta(name: str, model: VAE) -> float:
    """The weight of the KL when that of R is 1. A common factor changes only the step size."""
    r_weight, kl_weight = LOSSES[name](model.pixels, model.latent)
    return kl_weight / r_weight


def compare_gradients(model: VAE, p, x, noise, beta: float) -> dict[str, float]:
    """The gradients of the two terms of ``R + beta KL`` with respect to the encoder's parameters.

    Returns:
        The norms of the two, the fraction of each in the sum of the norms, and the cosine of the
        angle between them.
    """

    def encoder_gradient(beta: float) -> Any:
        """The loss is linear in beta, so its gradients at 0 and at 1 give those of both terms."""
        _, g = value_and_grad(model.loss)(p, x, noise, beta)
        parts = [g[name].reshape(-1) for name in g if name.startswith("encoder.")]
        return namespace(x).concatenate(parts).astype("float64")

    r = encoder_gradient(0.0)
    kl = beta * (encoder_gradient(1.0) - r)
    norms = [float((g * g).sum()) ** 0.5 for g in (r, kl)]
    total = sum(norms)
    return {
        "norm_r": norms[0],
        "norm_kl": norms[1],
        "share_r": norms[0] / total,
        "share_kl": norms[1] / total,
        "cosine": float((r * kl).sum()) / (norms[0] * norms[1]),
    }


def train(run: Run, model: VAE, p: Parameters) -> list[dict[str, float]]:
    """Train `p` in place; `compare_gradients` before steps 1, 2, 4, ... and after the last one."""
    args, backend, step = run.args, run.backend, 0
    images = backend.asarray(run.dataset.train_images)
    probe = next(in_order(images, args.dtype))
    noise = model.draw(probe, backend.generator((args.seed, PROBE_STREAM)))[1]
    learner = SingleLossLearner(model, p, run.optimizer, model.gradients(args.gradients))

    def measure() -> dict[str, float]:
        return {"step": step + 1} | compare_gradients(model, p, probe, noise, model.beta)

    rows = []
    for epoch in range(args.epochs):
        order = backend.asarray(epoch_order(len(images), args.seed, epoch))
        bar = run.progress.epoch(epoch, len(images), 0)
        for x in batches(images, order, args.batch_size, dtype=args.dtype):
            if (step + 1).bit_count() == 1:  # a power of 2
                rows.append(measure())
            data = learner.draw(x, backend.generator((args.seed, 1, step)), step)
            loss = learner.step(data, run.plan.schedule(step))["loss"]
            step += 1
            bar.update(len(x))
        bar.close()
        if not math.isfinite(float(loss)):
            raise Diverged(f"beta {model.beta:g}: the loss became {float(loss)}; try a lower --lr")
    return [*rows, measure()]


def evaluate(run: Run, model: VAE, p: Parameters) -> tuple[ELBO, dict[str, Any]]:
    """The ELBO of test images, whatever the weights in training, and reconstructions.

    Beside these are images decoded from draws of the prior.
    """
    evaluator, images = VAEEvaluator(model, p, run.args.seed), run.dataset.test_images
    elbo = evaluate_elbo(partial(model.elbo_terms, p), evaluator.draw(images, TEST_STREAM))
    z = np.random.default_rng(run.args.seed).standard_normal((SHOWN, model.latent))
    return elbo, {
        "reconstructions": evaluator.reconstruct(images, SHOWN)["reconstruction"],
        "samples": evaluator.decode(z),
    }


def table(test: dict[str, dict[str, float]]) -> str:
    """One line per loss, of at most 80 columns."""
    lines = [
        f"{'':26}{'on the test images, nats':>27}{'active':>9}{'fraction of KL':>18}",
        f"{'loss':16}{'beta':>10}{'R':>9}{'KL':>9}{'R + KL':>9}{'units':>9}{'first':>9}{'last':>9}",
    ]
    for name, f in test.items():
        lines.append(
            f"{name:16}{f['beta']:10.4g}{f['reconstruction']:9.2f}{f['kl']:9.2f}"
            f"{f['negative_elbo']:9.2f}{f['active_units']:9d}"
            f"{f['first_share_kl']:9.1%}{f['last_share_kl']:9.1%}"
        )
    return "\n".join(lines)


def draw_fractions(path, test, gradient) -> None:
    curves = {
        f"{name} (beta {test[name]['beta']:.3g})": [f["share_kl"] for f in rows]
        for name, rows in gradient.items()
    }
    steps = [f["step"] for f in gradient["R + KL"]]
    ylabel = "KL's fraction of the encoder's gradient"
    plots.line_plot(steps, curves, "step", ylabel, log_x=True, log_y=False, path=path)


def main(arguments: Sequence[str] | None = None) -> None:
    args = command_line.parse(flags(), arguments, SMOKE)
    if args.resume:
        raise InputError("vae_scaling keeps no checkpoint, so it cannot --resume; begin anew")
    build(args, pixels=784)  # raises if flags do not go together, before any data are read
    RunDir(args.out).refuse_experiment(args.resume, args.restart, [])
    run = set_up(args, {})
    run.run_dir.forget_summary()
    base, folder, say = build(args, run.dataset.pixels), run.run_dir.folder, run.progress.say
    began = time.perf_counter()
    test: dict[str, dict[str, float]] = {}
    gradient: dict[str, list[dict[str, float]]] = {}
    rows = {"original": as_floats(run.dataset.test_images[:SHOWN])}
    for name in LOSSES:
        model = replace(base, beta=effective_beta(name, base))
        p = model.initialise(args.seed, args.dtype, run.backend)
        gradient[name] = train(run, model, p)
        elbo, images = evaluate(run, model, p)
        test[name] = {"beta": model.beta} | elbo.metrics
        for when, at in (("first", 0), ("last", -1)):
            test[name] |= {f"{when}_{k}": gradient[name][at][k] for k in ("share_kl", "share_r")}
        if args.likelihood == "gaussian":
            test[name]["variance"] = math.exp(float(p["decoder.log_var"][0]))
        rows |= {f"{name}: {kind}": y for kind, y in images.items()}
        say(f"trained {name}, beta {model.beta:.4g}")
    seconds = time.perf_counter() - began

    say("\n" + table(test))
    for name, figures in test.items():
        if "variance" in figures:
            say(f"{name:16} variance of a pixel, learned: {figures['variance']:.4f}")
    run.summarise(p.flat.size, seconds, test=test, gradient=gradient)
    plots.images_in_rows(rows, run.dataset.image_shape, path=folder / "images.png")
    draw_fractions(folder / "shares.png", test, gradient)
    say(f"pictures and figures are in {folder}")


if __name__ == "__main__":
    sys.exit(command_line.run(main))
