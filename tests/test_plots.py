"""The pictures: whole or not there, of a sensible size, without matplotlib's global state."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.image import imread
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


def test_pyplot_and_a_display_are_not_needed(tmp_path):
    program = (
        "import sys, numpy as np; from tinygen import plots; from pathlib import Path;"
        f"plots.filters(Path({str(tmp_path / 'x.png')!r}), np.eye(4), (2, 2));"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    shell = {k: v for k, v in environment(MPLBACKEND="TkAgg").items() if k != "DISPLAY"}
    subprocess.run([sys.executable, "-c", program], env=shell, check=True, timeout=60)
    assert not is_empty(picture(tmp_path / "x.png"))
