"""What the engine did, made visible, beside what the code by hand does."""

from tinygen.explain.checks import check_gradients, compare_gradients
from tinygen.explain.derivation import Line, derivation
from tinygen.explain.names import name
from tinygen.explain.side_by_side import Match, SideBySide, side_by_side
from tinygen.explain.trace import Arrival, Node, Trace, trace

__all__ = [
    "Arrival",
    "Line",
    "Match",
    "Node",
    "SideBySide",
    "Trace",
    "check_gradients",
    "compare_gradients",
    "derivation",
    "name",
    "side_by_side",
    "trace",
]
