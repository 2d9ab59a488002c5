"""The student's folder: page, stub, and what checks it with public numbers; no solution."""

from __future__ import annotations

import ast
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tinygen.errors import InputError, refuse_unknown
from tinygen.homework import marks, variants
from tinygen.homework.assignment import Assignment
from tinygen.homework.notebooks import Cell, cells, notebook
from tinygen.homework.sandbox import wire
from tinygen.homework.variants import Variant

PUBLIC_SEED = 0
"""Of the numbers that students check with; a grade is computed with another."""

FORMATS = {"py": ".py", "notebook": ".ipynb"}

PACKAGE = Path(__file__).parent.parent
COPIED = (
    "errors.py explain/diagnosis/arrays.py explain/diagnosis/factors.py homework/checker.py "
    "homework/feedback.py homework/notebooks.py homework/sandbox/wire.py"
)

CHECK = '''"""Check the homework: python check.py, or only some questions: python check.py q3 q4"""

import sys

from checking.checker import check

check("{file}", sys.argv[1:])
'''


def new(
    assignment: Assignment,
    out: Path,
    number: int = 0,
    *,
    level: int = marks.LEVELS[-1],
    format: str = "py",
) -> Path:
    """Write the folder of a student.

    Args:
        assignment: which homework.
        out: the folder, which must not exist.
        number: of the variant.
        level: 1 for the short homework, 2 for all of it.
        format: ``"py"`` or ``"notebook"``.

    Returns:
        The file in which the student writes.

    Raises:
        InputError: `out` exists, or `format` is unknown.
        OSError: it cannot be written.
    """
    refuse_unknown("format", format, FORMATS)
    out = out.resolve()
    if out.exists():
        raise InputError(f"{out.name} exists already; expected the name of a new folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(f".{out.name}.{secrets.token_hex(4)}.unfinished")
    try:
        _write(assignment, assignment.variant(number), level, format, unfinished)
        os.rename(unfinished, out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return out / (assignment.name + FORMATS[format])


def _write(assignment: Assignment, variant: Variant, level: int, format: str, folder: Path) -> None:
    name = assignment.name + FORMATS[format]
    stub = assignment.stub(variant, level)
    texts = {
        "page.md": page(assignment, variant, level),
        name: stub if format == "py" else notebook([*cells(stub), CHECK_CELL]),
        "check.py": CHECK.format(file=name),
        "checking/driver.py": assignment.driver(variant),
        "checking/judges.py": judges(assignment),
    }
    for path in COPIED.split():
        text = (PACKAGE / path).read_text(encoding="utf-8")
        texts[f"checking/{Path(path).name}"] = beside_each_other(text)
    (folder / "checking").mkdir(parents=True)
    for path, text in texts.items():
        (folder / path).write_text(text, encoding="utf-8", newline="\n")
    for question in assignment.questions(variant, level):
        numbers = wire.pack(_numbers(assignment, question, variant))
        (folder / "checking" / f"{question.id}.npz").write_bytes(numbers)


CHECK_CELL = Cell("code", "# Save the notebook first.\n!python check.py", ["check"])


def beside_each_other(text: str) -> str:
    """A file of tinygen that imports those which are copied with it from the same folder."""
    text = re.sub(
        r"^from tinygen\.homework\.sandbox import", "from checking import", text, flags=re.M
    )
    return re.sub(
        r"^from tinygen\.(?:\w+\.)*(\w+) import", r"from checking.\1 import", text, flags=re.M
    )


def _numbers(assignment: Assignment, question: marks.Question, variant: Variant) -> dict[str, Any]:
    """What check.py needs to know of a question."""
    titled = {"title": question.title, "points": question.points}
    if assignment.is_secret(question):
        return titled
    known = assignment.known(question.id, variant, PUBLIC_SEED)
    hints = (*known.mistakes(), *known.pairs())
    return titled | {
        "tolerance": known.tolerance,
        "cases": tuple(known.cases),
        "expected": tuple(known.expected),
        "names": dict(known.names),
        "hints": tuple((hint, *print_) for hint, print_ in hints),
    }


def page(assignment: Assignment, variant: Variant, level: int = marks.LEVELS[-1]) -> str:
    """The page in the form and the letters of a variant, with the table of its questions."""

    def of_form(block: re.Match[str]) -> str:
        refuse_unknown("form", block[1], assignment.forms)
        return block[2] if block[1] == variant.form else ""

    text = re.sub(
        r"<!-- form (\w+) -->\n?(.*?)<!-- end -->\n?", of_form, assignment.page, flags=re.S
    )
    table = "\n".join(_table(assignment, variant, level))
    return variants.rename_page(text, variant).replace("<!-- questions -->", table)


def _table(assignment: Assignment, variant: Variant, level: int) -> Iterator[str]:
    questions = assignment.questions(variant, level)
    yield "| question | where | equations | points |"
    yield "|---|---|---|---|"
    for q in questions:
        yield f"| {q.id} | `{q.function}` | {' '.join(q.equations)} | {q.points:g} |"
    yield f"| | | | {sum(q.points for q in questions):g} |"


def judges(assignment: Assignment) -> str:
    """The judges of assignment.py, with all that they use; nothing else of it, and no answers."""
    text = (assignment.folder / "assignment.py").read_text(encoding="utf-8")
    statements = ast.parse(text).body
    defined = {name: node for node in statements for name in _defines(node)}
    waiting = [name for name in defined if name.startswith("judge_")]
    used: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in defined and name not in used:
            used.add(name)
            waiting += [n.id for n in ast.walk(defined[name]) if isinstance(n, ast.Name)]
    parts = [
        ast.get_source_segment(text, node) or ""
        for node in statements
        if used.intersection(_defines(node))
    ]
    return beside_each_other("\n\n\n".join(parts) + "\n")


def _defines(node: ast.stmt) -> list[str]:
    """The names that a statement gives a meaning."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [(alias.asname or alias.name).split(".")[0] for alias in node.names]
    if isinstance(node, (ast.Assign, ast.AnnAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return [n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)]
    return []
