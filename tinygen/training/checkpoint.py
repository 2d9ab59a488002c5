"""A checkpoint: arrays and a description in one file, complete or not there at all.

The file is a zip of ``.npy`` arrays, as `numpy.savez` makes it, with the description as
``meta.json``. Nothing in it is trusted before it is checked: nothing is ever unpickled, nothing is
compressed, and no more is read than was expected, whatever sizes the file claims.
"""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tinygen.errors import InputError
from tinygen.files import replacing

FORMAT = "tinygen checkpoint 1"
META = "meta.json"
MOST_META = 1 << 24
"""The largest description in bytes, enough for some 50,000 epochs."""


def save(path: Path, arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> None:
    """Write host `arrays` and the JSON-able `meta`; what was at `path` survives a crash."""
    with replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr(META, json.dumps({"format": FORMAT, **meta}))
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asarray(array), allow_pickle=False)


def read_meta(path: Path) -> dict[str, Any]:
    """The description alone.

    Raises:
        InputError: there is no file, or it is not a complete checkpoint.
    """
    with _opened(path) as archive:
        return _meta(archive, path)


def load(path: Path, like: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Host arrays with the names, shapes and dtypes of those in `like`, and the description.

    Raises:
        InputError: there is no file, it is damaged, or an array is missing or does not match.
    """
    with _opened(path) as archive:
        meta = _meta(archive, path)
        return {name: _array(archive, path, name, x) for name, x in like.items()}, meta


def damaged(path: Path, why: str) -> InputError:
    """The error for a checkpoint that is not what `save` wrote."""
    return InputError(f"{path}: this is no complete tinygen checkpoint ({why})")


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """An open zip file; any fault in it is reported in one sentence."""
    if not path.exists():
        raise InputError(f"{path}: there is no checkpoint")
    if not path.is_file():  # opening a pipe would wait for its other end
        raise damaged(path, "it is a folder or a device")
    try:
        with warnings.catch_warnings(), zipfile.ZipFile(path) as archive:
            warnings.simplefilter("ignore")  # NumPy's, about headers that only Python 2 wrote
            yield archive
    except InputError:
        raise
    # On damaged bytes zipfile, json and NumPy between them raise a dozen kinds of exceptions.
    except Exception as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise damaged(path, lines[0][:200]) from None


def _meta(archive: zipfile.ZipFile, path: Path) -> dict[str, Any]:
    with archive.open(_entry(archive, path, META)) as file:
        text = file.read(MOST_META + 1)
    if len(text) > MOST_META:
        raise damaged(path, f"{META} has more than {MOST_META} bytes")
    meta = json.loads(text)
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise damaged(path, f"its {META} does not say {FORMAT!r}")
    return meta


def _array(archive: zipfile.ZipFile, path: Path, name: str, like: Any) -> Any:
    with archive.open(_entry(archive, path, f"{name}.npy")) as file:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise damaged(path, f"{name} has a header of version {version}, expected (1, 0)")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file, max_header_size=1000)
        refuse_other(path, name, shape, dtype, like)
        if fortran:
            raise InputError(f"{path}: its {name} is {dtype}, expected {like.dtype}")
        size = dtype.itemsize * like.size
        data = file.read(size + 1)  # one more, to reach the end, where the CRC is checked
        if len(data) != size:
            raise damaged(path, f"{name} has {len(data)} bytes, expected {size}")
    return np.frombuffer(data, dtype).reshape(shape).copy()


def refuse_other(path: Path, name: str, shape: Any, dtype: Any, like: Any) -> None:
    """An array in a file must have the shape and dtype of the one that it is read for.

    Raises:
        InputError: it does not.
    """
    if shape != tuple(like.shape):
        raise InputError(
            f"{path}: the checkpoint is of another architecture: "
            f"its {name} has shape {shape}, expected {tuple(like.shape)}"
        )
    if dtype != like.dtype:
        raise InputError(f"{path}: its {name} is {dtype}, expected {like.dtype}")


def _entry(archive: zipfile.ZipFile, path: Path, name: str) -> zipfile.ZipInfo:
    try:
        entry = archive.getinfo(name)
    except KeyError:
        raise damaged(path, f"it holds no {name}") from None
    if entry.compress_type != zipfile.ZIP_STORED:
        raise damaged(path, f"{name} is compressed, which tinygen never does")
    if max(entry.file_size, entry.compress_size) > path.stat().st_size:
        raise damaged(path, f"its {name} claims to be larger than the file")
    return entry
