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
from tinygen.data import in_order
from tinygen.errors import InputError
from tinygen.evaluation import (
    evaluate_generation,
    evaluate_reconstruction,
    frechet_distance,
    interpolations,
    plane_projection,
    scores_table,
)
from tinygen.evaluation.densities import GaussianMixture, GaussianPerClass
from tinygen.evaluation.reference_models import baselines, reference_classifier
from tinygen.models import AdversarialAutoencoder, Autoencoder, Decoder
from tinygen.models.encoder_decoder import RECONSTRUCTIONS
from tinygen.models.gan import LOSSES
from tinygen.training import (
    AAELearner,
    Learner,
    Progress,
    Run,
    RunDir,
    SingleLossLearner,
    TrainedModel,
    command_line,
    load,
    set_up,
)
from tinygen.training.progress import warn

WAYS = {"both": ("encoder", "generator", "adversarial"), "densities": ("encoder", "generator"),
        "adversarial": ("adversarial",)}  # fmt: skip
"""Each with its trainings, every one of which has a folder and a checkpoint of its own."""
FLAGS = {
    "encoder": ("input_noise",),
    "generator": ("input_noise", "code_noise", "checkpoint"),
    "adversarial": (
        "adversarial_epochs",
        "discriminator_hidden",
        "game_loss",
        "ratio",
    ),
}
"""On which flags a training depends that some other one does not depend on."""
SMOKE = {"data": "strokes", "epochs": 2, "adversarial_epochs": 2, "batch_size": 32,
         "hidden": (64,), "discriminator_hidden": (32,), "components": 20}  # fmt: skip
LATENT = 16
COLUMNS = {"train_loss": "train loss {:.5f}", "test_mse": "test mse {:.5f}"}
GAME_COLUMNS = {
    "train_reconstruction_loss": "R {:.4f}", "train_discriminator_loss": "D {:.3f}",
    "train_encoder_loss": "E {:.3f}", "test_mse": "test mse {:.5f}", "test_prior": "prior {:.3f}",
}  # fmt: skip
BETAS = 0.5, 0.99
"""Adam's in the adversarial way: of two players, each must forget soon where the other was."""
SHOWN, PAIRS = 10, 5
"""Images in a row, and rows of interpolations."""
EM_STREAM, DRAWN_STREAM = 2, 3
"""Of the seed: a step's draws are its stream 1."""


def flags():
    p = command_line.parser("encoder_generator", __doc__.splitlines()[0])
    add = command_line.add_network_flags(p).add_argument
    weight = {"type": command_line.real(least=0), "metavar": "X"}
    add("--checkpoint", metavar="RUN",
        help=f"whose encoder to take; else one is trained first, with codes of {LATENT} numbers "
        "if --latent does not say how many")  # fmt: skip
    add("--way", **command_line.choice(tuple(WAYS), "to codes that are new"))
    add("--reconstruction", **command_line.choice(RECONSTRUCTIONS, "loss of an image", "bce"))
    add("--input-noise", **weight, default=0.3,
        help="deviation of noise on what the encoder sees")  # fmt: skip
    add("--code-noise", **weight, default=0.0,
        help="deviation of noise on the generator's codes, divided by their own")  # fmt: skip
    add("--components", type=command_line.whole(1, 10**4), default=100, metavar="N",
        help="Gaussians in the mixture")  # fmt: skip
    add("--adversarial-epochs", type=command_line.whole(1, command_line.MOST_EPOCHS), default=20,
        metavar="N", help="passes over the images for the adversarial autoencoder")  # fmt: skip
    add("--discriminator-hidden", type=command_line.widths, default=(256, 256), metavar="N,N",
        help="widths of the discriminator's hidden layers")  # fmt: skip
    add("--game-loss", **command_line.choice(LOSSES, "of discriminator and encoder", "r1"))
    add("--ratio", type=command_line.real(above=0, most=1000), default=0.5, metavar="X",
        help="learning rate of their game, divided by --lr")  # fmt: skip
    p.set_defaults(latent=None)
    return p


# What a run begins from.


def asked_for(args: Namespace) -> TrainedModel | None:
    """The run whose encoder is to be taken, if one is named; it decides how wide the code is."""
    if args.checkpoint is None:
        args.latent = args.latent or LATENT
        return None
    if args.way == "adversarial":
        raise InputError("--checkpoint: --way adversarial trains an encoder of its own")
    found = load(args.checkpoint)
    latent = found.encoder.model.latent  # a model that has no encoder is refused here
    if args.latent not in (None, latent):
        raise InputError(f"--latent {args.latent}: the codes of {found.path} have {latent} numbers")
    args.latent = latent
    return found


def refuse_to_lose(args: Namespace) -> None:
    """What is in the folder must be gone on with, or given up in so many words."""
    parts = [RunDir(args.out / name) for name in FLAGS]
    if args.resume and not any(part.checkpoint.exists() for part in parts):
        raise InputError(
            f"there is no checkpoint in {args.out} to resume from; start without --resume"
        )
    if not (args.resume or args.restart or RunDir(args.out).summary.exists()):
        for part in parts:  # they have no summary: only the run as a whole has one
            part.refuse_unfinished()


def training_of(run: Run, name: str, digest: str | None) -> Run:
    """One of the trainings, in its folder.

    Its configuration has only the flags that it depends on. So a run can be resumed with other
    densities or in another way, and no training that is finished is done again.

    Args:
        digest: of the encoder that was named, None for one that is trained here.
    """
    some = {flag for several in FLAGS.values() for flag in several}
    left_out = {"way", "components", *some} - {*FLAGS[name]}
    args = Namespace(**{k: v for k, v in vars(run.args).items() if k not in left_out})
    columns = COLUMNS
    if name == "generator":
        args.checkpoint = digest
        args.input_noise = None if digest else args.input_noise
    if name == "adversarial":
        args.epochs, columns = args.adversarial_epochs, GAME_COLUMNS
        args.beta1, args.beta2 = BETAS
    args.out = run.run_dir.folder / name
    args.resume = run.args.resume and RunDir(args.out).checkpoint.exists()
    args.restart = args.quiet = True  # `refuse_to_lose` was asked, and the data have been named
    part = set_up(args, columns, dataset=run.dataset)
    return replace(part, progress=Progress(args.epochs, columns, run.args.quiet))


# The trainings.


class InversionLearner(SingleLossLearner):
    """A decoder learns to undo an encoder that stays what it is.

    Args:
        noise: the deviation of noise on each number of the codes, or None. It tells the decoder
            about codes beside those of the images, which a density draws.
    """

    def __init__(self, *arguments: Any, noise: Any) -> None:
        super().__init__(*arguments)
        self.noise = noise

    def draw(self, x: Any, generator: Any, step: int, *labels: Any) -> tuple[Any, ...]:
        (codes,) = labels
        if self.noise is not None:
            codes = codes + self.noise * generator.standard_normal(codes.shape, dtype=codes.dtype)
        return self.model.draw(x, generator, step, codes)


class Workshop:
    """The trainings, one after the other; each gives back what `load` finds in its folder."""

    def __init__(self, run: Run, parts: dict[str, Run]) -> None:
        self.run, self.parts, self.ends = run, parts, {}
        self.options = command_line.network(run.args) | {"reconstruction": run.args.reconstruction}
        self.pixels = run.dataset.pixels
        self.train = run.backend.asarray(run.dataset.train_images)
        self.test = run.backend.asarray(run.dataset.test_images)

    def encoder(self) -> TrainedModel:
        model = Autoencoder(self.pixels, input_noise=self.run.args.input_noise, **self.options)
        learner = self.learner("encoder", model, SingleLossLearner)
        self.run.progress.say("encoder   of an autoencoder that removes noise")
        return self.trained("encoder", learner, lambda p: self.mse(partial(model.reconstruct, p)))

    def generator(self, encoder: TrainedModel) -> TrainedModel:
        """A new decoder, which learns to get the training images back from their codes."""
        args, backend = self.run.args, self.run.backend
        options = self.options | {"hidden": args.hidden[::-1]}
        model = Decoder(pixels=self.pixels, **options)
        codes = self.codes(encoder, self.train)
        noise = backend.asarray(args.code_noise * codes.std(axis=0)) if args.code_noise else None
        learner = self.learner("generator", model, InversionLearner, noise=noise)
        self.run.progress.say("generator, a new decoder, which learns to invert the encoder")

        def evaluate(p: Any) -> dict[str, float]:
            return self.mse(lambda x: model(p, encoder(x)))

        return self.trained("generator", learner, evaluate, labels=backend.asarray(codes))

    def adversarial(self) -> TrainedModel:
        args = self.run.args
        model = AdversarialAutoencoder(
            self.pixels, discriminator_hidden=args.discriminator_hidden, loss=args.game_loss,
            **self.options,
        )  # fmt: skip

        def evaluate(p: Any) -> dict[str, float]:
            codes = self.codes(partial(model.encode, p), self.test)
            prior = np.random.default_rng(0).standard_normal((10_000, args.latent))
            far = frechet_distance(codes, prior)
            return self.mse(partial(model.reconstruct, p)) | {"test_prior": far}

        learner = self.learner("adversarial", model, AAELearner, ratio=args.ratio)
        self.run.progress.say("adversarial autoencoder, whose codes are pushed to a prior")
        return self.trained("adversarial", learner, evaluate)

    def learner(self, name: str, model: Any, kind: Any, **options: Any) -> Any:
        """A learner of that kind, at its start, with the optimizers of that training."""
        args = self.run.args
        p = model.initialise(args.seed, args.dtype, self.run.backend)
        optimizer = self.parts[name].optimizer
        return kind(model, p, optimizer, model.gradients(args.gradients), **options)

    def mse(self, reconstruct: Any) -> dict[str, float]:
        errors = evaluate_reconstruction(reconstruct, self.test, self.run.args.dtype)
        return {"test_mse": errors["mse"]}

    def codes(self, encoder: Any, images: Any) -> Any:
        """Of images on the backend, on the host."""
        to_numpy, dtype = self.run.backend.to_numpy, self.run.args.dtype
        return np.concatenate([to_numpy(encoder(x)) for x in in_order(images, dtype)])

    def trained(
        self, name: str, learner: Learner, evaluate: Any, labels: Any = None
    ) -> TrainedModel:
        """Train from the start, from where it was stopped, or not at all if it is finished."""
        run, part = self.run, self.parts[name]
        trainer, p = part.trainer(learner), learner.parameters
        if len(trainer.state.history) < part.plan.epochs:
            run.run_dir.forget_summary()  # what is in the folder is complete no more
        trainer.fit(self.train, partial(evaluate, p), labels)
        self.ends[name] = {"parameters": p.flat.size, **trainer.state.history[-1]}
        return load(part.run_dir.folder, run.backend)


# New codes, and what becomes of them.


@dataclass(frozen=True)
class Coder:
    """An encoder and what decodes its codes, as functions of host arrays."""

    name: str
    title: str
    encoder: TrainedModel
    decoder: TrainedModel

    def encode(self, images: Any) -> Any:
        """``(n, h, w)`` of uint8 to ``(n, c)``."""
        pieces = (images[k : k + 1000] for k in range(0, len(images), 1000))
        codes = (self.encoder(self.encoder.prepare(piece)) for piece in pieces)
        return np.concatenate([self.encoder.backend.to_numpy(z) for z in codes])

    def decode(self, codes: Any) -> Any:
        """``(n, c)`` to ``(n, pixels)``."""
        backend, dtype = self.decoder.backend, self.decoder.parameters.flat.dtype
        pieces = (codes[k : k + 1000].astype(dtype) for k in range(0, len(codes), 1000))
        images = (self.decoder(backend.asarray(piece)) for piece in pieces)
        return np.concatenate([backend.to_numpy(x) for x in images])


@dataclass(frozen=True)
class Way:
    """A way to codes that are new.

    Attributes:
        title: its name in the table.
        draw: ``(n, generator) -> codes (n, c)``, and the digits ``(n,)`` that were asked for, or
            None.
        log_density: ``(n, c) -> (n,)``, where it is known.
    """

    title: str
    coder: Coder
    draw: Callable[[int, Any], tuple[Any, Any]]
    log_density: Callable[[Any], Any] | None = None


def densities(run: Run, coder: Coder) -> dict[str, Way]:
    """What the codes of the training images are like, and others that are like them."""
    args, labels, ways = run.args, run.dataset.train_labels, {}
    codes = coder.encode(run.dataset.train_images)
    if labels is not None:
        gaussian = GaussianPerClass.fit(codes, labels)

        def of_digits(n: int, generator: Any) -> tuple[Any, Any]:
            digits = labels[generator.integers(len(labels), size=n)]
            return gaussian.sample(n, generator, digits), digits

        ways["gaussian"] = Way("Gaussian per digit", coder, of_digits, gaussian.log_density)
    run.progress.say(f"mixture: {args.components} Gaussians for {len(codes)} codes")
    generator = np.random.default_rng((args.seed, EM_STREAM))
    mixture = GaussianMixture.fit(codes, args.components, generator)
    if not mixture.converged:
        warn(f"the mixture still got better when {len(mixture.history)} steps of EM were over")

    def anywhere(n: int, generator: Any) -> tuple[Any, Any]:
        return mixture.sample(n, generator), None

    title = f"mixture of {len(mixture.weights)}"
    return ways | {"mixture": Way(title, coder, anywhere, mixture.log_density)}


def prior(coder: Coder) -> Way:
    def anywhere(n: int, generator: Any) -> tuple[Any, Any]:
        return generator.standard_normal((n, coder.encoder.model.latent)), None

    return Way("adversarial", coder, anywhere)


class Eye:
    """What the judge says of images, where the data have the labels that it learns from."""

    def __init__(self, run: Run) -> None:
        data, self.read = run.dataset, None
        self.labels = data.test_labels
        if self.labels is not None:
            self.read = reference_classifier(data, run.progress, run.args.smoke)
            self.real = self.read(np.concatenate([*in_order(data.test_images)]))[1]

    def __call__(self, images: Any) -> tuple[Any, Any]:
        """The digits that they show, and their figures."""
        if self.read is None:
            return None, None
        probabilities, features = self.read(images)
        figures = evaluate_generation(probabilities, features, self.real, self.labels)
        return probabilities.argmax(axis=1), figures


def report(run: Run, shop: Workshop, ways: dict[str, Way], eye: Eye) -> None:
    """The figures of each way beside what they are held against, and the pictures."""
    data, say, folder = run.dataset, run.progress.say, run.run_dir.folder
    for kind in ("samples", "interpolations"):  # of an earlier run, which went another way
        for path in folder.glob(f"{kind}_*.png"):
            path.unlink()
    coders = {way.coder.name: way.coder for way in ways.values()}
    codes = {name: coder.encode(data.test_images) for name, coder in coders.items()}
    test, rows, drawn = {}, {}, {}
    for name, way in ways.items():
        z, asked = way.draw(
            len(data.test_images), np.random.default_rng((run.args.seed, DRAWN_STREAM))
        )
        images = way.coder.decode(z)
        said, found = eye(images)
        rows[way.title], test[name] = found, dict(found.metrics) if found else {}
        if found and asked is not None:
            test[name]["as_asked"] = float(np.mean(said == asked))
            say(f"{way.title}: {test[name]['as_asked']:.1%} of the images show their digit")
        if way.log_density is not None:
            test[name]["log_density"] = float(way.log_density(codes[way.coder.name]).mean())
            say(f"{way.title}: {test[name]['log_density']:.2f} nats per code of a test image")
        draw_samples(run, f"samples_{name}.png", images, said if asked is None else asked)
        drawn[way.coder.name] = way.title, z  # of an encoder's two densities the mixture
    draw_codes(run, codes, drawn)
    for name, coder in coders.items():
        paths = interpolations(codes[name], data.test_labels, SHOWN, PAIRS)
        images = {pair: coder.decode(path) for pair, path in paths.items()}
        plots.images_in_rows(folder / f"interpolations_{name}.png", images, data.image_shape)

    compared, scored_by = {}, None
    if eye.read is not None:
        # What decoding alone costs: no density can know more of the test images than their codes.
        own = {coder.title: eye(coder.decode(codes[name]))[1] for name, coder in coders.items()}
        compared = baselines(data, eye.read, run.progress, run.args.smoke) | own
        say(scores_table(compared | rows))
        scored_by = {"sha256": eye.read.sha256, "error": eye.read.error}
        say(f"the judge: test error {eye.read.error:.2%}, sha256 {eye.read.sha256[:16]}")
    run.summarise(
        sum(end["parameters"] for end in shop.ends.values()),
        sum(end["seconds"] for end in shop.ends.values()), test=test,
        baselines={name: row.metrics for name, row in compared.items()}, judge=scored_by,
        trainings=shop.ends,
    )  # fmt: skip
    say(f"pictures and figures are in {folder}, checkpoints in folders there")


def draw_samples(run: Run, file: str, images: Any, digits: Any) -> None:
    """A row for each digit, with the first images of it; or a page of all sorts."""
    path, shape = run.run_dir.folder / file, run.dataset.image_shape
    if digits is None:
        plots.sheet(path, images[: SHOWN**2], shape, SHOWN)
        return
    rows = {}
    for digit in np.unique(run.dataset.train_labels):
        few = images[digits == digit][:SHOWN]
        rows[str(digit)] = np.pad(few, ((0, SHOWN - len(few)), (0, 0)))
    plots.images_in_rows(path, rows, shape)


def draw_codes(run: Run, codes: dict[str, Any], drawn: dict[str, tuple[str, Any]]) -> None:
    """Codes of test images, and beside them what was drawn to be like them."""
    names = {"encoder": "encoder", "adversarial": "adversarial autoencoder"}
    panels, beside = {}, {}
    for name, z in codes.items():
        project = plane_projection(z)
        title, others = drawn[name]
        title = "draws of the prior" if name == "adversarial" else f"draws of a {title}"
        panels[names[name]], beside[names[name]] = project(z), (title, project(others))
    plots.codes(run.run_dir.folder / "codes.png", panels, run.dataset.test_labels, beside)


def main(arguments: Sequence[str] | None = None) -> None:
    args = command_line.parse(flags(), arguments, SMOKE)
    found = asked_for(args)
    RunDir(args.out).refuse_another_run()
    refuse_to_lose(args)
    # The run as a whole has no checkpoint: its trainings have.
    begun = set_up(Namespace(**vars(args) | {"resume": False, "restart": True}), {})
    data, names, digest = begun.dataset, [*WAYS[args.way]], None
    if data.train_labels is None or data.test_labels is None:
        data = replace(data, train_labels=None, test_labels=None)
        warn(f"{data.name} has no labels: there is no Gaussian per digit, and no judge of images")
    run = replace(begun, args=args, dataset=data)
    if "generator" in names and args.components > len(data.train_images):
        raise InputError(
            f"--components {args.components}: there are {len(data.train_images)} codes"
        )
    if found is not None:
        found.prepare(data.train_images[:1])  # images of another size are refused here
        if found.path.resolve() in [(args.out / f / found.path.name).resolve() for f in names[1:]]:
            raise InputError(f"--checkpoint {args.checkpoint}: the run would write over it")
        digest = found.sha256[:16]
        names.remove("encoder")
        found = found.to(run.backend, args.dtype)
        run.progress.say(f"encoder   of {found.path}, {type(found.model).__name__}")
    parts = {name: training_of(run, name, digest) for name in names}
    eye = Eye(run)
    if not args.resume:  # nothing is refused any more: these would be taken for the new run's
        for part in parts.values():
            part.run_dir.checkpoint.unlink(missing_ok=True)
    shop, ways = Workshop(run, parts), {}
    if "generator" in parts:
        encoder = (found or shop.encoder()).encoder
        coder = Coder("encoder", "test codes, generator", encoder, shop.generator(encoder))
        ways |= densities(run, coder)
    if "adversarial" in parts:
        both = shop.adversarial()
        coder = Coder("adversarial", "test codes, adversarial", both.encoder, both.decoder)
        ways["adversarial"] = prior(coder)
    report(run, shop, ways, eye)


if __name__ == "__main__":
    sys.exit(command_line.run(main))
