"""Gradient estimators: their mean and variance, by quadrature, closed forms and differences."""

from __future__ import annotations

import json
import os
from functools import partial
from math import erf, exp, pi, sqrt
from typing import Any

import numpy as np
import pytest
from running import example, run_here
from strict import count_syncs

import tinygen as tg
from tinygen.models import VAE
from tinygen.ops import log, sin
from tinygen.ops import sum as sum_

HERE = example("vae_estimators")
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(14)  # exact for polynomials up to degree 27
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def all_noise(k: int) -> tuple[Any, Any]:
    """Every combination of k nodes (k, n, 1), and its weight (n,): sums are expectations."""
    noise = np.stack(np.meshgrid(*[NODES] * k, indexing="ij")).reshape(k, -1, 1)
    return noise, np.stack(np.meshgrid(*[WEIGHTS] * k)).reshape(k, -1).prod(axis=0)


def gradients(estimator: Any, f: Any, mu: float, sigma: float, noise: Any) -> Any:
    """For each n of noise (k, n, 1) an estimate of the gradient by mu and by sigma: (n, 2)."""
    n = noise.shape[1]
    m, s = (tg.Tensor(np.full((n, 1), value), requires_grad=True) for value in (mu, sigma))
    found = tg.grad(estimator(f, m, 2 * log(s), noise), [m, s])
    return n * np.concatenate(found, axis=1)  # the estimator is a mean over n


def moments(estimator: Any, d: float, sigma: float, k: int = 1) -> tuple[Any, Any]:
    """The mean and the variance of an estimate for f(z) = (z - 3)^2 and mu = 3 + d."""
    noise, weights = all_noise(k)
    g = gradients(estimator, lambda z: sum_((z - 3) * (z - 3), axis=-1), 3.0 + d, sigma, noise)
    average = weights @ g
    return average, weights @ (g - average) ** 2


PLACES = [(2.0, 0.5), (-1.5, 0.7), (0.0, 2.0), (4.0, 0.1)]


@pytest.mark.parametrize(("d", "s"), PLACES)
def test_means_and_variances_in_one_dimension(d: float, s: float) -> None:
    flow, score = HERE.reparameterised, HERE.score_function
    constant = partial(score, baseline=lambda costs: d * d + s * s)
    expected = {
        flow: (4 * s**2, 4 * d**2 + 8 * s**2),
        score: (d**4 / s**2 + 14 * d**2 + 15 * s**2, 2 * d**4 / s**2 + 60 * d**2 + 74 * s**2),
        constant: (8 * d**2 + 10 * s**2, None),
    }
    for estimator, (by_mu, by_sigma) in expected.items():
        average, variance = moments(estimator, d, s)
        np.testing.assert_allclose(average, [2 * d, 2 * s], rtol=1e-9, atol=1e-9)
        assert variance[0] == pytest.approx(by_mu, rel=1e-9)
        if by_sigma is not None:
            assert variance[1] == pytest.approx(by_sigma, rel=1e-9)


def test_the_numbers_of_the_page() -> None:
    """d = 2 and sigma = 1/2, as in docs/vae-estimators.md."""
    flow, score = HERE.reparameterised, HERE.score_function
    others = partial(score, baseline=HERE.others)
    np.testing.assert_allclose(moments(flow, 2, 0.5)[1], [1, 18], rtol=1e-10)
    np.testing.assert_allclose(moments(score, 2, 0.5)[1], [123.75, 386.5], rtol=1e-10)
    constant = partial(score, baseline=lambda costs: 4.25)
    assert moments(constant, 2, 0.5)[1][0] == pytest.approx(34.5, rel=1e-10)
    best = partial(score, baseline=lambda costs: 4.75)
    assert moments(best, 2, 0.5)[1][0] == pytest.approx(33.5, rel=1e-10)
    assert moments(others, 2, 0.5, k=2)[1][0] == pytest.approx(33.5, rel=1e-10)
    assert 2 * moments(others, 2, 0.5, k=2)[1][0] == pytest.approx(67, rel=1e-10)


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize(("d", "s"), PLACES)
def test_the_mean_of_the_others_is_a_baseline_without_bias(d: float, s: float, k: int) -> None:
    truth = np.array([2 * d, 2 * s])
    average, variance = moments(partial(HERE.score_function, baseline=HERE.others), d, s, k)
    np.testing.assert_allclose(average, truth, rtol=1e-9, atol=1e-9)
    expected = (8 * d**2 + 10 * s**2 + (8 * d**2 + 2 * s**2) / (k - 1)) / k
    assert variance[0] == pytest.approx(expected, rel=1e-9)
    # With the draw itself among them it is too short, by exactly 1 / k.
    average, _ = moments(partial(HERE.score_function, baseline=HERE.all_draws), d, s, k)
    np.testing.assert_allclose(average, (1 - 1 / k) * truth, rtol=1e-9, atol=1e-9)


def test_the_score_function_needs_no_derivative_of_the_cost() -> None:
    """The cost is 1 where z > 0, whose derivative is 0 wherever there is one."""
    mu, sigma, n = 0.4, 0.8, 100_000

    def step(z: Any) -> Any:
        return tg.Tensor((z[..., 0] > 0).astype(np.float64))

    noise = np.random.default_rng(0).standard_normal((1, n, 1))
    g = gradients(HERE.score_function, step, mu, sigma, noise)
    ratio = mu / sigma
    density = exp(-(ratio**2) / 2) / sqrt(2 * pi)
    error = g.std(axis=0) / sqrt(n)
    # E f = Phi(mu / sigma), here differentiated on paper.
    assert (1 + erf(ratio / sqrt(2))) / 2 == pytest.approx(0.6915, abs=1e-4)
    truth = [density / sigma, -ratio * density / sigma]
    np.testing.assert_array_less(abs(g.mean(axis=0) - truth), 4 * error)
    assert (error < 0.01).all()  # or nothing was compared
    with pytest.raises(ValueError, match="depends on no tensor"):
        gradients(HERE.reparameterised, step, mu, sigma, noise)


def test_where_the_cost_wiggles_the_score_function_is_the_better_one() -> None:
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    weights = weights / weights.sum()
    variance = []
    for estimator in (HERE.reparameterised, HERE.score_function):
        g = gradients(
            estimator, lambda z: sum_(sin(5.0 * z), axis=-1), 0.0, 1.0, nodes[None, :, None]
        )[:, 0]
        assert weights @ g == pytest.approx(5 * exp(-12.5), abs=1e-9)  # E cos(5 z), times 5
        variance.append(weights @ g**2)
    # E[25 cos(5 z)^2] and E[sin(5 z)^2 z^2], but for exp(-50).
    np.testing.assert_allclose(variance, [12.5, 0.5], rtol=1e-6)


# On a VAE.

MODEL = VAE(pixels=6, hidden=(5,), latent=2, activation="tanh", biases="normal")


def encoder_and_images() -> tuple[tg.Parameters, Any]:
    x = np.random.default_rng(3).integers(0, 2, (3, 6)).astype(np.float64)
    return MODEL.initialise(1, np.float64), x


def true_gradient(p: tg.Parameters, x: Any) -> Any:
    """Central differences of an expectation by quadrature: neither autograd nor a draw."""
    axis, weights = np.polynomial.hermite_e.hermegauss(20)
    nodes = np.stack(np.meshgrid(axis, axis)).reshape(2, -1).T
    noise = np.broadcast_to(nodes[:, None], (len(nodes), len(x), 2))
    weights = np.outer(weights, weights).ravel() / weights.sum() ** 2

    def expected() -> float:
        mu, log_var = MODEL.encode(p, x)
        z = mu + np.exp(log_var / 2) * noise
        return float(weights @ MODEL.reconstruction(p, x, z).mean(axis=1))

    step, found = 1e-5, []
    for name, W in p.items():
        for i in np.ndindex(W.shape if name.startswith("encoder.") else (0,)):
            W[i] += step
            above = expected()
            W[i] -= 2 * step
            found.append((above - expected()) / (2 * step))
            W[i] += step
    return np.array(found)


def test_on_a_vae_all_agree_in_the_mean_and_only_the_wrong_one_is_biased() -> None:
    p, x = encoder_and_images()
    truth = true_gradient(p, x)
    k, repeats, found = 4, 800, {}
    for name, estimator in HERE.ESTIMATORS.items():
        draws = np.random.default_rng(7).standard_normal((repeats, k, 3, 2))
        each = (HERE.encoder_gradient(estimator, MODEL, p, x, noise) for noise in draws)
        found[name] = HERE.measure(each, truth)
    flow, score, others, wrong = found.values()
    for right in (flow, score, others):
        assert abs(right["along"] - 1) < 4 * right["along_error"]
        # Of what noise alone gives, in any direction; a bias of one noise would make it 1.4.
        assert right["distance"] < 1.4 * right["noise"] < 1
    assert 1 - wrong["along"] > 4 * wrong["along_error"]
    assert abs(wrong["along"] - (1 - 1 / k)) < 4 * wrong["along_error"]
    assert wrong["distance"] > 1.4 * wrong["noise"]
    assert 10 * flow["variance"] < others["variance"]
    assert 3 * others["variance"] < score["variance"]


def test_the_variance_falls_as_the_draws_grow() -> None:
    p, x = encoder_and_images()
    truth = true_gradient(p, x)
    for estimator in (HERE.reparameterised, HERE.score_function):
        variance = {}
        for k in (1, 16):
            draws = np.random.default_rng(k).standard_normal((400, k, 3, 2))
            each = (HERE.encoder_gradient(estimator, MODEL, p, x, noise) for noise in draws)
            variance[k] = HERE.measure(each, truth)["variance"]
        # A mean of independent draws; a variance from 400 values is off by some 5 percent.
        assert variance[1] / variance[16] == pytest.approx(16, rel=0.3)


def test_in_training_the_decoder_and_the_kl_get_their_own_gradient() -> None:
    p, x = encoder_and_images()
    noise = np.random.default_rng(0).standard_normal((4, 3, 2))
    _, expected = tg.value_and_grad(MODEL.loss)(p, x, noise)
    for name, estimator in HERE.ESTIMATORS.items():
        found = tg.value_and_grad(partial(HERE.estimated_elbo, estimator, MODEL))(p, x, noise)[1]
        for key in p:
            close = np.allclose(found[key], expected[key], rtol=1e-10, atol=1e-12)
            assert close == (name == "reparameterised" or key.startswith("decoder.")), (name, key)
        kl = tg.value_and_grad(
            lambda q: tg.gaussian_kl(*MODEL.encode(q, x)).sum() * (1 / 3)
        )(p)[1]  # fmt: skip
        rest = HERE.encoder_gradient(estimator, MODEL, p, x, noise)
        whole = np.concatenate([kl[key].ravel() for key in p if key.startswith("encoder.")]) + rest
        mine = np.concatenate([found[key].ravel() for key in p if key.startswith("encoder.")])
        np.testing.assert_allclose(mine, whole, rtol=1e-9, atol=1e-11)


def test_an_estimate_is_the_same_on_every_backend(backend: Any) -> None:
    p, x = encoder_and_images()
    noise = np.random.default_rng(0).standard_normal((4, 3, 2))
    there = MODEL.initialise(1, np.float64, backend), backend.asarray(x), backend.asarray(noise)
    for estimator in HERE.ESTIMATORS.values():
        expected = HERE.encoder_gradient(estimator, MODEL, p, x, noise)
        with count_syncs() as syncs:
            found = HERE.encoder_gradient(estimator, MODEL, *there)
        assert not syncs
        np.testing.assert_allclose(backend.to_numpy(found), expected, rtol=1e-9, atol=1e-11)


def test_what_is_measured_by_hand() -> None:
    truth = np.array([3.0, 4.0])
    aside = np.array([5.0, 0.0])
    two = [truth + aside, truth - aside]
    expected = {"repeats": 2, "along": 1, "along_error": 0.6, "distance": 0, "noise": 1,
                "variance": 2, "snr": sqrt(0.5)}  # fmt: skip
    assert HERE.measure(two, truth) == pytest.approx(expected)
    expected |= {"along": 2, "distance": 1}
    assert HERE.measure([g + truth for g in two], truth) == pytest.approx(expected)


# The script.


def test_smoke(tmp_path: Any, capsys: Any) -> None:
    assert run_here("--smoke", "--out", tmp_path, name="vae_estimators") == 0
    printed = capsys.readouterr().out.splitlines()
    pictures = {"bias.png", "variance.png", "training.png"}
    assert set(os.listdir(tmp_path)) == {"summary.json"} | pictures
    summary = json.loads((tmp_path / "summary.json").read_text())
    keys = "task config data versions seconds parameters test estimators training"
    assert list(summary) == keys.split()
    rows = summary["estimators"]
    names = list(HERE.ESTIMATORS)
    expected = [(name, k) for name in names for k in HERE.SAMPLES if k > 1 or name in names[:2]]
    assert [(r["estimator"], r["samples"]) for r in rows] == expected
    lines = HERE.table(rows)
    assert max(map(len, lines)) <= 80 and set(lines) <= set(printed)
    by = {(r["estimator"], r["samples"]): r for r in rows}
    assert 100 * by["reparameterised", 1]["variance"] < by["score function", 1]["variance"]
    assert all(abs(r["z"]) < 5 for r in rows if r["estimator"] != names[3])
    assert {len(h) for h in summary["training"].values()} == {summary["config"]["epochs"]} == {1}
    assert summary["test"]["negative_elbo"] > 0


@pytest.mark.parametrize(
    ("flags", "refused"),
    [
        (["--gradients", "by-hand"], "autograd"),
        (["--train-samples", "1"], "at least 2"),
        (["--resume"], "no checkpoint"),
    ],
)
def test_what_it_refuses(tmp_path: Any, capsys: Any, flags: list[str], refused: str) -> None:
    assert run_here("--smoke", "--out", tmp_path, *flags, name="vae_estimators") == 2
    assert refused in capsys.readouterr().err
