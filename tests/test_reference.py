"""Every public name is in the reference, with a sentence, types, and an example that runs."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import tinygen

PAGES = Path(__file__).parents[1] / "docs" / "reference"
MODULES = sorted(
    name
    for page in PAGES.glob("*.md")
    for name in re.findall(r"automodule:: (\S+)", page.read_text(encoding="utf-8"))
)

WITHOUT_EXAMPLE = {
    "tinygen.backend": "Backend keep_freed_memory register",
    "tinygen.byhand.aae": "encode",
    "tinygen.byhand.autoencoder": "decoder_loss_and_grads sigmoid_mse sigmoid_bce",
    "tinygen.byhand.chain": (
        "names_of_layers Cache chain_backward input_derivative input_derivative_backward decay"
    ),
    "tinygen.byhand.conv": "average_pool_backward max_pool_backward upsample_backward",
    "tinygen.byhand.gan": (
        "penalise generator_loss_and_grads generate interpolated stacked rows "
        "cross_entropy_of_d least_squares_of_d wasserstein_of_d non_saturating_of_g "
        "minimax_of_g least_squares_of_g wasserstein_of_g"
    ),
    "tinygen.byhand.pieces": (
        "Dense tanh_second sigmoid_second gelu_second reparameterise reparameterise_backward"
    ),
    "tinygen.byhand.vae": "Direct elbo iwae",
    "tinygen.errors": "InputError refuse_unknown",
    "tinygen.evaluation": (
        "ELBO GenerationScores ModeCoverage ParzenEstimate VAEEvaluator evaluate_elbo "
        "evaluate_generation evaluate_reconstruction linear_probe_factors "
        "negative_log_likelihood neighbours parzen_beside_training reconstruction_table "
        "scores_table"
    ),
    "tinygen.explain": "Arrival Line Match Node SideBySide trace",
    "tinygen.models.to_torch": "TorchNetwork to_torch",
    "tinygen.optim": "Optimizer",
    "tinygen.parameters": "refuse_other_types refuse_unnamed",
    "tinygen.plots": (
        "ModelPanel add_frame add_mixture_frame captioned codes compare confusion "
        "emphasise feature_maps filters functions images_in_rows kl_per_dimension "
        "line_plot loss_curves manifold mixture sheet"
    ),
    "tinygen.training": (
        "AAELearner AdversarialLearner Diverged Interrupted Learner Plan Progress "
        "PseudoLabelLearner RunDir SingleLossLearner Trainer"
    ),
}
"""The names that have none yet, by module. A name that has got one must leave; none may join."""

WITHOUT_TYPE = {
    "tinygen.autograd": "grad hvp jacobian",
    "tinygen.backend": "to_host",
    "tinygen.evaluation": (
        "active_units interpolate parzen_log_likelihood principal_angles prior_quantiles"
    ),
    "tinygen.losses": "gaussian_nll",
    "tinygen.plots": "emphasise plane_points",
}
"""Functions that return Any: what they were given decides. None may join without a reason."""


def public(module: str) -> dict[str, Any]:
    """What the reference shows of a module: classes and functions, not data, by name."""
    room = importlib.import_module(module)
    names = getattr(room, "__all__", None) or [
        name
        for name, thing in vars(room).items()
        if not name.startswith("_") and getattr(thing, "__module__", "") == module
    ]
    things = {name: inspect.unwrap(getattr(room, name)) for name in names}
    return {
        name: thing
        for name, thing in things.items()
        if (inspect.isclass(thing) or inspect.isfunction(thing))
        and thing.__module__.startswith("tinygen")
    }


def has_example(thing: Any) -> bool:
    """A class may have it in a method."""
    members = vars(thing).values() if inspect.isclass(thing) else ()
    return any(">>>" in (inspect.getdoc(x) or "") for x in (thing, *members))


def test_the_reference_shows_every_public_name() -> None:
    shown = {id(thing) for module in MODULES for thing in public(module).values()}
    names = {name: inspect.unwrap(getattr(tinygen, name)) for name in dir(tinygen)}
    missing = [
        name
        for name, thing in names.items()
        if (inspect.isclass(thing) or inspect.isfunction(thing)) and id(thing) not in shown
    ]
    assert not missing


@pytest.mark.parametrize("module", MODULES)
def test_each_has_a_sentence_and_an_example(module: str) -> None:
    things = public(module)
    assert not [name for name, thing in things.items() if not inspect.getdoc(thing)]
    without = {name for name, thing in things.items() if not has_example(thing)}
    known = {*WITHOUT_EXAMPLE.get(module, "").split()}
    assert not without - known, "these need an example that runs"
    assert not known - without, "these have one: take them off WITHOUT_EXAMPLE"


@pytest.mark.parametrize("module", MODULES)
def test_each_has_types(module: str) -> None:
    bare = set()
    for name, thing in public(module).items():
        if inspect.isfunction(thing):
            typed = thing.__annotations__
            assert {*inspect.signature(thing).parameters, "return"} == {*typed}, name
            if typed["return"] in ("Any", Any):
                bare.add(name)
    assert bare == {*WITHOUT_TYPE.get(module, "").split()}


def test_the_walk_sees_what_it_should() -> None:
    assert len(MODULES) > 15
    assert {"exp", "patches", "concatenate"} <= public("tinygen.ops").keys()
    assert "reparameterise" in public("tinygen.byhand.pieces")
    assert has_example(tinygen.exp) and not has_example(test_each_has_types)
