"""Homework that grades itself; ``python -m tinygen.homework`` is how a teacher uses it."""

from tinygen.homework.assignment import load, names
from tinygen.homework.grading import grade
from tinygen.homework.student import new

__all__ = ["grade", "load", "names", "new"]
