"""A submission's points, with a sentence for each question: asked behind walls, judged here."""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from tinygen.errors import InputError, refuse_unknown
from tinygen.homework import assignment as assignments
from tinygen.homework import marks
from tinygen.homework.assignment import Assignment
from tinygen.homework.feedback import Known, Stopped, Verdict, parts, verdict
from tinygen.homework.marks import Question
from tinygen.homework.sandbox.parent import (
    Answer,
    Limits,
    Request,
    Run,
    printable,
    run,
)
from tinygen.homework.sandbox.wire import numbers
from tinygen.homework.submission import Submission, read
from tinygen.homework.variants import Variant

TIMES_LARGER = 100
"""How many times larger than the right result one may be and still be judged, for speed."""
HINTS = ("shown", "hidden")
WALLS = ("files", "network", "processes", "memory")
"""The walls that a teacher must know about."""


@dataclass(frozen=True)
class Graded:
    """The result of a question.

    Attributes:
        id: ``"q3"``.
        equations: ``["(23)", "(25)"]``.
        points, of: what it got, out of how many.
        text: ``"right"``, or what is wrong.
    """

    id: str
    equations: list[str]
    points: float
    of: float
    text: str

    @property
    def title(self) -> str:
        """``"q3 (23)"``."""
        return " ".join((self.id, *self.equations))

    @property
    def line(self) -> str:
        """``"q3 (23): right"``; if it is right in part, its points are appended."""
        part = f" ({self.points:g} of {marks.plural(self.of, 'point')})"
        return f"{self.title}: {self.text}{part if 0 < self.points < self.of else ''}"


@dataclass(frozen=True)
class Grade:
    """The result of a submission.

    Attributes:
        assignment, variant: what it was submitted for.
        points, of: what it got, out of how many.
        isolation: which walls there were around it.
        questions: the results, one by one.
        problems: what else there is to say, a sentence each.
    """

    assignment: str
    variant: int
    points: float
    of: float
    isolation: str
    questions: list[Graded]
    problems: list[str]

    def as_dict(self) -> dict[str, Any]:
        """The grade as JSON represents it."""
        return asdict(self)

    @property
    def total(self) -> str:
        """``"6.5 of 10 points"``."""
        return f"{self.points:g} of {marks.plural(self.of, 'point')}"

    @property
    def text(self) -> str:
        """The text for the student."""
        lines = [question.line for question in self.questions] + self.problems
        return "\n".join([f"{self.assignment}, variant {self.variant}", *lines, self.total])

    def __str__(self) -> str:
        """The text for the teacher."""
        return f"{self.text}\n{self.isolation}"


def grade(
    path: str | os.PathLike[str] | Submission,
    assignment: str | None = None,
    variant: int | None = None,
    level: int | None = None,
    seed: int | None = None,
    hints: str = "shown",
    limits: Limits | None = None,
) -> Grade:
    """Grade what one student handed in.

    Args:
        path: a .py or .ipynb file, or a folder or .zip with one in it; or what `read` returned.
        assignment, variant, level: what it is for; None for what its first line says.
        seed: for the arrays it is graded with, which also depend on what was handed in; None for a
            new one. Whoever knows it can compute these arrays: students must not.
        hints: "shown", or "hidden": the sentences say right or wrong, and nothing else.
        limits: how much it may use.

    Raises:
        InputError: it is not known which assignment it is for, or there is no such assignment.
    """
    refuse_unknown("hints", hints, HINTS)
    if level is not None:
        marks.refuse_other_level(level)
    submission, problem = _read(path, assignment)
    loaded = _assignment_of(submission, assignment)
    problems = [problem] if problem else _remarks(submission, variant)
    chosen = loaded.variant((submission.variant or 0) if variant is None else variant)
    level = level or submission.level or marks.LEVELS[-1]
    seed = _seed(new_seed() if seed is None else seed, submission.source)

    asked = _asked(loaded, chosen, level, seed)
    if problem:
        outcome = Run([Answer(None, problem)] * sum(len(k.cases) for _, k in asked), ())
    else:
        outcome = _run(submission.source, loaded, chosen, asked, limits)
    answers = iter(outcome.answers)
    graded = [
        _graded(question, known, [next(answers) for _ in known.cases], hints == "hidden")
        for question, known in asked
    ]
    return Grade(
        assignment=loaded.name,
        variant=chosen.number,
        points=sum(question.points for question in graded),
        of=sum(question.of for question in graded),
        isolation=_isolation(outcome.walls),
        questions=graded,
        problems=problems + [outcome.problem] * bool(outcome.problem),
    )


def _read(
    path: str | os.PathLike[str] | Submission, assignment: str | None
) -> tuple[Submission, str]:
    """What was handed in, and why it cannot be read: it then gets no points.

    Raises:
        InputError: it cannot be read, and it is not known which assignment it is for.
    """
    if isinstance(path, Submission):
        return path, ""
    try:
        return read(path, assignment or ""), ""
    except InputError as error:
        if assignment is None:
            raise
        return Submission("", "", assignment), str(error)


def _assignment_of(submission: Submission, name: str | None) -> Assignment:
    """The assignment with a name, or with that in the first line."""
    if not name and not submission.assignment:
        raise InputError(
            "expected a first line such as # tinygen homework: vae, variant 7, got none; "
            "name the assignment (--assignment vae)"
        )
    return assignments.load(name or submission.assignment)


def _remarks(submission: Submission, variant: int | None) -> list[str]:
    """What a teacher and a student must know about how a submission was read."""
    remarks = []
    if submission.ignored:
        others = ", ".join(submission.ignored[:5])
        unwritten = "raise NotImplementedError" in submission.source
        left = ", in which something is to be written yet," if unwritten else ""
        remarks.append(f"{submission.name}{left} is graded; ignored: {others}")
    if variant is None and submission.variant is None:
        remarks.append("there is no first line that says which variant it is: graded as variant 0")
    return remarks


def new_seed() -> int:
    """A seed that nobody can guess."""
    return secrets.randbits(63)


def _seed(seed: int, source: str) -> int:
    """The seed for one submission, which depends on it: nobody can hand in the results for it."""
    return int.from_bytes(sha256(f"{seed} {source}".encode(errors="replace")).digest()[:8], "big")


def _asked(
    assignment: Assignment, variant: Variant, level: int, seed: int
) -> list[tuple[Question, Known]]:
    """The questions, and what is known about them."""
    return [
        (question, assignment.known(question.id, variant, seed))
        for question in assignment.questions(variant, level)
    ]


def _run(
    source: str,
    assignment: Assignment,
    variant: Variant,
    asked: Sequence[tuple[Question, Known]],
    limits: Limits | None,
) -> Run:
    """The answers of a submission to each case of each question."""
    requests = [
        Request(question.id, case, assignment.seconds(question.id), alone=bool(known.judge_all))
        for question, known in asked
        for case in known.cases
    ]

    def ask(request: Request, name: str, arrays: Mapping[str, Any]) -> Any:
        return assignment.ask(request.arguments)(name, **arrays)

    return run(source, assignment.driver(variant), requests, ask, limits)


def _graded(question: Question, known: Known, answers: Sequence[Answer], hidden: bool) -> Graded:
    """A question's points, and the sentence."""
    results = [_looked_at(*both) for both in zip(answers, known.expected, strict=True)]
    try:
        with np.errstate(all="ignore"):
            result = verdict(results, known)
    except Exception as error:  # whatever a stranger's result does to those who look at it
        result = Verdict(0, f"the result cannot be judged: {type(error).__name__}: {error}")
    right = result.fraction == 1
    text = "right" if right else "wrong" if hidden else printable(result.sentence)
    points = round(float(result.fraction) * question.points, 2)
    return Graded(question.id, [*question.equations], points, question.points, text)


def _looked_at(answer: Answer, expected: Any) -> Any:
    """The result, or else why there is none that can be judged."""
    if answer.problem:
        return Stopped(answer.problem)
    got, right = (
        sum(numbers(np.shape(x)) for _, x in parts(result)) for result in (answer.result, expected)
    )
    if got > TIMES_LARGER * (right + 10):
        return Stopped(f"expected a result of {right:,} numbers, got one of {got:,}")
    return answer.result


def _isolation(walls: Collection[str]) -> str:
    """Which walls there were, for the teacher."""
    missing = [wall for wall in WALLS if wall not in walls]
    if not walls:
        return "nothing was run"
    if not missing:
        return f"walled off: {', '.join(WALLS)}"
    return (
        f"NOT walled off, since this system does not permit it: {', '.join(missing)}; "
        "there, only a courtesy of Python's stands"
    )
