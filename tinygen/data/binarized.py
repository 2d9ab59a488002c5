"""MNIST binarised once and for all, so that published likelihoods can be compared.

Larochelle's three files, with a line of 784 numbers 0 or 1 for each image, were published at
http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/ with Larochelle and Murray
(2011); each pixel is drawn once, white with the probability of its grey value (Salakhutdinov and
Murray 2008). They are neither shipped nor downloaded here.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from tinygen.data import locations
from tinygen.data.datasets import Dataset
from tinygen.data.unzipped import Stream, unzipped
from tinygen.errors import InputError

LINES = {
    "binarized_mnist_train.amat": 50_000,
    "binarized_mnist_valid.amat": 10_000,
    "binarized_mnist_test.amat": 10_000,
}
"""The files and their numbers of lines. The first two together are the training images."""

SIDE = 28
BLOCK = 1000
"""Lines or images that are processed at a time, so that memory use stays flat."""

_NUMBERS = b" ".join([b"0"] * SIDE * SIDE)
_ENDS = (b"\n", b" \n", b"\r\n", b" \r\n")


def static(dataset: Dataset, data_dir: str | os.PathLike[str] | None = None) -> Dataset:
    """Replace MNIST's grey images by Larochelle's black and white ones.

    The files, plain or gzipped, are looked for where MNIST is: in DIR/mnist and DIR, where DIR is
    `data_dir` and then $TINYGEN_DATA_DIR, or else in the user's cache. Pixels are 0 or 255. The
    hashes of the three files are added to those of MNIST.

    The files have no labels, but their images are MNIST's in MNIST's order. Where the pixels
    confirm this, as no black one became white and no white one black in any image, MNIST's labels
    are kept; otherwise the labels are None.

    Raises:
        InputError: the data set is not MNIST, or a file is missing or not what it should be.
    """
    if dataset.name != "mnist":
        raise InputError(
            f"static binarisation was published for MNIST only, not for {dataset.source}; "
            "say --binarize dynamic"
        )
    folder, paths = _find(data_dir)
    images, sha256 = {}, {}
    for file, lines in LINES.items():
        images[file], sha256[file] = _read(paths[file], lines)
    train, valid, test = images.values()
    train = np.concatenate([train, valid])
    same = _drawn_from(dataset.train_images, train) and _drawn_from(dataset.test_images, test)
    return replace(
        dataset,
        train_images=train,
        train_labels=dataset.train_labels if same else None,
        test_images=test,
        test_labels=dataset.test_labels if same else None,
        source=f"statically binarised MNIST in {folder}",
        sha256=dataset.sha256 | sha256,
    )


def _find(data_dir: str | os.PathLike[str] | None) -> tuple[Path, dict[str, Path]]:
    """The first folder that has any of the files, and where each of them lies."""
    places: list[Path] = []
    paths: dict[str, Path] = {}
    for folder in _places(data_dir):
        places.append(folder)
        for file in LINES:
            for path in (folder / f"{file}.gz", folder / file):
                if os.path.lexists(path):  # reading a dangling link fails later
                    paths[file] = path  # the plain one if there are two
        if paths:
            break
    missing = [file for file in LINES if file not in paths]
    if missing:
        where = str(folder) if paths else " or ".join(map(str, places))
        raise InputError(
            f"static binarisation: expected {', '.join(LINES)}, plain or .gz, in {where}, "
            f"but there is no {' and no '.join(missing)}; the other choice is --binarize dynamic"
        )
    return folder, paths


def _places(data_dir: str | os.PathLike[str] | None) -> Iterator[Path]:
    yield from locations.places("mnist", data_dir)
    yield locations.cache_folder() / "mnist"


def _read(path: Path, lines: int) -> tuple[np.ndarray, str]:
    """The images ``(lines, 28, 28)`` of a file, and the SHA-256 of its uncompressed bytes."""
    with unzipped(path) as (stream, size):
        end = _line_end(path, stream)
        width = len(_NUMBERS + end)
        whole = lines * width
        if size is not None and size not in (whole, whole - len(end)):
            raise InputError(
                f"{path}: expected {lines} lines of {width} bytes = {whole}, got {size}"
            )
        images, sha256 = np.empty((lines, SIDE, SIDE), np.uint8), hashlib.sha256()
        for start in range(0, lines, BLOCK):
            block = images[start : start + BLOCK]
            content = stream.read(len(block) * width)
            sha256.update(content)
            if len(content) == len(block) * width - len(end):  # the last line may have none
                content += end
            if len(content) < len(block) * width:
                whole_lines = start + len(content) // width
                raise InputError(f"{path}: expected {lines} lines, got {whole_lines}")
            block[:] = _pixels(path, start, content, end)
        # The last read also makes gzip compare its checksum, which is at the end of the file.
        if stream.read(1):
            raise InputError(f"{path}: expected {lines} lines, got more")
    return images, sha256.hexdigest()


def _line_end(path: Path, stream: Stream) -> bytes:
    """How the first line, and so every line, ends: with a space or not, as on Unix or Windows."""
    line = stream.readline(len(_NUMBERS) + max(map(len, _ENDS)))
    stream.seek(0)
    end = line[len(_NUMBERS) :]
    if end not in _ENDS:
        raise InputError(
            f"{path}: expected lines of {SIDE * SIDE} numbers 0 or 1 with a space between, "
            f"got one of {len(line)} bytes that begins {line[:10]!r}"
        )
    return end


def _pixels(path: Path, start: int, content: bytes, end: bytes) -> np.ndarray:
    """Lines, the first of which is the file's line `start`, as pixels ``(lines, 28, 28)``.

    All lines must be equal but for the bit in which "0" and "1" differ.
    """
    zeros = np.frombuffer(_NUMBERS + end, np.uint8)
    differ = np.frombuffer(content, np.uint8).reshape(-1, len(zeros)) ^ zeros
    free = (zeros == ord("0")).astype(np.uint8)
    wrong = (differ & ~free).any(axis=1)
    if wrong.any():
        raise InputError(
            f"{path}: line {start + int(wrong.argmax()) + 1}: expected {SIDE * SIDE} numbers "
            "0 or 1 with a space between, and the end that the first line has"
        )
    return (255 * differ[:, : len(_NUMBERS) : 2]).reshape(-1, SIDE, SIDE)


def _drawn_from(grey: np.ndarray, binary: np.ndarray) -> bool:
    """Whether each image can be a draw from the grey one at its index; only 0 and 255 can tell."""
    if grey.shape != binary.shape:
        return False
    for start in range(0, len(grey), BLOCK):
        g, b = grey[start : start + BLOCK], binary[start : start + BLOCK]
        if np.any((g == 0) & (b == 255)) or np.any((g == 255) & (b == 0)):
            return False
    return True
