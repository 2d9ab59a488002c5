"""What test_distributed.py starts with mpiexec: trainings that it compares, and runs that fail.

mpiexec -n 3 python under_mpiexec.py train FOLDER
mpiexec -n 3 python under_mpiexec.py WHAT RANK STEP FLAGS...
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from functools import partial
from pathlib import Path

import numpy as np

import tinygen as tg
from tinygen.commands import autoencoder, command_line
from tinygen.errors import InputError
from tinygen.training import AdversarialLearner, SingleLossLearner, distributed, state
from tinygen.training.distributed import joined

IMAGES, LABELS = np.random.default_rng(0).random((10, 9)), np.eye(3)[np.arange(10) % 3]
BATCH, EPOCHS = 4, 2
"""The last batch of an epoch has two images: with three ranks, one of them has none."""

MODELS = {
    "autoencoder": tg.Autoencoder(
        pixels=9, hidden=(5, 4), latent=2, reconstruction="bce", weight_decay=1e-2, code_l1=1e-2,
        input_noise=0.2, dropout=0.3,
    ),
    "convolutions": tg.Autoencoder(pixels=9, channels=(2,), hidden=(5,), latent=2),
    "elbo": tg.VAE(
        pixels=9, hidden=(5,), latent=2, samples=4, kl_warm_up=5, binarize=True,
        input_distortion=0.2, image=(3, 3, 1),
    ),
    "iwae": tg.VAE(pixels=9, hidden=(5,), latent=2, samples=3, objective="iwae"),
    "gaussian": tg.VAE(pixels=9, hidden=(5,), latent=2, likelihood="gaussian"),
    "classifier": tg.Classifier(pixels=9, hidden=(5,), classes=3, dropout=0.3, input_noise=0.1),
}  # fmt: skip
TRAININGS = {f"{name}, {how}": (model, how) for name, model in MODELS.items()
             for how in ("autograd", "by-hand")}  # fmt: skip

GANS = {
    loss: tg.GAN(
        pixels=9, latent=2, generator_hidden=(4,), discriminator_hidden=(5,), loss=loss,
        generator_norm="none", dropout=0.3,
    )
    for loss in ("non-saturating", "r1")
}  # fmt: skip
GAMES = {f"{name}, {how}": (model, how) for name, model in GANS.items()
         for how in ("autograd", "by-hand")}  # fmt: skip


def drawn(model, x, labels, step):
    """The data of a step, by the learner of a model with classes or without."""
    generator = np.random.default_rng((0, step))
    return model.draw(x, generator, step, *([labels] if getattr(model, "classes", 0) else []))


def learner_of(model, how, averaged):
    """Of one loss; or of two players, who average twice in a step in which both move."""
    p, gradients = model.initialise(0, np.float64), model.gradients(how)
    if not isinstance(model, tg.GAN):
        return SingleLossLearner(model, p, tg.Adam, averaged(gradients))

    def generator(g, d, *data, out=None):  # `d` has no rows
        return averaged(partial(against, d))(g, *data, out=out)

    def against(d, g, *data, out=None):
        return gradients.generator(g, d, *data, out=out)

    gradients_of_all = gradients._replace(
        discriminator=averaged(gradients.discriminator), generator=generator
    )
    return AdversarialLearner(model, p, tg.Adam, gradients_of_all, critic_steps=2)


def trained(model, how, averaged=lambda loss_and_grads: loss_and_grads):
    """The parameters in float64 after the steps of some epochs, and the losses of all steps."""
    learner, step, losses = learner_of(model, how, averaged), 0, []
    for _ in range(EPOCHS):
        for k in range(0, len(IMAGES), BATCH):
            data = drawn(model, IMAGES[k : k + BATCH], LABELS[k : k + BATCH], step)
            losses += [float(figure) for figure in learner.step(data, rate=0.01).values()]
            step += 1
    return np.concatenate([learner.parameters.flat, losses])


def train(folder):
    """Write what each rank ends with."""
    with joined() as ranks:
        assert ranks.local_rank == ranks.rank  # there is one machine
        every = TRAININGS | GAMES
        ends = {name: trained(*what, ranks.averaged) for name, what in every.items()}
        np.savez(Path(folder) / f"{ranks.rank}_of_{ranks.size}.npz", **ends)


ERRORS = {
    "error": RuntimeError("the seventh seal"),
    "refuse": InputError("the eighth day"),
    "exit": SystemExit(0),
}
SIGNALS = {"ctrl-c": signal.SIGINT, "kill": signal.SIGKILL}


def happen(what, rank, step):
    """Before a step, counted from 0, something happens to a rank; a NaN is in the last image.

    Or its disk is full when it saves after that step.
    """
    from mpi4py import MPI

    draw, save = SingleLossLearner.draw, state.State.save

    def drawing(self, x, generator, now, *labels):
        if now == step and what == "nan":
            x = x.copy()
            x[-1] = np.nan
        elif now == step and MPI.COMM_WORLD.rank == rank:
            if what in ERRORS:
                raise ERRORS[what]
            if what in SIGNALS:
                signal.raise_signal(SIGNALS[what])
        return draw(self, x, generator, now, *labels)

    def saving(self, *arguments):
        if what == "disk" and MPI.COMM_WORLD.rank == rank and self.step > step:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "checkpoint.npz")
        return save(self, *arguments)

    SingleLossLearner.draw, state.State.save = drawing, saving


def main(what, rank, step, *flags):
    """A training in which something happens; or the rank has another flag or version."""
    from mpi4py import MPI

    distributed.PATIENCE = 1.0
    happen(what, int(rank), int(step))
    if what == "flag" and MPI.COMM_WORLD.rank == int(rank):
        flags = (*flags, "--bogus")
    if what == "version" and MPI.COMM_WORLD.rank == int(rank):
        tg.__version__ = "0.1"
    sys.exit(command_line.run(autoencoder.main, flags))


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    train(*rest) if what == "train" else main(what, *rest)
