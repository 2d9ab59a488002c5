"""The pictures of a run, drawn with matplotlib and Pillow, one function per picture.

Each returns its figure, which a notebook shows, and writes it as a PNG if it is given a ``path``.
With ``ax``, say axes of ``plt.subplots``, it draws there and returns None: the figure is yours. ::

    plots.sheet(trained.sample(100), path="samples.png")

They take arrays in host memory. Images are rows of numbers in [0, 1] with a shape ``(h, w)``,
``(h, w, 1)`` or ``(h, w, 3)``; grey ones are shown as dark ink on white, the others in colour.
"""

from tinygen.plots.classification import confusion
from tinygen.plots.curves import functions, line_plot, loss_curves
from tinygen.plots.film import add_frame, add_mixture_frame
from tinygen.plots.images import captioned, feature_maps, filters, images_in_rows, manifold, sheet
from tinygen.plots.latent import ModelPanel, codes, compare, kl_per_dimension
from tinygen.plots.mixtures import FIELD_SIDE, emphasise, mixture, plane_points
from tinygen.plots.style import use_style

__all__ = [
    "FIELD_SIDE",
    "ModelPanel",
    "add_frame",
    "add_mixture_frame",
    "captioned",
    "codes",
    "compare",
    "confusion",
    "emphasise",
    "feature_maps",
    "filters",
    "functions",
    "images_in_rows",
    "kl_per_dimension",
    "line_plot",
    "loss_curves",
    "manifold",
    "mixture",
    "plane_points",
    "sheet",
    "use_style",
]


def __dir__() -> list[str]:
    """The pictures, without the modules that they are in."""
    return __all__
