"""Why a gradient is wrong: the simplest mistake that turns the right one into it.

arrays.py looks at one gradient alone, and factors.py puts a number into words; backward.py reruns
the backward pass, mistakes.py lists what may go wrong along an edge of it, search.py tries all
mistakes at all edges, and wrong_loss.py those of the forward pass; comparison.py begins with two
gradients that differ, wrong_op.py with one that differs from what is measured.
"""

from tinygen.explain.diagnosis.comparison import why_not_equal
from tinygen.explain.diagnosis.wrong_op import why_not_measured

__all__ = ["why_not_equal", "why_not_measured"]
