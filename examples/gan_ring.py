"""Train a GAN on points of the plane, and see which modes of their distribution it finds.

python examples/gan_ring.py
python examples/gan_ring.py --mixture grid --out runs/grid
python examples/gan_ring.py --loss non-saturating --out runs/ring-without-penalty
"""

import hashlib
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygen import plots
from tinygen.backend.base import seed_sequence
from tinygen.data import MIXTURES, Dataset
from tinygen.metrics import PERFECT_SHARE, Modes, modes
from tinygen.models import GAN
from tinygen.ops import sigmoid
from tinygen.training import Run, State, command_line, fit, start
from tinygen.training.duel import Players, duel
from tinygen.training.progress import warn
from tinygen.training.trouble import new_troubles

COLUMNS = {
    "train_discriminator_loss": "D {:.3f}",
    "train_generator_loss": "G {:.3f}",
    "modes": "modes {:.0f}",
    "good_samples": f"good {{:.2%}} (perfect: {PERFECT_SHARE:.2%})",
}
DEFAULTS: dict[str, Any] = {
    "epochs": 40, "batch_size": 200, "lr": 5e-3, "beta1": 0.0, "beta2": 0.9, "warm_up": 0.0,
    "latent": 2, "generator_hidden": (128, 128), "discriminator_hidden": (128, 128),
    "loss": "r1",
}  # fmt: skip
SMOKE = {"epochs": 3, "points": 2000, "generator_hidden": (32, 32),
         "discriminator_hidden": (32, 32)}  # fmt: skip
GAMMA = 0.1
"""The penalty's weight for the loss "r1"."""
SAMPLES = 2500
"""As many as PacGAN's protocol draws."""
FRAMES = 60
"""The most frames of the film."""
SAMPLE_STREAM = 2
"""Of the seed: a step's draws are its stream 1."""


def flags():
    p = command_line.parser("gan_ring", __doc__.splitlines()[0], data=False)
    add = command_line.add_gan_flags(p).add_argument
    add("--mixture", **command_line.choice(tuple(MIXTURES), "the distribution of the points"))
    add("--points", type=command_line.whole(100, 10**7), default=100_000, metavar="N",
        help="points to learn from")  # fmt: skip
    p.set_defaults(**DEFAULTS)
    return p


def points(args: Any) -> Dataset:
    """Points to learn from, and others to test with, as rows of floats."""
    mixture, parts = MIXTURES[args.mixture], {"train": args.points, "test": SAMPLES}
    drawn = {
        name: mixture.draw(n, np.random.default_rng(seed_sequence((args.seed, 22, k))), np.float32)
        for k, (name, n) in enumerate(parts.items())
    }
    sha256 = {name: hashlib.sha256(x.tobytes()).hexdigest() for name, x in drawn.items()}
    source = f"points of the {args.mixture}, seed {args.seed}"
    return Dataset(args.mixture, drawn["train"], None, drawn["test"], None, source, sha256)


class Eye:
    """What can be seen of a GAN in the plane: its samples, and the field that the other sees."""

    def __init__(self, run: Run, model: GAN, state: State, players: Players) -> None:
        self.run, self.model, self.state, self.players = run, model, state, players
        self.mixture = MIXTURES[run.args.mixture]
        self.reach = 1.25 * float(abs(self.mixture.centres).max())
        self.real = run.dataset.test_images

    def noise(self) -> Any:
        generator = self.run.backend.generator((self.run.args.seed, SAMPLE_STREAM))
        return generator.standard_normal((SAMPLES, self.model.latent), dtype=self.run.args.dtype)

    def samples(self) -> Any:
        """Samples of the averaged generator, on the host: (SAMPLES, 2)."""
        sample = self.model.sampler(self.players.best)
        return self.run.backend.to_numpy(sample(self.noise()))

    def field(self) -> Any:
        """What the discriminator says of each point of the plane, from 0 to 1; None with packs.

        A critic's values, which have no zero and no unit, are brought there by their mean and
        their deviation. In a good run all ends near 1/2, so the distance from there is shown by
        its root.
        """
        if self.model.pack > 1:
            return None
        x = self.run.backend.asarray(plots.plane(self.reach), self.run.args.dtype)
        a = self.model.logits(self.players.d, x)
        if self.model.loss == "wasserstein-gp":
            a = (a - a.mean()) / a.std()
        p = a if self.model.loss == "least-squares" else sigmoid(a)
        sure = 2 * self.run.backend.to_numpy(p).reshape(plots.FIELD_SIDE, -1).clip(0, 1) - 1
        return 0.5 + 0.5 * np.sign(sure) * np.sqrt(abs(sure))

    def after_epoch(self) -> dict[str, float]:
        """The figures of an epoch; some epochs give a frame of the film, too."""
        run, samples = self.run, self.samples()
        epoch = len(self.state.history) + 1
        if run.plan.films(epoch, FRAMES):
            path = run.record.folder / "training.gif"
            plots.add_mixture_frame(path, samples, self.real, self.reach, epoch, self.field(),
                                    self.mixture.centres)  # fmt: skip
        real = run.backend.asarray(self.real, run.args.dtype)
        fake = self.model.generate(self.players.g, self.noise())
        found = modes(samples, self.mixture).figures
        figures = found | self.model.accuracy(self.players.d, real, fake)
        rows = [*self.state.history, self.state.means() | figures]
        for line in new_troubles(rows, "modes", self.model.loss == "wasserstein-gp"):
            warn(f"epoch {epoch}: {line}")
        return figures


def report(eye: Eye) -> None:
    """The figures of the end, and the pictures."""
    run, samples = eye.run, eye.samples()
    found, say, every = modes(samples, eye.mixture), run.progress.say, len(eye.mixture.centres)
    say(f"{told(found, every)}; a perfect generator: {every} of {every}, {PERFECT_SHARE:.2%}")
    say(f"the data themselves: {told(modes(eye.real, eye.mixture), every)}")
    if found.found < every:
        warn(
            f"warning: {every - found.found} of {every} modes were not found; "
            "docs/gan-training.md says what to try"
        )
    folder, history = run.record.folder, eye.state.history
    plots.mixture(folder / "samples.png", samples, eye.real, eye.reach, eye.field(),
                  eye.mixture.centres, told(found, every))  # fmt: skip
    losses = {"train_discriminator_loss": "discriminator", "train_generator_loss": "generator"}
    plots.loss_curves(folder / "loss.png", history, losses, "loss")
    plots.loss_curves(folder / "good.png", history, {"good_samples": "generated"},
                      "share of good samples", {"a perfect generator": PERFECT_SHARE})  # fmt: skip
    run.summarise(eye.state, test=found.figures, perfect={"good_samples": PERFECT_SHARE})
    say(f"pictures, figures and checkpoint are in {folder}")


def told(found: Modes, every: int) -> str:
    return f"{found.found} of {every} modes, {found.good:.2%} good samples"


def main(arguments: Sequence[str] | None = None) -> None:
    args = command_line.parse(flags(), arguments, SMOKE)
    model = command_line.gan(args, pixels=2, output="none", gamma=GAMMA)
    ratio = (args.generator_lr or args.lr) / args.lr
    learner = duel(model, args.gradients, ratio)
    run = start(args, COLUMNS, dataset=points(args), whole=True)
    p = model.initialise(args.seed, args.dtype, run.backend)
    players = Players(p, run.optimizer, args.critic_steps, args.average)
    state = run.state(p, players)
    if not state.step:  # a film of an earlier run
        (run.record.folder / "training.gif").unlink(missing_ok=True)
    eye = Eye(run, model, state, players)
    x = run.backend.asarray(run.dataset.train_images)
    fit(state, learner, x, run.plan, eye.after_epoch, run.record, run.progress, run.backend)
    report(eye)


if __name__ == "__main__":
    sys.exit(command_line.run(main))
