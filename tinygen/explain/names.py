"""What a program calls its tensors, from its parameters, arguments and local variables."""

from __future__ import annotations

import inspect
import linecache
import os
import sys
import sysconfig
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import count
from operator import itemgetter
from pathlib import Path
from types import FrameType
from typing import Any

from tinygen.autograd import Tensor
from tinygen.autograd.engine import leaves_like
from tinygen.autograd.operators import raw
from tinygen.autograd.recording import ENGINE
from tinygen.explain.sources import is_cell

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
        "models/verbs",
    )
)
LIBRARIES = tuple(sysconfig.get_paths()[kind] for kind in ("stdlib", "purelib", "platlib"))
"""Code that is not the program: what lies between a formula and its arrays, and other libraries."""


def name(x: Tensor, text: str) -> Tensor:
    """Call a tensor `text` in every `trace`; return the tensor.

    >>> name(Tensor(2.0) * 3.0, "z")
    Tensor(6.0)
    """
    if not isinstance(x, Tensor):
        raise TypeError(f"name: expected a Tensor, got a {type(x).__name__}")
    if not isinstance(text, str):
        raise TypeError(f"name: expected a name of type str, got a {type(text).__name__}")
    x._name = text
    return x


CERTAIN, VARIABLE, GUESS = range(3)
"""How good a name is: that of a parameter or an argument of the traced function; of a local
variable of the function that computed it, innermost first; or of a function's own argument."""


class Names:
    """The names of tensors and constants, and where each was computed."""

    def __init__(self) -> None:
        self._names: defaultdict[int, list[tuple[int, str]]] = defaultdict(list)
        self._places: dict[int, tuple[str, tuple[str, ...], tuple[int, ...]]] = {}
        self._scopes: list[str] = []
        self._calls: list[int] = []  # their numbers, as two calls may share a name
        self._count = count()
        self._seen: list[Any] = []  # kept alive, so that no id is used again
        self._data: set[int] = set()

    def of(self, xs: Sequence[Any]) -> list[str]:
        """A unique name for each: the best one that is free, or one with a number."""
        known = [self._known(x) for x in xs]
        given = ["" for _ in xs]
        taken: set[str] = set()
        for rank in (CERTAIN, VARIABLE, GUESS):
            for i, names in enumerate(known):
                if not given[i]:
                    free = (text for r, text in names if r == rank and text not in taken)
                    given[i] = next(free, "")
                    taken.add(given[i])
        numbers: dict[str, Iterator[int]] = {}
        for i, x in enumerate(xs):
            if not given[i]:
                text, first = (known[i][0][1], 2) if known[i] else (_kind(x), 1)
                several = numbers.setdefault(text, count(first))
                given[i] = next(t for n in several if (t := f"{text}{n}") not in taken)
                taken.add(given[i])
        return given

    def _known(self, x: Any) -> list[tuple[int, str]]:
        """The names of `x`, the best first, and how good each of them is."""
        if text := getattr(x, "_name", None):
            return [(CERTAIN, text)]
        names = [*self._names.get(id(x), ())]
        if isinstance(x, Tensor) and x.is_leaf:  # its array may have a name too
            names += self._names.get(id(x.array), ())
        return sorted(names, key=itemgetter(0))

    def is_data(self, x: Any) -> bool:
        """Whether the traced function was given this array as data."""
        return id(x) in self._data

    def where(self, x: Any) -> tuple[str, tuple[str, ...], tuple[int, ...]]:
        """The program's line that computed `x`, the functions that it is in, and their calls.

        ``("", (), ())`` if that was not recorded.
        """
        return self._places.get(id(raw(x)), ("", (), ()))

    def call(self, f: Callable[..., Any], arguments: Any, options: Any) -> Any:
        """Call `f` with leaves in place of its first argument, the parameters."""
        parameters, *data = arguments
        xs = leaves_like(parameters)
        by_key = xs if isinstance(xs, Mapping) else {}
        for key, leaf in by_key.items():
            self._call(leaf, str(key), CERTAIN)
        self._of_signature(f, (xs, *data), options)
        with self._watching():
            return f(xs, *data, **options)

    def of_caller(self, depth: int) -> None:
        """Take names from the local variables of the function this many calls up."""
        for variable, x in sys._getframe(depth).f_locals.items():
            self._call(x, variable, VARIABLE)

    def _of_signature(self, f: Callable[..., Any], arguments: Any, options: Any) -> None:
        try:
            bound = inspect.signature(f).bind(*arguments, **options)
        except (TypeError, ValueError):  # the call will say what is wrong
            return
        for variable, x in bound.arguments.items():
            if isinstance(x, Mapping):  # such as the parameters of the other player
                for key, value in x.items():
                    self._call(value, f"{variable}.{key}", CERTAIN)
            elif isinstance(x, (tuple, list)):  # a batch, *data, or a list of parameters
                for i, value in enumerate(x):
                    self._of_argument(value, f"{variable}[{i}]", GUESS)
            else:
                self._of_argument(x, variable, CERTAIN)

    def _of_argument(self, x: Any, text: str, rank: int) -> None:
        self._call(x, text, rank)
        if not isinstance(x, Tensor):
            self._data.add(id(x))

    def _of_variables(self, frame: FrameType, call: int) -> None:
        """Name what was computed during the call by its variables.

        For what it was given, the names are guesses; what another call computed gets none.
        """
        code = frame.f_code
        arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        for variable, x in frame.f_locals.items():
            if not hasattr(x, "shape"):
                continue
            place = self._places.get(id(raw(x)))
            if place is None:
                self._call(x, variable, GUESS if variable in arguments else VARIABLE)
            elif call in place[2]:
                self._call(x, variable, VARIABLE)

    def _call(self, x: Any, text: str, rank: int) -> None:
        is_private = text.startswith("_") or text == "self"
        if hasattr(x, "shape") and not (is_private and rank != CERTAIN):
            self._names[id(x)].append((rank, text))
            self._seen.append(x)

    @contextmanager
    def _watching(self) -> Iterator[None]:
        """Record meanwhile which line computes what, and the local variables of the functions."""
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
        if frame.f_code.co_flags & inspect.CO_GENERATOR:  # it is entered again for each value
            return
        if event == "call":
            self._scopes.append(_scope(frame))
            self._calls.append(next(self._count))
        elif self._scopes:
            function, call = self._scopes.pop(), self._calls.pop()
            if "/nn/" not in frame.f_code.co_filename:  # where every tensor is called x
                self._of_variables(frame, call)
            is_traced = not self._scopes and function != "<lambda>"
            if isinstance(result, Tensor) and (is_traced or function == "loss"):
                self._call(result, function, VARIABLE)

    def _watch(self, _: str, __: Any, y: Any) -> None:
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and not _is_of_program(frame):
            frame = frame.f_back
        line = "" if frame is None else _line(frame)
        self._places[id(y)] = line, tuple(self._scopes), tuple(self._calls)
        self._seen.append(y)


def _is_of_program(frame: FrameType) -> bool:
    return _is_program(frame.f_code.co_filename)


def _kind(x: Any) -> str:
    if isinstance(x, Tensor):
        return "leaf" if x._op is None else x._op.name
    return "constant"


@cache
def _is_program(file: str) -> bool:
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
    path = Path(frame.f_code.co_filename)
    file = "cell" if is_cell(frame.f_code.co_filename) else path.name
    return f"{file}:{frame.f_lineno}: {code}"
