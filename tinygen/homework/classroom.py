"""Grades a class, on all cores; what was graded before an interruption is not graded again."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tinygen.errors import InputError
from tinygen.files import write_text
from tinygen.homework.assignment import load
from tinygen.homework.grading import grade
from tinygen.homework.sandbox.parent import printable
from tinygen.homework.submission import LARGEST, NOT_HANDED_IN, read

SUFFIXES = {*LARGEST, ".zip"}
Result = dict[str, Any]


def submissions(folder: str | os.PathLike[str]) -> dict[str, Path]:
    """What the students of a class handed in, by their names: a file, a zip or a folder each.

    Nothing, if this is what one student handed in: a file, or a folder that has the kit's own
    files in it, or one submission beside files that are none.
    """
    folder = Path(folder)
    if not folder.is_dir() or any((folder / name).exists() for name in NOT_HANDED_IN):
        return {}
    entries = [path for path in sorted(folder.iterdir()) if _may_be(path)]
    files = any(path.suffix.lower() in LARGEST for path in entries)
    if len(entries) < 2 or (files and sum(map(_is_marked, entries)) == 1):
        return {}
    stems = [path.stem for path in entries]
    names = [path.stem if stems.count(path.stem) == 1 else path.name for path in entries]
    return {printable(name): path for name, path in zip(names, entries, strict=True)}


def _may_be(path: Path) -> bool:
    """Whether it may be what a student handed in."""
    return not path.name.startswith(".") and (path.is_dir() or path.suffix.lower() in SUFFIXES)


def _is_marked(path: Path) -> bool:
    """Whether it says which homework it is."""
    try:
        return read(path).assignment != ""
    except InputError:
        return False


def grade_class(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    jobs: int | None = None,
    **options: Any,
) -> list[Result]:
    """Grade what a class handed in.

    Nobody is graded twice, unless what was handed in, the assignment or the options have changed.

    Args:
        folder: with a file, a zip or a folder for each student.
        out: the folder of the results, which is made: for each student NAME.json, and NAME.txt to
            be sent back.
        jobs: how many at a time; None for one on each core.
        options: of `grade`.

    Returns:
        what is in the files: the same as in `Grade`, and `student`.

    Raises:
        InputError: there are no submissions, or there is no such assignment.
    """
    if options.get("assignment"):
        load(options["assignment"])
    students = submissions(folder)
    if not students:
        raise InputError(f"expected a folder with what each student handed in, got {folder}")
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    states = {name: _state(path, options) for name, path in students.items()}
    results = {name: _result_of(out, name, state) for name, state in states.items()}
    waiting = [name for name, result in results.items() if result is None]
    spawn = multiprocessing.get_context("spawn")
    with (
        tqdm(
            total=len(students),
            initial=len(students) - len(waiting),
            desc="grading",
            unit=" students",
            dynamic_ncols=True,
            disable=sys.stderr is None or not sys.stderr.isatty(),
        ) as bar,
        ProcessPoolExecutor(jobs or os.cpu_count() or 1, spawn, _begin) as pool,
    ):
        work = partial(_grade_one, out, options)
        futures = [pool.submit(work, name, students[name], states[name]) for name in waiting]
        try:
            for future in as_completed(futures):
                result = future.result()
                results[result["student"]] = result
                bar.update()
        finally:
            pool.shutdown(cancel_futures=True)  # those that have begun are written
    return [result for result in results.values() if result]


def _state(path: Path, options: Mapping[str, Any]) -> str:
    """Of all that a result depends on, a short text that changes when it does."""
    digest = sha256(json.dumps(options, sort_keys=True, default=repr).encode())
    try:
        _refuse_a_link(path)
        submission = read(path, options.get("assignment") or "")
        digest.update(submission.source.encode(errors="replace"))
        assignment = load(options.get("assignment") or submission.assignment)
        for file in sorted(assignment.folder.glob("*.*")):
            digest.update(file.read_bytes())
    except InputError as error:
        digest.update(str(error).encode(errors="replace"))
    return digest.hexdigest()


def _refuse_a_link(path: Path) -> None:
    """It would lead to another student's work, or to the solution."""
    if path.is_symlink():
        raise InputError(f"expected a file or a folder, got {path.name}, which is a link")


def _result_of(out: Path, student: str, state: str) -> Result | None:
    """The result that is there already, if it is of what is to be graded."""
    try:
        result = json.loads((out / f"{student}.json").read_text(encoding="utf-8"))
        return result if result["state"] == state else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


# In a worker.


def _begin() -> None:
    """Ctrl-C is for the process that the user sees."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _grade_one(
    out: Path, options: Mapping[str, Any], student: str, path: Path, state: str
) -> Result:
    """Grade a student and write the files, whatever goes wrong: the class goes on."""
    try:
        _refuse_a_link(path)
        graded = grade(path, **options)
        result, text = graded.as_dict(), graded.text
    except Exception as error:
        text = str(error) if isinstance(error, InputError) else f"the grader failed: {error!r}"
        result = {
            "assignment": options.get("assignment"),
            "variant": options.get("variant"),
            "points": 0,
            "of": None,
            "isolation": "",
            "questions": [],
            "problems": [text],
        }
    result = {"student": student, **result, "state": state}
    write_text(out / f"{student}.txt", text + "\n")
    write_text(out / f"{student}.json", json.dumps(result, indent=1) + "\n")
    return result
