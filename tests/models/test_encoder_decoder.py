"""An encoder and a decoder, each a model of its own, and the parts of models that have both.

That a decoder's three gradients agree is in tests/models/test_autoencoder.py.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from strict import count_syncs

import tinygen as tg
from tinygen import optim
from tinygen.models import VAE, AdversarialAutoencoder, Autoencoder, Decoder, Encoder
from tinygen.ops import ACTIVATIONS
from tinygen.training import Plan, Progress, RunDir, SingleLossLearner, Trainer

NUMPY = tg.get_backend("numpy")
WIDTHS: dict[str, Any] = {"pixels": 6, "hidden": (5, 4), "latent": 3, "biases": "normal"}
MODELS = {
    "autoencoder": Autoencoder(activation="tanh", dropout=0.3, **WIDTHS),
    "linear output": Autoencoder(activation="gelu", output="none", **WIDTHS),
    "cross-entropy": Autoencoder(activation="elu", reconstruction="bce", **WIDTHS),
    "vae": VAE(activation="softplus", **WIDTHS),
    "gaussian vae": VAE(activation="gelu", likelihood="gaussian", **WIDTHS),
    "adversarial": AdversarialAutoencoder(activation="tanh", **WIDTHS),
}
EVERY_MODEL = pytest.mark.parametrize("name", MODELS)


def built(name: str, backend: Any = NUMPY, dtype: Any = np.float64) -> Any:
    """A model, its parameters, and images."""
    model = MODELS[name]
    x = np.random.default_rng(1).random((7, 6))
    return model, model.initialise(2, dtype, backend), backend.asarray(x, dtype)


def layers(p: Any, x: Any, activation: str, to_numpy: Any) -> Any:
    """A dense network in plain arithmetic."""
    phi = {"tanh": np.tanh, "softplus": lambda a: np.logaddexp(0, a)}[activation]
    q = {name: to_numpy(value) for name, value in p.items()}
    h = to_numpy(x)
    for k in range(1, len(q) // 2 + 1):
        h = h @ q[f"W{k}"] + q[f"b{k}"]
        h = phi(h) if k < len(q) // 2 else h
    return h


@EVERY_MODEL
def test_the_parts_lie_one_after_the_other_in_the_model(name: str) -> None:
    model, p, _ = built(name)
    sizes = {"encoder": [6, 5, 4, model.heads * 3], "decoder": [3, 4, 5, 6]}
    for part, widths in sizes.items():
        shapes = getattr(model, part).shapes
        assert list(shapes) == ["W1", "b1", "W2", "b2", "W3", "b3"]
        assert [shapes[f"W{k}"] for k in (1, 2, 3)] == [*pairwise(widths)]
        assert [shapes[f"b{k}"] for k in (1, 2, 3)] == [(w,) for w in widths[1:]]
        # A Gaussian VAE's variance comes after the decoder's layers.
        own = {n: s for n, s in p.part(f"{part}.").shapes.items() if n != "log_var"}
        assert own == shapes
    assert [n.split(".")[0] for n in p][: 2 * 6] == ["encoder"] * 6 + ["decoder"] * 6


@EVERY_MODEL
def test_encoder_and_decoder_compute_what_the_model_computes(backend: Any, name: str) -> None:
    model, p, x = built(name, backend)
    with count_syncs() as syncs:
        z = model.encoder(p.part("encoder."), x)
        y = model.decoder(p.part("decoder."), z)
    assert not syncs
    assert z.shape == (7, 3) and y.shape == x.shape and z.dtype == y.dtype == x.dtype
    if isinstance(model, VAE):  # the code of an image is the mean of its codes
        np.testing.assert_array_equal(*(backend.to_numpy(a) for a in (z, model.encode(p, x)[0])))
    if not isinstance(model, AdversarialAutoencoder):
        np.testing.assert_array_equal(*(backend.to_numpy(a) for a in (y, model.reconstruct(p, x))))
    if model.activation in ("tanh", "softplus"):
        expected = layers(p.part("encoder."), x, model.activation, backend.to_numpy)[:, :3]
        np.testing.assert_allclose(backend.to_numpy(z), expected, rtol=1e-12, atol=1e-14)
        expected = layers(p.part("decoder."), expected, model.activation, backend.to_numpy)
        expected = 1 / (1 + np.exp(-expected))
        if name != "gaussian vae":
            np.testing.assert_allclose(backend.to_numpy(y), expected, rtol=1e-12)


def test_a_vaes_last_layer_has_the_means_first() -> None:
    model, p, x = built("vae")
    encoder, mean = model.encoder, p.part("encoder.")
    before = encoder(mean, x).copy()
    assert encoder.heads == 2 and encoder.net(mean, x).shape == (7, 6)
    mean["W3"][:, 3:] += 1  # logarithms of variances
    np.testing.assert_array_equal(encoder(mean, x), before)
    mean["W3"][:, :3] += 1
    assert (encoder(mean, x) != before).all()
    plain = Encoder(6, (5, 4), 3, "softplus")
    assert plain.heads == 1 and plain.shapes["W3"] == (4, 3)


def test_the_outputs_of_a_decoder() -> None:
    for output in ("sigmoid", "none"):
        decoder = Decoder(3, (4,), 6, output=output, biases="normal")
        p = decoder.initialise(0, np.float64)
        z = 9 * np.random.default_rng(0).standard_normal((40, 3))
        x, a = decoder(p, z), decoder.net(p, z)
        if output == "none":
            np.testing.assert_array_equal(x, a)
        else:
            np.testing.assert_allclose(np.log(x) - np.log1p(-x), a, rtol=1e-9, atol=1e-9)
            assert ((x > 0) & (x < 1)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("model", [Encoder(6, (5,), 3), Decoder(3, (5,), 6)])
def test_encoder_and_decoder_are_initialised_like_any_model(
    backend: Any, model: Any, dtype: Any
) -> None:
    p = model.initialise(4, dtype, backend)
    assert p.flat.dtype == dtype and p.shapes == model.shapes
    host = model.initialise(4, dtype)
    np.testing.assert_array_equal(backend.to_numpy(p.flat), host.flat)
    assert (model.initialise(5, dtype).flat != host.flat).mean() > 0.8  # but the biases, 0
    assert not host["b1"].any()
    limit = (6 / sum(model.shapes["W1"])) ** 0.5  # Glorot and Bengio 2010
    assert 0.7 * limit < abs(host["W1"]).max() <= limit


# The loss of a decoder, where it is known.


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize("name", ["linear output", "cross-entropy"])
def test_a_decoders_loss_is_the_autoencoders_at_its_codes(name: str, activation: str) -> None:
    model = Autoencoder(**{**vars_of(MODELS[name]), "activation": activation})
    p, x = model.initialise(2, np.float64), np.random.default_rng(1).random((7, 6))
    codes, part = model.encode(p, x), p.part("decoder.")
    assert model.decoder.loss(part, x, codes) == model.loss(p, x)
    a = model.decoder.net(part, codes)
    y = a if name == "linear output" else 1 / (1 + np.exp(-a))
    expected = ((y - x) ** 2).mean()
    if name == "cross-entropy":
        expected = -(x * np.log(y) + (1 - x) * np.log(1 - y)).sum(axis=1).mean()
    assert model.decoder.loss(part, x, codes) == pytest.approx(expected, rel=1e-12)


def vars_of(model: Any) -> dict[str, Any]:
    """The options of a model."""
    return {name: getattr(model, name) for name in model.__dataclass_fields__}


def test_masks_are_in_a_decoders_loss_and_in_no_image() -> None:
    decoder = Decoder(3, (40,), 6, dropout=0.5)
    p, x = decoder.initialise(0, np.float64), np.random.default_rng(0).random((7, 6))
    codes = np.random.default_rng(1).standard_normal((7, 3))
    same, handed, masks = decoder.draw(x, NUMPY.generator(0), 0, codes)
    assert same is x and handed is codes and [m.shape for m in masks] == [(7, 40)]
    with_masks, without = decoder.loss(p, x, codes, masks), decoder.loss(p, x, codes)
    assert with_masks != pytest.approx(without, rel=1e-3)
    assert without == pytest.approx(((decoder(p, codes) - x) ** 2).mean(), rel=1e-13)


@pytest.mark.parametrize(
    ("codes", "shape"), [(None, "None"), (np.zeros(7), r"\(7,\)"), (np.zeros((7, 2)), r"\(7, 2\)"),
                        (np.zeros((1, 3)), r"\(1, 3\)")],
)  # fmt: skip
def test_codes_that_are_missing_or_do_not_fit_are_refused(codes: Any, shape: str) -> None:
    with pytest.raises(tg.InputError, match=rf"codes of shape \(7, 3\), got {shape}"):
        Decoder(3, (4,), 6).draw(np.ones((7, 6)), NUMPY.generator(0), 0, codes)


def test_a_decoder_learns_to_invert_an_encoder_that_stays_what_it_is(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images that lie in a plane, and linear codes of them: it can be perfect, and soon is."""
    monkeypatch.setattr("os.fsync", lambda file: None)
    rng = np.random.default_rng(0)
    x = 0.5 + 0.1 * rng.standard_normal((1600, 2)) @ rng.standard_normal((2, 6))
    encoder = Encoder(6, (), 2)
    e = encoder.initialise(0, np.float64)
    before = e.flat.tobytes()
    decoder = Decoder(2, (), 6, output="none")
    p = decoder.initialise(1, np.float64)

    run_dir = RunDir(tmp_path)
    run_dir.open()
    plan = Plan(4, 16, 0, 50, optim.linear(0.1, 400), {"dtype": "float64"})
    learner = SingleLossLearner(decoder, p, optim.Adam, decoder.gradients("by-hand"))
    trainer = Trainer(learner, plan, run_dir, Progress(4, {}, quiet=True), NUMPY)
    trainer.fit(x, dict, labels=encoder(e, x))
    assert e.flat.tobytes() == before
    assert ((decoder(p, encoder(e, x)) - x) ** 2).mean() < 1e-4  # of a variance of 0.03
    trained = tg.load(tmp_path)  # and a decoder by itself has a checkpoint as any model
    assert trained.model == decoder and trained.parameters.flat.tobytes() == p.flat.tobytes()


@pytest.mark.parametrize(
    ("kind", "wrong", "sentence"),
    [
        (Encoder, {"latent": 0}, "at least 1"),
        (Encoder, {"heads": 0}, "at least 1"),
        (Encoder, {"hidden": (4, 0)}, "at least 1"),
        (Encoder, {"activation": "swish"}, "unknown activation 'swish'"),
        (Encoder, {"weights": "magic"}, "unknown weights 'magic'"),
        (Encoder, {"dropout": 1.0}, "below 1"),
        (Decoder, {"pixels": 0}, "at least 1"),
        (Decoder, {"reconstruction": "mae"}, "unknown reconstruction 'mae'"),
        (Decoder, {"output": "tanh"}, "unknown output 'tanh'"),
        (Decoder, {"reconstruction": "bce", "output": "none"}, "needs output sigmoid"),
        (Decoder, {"biases": "magic"}, "unknown biases 'magic'"),
    ],
)
def test_what_makes_no_sense_is_refused(kind: Any, wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(tg.InputError, match=sentence):
        kind(**wrong)
