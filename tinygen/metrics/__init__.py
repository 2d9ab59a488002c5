"""What a trained model is judged by."""

from tinygen.metrics.bound import Bound, bound
from tinygen.metrics.latent import active_units
from tinygen.metrics.likelihood import negative_log_likelihood
from tinygen.metrics.pca import PCA, principal_angles
from tinygen.metrics.readout import linear_probe_error, linear_readout_r2
from tinygen.metrics.reconstruction import reconstruction

__all__ = [
    "PCA",
    "Bound",
    "active_units",
    "bound",
    "linear_probe_error",
    "linear_readout_r2",
    "negative_log_likelihood",
    "principal_angles",
    "reconstruction",
]
