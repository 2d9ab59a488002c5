"""The picture of a confusion matrix: every count in its place, and mistakes coloured."""

from __future__ import annotations

import numpy as np
import pytest
from picture_files import is_empty, picture

from tinygen import plots


@pytest.mark.parametrize("classes", [1, 10])
def test_a_confusion_has_every_count_in_its_place_and_colours_mistakes(tmp_path, drawn, classes):
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 3, (classes, classes)) * rng.integers(0, 200, (classes, classes))
    counts[np.arange(classes), np.arange(classes)] = 980
    plots.confusion(counts, "finetune, 100 labels: 77 wrong", path=tmp_path / "x.png")
    pixels = picture(tmp_path / "x.png")
    assert is_empty(pixels[0]) and is_empty(pixels[-1]) and is_empty(pixels[:, 0])
    (ax,) = drawn[0].axes
    assert ax.get_title() == "finetune, 100 labels: 77 wrong"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted", "true")
    written = {text.get_position(): int(text.get_text()) for text in ax.texts}
    expected = {(j, k): counts[k, j] for k, j in np.ndindex(classes, classes) if counts[k, j]}
    assert written == expected  # the column, which was said, is x
    shown = ax.images[0].get_array()
    assert not shown[np.arange(classes), np.arange(classes)].any()  # what is right has no colour
    np.testing.assert_array_equal(np.where(shown > 0, shown, counts * np.eye(classes)), counts)
    assert ax.images[0].get_clim()[1] > shown.max()  # a number can be read on any of them


def test_a_confusion_without_mistakes(tmp_path, drawn):
    plots.confusion(9 * np.eye(3, dtype=int), "all right", path=tmp_path / "x.png")
    assert not is_empty(picture(tmp_path / "x.png"))
    assert [text.get_text() for text in drawn[0].axes[0].texts] == ["9"] * 3
