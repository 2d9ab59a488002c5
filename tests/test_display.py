"""What objects show of themselves: a line, and in a notebook a small table."""

from __future__ import annotations

import io
import re
from binascii import a2b_base64
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from strict import STRICT

import tinygen as tg
from tinygen.display import html_images, html_table, times

DIGITS = tg.data.stroke_digits(train=20, test=10)
NET = tg.Sequential(
    tg.nn.Reshape(4, 4, 2), tg.nn.Conv(2, 3, 3, 2, "same", biases=None), tg.nn.BatchNorm(3),
    tg.relu, tg.nn.Dropout(0.2), tg.nn.ConvTranspose(3, 1, 3, 2, 1, 1), tg.nn.Reshape(16),
    tg.Dense(16, 5), tg.nn.LayerNorm(5), tg.nn.Maxout(5, 2, 3), lambda x: x,
)  # fmt: skip
MODEL = tg.VAE(9, (5,), 3)
PARAMETERS = MODEL.initialise(0)


def trained(tmp_path: Path) -> Any:
    tg.save(tmp_path / "vae.npz", MODEL, PARAMETERS)
    return tg.load(tmp_path / "vae.npz")


def test_a_line_each(tmp_path: Path) -> None:
    assert repr(DIGITS) == (
        "Dataset(strokes; 20 to train on, 10 to test on; 28 x 28 of uint8; 7 classes; "
        "built-in stroke digits, seed 0)"
    )
    assert repr(NET) == (
        "Sequential(Reshape(4, 4, 2), Conv(2, 3, kernel=3, stride=2, padding='same', biases=None), "
        "BatchNorm(3), relu, Dropout(0.2), ConvTranspose(3, 1, kernel=3, stride=2, padding=1, "
        "output_padding=(1, 1)), Reshape(16), Dense(16, 5), LayerNorm(5), Maxout(5, 2, pieces=3), "
        "<lambda>)"
    )
    adam = tg.Adam(PARAMETERS, beta2=0.95)
    assert repr(adam) == "Adam(beta1=0.9, beta2=0.95, epsilon=1e-08, steps=0)"
    assert repr(tg.SGD(PARAMETERS)) == "SGD(momentum=0.0, nesterov=False, steps=0)"
    assert repr(trained(tmp_path)) == (
        "TrainedModel(VAE(pixels=9, hidden=(5,), latent=3); 160 parameters, float32 on numpy; "
        f"trained on unknown data; {tmp_path / 'vae.npz'}; "
        "encode, posterior, decode, reconstruct, sample, loss)"
    )


def test_the_line_of_a_network_builds_it_again() -> None:
    net = tg.mlp([6, 5, 4], norm="layer", dropout=0.5)
    again = eval(repr(net), {**vars(tg.nn), "relu": tg.relu})
    assert repr(again) == repr(net) and again.shapes == net.shapes


def test_a_table_each(tmp_path: Path) -> None:
    adam = tg.Adam(MODEL.initialise(0, backend=STRICT))
    for thing, words in (
        (DIGITS, ["strokes", "28 x 28 of uint8", "7 classes"]),
        (NET, ["Dense(16, 5)", "W1 (18, 3)", "<lambda>"]),
        (adam, ["beta1", "0.999", "steps"]),
        (MODEL.initialise(0, backend=STRICT), ["160 parameters, float32", "decoder.W2", "(5, 9)"]),
        (trained(tmp_path), ["VAE(pixels=9, hidden=(5,), latent=3)", "sample"]),
    ):
        html = re.sub("<img[^>]*>", "", thing._repr_html_())
        text = " ".join(ElementTree.fromstring(html).itertext())
        assert all(word in text for word in words), text


def test_the_size_of_parameters_is_their_root_mean_square() -> None:
    p = tg.Parameters({"W": (2,), "b": (1,)}, np.array([3.0, 4.0, 0.0]))
    assert "<td>W</td><td>(2,)</td><td>2</td><td>3.54</td>" in p._repr_html_()


def test_text_of_a_table_is_no_markup() -> None:
    html = html_table("<i>", ("&",), [("<script>", 3)])
    table = ElementTree.fromstring(html)
    assert [*table.itertext()] == ["<i>", "&", "<script>", "3"]


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 1), (4, 3, 3)])
def test_images_stand_side_by_side(shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, *shape), dtype=np.uint8)
    code = html_images(images).partition("base64,")[2].rstrip('">')
    strip = np.asarray(Image.open(io.BytesIO(a2b_base64(code))))
    assert strip.shape[:2] == (4, 15)
    np.testing.assert_array_equal(strip[:, 6:9], images[2].squeeze())


def test_points_have_no_picture() -> None:
    assert "<img" in DIGITS._repr_html_()
    assert "<img" not in tg.data.mixture_points("ring", 3, 3)._repr_html_()


def test_every_size_is_written_alike() -> None:
    """By one function, which nobody writes again."""
    package = Path(tg.__file__).parent
    texts = {path: path.read_text(encoding="utf-8") for path in package.rglob("*.py")}
    again = [path.name for path, text in texts.items() if re.search(r"""["'] x ["']\.join""", text)]
    assert again == ["display.py"] and times((3, 28, 1)) == "3 x 28 x 1" and times(()) == ""
