"""Checks of the GAN, for its tests and for the table of mutants."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from strict import count_syncs, see_dtypes

import tinygen as tg
from tinygen.models import GAN
from tinygen.models.gan import CALIBRATION_ROWS
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


def check_losses_of_a_linear_discriminator(loss: str, classes: int, pack: int) -> None:
    smoothing = 0.0 if loss == "wasserstein-gp" else 0.2
    model = GAN(loss=loss, smoothing=smoothing, pack=pack, classes=classes, **LINEAR)
    g, d, (real, fake, labels, alpha, masks), (z, _, _) = turn(model, rows=4)
    a, b = (linear_logits(d, x, labels, pack) for x in (real, fake))
    W = d["W1"][:, 0].reshape(pack, 3 + classes)[:, :3]  # of pixels; a class has no derivative
    norm = np.sqrt((W**2).sum())
    penalty = {"wasserstein-gp": 10 * (norm - 1) ** 2, "r1": norm**2 / 2}.get(loss, 0.0)
    expected = expected_of_d(loss, a, b, smoothing) + penalty
    found = model.discriminator_loss(d, real, fake, labels, alpha, masks).item()
    # 1e-12 under the root of the norm is 1e-11 in its square here; without it, rounding.
    assert found == pytest.approx(expected, rel=1e-10 if loss == "wasserstein-gp" else 1e-13)

    sums = (z if labels is None else np.append(z, labels, axis=1)) @ g["W1"] + g["b1"]
    images = 1 / (1 + np.exp(-sums))
    expected = expected_of_g(loss, linear_logits(d, images, labels, pack))
    assert model.generator_loss(g, d, z, labels) == pytest.approx(expected, rel=1e-13)


class TanhCritic:
    """``tanh(x U + c) w + e`` in plain NumPy, with the derivatives ``U ((1 - tanh^2) w)``."""

    def __init__(self, model: GAN, masks: Any = ()) -> None:
        self.model, self.mask = model, masks[0] if masks else 1.0

    def logits(self, d: Any, x: np.ndarray, masked: bool = True) -> np.ndarray:
        h = np.tanh(x @ d["W1"] + d["b1"]) * (self.mask if masked else 1.0)
        return (h * d["W2"][:, 0]).sum(axis=1) + d["b2"][0]

    def derivatives(self, d: Any, x: np.ndarray) -> np.ndarray:
        curve = (1 - np.tanh(x @ d["W1"] + d["b1"]) ** 2) * self.mask
        return np.einsum("io,no->ni", d["W1"], curve * d["W2"][:, 0])

    def penalty(self, d: Any, real: np.ndarray, fake: np.ndarray, alpha: Any) -> float:
        weight = self.model.weight
        if self.model.loss == "r1":
            return float(weight / 2 * (self.derivatives(d, real) ** 2).sum(axis=1).mean())
        x = alpha * real + (1 - alpha) * fake
        norm = np.sqrt((self.derivatives(d, x) ** 2).sum(axis=1))
        return float(weight * ((norm - 1) ** 2).mean())


def check_penalty_of_a_tanh_critic(loss: str, dropout: float) -> None:
    """Its value, and the gradient with the activation's curvature, by differences of the value."""
    model = gan(loss, penalty=3.0, dropout=dropout)
    _, d, (real, fake, labels, alpha, masks), _ = turn(model, rows=4)
    critic = TanhCritic(model, masks[2 if loss == "wasserstein-gp" else 0])

    def penalty(q: Any) -> Any:
        weighed = model.discriminator_loss(q, real, fake, labels, alpha, masks)
        without = replace(model, penalty=0.0)
        return weighed - without.discriminator_loss(q, real, fake, labels, alpha, masks)

    value, gradient = tg.value_and_grad(penalty)(d)
    # 1e-12 under the root, and the digits that the difference of two losses costs.
    assert value == pytest.approx(critic.penalty(d, real, fake, alpha), rel=1e-10)
    for v in np.random.default_rng(0).standard_normal((6, d.flat.size)):
        step = 1e-5 * v / np.linalg.norm(v)
        up, down = (critic.penalty(d.like(d.flat + s), real, fake, alpha) for s in (step, -step))
        expected = (up - down) / 2e-5
        found = gradient.flat @ v / np.linalg.norm(v)
        # The square of the step, and the 1e-16 / 1e-5 of rounding; a forgotten term is of order 1.
        assert found == pytest.approx(expected, abs=1e-7)


def measured_derivatives(model: GAN, d: Any, x: np.ndarray, labels: Any, masks: Any) -> np.ndarray:
    """The logits' derivatives by the pixels of their images, from differences: (rows, pixels)."""
    h, found = 1e-6, []
    for i in range(x.shape[1] * model.pack):
        move = np.zeros_like(x)
        move.reshape(-1, model.pack * x.shape[1])[:, i] = h
        up, down = (model.logits(d, x + s * move, labels, masks, training=True) for s in (1, -1))
        found.append((up - down)[:, 0] / (2 * h))
    return np.stack(found, axis=1)


def check_penalty_by_differences(loss: str, name: str) -> None:
    model = gan(loss, penalty=2.0, **OPTIONS[name])
    _, d, (real, fake, labels, alpha, masks), _ = turn(model)
    with_it = model.discriminator_loss(d, real, fake, labels, alpha, masks)
    without = replace(model, penalty=0.0)
    found = (with_it - without.discriminator_loss(d, real, fake, labels, alpha, masks)).item()
    if loss == "r1":
        v = measured_derivatives(model, d, real, labels, masks[0])
        expected = 2.0 / 2 * (v**2).sum(axis=1).mean()
    else:
        every = np.repeat(alpha, model.pack, axis=0)
        v = measured_derivatives(model, d, every * real + (1 - every) * fake, labels, masks[2])
        expected = 2.0 * ((np.sqrt((v**2).sum(axis=1)) - 1) ** 2).mean()
    assert found == pytest.approx(expected, rel=1e-7)  # 1e-16 / 1e-6 of rounding in a derivative


def check_interpolates() -> None:
    """With an alpha of 1 it is that of the real images, with 0 that of the fake ones."""
    model = gan("wasserstein-gp")
    _, d, (real, fake, _, alpha, _), _ = turn(model, rows=4)
    critic = TanhCritic(model)
    a, b = (critic.logits(d, x) for x in (real, fake))
    for one in (0.0, 1.0):
        found = model.discriminator_loss(d, real, fake, alpha=np.full_like(alpha, one)).item()
        v = critic.derivatives(d, real if one else fake)
        penalty = 10 * ((np.sqrt((v**2).sum(axis=1)) - 1) ** 2).mean()
        assert found == pytest.approx(b.mean() - a.mean() + penalty, rel=1e-10)


# What a step draws, and what it does with that.


def check_draws(backend: Any, loss: str, dtype: Any) -> None:
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
        assert by_d.alpha.shape == (3, 1)
        drawn.append(by_d.alpha)
    else:
        assert by_d.alpha is None and by_d.masks[2] == ()
    assert all(a.dtype == dtype for a in drawn)
    # Each of them is a draw of its own, and so is every number of the noise.
    host = [backend.to_numpy(a) for a in drawn]
    numbers = np.concatenate([host[0].ravel(), host[1].ravel()])
    assert len(np.unique(numbers)) == numbers.size
    assert len({a.tobytes() for a in host}) == len(host)


def check_moments_of_draws() -> None:
    n = 20_000
    by_d, by_g = gan("wasserstein-gp").draw(np.zeros((n, 3)), NUMPY.generator(0))
    # The moments, and the standard deviations of powers of them: five of these, of their means.
    for z in (by_d.z, by_g.z):
        for power, moment, std in ((1, 0, 1), (2, 1, 2**0.5), (4, 3, 96**0.5)):
            error = 5 * std / z.size**0.5
            assert (z**power).mean() == pytest.approx(moment, abs=error)
    alpha = by_d.alpha
    assert alpha.min() >= 0 and alpha.max() <= 1
    assert alpha.mean() == pytest.approx(1 / 2, abs=5 * (1 / 12) ** 0.5 / n**0.5)
    assert (alpha**2).mean() == pytest.approx(1 / 3, abs=5 * (4 / 45) ** 0.5 / n**0.5)


def check_packs() -> None:
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


def check_classes() -> None:
    model = gan(classes=3, generator_norm="none")
    g, d, (real, fake, labels, alpha, masks), (z, _, _) = turn(model)
    others = np.roll(labels, 1, axis=1)
    assert (model.generate(g, z, labels) != model.generate(g, z, others)).all()
    assert (model.logits(d, real, labels) != model.logits(d, real, others)).all()
    # D has the labels of the fake images, too, and G hands them on to D.
    rest = (alpha, masks)
    a, b = (model.discriminator_loss(d, real, fake, told, *rest) for told in (labels, others))
    assert a != b
    only_d = {name: x.copy() for name, x in g.items()}
    only_d["W1"][2:] = 0  # what G knows of the class
    a, b = (model.generator_loss(only_d, d, z, told) for told in (labels, others))
    assert a != b


def check_dropout_masks() -> None:
    """Every mask matters, that of a pass to that pass alone; without masks nothing is dropped."""
    model = gan("wasserstein-gp", dropout=0.5)
    g, d, (real, fake, labels, alpha, masks), (z, _, for_g) = turn(model)
    whole = np.ones((3, 5))
    a, b = (TanhCritic(model, m).logits(d, x) for m, x in ((masks[0], real), (masks[1], fake)))
    penalty = TanhCritic(model, masks[2]).penalty(d, real, fake, alpha)
    found = model.discriminator_loss(d, real, fake, labels, alpha, masks).item()
    assert found == pytest.approx(b.mean() - a.mean() + penalty, rel=1e-10)
    nothing_dropped = model.logits(d, real, None, (whole,), training=True)
    np.testing.assert_array_equal(model.logits(d, real), nothing_dropped)
    assert model.generator_loss(g, d, z, None, for_g) != model.generator_loss(g, d, z)


# Samples, and accuracy.


def in_one_by_one(sample: Any, z: np.ndarray, labels: Any) -> np.ndarray:
    rows = [sample(z[i : i + 1], None if labels is None else labels[i : i + 1])
            for i in range(len(z))]  # fmt: skip
    return np.concatenate(rows)


def check_samples_are_independent(norm: str, classes: int) -> None:
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


def check_running_statistics() -> None:
    """Written out for one hidden layer; the unbiased variance, as in evaluation everywhere."""
    model = gan(generator_hidden=(4,), output="none")
    g, _, _, (z, _, _) = turn(model, rows=5)
    noise = np.random.default_rng(0).standard_normal((CALIBRATION_ROWS, 2))
    a = noise @ g["W1"]
    m, v = a.mean(axis=0), a.var(axis=0, ddof=1)
    h = np.tanh((z @ g["W1"] - m) / np.sqrt(v + 1e-5) * g["gamma2"] + g["beta2"])
    np.testing.assert_allclose(model.sampler(g)(z), h @ g["W3"] + g["b3"], rtol=1e-11)


def check_running_statistics_of_classes() -> None:
    model = gan(generator_hidden=(1,), output="none", classes=4, generator_activation="none")
    g, _, _, _ = turn(model)
    g["W1"][...] = [[0], [0], [4], [8], [0], [0]]  # the class alone: 4, 8, 0, 0
    g["gamma2"][...], g["beta2"][...], g["W3"][...], g["b3"][...] = 1, 0, 1, 0
    found = model.sampler(g)(np.zeros((4, 2)), np.eye(4))
    std = np.sqrt(11 * CALIBRATION_ROWS / (CALIBRATION_ROWS - 1) + 1e-5)
    expected = (np.array([4, 8, 0, 0]) - 3) / std
    np.testing.assert_allclose(found, np.repeat(expected[:, None], 3, axis=1), rtol=1e-12)


def check_sampler_is_repeatable() -> None:
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


def check_accuracy(backend: Any, loss: str) -> None:
    model = GAN(loss=loss, **{**LINEAR, "pixels": 1})
    d = model.initialise(0, np.float64, backend).part("discriminator.")
    d["W1"][...], d["b1"][...] = 1, 0
    real, fake = (backend.asarray(np.array(x)[:, None]) for x in
                  ([1.0, 2, -1, 0.4], [-2.0, 0.3, 0.6, -1]))  # fmt: skip
    # The means are 0.6 and -0.525, so the middle is 0.0375.
    expected = {"least-squares": (2 / 4, 3 / 4)}.get(loss, (3 / 4, 2 / 4))
    found = model.accuracy(d, real, fake)
    assert found == {"real_accuracy": expected[0], "fake_accuracy": expected[1]}


def check_accuracy_of_a_critic() -> None:
    """Its logits may be shifted by any number, and it is as right as before."""
    model = GAN(loss="wasserstein-gp", **{**LINEAR, "pixels": 1})
    d = model.initialise(0, np.float64).part("discriminator.")
    real, fake = np.array([[3.0], [2]]), np.array([[1.0], [2.2]])
    for shift in (0.0, 100.0, -100.0):
        d["W1"][...], d["b1"][...] = 1, shift
        assert model.accuracy(d, real, fake) == {"real_accuracy": 0.5, "fake_accuracy": 0.5}
