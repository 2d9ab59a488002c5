"""Pictures of curves: losses over the epochs, values over any x, and functions side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from math import log10
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from tinygen.plots.drawing import File, finish, grid, panel, picture, set_round_ticks
from tinygen.plots.style import CURVE_ORDER, style


@picture
def line_plot(
    x: Sequence[float],
    curves: Mapping[str, Sequence[float]],
    xlabel: str,
    ylabel: str,
    levels: Mapping[str, float] | None = None,
    *,
    log_x: bool = False,
    log_y: bool | None = None,
    ax: Axes | None = None,
    path: File = None,
) -> Figure | None:
    """Curves over the same x, one for each label.

    Args:
        curves: ``{label: as many values as x has}``; a curve has a gap where it is NaN.
        levels: ``{label: value}``, drawn as horizontal lines for comparison.
        log_y: by default logarithmic if all values are positive and one is more than three times
            another.

    >>> figure = line_plot([1, 2, 3], {"train": [9.0, 4.0, 2.0]}, "epoch", "loss", {"PCA": 3.0})
    >>> [line.get_label() for line in figure.axes[0].lines], figure.axes[0].get_yscale()
    (['train', 'PCA'], 'log')
    """
    ax = panel(ax, 6, 3.6)
    _draw_curves(ax, x, curves, xlabel, ylabel, levels or {}, log_x, log_y)
    return finish(ax.figure, path)


@picture
def loss_curves(
    history: Sequence[Mapping[str, float]],
    panels: Mapping[str, Mapping[str, str]],
    levels: Mapping[str, float] | None = None,
    *,
    ax: Axes | None = None,
    path: File = None,
) -> Figure | None:
    """Figures of a run over its epochs, in panels side by side; logarithmic as in `line_plot`.

    A note says that training figures, ``train_...``, are means over an epoch, during which the
    model improves, while test figures are of the model after it.

    Args:
        history: the rows of the epochs.
        panels: ``{label of the y axis: {key of a row: label}}``.
        levels: ``{label: value}``, drawn in the first panel as horizontal lines for comparison.

    Raises:
        ValueError: there are no rows, or they lack such a key.

    >>> rows = [{"epoch": epoch, "train_loss": 9.0 / epoch, "kl": epoch} for epoch in (1, 2, 3)]
    >>> figure = loss_curves(rows, {"loss": {"train_loss": "training"}, "nats": {"kl": "KL"}})
    >>> [panel.get_ylabel() for panel in figure.axes]
    ['loss', 'nats']
    >>> figure.axes[0].get_title(loc="right")
    'training: mean over the epoch'
    """
    if not history:
        raise ValueError("loss_curves: expected the rows of one epoch at least, got none")
    for key in (key for curves in panels.values() for key in curves):
        if key not in history[0]:
            raise ValueError(
                f"loss_curves: the history has no {key!r}; it has {', '.join(history[0])}"
            )
    many = len(panels) > 1
    size = (5 * len(panels) if many else 6, 3.6)
    axes = grid(ax, 1, len(panels), size, "constrained" if many else None).subplots(squeeze=False)
    epochs = [row["epoch"] for row in history]
    for part, (ylabel, curves) in zip(axes[0], panels.items(), strict=True):
        values = {label: [row[key] for row in history] for key, label in curves.items()}
        lines = (levels or {}) if part is axes[0, 0] else {}
        _draw_curves(part, epochs, values, "epoch", ylabel, lines)
        _note(part, curves)
    return finish(axes[0, 0].figure, path)


@picture
def functions(
    x: Any,
    panels: Mapping[str, Mapping[str, Any]],
    xlabel: str,
    window: tuple[float, float] | None = None,
    *,
    ax: Axes | None = None,
    path: File = None,
) -> Figure | None:
    """Functions of the same x, in panels side by side; a label has the same colour in all of them.

    Each curve is thinner than those before it in its panel, so that equal curves are both visible.

    Args:
        x: ``(n,)``.
        panels: ``{title: {label: values (n,)}}``.
        window: the lowest and the highest value that a panel shows, for curves that leave it.

    >>> x = np.array([-1.0, 0.0, 1.0])
    >>> relu, derivative = {"relu": x.clip(0)}, {"relu": (x > 0).astype(float)}
    >>> figure = functions(x, {"value": relu, "derivative": derivative}, xlabel="a")
    >>> [panel.get_title() for panel in figure.axes]
    ['value', 'derivative']
    """
    labels = [*dict.fromkeys(label for curves in panels.values() for label in curves)]
    colours = style().classes[CURVE_ORDER]
    places = grid(ax, 1, len(panels), (4 * len(panels), 3.4), "constrained")
    axes = places.subplots(squeeze=False)[0]
    for ax, (title, curves) in zip(axes, panels.items(), strict=True):
        for i, (label, values) in enumerate(curves.items()):
            width = 4 - 2.8 * i / max(1, len(curves) - 1)
            colour = colours[labels.index(label) % len(colours)]
            ax.plot(x, values, color=colour, linewidth=width, label=label)
        ax.set_title(title, fontsize=10)
        ax.set(xlabel=xlabel, xlim=(x[0], x[-1]))
        if window:
            low, high = ax.get_ylim()
            ax.set_ylim(max(low, window[0]), min(high, window[1]))
        ax.grid(alpha=0.3)
        ax.legend(fontsize=8)
    return finish(axes[0].figure, path)


def _draw_curves(
    ax: Axes, x: Sequence[float], curves: Mapping[str, Sequence[float]], xlabel: str, ylabel: str,
    levels: Mapping[str, float], log_x: bool = False, log_y: bool | None = None,
) -> None:  # fmt: skip
    """Draw the curves of `line_plot`."""
    for label, values in curves.items():
        ax.plot(x, values, marker="o", markersize=3, label=label)
    for (label, value), dashes in zip(levels.items(), cycle(("--", ":")), strict=False):
        ax.axhline(value, color="gray", linestyle=dashes, linewidth=1, label=label)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if log_x:
        _set_logarithmic(ax, "x", x)
    else:
        set_round_ticks(ax, integer=all(float(value).is_integer() for value in x))
    drawn = np.concatenate([*curves.values(), [*levels.values()]])
    drawn = drawn[~np.isnan(drawn)]
    if log_y or (log_y is None and drawn.max() > 3 * drawn.min() > 0):
        _set_logarithmic(ax, "y", drawn)
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8)


def _note(ax: Axes, keys: Mapping[str, str]) -> None:
    """Note at what time the figures were measured."""
    of_training, of_test = (any(k.startswith(name) for k in keys) for name in ("train_", "test_"))
    notes = ["training: mean over the epoch"] * of_training + ["test: after the epoch"] * of_test
    ax.set_title("; ".join(notes), fontsize=7, alpha=0.7, loc="right")


def _set_logarithmic(ax: Any, name: str, values: Any) -> None:
    """Make axis "x" or "y" logarithmic, with ticks as dense as its decades leave room for."""
    positive = [value for value in values if value > 0]
    decades = log10(max(positive) / min(positive)) if positive else 0
    ticks = (1, 1.5, 2, 3, 4, 5, 6, 8) if decades < 1 else (1, 2, 5) if decades < 3 else (1,)
    ax.set(**{f"{name}scale": "log"})
    axis = getattr(ax, f"{name}axis")
    axis.set_major_locator(LogLocator(subs=ticks))
    axis.set_major_formatter("{x:g}")  # 0.02 is read faster than 2 x 10^-2
    axis.set_minor_locator(NullLocator())
