"""The bar of a training, on a pseudo terminal of 80 columns: all that is to be seen fits on it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import sys
import termios
from typing import Any

import pytest

from tinygen.training import AAELearner, AdversarialLearner, Progress, SingleLossLearner

COLUMNS = 80


class Terminal:
    """In the place of stderr; `lines` are what was on its last line, one after the other.

    No fixture: pytest puts its own stderr back before a test begins.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._controller, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
        self._file = os.fdopen(terminal, "w", encoding="utf-8")
        monkeypatch.setattr(sys, "stderr", self._file)

    def lines(self) -> list[str]:
        self._file.close()
        written = b""
        while True:
            try:
                piece = os.read(self._controller, 1 << 16)
            except OSError:  # on Linux, the end of a terminal
                break
            if not piece:
                break
            written += piece
        os.close(self._controller)
        return [line.strip() for line in re.split(r"[\r\n]", written.decode()) if line.strip()]


def show(bar: Any, figures: dict[str, float]) -> None:
    """Figures, and a picture of the bar that has them."""
    bar.show(figures)
    bar._bar.refresh()


@pytest.mark.parametrize("kind", [AdversarialLearner, AAELearner, SingleLossLearner])
def test_all_figures_of_a_learner_fit(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, values = Terminal(monkeypatch), iter((-12.34567, 0.6931472, 123.4567, 0.01234567))
    figures = {name: next(values) for name in kind.figures.values()}
    bar = Progress(20, {}).epoch(9, 60_000, 0)
    bar.update(12_345)
    bar._bar.start_t -= 3  # seconds ago, so that the rate is one of four digits
    show(bar, figures)
    bar.close()
    *_, line = terminal.lines()
    assert len(line) < COLUMNS and re.match(r"epoch 10/20: +21%\|", line)
    for name, value in figures.items():
        found = re.search(rf"(^|\s){re.escape(name)} (-?[\d.]+)(?=[\s\]]|$)", line)
        assert found and float(found[2]) == pytest.approx(value, rel=5e-3), name
    assert re.search(r"\d\d:\d\d", line), "the time that is left"
    assert ("images/s" in line) == (kind is SingleLossLearner)


def test_what_a_step_has_not_is_shown_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """A generator that moves in every third step is looked at in the others, too."""
    terminal = Terminal(monkeypatch)
    progress = Progress(2, {})
    bar = progress.epoch(0, 100, 0)
    show(bar, {"D": 1.0})
    show(bar, {"D": 2.0, "G": 3.0})
    show(bar, {"D": 4.0})
    bar.close()
    bar = progress.epoch(1, 100, 0)
    bar._bar.refresh()
    show(bar, {"D": 5.0})
    bar.close()
    bar = progress.epoch(0, 100, 0)  # of another training
    bar._bar.refresh()
    bar.close()
    ends = [line.rsplit("|", 1)[1] for line in terminal.lines()]
    shown = [" ".join(re.findall(r"[DG] \d", end)) for end in ends]
    assert shown == ["", "D 1", "D 2 G 3", "D 4 G 3", "", "D 4 G 3", "D 5 G 3", "", ""]


def test_no_terminal_no_bar(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    for stream in (sys.stderr, None):
        monkeypatch.setattr(sys, "stderr", stream)
        bar = Progress(1, {}).epoch(0, 100, 0)
        show(bar, {"D": 1.0, "G": 2.0})
        bar.update(100)
        bar.close()
    assert capsys.readouterr().out == ""
