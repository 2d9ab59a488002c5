"""Mirrors for downloads, which run on this host."""

from __future__ import annotations

import http.server
import socket
import threading

import pytest


@pytest.fixture
def no_proxy(monkeypatch):
    """Requests go where they are sent, whatever the environment of the tests says."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def closed_mirror():
    """The address of a mirror that refuses connections."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    return f"http://127.0.0.1:{port}/"


class Mirror:
    """A web server that serves `files` (name -> bytes); a promised length may be too long."""

    def __init__(self):
        self.files, self.asked, self.missing_bytes = {}, [], 0
        mirror = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                name = self.path.lstrip("/")
                mirror.asked.append(name)
                if name not in mirror.files:
                    self.send_error(403)
                    return
                content = mirror.files[name]
                self.send_response(200)
                self.send_header("Content-Length", str(len(content) + mirror.missing_bytes))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def two_mirrors(no_proxy):
    mirrors = Mirror(), Mirror()
    yield mirrors
    for mirror in mirrors:
        mirror.close()
