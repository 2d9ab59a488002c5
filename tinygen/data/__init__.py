"""Data sets, found, downloaded or drawn, and the batches they are cut into."""

from tinygen.data import binarized, idx, mixtures, strokes
from tinygen.data.batches import as_floats, batches, epoch_order, in_order, index_batches
from tinygen.data.datasets import CHOICES, Dataset, load, stroke_digits
from tinygen.data.mixtures import MIXTURES, Mixture
from tinygen.data.subsets import classes_of, few

__all__ = [
    "CHOICES",
    "MIXTURES",
    "Dataset",
    "Mixture",
    "as_floats",
    "batches",
    "binarized",
    "classes_of",
    "epoch_order",
    "few",
    "idx",
    "in_order",
    "index_batches",
    "load",
    "mixtures",
    "stroke_digits",
    "strokes",
]
