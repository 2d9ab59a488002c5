"""What runs within otter-grader: each of its tests gets the points that `grade` gives."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
from otter.plugins import AbstractOtterPlugin
from otter.run import AutograderConfig
from otter.test_files import GradingResults

from tinygen.homework.grading import Grade, grade


class GradedByTinygen(AbstractOtterPlugin):
    """A plugin; its configuration has the arguments of `grade` except the submission."""

    result: Grade

    def before_grading(self, config: AutograderConfig) -> None:
        """Grade the submission, and remove everything that was handed in from otter's folder.

        Otter would run it where the tests are, import modules from beside it, and unpickle its log.
        """
        self.result = grade(self.submission_path, **self.plugin_config)
        for path in Path(self.submission_path).parent.iterdir():
            if path.is_symlink() or path.is_file():
                path.unlink()
            elif path.name != "tests":  # these are ours
                shutil.rmtree(path)
        nbformat.write(nbformat.v4.new_notebook(), self.submission_path)  # for otter to read

    def before_execution(self, submission: nbformat.NotebookNode) -> nbformat.NotebookNode:
        """Leave nothing to be run; not even a name, which could be that of a module."""
        Path(self.submission_path).unlink()
        return nbformat.v4.new_notebook()

    def after_grading(self, results: GradingResults) -> None:
        """Give each test its points, and a sentence."""
        for question in self.result.questions:
            test = results.results[question.id]
            test.update_score(question.points)
            [case] = test.test_case_results
            case.passed = question.points == question.of
            case.message = question.text
        results.set_output("\n".join(self.result.problems))

    def generate_report(self) -> str:
        """What otter prints for the teacher."""
        return str(self.result)
