"""The GAN by closed forms and by differences: losses, penalties, draws, packs and samples."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strict import STRICT, count_syncs, see_dtypes

import tinygen as tg
from tinygen.byhand.gan import generator_loss_and_grads
from tinygen.errors import InputError
from tinygen.models import GAN
from tinygen.models.gan import LOSSES, PENALTIES, SETTLED
from tinygen.models.serialization import described, from_description
from tinygen.nn import BatchNorm

NUMPY = tg.get_backend("numpy")
SMALL: dict[str, Any] = {"pixels": 3, "latent": 2, "generator_hidden": (4,),
                         "discriminator_hidden": (5,), "generator_activation": "tanh",
                         "discriminator_activation": "tanh", "biases": "normal"}  # fmt: skip
LINEAR: dict[str, Any] = {**SMALL, "generator_hidden": (), "discriminator_hidden": ()}
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {"generator_norm": "none"},
    "packs of 2": {"pack": 2},
    "classes": {"classes": 3},
    "packs of 2 with classes": {"pack": 2, "classes": 3, "output": "none"},
    "dropout": {"dropout": 0.3, "discriminator_hidden": (5, 4)},
    "maxout": {"discriminator_activation": "maxout", "generator_activation": "maxout",
               "generator_norm": "none", "discriminator_hidden": (3, 2)},
    "layer norm": {"generator_norm": "layer", "discriminator_norm": "layer"},
    "batch norm in D": {"discriminator_norm": "batch", "dropout": 0.3},
    "a linear D": {"discriminator_hidden": ()},
}  # fmt: skip
"""What a loss must go along with; the generator has batch norm where nothing else is said."""
CASES = [(loss, name) for loss in LOSSES for name in OPTIONS
         if name != "batch norm in D" or loss not in PENALTIES]  # fmt: skip
EVERY_CASE = pytest.mark.parametrize(("loss", "name"), CASES)


def gan(loss: str = "non-saturating", **options: Any) -> GAN:
    return GAN(loss=loss, **(SMALL | options))


def turn(
    model: GAN, rows: int = 3, seed: int = 1, dtype: Any = np.float64, backend: Any = NUMPY
) -> tuple[Any, Any, tuple[Any, ...], tuple[Any, ...]]:
    """Both players' parameters, and all else that their losses take: (g, d, D's data, G's data).

    The numbers are those of NumPy's generator on every backend.
    """
    random, n = NUMPY.generator(seed), rows * model.pack
    p = model.initialise(seed, dtype)
    p.flat[...] += 0.2 * random.standard_normal(p.flat.shape, dtype=dtype)
    labels = None
    if model.classes:
        labels = np.eye(model.classes, dtype=dtype)[np.arange(n) * 5 % model.classes]
    real = random.random((n, model.pixels), dtype=dtype)
    fake = random.random((n, model.pixels), dtype=dtype)
    by_d, by_g = model.draw(real, random, 0, labels)
    p = p.to(backend)
    seen_by_d, seen_by_g = sent((real, fake, *by_d[2:]), backend), sent(tuple(by_g), backend)
    return p.part("generator."), p.part("discriminator."), seen_by_d, seen_by_g


def sent(data: Any, backend: Any) -> Any:
    if isinstance(data, tuple):
        return tuple(sent(part, backend) for part in data)
    return data if data is None else backend.asarray(data)


# Closed forms of a discriminator that is linear: its logits are sums that are written down here.


def packed(x: np.ndarray, labels: np.ndarray | None, pack: int) -> np.ndarray:
    """Each image with its class behind it, and `pack` of them in a row, one image at a time."""
    told = [row if labels is None else np.append(row, labels[i]) for i, row in enumerate(x)]
    return np.array([np.concatenate(told[i : i + pack]) for i in range(0, len(told), pack)])


def linear_logits(d: Any, x: Any, labels: Any, pack: int) -> np.ndarray:
    return (packed(x, labels, pack) * d["W1"][:, 0]).sum(axis=1) + d["b1"][0]


def bernoulli(a: np.ndarray, label: float) -> float:
    """The mean of ``-log P(label)`` where ``P(1) = 1 / (1 + exp(-a))``."""
    one = 1 / (1 + np.exp(-a))
    return float(np.mean(-label * np.log(one) - (1 - label) * np.log(1 - one)))


def expected_of_d(loss: str, a: np.ndarray, b: np.ndarray, smoothing: float = 0.0) -> float:
    """The discriminator's loss of the logits a of real images and b of fake ones."""
    if loss == "wasserstein-gp":
        return float(b.mean() - a.mean())
    if loss == "least-squares":
        return float(((a - 1 + smoothing) ** 2).mean() / 2 + (b**2).mean() / 2)
    return bernoulli(a, 1 - smoothing) + bernoulli(b, 0)


def expected_of_g(loss: str, b: np.ndarray) -> float:
    if loss == "wasserstein-gp":
        return float(-b.mean())
    if loss == "least-squares":
        return float(((b - 1) ** 2).mean() / 2)
    if loss == "minimax":  # it minimises what D maximises
        return float(np.log(1 - 1 / (1 + np.exp(-b))).mean())
    return bernoulli(b, 1)


@pytest.mark.parametrize("pack", [1, 3])
@pytest.mark.parametrize("classes", [0, 4])
@pytest.mark.parametrize("loss", LOSSES)
def test_both_losses_of_a_linear_discriminator(loss: str, classes: int, pack: int) -> None:
    smoothing = 0.0 if loss == "wasserstein-gp" else 0.2
    model = GAN(loss=loss, smoothing=smoothing, pack=pack, classes=classes, **LINEAR)
    g, d, (real, fake, labels, share, masks), (z, _, _) = turn(model, rows=4)
    a, b = (linear_logits(d, x, labels, pack) for x in (real, fake))
    W = d["W1"][:, 0].reshape(pack, 3 + classes)[:, :3]  # of pixels; a class has no slope
    slope = np.sqrt((W**2).sum())
    penalty = {"wasserstein-gp": 10 * (slope - 1) ** 2, "r1": slope**2 / 2}.get(loss, 0.0)
    expected = expected_of_d(loss, a, b, smoothing) + penalty
    found = float(model.discriminator_loss(d, real, fake, labels, share, masks))
    # 1e-12 under the root of the norm is 1e-11 in its square here; without it, rounding.
    assert found == pytest.approx(expected, rel=1e-10 if loss == "wasserstein-gp" else 1e-13)

    sums = (z if labels is None else np.append(z, labels, axis=1)) @ g["W1"] + g["b1"]
    images = 1 / (1 + np.exp(-sums))
    expected = expected_of_g(loss, linear_logits(d, images, labels, pack))
    assert model.generator_loss(g, d, z, labels) == pytest.approx(expected, rel=1e-13)


def test_what_minimax_and_non_saturating_share_and_what_not() -> None:
    """D's loss; and G's loss where D is undecided, but for its sign."""
    one, other = gan("minimax"), gan("non-saturating")
    g, d, seen_by_d, seen_by_g = turn(one)
    assert one.discriminator_loss(d, *seen_by_d) == other.discriminator_loss(d, *seen_by_d)
    d["W2"][...] = d["b2"][...] = 0
    assert one.generator_loss(g, d, *seen_by_g) == pytest.approx(-np.log(2), rel=1e-14)
    assert other.generator_loss(g, d, *seen_by_g) == pytest.approx(np.log(2), rel=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", ["non-saturating", "minimax", "r1"])
def test_logits_of_thousands_are_no_trouble(loss: str, dtype: Any) -> None:
    model = GAN(loss=loss, penalty=0.0 if loss == "r1" else None, **LINEAR)
    g, d, (real, fake, *_), (z, *_) = turn(model, dtype=dtype)
    d["W1"][...], d["b1"][...] = 0, 1e4
    loss_d, dd = tg.value_and_grad(model.discriminator_loss)(d, real, fake)
    assert loss_d == 1e4 and dd["b1"] == 1  # sure that the fake ones are real
    loss_g, dg = tg.value_and_grad(model.generator_loss)(g, d, z)
    assert loss_g == (-1e4 if loss == "minimax" else 0) and not dg.flat.any()


# The penalties.


class TanhCritic:
    """``tanh(x U + c) w + e`` in plain NumPy, with the slopes ``U ((1 - tanh^2) w)``."""

    def __init__(self, model: GAN, masks: Any = ()) -> None:
        self.model, self.mask = model, masks[0] if masks else 1.0

    def logits(self, d: Any, x: np.ndarray, masked: bool = True) -> np.ndarray:
        h = np.tanh(x @ d["W1"] + d["b1"]) * (self.mask if masked else 1.0)
        return (h * d["W2"][:, 0]).sum(axis=1) + d["b2"][0]

    def slopes(self, d: Any, x: np.ndarray) -> np.ndarray:
        curve = (1 - np.tanh(x @ d["W1"] + d["b1"]) ** 2) * self.mask
        return np.einsum("io,no->ni", d["W1"], curve * d["W2"][:, 0])

    def penalty(self, d: Any, real: np.ndarray, fake: np.ndarray, share: Any) -> float:
        weight = self.model.weight
        if self.model.loss == "r1":
            return float(weight / 2 * (self.slopes(d, real) ** 2).sum(axis=1).mean())
        x = share * real + (1 - share) * fake
        norm = np.sqrt((self.slopes(d, x) ** 2).sum(axis=1))
        return float(weight * ((norm - 1) ** 2).mean())


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("loss", PENALTIES)
def test_the_penalty_of_a_tanh_critic(loss: str, dropout: float) -> None:
    """Its value, and the gradient with the activation's curvature, by differences of the value."""
    model = gan(loss, penalty=3.0, dropout=dropout)
    _, d, (real, fake, labels, share, masks), _ = turn(model, rows=4)
    critic = TanhCritic(model, masks[2 if loss == "wasserstein-gp" else 0])

    def penalty(q: Any) -> Any:
        weighed = model.discriminator_loss(q, real, fake, labels, share, masks)
        without = replace(model, penalty=0.0)
        return weighed - without.discriminator_loss(q, real, fake, labels, share, masks)

    value, gradient = tg.value_and_grad(penalty)(d)
    # 1e-12 under the root, and the digits that the difference of two losses costs.
    assert value == pytest.approx(critic.penalty(d, real, fake, share), rel=1e-10)
    for v in np.random.default_rng(0).standard_normal((6, d.flat.size)):
        step = 1e-5 * v / np.linalg.norm(v)
        up, down = (critic.penalty(d.like(d.flat + s), real, fake, share) for s in (step, -step))
        expected = (up - down) / 2e-5
        found = gradient.flat @ v / np.linalg.norm(v)
        # The square of the step, and the 1e-16 / 1e-5 of rounding; a forgotten term is of order 1.
        assert found == pytest.approx(expected, abs=1e-7)


def measured_slopes(model: GAN, d: Any, x: np.ndarray, labels: Any, masks: Any) -> np.ndarray:
    """The logits' derivatives by the pixels of their images, from differences: (rows, pixels)."""
    h, found = 1e-6, []
    for i in range(x.shape[1] * model.pack):
        move = np.zeros_like(x)
        move.reshape(-1, model.pack * x.shape[1])[:, i] = h
        up, down = (model.logits(d, x + s * move, labels, masks, training=True) for s in (1, -1))
        found.append((up - down)[:, 0] / (2 * h))
    return np.stack(found, axis=1)


@pytest.mark.parametrize(("loss", "name"), [case for case in CASES if case[0] in PENALTIES])
def test_the_penalty_is_that_of_slopes_as_they_are_measured(loss: str, name: str) -> None:
    model = gan(loss, penalty=2.0, **OPTIONS[name])
    _, d, (real, fake, labels, share, masks), _ = turn(model)
    with_it = model.discriminator_loss(d, real, fake, labels, share, masks)
    without = replace(model, penalty=0.0)
    found = float(with_it - without.discriminator_loss(d, real, fake, labels, share, masks))
    if loss == "r1":
        v = measured_slopes(model, d, real, labels, masks[0])
        expected = 2.0 / 2 * (v**2).sum(axis=1).mean()
    else:
        every = np.repeat(share, model.pack, axis=0)
        v = measured_slopes(model, d, every * real + (1 - every) * fake, labels, masks[2])
        expected = 2.0 * ((np.sqrt((v**2).sum(axis=1)) - 1) ** 2).mean()
    assert found == pytest.approx(expected, rel=1e-7)  # 1e-16 / 1e-6 of rounding in a slope


def test_the_penalty_of_wasserstein_lies_on_the_line_from_fake_to_real() -> None:
    """With a share of 1 it is that of the real images, with 0 that of the fake ones."""
    model = gan("wasserstein-gp")
    _, d, (real, fake, _, share, _), _ = turn(model, rows=4)
    critic = TanhCritic(model)
    a, b = (critic.logits(d, x) for x in (real, fake))
    for one in (0.0, 1.0):
        found = float(model.discriminator_loss(d, real, fake, share=np.full_like(share, one)))
        v = critic.slopes(d, real if one else fake)
        penalty = 10 * ((np.sqrt((v**2).sum(axis=1)) - 1) ** 2).mean()
        assert found == pytest.approx(b.mean() - a.mean() + penalty, rel=1e-10)


@pytest.mark.parametrize("loss", PENALTIES)
def test_a_critic_that_is_flat_has_a_penalty_and_no_nan(loss: str) -> None:
    """All slopes are 0, where a norm has no derivative."""
    model = gan(loss)
    _, d, seen_by_d, _ = turn(model)
    d["W2"][...] = d["b2"][...] = 0
    value, gradient = tg.value_and_grad(model.discriminator_loss)(d, *seen_by_d)
    expected = {"wasserstein-gp": 10 * (1 - 1e-6) ** 2, "r1": 2 * np.log(2)}[loss]
    assert value == pytest.approx(expected, rel=1e-14)
    assert np.isfinite(gradient.flat).all()


# Differences.


@EVERY_CASE
def test_autograd_and_finite_differences_agree(loss: str, name: str) -> None:
    model = gan(loss, **OPTIONS[name])
    g, d, seen_by_d, seen_by_g = turn(model)
    tg.check_gradients(
        lambda q: model.discriminator_loss(q, *seen_by_d), d, tolerance=1e-6, directions=1
    )
    tg.check_gradients(
        lambda q: model.generator_loss(q, d, *seen_by_g), g, tolerance=1e-6, directions=1
    )


@settings(max_examples=25)
@given(
    st.sampled_from(LOSSES),
    st.sampled_from(["tanh", "softplus", "elu", "gelu", "none", "sigmoid", "leaky_relu"]),
    st.lists(st.integers(1, 4), max_size=3),
    st.integers(1, 3),
    st.integers(0, 10**6),
)
def test_differences_for_networks_of_any_depth(
    loss: str, activation: str, hidden: list[int], rows: int, seed: int
) -> None:
    model = gan(loss, discriminator_activation=activation, discriminator_hidden=tuple(hidden),
                generator_hidden=tuple(hidden), generator_norm="none")  # fmt: skip
    g, d, seen_by_d, seen_by_g = turn(model, rows, seed)
    tg.check_gradients(
        lambda q: model.discriminator_loss(q, *seen_by_d), d, tolerance=1e-6, directions=1
    )
    tg.check_gradients(
        lambda q: model.generator_loss(q, d, *seen_by_g), g, tolerance=1e-6, directions=1
    )


# What a step draws.


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", LOSSES)
def test_what_is_drawn(backend: Any, loss: str, dtype: Any) -> None:
    model = gan(loss, pack=2, classes=3, dropout=0.5, discriminator_hidden=(5, 4))
    x = backend.asarray(np.full((6, 3), 0.3, dtype))
    labels = backend.asarray(np.eye(3, dtype=dtype)[np.arange(6) % 3])
    with count_syncs() as syncs, see_dtypes() as seen:
        by_d, by_g = model.draw(x, backend.generator((0, 1, 7)), 7, labels)
    assert not syncs
    assert set(seen) <= {np.dtype(dtype), np.dtype(np.float32), np.dtype(bool)}
    assert by_d.real is x and by_d.labels is labels and by_g.labels is labels
    masks = [*by_d.masks[0], *by_d.masks[1], *by_d.masks[2], *by_g.masks]
    rows = 8 if loss == "wasserstein-gp" else 6
    assert [m.shape for m in masks] == [(3, 5), (3, 4)] * (rows // 2)
    drawn = [by_d.z, by_g.z, *masks]
    assert by_d.z.shape == by_g.z.shape == (6, 2)
    if loss == "wasserstein-gp":
        assert by_d.share.shape == (3, 1)
        drawn.append(by_d.share)
    else:
        assert by_d.share is None and by_d.masks[2] == ()
    assert all(a.dtype == dtype for a in drawn)
    # Each of them is a draw of its own, and so is every number of the noise.
    host = [backend.to_numpy(a) for a in drawn]
    numbers = np.concatenate([host[0].ravel(), host[1].ravel()])
    assert len(np.unique(numbers)) == numbers.size
    assert len({a.tobytes() for a in host}) == len(host)


def test_a_model_without_dropout_and_classes_draws_neither() -> None:
    by_d, by_g = gan().draw(np.zeros((4, 3), np.float32), NUMPY.generator(0))
    assert by_d.masks == ((), (), ()) and by_g.masks == ()
    assert by_d.labels is None and by_g.labels is None and by_d.share is None


def test_what_is_drawn_depends_on_nothing_but_the_seed_and_the_step() -> None:
    model, x = gan("wasserstein-gp", dropout=0.5), np.zeros((4, 3), np.float32)
    draws = [model.draw(x, NUMPY.generator((0, 1, step))) for step in (7, 7, 8)]

    def arrays(draw: Any) -> list[np.ndarray]:
        by_d, by_g = draw
        return [by_d.z, by_d.share, *sum(by_d.masks, ()), by_g.z, *by_g.masks]

    for a, b, c in zip(*map(arrays, draws), strict=True):
        np.testing.assert_array_equal(a, b)
        assert (a != c).any()


def test_the_noise_is_standard_normal_and_the_share_uniform() -> None:
    n = 20_000
    by_d, by_g = gan("wasserstein-gp").draw(np.zeros((n, 3)), NUMPY.generator(0))
    # The moments, and the deviations of powers of them: five of these, of their means.
    for z in (by_d.z, by_g.z):
        for power, moment, deviation in ((1, 0, 1), (2, 1, 2**0.5), (4, 3, 96**0.5)):
            error = 5 * deviation / z.size**0.5
            assert (z**power).mean() == pytest.approx(moment, abs=error)
    share = by_d.share
    assert share.min() >= 0 and share.max() <= 1
    assert share.mean() == pytest.approx(1 / 2, abs=5 * (1 / 12) ** 0.5 / n**0.5)
    assert (share**2).mean() == pytest.approx(1 / 3, abs=5 * (4 / 45) ** 0.5 / n**0.5)


# What the discriminator sees.


def test_a_pack_is_images_side_by_side() -> None:
    """The first images of a batch are in the first row; a discriminator of one weight shows it."""
    model = GAN(pack=3, classes=2, **{**LINEAR, "pixels": 4})
    d = model.initialise(0, np.float64).part("discriminator.")
    x, labels = np.arange(24.0).reshape(6, 4), np.eye(2)[[0, 1, 1, 1, 0, 0]]
    rows = []
    for weight in range(18):
        d.flat[...] = 0
        d["W1"][weight] = 1
        rows.append(model.logits(d, x, labels)[:, 0])
    expected = [
        [0, 1, 2, 3, 1, 0, 4, 5, 6, 7, 0, 1, 8, 9, 10, 11, 0, 1],
        [12, 13, 14, 15, 0, 1, 16, 17, 18, 19, 1, 0, 20, 21, 22, 23, 1, 0],
    ]
    np.testing.assert_array_equal(np.transpose(rows), expected)


def test_both_players_are_told_the_class() -> None:
    model = gan(classes=3, generator_norm="none")
    g, d, (real, fake, labels, share, masks), (z, _, _) = turn(model)
    others = np.roll(labels, 1, axis=1)
    assert (model.generate(g, z, labels) != model.generate(g, z, others)).all()
    assert (model.logits(d, real, labels) != model.logits(d, real, others)).all()
    # D has the labels of the fake images, too, and G hands them on to D.
    rest = (share, masks)
    a, b = (model.discriminator_loss(d, real, fake, told, *rest) for told in (labels, others))
    assert a != b
    only_d = {name: x.copy() for name, x in g.items()}
    only_d["W1"][2:] = 0  # what G knows of the class
    a, b = (model.generator_loss(only_d, d, z, told) for told in (labels, others))
    assert a != b


def test_dropout_has_one_mask_for_each_pass() -> None:
    """Every mask matters, that of a pass to that pass alone; without masks nothing is dropped."""
    model = gan("wasserstein-gp", dropout=0.5)
    g, d, (real, fake, labels, share, masks), (z, _, for_g) = turn(model)
    whole = np.ones((3, 5))
    a, b = (TanhCritic(model, m).logits(d, x) for m, x in ((masks[0], real), (masks[1], fake)))
    penalty = TanhCritic(model, masks[2]).penalty(d, real, fake, share)
    found = float(model.discriminator_loss(d, real, fake, labels, share, masks))
    assert found == pytest.approx(b.mean() - a.mean() + penalty, rel=1e-10)
    nothing_dropped = model.logits(d, real, None, (whole,), training=True)
    np.testing.assert_array_equal(model.logits(d, real), nothing_dropped)
    assert model.generator_loss(g, d, z, None, for_g) != model.generator_loss(g, d, z)


# Sampling.


def in_one_by_one(sample: Any, z: np.ndarray, labels: Any) -> np.ndarray:
    rows = [sample(z[i : i + 1], None if labels is None else labels[i : i + 1])
            for i in range(len(z))]  # fmt: skip
    return np.concatenate(rows)


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
def test_a_sample_does_not_depend_on_those_beside_it(norm: str, classes: int) -> None:
    model = gan(generator_norm=norm, classes=classes, generator_hidden=(4, 4))
    g, _, _, (z, labels, _) = turn(model, rows=6)
    before = g.flat.copy()
    sample = model.sampler(g)
    together = sample(z, labels)
    np.testing.assert_allclose(in_one_by_one(sample, z, labels), together, rtol=1e-13)
    np.testing.assert_array_equal(g.flat, before)
    assert together.shape == (6, 3) and ((together > 0) & (together < 1)).all()
    # In a training step it does, if there is a batch norm.
    alone = model.generate(g, z[:3], None if labels is None else labels[:3])
    assert np.allclose(alone, model.generate(g, z, labels)[:3]) == (norm != "batch")


def test_the_samplers_averages_are_those_of_its_own_noise() -> None:
    """Written out for one hidden layer; the unbiased variance, as in evaluation everywhere."""
    model = gan(generator_hidden=(4,), output="none")
    g, _, _, (z, _, _) = turn(model, rows=5)
    noise = np.random.default_rng(0).standard_normal((SETTLED, 2))
    a = noise @ g["W1"]
    m, v = a.mean(axis=0), a.var(axis=0, ddof=1)
    h = np.tanh((z @ g["W1"] - m) / np.sqrt(v + 1e-5) * g["gamma2"] + g["beta2"])
    np.testing.assert_allclose(model.sampler(g)(z), h @ g["W3"] + g["b3"], rtol=1e-11)


def test_the_samplers_averages_have_every_class_in_equal_parts() -> None:
    model = gan(generator_hidden=(1,), output="none", classes=4, generator_activation="none")
    g, _, _, _ = turn(model)
    g["W1"][...] = [[0], [0], [4], [8], [0], [0]]  # the class alone: 4, 8, 0, 0
    g["gamma2"][...], g["beta2"][...], g["W3"][...], g["b3"][...] = 1, 0, 1, 0
    found = model.sampler(g)(np.zeros((4, 2)), np.eye(4))
    deviation = np.sqrt(11 * SETTLED / (SETTLED - 1) + 1e-5)
    expected = (np.array([4, 8, 0, 0]) - 3) / deviation
    np.testing.assert_allclose(found, np.repeat(expected[:, None], 3, axis=1), rtol=1e-12)


def test_a_sampler_is_the_same_after_training_and_after_another_sampler() -> None:
    model = gan()
    g, d, _, seen_by_g = turn(model)
    z = seen_by_g[0]
    before = model.sampler(g)(z)
    tg.value_and_grad(model.generator_loss)(g, d, *seen_by_g)
    model.generate(g, z)
    assert all(not layer.momentum for layer in model.generator.layers
               if isinstance(layer, BatchNorm))  # fmt: skip
    np.testing.assert_array_equal(model.sampler(g)(z), before)
    first, kept = model.sampler(g), g.copy()
    other = model.initialise(5, np.float64).part("generator.")
    np.testing.assert_array_equal(model.sampler(other)(z), gan().sampler(other)(z))
    np.testing.assert_array_equal(first(z), before)
    np.testing.assert_array_equal(model.sampler(kept)(z), before)


@pytest.mark.parametrize("classes", [0, 3])
def test_samples_are_the_same_on_every_backend(backend: Any, classes: int) -> None:
    model = gan(classes=classes)
    finals = []
    for place in (NUMPY, backend):
        g, _, _, (z, labels, _) = turn(model, dtype=np.float32, backend=place)
        with see_dtypes() as seen:
            sample = model.sampler(g)
            with count_syncs() as syncs:
                x = sample(z, labels)
        assert not syncs and np.float64 not in seen and x.dtype == np.float32
        finals.append(place.to_numpy(x))
    np.testing.assert_allclose(finals[1], finals[0], atol=1e-6)  # another library's float32


# Whether D is deceived.


@pytest.mark.parametrize("loss", LOSSES)
def test_accuracy_counts_what_is_on_the_right_side(backend: Any, loss: str) -> None:
    model = GAN(loss=loss, **{**LINEAR, "pixels": 1})
    d = model.initialise(0, np.float64, backend).part("discriminator.")
    d["W1"][...], d["b1"][...] = 1, 0
    real, fake = (backend.asarray(np.array(x)[:, None]) for x in
                  ([1.0, 2, -1, 0.4], [-2.0, 0.3, 0.6, -1]))  # fmt: skip
    # The means are 0.6 and -0.525, so the middle is 0.0375.
    expected = {"least-squares": (2 / 4, 3 / 4)}.get(loss, (3 / 4, 2 / 4))
    found = model.accuracy(d, real, fake)
    assert found == {"real_accuracy": expected[0], "fake_accuracy": expected[1]}


def test_a_critic_has_no_zero() -> None:
    """Its logits may be shifted by any number, and it is as right as before."""
    model = GAN(loss="wasserstein-gp", **{**LINEAR, "pixels": 1})
    d = model.initialise(0, np.float64).part("discriminator.")
    real, fake = np.array([[3.0], [2]]), np.array([[1.0], [2.2]])
    for shift in (0.0, 100.0, -100.0):
        d["W1"][...], d["b1"][...] = 1, shift
        assert model.accuracy(d, real, fake) == {"real_accuracy": 0.5, "fake_accuracy": 0.5}


def test_accuracy_leaves_out_what_fills_no_pack_and_drops_nothing() -> None:
    model = GAN(pack=2, classes=2, dropout=0.9, **SMALL)
    d = model.initialise(0, np.float64).part("discriminator.")
    random = np.random.default_rng(0)
    real, fake, labels = random.random((7, 3)), random.random((7, 3)), np.eye(2)[[0, 1] * 3 + [0]]
    found = model.accuracy(d, real, fake, labels)
    assert found == model.accuracy(d, real[:6], fake[:6], labels[:6])
    assert found["real_accuracy"] in (0, 1 / 3, 2 / 3, 1)


def test_accuracy_where_d_has_batch_norm() -> None:
    model = gan(discriminator_norm="batch")
    _, d, (real, fake, *_), _ = turn(model, rows=6)
    found = model.accuracy(d, real, fake)
    # Real images beside real ones, as in training.
    share = (model.logits(d, real, training=True) > 0).mean()
    assert found["real_accuracy"] == share


def test_accuracy_where_d_has_batch_norm_and_dropout() -> None:
    model = gan(discriminator_norm="batch", dropout=0.3)
    _, d, (real, fake, *_), _ = turn(model, rows=6)
    assert set(model.accuracy(d, real, fake).values()) <= {k / 6 for k in range(7)}


# What the discriminator says outside of training.


@pytest.mark.parametrize("pack", [1, 2])
def test_what_d_says_of_an_image_is_settled_by_the_images_that_are_named(pack: int) -> None:
    """Written out for one hidden layer; those beside it play no part, and nothing is dropped."""
    model = gan(discriminator_norm="batch", dropout=0.3, pack=pack)
    _, d, (real, fake, *_), _ = turn(model, rows=6)
    seen = np.concatenate([real, fake])
    settled = model.settle(d, seen)
    rows, asked = (x.reshape(len(x) // pack, -1) for x in (seen, real))
    a = rows @ d["W1"]
    m, v = a.mean(axis=0), a.var(axis=0, ddof=1)
    h = np.tanh((asked @ d["W1"] - m) / np.sqrt(v + 1e-5) * d["gamma2"] + d["beta2"])
    expected = h @ d["W3"] + d["b3"]
    together = model.logits(d, real, settled=settled)
    np.testing.assert_allclose(together, expected, rtol=1e-11)
    alone = model.logits(d, real[:pack], settled=settled)
    np.testing.assert_allclose(alone, expected[:1], rtol=1e-11)


def test_whether_d_is_in_training_must_be_said() -> None:
    """It cannot be guessed: the wrong statistics are no error, but wrong numbers."""
    model = gan(discriminator_norm="batch", dropout=0.3)
    _, d, (real, _, _, _, (masks, *_)), _ = turn(model)
    with pytest.raises(InputError, match="needs statistics outside of training; pass settled="):
        model.logits(d, real)
    for one in (model, gan(dropout=0.3)):
        with pytest.raises(InputError, match="masks are those of a training step; pass training"):
            one.logits(d, real, None, masks)


# Backends and dtypes.


@pytest.mark.parametrize("name", ["packs of 2 with classes", "dropout", "maxout", "layer norm"])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_losses_are_the_same_on_every_backend_and_wait_for_nothing(
    backend: Any, loss: str, name: str
) -> None:
    model = gan(loss, **OPTIONS[name])
    found = []
    for place in (NUMPY, backend):
        g, d, seen_by_d, seen_by_g = turn(model, dtype=np.float32, backend=place)
        with count_syncs() as syncs, see_dtypes() as seen:
            of_d = tg.value_and_grad(model.discriminator_loss)(d, *seen_by_d)
            of_g = tg.value_and_grad(model.generator_loss)(g, d, *seen_by_g)
        assert not syncs and np.float64 not in seen
        found.append([place.to_numpy(x) for J, f in (of_d, of_g) for x in (J, f.flat)])
    for here, there in zip(*found, strict=True):
        # The same float32 arithmetic in another library: a few roundings, times a penalty of 10.
        np.testing.assert_allclose(there, here, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@EVERY_CASE
def test_the_dtype_stays(loss: str, name: str, dtype: Any) -> None:
    model = gan(loss, **OPTIONS[name])
    g, d, seen_by_d, seen_by_g = turn(model, dtype=dtype, backend=STRICT)
    with see_dtypes() as seen:
        of_d = tg.value_and_grad(model.discriminator_loss)(d, *seen_by_d)
        of_g = tg.value_and_grad(model.generator_loss)(g, d, *seen_by_g)
    for loss_value, gradients in (of_d, of_g):
        assert loss_value.dtype == gradients.flat.dtype == dtype and loss_value.shape == ()
    assert {t for t in seen if t.kind == "f"} == {np.dtype(dtype)}


def test_a_numpy_number_as_an_option_is_no_contagion() -> None:
    model = gan("r1", penalty=np.float64(3), smoothing=np.float64(0.1))
    _, d, seen_by_d, _ = turn(model, dtype=np.float32)
    assert model.discriminator_loss(d, *seen_by_d).dtype == np.float32
    assert type(model.penalty) is type(model.smoothing) is float


# The parameters.


def test_the_parameters_are_both_players_in_one_vector() -> None:
    p = GAN(pixels=3, latent=2, generator_hidden=(4,), discriminator_hidden=(5,), pack=2,
            classes=1).initialise(0)  # fmt: skip
    assert p.shapes == {
        "generator.W1": (3, 4), "generator.gamma2": (4,), "generator.beta2": (4,),
        "generator.W3": (4, 3), "generator.b3": (3,),
        "discriminator.W1": (8, 5), "discriminator.b1": (5,),
        "discriminator.W2": (5, 1), "discriminator.b2": (1,),
    }  # fmt: skip
    assert p.flat.dtype == np.float32
    np.testing.assert_array_equal(p["generator.gamma2"], 1)
    assert len(np.unique(p["discriminator.W1"])) == 40


def test_all_backends_start_with_the_same_parameters(backend: Any) -> None:
    for dtype in (np.float32, np.float64):
        p, there = gan().initialise(3, dtype), gan().initialise(3, dtype, backend)
        np.testing.assert_array_equal(backend.to_numpy(there.flat), p.flat)
    assert (gan().initialise(4).flat != gan().initialise(3).flat).any()


# What is refused.


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"loss": "hinge"}, "unknown loss 'hinge'"),
        ({"output": "tanh"}, "unknown output 'tanh'"),
        ({"generator_activation": "sin"}, "unknown activation 'sin'"),
        ({"discriminator_activation": "sin"}, "unknown activation 'sin'"),
        ({"generator_norm": "group"}, "unknown norm 'group'"),
        ({"discriminator_norm": "group"}, "unknown norm 'group'"),
        ({"weights": "ones"}, "unknown weights 'ones'"),
        ({"biases": "ones"}, "unknown biases 'ones'"),
        ({"penalty": 1.0}, "the loss non-saturating has no gradient penalty to weigh"),
        ({"penalty": 0.0, "loss": "minimax"}, "the loss minimax has no gradient penalty"),
        ({"penalty": -1.0, "loss": "r1"}, "penalty must be at least 0, got -1.0"),
        ({"penalty": np.nan, "loss": "r1"}, "penalty must be at least 0, got nan"),
        ({"penalty": np.inf, "loss": "wasserstein-gp"}, "penalty must be at least 0, got inf"),
        ({"smoothing": -0.1}, "smoothing must be at least 0, got -0.1"),
        ({"smoothing": 1.0}, "smoothing must be below 1, got 1.0"),
        ({"smoothing": 0.1, "loss": "wasserstein-gp"}, "smoothing needs labels"),
        ({"pack": 0}, "pack must be at least 1 image, got 0"),
        ({"pack": 1.5}, "pack must be at least 1 image, got 1.5"),
        ({"pack": np.int64(-2)}, "pack must be at least 1 image, got -2"),
        ({"classes": -1}, "classes must be at least 0, got -1"),
        ({"classes": 2.0}, "classes must be at least 0, got 2.0"),
        ({"dropout": 1.0}, "the rate must be at least 0 and below 1, got 1.0"),
        ({"pixels": 0}, "widths must be whole numbers, at least 1"),
        ({"latent": -3}, "widths must be whole numbers, at least 1"),
        ({"generator_hidden": (4, 0)}, "widths must be whole numbers, at least 1"),
        ({"discriminator_hidden": (0,)}, "widths must be whole numbers, at least 1"),
        ({"generator_activation": "maxout"}, "maxout has no place for a batch norm"),
        ({"discriminator_activation": "maxout", "discriminator_norm": "layer"},
         "maxout has no place for a layer norm"),
        ({"discriminator_norm": "batch", "loss": "r1"}, "the loss r1 penalises .* use layer norm"),
        ({"discriminator_norm": "batch", "loss": "wasserstein-gp"}, "use layer norm"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_in_a_sentence(
    options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence) as error:
        GAN(**{"latent": 3, **options})
    assert "\n" not in str(error.value)


def test_labels_are_given_if_and_only_if_there_are_classes() -> None:
    labels, x, z = np.eye(3), np.zeros((3, 3)), np.zeros((3, 2))
    told = gan(classes=3)
    for model, given_, words in ((gan(), labels, r"to be None for these images, got \(3, 3\)"),
                                 (told, None, r"to be \(3, 3\) .*, got None"),
                                 (told, labels[:2], r"be \(3, 3\) .*, got \(2, 3\)"),
                                 (told, labels[:, 1:], r"\(3, 3\) .*, got \(3, 2\)"),
                                 (told, labels[0], r"\(3, 3\) .*, got \(3,\)")):  # fmt: skip
        p = model.initialise(0, np.float64)
        g, d = p.part("generator."), p.part("discriminator.")
        for call in (
            lambda: model.generate(g, z, given_),  # noqa: B023  called at once
            lambda: model.sampler(g)(z, given_),  # noqa: B023
            lambda: model.logits(d, x, given_),  # noqa: B023
            lambda: model.accuracy(d, x, x, given_),  # noqa: B023
            lambda: model.discriminator_loss(d, x, x, given_),  # noqa: B023
            lambda: model.generator_loss(g, d, z, given_),  # noqa: B023
        ):
            with pytest.raises(InputError, match=words):
                call()


def test_labels_of_another_dtype_are_refused() -> None:
    """They would make float64 of float32 images; by hand they are refused, too."""
    model = gan(classes=3)
    p = model.initialise(0)
    g, d, labels = p.part("generator."), p.part("discriminator."), np.eye(3)
    x, z = np.zeros((3, 3), np.float32), np.zeros((3, 2), np.float32)
    for call in (
        lambda: model.generate(g, z, labels),
        lambda: model.sampler(g)(z, labels),
        lambda: model.logits(d, x, labels),
        lambda: model.generator_loss(g, d, z, labels),
        lambda: generator_loss_and_grads(g, d, z, labels, **model.generator_terms),
    ):
        with pytest.raises(TypeError, match=r"labels (are|is numpy) float64"):
            call()
    assert model.generate(g, z, labels.astype(np.float32)).dtype == np.float32


def test_numbers_of_numpy_are_good_and_can_be_written_down() -> None:
    model = gan(pack=np.int64(2), classes=np.uint8(3))
    assert model == gan(pack=2, classes=3)
    described_ = json.loads(json.dumps(described(model)))
    assert from_description(described_) == model


@pytest.mark.parametrize("shape", [None, (3,), (1, 1), (3, 3), (6, 1)])
def test_the_share_has_a_number_for_each_row(shape: Any) -> None:
    model = gan("wasserstein-gp", pack=2)
    _, d, (real, fake, *_), _ = turn(model)
    share = None if shape is None else np.zeros(shape)
    with pytest.raises(InputError, match=r"share is (None|\(.*\)), expected \(3, 1\)"):
        model.discriminator_loss(d, real, fake, None, share)


def test_a_batch_that_is_no_number_of_packs_is_refused() -> None:
    model = gan(pack=4)
    g, d, _, _ = turn(model)
    for call in (
        lambda: model.logits(d, np.zeros((6, 3))),
        lambda: model.generator_loss(g, d, np.zeros((6, 2))),
    ):
        with pytest.raises(InputError, match="6 images do not fill packs of 4"):
            call()


def test_the_accuracy_on_less_than_a_pack_is_refused() -> None:
    model = gan(pack=4)
    _, d, _, _ = turn(model)
    with pytest.raises(InputError, match="3 images do not fill a pack of 4"):
        model.accuracy(d, np.zeros((3, 3)), np.zeros((3, 3)))


def test_other_numbers_of_real_and_fake_images_are_refused() -> None:
    """The means of each would go together, but not what lies between."""
    model = gan()
    _, d, (real, fake, *_), _ = turn(model)
    with pytest.raises(InputError, match=r"fake is \(2, 3\), real is \(3, 3\); expected one shape"):
        model.discriminator_loss(d, real, fake[:2])


def test_a_batch_of_one_with_batch_norm_is_refused() -> None:
    for options in ({}, {"discriminator_norm": "batch", "generator_norm": "none"}):
        model = gan(**options)
        p = model.initialise(0, np.float64)
        g, d = p.part("generator."), p.part("discriminator.")
        with pytest.raises(InputError, match="a batch of one has no variance"):
            model.generator_loss(g, d, np.zeros((1, 2)))
