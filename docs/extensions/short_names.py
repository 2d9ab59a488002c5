"""The names of ``import tinygen as tg`` in the index, where the search of the site looks, too.

The reference has them by their rooms: ``tg.fit`` is its ``tinygen.training.fit``.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

import tinygen

ROOMS = {"tinygen.data", "tinygen.plots"}
"""Those whose names are written with the room, ``tg.data.load``."""


def short(target: str) -> str | None:
    """The name that users write for an object of the reference, if it is one of ``tg``."""
    module, _, name = target.rpartition(".")
    if module in ROOMS:
        return f"tg.{module.partition('.')[2]}.{name}"
    if not module.startswith("tinygen.") or not hasattr(tinygen, name):
        return None
    public = getattr(tinygen, name)
    try:
        thing: Any = getattr(import_module(module), name)
    except (ImportError, AttributeError):  # a method's, which has a class before it
        return None
    # conf.py puts functions in the place of ops
    return f"tg.{name}" if thing in (public, getattr(public, "forward", public)) else None


class Index(SphinxTransform):
    """Gives the object's own anchor a second entry."""

    default_priority = 500

    def apply(self, **_: Any) -> None:
        for node in self.document.findall(addnodes.index):
            for kind, _text, target, _main, key in list(node["entries"]):
                if name := short(target):
                    node["entries"].append((kind, name, target, "main", key))


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_transform(Index)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
