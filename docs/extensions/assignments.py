"""The page of a homework, as a student gets it, in the place of ``<!-- page of vae -->``."""

from __future__ import annotations

import re

from sphinx.application import Sphinx

from tinygen.homework import student
from tinygen.homework.assignment import load

PLACE = re.compile(r"<!-- page of (\w+) -->")


def page_of(name: str) -> str:
    """The page in the letters of variant 0, its headings a level below those of the site's page."""
    assignment = load(name)
    text = student.page(assignment, assignment.variant(0))
    return re.sub(r"^#(#*) ", r"##\1 ", text, flags=re.M)


def put_in_place(app: Sphinx, docname: str, source: list[str]) -> None:
    source[0] = PLACE.sub(lambda found: page_of(found[1]), source[0])


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", put_in_place)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
