"""Homework for other graders: what Gradescope, otter-grader and nbgrader take.

Each has two halves: ``gradescope.py`` writes the package, and ``gradescope_autograder.py`` is in it
and runs there. All give the same points as `grade`, because they call it.
"""

from __future__ import annotations

import os
from pathlib import Path

from tinygen.errors import InputError, refuse_unknown
from tinygen.homework import marks
from tinygen.homework.assignment import load
from tinygen.homework.grading import HINTS, new_seed
from tinygen.homework.packages import gradescope, nbgrader, otter

PLATFORMS = {"gradescope": gradescope.write, "otter": otter.write, "nbgrader": nbgrader.write}


def package(
    name: str,
    platform: str,
    out: str | os.PathLike[str] | None = None,
    *,
    variant: int | None = None,
    level: int = marks.LEVELS[-1],
    seed: int | None = None,
    hints: str = "shown",
) -> Path:
    """Write what a platform needs to grade an assignment, and return where.

    Args:
        name: that of the assignment, such as ``"vae"``.
        platform: one of `PLATFORMS`.
        out: a zip that does not exist, by default ``vae-gradescope.zip``; for nbgrader, the folder
            of a course, which may have other assignments already.
        variant: that of all submissions; None for the one that the first line of each names.
        level: questions above it are not asked.
        seed: for the arrays that submissions are graded with; None for a new one.
        hints: "shown" or "hidden".

    Raises:
        InputError: there is no such assignment, platform, level or hints, or `out` exists already.
    """
    refuse_unknown("platform", platform, PLATFORMS)
    marks.refuse_other_level(level)
    refuse_unknown("hints", hints, HINTS)
    assignment = load(name)
    path = Path(out or f"{name}-{platform}" + ".zip" * (platform != "nbgrader"))
    if path.exists() and platform != "nbgrader":
        raise InputError(f"expected --out that does not exist, got {path}, which does")
    seed = new_seed() if seed is None else seed
    settings = dict(assignment=name, variant=variant, level=level, seed=seed, hints=hints)
    PLATFORMS[platform](path, assignment, settings)
    return path
