"""Data sets that are read, downloaded or drawn, and the batches they are cut into."""

from tinygen.data import binarized, idx, mixtures, strokes
from tinygen.data.batches import as_floats, batches, epoch_order, in_order, index_batches
from tinygen.data.datasets import (
    CHOICES,
    DATASETS,
    Dataset,
    Source,
    from_arrays,
    from_folder,
    load,
    mixture_points,
    stroke_digits,
)
from tinygen.data.mixtures import MIXTURES, Mixture
from tinygen.data.subsets import balanced_subset, number_of_classes

__all__ = [
    "CHOICES",
    "DATASETS",
    "MIXTURES",
    "Dataset",
    "Mixture",
    "Source",
    "as_floats",
    "balanced_subset",
    "batches",
    "binarized",
    "epoch_order",
    "from_arrays",
    "from_folder",
    "idx",
    "in_order",
    "index_batches",
    "load",
    "mixture_points",
    "mixtures",
    "number_of_classes",
    "stroke_digits",
    "strokes",
]
