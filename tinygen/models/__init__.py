"""Models: their losses written with ops, for autograd to differentiate."""

from tinygen.models.autoencoder import Autoencoder
from tinygen.models.vae import VAE

__all__ = ["VAE", "Autoencoder"]
