"""The VAE by hand against finite differences, the textbook, closed forms and its worked example."""

import math
from itertools import combinations, pairwise, product

import numpy as np
import pytest
from differences import (
    MARGIN,
    NON_SMOOTH,
    TOLERANCE,
    check_directional_derivatives,
    directional_derivative,
)
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strict import count_syncs, see_dtypes
from vae_textbook import textbook_loss

from tinygen.byhand.checks import DENSE, LIKELIHOODS, OBJECTIVES
from tinygen.byhand.vae import loss_and_grads
from tinygen.parameters import Parameters

BOTH = pytest.mark.parametrize(("likelihood", "objective"), [*product(LIKELIHOODS, OBJECTIVES)])


def make(encoder, decoder, likelihood="bernoulli", rng=None, dtype=np.float64, scale=0.5):
    """Parameters d -> encoder..., code -> decoder..., random or zero; the code is half as wide."""
    assert encoder[-1] == 2 * decoder[0]
    shapes = {}
    for side, widths in (("encoder", encoder), ("decoder", decoder)):
        for k, (i, o) in enumerate(pairwise(widths), 1):
            shapes |= {f"{side}.W{k}": (i, o), f"{side}.b{k}": (o,)}
    if likelihood == "gaussian":
        shapes["decoder.log_var"] = (1,)
    size = sum(math.prod(shape) for shape in shapes.values())
    flat = np.zeros(size) if rng is None else scale * rng.standard_normal(size)
    return Parameters(shapes, flat.astype(dtype))


def small(likelihood, objective, k=3, n=4, seed=0, **options):
    """A VAE 5 -> 4 -> 2 + 2, 2 -> 4 -> 5 with a batch, and the options of its loss."""
    rng = np.random.default_rng(seed)
    p = make([5, 4, 4], [2, 4, 5], likelihood, rng)
    data = (rng.random((n, 5)), rng.standard_normal((k, n, 2)))
    names = {"activation": "tanh", "likelihood": likelihood, "objective": objective}
    return p, data, names | options


# --- an independent opinion: one number at a time, with densities as a textbook has them ---


@st.composite
def cases(draw):
    """A VAE of any shape, a batch, and every option, away from kinks."""
    width = st.integers(1, 4)
    d, c = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    encoder = [d, *draw(st.lists(width, max_size=2)), 2 * c]
    decoder = [c, *draw(st.lists(width, max_size=2)), d]
    n, k = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    options = {
        "activation": draw(st.sampled_from(sorted(DENSE))),
        "likelihood": draw(st.sampled_from(LIKELIHOODS)),
        "objective": draw(st.sampled_from(OBJECTIVES)),
    }
    if options["objective"] == "elbo":
        options["free_bits"] = draw(st.sampled_from([0.0, 0.1, 0.5]))
    beta = draw(st.sampled_from([0.0, 0.3, 1.0, 4.0]))
    p = make(encoder, decoder, options["likelihood"], rng)
    data = (rng.random((n, d)), rng.standard_normal((k, n, c)), beta)
    loss, rates, kinks = textbook_loss(p, *data, **options)
    if options["activation"] in NON_SMOOTH:
        assume(min(map(abs, kinks), default=1) > MARGIN)
    if options.get("free_bits"):
        assume(min(abs(rate - options["free_bits"]) for rate in rates) > MARGIN)
    return p, data, options, rng, loss


@settings(max_examples=80)
@given(cases())
def test_directional_derivatives_of_the_loss(case):
    *arguments, _ = case
    check_directional_derivatives(loss_and_grads, *arguments)


@settings(max_examples=50)
@given(cases())
def test_loss_is_the_textbook_loss(case):
    p, data, options, _, expected = case
    loss, _ = loss_and_grads(p, *data, **options)
    # rounding of a few hundred float64 operations, and of the logarithm of a product
    assert loss == pytest.approx(expected, rel=1e-11, abs=1e-12)


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("free_bits", [0.0, 0.2])
@BOTH
def test_every_single_entry_of_the_gradient(likelihood, objective, free_bits, k):
    if free_bits and objective == "iwae":
        pytest.skip("refused")
    p, data, options = small(likelihood, objective, k, free_bits=free_bits, seed=2)
    rates = textbook_loss(p, *data, 0.7, **options)[1]
    assert free_bits == 0 or min(rates) < 0.2 - MARGIN < 0.2 + MARGIN < max(rates)  # by the seed
    _, gradients = loss_and_grads(p, *data, 0.7, **options)
    measured = [
        directional_derivative(lambda q: loss_and_grads(q, *data, 0.7, **options)[0], p, v)
        for v in np.eye(p.flat.size)
    ]
    np.testing.assert_allclose(
        gradients.flat, measured, rtol=TOLERANCE, atol=TOLERANCE * np.abs(measured).max()
    )


# --- the worked example of docs/derivations/vae.md ---

EXACT = {"rel": 1e-14, "abs": 1e-15}  # the rounding of a logarithm and of a few operations
LN3 = math.log(3)


def worked_example(likelihood="bernoulli"):
    p = make([2, 2], [1, 2], likelihood)
    p["encoder.W1"][...] = [[1, math.log(2)], [3, 1]]
    p["encoder.b1"][...] = [1, math.log(2)]
    p["decoder.W1"][...] = [[LN3, -LN3]]
    return p, np.array([[1.0, 0]]), np.full((1, 1, 1), -1 / 2)


LINEAR = {"activation": "none", "likelihood": "bernoulli"}


def test_the_worked_example():
    loss, g = loss_and_grads(*worked_example(), **LINEAR)
    assert loss == pytest.approx(2 * math.log(4 / 3) + 7 / 2 - math.log(2), **EXACT)
    assert loss == pytest.approx(3.3822, abs=5e-5)  # as printed there
    assert g["decoder.W1"] == pytest.approx(np.array([[-1 / 4, 1 / 4]]), **EXACT)
    assert g["decoder.b1"] == pytest.approx(np.array([-1 / 4, 1 / 4]), **EXACT)
    code = [2 - LN3 / 2, 3 / 2 + LN3 / 4]
    assert g["encoder.b1"] == pytest.approx(np.array(code), **EXACT)
    assert g["encoder.W1"] == pytest.approx(np.array([code, [0, 0]]), **EXACT)


def test_the_worked_example_with_free_bits():
    loss, g = loss_and_grads(*worked_example(), **LINEAR, free_bits=3.0)
    assert loss == pytest.approx(2 * math.log(4 / 3) + 3, **EXACT)
    assert g["encoder.b1"] == pytest.approx(np.array([-LN3 / 2, LN3 / 4]), **EXACT)


def test_the_worked_example_with_gaussian_pixels():
    p, *data = worked_example("gaussian")
    p["decoder.W1"][...] = [[1, -1]]
    p["decoder.log_var"][...] = math.log(4)
    loss, g = loss_and_grads(p, *data, activation="none", likelihood="gaussian")
    assert loss == pytest.approx(math.log(4 * math.pi) + 29 / 8, **EXACT)
    assert g["decoder.log_var"] == pytest.approx(np.array([7 / 8]), **EXACT)
    assert g["decoder.b1"] == pytest.approx(np.array([0, -1 / 4]), **EXACT)
    assert g["encoder.b1"] == pytest.approx(np.array([9 / 4, 11 / 8]), **EXACT)


def test_the_worked_example_with_the_importance_weighted_bound():
    p, x, _ = worked_example()
    p["encoder.b1"][0] = -1
    noise = np.array([1 / 2, -1 / 2]).reshape(2, 1, 1)
    loss, g = loss_and_grads(p, x, noise, **LINEAR, objective="iwae")
    assert loss == pytest.approx(math.log(8 / 5) + 3 / 8, **EXACT)
    assert g["decoder.W1"] == pytest.approx(np.array([[-3 / 20, 3 / 20]]), **EXACT)
    assert g["decoder.b1"] == pytest.approx(np.array([-3 / 10, 3 / 10]), **EXACT)
    assert g["encoder.b1"] == pytest.approx(np.array([4 / 5 - 3 / 5 * LN3, -3 / 20 * LN3]), **EXACT)
    elbo, _ = loss_and_grads(p, x, noise, **LINEAR)
    assert elbo == pytest.approx(math.log(8 / 3) + 3 / 2, **EXACT)


# --- the KL, and what stands in the variance's place ---


def encoded(mu, log_var, dtype=np.float64):
    """A deaf decoder of one grey pixel, and images that are encoded to these (n, c) numbers."""
    n, c = np.shape(mu)
    p = make([n, 2 * c], [c, n], dtype=dtype)
    p["encoder.W1"][...] = np.concatenate([mu, log_var], axis=1)
    return p, np.eye(n, dtype=dtype), np.zeros((1, n, c), dtype)


def test_the_kl_and_its_gradient_in_closed_form():
    rng = np.random.default_rng(0)
    mu, log_var = rng.standard_normal((2, 3, 2))
    without, _ = loss_and_grads(*encoded(mu, log_var), 0.0, **LINEAR)
    loss, g = loss_and_grads(*encoded(mu, log_var), 2.0, **LINEAR)
    assert without == pytest.approx(3 * math.log(2), rel=1e-14)  # three grey pixels, no KL
    sigma = np.exp(log_var) ** 0.5
    kl = (0.5 * (sigma**2 + mu**2) - np.log(sigma) - 0.5).sum() / 3
    assert loss - without == pytest.approx(2 * kl, rel=1e-13)  # a few roundings
    expected = 2 / 3 * np.concatenate([mu, (sigma**2 - 1) / 2], axis=1)
    np.testing.assert_allclose(g["encoder.W1"], expected, rtol=1e-13, atol=1e-15)


def test_the_kl_is_zero_at_the_prior_and_nowhere_else():
    def kl(mu, log_var):
        return (
            loss_and_grads(*encoded([[mu]], [[log_var]]), 1.0, **LINEAR)[0]
            - loss_and_grads(*encoded([[mu]], [[log_var]]), 0.0, **LINEAR)[0]
        )

    assert kl(0, 0) == 0
    assert min(kl(m, v) for m in (-0.1, 0, 0.1) for v in (-0.1, 0, 0.1) if m or v) > 1e-3


def test_a_small_kl_keeps_its_digits_in_float32():
    # KL = v^2 / 4 = 2.5e-9, made visible by beta; exp(v) - 1 - v in float32 is off by 1e-7
    loss, g = loss_and_grads(*encoded([[0.0]], [[1e-4]], np.float32), 1e12, **LINEAR)
    assert loss == pytest.approx(2500, rel=2e-3)  # eps 2 / v: what v itself leaves of them
    assert g["encoder.b1"][1] == pytest.approx(0.5e8, rel=1e-3)


@pytest.mark.parametrize("c", [1, 2])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_sampled_kl_has_the_mean_of_the_closed_form(likelihood, c):
    """The two losses differ by squares of the noise, whose mean over +1 and -1 is exact.

    Here the sampler's idea of log_var meets that of the KL: no gradient check sees both.
    """
    rng = np.random.default_rng(1)
    p, x = make([3, 4, 2 * c], [c, 3], likelihood, rng, scale=1.0), rng.random((2, 3))
    means = {}
    for objective in OBJECTIVES:
        options = {"activation": "elu", "likelihood": likelihood, "objective": objective}
        found = [
            loss_and_grads(p, x, np.full((1, 2, c), signs, float), 1.7, **options)
            for signs in product([1, -1], repeat=c)
        ]
        means[objective] = [np.mean([J for J, _ in found]), np.mean([g.flat for _, g in found], 0)]
    assert means["iwae"][0] == pytest.approx(means["elbo"][0], rel=1e-13)
    np.testing.assert_allclose(means["iwae"][1], means["elbo"][1], rtol=1e-11, atol=1e-13)


# --- free bits ---


def test_a_dimension_with_no_more_than_its_free_bits_has_no_gradient():
    # KL = mu^2 / 2 = 1/2 exactly
    for free_bits, derivative in ((0.0, 1), (0.25, 1), (0.5, 0), (0.75, 0)):
        data = encoded([[1.0]], [[0.0]])
        loss, g = loss_and_grads(*data, 3.0, **LINEAR, free_bits=free_bits)
        assert loss == pytest.approx(math.log(2) + 3 * max(0.5, free_bits), rel=1e-15)
        assert g["encoder.b1"].tolist() == [3 * derivative, 0]


def test_free_bits_look_at_the_mean_over_the_batch_and_at_each_dimension():
    # KLs: first dimension 1/2 and 0, mean 1/4; second 2 and 0, mean 1
    data = encoded([[1.0, 2], [0, 0]], np.zeros((2, 2)))
    loss, g = loss_and_grads(*data, **LINEAR, free_bits=0.4)
    assert loss == pytest.approx(2 * math.log(2) + 0.4 + 1, rel=1e-15)
    assert g["encoder.W1"].tolist() == [[0, 1, 0, 0], [0, 0, 0, 0]]  # mu / n


# --- draws ---


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_elbo_of_several_draws_is_the_mean_of_theirs(likelihood):
    p, (x, noise), options = small(likelihood, "elbo")
    loss, g = loss_and_grads(p, x, noise, **options)
    each = [loss_and_grads(p, x, noise[r : r + 1], **options) for r in range(3)]
    assert loss == pytest.approx(np.mean([J for J, _ in each]), rel=1e-14)
    np.testing.assert_allclose(
        g.flat, np.mean([f.flat for _, f in each], axis=0), rtol=1e-12, atol=1e-15
    )


@BOTH
def test_equal_draws_are_one_draw(likelihood, objective):
    p, (x, noise), options = small(likelihood, objective, k=1)
    loss, g = loss_and_grads(p, x, noise, 0.6, **options)
    again, f = loss_and_grads(p, x, np.repeat(noise, 5, axis=0), 0.6, **options)
    assert again == pytest.approx(loss, rel=1e-14)  # log 5 is added and subtracted
    np.testing.assert_allclose(f.flat, g.flat, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0]])
@pytest.mark.parametrize(("likelihood", "white"), [("bernoulli", 1.0), ("gaussian", 200.0)])
def test_a_draw_that_explains_the_image_takes_all_of_the_gradient(likelihood, white, order):
    p = make([1, 2], [1, 1], likelihood)
    p["decoder.W1"][...] = 100.0
    x = np.full((1, 1), white)
    noise = np.array([2.0, -2.0, -2.0])[order].reshape(3, 1, 1)  # the sum before the pixel is 100 z
    options = {"activation": "none", "likelihood": likelihood, "objective": "iwae"}
    good, g = loss_and_grads(p, x, np.full((1, 1, 1), 2.0), **options)
    bad, _ = loss_and_grads(p, x, np.full((1, 1, 1), -2.0), **options)
    assert bad > good + 190
    loss, f = loss_and_grads(p, x, noise, **options)
    assert loss == pytest.approx(good + math.log(3), rel=1e-15)  # one in three
    np.testing.assert_allclose(f.flat, g.flat, rtol=1e-15, atol=1e-80)  # exp(-200) = 1e-87


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_bound_is_tighter_with_more_draws(likelihood):
    """vae.md (I2): averaged over all ways to choose m of 4 draws, the loss falls with m."""
    p, (x, noise), options = small(likelihood, "iwae", k=4)
    means = [
        np.mean(
            [loss_and_grads(p, x, noise[[*m]], **options)[0] for m in combinations(range(4), r)]
        )
        for r in (1, 2, 3, 4)
    ]
    assert all(more < fewer - 1e-3 for fewer, more in pairwise(means))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_where_the_pixels_variance_is_the_squared_error_it_stays(objective):
    p, data, options = small("gaussian", objective, k=1)
    _, g = loss_and_grads(p, *data, **options)
    # vae.md (11) gives the squared error per pixel, Q / (n d), and by it the place of rest
    error = (1 - 2 * g["decoder.log_var"][0] / 5) * np.exp(p["decoder.log_var"][0])
    p["decoder.log_var"][...] = np.log(error)
    best, g = loss_and_grads(p, *data, **options)
    assert abs(g["decoder.log_var"][0]) < 1e-14  # rounding
    for step in (-0.1, 0.1):
        p["decoder.log_var"][...] = np.log(error) + step
        assert loss_and_grads(p, *data, **options)[0] > best


@BOTH
def test_batch_of_copies_has_the_gradient_of_one_image(likelihood, objective):
    p, (x, noise), options = small(likelihood, objective, n=1)
    loss, g = loss_and_grads(p, x, noise, 0.8, **options)
    many, f = loss_and_grads(p, np.repeat(x, 7, 0), np.repeat(noise, 7, 1), 0.8, **options)
    assert many == pytest.approx(loss, rel=1e-13)  # sums in another order
    np.testing.assert_allclose(f.flat, g.flat, rtol=1e-12, atol=1e-15)


# --- numbers that overflow, dtypes, backends, what is written ---


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_images_that_are_very_improbable(objective, dtype):
    p = make([4, 2], [1, 4], dtype=dtype)
    p["decoder.b1"][...] = [1000, 1000, -1000, -1000]
    x = np.array([[1, 0, 0, 1]], dtype)
    loss, g = loss_and_grads(p, x, np.ones((4, 1, 1), dtype), **LINEAR, objective=objective)
    assert loss == pytest.approx(2000, rel=1e-6)  # log 4 is added to it and subtracted
    assert g["decoder.b1"].tolist() == [0, 1, 0, -1]


@pytest.mark.parametrize("number", [float, np.float64])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("free_bits", [0.0, 0.2])
@BOTH
def test_dtype_in_is_dtype_out_and_float32_agrees(likelihood, objective, free_bits, dtype, number):
    if free_bits and objective == "iwae":
        pytest.skip("refused")
    p, data, options = small(likelihood, objective, free_bits=number(free_bits))
    exact, g = loss_and_grads(p, *data, number(0.7), **options)
    p, data = p.like(p.flat.astype(dtype)), [a.astype(dtype) for a in data]
    J, f = loss_and_grads(p, *data, number(0.7), **options)
    assert J.dtype == dtype and J.shape == () and f.flat.dtype == dtype
    tolerance = 50 * float(np.finfo(dtype).eps)  # a handful of roundings in sums of a few terms
    assert exact == pytest.approx(J, rel=tolerance)
    assert np.linalg.norm(f.flat - g.flat) <= tolerance * np.linalg.norm(g.flat)


@pytest.mark.parametrize("activation", sorted(DENSE))
@pytest.mark.parametrize("free_bits", [0.0, 0.2])
@BOTH
def test_every_backend_gives_the_same_and_waits_for_nothing(
    backend, likelihood, objective, free_bits, activation
):
    if free_bits and objective == "iwae":
        pytest.skip("refused")
    p, data, options = small(likelihood, objective, free_bits=free_bits)
    p, data = p.like(p.flat.astype(np.float32)), [a.astype(np.float32) for a in data]
    options["activation"] = activation
    J, g = loss_and_grads(p, *data, 0.7, **options)
    there = p.to(backend), *(backend.asarray(a) for a in data), 0.7
    with count_syncs() as syncs, see_dtypes() as dtypes:
        loss, f = loss_and_grads(*there, **options)
    assert not syncs
    assert {np.dtype("float64")}.isdisjoint(dtypes)
    # the same float32 arithmetic in another library
    np.testing.assert_allclose(backend.to_numpy(loss), J, rtol=1e-5)
    np.testing.assert_allclose(backend.to_numpy(f.flat), g.flat, rtol=1e-4, atol=1e-5)


@settings(max_examples=40)
@given(cases())
def test_what_lay_in_out_never_shows_and_what_was_given_stays(case):
    p, (x, noise, beta), options, _, _ = case
    copies = [array.copy() for array in (p.flat, x, noise)]
    J, g = loss_and_grads(p, x, noise, beta, **options)
    out = p.like(np.full_like(p.flat, np.nan))
    again, same = loss_and_grads(p, x, noise, beta, **options, out=out)
    assert same is out
    assert again == J and np.array_equal(out.flat, g.flat)
    assert all(np.array_equal(a, b) for a, b in zip((p.flat, x, noise), copies, strict=True))


# --- refusals ---


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"activation": "swish"}, r"vae: unknown activation 'swish'; choose one of none, relu"),
        ({"activation": "maxout"}, r"^vae: unknown activation 'maxout'; .* sigmoid, softplus$"),
        ({"likelihood": "laplace"}, r"unknown likelihood 'laplace'; choose one of bernoulli, gau"),
        ({"objective": "vimco"}, r"unknown objective 'vimco'; choose one of elbo, iwae"),
        ({"beta": -1}, r"beta needs to be a number that is at least 0, got -1"),
        ({"beta": float("nan")}, r"beta needs to be a number that is at least 0, got nan"),
        ({"free_bits": -0.5}, r"free_bits needs to be a number that is at least 0, got -0.5"),
        ({"free_bits": 0.5, "objective": "iwae"}, r"'iwae' needs free_bits 0, got 0.5"),
        ({"x": np.zeros(2)}, r"x needs to be images in rows \(n, d\), got shape \(2,\)"),
        ({"x": np.zeros((0, 2))}, r"x needs to be images"),
        ({"x": np.zeros((1, 5))}, r"encoder.W1 is \(2, 2\); it needs a row for each of the 5"),
        ({"noise": np.zeros((1, 1))}, r"noise is \(1, 1\); it needs to be \(k, 1, 1\)"),
        ({"noise": np.zeros((1, 2, 1))}, r"noise is \(1, 2, 1\); it needs to be \(k, 1, 1\)"),
        ({"noise": np.zeros((1, 1, 2))}, r"noise is \(1, 1, 2\); it needs to be \(k, 1, 1\)"),
        ({"noise": np.zeros((0, 1, 1))}, r"noise is \(0, 1, 1\); it needs"),
        ({"out": make([2, 4], [2, 2])}, r"out needs the layout of the parameters, .*encoder.W1"),
        ({"likelihood": "gaussian"}, r"decoder.b1, ..., decoder.log_var, got encoder.W1"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_was_expected(change, words):
    p, x, noise = worked_example()
    arguments = {"x": x, "noise": noise, **LINEAR, **change}
    with pytest.raises(ValueError, match=words):
        loss_and_grads(p, **arguments)


def test_a_variance_of_the_pixels_needs_gaussian_pixels():
    with pytest.raises(ValueError, match=r"decoder\.b1, \.\.\., got .*decoder\.log_var"):
        loss_and_grads(*worked_example("gaussian"), **LINEAR)


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        ("encoder.W1", (2, 3), r"encoder\.b1 is \(2,\), encoder\.W1 is \(2, 3\)"),
        ("decoder.W1", (2, 2), r"decoder\.W1 is \(2, 2\); it needs a row for each of the 1 col"),
        ("decoder.log_var", (2,), r"decoder\.log_var is \(2,\); it needs to be \(1,\)"),
    ],
)
def test_sizes_that_do_not_chain_are_refused(name, shape, words):
    p, *data = worked_example("gaussian")
    with pytest.raises(ValueError, match=words):
        loss_and_grads({**p, name: np.zeros(shape)}, *data, **LINEAR | {"likelihood": "gaussian"})


def test_an_odd_number_of_columns_is_refused():
    p, *data = worked_example()
    odd = {**p, "encoder.W1": np.zeros((2, 3)), "encoder.b1": np.zeros(3)}
    with pytest.raises(ValueError, match=r"encoder\.W1 gives 3 columns; it needs an even number"):
        loss_and_grads(odd, *data, **LINEAR)


def test_a_decoder_that_gives_another_size_is_refused():
    _, *data = worked_example()
    with pytest.raises(ValueError, match=r"x is \(1, 2\), the decoder gives 3 columns"):
        loss_and_grads(make([2, 2], [1, 3]), *data, **LINEAR)


@pytest.mark.parametrize("which", ["parameters", "x", "noise"])
def test_dtypes_and_libraries_are_not_mixed(which):
    data = dict(zip(("parameters", "x", "noise"), worked_example(), strict=True))
    if which == "parameters":
        data[which] = data[which].like(data[which].flat.astype(np.float32))
    else:
        data[which] = data[which].astype(np.float32)
    with pytest.raises(TypeError, match="they need to be the same"):
        loss_and_grads(**data, **LINEAR)
