"""Take the decoder off an encoder and put a generator in its place: digits that nobody has seen.

python examples/experiments/encoder_generator.py
python examples/experiments/encoder_generator.py --checkpoint runs/mnist_vae --way densities
python examples/experiments/encoder_generator.py --latent 2 --lr 1e-3 --ratio 1 --out runs/plane
"""

import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from tinygen import plots
from tinygen.commands import command_line
from tinygen.commands.setup import Run, set_up
from tinygen.data import in_order
from tinygen.errors import InputError
from tinygen.evaluation import (
    evaluate_reconstruction,
    frechet_distance,
    interpolations,
    plane_projection,
    scores_table,
)
from tinygen.evaluation.densities import GaussianMixture, GaussianPerClass
from tinygen.evaluation.reference_models import Judge, baselines, reference_classifier
from tinygen.models import AdversarialAutoencoder, Autoencoder, Decoder
from tinygen.models.architecture import image_option
from tinygen.models.encoder_decoder import RECONSTRUCTIONS
from tinygen.models.gan import LOSSES
from tinygen.training import (
    AAELearner,
    Learner,
    Progress,
    RunDir,
    SingleLossLearner,
    TrainedModel,
    load,
)
from tinygen.training.progress import warn

WAYS = {"both": ("encoder", "generator", "adversarial"), "densities": ("encoder", "generator"),
        "adversarial": ("adversarial",)}  # fmt: skip
"""Each way with its training runs, every one with a folder and a checkpoint of its own."""
FLAGS = {
    "encoder": ("input_noise",),
    "generator": ("input_noise", "code_noise", "checkpoint"),
    "adversarial": ("adversarial_epochs", "discriminator_hidden", "game_loss", "ratio"),
}
"""The flags on which a training run depends, and some other one does not."""
NEEDS = [("input_noise", "checkpoint", (None,))]
CONV = {"hidden": (256,)}
SMOKE = {"data": "strokes", "epochs": 2, "adversarial_epochs": 2, "batch_size": 32,
         "hidden": (64,), "discriminator_hidden": (32,), "components": 20}  # fmt: skip
LATENT = 16
COLUMNS = {"train_loss": "train loss {:.5f}", "test_mse": "test mse {:.5f}"}
ADVERSARIAL_COLUMNS = {
    "train_reconstruction_loss": "R {:.4f}", "train_discriminator_loss": "D {:.3f}",
    "train_encoder_loss": "E {:.3f}", "test_mse": "test mse {:.5f}", "test_prior": "prior {:.3f}",
}  # fmt: skip
ADVERSARIAL_BETAS = 0.5, 0.99
"""Adam's betas: each of two players must soon forget where the other was."""
SHOWN, PAIRS = 10, 5
"""How many images per row, and how many rows of interpolations."""
EM_STREAM, SAMPLE_STREAM = 2, 3
"""Streams of the seed; a step's draws are stream 1."""


def flags():
    p = command_line.parser("encoder_generator", __doc__)
    group = command_line.add_network_flags(p)
    command_line.add_convolution_flags(group, CONV)
    add = group.add_argument
    weight = {"type": command_line.real(least=0), "metavar": "X"}
    add("--checkpoint", type=command_line.path, metavar="RUN",
        help=f"whose encoder to take; else one is trained first, with codes of {LATENT} numbers "
        "if --latent does not say how many")  # fmt: skip
    add("--way", **command_line.choice(tuple(WAYS), "to codes that are new"))
    add("--reconstruction", **command_line.choice(RECONSTRUCTIONS, "loss of an image", "bce"))
    add("--input-noise", **weight, default=0.3,
        help="standard deviation of noise on what the encoder sees")  # fmt: skip
    add("--code-noise", **weight, default=0.0,
        help="standard deviation of noise on the generator's codes, relative to their own",
    )  # fmt: skip
    add("--components", type=command_line.whole(1, 10**4), default=100, metavar="N",
        help="Gaussians in the mixture")  # fmt: skip
    add("--adversarial-epochs", type=command_line.whole(1, command_line.MOST_EPOCHS), default=20,
        metavar="N", help="passes over the images for the adversarial autoencoder")  # fmt: skip
    add("--discriminator-hidden", type=command_line.widths, default=(256, 256), metavar="N,N",
        help="widths of the discriminator's hidden layers")  # fmt: skip
    add("--game-loss", **command_line.choice(LOSSES, "of discriminator and encoder", "r1"))
    add("--ratio", type=command_line.real(above=0, most=1000), default=0.5, metavar="X",
        help="learning rate of the adversarial losses, divided by --lr")  # fmt: skip
    p.set_defaults(latent=None)
    return p


# The training runs.


class InversionLearner(SingleLossLearner):
    """A decoder learns to invert an encoder that does not change.

    Args:
        noise: the standard deviation of noise on each number of the codes, or None. With it the
            decoder also sees codes near those of the images, such as a density draws.
    """

    def __init__(self, *arguments: Any, noise: Any) -> None:
        super().__init__(*arguments)
        self.noise = noise

    def draw(self, x: Any, generator: Any, step: int, *labels: Any) -> tuple[Any, ...]:
        (codes,) = labels
        if self.noise is not None:
            codes = codes + self.noise * generator.standard_normal(codes.shape, dtype=codes.dtype)
        return self.model.draw(x, generator, step, codes)


class Trainings:
    """The training runs, one after another; each returns what `load` reads from its folder.

    Attributes:
        runs: the run of each, by name.
        ends: the last row of the history of each that is done, with its number of parameters.
    """

    def __init__(self, run: Run, runs: dict[str, Run]) -> None:
        self.run, self.runs, self.ends = run, runs, {}
        args, shape = run.args, run.dataset.image_shape
        self.options = command_line.network(args) | {
            "reconstruction": args.reconstruction, "channels": args.channels,
            "kernel": args.kernel, "image": image_option(args.channels, shape),
        }  # fmt: skip
        self.pixels = run.dataset.pixels
        Autoencoder(self.pixels, **self.options)  # raises for a kernel that does not fit
        self.train = run.backend.asarray(run.dataset.train_images)
        self.test = run.backend.asarray(run.dataset.test_images)

    def encoder(self) -> TrainedModel:
        model = Autoencoder(self.pixels, input_noise=self.run.args.input_noise, **self.options)
        learner = self.learner("encoder", model, SingleLossLearner)
        self.run.progress.say("encoder   of an autoencoder that removes noise")
        return self.fit("encoder", learner, lambda p: self.mse(partial(model.reconstruct, p)))

    def generator(self, encoder: TrainedModel) -> TrainedModel:
        """A new decoder, which learns to reconstruct the training images from their codes."""
        args, backend = self.run.args, self.run.backend
        model = Decoder(pixels=self.pixels, **self.options | {"hidden": args.hidden[::-1]})
        codes = encoder.encode(self.run.dataset.train_images)
        noise = backend.asarray(args.code_noise * codes.std(axis=0)) if args.code_noise else None
        learner = self.learner("generator", model, InversionLearner, noise=noise)
        self.run.progress.say("generator, a new decoder, which learns to invert the encoder")

        def evaluate(p: Any) -> dict[str, float]:
            return self.mse(lambda x: model(p, encoder.encoder(x)))

        return self.fit("generator", learner, evaluate, labels=backend.asarray(codes))

    def adversarial(self) -> TrainedModel:
        args, to_numpy = self.run.args, self.run.backend.to_numpy
        model = AdversarialAutoencoder(
            self.pixels, discriminator_hidden=args.discriminator_hidden, loss=args.game_loss,
            **self.options,
        )  # fmt: skip
        prior = np.random.default_rng(0).standard_normal((10_000, args.latent))

        def evaluate(p: Any) -> dict[str, float]:
            pieces = (to_numpy(model.encode(p, x)) for x in in_order(self.test, args.dtype))
            distance = frechet_distance(np.concatenate([*pieces]), prior)
            return self.mse(partial(model.reconstruct, p)) | {"test_prior": distance}

        learner = self.learner("adversarial", model, AAELearner, ratio=args.ratio)
        self.run.progress.say("adversarial autoencoder, whose codes are pushed to a prior")
        return self.fit("adversarial", learner, evaluate)

    def learner(self, name: str, model: Any, kind: Any, **options: Any) -> Any:
        """A learner of that kind, at its start, with the optimisers of that training run."""
        args = self.run.args
        p = model.initialise(args.seed, args.dtype, self.run.backend)
        optimizer = self.runs[name].optimizer
        return kind(model, p, optimizer, model.gradients(args.gradients), **options)

    def mse(self, reconstruct: Any) -> dict[str, float]:
        errors = evaluate_reconstruction(reconstruct, self.test, self.run.args.dtype)
        return {"test_mse": errors["mse"]}

    def fit(self, name: str, learner: Learner, evaluate: Any, labels: Any = None) -> TrainedModel:
        """Train from the start, or from where it was stopped, or not at all if it is finished."""
        run, p = self.runs[name], learner.parameters
        trainer = run.trainer(learner)
        if len(trainer.state.history) < run.plan.epochs:
            self.run.run_dir.forget_summary()  # what is in the folder is no longer complete
        trainer.fit(self.train, partial(evaluate, p), labels)
        self.ends[name] = {"parameters": p.flat.size, **trainer.state.history[-1]}
        return load(run.run_dir.folder, run.backend)


# Distributions of codes, from which new ones are drawn.


@dataclass(frozen=True)
class Codec:
    """An encoder, and what decodes its codes.

    Attributes:
        name: that of the training run after which its pictures are named.
        title: the table's name for test images that were encoded and decoded.
    """

    name: str
    title: str
    encoder: TrainedModel
    decoder: TrainedModel

    def decode(self, codes: Any) -> Any:
        """The images decoded from codes, as rows: ``(n, latent)`` to ``(n, pixels)``."""
        return self.decoder.decode(codes).reshape(len(codes), -1)


@dataclass(frozen=True)
class CodeDistribution:
    """A distribution of codes.

    Attributes:
        title: its name in the table.
        sample: ``(n, generator) -> codes (n, c)``, and the digits ``(n,)`` that they should show,
            or None.
        log_density: ``(n, c) -> (n,)``, if it is known.
    """

    title: str
    codec: Codec
    sample: Callable[[int, Any], tuple[Any, Any]]
    log_density: Callable[[Any], Any] | None = None


def fit_densities(run: Run, codec: Codec) -> dict[str, CodeDistribution]:
    """A Gaussian for each digit, if there are labels, and a mixture of many Gaussians."""
    args, labels, fitted = run.args, run.dataset.train_labels, {}
    codes = codec.encoder.encode(run.dataset.train_images)
    if labels is not None:
        gaussian = GaussianPerClass.fit(codes, labels)

        def sample_digits(n: int, generator: Any) -> tuple[Any, Any]:
            digits = labels[generator.integers(len(labels), size=n)]
            return gaussian.sample(n, generator, digits), digits

        fitted["gaussian"] = CodeDistribution(
            "Gaussian per digit", codec, sample_digits, gaussian.log_density
        )
    run.progress.say(f"mixture: {args.components} Gaussians for {len(codes)} codes")
    generator = np.random.default_rng((args.seed, EM_STREAM))
    mixture = GaussianMixture.fit(codes, args.components, generator)
    if not mixture.converged:
        warn(f"warning: EM had not converged after {len(mixture.history)} steps")

    def sample(n: int, generator: Any) -> tuple[Any, Any]:
        return mixture.sample(n, generator), None

    title = f"mixture of {len(mixture.weights)}"
    return fitted | {"mixture": CodeDistribution(title, codec, sample, mixture.log_density)}


def prior(codec: Codec) -> CodeDistribution:
    def sample(n: int, generator: Any) -> tuple[Any, Any]:
        return generator.standard_normal((n, codec.encoder.model.latent)), None

    return CodeDistribution("adversarial", codec, sample)


# What is shown.


def report(
    run: Run,
    trainings: Trainings,
    distributions: dict[str, CodeDistribution],
    judge: Judge | None,
) -> None:
    """The scores of each distribution beside the baselines, and the pictures.

    Args:
        judge: None if the data have no labels; then there are no scores.
    """
    data, say, folder = run.dataset, run.progress.say, run.run_dir.folder
    codecs = {d.codec.name: d.codec for d in distributions.values()}
    codes = {name: codec.encoder.encode(data.test_images) for name, codec in codecs.items()}
    test, rows, drawn, samples = {}, {}, {}, {}
    for name, d in distributions.items():
        generator = np.random.default_rng((run.args.seed, SAMPLE_STREAM))
        z, digits = d.sample(len(data.test_images), generator)
        images = d.codec.decode(z)
        predicted, scores = judge.score(images, data) if judge else (None, None)
        rows[d.title], test[name] = scores, dict(scores.metrics) if scores else {}
        if scores and digits is not None:
            test[name]["as_asked"] = float(np.mean(predicted == digits))
            say(f"{d.title}: {test[name]['as_asked']:.1%} of the images show their digit")
        if d.log_density is not None:
            test[name]["log_density"] = float(d.log_density(codes[d.codec.name]).mean())
            say(f"{d.title}: {test[name]['log_density']:.2f} nats per code of a test image")
        samples[name] = images, predicted if digits is None else digits
        drawn[d.codec.name] = d.title, z  # the mixture, of an encoder's two densities

    compared = {}
    if judge:
        # What decoding alone costs: no density can know more about test images than their codes.
        again = {c.title: c.decode(codes[name]) for name, c in codecs.items()}
        decoded = {title: judge.score(x, data)[1] for title, x in again.items()}
        compared = baselines(data, judge, run.progress, run.args.smoke) | decoded
        say(scores_table(compared | rows))
        say(f"classifier: test error {judge.error:.2%}, sha256 {judge.sha256[:16]}")
    run.summarise(
        sum(end["parameters"] for end in trainings.ends.values()),
        sum(end["seconds"] for end in trainings.ends.values()), test=test,
        baselines={name: row.metrics for name, row in compared.items()},
        judge=judge and judge.metrics, trainings=trainings.ends,
    )  # fmt: skip

    for kind in ("samples", "interpolations"):  # of an earlier run with another --way
        for path in folder.glob(f"{kind}_*.png"):
            path.unlink()
    for name, (images, digits) in samples.items():
        draw_samples(run, f"samples_{name}.png", images, digits)
    draw_codes(run, codes, drawn)
    for name, codec in codecs.items():
        paths = interpolations(codes[name], data.test_labels, SHOWN, PAIRS)
        images = {pair: codec.decode(path) for pair, path in paths.items()}
        plots.images_in_rows(images, data.image_shape, path=folder / f"interpolations_{name}.png")
    say(f"pictures and figures are in {folder}, checkpoints in folders there")


def draw_samples(run: Run, file: str, images: Any, digits: Any) -> None:
    """Draw a row for each digit, with its first images; or a sheet if digits are None."""
    path, shape = run.run_dir.folder / file, run.dataset.image_shape
    if digits is None:
        plots.sheet(images[: SHOWN**2], shape, SHOWN, path=path)
        return
    rows = {}
    for digit in np.unique(run.dataset.train_labels):
        few = images[digits == digit][:SHOWN]
        rows[str(digit)] = np.pad(few, ((0, SHOWN - len(few)), (0, 0)))
    plots.images_in_rows(rows, shape, path=path)


def draw_codes(run: Run, codes: dict[str, Any], drawn: dict[str, tuple[str, Any]]) -> None:
    """Draw codes of test images, and beside them draws from distributions that should match."""
    names = {"encoder": "encoder", "adversarial": "adversarial autoencoder"}
    panels, beside = {}, {}
    for name, z in codes.items():
        project = plane_projection(z)
        title, others = drawn[name]
        title = "samples from the prior" if name == "adversarial" else f"samples from a {title}"
        panels[names[name]], beside[names[name]] = project(z), (title, project(others))
    plots.codes(panels, run.dataset.test_labels, beside, path=run.run_dir.folder / "codes.png")


# How a run begins.


def load_pretrained(args: Namespace) -> TrainedModel | None:
    """The model of ``--checkpoint``, if it is given; its encoder decides the width of the code."""
    if args.checkpoint is None:
        args.latent = args.latent or LATENT
        return None
    if args.way == "adversarial":
        raise InputError("--checkpoint: --way adversarial trains an encoder of its own")
    trained = load(args.checkpoint)
    latent = trained.encoder.model.latent  # a model without an encoder raises here
    if args.latent not in (None, latent):
        raise InputError(
            f"--latent {args.latent}: the codes of {trained.path} have {latent} numbers"
        )
    args.latent = latent
    return trained


def set_up_all(args: Namespace) -> Run:
    """The run as a whole, which has no checkpoint: its training runs have them."""
    run = set_up(Namespace(**vars(args) | {"resume": False, "restart": True}), {})
    data = run.dataset
    if data.train_labels is None or data.test_labels is None:
        data = replace(data, train_labels=None, test_labels=None)
        warn(f"{data.name} has no labels: there is no Gaussian per digit, and no score")
    if args.way != "adversarial" and args.components > len(data.train_images):
        raise InputError(
            f"--components {args.components}: there are {len(data.train_images)} codes"
        )
    return replace(run, args=args, dataset=data)


def set_up_training(run: Run, name: str, sha256: str | None) -> Run:
    """One of the training runs, in its folder.

    Its configuration has only the flags that it depends on. So the whole can be resumed with other
    densities or another ``--way``, and no training run that is finished is repeated.

    Args:
        sha256: that of the model of ``--checkpoint``; None if the encoder is trained here.
    """
    some = {flag for several in FLAGS.values() for flag in several}
    left_out = {"way", "components", *some} - {*FLAGS[name]}
    args = Namespace(**{k: v for k, v in vars(run.args).items() if k not in left_out})
    columns = COLUMNS
    if name == "generator":
        args.checkpoint = sha256
        args.input_noise = None if sha256 else args.input_noise
    if name == "adversarial":
        args.epochs, columns = args.adversarial_epochs, ADVERSARIAL_COLUMNS
        args.beta1, args.beta2 = ADVERSARIAL_BETAS
    args.out = run.run_dir.folder / name
    args.resume = run.args.resume and RunDir(args.out).checkpoint.exists()
    args.restart = args.quiet = True  # the run as a whole has refused and said what there was to
    part = set_up(args, columns, dataset=run.dataset)
    return replace(part, progress=Progress(args.epochs, columns, run.args.quiet))


def main(arguments: Sequence[str] | None = None) -> None:
    args = command_line.parse(flags(), arguments, SMOKE, conv=CONV, needs=NEEDS)
    pretrained, names, sha256 = load_pretrained(args), [*WAYS[args.way]], None
    checkpoints = {name: RunDir(args.out / name).checkpoint for name in FLAGS}
    run_dir = RunDir(args.out)
    run_dir.claim(args.task)
    run_dir.refuse_experiment(args.resume, args.restart, checkpoints.values())
    run = set_up_all(args)
    if pretrained:
        pretrained.prepare(run.dataset.train_images[:1])  # images of another size raise here
        names.remove("encoder")
        if pretrained.path.resolve() in [checkpoints[name].resolve() for name in names]:
            raise InputError(f"--checkpoint {args.checkpoint}: the run would write over it")
        sha256 = pretrained.sha256[:16]
        pretrained = pretrained.to(run.backend, args.dtype)
        run.progress.say(f"encoder   of {pretrained.path}, {type(pretrained.model).__name__}")
    runs = {name: set_up_training(run, name, sha256) for name in names}
    trainings, judge = Trainings(run, runs), None
    if run.dataset.test_labels is not None:
        judge = reference_classifier(run.dataset, run.progress, args.smoke)
    if not args.resume:  # nothing is refused any more: these would be taken for the new run's
        for part in runs.values():
            part.run_dir.checkpoint.unlink(missing_ok=True)

    distributions = {}
    if "generator" in runs:
        encoder = pretrained or trainings.encoder()
        codec = Codec(
            "encoder", "test codes, generator", encoder.encoder, trainings.generator(encoder)
        )
        distributions |= fit_densities(run, codec)
    if "adversarial" in runs:
        both = trainings.adversarial()
        codec = Codec("adversarial", "test codes, adversarial", both.encoder, both.decoder)
        distributions["adversarial"] = prior(codec)
    report(run, trainings, distributions, judge)


if __name__ == "__main__":
    sys.exit(command_line.run(main))
