"""Images that are slightly turned, stretched, sheared and moved: more to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygen.backend import Array, namespace


def distorted(x: Array, shape: Sequence[int], strength: float, generator: Any) -> Array:
    """Each image under an affine map of its own, close to the identity: rows (n, h w c), as before.

    The pixel at u, counted from the image's centre, is taken from ``A u + t``, between pixels by
    bilinear interpolation; what lies outside is black. A is the identity plus uniform draws from
    -strength to strength, and t such draws times half the image's height and width.

    Simard et al. (2003) showed how much such images help a network that does not know that a digit
    that is moved is the same digit.

    Args:
        shape: that of an image, ``(h, w, c)``.
    """
    xp, n, (h, w, c) = namespace(x), len(x), shape
    v = xp.arange(h, dtype=x.dtype)[:, None] - (h - 1) / 2
    u = xp.arange(w, dtype=x.dtype) - (w - 1) / 2
    draws = (2 * generator.random((6, n, 1, 1), dtype=x.dtype) - 1) * strength
    rows = v + (draws[0] * v + draws[1] * u + draws[2] * (h / 2)) + (h - 1) / 2
    columns = u + (draws[3] * v + draws[4] * u + draws[5] * (w / 2)) + (w - 1) / 2
    # A black margin, in which everything taken from outside lies; one row more for i + 1.
    rows, columns = xp.clip(rows + 1, 0, h + 1), xp.clip(columns + 1, 0, w + 1)
    pixels = xp.pad(x.reshape(n, h, w, c), ((0, 0), (1, 2), (1, 2), (0, 0))).reshape(-1, c)
    i, j = xp.floor(rows), xp.floor(columns)
    down, right = (rows - i)[..., None], (columns - j)[..., None]
    i, j = i.astype(xp.int64), j.astype(xp.int64)
    first = (xp.arange(n)[:, None, None] * (h + 3) + i) * (w + 3) + j

    def between(at: Array) -> Array:
        left = pixels.take(at, axis=0)
        return left + right * (pixels.take(at + 1, axis=0) - left)

    above = between(first)
    return (above + down * (between(first + (w + 3)) - above)).reshape(n, -1)
