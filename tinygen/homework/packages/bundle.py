"""The files of tinygen that grade one assignment, and no others; they need NumPy alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
SANDBOX = ROOT / "tinygen" / "homework" / "sandbox"  # one half of it is read, not imported


def bundle(folder: Path, *modules: str) -> dict[str, str]:
    """All files that are needed to grade the assignment in a folder.

    Packages have an empty ``__init__.py``, so that nothing missing is imported.

    Args:
        folder: that of the assignment, under ``assignments/``.
        modules: what is run, such as ``"tinygen.homework.grading"``.

    Returns:
        the text of each file by its path, such as ``"tinygen/errors.py"``.
    """
    files = _with_imports([*map(_file, modules), *SANDBOX.glob("*.py"), *folder.glob("*.py")])
    packages = {package for path in files for package in path.relative_to(ROOT).parents}
    empty = {f"{package.as_posix()}/__init__.py": "" for package in packages if package.parts}
    texts = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in files}
    return texts | empty


def _file(module: str) -> Path:
    return ROOT.joinpath(*module.split(".")).with_suffix(".py")


def _with_imports(waiting: list[Path]) -> set[Path]:
    """Files, and those of tinygen that they import, directly or not."""
    files: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path.is_file() and path not in files:
            files.add(path)
            waiting += [_file(name) for name in _imports(path) if name.startswith("tinygen.")]
    return files


def _imports(path: Path) -> Iterator[str]:
    """Names that may be modules: for ``from a import b`` both ``a`` and ``a.b``."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
