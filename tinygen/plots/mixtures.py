"""The picture of a GAN in the plane: data, samples, and where the discriminator says "real"."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tinygen.plots.drawing import File, colour_bar, finish, panel, picture
from tinygen.plots.style import style

FIELD_SIDE = 100
"""The number of rows of `plane_points`, and of points in each."""


def plane_points(limit: float) -> np.ndarray:
    """The points ``(FIELD_SIDE^2, 2)`` at which the field of `mixture` is evaluated.

    They are the centres of the pixels of an image, row by row from the top, so a column of values
    becomes a field by ``reshape(FIELD_SIDE, FIELD_SIDE)``.

    Args:
        limit: the plane is shown from -limit to limit, in x and in y.

    >>> plane_points(2.0)[[0, -1]].tolist()
    [[-1.98, 1.98], [1.98, -1.98]]
    """
    x = limit * (2 * np.arange(FIELD_SIDE) + 1 - FIELD_SIDE) / FIELD_SIDE
    return np.stack(np.meshgrid(x, -x), axis=-1).reshape(-1, 2)


def emphasise(probabilities: Any) -> np.ndarray:
    """A field for `mixture` from probabilities at `plane_points`, those near 1/2 spread apart.

    In a good run all of them end near 1/2, so the square root of the distance from 1/2 is shown.
    ``(FIELD_SIDE^2,) -> (FIELD_SIDE, FIELD_SIDE)``.

    >>> p = np.full(FIELD_SIDE**2, 0.5)
    >>> p[0] = 0.505
    >>> emphasise(p)[0, :2].round(4).tolist()  # 0.5 + 0.01^(1/2) / 2
    [0.55, 0.5]
    """
    sure = 2 * probabilities.reshape(FIELD_SIDE, FIELD_SIDE) - 1
    return 0.5 + 0.5 * np.sign(sure) * np.sqrt(abs(sure))


@picture
def mixture(
    samples: Any,
    real: Any,
    limit: float,
    field: Any = None,
    centres: Any = None,
    title: str | None = None,
    *,
    ax: Axes | None = None,
    path: File = None,
) -> Figure | None:
    """A generator's samples over points of the data, with the discriminator's field behind them.

    Args:
        samples, real: ``(n, 2)`` and ``(m, 2)``.
        limit: the plane is shown from -limit to limit, in x and in y.
        field: ``(h, w)``, the discriminator's probability that a point of `plane_points` is real,
            row 0 at the top; a critic's values must first be mapped to [0, 1].
        centres: ``(k, 2)``, those of the modes, marked by circles.

    >>> from tinygen.data import MIXTURES
    >>> ring = MIXTURES["ring"]
    >>> real, samples = (ring.draw(50, np.random.default_rng(seed)) for seed in (0, 1))
    >>> figure = mixture(samples, real, limit=1.5, centres=ring.centres)
    >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    ['data', 'samples', 'centres']
    """
    plane, colours = panel(ax, 4.6, 4.9), style()
    if field is not None:
        shades = plane.imshow(field, cmap=colours.field, vmin=0, vmax=1, interpolation="bilinear",
                              extent=(-limit, limit, -limit, limit))  # fmt: skip
        # Only at these three: between them, `emphasise` may have moved the numbers.
        ticks = {"ticks": [0, 0.5, 1], "format": "{x:g}", "shrink": 0.8}
        colour_bar(shades, [plane], 'discriminator: probability of "real"', **ticks)
    kinds = ((real, colours.data, "data"), (samples, colours.samples, "samples"))
    for points, colour, label in kinds:
        plane.scatter(*np.asarray(points).T, c=colour, s=3, alpha=0.5, linewidths=0, label=label)
    if centres is not None:
        edges = {"facecolors": "none", "edgecolors": rcParams["text.color"], "linewidths": 0.6}
        plane.scatter(*np.asarray(centres).T, s=60, label="centres", **edges)
    plane.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
    plane.set(xlabel="$x_1$", ylabel="$x_2$")
    plane.tick_params(labelsize=7)
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.13)}
    legend = plane.legend(fontsize=8, ncols=3, frameon=False, **below)
    for handle in legend.legend_handles[:2]:
        handle.set(sizes=[20], alpha=1)  # the points as drawn are too small to show their colour
    if title:
        plane.set_title(title, fontsize=9)
    return finish(plane.figure, path)
