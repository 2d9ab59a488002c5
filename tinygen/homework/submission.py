"""Reads what a student handed in, whatever it is, as the text of one Python file.

Nothing is executed or unpacked to disk, and no link is followed: it is a stranger's.
"""

from __future__ import annotations

import json
import os
import re
import stat
import unicodedata
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tinygen.errors import InputError
from tinygen.homework import notebooks
from tinygen.homework.notebooks import LARGEST_SOURCE
from tinygen.homework.sandbox.parent import printable

KB = 10**3
LARGEST = {".py": 200 * KB, ".ipynb": 20_000 * KB}
"""The largest size of each kind of submission, in bytes; a notebook has pictures in it."""
LARGEST_ZIP = 20_000 * KB
LARGEST_TOGETHER = 40_000 * KB
"""The largest total of all possible submissions in a folder or a zip, unpacked."""
MOST_FILES = 2000
"""The most files in a folder or a zip."""
DEEPEST = 20
"""The deepest nesting of folders."""
LONGEST_NAME = 50
"""The longest name of a student: it becomes a file name, and must fit a line of a table."""
HEADER = re.compile(
    r"^# tinygen homework: (\w{1,40}), variant (\d{1,9})(?:, level ([12]))?\s*$", re.M
)
NOT_HANDED_IN = {"checking", "__pycache__", "__MACOSX", "check.py"}
"""What the kit or the system puts beside a submission."""


@dataclass(frozen=True)
class Submission:
    """What was handed in.

    Attributes:
        name: that of the file.
        source: its text as Python, lines ending in a line feed; for a notebook, its cells, with
            ``# %% cell 5`` above each.
        assignment, variant, level: what its first line says; "" and None if it says nothing.
        ignored: the names of other programs that came with it.
    """

    name: str
    source: str
    assignment: str = ""
    variant: int | None = None
    level: int | None = None
    ignored: tuple[str, ...] = ()


def read(path: str | os.PathLike[str], assignment: str = "") -> Submission:
    """Read what one student handed in.

    Args:
        path: a .py or .ipynb file, or a folder or .zip with one in it.
        assignment: which one it is for, if that is known.

    Raises:
        InputError: there is no submission, or more than one.
    """
    try:
        return _read(Path(path), assignment)
    except InputError as error:
        raise InputError(printable(str(error))) from None  # file names are a stranger's too


def name_of(text: str) -> str:
    """A student's name as in all lists: Macs write an umlaut as two characters."""
    return " ".join(printable(unicodedata.normalize("NFC", text)).split()) or "?"


def _read(path: Path, assignment: str) -> Submission:
    texts: dict[str, str | InputError] = {}
    together = 0
    for name, data in _files(path):
        if name in texts:
            raise InputError(f"expected each file once in {path.name}, got {name} twice")
        together += len(data) if isinstance(data, bytes) else 0
        if together > LARGEST_TOGETHER:
            raise InputError(
                f"expected at most {LARGEST_TOGETHER // KB:,} kB of .py and .ipynb files in "
                f"{path.name}, got more"
            )
        try:
            texts[name] = _source(name, data)
        except InputError as error:
            texts[name] = error
    name = _choose(path, texts, assignment)
    source = texts[name]
    if isinstance(source, InputError):
        raise source
    ignored = tuple(other for other in texts if other != name)
    header = HEADER.search(source)
    if not header:
        return Submission(name, source, ignored=ignored)
    if assignment and header[1] != assignment:
        raise InputError(f"expected homework {assignment}, got {header[1]} in {name}")
    level = int(header[3]) if header[3] else None
    return Submission(name, source, header[1], int(header[2]), level, ignored)


def _choose(path: Path, texts: Mapping[str, str | InputError], assignment: str) -> str:
    """The name of the file that is meant; a program comes before the notebook it was made from."""
    texts = {n: texts[n] for n in texts if n[-6:] != ".ipynb" or f"{n[:-6]}.py" not in texts}

    def of(name: str) -> str:
        header = HEADER.search(str(texts[name]))
        return header[1] if header else ""

    if not texts:
        raise InputError(f"expected a .py or .ipynb file in {path.name}, got none")
    headed = [name for name in texts if (of(name) == assignment if assignment else of(name))]
    named = [n for n in texts if PurePosixPath(n).stem == (assignment or of(n) or None)]
    both = [name for name in headed if name in named]
    for names in (both, headed, named, [*texts]):
        if len(names) == 1:
            return names[0]
        if names:
            break
    raise InputError(f"expected one submission in {path.name}, got {', '.join(sorted(names)[:5])}")


def _files(path: Path) -> Iterator[tuple[str, bytes | InputError]]:
    """The files that may be a submission: the names and contents, or why there are no contents."""
    if not path.exists():
        raise InputError(f"expected a file or a folder, got {path}, which does not exist")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path.name} cannot be read: permission denied")
    if path.is_dir():
        yield from _of_folder(path)
    elif path.is_file() and path.suffix.lower() == ".zip":
        yield from _of_zip(path)
    elif path.suffix.lower() in LARGEST:
        yield path.name, _of_file(path.resolve(), path.name)
    else:
        raise InputError(f"expected a .py or .ipynb file, a folder or a .zip, got {path.name}")


def _may_be(name: str) -> bool:
    """Whether a path in a folder or zip may be a submission."""
    parts = PurePosixPath(name).parts
    hidden = any(part in NOT_HANDED_IN or part.startswith(".") for part in parts)
    return not hidden and PurePosixPath(name).suffix.lower() in LARGEST


def _of_folder(folder: Path) -> Iterator[tuple[str, bytes | InputError]]:
    """The files in a folder; if there are none, those in its zips, as some platforms have them."""
    count, zips, empty = 0, [], True
    for parent, folders, names in os.walk(folder):  # it follows no links
        deep = len(Path(parent).relative_to(folder).parts) == DEEPEST
        folders[:] = [
            f for f in sorted(folders) if f not in NOT_HANDED_IN and f[0] != "." and not deep
        ]
        for name in sorted(names):
            path = Path(parent, name)
            relative = path.relative_to(folder).as_posix()
            count += 1
            if count > MOST_FILES:
                raise InputError(f"expected at most {MOST_FILES} files in {folder.name}, got more")
            if _may_be(relative):
                empty = False
                yield printable(relative), _of_file(path, printable(relative))
            elif path.suffix.lower() == ".zip" and path.is_file() and not path.is_symlink():
                zips.append(path)
    for path in zips if empty else ():
        yield from _of_zip(path)


def _of_file(path: Path, name: str) -> bytes | InputError:
    """The contents of a file that is not a link."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | NO_WAITING)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return InputError(f"expected a file, got {name}, which is none")
            largest = LARGEST[PurePosixPath(name).suffix.lower()]
            data = file.read(largest + 1)
            return data if len(data) <= largest else _too_large(largest, name)
    except OSError as error:
        return InputError(f"{name} cannot be read: {error.strerror}")


NO_WAITING = getattr(os, "O_NONBLOCK", 0)  # do not wait for a pipe's other end


def _of_zip(path: Path) -> Iterator[tuple[str, bytes | InputError]]:
    if path.stat().st_size > LARGEST_ZIP:
        raise InputError(f"expected at most {LARGEST_ZIP // KB:,} kB, got more in {path.name}")
    try:
        with zipfile.ZipFile(path) as file:
            members = file.infolist()
            if len(members) > MOST_FILES:
                raise InputError(f"expected at most {MOST_FILES} files in {path.name}, got more")
            for member in members:
                name = member.filename.replace("\\", "/")
                climbs = name.startswith("/") or ".." in PurePosixPath(name).parts
                if _may_be(name) and not climbs:
                    yield printable(name), _of_member(file, member, name)
    except InputError:
        raise
    except Exception as error:  # a stranger's bytes: reading them may raise anything
        raise InputError(f"expected a .zip file, got {path.name}, which is none: {error}") from None


def _of_member(file: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> bytes | InputError:
    """The contents of a file in a zip; no more is unpacked than is allowed."""
    if stat.S_ISLNK(member.external_attr >> 16):
        return InputError(f"expected a file, got {name}, which is a link")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return InputError(f"expected a common .zip, got {name} compressed in another way")
    largest = LARGEST[PurePosixPath(name).suffix.lower()]
    if member.file_size > largest:  # not a byte is unpacked: there may be many
        return _too_large(largest, name)
    try:
        with file.open(member) as stream:
            return stream.read(largest)
    except Exception as error:  # it is broken, or has a password
        return InputError(f"{name} cannot be unpacked: {error}")


def _too_large(largest: int, name: str) -> InputError:
    return InputError(f"expected at most {largest // KB:,} kB in {name}, got more")


def _source(name: str, data: bytes | InputError) -> str:
    """The text of a file as Python."""
    if isinstance(data, InputError):
        raise data
    text = notebooks.text_of(name, data)
    if name.lower().endswith(".ipynb"):
        try:
            text = notebooks.source_of(text)
        except (InputError, RecursionError) as error:
            raise InputError(f"{name}: {error}") from None
    if not text.strip():
        raise InputError(f"expected Python, got {name}, which is empty")
    if len(json.dumps(text)) > LARGEST_SOURCE:
        raise InputError(
            f"expected at most {LARGEST_SOURCE // KB} kB of Python in {name}, got more"
        )
    return text
