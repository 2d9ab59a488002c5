"""Programs as notebooks, and back: plain JSON in the format 4.5 of Jupyter."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from tinygen.errors import InputError

LARGEST_SOURCE = 200_000
"""The largest program, as JSON in bytes; with a driver it must be below LARGEST_TREE of wire.py."""


class Cell(NamedTuple):
    """A cell: its kind, ``"code"`` or ``"markdown"``, its text, and the tags it has in Jupyter."""

    kind: str
    text: str
    tags: Sequence[str] = ()


def cells(source: str) -> list[Cell]:
    """A program as cells: each function and class has its own, with the comments above it."""
    lines = source.split("\n")
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
    """The text of a notebook's file."""
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
    """The program in a notebook: its cells of code, each below a line ``# %% cell 5``.

    What only Jupyter understands becomes a comment, or one after a ``pass``; graders' cells are
    left out. Lines stay lines.

    Raises:
        InputError: it is not a notebook, or there is too much in it.
    """
    try:
        programs = [
            (number, _text(cell["source"]))
            for number, cell in enumerate(json.loads(text)["cells"], 1)
            if cell["cell_type"] == "code" and not _is_graders(cell)
        ]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise InputError("expected a notebook of Jupyter's format 4, got another file") from None
    if sum(len(program) for _, program in programs) > LARGEST_SOURCE:  # before any is parsed
        raise InputError(f"expected at most {LARGEST_SOURCE // 1000} kB of Python, got more")
    return "\n\n\n".join(
        f"# %% cell {number}\n" + _without_magics(program) for number, program in programs
    )


def _text(source: str | list[str]) -> str:
    return _one_kind_of_line(source if isinstance(source, str) else "".join(source))


def _one_kind_of_line(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _is_graders(cell: dict[str, Any]) -> bool:
    """Whether a cell belongs to nbgrader's tests, not to the student's program."""
    metadata = cell.get("metadata", {}).get("nbgrader", {})
    return bool(metadata.get("grade")) and not metadata.get("solution")


RUN_AS_PYTHON = {"%%capture", "%%prun", "%%time"}
"""Cell magics after which the rest of the cell is still Python of the notebook."""
MAGIC = re.compile(
    r"^( *)((?:\w[\w, ]*= *)?[!%]{1,2}[\w./~{].*|\?.*|%*[\w.]+\?{1,2} *)$", flags=re.M
)


def _without_magics(text: str) -> str:
    """A cell with what only Jupyter understands turned into comments."""
    lines = text.split("\n")
    if lines[0].startswith("%%"):
        program = lines[1:] if lines[0].split()[0] in RUN_AS_PYTHON else []
        commented = [f"# {line}" for line in lines[: len(lines) - len(program)]]
        return "\n".join([*commented, _without_magics("\n".join(program))])
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return MAGIC.sub(r"\1pass  # \2", text)
    return text


def text_of(name: str, data: bytes) -> str:
    """The text of a file, however an editor has encoded it.

    Raises:
        InputError: it is not text.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = data.decode("utf-16", errors="replace")
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:  # an old editor's; Python needs what is the same in most of them
            text = data.decode("latin-1")
    if "\0" in text:
        raise InputError(f"expected text, got {name}, which has null bytes in it")
    return _one_kind_of_line(text)
