"""What a trained model is judged by: scores, errors, distances and likelihoods.

Models that others are measured against are in `tinygen.evaluation.reference_models`. It trains
them, so it is imported only on request.
"""

from tinygen.evaluation.classification import confusion, most_wrong
from tinygen.evaluation.elbo import ELBO, evaluate_elbo
from tinygen.evaluation.generation import (
    GenerationScores,
    digits_covered,
    evaluate_generation,
    frechet_distance,
    histogram_kl,
    inception_score,
    nearest,
    precision_recall,
    scores_table,
)
from tinygen.evaluation.latent import (
    active_units,
    interpolate,
    interpolations,
    neighbours,
    plane_projection,
    prior_quantiles,
)
from tinygen.evaluation.likelihood import negative_log_likelihood
from tinygen.evaluation.linear_probe import (
    linear_probe_error,
    linear_probe_factors,
    linear_probe_r2,
)
from tinygen.evaluation.mode_coverage import PERFECT_GOOD_SAMPLES, ModeCoverage, mode_coverage
from tinygen.evaluation.parzen import (
    ParzenEstimate,
    parzen_beside_training,
    parzen_estimate,
    parzen_log_likelihood,
)
from tinygen.evaluation.pca import PCA, principal_angles
from tinygen.evaluation.reconstruction import evaluate_reconstruction, reconstruction_table
from tinygen.evaluation.vae import VAEEvaluator

__all__ = [
    "ELBO",
    "PCA",
    "PERFECT_GOOD_SAMPLES",
    "GenerationScores",
    "ModeCoverage",
    "ParzenEstimate",
    "VAEEvaluator",
    "active_units",
    "confusion",
    "digits_covered",
    "evaluate_elbo",
    "evaluate_generation",
    "evaluate_reconstruction",
    "frechet_distance",
    "histogram_kl",
    "inception_score",
    "interpolate",
    "interpolations",
    "linear_probe_error",
    "linear_probe_factors",
    "linear_probe_r2",
    "mode_coverage",
    "most_wrong",
    "nearest",
    "negative_log_likelihood",
    "neighbours",
    "parzen_beside_training",
    "parzen_estimate",
    "parzen_log_likelihood",
    "plane_projection",
    "precision_recall",
    "principal_angles",
    "prior_quantiles",
    "reconstruction_table",
    "scores_table",
]
