"""Pictures of images: every pixel in its place, nothing cut off, and no display needed."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from picture_files import is_empty, picture
from running import environment

from tinygen import plots

IMAGES = np.random.default_rng(0).random((7, 12))


@pytest.mark.parametrize(("rows", "n"), [(1, 1), (2, 7), (5, 1)])
def test_images_in_rows(tmp_path, rows, n):
    path = tmp_path / "x.png"
    named = {f"row {i}": IMAGES[:n] for i in range(rows)}
    plots.images_in_rows(named, (3, 4), path=path)
    pixels = picture(path)
    height, width = pixels.shape[:2]
    assert 50 < height < 1000 and 100 < width < 1500
    edges = pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]
    assert all(is_empty(edge) for edge in edges), "nothing is cut off"


def test_the_images_are_those_that_were_given(tmp_path):
    path = tmp_path / "x.png"
    dark, light = np.ones((1, 12)), np.zeros((1, 12))
    plots.images_in_rows({"": np.concatenate([dark, light, dark])}, (3, 4), path=path)
    ink = picture(path).mean(axis=2) < 0.1
    columns = np.flatnonzero(ink.any(axis=0))
    gap = np.diff(columns).max()
    # Two black blocks of 4 pixels; between them an empty image and a frame on either side.
    assert gap == pytest.approx((columns[-1] - columns[0]) * 8 / 16, rel=0.1)


@pytest.mark.parametrize("m, columns", [(1, 1), (3, 8), (400, 20)])
def test_sheet(tmp_path, m, columns):
    images = np.random.default_rng(0).random((m, 12))
    plots.sheet(images, (3, 4), columns, title="samples", path=tmp_path / "x.png")
    pixels = picture(tmp_path / "x.png")
    assert 15 < pixels.shape[0] < 1400 and 30 < pixels.shape[1] < 1400
    assert is_empty(pixels[0]) and is_empty(pixels[-1]) and is_empty(pixels[:, 0])


def test_bytes_are_shown_as_floats_are():
    """As in a data set; 0 to 255 would all be white, or all ink."""
    for shape in ((3, 4), (2, 2, 3)):
        images = np.random.default_rng(0).integers(0, 256, (7, *shape), dtype=np.uint8)
        of_bytes, of_floats = plots.sheet(images), plots.sheet(images / 255)
        shown = [figure.axes[0].images[0].get_array() for figure in (of_bytes, of_floats)]
        np.testing.assert_allclose(*shown, atol=1 / 255)
        assert shown[0].max() <= 1
    with pytest.raises(
        ValueError, match=r"expected pixels in \[0, 1\], got 2\d\d; divide by 255\?"
    ):
        plots.sheet(images * 1.0)
    with pytest.raises(ValueError, match="expected 9 pixels for an image of 3 x 3, got 12"):
        plots.sheet(IMAGES, (3, 3))


def test_images_need_no_shape_and_rows_do():
    rows = np.random.default_rng(0).random((7, 6))
    of_rows, of_images = plots.sheet(rows, (2, 3)), plots.sheet(rows.reshape(7, 2, 3))
    shown = [figure.axes[0].images[0].get_array() for figure in (of_rows, of_images)]
    np.testing.assert_array_equal(*shown)
    with pytest.raises(ValueError, match=r"expected images \(h, w\).*, got \(6,\)"):
        plots.sheet(rows)


def test_a_sheet_is_read_as_a_page(tmp_path):
    images = np.zeros((5, 12))
    images[1] = 1  # above, in the middle; the corners of all images are dots, to see the whole
    images[:, [0, 3, 8, 11]] = 1
    images[3] = 1  # below, at the left
    plots.sheet(images, (3, 4), 3, path=tmp_path / "x.png")
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
    plots.manifold(stripes, (3, 4), z, z[::-1], path=tmp_path / "x.png")
    height = (picture(tmp_path / "x.png").mean(axis=2) < 0.5).sum(axis=0)
    scale = height.max() // (3 * side)
    dark = np.flatnonzero(height >= 3 * side * scale)  # from the first row of images to the last
    expected = dark[0] + np.arange(4 * side * scale).reshape(2 * side, 2 * scale)[:, :scale]
    assert dark.tolist() == expected.ravel().tolist()


def test_a_manifold_says_where_its_codes_lie(tmp_path, drawn):
    plots.manifold(np.zeros((6, 12)), (3, 4), [-1.5, -0.26, 1], [2, -2], path=tmp_path / "x.png")
    assert not is_empty(picture(tmp_path / "x.png"))
    (ax,) = drawn[0].axes
    minus = "\N{MINUS SIGN}"
    across, down = ([t.get_text() for t in a.get_ticklabels()] for a in (ax.xaxis, ax.yaxis))
    assert across == [f"{minus}1.5", f"{minus}0.3", "1.0"] and down == ["2.0", f"{minus}2.0"]
    # Pixel 0 has its middle at 0: four pixels from 0 to 3, the next four from 4 to 7.
    assert ax.get_xticks().tolist() == [1.5, 5.5, 9.5] and ax.get_yticks().tolist() == [1, 4]


def test_a_manifold_of_numbers_is_one_row(tmp_path, drawn):
    plots.manifold(np.zeros((60, 12)), (3, 4), np.linspace(-2, 2, 60), path=tmp_path / "x.png")
    (ax,) = drawn[0].axes
    assert ax.images[0].get_array().shape == (3, 240)
    assert ax.get_yticks().tolist() == [] and len(ax.get_xticks()) == 20  # each third of 60


@pytest.mark.parametrize("units", [1, 3, 16, 100])
def test_filters(tmp_path, units):
    path = tmp_path / "x.png"
    plots.filters(np.random.default_rng(1).standard_normal((12, units)), (3, 4), path=path)
    pixels = picture(path)
    assert 50 < pixels.shape[0] < 1000 and 200 < pixels.shape[1] < 1500
    assert is_empty(pixels[0]) and is_empty(pixels[:, 0])


def test_the_sign_of_a_filter_is_its_colour_and_the_largest_come_first(tmp_path):
    W = np.array([[1.0, -9.0, 0.0]] * 12)  # positive, negative, all zero
    plots.filters(W, (3, 4), path=tmp_path / "x.png")
    pixels = picture(tmp_path / "x.png")
    pixels = pixels[:, : 2 * pixels.shape[1] // 3]  # beside them is the colour bar
    red, blue = (pixels[:, :, c] - pixels[:, :, 2 - c] > 0.2 for c in (0, 2))
    column_of = lambda mask: np.flatnonzero(mask.any(axis=0)).mean()  # noqa: E731
    assert column_of(blue) < column_of(red)


def test_a_colour_that_is_a_number_says_which(tmp_path, drawn):
    plots.filters(IMAGES.T, (3, 4), path=tmp_path / "x.png")
    layers = {"a": np.full((3, 4, 2), 5.0), "b": np.full((1, 1, 1), -2.0)}
    plots.feature_maps(IMAGES[0], (3, 4), layers, path=tmp_path / "x.png")
    for figure, label in zip(drawn, ("weight / largest", "activation / largest"), strict=True):
        *pictures, bar = figure.axes
        assert bar.get_ylabel().startswith(label) and bar.get_yticks().tolist() == [-1, 0, 1]
        assert all(ax.images[0].get_clim() == (-1, 1) for ax in pictures[1:])
    _, a, b, _ = drawn[1].axes
    assert np.nanmax(image_of(a)) == 1 and np.nanmin(image_of(b)) == -1  # in its layer


def test_a_picture_that_cannot_be_drawn_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "x.png"
    plots.filters(IMAGES.T, (3, 4), path=path)
    before = path.read_bytes()

    def fail(self, file, **options):
        file.write(b"half a pic")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", fail)
    with pytest.raises(OSError, match="No space left"):
        plots.filters(IMAGES.T, (3, 4), path=path)
    assert os.listdir(tmp_path) == ["x.png"] and path.read_bytes() == before


def test_pyplot_and_a_display_are_not_needed(tmp_path):
    program = (
        "import sys, numpy as np; from tinygen import plots;"
        f"plots.filters(np.eye(4), (2, 2), path={str(tmp_path / 'x.png')!r});"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    shell = {k: v for k, v in environment(MPLBACKEND="TkAgg").items() if k != "DISPLAY"}
    subprocess.run([sys.executable, "-c", program], env=shell, check=True, timeout=60)
    assert not is_empty(picture(tmp_path / "x.png"))


@pytest.mark.parametrize(("n", "shape"), [(1, (3, 4)), (8, (5, 2)), (17, (28, 28))])
def test_each_image_has_its_caption_below_it(tmp_path, drawn, n, shape):
    images = np.random.default_rng(0).random((n, shape[0] * shape[1]))
    captions = [f"4, said {k}\nat 100%" for k in range(n)]
    plots.captioned(images, captions, shape, path=tmp_path / "x.png")
    pixels = picture(tmp_path / "x.png")
    assert is_empty(pixels[0]) and is_empty(pixels[-1]) and is_empty(pixels[:, 0])
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
    plots.captioned([], [], (28, 28), path=tmp_path / "x.png")
    assert is_empty(picture(tmp_path / "x.png"))


# Images in colour.

COLOURED = np.random.default_rng(1).integers(0, 256, (7, 3, 4, 3)) / 255
ROWS = COLOURED.reshape(7, -1)


def image_of(ax):
    """The image that an axis shows."""
    return np.asarray(ax.images[0].get_array())


def test_a_sheet_shows_colours_and_is_white_where_there_is_no_image(tmp_path):
    plots.sheet(ROWS, (3, 4, 3), 4, path=tmp_path / "x.png")
    pixels = picture(tmp_path / "x.png")
    background = (pixels == 1).all(axis=2)
    down, across = (np.flatnonzero(~background.all(axis=a)) for a in (1, 0))
    pixels = pixels[down[0] : down[-1] + 1, across[0] : across[-1] + 1]
    scale = pixels.shape[0] // 8  # two images of 3, and between them two pixels of gap
    assert pixels.shape == (8 * scale, 22 * scale, 3)
    small = pixels[scale // 2 :: scale, scale // 2 :: scale]
    expected = np.ones((8, 22, 3))
    for k, image in enumerate(COLOURED):
        y, x = 5 * (k // 4), 6 * (k % 4)
        expected[y : y + 3, x : x + 4] = image
    np.testing.assert_allclose(small, expected, atol=1e-6)


def test_every_picture_of_images_shows_colours(tmp_path, drawn):
    path, shape = tmp_path / "x.png", (3, 4, 3)
    strip = np.ones((5, 7 * 6, 3))
    for k, image in enumerate(COLOURED):
        strip[1:4, 6 * k + 1 : 6 * k + 5] = image
    plots.images_in_rows({"a": ROWS, "b": ROWS[::-1]}, shape, path=path)
    np.testing.assert_array_equal(image_of(drawn[-1].axes[0]), strip)
    plots.compare(ROWS, {"": plots.ModelPanel(ROWS, ROWS, ROWS, ROWS[:, :2])}, shape, path=path)
    for ax in drawn[-1].axes:
        if ax.images:
            np.testing.assert_array_equal(image_of(ax), strip)
    plots.manifold(ROWS, shape, range(7), path=path)
    np.testing.assert_array_equal(image_of(drawn[-1].axes[0]), np.concatenate(COLOURED, axis=1))
    plots.captioned(ROWS, [""] * 7, shape, path=path)
    for ax, image in zip(drawn[-1].axes, COLOURED, strict=False):
        np.testing.assert_array_equal(image_of(ax), image)


def test_filters_of_colours_are_grey_where_a_weight_is_zero(tmp_path, drawn):
    W = np.zeros((12, 2))
    W[[0, 4, 8], 0] = [0.5, -0.5, 0.25]  # red of the first pixel, green of the second, and so on
    plots.filters(W, (2, 2, 3), path=tmp_path / "x.png")
    expected = np.ones((4, 8, 3))
    expected[1:3, 1:3] = expected[1:3, 5:7] = 0.5
    expected[1, 1, 0], expected[1, 2, 1], expected[2, 1, 2] = 1, 0, 0.75
    np.testing.assert_array_equal(image_of(drawn[0].axes[0]), expected)


@pytest.mark.parametrize("draw", [
    lambda path, shape: plots.sheet(IMAGES, shape, 3, path=path),
    lambda path, shape: plots.filters(IMAGES.T - 0.5, shape, path=path),
    lambda path, shape: plots.captioned(IMAGES, [""] * 7, shape, path=path),
])  # fmt: skip
def test_one_channel_is_grey(tmp_path, draw):
    for name, shape in (("two", (3, 4)), ("three", (3, 4, 1))):
        draw(tmp_path / name, shape)
    assert (tmp_path / "two").read_bytes() == (tmp_path / "three").read_bytes()


def test_values_outside_of_colours_are_clipped_without_a_word(tmp_path, drawn, caplog):
    plots.sheet([[-0.5, 0.25, 1.5]], (1, 1, 3), 1, path=tmp_path / "x.png")
    assert image_of(drawn[0].axes[0])[1, 1].tolist() == [0, 0.25, 1]
    assert caplog.records == []  # matplotlib clips too, but says so


@pytest.mark.parametrize("shape", [(12,), (3, 2, 2), (1, 2, 2, 3)])
def test_shapes_of_no_image_are_refused(tmp_path, shape):
    with pytest.raises(ValueError, match=r"plots: expected images \(h, w\), .* got \("):
        plots.sheet(IMAGES, shape, 3, path=tmp_path / "x.png")
    assert os.listdir(tmp_path) == []
