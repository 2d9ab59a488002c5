"""From a loss and its gradient to a finished run: the loop, its checkpoints, its record."""

from tinygen.training.learners.pseudo_labels import FewLabels
from tinygen.training.learners.single_step import Descent
from tinygen.training.loading import Trained, load
from tinygen.training.progress import Progress
from tinygen.training.run_dir import Record
from tinygen.training.setup import Run, data_of, start
from tinygen.training.state import State
from tinygen.training.trainer import Diverged, Interrupted, Plan, fit

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
