"""Tiny runs of the examples, most of whose time is for pictures, without them."""

from __future__ import annotations

import pytest
from picture_files import write_content_only

PICTURES = ("captioned", "codes", "compare", "confusion", "filters", "functions", "images_in_rows",
            "kl_per_dimension", "line_plot", "loss_curves", "manifold", "mixture",
            "sheet")  # fmt: skip


@pytest.fixture
def pictures():
    """For a test that looks at pictures: `without_pictures` lets them be drawn."""


@pytest.fixture
def without_pictures(request, monkeypatch):
    """Matplotlib draws nothing in this process, and no run waits for the disk; films are drawn."""
    monkeypatch.setattr("os.fsync", lambda file: None)
    if "pictures" not in request.fixturenames:
        write_content_only(monkeypatch, *PICTURES)
