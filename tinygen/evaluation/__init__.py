"""What a trained model is judged by."""

from tinygen.evaluation.classification import confusion, most_wrong
from tinygen.evaluation.elbo import Bound, bound
from tinygen.evaluation.generation import (
    Generation,
    comparison,
    digits_covered,
    frechet_distance,
    generation,
    histogram_kl,
    inception_score,
    precision_recall,
)
from tinygen.evaluation.latent import active_units
from tinygen.evaluation.likelihood import negative_log_likelihood
from tinygen.evaluation.linear_probe import linear_probe_error, linear_readout_r2
from tinygen.evaluation.mode_coverage import PERFECT_SHARE, Modes, modes
from tinygen.evaluation.parzen import Parzen, parzen, parzen_log_likelihood
from tinygen.evaluation.pca import PCA, principal_angles
from tinygen.evaluation.reconstruction import reconstruction

__all__ = [
    "PCA",
    "PERFECT_SHARE",
    "Bound",
    "Generation",
    "Modes",
    "Parzen",
    "active_units",
    "bound",
    "comparison",
    "confusion",
    "digits_covered",
    "frechet_distance",
    "generation",
    "histogram_kl",
    "inception_score",
    "linear_probe_error",
    "linear_readout_r2",
    "modes",
    "most_wrong",
    "negative_log_likelihood",
    "parzen",
    "parzen_log_likelihood",
    "precision_recall",
    "principal_angles",
    "reconstruction",
]
