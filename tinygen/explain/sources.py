"""What an op computes and what its partials return, as formulas taken from its own source."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from functools import cache, partial
from pathlib import Path
from typing import Any

from tinygen.autograd import Op


@cache
def formula(op: Op) -> str:
    """What the op computes: ``"x * z"``.

    It is what its function returns, if that is an expression of the arguments alone; or else the
    formula with which its docstring begins, or its name with the arguments.
    """
    returns = [node.value for node in ast.walk(_tree(op.forward)) if isinstance(node, ast.Return)]
    if len(returns) == 1 and returns[0] is not None:
        used = {node.id for node in ast.walk(returns[0]) if isinstance(node, ast.Name)}
        if used <= {*op.arguments}:
            return ast.unparse(returns[0])
    if quoted := re.match(r"``(.+?)``", op.__doc__ or ""):
        return quoted[1]
    return f"{op.name}({', '.join(op.arguments)})"


@cache
def partial_formula(op: Op, i: int) -> str:
    """What the partial of argument i returns: ``"g * z"``; "0" for None.

    It is what the docstring says in the form ``dx = ...``, where the code is longer than the
    mathematics, or else the expression in the code.
    """
    function = op.partials[i]
    if function is None:
        return "0"
    if isinstance(function, partial):  # that of *xs, bound to one of them
        function = function.func
    name = f"d{op.argument(i)}"
    if said := re.search(rf"``{name} = (.+?)``", op.__doc__ or "", re.DOTALL):
        return " ".join(said[1].split())
    for node in ast.walk(_tree(op.forward)):
        if isinstance(node, ast.keyword) and node.arg == name:
            lambdas = [n for n in ast.walk(node.value) if isinstance(n, ast.Lambda)]
            return ast.unparse(lambdas[0].body if lambdas else node.value)
    return getattr(function, "__name__", repr(function))


@cache
def place(function: Any) -> str:
    """Where a function is defined: ``"tinygen/ops/arithmetic.py:27"``; "" if there is no file."""
    try:
        line = inspect.getsourcelines(function)[1]
    except (OSError, TypeError):
        return ""
    module = inspect.getmodule(function)
    package = module.__name__ if module else ""
    if package.startswith("tinygen."):
        return f"{package.replace('.', '/')}.py:{line}"
    file = str(inspect.getsourcefile(function))
    return f"{'cell' if is_cell(file) else file}:{line}"


def is_cell(file: str) -> bool:
    """Whether a file is a Jupyter cell, whose name is a hash of its code and tells nothing."""
    return Path(file).parent.name.startswith("ipykernel_")


def _tree(function: Any) -> ast.AST:
    """The syntax tree of a function with its decorators; empty if there is no source."""
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return ast.Module([], [])
