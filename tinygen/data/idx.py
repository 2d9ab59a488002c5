"""An IDX file is an array with a short header; nothing in it is trusted before it is checked.

The format, from the MNIST site: two zero bytes, a byte for the type (8 is uint8), a byte for the
number of dimensions, each dimension as a big-endian uint32, then the values in C order.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import struct
from math import prod
from pathlib import Path
from typing import Literal

import numpy as np

from tinygen.data.unzipped import Stream, unzipped
from tinygen.display import times
from tinygen.errors import InputError
from tinygen.files import replacing

Kind = Literal["images", "labels"]

_DIMENSIONS = {"images": (3, 4), "labels": (1,)}
_TYPES = {
    0x08: "uint8",
    0x09: "int8",
    0x0B: "int16",
    0x0C: "int32",
    0x0D: "float32",
    0x0E: "float64",
}
_MOST_DIMENSIONS = 32
MAX_BYTES = 1 << 32
"""The most bytes of values that a file may hold by default."""

_CHUNK = 1 << 18


def read(
    path: str | os.PathLike[str], *, expect: Kind | None = None, max_bytes: int = MAX_BYTES
) -> np.ndarray:
    """Read an IDX file of uint8, gzipped or plain, as a writable array.

    `expect` demands images, (n, h, w) or (n, h, w, c), or labels, (n,). A header that promises more
    than `max_bytes` of values, or not what the file holds, fails before memory is spent on it.

    Raises:
        InputError: the file cannot be read or is not what was expected; one sentence that names it.
    """
    return read_hashed(path, expect=expect, max_bytes=max_bytes)[0]


def read_hashed(
    path: str | os.PathLike[str], *, expect: Kind | None = None, max_bytes: int = MAX_BYTES
) -> tuple[np.ndarray, str]:
    """Like `read`, with the SHA-256 of the uncompressed file in hexadecimal, from the same pass."""
    path = Path(path)
    with unzipped(path) as (stream, size):
        return _parse(path, stream, size, expect, max_bytes)


def write(path: str | os.PathLike[str], array: np.ndarray) -> None:
    """Write a uint8 array as an IDX file, gzipped if the name ends in .gz, complete or not at all.

    Raises:
        InputError: the array is not uint8 with 1 to 32 dimensions, or the file cannot be written.
    """
    if array.dtype != np.uint8 or not 1 <= array.ndim <= _MOST_DIMENSIONS:
        raise InputError(
            f"{path}: expected a uint8 array with 1 to {_MOST_DIMENSIONS} dimensions, "
            f"got {array.dtype} with {array.ndim}"
        )
    content = struct.pack(f">HBB{array.ndim}I", 0, 0x08, array.ndim, *array.shape) + array.tobytes()
    if Path(path).suffix == ".gz":
        content = gzip.compress(content, mtime=0)  # no time stamp: equal arrays make equal files
    try:
        with replacing(path) as file:
            file.write(content)
    except OSError as problem:
        raise InputError(f"{path}: cannot be written ({problem.strerror or problem})") from None


def _parse(
    path: Path, stream: Stream, size: int | None, expect: Kind | None, limit: int
) -> tuple[np.ndarray, str]:
    """The array and hash of an uncompressed stream; `size` is its length where that is known."""
    magic = stream.read(4)
    dimensions = _check_magic(path, magic, expect)
    header = magic + stream.read(4 * dimensions)
    if len(header) < 4 + 4 * dimensions:
        raise InputError(
            f"{path}: expected a header of {4 + 4 * dimensions} bytes, got only {len(header)}"
        )
    shape = struct.unpack(f">{dimensions}I", header[4:])
    promised = _check_shape(path, shape, limit)
    if size is not None and size != len(header) + promised:
        raise _length_error(path, shape, promised, size - len(header))
    sha256 = hashlib.sha256(header)
    values = _fill(stream, promised, sha256)
    if len(values) != promised:
        raise _length_error(path, shape, promised, len(values))
    # The last read also makes gzip compare its checksum, which is at the end of the file.
    if stream.read(1):
        raise _length_error(path, shape, promised, "more")
    return np.frombuffer(values, np.uint8).reshape(shape), sha256.hexdigest()


def _check_magic(path: Path, magic: bytes, expect: Kind | None) -> int:
    """The number of dimensions that the first four bytes give."""
    wanted = f"an IDX file of {expect or 'uint8'}"
    if not magic:
        raise InputError(f"{path}: expected {wanted}, got an empty file")
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES:
        hint = " (a web page?)" if magic.lstrip()[:1] == b"<" else ""
        raise InputError(f"{path}: expected {wanted}, got a file that begins {magic!r}{hint}")
    kind, dimensions = magic[2], magic[3]
    if kind != 0x08:
        raise InputError(f"{path}: expected an IDX file of uint8, got one of {_TYPES[kind]}")
    if expect is not None and dimensions not in _DIMENSIONS[expect]:
        allowed = " or ".join(map(str, _DIMENSIONS[expect]))
        kinds = {n: f"{key} ({n} dimensions)" for key in _DIMENSIONS for n in _DIMENSIONS[key]}
        actual = kinds.get(dimensions, f"one with {dimensions} dimensions")
        raise InputError(f"{path}: expected {wanted} ({allowed} dimensions), got {actual}")
    if not 1 <= dimensions <= _MOST_DIMENSIONS:
        raise InputError(f"{path}: expected 1 to {_MOST_DIMENSIONS} dimensions, got {dimensions}")
    return dimensions


def _check_shape(path: Path, shape: tuple[int, ...], limit: int) -> int:
    """The number of values in `shape`, in Python integers, which cannot overflow."""
    # A zero must not hide the others: NumPy also refuses (0, 2**32 - 1, 2**32 - 1).
    if prod(max(d, 1) for d in shape) > limit:
        raise InputError(
            f"{path}: expected at most {limit} bytes of values, "
            f"got a header that promises {times(shape)}"
        )
    return prod(shape)


def _fill(stream: Stream, promised: int, sha256: hashlib._Hash) -> bytearray:
    """Up to `promised` bytes, hashed on the way; memory grows only with what has been read."""
    values = bytearray()
    while len(values) < promised:
        chunk = stream.read(min(_CHUNK, promised - len(values)))
        if not chunk:
            break
        sha256.update(chunk)
        values += chunk
    return values


def _length_error(
    path: Path, shape: tuple[int, ...], promised: int, actual: int | str
) -> InputError:
    return InputError(
        f"{path}: expected {times(shape)} = {promised} bytes after the header, got {actual}"
    )
