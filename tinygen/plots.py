"""The pictures of a run, drawn with matplotlib and Pillow, one function a picture.

They take arrays in host memory and show images as dark ink on white.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log10
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from PIL import Image, ImageDraw, ImageSequence

from tinygen.files import replacing

DPI = 150
ABOVE, BELOW = "#3f90da", "#b0b0b0"
MOST_SIDE = 800
"""Of a frame of a film, in pixels."""
REAL, MADE = "#a34a00", "#2438a8"
"""Points of the data, and those that a generator made."""
FIELD = ("#a9cbf2", "#ffffff", "#ffd9a0")
"""Where a discriminator says 0: made; 1/2; and 1: real. The colours between lie between."""
FIELD_SIDE = 100
"""Points of `plane` in a row, and rows."""
# Ten colours that people with any colour vision tell apart (Petroff 2021, arXiv:2107.02270; its
# darker grey is black here), in such an order that digits which look alike differ the most.
COLOURS = np.array(
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
CURVES = COLOURS[[0, 1, 4, 8, 7]]
"""The colours that differ the most as thin lines."""


def images_in_rows(path: Path, rows: Mapping[str, Any], shape: tuple[int, int]) -> None:
    """Rows of images one under the other, the name of each row at its left.

    Args:
        rows: ``{name: (n, pixels) host array in [0, 1]}``; every row has as many images.
        shape: ``(h, w)`` of an image.
    """
    n = len(next(iter(rows.values())))
    figure = Figure(figsize=(1.2 + 0.6 * n, 0.3 + 0.62 * len(rows)), dpi=DPI)
    axes = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    for ax, (name, images) in zip(axes, rows.items(), strict=True):
        _strip(ax, images, shape, name)
    _save(figure, path)


def sheet(
    path: Path, images: Any, shape: tuple[int, int], columns: int, title: str | None = None
) -> None:
    """Images side by side in rows, as a page is read; what is left of the last row stays empty.

    Args:
        images: ``(m, pixels)`` in [0, 1].
        shape: ``(h, w)`` of an image.
    """
    figure, ax = _pixel_by_pixel(_tiled(images, shape, columns, gap=1))
    if title:
        ax.set_title(title, fontsize=9)
    _bare(ax)
    _save(figure, path)


def manifold(
    path: Path,
    images: Any,
    shape: tuple[int, int],
    across: Sequence[float],
    down: Sequence[float] | None = None,
) -> None:
    """What a grid of codes decodes to, without gaps, so that one image flows into the next.

    Args:
        images: ``(len(down) * len(across), pixels)`` in [0, 1], row by row from the top; one row
            if the codes are numbers.
        shape: ``(h, w)`` of an image.
        across: z1 of each column.
        down: z2 of each row; let it fall, and the picture lies as a scatter plot of the codes does.
    """
    figure, ax = _pixel_by_pixel(_tiled(images, shape, len(across)))
    _bare(ax)
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
    _save(figure, path)


def line_plot(
    path: Path,
    x: Sequence[float],
    curves: Mapping[str, Sequence[float]],
    xlabel: str,
    ylabel: str,
    levels: Mapping[str, float] | None = None,
    *,
    log_x: bool = False,
    log_y: bool | None = None,
) -> None:
    """Curves over the same x, one a label.

    Args:
        curves: ``{label: as many values as x has}``; where one is NaN, the curve has a gap.
        levels: ``{label: value}``, drawn as horizontal lines for comparison.
        log_y: by itself logarithmic if all values are positive and one is three times another.
    """
    figure = Figure(figsize=(6, 3.6), dpi=DPI)
    ax = figure.subplots()
    for label, values in curves.items():
        ax.plot(x, values, marker="o", markersize=3, label=label)
    for label, value in (levels or {}).items():
        ax.axhline(value, color="gray", linestyle="--", linewidth=1, label=label)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if log_x:
        _logarithmic(ax, "x", x)
    else:
        _round_ticks(ax, integer=all(float(value).is_integer() for value in x))
    drawn = np.concatenate([*curves.values(), [*(levels or {}).values()]])
    drawn = drawn[~np.isnan(drawn)]
    if log_y or (log_y is None and drawn.max() > 3 * drawn.min() > 0):
        _logarithmic(ax, "y", drawn)
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8)
    _save(figure, path)


def loss_curves(
    path: Path,
    history: Sequence[Mapping[str, float]],
    curves: Mapping[str, str],
    ylabel: str,
    lines: Mapping[str, float] | None = None,
) -> None:
    """One curve over the epochs for each key of the history's rows; logarithmic if they fall far.

    Args:
        curves: ``{key: label}``.
        lines: ``{label: value}``, drawn as horizontal lines for comparison.
    """
    named = {label: [row[key] for row in history] for key, label in curves.items()}
    line_plot(path, [row["epoch"] for row in history], named, "epoch", ylabel, lines)


def confusion(path: Path, counts: Any, title: str) -> None:
    """How often each class, a row, was taken for each, a column; mistakes are coloured.

    Args:
        counts: ``(k, k)`` as `tinygen.evaluation.confusion` gives them.
    """
    counts = np.asarray(counts)
    classes = len(counts)
    mistakes = counts * (1 - np.eye(classes))
    side = 1.2 + 0.36 * classes
    figure = Figure(figsize=(side, side), dpi=DPI)
    ax = figure.subplots()
    ax.imshow(mistakes, cmap="Oranges", vmin=0, vmax=max(1, 1.3 * mistakes.max()))
    for k, j in np.ndindex(classes, classes):
        if counts[k, j]:
            ax.text(j, k, str(counts[k, j]), ha="center", va="center", fontsize=6,
                    color="gray" if k == j else "black")  # fmt: skip
    ax.set(xticks=range(classes), yticks=range(classes), xlabel="said", ylabel="true")
    ax.tick_params(length=0, labelsize=8)
    ax.set_title(title, fontsize=9)
    _save(figure, path)


def captioned(
    path: Path, images: Any, captions: Sequence[str], shape: tuple[int, int], columns: int = 8
) -> None:
    """Images in rows, each with a line of text below it; none at all gives an empty picture.

    Args:
        images: ``(m, pixels)`` in [0, 1].
        captions: as many.
        shape: ``(h, w)`` of an image.
    """
    rows = max(1, ceil(len(images) / columns))
    figure = Figure(figsize=(0.85 * columns, 1.15 * rows), dpi=DPI)
    for ax in figure.subplots(rows, columns, squeeze=False).flat:
        ax.set_axis_off()
    for ax, image, caption in zip(figure.axes, images, captions, strict=False):
        _grey(ax, np.asarray(image).reshape(shape))
        ax.text(0.5, -0.03, caption, fontsize=7, va="top", ha="center", transform=ax.transAxes)
    _save(figure, path)


def functions(
    path: Path,
    x: Any,
    panels: Mapping[str, Mapping[str, Any]],
    xlabel: str,
    window: tuple[float, float] | None = None,
) -> None:
    """Functions of the same x, panels side by side; a label has one colour in all of them.

    Each curve is thinner than those before it in its panel, so that equal ones are both seen.

    Args:
        x: ``(n,)``.
        panels: ``{title: {label: values (n,)}}``.
        window: the lowest and the highest value that a panel shows, if curves leave it.
    """
    labels = [*dict.fromkeys(label for curves in panels.values() for label in curves)]
    figure = Figure(figsize=(4 * len(panels), 3.4), dpi=DPI, layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for ax, (title, curves) in zip(axes, panels.items(), strict=True):
        for i, (label, values) in enumerate(curves.items()):
            width = 4 - 2.8 * i / max(1, len(curves) - 1)
            colour = CURVES[labels.index(label) % len(CURVES)]
            ax.plot(x, values, color=colour, linewidth=width, label=label)
        ax.set_title(title, fontsize=10)
        ax.set(xlabel=xlabel, xlim=(x[0], x[-1]))
        if window:
            low, high = ax.get_ylim()
            ax.set_ylim(max(low, window[0]), min(high, window[1]))
        ax.grid(alpha=0.3)
        ax.legend(fontsize=8)
    _save(figure, path)


def plane(reach: float) -> Any:
    """The points ``(FIELD_SIDE^2, 2)`` at which the field of `mixture` has its values.

    They are the middles of the pixels of an image, row by row from the top, so a column of values
    is a field after ``reshape(FIELD_SIDE, FIELD_SIDE)``.

    Args:
        reach: the plane is seen from -reach to reach, in x and in y.

    >>> plane(2.0)[[0, -1]].tolist()
    [[-1.98, 1.98], [1.98, -1.98]]
    """
    x = reach * (2 * np.arange(FIELD_SIDE) + 1 - FIELD_SIDE) / FIELD_SIDE
    return np.stack(np.meshgrid(x, -x), axis=-1).reshape(-1, 2)


def mixture(
    path: Path,
    samples: Any,
    real: Any,
    reach: float,
    field: Any = None,
    centres: Any = None,
    title: str | None = None,
) -> None:
    """Points that a generator made, over those of the data, with the discriminator's field behind.

    Args:
        samples, real: ``(n, 2)`` and ``(m, 2)``.
        reach: the plane is seen from -reach to reach, in x and in y.
        field: ``(h, w)`` the discriminator's probability that a point of `plane` is real, row 0 at
            the top; a critic's values need to be brought to [0, 1].
        centres: ``(k, 2)`` of the modes, which get a circle each.
    """
    figure = Figure(figsize=(4.6, 4.9), dpi=DPI)
    ax: Any = figure.subplots()
    if field is not None:
        colours = LinearSegmentedColormap.from_list("field", FIELD)
        around = (-reach, reach, -reach, reach)
        ax.imshow(field, cmap=colours, vmin=0, vmax=1, extent=around, interpolation="bilinear")
    for points, colour, label in ((real, REAL, "data"), (samples, MADE, "samples")):
        ax.scatter(*np.asarray(points).T, c=colour, s=3, alpha=0.5, linewidths=0, label=label)
    if centres is not None:
        ax.scatter(*np.asarray(centres).T, s=60, facecolors="none", edgecolors="black",
                   linewidths=0.6, label="centres")  # fmt: skip
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    ax.tick_params(labelsize=7)
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.05)}
    legend = ax.legend(fontsize=8, ncols=3, frameon=False, **below)
    for handle in legend.legend_handles[:2]:
        handle.set(sizes=[20], alpha=1)  # the points themselves are too small to tell a colour
    if title:
        ax.set_title(title, fontsize=9)
    _save(figure, path)


def filters(path: Path, W: Any, shape: tuple[int, int], most: int = 64) -> None:
    """The first layer's weights as images, those with the largest norm first.

    Each is scaled by its own largest magnitude; red is positive, blue negative.

    Args:
        W: ``(pixels, units)`` host array.
        shape: ``(h, w)`` of an image.
        most: how many units to show.
    """
    chosen = W[:, np.argsort(-np.linalg.norm(W, axis=0), kind="stable")[:most]].T
    largest = abs(chosen).max(axis=1, keepdims=True)
    columns = min(16, len(chosen))
    tiles = _tiled(chosen / np.where(largest > 0, largest, 1), shape, columns, 1, empty=np.nan)
    figure = Figure(
        figsize=(max(3, 0.6 * columns), 0.6 * ceil(len(chosen) / columns) + 0.3), dpi=DPI
    )
    ax = figure.subplots()
    ax.imshow(tiles, cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
    ax.set_title(f"{len(chosen)} of {W.shape[1]} filters of the first layer", fontsize=9)
    _bare(ax)
    _save(figure, path)


def codes(
    path: Path,
    panels: Mapping[str, Any],
    labels: Any = None,
    drawn: Mapping[str, tuple[str, Any]] | None = None,
) -> None:
    """Codes in the plane, one panel for each model, coloured by the digit that was encoded.

    Args:
        panels: ``{name: (n, 2)}``; the name, which may be empty, stands above the panel.
        labels: ``(n,)`` whole numbers from 0, or None.
        drawn: for a panel of that name a title and codes ``(m, 2)`` that were not encoded but
            drawn, of a prior, say; they stand at its right, on the same scales.
    """
    drawn = drawn or {}
    count = len(panels) + len(drawn)
    columns = min(4, count)
    rows = ceil(count / columns)
    side = 4.6 if columns == 1 else 3.2
    figure = Figure(figsize=(side * columns, (side + 0.2) * rows), dpi=DPI, layout="compressed")
    axes = [*figure.subplots(rows, columns, squeeze=False).ravel()]
    for ax in axes[count:]:
        ax.remove()
    free = iter(axes)
    for name, z in panels.items():
        ax = next(free)
        _scatter(ax, z, labels)
        _named_plane(ax, name)
        if name in drawn:
            title, others = drawn[name]
            beside: Any = next(free)
            beside.scatter(*np.asarray(others).T, c=MADE, s=2, alpha=0.7, linewidths=0)
            beside.set(xlim=ax.get_xlim(), ylim=ax.get_ylim(), aspect="equal")
            _named_plane(beside, title)
    if labels is not None and len(np.unique(labels)) <= 20:
        figure.legend(handles=_dots(labels), loc="outside right center", fontsize=8, frameon=False)
    _save(figure, path)


def kl_per_dimension(path: Path, kl: Any, threshold: float = 0.01) -> None:
    """How many nats each dimension of the code carries, the largest first, 200 at most.

    Args:
        kl: ``(c,)`` KL of each dimension from the prior, averaged over images, in nats.
        threshold: dimensions above it are counted in the title, and coloured. They need not be
            those that `tinygen.evaluation.active_units` counts by the variance of their means.
    """
    kl = np.sort(np.asarray(kl, dtype=float))[::-1]
    c, active = len(kl), int((kl > threshold).sum())
    figure = Figure(figsize=(6, 3), dpi=DPI)
    ax = figure.subplots()
    colours = [ABOVE] * active + [BELOW] * (c - active)
    shown = min(c, 200)  # a bar takes a millisecond to draw
    ax.bar(np.arange(1, shown + 1), kl[:shown], width=0.8, color=colours[:shown])
    ax.set(xlabel="dimension of the code, sorted", ylabel="KL (nats)")
    ax.margins(x=0.02)
    _round_ticks(ax, integer=True)
    ax.set_title(
        f"{active} of {c} above {threshold:g} nats; {kl.sum():.1f} nats in all", fontsize=9
    )
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    _save(figure, path)


@dataclass(frozen=True)
class Shown:
    """What a model shows of itself beside others: images ``(k, pixels)``, and codes ``(n, 2)``."""

    reconstructions: Any
    samples: Any
    interpolation: Any
    codes: Any


def compare(
    path: Path,
    originals: Any,
    models: Mapping[str, Shown],
    shape: tuple[int, int],
    labels: Any = None,
) -> None:
    """Models one under the other, each with three rows of images and its codes at their right.

    Args:
        originals: ``(k, pixels)`` in [0, 1], what all models reconstruct.
        models: ``{name: what it shows}``, k images in each row.
        shape: ``(h, w)`` of an image.
        labels: ``(n,)`` the digit of each code, or None.
    """
    k, side = len(originals), 0.6
    # Rows of the grid: the originals, then for each model an empty one for its name and three.
    heights = [1.0] + [0.45, 1, 1, 1] * len(models)
    figure = Figure(figsize=(side * (k * shape[1] / shape[0] + 4), side * sum(heights)), dpi=DPI)
    grid = figure.add_gridspec(
        len(heights),
        2,
        height_ratios=heights,
        width_ratios=[k * shape[1] / shape[0], 3],
        left=0,
        right=1,
        bottom=0,
        top=1,
        hspace=0,
        wspace=0.02,
    )
    _strip(figure.add_subplot(grid[0, 0]), originals, shape, "original")
    for i, (name, shown) in enumerate(models.items()):
        first = 4 * i + 2
        rows = {
            "reconstruction": shown.reconstructions,
            "sample": shown.samples,
            "interpolation": shown.interpolation,
        }
        for j, (kind, images) in enumerate(rows.items()):
            ax = figure.add_subplot(grid[first + j, 0])
            _strip(ax, images, shape, kind)
            if j == 0:
                ax.set_title(name, fontsize=10, fontweight="bold", loc="left", pad=3)
        ax = figure.add_subplot(grid[first : first + 3, 1])
        _scatter(ax, shown.codes, labels)
        ax.set(xticks=[], yticks=[])
        ax.set_title("codes", fontsize=8, pad=3)
    if labels is not None:
        ax = figure.add_subplot(grid[0, 1])
        ax.legend(
            handles=_dots(labels),
            loc="center",
            ncols=5,
            fontsize=8,
            frameon=False,
            columnspacing=0.8,
            handletextpad=0.1,
        )
        _bare(ax)
    _save(figure, path)


def add_frame(path: Path, images: Any, shape: tuple[int, int], columns: int, epoch: int) -> None:
    """Let an animated GIF grow by the images of an epoch.

    Its frames of earlier epochs stay as they are; those of this epoch and later ones are replaced,
    as when a run is resumed. A file that is damaged or has frames of another size is begun anew.

    Args:
        images: ``(m, pixels)`` in [0, 1], laid out as in `sheet`, without gaps.
        shape: ``(h, w)`` of an image.
        epoch: stands above the frame.
    """
    tiles = _tiled(images, shape, columns).clip(0, 1)
    skip = ceil(max(tiles.shape) / MOST_SIDE)  # all frames are held at once, and GIF has limits
    tiles = tiles[::skip, ::skip]
    scale = 2 if 2 * max(tiles.shape) <= MOST_SIDE else 1
    # 32 greys look like 256 and take half of the space.
    greys = (255 - np.round(31 * tiles) * 255 / 31).astype(np.uint8)
    greys = greys.repeat(scale, axis=0).repeat(scale, axis=1)
    room = (20, 0), (0, max(0, 90 - greys.shape[1]))  # for the epoch, whatever the images' size
    _grow(path, Image.fromarray(np.pad(greys, room, constant_values=255)), epoch)


def add_mixture_frame(
    path: Path,
    samples: Any,
    real: Any,
    reach: float,
    epoch: int,
    field: Any = None,
    centres: Any = None,
) -> None:
    """Let an animated GIF of `mixture` grow by an epoch, as that of `add_frame` does.

    Args:
        samples, real, reach, field, centres: as in `mixture`; the plane is 400 pixels wide.
        epoch: stands above the frame, with how many samples lie outside of it.
    """
    side, inks, shades = 400, 3, 31
    # Black, the data, the samples; then the shades of the field, so few that a film stays small.
    # Pillow reads a frame as the nearest colours, and finds multiples of 4 exactly.
    between = LinearSegmentedColormap.from_list("field", FIELD, N=shades)
    colours = [*map(to_rgb, ("black", REAL, MADE)), *between(np.arange(shades))[:, :3]]
    palette = np.round(255 * np.array(colours)).astype(np.uint8) & 252
    field = np.full((1, 1), 0.5) if field is None else np.asarray(field)
    level = inks + np.round((shades - 1) * field.clip(0, 1)).astype(np.uint8)
    rows, columns = (np.arange(side) * n // side for n in level.shape)
    picture = level[rows][:, columns]
    _speckle(picture, real, reach, 1)
    outside = _speckle(picture, samples, reach, 2)
    picture = np.pad(picture, ((20, 0), (0, 0)), constant_values=inks + shades // 2)
    frame = Image.fromarray(picture).convert("P")
    frame.putpalette(palette.tobytes())
    pen = ImageDraw.Draw(frame)
    for x, y in _pixels(centres if centres is not None else [], reach, side):
        pen.ellipse((x - 6, y + 14, x + 6, y + 26), outline=0)
    _grow(path, frame, epoch, f", {outside} of {len(samples)} samples outside" if outside else "")


def _grow(path: Path, frame: Image.Image, epoch: int, note: str = "") -> None:
    """Let a GIF grow by a frame, of which colour 0 is black, and write the epoch into its corner.

    Args:
        note: stands after the epoch.
    """
    # It also makes every frame another: of two that are equal Pillow would write only one.
    ImageDraw.Draw(frame).text((4, 4), f"epoch {epoch}{note}", fill=0)
    frames = {e: f for e, f in _frames(path, frame).items() if e < epoch} | {epoch: frame}
    first, *rest = frames.values()
    with replacing(path) as file:
        first.save(
            file,
            format="GIF",
            save_all=True,
            append_images=rest,
            duration=[200] * len(rest) + [2000],
            loop=0,
            optimize=False,
            comment=json.dumps([*frames]),
        )


def _frames(path: Path, like: Image.Image) -> dict[int, Image.Image]:
    """``{epoch: frame}`` of a GIF of `_grow`, in the colours of `like`; nothing if it is not one.

    Nothing, too, if its frames have another size than `like`.
    """
    try:
        with Image.open(path, formats=["GIF"]) as gif:
            epochs = json.loads(gif.info["comment"])
            frames = [_coloured(frame, like) for frame in ImageSequence.Iterator(gif)]
        if gif.size != like.size or sorted({*map(int, epochs)}) != epochs:
            return {}
        return dict(zip(epochs, frames, strict=True))
    except Exception:  # Pillow raises what it likes on a damaged file, and no picture stops a run
        return {}


def _coloured(frame: Image.Image, like: Image.Image) -> Image.Image:
    """A frame in the greys or in the palette of another."""
    if like.mode == "L":
        return frame.convert("L")
    return frame.convert("RGB").quantize(palette=like, dither=Image.Dither.NONE)


def _pixels(points: Any, reach: float, side: int) -> Any:
    """The pixels, column and row, in which points of the plane lie: ``(n, 2) -> (n, 2)``."""
    x, y = np.asarray(points, dtype=float).reshape(-1, 2).T
    places = np.stack([reach + x, reach - y], axis=1) * (side / (2 * reach))
    return np.floor(places.clip(-side, 2 * side)).astype(int)


def _speckle(picture: Any, points: Any, reach: float, colour: int) -> int:
    """Write points into a square picture, 2 x 2 pixels each; returns how many lie outside."""
    side = len(picture)
    places = _pixels(points, reach, side)
    inside = ((places >= 0) & (places < side)).all(axis=1)
    for across, down in np.ndindex(2, 2):
        x, y = (places[inside] - (across, down)).clip(0).T
        picture[y, x] = colour
    return int((~inside).sum())


def _tiled(
    images: Any, shape: tuple[int, int], columns: int, gap: int = 0, empty: float = 0.0
) -> Any:
    """``(m, pixels) -> (rows (h + 2 gap), columns (w + 2 gap))``, filled row by row."""
    images = np.asarray(images)
    m, (h, w) = len(images), shape
    rows = ceil(m / columns)
    places = np.full((rows * columns, h + 2 * gap, w + 2 * gap), empty)
    places[:m, gap : gap + h, gap : gap + w] = images.reshape(m, h, w)
    grid = places.reshape(rows, columns, *places.shape[1:])
    return grid.swapaxes(1, 2).reshape(rows * places.shape[1], columns * places.shape[2])


def _grey(ax: Any, image: Any) -> None:
    ax.imshow(image, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")


def _strip(ax: Any, images: Any, shape: tuple[int, int], name: str) -> None:
    """Images in one row, named at the left."""
    _grey(ax, _tiled(images, shape, len(images), gap=1))
    ax.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
    _bare(ax)


def _pixel_by_pixel(image: Any) -> tuple[Figure, Any]:
    """A figure that the image fills, each of its pixels as wide as every other."""
    h, w = image.shape
    scale = max(1, min(6, 1200 // max(h, w)))
    figure = Figure(figsize=(w * scale / DPI, h * scale / DPI), dpi=DPI)
    ax = figure.add_axes((0, 0, 1, 1))
    _grey(ax, image)
    return figure, ax


def _scatter(ax: Any, z: Any, labels: Any) -> None:
    """Codes as dots in a square of equal scales, which a few far ones do not stretch."""
    z = np.asarray(z)
    colours = ABOVE if labels is None else _colour(labels)
    ax.scatter(*z.T, c=colours, s=2, alpha=0.7, linewidths=0)
    low, high = np.percentile(z, (0.5, 99.5), axis=0)
    middle, half = (low + high) / 2, 0.55 * max((high - low).max(), 1e-6)
    ax.set(xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half))
    ax.set_aspect("equal")


def _named_plane(ax: Any, name: str) -> None:
    ax.set_title(name, fontsize=9)
    ax.tick_params(labelsize=7)
    ax.set(xlabel="$z_1$", ylabel="$z_2$")


def _colour(labels: Any) -> Any:
    return COLOURS[np.asarray(labels) % len(COLOURS)]


def _dots(labels: Any) -> list[Line2D]:
    """What a legend shows: a dot for each label."""
    return [
        Line2D([], [], color=_colour(k), marker="o", linestyle="", label=str(k))
        for k in np.unique(labels)
    ]


def _round_ticks(ax: Any, integer: bool) -> None:
    steps = (1, 2, 5, 10) if integer else (1, 2, 2.5, 5, 10)
    ax.xaxis.set_major_locator(MaxNLocator(integer=integer, steps=steps, min_n_ticks=1))


def _logarithmic(ax: Any, name: str, values: Any) -> None:
    """Make "x" or "y" logarithmic, with a few ticks, as many as the decades leave room for."""
    positive = [value for value in values if value > 0]
    decades = log10(max(positive) / min(positive)) if positive else 0
    ticks = (1, 1.5, 2, 3, 4, 5, 6, 8) if decades < 1 else (1, 2, 5) if decades < 3 else (1,)
    ax.set(**{f"{name}scale": "log"})
    axis = getattr(ax, f"{name}axis")
    axis.set_major_locator(LogLocator(subs=ticks))
    axis.set_major_formatter("{x:g}")  # 0.02 is read faster than 2 x 10^-2
    axis.set_minor_locator(NullLocator())


def _bare(ax: Any) -> None:
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(False)


def _save(figure: Figure, path: Path) -> None:
    with replacing(path) as file:
        figure.savefig(file, format="png", bbox_inches="tight")
