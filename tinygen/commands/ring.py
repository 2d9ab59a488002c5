"""Train a GAN on points of the plane, and see which modes of their distribution it covers.

tinygen train ring
tinygen train ring --mixture grid --out runs/grid
tinygen train ring --loss non-saturating --out runs/ring-without-penalty
"""

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinygen import plots
from tinygen.commands import command_line
from tinygen.commands.gan_command_line import WHAT_TO_TRY, add_flags, build, new_learner
from tinygen.commands.gan_monitor import GANMonitor, train
from tinygen.commands.setup import Run, set_up
from tinygen.data import MIXTURES, mixture_points
from tinygen.evaluation import PERFECT_GOOD_SAMPLES, mode_coverage
from tinygen.training import AdversarialLearner, Trainer
from tinygen.training.progress import warn

COLUMNS = {
    "train_discriminator_loss": "D {:.3f}",
    "train_generator_loss": "G {:.3f}",
    "modes": "modes {:.0f}",
    "good_samples": f"good {{:.2%}} of {PERFECT_GOOD_SAMPLES:.2%}",
}
DEFAULTS: dict[str, Any] = {
    "epochs": 40, "batch_size": 200, "lr": 5e-3, "beta1": 0.0, "beta2": 0.9, "warm_up": 0.0,
    "latent": 2, "generator_hidden": (128, 128), "discriminator_hidden": (128, 128),
}  # fmt: skip
SMOKE = {"epochs": 3, "points": 2000, "generator_hidden": (32, 32),
         "discriminator_hidden": (32, 32)}  # fmt: skip
GAMMA = 0.1
"""The penalty's weight for the loss "r1"."""
SAMPLES = 2500
"""As many samples as PacGAN's protocol draws."""
SAMPLE_STREAM = 2
"""Streams of the seed; a step's draws are stream 1."""


def flags(prog: str | None = None) -> ArgumentParser:
    p = command_line.parser("gan_ring", __doc__, data=False, prog=prog, graphs=True)
    add = add_flags(p, GAMMA).add_argument
    add("--mixture", **command_line.choice(tuple(MIXTURES), "the distribution of the points"))
    add("--points", type=command_line.whole(100, 10**7), default=100_000, metavar="N",
        help="points to learn from")  # fmt: skip
    p.set_defaults(**DEFAULTS)
    return p


class Monitor(GANMonitor):
    """Shows the samples in the plane, over the discriminator's output at each point of it."""

    covered = "modes"

    def __init__(self, run: Run, learner: AdversarialLearner) -> None:
        super().__init__(run, learner)
        self.mixture, self.real = MIXTURES[run.args.mixture], run.dataset.test_images
        self.total = len(self.mixture.centres)
        self.limit = 1.25 * float(abs(self.mixture.centres).max())

    def fixed_samples(self) -> Any:
        """Samples on the host, always from the same noise."""
        return self.samples(SAMPLES, SAMPLE_STREAM)

    def field(self) -> Any:
        """The background of the plane; None with packs, as a point is only part of one."""
        if self.model.pack > 1:
            return None
        points = plots.plane_points(self.limit)
        return plots.emphasise(self.probability_of_real(points, SAMPLES, SAMPLE_STREAM))

    def picture(self, film: Path, epoch: int) -> None:
        plots.add_mixture_frame(film, self.fixed_samples(), self.real, self.limit, epoch,
                                self.field(), self.mixture.centres)  # fmt: skip

    def figures(self) -> dict[str, float]:
        coverage = mode_coverage(self.fixed_samples(), self.mixture).metrics
        return coverage | self.accuracy(SAMPLES, SAMPLE_STREAM)


def report(monitor: Monitor, trainer: Trainer) -> None:
    """The final figures, and the pictures."""
    run, samples, total = monitor.run, monitor.fixed_samples(), monitor.total
    coverage = mode_coverage(samples, monitor.mixture)
    say, perfect, folder = run.progress.say, PERFECT_GOOD_SAMPLES, run.run_dir.folder
    say(f"{coverage}; a perfect generator: {total} of {total}, {perfect:.2%}")
    say(f"the data themselves: {mode_coverage(monitor.real, monitor.mixture)}")
    if coverage.modes < total and not run.args.smoke:
        missed = f"the samples miss {total - coverage.modes} of {total} modes"
        warn(f"warning: {missed}; {WHAT_TO_TRY}")
    run.summarise(trainer.learner.parameters.flat.size, trainer.state.seconds,
                  test=coverage.metrics, perfect={"good_samples": perfect})  # fmt: skip
    plots.mixture(samples, monitor.real, monitor.limit, monitor.field(),
                  monitor.mixture.centres, str(coverage), path=folder / "samples.png")  # fmt: skip
    history, levels = trainer.state.history, monitor.levels()
    losses = {"train_discriminator_loss": "discriminator", "train_generator_loss": "generator"}
    panel = {"loss (nats)" if levels else "loss": losses}
    plots.loss_curves(history, panel, levels, path=folder / "loss.png")
    plots.loss_curves(history, {"fraction of good samples": {"good_samples": "generated"}},
                      {"a perfect generator": perfect}, path=folder / "good.png")  # fmt: skip
    say(f"plots, metrics and checkpoint are in {folder}")


def main(arguments: Sequence[str] | None = None, prog: str | None = None) -> None:
    args = command_line.parse(flags(prog), arguments, SMOKE)
    model = build(args, pixels=2, output="none", gamma=GAMMA)
    data = mixture_points(args.mixture, args.points, SAMPLES, args.seed)
    run = set_up(args, COLUMNS, dataset=data, drop_last=True)
    monitor = Monitor(run, new_learner(run, model))
    report(monitor, train(monitor))
