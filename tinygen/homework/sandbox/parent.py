"""Runs a submission's questions in a process of its own, and believes nothing that it says.

Whatever the process does, prints, sends or does not send, each question has an answer: a value, or
a sentence. The right results never leave the grader.
"""

from __future__ import annotations

import os
import selectors
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
from typing import Any

import numpy as np

from tinygen.errors import InputError
from tinygen.homework.feedback import TOO_LONG, TOO_LONG_TO_LOAD, failure
from tinygen.homework.sandbox import wire
from tinygen.homework.sandbox.limits import ONE_THREAD, Limits, busy

CHILD = Path(__file__).with_name("child.py")
PATIENCE = 60
"""Seconds for Python and NumPy to start in, on a machine that has much else to do."""
WIDE, LONGEST = 120, 1000
"""How many characters of a line are shown, and of a sentence."""
OURS = ("expected ", "it ", "not written", "functions call", "line ", "cell ")
"""How sentences begin; a stranger's, which may be "right", gets another beginning."""
OVER = "the time for all questions together is over"
LARGEST_ASK = 2**20
"""In bytes: a grader that is asked is not to be kept busy."""


@dataclass(frozen=True)
class Request:
    """What a submission is asked.

    Attributes:
        question: a function of the driver: ``"q3"``.
        arguments: which it gets.
        seconds: which it has.
    """

    question: str
    arguments: Mapping[str, Any]
    seconds: float = 2


@dataclass(frozen=True)
class Answer:
    """What a submission said to a request.

    Attributes:
        result: the value, of any type that wire.py has; None if there is a problem.
        problem: a sentence, "" if there is none.
        printed: what it printed meanwhile.
    """

    result: Any
    problem: str = ""
    printed: str = ""


@dataclass(frozen=True)
class Run:
    """What became of a submission.

    Attributes:
        answers: one for each request.
        walls: the names of those that the operating system had; see walls.py and limits.py.
        problem: what went wrong while it was loaded; questions that do not need that are answered.
    """

    answers: list[Answer]
    walls: tuple[str, ...]
    problem: str = ""


Ask = Callable[[Request, str, dict[str, Any]], Any]


class SandboxError(RuntimeError):
    """There is no sandbox to run something in, which is not a submission's fault."""


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
        requests: they are asked one after another. A process that had to be ended is started again.
        ask: what answers when a driver asks: called with the request, a name and arrays.
        limits: how much it may use.

    Raises:
        InputError: there is no way to do so on this system.
        SandboxError: this time there was none.
    """
    if not hasattr(socket, "AF_UNIX") or os.name != "posix":
        raise InputError("expected Linux or a Mac to grade on; on Windows, use its Linux (WSL)")
    limits = limits or Limits()
    end = time.monotonic() + limits.seconds * busy()
    child = first = _Child(source, driver, limits, end)
    answers: list[Answer] = []
    ended: dict[str, Answer] = {}
    try:
        for request in requests:
            if time.monotonic() > end and not first.unusable:
                ended.setdefault(request.question, Answer(None, OVER))
            if request.question in ended:
                answers.append(ended[request.question])
                continue
            if not child.alive and not first.unusable:
                child = _Child(source, driver, limits, end)
            answer = child.answer(request, ask)
            if child.crashed and child.asked > 1:  # perhaps by what an earlier question did
                child = _Child(source, driver, limits, end)
                answer = child.answer(request, ask)
            answers.append(answer)
            if not child.alive:  # what took too long once is not waited for again
                ended[request.question] = answers[-1]
    finally:
        child.end()
    return Run(answers, first.walls, first.problem)


class _Child:
    """A process with a submission in it, loaded, or ended for a reason.

    Attributes:
        walls: which stand around it.
        problem: what went wrong while it was loaded.
        unusable: whether that is why no question can be asked.
        alive: whether it can be asked.
        crashed: whether it ended itself.
        asked: how many questions.
    """

    def __init__(self, source: str, driver: str, limits: Limits, end: float) -> None:
        self.limits, self._end = limits, end
        self.shown = "\n".join(line[:WIDE] for line in source.split("\n"))
        self.walls: tuple[str, ...] = ()
        self.problem, self.unusable, self.alive = "", False, True
        self.crashed, self.asked = False, 0
        self._output = bytearray()
        self._folder = tempfile.mkdtemp(prefix="homework-")
        os.chmod(self._folder, 0o555)
        self._socket, theirs = socket.socketpair()
        numpy_folder = str(Path(np.__file__).parent.parent)
        command = [sys.executable, "-I", "-S", "-B", "-X", "utf8", str(CHILD)]
        self._process = subprocess.Popen(
            [*command, str(theirs.fileno()), numpy_folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self._folder,
            env=_environment(),
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
        theirs.close()
        assert self._process.stdout
        os.set_blocking(self._process.stdout.fileno(), False)
        self._selector = selectors.DefaultSelector()
        for readable in (self._socket, self._process.stdout):
            self._selector.register(readable, selectors.EVENT_READ)
        try:
            self._load(source, driver)
        except BaseException:  # Ctrl-C
            self.end()
            raise

    def _load(self, source: str, driver: str) -> None:
        task = {"source": source, "driver": driver, "limits": asdict(self.limits)}
        deadline = _Deadline(PATIENCE, TOO_LONG, float("inf"))
        try:
            self._send(wire.pack(task), deadline)
            self.walls = self._receive(deadline)["walls"]
        except _Problem as problem:  # not the submission's, which is not there yet
            what = f"the sandbox did not start: {problem}\n{self._printed()}"
            raise SandboxError(what) from None
        deadline = _Deadline(self.limits.start, TOO_LONG_TO_LOAD, self._end)
        try:
            message = self._receive(deadline)
            self.problem = self._sentence(message)
            self.unusable = bool(message.get("unusable"))
        except _Problem as problem:
            self.problem, self.unusable = str(problem), True
        if self.unusable:
            self.end()

    def answer(self, request: Request, ask: Ask | None) -> Answer:
        """Ask it; `ask` answers when it asks back."""
        if self.unusable:
            return Answer(None, self.problem)
        self._output.clear()
        self.asked += 1
        deadline = _Deadline(request.seconds, TOO_LONG, self._end)
        try:
            task = {"question": request.question, "arguments": dict(request.arguments)}
            self._send(wire.pack(task), deadline)
            for _ in range(self.limits.asks + 1):
                message = self._receive(deadline)
                if "ask" not in message:
                    break
                self._send(self._reply(request, ask, message), deadline)
            else:
                raise _Problem(f"it asks more than {self.limits.asks} times")
            problem = self._sentence(message, request.question)
            result = None if problem else message.get("result")
        except _Problem as error:
            result, problem = None, str(error)
            self.end()
        return Answer(result, problem, self._printed())

    def _reply(self, request: Request, ask: Ask | None, message: dict[str, Any]) -> bytes:
        """What a question is told that has asked."""
        name, arrays = message["ask"], message.get("arrays")
        try:
            if ask is None or not isinstance(name, str) or not isinstance(arrays, dict):
                raise ValueError("there is nobody to ask")
            if self._size > LARGEST_ASK:
                raise ValueError(f"expected to be asked with at most {LARGEST_ASK} bytes, got more")
            return wire.pack({"result": ask(request, name, arrays)})
        except Exception as error:  # by arrays of a stranger
            return wire.pack({"problem": f"{type(error).__name__}: {error}"[:LONGEST]})

    def end(self) -> None:
        """End it, with everything that it has started."""
        if not self.alive:
            return
        self.alive = False
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()  # the sign for the first process of a namespace; see child.py
        try:
            self._process.wait(5 if "namespaces" in self.walls else 0)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._read_output()
        self._selector.close()
        self._process.stdout.close()
        self._socket.close()
        try:
            os.rmdir(self._folder)
        except OSError:  # there were no walls, and it has folders in it, however deep
            subprocess.run(["rm", "-rf", self._folder], stderr=subprocess.DEVNULL)

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
        self._read_output()
        return message

    def _exactly(self, size: int, deadline: _Deadline) -> bytes:
        data = bytearray()
        while len(data) < size:
            if deadline.left <= 0:
                raise _Problem(deadline.sentence)
            for key, _ in self._selector.select(deadline.left):
                if key.fileobj is not self._socket:
                    self._read_output()
                elif piece := self._piece(min(size - len(data), 2**18)):
                    data += piece
                else:
                    raise _Problem(self._why_it_ended())
        return bytes(data)

    def _piece(self, size: int) -> bytes:
        """What there is to read; nothing, if it has ended, be it with a request unread."""
        with suppress(ConnectionError):
            return self._socket.recv(size)
        return b""

    def _read_output(self) -> None:
        """Take what was printed out of its pipe; what is too much is forgotten."""
        assert self._process.stdout
        stream = self._process.stdout
        with suppress(BlockingIOError, KeyError):
            for _ in range(100):
                piece = os.read(stream.fileno(), 2**16)
                if not piece:
                    self._selector.unregister(stream)
                    return
                self._output += piece[: self.limits.printed + 1 - len(self._output)]

    def _printed(self) -> str:
        text = self._output[: self.limits.printed].decode(errors="replace")
        more = " ..." * (len(self._output) > self.limits.printed)
        return "".join(c for c in text if c.isprintable() or c in "\n\t") + more

    def _why_it_ended(self) -> str:
        self.crashed = True
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        self.end()
        code = self._process.returncode
        number = -code if code < 0 else code - 128
        if number in list(signal.Signals):
            return f"it ended Python by a crash ({signal.Signals(number).name})"
        return f"it ended Python (exit code {code}), where a function has to return"

    def _sentence(self, message: Mapping[str, Any], question: str = "") -> str:
        """The problem in a message, "" if there is none."""
        kind, text, line = (message.get(name) for name in ("problem", "message", "line"))
        if not isinstance(kind, str):
            return ""
        text, line = " ".join(str(text).split())[:500], line if type(line) is int else 0
        memory = self.limits.memory
        sentence = printable(failure(kind, text, line, self.shown, question, memory))
        return sentence if sentence.startswith(OURS) else f"it stopped: {sentence}"


def printable(text: str) -> str:
    """A sentence that has a stranger's words in it, without what a terminal would obey."""
    return "".join(c if c.isprintable() else "?" for c in text[:LONGEST])


class _Deadline:
    """When time is over, and the sentence for it, in which the seconds are written."""

    def __init__(self, seconds: float, sentence: str, end: float) -> None:
        self.end = min(time.monotonic() + seconds * busy(), end)
        self.sentence = OVER if self.end == end else sentence.format(seconds)

    @property
    def left(self) -> float:
        return self.end - time.monotonic()


def _environment() -> dict[str, str]:
    """Nothing of the grader's environment, but for where libraries are."""
    loader = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    return {**ONE_THREAD, **loader}
