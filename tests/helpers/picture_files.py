"""Pictures and films, read back from their files."""

from __future__ import annotations

import os

import numpy as np
from matplotlib.image import imread
from PIL import Image, ImageSequence


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
