"""Checks of the classifier, for its tests and for the table of mutants."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from agreement import assert_by_hand_agrees
from byhand_classifier_checks import drawn_labels
from strict import count_syncs

import tinygen as tg
from tinygen.byhand.classifier import loss_and_grads
from tinygen.losses import one_hot
from tinygen.models import VAE, Autoencoder
from tinygen.models.classifier import READS, Classifier, Frozen

NUMPY = tg.get_backend("numpy")
RICH = Classifier(
    pixels=5, hidden=(4, 3), classes=6, activation="gelu", biases="normal", latent=2, reads="all",
    input_noise=0.2, weight_decay=0.01,
)  # fmt: skip


def batch(model: Classifier, n: int, seed: int, dtype: Any, backend: Any = NUMPY) -> Any:
    """Parameters, and all that the loss takes in one step."""
    x = np.random.default_rng(seed).random((n, model.pixels)).astype(dtype)
    labels = one_hot(np.arange(n) % model.classes, model.classes, dtype)
    data = model.draw(backend.asarray(x), backend.generator(seed), labels=backend.asarray(labels))
    return (model.initialise(seed, dtype, backend), *data)


def drawn(model: Classifier, n: int, seed: int, dtype: Any, counted: bool) -> Any:
    """Parameters and a step's data, with labels of which each row counts once, or as it likes."""
    p, x, labels, masks = batch(model, n, seed, dtype)
    assert len(masks) == (len(model.hidden) if model.dropout else 0)
    if counted:
        labels = drawn_labels(np.random.default_rng(seed), n, model.classes).astype(dtype)
    return p, x, labels, masks


# The gradient three times.


def check_by_hand(
    dtype: str, tolerance: float, model: Classifier, n: int, seed: int, counted: bool
) -> None:
    data = drawn(model, n, seed, np.dtype(dtype), counted)
    assert_by_hand_agrees(model, loss_and_grads, data, dtype, tolerance)


def check_finite_differences(
    model: Classifier, n: int, seed: int, counted: bool, directions: int = 3
) -> None:
    p, *data = drawn(model, n, seed, np.float64, counted)
    tg.check_gradients(lambda q: model.loss(q, *data), p, directions=directions, tolerance=1e-7)


def check_loss_of_zero_weights(backend: Any) -> None:
    model = Classifier()
    p, x, labels, _ = batch(model, 30, 0, np.float64, backend)
    p.flat[...] = 0
    assert float(model.loss(p, x, labels)) == pytest.approx(np.log(10), rel=1e-12)
    np.testing.assert_allclose(backend.to_numpy(model.probabilities(p, x)), 0.1, rtol=1e-12)


# What the softmax reads, and what a training step sees.


def check_features(backend: Any, hidden: Any, latent: int) -> None:
    options: Any = {"activation": "tanh", "biases": "normal", "latent": latent, "dropout": 0.4}
    for reads in READS:
        model = Classifier(5, hidden, 6, reads=reads, **options)
        p, x, _, masks = batch(model, 7, 3, np.float64, backend)
        q, rows = {k: backend.to_numpy(v) for k, v in p.items()}, backend.to_numpy(x)
        for dropped in ((), masks):
            h, layers = rows, []
            for k in range(1, len(hidden) + 1):
                h = np.tanh(h @ q[f"W{k}"] + q[f"b{k}"])
                h = h * backend.to_numpy(dropped[k - 1]) if dropped else h
                layers.append(h)
            if latent:
                layers.append(h @ q[f"W{len(hidden) + 1}"] + q[f"b{len(hidden) + 1}"])
            layers = layers or [rows]
            expected = np.concatenate(layers, axis=1) if reads == "all" else layers[-1]
            assert expected.shape[1] == sum(model.widths) == model.shapes[[*model.shapes][-2]][0]
            found = backend.to_numpy(model.features(p, x, dropped))
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


def check_weight_decay() -> None:
    p, x, labels, _ = batch(RICH, 4, 0, np.float64)
    plain = Classifier(**{**vars_of(RICH), "weight_decay": 0.0})
    squares = sum((p[f"W{k}"] ** 2).sum() for k in (1, 2, 3, 4))
    difference = RICH.loss(p, x, labels) - plain.loss(p, x, labels)
    assert difference == pytest.approx(0.005 * squares, rel=1e-12)


def vars_of(model: Classifier) -> dict[str, Any]:
    """The options of a model."""
    return {name: getattr(model, name) for name in model.__dataclass_fields__}


def check_noise_moments(backend: Any) -> None:
    x = backend.asarray(np.full((400, 50), 0.25))
    for std in (0.1, 0.7):
        model = Classifier(50, (3,), 2, input_noise=std)
        with count_syncs() as syncs:
            seen, masks = model.perturb(x, backend.generator(5))
        assert not syncs and seen.dtype == np.float64 and len(masks) == 1
        assert (backend.to_numpy(x) == 0.25).all()  # a new array
        noise = (backend.to_numpy(seen) - 0.25) / std
        # The moments of N(0, 1); and how far their estimates may be off: five standard
        # deviations of such powers, over the root of all numbers.
        for power, moment, spread in ((1, 0, 1), (2, 1, 2**0.5), (3, 0, 15**0.5), (4, 3, 96**0.5)):
            error = 5 * spread / noise.size**0.5
            assert (noise**power).mean() == pytest.approx(moment, abs=error)
        # Each number is drawn by itself: neighbours are as independent as chance has it.
        for a, b in ((noise[:-1], noise[1:]), (noise[:, :-1], noise[:, 1:])):
            assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 5 / a.size**0.5


CODERS = {
    "autoencoder": Autoencoder(5, (4, 3), 2, "gelu", dropout=0.1, biases="normal"),
    "vae": VAE(5, (4, 3), 2, "gelu", biases="normal"),
}


def coder(kind: str, backend: Any = NUMPY, dtype: Any = np.float64) -> Any:
    """A model with an encoder, and its parameters."""
    return CODERS[kind], CODERS[kind].initialise(3, dtype, backend)


def check_layers_of_an_encoder(backend: Any, kind: str, reads: str, latent: int) -> None:
    coded, weights = coder(kind, backend)
    model = Classifier(5, (4, 3), 6, "gelu", biases="normal", latent=latent, reads=reads)
    p, x, labels, _ = batch(model, 7, 1, np.float64, backend)
    before, leaf = backend.to_numpy(weights.flat).copy(), tg.leaves(p)["W1"]
    on_old_values = (leaf * leaf).sum()
    model.copy_encoder(p, coded.encoder, weights.part("encoder."))
    with pytest.raises(RuntimeError, match="was written in place"):
        tg.grad(on_old_values, leaf)
    np.testing.assert_array_equal(backend.to_numpy(weights.flat), before)
    encoded = coded.encode(weights, x)
    code = backend.to_numpy(encoded[0] if kind == "vae" else encoded)
    features = backend.to_numpy(model.features(p, x))
    if latent:
        np.testing.assert_allclose(features[:, -2:], code, rtol=1e-13, atol=1e-15)
    if reads == "all" or not latent:  # what lies before the code, of which it is an affine function
        h = features[:, 4:7] if reads == "all" else features
        w, b = (backend.to_numpy(weights[f"encoder.{n}"]) for n in ("W3", "b3"))
        np.testing.assert_allclose((h @ w + b)[:, :2], code, rtol=1e-12, atol=1e-14)
    # The softmax has no opinion yet.
    np.testing.assert_array_equal(backend.to_numpy(model.logits(p, x)), 0)
    assert float(model.loss(p, x, labels)) == pytest.approx(np.log(6), rel=1e-12)
    assert not backend.to_numpy(p["W4" if latent else "W3"]).any()


def standardised(backend: Any = NUMPY, dtype: Any = np.float64, **options: Any) -> Any:
    """A frozen encoder with a softmax; its parameters; and the images that it was made with."""
    coded, weights = coder("autoencoder", backend, dtype)
    part = weights.part("encoder.")
    x = np.random.default_rng(8).random((40, 5))
    x = backend.asarray(x, dtype)
    head = Classifier(2, (), 3, dropout=0.0, weights="glorot_uniform", **options)
    return Frozen.standardised(head, lambda images: coded.encoder(part, images), x), weights, x


def check_frozen_features_are_standardised(backend: Any, dtype: Any) -> None:
    model, _, x = standardised(backend, dtype)
    answers = model.features(x)
    assert answers.dtype == dtype
    host = backend.to_numpy(answers).astype(float)
    exact = 1e-13 if dtype == np.float64 else 1e-5  # rounding of sums of forty numbers
    np.testing.assert_allclose(host.mean(axis=0), 0, atol=exact)
    np.testing.assert_allclose((host**2).sum(axis=1).mean(), 1, rtol=exact)
    # All count alike.
    np.testing.assert_allclose((host**2).mean(axis=0), 1 / 2, rtol=exact)


def check_constant_features() -> None:
    """A pixel that is black in all images, or in all but one."""
    x = np.random.default_rng(0).random((200, 8))
    x[:, 0], x[:, 1] = 0, 0
    x[7, 1] = 0.01
    model = Frozen.standardised(Classifier(8, (), 3, dropout=0.0), lambda images: images, x)
    answers = model.features(x)
    assert np.isfinite(answers).all() and not answers[:, 0].any()
    np.testing.assert_allclose((answers[:, 2:] ** 2).mean(axis=0), 1 / 8, rtol=1e-12)
    # Such a pixel has a tenth of the usual deviation, as if it changed so much.
    usual = (x.std(axis=0) ** 2).mean() ** 0.5
    surprise = np.zeros((1, 8))
    surprise[0, 0] = 1
    expected = 1 / (0.1 * usual * 8**0.5)
    assert model.features(surprise)[0, 0] == pytest.approx(expected, rel=1e-12)
    # The one that changed once says little. By its own deviation it would be 14 deviations out.
    assert answers[7, 1] == pytest.approx(0.01 * (199 / 200) * expected, rel=1e-12)
    assert answers[7, 1] < 0.2 and x[7, 1] / x[:, 1].std() > 14


def check_frozen_step_with_noise(backend: Any) -> None:
    noisy, _, x = standardised(backend, np.float32, input_noise=0.5)
    labels = backend.asarray(np.eye(3, dtype=np.float32)[np.arange(40) % 3])
    with count_syncs() as syncs:
        seen, same, masks = noisy.draw(x, backend.generator((0, 1, 7)), 7, labels)
    assert not syncs and same is labels and masks == ()
    assert seen.shape == (40, 2) and seen.dtype == np.float32
    noise = backend.generator((0, 1, 7)).standard_normal((40, 5), dtype=np.float32)
    expected = noisy.features(x + 0.5 * noise)
    np.testing.assert_allclose(backend.to_numpy(seen), backend.to_numpy(expected), rtol=1e-6)
    assert (backend.to_numpy(seen) != backend.to_numpy(noisy.features(x))).all()
    clean, _, _ = standardised(backend, np.float32)
    seen = clean.draw(x, backend.generator(0), 0, labels)[0]
    np.testing.assert_array_equal(backend.to_numpy(seen), backend.to_numpy(clean.features(x)))


def check_frozen_is_softmax_regression() -> None:
    model, weights, x = standardised(weight_decay=0.2)
    p = model.initialise(1, np.float64)
    assert p.shapes == {"W1": (2, 3), "b1": (3,)}
    code = CODERS["autoencoder"].encode(weights, x)
    answers = (code - code.mean(axis=0)) / code.std(axis=0) / 2**0.5
    z = answers @ p["W1"] + p["b1"]
    q = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.probabilities(p, x), q, rtol=1e-11)
    labels = np.eye(3)[np.arange(40) % 3]
    expected = -np.log(q[labels == 1]).mean() + 0.1 * (p["W1"] ** 2).sum()
    assert model.loss(p, answers, labels) == pytest.approx(expected, rel=1e-11)
