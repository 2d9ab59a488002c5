"""The film of a training run: an animated GIF that grows by one frame per epoch."""

from __future__ import annotations

import json
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from PIL import Image, ImageDraw, ImageSequence

from tinygen.files import replacing
from tinygen.plots.drawing import tiled
from tinygen.plots.style import DATA_COLOUR, FIELD_COLOURS, SAMPLE_COLOUR

MAX_SIDE = 800
"""The maximum side of a frame in pixels."""
HEADER = 20
"""Rows above the images, in which the epoch is written."""
# The same for red, green and blue, so that greys stay grey: 216 of the 256 colours a GIF can have.
# Pillow reads a frame as the nearest colours, and finds multiples of 4 exactly.
LEVELS = np.linspace(0, 255, 6).astype(np.uint8) & 252


def add_frame(path: Path, images: Any, shape: tuple[int, ...], columns: int, epoch: int) -> None:
    """Append the images of an epoch to an animated GIF.

    Its frames of earlier epochs stay as they are; those of this epoch and later ones are replaced,
    as when a run is resumed. A file that is damaged or has frames of another size is replaced.

    Args:
        images: ``(m, pixels)`` in [0, 1], laid out as in `sheet`, without gaps.
        shape: ``(h, w)`` or ``(h, w, c)`` of an image; colours are rounded to 216.
        epoch: written above the images.

    A run that is resumed after its first epoch; the new second epoch replaces what was there:

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from PIL import Image
    >>> with TemporaryDirectory() as folder:
    ...     film = Path(folder, "film.gif")
    ...     for epoch in (1, 2, 3, 2):
    ...         add_frame(film, np.zeros((4, 784)), (28, 28), columns=2, epoch=epoch)
    ...     with Image.open(film) as gif:
    ...         print(gif.n_frames)
    2
    """
    tiles = tiled(images, shape, columns).clip(0, 1)
    skip = ceil(max(tiles.shape[:2]) / MAX_SIDE)  # all frames are held at once, and GIF has limits
    tiles = tiles[::skip, ::skip]
    scale = 2 if 2 * max(tiles.shape[:2]) <= MAX_SIDE else 1
    tiles = tiles.repeat(scale, axis=0).repeat(scale, axis=1)
    # Leave room for the epoch, however small the images are.
    room = (HEADER, 0), (0, max(0, 90 - tiles.shape[1]))
    frame = _colour_frame(tiles, room) if tiles.ndim == 3 else _grey_frame(tiles, room)
    _append(path, frame, epoch)


def add_mixture_frame(
    path: Path,
    samples: Any,
    real: Any,
    limit: float,
    epoch: int,
    field: Any = None,
    centres: Any = None,
) -> None:
    """Append an epoch's `mixture` to an animated GIF, as `add_frame` does.

    Args:
        samples, real, limit, field, centres: as in `mixture`; the plane is 400 pixels wide.
        epoch: written above the plane, with the number of samples that lie outside it.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from PIL import Image
    >>> points = np.random.default_rng(0).standard_normal((100, 2))
    >>> with TemporaryDirectory() as folder:
    ...     film = Path(folder, "film.gif")
    ...     for epoch in (1, 2):
    ...         add_mixture_frame(film, points / epoch, points, limit=3.0, epoch=epoch)
    ...     with Image.open(film) as gif:
    ...         print(gif.n_frames, gif.size)
    2 (400, 420)
    """
    side, inks, shades = 400, 3, 31
    # Black, the data, the samples; then the shades of the field, so few that a film stays small.
    # Pillow reads a frame as the nearest colours, and finds multiples of 4 exactly.
    colormap = LinearSegmentedColormap.from_list("field", FIELD_COLOURS, N=shades)
    colours = [*map(to_rgb, ("black", DATA_COLOUR, SAMPLE_COLOUR)),
               *colormap(np.arange(shades))[:, :3]]  # fmt: skip
    palette = np.round(255 * np.array(colours)).astype(np.uint8) & 252
    field = np.full((1, 1), 0.5) if field is None else np.asarray(field)
    level = inks + np.round((shades - 1) * field.clip(0, 1)).astype(np.uint8)
    rows, columns = (np.arange(side) * n // side for n in level.shape)
    picture = level[rows][:, columns]
    _draw_points(picture, real, limit, 1)
    outside = _draw_points(picture, samples, limit, 2)
    picture = np.pad(picture, ((HEADER, 0), (0, 0)), constant_values=inks + shades // 2)
    frame = _with_palette(picture, palette)
    pen = ImageDraw.Draw(frame)
    for x, y in _pixels(centres if centres is not None else [], limit, side):
        pen.ellipse((x - 6, y + HEADER - 6, x + 6, y + HEADER + 6), outline=0)
    _append(path, frame, epoch, f", {outside} of {len(samples)} samples outside" if outside else "")


def _grey_frame(tiles: Any, room: Any) -> Image.Image:
    """Ink on white, in 32 greys, which look like 256 and take half the space."""
    greys = (255 - np.round(31 * tiles) * 255 / 31).astype(np.uint8)
    return Image.fromarray(np.pad(greys, room, constant_values=255))


def _colour_frame(tiles: Any, room: Any) -> Image.Image:
    """Colours rounded to `LEVELS`: ``(h, w, 3)``; colour 0 is black, the last one white."""
    n = len(LEVELS)
    red, green, blue = np.round((n - 1) * np.moveaxis(tiles, 2, 0)).astype(np.uint8)
    palette = np.stack(np.meshgrid(*[LEVELS] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    index = np.pad((red * n + green) * n + blue, room, constant_values=len(palette) - 1)
    return _with_palette(index, palette)


def _with_palette(index: Any, palette: Any) -> Image.Image:
    """An image of palette colours: indices ``(h, w)`` and colours ``(n, 3)``, both uint8."""
    frame = Image.fromarray(index).convert("P")
    frame.putpalette(palette.tobytes())
    return frame


def _append(path: Path, frame: Image.Image, epoch: int, note: str = "") -> None:
    """Append a frame, whose colour 0 is black, to a GIF, with the epoch in its corner.

    Args:
        note: written after the epoch.
    """
    # The epoch also makes each frame different: of two equal ones Pillow would write only one.
    ImageDraw.Draw(frame).text((4, 4), f"epoch {epoch}{note}", fill=0)
    frames = {e: f for e, f in _read_frames(path, frame).items() if e < epoch} | {epoch: frame}
    first, *rest = frames.values()
    with replacing(path) as file:
        first.save(
            file,
            format="GIF",
            save_all=True,
            append_images=rest,
            duration=[200] * len(rest) + [2000],
            loop=0,
            optimize=False,
            comment=json.dumps([*frames]),
        )


def _read_frames(path: Path, like: Image.Image) -> dict[int, Image.Image]:
    """``{epoch: frame}`` of a GIF that `_append` wrote, in the colours of `like`.

    Empty if it is not one, or if its frames differ in size from `like`.
    """
    try:
        with Image.open(path, formats=["GIF"]) as gif:
            epochs = json.loads(gif.info["comment"])
            frames = [_recoloured(frame, like) for frame in ImageSequence.Iterator(gif)]
        if gif.size != like.size or sorted({*map(int, epochs)}) != epochs:
            return {}
        return dict(zip(epochs, frames, strict=True))
    except Exception:  # Pillow may raise anything for a damaged file, and no picture may stop a run
        return {}


def _recoloured(frame: Image.Image, like: Image.Image) -> Image.Image:
    """A frame in the greys or in the palette of another."""
    if like.mode == "L":
        return frame.convert("L")
    return frame.convert("RGB").quantize(palette=like, dither=Image.Dither.NONE)


def _pixels(points: Any, limit: float, side: int) -> Any:
    """The pixels, column and row, in which points in the plane lie: ``(n, 2) -> (n, 2)``."""
    x, y = np.asarray(points, dtype=float).reshape(-1, 2).T
    places = np.stack([limit + x, limit - y], axis=1) * (side / (2 * limit))
    return np.floor(places.clip(-side, 2 * side)).astype(int)


def _draw_points(picture: Any, points: Any, limit: float, colour: int) -> int:
    """Draw points into a square picture, 2 x 2 pixels each; returns how many lie outside."""
    side = len(picture)
    places = _pixels(points, limit, side)
    inside = ((places >= 0) & (places < side)).all(axis=1)
    for across, down in np.ndindex(2, 2):
        x, y = (places[inside] - (across, down)).clip(0).T
        picture[y, x] = colour
    return int((~inside).sum())
