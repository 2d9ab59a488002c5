"""encoder_generator.py as a user runs it: the files, the figures, and what it refuses."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import replace
from types import SimpleNamespace

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
    write_tiny_data,
)
from strict import STRICT

import tinygen as tg
from tinygen.backend import get_backend
from tinygen.commands import command_line, setup
from tinygen.evaluation.densities import GaussianMixture
from tinygen.models import (
    GAN,
    VAE,
    AdversarialAutoencoder,
    Autoencoder,
    Classifier,
    Decoder,
    Encoder,
)
from tinygen.models.serialization import describe
from tinygen.training import RunDir, SingleLossLearner, State, checkpoint

NUMPY = get_backend("numpy")
NAME = "encoder_generator"
PARTS = {"encoder": Autoencoder, "generator": Decoder, "adversarial": AdversarialAutoencoder}
PICTURES = {
    "encoder": {"samples_gaussian.png", "samples_mixture.png", "interpolations_encoder.png"},
    "adversarial": {"samples_adversarial.png", "interpolations_adversarial.png"},
}
ALWAYS = {"summary.json", "codes.png"}
ENTRIES = ["task", "config", "data", "versions", "seconds", "parameters", "test", "baselines",
           "judge", "trainings"]  # fmt: skip
SCORES = {"digits_covered", "inception_score", "frechet_distance", "histogram_kl", "precision",
          "recall"}  # fmt: skip
OWN = {"encoder": "test codes, generator", "adversarial": "test codes, adversarial"}
BOTH_KINDS = pytest.mark.parametrize("gradients", ["autograd", "by-hand"])


def generator(*arguments):
    return run_here(*arguments, name=NAME)


def summary_of(folder):
    return json.loads((folder / "summary.json").read_text())


def rows_of(folder):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: x for key, x in row.items() if key != "seconds"} for row in rows]


def arrays_of(folder):
    """All arrays of a checkpoint."""
    with np.load(folder / "checkpoint.npz") as file:
        return {name: file[name] for name in file.files if name != checkpoint.META}


def all_of(folder):
    """Everything that a run left behind, but for the times."""
    summary = summary_of(folder)
    times = {key: summary.pop(key) for key in ("seconds", "config")}
    assert times["seconds"] > 0
    for end in summary["trainings"].values():
        end.pop("seconds")
    files = {path.name: path.read_bytes() for path in folder.glob("*.png")}
    parts = {}
    for name in summary["trainings"]:
        arrays = {key: x.tobytes() for key, x in arrays_of(folder / name).items()}
        parts[name] = arrays, rows_of(folder / name)
    return summary, files, parts


def refused(told):
    """Whether stderr is one sentence."""
    return told.startswith("error: ") and told.count("\n") == 1


def greys(path):
    """How many different greys a picture has."""
    with Image.open(path) as picture:
        picture.load()
        assert picture.format == "PNG"
        return len(np.unique(np.asarray(picture.convert("L"))))


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch, request):
    """Not for the disk, as in test_trainer.py, nor for pictures; processes of their own wait."""
    monkeypatch.setattr("os.fsync", lambda file: None)
    if "pictures" not in request.fixturenames:
        write_content_only(monkeypatch, "codes", "images_in_rows", "sheet")


@pytest.fixture
def pictures():
    """For a test in which pictures are drawn."""


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """A folder with 250 images of 5 by 5 pixels that show their label."""
    return write_labelled_data(tmp_path_factory.mktemp("data"))


@pytest.fixture
def tiny(labelled, tmp_path):
    """Flags for a tiny run, each epoch of which has 8 steps, and its folder."""
    flags = ("--data", "idx", "--data-dir", labelled, "--hidden", "6", "--batch-size", "32",
             "--epochs", "2", "--adversarial-epochs", "2", "--discriminator-hidden", "5",
             "--components", "3", "--quiet")  # fmt: skip
    return (*flags, "--latent", "3"), tmp_path / "run"


@pytest.fixture
def without_latent(tiny):
    """The same flags for an encoder that has a width of its own."""
    flags, out = tiny
    return flags[:-2], out


def saved(model, folder, shape=(5, 5), seed=0):
    """A run's folder with a model that has not learned anything."""
    run_dir = RunDir(folder)
    run_dir.open()
    learner = SingleLossLearner(model, model.initialise(seed), tg.Adam, gradients=None)
    about = {"model": describe(model), "data": {"shape": list(shape)}}
    State().save(run_dir.checkpoint, learner, NUMPY, {"dtype": "float32"}, about)
    return folder


# What a run leaves behind.


@pytest.mark.usefixtures("pictures")
@BOTH_KINDS
def test_smoke(tmp_path, capsys, gradients):
    flags = ("--smoke", "--gradients", gradients, "--out", tmp_path)
    if gradients == "autograd":
        done = run_there(*flags, name=NAME)
    else:
        code, told = generator(*flags), capsys.readouterr()
        done = SimpleNamespace(returncode=code, stdout=told.out, stderr=told.err)
    assert (done.returncode, done.stderr) == (0, "")
    pictures = PICTURES["encoder"] | PICTURES["adversarial"]
    assert set(os.listdir(tmp_path)) == ALWAYS | pictures | {*PARTS}
    for part, kind in PARTS.items():
        assert set(os.listdir(tmp_path / part)) == {"checkpoint.npz", "metrics.jsonl"}
        found = tg.load(tmp_path / part)
        assert type(found.model) is kind and found.data["name"] == "strokes"
        assert [row["epoch"] for row in rows_of(tmp_path / part)] == [1, 2]

    summary = summary_of(tmp_path)
    assert list(summary) == ENTRIES
    assert summary["task"] == NAME and summary["config"]["gradients"] == gradients
    assert summary["config"]["latent"] == 16 and summary["data"]["name"] == "strokes"
    assert set(summary["trainings"]) == {*PARTS}
    total = sum(end["parameters"] for end in summary["trainings"].values())
    decoder = 16 * 64 + 64 + 64 * 784 + 784
    encoder = 784 * 64 + 64 + 64 * 16 + 16
    discriminator = 16 * 32 + 32 + 32 + 1
    assert summary["parameters"] == total == 3 * decoder + 2 * encoder + discriminator

    test = summary["test"]
    assert list(test) == ["gaussian", "mixture", "adversarial"]
    assert set(test["gaussian"]) == SCORES | {"as_asked", "log_density"}
    assert set(test["mixture"]) == SCORES | {"log_density"}
    assert set(test["adversarial"]) == SCORES
    rows = summary["baselines"]
    assert {*OWN.values(), "VAE", "training images"} < set(rows)
    assert all(set(row) == SCORES for row in rows.values())
    # A density of the codes is better than no density, and not better than the codes themselves.
    best = rows[OWN["encoder"]]["frechet_distance"]
    for name in ("gaussian", "mixture"):
        assert 0.8 * best < test[name]["frechet_distance"] < 2 * best  # 10.1, 12.2, 11.7 measured
        assert test[name]["digits_covered"] == 10
    assert test["gaussian"]["as_asked"] > 0.8  # .95 was measured
    assert rows[OWN["encoder"]]["frechet_distance"] < rows["VAE"]["frechet_distance"]

    # The table has a line for each row, and its figures are those of the summary.
    lines = done.stdout.splitlines()
    assert max(len(line) for line in lines if str(tmp_path) not in line) <= 80
    assert "\x1b" not in done.stdout
    shown = {"Gaussian per digit": test["gaussian"], "adversarial": test["adversarial"], **rows}
    for name, row in shown.items():
        (line,) = (line for line in lines if line.startswith(f"{name}  "))
        figures = [float(x) for x in line.removeprefix(name).split()]
        expected = ["digits_covered", "inception_score", "frechet_distance", "histogram_kl",
                    "precision", "recall"]  # fmt: skip
        assert figures == pytest.approx([row[key] for key in expected], abs=0.0051)
    assert f"{test['gaussian']['as_asked']:.1%} of the images show their digit" in done.stdout
    assert summary["judge"]["sha256"][:16] in done.stdout


@pytest.mark.usefixtures("pictures")
@pytest.mark.parametrize("latent", ["1", "2", "3"])
def test_the_pictures(without_latent, latent):
    flags, out = without_latent
    assert generator(*flags, "--latent", latent, "--out", out) == 0
    pictures = PICTURES["encoder"] | PICTURES["adversarial"] | {"codes.png"}
    assert {path.name for path in out.glob("*.png")} == pictures
    assert all(greys(out / name) > 5 for name in pictures)


@pytest.mark.parametrize(
    ("way", "parts"),
    [("densities", ["encoder", "generator"]), ("adversarial", ["adversarial"])],
)
def test_one_way_alone(tiny, way, parts):
    flags, out = tiny
    assert generator(*flags, "--way", way, "--out", out) == 0
    pictures = PICTURES[parts[0]]
    assert set(os.listdir(out)) == ALWAYS | pictures | {*parts}
    summary = summary_of(out)
    assert [*summary["trainings"]] == parts
    names = {"densities": ["gaussian", "mixture"], "adversarial": ["adversarial"]}
    assert [*summary["test"]] == names[way]
    assert OWN[parts[0]] in summary["baselines"]
    assert not {OWN["encoder"], OWN["adversarial"]} <= set(summary["baselines"])


def test_by_hand_and_autograd_end_alike(tiny):
    flags, out = tiny
    ends = {}
    for gradients in ("autograd", "by-hand"):
        folder = out / gradients
        options = ("--gradients", gradients, "--dtype", "float64", "--code-noise", ".1")
        assert generator(*flags, *options, "--out", folder) == 0
        ends[gradients] = {part: arrays_of(folder / part)["parameters"] for part in PARTS}
        found = summary_of(folder)["trainings"]
        assert all(end["parameters"] == ends[gradients][part].size for part, end in found.items())
    for part, parameters in ends["autograd"].items():
        assert parameters.dtype == np.float64
        # The two round differently, for 16 steps.
        np.testing.assert_allclose(ends["by-hand"][part], parameters, rtol=1e-7, atol=1e-9)


def test_the_generator_inverts_the_encoder_which_stays_what_it_is(tiny, labelled):
    flags, out = tiny
    more = ("--hidden", "24", "--epochs", "40", "--lr", ".02", "--way", "densities")
    assert generator(*flags, *more, "--out", out) == 0
    encoder, decoder = tg.load(out / "encoder"), tg.load(out / "generator")
    assert decoder.model.hidden == encoder.model.hidden[::-1]
    images = tg.data.load("idx", labelled).test_images
    x = encoder.prepare(images)
    error = float(((decoder(encoder.encoder(x)) - x) ** 2).mean())
    last = rows_of(out / "generator")[-1]
    assert last["test_mse"] == pytest.approx(error, rel=1e-5)
    # As good as the decoder that was taken off, which the encoder learned with.
    assert error < 1.2 * rows_of(out / "encoder")[-1]["test_mse"]
    own = encoder.parameters.part("decoder.").flat
    assert abs(own - decoder.parameters.flat).max() > 0.1  # it is another one


def test_what_is_drawn_of_a_digit_shows_that_digit(tiny):
    flags, out = tiny
    more = ("--hidden", "24", "--epochs", "60", "--lr", ".02", "--way", "densities")
    assert generator(*flags, *more, "--latent", "6", "--out", out) == 0
    # 1.0 was measured, with three seeds; .1 would be chance.
    assert summary_of(out)["test"]["gaussian"]["as_asked"] > 0.9


def test_the_codes_of_the_adversarial_autoencoder_come_to_the_prior(tiny):
    flags, out = tiny
    more = ("--hidden", "24", "--latent", "2", "--discriminator-hidden", "32", "--ratio", "1",
            "--adversarial-epochs", "60", "--lr", ".01")  # fmt: skip
    assert generator(*flags, *more, "--way", "adversarial", "--out", out) == 0
    far = [row["test_prior"] for row in rows_of(out / "adversarial")]
    assert far[-1] < 0.1 < 1 < max(far)  # .015 and 4.6 were measured


# An encoder that is there already.


@pytest.mark.parametrize(
    "model",
    [
        Autoencoder(25, (7,), 4),
        VAE(25, (7,), 4),
        AdversarialAutoencoder(25, (7,), 4, discriminator_hidden=(3,)),
    ],
)
@pytest.mark.parametrize("way", ["densities", "both"])
def test_the_encoder_of_another_run(without_latent, tmp_path, model, way):
    flags, out = without_latent
    run = saved(model, tmp_path / "given")
    before = (run / "checkpoint.npz").read_bytes()
    assert generator(*flags, "--checkpoint", run, "--way", way, "--out", out) == 0
    assert (run / "checkpoint.npz").read_bytes() == before
    assert not (out / "encoder").exists()
    assert tg.load(out / "generator").model.latent == 4
    summary = summary_of(out)
    assert summary["config"]["checkpoint"] == str(run) and summary["config"]["latent"] == 4
    expected = ["generator"] if way == "densities" else ["generator", "adversarial"]
    assert [*summary["trainings"]] == expected
    if way == "both":
        assert tg.load(out / "adversarial").model.latent == 4


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_run_of_another_example(without_latent, tmp_path, dtype):
    """Its checkpoint says its own dtype, which need not be that of the new run."""
    flags, out = without_latent
    other = tmp_path / "vae"
    source = flags[: flags.index("--hidden")]
    assert run_here(*source, "--hidden", "8", "--latent", "2", "--epochs", "1", "--quiet",
                    "--out", other, "--dtype", "float64", name="mnist_vae") == 0  # fmt: skip
    more = ("--checkpoint", other / "checkpoint.npz", "--way", "densities", "--dtype", dtype)
    assert generator(*flags, *more, "--out", out) == 0
    assert arrays_of(out / "generator")["parameters"].dtype == dtype


@pytest.mark.parametrize(
    ("model", "shape", "sentence"),
    [
        (GAN(25, 3, (4,), (4,)), (5, 5), "GAN has no encoder"),
        (Classifier(25, (4,)), (5, 5), "Classifier has no encoder"),
        (Decoder(3, (4,), 25), (5, 5), "Decoder has no encoder"),
        (Encoder(25, (4,), 3), (5, 5), "Encoder has no encoder"),
        (Autoencoder(36, (4,), 3), (6, 6), "of images of 6 x 6 pixels, got 5 x 5"),
        (Autoencoder(25, (4,), 3), (1, 25), "of images of 1 x 25 pixels, got 5 x 5"),
    ],
)
def test_a_run_that_has_no_encoder_for_these_images(
    without_latent, tmp_path, capsys, model, shape, sentence
):
    flags, out = without_latent
    run = saved(model, tmp_path / "given", shape)
    assert generator(*flags, "--checkpoint", run, "--out", out) == 2
    told = capsys.readouterr()
    assert refused(told.err) and sentence in told.err, told.err
    assert str(run) in told.err
    assert not (out / "summary.json").exists() and not (out / "generator").exists()


def test_a_checkpoint_that_is_none(without_latent, tmp_path, capsys):
    flags, out = without_latent
    (tmp_path / "text").write_text("nothing")
    for path in (tmp_path / "text", tmp_path / "missing", tmp_path):
        assert generator(*flags, "--checkpoint", path, "--out", out) == 2
        told = capsys.readouterr().err
        assert refused(told) and str(path) in told
    assert not out.exists()


# A run that is stopped.


def interrupted(monkeypatch, kind, stop):
    """Press Ctrl-C in the step of that number of one of the trainings."""
    draw = kind.draw

    def pressed(self, x, generator, step=0, *labels):
        if step == stop:
            signal.raise_signal(signal.SIGINT)
        return draw(self, x, generator, step, *labels)

    monkeypatch.setattr(kind, "draw", pressed)


@BOTH_KINDS
def test_a_run_that_is_stopped_goes_on_to_the_same_end(tiny, monkeypatch, capsys, gradients):
    flags, out = tiny
    flags = (*flags, "--gradients", gradients, "--code-noise", ".2")
    assert generator(*flags, "--out", out.with_name("straight")) == 0
    more = ()
    for stop, (part, kind) in zip((3, 8, 12), PARTS.items(), strict=True):
        with monkeypatch.context() as patch:
            interrupted(patch, kind, stop)
            capsys.readouterr()
            assert generator(*flags, *more, "--out", out) == 130
        told = capsys.readouterr().err
        assert f"stopped after step {stop + 1} of 16" in told and "--resume" in told
        assert str(out / part) in told
        assert checkpoint.read_meta(out / part / "checkpoint.npz")["step"] == stop + 1
        assert not (out / "summary.json").exists()
        # Without a word of consent nothing of it is lost.
        assert generator(*flags, "--out", out) == 2
        told = capsys.readouterr().err
        assert refused(told) and "holds an unfinished run; add --resume" in told
        more = ("--resume",)
    assert generator(*flags, "--resume", "--out", out) == 0
    assert all_of(out) == all_of(out.with_name("straight"))


def test_what_is_finished_is_not_trained_again(tiny, monkeypatch):
    flags, out = tiny
    assert generator(*flags, "--out", out) == 0
    before, seconds = all_of(out), summary_of(out)["seconds"]
    monkeypatch.setattr(SingleLossLearner, "step", None)
    (out / "codes.png").unlink()
    assert generator(*flags, "--resume", "--out", out) == 0
    assert all_of(out) == before and summary_of(out)["seconds"] == seconds


def test_another_way_is_added_and_another_density_fitted_without_a_training(tiny, monkeypatch):
    flags, out = tiny
    straight = out.with_name("straight")
    assert generator(*flags, "--components", "4", "--out", straight) == 0
    assert generator(*flags, "--way", "densities", "--out", out) == 0
    monkeypatch.setattr(SingleLossLearner, "step", None)
    assert generator(*flags, "--components", "4", "--resume", "--out", out) == 0
    assert all_of(out) == all_of(straight)
    assert summary_of(out)["config"] == summary_of(straight)["config"]


def test_a_stopped_run_takes_nothing_from_the_one_that_it_replaces(tiny, monkeypatch, capsys):
    """The generator and the game of the old run lie there still when the new encoder is stopped."""
    flags, out = tiny
    new = (*flags, "--seed", "1")
    assert generator(*new, "--out", out.with_name("straight")) == 0
    assert generator(*flags, "--out", out) == 0
    with monkeypatch.context() as patch:
        interrupted(patch, Autoencoder, 5)
        assert generator(*new, "--restart", "--out", out) == 130
    assert not (out / "summary.json").exists()
    assert generator(*new, "--resume", "--out", out) == 0
    assert all_of(out) == all_of(out.with_name("straight"))


def test_ctrl_c_while_a_density_is_fitted(tiny, monkeypatch, capsys):
    flags, out = tiny

    def pressed(*_, **__):
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(GaussianMixture, "fit", pressed)
        assert generator(*flags, "--out", out) == 130
    assert "stopped" in capsys.readouterr().err and not (out / "summary.json").exists()
    assert generator(*flags, "--resume", "--out", out) == 0
    assert set(summary_of(out)["trainings"]) == {*PARTS}


def test_ctrl_c_in_a_process_of_its_own(tmp_path):
    flags = ("--smoke", "--epochs", "50000", "--out", tmp_path)
    process = start_there(*flags, name=NAME)
    try:
        metrics = tmp_path / "encoder" / "metrics.jsonl"
        until = time.monotonic() + 60
        while not (metrics.exists() and metrics.read_text()):
            assert time.monotonic() < until and process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130 and "Traceback" not in err and "--resume" in err


def test_a_run_is_not_resumed_as_another(tiny, without_latent, tmp_path, capsys):
    flags, out = tiny
    assert generator(*flags, "--out", out) == 0
    before = all_of(out)
    run = saved(Autoencoder(25, (7,), 3), tmp_path / "given")
    for other, sentence in [
        (("--seed", "1"), "--seed was 0, is 1"),
        (("--input-noise", ".1"), "--input-noise was 0.3, is 0.1"),
        (("--code-noise", ".1"), "--code-noise was 0.0, is 0.1"),
        (("--epochs", "3"), "--epochs was 2, is 3"),
        (("--adversarial-epochs", "3"), "--epochs was 2, is 3"),
        (("--ratio", "1"), "--ratio was 0.5, is 1.0"),
        (("--game-loss", "minimax"), "--game-loss was r1, is minimax"),
        (("--discriminator-hidden", "4"), "--discriminator-hidden was 5, is 4"),
        (("--checkpoint", run), "--checkpoint was None, is "),
    ]:
        assert generator(*flags, *other, "--resume", "--out", out) == 2
        told = capsys.readouterr().err
        assert refused(told) and sentence in told, told
        assert all_of(out) == before
    # Another encoder at the same place is another encoder.
    other = out.with_name("other")
    assert generator(*flags, "--checkpoint", run, "--way", "densities", "--out", other) == 0
    saved(Autoencoder(25, (7,), 3), run, seed=1)
    assert generator(*flags, "--checkpoint", run, "--way", "densities", "--resume",
                     "--out", other) == 2  # fmt: skip
    told = capsys.readouterr().err
    assert refused(told) and "--checkpoint was" in told


def test_nothing_to_resume(tiny, capsys):
    flags, out = tiny
    assert generator(*flags, "--resume", "--out", out) == 2
    told = capsys.readouterr().err
    assert refused(told) and "there is no checkpoint in" in told and not out.exists()


def test_restart_begins_anew(tiny):
    flags, out = tiny
    assert generator(*flags, "--out", out) == 0
    (out / "summary.json").unlink()
    assert generator(*flags, "--out", out) == 2
    assert generator(*flags, "--restart", "--seed", "1", "--out", out) == 0
    assert summary_of(out)["config"]["seed"] == 1


# What is refused.


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (("--way", "magic"), "argument --way: invalid choice: 'magic'"),
        (("--components", "0"), "argument --components: expected at least 1, got 0"),
        (("--components", "251"), "--components 251: there are 250 codes"),
        (("--latent", "0"), "argument --latent: expected at least 1, got 0"),
        (("--code-noise", "-1"), "argument --code-noise: expected a number at least 0"),
        (("--input-noise", "nan"), "argument --input-noise: expected a number at least 0"),
        (("--ratio", "0"), "argument --ratio: expected a number above 0"),
        (("--adversarial-epochs", "0"), "argument --adversarial-epochs: expected at least 1"),
        (("--game-loss", "hinge"), "argument --game-loss: invalid choice: 'hinge'"),
        (("--reconstruction", "l1"), "argument --reconstruction: invalid choice: 'l1'"),
        (("--discriminator-hidden", "8,x"), "argument --discriminator-hidden: "),
        (("--batch-size", "251"), "--batch-size 251: "),
        (("--dropout", ".1"), "--dropout"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_sentence(tiny, capsys, wrong, sentence):
    flags, out = tiny
    assert generator(*flags, *wrong, "--out", out) == 2
    told = capsys.readouterr()
    assert sentence in told.err and refused(told.err), told.err
    assert told.out == "" and not (out / "summary.json").exists()
    assert not any((out / part).exists() for part in PARTS)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("--way", "adversarial"), "--checkpoint: --way adversarial trains an encoder of its own"),
        (("--latent", "8"), "--latent 8: the codes of"),
        (("--out", "OUT", "--restart"), "the run would write over it"),
    ],
)
def test_a_checkpoint_that_does_not_go_with_other_flags(without_latent, capsys, more, sentence):
    flags, out = without_latent
    given = saved(AdversarialAutoencoder(25, (7,), 4), out / "adversarial")
    (out / "summary.json").write_text("{}")
    before = (given / "checkpoint.npz").read_bytes()
    more = [str(out) if word == "OUT" else word for word in more]
    assert generator(*flags, "--out", out, "--checkpoint", given, *more) == 2
    told = capsys.readouterr().err
    assert refused(told) and sentence in told, told
    assert (given / "checkpoint.npz").read_bytes() == before and (out / "summary.json").exists()


def test_its_own_encoder_can_be_given_back_to_it(tiny):
    flags, out = tiny
    assert generator(*flags, "--way", "densities", "--out", out) == 0
    encoder = (out / "encoder" / "checkpoint.npz").read_bytes()
    more = ("--checkpoint", out / "encoder", "--code-noise", ".3", "--way", "densities")
    assert generator(*flags, *more, "--restart", "--out", out) == 0
    assert (out / "encoder" / "checkpoint.npz").read_bytes() == encoder


def test_nan_stops_a_training_and_says_where(tiny, capsys):
    flags, out = tiny
    more = ("--optimizer", "sgd", "--lr", "10", "--epochs", "9", "--activation", "none")
    assert generator(*flags, *more, "--out", out) == 1
    told = capsys.readouterr().err.splitlines()[-1]
    assert "is the last good one" in told and str(out) in told
    assert not (out / "summary.json").exists()


# Data without labels, and data that are not like digits.


@pytest.mark.usefixtures("pictures")
@pytest.mark.parametrize("without", ["train_labels", "test_labels"])
def test_data_without_labels(tiny, monkeypatch, capsys, without):
    flags, out = tiny
    load = setup.load
    monkeypatch.setattr(setup, "load", lambda *a, **k: replace(load(*a, **k), **{without: None}))
    assert generator(*flags, "--out", out) == 0
    told = capsys.readouterr()
    assert "idx has no labels: there is no Gaussian per digit, and no score" in told.err
    summary = summary_of(out)
    assert set(summary["test"]) == {"mixture", "adversarial"}
    assert set(summary["test"]["mixture"]) == {"log_density"} and not summary["test"]["adversarial"]
    assert summary["baselines"] == {} and summary["judge"] is None
    pictures = PICTURES["encoder"] | PICTURES["adversarial"] | {"codes.png"}
    assert {path.name for path in out.glob("*.png")} == pictures - {"samples_gaussian.png"}
    assert all(greys(path) > 5 for path in out.glob("*.png"))


@pytest.mark.usefixtures("pictures")
def test_a_class_that_has_no_images(tiny, monkeypatch):
    """Labels may be 1 to 26, say; there is no Gaussian of what never comes."""
    flags, out = tiny
    load = setup.load

    def shifted(*a, **k):
        data = load(*a, **k)
        return replace(data, train_labels=data.train_labels + 2, test_labels=data.test_labels + 2)

    monkeypatch.setattr(setup, "load", shifted)
    assert generator(*flags, "--out", out) == 0
    assert "as_asked" in summary_of(out)["test"]["gaussian"]


@pytest.mark.usefixtures("pictures")
def test_images_of_low_rank_and_few_of_them(tmp_path, tiny):
    flags, out = tiny
    data = write_tiny_data(tmp_path / "few", train=40, test=8)
    assert generator(*flags, "--data-dir", data, "--components", "40", "--out", out) == 0
    assert np.isfinite(summary_of(out)["test"]["mixture"]["inception_score"])


def test_too_few_test_images_for_a_judge_are_refused_before_anything_is_trained(
    tmp_path, tiny, capsys
):
    flags, out = tiny
    data = write_tiny_data(tmp_path / "few", train=40, test=7)
    assert generator(*flags, "--data-dir", data, "--out", out) == 2
    told = capsys.readouterr().err
    assert refused(told) and "takes at least 8" in told
    assert not any((out / part / "checkpoint.npz").exists() for part in PARTS)


# The pieces.


@pytest.mark.parametrize("noise", [None, np.array([0.5, 2.0], np.float32)])
def test_the_generators_codes_have_the_noise_that_was_asked_for(noise):
    model = Decoder(2, (3,), 4)
    learner = example(NAME).InversionLearner(
        model, model.initialise(0), tg.Adam, model.gradients("by-hand"), noise=noise
    )
    x, codes = np.ones((4000, 4), np.float32), np.full((4000, 2), 7, np.float32)
    drawn = learner.draw(x, NUMPY.generator((0, 1, 5)), 5, codes)
    again = learner.watched().draw(x, NUMPY.generator((0, 1, 5)), 5, codes)
    assert drawn[0] is x and drawn[1].dtype == np.float32
    np.testing.assert_array_equal(drawn[1], again[1])
    assert (codes == 7).all()  # those of the data stay what they are
    expected = [0, 0] if noise is None else noise
    np.testing.assert_allclose((drawn[1] - codes).std(axis=0), expected, rtol=0.06)  # 5 / sqrt(2n)
    np.testing.assert_allclose(drawn[1].mean(axis=0), 7, atol=0.16)  # 5 * 2 / sqrt(n)


def test_noise_is_relative_to_the_standard_deviation_of_the_codes(tiny, monkeypatch):
    flags, out = tiny
    module, seen = example(NAME), []

    class Noted(module.InversionLearner):
        def __init__(self, *arguments, noise):
            super().__init__(*arguments, noise=noise)
            seen.append(noise)

    monkeypatch.setattr(module, "InversionLearner", Noted)
    more = ("--way", "densities", "--code-noise", ".25")
    assert generator(*flags, *more, "--out", out) == 0
    encoder = tg.load(out / "encoder").encoder
    codes = encoder(encoder.prepare(tg.data.load("idx", flags[3]).train_images))
    np.testing.assert_allclose(seen[0], codes.std(axis=0) / 4, rtol=1e-5)
    assert seen[0].dtype == np.float32


def test_the_prior_is_standard_normal():
    model = SimpleNamespace(latent=3)
    codec = SimpleNamespace(encoder=SimpleNamespace(model=model))
    z, digits = example(NAME).prior(codec).sample(40_000, np.random.default_rng(0))
    assert z.shape == (40_000, 3) and digits is None
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=0.025)  # five standard errors
    np.testing.assert_allclose(np.cov(z.T), np.eye(3), atol=0.036)  # the same


def test_codes_and_what_was_drawn_are_seen_in_one_plane(tmp_path, monkeypatch):
    module, seen = example(NAME), []
    monkeypatch.setattr(module.plots, "codes", lambda *rest, path: seen.extend((path, *rest)))
    labels = np.arange(30) % 3
    run = SimpleNamespace(run_dir=RunDir(tmp_path), dataset=SimpleNamespace(test_labels=labels))
    z = np.random.default_rng(0).standard_normal((30, 5)) * [5, 4, 1, 1, 1]
    codes = {"encoder": z, "adversarial": z[:, :2]}
    drawn = {"encoder": ("mixture of 7", z[:4]), "adversarial": ("adversarial", z[:3, :2])}
    module.draw_codes(run, codes, drawn)
    path, panels, told, beside = seen
    assert path == tmp_path / "codes.png" and told is labels
    assert [title for title, _ in beside.values()] == ["samples from a mixture of 7",
                                                       "samples from the prior"]  # fmt: skip
    assert list(panels) == list(beside) == ["encoder", "adversarial autoencoder"]
    for (_, others), z in zip(beside.values(), panels.values(), strict=True):
        np.testing.assert_allclose(others, z[: len(others)], rtol=1e-12)


@pytest.mark.parametrize("labelled_images", [True, False])
def test_samples_stand_in_the_row_of_their_digit(tmp_path, monkeypatch, labelled_images):
    module, found = example(NAME), {}
    monkeypatch.setattr(
        module.plots, "images_in_rows", lambda rows, shape, path: found.update(rows)
    )
    monkeypatch.setattr(
        module.plots, "sheet", lambda images, shape, columns, path: found.update({"": images})
    )
    data = SimpleNamespace(image_shape=(1, 1), train_labels=np.array([4, 0, 4, 7]))
    run = SimpleNamespace(dataset=data, run_dir=RunDir(tmp_path))
    digits = np.array([4] * 12 + [0] + [1] * 3)
    images = np.arange(1.0, 17)[:, None]
    module.draw_samples(run, "x.png", images, digits if labelled_images else None)
    if not labelled_images:
        assert found[""].tolist() == images.tolist()
        return
    # The digits of the data: of 4 the first ten, one image of 0 and blanks, and none of 7.
    assert {k: rows.ravel().tolist() for k, rows in found.items()} == {
        "0": [13] + [0] * 9, "4": [*range(1, 11)], "7": [0] * 10,
    }  # fmt: skip


def test_on_the_strict_backend_an_encoder_is_moved_there(without_latent, tmp_path, monkeypatch):
    flags, out = without_latent
    monkeypatch.setattr(setup, "get_backend", lambda *_: STRICT)
    run = saved(VAE(25, (7,), 4), tmp_path / "given")
    more = ("--checkpoint", run, "--code-noise", ".1", "--gradients", "by-hand")
    assert generator(*flags, *more, "--out", out) == 0
    assert summary_of(out)["versions"]["backend"] == STRICT.describe()


def test_every_flag_reaches_its_model(tiny):
    flags, out = tiny
    more = ("--hidden", "6,5", "--activation", "tanh", "--weights", "lecun_normal", "--biases",
            "normal", "--reconstruction", "mse", "--input-noise", ".2", "--game-loss", "minimax",
            "--discriminator-hidden", "4,3")  # fmt: skip
    assert generator(*flags, *more, "--out", out) == 0
    network = {"activation": "tanh", "weights": "lecun_normal", "biases": "normal",
               "reconstruction": "mse"}  # fmt: skip
    assert tg.load(out / "encoder").model == Autoencoder(25, (6, 5), 3, input_noise=0.2, **network)
    assert tg.load(out / "generator").model == Decoder(3, (5, 6), 25, **network)
    assert tg.load(out / "adversarial").model == AdversarialAutoencoder(
        25, (6, 5), 3, discriminator_hidden=(4, 3), loss="minimax", **network
    )


def test_help_fits_a_terminal(capsys):
    with pytest.raises(SystemExit) as stop:
        generator("--help")
    assert stop.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    args = command_line.parse(example(NAME).flags(), [], example(NAME).SMOKE)
    assert (args.way, args.components, args.code_noise) == ("both", 100, 0.0)
