"""The GAN by closed forms and by differences: losses, penalties, draws, packs and samples."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from gan_checks import (
    LINEAR,
    NUMPY,
    OPTIONS,
    SMALL,
    check_accuracy,
    check_accuracy_of_a_critic,
    check_classes,
    check_draws,
    check_dropout_masks,
    check_interpolates,
    check_losses_of_a_linear_discriminator,
    check_moments_of_draws,
    check_packs,
    check_penalty_by_differences,
    check_penalty_of_a_tanh_critic,
    check_running_statistics,
    check_running_statistics_of_classes,
    check_sampler_is_repeatable,
    check_samples_are_independent,
    gan,
    turn,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from strict import STRICT, count_syncs, see_dtypes

import tinygen as tg
from tinygen.byhand.gan import generator_loss_and_grads
from tinygen.errors import InputError
from tinygen.models import GAN
from tinygen.models.gan import LOSSES, PENALTIES
from tinygen.models.serialization import describe, from_description

CASES = [(loss, name) for loss in LOSSES for name in OPTIONS
         if name != "batch norm in D" or loss not in PENALTIES]  # fmt: skip
EVERY_CASE = pytest.mark.parametrize(("loss", "name"), CASES)


# Closed forms of a discriminator that is linear: its logits are sums that are written down here.


@pytest.mark.parametrize("pack", [1, 3])
@pytest.mark.parametrize("classes", [0, 4])
@pytest.mark.parametrize("loss", LOSSES)
def test_both_losses_of_a_linear_discriminator(loss: str, classes: int, pack: int) -> None:
    check_losses_of_a_linear_discriminator(loss, classes, pack)


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
def test_logits_of_thousands(loss: str, dtype: Any) -> None:
    model = GAN(loss=loss, penalty=0.0 if loss == "r1" else None, **LINEAR)
    g, d, (real, fake, *_), (z, *_) = turn(model, dtype=dtype)
    d["W1"][...], d["b1"][...] = 0, 1e4
    loss_d, dd = tg.value_and_grad(model.discriminator_loss)(d, real, fake)
    assert loss_d == 1e4 and dd["b1"] == 1  # sure that the fake ones are real
    loss_g, dg = tg.value_and_grad(model.generator_loss)(g, d, z)
    assert loss_g == (-1e4 if loss == "minimax" else 0) and not dg.flat.any()


# The penalties.


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("loss", PENALTIES)
def test_the_penalty_of_a_tanh_critic(loss: str, dropout: float) -> None:
    check_penalty_of_a_tanh_critic(loss, dropout)


@pytest.mark.parametrize(("loss", "name"), [case for case in CASES if case[0] in PENALTIES])
def test_the_penalty_is_that_of_measured_derivatives(loss: str, name: str) -> None:
    check_penalty_by_differences(loss, name)


def test_the_penalty_of_wasserstein_lies_on_the_line_from_fake_to_real() -> None:
    check_interpolates()


@pytest.mark.parametrize("loss", PENALTIES)
def test_a_critic_that_is_flat_has_a_penalty_and_no_nan(loss: str) -> None:
    """All derivatives are 0, where a norm has no derivative."""
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
    check_draws(backend, loss, dtype)


def test_a_model_without_dropout_and_classes_draws_neither() -> None:
    by_d, by_g = gan().draw(np.zeros((4, 3), np.float32), NUMPY.generator(0))
    assert by_d.masks == ((), (), ()) and by_g.masks == ()
    assert by_d.labels is None and by_g.labels is None and by_d.alpha is None


def test_what_is_drawn_depends_on_nothing_but_the_seed_and_the_step() -> None:
    model, x = gan("wasserstein-gp", dropout=0.5), np.zeros((4, 3), np.float32)
    draws = [model.draw(x, NUMPY.generator((0, 1, step))) for step in (7, 7, 8)]

    def arrays(draw: Any) -> list[np.ndarray]:
        by_d, by_g = draw
        return [by_d.z, by_d.alpha, *sum(by_d.masks, ()), by_g.z, *by_g.masks]

    for a, b, c in zip(*map(arrays, draws), strict=True):
        np.testing.assert_array_equal(a, b)
        assert (a != c).any()


def test_the_noise_is_standard_normal_and_alpha_uniform() -> None:
    check_moments_of_draws()


# What the discriminator sees.


def test_a_pack_is_images_side_by_side() -> None:
    check_packs()


def test_both_players_are_told_the_class() -> None:
    check_classes()


def test_dropout_has_one_mask_for_each_pass() -> None:
    check_dropout_masks()


# Sampling.


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
def test_a_sample_does_not_depend_on_those_beside_it(norm: str, classes: int) -> None:
    check_samples_are_independent(norm, classes)


def test_the_samplers_averages_are_those_of_its_own_noise() -> None:
    check_running_statistics()


def test_the_samplers_averages_have_every_class_in_equal_parts() -> None:
    check_running_statistics_of_classes()


def test_a_sampler_is_the_same_after_training_and_after_another_sampler() -> None:
    check_sampler_is_repeatable()


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
    check_accuracy(backend, loss)


def test_a_critic_has_no_zero() -> None:
    check_accuracy_of_a_critic()


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
def test_logits_of_an_image_use_the_statistics_of_the_named_images(pack: int) -> None:
    """Written out for one hidden layer; those beside it play no part, and nothing is dropped."""
    model = gan(discriminator_norm="batch", dropout=0.3, pack=pack)
    _, d, (real, fake, *_), _ = turn(model, rows=6)
    seen = np.concatenate([real, fake])
    calibrated = model.calibrate(d, seen)
    rows, asked = (x.reshape(len(x) // pack, -1) for x in (seen, real))
    a = rows @ d["W1"]
    m, v = a.mean(axis=0), a.var(axis=0, ddof=1)
    h = np.tanh((asked @ d["W1"] - m) / np.sqrt(v + 1e-5) * d["gamma2"] + d["beta2"])
    expected = h @ d["W3"] + d["b3"]
    together = model.logits(d, real, calibrated=calibrated)
    np.testing.assert_allclose(together, expected, rtol=1e-11)
    alone = model.logits(d, real[:pack], calibrated=calibrated)
    np.testing.assert_allclose(alone, expected[:1], rtol=1e-11)


def test_whether_d_is_in_training_must_be_said() -> None:
    """It cannot be guessed: the wrong statistics are no error, but wrong numbers."""
    model = gan(discriminator_norm="batch", dropout=0.3)
    _, d, (real, _, _, _, (masks, *_)), _ = turn(model)
    with pytest.raises(InputError, match="needs statistics outside of training; pass calibrated="):
        model.logits(d, real)
    for one in (model, gan(dropout=0.3)):
        with pytest.raises(InputError, match="masks belong to a training step; pass training"):
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
        ({"pack": 0}, "pack must be at least 1, got 0"),
        ({"pack": 1.5}, "pack must be a whole number, got 1.5"),
        ({"pack": np.int64(-2)}, "pack must be at least 1, got -2"),
        ({"classes": -1}, "classes must be at least 0, got -1"),
        ({"classes": 2.0}, "classes must be a whole number, got 2.0"),
        ({"dropout": 1.0}, "the rate must be at least 0 and below 1, got 1.0"),
        ({"pixels": 0}, "pixels must be at least 1, got 0"),
        ({"latent": -3, "classes": 10}, "latent must be at least 1, got -3"),
        ({"generator_hidden": (4, 0)}, "must be at least 1 each, got "),
        ({"discriminator_hidden": (0,)}, "must be at least 1 each, got "),
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
    for model, given_, words in ((gan(), labels, r"labels None for these images, got \(3, 3\)"),
                                 (told, None, r"labels \(3, 3\) .*, got None"),
                                 (told, labels[:2], r"labels \(3, 3\) .*, got \(2, 3\)"),
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
    described_ = json.loads(json.dumps(describe(model)))
    assert from_description(described_) == model


@pytest.mark.parametrize("shape", [None, (3,), (1, 1), (3, 3), (6, 1)])
def test_alpha_has_a_number_for_each_row(shape: Any) -> None:
    model = gan("wasserstein-gp", pack=2)
    _, d, (real, fake, *_), _ = turn(model)
    alpha = None if shape is None else np.zeros(shape)
    with pytest.raises(InputError, match=r"alpha is (None|\(.*\)), expected \(3, 1\)"):
        model.discriminator_loss(d, real, fake, None, alpha)


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
