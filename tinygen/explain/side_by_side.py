"""One gradient three times, side by side: by hand, by autograd, by finite differences.

Each line of a derivation is put beside the step of autograd's graph that has the same array, as its
value or as its gradient; and of one element, the measured derivative stands beside both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from tinygen.backend import to_host
from tinygen.explain import stepper
from tinygen.explain.derivation import Line, derivation
from tinygen.explain.table import WIDTH
from tinygen.explain.trace import Node, Trace, trace
from tinygen.files import write_text

NEAR = 1e-5
"""Arrays with a relative difference below this are the same; in float64 it is about 1e-16."""


@dataclass(frozen=True)
class Match:
    """What a line by hand has made, and the step of autograd that has the same.

    Attributes:
        line: the line, and `name`, which of its arrays.
        node: the step of autograd, and `is_gradient`, whether its gradient or its value is meant.
        difference: the largest, relative to the largest element.
        index: of the element of `node` that is largest.
        by_hand, by_autograd: this element.
        measured: the same by a central difference; None for a value.
    """

    line: Line
    name: str
    node: Node
    is_gradient: bool
    difference: float
    index: tuple[int, ...]
    by_hand: float
    by_autograd: float
    measured: float | None


def side_by_side(
    loss: Callable[..., Any],
    by_hand: Callable[..., Any],
    parameters: Mapping[str, Any],
    *data: Any,
) -> SideBySide:
    """Put a gradient by hand beside autograd's, line by line.

    Args:
        loss: the function of Tensors, such as ``model.loss``.
        by_hand: ``(parameters, *data) -> (loss, gradients)``, ``model.gradients("by-hand")``.
        parameters, data: of both; float64 shows more.

    Returns:
        What ``print`` shows as a table, and ``save`` as a page to step through.
    """
    graph = trace(loss, parameters, *data)
    lines = derivation(by_hand, parameters, *data)
    return SideBySide(graph, lines, [match for line in lines for match in _of_line(line, graph)])


@dataclass(frozen=True)
class SideBySide:
    """A whole derivation beside a graph.

    Attributes:
        trace: autograd's steps.
        lines: by hand, in the order in which they ran.
        matches: a `Match` for each array of each line that autograd has, too.
    """

    trace: Trace
    lines: Sequence[Line]
    matches: Sequence[Match]

    def save(self, path: str | PathLike[str], about: str = "") -> None:
        """Write the stepper of `Trace.save`, which goes on with the derivation, line by line."""
        write_text(path, stepper.page(self.trace, Path(path).stem, about, self))

    def _repr_html_(self) -> str:
        """The stepper in a notebook."""
        return stepper.frame(self.trace, self)

    def __str__(self) -> str:
        """In 80 columns: a line of code with its equations, and below it its numbers."""
        rows = [f"{'':40} {'by hand':>12} {'autograd':>12} {'measured':>12}"]
        for line, of_line in groupby(self.matches, key=lambda match: match.line):
            equations = " ".join(f"({tag})" for tag in line.equations)
            room = WIDTH - len(equations) - 1
            code = f"{line.file}:{line.number}  {line.code}"
            code = code if len(code) <= room else f"{code[: room - 1]}…"
            rows.append(f"{code:<{room}} {equations}")
            rows += map(_row, of_line)
        return "\n".join(rows)


def _row(m: Match) -> str:
    index = f"[{' '.join(map(str, m.index))}]" if m.index else ""
    node = m.node.name if m.node.name.isidentifier() else f"({m.node.name})"
    what = f"  {m.name} = {f'd{node}' if m.is_gradient else m.node.name} {index}"
    numbers = (m.by_hand, m.by_autograd, m.measured)
    cells = [f"{'' if x is None else f'{x:.8g}':>12}" for x in numbers]
    return f"{what[:40]:40} {' '.join(cells)}".rstrip()


def _of_line(line: Line, graph: Trace) -> Iterator[Match]:
    seen = set()
    for name, x in line.made.items():
        near = [(_difference(x, y), node, is_gradient) for node, is_gradient, y in _like(x, graph)]
        near = [candidate for candidate in near if candidate[0] <= NEAR]
        if not near:
            continue
        # Of several that are the same, a name that begins with d means a gradient.
        wants = name.startswith("d")
        difference, node, is_gradient = min(near, key=lambda n: (n[2] != wants, n[0]))
        if (node.name, is_gradient) not in seen:  # or it is the same array by another name
            seen.add((node.name, is_gradient))
            yield _match(line, name, x, graph, node, is_gradient, difference)


def _match(
    line: Line, name: str, x: Any, graph: Trace, node: Node, is_gradient: bool, difference: float
) -> Match:
    y = to_host(node.gradient if is_gradient else node.value)
    flat = int(np.argmax(abs(y)))
    index = tuple(int(i) for i in np.unravel_index(flat, y.shape))
    measured = graph.finite_difference(node.name, index) if is_gradient else None
    one, other = float(x.ravel()[flat]), float(y.ravel()[flat])
    return Match(line, name, node, is_gradient, difference, index, one, other, measured)


def _like(x: Any, graph: Trace) -> Iterator[tuple[Node, bool, Any]]:
    """The values and gradients of the graph that have as many elements as `x`, and are not 0."""
    for node in graph.nodes:
        for y, is_gradient in ((node.value, False), (node.gradient, True)):
            if y is not None and y.size == x.size and x.any():
                yield node, is_gradient, to_host(y)


def _difference(x: Any, y: Any) -> float:
    largest = float(abs(y).max())
    return float(abs(x.ravel() - y.ravel()).max()) / largest if largest else np.inf
