"""A pseudo terminal in this process: what a user would see of what is printed."""

from __future__ import annotations

import os
import struct
import sys
import threading

import pytest

COLUMNS = 80


class Terminal:
    """A terminal of 80 columns in place of some of the standard streams.

    No fixture: pytest restores its own streams before a test begins.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *streams: str) -> None:
        fcntl, pty, termios = map(pytest.importorskip, ("fcntl", "pty", "termios"))
        self._controller, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
        self._file = os.fdopen(terminal, "w", encoding="utf-8")
        for stream in streams:
            monkeypatch.setattr(sys, stream, self._file)
        self._written = b""
        # The terminal holds a few kilobytes, and then whoever writes to it waits for a reader.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                chunk = os.read(self._controller, 1 << 16)
            except OSError:  # on Linux, the end of a terminal
                break
            if not chunk:
                break
            self._written += chunk
        os.close(self._controller)

    def close(self) -> str:
        """All that was written to it."""
        self._file.close()
        self._reader.join()
        return self._written.decode()


def screen_lines(written: str) -> list[str]:
    """The lines that remain on the screen once all carriage returns were followed."""
    lines = []
    for line in written.replace("\r\n", "\n").split("\n"):
        cells: list[str] = []
        for text in line.split("\r"):
            cells[: len(text)] = text
        lines.append("".join(cells).rstrip())
    return lines
