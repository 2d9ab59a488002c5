"""The derivations and the code by hand number the same equations.

``docs/derivations/NAME.md`` and ``tinygen/byhand/NAME.py`` belong together. An equation ends in
``\\tag{7}``; a line of code that computes it ends in a comment with ``(7)``. Each needs the other.
The equations of pieces.md, chain.md and conv.md have a letter, ``\\tag{P7}`` and so on, because all
others refer to them: a line of a model that ends in ``(P7)`` calls a function that computes P7.
An equation that only explains has another letter in its tag, ``\\tag{E1}``, and needs no line.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import tinygen.byhand
from tinygen.explain.equations import cited_lines, tags

PAGES = Path(__file__).parents[2] / "docs" / "derivations"
CODE = Path(tinygen.byhand.__file__).parent
LETTERS = {"pieces": "P", "chain": "C", "conv": "K"}
"""The pages whose equations others refer to."""


def letter_of(tag: str) -> str:
    return tag.rstrip("0123456789")


def faults(page: str, code: str, letter: str = "", called: str = "") -> list[str]:
    """What is wrong between a derivation and its code; nothing, if they agree.

    Args:
        page, code: the texts.
        letter: that of the page's equations.
        called: the code of the functions that this code calls.
    """
    every = [tag for tag in tags(page) if letter_of(tag) == letter]
    cited = cited_lines(code)
    numbers = [int(tag[len(letter) :]) for tag in every]
    out = [f"equation ({t}) is numbered {every.count(t)} times" for t in sorted({*every})
           if every.count(t) > 1]  # fmt: skip
    out += [f"equation ({t}) has no line of code" for t in every if t not in cited]
    if numbers != sorted(numbers):
        out.append(f"the equations do not stand in order: {numbers}")
    computed = computed_by(called + "\n" + code)
    for number, lines in cited.items():
        if letter_of(number) == letter:
            if number not in every:
                out.append(f"line {lines} cites ({number}), which is no equation")
        else:
            for line in lines:
                if not any(number in computed.get(name, ()) for name in names_on(code, line)):
                    out.append(f"line {line} cites ({number}), but calls nothing that computes it")
    return out


def computed_by(code: str) -> dict[str, set[str]]:
    """The numbers that each function cites, or a function that it calls."""
    functions = [node for node in ast.parse(code).body if isinstance(node, ast.FunctionDef)]
    cited = cited_lines(code)
    own = {
        f.name: {
            n
            for n, lines in cited.items()
            if any(f.lineno <= x <= (f.end_lineno or 0) for x in lines)
        }
        for f in functions
    }
    calls = {f.name: names_in(f) & {*own} for f in functions}
    for _ in functions:  # no chain of calls is longer
        own = {name: own[name].union(*(own[other] for other in calls[name])) for name in own}
    return own


def names_in(*nodes: ast.AST) -> set[str]:
    return {n.id for node in nodes for n in ast.walk(node) if isinstance(n, ast.Name)}


def names_on(code: str, line: int) -> set[str]:
    """The names in the innermost statement that has this line."""
    around = [
        node
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or 0)
    ]
    innermost = max(around, key=lambda node: (node.lineno, -(node.end_lineno or 0)))
    return names_in(innermost)


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def names() -> list[str]:
    """Every derivation, and every file by hand that numbers an equation."""
    stems = {p.stem for p in PAGES.glob("*.md")}
    return sorted(stems | {p.stem for p in CODE.glob("*.py") if cited_lines(read(p))})


def page_of(name: str) -> str:
    return read(PAGES / f"{name}.md")


@pytest.mark.parametrize("name", names())
def test_each_equation_has_a_line_and_each_number_an_equation(name: str) -> None:
    called = read(CODE / "pieces.py") + read(CODE / "chain.py")
    called = called.replace("from __future__ import annotations\n", "")
    assert not faults(page_of(name), read(CODE / f"{name}.py"), LETTERS.get(name, ""), called)


def test_the_pairs_are_found() -> None:
    assert {"pieces", "chain", "conv", "autoencoder", "vae", "gan", "classifier"} <= {*names()}


@pytest.mark.parametrize("name", names())
def test_the_text_refers_to_equations_that_exist(name: str) -> None:
    known = {*tags(page_of(name))}
    for other, letter in LETTERS.items():
        known |= {tag for tag in tags(page_of(other)) if letter_of(tag) == letter}
    prose = re.sub(r"\$\$.*?\$\$", "", page_of(name), flags=re.DOTALL)
    prose = re.sub(r"\$.*?\$", "$", prose)
    referred = {*re.findall(r"(?<![\w$}\]])\(([A-Z]?\d{1,2})\)", prose)}
    assert referred <= known


def test_no_page_has_a_tag_of_another_s_letter() -> None:
    """(P7) is one equation, wherever it is referred to."""
    for name in names():
        foreign = {*LETTERS.values()} - {LETTERS.get(name, "")}
        assert not [tag for tag in tags(page_of(name)) if letter_of(tag) in foreign]


def test_the_page_of_the_aae_has_no_equation_that_needs_a_line() -> None:
    every = tags(page_of("aae"))
    assert every and all(letter_of(tag) == "A" for tag in every)


# The checker is checked with a page and a code that have each of the faults.

PAGE = r"$$a = b \tag{1}$$ $$c = d \tag{2}$$ $$e = f \tag{E1}$$"
GOOD = "a = b  # (1)\nc = d  # (2)\n"
CALLED = (
    "def f(x):\n    return x  # (P1)\ndef g(x):\n    return f(x)\ndef h(x):\n    return x  # (P2)\n"
)


def test_a_pair_that_agrees_passes() -> None:
    assert faults(PAGE, GOOD) == []


def test_one_line_may_compute_several_equations_and_several_lines_one() -> None:
    assert faults(PAGE, "a = b = c  # (1) (2)\nc += 1  # (2), its second half\n") == []


def test_a_line_may_cite_what_a_function_computes_that_it_calls() -> None:
    assert faults(PAGE, "a = f(b)  # (1) (P1)\nc = g(d)  # (2) (P1)\n", called=CALLED) == []
    longer = "a = (\n    f(b)  # (1) (P1)\n)\nc = d  # (2)\n"
    assert faults(PAGE, longer, called=CALLED) == []


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
        (PAGE, GOOD + "e = h(e)  # (P1)\n", "calls nothing that computes it"),
        (PAGE, GOOD + "e = f\ne = 1  # (P1)\n", "calls nothing that computes it"),
        (PAGE, GOOD + "e = f(e)  # (P9)\n", "calls nothing that computes it"),
    ],
)
def test_a_pair_that_disagrees_fails(page: str, code: str, fault: str) -> None:
    assert any(fault in line for line in faults(page, code, called=CALLED))
