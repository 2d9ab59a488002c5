"""What the engine did, to look at: the trace of a forward and a backward pass."""

from tinygen.explain.names import name
from tinygen.explain.trace import Arrival, Node, Trace, trace

__all__ = ["Arrival", "Node", "Trace", "name", "trace"]
