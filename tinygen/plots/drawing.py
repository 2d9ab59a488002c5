"""What all pictures have in common: a figure and its axes, tiles of images, a file."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from functools import wraps
from math import ceil, prod
from pathlib import Path
from types import NoneType
from typing import Any, ParamSpec, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tinygen.display import times
from tinygen.files import replacing
from tinygen.plots.style import settings, style

DPI = 150
FORMATS = ("png", "pdf", "svg")
File = str | os.PathLike[str] | None
"""The file to write, if any; the suffix of its name is one of `FORMATS`."""
FAR = 10
"""Values this large are not pixels in [0, 1]; a Gaussian decoder's means, a little outside, are
clipped."""
P = ParamSpec("P")


class Picture(Figure):
    """A figure that a notebook shows once, where it is the value of a cell.

    A pyplot figure would be shown at the end of the cell too, and stay in memory until closed.
    """

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        with settings():
            _write(self, file, "png")
        return file.getvalue()


def picture(draw: Callable[P, Figure | None]) -> Callable[P, Figure | None]:
    """Let a function draw with the settings of the style."""

    @wraps(draw)
    def drawn(*arguments: P.args, **options: P.kwargs) -> Figure | None:
        if not isinstance(ax := options.get("ax"), (Axes, NoneType)):
            raise ValueError(f"plots: expected one Axes of matplotlib, got a {type(ax).__name__}")
        _format_of(cast(File, options.get("path")))  # raises before anything is drawn
        with settings():
            return draw(*arguments, **options)

    return drawn


def panel(ax: Axes | None, width: float, height: float) -> Any:
    """The axes that were given, or those of a new figure, in inches."""
    return Picture(figsize=(width, height), dpi=DPI).subplots() if ax is None else ax


def grid(
    ax: Axes | None, rows: int, columns: int, size: tuple[float, float],
    layout: Any = None, **spacing: Any,
) -> Any:  # fmt: skip
    """A grid for axes, in a new figure or in place of the axes that were given.

    Raises:
        ValueError: they are not part of a grid, like those of `Figure.add_axes`.
    """
    if ax is None:
        figure = Picture(figsize=size, dpi=DPI, layout=layout)
        return figure.add_gridspec(rows, columns, **spacing)
    place = ax.get_subplotspec()
    if place is None:
        raise ValueError("plots: expected axes of subplots(), got axes without a place in a grid")
    ax.set_axis_off()
    return place.subgridspec(rows, columns, **spacing)


def finish(figure: Any, path: File) -> Figure | None:
    """Write a figure if a path is given, and return it unless it is the caller's."""
    whole = figure.canvas.figure
    if path is not None:
        with replacing(path) as file:  # a crash leaves the old file or the new one
            _write(whole, file, _format_of(path))
    return whole if isinstance(whole, Picture) else None


def _format_of(path: File) -> str:
    """The format of a file, by the suffix of its name; PNG if it has none."""
    ending = "" if path is None else Path(path).suffix
    if ending and ending[1:].lower() not in FORMATS:
        expected = " or ".join(f".{name}" for name in FORMATS)
        raise ValueError(f"plots: {path}: expected a name that ends in {expected}")
    return ending[1:].lower() or FORMATS[0]


def _write(figure: Figure, file: Any, format: str) -> None:
    figure.savefig(file, format=format, bbox_inches="tight")


def as_images(rows: Any, shape: tuple[int, ...] | None) -> Any:
    """Rows of pixels as images: ``(m, pixels) -> (m, h, w)``, or ``(m, h, w, 3)`` in colour.

    Pixels of uint8 become floats in [0, 1].

    Args:
        shape: that of an image; None if they are images already.

    Raises:
        ValueError: the shape is neither that of grey nor of colour images, rows have another
            number of pixels, or pixels are far above 1.
    """
    rows = np.asarray(rows)
    shape = np.shape(rows)[1:] if shape is None else shape
    if len(shape) not in (2, 3) or shape[2:] not in ((), (1,), (3,)):
        raise ValueError(f"plots: expected images (h, w), (h, w, 1) or (h, w, 3), got {shape}")
    if rows[:1].size != len(rows[:1]) * prod(shape):
        raise ValueError(
            f"plots: expected {prod(shape)} pixels for an image of {times(shape)}, got "
            f"{times(rows.shape[1:])}"
        )
    if rows.dtype == np.uint8:
        rows = rows / 255
    if np.any(rows > FAR):
        raise ValueError(f"plots: expected pixels in [0, 1], got {rows.max():g}; divide by 255?")
    return rows.reshape(len(rows), *(shape[:2] if shape[2:] == (1,) else shape))


def tiled(
    rows: Any,
    shape: tuple[int, ...] | None,
    columns: int,
    gap: int = 0,
    empty: float | None = None,
) -> Any:
    """Images side by side in one, ``(m, pixels) -> (rows (h + 2 gap), columns (w + 2 gap))``.

    They are laid out row by row; the result has a last axis of 3 if they are in colour.

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
    """Draw a grey image ``(h, w)``, 1 being ink, or ``(h, w, 3)`` in its colours."""
    image = np.asarray(image)
    if image.ndim == 3:
        ax.imshow(image.clip(0, 1), interpolation="nearest")
    else:
        ax.imshow(image, cmap=style().ink, vmin=0, vmax=1, interpolation="nearest")


def strip(ax: Any, images: Any, shape: tuple[int, ...] | None, name: str) -> None:
    """Images in one row, with their name at the left."""
    show_image(ax, tiled(images, shape, len(images), gap=1))
    ax.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
    hide_frame(ax)


def hide_frame(ax: Any) -> None:
    """Remove the ticks and the box around a picture."""
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(False)


def colour_bar(colours: Any, axes: Any, label: str, **options: Any) -> None:
    """Show which number each colour means, to the right of the axes."""
    bar = axes[0].figure.colorbar(colours, ax=[*axes], pad=0.02, panchor=False, **options)
    bar.outline.set_visible(False)
    bar.set_label(label, fontsize=8)
    bar.ax.tick_params(labelsize=7, length=2)


def set_round_ticks(ax: Any, integer: bool) -> None:
    """Put the ticks of the x axis at round numbers, or at integers only."""
    steps = (1, 2, 5, 10) if integer else (1, 2, 2.5, 5, 10)
    ax.xaxis.set_major_locator(MaxNLocator(integer=integer, steps=steps, min_n_ticks=1))
