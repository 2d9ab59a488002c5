"""The scripts that a newcomer opens first: they are short, they learn, and they show a picture."""

from __future__ import annotations

import ast
import re
import runpy
from functools import partial
from typing import Any

import numpy as np
import pytest
from PIL import Image
from running import example, path_of

import tinygen as tg
from tinygen import byhand, plots
from tinygen.data import Dataset, as_floats, stroke_digits

SCRIPTS = ("autoencoder", "vae", "gan")
NUMPY = tg.get_backend("numpy")


@pytest.fixture
def strokes(
    request: pytest.FixtureRequest, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> Dataset:
    """Built-in digits in the place of MNIST, five batches of them unless a test says how many.

    And a folder for the pictures.
    """
    dataset = stroke_digits(seed=0, train=128 * getattr(request, "param", 5), test=100)
    monkeypatch.setattr("tinygen.data.load", lambda: dataset)
    monkeypatch.chdir(tmp_path)
    return dataset


def run(name: str) -> None:
    """As ``python examples/start/<name>.py`` does, with nothing changed but the data."""
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(path_of(name)), run_name="__main__")
    assert not end.value.code


@pytest.mark.parametrize("name", SCRIPTS)
def test_it_fits_on_two_screens_and_has_no_flags(name: str) -> None:
    text = path_of(name).read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 80
    imported = {
        alias.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import)
        for alias in node.names
    }  # fmt: skip
    assert imported == {"numpy", "tinygen"}


@pytest.mark.parametrize(
    ("name", "pattern"), [("autoencoder", r"test images (\S+)"), ("vae", r"test (\S+) nats")]
)
@pytest.mark.usefixtures("strokes")
def test_the_test_loss_falls(name: str, pattern: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(name)
    losses = [float(x) for x in re.findall(pattern, capsys.readouterr().out)]
    # In 50 steps from .058 to .019, and from 231 to 137 nats.
    assert len(losses) == 10 and losses[-1] < 0.75 * losses[0]
    assert np.asarray(Image.open(f"runs/start/{name}.png").convert("L")).std() > 10


@pytest.mark.parametrize("strokes", [10], indirect=True)
def test_generated_images_become_dark_where_real_ones_are(
    strokes: Dataset, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown, sheet = [], plots.sheet

    def show(images: Any, *shape: Any, **options: Any) -> None:
        shown.append(images)
        sheet(images, *shape, **options)

    monkeypatch.setattr(plots, "sheet", show)
    run("gan")
    assert len(re.findall(r"D \d+\.\d{3}, G \d+\.\d{3}", capsys.readouterr().out)) == 10
    (images,) = shown
    real = as_floats(strokes.train_images).mean(axis=0)
    # Before the first step each pixel is about 1/2.
    assert abs(images.mean(axis=0) - real).mean() < 0.3 * abs(0.5 - real).mean()
    assert np.asarray(Image.open("runs/start/gan.png").convert("L")).std() > 10


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("strokes", [2], indirect=True)
@pytest.mark.usefixtures("strokes")
def test_the_same_seed_gives_the_same_line(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(example(name), "EPOCHS", 1)
    lines = []
    for _ in range(2):
        example(name).main()
        lines.append(capsys.readouterr().out)
    assert "epoch  1: last batch" in lines[0] and lines[0] == lines[1]


@pytest.mark.parametrize("name", SCRIPTS)
def test_data_that_cannot_be_had_are_one_sentence(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def load() -> None:
        raise tg.InputError("there are no data")

    monkeypatch.setattr("tinygen.data.load", load)
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(path_of(name)), run_name="__main__")
    captured = capsys.readouterr()
    assert (end.value.code, captured.out) == (2, "")
    assert captured.err == "error: there are no data\n"


# The gradients by hand that the comments name.


def assert_same(one: tuple[Any, Any], other: tuple[Any, Any]) -> None:
    (J, g), (K, f) = one, other
    assert pytest.approx(float(K), rel=1e-12) == float(J)
    np.testing.assert_allclose(f.flat, g.flat, rtol=1e-9, atol=1e-12 * abs(g.flat).max())


def test_the_autoencoder_by_hand(strokes: Dataset) -> None:
    script = example("autoencoder")
    p, x = script.initialise().to(NUMPY, np.float64), as_floats(strokes.test_images, np.float64)
    options = {"activation": "elu", "output": "sigmoid", "reconstruction": "mse"}
    by_hand = byhand.autoencoder.loss_and_grads(p, x, **options)
    assert_same(tg.value_and_grad(script.loss)(p, x), by_hand)


def test_the_vae_by_hand(strokes: Dataset) -> None:
    script, rng = example("vae"), np.random.default_rng(0)
    p = script.initialise(rng).to(NUMPY, np.float64)
    x = as_floats(strokes.test_images, np.float64)
    noise = rng.standard_normal((len(x), script.LATENT))
    by_hand = byhand.vae.loss_and_grads(
        p, x, noise[None], activation="gelu", likelihood="bernoulli"
    )
    assert_same(tg.value_and_grad(script.loss)(p, x, noise), by_hand)


def test_the_gan_by_hand(strokes: Dataset) -> None:
    script = example("gan")
    d, g = (net.initialise(0, np.float64) for net in (script.discriminator, script.generator))
    x = as_floats(strokes.test_images, np.float64)
    z = np.random.default_rng(0).standard_normal((len(x), script.LATENT))
    common = {"pack": 1, "discriminator_activation": "gelu", "discriminator_norm": "none"}
    of_d = partial(
        byhand.gan.discriminator_loss_and_grads,
        loss="r1", penalty=script.GAMMA, smoothing=0.0, **common,
    )  # fmt: skip
    fake = script.generate(g, z)
    assert_same(tg.value_and_grad(script.discriminator_loss)(d, x, fake), of_d(d, x, fake))
    of_g = partial(
        byhand.gan.generator_loss_and_grads, loss="r1", output="sigmoid",
        generator_activation="relu", generator_norm="none", **common,
    )  # fmt: skip
    assert_same(tg.value_and_grad(script.generator_loss)(g, d, z), of_g(g, d, z))
