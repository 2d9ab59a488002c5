"""Layers, their initialisers, and networks made of them."""

from tinygen.nn.initialisers import BIASES, WEIGHTS
from tinygen.nn.layers import BatchNorm, Dense, Dropout, Layer, LayerNorm
from tinygen.nn.sequential import Sequential, mlp

__all__ = [
    "BIASES",
    "WEIGHTS",
    "BatchNorm",
    "Dense",
    "Dropout",
    "Layer",
    "LayerNorm",
    "Sequential",
    "mlp",
]
