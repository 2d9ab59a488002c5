"""The three phases of an AAE: their data, and their losses by hand and by autograd."""

from __future__ import annotations

from typing import Any

import numpy as np

import tinygen as tg
from tinygen.byhand import aae
from tinygen.models import AdversarialAutoencoder

NUMPY = tg.get_backend("numpy")
PHASES = ("reconstruction", "discriminator", "encoder")


def turn(
    model: AdversarialAutoencoder, n: int, seed: int, dtype: Any = np.float64
) -> dict[str, tuple[Any, ...]]:
    """For each phase, the parameters whose loss it is, and the data of that loss.

    The codes are not those of the images: to the discriminator they are numbers like any others.
    """
    random = NUMPY.generator(seed)
    p = model.initialise(seed, dtype)
    x, z, alpha = model.draw(random.random((n, model.pixels), dtype=dtype), random)
    codes = 2 * random.standard_normal(z.shape, dtype=dtype)
    e, d = p.part("encoder."), p.part("discriminator.")
    return {
        "reconstruction": (p.only("encoder.", "decoder."), x),
        "discriminator": (d, z, codes, alpha),
        "encoder": (e, d, x),
    }


def by_hand(model: AdversarialAutoencoder, phase: str, *seen: Any, **options: Any) -> Any:
    terms = getattr(model, f"{phase}_terms")
    return getattr(aae, f"{phase}_loss_and_grads")(*seen, **(terms | options))


def by_autograd(model: AdversarialAutoencoder, phase: str, *seen: Any) -> Any:
    return tg.value_and_grad(getattr(model, f"{phase}_loss"))(*seen)
