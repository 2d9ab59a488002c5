"""How many threads BLAS uses in training: one, where matrix products are too small for more."""

from __future__ import annotations

from math import prod
from typing import Any

from threadpoolctl import threadpool_limits

from tinygen.models.architecture import multiplications_of_convolutions
from tinygen.training.learners.learner import Learner

SMALL = 2**22
"""Multiplications in a matrix product up to which a second thread is not worth it.

It hardly gains anything there. While other programs run, threads wait for one another, and the
product takes many times as long; docs/results.md has the measurements.
"""


def enough_threads(learner: Learner, batch_size: int) -> Any:
    """A context with one thread, if no layer multiplies ``(rows, i) (i, o)`` of more than `SMALL`.

    Otherwise nothing is changed: the environment decides (OPENBLAS_NUM_THREADS and the like).
    """
    model = learner.model
    rows = batch_size * getattr(model, "samples", 1)  # a VAE draws several codes per image
    products = [prod(shape) for shape in learner.parameters.shapes.values() if len(shape) == 2]
    if getattr(model, "channels", ()):
        products += multiplications_of_convolutions(model)
    small = rows * max(products, default=0) <= SMALL
    return threadpool_limits(1 if small else None, user_api="blas")
