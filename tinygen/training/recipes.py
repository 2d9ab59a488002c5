"""How fast each kind of model learns by default."""

from __future__ import annotations

from typing import NamedTuple

from tinygen.models import GAN, VAE, AdversarialAutoencoder, Autoencoder, Classifier


class Recipe(NamedTuple):
    """The highest learning rate, Adam's betas, and the fraction of steps over which it rises."""

    lr: float = 4e-3
    beta1: float = 0.9
    beta2: float = 0.95
    warm_up: float = 0.1


RECIPES: dict[type, Recipe] = {
    Autoencoder: Recipe(),
    VAE: Recipe(lr=6e-3),
    AdversarialAutoencoder: Recipe(lr=1e-3),
    Classifier: Recipe(lr=1e-3),
    GAN: Recipe(beta1=0.5, beta2=0.99, warm_up=0.0),
}
"""The defaults of `tg.fit` and the commands, under the flags' names."""
AVERAGE = 0.999
"""The decay of the moving average of a GAN's generator."""
