"""Data sets in uint8, found, downloaded or drawn, and the batches they are cut into."""

from tinygen.data import binarized, idx, strokes
from tinygen.data.batches import as_floats, batches, epoch_order, in_order, index_batches
from tinygen.data.mnist import CHOICES, Dataset, load, stroke_digits

__all__ = [
    "CHOICES",
    "Dataset",
    "as_floats",
    "batches",
    "binarized",
    "epoch_order",
    "idx",
    "in_order",
    "index_batches",
    "load",
    "stroke_digits",
    "strokes",
]
