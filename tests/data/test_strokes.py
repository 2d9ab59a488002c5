"""Stroke digits: the factors are the truth, by measurements that know nothing of how they draw."""

import os

import numpy as np
import pytest

from tinygen.data import load, strokes
from tinygen.errors import InputError

N = 6000


@pytest.fixture(scope="module")
def drawn():
    return strokes.generate(N, seed=7)


@pytest.fixture(scope="module")
def moments(drawn):
    """Mass, centre and second moments of each image, in pixels; y downwards."""
    images = drawn[0]
    ink = images / 255
    y, x = np.mgrid[: images.shape[1], : images.shape[2]]
    mass = ink.sum((1, 2))
    cx, cy = (ink * x).sum((1, 2)) / mass, (ink * y).sum((1, 2)) / mass
    dx, dy = x - cx[:, None, None], y - cy[:, None, None]
    xx, xy, yy = ((ink * m).sum((1, 2)) / mass for m in (dx * dx, dx * dy, dy * dy))
    return mass, cx, cy, xx, xy, yy


def within_classes(labels, factor, measured):
    """The correlation of factor and measurement in each class."""
    return np.array(
        [np.corrcoef(factor[labels == k], measured[labels == k])[0, 1] for k in range(10)]
    )


def test_shapes_and_types(drawn):
    images, labels, factors = drawn
    assert images.shape == (N, 28, 28) and images.dtype == np.uint8 and images.flags.c_contiguous
    assert labels.shape == (N,) and labels.dtype == np.uint8
    assert set(factors) == set(strokes.FACTORS)
    for name, (centre, reach) in strokes.FACTORS.items():
        values = factors[name]
        assert values.shape == (N,) and values.dtype == np.float32
        assert centre - reach - 1e-6 <= values.min() and values.max() <= centre + reach + 1e-6


def test_the_same_seed_draws_the_same(drawn):
    images, labels, factors = strokes.generate(N, seed=7)
    np.testing.assert_array_equal(images, drawn[0])
    np.testing.assert_array_equal(labels, drawn[1])
    for name in factors:
        np.testing.assert_array_equal(factors[name], drawn[2][name])


def test_another_seed_or_part_draws_others(drawn):
    for images, _, _ in (strokes.generate(50, seed=8), strokes.generate(50, seed=7, part=1)):
        same = (images[:, None] == drawn[0][None, :2000]).all((2, 3))
        assert not same.any()


@pytest.mark.parametrize("n, block", [(1, 128), (7, 128), (300, 1), (600, 13), (600, 1000)])
def test_an_image_does_not_depend_on_its_company(drawn, n, block):
    images, labels, factors = strokes.generate(n, seed=7, block=block)
    np.testing.assert_array_equal(images, drawn[0][:n])
    np.testing.assert_array_equal(labels, drawn[1][:n])
    np.testing.assert_array_equal(factors["bend"], drawn[2]["bend"][:n])


def test_no_images_are_refused():
    with pytest.raises(InputError, match="at least one image"):
        strokes.generate(0)


def test_labels_and_factors_are_independent(drawn):
    _, labels, factors = drawn
    columns = np.array([labels, *factors.values()])
    off_diagonal = np.corrcoef(columns) - np.eye(len(columns))
    assert np.abs(off_diagonal).max() < 5 / np.sqrt(N)  # five standard errors
    assert np.abs(np.bincount(labels) - N / 10).max() < 5 * np.sqrt(N * 0.09)


def test_position_is_the_centre_of_mass(drawn, moments):
    _, labels, factors = drawn
    _, cx, cy, *_ = moments
    middle = 13.5
    # The pen covers crossings once but the strokes are weighed twice there, hence up to a pixel.
    assert np.abs(cx - middle - factors["shift_x"]).max() < 1
    assert np.abs(cy - middle - factors["shift_y"]).max() < 1
    assert within_classes(labels, factors["shift_x"], cx).min() > 0.9
    assert within_classes(labels, factors["shift_y"], cy).min() > 0.9


def test_slant_is_the_shear_of_the_moments(drawn, moments):
    _, labels, factors = drawn
    *_, xy, yy = moments
    assert within_classes(labels, factors["slant"], -xy / yy).min() > 0.9


def test_thickness_is_ink_per_outline(drawn, moments):
    images, labels, factors = drawn
    mass = moments[0]
    assert within_classes(labels, factors["thickness"], mass).min() > 0.8
    # Of a long stroke, the area over half the outline is the thickness: exact in pixels for a 1.
    ink = images[labels == 1] / 255
    up_and_down = np.abs(np.diff(ink, axis=1)).sum((1, 2))
    left_and_right = np.abs(np.diff(ink, axis=2)).sum((1, 2))
    outline = np.hypot(up_and_down, left_and_right)  # of a straight stroke in any direction
    measured = 2 * ink.sum((1, 2)) / outline
    assert np.abs(measured / factors["thickness"][labels == 1] - 1).mean() < 0.15


def test_scale_and_width_are_sizes(drawn, moments):
    _, labels, factors = drawn
    _, _, _, xx, _, yy = moments
    # In a 7 the way it is written moves the moments as much as its size does.
    assert within_classes(labels, factors["scale"], np.sqrt(yy)).min() > 0.5
    upright = np.abs(factors["slant"]) < 0.1  # a slant widens a digit too
    for k in set(range(10)) - {1}:  # a 1 has no width
        chosen = upright & (labels == k)
        correlation = np.corrcoef(factors["width"][chosen], np.sqrt(xx[chosen]))[0, 1]
        assert correlation > 0.6, k


def test_bend_is_the_bow_of_a_one(drawn):
    images, labels, factors = drawn
    ones = (labels == 1) & (factors["form"] < 0.5)  # those without much of a flag
    ink = images[ones] / 255
    x = np.arange(28)
    row_ink = ink.sum(2)
    centres = np.where(row_ink > 0.5, (ink * x).sum(2) / np.maximum(row_ink, 1e-9), np.nan)
    bow = []
    for line in centres:
        rows = np.flatnonzero(~np.isnan(line))
        bow.append(np.polyfit(rows, line[rows], 2)[0])
    assert np.corrcoef(factors["bend"][ones], bow)[0, 1] > 0.9


def test_all_digits_stay_inside_the_picture(drawn):
    images = drawn[0]
    border = np.concatenate(
        [images[:, 0], images[:, -1], images[:, 1:-1, 0], images[:, 1:-1, -1]], axis=1
    )
    assert (border.max(axis=1) > 0).mean() < 0.02  # a tail may touch it


def test_classes_can_be_told_apart(drawn):
    images, labels, _ = drawn
    train, test = slice(0, 4000), slice(4000, None)
    x = images.reshape(N, -1) / 255
    centroids = np.array([x[train][labels[train] == k].mean(0) for k in range(10)])
    distance = ((x[test, None] - centroids) ** 2).sum(-1)
    # Chance is 0.1; nearest centroids reach 0.82 on MNIST itself.
    assert (distance.argmin(1) == labels[test]).mean() > 0.8


# Measured on MNIST's 60,000 training images.
MNIST_MEAN, MNIST_SOME_INK, MNIST_HALF_INK = 0.1307, 0.1912, 0.1323


def test_pixels_are_as_mnist_has_them(drawn):
    images = drawn[0]
    assert images.mean() / 255 == pytest.approx(MNIST_MEAN, rel=0.08)
    assert (images > 0).mean() == pytest.approx(MNIST_SOME_INK, rel=0.08)
    assert (images > 127).mean() == pytest.approx(MNIST_HALF_INK, rel=0.08)
    inked = images > 0
    assert np.median(inked.any(2).sum(1)) == pytest.approx(20, abs=1)  # rows of a digit
    # Soft edges: the pixels that are neither black nor white.
    assert 0.08 < ((images > 0) & (images < 255)).mean() < 0.19


@pytest.mark.skipif(not os.environ.get("TINYGEN_DATA_DIR"), reason="needs TINYGEN_DATA_DIR")
def test_the_figures_of_mnist_above_are_right():
    images = load("mnist").train_images
    assert images.mean() / 255 == pytest.approx(MNIST_MEAN, abs=1e-4)
    assert (images > 0).mean() == pytest.approx(MNIST_SOME_INK, abs=1e-4)
    assert (images > 127).mean() == pytest.approx(MNIST_HALF_INK, abs=1e-4)
