"""The same verbs for every trained model, each beside what the model itself computes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygen as tg
from tinygen.errors import InputError
from tinygen.evaluation import VAEEvaluator
from tinygen.models import (
    GAN,
    VAE,
    AdversarialAutoencoder,
    Autoencoder,
    Classifier,
    Decoder,
    Encoder,
)
from tinygen.models.serialization import KINDS
from tinygen.training import TrainedModel, loading

NUMPY = tg.get_backend("numpy")
MODELS: dict[str, Any] = {
    "autoencoder": Autoencoder(6, (5, 4), 3, "tanh", "sigmoid", weight_decay=0.1, dropout=0.2),
    "vae": VAE(6, (5,), 3, binarize=True, beta=2.0),
    "free bits": VAE(6, (5,), 3, beta=0.1, kl_warm_up=7, free_bits=5.0),
    "gaussian vae": VAE(6, (5,), 3, "tanh", "gaussian"),
    "gan": GAN(6, 3, (5,), (6, 5)),
    "conditional": GAN(6, 3, (5,), (6, 5), classes=2),
    "adversarial": AdversarialAutoencoder(6, (5,), 3, discriminator_hidden=(4,)),
    "classifier": Classifier(6, (5, 4), 4, "elu", 0.2, weight_decay=0.1),
    "encoder": Encoder(6, (5,), 3, heads=2),
    "decoder": Decoder(3, (5,), 6, reconstruction="bce"),
}
IMAGES = np.random.default_rng(0).integers(0, 256, (7, 2, 3), dtype=np.uint8)
ROWS = (IMAGES.reshape(7, 6) / np.float32(255)).astype(np.float32)
HAVE = {
    "encode": "autoencoder, vae, free bits, gaussian vae, adversarial, encoder",
    "posterior": "vae, free bits, gaussian vae",
    "decode": "autoencoder, vae, free bits, gaussian vae, adversarial, decoder",
    "reconstruct": "autoencoder, vae, free bits, gaussian vae, adversarial",
    "sample": "vae, free bits, gaussian vae, adversarial, gan, conditional",
    "loss": "autoencoder, vae, free bits, gaussian vae, classifier",
    "classify": "classifier",
}
PAIRS = [(verb, name) for verb, names in HAVE.items() for name in names.split(", ")]
OTHERS = [(verb, name) for verb in HAVE for name in MODELS if (verb, name) not in PAIRS]


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 7 images, so that the last piece is smaller."""
    monkeypatch.setattr(loading, "ROWS", 3)


def trained(name: str, place: Any = NUMPY, shape: Any = (2, 3), dtype: str = "float32") -> Any:
    """A model whose biases and norms are not their initial zeros and ones."""
    model = MODELS[name]
    p = model.initialise(3, dtype)
    p.flat[...] += 0.3 * np.random.default_rng(1).standard_normal(p.flat.size).astype(dtype)
    return TrainedModel(model, p.to(place), place, Path("there.npz"), {"shape": [*shape]})


def ask(who: TrainedModel, verb: str) -> Any:
    arguments: dict[str, Any] = {
        "decode": (np.ones((7, 3)),),
        "sample": (7,),
        "loss": (IMAGES, np.arange(7) % 4) if isinstance(who.model, Classifier) else (IMAGES,),
    }
    return getattr(who, verb)(*arguments.get(verb, (IMAGES,)))


def test_every_kind_and_every_verb_is_tried_here() -> None:
    assert {type(model).__name__ for model in MODELS.values()} == {*KINDS}
    assert {*HAVE} == {*loading.VERBS}


@pytest.mark.parametrize(("verb", "name"), PAIRS)
def test_a_verb_answers_on_the_host_alike_on_every_backend(
    backend: Any, verb: str, name: str
) -> None:
    got = ask(trained(name, backend), verb)
    shape = {"encode": (7, 3), "posterior": (2, 7, 3), "classify": (7,), "loss": ()}.get(
        verb, (7, 2, 3)
    )
    kind = {"loss": float, "posterior": tuple}.get(verb, np.ndarray)
    assert np.shape(got) == shape and type(got) is kind
    if verb != "loss" or name in ("autoencoder", "classifier"):  # its noise differs on a GPU
        np.testing.assert_allclose(got, ask(trained(name), verb), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("verb", "name"), OTHERS)
def test_a_verb_that_a_model_has_not_names_those_that_have_it(verb: str, name: str) -> None:
    kind = type(MODELS[name]).__name__
    able = {type(MODELS[other]).__name__ for v, other in PAIRS if v == verb}
    with pytest.raises(InputError, match=f"^there.npz: {kind} has no {verb}; ") as refused:
        ask(trained(name), verb)
    for kind in {type(model).__name__ for model in MODELS.values()}:
        words = str(refused.value).partition(";")[2].replace(",", "").split()
        assert (kind in words) == (kind in able)


@pytest.mark.parametrize("name", MODELS)
def test_completion_offers_the_verbs_that_a_model_has(name: str) -> None:
    who = trained(name)
    shown = {*dir(who)}
    assert {verb for verb in HAVE if verb in shown} == {v for v, able in PAIRS if able == name}
    assert ("encoder" in shown) == hasattr(MODELS[name], "encoder")
    assert {"model", "parameters", "prepare", "history"} <= shown


@pytest.mark.parametrize("name", ["autoencoder", "vae"])
def test_codes_and_images_are_those_of_the_model(name: str) -> None:
    who = trained(name)
    p, model = who.parameters, who.model
    mean = model.encode(p, ROWS) if name == "autoencoder" else model.encode(p, ROWS)[0]
    np.testing.assert_allclose(who.encode(IMAGES), mean, rtol=1e-5, atol=1e-7)
    images = model.decode(p, mean).reshape(7, 2, 3)
    np.testing.assert_allclose(who.decode(mean), images, rtol=1e-5)
    np.testing.assert_allclose(who.reconstruct(IMAGES), images, rtol=1e-5)


def test_the_posterior_has_the_kl_of_the_elbo() -> None:
    """By numerical integration over each dimension, in nats."""
    who = trained("gaussian vae")
    mean, log_var = who.posterior(IMAGES)
    np.testing.assert_array_equal(mean, who.encode(IMAGES))
    z = np.linspace(-12, 12, 4001)
    log_q = -0.5 * ((z - mean[..., None]) ** 2 / np.exp(log_var[..., None]) + log_var[..., None])
    density = np.exp(log_q) / np.sqrt(2 * np.pi)
    kl = (density * (log_q + 0.5 * z**2)).sum(axis=-1) * (z[1] - z[0])
    np.testing.assert_allclose(tg.gaussian_kl(mean, log_var), kl, rtol=1e-4, atol=1e-5)
    reported = VAEEvaluator(who.model, who.parameters, seed=0).elbo(IMAGES).kl_per_dimension
    np.testing.assert_allclose(kl.mean(axis=0), reported, rtol=1e-4)


@pytest.mark.parametrize("name", ["vae", "adversarial"])
def test_samples_are_decoded_draws_of_the_prior(name: str) -> None:
    who = trained(name)
    z = np.random.default_rng(5).standard_normal((7, 3)).astype(np.float32)
    expected = who.model.decode(who.parameters, z).reshape(7, 2, 3)
    np.testing.assert_allclose(who.sample(7, seed=5), expected, rtol=1e-5)
    assert not np.allclose(who.sample(7, seed=6), expected)


def test_a_gan_samples_with_a_calibrated_norm() -> None:
    """So that an image does not depend on those that are generated with it."""
    who = trained("gan")
    z = np.random.default_rng(5).standard_normal((7, 3)).astype(np.float32)
    expected = who.model.sampler(who.parameters.part("generator."))(z).reshape(7, 2, 3)
    np.testing.assert_allclose(who.sample(7, seed=5), expected, rtol=1e-5)


def test_a_gan_with_classes_shows_those_that_are_asked_for() -> None:
    who = trained("conditional")
    z = np.random.default_rng(0).standard_normal((7, 3)).astype(np.float32)
    sampler = who.model.sampler(who.parameters.part("generator."))
    for labels, classes in (
        (None, np.arange(7) % 2),
        (1, np.ones(7, int)),
        ([0, 1, 1, 1, 0, 0, 0], np.array([0, 1, 1, 1, 0, 0, 0])),
    ):
        expected = sampler(z, np.eye(2, dtype=np.float32)[classes]).reshape(7, 2, 3)
        np.testing.assert_allclose(who.sample(7, labels=labels), expected, rtol=1e-5)
    with pytest.raises(ValueError, match="label 2 is out of range"):
        who.sample(3, labels=2)
    with pytest.raises(InputError, match=r"one label, or one for each of 3 images, got .* \(2,\)$"):
        who.sample(3, labels=[0, 1])
    with pytest.raises(InputError, match="expected no labels"):
        trained("gan").sample(3, labels=1)


@pytest.mark.parametrize("name", ["vae", "free bits", "gaussian vae"])
def test_the_loss_of_a_vae_is_the_figure_of_a_run(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its KL weighs in training, and whatever bits it has for free."""
    who = trained(name)
    evaluator = VAEEvaluator(who.model, who.parameters, seed=4)
    monkeypatch.setattr(loading, "ROWS", 1000)  # the evaluator's, on which the noise depends
    expected = evaluator.elbo(IMAGES).metrics["negative_elbo"]
    assert who.loss(IMAGES, seed=4) == pytest.approx(expected, rel=1e-6)
    assert who.loss(IMAGES, seed=5) != who.loss(IMAGES, seed=4)


def test_the_loss_of_a_vae_is_the_figure_of_a_run_whatever_was_minimised() -> None:
    who = replace(trained("vae"), model=replace(MODELS["vae"], objective="iwae", samples=5))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "ROWS", 1000)
        expected = VAEEvaluator(who.model, who.parameters, seed=4).elbo(IMAGES)
        assert who.loss(IMAGES, seed=4) == pytest.approx(expected.negative_elbo, rel=1e-6)


def test_the_loss_of_an_autoencoder_and_of_a_classifier_is_the_models() -> None:
    who, labels = trained("autoencoder"), np.array([0, 3, 2, 1, 1, 1, 0])
    assert who.loss(IMAGES) == pytest.approx(float(who.model.loss(who.parameters, ROWS)), rel=1e-6)
    who = trained("classifier")
    rows = np.eye(4, dtype=np.float32)[labels]
    expected = float(who.model.loss(who.parameters, ROWS, rows))
    assert who.loss(IMAGES, labels) == pytest.approx(expected, rel=1e-6)
    probabilities = who.model.probabilities(who.parameters, ROWS)
    np.testing.assert_array_equal(who.classify(IMAGES), probabilities.argmax(axis=1))


@pytest.mark.parametrize("name", ["autoencoder", "vae"])
def test_what_a_verb_returns_another_one_takes(name: str) -> None:
    who = trained(name)
    codes = who.encode(IMAGES)
    for floats in (ROWS, ROWS.reshape(7, 2, 3), ROWS.reshape(7, 2, 3).astype(np.float64)):
        np.testing.assert_allclose(who.encode(floats), codes, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(who.reconstruct(IMAGES), who.decode(codes))
    assert who.encode(who.decode(codes)).shape == (7, 3)


def test_points_go_through_as_they_are() -> None:
    points = 9 * np.random.default_rng(0).standard_normal((7, 6))
    who = of_rows("gaussian vae", points)
    assert who.encode(points).shape == (7, 3) and who.reconstruct(points).shape == (7, 6)


def of_rows(name: str, rows: Any) -> TrainedModel:
    """As `tinygen.fit` returns it after a training on rows of floats."""
    about = {"shape": [6], "preprocessing": "none", "range": [float(rows.min()), float(rows.max())]}
    return replace(trained(name), data=about)


SIGNED = 2 * ROWS - 1


@pytest.mark.parametrize("old", [False, True])
def test_bytes_are_refused_if_the_rows_of_the_training_were_scaled_otherwise(old: bool) -> None:
    who = of_rows("gaussian vae", SIGNED)
    if old:  # a checkpoint that does not say how they were
        who = replace(who, data={"shape": [6], "preprocessing": "none"})
    of = "of floats" if old else r"of floats from -\S+ to \S+"
    for verb in ("encode", "posterior", "reconstruct", "loss"):
        with pytest.raises(
            InputError, match=rf"rows {of}, got uint8; images / 255 is in \[0, 1\]$"
        ):
            getattr(who, verb)(IMAGES)
    with pytest.raises(InputError, match="got uint8"):
        who.encoder.prepare(IMAGES)
    assert who.encode(SIGNED).shape == (7, 3)


@pytest.mark.parametrize("name", ["gaussian vae", "vae", "classifier"])
def test_bytes_are_taken_if_the_rows_of_the_training_were_in_the_unit_interval(name: str) -> None:
    who = of_rows(name, ROWS)
    np.testing.assert_array_equal(who.prepare(IMAGES), ROWS)


def test_a_model_that_answers_in_the_unit_interval_takes_no_other_rows() -> None:
    for name in ("vae", "autoencoder"):
        with pytest.raises(InputError, match=r"in \[0, 1\], got .* to 248; divide by 255"):
            of_rows(name, ROWS).encode(IMAGES.reshape(7, 6) * 1.0)


def test_floats_far_from_those_of_the_training_are_warned_of() -> None:
    who = of_rows("gaussian vae", SIGNED)
    who.prepare(2 * SIGNED)  # as an outlier may be; warnings are errors here
    with pytest.warns(
        UserWarning, match=r"from 4 to 248, those .* from -\S+ to \S+; were they"
    ) as w:
        who.prepare(IMAGES.reshape(7, 6) * 1.0)
    assert w[0].filename == __file__ and len(w) == 1


@pytest.mark.parametrize(
    ("verb", "arguments", "sentence"),
    [
        ("encode", (IMAGES.astype(int),), r"got int64; x\.astype\(np\.uint8\) makes pixels"),
        ("encode", (ROWS * 255,), r"expected values in \[0, 1\], got .*; divide by 255"),
        ("encode", (np.full((7, 6), np.nan),), "NaN"),
        ("encode", (ROWS[0],), "of images of 2 x 3 pixels, got no$"),
        ("sample", (2, "a"), "expected a seed, a whole number of at least 0, got 'a'"),
        ("loss", (IMAGES, None, -1), "expected a seed, .* got -1"),
        ("encode", (ROWS[:, :5],), "of 2 x 3 pixels, got 5"),
        ("encode", (IMAGES[:0],), "at least one image or code, got none"),
        ("decode", (np.ones((7, 4)),), r"expected codes \(n, 3\), got \(7, 4\)"),
        ("decode", (np.ones(3),), r"expected codes \(n, 3\), got \(3,\)"),
        ("sample", (0,), "at least 1, got 0"),
        ("sample", (2.0,), r"a whole number of images, at least 1, got 2\.0"),
        ("sample", (2, 0, 1), "expected no labels"),
        ("loss", (IMAGES, np.arange(7)), "expected images and no labels"),
    ],
)
def test_strange_arguments_are_asked_about(verb: str, arguments: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as refused:
        getattr(trained("vae"), verb)(*arguments)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("labels", [None, [1], np.zeros(8, int)])
def test_a_classifiers_loss_takes_a_label_for_each_image(labels: Any) -> None:
    with pytest.raises(InputError, match="expected a label for each image, got"):
        trained("classifier").loss(IMAGES, labels)
