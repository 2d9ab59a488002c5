"""The reconstruction error: how much of an image a bottleneck loses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tinygen.backend import Array, namespace
from tinygen.data.batches import in_order


def evaluate_reconstruction(
    reconstruct: Callable[[Array], Array], images: Array, dtype: Any
) -> dict[str, float]:
    """Compare images with their reconstructions.

    Args:
        reconstruct: ``(b, pixels) -> (b, pixels)``, pixels in [0, 1].
        images: ``(n, h, w)`` or ``(n, h, w, c)`` uint8, on the backend of `reconstruct`.
        dtype: of the pixels that `reconstruct` gets.

    Returns:
        ``squared_error``: summed over the pixels of an image, averaged over the images.
        ``mse``: that, divided by the number of pixels.
        ``pixel_accuracy``: the fraction of pixels on the same side of 0.5 in both images.

    A black and a white pixel, both reconstructed as a dark grey:

    >>> import numpy as np
    >>> images = np.array([[[0, 255]]], np.uint8)
    >>> evaluate_reconstruction(lambda x: np.full_like(x, 0.25), images, np.float64)
    {'mse': 0.3125, 'squared_error': 0.625, 'pixel_accuracy': 0.5}
    """
    squared, same = 0.0, 0.0
    for x in in_order(images, dtype):
        y = reconstruct(x)
        xp = namespace(x)
        squared += float(xp.sum((y - x) ** 2, dtype="float64"))
        same += float(xp.sum((y >= 0.5) == (x >= 0.5)))
    n, pixels = len(images), x.shape[1]
    return {
        "mse": squared / (n * pixels),
        "squared_error": squared / n,
        "pixel_accuracy": same / (n * pixels),
    }


def reconstruction_table(rows: Mapping[str, Mapping[str, float]]) -> str:
    """The figures of `evaluate_reconstruction` for several models, a named line for each.

    >>> figures = {"mse": 0.3125, "squared_error": 0.625, "pixel_accuracy": 0.5}
    >>> print(reconstruction_table({"dark grey": figures}))
    on the test images             mse   squared error   pixels right
    dark grey                  0.31250           0.625         50.00%
    """
    lines = [f"{'on the test images':24}{'mse':>10}{'squared error':>16}{'pixels right':>15}"]
    for name, f in rows.items():
        figures = f"{f['mse']:10.5f}{f['squared_error']:16.3f}{f['pixel_accuracy']:15.2%}"
        lines.append(f"{name:24}{figures}")
    return "\n".join(lines)
