"""PCA, a linear autoencoder, an autoencoder and a VAE on one task, with codes of the same size.

python examples/experiments/compare_autoencoders.py
python examples/experiments/compare_autoencoders.py --latent 2 --out runs/compare-2
"""

import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from tinygen import plots
from tinygen.commands import command_line
from tinygen.commands.setup import Run, set_up
from tinygen.data import as_floats, in_order
from tinygen.errors import InputError
from tinygen.evaluation import (
    PCA,
    evaluate_reconstruction,
    interpolate,
    linear_probe_error,
    plane_projection,
)
from tinygen.models import VAE, Autoencoder
from tinygen.models.gradients import LossAndGrads
from tinygen.parameters import Parameters
from tinygen.training import SingleLossLearner, TrainedModel, Trainer

COLUMNS = {
    "linear_mse": "test mse: linear {:.5f}",
    "autoencoder_mse": "autoencoder {:.5f}",
    "vae_mse": "VAE {:.5f}",
}
SMOKE = {"data": "strokes", "epochs": 3, "batch_size": 32, "hidden": (64,), "latent": 8}
NAMES = {"linear": "linear autoencoder", "autoencoder": "autoencoder", "vae": "VAE"}
SHOWN = 10
"""Images in a row of the picture."""
FITTED = 20_000
"""How many training images' codes the probe and a normal distribution are fitted to."""


def flags():
    p = command_line.parser("compare_autoencoders", __doc__)
    command_line.add_network_flags(p)
    p.set_defaults(activation="gelu")
    return p


class Together:
    """Models that are trained side by side on the same batches.

    Their parameters are concatenated in one vector, and their losses are added. No parameter is in
    two losses, and Adam treats each number by itself, whatever the size of its loss, so each model
    learns exactly what it would learn alone on these batches and this noise; but there is one loop
    and one checkpoint.
    """

    def __init__(self, models: dict[str, Any]) -> None:
        self.models = models
        self.shapes = {
            f"{name}.{key}": shape
            for name, model in models.items()
            for key, shape in model.shapes.items()
        }

    def initialise(self, seed: int, dtype: Any, backend: Any) -> Parameters:
        p = Parameters.zeros(self.shapes, dtype, backend)
        for name, own in self.parts(p).items():
            own.flat[...] = self.models[name].initialise(seed, dtype, backend).flat
        return p

    def parts(self, p: Parameters) -> dict[str, Parameters]:
        """Each model's own parameters, in the same memory."""
        return {name: p.part(f"{name}.") for name in self.models}

    def draw(self, x: Any, generator: Any, step: int) -> tuple[Any, ...]:
        return tuple(model.draw(x, generator, step) for model in self.models.values())

    def gradients(self, how: str) -> LossAndGrads:
        """The sum of the losses, and each model's gradient in its part."""
        gradients_of = {name: model.gradients(how) for name, model in self.models.items()}

        def loss_and_grads(
            p: Parameters, *data: Any, out: Parameters | None = None
        ) -> tuple[Any, Parameters]:
            out = p.room_for_gradients(out)
            parts, outs, total = self.parts(p), self.parts(out), 0
            for (name, f), drawn in zip(gradients_of.items(), data, strict=True):
                total = total + f(parts[name], *drawn, out=outs[name])[0]
            return total, out

        return loss_and_grads

    def errors(self, p: Parameters, images: Any, dtype: Any) -> dict[str, dict[str, float]]:
        """Each model's `evaluate_reconstruction` of images on its backend."""
        return {
            name: evaluate_reconstruction(partial(model.reconstruct, own), images, dtype)
            for (name, own), model in zip(self.parts(p).items(), self.models.values(), strict=True)
        }


def sample_codes(train: Any, has_prior: bool, seed: int) -> Any:
    """Codes to draw images from: from the prior N(0, I), or a normal distribution like theirs.

    Args:
        train: codes ``(n, c)``.
    """
    z = np.random.default_rng(seed).standard_normal((SHOWN, train.shape[1]))
    if has_prior:
        return z
    # The covariance is factored by its eigenvectors, so a unit that is always zero does no harm.
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(train.T, bias=True)))
    return train.mean(axis=0) + z @ (vectors * np.sqrt(values.clip(0))).T


def report(run: Run, together: Together, trainer: Trainer) -> None:
    """Print one table and draw one picture."""
    data, say, folder = run.dataset, run.progress.say, run.run_dir.folder
    labels, test_labels = data.train_labels[:FITTED], data.test_labels
    other = np.flatnonzero(test_labels != test_labels[0])  # not of the first image's class
    start, end = 0, int(other[0]) if len(other) else -1
    figures, panels = {}, {}

    def add(name: str, encode: Any, decode: Any, error: Any, has_prior: bool = False) -> None:
        """Evaluate a model, whose `encode` and `decode` are functions of host arrays."""
        train, test = encode(data.train_images[:FITTED]), encode(data.test_images)
        probe_error = linear_probe_error(train, labels, test, test_labels)
        figures[name] = {**error, "probe_error": probe_error}
        panels[name] = plots.ModelPanel(
            reconstructions=decode(test[:SHOWN]),
            samples=decode(sample_codes(train, has_prior, run.args.seed)),
            interpolation=decode(interpolate(test[start], test[end], SHOWN)),
            codes=plane_projection(test)(test),
        )

    pca = PCA.fit(data.train_images, run.args.latent)
    add(
        "PCA",
        lambda images: np.concatenate([pca.encode(x) for x in in_order(images)]),
        pca.decode,
        evaluate_reconstruction(pca.reconstruct, data.test_images, np.float32),
    )
    p, path = trainer.learner.parameters, run.run_dir.checkpoint
    errors = together.errors(p, run.backend.asarray(data.test_images), run.args.dtype)
    for key, own in together.parts(p).items():
        model = TrainedModel(together.models[key], own, run.backend, path, run.plan.data)
        add(NAMES[key], model.encode, model.decode, errors[key], has_prior=key == "vae")

    say(f"{f'codes of {run.args.latent}':20}{'mse':>10}{'squared error':>16}{'probe error':>14}")
    for name, f in figures.items():
        say(f"{name:20}{f['mse']:10.5f}{f['squared_error']:16.3f}{f['probe_error']:14.2%}")
    originals = as_floats(data.test_images[:SHOWN])
    run.summarise(p.flat.size, trainer.state.seconds, test=figures)
    plots.compare(originals, panels, data.image_shape, test_labels, path=folder / "comparison.png")
    say(f"picture, figures and checkpoint are in {folder}")


def main(arguments: Sequence[str] | None = None) -> None:
    args = command_line.parse(flags(), arguments, SMOKE)
    run = set_up(args, COLUMNS)
    dataset, backend = run.dataset, run.backend
    network = command_line.network(args)
    linear = network | {"hidden": (), "activation": "none"}
    together = Together({
        "linear": Autoencoder(dataset.pixels, output="none", **linear),
        "autoencoder": Autoencoder(dataset.pixels, **network),
        "vae": VAE(dataset.pixels, **network),
    })  # fmt: skip
    if args.latent > dataset.pixels:
        raise InputError(f"--latent {args.latent}: PCA has only {dataset.pixels} components")

    p = together.initialise(args.seed, args.dtype, backend)
    learner = SingleLossLearner(together, p, run.optimizer, together.gradients(args.gradients))
    trainer = run.trainer(learner)
    train, test = backend.asarray(dataset.train_images), backend.asarray(dataset.test_images)

    def evaluate() -> dict[str, float]:
        errors = together.errors(p, test, args.dtype)
        return {f"{name}_mse": error["mse"] for name, error in errors.items()}

    trainer.fit(train, evaluate)
    report(run, together, trainer)


if __name__ == "__main__":
    sys.exit(command_line.run(main))
