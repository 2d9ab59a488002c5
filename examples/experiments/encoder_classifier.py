"""Take the decoder off an autoencoder and put a softmax in its place: how few labels are enough?

python examples/experiments/encoder_classifier.py
python examples/experiments/encoder_classifier.py --labels 100,600,1000,3000,all --draws 10
python examples/experiments/encoder_classifier.py --checkpoint runs/mnist_autoencoder \\
    --labels 100 --mode frozen
"""

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache, cached_property, partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from tinygen import plots
from tinygen.arguments import name_in
from tinygen.backend import get_backend
from tinygen.commands import autoencoder, command_line
from tinygen.commands.setup import Run, load_dataset, set_up
from tinygen.data import as_floats, balanced_subset, in_order, number_of_classes
from tinygen.errors import InputError
from tinygen.evaluation import PCA, confusion, most_wrong, reference_models
from tinygen.files import replacing
from tinygen.losses import one_hot
from tinygen.models import Classifier, Frozen
from tinygen.models.architecture import convolutions_of, image_option
from tinygen.models.serialization import describe
from tinygen.parameters import Parameters
from tinygen.training import (
    Interrupted,
    Progress,
    PseudoLabelLearner,
    RunDir,
    SingleLossLearner,
    TrainedModel,
    checkpoint,
    load,
)
from tinygen.training.parallel import default_jobs, train_in_processes
from tinygen.training.progress import warn
from tinygen.training.run_dir import versions

ALL = "all"
SEEDS = 3
"""Training runs with all labels, of which there is only one draw."""
STANDARDISED_ON = 10_000
"""How many images give the mean and standard deviation of what a softmax alone is trained on."""
DECAY = 0.99
"""The decay of the moving average that predicts labels for images without any."""
RAMP_UP = 0.2
"""The fraction of the steps over which the weight of images without labels rises."""


class Recipe(NamedTuple):
    """How a classifier is trained; an epoch has as many images as the whole data set."""

    epochs: int
    batch_size: int
    lr: float
    noise: float
    dropout: float = 0.0
    weight_decay: float = 0.0
    input_distortion: float = 0.0


class Recipes(NamedTuple):
    """How all layers are trained in each mode."""

    few_labels: Recipe
    pseudo_labels: Recipe
    all_labels: Recipe


SOFTMAX = Recipe(epochs=3, batch_size=100, lr=0.3, noise=0.5, weight_decay=1e-5)
DENSE = Recipes(
    few_labels=Recipe(epochs=3, batch_size=100, lr=1e-3, noise=0.5),
    pseudo_labels=Recipe(epochs=14, batch_size=200, lr=1e-3, noise=0.5),
    all_labels=Recipe(epochs=30, batch_size=100, lr=2e-3, noise=0.3, dropout=0.2),
)
CONVOLUTIONAL = Recipes(
    few_labels=Recipe(epochs=3, batch_size=100, lr=1e-3, noise=0.0, input_distortion=0.15),
    pseudo_labels=Recipe(epochs=12, batch_size=200, lr=2e-3, noise=0.3, input_distortion=0.2),
    all_labels=Recipe(epochs=12, batch_size=100, lr=4e-3, noise=0.0, input_distortion=0.1),
)

MODES = {
    "pixels": "a softmax on the pixels",
    "pca": "a softmax on PCA's codes",
    "code": "a softmax on the frozen encoder's code",
    "frozen": "a softmax on the frozen encoder's layers",
    "scratch": "all layers, from random weights",
    "finetune": "all layers, from the encoder's weights",
    "scratch+": "as scratch, and from the images without labels",
    "finetune+": "as finetune, and from the images without labels",
}
SOFTMAX_ONLY = ("pixels", "pca", "code", "frozen")
"""Modes in which only the softmax is trained."""
SEMI_SUPERVISED = ("scratch+", "finetune+")
"""Modes that also use images without labels."""
PRETRAINED = ("code", "frozen", "finetune", "finetune+")
"""Modes that use the encoder's weights."""
FEATURES = ("all", "last", "code")
SMOKE = {"data": "strokes", "epochs": 1, "draws": 2, "jobs": 1, "labels": (20, ALL)}


def flags() -> argparse.ArgumentParser:
    p = command_line.parser("encoder_classifier", __doc__)
    group = p.add_argument_group("experiment")
    add = group.add_argument
    add("--checkpoint", type=command_line.path, metavar="RUN",
        help="a run with an encoder, else a denoising autoencoder, trained once")  # fmt: skip
    command_line.add_convolution_flags(group, {})
    add("--labels", type=counts, default=(100, 1000), metavar="N,N",
        help="how many labels there are; all is one")  # fmt: skip
    listed = "; ".join(f"{name}, {what}" for name, what in MODES.items())
    add("--mode", type=modes, metavar="NAME,NAME", help=f"what learns, else each of: {listed}")
    add("--draws", type=command_line.whole(1, 1000), default=3, metavar="N",
        help=f"ways to choose the labels; with all of them, at most {SEEDS} seeds")  # fmt: skip
    about = "the encoder's layers that are read, else all, or the last one after convolutions"
    add("--features", **command_line.choice(FEATURES, about) | {"default": None})
    add("--noise", type=command_line.real(least=0), metavar="X",
        help="standard deviation of noise on images in training")  # fmt: skip
    command_line.add_distortion_flag(group, None)
    add("--dropout", type=command_line.real(least=0, most=0.95), metavar="X",
        help="fraction of the hidden units dropped in training")  # fmt: skip
    add("--jobs", type=command_line.whole(1, 1000), metavar="N",
        help="trainings at a time, else one for each core, but 1 on a GPU")  # fmt: skip
    p.set_defaults(epochs=None, batch_size=None, lr=None, beta2=0.99)
    return p


def counts(text: str) -> tuple[Any, ...]:
    """A type for argparse: ``100,1000,all``."""
    whole = command_line.whole(1)
    return tuple(dict.fromkeys(ALL if n == ALL else whole(n) for n in text.split(",")))


def modes(text: str) -> tuple[str, ...]:
    """A type for argparse: ``frozen,finetune``."""
    return tuple(dict.fromkeys(map(name_in(tuple(MODES)), text.split(","))))


# The grid of training runs.


class Cell(NamedTuple):
    """One training run: a mode, how many labels, and which draw of them."""

    mode: str
    labels: Any
    draw: int

    @property
    def name(self) -> str:
        return f"{self.mode}-{self.labels}-{self.draw}"


def grid(args: argparse.Namespace) -> Iterator[Cell]:
    """All cells in the order in which they are trained, beginning with the first draw of each."""
    for draw in range(args.draws):
        for labels in args.labels:
            for mode in args.mode:
                if labels != ALL or (draw < SEEDS and mode not in SEMI_SUPERVISED):
                    yield Cell(mode, labels, draw)


def recipe_of(args: argparse.Namespace, cell: Cell, usual: Recipes) -> Recipe:
    """How a cell is trained: the `usual` recipe, changed by the flags."""
    names = ["epochs", "batch_size", "lr", "noise"]
    if cell.mode in SOFTMAX_ONLY:
        recipe = SOFTMAX
    else:
        names += ["dropout", "input_distortion"]  # a softmax alone has no use for them
        recipe = usual.all_labels if cell.labels == ALL else usual.few_labels
        if cell.mode in SEMI_SUPERVISED:
            recipe = usual.pseudo_labels
    return recipe._replace(**{k: x for k in names if (x := getattr(args, k)) is not None})


class Experiment:
    """What all training runs share: the data, the pretrained encoder, and models built on it."""

    def __init__(self, args: argparse.Namespace, progress: Progress) -> None:
        self.args, self.backend, self.progress = args, get_backend(args.backend), progress
        self.dataset = data = load_dataset(args, progress)
        if data.train_labels is None or data.test_labels is None:
            raise InputError(f"{data.name} has no labels, which a classifier learns from")
        self.classes = number_of_classes(data.train_labels)
        if data.test_labels.max() >= self.classes:
            raise InputError(
                f"a test image is labelled {data.test_labels.max()}, and the training images "
                f"only 0 to {self.classes - 1}"
            )

    @property
    def uses_weights(self) -> bool:
        """Whether a mode uses the encoder's weights, and not only its layers."""
        return not {*PRETRAINED}.isdisjoint(self.args.mode)

    @cached_property
    def pretrained(self) -> TrainedModel:
        """The model whose encoder is used, or at least its layers."""
        if self.args.checkpoint:
            return load(self.args.checkpoint, self.backend)
        args, network = self.args, {}
        if args.channels:
            image = image_option(args.channels, self.dataset.image_shape)
            network = {**autoencoder.CONV, "channels": args.channels, "kernel": args.kernel,
                       "image": image}  # fmt: skip
        if not self.uses_weights:
            return reference_models.untrained_autoencoder(self.dataset, **network)
        return reference_models.denoising_autoencoder(
            self.dataset, self.progress, args.smoke, **network
        )

    @cached_property
    def encoder(self) -> TrainedModel:
        """The encoder alone, in the run's dtype."""
        encoder = self.pretrained.encoder
        encoder.prepare(self.dataset.train_images[:1])  # raises for images of another size
        return encoder.to(self.backend, self.args.dtype)

    @property
    def recipes(self) -> Recipes:
        """The recipes for the encoder's architecture."""
        return CONVOLUTIONAL if self.encoder.model.channels else DENSE

    def model(self, mode: str, recipe: Recipe) -> Any:
        """The classifier that is trained."""
        return self.softmax(mode, recipe) if mode in SOFTMAX_ONLY else self.classifier(recipe)

    def initialise(self, model: Any, mode: str, seed: int) -> Parameters:
        p = model.initialise(seed, self.args.dtype, self.backend)
        if mode.startswith("finetune"):
            model.copy_encoder(p, self.encoder.model, self.encoder.parameters)
        return p

    def classifier(self, recipe: Recipe) -> Classifier:
        """The layers of the encoder that are used, and a softmax; all of them learn."""
        encoder, features = self.encoder.model, self.args.features
        hidden = encoder.channels or encoder.hidden
        needed = encoder.channels or recipe.input_distortion
        images = {"image": image_option(needed, self.dataset.image_shape)}
        return Classifier(
            encoder.pixels, encoder.hidden, self.classes, encoder.activation, recipe.dropout,
            latent=encoder.latent if features == "code" or not hidden else 0,
            reads="all" if features == "all" else "last",
            input_noise=recipe.noise, input_distortion=recipe.input_distortion,
            weight_decay=recipe.weight_decay, **convolutions_of(encoder) | images,
        )  # fmt: skip

    @cache  # noqa: B019  there is one experiment in a process
    def softmax(self, mode: str, recipe: Recipe) -> Frozen:
        """A softmax on layers that do not learn."""
        x = self.backend.asarray(self.dataset.train_images[:STANDARDISED_ON])
        body, weights = self.body(mode)
        head = Classifier(
            sum(body.widths), (), self.classes, dropout=0.0, weights="glorot_uniform",
            input_noise=recipe.noise, weight_decay=recipe.weight_decay,
        )  # fmt: skip
        features = partial(body.features, weights)
        return Frozen.standardised(head, features, as_floats(x, self.args.dtype))

    @cache  # noqa: B019
    def body(self, mode: str) -> tuple[Classifier, Parameters]:
        """The layers below a mode's softmax, as a classifier whose own softmax is not used."""
        encoder, pixels = self.encoder.model, self.dataset.pixels
        if mode == "frozen":
            body = self.classifier(SOFTMAX)
        elif mode == "code":
            body = Classifier(
                pixels, encoder.hidden, self.classes, encoder.activation, 0.0,
                latent=encoder.latent, **convolutions_of(encoder),
            )  # fmt: skip
        else:  # PCA is a linear layer
            width = {"pixels": 0, "pca": min(encoder.latent, pixels)}[mode]
            body = Classifier(pixels, (), self.classes, dropout=0.0, latent=width)
        p = body.initialise(0, self.args.dtype, self.backend)
        if mode == "pca":
            pca = PCA.fit(self.dataset.train_images, body.latent)
            p["W1"][...] = self.backend.asarray(pca.components.T.copy(), self.args.dtype)
            p["b1"][...] = self.backend.asarray(pca.encode(0 * pca.mean), self.args.dtype)
        elif mode != "pixels":
            body.copy_encoder(p, encoder, self.encoder.parameters)
        return body, p


# A training run.


@reference_models.on_one_thread  # so that it does not matter how many run at a time
def train(experiment: Experiment, cell: Cell) -> dict[str, Any]:
    """Train one cell, or resume it; return its summary and its history."""
    data, backend = experiment.dataset, experiment.backend
    recipe = recipe_of(experiment.args, cell, experiment.recipes)
    n = len(data.train_labels) if cell.labels == ALL else cell.labels
    chosen = balanced_subset(data.train_labels, n, experiment.args.seed, cell.draw)
    run = set_up_cell(experiment, cell, recipe, chosen)
    args, folder = run.args, run.run_dir.folder
    model = experiment.model(cell.mode, recipe)
    p = experiment.initialise(model, cell.mode, args.seed)

    def one_hots(labels: Any) -> Any:
        return one_hot(backend.asarray(labels), experiment.classes, args.dtype)

    gradients, labels, evaluated = model.gradients(args.gradients), None, p
    if cell.mode in SEMI_SUPERVISED:
        steps = run.plan.epochs * run.plan.steps(len(data.train_images))
        learner: Any = PseudoLabelLearner(
            model, p, run.optimizer, gradients, backend.asarray(data.train_images[chosen]),
            one_hots(data.train_labels[chosen]),
            batch_size=min(experiment.recipes.few_labels.batch_size, len(chosen)),
            ramp_up=max(1, round(RAMP_UP * steps)), decay=DECAY,
        )  # fmt: skip
        evaluated = learner.average
    else:
        learner = SingleLossLearner(model, p, run.optimizer, gradients)
        labels = one_hots(run.dataset.train_labels)
    test = backend.asarray(data.test_images)

    def probabilities() -> Any:
        pieces = (model.probabilities(evaluated, x) for x in in_order(test, args.dtype))
        return np.concatenate([backend.to_numpy(q) for q in pieces])

    def evaluate() -> dict[str, float]:
        return {"test_error": float(np.mean(probabilities().argmax(axis=1) != data.test_labels))}

    trainer = run.trainer(learner)
    trainer.fit(backend.asarray(run.dataset.train_images), evaluate, labels)
    if not cell.draw:  # it will have pictures
        with replacing(folder / "probabilities.npy") as file:
            np.save(file, probabilities())
    if cell.mode in SOFTMAX_ONLY:  # its checkpoint has only the softmax
        body, weights = experiment.body(cell.mode)
        whole = {"parameters": backend.to_numpy(model.to_classifier(body, weights, p).flat)}
        about = {"model": describe(body), "dtype": args.dtype, "data": run.plan.data}
        checkpoint.save(folder / "model.npz", whole, about)
    history = trainer.state.history
    error = history[-1]["test_error"]
    run.summarise(p.flat.size, trainer.state.seconds, test={"error": error})
    return json.loads(run.run_dir.summary.read_text()) | {"history": history}


def set_up_cell(experiment: Experiment, cell: Cell, recipe: Recipe, chosen: Any) -> Run:
    """A cell's own run, in its folder, with the flags that it depends on."""
    data, args = experiment.dataset, argparse.Namespace(**vars(experiment.args))
    for name in ("checkpoint", "jobs", "draws"):
        delattr(args, name)
    vars(args).update(cell._asdict() | recipe._asdict())
    args.batch_size = min(recipe.batch_size, len(data.train_images))
    args.encoder = experiment.pretrained.sha256 if cell.mode in PRETRAINED else None
    args.seed += cell.draw
    args.out, args.quiet = args.out / "cells" / cell.name, True
    args.resume = RunDir(args.out).checkpoint.exists()
    if cell.mode not in SEMI_SUPERVISED:  # the labelled ones again and again, to fill an epoch
        repeated = np.resize(chosen, len(data.train_images))
        data = replace(
            data, train_images=data.train_images[repeated], train_labels=data.train_labels[repeated]
        )
    return set_up(args, {}, dataset=data, drop_last=True)


def train_all(experiment: Experiment, cells: Sequence[Cell]) -> dict[Cell, dict[str, Any]]:
    """Train the cells, several at a time; each one is saved as soon as it is done."""
    args, results = experiment.args, {}
    bar = tqdm(total=len(cells), desc="trainings", unit="", leave=False,
               disable=args.quiet or None, dynamic_ncols=True)  # fmt: skip

    def finished(cell: Cell, result: dict[str, Any]) -> None:
        results[cell] = result
        bar.set_postfix_str(cell.name)
        bar.update()

    with bar:
        if args.jobs == 1 or len(cells) == 1:
            for cell in cells:
                finished(cell, train(experiment, cell))
            return results
        try:
            train_in_processes(partial(in_a_process, args), cells, args.jobs, finished)
        except (KeyboardInterrupt, Interrupted):
            if not [*args.out.glob("cells/*/checkpoint.npz")]:  # nothing to resume
                raise
            raise Interrupted(
                f"stopped after {len(results)} of {len(cells)} trainings; {args.out} has what was "
                "done, the same command with --resume goes on"
            ) from None
    return results


def in_a_process(args: argparse.Namespace) -> Callable[[Cell], dict[str, Any]]:
    """The function that trains a cell in a process of its own."""
    return partial(train, Experiment(args, Progress(0, {}, quiet=True)))


# What is shown.


def table(errors: dict[Any, dict[str, list[float]]], modes: Sequence[str]) -> str:
    """A line for each mode, a column for each number of labels: mean and standard deviation."""
    lines = [f"{'error in %':12}" + "".join(f"{str(n) + ' labels':>13}" for n in errors)]
    for mode in modes:
        line = f"{mode:12}"
        for row in errors.values():
            percent = [100 * x for x in row.get(mode, ())]
            spread = f" ±{stdev(percent):5.2f}" if len(percent) > 1 else " " * 7
            line += f"{mean(percent):6.2f}{spread}" if percent else f"{'-':>6}{'':7}"
        lines.append(line)
    return "\n".join(line.rstrip() for line in lines)


def draw_curves(path: Path, histories: dict[str, list[Any]]) -> None:
    """The test error of each mode over its epochs, as a mean over the draws."""
    curves = {
        mode: np.mean([[row["test_error"] for row in history] for history in several], axis=0)
        for mode, several in histories.items()
    }
    epochs = range(1, max(map(len, curves.values())) + 1)
    padded = {k: [*x, *[np.nan] * (len(epochs) - len(x))] for k, x in curves.items()}
    plots.line_plot(epochs, padded, "epoch", "test error (fraction)", path=path)


def draw_mistakes(experiment: Experiment, mode: str, labels: Any) -> None:
    """Draw what a mode's classifier confuses, and the images that it is most wrong about."""
    data, folder = experiment.dataset, experiment.args.out
    q = np.load(folder / "cells" / Cell(mode, labels, 0).name / "probabilities.npy")
    predictions = q.argmax(axis=1)
    counted = confusion(data.test_labels, predictions, experiment.classes)
    title = f"{mode}, {labels} labels: {(predictions != data.test_labels).sum()} wrong"
    plots.confusion(counted, title, path=folder / f"confusion-{labels}.png")
    worst = most_wrong(q, data.test_labels, 32)
    captions = [
        f"{data.test_labels[k]}, pred. {predictions[k]}\nat {q[k].max():.0%}" for k in worst
    ]
    images = as_floats(data.test_images[worst]) if len(worst) else []
    plots.captioned(images, captions, data.image_shape, path=folder / f"mistakes-{labels}.png")


def report(experiment: Experiment, results: dict[Cell, dict[str, Any]]) -> None:
    """The table, the pictures of each number of labels, and the summary."""
    args, say = experiment.args, experiment.progress.say
    errors: dict[Any, dict[str, list[float]]] = {n: {} for n in args.labels}
    histories: dict[Any, dict[str, list[Any]]] = {n: {} for n in args.labels}
    for cell, result in results.items():
        errors[cell.labels].setdefault(cell.mode, []).append(result["test"]["error"])
        histories[cell.labels].setdefault(cell.mode, []).append(result["history"])
    say(table(errors, args.mode))
    best = {n: min(row, key=lambda k: mean(row[k])) for n, row in errors.items() if row}
    for n, mode in best.items():
        say(f"{n} labels: best is {mode}, {mean(errors[n][mode]):.2%} wrong")
    every = len(experiment.dataset.train_labels)
    largest = max(best, key=lambda n: every if n == ALL else n)
    first = next(iter(results.values()))
    config = command_line.configuration(args)  # that of the table; each training run has its own
    config[command_line.DATA] = first["config"][command_line.DATA]
    RunDir(args.out).write_summary(
        task=args.task,
        config={k: str(v) if isinstance(v, Path) else v for k, v in config.items()},
        data=first["data"],
        versions=versions(experiment.backend),
        seconds=round(sum(result["seconds"] for result in results.values()), 3),
        parameters=max(result["parameters"] for result in results.values()),
        test={"error": mean(errors[largest][best[largest]]), "best": best, "errors": errors},
        encoder=experiment.pretrained.sha256 if experiment.uses_weights else None,
    )
    for n, mode in best.items():
        draw_curves(args.out / f"curves-{n}.png", histories[n])
        draw_mistakes(experiment, mode, n)
    say(f"plots, metrics and checkpoints are in {args.out}")


def check_label_counts(experiment: Experiment) -> None:
    """Refuse more labels than there are, and say which classes have too few."""
    labels, args = experiment.dataset.train_labels, experiment.args
    for n in (n for n in args.labels if n != ALL):
        chosen = labels[balanced_subset(labels, n, args.seed)]
        got = np.bincount(chosen, minlength=experiment.classes)
        if got.max() - got.min() > 1:
            least = got.argmin()
            warn(f"warning: of {n} labels, class {least} has {got[least]}, which is all there are")


def main(arguments: Sequence[str] | None = None) -> None:
    args = command_line.parse(flags(), arguments, SMOKE, conv={})
    if args.checkpoint and args.channels:
        raise InputError("--architecture conv is of the encoder; that of --checkpoint has its own")
    args.mode, args.jobs = args.mode or tuple(MODES), args.jobs or default_jobs(args.backend)
    for flag in ("dropout", "input_distortion"):
        if getattr(args, flag) is not None and {*args.mode} <= {*SOFTMAX_ONLY}:
            name = flag.replace("_", "-")
            raise InputError(f"--{name} changes nothing with --mode {','.join(args.mode)}")
    run_dir, folder, progress = RunDir(args.out), args.out / "cells", Progress(0, {}, args.quiet)
    run_dir.claim(args.task)
    run_dir.refuse_experiment(args.resume, args.restart, [folder])
    experiment = Experiment(args, progress)
    data = experiment.dataset
    every = len(data.train_labels)
    args.labels = tuple(dict.fromkeys(ALL if n == every else n for n in args.labels))
    cells = [*grid(args)]
    if not cells:
        raise InputError(
            f"--mode {','.join(args.mode)} learns from images without labels, and with "
            "--labels all there are none"
        )
    check_label_counts(experiment)
    encoder = experiment.encoder.model  # raises here if it does not fit
    args.features = args.features or ("last" if encoder.channels else "all")
    args.architecture = "conv" if encoder.channels else "dense"  # that of --checkpoint too
    args.channels, args.kernel = encoder.channels, encoder.kernel
    if not args.resume:
        shutil.rmtree(folder, ignore_errors=True)
    if not all(RunDir(folder / cell.name).summary.exists() for cell in cells):
        run_dir.forget_summary()  # until they are done, the run is not complete
    progress.say(f"data      {data.source}: {experiment.classes} classes")
    progress.say(f"encoder   {experiment.pretrained.path}")
    progress.say(f"{len(cells)} trainings, {args.jobs} at a time, gradients {args.gradients}")
    results = train_all(experiment, cells)
    report(experiment, {cell: results[cell] for cell in cells})


if __name__ == "__main__":
    sys.exit(command_line.run(main))
