"""The picture of a confusion matrix: which classes a classifier takes for which."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tinygen.plots.drawing import File, finish, panel, picture
from tinygen.plots.style import style


@picture
def confusion(
    counts: Any, title: str, *, ax: Axes | None = None, path: File = None
) -> Figure | None:
    """A confusion matrix: true classes in rows, predicted ones in columns, mistakes coloured.

    Args:
        counts: ``(k, k)``, as `tinygen.evaluation.confusion` returns them.

    >>> figure = confusion([[8, 2], [0, 9]], "2 of 19 are wrong")
    >>> [text.get_text() for text in figure.axes[0].texts]  # none where none was classified so
    ['8', '2', '9']
    """
    counts = np.asarray(counts)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise ValueError(
            "confusion: expected counts (k, k), as tinygen.evaluation.confusion makes of labels "
            f"and predictions, got {counts.shape}"
        )
    classes = len(counts)
    mistakes = counts * (1 - np.eye(classes))
    side = 1.2 + 0.36 * classes
    ax = panel(ax, side, side)
    most = max(1, 1.3 * mistakes.max())
    ax.imshow(mistakes, cmap=style().counts, vmin=0, vmax=most)
    for k, j in np.ndindex(classes, classes):
        if counts[k, j]:
            ax.text(j, k, str(counts[k, j]), ha="center", va="center", fontsize=6,
                    color="gray" if k == j else rcParams["text.color"])  # fmt: skip
    ax.set(xticks=range(classes), yticks=range(classes), xlabel="predicted", ylabel="true")
    ax.tick_params(length=0, labelsize=8)
    ax.set_title(title, fontsize=9)
    return finish(ax.figure, path)
