"""Sum or mean: what the page on a VAE's two terms says, exactly; and the command that shows it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from math import log
from typing import Any

import numpy as np
import pytest
from running import TINY, example, run_here, run_there, write_tiny_data

import tinygen as tg
from tinygen.models import VAE
from tinygen.models.vae import reparameterise
from tinygen.ops import mean, reshape, sum
from tinygen.parameters import part

D, C, N = 12, 3, 5
MODEL = VAE(pixels=D, hidden=(7,), latent=C, biases="normal")
SCALING = example("vae_scaling")


def data(model: VAE) -> tuple[tg.Parameters, Any, Any]:
    x = np.random.default_rng(0).random((N, D))
    p = model.initialise(0, np.float64)
    _, noise, _ = model.draw(x, np.random.default_rng(1))
    return p, x, noise


def decoded(model: VAE, p: Any, x: Any, noise: Any) -> tuple[Any, Any]:
    """What the decoder gives (n, d), and the KL of each number of a code (n, c)."""
    mu, log_var = model.encode(p, x)
    z = reshape(reparameterise(mu, log_var, noise), shape=(N, C))
    return model.decoder.net(part(p, "decoder."), z), tg.gaussian_kl(mu, log_var)


def cross_entropies(a: Any, x: Any) -> Any:
    """That of each pixel (n d,): what a framework's loss reduces."""
    return tg.bernoulli_nll(reshape(a, shape=(N * D, 1)), x.reshape(-1, 1))


# As code out there is written, and the effective beta that the page's table gives it.
WRITTEN = {
    "sum / n, sum / n": (lambda r, kl: sum(r) / N + sum(kl) / N, 1),
    "sum, sum": (lambda r, kl: sum(r) + sum(kl), 1),
    "mean, sum / (n d)": (lambda r, kl: mean(r) + sum(kl) / (N * D), 1),
    "mean, sum / n": (lambda r, kl: mean(r) + sum(kl) / N, D),
    "mean, mean": (lambda r, kl: mean(r) + mean(kl), D / C),
    "mean, sum": (lambda r, kl: mean(r) + sum(kl), N * D),
    "sum / n, mean": (lambda r, kl: sum(r) / N + mean(kl), 1 / C),
    "sum, mean": (lambda r, kl: sum(r) + mean(kl), 1 / (N * C)),
    "sum, sum / n": (lambda r, kl: sum(r) + sum(kl) / N, 1 / N),
    "sum / n, sum / (n d)": (lambda r, kl: sum(r) / N + sum(kl) / (N * D), 1 / D),
}
# The factor in front, by which such a loss is smaller or larger than R + beta KL.
FRONT = {"sum": N, "sum / n": 1, "mean": 1 / D}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_reduction_is_a_beta(name: str) -> None:
    p, x, noise = data(MODEL)
    written, beta = WRITTEN[name]

    def loss(q: Any) -> Any:
        a, kl = decoded(MODEL, q, x, noise)
        return written(cross_entropies(a, x), kl)

    value, g = tg.value_and_grad(loss)(p)
    expected, h = tg.value_and_grad(MODEL.loss)(p, x, noise, beta)
    front = FRONT[name.split(",")[0]]
    assert value == pytest.approx(front * expected, rel=1e-13)
    np.testing.assert_allclose(g.flat, front * h.flat, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("name", SCALING.LOSSES)
def test_the_command_trains_the_loss_that_it_names(name: str) -> None:
    p, x, noise = data(MODEL)
    value = eval(name, {
        "R": MODEL.loss(p, x, noise, 0.0),
        "KL": MODEL.loss(p, x, noise, 1.0) - MODEL.loss(p, x, noise, 0.0),
        "d": D, "c": C,
    })  # fmt: skip
    beta = SCALING.effective_beta(name, MODEL)
    front = 1 / D if name.startswith("R / d") else 1
    assert value == pytest.approx(front * MODEL.loss(p, x, noise, beta), rel=1e-12)


def test_adam_does_not_see_the_factor_in_front() -> None:
    ends = []
    for front in (1.0, 1 / 784):
        p, x, noise = data(MODEL)
        adam = tg.Adam(p, epsilon=1e-30)
        for _ in range(20):
            _, g = tg.value_and_grad(MODEL.loss)(p, x, noise)
            g.flat[:] *= front
            adam.update(p, g, 1e-2)
        ends.append(p.flat)
    start = data(MODEL)[0].flat
    assert abs(ends[0] - start).max() > 0.1  # it went somewhere
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-9, atol=1e-11)


# The squared error is a Gaussian likelihood whose variance nobody chose.


def gradient_at_variance(variance: float, beta: float = 1.0) -> tuple[tg.Parameters, np.ndarray]:
    """Of the Gaussian model, but for the variance's own."""
    model = replace(MODEL, likelihood="gaussian")
    p, x, noise = data(model)
    p["decoder.log_var"][...] = log(variance)
    _, g = tg.value_and_grad(model.loss)(p, x, noise, beta)
    return p, g.flat[:-1]


@pytest.mark.parametrize(
    ("weight", "of_kl", "variance"),
    [(1, 1, 1 / 2), (1 / 2, 1, 1), (1 / D, 1, D / 2), (1 / D, 1 / C, D / (2 * C)), (1, 3, 3 / 2)],
)
def test_a_squared_error_is_a_variance(weight: float, of_kl: float, variance: float) -> None:
    """``w S + b KL`` has the gradient of b times the bound with the variance ``b / (2 w)``."""
    p, h = gradient_at_variance(variance)
    model = replace(MODEL, likelihood="gaussian")
    _, x, noise = data(model)

    def loss(q: Any) -> Any:
        y, kl = decoded(model, q, x, noise)
        return weight * sum((y - x) * (y - x)) / N + of_kl * sum(kl) / N

    _, g = tg.value_and_grad(loss)(p)
    np.testing.assert_allclose(g.flat[:-1], of_kl * h, rtol=1e-10, atol=1e-14)


def test_beta_times_a_variance_is_a_variance() -> None:
    _, g = gradient_at_variance(0.02, beta=25.0)
    _, h = gradient_at_variance(25 * 0.02)
    np.testing.assert_allclose(g, 25 * h, rtol=1e-10, atol=1e-14)


# The fractions of the gradient.


def test_the_fractions_belong_to_the_two_terms() -> None:
    p, x, noise = data(MODEL)
    found = SCALING.compare_gradients(MODEL, p, x, noise, 784.0)
    assert found["share_r"] + found["share_kl"] == pytest.approx(1, rel=1e-14)

    def kl(q: Any) -> Any:
        return 784 * sum(tg.gaussian_kl(*MODEL.encode(q, x))) / N

    _, g = tg.value_and_grad(kl)(p)
    both = tg.value_and_grad(MODEL.loss)(p, x, noise, 784.0)[1]
    encoder = [name for name in p if name.startswith("encoder.")]
    norm = np.sqrt(np.sum([(g[name] ** 2).sum() for name in encoder]))
    assert found["norm_kl"] == pytest.approx(norm, rel=1e-11)
    # |r + k|^2 = |r|^2 + |k|^2 + 2 |r| |k| cos, where r + k is the gradient of the whole loss.
    whole = np.sum([(both[name] ** 2).sum() for name in encoder])
    r, k = found["norm_r"], found["norm_kl"]
    assert r * r + k * k + 2 * r * k * found["cosine"] == pytest.approx(whole, rel=1e-11)


# The command.


def test_smoke(tmp_path: Any) -> None:
    done = run_there("--smoke", "--out", tmp_path, name="vae_scaling")
    assert (done.returncode, done.stderr) == (0, "")
    assert set(os.listdir(tmp_path)) == {"images.png", "shares.png", "summary.json"}
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert list(summary)[:6] == ["task", "config", "data", "versions", "seconds", "parameters"]
    test, gradient = summary["test"], summary["gradient"]
    assert list(test) == list(gradient) == list(SCALING.LOSSES)
    assert [f["beta"] for f in test.values()] == pytest.approx([1 / 784, 1 / 8, 1, 98, 784])
    for name, f in test.items():
        assert f["reconstruction"] + f["kl"] == pytest.approx(f["negative_elbo"], rel=1e-12)
        steps = [look["step"] for look in gradient[name]]
        assert steps == [1, 2, 4, 8, 16, 32, 64]  # 63 steps, and after the last
        for look in gradient[name]:
            assert look["share_r"] + look["share_kl"] == pytest.approx(1, rel=1e-12)
        assert f["first_share_kl"] == gradient[name][0]["share_kl"]
    # The more the KL weighs, the more of the first step is its own, and the fewer nats it keeps.
    first = [f["first_share_kl"] for f in test.values()]
    assert first == sorted(first) and first[0] < 0.01 and first[-1] > 0.99
    kl = [f["kl"] for f in test.values()]
    assert kl == sorted(kl, reverse=True) and kl[-1] < 0.1 < 5 < kl[2]
    # All models begin alike, so the two norms differ by beta alone.
    norms = [gradient[name][0]["norm_kl"] / f["beta"] for name, f in test.items()]
    assert norms == pytest.approx([norms[0]] * 5, rel=1e-5)
    assert max(map(len, done.stdout.splitlines()[2:-1])) <= 80
    assert f"{kl[2]:9.2f}" in done.stdout


def test_both_gradients_give_the_same_figures(tmp_path: Any) -> None:
    write_tiny_data(tmp_path / "data")
    found = []
    for gradients in ("autograd", "by-hand"):
        out = tmp_path / gradients
        flags = (*TINY, "--data-dir", tmp_path / "data", "--gradients", gradients, "--quiet")
        assert run_here(*flags, "--dtype", "float64", "--out", out, name="vae_scaling") == 0
        found.append(json.loads((out / "summary.json").read_text())["test"])
    for name in SCALING.LOSSES:
        assert found[0][name] == pytest.approx(found[1][name], rel=1e-6)


def test_the_variance_is_told(tmp_path: Any, capsys: Any) -> None:
    write_tiny_data(tmp_path / "data")
    flags = (*TINY, "--data-dir", tmp_path / "data", "--likelihood", "gaussian", "--out", tmp_path)
    assert run_here(*flags, name="vae_scaling") == 0
    variance = json.loads((tmp_path / "summary.json").read_text())["test"]["R + KL"]["variance"]
    assert f"learned: {variance:.4f}" in capsys.readouterr().out


def test_resume_is_refused(tmp_path: Any, capsys: Any) -> None:
    assert run_here("--smoke", "--resume", "--out", tmp_path, name="vae_scaling") == 2
    assert "keeps no checkpoint" in capsys.readouterr().err
