"""A class at a glance: its points, how they are distributed, and which equations failed most."""

from __future__ import annotations

import json
import math
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tinygen.errors import InputError
from tinygen.homework.marks import plural

Result = dict[str, Any]
BAR = 40
"""The longest bar of the histogram, in characters."""
BINS = 10
LONGEST_NAME = 24
"""Of a student, in the table."""


def report(folder: str | os.PathLike[str]) -> str:
    """The report on a folder of results that `grade` has written.

    Raises:
        InputError: there are none.
    """
    results = [*_results(Path(folder))]
    if not results:
        raise InputError(f"expected a folder of results that grade has written, got {folder}")
    names = sorted({result["assignment"] for result in results if result["assignment"]})
    parts = {name: [r for r in results if r["assignment"] == name] for name in names}
    unknown = [result for result in results if not result["assignment"]]
    if unknown:  # in a class with one homework they were to be of that
        name = names[0] if len(names) == 1 else "it is not known of which homework"
        parts[name] = [*parts.get(name, []), *unknown]
    return "\n\n".join(
        "\n".join(lines) for part in parts.items() for lines in _of_assignment(*part) if lines
    )


def _results(folder: Path) -> Iterator[Result]:
    for path in sorted(folder.glob("*.json")):
        try:
            result = json.loads(path.read_text(encoding="utf-8"))
            if {"student", "points", "questions"} <= {*result}:
                yield result
        except (OSError, ValueError, TypeError):
            continue  # another program's


def _of_assignment(name: str, results: Sequence[Result]) -> Iterator[list[str]]:
    yield [f"{name}: {plural(len(results), 'student')}"]
    yield _table(results)
    yield _histogram(results)
    yield _failures(results)
    yield _notes(results)


def _table(results: Sequence[Result]) -> list[str]:
    """A line for each student, a column for each question."""
    ids = list(dict.fromkeys(q["id"] for result in results for q in result["questions"]))
    names = {result["student"]: _short(result["student"]) for result in results}
    wide = max(map(len, ["student", *names.values()]))
    titles = "".join(f"{id_:>5}" for id_ in ids)
    lines = [f"{'student':<{wide}}  points {titles}".rstrip()]
    for result in sorted(results, key=lambda one: one["student"].lower()):
        points = {q["id"]: f"{q['points']:g}" for q in result["questions"]}
        cells = "".join(f"{points.get(id_, '-'):>5}" for id_ in ids)
        lines.append(f"{names[result['student']]:<{wide}}  {result['points']:6g} {cells}".rstrip())
    mean = sum(result["points"] for result in results) / len(results)
    means = "".join(f"{_mean(results, id_):5.2f}" for id_ in ids)
    return [*lines, f"{'mean':<{wide}}  {mean:6.2f} {means}".rstrip()]


def _short(name: str) -> str:
    """A name that a table has room for, and which cannot look like more of its columns."""
    name = " ".join(name.split())
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 3]}..."


def _mean(results: Sequence[Result], id_: str) -> float:
    points = [q["points"] for result in results for q in result["questions"] if q["id"] == id_]
    return sum(points) / len(points)


def _histogram(results: Sequence[Result]) -> list[str]:
    """How many students have how many points."""
    most = max(result["of"] or 0 for result in results)
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
    """The questions that most students have wrong, each with what is said of it most often."""
    wrong: dict[str, Counter[str]] = defaultdict(Counter)
    asked: Counter[str] = Counter()
    for result in results:
        for q in result["questions"]:
            title = " ".join([q["id"], *q["equations"]])
            asked[title] += 1
            if q["points"] < q["of"]:
                wrong[title][q["text"]] += 1
    lines = []
    for title, texts in sorted(wrong.items(), key=lambda one: -one[1].total()):
        text, count = texts.most_common(1)[0]
        lines.append(
            f"{title}: {texts.total()} of {asked[title]} wrong; {plural(count, 'time')}: {text}"
        )
    return ["equations that failed most", *lines] if lines else []


def _notes(results: Sequence[Result]) -> list[str]:
    """What the teacher should look at."""
    notes = [f"{r['student']}: {problem}" for r in results for problem in r["problems"]]
    notes += sorted({r["isolation"] for r in results if r["isolation"].startswith("NOT")})
    return ["notes", *notes] if notes else []
