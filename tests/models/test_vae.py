"""The VAE: its gradient three times; and that it is a bound, by what is known without gradients."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from agreement import TOLERANCES, after_three_steps, assert_by_hand_agrees, gradient_of
from hypothesis import given
from hypothesis import strategies as st
from strict import count_syncs

import tinygen as tg
from tinygen.byhand.vae import loss_and_grads
from tinygen.models import VAE
from tinygen.models.vae import LIKELIHOODS, OBJECTIVES, bernoulli, reparameterise
from tinygen.ops import ACTIVATIONS

NUMPY = tg.get_backend("numpy")


@st.composite
def models(draw: Any) -> VAE:
    likelihood, objective = draw(st.sampled_from(LIKELIHOODS)), draw(st.sampled_from(OBJECTIVES))
    return VAE(
        pixels=draw(st.integers(1, 9)),
        hidden=tuple(draw(st.lists(st.integers(1, 8), max_size=3))),
        latent=draw(st.integers(1, 5)),
        activation=draw(st.sampled_from(sorted(ACTIVATIONS))),
        likelihood=likelihood,
        objective=objective,
        samples=draw(st.integers(1, 4)),
        # Off, or strong enough that a wrong term could not hide.
        beta=draw(st.sampled_from([0.0, 0.5, 1.0, 3.0])),
        kl_warm_up=draw(st.sampled_from([0, 4])),
        free_bits=draw(st.sampled_from([0.0, 0.1])) if objective == "elbo" else 0.0,
        binarize=likelihood == "bernoulli" and draw(st.booleans()),
        weights=draw(st.sampled_from(sorted(tg.nn.WEIGHTS))),
        biases="normal",
    )


def batch(model: VAE, n: int, seed: int, dtype: Any, backend: Any = NUMPY) -> tuple[Any, ...]:
    """Parameters, images, and the noise of one step."""
    generator = backend.generator(seed)
    x = generator.random((n, model.pixels), dtype=dtype)
    p = model.initialise(seed, dtype, backend)
    if "decoder.log_var" in p:
        p["decoder.log_var"][...] = 0.7  # where exp(-0.7) cannot be taken for exp(0.7) or for 1
    return (p, *model.draw(x, generator, step=1))


# The gradient three times.


@given(models(), st.integers(1, 6), st.integers(0, 10**6))
@TOLERANCES
def test_by_hand_and_autograd_agree(
    dtype: str, tolerance: float, model: VAE, n: int, seed: int
) -> None:
    data = batch(model, n, seed, np.dtype(dtype))
    assert_by_hand_agrees(model, loss_and_grads, data, dtype, tolerance)


@given(models(), st.integers(1, 4), st.integers(0, 10**6))
def test_autograd_and_finite_differences_agree(model: VAE, n: int, seed: int) -> None:
    p, *data = batch(model, n, seed, np.float64)
    tg.check_gradients(lambda q: model.loss(q, *data), p, tolerance=1e-7)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_second_order_of_the_loss(likelihood: str, objective: str) -> None:
    model = VAE(pixels=4, hidden=(3,), latent=2, activation="tanh", samples=2,
                likelihood=likelihood, objective=objective)  # fmt: skip
    p, *data = batch(model, 3, 1, np.float64)
    tg.check_gradients(lambda q: model.loss(q, *data), p, order=2)


@pytest.mark.parametrize("gradients", ["autograd", "by-hand"])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("options", [
    {}, {"free_bits": 0.1, "samples": 2, "kl_warm_up": 2}, {"objective": "iwae", "samples": 3},
])  # fmt: skip
def test_a_step_is_the_same_on_every_backend_and_waits_for_nothing(
    backend: Any, gradients: str, likelihood: str, options: dict[str, Any]
) -> None:
    model = VAE(pixels=12, hidden=(7, 5), latent=3, likelihood=likelihood, **options)
    step_of = gradient_of(model, loss_and_grads, gradients)
    start, x, noise, beta = batch(model, 6, 3, np.float32)
    finals = []
    for place in (NUMPY, backend):
        p = start.copy().to(place, np.float32)
        data = (place.asarray(x), place.asarray(noise), beta)
        finals.append(after_three_steps(step_of, p, data, place))
    # The same float32 arithmetic in another library: a few roundings, three steps of 1e-3.
    np.testing.assert_allclose(finals[1], finals[0], atol=2e-6)


def test_drawing_the_data_of_a_step_waits_for_nothing(backend: Any) -> None:
    model = VAE(pixels=12, hidden=(), latent=3, binarize=True, samples=2)
    x = backend.asarray(np.full((5, 12), 0.3, np.float32))
    with count_syncs() as syncs:
        binary, noise, beta = model.draw(x, backend.generator((0, 1, 7)), 7)
    assert not syncs
    assert binary.dtype == noise.dtype == np.float32
    assert (binary.shape, noise.shape, beta) == ((5, 12), (2, 5, 3), 1.0)


# What the noise is.


def test_the_data_of_a_step_depend_on_nothing_but_its_seed() -> None:
    model = VAE(pixels=5, hidden=(4,), latent=2, binarize=True)
    x = np.full((3, 5), 0.5, np.float32)
    draws = [model.draw(x, NUMPY.generator((0, 1, step))) for step in (7, 7, 8)]
    for a, b, c in zip(*(draw[:2] for draw in draws), strict=True):
        np.testing.assert_array_equal(a, b)
        assert (a != c).any()


def test_pixels_are_one_as_often_as_they_are_white() -> None:
    grey = np.linspace(0, 1, 5, dtype=np.float32)
    x = np.broadcast_to(grey, (20_000, 5))
    drawn = bernoulli(x, NUMPY.generator(0))
    assert drawn.dtype == np.float32 and set(np.unique(drawn)) == {0, 1}
    # Black and white pixels stay; the others have a deviation of at most 0.5 / sqrt(20000).
    np.testing.assert_array_equal(drawn[:, [0, 4]], x[:, [0, 4]])
    np.testing.assert_allclose(drawn.mean(axis=0), grey, atol=5 * 0.5 / 20_000**0.5)
    assert len({row.tobytes() for row in drawn}) > 1  # each row is drawn for itself


def test_the_weight_of_the_kl_rises_in_a_line() -> None:
    model = VAE(beta=2.0, kl_warm_up=4)
    assert [model.beta_at(step) for step in range(6)] == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0]
    assert VAE(beta=2.0).beta_at(0) == 2.0


def test_each_sample_of_an_image_has_noise_of_its_own() -> None:
    _, noise, _ = VAE(pixels=3, samples=4).draw(np.zeros((5, 3), np.float32), NUMPY.generator(0))
    assert len(np.unique(noise)) == noise.size == 4 * 5 * 20


# What the parts are, without a gradient.


def test_the_sampler_has_the_mean_and_the_deviation_that_it_should() -> None:
    """A deviation of exp(log_var) passes every gradient check, but not this one."""
    mu, log_var = np.array([[-1.0, 0.0, 2.0]]), np.array([[-2.0, 0.0, 1.5]])
    n = 200_000
    z = reparameterise(mu, log_var, NUMPY.generator(0).standard_normal((n, 1, 3)))[:, 0]
    deviation = np.exp(log_var[0]) ** 0.5
    # A mean is off by deviation / sqrt(n), a deviation by 1 / sqrt(2 n) of itself; five of them.
    np.testing.assert_array_less(abs(z.mean(axis=0) - mu[0]), 5 * deviation / n**0.5)
    np.testing.assert_allclose(z.std(axis=0), deviation, rtol=5 / (2 * n) ** 0.5)


def test_the_closed_form_of_the_kl_agrees_with_monte_carlo() -> None:
    """The draws and the densities are the model's own: log_weights with a likelihood of 1."""
    model = VAE(pixels=3, hidden=(4,), latent=2, activation="tanh", biases="normal")
    p = model.initialise(0, np.float64)
    p["encoder.W2"][...] *= 3  # a KL of about a nat
    p["decoder.W1"][...] = p["decoder.W2"][...] = 0  # log p(x | z) is the same for each z
    x = NUMPY.generator(1).random((3, 3))
    noise = NUMPY.generator(2).standard_normal((100_000, 3, 2))
    nll, kl, _ = model.bound(p, x, noise[:1])
    sampled = -(model.log_weights(p, x, noise) + nll)
    error = sampled.std(axis=0) / len(noise) ** 0.5
    np.testing.assert_array_less(abs(sampled.mean(axis=0) - kl.sum(axis=1)), 5 * error)
    assert (kl.sum(axis=1) > 0.1).all()  # or nothing was compared


def test_the_kl_and_the_likelihood_are_sums_not_means() -> None:
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


def test_the_gaussian_likelihood_is_a_density(backend: Any) -> None:
    log_var = backend.asarray(np.array([0.6]))
    x = np.linspace(-12, 14, 4001)[:, None]
    mean = backend.asarray(np.full((4001, 1), 1.3))
    density = np.exp(-backend.to_numpy(tg.gaussian_nll(mean, log_var, backend.asarray(x))))
    step = x[1, 0] - x[0, 0]
    assert density.sum() * step == pytest.approx(1, rel=1e-9)
    assert (density * x[:, 0]).sum() * step == pytest.approx(1.3, rel=1e-9)
    assert (density * (x[:, 0] - 1.3) ** 2).sum() * step == pytest.approx(np.exp(0.6), rel=1e-9)


def test_the_loss_is_what_bound_says() -> None:
    model = VAE(pixels=6, hidden=(4,), latent=3, samples=2)
    p, x, noise, _ = batch(model, 5, 0, np.float64)
    nll, kl, _ = model.bound(p, x, noise)
    for beta in (0.0, 1.0, 2.5):
        expected = nll.mean() + beta * kl.sum(axis=1).mean()
        assert model.loss(p, x, noise, beta) == pytest.approx(expected, rel=1e-13)
    per_unit = kl.mean(axis=0)
    floor = float(np.sort(per_unit)[:2].mean())  # one unit is below it, two are above
    bits = replace(model, free_bits=floor)
    expected = nll.mean() + np.maximum(per_unit, floor).sum()
    assert bits.loss(p, x, noise) == pytest.approx(expected, rel=1e-13)


# The linear model, whose likelihood is known: probabilistic PCA (Tipping and Bishop 1999).
#
# z ~ N(0, I), x | z ~ N(z W + b, s I); then x ~ N(b, W^T W + s I). With linear halves the VAE is
# this model, and its best encoder is the exact posterior.

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


def test_at_the_best_parameters_the_bound_is_the_likelihood() -> None:
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


@given(st.integers(0, 10**6), st.floats(0.01, 3))
def test_the_bound_is_nowhere_above_the_likelihood(seed: int, size: float) -> None:
    x = some_images(20)
    p, _ = closed_form(some_images())
    p.flat[:] += size * np.random.default_rng(seed).standard_normal(p.flat.size)
    exact = exact_log_likelihood(p, x).mean()
    elbo = -LINEAR.loss(p, x, sigma_points(20, 2))
    assert elbo <= exact + 1e-9 * abs(exact)


@pytest.mark.parametrize("gradients", ["autograd", "by-hand"])
def test_training_reaches_the_greatest_likelihood_there_is(gradients: str) -> None:
    x = some_images()
    _, best = closed_form(x)
    p = LINEAR.initialise(0, np.float64)
    step_of: Any = tg.value_and_grad(LINEAR.loss)
    if gradients == "by-hand":
        step_of = partial(loss_and_grads, **LINEAR.terms)
    adam, out, noise = tg.Adam(p, beta2=0.99), p.zeros_like(), sigma_points(len(x), 2)
    steps = 1500
    for step in range(steps):
        loss, _ = step_of(p, x, noise, 1.0, out=out)
        adam.update(p, out, 0.05 * (1 - step / steps))
    # 1e-14 was measured.
    assert exact_log_likelihood(p, x).mean() == pytest.approx(best, abs=1e-9)
    assert -loss == pytest.approx(best, abs=1e-9)


def off_the_posterior() -> tuple[tg.Parameters, np.ndarray]:
    """Parameters whose encoder is wrong, so that the bound has a gap: a third of a nat."""
    x = some_images(50)
    p, _ = closed_form(some_images())
    p["encoder.b1"][...] += [0.2, -0.2, 0.5, 0.5]
    return p, x


def test_more_samples_raise_the_bound_and_one_is_the_elbo() -> None:
    p, x = off_the_posterior()
    exact = exact_log_likelihood(p, x).mean()
    elbo = -LINEAR.loss(p, x, sigma_points(50, 2))
    draws, model = 4000, replace(LINEAR, objective="iwae")
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


def test_the_objective_iwae_is_the_bound_of_the_weights() -> None:
    p, x = off_the_posterior()
    noise = np.random.default_rng(0).standard_normal((7, 50, 2))
    weights = np.exp(LINEAR.log_weights(p, x, noise))
    expected = -np.log(weights.mean(axis=0)).mean()
    assert replace(LINEAR, objective="iwae").loss(p, x, noise) == pytest.approx(expected, rel=1e-12)


# What is refused.


@pytest.mark.parametrize(
    ("shape", "dtype", "error"),
    [
        ((3, 1, 2), np.float64, ValueError),  # would be shared by all images
        ((3, 5, 1), np.float64, ValueError),  # would be shared by both numbers of a code
        ((5, 2), np.float64, ValueError),
        ((0, 5, 2), np.float64, ValueError),
        ((3, 5, 2), np.float32, TypeError),
    ],
)
def test_noise_that_does_not_fit_is_refused(shape: Any, dtype: Any, error: Any) -> None:
    model = VAE(pixels=4, hidden=(3,), latent=2)
    p, x, *_ = batch(model, 5, 0, np.float64)
    with pytest.raises(error, match="reparameterise: noise is"):
        model.loss(p, x, np.zeros(shape, dtype))


def test_a_weight_of_float64_does_not_spread() -> None:
    model = VAE(pixels=4, hidden=(3,), latent=2)
    p, x, noise, _ = batch(model, 5, 0, np.float32)
    assert model.loss(p, x, noise, np.float64(0.7)).dtype == np.float32


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"likelihood": "poisson"}, "unknown likelihood 'poisson'"),
        ({"objective": "mse"}, "unknown objective 'mse'"),
        ({"activation": "swish"}, "unknown activation 'swish'"),
        ({"latent": 0}, "at least 1"),
        ({"samples": 0}, "samples must be at least 1"),
        ({"beta": -0.1}, "beta must be at least 0"),
        ({"beta": float("inf")}, "beta must be at least 0"),
        ({"free_bits": float("nan")}, "free_bits must be at least 0"),
        ({"kl_warm_up": -1}, "kl_warm_up must be at least 0"),
        ({"kl_warm_up": 2.5}, "kl_warm_up must be at least 0"),
        ({"free_bits": 0.1, "objective": "iwae"}, "which the objective iwae has not"),
        ({"binarize": True, "likelihood": "gaussian"}, "need the likelihood bernoulli"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        VAE(**wrong)
