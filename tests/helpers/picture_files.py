"""Pictures and films, read back from their files; and files that stand for pictures."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from inspect import signature

import numpy as np
import pytest
from matplotlib.image import imread
from PIL import Image, ImageSequence

from tinygen import plots


def picture(path):
    """The pixels of a picture, which must be all that there is in the folder."""
    assert os.listdir(path.parent) == [path.name]
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size < 500_000
    return imread(path)[:, :, :3]


def is_empty(pixels):
    return bool(np.all(pixels == 1))


def frames_of(path):
    """What a viewer shows of an animation: an RGB picture a frame, and their milliseconds."""
    with Image.open(path) as gif:
        assert gif.format == "GIF" and gif.info["loop"] == 0, "it must start again at its end"
        shown = [(f.convert("RGB"), f.info["duration"]) for f in ImageSequence.Iterator(gif)]
    pictures, milliseconds = zip(*shown, strict=True)
    return np.stack([np.asarray(each) for each in pictures]), [*milliseconds]


def write_content_only(monkeypatch, *names):
    """Let these functions of `tinygen.plots` write what they should draw, in place of a picture.

    So a run takes a fraction of the time, and two runs whose files agree drew the same. Arguments
    that such a function does not have, and arrays that are not on the host, are refused.
    """
    for name in names:
        monkeypatch.setattr(plots, name, partial(_write_content, signature(getattr(plots, name))))


def _write_content(expected, *arguments, path, **options):
    expected.bind(*arguments, path=path, **options)
    path.write_text(repr([_content(x) for x in (*arguments, options)]))


def _content(x):
    if isinstance(x, Mapping):
        return [(str(key), _content(value)) for key, value in x.items()]
    if isinstance(x, (list, tuple)):
        return [_content(value) for value in x]
    if hasattr(x, "shape"):
        x = np.asarray(x)
        return str(x.dtype), x.shape, x.tobytes().hex()
    return repr(x)


PICTURES = ("captioned", "codes", "compare", "confusion", "filters", "functions", "images_in_rows",
            "kl_per_dimension", "line_plot", "loss_curves", "manifold", "mixture",
            "sheet")  # fmt: skip


@pytest.fixture
def pictures():
    """For a test that looks at pictures: `without_pictures` lets them be drawn."""


@pytest.fixture
def without_pictures(request, monkeypatch):
    """Matplotlib draws nothing in this process, and no run waits for the disk; films are drawn."""
    monkeypatch.setattr("os.fsync", lambda file: None)
    if "pictures" not in request.fixturenames:
        write_content_only(monkeypatch, *PICTURES)
