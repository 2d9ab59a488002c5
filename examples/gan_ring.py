"""Train a GAN on points of the plane, and see which modes of their distribution it finds.

python examples/gan_ring.py
python examples/gan_ring.py --mixture grid
python examples/gan_ring.py --loss non-saturating --out runs/ring-collapse
"""

import hashlib
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygen.data import MIXTURES, Dataset
from tinygen.metrics.modes import PERFECT_SHARE, modes
from tinygen.models import GAN
from tinygen.training import Run, command_line, fit, start
from tinygen.training.duel import Duel, Players

COLUMNS = {
    "train_discriminator_loss": "D {:.3f}",
    "train_generator_loss": "G {:.3f}",
    "modes": "modes {:.0f}",
    "good_samples": "good {:.1%}",
}
DEFAULTS: dict[str, Any] = {
    "epochs": 40, "batch_size": 100, "lr": 1e-3, "beta1": 0.0, "beta2": 0.9, "latent": 2,
    "generator_hidden": (128, 128), "discriminator_hidden": (128, 128), "loss": "r1",
}  # fmt: skip
SMOKE = {"epochs": 3, "points": 2000}
SAMPLES = 2500
SAMPLE_STREAM = 2


def flags():
    p = command_line.parser("gan_ring", __doc__.splitlines()[0], data=False)
    add = command_line.add_gan_flags(p).add_argument
    add("--mixture", **command_line.choice(tuple(MIXTURES), "the distribution of the points"))
    add("--points", type=command_line.whole(100, 10**7), default=100_000, metavar="N",
        help="points to learn from")  # fmt: skip
    p.set_defaults(**DEFAULTS)
    return p


def points(args) -> Dataset:
    mixture = MIXTURES[args.mixture]
    train, test = (
        mixture.draw(n, np.random.default_rng((args.seed, k)), np.float32)
        for k, n in enumerate((args.points, SAMPLES))
    )
    sha256 = {
        k: hashlib.sha256(x.tobytes()).hexdigest() for k, x in (("train", train), ("test", test))
    }
    return Dataset(args.mixture, train, None, test, None, f"points of the {args.mixture}", sha256)


class Judge:
    def __init__(self, run: Run, model: GAN, players: Players) -> None:
        self.run, self.model, self.players = run, model, players
        self.mixture = MIXTURES[run.args.mixture]

    def samples(self, n: int = SAMPLES) -> Any:
        backend, args = self.run.backend, self.run.args
        generator = backend.generator((args.seed, SAMPLE_STREAM))
        z = generator.standard_normal((n, self.model.latent), dtype=args.dtype)
        return backend.to_numpy(self.model.sampler(self.players.best)(z))

    def after_epoch(self):
        return modes(self.samples(), self.mixture).figures


def main(arguments: Sequence[str] | None = None) -> None:
    args = command_line.parse(flags(), arguments, SMOKE)
    model = command_line.gan(args, pixels=2, output="none")
    run = start(args, COLUMNS, dataset=points(args), whole=True)
    backend = run.backend
    ratio = (args.generator_lr or args.lr) / args.lr
    duel = Duel.by_autograd(model, ratio)
    p = model.initialise(args.seed, args.dtype, backend)
    players = Players(p, run.optimizer, args.critic_steps, args.average)
    state = run.state(p, players)
    judge = Judge(run, model, players)
    fit(
        state,
        duel,
        backend.asarray(run.dataset.train_images),
        run.plan,
        judge.after_epoch,
        run.record,
        run.progress,
        backend,
    )
    found = modes(judge.samples(), judge.mixture)
    print(found, PERFECT_SHARE)
    run.summarise(state, test=found.figures)


if __name__ == "__main__":
    sys.exit(command_line.run(main))
