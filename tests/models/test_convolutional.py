"""Convolutional models: every gradient twice and measured, halves, descriptions, and refusals."""

from __future__ import annotations

import re

import numpy as np
import pytest

import tinygen as tg
from tinygen.errors import InputError
from tinygen.models import (
    GAN,
    VAE,
    AdversarialAutoencoder,
    Autoencoder,
    Classifier,
    Decoder,
    Encoder,
)
from tinygen.models.architecture import feature_maps, image_option
from tinygen.models.serialization import describe, from_description

SHAPES = [(8, 8, 1), (7, 5, 3)]  # even and odd sizes, in grey and in colour
OPTIONS = {"hidden": (6,), "latent": 3, "channels": (4, 5)}
LABELS = np.eye(3)[[0, 1, 2, 1, 0]]
MODELS = {
    "autoencoder": lambda d, s: Autoencoder(d, **OPTIONS, image=s, weight_decay=0.1, dropout=0.3),
    "vae": lambda d, s: VAE(d, **OPTIONS, image=s, likelihood="gaussian", kernel=2),
    "iwae": lambda d, s: VAE(d, **OPTIONS, image=s, objective="iwae", samples=2, kernel=5),
    "classifier": lambda d, s: Classifier(d, (6,), 3, "elu", channels=(4, 5), image=s),
    "reads all": lambda d, s: Classifier(
        d, (), 3, "gelu", channels=(4, 5), image=s, reads="all", latent=2
    ),
}
LOSSES = ["non-saturating", "r1", "wasserstein-gp"]


def random():
    return np.random.default_rng(0)


def drawn(model, d):
    """Parameters whose biases are not 0, and the data of a step."""
    p = model.initialise(1, np.float64)
    p.flat[...] += 0.1 * random().standard_normal(p.flat.shape)
    labels = [LABELS] if isinstance(model, Classifier) else []
    return p, model.draw(random().random((5, d)), random(), 0, *labels)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", MODELS)
def test_both_gradients_are_the_measured_one(name, shape):
    d = int(np.prod(shape))
    model = MODELS[name](d, shape)
    p, data = drawn(model, d)
    by_hand, autograd = (model.gradients(how) for how in ("by-hand", "autograd"))
    assert tg.compare_gradients(by_hand, autograd, p, *data).gradient < 1e-12
    tg.check_gradients(lambda p: by_hand(p, *data), p)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("loss", LOSSES)
def test_both_players_of_a_gan(loss, shape):
    """A penalty contains a derivative of D: so its gradient needs the second one."""
    d = int(np.prod(shape))
    model = GAN(
        d, 4, (7,), (6,), channels=(4, 5), image=shape, loss=loss, dropout=0.2,
        discriminator_activation="elu", generator_norm="batch",
    )  # fmt: skip
    p = model.initialise(0, np.float64)
    p.flat[...] += 0.1 * random().standard_normal(p.flat.shape)
    g, w = p.part("generator."), p.part("discriminator.")
    for_d, for_g = model.draw(random().random((5, d)), random())
    by_hand, autograd = (model.gradients(how) for how in ("by-hand", "autograd"))
    fake = by_hand.generate(g, for_d.z)
    np.testing.assert_allclose(fake, autograd.generate(g, for_d.z), rtol=1e-12)
    data = for_d.real, fake, for_d.labels, for_d.alpha, for_d.masks
    tg.compare_gradients(by_hand.discriminator, autograd.discriminator, w, *data)
    tg.check_gradients(lambda w: by_hand.discriminator(w, *data), w)
    tg.compare_gradients(by_hand.generator, autograd.generator, g, w, *for_g)
    tg.check_gradients(lambda g: by_hand.generator(g, w, *for_g), g)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("loss", LOSSES)
def test_the_three_phases_of_an_adversarial_autoencoder(loss, shape):
    """Its encoder is a generator that begins with convolutions."""
    d = int(np.prod(shape))
    model = AdversarialAutoencoder(
        d, **OPTIONS, image=shape, kernel=2, loss=loss, discriminator_hidden=(4,),
        discriminator_activation="elu",
    )  # fmt: skip
    p = model.initialise(0, np.float64)
    p.flat[...] += 0.1 * random().standard_normal(p.flat.shape)
    e, w, both = p.part("encoder."), p.part("discriminator."), p.only("encoder.", "decoder.")
    x, z, alpha = model.draw(random().random((5, d)), random())
    by_hand, autograd = (model.gradients(how) for how in ("by-hand", "autograd"))
    codes = by_hand.encode(e, x)
    np.testing.assert_allclose(codes, model.encode(p, x), rtol=1e-12)
    for phase, args in {
        "reconstruction": (both, x), "discriminator": (w, z, codes, alpha), "encoder": (e, w, x),
    }.items():  # fmt: skip
        f, (q, *data) = getattr(by_hand, phase), args
        tg.compare_gradients(f, getattr(autograd, phase), q, *data)
        tg.check_gradients(lambda q, f=f, data=data: f(q, *data), q)
    assert from_description(describe(model)) == model


@pytest.mark.parametrize("image", [(8, 8, 1), (7, 5, 3), (3, 9, 1)])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
def test_the_decoder_gives_back_the_size_that_the_encoder_got(image, kernel):
    d = int(np.prod(image))
    model = Autoencoder(d, (), 2, channels=(2, 3, 4), kernel=kernel, image=image)
    p = model.initialise(0)
    x = random().random((2, d), dtype=np.float32)
    assert model.reconstruct(p, x).shape == (2, d)
    widths = [-(-image[0] // 2**k) for k in (1, 2, 3)]
    maps = feature_maps(model.encoder.net, p.part("encoder."), x)
    assert [m.shape[1] for m in maps] == widths and [m.shape[3] for m in maps] == [2, 3, 4]


def test_the_halves_are_models_of_their_own():
    model = Autoencoder(64, **OPTIONS)  # a grey square, as nothing else is said
    p, x = model.initialise(0), random().random((5, 64), dtype=np.float32)
    encoder, decoder = model.encoder, model.decoder
    assert encoder == Encoder(64, (6,), 3, channels=(4, 5))
    assert decoder == Decoder(3, (6,), 64, channels=(4, 5))
    codes = encoder(p.part("encoder."), x)
    again = decoder(p.part("decoder."), codes)
    np.testing.assert_array_equal(again, model.reconstruct(p, x))
    classifier = Classifier(64, (6,), 3, "elu", latent=3, channels=(4, 5))
    q = classifier.initialise(0)
    classifier.copy_encoder(q, encoder, p.part("encoder."))
    np.testing.assert_allclose(classifier.features(q, x), codes, rtol=1e-6)
    with pytest.raises(InputError, match="the classifier has the layers"):
        Classifier(64, (6,), 3, "elu", latent=3).copy_encoder(q, encoder, p.part("encoder."))


def test_a_classifier_takes_over_an_encoder_of_images_of_its_shape_only():
    options = {"channels": (4,), "latent": 5, "hidden": (20,)}
    encoder = Encoder(784, image=(56, 14, 1), **options)
    weights = encoder.initialise(1)
    turned = Classifier(784, activation="elu", image=(14, 56, 1), **options)
    p = turned.initialise(0)
    before = p.flat.copy()
    said = r"layers \(\(14, 56, 1\), .* the encoder \(\(56, 14, 1\)"
    with pytest.raises(InputError, match=said):
        turned.copy_encoder(p, encoder, weights)
    np.testing.assert_array_equal(p.flat, before)
    # A grey square need not be named.
    square = Encoder(784, **options)
    weights = square.initialise(1)
    named = Classifier(784, activation="elu", image=(28, 28, 1), **options)
    named.copy_encoder(p, square, weights)
    np.testing.assert_array_equal(p["W1"], weights["W1"])


@pytest.mark.parametrize("name", ["autoencoder", "vae", "classifier"])
def test_a_checkpoint_says_what_the_convolutions_are(name):
    model = MODELS[name](105, (7, 5, 3))
    assert from_description(describe(model)) == model
    old = describe(Autoencoder())
    for option in ("channels", "kernel", "image"):  # as in checkpoints from before they were there
        del old["options"][option]
    assert from_description(old) == Autoencoder()


@pytest.mark.parametrize(
    "options, said",
    [
        ({"pixels": 60}, "(h, w, c), with 60 pixels in all, got none"),
        ({"image": (8, 8, 3)}, "with 64 pixels in all, got 8 x 8 x 3"),
        ({"image": (8, 8)}, "got 8 x 8"),
        ({"channels": (0,)}, "channels must be at least 1 each, got (0,)"),
        ({"kernel": 16}, "a kernel of at most 15 for images of 8 x 8, got 16"),
        ({"kernel": 0}, "kernel must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_is_refused(options, said):
    with pytest.raises(InputError, match=re.escape(said)):
        Autoencoder(**{"pixels": 64, "hidden": (), "latent": 2, "channels": (3,)} | options)


@pytest.mark.parametrize(
    "kind", [Autoencoder, VAE, GAN, Classifier, Encoder, Decoder, AdversarialAutoencoder]
)
@pytest.mark.parametrize("option", [{"kernel": 5}, {"image": (8, 8, 1)}])
def test_options_of_convolutions_are_not_ignored(kind, option):
    (said,) = option.values()
    with pytest.raises(InputError, match=f"expected channels.*got none.* {re.escape(str(said))}"):
        kind(pixels=64, **option)


def test_images_that_are_moved_have_a_shape_without_convolutions():
    assert Classifier(70, (), 3, image=(5, 7, 2), input_distortion=0.1).image == (5, 7, 2)
    for kind in (Classifier, VAE):
        for image in ((), (7, 9, 1)):
            with pytest.raises(InputError, match=r"distortions need the shape .* with 70 pixels"):
                kind(70, image=image, input_distortion=0.1)


def test_a_convolutional_gan_has_no_packs_classes_maxout_or_layer_norm():
    for options in ({"pack": 2}, {"classes": 3}, {"discriminator_activation": "maxout"},
                    {"discriminator_norm": "layer"}):  # fmt: skip
        with pytest.raises(InputError, match="convolution"):
            GAN(64, channels=(3,), **options)


def test_the_shape_of_an_image_is_that_of_the_data():
    assert image_option((4,), (8, 8)) == (8, 8, 1)
    assert image_option((4,), (7, 5, 3)) == (7, 5, 3)
    assert image_option((), (8, 8)) == ()
