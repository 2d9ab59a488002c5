"""Take the decoder off an autoencoder and put a softmax in its place: how few labels are enough?

python examples/experiments/encoder_classifier.py
python examples/experiments/encoder_classifier.py --labels 100,600,1000,3000,all --draws 10
python examples/experiments/encoder_classifier.py --checkpoint runs/mnist_autoencoder \\
    --labels 100 --mode frozen
"""

import argparse
import json
import multiprocessing
import os
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from functools import cache, cached_property, partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from tinygen import plots
from tinygen.backend import get_backend
from tinygen.data import as_floats, balanced_subset, in_order, number_of_classes
from tinygen.errors import InputError
from tinygen.evaluation import PCA, confusion, most_wrong, reference_models
from tinygen.files import replacing
from tinygen.losses import one_hot
from tinygen.models import Classifier, Encoder, Frozen
from tinygen.models.serialization import describe
from tinygen.parameters import Parameters
from tinygen.training import (
    Interrupted,
    Progress,
    PseudoLabelLearner,
    Run,
    RunDir,
    SingleLossLearner,
    TrainedModel,
    checkpoint,
    command_line,
    load,
    load_dataset,
    set_up,
)
from tinygen.training.progress import warn
from tinygen.training.run_dir import versions

ALL = "all"
SEEDS = 3
"""Trainings with all labels, of which there is only one draw."""
LOOKED_AT = 10_000
"""Images of whose answers the mean and the deviation are taken, for a frozen encoder's softmax."""
AVERAGE = 0.99
"""What a step leaves of the average that gives images without labels theirs."""
RISING = 0.2
"""The share of the steps over which the weight of images without labels rises."""


class Recipe(NamedTuple):
    """How a classifier is trained; an epoch sees as many images as there are."""

    epochs: int
    batch_size: int
    lr: float
    noise: float
    dropout: float = 0.0
    weight_decay: float = 0.0


HEAD = Recipe(epochs=3, batch_size=100, lr=0.3, noise=0.5, weight_decay=1e-5)
FEW = Recipe(epochs=3, batch_size=100, lr=1e-3, noise=0.5)
SPREAD = Recipe(epochs=14, batch_size=200, lr=1e-3, noise=0.5)
FULL = Recipe(epochs=30, batch_size=100, lr=2e-3, noise=0.3, dropout=0.2)

MODES = {
    "pixels": "a softmax on the pixels",
    "pca": "a softmax on PCA's codes",
    "code": "a softmax on the frozen encoder's code",
    "frozen": "a softmax on the frozen encoder's layers",
    "scratch": "all layers, from random weights",
    "finetune": "all layers, from the encoder's weights",
    "scratch+": "the same with the images that have no labels",
    "finetune+": "the same with the images that have no labels",
}
ON_TOP = ("pixels", "pca", "code", "frozen")
"""Modes in which the softmax alone is trained."""
SPREADING = ("scratch+", "finetune+")
"""Modes that use images without labels, too."""
FEATURES = ("all", "last", "code")


def flags() -> argparse.ArgumentParser:
    p = command_line.parser("encoder_classifier", __doc__.splitlines()[0])
    add = p.add_argument_group("experiment").add_argument
    add("--checkpoint", type=Path, metavar="RUN",
        help="a run with an encoder, else a denoising autoencoder, trained once")  # fmt: skip
    add("--labels", type=counts, default=(100, 1000), metavar="N,N",
        help="how many labels there are; all is one")  # fmt: skip
    told = "; ".join(f"{name}, {what}" for name, what in MODES.items())
    add("--mode", type=modes, metavar="NAME,NAME", help=f"what learns, else each of: {told}")
    add("--draws", type=command_line.whole(1, 1000), default=3, metavar="N",
        help=f"ways to choose the labels; with all of them, at most {SEEDS} seeds")  # fmt: skip
    add("--features", **command_line.choice(FEATURES, "the encoder's layers that are read"))
    add("--noise", type=command_line.real(least=0), metavar="X",
        help="deviation of noise on images in training")  # fmt: skip
    add("--dropout", type=command_line.real(least=0, most=0.95), metavar="X",
        help="share of the hidden units dropped in training")  # fmt: skip
    add("--jobs", type=command_line.whole(1, 1000), metavar="N",
        help="trainings at a time, each on one core; else as many as there are")  # fmt: skip
    p.set_defaults(epochs=None, batch_size=None, lr=None, beta2=0.99)
    return p


SMOKE = {"data": "strokes", "epochs": 1, "draws": 2, "jobs": 1, "labels": (20, ALL)}


def jobs_of(args: argparse.Namespace) -> int:
    """As many as there are cores; but a GPU is one."""
    return args.jobs or (1 if args.backend == "cupy" else os.cpu_count() or 1)


def counts(text: str) -> tuple[Any, ...]:
    """A type for argparse: ``100,1000,all``."""
    whole = command_line.whole(1)
    found = tuple(ALL if part == ALL else whole(part) for part in text.split(","))
    return tuple(dict.fromkeys(found))


def modes(text: str) -> tuple[str, ...]:
    """A type for argparse: ``frozen,finetune``."""
    found = tuple(dict.fromkeys(text.split(",")))
    for name in found:
        if name not in MODES:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(MODES)}")
    return found


class Cell(NamedTuple):
    """One training: a mode, how many labels, and which draw of them."""

    mode: str
    labels: Any
    draw: int

    @property
    def name(self) -> str:
        return f"{self.mode}-{self.labels}-{self.draw}"


def cells(args: argparse.Namespace) -> Iterator[Cell]:
    """In the order in which they are trained: the first draw of everything comes first."""
    for draw in range(args.draws):
        for labels in args.labels:
            for mode in args.mode:
                left = labels != ALL or (draw < SEEDS and mode not in SPREADING)
                if left:
                    yield Cell(mode, labels, draw)


class Workshop:
    """What all trainings share: the data, the encoder, and what softmaxes read."""

    def __init__(self, args: argparse.Namespace, progress: Progress) -> None:
        self.args, self.backend = args, get_backend(args.backend)
        self.dataset = data = load_dataset(args, progress)
        if data.train_labels is None or data.test_labels is None:
            raise InputError(f"{data.name} has no labels, which a classifier learns from")
        self.classes = number_of_classes(data.train_labels)
        if data.test_labels.max() >= self.classes:
            raise InputError(
                f"a test image is labelled {data.test_labels.max()}, and the training images "
                f"only 0 to {self.classes - 1}"
            )
        self.progress = progress

    @cached_property
    def trained(self) -> TrainedModel:
        """The model whose encoder it is."""
        if self.args.checkpoint:
            return load(self.args.checkpoint, self.backend)
        return reference_models.denoising_autoencoder(self.dataset, self.progress, self.args.smoke)

    @cached_property
    def trained_encoder(self) -> TrainedModel:
        """The encoder alone, in the arithmetic of the run."""
        encoder = self.trained.encoder
        encoder.prepare(self.dataset.train_images[:1])  # refuses images of another size
        return encoder.to(self.backend, self.args.dtype)

    @property
    def encoder(self) -> Encoder:
        return self.trained_encoder.model

    def classifier(self, recipe: Recipe) -> Classifier:
        """All layers of the encoder that are read, and a softmax."""
        encoder, features = self.encoder, self.args.features
        return Classifier(
            encoder.pixels, encoder.hidden, self.classes, encoder.activation, recipe.dropout,
            latent=encoder.latent if features == "code" or not encoder.hidden else 0,
            reads="all" if features == "all" else "last",
            input_noise=recipe.noise, weight_decay=recipe.weight_decay,
        )  # fmt: skip

    @cache  # noqa: B019  there is one workshop in a process
    def body(self, mode: str) -> tuple[Classifier, Parameters]:
        """What a softmax of this mode stands on, and does not move."""
        encoder, pixels = self.encoder, self.dataset.pixels
        if mode == "frozen":
            body = self.classifier(HEAD)
        elif mode == "code":
            body = Classifier(pixels, encoder.hidden, self.classes, encoder.activation, 0.0,
                              latent=encoder.latent)  # fmt: skip
        else:  # PCA is a linear layer
            width = {"pixels": 0, "pca": min(encoder.latent, pixels)}[mode]
            body = Classifier(pixels, (), self.classes, dropout=0.0, latent=width)
        p = body.initialise(0, self.args.dtype, self.backend)
        if mode == "pca":
            pca = PCA.fit(self.dataset.train_images, body.latent)
            p["W1"][...] = self.backend.asarray(pca.components.T.copy(), self.args.dtype)
            p["b1"][...] = self.backend.asarray(pca.encode(0 * pca.mean), self.args.dtype)
        elif mode != "pixels":
            body.copy_encoder(p, encoder, self.trained_encoder.parameters)
        return body, p

    @cache  # noqa: B019
    def frozen(self, mode: str, recipe: Recipe) -> Frozen:
        """A softmax on what does not learn."""
        x = as_floats(self.backend.asarray(self.dataset.train_images[:LOOKED_AT]), self.args.dtype)
        body, weights = self.body(mode)
        head = Classifier(
            sum(body.widths), (), self.classes, dropout=0.0, weights="glorot_uniform",
            input_noise=recipe.noise, weight_decay=recipe.weight_decay,
        )  # fmt: skip
        return Frozen.standardised(head, partial(body.features, weights), x)


def recipe_of(args: argparse.Namespace, cell: Cell) -> Recipe:
    """How a cell is trained: what is usual, but for what the flags say."""
    if cell.mode in ON_TOP:
        recipe = HEAD
    elif cell.mode in SPREADING:
        recipe = SPREAD
    else:
        recipe = FULL if cell.labels == ALL else FEW
    names = ["epochs", "batch_size", "lr", "noise"]
    if cell.mode not in ON_TOP:  # a softmax has no hidden units that could be dropped
        names.append("dropout")
    asked = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    return recipe._replace(**asked)


@reference_models.on_one_thread  # so that it does not matter how many trainings there are at a time
def train(shop: Workshop, cell: Cell) -> dict[str, Any]:
    """Train one cell, or go on with it; returns its summary."""
    args, data = shop.args, shop.dataset
    recipe = recipe_of(args, cell)
    given = vars(args) | recipe._asdict()
    for name in ("checkpoint", "jobs", "draws"):
        given.pop(name)
    own = argparse.Namespace(**given)
    own.mode, own.labels, own.draw = cell
    own.encoder, own.seed = shop.trained.sha256, args.seed + cell.draw
    own.out, own.quiet = args.out / "cells" / cell.name, True
    own.resume = (own.out / "checkpoint.npz").exists()

    count = len(data.train_labels) if cell.labels == ALL else cell.labels
    chosen = balanced_subset(data.train_labels, count, args.seed, cell.draw)
    own.batch_size = min(recipe.batch_size, len(data.train_images))
    pool = data
    if cell.mode not in SPREADING:  # the labelled ones again and again, until an epoch is full
        again = np.resize(chosen, len(data.train_images))
        pool = replace(
            data, train_images=data.train_images[again], train_labels=data.train_labels[again]
        )
    run = set_up(own, {}, dataset=pool, drop_last=True)
    history = learn(run, shop, cell, recipe, chosen)
    return json.loads(run.run_dir.summary.read_text()) | {"history": history}


def learn(run: Run, shop: Workshop, cell: Cell, recipe: Recipe, chosen: Any) -> Any:
    """Train a cell and write its files; returns its history."""
    args, backend, data = run.args, run.backend, shop.dataset
    model: Any = shop.frozen(cell.mode, recipe) if cell.mode in ON_TOP else shop.classifier(recipe)
    p = model.initialise(args.seed, args.dtype, backend)
    if cell.mode.startswith("finetune"):
        model.copy_encoder(p, shop.encoder, shop.trained_encoder.parameters)

    def one_hots(labels: Any) -> Any:
        return one_hot(backend.asarray(labels), shop.classes, args.dtype)

    gradients, labels, evaluated = model.gradients(args.gradients), None, p
    if cell.mode in SPREADING:
        steps = run.plan.epochs * run.plan.steps(len(data.train_images))
        learner: Any = PseudoLabelLearner(
            model, p, run.optimizer, gradients, backend.asarray(data.train_images[chosen]),
            one_hots(data.train_labels[chosen]), batch_size=min(FEW.batch_size, len(chosen)),
            ramp_up=max(1, round(RISING * steps)), decay=AVERAGE,
        )  # fmt: skip
        evaluated = learner.average
    else:
        learner = SingleLossLearner(model, p, run.optimizer, gradients)
        labels = one_hots(run.dataset.train_labels)
    trainer = run.trainer(learner)
    test = backend.asarray(data.test_images)

    def said() -> Any:
        pieces = (model.probabilities(evaluated, x) for x in in_order(test, args.dtype))
        return np.concatenate([backend.to_numpy(q) for q in pieces])

    def evaluate() -> dict[str, float]:
        return {"test_error": float(np.mean(said().argmax(axis=1) != data.test_labels))}

    images = backend.asarray(run.dataset.train_images)
    trainer.fit(images, evaluate, labels)
    if not cell.draw:  # of which there will be pictures
        with replacing(run.run_dir.folder / "said.npy") as file:
            np.save(file, said())
    if cell.mode in ON_TOP:  # its checkpoint has the head alone
        body, weights = shop.body(cell.mode)
        whole = {"parameters": backend.to_numpy(model.to_classifier(body, weights, p).flat)}
        about = {"model": describe(body), "dtype": args.dtype, "data": run.plan.data}
        checkpoint.save(run.run_dir.folder / "model.npz", whole, about)
    state = trainer.state
    error = state.history[-1]["test_error"]
    run.summarise(p.flat.size, state.seconds, test={"error": error})
    return state.history


def train_all(shop: Workshop, left: Sequence[Cell]) -> dict[Cell, dict[str, Any]]:
    """Train what is left, several at a time; each one is saved as soon as it is done."""
    args, found = shop.args, {}
    bar = tqdm(total=len(left), desc="trainings", unit="", leave=False,
               disable=args.quiet or None, dynamic_ncols=True)  # fmt: skip
    with bar:
        if args.jobs == 1 or len(left) == 1:
            for cell in left:
                bar.set_postfix_str(cell.name)
                found[cell] = train(shop, cell)
                bar.update()
            return found
        spawn = multiprocessing.get_context("spawn")
        stop = spawn.Event()
        with ProcessPoolExecutor(args.jobs, spawn, _begin, (args, stop)) as pool:
            # Ctrl-C reaches all processes of a terminal. A worker leaves it to the training that it
            # is at, and to us; it inherits that from here, where it is started.
            heard = signal.signal(signal.SIGINT, signal.SIG_IGN)
            jobs = {pool.submit(_train, cell): cell for cell in left}
            signal.signal(signal.SIGINT, heard)
            try:
                for job in as_completed(jobs):
                    found[jobs[job]] = job.result()
                    bar.set_postfix_str(jobs[job].name)
                    bar.update()
            except (KeyboardInterrupt, Interrupted):
                raise Interrupted(
                    f"stopped after {len(found)} of {len(left)} trainings; {args.out} has what was "
                    "done, the same command with --resume goes on"
                ) from None
            finally:
                stop.set()
                pool.shutdown(cancel_futures=True)
    return found


worker: Any = None
"""Of a process that trains for another: its workshop, and whether it is to begin nothing more."""


def _begin(args: argparse.Namespace, stop: Any) -> None:
    global worker
    worker = Workshop(args, Progress(0, {}, quiet=True)), stop


def _train(cell: Cell) -> dict[str, Any]:
    shop, stop = worker
    if stop.is_set():  # trainings wait in a process for their turn
        raise Interrupted(f"{cell.name} was not begun")
    return train(shop, cell)


def table(errors: dict[Any, dict[str, list[float]]], chosen: Sequence[str]) -> str:
    """A line a mode and a column for each number of labels: the mean error and its deviation."""
    lines = [f"{'wrong, in %':12}" + "".join(f"{str(n) + ' labels':>13}" for n in errors)]
    for mode in chosen:
        parts = []
        for row in errors.values():
            found = [100 * x for x in row.get(mode, ())]
            spread = f" ±{stdev(found):5.2f}" if len(found) > 1 else " " * 7
            parts.append(f"{mean(found):6.2f}{spread}" if found else f"{'-':>6}{'':7}")
        lines.append(f"{mode:12}" + "".join(parts))
    return "\n".join(line.rstrip() for line in lines)


def draw_pictures(
    args: argparse.Namespace, shop: Workshop, found: dict[Cell, dict[str, Any]], labels: Any,
    errors: dict[str, list[float]],
) -> str:  # fmt: skip
    """Curves of all modes, and what the best one confuses; returns its name."""
    data, folder = shop.dataset, args.out
    best = min(errors, key=lambda mode: mean(errors[mode]))
    curves = {
        mode: np.mean([[row["test_error"] for row in found[cell]["history"]]
                       for cell in found if (cell.mode, cell.labels) == (mode, labels)], axis=0)
        for mode in errors
    }  # fmt: skip
    epochs = range(1, max(map(len, curves.values())) + 1)
    padded = {k: [*x, *[np.nan] * (len(epochs) - len(x))] for k, x in curves.items()}
    plots.line_plot(folder / f"curves-{labels}.png", epochs, padded, "epoch", "test error")
    said = np.load(folder / "cells" / Cell(best, labels, 0).name / "said.npy")
    counted = confusion(data.test_labels, said.argmax(axis=1), shop.classes)
    title = f"{best}, {labels} labels: {(said.argmax(axis=1) != data.test_labels).sum()} wrong"
    plots.confusion(folder / f"confusion-{labels}.png", counted, title)
    worst = most_wrong(said, data.test_labels, 32)
    captions = [
        f"{data.test_labels[k]}, said {said[k].argmax()}\nat {said[k].max():.0%}" for k in worst
    ]
    images = as_floats(data.test_images[worst]) if len(worst) else []
    plots.captioned(folder / f"mistakes-{labels}.png", images, captions, data.image_shape)
    return best


def refuse_draws(args: argparse.Namespace, shop: Workshop) -> None:
    """Refuse numbers of labels that there are not, and say which classes are short of them."""
    every = shop.dataset.train_labels
    for n in (n for n in args.labels if n != ALL):
        got = np.bincount(every[balanced_subset(every, n, args.seed)], minlength=shop.classes)
        if got.max() - got.min() > 1:
            least = got.argmin()
            warn(f"warning: of {n} labels, class {least} has {got[least]}, which is all there are")


def main(arguments: Sequence[str] | None = None) -> None:
    args = command_line.parse(flags(), arguments, SMOKE)
    args.mode, args.jobs = args.mode or tuple(MODES), jobs_of(args)
    run_dir, progress = RunDir(args.out), Progress(0, {}, args.quiet)
    run_dir.refuse_another_run()
    folder = args.out / "cells"
    shop = Workshop(args, progress)
    every = len(shop.dataset.train_labels)
    args.labels = tuple(dict.fromkeys(ALL if n == every else n for n in args.labels))
    left = [*cells(args)]
    if not left:
        raise InputError(
            f"--mode {','.join(args.mode)} learns from images without labels, and with "
            "--labels all there are none"
        )
    if folder.exists() and not run_dir.summary.exists() and not (args.resume or args.restart):
        raise InputError(
            f"{args.out} holds an unfinished run; add --resume to go on with it, --restart to "
            "begin anew, or choose another --out"
        )
    if args.resume and not folder.exists():
        raise InputError(
            f"there is no training in {args.out} to resume from; start without --resume"
        )
    refuse_draws(args, shop)
    _ = shop.trained_encoder  # an encoder that does not suit is refused here
    run_dir.open()
    if not args.resume:
        shutil.rmtree(folder, ignore_errors=True)
    if not all((folder / cell.name / "summary.json").exists() for cell in left):
        run_dir.forget_summary()  # until they are done, this is no complete run
    progress.say(f"data      {shop.dataset.source}: {shop.classes} classes")
    progress.say(f"encoder   {shop.trained.path}")
    progress.say(f"{len(left)} trainings, {args.jobs} at a time, gradients {args.gradients}")
    found = train_all(shop, left)

    errors: dict[Any, dict[str, list[float]]] = {n: {} for n in args.labels}
    for cell in left:
        errors[cell.labels].setdefault(cell.mode, []).append(found[cell]["test"]["error"])
    progress.say(table(errors, args.mode))
    best = {n: draw_pictures(args, shop, found, n, row) for n, row in errors.items() if row}
    for n, mode in best.items():
        progress.say(f"{n} labels: best is {mode}, {mean(errors[n][mode]):.2%} wrong")
    largest = max(best, key=lambda n: len(shop.dataset.train_labels) if n == ALL else n)
    one = found[left[0]]
    config = command_line.configuration(args)  # of the table; each training has its own beside it
    config[command_line.DATA] = one["config"][command_line.DATA]
    run_dir.write_summary(
        task=args.task,
        config={k: str(v) if isinstance(v, Path) else v for k, v in config.items()},
        data=one["data"],
        versions=versions(shop.backend),
        seconds=round(sum(found[cell]["seconds"] for cell in left), 3),
        parameters=max(found[cell]["parameters"] for cell in left),
        test={"error": mean(errors[largest][best[largest]]), "best": best, "errors": errors},
        encoder=shop.trained.sha256,
    )
    progress.say(f"pictures, figures and checkpoints are in {args.out}")


if __name__ == "__main__":
    sys.exit(command_line.run(main))
