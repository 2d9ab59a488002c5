"""Loads a submission, in the grader's sandbox and in the student's own check alike."""

from __future__ import annotations
import __future__

import ast
import sys
import traceback
from collections.abc import Iterator
from contextlib import suppress
from types import ModuleType
from typing import Any

FILE = "<submission>"


class Submission(ModuleType):
    """A submission, which reports what is missing in it."""

    def __getattr__(self, name: str) -> Any:
        raise Missing(f"expected `{name}` in the file, got none")


class Missing(AttributeError):
    """A function that the submission does not have."""


def load(source: str, module: ModuleType) -> tuple[list[dict[str, Any]], bool]:
    """Run a submission statement by statement, so that one that fails costs only itself.

    Returns:
        what went wrong, see `describe`; and whether anything was run.
    """
    sys.modules[module.__name__] = module
    problems: list[dict[str, Any]] = []
    usable = False
    future = 0
    for tree in _trees(source, problems):
        try:
            code = compile(tree, FILE, "exec", future, dont_inherit=True)
            future |= code.co_flags & __future__.annotations.compiler_flag
        except BaseException as error:
            problems.append(describe(error))
            continue
        usable = True
        for statement in tree.body:
            try:
                one = ast.Module([statement], [])
                exec(compile(one, FILE, "exec", future, dont_inherit=True), module.__dict__)
            except BaseException as error:
                problems.append(describe(error))
    return problems, usable


def _trees(source: str, problems: list[dict[str, Any]]) -> Iterator[ast.Module]:
    """The programs in the cells; for a cell that cannot be parsed, those statements that can."""
    for cell in _cells(source):
        try:
            yield _parse(cell)
        except BaseException as error:
            problems.append(describe(error))
            yield from _whole_statements(cell)


def _whole_statements(source: str) -> Iterator[ast.Module]:
    """From each unindented line, the fewest lines that form a program, if any do."""
    lines = source.split("\n")
    starts = [i for i, line in enumerate(lines) if line[:1].strip(" \t#")] + [len(lines)]
    end = 0
    for number, first in enumerate(starts[:-1]):
        for last in starts[number + 1 : number + 50] if first >= end else ():
            with suppress(BaseException):
                yield _parse("\n" * first + "\n".join(lines[first:last]) + "\n")
                end = last
                break


def _cells(source: str) -> Iterator[str]:
    """The cells of a notebook, which begin with ``# %%``, each with its lines where they were."""
    lines = source.split("\n")
    starts = [i for i, line in enumerate(lines) if not i or f"{line} ".startswith("# %% ")]
    for first, last in zip(starts, [*starts[1:], len(lines)], strict=True):
        yield "\n" * first + "\n".join(lines[first:last]) + "\n"


def _parse(source: str) -> ast.Module:
    """A program, in which tabs may stand for four or eight spaces."""
    try:
        return ast.parse(source, FILE)
    except IndentationError:
        if "\t" not in source:
            raise
    with suppress(IndentationError):
        return ast.parse(source.expandtabs(4), FILE)
    return ast.parse(source.expandtabs(8), FILE)


def describe(error: BaseException) -> dict[str, Any]:
    """What went wrong, and in which of the student's lines."""
    line = 0
    for frame, number in traceback.walk_tb(error.__traceback__):
        line = number if frame.f_code.co_filename == FILE else line
    try:
        message = str(error)[:1000]
        if isinstance(error, SyntaxError) and error.filename == FILE:
            line, message = error.lineno or 0, str(error.msg)
    except BaseException:
        message = "it cannot be printed"
    return {"problem": type(error).__name__, "message": message, "line": line}
