"""Draw new images with a trained model.

tinygen sample runs/mnist_vae
tinygen sample runs/mnist_vae --images 16 --seed 1 --out vae.npz
"""

from argparse import ArgumentParser
from collections.abc import Sequence
from math import ceil, sqrt
from pathlib import Path
from typing import Any

import numpy as np

from tinygen import plots
from tinygen.commands import command_line
from tinygen.data import MIXTURES
from tinygen.data.mixtures import points
from tinygen.errors import InputError
from tinygen.files import named_with, refuse_existing, replacing
from tinygen.training import RunDir, TrainedModel, load

FORMATS = (".png", ".npz")
MOST = 10_000
"""The most images; a sheet of more would be unreadable."""


def flags(prog: str | None = None) -> ArgumentParser:
    p = command_line.bare_parser(__doc__, prog)
    add = p.add_argument
    add("run", type=command_line.path, metavar="RUN", help="folder of a run, or a model's file")
    add("--images", type=command_line.whole(1, MOST), default=100, metavar="N", help="how many")
    add("--seed", type=command_line.whole(0, 2**63 - 1), default=0, metavar="N",
        help="seed of the random codes")  # fmt: skip
    add("--label", type=command_line.whole(0, 10**6), metavar="N",
        help="class of the images, of a conditional GAN (default: all in turn)")  # fmt: skip
    add("--out", type=command_line.path, metavar="FILE",
        help="a .png with all images, or an .npz with their array, else RUN-samples.png "
        "here")  # fmt: skip
    add("--overwrite", action="store_true", help="replace an existing file")
    return p


def main(arguments: Sequence[str] | None = None, prog: str | None = None) -> None:
    args = flags(prog).parse_args(arguments)
    out = named_with(args.out or f"{args.run.resolve().stem}-samples.png", *FORMATS)
    refuse_missing(args.run)
    trained = load(args.run)
    trained.sample(1, args.seed, args.label)  # fails at once if the model cannot do this
    if not args.overwrite:
        refuse_existing(out)
    images = trained.sample(args.images, args.seed, args.label)
    if out.suffix.lower() == ".npz":
        with replacing(out) as file:
            np.savez_compressed(file, images=images)
    else:
        draw(out, trained, images)
    print(out)


def refuse_missing(run: Path) -> None:
    """Raise if there is no run here; the message names those in runs/.

    Raises:
        InputError: there is no such file or folder, or the folder is not that of a run.
    """
    checkpoint = RunDir(run).checkpoint
    if run.is_file() or checkpoint.exists():
        return
    problem = f"the folder has no {checkpoint.name}" if run.is_dir() else "there is no such run"
    there = sorted(path.parent.as_posix() for path in Path("runs").glob(f"*/{checkpoint.name}"))
    raise InputError(f"{run}: {problem}" + (f"; there are {', '.join(there)}" if there else ""))


def draw(path: Path, trained: TrainedModel, images: Any) -> None:
    """Draw a sheet of images, or points in the plane over those of their mixture.

    Raises:
        InputError: they are neither.
    """
    shape, mixture = images.shape[1:], MIXTURES.get(str(trained.config.get("mixture")))
    if shape == (2,) and mixture is not None:
        real, limit = points(mixture.name, len(images)), 1.25 * float(abs(mixture.centres).max())
        plots.mixture(images, real, limit, centres=mixture.centres, path=path)
    elif len(shape) > 1:
        plots.sheet(images, columns=ceil(sqrt(len(images))), path=path)
    else:
        raise InputError(
            f"{trained.path}: expected a model of images, got one of rows of {shape[0]} numbers, "
            "of which there is no picture; --out FILE.npz writes them"
        )
