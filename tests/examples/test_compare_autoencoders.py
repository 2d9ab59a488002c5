"""The comparison of four autoencoders: they are trained together as they would be alone."""

from __future__ import annotations

import json
import os
import signal

import numpy as np
import pytest
from running import example, run_here, run_there, write_tiny_data

from tinygen import Adam, get_backend, value_and_grad
from tinygen.models import VAE, Autoencoder
from tinygen.parameters import part
from tinygen.training import checkpoint

NAME = "compare_autoencoders"
NUMPY = get_backend("numpy")


def test_smoke(tmp_path):
    done = run_there("--smoke", "--out", tmp_path, name=NAME)
    assert (done.returncode, done.stderr) == (0, "")
    assert set(os.listdir(tmp_path)) == {
        "checkpoint.npz", "metrics.jsonl", "summary.json", "comparison.png",
    }  # fmt: skip
    test = json.loads((tmp_path / "summary.json").read_text())["test"]
    assert list(test) == ["PCA", "linear autoencoder", "autoencoder", "VAE"]
    # On the images that PCA was fitted to nothing linear is better; three epochs are far from it.
    assert test["PCA"]["mse"] <= test["linear autoencoder"]["mse"]
    for name, figures in test.items():
        assert 0 < figures["probe_error"] < 0.3, name  # guessing has 0.9
        assert f"{figures['mse']:.5f}" in done.stdout


@pytest.mark.parametrize("latent", [1, 2])
def test_narrow_codes(tmp_path, latent):
    data = write_tiny_data(tmp_path / "data")
    flags = ("--data", "idx", "--data-dir", data, "--hidden", "6", "--batch-size", "32",
             "--epochs", "1", "--quiet", "--latent", latent)  # fmt: skip
    assert run_here(*flags, "--out", tmp_path / "run", name=NAME) == 0


def test_together_each_learns_what_it_learns_alone():
    models = {
        "autoencoder": Autoencoder(pixels=6, hidden=(4,), latent=2),
        "vae": VAE(pixels=6, hidden=(4,), latent=2),
    }
    together = example(NAME).Together(models)
    x = np.random.default_rng(0).random((8, 6))
    p = together.initialise(0, np.float64, NUMPY)
    adam = Adam(p)
    steps = [together.draw(x, NUMPY.generator((0, step)), step) for step in range(5)]
    step_of = together.gradients("autograd")
    for data in steps:
        adam.update(p, step_of(p, *data)[1], 0.01)
    for i, (name, model) in enumerate(models.items()):
        alone = model.initialise(0, np.float64)
        adam, step_of = Adam(alone), value_and_grad(model.loss)
        for data in steps:
            adam.update(alone, step_of(alone, *data[i])[1], 0.01)
        np.testing.assert_allclose(together.parts(p)[name].flat, alone.flat, rtol=1e-12)


def test_by_hand_and_autograd_agree_on_the_whole():
    models = {
        "linear": Autoencoder(pixels=6, hidden=(), latent=2, activation="none", output="none"),
        "vae": VAE(pixels=6, hidden=(4,), latent=2),
    }
    together = example(NAME).Together(models)
    p = together.initialise(0, np.float64, NUMPY)
    data = together.draw(np.random.default_rng(0).random((8, 6)), NUMPY.generator(0), 0)

    def whole(p, *data):
        pairs = zip(models.items(), data, strict=True)
        return sum(model.loss(part(p, f"{name}."), *drawn) for (name, model), drawn in pairs)

    loss, expected = value_and_grad(whole)(p, *data)
    for how in ("autograd", "by-hand"):
        found, out = together.gradients(how)(p, *data, out=p.zeros_like())
        assert found == pytest.approx(loss, rel=1e-13)
        np.testing.assert_allclose(out.flat, expected.flat, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("gradients", ["autograd", "by-hand"])
def test_a_run_that_is_stopped_goes_on_to_the_same_end(tmp_path, monkeypatch, gradients):
    data = write_tiny_data(tmp_path / "data")
    flags = ("--data", "idx", "--data-dir", data, "--hidden", "6", "--latent", "2", "--batch-size",
             "32", "--epochs", "2", "--quiet", "--gradients", gradients)  # fmt: skip
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    assert run_here(*flags, "--out", straight, name=NAME) == 0
    draw = VAE.draw

    def interrupted(self, x, generator, step=0):
        if step == 11:  # in the second epoch
            signal.raise_signal(signal.SIGINT)
        return draw(self, x, generator, step)

    monkeypatch.setattr(VAE, "draw", interrupted)
    assert run_here(*flags, "--out", stopped, name=NAME) == 130
    monkeypatch.undo()
    assert checkpoint.read_meta(stopped / "checkpoint.npz")["step"] == 12
    assert run_here(*flags, "--out", stopped, "--resume", name=NAME) == 0
    with np.load(straight / "checkpoint.npz") as a, np.load(stopped / "checkpoint.npz") as b:
        assert a["parameters"].tobytes() == b["parameters"].tobytes()
