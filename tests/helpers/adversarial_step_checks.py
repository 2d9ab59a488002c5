"""Checks of an adversarial step: what each player's step reads and what it changes.

With plain gradient descent, how far parameters moved is the gradient that they were moved by,
wherever it came from.
"""

from __future__ import annotations

from collections.abc import Callable
from math import comb
from typing import Any

import numpy as np
import pytest

import tinygen as tg
from tinygen import optim
from tinygen.models import GAN
from tinygen.models.gan import LOSSES, DiscriminatorBatch, GeneratorBatch
from tinygen.training import AdversarialLearner

NUMPY = tg.get_backend("numpy")
SMALL: dict[str, Any] = {"pixels": 4, "latent": 3, "generator_hidden": (5,),
                         "discriminator_hidden": (6, 5), "generator_activation": "gelu",
                         "discriminator_activation": "tanh", "biases": "normal"}  # fmt: skip
RICH = {"pack": 2, "classes": 3, "dropout": 0.3}
MODELS = {loss: GAN(loss=loss, **SMALL) for loss in LOSSES}
MODELS |= {f"{loss}, all options": GAN(loss=loss, **SMALL, **RICH) for loss in LOSSES}
RATE = 0.5
N = 6


def begin(
    model: GAN,
    gradients: str,
    optimizer: Any = optim.SGD,
    backend: Any = NUMPY,
    dtype: Any = np.float64,
    **options: Any,
) -> AdversarialLearner:
    p = model.initialise(1, np.float64)
    p.flat[...] += 0.1 * np.random.default_rng(2).standard_normal(p.flat.size)
    p = p.to(backend, dtype)
    return AdversarialLearner(model, p, optimizer, model.gradients(gradients), **options)


def data_of(
    model: GAN, step: int = 0, dtype: Any = np.float64
) -> tuple[DiscriminatorBatch, GeneratorBatch]:
    random = NUMPY.generator((9, step))
    x = random.random((N, model.pixels), dtype=dtype)
    labels = None
    if model.classes:
        labels = np.eye(model.classes, dtype=dtype)[np.arange(N) % model.classes]
    return model.draw(x, random, step, labels)


def bits(*things: Any) -> list[bytes]:
    """What must be the same, bit for bit."""
    found: list[bytes] = []
    for x in things:
        if isinstance(x, (tuple, list)):
            found += bits(*x)
        elif isinstance(x, dict):
            found += bits(*x.values())
        elif isinstance(x, tg.Parameters):
            found.append(x.flat.tobytes())
        elif x is not None:
            found.append(x.tobytes())
    return found


def generator_bits(learner: AdversarialLearner) -> list[bytes]:
    return bits(learner.g, learner.g_optimizer.state, learner.average)


def discriminator_bits(learner: AdversarialLearner) -> list[bytes]:
    return bits(learner.d, learner.d_optimizer.state)


def spy(learner: Any, name: str, before: Callable[..., None]) -> None:
    """Call `before` with its arguments before each call of one of the learner's gradients."""
    right = getattr(learner.gradients, name)

    def call(*arguments: Any, **options: Any) -> Any:
        before(*arguments)
        return right(*arguments, **options)

    learner.gradients = learner.gradients._replace(**{name: call})


# What each step changes.


def check_discriminator_step_alone(gradients: str, name: str) -> None:
    model = MODELS[name]
    learner = begin(model, gradients, optim.Adam, critic_steps=2, average=0.9)
    data = data_of(model)
    before, d_before, seen = generator_bits(learner), discriminator_bits(learner), bits(data)
    figures = learner.step(data, 1e-2)
    assert generator_bits(learner) == before and learner.g_optimizer.steps == 0
    assert all(a != b for a, b in zip(discriminator_bits(learner), d_before, strict=True))
    assert learner.d_optimizer.steps == learner.steps == 1
    assert set(figures) == {"discriminator_loss", "discriminator_norm"}
    assert bits(data) == seen


def check_generator_step_alone(gradients: str, name: str) -> None:
    """Neither the discriminator nor its moments, nor images and noise, nor D's last gradient."""
    model = MODELS[name]
    learner = begin(model, gradients, optim.Adam)
    data = data_of(model)
    there: dict[str, Any] = {}

    def look(*arguments: Any) -> None:
        there["d"] = discriminator_bits(learner) + bits(data, learner._dd)
        there["g"] = generator_bits(learner)

    spy(learner, "generator", look)
    figures = learner.step(data, 1e-2)
    assert discriminator_bits(learner) + bits(data, learner._dd) == there["d"]
    assert all(a != b for a, b in zip(generator_bits(learner), there["g"], strict=True))
    assert learner.g_optimizer.steps == learner.d_optimizer.steps == 1
    assert set(figures) == set(AdversarialLearner.figures)


# Where the gradients are taken.


def moved(model: GAN, gradients: str, ratio: float = 1.0) -> tuple[Any, ...]:
    """Both players before their third step, its data, D after it, and what gradients moved them."""
    learner = begin(model, gradients, ratio=ratio, average=0.9)
    for step in (1, 2):  # so that there is something old that could be mistaken for new
        learner.step(data_of(model, step), 0.1)
    g, d, data = learner.g.copy(), learner.d.copy(), data_of(model)
    learner.step(data, RATE)
    dd = (d.flat - learner.d.flat) / RATE
    dg = (g.flat - learner.g.flat) / (RATE * ratio)
    return g, d, data, learner.d.copy(), dd, dg


def directional_derivatives(
    f: Callable[[Any], Any], p: tg.Parameters, directions: Any
) -> np.ndarray:
    h = 1e-5
    ups, downs = ([f(p.like(p.flat + s * v)).item() for v in directions] for s in (h, -h))
    return (np.array(ups) - downs) / (2 * h)


def some_directions(p: tg.Parameters, seed: int = 0) -> np.ndarray:
    v = np.random.default_rng(seed).standard_normal((4, p.flat.size))
    return v / np.linalg.norm(v, axis=1, keepdims=True)


def check_what_moves_the_discriminator(gradients: str, name: str) -> None:
    model = MODELS[name]
    g, d, (seen, other), _, dd, dg = moved(model, gradients)
    v = some_directions(d)

    def loss_with(g: Any, z: Any) -> Callable[[Any], Any]:
        fake = model.generate(g, z, seen.labels)
        return lambda q: model.discriminator_loss(q, seen.real, fake, *seen[2:])

    expected = directional_derivatives(loss_with(g, seen.z), d, v)
    # 1e-5 squared is 1e-10, rounding 1e-16 / 1e-5; times a third derivative of up to some 100.
    np.testing.assert_allclose(v @ dd, expected, atol=1e-7)
    # With the generator after its step, or the generator's noise, it would be another one.
    after = g.like(g.flat - RATE * dg)
    assert abs(directional_derivatives(loss_with(after, seen.z), d, v) - expected).max() > 1e-4
    assert abs(directional_derivatives(loss_with(g, other.z), d, v) - expected).max() > 1e-4


def check_what_moves_the_generator(gradients: str, name: str) -> None:
    model = MODELS[name]
    g, d, (_, seen), d_after, _, dg = moved(model, gradients, ratio=0.25)
    v = some_directions(g)

    def loss_through(d: Any) -> Callable[[Any], Any]:
        return lambda q: model.generator_loss(q, d, *seen)

    expected = directional_derivatives(loss_through(d_after), g, v)
    np.testing.assert_allclose(v @ dg, expected, atol=1e-7)
    assert abs(directional_derivatives(loss_through(d), g, v) - expected).max() > 1e-4


def check_gradient_through_the_discriminator(gradients: str) -> None:
    """It is linear in a critic's last layer: none where that is 0, twice as much of twice that."""
    model = MODELS["wasserstein-gp"]
    learner = begin(model, gradients)
    _, seen = data_of(model)

    def gradient(last: Any) -> np.ndarray:
        d = learner.d.copy()
        d["W3"][...] = last
        return learner.gradients.generator(learner.g, d, *seen)[1].flat.copy()

    assert not gradient(0).any()
    W = learner.d["W3"]
    np.testing.assert_array_equal(gradient(2 * W), 2 * gradient(W))
    assert (gradient(W)[: 3 * 5] != 0).all()
    d = learner.d.copy()
    before = learner.gradients.generator(learner.g, d, *seen)[1].flat.copy()
    d["W1"][0, 0] += 0.5  # every weight of D is felt
    assert (before != learner.gradients.generator(learner.g, d, *seen)[1].flat).any()


def check_order(gradients: str, name: str) -> None:
    model = MODELS[name]
    learner = begin(model, gradients, average=0.9)
    learner.step(data_of(model, 1), RATE)
    g = learner.g.copy()
    by_d, by_g = data = data_of(model)
    calls: list[tuple[str, tuple[Any, ...]]] = []

    names = ["generate", "discriminator", "generator"]
    for part in names:
        spy(learner, part, lambda *arguments, part=part: calls.append((part, arguments)))
    learner.step(data, RATE)
    assert [part for part, _ in calls] == names
    (_, made), (_, judged), (_, told) = calls
    assert made[0] is learner.g and made[1] is by_d.z
    assert judged[0] is learner.d and judged[1] is by_d.real
    # G's step was over when this is looked at: the images have stayed what they were.
    np.testing.assert_allclose(judged[2], model.generate(g, by_d.z, by_d.labels), rtol=1e-12)
    assert all(a is b for a, b in zip(judged[3:], by_d[2:], strict=True))
    assert told[0] is learner.g and told[1] is learner.d
    assert all(a is b for a, b in zip(told[2:], by_g, strict=True))
    assert by_d.z is not by_g.z and not np.shares_memory(by_d.z, by_g.z)


def check_passes_are_independent(gradients: str, name: str) -> None:
    """The same call gives the same bits, whatever was computed in between."""
    model = MODELS[name]
    learner = begin(model, gradients)
    g, d = learner.g, learner.d
    by_d, by_g = data_of(model)
    other_d, other_g = data_of(model, 1)
    fake = learner.gradients.generate(g, by_d.z, by_d.labels)
    kept, shown = fake.copy(), {}

    def discriminator() -> list[bytes]:
        out = d.zeros_like()
        return bits(*learner.gradients.discriminator(d, by_d.real, fake, *by_d[2:], out=out))

    def generator() -> list[bytes]:
        return bits(*learner.gradients.generator(g, d, *by_g, out=g.zeros_like()))

    def others() -> None:
        learner.gradients.generator(g, d, *other_g, out=g.zeros_like())
        learner.gradients.discriminator(d, other_d.real, 1 - kept, *other_d[2:], out=d.zeros_like())

    shown["D"], shown["G"] = discriminator(), generator()
    assert discriminator() == shown["D"], "after a step of G"
    others()
    assert generator() == shown["G"] and discriminator() == shown["D"]
    np.testing.assert_array_equal(fake, kept)
    # Real and fake images are the only ones that it looks at, and each of them is looked at.
    for k, x in enumerate((by_d.real, fake)):
        x[0, 0] += 0.5
        assert discriminator() != shown["D"], k
        x[0, 0] -= 0.5


def check_figures(gradients: str, name: str) -> None:
    model = MODELS[name]
    learner = begin(model, gradients)
    g, d = learner.g.copy(), learner.d.copy()
    by_d, by_g = data = data_of(model)
    figures = learner.step(data, RATE)
    fake = model.generate(g, by_d.z, by_d.labels)
    expected = {
        "discriminator_loss": model.discriminator_loss(d, by_d.real, fake, *by_d[2:]),
        "generator_loss": model.generator_loss(g, learner.d, *by_g),
        "discriminator_norm": np.linalg.norm(d.flat - learner.d.flat) / RATE,
        "generator_norm": np.linalg.norm(g.flat - learner.g.flat) / RATE,
    }
    numbers = {key: x.item() for key, x in expected.items()}
    assert figures == {key: pytest.approx(x, rel=1e-10) for key, x in numbers.items()}


# How often, and how far.


def check_critic_steps(gradients: str, critic_steps: int) -> None:
    model = MODELS["wasserstein-gp"]
    learner = begin(model, gradients, optim.Adam, critic_steps=critic_steps)
    for step in range(1, 13):
        before = generator_bits(learner), discriminator_bits(learner)
        figures = learner.step(data_of(model, step), 1e-2)
        turn = step % critic_steps == 0
        assert (generator_bits(learner) != before[0]) == turn == ("generator_loss" in figures)
        assert discriminator_bits(learner) != before[1]
        assert learner.d_optimizer.steps == learner.steps == step
        assert learner.g_optimizer.steps == step // critic_steps
    learner.steps = 11  # as a checkpoint says
    assert learner.d_optimizer.steps == 11 and learner.g_optimizer.steps == 11 // critic_steps


def check_ratio(gradients: str) -> None:
    model = MODELS["non-saturating"]
    found = {}
    for ratio in (1.0, 0.25):
        learner = begin(model, gradients, ratio=ratio)
        g, d = learner.g.copy(), learner.d.copy()
        learner.step(data_of(model), RATE)
        found[ratio] = learner.g.flat - g.flat, learner.d.flat - d.flat
    np.testing.assert_allclose(found[0.25][0], 0.25 * found[1.0][0], rtol=1e-9, atol=1e-16)
    np.testing.assert_array_equal(found[0.25][1], found[1.0][1])


def check_first_step_of_adam() -> None:
    """Whatever the gradient: g / (|g| + 1e-8). So both counts of steps begin at one."""
    model = MODELS["non-saturating"]
    learner = begin(model, "autograd", optim.Adam, ratio=0.1, critic_steps=3)
    g = learner.g.copy()
    for step in range(3):
        d = learner.d.copy()
        learner.step(data_of(model, step), 1e-3)
        if not step:
            assert np.median(abs(learner.d.flat - d.flat)) == pytest.approx(1e-3, rel=1e-4)
    assert np.median(abs(learner.g.flat - g.flat)) == pytest.approx(1e-4, rel=1e-4)


# The moving average.


def small_learner(optimizer: Any = optim.SGD, dtype: Any = np.float32, **options: Any) -> Any:
    """The players of a small GAN at their start."""
    model = GAN(**SMALL)
    gradients = model.gradients("autograd")
    return AdversarialLearner(model, model.initialise(0, dtype), optimizer, gradients, **options)


def following(average: float, times: int, critic_steps: int = 1) -> tuple[Any, list[Any]]:
    """The average after each of G's steps, and what G was at every tenth of them, from 0 on."""
    learner = small_learner(critic_steps=critic_steps, average=average, dtype=np.float64)
    random, seen, averages = np.random.default_rng(0), [learner.g.flat.copy()], []
    for step in range(1, 10 * times + 1):
        learner.g.flat[...] = random.standard_normal(learner.g.flat.size)
        learner.g_optimizer.steps = step
        learner.update_average()
        averages.append(learner.average.flat.copy())
        if step % 10 == 0:
            seen.append(learner.g.flat.copy())
    return averages, seen


def check_average_at_first() -> None:
    """Steps that keep k / (k + 9) of it: the s-th of t has the weight C(s+8, 8) / C(t+9, 9)."""
    averages, seen = following(0.999, 12)
    for t in (1, 2, 5, 12):
        weights = np.array([comb(s + 8, 8) for s in range(t + 1)]) / comb(t + 9, 9)
        assert weights.sum() == pytest.approx(1, rel=1e-14)
        np.testing.assert_allclose(averages[10 * t - 1], weights @ seen[: t + 1], atol=1e-14)


def check_average_later() -> None:
    averages, seen = following(0.9, 9)
    for t in (6, 7, 8, 9):  # 5 / 14 is above 0.9 ** 10
        before, now = averages[10 * t - 11], averages[10 * t - 1]
        expected = 0.9**10 * before + (1 - 0.9**10) * seen[t]
        np.testing.assert_allclose(now, expected, rtol=1e-12, atol=1e-14)


def check_average_every_tenth_step() -> None:
    averages, _ = following(0.99, 4)
    moves = [k + 1 for k in range(1, 40) if (averages[k] != averages[k - 1]).any()]
    assert moves == [10, 20, 30, 40]


def check_average_follows_the_generator(gradients: str) -> None:
    model = MODELS["non-saturating"]
    learner = begin(model, gradients, critic_steps=2, average=0.999)
    start = learner.g.copy()
    for step in range(1, 41):
        before = bits(learner.average)
        learner.step(data_of(model, step), 1e-2)
        assert (bits(learner.average) != before) == (step % 20 == 0)
        if step == 20:
            mean = 0.1 * start.flat + 0.9 * learner.g.flat
            np.testing.assert_allclose(learner.average.flat, mean, rtol=1e-12)
    assert not np.shares_memory(learner.average.flat, learner.parameters.flat)


# What a checkpoint keeps.


def check_vectors_of_the_players() -> None:
    learner = small_learner(optim.Adam, average=0.9)
    p, vectors = learner.parameters, learner.vectors
    assert list(vectors) == [
        "parameters", "generator.m", "generator.v", "discriminator.m", "discriminator.v", "average",
    ]  # fmt: skip
    assert vectors["parameters"] is p.flat
    assert vectors["generator.m"] is learner.g_optimizer.state["m"]
    assert vectors["discriminator.v"] is learner.d_optimizer.state["v"]
    assert vectors["average"] is learner.average.flat
    assert np.shares_memory(learner.g.flat, p.flat) and np.shares_memory(learner.d.flat, p.flat)
    assert "average" not in small_learner(optim.Adam).vectors
    assert list(small_learner(lambda q: optim.SGD(q, momentum=0.9)).vectors) == [
        "parameters", "generator.m", "discriminator.m",
    ]  # fmt: skip
