"""tinygen: every gradient of a generative model, three ways, and they agree.

Begin here; help(tg.fit) and help(tg.TrainedModel) say more::

    trained = tg.fit(tg.VAE(), tg.data.load(), epochs=10)  # or Autoencoder, GAN, Classifier
    images = trained.sample(16)                            # encode, decode, reconstruct, ...
    tg.plots.sheet(images, path="samples.png")
    tg.save("vae.npz", trained)                            # tg.load reads it, or a run's folder

Gradients are derived by hand (`tinygen.byhand`), computed by autograd (`tinygen.models` with
`value_and_grad`), and measured by finite differences (`check_gradients`); `trace` shows each step.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tinygen import autograd, backend, losses, nn, ops, optim
from tinygen.autograd import *  # noqa: F403  the public names are those of each room's __all__
from tinygen.backend import get_backend, namespace
from tinygen.errors import InputError
from tinygen.losses import *  # noqa: F403
from tinygen.nn import *  # noqa: F403
from tinygen.ops import *  # noqa: F403
from tinygen.optim import SGD, Adam, AdamW, RMSProp, clip_by_norm
from tinygen.parameters import Parameters

__version__ = "0.1.0"

# Whoever wants a Tensor does not wait for models or data: these rooms are imported when asked for.
_LATER = ("byhand", "data", "evaluation", "explain", "models", "plots", "training")
_MODELS = (
    "GAN",
    "VAE",
    "AdversarialAutoencoder",
    "Autoencoder",
    "Classifier",
    "Decoder",
    "Encoder",
    "Frozen",
)
# The checks of gradients that explain a failure stand for the plain ones of autograd.
_EXPLAIN = ("check_gradients", "compare_gradients", "name", "side_by_side", "trace")
_LATER_FROM = {
    "fit": "training",
    "load": "training",
    "save": "training",
    "TrainedModel": "training",
    "to_torch": "models.to_torch",
    **dict.fromkeys(_EXPLAIN, "explain"),
    **dict.fromkeys(_MODELS, "models"),
}

if TYPE_CHECKING:
    from tinygen import byhand as byhand
    from tinygen import data as data
    from tinygen import evaluation as evaluation
    from tinygen import explain as explain
    from tinygen import models as models
    from tinygen import plots as plots
    from tinygen import training as training
    from tinygen.explain import check_gradients as check_gradients
    from tinygen.explain import compare_gradients as compare_gradients
    from tinygen.explain import name as name
    from tinygen.explain import side_by_side as side_by_side
    from tinygen.explain import trace as trace
    from tinygen.models import *  # noqa: F403
    from tinygen.models.to_torch import to_torch as to_torch
    from tinygen.training import TrainedModel as TrainedModel
    from tinygen.training import fit as fit
    from tinygen.training import load as load
    from tinygen.training import save as save
else:
    del check_gradients, compare_gradients

    def __getattr__(name: str) -> Any:
        if name in _LATER:
            return import_module(f"tinygen.{name}")
        if name in _LATER_FROM:
            return getattr(import_module(f"tinygen.{_LATER_FROM[name]}"), name)
        raise AttributeError(f"module 'tinygen' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *_LATER, *_LATER_FROM, "__doc__", "__version__"})


__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "InputError",
    "Parameters",
    "RMSProp",
    "autograd",
    "backend",
    "byhand",
    "clip_by_norm",
    "get_backend",
    "losses",
    "models",
    "namespace",
    "nn",
    "ops",
    "optim",
    *autograd.__all__,
    *losses.__all__,
    *_MODELS,
    *nn.__all__,
    *ops.__all__,
]
