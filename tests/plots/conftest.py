"""The fixture `drawn`, for tests that ask a figure what it holds."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were saved, in a list."""
    figures, savefig = [], Figure.savefig

    def note(self, *rest, **options):
        figures.append(self)
        return savefig(self, *rest, **options)

    monkeypatch.setattr(Figure, "savefig", note)
    return figures
