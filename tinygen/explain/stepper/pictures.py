"""What the page shows of an array: its numbers if they are few, or else a picture."""

from __future__ import annotations

import base64
from math import ceil
from typing import Any

import numpy as np

from tinygen.backend import to_host

SIDE = 28
"""A row or column of as many pixels as the square of this is an image: of MNIST, or of a weight."""
IMAGES = 36
"""The most images of an array to draw."""
EDGE = 200
"""The most rows and columns to draw, of a matrix or of images side by side; of more, every second,
third, ..."""
NUMBERS, COLUMNS = 40, 8
"""The most numbers and columns of an array that is written out."""
NOT_FINITE = 255
"""The code of NaN and of the infinities among pixels; 0 to 254 go from the minimum up."""


class Arrays:
    """What the page holds of the arrays; those that look the same share one entry."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self._seen: dict[str, int] = {}

    def add(self, x: Any) -> int:
        """The index of the entry of an array or a number."""
        entry = picture(on_host(x))
        index = self._seen.setdefault(repr(entry), len(self.entries))
        if index == len(self.entries):
            self.entries.append(entry)
        return index


def picture(x: np.ndarray) -> dict[str, Any]:
    """An array's shape and range, and its numbers if they are few, or else its pixels.

    Pixels are bytes, 0 to 254 from the minimum to the maximum, row by row: those of a matrix, or
    of one image after another.
    """
    finite = x if np.isfinite(x).all() else x[np.isfinite(x)]
    low, high = (finite.min(), finite.max()) if finite.size else (0, 0)
    digits = _digits(float(low), float(high))
    about = {"shape": [*x.shape], "min": number(low, digits), "max": number(high, digits)}
    if finite.size < x.size:
        about["bad"] = int(x.size - finite.size)
    if x.size <= NUMBERS and (x.size <= 1 or x.shape[-1] <= COLUMNS):
        return about | {"numbers": numbers(x.ravel(), digits)}
    pixels, layout = _pixels(x)
    codes = _codes(pixels, float(low), float(high))
    return about | layout | {"pixels": base64.b64encode(codes.tobytes()).decode()}


def _pixels(x: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """What is drawn of an array, and how it is laid out."""
    if x.ndim == 4:
        return _images(x)
    rows = x.reshape(-1, x.shape[-1])
    kind = "row"
    if rows.shape[1] != SIDE**2 and rows.shape[0] == SIDE**2:  # weights applied to images
        rows, kind = rows.T, "column"
    if rows.shape[1] == SIDE**2:
        drawn = rows[:IMAGES]
        said = f"each {kind} as an image" if len(rows) > 1 else ""
        if len(rows) > IMAGES:
            said = f"the first {IMAGES} of {len(rows)} {kind}s, each as an image"
        about = {"images": len(drawn), "rows": SIDE, "columns": SIDE, "every": (1, 1)}
        return drawn, about | {"said": said}
    drawn, about = _thinned(rows, EDGE, [])
    return drawn, about | {"images": 0}


def _images(x: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """The channels of images (n, h, w, c), each as an image."""
    n, h, w, c = x.shape
    channels = x.transpose(0, 3, 1, 2).reshape(n * c, h, w)
    first = channels[:IMAGES]
    said = ["each channel as an image"] if c > 1 else []
    if len(first) < len(channels):
        what = "images" if c == 1 else "channels, each as an image"
        said = [f"the first {IMAGES} of {len(channels)} {what}"]
    drawn, about = _thinned(first, EDGE // ceil(len(first) ** 0.5), said)
    return drawn, about | {"images": len(first)}


def _thinned(x: np.ndarray, room: int, said: list[str]) -> tuple[np.ndarray, dict[str, Any]]:
    """At most so many rows and columns of a matrix, or of each of several, and notes on them."""
    down, across = (max(1, ceil(length / room)) for length in x.shape[-2:])
    drawn = x[..., ::down, ::across]
    said += [f"1 of {n} {of}" for n, of in ((down, "rows"), (across, "columns")) if n > 1]
    rows, columns = drawn.shape[-2:]
    about = {"rows": rows, "columns": columns, "every": (down, across), "said": ", ".join(said)}
    return drawn, about


def _codes(pixels: np.ndarray, low: float, high: float) -> np.ndarray:
    span = high / 2 - low / 2 or 1.0  # halves, as high - low may be infinite
    finite = np.isfinite(pixels)
    scaled = np.rint((np.where(finite, pixels, low) / 2 - low / 2) / span * 254)
    return np.where(finite, scaled, NOT_FINITE).astype(np.uint8)


def _digits(low: float, high: float) -> int:
    """As many digits as are needed to tell numbers between these two apart."""
    span = high - low
    times = max(abs(low), abs(high)) / span if span else 1.0
    return min(17, 6 + max(0, int(np.log10(times)))) if times else 6


def numbers(x: Any, digits: int = 6) -> list[Any]:
    return [number(value, digits) for value in x]


def number(x: Any, digits: int = 6) -> Any:
    """A number with so many digits; text for what JSON cannot represent."""
    x = float(f"{float(x):.{digits}g}")
    return x if np.isfinite(x) else str(x)


def on_host(x: Any) -> np.ndarray:
    """A NumPy array of at least float32, as bytes and half precision overflow in a sum."""
    host = to_host(x) if hasattr(x, "shape") else np.asarray(x)
    return host.astype(np.float32 if host.dtype.itemsize < 4 else host.dtype, copy=False)
