"""Where the files of a data set are looked for."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from tempfile import TemporaryFile

from tinygen.errors import InputError

DEFAULT = "mnist"
"""The data set that is used if none is named."""

TORCHVISION = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "kmnist": "KMNIST"}
"""The names of torchvision's folders for the data sets, in which ``raw`` has the files."""


def expanded(path: str | os.PathLike[str]) -> Path:
    """A path that a user named, with a leading ~ or ~name replaced by the home folder.

    Raises:
        InputError: there is no such home folder, or the path is empty.
    """
    if not os.fspath(path):
        raise InputError("expected a path, got an empty text; the folder here is .")
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise InputError(
            f"{path}: there is no such home folder; a folder of that name is ./{path}"
        ) from None


def named_folder(data_dir: str | os.PathLike[str] | None) -> Path | None:
    """The folder `data_dir`, or else that of $TINYGEN_DATA_DIR; None if neither is set.

    Raises:
        InputError: the variable is used, and does not name a folder.
    """
    if data_dir:
        return expanded(data_dir)
    variable = os.environ.get("TINYGEN_DATA_DIR")
    if not variable:
        return None
    folder = expanded(variable)
    if not os.path.isdir(folder):
        raise InputError(f"TINYGEN_DATA_DIR={variable}: expected a folder with data, it is none")
    return folder


def places(name: str, data_dir: str | os.PathLike[str] | None) -> Iterator[Path]:
    """The folders that a user named, in the order in which they are searched.

    For each DIR, `data_dir` and then $TINYGEN_DATA_DIR: first DIR/name, then torchvision's folder
    in DIR, then DIR itself. The variable applies to every run, and many data sets have files of the
    same names: so only the default data set is read from the variable's DIR itself, and all others
    need a subfolder there.

    Raises:
        InputError: when the variable's turn comes, if it does not name a folder.
    """
    if data_dir:
        folder = expanded(data_dir)
        yield from _subfolders(name, folder)
        yield folder
    if variable := named_folder(None):
        yield from _subfolders(name, variable)
        if name == DEFAULT:
            yield variable


def _subfolders(name: str, folder: Path) -> list[Path]:
    theirs = TORCHVISION.get(name, name)
    below = [folder / name, folder / theirs / "raw"]
    if folder.name == theirs:  # DIR may itself be that folder
        below.append(folder / "raw")
    return [path for path in below if os.path.isdir(path)]


def cache_folder() -> Path:
    """$TINYGEN_CACHE_DIR, or else the system's place for the caches of a user's programs.

    The latter is what pooch.os_cache("tinygen") returns, without the time it takes to import pooch.

    Raises:
        InputError: the variable begins with ~name, and there is no such home folder.
    """
    if variable := os.environ.get("TINYGEN_CACHE_DIR"):
        return expanded(variable)
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("tinygen"))


def make_in_cache(folder: Path) -> None:
    """Create a folder of the cache, if it is not there, and check that it can be written into.

    Raises:
        InputError: it cannot; the message says how to put the cache elsewhere.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as problem:
        raise InputError(
            f"{folder}: the cache cannot be written into ({problem.strerror or problem}); "
            "set TINYGEN_CACHE_DIR to a folder that can"
        ) from None


def find(folder: Path, files: Collection[str]) -> dict[str, Path]:
    """Which of the files a folder has, under any of their usual names: file -> path, in order.

    Other names for train-images-idx3-ubyte have a dot before idx, end in .gz, or say idx4, since
    images with channels have four axes.

    Raises:
        InputError: the folder cannot be read.
    """
    try:
        present = set(os.listdir(folder))
    except OSError as problem:
        raise InputError(
            f"{folder}: expected a folder with data, cannot read it ({problem.strerror})"
        ) from None
    paths = {}
    for file in files:
        name = next((name for name in _usual_names(file) if name in present), None)
        if name:
            paths[file] = folder / name
    return paths


def _usual_names(file: str) -> Iterator[str]:
    for numbered in (file, file.replace("-idx3", "-idx4")):
        for stem in (numbered, numbered.replace("-idx", ".idx")):
            yield stem
            yield f"{stem}.gz"


def find_all(folder: Path, files: Collection[str]) -> dict[str, Path]:
    """Like `find`, for files that must all be there.

    Raises:
        InputError: one is missing, or the folder cannot be read.
    """
    paths = find(folder, files)
    missing = [file for file in files if file not in paths]
    if missing:
        raise InputError(
            f"{folder}: expected {len(files)} files, plain or .gz, "
            f"but there is no {' and no '.join(missing)}"
        )
    return paths
