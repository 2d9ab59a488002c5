"""Models: their losses written with ops, for autograd to differentiate."""

from tinygen.models.autoencoder import Autoencoder

__all__ = ["Autoencoder"]
