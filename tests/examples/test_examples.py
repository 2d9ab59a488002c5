"""What is so of every example: its help, and figures that no picture can lose."""

from __future__ import annotations

import json

import pytest
from running import ROOT, example, run_here

from tinygen import plots

pytestmark = pytest.mark.usefixtures("without_pictures")
PICTURES = ("codes", "compare", "confusion", "images_in_rows", "line_plot", "loss_curves",
            "mixture")  # fmt: skip
"""By which the pictures after a run begin."""
ONE = ("--epochs", "1")
FIGURES_FIRST = {
    "mnist_autoencoder": ONE,
    "mnist_vae": (*ONE, "--nll-samples", "0"),
    "mnist_gan": ONE,
    "gan_ring": ONE,
    "compare_autoencoders": ONE,
    "vae_scaling": ONE,
    "vae_estimators": ONE,
    "encoder_classifier": ("--mode", "pixels", "--labels", "20", "--draws", "1"),
    "encoder_generator": ("--way", "densities", *ONE),
}


EVERY = [path.stem for path in (ROOT / "examples").rglob("*.py") if path.parent.name != "start"]


@pytest.mark.parametrize("name", EVERY)
def test_the_help_where_docstrings_are_left_out(name, monkeypatch):
    """As python -OO leaves them out."""
    assert "usage: " in example(name).flags().format_help()
    monkeypatch.setattr(example(name), "__doc__", None)
    assert "usage: " in example(name).flags().format_help()


@pytest.mark.parametrize("name", FIGURES_FIRST)
def test_a_picture_that_fails_loses_no_figures(name, tmp_path, monkeypatch):
    """The summary is written before the first picture is drawn."""

    def fail(*arguments, **options):
        raise RuntimeError("no picture")

    for picture in PICTURES:
        monkeypatch.setattr(plots, picture, fail)
    with pytest.raises(RuntimeError, match="no picture"):
        run_here("--smoke", *FIGURES_FIRST[name], "--quiet", "--out", tmp_path, name=name)
    assert json.loads((tmp_path / "summary.json").read_text())["task"] == name
