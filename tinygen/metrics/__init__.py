"""What a trained model is judged by."""

from tinygen.metrics.pca import PCA, principal_angles
from tinygen.metrics.reconstruction import reconstruction

__all__ = ["PCA", "principal_angles", "reconstruction"]
