"""What runs on Gradescope: it grades one submission, and writes results.json."""

from __future__ import annotations

import json
import traceback
from pathlib import Path
from typing import Any

from tinygen.homework.grading import Grade, grade

FAILED = {
    "score": 0,
    "output": "The grader itself failed. This is not your mistake: please tell your instructor, "
    "who can read why in the output of the autograder.",
}


def results(of: Grade) -> dict[str, Any]:
    """The points of a submission in Gradescope's format."""
    return {
        "output": "\n".join([of.total, *of.problems]),
        "output_format": "text",  # a program's output must not be read as HTML
        "test_output_format": "text",
        "test_name_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": [
            {
                "name": question.title,
                "number": question.id.removeprefix("q"),
                "score": question.points,
                "max_score": question.of,
                "status": "passed" if question.points == question.of else "failed",
                "output": question.text,
                "visibility": "visible",
            }
            for question in of.questions
        ],
    }


def main(folder: Path) -> None:
    """Grade what is in ``submission/`` of Gradescope's folder."""
    try:
        settings = json.loads((folder / "source" / "settings.json").read_text())
        its = grade(folder / "submission", **settings)
        print(its)  # for the teacher, including which walls there were
        content = results(its)
    except Exception:
        traceback.print_exc()
        content = FAILED
    (folder / "results" / "results.json").write_text(json.dumps(content, indent=1))


if __name__ == "__main__":
    main(Path())
