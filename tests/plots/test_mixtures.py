"""Pictures of points of the plane, over the field of a discriminator."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex
from picture_files import is_empty, picture

from tinygen import plots
from tinygen.plots.style import DATA_COLOUR, SAMPLE_COLOUR

POINTS = np.array([[1.0, 1.5], [-1.0, 0.5], [0.3, -1.9]])


def test_the_plane_is_read_as_a_page():
    points = plots.plane_points(2.0)
    grid = points.reshape(plots.FIELD_SIDE, plots.FIELD_SIDE, 2)
    assert np.all(np.diff(grid[:, :, 0], axis=1) > 0) and np.all(np.diff(grid[:, :, 1], axis=0) < 0)
    assert np.all(grid[0, :, 1] == grid[0, 0, 1]) and np.all(grid[:, 0, 0] == grid[0, 0, 0])
    half = 2 / plots.FIELD_SIDE
    np.testing.assert_allclose([points.min(axis=0), points.max(axis=0)],
                               [[half - 2] * 2, [2 - half] * 2])  # fmt: skip


@pytest.mark.parametrize("behind", [True, False])
def test_mixture(tmp_path, drawn, behind):
    x, _ = plots.plane_points(2.0).T
    field = (x > 0).astype(float).reshape(plots.FIELD_SIDE, -1) if behind else None
    centres = POINTS[:2] if behind else None
    plots.mixture(POINTS[:2], POINTS[2:], 2.0, field, centres, "2 of 2", path=tmp_path / "x.png")
    pixels = picture(tmp_path / "x.png")
    assert is_empty(pixels[0]) and is_empty(pixels[-1]) and is_empty(pixels[:, 0])
    ax, *bars = drawn[0].axes
    assert [bar.get_ylabel() for bar in bars] == ['discriminator: probability of "real"'] * behind
    assert [bar.get_yticks().tolist() for bar in bars] == [[0, 0.5, 1]] * behind
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("$x_1$", "$x_2$")
    assert ax.get_title() == "2 of 2" and ax.get_aspect() == 1
    assert ax.get_xlim() == ax.get_ylim() == (-2, 2)
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["data", "samples", "centres"][: len(ax.collections)]
    shown = [dots.get_offsets() for dots in ax.collections]
    for dots, points in zip(shown, [POINTS[2:], POINTS[:2], POINTS[:2]], strict=False):
        assert np.array_equal(dots, points)
    colours = [to_hex(dots.get_facecolors()[0]) for dots in ax.collections[:2]]
    assert colours == [DATA_COLOUR, SAMPLE_COLOUR] and len(shown) == 2 + behind
    if behind:  # blue at the left, orange at the right
        height, width = pixels.shape[:2]
        left, right = (pixels[height // 3, int(fraction * width)] for fraction in (0.3, 0.7))
        assert left[2] > left[0] and right[0] > right[2]


def test_probabilities_near_one_half_are_spread_apart():
    p = np.linspace(0, 1, plots.FIELD_SIDE**2)
    field = plots.emphasise(p[:, None])
    assert field.shape == (plots.FIELD_SIDE, plots.FIELD_SIDE)
    back = 0.5 + 0.5 * np.sign(field - 0.5) * (2 * field - 1) ** 2
    np.testing.assert_allclose(back.ravel(), p, atol=1e-12)  # row by row
    assert field.min() == 0 and field.max() == 1
    flat = plots.emphasise(np.full(plots.FIELD_SIDE**2, 0.5))
    assert (flat == 0.5).all()
    assert (abs(field - 0.5) >= abs(p.reshape(field.shape) - 0.5) - 1e-12).all()
