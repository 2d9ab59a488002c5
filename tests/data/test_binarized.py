"""Static binarisation: files as Larochelle published them, and files that pretend to be."""

from __future__ import annotations

import gzip
import hashlib
import os
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from tinygen.data import Dataset, binarized, load, locations, stroke_digits
from tinygen.errors import InputError

REAL = os.environ.get("TINYGEN_DATA_DIR")
PUBLISHED = binarized.LINES
TRAIN, VALID, TEST = PUBLISHED
SIZES = {TRAIN: 7, VALID: 3, TEST: 4}


@pytest.fixture(autouse=True)
def isolated(tmp_path, monkeypatch):
    """Files of a few lines, read two at a time; no data folder, and a cache of the test's own."""
    monkeypatch.setattr(binarized, "LINES", SIZES)
    monkeypatch.setattr(binarized, "BLOCK", 2)
    monkeypatch.setattr(locations, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.delenv("TINYGEN_DATA_DIR", raising=False)


@pytest.fixture
def grey():
    """A little MNIST: a third of the pixels black, a third white, the others in between."""
    generator = np.random.default_rng(0)
    pixels = np.clip(generator.integers(-255, 511, (14, 28, 28)), 0, 255).astype(np.uint8)
    labels = generator.integers(0, 10, 14).astype(np.uint8)
    return Dataset(
        "mnist", pixels[:10], labels[:10], pixels[10:], labels[10:], "MNIST in x", {"a": "1"}
    )


def drawn(grey, seed=1):
    """A Bernoulli draw of each pixel, by file: arrays (lines, 784) of 0 and 1."""
    generator = np.random.default_rng(seed)
    images = np.concatenate([grey.train_images, grey.test_images]).reshape(-1, 784)
    bits = (generator.random(images.shape) < images / 255).astype(int)
    return {TRAIN: bits[:7], VALID: bits[7:10], TEST: bits[10:]}


def text(bits, end="\n"):
    return "".join(" ".join(map(str, line)) + end for line in bits).encode()


def save(folder, content, suffix=""):
    folder.mkdir(parents=True, exist_ok=True)
    for file, data in content.items():
        (folder / (file + suffix)).write_bytes(gzip.compress(data) if suffix else data)
    return folder


@pytest.fixture
def good(grey):
    return {file: text(bits) for file, bits in drawn(grey).items()}


def refusal(*args):
    with pytest.raises(InputError) as caught:
        binarized.static(*args)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("end", ["\n", " \n", "\r\n", " \r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_the_images_are_what_the_files_say(tmp_path, grey, suffix, end, last):
    bits = drawn(grey)
    content = {file: text(b, end) for file, b in bits.items()}
    if not last:
        content = {file: data.removesuffix(end.encode()) for file, data in content.items()}
    result = binarized.static(grey, save(tmp_path / "data", content, suffix))
    expected = np.concatenate([bits[TRAIN], bits[VALID]]).reshape(10, 28, 28) * 255
    np.testing.assert_array_equal(result.train_images, expected)
    np.testing.assert_array_equal(result.test_images, bits[TEST].reshape(4, 28, 28) * 255)
    assert result.train_images.dtype == result.test_images.dtype == np.uint8
    assert result.name == "mnist"
    assert result.source == f"statically binarised MNIST in {tmp_path / 'data'}"
    hashes = {file: hashlib.sha256(data).hexdigest() for file, data in content.items()}
    assert result.sha256 == {"a": "1"} | hashes


def test_labels_are_kept_where_the_images_are_mnists(tmp_path, grey, good):
    result = binarized.static(grey, save(tmp_path / "data", good))
    np.testing.assert_array_equal(result.train_labels, grey.train_labels)
    np.testing.assert_array_equal(result.test_labels, grey.test_labels)


@pytest.mark.parametrize("file", [TRAIN, VALID, TEST])
@pytest.mark.parametrize("value", [0, 255])
def test_one_impossible_pixel_and_there_are_no_labels(tmp_path, grey, file, value):
    bits = drawn(grey)
    shades = {TRAIN: grey.train_images[6], VALID: grey.train_images[9], TEST: grey.test_images[3]}
    pixel = np.flatnonzero(shades[file].ravel() == value)[-1]
    bits[file][-1, pixel] ^= 1
    content = {file: text(b) for file, b in bits.items()}
    result = binarized.static(grey, save(tmp_path / "data", content))
    assert result.train_labels is None and result.test_labels is None
    cut = result.first(2, 3)
    assert cut.train_labels is None and len(cut.train_images) == 2 and len(cut.test_images) == 3


def test_images_of_another_set_have_no_labels(tmp_path, grey, good):
    folder = save(tmp_path / "data", good)
    shifted = replace(grey, train_images=np.roll(grey.train_images, 1, axis=0))
    assert binarized.static(shifted, folder).train_labels is None
    assert binarized.static(grey.first(8, 4), folder).train_labels is None


def test_the_order_of_places(tmp_path, monkeypatch, grey, good):
    def place():
        source = binarized.static(grey, tmp_path / "named").source
        return source.removeprefix("statically binarised MNIST in ")

    (tmp_path / "named").mkdir()
    assert f"in {tmp_path / 'named'} or {tmp_path / 'cache' / 'mnist'}, but there is no" in refusal(
        grey, tmp_path / "named"
    )
    cache = save(tmp_path / "cache" / "mnist", good)
    assert place() == str(cache)
    variable = save(tmp_path / "variable" / "mnist", good)
    monkeypatch.setenv("TINYGEN_DATA_DIR", str(tmp_path / "variable"))
    assert place() == str(variable)
    named = save(tmp_path / "named", good)
    assert place() == str(named)
    below = save(named / "mnist", good)
    assert place() == str(below)


def test_missing_files_are_named(tmp_path, grey, good):
    folder = save(tmp_path / "data", good, ".gz")
    (folder / f"{VALID}.gz").unlink()
    message = refusal(grey, folder)
    assert message == (
        f"static binarisation: expected {TRAIN}, {VALID}, {TEST}, plain or .gz, in {folder}, "
        f"but there is no {VALID}; the other choice is --binarize dynamic"
    )
    (folder / VALID).symlink_to(tmp_path / "nowhere")
    assert refusal(grey, folder).startswith(f"{folder / VALID}: cannot be read")


def test_only_mnist_was_binarised(tmp_path, good):
    strokes = stroke_digits(0, train=5, test=5)
    message = refusal(strokes, save(tmp_path / "data", good))
    assert "MNIST only, not for built-in stroke digits, seed 0; say --binarize dynamic" in message


def changed(data, at, to):
    return data[:at] + to + data[at + len(to) :]


LINE = 1568
BAD = {
    "a number that is no bit": (lambda d: changed(d, 3 * LINE + 2, b"2"), "line 4: expected 784"),
    "a letter": (lambda d: changed(d, LINE + 4, b"q"), "line 2: expected 784 numbers 0 or 1"),
    "no space": (lambda d: changed(d, 4 * LINE + 1, b"0"), "line 5: expected 784 numbers 0 or 1"),
    "a bit of the space": (lambda d: changed(d, 1, b"!"), "line 1: expected 784 numbers 0 or 1"),
    "another end": (lambda d: changed(d, 2 * LINE - 1, b" "), "line 2: expected 784 numbers"),
    "another end at the end": (lambda d: changed(d, 7 * LINE - 1, b"\r"), "line 7: expected 784"),
    "numbers too few": (lambda d: d.replace(b"0 ", b"", 1), "got one of 1566 bytes"),
    "numbers too many": (lambda d: b"0 " + d, "expected lines of 784 numbers"),
    "a web page": (lambda d: b"<html>Sign in", "got one of 13 bytes that begins b'<html>Sign'"),
    "nothing": (lambda d: b"", "got one of 0 bytes"),
}  # fmt: skip
LENGTHS = {
    "a line too few": (lambda d: d[:-LINE], "got 9408", "expected 7 lines, got 6"),
    "half a line too few": (lambda d: d[:-800], "got 10176", "expected 7 lines, got 6"),
    "a line too many": (lambda d: d + d[:LINE], "got 12544", "expected 7 lines, got more"),
    "an empty line too many": (lambda d: d + b"\n", "got 10977", "expected 7 lines, got more"),
}


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("fault", [*BAD, *LENGTHS])
def test_a_bad_file_is_refused(tmp_path, grey, good, suffix, fault):
    if fault in BAD:
        spoil, message = BAD[fault]
    else:
        spoil, plain, zipped = LENGTHS[fault]
        message = zipped if suffix else f"expected 7 lines of 1568 bytes = 10976, {plain}"
    folder = save(tmp_path / "data", good | {TRAIN: spoil(good[TRAIN])}, suffix)
    result = refusal(grey, folder)
    assert result.startswith(f"{folder / TRAIN}{suffix}: ") and message in result


def test_a_damaged_gzip_file(tmp_path, grey, good):
    folder = save(tmp_path / "data", good, ".gz")
    path = folder / f"{TEST}.gz"
    whole = path.read_bytes()
    for damaged in (whole[:-300], whole[:-5], whole[:-8] + bytes(8), b"\x1f\x8b" + bytes(50)):
        path.write_bytes(damaged)
        message = refusal(grey, folder)
        assert message.startswith(f"{path}: expected a whole gzip file, got a damaged one (")


@pytest.mark.parametrize("content", [b"0", b"0 " * 784])
def test_a_huge_file_costs_no_memory(tmp_path, grey, good, content):
    """Zeros without an end of a line, and lines without an end, 32 million bytes of them."""
    line = content * (LINE // len(content))
    huge = gzip.compress((line[:-1] + b"\n" if len(content) > 1 else line) * 20_000, 1)
    folder = save(tmp_path / "data", good)
    (folder / TRAIN).write_bytes(huge)
    tracemalloc.start()
    refusal(grey, folder)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_the_files_have_as_many_lines_as_were_published():
    assert list(PUBLISHED.values()) == [50_000, 10_000, 10_000]  # Larochelle and Murray 2011


@pytest.mark.skipif(not REAL, reason="needs TINYGEN_DATA_DIR")
def test_real_mnist_in_little_memory(tmp_path, monkeypatch):
    mnist = load("mnist", REAL).first(12_000, 2_000)
    monkeypatch.setattr(binarized, "BLOCK", 1000)
    monkeypatch.setattr(binarized, "LINES", {TRAIN: 10_000, VALID: 2_000, TEST: 2_000})
    for file, images in (
        (TRAIN, mnist.train_images[:10_000]),
        (VALID, mnist.train_images[10_000:]),
        (TEST, mnist.test_images),
    ):
        lines = np.full((len(images), LINE), ord(" "), np.uint8)
        lines[:, ::2] = (images.reshape(-1, 784) > 127) + ord("0")
        lines[:, -1] = ord("\n")
        (tmp_path / file).write_bytes(lines.tobytes())
    tracemalloc.start()
    result = binarized.static(mnist, tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result.train_images.shape == (12_000, 28, 28)
    np.testing.assert_array_equal(result.test_images, (mnist.test_images > 127) * np.uint8(255))
    assert result.train_labels is mnist.train_labels
    # The images are 11 million bytes, those of training twice for a moment, and a block of text.
    assert peak < 28_000_000
