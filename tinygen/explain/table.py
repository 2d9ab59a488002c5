"""A trace as a table in 80 columns: forward, then back, and the sums where paths meet."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygen.backend import to_host
from tinygen.explain.sources import formula

if TYPE_CHECKING:
    from tinygen.explain.trace import Node, Trace

WIDTH = 80
MOST = 60
"""So many steps of each pass are printed; the middle of a longer one is left out."""
FEW = 4
"""So many numbers of an array are printed; of a larger one, its shape and its range."""


def table(trace: Trace) -> str:
    """The table of a `Trace`; ``print(trace)`` prints it."""
    forward = [_row(f"{n.index + 1:4}  {called(n)}", shown(n.value)) for n in trace.nodes]
    back = ["\n".join(_visit(node)) for node in trace.visits]
    ruler = "-" * WIDTH
    return "\n".join(
        [_row("forward", "value"), ruler, *_middle_out(forward), "",
         _row("back", "gradient"), ruler, *_middle_out(back)]
    )  # fmt: skip


def called(node: Node) -> str:
    """``"y = a * b"``: the formula of its op with the names of the program in it."""
    if node.op is None:
        return node.name
    return f"{node.name} = {substituted(formula(node.op), node)}"


def substituted(text: str, node: Node) -> str:
    """A formula of an op with the names of the inputs in the places of its arguments."""
    names = {argument: n.name for argument, n in node.inputs}
    if len(names) < len(node.inputs):  # *xs: all of them have one name
        return f"{node.name}({', '.join(n.name for _, n in node.inputs)})"
    names |= slice_of(node)
    return re.sub(r"\b[A-Za-z_]\w*\b", lambda m: names.get(m[0], m[0]), text)


def slice_of(node: Node) -> dict[str, str]:
    """The option `index`, if it is of slices and numbers, as in a program: ``":, :20"``."""
    index = node.options.get("index")
    parts = index if isinstance(index, tuple) else (index,)
    if not all(isinstance(part, (slice, int)) for part in parts):
        return {}
    return {"index": ", ".join(map(_bounds, parts))}


def _bounds(part: slice | int) -> str:
    if isinstance(part, int):
        return str(part)
    ends = ["" if end is None else str(end) for end in (part.start, part.stop, part.step)]
    return ":".join(ends[:2] if part.step is None else ends)


def shown(x: Any) -> str:
    """A few numbers, or the shape and the range of many."""
    if not hasattr(x, "shape"):
        return repr(x)
    host = to_host(x)
    if host.size <= FEW:
        numbers = [f"{number:.6g}" for number in host.ravel().tolist()]
        return f"[{' '.join(numbers)}]" if host.ndim else numbers[0]
    shape = " x ".join(map(str, host.shape))
    if host.dtype.kind != "f":
        return f"{shape} {host.dtype}"
    bad = int((~np.isfinite(host)).sum())
    if bad:
        return f"{shape}, {bad} of them NaN or infinite"
    return f"{shape} from {host.min():.3g} to {host.max():.3g}"


def _visit(node: Node) -> list[str]:
    """What arrived at a node, and what it is the sum of."""
    total, parts = shown(node.gradient), [shown(a.value) for a in node.arrivals]
    if len(parts) > 1 and np.size(node.gradient) == 1:
        total = f"{' + '.join(parts)} = {total}"
    rows = [_row(f"{node.index + 1:4}  {node.name}", total)]
    for arrival, part in zip(node.arrivals, parts, strict=True):
        said = substituted_partial(arrival.formula, arrival.sender)
        rows.append(_row(f"        from {arrival.sender.name}: {said}", part))
    return rows


def substituted_partial(text: str, sender: Node) -> str:
    """A formula of a partial, with the names of the op's inputs and of its result ``y``."""
    names = {argument: n.name for argument, n in sender.inputs}
    if len(names) < len(sender.inputs):  # *xs: all of them have one name
        names = {}
    names |= {"y": sender.name, "g": f"d{sender.name}"} | slice_of(sender)
    return re.sub(r"\b[A-Za-z_]\w*\b(?!\()", lambda m: names.get(m[0], m[0]), text)


def _row(left: str, right: str) -> str:
    """Two cells in `WIDTH` columns; the left one is cut if it has to be."""
    room = WIDTH - len(right) - 1
    left = left if len(left) <= room else f"{left[: room - 1]}…"
    return f"{left:<{room}} {right}".rstrip()


def _middle_out(rows: list[str]) -> list[str]:
    if len(rows) <= MOST:
        return rows
    half = MOST // 2
    return [*rows[:half], f"      … {len(rows) - MOST} more …", *rows[-half:]]
