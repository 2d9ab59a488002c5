"""The three phases by hand against autograd and finite differences, and what they refuse."""

from __future__ import annotations

import ast
import inspect
from typing import Any

import numpy as np
import pytest
from aae_phases import PHASES, by_autograd, by_hand, turn
from agreement import TOLERANCES, arrays_in, assert_close, sent
from hypothesis import given, settings
from hypothesis import strategies as st
from strict import count_syncs, see_dtypes

import tinygen as tg
from tinygen.byhand import aae
from tinygen.byhand.checks import DENSE
from tinygen.byhand.pieces import ACTIVATIONS
from tinygen.models import AdversarialAutoencoder
from tinygen.models.encoder_decoder import RECONSTRUCTIONS
from tinygen.models.gan import LOSSES, PENALTIES
from tinygen.parameters import Parameters


@st.composite
def models(draw: Any) -> AdversarialAutoencoder:
    """An adversarial autoencoder of any shape, with every option."""
    loss, reconstruction = draw(st.sampled_from(LOSSES)), draw(st.sampled_from(RECONSTRUCTIONS))
    widths = st.lists(st.integers(1, 7), max_size=3).map(tuple)
    return AdversarialAutoencoder(
        pixels=draw(st.integers(1, 7)),
        hidden=draw(widths),
        latent=draw(st.integers(1, 5)),
        activation=draw(st.sampled_from(sorted(DENSE))),
        reconstruction=reconstruction,
        output="sigmoid" if reconstruction == "bce" else draw(st.sampled_from(["sigmoid", "none"])),
        discriminator_hidden=draw(widths),
        discriminator_activation=draw(st.sampled_from(sorted(ACTIVATIONS))),
        loss=loss,
        penalty=draw(st.sampled_from([None, 3.0])) if loss in PENALTIES else None,
        weights=draw(st.sampled_from(["glorot_uniform", "he_normal"])),
        biases="normal",
    )


ROWS, SEEDS = st.integers(1, 5), st.integers(0, 10**6)


# The gradient three times.


@settings(max_examples=60)
@given(models(), ROWS, SEEDS)
@TOLERANCES
def test_by_hand_and_autograd_agree(
    dtype: str, tolerance: float, model: AdversarialAutoencoder, n: int, seed: int
) -> None:
    for phase, seen in turn(model, n, seed, np.dtype(dtype)).items():
        # The terms of a gradient are of the order of 1. Where they cancel, so do their digits.
        found, expected = by_hand(model, phase, *seen), by_autograd(model, phase, *seen)
        assert_close(found, expected, tolerance, floor=0.1)
        assert found[1].flat.dtype == dtype


@settings(max_examples=40)
@given(models(), ROWS, SEEDS)
def test_autograd_and_finite_differences_agree(
    model: AdversarialAutoencoder, n: int, seed: int
) -> None:
    for phase, (p, *data) in turn(model, n, seed).items():
        loss = getattr(model, f"{phase}_loss")
        tg.check_gradients(lambda q: loss(q, *data), p, tolerance=1e-7)  # noqa: B023


@given(models(), ROWS, SEEDS)
def test_the_codes_are_those_of_the_model(model: AdversarialAutoencoder, n: int, seed: int) -> None:
    e, _, x = turn(model, n, seed)["encoder"]
    codes = aae.encode(e, x, activation=model.activation)
    np.testing.assert_allclose(codes, model.encoder(e, x), rtol=0, atol=1e-13)


# Who is left alone.


@settings(max_examples=30)
@given(models(), ROWS, SEEDS)
def test_what_lay_in_out_never_shows_and_nothing_given_is_changed(
    model: AdversarialAutoencoder, n: int, seed: int
) -> None:
    """The same call gives the same bits, whatever was computed in between."""
    turns = turn(model, n, seed)
    given_arrays = [a for seen in turns.values() for a in arrays_in(seen)]
    copies = [a.copy() for a in given_arrays]
    e, _, x = turns["encoder"]
    codes = aae.encode(e, -x, activation=model.activation)
    expected = codes.copy()
    fresh = {phase: by_hand(model, phase, *seen) for phase, seen in turns.items()}
    outs = {phase: seen[0].zeros_like() for phase, seen in turns.items()}
    for _ in range(2):
        for phase, seen in turns.items():
            outs[phase].flat[...] = np.nan
            loss, g = by_hand(model, phase, *seen, out=outs[phase])
            assert g is outs[phase] and loss == fresh[phase][0]
            np.testing.assert_array_equal(g.flat, fresh[phase][1].flat)
        again = aae.encode(e, -x, activation=model.activation)
        np.testing.assert_array_equal(again, expected)
    np.testing.assert_array_equal(codes, expected)  # no phase writes there
    assert all(np.array_equal(a, b) for a, b in zip(given_arrays, copies, strict=True))


# Backends.


def some_model(loss: str, **changes: Any) -> AdversarialAutoencoder:
    usual: dict[str, Any] = {"pixels": 12, "hidden": (7, 6), "latent": 3, "biases": "normal",
                             "discriminator_hidden": (6, 5)}  # fmt: skip
    return AdversarialAutoencoder(loss=loss, **(usual | changes))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ["leaky_relu", "gelu", "maxout"])
def test_every_backend_gives_the_same_and_waits_for_nothing(
    backend: Any, loss: str, activation: str
) -> None:
    model = some_model(loss, discriminator_activation=activation)
    for phase, seen in turn(model, 6, 3, np.float32).items():
        there = tuple(x.to(backend) if isinstance(x, Parameters) else sent(x, backend)
                      for x in seen)  # fmt: skip
        J, f = by_hand(model, phase, *seen)
        with count_syncs() as syncs, see_dtypes() as dtypes:
            K, g = by_hand(model, phase, *there)
        assert not syncs
        assert np.dtype("float64") not in dtypes
        # The same float32 arithmetic in another library.
        np.testing.assert_allclose(backend.to_numpy(K), J, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(backend.to_numpy(g.flat), f.flat, rtol=1e-3, atol=1e-5)


# What must be the same in two places.


@pytest.mark.parametrize("phase", PHASES)
def test_the_keywords_are_the_terms_of_the_model(phase: str) -> None:
    function = getattr(aae, f"{phase}_loss_and_grads")
    keywords = [p.name for p in inspect.signature(function).parameters.values()
                if p.kind is p.KEYWORD_ONLY]  # fmt: skip
    terms = getattr(AdversarialAutoencoder(), f"{phase}_terms")
    assert {*terms} == {*keywords} - {"out"}


def test_by_hand_is_made_of_what_is_derived_by_hand() -> None:
    """No formula is written again."""
    tree = ast.parse(inspect.getsource(aae))
    computed = [node.op for node in ast.walk(tree) if isinstance(node, ast.BinOp)]
    assert all(isinstance(op, ast.BitOr) for op in computed)  # that of annotations


# Refusals.


SMALL = some_model("wasserstein-gp", pixels=4, hidden=(5,), latent=3)
TURNED = turn(SMALL, 4, 0)


def seen_by(phase: str) -> dict[str, Any]:
    """The arguments of a phase by their names."""
    names = {"reconstruction": ("p", "x"), "discriminator": ("d", "z", "codes", "alpha"),
             "encoder": ("e", "d", "x")}  # fmt: skip
    return dict(zip(names[phase], TURNED[phase], strict=True))


@pytest.mark.parametrize(
    ("phase", "change", "words"),
    [
        ("reconstruction", {"x": np.zeros((4, 3))},
         r"encoder\.W1 is \(4, 5\); it needs a row for each of the 3 columns"),
        ("reconstruction", {"reconstruction": "mae"},
         r"unknown reconstruction 'mae' .*; choose one of mse, bce"),
        ("reconstruction", {"p": TURNED["encoder"][0]}, r"expected the parameters encoder\.W1"),
        ("discriminator", {"codes": np.zeros((4, 2))},
         r"aae: z is \(4, 3\), codes are \(4, 2\); they need one shape"),
        ("discriminator", {"codes": np.zeros((3, 3))},
         r"aae: z is \(4, 3\), codes are \(3, 3\); they need one shape"),
        ("discriminator", {"z": np.zeros((4, 2)), "codes": np.zeros((4, 2))},
         r"aae: codes are \(4, 2\), the discriminator's W1 is \(3, 6\); it needs a row for each"),
        ("discriminator", {"z": np.zeros(4), "codes": np.zeros(4)}, r"aae: codes are \(4,\), the"),
        ("discriminator", {"z": np.zeros((0, 3)), "codes": np.zeros((0, 3))},
         r"aae: codes are \(0, 3\), the discriminator's W1"),
        ("discriminator", {"alpha": None}, r"alpha is None; it needs to be \(4, 1\)"),
        ("discriminator", {"loss": "hinge"}, "unknown loss 'hinge'; choose one of non-saturating"),
        ("discriminator", {"d": TURNED["reconstruction"][0]}, "the discriminator needs the param"),
        ("encoder", {"x": np.zeros((4, 3))},
         r"aae: images are \(4, 3\), the encoder's W1 is \(4, 5\); it needs a row for each of"),
        ("encoder", {"x": np.zeros(4)}, r"aae: images are \(4,\), the encoder's W1 is \(4, 5\)"),
        ("encoder", {"activation": "swish"}, "unknown generator activation 'swish'; choose one"),
        ("encoder", {"e": tg.nn.mlp([4, 2]).initialise(0, np.float64)},
         r"W1 is \(3, 6\); it needs a row for each of the 2 columns that come in"),
        ("encoder", {"out": tg.nn.mlp([4, 2]).initialise(0)}, "out needs the layout of the param"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_what_was_expected(
    phase: str, change: dict[str, Any], words: str
) -> None:
    seen = seen_by(phase) | getattr(SMALL, f"{phase}_terms") | change
    with pytest.raises(ValueError, match=words) as refused:
        getattr(aae, f"{phase}_loss_and_grads")(**seen)
    assert "\n" not in str(refused.value)


def test_images_that_the_encoder_does_not_take_have_no_codes() -> None:
    e, *_ = TURNED["encoder"]
    with pytest.raises(ValueError, match=r"aae: images are \(2, 9\), the encoder's W1 is \(4, 5\)"):
        aae.encode(e, np.zeros((2, 9)), activation="elu")


@pytest.mark.parametrize(
    ("phase", "which"),
    [("reconstruction", "x"), ("discriminator", "z"), ("discriminator", "codes"),
     ("discriminator", "alpha"), ("encoder", "x")],
)  # fmt: skip
def test_dtypes_are_not_mixed(phase: str, which: str) -> None:
    seen = seen_by(phase)
    seen[which] = seen[which].astype(np.float32)
    with pytest.raises(TypeError, match=r"float\d\d.*they need to be the same"):
        by_hand(SMALL, phase, *seen.values())
