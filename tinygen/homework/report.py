"""A class at a glance: its points, how they are distributed, and which equations failed most."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import textwrap
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tinygen.errors import InputError
from tinygen.homework.classroom import CLASS_FILE, SUFFIXES, Result, listed
from tinygen.homework.marks import plural

WIDTH = 80
"""The width of a terminal, in characters."""
BAR = 40
"""The longest bar of the histogram, in characters."""
BINS = 10
LONGEST_NAME = 18
"""The longest name of a student in the table."""
FIELDS = {
    *("student", "file", "assignment", "variant", "points", "of", "isolation", "questions"),
    *("problems", "fingerprint"),
}
"""The fields of a result, which another program's file does not have."""


def report(folder: str | os.PathLike[str]) -> str:
    """The report on a folder of results that `grade` has written.

    Raises:
        InputError: there are no results.
    """
    results = results_in(folder)
    names = sorted({result["assignment"] for result in results if result["assignment"]})
    parts = {name: [r for r in results if r["assignment"] == name] for name in names}
    unknown = [result for result in results if not result["assignment"]]
    if unknown:  # all should be of the class's one homework
        name = names[0] if len(names) == 1 else "it is not known of which homework"
        parts[name] = [*parts.get(name, []), *unknown]
    blocks = [lines for part in parts.items() for lines in _of_assignment(*part)]
    blocks.append(_titled("notes", [*_notes(results), *_notes_on_class(results, folder)]))
    return "\n\n".join("\n".join(lines) for lines in blocks if lines)


def csv_of(folder: str | os.PathLike[str]) -> str:
    """The points in a folder of results, a line for each student, as spreadsheets read them.

    A cell is empty where there is nothing to say, such as the points of a student whom the grader
    could not grade. A name that a spreadsheet would compute, such as ``=1+1``, gets a ' before it.

    Raises:
        InputError: there are no results.
    """
    results = results_in(folder)
    ids = _questions(results)
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerow(["student", "assignment", "variant", "points", *ids])
    for result in _by_name(results):
        points = {q["id"]: q["points"] for q in result["questions"]}
        numbers = [result["variant"], result["points"], *(points.get(id_) for id_ in ids)]
        cells = ("" if number is None else _cell(number) for number in numbers)
        name = result["student"]
        name = f"'{name}" if name[:1] in ("=", "+", "-", "@") else name
        table.writerow([name, result["assignment"], *cells])
    return file.getvalue()


def results_in(folder: str | os.PathLike[str]) -> list[Result]:
    """The results that the last `grade` wrote there, without those of earlier ones.

    Raises:
        InputError: there are no results.
    """
    results = [*_read(Path(folder))]
    if not results:
        raise InputError(f"expected a folder of results that grade has written, got {folder}")
    return results


def _read(folder: Path) -> Iterator[Result]:
    """The results of the class, or all of them if the class is not known."""
    students = _class_of(folder)["students"]
    results = _all_in(folder)
    return (result for result in results if not students or result["student"] in students)


def _all_in(folder: Path) -> Iterator[Result]:
    for path in sorted(folder.glob("*.json")):
        try:
            result = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue  # another program's, like a file with other fields
        if isinstance(result, dict) and result.keys() >= FIELDS:
            yield result


def _class_of(folder: Path) -> dict[str, Any]:
    """The students who have results, or will have, and the variants they were given."""
    nobody: dict[str, Any] = {"students": [], "variants": {}}
    try:
        return nobody | json.loads((folder / CLASS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):  # results that somebody collected
        return nobody


def _of_assignment(name: str, results: Sequence[Result]) -> Iterator[list[str]]:
    yield [f"{name}: {plural(len(results), 'student')}"]
    yield _table(results)
    graded = [result for result in results if result["points"] is not None]
    yield _histogram(graded)
    yield _failures(graded)


def _table(results: Sequence[Result]) -> list[str]:
    """A line for each student, a column for each question, and one for variants if they differ."""
    ids = _questions(results)
    with_variant = len({result["variant"] for result in results if result["questions"]}) > 1
    rows = [["student", "variant", "points", *ids]]
    for result in _by_name(results):
        points = {q["id"]: q["points"] for q in result["questions"]}
        cells = [_cell(result["points"]), *(_cell(points.get(id_)) for id_ in ids)]
        rows.append([_short(result["student"]), _cell(result["variant"]), *cells])
    mean = _mean([result["points"] for result in results], "{:.2f}")
    rows.append(["mean", "", mean, *(_mean(_points(results, id_), "{:.1f}") for id_ in ids)])
    if not with_variant:
        rows = [[student, *cells] for student, _, *cells in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [_row(row, widths) for row in rows]


def _by_name(results: Sequence[Result]) -> list[Result]:
    return sorted(results, key=lambda one: one["student"].lower())


def _questions(results: Sequence[Result]) -> list[str]:
    """Which questions there are, ``["q1", "q2", ...]``."""
    numbers = {int(q["id"].removeprefix("q")) for result in results for q in result["questions"]}
    return [f"q{number}" for number in sorted(numbers)]


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    """A line of the table: the name is aligned left, numbers right."""
    right = (f"{cell:>{width}}" for cell, width in zip(cells[1:], widths[1:], strict=True))
    return " ".join([f"{cells[0]:<{widths[0]}}", *right])


def _short(name: str) -> str:
    """A name that fits into a table, and that cannot look like further columns."""
    name = " ".join(name.split())
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 3]}..."


def _cell(number: float | None) -> str:
    return "-" if number is None else f"{number:.9g}"  # a variant has at most nine digits


def _points(results: Sequence[Result], id_: str) -> list[float]:
    return [q["points"] for result in results for q in result["questions"] if q["id"] == id_]


def _mean(points: Sequence[float | None], form: str) -> str:
    known = [p for p in points if p is not None]
    return form.format(sum(known) / len(known)) if known else "-"


def _histogram(results: Sequence[Result]) -> list[str]:
    """How many students have how many points."""
    most = max((result["of"] or 0 for result in results), default=0)
    if not most:
        return []
    width = most / BINS
    counts = Counter(min(int(result["points"] / width), BINS - 1) for result in results)
    scale = min(1, BAR / max(counts.values()))
    lines = ["points      students"]
    for i in range(BINS):
        bounds = f"{i * width:4.3g} - {(i + 1) * width:<4.3g}"
        lines.append(f"{bounds} {counts[i]:4d} {'#' * math.ceil(counts[i] * scale)}".rstrip())
    return lines


def _failures(results: Sequence[Result]) -> list[str]:
    """The questions that most students have wrong, each with its most frequent sentence."""
    tried = [result for result in results if not _is_blank(result)]
    wrong: dict[str, Counter[str]] = defaultdict(Counter)
    for result in tried:
        for q in result["questions"]:
            if q["points"] < q["of"]:
                wrong[" ".join([q["id"], *q["equations"]])][q["text"]] += 1
    lines = []
    for title, texts in sorted(wrong.items(), key=lambda one: -one[1].total()):
        text, count = texts.most_common(1)[0]
        asked = len(_points(tried, title.split()[0]))
        often = "once" if count == 1 else f"{count} times"
        why = f"; {often}: {text}" if text != "wrong" else ""  # hints are hidden
        lines.append(f"{title}: {texts.total()} of {asked} wrong{why}")
    blank = len(results) - len(tried)
    left_out = f" (without {plural(blank, 'student')}: blank or unreadable)" if blank else ""
    return _titled(f"equations that failed most{left_out}", lines)


def _is_blank(result: Result) -> bool:
    """Whether a result says nothing about equations: it is empty, or one error stops all of it.

    With hidden hints, or with a single question, that cannot be known.
    """
    texts = [q["text"] for q in result["questions"]]
    alike = len({*texts}) < 2 and len(texts) != 1 and "wrong" not in texts
    return not result["points"] and alike


def _notes(results: Sequence[Result]) -> Iterator[str]:
    """What the teacher should look at."""
    for result in results:
        yield from (f"{result['student']}: {problem}" for problem in result["problems"])
    yield from sorted({r["isolation"] for r in results if r["isolation"].startswith("NOT")})


def _notes_on_class(results: Sequence[Result], folder: str | os.PathLike[str]) -> Iterator[str]:
    """What only a class can show: the same program twice, another's variant, who is missing."""
    same, files = defaultdict(list), defaultdict(list)
    for result in results:
        if result["points"]:
            same[result["fingerprint"]].append(result["student"])
        path = Path(result["file"])
        files[path.stem if path.suffix.lower() in SUFFIXES else path.name].append(path.name)
    for fingerprint, students in same.items():
        if fingerprint and len(students) > 1:
            who = ", ".join(students)
            yield f"{who}: the same program, but for white space, comments and names"
    for names in files.values():
        if len(names) > 1:
            yield f"{', '.join(names)}: is this one student?"
    class_ = _class_of(Path(folder))
    old = {result["student"] for result in _all_in(Path(folder))} - {r["student"] for r in results}
    if old:
        yield f"there are older results of {', '.join(sorted(old))}, which are not in this report"
    if class_["variants"]:
        yield from _notes_on_variants(results, class_["students"], class_["variants"])


def _notes_on_variants(
    results: Sequence[Result], students: Collection[str], variants: Mapping[str, int]
) -> Iterator[str]:
    """How the variants handed in compare with those given out."""
    for result in results:
        given, got = variants.get(listed(result["student"], variants)), result["variant"]
        if None not in (given, got) and given != got:
            others = [name for name, variant in variants.items() if variant == got]
            whose = f", which is {others[0]}'s" if others else ""
            yield f"{result['student']}: expected variant {given}, got {got}{whose}"
    here = {student: listed(student, variants) for student in students}
    unknown = [student for student, name in here.items() if name not in variants]
    missing = [name for name in variants if name not in here.values()]
    if unknown:
        yield f"not in the table of variants: {', '.join(unknown)}"
    if missing:
        yield f"nothing was handed in by: {', '.join(missing)}"


def _titled(title: str, sentences: Sequence[str]) -> list[str]:
    """Sentences below a title, if there are any, in lines that fit a terminal."""
    wrapped = (
        textwrap.fill(one, WIDTH, subsequent_indent="    ", break_on_hyphens=False)
        for one in sentences
    )
    return [title, *wrapped] if sentences else []
