"""The process of a submission: it walls itself in, loads the submission, and answers questions.

    python -I -S child.py SOCKET NUMPY

All that the submission may import is loaded first, since behind the walls there are no files. The
grader believes nothing that comes from here but the first message, which is sent before any line
of the submission has run.
"""

from __future__ import annotations

import importlib
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any


def main(descriptor: int, numpy_folder: str) -> None:
    """Never returns, but by an exception: when the grader is gone."""
    _packages_by_name_only()
    sys.path.append(numpy_folder)
    import numpy as np

    from tinygen.homework.sandbox import courtesy, limits, loading, walls, wire

    connection = socket.socket(fileno=descriptor)
    task = wire.receive(connection)
    for name in courtesy.named_in(task["source"] + task["driver"]):
        importlib.import_module(name)
    wire.unpack(wire.pack(None))  # and what this loads when it is first done

    stand = walls.enter_namespaces()
    if "namespaces" in stand:
        _fork(connection)
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    stand += walls.close_files()
    stand += limits.set_limits(limits.Limits(**task["limits"]))
    stand += walls.refuse_calls()
    sys.path, sys.argv = [], [loading.FILE]
    wire.send(connection, wire.pack({"walls": tuple(dict.fromkeys(stand))}))
    courtesy.refuse_actions()

    submission, driver = loading.Submission("submission"), ModuleType("driver")
    submission.__dict__["__builtins__"] = courtesy.builtins_of_a_submission()
    problems, usable = loading.load(task["source"], submission)
    message = wire.pack({**(problems or [{}])[0], "unusable": not usable})
    exec(compile(task["driver"], "<driver>", "exec"), driver.__dict__)
    del task  # nobody needs to know the source that he is
    while True:
        _flush()
        wire.send(connection, message)
        request = wire.receive(connection)
        try:
            message = _answer(request, submission, driver, connection, wire, np)
        except BaseException as error:
            message = wire.pack(loading.describe(error))


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


def _answer(
    request: dict[str, Any],
    submission: ModuleType,
    driver: ModuleType,
    connection: socket.socket,
    wire: Any,
    np: Any,
) -> bytes:
    """A message with the result of a question."""

    def ask(name: str, **arrays: Any) -> Any:
        wire.send(connection, wire.pack({"ask": name, "arrays": arrays}))
        reply = wire.receive(connection)
        if "problem" in reply:
            raise ValueError(reply["problem"])
        return reply["result"]

    function = getattr(driver, request["question"])
    with np.errstate(all="ignore"):
        result = function(submission, request["arguments"], ask)
    return wire.pack({"result": result})


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(BaseException):
            stream.flush()


if __name__ == "__main__":
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        main(int(sys.argv[1]), sys.argv[2])
