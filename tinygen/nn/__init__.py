"""Layers, their initialisers, and networks made of them."""

from tinygen.nn.initialisers import BIASES, WEIGHTS
from tinygen.nn.layers import BatchNorm, Dense, Dropout, Layer, LayerNorm, Maxout
from tinygen.nn.sequential import NORMS, Sequential, mlp

__all__ = [
    "BIASES",
    "NORMS",
    "WEIGHTS",
    "BatchNorm",
    "Dense",
    "Dropout",
    "Layer",
    "LayerNorm",
    "Maxout",
    "Sequential",
    "mlp",
]
