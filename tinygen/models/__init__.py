"""Models: their losses written with ops, for autograd to differentiate."""

from tinygen.models.aae import AdversarialAutoencoder
from tinygen.models.autoencoder import Autoencoder
from tinygen.models.classifier import Classifier, Frozen
from tinygen.models.encoder_decoder import Decoder, Encoder
from tinygen.models.gan import GAN
from tinygen.models.vae import VAE

__all__ = [
    "GAN",
    "VAE",
    "AdversarialAutoencoder",
    "Autoencoder",
    "Classifier",
    "Decoder",
    "Encoder",
    "Frozen",
]
