"""Each numbered equation with the code that computes it, and the code with links to its equations.

What belongs together is what tests/byhand/test_equations.py checks: a line of ``tinygen/byhand``
that ends in ``# (P7)`` computes the equation with the tag P7, or calls what does.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

import tinygen.byhand
from tinygen.explain.equations import cited_lines, page_of, tags

BOOK = Path(tinygen.byhand.__file__).parent
PAGES = Path(__file__).parents[1] / "derivations"
TAG = re.compile(r"\\tag\{(\w+)\}")
NUMBER = re.compile(r"\(([A-Z]?\d{1,2})\)")


class Place(NamedTuple):
    """A statement of the book: its file, the function around it, its first and last line."""

    file: str
    function: str
    first: int
    last: int

    @property
    def name(self) -> str:
        lines = (
            f"line {self.first}" if self.first == self.last else f"lines {self.first}-{self.last}"
        )
        return f"{self.file}, {lines}"


@cache
def tie() -> dict[tuple[str, str], list[Place]]:
    """For each page and number, such as ``("pieces", "P7")``, the statements that cite it.

    Those of the page's own file, which compute it, come first.
    """
    every: dict[tuple[str, str], list[Place]] = {}
    for path in sorted(BOOK.glob("*.py")):
        code = path.read_text(encoding="utf-8")
        for number, lines in cited_lines(code).items():
            page = Path(page_of(path.name, number)).stem
            places = [place_of(path.name, code, line) for line in lines]
            every.setdefault((page, number), []).extend(dict.fromkeys(places))
    for (page, _), places in every.items():
        places.sort(key=lambda place: place.file != f"{page}.py")
    return every


def place_of(file: str, code: str, line: int) -> Place:
    """The innermost statement with this line; of one that has a body, the line alone."""
    around = [
        node
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or 0)
    ]
    around.sort(key=lambda node: (node.lineno, -(node.end_lineno or 0)))
    named = ast.FunctionDef | ast.ClassDef
    function = ".".join(node.name for node in around if isinstance(node, named))
    inner = around[-1]
    if hasattr(inner, "body"):
        return Place(file, function, line, line)
    return Place(file, function, inner.lineno, inner.end_lineno or inner.lineno)


@cache
def numbers_of(page: str) -> frozenset[str]:
    path = PAGES / f"{page}.md"
    return frozenset(tags(path.read_text(encoding="utf-8")) if path.exists() else ())


def page_with(page: str, number: str) -> str | None:
    """The page on which an equation stands that this page or its code refers to."""
    page = Path(page_of(page, number)).stem
    return page if number in numbers_of(page) else None


class Annotate(SphinxTransform):
    """Gives equations an anchor and their code, and links to them what the text says of them."""

    default_priority = 500

    def apply(self, **_: Any) -> None:
        folder, _, page = self.env.docname.rpartition("/")
        if folder != PAGES.name:
            return
        for text in list(self.document.findall(nodes.Text)):
            if not isinstance(
                text.parent, nodes.literal | nodes.math | nodes.math_block | nodes.reference
            ):
                text.parent.replace(text, [*self._linked(page, text)])
        for node in list(self.document.findall(nodes.math_block)):
            if tag := TAG.search(node.astext()):
                tex = f"\\begin{{equation}}{node.astext()}\\end{{equation}}"
                new = nodes.math_block(tex, tex, ids=[f"equation-{tag[1]}"])
                new["nowrap"] = new["no-wrap"] = True  # \tag is not for what Sphinx wraps around it
                node.replace_self([new, *self._code(page, tag[1])])

    def _linked(self, page: str, text: nodes.Text) -> Iterator[nodes.Node]:
        end = 0
        for found in NUMBER.finditer(text):
            other = page_with(page, found[1])
            if other:
                yield nodes.Text(text[end : found.start()])
                uri = self.app.builder.get_relative_uri(self.env.docname, f"{PAGES.name}/{other}")
                anchor = f"#equation-{found[1]}"
                yield nodes.reference("", found[0], refuri=(uri if other != page else "") + anchor)
                end = found.end()
        yield nodes.Text(text[end:])

    def _code(self, page: str, number: str) -> Iterator[nodes.Node]:
        places = tie().get((page, number), [])
        own = [place for place in places if place.file == f"{page}.py"]
        others = [place for place in places if place.file != f"{page}.py"]
        if not own:
            return
        yield nodes.raw(
            "", f'<details class="code-of"><summary>code of ({number})</summary>', format="html"
        )
        for place in own:
            yield nodes.paragraph("", "", self._link(place), nodes.Text(f", in {place.function}"))
            yield nodes.literal_block("", lines(place), language="python")
        if others:
            links = [node for place in others for node in (nodes.Text(", "), self._link(place))]
            yield nodes.paragraph("", "Called from ", *links[1:])
        yield nodes.raw("", "</details>", format="html")

    def _link(self, place: Place) -> nodes.reference:
        page = f"source/tinygen/byhand/{place.file}"
        uri = self.app.builder.get_relative_uri(self.env.docname, page)
        return nodes.reference("", place.name, refuri=f"{uri}#L-{place.first}")


def lines(place: Place) -> str:
    """The code, moved to the margin."""
    code = (BOOK / place.file).read_text(encoding="utf-8").splitlines()
    some = code[place.first - 1 : place.last]
    margin = min(len(line) - len(line.lstrip()) for line in some if line)
    return "\n".join(line[margin:] for line in some)


def with_links(html: str, path: Path, code: str, uri: Callable[[str], str]) -> str:
    """A listing of the book, in which the numbers at the ends of lines lead to the equations.

    Args:
        html: the listing, in which line 7 begins with ``<span id="L-7">``.
        uri: of a page of the site, as seen from the listing.
    """
    if path.parent != BOOK:
        return html
    cited = {line for numbers in cited_lines(code).values() for line in numbers}

    def link(found: re.Match[str]) -> str:
        page = page_with(path.stem, found[1])
        return (
            f'<a href="{uri(f"{PAGES.name}/{page}")}#equation-{found[1]}">{found[0]}</a>'
            if page
            else found[0]
        )

    out = []
    for line in html.split("\n"):
        number = re.search(r'<span id="L-(\d+)">', line)
        if number and int(number[1]) in cited:
            before, sign, comment = line.rpartition('<span class="c1">')
            line = before + sign + NUMBER.sub(link, comment)
        out.append(line)
    return "\n".join(out)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_transform(Annotate)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
