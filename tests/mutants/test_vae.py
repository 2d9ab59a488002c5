"""The well-known mistakes of a VAE, planted one at a time: which checks see them, and which cannot.

The lesson of the table: differences and autograd agree on whatever loss there is. That it is the
right loss, only those checks say that know something of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import FunctionType
from typing import Any

import numpy as np
import pytest
import vae_checks
import vae_textbook
from agreement import assert_directional_derivatives
from mutants import Plant, both, in_functions, mutated, rows_of, table_tests
from vae_checks import NUMPY, batch

import tinygen as tg
from tinygen.byhand import pieces as byhand_pieces
from tinygen.byhand import vae as byhand
from tinygen.byhand.vae import loss_and_grads
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


def differences() -> None:
    """Differences: autograd's gradient is that of the model's loss, whatever that is."""
    for model in MODELS:
        model = replace(model, pixels=2, hidden=(), latent=2, samples=2)
        vae_checks.check_finite_differences(model, 2, 1, directions=1)


def differences_by_hand() -> None:
    """Differences: the gradient by hand is that of the loss by hand, whatever that is."""
    for model in MODELS:
        p, *data = batch(model, 3, 1, np.float64)
        _, g = loss_and_grads(p, *data, **model.terms)
        loss = lambda q: loss_and_grads(q, *data, **model.terms)[0]  # noqa: B023, E731
        # The step's square is 1e-10, and rounding 1e-16 / 1e-5; the mistakes are of order 1.
        assert_directional_derivatives(loss, p, g, tolerance=1e-7)


def by_hand() -> None:
    """Two derivations agree, of the loss and of the gradient."""
    for model in MODELS:
        vae_checks.check_by_hand("float64", 1e-12, model, 3, 1)


def textbook() -> None:
    """Both losses are what plain loops give, of densities as a textbook has them."""
    for model in MODELS:
        p, *data = batch(model, 3, 1, np.float64)
        expected = vae_textbook.textbook_loss(p, *data, **model.terms)[0]
        assert loss_and_grads(p, *data, **model.terms)[0] == pytest.approx(expected, rel=1e-11)
        assert model.loss(p, *data) == pytest.approx(expected, rel=1e-11)


def gradients() -> None:
    """The gradient three times."""
    differences()
    differences_by_hand()
    by_hand()


def noise() -> None:
    """What a step draws: independent numbers from N(0, 1)."""
    n = 20_000
    _, drawn, _ = VAE(samples=1, **SMALL).draw(np.zeros((n, 6)), NUMPY.generator(0))
    # The moments of N(0, 1); and how far their estimates may be off: five standard
    # deviations of such powers, over the root of 3 n numbers.
    for power, moment, std in ((1, 0, 1), (2, 1, 2**0.5), (4, 3, 96**0.5)):
        error = 5 * std / drawn.size**0.5
        assert (drawn**power).mean() == pytest.approx(moment, abs=error)
    vae_checks.check_noise_of_each_sample()
    vae_checks.check_data_of_a_step_by_seed()


def pixels() -> None:
    vae_checks.check_binarized_pixels()


def moments() -> None:
    vae_checks.check_sampler_moments()


def monte_carlo() -> None:
    vae_checks.check_kl_by_monte_carlo()


def sums() -> None:
    vae_checks.check_sums_not_means()


def density() -> None:
    vae_checks.check_gaussian_density(NUMPY)


def parts() -> None:
    """The loss is put together from its parts as it should be."""
    model = VAE(samples=2, **SMALL)
    p, x, noise, _ = batch(model, 5, 0, np.float64)
    nll, kl, _ = model.elbo_terms(p, x, noise)
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
        by_hand, _ = loss_and_grads(p, x, *data, **options)
        autograd = replace(model, free_bits=0.0).loss(p, x, *data)
        assert by_hand == pytest.approx(expected, rel=1e-14)
        assert autograd == pytest.approx(expected, rel=1e-14)


def warm_up() -> None:
    vae_checks.check_kl_warm_up()


def linear() -> None:
    """The linear model, whose likelihood is known without any code of the VAE."""
    vae_checks.check_elbo_at_the_best_parameters()
    for seed in range(5):
        vae_checks.check_elbo_below_the_likelihood(seed, 0.3)


def weights() -> None:
    vae_checks.check_iwae_of_the_weights()
    vae_checks.check_more_samples_raise_the_bound()


CHECKS: list[Callable[[], None]] = [
    differences, differences_by_hand, by_hand, textbook, gradients, noise, pixels, moments,
    monte_carlo, sums, density, parts, zeros, warm_up, linear, weights,
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
            patch.setattr(vae_checks, name, getattr(made, name))

    return plant


def in_loss(name: str, wrong: Callable[..., Any]) -> Plant:
    """A mistake in a function of tinygen.losses, wherever the model and the tests find it."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        right = getattr(tg, name)
        for module in (model_file, tg):
            patch.setattr(module, name, lambda *arguments: wrong(right, *arguments))

    return plant


in_hand = partial(in_functions, byhand)
in_pieces = partial(in_functions, byhand_pieces)


DEVIATION = ("sigma = exp(0.5 * log_var)", "sigma = exp(log_var)")
NO_HALF_BY_Z = ("0.5 * sum_of_products(dz, scaled)", "sum_of_products(dz, scaled)")
NO_HALF_OF_KL = ("0.5 * excess", "excess")
NO_HALF_OF_RATIO = ("0.5 * drho.sum(axis=0)[:, None]", "drho.sum(axis=0)[:, None]")
DEVIATION_BY_HAND = ("namespace(v).exp(0.5 * v)", "namespace(v).exp(v)")
SWAPPED = ("mu, v = mu_v[:, :c], mu_v[:, c:]", "v, mu = mu_v[:, :c], mu_v[:, c:]")
SWAPPED_BACK = ("[dmu + direct.dmu, dv + direct.dv]", "[dv + direct.dv, dmu + direct.dmu]")
OVER_DRAWS = ("log_p.mean()", "log_p.sum() / n")
OVER_DRAWS_BACK = ("-1 / log_p.size", "-1 / n")
ELBO = "J, dlog_p, direct = elbo(log_p, mu, v, beta, free_bits)"
OVER_D = ELBO.replace("log_p, mu", "log_p / x.shape[1], mu")
PIXELS_TO_Z = "chain_backward(da.reshape(k * n, -1), D, cache_D, dD).reshape(k, n, c)"
KL_FREE = ("xp.maximum(R, floor).sum() * beta", "xp.maximum(R, floor).sum()")
KL_FREE_BACK = ("beta / n", "1 / n")
RATIO = "v + (noise - z) * (noise + z)"
RATIO_FREE = ("log_ratio(z, v, noise) * beta", "log_ratio(z, v, noise)")
RATIO_FREE_BACK = ("dlog_w * beta", "dlog_w")
BOUND_BY_HAND = "top + xp.log(total) - log(len(log_w))"
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
    "by hand: no half in d log_var": in_pieces(NO_HALF_BY_Z, NO_HALF_OF_KL, NO_HALF_OF_RATIO),
    "by hand: no half in that by way of z": in_pieces(NO_HALF_BY_Z),
    "by hand: no half in that of the KL": in_pieces(NO_HALF_OF_KL),
    "by hand: no half in that of the ratio": in_pieces(NO_HALF_OF_RATIO),
    "by hand: no KL in d mean": in_hand(("dKL * by_mu", "0")),
    "by hand: no KL in d log_var": in_hand(("dKL * by_v", "0")),
    "by hand: no z in d mean": in_hand(("dmu + direct.dmu", "0 * dmu + direct.dmu")),
    "by hand: no z in d log_var": in_hand(("dv + direct.dv", "0 * dv + direct.dv")),
    "by hand: no noise in d log_var": in_pieces(
        ("return mu + scaled, scaled", "return mu + scaled, namespace(v).exp(0.5 * v)")
    ),
    "by hand: no deviation in d log_var": in_pieces(
        ("return mu + scaled, scaled", "return mu + scaled, noise")
    ),
    "by hand: d mean is a mean over draws": in_pieces(("dz.sum(axis=0)", "dz.mean(axis=0)")),
    "by hand: columns swapped forward": in_hand(SWAPPED),
    "by hand: columns swapped backward": in_hand(SWAPPED_BACK),
    "by hand: columns swapped both ways": in_hand(SWAPPED, SWAPPED_BACK),
    "by hand: all divided by d": in_hand((ELBO, f"{OVER_D}; dlog_p = dlog_p / x.shape[1]")),
    "by hand: all but d s divided by d": in_hand((ELBO, f"{OVER_D}; by_a = by_a / x.shape[1]")),
    "by hand: the gradient divided by d": in_hand(
        ("dlog_p[..., None] * by_a", "dlog_p[..., None] * by_a / x.shape[1]")
    ),
    "by hand: a sum over draws forward": in_hand(OVER_DRAWS),
    "by hand: a sum over draws backward": in_hand(OVER_DRAWS_BACK),
    "by hand: a sum over draws both ways": in_hand(OVER_DRAWS, OVER_DRAWS_BACK),
    "by hand: the pixels do not reach z": in_hand((PIXELS_TO_Z, f"0 * {PIXELS_TO_Z}")),
    "by hand: draws for images backward": in_hand(
        (PIXELS_TO_Z, PIXELS_TO_Z.replace("(k, n, c)", "(n, k, c).swapaxes(0, 1)"))
    ),
    "by hand: the KL's gradient is a sum": in_hand(("beta / n", "beta")),
    "by hand: the KL is a sum over images": in_hand(("KL.mean(axis=0)", "KL.sum(axis=0)")),
    "by hand: no 1 in the KL": in_pieces(("namespace(v).expm1(v)", "namespace(v).exp(v)")),
    "by hand: KL without beta forward": in_hand(KL_FREE),
    "by hand: KL without beta backward": in_hand(KL_FREE_BACK),
    "by hand: KL without beta both ways": in_hand(KL_FREE, KL_FREE_BACK),
    "by hand: the floor has a gradient": in_hand(
        ("xp.greater(R, floor).astype(R.dtype)", "xp.ones_like(R)")
    ),
    "by hand: the floor costs nothing": in_hand(("xp.maximum(R, floor)", "R")),
    "by hand: ELBO and IWAE change places": in_hand(('objective == "elbo"', 'objective != "elbo"')),
    "by hand: weights are 1/k": in_hand(("w_hat * (-1 / n)", "w_hat * 0 - 1 / w_hat.size")),
    "by hand: weights are not normalised": in_pieces(("w / total", "w")),
    "by hand: weights lack 1/n": in_hand(("w_hat * (-1 / n)", "-w_hat")),
    "by hand: no log k": in_pieces((BOUND_BY_HAND, "top + xp.log(total)")),
    "by hand: the greatest weight is lost": in_pieces(
        (BOUND_BY_HAND, "xp.log(total) - log(len(log_w))")
    ),
    "by hand: no prior in the weights": in_hand(("Direct(dz, 0, dv)", "Direct(0, 0, dv)")),
    "by hand: no entropy in the weights": in_hand(("Direct(dz, 0, dv)", "Direct(dz, 0, 0)")),
    "by hand: ratio without beta forward": in_hand(RATIO_FREE),
    "by hand: ratio without beta backward": in_hand(RATIO_FREE_BACK),
    "by hand: ratio without beta both ways": in_hand(RATIO_FREE, RATIO_FREE_BACK),
    "by hand: the ratio lacks its half": in_pieces(
        (f"0.5 * ({RATIO}).sum(axis=-1)", f"({RATIO}).sum(axis=-1)")
    ),
    "by hand: the ratio lacks the volume": in_pieces((RATIO, "(noise - z) * (noise + z)")),
    "by hand: the ratio lacks the noise": in_pieces((RATIO, "v - z * z")),
    "by hand: the prior pushes outwards": in_pieces(
        ("-drho[..., None] * z", "drho[..., None] * z")
    ),
    "by hand: no half in d s": in_pieces(("0.5 * (precision * Q - d)", "precision * Q - d")),
    "by hand: d s has the other sign": in_pieces(
        ("0.5 * (precision * Q - d)", "0.5 * (d - precision * Q)")
    ),
    "by hand: d s of a single pixel": in_pieces(("precision * Q - d", "precision * Q - 1")),
    "by hand: d s is a mean": in_hand(("(dlog_p * by_s).sum()", "(dlog_p * by_s).mean()")),
    "by hand: no variance in d pixel": in_pieces(("precision * error", "error")),
    "by hand: the Gaussian lacks log(2 pi)": in_pieces(("log(2 * pi) + s", "s")),
    "by hand: white pixels turn black": in_pieces(("x - y", "y - x")),
    "by hand: half of Bernoulli's softplus": in_pieces(("nats -= xp.maximum(a, 0)", "pass")),
    "both: the deviation": both(in_model(DEVIATION), in_pieces(DEVIATION_BY_HAND, NO_HALF_BY_Z)),
    "both: a mean over pixels": both(
        in_model(("return bernoulli_nll(a, x)", "return bernoulli_nll(a, x) / self.pixels")),
        in_pieces(
            ("nats.sum(axis=-1)", "nats.mean(axis=-1)"),
            ("x - y", "(x - y) / x.shape[-1]"),
        ),
    ),
    "both: the KL lacks its half": both(
        in_loss("gaussian_kl", lambda kl, *a: 2 * kl(*a)),
        in_pieces(
            (
                "return 0.5 * (excess - v + mu * mu), mu, 0.5 * excess",
                "return excess - v + mu * mu, 2 * mu, excess",
            )
        ),
    ),
}

# Which checks see a mistake, and which gradient checks do not.
TABLE = """
the deviation is exp(log_var)         | by_hand moments monte_carlo linear weights  | differences
the KL reads a log deviation          | by_hand monte_carlo linear weights          | differences
the KL has the other sign             | by_hand monte_carlo linear weights          | differences
the KL is subtracted                  | by_hand parts linear weights                | differences
the KL lacks its half                 | by_hand monte_carlo linear weights          | differences
the KL is a mean over units           | by_hand parts linear weights                | differences
the KL is divided by the units        | by_hand monte_carlo sums linear weights     | differences
Bernoulli is a mean over pixels       | by_hand sums zeros                          | differences
Gaussian is a mean over pixels        | by_hand zeros linear weights                | differences
the model takes the mean over pixels  | by_hand zeros linear weights                | differences
only its Bernoulli takes that mean    | by_hand zeros                               | differences
only its ELBO takes that mean         | by_hand zeros parts linear weights          | differences
the ELBO is a sum over images         | by_hand zeros parts linear                  | differences
the Gaussian lacks log(2 pi)          | by_hand density zeros linear weights        | differences
the Gaussian reads a log deviation    | by_hand density linear weights              | differences
one noise for all samples             | noise                                       | differences by_hand
one noise for all images              | noise                                       | differences by_hand
one noise for all units               | noise                                       | differences by_hand
the noise is uniform                  | noise                                       | differences by_hand
the noise has another deviation       | noise                                       | differences by_hand
pixels are compared with one half     | pixels                                      | differences by_hand
pixels are one where they are black   | pixels                                      | differences by_hand
pixels are drawn alike in a row       | pixels                                      | differences by_hand
the KL's weight rises for ever        | warm_up                                     | differences by_hand
free bits for each image              | by_hand parts                               | differences
free bits for the whole code          | by_hand parts                               | differences
IWAE: the mean of logs                | by_hand weights                             | differences
IWAE: no log k                        | by_hand zeros linear weights                | differences
IWAE: raw weights of logs             | by_hand zeros linear weights                | differences
IWAE: weights of logs                 | by_hand weights                             | differences
IWAE: over images, not samples        | by_hand zeros linear weights                | differences
the weight lacks its half             | by_hand monte_carlo linear weights          | differences
the weight lacks the volume           | by_hand monte_carlo linear weights          | differences
the weight has the other sign         | by_hand monte_carlo linear weights          | differences
the weight lacks the noise            | by_hand monte_carlo zeros linear weights    | differences
by hand: no half in d log_var         | by_hand differences_by_hand                 | textbook
by hand: no half in that by way of z  | by_hand differences_by_hand                 | textbook
by hand: no half in that of the KL    | by_hand differences_by_hand                 | textbook
by hand: no half in that of the ratio | by_hand differences_by_hand                 | textbook
by hand: no KL in d mean              | by_hand differences_by_hand                 | textbook
by hand: no KL in d log_var           | by_hand differences_by_hand                 | textbook
by hand: no z in d mean               | by_hand differences_by_hand                 | textbook
by hand: no z in d log_var            | by_hand differences_by_hand                 | textbook
by hand: no noise in d log_var        | by_hand differences_by_hand                 | textbook
by hand: no deviation in d log_var    | by_hand differences_by_hand                 | textbook
by hand: d mean is a mean over draws  | by_hand differences_by_hand                 | textbook
by hand: columns swapped forward      | by_hand textbook differences_by_hand        |
by hand: columns swapped backward     | by_hand differences_by_hand                 | textbook
by hand: columns swapped both ways    | by_hand textbook                            | differences_by_hand
by hand: all divided by d             | by_hand textbook zeros                      | differences_by_hand
by hand: all but d s divided by d     | by_hand textbook zeros differences_by_hand  |
by hand: the gradient divided by d    | by_hand differences_by_hand                 | textbook
by hand: a sum over draws forward     | by_hand textbook zeros differences_by_hand  |
by hand: a sum over draws backward    | by_hand differences_by_hand                 | textbook
by hand: a sum over draws both ways   | by_hand textbook zeros                      | differences_by_hand
by hand: the pixels do not reach z    | by_hand differences_by_hand                 | textbook
by hand: draws for images backward    | by_hand differences_by_hand                 | textbook
by hand: the KL's gradient is a sum   | by_hand differences_by_hand                 | textbook
by hand: the KL is a sum over images  | by_hand textbook differences_by_hand        |
by hand: no 1 in the KL               | by_hand textbook zeros differences_by_hand  |
by hand: KL without beta forward      | by_hand textbook differences_by_hand        |
by hand: KL without beta backward     | by_hand differences_by_hand                 | textbook
by hand: KL without beta both ways    | by_hand textbook                            | differences_by_hand
by hand: the floor has a gradient     | by_hand differences_by_hand                 | textbook
by hand: the floor costs nothing      | by_hand textbook differences_by_hand        |
by hand: ELBO and IWAE change places  | by_hand textbook                            | differences_by_hand
by hand: weights are 1/k              | by_hand differences_by_hand                 | textbook
by hand: weights are not normalised   | by_hand differences_by_hand                 | textbook
by hand: weights lack 1/n             | by_hand differences_by_hand                 | textbook
by hand: no log k                     | by_hand textbook zeros                      | differences_by_hand
by hand: the greatest weight is lost  | by_hand textbook zeros differences_by_hand  |
by hand: no prior in the weights      | by_hand differences_by_hand                 | textbook
by hand: no entropy in the weights    | by_hand differences_by_hand                 | textbook
by hand: ratio without beta forward   | by_hand textbook differences_by_hand        |
by hand: ratio without beta backward  | by_hand differences_by_hand                 | textbook
by hand: ratio without beta both ways | by_hand textbook                            | differences_by_hand
by hand: the ratio lacks its half     | by_hand textbook differences_by_hand        |
by hand: the ratio lacks the volume   | by_hand textbook differences_by_hand        |
by hand: the ratio lacks the noise    | by_hand textbook zeros                      | differences_by_hand
by hand: the prior pushes outwards    | by_hand differences_by_hand                 | textbook
by hand: no half in d s               | by_hand differences_by_hand                 | textbook
by hand: d s has the other sign       | by_hand differences_by_hand                 | textbook
by hand: d s of a single pixel        | by_hand differences_by_hand                 | textbook
by hand: d s is a mean                | by_hand differences_by_hand                 | textbook
by hand: no variance in d pixel       | by_hand differences_by_hand                 | textbook
by hand: the Gaussian lacks log(2 pi) | by_hand textbook zeros                      | differences_by_hand
by hand: white pixels turn black      | by_hand differences_by_hand                 | textbook
by hand: half of Bernoulli's softplus | by_hand textbook differences_by_hand        |
both: the deviation                   | textbook moments monte_carlo linear weights | gradients
both: a mean over pixels              | textbook zeros                              | gradients
both: the KL lacks its half           | textbook monte_carlo linear weights         | gradients
"""  # noqa: E501
ROWS = rows_of(TABLE)
(
    test_all_checks_pass_without_a_mistake,
    test_who_sees_a_mistake,
    test_each_mistake_is_in_the_table_and_seen,
) = table_tests(ROWS, MUTANTS, CHECKS)


def test_a_piece_that_is_gone_is_noticed() -> None:
    with pytest.raises(AssertionError, match="0 times 'no such line'"):
        mutated(model_file, ("no such line", ""))
