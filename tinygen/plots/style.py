"""The colours of pictures: for people with any colour vision, on a light or a dark page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.rcsetup import cycler

DATA_COLOUR, SAMPLE_COLOUR = "#a34a00", "#2438a8"
"""The colours of points of the data, and of points sampled from a generator or a prior."""
FIELD_COLOURS = ("#a9cbf2", "#ffffff", "#ffd9a0")
"""Where a discriminator's probability of "real" is 0, 1/2 and 1; interpolated in between."""
# Ten colours that people with any colour vision can tell apart (Petroff 2021, arXiv:2107.02270; its
# darker grey is black here), ordered so that digits that look alike differ the most.
CLASS_COLOURS = np.array(
    [
        "#3f90da",
        "#ffa90e",
        "#a96b59",
        "#bd1f01",
        "#832db6",
        "#92dadd",
        "#b9ac70",
        "#e76300",
        "#202020",
        "#94a4a2",
    ]
)
CURVE_ORDER = [0, 1, 4, 8, 7, 3, 2, 5, 6, 9]
"""The colours that differ the most as thin lines come first."""


def _between(*colours: str) -> Colormap:
    return LinearSegmentedColormap.from_list("style", colours)


class Style(NamedTuple):
    """The colours of pictures on a light or a dark page.

    Args:
        settings: those of matplotlib.
        classes: one for each class.
        data, samples: those of points.
        ink: from an empty pixel of a grey image to a full one.
        signed: from negative to positive weights.
        counts: from none to many.
        field: from fake to real.
    """

    settings: Any
    classes: Any
    data: str
    samples: str
    ink: Colormap | str
    signed: Colormap | str
    counts: Colormap | str
    field: Colormap


STYLES = {
    "light": Style(
        {}, CLASS_COLOURS, DATA_COLOUR, SAMPLE_COLOUR, "gray_r", "RdBu_r", "Oranges",
        _between(*FIELD_COLOURS),
    ),
    "dark": Style(
        matplotlib.style.library["dark_background"],
        np.where(CLASS_COLOURS == "#202020", "#ffffff", CLASS_COLOURS), "#ffb45e", "#9db4ff",
        "gray", _between("#5aa9f0", "black", "#ff8a66"), _between("black", "#e76300"),
        _between("#123a6b", "black", "#6b3f00"),
    ),
}  # fmt: skip
_used = "light"


def use_style(name: str) -> None:
    """Draw all pictures from now on for a light or a dark page.

    Args:
        name: "light" or "dark".

    Raises:
        ValueError: it is neither.

    >>> use_style("light")
    """
    global _used
    if name not in STYLES:
        raise ValueError(f"plots: expected the style {' or '.join(STYLES)}, got {name!r}")
    _used = name


def style() -> Style:
    """The style in use."""
    return STYLES[_used]


@contextmanager
def settings() -> Iterator[None]:
    """Use matplotlib's settings of the style, whatever the user's are.

    The user's may ask for LaTeX; if it is missing, that would show only after all the training.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        colours = style().classes[CURVE_ORDER]
        matplotlib.rcParams.update(style().settings)
        matplotlib.rcParams["axes.prop_cycle"] = cycler(color=colours)
        yield
