"""What all pictures share: colours, tiles of images, axes without a frame, and a safe file."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from math import ceil
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tinygen.files import replacing

DPI = 150
DATA_COLOUR, SAMPLE_COLOUR = "#a34a00", "#2438a8"
"""Points of the data, and points that a generator or a prior sampled."""
# Ten colours that people with any colour vision tell apart (Petroff 2021, arXiv:2107.02270; its
# darker grey is black here), in such an order that digits which look alike differ the most.
CLASS_COLOURS = np.array(
    [
        "#3f90da",
        "#ffa90e",
        "#a96b59",
        "#bd1f01",
        "#832db6",
        "#92dadd",
        "#b9ac70",
        "#e76300",
        "#202020",
        "#94a4a2",
    ]
)


P = ParamSpec("P")


def picture(draw: Callable[P, None]) -> Callable[P, None]:
    """Let a function draw with matplotlib's own settings, whatever those of the user are.

    They may ask for LaTeX, and that there is none shows when all the training is done.
    """

    @wraps(draw)
    def drawn(*arguments: P.args, **options: P.kwargs) -> None:
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            draw(*arguments, **options)

    return drawn


def as_images(rows: Any, shape: tuple[int, ...]) -> Any:
    """Rows of pixels as images: ``(m, pixels) -> (m, h, w)``, or ``(m, h, w, 3)`` in colour.

    Raises:
        ValueError: the shape is neither that of grey nor that of colour images.
    """
    if len(shape) not in (2, 3) or shape[2:] not in ((), (1,), (3,)):
        raise ValueError(f"plots: expected images (h, w), (h, w, 1) or (h, w, 3), got {shape}")
    return np.asarray(rows).reshape(len(rows), *(shape[:2] if shape[2:] == (1,) else shape))


def tiled(
    rows: Any, shape: tuple[int, ...], columns: int, gap: int = 0, empty: float | None = None
) -> Any:
    """Images side by side in one, ``(m, pixels) -> (rows (h + 2 gap), columns (w + 2 gap))``.

    They are laid out row by row, and the result has a last axis of 3 if they are in colour.

    Args:
        gap: pixels around each image.
        empty: the value between images and in the rest of the last row; white by default.
    """
    images = as_images(rows, shape)
    m, h, w, *channels = images.shape
    down = ceil(m / columns)
    if empty is None:
        empty = 1.0 if channels else 0.0  # a grey image is ink on white
    places = np.full((down * columns, h + 2 * gap, w + 2 * gap, *channels), empty)
    places[:m, gap : gap + h, gap : gap + w] = images
    grid = places.reshape(down, columns, *places.shape[1:])
    return grid.swapaxes(1, 2).reshape(down * (h + 2 * gap), columns * (w + 2 * gap), *channels)


def show_image(ax: Any, image: Any) -> None:
    """Draw an image ``(h, w)`` as ink, or ``(h, w, 3)`` in its colours."""
    image = np.asarray(image)
    if image.ndim == 3:
        ax.imshow(image.clip(0, 1), interpolation="nearest")
    else:
        ax.imshow(image, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")


def strip(ax: Any, images: Any, shape: tuple[int, ...], name: str) -> None:
    """Images in one row, with their name at the left."""
    show_image(ax, tiled(images, shape, len(images), gap=1))
    ax.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
    hide_frame(ax)


def hide_frame(ax: Any) -> None:
    """Take away the ticks and the box around a picture."""
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(False)


def save(figure: Figure, path: Path) -> None:
    """Write a PNG such that a crash leaves the old file or the new one."""
    with replacing(path) as file:
        figure.savefig(file, format="png", bbox_inches="tight")


def set_round_ticks(ax: Any, integer: bool) -> None:
    """Ticks of the x axis at round numbers, or at integers only."""
    steps = (1, 2, 5, 10) if integer else (1, 2, 2.5, 5, 10)
    ax.xaxis.set_major_locator(MaxNLocator(integer=integer, steps=steps, min_n_ticks=1))
