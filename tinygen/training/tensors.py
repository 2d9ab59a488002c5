"""Arrays and a description in a .safetensors file, by the package safetensors, if it is installed.

It reads and writes the same as `tinygen.training.checkpoint`, for programs that know this format.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tinygen.errors import InputError
from tinygen.files import replacing
from tinygen.training.checkpoint import FORMAT, damaged, refuse_other

KEY = "tinygen"
"""The key of the file's metadata under which the description is stored as JSON."""


def save(path: Path, arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> None:
    """Write host `arrays` and the JSON-able `meta`; what was at `path` survives a crash."""
    text = json.dumps({"format": FORMAT, **meta})
    rows = {name: np.ascontiguousarray(x) for name, x in arrays.items()}
    content = _package(path).numpy.save(rows, {KEY: text})
    with replacing(path) as file:
        file.write(content)


def read_meta(path: Path) -> dict[str, Any]:
    """The description alone.

    Raises:
        InputError: there is no file, or not one that `save` wrote.
    """
    with _opened(path) as file:
        meta = json.loads((file.metadata() or {}).get(KEY, "{}"))
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise damaged(path, f"its metadata do not say {FORMAT!r}")
    return meta


def load(path: Path, like: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Host arrays with the names, shapes and dtypes of those in `like`, and the description.

    Raises:
        InputError: there is no file, it is damaged, or an array is missing or does not match.
    """
    meta = read_meta(path)
    with _opened(path) as file:
        arrays = {name: file.get_tensor(name) for name in like}
    for name, x in like.items():
        refuse_other(path, name, arrays[name].shape, arrays[name].dtype, x)
    return arrays, meta


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """An open file; any fault in it is reported in one sentence."""
    package = _package(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    try:
        with package.safe_open(str(path), framework="numpy") as file:
            yield file
    except (package.SafetensorError, ValueError, OSError) as error:
        raise damaged(path, (str(error).splitlines() or ["damaged"])[0][:200]) from None


def _package(path: Path) -> Any:
    try:
        import safetensors.numpy
    except ImportError:
        raise InputError(
            f"{path}: a .safetensors file needs the package safetensors; "
            "pip install safetensors, or take a name that ends in .npz"
        ) from None
    return safetensors
