"""What all pictures have in common: figures and axes, and the style that they are drawn with."""

from __future__ import annotations

import gc
from inspect import signature
from pathlib import Path
from typing import Any
from weakref import ref

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread

from tinygen import plots
from tinygen.commands import command_line
from tinygen.plots.style import CURVE_ORDER, STYLES, style

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
    "loss_curves": ([{"epoch": 1, "loss": 2.0}], {"loss": {"loss": "training"}}),
    "manifold": (X, (2, 2), [-1.0, 0.0, 1.0]),
    "mixture": (CODES, CODES, 2.0),
    "sheet": (X, (2, 2), 3),
}
USERS = {"text.usetex": True, "axes.facecolor": "red", "font.size": 30, "lines.linewidth": 9}
"""A user's own settings; where there is no LaTeX, the first of them lets every text fail."""


@pytest.fixture(autouse=True)
def light() -> Any:
    """Whatever a test does, the next one has the usual style."""
    yield
    plots.use_style("light")


def test_all_pictures_are_tried_here() -> None:
    """And each can be drawn into axes, or written; a film only grows as a file."""
    functions = {n: getattr(plots, n) for n in plots.__all__ if callable(getattr(plots, n))}
    draw = {n: f for n, f in functions.items() if "ax" in signature(f).parameters}
    assert {*draw} == {*PICTURES}
    for f in draw.values():
        named = [p for p in signature(f).parameters.values() if p.kind == p.KEYWORD_ONLY]
        assert [(p.name, p.default) for p in named[-2:]] == [("ax", None), ("path", None)]


@pytest.mark.parametrize("name", PICTURES)
def test_a_users_settings_change_no_picture_and_are_not_changed(name: str, tmp_path: Any) -> None:
    draw, usual, users = getattr(plots, name), tmp_path / "usual.png", tmp_path / "users.png"
    draw(*PICTURES[name], path=usual)
    with matplotlib.rc_context(USERS):
        shown = draw(*PICTURES[name], path=users)._repr_png_()
        assert {key: matplotlib.rcParams[key] for key in USERS} == USERS
    assert users.read_bytes() == usual.read_bytes() == shown


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_written_only_if_asked_and_held_by_nobody(
    name: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    figure = getattr(plots, name)(*PICTURES[name])
    assert isinstance(figure, Figure) and not [*tmp_path.iterdir()]
    assert not pyplot.get_fignums(), "or a notebook would show it twice, and never let it go"
    weak = ref(figure)
    del figure
    gc.collect()
    assert weak() is None


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_fills_the_axes_that_it_is_given(name: str, tmp_path: Any) -> None:
    mine = Figure(layout="constrained")
    left, right = mine.subplots(1, 2)
    assert getattr(plots, name)(*PICTURES[name], ax=right, path=tmp_path / "x.png") is None
    assert not left.has_data()
    assert imread(tmp_path / "x.png").shape[1] > 300, "the whole figure is written"
    edge = left.get_position().x1
    filled = [ax for ax in mine.axes if ax is not left and (ax.has_data() or ax.texts)]
    assert filled and all(ax.get_position().x0 > edge for ax in filled)


def test_axes_without_a_place_in_a_grid_have_no_room_for_panels() -> None:
    with pytest.raises(ValueError, match=r"plots: expected axes of subplots\(\), got axes"):
        plots.images_in_rows({"row": X}, (2, 2), ax=Figure().add_axes((0, 0, 1, 1)))


@pytest.mark.parametrize("name", PICTURES)
def test_a_dark_picture_is_mostly_dark(name: str, tmp_path: Any) -> None:
    """But for its curves, points and letters, of which each has some."""
    plots.use_style("dark")
    getattr(plots, name)(*PICTURES[name], path=tmp_path / "x.png")
    pixels = imread(tmp_path / "x.png")[:, :, :3]
    assert (pixels[0] == 0).all() and pixels.max() > 0.9
    assert np.median(pixels.mean(axis=2)) < 0.5


def test_a_style_that_there_is_not() -> None:
    with pytest.raises(ValueError, match="expected the style light or dark, got 'pink'"):
        plots.use_style("pink")


@pytest.mark.parametrize("name", STYLES)
def test_every_command_draws_in_the_style_that_is_asked_for(name: str) -> None:
    parser = command_line.parser("task", "")
    command_line.parse(parser, ["--plot-style", name], smoke={})
    assert style() is STYLES[name]


# Machado, Oliveira and Fernandes (2009), severity 1, of linear red, green and blue.
DEFICIENCIES = {
    "protanopia": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "deuteranopia": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
}
TO_XYZ = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]


def lab(linear: Any) -> Any:
    """CIE L*a*b* of linear sRGB, with the white of D65."""
    f = np.cbrt(linear.clip(0, 1) @ np.transpose(TO_XYZ) / [0.9505, 1, 1.089])
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], 1)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_curves_and_points_differ_for_the_colour_blind(style: str, deficiency: str) -> None:
    """By 14 units of CIE 1976 at least; 2 are just noticed. Page included: they must be seen."""
    colours, page = STYLES[style], {"light": "white", "dark": "black"}[style]
    for group in ([*colours.classes[CURVE_ORDER][:5], page], [colours.data, colours.samples, page]):
        rgb = np.array([to_rgb(colour) for colour in group])
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        seen = lab(linear @ np.transpose(DEFICIENCIES[deficiency]))
        distances = np.linalg.norm(seen[:, None] - seen, axis=2)
        assert distances[np.triu_indices(len(seen), 1)].min() > 14


def test_completion_offers_pictures_and_not_the_modules_that_they_are_in() -> None:
    assert [*dir(plots)] == sorted(plots.__all__) and plots.images is not None


@pytest.mark.parametrize(
    ("ending", "begins"),
    [("", b"\x89PNG"), (".png", b"\x89PNG"), (".PDF", b"%PDF"), (".svg", b"<?xml")],
)
def test_a_file_is_what_its_name_says(tmp_path: Path, ending: str, begins: bytes) -> None:
    path = tmp_path / f"x{ending}"
    plots.sheet(X, (2, 2), path=path)
    assert path.read_bytes().startswith(begins)


def test_what_cannot_be_drawn_into_or_written_is_asked_about(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"x\.jpeg: expected a name that ends in \.png or \.pdf or"
    ):
        plots.sheet(X, (2, 2), path=tmp_path / "x.jpeg")
    with pytest.raises(
        ValueError, match=r"^plots: expected one Axes of matplotlib, got a ndarray$"
    ):
        plots.sheet(X, (2, 2), ax=pyplot.figure().subplots(2, 2))
    with pytest.raises(ValueError, match=r"no 'train'; it has epoch, train_loss$"):
        plots.loss_curves([{"epoch": 1, "train_loss": 1.0}], {"loss": {"train": "training"}})
    with pytest.raises(ValueError, match="one epoch at least, got none"):
        plots.loss_curves([], {"loss": {"train": "training"}})
    with pytest.raises(ValueError, match=r"expected counts \(k, k\), .* got \(3,\)$"):
        plots.confusion([1, 2, 0], "labels")
    assert not [*tmp_path.iterdir()]
    pyplot.close("all")
