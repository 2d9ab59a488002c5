"""The examples with --architecture conv, on images in colour."""

from __future__ import annotations

import json
import os
import signal

import numpy as np
import pytest
from running import example, run_captured, run_here

import tinygen as tg
from tinygen.commands import command_line
from tinygen.models import VAE

pytestmark = pytest.mark.usefixtures("without_pictures")
CLASSIFIER = ("--architecture", "conv", "--channels", "3,4", "--kernel", "2",
              "--batch-size", "16", "--dtype", "float64", "--epochs", "2")  # fmt: skip
SMALL = (*CLASSIFIER, "--latent", "2")
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


PARTS = ("encoder", "generator", "adversarial")
GENERATOR = (*SMALL, "--hidden", "5", "--discriminator-hidden", "4", "--adversarial-epochs", "1",
             "--components", "3")  # fmt: skip


@pytest.mark.parametrize("gradients", ["autograd", "by-hand"])
def test_a_generator_behind_an_encoder(gradients, colour, tmp_path):
    """Encoder, generator and adversarial autoencoder, all of them with convolutions."""
    flags = (*GENERATOR, *colour, "--gradients", gradients, "--out", tmp_path)
    assert run_here(*flags, name="encoder_generator") == 0
    for part in PARTS:
        model = tg.load(tmp_path / part).model
        assert (model.channels, model.kernel, model.image) == ((3, 4), 2, (6, 5, 3))


@pytest.mark.parametrize("gradients", ["autograd", "by-hand"])
def test_a_classifier_on_an_encoder(gradients, colour, tmp_path):
    """Every way to train one, each with the recipe for convolutions."""
    flags = (*CLASSIFIER, *colour, "--smoke", "--labels", "20", "--draws", "1")
    flags = (*flags, "--gradients", gradients)
    assert run_here(*flags, "--out", tmp_path, name="encoder_classifier") == 0
    for mode in ("scratch", "finetune", "scratch+", "finetune+"):
        model = tg.load(tmp_path / "cells" / f"{mode}-20-0").model
        assert (model.channels, model.kernel, model.image) == ((3, 4), 2, (6, 5, 3))
        assert model.reads == "last"
        assert model.input_distortion == (0.2 if mode.endswith("+") else 0.15)
    for mode in ("code", "frozen"):
        assert tg.load(tmp_path / "cells" / f"{mode}-20-0" / "model.npz").model.channels == (3, 4)


@pytest.mark.parametrize("name", ["mnist_autoencoder", "mnist_gan", "encoder_generator"])
def test_a_kernel_that_is_too_large_is_refused_with_the_size_of_the_data(
    name, colour, tmp_path, capsys
):
    flags = {**EXAMPLES, "encoder_generator": GENERATOR}[name]
    flags = (*SMALL, *flags, *colour, "--kernel", "99", "--out", tmp_path / "run")
    done = run_captured(capsys, *flags, name=name)
    assert done.returncode == 2
    assert "a kernel of at most 11 for images of 6 x 5, got 99" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_digit_cannot_be_asked_for(tmp_path, capsys):
    flags = ("--architecture", "conv", "--conditional", "--out", tmp_path / "run")
    done = run_captured(capsys, *flags, name="mnist_gan")
    assert done.returncode == 2
    assert done.stderr == "error: --conditional needs --architecture dense, got conv\n"


def test_noise_on_the_input_of_an_encoder_that_is_trained_already_is_refused(tmp_path, capsys):
    flags = ("--checkpoint", tmp_path, "--input-noise", ".1", "--smoke", "--out", tmp_path / "run")
    done = run_captured(capsys, *flags, name="encoder_generator")
    assert done.returncode == 2
    assert f"--input-noise changes nothing with --checkpoint {tmp_path}" in done.stderr


@pytest.mark.parametrize(
    "flags, said",
    [
        (("--channels", "3"), "--channels needs --architecture conv, got dense"),
        (("--kernel", "5"), "--kernel needs --architecture conv, got dense"),
        (
            ("--architecture", "conv", "--preset", "hinton"),
            "preset hinton is of a dense network; with --architecture conv it needs --hidden",
        ),
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
    command_line.refuse_other_configuration({"lr": 1.0}, now, "run")
    with pytest.raises(tg.InputError, match="--architecture was dense, is conv"):
        command_line.refuse_other_configuration({"lr": 1.0}, now | {"architecture": "conv"}, "run")


@pytest.mark.parametrize(
    "name, preset, more, expected",
    [
        ("mnist_autoencoder", "hinton", ("--hidden", "9"), {"hidden": (9,), "latent": 30}),
        ("mnist_gan", "wgan-gp", (), {"loss": "wasserstein-gp", "lr": 1e-3, "kernel": 4}),
    ],
)
def test_a_preset_goes_with_convolutions_unless_it_is_a_dense_network(name, preset, more, expected):
    module = example(name)
    args = command_line.parse(
        module.flags(), ["--architecture", "conv", "--preset", preset, *more], {}, module.PRESETS,
        module.CONV,
    )  # fmt: skip
    assert args.channels == (32, 64) and expected.items() <= vars(args).items()


def test_a_preset_may_have_convolutions():
    module = example()
    presets = {"own": {"architecture": "conv", "channels": (5,), "hidden": (7,)}}
    parse = command_line.parse
    args = parse(module.flags(), ["--preset", "own"], {}, presets, module.CONV)
    assert (args.channels, args.hidden, args.architecture) == ((5,), (7,), "conv")
    dense = ["--preset", "own", "--architecture", "dense"]
    with pytest.raises(tg.InputError, match="own is of a conv network; with --architecture dense"):
        parse(module.flags(), dense, {}, presets, module.CONV)
    args = parse(module.flags(), [*dense, "--hidden", "9"], {}, presets, module.CONV)
    assert (args.channels, args.hidden, args.architecture) == ((), (9,), "dense")
