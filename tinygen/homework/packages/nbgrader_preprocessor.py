"""What runs within nbgrader, at ``nbgrader autograde``: cells get the points that `grade` gives."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_output
from nbgrader.converters import Autograde
from nbgrader.preprocessors import Execute
from nbgrader.utils import is_grade
from traitlets import Dict

from tinygen.homework.grading import Graded, grade
from tinygen.homework.packages.nbgrader import grade_metadata


class GradedByTinygen(Execute):
    """A replacement for nbgrader's `Execute`.

    A notebook of a tinygen homework is graded in tinygen's sandbox, instead of running it among the
    tests; all others are run as usual.
    """

    homework = Dict(
        help="Arguments of tinygen's grade, but the submission, for each assignment by its name"
    ).tag(config=True)

    def preprocess(
        self, nb: nbformat.NotebookNode, resources: dict[str, Any], **kwargs: Any
    ) -> tuple[nbformat.NotebookNode, dict[str, Any]]:
        """Give each grade cell, as if it had been run, the points and the sentence of `grade`."""
        settings = self.homework.get(resources["nbgrader"]["assignment"])
        if settings is None:
            return super().preprocess(nb, resources, **kwargs)
        questions = _grade(nb, settings)
        cells = {cell.metadata.nbgrader.grade_id: cell for cell in filter(is_grade, nb.cells)}
        for question in questions:
            if question.id not in cells:  # a student has deleted it
                metadata = grade_metadata(question.id, question.of)
                nb.cells.append(new_code_cell(metadata=metadata))
                cells[question.id] = nb.cells[-1]
            cells[question.id].outputs = [
                new_output("stream", text=f"{question.line}\n"),
                new_output("execute_result", {"text/plain": repr(float(question.points))}),
            ]
        return nb, resources


def _grade(nb: nbformat.NotebookNode, settings: dict[str, Any]) -> list[Graded]:
    """The grades of each question."""
    handed_in = nb.copy()
    handed_in.cells = [cell for cell in nb.cells if not is_grade(cell)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "submission.ipynb"
        nbformat.write(handed_in, path)
        return grade(path, **settings).questions


PREPROCESSORS = [
    GradedByTinygen if preprocessor is Execute else preprocessor
    for preprocessor in Autograde.autograde_preprocessors.default()
]
"""For ``c.Autograde.autograde_preprocessors`` in nbgrader_config.py."""
