"""The curve of `tg.fit` in a notebook: one picture, in which each epoch has its points."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygen as tg

IMAGES = (np.random.default_rng(0).random((40, 4, 3)) < 0.5).astype(np.uint8) * 255
DATA = tg.data.Dataset("images", IMAGES, None, IMAGES[:10], None, "an array", {})
MODELS: dict[str, Any] = {
    "vae": tg.VAE(12, (8,), 3),
    "adversarial": tg.AdversarialAutoencoder(12, (8,), 3, discriminator_hidden=(4,)),
    "gan": tg.GAN(12, 3, (8,), (8,)),
}


class Notebook:
    """What IPython's `display` was given, and what took its place."""

    def __init__(self) -> None:
        self.shown: list[Any] = []
        self.pictures: list[Any] = []

    def display(self, figure: Any, *, display_id: bool) -> Notebook:
        assert display_id, "or nothing can take its place"
        self.shown.append(figure)
        self.update(figure)
        return self

    def update(self, figure: Any) -> None:
        assert figure._repr_png_().startswith(b"\x89PNG")
        self.pictures.append(figure)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Any:
    notebook, module = Notebook(), ModuleType("IPython.display")
    module.display = notebook.display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ipykernel", ModuleType("ipykernel"))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    monkeypatch.delitem(sys.modules, "tinygen.training.live", raising=False)
    yield notebook
    sys.modules.pop("tinygen.training.live", None)  # it has the display that goes away


def lines(figure: Any) -> dict[str, list[float]]:
    (ax,) = figure.axes
    return {line.get_label(): [*line.get_ydata()] for line in ax.lines}


@pytest.mark.parametrize("name", MODELS)
def test_the_curve_grows_by_a_point_an_epoch(
    notebook: Notebook, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tg.fit(MODELS[name], DATA, epochs=3, batch_size=10)
    assert len(notebook.shown) == 1, "later ones take the place of the first"
    curves = [lines(figure) for figure in notebook.pictures]
    assert len(curves) == 3 and capsys.readouterr().out == ""
    for k, drawn in enumerate(curves, 1):
        assert all(len(values) == k for values in drawn.values())
        assert all(values == curves[-1][label][:k] for label, values in drawn.items())
        title = notebook.pictures[k - 1].axes[0].get_title(loc="left")
        assert title.startswith(f"epoch {k}  ")
    assert [*curves[0]] == {
        "vae": ["training", "test"],
        "adversarial": ["reconstruction", "discriminator", "encoder"],
        "gan": ["discriminator", "generator"],
    }[name]


def test_the_model_is_the_same_as_without(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = tg.fit(MODELS["vae"], DATA, epochs=2, batch_size=10)
    assert capsys.readouterr() == ("", ""), "or the notebook holds an output for each refresh"
    quiet = tg.fit(MODELS["vae"], DATA, epochs=2, batch_size=10, quiet=True)
    assert len(notebook.pictures) == 2 and capsys.readouterr() == ("", "")
    monkeypatch.delitem(sys.modules, "ipykernel")
    alone = tg.fit(MODELS["vae"], DATA, epochs=2, batch_size=10)
    assert len(notebook.pictures) == 2 and len(capsys.readouterr().out.splitlines()) == 2
    for other in (quiet, alone):
        np.testing.assert_array_equal(seen.parameters.flat, other.parameters.flat)


CELLS = {
    "fit": "tg.fit(tg.VAE(12, (8,), 3), images, epochs=3, batch_size=10);",
    "quiet": "tg.fit(tg.VAE(12, (8,), 3), images, epochs=1, batch_size=10, quiet=True);",
    "value": "tg.plots.sheet(images / 255, (4, 3), 10)",
    "written": "tg.plots.sheet(images / 255, (4, 3), 10, path='x.png');",
    "pyplot": "import matplotlib.pyplot as plt\n_, ax = plt.subplots()\n"
    "tg.plots.sheet(images / 255, (4, 3), 10, ax=ax)",
    "value beside pyplot": "tg.plots.sheet(images / 255, (4, 3), 10)",
}
PICTURES = {"fit": 1, "quiet": 0, "value": 1, "written": 0, "pyplot": 1, "value beside pyplot": 1}


@pytest.mark.slow
def test_a_notebook_shows_each_picture_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before pyplot is imported, and after: then its own displays of figures are there, too."""
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat").v4
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("PYTHONPATH", str(Path(tg.__file__).parents[1]))
    begin = (
        "import numpy as np, tinygen as tg\n"
        "images = (np.random.default_rng(0).random((40, 12)) < 0.5).astype(np.uint8) * 255\n"
        "images = images.reshape(40, 4, 3)"
    )
    cells = [nbformat.new_code_cell(code) for code in (begin, *CELLS.values())]
    notebook = nbformat.new_notebook(cells=cells)
    nbclient.NotebookClient(notebook, resources={"metadata": {"path": str(tmp_path)}}).execute()
    pictures = [
        sum("image/png" in output.get("data", {}) for output in cell.outputs)
        for cell in notebook.cells[1:]
    ]
    assert dict(zip(CELLS, pictures, strict=True)) == PICTURES
    assert [*tmp_path.iterdir()] == [tmp_path / "x.png"]
    assert not notebook.cells[2].outputs
