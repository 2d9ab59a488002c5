"""Shows how a run is getting on: a bar on a terminal, and a line for every epoch.

A notebook shows no bar: each refresh would be another output there.
"""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm

ONE = "{desc}: {percentage:3.0f}%|{bar}| {remaining} left, {rate_fmt}{postfix}"
SEVERAL = "{desc}: {percentage:3.0f}%|{bar}| {remaining} left{postfix}"
"""A bar with one figure, and with several, which leave no room for a rate in 80 columns."""


class Progress:
    """What is shown while training.

    Args:
        epochs: how many there will be.
        columns: ``{key of the row: how to print it}``, such as ``{"test_mse": "test mse {:.5f}"}``.
        quiet: show nothing.

    >>> progress = Progress(10, {"test_mse": "test mse {:.3f}"})
    >>> progress.row({"epoch": 3, "test_mse": 0.0123, "seconds": 1.5})
    epoch  3  test mse 0.012
    """

    def __init__(self, epochs: int, columns: dict[str, str], quiet: bool = False) -> None:
        self.epochs, self.columns, self.quiet = epochs, columns, quiet
        self.bars = not quiet and sys.stderr is not None and sys.stderr.isatty()
        self._figures: dict[str, float] = {}

    def epoch(self, epoch: int, images: int, done: int) -> Bar:
        """A bar for the images of one epoch, `done` of which were seen before resuming.

        Except in the first epoch, it begins with the figures with which the bar before it ended.
        """
        if not epoch:
            self._figures.clear()
        return Bar(
            tqdm(
                total=images,
                initial=min(done, images),
                desc=f"epoch {epoch + 1}/{self.epochs}",
                unit=" images",
                leave=False,
                dynamic_ncols=True,
                bar_format=ONE,
                disable=not self.bars,
            ),
            self._figures,
        )

    def work(self, name: str, total: int) -> Bar:
        """A bar for a piece of work that is not training."""
        return Bar(
            tqdm(
                total=total,
                desc=name,
                unit_scale=True,
                leave=False,
                dynamic_ncols=True,
                disable=not self.bars,
            )
        )

    def row(self, row: dict[str, Any]) -> None:
        """Show the line of an epoch."""
        self.say(self.line(row))

    def line(self, row: dict[str, Any]) -> str:
        """The line of an epoch."""
        parts = [form.format(row[key]) for key, form in self.columns.items() if key in row]
        return f"epoch {row['epoch']:>{len(str(self.epochs))}}  " + "  ".join(parts)

    def say(self, text: str) -> None:
        """Print a line, unless the user wants none."""
        if not self.quiet:
            print(text, flush=True)


def in_notebook() -> bool:
    """Whether Python runs in a notebook, which shows pictures but is not a terminal."""
    return "ipykernel" in sys.modules


def warn(line: str) -> None:
    """Print a line that must be seen even in a quiet run."""
    if sys.stderr is not None:  # a daemon may have closed it
        print(line, file=sys.stderr, flush=True)


class Bar:
    """A bar that grows.

    Args:
        bar: one of tqdm's.
        figures: those that are known already; `show` adds to them.
    """

    def __init__(self, bar: Any, figures: dict[str, float] | None = None) -> None:
        self._bar, self._figures = bar, {} if figures is None else figures
        if self._figures:
            self.show({})

    def update(self, done: int) -> None:
        self._bar.update(done)

    def show(self, figures: dict[str, float]) -> None:
        """Put figures after the bar; those not among them keep their last values.

        A generator that moves in every third step has no figures in the others.
        """
        self._figures.update(figures)
        digits = 5
        if len(self._figures) > 1:
            self._bar.bar_format, digits = SEVERAL, 3
        shown = "  ".join(f"{name} {x:.{digits}g}" for name, x in self._figures.items())
        self._bar.set_postfix_str(shown, refresh=False)

    def close(self) -> None:
        self._bar.close()
