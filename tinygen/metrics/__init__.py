"""What a trained model is judged by."""

from tinygen.metrics.bound import Bound, bound
from tinygen.metrics.classification import confusion, most_wrong
from tinygen.metrics.generation import (
    Generation,
    comparison,
    digits_covered,
    frechet_distance,
    generation,
    histogram_kl,
    inception_score,
    precision_recall,
)
from tinygen.metrics.latent import active_units
from tinygen.metrics.likelihood import negative_log_likelihood
from tinygen.metrics.modes import PERFECT_SHARE, Modes, modes
from tinygen.metrics.parzen import Parzen, parzen, parzen_log_likelihood
from tinygen.metrics.pca import PCA, principal_angles
from tinygen.metrics.readout import linear_probe_error, linear_readout_r2
from tinygen.metrics.reconstruction import reconstruction

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
