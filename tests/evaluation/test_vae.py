"""Figures of a VAE: the same draws each time, and a model whose likelihood is known."""

from __future__ import annotations

from dataclasses import replace
from math import log

import numpy as np
import pytest

from tinygen.evaluation import VAEEvaluator
from tinygen.models import VAE

MODEL = VAE(pixels=6, hidden=(5,), latent=2, samples=3, beta=4.0, binarize=True)
IMAGES = np.random.default_rng(0).integers(0, 256, (1300, 2, 3), dtype=np.uint8)


def evaluator(backend, model=MODEL, seed=7, dtype=np.float64):
    return VAEEvaluator(model, model.initialise(1, dtype, backend), seed)


def drawn(evaluator, *stream):
    to_numpy = evaluator.backend.to_numpy
    batches = [tuple(map(to_numpy, batch)) for batch in evaluator.draw(IMAGES, *stream)]
    return [np.concatenate(part, axis=axis) for axis, part in enumerate(zip(*batches, strict=True))]


def test_the_draws_depend_on_the_seed_and_the_stream_alone(backend):
    one = evaluator(backend)
    x, noise = drawn(one)
    assert {*np.unique(x)} == {0, 1} and x.shape == (1300, 6)  # drawn with the grey values
    assert noise.shape == (1, 1300, 2), "one draw for an image, whatever the model's samples"
    assert not np.array_equal(noise[:, :300], noise[:, 1000:]), "batches have noise of their own"
    for same in (one, evaluator(backend)):
        for a, b in zip((x, noise), drawn(same), strict=True):
            np.testing.assert_array_equal(a, b)
    for other in (drawn(one, 9), drawn(evaluator(backend, seed=8))):
        assert not np.array_equal(x, other[0]) and not np.array_equal(noise, other[1])


def test_images_are_not_distorted(backend):
    options = {"image": (2, 3, 1), "input_distortion": 0.3}
    for steps in (0, 5):
        model = replace(MODEL, **options, distorted_steps=steps)
        for a, b in zip(drawn(evaluator(backend, model)), drawn(evaluator(backend)), strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_elbo_is_that_of_these_draws_with_a_kl_of_weight_one(backend):
    one = evaluator(backend)
    x, noise = drawn(one)
    p = MODEL.initialise(1, np.float64)
    elbo = one.elbo(IMAGES)
    assert elbo.negative_elbo == pytest.approx(float(MODEL.loss(p, x, noise)), rel=1e-9)
    mean = MODEL.encode(p, x)[0]
    np.testing.assert_allclose(one.encode(IMAGES), mean, rtol=1e-9, atol=1e-12)
    rows = one.reconstruct(IMAGES, 4)
    np.testing.assert_array_equal(rows["original"], x[:4])
    np.testing.assert_allclose(rows["reconstruction"], MODEL.decode(p, mean[:4]), rtol=1e-9)
    np.testing.assert_allclose(one.decode([[0.5, -1.0]]), MODEL.decode(p, np.array([[0.5, -1.0]])))


def test_the_likelihood_of_a_model_that_knows_nothing(backend):
    """All weights are 0: the posterior is the prior, and each pixel a toss of a coin."""
    one, advanced = evaluator(backend), []
    one.parameters.flat[...] = 0
    estimate = one.negative_log_likelihood(IMAGES[:5], 30, advanced.append)
    assert estimate["nll"] == pytest.approx(6 * log(2), rel=1e-12)
    assert estimate["effective_samples"] == pytest.approx(30, rel=1e-12)
    assert sum(advanced) == 5 * 30


def test_the_likelihood_is_estimated_with_the_same_codes_each_time(backend):
    one = evaluator(backend)
    first = one.negative_log_likelihood(IMAGES[:5], 3)
    assert first == one.negative_log_likelihood(IMAGES[:5], 3)
    assert first != evaluator(backend, seed=8).negative_log_likelihood(IMAGES[:5], 3)


def test_parameters_may_still_be_in_training(backend):
    one = evaluator(backend, dtype=np.float32)
    before, image = one.elbo(IMAGES), one.decode(np.zeros((1, 2)))
    assert image.dtype == np.float32
    one.parameters.flat[...] *= 2
    assert one.elbo(IMAGES).negative_elbo != before.negative_elbo
