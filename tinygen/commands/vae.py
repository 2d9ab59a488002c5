"""Train a variational autoencoder on MNIST, with gradients by autograd or derived by hand.

tinygen train vae
tinygen train vae --latent 2 --out runs/manifold
tinygen train vae --preset iwae --stages 5 --out runs/iwae
tinygen train vae --preset likelihood --gradients by-hand --out runs/likelihood
tinygen train vae --preset importance --start runs/likelihood --gradients by-hand --out runs/weights
"""

import math
from argparse import ArgumentParser
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import numpy as np

from tinygen import plots
from tinygen.commands import command_line
from tinygen.commands.setup import Run, ranks_of, set_up_on
from tinygen.data import binarized
from tinygen.errors import InputError
from tinygen.evaluation import (
    ELBO,
    VAEEvaluator,
    interpolations,
    linear_probe_factors,
    prior_quantiles,
)
from tinygen.models import VAE
from tinygen.models.architecture import image_option
from tinygen.models.vae import LIKELIHOODS, OBJECTIVES
from tinygen.training import Diverged, SingleLossLearner, Trainer
from tinygen.training.progress import warn
from tinygen.training.recipes import RECIPES

COLUMNS = {
    "train_loss": "train {:.2f}",
    "test_negative_elbo": "test -elbo {:.2f}",
    "test_reconstruction": "= rec {:.2f}",
    "test_kl": "+ kl {:.2f}",
    "test_active_units": "active {:.0f}",
}
DEFAULTS: dict[str, Any] = {
    **RECIPES[VAE]._asdict(), "hidden": (400,), "latent": 20, "activation": "gelu",
}  # fmt: skip
CONV: dict[str, Any] = {"hidden": (256,)}
SMOKE = {"data": "strokes", "epochs": 3, "batch_size": 32, "hidden": (64,), "latent": 8,
         "nll_samples": 20}  # fmt: skip
DENSE = {"hidden": (500, 500), "latent": 40, "batch_size": 100, "binarize": "dynamic",
         "nll_samples": 5000}  # fmt: skip
CONVOLUTIONAL = {**DENSE, **CONV, "architecture": "conv"}
ONE_SAMPLE: dict[str, Any] = {"kl_warm_up": 10.0, "input_distortion": 0.1}
PRESETS = {
    # Burda, Grosse and Salakhutdinov (2016), one stochastic layer; --samples 50 is their best.
    "iwae": {"hidden": (200, 200), "latent": 50, "activation": "tanh", "batch_size": 20,
             "objective": "iwae", "binarize": "dynamic", "schedule": "stages", "epochs": 3280,
             "lr": 1e-3, "beta2": 0.999, "epsilon": 1e-4, "nll_samples": 5000},
    # One sample; distorted images, so that it can train for long without memorising them.
    "likelihood": {**DENSE, **ONE_SAMPLE, "distorted_epochs": 150.0, "epochs": 200, "lr": 2e-3},
    "likelihood-conv": {**CONVOLUTIONAL, **ONE_SAMPLE, "distorted_epochs": 80.0, "epochs": 110,
                        "lr": 3e-3},
    # Importance weights, for a network that has already learned most with one sample.
    "importance": {**DENSE, "objective": "iwae", "samples": 10, "epochs": 30, "lr": 1e-3},
    "importance-conv": {**CONVOLUTIONAL, "objective": "iwae", "samples": 10, "epochs": 40,
                        "lr": 1.5e-3},
}  # fmt: skip
AFTER = {"importance": "likelihood", "importance-conv": "likelihood-conv"}
"""Presets that start where a run of another preset ended."""
NEEDS = [(flag, "stages", (None,)) for flag in ("epochs", "schedule", "warm_up")]
"""Stages have their own epochs and rates."""
BINARIZE = ("none", "dynamic", "static")
FRAMES = 40
"""The most frames of the film."""
COLLAPSED = 0.01
"""Nats of KL below which a latent dimension carries no information about the image."""
GRID = prior_quantiles(20)
"""The codes of the manifold along each axis."""
PROBE_IMAGES, PROBE_STREAM = 20_000, 4
"""How many training images the linear probe is fitted to, and the seed's stream for them."""


def flags(prog: str | None = None) -> ArgumentParser:
    p = command_line.parser("mnist_vae", __doc__, prog=prog, distributed=True, graphs=True)
    group = command_line.add_network_flags(p)
    command_line.add_convolution_flags(group, CONV)
    command_line.add_start_flag(group)
    add = group.add_argument
    real, whole = command_line.real, command_line.whole
    add("--likelihood", **command_line.choice(LIKELIHOODS, "distribution of a pixel"))
    add("--objective", **command_line.choice(OBJECTIVES, "the bound that is maximised"))
    add("--samples", type=whole(1, 10**5), default=1, metavar="K", help="codes sampled per image")
    add("--beta", type=real(least=0, most=10**6), default=1.0, metavar="X", help="weight of the KL")
    add("--kl-warm-up", type=real(least=0, most=10**6), default=0.0, metavar="X",
        help="epochs over which the KL's weight rises linearly")  # fmt: skip
    add("--free-bits", type=real(least=0, most=10**6), default=0.0, metavar="X",
        help="nats of KL per latent dimension that are not penalised")  # fmt: skip
    command_line.add_distortion_flag(group, 0.0)
    add("--distorted-epochs", type=real(least=0, most=10**6), default=0.0, metavar="X",
        help="epochs with --input-distortion; 0: all of them")  # fmt: skip
    add("--binarize", **command_line.choice(BINARIZE, "how pixels become 0 or 1"))
    add("--stages", type=whole(1, 10), metavar="N",
        help="instead of --epochs and --schedule: stages of 1, 3, 9, ... epochs")  # fmt: skip
    add("--nll-samples", type=whole(0, 10**6), default=100, metavar="K",
        help="codes per image for the final estimate of the likelihood")  # fmt: skip
    p.set_defaults(**DEFAULTS)
    return p


def build(args, shape: Sequence[int] = command_line.UNKNOWN_SIZE, steps_per_epoch: int = 1) -> VAE:
    if args.likelihood == "gaussian" and args.binarize != "none":
        raise InputError(f"--binarize {args.binarize} needs the likelihood bernoulli")
    options = command_line.options(args, VAE)
    options["kl_warm_up"] = round(args.kl_warm_up * steps_per_epoch)
    distorted = round(args.distorted_epochs * steps_per_epoch)
    options["distorted_steps"] = max(1, distorted) if args.distorted_epochs else 0  # 0 is for all
    options["binarize"] = args.binarize == "dynamic"
    image = image_option(args.channels or args.input_distortion, shape)
    return VAE(math.prod(shape), image=image, **options)


def sample_codes(latent: int) -> tuple[np.ndarray, int]:
    """Codes whose images the film shows, (m, latent), and how many per row: a grid if it fits."""
    if latent > 2:
        return np.random.default_rng(0).standard_normal((100, latent)), 10
    grid = GRID[:, None] if latent == 1 else np.stack(np.meshgrid(GRID, -GRID), axis=-1)
    return grid.reshape(-1, latent), len(GRID)


def report(run: Run, trainer: Trainer, evaluator: VAEEvaluator) -> None:
    """The final figures on the test images, and the pictures."""
    args, say, data, folder = run.args, run.progress.say, run.dataset, run.run_dir.folder
    elbo, latent = evaluator.elbo(data.test_images), evaluator.model.latent
    test: dict[str, Any] = dict(elbo.metrics)
    say(f"negative ELBO of the test images: {elbo}")
    if elbo.kl_per_dimension.max() < COLLAPSED and not args.smoke:
        warn(
            f"warning: the KL of each of the {latent} units is below {COLLAPSED} nats: the code "
            "ignores the image; try a smaller --beta, or --kl-warm-up or --free-bits"
        )
    if args.nll_samples:
        draws = len(data.test_images) * args.nll_samples
        with closing(run.progress.work("likelihood", draws)) as bar:
            nll = evaluator.negative_log_likelihood(data.test_images, args.nll_samples, bar.update)
        if not math.isfinite(nll["nll"]):
            raise Diverged(f"the estimate of -log p(x) is {nll['nll']}")
        test |= nll
        say(f"-log p(x) from {args.nll_samples} samples: {nll['nll']:.2f} nats, "
            f"standard error {nll['standard_error']:.2f}")  # fmt: skip
    codes, factors = evaluator.encode(data.test_images), {}
    if data.train_factors is not None and data.test_factors is not None:
        train = evaluator.encode(data.train_images[:PROBE_IMAGES], PROBE_STREAM)
        factors = linear_probe_factors(train, data.train_factors, codes, data.test_factors)
        say("R^2 of a linear probe of the codes:")
        r2 = [f"{name} {value:.2f}" for name, value in factors.items()]
        say("\n".join("  " + ", ".join(r2[k : k + 5]) for k in range(0, len(r2), 5)))
    run.summarise(evaluator.parameters.flat.size, trainer.state.seconds, test=test,
                  factors_r2=factors)  # fmt: skip
    draw_pictures(run, trainer.state.history, evaluator, elbo, codes)
    say(f"plots, metrics and checkpoint are in {folder}")


def draw_pictures(run: Run, history: Any, evaluator: VAEEvaluator, elbo: ELBO, codes: Any) -> None:
    """Draw all pictures of a run except the film, which grew with it."""
    data, folder, shape = run.dataset, run.run_dir.folder, run.dataset.image_shape
    decode, latent = evaluator.decode, evaluator.model.latent
    panels = {
        "bound (nats per image)": {
            "train_loss": "training: loss",
            "test_negative_elbo": "test: negative ELBO",
        },
        "its parts (nats per image)": {
            "test_reconstruction": "test: reconstruction",
            "test_kl": "test: KL",
        },
    }
    plots.loss_curves(history, panels, path=folder / "loss.png")
    plots.kl_per_dimension(elbo.kl_per_dimension, COLLAPSED, path=folder / "kl.png")
    rows = evaluator.reconstruct(data.test_images, 10)
    plots.images_in_rows(rows, shape, path=folder / "reconstructions.png")
    paths = interpolations(codes, data.test_labels, 10)
    rows = {pair: decode(path) for pair, path in paths.items()}
    plots.images_in_rows(rows, shape, path=folder / "interpolations.png")
    if latent <= 2:
        images, down = decode(sample_codes(latent)[0]), -GRID if latent == 2 else None
        plots.manifold(images, shape, GRID, down, path=folder / "manifold.png")
    if latent == 2:
        plots.codes({"": codes}, data.test_labels, path=folder / "codes.png")
    z = np.random.default_rng(run.args.seed).standard_normal((100, latent))
    plots.sheet(decode(z), shape, 10, path=folder / "samples.png")


def main(arguments: Sequence[str] | None = None, prog: str | None = None) -> None:
    with ranks_of(arguments) as ranks:
        args = command_line.parse(flags(prog), arguments, SMOKE, PRESETS, CONV, NEEDS)
        if args.stages:
            args.schedule, args.epochs = "stages", (3**args.stages - 1) // 2
        if args.preset in AFTER and not args.start:
            before = AFTER[args.preset]
            raise InputError(f"--preset {args.preset} needs --start, a run of --preset {before}")
        change = binarized.static if args.binarize == "static" else None
        # Building it raises if flags do not go together, before any data are read.
        train(set_up_on(ranks, build(args), args, COLUMNS, change))


def train(run: Run) -> None:
    args = run.args
    data, backend, folder = run.dataset, run.backend, run.run_dir.folder
    model = build(args, data.image_shape, run.plan.steps(len(data.train_images)))
    p = model.initialise(args.seed, args.dtype, backend)
    learner = SingleLossLearner(model, p, run.optimizer, run.gradients(model))
    trainer, evaluator = run.trainer(learner), VAEEvaluator(model, p, args.seed)
    if not trainer.state.step:  # pictures of an earlier run, which this one might not redraw
        for name in ("training.gif", "manifold.png", "codes.png"):
            (folder / name).unlink(missing_ok=True)

    def evaluate() -> dict[str, float]:
        """The figures of an epoch; some epochs also give a frame of the film."""
        epoch = len(trainer.state.history) + 1
        if run.plan.has_frame(epoch, FRAMES):
            z, columns = sample_codes(model.latent)
            images = evaluator.decode(z)
            plots.add_frame(folder / "training.gif", images, data.image_shape, columns, epoch)
        return {f"test_{k}": v for k, v in evaluator.elbo(data.test_images).metrics.items()}

    trainer.fit(backend.asarray(data.train_images), evaluate)
    if run.reports:
        report(run, trainer, evaluator)
