"""Reconstruction errors against a loop over the pixels."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from tinygen.evaluation import evaluate_reconstruction, reconstruction_table
from tinygen.evaluation import reconstruction as module

IMAGES = np.random.default_rng(7).integers(0, 256, (300, 4, 3), dtype=np.uint8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_the_errors_are_those_of_a_loop_over_the_pixels(backend, monkeypatch, dtype, batch):
    monkeypatch.setattr(module, "in_order", partial(module.in_order, size=batch))
    images = IMAGES[:20]
    errors = evaluate_reconstruction(lambda x: x * 0.7 + 0.1, backend.asarray(images), dtype)
    squared, same = 0.0, 0
    for image in images:
        for pixel in image.ravel():
            x = int(pixel) / 255
            y = x * 0.7 + 0.1
            squared += (y - x) ** 2
            same += (y >= 0.5) == (x >= 0.5)
    tolerance = 1e-5 if dtype == np.float32 else 1e-12  # pixels are rounded to the dtype
    assert errors["squared_error"] == pytest.approx(squared / 20, rel=tolerance)
    assert errors["mse"] == pytest.approx(squared / 240, rel=tolerance)
    assert errors["pixel_accuracy"] == same / 240
    assert all(type(value) is float for value in errors.values())


def test_reconstruction_adds_float32_without_losing_small_errors():
    # 3,000 images of 1,600 pixels with equal errors: a float32 sum would stop growing.
    images = np.zeros((3000, 40, 40), np.uint8)
    errors = evaluate_reconstruction(lambda x: x + np.float32(1e-3), images, np.float32)
    expected = float(np.float32(1e-3)) ** 2
    assert errors["mse"] == pytest.approx(expected, rel=1e-6)  # the square itself is a float32


def test_a_perfect_reconstruction():
    errors = evaluate_reconstruction(lambda x: x, IMAGES, np.float32)
    assert errors == {"mse": 0, "squared_error": 0, "pixel_accuracy": 1}


def test_the_table_has_a_line_for_each_model():
    figures = {"mse": 0.012346, "squared_error": 9.6789, "pixel_accuracy": 0.98766}
    lines = reconstruction_table({"autoencoder": figures, "PCA 32": figures}).splitlines()
    assert len({*map(len, lines)}) == 1 and len(lines[0]) <= 80
    assert lines[2].split() == ["PCA", "32", "0.01235", "9.679", "98.77%"]
