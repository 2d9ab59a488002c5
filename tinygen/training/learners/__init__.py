"""What a `tinygen.training.Trainer` trains: each learner owns parameters and their optimisers."""

from tinygen.training.learners.aae import AAELearner
from tinygen.training.learners.adversarial_step import AdversarialLearner
from tinygen.training.learners.learner import Learner
from tinygen.training.learners.pseudo_labels import PseudoLabelLearner
from tinygen.training.learners.single_step import SingleLossLearner

__all__ = [
    "AAELearner",
    "AdversarialLearner",
    "Learner",
    "PseudoLabelLearner",
    "SingleLossLearner",
]
