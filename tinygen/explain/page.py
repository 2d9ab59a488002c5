"""A trace as one page of HTML without any network, on which one steps forward and back.

What is drawn is decided here: the steps, the boxes that fold, and what is kept of an array. How it
is drawn is in stepper.html, which gets all this as JSON.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Sequence
from importlib.resources import files
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygen.backend import to_host
from tinygen.explain.sources import formula, place
from tinygen.explain.table import called, shown, substituted_partial

if TYPE_CHECKING:
    from tinygen.explain.trace import Arrival, Node, Trace

SIDE = 28
"""An axis of so many pixels squared is an image: of MNIST, or of a weight's row or column."""
IMAGES = 36
"""So many images of an array are drawn."""
EDGE = 200
"""So many rows and columns of a matrix are drawn; of a larger one, every second, third, ..."""
NUMBERS, COLUMNS = 40, 8
"""An array of no more numbers and columns than this is written out."""
NOT_FINITE = 255
"""The code of NaN and of the infinities among pixels; 0 to 254 go from the minimum up."""
BOXES = 100
"""A box holds no more of them; more are put into boxes of their own."""
TEMPLATE = "stepper.html"
TITLE, ABOUT, DATA = "{{title}}", "{{about}}", "{{data}}"


def page(trace: Trace, title: str = "trace", about: str = "") -> str:
    """The text of the page; `Trace.save` writes it."""
    template = files(__package__).joinpath(TEMPLATE).read_text(encoding="utf-8")
    before, after = template.split(DATA)
    head, tail = before.split(ABOUT)
    head = head.replace(TITLE, html.escape(title)) + html.escape(about)
    return head + tail + _json(described(trace)) + after


def frame(trace: Trace) -> str:
    """The page within another one, such as a notebook, whose styles and scripts it cannot meet."""
    text = html.escape(page(trace))
    style = "width: 100%; height: 640px; border: 0"
    return f'<iframe sandbox="allow-scripts" style="{style}" srcdoc="{text}"></iframe>'


def _json(data: Any) -> str:
    """JSON that ends no <script>, whatever a name may hold."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def described(trace: Trace) -> dict[str, Any]:
    """What stepper.html reads: nodes, visits, the boxes, and each array once."""
    arrays = _Arrays()
    nodes = [_node(node, arrays) for node in trace.nodes]
    return {
        "nodes": nodes,
        "visits": [node.index for node in trace.visits],
        "tree": tree(trace.nodes),
        "notFinite": _not_finite(trace),
        "arrays": arrays.kept,
    }


def _node(node: Node, arrays: _Arrays) -> dict[str, Any]:
    where, _, code = node.line.partition(": ")
    return {
        "name": node.name,
        "op": node.op.name if node.op else "",
        "formula": called(node),
        "numbers": _in_numbers(formula(node.op), node) if node.op else "",
        "source": place(node.op.forward) if node.op else "",
        "options": ", ".join(f"{key}={_option(x)}" for key, x in node.options.items()),
        "where": where,
        "code": code,
        "scopes": " › ".join(node.scopes),
        "inputs": [[argument, n.index] for argument, n in node.inputs if n.index >= 0],
        "value": arrays.add(node.value),
        "gradient": None if node.gradient is None else arrays.add(node.gradient),
        "arrivals": [
            {
                "from": arrival.sender.index,
                "formula": substituted_partial(arrival.formula, arrival.sender)
                + _summed(arrival, node),
                "numbers": _in_numbers(arrival.formula, arrival.sender),
                "value": arrays.add(arrival.value),
            }
            for arrival in node.arrivals
        ],
        "sum": _sum(node),
    }


def _summed(arrival: Arrival, node: Node) -> str:
    """What the engine does to the result of a partial whose argument was repeated: a sum."""
    shape, whole = np.shape(node.value), np.shape(arrival.sender.value)
    if shape == whole or len(shape) > len(whole):
        return ""
    if arrival.formula != "g" and not _is_elementwise(arrival.sender):
        return ""
    padded = (0,) * (len(whole) - len(shape)) + shape
    axes = [str(i) for i, (n, m) in enumerate(zip(padded, whole, strict=True)) if n != m]
    return f", summed over axis {' and '.join(axes)}"


def _is_elementwise(node: Node) -> bool:
    """Whether its arguments, where one is smaller than the result, were repeated to its shape."""
    shapes = [np.shape(n.value) for _, n in node.inputs]
    try:
        return len(shapes) > 1 and np.broadcast_shapes(*shapes) == np.shape(node.value)
    except ValueError:  # such as those of a product of matrices
        return False


def _in_numbers(text: str, node: Node) -> str:
    """A formula of an op or a partial with numbers in the places of names: ``"9 * 4"``.

    "" where one of them is an array.
    """
    values = {argument: n.value for argument, n in node.inputs}
    if any(map(np.ndim, (*values.values(), node.value))) or len(values) < len(node.inputs):
        return ""
    numbers = {name: shown(x) for name, x in (values | {"y": node.value}).items()}
    if node.gradient is not None:
        numbers["g"] = shown(node.gradient)
    return re.sub(r"\b[A-Za-z_]\w*\b(?!\()", lambda m: numbers.get(m[0], m[0]), text)


def _option(x: Any) -> str:
    return shown(x) if hasattr(x, "shape") else repr(x)


def _sum(node: Node) -> dict[str, Any] | None:
    """The sum where paths meet, of the element whose gradient is largest."""
    if len(node.arrivals) < 2:
        return None
    total = _on_host(node.gradient)
    if not total.size:
        return None
    at = np.unravel_index(int(np.argmax(np.abs(total))), total.shape)
    terms = [np.broadcast_to(_on_host(a.value), total.shape)[at] for a in node.arrivals]
    return {"at": [int(i) for i in at], "terms": _numbers(terms), "total": _number(total[at])}


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
    return bool(np.isfinite(_on_host(x)).all())


def _on_host(x: Any) -> np.ndarray:
    """A NumPy array of at least float32, as bytes and half precision overflow in a sum."""
    host = to_host(x) if hasattr(x, "shape") else np.asarray(x)
    return host.astype(np.float32 if host.dtype.itemsize < 4 else host.dtype, copy=False)


class _Arrays:
    """What is kept of the arrays; the gradient that one consumer sent is one array with its sum."""

    def __init__(self) -> None:
        self.kept: list[dict[str, Any]] = []
        self._seen: dict[int, int] = {}  # the trace keeps them alive, so that an id stays its own

    def add(self, x: Any) -> int:
        if id(x) not in self._seen or not hasattr(x, "shape"):
            self._seen[id(x)] = len(self.kept)
            self.kept.append(picture(_on_host(x)))
        return self._seen[id(x)]


def picture(x: np.ndarray) -> dict[str, Any]:
    """An array's shape and range, and its numbers if they are few, or else its pixels.

    Pixels are bytes, 0 to 254 from the minimum to the maximum, row by row: those of a matrix, or
    of images side by side.
    """
    finite = x if np.isfinite(x).all() else x[np.isfinite(x)]
    low, high = (finite.min(), finite.max()) if finite.size else (0, 0)
    about = {"shape": [*x.shape], "min": _number(low), "max": _number(high)}
    if finite.size < x.size:
        about["bad"] = int(x.size - finite.size)
    if x.size <= NUMBERS and (x.ndim == 0 or x.shape[-1] <= COLUMNS):
        return about | {"numbers": _numbers(x.ravel())}
    pixels, layout = _pixels(x)
    codes = _codes(pixels, float(low), float(high))
    return about | layout | {"pixels": base64.b64encode(codes.tobytes()).decode()}


def _pixels(x: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """What is drawn of an array, as rows, and what they are."""
    rows = x.reshape(-1, x.shape[-1])
    kind = "row"
    if rows.shape[1] != SIDE**2 and rows.shape[0] == SIDE**2:  # weights that take images
        rows, kind = rows.T, "column"
    if rows.shape[1] == SIDE**2:
        drawn = rows[:IMAGES]
        said = f"each {kind} as an image" if len(rows) > 1 else ""
        if len(rows) > IMAGES:
            said = f"the first {IMAGES} of {len(rows)} {kind}s, each as an image"
        about = {"images": len(drawn), "rows": SIDE, "columns": SIDE, "every": (1, 1)}
        return drawn, about | {"said": said}
    down, across = (max(1, ceil(n / EDGE)) for n in rows.shape)
    drawn = rows[::down, ::across]
    thinned = [f"1 of {n} {of}" for n, of in ((down, "rows"), (across, "columns")) if n > 1]
    about = {"images": 0, "rows": len(drawn), "columns": drawn.shape[1], "every": (down, across)}
    return drawn, about | {"said": ", ".join(thinned)}


def _codes(pixels: np.ndarray, low: float, high: float) -> np.ndarray:
    span = high - low or 1.0
    finite = np.isfinite(pixels)
    scaled = np.rint((np.where(finite, pixels, low) - low) * (254 / span))
    return np.where(finite, scaled, NOT_FINITE).astype(np.uint8)


def _numbers(x: Any) -> list[Any]:
    return [_number(value) for value in x]


def _number(x: Any) -> Any:
    """A number of six digits; text for what JSON has no number for."""
    x = float(f"{float(x):.6g}")
    return x if np.isfinite(x) else str(x)


def tree(nodes: Sequence[Node]) -> dict[str, Any]:
    """The boxes that fold: the calls of functions and layers, and the nodes in them by index.

    A parameter or constant lies in the innermost call that holds all of its consumers.
    """
    root = _Box("")
    for node in nodes:
        if node.op is not None:
            root.call(node.calls, node.scopes).children.append(node.index)
    leaves: dict[_Box, list[int]] = {}
    for index, homes in _homes(root, nodes).items():
        leaves.setdefault(_common(homes) or root, []).append(index)
    for box, indices in leaves.items():
        box.children[:0] = indices
    while len(root.children) == 1 and isinstance(root.children[0], _Box):
        root = root.children[0]
    return root.described()


class _Box:
    """A call: its name, and the boxes and the indices of nodes in it in the order of the pass."""

    def __init__(self, name: str, parent: _Box | None = None) -> None:
        self.name, self.parent = name, parent
        self.children: list[int | _Box] = []
        self._calls: dict[int, _Box] = {}

    def call(self, calls: Sequence[int], names: Sequence[str]) -> _Box:
        """The box of a call within a call ..., which is made where it is not there yet."""
        if not calls:
            return self
        if calls[0] not in self._calls:
            self._calls[calls[0]] = _Box(names[0], self)
            self.children.append(self._calls[calls[0]])
        return self._calls[calls[0]].call(calls[1:], names[1:])

    def described(self) -> dict[str, Any]:
        name, children = self.name, [_unwrapped(child) for child in self.children]
        if len(children) == 1 and isinstance(children[0], dict):  # a function that calls another
            name = name or children[0]["name"]
            children = children[0]["children"]
        return {"name": name, "children": _in_boxes(children, first=1)}


def _unwrapped(child: int | _Box) -> int | dict[str, Any]:
    """A box that holds one node is that node."""
    if isinstance(child, int):
        return child
    box = child.described()
    return box["children"][0] if len(box["children"]) == 1 else box


def _in_boxes(children: list[Any], first: int) -> list[Any]:
    """No more than `BOXES` at once: the others folded, and numbered."""
    if len(children) <= BOXES:
        return children
    size = max(ceil(len(children) / BOXES), BOXES // 2)
    return [
        {
            "name": f"{first + i} to {first + min(i + size, len(children)) - 1}",
            "children": _in_boxes(children[i : i + size], first + i),
        }
        for i in range(0, len(children), size)
    ]


def _homes(root: _Box, nodes: Sequence[Node]) -> dict[int, list[_Box]]:
    """The boxes of the consumers of each parameter and constant."""
    homes: dict[int, list[_Box]] = {node.index: [] for node in nodes if node.op is None}
    for node in nodes:
        for _, other in node.inputs:
            if other.index in homes:  # a plain number is no node of its own
                homes[other.index].append(root.call(node.calls, node.scopes))
    return homes


def _common(boxes: Sequence[_Box]) -> _Box | None:
    """The innermost box that holds all of these."""
    paths = [_path(box) for box in boxes]
    common = None
    for level in zip(*paths, strict=False):
        if any(box is not level[0] for box in level):
            break
        common = level[0]
    return common


def _path(box: _Box) -> list[_Box]:
    """From the outermost box to this one."""
    return [*(_path(box.parent) if box.parent else []), box]
