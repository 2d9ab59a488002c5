"""Grades a class on all cores; what was graded before an interruption is not graded again."""

from __future__ import annotations

import builtins
import csv
import json
import keyword
import multiprocessing
import os
import re
import signal
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
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
from tinygen.homework.submission import (
    LARGEST,
    LONGEST_NAME,
    NOT_HANDED_IN,
    Submission,
    name_of,
    read,
)

SUFFIXES = {*LARGEST, ".zip"}
NO_STUDENTS = {*NOT_HANDED_IN, "variants.csv", "desktop.ini", "Thumbs.db"}
SEED_FILE = ".seed"
CLASS_FILE = ".class"
TEXT = re.compile(
    r"""(?:\b[bfru]{1,2})?(?:'''(?s:.*?)'''|\"{3}(?s:.*?)\"{3}|'[^'\n]*'|"[^"\n]*")|#.*""", re.I
)
"""Matches strings and comments."""
NAME = re.compile(r"(?<![\w.])[^\W\d]\w*")
PYTHONS = {*keyword.kwlist, *dir(builtins)}
Result = dict[str, Any]


def is_class(path: str | os.PathLike[str]) -> bool:
    """Whether several students handed this in, rather than one.

    One student hands in a file, a folder with both files that the kit puts in it, or a folder with
    one submission, which names its homework, beside files that are not submissions.
    """
    entries = [entry for entry in submissions(path).values() if _can_be_read(entry)]
    if len(entries) < 2:
        return False
    marked = ((entry, name) for entry in entries if (name := _homework_of(entry)))
    homework = dict(islice(marked, 2))  # with a second one it is a class: the rest is not read
    return len(homework) != 1 or any(entry.stem != name for entry, name in homework.items())


def submissions(folder: str | os.PathLike[str]) -> dict[str, Path]:
    """What the students of a class handed in, by their names: a file, a zip or a folder each.

    A file of another type counts only if the student handed in nothing else. Empty if this is not a
    folder, or is what the kit made for one student.
    """
    folder = Path(folder)
    if not folder.is_dir() or ((folder / "check.py").is_file() and (folder / "checking").is_dir()):
        return {}
    entries = [path for path in sorted(folder.iterdir()) if _may_be(path)]
    graded = {_person(path) for path in entries if _can_be_read(path)}
    entries = [path for path in entries if _can_be_read(path) or _person(path) not in graded]
    names = [path.name if path.is_dir() else path.stem for path in entries]
    students: dict[str, Path] = {}
    for path, name in zip(entries, names, strict=True):
        name = name if names.count(name) == 1 else path.name
        students[_unlike(students, name_of(name.lstrip(" ."))[:LONGEST_NAME])] = path
    return students


def _person(path: Path) -> str:
    """Whose submission it is: platforms append a number to a name, and then more."""
    name = name_of(path.name if path.is_dir() else path.stem)
    return "_".join(name.split("_")[:2])


def _unlike(others: Collection[str], name: str) -> str:
    """A name that no other has: on some disks, ada and Ada are one file."""
    names = (f"{name} ({i})" if i > 1 else name for i in count(1))
    taken = {other.lower() for other in others}
    return next(one for one in names if one.lower() not in taken)


def _may_be(path: Path) -> bool:
    """Whether it may be what a student handed in, and not the kit's or the system's."""
    hidden = path.name.startswith(".") or path.name in NO_STUDENTS
    return not hidden and not os.path.exists(path / CLASS_FILE)  # which results have


def _can_be_read(path: Path) -> bool:
    """Whether it may contain a program, which Moodle's online text does not."""
    online = "_assignsubmission_onlinetext" in path.name
    return not online and (path.is_dir() or path.suffix.lower() in SUFFIXES)


def _homework_of(path: Path) -> str:
    """Which homework it says it is, if any."""
    try:
        return read(path).assignment
    except Exception:  # whatever a stranger's file does: the class is to be graded
        return ""


def variants_in(table: str | os.PathLike[str]) -> dict[str, int]:
    """The variant that each student was given, from the table that `new --class` has written.

    Raises:
        InputError: the file is not such a table.
        OSError: it cannot be read.
    """
    try:
        with open(table, encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            return {name_of(row["student"]): int(row["variant"]) for row in rows}
    except (LookupError, TypeError, ValueError, csv.Error):
        raise InputError(f"expected a variants.csv of `new --class`, got {table}") from None


@dataclass(frozen=True)
class Work:
    """What is to be done for one student.

    Attributes:
        student: the name.
        file: the name of what was handed in.
        submission: what is in it, or a sentence that says why there is nothing.
        options: those of `grade`.
        out: the folder of the results.
        state: a short text that changes with anything that the result depends on.
    """

    student: str
    file: str
    submission: Submission | str
    options: Mapping[str, Any]
    out: Path
    state: str


def grade_class(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    jobs: int | None = None,
    variants: Mapping[str, int] | None = None,
    **options: Any,
) -> list[Result]:
    """Grade what a class handed in.

    Nobody is graded again unless the submission, the assignment or the options have changed.

    Args:
        folder: with a file, a zip or a folder for each student.
        out: the folder of the results, which is made: for each student NAME.json, and NAME.txt to
            be sent back.
        jobs: how many at a time; None for one on each core.
        variants: which one each student was given, for the report, and for who has lost the first
            line; None if nobody knows.
        options: those of `grade`; without a seed, a new one is kept with the results, for all
            students and for later.

    Returns:
        what is in the files: the same as in `Grade`, and `student`, `file`, and a `fingerprint`
        shared by programs that differ only in names; `points` are None where the grader itself
        failed.

    Raises:
        InputError: there are no submissions, or there is no such assignment.
    """
    if options.get("assignment"):
        load(options["assignment"])
    students = _as_listed(submissions(folder), variants or {})
    if not students:
        raise InputError(
            f"expected a folder with what each student handed in, got {folder}"
            + "; unpack it" * (Path(folder).suffix.lower() == ".zip")
        )
    out = _folder_of_results(Path(out), students, variants or {})
    if options.get("seed") is None:
        options["seed"] = _seed_in(out)
    work = [_work(name, path, variants or {}, options, out) for name, path in students.items()]
    results = {one.student: _result_of(one) for one in work}
    waiting = [one for one in work if results[one.student] is None]
    with _bar(len(work), len(work) - len(waiting)) as bar:
        for result in _graded(waiting, jobs or os.cpu_count() or 1):
            results[result["student"]] = result
            bar.update()
    return [result for result in results.values() if result]


def _folder_of_results(out: Path, students: Collection[str], variants: Mapping[str, int]) -> Path:
    """The folder, with a file of the students whose results belong there: others are old."""
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / CLASS_FILE, json.dumps({"students": [*students], "variants": {**variants}}))
    return out


def _seed_in(out: Path) -> int:
    """The seed of these results; a new one if there are none yet."""
    try:
        return int((out / SEED_FILE).read_text())
    except (OSError, ValueError):
        seed = new_seed()
        write_text(out / SEED_FILE, f"{seed}\n")
        return seed


def _work(
    student: str, path: Path, variants: Mapping[str, int], options: Mapping[str, Any], out: Path
) -> Work:
    """Read what a student handed in."""
    submission: Submission | str
    try:
        _refuse_a_link(path)
        submission = read(path, options.get("assignment") or "")
    except InputError as error:
        submission = str(error)
    except Exception as error:  # whatever a stranger's file does: the class is to be graded
        submission = printable(f"it cannot be read: {error!r}")
    if options.get("variant") is None and getattr(submission, "variant", None) is None:
        options = {**options, "variant": variants.get(listed(student, variants))}
    state = _state(submission, options)
    return Work(student, printable(path.name), submission, options, out, state)


def _state(submission: Submission | str, options: Mapping[str, Any]) -> str:
    """A short text that stands for what a result depends on."""
    digest = sha256(json.dumps(options, sort_keys=True, default=repr).encode())
    digest.update(repr(submission).encode(errors="replace"))
    with suppress(InputError):  # no such assignment, as the result will say
        name = options.get("assignment") or getattr(submission, "assignment", "")
        for file in sorted(load(name).folder.glob("*.*")):
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _refuse_a_link(path: Path) -> None:
    """Refuse a link, which could lead to another student's work, or to the solution."""
    if path.is_symlink():
        name = printable(path.name)
        raise InputError(f"expected a file or a folder, got {name}, which is a link")


def listed(student: str, variants: Mapping[str, int]) -> str:
    """The name by which the table of variants has a student.

    Platforms add more after a _; a student who handed in a file and a zip has both after the name.
    """
    stem = Path(student).stem if Path(student).suffix.lower() in SUFFIXES else student
    parts = stem.split("_")
    names = [student, *("_".join(parts[:n]) for n in range(len(parts), 0, -1))]
    return next((name for name in names if name in variants), names[-1])


def _as_listed(students: Mapping[str, Path], variants: Mapping[str, int]) -> dict[str, Path]:
    """The students by their names in the table, where a name belongs to only one."""
    names = [listed(student, variants) for student in students]
    return {
        name if name in variants and names.count(name) == 1 else student: path
        for (student, path), name in zip(students.items(), names, strict=True)
    }


def _result_of(work: Work) -> Result | None:
    """The existing result, if it is that of what is to be graded."""
    try:
        result = json.loads((work.out / f"{work.student}.json").read_text(encoding="utf-8"))
        return result if result["state"] == work.state else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _bar(total: int, done: int) -> tqdm:
    """A progress bar, on a terminal."""
    return tqdm(
        total=total, initial=done, desc="grading", unit=" students", dynamic_ncols=True,
        disable=None,
    )  # fmt: skip


def _graded(work: Collection[Work], jobs: int) -> Iterator[Result]:
    """The results, as they come."""
    lost = {one.student: one for one in work}
    with suppress(BrokenProcessPool):
        for result in _graded_together(work, jobs):
            del lost[result["student"]]
            yield result
    for one in lost.values():  # a worker was killed: because of whose submission?
        try:
            yield from _graded_together([one], 1)
        except BrokenProcessPool:
            yield _ungraded(one, "the grader was ended while it graded this", failed=True)


def _graded_together(work: Collection[Work], jobs: int) -> Iterator[Result]:
    """Grade in workers.

    Raises:
        BrokenProcessPool: a worker has ended, and with it what the others had begun.
    """
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(work) or 1), spawn, _begin) as pool:
        futures = [pool.submit(_grade_one, one) for one in work]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)  # those begun are still written


# In a worker.


def _begin() -> None:
    """Ignore Ctrl-C, which is for the process that the user sees."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _grade_one(work: Work) -> Result:
    """Grade a student and write the files, whatever goes wrong: the class must go on."""
    if isinstance(work.submission, str):
        return _ungraded(work, work.submission)
    try:
        graded = grade(work.submission, **work.options)
        return _written(work, work.state, graded.as_dict(), graded.text)
    except InputError as error:
        return _ungraded(work, printable(str(error)))
    except Exception as error:
        return _ungraded(work, printable(f"the grader failed: {error!r}"), failed=True)


def _ungraded(work: Work, why: str, failed: bool = False) -> Result:
    """The result of what cannot be graded: no points; if the grader failed, it is tried again."""
    result = {
        "assignment": work.options.get("assignment"),
        "variant": work.options.get("variant"),
        "points": None if failed else 0,
        "of": None,
        "isolation": "",
        "questions": [],
        "problems": [why],
    }
    text = why if failed else f"{why}\n0 points"
    return _written(work, "" if failed else work.state, result, text)


def _written(work: Work, state: str, result: Result, text: str) -> Result:
    result = {
        "student": work.student,
        "file": work.file,
        **result,
        "fingerprint": _fingerprint(work.submission),
        "state": state,
    }
    write_text(work.out / f"{work.student}.txt", text + "\n")
    write_text(work.out / f"{work.student}.json", json.dumps(result, indent=1) + "\n")
    return result


def _fingerprint(submission: Submission | str) -> str:
    """A fingerprint that ignores white space, comments, strings and names.

    Variants differ in letters, and whoever hands in another's program may have renamed them. So
    names are numbered as they occur, except those of Python and of attributes, as in ``np.exp``.
    """
    if isinstance(submission, str):
        return ""
    numbers: dict[str, str] = {}

    def numbered(name: re.Match[str]) -> str:
        return name[0] if name[0] in PYTHONS else numbers.setdefault(name[0], f"@{len(numbers)}")

    program = re.sub(r"\s", "", NAME.sub(numbered, TEXT.sub("", submission.source)))
    return sha256(program.encode(errors="replace")).hexdigest()[:16]
