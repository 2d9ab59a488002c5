"""What models say to whoever takes them for trained ones."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import tinygen as tg
from tinygen.models import verbs
from tinygen.training import loading

IMAGES = np.zeros((5, 784), np.float32)
MODELS = (
    tg.Autoencoder(), tg.VAE(), tg.AdversarialAutoencoder(), tg.GAN(), tg.Classifier(),
    tg.Encoder(), tg.Decoder(),
)  # fmt: skip


def test_the_verbs_are_those_of_a_trained_model() -> None:
    assert {*verbs.VERBS} == {*loading.VERBS}


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_a_verb_without_weights_names_where_they_are(model: Any) -> None:
    for verb in verbs.VERBS:
        if isinstance(getattr(type(model), verb, None), str):
            continue  # a GAN's loss is an option
        with pytest.raises((AttributeError, TypeError), match=r"tg\.fit\(model, images\)") as said:
            getattr(model, verb)(IMAGES)
        assert "\n" not in str(said.value)


def test_a_verb_without_anything_does_too() -> None:
    with pytest.raises(TypeError, match=r"expected parameters and then data, got none; .*tg\.fit"):
        tg.VAE().loss()  # type: ignore[call-arg]


def test_another_name_is_what_it_is_elsewhere() -> None:
    with pytest.raises(AttributeError, match=r"^'VAE' object has no attribute 'latnet'$") as said:
        _ = tg.VAE().latnet  # type: ignore[attr-defined]
    assert said.value.name == "latnet"  # from which Python says what was meant
    assert not hasattr(tg.VAE(), "classes")


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_models_are_copied_and_pickled(model: Any) -> None:
    assert model.networks
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert again == model and again.shapes == model.shapes


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_the_networks_are_built_once(model: Any) -> None:
    networks = model.networks
    assert model.networks is networks
    assert model.shapes.items() >= {f"{k}{n}" : s for k, net in networks.items()
                                    for n, s in net.shapes.items()}.items()  # fmt: skip
