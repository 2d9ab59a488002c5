"""The examples with --architecture conv, on images in colour."""

from __future__ import annotations

import json
import os
import signal

import numpy as np
import pytest
from running import example, run_captured, run_here

import tinygen as tg
from tinygen.models import VAE

pytestmark = pytest.mark.usefixtures("without_pictures")
SMALL = ("--architecture", "conv", "--channels", "3,4", "--kernel", "2", "--latent", "2",
         "--batch-size", "16", "--dtype", "float64", "--epochs", "2")  # fmt: skip
EXAMPLES = {
    "mnist_autoencoder": ("--hidden", "5", "--dropout", ".2"),
    "mnist_vae": ("--hidden", "5", "--nll-samples", "5"),
    "mnist_gan": ("--generator-hidden", "5", "--discriminator-hidden", "5"),
}


@pytest.fixture(scope="module")
def colour(tmp_path_factory):
    """Bars of ten colours and places, 6 by 5 pixels, in one file."""
    random, labels = np.random.default_rng(0), np.arange(96) % 10
    x = random.integers(0, 60, (96, 6, 5, 3), dtype=np.uint8)
    for image, k in zip(x, labels, strict=True):
        image[k // 2, :, k % 2] = random.integers(150, 250, 5)
    path = tmp_path_factory.mktemp("colour") / "bars.npz"
    np.savez(path, x_train=x, y_train=labels, x_test=x[:20], y_test=labels[:20])
    return ("--data", "npz", "--data-dir", path)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("TINYGEN_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "cache"))


def run(folder, name, *flags):
    assert run_here(*SMALL, *EXAMPLES[name], *flags, "--out", folder, name=name) == 0
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return tg.load(folder), rows


@pytest.mark.parametrize("name", EXAMPLES)
def test_both_gradients_train_the_same_model(name, colour, tmp_path):
    losses = "train_discriminator_loss" if name == "mnist_gan" else "train_loss"
    a, b = (
        run(tmp_path / how, name, *colour, "--gradients", how) for how in ("autograd", "by-hand")
    )
    assert a[0].model.image == (6, 5, 3) and a[0].model.channels == (3, 4)
    np.testing.assert_allclose(a[0].parameters.flat, b[0].parameters.flat, atol=1e-8)
    for one, other in zip(a[1], b[1], strict=True):
        assert one[losses] == pytest.approx(other[losses], rel=1e-9)


def test_a_run_that_is_stopped_goes_on_to_the_same_bits(colour, tmp_path, monkeypatch):
    straight, _ = run(tmp_path / "straight", "mnist_vae", *colour)
    draw = VAE.draw

    def interrupted(self, x, generator, step=0):
        if step == 8:  # in the second epoch
            signal.raise_signal(signal.SIGINT)
        return draw(self, x, generator, step)

    flags = (*SMALL, *EXAMPLES["mnist_vae"], *colour, "--out", tmp_path / "stopped")
    monkeypatch.setattr(VAE, "draw", interrupted)
    assert run_here(*flags, name="mnist_vae") == 130
    monkeypatch.setattr(VAE, "draw", draw)
    resumed, _ = run(tmp_path / "stopped", "mnist_vae", *colour, "--resume")
    np.testing.assert_array_equal(resumed.parameters.flat, straight.parameters.flat)


def test_what_was_trained_is_loaded_in_halves(colour, tmp_path):
    trained, _ = run(tmp_path, "mnist_autoencoder", *colour)
    x = np.load(colour[3])["x_test"]
    codes = trained.encoder(trained.prepare(x))
    assert codes.shape == (20, 2) and trained.decoder(codes).shape == (20, 90)
    assert {"features.png", "filters.png", "neighbours.png"} <= {*os.listdir(tmp_path)}


@pytest.mark.parametrize(
    "flags, said",
    [
        (("--channels", "3"), "--channels needs --architecture conv"),
        (("--architecture", "conv", "--channels", ""), "needs --channels, one or more"),
        (("--architecture", "cnn"), "choose one of dense, conv"),
        (("--architecture", "conv", "--kernel", "0"), "at least 1, got 0"),
    ],
)
def test_what_is_refused(flags, said, tmp_path, capsys):
    done = run_captured(capsys, *flags, "--out", tmp_path / "run")
    assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_run_from_before_there_was_a_choice_goes_on():
    now = {"architecture": "dense", "channels": [], "kernel": 3, "lr": 1.0}
    tg.training.command_line.refuse_other_configuration({"lr": 1.0}, now, "run")
    with pytest.raises(tg.InputError, match="--architecture was dense, is conv"):
        tg.training.command_line.refuse_other_configuration(
            {"lr": 1.0}, now | {"architecture": "conv"}, "run"
        )


def test_a_preset_goes_before_what_conv_changes():
    module = example()
    args = tg.training.command_line.parse(
        module.flags(), ["--architecture", "conv", "--preset", "hinton"], {}, module.PRESETS,
        module.CONV,
    )  # fmt: skip
    assert args.channels == (32, 64) and args.hidden == (1000, 500, 250)
