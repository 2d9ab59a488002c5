"""The VAE: its gradient three times; and that it is a bound, by what is known without gradients."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from agreement import TOLERANCES, after_three_steps
from hypothesis import given
from hypothesis import strategies as st
from strict import count_syncs
from vae_checks import (
    LINEAR,
    NUMPY,
    batch,
    check_binarized_pixels,
    check_by_hand,
    check_data_of_a_step_by_seed,
    check_elbo_at_the_best_parameters,
    check_elbo_below_the_likelihood,
    check_finite_differences,
    check_gaussian_density,
    check_iwae_of_the_weights,
    check_kl_by_monte_carlo,
    check_kl_warm_up,
    check_more_samples_raise_the_bound,
    check_noise_of_each_sample,
    check_sampler_moments,
    check_sums_not_means,
    closed_form,
    exact_log_likelihood,
    sigma_points,
    some_images,
)

import tinygen as tg
from tinygen.byhand.vae import loss_and_grads
from tinygen.models import VAE
from tinygen.models.vae import LIKELIHOODS, OBJECTIVES
from tinygen.ops import ACTIVATIONS


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


# The gradient three times.


@given(models(), st.integers(1, 6), st.integers(0, 10**6))
@TOLERANCES
def test_by_hand_and_autograd_agree(
    dtype: str, tolerance: float, model: VAE, n: int, seed: int
) -> None:
    check_by_hand(dtype, tolerance, model, n, seed)


@given(models(), st.integers(1, 4), st.integers(0, 10**6))
def test_autograd_and_finite_differences_agree(model: VAE, n: int, seed: int) -> None:
    check_finite_differences(model, n, seed)


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
    step_of = model.gradients(gradients)
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
    check_data_of_a_step_by_seed()


def test_pixels_are_one_as_often_as_they_are_white() -> None:
    check_binarized_pixels()


def test_the_weight_of_the_kl_rises_in_a_line() -> None:
    check_kl_warm_up()


def test_each_sample_of_an_image_has_noise_of_its_own() -> None:
    check_noise_of_each_sample()


# What the parts are, without a gradient.


def test_the_sampler_has_the_right_mean_and_standard_deviation() -> None:
    check_sampler_moments()


def test_the_closed_form_of_the_kl_agrees_with_monte_carlo() -> None:
    check_kl_by_monte_carlo()


def test_the_kl_and_the_likelihood_are_sums_not_means() -> None:
    check_sums_not_means()


def test_the_gaussian_likelihood_is_a_density(backend: Any) -> None:
    check_gaussian_density(backend)


def test_the_loss_is_what_bound_says() -> None:
    model = VAE(pixels=6, hidden=(4,), latent=3, samples=2)
    p, x, noise, _ = batch(model, 5, 0, np.float64)
    nll, kl, _ = model.elbo_terms(p, x, noise)
    for beta in (0.0, 1.0, 2.5):
        expected = nll.mean() + beta * kl.sum(axis=1).mean()
        assert model.loss(p, x, noise, beta) == pytest.approx(expected, rel=1e-13)
    per_unit = kl.mean(axis=0)
    floor = float(np.sort(per_unit)[:2].mean())  # one unit is below it, two are above
    bits = replace(model, free_bits=floor)
    expected = nll.mean() + np.maximum(per_unit, floor).sum()
    assert bits.loss(p, x, noise) == pytest.approx(expected, rel=1e-13)


# The linear model, whose likelihood is known: probabilistic PCA (Tipping and Bishop 1999).


def test_at_the_best_parameters_the_bound_is_the_likelihood() -> None:
    check_elbo_at_the_best_parameters()


@given(st.integers(0, 10**6), st.floats(0.01, 3))
def test_the_bound_is_nowhere_above_the_likelihood(seed: int, size: float) -> None:
    check_elbo_below_the_likelihood(seed, size)


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


def test_more_samples_raise_the_bound_and_one_is_the_elbo() -> None:
    check_more_samples_raise_the_bound()


def test_the_objective_iwae_is_the_bound_of_the_weights() -> None:
    check_iwae_of_the_weights()


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
        ({"kl_warm_up": 2.5}, "kl_warm_up must be a whole number"),
        ({"free_bits": 0.1, "objective": "iwae"}, "which the objective iwae has not"),
        ({"binarize": True, "likelihood": "gaussian"}, "need the likelihood bernoulli"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        VAE(**wrong)
