"""What test_distributed.py starts with mpiexec: trainings that it compares, and runs that fail.

mpiexec -n 3 python under_mpiexec.py train FOLDER
mpiexec -n 3 python under_mpiexec.py WHAT RANK STEP FLAGS...
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import numpy as np

import tinygen as tg
from tinygen.commands import autoencoder, command_line
from tinygen.training import SingleLossLearner
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


def drawn(model, x, labels, step):
    """The data of a step, by the learner of a model with classes or without."""
    generator = np.random.default_rng((0, step))
    return model.draw(x, generator, step, *([labels] if hasattr(model, "classes") else []))


def trained(model, how, averaged=lambda loss_and_grads: loss_and_grads):
    """The parameters in float64 after the steps of some epochs, and the losses of all steps."""
    p, step, losses = model.initialise(0, np.float64), 0, []
    learner = SingleLossLearner(model, p, tg.Adam, averaged(model.gradients(how)))
    for _ in range(EPOCHS):
        for k in range(0, len(IMAGES), BATCH):
            data = drawn(model, IMAGES[k : k + BATCH], LABELS[k : k + BATCH], step)
            losses.append(float(learner.step(data, rate=0.01)["loss"]))
            step += 1
    return np.concatenate([p.flat, losses])


def train(folder):
    """Write what each rank ends with."""
    with joined() as ranks:
        ends = {name: trained(*what, ranks.averaged) for name, what in TRAININGS.items()}
        np.savez(Path(folder) / f"{ranks.rank}_of_{ranks.size}.npz", **ends)


def happen(what, rank, step):
    """Before a step, counted from 0, something happens to a rank; a NaN is in the last image."""
    from mpi4py import MPI

    draw = SingleLossLearner.draw

    def drawing(self, x, generator, now, *labels):
        if now == step and what == "nan":
            x = x.copy()
            x[-1] = np.nan
        elif now == step and MPI.COMM_WORLD.rank == rank:
            if what == "error":
                raise RuntimeError("the seventh seal")
            signal.raise_signal({"ctrl-c": signal.SIGINT, "kill": signal.SIGKILL}[what])
        return draw(self, x, generator, now, *labels)

    SingleLossLearner.draw = drawing


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    if what == "train":
        train(*rest)
    else:
        happen(what, int(rest[0]), int(rest[1]))
        sys.exit(command_line.run(autoencoder.main, rest[2:]))
