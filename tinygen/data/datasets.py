"""A data set is images of known origin, with or without labels.

`DATASETS` is the table of those that can be downloaded. Any other that is published as MNIST is, in
four IDX files, needs one more entry there, and the command line offers it. None is ever shipped.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from tinygen.data import folder as pictures
from tinygen.data import idx, locations, mixtures, npz, strokes
from tinygen.data.batches import background, require_finite
from tinygen.data.download import DownloadError, download
from tinygen.display import html_images, html_table, times
from tinygen.errors import InputError, refuse_unknown, require_seed

SHOWN = 10
"""How many images a notebook shows of a data set."""


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Images and labels to train on and to test on, and where they come from.

    Images are (n, h, w) or (n, h, w, c) of uint8, where n may differ between training and testing;
    points, or any other rows, are (n, d) of floats. Labels are (n,) of whole numbers, or None for
    data that have none. `source` is one printable phrase; `sha256` maps each file to the hash of
    its uncompressed bytes, or "train" and "test" to the hash of the pixels that were drawn. For
    images that were drawn, the factors are known: name -> (n,) float32, see
    `tinygen.data.strokes.FACTORS`.

    `from_arrays` makes one from arrays, and `from_folder` from pictures.

    Raises:
        InputError: images are of another kind, or not all of one shape; a value is NaN or infinite;
            there are no images; or there is not one label, a whole number, for each.
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray | None
    test_images: np.ndarray
    test_labels: np.ndarray | None
    source: str = "arrays"
    sha256: dict[str, str] = field(default_factory=dict)
    train_factors: dict[str, np.ndarray] | None = None
    test_factors: dict[str, np.ndarray] | None = None

    def __post_init__(self) -> None:
        train, test = self.train_images, self.test_images
        require_images(f"{self.source}, training images", train, self.train_labels)
        require_images(f"{self.source}, test images", test, self.test_labels)
        if train.shape[1:] != test.shape[1:]:
            raise InputError(
                f"{self.source}: expected images of one shape, "
                f"got {times(train.shape[1:])} for training "
                f"and {times(test.shape[1:])} for testing"
            )

    def __repr__(self) -> str:
        return f"Dataset({'; '.join(self._facts().values())})"

    def _repr_html_(self) -> str:
        table = html_table("Dataset", (), [*self._facts().items()])
        is_pictures = self.train_images.dtype == np.uint8 and self.train_images.ndim > 2
        return table + (html_images(self.train_images[:SHOWN]) if is_pictures else "")

    def _facts(self) -> dict[str, str]:
        """What a reader wants to know about it, in a few words each."""
        train, test, labels = self.train_images, self.test_images, self.train_labels
        return {
            "name": self.name,
            "images": f"{len(train)} to train on, {len(test)} to test on",
            "shape": f"{times(train.shape[1:])} of {train.dtype}",
            "labels": "no labels" if labels is None else f"{len(np.unique(labels))} classes",
            "source": self.source,
        }

    @property
    def image_shape(self) -> tuple[int, ...]:
        """The shape of an image: (h, w), or (h, w, c) with channels last."""
        return self.train_images.shape[1:]

    @property
    def pixels(self) -> int:
        """The number of values of an image, h w or h w c: the width of a row of floats."""
        return prod(self.image_shape)

    def first(self, train: int, test: int | None = None) -> Dataset:
        """The data set cut to its first images, with their labels and factors, for a quick try.

        Without `test`, all test images stay.

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


def require_images(what: str, images: np.ndarray, labels: np.ndarray | None) -> None:
    """Check what a `Dataset` promises about the images of one part, of which none may be empty."""
    if not isinstance(images, np.ndarray) or isinstance(images, np.ma.MaskedArray):
        way = "; np.stack(images) makes one of images of one size" * isinstance(images, list)
        if isinstance(images, (str, os.PathLike)):
            reads = "load" if images in CHOICES else "from_folder"
            way = f"; tg.data.{reads}({os.fspath(images)!r}) is a data set"
        raise InputError(f"{what}: expected an array of NumPy, got a {type(images).__name__}{way}")
    pixels = images.dtype == np.uint8 and images.ndim > 1
    if not pixels and (images.dtype.kind != "f" or images.ndim != 2):
        raise InputError(
            f"{what}: expected uint8 (n, h, w) or (n, h, w, c), or rows (n, d) of floats, "
            f"got {images.dtype} {images.shape}{as_pixels(images)}"
        )
    if images.ndim == 4 and images.shape[3] not in (1, 3):
        way = "; x.transpose(0, 2, 3, 1) has channels last" * (images.shape[1] in (1, 3))
        way = way or "; x[..., :3] leaves out transparency" * (images.shape[3] == 4)
        raise InputError(
            f"{what}: expected (n, h, w), or (n, h, w, c) with 1 or 3 channels, got "
            f"{images.shape}{way}"
        )
    if images.size == 0:
        raise InputError(f"{what}: expected at least one, got a shape of {images.shape}")
    if labels is not None and ((y := np.asarray(labels)).ndim != 1 or y.dtype.kind not in "iu"):
        raise InputError(f"{what}: expected labels (n,) of whole numbers, got {y.dtype} {y.shape}")
    if labels is not None and len(labels) and np.min(labels) < 0:
        raise InputError(f"{what}: expected labels from 0 on, got {np.min(labels)}")
    if labels is not None and len(images) != len(labels):
        raise InputError(
            f"{what}: expected a label for each, got {len(images)} images and {len(labels)} labels"
        )
    if pixels and images.max() == 1:
        raise InputError(f"{what}: expected pixels up to 255, got 0 and 1 alone{as_pixels(images)}")
    require_finite(what, images)


def as_pixels(images: np.ndarray) -> str:
    """How to make pixels of numbers of another type, where that is possible, to end a message.

    >>> as_pixels(np.array([[[False, True]]]))
    '; 255 * x.astype(np.uint8) makes pixels of them'
    """
    kind = images.dtype.kind
    if kind not in "biuf" or images.ndim < 2 or not images.size:
        return ""
    least, most = images.min(), images.max()  # NaN is in no interval
    if not 0 <= least <= most or (kind == "f" and most > 255):
        return ""
    if most <= 1:  # 0 and 1, or numbers between them
        way = "(255 * x).round().astype(np.uint8)" if kind == "f" else "255 * x.astype(np.uint8)"
    elif most <= 255:
        way = "x.astype(np.uint8)"
    else:  # from a camera with 10, 12 or 16 bits
        way = f"(x * (255 / {2 ** int(most).bit_length() - 1})).round().astype(np.uint8)"
    return f"; {way} makes pixels of them"


def _cut(factors: dict[str, np.ndarray] | None, n: int | None) -> dict[str, np.ndarray] | None:
    return factors and {name: values[:n] for name, values in factors.items()}


@dataclass(frozen=True)
class Source:
    """A published data set of four IDX files: where they are, and how they are recognised.

    `sha256` names four files and their hashes: training images, training labels, test images, test
    labels. A name without .gz has the hash of the uncompressed bytes, which recognises any copy. A
    name that ends in .gz has the hash of the published archive, which recognises nothing else: a
    download must be that archive, whereas a copy that the user unzipped or compressed again is
    checked by its shape and by how many labels there are of each class.
    """

    title: str
    credit: str
    mirrors: tuple[str, ...]
    sha256: dict[str, str]
    image_shape: tuple[int, ...] = (28, 28)
    images: tuple[int, int] = (60_000, 10_000)
    classes: int = 10
    balanced: bool = True

    @property
    def files(self) -> tuple[str, ...]:
        """The names of the four files, without .gz."""
        return tuple(file.removesuffix(".gz") for file in self.sha256)


# The hashes of archives are those on which TensorFlow Datasets (url_checksums/fashion_mnist.txt and
# kmnist.txt) and torchvision (prototype/datasets/_builtin/mnist.py) agree. The MD5 sums in the
# README of Fashion-MNIST are of the same files, as the two files of labels in its repository show.
DATASETS = {
    "mnist": Source(
        title="MNIST",
        credit="Yann LeCun and Corinna Cortes; CC BY-SA 3.0",
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        sha256={
            "train-images-idx3-ubyte": (
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
            ),
            "train-labels-idx1-ubyte": (
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
            ),
            "t10k-images-idx3-ubyte": (
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
            ),
            "t10k-labels-idx1-ubyte": (
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
            ),
        },
        balanced=False,
    ),
    "fashion-mnist": Source(
        title="Fashion-MNIST",
        credit="Han Xiao, Kashif Rasul and Roland Vollgraf 2017, arXiv:1708.07747; MIT",
        mirrors=("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
        sha256={
            "train-images-idx3-ubyte.gz": (
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"
            ),
            "train-labels-idx1-ubyte.gz": (
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"
            ),
            "t10k-images-idx3-ubyte.gz": (
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"
            ),
            "t10k-labels-idx1-ubyte.gz": (
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"
            ),
        },
    ),
    "kmnist": Source(
        title="Kuzushiji-MNIST",
        credit='"KMNIST Dataset" (created by CODH), adapted from "Kuzushiji Dataset" (created by '
        "NIJL and others), doi:10.20676/00000341; Clanuwat et al. 2018, arXiv:1812.01718; "
        "CC BY-SA 4.0",
        mirrors=("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
        sha256={
            "train-images-idx3-ubyte.gz": (
                "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4"
            ),
            "train-labels-idx1-ubyte.gz": (
                "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17"
            ),
            "t10k-images-idx3-ubyte.gz": (
                "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5"
            ),
            "t10k-labels-idx1-ubyte.gz": (
                "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c"
            ),
        },
    ),
}
"""The data sets that can be downloaded; mirrors are tried in the order given."""

BRIGHT = 0.75
"""A mean background from here on is that of ink on paper; photographs have about 0.5, MNIST 0."""

FILES = DATASETS["mnist"].files
"""What the four files of `--data idx` are called."""

CHOICES = ("auto", *DATASETS, "strokes", "idx", "npz", "folder")


def load(
    choice: str = "auto",
    data_dir: str | os.PathLike[str] | None = None,
    *,
    seed: int = 0,
    say: Callable[[str], object] = print,
    progress: bool = True,
) -> Dataset:
    """Load the data set of that name, one of `CHOICES`.

    mnist, and any other in `DATASETS`
        From the first folder that has any of its files: DIR/NAME, DIR/MNIST/raw (or whatever
        torchvision calls it; DIR may itself be that MNIST folder), DIR, where DIR is `data_dir` and
        then $TINYGEN_DATA_DIR; or else the user's cache, into which missing files are downloaded,
        and damaged ones once more. Since many data sets have files of the same names, those of all
        but MNIST must be in a subfolder of $TINYGEN_DATA_DIR. `Source` says how they are checked.
    idx
        Any other data in four such files, in `data_dir` or else $TINYGEN_DATA_DIR: images of one
        shape, (h, w) or (h, w, c), and a label for each image. `say` gets a line if they are dark
        on a bright background.
    npz
        Any other data in one file, `data_dir`, with the arrays ``x_train``, ``y_train``, ``x_test``
        and ``y_test``; the labels may be missing.
    folder
        Pictures in a folder, `data_dir`, as `from_folder` reads them with `seed`.
    strokes
        Drawn here from `seed`: 60,000 and 10,000 stroke digits.
    auto
        mnist, or strokes if it is not found and cannot be downloaded; `say` then gets two short
        lines.

    `progress` shows a bar while downloading, if on a terminal.

    Raises:
        InputError: the data cannot be found, or a file is not what it should be. A bad file of the
            user's is never skipped in favour of another place, nor changed.

    >>> from tempfile import TemporaryDirectory
    >>> images = np.zeros((50, 28, 28), np.uint8)
    >>> with TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/mine.npz", x_train=images[:40], x_test=images[40:])
    ...     load("npz", f"{folder}/mine.npz").train_images.shape
    (40, 28, 28)
    """
    _refuse_path(choice)
    refuse_unknown("data", choice, CHOICES)
    if choice == "strokes":
        return stroke_digits(seed)
    own: dict[str, Callable[[str | os.PathLike[str] | None], Dataset]] = {
        "idx": _load_idx, "npz": _load_npz, "folder": partial(_load_folder, seed=seed)
    }  # fmt: skip
    if choice in own:
        dataset = own[choice](data_dir)
        _say_if_bright(dataset, say)
        return dataset
    name = locations.DEFAULT if choice == "auto" else choice
    try:
        return _load_published(name, data_dir, say, progress)
    except DownloadError:  # whose message is long
        if choice != "auto":
            raise
        title = DATASETS[name].title
        say(f"{title} could not be downloaded; these are stroke digits (--data {name} says why)")
        say(f"for {title}, put its four files into DIR/{name} and set TINYGEN_DATA_DIR=DIR")
        return stroke_digits(seed)


def stroke_digits(seed: int = 0, *, train: int = 60_000, test: int = 10_000) -> Dataset:
    """Stroke digits, drawn in seconds; a smaller set is the start of a larger one.

    >>> stroke_digits(seed=1, train=20, test=10).train_images.shape
    (20, 28, 28)
    """
    require_seed(seed)
    train_images, train_labels, train_factors = strokes.generate(train, seed, part=0)
    test_images, test_labels, test_factors = strokes.generate(test, seed, part=1)
    return Dataset(
        name="strokes",
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        source=f"built-in stroke digits, seed {seed}",
        sha256=_hashes(train_images, test_images),
        train_factors=train_factors,
        test_factors=test_factors,
    )


def from_arrays(
    images: np.ndarray,
    labels: np.ndarray | None = None,
    *,
    test_fraction: float = 0.1,
    seed: int = 0,
) -> Dataset:
    """A data set of images such as those of a `Dataset`, some of which are set apart for testing.

    Args:
        images, labels: ``(n, ...)`` and ``(n,)``, in any order; which ones are set apart depends on
            their number and on `seed` alone.
        test_fraction: of the images, rounded; at least one is set apart, and one is left.

    Raises:
        InputError: the images or labels are not such as a `Dataset` has, there is only one image,
            or the fraction is not between 0 and 1.

    >>> from_arrays(np.zeros((50, 4, 3), np.uint8), test_fraction=0.2)
    Dataset(arrays; 40 to train on, 10 to test on; 4 x 3 of uint8; no labels; arrays)
    """
    if not 0 < test_fraction < 1:
        raise InputError(f"expected a test_fraction between 0 and 1, got {test_fraction}")
    labels = None if labels is None else np.asarray(labels)
    require_images("images", images, labels)
    if (n := len(images)) < 2:
        raise InputError(f"expected two images at least, one of them for testing, got {n}")
    require_seed(seed)
    order = np.random.default_rng(seed).permutation(n)
    k = min(max(1, round(test_fraction * n)), n - 1)
    train, test = images[order[k:]], images[order[:k]]
    train_labels, test_labels = (
        (None, None) if labels is None else (labels[order[k:]], labels[order[:k]])
    )
    sha256 = _hashes(train, test)
    return Dataset("arrays", train, train_labels, test, test_labels, sha256=sha256)


def from_folder(
    folder: str | os.PathLike[str], *, test_fraction: float = 0.1, seed: int = 0
) -> Dataset:
    """A data set of the pictures in a folder, PNG or JPEG; some are set apart for testing.

    They are in the folder itself, or in a sub-folder for each class: the sub-folders, in the order
    of their names, have the labels 0, 1, ... Grey pictures are ``(n, h, w)``; if one is in colour,
    all are ``(n, h, w, 3)``. All must be of one size; transparency is dropped.

    Args:
        test_fraction, seed: as in `from_arrays`.

    Raises:
        InputError: there are no such pictures, or they are of several sizes.

    >>> from tempfile import TemporaryDirectory
    >>> from PIL import Image
    >>> with TemporaryDirectory() as folder:
    ...     for k in range(10):
    ...         Image.new("L", (4, 3), color=20 * k).save(f"{folder}/{k}.png")
    ...     from_folder(folder).train_images.shape
    (9, 3, 4)
    """
    path = locations.expanded(folder)
    images, labels = pictures.read(path)
    dataset = from_arrays(images, labels, test_fraction=test_fraction, seed=seed)
    return replace(dataset, name="folder", source=f"the pictures in {path}")


def mixture_points(name: str, train: int, test: int, seed: int = 0) -> Dataset:
    """Points of the mixture of that name, rows of two float32; they have no labels.

    >>> mixture_points("ring", train=20, test=10).train_images.shape
    (20, 2)
    """
    train_points, test_points = (
        mixtures.points(name, n, seed, part, np.float32) for part, n in enumerate((train, test))
    )
    source = f"points of the {name}, seed {seed}"
    sha256 = _hashes(train_points, test_points)
    return Dataset(name, train_points, None, test_points, None, source, sha256)


def _hashes(train: np.ndarray, test: np.ndarray) -> dict[str, str]:
    """The hashes of data that were drawn, in place of those of files."""
    return {"train": hashlib.sha256(train.data).hexdigest(),
            "test": hashlib.sha256(test.data).hexdigest()}  # fmt: skip


def _load_idx(data_dir: str | os.PathLike[str] | None) -> Dataset:
    folder = locations.named_folder(data_dir)
    if not folder:
        raise _needs_data_dir("idx", "DIR", "the folder that has the four files")
    return _read_all("idx", "the IDX files", folder, FILES, _read_own)


def _load_npz(data_dir: str | os.PathLike[str] | None) -> Dataset:
    if not data_dir:
        raise _needs_data_dir("npz", "FILE", "the .npz file")
    path = locations.expanded(data_dir)
    arrays, sha256 = npz.read_hashed(path)
    return Dataset(
        name="npz",
        train_images=arrays["x_train"],
        train_labels=arrays.get("y_train"),
        test_images=arrays["x_test"],
        test_labels=arrays.get("y_test"),
        source=f"the arrays in {path}",
        sha256={path.name: sha256},
    )


def _needs_data_dir(name: str, place: str, what: str) -> InputError:
    return InputError(f"data '{name}' needs a data_dir (--data-dir {place}), {what}")


def _load_folder(data_dir: str | os.PathLike[str] | None, seed: int) -> Dataset:
    if not data_dir:
        raise _needs_data_dir("folder", "DIR", "the folder of the pictures")
    return from_folder(data_dir, seed=seed)


def _refuse_path(choice: Any) -> None:
    """Refuse a path as `choice`: `data_dir` says where images are, `choice` only what they are."""
    if choice in CHOICES or not isinstance(choice, (str, os.PathLike)):
        return
    if os.path.isdir(choice):
        way = f"from_folder({os.fspath(choice)!r})"
    elif os.fspath(choice).endswith(".npz"):
        way = f"load('npz', {os.fspath(choice)!r})"
    else:
        return
    raise InputError(f"load: expected one of {', '.join(CHOICES)}, got a path; tg.data.{way}")


def _say_if_bright(dataset: Dataset, say: Callable[[str], object]) -> None:
    if dataset.train_images.ndim > 2 and background(dataset.train_images) > BRIGHT:
        say(
            f"{dataset.source}: these images are dark on a bright background, those of MNIST "
            "bright on a dark one; a model trained on one kind does not fit the other, and "
            "255 - images turns them into it"
        )


def _load_published(
    name: str,
    data_dir: str | os.PathLike[str] | None,
    say: Callable[[str], object],
    progress: bool,
) -> Dataset:
    source, read = DATASETS[name], partial(_read_published, name)
    if data_dir and os.fspath(data_dir).endswith(".npz") and os.path.isfile(data_dir):
        raise InputError(f"{data_dir}: expected a folder with {source.title}; --data npz reads it")
    for folder in locations.places(name, data_dir):
        if locations.find(folder, source.files):
            return _read_all(name, source.title, folder, source.files, read)
        if data_dir and folder == locations.expanded(data_dir) and pictures.has_some(folder):
            raise InputError(
                f"{folder} has pictures and none of {source.title}'s files; --data folder, or "
                "tg.data.from_folder, reads them"
            )
        say(f"{folder} has none of {source.title}'s files; looking further")
    cache = locations.cache_folder() / name
    present = locations.find(cache, source.files) if os.path.isdir(cache) else {}

    def check(archive: str, path: Path) -> None:
        _read_published(name, archive.removesuffix(".gz"), path, downloaded=True)

    def fetch(files: list[str]) -> None:
        archives = [f"{file}.gz" for file in files]
        download(archives, source.mirrors, cache, check, say=say, progress=progress)

    def read_or_fetch(file: str, path: Path) -> tuple[np.ndarray, str]:
        try:
            return read(file, path)
        except InputError as problem:
            say(f"{problem}; fetching it again")
            damage = problem
        try:
            fetch([file])
        except InputError as problem:
            raise InputError(f"{damage}; it could not be fetched again ({problem})") from None
        archive = cache / f"{file}.gz"
        if path != archive:  # else it would be preferred next time
            with suppress(OSError):
                path.unlink()
        return read(file, archive)

    try:
        if missing := [file for file in source.files if file not in present]:
            fetch(missing)
    except InputError as problem:
        raise DownloadError(
            f"{source.title} could not be downloaded ({problem}); to use it, put "
            f"{', '.join(source.files)} (plain or .gz) into DIR/{name} and say --data-dir DIR or "
            "set TINYGEN_DATA_DIR=DIR"
        ) from None
    return _read_all(name, source.title, cache, source.files, read_or_fetch)


def _read_all(
    name: str,
    title: str,
    folder: Path,
    files: tuple[str, ...],
    read: Callable[[str, Path], tuple[np.ndarray, str]],
) -> Dataset:
    """Read the four files of a data set, which must all be in the folder and fit together."""
    arrays, sha256 = {}, {}
    for file, path in locations.find_all(folder, files).items():
        arrays[file], sha256[file] = read(file, path)
    train_images, train_labels, test_images, test_labels = arrays.values()
    return Dataset(
        name=name,
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        source=f"{title} in {folder}",
        sha256=sha256,
    )


def _kind(file: str) -> idx.Kind:
    return "images" if "images" in file else "labels"


def _read_own(file: str, path: Path) -> tuple[np.ndarray, str]:
    """A file of the user's; no known hash tells which of two differing copies is old."""
    array, sha256 = idx.read_hashed(path, expect=_kind(file))
    zipped = path.with_name(f"{path.name}.gz")
    if zipped.exists() and idx.read_hashed(zipped, expect=_kind(file))[1] != sha256:
        raise InputError(f"{path} and {zipped.name} differ: expected one of them, or equal ones")
    return array, sha256


def _read_published(
    name: str, file: str, path: Path, *, downloaded: bool = False
) -> tuple[np.ndarray, str]:
    """A file of a published data set, and the hash of its uncompressed bytes.

    Raises:
        InputError: it is not that file, as far as the hashes of `Source` can tell.
    """
    source = DATASETS[name]
    array, sha256 = idx.read_hashed(
        path,
        expect=_kind(file),
        max_bytes=max(source.images) * prod(source.image_shape),
    )
    archive_sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    owner = _owner(sha256, archive_sha256)
    if owner == (source.title, file):
        return array, sha256
    if owner:
        raise InputError(f"{path}: expected {source.title}'s {file}, got {owner[0]}'s {owner[1]}")
    for key, actual in ((file, sha256), (f"{file}.gz", archive_sha256)):
        if key in source.sha256 and (key == file or downloaded):
            raise InputError(
                f"{path}: expected {source.title}'s {key} with SHA-256 {source.sha256[key]}, "
                f"got {actual}; for data of your own say --data idx"
            )
    _require_content(source, file, path, array)
    return array, sha256


def _owner(sha256: str, archive_sha256: str) -> tuple[str, str] | None:
    """The title of the published data set with a file of either hash, and that file's name."""
    for source in DATASETS.values():
        for key, expected in source.sha256.items():
            if expected == (archive_sha256 if key.endswith(".gz") else sha256):
                return source.title, key.removesuffix(".gz")
    return None


def _require_content(source: Source, file: str, path: Path, array: np.ndarray) -> None:
    n = source.images[source.files.index(file) // 2]
    labels = _kind(file) == "labels"
    shape = (n,) if labels else (n, *source.image_shape)
    if array.shape != shape:
        raise InputError(f"{path}: expected {source.title}, {shape}, got {array.shape}")
    if labels and source.balanced:
        each = np.full(source.classes, n // source.classes)
        if not np.array_equal(np.bincount(array), each):
            raise InputError(
                f"{path}: expected {each[0]} labels of each of {source.classes} classes, got others"
            )
