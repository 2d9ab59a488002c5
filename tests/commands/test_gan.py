"""The GAN's examples as a user runs them: the files, the figures, and what they refuse."""

from __future__ import annotations

import json
import os
import re
import signal
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageSequence
from running import (
    example,
    run_captured,
    run_here,
    run_there,
    write_labelled_data,
    write_tiny_data,
)

import tinygen as tg
from tinygen import get_backend, optim, plots
from tinygen.commands import command_line, gan_command_line, gan_monitor, setup
from tinygen.data import idx, mixture_points, stroke_digits
from tinygen.data.datasets import FILES as DATA_FILES
from tinygen.models import GAN, VAE
from tinygen.models.classifier import Classifier
from tinygen.models.gan import LOSSES
from tinygen.parameters import Parameters
from tinygen.plots.style import DATA_COLOUR, SAMPLE_COLOUR
from tinygen.training import AdversarialLearner, checkpoint

pytestmark = pytest.mark.usefixtures("without_pictures")
NUMPY = get_backend("numpy")
MNIST, RING, SEEDS, JUDGE = "mnist_gan", "gan_ring", "gan_seeds", "mnist_judge"
ALWAYS = {"checkpoint.npz", "metrics.jsonl", "summary.json", "loss.png", "samples.png",
          "training.gif"}  # fmt: skip
FILES = {MNIST: ALWAYS | {"accuracy.png", "gradients.png", "nearest.png"},
         RING: ALWAYS | {"good.png"}}  # fmt: skip
ENTRIES = ["task", "config", "data", "versions", "seconds", "parameters", "test"]
SCORES = {"digits_covered", "inception_score", "frechet_distance", "histogram_kl", "precision",
          "recall"}  # fmt: skip
OF_AN_EPOCH = {
    "epoch", "step", "rate", "seconds", "real_accuracy", "fake_accuracy",
    "train_discriminator_loss", "train_generator_loss",
    "train_discriminator_norm", "train_generator_norm",
}  # fmt: skip
BOTH_KINDS = pytest.mark.parametrize("gradients", ["autograd", "by-hand"])
BOTH_EXAMPLES = pytest.mark.parametrize("name", [MNIST, RING])
EVERY_LOSS = pytest.mark.parametrize("loss", LOSSES)
FEW = {"train": 200, "test": 60}
WIDER = ("--generator-hidden", "32,32", "--discriminator-hidden", "32,32")
CURVES = (900, 540)
"""Pixels of a picture of curves, of which the margins are cut off."""


def gan_here(*arguments):
    return run_here(*arguments, name=MNIST)


def ring_here(*arguments):
    return run_here(*arguments, name=RING)


def summary_of(folder):
    return json.loads((folder / "summary.json").read_text())


def rows_of(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def without_time(rows):
    return [{key: x for key, x in row.items() if key != "seconds"} for row in rows]


def arrays_of(folder):
    """All arrays of a checkpoint."""
    with np.load(folder / "checkpoint.npz") as file:
        return {name: file[name] for name in file.files if name != checkpoint.META}


def parsed(name, *flags):
    module = example(name)
    presets = getattr(module, "PRESETS", None)
    return command_line.parse(module.flags(), [str(f) for f in flags], module.SMOKE, presets)


def built(name, *flags):
    """The model of a command, for images of 4 pixels in `mnist_gan`."""
    pixels, output = (4, "sigmoid") if name == MNIST else (2, "none")
    return gan_command_line.build(parsed(name, *flags), pixels, output, example(name).GAMMA)


def refused(stderr):
    """Whether it is one sentence."""
    return stderr.startswith("error: ") and stderr.count("\n") == 1


def greys(picture):
    """How many different greys an open picture has."""
    return len(np.unique(np.asarray(picture.convert("L"))))


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """A folder with 250 images of 5 by 5 pixels that show their label."""
    return write_labelled_data(tmp_path_factory.mktemp("data"))


def flags_of(name, data):
    """Flags for a tiny run of an example; with them its 250 images or 200 points are 7 steps."""
    widths = ("--generator-hidden", "6", "--discriminator-hidden", "6", "--epochs", "2", "--quiet")
    if name == RING:
        return (*widths, "--points", "200", "--batch-size", "28")
    return (*widths, "--data", "idx", "--data-dir", data, "--latent", "3", "--batch-size", "32")


@pytest.fixture
def tiny(labelled, tmp_path):
    """Flags for the labelled images, and the folder of the run."""
    return flags_of(MNIST, labelled), tmp_path / "run"


@pytest.fixture
def ring(tmp_path):
    """Flags for 200 points of the ring, and the folder of the run."""
    return flags_of(RING, None), tmp_path / "run"


# mnist_gan: what a run leaves behind.


@BOTH_KINDS
def test_smoke_of_mnist(tmp_path, capsys, gradients):
    flags = ("--smoke", "--gradients", gradients, "--out", tmp_path)
    there = gradients == "autograd"
    done = run_there(*flags, name=MNIST) if there else run_captured(capsys, *flags, name=MNIST)
    assert done.returncode == 0, done.stderr
    assert set(os.listdir(tmp_path)) == FILES[MNIST]
    summary = summary_of(tmp_path)
    assert list(summary)[:7] == ENTRIES
    assert set(summary) == {*ENTRIES, "baselines", "judge"}
    assert summary["task"] == MNIST and summary["config"]["gradients"] == gradients
    assert summary["data"]["name"] == "strokes" and summary["seconds"] > 0
    # Batch norm, behind the generator's only hidden layer, has two numbers a unit and no bias.
    generator = 8 * 64 + 2 * 64 + 64 * 784 + 784
    assert summary["parameters"] == generator + 784 * 64 + 64 + 64 + 1

    test = summary["test"]
    assert set(test) == {*SCORES, "parzen"}
    assert 1 <= test["digits_covered"] <= 10 and 1 <= test["inception_score"] <= 10
    judge = summary["judge"]
    assert re.fullmatch("[0-9a-f]{64}", judge["sha256"])
    assert 0 <= judge["error"] < 0.03  # 0 was measured; guessing has 0.9
    rows = summary["baselines"]
    assert list(rows) == [
        "real test images", "a real half, the other", "training images", "Gaussian, 64 PCA codes",
        "VAE",
    ]  # fmt: skip
    assert all(set(row) == SCORES for row in rows.values())
    real = rows["real test images"]
    assert real["digits_covered"] == 10 and real["precision"] == real["recall"] == 1
    assert real["frechet_distance"] == pytest.approx(0, abs=1e-6)
    assert 9 < real["inception_score"] <= 10  # 9.82 was measured
    # Two epochs are enough for nothing: every baseline is nearer to the real images.
    assert all(row["frechet_distance"] < test["frechet_distance"] for row in rows.values())

    history = rows_of(tmp_path)
    assert [row["epoch"] for row in history] == [1, 2]
    assert [row["step"] for row in history] == [62, 124]  # of 2000 images 62 batches of 32 are full
    for row in history:
        assert set(row) == OF_AN_EPOCH | {"digits_covered"}
        assert 0 <= row["real_accuracy"] <= 1 and 0 <= row["fake_accuracy"] <= 1
        assert row["train_discriminator_norm"] > 0 and row["train_generator_norm"] > 0
        # What is printed of an epoch.
        assert f"D {row['train_discriminator_loss']:.3f}" in done.stdout
        assert f"G {row['train_generator_loss']:.3f}" in done.stdout
        assert f"digits {row['digits_covered']}" in done.stdout

    # The table has a line for each row, and its figures are those of the summary.
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) < 120 and "\x1b" not in done.stdout
    for name, row in {**rows, "this GAN": test}.items():
        (line,) = (line for line in lines if line.startswith(f"{name}  "))
        assert len(line) <= 80
        printed = [float(x) for x in line.removeprefix(name).split()]
        shown = ["digits_covered", "inception_score", "frechet_distance", "histogram_kl",
                 "precision", "recall"]  # fmt: skip
        assert printed == pytest.approx([row[key] for key in shown], abs=0.0051)
    assert judge["sha256"][:16] in done.stdout
    assert "cover" not in done.stderr  # such a run is not meant to end well


def test_by_hand_and_autograd_begin_alike_and_have_one_classifier(tiny):
    flags, out = tiny
    runs = {}
    for gradients in ("autograd", "by-hand"):
        folder = out / gradients
        options = ("--gradients", gradients, "--dtype", "float64")
        assert gan_here(*flags, *options, "--out", folder) == 0
        runs[gradients] = rows_of(folder), arrays_of(folder), summary_of(folder)
    (a, x, one), (b, y, other) = runs.values()
    for row, same in zip(without_time(a), without_time(b), strict=True):
        assert row == pytest.approx(same, rel=1e-9)  # the two round differently, for 14 steps
    np.testing.assert_allclose(x["parameters"], y["parameters"], rtol=1e-7, atol=1e-9)
    assert one["judge"] == other["judge"] and one["baselines"] == other["baselines"]


@pytest.mark.usefixtures("pictures")
def test_the_pictures_of_mnist(tiny):
    flags, out = tiny
    assert gan_here(*flags, "--epochs", "3", "--out", out) == 0
    assert set(os.listdir(out)) == FILES[MNIST]
    for name in ("loss.png", "accuracy.png", "gradients.png", "nearest.png", "samples.png"):
        with Image.open(out / name) as picture:
            picture.load()
            assert picture.format == "PNG"
            if name in ("loss.png", "accuracy.png", "gradients.png"):
                # Nothing but margins is cut off, and no label sticks out.
                assert all(
                    0.85 * m < x < 1.1 * m for x, m in zip(picture.size, CURVES, strict=True)
                )
            if name == "samples.png":
                # 10 by 10 images of 5 pixels in a frame of 1, each 6 by 6; a margin of 0.1 inches.
                assert picture.size == (450, 450)
            assert greys(picture) > 5, name  # not blank
    with Image.open(out / "training.gif") as film:
        assert film.n_frames == 3
        frames = [np.asarray(frame.convert("L"), float) for frame in ImageSequence.Iterator(film)]
    # 10 by 10 images of 5 pixels, each 2 by 2 in the film, and 20 above them for the epoch.
    assert all(frame.shape == (120, 100) for frame in frames)
    pictures = [frame[20:] for frame in frames]
    assert all(picture.std() > 1 for picture in pictures)
    assert abs(pictures[0] - pictures[2]).max() > 8  # it has learned something


@BOTH_EXAMPLES
def test_a_new_run_begins_a_film_of_its_own(name, labelled, tmp_path, monkeypatch):
    """Even if it has no frame of the epochs that are in the old one."""
    flags = (*flags_of(name, labelled), "--epochs", "3")
    assert run_here(*flags, "--out", tmp_path / "run", name=name) == 0
    monkeypatch.setattr(gan_monitor, "FRAMES", 2)
    films = []
    for out in (tmp_path / "run", tmp_path / "other"):
        assert run_here(*flags, "--seed", "1", "--restart", "--out", out, name=name) == 0
        films.append((out / "training.gif").read_bytes())
    assert films[0] == films[1]
    with Image.open(tmp_path / "run" / "training.gif") as film:
        assert json.loads(film.info["comment"]) == [2, 3]


# What can be asked for.


@EVERY_LOSS
@BOTH_KINDS
def test_each_loss(tiny, loss, gradients):
    flags, out = tiny
    assert gan_here(*flags, "--loss", loss, "--gradients", gradients, "--out", out) == 0
    summary, rows = summary_of(out), rows_of(out)
    assert summary["config"]["loss"] == loss
    assert set(summary["test"]) == {*SCORES, "parzen"}
    assert all(np.isfinite(list(row.values())).all() for row in rows)


@pytest.mark.parametrize(
    "options",
    [
        ("--pack", "2", "--loss", "wasserstein-gp", "--critic-steps", "5"),
        ("--critic-steps", "7", "--average", "0"),  # as many as an epoch has
        ("--discriminator-activation", "maxout", "--dropout", ".3", "--conditional", "--pack", "4"),
        ("--smoothing", ".1", "--loss", "least-squares", "--optimizer", "sgd", "--lr", "1e-3"),
        ("--dtype", "float64", "--generator-lr", "1e-3", "--optimizer", "rmsprop"),
        ("--generator-hidden", "", "--discriminator-hidden", ""),
        ("--generator-hidden", "7,6,5", "--discriminator-hidden", "7,6,5"),
        ("--generator-norm", "none", "--generator-activation", "maxout"),
    ],
)
@BOTH_KINDS
def test_what_can_be_asked_for_runs(tiny, options, gradients):
    flags, out = tiny
    assert gan_here(*flags, *options, "--gradients", gradients, "--out", out) == 0
    assert all(np.isfinite(list(row.values())).all() for row in rows_of(out))
    assert ("average" in arrays_of(out)) == ("--average" not in options)


@pytest.mark.parametrize(
    "options",
    [
        ("--generator-norm", "layer", "--discriminator-norm", "layer", "--pack", "2"),
        ("--discriminator-norm", "batch", "--loss", "minimax", "--dropout", ".2"),
    ],
)
def test_norms_that_autograd_alone_differentiates(tiny, options):
    """That they are refused by hand is among what makes no sense, below."""
    flags, out = tiny
    assert gan_here(*flags, *options, "--out", out) == 0
    assert all(np.isfinite(list(row.values())).all() for row in rows_of(out))


def test_a_conditional_generator_draws_what_it_is_asked_for(tiny):
    flags, out = tiny
    more = ("--generator-hidden", "16", "--discriminator-hidden", "16", "--epochs", "20",
            "--lr", ".02", "--average", ".9")  # fmt: skip
    assert gan_here(*flags, *more, "--conditional", "--out", out) == 0
    test = summary_of(out)["test"]
    assert set(test) == {*SCORES, "parzen", "as_asked"}
    # 1.0 was measured; a generator that does not hear the digit has 0.1.
    assert test["as_asked"] > 0.9 and test["digits_covered"] == 10
    assert summary_of(out)["judge"]["error"] == 0


@BOTH_EXAMPLES
def test_each_player_has_its_learning_rate(name, labelled, tmp_path):
    flags = (*flags_of(name, labelled), "--average", "0")
    model = built(name, *flags) if name == RING else replace(built(name, *flags), pixels=25)
    began = model.initialise(0)
    for rates, still, moved in (
        (("--lr", "1e-12", "--generator-lr", ".01"), "discriminator.", "generator."),
        (("--lr", ".01", "--generator-lr", "1e-12"), "generator.", "discriminator."),
    ):
        out = tmp_path / moved
        assert run_here(*flags, *rates, "--out", out, name=name) == 0
        ended = Parameters(model.shapes, arrays_of(out)["parameters"])
        change = {who: abs(ended.part(who).flat - began.part(who).flat).max()
                  for who in (still, moved)}  # fmt: skip
        # 14 steps of Adam, none of which is much longer than its rate.
        assert change[still] < 1e-7 and 1e-3 < change[moved] < 0.2


@BOTH_EXAMPLES
def test_the_average_is_what_is_sampled_and_changes_nothing_else(name, labelled, tmp_path):
    ends = {}
    for average in ("0", ".999"):
        out = tmp_path / average
        # Few test images: D's answers to the two generators must differ visibly.
        flags = (*flags_of(name, labelled), "--lr", ".05", "--epochs", "5", "--average", average)
        assert run_here(*flags, "--out", out, name=name) == 0
        ends[average] = arrays_of(out), (out / "samples.png").read_bytes(), rows_of(out)
    without, averaged = ends.values()
    assert set(averaged[0]) - set(without[0]) == {"average"}
    for key, array in without[0].items():
        assert array.tobytes() == averaged[0][key].tobytes(), key
    assert without[1] != averaged[1]
    for key in OF_AN_EPOCH - {"seconds"}:  # accuracy among them: D meets what G makes
        assert [row[key] for row in without[2]] == [row[key] for row in averaged[2]]


@BOTH_EXAMPLES
def test_a_short_run_samples_the_generator_that_it_trained(name, labelled, tmp_path):
    """Not the average, which is the untrained one until the tenth step, and shows it again."""
    pictures = {}
    for average in ("0", ".999"):
        out = tmp_path / average
        flags = (*flags_of(name, labelled), "--lr", ".05", "--epochs", "1", "--average", average)
        assert run_here(*flags, "--out", out, name=name) == 0
        trained = tg.load(out)
        last = arrays_of(out)["parameters"]
        assert trained.parameters.flat.tobytes() == last.tobytes()
        pictures[average] = (out / "samples.png").read_bytes(), summary_of(out)["test"]
    assert pictures["0"] == pictures[".999"]
    long = (*flags, "--epochs", "2", "--out", tmp_path / "long")
    assert run_here(*long, name=name) == 0
    loaded, arrays = tg.load(tmp_path / "long").parameters, arrays_of(tmp_path / "long")
    assert loaded.part("generator.").flat.tobytes() == arrays["average"].tobytes()


# From the flags to the model: what is asked for is what is built.


@pytest.mark.parametrize(("name", "pixels", "output"), [(MNIST, 4, "sigmoid"), (RING, 2, "none")])
def test_every_flag_of_the_model_reaches_it(name, pixels, output):
    model = built(
        name, "--latent", "7", "--generator-hidden", "9,8", "--discriminator-hidden", "6,5",
        "--generator-activation", "tanh", "--discriminator-activation", "maxout",
        "--generator-norm", "layer", "--discriminator-norm", "none", "--weights", "lecun_normal",
        "--biases", "normal", "--dropout", ".4", "--loss", "wasserstein-gp", "--penalty", "3",
        "--pack", "4",
    )  # fmt: skip
    assert model == GAN(
        pixels=pixels, output=output, latent=7, generator_hidden=(9, 8),
        discriminator_hidden=(6, 5), generator_activation="tanh",
        discriminator_activation="maxout", generator_norm="layer", discriminator_norm="none",
        weights="lecun_normal", biases="normal", dropout=0.4, loss="wasserstein-gp", penalty=3.0,
        pack=4,
    )  # fmt: skip
    assert built(name, "--loss", "least-squares", "--smoothing", ".1").smoothing == 0.1


@BOTH_EXAMPLES
def test_a_run_records_the_weight_of_the_penalty_that_it_had(name, labelled, tmp_path, capsys):
    usual = {"r1": example(name).GAMMA, "wasserstein-gp": 10, "minimax": None}
    for loss, weight in usual.items():
        flags = (*flags_of(name, labelled), "--loss", loss, "--out", tmp_path / loss)
        assert run_here(*flags, name=name) == 0
        assert summary_of(tmp_path / loss)["config"]["penalty"] == weight
        if weight:  # it may be said, too
            assert run_here(*flags, "--resume", "--penalty", weight, name=name) == 0
    with pytest.raises(SystemExit):
        run_here("--help", name=name)
    stdout = " ".join(capsys.readouterr().out.split())
    gamma = example(name).GAMMA
    assert f"gradient penalty (default: 10 for wasserstein-gp, {gamma:g} for r1)" in stdout


@BOTH_EXAMPLES
def test_every_flag_of_the_model_has_a_default_in_one_place(name):
    """What both examples have in common stands with the flag, what they differ in with them."""
    bare = command_line.bare_parser("")
    gan_command_line.add_flags(bare, 1.0)
    of_flags = {key: x for key, x in vars(bare.parse_args([])).items() if x is not None}
    defaults = example(name).DEFAULTS
    other = example(RING if name == MNIST else MNIST).DEFAULTS
    for key in of_flags.keys() & defaults.keys():
        assert of_flags[key] == vars(parsed(RING if name == MNIST else MNIST))[key]
        assert of_flags[key] != defaults[key] and key not in other
    for key in ("latent", "generator_hidden", "discriminator_hidden"):
        assert key not in of_flags and key in defaults


@BOTH_EXAMPLES
def test_the_penaltys_weight(name):
    assert built(name, "--loss", "r1").weight == example(name).GAMMA
    assert built(name, "--loss", "r1", "--penalty", "0").weight == 0
    assert built(name, "--loss", "r1", "--penalty", "7").weight == 7
    assert built(name, "--loss", "wasserstein-gp").weight == 10
    assert built(name, "--loss", "non-saturating").weight == 0


@pytest.mark.parametrize("preset", [None, *example(MNIST).PRESETS])
def test_by_hand_covers_every_preset(preset):
    flags = ("--preset", preset) if preset else ()
    args, model = parsed(MNIST, *flags), built(MNIST, *flags)
    p = model.initialise(0)
    before, gradients = p.flat.copy(), model.gradients("by-hand")
    learner = AdversarialLearner(model, p, optim.Adam, gradients, critic_steps=args.critic_steps)
    x = np.random.default_rng(0).random((4 * args.pack, 4), np.float32)
    for step in range(args.critic_steps):
        learner.step(model.draw(x, NUMPY.generator((0, step)), step), 1e-3)
    assert np.isfinite(p.flat).all() and (p.flat != before).mean() > 0.5


# gan_ring.


@pytest.mark.parametrize(("mixture", "every"), [("ring", 8), ("grid", 25)])
@pytest.mark.usefixtures("pictures")
def test_smoke_of_mixtures(tmp_path, capsys, mixture, every):
    flags, there = ("--smoke", "--mixture", mixture, "--out", tmp_path), mixture == "ring"
    done = run_there(*flags, name=RING) if there else run_captured(capsys, *flags, name=RING)
    assert done.returncode == 0, done.stderr
    assert set(os.listdir(tmp_path)) == FILES[RING]
    summary, rows = summary_of(tmp_path), rows_of(tmp_path)
    assert list(summary)[:7] == ENTRIES and set(summary) == {*ENTRIES, "perfect"}
    assert summary["task"] == RING and summary["data"]["name"] == mixture
    assert summary["data"]["train"] == 2000 and summary["data"]["test"] == 2500
    assert summary["perfect"]["good_samples"] == pytest.approx(0.98889, abs=1e-5)
    test = summary["test"]
    assert set(test) == {"modes", "good_samples"}
    assert 0 <= test["modes"] <= every and 0 <= test["good_samples"] < 1
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert all(set(row) == OF_AN_EPOCH | {"modes", "good_samples"} for row in rows)
    # The final figures are of the samples of which those of the last epoch are.
    assert {key: rows[-1][key] for key in test} == test
    for row in rows:
        shown = f"modes {row['modes']}  good {row['good_samples']:.2%} of 98.89%"
        assert shown in done.stdout
    result = f"{test['modes']} of {every} modes, {test['good_samples']:.2%} good samples"
    assert f"{result}; a perfect generator: {every} of {every}, 98.89%" in done.stdout
    assert f"the data themselves: {every} of {every} modes" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80 or str(tmp_path) in done.stdout
    assert "warning" not in done.stderr and "epoch" not in done.stderr  # it is too short to judge
    for name in FILES[RING]:
        if name.endswith(".png"):
            with Image.open(tmp_path / name) as picture:
                picture.load()
                assert greys(picture) > 5, name
    with Image.open(tmp_path / "training.gif") as film:
        assert film.n_frames == 3
        assert film.size == (400, 420)  # the plane, and 20 pixels above it for the epoch
        frames = [np.asarray(frame.convert("RGB"), int) for frame in ImageSequence.Iterator(film)]
    assert abs(frames[0] - frames[2])[20:].max() > 50
    for frame in frames:  # the data's dark orange and the samples' dark blue, but for rounding
        for colour in (DATA_COLOUR, SAMPLE_COLOUR):
            rgb = [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
            assert (abs(frame - rgb).max(axis=2) <= 8).any(), colour


def test_the_field_is_what_d_says_of_each_point_of_the_plane_and_packs_have_none():
    def monitor(pack):
        args = parsed(RING, "--pack", pack, "--discriminator-hidden", "")
        model = gan_command_line.build(args, pixels=2, output="none", gamma=1.0)
        p = model.initialise(0)
        p["discriminator.W1"][...] = 0
        p["discriminator.W1"][0] = 3  # the logit is 3 x
        data = mixture_points("ring", 100, 2500)
        run = SimpleNamespace(args=args, backend=NUMPY, dataset=data)
        learner = AdversarialLearner(model, p, optim.Adam, model.gradients("autograd"))
        return example(RING).Monitor(run, learner)

    assert monitor(pack=2).field() is None
    shown = monitor(pack=1)
    at = 1.25 * np.linspace(-1, 1, 2 * plots.FIELD_SIDE + 1)[1::2]  # the middles of the cells
    # It grows from left to right and is the same from top to bottom.
    field = shown.field()
    assert field.shape == (plots.FIELD_SIDE,) * 2 and (field == field[0]).all()
    back = 0.5 + 0.5 * np.sign(field[0] - 0.5) * (2 * field[0] - 1) ** 2
    np.testing.assert_allclose(back, 1 / (1 + np.exp(-3 * at)), atol=1e-6)


@pytest.mark.parametrize("dropout", ["0", ".2"])
def test_a_ring_with_batch_norm_in_the_discriminator(ring, dropout):
    flags, out = ring
    options = ("--discriminator-norm", "batch", "--dropout", dropout, "--loss", "non-saturating")
    assert ring_here(*flags, *options, "--out", out) == 0
    assert set(os.listdir(out)) == FILES[RING]


@EVERY_LOSS
def test_each_loss_on_the_ring_is_shown(ring, loss):
    flags, out = ring
    assert ring_here(*flags, "--loss", loss, "--out", out) == 0
    assert set(os.listdir(out)) == FILES[RING]
    assert all(np.isfinite(list(row.values())).all() for row in rows_of(out))


def colours_of(path):
    with Image.open(path) as film:
        film.seek(film.n_frames - 1)
        return len(film.convert("RGB").getcolors(film.width * film.height))


@BOTH_KINDS
def test_a_ring_of_packs(ring, gradients):
    """No field can be drawn of it, so the film has the colours of the points alone."""
    flags, out = ring
    assert ring_here(*flags, "--pack", "2", "--gradients", gradients, "--out", out) == 0
    assert set(os.listdir(out)) == FILES[RING]
    assert colours_of(out / "training.gif") == 4  # black, white, data, samples
    other = out.with_name("other")
    assert ring_here(*flags, "--lr", ".02", "--gradients", gradients, "--out", other) == 0
    assert colours_of(other / "training.gif") > 4


# A run that is stopped.


def run_until(step, *arguments, name):
    """Run an example up to a Ctrl-C in the step of that number; returns its exit code."""
    draw = GAN.draw

    def interrupted(self, x, generator, at=0, labels=None):
        if at == step:
            signal.raise_signal(signal.SIGINT)
        return draw(self, x, generator, at, labels)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GAN, "draw", interrupted)
        return run_here(*arguments, name=name)


STOPPED = [
    (MNIST, ()),
    (MNIST, ("--loss", "wasserstein-gp", "--critic-steps", "2", "--pack", "2", "--conditional",
             "--dropout", ".2", "--generator-lr", ".01")),
    (RING, ("--loss", "wasserstein-gp", "--critic-steps", "2", "--generator-norm", "batch")),
    (RING, ("--average", "0", "--loss", "least-squares", "--optimizer", "rmsprop")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options"), STOPPED)
@BOTH_KINDS
def test_a_run_that_is_stopped_goes_on_to_the_same_end(
    name, options, labelled, tmp_path, capsys, gradients
):
    # Four epochs of 7 steps: with two of the critic there are 14 of the generator, and its average
    # moves in the tenth. The run is stopped in an odd one, and again later.
    flags = (*flags_of(name, labelled), "--epochs", "4", "--gradients", gradients, *options)
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    assert run_here(*flags, "--out", straight, name=name) == 0

    for step, more in ((10, ()), (22, ("--resume",))):
        capsys.readouterr()
        assert run_until(step, *flags, "--out", stopped, *more, name=name) == 130
        stderr = capsys.readouterr().err
        assert f"stopped after step {step + 1} of 28" in stderr and "--resume" in stderr
        assert checkpoint.read_meta(stopped / "checkpoint.npz")["step"] == step + 1
        assert not (stopped / "summary.json").exists()
    assert run_here(*flags, "--out", stopped, "--resume", name=name) == 0

    one, other = arrays_of(straight), arrays_of(stopped)
    # Both players' parameters, both optimizers, the average.
    assert "parameters" in one and ("average" in one) == ("--average" not in options)
    assert {key.split(".")[0] for key in one} >= {"generator", "discriminator"}
    assert set(one) == set(other)
    for key, array in one.items():
        assert array.tobytes() == other[key].tobytes(), key
        assert array.any(), key
    assert without_time(rows_of(straight)) == without_time(rows_of(stopped))
    assert summary_of(straight)["test"] == summary_of(stopped)["test"]
    films = [(folder / "training.gif").read_bytes() for folder in (straight, stopped)]
    assert films[0] == films[1]
    pictures = [(folder / "samples.png").read_bytes() for folder in (straight, stopped)]
    assert pictures[0] == pictures[1]


@pytest.mark.parametrize(("trained", "more"), [(Classifier, ()), (VAE, ("--resume",))])
def test_ctrl_c_while_a_reference_model_is_trained(tiny, monkeypatch, capsys, trained, more):
    """The classifier is trained before the GAN, the VAE after it, so that the run has begun."""
    flags, out = tiny
    draw = trained.draw

    def interrupted(self, x, generator, step=0, *labels):
        if step == 3:
            signal.raise_signal(signal.SIGINT)
        return draw(self, x, generator, step, *labels)

    with monkeypatch.context() as own_cache:
        own_cache.setenv("TINYGEN_CACHE_DIR", str(out.with_name("cache")))
        with monkeypatch.context() as patch:
            patch.setattr(trained, "draw", interrupted)
            assert gan_here(*flags, "--out", out) == 130
        stderr = capsys.readouterr().err
        assert stderr.startswith("stopped while the ") and stderr.count("\n") == 1
        assert "with --resume if the run itself had begun" in stderr
        assert gan_here(*flags, *more, "--out", out) == 0, capsys.readouterr().err
    assert summary_of(out)["judge"]["error"] == 0
    # With the cache of the other tests there is the same classifier.
    assert gan_here(*flags, "--out", out.with_name("other")) == 0
    one, other = summary_of(out), summary_of(out.with_name("other"))
    assert one["judge"] == other["judge"] and one["baselines"] == other["baselines"]
    assert one["test"] == other["test"]


def test_ctrl_c_in_the_last_figures(tiny, monkeypatch, capsys):
    flags, out = tiny
    module = example(MNIST)

    def interrupted(*_):
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(module, "parzen_beside_training", interrupted)
        assert gan_here(*flags, "--out", out) == 130
    assert "stopped" in capsys.readouterr().err
    assert not (out / "summary.json").exists()
    assert gan_here(*flags, "--resume", "--out", out) == 0
    assert set(summary_of(out)["test"]) == {*SCORES, "parzen"}


# What is refused.


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (("--critic-steps", "0"), "argument --critic-steps: expected at least 1, got 0"),
        (("--pack", "0"), "argument --pack: expected at least 1, got 0"),
        (("--pack", "3", "--batch-size", "32"), "--pack 3 does not divide the batch of 32"),
        (("--loss", "hinge"), "argument --loss: invalid choice: 'hinge'"),
        (
            ("--batch-size", "1", "--generator-norm", "batch"),
            "a batch of one has no variance for the generator's batch norm",
        ),
        (
            ("--batch-size", "4", "--pack", "4", "--discriminator-norm", "batch",
             "--loss", "minimax"),
            "a batch of one has no variance for the discriminator's batch norm",
        ),
        (("--penalty", "1", "--loss", "minimax"), "the loss minimax has no gradient penalty"),
        (("--penalty", "-1"), "argument --penalty: expected a number at least 0"),
        (("--smoothing", ".1", "--loss", "wasserstein-gp"), "the loss wasserstein-gp has not"),
        (("--smoothing", "1"), "argument --smoothing: expected a number at least 0 and at most"),
        (("--discriminator-norm", "batch", "--loss", "r1"), "the loss r1 penalises"),
        (("--discriminator-norm", "batch", "--loss", "wasserstein-gp"), "use layer norm"),
        (("--critic-steps", "8"), "an epoch has only 7 steps"),
        (("--average", "1"), "argument --average: expected a number"),
        (("--average", "-.1"), "argument --average: expected"),
        (("--dropout", "1"), "argument --dropout: expected a number at least 0 and at most"),
        (("--latent", "0"), "argument --latent: expected at least 1, got 0"),
        (("--generator-lr", "0"), "argument --generator-lr: expected a number above 0"),
        (("--generator-hidden", "8,x"), "argument --generator-hidden: "),
        (("--generator-norm", "group"), "argument --generator-norm: invalid choice: 'group'"),
        (("--batch-size", "251"), "--batch-size 251: "),
        (
            ("--generator-norm", "batch", "--generator-activation", "maxout"),
            "maxout has no place for a batch norm",
        ),
        (("--gradients", "by-hand", "--generator-norm", "layer"), "take gradients 'autograd'"),
        (("--gradients", "by-hand", "--discriminator-norm", "layer"), "take gradients 'autograd'"),
        (("--gradients", "by-hand", "--discriminator-norm", "batch", "--loss", "minimax"),
         "take gradients 'autograd'"),
    ],
)  # fmt: skip
@BOTH_EXAMPLES
def test_what_makes_no_sense_is_refused_in_one_sentence(
    name, wrong, sentence, labelled, tmp_path, capsys
):
    assert run_here(*flags_of(name, labelled), *wrong, "--out", tmp_path / "run", name=name) == 2
    captured = capsys.readouterr()
    assert sentence in captured.err and refused(captured.err), captured.err
    assert captured.out == "" and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "wrong"),
    [(RING, ("--mixture", "spiral")), (RING, ("--points", "99")), (RING, ("--data", "mnist")),
     (RING, ("--conditional",)), (MNIST, ("--mixture", "ring")), (MNIST, ("--hidden", "5"))],
)  # fmt: skip
def test_flags_that_one_example_has_not(name, wrong, labelled, tmp_path, capsys):
    assert run_here(*flags_of(name, labelled), *wrong, "--out", tmp_path, name=name) == 2
    stderr = capsys.readouterr().err
    assert refused(stderr) and wrong[0] in stderr


@pytest.mark.parametrize("options", [("--conditional",), ()])
@pytest.mark.parametrize("without", ["train_labels", "test_labels"])
def test_data_without_labels(tiny, monkeypatch, capsys, options, without):
    flags, out = tiny
    load = setup.load
    monkeypatch.setattr(setup, "load", lambda *a, **k: replace(load(*a, **k), **{without: None}))
    assert gan_here(*flags, *options, "--out", out) == 2
    stderr = capsys.readouterr().err
    assert refused(stderr) and "labels" in stderr and "idx" in stderr
    if options and without == "train_labels":
        assert "--conditional needs labels" in stderr


def relabelled(folder, change, **sizes):
    """Labelled images, the labels of which are `change[digit]`."""
    write_labelled_data(folder, **sizes)
    for file in DATA_FILES:
        if "labels" in file:
            idx.write(folder / file, np.array(change, np.uint8)[idx.read(folder / file)])
    return folder


GAPS = {
    "as letters have it": (range(1, 11), 10, "labels go up to 10, but no training image is labell"),
    "three of 201": ([0, 5, 200, 0, 5, 200, 0, 5, 200, 0], 3, "up to 200, but no training image"),
    "seven alone": ([7] * 10, 1, "labels go up to 7, but no training image is labelled 0"),
}


@pytest.mark.parametrize("gaps", GAPS)
def test_the_digits_to_be_covered_are_those_that_there_are(gaps, tmp_path, capsys, monkeypatch):
    change, there, words = GAPS[gaps]
    data, totals = relabelled(tmp_path / "data", [*change]), []
    train = gan_monitor.train
    monkeypatch.setattr(example(MNIST), "train", lambda m: totals.append(m.total) or train(m))
    flags = (*flags_of(MNIST, data), "--epochs", "3", "--out", tmp_path / "run")
    assert gan_here(*flags, "--conditional") == 2
    stderr = capsys.readouterr().err
    assert refused(stderr) and stderr.startswith("error: --conditional: ") and words in stderr
    assert gan_here(*flags) == 0
    summary = summary_of(tmp_path / "run")
    assert totals == [there] == [summary["baselines"]["real test images"]["digits_covered"]]
    covered = summary["test"]["digits_covered"]
    stderr = capsys.readouterr().err
    short = f"warning: the samples cover only {covered} of {there} digits"
    assert (short in stderr) == ("the samples cover" in stderr) == (covered < there)
    assert set(re.findall(r"of (\d+) were covered", stderr)) <= {str(there)}


def test_a_digit_that_only_test_images_show_cannot_be_asked_for(tmp_path, capsys):
    data = relabelled(tmp_path / "data", [0, 1, 2, 0, 1, 2, 0, 1, 2, 0])
    file = data / next(file for file in DATA_FILES if file.startswith("t10k-labels"))
    labels = idx.read(file)
    labels[0] = 3
    idx.write(file, labels)
    flags = (*flags_of(MNIST, data), "--out", tmp_path / "run")
    assert gan_here(*flags, "--conditional") == 2
    assert capsys.readouterr().err == (
        "error: --conditional: a test image is labelled 3, but no training image is\n"
    )


@pytest.mark.parametrize("name", [MNIST, JUDGE])
def test_three_training_images_are_too_few_to_judge_by(name, tmp_path, capsys):
    data = write_labelled_data(tmp_path / "data", train=3, test=8)
    more = ("--batch-size", "2", "--out", tmp_path / "run", "--quiet") if name == MNIST else ()
    assert run_here("--data", "idx", "--data-dir", data, *more, name=name) == 2
    captured = capsys.readouterr()
    assert (
        refused(captured.err)
        and "has 3 training images; to judge" in captured.err
        and not captured.out
    )
    assert not list(tmp_path.glob("run/*"))


def test_the_judge_of_a_smoke_run_is_that_of_the_data_that_are_asked_for(
    labelled, tmp_path, capsys
):
    flags = ("--smoke", "--data", "idx", "--data-dir", labelled)
    assert gan_here(*flags, "--epochs", "1", "--quiet", "--out", tmp_path) == 0
    capsys.readouterr()
    assert run_here(*flags, name=JUDGE) == 0
    judge = summary_of(tmp_path)["judge"]
    stdout = capsys.readouterr().out
    assert f"test error {judge['error']:.2%}, sha256 {judge['sha256']}\n" in stdout


def edit(folder, change):
    """Change the description of a checkpoint in place, as one can by hand."""
    path = folder / "checkpoint.npz"
    meta = checkpoint.read_meta(path)
    change(meta)
    checkpoint.save(path, arrays_of(folder), meta)


@BOTH_EXAMPLES
def test_a_history_without_the_figures_that_diagnoses_need(name, labelled, tmp_path, capsys):
    flags = (*flags_of(name, labelled), "--out", tmp_path)
    assert run_until(10, *flags, name=name) == 130
    for key in ("real_accuracy", "fake_accuracy", "modes" if name == RING else "digits_covered"):
        kept = (tmp_path / "checkpoint.npz").read_bytes()
        edit(tmp_path, lambda meta: meta["history"][0].pop(key))  # noqa: B023  called at once
        capsys.readouterr()
        assert run_here(*flags, "--resume", name=name) == 2
        stderr = capsys.readouterr().err
        assert refused(stderr) and "(its history lacks figures)" in stderr
        (tmp_path / "checkpoint.npz").write_bytes(kept)
    assert run_here(*flags, "--resume", name=name) == 0


@pytest.mark.parametrize(("critic_steps", "at", "of"), [
    (1, 6, "generator"), (1, 6, "discriminator"), (5, 5, "generator"), (5, 13, "generator"),
    (1, 8, "discriminator"), (5, 3, "nobody"), (5, 8, "nobody"),
])  # fmt: skip
def test_an_epoch_without_the_figures_of_a_player_that_moved(ring, capsys, critic_steps, at, of):
    """An epoch has 7 steps. Of five of the critic the fifth and the tenth move the generator."""
    flags, out = ring
    flags = (*flags, "--critic-steps", critic_steps, "--out", out)
    assert run_until(at, *flags, name=RING) == 130
    totals = checkpoint.read_meta(out / "checkpoint.npz")["totals"]
    assert len(totals) == (2 if of == "nobody" else 4)
    edit(out, lambda meta: meta["totals"].pop(f"{of}_norm", None))
    capsys.readouterr()
    assert ring_here(*flags, "--resume") == (0 if of == "nobody" else 2)
    stderr = capsys.readouterr().err
    if of != "nobody":
        assert refused(stderr) and f"after step {at + 1} it lacks figures of its epoch" in stderr


@BOTH_EXAMPLES
def test_a_run_is_not_resumed_as_another(name, labelled, tmp_path, capsys):
    flags = (*flags_of(name, labelled), "--out", tmp_path)
    assert run_here(*flags, name=name) == 0
    before = arrays_of(tmp_path)
    capsys.readouterr()
    for other, sentence in [
        (("--pack", "2"), "--pack was 1, is 2"),
        (("--loss", "minimax"), "--loss was r1, is minimax"),
        (("--average", ".99"), "--average was 0.999, is 0.99"),
        (("--critic-steps", "2"), "--critic-steps was 1, is 2"),
        (("--generator-lr", ".1"), "--generator-lr was None, is 0.1"),
        (("--penalty", "3"), f"--penalty was {example(name).GAMMA}, is 3.0"),
        (("--epochs", "3"), "--epochs was 2, is 3"),
    ]:
        assert run_here(*flags, *other, "--resume", name=name) == 2
        stderr = capsys.readouterr().err
        assert refused(stderr) and sentence in stderr
    more = ("--conditional",) if name == MNIST else ("--mixture", "grid")
    assert run_here(*flags, *more, "--resume", name=name) == 2
    stderr = capsys.readouterr().err
    assert refused(stderr) and "cannot be resumed with other" in stderr
    for key, array in arrays_of(tmp_path).items():
        assert array.tobytes() == before[key].tobytes()


@pytest.mark.parametrize(
    ("name", "options", "player"),
    [
        (MNIST, ("--loss", "r1", "--penalty", "1e6", "--lr", "10"), "discriminator"),
        (RING, ("--loss", "least-squares", "--lr", "10"), "(generator|discriminator)"),
        # D's gradient is as large as the images that it is shown.
        (
            RING,
            ("--loss", "wasserstein-gp", "--lr", "1e-9", "--generator-lr", "10"),
            "discriminator",
        ),
        (RING, ("--loss", "wasserstein-gp", "--penalty", "0", "--lr", ".2", *WIDER), "generator"),
        (
            RING,
            ("--loss", "wasserstein-gp", "--penalty", "0", "--lr", ".5", *WIDER),
            "discriminator",
        ),
    ],
)
@BOTH_KINDS
def test_nan_stops_a_run_and_names_the_player(
    name, options, player, labelled, tmp_path, capsys, gradients
):
    flags = (*flags_of(name, labelled), "--optimizer", "sgd", "--gradients", gradients, "--epochs",
             "9", "--out", tmp_path)  # fmt: skip
    assert run_here(*flags, *options, name=name) == 1
    stderr = capsys.readouterr().err.splitlines()[-1]
    assert re.search("^error: the (discriminator|generator) (loss|norm) became (nan|inf): ", stderr)
    where = f"({player}'s (step|images)|norm of the {player}'s gradient)"
    assert re.search(rf"at step \d+, in the {where}, (the gradient of )?\w+ made", stderr)
    assert "is the last good one" in stderr
    assert not (tmp_path / "summary.json").exists()
    assert all(np.isfinite(array).all() for array in arrays_of(tmp_path).values())


@BOTH_KINDS
def test_images_that_overflow_stop_a_run_though_all_weights_are_finite(ring, capsys, gradients):
    flags, out = ring
    more = ("--loss", "wasserstein-gp", "--penalty", "0", "--lr", "1", "--optimizer", "sgd",
            "--epochs", "9", *WIDER, "--gradients", gradients, "--out", out)  # fmt: skip
    assert ring_here(*flags, *more) == 1
    stderr = capsys.readouterr().err
    assert refused(stderr), stderr
    assert "the generator's images became NaN or infinite, though its weights are finite" in stderr
    assert f"{out / 'checkpoint.npz'} is the last good one" in stderr
    assert all(np.isfinite(array).all() for array in arrays_of(out).values())
    assert not (out / "summary.json").exists()


@BOTH_EXAMPLES
def test_what_is_refused_leaves_a_finished_run_alone(name, labelled, tmp_path, capsys):
    flags = (*flags_of(name, labelled), "--out", tmp_path)
    assert run_here(*flags, name=name) == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert "training.gif" in before
    capsys.readouterr()
    for wrong in (
        ("--gradients", "by-hand", "--generator-norm", "layer"),
        ("--batch-size", "10", "--pack", "4"),
        ("--discriminator-norm", "batch", "--loss", "r1"),
        ("--critic-steps", "8"),
        ("--batch-size", "251"),
    ):
        for more in ((), ("--restart",), ("--resume",)):
            assert run_here(*flags, *wrong, *more, name=name) == 2, wrong
            assert refused(capsys.readouterr().err)
            assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before, wrong


def test_images_of_few_dimensions_have_baselines(tmp_path):
    """Images of rank 5, whose smallest variances PCA finds a rounding error below 0."""
    flags = flags_of(MNIST, write_tiny_data(tmp_path / "data"))
    assert gan_here(*flags, "--out", tmp_path / "run") == 0
    rows = summary_of(tmp_path / "run")["baselines"]
    assert np.isfinite(rows["Gaussian, 25 PCA codes"]["inception_score"])


def test_a_pack_larger_than_the_test_images_is_refused(tiny, capsys):
    """Of 40 test images none fills a pack of 50, so D's accuracy on them cannot be had.

    With batch norm it takes two packs, as one has no variance.
    """
    flags, out = tiny
    norm = ("--discriminator-norm", "batch", "--loss", "minimax")
    for pack, options, fewest in ((50, (), 50), (25, norm, 50)):
        more = ("--pack", pack, "--batch-size", 2 * pack, *options)
        assert gan_here(*flags, *more, "--out", out) == 2
        stderr = capsys.readouterr().err
        assert refused(stderr)
        assert f"--pack {pack}: there are 40 test images, {fewest} are needed" in stderr
    assert gan_here(*flags, "--pack", "20", "--batch-size", "40", *norm, "--out", out) == 0


# What is said, and where.


@BOTH_EXAMPLES
def test_a_quiet_run_says_nothing_but_warnings(name, labelled, tmp_path, capsys):
    """With such rates the discriminator is soon sure of all points, or the generator collapses."""
    rate = (
        ("--lr", "5", "--loss", "minimax", "--optimizer", "sgd") if name == RING else ("--lr", "1")
    )
    flags = (*flags_of(name, labelled), *rate, "--epochs", "6", "--out", tmp_path)
    assert run_here(*flags, name=name) == 0
    quiet = capsys.readouterr()
    assert quiet.out == ""
    lines = quiet.err.splitlines()
    what = "the samples miss" if name == RING else "the samples cover only"
    assert lines and what in lines[-1] and "; try more --epochs, " in lines[-1]
    assert all(re.match(r"epoch \d: |warning: ", line) for line in lines)
    assert any(line.startswith("epoch") and "try --" in line for line in lines)


@pytest.mark.parametrize("name", [MNIST, RING, SEEDS])
def test_help_fits_a_terminal(name, capsys):
    with pytest.raises(SystemExit) as stop:
        run_here("--help", name=name)
    assert stop.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80 and len(lines) > 15
    about = example(name).__doc__.splitlines()[0]
    assert about in " ".join(" ".join(lines).split())


# The stroke digits.


@pytest.mark.parametrize("smoke", [True, False])
def test_stroke_digits_are_one_data_set_whatever_the_seed(tmp_path, monkeypatch, smoke):
    """So that the runs of several seeds learn from the same images and have one judge."""
    monkeypatch.setattr(setup, "load", lambda *_, seed=0, **__: stroke_digits(seed, **FEW))
    monkeypatch.setattr(setup, "stroke_digits", lambda seed=0, **_: stroke_digits(seed, **FEW))
    flags = [flag for flag in flags_of(MNIST, tmp_path) if flag not in ("--data-dir", tmp_path)]
    flags += ["--data", "strokes", *(["--smoke"] if smoke else [])]
    runs = {}
    for seed in ("0", "5"):
        assert gan_here(*flags, "--seed", seed, "--out", tmp_path / seed) == 0
        runs[seed] = summary_of(tmp_path / seed)
    one, other = runs.values()
    assert one["data"] == other["data"] and one["data"]["sha256"] == stroke_digits(0, **FEW).sha256
    assert one["judge"] == other["judge"] and one["baselines"] == other["baselines"]
    assert one["test"] != other["test"]


@pytest.mark.parametrize("train", [140, 139])
def test_the_parzen_window_needs_training_images_to_choose_its_width_by(train, tmp_path, capsys):
    """100 of them, besides as many as there are test images, here 40."""
    data = write_labelled_data(tmp_path / "data", train=train)
    flags = [flag for flag in flags_of(MNIST, data) if flag != "--quiet"]
    assert gan_here(*flags, "--batch-size", "20", "--out", tmp_path / "run") == 0
    stdout, test = capsys.readouterr().out, summary_of(tmp_path / "run")["test"]
    if train == 139:
        assert "no Parzen window: 99 training images are left to choose its width by" in stdout
        assert "parzen" not in test
    else:
        assert f"\n  this GAN {test['parzen']:.0f} +- " in stdout
