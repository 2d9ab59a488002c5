"""A gradient by hand, line by line: the equation, its line of code, and the numbers it produced.

A line of `tinygen.byhand` that computes an equation ends with its number, ``# (P52)``. While the
gradient is computed, Python stops at each line, and what the line has changed is recorded.
"""

from __future__ import annotations

import ast
import linecache
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from tinygen.backend import to_host

BOOK = Path(__file__).parents[1] / "byhand"
MOST_BEFORE = 5
"""The most lines that lead to an equation to record."""
EQUATION = re.compile(r"\(([A-Z]?\d+[a-z]?)\)")


@dataclass(frozen=True, eq=False)
class Line:
    """A line of `tinygen.byhand` that computes an equation, and what it computed.

    Attributes:
        file, number: where it is, such as ``"pieces.py"``, 61.
        function: in which function; `depth`, how deep the calls within `tinygen.byhand` are there.
        code: the line, without its comment.
        before: the lines that compute what it needs, after the last one that computes an equation.
        equations: the numbers of its equations, such as ``("P1",)``.
        made: the arrays that the line assigned or wrote into, by name, on the host.

    >>> import numpy as np
    >>> from tinygen.byhand.pieces import bias_gradient
    >>> (line,) = derivation(bias_gradient, np.array([[1.0, 2.0], [3.0, 4.0]]))
    >>> line.code, line.equations, line.made
    ('return da.sum(axis=0, out=out)', ('P3',), {'returned': array([4., 6.])})
    """

    file: str
    number: int
    function: str
    depth: int
    code: str
    before: tuple[str, ...]
    equations: tuple[str, ...]
    made: dict[str, Any]


def derivation(
    loss_and_grads: Callable[..., Any], parameters: Mapping[str, Any], *data: Any, **options: Any
) -> list[Line]:
    """The lines of a gradient by hand that compute equations, in the order in which they ran.

    Args:
        loss_and_grads: a function of `tinygen.byhand`, ``(parameters, *data) -> (loss,
            gradients)``; what it calls there is followed as well.
        parameters, data, options: what it is called with. Arrays are copied at each line, so they
            should be small.

    >>> import numpy as np
    >>> from tinygen.byhand.pieces import kl
    >>> for line in derivation(kl, np.zeros((1, 1)), np.zeros((1, 1))):
    ...     print(line.file, line.function, *line.equations)
    pieces.py kl P56 P57 P58
    """
    follower = _Follower()
    with follower.following():
        loss_and_grads(parameters, *data, **options)
    return follower.lines


class _Follower:
    """Compares the local variables before and after each line."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self._depth = 0

    @contextmanager
    def following(self) -> Iterator[None]:
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            yield
        finally:
            sys.settrace(before)

    def _enter(self, frame: FrameType, event: str, _: Any) -> Callable[..., Any] | None:
        file = Path(frame.f_code.co_filename)
        if file.parent != BOOK or file.name == "checks.py" or frame.f_code.co_name[0] == "<":
            return None
        self._depth += 1
        number, before = frame.f_lineno, _arrays(frame)

        def at_line(frame: FrameType, event: str, result: Any) -> Callable[..., Any]:
            nonlocal number, before
            after = _arrays(frame)
            returned = {"returned": result} if event == "return" else {}
            self._note(frame, number, before, after | _flat(returned))
            number, before = frame.f_lineno, after
            if event == "return":
                self._depth -= 1
            return at_line

        return at_line

    def _note(self, frame: FrameType, number: int, before: Any, after: Any) -> None:
        code, equations = _line(frame.f_code.co_filename, number)
        if not equations or code.endswith(":"):
            return
        made = _made(code, before, after) or _elements(code, frame)
        path, function = Path(frame.f_code.co_filename), frame.f_code.co_name
        lead = _lead(frame.f_code.co_filename, number)
        line = Line(path.name, number, function, self._depth, code, lead, equations, made)
        self.lines.append(line)


def _line(path: str, number: int) -> tuple[str, tuple[str, ...]]:
    """A line of code without its comment, and the numbers of the equations in the comment."""
    code, _, comment = linecache.getline(path, number).strip().partition("  # ")
    return code, tuple(EQUATION.findall(comment))


def _lead(path: str, number: int) -> tuple[str, ...]:
    """The lines that compute what a line needs, back to the last one that computes an equation."""
    *before, own = _statements_to(path, number)
    lead = [code for code, _ in _lines(path, own.lineno, number)]
    needed = _names(own)
    for statement in reversed(before):
        lines = _lines(path, statement.lineno, (statement.end_lineno or 0) + 1)
        if hasattr(statement, "body") or any(equations for _, equations in lines):
            break
        if needed & _writes_to(statement):
            needed |= _names(statement)
            lead[:0] = [code for code, _ in lines]
    return tuple(lead[-MOST_BEFORE:])


def _lines(path: str, first: int, end: int) -> list[tuple[str, tuple[str, ...]]]:
    """The lines that hold code, up to the one before `end`."""
    lines = [_line(path, number) for number in range(first, end)]
    return [line for line in lines if line[0] and not line[0].startswith("#")]


def _statements_to(path: str, number: int) -> list[ast.stmt]:
    """The statements from the start of a line's function or loop to that line, which is last."""
    statements: list[ast.stmt] = []
    bodies: list[list[ast.stmt]] = [_tree(path).body]
    while bodies:
        statements += [s for body in bodies for s in body if s.lineno <= number]
        around = statements[-1]
        bodies = [getattr(around, name) for name in ("body", "orelse") if hasattr(around, name)]
        bodies = [body for body in bodies if body and body[0].lineno <= number][-1:]
        if bodies:
            statements = statements[:-1] if isinstance(around, ast.If) else []
    return statements


@cache
def _tree(path: str) -> ast.Module:
    return ast.parse("".join(linecache.getlines(path)))


def _names(node: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


def _writes_to(statement: ast.stmt) -> set[str]:
    """The variables that a statement assigns, writes into, or calls a method of."""
    targets = _targets(ast.unparse(statement))
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        method = statement.value.func
        targets += [method.value] if isinstance(method, ast.Attribute) else []
    return {_name_of(target) for target in targets}


def _name_of(target: ast.expr) -> str:
    """``h`` of ``h``, ``h[k]`` and ``h.x``."""
    while isinstance(target, (ast.Subscript, ast.Attribute, ast.Starred)):
        target = target.value
    return target.id if isinstance(target, ast.Name) else ""


def _made(code: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """What a line assigned, even if the value is unchanged, and then what else it changed.

    An array that has two names is listed once.
    """
    targets = {ast.unparse(target) for target in _targets(code)}
    changed = [n for n, x in after.items() if n not in before or _differ(before[n], x)]
    made: dict[str, Any] = {}
    for name in dict.fromkeys([*(n for n in after if n in targets), *changed]):
        if all(_differ(x, after[name]) for x in made.values()):
            made[name] = after[name]
    return made


def _elements(code: str, frame: FrameType) -> dict[str, Any]:
    """What a line wrote into if it changed no variable of its own: ``gradients[k][0]``."""
    names = {ast.unparse(target) for target in _targets(code)}
    return _flat({name: eval(name, frame.f_globals, frame.f_locals) for name in names})


def _targets(code: str) -> list[ast.expr]:
    """The left-hand side of a line, and what it writes into by ``out=``."""
    try:
        (statement,) = ast.parse(code).body
    except (SyntaxError, ValueError):  # the first line of several, or a return
        return []
    left = getattr(statement, "targets", [getattr(statement, "target", None)])
    assigned = [node for target in left if target for node in _parts(target)]
    keywords = [node for node in ast.walk(statement) if isinstance(node, ast.keyword)]
    return assigned + [keyword.value for keyword in keywords if keyword.arg == "out"]


def _parts(target: ast.expr) -> list[ast.expr]:
    return [*target.elts] if isinstance(target, ast.Tuple) else [target]


def _arrays(frame: FrameType) -> dict[str, Any]:
    """Copies of the arrays among the local variables."""
    return _flat(frame.f_locals)


def _flat(named: Mapping[str, Any]) -> dict[str, Any]:
    """Arrays by name; those in a mapping or a tuple as ``name[key]``, but nothing deeper."""
    arrays: dict[str, Any] = {}
    for name, x in named.items():
        inside = x.items() if isinstance(x, Mapping) else enumerate(x) if _is_tuple(x) else ()
        parts = {name: x} | {f"{name}[{key}]": part for key, part in inside}
        arrays |= {
            called: np.array(to_host(part))
            for called, part in parts.items()
            if hasattr(part, "strides")
        }
    return arrays


def _is_tuple(x: Any) -> bool:
    return isinstance(x, (tuple, list))


def _differ(x: Any, y: Any) -> bool:
    return x.shape != y.shape or not np.array_equal(x, y, equal_nan=x.dtype.kind == "f")
