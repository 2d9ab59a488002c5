"""The classifier: its gradient three times, its loss where it is known, and what it learns.

Then what it becomes: an encoder with a softmax in the place of its decoder, frozen or not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from agreement import TOLERANCES, after_three_steps
from classifier_checks import (
    CODERS,
    NUMPY,
    RICH,
    batch,
    check_by_hand,
    check_constant_features,
    check_features,
    check_finite_differences,
    check_frozen_features_are_standardised,
    check_frozen_is_softmax_regression,
    check_frozen_step_with_noise,
    check_layers_of_an_encoder,
    check_loss_of_zero_weights,
    check_noise_moments,
    check_weight_decay,
    coder,
    standardised,
)
from hypothesis import given
from hypothesis import strategies as st
from strict import count_syncs

import tinygen as tg
from tinygen import optim
from tinygen.data import stroke_digits
from tinygen.data.batches import as_floats
from tinygen.losses import one_hot
from tinygen.models import Autoencoder
from tinygen.models.classifier import READS, Classifier
from tinygen.ops import ACTIVATIONS
from tinygen.training import SingleLossLearner

SMALL = Classifier(pixels=5, hidden=(4, 3), classes=6, activation="tanh", biases="normal")
ALONE = Classifier(pixels=5, hidden=(), classes=6, weight_decay=0.01)
"""Softmax regression."""
MODELS = {"small": SMALL, "rich": RICH, "alone": ALONE}
BOTH_KINDS = pytest.mark.parametrize("gradients", ["autograd", "by-hand"])


@st.composite
def models(draw: Any) -> Classifier:
    return Classifier(
        pixels=draw(st.integers(1, 6)),
        hidden=tuple(draw(st.lists(st.integers(1, 6), max_size=3))),
        classes=draw(st.integers(1, 5)),
        activation=draw(st.sampled_from(sorted(ACTIVATIONS))),
        dropout=draw(st.sampled_from([0.0, 0.4])),
        weights=draw(st.sampled_from(sorted(tg.nn.WEIGHTS))),
        biases="normal",
        latent=draw(st.integers(0, 3)),
        reads=draw(st.sampled_from(READS)),
        input_noise=draw(st.sampled_from([0.0, 0.5])),
        weight_decay=draw(st.sampled_from([0.0, 0.3])),
    )


@given(models(), st.integers(1, 6), st.integers(0, 10**6), st.booleans())
@TOLERANCES
def test_by_hand_and_autograd_agree(
    dtype: str, tolerance: float, model: Classifier, n: int, seed: int, counted: bool
) -> None:
    check_by_hand(dtype, tolerance, model, n, seed, counted)


@given(models(), st.integers(1, 5), st.integers(0, 10**6), st.booleans())
def test_autograd_and_finite_differences_agree(
    model: Classifier, n: int, seed: int, counted: bool
) -> None:
    check_finite_differences(model, n, seed, counted)


@pytest.mark.parametrize("activation", ["tanh", "gelu", "softplus"])
def test_second_order_of_the_loss(activation: str) -> None:
    model = Classifier(4, (3, 3), 3, activation, latent=2, reads="all", weight_decay=0.1)
    p, *data = batch(model, 3, 1, np.float64)
    tg.check_gradients(lambda q: model.loss(q, *data), p, order=2)


@pytest.mark.parametrize("name", MODELS)
@BOTH_KINDS
def test_a_step_is_the_same_on_every_backend_and_waits_for_nothing(
    backend: Any, gradients: str, name: str
) -> None:
    model = MODELS[name]
    step_of = model.gradients(gradients)
    p, x, labels, masks = batch(model, 7, 0, np.float32)
    finals = []
    for place in (NUMPY, backend):
        data = (place.asarray(x), place.asarray(labels), tuple(map(place.asarray, masks)))
        finals.append(after_three_steps(step_of, p.copy().to(place), data, place))
    # The same float32 arithmetic in another library: a few roundings, three steps of 1e-3.
    np.testing.assert_allclose(finals[1], finals[0], atol=2e-6)


def test_drawing_waits_for_nothing_and_hands_images_and_labels_on(backend: Any) -> None:
    x = backend.asarray(np.ones((5, 5), np.float32))
    labels = backend.asarray(np.eye(6, dtype=np.float32)[:5])
    with count_syncs() as syncs:
        same_x, same_labels, masks = SMALL.draw(x, backend.generator((0, 1, 7)), 7, labels)
    assert not syncs
    assert same_x is x and same_labels is labels
    assert [mask.shape for mask in masks] == [(5, 4), (5, 3)]
    again, other = (SMALL.draw(x, backend.generator((0, 1, s)), s, labels)[2] for s in (7, 8))
    masks, again, other = ([backend.to_numpy(m) for m in drawn] for drawn in (masks, again, other))
    np.testing.assert_array_equal(masks[0], again[0])
    assert (masks[0] != other[0]).any()
    assert {*np.unique(masks[0])} == {np.float32(0), np.float32(1.25)}


def test_a_network_that_knows_nothing_loses_log_classes(backend: Any) -> None:
    check_loss_of_zero_weights(backend)


def test_the_loss_is_minus_the_log_of_the_right_probability() -> None:
    p, x, labels, _ = batch(SMALL, 7, 0, np.float64)
    right = SMALL.probabilities(p, x)[np.arange(7), np.arange(7) % 6]
    assert SMALL.loss(p, x, labels) == pytest.approx(-np.log(right).mean(), rel=1e-12)
    soft = np.full((7, 6), 1 / 6)
    expected = -np.log(SMALL.probabilities(p, x)).mean()
    assert SMALL.loss(p, x, soft) == pytest.approx(expected, rel=1e-12)


def test_all_that_it_says_is_what_plain_arithmetic_says(backend: Any) -> None:
    p, x, _, _ = batch(SMALL, 7, 0, np.float64, backend)
    q, rows = {k: backend.to_numpy(v) for k, v in p.items()}, backend.to_numpy(x)
    h = np.tanh(np.tanh(rows @ q["W1"] + q["b1"]) @ q["W2"] + q["b2"])
    z = h @ q["W3"] + q["b3"]
    e = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    found = (SMALL.features(p, x), SMALL.logits(p, x), SMALL.probabilities(p, x))
    found += SMALL.probabilities_and_features(p, x)
    for value, expected in zip(found, (h, z, e, e, h), strict=True):
        np.testing.assert_allclose(backend.to_numpy(value), expected, rtol=1e-12)


def test_dropout_is_in_the_loss_of_a_step_and_nowhere_else() -> None:
    p, x, labels, masks = batch(SMALL, 7, 0, np.float64)
    assert SMALL.loss(p, x, labels, masks) != pytest.approx(SMALL.loss(p, x, labels), rel=1e-3)
    kept = tuple(np.ones_like(mask) for mask in masks)
    assert SMALL.loss(p, x, labels, kept) == SMALL.loss(p, x, labels)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_stays(backend: Any, dtype: Any) -> None:
    p, *data = batch(SMALL, 7, 0, dtype, backend)
    loss, gradients = tg.value_and_grad(SMALL.loss)(p, *data)
    assert loss.dtype == gradients.flat.dtype == dtype
    masks, judged = data[2], SMALL.probabilities_and_features(p, data[0])
    assert len(masks) == 2 and {a.dtype for a in (*masks, *judged)} == {np.dtype(dtype)}


def test_the_parameters_have_the_names_of_the_layers() -> None:
    assert Classifier().shapes == {
        "W1": (784, 512), "b1": (512,), "W2": (512, 64), "b2": (64,), "W3": (64, 10), "b3": (10,),
    }  # fmt: skip
    p = Classifier().initialise(3)
    assert p.flat.dtype == np.float32 and p.shapes == Classifier().shapes
    assert p["W1"].std() == pytest.approx((2 / 784) ** 0.5, rel=0.01) and not p["b1"].any()


def test_it_learns_stroke_digits(backend: Any) -> None:
    if backend.name == "cupy":
        pytest.skip("thousands of small steps, which the strict backend has taken already")
    digits = stroke_digits(0, train=600, test=200)
    model = Classifier(hidden=(32, 16), dropout=0.0)
    x = backend.asarray(as_floats(digits.train_images))
    labels = backend.asarray(one_hot(digits.train_labels, 10))
    p = model.initialise(0, backend=backend)
    adam, step_of = tg.Adam(p), tg.value_and_grad(model.loss)
    for step in range(60):
        data = model.draw(x, backend.generator((0, 1, step)), step, labels)
        adam.update(p, step_of(p, *data)[1], 1e-2)
    logits = backend.to_numpy(model.logits(p, backend.asarray(as_floats(digits.test_images))))
    # Measured: 0.02; a guess is wrong in 0.9.
    assert np.mean(logits.argmax(axis=1) != digits.test_labels) < 0.1


@pytest.mark.parametrize(
    ("labels", "came"),
    [(None, "None"), (np.zeros(7, int), r"\(7,\)"), (np.zeros((7, 5)), r"\(7, 5\)"),
     (np.zeros((1, 6)), r"\(1, 6\)")],
)  # fmt: skip
def test_labels_that_are_missing_or_do_not_fit_are_refused(labels: Any, came: str) -> None:
    with pytest.raises(tg.InputError, match=rf"labels of shape \(7, 6\), got {came}"):
        SMALL.draw(np.ones((7, 5)), NUMPY.generator(0), labels=labels)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"classes": 0}, "at least 1"),
        ({"hidden": (5, -1)}, "at least 1"),
        ({"activation": "swish"}, "unknown activation 'swish'"),
        ({"weights": "magic"}, "unknown weights 'magic'"),
        ({"dropout": 1.0}, "below 1"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(tg.InputError, match=sentence):
        Classifier(**wrong)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"reads": "first"}, "unknown reads 'first'"),
        ({"latent": -1}, "latent must be at least 0, got -1"),
        ({"latent": 2.0}, "latent must be a whole number, got 2.0"),
        ({"input_noise": -0.1}, "input_noise must be at least 0, got -0.1"),
        ({"weight_decay": float("nan")}, "weight_decay must be at least 0, got nan"),
        ({"weight_decay": float("inf")}, "weight_decay must be at least 0, got inf"),
    ],
)
def test_what_makes_no_sense_of_an_encoder_is_refused(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(tg.InputError, match=sentence):
        Classifier(**wrong)


def test_numbers_of_numpy_do_not_turn_float32_into_float64() -> None:
    model = Classifier(
        5, (4,), 6, input_noise=np.float64(0.3), weight_decay=np.float64(0.1), dropout=np.float64(0)
    )
    p, *data = batch(model, 3, 0, np.float32)
    assert data[0].dtype == np.float32
    for kind in ("autograd", "by-hand"):
        loss, g = model.gradients(kind)(p, *data)
        assert loss.dtype == g.flat.dtype == np.float32


# What the softmax reads.


@pytest.mark.parametrize("latent", [0, 2])
@pytest.mark.parametrize("hidden", [(), (4,), (4, 3)])
def test_what_is_read_is_the_layers_side_by_side_or_the_last(
    backend: Any, hidden: Any, latent: int
) -> None:
    check_features(backend, hidden, latent)


def test_a_latent_layer_has_no_activation_and_is_never_dropped() -> None:
    model = Classifier(5, (4,), 6, "relu", dropout=0.5, latent=50, biases="normal")
    p, x, _, masks = batch(model, 9, 0, np.float64)
    assert [mask.shape for mask in masks] == [(9, 4)]
    code = model.features(p, x, masks)
    assert (code < 0).any() and (code != 0).all()
    assert model.terms["linear"] and not SMALL.terms["linear"]


def test_weight_decay_is_half_the_squares_of_all_weights_and_no_biases() -> None:
    check_weight_decay()


# What a training step sees.


def test_the_noise_has_the_standard_deviation_that_was_asked_for(backend: Any) -> None:
    check_noise_moments(backend)


def test_the_noise_depends_on_the_seed_alone_and_keeps_the_dtype(backend: Any) -> None:
    x = backend.asarray(np.zeros((3, 5), np.float32))
    draws = [RICH.perturb(x, backend.generator((0, 1, s))) for s in (7, 7, 8)]
    assert {a.dtype for seen, masks in draws for a in (seen, *masks)} == {np.dtype(np.float32)}
    first, same, other = (backend.to_numpy(seen) for seen, _ in draws)
    np.testing.assert_array_equal(first, same)
    assert (first != other).all()
    assert SMALL.perturb(x, backend.generator(0))[0] is x
    labels = backend.asarray(np.eye(6, dtype=np.float32)[:3])
    by_draw = RICH.draw(x, backend.generator((0, 1, 7)), 7, labels)[0]
    np.testing.assert_array_equal(backend.to_numpy(by_draw), first)


# An encoder with a softmax on top.

EVERY_CODER = pytest.mark.parametrize("kind", CODERS)


@EVERY_CODER
@pytest.mark.parametrize("reads", READS)
@pytest.mark.parametrize("latent", [0, 2])
def test_the_layers_of_an_encoder_arrive(backend: Any, kind: str, reads: str, latent: int) -> None:
    check_layers_of_an_encoder(backend, kind, reads, latent)


@EVERY_CODER
def test_what_was_taken_over_is_a_copy_that_learns_by_itself(kind: str) -> None:
    coded, weights = coder(kind)
    model = Classifier(5, (4, 3), 6, "gelu", latent=2, reads="all", dropout=0.0)
    p, *data = batch(model, 7, 1, np.float64)
    model.copy_encoder(p, coded.encoder, weights.part("encoder."))
    before = weights.flat.tobytes()
    adam, step_of = tg.Adam(p), tg.value_and_grad(model.loss)
    losses = []
    for _ in range(30):
        loss, g = step_of(p, *data)
        adam.update(p, g, 1e-2)
        losses.append(float(loss))
    assert weights.flat.tobytes() == before
    assert losses[-1] < losses[0]
    # Fine-tuning moves all layers.
    for name in ("W1", "b1", "W2", "b2", "W4", "b4"):
        kept = weights.get(f"encoder.{name}", 0)
        assert (p[name] != kept).all(), name


def test_an_encoder_without_hidden_layers_gives_its_code() -> None:
    coded = Autoencoder(5, (), 2, biases="normal")
    weights = coded.initialise(0, np.float64)
    model = Classifier(5, (), 6, "elu", latent=2)
    p, x, _, _ = batch(model, 4, 0, np.float64)
    model.copy_encoder(p, coded.encoder, weights.part("encoder."))
    np.testing.assert_allclose(model.features(p, x), coded.encode(weights, x), rtol=1e-14)


@pytest.mark.parametrize(
    "change",
    [
        {"pixels": 6},
        {"hidden": (4,)},
        {"hidden": (3, 4)},
        {"hidden": (4, 3, 2)},
        {"activation": "elu"},
        {"latent": 3},
    ],
)
def test_an_encoder_of_other_layers_is_refused_and_nothing_is_written(change: Any) -> None:
    coded, weights = coder("autoencoder")
    options: Any = {"pixels": 5, "hidden": (4, 3), "activation": "gelu", "latent": 2} | change
    model = Classifier(classes=6, **options)
    p = model.initialise(0)
    before = p.flat.tobytes()
    with pytest.raises(
        tg.InputError, match=r"^the classifier has the layers .*, the encoder .*$"
    ) as e:
        model.copy_encoder(p, coded.encoder, weights.part("encoder."))
    ((name, value),) = change.items()
    assert str(value) in str(e.value) and "(5, (), 3, (4, 3), 'gelu', 2)" in str(e.value)
    assert p.flat.tobytes() == before, name


# A softmax on an encoder that stays what it is.


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_answers_have_mean_0_and_the_mean_squared_norm_1(backend: Any, dtype: Any) -> None:
    check_frozen_features_are_standardised(backend, dtype)


def test_what_never_changes_is_not_blown_up() -> None:
    check_constant_features()


def test_a_step_sees_what_the_encoder_says_of_noisy_images(backend: Any) -> None:
    check_frozen_step_with_noise(backend)


def test_its_loss_and_probabilities_are_those_of_softmax_regression_on_the_answers() -> None:
    check_frozen_is_softmax_regression()


@BOTH_KINDS
def test_no_step_reaches_the_encoder(backend: Any, gradients: str) -> None:
    """It is data: there is nothing to freeze, and nothing is waited for."""
    model, weights, x = standardised(backend, np.float32, input_noise=0.3, weight_decay=0.01)
    before = backend.to_numpy(weights.flat).tobytes()
    labels = backend.asarray(np.eye(3, dtype=np.float32)[np.arange(40) % 3])
    p = model.initialise(0, np.float32, backend)
    start = backend.to_numpy(p.flat).copy()
    learner = SingleLossLearner(model, p, optim.Adam, model.gradients(gradients))
    with count_syncs() as syncs:
        for step in range(5):
            learner.step(learner.draw(x, backend.generator((0, 1, step)), step, labels), 0.1)
    assert not syncs
    assert backend.to_numpy(weights.flat).tobytes() == before
    assert (backend.to_numpy(p.flat) != start).all()
    assert p.flat.size == 2 * 3 + 3  # the softmax's alone


def test_wherever_it_begins_a_softmax_on_top_comes_to_the_same_end() -> None:
    """Its loss is convex, and with weight decay strictly."""
    model, _, x = standardised(weight_decay=0.1)
    labels, ends = np.eye(3)[np.arange(40) % 3], []
    answers = model.features(x)
    step_of = model.head.gradients("by-hand")
    for seed in (0, 1):
        p = model.initialise(seed, np.float64)
        for _ in range(2000):
            p.flat[...] -= step_of(p, answers, labels)[1].flat
        ends.append(p["W1"].copy())
    # Descent converges geometrically; what is left after 2000 steps is rounding.
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-9, atol=1e-12)
