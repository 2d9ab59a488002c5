"""A course's folder for nbgrader: the notebook from which it makes the students', and how to grade.

The notebook has each solution between the marks that ``nbgrader generate_assignment`` removes, and
below it a cell with the points. That cell holds no answers: a preprocessor grades the notebook in
tinygen's sandbox, instead of running it where the tests run, and gives each cell its points. If the
cell is run nevertheless, it gives none: nbgrader takes what a cell returns as its points.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tinygen.files import write_text
from tinygen.homework import marks, notebooks, student
from tinygen.homework.assignment import Assignment
from tinygen.homework.marks import Question
from tinygen.homework.notebooks import Cell
from tinygen.homework.variants import Variant

CONFIG = """\
from tinygen.homework.packages.nbgrader_preprocessor import PREPROCESSORS

c = get_config()
c.Autograde.autograde_preprocessors = PREPROCESSORS

# How each homework of tinygen is graded. Other assignments are run, as ever.
"""

TESTS = """\
# {title}: tinygen grades it when it is handed in. What is right so far, check.py says.
0.0"""


def source(assignment: Assignment, variant: Variant, level: int) -> str:
    """The stub, with each question's solution between nbgrader's marks."""
    text = assignment.solution(variant)
    questions = assignment.questions(variant, level)
    regions = {q.id: _region(assignment, variant, q, text) for q in questions}
    return assignment.header(variant, level) + marks.stub(text, questions, regions)


def _region(assignment: Assignment, variant: Variant, question: Question, text: str) -> str:
    if question.faulty:  # nothing to be removed: the student gets it with its mistake
        text_with_mistake = assignment.solution(variant, [assignment.fault(question.id, variant)])
        longer = text_with_mistake.count("\n") - text.count("\n")
        lines = text_with_mistake.splitlines()[question.first : question.last + longer]
        return "\n".join(lines)
    region = marks.region_of(text, question)
    indent = region[: len(region) - len(region.lstrip())]
    return f"{indent}### BEGIN SOLUTION\n{region}\n{indent}### END SOLUTION"


def notebook(page: str, program: str, questions: Sequence[Question]) -> str:
    """The notebook from which ``nbgrader generate_assignment`` makes the students'."""
    cells: list[tuple[Cell, dict[str, Any]]] = []
    for cell in student.student_cells(page, program):
        asked = [q for q in questions if f"# {q.id}: " in cell.text and cell.kind == "code"]
        solved = "### BEGIN SOLUTION" in cell.text
        cells.append((cell, cell_metadata(f"{asked[0].id}-code", solution=True) if solved else {}))
        for q in asked:
            tests = Cell("code", TESTS.format(title=q.title))
            cells.append((tests, grade_metadata(q.id, q.points)))
    written = json.loads(notebooks.notebook([cell for cell, _ in cells]))
    for one, (_, metadata) in zip(written["cells"], cells, strict=True):
        one["metadata"] |= metadata
    return json.dumps(written, indent=1, ensure_ascii=False) + "\n"


def grade_metadata(id_: str, points: float) -> dict[str, Any]:
    """What nbgrader knows about a graded cell."""
    return cell_metadata(id_, grade=True, locked=True, points=points)


def cell_metadata(grade_id: str, **options: Any) -> dict[str, Any]:
    """What nbgrader knows about a cell."""
    usual = {"schema_version": 3, "grade": False, "solution": False, "locked": False, "task": False}
    return {"nbgrader": {**usual, "grade_id": grade_id, **options}}


def write(path: Path, assignment: Assignment, settings: Mapping[str, Any]) -> None:
    """Write an assignment into a folder for a course of nbgrader's, which may exist.

    Args:
        path: that of the folder.
        assignment: the one to be graded.
        settings: the arguments of `tinygen.homework.grading.grade` except the submission; the
            default variant is 0, since all students get one notebook.

    Raises:
        InputError: the course has this assignment already.
    """
    name, level, number = assignment.name, settings["level"], settings["variant"] or 0
    variant, folder = assignment.variant(number), path / "source" / assignment.name
    student.new(assignment, folder, number, level=level, format="notebook")
    page = student.page(assignment, variant, level, "notebook")
    program = source(assignment, variant, level)
    questions = assignment.questions(variant, level)
    write_text(folder / f"{name}.ipynb", notebook(page, program, questions))
    _configure(path / "nbgrader_config.py", {name: {**settings, "variant": number}})


def _configure(path: Path, homework: Mapping[str, Any]) -> None:
    """Add to a course's configuration how a homework is graded."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if CONFIG not in text:
        text = f"{text.rstrip()}\n\n{CONFIG}".lstrip()
    write_text(path, f"{text.rstrip()}\nc.GradedByTinygen.homework.update({homework!r})\n")
