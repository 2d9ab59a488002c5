"""Optimisers against the papers' formulas in float64, and the shapes of the schedules."""

from __future__ import annotations

import inspect
import warnings
from math import comb, cos, inf, isfinite, pi, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from strict import STRICT, count_syncs, see_dtypes

import tinygen as tg
from tinygen import optim
from tinygen.optim import (
    OPTIMIZERS,
    SGD,
    Adam,
    AdamW,
    MovingAverage,
    Optimizer,
    RMSProp,
    clip_by_norm,
    constant,
    cosine,
    linear,
    one_cycle,
    step_decay,
    warm_up,
)
from tinygen.parameters import Parameters

SHAPES = {"W": (3, 4), "b": (5,)}
random = np.random.default_rng(5)
START = random.standard_normal(17)
GRADIENTS = [random.standard_normal(17) * 10.0 ** random.integers(-3, 2) for _ in range(12)]


def parameters(backend, values=START, dtype=np.float64):
    return Parameters(SHAPES, backend.xp.array(values, dtype))


def follow(backend, make, rate=0.1, dtype=np.float64, gradients=GRADIENTS):
    """The parameters after a step on each of the gradients."""
    p = parameters(backend, dtype=dtype)
    optimizer = make(p)
    for g in gradients:
        optimizer.update(p, parameters(backend, g, dtype), rate)
    return backend.to_numpy(p.flat)


# The papers' algorithms, line by line, each number by itself. `x` is one parameter, `gs` its
# gradients; all state starts at zero.


def sgd_textbook(x, gs, rate, momentum):
    """Polyak 1964 as in Sutskever et al. 2013, in PyTorch's scaling of the velocity."""
    m = 0.0
    for g in gs:
        m = momentum * m + g
        x = x - rate * m
    return x


def nesterov_textbook(x, gs, rate, momentum, nesterov):
    """Sutskever et al. 2013, equations 3 and 4, at the points theta + mu v of their gradients."""
    theta, v = x, 0.0
    for g in gs:
        theta, v = theta + momentum * v - rate * g, momentum * v - rate * g
    return theta + momentum * v


def rmsprop_textbook(x, gs, rate, decay, epsilon):
    """Tieleman and Hinton 2012, lecture 6e: a running average of the squared gradient."""
    v = 0.0
    for g in gs:
        v = decay * v + (1 - decay) * g**2
        x = x - rate * g / (sqrt(v) + epsilon)
    return x


def adam_textbook(x, gs, rate, beta1, beta2, epsilon, weight_decay=0.0):
    """Kingma and Ba 2015, algorithm 1; Loshchilov and Hutter 2019, algorithm 2, line 12."""
    m = v = 0.0
    for t, g in enumerate(gs, start=1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        mhat = m / (1 - beta1**t)
        vhat = v / (1 - beta2**t)
        x = x - rate * (mhat / (sqrt(vhat) + epsilon) + weight_decay * x)
    return x


CASES = {
    "sgd": (SGD, sgd_textbook, {"momentum": 0.0}),
    "sgd with momentum": (SGD, sgd_textbook, {"momentum": 0.9}),
    "sgd with nesterov's": (SGD, nesterov_textbook, {"momentum": 0.9, "nesterov": True}),
    "rmsprop": (RMSProp, rmsprop_textbook, {"decay": 0.99, "epsilon": 1e-8}),
    "rmsprop, large epsilon": (RMSProp, rmsprop_textbook, {"decay": 0.5, "epsilon": 0.1}),
    "adam": (Adam, adam_textbook, {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}),
    "adam, large epsilon": (Adam, adam_textbook, {"beta1": 0.5, "beta2": 0.9, "epsilon": 0.1}),
    "adam without averages": (Adam, adam_textbook, {"beta1": 0.0, "beta2": 0.9, "epsilon": 1e-8}),
    "adamw": (
        AdamW,
        adam_textbook,
        {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "weight_decay": 0.01},
    ),
    "adamw, strong decay": (
        AdamW,
        adam_textbook,
        {"beta1": 0.8, "beta2": 0.9, "epsilon": 1e-3, "weight_decay": 0.7},
    ),
}
EVERY = pytest.mark.parametrize(("make", "textbook", "options"), CASES.values(), ids=CASES)


def test_every_optimiser_has_a_case_and_a_name():
    assert {make for make, *_ in CASES.values()} == set(OPTIMIZERS.values())
    classes = {c for _, c in inspect.getmembers(optim, inspect.isclass)}
    assert {c for c in classes if issubclass(c, Optimizer)} - {Optimizer} == {*OPTIMIZERS.values()}
    assert {name: c.__name__.lower() for name, c in OPTIMIZERS.items()} == {
        name: name for name in OPTIMIZERS
    }


@EVERY
@pytest.mark.parametrize("rate", [0.1, 1e-3])
def test_the_textbook_comes_to_the_same_place(backend, make, textbook, options, rate):
    ours = follow(backend, lambda p: make(p, **options), rate)
    theirs = [
        textbook(x, gs, rate, **options)
        for x, gs in zip(START, np.transpose(GRADIENTS), strict=True)
    ]
    # Twelve steps in float64; the formulas are grouped in another way.
    np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-13)


@EVERY
def test_float32_is_float64_but_for_rounding(backend, make, textbook, options):
    single = follow(backend, lambda p: make(p, **options), 0.01, np.float32)
    double = follow(backend, lambda p: make(p, **options), 0.01, np.float64)
    assert single.dtype == np.float32
    # Twelve steps of at most some 0.1 each, every one rounded to 6e-8 relatively a few times.
    np.testing.assert_allclose(single, double, rtol=2e-5, atol=2e-5)


@EVERY
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_update_never_waits_and_computes_in_the_dtype(make, textbook, options, dtype):
    p, g = parameters(STRICT, dtype=dtype), parameters(STRICT, GRADIENTS[0], dtype)
    optimizer = make(p, **options)
    with count_syncs() as syncs, see_dtypes() as seen:
        for _ in range(3):
            optimizer.update(p, g, 0.1)
    assert syncs == []
    assert p.flat.dtype == dtype and all(s.dtype == dtype for s in optimizer.state.values())
    assert set(seen) <= {np.dtype(dtype)}


@EVERY
def test_an_update_is_in_place_and_counted(backend, make, textbook, options):
    p, g = parameters(backend), parameters(backend, GRADIENTS[0])
    flat = p.flat
    optimizer = make(p, **options)
    assert optimizer.steps == 0
    for k in (1, 2, 3):
        optimizer.update(p, g, 0.1)
        assert optimizer.steps == k
    assert p.flat is flat
    np.testing.assert_array_equal(backend.to_numpy(p["b"]), backend.to_numpy(flat)[12:])
    np.testing.assert_array_equal(backend.to_numpy(g.flat), GRADIENTS[0])  # the gradient is not


@EVERY
def test_restored_state_goes_on_to_the_same_end_bit_for_bit(backend, make, textbook, options):
    p = parameters(backend)
    one = make(p, **options)
    for g in GRADIENTS[:5]:
        one.update(p, parameters(backend, g), 0.1)
    q = p.copy()
    other = make(q, **options)
    other.steps = one.steps
    assert other.state.keys() == one.state.keys()
    for name, s in one.state.items():
        other.state[name] = s.copy()
    for g in GRADIENTS[5:]:
        one.update(p, parameters(backend, g), 0.1)
        other.update(q, parameters(backend, g), 0.1)
    np.testing.assert_array_equal(backend.to_numpy(p.flat), backend.to_numpy(q.flat))


@EVERY
def test_what_does_not_match_is_refused_and_nothing_is_changed(backend, make, textbook, options):
    p = parameters(backend)
    optimizer = make(p, **options)
    other = Parameters({"W": (3, 4)}, backend.asarray(np.zeros(12)))
    with pytest.raises(ValueError, match=r"\(17,\) float64, gradients \(12,\) float64"):
        optimizer.update(p, other, 0.1)
    with pytest.raises(ValueError, match=r"\(17,\) float64, gradients \(17,\) float32"):
        optimizer.update(p, parameters(backend, START, np.float32), 0.1)
    if optimizer.state:
        with pytest.raises(ValueError, match=r"\(12,\) float64, [mv] \(17,\) float64"):
            optimizer.update(other, other.copy(), 0.1)
        single = parameters(backend, START, np.float32)
        with pytest.raises(ValueError, match=r"\(17,\) float32, [mv] \(17,\) float64"):
            optimizer.update(single, single.copy(), 0.1)
    assert optimizer.steps == 0
    np.testing.assert_array_equal(backend.to_numpy(p.flat), START)


def test_a_graph_from_before_the_update_is_stale(backend):
    p = parameters(backend)
    x = tg.leaves(p)
    loss = (x["W"] * x["W"]).sum()
    Adam(p).update(p, p.copy(), 0.1)
    with pytest.raises(RuntimeError, match="argument x was written in place"):
        loss.backward()


# Closed forms.


def test_gradient_descent_on_a_quadratic_shrinks_geometrically(backend):
    """With f(x) = a x^2 / 2 the gradient is a x, and x_t = (1 - rate a)^t x_0."""
    p = parameters(backend)
    optimizer = SGD(p)
    for _ in range(20):
        optimizer.update(p, p.like(3.0 * p.flat), 0.1)
    np.testing.assert_allclose(backend.to_numpy(p.flat), 0.7**20 * START, rtol=1e-13)


def test_momentum_on_a_quadratic_follows_its_recurrence(backend):
    """x_(t+1) = (1 + b - rate a) x_t - b x_(t-1), whose two roots give x_t in closed form."""
    a, b, rate, steps = 2.0, 0.5, 0.05, 15
    p = parameters(backend)
    optimizer = SGD(p, momentum=b)
    for _ in range(steps):
        optimizer.update(p, p.like(a * p.flat), rate)
    r1, r2 = np.roots([1, -(1 + b - rate * a), b])
    x1 = 1 - rate * a  # the first step has no momentum yet
    c1 = (x1 - r2) / (r1 - r2)
    factor = (c1 * r1**steps + (1 - c1) * r2**steps).real
    np.testing.assert_allclose(backend.to_numpy(p.flat), factor * START, rtol=1e-11)


def test_nesterovs_momentum_needs_momentum(backend):
    for momentum in (0.0, -0.5):
        with pytest.raises(ValueError, match=f"nesterov needs a momentum above 0, got {momentum}"):
            SGD(parameters(backend), momentum, nesterov=True)


@given(
    g=hnp.arrays(
        np.float64, 17, elements=st.floats(1e-3, 1e6) | st.floats(-1e6, -1e-3) | st.just(0.0)
    ),
    rate=st.floats(1e-6, 1.0),
)
def test_adams_first_step_is_the_rate_in_the_direction_of_the_sign(g, rate):
    """Whatever the size of the gradient: mhat = g and vhat = g^2 after one step."""
    backend = tg.get_backend("numpy")
    step = follow(backend, Adam, rate, gradients=[g]) - START
    # Epsilon takes 1e-8 / |g| of it, 1e-5 at most; START + step is rounded to 5e-16 or so.
    np.testing.assert_allclose(step, -rate * np.sign(g), rtol=2e-5, atol=1e-15)


def test_rmsprops_first_step_is_ten_times_the_rate(backend):
    """v = 0.01 g^2 after one step, for it has no bias correction."""
    step = follow(backend, RMSProp, 0.1, gradients=[GRADIENTS[0]]) - START
    # Epsilon takes 1e-8 / (0.1 |g|).
    expected = -np.sign(GRADIENTS[0])
    np.testing.assert_allclose(step, expected, rtol=1e-7 / abs(GRADIENTS[0]).min() + 1e-12)


def test_adams_step_on_a_constant_gradient_is_always_the_rate(backend):
    """The bias corrections undo the start at zero exactly."""
    x = follow(backend, Adam, 0.01, gradients=[GRADIENTS[0]] * 50)
    expected = START - 50 * 0.01 * np.sign(GRADIENTS[0])
    # Epsilon takes 1e-8 / |g| of every step.
    np.testing.assert_allclose(x, expected, atol=0.5 * 1e-8 / abs(GRADIENTS[0]).min() + 1e-12)


def test_adamws_decay_does_not_pass_through_the_moments(backend):
    """Without a gradient the weights shrink geometrically; Adam with l2 would step by the rate."""
    still = [np.zeros(17)] * 10
    x = follow(backend, lambda p: AdamW(p, weight_decay=0.5), 0.1, gradients=still)
    np.testing.assert_allclose(x, START * (1 - 0.1 * 0.5) ** 10, rtol=1e-13)


def test_adamw_without_decay_is_adam(backend):
    ours = follow(backend, lambda p: AdamW(p, weight_decay=0.0))
    np.testing.assert_array_equal(ours, follow(backend, Adam))


def test_a_zero_gradient_moves_nothing(backend):
    for make in (SGD, RMSProp, Adam):
        x = follow(backend, make, gradients=[np.zeros(17)] * 3)
        np.testing.assert_array_equal(x, START)


def test_a_nan_is_not_hidden(backend):
    for make in OPTIMIZERS.values():
        x = follow(backend, make, gradients=[np.full(17, np.nan)])
        assert np.isnan(x).all()


def test_adam_over_more_than_one_block_of_memory(backend):
    """The plain NumPy version walks over blocks of 32,768; the last one is incomplete."""
    n = 70_001
    g = np.random.default_rng(0).standard_normal(n)
    p = Parameters({"x": (n,)}, backend.asarray(np.zeros(n)))
    Adam(p).update(p, p.like(backend.asarray(g)), 0.1)
    x = backend.to_numpy(p.flat)
    np.testing.assert_allclose(x, -0.1 * g / (abs(g) + 1e-8), rtol=1e-12)


# Clipping.


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("limit", [0.5, 1.0, 5.0, 10.0, 1e30])
def test_clipping_scales_to_the_limit_and_never_up(backend, dtype, limit):
    g = parameters(backend, np.array([3.0, 4.0] + [0.0] * 15), dtype)
    norm = clip_by_norm(g, limit)
    assert float(norm) == 5 and norm.dtype == dtype and g.flat.dtype == dtype
    scale = min(1.0, limit / 5)
    # One division and one product in the dtype.
    expected = np.array([3.0, 4.0] + [0.0] * 15) * scale
    np.testing.assert_allclose(backend.to_numpy(g.flat), expected, rtol=3 * np.finfo(dtype).eps)


def test_below_the_limit_not_a_bit_is_changed(backend):
    g = parameters(backend)
    clip_by_norm(g, float(np.linalg.norm(START)) + 1e-9)
    np.testing.assert_array_equal(backend.to_numpy(g.flat), START)


def test_without_a_limit_the_norm_is_measured_only(backend):
    g = parameters(backend)
    assert float(clip_by_norm(g, inf)) == pytest.approx(np.linalg.norm(START), rel=1e-14)
    np.testing.assert_array_equal(backend.to_numpy(g.flat), START)


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan")])
def test_a_limit_that_would_turn_the_gradient_around_is_refused(backend, limit):
    g = parameters(backend)
    with pytest.raises(ValueError, match="the limit must be above 0"):
        clip_by_norm(g, limit)
    np.testing.assert_array_equal(backend.to_numpy(g.flat), START)


def test_clipping_zero_is_zero_and_no_warning(backend):
    g = parameters(backend, np.zeros(17))
    assert float(clip_by_norm(g, 1.0)) == 0
    np.testing.assert_array_equal(backend.to_numpy(g.flat), 0)


def test_clipping_does_not_hide_a_nan(backend):
    g = parameters(backend, np.array([np.nan] + [1.0] * 16))
    assert np.isnan(float(clip_by_norm(g, 1.0)))
    assert np.isnan(backend.to_numpy(g.flat)).all()


def test_clipping_is_in_place_and_never_waits():
    g = parameters(STRICT, dtype=np.float32)
    flat = g.flat
    with count_syncs() as syncs, see_dtypes() as seen:
        clip_by_norm(g, 1.0)
    assert syncs == [] and g.flat is flat and set(seen) == {np.dtype(np.float32)}


def test_the_norm_of_float16_is_not_one(backend):
    """300^2 is above 65,504, the largest number of float16: the norm was infinite, the rest 0."""
    g = parameters(backend, np.full(17, 300.0), np.float16)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        norm = clip_by_norm(g, sqrt(17))
    assert norm.dtype == np.float32 and float(norm) == pytest.approx(300 * sqrt(17), rel=1e-6)
    np.testing.assert_allclose(backend.to_numpy(g.flat), 1, rtol=1e-3)  # float16
    assert g.flat.dtype == np.float16


@pytest.mark.parametrize("optimizer", [Adam, AdamW, RMSProp])
def test_moving_averages_of_squares_need_more_than_float16(backend, optimizer):
    """A step on gradients of 0.0001 made the parameters infinite."""
    with pytest.raises(TypeError, match=rf"^{optimizer.__name__}: expected .* got float16"):
        optimizer(parameters(backend, dtype=np.float16))
    SGD(parameters(backend, dtype=np.float16), momentum=0.9)


# Schedules.

STEPS = 50
SCHEDULES = {
    "constant": lambda rate, steps: constant(rate),
    "step_decay": lambda rate, steps: step_decay(rate, max(1, steps // 3)),
    "linear": linear,
    "cosine": cosine,
    "cosine to a floor": lambda rate, steps: cosine(rate, steps, 0.1 * rate),
    "one_cycle": one_cycle,
    "one_cycle, rising only": lambda rate, steps: one_cycle(rate, steps, rise=1.0),
    "one_cycle, falling only": lambda rate, steps: one_cycle(rate, steps, rise=0.0),
    "warm_up": lambda rate, steps: warm_up(constant(rate), steps),
    "warm_up, cosine": lambda rate, steps: warm_up(cosine(rate, steps), steps // 5),
}
ALL_SCHEDULES = pytest.mark.parametrize("make", SCHEDULES.values(), ids=SCHEDULES)


def rates(schedule, steps=STEPS):
    return np.array([schedule(step) for step in range(steps)])


@ALL_SCHEDULES
@given(rate=st.floats(1e-6, 10), steps=st.integers(1, 200), step=st.integers(0, 400))
def test_rates_are_finite_plain_numbers_between_zero_and_the_rate(make, rate, steps, step):
    """Also after the last step, for a run may be resumed for longer."""
    r = make(rate, steps)(step)
    assert type(r) is float  # a NumPy scalar would turn float32 into float64
    assert isfinite(r) and 0 <= r <= rate * (1 + 1e-12)


@ALL_SCHEDULES
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_shortest_runs(make, steps):
    assert all(isfinite(r) and r >= 0 for r in rates(make(0.1, steps), steps))
    assert max(rates(make(0.1, steps), steps)) > 0


@ALL_SCHEDULES
def test_every_schedule_is_proportional_to_its_rate(make):
    np.testing.assert_allclose(rates(make(0.3, STEPS)), 3 * rates(make(0.1, STEPS)), rtol=1e-12)


def test_constant_and_step_decay():
    assert set(rates(constant(0.1))) == {0.1}
    r = rates(step_decay(0.1, 10, factor=0.5), 30)
    np.testing.assert_allclose(r, np.repeat([0.1, 0.05, 0.025], 10), rtol=1e-14)


def test_linear_falls_by_the_same_amount_and_ends_one_step_after_the_last():
    r = rates(linear(0.1, STEPS))
    np.testing.assert_allclose(np.diff(r), -0.1 / STEPS, rtol=1e-10)  # differences of rounded 0.1s
    assert r[0] == 0.1 and linear(0.1, STEPS)(STEPS) == 0


def test_cosine_goes_from_the_rate_to_the_final_one_and_through_the_middle():
    r = rates(cosine(0.1, 51, final=0.02), 51)
    assert r[0] == 0.1
    np.testing.assert_allclose(r[[25, 50]], [0.06, 0.02], rtol=1e-13)
    assert (np.diff(r) < 0).all()
    # Loshchilov and Hutter 2017, equation 5, with i = 0.
    expected = [0.02 + 0.5 * (0.1 - 0.02) * (1 + cos(pi * t / 50)) for t in range(51)]
    np.testing.assert_allclose(r, expected, rtol=1e-13)


def test_cosine_stays_at_the_end():
    assert cosine(0.1, 10, 0.02)(1000) == pytest.approx(0.02, rel=1e-13)


def test_warm_up_rises_in_a_line_to_where_the_schedule_begins_and_hands_over():
    inner = cosine(0.1, 40)
    r = rates(warm_up(inner, 10))
    np.testing.assert_allclose(r[:10], 0.1 * np.arange(1, 11) / 10, rtol=1e-14)
    np.testing.assert_array_equal(r[10:], rates(inner, 40))


def test_warm_up_over_no_steps_is_the_schedule_itself():
    inner = cosine(0.1, 40)
    np.testing.assert_array_equal(rates(warm_up(inner, 0)), rates(inner))


@pytest.mark.parametrize(("steps", "rise"), [(50, 0.3), (100, 0.1), (40, 0.5), (10, 0.2)])
def test_one_cycle_is_its_definition(steps, rise):
    """Two half cosines that meet at the rate, after the share `rise` of the steps."""
    top = int(rise * steps) - 1
    up = [0.1 / 25 + (0.1 - 0.1 / 25) * (1 - cos(pi * t / top)) / 2 for t in range(top + 1)]
    left = steps - 1 - top
    down = [0.1 + (4e-7 - 0.1) * (1 - cos(pi * t / left)) / 2 for t in range(1, left + 1)]
    # The end is a difference of numbers of size 0.1, rounded to 1e-17.
    np.testing.assert_allclose(
        rates(one_cycle(0.1, steps, rise), steps), up + down, rtol=1e-12, atol=1e-16
    )


@given(steps=st.integers(4, 300), rise=st.floats(0.1, 0.9))
def test_one_cycle_rises_to_the_rate_once_and_falls(steps, rise):
    r = rates(one_cycle(0.1, steps, rise), steps)
    top = int(r.argmax())
    assert r[top] == pytest.approx(0.1, rel=1e-14)
    assert (np.diff(r[: top + 1]) > 0).all() and (np.diff(r[top:]) < 0).all()
    assert r[0] == pytest.approx(0.1 / 25, rel=1e-13)
    if top < steps - 1:
        assert r[-1] == pytest.approx(4e-7, rel=1e-9)
    assert abs(top - rise * steps) <= 2


# A moving average of the parameters.


def averaging(backend, make=SGD, decay=0.99, dtype=np.float64, steps=None):
    """The average after steps on the gradients, and on the host what was there after each."""
    p = parameters(backend, dtype=dtype)
    optimizer, moving = make(p), MovingAverage(p, decay)
    passed, averages = [backend.to_numpy(p.flat).copy()], []
    for g in GRADIENTS[:steps]:
        optimizer.update(p, parameters(backend, g, dtype), 0.1)
        moving.update(p, optimizer.steps)
        passed.append(backend.to_numpy(p.flat).copy())
        averages.append(backend.to_numpy(moving.average.flat).copy())
    return moving, passed, averages


def test_at_first_the_average_weighs_the_steps_by_a_power_of_their_time(backend):
    """Steps that keep k / (k + 9) of it: the s-th of t has the weight C(s+8, 8) / C(t+9, 9)."""
    _, passed, averages = averaging(backend)
    for t, average in enumerate(averages, start=1):
        weights = np.array([comb(s + 8, 8) for s in range(t + 1)]) / comb(t + 9, 9)
        assert weights.sum() == pytest.approx(1, rel=1e-14)
        # Rounding of a dozen steps.
        np.testing.assert_allclose(average, weights @ passed[: t + 1], rtol=1e-12, atol=1e-13)


def test_later_a_step_leaves_so_much_of_the_average(backend):
    _, passed, averages = averaging(backend, decay=0.3)
    for t in range(4, 12):  # 4 / 13 is above 0.3
        expected = 0.3 * averages[t - 1] + 0.7 * passed[t + 1]
        np.testing.assert_allclose(averages[t], expected, rtol=1e-12, atol=1e-14)


def test_without_a_memory_the_average_is_the_last_step(backend):
    _, passed, averages = averaging(backend, decay=0.0)
    np.testing.assert_allclose(averages, passed[1:], rtol=1e-15, atol=1e-15)  # a + (x - a)


def test_the_average_has_memory_of_its_own():
    p = parameters(tg.get_backend("numpy"))
    moving = MovingAverage(p, 0.9)
    flat, before = moving.average.flat, p.flat.copy()
    np.testing.assert_array_equal(flat, p.flat)  # it begins where they do
    assert not np.shares_memory(flat, p.flat)
    p.flat[...] += 1
    np.testing.assert_array_equal(flat, before)
    for count in (1, 2, 3):
        moving.update(p, count)
    assert moving.average.flat is flat and moving.average.shapes == p.shapes
    np.testing.assert_array_equal(p.flat, before + 1)


def test_a_graph_on_an_average_that_has_moved_is_stale():
    p = parameters(tg.get_backend("numpy"))
    moving = MovingAverage(p, 0.9)
    leaf = tg.leaves(moving.average)["W"]
    loss = (leaf * leaf).sum()
    moving.update(p, 1)
    with pytest.raises(RuntimeError):
        tg.grad(loss, leaf)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_average_never_waits_and_keeps_the_dtype(dtype):
    p = parameters(STRICT, dtype=dtype)
    moving = MovingAverage(p, 0.99)
    with count_syncs() as syncs, see_dtypes() as seen:
        for count in (1, 2, 3):
            moving.update(p, count)
    assert syncs == [] and set(seen) <= {np.dtype(dtype)}
    assert moving.average.flat.dtype == dtype


def test_a_restored_average_goes_on_to_the_same_end_bit_for_bit(backend):
    """All that a checkpoint keeps is the average and the number of steps."""
    _, passed, averages = averaging(backend, Adam)
    q = parameters(backend, passed[5])
    other = MovingAverage(q, 0.99)
    other.average.flat[...] = backend.asarray(averages[4])
    for count, x in enumerate(passed[6:], start=6):
        other.update(parameters(backend, x), count)
    np.testing.assert_array_equal(backend.to_numpy(other.average.flat), averages[-1])


# PyTorch, where it is installed; it is no dependency.


@pytest.fixture
def torch():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # whatever PyTorch has to say at import is not our affair
        return pytest.importorskip("torch")


@pytest.mark.parametrize(("steps", "rise"), [(100, 0.3), (50, 0.5), (20, 0.25)])
def test_one_cycle_agrees_with_pytorch_where_the_top_falls_on_a_step(torch, steps, rise):
    w = torch.nn.Parameter(torch.zeros(1))
    inner = torch.optim.SGD([w], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(inner, 0.1, total_steps=steps, pct_start=rise)
    expected = []
    for _ in range(steps):
        expected.append(inner.param_groups[0]["lr"])
        inner.step()
        if len(expected) < steps:
            theirs.step()
    np.testing.assert_allclose(
        rates(one_cycle(0.1, steps, rise), steps), expected, rtol=1e-10, atol=1e-16
    )


@EVERY
def test_pytorch_comes_to_the_same_place(torch, make, textbook, options):
    w = torch.nn.Parameter(torch.tensor(START))
    k = dict(options)
    if "beta1" in k:
        k["betas"] = (k.pop("beta1"), k.pop("beta2"))
    theirs = {
        SGD: lambda: torch.optim.SGD([w], 0.1, **k),
        RMSProp: lambda: torch.optim.RMSprop([w], 0.1, alpha=k["decay"], eps=k["epsilon"]),
        Adam: lambda: torch.optim.Adam([w], 0.1, betas=k["betas"], eps=k["epsilon"]),
        AdamW: lambda: torch.optim.AdamW(
            [w], 0.1, betas=k["betas"], eps=k["epsilon"], weight_decay=k["weight_decay"]
        ),
    }[make]()
    for g in GRADIENTS:
        w.grad = torch.tensor(g)
        theirs.step()
    ours = follow(tg.get_backend("numpy"), lambda p: make(p, **options), 0.1)
    # Twelve steps in float64; the formulas are grouped in another way.
    np.testing.assert_allclose(ours, w.detach().numpy(), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("others", [{"W": np.ones(3)}, [np.ones(3)], tg.Tensor([1.0])])
def test_what_is_no_parameters_is_named(others):
    got = f"expected a Parameters, .*, got a {type(others).__name__}"
    p = Parameters({"W": (3,)}, np.ones(3))
    with pytest.raises(TypeError, match="Adam: " + got):
        Adam(others)
    with pytest.raises(TypeError, match="SGD: " + got):
        SGD(p).update(others, p, 0.1)
    with pytest.raises(TypeError, match="clip_by_norm: " + got):
        clip_by_norm(others, 1.0)
