"""The loss curve of a training run in a notebook, which grows with each epoch."""

from __future__ import annotations

from typing import Any

from IPython.display import display

from tinygen.plots import loss_curves
from tinygen.training.progress import Progress

CURVES = {
    "train_loss": "training",
    "test_loss": "test",
    "train_reconstruction_loss": "reconstruction",
    "train_discriminator_loss": "discriminator",
    "train_generator_loss": "generator",
    "train_encoder_loss": "encoder",
}


class LiveProgress(Progress):
    """A `Progress` that shows one picture, redrawn in place, instead of a line for each epoch."""

    def __init__(self, epochs: int, columns: dict[str, str]) -> None:
        super().__init__(epochs, columns)
        self._history: list[dict[str, Any]] = []
        self._shown: Any = None

    def row(self, row: dict[str, Any]) -> None:
        """Draw the curves up to this epoch, below its line."""
        self._history.append(row)
        curves = {key: label for key, label in CURVES.items() if key in row}
        figure: Any = loss_curves(self._history, {"loss": curves})
        figure.axes[0].set_title(self.line(row) + "\n", loc="left", fontsize=9)  # above the note
        if self._shown is None:
            self._shown = display(figure, display_id=True)
        else:
            self._shown.update(figure)
