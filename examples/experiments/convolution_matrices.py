"""Draw the matrix of a convolution, its transpose, and the checkerboards that strides cause.

python examples/experiments/convolution_matrices.py
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from tinygen.backend.patches import Size
from tinygen.byhand.conv import Conv, ConvTranspose, upsample
from tinygen.commands import command_line
from tinygen.plots.drawing import DPI, Picture, finish, picture
from tinygen.plots.style import CLASS_COLOURS
from tinygen.training import RunDir

PIXELS = 6
"""The height and width of what goes into a transposed convolution."""


def matrix(layer: Conv) -> Any:
    """The matrix of what a layer of one channel, with the weights 1 to k k, does to an image."""
    W = np.arange(1.0, 1 + layer.kernel**2)
    if isinstance(layer, ConvTranspose):
        return layer.product(np.eye(np.prod(layer.windows)), W[None])
    return layer.product(np.eye(np.prod(layer.size)), W[:, None])


def transposed(kernel: int) -> ConvTranspose:
    """The transposed convolution of stride 2 for the smallest image with so many windows."""
    side = 2 * (PIXELS - 1) + kernel
    return ConvTranspose((side, side), kernel, stride=2)


def windows_of_each_pixel(layer: ConvTranspose) -> Any:
    """How many windows add up at each pixel: the result for an image and a window of ones."""
    ones = np.ones((1, np.prod(layer.windows)))
    result = layer.product(ones, np.ones((1, layer.kernel**2)))
    return result.reshape(layer.size)


def enlarged_first(size: Size) -> Any:
    """The same if pixels are repeated and then convolved, 3 x 3."""
    image = upsample(np.ones((1, *size, 1)), 2).reshape(1, -1)
    conv = Conv((2 * size[0], 2 * size[1]), 3, padding="same")
    return conv.product(image, np.ones((9, 1))).reshape(conv.size)


@picture
def draw_matrices(matrices: Mapping[str, Any], path: Path) -> Figure | None:
    """Draw matrices in which each weight has a colour, and zeros have none."""
    widths = [M.shape[1] for M in matrices.values()]
    figure = Picture(figsize=(11, 4.6), dpi=DPI, layout="constrained")
    axes = figure.subplots(1, len(matrices), width_ratios=[max(w, 6) for w in widths])
    colours = ListedColormap(["white", *CLASS_COLOURS[:9]])
    for ax, (name, M) in zip(axes, matrices.items(), strict=True):
        ax.imshow(M, cmap=colours, vmin=0, vmax=9)
        for (row, column), entry in np.ndenumerate(M):
            if entry:
                light = entry in (2, 6, 7)
                ax.text(column, row, f"{entry:.0f}", color="black" if light else "white",
                        fontsize=6, weight="bold", ha="center", va="center")  # fmt: skip
        lines(ax, M)
        ax.set_title(name, fontsize=9)
    return finish(figure, path)


@picture
def draw_counts(counts: Mapping[str, Any], path: Path) -> Figure | None:
    """Draw each pixel the darker, the more windows it is in, with the number in it."""
    figure = Picture(figsize=(11, 4), dpi=DPI, layout="constrained")
    for ax, (name, count) in zip(figure.subplots(1, len(counts)), counts.items(), strict=True):
        ax.imshow(count, cmap="Blues", vmin=0, vmax=1.4 * count.max())
        for (row, column), entry in np.ndenumerate(count):
            ax.text(column, row, f"{entry:.0f}", fontsize=7, ha="center", va="center")
        lines(ax, count)
        ax.set_title(name, fontsize=9)
    return finish(figure, path)


def lines(ax: Any, M: Any) -> None:
    """Draw lines between cells, in place of ticks."""
    rows, columns = M.shape
    ax.set_xticks(np.arange(columns + 1) - 0.5, [])
    ax.set_yticks(np.arange(rows + 1) - 0.5, [])
    ax.tick_params(length=0)
    ax.grid(color="#bbbbbb", linewidth=0.5)


def flags() -> argparse.ArgumentParser:
    p = command_line.bare_parser(__doc__)
    p.add_argument("--out", type=command_line.path, default=Path("runs/convolution_matrices"),
                   metavar="DIR", help="folder of the pictures")  # fmt: skip
    return p


def main(arguments: Sequence[str] | None = None) -> None:
    args = flags().parse_args(arguments)
    RunDir(args.out).open()
    draw_matrices({
        "4 x 4 to 2 x 2": matrix(Conv((4, 4), 3)),
        "4 x 4 to 4 x 4, with zeros around the image": matrix(Conv((4, 4), 3, padding=1)),
        "2 x 2 to 4 x 4, transposed": matrix(ConvTranspose((4, 4), 3)),
    }, args.out / "matrix.png")  # fmt: skip
    counts = {
        f"kernel {kernel}, stride 2": windows_of_each_pixel(transposed(kernel)) for kernel in (3, 4)
    }
    counts["enlarged, then kernel 3, stride 1"] = enlarged_first((PIXELS, PIXELS))
    draw_counts(counts, args.out / "checkerboard.png")
    for name, count in counts.items():
        print(f"{name:34} {count[6, 2:12].astype(int)}")
    print(f"pictures are in {args.out}")


if __name__ == "__main__":
    sys.exit(command_line.run(main))
