"""`tinygen sample`: which file it writes, what is in it, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import tinygen as tg
from tinygen import __main__ as program

RNG = np.random.default_rng(0)
IMAGES = (RNG.random((40, 4, 3)) < 0.5).astype(np.uint8) * 255
LABELS = np.arange(40) % 2
SHORT = {"epochs": 1, "batch_size": 10, "quiet": True}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda file: None)
    monkeypatch.chdir(tmp_path)


def trained(kind, name="run", images=IMAGES, labels=None):
    return tg.fit(kind, images, labels, out=name, **SHORT)


def sample(*words):
    return program.main(["sample", *map(str, words)])


@pytest.fixture
def vae():
    return trained(tg.VAE(12, (8,), 3))


def test_a_sheet_of_what_the_model_samples(vae, tmp_path, capsys):
    assert sample("run", "--images", 9, "--seed", 5) == 0
    assert capsys.readouterr().out == "run-samples.png\n"
    with Image.open("run-samples.png") as picture:
        sheet = np.asarray(picture.convert("L"), float)
    assert {path.name for path in tmp_path.iterdir()} == {"run", "run-samples.png"}
    assert sample("run", "--images", 9, "--seed", 6, "--out", "other.png") == 0
    with Image.open("other.png") as picture:
        other = np.asarray(picture.convert("L"), float)
    assert sheet.shape == other.shape and (sheet != other).any()


def test_the_arrays(vae):
    assert sample("run/", "--images", 7, "--seed", 5, "--out", "some.npz") == 0
    with np.load("some.npz") as file:
        assert file.files == ["images"]
        np.testing.assert_array_equal(file["images"], vae.sample(7, seed=5))


def test_a_file_of_its_own(vae):
    """A model that was saved alone, under a name with a point in it."""
    tg.save("v1.0.npz", vae.model, vae.parameters)
    assert sample("v1.0.npz", "--images", 2, "--out", "two.npz") == 0
    with np.load("two.npz") as file:
        assert file["images"].size == 2 * 12


def test_nothing_is_overwritten_unless_asked_for(vae, tmp_path, capsys):
    (tmp_path / "run-samples.png").write_text("dear")
    assert sample("run") == 2
    sentence = "error: run-samples.png exists already; --overwrite replaces it, "
    assert capsys.readouterr().err.startswith(sentence)
    assert (tmp_path / "run-samples.png").read_text() == "dear"
    assert sample("run", "--overwrite") == 0
    assert (tmp_path / "run-samples.png").read_bytes().startswith(b"\x89PNG")


def test_runs_are_named_where_another_is_asked_for(vae, capsys):
    trained(tg.VAE(12, (8,), 3), "runs/b")
    assert sample("runs/a") == 2
    assert capsys.readouterr().err == "error: runs/a: there is no such run; there are runs/b\n"


def test_not_all_is_drawn_before_a_file_is_refused(vae, tmp_path, monkeypatch):
    drawn, whole = [], tg.TrainedModel.sample
    monkeypatch.setattr(
        tg.TrainedModel, "sample", lambda who, n, *more: drawn.append(n) or whole(who, n, *more)
    )
    (tmp_path / "run-samples.png").write_text("dear")
    assert sample("run", "--images", 900) == 2
    assert sum(drawn) < 900


def test_what_the_model_cannot_do_is_said_before_what_stands_there(vae, tmp_path, capsys):
    (tmp_path / "run-samples.png").write_text("dear")
    assert sample("run", "--label", 1) == 2
    assert "expected no labels" in capsys.readouterr().err


def test_a_missing_folder_is_made(vae, tmp_path):
    for name in ("new/of/it.png", "new/it.npz"):
        assert sample("run", "--images", 1, "--out", name) == 0
        assert (tmp_path / name).is_file()


def test_one_class_of_a_conditional_gan(capsys):
    gan = trained(tg.GAN(12, 3, (8,), (8,), classes=2), labels=LABELS)
    assert sample("run", "--images", 6, "--label", 1, "--out", "ones.npz") == 0
    with np.load("ones.npz") as file:
        np.testing.assert_array_equal(file["images"], gan.sample(6, labels=1))
    assert sample("run", "--label", 2) == 2
    assert "label 2 is out of range; expected 0 to 1" in capsys.readouterr().err


def test_rows_that_are_no_images(capsys):
    trained(tg.GAN(5, 3, (8,), (8,)), images=RNG.random((40, 5)).astype(np.float32))
    assert sample("run", "--images", 3) == 2
    assert "expected a model of images, got one of rows of 5 numbers" in capsys.readouterr().err
    assert sample("run", "--images", 3, "--out", "rows.npz") == 0


def test_models_that_cannot_be_sampled(capsys):
    trained(tg.Autoencoder(12, (8,), 3))
    assert sample("run") == 2
    assert "Autoencoder has no sample; GAN, VAE and " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("run", "--label", 1), "expected no labels, as the model has no classes"),
        (("run", "--out", "x.jpg"), "x.jpg: expected a name that ends in .png or .npz"),
        (("run", "--images", 0), "argument --images: expected at least 1, got 0"),
        (("nowhere",), "nowhere: there is no such run\n"),
        ((".",), ".: the folder has no checkpoint.npz\n"),
        ((), "the following arguments are required: RUN"),
    ],
)
def test_what_is_refused(vae, words, sentence, capsys, tmp_path):
    assert sample(*words) == 2
    err = capsys.readouterr().err
    assert sentence in err and err.startswith("error: ") and err.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"run"}
