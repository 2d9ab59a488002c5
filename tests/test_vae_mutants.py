"""The well-known mistakes of a VAE, planted one at a time: which checks see them, and which cannot.

A mistake is a piece of the source that is replaced; the piece must be there exactly once, so that
no mutant goes stale in silence. The lesson of the table: differences and autograd agree on whatever
loss there is. That it is the right loss, only those checks say that know something of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import FunctionType
from typing import Any

import numpy as np
import pytest
import test_vae
from mutants import Plant, assert_complete, assert_seen, both, inner, mutated, rows_of
from test_vae import NUMPY, batch

import tinygen as tg
from tinygen.byhand import vae as byhand
from tinygen.models import VAE
from tinygen.models import vae as model_file

SMALL = {"pixels": 6, "hidden": (5,), "latent": 3, "activation": "tanh", "biases": "normal"}
MODELS = [
    VAE(samples=3, beta=beta, likelihood=likelihood, objective=objective, **SMALL)
    for likelihood in model_file.LIKELIHOODS
    for objective in model_file.OBJECTIVES
    for beta in (1.0, 3.0)
]
# Some units below the floor, some above it.
MODELS += [VAE(free_bits=0.3, **SMALL), VAE(free_bits=0.3, likelihood="gaussian", **SMALL)]


# The checks, from the one that knows least.


def slopes() -> None:
    """Differences: autograd's gradient is that of the model's loss, whatever that is."""
    for model in MODELS:
        model = replace(model, pixels=2, hidden=(), latent=2, samples=2)  # each number costs a loss
        inner(test_vae.test_autograd_and_finite_differences_agree)(model, 2, 1)


def slopes_by_hand() -> None:
    """Differences: the gradient by hand is that of the loss by hand, whatever that is."""
    for model in MODELS:
        p, *data = batch(model, 3, 1, np.float64)

        def loss(flat: np.ndarray, model=model, p=p, data=data) -> float:
            return float(test_vae.loss_and_grads(p.like(flat), *data, **model.terms)[0])

        _, g = test_vae.loss_and_grads(p, *data, **model.terms)
        for v in np.random.default_rng(0).standard_normal((5, p.flat.size)):
            step = 1e-5 / np.linalg.norm(v)
            slope = (loss(p.flat + step * v) - loss(p.flat - step * v)) / (2 * step)
            # The step's square is 1e-10, and rounding 1e-16 / 1e-5; the mistakes are of order 1.
            assert slope == pytest.approx(float(g.flat @ v), abs=1e-7 * np.linalg.norm(v))


def by_hand() -> None:
    """Two derivations agree, of the loss and of the gradient."""
    for model in MODELS:
        inner(test_vae.test_by_hand_and_autograd_agree)("float64", 1e-12, model, 3, 1)


def gradients() -> None:
    """The gradient three times."""
    slopes()
    slopes_by_hand()
    by_hand()


def noise() -> None:
    """What a step draws: independent numbers from N(0, 1)."""
    n = 20_000
    _, drawn, _ = VAE(samples=1, **SMALL).draw(np.zeros((n, 6)), NUMPY.generator(0))
    # The moments of N(0, 1), and the deviations of powers of it: five of them in 3 n numbers.
    for power, moment, deviation in ((1, 0, 1), (2, 1, 2**0.5), (4, 3, 96**0.5)):
        error = 5 * deviation / drawn.size**0.5
        assert (drawn**power).mean() == pytest.approx(moment, abs=error)
    test_vae.test_each_sample_of_an_image_has_noise_of_its_own()
    test_vae.test_the_data_of_a_step_depend_on_nothing_but_its_seed()


def pixels() -> None:
    test_vae.test_pixels_are_one_as_often_as_they_are_white()


def moments() -> None:
    test_vae.test_the_sampler_has_the_mean_and_the_deviation_that_it_should()


def monte_carlo() -> None:
    test_vae.test_the_closed_form_of_the_kl_agrees_with_monte_carlo()


def sums() -> None:
    test_vae.test_the_kl_and_the_likelihood_are_sums_not_means()


def density() -> None:
    test_vae.test_the_gaussian_likelihood_is_a_density(NUMPY)


def parts() -> None:
    """The loss is put together from its parts as it should be."""
    model = VAE(samples=2, **SMALL)
    p, x, noise, _ = batch(model, 5, 0, np.float64)
    nll, kl, _ = model.bound(p, x, noise)
    for beta in (0.0, 2.5):
        expected = nll.mean() + beta * kl.sum(axis=1).mean()
        assert model.loss(p, x, noise, beta) == pytest.approx(expected, rel=1e-13)
    per_unit = kl.mean(axis=0)
    floor = per_unit.mean()  # so it lies above some units and below others
    expected = nll.mean() + np.maximum(per_unit, floor).sum()
    bits = replace(model, free_bits=floor)
    assert bits.loss(p, x, noise) == pytest.approx(expected, rel=1e-13)


def zeros() -> None:
    """With parameters of zero the code is the prior's and plays no role: the loss is known."""
    for model in MODELS:
        p, x, *data = batch(replace(model, free_bits=0.0), 3, 1, np.float64)
        p.flat[:] = 0
        expected = 6 * np.log(2)  # each pixel is a fair coin
        if model.likelihood == "gaussian":  # of variance 1
            expected = 3 * np.log(2 * np.pi) + 0.5 * (x * x).sum(axis=1).mean()
        options = {**model.terms, "free_bits": 0.0}
        by_hand, _ = test_vae.loss_and_grads(p, x, *data, **options)
        autograd = replace(model, free_bits=0.0).loss(p, x, *data)
        assert by_hand == pytest.approx(expected, rel=1e-14)
        assert autograd == pytest.approx(expected, rel=1e-14)


def warm_up() -> None:
    test_vae.test_the_weight_of_the_kl_rises_in_a_line()


def linear() -> None:
    """The linear model, whose likelihood is known without any code of the VAE."""
    test_vae.test_at_the_best_parameters_the_bound_is_the_likelihood()
    for seed in range(5):
        inner(test_vae.test_the_bound_is_nowhere_above_the_likelihood)(seed, 0.3)


def weights() -> None:
    test_vae.test_the_objective_iwae_is_the_bound_of_the_weights()
    test_vae.test_more_samples_raise_the_bound_and_one_is_the_elbo()


CHECKS: list[Callable[[], None]] = [
    slopes, slopes_by_hand, by_hand, gradients, noise, pixels, moments, monte_carlo, sums, density,
    parts, zeros, warm_up, linear, weights,
]  # fmt: skip


# How a mistake is planted.


def in_model(*pieces: tuple[str, str]) -> Plant:
    """A mistake in tinygen/models/vae.py."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        made = mutated(model_file, *pieces)
        for name, method in vars(made.VAE).items():
            if isinstance(method, FunctionType) and not name.startswith("__"):
                patch.setattr(VAE, name, method)
        for name in ("reparameterise", "bernoulli"):
            patch.setattr(test_vae, name, getattr(made, name))

    return plant


def in_loss(name: str, wrong: Callable[..., Any]) -> Plant:
    """A mistake in a function of tinygen.losses, wherever the model and the tests find it."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        right = getattr(tg, name)
        for module in (model_file, tg):
            patch.setattr(module, name, lambda *arguments: wrong(right, *arguments))

    return plant


def in_hand(*pieces: tuple[str, str]) -> Plant:
    """A mistake in tinygen/byhand/vae.py."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(test_vae, "loss_and_grads", mutated(byhand, *pieces).loss_and_grads)

    return plant


DEVIATION = ("exp(0.5 * log_var) * noise", "exp(log_var) * noise")
DEVIATION_BY_HAND = [
    ("xp.multiply(log_var, 0.5, out=memory(", "xp.multiply(log_var, 1.0, out=memory("),
    ("xp.sum(moved, axis=0, out=dlog_var)", "xp.sum(2 * moved, axis=0, out=dlog_var)"),
]
NO_HALF_BY_HAND = [
    ("rate *= 0.5 / n", "rate *= 1 / n"),
    ("pull = beta / n", "pull = 2 * beta / n"),
    ("pull *= beta / n", "pull *= 2 * beta / n"),
]
BOUND = "log(noise.shape[0]) - mean(logsumexp(log_w, axis=0))"
DRAWN = "generator.standard_normal(shape, dtype=x.dtype)"


MUTANTS = {
    # In the model, with autograd.
    "the deviation is exp(log_var)": in_model(DEVIATION),
    "the KL reads a log deviation": in_loss(
        "gaussian_kl", lambda kl, mu, log_var: kl(mu, 2 * log_var)
    ),
    "the KL has the other sign": in_loss("gaussian_kl", lambda kl, *a: -kl(*a)),
    "the KL is subtracted": in_model(("+ beta * sum(kl)", "- beta * sum(kl)")),
    "the KL lacks its half": in_loss("gaussian_kl", lambda kl, *a: 2 * kl(*a)),
    "the KL is a mean over units": in_model(("beta * sum(kl)", "beta * mean(kl)")),
    "the KL is divided by the units": in_loss(
        "gaussian_kl", lambda kl, mu, log_var: kl(mu, log_var) / mu.shape[1]
    ),
    "Bernoulli is a mean over pixels": in_loss(
        "bernoulli_nll", lambda nll, a, x: nll(a, x) / x.shape[-1]
    ),
    "Gaussian is a mean over pixels": in_loss(
        "gaussian_nll", lambda nll, a, s, x: nll(a, s, x) / x.shape[-1]
    ),
    "the model takes the mean over pixels": in_model(
        ("return bernoulli_nll(a, x)", "return bernoulli_nll(a, x) / self.pixels"),
        (
            'return gaussian_nll(a, p["decoder.log_var"], x)',
            'return gaussian_nll(a, p["decoder.log_var"], x) / self.pixels',
        ),
    ),
    "only its Bernoulli takes that mean": in_model(
        ("return bernoulli_nll(a, x)", "return bernoulli_nll(a, x) / self.pixels")
    ),
    "only its ELBO takes that mean": in_model(
        (
            "mean(self.reconstruction(p, x, z)) +",
            "mean(self.reconstruction(p, x, z)) / self.pixels +",
        ),
    ),
    "the ELBO is a sum over images": in_model(
        (
            "mean(self.reconstruction(p, x, z)) +",
            "mean(self.reconstruction(p, x, z)) * x.shape[0] +",
        ),
    ),
    "the Gaussian lacks log(2 pi)": in_loss(
        "gaussian_nll", lambda nll, a, s, x: nll(a, s, x) - 0.5 * x.shape[-1] * np.log(2 * np.pi)
    ),
    "the Gaussian reads a log deviation": in_loss(
        "gaussian_nll", lambda nll, a, s, x: nll(a, 2 * s, x)
    ),
    "one noise for all samples": in_model((DRAWN, DRAWN + "[:1].repeat(shape[0], axis=0)")),
    "one noise for all images": in_model((DRAWN, DRAWN + "[:, :1].repeat(shape[1], axis=1)")),
    "one noise for all units": in_model((DRAWN, DRAWN + "[..., :1].repeat(shape[2], axis=2)")),
    "the noise is uniform": in_model((DRAWN, "generator.random(shape, dtype=x.dtype)")),
    "the noise has another deviation": in_model((DRAWN, "0.5 * " + DRAWN)),
    "pixels are compared with one half": in_model(
        ("xp.less(drawn, x).astype", "xp.less(drawn * 0 + 0.5, x).astype")
    ),
    "pixels are one where they are black": in_model(
        ("xp.less(drawn, x).astype", "xp.less(x, drawn).astype")
    ),
    "pixels are drawn alike in a row": in_model(
        (
            "generator.random(x.shape, dtype=x.dtype)",
            "generator.random((1, x.shape[1]), dtype=x.dtype)",
        )
    ),
    "the KL's weight rises for ever": in_model(
        (
            "self.beta * min(1.0, (step + 1) / self.kl_warm_up)",
            "self.beta * ((step + 1) / self.kl_warm_up)",
        )
    ),
    "free bits for each image": in_model(
        (
            "kl = mean(gaussian_kl(mu, log_var), axis=0)",
            "kl = mean(maximum(gaussian_kl(mu, log_var), self.free_bits), axis=0)",
        )
    ),
    "free bits for the whole code": in_model(
        ("kl = maximum(kl, self.free_bits)", "kl = maximum(sum(kl), self.free_bits)")
    ),
    "IWAE: the mean of logs": in_model((BOUND, "-mean(log_w)")),
    "IWAE: no log k": in_model((BOUND, "-mean(logsumexp(log_w, axis=0))")),
    "IWAE: raw weights of logs": in_model((BOUND, "-mean(sum(exp(log_w) * log_w, axis=0))")),
    "IWAE: weights of logs": in_model(
        (BOUND, "-mean(sum(exp(log_w - logsumexp(log_w, axis=0)) * log_w, axis=0))")
    ),
    "IWAE: over images, not samples": in_model((BOUND, BOUND.replace("axis=0", "axis=1"))),
    "the weight lacks its half": in_model(("return 0.5 * sum(log_var", "return sum(log_var")),
    "the weight lacks the volume": in_model(
        ("0.5 * sum(log_var + (noise * noise - z * z)", "0.5 * sum((noise * noise - z * z)")
    ),
    "the weight has the other sign": in_model(
        ("return 0.5 * sum(log_var", "return -0.5 * sum(log_var")
    ),
    "the weight lacks the noise": in_model(("(noise * noise - z * z)", "(-z * z)")),
    # By hand.
    "by hand: no half in d log_var": in_hand(("dlog_var *= 0.5  # (23) (25) (26)", "pass")),
    "by hand: no KL in d mean": in_hand(
        ('dmu += xp.multiply(mu, pull, out=memory("like mu", n, c))  # (24)', "pass")
    ),
    "by hand: no KL in d log_var": in_hand(("dlog_var += excess  # (25), twice", "pass")),
    "by hand: no noise in d log_var": in_hand(("moved *= dz", "moved = sigma * dz")),
    "by hand: no deviation in d log_var": in_hand(("moved *= dz", "moved = noise * dz")),
    "by hand: all divided by d": in_hand(
        (
            "omega = omega_of_pixels = 1 / (k * n)  # (15)",
            "omega = omega_of_pixels = 1 / (k * n * d)",
        )
    ),
    "by hand: the gradient divided by d": in_hand(
        ("residual *= omega_of_pixels  # (16) (17)", "residual *= omega_of_pixels / d")
    ),
    "by hand: the KL's gradient is a sum": in_hand(("pull = beta / n\n", "pull = beta\n")),
    "by hand: weights are 1/k": in_hand(("omega *= 1 / n  # (15)", "omega[...] = 1 / (k * n)")),
    "by hand: weights are not normalised": in_hand(("weights /= total  # (14)", "pass")),
    "by hand: no log k": in_hand(("J = log(k) - bound", "J = -bound")),
    "by hand: no prior in the weights": in_hand(("dz += prior  # (21)", "pass")),
    "by hand: no entropy in the weights": in_hand(("dlog_var -= beta / n  # (26), twice", "pass")),
    "by hand: the floor has a gradient": in_hand(("pull *= beta / n", "pull[...] = beta / n")),
    "by hand: no half in d s": in_hand(
        ("(d - squares.sum() * xp.exp(-s)) * 0.5", "(d - squares.sum() * xp.exp(-s))")
    ),
    "both: the deviation": both(in_model(DEVIATION), in_hand(*DEVIATION_BY_HAND)),
    "both: a mean over pixels": both(
        in_model(("return bernoulli_nll(a, x)", "return bernoulli_nll(a, x) / self.pixels")),
        in_hand(
            ("xp.sum(a, axis=2, out=log_p)  # (7)", "xp.mean(a, axis=2, out=log_p)"),
            (
                "residual *= omega_of_pixels  # (16) (17)",
                "residual *= omega_of_pixels / (1 if gaussian else d)",
            ),
        ),
    ),
    "both: the KL lacks its half": both(
        in_loss("gaussian_kl", lambda kl, *a: 2 * kl(*a)), in_hand(*NO_HALF_BY_HAND)
    ),
}

# Which checks see a mistake, and which gradient checks do not.
TABLE = """
the deviation is exp(log_var)        | by_hand moments monte_carlo linear weights | slopes
the KL reads a log deviation         | by_hand monte_carlo linear weights         | slopes
the KL has the other sign            | by_hand monte_carlo linear weights         | slopes
the KL is subtracted                 | by_hand parts linear weights               | slopes
the KL lacks its half                | by_hand monte_carlo linear weights         | slopes
the KL is a mean over units          | by_hand parts linear weights               | slopes
the KL is divided by the units       | by_hand monte_carlo sums linear weights    | slopes
Bernoulli is a mean over pixels      | by_hand sums zeros                         | slopes
Gaussian is a mean over pixels       | by_hand zeros linear weights               | slopes
the model takes the mean over pixels | by_hand zeros linear weights               | slopes
only its Bernoulli takes that mean   | by_hand zeros                              | slopes
only its ELBO takes that mean        | by_hand zeros parts linear weights         | slopes
the ELBO is a sum over images        | by_hand zeros parts linear                 | slopes
the Gaussian lacks log(2 pi)         | by_hand density zeros linear weights       | slopes
the Gaussian reads a log deviation   | by_hand density linear weights             | slopes
one noise for all samples            | noise                                      | slopes by_hand
one noise for all images             | noise                                      | slopes by_hand
one noise for all units              | noise                                      | slopes by_hand
the noise is uniform                 | noise                                      | slopes by_hand
the noise has another deviation      | noise                                      | slopes by_hand
pixels are compared with one half    | pixels                                     | slopes by_hand
pixels are one where they are black  | pixels                                     | slopes by_hand
pixels are drawn alike in a row      | pixels                                     | slopes by_hand
the KL's weight rises for ever       | warm_up                                    | slopes by_hand
free bits for each image             | by_hand parts                              | slopes
free bits for the whole code         | by_hand parts                              | slopes
IWAE: the mean of logs               | by_hand weights                            | slopes
IWAE: no log k                       | by_hand zeros linear weights               | slopes
IWAE: raw weights of logs            | by_hand zeros linear weights               | slopes
IWAE: weights of logs                | by_hand weights                            | slopes
IWAE: over images, not samples       | by_hand zeros linear weights               | slopes
the weight lacks its half            | by_hand monte_carlo linear weights         | slopes
the weight lacks the volume          | by_hand monte_carlo linear weights         | slopes
the weight has the other sign        | by_hand monte_carlo linear weights         | slopes
the weight lacks the noise           | by_hand monte_carlo zeros linear weights   | slopes
by hand: no half in d log_var        | by_hand slopes_by_hand                     |
by hand: no KL in d mean             | by_hand slopes_by_hand                     |
by hand: no KL in d log_var          | by_hand slopes_by_hand                     |
by hand: no noise in d log_var       | by_hand slopes_by_hand                     |
by hand: no deviation in d log_var   | by_hand slopes_by_hand                     |
by hand: all divided by d            | by_hand zeros slopes_by_hand               |
by hand: the gradient divided by d   | by_hand slopes_by_hand                     |
by hand: the KL's gradient is a sum  | by_hand slopes_by_hand                     |
by hand: weights are 1/k             | by_hand slopes_by_hand                     |
by hand: weights are not normalised  | by_hand slopes_by_hand                     |
by hand: no log k                    | by_hand zeros                              | slopes_by_hand
by hand: no prior in the weights     | by_hand slopes_by_hand                     |
by hand: no entropy in the weights   | by_hand slopes_by_hand                     |
by hand: the floor has a gradient    | by_hand slopes_by_hand                     |
by hand: no half in d s              | by_hand slopes_by_hand                     |
both: the deviation                  | moments monte_carlo linear weights         | gradients
both: a mean over pixels             | zeros                                      | gradients
both: the KL lacks its half          | monte_carlo linear weights                 | gradients
"""
ROWS = rows_of(TABLE)


def test_all_checks_pass_without_a_mistake() -> None:
    for check in CHECKS:
        check()


@pytest.mark.parametrize(("mistake", "seeing", "blind"), ROWS, ids=[row[0] for row in ROWS])
def test_who_sees_a_mistake(
    mistake: str, seeing: str, blind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_seen(MUTANTS[mistake], seeing, blind, CHECKS, monkeypatch)


def test_each_mistake_is_in_the_table_and_seen() -> None:
    assert_complete(ROWS, MUTANTS)


def test_a_piece_that_is_gone_is_noticed() -> None:
    with pytest.raises(AssertionError, match="0 times 'no such line'"):
        mutated(model_file, ("no such line", ""))
