"""The pictures: whole or not there, of a sensible size, without matplotlib's global state."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.image import imread
from PIL import Image, ImageSequence
from running import environment

from tinygen import plots

HISTORY = [{"epoch": e, "train_loss": 1 / e, "test_loss": 0.9 / e} for e in range(1, 11)]
CURVES = {"train_loss": "training", "test_loss": "test"}
IMAGES = np.random.default_rng(0).random((7, 12))


def picture(path):
    """The pixels of a picture, which must be all that there is in the folder."""
    assert os.listdir(path.parent) == [path.name]
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size < 500_000
    return imread(path)[:, :, :3]


def is_empty(pixels):
    return bool(np.all(pixels == 1))


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were drawn, in a list, to be asked what stands in them."""
    figures, draw = [], plots.Figure.savefig

    def note(self, *rest, **options):
        figures.append(self)
        return draw(self, *rest, **options)

    monkeypatch.setattr(plots.Figure, "savefig", note)
    return figures


@pytest.mark.parametrize("rows", [1, 2, 5])
@pytest.mark.parametrize("n", [1, 7])
def test_images_in_rows(tmp_path, rows, n):
    path = tmp_path / "x.png"
    named = {f"row {i}": IMAGES[:n] for i in range(rows)}
    plots.images_in_rows(path, named, (3, 4))
    found = picture(path)
    height, width = found.shape[:2]
    assert 50 < height < 1000 and 100 < width < 1500
    edges = found[0], found[-1], found[:, 0], found[:, -1]
    assert all(is_empty(edge) for edge in edges), "nothing is cut off"


def test_the_images_are_those_that_were_given(tmp_path):
    path = tmp_path / "x.png"
    dark, light = np.ones((1, 12)), np.zeros((1, 12))
    plots.images_in_rows(path, {"": np.concatenate([dark, light, dark])}, (3, 4))
    ink = picture(path).mean(axis=2) < 0.1
    columns = np.flatnonzero(ink.any(axis=0))
    gap = np.diff(columns).max()
    # Two black blocks of 4 pixels; between them an empty image and a frame on either side.
    assert gap == pytest.approx((columns[-1] - columns[0]) * 8 / 16, rel=0.1)


@pytest.mark.parametrize("epochs", [1, 2, 10])
@pytest.mark.parametrize("scale", [1e-6, 1, 1000])
@pytest.mark.parametrize("lines", [None, {"PCA": 0.3}])
def test_loss_curves(tmp_path, epochs, scale, lines):
    path = tmp_path / "x.png"
    history = [{k: v * scale if "loss" in k else v for k, v in row.items()} for row in HISTORY]
    plots.loss_curves(path, history[:epochs], CURVES, "loss", lines)
    found = picture(path)
    assert 300 < found.shape[0] < 700 and 600 < found.shape[1] < 1100
    assert is_empty(found[0]) and is_empty(found[:, 0]), "nothing is cut off"


@pytest.mark.parametrize("value", [0.0, -1.0, 5.0])
def test_curves_that_have_no_logarithm_or_do_not_move(tmp_path, value):
    flat = [{"epoch": e, "loss": value} for e in (1, 2, 3)]
    plots.loss_curves(tmp_path / "x.png", flat, {"loss": "loss"}, "loss")
    assert not is_empty(picture(tmp_path / "x.png"))


def test_the_terms_of_a_loss_share_one_logarithmic_figure(tmp_path, drawn):
    history = [{"epoch": e, "elbo": 105, "reconstruction": 80, "kl": 25} for e in (1, 2, 3)]
    keys = {"elbo": "negative ELBO", "reconstruction": "reconstruction", "kl": "KL"}
    plots.loss_curves(tmp_path / "x.png", history, keys, "nats per image", {"PCA": 120})
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


@pytest.mark.parametrize("log_x, log_y", [(False, False), (False, True), (True, True)])
@pytest.mark.parametrize("values", [[1e-5, 3, 1e5], [0, 1, 2]])
def test_line_plot(tmp_path, drawn, log_x, log_y, values):
    args = [1, 10, 1000], {"a": values, "b": [1, 1, 1]}, "samples", "variance", {"floor": 0.5}
    plots.line_plot(tmp_path / "x.png", *args, log_x=log_x, log_y=log_y)
    assert is_empty(picture(tmp_path / "x.png")[0])
    (ax,) = drawn[0].axes
    scales = {False: "linear", True: "log"}
    assert (ax.get_xscale(), ax.get_yscale()) == (scales[log_x], scales[log_y])
    assert ax.lines[0].get_xydata().tolist() == [[1, values[0]], [10, values[1]], [1000, values[2]]]


@pytest.mark.parametrize("values", [[-3, 2, 0.5], [-9, -1, -3], [-1e-9, 1, 100]])
def test_a_curve_that_is_not_above_zero_has_no_logarithm(tmp_path, drawn, values):
    """A critic's loss, say; nothing of the curve or of the level is cut off."""
    plots.line_plot(tmp_path / "x.png", [1, 2, 3], {"critic": values}, "epoch", "loss", {"": -4})
    assert is_empty(picture(tmp_path / "x.png")[0])
    (ax,) = drawn[0].axes
    low, high = ax.get_ylim()
    assert ax.get_yscale() == "linear"
    assert low < min(-4, *values) and high > max(values)
    assert ax.lines[0].get_ydata().tolist() == values


@pytest.mark.parametrize("window", [None, (-2, 1)])
def test_functions(tmp_path, drawn, window):
    x = np.linspace(-3, 3, 50)
    panels = {"value": {"a": x, "b": x * x}, "slope": {"b": 2 * x, "c": 0.1 * x}}
    plots.functions(tmp_path / "x.png", x, panels, "logit", window)
    found = picture(tmp_path / "x.png")
    assert is_empty(found[0]) and is_empty(found[-1]) and is_empty(found[:, 0])
    axes, colours = drawn[0].axes, {}
    assert [ax.get_title() for ax in axes] == ["value", "slope"]
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
    plots.functions(tmp_path / "x.png", [0, 1], {"": {"a": [0, 1]}}, "x", (-100, 100))
    low, high = drawn[0].axes[0].get_ylim()
    assert -0.2 < low < 0 and 1 < high < 1.2


@pytest.mark.parametrize("m, columns", [(1, 1), (3, 8), (400, 20)])
def test_sheet(tmp_path, m, columns):
    images = np.random.default_rng(0).random((m, 12))
    plots.sheet(tmp_path / "x.png", images, (3, 4), columns, title="samples")
    found = picture(tmp_path / "x.png")
    assert 15 < found.shape[0] < 1400 and 30 < found.shape[1] < 1400
    assert is_empty(found[0]) and is_empty(found[-1]) and is_empty(found[:, 0])


def test_a_sheet_is_read_as_a_page(tmp_path):
    images = np.zeros((5, 12))
    images[1] = 1  # above, in the middle; the corners of all images are dots, to see the whole
    images[:, [0, 3, 8, 11]] = 1
    images[3] = 1  # below, at the left
    plots.sheet(tmp_path / "x.png", images, (3, 4), 3)
    ink = picture(tmp_path / "x.png").mean(axis=2) < 0.5
    rows, columns = (np.flatnonzero(ink.any(axis=a)) for a in (1, 0))
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = ink.shape[1] // 16  # three images of 4, and between them twice two pixels of gap
    assert ink.shape == (8 * scale, 16 * scale)
    whole = np.zeros((8, 16), bool)
    for y, x in ((0, 0), (0, 6), (0, 12), (5, 0), (5, 6)):
        whole[y : y + 3 : 2, x : x + 4 : 3] = True
    whole[0:3, 6:10] = whole[5:8, 0:4] = True
    assert np.array_equal(ink, whole.repeat(scale, axis=0).repeat(scale, axis=1))


@pytest.mark.parametrize("side", [8, 70])
def test_the_pixels_of_a_manifold_are_of_one_width_without_gaps(tmp_path, side):
    z = np.linspace(-2, 2, side)
    stripes = np.tile([1.0, 0, 1, 0], (side * side, 3))
    plots.manifold(tmp_path / "x.png", stripes, (3, 4), z, z[::-1])
    height = (picture(tmp_path / "x.png").mean(axis=2) < 0.5).sum(axis=0)
    scale = height.max() // (3 * side)
    dark = np.flatnonzero(height >= 3 * side * scale)  # from the first row of images to the last
    expected = dark[0] + np.arange(4 * side * scale).reshape(2 * side, 2 * scale)[:, :scale]
    assert dark.tolist() == expected.ravel().tolist()


def test_a_manifold_says_where_its_codes_lie(tmp_path, drawn):
    plots.manifold(tmp_path / "x.png", np.zeros((6, 12)), (3, 4), [-1.5, -0.26, 1], [2, -2])
    assert not is_empty(picture(tmp_path / "x.png"))
    (ax,) = drawn[0].axes
    minus = "\N{MINUS SIGN}"
    across, down = ([t.get_text() for t in a.get_ticklabels()] for a in (ax.xaxis, ax.yaxis))
    assert across == [f"{minus}1.5", f"{minus}0.3", "1.0"] and down == ["2.0", f"{minus}2.0"]
    # Pixel 0 has its middle at 0: four pixels from 0 to 3, the next four from 4 to 7.
    assert ax.get_xticks().tolist() == [1.5, 5.5, 9.5] and ax.get_yticks().tolist() == [1, 4]


def test_a_manifold_of_numbers_is_one_row(tmp_path, drawn):
    plots.manifold(tmp_path / "x.png", np.zeros((60, 12)), (3, 4), np.linspace(-2, 2, 60))
    (ax,) = drawn[0].axes
    assert ax.images[0].get_array().shape == (3, 240)
    assert ax.get_yticks().tolist() == [] and len(ax.get_xticks()) == 20  # each third of 60


@pytest.mark.parametrize("panels, labelled", [(1, True), (2, False), (5, True)])
def test_codes(tmp_path, panels, labelled, drawn):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 300).astype(np.uint8)
    named = {f"model {i}": rng.standard_normal((300, 2)) for i in range(panels)}
    plots.codes(tmp_path / "x.png", named, labels if labelled else None)
    found = picture(tmp_path / "x.png")
    assert is_empty(found[0]) and is_empty(found[-1]) and is_empty(found[:, 0])
    assert [ax.get_title() for ax in drawn[0].axes] == [*named]
    for ax, z in zip(drawn[0].axes, named.values(), strict=True):
        assert np.array_equal(ax.collections[0].get_offsets(), z)
        assert ax.get_aspect() == 1
    legends = [[text.get_text() for text in x.get_texts()] for x in drawn[0].legends]
    assert legends == ([[*"0123456789"]] if labelled else [])


def test_a_digit_has_one_colour_in_the_legend_and_in_the_plane(tmp_path, drawn):
    labels = np.array([3, 1, 3, 0, 9])
    plots.codes(tmp_path / "x.png", {"": np.eye(5)[:, :2]}, labels)
    dots = [to_hex(colour) for colour in drawn[0].axes[0].collections[0].get_facecolors()]
    (legend,) = drawn[0].legends
    names = [int(text.get_text()) for text in legend.get_texts()]
    shown = dict(zip(names, (to_hex(h.get_color()) for h in legend.legend_handles), strict=True))
    assert list(shown) == [0, 1, 3, 9] and dots == [shown[k] for k in labels]
    assert len({*shown.values()}) == 4 and len({*plots.COLOURS}) == 10


@pytest.mark.parametrize("labelled", [True, False])
def test_what_was_drawn_stands_beside_what_was_encoded_on_the_same_scales(
    tmp_path, drawn, labelled
):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 200) if labelled else None
    encoded = {"encoder": rng.standard_normal((200, 2)), "other": 9 + rng.random((200, 2))}
    prior = 5 * rng.standard_normal((50, 2))
    plots.codes(tmp_path / "x.png", encoded, labels, {"encoder": ("the prior", prior)})
    found = picture(tmp_path / "x.png")
    assert is_empty(found[0]) and is_empty(found[-1]) and is_empty(found[:, 0])
    axes = drawn[0].axes
    assert [ax.get_title() for ax in axes] == ["encoder", "the prior", "other"]
    for ax, z in zip(axes, (encoded["encoder"], prior, encoded["other"]), strict=True):
        assert np.array_equal(ax.collections[0].get_offsets(), z) and ax.get_aspect() == 1
    assert axes[0].get_xlim() == axes[1].get_xlim() != axes[2].get_xlim()
    assert axes[0].get_ylim() == axes[1].get_ylim() != axes[2].get_ylim()
    # No colour of a digit for what shows none.
    (colour,) = axes[1].collections[0].get_facecolors()
    assert to_hex(colour) == plots.MADE and plots.MADE not in plots.COLOURS
    assert len(drawn[0].legends) == labelled


def test_far_codes_do_not_squeeze_the_others(tmp_path, drawn):
    z = np.random.default_rng(0).standard_normal((1000, 2)) * (1, 3) + 7
    z[:4] = 1e6, -1e6
    plots.codes(tmp_path / "x.png", {"": z})
    (ax,) = drawn[0].axes
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    assert right - left == pytest.approx(high - low)  # a square with equal scales
    seen = (left < z[:, 0]) & (z[:, 0] < right) & (low < z[:, 1]) & (z[:, 1] < high)
    assert 0.98 < seen.mean() < 1 and high - low < 25


def test_codes_that_are_all_one(tmp_path):
    plots.codes(tmp_path / "x.png", {"collapsed": np.zeros((10, 2))})
    assert not is_empty(picture(tmp_path / "x.png"))


@pytest.mark.parametrize("c", [1, 2, 200])
def test_kl_per_dimension(tmp_path, drawn, c):
    kl = np.random.default_rng(0).permutation(np.geomspace(1e-4, 3, c) if c > 1 else [2.0])
    plots.kl_per_dimension(tmp_path / "x.png", kl, threshold=0.02)
    found = picture(tmp_path / "x.png")
    assert is_empty(found[0]) and is_empty(found[:, 0])
    (ax,) = drawn[0].axes
    bars = ax.patches
    assert [bar.get_height() for bar in bars] == sorted(kl, reverse=True)
    active = [bar for bar in bars if to_hex(bar.get_facecolor()) == plots.ABOVE]
    assert len(active) == sum(kl > 0.02) and active == bars[: len(active)]
    expected = f"{len(active)} of {c} above 0.02 nats; {sum(kl):.1f} nats in all"
    assert ax.get_title() == expected


def test_a_code_that_carries_nothing(tmp_path, drawn):
    plots.kl_per_dimension(tmp_path / "x.png", np.zeros(3))
    assert drawn[0].axes[0].get_title() == "0 of 3 above 0.01 nats; 0.0 nats in all"
    assert drawn[0].axes[0].get_ylim()[0] <= 0


@pytest.mark.parametrize("models, labelled", [(1, False), (3, True)])
def test_compare(tmp_path, models, labelled, drawn):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 50) if labelled else None
    shown = {
        f"model {i}": plots.Shown(*rng.random((3, 6, 12)), rng.random((50, 2)))
        for i in range(models)
    }
    plots.compare(tmp_path / "x.png", IMAGES[:6], shown, (3, 4), labels)
    found = picture(tmp_path / "x.png")
    assert is_empty(found[0]) and is_empty(found[-1]) and is_empty(found[:, 0])
    assert [ax.get_title(loc="left") for ax in drawn[0].axes if ax.get_title(loc="left")] == [
        *shown
    ]
    # From top to bottom the images are those that were given, in the order that was promised.
    strips = [ax.images[0].get_array() for ax in drawn[0].axes if ax.images]
    expected = [IMAGES[:6]]
    for each in shown.values():
        expected += each.reconstructions, each.samples, each.interpolation
    for strip, images in zip(strips, expected, strict=True):
        inside = strip[1:4].reshape(3, 6, 6)[:, :, 1:5]
        assert np.array_equal(inside.swapaxes(0, 1).reshape(6, 12), images)
    dots = [ax.collections[0].get_offsets() for ax in drawn[0].axes if ax.collections]
    for z, each in zip(dots, shown.values(), strict=True):
        assert np.array_equal(z, each.codes)
    assert sum(ax.get_legend() is not None for ax in drawn[0].axes) == labelled


@pytest.mark.parametrize("units", [1, 3, 16, 100])
def test_filters(tmp_path, units):
    path = tmp_path / "x.png"
    plots.filters(path, np.random.default_rng(1).standard_normal((12, units)), (3, 4))
    found = picture(path)
    assert 50 < found.shape[0] < 1000 and 200 < found.shape[1] < 1500
    assert is_empty(found[0]) and is_empty(found[:, 0])


def test_the_sign_of_a_filter_is_its_colour_and_the_largest_come_first(tmp_path):
    W = np.array([[1.0, -9.0, 0.0]] * 12)  # positive, negative, all zero
    plots.filters(tmp_path / "x.png", W, (3, 4))
    pixels = picture(tmp_path / "x.png")
    red, blue = (pixels[:, :, c] - pixels[:, :, 2 - c] > 0.2 for c in (0, 2))
    column_of = lambda mask: np.flatnonzero(mask.any(axis=0)).mean()  # noqa: E731
    assert column_of(blue) < column_of(red)


def test_a_picture_that_cannot_be_drawn_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "x.png"
    plots.filters(path, IMAGES.T, (3, 4))
    before = path.read_bytes()

    def fail(self, file, **options):
        file.write(b"half a pic")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", fail)
    with pytest.raises(OSError, match="No space left"):
        plots.filters(path, IMAGES.T, (3, 4))
    assert os.listdir(tmp_path) == ["x.png"] and path.read_bytes() == before


def frames_of(path):
    """What a viewer shows of an animation: an RGB picture a frame, and their milliseconds."""
    with Image.open(path) as gif:
        assert gif.format == "GIF" and gif.info["loop"] == 0, "it must start again at its end"
        shown = [(f.convert("RGB"), f.info["duration"]) for f in ImageSequence.Iterator(gif)]
    pictures, milliseconds = zip(*shown, strict=True)
    return np.stack([np.asarray(each) for each in pictures]), [*milliseconds]


def grow(path, epochs, seed=0, shape=(28, 30)):
    for epoch in epochs:
        images = np.random.default_rng((seed, epoch)).random((5, shape[0] * shape[1]))
        plots.add_frame(path, images, shape, 3, epoch)


def test_an_animation_grows_and_what_it_had_stays(tmp_path):
    path = tmp_path / "x.gif"
    before = np.empty((0, 132, 180, 3), np.uint8)
    for epoch in range(6):
        grow(path, [epoch])
        now, milliseconds = frames_of(path)
        assert now.shape == (epoch + 1, 132, 180, 3)  # 2 x 28 rows twice, and 20 for the epoch
        assert milliseconds == [200] * epoch + [2000]
        assert np.array_equal(now[:-1], before)
        before = now
    assert os.listdir(tmp_path) == ["x.gif"]


def test_a_frame_shows_the_images(tmp_path):
    images = np.array([[0, 0.5, 1, 1.5], [1, 0, -0.5, 1], [1, 1, 1, 1]])
    large = images.reshape(3, 2, 2).repeat(30, axis=1).repeat(30, axis=2).reshape(3, -1)
    plots.add_frame(tmp_path / "x.gif", large, (60, 60), 2, epoch=12)
    (frame,), milliseconds = frames_of(tmp_path / "x.gif")
    assert milliseconds == [2000] and frame.shape == (20 + 4 * 60, 4 * 60, 3)  # twice as large
    found = frame[20 + 30 :: 60, 30::60, 0]
    expected = 255 - 255 * np.array([[0, 0.5, 1, 0], [1, 1, 0, 1], [1, 1, 0, 0], [1, 1, 0, 0]])
    assert abs(found - expected).max() <= 255 / 62 + 1, "half a step of 32 greys"
    assert frame[:20].min() < 100, "the epoch is written above"
    assert np.array_equal(frame[20:].reshape(4, 60, 4, 60, 3).min(axis=(1, 3))[..., 0], found)


@pytest.mark.parametrize("shape", [(1, 70_000), (70_000, 1), (500, 500)])
def test_a_frame_of_large_images_is_made_small(tmp_path, shape):
    """GIF knows no side of more than 65,535 pixels, and all frames are held in memory."""
    images = np.ones((4, shape[0] * shape[1]))
    for epoch in (1, 2):
        plots.add_frame(tmp_path / "x.gif", images, shape, 2, epoch)
    frames, _ = frames_of(tmp_path / "x.gif")
    assert len(frames) == 2 and max(frames[0].shape) <= plots.MOST_SIDE + 20


@pytest.mark.parametrize("columns", [1, 4])
def test_equal_images_are_a_frame_for_each_epoch(tmp_path, columns):
    """Pillow would leave out a frame that is equal to the one before it."""
    path = tmp_path / "x.gif"
    epochs = [0, 1, 2, 100_000, 100_001]
    for epoch in epochs:
        plots.add_frame(path, np.zeros((4, 12)), (3, 4), columns, epoch)
    assert frames_of(path)[1] == [200] * 4 + [2000]


def test_a_resumed_run_replaces_the_frames_it_draws_again(tmp_path):
    path = tmp_path / "x.gif"
    grow(path, [0, 2, 4, 6])
    old, _ = frames_of(path)
    grow(path, [3, 6], seed=1)
    new, milliseconds = frames_of(path)
    assert len(new) == 4 and milliseconds == [200] * 3 + [2000]
    assert np.array_equal(new[:2], old[:2])
    assert not np.array_equal(new[3], old[3])


def test_an_interrupted_run_leaves_the_animation_of_one_that_was_not(tmp_path):
    grow(tmp_path / "whole.gif", range(5))
    grow(tmp_path / "resumed.gif", [*range(4), *range(2, 5)])
    whole, resumed = (tmp_path / f"{name}.gif" for name in ("whole", "resumed"))
    assert whole.read_bytes() == resumed.read_bytes()


def test_an_animation_of_many_epochs(tmp_path):
    """Their list is longer than one block of a GIF, of 255 bytes."""
    path = tmp_path / "x.gif"
    for epoch in range(100_000, 100_040):
        plots.add_frame(path, np.zeros((1, 12)), (3, 4), 1, epoch)
    assert len(frames_of(path)[0]) == 40


@pytest.mark.parametrize("share", [0, 0.01, 0.1, 0.5, 0.9, 0.99])
def test_a_truncated_animation_is_begun_anew(tmp_path, share):
    path = tmp_path / "x.gif"
    grow(path, range(5))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    grow(path, [5])
    alone = frames_of(path)[0]
    assert len(alone) == 1
    path.write_bytes(whole)
    grow(path, [5])
    assert np.array_equal(frames_of(path)[0][-1], alone[0])


def other_gif(path, comment, size=(180, 132)):
    a, b = (Image.new("L", size, shade) for shade in (0, 200))
    options = {} if comment is None else {"comment": comment}
    a.save(path, save_all=True, append_images=[b], **options)


@pytest.mark.parametrize("comment", [None, "hello", "[1]", "[2, 1]", "[1, 1]", '["a", "b"]', "3"])
def test_the_animation_of_another_program_is_begun_anew(tmp_path, comment):
    path = tmp_path / "x.gif"
    other_gif(path, comment)
    grow(path, [7])
    assert len(frames_of(path)[0]) == 1


def test_it_is_the_comment_that_says_which_epochs_an_animation_has(tmp_path):
    """So that the test before this one can fail."""
    path = tmp_path / "x.gif"
    other_gif(path, json.dumps([1, 2]))
    grow(path, [7])
    assert len(frames_of(path)[0]) == 3


@pytest.mark.parametrize("content", [b"", b"nonsense", b"GIF89a", b"GIF89a" + b"\xff" * 100])
def test_what_is_no_animation_is_replaced(tmp_path, content):
    path = tmp_path / "x.gif"
    path.write_bytes(content)
    grow(path, [0, 1])
    assert len(frames_of(path)[0]) == 2


def test_frames_of_another_size_are_dropped(tmp_path):
    path = tmp_path / "x.gif"
    grow(path, [0, 1])
    grow(path, [2, 3], shape=(30, 28))
    assert frames_of(path)[0].shape == (2, 140, 168, 3)


def test_any_damage_costs_frames_at_most(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "x.gif"
    grow(path, range(3), shape=(8, 8))
    whole = path.read_bytes()
    for _ in range(60):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        grow(path, [3], shape=(8, 8))
        with Image.open(path) as gif:
            assert 1 <= gif.n_frames <= 4


def test_a_frame_that_cannot_be_written_leaves_the_animation(tmp_path, monkeypatch):
    path = tmp_path / "x.gif"
    grow(path, [0, 1])
    before = path.read_bytes()

    def fail(self, file, **options):
        file.write(b"half a pic")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="No space left"):
        grow(path, [2])
    assert os.listdir(tmp_path) == ["x.gif"] and path.read_bytes() == before


# Points of the plane. The square below reaches from -2 to 2; a pixel of a frame is 0.01 wide.

POINTS = np.array([[1.0, 1.5], [-1.0, 0.5], [0.3, -1.9]])


def rgb(colour):
    """A colour as a frame has it, rounded down to multiples of 4."""
    return [*(np.round(255 * np.array(to_rgb(colour))).astype(int) & 252)]


def frame_of(path):
    """The only frame of an animation, without what stands above it: (400, 400, 3)."""
    (frame,), _ = frames_of(path)
    assert frame.shape == (420, 400, 3)
    return frame[20:].astype(int)


def places(frame, colour):
    """Where a frame has a colour: the middles of its pixels in the plane, (n, 2)."""
    rows, columns = np.nonzero((frame == rgb(colour)).all(axis=2))
    return np.stack([columns + 0.5 - 200, 200 - rows - 0.5], axis=1) / 100


def test_the_plane_is_read_as_a_page():
    points = plots.plane(2.0)
    grid = points.reshape(plots.FIELD_SIDE, plots.FIELD_SIDE, 2)
    assert np.all(np.diff(grid[:, :, 0], axis=1) > 0) and np.all(np.diff(grid[:, :, 1], axis=0) < 0)
    assert np.all(grid[0, :, 1] == grid[0, 0, 1]) and np.all(grid[:, 0, 0] == grid[0, 0, 0])
    half = 2 / plots.FIELD_SIDE
    np.testing.assert_allclose([points.min(axis=0), points.max(axis=0)],
                               [[half - 2] * 2, [2 - half] * 2])  # fmt: skip


def test_a_frame_of_the_plane_shows_points_and_the_field_where_they_are(tmp_path):
    # Real where x > 0 and y > 0, and the higher the more.
    x, y = plots.plane(2.0).T
    field = np.where((x > 0) & (y > 0), y / 2, 0).reshape(plots.FIELD_SIDE, -1)
    plots.add_mixture_frame(tmp_path / "x.gif", POINTS[:2], POINTS[2:], 2.0, 3, field)
    frame = frame_of(tmp_path / "x.gif")
    for colour, points in ((plots.REAL, POINTS[2:]), (plots.MADE, POINTS[:2])):
        found = places(frame, colour)
        assert len(found) == 4 * len(points)
        nearest = abs(found[:, None] - points).max(axis=2).argmin(axis=1)
        assert abs(found - points[nearest]).max() <= 0.02 + 1e-9
        assert {*nearest} == {*range(len(points))}
    assert frame[399, 0].tolist() == frame[0, 0].tolist() == rgb(plots.FIELD[0])
    assert frame[0, 399].tolist() == rgb(plots.FIELD[2])
    assert np.all(frame[98:102, 250] == rgb("white")), "y = 1 is a field of 1/2"


def test_samples_hide_the_data_and_those_outside_are_counted(tmp_path):
    far = np.array([[2.001, 0], [0, -2.001], [1e300, 0], [-np.inf, 1]])
    plots.add_mixture_frame(tmp_path / "x.gif", POINTS, POINTS, 2.0, 3)
    plots.add_mixture_frame(tmp_path / "y.gif", np.concatenate([POINTS, far]), POINTS, 2.0, 3)
    one, other = (frame_of(tmp_path / name) for name in ("x.gif", "y.gif"))
    assert len(places(one, plots.REAL)) == 0 and len(places(one, plots.MADE)) == 12
    assert np.array_equal(one, other)
    above = [frames_of(tmp_path / name)[0][0, :20] for name in ("x.gif", "y.gif")]
    dark = [np.flatnonzero((part < 100).any(axis=(0, 2))) for part in above]
    assert dark[0].max() < 60 < 100 < dark[1].max() < 300, "the second says how many"


def test_centres_have_a_circle_each(tmp_path):
    plots.add_mixture_frame(tmp_path / "x.gif", [[9.0, 9]], [[9.0, 9]], 2.0, 3, centres=POINTS[:2])
    found = places(frame_of(tmp_path / "x.gif"), "black")
    distance = np.linalg.norm(found[:, None] - POINTS[:2], axis=2).min(axis=1)
    assert len(found) > 40 and distance.min() > 0.045 and distance.max() < 0.085


def grow_plane(path, epochs, seed=0):
    for epoch in epochs:
        rng = np.random.default_rng((seed, epoch))
        field = rng.random((20, 20))  # all the colours there are
        plots.add_mixture_frame(path, *rng.normal(0, 1, (2, 50, 2)), 2.0, epoch, field, POINTS)


def test_an_animation_of_the_plane_grows_and_resumes_as_that_of_images_does(tmp_path):
    path, before = tmp_path / "whole.gif", np.empty((0, 420, 400, 3), np.uint8)
    for epoch in range(4):
        grow_plane(path, [epoch])
        now, milliseconds = frames_of(path)
        assert now.shape == (epoch + 1, 420, 400, 3)
        assert milliseconds == [200] * epoch + [2000]
        assert np.array_equal(now[:-1], before)
        before = now
    grow_plane(tmp_path / "resumed.gif", [0, 1, 2])
    grow_plane(tmp_path / "resumed.gif", [2], seed=1)
    grow_plane(tmp_path / "resumed.gif", [1, 2, 3])
    assert path.read_bytes() == (tmp_path / "resumed.gif").read_bytes()


def test_a_film_of_sixty_frames_is_small(tmp_path):
    """As of a training: a smooth field that moves, points at twenty-five modes."""
    path, rng = tmp_path / "x.gif", np.random.default_rng(0)
    x, y = plots.plane(5.0).T
    modes = np.stack(np.meshgrid(*[np.arange(-4.0, 5, 2)] * 2), axis=-1).reshape(-1, 2)

    def points(n, deviation):
        return modes[rng.integers(0, 25, n)] + deviation * rng.standard_normal((n, 2))

    real = points(1000, 0.05)
    for epoch in range(4):
        field = 0.5 + 0.4 * np.sin(x + epoch) * np.cos(y)
        field = field.reshape(plots.FIELD_SIDE, -1)
        plots.add_mixture_frame(path, points(2500, 0.2), real, 5.0, epoch, field, modes)
    assert path.stat().st_size < 4 / 60 * 3e6


@pytest.mark.parametrize("behind", [True, False])
def test_mixture(tmp_path, drawn, behind):
    x, _ = plots.plane(2.0).T
    field = (x > 0).astype(float).reshape(plots.FIELD_SIDE, -1) if behind else None
    centres = POINTS[:2] if behind else None
    plots.mixture(tmp_path / "x.png", POINTS[:2], POINTS[2:], 2.0, field, centres, "2 of 2")
    found = picture(tmp_path / "x.png")
    assert is_empty(found[0]) and is_empty(found[-1]) and is_empty(found[:, 0])
    (ax,) = drawn[0].axes
    assert ax.get_title() == "2 of 2" and ax.get_aspect() == 1
    assert ax.get_xlim() == ax.get_ylim() == (-2, 2)
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["data", "samples", "centres"][: len(ax.collections)]
    shown = [dots.get_offsets() for dots in ax.collections]
    for dots, points in zip(shown, [POINTS[2:], POINTS[:2], POINTS[:2]], strict=False):
        assert np.array_equal(dots, points)
    colours = [to_hex(dots.get_facecolors()[0]) for dots in ax.collections[:2]]
    assert colours == [plots.REAL, plots.MADE] and len(shown) == 2 + behind
    if behind:  # blue at the left, orange at the right
        height, width = found.shape[:2]
        left, right = (found[height // 3, int(share * width)] for share in (0.3, 0.7))
        assert left[2] > left[0] and right[0] > right[2]


def test_pyplot_and_a_display_are_not_needed(tmp_path):
    program = (
        "import sys, numpy as np; from tinygen import plots; from pathlib import Path;"
        f"plots.filters(Path({str(tmp_path / 'x.png')!r}), np.eye(4), (2, 2));"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    shell = {k: v for k, v in environment(MPLBACKEND="TkAgg").items() if k != "DISPLAY"}
    subprocess.run([sys.executable, "-c", program], env=shell, check=True, timeout=60)
    assert not is_empty(picture(tmp_path / "x.png"))


@pytest.mark.parametrize("classes", [1, 2, 10])
def test_a_confusion_has_every_count_in_its_place_and_colours_mistakes(tmp_path, drawn, classes):
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 3, (classes, classes)) * rng.integers(0, 200, (classes, classes))
    counts[np.arange(classes), np.arange(classes)] = 980
    plots.confusion(tmp_path / "x.png", counts, "finetune, 100 labels: 77 wrong")
    found = picture(tmp_path / "x.png")
    assert is_empty(found[0]) and is_empty(found[-1]) and is_empty(found[:, 0])
    (ax,) = drawn[0].axes
    assert ax.get_title() == "finetune, 100 labels: 77 wrong"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("said", "true")
    written = {text.get_position(): int(text.get_text()) for text in ax.texts}
    expected = {(j, k): counts[k, j] for k, j in np.ndindex(classes, classes) if counts[k, j]}
    assert written == expected  # the column, which was said, is x
    shown = ax.images[0].get_array()
    assert not shown[np.arange(classes), np.arange(classes)].any()  # what is right has no colour
    np.testing.assert_array_equal(np.where(shown > 0, shown, counts * np.eye(classes)), counts)
    assert ax.images[0].get_clim()[1] > shown.max()  # a number can be read on any of them


def test_a_confusion_without_mistakes(tmp_path, drawn):
    plots.confusion(tmp_path / "x.png", 9 * np.eye(3, dtype=int), "all right")
    assert not is_empty(picture(tmp_path / "x.png"))
    assert [text.get_text() for text in drawn[0].axes[0].texts] == ["9"] * 3


@pytest.mark.parametrize(("n", "shape"), [(1, (3, 4)), (9, (3, 4)), (8, (5, 2)), (32, (28, 28))])
def test_each_image_has_its_caption_below_it(tmp_path, drawn, n, shape):
    images = np.random.default_rng(0).random((n, shape[0] * shape[1]))
    captions = [f"4, said {k}\nat 100%" for k in range(n)]
    plots.captioned(tmp_path / "x.png", images, captions, shape)
    found = picture(tmp_path / "x.png")
    assert is_empty(found[0]) and is_empty(found[-1]) and is_empty(found[:, 0])
    axes = [ax for ax in drawn[0].axes if ax.images]
    texts = [next(t for t in (*ax.texts, ax.title) if t.get_text()) for ax in axes]
    assert [text.get_text() for text in texts] == captions
    for ax, image in zip(axes, images, strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), image.reshape(shape))
    renderer = FigureCanvasAgg(drawn[0]).get_renderer()
    boxes = [
        (ax.images[0].get_window_extent(renderer), text.get_window_extent(renderer))
        for ax, text in zip(axes, texts, strict=True)
    ]
    assert all(text.y1 <= image.y0 + 1 for image, text in boxes)
    for k in range(8, n):  # the captions of a row stay above the images of the next one
        assert boxes[k - 8][1].y0 >= boxes[k][0].y1 - 1
    for (_, left), (_, right) in pairwise(boxes):  # and beside each other
        assert left.x1 < right.x0 or right.y1 < left.y0


def test_no_mistakes_give_a_picture_without_any(tmp_path):
    plots.captioned(tmp_path / "x.png", [], [], (28, 28))
    assert is_empty(picture(tmp_path / "x.png"))


def test_a_curve_that_is_nan_has_a_gap_and_the_axes_do_not_mind(tmp_path, drawn):
    nan = float("nan")
    curves = {"whole": [0.5, 0.2, 0.1, 0.05], "shorter": [0.4, 0.3, nan, nan]}
    plots.line_plot(tmp_path / "x.png", range(1, 5), curves, "epoch", "test error")
    assert not is_empty(picture(tmp_path / "x.png"))
    (ax,) = drawn[0].axes
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), curves["shorter"])
    assert ax.get_yscale() == "log"  # one is more than three times another
    low, high = ax.get_ylim()
    assert 0 < low < 0.05 and 0.5 < high < 1
