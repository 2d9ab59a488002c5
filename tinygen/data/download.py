"""A file is downloaded from the first of its mirrors that sends what is expected."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from tinygen.data.locations import make_in_cache
from tinygen.errors import InputError
from tinygen.files import replacing

CONNECT_SECONDS, READ_SECONDS = 3, 10


class DownloadError(InputError):
    """No mirror sent the file."""


def download(
    files: Iterable[str],
    mirrors: Iterable[str],
    folder: Path,
    check: Callable[[str, Path], object],
    *,
    say: Callable[[str], object] = print,
    progress: bool = True,
) -> None:
    """Download files into a folder of the cache, each from the first mirror with the right one.

    A mirror that fails once is not asked for other files: waiting for it once is enough. A download
    that fails or is interrupted leaves nothing; files that were complete before it stay.

    Args:
        files: their names; `mirrors`: what to put before a name, ending in a slash.
        check: called with a name and the path of what was sent; raises InputError to refuse it.
        progress: whether to show a bar, which appears on a terminal only.

    Raises:
        DownloadError: no mirror would do; the message says why for each.
        InputError: the folder cannot be written into.
    """
    make_in_cache(folder)
    mirrors, problems = list(mirrors), []
    for file in files:
        while mirrors:
            url = mirrors[0] + file
            try:
                _require_connection(url)
                say(f"Downloading {url}")
                with replacing(folder / file) as unfinished:
                    _fetch(url, Path(unfinished.name), progress)
                    check(file, Path(unfinished.name))
                break
            except (OSError, InputError) as problem:
                problems.append(f"{urlsplit(url).hostname}: {_reason(problem)}")
                del mirrors[0]
        else:
            raise DownloadError("; ".join(problems))


def _require_connection(url: str) -> None:
    """Raise OSError unless the host answers soon.

    Without a network, requests would wait for each of a mirror's addresses in turn, and large hosts
    have many; one of each kind (IPv4, IPv6) tells as much. A proxy is left to requests.
    """
    parts = urlsplit(url)
    if getproxies().keys() & {parts.scheme, "all"}:
        return
    port = parts.port or (443 if parts.scheme == "https" else 80)
    first: dict[int, Any] = {}
    for family, _, _, _, address in socket.getaddrinfo(
        parts.hostname, port, type=socket.SOCK_STREAM
    ):
        first.setdefault(family, address)
    for address in first.values():
        try:
            socket.create_connection(address[:2], timeout=CONNECT_SECONDS).close()
            return
        except OSError as problem:
            failure = problem
    raise failure


def _fetch(url: str, path: Path, progress: bool) -> None:
    """Download one file with a bar; raises OSError."""
    from pooch import HTTPDownloader
    from tqdm import tqdm

    # total=1 until pooch knows better, since a bar without a total counts as none; disable=None
    # shows it on a terminal only.
    bar = tqdm(
        total=1,
        desc=url.rsplit("/", 1)[1],
        unit="B",
        unit_scale=True,
        disable=None if progress else True,
    )
    with bar:
        HTTPDownloader(
            progressbar=bar, chunk_size=1 << 16, timeout=(CONNECT_SECONDS, READ_SECONDS)
        )(url, str(path), None)


def _reason(problem: Exception) -> str:
    """Why a download failed, in a few words."""
    response = getattr(problem, "response", None)
    if response is not None:
        return f"answered {response.status_code}"
    if isinstance(problem, InputError):
        return "sent something else than the file"
    return getattr(problem, "strerror", None) or type(problem).__name__
