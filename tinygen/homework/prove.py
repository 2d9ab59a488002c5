"""The kit proves itself: solutions get all points, stubs none, mistakes lose what they should."""

from __future__ import annotations

import re
import tempfile
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, zip_longest
from pathlib import Path

import numpy as np

from tinygen.errors import InputError
from tinygen.homework import marks, variants
from tinygen.homework.assignment import Assignment, Mistake
from tinygen.homework.cheats import CHEATS
from tinygen.homework.feedback import Known, Verdict, same, verdict
from tinygen.homework.grading import Grade, grade
from tinygen.homework.marks import Question
from tinygen.homework.variants import Variant

SEEDS = (0, 1, 2)


def prove(
    assignment: Assignment, numbers: Sequence[int] = range(8), seeds: Sequence[int] = SEEDS
) -> Iterator[str]:
    """What is wrong with an assignment, a sentence each; nothing if all is well.

    Everything runs in this process, since all of it is trusted: see `prove_grading` for the
    sandbox.

    Args:
        assignment: what to prove.
        numbers: the variants; any few consecutive numbers include all forms.
        seeds: for the numbers with which mistakes are tried.
    """
    yield from about_the_folder(assignment)
    for number in numbers:
        variant = assignment.variant(number)
        try:
            yield from _prefixed(
                f"variant {number} {variant.form}", about(assignment, variant, seeds)
            )
        except InputError as error:
            yield f"variant {number} {variant.form}: {error}"


def _prefixed(prefix: str, sentences: Iterator[str]) -> Iterator[str]:
    for sentence in sentences:
        yield f"{prefix}: {sentence}"


def about_the_folder(assignment: Assignment) -> Iterator[str]:
    """What is missing in the folder."""
    for name in ("page.md", "teacher.md"):
        if not (assignment.folder / name).exists():
            yield f"expected a {name}"
    yield from _plain_letters(assignment)
    yield from _labels(assignment)
    questions = assignment.questions(assignment.variant(0))
    if sum(q.points for q in questions) != 10:
        yield f"expected 10 points in all, got {sum(q.points for q in questions):g}"
    if len(assignment.mistakes) < 10:
        yield f"expected at least 10 planted mistakes, got {len(assignment.mistakes)}"
    for mistake in assignment.mistakes:
        if len(mistake.old) > 6 and mistake.old in mistake.hint:
            yield f"the hint shows the right code: {mistake.hint}"
        if mistake.hint.endswith("."):
            yield f"the hint ends with a full stop: {mistake.hint}"


def about(assignment: Assignment, variant: Variant, seeds: Sequence[int]) -> Iterator[str]:
    """What is wrong with one variant."""
    yield from _page(assignment, variant)
    yield from _stub(assignment, variant)
    yield from _solution(assignment, variant)
    yield from _sizes(assignment, variant)
    if variant.number < len(assignment.forms):  # one per form; others differ only in letters
        for seed in seeds:
            yield from _prefixed(f"seed {seed}", _mistakes(assignment, variant, seed))


def _page(assignment: Assignment, variant: Variant) -> Iterator[str]:
    """The page has the equations, and no letter that only looks like one that is renamed."""
    page = variants.rename_page(assignment.page, variant)
    for mistake in assignment.mistakes:
        assignment.hint([mistake], variant)
    if not page or variant.number >= len(assignment.forms):
        return
    for q in assignment.questions(variant):
        for equation in q.equations:
            if rf"\tag{{{equation[1:-1]}}}" not in page:
                yield f"{q.id}: equation {equation} is not in the page"


def _plain_letters(assignment: Assignment) -> Iterator[str]:
    """What the page writes without an @ although it is a letter in some variant."""
    options = [letter for options in assignment.letters.values() for letter in options]
    for segment in variants.SEGMENT.finditer(assignment.page):
        if segment["math"]:
            text = re.sub(r"\\(text|mathrm|operatorname|tag)\{[^}]*\}", "", segment[0])
            words = re.findall(r"[dD]?@[A-Za-z]+|\\[A-Za-z]+|[A-Za-z]", text)
            names = [word for word in words if "@" not in word]
            wrong = {letter.latex for letter in options}.intersection(names)
        else:
            names = re.findall(r"(?<![@\w.])[A-Za-z]\w*(?!\w|@)", segment["code"])
            wrong = {letter.code for letter in options}.intersection(names)
        if wrong:
            yield f"page.md: {', '.join(sorted(wrong))} without an @ in {segment[0]}"


def _labels(assignment: Assignment) -> Iterator[str]:
    """Each mistake to be found begins on a line with a label."""
    for form in assignment.forms:
        plain = Variant(0, form, {})
        source, questions = assignment.source(plain), assignment.questions(plain)
        for q in questions:
            for mistake in assignment.mistakes_of(q.label_of, form):
                faulty = assignment.question(q.label_of, form)
                try:
                    marks.label_at(marks.region_of(source, faulty), mistake.old)
                except InputError as error:
                    yield f"{faulty.id}: {error}"


def _stub(assignment: Assignment, variant: Variant) -> Iterator[str]:
    """The stub says that each question is to be written, and does not contain the answer."""
    for level in marks.LEVELS:
        stub = assignment.stub(variant, level)
        for q in assignment.questions(variant, level):
            if not q.faulty:
                try:
                    assignment.results(stub, q.id, variant, 0)
                    yield f"{q.id}: the stub of level {level} gives a result"
                except NotImplementedError as error:
                    if not str(error).startswith(f"{q.id}: "):
                        yield f"{q.id}: the stub says {error}"
                except Exception as error:
                    yield f"{q.id}: the stub of level {level} fails: {error!r}"


def _solution(assignment: Assignment, variant: Variant) -> Iterator[str]:
    """The solution is right, in its own letters as well as in those of the variant."""
    source = assignment.solution(variant)
    for q in assignment.questions(variant):
        known = assignment.known(q.id, variant, SEEDS[0])
        got = verdict(assignment.results(source, q.id, variant, SEEDS[0]), known)
        if got != Verdict(1):
            yield f"{q.id}: the solution loses points: {got.sentence}"


def _sizes(assignment: Assignment, variant: Variant) -> Iterator[str]:
    """A matrix must not be square, or have an axis of 1, in all cases: its transpose would pass."""
    for q in assignment.questions(variant):
        cases = assignment.cases(q.id, variant.form, SEEDS[0])
        for name in cases[0]:
            shapes = [np.shape(case[name]) for case in cases if not isinstance(case[name], dict)]
            matrices = {shape for shape in shapes if len(shape) == 2}
            if matrices and all(
                rows == columns or 1 in (rows, columns) for rows, columns in matrices
            ):
                yield f"{q.id}: expected different sizes above 1 of {name}, got {sorted(matrices)}"


def rounds(assignment: Assignment, variant: Variant) -> Iterator[list[Mistake]]:
    """The first mistakes of all questions at once, then all second ones, ..."""
    of_questions = [
        assignment.mistakes_of(q.id, variant.form) for q in assignment.questions(variant)
    ]
    for mistakes in zip_longest(*of_questions):
        yield [mistake for mistake in mistakes if mistake]


def _mistakes(assignment: Assignment, variant: Variant, seed: int) -> Iterator[str]:
    """Each mistake loses its question and no other, and has a hint of its own.

    Those of different questions are planted at once, and one by one only if that goes wrong.
    """
    known = {q.id: assignment.known(q.id, variant, seed) for q in assignment.questions(variant)}
    for id_, of_question in known.items():
        yield from _prefixed(id_, _hints(assignment.mistakes_of(id_, variant.form), of_question))
    for planted in rounds(assignment, variant):
        sentences = [*_planted(assignment, variant, seed, known, planted)]
        if sentences and len(planted) > 1:
            alone = [
                sentence
                for mistake in planted
                for sentence in _planted(assignment, variant, seed, known, [mistake])
            ]
            sentences = alone or sentences
        yield from sentences


def _hints(mistakes: Sequence[Mistake], known: Known) -> Iterator[str]:
    """Each mistake has a result of its own."""
    hints = known.mistakes()
    if len(hints) < len(mistakes):
        yield f"of {len(mistakes)} mistakes, {len(hints)} give a result"
    for number, (hint, fingerprint) in enumerate(hints):
        for other, of_other in hints[:number]:
            if same(fingerprint, of_other, known.tolerance):
                yield f"two mistakes have the same result: {hint}; {other}"


def _planted(
    assignment: Assignment,
    variant: Variant,
    seed: int,
    asked: Mapping[str, Known],
    planted: Sequence[Mistake],
) -> Iterator[str]:
    """Mistakes in different questions lose these questions, each with its hint, and no others."""
    source = assignment.source(variant, planted)
    hints = {mistake.question: assignment.hint([mistake], variant) for mistake in planted}
    where = " and ".join(f"{m.question}: {m.old!r} -> {m.new!r}" for m in planted)
    for id_, known in asked.items():
        try:
            got = verdict(assignment.results(source, id_, variant, seed), known)
        except Exception as error:
            yield f"{where}: {id_} fails: {error!r}"
            continue
        if id_ not in hints:
            if got != Verdict(1):
                yield f"{where}: {id_} loses points, too: {got.sentence}"
        elif got.fraction == 1:
            yield f"{where}: no point is lost"
        elif got.sentence != hints[id_]:
            yield f"{where}: expected the hint of {id_}, got {got.sentence}"


def prove_grading(
    assignment: Assignment, numbers: Sequence[int] = (), most: int | None = None
) -> Iterator[str]:
    """What is wrong with the grades of submissions that run in the sandbox.

    Args:
        assignment: what to prove.
        numbers: the variants; by default one of each form.
        most: how many mistakes of each question to try; by default all.
    """
    for number in numbers or range(len(assignment.forms)):
        variant = assignment.variant(number)
        questions = assignment.questions(variant)
        yield from _graded(assignment, variant, assignment.solution(variant), {})
        stub = {q.id: "" if q.faulty else "not written yet" for q in questions}
        yield from _graded(assignment, variant, assignment.stub(variant), stub)
        for planted in islice(rounds(assignment, variant), most):
            hints = {m.question: assignment.hint([m], variant) for m in planted}
            yield from _graded(assignment, variant, assignment.solution(variant, planted), hints)


def _graded(
    assignment: Assignment, variant: Variant, source: str, expected: Mapping[str, str]
) -> Iterator[str]:
    """What is wrong with a grade; `expected` has the sentence about each question that is wrong."""
    where = f"graded, variant {variant.number}"
    try:
        result = _grade(assignment, variant, source)
    except InputError as error:
        yield f"{where}: {error}"
        return
    yield from (f"{where}: {problem}" for problem in result.problems)
    for question in result.questions:
        text = expected.get(question.id, "right")
        if text and question.text != text:
            yield f"{where}: {question.id}: expected {text!r}, got {question.text!r}"
        if (question.points == question.of) != (text == "right"):
            yield f"{where}: {question.id}: got {question.points:g} of {question.of:g} points"


def _grade(assignment: Assignment, variant: Variant, source: str) -> Grade:
    """The grade of a program."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{assignment.name}.py"
        path.write_text(source, encoding="utf-8")
        return grade(path, assignment.name, variant.number)


def prove_cheats(assignment: Assignment) -> Iterator[str]:
    """Which cheats get points; each is tried in place of a question."""
    variant, names = assignment.variant(0), [*CHEATS]
    source, questions = assignment.source(variant), assignment.questions(variant)
    with tempfile.TemporaryDirectory() as folder:
        outside = Path(folder) / "outside"
        for first in range(0, len(names), len(questions)):
            cheats = dict(zip(questions, names[first:], strict=False))
            bodies = {q.id: cheat(name, assignment, q, outside) for q, name in cheats.items()}
            graded = _grade(assignment, variant, marks.stub(source, questions, bodies)).questions
            for got, name in zip(graded, cheats.values(), strict=False):
                if got.points:
                    yield f"cheats: {got.id} gets {got.points:g} points where {name}"
        if outside.exists():
            yield "cheats: a submission has written a file outside of its folder"


def cheat(name: str, assignment: Assignment, question: Question, outside: Path) -> str:
    """The lines that cheat in place of a question; `outside` is a file that must not be created."""
    variant = assignment.variant(0)
    region = marks.region_of(assignment.source(variant), question)
    body = CHEATS[name].strip("\n")
    for word, value in {
        "SOLUTION": assignment.path(variant.form),
        "FUNCTION": question.function,
        "OUTSIDE": outside,
    }.items():
        body = body.replace(word, repr(str(value)))
    return textwrap.indent(body, region[: len(region) - len(region.lstrip())])
