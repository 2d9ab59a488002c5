"""Distorted images, from what bilinear interpolation does exactly: planes, and a constant."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
import pytest

from tinygen.models import VAE, Classifier
from tinygen.models.distortion import distorted

SHAPES = pytest.mark.parametrize("shape", [(28, 28, 1), (9, 14, 3)])


def coordinates(h: int, w: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of pixels, counted from the image's centre: (h, w) each."""
    v, u = np.mgrid[:h, :w].astype(float)
    return v - (h - 1) / 2, u - (w - 1) / 2


def many(backend: Any, image: np.ndarray, strength: float, n: int = 500) -> np.ndarray:
    """One image distorted n times: (n, h, w, c)."""
    x = backend.asarray(np.tile(image.reshape(1, -1), (n, 1)))
    seen = distorted(x, image.shape, strength, backend.generator(3))
    assert seen.dtype == x.dtype and seen.shape == x.shape
    return backend.to_numpy(seen).reshape(n, *image.shape)


@SHAPES
def test_a_strength_of_zero_changes_nothing(backend: Any, shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).random(shape, dtype=np.float32)
    np.testing.assert_array_equal(many(backend, image, 0.0), np.tile(image, (500, 1, 1, 1)))


@SHAPES
def test_a_plane_shows_the_map_of_each_image(backend: Any, shape: tuple[int, ...]) -> None:
    """The images are the coordinates themselves, so the distorted ones are A u + t."""
    (h, w, c), strength = shape, 0.1
    v, u = coordinates(h, w)
    inside = (np.abs(v) < h / 4) & (np.abs(u) < w / 4)  # whatever the draws are
    design = np.stack([v[inside], u[inside], np.ones(inside.sum())], axis=1)
    maps = []
    for plane in (v, u):
        seen = many(backend, np.repeat(plane[..., None], c, axis=2), strength)
        assert (seen == seen[..., :1]).all()  # all channels alike
        fit, residuals, *_ = np.linalg.lstsq(design, seen[:, inside, 0].T, rcond=None)
        assert residuals.max() < 1e-20
        maps.append(fit)
    entries = np.concatenate(maps) - [[1], [0], [0], [0], [1], [0]]
    entries /= np.array([[1], [1], [h / 2], [1], [1], [w / 2]])
    assert np.abs(entries).max() < strength
    assert len(np.unique(entries)) == entries.size
    spread = strength / sqrt(3)  # of a uniform draw; bounds of five standard errors
    assert np.abs(entries.mean(axis=1)).max() < 5 * spread / sqrt(500)
    assert np.abs(entries.std(axis=1) / spread - 1).max() < 5 * sqrt(0.2 / 500)
    assert np.abs(np.corrcoef(entries) - np.eye(6)).max() < 5 / sqrt(500)


@SHAPES
def test_what_lies_outside_is_black(backend: Any, shape: tuple[int, ...]) -> None:
    """White images: a pixel is black exactly where its source is a pixel or more outside."""
    h, w, c = shape
    white = many(backend, np.ones(shape), 0.4)
    v, u = coordinates(h, w)
    rows = many(backend, np.repeat(v[..., None], c, axis=2), 0.4)
    columns = many(backend, np.repeat(u[..., None], c, axis=2), 0.4)
    whole = np.isclose(white, 1)
    assert 0.1 < whole.mean() < 0.9 and (white == 0).mean() > 0.1
    assert (white >= 0).all() and (white <= 1 + 1e-12).all()
    for x, plane in ((rows, v), (columns, u)):  # no source of a white pixel is outside
        assert np.abs(x[whole]).max() <= plane.max() + 1e-9
    np.testing.assert_array_equal(rows[white == 0], 0)


def test_models_distort_the_images_of_a_step(backend: Any) -> None:
    x = backend.asarray(np.random.default_rng(0).random((3, 12), dtype=np.float32))
    image = (3, 2, 2)
    expected = backend.to_numpy(distorted(x, image, 0.2, backend.generator(7)))
    classifier = Classifier(12, (), 2, dropout=0, image=image, input_distortion=0.2)
    seen, _ = classifier.perturb(x, backend.generator(7))
    np.testing.assert_array_equal(backend.to_numpy(seen), expected)
    vae = VAE(12, (4,), 2, image=image, input_distortion=0.2, distorted_steps=5)
    for step, images in ((0, expected), (4, expected), (5, backend.to_numpy(x))):
        seen, *_ = vae.draw(x, backend.generator(7), step)
        np.testing.assert_array_equal(backend.to_numpy(seen), images)
