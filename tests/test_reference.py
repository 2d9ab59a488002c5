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

WITHOUT_TYPE = {"tinygen.autograd": "grad jacobian"}
"""Functions that return Any: arrays in the container, a list or a dict, that they were given."""


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
    assert not [name for name, thing in things.items() if not has_example(thing)]


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
