"""The doors of the models by hand: bytes and integers are refused where floats are meant."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygen.models import GAN, VAE, Autoencoder, Classifier, Decoder

GAME = GAN(4, 2, (3,), (3,), generator_norm="none")
STEPS = {
    "autoencoder": (Autoencoder(4, 3, 2), [(5, 4)]),
    "decoder": (Decoder(2, 3, 4), [(5, 4), (5, 2)]),
    "vae": (VAE(4, 3, 2), [(5, 4), (1, 5, 2)]),
    "classifier": (Classifier(4, 3, 6), [(5, 4), (5, 6)]),
}


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.bool_])
@pytest.mark.parametrize("name", STEPS)
def test_integers_are_refused_even_where_everything_is_of_one_dtype(
    backend: Any, name: str, kind: Any
) -> None:
    model, shapes = STEPS[name]
    p = model.initialise(0, np.float64, backend)
    step = model.gradients("by-hand")
    integers = [backend.asarray(np.ones(shape, kind)) for shape in shapes]
    for parameters in (p, p.like(p.flat.astype(kind))):
        with pytest.raises(TypeError, match=rf"^\w+: expected floats, got {np.dtype(kind)}"):
            step(parameters, *integers)


@pytest.mark.parametrize("kind", [np.uint8, np.int64])
def test_both_players_and_the_generator_require_floats(backend: Any, kind: Any) -> None:
    p = GAME.initialise(0, np.float64, backend)
    p = p.like(p.flat.astype(kind))
    g, d = p.part("generator."), p.part("discriminator.")
    x, z = (backend.asarray(np.ones(shape, kind)) for shape in ((5, 4), (5, 2)))
    steps = GAME.gradients("by-hand")
    for call in (
        lambda: steps.discriminator(d, x, x, None, None, ((), (), ())),
        lambda: steps.generator(g, d, z, None, ()),
        lambda: steps.generate(g, z, None),
    ):
        with pytest.raises(TypeError, match=f"^gan: expected floats, got {np.dtype(kind)}"):
            call()
