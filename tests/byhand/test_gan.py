"""The GAN by hand against autograd, finite differences, closed forms and its worked example."""

from __future__ import annotations

import inspect
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from agreement import TOLERANCES, arrays_in, assert_close, relative, sent
from differences import directional_derivative
from hypothesis import given, settings
from hypothesis import strategies as st
from strict import count_syncs, see_dtypes

import tinygen as tg
from tinygen.byhand import checks, gan, pieces
from tinygen.byhand.checks import LOSSES
from tinygen.byhand.gan import discriminator_loss_and_grads, generate, generator_loss_and_grads
from tinygen.byhand.pieces import ACTIVATIONS, SECOND, TINY
from tinygen.errors import InputError
from tinygen.models import GAN
from tinygen.models import gan as model_gan
from tinygen.models.gan import PENALTIES
from tinygen.nn import BatchNorm, Maxout
from tinygen.parameters import Parameters

NUMPY = tg.get_backend("numpy")


@st.composite
def models(draw: Any) -> GAN:
    """A GAN of any shape, with every option."""
    loss = draw(st.sampled_from(LOSSES))
    widths = st.lists(st.integers(1, 7), max_size=3).map(tuple)
    activations = st.sampled_from(sorted(ACTIVATIONS))
    of_g = draw(activations)
    norms = ["none"] if of_g == "maxout" else ["batch", "none"]
    return GAN(
        pixels=draw(st.integers(1, 7)),
        latent=draw(st.integers(1, 5)),
        generator_hidden=draw(widths),
        discriminator_hidden=draw(widths),
        generator_activation=of_g,
        discriminator_activation=draw(activations),
        generator_norm=draw(st.sampled_from(norms)),
        dropout=draw(st.sampled_from([0.0, 0.4])),
        output=draw(st.sampled_from(["sigmoid", "none"])),
        loss=loss,
        penalty=draw(st.sampled_from([None, 3.0])) if loss in PENALTIES else None,
        smoothing=0.0 if loss == "wasserstein-gp" else draw(st.sampled_from([0.0, 0.2])),
        pack=draw(st.integers(1, 3)),
        classes=draw(st.sampled_from([0, 3])),
        weights=draw(st.sampled_from(["glorot_uniform", "he_normal"])),
        biases="normal",
    )


ROWS = st.integers(2, 5)
"""Of D. With batch norm, a batch of one image is refused."""


def turn(
    model: GAN, rows: int, seed: int, dtype: Any = np.float64
) -> tuple[Parameters, Parameters, tuple[Any, ...], tuple[Any, ...]]:
    """Both players' parameters, and what each sees: (g, d, D's data, G's data)."""
    generator = NUMPY.generator(seed)
    n = rows * model.pack
    p = model.initialise(seed, dtype)
    # Not where gamma is 1 and beta 0, and a forgotten factor would hide.
    p.flat[...] += 0.1 * generator.standard_normal(p.flat.shape).astype(dtype)
    labels = None
    if model.classes:
        labels = np.eye(model.classes, dtype=dtype)[np.arange(n) * 7 % model.classes]
    x = generator.random((n, model.pixels), dtype=dtype)
    fake = generator.random((n, model.pixels), dtype=dtype)
    by_d, by_g = model.draw(x, generator, 0, labels)
    d, g = p.part("discriminator."), p.part("generator.")
    return g, d, (by_d.real, fake, *by_d[2:]), tuple(by_g)


def both(model: GAN, g: Any, d: Any, seen_by_d: Any, seen_by_g: Any, **options: Any) -> Any:
    """Both players' losses and gradients by hand: ((J, gradient) of D, the same of G)."""
    of_d = discriminator_loss_and_grads(d, *seen_by_d, **model.discriminator_terms, **options)
    return of_d, generator_loss_and_grads(g, d, *seen_by_g, **model.generator_terms, **options)


# --- the gradient three times ---


def normed(model: GAN) -> bool:
    return model.generator_norm == "batch" and model.generator_hidden != ()


def enough(rows: int, model: GAN) -> int:
    """More for batch norm: two or three may have a tiny standard deviation, which blows all up."""
    return 4 * rows if normed(model) else rows


@settings(max_examples=100)
@given(models(), ROWS, st.integers(0, 10**6))
@TOLERANCES
def test_by_hand_and_autograd_agree(
    dtype: str, tolerance: float, model: GAN, rows: int, seed: int
) -> None:
    g, d, by_d, by_g = turn(model, enough(rows, model), seed, np.dtype(dtype))
    of_d, of_g = both(model, g, d, by_d, by_g)
    # The terms of a gradient are of the order of 1. Where they cancel, so do their digits.
    assert_close(of_d, tg.value_and_grad(model.discriminator_loss)(d, *by_d), tolerance, 0.1)
    if dtype == "float32" and normed(model):
        tolerance = 1e-4  # it divides by standard deviations, layer by layer; 2.5e-5 was measured
    assert_close(of_g, tg.value_and_grad(model.generator_loss)(g, d, *by_g), tolerance, 0.1)


@settings(max_examples=100)
@given(models(), ROWS, st.integers(0, 10**6))
def test_directional_derivatives_of_the_losses(model: GAN, rows: int, seed: int) -> None:
    g, d, by_d, by_g = turn(model, rows, seed)
    (J, dd), (K, dg) = both(model, g, d, by_d, by_g)

    def loss_of_d(q: Parameters) -> Any:
        return discriminator_loss_and_grads(q, *by_d, **model.discriminator_terms)[0]

    def loss_of_g(q: Parameters) -> Any:
        return generator_loss_and_grads(q, d, *by_g, **model.generator_terms)[0]

    random = np.random.default_rng(seed)
    for f, p, loss, gradient in ((loss_of_d, d, J, dd), (loss_of_g, g, K, dg)):
        v = random.standard_normal(p.flat.size)
        v /= np.linalg.norm(v)
        claimed, scale = gradient.flat @ v, np.linalg.norm(gradient.flat) + abs(loss)
        # A kink within the usual step is none within a smaller one.
        off = (abs(directional_derivative(f, p, v, step) - claimed) for step in (6e-6, 6e-7, 6e-8))
        assert any(error <= 1e-6 * scale * max(1, model.weight) for error in off)


@pytest.mark.parametrize("loss", LOSSES)
def test_autograd_and_finite_differences_agree(loss: str) -> None:
    """The third side of the triangle, for the discriminator by second derivatives."""
    model = GAN(pixels=4, latent=3, generator_hidden=(5, 4), discriminator_hidden=(4, 3), loss=loss,
                generator_activation="gelu", discriminator_activation="tanh", pack=2, classes=2,
                dropout=0.2, biases="normal")  # fmt: skip
    g, d, by_d, by_g = turn(model, 3, 1)
    tg.check_gradients(lambda q: model.discriminator_loss(q, *by_d), d, tolerance=1e-6)
    tg.check_gradients(lambda q: model.generator_loss(q, d, *by_g), g, tolerance=1e-6)


def derivatives_of_d(model: GAN, d: Parameters, x: Any, masks: Any) -> Any:
    """v, row by row, by the first-order code alone: what a generator's bias learns of a critic."""
    plain = replace(model, loss="wasserstein-gp", penalty=None, smoothing=0.0, output="none",
                    generator_hidden=(), generator_norm="none", classes=0)  # fmt: skip
    found = []
    for i in range(0, len(x), model.pack):
        rows = x[i : i + model.pack]
        row = slice(i // model.pack, i // model.pack + 1)
        W = Parameters({"W1": rows.shape, "b1": rows.shape[1:]}, np.append(rows, 0 * rows[0]))
        z = np.eye(len(rows))
        seen = (z, None, tuple(mask[row] for mask in masks))
        _, dg = generator_loss_and_grads(W, d, *seen, **plain.generator_terms)
        found.append(-dg["W1"].ravel())
    return np.array(found)


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize("loss", PENALTIES)
@pytest.mark.parametrize("pack", [1, 2])
def test_the_penalty_against_finite_differences_of_the_first_derivative(
    loss: str, activation: str, pack: int
) -> None:
    model = GAN(pixels=2, loss=loss, discriminator_hidden=(3, 2), pack=pack, dropout=0.3,
                discriminator_activation=activation, biases="normal")  # fmt: skip
    _, d, (real, fake, _, alpha, masks), _ = turn(model, 3, 2)
    weight = model.weight

    def penalty(q: Parameters) -> Any:
        if loss == "r1":
            return (
                weight / 2 * np.mean((derivatives_of_d(model, q, real, masks[0]) ** 2).sum(axis=1))
            )
        x = fake + np.repeat(alpha, pack, axis=0) * (real - fake)
        norm = np.sqrt((derivatives_of_d(model, q, x, masks[2]) ** 2).sum(axis=1) + TINY)
        return weight * np.mean((norm - 1) ** 2)

    terms = model.discriminator_terms
    J, with_it = discriminator_loss_and_grads(d, real, fake, None, alpha, masks, **terms)
    terms["penalty"] = 0.0
    K, without = discriminator_loss_and_grads(d, real, fake, None, alpha, masks, **terms)
    difference = J - K
    assert difference == pytest.approx(penalty(d), rel=1e-11)
    measured = np.array([directional_derivative(penalty, d, v) for v in np.eye(d.flat.size)])
    assert relative(with_it.flat - without.flat, measured) <= 1e-6  # of central differences


# --- the worked example, section 8 of docs/derivations/gan.md ---

EXACT = {"rel": 1e-14, "abs": 1e-14}  # the rounding of a logarithm and of a few operations
ROOT = {"rel": 1e-11, "abs": 1e-11}  # 1e-12 stands under the root
LN3 = math.log(3)


def critic(w: float, b: float = 0.0) -> Parameters:
    shapes = {"W1": (1, 1), "b1": (1,), "W2": (1, 1), "b2": (1,)}
    return Parameters(shapes, np.array([1.0, 0, w, b]))


def one(x: float) -> np.ndarray:
    return np.full((1, 1), float(x))


TANH = {"smoothing": 0.0, "pack": 1, "discriminator_activation": "tanh",
        "discriminator_norm": "none"}  # fmt: skip


LINEAR = {"pack": 1, "output": "none", "generator_activation": "none", "generator_norm": "none",
          "discriminator_activation": "tanh", "discriminator_norm": "none"}  # fmt: skip


def example(**options: Any) -> tuple[Any, Parameters]:
    seen = {"real": one(LN3), "fake": one(0), "alpha": one(0.5), "loss": "wasserstein-gp"}
    return discriminator_loss_and_grads(critic(4), **seen | {"penalty": 1.0} | TANH | options)


def test_the_worked_example() -> None:
    loss, g = example()
    assert loss == pytest.approx(4 / 5, **ROOT)
    assert g["W1"] == pytest.approx(one(12 - 186 / 25 * LN3), **ROOT)
    assert g["b1"] == pytest.approx(np.array([-236 / 25]), **ROOT)
    assert g["W2"] == pytest.approx(one(11 / 5), **ROOT)
    assert g["b2"] == pytest.approx(np.zeros(1), **EXACT)


def test_the_worked_example_without_the_penalty() -> None:
    loss, g = example(penalty=0.0)
    assert loss == pytest.approx(-16 / 5, **EXACT)
    expected = [-36 / 25 * LN3, 64 / 25, -4 / 5, 0]
    assert g.flat == pytest.approx(np.array(expected), **EXACT)


def test_the_worked_example_without_curvature_is_another_one(monkeypatch: Any) -> None:
    monkeypatch.setitem(SECOND, "tanh", None)
    loss, g = example()
    assert loss == pytest.approx(4 / 5, **ROOT)
    assert g["W1"] == pytest.approx(one(12 - 36 / 25 * LN3), **ROOT)  # 12, as said there
    assert g["b1"] == pytest.approx(np.array([4 - 36 / 25]), **ROOT)


@pytest.mark.parametrize(
    ("loss", "expected", "derivative"),
    [
        ("non-saturating", math.log(4 / 3), -3 / 4),
        ("r1", math.log(4 / 3), -3 / 4),
        ("minimax", -math.log(4), -9 / 4),
        ("least-squares", (LN3 - 1) ** 2 / 2, 3 * (LN3 - 1)),
        ("wasserstein-gp", -LN3, -3),
    ],
)
def test_the_generator_of_the_worked_example(loss: str, expected: float, derivative: float) -> None:
    g = Parameters({"W1": (1, 1), "b1": (1,)}, np.array([LN3 / 2, 0]))
    found, f = generator_loss_and_grads(g, critic(4, LN3 - 2), one(1), loss=loss, **LINEAR)
    assert found == pytest.approx(expected, **EXACT)
    assert f.flat == pytest.approx(np.array([derivative, derivative]), **EXACT)


def test_the_exercise_with_r1() -> None:
    loss, g = discriminator_loss_and_grads(
        critic(2 * LN3), one(LN3 / 2), one(0), loss="r1", penalty=1.0, **TANH
    )
    assert loss == pytest.approx(math.log(4 / 3) + math.log(2) + 9 / 8 * LN3**2, **EXACT)
    expected = [33 / 16 * LN3**2 - 9 / 8 * LN3**3, 5 / 8 * LN3 - 9 / 4 * LN3**2]
    expected += [9 / 8 * LN3 - 1 / 8, 1 / 4]
    assert g.flat == pytest.approx(np.array(expected), **EXACT)


# --- closed forms ---


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_best_answer_to_an_image_is_the_mean_of_its_labels(smoothing: float) -> None:
    """Of one image that is real and fake at once, with the labels 1 - smoothing and 0."""
    mean = (1 - smoothing) / 2
    d = Parameters({"W1": (1, 1), "b1": (1,)}, np.array([1.0, 0]))
    terms = TANH | {"penalty": 0.0, "smoothing": smoothing}
    for loss, logit in (("minimax", math.log(mean / (1 - mean))), ("least-squares", mean)):
        _, g = discriminator_loss_and_grads(d, one(logit), one(logit), loss=loss, **terms)
        assert abs(g.flat).max() < 1e-15


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_discriminator_that_is_very_sure(dtype: Any) -> None:
    d = Parameters({"W1": (1, 1), "b1": (1,)}, np.array([1000, 0], dtype))
    x = np.ones((1, 1), dtype)
    terms = TANH | {"penalty": 0.0}
    right, g = discriminator_loss_and_grads(d, x, -x, loss="minimax", **terms)
    assert right == 0 and not g.flat.any()
    wrong, g = discriminator_loss_and_grads(d, -x, x, loss="minimax", **terms)
    assert wrong == 2000 and g.flat.tolist() == [2, 0]
    p = Parameters({"W1": (1, 1), "b1": (1,)}, np.array([-1, 0], dtype))
    saturated, none = generator_loss_and_grads(p, d, x, loss="minimax", **LINEAR)
    assert saturated == 0 and not none.flat.any()
    driven, strong = generator_loss_and_grads(p, d, x, loss="non-saturating", **LINEAR)
    assert driven == 1000 and strong.flat.tolist() == [-1000, -1000]


def test_at_the_end_of_the_game_the_loss_is_2_log_2() -> None:
    model = GAN(pixels=3, latent=2, discriminator_hidden=(4,))
    _, d, (real, _, *rest), _ = turn(model, 5, 0)
    d["W2"][...] = d["b2"][...] = 0
    loss, g = discriminator_loss_and_grads(d, real, real, *rest, **model.discriminator_terms)
    assert loss == pytest.approx(2 * math.log(2), rel=1e-15)
    assert abs(g.flat).max() < 1e-16


def test_real_and_fake_are_not_swapped() -> None:
    """A step of a D that cannot tell them apart yet raises the real ones above the others."""
    for loss in LOSSES:
        model = GAN(pixels=3, discriminator_hidden=(6,), loss=loss, biases="normal")
        _, d, (real, fake, *rest), _ = turn(model, 4, 3)
        d.flat[...] *= 0.1
        d["b2"][...] = 0.5 if loss == "least-squares" else 0  # the middle between its labels
        terms = model.discriminator_terms | {"penalty": 0.0}
        _, g = discriminator_loss_and_grads(d, real, fake + 1, *rest, **terms)
        q = d.like(d.flat - 1e-4 * g.flat)
        gap = [np.mean(model.logits(p, real) - model.logits(p, fake + 1)) for p in (d, q)]
        assert gap[1] > gap[0]


def test_the_penalty_of_wasserstein_stands_between_real_and_fake() -> None:
    """With alpha 0 it is the penalty at the fake images, with alpha 1 at the real ones."""
    model = GAN(pixels=3, loss="wasserstein-gp", discriminator_hidden=(5,), biases="normal",
                discriminator_activation="tanh")  # fmt: skip
    _, d, (real, fake, labels, alpha, masks), _ = turn(model, 4, 3)
    terms = model.discriminator_terms
    for at, x in ((0.0, fake), (1.0, real)):
        J, _ = discriminator_loss_and_grads(d, real, fake, labels, alpha * 0 + at, masks, **terms)
        norm = np.linalg.norm(derivatives_of_d(model, d, x, ()), axis=1)
        gap = np.mean(model.logits(d, fake)) - np.mean(model.logits(d, real))
        assert J - gap == pytest.approx(10 * np.mean((norm - 1) ** 2), rel=1e-11)


def test_a_discriminator_that_looks_at_the_class_alone_has_no_penalty() -> None:
    model = GAN(pixels=2, loss="r1", discriminator_hidden=(4,), classes=3, biases="normal",
                discriminator_activation="tanh")  # fmt: skip
    _, d, by_d, _ = turn(model, 4, 0)
    d["W1"][:2] = 0
    with_it, g = discriminator_loss_and_grads(d, *by_d, **model.discriminator_terms)
    terms = model.discriminator_terms | {"penalty": 0.0}
    without, f = discriminator_loss_and_grads(d, *by_d, **terms)
    assert with_it == without
    np.testing.assert_array_equal(g.flat, f.flat)


def test_a_batch_of_two_cannot_move_a_normalised_column() -> None:
    """pieces.md, section 4: whatever the two images are, they come out as 1 and -1."""
    model = GAN(pixels=4, latent=3, generator_hidden=(5,), generator_activation="tanh")
    g, d, _, by_g = turn(model, 2, 0)
    g["W1"][...] *= 1e3  # so that the 1e-5 under the root are nothing beside the variance
    _, f = generator_loss_and_grads(g, d, *by_g, **model.generator_terms)
    assert abs(f["W1"]).max() < 1e-10 * abs(f["W3"]).max()


def test_pieces_of_maxout_that_are_equal_share_the_gradient() -> None:
    model = GAN(pixels=2, latent=2, discriminator_hidden=(3,), discriminator_activation="maxout")
    _, d, by_d, _ = turn(model, 3, 0)
    d["W1"][...] = np.tile(d["W1"][:, :3], 5)
    d["b1"][...] = np.tile(d["b1"][:3], 5)
    loss, g = discriminator_loss_and_grads(d, *by_d, **model.discriminator_terms)
    expected, f = tg.value_and_grad(model.discriminator_loss)(d, *by_d)
    assert loss == pytest.approx(expected, rel=1e-14)
    np.testing.assert_allclose(g.flat, f.flat, rtol=1e-12, atol=1e-16)
    np.testing.assert_array_equal(g["b1"], np.tile(g["b1"][:3], 5))


@pytest.mark.parametrize("loss", LOSSES)
def test_a_batch_of_copies_has_the_gradient_of_one_row(loss: str) -> None:
    model = GAN(pixels=3, latent=2, generator_hidden=(4,), generator_norm="none", loss=loss,
                discriminator_hidden=(5,), discriminator_activation="elu", classes=2,
                biases="normal")  # fmt: skip
    g, d, by_d, by_g = turn(model, 1, 4)

    def copies(data: Any) -> Any:
        if isinstance(data, tuple):
            return tuple(copies(part) for part in data)
        return None if data is None else np.repeat(data, 7, axis=0)

    few, many = both(model, g, d, by_d, by_g), both(model, g, d, copies(by_d), copies(by_g))
    for (expected, one_row), (found, rows) in zip(few, many, strict=True):
        assert found == pytest.approx(expected, rel=1e-13)  # sums in another order
        np.testing.assert_allclose(rows.flat, one_row.flat, rtol=1e-11, atol=1e-14)


# --- who is left alone ---


@settings(max_examples=60)
@given(models(), ROWS, st.integers(0, 10**6))
def test_what_lay_in_out_never_shows_and_nothing_given_is_changed(
    model: GAN, rows: int, seed: int
) -> None:
    """The same call gives the same bits, whatever was computed in between."""
    g, d, by_d, by_g = turn(model, rows, seed)
    given_arrays = arrays_in((g, d, by_d, by_g))
    copies = [a.copy() for a in given_arrays]
    other = (-by_g[0], by_g[1])  # D's turn has noise of its own
    fake = generate(g, *other, **model.generator_terms)
    images, fresh = fake.copy(), both(model, g, d, by_d, by_g)
    of_d, of_g = d.zeros_like(), g.zeros_like()
    for _ in range(2):
        of_d.flat[...] = of_g.flat[...] = np.nan
        J, f = discriminator_loss_and_grads(d, *by_d, **model.discriminator_terms, out=of_d)
        K, e = generator_loss_and_grads(g, d, *by_g, **model.generator_terms, out=of_g)
        assert f is of_d and e is of_g
        for (loss, gradient), (again, same) in zip(fresh, ((J, f), (K, e)), strict=True):
            assert again == loss and np.array_equal(same.flat, gradient.flat)
        np.testing.assert_array_equal(generate(g, *other, **model.generator_terms), images)
    np.testing.assert_array_equal(fake, images)  # neither turn writes there
    assert all(np.array_equal(a, b) for a, b in zip(given_arrays, copies, strict=True))


@given(models(), ROWS, st.integers(0, 10**6))
def test_the_images_are_those_of_the_model(model: GAN, rows: int, seed: int) -> None:
    g, _, _, (z, labels, _) = turn(model, enough(rows, model), seed)
    images = generate(g, z, labels, **model.generator_terms)
    # The worst of 2,000 models was 1.2e-14 apart, one with batch norm.
    np.testing.assert_allclose(images, model.generate(g, z, labels), rtol=0, atol=1e-13)


# --- backends ---


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ["leaky_relu", "gelu", "maxout"])
@pytest.mark.parametrize("plain", [True, False])
def test_every_backend_gives_the_same_and_waits_for_nothing(
    backend: Any, loss: str, activation: str, plain: bool
) -> None:
    model = GAN(pixels=12, latent=3, generator_hidden=(6, 5), discriminator_hidden=(7, 5),
                generator_activation="relu", discriminator_activation=activation, loss=loss,
                biases="normal")  # fmt: skip
    if not plain:
        model = replace(model, pack=2, classes=3, dropout=0.3, output="none", penalty=None,
                        smoothing=0.0 if loss == "wasserstein-gp" else 0.1)  # fmt: skip
    g, d, by_d, by_g = turn(model, 6, 3, np.float32)
    here = both(model, g, d, by_d, by_g)
    there = g.to(backend), d.to(backend), sent(by_d, backend), sent(by_g, backend)
    with count_syncs() as syncs, see_dtypes() as dtypes:
        images = generate(there[0], *there[3][:2], **model.generator_terms)
        found = both(model, *there)
    assert not syncs
    assert {np.dtype("float64")}.isdisjoint(dtypes)
    expected = generate(g, *by_g[:2], **model.generator_terms)
    np.testing.assert_allclose(backend.to_numpy(images), expected, rtol=1e-4, atol=1e-5)
    for (J, f), (K, e) in zip(here, found, strict=True):
        # The same float32 arithmetic in another library.
        np.testing.assert_allclose(backend.to_numpy(K), J, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(backend.to_numpy(e.flat), f.flat, rtol=1e-3, atol=1e-5)


# --- what must be the same in two places ---


def test_the_model_and_the_derivation_mean_the_same() -> None:
    assert pieces.TINY == model_gan.TINY
    assert BatchNorm(1).epsilon == pieces.EPSILON
    assert Maxout(1, 1).pieces == pieces.SUMS
    assert checks.LOSSES == model_gan.LOSSES and checks.OUTPUTS == model_gan.OUTPUTS
    assert {*gan.LOSSES_OF_D} == {*gan.LOSSES_OF_G} == {*checks.LOSSES}
    assert {*gan.OUTPUTS} == {*checks.OUTPUTS}
    assert {*ACTIVATIONS} == {*tg.ops.ACTIVATIONS, "maxout"}


@pytest.mark.parametrize("loss", LOSSES)
def test_the_losses_that_have_a_penalty_are_those_of_the_model(loss: str) -> None:
    model = GAN(pixels=3, loss=loss, discriminator_hidden=(4,), biases="normal")
    _, d, by_d, _ = turn(model, 3, 0)
    terms = model.discriminator_terms
    without, with_it = (
        discriminator_loss_and_grads(d, *by_d, **terms | {"penalty": weight})
        for weight in (0.0, 3.0)
    )
    assert (without[0] != with_it[0]) == (loss in PENALTIES)
    assert (without[1].flat != with_it[1].flat).any() == (loss in PENALTIES)


@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_the_keywords_are_the_terms_of_the_model(player: str) -> None:
    function = getattr(gan, f"{player}_loss_and_grads")
    keywords = [p.name for p in inspect.signature(function).parameters.values()
                if p.kind is p.KEYWORD_ONLY]  # fmt: skip
    assert {*getattr(GAN(), f"{player}_terms")} == {*keywords} - {"out"}


# --- refusals ---


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"generator_norm": "layer"}, "do not cover a layer norm in the generator; take gradi"),
        ({"discriminator_norm": "layer"}, "do not cover a layer norm in the discriminator; take"),
        ({"discriminator_norm": "batch"}, "do not cover a batch norm in the discriminator; take"),
    ],
)
def test_what_is_not_covered_is_refused_in_a_sentence(options: dict[str, str], words: str) -> None:
    model = GAN(pixels=3, latent=2, generator_hidden=(4,), discriminator_hidden=(4,), **options)
    g, d, by_d, by_g = turn(model, 2, 0)
    with pytest.raises(InputError, match=words) as refused:
        both(model, g, d, by_d, by_g)
    assert "gradients 'autograd'" in str(refused.value) and "\n" not in str(refused.value)
    if "generator_norm" in options:
        with pytest.raises(InputError, match=words):
            generate(g, *by_g[:2], **model.generator_terms)


SMALL = GAN(pixels=3, latent=2, generator_hidden=(4,), discriminator_hidden=(5,), dropout=0.2,
            loss="wasserstein-gp")  # fmt: skip
MASK = np.ones((4, 5))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"loss": "hinge"}, "gan: unknown loss 'hinge'; choose one of non-saturating, minimax"),
        ({"discriminator_activation": "swish"}, "unknown discriminator activation 'swish'; choose"),
        ({"discriminator_norm": "group"}, "unknown discriminator norm 'group'; choose one of none"),
        ({"discriminator_activation": "maxout"}, r"W2 is \(5, 1\); it needs a row for each of the"),
        ({"pack": 3}, "pack is 3; it needs to divide the 4 images of a batch"),
        ({"pack": 0}, "pack is 0; it needs to divide"),
        ({"pack": 2}, r"W1 is \(3, 5\); it needs a row for each of the 6 columns that come in"),
        ({"real": np.zeros(3)}, r"real needs to be images in rows, got shape \(3,\)"),
        ({"real": np.zeros((0, 3))}, r"real needs to be images in rows, got shape \(0, 3\)"),
        ({"fake": np.zeros((2, 3))}, r"fake is \(2, 3\), real is \(4, 3\); they need one shape"),
        ({"labels": np.zeros((4, 2))}, r"W1 is \(3, 5\); it needs a row for each of the 5 columns"),
        ({"labels": np.zeros(4)}, r"labels is \(4,\); it needs a row for each of 4 images"),
        ({"alpha": None}, r"alpha is None; it needs to be \(4, 1\)"),
        ({"alpha": np.zeros(4)}, r"alpha is \(4,\); it needs to be \(4, 1\)"),
        ({"masks": ((MASK,), (), ())}, "all groups of rows need dropout masks, or none does"),
        ({"masks": ((MASK,), (MASK,), ())}, "all groups of rows need dropout masks, or none does"),
        ({"masks": ((), (), (MASK,))}, "all groups of rows need dropout masks, or none does"),
        ({"masks": ((np.ones((1, 5)),),) * 3}, r"masks are \[\(1, 5\)\]; the .* \[\(4, 5\)\]"),
        ({"masks": ((MASK,), (MASK,))}, "all groups of rows need dropout masks, or none does"),
        ({"out": tg.nn.mlp([3, 1]).initialise(0)}, "out needs the layout of the parameters"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_was_expected(change: Any, words: str) -> None:
    _, d, by_d, _ = turn(SMALL, 4, 0)
    names = ("real", "fake", "labels", "alpha", "masks")
    seen = dict(zip(names, by_d, strict=True)) | SMALL.discriminator_terms
    with pytest.raises(ValueError, match=words):
        discriminator_loss_and_grads(d, **seen | change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"loss": "hinge"}, "gan: unknown loss 'hinge'; choose one of non-saturating, minimax"),
        ({"output": "tanh"}, "gan: unknown output 'tanh'; choose one of sigmoid, none"),
        ({"generator_activation": "swish"}, "unknown generator activation 'swish'; choose one"),
        ({"generator_activation": "maxout"}, "maxout has no place for a batch norm"),
        ({"generator_norm": "none"}, "the generator needs the parameters W1, b1, W2, b2, got W1, "),
        ({"z": np.zeros(2)}, r"z needs to be noise in rows, got shape \(2,\)"),
        ({"z": np.zeros((4, 3))}, r"W1 is \(2, 4\); it needs a row for each of the 3 columns"),
        ({"z": np.zeros((1, 2))}, "a batch of one has no variance; batch norm needs two or more"),
        ({"pack": 3}, "pack is 3; it needs to divide the 4 images of a batch"),
        ({"masks": (np.ones((4, 1)),)}, r"masks are \[\(4, 1\)\]; the .* \[\(4, 5\)\]"),
    ],
)
def test_what_does_not_fit_the_generator_is_refused(change: Any, words: str) -> None:
    g, d, _, by_g = turn(SMALL, 4, 0)
    seen = dict(zip(("z", "labels", "masks"), by_g, strict=True)) | SMALL.generator_terms
    with pytest.raises(ValueError, match=words):
        generator_loss_and_grads(g, d, **seen | change)


def test_sums_that_are_not_five_for_each_maxout_unit_are_refused() -> None:
    _, _, by_d, _ = turn(SMALL, 4, 0)
    d = Parameters({"W1": (3, 7), "b1": (7,), "W2": (1, 1), "b2": (1,)}, np.zeros(30))
    terms = SMALL.discriminator_terms | {"discriminator_activation": "maxout"}
    with pytest.raises(ValueError, match="gan: W1 gives 7 columns; maxout needs 5 for each unit"):
        discriminator_loss_and_grads(d, *by_d[:4], **terms)


def test_what_a_loss_does_not_look_at_may_be_anything() -> None:
    """An alpha, and masks of interpolates, when there are no interpolates."""
    model = replace(SMALL, loss="r1")
    _, d, by_d, _ = turn(model, 4, 0)
    expected, _ = discriminator_loss_and_grads(d, *by_d, **model.discriminator_terms)
    real, fake, labels, _, masks = by_d
    others = np.float32([1, 2]), (masks[0], masks[1], (MASK,))
    J, _ = discriminator_loss_and_grads(d, real, fake, labels, *others, **model.discriminator_terms)
    assert expected == J


def test_parameters_of_another_network_are_refused() -> None:
    g, d, by_d, by_g = turn(SMALL, 4, 0)
    with pytest.raises(ValueError, match="the discriminator needs the parameters W1, b1, W2, b2"):
        discriminator_loss_and_grads(g, *by_d, **SMALL.discriminator_terms)
    wide = {**d, "W2": np.zeros((5, 2)), "b2": np.zeros(2)}
    with pytest.raises(ValueError, match="the discriminator gives 2 columns; it needs to give 1"):
        generator_loss_and_grads(g, wide, *by_g, **SMALL.generator_terms)
    with pytest.raises(ValueError, match=r"b1 is \(2,\), W1 is \(3, 5\); b1 needs to be \(5,\)"):
        generator_loss_and_grads(g, {**d, "b1": np.zeros(2)}, *by_g, **SMALL.generator_terms)


@pytest.mark.parametrize("which", ["real", "fake", "alpha"])
def test_dtypes_are_not_mixed(which: str) -> None:
    _, d, by_d, _ = turn(SMALL, 4, 0)
    seen = dict(zip(("real", "fake", "labels", "alpha", "masks"), by_d, strict=True))
    seen[which] = seen[which].astype(np.float32)
    with pytest.raises(TypeError, match="they need to be the same"):
        discriminator_loss_and_grads(d, **seen, **SMALL.discriminator_terms)


def test_the_noise_and_the_players_have_one_dtype() -> None:
    g, d, _, (z, labels, masks) = turn(SMALL, 4, 0)
    with pytest.raises(TypeError, match=r"gan: z is numpy float32, W1 is numpy float64; they need"):
        generator_loss_and_grads(g, d, z.astype("f4"), labels, masks, **SMALL.generator_terms)
    narrow = d.like(d.flat.astype("f4"))
    with pytest.raises(TypeError, match=r"gan: z is numpy float64, W1 is numpy float32; they need"):
        generator_loss_and_grads(g, narrow, z, labels, masks, **SMALL.generator_terms)
