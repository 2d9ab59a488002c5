"""Why a gradient is wrong: the simplest mistake that makes the right one into it.

arrays.py looks at one gradient alone, factors.py gives a number its name; backward.py is the
backward pass to be run again, mistakes.py what may go wrong along an edge of it, search.py tries
all mistakes at all edges, wrong_loss.py those of the forward pass; comparison.py begins with two
gradients, wrong_op.py with one that is not what is measured.
"""

from tinygen.explain.diagnosis.comparison import why_not_equal
from tinygen.explain.diagnosis.wrong_op import why_not_measured

__all__ = ["why_not_equal", "why_not_measured"]
