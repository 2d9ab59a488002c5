"""What an example needs before it can train: data, a backend, a folder, a plan."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tinygen import optim
from tinygen.backend import Backend, get_backend
from tinygen.commands import command_line
from tinygen.data import Dataset, load, stroke_digits
from tinygen.errors import InputError
from tinygen.models.architecture import shape_of
from tinygen.parameters import Parameters
from tinygen.training import stopping
from tinygen.training.distributed import Ranks, joined, refuse_other_than_means
from tinygen.training.graphs import by_graphs
from tinygen.training.learners.learner import Learner
from tinygen.training.loading import TrainedModel
from tinygen.training.loading import load as load_run
from tinygen.training.plan import Plan
from tinygen.training.progress import Progress, warn
from tinygen.training.run_dir import RunDir, about, versions
from tinygen.training.trainer import Trainer

SMOKE_IMAGES = {"train": 2000, "test": 500}


@dataclass(frozen=True)
class Run:
    """A run that is ready to begin, or to resume."""

    args: argparse.Namespace
    backend: Backend
    dataset: Dataset
    run_dir: RunDir
    progress: Progress
    plan: Plan
    ranks: Ranks | None = None

    def optimizer(self, parameters: Parameters) -> optim.Optimizer:
        """A new optimiser of the kind that was asked for."""
        args = self.args
        if args.optimizer == "adam":
            return optim.Adam(parameters, args.beta1, args.beta2, args.epsilon)
        if args.optimizer == "rmsprop":
            return optim.RMSProp(parameters)
        return optim.SGD(parameters, momentum=0.9)

    def gradients(self, model: Any) -> Any:
        """``model.gradients(how)`` as requested: by CUDA graphs, and by all ranks, if any."""
        gradients = model.gradients(self.args.gradients)
        if vars(self.args).get("graphs"):
            gradients = by_graphs(gradients)
        return gradients if self.ranks is None else self.ranks.averaged(gradients)

    def trainer(self, learner: Learner) -> Trainer:
        """A trainer at the start of the run, or with ``--resume`` where its checkpoint was saved.

        Raises:
            InputError: the checkpoint, or that of ``--start``, is damaged or of another network.
        """
        if self.ranks is None:
            return self._trainer(learner, stopping.noted)
        return self.ranks.together(partial(self._trainer, learner, self.ranks.noted))

    def _trainer(self, learner: Learner, noted: stopping.Noted) -> Trainer:
        trainer = Trainer(learner, self.plan, self.run_dir, self.progress, self.backend, noted)
        if self.args.resume:
            trainer.restore()
        if not trainer.state.step and (start := vars(self.args).get("start")):
            trained = load_run(start, self.backend)
            if trained.path and trained.path.resolve() == self.run_dir.checkpoint.resolve():
                raise InputError(
                    f"--start {start}: the run would write over it; choose another --out"
                )
            _begin_with(trained, learner, self.dataset.image_shape)
        return trainer

    @property
    def reports(self) -> bool:
        """Whether this process is the one that prints and draws the results of the training."""
        return self.ranks is None or self.ranks.rank == 0

    def summarise(self, parameters: int, seconds: float, **figures: Any) -> None:
        """Write ``summary.json``: the entries that every run has, and the `figures`.

        Args:
            parameters: how many there are.
            seconds: how long the training took.
        """
        ranks = {} if self.ranks is None else {"ranks": self.ranks.size}
        self.run_dir.write_summary(
            task=self.args.task,
            config=self.plan.config,
            data=self.plan.data,
            versions={**versions(self.backend), **ranks},
            seconds=round(seconds, 3),
            parameters=parameters,
            **figures,
        )


def set_up(
    args: argparse.Namespace,
    columns: dict[str, str],
    change: Callable[[Dataset, Path | None], Dataset] | None = None,
    *,
    dataset: Dataset | None = None,
    drop_last: bool = False,
    local_rank: int | None = None,
) -> Run:
    """Load the data, connect to the backend, and open the run's folder.

    Args:
        columns: what the line of an epoch shows; see `Progress`.
        change: takes the data set and ``--data-dir``, and returns the data set to use.
        dataset: the data, for an example that does not ask which.
        drop_last: whether an epoch leaves out its last images if they do not fill a batch.
        local_rank: as in `get_backend`.

    Raises:
        InputError: any of these is not available, or an earlier run would be lost.
    """
    backend = get_backend(args.backend, local_rank)
    run_dir = RunDir(args.out)
    run_dir.claim(args.task)
    saved = run_dir.saved_configuration() if args.resume else None
    if saved is None and not args.restart:
        run_dir.refuse_earlier()
    progress = Progress(args.epochs, columns, args.quiet)
    if dataset is None:
        dataset = load_dataset(args, progress, change)
    n = len(dataset.train_images)
    if args.batch_size > n:
        raise InputError(
            f"--batch-size {args.batch_size}: {dataset.name} has {n} training images; expected at "
            f"most --batch-size {n}"
        )
    used = {"train": n, "test": len(dataset.test_images)}  # the hashes are of all of the data
    config = command_line.configuration(args) | {command_line.DATA: {**dataset.sha256, **used}}
    if saved is not None:
        command_line.refuse_other_configuration(saved, config, args.out)
        if saved.get(command_line.DATA) != config[command_line.DATA]:
            raise command_line.other_data(run_dir.saved_data(), about(dataset), args.out)
    plan = Plan(
        epochs=args.epochs,
        batch_size=args.batch_size,
        seed=args.seed,
        show_every=args.show_every,
        schedule=lambda step: args.lr,
        config=config,
        drop_last=drop_last,
        data=about(dataset),
    )
    plan = replace(plan, schedule=command_line.schedule(args, args.epochs * plan.steps(n)))
    progress.say(f"data      {dataset.source}: {n} to train on")
    how = args.gradients + ", by CUDA graphs" * bool(vars(args).get("graphs"))
    progress.say(f"backend   {backend.describe()}, {args.dtype}, gradients {how}")
    return Run(args, backend, dataset, run_dir, progress, plan)


def ranks_of(arguments: Sequence[str] | None) -> AbstractContextManager[Ranks | None]:
    """The processes that train a model together, if the command line asks for them.

    They join before it is parsed, so that an error on any of them ends all.

    Args:
        arguments: of the command line; by default those of this process.

    Raises:
        InputError: there is no MPI.
    """
    given = sys.argv[1:] if arguments is None else arguments
    # The whole word: the parsers accept no abbreviation.
    return joined() if "--distributed" in given else nullcontext()


def set_up_on(
    ranks: Ranks | None,
    model: Any,
    args: argparse.Namespace,
    columns: dict[str, str],
    change: Callable[[Dataset, Path | None], Dataset] | None = None,
) -> Run:
    """As `set_up`, on all ranks if there are any.

    Args:
        model: what they are to train.

    Raises:
        InputError: on all ranks, if it is raised on one; or the gradient of the model's loss is not
            an average.
    """
    if ranks is None:
        return set_up(args, columns, change)
    refuse_other_than_means(model)
    args.out = ranks.folder(args.out, args.resume)

    def begin() -> Run:
        if args.batch_size < ranks.size:
            raise InputError(
                f"--batch-size {args.batch_size}: expected at least an image for each of the "
                f"{ranks.size} ranks"
            )
        return set_up(args, columns, change, local_rank=ranks.local_rank)

    run = ranks.together(begin)
    ranks.refuse_different("flags and data", run.plan.config)
    run.progress.say(f"ranks     {ranks.describe(run.backend)}")
    return replace(run, ranks=ranks)


def _begin_with(trained: TrainedModel, learner: Learner, image: tuple[int, ...]) -> None:
    """Write the parameters of another run into those of a learner, for images of that shape.

    Raises:
        InputError: the other run is of another network.
    """
    # Parameters show neither the activation nor, for a convolution, the size of the images.
    seen = shape_of(trained.model) if trained.model.channels else trained.data.get("shape")
    if not isinstance(seen, (list, tuple)) or len(seen) == 1:  # rows, or unknown
        seen = image
    ours = _network(learner.model, learner.parameters, image)
    theirs = _network(trained.model, trained.parameters, seen)
    for name in {**ours, **theirs}:
        expected, got = (network.get(name, "none") for network in (ours, theirs))
        if expected != got:
            raise InputError(
                f"--start {trained.path}: expected the network of this run, in which {name} is "
                f"{expected}, got one in which it is {got}"
            )
    p = learner.parameters
    p.flat[...] = trained.parameters.flat
    p.note_write()


def _network(model: Any, parameters: Parameters, image: Sequence[int]) -> dict[str, Any]:
    """What two networks must have in common for one to start from the other's parameters."""
    functions = {name: getattr(model, name, "none") for name in ("activation", "output")}
    return {**parameters.shapes, **functions, "image": (*image, 1)[:3]}


def load_dataset(
    args: argparse.Namespace,
    progress: Progress,
    change: Callable[[Dataset, Path | None], Dataset] | None = None,
) -> Dataset:
    """The data set that was asked for; with ``--smoke`` its first images.

    Raises:
        InputError: it is not available.
    """
    # Strokes are those of seed 0, whatever the run's seed: a data set like any other, so that
    # figures of several seeds are comparable, and generated images have one judge.
    if args.smoke and args.data == "strokes":  # drawing all of them would take seconds
        dataset = stroke_digits(**SMOKE_IMAGES)
    else:
        dataset = load(args.data, args.data_dir, say=warn, progress=not args.quiet)
    if (images := dataset.train_images).ndim == 2:
        raise InputError(
            f"--data {args.data}: expected images (n, h, w) or (n, h, w, c), got rows "
            f"{images.shape}; in Python tg.fit trains on rows"
        )
    if change is not None:
        dataset = change(dataset, args.data_dir)
    return dataset.first(**SMOKE_IMAGES) if args.smoke else dataset
