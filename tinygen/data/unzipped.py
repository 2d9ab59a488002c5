"""A file is read through gzip if it begins like a gzip file, whatever its name."""

from __future__ import annotations

import gzip
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from tinygen.errors import InputError

Stream = BinaryIO | gzip.GzipFile


@contextmanager
def unzipped(path: Path) -> Iterator[tuple[Stream, int | None]]:
    """Open a file to read its uncompressed bytes: ``(stream, size)``, no size if it is gzipped.

    gzip compares its checksum when the end of the stream is read, so read until nothing is left.

    Raises:
        InputError: the file cannot be read, now or later within the ``with``; one sentence that
            names it.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for its other end
            raise InputError(f"{path}: expected a file, got a folder or a device")
        with path.open("rb") as raw:
            size = os.fstat(raw.fileno()).st_size
            zipped = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if not zipped:
                yield raw, size
                return
            with gzip.GzipFile(fileobj=raw) as stream:
                yield stream, None
    except (EOFError, zlib.error, gzip.BadGzipFile) as problem:
        raise InputError(
            f"{path}: expected a whole gzip file, got a damaged one ({problem})"
        ) from None
    except OSError as problem:
        raise InputError(f"{path}: cannot be read ({problem.strerror or problem})") from None
