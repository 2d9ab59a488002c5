"""The engine: tensors that remember how they came to be, and the walk back to their gradients."""

from tinygen.autograd.backward import grad, value_and_grad
from tinygen.autograd.compare import GradientComparison, compare_gradients
from tinygen.autograd.finite_differences import GradientError, GradientReport, check_gradients
from tinygen.autograd.nan_check import NonFiniteError, stop_at_nonfinite
from tinygen.autograd.op import OPS, Op, op
from tinygen.autograd.tensor import Tensor, leaves, no_grad

__all__ = [
    "OPS",
    "GradientComparison",
    "GradientError",
    "GradientReport",
    "NonFiniteError",
    "Op",
    "Tensor",
    "check_gradients",
    "compare_gradients",
    "grad",
    "leaves",
    "no_grad",
    "op",
    "stop_at_nonfinite",
    "value_and_grad",
]
