"""An assignment of two questions, with which grading is tested whatever the real ones are."""

from __future__ import annotations

from pathlib import Path

from tinygen.homework import assignment as assignments

ASSIGNMENT = """
TITLE = "Two questions"
MINUTES = 5
LETTERS = {"x": "x u"}
SECONDS = {"q1": 0.5}

def q1(random, form):
    return {"x": random.standard_normal((3, 4)), "w": random.standard_normal((4, 2))}

def q2(random, form):
    return [{"x": random.standard_normal((3, n))} for n in (4, 5)]
"""
SOLUTION = """import numpy as np


def product(x, w):
    # BEGIN q1 (1) points=2
    return x @ w / len(x)
    # END


def total(x):
    # BEGIN q2 (2) (3) points=1
    return np.sum(x, axis=0)
    # END
"""
MISTAKES = """from tinygen.homework.assignment import Mistake

MISTAKES = [
    Mistake("q1", "x @ w / len(x)", "x @ w", "it is divided by the number of rows of @x"),
    Mistake("q2", "axis=0", "axis=1", "the sum is over the wrong axis"),
]
"""
HEADER = "# tinygen homework: tiny, variant 0\n"
RIGHT = HEADER + "".join(line for line in SOLUTION.splitlines(True) if "# " not in line)


FILES = {
    "assignment.py": ASSIGNMENT,
    "solution.py": SOLUTION,
    "mistakes.py": MISTAKES,
    "page.md": "$$@x \\tag{1}$$ $$@x \\tag{2}$$ $$@x \\tag{3}$$\n\n<!-- questions -->\n",
    "teacher.md": "Goals: none.\n",
}


def write(folder: Path, **changed: str) -> Path:
    """The folder of `tiny`; `changed` has other files, by their names without the ending."""
    home = folder / "assignments" / "01_tiny"
    home.mkdir(parents=True)
    for name, text in FILES.items():
        (home / name).write_text(changed.get(name.partition(".")[0], text))
    return home


def install(folder: Path, monkeypatch) -> None:
    """From now on the only assignment is `tiny`."""
    monkeypatch.setattr(assignments, "FOLDER", write(folder).parent)
    assignments.load.cache_clear()
