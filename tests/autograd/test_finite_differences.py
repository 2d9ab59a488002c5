"""The gradient checker, on wrong gradients and on right ones that are hard to measure."""

from __future__ import annotations

import re

import numpy as np
import pytest
from strict import STRICT

import tinygen as tg
from tinygen import OPS, GradientError, Parameters, Tensor, check_gradients, op
from tinygen.autograd.operators import raw

random = np.random.default_rng(11)


@pytest.fixture(autouse=True)
def own_ops():
    """Ops that a test makes are gone after it."""
    before = dict(OPS)
    yield
    OPS.clear()
    OPS.update(before)


def planted(forward, **partials):
    forward.__name__ = "planted"
    OPS.pop("planted", None)
    return op(**partials)(forward)


def sine(x):
    return np.sin(x)


def wrong_somewhere(g, x):
    """The derivative of the sine, but for the last element."""
    dx = np.array(g * np.cos(x))
    dx[-1] *= 0.999
    return dx


WRONG_SINES = {
    "factor": lambda g, y, x: 1.001 * g * np.cos(x),
    "sign": lambda g, y, x: -g * np.cos(x),
    "small": lambda g, y, x: g * np.cos(x) * (1 + 1e-6),
    "additional term": lambda g, y, x: g * np.cos(x) + 1e-4,
    "one element": lambda g, y, x: wrong_somewhere(g, x),
    "without g": lambda g, y, x: np.cos(x),
    "zero": lambda g, y, x: 0 * g,
    "nan": lambda g, y, x: g * np.nan,
    "infinite": lambda g, y, x: g * np.inf,
    "reversed": lambda g, y, x: (g * np.cos(x))[::-1],
}


@pytest.mark.parametrize("elementwise", [False, True])
@pytest.mark.parametrize("name", WRONG_SINES)
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("seed", [0, 1])
def test_wrong_gradients_are_caught(name, elementwise, scale, seed):
    """Whatever the size of the function's values and at every seed."""
    if name == "additional term" and scale == 1e6:
        pytest.skip("1e-4 beside 1e6 is below the tolerance")
    f = planted(sine, dx=WRONG_SINES[name])
    x = np.linspace(0.3, 1.4, 7)
    with pytest.raises(GradientError):
        check_gradients(lambda x: f(x) * scale, x, elementwise=elementwise, seed=seed)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_right_sine_passes_at_every_size_and_seed(scale):
    f = planted(sine, dx=lambda g, y, x: g * tg.cos(x))
    for seed in range(30):
        report = check_gradients(
            lambda x: f(x) * scale, np.linspace(0.3, 1.4, 7), order=2, elementwise=True, seed=seed
        )
        assert report.checks == 2 * (3 + 7) and not report.kinks and report.worst < 1e-7


def test_a_missing_term():
    f = planted(lambda x, z: x * z + z, dx=lambda g, y, x, z: g * z, dz=lambda g, y, x, z: g * x)
    with pytest.raises(GradientError, match=r"^input 1, index \(0,\): expected .*,\s+got\s"):
        check_gradients(f, [np.ones(2), np.ones(2)])


def test_the_message_names_input_index_and_both_numbers():
    f = planted(lambda x: 3 * x, dx=lambda g, y, x: g * np.array([[3.0, 3.0], [3.0, 2.0]]))
    with pytest.raises(GradientError) as caught:
        check_gradients(
            lambda p: f(p["W"]).sum() * 0 + f(p["W"]), {"b": np.ones(1), "W": np.ones((2, 2))}
        )
    message = " ".join(str(caught.value).split())
    assert message.startswith("input W, index (1, 1): expected ")
    assert "both are derivatives of sum(c * f)" in message
    expected, came = (float(s) for s in re.findall(r"(?:expected|got) (\S+\d)", message))
    assert abs(came / expected - 2 / 3) < 1e-6  # central differences are that good


@pytest.mark.parametrize("by_hand", [True, False])
def test_the_numbers_of_a_single_number_are_its_own_derivatives(by_hand):
    """d(x^2) / dx is 6 at 3, and the mistake says 12."""
    if by_hand:

        def f(p):
            return float(p["x"][0] ** 2), {"x": 4 * p["x"]}
    else:
        double = planted(lambda x: x * x, dx=lambda g, y, x: g * 4 * x)

        def f(p):
            return double(p["x"]).sum()

    with pytest.raises(GradientError) as caught:
        check_gradients(f, {"x": np.array([3.0])})
    message = " ".join(str(caught.value).split())
    expected, got = (float(s) for s in re.findall(r"(?:expected|got) (\S+\d)", message))
    assert abs(expected - 6) < 1e-6 and got == pytest.approx(12, rel=1e-9)
    assert "sum(c * f)" not in message


def test_a_mistake_that_a_cotangent_of_ones_cannot_see():
    """Rows of a softmax sum to one: with g = 1 any gradient of zeros seems right."""
    f = planted(lambda x: tg.softmax(x), dx=lambda g, y, x: 0 * g)
    x = random.standard_normal((2, 4))
    with pytest.raises(GradientError):
        check_gradients(f, x)
    transposed = planted(
        lambda x: tg.softmax(x), dx=lambda g, y, x: y * g - y * y * g.sum(axis=-1, keepdims=True)
    )
    with pytest.raises(GradientError):
        check_gradients(transposed, x)


def test_a_wrong_second_derivative_only():
    """The derivative of tanh is right, but 1 - y^2 taken for a constant."""
    f = planted(lambda x: np.tanh(x), dx=lambda g, y, x: g * (1 - raw(y) * raw(y)))
    x = random.standard_normal(3)
    check_gradients(f, x, elementwise=True)
    with pytest.raises(GradientError, match="second order, input 0"):
        check_gradients(f, x, order=2)


def test_a_gradient_that_forgets_how_it_depends_on_g():
    """Right on its own, also twice; wrong inside of a network, where g depends on the inputs."""
    f = planted(lambda x: np.sin(x), dx=lambda g, y, x: raw(g) * tg.cos(x))
    x = random.standard_normal(3)
    check_gradients(f, x)
    with pytest.raises(GradientError, match="second order"):
        check_gradients(f, x, order=2)


def test_a_second_derivative_that_is_missing_altogether():
    def unrecorded(g, y, x):
        dx = raw(g) * np.cos(raw(x))
        return Tensor(dx) if type(g) is Tensor else dx

    f = planted(lambda x: np.sin(x), dx=unrecorded)
    with pytest.raises(GradientError, match="second order"):
        check_gradients(f, random.standard_normal(3), order=2)


def test_a_partial_of_a_wrong_shape_or_dtype():
    f = planted(lambda x: 2 * x, dx=lambda g, y, x: (2 * g).T)
    with pytest.raises(ValueError, match=r"planted: the partial dx has shape \(3, 2\)"):
        check_gradients(f, np.ones((2, 3)))
    f = planted(lambda x: 2 * x, dx=lambda g, y, x: 2 * g[0])
    with pytest.raises(ValueError, match="planted: the partial dx has shape"):
        check_gradients(f, np.ones((2, 3)))
    # The engine gives every gradient the dtype of its tensor; a gradient computed in float16 is
    # wrong by more than the tolerance.
    f = planted(lambda x: 2.001 * x, dx=lambda g, y, x: (2.001 * g).astype(np.float16))
    with pytest.raises(GradientError):
        check_gradients(f, np.ones(3))


def test_a_wrong_gradient_in_a_large_input_is_found_by_directions_alone():
    """One of 10,000 elements; nobody compares each, until a direction has shown that one is off."""

    def partial(g, y, x):
        dx = 2 * g * x
        dx[77, 3] += 1e-3
        return dx

    f = planted(lambda x: x * x, dx=partial)
    with pytest.raises(GradientError, match=r"index \(77, 3\)"):
        check_gradients(f, random.standard_normal((100, 100)))


# Corners.

CORNERS = {
    "relu": (tg.relu, [0.0, 1.0, -1.0], [0]),
    "leaky_relu": (tg.leaky_relu, [0.0, 1.0], [0]),
    "nearly": (tg.relu, [1.0, 1e-12], [1]),
    "all": (lambda x: tg.relu(x).sum(), [0.0, 0.0], [0, 1]),
    # Half of the way between both slopes is what central differences find as well.
    "absolute": (tg.absolute, [0.0, 1.0], []),
    "max": (tg.max, [2.0, 2.0, 1.0], []),
    "maximum": (lambda x: tg.maximum(x, 0.5), [0.5, 1.0], []),
}


@pytest.mark.parametrize("name", CORNERS)
def test_corners_are_reported_and_are_no_failure(name):
    f, x, corners = CORNERS[name]
    report = check_gradients(f, np.array(x))
    assert [k.partition(":")[0] for k in report.kinks] == [
        f"input 0, index ({i},)" for i in corners
    ]


def test_near_a_corner_but_not_at_it():
    """A step that crosses the corner is replaced by a smaller one."""
    report = check_gradients(tg.relu, np.array([1e-6, -1e-6, 1e-5, 1.0]), elementwise=True)
    assert not report.kinks
    f = planted(lambda x: np.maximum(x, 0), dx=lambda g, y, x: 0.999 * g * (x > 0))
    with pytest.raises(GradientError, match=r"index \(0,\)"):
        check_gradients(f, np.array([1e-5, 1.0]))


@pytest.mark.parametrize("elementwise", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_a_corner_excuses_nothing_elsewhere(elementwise, seed):
    f = planted(lambda x: np.maximum(x, 0), dx=lambda g, y, x: g * (x > 0) * (1 + 0.1 * (x > 1)))
    with pytest.raises(GradientError, match=r"index \(2,\)"):
        check_gradients(f, np.array([0.0, 0.5, 2.0, 0.0]), elementwise=elementwise, seed=seed)


def test_a_gradient_outside_of_both_slopes_of_a_corner():
    f = planted(lambda x: np.maximum(x, 0), dx=lambda g, y, x: g * np.where(x == 0, 1.5, x > 0))
    with pytest.raises(GradientError, match=r"index \(0,\)"):
        check_gradients(f, np.array([0.0, 0.5]))


def test_a_curve_is_no_corner():
    f = planted(lambda x: x * x * 1e3, dx=lambda g, y, x: g * 2e3 * x * (1 + 1e-6))
    with pytest.raises(GradientError):
        check_gradients(f, np.array([0.1, 0.3]))


# Right gradients that are hard to measure: false alarms would be as bad as misses.

HARD = {
    "constant": (lambda x: Tensor(np.ones(3)), np.ones(3)),
    "constant array": (lambda x: np.ones(3), np.ones(3)),
    "linear": (lambda x: 3.0 * x, np.ones(3)),
    "unused second input": (lambda x, z: x * x, [np.ones(3), np.ones(2)]),
    "empty": (lambda x: x * x, np.zeros((0, 3))),
    "empty sum": (lambda x, z: x.sum() * z, [np.zeros(0), np.ones(2)]),
    "number": (lambda x: tg.sin(x), np.array(0.7)),
    "zeros": (tg.exp, np.zeros(4)),
    "tiny inputs": (tg.log, np.array([1e-9, 3e-9])),
    "tiny and large inputs": (tg.log, np.array([1e-3, 1e6])),
    "large inputs": (tg.square, np.array([1e6, -3e6])),
    "tiny values": (lambda x: 1e-12 * tg.sin(x), np.array([0.3, 1.0])),
    "large values": (lambda x: 1e12 * tg.sin(x), np.array([0.3, 1.0])),
    "on a large offset": (lambda x: 1e6 + tg.sin(x), np.array([0.3, 1.0])),
    "sharply bent": (lambda x: tg.sin(1e3 * x), np.array([0.3, 1.0])),
    "a fast sine of large numbers": (tg.sin, np.array([1e4, 2e4])),
    "flat": (tg.tanh, np.array([20.0, -20.0, 0.1])),
    "saturated": (tg.sigmoid, np.array([40.0, -40.0])),
    "stationary": (tg.cos, np.array([0.0, 0.0])),
    "cancelling": (
        lambda x: (x - x.mean()) / tg.sqrt(tg.variance(x) + 1e-5),
        np.array([5.0, 5.001, 5.002]),
    ),
    "many terms": (lambda x: tg.logsumexp(x * x), random.standard_normal(2000)),
    "a list of results": (lambda x, z: [x * z, tg.sin(z), x.sum()], [np.ones(3), np.ones(3)]),
    "pole nearby": (lambda x: 1 / x, np.array([1e-5, 1.0])),
    "broadcast": (lambda x, z: x * z, [np.ones((3, 1)), np.ones(4)]),
}


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("order", [1, 2])
def test_no_false_alarms(name, order):
    f, inputs = HARD[name]
    for seed in range(4):
        small = name != "many terms"
        report = check_gradients(f, inputs, order=order, elementwise=small, seed=seed)
        assert not report.kinks


@pytest.mark.parametrize("name", HARD)
def test_no_false_passes(name):
    """The same functions with a gradient that is off by one in ten thousand."""
    if name in ("constant", "constant array", "empty", "empty sum", "stationary"):
        pytest.skip("zero times anything is zero")
    f, inputs = HARD[name]
    # Beside 1e6, rounding leaves four digits of a difference of 1e-5.
    factor = 1.01 if name == "on a large offset" else 1.0001
    off = planted(lambda x: x * 1, dx=lambda g, y, x: g * factor)

    def wrong(*xs):
        y = f(*xs)
        return [off(part) for part in y] if isinstance(y, list) else off(y)

    if name == "saturated":  # its slopes, 4e-18, are less than what rounding leaves of any step
        check_gradients(wrong, inputs)
        return
    with pytest.raises(GradientError):
        check_gradients(wrong, inputs)


def test_parameters_and_other_backends():
    p = Parameters({"W": (2, 3), "b": (3,)}, random.standard_normal(9))
    report = check_gradients(
        lambda p: tg.tanh(p["W"]).sum(axis=0) * p["b"], p, order=2, elementwise=True
    )
    assert report.checks == 2 * (2 * 3 + 9)
    q = p.to(STRICT)
    check_gradients(lambda p: tg.tanh(p["W"]).sum(axis=0) * p["b"], q, order=2, elementwise=True)
    check_gradients(tg.relu, STRICT.asarray(np.array([0.0, 1.0])), elementwise=True)
    f = planted(lambda x: 3 * x, dx=lambda g, y, x: 2 * g)
    with pytest.raises(GradientError, match="input b, index"):
        check_gradients(lambda p: p["W"].sum() + f(p["b"]), q)


def test_float32_inputs_are_checked_in_float64_and_left_alone():
    x = np.ones(3, np.float32)
    assert check_gradients(tg.exp, x, elementwise=True).worst < 1e-8
    assert x.tolist() == [1, 1, 1]


def test_the_number_of_checks():
    x = np.ones((2, 3))
    assert check_gradients(tg.exp, x).checks == 3
    assert check_gradients(tg.exp, x, directions=1).checks == 1
    assert check_gradients(tg.exp, [x, x][:1], elementwise=True).checks == 9
    assert check_gradients(tg.add, [x, x], order=2).checks == 12


def test_a_wrong_zero_beside_a_large_number():
    """A step so small that nothing changes would find a slope of zero as well."""
    f = planted(lambda x: 1e3 + 1e-3 * np.sin(x), dx=lambda g, y, x: 0 * g)
    with pytest.raises(GradientError):
        check_gradients(f, np.array([0.3, 1.0]), elementwise=True)


def test_a_function_that_has_partial_derivatives_but_no_gradient():
    """Along both axes it is zero, along no other direction: each element agrees, no sum does."""

    def f(x):
        return x[0] ** 2 * x[1] / (x[0] ** 2 + x[1] ** 2 + 1e-300)

    with pytest.raises(GradientError, match=r"along a random\s+direction"):
        check_gradients(planted(f, dx=lambda g, y, x: 0 * x), np.zeros(2))


def test_an_infinite_gradient_of_a_single_number():
    f = planted(sine, dx=lambda g, y, x: np.inf + 0 * g)
    with pytest.raises(GradientError, match="got inf"):
        check_gradients(f, np.array(0.5))


def test_the_cotangent_is_not_what_the_inputs_were_drawn_from():
    """With g = x, a derivative that takes one for the other seems right."""
    x = np.random.default_rng(0).standard_normal((4, 5))
    swapped = planted(lambda x: x * x * x, dx=lambda x, y, g: 3 * x * x * g)
    with pytest.raises(GradientError):
        check_gradients(swapped, x)


@pytest.mark.parametrize("xp", [np, STRICT.xp])
def test_a_function_that_writes_into_its_input(xp):
    def doubled(x):
        x *= 2
        return x

    f = planted(doubled, dx=lambda g, y, x: 77 * g)
    with pytest.raises(ValueError, match="the function writes into its input 1"):
        check_gradients(lambda x, z: x * f(z), [xp.ones(2), xp.ones(2)])


def test_inputs_may_be_tensors_and_what_is_no_function_is_named():
    assert check_gradients(tg.exp, Tensor([1.0, 2.0], requires_grad=True)).worst < 1e-8
    with pytest.raises(TypeError, match="check_gradients: expected a function, got a ndarray"):
        check_gradients(np.ones(2), tg.exp)


def test_a_partial_that_writes_into_the_gradient():
    """Alone it is right; where another op gets the same gradient, that one is wrong."""

    def written(g, y, x):
        g *= 2 * x
        return g

    with pytest.raises(ValueError, match=r"a partial of planted, or .*, writes into g"):
        check_gradients(planted(lambda x: x * x, dx=written), np.array([1.5, 2.0]))


@pytest.mark.parametrize("order", [0, 3, 1.5])
def test_an_order_that_is_not_checked_is_refused(order):
    with pytest.raises(ValueError, match=f"expected the order 1 or 2, got {order}"):
        check_gradients(lambda x: x * x, np.ones(2), order=order)


def test_a_trained_network_whose_derivatives_are_small_and_curve():
    """A step within which the loss is straight drowns in rounding; two steps tell the curvature."""
    net = tg.Sequential(tg.Dense(2, 16), tg.tanh, tg.Dense(16, 2))
    p, x = net.initialise(seed=0), np.random.default_rng(0).standard_normal((256, 2))
    inside = (np.linalg.norm(x, axis=1) < 1).astype(int)

    def loss(p):
        return tg.cross_entropy(net(p, x), inside)

    adam = tg.Adam(p)
    for _ in range(300):
        adam.update(p, tg.value_and_grad(loss)(p)[1], rate=0.03)
    for seed in range(6):
        check_gradients(loss, p, seed=seed)
