"""The marks in a solution: which regions are questions, and the stub that is made from it.

A question is a region in one function::

    # BEGIN q3 (23) (25) points=2
    ...
    # END

The question's id is followed by the equations that it computes, and then by ``points=2`` (a whole
number or a half), ``level=2`` (asked at level 2 only, else given), ``faulty`` (the stub shows it
with a mistake), or ``label=q3`` (what is asked is the label, such as ``# [7]``, of the line of q3
on which the stub's mistake begins).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tinygen.errors import InputError

LEVELS = (1, 2)


def refuse_other_level(level: int) -> None:
    """Refuse a level that does not exist.

    Raises:
        InputError: it is not one of `LEVELS`.
    """
    if level not in LEVELS:
        raise InputError(f"expected level {' or '.join(map(str, LEVELS))}, got {level}")


@dataclass(frozen=True)
class Question:
    """What is to be written, and where.

    Attributes:
        id: ``"q3"``.
        function: the one it is in: ``"encode"``, or ``"Adam.step"``.
        equations: those of the page that it computes: ``("(23)", "(25)")``.
        points: how many it is worth.
        level: the one at which it is asked; below, it is given.
        faulty: whether the student is to find a mistake in it, rather than to write it.
        label_of: the faulty question in which a line is to be named, or "".
        first, last: its lines in the solution without marks, from 0; `last` is not included.
    """

    id: str
    function: str
    equations: tuple[str, ...]
    points: float
    level: int
    faulty: bool
    label_of: str
    first: int
    last: int

    @property
    def title(self) -> str:
        """``"q3 (23) (25)"``."""
        return " ".join((self.id, *self.equations))


def plural(number: float, word: str) -> str:
    """``"1 point"``, ``"2.5 points"``."""
    return f"{number:g} {word}" + "s" * (number != 1)


def parse(text: str, where: str) -> tuple[str, list[Question]]:
    """A solution without its marks, and its questions.

    Args:
        text: the solution.
        where: its name, for messages.

    Raises:
        InputError: the marks are not as described above.
    """
    lines: list[str] = []
    begun: tuple[int, str] | None = None
    regions: list[tuple[str, int, int]] = []
    for number, line in enumerate(text.splitlines(), 1):
        mark = line.strip()
        if mark.startswith("# BEGIN "):
            if begun:
                raise InputError(f"{where}:{number}: expected # END before the next # BEGIN")
            begun = len(lines), mark
        elif mark == "# END":
            if not begun or begun[0] == len(lines):
                raise InputError(f"{where}:{number}: expected # BEGIN and a line before # END")
            regions.append((begun[1], begun[0], len(lines)))
            begun = None
        else:
            lines.append(line)
    if begun:
        raise InputError(f"{where}: expected # END, got the end of the file")
    plain = "\n".join(lines) + "\n"
    functions = _functions(plain)
    questions = [_question(*region, functions, where) for region in regions]
    ids = [f"q{i + 1}" for i in range(len(questions))]
    if [q.id for q in questions] != ids:
        got = ", ".join(q.id for q in questions)
        raise InputError(f"{where}: expected questions {', '.join(ids)} in this order, got {got}")
    return plain, questions


def _functions(text: str) -> list[tuple[str, int, int]]:
    """The name, first and last line of each function, those inside others last."""
    functions = []

    def walk(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            name = prefix
            if isinstance(child, (ast.FunctionDef, ast.ClassDef)):
                name = f"{prefix}.{child.name}".lstrip(".")
                if isinstance(child, ast.FunctionDef):
                    functions.append((name, child.lineno - 1, child.end_lineno or 0))
            walk(child, name)

    walk(ast.parse(text), "")
    return functions


MARK = re.compile(
    r"# BEGIN (q\d+)((?: \([^() ]+\))*)((?: (?:points=\d+(?:\.\d+)?|level=\d|label=q\d+|faulty))*)"
)


def _question(
    mark: str, first: int, last: int, functions: list[tuple[str, int, int]], where: str
) -> Question:
    parts = MARK.fullmatch(mark)
    around = [name for name, begin, end in functions if begin < first and last <= end]
    if not parts or not around:
        raise InputError(
            f"{where}: expected, in a function, a mark such as # BEGIN q3 (23) points=2, got {mark}"
        )
    id_, equations, words = parts.groups()
    options = {key: value for key, _, value in (word.partition("=") for word in words.split())}
    points, level = float(options.get("points", 1)), int(options.get("level", 1))
    if points <= 0 or points % 0.5 or level not in LEVELS:
        raise InputError(f"{where}: expected points of 0.5, 1, ... and level 1 or 2, got {mark}")
    faulty, label_of = "faulty" in options, options.get("label", "")
    return Question(
        id_, around[-1], tuple(equations.split()), points, level, faulty, label_of, first, last
    )


def with_region(text: str, question: Question, region: Sequence[str]) -> str:
    """A solution with other lines in place of a question."""
    lines = text.splitlines()
    lines[question.first : question.last] = region
    return "\n".join(lines) + "\n"


def region_of(text: str, question: Question) -> str:
    """The lines of a question."""
    return "\n".join(text.splitlines()[question.first : question.last])


def stub(text: str, questions: Sequence[Question], faulty: Mapping[str, str]) -> str:
    """A solution with questions still to be written.

    Args:
        text: the solution without its marks.
        questions: those that are asked.
        faulty: the region with a mistake in it, for each question in which one is to be found.
    """
    for question in reversed(questions):  # so that the lines above keep their numbers
        region = region_of(text, question)
        indent = region[: len(region) - len(region.lstrip())]
        title = f"# {question.id}: {_equations(question)}{plural(question.points, 'point')}"
        missing = f"{question.id}: {question.function} is to be written"
        todo = faulty.get(question.id, f'{indent}raise NotImplementedError("{missing}")')
        text = with_region(text, question, [indent + title, todo])
    return text


def label_at(region: str, fragment: str) -> str:
    """The number in the label, such as ``# [7]``, of the line on which a fragment begins.

    Raises:
        InputError: that line has none.
    """
    before = region[: region.index(fragment)].count("\n")
    line = region.splitlines()[before]
    label = re.search(r"# \[(\d+)\]$", line)
    if not label:
        raise InputError(f"expected a label such as # [7] at the end of {line.strip()}")
    return label[1]


def labels_in(region: str) -> list[int]:
    """The numbers of all labels in a region."""
    return [int(number) for number in re.findall(r"# \[(\d+)\]$", region, flags=re.M)]


def _equations(question: Question) -> str:
    if not question.equations:
        return ""
    word = "equation" + "s" * (len(question.equations) > 1)
    return f"{word} {' '.join(question.equations)}, "
