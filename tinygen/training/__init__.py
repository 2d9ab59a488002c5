"""From a model's gradients to a finished run: the trainer, its learners, the checkpoints."""

from tinygen.training.fitting import fit
from tinygen.training.learners import (
    AAELearner,
    AdversarialLearner,
    Learner,
    PseudoLabelLearner,
    SingleLossLearner,
)
from tinygen.training.loading import TrainedModel, load
from tinygen.training.plan import Plan
from tinygen.training.progress import Progress
from tinygen.training.run_dir import RunDir
from tinygen.training.saving import save
from tinygen.training.state import State
from tinygen.training.trainer import Diverged, Interrupted, Trainer

__all__ = [
    "AAELearner",
    "AdversarialLearner",
    "Diverged",
    "Interrupted",
    "Learner",
    "Plan",
    "Progress",
    "PseudoLabelLearner",
    "RunDir",
    "SingleLossLearner",
    "State",
    "TrainedModel",
    "Trainer",
    "fit",
    "load",
    "save",
]
