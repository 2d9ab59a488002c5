"""From a loss and its gradient to a finished run: the loop, its checkpoints, its record."""

from tinygen.training.descent import Descent
from tinygen.training.few_labels import FewLabels
from tinygen.training.loop import Diverged, Interrupted, Plan, fit
from tinygen.training.progress import Progress
from tinygen.training.record import Record
from tinygen.training.start import Run, data_of, start
from tinygen.training.state import State
from tinygen.training.trained import Trained, load

__all__ = [
    "Descent",
    "Diverged",
    "FewLabels",
    "Interrupted",
    "Plan",
    "Progress",
    "Record",
    "Run",
    "State",
    "Trained",
    "data_of",
    "fit",
    "load",
    "start",
]
