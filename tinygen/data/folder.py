"""The pictures in a folder, read into one array of pixels."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np

from tinygen.display import times
from tinygen.errors import InputError

ENDINGS = (".png", ".jpg", ".jpeg")
GREY = ("1", "L", "LA")
MODES = (*GREY, "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
"""The modes of Pillow with at most 8 bits per channel; grey ones first."""


def read(folder: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """The pictures in a folder, and their labels if they are in sub-folders, in alphabetical order.

    Returns:
        ``(n, h, w)`` of uint8 if all are grey, else ``(n, h, w, 3)``; and ``(n,)`` of int64, the
        position of each one's sub-folder among the names of all, or None.

    Raises:
        InputError: there are none, some are beside the sub-folders, or one is damaged, has more
            than 8 bits per channel, or differs in size from the others.
    """
    try:
        flat, classes = _pictures(folder), sorted(p for p in folder.iterdir() if p.is_dir())
    except OSError as error:
        raise InputError(f"{folder}: expected a folder ({error.strerror or error})") from None
    by_class = [files for files in map(_pictures, classes) if files]
    if bool(flat) == bool(by_class):
        got = "both" if flat else _what_else(folder)
        raise InputError(
            f"{folder}: expected pictures ({', '.join(ENDINGS)}) in it, or in a sub-folder for "
            f"each class, got {got}"
        )
    files = flat or [file for some in by_class for file in some]
    labels = None if flat else np.repeat(np.arange(len(by_class)), [*map(len, by_class)])
    return _stacked(folder, files), labels


def has_some(folder: Path) -> bool:
    """Whether there are pictures in a folder, or in a sub-folder of it."""
    return any(_is_picture(file) for file in _files(folder, depth=2))


def _is_picture(file: Path) -> bool:
    return file.suffix.lower() in ENDINGS


def _files(folder: Path, depth: int) -> Iterator[Path]:
    """The contents of a folder and of those below it, without what cannot be read."""
    return chain.from_iterable(folder.glob("/".join("*" * k)) for k in range(1, depth + 1))


def _pictures(folder: Path) -> list[Path]:
    """The pictures directly in a folder; names that begin with a dot are the system's own."""
    return sorted(
        file for file in folder.iterdir() if _is_picture(file) and not file.name.startswith(".")
    )


def _what_else(folder: Path) -> str:
    """Where pictures are deeper in a folder, or else which other files there are."""
    files = [file for file in _files(folder, depth=3) if file.suffix]
    if deeper := [file.parent for file in files if _is_picture(file)]:
        return f"none, but some in {min(deeper)}"
    others = sorted({file.suffix for file in files})[:5]
    return f"none, but files of {', '.join(others)}" if others else "none"


def _stacked(folder: Path, files: list[Path]) -> np.ndarray:
    """All pictures in one array, the right way up."""
    pictures = [_picture(file) for file in files]
    sizes = {picture.shape[:2]: file for picture, file in zip(pictures, files, strict=True)}
    if len(sizes) > 1:
        size = next(iter(sizes))
        shown = [f"{times(size)} ({file.relative_to(folder)})" for size, file in sizes.items()]
        raise InputError(
            f"{folder}: expected pictures of one size, got {len(sizes)} sizes, such as "
            f"{' and '.join(shown[:2])}; in Pillow ImageOps.fit(picture, {size[::-1]}) gives one "
            f"of {times(size)}"
        )
    if any(picture.ndim == 3 for picture in pictures):
        pictures = [p if p.ndim == 3 else np.stack([p, p, p], axis=2) for p in pictures]
    return np.stack(pictures)


def _picture(file: Path) -> np.ndarray:
    """``(h, w)`` if it is grey, else ``(h, w, 3)``."""
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as opened:
            picture = ImageOps.exif_transpose(opened)  # as a camera was held
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{file}: expected a PNG or JPEG picture ({error})") from None
    if picture.mode not in MODES:
        raise InputError(
            f"{file}: expected 8 bits for a colour, got a picture of mode {picture.mode}; "
            "its numbers are np.asarray(PIL.Image.open(file)), and tg.data.from_arrays says how "
            "an array of such becomes uint8"
        )
    return np.asarray(picture.convert("L" if picture.mode in GREY else "RGB"))
