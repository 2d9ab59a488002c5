"""From an array of images to a trained model in one call."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygen as tg
from tinygen.errors import InputError
from tinygen.training import Diverged, Interrupted, SingleLossLearner

RNG = np.random.default_rng(0)
IMAGES = (RNG.random((40, 4, 3)) < 0.5).astype(np.uint8) * 255
IMAGES[:20, :2] = 255  # of two kinds
LABELS = np.repeat([0, 1], 20)
MODELS: dict[str, Any] = {
    "autoencoder": tg.Autoencoder(12, (8,), 3),
    "vae": tg.VAE(12, (8,), 3),
    "adversarial": tg.AdversarialAutoencoder(12, (8,), 3, discriminator_hidden=(4,)),
    "gan": tg.GAN(12, 3, (8,), (8,)),
    "conditional": tg.GAN(12, 3, (8,), (8,), classes=2),
    "classifier": tg.Classifier(12, (8,), 2, dropout=0.0),
}
SHORT: dict[str, Any] = {"epochs": 2, "batch_size": 10, "quiet": True}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for the disk."""
    monkeypatch.setattr("os.fsync", lambda file: None)


def labels_of(name: str) -> Any:
    return LABELS if name in ("conditional", "classifier") else None


@pytest.mark.parametrize("name", MODELS)
def test_every_kind_trains_and_has_its_verbs(
    backend: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    trained = tg.fit(MODELS[name], IMAGES, labels_of(name), backend=backend, **SHORT)
    start = MODELS[name].initialise(0)
    assert trained.model == MODELS[name] and trained.backend is backend
    assert not np.allclose(backend.to_numpy(trained.parameters.flat), start.flat)
    assert not [*tmp_path.iterdir()], "nothing is written unless asked for"
    verb = {"classifier": "classify", "autoencoder": "encode"}.get(name, "sample")
    assert len(getattr(trained, verb)(40 if verb == "sample" else IMAGES)) == 40
    if verb == "sample":
        assert trained.sample(2).shape == (2, 4, 3)


@pytest.mark.parametrize("name", ["autoencoder", "vae", "classifier"])
def test_it_learns(name: str) -> None:
    before = tg.fit(MODELS[name], IMAGES, labels_of(name), **SHORT | {"rate": 1e-12})
    after = tg.fit(MODELS[name], IMAGES, labels_of(name), **SHORT | {"epochs": 60, "rate": 0.02})
    losses = [who.loss(IMAGES, labels_of(name)) for who in (before, after)]
    assert losses[1] < 0.8 * losses[0]
    if name == "classifier":
        assert np.mean(after.classify(IMAGES) == LABELS) > 0.95


def test_the_seed_decides_all() -> None:
    one, same, other = (tg.fit(MODELS["vae"], IMAGES, seed=k, **SHORT) for k in (1, 1, 2))
    assert one.sha256 == same.sha256 != other.sha256


def test_a_folder_is_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tg.data.stroke_digits(train=20, test=10)
    model = tg.VAE(784, (4,), 2)
    trained = tg.fit(model, data, out=tmp_path / "run", **SHORT | {"quiet": False})
    assert {"checkpoint.npz", "metrics.jsonl", "summary.json"} <= {
        path.name for path in (tmp_path / "run").iterdir()
    }
    assert tg.load(tmp_path / "run").sha256 == trained.sha256
    assert trained.data["name"] == data.name and trained.path.parent == tmp_path / "run"
    lines = capsys.readouterr().out.splitlines()
    expected = f"test loss {trained.loss(data.test_images):.4g}"
    assert len(lines) == 2 and lines[-1].endswith(expected)
    more = SHORT | {"seed": 1, "out": tmp_path / "run"}
    with pytest.raises(InputError, match="holds a finished run; restart=True replaces it, or ch"):
        tg.fit(model, data, **more)
    (tmp_path / "run" / "summary.json").unlink()
    with pytest.raises(InputError, match="holds an unfinished run; restart=True"):
        tg.fit(model, data, **more)
    assert tg.load(tmp_path / "run").sha256 == trained.sha256
    other = tg.fit(model, data, restart=True, **more)
    assert tg.load(tmp_path / "run").sha256 == other.sha256 != trained.sha256


@pytest.mark.parametrize(
    ("model", "images", "more", "sentence"),
    [
        (tg.VAE(), IMAGES, {}, r"of 784 pixels, got 4 x 3; VAE\(pixels=12\) is for these"),
        (MODELS["vae"], IMAGES / 255, {}, r"expected uint8 .* got float64 .*astype\(np\.uint8\)"),
        (MODELS["vae"], IMAGES[0], {}, r"of 12 pixels, got 3; images\[None\] is a batch of one$"),
        (
            MODELS["vae"],
            RNG.integers(0, 256, (9, 3, 2, 2), "uint8"),
            {},
            r"; x\.transpose\(0, 2, 3",
        ),
        (
            MODELS["vae"],
            RNG.integers(0, 256, (9, 2, 2, 4), "uint8"),
            {},
            r"; x\[\.\.\., :3\] leaves",
        ),
        (MODELS["vae"], [1, 2], {}, "an array of NumPy, got a list; np.stack.* of one size"),
        (MODELS["vae"], IMAGES, {"gradients": "by hand"}, "did you mean 'by-hand'"),
        (MODELS["vae"], IMAGES, {"optimizer": 3}, "an optimizer such as tinygen.SGD, got 3"),
        (MODELS["vae"], IMAGES, {"evaluate": lambda now: 3}, "to return numbers by name, .* got 3"),
        (MODELS["vae"], IMAGES, {"evaluate": lambda now: {"x": [1]}}, "numbers by name"),
        (MODELS["vae"], IMAGES, {"evaluate": lambda now: {"step": 1}}, "another name .* 'step'"),
        (MODELS["vae"], IMAGES, {"batch_size": 41}, "a batch_size of 1 to 40, .* got 41"),
        (MODELS["vae"], IMAGES, {"epochs": 0}, "epochs"),
        (MODELS["vae"], IMAGES, {"rate": -1.0}, "rate"),
        (MODELS["classifier"], IMAGES, {}, r"expected labels \(n,\), as a Classifier has classes"),
        (MODELS["classifier"], IMAGES, {"labels": LABELS[:3]}, "expected a label for each"),
        (MODELS["vae"], IMAGES, {"labels": LABELS}, "expected no labels"),
        (
            MODELS["vae"],
            "mnist",
            {},
            r"^fit: .* got a str; tg\.data\.load\('mnist'\) is a data set",
        ),
        (MODELS["vae"], IMAGES / 255, {}, r"; \(255 \* x\)\.round\(\)\.astype\(np\.uint8\) makes"),
        (MODELS["vae"], IMAGES * 1.0, {}, r"3\); x\.astype\(np\.uint8\) makes pixels of them$"),
        (MODELS["vae"], IMAGES * 9.0, {}, r"got float64 \(40, 4, 3\)$"),
        (MODELS["vae"], IMAGES > 0, {}, r"bool .*; 255 \* x\.astype\(np\.uint8\) makes pixels"),
        (MODELS["vae"], IMAGES // 255, {}, r"got 0 and 1 alone; 255 \* x\.astype\(np\.uint8\)"),
        (MODELS["vae"], IMAGES * np.uint16(16), {}, r"; \(x \* \(255 / 4095\)\)\.round\(\)\.ast"),
        (MODELS["vae"], Path("mine"), {}, r"got a \w+Path; tg\.data\.from_folder\('mine'\) is a"),
        (MODELS["vae"], IMAGES, {"out": ""}, "expected a path, got an empty text; the folder here"),
        (
            MODELS["classifier"],
            IMAGES,
            {"labels": LABELS + 1},
            r"labels from 0 to \d+, as the Class",
        ),
        (
            tg.Autoencoder(12, (8,), 3),
            IMAGES,
            {"labels": LABELS},
            "as an Autoencoder has no classes",
        ),
        (
            tg.VAE(12, (8,), 3, channels=(2,), image=(3, 4, 1)),
            IMAGES,
            {},
            r"images of 3 x 4 x 1 .*, got 4 x 3 x 1; VAE\(image=\(4, 3, 1\)\) is for these",
        ),
        (
            tg.VAE(16, (8,), 3, input_distortion=0.1),  # a square, as nothing else is said
            np.resize(IMAGES, (40, 2, 8)),
            {},
            r"images of 4 x 4 x 1 .*, got 2 x 8 x 1; VAE\(image=\(2, 8, 1\)\) is for these",
        ),
        (
            MODELS["vae"],
            2 * RNG.random((40, 12)) - 1,
            {},
            r"in \[0, 1\], got -\S+ to \S+; a model with likelihood='gaussian' takes others$",
        ),
        (MODELS["vae"], IMAGES, {"seed": "a"}, "expected a seed, a whole number .* got 'a'"),
        (tg.Encoder(12, (8,), 3), IMAGES, {}, "one of Autoencoder, .*, got Encoder$"),
        (tg.VAE, IMAGES, {}, r"one of Autoencoder, VAE, .*the class VAE; VAE\(\) is one$"),
        (IMAGES, MODELS["vae"], {}, "first one of Autoencoder, .* then images, got ndarray$"),
    ],
)
def test_anything_strange_is_asked_about(
    model: Any, images: Any, more: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence) as refused:
        tg.fit(model, images, **SHORT | more)
    assert "\n" not in str(refused.value)


def test_fewer_images_than_a_batch_are_one() -> None:
    few, all_at_once = (
        tg.fit(MODELS["vae"], IMAGES, epochs=1, quiet=True, **batch)
        for batch in ({}, {"batch_size": len(IMAGES)})
    )
    np.testing.assert_array_equal(few.parameters.flat, all_at_once.parameters.flat)


def test_a_data_set_has_its_own_labels() -> None:
    data = tg.data.stroke_digits(train=20, test=10)
    model = tg.Classifier(784, (8,), 10)
    with pytest.raises(InputError, match="expected no labels beside a Dataset"):
        tg.fit(model, data, data.train_labels, **SHORT)
    with pytest.raises(InputError, match="expected labels"):
        tg.fit(model, replace(data, train_labels=None), **SHORT)


@pytest.mark.parametrize("asked", [True, False])
def test_ctrl_c_leaves_the_model_so_far_if_there_is_a_folder(
    tmp_path: Path, asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = SingleLossLearner.step

    def interrupted(self: Any, data: Any, rate: float) -> Any:
        if self.steps == 5:
            signal.raise_signal(signal.SIGINT)
        return step(self, data, rate)

    monkeypatch.setattr(SingleLossLearner, "step", interrupted)
    out = tmp_path / "run" if asked else None
    with pytest.raises(Interrupted, match=r"^stopped after step 6 of 8; ") as stopped:
        tg.fit(MODELS["vae"], IMAGES, out=out, **SHORT)
    assert "--" not in str(stopped.value) and (str(out) in str(stopped.value)) == asked
    if asked:
        assert tg.load(tmp_path / "run").sample(2).shape == (2, 4, 3)


def test_the_history_is_that_of_the_run(tmp_path: Path) -> None:
    data = tg.data.stroke_digits(train=20, test=10)
    trained = tg.fit(tg.VAE(784, (4,), 2), data, out=tmp_path, **SHORT)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert trained.history == tg.load(tmp_path).history == [json.loads(line) for line in lines]
    assert [row["epoch"] for row in trained.history] == [1, 2]
    assert trained.history[-1]["test_loss"] == pytest.approx(trained.loss(data.test_images))
    curves = {"loss": {"train_loss": "training", "test_loss": "test"}}
    assert tg.plots.loss_curves(trained.history, curves) is not None
    tg.save(tmp_path / "model.npz", trained.model, trained.parameters)
    assert tg.load(tmp_path / "model.npz").history == []
    assert tg.fit(MODELS["vae"], IMAGES, **SHORT).history[1].keys() == {
        "epoch", "step", "train_loss", "rate", "seconds"
    }  # fmt: skip


@pytest.mark.parametrize("name", ["autoencoder", "vae", "adversarial", "conditional", "classifier"])
def test_by_hand_is_by_autograd(name: str) -> None:
    one, other = (
        tg.fit(MODELS[name], IMAGES, labels_of(name), gradients=how, **SHORT)
        for how in ("autograd", "by-hand")
    )
    np.testing.assert_allclose(one.parameters.flat, other.parameters.flat, rtol=1e-3, atol=1e-5)
    assert one.sha256 != other.sha256, "or only one of them was asked"


def test_another_optimizer_is_taken() -> None:
    """One step on one batch, down the gradient."""
    model, rows = tg.Autoencoder(6, (), 2), RNG.random((10, 6)).astype(np.float32)
    p = model.initialise(0)
    _, gradients = tg.value_and_grad(model.loss)(p, rows)
    once: dict[str, Any] = {"epochs": 1, "batch_size": 10, "quiet": True, "rate": 0.1}
    descent = tg.fit(model, rows, optimizer=partial(tg.SGD, momentum=0.0), **once)
    expected = p.flat - 0.1 * gradients.flat
    np.testing.assert_allclose(descent.parameters.flat, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["vae", "gan"])
def test_figures_of_each_epoch_are_those_of_the_model_then(
    backend: Any, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = []

    def evaluate(model: Any) -> dict[str, Any]:
        seen.append(model)
        return {"grey": model.sample(20).mean()}

    more = SHORT | {"quiet": False, "epochs": 9, "batch_size": 5}  # so that there is an average
    trained = tg.fit(MODELS[name], IMAGES, evaluate=evaluate, backend=backend, **more)
    assert [row["grey"] for row in trained.history] == [float(x.sample(20).mean()) for x in seen]
    assert seen[0].sha256 != seen[-1].sha256, "they stay what they were"
    np.testing.assert_array_equal(seen[-1].sample(20), trained.sample(20))
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.endswith(f"  grey {trained.history[-1]['grey']:.4g}")


def test_a_model_that_is_in_no_file_is_called_what_it_is() -> None:
    trained = tg.fit(MODELS["vae"], IMAGES, **SHORT)
    assert trained.path is None and "; not saved; " in repr(trained)
    with pytest.raises(InputError, match=r"^the trained VAE: expected codes"):
        trained.decode(IMAGES)
    with pytest.raises(InputError, match=r"^the trained Encoder: Encoder has no sample"):
        trained.encoder.sample()


def test_images_alone_are_no_test_set() -> None:
    assert tg.fit(MODELS["vae"], IMAGES, **SHORT).data["test"] == 0
    data = tg.data.from_arrays(IMAGES, test_fraction=0.25)
    assert tg.fit(MODELS["vae"], data, **SHORT).data["test"] == 10


@pytest.mark.parametrize("with_rows", [True, False])
def test_a_model_takes_images_and_rows_whatever_it_was_trained_on(with_rows: bool) -> None:
    rows = (IMAGES.reshape(40, 12) / 255).astype(np.float32)
    trained = tg.fit(MODELS["vae"], rows if with_rows else IMAGES, **SHORT)
    assert trained.sample(2).shape == ((2, 12) if with_rows else (2, 4, 3))
    codes = trained.encode(rows)
    for images in (IMAGES, IMAGES.reshape(40, 12), rows.reshape(40, 4, 3), IMAGES / 255):
        np.testing.assert_allclose(trained.encode(images), codes, rtol=1e-5, atol=1e-6)


def test_a_rate_that_is_too_high_is_named() -> None:
    with pytest.raises(Diverged, match=r"; a rate below 1e\+38 may get further$") as diverged:
        tg.fit(MODELS["autoencoder"], IMAGES, rate=1e38, **SHORT)
    assert "--" not in str(diverged.value)
