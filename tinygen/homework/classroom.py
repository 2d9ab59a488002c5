"""Grades a class, on all cores; what was graded before an interruption is not graded again."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from hashlib import sha256
from itertools import count, islice
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tinygen.errors import InputError
from tinygen.files import write_text
from tinygen.homework.assignment import load
from tinygen.homework.grading import grade, new_seed
from tinygen.homework.sandbox.parent import printable
from tinygen.homework.submission import LARGEST, NOT_HANDED_IN, read

SUFFIXES = {*LARGEST, ".zip"}
LONGEST_NAME = 50
"""Of a student: it becomes the name of files, and a line of a table has to hold it."""
SEED_FILE = ".seed"
Result = dict[str, Any]


def submissions(folder: str | os.PathLike[str]) -> dict[str, Path]:
    """What the students of a class handed in, by their names: a file, a zip or a folder each.

    Nothing, if this is what one student handed in: a file, or a folder that has both of what the
    kit puts in it, or one submission, with the name of its homework, beside files that are none.
    """
    folder = Path(folder)
    if not folder.is_dir() or ((folder / "check.py").is_file() and (folder / "checking").is_dir()):
        return {}
    entries = [path for path in sorted(folder.iterdir()) if _may_be(path)]
    if len(entries) < 2:
        return {}
    marked = ((path, name) for path in entries if (name := _homework_of(path)))
    homework = dict(islice(marked, 2))  # with a second one it is a class: the rest is not read
    if len(homework) == 1 and all(path.stem == name for path, name in homework.items()):
        return {}
    stems = [path.stem for path in entries]
    students: dict[str, Path] = {}
    for path in entries:
        name = path.stem if stems.count(path.stem) == 1 else path.name
        students[_unlike(students, " ".join(printable(name).split())[:LONGEST_NAME])] = path
    return students


def _unlike(others: Collection[str], name: str) -> str:
    """A name that no other has: on some disks, ada and Ada are one file."""
    names = (f"{name} ({i})" if i > 1 else name for i in count(1))
    taken = {other.lower() for other in others}
    return next(one for one in names if one.lower() not in taken)


def _may_be(path: Path) -> bool:
    """Whether it may be what a student handed in."""
    if path.name.startswith(".") or path.name in NOT_HANDED_IN:
        return False
    return path.is_dir() or path.suffix.lower() in SUFFIXES


def _homework_of(path: Path) -> str:
    """Which homework it says that it is, or none."""
    try:
        return read(path).assignment
    except Exception:  # whatever a stranger's file does: the class is to be graded
        return ""


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
        options: of `grade`; without a seed, the results keep a new one, for all and for later.

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
    if options.get("seed") is None:
        options["seed"] = _seed_in(out)
    states = {name: _state(path, options) for name, path in students.items()}
    results = {name: _result_of(out, name, state) for name, state in states.items()}
    waiting = [name for name, result in results.items() if result is None]
    work = {name: (out, options, name, students[name], states[name]) for name in waiting}
    with tqdm(
        total=len(students),
        initial=len(students) - len(waiting),
        desc="grading",
        unit=" students",
        dynamic_ncols=True,
        disable=sys.stderr is None or not sys.stderr.isatty(),
    ) as bar:
        for result in _graded(work, jobs or os.cpu_count() or 1):
            results[result["student"]] = result
            bar.update()
    return [result for result in results.values() if result]


def _graded(work: dict[str, tuple[Any, ...]], jobs: int) -> Iterator[Result]:
    """The results, as they come; `work` has the arguments of `_grade_one` for each student."""
    lost = set(work)
    with suppress(BrokenProcessPool):
        for result in _graded_together(work, jobs):
            lost.remove(result["student"])
            yield result
    for name in sorted(lost):  # a worker was ended from outside: by whose submission?
        try:
            yield from _graded_together({name: work[name]}, 1)
        except BrokenProcessPool:
            yield _ungraded("the grader was ended while it graded this", *work[name][:3])


def _graded_together(work: dict[str, tuple[Any, ...]], jobs: int) -> Iterator[Result]:
    """In workers.

    Raises:
        BrokenProcessPool: a worker has ended, and with it what the others had begun.
    """
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(work) or 1), spawn, _begin) as pool:
        futures = [pool.submit(_grade_one, *one) for one in work.values()]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)  # those that have begun are written


def _seed_in(out: Path) -> int:
    """The seed that these results are of; a new one if there are none yet."""
    try:
        return int((out / SEED_FILE).read_text())
    except (OSError, ValueError):
        seed = new_seed()
        write_text(out / SEED_FILE, f"{seed}\n")
        return seed


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
    except Exception as error:  # as in _grade_one
        digest.update(str(error).encode(errors="replace"))
    return digest.hexdigest()


def _refuse_a_link(path: Path) -> None:
    """It would lead to another student's work, or to the solution."""
    if path.is_symlink():
        name = printable(path.name)
        raise InputError(f"expected a file or a folder, got {name}, which is a link")


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
        return _written(out, student, state, graded.as_dict(), graded.text)
    except InputError as error:
        return _ungraded(printable(str(error)), out, options, student, state)
    except Exception as error:
        return _ungraded(printable(f"the grader failed: {error!r}"), out, options, student)


def _ungraded(
    why: str, out: Path, options: Mapping[str, Any], student: str, state: str = ""
) -> Result:
    """The result of what cannot be graded; without a state, it is tried again the next time."""
    result = {
        "assignment": options.get("assignment"),
        "variant": options.get("variant"),
        "points": 0,
        "of": None,
        "isolation": "",
        "questions": [],
        "problems": [why],
    }
    return _written(out, student, state, result, why)


def _written(out: Path, student: str, state: str, result: Result, text: str) -> Result:
    result = {"student": student, **result, "state": state}
    write_text(out / f"{student}.txt", text + "\n")
    write_text(out / f"{student}.json", json.dumps(result, indent=1) + "\n")
    return result
