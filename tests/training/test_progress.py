"""The progress bar, on a pseudo terminal of 80 columns: all that it shows fits on it."""

from __future__ import annotations

import re
import sys
from typing import Any

import pytest
from terminal import COLUMNS, Terminal

from tinygen.training import AAELearner, AdversarialLearner, Progress, SingleLossLearner


def bars(terminal: Terminal) -> list[str]:
    """What was on the terminal's last line, one after the other."""
    return [line.strip() for line in re.split(r"[\r\n]", terminal.close()) if line.strip()]


def show(bar: Any, figures: dict[str, float]) -> None:
    """Figures, and a picture of the bar that has them."""
    bar.show(figures)
    bar._bar.refresh()


@pytest.mark.parametrize("kind", [AdversarialLearner, AAELearner, SingleLossLearner])
def test_all_figures_of_a_learner_fit(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(monkeypatch, "stderr")
    values = iter((-12.34567, 0.6931472, 123.4567, 0.01234567))
    figures = {name: next(values) for name in kind.figures.values()}
    bar = Progress(20, {}).epoch(9, 60_000, 0)
    bar.update(12_345)
    bar._bar.start_t -= 3  # seconds ago, so that the rate is one of four digits
    show(bar, figures)
    bar.close()
    *_, line = bars(terminal)
    assert len(line) < COLUMNS and re.match(r"epoch 10/20: +21%\|", line)
    for name, value in figures.items():
        match = re.search(rf"(^|\s){re.escape(name)} (-?[\d.]+)(?=[\s\]]|$)", line)
        assert match and float(match[2]) == pytest.approx(value, rel=5e-3), name
    assert re.search(r"\d\d:\d\d", line), "the time that is left"
    assert ("images/s" in line) == (kind is SingleLossLearner)
    assert len(line.split("|")[1]) >= 8 or kind is AAELearner, "or it is hardly a bar"


def test_a_figure_that_a_step_lacks_keeps_its_last_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """A generator that moves in every third step shows its last loss in the others."""
    terminal = Terminal(monkeypatch, "stderr")
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
    ends = [line.rsplit("|", 1)[1] for line in bars(terminal)]
    shown = [" ".join(re.findall(r"[DG] \d", end)) for end in ends]
    assert shown == ["", "D 1", "D 2 G 3", "D 4 G 3", "", "D 4 G 3", "D 5 G 3", "", ""]


def test_without_a_terminal_there_is_no_bar(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    for stream in (sys.stderr, None):
        monkeypatch.setattr(sys, "stderr", stream)
        bar = Progress(1, {}).epoch(0, 100, 0)
        show(bar, {"D": 1.0, "G": 2.0})
        bar.update(100)
        bar.close()
    assert capsys.readouterr().out == ""
