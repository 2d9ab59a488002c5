"""Pictures of the latent space: each code in its place and in the colour of its label."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex
from picture_files import is_empty, picture

from tinygen import plots
from tinygen.plots.latent import ACTIVE_COLOUR
from tinygen.plots.style import CLASS_COLOURS, SAMPLE_COLOUR


@pytest.mark.parametrize("panels, labelled", [(1, False), (5, True)])
def test_codes(tmp_path, panels, labelled, drawn):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 300).astype(np.uint8)
    named = {f"model {i}": rng.standard_normal((300, 2)) for i in range(panels)}
    plots.codes(named, labels if labelled else None, path=tmp_path / "x.png")
    pixels = picture(tmp_path / "x.png")
    assert is_empty(pixels[0]) and is_empty(pixels[-1]) and is_empty(pixels[:, 0])
    assert [ax.get_title() for ax in drawn[0].axes] == [*named]
    for ax, z in zip(drawn[0].axes, named.values(), strict=True):
        assert np.array_equal(ax.collections[0].get_offsets(), z)
        assert ax.get_aspect() == 1
    legends = [[text.get_text() for text in x.get_texts()] for x in drawn[0].legends]
    assert legends == ([[*"0123456789"]] if labelled else [])


def test_a_digit_has_one_colour_in_the_legend_and_in_the_plane(tmp_path, drawn):
    labels = np.array([3, 1, 3, 0, 9])
    plots.codes({"": np.eye(5)[:, :2]}, labels, path=tmp_path / "x.png")
    dots = [to_hex(colour) for colour in drawn[0].axes[0].collections[0].get_facecolors()]
    (legend,) = drawn[0].legends
    names = [int(text.get_text()) for text in legend.get_texts()]
    shown = dict(zip(names, (to_hex(h.get_color()) for h in legend.legend_handles), strict=True))
    assert list(shown) == [0, 1, 3, 9] and dots == [shown[k] for k in labels]
    assert len({*shown.values()}) == 4 and len({*CLASS_COLOURS}) == 10


def test_what_was_drawn_stands_beside_what_was_encoded_on_the_same_scales(tmp_path, drawn):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 200)
    encoded = {"encoder": rng.standard_normal((200, 2)), "other": 9 + rng.random((200, 2))}
    prior = 5 * rng.standard_normal((50, 2))
    plots.codes(encoded, labels, {"encoder": ("the prior", prior)}, path=tmp_path / "x.png")
    pixels = picture(tmp_path / "x.png")
    assert is_empty(pixels[0]) and is_empty(pixels[-1]) and is_empty(pixels[:, 0])
    axes = drawn[0].axes
    assert [ax.get_title() for ax in axes] == ["encoder", "the prior", "other"]
    for ax, z in zip(axes, (encoded["encoder"], prior, encoded["other"]), strict=True):
        assert np.array_equal(ax.collections[0].get_offsets(), z) and ax.get_aspect() == 1
    assert axes[0].get_xlim() == axes[1].get_xlim() != axes[2].get_xlim()
    assert axes[0].get_ylim() == axes[1].get_ylim() != axes[2].get_ylim()
    # No colour of a digit for what shows none.
    (colour,) = axes[1].collections[0].get_facecolors()
    assert to_hex(colour) == SAMPLE_COLOUR and SAMPLE_COLOUR not in CLASS_COLOURS


def test_far_codes_do_not_squeeze_the_others(tmp_path, drawn):
    z = np.random.default_rng(0).standard_normal((1000, 2)) * (1, 3) + 7
    z[:4] = 1e6, -1e6
    plots.codes({"": z}, path=tmp_path / "x.png")
    (ax,) = drawn[0].axes
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    assert right - left == pytest.approx(high - low)  # a square with equal scales
    seen = (left < z[:, 0]) & (z[:, 0] < right) & (low < z[:, 1]) & (z[:, 1] < high)
    assert 0.98 < seen.mean() < 1 and high - low < 25


def test_codes_that_are_all_one(tmp_path):
    plots.codes({"collapsed": np.zeros((10, 2))}, path=tmp_path / "x.png")
    assert not is_empty(picture(tmp_path / "x.png"))


@pytest.mark.parametrize("c", [1, 2, 210])
def test_kl_per_dimension(tmp_path, drawn, c):
    kl = np.random.default_rng(0).permutation(np.geomspace(1e-4, 3, c) if c > 1 else [2.0])
    plots.kl_per_dimension(kl, threshold=0.02, path=tmp_path / "x.png")
    pixels = picture(tmp_path / "x.png")
    assert is_empty(pixels[0]) and is_empty(pixels[:, 0])
    (ax,) = drawn[0].axes
    bars = ax.patches
    assert [bar.get_height() for bar in bars] == sorted(kl, reverse=True)[:200]
    active = [bar for bar in bars if to_hex(bar.get_facecolor()) == ACTIVE_COLOUR]
    assert len(active) == sum(kl > 0.02) and active == bars[: len(active)]
    expected = f"{len(active)} of {c} above 0.02 nats; {sum(kl):.1f} nats in all"
    assert ax.get_title() == expected


def test_a_code_that_carries_nothing(tmp_path, drawn):
    plots.kl_per_dimension(np.zeros(3), path=tmp_path / "x.png")
    assert drawn[0].axes[0].get_title() == "0 of 3 above 0.01 nats; 0.0 nats in all"
    assert drawn[0].axes[0].get_ylim()[0] <= 0


@pytest.mark.parametrize("models, labelled", [(1, False), (3, True)])
def test_compare(tmp_path, models, labelled, drawn):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 50) if labelled else None
    shown = {
        f"model {i}": plots.ModelPanel(*rng.random((3, 6, 12)), rng.random((50, 2)))
        for i in range(models)
    }
    originals = rng.random((6, 12))
    plots.compare(originals, shown, (3, 4), labels, path=tmp_path / "x.png")
    pixels = picture(tmp_path / "x.png")
    assert is_empty(pixels[0]) and is_empty(pixels[-1]) and is_empty(pixels[:, 0])
    assert [ax.get_title(loc="left") for ax in drawn[0].axes if ax.get_title(loc="left")] == [
        *shown
    ]
    # From top to bottom the images are those that were given, in the order that was promised.
    strips = [ax.images[0].get_array() for ax in drawn[0].axes if ax.images]
    expected = [originals]
    for each in shown.values():
        expected += each.reconstructions, each.samples, each.interpolation
    for strip, images in zip(strips, expected, strict=True):
        inside = strip[1:4].reshape(3, 6, 6)[:, :, 1:5]
        assert np.array_equal(inside.swapaxes(0, 1).reshape(6, 12), images)
    dots = [ax.collections[0].get_offsets() for ax in drawn[0].axes if ax.collections]
    for z, each in zip(dots, shown.values(), strict=True):
        assert np.array_equal(z, each.codes)
    assert sum(ax.get_legend() is not None for ax in drawn[0].axes) == labelled
