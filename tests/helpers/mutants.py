"""How a mistake is planted in the code, and which checks see it: what all tables of mutants share.

A mistake is an expression or a statement that is replaced by another, wherever and however it is
written: what is compared is the syntax tree, not the text. It must be there exactly once, so that
no mutant goes stale in silence.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tinygen.errors import InputError

Plant = Callable[[pytest.MonkeyPatch], None]


def fails(check: Callable[[], None]) -> bool:
    """Whether the check sees a mistake, or the code refuses what the mistake has led to."""
    try:
        check()
    except (AssertionError, InputError):
        return True
    return False


def both(*plants: Plant) -> Plant:
    """One mistake that is made in two places."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        for one in plants:
            one(patch)

    return plant


class Replace(ast.NodeTransformer):
    """Puts statements, or an expression, in the place of a node that is equal to another."""

    def __init__(self, old: ast.AST, new: Any) -> None:
        self.old, self.new, self.count = ast.dump(old), new, 0

    def visit(self, node: ast.AST) -> Any:
        if ast.dump(node) == self.old:
            self.count += 1
            return self.new
        return self.generic_visit(node)


def replaced(source: str, old: str, new: str) -> tuple[str, int]:
    """The source with a piece of its meaning replaced, and how often that piece was there."""
    try:
        (node,), others = ast.parse(old).body, ast.parse(new).body
    except SyntaxError:
        return source, 0
    if isinstance(node, ast.Expr) and len(others) == 1 and isinstance(others[0], ast.Expr):
        replace = Replace(node.value, others[0].value)
    else:  # a statement, which may be a call alone, by one or several
        replace = Replace(node, others)
    # A name that is read and one that is written are two kinds of nodes; so is what has names.
    tree = replace.visit(ast.parse(source))
    return ast.unparse(ast.fix_missing_locations(tree)), replace.count


def mutated_source(module: ModuleType, *pieces: tuple[str, str]) -> str:
    """The module's source with pieces of it replaced.

    What is not a whole expression or statement, such as half of a list, is a piece of text.
    """
    source = source_of(module)
    for old, new in pieces:
        found, count = replaced(source, old, new)
        if count != 1:
            count, found = source.count(old), source.replace(old, new)
        assert count == 1, f"{module.__name__}: {count} times {old!r}"
        source = found
    return source


def made_of(source: str, module: ModuleType) -> ModuleType:
    made = ModuleType(module.__name__)  # its own name, by which dataclass looks it up
    exec(compile(source, f"mutant of {module.__name__}", "exec"), vars(made))
    return made


def mutated(module: ModuleType, *pieces: tuple[str, str]) -> ModuleType:
    """The module with pieces of its source replaced, as a module of its own."""
    return made_of(mutated_source(module, *pieces), module)


def in_functions(module: ModuleType, *pieces: tuple[str, str]) -> Plant:
    """A mistake in functions of a module, where everybody finds it that has ever imported them."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        source = mutated_source(module, *pieces)
        made = made_of(source, module)
        right, wrong = functions_of(source_of(module)), functions_of(source)
        changed = [name for name in right if right[name] != wrong[name]]
        assert changed, f"no function of {module.__name__} is changed by {pieces}"
        for function in map(attrgetter, changed):
            old, new = inspect.unwrap(function(module)), inspect.unwrap(function(made))
            patch.setattr(old, "__code__", new.__code__)  # below its decorators

    return plant


def source_of(module: ModuleType) -> str:
    return Path(str(module.__file__)).read_text(encoding="utf-8")


def functions_of(source: str) -> dict[str, str]:
    """What each function of a module means, by its name."""
    return {name: ast.dump(node) for name, node in functions_in(ast.parse(source)).items()}


def functions_in(tree: ast.Module) -> dict[str, ast.FunctionDef]:
    """By its name each function of a module; each method by that of its class, too."""
    classes = [(f"{node.name}.", node.body) for node in tree.body if isinstance(node, ast.ClassDef)]
    return {
        within + node.name: node
        for within, body in [("", tree.body), *classes]
        for node in body
        if isinstance(node, ast.FunctionDef)
    }


def rows_of(table: str) -> list[list[str]]:
    """The lines of a table: a mistake, the checks that see it, and some that are blind to it."""
    return [[cell.strip() for cell in line.split("|")] for line in table.strip().splitlines()]


def assert_seen(
    plant: Plant,
    seeing: str,
    blind: str,
    checks: Sequence[Callable[[], None]],
    patch: pytest.MonkeyPatch,
) -> None:
    """Of the checks that a row names, those that see the mistake fail, and no others."""
    plant(patch)
    named = {check.__name__: check for check in checks}
    found = {name for name in (seeing + " " + blind).split() if fails(named[name])}
    assert found == set(seeing.split())


def assert_complete(rows: Sequence[Sequence[str]], mutants: Mapping[str, Plant]) -> None:
    """Each mistake is in the table, and seen by somebody."""
    assert [name for name, _, _ in rows] == list(mutants)
    assert all(seeing for _, seeing, _ in rows)


def table_tests(
    rows: Sequence[Sequence[str]],
    mutants: Mapping[str, Plant],
    checks: Sequence[Callable[[], None]],
) -> tuple[Callable[..., None], Callable[..., None], Callable[..., None]]:
    """The three tests that every table has, for a module to give them their names."""

    def all_checks_pass_without_a_mistake() -> None:
        for check in checks:
            check()

    @pytest.mark.parametrize(("mistake", "seeing", "blind"), rows, ids=[row[0] for row in rows])
    def who_sees_a_mistake(
        mistake: str, seeing: str, blind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert_seen(mutants[mistake], seeing, blind, checks, monkeypatch)

    def each_mistake_is_in_the_table_and_seen() -> None:
        assert_complete(rows, mutants)

    return (
        all_checks_pass_without_a_mistake,
        who_sees_a_mistake,
        each_mistake_is_in_the_table_and_seen,
    )
