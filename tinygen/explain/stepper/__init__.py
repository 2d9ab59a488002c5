"""The stepper: a trace as a page of HTML."""

from tinygen.explain.stepper.page import frame, page

__all__ = ["frame", "page"]
