"""Programs as notebooks, and back: plain JSON in the format 4.5 of Jupyter."""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from tinygen.errors import InputError


class Cell(NamedTuple):
    """A cell: its kind, ``"code"`` or ``"markdown"``, its text, and the tags it has in Jupyter."""

    kind: str
    text: str
    tags: Sequence[str] = ()


def cells(source: str) -> list[Cell]:
    """A program in cells: each function and class has its own, with the comments above it."""
    lines = source.splitlines()
    starts = [0]
    previous: ast.stmt | None = None
    for statement in ast.parse(source).body:
        if previous and (_is_definition(statement) or _is_definition(previous)):
            first = min([statement.lineno, *(d.lineno for d in _decorators(statement))]) - 1
            while lines[first - 1].startswith("#"):
                first -= 1
            starts.append(first)
        previous = statement
    pieces = zip(starts, [*starts[1:], len(lines)], strict=True)
    return [Cell("code", "\n".join(lines[first:last]).strip("\n")) for first, last in pieces]


def _is_definition(statement: ast.stmt) -> bool:
    return isinstance(statement, (ast.FunctionDef, ast.ClassDef))


def _decorators(statement: ast.stmt) -> list[ast.expr]:
    return getattr(statement, "decorator_list", [])


def notebook(all_cells: Sequence[Cell]) -> str:
    """A notebook as the text of its file."""
    written: list[dict[str, Any]] = []
    for number, cell in enumerate(all_cells):
        one: dict[str, Any] = {"cell_type": cell.kind, "id": f"cell-{number}"}
        one["metadata"] = {"tags": [*cell.tags]} if cell.tags else {}
        if cell.kind == "code":
            one |= {"execution_count": None, "outputs": []}
        written.append({**one, "source": cell.text.splitlines(keepends=True)})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    whole = {"cells": written, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def source_of(text: str) -> str:
    """The program in a notebook: its cells of code, each below a line ``# %%``.

    Magics become comments, and graders' cells are left out.

    Raises:
        InputError: it is no notebook.
    """
    try:
        return "\n\n\n".join(
            "# %%\n" + _without_magics(_text(cell["source"]))
            for cell in json.loads(text)["cells"]
            if cell["cell_type"] == "code" and not _is_graders(cell)
        )
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise InputError("expected a notebook, got a file that Jupyter could not read") from None


def _text(source: str | list[str]) -> str:
    return source if isinstance(source, str) else "".join(source)


def _is_graders(cell: dict[str, Any]) -> bool:
    """Whether a cell is of nbgrader's tests, not of the student's program."""
    metadata = cell.get("metadata", {}).get("nbgrader", {})
    return bool(metadata.get("grade")) and not metadata.get("solution")


def _without_magics(text: str) -> str:
    """A cell in which what only Jupyter understands is a comment."""
    if text.lstrip().startswith("%%"):
        return "\n".join("# " + line for line in text.splitlines())
    return "\n".join(
        "# " + line if line.startswith(("%", "!", "?")) else line for line in text.splitlines()
    )
