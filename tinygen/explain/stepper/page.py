"""A trace as one page of HTML that needs no network, to step through forwards and backwards.

What is drawn is decided here, in `boxes` and in `pictures`; how it is drawn, in page.html,
style.css and the scripts, which get all this as JSON.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygen.explain.equations import mathml, page_of
from tinygen.explain.sources import formula, place
from tinygen.explain.stepper.boxes import tree
from tinygen.explain.stepper.pictures import Arrays, number, numbers, on_host
from tinygen.explain.table import called, shown, slice_of, substituted_partial, sum_of_arrivals

if TYPE_CHECKING:
    from tinygen.explain.derivation import Line
    from tinygen.explain.side_by_side import Match, SideBySide
    from tinygen.explain.trace import Arrival, Node, Trace

PARTS = ("start", "arrays", "boxes", "drawing", "step", "derivation", "controls")
"""The scripts, in their order in the page."""

ENDS = 4
"""The number of functions to name at each end of a long chain of calls."""

ORDINALS = ("first", "second", "third")


def page(
    trace: Trace, title: str = "trace", about: str = "", by_hand: SideBySide | None = None
) -> str:
    """The text of the page; `Trace.save` writes it, and `SideBySide.save` one with both."""
    return Template(_read("page.html")).substitute(
        title=html.escape(title),
        about=html.escape(about),
        style=_read("style.css"),
        data=_json(described(trace, by_hand)),
        script="\n".join(_read(f"{part}.js") for part in PARTS),
    )


def _read(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def frame(trace: Trace, by_hand: SideBySide | None = None) -> str:
    """The page within another, such as a notebook, isolated from that one's styles and scripts."""
    text = html.escape(page(trace, by_hand=by_hand))
    style = "width: 100%; height: 640px; border: 0"
    options = f'title="the stepper" sandbox="allow-scripts" style="{style}"'
    return f'<iframe {options} srcdoc="{text}"></iframe>'


def _json(data: Any) -> str:
    """JSON that cannot end a <script>, whatever names contain."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def described(trace: Trace, by_hand: SideBySide | None = None) -> dict[str, Any]:
    """What the scripts read: nodes, visits, lines by hand, the boxes, and each array once."""
    arrays = Arrays()
    nodes = [_node(node, arrays) for node in trace.nodes]
    return {
        "nodes": nodes,
        "visits": [node.index for node in trace.visits],
        "lines": [_line(line, by_hand, arrays) for line in by_hand.lines] if by_hand else [],
        "tree": tree(trace.nodes),
        "notFinite": _not_finite(trace),
        "arrays": arrays.entries,
    }


def _node(node: Node, arrays: Arrays) -> dict[str, Any]:
    where, _, code = node.line.partition(": ")
    return {
        "name": node.name,
        "op": _op_of(node),
        "formula": called(node),
        "numbers": _in_numbers(formula(node.op), node) if node.op else "",
        "source": place(node.op.forward) if node.op else "",
        "options": ", ".join(f"{key}={_option(x)}" for key, x in node.options.items()),
        "where": where,
        "code": code,
        "scopes": _within(node.scopes),
        "inputs": [[argument, n.index] for argument, n in node.inputs if n.index >= 0],
        "value": arrays.add(node.value),
        "gradient": None if node.gradient is None else arrays.add(node.gradient),
        "arrivals": [
            {
                "from": arrival.sender.index,
                "as": _role(arrival, node),
                "formula": substituted_partial(arrival.formula, arrival.sender)
                + _summed(arrival, node),
                "numbers": _in_numbers(arrival.formula, arrival.sender),
                "value": arrays.add(arrival.value),
            }
            for arrival in node.arrivals
        ],
        "sum": _sum(node),
        "hooked": node.hooked,
        "putTogether": _is_put_together(node),
    }


def _within(scopes: Sequence[str]) -> str:
    """The nested functions; if there are many, the outermost and the innermost ones."""
    if len(scopes) > 2 * ENDS:
        scopes = [*scopes[:ENDS], "…", *scopes[-ENDS:]]
    return " › ".join(scopes)


def _line(line: Line, by_hand: SideBySide, arrays: Arrays) -> dict[str, Any]:
    matches = {match.name: match for match in by_hand.matches if match.line is line}
    return {
        "where": f"{line.file}:{line.number}",
        "function": line.function,
        "code": line.code,
        "before": [*line.before],
        "origin": [*dict.fromkeys(page_of(line.file, number) for number in line.equations)],
        "equations": [[number, mathml(line.file, number)] for number in line.equations],
        "made": [
            {"name": name, "value": arrays.add(x), "same": _same(matches.get(name))}
            for name, x in line.made.items()
        ],
    }


def _same(match: Match | None) -> dict[str, Any] | None:
    """Autograd's step with the same array, how near it is, and one element, three ways."""
    if match is None:
        return None
    opinions = (match.by_hand, match.by_autograd, match.measured)
    return {
        "node": match.node.index,
        "back": match.is_gradient,
        "called": match.called,
        "differs": match.differs,
        "difference": f"{match.difference:.0e}" if match.difference else "0",
        "at": [*match.index],
        "opinions": [None if x is None else f"{x:.8g}" for x in opinions],
    }


def _role(arrival: Arrival, node: Node) -> str:
    """Which argument of the sender an arrival is for, if the node is several of them: x * x."""
    if sum(other is node for _, other in arrival.sender.inputs) < 2:
        return ""
    i = arrival.position
    return f"as its {ORDINALS[i] if i < len(ORDINALS) else f'{i + 1}th'} argument"


def _summed(arrival: Arrival, node: Node) -> str:
    """The sum that the engine takes of a partial's result if its argument was repeated."""
    shape, whole = np.shape(node.value), np.shape(arrival.sender.value)
    if shape == whole or len(shape) > len(whole):
        return ""
    if arrival.formula != "g" and not _is_elementwise(arrival.sender):
        return ""
    padded = (0,) * (len(whole) - len(shape)) + shape
    axes = [str(i) for i, (n, m) in enumerate(zip(padded, whole, strict=True)) if n != m]
    return f", summed over axis {' and '.join(axes)}"


def _is_elementwise(node: Node) -> bool:
    """Whether an argument that is smaller than the result was repeated to the result's shape."""
    shapes = [np.shape(n.value) for _, n in node.inputs]
    try:
        return len(shapes) > 1 and np.broadcast_shapes(*shapes) == np.shape(node.value)
    except ValueError:  # such as those of a matrix product
        return False


def _in_numbers(text: str, node: Node) -> str:
    """The formula of an op or a partial with numbers in place of names: ``"9 * 4"``.

    "" if one of them is an array, or if the formula is in words.
    """
    values = {argument: n.value for argument, n in node.inputs}
    if any(map(np.ndim, (*values.values(), node.value))) or len(values) < len(node.inputs):
        return ""
    if re.search(r"[a-z'] [a-z]", text):
        return ""
    texts = {name: shown(x) for name, x in (values | {"y": node.value}).items()}
    if node.gradient is not None:
        texts["g"] = shown(node.gradient)
    return re.sub(r"\b[A-Za-z_]\w*\b(?!\()", lambda m: texts.get(m[0], m[0]), text)


def _option(x: Any) -> str:
    return shown(x) if hasattr(x, "shape") else repr(x)


def _is_put_together(node: Node) -> bool:
    """Whether slices arrive that do not overlap, such as both halves of an encoder's result."""
    senders = [arrival.sender for arrival in node.arrivals]
    slices = [n.options["index"] for n in senders if _op_of(n) == "getitem" and slice_of(n)]
    if not 1 < len(slices) == len(node.arrivals):
        return False
    times = np.zeros(np.shape(node.value), int)
    for index in slices:
        times[index] += 1
    return bool(times.max(initial=0) <= 1)


def _op_of(node: Node) -> str:
    return node.op.name if node.op else ""


def _sum(node: Node) -> dict[str, Any] | None:
    """The sum where paths meet, for the element whose gradient is largest."""
    if len(node.arrivals) < 2 or _is_put_together(node):
        return None
    total = on_host(node.gradient)
    if not total.size:
        return None
    at = np.unravel_index(int(np.argmax(np.abs(total))), total.shape)
    whole = on_host(sum_of_arrivals(node))  # before a hook changes it
    terms = [np.broadcast_to(on_host(a.value), total.shape)[at] for a in node.arrivals]
    return {"at": [int(i) for i in at], "terms": numbers(terms), "total": number(whole[at])}


def _not_finite(trace: Trace) -> dict[str, int] | None:
    """Where a NaN or an infinity began: in a node's value, or else in a gradient."""
    for node in trace.nodes:
        if not _is_finite(node.value):
            return {"node": node.index, "visit": 0}
    for node in trace.visits:
        if not _is_finite(node.gradient):
            return {"node": node.index, "visit": 1}
    return None


def _is_finite(x: Any) -> bool:
    return bool(np.isfinite(on_host(x)).all())
