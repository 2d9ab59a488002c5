"""What the pages say is so: their code runs, their links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from running import run_here

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / ".github" / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")]
WITH_CODE = ["README.md", "docs/autograd.md"]


def blocks(page: str) -> list[str]:
    """The Python blocks that can stand alone; one that begins with a definition is an excerpt."""
    code_blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    return [code for code in code_blocks if not code.startswith(("@", "def "))]


def test_the_excerpt_of_the_book_by_hand_is_its_code():
    (excerpt,) = re.findall(r"```python\n(def .*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert excerpt in (ROOT / "tinygen" / "byhand" / "pieces.py").read_text()


@pytest.mark.parametrize("page", WITH_CODE)
def test_code_runs_and_prints_what_its_comments_say(
    page: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    if "runs/mnist_autoencoder" in "".join(blocks(page)):  # as if the reader had made it
        assert run_here("--smoke", "--quiet", "--out", "runs/mnist_autoencoder") == 0
    for code in blocks(page):
        exec("import numpy as np\nimport tinygen as tg\n" + code, {})
        printed = capsys.readouterr().out.splitlines()
        claims = re.findall(r"^print\(.*\) +# ([\d.e-]+)", code, re.MULTILINE)
        for claim, line in zip(claims, printed, strict=False):
            value = float(re.search(r"[\d.]+(e-?\d+)?", line)[0])  # type: ignore[index]
            # A claim about rounding is about its order of magnitude, any other one as printed.
            spread = 30 * float(claim) if "e-" in claim else 0.005
            assert abs(value - float(claim)) <= spread, (claim, line)


def anchors(page: Path) -> set[str]:
    """Those that a page's headings have on GitHub."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", page.read_text()):
        if "://" not in target:
            file = page.parent / target if target else page
            assert file.is_dir() or file.stat().st_size > 0, f"{page.name}: {target}"
            if anchor:
                assert anchor in anchors(file), f"{page.name}: {target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_nothing_is_left_to_be_filled_in(page: Path) -> None:
    assert not re.search(r"@@|TODO|FIXME", page.read_text())


def test_ci_finds_the_test_command() -> None:
    commands = [x for x in (ROOT / "README.md").read_text().splitlines() if "-m pytest" in x]
    assert len(commands) == 1
    assert "venv .venv" in commands[0]
