"""Options of models: what is meant is done and stored as plain Python; copies of models."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import numpy as np
import pytest

import tinygen as tg
from tinygen.models import (
    GAN,
    VAE,
    AdversarialAutoencoder,
    Autoencoder,
    Classifier,
    Decoder,
    Encoder,
    Frozen,
)
from tinygen.models.serialization import describe, from_description
from tinygen.nn import BIASES, WEIGHTS

KINDS: Any = pytest.mark.parametrize(
    "kind", [AdversarialAutoencoder, Autoencoder, Classifier, Decoder, Encoder, VAE]
)
COPIES: Any = pytest.mark.parametrize(
    "copy_of", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["copy", "pickle"]
)
random = np.random.default_rng(5)


def written_down(model: Any) -> Any:
    """The model that a checkpoint would give back."""
    return from_description(json.loads(json.dumps(describe(model))))


@KINDS
@pytest.mark.parametrize(
    ("meant", "plain"),
    [
        ({"hidden": 5}, {"hidden": (5,)}),
        ({"hidden": np.int64(5)}, {"hidden": (5,)}),
        ({"hidden": [5, 4]}, {"hidden": (5, 4)}),
        ({"hidden": np.array([5, 4])}, {"hidden": (5, 4)}),
        ({"hidden": range(5, 3, -1)}, {"hidden": (5, 4)}),
        ({"hidden": []}, {"hidden": ()}),
        ({"latent": np.int64(2), "pixels": np.uint8(7)}, {"latent": 2, "pixels": 7}),
        ({"activation": tg.tanh}, {"activation": "tanh"}),
        ({"activation": tg.linear}, {"activation": "none"}),
        ({"weights": WEIGHTS["he_normal"], "biases": BIASES["normal"]},
         {"weights": "he_normal", "biases": "normal"}),
    ],
)  # fmt: skip
def test_an_option_is_what_is_meant_by_it(kind: Any, meant: Any, plain: Any) -> None:
    base = {"pixels": 6, "hidden": (4,), "latent": 3}
    model = kind(**(base | meant))
    assert model == kind(**(base | plain)) == written_down(model)
    assert hash(model) == hash(written_down(model))


def test_options_of_both_players() -> None:
    model = GAN(
        np.int64(3), np.int16(2), 4, [5, 4], tg.tanh, tg.gelu, "none", dropout=np.float32(0.5),
        loss="r1", penalty=np.float32(2), smoothing=np.float64(0), pack=np.uint8(2),
    )  # fmt: skip
    assert model == written_down(model) == GAN(
        3, 2, (4,), (5, 4), "tanh", "gelu", "none", dropout=0.5, loss="r1", penalty=2.0, pack=2
    )  # fmt: skip


def test_numbers_and_switches_of_numpy() -> None:
    model = VAE(4, 3, 2, samples=np.int64(3), beta=np.float32(0.5), kl_warm_up=np.int32(7),
                binarize=np.bool_(True))  # fmt: skip
    assert model == written_down(model)
    assert (type(model.samples), type(model.beta), type(model.binarize)) == (int, float, bool)
    assert Autoencoder(4, 3, 2, dropout=np.float32(0.5)) == Autoencoder(4, (3,), 2, dropout=0.5)


@KINDS
@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"hidden": "400"}, r"hidden must be whole numbers, such as \(512, 256\), got '400'"),
        ({"hidden": (4.0,)}, r"hidden must be whole numbers, such as .*, got \(4.0,\)"),
        ({"hidden": None}, "hidden must be whole numbers, such as .*, got None"),
        ({"hidden": np.array([4.5])}, "hidden must be whole numbers"),
        ({"latent": 2.5}, "latent must be a whole number, got 2.5"),
        ({"latent": "2"}, "latent must be a whole number, got '2'"),
        ({"pixels": (28, 28)}, r"pixels must be a whole number, got \(28, 28\)"),
        ({"pixels": 0}, "pixels must be at least 1, got 0"),
        ({"hidden": (4, -1)}, r"hidden must be at least 1 each, got \(4, -1\)"),
        ({"pixels": True}, "pixels must be a whole number, got True"),
        ({"activation": lambda x: x}, "activation must be a name, got <function"),
        ({"activation": tg.matmul}, "activation must be a name, got <op matmul"),
        ({"activation": ["relu"]}, r"activation must be a name, got \['relu'\]"),
        ({"weights": lambda generator, shape: 0}, "weights must be a name, got <function"),
        ({"biases": None}, "biases must be a name, got None"),
    ],
)
def test_what_is_not_clear_is_refused_in_a_sentence(kind: Any, wrong: Any, sentence: str) -> None:
    with pytest.raises(tg.InputError, match=sentence) as error:
        kind(**wrong)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"beta": "1"}, "beta must be at least 0, got '1'"),
        ({"beta": None}, "beta must be at least 0, got None"),
        ({"beta": True}, "beta must be at least 0, got True"),
        ({"binarize": "no"}, "binarize must be True or False, got 'no'"),
        ({"binarize": 1}, "binarize must be True or False, got 1"),
        ({"latent": 0}, "latent must be at least 1, got 0"),
        ({"kl_warm_up": -1}, "kl_warm_up must be at least 0, got -1"),
        ({"samples": 1.5}, "samples must be a whole number, got 1.5"),
    ],
)
def test_numbers_and_switches_that_make_no_sense(wrong: Any, sentence: str) -> None:
    with pytest.raises(tg.InputError, match=sentence):
        VAE(**wrong)


# Copies.


MODELS = {
    "aae": AdversarialAutoencoder(6, (5,), 2, "tanh", discriminator_hidden=(3,), loss="r1"),
    "autoencoder": Autoencoder(6, (5,), 2, "gelu", dropout=0.5),
    "classifier": Classifier(6, (5,), 3, latent=2, reads="all"),
    "decoder": Decoder(2, (5,), 6),
    "encoder": Encoder(6, (5,), 2, "softplus"),
    "gan": GAN(6, 2, (5, 4), (3,), discriminator_activation="maxout", generator_norm="batch"),
    "vae": VAE(6, (5,), 2, "leaky_relu", likelihood="gaussian"),
}


@COPIES
@pytest.mark.parametrize("name", MODELS)
def test_models_can_be_copied_and_pickled(name: str, copy_of: Any) -> None:
    model = MODELS[name]
    p = model.initialise(0)
    twin, q = copy_of(model), copy_of(p)
    assert twin == model and describe(twin) == describe(model)
    assert q.shapes == p.shapes and q.flat.tobytes() == p.flat.tobytes()
    assert twin.initialise(0).flat.tobytes() == p.flat.tobytes()
    q.flat[...] = 0
    assert q["".join(next(iter(q)))].sum() == 0 and p.flat.any()  # views of its own vector


@COPIES
def test_a_copy_computes_the_same_gradients(copy_of: Any) -> None:
    model = MODELS["autoencoder"]
    p, x = model.initialise(0), random.random((4, 6)).astype(np.float32)
    data = model.draw(x, np.random.default_rng(0))
    for how in ("autograd", "by-hand"):
        loss, g = model.gradients(how)(p, *data)
        again, h = copy_of(model).gradients(how)(copy_of(p), *data)
        assert loss == again and g.flat.tobytes() == h.flat.tobytes()


@COPIES
def test_a_softmax_on_a_frozen_encoder_can_be_copied(copy_of: Any) -> None:
    frozen = Frozen(Classifier(2, (), 3), np.tanh, np.zeros(2), np.ones(2))
    x, p = random.random((4, 2)), frozen.initialise(0, np.float64)
    np.testing.assert_array_equal(
        copy_of(frozen).probabilities(p, x), frozen.probabilities(p, x)
    )  # fmt: skip


# Dtypes and widths.


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.bool_])
@pytest.mark.parametrize("name", ["aae", "autoencoder", "classifier", "encoder", "vae"])
def test_images_of_integers_are_refused(backend: Any, name: str, kind: Any) -> None:
    """Bytes from 0 to 255 would go through a model of pixels from 0 to 1 without a word."""
    model = MODELS[name]
    p = model.initialise(0, backend=backend)
    x = backend.asarray(np.ones((4, 6), kind))
    for f in ("__call__", "encode", "reconstruct", "logits"):
        if hasattr(model, f):
            with pytest.raises(TypeError, match=r"affine: .*expected floats, got"):
                getattr(model, f)(p, x)


def test_codes_and_noise_of_integers_are_refused() -> None:
    z = np.ones((4, 2), int)
    with pytest.raises(TypeError, match="expected floats, got int64"):
        MODELS["decoder"](MODELS["decoder"].initialise(0), z)
    g = MODELS["gan"].initialise(0).part("generator.")
    for call in (MODELS["gan"].generate, lambda g, z: MODELS["gan"].sampler(g)(z)):
        with pytest.raises(TypeError, match="expected floats, got int64"):
            call(g, z)


def test_variances_and_features_do_not_broadcast() -> None:
    mu, noise = np.zeros((4, 2)), np.zeros((3, 4, 2))
    for shape in ((2,), (4, 1), (1,), ()):
        with pytest.raises(ValueError, match=r"reparameterise: .*log_var"):
            tg.models.vae.reparameterise(mu, np.zeros(shape), noise)
    frozen = Frozen(Classifier(2, (), 3), lambda x: x, np.zeros(2), np.ones(2))
    with pytest.raises(tg.InputError, match=r"features are \(4, 1\), .*expected \(n, 2\)"):
        frozen.features(np.ones((4, 1)))
