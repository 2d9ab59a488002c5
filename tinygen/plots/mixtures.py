"""The picture of a GAN in the plane: data, samples, and where the discriminator says "real"."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from tinygen.plots.drawing import DATA_COLOUR, DPI, SAMPLE_COLOUR, picture, save

FIELD_COLOURS = ("#a9cbf2", "#ffffff", "#ffd9a0")
"""Where a discriminator's probability of "real" is 0, 1/2 and 1; interpolated between."""
FIELD_SIDE = 100
"""Points of `plane_points` in a row, and rows."""


def plane_points(limit: float) -> Any:
    """The points ``(FIELD_SIDE^2, 2)`` at which the field of `mixture` has its values.

    They are the centres of the pixels of an image, row by row from the top, so a column of values
    is a field after ``reshape(FIELD_SIDE, FIELD_SIDE)``.

    Args:
        limit: the plane is shown from -limit to limit, in x and in y.

    >>> plane_points(2.0)[[0, -1]].tolist()
    [[-1.98, 1.98], [1.98, -1.98]]
    """
    x = limit * (2 * np.arange(FIELD_SIDE) + 1 - FIELD_SIDE) / FIELD_SIDE
    return np.stack(np.meshgrid(x, -x), axis=-1).reshape(-1, 2)


def emphasise(probabilities: Any) -> Any:
    """A field for `mixture` of probabilities at `plane_points`, those near 1/2 spread apart.

    In a good run all of them end near 1/2, so the distance from there is shown by its square root.
    ``(FIELD_SIDE^2,) -> (FIELD_SIDE, FIELD_SIDE)``.
    """
    sure = 2 * probabilities.reshape(FIELD_SIDE, FIELD_SIDE) - 1
    return 0.5 + 0.5 * np.sign(sure) * np.sqrt(abs(sure))


@picture
def mixture(
    path: Path,
    samples: Any,
    real: Any,
    limit: float,
    field: Any = None,
    centres: Any = None,
    title: str | None = None,
) -> None:
    """A generator's samples over points of the data, with the discriminator's field behind them.

    Args:
        samples, real: ``(n, 2)`` and ``(m, 2)``.
        limit: the plane is shown from -limit to limit, in x and in y.
        field: ``(h, w)`` the discriminator's probability that a point of `plane_points` is real,
            row 0 at the top; a critic's values must first be mapped to [0, 1].
        centres: ``(k, 2)`` of the modes, marked by circles.
    """
    figure = Figure(figsize=(4.6, 4.9), dpi=DPI)
    ax: Any = figure.subplots()
    if field is not None:
        colours = LinearSegmentedColormap.from_list("field", FIELD_COLOURS)
        extent = (-limit, limit, -limit, limit)
        ax.imshow(field, cmap=colours, vmin=0, vmax=1, extent=extent, interpolation="bilinear")
    for points, colour, label in ((real, DATA_COLOUR, "data"), (samples, SAMPLE_COLOUR, "samples")):
        ax.scatter(*np.asarray(points).T, c=colour, s=3, alpha=0.5, linewidths=0, label=label)
    if centres is not None:
        ax.scatter(*np.asarray(centres).T, s=60, facecolors="none", edgecolors="black",
                   linewidths=0.6, label="centres")  # fmt: skip
    ax.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
    ax.tick_params(labelsize=7)
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.05)}
    legend = ax.legend(fontsize=8, ncols=3, frameon=False, **below)
    for handle in legend.legend_handles[:2]:
        handle.set(sizes=[20], alpha=1)  # the points themselves are too small to show their colour
    if title:
        ax.set_title(title, fontsize=9)
    save(figure, path)
