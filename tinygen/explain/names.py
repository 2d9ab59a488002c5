"""What a program calls its tensors: found in its parameters, arguments and local variables."""

from __future__ import annotations

import inspect
import linecache
import os
import sys
import sysconfig
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

from tinygen.autograd import Tensor
from tinygen.autograd.engine import leaves_like
from tinygen.autograd.operators import raw
from tinygen.autograd.recording import ENGINE

PACKAGE = str(Path(__file__).parents[1])
BENEATH = tuple(
    os.path.join(PACKAGE, *room.split("/"))
    for room in (
        "autograd",
        "ops",
        "backend",
        "explain/names",
        "explain/trace",
        "explain/checks",
        "explain/diagnosis",
    )
)
LIBRARIES = tuple(sysconfig.get_paths()[kind] for kind in ("stdlib", "purelib", "platlib"))
"""What the program is not: what stands between a formula and its arrays, and other libraries."""


def name(x: Tensor, text: str) -> Tensor:
    """Call a tensor `text` in every `trace`; returns it.

    >>> name(Tensor(2.0) * 3.0, "z")
    Tensor(6.0)
    """
    x._name = text
    return x


class Names:
    """The names of tensors and constants, and where each was computed."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._places: dict[int, tuple[str, tuple[str, ...], tuple[int, ...]]] = {}
        self._scopes: list[str] = []
        self._calls: list[int] = []  # their numbers, as two calls may have one name
        self._count = count()
        self._seen: list[Any] = []  # what has an entry stays alive, so that its id stays its own
        self._given: Counter[str] = Counter()
        self._data: set[int] = set()

    def of(self, x: Any) -> str:
        """A name for a node, which no other node has."""
        known = getattr(x, "_name", None) or self._names.get(id(x)) or self._names.get(id(raw(x)))
        op = getattr(x, "_op", None)
        text = known or (op.name if op else "constant" if not isinstance(x, Tensor) else "leaf")
        self._given[text] += 1
        number = self._given[text]
        return text if known and number == 1 else f"{text}{number}"

    def is_data(self, x: Any) -> bool:
        """Whether the traced function was given this array, as its data."""
        return id(x) in self._data

    def where(self, x: Any) -> tuple[str, tuple[str, ...], tuple[int, ...]]:
        """The program's line that computed `x`, the functions that it is in, and their calls.

        ``("", (), ())`` where nobody looked.
        """
        return self._places.get(id(raw(x)), ("", (), ()))

    def call(self, f: Callable[..., Any], arguments: Any, options: Any) -> Any:
        """What `f` makes of leaves in the place of its first argument, the parameters."""
        parameters, *data = arguments
        xs = leaves_like(parameters)
        by_key = xs if isinstance(xs, Mapping) else {}
        for key, leaf in by_key.items():
            self._call(leaf, str(key))
        self._of_signature(f, (xs, *data), options)
        with self._watching():
            return f(xs, *data, **options)

    def of_caller(self, depth: int) -> None:
        """Names of the local variables of the function that called this many calls above."""
        self._of_variables(sys._getframe(depth).f_locals)

    def _of_signature(self, f: Callable[..., Any], arguments: Any, options: Any) -> None:
        try:
            bound = inspect.signature(f).bind(*arguments, **options)
        except (TypeError, ValueError):  # the call will say what is wrong
            return
        self._of_variables(bound.arguments)
        for variable, x in bound.arguments.items():
            if isinstance(x, Mapping):  # such as the parameters of the other player
                self._of_variables({f"{variable}.{key}": value for key, value in x.items()})
            elif not isinstance(x, Tensor):
                self._data.add(id(x))

    def _of_variables(self, variables: Any) -> None:
        for variable, x in list(variables.items()):
            if hasattr(x, "shape") and not variable.startswith("_"):
                self._call(x, variable)

    def _call(self, x: Any, text: str) -> None:
        self._names.setdefault(id(x), text)
        self._seen.append(x)

    @contextmanager
    def _watching(self) -> Iterator[None]:
        """Note meanwhile which line computes what, and the local variables of the functions."""
        before = sys.getprofile(), ENGINE.watch
        sys.setprofile(self._profile)
        ENGINE.watch = self._watch
        try:
            yield
        finally:
            sys.setprofile(before[0])
            ENGINE.watch = before[1]

    def _profile(self, frame: FrameType, event: str, result: Any) -> None:
        if event not in ("call", "return") or not _is_of_program(frame):
            return
        if frame.f_code.co_flags & inspect.CO_GENERATOR:  # entered again for each of its values
            return
        if event == "call":
            self._scopes.append(_scope(frame))
            self._calls.append(next(self._count))
        elif self._scopes:
            function, _ = self._scopes.pop(), self._calls.pop()
            if "/nn/" not in frame.f_code.co_filename:  # where every tensor is called x
                self._of_variables(frame.f_locals)
            is_traced = not self._scopes and function != "<lambda>"
            if isinstance(result, Tensor) and (is_traced or function == "loss"):
                self._call(result, function)  # unless it is a variable

    def _watch(self, _: str, __: Any, y: Any) -> None:
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and not _is_of_program(frame):
            frame = frame.f_back
        line = "" if frame is None else _line(frame)
        self._places[id(y)] = line, tuple(self._scopes), tuple(self._calls)
        self._seen.append(y)


def _is_of_program(frame: FrameType) -> bool:
    file = frame.f_code.co_filename
    if file.startswith(PACKAGE):
        return not file.startswith(BENEATH)
    return not file.startswith((*LIBRARIES, "<frozen"))


def _scope(frame: FrameType) -> str:
    """``"Dense"`` for the call of a layer, ``"loss"`` for a function."""
    function = frame.f_code.co_name
    if function == "__call__" and "self" in frame.f_locals:
        return type(frame.f_locals["self"]).__name__
    return function


def _line(frame: FrameType) -> str:
    code = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}: {code}"
