"""The numbered equations of docs/derivations as MathML, which a browser draws without any network.

The pages are not a part of the package, so equations.json is. It is made again by::

    python -m tinygen.explain.equations docs/derivations
"""

from __future__ import annotations

import io
import json
import re
import sys
import tokenize
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path

from tinygen.files import write_text

FILE = "equations.json"
DISPLAY = re.compile(r"\$\$(.*?)\$\$", re.DOTALL)
NUMBERED = re.compile(r"(.*)\\tag\{(\w+)\}\s*", re.DOTALL)
FUNCTION = re.compile(r"(<mi>(?:log|exp|max|tanh|sinh|cosh)</mi>)")
SPACE = '<mspace width="0.167em"></mspace>'
"""What TeX puts around the name of a function, and the converter does not."""
LETTERS = {
    '<mn mathvariant="bold">1</mn>': "<mn>𝟏</mn>",
    '<mi mathvariant="double-struck">E</mi>': "<mi>𝔼</mi>",
}
"""Browsers take the letter itself: MathML Core has no such variants."""


def mathml(file: str, number: str) -> str:
    """An equation that a line of ``byhand/FILE`` cites; "" if there is none of that number."""
    return _equations().get(_key(file.removesuffix(".py"), number), "")


def page_of(file: str, number: str) -> str:
    """The page on which an equation stands, and its letters are explained."""
    pages = {"P": "pieces", "C": "chain", "K": "conv"}
    return f"docs/derivations/{pages.get(number[0], file.removesuffix('.py'))}.md"


def tags(page: str) -> list[str]:
    """The numbers of a page's equations, ``\\tag{P7}``, in the order in which they stand there."""
    return re.findall(r"\\tag\{(\w+)\}", page)


def cited_lines(code: str) -> dict[str, list[int]]:
    """For each number in a comment at the end of a line of code, the lines that cite it.

    >>> cited_lines("a = b  # (1) (P2)\\nc = a  # (1), too\\n# (3) alone computes nothing")
    {'1': [1, 2], 'P2': [1]}
    """
    cited: dict[str, list[int]] = {}
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        before = token.line[: token.start[1]].strip()
        if token.type == tokenize.COMMENT and before:
            for number in re.findall(r"\(([A-Z]?\d+)\)", token.string):
                cited.setdefault(number, []).append(token.start[0])
    return cited


def of_pages(folder: Path) -> dict[str, str]:
    """The equations of all pages in a folder, such as ``{"P1": ..., "vae 1": ...}``."""
    return {
        _key(page.stem, number): _converted(tex)
        for page in sorted(folder.glob("*.md"))
        for tex, number in _of_page(page)
    }


def _of_page(page: Path) -> Iterator[tuple[str, str]]:
    for display in DISPLAY.findall(page.read_text(encoding="utf-8")):
        if found := NUMBERED.fullmatch(display):
            yield found[1].strip(), found[2]


def _key(page: str, number: str) -> str:
    """A number with a letter that all pages refer to needs no page."""
    return number if number[0] in "PCK" else f"{page} {number}"


def _converted(tex: str) -> str:
    from latex2mathml.converter import convert  # of the extra `test`

    mathml = FUNCTION.sub(rf"{SPACE}\1{SPACE}", convert(tex, display="block"))
    for variant, letter in LETTERS.items():
        mathml = mathml.replace(variant, letter)
    return mathml


@cache
def _equations() -> dict[str, str]:
    text = files(__package__).joinpath(FILE).read_text(encoding="utf-8")
    return dict(json.loads(text))


if __name__ == "__main__":
    made = of_pages(Path(sys.argv[1]))
    write_text(Path(__file__).with_name(FILE), json.dumps(made, indent=0, sort_keys=True) + "\n")
