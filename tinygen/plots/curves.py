"""Pictures of curves: losses over the epochs, values over any x, and functions side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log10
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from tinygen.plots.drawing import CLASS_COLOURS, DPI, picture, save, set_round_ticks

CURVE_COLOURS = CLASS_COLOURS[[0, 1, 4, 8, 7]]
"""The colours that differ the most as thin lines."""


@picture
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
    """Curves over the same x, one for each label.

    Args:
        curves: ``{label: as many values as x has}``; a curve has a gap where it is NaN.
        levels: ``{label: value}``, drawn as horizontal lines for comparison.
        log_y: by default logarithmic if all values are positive and one is above three times
            another.
    """
    figure = Figure(figsize=(6, 3.6), dpi=DPI)
    ax = figure.subplots()
    for label, values in curves.items():
        ax.plot(x, values, marker="o", markersize=3, label=label)
    for label, value in (levels or {}).items():
        ax.axhline(value, color="gray", linestyle="--", linewidth=1, label=label)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if log_x:
        _set_logarithmic(ax, "x", x)
    else:
        set_round_ticks(ax, integer=all(float(value).is_integer() for value in x))
    drawn = np.concatenate([*curves.values(), [*(levels or {}).values()]])
    drawn = drawn[~np.isnan(drawn)]
    if log_y or (log_y is None and drawn.max() > 3 * drawn.min() > 0):
        _set_logarithmic(ax, "y", drawn)
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8)
    save(figure, path)


def loss_curves(
    path: Path,
    history: Sequence[Mapping[str, float]],
    curves: Mapping[str, str],
    ylabel: str,
    lines: Mapping[str, float] | None = None,
) -> None:
    """One curve over the epochs for each key of the history; logarithmic as in `line_plot`.

    Args:
        curves: ``{key: label}``.
        lines: ``{label: value}``, drawn as horizontal lines for comparison.
    """
    named = {label: [row[key] for row in history] for key, label in curves.items()}
    line_plot(path, [row["epoch"] for row in history], named, "epoch", ylabel, lines)


@picture
def functions(
    path: Path,
    x: Any,
    panels: Mapping[str, Mapping[str, Any]],
    xlabel: str,
    window: tuple[float, float] | None = None,
) -> None:
    """Functions of the same x, panels side by side; a label has one colour in all of them.

    Each curve is thinner than those before it in its panel, so that equal curves are both visible.

    Args:
        x: ``(n,)``.
        panels: ``{title: {label: values (n,)}}``.
        window: the lowest and the highest value that a panel shows, for curves that leave it.
    """
    labels = [*dict.fromkeys(label for curves in panels.values() for label in curves)]
    figure = Figure(figsize=(4 * len(panels), 3.4), dpi=DPI, layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for ax, (title, curves) in zip(axes, panels.items(), strict=True):
        for i, (label, values) in enumerate(curves.items()):
            width = 4 - 2.8 * i / max(1, len(curves) - 1)
            colour = CURVE_COLOURS[labels.index(label) % len(CURVE_COLOURS)]
            ax.plot(x, values, color=colour, linewidth=width, label=label)
        ax.set_title(title, fontsize=10)
        ax.set(xlabel=xlabel, xlim=(x[0], x[-1]))
        if window:
            low, high = ax.get_ylim()
            ax.set_ylim(max(low, window[0]), min(high, window[1]))
        ax.grid(alpha=0.3)
        ax.legend(fontsize=8)
    save(figure, path)


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
