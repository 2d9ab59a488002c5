"""What the pages say is so: their code runs, their links lead somewhere."""

from __future__ import annotations

import configparser
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import example, run_here

from tinygen.__main__ import COMMANDS, chosen
from tinygen.autograd import OPS
from tinygen.commands import command_line
from tinygen.commands.completion import parser_of

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / ".github" / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")]
SOURCES = [
    re.sub(r'\n\n +>>> .*?\n +"""', '"""', path.read_text(), flags=re.DOTALL)
    for path in (ROOT / "tinygen").rglob("*.py")
]
"""Without the examples of docstrings."""
PLACEHOLDERS = {"FLAG", "FLAGS", "X", "runs/FLAG"}


def blocks(page: Path) -> list[str]:
    """The Python blocks of a page, but excerpts of the package, without their examples."""
    code_blocks = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    return [code for code in code_blocks if not any(code in source for source in SOURCES)]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture
def table_of_ops() -> Iterator[None]:
    """Ops that a page defines do not stay."""
    before = dict(OPS)
    yield
    OPS.clear()
    OPS.update(before)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=name)
@pytest.mark.usefixtures("table_of_ops")
def test_code_runs_as_printed_and_prints_what_its_comments_say(
    page: Path,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One block after another, as a reader would copy them: what is not imported is not there."""
    monkeypatch.chdir(tmp_path)
    if "runs/mnist_autoencoder" in "".join(blocks(page)):  # as if the reader had made it
        assert run_here("--smoke", "--quiet", "--out", "runs/mnist_autoencoder") == 0
    namespace = {"__name__": "__main__"}
    for code in blocks(page):
        exec(code, namespace)
        printed = capsys.readouterr().out.splitlines()
        claims = re.findall(r"^print\(.*\) +# ([\d.e-]+)", code, re.MULTILINE)
        for claim, line in zip(claims, printed, strict=False):
            value = float(re.search(r"[\d.]+(e-?\d+)?", line)[0])  # type: ignore[index]
            # A claim about rounding is about its order of magnitude, any other one as printed.
            spread = 30 * float(claim) if "e-" in claim else 0.005
            assert abs(value - float(claim)) <= spread, (claim, line)


def commands(page: Path) -> list[list[str]]:
    """The examples that a page calls, each with its flags."""
    text = page.read_text().replace("\\\n", " ")
    lines = re.findall(r"python3? (examples/[^\n`#]*)", text)
    return [words for words in map(shlex.split, lines) if not PLACEHOLDERS & set(words)]


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=name)
def test_commands_name_examples_and_flags_that_exist(page: Path) -> None:
    for script, *flags in commands(page):
        assert (ROOT / script).is_file(), script
        if Path(script).parent.name == "start":
            assert not flags
        elif "--help" not in flags:
            parse(Path(script).stem, flags)


def parse(script: str, flags: list[str]) -> None:
    """Refuses what the example would refuse, before it reads any data."""
    module = example(script)
    if script == "gan_seeds":
        args = module.flags().parse_args(flags)
        parse(args.script, args.rest)
    elif hasattr(module, "SMOKE"):
        command_line.parse(module.flags(), flags, module.SMOKE, getattr(module, "PRESETS", None))
    else:
        module.flags().parse_args(flags)


TYPED = [page for page in PAGES if re.search(r"^    tinygen ", page.read_text(), re.MULTILINE)]


@pytest.mark.parametrize("page", TYPED, ids=name)
def test_commands_that_are_typed_exist_with_their_flags(page: Path) -> None:
    for line in re.findall(r"^    tinygen ([^#>\n]*)", page.read_text(), re.MULTILINE):
        words = shlex.split(line)
        if "--help" in words:
            assert line.strip() == "--help" or chosen(words)
            continue
        p = parser_of(COMMANDS[command := chosen(words)].module)
        p.parse_args(words[len(command.split()) :])


def anchors(page: Path) -> set[str]:
    """Those that a page's headings have on GitHub."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", page.read_text()):
        if "://" not in target:
            file = page.parent / target if target else page
            assert file.is_dir() or file.stat().st_size > 0, f"{page.name}: {target}"
            if anchor:
                assert anchor in anchors(file), f"{page.name}: {target}#{anchor}"


def test_the_readme_names_every_room_and_the_map_every_page() -> None:
    rooms = {f"tinygen/{path.parent.name}/" for path in ROOT.glob("tinygen/*/__init__.py")}
    readme, the_map = (ROOT / "README.md").read_text(), (ROOT / "docs/architecture.md").read_text()
    assert not {room for room in rooms if f"`{room}`" not in readme}
    pages = {path.name for path in ROOT.glob("docs/*.md")} - {"index.md", "architecture.md"}
    folders = {f"{path.parent.name}/" for path in ROOT.glob("docs/*/*.md")}
    described = the_map.partition("\ndocs/")[2].partition("```")[0]
    assert not {name for name in pages | folders if not re.search(rf"\b{name}", described)}


@pytest.mark.parametrize(
    "file",
    ["README.md", "docs/index.md", "docs/architecture.md", "docs/cite.md", "CITATION.cff",
     "setup.cfg", "tinygen/__init__.py"],
)  # fmt: skip
def test_the_headline_has_one_wording(file: str) -> None:
    text = " ".join((ROOT / file).read_text().split())
    assert "very gradient of a generative model, three ways" in text


def test_every_extra_is_explained() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    table = (ROOT / "docs/install.md").read_text().partition("| extra |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`(\w+)`", re.sub(r"\|[^|]*\|\n", "|\n", table)))
    assert named == {*config["options.extras_require"]}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_nothing_is_left_to_be_filled_in(page: Path) -> None:
    assert not re.search(r"@@|TODO|FIXME", page.read_text())


def test_ci_finds_the_test_command() -> None:
    lines = [x for x in (ROOT / "README.md").read_text().splitlines() if "-m pytest" in x]
    assert "python3 -m venv .venv" in lines[0]  # .ci/run takes the first
