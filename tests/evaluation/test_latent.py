"""Codes whose content is known: active dimensions, lines between them, and their plane."""

from __future__ import annotations

from math import erf

import numpy as np
import pytest

from tinygen.evaluation import (
    active_units,
    interpolate,
    interpolations,
    neighbours,
    plane_projection,
    prior_quantiles,
)


def test_a_unit_is_active_if_its_mean_varies(backend):
    n, c = 20_000, 4
    stds = np.array([0.0, 0.099, 0.101, 2.0])
    # Columns of variance 1 exactly, about means that would drown a variance taken in float32.
    ones = np.where(np.arange(n) % 2, 1.0, -1.0)[:, None]
    means = (ones * stds + np.array([1003.7, 1003.7, -1003.7, 0.0])).astype(np.float32)
    active = active_units(backend.asarray(means))
    assert type(active) is np.ndarray and active.dtype == bool and active.shape == (c,)
    assert active.tolist() == [False, False, True, True]
    assert active_units(backend.asarray(means), threshold=0.0097).tolist() == [False, *[True] * 3]


@pytest.mark.parametrize("shape", [(3,), (0, 2), (2, 3, 4)])
def test_units_of_what_is_not_a_matrix_of_means(shape):
    with pytest.raises(ValueError, match=r"active_units: expected means \(n, c\) of images, got "):
        active_units(np.zeros(shape))


def test_an_interpolation_is_a_straight_line_at_equal_steps():
    start, end = np.random.default_rng(0).standard_normal((2, 5))
    path = interpolate(start, end, 7)
    assert path.shape == (7, 5)
    assert path[0].tolist() == start.tolist() and path[-1].tolist() == end.tolist()
    np.testing.assert_allclose(np.diff(path, axis=0), [(end - start) / 6] * 6, atol=1e-15)


def test_interpolations_begin_and_end_at_the_first_codes_of_two_classes():
    codes = np.arange(12.0).reshape(6, 2)
    paths = interpolations(codes, np.array([3, 3, 1, 3, 8, 1]))
    assert list(paths) == ["1 to 8"]
    np.testing.assert_allclose(paths["1 to 8"][[0, -1]], codes[[2, 4]])
    np.testing.assert_allclose(np.diff(paths["1 to 8"], axis=0), [(codes[4] - codes[2]) / 9] * 9)


@pytest.mark.parametrize("n, c, expected", [(1, 4, 1), (3, 8, 3), (8, 3, 3), (20, 8, 6)])
def test_codes_have_no_more_directions_than_there_are_images_or_numbers(n, c, expected):
    codes = np.random.default_rng(0).standard_normal((n, c))
    around = neighbours(codes, 0, np.linspace(-2, 2, 5), directions=6)
    assert [*around] == [f"direction {k + 1}" for k in range(expected)]
    for path in around.values():
        np.testing.assert_allclose(path[2], codes[0])


def test_no_class_is_in_two_interpolations():
    codes, labels = np.arange(30.0)[:, None], np.arange(30) % 10
    paths = interpolations(codes, labels, steps=2)
    expected = {"0 to 9": [0, 9], "1 to 8": [1, 8], "2 to 7": [2, 7], "3 to 6": [3, 6],
                "4 to 5": [4, 5]}  # fmt: skip
    assert {name: path.ravel().tolist() for name, path in paths.items()} == expected
    assert list(interpolations(codes, labels, pairs=1)) == ["0 to 1"]


def test_interpolations_without_labels_are_numbered():
    codes = np.arange(12.0).reshape(6, 2)
    paths = interpolations(codes, None, steps=4)
    assert list(paths) == ["1", "2", "3"]
    for (first, last), path in zip([(0, 5), (1, 4), (2, 3)], paths.values(), strict=True):
        np.testing.assert_allclose(path[[0, -1]], codes[[first, last]])


def test_a_single_class_is_interpolated_to_itself():
    paths = interpolations(np.ones((4, 2)), np.full(4, 6), steps=3)
    assert {name: path.tolist() for name, path in paths.items()} == {"6 to 6": [[1, 1]] * 3}


@pytest.mark.parametrize("c", [1, 2, 3, 9])
def test_the_plane_is_that_of_largest_variance(c):
    rng = np.random.default_rng(0)
    z = rng.standard_normal((500, c)) * np.arange(c, 0, -1) + 5
    project = plane_projection(z)
    assert project(z).shape == (500, 2) and project(z[:7]).shape == (7, 2)
    np.testing.assert_array_equal(project(z)[:7], project(z[:7]))
    if c == 2:
        assert project(z) is z
        return
    assert abs(project(z).mean(axis=0)).max() < 1e-12
    # No two directions have more variance; with one number the second axis has none.
    values = np.sort(np.linalg.eigvalsh(np.atleast_2d(np.cov(z.T, bias=True))))[::-1][:2]
    np.testing.assert_allclose(project(z).var(axis=0), [*values, 0][:2], rtol=1e-9, atol=1e-12)


def test_quantiles_of_the_prior_cut_it_into_equal_parts():
    """Each is the median of its part: the mass below it, by the error function."""
    z = prior_quantiles(20)
    mass = [0.5 * (1 + erf(x / 2**0.5)) for x in z]
    np.testing.assert_allclose(mass, np.arange(0.025, 1, 0.05), atol=1e-12)
    assert z.shape == (20,)
