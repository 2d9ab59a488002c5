"""Automatic differentiation: the engine, and checks of gradients."""

from tinygen.autograd.compare import GradientComparison, compare_gradients
from tinygen.autograd.derivatives import hvp, jacobian, jvp
from tinygen.autograd.engine import Op, Tensor, grad, leaves, op, value_and_grad
from tinygen.autograd.finite_differences import GradientError, GradientReport, check_gradients
from tinygen.autograd.nan_check import NonFiniteError, stop_at_nonfinite
from tinygen.autograd.recording import no_grad
from tinygen.autograd.registry import OPS

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
    "hvp",
    "jacobian",
    "jvp",
    "leaves",
    "no_grad",
    "op",
    "stop_at_nonfinite",
    "value_and_grad",
]
