"""Losses and gradients derived by hand, in plain arrays, equation by equation.

The number at the end of a line is that of the equation in ``docs/derivations/`` that the line
computes. Nothing here knows of autograd or its ops: the two are independent, and are compared.
"""

from tinygen.byhand import aae, autoencoder, chain, checks, classifier, conv, gan, pieces, vae

__all__ = [
    "aae",
    "autoencoder",
    "chain",
    "checks",
    "classifier",
    "conv",
    "gan",
    "pieces",
    "vae",
]
