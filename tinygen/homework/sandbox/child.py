"""The processes of a submission: each walls itself in, loads the submission, and answers questions.

    python -I -S child.py SOCKET NUMPY MODULE ...

The first process, in which no line of a submission ever runs, imports what a submission may need,
since behind the walls there are no files. It is forked whenever the grader wants a fresh process:
that takes a hundredth of the time needed to start Python and NumPy. The grader trusts nothing that
comes from such a process except its first message, which is sent before the submission is loaded.
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


def main(descriptor: int, numpy_folder: str, modules: list[str]) -> None:
    """Fork a process for each socket that is received; end when the grader is gone."""
    _packages_by_name_only()
    sys.path.append(numpy_folder)
    from tinygen.homework.sandbox import wire

    ours = [
        f"tinygen.homework.sandbox.{name}" for name in ("courtesy", "limits", "loading", "walls")
    ]
    for name in ours + [name for name in modules if name != "*"]:
        module = importlib.import_module(name)
        for part in getattr(module, "__all__", ()) if "*" in modules else ():
            getattr(module, part, None)  # this loads it, if it was not yet
    wire.unpack(wire.pack(None))  # and what the first call of this loads
    grader = socket.socket(fileno=descriptor)
    while True:
        _, descriptors, _, _ = socket.recv_fds(grader, 1, 1)
        if not descriptors:
            return
        connection = socket.socket(fileno=descriptors[0])
        pid = os.fork()
        if not pid:
            grader.close()
            _serve(connection)
        connection.close()
        _, status = os.waitpid(pid, 0)
        grader.send(bytes([_exit_code(status)]))


def _serve(connection: socket.socket) -> None:
    """Serve requests; it ends only by an exception, when the grader is gone."""
    import numpy as np

    from tinygen.homework.sandbox import courtesy, limits, loading, walls, wire

    task = wire.receive(connection)
    stand = walls.enter_namespaces()
    _fork(connection)
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
    del task  # a submission need not see its own source
    while True:
        wire.send(connection, message)
        request = wire.receive(connection)
        try:
            message = _answer(request, submission, driver, connection, wire, np)
        except BaseException as error:
            message = wire.pack(loading.describe(error))


def _packages_by_name_only() -> None:
    """Make this folder's files importable by their names, and nothing else of tinygen."""
    for name in ("tinygen", "tinygen.homework", "tinygen.homework.sandbox"):
        package = ModuleType(name)
        package.__path__ = []
        sys.modules[name] = package
    package.__path__ = [str(Path(__file__).parent)]


def _fork(connection: socket.socket) -> None:
    """Continue as another process: the first one of the namespace, with which all in it end.

    The old process, which is outside, ends it when the grader closes the connection, or is gone.
    """
    pid = os.fork()
    if not pid:
        os.setsid()  # a signal to its whole group must not reach the old one
        with open(os.devnull, "r+") as nothing:  # nobody reads what is printed
            for standard in range(3):
                os.dup2(nothing.fileno(), standard)
        return
    closed = select.poll()
    closed.register(connection, 0)  # a closed other end is always reported
    ended = 0
    while not ended and not closed.poll(20):
        ended, status = os.waitpid(pid, os.WNOHANG)
    if not ended:
        os.kill(pid, signal.SIGKILL)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    os._exit(_exit_code(status))


def _exit_code(status: int) -> int:
    """The exit code; for a process ended by a signal, 128 plus its number, as in a shell."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


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


if __name__ == "__main__":
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
