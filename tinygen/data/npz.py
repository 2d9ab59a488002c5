"""A data set in one .npz file: four arrays, named as by Keras and many others."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from pathlib import Path

import numpy as np

from tinygen.data.idx import MAX_BYTES
from tinygen.errors import InputError

try:
    from lzma import LZMAError
except ImportError:  # a Python built without it reads no LZMA member, whole or damaged
    LZMAError = zlib.error  # type: ignore[assignment,misc]

DAMAGED = (zipfile.BadZipFile, zlib.error, LZMAError, ValueError, EOFError, MemoryError)

IMAGES, LABELS = ("x_train", "x_test"), ("y_train", "y_test")


def read_hashed(path: Path) -> tuple[dict[str, np.ndarray], str]:
    """The arrays of a file by name, and the file's SHA-256 in hexadecimal.

    Labels may be missing; those of shape (n, 1) become (n,). Neither pickled objects nor arrays of
    more than `MAX_BYTES` are loaded.

    Raises:
        InputError: the file cannot be read, or has no such arrays; one sentence that names it.
    """
    if not path.is_file():
        raise InputError(f"{path}: expected an .npz file, got {_what(path)}")
    try:
        with zipfile.ZipFile(path) as file:
            sizes = {m.filename.removesuffix(".npy"): m.file_size for m in file.infolist()}
        wanted = _wanted(path, sizes)
        with np.load(path, allow_pickle=False) as arrays:
            read = {key: np.asarray(arrays[key]) for key in wanted}
        return {key: _without_last_axis(key, x) for key, x in read.items()}, _sha256(path)
    except InputError:  # which is a ValueError, too
        raise
    except DAMAGED as problem:
        raise InputError(f"{path}: expected a whole .npz file of arrays ({problem})") from None
    except RuntimeError as problem:  # encrypted, or, a NotImplementedError, oddly compressed
        raise InputError(
            f"{path}: expected an .npz file as numpy.savez writes it ({problem})"
        ) from None
    except OSError as problem:
        raise InputError(f"{path}: cannot be read ({problem.strerror or problem})") from None


def _wanted(path: Path, sizes: dict[str, int]) -> tuple[str, ...]:
    """The names of the arrays to read, if they are there and not too large."""
    wanted = IMAGES + (LABELS if {*LABELS} & {*sizes} else ())
    if missing := [key for key in wanted if key not in sizes]:
        raise InputError(
            f"{path}: expected arrays {', '.join(IMAGES + LABELS)}, got {', '.join(sizes)}; "
            f"there is no {' and no '.join(missing)}; tg.data.from_arrays sets some images of one "
            "array apart for testing"
        )
    for key in wanted:
        if sizes[key] > MAX_BYTES:
            raise InputError(f"{path}: expected at most {MAX_BYTES} bytes, {key} has {sizes[key]}")
    return wanted


def _without_last_axis(key: str, x: np.ndarray) -> np.ndarray:
    """Labels of shape (n, 1) as (n,)."""
    return x[:, 0] if key in LABELS and x.shape[1:] == (1,) else x


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _what(path: Path) -> str:
    return "a folder" if path.is_dir() else "nothing of that name"
