"""The arms of the benchmarks, a step each: a benchmark that no longer runs is noticed here."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygen as tg
from tinygen.errors import InputError

sys.path.append(str(Path(__file__).parent))
step = importlib.import_module("step")
diagnosis = importlib.import_module("diagnosis")
gpu_check = importlib.import_module("gpu_check")

ARMS = [(model, arm) for model, arms in step.ARMS_OF.items() for arm in arms
        if arm not in step.ON_THE_GPU]  # fmt: skip


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


# The check of a GPU, as far as it goes without one.


def test_what_a_gpu_check_asks(backend: Any) -> None:
    settings = gpu_check.Settings(backend, steps=4, rounds=1, deadline=float("inf"))
    rows = gpu_check.run(settings, ["calls", "precision", "parity"])
    asked = [*gpu_check.CALLS, *gpu_check.PRODUCTS, *gpu_check.MODELS]
    assert [row["name"] for row in rows if row["right"]] == asked


def test_a_gpu_check_on_numpy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, sections = tmp_path / "numpy.json", ["versions", "calls", "tests"]
    flags = ["--backend", "numpy", "--json", str(file)]
    assert gpu_check.main([*flags, "--only", *sections]) == 0
    assert "wrong: none" in capsys.readouterr().out
    result = json.loads(file.read_text())
    assert {row["section"] for row in result["rows"]} == {*sections} and result["wrong"] == []


def test_a_gpu_check_says_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuses(xp: Any, a: Any) -> Any:
        raise TypeError("not here\nnor there")

    monkeypatch.setattr(gpu_check, "CALLS", {"refused": refuses, "argmax": lambda xp, a: a})
    assert gpu_check.main(["--backend", "numpy", "--only", "calls"]) == 1
    assert "WRONG refused" + 38 * " " + "TypeError not here\n" in (out := capsys.readouterr().out)
    assert "ok    argmax" in out and out.endswith("wrong: refused\n")
    assert gpu_check.main(["--backend", "numpy", "--only", "calls", "--minutes", "-1"]) == 0
    assert "left out the time is over" in capsys.readouterr().out


def test_a_gpu_check_sees_tf32() -> None:
    """Of 23 binary places 10 are left, rounded."""

    def rounded(x: Any) -> Any:
        return ((x.view(np.int32) + 0x1000) & ~0x1FFF).view(np.float32)

    def product(xp: Any, x: Any, W: Any) -> Any:
        return rounded(x) @ rounded(W)

    right, measured = gpu_check.product_error(tg.get_backend("numpy"), product)
    assert right is False and measured["error"] > 1e-4


def test_a_gpu_check_sees_a_wrong_dtype_and_a_wrong_value() -> None:
    numpy, x = tg.get_backend("numpy"), np.ones((2, 2), np.float32)
    calls = iter((1.0, 1.1))
    assert gpu_check.same_as_numpy(numpy, lambda xp, a: a * next(calls), x)[0] is False
    calls = iter((1.0, np.float64(1)))
    right, measured = gpu_check.same_as_numpy(numpy, lambda xp, a: a * next(calls), x)
    assert right is False and measured == {"expected": "float64(2, 2)", "got": "float32(2, 2)"}


def test_a_gpu_check_without_a_gpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(name: str) -> Any:
        raise InputError("the cupy backend needs a GPU")

    monkeypatch.setattr(gpu_check.tg, "get_backend", refuse)
    assert gpu_check.main([]) == 2
    assert capsys.readouterr().err == "error: the cupy backend needs a GPU\n"
