"""A mistyped name is answered with the one that was meant, at every door that takes names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import tinygen as tg
from tinygen.byhand import checks
from tinygen.errors import InputError, did_you_mean, refuse_unknown

DOORS: dict[str, Callable[[], Any]] = {
    "relu": lambda: tg.models.VAE(activation="ReLU"),
    "bernoulli": lambda: tg.models.VAE(likelihood="bernouli"),
    "wasserstein-gp": lambda: tg.models.GAN(loss="wasserstein_gp"),
    "sigmoid": lambda: tg.models.Autoencoder(output="sigmod"),
    "by-hand": lambda: tg.models.VAE().gradients("by_hand"),
    "kmnist": lambda: tg.data.load("kminst"),
    "ring": lambda: tg.data.mixture_points("rings", 3, 3),
    "cupy": lambda: tg.get_backend("cuppy"),
    "mse": lambda: checks.refuse_reconstruction("relu", "none", "msee"),
}


@pytest.mark.parametrize("meant", DOORS)
def test_what_was_probably_meant_is_said_before_the_choices(meant: str) -> None:
    with pytest.raises(ValueError, match=rf"unknown .* \(did you mean '{meant}'\?\); choose one"):
        DOORS[meant]()


def test_what_resembles_nothing_is_refused_with_the_choices_alone() -> None:
    for name in ("zzz", "", 3, None, ["relu"], 2.5):
        with pytest.raises(InputError) as refused:
            refuse_unknown("activation", name, {"relu": 1, "tanh": 2})
        choices = "choose one of relu, tanh"
        assert str(refused.value).endswith(choices)
        assert ("did you mean" in str(refused.value)) == (name == ["relu"])
    refuse_unknown("activation", "relu", {"relu": 1})


def test_of_several_the_most_similar_is_said() -> None:
    assert did_you_mean("--batchsize", ["--batch", "--batch-size"]) == (
        " (did you mean '--batch-size'?)"
    )
    for name in ("--loss", "--gpu", "--bs"):  # two dashes are no resemblance
        assert did_you_mean(name, ["--lr", "--output", "--biases"]) == ""
