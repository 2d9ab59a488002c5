"""Checks homework with public numbers. Students get a copy of this; it needs NumPy only."""

from __future__ import annotations

import sys
import textwrap
import traceback
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinygen.errors import InputError, refuse_unknown
from tinygen.homework.feedback import Fingerprint, Known, Verdict, failure, line_of, verdict
from tinygen.homework.notebooks import source_of
from tinygen.homework.sandbox import wire

FOLDER = Path(__file__).parent


def check(name: str, wanted: Sequence[str]) -> None:
    """Print a line about each question, or about those that are wanted, and the points.

    Args:
        name: the homework's file, beside this folder.
        wanted: some questions, such as ``["q3"]``; if there are none, all.
    """
    try:
        numbers = {path.stem: path for path in FOLDER.glob("q*.npz")}
        for id_ in wanted:
            refuse_unknown("question", id_, sorted(numbers))
        source = read(FOLDER.parent / name)
        submission = load(source, name)
    except InputError as error:
        sys.exit(f"check.py: {error}")
    points = of = 0.0
    for id_ in sorted(wanted or numbers, key=lambda id_: int(id_[1:])):
        question = wire.unpack(numbers[id_].read_bytes())
        if "cases" not in question:
            missing = f'raise NotImplementedError("{id_}: ' in source
            why = "not written yet" if missing else "only the grader can check this one"
            print(f"{question['title']}: {why}")
            continue
        result = judged(id_, question, submission, source, name)
        print(wrapped(line_of(question["title"], result)))
        points += result.fraction * question["points"]
        of += question["points"]
    print(f"\n{points:g} of the {of:g} points that are checked here; the grader uses other numbers")


def wrapped(line: str) -> str:
    """A line as it fits into a terminal."""
    return textwrap.fill(line, 80, subsequent_indent="    ", break_on_hyphens=False)


def read(path: Path) -> str:
    """The program in a file or in a notebook."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name} cannot be read: {error}") from None
    return source_of(text) if path.suffix == ".ipynb" else text


def load(source: str, name: str) -> types.ModuleType:
    """The homework as a module.

    Raises:
        InputError: it does not run.
    """
    module = types.ModuleType("submission")
    sys.modules["submission"] = module
    try:
        exec(compile(source, name, "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        line = (error.lineno or 0) if isinstance(error, SyntaxError) else line_in(error, name)
        message = error.msg if isinstance(error, SyntaxError) else str(error)
        raise InputError(failure(type(error).__name__, message, line, source)) from None
    return module


def line_in(error: BaseException, name: str) -> int:
    """The last line of the homework that ran; 0 if none did."""
    frames = traceback.walk_tb(error.__traceback__)
    return ([0] + [line for frame, line in frames if frame.f_code.co_filename == name])[-1]


def judged(
    id_: str, question: dict[str, Any], submission: types.ModuleType, source: str, name: str
) -> Verdict:
    """What is right in a question."""
    driver, judges = ours("driver.py"), ours("judges.py")
    results = []
    for case in wire.unpack(wire.pack(question["cases"])):  # a copy, since it may be written into
        try:
            with np.errstate(all="ignore"):
                answer = getattr(driver, id_)(submission, case, None)
            results.append(wire.unpack(wire.pack(answer)))
        except wire.WireError as error:
            return Verdict(0, str(error))
        except (Exception, SystemExit) as error:
            line = line_in(error, name)
            return Verdict(0, failure(type(error).__name__, str(error), line, source))
    hints = [(hint, Fingerprint(shapes, sums)) for hint, shapes, sums in question["hints"]]
    known = Known(
        cases=question["cases"],
        expected=question["expected"],
        mistakes=lambda: hints,
        pairs=lambda: [],
        names=question["names"],
        tolerance=question["tolerance"],
        judge=getattr(judges, f"judge_{id_}", None),
    )
    return verdict(results, known)


def ours(name: str) -> types.ModuleType:
    """One of the files beside this one, which are made for the homework."""
    module = types.ModuleType(name)
    exec(compile((FOLDER / name).read_text(encoding="utf-8"), name, "exec"), module.__dict__)
    return module
