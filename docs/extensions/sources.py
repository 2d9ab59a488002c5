"""The repository's files as pages of the site, and the links to them.

A page links to a file as it does on GitHub, ``[pieces.py](../../tinygen/byhand/pieces.py)``; on the
site the link leads to a listing, ``source/tinygen/byhand/pieces.py.html``, whose lines have anchors
(``#L-7``).
"""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Iterator
from functools import partial
from html import escape
from importlib import import_module
from pathlib import Path
from typing import Any

import derivations
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

DOCS = Path(__file__).parents[1]
ROOT = DOCS.parent
INCLUDED = {ROOT / "README.md": "overview", ROOT / ".github/CONTRIBUTING.md": "contributing"}
"""Files outside of this folder that are pages of the site."""


AS_IT_IS = {".html", ".gif", ".png"}
"""Files of this folder that are not listed, but copied."""


class Links(SphinxTransform):
    """Turns links to files that are no pages, which Sphinx would offer for download."""

    default_priority = 5

    def apply(self, **_: Any) -> None:
        for kind in (addnodes.download_reference, addnodes.pending_xref):
            for node in list(self.document.findall(kind)):
                if node.get("reftype") == "myst" and node["reftarget"] not in self.env.found_docs:
                    self._turn(node)

    def _turn(self, node: nodes.Element) -> None:
        target, _, anchor = node["reftarget"].partition("#")
        # README.md is included from the folder above, and so are its links.
        folders = (DOCS / self.env.docname).parent, ROOT
        places = [(folder / target).resolve() for folder in folders if target]
        places += [place.with_name(place.name + ".md") for place in places]
        path = next((p for p in places if p.exists() and p.is_relative_to(ROOT)), None)
        if path is None:
            return
        if (path / "README.md").is_file() and path != ROOT:
            path = path / "README.md"
        docname = INCLUDED.get(path) or self.env.path2doc(path)
        if docname in self.env.found_docs:
            new = addnodes.pending_xref(
                **{**node.attributes, "refdomain": "doc", "reftype": "myst"},
            )
            new["reftarget"], new["reftargetid"] = docname, anchor or node.get("reftargetid")
        else:
            listed(self.app).add(path)
            new = nodes.reference(refuri=uri_of(self.app, path))
        new += node.children
        node.replace_self(new)


def listed(app: Sphinx) -> set[Path]:
    """The files that pages link to; Sphinx stores it between builds."""
    if not hasattr(app.env, "listed_files"):
        app.env.listed_files = set()  # type: ignore[attr-defined]
    return app.env.listed_files  # type: ignore[attr-defined,no-any-return]


def page_of(path: Path) -> str:
    """The page that lists a file or a folder."""
    name = path.relative_to(ROOT).as_posix()
    return f"source/{name}/index" if path.is_dir() else f"source/{name}"


def uri_of(app: Sphinx, path: Path) -> str:
    """A file as seen from the page that is being read; what a browser can show stays as it is."""
    if path.suffix in AS_IT_IS:
        return "../" * app.env.docname.count("/") + path.relative_to(DOCS).as_posix()
    return app.builder.get_relative_uri(app.env.docname, page_of(path))


def source_of(app: Sphinx, domain: str, info: dict[str, str]) -> str | None:
    """Where an object of the reference stands, for sphinx.ext.linkcode."""
    if not info["module"]:
        return None
    thing: Any = import_module(info["module"])
    for name in info["fullname"].split("."):
        thing = getattr(thing, name, None)
    thing = inspect.unwrap(getattr(thing, "fget", None) or thing)
    try:
        path, line = Path(inspect.getsourcefile(thing) or ""), inspect.getsourcelines(thing)[1]
    except (TypeError, OSError):  # a constant, or something made at run time
        return None
    if not path.is_relative_to(ROOT / "tinygen"):
        return None
    listed(app).add(path)
    return f"{uri_of(app, path)}#L-{line}"


def pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """The listings, as Sphinx wants them: name, what is on the page, template."""
    paths = {*listed(app), *derivations.BOOK.glob("*.py")}
    folders = {path for path in paths if path.is_dir()}
    for folder in folders:
        paths |= {path for path in folder.iterdir() if path.is_file()}
    for path in sorted(paths - folders):
        if path.suffix in AS_IT_IS:
            copy = Path(app.outdir) / path.relative_to(DOCS)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        else:
            yield page(app, path, listing(app, path))
    for folder in sorted(folders):
        items = "".join(
            f'<li><a href="{escape(path.name)}.html">{escape(path.name)}</a></li>'
            for path in sorted(paths - folders)
            if path.parent == folder
        )
        yield page(app, folder, f"<ul>{items}</ul>")


def page(app: Sphinx, path: Path, body: str) -> tuple[str, dict[str, Any], str]:
    title = escape(path.relative_to(ROOT).as_posix())
    heading = title.replace("/", "/<wbr>")  # on a narrow screen, a line ends at a folder
    return (
        page_of(path),
        {"title": title, "body": f'<h1>{heading}</h1><div class="listing">{body}</div>'},
        "page.html",
    )


def listing(app: Sphinx, path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    language = {".py": "python", ".json": "json", ".jsonl": "json"}.get(path.suffix, "text")
    html = app.builder.highlighter.highlight_block(text, language, linespans="L")  # type: ignore[attr-defined]
    uri = partial(app.builder.get_relative_uri, page_of(path))
    return derivations.with_links(html, path, text, uri)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_transform(Links)
    app.connect("html-collect-pages", pages)
    app.config.linkcode_resolve = lambda domain, info: source_of(app, domain, info)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
