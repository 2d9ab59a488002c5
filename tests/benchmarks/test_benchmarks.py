"""The arms of the benchmarks, a step each: a benchmark that no longer runs is noticed here."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygen as tg

sys.path.append(str(Path(__file__).parent))
step = importlib.import_module("step")
diagnosis = importlib.import_module("diagnosis")

ARMS = [(model, arm) for model, arms in step.ARMS_OF.items() for arm in arms]


@pytest.mark.parametrize(("model", "arm"), ARMS, ids=[" ".join(names) for names in ARMS])
@pytest.mark.filterwarnings("default")  # those of other libraries are theirs
def test_an_arm_takes_a_step(model: str, arm: str) -> None:
    x: Any = np.random.default_rng(0).random((4, 784), dtype=np.float32)
    try:
        take = step.ARMS_OF[model][arm](tg.get_backend("numpy"), x)
    except ImportError as error:
        pytest.skip(str(error))
    take()
    take()


def test_the_arms_are_there() -> None:
    """For each model the floor, both kinds of gradients, and what they are compared with."""
    models = {"autoencoder", "vae", "convolutions", "GAN, non-saturating", "GAN, wasserstein-gp"}
    assert models <= {*step.ARMS_OF}
    for arms in step.ARMS_OF.values():
        assert {
            "matrix products",
            "tinygen by hand",
            "tinygen autograd",
            "PyTorch, fused Adam",
        } <= {*arms}


def test_some_wrong_gradients_are_explained() -> None:
    """A few of those that the benchmark counts; it says more about those that are not."""
    assert diagnosis.measure_planted(12) == {"right": 12}
    counts = diagnosis.measure_ops("multiply", "affine", "softmax", "einsum", "getitem")
    assert counts["named"] > 50 and {*counts} == {"named"}
