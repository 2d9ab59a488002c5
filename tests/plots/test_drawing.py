"""What all pictures have in common: the settings that they are drawn with."""

from __future__ import annotations

from inspect import signature
from typing import Any

import matplotlib
import numpy as np
import pytest

from tinygen import plots

X = np.linspace(0, 1, 12).reshape(3, 4)
CODES = np.linspace(-1, 1, 20).reshape(10, 2)
PICTURES: dict[str, tuple[Any, ...]] = {
    "captioned": (X, ["a", "b", "c"], (2, 2)),
    "codes": ({"model": CODES}, np.arange(10)),
    "compare": (X, {"model": plots.ModelPanel(X, X, X, CODES)}, (2, 2)),
    "confusion": (np.eye(3, dtype=int), "title"),
    "feature_maps": (X[0], (2, 2), {"layer 1": np.ones((2, 1, 3))}),
    "filters": (X.T, (2, 2)),
    "functions": ([0, 1], {"panel": {"curve": [1, 2]}}, "x"),
    "images_in_rows": ({"row": X}, (2, 2)),
    "kl_per_dimension": (np.array([1.0, 0.5]),),
    "line_plot": ([1, 2], {"curve": [1, 2]}, "x", "y"),
    "loss_curves": ([{"epoch": 1, "loss": 2.0}], {"loss": "training"}, "loss"),
    "manifold": (X, (2, 2), [-1.0, 0.0, 1.0]),
    "mixture": (CODES, CODES, 2.0),
    "sheet": (X, (2, 2), 3),
}
USERS = {"text.usetex": True, "axes.facecolor": "red", "font.size": 30, "lines.linewidth": 9}
"""A user's own settings; where there is no LaTeX, the first of them lets every text fail."""


def test_all_pictures_are_tried_here() -> None:
    """Films are not drawn by matplotlib."""
    functions = {n: getattr(plots, n) for n in plots.__all__ if callable(getattr(plots, n))}
    with_path = {n for n, f in functions.items() if next(iter(signature(f).parameters)) == "path"}
    assert {n for n in with_path if not n.startswith("add_")} == set(PICTURES)


@pytest.mark.parametrize("name", PICTURES)
def test_a_users_settings_change_no_picture_and_are_not_changed(name: str, tmp_path: Any) -> None:
    draw, usual, users = getattr(plots, name), tmp_path / "usual.png", tmp_path / "users.png"
    draw(usual, *PICTURES[name])
    with matplotlib.rc_context(USERS):
        draw(users, *PICTURES[name])
        assert {key: matplotlib.rcParams[key] for key in USERS} == USERS
    assert users.read_bytes() == usual.read_bytes()
