"""The derivations and the code by hand number the same equations.

``docs/derivations/NAME.md`` and ``tinygen/byhand/NAME.py`` belong together. An equation ends in
``\\tag{7}``; a line of code that computes it ends in a comment with ``(7)``. Each needs the other.
An equation that only explains has a letter in its tag, ``\\tag{P1}``, and needs no line.
"""

import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "derivations"
CODE = ROOT / "tinygen" / "byhand"


def equations(page: str) -> list[int]:
    """The numbers of a page's equations, in the order in which they stand there."""
    return [int(tag) for tag in re.findall(r"\\tag\{(\d+)\}", page)]


def citations(code: str) -> dict[int, list[int]]:
    """For each number in a comment at the end of a line of code, the lines that cite it."""
    found: dict[int, list[int]] = {}
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        before = token.line[: token.start[1]].strip()
        if token.type == tokenize.COMMENT and before:
            for number in re.findall(r"\((\d+)\)", token.string):
                found.setdefault(int(number), []).append(token.start[0])
    return found


def faults(page: str, code: str) -> list[str]:
    """What is wrong between a derivation and its code; nothing, if they agree."""
    tags, cited = equations(page), citations(code)
    twice = sorted({n for n in tags if tags.count(n) > 1})
    out = [f"equation ({n}) is numbered {tags.count(n)} times" for n in twice]
    out += [f"equation ({n}) has no line of code" for n in sorted(set(tags) - set(cited))]
    out += [f"line {cited[n]} cites ({n}), which is no equation" for n in cited if n not in tags]
    if tags != sorted(tags):
        out.append(f"the equations do not stand in order: {tags}")
    return out


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def names() -> list[str]:
    """Every derivation and every file by hand that numbers an equation."""
    stems = {p.stem for p in PAGES.glob("*.md")} | {p.stem for p in CODE.glob("*.py")}
    return sorted(
        name
        for name in stems
        if equations(read(PAGES / f"{name}.md")) or citations(read(CODE / f"{name}.py"))
    )


@pytest.mark.parametrize("name", names())
def test_each_equation_has_a_line_and_each_number_an_equation(name):
    page, code = PAGES / f"{name}.md", CODE / f"{name}.py"
    assert not faults(read(page), read(code)), f"{page} against {code}"


def test_the_pairs_are_found():
    assert {"activations", "autoencoder"} <= set(names())


@pytest.mark.parametrize("name", names())
def test_the_text_refers_to_equations_that_exist(name):
    page = read(PAGES / f"{name}.md")
    tags = set(re.findall(r"\\tag\{(\w+)\}", page))
    prose = re.sub(r"\$\$.*?\$\$", "", page, flags=re.DOTALL)
    referred = set(re.findall(r"(?<![\w$}\]])\(([A-Z]?\d{1,2})\)", re.sub(r"\$.*?\$", "$", prose)))
    assert referred <= tags


# The checker is checked with a page and a code that have each of the faults.

PAGE = r"$$a = b \tag{1}$$ $$c = d \tag{2}$$ $$e = f \tag{P1}$$"
GOOD = "a = b  # (1)\nc = d  # (2)\n"


def test_a_pair_that_agrees_passes():
    assert faults(PAGE, GOOD) == []


def test_one_line_may_compute_several_equations_and_several_lines_one():
    assert faults(PAGE, "a = b = c  # (1) (2)\nc += 1  # (2), its second half\n") == []


@pytest.mark.parametrize(
    ("page", "code", "fault"),
    [
        (PAGE, GOOD + "e = 1  # (3)\n", "cites (3)"),
        (PAGE, "a = b  # (1)\n", "(2) has no line"),
        (PAGE, "a = b  # (1)\n# (2)\n", "(2) has no line"),  # a comment alone computes nothing
        (PAGE, 'a = b  # (1)\n"""c = d  # (2)"""\n', "(2) has no line"),  # nor does a string
        (PAGE, "", "(1) has no line"),  # a page whose code is missing
        ("", GOOD, "cites (1)"),  # code whose page is missing
        (PAGE + r"\tag{2}", GOOD, "numbered 2 times"),
        (r"\tag{2} \tag{1}", GOOD, "in order"),
    ],
)
def test_a_pair_that_disagrees_fails(page, code, fault):
    assert any(fault in line for line in faults(page, code))
