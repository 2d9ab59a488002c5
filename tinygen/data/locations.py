"""Where the files of a data set are looked for."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from tinygen.errors import InputError

DEFAULT = "mnist"
"""The data set that is meant where none is named."""


def places(name: str, data_dir: str | os.PathLike[str] | None) -> list[Path]:
    """The folders that a user named, in the order in which they are searched.

    DIR/name before DIR, where DIR is `data_dir` and then $TINYGEN_DATA_DIR. The variable applies to
    every run, and many data sets have files of the same names: so of the variable's DIR itself only
    the default data set is read, and all others need a subfolder of their name there.
    """
    places = []
    if data_dir:
        folder = Path(data_dir).expanduser()
        places += [folder / name, folder] if os.path.isdir(folder / name) else [folder]
    if variable := os.environ.get("TINYGEN_DATA_DIR"):
        folder = Path(variable).expanduser()
        if os.path.isdir(folder / name):
            places.append(folder / name)
        if name == DEFAULT:
            places.append(folder)
    return places


def cache_folder() -> Path:
    """What pooch.os_cache("tinygen") answers, without the time it takes to import pooch."""
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("tinygen"))


def find(folder: Path, files: Collection[str]) -> dict[str, Path]:
    """Which of the files a folder has, under any of the usual names: file -> path, in their order.

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
