"""Checks of the VAE, for its tests and for the table of mutants."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from agreement import assert_by_hand_agrees

import tinygen as tg
from tinygen.byhand.vae import loss_and_grads
from tinygen.models import VAE
from tinygen.models.vae import bernoulli, reparameterise

NUMPY = tg.get_backend("numpy")


def batch(model: VAE, n: int, seed: int, dtype: Any, backend: Any = NUMPY) -> tuple[Any, ...]:
    """Parameters, images, and the noise of one step."""
    generator = backend.generator(seed)
    x = generator.random((n, model.pixels), dtype=dtype)
    p = model.initialise(seed, dtype, backend)
    if "decoder.log_var" in p:
        p["decoder.log_var"][...] = 0.7  # where exp(-0.7) cannot be taken for exp(0.7) or for 1
    return (p, *model.draw(x, generator, step=1))


# The gradient three times.


def check_by_hand(dtype: str, tolerance: float, model: VAE, n: int, seed: int) -> None:
    data = batch(model, n, seed, np.dtype(dtype))
    assert_by_hand_agrees(model, loss_and_grads, data, dtype, tolerance)


def check_finite_differences(model: VAE, n: int, seed: int, directions: int = 3) -> None:
    p, *data = batch(model, n, seed, np.float64)
    tg.check_gradients(lambda q: model.loss(q, *data), p, directions=directions, tolerance=1e-7)


# What the noise is.


def check_data_of_a_step_by_seed() -> None:
    model = VAE(pixels=5, hidden=(4,), latent=2, binarize=True)
    x = np.full((3, 5), 0.5, np.float32)
    draws = [model.draw(x, NUMPY.generator((0, 1, step))) for step in (7, 7, 8)]
    for a, b, c in zip(*(draw[:2] for draw in draws), strict=True):
        np.testing.assert_array_equal(a, b)
        assert (a != c).any()


def check_binarized_pixels() -> None:
    grey = np.linspace(0, 1, 5, dtype=np.float32)
    x = np.broadcast_to(grey, (20_000, 5))
    drawn = bernoulli(x, NUMPY.generator(0))
    assert drawn.dtype == np.float32 and set(np.unique(drawn)) == {0, 1}
    # Black and white pixels stay; the others have a deviation of at most 0.5 / sqrt(20000).
    np.testing.assert_array_equal(drawn[:, [0, 4]], x[:, [0, 4]])
    np.testing.assert_allclose(drawn.mean(axis=0), grey, atol=5 * 0.5 / 20_000**0.5)
    assert len({row.tobytes() for row in drawn}) > 1  # each row is drawn for itself


def check_kl_warm_up() -> None:
    model = VAE(beta=2.0, kl_warm_up=4)
    assert [model.beta_at(step) for step in range(6)] == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0]
    assert VAE(beta=2.0).beta_at(0) == 2.0


def check_noise_of_each_sample() -> None:
    _, noise, _ = VAE(pixels=3, samples=4).draw(np.zeros((5, 3), np.float32), NUMPY.generator(0))
    assert len(np.unique(noise)) == noise.size == 4 * 5 * 20


# What the parts are, without a gradient.


def check_sampler_moments() -> None:
    """A deviation of exp(log_var) passes every gradient check, but not this one."""
    mu, log_var = np.array([[-1.0, 0.0, 2.0]]), np.array([[-2.0, 0.0, 1.5]])
    n = 200_000
    z = reparameterise(mu, log_var, NUMPY.generator(0).standard_normal((n, 1, 3)))[:, 0]
    std = np.exp(log_var[0]) ** 0.5
    # A mean is off by deviation / sqrt(n), a deviation by 1 / sqrt(2 n) of itself; five of them.
    np.testing.assert_array_less(abs(z.mean(axis=0) - mu[0]), 5 * std / n**0.5)
    np.testing.assert_allclose(z.std(axis=0), std, rtol=5 / (2 * n) ** 0.5)


def check_kl_by_monte_carlo() -> None:
    """The draws and the densities are the model's own: log_weights with a likelihood of 1."""
    model = VAE(pixels=3, hidden=(4,), latent=2, activation="tanh", biases="normal")
    p = model.initialise(0, np.float64)
    p["encoder.W2"][...] *= 3  # a KL of about a nat
    p["decoder.W1"][...] = p["decoder.W2"][...] = 0  # log p(x | z) is the same for each z
    x = NUMPY.generator(1).random((3, 3))
    noise = NUMPY.generator(2).standard_normal((40_000, 3, 2))
    nll, kl, _ = model.elbo_terms(p, x, noise[:1])
    sampled = -(model.log_weights(p, x, noise) + nll)
    error = sampled.std(axis=0) / len(noise) ** 0.5
    np.testing.assert_array_less(abs(sampled.mean(axis=0) - kl.sum(axis=1)), 5 * error)
    assert (kl.sum(axis=1) > 0.1).all()  # or nothing was compared


def check_sums_not_means() -> None:
    """Twice the same pixels and units cost twice as many nats, more images no more."""
    mu, log_var = np.ones((1, 3)), np.full((1, 3), 0.5)
    one = tg.gaussian_kl(mu[:, :1], log_var[:, :1])
    np.testing.assert_allclose(tg.gaussian_kl(mu, log_var), np.repeat(one, 3, axis=1))
    assert tg.bernoulli_nll(np.zeros((2, 784)), np.ones((2, 784))) == pytest.approx(
        784 * np.log(2), rel=1e-14
    )
    model = VAE(pixels=4, hidden=(3,), latent=2)
    p, x, noise, beta = batch(model, 3, 0, np.float64)
    doubled = (np.concatenate([x, x]), np.concatenate([noise, noise], axis=1))
    assert model.loss(p, *doubled, beta) == pytest.approx(model.loss(p, x, noise, beta), rel=1e-13)


def check_gaussian_density(backend: Any) -> None:
    log_var = backend.asarray(np.array([0.6]))
    x = np.linspace(-12, 14, 4001)[:, None]
    mean = backend.asarray(np.full((4001, 1), 1.3))
    density = np.exp(-backend.to_numpy(tg.gaussian_nll(mean, log_var, backend.asarray(x))))
    step = x[1, 0] - x[0, 0]
    assert density.sum() * step == pytest.approx(1, rel=1e-9)
    assert (density * x[:, 0]).sum() * step == pytest.approx(1.3, rel=1e-9)
    assert (density * (x[:, 0] - 1.3) ** 2).sum() * step == pytest.approx(np.exp(0.6), rel=1e-9)


# The linear model, whose likelihood is known: probabilistic PCA (Tipping and Bishop 1999).
#
# z ~ N(0, I), x | z ~ N(z W + b, s I); then x ~ N(b, W^T W + s I). With a linear encoder and a
# linear decoder the VAE is this model, and its best encoder is the exact posterior.

LINEAR = VAE(pixels=5, hidden=(), latent=2, likelihood="gaussian")


def some_images(n: int = 200) -> np.ndarray:
    generator = np.random.default_rng(5)
    return generator.standard_normal((n, 2)) @ generator.standard_normal((2, 5)) + (
        0.4 * generator.standard_normal((n, 5)) + generator.standard_normal(5)
    )


def exact_log_likelihood(p: tg.Parameters, x: np.ndarray) -> np.ndarray:
    """``log p(x)`` of each image under the linear model."""
    W, b, s = p["decoder.W1"], p["decoder.b1"], float(np.exp(p["decoder.log_var"][0]))
    C = W.T @ W + s * np.eye(len(b))
    d = x - b
    distance = (d @ np.linalg.inv(C) * d).sum(axis=1)
    return -0.5 * (distance + np.linalg.slogdet(2 * np.pi * C)[1])


def closed_form(x: np.ndarray) -> tuple[tg.Parameters, float]:
    """The parameters of the greatest likelihood, from the covariance alone, and that likelihood."""
    c = LINEAR.latent
    b = x.mean(axis=0)
    values, vectors = np.linalg.eigh((x - b).T @ (x - b) / len(x))
    values, vectors = values[::-1], vectors[:, ::-1]
    s = values[c:].mean()
    p = LINEAR.initialise(0, np.float64)
    p["decoder.W1"][...] = W = (vectors[:, :c] * np.sqrt(values[:c] - s)).T
    p["decoder.b1"][...] = b
    p["decoder.log_var"][...] = np.log(s)
    M = values[:c]  # W W^T + s I, which is diagonal here
    p["encoder.W1"][...] = np.concatenate([W.T / M, np.zeros((5, c))], axis=1)
    p["encoder.b1"][...] = np.concatenate([-b @ W.T / M, np.log(s / M)])
    best = np.log(2 * np.pi) * 5 + np.log(values[:c]).sum() + 3 * np.log(s) + 5
    return p, float(-0.5 * best)


def sigma_points(n: int, c: int) -> np.ndarray:
    """Noise ``(2 c, n, c)`` whose mean is 0 and whose covariance is 1, exactly.

    The mean of what is quadratic in it, as a linear decoder's squared error is, is its expectation.
    """
    points = np.sqrt(c) * np.concatenate([np.eye(c), -np.eye(c)])
    return np.broadcast_to(points[:, None], (2 * c, n, c))


def check_elbo_at_the_best_parameters() -> None:
    x = some_images()
    p, best = closed_form(x)
    exact = exact_log_likelihood(p, x)
    assert exact.mean() == pytest.approx(best, rel=1e-12)
    assert -LINEAR.loss(p, x, sigma_points(len(x), 2)) == pytest.approx(best, rel=1e-12)
    # The encoder is the posterior, so each draw's weight p(x, z) / q(z | x) is p(x).
    noise = np.random.default_rng(0).standard_normal((3, len(x), 2))
    np.testing.assert_allclose(LINEAR.log_weights(p, x, noise), np.stack([exact] * 3), rtol=1e-11)
    for k in (1, 3):
        loss = replace(LINEAR, objective="iwae").loss(p, x, noise[:k])
        assert -loss == pytest.approx(best, rel=1e-11)


def check_elbo_below_the_likelihood(seed: int, size: float) -> None:
    x = some_images(20)
    p, _ = closed_form(some_images())
    p.flat[:] += size * np.random.default_rng(seed).standard_normal(p.flat.size)
    exact = exact_log_likelihood(p, x).mean()
    elbo = -LINEAR.loss(p, x, sigma_points(20, 2))
    assert elbo <= exact + 1e-9 * abs(exact)


def off_the_posterior() -> tuple[tg.Parameters, np.ndarray]:
    """Parameters whose encoder is wrong, so that the bound has a gap: a third of a nat."""
    x = some_images(50)
    p, _ = closed_form(some_images())
    p["encoder.b1"][...] += [0.2, -0.2, 0.5, 0.5]
    return p, x


def check_more_samples_raise_the_bound() -> None:
    p, x = off_the_posterior()
    exact = exact_log_likelihood(p, x).mean()
    elbo = -LINEAR.loss(p, x, sigma_points(50, 2))
    draws, model = 2000, replace(LINEAR, objective="iwae")
    log_w = model.log_weights(p, x, np.random.default_rng(0).standard_normal((draws, 50, 2)))
    bounds = {}
    for k in (1, 2, 5, 20, 100):
        groups = log_w.reshape(draws // k, k, 50)
        top = groups.max(axis=1, keepdims=True)
        each = (np.log(np.exp(groups - top).mean(axis=1)) + top[:, 0]).mean(axis=1)
        bounds[k] = each.mean(), each.std() / len(each) ** 0.5
    for (low, low_error), (high, high_error) in zip(
        list(bounds.values()), list(bounds.values())[1:], strict=False
    ):
        assert high - low > 5 * (low_error + high_error)
        assert high < exact + 5 * high_error
    assert bounds[1][0] == pytest.approx(elbo, abs=5 * bounds[1][1])
    assert exact - elbo > 0.2 and exact - bounds[100][0] < 0.02


def check_iwae_of_the_weights() -> None:
    p, x = off_the_posterior()
    noise = np.random.default_rng(0).standard_normal((7, 50, 2))
    weights = np.exp(LINEAR.log_weights(p, x, noise))
    expected = -np.log(weights.mean(axis=0)).mean()
    assert replace(LINEAR, objective="iwae").loss(p, x, noise) == pytest.approx(expected, rel=1e-12)
