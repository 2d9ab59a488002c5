"""From a loss and its gradient to a finished run: the loop, its checkpoints, its record."""

from tinygen.training.descent import Descent
from tinygen.training.loop import Diverged, Interrupted, Plan, fit
from tinygen.training.progress import Progress
from tinygen.training.record import Record
from tinygen.training.start import Run, start
from tinygen.training.state import State
from tinygen.training.trained import Trained, load

__all__ = [
    "Descent",
    "Diverged",
    "Interrupted",
    "Plan",
    "Progress",
    "Record",
    "Run",
    "State",
    "Trained",
    "fit",
    "load",
    "start",
]
