"""Checks homework with public numbers. Students get a copy of this; it needs NumPy only."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import textwrap
import types
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from tinygen.errors import InputError, refuse_unknown
from tinygen.homework.feedback import (
    TOO_LONG,
    TOO_LONG_TO_LOAD,
    Known,
    Stopped,
    failure,
    line_of,
    place_of,
    unpacked,
    verdict,
)
from tinygen.homework.notebooks import source_of, text_of
from tinygen.homework.sandbox import courtesy, loading, wire
from tinygen.homework.sandbox.limits import ONE_THREAD, Limits, busy, set_limit

FOLDER = Path(__file__).parent
LIMITS = Limits()
PATIENCE = 60
"""Seconds in which Python and NumPy must start."""


def check(name: str, header: str, wanted: Sequence[str]) -> None:
    """Print a line about each question, or about those that are wanted, and the points.

    Args:
        name: the homework's file, beside this folder.
        header: its first line, by which the grader recognises it.
        wanted: some questions, such as ``["q3"]``; all if this is empty.
    """
    print_all_letters()
    try:
        ids = chosen(wanted)
        source = read(FOLDER.parent / name)
        process = Process(source, name)
        try:
            for line in lines_about(ids, process, name, header):
                print(textwrap.fill(line, 80, subsequent_indent="    ", break_on_hyphens=False))
        finally:
            process.end()
    except InputError as error:
        sys.exit(f"check.py: {error}")
    except KeyboardInterrupt:
        sys.exit("check.py: interrupted")


def print_all_letters() -> None:
    """Print a question mark for each letter that a terminal does not have."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):  # IDLE's and Jupyter's have all
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]


def chosen(wanted: Sequence[str]) -> list[str]:
    """The questions that are wanted: ``q3 q4``, ``3``, ``Q3,q4``; all if none is given."""
    ids = sorted((path.stem for path in FOLDER.glob("q*.npz")), key=lambda id_: int(id_[1:]))
    words = " ".join(wanted).replace(",", " ").split()
    if any(word.startswith("-") for word in wanted):
        raise InputError(f"expected questions, as in python check.py {ids[0]}, or nothing for all")
    numbered = [f"q{word.lower().lstrip('q')}" for word in words]
    for word, id_ in zip(words, numbered, strict=True):
        refuse_unknown("question", id_ if id_[1:].isdigit() else word, ids)
    return numbered or ids


def read(path: Path) -> str:
    """The program in a file or in a notebook."""
    try:
        text = text_of(path.name, path.read_bytes())
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror}") from None
    return source_of(text) if path.suffix == ".ipynb" else text


def lines_about(ids: Sequence[str], process: Process, name: str, header: str) -> Iterator[str]:
    """The report, line by line."""
    lines = process.source.split("\n")
    if header not in lines:
        got = next((f"`{line}`" for line in lines if line.startswith(header[:18])), "none")
        yield f"{name}: expected the first line `{header}`, by which the grader knows it, got {got}"
    yield from tabs_in(process.source, name)
    yield from (f"{name}: {problem}" for problem in process.problems)
    points = of = 0.0
    for id_ in ids:
        question = wire.unpack((FOLDER / f"{id_}.npz").read_bytes())
        title = question["title"]
        if "cases" in question:
            result = verdict(process.results(id_, question), known(id_, question))
            yield line_of(title, result) + process.changes(question["names"])
            points += result.fraction * question["points"]
            of += question["points"]
        elif "labels" in question:
            yield f"{title}: {about_label(process.results(id_, question)[0], question['labels'])}"
        elif f'raise NotImplementedError("{id_}: ' in process.source:
            yield f"{title}: not written yet"
        else:
            yield f"{title}: only the grader can check this one"
    if of:
        yield ""
        checked = f"{points:g} of the {of:g} points that are checked here"
        first = " and needs the first line, see above" * (header not in lines)
        yield f"{checked}; the grader uses other numbers{first}"


def tabs_in(source: str, name: str) -> Iterator[str]:
    """A remark if tabs are mixed with spaces, which is no problem here or in the grader."""
    try:
        compile(source, name, "exec")
    except TabError as error:
        where = place_of(error.lineno or 0, source.split("\n"))
        yield f"{name}: {where} mixes tabs and spaces: Python itself refuses it"
    except (SyntaxError, ValueError, MemoryError, RecursionError):  # reported when it is loaded
        pass


def known(id_: str, question: Mapping[str, Any]) -> Known:
    """What is known about a question."""
    hints = unpacked(question["hints"])
    return Known(
        cases=question["cases"],
        expected=question["expected"],
        mistakes=lambda: hints,
        pairs=lambda: [],
        names=question["names"],
        tolerance=question["tolerance"],
        judge=getattr(ours("judges.py"), f"judge_{id_}", None),
    )


def about_label(got: Any, labels: Sequence[int]) -> str:
    """What can be said about the label of a line without saying which one is right."""
    if isinstance(got, Stopped):
        return got.sentence
    if type(got) is int and got in labels:
        return f"{got}; whether the mistake is in that line, only the grader says"
    what = f"the whole number of a label, {min(labels)} to {max(labels)}"
    return f"expected {what}, got {got!r}"


def ours(name: str) -> types.ModuleType:
    """One of the files beside this one, which were made for the homework."""
    module = types.ModuleType(name)
    exec(compile((FOLDER / name).read_text(encoding="utf-8"), name, "exec"), module.__dict__)
    return module


class Process:
    """A process with the homework in it, which can be ended if it does not end by itself.

    It is the student's own, so there are no walls as in sandbox/parent.py, and it runs on Windows.

    Attributes:
        source: the homework.
        problems: what went wrong while it was loaded, a sentence each.

    Raises:
        InputError: nothing of it could be run.
    """

    def __init__(self, source: str, name: str) -> None:
        self.source, self.name = source, name
        self._changed: set[str] = set()
        self._start()

    def _start(self) -> None:
        os.environ.update(ONE_THREAD)
        spawn = multiprocessing.get_context("spawn")
        self._connection, theirs = spawn.Pipe()
        self._process = spawn.Process(target=work, args=(theirs, self.source), daemon=True)
        self._process.start()
        theirs.close()
        if isinstance(self._receive(PATIENCE, "", ""), Stopped):  # it did not get ready
            raise InputError(f"{self.name}: it cannot be started")
        message = self._receive(LIMITS.start, TOO_LONG_TO_LOAD, "")
        if isinstance(message, Stopped):
            raise InputError(f"{self.name}: {message.sentence}")
        self.problems = [self._sentence(problem, "") for problem in message["problems"]]
        if not message["usable"]:
            self.end()
            raise InputError(f"{self.name}: {self.problems[0]}")

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.join()
        self._connection.close()

    def results(self, id_: str, question: Mapping[str, Any]) -> list[Any]:
        """The result of each case; after one that ends the process, the next ones are not tried."""
        self._changed.clear()
        results: list[Any] = []
        cases = question.get("cases", [{}])
        for case in cases:
            self._connection.send_bytes(wire.pack({"question": id_, "case": case}))
            message = self._receive(question["seconds"], TOO_LONG, id_)
            if isinstance(message, Stopped) and not self._process.is_alive():
                self._start()
                return results + [message] * (len(cases) - len(results))
            results.append(message)
        return results

    def changes(self, names: Mapping[str, str]) -> str:
        """A remark if the last function changed its arguments, which its caller may still need."""
        changed = " and ".join(f"`{names.get(name, name)}`" for name in sorted(self._changed))
        word = "argument" + "s" * (len(self._changed) > 1)
        return f" (it changes its {word} {changed}: is that meant?)" if changed else ""

    def _receive(self, seconds: float, too_long: str, question: str) -> Any:
        """The next message, or `Stopped`."""
        if not self._connection.poll(seconds * busy()):
            self.end()
            return Stopped(too_long.format(seconds))
        try:
            message = wire.unpack(self._connection.recv_bytes())
        except (EOFError, OSError):
            self.end()
            return Stopped("it ended Python, where a function has to return")
        if "problem" in message:
            return Stopped(self._sentence(message, question))
        self._changed.update(message.get("changed", ()))
        return message.get("result", message)

    def _sentence(self, problem: Mapping[str, Any], question: str) -> str:
        """What went wrong."""
        kind, message, line = (problem[key] for key in ("problem", "message", "line"))
        return failure(kind, message, line, self.source, question, LIMITS.memory)


# In that process.


def work(connection: Connection, source: str) -> None:
    """Load the homework, and then answer whatever is asked."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that the user sees
    print_all_letters()
    driver, submission = ours("driver.py"), loading.Submission("submission")
    submission.__dict__["__builtins__"] = courtesy.builtins_of_a_submission()
    set_limit("RLIMIT_AS", LIMITS.memory)
    connection.send_bytes(wire.pack({"ready": True}))
    problems, usable = loading.load(source, submission)
    message = wire.pack({"problems": tuple(problems), "usable": usable})
    while True:
        with suppress(Exception):
            sys.stdout.flush()
        connection.send_bytes(message)
        request = wire.unpack(connection.recv_bytes())
        try:
            case, before = request["case"], deepcopy(request["case"])
            with np.errstate(all="ignore"):
                result = getattr(driver, request["question"])(submission, case, None)
            changed = [x for x in before if wire.pack(before[x]) != wire.pack(case.get(x))]
            message = wire.pack({"result": result, "changed": tuple(changed)})
        except BaseException as error:
            message = wire.pack(loading.describe(error))
