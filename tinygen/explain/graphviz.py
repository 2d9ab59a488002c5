"""A trace in the language of Graphviz, to be drawn by ``dot -Tsvg``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinygen.explain.table import called, shown

if TYPE_CHECKING:
    from tinygen.explain.trace import Trace


def dot(trace: Trace) -> str:
    """The graph: values flow down, and each box has its value and its gradient."""
    lines = ["digraph trace {", "  node [shape=box, fontname=monospace];"]
    for node in trace.nodes:
        text = [called(node), shown(node.value)]
        if node.gradient is not None:
            text.append(f"gradient {shown(node.gradient)}")
        shape = ", style=rounded" if node.op is None else ""
        lines.append(f'  n{node.index} [label="{_escaped(text)}"{shape}];')
    lines += [
        f"  n{parent.index} -> n{node.index};"
        for node in trace.nodes
        for _, parent in node.inputs
        if parent.index >= 0  # a plain number has no box
    ]
    return "\n".join([*lines, "}"])


def _escaped(lines: list[str]) -> str:
    return "\\n".join(line.replace("\\", "\\\\").replace('"', '\\"') for line in lines)
