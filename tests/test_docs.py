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
    """The Python blocks that can stand alone; one that begins with a decorator is an excerpt."""
    found = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    return [code for code in found if not code.startswith("@")]


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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            file = page.parent / target
            assert file.is_dir() or file.stat().st_size > 0, f"{page.name}: {target}"


def test_ci_finds_the_test_command() -> None:
    commands = [x for x in (ROOT / "README.md").read_text().splitlines() if "-m pytest" in x]
    assert len(commands) == 1
    assert "venv .venv" in commands[0]
