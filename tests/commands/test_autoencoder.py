"""The autoencoder's example as a user runs it: the files, the figures, and what it costs."""

from __future__ import annotations

import json
import os
import subprocess

import numpy as np
import pytest
from running import command, environment, example, run_captured, run_here, run_there

from tinygen.commands import command_line
from tinygen.commands.setup import Run
from tinygen.models import Autoencoder
from tinygen.parameters import Parameters
from tinygen.training import checkpoint

pytestmark = pytest.mark.usefixtures("without_pictures")
FILES = {
    "checkpoint.npz", "metrics.jsonl", "summary.json", "filters.png", "loss.png",
    "neighbours.png",
    "reconstructions.png",
}  # fmt: skip


@pytest.fixture
def mnist():
    if not os.environ.get("TINYGEN_DATA_DIR"):
        pytest.skip("TINYGEN_DATA_DIR does not say where MNIST is")


@pytest.mark.parametrize("gradients", ["autograd", "by-hand"])
def test_smoke(tmp_path, capsys, gradients):
    flags = ("--smoke", "--gradients", gradients, "--out", tmp_path)
    done = run_there(*flags) if gradients == "autograd" else run_captured(capsys, *flags)
    assert (done.returncode, done.stderr) == (0, "")
    assert set(os.listdir(tmp_path)) == FILES
    # The keys that other programs may rely on.
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert list(summary)[:6] == ["task", "config", "data", "versions", "seconds", "parameters"]
    assert summary["task"] == "mnist_autoencoder"
    assert summary["config"]["gradients"] == gradients
    assert summary["data"]["name"] == "strokes"
    assert set(summary["data"]["sha256"]) == {"train", "test"}
    assert {"tinygen", "python", "numpy", "backend"} <= set(summary["versions"])
    assert summary["seconds"] > 0
    assert summary["parameters"] == 2 * (784 * 64 + 64 * 8) + 784 + 2 * 64 + 8
    test, pca = summary["test"], summary["baselines"]["pca"]
    assert set(test) == set(pca) == {"mse", "squared_error", "pixel_accuracy"}
    for figures in (test, pca):
        assert figures["squared_error"] == pytest.approx(784 * figures["mse"], rel=1e-6)
    assert 0 < test["mse"] < 0.04 and 0.9 < test["pixel_accuracy"] < 1  # .022 and .952 measured
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert rows[-1]["test_mse"] == test["mse"]
    assert rows[0]["train_loss"] > rows[1]["train_loss"] > rows[2]["train_loss"]
    # The figures that are printed are those of the summary.
    assert f"autoencoder{test['mse']:23.5f}" in done.stdout


def test_the_same_seed_gives_the_same_bits(tmp_path):
    """In two processes, each on one thread: BLAS adds in another order with more."""
    flags = ("--smoke", "--epochs", "1", "--dropout", ".1", "--quiet", "--out")
    assert run_here(*flags, tmp_path / "a") == 0
    assert run_there(*flags, tmp_path / "b").returncode == 0
    with np.load(tmp_path / "a/checkpoint.npz") as a, np.load(tmp_path / "b/checkpoint.npz") as b:
        assert a["parameters"].tobytes() == b["parameters"].tobytes()


def test_one_epoch_of_mnist_with_both_gradients(mnist, tmp_path):
    tests = {}
    for gradients in ("autograd", "by-hand"):
        flags = ("--data", "mnist", "--epochs", "1", "--hidden", "128", "--quiet")
        assert run_here(*flags, "--gradients", gradients, "--out", tmp_path / gradients) == 0
        summary = json.loads((tmp_path / gradients / "summary.json").read_text())
        tests[gradients] = summary["test"]
        assert summary["baselines"]["pca"]["squared_error"] == pytest.approx(13.193, abs=0.0005)
    # .0129 and .0123 were measured with seeds 0 and 1; PCA has .0168.
    assert 0.011 < tests["autograd"]["mse"] < 0.0145
    # The two round differently, and 469 steps may magnify that; 1e-8 was measured.
    assert tests["by-hand"]["mse"] == pytest.approx(tests["autograd"]["mse"], rel=1e-3)
    ends = [
        checkpoint.load(
            tmp_path / gradients / "checkpoint.npz",
            {"parameters": np.empty(summary["parameters"], np.float32)},
        )[0]["parameters"]
        for gradients in tests
    ]
    difference = np.linalg.norm(ends[0] - ends[1]) / np.linalg.norm(ends[0])
    assert difference < 0.05, difference


@pytest.mark.slow
def test_memory_of_the_default_run(mnist, tmp_path):
    """At most 400 MB; an epoch has the same peak as ten."""
    process = subprocess.Popen(
        command("--epochs", "1", "--quiet", "--out", tmp_path), env=environment()
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    assert usage.ru_maxrss <= 400 * 1024, f"{usage.ru_maxrss / 1024:.0f} MB"  # in KiB on Linux


# From the flags to the model: what is asked for is what is built.


def parsed(*flags):
    module = example()
    return command_line.parse(module.flags(), flags, module.SMOKE, module.PRESETS)


def test_every_flag_of_the_model_reaches_it():
    args = parsed(
        "--hidden", "9,8", "--latent", "7", "--activation", "tanh", "--output", "sigmoid",
        "--reconstruction", "bce", "--weight-decay", ".1", "--code-l1", ".2", "--input-noise", ".3",
        "--dropout", ".4", "--weights", "lecun_normal", "--biases", "normal",
    )  # fmt: skip
    assert example().build(args, (5, 2)) == Autoencoder(
        pixels=10, hidden=(9, 8), latent=7, activation="tanh", output="sigmoid",
        reconstruction="bce", weight_decay=0.1, code_l1=0.2, input_noise=0.3, dropout=0.4,
        weights="lecun_normal", biases="normal",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "first", "middle", "last"),
    # 100 steps, a tenth of them rising to 2; written down from the definitions.
    [
        ("constant", 0.2, 2, 2),
        ("linear", 0.2, 1, 2 / 90),
        ("cosine", 0.2, 1 + np.cos(np.pi * 45 / 89), 0),
        ("step", 0.2, 0.2, 0.02),
        ("one-cycle", 0.08, 1 + np.cos(np.pi * 46 / 90), 8e-6),
    ],
)
def test_the_schedule_that_is_asked_for(name, first, middle, last):
    schedule = command_line.schedule(parsed("--schedule", name, "--lr", "2"), 100)
    assert max(schedule(i) for i in range(100)) == pytest.approx(2, rel=1e-9)
    assert schedule(0) == pytest.approx(first, rel=1e-6)
    assert schedule(55) == pytest.approx(middle, rel=1e-3)
    assert schedule(99) == pytest.approx(last, rel=1e-6, abs=1e-12)
    flat = command_line.schedule(parsed("--schedule", "constant", "--warm-up", "0"), 100)
    assert flat(0) == flat(99) == 0.004


def test_the_optimizer_that_is_asked_for():
    p = Parameters({"W": (2,)}, np.ones(2))
    for name in command_line.OPTIMIZERS:
        args = parsed("--optimizer", name, *(("--beta2", ".9") if name == "adam" else ()))
        optimizer = Run(args, None, None, None, None, None).optimizer(p)
        assert type(optimizer).__name__.lower() == name
        assert getattr(optimizer, "beta2", 0.9) == 0.9


def test_presets_and_what_changes_them():
    args = parsed("--preset", "hinton")
    assert (args.hidden, args.latent, args.epochs, args.lr) == ((1000, 500, 250), 30, 40, 2e-3)
    args = parsed("--preset", "hinton", "--epochs", "3")
    assert (args.latent, args.epochs) == (30, 3)
    by_hand = parsed("--hidden", "1000,500,250", "--latent", "30", "--epochs", "40", "--lr", "2e-3")
    preset = command_line.configuration(parsed("--preset", "hinton"))
    assert preset == command_line.configuration(by_hand)


def test_the_figures_of_an_epoch_are_of_all_test_images():
    model = Autoencoder(pixels=4, hidden=(3,), latent=2, weight_decay=0.1)
    p = model.initialise(0, np.float64)
    images = np.random.default_rng(0).integers(0, 256, (2345, 2, 2), dtype=np.uint8)
    x = images.reshape(-1, 4) / 255
    figures = example().evaluate(model, p, images, "float64")
    assert figures["test_loss"] == pytest.approx(float(model.loss(p, x)), rel=1e-12)
    error = ((model.reconstruct(p, x) - x) ** 2).sum(axis=1).mean()
    assert figures["test_squared_error"] == pytest.approx(error, rel=1e-12)


def test_a_smoke_run_in_its_own_folder_takes_the_place_of_the_last(tmp_path, monkeypatch, capsys):
    """In another one it replaces nothing unasked, as any run."""
    monkeypatch.chdir(tmp_path)
    flags = ("--smoke", "--epochs", "1", "--quiet")
    assert run_here(*flags) == run_here(*flags, "--seed", "1") == 0
    folder = tmp_path / "runs" / "mnist_autoencoder-smoke"
    assert json.loads((folder / "summary.json").read_text())["config"]["seed"] == 1
    assert run_here(*flags, "--out", folder) == 2
    assert "holds a finished run" in capsys.readouterr().err


def test_restart_begins_anew_over_an_unfinished_run(tmp_path):
    flags = ("--smoke", "--epochs", "1", "--quiet", "--out", tmp_path)
    assert run_here(*flags) == 0
    (tmp_path / "summary.json").unlink()
    assert run_here(*flags) == 2
    assert run_here(*flags, "--restart", "--seed", "1") == 0
    assert json.loads((tmp_path / "summary.json").read_text())["config"]["seed"] == 1


def test_a_run_where_docstrings_and_asserts_are_left_out(tmp_path):
    python, *flags = command("--smoke", "--epochs", "1", "--quiet", "--out", tmp_path)
    done = subprocess.run([python, "-OO", *flags], env=environment(), capture_output=True,
                          text=True, check=False)  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert set(os.listdir(tmp_path)) == FILES
