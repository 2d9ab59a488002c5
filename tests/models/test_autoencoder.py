"""The autoencoder's gradient three times: by hand, by autograd, by finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from agreement import TOLERANCES, after_three_steps, assert_by_hand_agrees
from hypothesis import given
from hypothesis import strategies as st

import tinygen as tg
from tinygen.byhand.autoencoder import decoder_loss_and_grads, loss_and_grads
from tinygen.models import Autoencoder, Decoder
from tinygen.models.encoder_decoder import RECONSTRUCTIONS
from tinygen.ops import ACTIVATIONS

# Regularisers are drawn either off or strong enough that a wrong term could not hide.
WEIGHTS = st.sampled_from([0.0, 0.03, 0.7])


@st.composite
def models(draw: Any) -> Autoencoder:
    reconstruction = draw(st.sampled_from(RECONSTRUCTIONS))
    return Autoencoder(
        pixels=draw(st.integers(1, 9)),
        hidden=tuple(draw(st.lists(st.integers(1, 8), max_size=3))),
        latent=draw(st.integers(1, 5)),
        activation=draw(st.sampled_from(sorted(ACTIVATIONS))),
        output="sigmoid" if reconstruction == "bce" else draw(st.sampled_from(["sigmoid", "none"])),
        reconstruction=reconstruction,
        weight_decay=draw(WEIGHTS),
        code_l1=draw(WEIGHTS),
        input_noise=draw(WEIGHTS),
        dropout=draw(st.sampled_from([0.0, 0.4])),
        weights=draw(st.sampled_from(sorted(tg.nn.WEIGHTS))),
        biases="normal",
    )


def batch(model: Autoencoder, n: int, seed: int, dtype: Any, backend: Any) -> tuple[Any, ...]:
    """Parameters, images, and the noise of one step."""
    generator = backend.generator(seed)
    x = generator.random((n, model.pixels), dtype=dtype)
    return (model.initialise(seed, dtype, backend), *model.draw(x, generator))


@given(models(), st.integers(1, 6), st.integers(0, 10**6))
@TOLERANCES
def test_by_hand_and_autograd_agree(
    dtype: str, tolerance: float, model: Autoencoder, n: int, seed: int
) -> None:
    data = batch(model, n, seed, np.dtype(dtype), tg.get_backend("numpy"))
    assert_by_hand_agrees(model, loss_and_grads, data, dtype, tolerance)


@given(models(), st.integers(1, 4), st.integers(0, 10**6))
def test_autograd_and_finite_differences_agree(model: Autoencoder, n: int, seed: int) -> None:
    p, *data = batch(model, n, seed, np.float64, tg.get_backend("numpy"))
    tg.check_gradients(lambda q: model.loss(q, *data), p, tolerance=1e-7)


@pytest.mark.parametrize("activation", ["tanh", "gelu", "softplus"])
def test_second_order_of_the_loss(activation: str) -> None:
    model = Autoencoder(pixels=4, hidden=(3,), latent=2, activation=activation, weight_decay=0.1)
    p, *data = batch(model, 3, 1, np.float64, tg.get_backend("numpy"))
    tg.check_gradients(lambda q: model.loss(q, *data), p, order=2)


@pytest.mark.parametrize("gradients", ["autograd", "by-hand"])
@pytest.mark.parametrize("loss", RECONSTRUCTIONS)
def test_a_step_is_the_same_on_every_backend_and_waits_for_nothing(
    backend: Any, gradients: str, loss: str
) -> None:
    model = Autoencoder(
        pixels=12, hidden=(7, 5), latent=3, reconstruction=loss,
        weight_decay=0.01, code_l1=0.01, input_noise=0.1, dropout=0.2,
    )  # fmt: skip
    step_of = model.gradients(gradients)

    host = tg.get_backend("numpy")
    _, x, corrupted, masks = batch(model, 6, 3, np.float32, host)
    finals = []
    for place in (host, backend):
        p = model.initialise(0, backend=place)
        data = (place.asarray(x), place.asarray(corrupted), tuple(map(place.asarray, masks)))
        finals.append(after_three_steps(step_of, p, data, place))
    # The same float32 arithmetic in another library: a few roundings, three steps of 1e-3.
    np.testing.assert_allclose(finals[1], finals[0], atol=2e-6)


# A decoder alone, trained to invert an encoder that stays what it is: its codes are data.


@st.composite
def decoders(draw: Any) -> Decoder:
    reconstruction = draw(st.sampled_from(RECONSTRUCTIONS))
    return Decoder(
        latent=draw(st.integers(1, 5)),
        hidden=tuple(draw(st.lists(st.integers(1, 8), max_size=3))),
        pixels=draw(st.integers(1, 9)),
        activation=draw(st.sampled_from(sorted(ACTIVATIONS))),
        dropout=draw(st.sampled_from([0.0, 0.4])),
        output="sigmoid" if reconstruction == "bce" else draw(st.sampled_from(["sigmoid", "none"])),
        reconstruction=reconstruction,
        biases="normal",
    )


def coded(model: Decoder, n: int, seed: int, dtype: Any, backend: Any) -> tuple[Any, ...]:
    """Parameters, images, and codes with the masks of one step."""
    generator = backend.generator(seed)
    x = generator.random((n, model.pixels), dtype=dtype)
    codes = 2 * generator.standard_normal((n, model.latent), dtype=dtype)
    return (model.initialise(seed, dtype, backend), *model.draw(x, generator, 0, codes))


@given(decoders(), st.integers(1, 6), st.integers(0, 10**6))
@TOLERANCES
def test_a_decoder_by_hand_and_by_autograd_agree(
    dtype: str, tolerance: float, model: Decoder, n: int, seed: int
) -> None:
    data = coded(model, n, seed, np.dtype(dtype), tg.get_backend("numpy"))
    assert_by_hand_agrees(model, decoder_loss_and_grads, data, dtype, tolerance)


@given(decoders(), st.integers(1, 4), st.integers(0, 10**6))
def test_a_decoder_by_autograd_and_finite_differences_agree(
    model: Decoder, n: int, seed: int
) -> None:
    p, *data = coded(model, n, seed, np.float64, tg.get_backend("numpy"))
    tg.check_gradients(lambda q: model.loss(q, *data), p, tolerance=1e-7)


@pytest.mark.parametrize("gradients", ["autograd", "by-hand"])
@pytest.mark.parametrize("loss", RECONSTRUCTIONS)
def test_a_decoders_step_is_the_same_on_every_backend_and_waits_for_nothing(
    backend: Any, gradients: str, loss: str
) -> None:
    model = Decoder(latent=3, hidden=(5, 7), pixels=12, reconstruction=loss, dropout=0.2)
    step_of = model.gradients(gradients)
    host = tg.get_backend("numpy")
    _, x, codes, masks = coded(model, 6, 3, np.float32, host)
    finals = []
    for place in (host, backend):
        p = model.initialise(0, backend=place)
        data = (place.asarray(x), place.asarray(codes), tuple(map(place.asarray, masks)))
        finals.append(after_three_steps(step_of, p, data, place))
    np.testing.assert_allclose(finals[1], finals[0], atol=2e-6)  # as above


def test_the_noise_of_a_step_depends_on_nothing_but_its_seed() -> None:
    model = Autoencoder(pixels=5, hidden=(4,), latent=2, input_noise=0.5, dropout=0.5)
    numpy = tg.get_backend("numpy")
    x = np.ones((3, 5), np.float32)
    draws = [model.draw(x, numpy.generator((0, 1, step))) for step in (7, 7, 8)]
    assert all(images is x for images, _, _ in draws)
    np.testing.assert_array_equal(draws[0][1], draws[1][1])
    np.testing.assert_array_equal(draws[0][2][0], draws[1][2][0])
    assert (draws[0][1] != draws[2][1]).all()


def test_regularisers_change_the_loss_by_what_their_formulas_say() -> None:
    plain = Autoencoder(pixels=6, hidden=(4,), latent=2)
    p = plain.initialise(0, np.float64)
    x = np.random.default_rng(0).random((5, 6))
    base = plain.loss(p, x)
    decayed = Autoencoder(pixels=6, hidden=(4,), latent=2, weight_decay=0.3).loss(p, x)
    weights = sum((W**2).sum() for name, W in p.items() if "W" in name)
    assert decayed - base == pytest.approx(0.15 * weights, rel=1e-12)
    sparse = Autoencoder(pixels=6, hidden=(4,), latent=2, code_l1=0.3).loss(p, x)
    codes = abs(plain.encode(p, x)).sum(axis=1).mean()
    assert sparse - base == pytest.approx(0.3 * codes, rel=1e-12)


def test_the_denoising_target_stays_clean() -> None:
    model = Autoencoder(pixels=6, hidden=(), latent=2, activation="none", output="none")
    p = model.initialise(0, np.float64)
    x = np.random.default_rng(0).random((5, 6))
    noisy = x + 1.0
    expected = ((model.reconstruct(p, noisy) - x) ** 2).mean()
    assert model.loss(p, x, noisy) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"reconstruction": "mae"}, "unknown reconstruction 'mae'"),
        ({"output": "tanh"}, "unknown output 'tanh'"),
        ({"reconstruction": "bce", "output": "none"}, "needs output sigmoid"),
        ({"activation": "swish"}, "unknown activation 'swish'"),
        ({"weights": "magic"}, "unknown weights 'magic'"),
        ({"latent": 0}, "at least 1"),
        ({"dropout": 1.0}, "below 1"),
        ({"weight_decay": -1.0}, "at least 0"),
        ({"code_l1": float("nan")}, "at least 0"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Autoencoder(**wrong)
