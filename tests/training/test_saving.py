"""What `tg.save` writes, `tg.load` reads, and so does NumPy alone."""

from __future__ import annotations

import json
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forged_checkpoints import forged, npy

import tinygen as tg
from tinygen.errors import InputError
from tinygen.models import GAN, VAE, AdversarialAutoencoder, Autoencoder, Classifier
from tinygen.training import SingleLossLearner, State

NUMPY = tg.get_backend("numpy")
MODELS: dict[str, Any] = {
    "autoencoder": Autoencoder(16, (5, 4), 3, channels=(2,), image=(4, 4, 1), kernel=2),
    "gaussian vae": VAE(9, (5,), 3, "tanh", "gaussian", kl_warm_up=7),
    "gan": GAN(9, 3, (5,), (6, 5), loss="wasserstein-gp", penalty=3.0, classes=2, pack=2),
    "adversarial": AdversarialAutoencoder(9, (5,), 3, discriminator_hidden=(4,)),
    "classifier": Classifier(9, (5, 4), 6, "elu", 0.0, latent=2),
}
VAE9 = VAE(9, (5,), 3)
ENDINGS = [".npz", ".safetensors"]


def path_for(tmp_path: Path, ending: str) -> Path:
    if ending == ".safetensors":
        pytest.importorskip("safetensors")
    return tmp_path / "new" / f"model{ending}"


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_it_comes_back(tmp_path: Path, backend: Any, name: str, dtype: str, ending: str) -> None:
    path, model = path_for(tmp_path, ending), MODELS[name]
    p = model.initialise(1, dtype, backend)
    tg.save(path, model, p)
    trained = tg.load(path, backend)
    assert trained.model == model and trained.parameters.shapes == p.shapes
    assert trained.parameters.flat.dtype == dtype
    assert type(trained.parameters.flat) is type(p.flat)
    np.testing.assert_array_equal(*(backend.to_numpy(x.flat) for x in (trained.parameters, p)))
    tg.save(path, trained)  # over itself
    assert tg.load(path).sha256 == trained.sha256 and tg.load(path).data == trained.data


def test_numpy_reads_the_arrays_by_name(tmp_path: Path) -> None:
    p = VAE9.initialise(0)
    tg.save(tmp_path / "vae.npz", VAE9, p)
    with np.load(tmp_path / "vae.npz", allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files if name != "meta.json"}
        meta = json.loads(file["meta.json"])
    assert {*arrays} == {*p} and meta["model"]["kind"] == "VAE"
    for name, x in p.items():
        np.testing.assert_array_equal(arrays[name], x)


def test_safetensors_reads_the_arrays_by_name(tmp_path: Path) -> None:
    package = pytest.importorskip("safetensors.numpy")
    p = VAE9.initialise(0)
    tg.save(tmp_path / "vae.safetensors", VAE9, p)
    arrays = package.load_file(tmp_path / "vae.safetensors")
    assert {*arrays} == {*p}
    for name, x in p.items():
        np.testing.assert_array_equal(arrays[name], x)


def test_images_have_the_shape_of_the_data_or_of_the_model(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"

    def shape(model: Any, data: Any = None) -> tuple[int, ...]:
        tg.save(path, model, model.initialise(0), data)
        return tg.load(path).sample(2).shape

    assert shape(VAE9) == (2, 3, 3) and shape(VAE(6, (5,), 3)) == (2, 6)
    coloured = VAE(48, (5,), 3, channels=(2,), image=(4, 4, 3))
    assert shape(coloured) == (2, 4, 4, 3)
    assert shape(VAE(6, (5,), 3), {"shape": [2, 3]}) == (2, 2, 3)
    digits = tg.data.stroke_digits(train=3, test=2)
    assert shape(VAE(784, (5,), 3), digits) == (2, 28, 28)
    trained = tg.load(path)
    assert trained.data["name"] == digits.name and trained.data["background"] < 0.1
    assert trained.encode(digits.test_images).shape == (2, 3)


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_was_there_survives_a_failure(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = path_for(tmp_path, ending)
    tg.save(path, VAE9, VAE9.initialise(0))
    before = path.read_bytes()

    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        tg.save(path, VAE9, VAE9.initialise(1))
    assert path.read_bytes() == before and [*path.parent.iterdir()] == [path]


def test_a_run_that_could_go_on_is_not_replaced(tmp_path: Path) -> None:
    p = VAE9.initialise(0)
    learner = SingleLossLearner(VAE9, p, tg.Adam, gradients=None)
    State().save(tmp_path / "checkpoint.npz", learner, NUMPY, {"dtype": "float32"})
    with pytest.raises(InputError, match=r"expected another name, .* the checkpoint of a run"):
        tg.save(tmp_path / "checkpoint.npz", VAE9, p)


def wrong(name: str) -> Any:
    p = VAE9.initialise(0)
    if name == "nan":
        p["encoder.b1"] = np.nan
    others = {"float16": p.to(NUMPY, np.float16), "dict": {**p}, "part": p.part("encoder.")}
    return (others | {"none": None}).get(name, p)


@pytest.mark.parametrize(
    ("file", "model", "parameters", "sentence"),
    [
        ("model", VAE9, "p", r"expected a name that ends in \.npz or \.safetensors$"),
        ("model.npy", VAE9, "p", r"expected a name that ends in \.npz"),
        ("model.npz", tg.mlp([9, 5]), "p", "expected a model such as .*VAE, .*got a Sequential"),
        ("model.npz", VAE9, "float16", "expected float32 or float64, got float16"),
        ("model.npz", VAE9, "dict", "expected a Parameters, .* got a dict"),
        ("model.npz", VAE9, "part", r"expected the parameters .*'encoder\.W1'.*, got .*'W1'"),
        ("model.npz", VAE9, "nan", "expected finite parameters, got NaN"),
        ("model.npz", VAE9, "none", r"expected the parameters, too, .*tg\.save\(path, trained\)"),
    ],
)
def test_what_cannot_be_loaded_is_not_saved(
    tmp_path: Path, file: str, model: Any, parameters: str, sentence: str
) -> None:
    with pytest.raises((InputError, TypeError), match=sentence) as refused:
        tg.save(tmp_path / file, model, wrong(parameters))
    assert "\n" not in str(refused.value) and not [*tmp_path.iterdir()]


def test_a_model_before_its_path_is_asked_about() -> None:
    with pytest.raises(InputError, match=r"^save: expected a path, and then a model, got a VAE$"):
        tg.save(VAE9, "vae.npz")  # type: ignore[arg-type]  as torch.save has it


def test_an_array_of_another_shape_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vae.npz"
    tg.save(path, VAE9, VAE9.initialise(0))
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    forged(path, files | {"encoder.W1.npy": npy(np.zeros((5, 9), np.float32))})
    with pytest.raises(InputError, match=r"its encoder\.W1 has shape \(5, 9\), expected \(9, 5\)"):
        tg.load(path)


@pytest.mark.parametrize("content", [b"", b"x", b"\xff" * 30])
def test_a_damaged_file_is_told_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = path_for(tmp_path, ".safetensors")
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(InputError, match="this is no complete tinygen checkpoint") as refused:
        tg.load(path)
    assert "\n" not in str(refused.value)


def test_anothers_safetensors_file_says_no_model(tmp_path: Path) -> None:
    package = pytest.importorskip("safetensors.numpy")
    package.save_file({"x": np.zeros(3)}, tmp_path / "x.safetensors")
    with pytest.raises(InputError, match="its metadata do not say"):
        tg.load(tmp_path / "x.safetensors")


def test_without_the_package_the_other_ending_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("safetensors", "safetensors.numpy"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=r"pip install safetensors, or take .* \.npz$"):
        tg.save(tmp_path / "x.safetensors", VAE9, VAE9.initialise(0))
