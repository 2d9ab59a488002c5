"""Train a variational autoencoder on MNIST, with gradients by autograd or derived by hand.

python examples/mnist_vae.py
python examples/mnist_vae.py --latent 2 --out runs/manifold
python examples/mnist_vae.py --preset iwae --stages 5 --out runs/iwae
"""

import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from statistics import NormalDist
from typing import Any

import numpy as np

from tinygen import plots
from tinygen.data import binarized, in_order
from tinygen.errors import InputError
from tinygen.evaluation import (
    ELBO,
    evaluate_elbo,
    interpolations,
    linear_probe_r2,
    negative_log_likelihood,
)
from tinygen.models import VAE
from tinygen.models.vae import LIKELIHOODS, OBJECTIVES
from tinygen.training import Diverged, Run, SingleLossLearner, Trainer, command_line, set_up
from tinygen.training.progress import warn

COLUMNS = {
    "train_loss": "train {:.2f}",
    "test_negative_elbo": "test -elbo {:.2f}",
    "test_reconstruction": "= {:.2f}",
    "test_kl": "+ kl {:.2f}",
    "test_active_units": "active {:.0f}",
}
DEFAULTS = {"hidden": (400,), "latent": 20, "activation": "gelu", "lr": 6e-3}
SMOKE = {"data": "strokes", "epochs": 3, "batch_size": 32, "hidden": (64,), "latent": 8,
         "nll_samples": 20}  # fmt: skip
PRESETS = {
    # Burda, Grosse and Salakhutdinov (2016), one stochastic layer; --samples 50 is their best.
    "iwae": {"hidden": (200, 200), "latent": 50, "activation": "tanh", "batch_size": 20,
             "objective": "iwae", "binarize": "dynamic", "schedule": "stages", "epochs": 3280,
             "lr": 1e-3, "beta2": 0.999, "epsilon": 1e-4, "nll_samples": 5000},
}  # fmt: skip
BINARIZE = ("none", "dynamic", "static")
FRAMES = 40
"""The most frames of the film."""
COLLAPSED = 0.01
"""A unit whose KL has fewer nats than that says nothing of the image."""
GRID = np.array([NormalDist().inv_cdf((k + 0.5) / 20) for k in range(20)])
"""Numbers between which the prior lies in equal shares."""
SHOWN = 10
"""Images in a row of a picture."""
TEST_STREAM, NLL_STREAM, FITTED_STREAM = 2, 3, 4
"""Of the seed: a step's draws are its stream 1."""
FITTED = 20_000
"""Training images that a linear read-out is fitted to."""


def flags():
    p = command_line.parser("mnist_vae", __doc__.splitlines()[0])
    add = command_line.add_network_flags(p).add_argument
    real, whole = command_line.real, command_line.whole
    add("--likelihood", **command_line.choice(LIKELIHOODS, "of a pixel"))
    add("--objective", **command_line.choice(OBJECTIVES, "the bound that is raised"))
    add("--samples", type=whole(1, 10**5), default=1, metavar="K", help="codes drawn for an image")
    add("--beta", type=real(least=0, most=10**6), default=1.0, metavar="X", help="weight of the KL")
    add("--kl-warm-up", type=real(least=0, most=10**6), default=0.0, metavar="X",
        help="epochs over which that weight rises in equal steps")  # fmt: skip
    add("--free-bits", type=real(least=0, most=10**6), default=0.0, metavar="X",
        help="nats of KL that cost a number of the code nothing")  # fmt: skip
    add("--binarize", **command_line.choice(BINARIZE, "how pixels become 0 or 1"))
    add("--stages", type=whole(1, 10), metavar="N",
        help="instead of --epochs and --schedule: stages of 1, 3, 9, ... epochs")  # fmt: skip
    add("--nll-samples", type=whole(0, 10**6), default=100, metavar="K",
        help="codes for an image's estimated likelihood in the end")  # fmt: skip
    p.set_defaults(**DEFAULTS)
    return p


def build(args, pixels: int, steps_per_epoch: int = 1) -> VAE:
    if args.likelihood == "gaussian" and args.binarize != "none":
        raise InputError(f"--binarize {args.binarize} needs the likelihood bernoulli")
    return VAE(
        pixels=pixels,
        **command_line.network(args),
        likelihood=args.likelihood,
        objective=args.objective,
        samples=args.samples,
        beta=args.beta,
        kl_warm_up=round(args.kl_warm_up * steps_per_epoch),
        free_bits=args.free_bits,
        binarize=args.binarize == "dynamic",
    )


class Judge:
    """What a model is on the test images; their binary pixels and noise are the same each time."""

    def __init__(self, run: Run, trainer: Trainer) -> None:
        self.run, self.state, self.parameters = run, trainer.state, trainer.learner.parameters
        self.model: VAE = replace(trainer.learner.model, samples=1)

    def data(self) -> Iterator[tuple[Any, Any]]:
        """The test images with noise, a batch at a time."""
        return self.drawn(self.run.dataset.test_images, TEST_STREAM)

    def drawn(self, images: Any, stream: int) -> Iterator[tuple[Any, Any]]:
        """Host images (n, h, w) as the model sees them, with noise, a batch at a time."""
        args, backend = self.run.args, self.run.backend
        for k, x in enumerate(in_order(backend.asarray(images), args.dtype)):
            yield self.model.draw(x, backend.generator((args.seed, stream, k)))[:2]

    def elbo(self) -> ELBO:
        return evaluate_elbo(partial(self.model.elbo_terms, self.parameters), self.data())

    def after_epoch(self) -> dict[str, float]:
        """The figures of an epoch; some epochs give a frame of the film, too."""
        epoch = len(self.state.history) + 1
        if self.run.plan.has_frame(epoch, FRAMES):
            z, columns = shown_codes(self.model.latent)
            path, shape = self.run.run_dir.folder / "training.gif", self.run.dataset.image_shape
            plots.add_frame(path, self.decoded(z), shape, columns, epoch)
        return {f"test_{key}": value for key, value in self.elbo().metrics.items()}

    def nll(self, samples: int) -> dict[str, float]:
        """The importance-weighted estimate of ``-log p(x)``."""
        args, backend = self.run.args, self.run.backend

        def log_weights(x: Any, k: int, generator: Any) -> Any:
            shape = (k, len(x), self.model.latent)
            noise = generator.standard_normal(shape, dtype=x.dtype)
            return self.model.log_weights(self.parameters, x, noise)

        batches = (x for x, _ in self.data())
        generator = backend.generator((args.seed, NLL_STREAM))
        draws = len(self.run.dataset.test_images) * samples
        with closing(self.run.progress.work("likelihood", draws)) as bar:
            return negative_log_likelihood(
                log_weights, batches, samples, generator, advance=bar.update
            )

    def decoded(self, z: Any) -> Any:
        """Host codes (m, latent) to host images (m, pixels)."""
        backend = self.run.backend
        z = backend.asarray(np.asarray(z, self.run.args.dtype))
        return backend.to_numpy(self.model.decode(self.parameters, z))

    def codes(self, data: Iterator[tuple[Any, Any]]) -> Any:
        """The means of the codes of images, on the host: (n, latent)."""
        means = (self.model.encode(self.parameters, x)[0] for x, _ in data)
        return np.concatenate([self.run.backend.to_numpy(mean) for mean in means])


def shown_codes(latent: int) -> tuple[np.ndarray, int]:
    """The codes that are shown as images (m, latent), and how many of them in a row."""
    if latent > 2:
        return np.random.default_rng(0).standard_normal((100, latent)), 10
    grid = GRID[:, None] if latent == 1 else np.stack(np.meshgrid(GRID, -GRID), axis=-1)
    return grid.reshape(-1, latent), len(GRID)


def report(run: Run, model: VAE, judge: Judge) -> None:
    """The figures of the end, and the pictures."""
    args, say = run.args, run.progress.say
    found = judge.elbo()
    test: dict[str, Any] = dict(found.metrics)
    say(f"bound on the test images: {found.negative_elbo:.2f} nats = "
        f"{found.reconstruction:.2f} + kl {found.kl:.2f}, "
        f"{found.active_units} of {model.latent} units active")  # fmt: skip
    if found.kl_per_dimension.max() < COLLAPSED:
        warn(
            f"warning: the KL of each of the {model.latent} units is below {COLLAPSED} nats: the "
            "code says nothing of the image; try a smaller --beta, or --kl-warm-up or --free-bits"
        )
    if args.nll_samples:
        estimate = judge.nll(args.nll_samples)
        if not math.isfinite(estimate["nll"]):
            raise Diverged(f"the estimate of -log p(x) is {estimate['nll']}")
        test |= estimate
        say(f"-log p(x) from {args.nll_samples} samples: {estimate['nll']:.2f} nats, "
            f"standard error {estimate['standard_error']:.2f}")  # fmt: skip
    factors = read_factors(judge)
    if factors:
        say("R^2 of a linear read-out of the codes:")
        told = [f"{name} {r2:.2f}" for name, r2 in factors.items()]
        say("\n".join("  " + ", ".join(told[k : k + 5]) for k in range(0, len(told), 5)))
    draw_pictures(judge, found)
    run.summarise(judge.parameters.flat.size, judge.state.seconds, test=test, factors_r2=factors)
    say(f"pictures, figures and checkpoint are in {run.run_dir.folder}")


def read_factors(judge: Judge) -> dict[str, float]:
    """How much of each factor of the strokes the codes carry; nothing for other data."""
    data = judge.run.dataset
    if data.train_factors is None or data.test_factors is None:
        return {}
    drawn = [name for name, values in data.test_factors.items() if values.dtype.kind == "f"]
    targets = [
        np.stack([factors[name] for name in drawn], axis=1)
        for factors in (data.train_factors, data.test_factors)
    ]
    train = judge.codes(judge.drawn(data.train_images[:FITTED], FITTED_STREAM))
    test = judge.codes(judge.data())
    r2 = linear_probe_r2(train, targets[0][:FITTED], test, targets[1])
    return dict(zip(drawn, map(float, r2), strict=True))


def draw_pictures(judge: Judge, found: ELBO) -> None:
    """All pictures of a run but the film, which grew with it."""
    run, latent = judge.run, judge.model.latent
    dataset, folder, shape = run.dataset, run.run_dir.folder, run.dataset.image_shape
    curves = {
        "train_loss": "training: loss",
        "test_negative_elbo": "test: negative ELBO",
        "test_reconstruction": "test: reconstruction",
        "test_kl": "test: KL",
    }
    plots.loss_curves(folder / "loss.png", judge.state.history, curves, "nats per image")
    plots.kl_per_dimension(folder / "kl.png", found.kl_per_dimension, COLLAPSED)

    x = next(judge.data())[0][:SHOWN]
    rows = {"original": x, "reconstruction": judge.model.reconstruct(judge.parameters, x)}
    rows = {name: run.backend.to_numpy(images) for name, images in rows.items()}
    plots.images_in_rows(folder / "reconstructions.png", rows, shape)
    codes = judge.codes(judge.data())
    paths = interpolations(codes, dataset.test_labels, SHOWN)
    rows = {pair: judge.decoded(path) for pair, path in paths.items()}
    plots.images_in_rows(folder / "interpolations.png", rows, shape)
    if latent <= 2:
        y = judge.decoded(shown_codes(latent)[0])
        plots.manifold(folder / "manifold.png", y, shape, GRID, -GRID if latent == 2 else None)
    if latent == 2:
        plots.codes(folder / "codes.png", {"": codes}, dataset.test_labels)
    z = np.random.default_rng(run.args.seed).standard_normal((100, latent))
    plots.sheet(folder / "samples.png", judge.decoded(z), shape, 10)


def main(arguments: Sequence[str] | None = None) -> None:
    args = command_line.parse(flags(), arguments, SMOKE, PRESETS)
    if args.stages:
        args.schedule, args.epochs = "stages", (3**args.stages - 1) // 2
    build(args, pixels=784)  # refuses what does not go together, before any data is read
    run = set_up(args, COLUMNS, binarized.static if args.binarize == "static" else None)
    dataset, backend = run.dataset, run.backend
    steps = -(-len(dataset.train_images) // args.batch_size)
    model = build(args, dataset.pixels, steps)
    p = model.initialise(args.seed, args.dtype, backend)
    learner = SingleLossLearner(model, p, run.optimizer, model.gradients(args.gradients))
    trainer = run.trainer(learner)
    judge = Judge(run, trainer)
    if not trainer.state.step:  # pictures of an earlier run, which this one may not replace
        for name in ("training.gif", "manifold.png", "codes.png"):
            (run.run_dir.folder / name).unlink(missing_ok=True)
    trainer.fit(backend.asarray(dataset.train_images), judge.after_epoch)
    report(run, model, judge)


if __name__ == "__main__":
    sys.exit(command_line.run(main))
