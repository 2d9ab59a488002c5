"""The numbers of docs/gan-training.md, and the command that draws its pictures."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread
from running import example, run_here, run_there

import tinygen as tg
from tinygen.models import GAN

HERE = example("gan_losses")


def test_smoke(tmp_path: Any) -> None:
    done = run_there("--smoke", "--out", tmp_path / "a" / "b", name="gan_losses")
    assert (done.returncode, done.stderr) == (0, "")
    assert set(os.listdir(tmp_path / "a" / "b")) == {"losses.png", "optimum.png"}
    for name in ("losses.png", "optimum.png"):
        assert imread(tmp_path / "a" / "b" / name).std() > 0.05, "it is not empty"
    lines = done.stdout.splitlines()
    assert lines[1].split() == ["non-saturating", "-0.9975", "-0.9820", "-0.8808", "-0.5000",
                                "-0.1192", "-0.0180", "-0.0025"]  # fmt: skip
    names = [line.split()[0] for line in lines[1:5]]
    assert names == ["non-saturating", "minimax", "least-squares", "wasserstein-gp"]
    assert max(map(len, lines[:-1])) <= 88


@pytest.mark.parametrize("loss", ["non-saturating", "minimax", "least-squares", "wasserstein-gp"])
def test_a_derivative_is_that_of_the_curve_beside_it(loss: str) -> None:
    outputs, e = np.linspace(-6, 6, 25), 1e-5
    _, derivatives = HERE.losses_and_derivatives(loss, outputs)
    above, below = (HERE.losses_and_derivatives(loss, outputs + d)[0] for d in (e, -e))
    measured = (np.array(above) - below) / (2 * e)
    np.testing.assert_allclose(derivatives, measured, rtol=1e-6, atol=1e-9)


def test_the_picture_of_the_best_discriminator_is_true() -> None:
    D, value = HERE.best_discriminator(2000)
    p, q = HERE.density(HERE.DATA), HERE.density(HERE.GENERATED)
    best, step = p / (p + q), HERE.X[1] - HERE.X[0]
    assert p.sum() * step == pytest.approx(1, abs=1e-3)  # within the picture
    assert (abs(D - best) * (p + q)).sum() * step / 2 < 0.01
    js = 0.5 * (p * np.log(2 * best) + q * np.log(2 - 2 * best)).sum() * step
    assert js == pytest.approx(0.1301, abs=1e-4)
    assert value == pytest.approx(1.1261, abs=1e-3)


def test_the_points_are_those_of_the_density() -> None:
    x = HERE.points(HERE.DATA, 100_000, np.random.default_rng(0))[:, 0]
    p, step = HERE.density(HERE.DATA), HERE.X[1] - HERE.X[0]
    for power in (1, 2, 3):
        expected = (p * HERE.X**power).sum() * step
        assert np.mean(x**power) == pytest.approx(expected, abs=5 * np.std(x**power) / 316)


def test_the_worked_example_of_the_second_derivative() -> None:
    """a = tanh(w x) at x = w = 1; what R1 adds to the gradient, by autograd and by differences."""
    x, gradients = np.ones((1, 1)), []
    for penalty in (0.0, 1.0):
        model = GAN(
            pixels=1, latent=1, generator_hidden=(), generator_norm="none", output="none",
            discriminator_hidden=(1,), discriminator_activation="tanh", loss="r1", penalty=penalty,
        )  # fmt: skip
        d = model.initialise(0, np.float64).part("discriminator.")
        d["W1"][...] = d["W2"][...] = 1
        gradients.append(tg.value_and_grad(model.discriminator_loss)(d, x, x)[1]["W1"][0, 0])
    assert gradients[1] - gradients[0] == pytest.approx(-0.0923, abs=5e-5)

    def penalty_at(w: float) -> float:
        return 0.5 * (w * (1 - np.tanh(w) ** 2)) ** 2

    measured = (penalty_at(1 + 1e-5) - penalty_at(1 - 1e-5)) / 2e-5
    assert gradients[1] - gradients[0] == pytest.approx(measured, rel=1e-8)
    first, second = 1 - np.tanh(1) ** 2, -2 * np.tanh(1) * (1 - np.tanh(1) ** 2)
    assert (first, second) == (pytest.approx(0.420, abs=5e-4), pytest.approx(-0.640, abs=5e-4))
    assert first**2 == pytest.approx(0.176, abs=5e-4)  # without the curvature


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Any, capsys: Any) -> None:
    (tmp_path / "file").write_text("")
    assert run_here("--out", tmp_path / "file", name="gan_losses") == 2
    told = capsys.readouterr()
    assert told.out == "" and told.err.count("\n") == 1
    assert told.err.startswith(f"error: {tmp_path / 'file'}: cannot be written into")


@pytest.mark.parametrize("wrong", ["--smo", "--seed=1", "x"])
def test_a_flag_that_it_has_not_is_one_sentence(wrong: str, tmp_path: Any, capsys: Any) -> None:
    assert run_here(wrong, "--out", tmp_path / "run", name="gan_losses") == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: unrecognized arguments: {wrong}") and err.count("\n") == 1
    assert not (tmp_path / "run").exists()
