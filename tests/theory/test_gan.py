"""What theory says of a GAN that was trained to its end: densities, divergences, distances.

All of it is about one or two dimensions, where integrals are sums over a fine grid. A gradient
check cannot see that a loss is another one than it should be; these tests can.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygen as tg
from tinygen.models import GAN
from tinygen.optim import Adam, cosine

X = np.linspace(-12, 12, 6001)
STEP = X[1] - X[0]


def normal(mean: Any, std: Any, x: Any = X) -> Any:
    """The density of a normal at `x`."""
    return np.exp(-(((x - mean) / std) ** 2) / 2) / (std * np.sqrt(2 * np.pi))


P = 0.6 * normal(-1.5, 0.7) + 0.4 * normal(1.5, 0.5)
Q = normal(0.5, 1.3)


def integral(values: Any) -> float:
    return float(values.sum() * STEP)


def kl(p: Any, q: Any) -> float:
    """KL(p || q) in nats; where p is 0 to 300 digits it adds nothing."""
    there = p > 1e-300
    return integral(p[there] * np.log(p[there] / q[there]))


def jensen_shannon(p: Any, q: Any) -> float:
    return 0.5 * kl(p, (p + q) / 2) + 0.5 * kl(q, (p + q) / 2)


def quantiles(p: Any, n: int) -> Any:
    """n points with the same probability between any two of them: (n, 1)."""
    below = np.cumsum(p) * STEP
    return np.interp((np.arange(n) + 0.5) / n, below / below[-1], X)[:, None]


def gan(**changes: Any) -> GAN:
    """Smooth and small; its generator is z W + b."""
    usual: dict[str, Any] = {
        "pixels": 1, "latent": 1, "generator_hidden": (), "generator_norm": "none",
        "output": "none", "discriminator_hidden": (16, 16), "discriminator_activation": "elu",
    }  # fmt: skip
    return GAN(**(usual | changes))


def trained(model: GAN, draw: Any, steps: int = 1000, rate: float = 0.02) -> tuple[Any, float]:
    """The discriminator's parameters at the end of a training, and its loss there.

    Args:
        draw: what `discriminator_loss` takes after the parameters, from the number of a step.
    """
    d = model.initialise(0, np.float64).part("discriminator.")
    loss, adam, schedule = tg.value_and_grad(model.discriminator_loss), Adam(d), cosine(rate, steps)
    for step in range(steps):
        _, g = loss(d, *draw(step))
        adam.update(d, g, schedule(step))
    return d, model.discriminator_loss(d, *draw(steps)).item()


def trained_between(model: GAN, p: Any, q: Any, steps: int = 1000) -> tuple[Any, float]:
    points = quantiles(p, 256), quantiles(q, 256)
    return trained(model, lambda step: points, steps)


def sigmoid(a: Any) -> Any:
    return 1 / (1 + np.exp(-a))


def agree(found: Any, expected: Any, p: Any, q: Any, times: float = 1) -> None:
    """D is what it should be: on average, and wherever a point of 256 is likely to fall.

    Args:
        times: how much worse it may be; the squared error learns a sigmoid's flat ends slowly.
    """
    error = abs(found - expected)
    assert integral(error * (p + q) / 2) < 0.006 * times  # measured: 0.001 to 0.003
    assert error[p + q > 0.04].max() < 0.04 * times  # measured: 0.01 to 0.02


# The optimal discriminator.


# These losses of D are one function: test_both_losses_of_a_linear_discriminator.
@pytest.mark.parametrize(("loss", "smoothing"), [("minimax", 0.0), ("non-saturating", 0.2)])
def test_the_discriminator_becomes_the_ratio_of_densities(loss: str, smoothing: float) -> None:
    model = gan(loss=loss, smoothing=smoothing)
    d, value = trained_between(model, P, Q)
    best = (1 - smoothing) * P / (P + Q)
    agree(sigmoid(model.logits(d, X[:, None])[:, 0]), best, P, Q)
    real, fake = (1 - smoothing) * P, Q + smoothing * P  # what the labels 1 and 0 stand on
    expected = -integral(real * np.log(best) + fake * np.log1p(-best))
    assert value == pytest.approx(expected, abs=2e-3)
    if not smoothing:
        js = jensen_shannon(P, Q)
        assert value == pytest.approx(2 * np.log(2) - 2 * js, abs=2e-3)
        assert js > 0.1  # or the test would not tell it from nothing


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_least_squares_has_the_same_optimum(smoothing: float) -> None:
    model = gan(loss="least-squares", smoothing=smoothing)
    d, value = trained_between(model, P, Q)
    best = (1 - smoothing) * P / (P + Q)
    agree(model.logits(d, X[:, None])[:, 0], best, P, Q, times=3)
    expected = 0.5 * (1 - smoothing) ** 2 * integral(P * Q / (P + Q))
    rest = 0.5 * integral(P * (best - (1 - smoothing)) ** 2 + Q * best**2)
    assert expected == pytest.approx(rest, abs=1e-9)
    assert value == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize(
    ("loss", "at_the_end"),
    [("minimax", 2 * np.log(2)), ("r1", 2 * np.log(2)), ("least-squares", 1 / 4)],
)
def test_when_the_generator_has_won_the_discriminator_says_one_half(
    loss: str, at_the_end: float
) -> None:
    model = gan(loss=loss)
    d, value = trained_between(model, P, P, 500)
    a = model.logits(d, X[:, None])[:, 0]
    agree(a if loss == "least-squares" else sigmoid(a), 0.5, P, P, times=3)
    assert value == pytest.approx(at_the_end, abs=5e-4)


def test_each_class_has_its_own_ratio() -> None:
    model = gan(classes=2)
    real = np.concatenate([quantiles(P, 256), quantiles(Q, 256)])
    fake = np.concatenate([quantiles(Q, 256), quantiles(Q, 256)])
    labels = np.eye(2).repeat(256, axis=0)
    d, _ = trained(model, lambda step: (real, fake, labels))
    for k, p in enumerate((P, Q)):
        told = np.eye(2)[[k] * len(X)]
        D = sigmoid(model.logits(d, X[:, None], told)[:, 0])
        agree(D, p / (p + Q), p, Q)


def test_a_pair_of_images_has_the_ratio_of_the_densities_of_pairs() -> None:
    """PacGAN with pack 2: the same samples are told apart better, two at a time."""
    model = gan(pack=2, discriminator_hidden=(24, 24), discriminator_activation="tanh")

    rng = np.random.default_rng(0)

    def draw(step: int) -> tuple[Any, Any]:
        return rng.permutation(real), rng.permutation(fake)  # two rows are a pair

    real, fake = quantiles(P, 1024), quantiles(Q, 1024)
    d, _ = trained(model, draw, rate=0.01)
    value = np.mean([model.discriminator_loss(d, *draw(0)) for _ in range(50)])
    p, q = np.outer(P[::20], P[::20]), np.outer(Q[::20], Q[::20])
    area = (20 * STEP) ** 2
    both = np.stack(np.meshgrid(X[::20], X[::20], indexing="ij"), axis=-1).reshape(-1, 1)
    D = sigmoid(model.logits(d, both)).reshape(p.shape)
    assert (abs(D - p / (p + q)) * (p + q)).sum() * area / 2 < 0.02  # measured: 0.013
    m = (p + q) / 2
    js = (p * np.log(p / m) + q * np.log(q / m)).sum() * area / 2
    assert value == pytest.approx(2 * np.log(2) - 2 * js, abs=0.01)
    assert js > 1.5 * jensen_shannon(P, Q)


# What it tells the generator.


def moved(b: float) -> Any:
    """The density of the generator z + b, z being standard normal."""
    return normal(b, 1.0)


@pytest.mark.parametrize(
    ("loss", "divergence"),
    [
        # Goodfellow et al. (2014), theorem 1.
        ("minimax", lambda p, q: 2 * jensen_shannon(p, q)),
        # Arjovsky and Bottou (2017), theorem 2.5.
        ("non-saturating", lambda p, q: kl(q, p) - 2 * jensen_shannon(p, q)),
    ],
    ids=["minimax", "non-saturating"],
)
def test_an_optimal_discriminator_gives_the_gradient_of_a_divergence(
    loss: str, divergence: Any
) -> None:
    # The data reach wherever the samples do, so that D learns the ratio there, too.
    p, b, e = 0.5 * normal(-1.5, 1.2) + 0.5 * normal(1, 1.5), 2.0, 1e-4
    model = gan(loss=loss)
    d, _ = trained_between(model, p, moved(b))
    whole = model.initialise(0, np.float64)
    g = whole.part("generator.")
    g["W1"][...], g["b1"][...] = 1, b
    z = quantiles(moved(0), 512)
    _, gradients = tg.value_and_grad(model.generator_loss)(g, d, z)
    expected = (divergence(p, moved(b + e)) - divergence(p, moved(b - e))) / (2 * e)
    assert abs(expected) > 0.2
    assert gradients["b1"][0] == pytest.approx(expected, rel=0.02)  # measured: 0.004


def generator_derivative(loss: str, a: float) -> float:
    """dL/da of the generator's loss, where both players hand on what they get: a = z + b."""
    model = gan(loss=loss, discriminator_hidden=())
    p = model.initialise(0, np.float64)
    p["generator.W1"][...] = p["discriminator.W1"][...] = 1
    loss_and_grads = tg.value_and_grad(model.generator_loss)
    _, g = loss_and_grads(p.part("generator."), p.part("discriminator."), np.array([[a]]))
    return float(g["b1"][0])


DERIVATIVES = {
    "minimax": lambda a: -sigmoid(a),
    "non-saturating": lambda a: -sigmoid(-a),
    "r1": lambda a: -sigmoid(-a),
    "least-squares": lambda a: a - 1,
    "wasserstein-gp": lambda a: -1.0,
}


@pytest.mark.parametrize("loss", DERIVATIVES)
@pytest.mark.parametrize("a", [-30.0, -5.0, -0.3, 0.0, 1.0, 8.0, 30.0])
def test_the_derivative_of_the_generators_loss(loss: str, a: float) -> None:
    assert generator_derivative(loss, a) == pytest.approx(DERIVATIVES[loss](a), rel=1e-12)


def test_a_discriminator_that_is_sure_silences_one_loss_and_no_other() -> None:
    """With warnings as errors, so nothing overflows either."""
    sure, unsure = (
        {loss: generator_derivative(loss, a) for loss in DERIVATIVES} for a in (-1000.0, 0.0)
    )
    assert unsure["minimax"] == unsure["non-saturating"] == -0.5
    assert sure["minimax"] == 0
    assert sure["non-saturating"] == sure["r1"] == sure["wasserstein-gp"] == -1
    assert sure["least-squares"] == -1001
    # And when it takes a fake for real, least squares pushes the other way.
    assert (
        generator_derivative("non-saturating", 1000.0)
        == 0
        < generator_derivative("least-squares", 3.0)
    )


# The critic.

N = 512


def estimate(shift: Any, penalty: float) -> float:
    """The distance that a trained critic sees between N(0, I) and N(shift, I)."""
    shift = np.asarray(shift)
    c = len(shift)
    model = gan(
        pixels=c, loss="wasserstein-gp", penalty=penalty, discriminator_activation="softplus"
    )
    rng = np.random.default_rng(1)

    def draw(step: int) -> tuple[Any, ...]:
        # Fakes and their mirror images, and reals that are fakes in another order, moved: so the
        # mean of every step is exact.
        half = rng.standard_normal((N // 2, c))
        fake = np.concatenate([half, -half])
        real = rng.permutation(fake) + shift
        return real, fake, None, rng.random((N, 1))

    d, _ = trained(model, draw, 600, 0.01)
    means = []
    for _ in range(20):
        real, fake, _, _ = draw(0)
        means.append(model.logits(d, real).mean() - model.logits(d, fake).mean())
    return float(np.mean(means))


def normal_below(x: Any) -> Any:
    """The share of a standard normal below each of x, which lie as those of X do."""
    return np.cumsum(normal(0, 1, x)) * STEP


@pytest.mark.parametrize("penalty", [3.0, 10.0])
def test_the_critics_estimate_is_the_distance_and_what_the_penalty_lets_through(
    penalty: float,
) -> None:
    r"""The critic's derivative at its optimum, by the calculus of variations.

    It maximises ``int a' (F_q - F_p) - penalty int r (a' - 1)^2``, with the distribution functions
    F and the density r of the points between, so ``a' = 1 + (F_q - F_p) / (2 penalty r)``.
    """
    shift = 2.0
    difference = normal_below(X) - normal_below(X - shift)
    alpha = (np.arange(400) + 0.5) / 400
    std = np.sqrt(alpha**2 + (1 - alpha) ** 2)
    interpolates = normal(alpha * shift, std, X[:, None]).mean(axis=1)
    there = interpolates > 1e-8
    derivative = 1 + difference[there] / (2 * penalty * interpolates[there])
    expected = integral(difference[there] * derivative)
    assert integral(difference) == pytest.approx(shift, abs=1e-6)
    assert expected > 1.05 * shift  # the penalty is no wall
    assert estimate([shift], penalty) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("shift", [[2.0], [-1.2, 1.6]])
def test_the_critics_estimate_approaches_the_shift(shift: Any) -> None:
    """The Wasserstein distance of two normals that differ by a shift is its length, here 2."""
    assert estimate(shift, 100.0) == pytest.approx(2, rel=0.03)
