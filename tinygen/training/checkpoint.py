"""A checkpoint: arrays and a description in one file, complete or not there at all.

The file is a zip of ``.npy`` arrays, as `numpy.savez` makes it, with the description as
``meta.json``. Nothing in it is ever unpickled, and nothing is compressed, so that reading can take
no more memory than the file is long.
"""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinygen.errors import InputError
from tinygen.files import replacing

FORMAT = "tinygen checkpoint 1"
META = "meta.json"


def save(path: Path, arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> None:
    """Write host `arrays` and the JSON-able `meta`; a checkpoint that was there survives a crash."""
    with replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr(META, json.dumps({"format": FORMAT, **meta}))
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asarray(array), allow_pickle=False)


def read_meta(path: Path) -> dict[str, Any]:
    """The description alone.

    Raises:
        InputError: there is no file, or it is no complete checkpoint.
    """
    with _Guarded(path) as archive:
        return _meta(archive, path)


def load(path: Path, expected: Mapping[str, tuple[int, ...]]) -> tuple[dict[str, Any], dict]:
    """The arrays named in `expected`, which must have these shapes, and the description.

    Raises:
        InputError: there is no file, it is damaged, or an array is missing or of another shape.
    """
    arrays = {}
    with _Guarded(path) as archive:
        meta = _meta(archive, path)
        for name, shape in expected.items():
            try:
                entry = archive.getinfo(f"{name}.npy")
            except KeyError:
                raise InputError(f"{path}: the checkpoint has no {name}") from None
            if entry.compress_type != zipfile.ZIP_STORED:
                raise _damaged(path, f"{name} is compressed, which tinygen never does")
            with archive.open(entry) as file:
                arrays[name] = _array(file, path, name, tuple(shape))
    return arrays, meta




class _Guarded:
    """An open zip file, every fault of which is told as one sentence."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> zipfile.ZipFile:
        try:
            self.archive = zipfile.ZipFile(self.path)
        except FileNotFoundError:
            raise InputError(f"{self.path}: there is no checkpoint") from None
        except (OSError, *_FAULTS) as error:
            raise _damaged(self.path, str(error)) from None
        return self.archive

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        self.archive.close()
        if isinstance(error, InputError):
            return
        if isinstance(error, (OSError, *_FAULTS)):
            raise _damaged(self.path, str(error)) from None


_FAULTS = (
    zipfile.BadZipFile,
    ValueError,
    EOFError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    struct.error,
)


def _meta(archive: zipfile.ZipFile, path: Path) -> dict[str, Any]:
    try:
        entry = archive.getinfo(META)
    except KeyError:
        raise _damaged(path, f"it holds no {META}") from None
    if entry.compress_type != zipfile.ZIP_STORED:
        raise _damaged(path, f"{META} is compressed, which tinygen never does")
    meta = json.loads(archive.read(entry))
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise _damaged(path, f"its {META} does not say {FORMAT!r}")
    return meta


def _array(file: Any, path: Path, name: str, shape: tuple[int, ...]) -> Any:
    version = np.lib.format.read_magic(file)
    read_header = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    found, fortran, dtype = read_header(file)
    if found != shape:
        raise InputError(
            f"{path}: the checkpoint is of another architecture: "
            f"its {name} has shape {found}, expected {shape}"
        )
    if dtype.kind not in "fiu" or fortran:
        raise _damaged(path, f"{name} holds {dtype}, expected numbers")
    size = dtype.itemsize * int(np.prod(shape))
    data = file.read(size + 1)  # one byte more, so that the end is reached and its sum is checked
    if len(data) != size:
        raise _damaged(path, f"{name} has {len(data)} bytes, expected {size}")
    return np.frombuffer(data, dtype).reshape(shape).copy()


def _damaged(path: Path, why: str) -> InputError:
    return InputError(f"{path}: this is no complete tinygen checkpoint ({why})")
