"""An epoch visits every image once, in an order that depends only on the seed and the epoch."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

from tinygen.backend import Array, namespace
from tinygen.backend.base import seed_sequence
from tinygen.errors import InputError


def epoch_order(n: int, seed: int, epoch: int) -> np.ndarray:
    """The order of n images in an epoch: (n,) int64, a permutation of 0 .. n - 1 on the host.

    It is drawn on the host on every backend, so that NumPy and CuPy see the same batches, and from
    (seed, epoch) alone, so that a resumed run sees the batches it would have seen.

    >>> sorted(epoch_order(5, seed=0, epoch=3).tolist())
    [0, 1, 2, 3, 4]
    """
    return np.random.default_rng(seed_sequence((seed, 0, epoch))).permutation(n)


def index_batches(order: Array, batch_size: int) -> Iterator[Array]:
    """Cut an order (n,) into batches (b,), views of it; the last one holds what is left over.

    The order may be on any backend; move a whole epoch's there at once.

    Raises:
        InputError: the batch size is below 1.

    >>> [batch.tolist() for batch in index_batches(np.arange(5), 2)]
    [[0, 1], [2, 3], [4]]
    """
    if batch_size < 1:
        raise InputError(f"batch size: expected at least 1, got {batch_size}")
    return (order[start : start + batch_size] for start in range(0, len(order), batch_size))


def as_floats(images: Array, dtype: Any = np.float32) -> Array:
    """Images of uint8 as rows of floats in [0, 1]: (b, h, w) -> (b, h w), or with channels last.

    (b, h, w, c) -> (b, h w c). Rows (b, d) that are floats already, such as points, stay as they
    are. All stay on their backend.

    Raises:
        InputError: the images are neither, so dividing by 255 would be wrong.

    >>> as_floats(np.array([[[0, 51], [204, 255]]], np.uint8)).tolist()
    [[0.0, 0.20000000298023224, 0.800000011920929, 1.0]]
    """
    if images.dtype.kind == "f" and images.ndim == 2:
        return images.astype(dtype)
    if images.dtype != np.uint8:
        raise InputError(
            f"images: expected pixels of uint8, got {images.dtype} {images.shape}; "
            "floats are expected in rows (n, d)"
        )
    rows = images.reshape(len(images), prod(images.shape[1:]))
    return namespace(rows).divide(rows, 255, dtype=dtype)  # converted first: no float64 in between


def require_finite(what: str, rows: Array, unit_interval: bool | str = False) -> None:
    """Refuse rows of floats with a NaN or an infinity, once, before a model sees them.

    It looks at all values, so it waits for a GPU; pixels of uint8 need no check.

    Args:
        what: the rows' name, for the message.
        unit_interval: whether values must also lie in [0, 1], as probabilities do; or the option
            of a model with which they need not.

    Raises:
        InputError: the rows fail this; the message says where.

    >>> require_finite("images", np.array([[0.5, 200.0]]), unit_interval=True)
    Traceback (most recent call last):
    tinygen.errors.InputError: images: expected values in [0, 1], got 0.5 to 200; divide by 255?
    """
    if rows.dtype.kind != "f" or not rows.size:
        return
    xp = namespace(rows)
    finite = xp.isfinite(rows)
    if not bool(finite.all()):
        row, column = divmod(int(finite.argmin()), rows[0].size)
        number = finite.size - int(finite.sum())
        raise InputError(
            f"{what}: {number} of {finite.size} values are NaN or infinite, the first in row {row}"
            f", column {column}"
        )
    least, most = float(rows.min()), float(rows.max())
    if unit_interval and not 0 <= least <= most <= 1:
        way = f"; a model with {unit_interval} takes others" if unit_interval is not True else ""
        way = "; divide by 255?" if least >= 0 and 1 < most <= 255 else way
        raise InputError(f"{what}: expected values in [0, 1], got {least:g} to {most:g}{way}")


def background(images: np.ndarray) -> float:
    """The mean of the outermost pixels of images of uint8, from 0 for black to 1 for white.

    (n, h, w) or (n, h, w, c) on the host. It tells ink on paper from digits that glow in the dark.

    >>> background(np.array([[[255, 255, 255], [255, 0, 255], [255, 255, 255]]], np.uint8))
    1.0
    """
    rows, columns = images[:, [0, -1]], images[:, 1:-1, [0, -1]]
    return float(rows.sum() + columns.sum()) / (255 * (rows.size + columns.size))


def in_order(images: Array, dtype: Any = np.float32, size: int = 1000) -> Iterator[Array]:
    """All images in order, as the rows of floats of `as_floats`, `size` at a time: (b, d).

    For evaluating a model: memory use stays flat, and nothing is shuffled or left out.

    >>> [x.shape for x in in_order(np.zeros((5, 2, 3), np.uint8), size=2)]
    [(2, 6), (2, 6), (1, 6)]
    """
    return (as_floats(images[i : i + size], dtype) for i in range(0, len(images), size))


def batches(
    images: Array, order: Array, batch_size: int, *, dtype: Any = np.float32
) -> Iterator[Array]:
    """An epoch's batches: images and an order (n,) -> the rows of floats of `as_floats`, (b, d).

    The order is on the images' backend, and may be what is left of an epoch that was interrupted.
    Pixels are floats in [0, 1] of `dtype`. The last batch is smaller where the batch size does not
    divide the number of images. Each batch is a fresh array.

    Raises:
        InputError: the batch size is below 1 or above the number of images, or these are not uint8.

    >>> images = np.full((5, 28, 28), 255, np.uint8)
    >>> [(x.shape, float(x.max())) for x in batches(images, np.arange(5), 2)]
    [((2, 784), 1.0), ((2, 784), 1.0), ((1, 784), 1.0)]
    """
    n = len(images)
    if batch_size > n:
        raise InputError(f"batch size: expected 1 to {n}, the number of images, got {batch_size}")
    as_floats(images[:1], dtype)  # raises here and now rather than at the first batch
    return (as_floats(images[index], dtype) for index in index_batches(order, batch_size))
