"""The routing audit: what each player's step reads and what it changes, by both kinds of gradients.

Most of it looks at a step from outside: with plain gradient descent, how far parameters moved is
the gradient that they were moved by, wherever it came from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import comb
from typing import Any

import numpy as np
import pytest
from strict import STRICT, count_syncs
from test_trainer import press_at, rows_without_time

import tinygen as tg
from tinygen import optim
from tinygen.backend.numpy_backend import adam_numpy
from tinygen.errors import InputError
from tinygen.models import GAN
from tinygen.models.gan import LOSSES, SeenByD, SeenByG
from tinygen.training import Diverged, Interrupted, Plan, Progress, Record, State, fit, trainer
from tinygen.training.learners.adversarial_step import Duel, Players, duel

NUMPY = tg.get_backend("numpy")
SMALL: dict[str, Any] = {"pixels": 4, "latent": 3, "generator_hidden": (5,),
                         "discriminator_hidden": (6, 5), "generator_activation": "gelu",
                         "discriminator_activation": "tanh", "biases": "normal"}  # fmt: skip
RICH = {"pack": 2, "classes": 3, "dropout": 0.3}
MODELS = {loss: GAN(loss=loss, **SMALL) for loss in LOSSES}
MODELS |= {f"{loss}, all options": GAN(loss=loss, **SMALL, **RICH) for loss in LOSSES}
EVERY_MODEL = pytest.mark.parametrize("name", MODELS)
BOTH_KINDS = pytest.mark.parametrize("gradients", ["autograd", "by-hand"])
RATE = 0.5
N = 6


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither for the disk nor for numba's threads, as in tests/training/test_trainer.py."""
    monkeypatch.setattr("os.fsync", lambda file: None)
    monkeypatch.setattr(NUMPY, "_adam", adam_numpy)


def begin(
    model: GAN,
    gradients: str,
    optimizer: Any = optim.SGD,
    ratio: float = 1.0,
    backend: Any = NUMPY,
    dtype: Any = np.float64,
    **options: Any,
) -> tuple[Duel, State, Players]:
    p = model.initialise(1, np.float64)
    p.flat[...] += 0.1 * np.random.default_rng(2).standard_normal(p.flat.size)
    p = p.to(backend, dtype)
    players: Any = Players(p, optimizer, **options)
    return duel(model, gradients, ratio), State(p, players), players


def data_of(model: GAN, step: int = 0, dtype: Any = np.float64) -> tuple[SeenByD, SeenByG]:
    random = NUMPY.generator((9, step))
    x = random.random((N, model.pixels), dtype=dtype)
    labels = None
    if model.classes:
        labels = np.eye(model.classes, dtype=dtype)[np.arange(N) % model.classes]
    return model.draw(x, random, step, labels)


def sent(data: Any, backend: Any) -> Any:
    if isinstance(data, tuple):
        parts = [sent(part, backend) for part in data]
        return type(data)(*parts) if hasattr(data, "_fields") else tuple(parts)
    return data if data is None else backend.asarray(data)


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


def of_g(players: Players) -> list[bytes]:
    return bits(players.g, players.of_g.state, players.average)


def of_d(players: Players) -> list[bytes]:
    return bits(players.d, players.of_d.state)


# What each step changes.


@EVERY_MODEL
@BOTH_KINDS
def test_the_discriminators_step_changes_the_discriminator_alone(gradients: str, name: str) -> None:
    model = MODELS[name]
    learner, state, players = begin(model, gradients, optim.Adam, critic_steps=2, average=0.9)
    data = data_of(model)
    before, d_before, seen = of_g(players), of_d(players), bits(data)
    figures = learner.step(state, data, 1e-2)
    assert of_g(players) == before and players.of_g.steps == 0
    assert all(a != b for a, b in zip(of_d(players), d_before, strict=True))
    assert players.of_d.steps == players.steps == 1
    assert set(figures) == {"discriminator_loss", "discriminator_norm"}
    assert bits(data) == seen


@EVERY_MODEL
@BOTH_KINDS
def test_the_generators_step_changes_the_generator_alone(gradients: str, name: str) -> None:
    """Neither the discriminator nor its moments, nor images and noise, nor D's last gradient."""
    model = MODELS[name]
    learner, state, players = begin(model, gradients, optim.Adam)
    data = data_of(model)
    right, there = learner.of_generator, {}

    def watched(*arguments: Any, **options: Any) -> Any:
        there["before"] = of_d(players) + bits(data, learner._dd), of_g(players)
        return right(*arguments, **options)

    learner.of_generator = watched
    figures = learner.step(state, data, 1e-2)
    before, g_before = there["before"]
    assert of_d(players) + bits(data, learner._dd) == before
    assert all(a != b for a, b in zip(of_g(players), g_before, strict=True))
    assert players.of_g.steps == players.of_d.steps == 1
    assert set(figures) == set(Duel.figures)


# Where the gradients are taken.


def moved(model: GAN, gradients: str, ratio: float = 1.0) -> tuple[Any, ...]:
    """Both players before their third step, its data, D after it, and what gradients moved them."""
    learner, state, players = begin(model, gradients, ratio=ratio, average=0.9)
    for step in (1, 2):  # so that there is something old that could be mistaken for new
        learner.step(state, data_of(model, step), 0.1)
    g, d, data = players.g.copy(), players.d.copy(), data_of(model)
    learner.step(state, data, RATE)
    dd = (d.flat - players.d.flat) / RATE
    dg = (g.flat - players.g.flat) / (RATE * ratio)
    return g, d, data, players.d.copy(), dd, dg


def slopes(f: Callable[[Any], Any], p: tg.Parameters, directions: Any) -> np.ndarray:
    h = 1e-5
    ups, downs = ([float(f(p.like(p.flat + s * v))) for v in directions] for s in (h, -h))
    return (np.array(ups) - downs) / (2 * h)


def some_directions(p: tg.Parameters, seed: int = 0) -> np.ndarray:
    v = np.random.default_rng(seed).standard_normal((4, p.flat.size))
    return v / np.linalg.norm(v, axis=1, keepdims=True)


@EVERY_MODEL
@BOTH_KINDS
def test_d_is_moved_by_the_slope_of_its_loss_at_images_of_g_before_its_step(
    gradients: str, name: str
) -> None:
    model = MODELS[name]
    g, d, (seen, other), _, dd, dg = moved(model, gradients)
    v = some_directions(d)

    def loss_with(g: Any, z: Any) -> Callable[[Any], Any]:
        fake = model.generate(g, z, seen.labels)
        return lambda q: model.discriminator_loss(q, seen.real, fake, *seen[2:])

    expected = slopes(loss_with(g, seen.z), d, v)
    # 1e-5 squared is 1e-10, rounding 1e-16 / 1e-5; times a third derivative of up to some 100.
    np.testing.assert_allclose(v @ dd, expected, atol=1e-7)
    # With the generator after its step, or the generator's noise, it would be another one.
    after = g.like(g.flat - RATE * dg)
    assert abs(slopes(loss_with(after, seen.z), d, v) - expected).max() > 1e-4
    assert abs(slopes(loss_with(g, other.z), d, v) - expected).max() > 1e-4


@EVERY_MODEL
@BOTH_KINDS
def test_g_is_moved_by_the_slope_of_its_loss_through_d_as_it_is_after_its_step(
    gradients: str, name: str
) -> None:
    model = MODELS[name]
    g, d, (_, seen), d_after, _, dg = moved(model, gradients, ratio=0.25)
    v = some_directions(g)

    def loss_through(d: Any) -> Callable[[Any], Any]:
        return lambda q: model.generator_loss(q, d, *seen)

    expected = slopes(loss_through(d_after), g, v)
    np.testing.assert_allclose(v @ dg, expected, atol=1e-7)
    assert abs(slopes(loss_through(d), g, v) - expected).max() > 1e-4


@BOTH_KINDS
def test_all_of_the_generators_gradient_comes_through_the_discriminator(gradients: str) -> None:
    """It is linear in a critic's last layer: none where that is 0, twice as much of twice that."""
    model = MODELS["wasserstein-gp"]
    learner, _, players = begin(model, gradients)
    _, seen = data_of(model)

    def gradient(last: Any) -> np.ndarray:
        d = players.d.copy()
        d["W3"][...] = last
        return learner.of_generator(players.g, d, *seen)[1].flat.copy()

    assert not gradient(0).any()
    W = players.d["W3"]
    np.testing.assert_array_equal(gradient(2 * W), 2 * gradient(W))
    assert (gradient(W)[: 3 * 5] != 0).all()
    d = players.d.copy()
    before = learner.of_generator(players.g, d, *seen)[1].flat.copy()
    d["W1"][0, 0] += 0.5  # every weight of D is felt
    assert (before != learner.of_generator(players.g, d, *seen)[1].flat).any()


@EVERY_MODEL
@BOTH_KINDS
def test_one_step_is_images_then_d_then_g(gradients: str, name: str) -> None:
    model = MODELS[name]
    learner, state, players = begin(model, gradients, average=0.9)
    learner.step(state, data_of(model, 1), RATE)
    g = players.g.copy()
    by_d, by_g = data = data_of(model)
    calls: list[tuple[str, tuple[Any, ...]]] = []

    def noted(name: str) -> None:
        right = getattr(learner, name)

        def call(*arguments: Any, **options: Any) -> Any:
            calls.append((name, arguments))
            return right(*arguments, **options)

        setattr(learner, name, call)

    for part in ("generate", "of_discriminator", "of_generator"):
        noted(part)
    learner.step(state, data, RATE)
    assert [part for part, _ in calls] == ["generate", "of_discriminator", "of_generator"]
    (_, made), (_, judged), (_, told) = calls
    assert made[0] is players.g and made[1] is by_d.z
    assert judged[0] is players.d and judged[1] is by_d.real
    # G's step was over when this is looked at: the images have stayed what they were.
    np.testing.assert_allclose(judged[2], model.generate(g, by_d.z, by_d.labels), rtol=1e-12)
    assert all(a is b for a, b in zip(judged[3:], by_d[2:], strict=True))
    assert told[0] is players.g and told[1] is players.d
    assert all(a is b for a, b in zip(told[2:], by_g, strict=True))
    assert by_d.z is not by_g.z and not np.shares_memory(by_d.z, by_g.z)


@EVERY_MODEL
@BOTH_KINDS
def test_nothing_of_one_pass_is_left_for_another(gradients: str, name: str) -> None:
    """The same call gives the same bits, whatever was computed in between."""
    model = MODELS[name]
    learner, _, players = begin(model, gradients)
    g, d = players.g, players.d
    by_d, by_g = data_of(model)
    other_d, other_g = data_of(model, 1)
    fake = learner.generate(g, by_d.z, by_d.labels)
    kept, shown = fake.copy(), {}

    def of_discriminator() -> list[bytes]:
        out = d.zeros_like()
        return bits(*learner.of_discriminator(d, by_d.real, fake, *by_d[2:], out=out))

    def of_generator() -> list[bytes]:
        return bits(*learner.of_generator(g, d, *by_g, out=g.zeros_like()))

    def others() -> None:
        learner.of_generator(g, d, *other_g, out=g.zeros_like())
        learner.of_discriminator(d, other_d.real, 1 - kept, *other_d[2:], out=d.zeros_like())

    shown["D"], shown["G"] = of_discriminator(), of_generator()
    assert of_discriminator() == shown["D"], "after a step of G"
    others()
    assert of_generator() == shown["G"] and of_discriminator() == shown["D"]
    np.testing.assert_array_equal(fake, kept)
    # Real and fake images are the only ones that it looks at, and each of them is looked at.
    for k, x in enumerate((by_d.real, fake)):
        x[0, 0] += 0.5
        assert of_discriminator() != shown["D"], k
        x[0, 0] -= 0.5


@EVERY_MODEL
@BOTH_KINDS
def test_the_figures_are_losses_and_norms_of_this_step(gradients: str, name: str) -> None:
    model = MODELS[name]
    learner, state, players = begin(model, gradients)
    g, d = players.g.copy(), players.d.copy()
    by_d, by_g = data = data_of(model)
    figures = learner.step(state, data, RATE)
    fake = model.generate(g, by_d.z, by_d.labels)
    expected = {
        "discriminator_loss": model.discriminator_loss(d, by_d.real, fake, *by_d[2:]),
        "generator_loss": model.generator_loss(g, players.d, *by_g),
        "discriminator_norm": np.linalg.norm(d.flat - players.d.flat) / RATE,
        "generator_norm": np.linalg.norm(g.flat - players.g.flat) / RATE,
    }
    numbers = {key: float(x) for key, x in expected.items()}
    assert figures == {key: pytest.approx(x, rel=1e-10) for key, x in numbers.items()}


# How often, and how far.


@pytest.mark.parametrize("critic_steps", [1, 2, 3, 5])
@BOTH_KINDS
def test_the_generator_moves_in_every_kth_step(gradients: str, critic_steps: int) -> None:
    model = MODELS["wasserstein-gp"]
    learner, state, players = begin(model, gradients, optim.Adam, critic_steps=critic_steps)
    for step in range(1, 13):
        before = of_g(players), of_d(players)
        figures = learner.step(state, data_of(model, step), 1e-2)
        turn = step % critic_steps == 0
        assert (of_g(players) != before[0]) == turn == ("generator_loss" in figures)
        assert of_d(players) != before[1]
        assert players.of_d.steps == players.steps == step
        assert players.of_g.steps == step // critic_steps
    players.steps = 11  # as a checkpoint says
    assert players.of_d.steps == 11 and players.of_g.steps == 11 // critic_steps


@BOTH_KINDS
def test_the_generator_may_learn_at_another_rate(gradients: str) -> None:
    model = MODELS["non-saturating"]
    found = {}
    for ratio in (1.0, 0.25):
        learner, state, players = begin(model, gradients, ratio=ratio)
        g, d = players.g.copy(), players.d.copy()
        learner.step(state, data_of(model), RATE)
        found[ratio] = players.g.flat - g.flat, players.d.flat - d.flat
    np.testing.assert_allclose(found[0.25][0], 0.25 * found[1.0][0], rtol=1e-9, atol=1e-16)
    np.testing.assert_array_equal(found[0.25][1], found[1.0][1])


def test_adams_first_step_of_each_player_is_the_rate_of_each_player() -> None:
    """Whatever the gradient: g / (|g| + 1e-8). So both counts of steps begin at one."""
    model = MODELS["non-saturating"]
    learner, state, players = begin(model, "autograd", optim.Adam, ratio=0.1, critic_steps=3)
    g = players.g.copy()
    for step in range(3):
        d = players.d.copy()
        learner.step(state, data_of(model, step), 1e-3)
        if not step:
            assert np.median(abs(players.d.flat - d.flat)) == pytest.approx(1e-3, rel=1e-4)
    assert np.median(abs(players.g.flat - g.flat)) == pytest.approx(1e-4, rel=1e-4)


# The moving average.


def following(average: float, times: int, critic_steps: int = 1) -> tuple[Any, list[Any]]:
    """The average after each of G's steps, and what G was at every tenth of them, from 0 on."""
    p = GAN(**SMALL).initialise(0, np.float64)
    players = Players(p, optim.SGD, critic_steps, average)
    random, seen, averages = np.random.default_rng(0), [players.g.flat.copy()], []
    for step in range(1, 10 * times + 1):
        players.g.flat[...] = random.standard_normal(players.g.flat.size)
        players.of_g.steps = step
        players.follow()
        averages.append(players.average.flat.copy())
        if step % 10 == 0:
            seen.append(players.g.flat.copy())
    return averages, seen


def test_at_first_the_average_weighs_the_steps_by_a_power_of_their_time() -> None:
    """Steps that keep k / (k + 9) of it: the s-th of t has the weight C(s+8, 8) / C(t+9, 9)."""
    averages, seen = following(0.999, 12)
    for t in (1, 2, 5, 12):
        weights = np.array([comb(s + 8, 8) for s in range(t + 1)]) / comb(t + 9, 9)
        assert weights.sum() == pytest.approx(1, rel=1e-14)
        np.testing.assert_allclose(averages[10 * t - 1], weights @ seen[: t + 1], atol=1e-14)


def test_later_it_keeps_the_tenth_power_of_what_a_step_keeps() -> None:
    averages, seen = following(0.9, 9)
    for t in (6, 7, 8, 9):  # 5 / 14 is above 0.9 ** 10
        before, now = averages[10 * t - 11], averages[10 * t - 1]
        expected = 0.9**10 * before + (1 - 0.9**10) * seen[t]
        np.testing.assert_allclose(now, expected, rtol=1e-12, atol=1e-14)


def test_it_moves_in_every_tenth_step_of_the_generator() -> None:
    averages, _ = following(0.99, 4)
    moves = [k + 1 for k in range(1, 40) if (averages[k] != averages[k - 1]).any()]
    assert moves == [10, 20, 30, 40]


@BOTH_KINDS
def test_it_follows_the_generators_steps_not_those_of_the_discriminator(gradients: str) -> None:
    model = MODELS["non-saturating"]
    learner, state, players = begin(model, gradients, critic_steps=2, average=0.999)
    start = players.g.copy()
    for step in range(1, 41):
        before = bits(players.average)
        learner.step(state, data_of(model, step), 1e-2)
        assert (bits(players.average) != before) == (step % 20 == 0)
        if step == 20:
            mean = 0.1 * start.flat + 0.9 * players.g.flat
            np.testing.assert_allclose(players.average.flat, mean, rtol=1e-12)
    assert not np.shares_memory(players.average.flat, state.parameters.flat)


def test_the_generator_to_sample_from() -> None:
    """Before the average has moved it is the generator's start, which is worth nothing."""
    with_it, without = (Players(GAN(**SMALL).initialise(0), optim.SGD, average=a) for a in (0.9, 0))
    np.testing.assert_array_equal(with_it.average.flat, with_it.g.flat)
    assert without.average is None
    for step in range(25):
        for players in (with_it, without):
            players.of_g.steps = step
            players.follow()
        assert without.best is without.g and without.averaged is None
        assert with_it.best is (with_it.g if step < 10 else with_it.average)
        assert with_it.averaged == (None if step < 10 else "generator.")


@pytest.mark.parametrize("critic_steps", [1, 3])
def test_whether_the_average_has_moved_is_known_after_a_resume(critic_steps: int) -> None:
    """By the number of steps alone, which is the discriminator's."""
    p = GAN(**SMALL).initialise(0)
    for step in (0, 9, 10, 29, 30, 31):
        players = Players(p, optim.SGD, critic_steps, 0.9)
        players.steps = step
        assert (players.best is players.average) == (step // critic_steps >= 10)


# What a checkpoint keeps.


def test_all_vectors_have_a_name() -> None:
    p = GAN(**SMALL).initialise(0)
    players = Players(p, optim.Adam, average=0.9)
    assert list(players.state) == [
        "generator.m", "generator.v", "discriminator.m", "discriminator.v", "average",
    ]  # fmt: skip
    assert players.state["generator.m"] is players.of_g.state["m"]
    assert players.state["discriminator.v"] is players.of_d.state["v"]
    assert players.state["average"] is players.average.flat
    assert np.shares_memory(players.g.flat, p.flat) and np.shares_memory(players.d.flat, p.flat)
    assert "average" not in Players(p, optim.Adam).state
    assert list(Players(p, lambda q: optim.SGD(q, momentum=0.9)).state) == [
        "generator.m", "discriminator.m",
    ]  # fmt: skip


IMAGES = np.random.default_rng(0).integers(0, 256, (42, 2, 2), dtype=np.uint8)
LABELS = np.eye(3)[np.arange(42) % 3]
EPOCHS, BATCH, PER_EPOCH = 3, 8, 5  # the last two images of an epoch are left out
STEPS = EPOCHS * PER_EPOCH


class Run:
    """A run as an example makes it, on a few random images."""

    def __init__(
        self, folder: Any, model: GAN, gradients: str = "autograd", backend: Any = NUMPY,
        dtype: Any = np.float32, critic_steps: int = 2, average: float = 0.9, rate: float = 1e-2,
        optimizer: Any = optim.Adam, **changes: Any,
    ) -> None:  # fmt: skip
        self.model, self.backend, self.record = model, backend, Record(folder)
        self.record.open()
        p = model.initialise(1, dtype, backend)
        self.players: Any = Players(p, optimizer, critic_steps, average)
        self.state = State(p, self.players)
        self.learner = duel(model, gradients, ratio=0.5)
        plan = {"epochs": EPOCHS, "batch_size": BATCH, "seed": 3, "show_every": 4, "config": {},
                "whole": True, "schedule": optim.linear(rate, STEPS)}  # fmt: skip
        self.plan = Plan(**(plan | changes))
        self.labels = backend.asarray(LABELS, dtype) if model.classes else None

    def resume(self) -> Run:
        self.state.restore(self.record, self.backend)
        return self

    def fit(self, each: Any = None) -> Run:
        """Train; `each(step)` is called before a step."""
        right = self.learner.step

        def step(state: State, data: Any, rate: float) -> Any:
            if each:
                each(state.step)
            return right(state, data, rate)

        self.learner.step = step  # type: ignore[method-assign]
        fit(self.state, self.learner, self.backend.asarray(IMAGES), self.plan, dict, self.record,
            Progress(EPOCHS, {}, quiet=True), self.backend, self.labels)  # fmt: skip
        return self

    @property
    def end(self) -> Any:
        vectors = {"parameters": self.state.parameters.flat, **self.players.state}
        found = {name: self.backend.to_numpy(v).tobytes() for name, v in vectors.items()}
        steps = self.players.of_d.steps, self.players.of_g.steps
        return found, steps, rows_without_time(self.state.history)


@pytest.fixture
def restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """An average that moves in every second step of G, since there are only seven."""
    monkeypatch.setattr("tinygen.training.learners.adversarial_step.AVERAGED_EVERY", 2)


@pytest.mark.parametrize("backend", [NUMPY, STRICT], ids=["numpy", "strict"])
@pytest.mark.parametrize("name", ["non-saturating, all options", "wasserstein-gp, all options"])
@BOTH_KINDS
def test_a_run_that_is_stopped_at_every_step_ends_the_same(
    tmp_path: Any, restless: None, gradients: str, name: str, backend: Any
) -> None:
    def run(folder: str) -> Run:
        return Run(tmp_path / folder, MODELS[name], gradients, backend)

    straight = run("straight").fit()
    assert straight.players.of_g.steps == 7
    for step in range(STEPS):
        with pytest.raises(Interrupted, match=f"stopped after step {step + 1} of {STEPS};"):
            (run("often") if step == 0 else run("often").resume()).fit(press_at({step}))
    often = run("often").resume().fit()
    assert often.end == straight.end
    # So that there was something to compare: the average is neither player, and has moved.
    average, g = (backend.to_numpy(x.flat) for x in (often.players.average, often.players.g))
    start = MODELS[name].initialise(1).part("generator.").flat
    assert (average != g).mean() > 0.9 and (average != start).mean() > 0.9


@BOTH_KINDS
def test_a_run_in_double_precision_resumes_too(
    tmp_path: Any, restless: None, gradients: str
) -> None:
    def run(folder: str) -> Run:
        return Run(tmp_path / folder, MODELS["r1, all options"], gradients, dtype=np.float64,
                   critic_steps=1)  # fmt: skip

    straight = run("straight").fit().end
    with pytest.raises(Interrupted):
        run("stopped").fit(press_at({7}))
    assert run("stopped").resume().fit().end == straight


@pytest.mark.parametrize("options", [{"average": 0.0}, {"optimizer": optim.SGD}])
def test_a_checkpoint_that_lacks_vectors_is_refused(tmp_path: Any, options: Any) -> None:
    """What it has too many of, the configuration tells."""
    model = MODELS["non-saturating"]
    Run(tmp_path, model, **options).fit()
    run = Run(tmp_path, model)
    before = run.end
    with pytest.raises(InputError, match=r"checkpoint\.npz"):
        run.resume()
    assert run.end == before


@BOTH_KINDS
def test_the_rows_hold_the_means_of_the_steps_that_each_player_made(
    tmp_path: Any, gradients: str
) -> None:
    run = Run(tmp_path, MODELS["non-saturating"], gradients, dtype=np.float64, critic_steps=2)
    right, seen = run.learner.step, []

    def step(state: State, data: Any, rate: float) -> Any:
        figures = right(state, data, rate)
        seen.append({name: float(x) for name, x in figures.items()})
        return figures

    run.learner.step = step  # type: ignore[method-assign]
    run.fit()
    for epoch, row in enumerate(run.state.history):
        steps = seen[epoch * PER_EPOCH : (epoch + 1) * PER_EPOCH]
        for name in Duel.figures:
            figures = [s[name] for s in steps if name in s]
            assert row[f"train_{name}"] == pytest.approx(np.mean(figures), rel=1e-12)
        # G moves in steps 2, 4, ..., of all steps: two or three of five.
        assert sum("generator_loss" in s for s in steps) == (3 if epoch == 1 else 2)


# NaN.


def plant(monkeypatch: pytest.MonkeyPatch, at: int, where: str) -> None:
    """One number that one player sees in one step is not finite."""
    drawn = trainer._data

    def data(learner: Any, batch: Any, seed: Any, step: int, backend: Any) -> Any:
        by_d, by_g = drawn(learner, batch, seed, step, backend)
        if step == at:
            {"D's noise": by_d.z, "real": by_d.real, "G's noise": by_g.z}[where][0, 0] = np.nan
        return by_d, by_g

    monkeypatch.setattr(trainer, "_data", data)


@pytest.mark.parametrize("show_every", [1, 1000])
@pytest.mark.parametrize(
    ("where", "player"),
    [("D's noise", "in the generator's images, matrix_product made"),
     ("real", "in the discriminator's step, affine made"),
     ("G's noise", "in the generator's step, matrix_product made")],
)  # fmt: skip
@BOTH_KINDS
def test_nan_in_either_player_is_told_by_player_and_op(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, gradients: str, where: str, player: str,
    show_every: int,
) -> None:  # fmt: skip
    model = MODELS["non-saturating"]
    run = Run(tmp_path, model, gradients, show_every=show_every)
    plant(monkeypatch, at=7, where=where)  # the eighth step, in which G moves, too
    with pytest.raises(Diverged) as error:
        run.fit()
    sentence = str(error.value)
    assert f"at step 8, {player}" in sentence and "that were so already" in sentence
    assert str(run.record.checkpoint) in sentence and "\n" not in sentence
    good = Run(tmp_path, model, gradients).resume()
    assert good.state.step == PER_EPOCH and np.isfinite(good.state.parameters.flat).all()
    assert good.players.of_g.steps == 2
    monkeypatch.undo()  # and from there it can go on
    monkeypatch.setattr(NUMPY, "_adam", adam_numpy)
    straight = Run(tmp_path / "straight", model, gradients).fit()
    assert good.fit().end == straight.end


@pytest.mark.parametrize("show_every", [1, 1000])
@pytest.mark.parametrize("player", ["discriminator", "generator"])
@BOTH_KINDS
def test_a_norm_that_overflows_is_told_as_that_of_the_player(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, gradients: str, player: str, show_every: int
) -> None:
    """The gradient itself is finite, and what it leads to is found in a later part of a step."""
    loss = {"discriminator": "least-squares", "generator": "non-saturating"}[player]
    model = GAN(loss=loss, dropout=0.3, **{**SMALL, "discriminator_activation": "relu"})
    run = Run(tmp_path, model, gradients, critic_steps=1, optimizer=optim.SGD, average=0.0,
              show_every=show_every)  # fmt: skip
    drawn = trainer._data

    def data(learner: Any, batch: Any, seed: Any, step: int, backend: Any) -> Any:
        by_d, by_g = drawn(learner, batch, seed, step, backend)
        if step == 7 and player == "discriminator":
            by_d.real[...] = 1e12  # the logits are as large, and the gradient is their product
        elif step == 7:
            by_g.masks[0][...] = 1e24  # of which a logit has the slope
        return by_d, by_g

    monkeypatch.setattr(trainer, "_data", data)
    with pytest.raises(Diverged) as error:
        run.fit()
    where = f"at step 8, in the norm of the {player}'s gradient, square made"
    assert where in str(error.value), error.value


@BOTH_KINDS
def test_a_rate_that_is_too_high(tmp_path: Any, gradients: str) -> None:
    model = GAN(loss="least-squares", **{**SMALL, "output": "none"})
    run = Run(tmp_path, model, gradients, optimizer=optim.SGD, rate=1e18, average=0.0)
    with pytest.raises(Diverged, match=r"at step .* NaN or infinite") as error:
        run.fit()
    assert "\n" not in str(error.value)
    good = Run(tmp_path, model, optimizer=optim.SGD, average=0.0).resume()
    assert good.state.step == 0 and np.isfinite(good.state.parameters.flat).all()


@pytest.mark.parametrize("critic_steps", [1, 3])
def test_an_update_of_d_that_overflows_is_told_as_ds(tmp_path: Any, critic_steps: int) -> None:
    """Also where it is G's step, right after, whose op comes upon it."""
    run = Run(tmp_path, MODELS["non-saturating"], critic_steps=critic_steps, show_every=1000,
              schedule=lambda step: np.inf if step == 7 else 1e-2)  # fmt: skip
    with pytest.raises(Diverged, match=r"the update of step 8 made discriminator\.W1"):
        run.fit()


# What a step costs a GPU, and that it is the same on each backend and by both derivations.


@EVERY_MODEL
@BOTH_KINDS
def test_steps_are_the_same_on_every_backend_and_wait_for_nothing(
    backend: Any, gradients: str, name: str
) -> None:
    model = MODELS[name]
    ends = []
    for place in (NUMPY, backend):
        learner, state, players = begin(
            model, gradients, optim.Adam, 0.5, place, np.float32, average=0.9
        )
        players.steps = 8  # the average moves in the second step
        data = [sent(data_of(model, step, np.float32), place) for step in range(3)]
        with count_syncs() as syncs:
            for each in data:
                figures = learner.step(state, each, 1e-3)
                state.add(figures, N)
        assert not syncs
        assert all(x.shape == () and x.dtype == np.float32 for x in figures.values())
        ends.append([place.to_numpy(x) for x in (state.parameters.flat, players.average.flat)])
    for here, there in zip(*ends, strict=True):
        # The same float32 arithmetic in another library: a few roundings, three steps of 1e-3.
        np.testing.assert_allclose(there, here, atol=5e-6)


@BOTH_KINDS
def test_no_step_of_a_run_waits_for_the_device(tmp_path: Any, gradients: str) -> None:
    run = Run(tmp_path, MODELS["wasserstein-gp, all options"], gradients, STRICT,
              show_every=10**9)  # fmt: skip
    with count_syncs() as syncs:
        waits: dict[int, int] = {}
        run.fit(lambda step: waits.update({step: len(syncs)}))
    for step in range(1, STEPS):
        if step % PER_EPOCH:
            assert waits[step] == waits[step - 1], syncs[waits[step - 1] : waits[step]]
        else:  # the end of an epoch may wait: for the figures, and to save
            assert waits[step] > waits[step - 1]


@EVERY_MODEL
def test_by_hand_and_autograd_train_alike(name: str) -> None:
    model, ends = MODELS[name], []
    for gradients in ("autograd", "by-hand"):
        learner, state, _ = begin(model, gradients, optim.Adam, critic_steps=2)
        for step in range(8):
            learner.step(state, data_of(model, step), 1e-2)
        ends.append(state.parameters.flat)
    # Adam divides by the root of v, which magnifies rounding where gradients are tiny.
    np.testing.assert_allclose(ends[1], ends[0], rtol=1e-7, atol=1e-10)


# Which gradients.


@pytest.mark.parametrize(
    ("options", "words"),
    [({"generator_norm": "layer"}, "a layer norm in the generator"),
     ({"discriminator_norm": "layer"}, "a layer norm in the discriminator"),
     ({"discriminator_norm": "batch"}, "a batch norm in the discriminator")],
)  # fmt: skip
def test_what_is_not_covered_by_hand_is_refused(options: dict[str, str], words: str) -> None:
    """At once, not in the first step, which is after the judge has been trained."""
    model = GAN(**(SMALL | options))
    with pytest.raises(InputError, match=f"{words}; take --gradients autograd"):
        duel(model, "by-hand")
    learner, state, _ = begin(model, "autograd")
    learner.step(state, data_of(model), 1e-2)


def test_the_one_that_looks_for_nan_makes_the_same_steps() -> None:
    model = MODELS["least-squares"]
    ends = []
    for watched in (False, True):
        learner, state, _ = begin(model, "autograd", optim.Adam, ratio=0.3, critic_steps=2)
        learner = learner.watched() if watched else learner
        for step in range(4):
            learner.step(state, data_of(model, step), 1e-2)
        ends.append(bits(state.parameters))
    assert ends[0] == ends[1]
    by_hand = replace(model, penalty=None)
    assert duel(by_hand, "by-hand", 0.3).watched().ratio == 0.3
