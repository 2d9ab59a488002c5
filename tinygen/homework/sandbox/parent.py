"""Runs a submission's questions in separate processes, and trusts nothing that they say.

Whatever a process does, prints, sends or does not send, each question gets an answer: a value or a
sentence. The right results never leave the grader.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinygen.errors import InputError
from tinygen.homework.feedback import TOO_LONG, TOO_LONG_TO_LOAD, failure
from tinygen.homework.sandbox import courtesy, wire
from tinygen.homework.sandbox.limits import ONE_THREAD, Limits, busy

CHILD = Path(__file__).with_name("child.py")
PATIENCE = 60
"""Seconds in which Python and NumPy must start, even on a busy machine."""
WIDE, LONGEST = 120, 1000
"""How many characters of a line and of a sentence are shown."""
OVER = "no time is left: all questions together have {:g} s"
LARGEST_ASK = 2**20
"""In bytes: a submission that asks must not keep the grader busy."""


@dataclass(frozen=True)
class Request:
    """What a submission is asked.

    Attributes:
        question: a function of the driver: ``"q3"``.
        arguments: those it gets.
        seconds: how many it has.
        alone: whether to ask a process that has not been asked anything else, so that it can know
            nothing about other requests.
    """

    question: str
    arguments: Mapping[str, Any]
    seconds: float = 2
    alone: bool = False


@dataclass(frozen=True)
class Answer:
    """A submission's answer to a request.

    Attributes:
        result: the value, of any type that wire.py supports; None if there is a problem.
        problem: a sentence, or "" if there is none.
    """

    result: Any
    problem: str = ""


@dataclass(frozen=True)
class Run:
    """The result of running a submission.

    Attributes:
        answers: one for each request.
        walls: the names of those that the operating system had; see walls.py and limits.py.
        problem: what went wrong in loading it; questions that do not need that are still answered.
    """

    answers: list[Answer]
    walls: tuple[str, ...]
    problem: str = ""


Ask = Callable[[Request, str, dict[str, Any]], Any]


class SandboxError(RuntimeError):
    """There is no sandbox to run something in; this is not a submission's fault."""


class _Problem(Exception):
    """Why there is no answer, in a sentence."""


def run(
    source: str,
    driver: str,
    requests: Sequence[Request],
    ask: Ask | None = None,
    limits: Limits | None = None,
) -> Run:
    """Load a submission in a process of its own, and ask it each of the requests.

    Args:
        source: the submission, a Python file.
        driver: a Python file with a function ``q3(submission, arguments, ask)`` for each question.
        requests: they are made one after another. A process that had to be ended is replaced.
        ask: what answers when a driver asks: called with the request, a name and arrays.
        limits: how much it may use.

    Raises:
        InputError: this system cannot run a sandbox.
        SandboxError: it could not do so this time.
    """
    if not hasattr(socket, "AF_UNIX") or os.name != "posix":
        raise InputError("expected Linux or a Mac to grade on; on Windows, use its Linux (WSL)")
    sandbox = _Sandbox(source, driver, ask, limits or Limits())
    try:
        first = sandbox.new_child()
        answers = [sandbox.answer(request) for request in requests]
    finally:
        sandbox.end()
    return Run(answers, first.walls, first.problem)


class _Sandbox:
    """The processes of a submission, one at a time, and the one that starts them: see child.py.

    Attributes:
        source, driver, ask, limits: as in `run`.
        end_of_time: when the time for all questions together is over.
    """

    def __init__(self, source: str, driver: str, ask: Ask | None, limits: Limits) -> None:
        self.source, self.driver, self.ask, self.limits = source, driver, ask, limits
        self.end_of_time = time.monotonic() + limits.seconds * busy()
        self._stopped: dict[str, Answer] = {}
        self._child: _Child | None = None
        self._folder = tempfile.mkdtemp(prefix="homework-")
        os.chmod(self._folder, 0o555)
        self._socket, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = self._start(theirs.fileno())
            except OSError as error:  # for instance too many processes
                self._socket.close()
                os.rmdir(self._folder)
                raise SandboxError(f"the sandbox did not start: {error}") from None

    def _start(self, descriptor: int) -> subprocess.Popen[bytes]:
        """The process that starts the others."""
        return subprocess.Popen(
            [
                *(sys.executable, "-I", "-S", "-B", "-X", "utf8", str(CHILD)),
                *(str(descriptor), str(Path(np.__file__).parent.parent)),
                *courtesy.named_in(self.source + self.driver),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=self._folder,
            env=_environment(),
            pass_fds=[descriptor],
            start_new_session=True,
        )

    def answer(self, request: Request) -> Answer:
        """The answer to a request; a question that had to be stopped is not asked again."""
        if request.question in self._stopped:
            return self._stopped[request.question]
        child = self._child or self.new_child()
        if not child.unusable and (not child.alive or (child.asked and request.alone)):
            child = self.new_child()
        answer = child.answer(request)
        if child.crashed and child.asked > 1:  # perhaps because of an earlier question
            child = self.new_child()
            answer = child.answer(request)
        if not child.alive:
            self._stopped[request.question] = answer
        return answer

    def new_child(self) -> _Child:
        """Replace the process by one that has not been asked anything yet."""
        if self._child:
            self._child.end()
        connection, theirs = socket.socketpair()
        with theirs, suppress(OSError):  # then `connection` is closed too
            socket.send_fds(self._socket, [b"1"], [theirs.fileno()])
        self._child = child = _Child(connection, self)
        child.load()
        return child

    def exit_code(self) -> int:
        """The exit code of a process that has ended, or is ending as its connection is closed."""
        self._socket.settimeout(PATIENCE)
        with suppress(OSError, IndexError):
            return self._socket.recv(1)[0]
        raise SandboxError("the sandbox has ended by itself, or cannot end a process")

    def deadline(self, seconds: float, too_long: str, most: float = 1) -> _Deadline:
        """The end of so many seconds, or of a part of the time left for all questions."""
        now = time.monotonic()
        own, left = seconds * busy(), most * (self.end_of_time - now)
        if own <= left:
            return _Deadline(now + own, too_long.format(seconds))
        return _Deadline(now + left, OVER.format(self.limits.seconds))

    def errors(self) -> str:
        """The errors of the processes that run no submission; this ends them."""
        self._kill()
        assert self._process.stderr
        return self._process.stderr.read().decode(errors="replace")

    def _kill(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def end(self) -> None:
        """End all processes, and remove what they have left."""
        with suppress(SandboxError):  # it has ended
            if self._child:
                self._child.end()
        self._kill()
        assert self._process.stderr
        self._process.stderr.close()
        self._socket.close()
        try:
            os.rmdir(self._folder)
        except OSError:  # there were no walls, and it contains folders
            subprocess.run(["rm", "-rf", self._folder], stderr=subprocess.DEVNULL)


class _Child:
    """A process with a submission in it, loaded, or ended for a reason.

    Attributes:
        walls: those around it.
        problem: what went wrong while the submission was loaded.
        unusable: whether that is why no question can be asked.
        alive: whether it can be asked.
        crashed: whether it ended by itself.
        asked: how many questions it was asked.
    """

    def __init__(self, connection: socket.socket, sandbox: _Sandbox) -> None:
        self._socket, self._sandbox = connection, sandbox
        self.shown = "\n".join(line[:WIDE] for line in sandbox.source.split("\n"))
        self.walls: tuple[str, ...] = ()
        self.problem, self.unusable, self.alive = "", False, True
        self.crashed, self.asked = False, 0

    def load(self) -> None:
        """Wait until it has walled itself in and loaded the submission."""
        sandbox = self._sandbox
        task = {
            "source": sandbox.source,
            "driver": sandbox.driver,
            "limits": asdict(sandbox.limits),
        }
        start = time.monotonic()
        deadline = _Deadline(start + PATIENCE, TOO_LONG.format(PATIENCE))
        try:
            self._send(wire.pack(task), deadline)
            self.walls = self._receive(deadline)["walls"]
        except _Problem as problem:  # not the submission's fault, which is not there yet
            what = f"the sandbox did not start: {problem}\n{sandbox.errors()}"
            raise SandboxError(what) from None
        sandbox.end_of_time += time.monotonic() - start  # the time so far does not count
        try:
            message = self._receive(sandbox.deadline(sandbox.limits.start, TOO_LONG_TO_LOAD))
            self.problem = self._sentence(message)
            self.unusable = bool(message.get("unusable"))
        except _Problem as problem:
            self.problem, self.unusable = str(problem), True
        if self.unusable:
            self.end()

    def answer(self, request: Request) -> Answer:
        """Ask it, and answer when it asks back.

        It gets at most half of the time that is left: even if all other questions loop endlessly,
        some is left for one that does not.
        """
        if self.unusable:
            return Answer(None, self.problem)
        self.asked += 1
        deadline = self._sandbox.deadline(request.seconds, TOO_LONG, most=0.5)
        asks = self._sandbox.limits.asks
        try:
            task = {"question": request.question, "arguments": dict(request.arguments)}
            self._send(wire.pack(task), deadline)
            for _ in range(asks + 1):
                message = self._receive(deadline)
                if "ask" not in message:
                    break
                self._send(self._reply(request, message), deadline)
            else:
                raise _Problem(f"it asks more than {asks} times")
            problem = self._sentence(message, request.question)
        except _Problem as error:
            self.end()
            return Answer(None, str(error))
        return Answer(None if problem else message.get("result"), problem)

    def _reply(self, request: Request, message: dict[str, Any]) -> bytes:
        """The reply to a question that has asked."""
        name, arrays = message["ask"], message.get("arrays")
        try:
            ask = self._sandbox.ask
            if ask is None or not isinstance(name, str) or not isinstance(arrays, dict):
                raise ValueError("there is nobody to ask")
            if self._size > LARGEST_ASK:
                raise ValueError(f"expected to be asked with at most {LARGEST_ASK} bytes, got more")
            return wire.pack({"result": ask(request, name, arrays)})
        except Exception as error:  # caused by a stranger's arrays
            return wire.pack({"problem": f"{type(error).__name__}: {error}"[:LONGEST]})

    def end(self) -> None:
        """End the process and everything that it has started."""
        if self.alive:
            self.alive = False
            self._socket.close()  # this tells the process outside the walls; see child.py
            self._code = self._sandbox.exit_code()

    def _send(self, message: bytes, deadline: _Deadline) -> None:
        self._socket.settimeout(max(0.01, deadline.left))
        try:
            wire.send(self._socket, message)
        except TimeoutError:
            raise _Problem(deadline.sentence) from None
        except OSError:
            raise _Problem(self._why_it_ended()) from None

    def _receive(self, deadline: _Deadline) -> dict[str, Any]:
        """The next message."""
        (self._size,) = wire.LENGTH.unpack(self._exactly(wire.LENGTH.size, deadline))
        if self._size > 2 * wire.LARGEST_MESSAGE:
            raise _Problem("it wrote to where results go, and not a result")
        try:
            message = wire.unpack(self._exactly(self._size, deadline))
        except wire.WireError as error:
            raise _Problem(str(error)) from None
        if not isinstance(message, dict):
            raise _Problem("it wrote to where results go, and not a result")
        return message

    def _exactly(self, size: int, deadline: _Deadline) -> bytes:
        data = bytearray()
        while len(data) < size:
            if deadline.left <= 0:
                raise _Problem(deadline.sentence)
            self._socket.settimeout(deadline.left)
            with suppress(TimeoutError):
                try:
                    piece = self._socket.recv(min(size - len(data), 2**18))
                except ConnectionError:  # it has ended with a request unread
                    piece = b""
                if not piece:
                    raise _Problem(self._why_it_ended())
                data += piece
        return bytes(data)

    def _why_it_ended(self) -> str:
        self.crashed = True
        self.end()
        number = self._code - 128
        if number in list(signal.Signals):
            return f"it ended Python by a crash ({signal.Signals(number).name})"
        return f"it ended Python (exit code {self._code}), where a function has to return"

    def _sentence(self, message: Mapping[str, Any], question: str = "") -> str:
        """The problem in a message; "" if there is none."""
        kind, text, line = (message.get(name) for name in ("problem", "message", "line"))
        if not isinstance(kind, str):
            return ""
        text, line = " ".join(str(text).split())[:500], line if type(line) is int else 0
        memory = self._sandbox.limits.memory
        return printable(failure(kind, text, line, self.shown, question, memory))


def printable(text: str) -> str:
    """A sentence with a stranger's words in it, without control characters for a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text[:LONGEST])


class _Deadline(NamedTuple):
    """When time is over, and what to say then."""

    end: float
    sentence: str

    @property
    def left(self) -> float:
        """The time left, in seconds."""
        return self.end - time.monotonic()


def _environment() -> dict[str, str]:
    """Nothing of the grader's environment except where libraries are."""
    loader = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    return {**ONE_THREAD, **loader}
