"""A gradient by hand, line by line: the equation, its line of code, and the numbers it made.

A line of `tinygen.byhand` that computes an equation ends in its number, ``# (P52)``. Python is
asked to stop at each line while the gradient is computed, and what the line has changed is noted.
"""

from __future__ import annotations

import ast
import linecache
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from tinygen.backend import to_host

BOOK = Path(__file__).parents[1] / "byhand"
EQUATION = re.compile(r"\(([A-Z]?\d+[a-z]?)\)")


@dataclass(frozen=True, eq=False)
class Line:
    """A line of the book that computes an equation, and what it computed.

    Attributes:
        file, number: where it stands, such as ``"pieces.py"``, 61.
        function: in which function; `depth`, how many functions of the book called one another.
        code: the line, without its comment.
        equations: the numbers of its equations, such as ``("P1",)``.
        made: the arrays that the line assigned or wrote into, by name, on the host.
    """

    file: str
    number: int
    function: str
    depth: int
    code: str
    equations: tuple[str, ...]
    made: dict[str, Any]


def derivation(
    loss_and_grads: Callable[..., Any], parameters: Mapping[str, Any], *data: Any, **options: Any
) -> list[Line]:
    """The lines of a gradient by hand that compute equations, in the order in which they ran.

    Args:
        loss_and_grads: a function of the book, ``(parameters, *data) -> (loss, gradients)``; what
            it calls is followed as well.
        parameters, data, options: what it is called with. Arrays are copied at each line, so they
            had better be small.

    >>> import numpy as np
    >>> from tinygen.byhand.pieces import kl
    >>> for line in derivation(kl, np.zeros((1, 1)), np.zeros((1, 1))):
    ...     print(line.file, line.equations)  # doctest: +ELLIPSIS
    pieces.py (...
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
        code = linecache.getline(frame.f_code.co_filename, number)
        code, _, comment = code.strip().partition("  # ")
        if equations := EQUATION.findall(comment):
            named = _assigned(code)  # also what was assigned the value that it had
            made = {
                name: x
                for name, x in after.items()
                if name in named or name not in before or _differ(before[name], x)
            }
            file, function = Path(frame.f_code.co_filename).name, frame.f_code.co_name
            line = Line(file, number, function, self._depth, code, tuple(equations), made)
            self.lines.append(line)


def _assigned(code: str) -> set[str]:
    """The variables on the left of a line, and those that it writes into by ``out=``."""
    try:
        (statement,) = ast.parse(code).body
    except (SyntaxError, ValueError):  # the first line of several, or a return
        return set()
    targets = getattr(statement, "targets", [getattr(statement, "target", None)])
    names = [node for target in targets if target for node in ast.walk(target)]
    keywords = [node for node in ast.walk(statement) if isinstance(node, ast.keyword)]
    names += [keyword.value for keyword in keywords if keyword.arg == "out"]
    return {node.id for node in names if isinstance(node, ast.Name)}


def _arrays(frame: FrameType) -> dict[str, Any]:
    """Copies of the arrays among the local variables."""
    return _flat(frame.f_locals)


def _flat(named: Mapping[str, Any]) -> dict[str, Any]:
    """Arrays by name; those in a mapping or a tuple by ``name[key]``, but nothing deeper."""
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
