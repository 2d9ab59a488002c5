"""A network for PyTorch: the names and shapes that it has there, and the same numbers."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from strict import STRICT

import tinygen as tg
from tinygen.errors import InputError
from tinygen.models import GAN, VAE, AdversarialAutoencoder, Autoencoder, Classifier
from tinygen.nn import (
    BatchNorm,
    Conv,
    ConvTranspose,
    Dense,
    LayerNorm,
    Maxout,
    Reshape,
    Sequential,
)
from tinygen.training import TrainedModel

# Names and shapes, without PyTorch.


def test_names_and_shapes_are_those_of_pytorch() -> None:
    net = Sequential(
        Reshape(6, 6, 2), Conv(2, 3, 3, padding=1), BatchNorm(3), tg.relu, Reshape(108),
        Dense(108, 5), tg.tanh, Dense(5, 4),
    )  # fmt: skip
    source, state = tg.to_torch(net, net.initialise(0))
    assert {name: x.shape for name, x in state.items()} == {
        "1.weight": (3, 2, 3, 3), "1.bias": (3,), "2.weight": (3,), "2.bias": (3,),
        "5.weight": (5, 108), "5.bias": (5,), "7.weight": (4, 5), "7.bias": (4,),
    }  # fmt: skip
    assert source.splitlines()[:2] == ["nn.Sequential(", "    nn.Unflatten(1, (2, 6, 6)),"]


def test_a_transposed_convolution_has_its_inputs_first() -> None:
    net = Sequential(Reshape(4, 4, 5), ConvTranspose(5, 2, 3, 2, 1, 1, biases=None))
    assert {k: x.shape for k, x in tg.to_torch(net, net.initialise(0))[1].items()} == {
        "1.weight": (5, 2, 3, 3)
    }


def test_a_trained_model_has_its_parameters_with_it() -> None:
    model = VAE(9, (5,), 3)
    p = model.initialise(0)
    trained = TrainedModel(model, p, tg.get_backend("numpy"), None)
    for one, other in zip(tg.to_torch(trained), tg.to_torch(model, p), strict=True):
        np.testing.assert_equal(one, other)
    with pytest.raises(InputError, match=r"expected a trained model, .* got a VAE$"):
        tg.to_torch(model)


def test_the_parts_of_a_model_are_named() -> None:
    model = VAE(9, (5,), 3, likelihood="gaussian")
    source, state = tg.to_torch(model, model.initialise(0, backend=STRICT))
    assert [*state] == [
        "encoder.0.weight", "encoder.0.bias", "encoder.2.weight", "encoder.2.bias",
        "decoder.0.weight", "decoder.0.bias", "decoder.2.weight", "decoder.2.bias",
        "pixels.log_var",
    ]  # fmt: skip
    assert all(type(x) is np.ndarray for x in state.values()) and "ModuleDict" in source


def test_weights_are_copies() -> None:
    net = tg.mlp([3, 2])
    p = net.initialise(0)
    state = tg.to_torch(net, p).state_dict
    before = state["0.weight"].copy()
    p.flat[...] = 7
    np.testing.assert_array_equal(state["0.weight"], before)


@pytest.mark.parametrize(
    ("net", "sentence"),
    [
        (Sequential(Maxout(3, 2)), "PyTorch has no layer .* as Maxout here"),
        (Sequential(Dense(3, 2), partial(tg.sum, axis=1)), "PyTorch has no layer .* as partial"),
        (Sequential(Dense(3, 2), tg.exp), "PyTorch has no layer .* as exp"),
        (Sequential(Conv(1, 2, 3)), r"expected a Reshape\(h, w, c\) before the first Conv"),
        (Sequential(Reshape(2, 2, 2), LayerNorm(2)), "no layer that does the same as LayerNorm"),
        (Classifier(9, (5, 4), 3, reads="all"), "layers that are a chain, got one of 9 inputs"),
        (Dense(3, 2), "expected a model or a Sequential, got Dense"),
    ],
)
def test_what_pytorch_has_not_is_refused(net: Any, sentence: str) -> None:
    p = net.initialise(0) if not isinstance(net, Dense) else {}
    with pytest.raises(InputError, match=sentence):
        tg.to_torch(net, p)


# The same numbers.


def built(network: Any) -> Any:
    """PyTorch's network, in float64; each of its weights must be there, and nothing else."""
    torch = pytest.importorskip("torch")
    net = eval(network.source, {"torch": torch, "nn": torch.nn}).double()
    state = {name: torch.from_numpy(x) for name, x in network.state_dict.items()}
    net.load_state_dict(state)  # which is strict
    return net.eval()


def run(net: Any, x: np.ndarray) -> np.ndarray:
    torch = pytest.importorskip("torch")
    with torch.no_grad():
        return net(torch.from_numpy(x)).numpy()


def perturbed(net: Any) -> Any:
    """Parameters whose biases and scales are not their initial zeros and ones."""
    p = net.initialise(0, np.float64)
    p.flat[...] += 0.2 * np.random.default_rng(1).standard_normal(p.flat.size)
    return p


def channels_first(rows: np.ndarray, image: tuple[int, ...]) -> np.ndarray:
    """Rows ``h w c`` as rows ``c h w``."""
    return rows.reshape(-1, *image).transpose(0, 3, 1, 2).reshape(len(rows), -1)


def agree(x: np.ndarray, y: np.ndarray) -> None:
    np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", sorted({*tg.ACTIVATIONS}))
@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_dense_networks(name: str, norm: str) -> None:
    net = tg.mlp([6, 5, 4], name, dropout=0.3, norm=norm)
    p, x = perturbed(net), np.random.default_rng(2).standard_normal((7, 6))
    if norm != "batch":
        agree(run(built(tg.to_torch(net, p)), x), net(p, x))
        return
    # Without statistics a batch norm is as in training.
    calibrated = net.calibrate(p, x)
    got = run(built(tg.to_torch(net, p)), x)
    n = len(x)
    biased = {k: {**s, "variance": s["variance"] * (n - 1) / n} for k, s in calibrated.items()}
    agree(got, net(p, x, calibrated=biased))


def test_running_averages_go_along() -> None:
    net = Sequential(Dense(6, 5), BatchNorm(5), tg.elu, Dense(5, 2))
    p, x = perturbed(net), np.random.default_rng(2).standard_normal((7, 6))
    for _ in range(3):
        net(p, x, training=True)
    agree(run(built(tg.to_torch(net, p)), x), net(p, x))


@pytest.mark.parametrize("size", [(6, 6), (7, 5), (5, 8)])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", ["same", 0, 1])
def test_a_convolution_of_any_padding(size: Any, kernel: int, stride: int, padding: Any) -> None:
    net = Sequential(Reshape(*size, 2), Conv(2, 3, kernel, stride, padding))
    p, x = perturbed(net), np.random.default_rng(2).standard_normal((4, size[0] * size[1] * 2))
    got = run(built(tg.to_torch(net, p)), channels_first(x, (*size, 2)))
    agree(got, net(p, x).transpose(0, 3, 1, 2))


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "more"),
    [(k, s, q, m) for k in (1, 2, 3, 4) for s in (1, 2, 3) for q in ("same", 0, 1)
     for m in (0, 1, (1, 0)) if s > 1 or m == 0],
)  # fmt: skip
def test_a_transposed_convolution_of_any_padding(
    kernel: int, stride: int, padding: Any, more: Any
) -> None:
    net = Sequential(Reshape(4, 3, 2), ConvTranspose(2, 3, kernel, stride, padding, more))
    p, x = perturbed(net), np.random.default_rng(2).standard_normal((4, 24))
    got = run(built(tg.to_torch(net, p)), channels_first(x, (4, 3, 2)))
    agree(got, net(p, x).transpose(0, 3, 1, 2))


IMAGES = {"grey": (7, 6, 1), "colour": (6, 5, 3)}
CONV: dict[str, Any] = {"channels": (4, 3)}


@pytest.mark.parametrize("kind", [Autoencoder, VAE, AdversarialAutoencoder])
@pytest.mark.parametrize("colour", IMAGES)
@pytest.mark.parametrize("kernel", [2, 3])
@pytest.mark.parametrize("convolutions", [False, True])
def test_encoders_and_decoders(kind: Any, colour: str, kernel: int, convolutions: bool) -> None:
    image = IMAGES[colour]
    options = {**CONV, "kernel": kernel, "image": image} if convolutions else {}
    model = kind(int(np.prod(image)), (5, 4), 3, **options)
    p = perturbed(model)
    net = built(tg.to_torch(model, p))
    rng = np.random.default_rng(2)
    x, z = rng.random((4, model.pixels)), rng.standard_normal((4, 3))

    def rows(y: np.ndarray) -> np.ndarray:
        return channels_first(y, image) if convolutions else y

    agree(run(net["encoder"], rows(x))[:, :3], model.encoder(p.part("encoder."), x))
    agree(run(net["decoder"], z), rows(model.decode(p, z)))


@pytest.mark.parametrize(
    ("norm", "convolutions"),
    [("none", False), ("batch", False), ("layer", False), ("none", True), ("batch", True)],
)
@pytest.mark.parametrize("output", ["sigmoid", "none"])
def test_both_players_of_a_gan(norm: str, convolutions: bool, output: str) -> None:
    image = IMAGES["colour"]
    options = {**CONV, "image": image} if convolutions else {}
    model = GAN(90, 3, (6, 5), (5,), generator_norm=norm, output=output, dropout=0.2, **options)
    p = perturbed(model)
    net = built(tg.to_torch(model, p))
    rng = np.random.default_rng(2)
    z, x = rng.standard_normal((4, 3)), rng.random((4, 90))
    first = partial(channels_first, image=image) if convolutions else lambda rows: rows
    agree(run(net["generator"], z), first(model.sampler(p.part("generator."))(z)))
    agree(run(net["discriminator"], first(x)), model.logits(p.part("discriminator."), x))


@pytest.mark.parametrize("convolutions", [False, True])
def test_a_classifier(convolutions: bool) -> None:
    image = IMAGES["colour"]
    options = {**CONV, "image": image} if convolutions else {}
    model = Classifier(90, (6,), 4, latent=3, **options)
    p, x = perturbed(model), np.random.default_rng(2).random((5, 90))
    rows = channels_first(x, image) if convolutions else x
    agree(run(built(tg.to_torch(model, p)), rows), model.logits(p, x))
