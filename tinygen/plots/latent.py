"""Pictures of the latent space: codes in the plane, models side by side, the KL of dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tinygen.plots.drawing import (
    File,
    finish,
    grid,
    hide_frame,
    panel,
    picture,
    set_round_ticks,
    strip,
)
from tinygen.plots.style import style

ACTIVE_COLOUR, INACTIVE_COLOUR = "#3f90da", "#b0b0b0"


@picture
def codes(
    panels: Mapping[str, Any],
    labels: Any = None,
    drawn: Mapping[str, tuple[str, Any]] | None = None,
    *,
    ax: Axes | None = None,
    path: File = None,
) -> Figure | None:
    """Codes in the plane, one panel for each model, coloured by the label of their image.

    Args:
        panels: ``{name: (n, 2)}``; the name, which may be empty, is the panel's title.
        labels: ``(n,)`` integers from 0, or None.
        drawn: for the panel of a name, a title and codes ``(m, 2)`` that were not encoded but, say,
            drawn from a prior; they are shown to its right, on the same scales.

    >>> z = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    >>> figure = codes({"AAE": z}, labels=[3, 0, 3], drawn={"AAE": ("the prior", z)})
    >>> [panel.get_title() for panel in figure.axes]
    ['AAE', 'the prior']
    >>> [text.get_text() for text in figure.legends[0].get_texts()]
    ['0', '3']
    """
    drawn = drawn or {}
    count = len(panels) + len(drawn)
    columns = min(4, count)
    rows = ceil(count / columns)
    side = 4.6 if columns == 1 else 3.2
    places = grid(ax, rows, columns, (side * columns, (side + 0.2) * rows), "compressed")
    axes = [*places.subplots(squeeze=False).ravel()]
    for unused in axes[count:]:
        unused.remove()
    free = iter(axes)
    for name, z in panels.items():
        plane = next(free)
        _scatter(plane, z, labels)
        _label_plane(plane, name)
        if name in drawn:
            title, others = drawn[name]
            beside: Any = next(free)
            beside.scatter(*np.asarray(others).T, c=style().samples, s=2, alpha=0.7, linewidths=0)
            beside.set(xlim=plane.get_xlim(), ylim=plane.get_ylim(), aspect="equal")
            _label_plane(beside, title)
    if labels is not None and len(np.unique(labels)) <= 20:
        handles, small = _legend_dots(labels), {"fontsize": 8, "frameon": False}
        if ax is None:
            axes[0].figure.legend(handles=handles, loc="outside right center", **small)
        else:
            axes[count - 1].legend(
                handles=handles, loc="center left", bbox_to_anchor=(1, 0.5), **small
            )
    return finish(axes[0].figure, path)


@picture
def kl_per_dimension(
    kl: Any, threshold: float = 0.01, *, ax: Axes | None = None, path: File = None
) -> Figure | None:
    """The KL of each latent dimension in descending order, for at most 200.

    Args:
        kl: ``(c,)`` KL of each dimension from the prior, averaged over images, in nats.
        threshold: dimensions above it are counted in the title, and coloured. They may differ from
            those of `tinygen.evaluation.active_units`, which uses the variance of the means.

    >>> figure = kl_per_dimension([0.0, 4.5, 1.5])
    >>> figure.axes[0].get_title()
    '2 of 3 above 0.01 nats; 6.0 nats in all'
    """
    kl = np.sort(np.asarray(kl, dtype=float))[::-1]
    c, active = len(kl), int((kl > threshold).sum())
    ax = panel(ax, 6, 3)
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
    return finish(ax.figure, path)


@dataclass(frozen=True)
class ModelPanel:
    """One model's part of `compare`: images ``(k, pixels)`` in three rows, and codes ``(n, 2)``.

    >>> digits, z = np.zeros((4, 784)), np.zeros((100, 2))
    >>> vae = ModelPanel(reconstructions=digits, samples=digits, interpolation=digits, codes=z)
    >>> figure = compare(digits, {"VAE": vae}, (28, 28))
    >>> [row.get_ylabel() for row in figure.axes[:4]]
    ['original', 'reconstruction', 'sample', 'interpolation']
    """

    reconstructions: Any
    samples: Any
    interpolation: Any
    codes: Any


@picture
def compare(
    originals: Any,
    models: Mapping[str, ModelPanel],
    shape: tuple[int, ...],
    labels: Any = None,
    *,
    ax: Axes | None = None,
    path: File = None,
) -> Figure | None:
    """Models below one another, each with three rows of images and its codes to their right.

    Args:
        originals: ``(k, pixels)`` in [0, 1], which all models reconstruct.
        models: ``{name: panel}``, k images in each row.
        shape: ``(h, w)`` or ``(h, w, c)`` of an image.
        labels: ``(n,)``, the label of each code, or None.

    >>> digits, z = np.zeros((4, 784)), np.zeros((100, 2))
    >>> panel = ModelPanel(digits, digits, digits, z)
    >>> figure = compare(digits, {"VAE": panel, "AAE": panel}, (28, 28))
    >>> [title for part in figure.axes if (title := part.get_title(loc="left"))]
    ['VAE', 'AAE']
    """
    k, side = len(originals), 0.6
    # Rows of the grid: the originals, then for each model an empty one for its name and three.
    heights = [1.0] + [0.45, 1, 1, 1] * len(models)
    across = k * shape[1] / shape[0]
    places = grid(
        ax, len(heights), 2, (side * (across + 4), side * sum(heights)),
        height_ratios=heights, width_ratios=[across, 3], hspace=0, wspace=0.02,
    )  # fmt: skip
    figure = places.figure
    if ax is None:
        figure.subplots_adjust(left=0, right=1, bottom=0, top=1)
    strip(figure.add_subplot(places[0, 0]), originals, shape, "original")
    for i, (name, model) in enumerate(models.items()):
        first = 4 * i + 2
        rows = {
            "reconstruction": model.reconstructions,
            "sample": model.samples,
            "interpolation": model.interpolation,
        }
        for j, (kind, images) in enumerate(rows.items()):
            row = figure.add_subplot(places[first + j, 0])
            strip(row, images, shape, kind)
            if j == 0:
                row.set_title(name, fontsize=10, fontweight="bold", loc="left", pad=3)
        plane = figure.add_subplot(places[first : first + 3, 1])
        _scatter(plane, model.codes, labels)
        plane.set(xticks=[], yticks=[])
        plane.set_title("codes", fontsize=8, pad=3)
    if labels is not None:
        legend = figure.add_subplot(places[0, 1])
        legend.legend(
            handles=_legend_dots(labels),
            loc="center",
            ncols=5,
            fontsize=8,
            frameon=False,
            columnspacing=0.8,
            handletextpad=0.1,
        )
        hide_frame(legend)
    return finish(figure, path)


def _scatter(ax: Any, z: Any, labels: Any) -> None:
    """Draw codes as dots in a square of equal scales, which a few outliers do not stretch."""
    z = np.asarray(z)
    colours = style().classes[0] if labels is None else _class_colour(labels)
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
    colours = style().classes
    return colours[np.asarray(labels) % len(colours)]


def _legend_dots(labels: Any) -> list[Line2D]:
    """The entries of a legend, with a dot for each label."""
    return [
        Line2D([], [], color=_class_colour(k), marker="o", linestyle="", label=str(k))
        for k in np.unique(labels)
    ]
