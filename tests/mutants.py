"""How a mistake is planted in the code, and which checks see it: what all tables of mutants share.

A mistake is a piece of the source that is replaced; the piece must be there exactly once, so that
no mutant goes stale in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

Plant = Callable[[pytest.MonkeyPatch], None]


def inner(test: Any) -> Any:
    """A test of Hypothesis as a function of its arguments."""
    return test.hypothesis.inner_test


def fails(check: Callable[[], None]) -> bool:
    try:
        check()
    except AssertionError:
        return True
    return False


def both(*plants: Plant) -> Plant:
    """One mistake that is made in two places."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        for one in plants:
            one(patch)

    return plant


def mutated(module: ModuleType, *pieces: tuple[str, str]) -> ModuleType:
    """The module with pieces of its source replaced, as a module of its own."""
    path = Path(str(module.__file__))
    source = path.read_text(encoding="utf-8")
    for old, new in pieces:
        assert source.count(old) == 1, f"{path.name}: {source.count(old)} times {old!r}"
        source = source.replace(old, new)
    made = ModuleType(module.__name__)  # its own name, by which dataclass looks it up
    exec(compile(source, f"mutant of {path.name}", "exec"), vars(made))
    return made


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
