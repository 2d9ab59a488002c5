"""The process of a submission: it walls itself in, loads the submission, and answers questions.

    python -I -S child.py SOCKET NUMPY

All that the submission may import is loaded first, since behind the walls there are no files. The
grader believes nothing that comes from here but the first message, which is sent before any line
of the submission has run.
"""

from __future__ import annotations
import __future__

import ast
import importlib
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

FILE = "<submission>"


def main(descriptor: int, numpy_folder: str) -> None:
    """Never returns, but by an exception: when the grader is gone."""
    _packages_by_name_only()
    sys.path.append(numpy_folder)
    import numpy as np

    from tinygen.homework.sandbox import courtesy, limits, walls, wire

    connection = socket.socket(fileno=descriptor)
    task = wire.receive(connection)
    for name in courtesy.named_in(task["source"]):
        importlib.import_module(name)
    wire.unpack(wire.pack(None))  # and what this loads when it is first done

    stand = walls.enter_namespaces()
    if "processes" in stand:
        _fork(connection)
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    stand += walls.close_files()
    stand += limits.set_limits(limits.Limits(**task["limits"]))
    sys.path, sys.argv = [], [FILE]
    wire.send(connection, wire.pack({"walls": tuple(dict.fromkeys(stand))}))
    courtesy.refuse_actions()

    submission, driver = _Submission("submission"), ModuleType("driver")
    submission.__dict__["__builtins__"] = courtesy.builtins_of_a_submission()
    message = wire.pack(_load(task["source"], submission))
    exec(compile(task["driver"], "<driver>", "exec"), driver.__dict__)
    while True:
        _flush()
        wire.send(connection, message)
        request = wire.receive(connection)
        message = _answer(request, submission, driver, connection, wire, np)


def _packages_by_name_only() -> None:
    """This folder's files can be imported by their names, and nothing else of tinygen."""
    for name in ("tinygen", "tinygen.homework", "tinygen.homework.sandbox"):
        package = ModuleType(name)
        package.__path__ = []
        sys.modules[name] = package
    package.__path__ = [str(Path(__file__).parent)]


def _fork(connection: socket.socket) -> None:
    """Go on as the first process of the namespace, with which all of its processes end.

    The old one, which is outside, ends it when the grader closes standard input, or is gone.
    """
    pid = os.fork()
    if not pid:
        os.setsid()  # a signal to all of its group must not reach the old one
        return
    connection.close()
    os.closerange(1, 3)
    ended = 0
    while not ended and not select.select([0], [], [], 0.02)[0]:
        ended, status = os.waitpid(pid, os.WNOHANG)
    if not ended:
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


class _Submission(ModuleType):
    """A submission, which says what is missing in it."""

    def __getattr__(self, name: str) -> Any:
        raise Missing(f"expected `{name}` in it, got none")


class Missing(AttributeError):
    """A function that the submission does not have."""


def _load(source: str, module: ModuleType) -> dict[str, Any]:
    """Run a submission statement by statement, so that one which fails costs only itself.

    Returns:
        the first problem, if there is one; `unusable` if nothing was run.
    """
    sys.modules[module.__name__] = module
    problems = []
    usable = False
    future = 0
    for cell in _cells(source):
        try:
            tree = _parse(cell)
            code = compile(tree, FILE, "exec", future, dont_inherit=True)
            future |= code.co_flags & __future__.annotations.compiler_flag
        except BaseException as error:
            problems.append(_describe(error))
            continue
        usable = True
        for statement in tree.body:
            try:
                one = ast.Module([statement], [])
                exec(compile(one, FILE, "exec", future, dont_inherit=True), module.__dict__)
            except BaseException as error:
                problems.append(_describe(error))
    return {**(problems or [{}])[0], "unusable": not usable}


def _cells(source: str) -> Iterator[str]:
    """The cells of a notebook, which begin with ``# %%``, each with its lines where they were."""
    lines = source.split("\n")
    starts = [i for i, line in enumerate(lines) if not i or line == "# %%"]
    for first, last in zip(starts, [*starts[1:], len(lines)], strict=True):
        yield "\n" * first + "\n".join(lines[first:last]) + "\n"


def _parse(source: str) -> ast.Module:
    """A program, in which tabs may stand for four spaces."""
    try:
        return ast.parse(source, FILE)
    except IndentationError:
        if "\t" not in source:
            raise
        return ast.parse(source.expandtabs(4), FILE)


def _answer(
    request: dict[str, Any],
    submission: ModuleType,
    driver: ModuleType,
    connection: socket.socket,
    wire: Any,
    np: Any,
) -> bytes:
    """A message with the result of a question, or with what went wrong."""

    def ask(name: str, **arrays: Any) -> Any:
        wire.send(connection, wire.pack({"ask": name, "arrays": arrays}))
        reply = wire.receive(connection)
        if "problem" in reply:
            raise ValueError(reply["problem"])
        return reply["result"]

    try:
        function = getattr(driver, request["question"])
        with np.errstate(all="ignore"):
            result = function(submission, request["arguments"], ask)
        return wire.pack({"result": result})
    except BaseException as error:
        return wire.pack(_describe(error))


def _describe(error: BaseException) -> dict[str, Any]:
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


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(BaseException):
            stream.flush()


if __name__ == "__main__":
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        main(int(sys.argv[1]), sys.argv[2])
