"""Train a GAN on points of the plane, and see which modes of their distribution it finds.

python examples/gan_ring.py
python examples/gan_ring.py --mixture grid --out runs/grid
python examples/gan_ring.py --loss non-saturating --out runs/ring-without-penalty
"""

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinygen import plots
from tinygen.data import MIXTURES, Dataset, mixtures
from tinygen.evaluation import PERFECT_GOOD_SAMPLES, ModeCoverage, mode_coverage
from tinygen.ops import concatenate, sigmoid
from tinygen.training import (
    AdversarialLearner,
    Run,
    Trainer,
    command_line,
    gan_command_line,
    set_up,
)
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
"""As many as PacGAN's protocol draws."""
SAMPLE_STREAM = 2
"""Of the seed: a step's draws are its stream 1."""


def flags():
    p = command_line.parser("gan_ring", __doc__.splitlines()[0], data=False)
    add = gan_command_line.add_flags(p, GAMMA).add_argument
    add("--mixture", **command_line.choice(tuple(MIXTURES), "the distribution of the points"))
    add("--points", type=command_line.whole(100, 10**7), default=100_000, metavar="N",
        help="points to learn from")  # fmt: skip
    p.set_defaults(**DEFAULTS)
    return p


def points(args: Any) -> Dataset:
    """Points to learn from, and others to test with, as rows of floats."""
    train, test = (
        mixtures.points(args.mixture, n, args.seed, part, np.float32)
        for part, n in enumerate((args.points, SAMPLES))
    )
    sha256 = {
        name: hashlib.sha256(x.tobytes()).hexdigest()
        for name, x in (("train", train), ("test", test))
    }
    source = f"points of the {args.mixture}, seed {args.seed}"
    return Dataset(args.mixture, train, None, test, None, source, sha256)


class Monitor(gan_command_line.GANMonitor):
    """What can be seen of a GAN in the plane: its samples, and the field that the other sees."""

    def __init__(self, run: Run, learner: AdversarialLearner) -> None:
        super().__init__(run, learner)
        self.mixture = MIXTURES[run.args.mixture]
        self.reach = 1.25 * float(abs(self.mixture.centres).max())
        self.real = run.dataset.test_images

    def drawn(self) -> Any:
        """Samples on the host, always of the same noise."""
        return self.samples(SAMPLES, SAMPLE_STREAM)

    def field(self) -> Any:
        """What the discriminator says of each point of the plane, from 0 to 1; None with packs.

        A critic's values, which have no zero and no unit, are brought there by their mean and
        their deviation. In a good run all ends near 1/2, so the distance from there is shown by
        its root.
        """
        if self.model.pack > 1:
            return None
        real, fake, _ = self.real_and_fake(SAMPLES, SAMPLE_STREAM)
        # Batch norm has the statistics of what is met in training, not those of the plane.
        calibrated = self.model.calibrate(self.learner.d, concatenate(real, fake, axis=0))
        x = self.run.backend.asarray(plots.plane_points(self.reach), self.run.args.dtype)
        a = self.run.backend.to_numpy(self.model.logits(self.learner.d, x, calibrated=calibrated))
        if self.model.loss == "wasserstein-gp":
            a = (a - a.mean()) / (a.std() + 1e-12)  # it may be flat
        p = a if self.model.loss == "least-squares" else sigmoid(a)
        sure = 2 * p.reshape(plots.FIELD_SIDE, -1).clip(0, 1) - 1
        return 0.5 + 0.5 * np.sign(sure) * np.sqrt(abs(sure))

    def picture(self, film: Path, epoch: int) -> None:
        plots.add_mixture_frame(film, self.drawn(), self.real, self.reach, epoch,
                                self.field(), self.mixture.centres)  # fmt: skip

    def figures(self) -> dict[str, float]:
        found = mode_coverage(self.drawn(), self.mixture).metrics
        return found | self.accuracy(SAMPLES, SAMPLE_STREAM)


def report(monitor: Monitor, trainer: Trainer) -> None:
    """The figures of the end, and the pictures."""
    run, samples = monitor.run, monitor.drawn()
    found, every = mode_coverage(samples, monitor.mixture), len(monitor.mixture.centres)
    say, perfect = run.progress.say, PERFECT_GOOD_SAMPLES
    say(f"{told(found, every)}; a perfect generator: {every} of {every}, {perfect:.2%}")
    say(f"the data themselves: {told(mode_coverage(monitor.real, monitor.mixture), every)}")
    if found.modes < every:
        warn(
            f"warning: {every - found.modes} of {every} modes were not found; "
            "docs/gan-training.md says what to try"
        )
    folder = run.run_dir.folder
    plots.mixture(folder / "samples.png", samples, monitor.real, monitor.reach, monitor.field(),
                  monitor.mixture.centres, told(found, every))  # fmt: skip
    losses = {"train_discriminator_loss": "discriminator", "train_generator_loss": "generator"}
    plots.loss_curves(folder / "loss.png", trainer.state.history, losses, "loss")
    plots.loss_curves(folder / "good.png", trainer.state.history, {"good_samples": "generated"},
                      "share of good samples", {"a perfect generator": perfect})  # fmt: skip
    run.summarise(trainer.learner.parameters.flat.size, trainer.state.seconds,
                  test=found.metrics, perfect={"good_samples": perfect})  # fmt: skip
    say(f"pictures, figures and checkpoint are in {folder}")


def told(found: ModeCoverage, every: int) -> str:
    return f"{found.modes} of {every} modes, {found.good_samples:.2%} good samples"


def main(arguments: Sequence[str] | None = None) -> None:
    args = command_line.parse(flags(), arguments, SMOKE)
    model = gan_command_line.build(args, pixels=2, output="none", gamma=GAMMA)
    run = set_up(args, COLUMNS, dataset=points(args), drop_last=True)
    monitor = Monitor(run, gan_command_line.new_learner(run, model))
    x = run.backend.asarray(run.dataset.train_images)
    trainer = gan_command_line.train(monitor, x, "modes", len(monitor.mixture.centres))
    report(monitor, trainer)


if __name__ == "__main__":
    sys.exit(command_line.run(main))
