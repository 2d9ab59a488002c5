"""The examples from end to end on the strict backend: no array of a GPU meets one of the host."""

from __future__ import annotations

import json

import pytest
from running import ROOT, example, run_here, write_labelled_data
from strict import STRICT

from tinygen.commands import setup

pytestmark = pytest.mark.usefixtures("without_pictures")
RUNS = [
    ("mnist_autoencoder", ()),
    ("mnist_autoencoder", ("--gradients", "by-hand", "--input-noise", ".1", "--dropout", ".1")),
    ("mnist_vae", ("--latent", "2")),
    ("mnist_vae", ("--gradients", "by-hand", "--objective", "iwae", "--samples", "3")),
    ("mnist_vae", ("--gradients", "by-hand", "--binarize", "dynamic", "--free-bits", ".1")),
    ("mnist_vae", ("--likelihood", "gaussian", "--kl-warm-up", "1", "--latent", "1")),
    ("compare_autoencoders", ("--gradients", "by-hand")),
    ("compare_autoencoders", ()),
    ("vae_scaling", ()),
    ("vae_estimators", ("--draws", "256", "--images", "2")),
    ("mnist_gan", ()),
    ("mnist_gan", ("--gradients", "by-hand")),
    ("mnist_gan", ("--conditional", "--dropout", ".2", "--pack", "2", "--smoothing", ".1")),
    ("mnist_gan", ("--gradients", "by-hand", "--conditional", "--critic-steps", "2")),
    ("mnist_gan", ("--loss", "wasserstein-gp", "--average", "0")),
    ("mnist_gan", ("--loss", "wasserstein-gp", "--gradients", "by-hand")),
    ("mnist_gan", ("--generator-norm", "layer", "--discriminator-activation", "maxout")),
    ("encoder_generator", ("--components", "3", "--game-loss", "wasserstein-gp")),
    ("encoder_generator", ("--gradients", "by-hand", "--components", "3", "--code-noise", ".1")),
    ("gan_ring", ()),
    ("gan_ring", ("--gradients", "by-hand")),
    ("gan_ring", ("--loss", "wasserstein-gp", "--critic-steps", "2", "--mixture", "grid")),
    ("gan_ring", ("--loss", "least-squares", "--pack", "2", "--gradients", "by-hand")),
    ("encoder_classifier", ("--dropout", ".2")),
    ("encoder_classifier", ("--gradients", "by-hand", "--features", "code")),
]


def test_every_example_with_gradients_is_run_here_by_hand_and_by_autograd():
    by_hand = {name for name, options in RUNS if "by-hand" in options}
    by_autograd = {name for name, options in RUNS if "by-hand" not in options}
    examples = {path.stem for path in (ROOT / "examples").glob("mnist_*.py")} - {"mnist_judge"}
    assert examples <= by_hand & by_autograd


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_labelled_data(tmp_path_factory.mktemp("data"), train=64, test=20)


@pytest.mark.parametrize(("name", "options"), RUNS)
def test_an_example_on_the_strict_backend(name, options, data, tmp_path, monkeypatch):
    monkeypatch.setattr(setup, "get_backend", lambda *_: STRICT)
    if hasattr(module := example(name), "get_backend"):
        monkeypatch.setattr(module, "get_backend", lambda name: STRICT)
    widths = ("--hidden", "6", "--latent", "3")
    if "gan" in name:
        widths = ("--generator-hidden", "6", "--discriminator-hidden", "6", "--latent", "3")
    elif name == "encoder_classifier":  # whose encoder is trained on the host
        widths = ("--labels", "20,all", "--draws", "1", "--jobs", "1")
    source = ("--data", "idx", "--data-dir", data)
    if name == "gan_ring":
        source = ("--points", "100")
    flags = (*source, *widths, "--batch-size", "32", "--epochs", "1", "--quiet",
             "--out", tmp_path / "run")  # fmt: skip
    assert run_here(*flags, *options, name=name) == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["versions"]["backend"] == STRICT.describe()
