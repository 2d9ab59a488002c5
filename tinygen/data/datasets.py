"""A data set is four arrays whose origin is known: found, downloaded, one's own, or drawn here.

MNIST is by Yann LeCun and Corinna Cortes, licence CC BY-SA 3.0; it is downloaded and never shipped.
Fashion-MNIST is by Zalando Research (Xiao, Rasul and Vollgraf 2017), licence MIT.
"""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import numpy as np

from tinygen.data import idx, strokes
from tinygen.errors import InputError, refuse_unknown
from tinygen.files import replacing

CHOICES = ("auto", "mnist", "fashion-mnist", "strokes", "idx")

MIRRORS = {
    "mnist": (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    "fashion-mnist": ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
}
"""Where the four gzipped files of a data set can be downloaded, in the order they are tried."""

MNIST_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
"""The hashes of MNIST's uncompressed files, so that any copy of them is good, zipped or not."""

FILES = tuple(MNIST_SHA256)
TITLES = {"mnist": "MNIST", "fashion-mnist": "Fashion-MNIST", "idx": "the IDX files"}
CONNECT_SECONDS, READ_SECONDS = 3, 10


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels to train on and to test on, all uint8, and where they came from.

    Images are (n, h, w) with n of their own for training and testing; labels are (n,), or None for
    data that has none. `source` is one printable phrase; `sha256` maps each file to the hash of its
    uncompressed bytes, or "train" and "test" to the hash of the pixels that were drawn. Of images
    that were drawn the factors are known: name -> (n,) float32, see `tinygen.data.strokes.FACTORS`.
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray | None
    test_images: np.ndarray
    test_labels: np.ndarray | None
    source: str
    sha256: dict[str, str]
    train_factors: dict[str, np.ndarray] | None = None
    test_factors: dict[str, np.ndarray] | None = None

    @property
    def image_shape(self) -> tuple[int, int]:
        """Rows and columns of an image."""
        _, rows, columns = self.train_images.shape
        return rows, columns

    @property
    def pixels(self) -> int:
        """The number of pixels of an image: the width of a row of floats."""
        rows, columns = self.image_shape
        return rows * columns

    def first(self, train: int, test: int) -> Dataset:
        """The data set cut to its first images, with their labels and factors, for a quick try.

        >>> stroke_digits(train=20, test=10).first(train=5, test=3).test_labels.shape
        (3,)
        """
        return replace(
            self,
            train_images=self.train_images[:train],
            train_labels=None if self.train_labels is None else self.train_labels[:train],
            train_factors=_cut(self.train_factors, train),
            test_images=self.test_images[:test],
            test_labels=None if self.test_labels is None else self.test_labels[:test],
            test_factors=_cut(self.test_factors, test),
        )


def _cut(factors: dict[str, np.ndarray] | None, n: int) -> dict[str, np.ndarray] | None:
    return factors and {name: values[:n] for name, values in factors.items()}


class DownloadError(InputError):
    """No mirror gave the file."""


def load(
    choice: str = "auto",
    data_dir: str | os.PathLike[str] | None = None,
    *,
    seed: int = 0,
    say: Callable[[str], object] = print,
    progress: bool = True,
) -> Dataset:
    """Load the data set of that name, one of `CHOICES`.

    mnist
        From the first folder that has any of its files: DIR/mnist, DIR, where DIR is `data_dir`
        and then $TINYGEN_DATA_DIR; or else the user's cache, into which missing files are
        downloaded. Checked by SHA-256.
    fashion-mnist
        The same, but as its files are called like MNIST's, $TINYGEN_DATA_DIR must have them in a
        subfolder fashion-mnist. No hashes of it are published with authority, so it is checked by
        shape and by its 7,000 pictures of each class, and `Dataset.sha256` records what was found.
    idx
        Any other data in four such files, in `data_dir` or else $TINYGEN_DATA_DIR: images of one
        size, a label for each image.
    strokes
        Drawn here from `seed`: 60,000 and 10,000 stroke digits.
    auto
        mnist, or strokes if that is nowhere and cannot be downloaded; `say` then gets a line.

    `progress` shows a bar while downloading, if on a terminal.

    Raises:
        InputError: the data cannot be had, or a file that was found is not what it should be. A bad
            file is never skipped in favour of another place.
    """
    refuse_unknown("data", choice, CHOICES)
    if choice == "strokes":
        return stroke_digits(seed)
    if choice == "idx":
        return _load_idx(data_dir)
    if choice == "fashion-mnist":
        return _load_known("fashion-mnist", data_dir, say, progress)
    try:
        return _load_known("mnist", data_dir, say, progress)
    except DownloadError as problem:
        if choice == "mnist":
            raise
        say(f"Using the built-in stroke digits: {problem}")
        return stroke_digits(seed)


def stroke_digits(seed: int = 0, *, train: int = 60_000, test: int = 10_000) -> Dataset:
    """Stroke digits, drawn in seconds; fewer of them are the first of more.

    >>> stroke_digits(seed=1, train=20, test=10).train_images.shape
    (20, 28, 28)
    """
    train_images, train_labels, train_factors = strokes.generate(train, seed, part=0)
    test_images, test_labels, test_factors = strokes.generate(test, seed, part=1)
    return Dataset(
        name="strokes",
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        source=f"built-in stroke digits, seed {seed}",
        sha256={
            "train": hashlib.sha256(train_images.data).hexdigest(),
            "test": hashlib.sha256(test_images.data).hexdigest(),
        },
        train_factors=train_factors,
        test_factors=test_factors,
    )


def _load_idx(data_dir: str | os.PathLike[str] | None) -> Dataset:
    folder = data_dir or os.environ.get("TINYGEN_DATA_DIR")
    if not folder:
        raise InputError("--data idx needs --data-dir DIR, the folder that has the four files")
    folder = Path(folder).expanduser()
    return _read_all("idx", _all_files(folder, _files_in(folder)))


def _load_known(
    name: str,
    data_dir: str | os.PathLike[str] | None,
    say: Callable[[str], object],
    progress: bool,
) -> Dataset:
    for folder in places(name, data_dir):
        found = _files_in(folder)
        if found:
            return _read_all(name, _all_files(folder, found))
        say(f"{folder} has none of {TITLES[name]}'s files; looking further")
    cache = cache_folder() / name
    found = _files_in(cache) if cache.exists() else {}
    missing = [file for file in FILES if file not in found]
    if missing:
        _download(name, missing, cache, say, progress)
    return _read_all(name, _all_files(cache, _files_in(cache)))


def places(name: str, data_dir: str | os.PathLike[str] | None) -> list[Path]:
    """The folders that a user named, in the order they are looked into."""
    places = []
    if data_dir:
        folder = Path(data_dir).expanduser()
        places += [folder / name, folder] if os.path.isdir(folder / name) else [folder]
    if variable := os.environ.get("TINYGEN_DATA_DIR"):
        folder = Path(variable).expanduser()
        if os.path.isdir(folder / name):
            places.append(folder / name)
        if name == "mnist":  # the variable serves every run, so only MNIST may lie there unlabelled
            places.append(folder)
    return places


def _files_in(folder: Path) -> dict[str, Path]:
    """Which of the four files a folder has, under any of the usual names: official name -> path."""
    try:
        present = set(os.listdir(folder))
    except OSError as problem:
        raise InputError(
            f"{folder}: expected a folder with data, cannot read it ({problem.strerror})"
        ) from None
    found = {}
    for file in FILES:
        dotted = file.replace("-idx", ".idx")
        for variant in (file, file + ".gz", dotted, dotted + ".gz"):
            if variant in present:
                found[file] = folder / variant
                break
    return found


def _all_files(folder: Path, found: dict[str, Path]) -> dict[str, Path]:
    missing = [file for file in FILES if file not in found]
    if missing:
        raise InputError(
            f"{folder}: expected four files, plain or .gz, found no {' and no '.join(missing)}"
        )
    return found


def _read_all(name: str, paths: dict[str, Path]) -> Dataset:
    arrays, sha256 = {}, {}
    for file in FILES:
        arrays[file], sha256[file] = _read_one(name, file, paths[file])
    train_images, train_labels, test_images, test_labels = (arrays[file] for file in FILES)
    folder = paths[FILES[0]].parent
    for part, images, labels in (
        ("training", train_images, train_labels),
        ("test", test_images, test_labels),
    ):
        if len(images) != len(labels):
            raise InputError(
                f"{folder}: expected a label for each {part} image, "
                f"found {len(images)} images and {len(labels)} labels"
            )
        if images.size == 0:
            raise InputError(f"{folder}: expected {part} images, found a shape of {images.shape}")
    if train_images.shape[1:] != test_images.shape[1:]:
        raise InputError(
            f"{folder}: expected images of one size, "
            f"found {_size(train_images)} for training and {_size(test_images)} for testing"
        )
    return Dataset(
        name=name,
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        source=f"{TITLES[name]} in {folder}",
        sha256=sha256,
    )


def _size(images: np.ndarray) -> str:
    return f"{images.shape[1]} x {images.shape[2]}"


def _read_one(name: str, file: str, path: Path) -> tuple[np.ndarray, str]:
    """Read one of the four files, and refuse it if it is not that file of the data set `name`."""
    array, sha256 = idx.read_hashed(
        path,
        expect="images" if "images" in file else "labels",
        max_bytes=idx.MAX_BYTES if name == "idx" else 60_000 * 28 * 28,
    )
    if name == "mnist" and sha256 != MNIST_SHA256[file]:
        raise InputError(
            f"{path}: expected MNIST's {file} with SHA-256 {MNIST_SHA256[file]}, found {sha256}; "
            "for data of your own say --data idx"
        )
    if name == "fashion-mnist":
        _check_fashion(file, path, array, sha256)
    return array, sha256


def _check_fashion(file: str, path: Path, array: np.ndarray, sha256: str) -> None:
    n = 60_000 if file.startswith("train") else 10_000
    shape = (n, 28, 28) if "images" in file else (n,)
    if array.shape != shape:
        raise InputError(f"{path}: expected Fashion-MNIST, {shape}, found {array.shape}")
    if sha256 == MNIST_SHA256[file]:
        raise InputError(f"{path}: expected Fashion-MNIST, found MNIST's file of the same name")
    if "labels" in file and not np.array_equal(np.bincount(array), np.full(10, n // 10)):
        raise InputError(f"{path}: expected {n // 10} labels of each of 10 classes, found others")


def cache_folder() -> Path:
    """What pooch.os_cache("tinygen") answers, without the time it takes to import pooch."""
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("tinygen"))


def _download(
    name: str, files: list[str], cache: Path, say: Callable[[str], object], progress: bool
) -> None:
    """Download files into the cache, each from the first mirror that has it and has it right."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise _no_download(name, f"{cache}: {problem.strerror}") from None
    mirrors, problems = list(MIRRORS[name]), []
    for file in files:
        while mirrors:
            url = f"{mirrors[0]}{file}.gz"
            try:
                _require_connection(url)
                say(f"Downloading {url}")
                with replacing(cache / f"{file}.gz") as unfinished:
                    _fetch(url, Path(unfinished.name), progress)
                    _read_one(name, file, Path(unfinished.name))
                break
            except (OSError, InputError) as problem:
                problems.append(f"{urlsplit(url).hostname}: {_reason(problem)}")
                del mirrors[0]  # for the other files too: waiting for it once is enough
        else:
            raise _no_download(name, "; ".join(problems))


def _no_download(name: str, why: str) -> DownloadError:
    return DownloadError(
        f"{TITLES[name]} could not be downloaded ({why}); to use it, put {', '.join(FILES)} "
        f"(plain or .gz) into DIR/{name} and say --data-dir DIR or set TINYGEN_DATA_DIR=DIR"
    )


def _require_connection(url: str) -> None:
    """Raise OSError unless the host answers, soon.

    Without a network, requests would wait for each of a mirror's addresses in turn, and the large
    hosts have many; one of each kind (IPv4, IPv6) tells as much. A proxy is asked by requests.
    """
    parts = urlsplit(url)
    if getproxies().keys() & {parts.scheme, "all"}:
        return
    port = parts.port or (443 if parts.scheme == "https" else 80)
    first: dict[int, Any] = {}
    for family, _, _, _, address in socket.getaddrinfo(
        parts.hostname, port, type=socket.SOCK_STREAM
    ):
        first.setdefault(family, address)
    for address in first.values():
        try:
            socket.create_connection(address[:2], timeout=CONNECT_SECONDS).close()
            return
        except OSError as problem:
            failure = problem
    raise failure


def _fetch(url: str, path: Path, progress: bool) -> None:
    """Download one file with a bar; raises OSError."""
    from pooch import HTTPDownloader
    from tqdm import tqdm

    # total=1 until pooch knows better, since a bar without a total counts as none; disable=None
    # shows it on a terminal only.
    bar = tqdm(
        total=1,
        desc=url.rsplit("/", 1)[1],
        unit="B",
        unit_scale=True,
        disable=None if progress else True,
    )
    with bar:
        HTTPDownloader(
            progressbar=bar, chunk_size=1 << 16, timeout=(CONNECT_SECONDS, READ_SECONDS)
        )(url, str(path), None)


def _reason(problem: Exception) -> str:
    """Why a download failed, in a few words."""
    response = getattr(problem, "response", None)
    if response is not None:
        return f"answered {response.status_code}"
    if isinstance(problem, InputError):
        return "sent something else than the file"
    return getattr(problem, "strerror", None) or type(problem).__name__
