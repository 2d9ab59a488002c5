"""Pictures of the latent space: codes in the plane, models side by side, the KL of dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tinygen.plots.drawing import (
    CLASS_COLOURS,
    DPI,
    SAMPLE_COLOUR,
    hide_frame,
    picture,
    save,
    set_round_ticks,
    strip,
)

ACTIVE_COLOUR, INACTIVE_COLOUR = "#3f90da", "#b0b0b0"


@picture
def codes(
    path: Path,
    panels: Mapping[str, Any],
    labels: Any = None,
    drawn: Mapping[str, tuple[str, Any]] | None = None,
) -> None:
    """Codes in the plane, one panel for each model, coloured by the label of their image.

    Args:
        panels: ``{name: (n, 2)}``; the name, which may be empty, stands above the panel.
        labels: ``(n,)`` integers from 0, or None.
        drawn: for the panel of a name, a title and codes ``(m, 2)`` that were not encoded but drawn
            from a prior, say; they stand to its right, on the same scales.
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
        _label_plane(ax, name)
        if name in drawn:
            title, others = drawn[name]
            beside: Any = next(free)
            beside.scatter(*np.asarray(others).T, c=SAMPLE_COLOUR, s=2, alpha=0.7, linewidths=0)
            beside.set(xlim=ax.get_xlim(), ylim=ax.get_ylim(), aspect="equal")
            _label_plane(beside, title)
    if labels is not None and len(np.unique(labels)) <= 20:
        handles = _legend_dots(labels)
        figure.legend(handles=handles, loc="outside right center", fontsize=8, frameon=False)
    save(figure, path)


@picture
def kl_per_dimension(path: Path, kl: Any, threshold: float = 0.01) -> None:
    """The KL of each latent dimension in descending order, of 200 at most.

    Args:
        kl: ``(c,)`` KL of each dimension from the prior, averaged over images, in nats.
        threshold: dimensions above it are counted in the title, and coloured. They may be others
            than `tinygen.evaluation.active_units` counts, which looks at the variance of the means.
    """
    kl = np.sort(np.asarray(kl, dtype=float))[::-1]
    c, active = len(kl), int((kl > threshold).sum())
    figure = Figure(figsize=(6, 3), dpi=DPI)
    ax = figure.subplots()
    colours = [ACTIVE_COLOUR] * active + [INACTIVE_COLOUR] * (c - active)
    shown = min(c, 200)  # a bar takes a millisecond to draw
    ax.bar(np.arange(1, shown + 1), kl[:shown], width=0.8, color=colours[:shown])
    ax.set(xlabel="dimension of the code, sorted", ylabel="KL (nats)")
    ax.margins(x=0.02)
    set_round_ticks(ax, integer=True)
    ax.set_title(
        f"{active} of {c} above {threshold:g} nats; {kl.sum():.1f} nats in all", fontsize=9
    )
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    save(figure, path)


@dataclass(frozen=True)
class ModelPanel:
    """A model's part of `compare`: images ``(k, pixels)`` in three rows, and codes ``(n, 2)``."""

    reconstructions: Any
    samples: Any
    interpolation: Any
    codes: Any


@picture
def compare(
    path: Path,
    originals: Any,
    models: Mapping[str, ModelPanel],
    shape: tuple[int, ...],
    labels: Any = None,
) -> None:
    """Models below one another, each with three rows of images and its codes to their right.

    Args:
        originals: ``(k, pixels)`` in [0, 1], which all models reconstruct.
        models: ``{name: panel}``, k images in each row.
        shape: ``(h, w)`` or ``(h, w, c)`` of an image.
        labels: ``(n,)`` the label of each code, or None.
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
    strip(figure.add_subplot(grid[0, 0]), originals, shape, "original")
    for i, (name, panel) in enumerate(models.items()):
        first = 4 * i + 2
        rows = {
            "reconstruction": panel.reconstructions,
            "sample": panel.samples,
            "interpolation": panel.interpolation,
        }
        for j, (kind, images) in enumerate(rows.items()):
            ax = figure.add_subplot(grid[first + j, 0])
            strip(ax, images, shape, kind)
            if j == 0:
                ax.set_title(name, fontsize=10, fontweight="bold", loc="left", pad=3)
        ax = figure.add_subplot(grid[first : first + 3, 1])
        _scatter(ax, panel.codes, labels)
        ax.set(xticks=[], yticks=[])
        ax.set_title("codes", fontsize=8, pad=3)
    if labels is not None:
        ax = figure.add_subplot(grid[0, 1])
        ax.legend(
            handles=_legend_dots(labels),
            loc="center",
            ncols=5,
            fontsize=8,
            frameon=False,
            columnspacing=0.8,
            handletextpad=0.1,
        )
        hide_frame(ax)
    save(figure, path)


def _scatter(ax: Any, z: Any, labels: Any) -> None:
    """Codes as dots in a square of equal scales, which a few outliers do not stretch."""
    z = np.asarray(z)
    colours = CLASS_COLOURS[0] if labels is None else _class_colour(labels)
    ax.scatter(*z.T, c=colours, s=2, alpha=0.7, linewidths=0)
    low, high = np.percentile(z, (0.5, 99.5), axis=0)
    middle, half = (low + high) / 2, 0.55 * max((high - low).max(), 1e-6)
    ax.set(xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half))
    ax.set_aspect("equal")


def _label_plane(ax: Any, title: str) -> None:
    ax.set_title(title, fontsize=9)
    ax.tick_params(labelsize=7)
    ax.set(xlabel="$z_1$", ylabel="$z_2$")


def _class_colour(labels: Any) -> Any:
    return CLASS_COLOURS[np.asarray(labels) % len(CLASS_COLOURS)]


def _legend_dots(labels: Any) -> list[Line2D]:
    """The entries of a legend, a dot for each label."""
    return [
        Line2D([], [], color=_class_colour(k), marker="o", linestyle="", label=str(k))
        for k in np.unique(labels)
    ]
