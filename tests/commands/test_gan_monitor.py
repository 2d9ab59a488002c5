"""What is seen of a GAN in training: how real its discriminator takes points of the plane to be."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tinygen.backend import get_backend
from tinygen.commands.gan_monitor import GANMonitor
from tinygen.data import mixture_points
from tinygen.models import GAN
from tinygen.models.gan import LOSSES
from tinygen.optim import Adam
from tinygen.training import AdversarialLearner

N, STREAM = 2500, 2


def monitor(backend: Any, **options: Any) -> GANMonitor:
    """Of a GAN on points of the ring, at its start."""
    model = GAN(pixels=2, output="none", latent=2, generator_hidden=(4,), generator_norm="none",
                **options)  # fmt: skip
    p = model.initialise(0, np.float32, backend)
    args = SimpleNamespace(seed=0, dtype="float32")
    run: Any = SimpleNamespace(args=args, backend=backend, dataset=mixture_points("ring", 100, N))
    return GANMonitor(run, AdversarialLearner(model, p, Adam, model.gradients("autograd")))


def linear(backend: Any, loss: str, slope: float = 3.0, shift: float = 0.0) -> GANMonitor:
    """Of a discriminator whose logit is ``slope x + shift``."""
    watched = monitor(backend, loss=loss, discriminator_hidden=())
    watched.learner.d["W1"][...] = 0
    watched.learner.d["W1"][0] = slope
    watched.learner.d["b1"][...] = shift
    return watched


X = np.linspace(-1.25, 1.25, 41)
LINE = np.stack([X, X[::-1] ** 2], axis=1)
"""Points whose y is no matter to `linear`."""


@pytest.mark.parametrize("loss", LOSSES)
def test_it_is_the_logit_as_a_number_from_0_to_1(backend: Any, loss: str) -> None:
    calibrations = {"least-squares": lambda a: np.clip(a, 0, 1),
                    "wasserstein-gp": lambda a: 1 / (1 + np.exp(-a / np.std(a)))}  # fmt: skip
    expected = calibrations.get(loss, lambda a: 1 / (1 + np.exp(-a)))(3 * X)
    probability = linear(backend, loss).probability_of_real(LINE, N, STREAM)
    assert probability.shape == (41, 1) and isinstance(probability, np.ndarray)
    np.testing.assert_allclose(probability[:, 0], expected, atol=1e-6)


def test_a_critic_has_no_zero_and_no_unit(backend: Any) -> None:
    def probability(loss: str, *line: float) -> Any:
        return linear(backend, loss, *line).probability_of_real(LINE, N, STREAM)

    np.testing.assert_allclose(
        probability("wasserstein-gp", 3, 0), probability("wasserstein-gp", 300, 70), atol=1e-5
    )
    assert abs(probability("r1", 3, 5) - probability("r1", 3, 0)).max() > 0.3
    assert (probability("wasserstein-gp", 0, 3) == 0.5).all()  # where it is flat


def test_batch_norm_has_the_statistics_of_what_d_sees_in_training(backend: Any) -> None:
    """Not those of the points, and nothing is dropped."""
    normed = monitor(backend, discriminator_hidden=(4,), discriminator_activation="relu",
                     discriminator_norm="batch", dropout=0.2)  # fmt: skip
    to_numpy, learner = backend.to_numpy, normed.learner
    d = {name: to_numpy(x) for name, x in learner.d.items()}
    z = backend.generator((0, STREAM)).standard_normal((N, 2), dtype=np.float32)
    fake = to_numpy(learner.model.generate(learner.g, z))
    a = np.concatenate([normed.run.dataset.test_images, fake]) @ d["W1"]
    h = LINE @ d["W1"] - a.mean(axis=0)
    h = np.maximum(h / a.std(axis=0), 0)  # gamma is 1 and beta 0
    expected = 1 / (1 + np.exp(-(h @ d["W3"] + d["b3"])))
    probability = normed.probability_of_real(LINE, N, STREAM)
    np.testing.assert_allclose(probability, expected, atol=1e-3)


@pytest.mark.parametrize("loss", ["non-saturating", "minimax", "r1"])
def test_levels_are_the_losses_of_a_discriminator_that_cannot_tell(loss: str) -> None:
    watched = linear(get_backend("numpy"), loss, slope=0.0)
    learner, model, x = watched.learner, watched.model, LINE.astype(np.float32)
    of_d = model.discriminator_loss(learner.d, x, x[::-1])
    of_g = model.generator_loss(learner.g, learner.d, x)
    expected = [float(getattr(value, "array", value)) for value in (of_d, of_g)]
    assert [*watched.levels().values()] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("loss", ["least-squares", "wasserstein-gp"])
def test_a_loss_without_a_logarithm_has_no_levels(loss: str) -> None:
    assert linear(get_backend("numpy"), loss).levels() == {}


def test_with_smoothing_it_is_not_one_half_that_the_best_discriminator_says() -> None:
    assert monitor(get_backend("numpy"), smoothing=0.1).levels() == {}
