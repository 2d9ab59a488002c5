"""Downloads: the first mirror that has a file and has it right, and nothing half done."""

from __future__ import annotations

import io
import re
import shutil
import socket
import sys

import pytest

from tinygen.data import download
from tinygen.data.download import DownloadError
from tinygen.errors import InputError

FILES = {"one.gz": b"the first " * 200, "two.gz": b"the second " * 300, "three.gz": b"3"}


def check(name, path):
    """Refuses what is not the file of that name."""
    if path.read_bytes() != FILES[name]:
        raise InputError(f"{path} is not {name}")


def fetched(folder, mirrors, files=FILES, progress=False):
    """Download; what was said. Afterwards the folder has the files and nothing else."""
    said = []
    urls = [getattr(mirror, "url", mirror) for mirror in mirrors]
    download.download(files, urls, folder, check, say=said.append, progress=progress)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        name: FILES[name] for name in files
    }
    return said


def test_all_from_the_first_mirror(tmp_path, two_mirrors):
    first, second = two_mirrors
    first.files = FILES
    said = fetched(tmp_path / "new" / "folder", two_mirrors)
    assert said == [f"Downloading {first.url}{name}" for name in FILES]
    assert first.asked == list(FILES) and second.asked == []


@pytest.mark.parametrize("fault", ["forbidden", "another file", "cut short", "closed"])
def test_a_mirror_that_fails_is_left_for_the_next(tmp_path, two_mirrors, closed_mirror, fault):
    bad, good = two_mirrors
    good.files, bad.files = FILES, dict(FILES)
    mirrors = [bad, good]
    if fault == "forbidden":
        del bad.files["two.gz"]
    elif fault == "another file":
        bad.files["two.gz"] = b"<html>Please sign in"
    elif fault == "cut short":
        bad.missing_bytes = 100
    else:
        mirrors = [closed_mirror, good]
    fetched(tmp_path, mirrors)
    if fault in ("forbidden", "another file"):
        assert (bad.asked, good.asked) == (["one.gz", "two.gz"], ["two.gz", "three.gz"])


def test_no_mirror_has_it(tmp_path, two_mirrors, closed_mirror):
    two_mirrors[1].files = dict.fromkeys(FILES, b"<html>Please sign in")
    with pytest.raises(DownloadError) as caught:
        fetched(tmp_path, [*two_mirrors, closed_mirror])
    assert str(caught.value) == (
        "127.0.0.1: answered 403; 127.0.0.1: sent something else than the file; "
        "127.0.0.1: Connection refused"
    )
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_download_leaves_what_was_complete(tmp_path, monkeypatch, two_mirrors):
    two_mirrors[0].files = FILES
    fetch = download._fetch

    def fetch_and_interrupt(url, path, progress):
        fetch(url, path, progress)
        if "three" in url:
            raise KeyboardInterrupt

    monkeypatch.setattr(download, "_fetch", fetch_and_interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetched(tmp_path, two_mirrors)
    assert {path.name for path in tmp_path.iterdir()} == {"one.gz", "two.gz"}


def test_a_bar_on_a_terminal_only(tmp_path, monkeypatch, two_mirrors):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    two_mirrors[0].files = FILES
    for stream, progress in ((Terminal(), True), (Terminal(), False), (io.StringIO(), True)):
        monkeypatch.setattr(sys, "stderr", stream)
        fetched(tmp_path / "folder", two_mirrors, progress=progress)
        if stream.isatty() and progress:
            assert re.search("two.gz: 100%.* 3.30k", stream.getvalue())
        else:
            assert stream.getvalue() == ""
        shutil.rmtree(tmp_path / "folder")


def test_a_folder_that_cannot_be_made(tmp_path, two_mirrors):
    (tmp_path / "file").write_bytes(b"in the way")
    sentence = f"{tmp_path / 'file'}: the cache cannot be written into (File exists); set TINYGEN"
    with pytest.raises(InputError, match=re.escape(sentence)):
        fetched(tmp_path / "file", two_mirrors)
    assert two_mirrors[0].asked == []


def test_a_silent_host_is_left_after_one_address_of_each_kind(monkeypatch, no_proxy):
    addresses = [(socket.AF_INET, 1, 6, "", (f"192.0.2.{i}", 80)) for i in range(16)]
    addresses += [(socket.AF_INET6, 1, 6, "", (f"2001:db8::{i}", 80, 0, 0)) for i in range(16)]
    tried = []

    def connect(address, timeout):
        tried.append((address, timeout))
        raise TimeoutError("timed out")

    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses)
    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(TimeoutError):
        download._require_connection("http://mirror.example/file")
    assert [address for address, _ in tried] == [("192.0.2.0", 80), ("2001:db8::0", 80)]
    assert all(timeout <= 5 for _, timeout in tried)


def test_a_dead_mirror_is_asked_for_one_file_only(tmp_path, monkeypatch, two_mirrors):
    dead, good = two_mirrors
    good.files, tried = FILES, []
    require = download._require_connection

    def refuse(url):
        tried.append(url)
        if url.startswith(dead.url):
            raise TimeoutError
        require(url)

    monkeypatch.setattr(download, "_require_connection", refuse)
    fetched(tmp_path, two_mirrors)
    assert [url for url in tried if url.startswith(dead.url)] == [f"{dead.url}one.gz"]
