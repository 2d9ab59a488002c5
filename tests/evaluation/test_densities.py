"""Densities of codes against closed forms, integrals, and mixtures that are known."""

from __future__ import annotations

from itertools import permutations
from math import pi

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygen.errors import InputError
from tinygen.evaluation import densities
from tinygen.evaluation.densities import GaussianMixture, GaussianPerClass

MEANS = np.array([[0.0, 0.0], [4.0, 1.0], [-1.0, 5.0]])
FACTORS = np.array([[[1.0, 0], [0.5, 0.5]], [[0.6, 0], [-0.3, 1.0]], [[1.2, 0], [0, 0.3]]])
KNOWN = GaussianMixture(np.array([0.5, 0.3, 0.2]), MEANS, FACTORS @ FACTORS.swapaxes(1, 2))


def rng(seed=0):
    return np.random.default_rng(seed)


def grid(reach, cells):
    """The middles of the cells of a square, and the area of one."""
    width = 2 * reach / cells
    side = -reach + width * (np.arange(cells) + 0.5)
    return np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2), width**2


# --- the density ---


def test_the_log_density_of_one_gaussian_is_its_closed_form():
    m, S = np.array([1.0, -2.0, 0.5]), np.array([[2.0, 0.3, 0], [0.3, 1, -0.2], [0, -0.2, 0.5]])
    x = rng().standard_normal((7, 3))
    expected = [
        -0.5 * (v - m) @ np.linalg.solve(S, v - m) - 0.5 * np.log(np.linalg.det(2 * pi * S))
        for v in x
    ]
    log_p = GaussianMixture(np.ones(1), m[None], S[None]).log_density(x)
    np.testing.assert_allclose(log_p, expected, rtol=1e-12)


def test_the_density_of_a_mixture_is_the_sum_of_its_parts():
    x = rng(1).standard_normal((9, 2)) * 3
    parts = [
        weight * np.exp(GaussianMixture(np.ones(1), m[None], S[None]).log_density(x))
        for weight, m, S in zip(KNOWN.weights, KNOWN.means, KNOWN.covariances, strict=True)
    ]
    np.testing.assert_allclose(np.exp(KNOWN.log_density(x)), np.sum(parts, axis=0), rtol=1e-12)


def test_the_density_is_one_in_all():
    x, area = grid(12, 600)
    # The rule of middles converges faster than any power for what is so smooth.
    assert np.exp(KNOWN.log_density(x)).sum() * area == pytest.approx(1, abs=1e-9)


def test_far_out_the_logarithm_does_not_overflow():
    assert KNOWN.log_density([[1e8, -1e8]])[0] < -1e15


def test_draws_have_the_moments_and_the_weights_of_the_mixture():
    n = 200_000
    x = KNOWN.sample(n, rng(2))
    mean = KNOWN.weights @ MEANS
    outer = KNOWN.covariances + MEANS[:, :, None] * MEANS[:, None, :]
    covariance = np.tensordot(KNOWN.weights, outer, 1) - np.outer(mean, mean)
    # Five standard errors of a mean: 5 sqrt(6 / n) = .03; a second moment's is about 3 times that.
    np.testing.assert_allclose(x.mean(axis=0), mean, atol=0.03)
    np.testing.assert_allclose(np.cov(x.T), covariance, atol=0.1)
    nearest = ((x[:, None] - MEANS) ** 2).sum(axis=2).argmin(axis=1)
    np.testing.assert_allclose(np.bincount(nearest) / n, KNOWN.weights, atol=0.03)  # they overlap


def test_the_mean_log_density_of_draws_is_the_negative_entropy():
    x, area = grid(12, 600)
    log_p = KNOWN.log_density(x)
    entropy = -(np.exp(log_p) * log_p).sum() * area
    assert -KNOWN.log_density(KNOWN.sample(100_000, rng(3))).mean() == pytest.approx(
        entropy, abs=0.02
    )  # five standard errors: log p varies by about 1


def test_the_same_generator_gives_the_same_draws():
    a, b, c = (KNOWN.sample(50, rng(seed)) for seed in (5, 5, 6))
    assert a.tobytes() == b.tobytes() != c.tobytes()
    assert a.dtype == np.float64 and a.shape == (50, 2)


# --- fitting ---


def test_one_component_is_the_mean_and_the_covariance_of_the_codes():
    x = rng().standard_normal((40, 3)) @ rng(1).standard_normal((3, 3)) + [1e3, 0, -5]
    for fitted in (
        GaussianMixture.fit(x, 1, rng(), ridge=0),
        GaussianPerClass.fit(x, np.zeros(40, int), ridge=0).mixture,
    ):
        assert fitted.weights.tolist() == [1] and fitted.converged
        np.testing.assert_allclose(fitted.means, [x.mean(axis=0)], rtol=1e-12)
        np.testing.assert_allclose(fitted.covariances, [np.cov(x.T, bias=True)], rtol=1e-9)


def test_the_ridge_is_so_many_codes_of_the_datas_mean_variance():
    x = rng().standard_normal((30, 2)) * [1, 3]
    y = np.arange(30) % 3 == 0  # 10 codes and 20
    plain, ridged = (GaussianPerClass.fit(x, y.astype(int), ridge=r) for r in (0, 0.6))
    added = ridged.mixture.covariances - plain.mixture.covariances
    variance = (x.var(axis=0)[0] + x.var(axis=0)[1]) / 2
    for difference, n in zip(added, (20, 10), strict=True):
        np.testing.assert_allclose(difference, 0.6 * variance / n * np.eye(2), atol=1e-12)


def test_each_class_has_its_own_codes_moments_and_weight():
    x, y = rng().standard_normal((60, 2)), np.repeat([4, 0, 9], [10, 20, 30])
    fitted = GaussianPerClass.fit(x, y, ridge=0)
    assert fitted.labels.tolist() == [0, 4, 9]
    np.testing.assert_allclose(fitted.mixture.weights, [2 / 6, 1 / 6, 3 / 6])
    for k, label in enumerate(fitted.labels):
        own = x[y == label]
        np.testing.assert_allclose(fitted.mixture.means[k], own.mean(axis=0), atol=1e-14)
        np.testing.assert_allclose(fitted.mixture.covariances[k], np.cov(own.T, bias=True))


def test_what_is_drawn_of_a_class_is_of_that_class():
    y = rng().integers(0, 3, 3000)
    x = MEANS[y] + 0.1 * rng(1).standard_normal((3000, 2))
    fitted = GaussianPerClass.fit(x, y)
    for label in range(3):
        drawn = fitted.sample(2000, rng(2), label)
        np.testing.assert_allclose(drawn.mean(axis=0), MEANS[label], atol=0.02)  # 5 x .1 / 44
        np.testing.assert_allclose(drawn.std(axis=0), 0.1, atol=0.01)
    each = fitted.sample(6, rng(2), [2, 0, 1, 1, 0, 2])
    nearest = ((each[:, None] - MEANS) ** 2).sum(axis=2).argmin(axis=1)
    assert nearest.tolist() == [2, 0, 1, 1, 0, 2]
    of_all = fitted.sample(3000, rng(3))
    assert {*((of_all[:, None] - MEANS) ** 2).sum(axis=2).argmin(axis=1)} == {0, 1, 2}
    assert fitted.log_density(x).tolist() == fitted.mixture.log_density(x).tolist()


def matched(fitted):
    """The order of the components of `fitted` that lies nearest to that of `KNOWN`."""
    apart = [abs(fitted.means[[*order]] - MEANS).sum() for order in permutations(range(3))]
    return [*permutations(range(3))][int(np.argmin(apart))]


@pytest.mark.parametrize("seed", range(3))
def test_a_known_mixture_is_recovered(seed):
    x = KNOWN.sample(20_000, rng(seed))
    fitted = GaussianMixture.fit(x, 3, rng(seed), tolerance=1e-7)
    order = [*matched(fitted)]
    assert fitted.converged
    # Five standard errors of an estimate from 4,000 codes, a fifth of the 20,000.
    np.testing.assert_allclose(fitted.weights[order], KNOWN.weights, atol=0.03)
    np.testing.assert_allclose(fitted.means[order], MEANS, atol=0.1)
    np.testing.assert_allclose(fitted.covariances[order], KNOWN.covariances, atol=0.15)
    # The density that is fitted to codes is no less likely than the one they were drawn from.
    assert fitted.log_density(x).mean() >= KNOWN.log_density(x).mean()


@st.composite
def problems(draw):
    """Codes in a few heaps, some of them twice, and more or fewer components than heaps."""
    generator = rng(draw(st.integers(0, 2**32 - 1)))
    c, n = draw(st.integers(1, 4)), draw(st.integers(6, 60))
    heaps = generator.standard_normal((draw(st.integers(1, 4)), c)) * draw(st.sampled_from([1, 20]))
    x = heaps[generator.integers(0, len(heaps), n)] + generator.standard_normal((n, c))
    if draw(st.booleans()):
        x = np.concatenate([x, x[: n // 2]])
    if c > 1 and draw(st.booleans()):
        x[:, 0] = 3.0  # a number that says nothing
    x *= draw(st.sampled_from([1e-6, 1, 1e6]))
    k = draw(st.integers(1, min(6, len(np.unique(x, axis=0)))))
    return x, k, draw(st.sampled_from([1e-3, 0.1, 3.0])), generator


@given(problems())
def test_no_step_of_em_lowers_what_it_climbs(problem):
    x, k, ridge, generator = problem
    fitted = GaussianMixture.fit(x, k, generator, ridge=ridge, tolerance=1e-9, max_steps=60)
    # Rounding; and a component that is dropped had at most so many codes.
    assert np.diff(fitted.history).min(initial=0) >= -1e-11 - densities.EMPTY / len(x)
    # What was climbed: the likelihood and the prior, in Python's own words.
    strength = ridge * x.var(axis=0).mean()
    prior = sum(np.trace(np.linalg.inv(S)) for S in fitted.covariances) * strength / 2
    reached = fitted.log_density(x).mean() - prior / len(x)
    if fitted.converged:
        assert reached == pytest.approx(fitted.history[-1], rel=1e-9, abs=1e-9)
    else:
        assert reached >= fitted.history[-1] - 1e-9 * abs(reached)
    assert fitted.weights.sum() == pytest.approx(1, abs=1e-12)
    assert (np.linalg.eigvalsh(fitted.covariances) > 0).all()


def test_without_a_ridge_the_likelihood_itself_is_climbed():
    x = KNOWN.sample(500, rng())
    fitted = GaussianMixture.fit(x, 4, rng(1), ridge=0, tolerance=1e-6)
    assert (np.diff(fitted.history) >= -1e-12).all()
    assert fitted.history[-1] == pytest.approx(fitted.log_density(x).mean(), rel=1e-12)
    one = GaussianMixture.fit(x, 1, rng(), ridge=0).log_density(x).mean()
    assert fitted.history[-1] > one + 0.5  # three clusters are no Gaussian


def test_the_maximum_has_no_slope():
    """Where EM has converged, no mean, covariance or weight can be moved to gain anything."""
    x = KNOWN.sample(400, rng())
    fitted = GaussianMixture.fit(x, 3, rng(), ridge=5.0, tolerance=1e-13, max_steps=2000)
    strength = 5.0 * x.var(axis=0).mean()

    def height(weights, means, covariances):
        log_p = GaussianMixture(weights / weights.sum(), means, covariances).log_density(x).sum()
        return (log_p - strength / 2 * np.trace(np.linalg.inv(covariances).sum(axis=0))) / 400

    at = [fitted.weights, fitted.means, fitted.covariances]
    for which in range(3):
        v = rng(which).standard_normal(at[which].shape)
        v = v + v.swapaxes(1, 2) if which == 2 else v
        moved = [[y + h * v if i == which else y for i, y in enumerate(at)] for h in (1e-5, -1e-5)]
        slope = (height(*moved[0]) - height(*moved[1])) / 2e-5
        assert abs(slope) < 1e-5  # eps^(2/3), and how far from the top EM stopped


def test_fitting_depends_on_nothing_but_the_codes_and_the_generator():
    x = KNOWN.sample(300, rng())
    a, b, c = (GaussianMixture.fit(x, 5, rng(seed)) for seed in (1, 1, 2))
    assert a.means.tobytes() == b.means.tobytes() != c.means.tobytes()
    assert a.history == b.history


def test_codes_of_float32_are_fitted_in_float64():
    x = KNOWN.sample(300, rng()).astype(np.float32)
    fitted = GaussianMixture.fit(x, 2, rng())
    assert {a.dtype for a in (fitted.weights, fitted.means, fitted.covariances)} == {np.dtype("f8")}
    assert fitted.log_density(x).dtype == np.float64


def test_turned_shifted_and_scaled_codes_have_the_same_mixture_turned_shifted_and_scaled():
    x = KNOWN.sample(300, rng())
    turn, shift = np.array([[0.6, 0.8], [-0.8, 0.6]]), np.array([100.0, -7])
    one, other = (GaussianMixture.fit(y, 3, rng(1)) for y in (x, 3 * x @ turn + shift))
    np.testing.assert_allclose(other.means, 3 * one.means @ turn + shift, rtol=1e-6)
    expected = 9 * turn.T @ one.covariances @ turn
    np.testing.assert_allclose(other.covariances, expected, rtol=1e-6, atol=1e-9)


def test_when_steps_run_out_it_says_that_it_has_not_converged():
    x = KNOWN.sample(300, rng())
    fitted = GaussianMixture.fit(x, 6, rng(), tolerance=1e-9, max_steps=3)
    assert not fitted.converged and len(fitted.history) == 3


def test_a_component_that_lost_its_codes_is_dropped(monkeypatch):
    x = KNOWN.sample(200, rng())
    start = densities._k_means_plus_plus
    # As if the fourth had lost all of its codes to the first.
    monkeypatch.setattr(
        densities, "_k_means_plus_plus", lambda x, k, g: np.pad(start(x, 3, g), ((0, 0), (0, 1)))
    )
    fitted = GaussianMixture.fit(x, 4, rng())
    assert len(fitted.weights) == len(fitted.means) == len(fitted.covariances) == 3
    assert np.isfinite(fitted.log_density(x)).all()


def test_as_many_components_as_codes():
    x = rng().standard_normal((5, 2))
    fitted = GaussianMixture.fit(x, 5, rng())
    assert np.isfinite(fitted.log_density(x)).all() and np.isfinite(fitted.sample(9, rng())).all()


def test_k_means_plus_plus_starts_from_codes_that_lie_apart():
    x = np.repeat(MEANS * 100, 50, axis=0) + rng().standard_normal((150, 2))
    for seed in range(10):  # codes drawn evenly would miss a cluster in 8 of 10
        r = densities._k_means_plus_plus(x, 3, rng(seed))
        assert r.sum(axis=0).tolist() == [50, 50, 50] and r.sum(axis=1).tolist() == [1] * 150


# --- what is refused ---

CODES = rng().standard_normal((20, 2))
TWICE = np.repeat([[0.0, 0], [1, 1]], 10, axis=0)


def with_one(value):
    x = CODES.copy()
    x[3, 1] = value
    return x


@pytest.mark.parametrize("fit", [
    lambda x, **o: GaussianMixture.fit(x, 2, rng(), **o),
    lambda x, **o: GaussianPerClass.fit(x, np.zeros(len(x), int), **o),
])  # fmt: skip
@pytest.mark.parametrize(
    ("x", "options", "sentence"),
    [
        (with_one(np.nan), {}, "expected finite codes, got NaN or infinity"),
        (with_one(-np.inf), {}, "expected finite codes, got NaN or infinity"),
        (with_one(1e200), {}, "expected codes whose squares are finite"),
        (CODES[0], {}, r"expected codes \(n, c\), got shape \(2,\)"),
        (CODES[:0], {}, r"expected codes \(n, c\), got shape \(0, 2\)"),
        (CODES[:, :0], {}, r"expected codes \(n, c\), got shape \(20, 0\)"),
        (np.full((9, 2), 0.1), {}, "expected codes that differ, got the same code 9 times"),
        (CODES, {"ridge": -1}, "expected a ridge of at least 0, got -1"),
        (CODES, {"ridge": np.nan}, "expected a ridge of at least 0, got nan"),
    ],
)
def test_codes_that_no_density_can_be_fitted_to(fit, x, options, sentence):
    with pytest.raises(InputError, match=sentence) as refused:
        fit(x, **options)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("x", "k", "sentence"),
    [
        (CODES, 21, "expected at least as many codes as the 21 components, got 20"),
        (CODES, 0, "expected at least 1 component, got 0"),
        (TWICE, 3, "at least as many distinct codes as the 3 components, got 2"),
    ],
)
def test_components_that_there_cannot_be(x, k, sentence):
    with pytest.raises(InputError, match=sentence):
        GaussianMixture.fit(x, k, rng())


def test_a_singular_covariance_is_refused_when_it_is_used():
    flat = np.stack([np.arange(6.0), np.zeros(6)], axis=1)
    with pytest.raises(InputError, match=r"full rank, got a singular one; .* a ridge above 0"):
        GaussianMixture.fit(flat, 1, rng(), ridge=0)
    fitted = GaussianPerClass.fit(flat, np.zeros(6, int), ridge=0)
    with pytest.raises(InputError, match="expected covariances of full rank"):
        fitted.sample(3, rng())
    assert np.isfinite(GaussianMixture.fit(flat, 1, rng()).log_density(flat)).all()


@pytest.mark.parametrize(
    "labels", [np.zeros(19, int), np.zeros(20), np.zeros((20, 1), int), ["a"] * 20, None]
)
def test_labels_that_are_not_an_integer_for_each_code(labels):
    with pytest.raises(InputError, match="expected 20 integer labels, got"):
        GaussianPerClass.fit(CODES, labels)


def test_a_class_that_had_no_codes_cannot_be_drawn():
    fitted = GaussianPerClass.fit(CODES, np.arange(20) % 2 * 5)
    assert fitted.sample(3, rng(), 5).shape == (3, 2)
    for label in (1, -1, [0, 1, 5]):
        with pytest.raises(InputError, match=r"a label that codes had, one of 0, 5, got -?1"):
            fitted.sample(3, rng(), label)
    with pytest.raises(InputError, match="a label that codes had, one of 0, 5, got 6"):
        fitted.sample(3, rng(), 6)


def test_codes_of_another_width_have_no_density():
    with pytest.raises(InputError, match="expected codes of 2 dimensions, got 3"):
        KNOWN.log_density(np.zeros((4, 3)))
    with pytest.raises(InputError, match="expected finite codes"):
        KNOWN.log_density(with_one(np.nan))
