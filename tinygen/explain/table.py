"""A trace as a table of 80 columns: forward, then backward, and the sums where paths meet."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygen.backend import to_host
from tinygen.display import times
from tinygen.explain.sources import formula

if TYPE_CHECKING:
    from tinygen.explain.trace import Node, Trace

WIDTH = 80
LEFT = 16
"""Columns that are reserved for a name, however many numbers are beside it."""
MOST = 60
"""The most steps of each pass to print; the middle of a longer one is left out."""
FEW = 4
"""The most numbers of an array to print; a larger one is shown by its shape and range."""


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
    """``"y = a * b"``: the formula of its op with the program's names in it."""
    if node.op is None:
        return node.name
    return f"{node.name} = {substituted(formula(node.op), node)}"


def substituted(text: str, node: Node) -> str:
    """The formula of an op with the names of the inputs in place of its arguments."""
    names = {argument: n.name for argument, n in node.inputs}
    if len(names) < len(node.inputs):  # *xs: all of them have one name
        return f"{node.name}({', '.join(n.name for _, n in node.inputs)})"
    names |= slice_of(node)
    return re.sub(r"\b[A-Za-z_]\w*\b", lambda m: names.get(m[0], m[0]), text)


def slice_of(node: Node) -> dict[str, str]:
    """The option `index`, if it consists of slices and numbers, as in a program: ``":, :20"``."""
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
    shape = times(host.shape)
    if host.dtype.kind != "f":
        return f"{shape} {host.dtype}"
    bad = int((~np.isfinite(host)).sum())
    if bad:
        return f"{shape}, {bad} of them NaN or infinite"
    return f"{shape} from {host.min():.3g} to {host.max():.3g}"


def _visit(node: Node) -> list[str]:
    """A node's gradient, and the arrivals that it is the sum of."""
    parts = [shown(a.value) for a in node.arrivals]
    rows = [_row(f"{node.index + 1:4}  {node.name}", _total(node, parts))]
    for arrival, part in zip(node.arrivals, parts, strict=True):
        said = substituted_partial(arrival.formula, arrival.sender)
        rows.append(_row(f"        from {arrival.sender.name}: {said}", part))
    return rows


def _total(node: Node, parts: list[str]) -> str:
    """The gradient, as a sum if it is one of numbers: ``"9 + 12 + 12 = 33"``."""
    gradient = shown(node.gradient)
    if len(parts) > 1 and np.size(node.gradient) == 1:
        total = shown(sum_of_arrivals(node))
        text = f"{' + '.join(parts)} = {total}"
        if len(text) > WIDTH // 2:
            text = f"{parts[0]} + {parts[1]} + … + {parts[-1]} = {total}, {len(parts)} terms"
        return f"{text}; the hook: {gradient}" if node.hooked else text
    return f"{gradient} after the hook" if node.hooked else gradient


def sum_of_arrivals(node: Node) -> Any:
    """What a hook is given; without a hook, this is the gradient."""
    if not node.hooked:
        return node.gradient
    first, *others = [arrival.value for arrival in node.arrivals]
    return sum(others, first)


def substituted_partial(text: str, sender: Node) -> str:
    """The formula of a partial, with the names of the op's inputs and of its result ``y``."""
    names = {argument: n.name for argument, n in sender.inputs}
    if len(names) < len(sender.inputs):  # *xs: all of them have one name
        names = {}
    names |= {"y": sender.name, "g": gradient_name(sender)} | slice_of(sender)
    return re.sub(r"\b[A-Za-z_]\w*\b(?!\()", lambda m: names.get(m[0], m[0]), text)


def gradient_name(node: Node) -> str:
    """``"dh"``, or ``"d(my h)"`` if the name is not an identifier."""
    return f"d{node.name}" if node.name.isidentifier() else f"d({node.name})"


def _row(left: str, right: str) -> str:
    """Two cells in `WIDTH` columns; the left one is cut if necessary, down to `LEFT`."""
    right = _cut(right, WIDTH - LEFT - 1)
    room = WIDTH - len(right) - 1
    return f"{_cut(left, room):<{room}} {right}".rstrip()


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[: room - 1]}…"


def _middle_out(rows: list[str]) -> list[str]:
    if len(rows) <= MOST:
        return rows
    half = MOST // 2
    return [*rows[:half], f"      … {len(rows) - MOST} more …", *rows[-half:]]
