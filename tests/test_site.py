"""The site: equations and code lead to each other, links lead somewhere, no network is needed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

for package in ("sphinx", "myst_nb", "furo", "mathjax"):
    pytest.importorskip(package)

import assignments  # noqa: E402
import derivations  # noqa: E402
import notebooks  # noqa: E402
import short_names  # noqa: E402

import tinygen as tg  # noqa: E402

DOCS = Path(__file__).parents[1] / "docs"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)


def test_a_place_is_the_whole_statement_and_names_its_function() -> None:
    code = "class A:\n    def f(self):\n        return g(\n            1,  # (3)\n        )\n"
    assert derivations.place_of("a.py", code, 4) == ("a.py", "A.f", 3, 5)
    assert derivations.place_of("a.py", code, 4).name == "a.py, lines 3-5"


def test_of_a_statement_with_a_body_it_is_the_line() -> None:
    code = "def f():\n    for x in y:  # (1)\n        pass\n"
    assert derivations.place_of("a.py", code, 2) == ("a.py", "f", 2, 2)


def test_every_place_has_its_number() -> None:
    assert len(derivations.tie()) > 100  # or the walk sees nothing
    for (_, number), places in derivations.tie().items():
        for place in places:
            assert f"({number})" in derivations.lines(place), (number, place)


def test_what_computes_an_equation_stands_before_what_calls_it() -> None:
    first, *others = derivations.tie()["pieces", "P52"]
    assert (first.file, first.function) == ("pieces.py", "reparameterise")
    assert "vae.py" in {place.file for place in others}


def test_numbers_in_a_listing_are_links_only_where_a_line_computes() -> None:
    path = derivations.BOOK / "vae.py"
    code = '"""Of (P1)."""\nz = f(x)  # (P52), (1)\n# (P2)\n'
    html = """<span id="L-1">Of (P1).</span>
<span id="L-2">z <span class="c1"># (P52), (1)</span></span>
<span id="L-3"><span class="c1"># (P2)</span></span>"""
    linked = derivations.with_links(html, path, code, lambda page: f"/{page}.html")
    assert re.findall(r'href="([^"]*)">\((\w+)\)', linked) == [
        ("/derivations/pieces.html#equation-P52", "P52"),
        ("/derivations/vae.html#equation-1", "1"),
    ]
    assert derivations.with_links(html, path.parent.parent / "vae.py", code, str) == html


def test_a_notebook_opens_where_the_repository_is_known() -> None:
    assert notebooks.services("notebooks/04-vae", {}) == {}
    known = {"GITHUB_REPOSITORY": "me/mine", "GITHUB_REF_NAME": "main"}
    assert notebooks.services("notebooks/04-vae", known) == {
        "Colab": "https://colab.research.google.com/github/me/mine/blob/main/"
        "docs/notebooks/04-vae.ipynb",
        "Binder": "https://mybinder.org/v2/gh/me/mine/main?labpath=docs/notebooks/04-vae.ipynb",
    }


def test_a_line_that_was_flushed_in_two_pieces_is_one() -> None:
    def stream(name: str, text: str) -> dict[str, str]:
        return {"output_type": "stream", "name": name, "text": text}

    picture = {"output_type": "display_data"}
    outputs = [stream("stdout", "5"), picture, stream("stderr", "!"), stream("stdout", " calls\n")]
    merged = [stream("stdout", "5 calls\n"), picture, stream("stderr", "!")]
    assert notebooks.in_one_piece(outputs) == merged == notebooks.in_one_piece(outputs)


def test_the_page_of_a_homework_is_one_that_a_student_gets() -> None:
    source = ["# Site\n\n<!-- page of vae -->\n"]
    assignments.put_in_place(None, "teaching/example", source)  # type: ignore[arg-type]
    assert re.findall("^# .*", source[0], re.M) == ["# Site"]
    assert "\n## The VAE, each equation alone\n" in source[0]
    assert r"u = m + \sigma \odot \varepsilon \tag{2}" in source[0]  # in the letters of variant 0
    assert "| q1 |" in source[0] and "<!--" not in source[0]


@pytest.mark.parametrize(
    ("target", "name"),
    {
        "tinygen.training.fit": "tg.fit",
        "tinygen.ops.exp": "tg.exp",  # an Op, where the reference has a function
        "tinygen.data.load": "tg.data.load",  # tg.load is another one
        "tinygen.nn.Dense": "tg.Dense",
        "tinygen.byhand.pieces.Dense": None,
        "tinygen.optim.Adam.step": None,
        "module-tinygen.data": None,
    }.items(),
)
def test_the_name_that_users_write(target: str, name: str | None) -> None:
    assert short_names.short(target) == name


class Page(HTMLParser):
    """The anchors of a page, what it links to, and what a browser loads to show it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids, self.links, self.loaded = set[str](), list[str](), list[str]()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        has = {name: value or "" for name, value in attributes}
        self.ids |= {has[name] for name in ("id", "name") if name in has}
        if tag == "a" and "href" in has:
            self.links.append(has["href"])
        self.loaded += [has["src"]] if "src" in has else []
        self.loaded += [has["href"]] if tag == "link" and "href" in has else []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built with the command that the pages name; a warning is an error."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "-q", ".", str(out)]
    made = subprocess.run(command, cwd=DOCS, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return out


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path.resolve(): Page(path) for path in site.rglob("*.html")}


@pytest.mark.slow
def test_every_link_leads_to_a_file_and_an_anchor(pages: dict[Path, Page]) -> None:
    lost = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if not parts.scheme:
                file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
                anchors = pages[file].ids | {""} if file in pages else {""}
                if not file.is_file() or unquote(parts.fragment) not in anchors:
                    lost.append(f"{path.name}: {link}")
    assert not lost


@pytest.mark.slow
def test_nothing_is_loaded_from_elsewhere(pages: dict[Path, Page], site: Path) -> None:
    for path, page in pages.items():
        for address in page.loaded:
            parts = urlsplit(address)
            assert not parts.scheme or parts.scheme == "data", (path, address)
            assert parts.scheme or (path.parent / unquote(parts.path)).exists(), (path, address)
    assert list((site / "_static/mathjax/output/chtml/fonts/woff-v2").glob("*.woff"))


@pytest.mark.slow
@pytest.mark.parametrize("page", sorted(DOCS.glob("derivations/[a-z]*.md")), ids=lambda p: p.stem)
def test_each_numbered_equation_shows_its_code(page: Path, site: Path) -> None:
    numbers = re.findall(r"\\tag\{([PCK]?\d+)\}", page.read_text(encoding="utf-8"))
    html = (site / "derivations" / f"{page.stem}.html").read_text(encoding="utf-8")
    assert re.findall(r"<summary>code of \((\w+)\)", html) == numbers


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")
def test_a_click_unfolds_the_code(site: Path) -> None:
    """In the middle of the words: the equation above must not lie over them."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(reduced_motion="reduce")
        page.set_default_timeout(120_000)  # for formulas to be drawn on a busy machine
        page.goto((site / "derivations" / "autoencoder.html").as_uri())
        for fold in page.query_selector_all("details.code-of"):
            fold.query_selector("summary").click(timeout=10_000)
            assert fold.get_attribute("open") is not None
        browser.close()


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(DOCS.glob("notebooks/*.ipynb")), ids=lambda p: p.stem)
def test_a_notebook_has_its_results_and_can_be_downloaded(path: Path, site: Path) -> None:
    html = (site / "notebooks" / f"{path.stem}.html").read_text(encoding="utf-8")
    assert 'class="cell_output' in html
    link = re.search(r'href="\.\./(_downloads/[^"]*)"', html)
    assert link and (site / link[1]).read_bytes() == path.read_bytes()


@pytest.mark.slow
def test_the_index_has_every_name_of_tg(site: Path) -> None:
    index = (site / "genindex.html").read_text(encoding="utf-8")
    things = [name for name in dir(tg) if callable(getattr(tg, name))]
    assert len(things) > 100 and not [name for name in things if f">tg.{name}<" not in index]


@pytest.mark.slow
def test_names_of_the_reference_lead_to_their_lines(site: Path) -> None:
    html = (site / "reference" / "ops.html").read_text(encoding="utf-8")
    line = re.search(r'href="../source/tinygen/ops/products.py.html#L-(\d+)"', html)
    source = (DOCS.parent / "tinygen/ops/products.py").read_text(encoding="utf-8").splitlines()
    assert line and re.match(r"@op|def ", source[int(line[1]) - 1])
