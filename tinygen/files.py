"""Writes files so that a crash at any moment leaves either the old one or the new one."""

from __future__ import annotations

import errno
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from tinygen.errors import InputError


def named_with(path: str | os.PathLike[str], *endings: str) -> Path:
    """The path of a file to write, whose name must end in one of these, such as ``".html"``.

    Raises:
        InputError: it does not.
    """
    path = Path(path)
    if path.suffix.lower() not in endings:
        raise InputError(f"{path}: expected a name that ends in {' or '.join(endings)}")
    return path


def refuse_existing(path: Path) -> None:
    """A command replaces no file unless it is told to; functions do, as `open` does.

    Raises:
        InputError: there is one.
    """
    if path.exists():
        raise InputError(
            f"{path} exists already; --overwrite replaces it, --out names another file"
        )


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A binary file to write into, which takes the place of `path` once it is complete.

    The file is written beside `path` under another name and synchronised with the disk before it
    is renamed. If anything goes wrong it is removed, and what was at `path` stays. Where `path` is
    a link, the file that it leads to is replaced. Missing folders are made.

    Raises:
        OSError: it cannot be written, as on a full disk; its ``filename`` is `path`.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    target = Path(os.path.realpath(path))  # a link stays one
    # A name of its own, so that two processes never write into one file.
    unfinished = target.with_name(f".{target.name}.{secrets.token_hex(4)}.unfinished")
    try:
        with suppress(FileExistsError):  # a file, in which nothing can be opened
            target.parent.mkdir(parents=True, exist_ok=True)
        with open(unfinished, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _replace(unfinished, target)
    except BaseException as error:
        with suppress(OSError):
            unfinished.unlink()
        if isinstance(error, OSError) and error.errno:
            raise OSError(error.errno, error.strerror or str(error), str(path)) from error
        raise


def _replace(unfinished: Path, path: Path) -> None:
    """Rename a file; try for a second, as Windows refuses while a process reads the old one."""
    for seconds in (0.01, 0.04, 0.2, 0.75):
        with suppress(PermissionError):
            os.replace(unfinished, path)
            return
        time.sleep(seconds)
    os.replace(unfinished, path)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Replace the file at `path` with `text`; what UTF-8 cannot encode becomes a "?"."""
    with replacing(path) as file:
        file.write(text.encode(errors="replace"))
