"""Automatic differentiation: the engine, and what checks a gradient."""

from tinygen.autograd.compare import GradientComparison, compare_gradients
from tinygen.autograd.engine import OPS, Op, Tensor, grad, leaves, no_grad, op, value_and_grad
from tinygen.autograd.finite_differences import GradientError, GradientReport, check_gradients
from tinygen.autograd.nan_check import NonFiniteError, stop_at_nonfinite

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
