"""Train an autoencoder on MNIST, with gradients by autograd or derived by hand.

tinygen train autoencoder
tinygen train autoencoder --gradients by-hand --backend cupy
"""

from argparse import ArgumentParser
from collections.abc import Sequence
from functools import partial
from math import prod

import numpy as np

from tinygen import plots
from tinygen.arguments import name_in
from tinygen.commands import command_line
from tinygen.commands.setup import Run, ranks_of, set_up_on
from tinygen.data import as_floats, in_order
from tinygen.evaluation import PCA, evaluate_reconstruction, neighbours, reconstruction_table
from tinygen.models import Autoencoder
from tinygen.models.architecture import feature_maps, image_option, window
from tinygen.models.encoder_decoder import OUTPUTS, RECONSTRUCTIONS
from tinygen.training import SingleLossLearner, Trainer

COLUMNS = {
    "train_loss": "train loss {:.5f}",
    "test_loss": "test loss {:.5f}",
    "test_mse": "test mse {:.5f}",
    "test_pixel_accuracy": "pixels {:.2%}",
}
CODES = 1000
"""Test images whose codes determine the directions in which codes vary."""
MOST_PIXELS = 4096  # PCA decomposes a pixels x pixels matrix; above this it takes minutes and GB
SMOKE = {"data": "strokes", "epochs": 3, "batch_size": 32, "hidden": (64,), "latent": 8}
CONV = {"hidden": (256,), "activation": "gelu"}
PRESETS = {
    # Hinton and Salakhutdinov's network (Science, 2006) without its pre-training.
    "hinton": {"hidden": (1000, 500, 250), "latent": 30, "epochs": 40, "lr": 2e-3},
}


def flags(prog: str | None = None) -> ArgumentParser:
    p = command_line.parser("mnist_autoencoder", __doc__, prog=prog, distributed=True, graphs=True)
    group = command_line.add_network_flags(p)
    command_line.add_convolution_flags(group, CONV)
    command_line.add_start_flag(group)
    add = group.add_argument
    weight = {"type": command_line.real(least=0), "default": 0.0, "metavar": "X"}
    add("--reconstruction", **command_line.choice(RECONSTRUCTIONS, "the loss of an image"))
    add("--output", type=name_in(OUTPUTS), metavar="NAME",
        help="sigmoid, or none if all is linear")  # fmt: skip
    add("--weight-decay", **weight, help="weight of half the sum of the squared weights")
    add("--code-l1", **weight, help="weight of the sum of the code's absolute values: sparse")
    add("--input-noise", **weight, help="standard deviation of noise on the input: denoising")
    add("--dropout", **weight | {"type": command_line.real(0, most=0.95)},
        help="fraction of the hidden units dropped in each step")  # fmt: skip
    return p


def build(args, shape: Sequence[int] = command_line.UNKNOWN_SIZE) -> Autoencoder:
    image = image_option(args.channels, shape)
    return Autoencoder(prod(shape), image=image, **command_line.options(args, Autoencoder))


def evaluate(model: Autoencoder, parameters, images, dtype: str) -> dict[str, float]:
    """Figures on the test images, without noise."""
    total = 0.0
    for x in in_order(images, dtype):
        total += float(model.loss(parameters, x)) * len(x)
    figures = evaluate_reconstruction(partial(model.reconstruct, parameters), images, dtype)
    return {"test_loss": total / len(images), **{f"test_{k}": v for k, v in figures.items()}}


def report(run: Run, trainer: Trainer, test: dict[str, float]) -> None:
    """Compare the model with PCA of as many components, in figures and in pictures."""
    dataset, folder, say = run.dataset, run.run_dir.folder, run.progress.say
    model, p = trainer.learner.model, trainer.learner.parameters
    x = as_floats(dataset.test_images[:14], run.args.dtype)
    y = run.backend.to_numpy(model.reconstruct(p, run.backend.asarray(x)))
    figures, images = {"autoencoder": test}, {"original": x, "autoencoder": y}
    baselines, levels = {}, {}
    if model.pixels <= MOST_PIXELS:
        pca = PCA.fit(dataset.train_images, min(model.latent, model.pixels))
        name = f"PCA {len(pca.variances)}"
        images[name] = pca.reconstruct(x)
        figures[name] = evaluate_reconstruction(pca.reconstruct, dataset.test_images, np.float64)
        baselines["pca"] = figures[name]
        levels = {name: figures[name]["mse"]} if model.reconstruction == "mse" else {}
    else:
        say(f"PCA is left out: images of {model.pixels} pixels are too large for it")
    say(reconstruction_table(figures))
    run.summarise(p.flat.size, trainer.state.seconds, test=test, baselines=baselines)

    plots.images_in_rows(images, dataset.image_shape, path=folder / "reconstructions.png")
    curves = {"train_loss": "training", "test_loss": "test"}
    unit = {"mse": "mean squared error", "bce": "cross-entropy (nats per image)"}
    panel = {unit[model.reconstruction]: curves}
    plots.loss_curves(trainer.state.history, panel, levels, path=folder / "loss.png")
    draw_inside(run, model, p)
    say(f"plots, metrics and checkpoint are in {folder}")


def draw_inside(run: Run, model: Autoencoder, p) -> None:
    """Draw what the first layers see, what the next make of an image, and codes near its code."""
    dataset, folder, backend = run.dataset, run.run_dir.folder, run.backend
    shape, host = dataset.image_shape, backend.to_numpy
    plots.filters(host(p["encoder.W1"]), window(model, shape), path=folder / "filters.png")
    x = backend.asarray(as_floats(dataset.test_images[:CODES], run.args.dtype))
    codes = host(model.encode(p, x))
    rows = neighbours(codes, 0, np.linspace(-2, 2, 9), directions=6)
    images = {name: host(model.decode(p, backend.asarray(row, run.args.dtype)))
              for name, row in rows.items()}  # fmt: skip
    plots.images_in_rows(images, shape, path=folder / "neighbours.png")
    if model.channels:
        maps = feature_maps(model.encoder.net, p.part("encoder."), x[:1])
        layers = {f"layer {k}": host(h[0]) for k, h in enumerate(maps, 1)}
        plots.feature_maps(host(x[0]), shape, layers, path=folder / "features.png")


def main(arguments: Sequence[str] | None = None, prog: str | None = None) -> None:
    with ranks_of(arguments) as ranks:
        args = command_line.parse(flags(prog), arguments, SMOKE, PRESETS, CONV)
        if args.output is None:
            linear = args.activation == "none" and args.reconstruction == "mse"
            args.output = "none" if linear else "sigmoid"
        # Building it raises if flags do not go together, before any data are read.
        train(set_up_on(ranks, build(args), args, COLUMNS))


def train(run: Run) -> None:
    args = run.args
    dataset, backend = run.dataset, run.backend
    model = build(args, dataset.image_shape)
    p = model.initialise(args.seed, args.dtype, backend)
    learner = SingleLossLearner(model, p, run.optimizer, run.gradients(model))
    trainer = run.trainer(learner)
    images, test = backend.asarray(dataset.train_images), backend.asarray(dataset.test_images)
    trainer.fit(images, partial(evaluate, model, p, test, args.dtype))
    if run.reports:
        figures = evaluate_reconstruction(partial(model.reconstruct, p), test, args.dtype)
        report(run, trainer, figures)
