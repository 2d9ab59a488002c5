"""Pictures of images: in rows, on a sheet, over a grid of codes, with captions; and of filters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tinygen.plots.drawing import (
    DPI,
    File,
    Picture,
    as_images,
    colour_bar,
    finish,
    grid,
    hide_frame,
    panel,
    picture,
    show_image,
    strip,
    tiled,
)
from tinygen.plots.style import style


@picture
def images_in_rows(
    rows: Mapping[str, Any],
    shape: tuple[int, ...] | None = None,
    *,
    ax: Axes | None = None,
    path: File = None,
) -> Figure | None:
    """Rows of images below one another, each with its name on the left.

    Args:
        rows: ``{name: images}``, the same number in each, of uint8 or in [0, 1]: ``(n, h, w)``,
            ``(n, h, w, c)``, or rows of their pixels.
        shape: ``(h, w)`` or ``(h, w, c)`` of an image, needed for rows of pixels.

    >>> digits = np.zeros((5, 28, 28))
    >>> figure = images_in_rows({"original": digits, "reconstruction": digits})
    >>> [row.get_ylabel() for row in figure.axes]
    ['original', 'reconstruction']
    """
    n = len(next(iter(rows.values())))
    size = (1.2 + 0.6 * n, 0.3 + 0.62 * len(rows))
    axes = grid(ax, len(rows), 1, size).subplots(squeeze=False)[:, 0]
    for row, (name, images) in zip(axes, rows.items(), strict=True):
        strip(row, images, shape, name)
    return finish(axes[0].figure, path)


@picture
def sheet(
    images: Any,
    shape: tuple[int, ...] | None = None,
    columns: int = 10,
    title: str | None = None,
    *,
    ax: Axes | None = None,
    path: File = None,
) -> Figure | None:
    """Images on a sheet, row by row; the rest of the last row stays empty.

    Args:
        images: ``(m, h, w)`` or ``(m, h, w, c)``, of uint8 or in [0, 1], or rows of their pixels,
            ``(m, d)``.
        shape: ``(h, w)`` or ``(h, w, c)`` of an image, needed for rows of pixels.

    >>> figure = sheet(np.zeros((5, 28, 28)), columns=3)
    >>> figure.axes[0].images[0].get_array().shape  # two rows of three, a pixel around each
    (60, 90)
    """
    ax = _pixel_by_pixel(ax, tiled(images, shape, columns, gap=1))
    if title:
        ax.set_title(title, fontsize=9)
    hide_frame(ax)
    return finish(ax.figure, path)


@picture
def manifold(
    images: Any,
    shape: tuple[int, ...],
    across: Sequence[float] | np.ndarray,
    down: Sequence[float] | np.ndarray | None = None,
    *,
    ax: Axes | None = None,
    path: File = None,
) -> Figure | None:
    """The decoded images of a grid of codes, without gaps, so that one flows into the next.

    Args:
        images: ``(len(down) * len(across), pixels)`` in [0, 1], row by row from the top; one row
            if the codes are numbers.
        shape: ``(h, w)`` or ``(h, w, c)`` of an image.
        across: z1 of each column.
        down: z2 of each row; in descending order, as on the axis of a scatter plot.

    >>> figure = manifold(np.zeros((3, 784)), (28, 28), across=[0.0, 0.5, 1.0])
    >>> [tick.get_text() for tick in figure.axes[0].get_xticklabels()]  # the code of each image
    ['0.0', '0.5', '1.0']
    """
    ax = _pixel_by_pixel(ax, tiled(images, shape, len(across)))
    hide_frame(ax)
    for axis, values, size in ((ax.xaxis, across, shape[1]), (ax.yaxis, down, shape[0])):
        if values is None:
            continue
        ticks = range(0, len(values), ceil(len(values) / 25))
        names = [f"{values[i]:.1f}".replace("-", "\N{MINUS SIGN}") for i in ticks]
        axis.set_ticks([i * size + (size - 1) / 2 for i in ticks], names)
    ax.tick_params(labelsize=7, length=2)
    ax.set_xlabel("z" if down is None else "$z_1$", fontsize=9)
    if down is not None:
        ax.set_ylabel("$z_2$", fontsize=9)
    return finish(ax.figure, path)


@picture
def captioned(
    images: Any,
    captions: Sequence[str],
    shape: tuple[int, ...],
    columns: int = 8,
    *,
    ax: Axes | None = None,
    path: File = None,
) -> Figure | None:
    """Images in rows, each with a caption below it; without images the picture is empty.

    Args:
        images: ``(m, pixels)`` in [0, 1].
        captions: one for each image.
        shape: ``(h, w)`` or ``(h, w, c)`` of an image.

    >>> figure = captioned(np.zeros((2, 784)), ["4, not 9", "7, not 1"], (28, 28), columns=2)
    >>> [image.texts[0].get_text() for image in figure.axes]
    ['4, not 9', '7, not 1']
    """
    rows = max(1, ceil(len(images) / columns))
    axes = grid(ax, rows, columns, (0.85 * columns, 1.15 * rows)).subplots(squeeze=False).ravel()
    for place in axes:
        place.set_axis_off()
    for place, image, caption in zip(axes, as_images(images, shape), captions, strict=False):
        show_image(place, image)
        below = {"va": "top", "ha": "center", "transform": place.transAxes}
        place.text(0.5, -0.03, caption, fontsize=7, **below)
    return finish(axes[0].figure, path)


@picture
def filters(
    W: Any,
    shape: tuple[int, ...],
    most: int = 64,
    *,
    ax: Axes | None = None,
    path: File = None,
) -> Figure | None:
    """The first layer's weights as images, those with the largest norm first.

    Each filter is divided by its own largest magnitude. For grey images positive weights are red
    and negative ones blue; for colour images 0 is mid-grey, and each channel shows its own weights.

    Args:
        W: ``(pixels, units)`` host array.
        shape: ``(h, w)`` or ``(h, w, c)`` of an image.
        most: how many units to show.

    >>> figure = filters(np.ones((784, 3)), (28, 28), most=2)
    >>> figure.axes[0].get_title()
    '2 of 3 filters of the first layer'
    """
    chosen = W[:, np.argsort(-np.linalg.norm(W, axis=0), kind="stable")[:most]].T
    largest = abs(chosen).max(axis=1, keepdims=True)
    scaled = chosen / np.where(largest > 0, largest, 1)
    columns = min(16, len(chosen))
    ax = panel(ax, max(3, 0.6 * columns), 0.6 * ceil(len(chosen) / columns) + 0.3)
    if shape[2:] == (3,):
        show_image(ax, tiled((scaled + 1) / 2, shape, columns, 1))
    else:
        weights = tiled(scaled, shape, columns, 1, empty=np.nan)
        colours = ax.imshow(weights, cmap=style().signed, vmin=-1, vmax=1, interpolation="nearest")
        colour_bar(colours, [ax], "weight / largest", ticks=[-1, 0, 1], shrink=0.8)
    ax.set_title(f"{len(chosen)} of {W.shape[1]} filters of the first layer", fontsize=9)
    hide_frame(ax)
    return finish(ax.figure, path)


@picture
def feature_maps(
    image: Any,
    shape: tuple[int, ...],
    layers: Mapping[str, Any],
    most: int = 12,
    *,
    ax: Axes | None = None,
    path: File = None,
) -> Figure | None:
    """An image, and in a row for each layer the channels that it becomes there, as images.

    A layer shows the channels with the largest norm; red is positive and blue negative, and the
    deepest colours stand for the layer's largest magnitude.

    Args:
        image: ``(pixels,)`` in [0, 1], and `shape`, its ``(h, w)`` or ``(h, w, c)``.
        layers: ``{name: (h, w, c) host array}``.
        most: how many channels to show.

    >>> figure = feature_maps(np.zeros(784), (28, 28), {"conv1": np.ones((14, 14, 6))}, most=4)
    >>> print(figure.axes[1].get_ylabel())
    conv1
    14 x 14, 4 of 6
    """
    n = 1 + len(layers)
    axes = grid(ax, n, 1, (0.9 + 0.8 * most, 0.9 * n)).subplots(squeeze=False)[:, 0]
    strip(axes[0], image[None], shape, "image")
    for row, (name, maps) in zip(axes[1:], layers.items(), strict=True):
        h, w, c = maps.shape
        channels = maps.reshape(h * w, c).T
        order = np.argsort(-np.linalg.norm(channels, axis=1), kind="stable")
        chosen = channels[order[:most]] / (abs(channels).max() or 1)
        tiles = tiled(chosen, (h, w), most, 0 if h < 8 else 1, empty=np.nan)
        colours = row.imshow(tiles, cmap=style().signed, vmin=-1, vmax=1, interpolation="nearest")
        label = f"{name}\n{h} x {w}, {len(chosen)} of {c}"
        row.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=8)
        hide_frame(row)
    if layers:
        colour_bar(colours, axes, "activation / largest of its layer", ticks=[-1, 0, 1], shrink=0.8)
    return finish(axes[0].figure, path)


def _pixel_by_pixel(ax: Axes | None, image: Any) -> Any:
    """Show an image; in a figure of its own, all of its pixels are equally wide."""
    if ax is None:
        h, w = image.shape[:2]
        scale = max(1, min(6, 1200 // max(h, w))) / DPI
        ax = Picture(figsize=(w * scale, h * scale), dpi=DPI).add_axes((0, 0, 1, 1))
    show_image(ax, image)
    return ax
