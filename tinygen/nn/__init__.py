"""Layers, their initialisers, and networks made of them."""

from tinygen.nn.convolution import Conv, ConvTranspose
from tinygen.nn.initialisers import BIASES, WEIGHTS
from tinygen.nn.layers import BatchNorm, Dense, Dropout, Layer, LayerNorm, Maxout, Reshape
from tinygen.nn.networks import NORMS, convolutional, deconvolutional, mlp
from tinygen.nn.sequential import Sequential

__all__ = [
    "BIASES",
    "NORMS",
    "WEIGHTS",
    "BatchNorm",
    "Conv",
    "ConvTranspose",
    "Dense",
    "Dropout",
    "Layer",
    "LayerNorm",
    "Maxout",
    "Reshape",
    "Sequential",
    "convolutional",
    "deconvolutional",
    "mlp",
]
