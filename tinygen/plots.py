"""The pictures of a run, drawn with matplotlib, one function a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, log10
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from tinygen.files import replacing


def images_in_rows(path: Path, rows: Mapping[str, Any], shape: tuple[int, int]) -> None:
    """Rows of images one under the other, the name of each row at its left.

    Args:
        rows: ``{name: (n, pixels) host array in [0, 1]}``; every row has as many images.
        shape: ``(h, w)`` of an image.
    """
    n = len(next(iter(rows.values())))
    figure = Figure(figsize=(1.2 + 0.6 * n, 0.3 + 0.62 * len(rows)), dpi=150)
    axes = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    for ax, (name, images) in zip(axes, rows.items(), strict=True):
        strip = np.concatenate([_framed(image.reshape(shape)) for image in images], axis=1)
        ax.imshow(strip, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
        ax.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
        _bare(ax)
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
    figure = Figure(figsize=(6, 3.6), dpi=150)
    ax = figure.subplots()
    epochs = [row["epoch"] for row in history]
    for key, label in curves.items():
        ax.plot(epochs, [row[key] for row in history], marker="o", markersize=3, label=label)
    for label, value in (lines or {}).items():
        ax.axhline(value, color="gray", linestyle="--", linewidth=1, label=label)
    ax.set(xlabel="epoch", ylabel=ylabel, xlim=(epochs[0] - 0.5, epochs[-1] + 0.5))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    values = [row[key] for row in history for key in curves] + list((lines or {}).values())
    if max(values) > 3 * min(values) > 0:
        decades = log10(max(values) / min(values))
        ticks = (1, 1.5, 2, 3, 4, 5, 6, 8) if decades < 1 else (1, 2, 5) if decades < 3 else (1,)
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=ticks))
        ax.yaxis.set_major_formatter("{x:g}")  # 0.02 is read faster than 2 x 10^-2
        ax.yaxis.set_minor_locator(NullLocator())
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8)
    _save(figure, path)


def filters(path: Path, W: Any, shape: tuple[int, int], most: int = 64) -> None:
    """The first layer's weights as images, those with the largest norm first.

    Each is scaled by its own largest magnitude; red is positive, blue negative.

    Args:
        W: ``(pixels, units)`` host array.
        shape: ``(h, w)`` of an image.
        most: how many units to show.
    """
    chosen = np.argsort(-np.linalg.norm(W, axis=0), kind="stable")[:most]
    columns = min(16, len(chosen))
    rows = ceil(len(chosen) / columns)
    h, w = shape[0] + 2, shape[1] + 2
    sheet = np.full((rows * h, columns * w), np.nan)
    for place, unit in enumerate(chosen):
        image = W[:, unit].reshape(shape)
        y, x = (place // columns) * h + 1, (place % columns) * w + 1
        sheet[y : y + shape[0], x : x + shape[1]] = image / (abs(image).max() or 1)
    figure = Figure(figsize=(max(3, 0.6 * columns), 0.6 * rows + 0.3), dpi=150)
    ax = figure.subplots()
    ax.imshow(sheet, cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
    ax.set_title(f"{len(chosen)} of {W.shape[1]} filters of the first layer", fontsize=9)
    _bare(ax)
    _save(figure, path)


def _framed(image: Any) -> Any:
    """The image with one empty pixel around it."""
    return np.pad(image, 1)


def _bare(ax: Any) -> None:
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(False)


def _save(figure: Figure, path: Path) -> None:
    with replacing(path) as file:
        figure.savefig(file, format="png", bbox_inches="tight")
