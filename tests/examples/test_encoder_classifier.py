"""The table of few labels as a user makes it: what a run leaves, how it goes on, what it refuses.

The trainings are of a few steps on tiny images; what they learn is in docs/encoder.md.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from picture_files import write_content_only
from PIL import Image
from running import (
    example,
    run_here,
    run_there,
    start_there,
    write_labelled_data,
)

import tinygen as tg
from tinygen import optim
from tinygen.commands import command_line, setup
from tinygen.data import idx, load
from tinygen.evaluation import confusion
from tinygen.models import GAN, VAE, Autoencoder, Classifier
from tinygen.models.serialization import describe
from tinygen.training import RunDir, SingleLossLearner, State, checkpoint

NAME = "encoder_classifier"
NUMPY = tg.get_backend("numpy")
MODES = ["pixels", "pca", "code", "frozen", "scratch", "finetune", "scratch+", "finetune+"]
ON_TOP = MODES[:4]
ENTRIES = ["task", "config", "data", "versions", "seconds", "parameters", "test"]
BOTH_KINDS = pytest.mark.parametrize("gradients", ["autograd", "by-hand"])
CODER = Autoencoder(25, (6, 5), 3, "tanh", biases="normal")


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Not for the disk, as in test_trainer.py, nor for pictures; processes of their own wait."""
    monkeypatch.setattr("os.fsync", lambda file: None)
    if "pictures" not in request.fixturenames:
        write_content_only(monkeypatch, "captioned", "confusion", "line_plot")


@pytest.fixture
def pictures() -> None:
    """For a test in which pictures are drawn."""


def here(*arguments: Any) -> int:
    return run_here(*arguments, name=NAME)


def told_here(capsys: Any, *arguments: Any) -> SimpleNamespace:
    """A run in this process, which is faster, with what it said."""
    capsys.readouterr()
    code = here(*arguments)
    told = capsys.readouterr()
    return SimpleNamespace(returncode=code, stdout=told.out, stderr=told.err)


def refused(told: str) -> bool:
    """Whether stderr is one sentence."""
    return told.startswith("error: ") and told.count("\n") == 1


def summary_of(folder: Path) -> Any:
    return json.loads((folder / "summary.json").read_text())


def write_run(folder: Path, model: Any, shape: Any = (5, 5), dtype: str = "float32") -> Path:
    """A run of a model that was just begun."""
    run_dir = RunDir(folder)
    run_dir.open()
    learner = SingleLossLearner(model, model.initialise(1, dtype), optim.SGD, gradients=None)
    about = {"model": describe(model), "data": {"shape": list(shape)}}
    State().save(run_dir.checkpoint, learner, NUMPY, {"dtype": dtype}, about)
    return folder


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 250 images of 5 by 5 pixels that show their label."""
    return write_labelled_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def coder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with an encoder of such images."""
    return write_run(tmp_path_factory.mktemp("coder"), CODER)


@pytest.fixture
def tiny(labelled: Path, coder: Path) -> tuple[Any, ...]:
    """Flags for trainings of a few steps: 7 an epoch."""
    return flags_of(labelled, coder)


def flags_of(labelled: Path, coder: Path) -> tuple[Any, ...]:
    return (
        "--data", "idx", "--data-dir", labelled, "--checkpoint", coder, "--batch-size", "32",
        "--epochs", "2", "--labels", "20", "--draws", "1", "--jobs", "1", "--quiet",
    )  # fmt: skip


def checkpoints(folder: Path) -> dict[str, tuple[int, bytes]]:
    """When each training's checkpoint was written, and what is in it but for seconds."""
    return {
        path.parent.name: (path.stat().st_mtime_ns, arrays_of(path))
        for path in sorted(folder.glob("cells/*/checkpoint.npz"))
    }


def arrays_of(path: Path) -> bytes:
    """All arrays of a checkpoint, one behind the other, each with its name."""
    with np.load(path) as file:
        names = sorted(name for name in file.files if name != checkpoint.META)
        return b"".join(name.encode() + file[name].tobytes() for name in names)


def rows_of(folder: Path) -> dict[str, Any]:
    """The history of each training, without its time."""
    return {
        path.parent.name: [
            {k: v for k, v in json.loads(line).items() if k != "seconds"}
            for line in path.read_text().splitlines()
        ]
        for path in sorted(folder.glob("cells/*/metrics.jsonl"))
    }


def end_of(folder: Path) -> Any:
    """All that must be the same, bit for bit."""
    return (
        {name: arrays for name, (_, arrays) in checkpoints(folder).items()},
        rows_of(folder),
        summary_of(folder)["test"],
        {path.name: path.read_bytes() for path in folder.glob("*.png")},
        {path.parent.name: path.read_bytes() for path in folder.glob("cells/*/probabilities.npy")},
    )


# What a run leaves behind.


@pytest.mark.usefixtures("pictures")
@BOTH_KINDS
def test_smoke(tmp_path: Path, capsys: Any, gradients: str) -> None:
    draws = 2 if gradients == "by-hand" else 1
    flags = ("--smoke", "--gradients", gradients, "--draws", draws, "--out", tmp_path)
    if gradients == "autograd":
        done: Any = run_there(*flags, name=NAME)
    else:
        done = told_here(capsys, *flags)
    assert (done.returncode, done.stderr) == (0, "")
    pictures = {
        f"{kind}-{n}.png" for kind in ("curves", "confusion", "mistakes") for n in (20, "all")
    }
    assert {*os.listdir(tmp_path)} == {"cells", "summary.json", *pictures}
    for name in pictures:
        with Image.open(tmp_path / name) as picture:
            picture.load()
            assert picture.format == "PNG"
            if not name.startswith("mistakes"):  # there may be none
                assert len(np.unique(np.asarray(picture.convert("L")))) > 5, "not blank"
    trained = [(m, n, d) for m in MODES for n in ("20", "all") for d in range(draws)
               if n == "20" or not m.endswith("+")]  # fmt: skip
    assert {*os.listdir(tmp_path / "cells")} == {f"{m}-{n}-{d}" for m, n, d in trained}

    summary = summary_of(tmp_path)
    assert list(summary)[:7] == ENTRIES and set(summary) == {*ENTRIES, "encoder"}
    assert summary["task"] == NAME and summary["data"]["name"] == "strokes"
    config = summary["config"]
    assert config["gradients"] == gradients and config["mode"] == MODES and config["draws"] == draws
    assert config["labels"] == [20, "all"] and config["data_sha256"]["train"] == 2000
    assert len(summary["encoder"]) == 64 and summary["seconds"] > 0
    # The largest is that which reads the layers of 512, 256 and, with the decoder off, no code.
    body = 784 * 512 + 512 + 512 * 256 + 256
    assert summary["parameters"] == body + (512 + 256) * 10 + 10
    test = summary["test"]
    assert set(test) == {"error", "best", "errors"}
    assert {n: list(row) for n, row in test["errors"].items()} == {"20": MODES, "all": MODES[:6]}
    for n, row in test["errors"].items():
        for mode, errors in row.items():
            assert len(errors) == draws and all(0 <= e < 0.9 for e in errors)  # 0.9 is guessing
            for draw, error in enumerate(errors):
                assert (
                    summary_of(tmp_path / "cells" / f"{mode}-{n}-{draw}")["test"]["error"] == error
                )
        assert mean(row[test["best"][n]]) == min(map(mean, row.values()))
        assert f"{n} labels: best is {test['best'][n]}, " in done.stdout
    assert test["error"] == mean(test["errors"]["all"][test["best"]["all"]])
    assert test["error"] < 0.05  # 0.001 was measured, with all of the 2,000 labels

    # The table has a line for each mode, and its figures are those of the summary.
    lines = done.stdout.replace(str(tmp_path), "DIR").splitlines()
    assert max(map(len, lines)) <= 80 and "\x1b" not in done.stdout
    for mode in MODES:
        (line,) = (line for line in lines if line.startswith(f"{mode}  "))
        found = line.removeprefix(mode).replace("±", " ").split()
        expected = []
        for row in test["errors"].values():
            errors = [100 * e for e in row.get(mode, [])]
            expected += [f"{mean(errors):.2f}"] if errors else ["-"]
            expected += [f"{stdev(errors):.2f}"] if len(errors) > 1 else []
        assert found == expected


def test_what_a_training_leaves_is_what_it_was_judged_by(
    tiny: Any, tmp_path: Path, labelled: Path
) -> None:
    """The model out of a training's checkpoint gives the answers that were counted."""
    modes = ("scratch", "finetune", "scratch+", "finetune+")
    assert here(*tiny, "--mode", ",".join(modes), "--lr", ".01", "--out", tmp_path) == 0
    images = idx.read(labelled / "t10k-images-idx3-ubyte")
    labels = idx.read(labelled / "t10k-labels-idx1-ubyte")
    for mode in modes:
        folder = tmp_path / "cells" / f"{mode}-20-0"
        trained = tg.load(folder)
        assert trained.model.hidden == (6, 5) and trained.model.reads == "all"
        said = trained.model.probabilities(trained.parameters, trained.prepare(images))
        found = np.load(folder / "probabilities.npy")
        assert found.tobytes() == said.tobytes()
        wrong = confusion(labels, found.argmax(axis=1), 10)
        error = summary_of(folder)["test"]["error"]
        assert error == 1 - np.trace(wrong) / 40 == rows_of(tmp_path)[folder.name][-1]["test_error"]
        # Of labelled and other images, the average is judged; of labelled ones alone, the last.
        meta = checkpoint.read_meta(folder / "checkpoint.npz")
        assert (meta["averaged"] == "") == (mode in ("scratch+", "finetune+"))


def test_each_mode_learns_what_it_says(tiny: Any, tmp_path: Path) -> None:
    """Where it begins: a step of nothing shows it. A softmax alone has no more parameters."""
    assert here(*tiny, "--lr", "1e-12", "--out", tmp_path) == 0
    p = CODER.initialise(1)
    widths = {"pixels": 25, "pca": 3, "code": 3, "frozen": 6 + 5}
    for mode in MODES:
        folder = tmp_path / "cells" / f"{mode}-20-0"
        count = summary_of(folder)["parameters"]
        if mode in widths:
            assert count == (widths[mode] + 1) * 10
            continue
        body = 25 * 6 + 6 + 6 * 5 + 5
        assert count == body + (6 + 5 + 1) * 10
        found = tg.load(folder).parameters
        same = np.allclose(found["W1"], p["encoder.W1"], atol=1e-6)
        assert same == mode.startswith("finetune")
        if same:
            for name in ("b1", "W2", "b2"):
                np.testing.assert_allclose(found[name], p[f"encoder.{name}"], atol=1e-6)
            np.testing.assert_allclose(found["W3"], 0, atol=1e-6)


@pytest.mark.parametrize("mode", ["pixels", "pca", "code", "frozen"])
def test_a_softmax_and_what_it_stands_on_come_back_as_one_classifier(
    tiny: Any, labelled: Path, tmp_path: Path, mode: str
) -> None:
    """Shift and scale are in its weights, so they round otherwise."""
    assert here(*tiny, "--mode", mode, "--out", tmp_path) == 0
    folder = tmp_path / "cells" / f"{mode}-20-0"
    whole = tg.load(folder / "model.npz")
    images = load("idx", labelled).test_images
    said = whole.model.probabilities(whole.parameters, whole.prepare(images))
    np.testing.assert_allclose(said, np.load(folder / "probabilities.npy"), atol=1e-5)


def test_by_hand_and_autograd_begin_alike_and_end_alike(tiny: Any, tmp_path: Path) -> None:
    found = {}
    for gradients in ("autograd", "by-hand"):
        out = tmp_path / gradients
        more = ("--gradients", gradients, "--dtype", "float64", "--dropout", ".2", "--noise", ".3")
        assert here(*tiny, *more, "--out", out) == 0
        found[gradients] = rows_of(out), summary_of(out)["encoder"], out
    (a, encoder, one), (b, same, other) = found.values()
    assert encoder == same and list(a) == list(b) and len(a) == 8
    for name, rows in a.items():
        for row, twin in zip(rows, b[name], strict=True):
            assert row == pytest.approx(twin, rel=1e-9)  # the two round differently, for 14 steps
        ends = (tg.load(out / "cells" / name) for out in (one, other))
        if name.split("-")[0] not in ON_TOP:
            x, y = (trained.parameters.flat for trained in ends)
            np.testing.assert_allclose(x, y, rtol=1e-7, atol=1e-9)


@pytest.mark.usefixtures("pictures")  # of no mistakes, too
def test_it_learns(tiny: Any, labelled: Path, tmp_path: Path) -> None:
    """Images that show their label: with all of them a softmax on pixels is never wrong."""
    modes = "pixels,scratch,finetune"
    assert (
        here(
            *tiny,
            "--labels",
            "all",
            "--mode",
            modes,
            "--epochs",
            "20",
            "--lr",
            ".03",
            "--out",
            tmp_path,
        )
        == 0
    )
    errors = summary_of(tmp_path)["test"]["errors"]["all"]
    assert errors["pixels"] == [0] and max(errors["scratch"] + errors["finetune"]) <= 0.1


@pytest.mark.parametrize("features", ["all", "last", "code"])
def test_the_layers_that_are_asked_for_are_read(tiny: Any, tmp_path: Path, features: str) -> None:
    widths = {"all": 6 + 5, "last": 5, "code": 3}
    more = ("--features", features, "--mode", "frozen,finetune", "--epochs", "1")
    assert here(*tiny, *more, "--out", tmp_path) == 0
    assert (
        summary_of(tmp_path / "cells" / "frozen-20-0")["parameters"] == (widths[features] + 1) * 10
    )
    model = tg.load(tmp_path / "cells" / "finetune-20-0").model
    assert (model.latent, model.reads) == (
        3 if features == "code" else 0,
        "all" if features == "all" else "last",
    )


def test_the_last_layer_is_read_of_convolutions_wherever_they_come_from(
    labelled: Path, tmp_path: Path
) -> None:
    coder = write_run(tmp_path / "coder", Autoencoder(25, (6,), 3, channels=(2, 4)))
    flags = (*flags_of(labelled, coder), "--mode", "scratch", "--out", tmp_path / "run")
    assert here(*flags) == 0
    assert tg.load(tmp_path / "run" / "cells" / "scratch-20-0").model.reads == "last"
    config = summary_of(tmp_path / "run")["config"]
    assert (config["features"], config["architecture"]) == ("last", "conv")
    assert (config["channels"], config["kernel"]) == ([2, 4], 3)
    assert here(*flags, "--resume") == 0


@pytest.mark.parametrize(
    ("model", "dtype"),
    [
        (VAE(25, (6,), 3), "float32"),
        (VAE(25, (6,), 3, likelihood="gaussian"), "float64"),
        (Autoencoder(25, (), 3), "float32"),
        (Autoencoder(25, (6,), 30), "float32"),  # a code that is wider than the images
        (Autoencoder(25, (6, 5, 4), 2, "gelu", dropout=0.2), "float64"),
    ],
)
def test_encoders_of_all_kinds(tiny: Any, tmp_path: Path, model: Any, dtype: str) -> None:
    """Of either arithmetic, whatever that of the run is."""
    run = write_run(tmp_path / "coder", model, dtype=dtype)
    assert here(*tiny, "--checkpoint", run, "--epochs", "1", "--out", tmp_path / "run") == 0
    errors = summary_of(tmp_path / "run")["test"]["errors"]["20"]
    assert list(errors) == MODES
    found = tg.load(tmp_path / "run" / "cells" / "finetune-20-0")
    assert found.parameters.flat.dtype == np.float32
    assert (found.model.hidden, found.model.activation) == (model.hidden, model.activation)
    assert found.model.latent == (0 if model.hidden else 3)
    pca = summary_of(tmp_path / "run" / "cells" / "pca-20-0")["parameters"]
    assert pca == (min(model.latent, 25) + 1) * 10


def test_a_draw_is_the_same_images_for_every_mode_and_a_seed_of_its_own(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What each training is given: its labelled images, again and again; and perhaps the others."""
    module = example(NAME)
    set_up, learners, given = module.set_up, module.PseudoLabelLearner, {}
    last: list[str] = []

    def noted(own: Any, *arguments: Any, **options: Any) -> Any:
        last[:] = [own.out.name]
        x = options["dataset"].train_images
        given[own.out.name] = {image.tobytes() for image in x}, len(x)
        return set_up(own, *arguments, **options)

    def pseudo_labels(*arguments: Any, **options: Any) -> Any:
        images = arguments[4]
        given[last[0]] = {image.tobytes() for image in images}, given[last[0]]
        return learners(*arguments, **options)

    monkeypatch.setattr(module, "set_up", noted)
    monkeypatch.setattr(module, "PseudoLabelLearner", pseudo_labels)
    more = (
        "--mode",
        "pixels,scratch,scratch+",
        "--draws",
        "3",
        "--labels",
        "20,all",
        "--epochs",
        "1",
    )
    assert here(*tiny, *more, "--seed", "7", "--out", tmp_path) == 0
    assert len(given) == 3 * 3 + 2 * 3
    draws = []
    for draw in range(3):
        names = [f"{mode}-20-{draw}" for mode in ("pixels", "scratch", "scratch+")]
        (chosen, n), same, (labelled, every) = (given[name] for name in names)
        assert len(chosen) == 20 and n == 250 and same == (chosen, n) and labelled == chosen
        assert (len(every[0]), every[1]) == (250, 250)
        draws.append(chosen)
        assert given[f"pixels-all-{draw}"] == given[f"scratch-all-{draw}"] == every
        for name in names:
            config = summary_of(tmp_path / "cells" / name)["config"]
            assert (config["mode"], config["labels"], config["draw"]) == (
                name.split("-")[0],
                20,
                draw,
            )
            assert config["seed"] == 7 + draw
    assert all(len(a & b) < 10 for a, b in ((draws[0], draws[1]), (draws[1], draws[2])))


def test_with_all_labels_there_are_three_seeds_at_most(tiny: Any, tmp_path: Path) -> None:
    more = ("--mode", "pixels,scratch+", "--draws", "5", "--labels", "20,all", "--epochs", "1")
    assert here(*tiny, *more, "--out", tmp_path) == 0
    errors = summary_of(tmp_path)["test"]["errors"]
    assert {n: {m: len(e) for m, e in row.items()} for n, row in errors.items()} == {
        "20": {"pixels": 5, "scratch+": 5}, "all": {"pixels": 3},
    }  # fmt: skip


def test_a_class_with_too_few_images_is_said_and_used(
    tiny: Any, tmp_path: Path, capsys: Any
) -> None:
    folder = write_labelled_data(tmp_path / "data")
    labels = idx.read(folder / "train-labels-idx1-ubyte").copy()
    labels[np.flatnonzero(labels == 3)[2:]] = 4
    idx.write(folder / "train-labels-idx1-ubyte", labels)
    flags = (*tiny, "--data-dir", folder, "--labels", "10,100", "--mode", "pixels")
    done = told_here(capsys, *flags, "--out", tmp_path / "run")
    assert done.returncode == 0 and done.stdout == ""
    assert done.stderr == "warning: of 100 labels, class 3 has 2, which is all there are\n"


def test_without_a_checkpoint_an_encoder_is_trained_once(
    labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("TINYGEN_CACHE_DIR", str(tmp_path / "cache"))
    flags = ("--data", "idx", "--data-dir", labelled, "--mode", "code,finetune", "--labels", "20",
             "--draws", "1", "--jobs", "1", "--epochs", "1")  # fmt: skip
    once = "training the encoder of idx, once; it is kept in the cache\n"
    first = told_here(capsys, *flags, "--out", tmp_path / "a")
    again = told_here(capsys, *flags, "--out", tmp_path / "b")
    assert first.returncode == again.returncode == 0
    assert first.stdout.count(once) == 1 and once not in again.stdout
    assert "encoder   the denoising autoencoder\n" in first.stdout
    (folder,) = (tmp_path / "cache" / "models").glob("encoder-*")
    kept = tg.load(folder)
    assert kept.model == Autoencoder(25, input_noise=1.0)
    summaries = [summary_of(tmp_path / run) for run in ("a", "b")]
    assert [summary["encoder"] for summary in summaries] == [kept.sha256] * 2
    assert summaries[0]["test"] == summaries[1]["test"]
    assert checkpoints(tmp_path / "a").keys() == checkpoints(tmp_path / "b").keys()


def test_no_encoder_is_trained_for_who_begins_with_random_weights(
    labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("TINYGEN_CACHE_DIR", str(tmp_path / "cache"))
    flags = ("--data", "idx", "--data-dir", labelled, "--labels", "20", "--draws", "1",
             "--jobs", "1", "--epochs", "1", "--out", tmp_path / "run")  # fmt: skip
    random = told_here(capsys, *flags, "--mode", "pixels,pca,scratch,scratch+")
    assert random.returncode == 0 and "encoder   untrained\n" in random.stdout
    assert not [*tmp_path.glob("cache/models/encoder-*")]
    more = told_here(capsys, *flags, "--mode", "scratch,finetune", "--resume")
    assert more.returncode == 0 and "encoder   the denoising autoencoder\n" in more.stdout


# A run that goes on.


def test_resume_widens_a_finished_table_and_trains_nothing_again(tiny: Any, tmp_path: Path) -> None:
    flags = (*tiny, "--mode", "pixels,finetune,finetune+", "--out", tmp_path)
    assert here(*flags) == 0
    before, old = checkpoints(tmp_path), summary_of(tmp_path)
    assert here(*flags, "--resume", "--labels", "20,all", "--draws", "2") == 0
    after, new = checkpoints(tmp_path), summary_of(tmp_path)
    assert len(before) == 3 and len(after) == 3 + 3 + 2 + 2
    assert {name: after[name] for name in before} == before  # not even their time
    for mode, (error,) in old["test"]["errors"]["20"].items():
        assert new["test"]["errors"]["20"][mode][0] == error
    assert (tmp_path / "confusion-all.png").exists()
    # What was done at once is the same.
    straight = tmp_path / "straight"
    wide = (*flags, "--labels", "20,all", "--draws", "2")
    assert here(*wide, "--out", straight) == 0
    shutil.move(tmp_path / "straight", other := tmp_path.parent / f"{tmp_path.name}-straight")
    assert end_of(tmp_path) == end_of(other)
    # And a finished one that is asked for again has nothing left to do.
    assert here(*wide, "--resume") == 0
    assert checkpoints(tmp_path) == after


def test_resume_narrows_a_table_too(tiny: Any, tmp_path: Path) -> None:
    flags = (*tiny, "--out", tmp_path)
    assert here(*flags, "--mode", "pixels,code", "--draws", "2") == 0
    before = checkpoints(tmp_path)
    assert here(*flags, "--mode", "code", "--resume") == 0
    assert checkpoints(tmp_path) == before
    assert list(summary_of(tmp_path)["test"]["errors"]["20"]) == ["code"]


def press_in(monkeypatch: pytest.MonkeyPatch, cell: int, step: int) -> None:
    """Ctrl-C in the n-th training, before its k-th step is drawn."""
    seen: list[int] = []
    right = Classifier.draw  # which a frozen encoder's softmax asks, too

    def draw(self: Any, x: Any, generator: Any, at: int = 0, *labels: Any) -> Any:
        if at == 0:
            seen.append(0)
        if (len(seen), at) == (cell, step):
            signal.raise_signal(signal.SIGINT)
        return right(self, x, generator, at, *labels)

    monkeypatch.setattr(Classifier, "draw", draw)


@BOTH_KINDS
def test_an_interrupted_run_goes_on_to_the_same_end(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, gradients: str
) -> None:
    modes = "frozen,finetune,scratch+"
    flags = (*tiny, "--mode", modes, "--gradients", gradients, "--dropout", ".2")
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    assert here(*flags, "--out", straight) == 0
    # In its 5th step; and in its 10th, when it goes on, and so none is seen to begin.
    for cell, step, more in ((2, 4, ()), (0, 9, ("--resume",))):
        with monkeypatch.context() as patch:
            press_in(patch, cell, step)
            done = told_here(capsys, *flags, "--out", stopped, *more)
        assert done.returncode == 130 and "--resume goes on" in done.stderr
        assert "finetune-20-0" in done.stderr and not (stopped / "summary.json").exists()
        steps = checkpoint.read_meta(stopped / "cells" / "finetune-20-0" / "checkpoint.npz")["step"]
        assert steps == step + 1
    assert here(*flags, "--out", stopped, "--resume") == 0
    assert end_of(straight) == end_of(stopped)


IN_PROCESSES = ("--draws", "3", "--mode", "finetune,scratch+", "--epochs", "6")


@pytest.fixture(scope="module")
def straight(labelled: Path, coder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run by this process alone that nobody stopped."""
    out = tmp_path_factory.mktemp("straight")
    assert here(*flags_of(labelled, coder), *IN_PROCESSES, "--out", out) == 0
    return out


def begun(flags: Any, out: Path) -> subprocess.Popen[str]:
    """An experiment of which two trainings, in two processes, have begun."""
    process = start_there(*flags, "--jobs", "2", "--out", out, name=NAME, start_new_session=True)
    deadline = time.monotonic() + 100
    while len([*out.glob("cells/*/checkpoint.npz")]) < 2:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.005)
    return process


@pytest.mark.skipif(os.name == "nt", reason="signals are sent otherwise there")
@pytest.mark.parametrize(("sent", "to_all"), [("SIGINT", True), ("SIGTERM", False)])
def test_a_signal_at_a_terminal_and_one_to_the_parent_alone(
    tiny: Any, straight: Path, tmp_path: Path, sent: str, to_all: bool
) -> None:
    """All processes end, and nothing is lost; and that they are two changes nothing."""
    flags = (*tiny, *IN_PROCESSES)
    process = begun(flags, tmp_path)
    (os.killpg if to_all else os.kill)(process.pid, getattr(signal, sent))
    # Until nobody can write to stdout any more: no worker outlives its parent.
    out, told = process.communicate(timeout=100)
    assert (process.returncode, out) == (130, ""), told
    assert told.startswith("stopped") and told.count("\n") == 1
    assert "--resume" in told or told == "stopped\n"  # where there was nothing to save
    assert not (tmp_path / "summary.json").exists()
    assert len([*tmp_path.glob("cells/*/summary.json")]) < 6  # there is something left to do
    assert not [*tmp_path.rglob(".lock")]
    done = run_there(*flags, "--resume", "--out", tmp_path, name=NAME)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert end_of(straight) == end_of(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="signals are sent otherwise there")
def test_workers_save_and_end_where_their_parent_is_killed(tiny: Any, tmp_path: Path) -> None:
    flags = (*tiny, *IN_PROCESSES, "--epochs", "50000")
    process = begun(flags, tmp_path)
    paths = [*tmp_path.glob("cells/*/checkpoint.npz")]
    deadline = time.monotonic() + 60
    while not all(checkpoint.read_meta(path)["step"] for path in paths):  # that of epoch 1 is there
        assert time.monotonic() < deadline
    process.kill()
    process.communicate(timeout=60)  # until nobody can write to stdout any more
    steps = [checkpoint.read_meta(path)["step"] for path in paths]
    time.sleep(0.5)
    assert [checkpoint.read_meta(path)["step"] for path in paths] == steps  # nobody goes on
    done = run_there(*flags, "--out", tmp_path, name=NAME)
    assert done.returncode == 2 and "holds an unfinished run" in done.stderr  # and no lock is left


def test_ctrl_c_before_any_training_began_promises_no_resume(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def interrupted(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(example(NAME), "train_in_processes", interrupted)
    done = told_here(capsys, *tiny, "--jobs", "2", "--out", tmp_path / "run")
    assert (done.returncode, done.stderr) == (130, "stopped\n")


def test_an_unfinished_run_is_not_lost(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    flags = (*tiny, "--mode", "pixels,finetune", "--out", tmp_path)
    with monkeypatch.context() as patch:
        press_in(patch, 2, 3)
        assert here(*flags) == 130
    before = checkpoints(tmp_path)
    assert len(before) == 2
    done = told_here(capsys, *flags)
    assert done.returncode == 2 and refused(done.stderr)
    assert "holds an unfinished run; add --resume to go on with it, --restart to" in done.stderr
    assert checkpoints(tmp_path) == before
    assert here(*flags, "--restart") == 0
    assert all(x[0] > before[name][0] for name, x in checkpoints(tmp_path).items())


def test_a_table_that_is_being_widened_is_unfinished_too(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    flags = (*tiny, "--mode", "pixels,finetune", "--out", tmp_path)
    assert here(*flags) == 0
    wide = (*flags, "--draws", "3")
    with monkeypatch.context() as patch:
        press_in(patch, 3, 2)
        assert here(*wide, "--resume") == 130
    before = checkpoints(tmp_path)
    assert len(before) == 5
    assert told_here(capsys, *wide).returncode == 2
    assert checkpoints(tmp_path) == before
    assert here(*wide, "--resume") == 0
    after = checkpoints(tmp_path)
    assert len(after) == 6 and sum(after[name] == before[name] for name in before) == 4


def test_a_new_run_takes_the_place_of_a_finished_one_if_asked(
    tiny: Any, tmp_path: Path, capsys: Any
) -> None:
    flags = (*tiny, "--epochs", "1", "--out", tmp_path)
    assert here(*flags, "--mode", "pixels,code") == 0
    other = (*flags, "--mode", "pixels", "--seed", "1")
    done = told_here(capsys, *other)
    assert done.returncode == 2 and "holds a finished run; add --restart to" in done.stderr
    assert here(*other, "--restart") == 0
    assert os.listdir(tmp_path / "cells") == ["pixels-20-0"]
    assert summary_of(tmp_path)["config"]["seed"] == 1


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (("--lr", ".5"), "--lr was 0.3, is 0.5"),
        (("--features", "last"), "--features was all, is last"),
        (("--epochs", "3"), "--epochs was 2, is 3"),
        (("--gradients", "by-hand"), "--gradients was autograd, is by-hand"),
        (("--seed", "1"), "--seed was 0, is 1"),
    ],
)
def test_a_table_is_not_widened_with_other_flags(
    tiny: Any, tmp_path: Path, capsys: Any, other: Any, sentence: str
) -> None:
    flags = (*tiny, "--lr", ".3", "--mode", "pixels", "--out", tmp_path)
    assert here(*flags) == 0
    before, summary = checkpoints(tmp_path), summary_of(tmp_path)
    done = told_here(capsys, *flags, *other, "--resume")
    assert done.returncode == 2 and refused(done.stderr) and sentence in done.stderr
    assert checkpoints(tmp_path) == before and summary_of(tmp_path) == summary


def test_nor_with_another_encoder(tiny: Any, tmp_path: Path, capsys: Any) -> None:
    flags = (*tiny, "--mode", "pixels,code", "--out", tmp_path / "run")
    assert here(*flags) == 0
    other = write_run(tmp_path / "other", replace(CODER, weights="lecun_normal"))
    done = told_here(capsys, *flags, "--checkpoint", other, "--resume")
    assert done.returncode == 2 and refused(done.stderr) and "--encoder was" in done.stderr


def test_nor_with_the_layers_of_another_one(tiny: Any, tmp_path: Path, capsys: Any) -> None:
    """Where its weights are not used, and its parameters have the same shapes."""
    flags = (*tiny, "--mode", "scratch", "--out", tmp_path / "run")
    assert here(*flags) == 0
    other = write_run(tmp_path / "other", replace(CODER, activation="relu"))
    done = told_here(capsys, *flags, "--checkpoint", other, "--resume")
    assert done.returncode == 2 and refused(done.stderr)
    assert "is of another model (activation was tanh, is relu)" in done.stderr


# What is refused.


def relabelled(folder: Path, train: Any = None, test: Any = None, images: int = 250) -> Path:
    """Labelled data with other labels."""
    write_labelled_data(folder, train=images)
    for part, change in (("train", train), ("t10k", test)):
        path = folder / f"{part}-labels-idx1-ubyte"
        labels = idx.read(path).copy()
        if change:
            labels[...] = change(labels)
            idx.write(path, labels)
    return folder


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (("--labels", "x"), "argument --labels: expected a whole number in digits, got 'x'"),
        (("--labels", "20,"), "argument --labels: expected a whole number in digits, got ''"),
        (("--labels", "0"), "argument --labels: expected at least 1, got 0"),
        (("--labels", "-5"), "argument --labels: "),
        (("--labels", "2.5"), "argument --labels: expected a whole number in digits, got '2.5'"),
        (("--labels", "251"), "251 labels were asked for, and there are 250"),
        (("--labels", "20,1000"), "1000 labels were asked for, and there are 250"),
        (("--labels", "9"), "9 labels would leave some of the 10 classes without any"),
        (("--mode", "magic"), "argument --mode: invalid choice: 'magic'; choose one of pixels"),
        (("--mode", "pixels,"), "argument --mode: invalid choice: ''; choose one of pixels"),
        (("--mode", "scratch+", "--labels", "all"), "learns from images without labels"),
        (("--mode", "scratch+,finetune+", "--labels", "all"), "--labels all there are none"),
        (("--features", "first"), "argument --features: invalid choice: 'first'"),
        (("--draws", "0"), "argument --draws: expected at least 1, got 0"),
        (("--jobs", "0"), "argument --jobs: expected at least 1, got 0"),
        (("--noise", "-1"), "argument --noise: expected a number at least 0"),
        (("--dropout", "1"), "argument --dropout: expected a number at least 0 and at most 0.95"),
        (("--epochs", "0"), "argument --epochs: expected at least 1, got 0"),
        (("--checkpoint", "nowhere"), "nowhere: there is no checkpoint"),
        (("--data-dir", "nowhere"), "nowhere"),
        (("--hidden", "5"), "unrecognized arguments: --hidden 5"),
        (("--mode", "code,pca", "--dropout", ".5"), "changes nothing with --mode code,pca"),
        (("--mode", "pca", "--input-distortion", ".1"), "--input-distortion changes nothing with"),
        (("--backend", "cupyx"), "invalid choice: 'cupyx'"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_sentence(
    tiny: Any, tmp_path: Path, capsys: Any, wrong: Any, sentence: str
) -> None:
    done = told_here(capsys, *tiny, *wrong, "--out", tmp_path / "run")
    assert done.returncode == 2 and refused(done.stderr), done.stderr
    assert sentence in done.stderr and done.stdout == ""
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("model", "shape", "sentence"),
    [
        (GAN(25, 3, (5,), (5,)), (5, 5), "GAN has no encoder"),
        (Classifier(25, (5,)), (5, 5), "Classifier has no encoder"),
        (Autoencoder(36, (5,), 3), (6, 6), "is of images of 6 x 6 pixels, got 5 x 5"),
        (VAE(25, (5,), 3), (25, 1), "is of images of 25 x 1 pixels, got 5 x 5"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(
    tiny: Any, tmp_path: Path, capsys: Any, model: Any, shape: Any, sentence: str
) -> None:
    run = write_run(tmp_path / "coder", model, shape)
    done = told_here(capsys, *tiny, "--checkpoint", run, "--out", tmp_path / "run")
    assert done.returncode == 2 and refused(done.stderr) and sentence in done.stderr
    assert str(run) in done.stderr and not (tmp_path / "run").exists()


def test_an_older_and_a_damaged_checkpoint(tiny: Any, tmp_path: Path, capsys: Any) -> None:
    path = write_run(tmp_path / "coder", CODER) / "checkpoint.npz"
    meta = checkpoint.read_meta(path)
    p = CODER.initialise(1)
    checkpoint.save(path, {"parameters": p.flat}, {k: v for k, v in meta.items() if k != "model"})
    flags = (*tiny, "--checkpoint", path, "--out", tmp_path / "run")
    done = told_here(capsys, *flags)
    assert done.returncode == 2 and refused(done.stderr)
    assert "it does not say which model it holds" in done.stderr
    path.write_bytes(path.read_bytes()[:-100])
    done = told_here(capsys, *flags)
    assert done.returncode == 2 and refused(done.stderr) and "no complete tinygen" in done.stderr


@pytest.mark.parametrize(
    ("train", "test", "sentence"),
    [
        (lambda y: np.where(y == 4, 5, y), None, "no training image is labelled 4"),
        (lambda y: y + 1, None, "no training image is labelled 0"),
        (
            lambda y: np.minimum(y, 8),
            None,
            "a test image is labelled 9, and the training images only 0",
        ),
        (None, lambda y: np.where(y == 7, 200, y), "a test image is labelled 200"),
        (lambda y: np.where(y == 0, 255, y), None, "labels go up to 255, but no training image is"),
    ],
)
def test_labels_that_are_no_classes_are_refused(
    tiny: Any, tmp_path: Path, capsys: Any, train: Any, test: Any, sentence: str
) -> None:
    folder = relabelled(tmp_path / "data", train, test)
    done = told_here(capsys, *tiny, "--data-dir", folder, "--out", tmp_path / "run")
    assert done.returncode == 2 and refused(done.stderr) and sentence in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("pictures")
def test_three_classes_and_a_test_set_that_lacks_one_are_fine(tiny: Any, tmp_path: Path) -> None:
    folder = relabelled(tmp_path / "data", lambda y: y % 3, lambda y: y % 2)
    assert here(*tiny, "--data-dir", folder, "--labels", "5", "--out", tmp_path / "run") == 0
    assert summary_of(tmp_path / "run" / "cells" / "pixels-5-0")["parameters"] == 26 * 3


@pytest.mark.parametrize("without", ["train_labels", "test_labels"])
def test_data_without_labels(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, without: str
) -> None:
    load = setup.load
    monkeypatch.setattr(setup, "load", lambda *a, **k: replace(load(*a, **k), **{without: None}))
    done = told_here(capsys, *tiny, "--out", tmp_path / "run")
    assert done.returncode == 2 and refused(done.stderr)
    assert "has no labels, which a classifier learns from" in done.stderr


def test_what_is_refused_leaves_a_finished_run_alone(
    tiny: Any, tmp_path: Path, capsys: Any
) -> None:
    flags = (*tiny, "--mode", "pixels", "--out", tmp_path)
    assert here(*flags) == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for wrong in (("--labels", "251"), ("--labels", "9"), ("--mode", "x"), ("--checkpoint", "no"),
                  ("--mode", "scratch+", "--labels", "all")):  # fmt: skip
        for more in ((), ("--restart",), ("--resume",)):
            assert told_here(capsys, *flags, *wrong, *more).returncode == 2, wrong
            assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
    assert here(*flags, "--resume") == 0
    assert sorted(p for p in tmp_path.rglob("*") if p.is_file()) == sorted(before)


def test_nan_stops_a_run_and_says_where(tiny: Any, tmp_path: Path, capsys: Any) -> None:
    wild = (
        "--mode",
        "scratch",
        "--optimizer",
        "sgd",
        "--lr",
        "10",
        "--noise",
        "1e30",
        "--epochs",
        "9",
    )
    run = write_run(tmp_path / "coder", Autoencoder(25, (6,), 3, "relu"))
    done = told_here(capsys, *tiny, *wild, "--checkpoint", run, "--out", tmp_path / "run")
    assert done.returncode == 1 and done.stderr.startswith("error: the loss became ")
    assert done.stderr.count("\n") == 1 and "is the last good one" in done.stderr


# From the flags to the parts.


def test_every_mode_is_said_in_the_help_and_tried_here() -> None:
    module = example(NAME)
    assert list(module.MODES) == MODES
    assert {*module.SOFTMAX_ONLY} | {*module.SEMI_SUPERVISED} < {*MODES}
    args = command_line.parse(module.flags(), ["--mode", "pca,pca,code"], module.SMOKE)
    assert args.mode == ("pca", "code") and args.labels == (100, 1000)
    args = command_line.parse(module.flags(), ["--labels", "all,100,all"], module.SMOKE)
    assert args.labels == ("all", 100)


@pytest.mark.parametrize("architecture", ["DENSE", "CONVOLUTIONAL"])
@pytest.mark.parametrize("labels", [100, "all"])
@pytest.mark.parametrize("mode", MODES)
def test_flags_change_the_recipe_of_every_mode(mode: str, labels: Any, architecture: str) -> None:
    module = example(NAME)

    def recipe(*flags: str) -> Any:
        args = command_line.parse(module.flags(), flags, {})
        return module.recipe_of(args, module.Cell(mode, labels, 0), getattr(module, architecture))

    asked = {
        "noise": 0.1, "dropout": 0.25, "input_distortion": 0.05, "epochs": 5, "batch_size": 7,
        "lr": 0.3,
    }  # fmt: skip
    flags = [part for k, x in asked.items() for part in (f"--{k.replace('_', '-')}", str(x))]
    changed, usual = recipe(*flags), recipe()
    for name, x in asked.items():
        if name in ("dropout", "input_distortion") and mode in ON_TOP:  # it has no hidden units
            assert getattr(changed, name) == getattr(usual, name) == 0
        else:
            assert getattr(changed, name) == x
    assert changed.weight_decay == usual.weight_decay
    assert recipe("--noise", "0") == usual._replace(noise=0.0)  # 0 is a flag, too


def test_the_table_has_means_and_standard_deviations_in_percent() -> None:
    errors = {20: {"a": [0.1, 0.2], "b": [0.5]}, "all": {"a": [0.01, 0.01, 0.04]}}
    lines = example(NAME).table(errors, ["a", "b"]).splitlines()
    assert lines[0].split() == ["error", "in", "%", "20", "labels", "all", "labels"]
    assert lines[1].split() == ["a", "15.00", "±", "7.07", "2.00", "±", "1.73"]
    assert lines[2].split() == ["b", "50.00", "-"]
    assert len({line.rindex(c) for line, c in zip(lines[:2], ("s", "3"), strict=True)}) == 1
