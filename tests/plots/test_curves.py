"""Pictures of curves: all values are drawn, on scales that suit them."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex
from picture_files import is_empty, picture

from tinygen import plots

HISTORY = [{"epoch": e, "train_loss": 1 / e, "test_loss": 0.9 / e} for e in range(1, 11)]
CURVES = {"train_loss": "training", "test_loss": "test"}


@pytest.mark.parametrize(
    ("epochs", "scale", "lines"),
    [
        (1, 1e-6, None),
        (1, 1000, {"PCA": 0.3}),
        (2, 1, None),
        (10, 1e-6, {"PCA": 0.3}),
        (10, 1000, None),
    ],
)
def test_loss_curves(tmp_path, epochs, scale, lines):
    path = tmp_path / "x.png"
    history = [{k: v * scale if "loss" in k else v for k, v in row.items()} for row in HISTORY]
    plots.loss_curves(history[:epochs], {"loss": CURVES}, lines, path=path)
    pixels = picture(path)
    assert 300 < pixels.shape[0] < 700 and 600 < pixels.shape[1] < 1100
    assert is_empty(pixels[0]) and is_empty(pixels[:, 0]), "nothing is cut off"


@pytest.mark.parametrize("value", [0.0, -1.0, 5.0])
def test_curves_that_have_no_logarithm_or_do_not_move(tmp_path, value):
    flat = [{"epoch": e, "loss": value} for e in (1, 2, 3)]
    plots.loss_curves(flat, {"loss": {"loss": "loss"}}, path=tmp_path / "x.png")
    assert not is_empty(picture(tmp_path / "x.png"))


def test_the_terms_of_a_loss_share_one_logarithmic_figure(tmp_path, drawn):
    history = [{"epoch": e, "elbo": 105, "reconstruction": 80, "kl": 25} for e in (1, 2, 3)]
    keys = {"elbo": "negative ELBO", "reconstruction": "reconstruction", "kl": "KL"}
    plots.loss_curves(history, {"nats per image": keys}, {"PCA": 120}, path=tmp_path / "x.png")
    (ax,) = drawn[0].axes
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["negative ELBO", "reconstruction", "KL", "PCA"]
    assert [line.get_ydata()[-1] for line in ax.lines] == [105, 80, 25, 120]
    assert ax.get_yscale() == "log" and (ax.get_xlabel(), ax.get_ylabel()) == (
        "epoch",
        "nats per image",
    )
    low, high = ax.get_ylim()
    ticks = [tick for tick in ax.get_yticks() if low <= tick <= high]
    assert ticks == [30, 40, 50, 60, 80, 100]


def test_parts_of_a_loss_have_a_panel_of_their_own(drawn, tmp_path):
    """And a note says when a figure is one of the model that the epoch ended with."""
    panels = {"bound (nats)": CURVES, "part (nats)": {"test_loss": "KL"}, "right": {"right": "D"}}
    history = [row | {"right": 0.5} for row in HISTORY]
    plots.loss_curves(history, panels, {"level": 2.0}, path=tmp_path / "x.png")
    axes = drawn[0].axes
    assert [ax.get_ylabel() for ax in axes] == [*panels]
    assert [ax.get_xlabel() for ax in axes] == ["epoch"] * 3
    assert [len(ax.lines) for ax in axes] == [3, 1, 1]
    test = "test: after the epoch"
    notes = [ax.get_title(loc="right") for ax in axes]
    assert notes == [f"training: mean over the epoch; {test}", test, ""]


@pytest.mark.parametrize("log_x, log_y", [(False, False), (False, True), (True, True)])
@pytest.mark.parametrize("values", [[1e-5, 3, 1e5], [0, 1, 2]])
def test_line_plot(tmp_path, drawn, log_x, log_y, values):
    args = [1, 10, 1000], {"a": values, "b": [1, 1, 1]}, "samples", "variance", {"floor": 0.5}
    plots.line_plot(*args, log_x=log_x, log_y=log_y, path=tmp_path / "x.png")
    assert is_empty(picture(tmp_path / "x.png")[0])
    (ax,) = drawn[0].axes
    scales = {False: "linear", True: "log"}
    assert (ax.get_xscale(), ax.get_yscale()) == (scales[log_x], scales[log_y])
    assert ax.lines[0].get_xydata().tolist() == [[1, values[0]], [10, values[1]], [1000, values[2]]]


@pytest.mark.parametrize("values", [[-3, 2, 0.5], [-9, -1, -3], [-1e-9, 1, 100]])
def test_a_curve_that_is_not_above_zero_has_no_logarithm(tmp_path, drawn, values):
    """A critic's loss, say; nothing of the curve or of the level is cut off."""
    plots.line_plot(
        [1, 2, 3], {"critic": values}, "epoch", "loss", {"": -4}, path=tmp_path / "x.png"
    )
    assert is_empty(picture(tmp_path / "x.png")[0])
    (ax,) = drawn[0].axes
    low, high = ax.get_ylim()
    assert ax.get_yscale() == "linear"
    assert low < min(-4, *values) and high > max(values)
    assert ax.lines[0].get_ydata().tolist() == values


@pytest.mark.parametrize("window", [None, (-2, 1)])
def test_functions(tmp_path, drawn, window):
    x = np.linspace(-3, 3, 50)
    panels = {"value": {"a": x, "b": x * x}, "derivative": {"b": 2 * x, "c": 0.1 * x}}
    plots.functions(x, panels, "logit", window, path=tmp_path / "x.png")
    pixels = picture(tmp_path / "x.png")
    assert is_empty(pixels[0]) and is_empty(pixels[-1]) and is_empty(pixels[:, 0])
    axes, colours = drawn[0].axes, {}
    assert [ax.get_title() for ax in axes] == ["value", "derivative"]
    for ax, curves in zip(axes, panels.values(), strict=True):
        assert ax.get_xlabel() == "logit" and ax.get_xlim() == (-3, 3)
        assert [text.get_text() for text in ax.get_legend().get_texts()] == [*curves]
        for line, (label, values) in zip(ax.lines, curves.items(), strict=True):
            assert np.array_equal(line.get_xydata(), np.stack([x, values], axis=1))
            assert colours.setdefault(label, line.get_color()) == line.get_color()
        first, second = (line.get_linewidth() for line in ax.lines)
        assert first > second, "equal curves are both seen"
    assert len({*map(to_hex, colours.values())}) == 3
    if window:
        assert axes[0].get_ylim() == axes[1].get_ylim() == window
        return
    low, high = axes[0].get_ylim()
    assert low < -3 and high > 9


def test_a_window_does_not_make_a_panel_larger(tmp_path, drawn):
    plots.functions([0, 1], {"": {"a": [0, 1]}}, "x", (-100, 100), path=tmp_path / "x.png")
    low, high = drawn[0].axes[0].get_ylim()
    assert -0.2 < low < 0 and 1 < high < 1.2


def test_a_curve_that_is_nan_has_a_gap_and_the_axes_do_not_mind(tmp_path, drawn):
    nan = float("nan")
    curves = {"whole": [0.5, 0.2, 0.1, 0.05], "shorter": [0.4, 0.3, nan, nan]}
    plots.line_plot(range(1, 5), curves, "epoch", "test error", path=tmp_path / "x.png")
    assert not is_empty(picture(tmp_path / "x.png"))
    (ax,) = drawn[0].axes
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), curves["shorter"])
    assert ax.get_yscale() == "log"  # one is more than three times another
    low, high = ax.get_ylim()
    assert 0 < low < 0.05 and 0.5 < high < 1
