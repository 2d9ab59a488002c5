"""The boxes that fold: the calls of functions and layers, one inside another."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinygen.explain.trace import Node

BOXES = 100
"""The most children of a box; more are put into boxes of their own."""

DEEPEST = 50
"""The most nested calls, such as those of a recursive function, that become boxes."""


def tree(nodes: Sequence[Node]) -> dict[str, Any]:
    """The boxes that fold: the calls of functions and layers, and the nodes in them by index.

    A parameter or constant is in the innermost call that holds all of its consumers; data are
    outside the layers that read them.
    """
    root = _Box("")
    for node in nodes:
        if node.op is not None:
            root.call(node.calls, node.scopes).children.append(node.index)
    leaves: dict[_Box, list[int]] = {}
    for index, homes in _homes(root, nodes).items():
        home = _common(homes) or root
        leaves.setdefault(_path(home)[:2][-1] if nodes[index].is_data else home, []).append(index)
    for box, indices in leaves.items():
        box.children[:0] = indices
    while len(root.children) == 1 and isinstance(root.children[0], _Box):
        root = root.children[0]
    return root.described()


class _Box:
    """A call: its name, and the boxes and indices of nodes in it, in the order of the pass."""

    def __init__(self, name: str, parent: _Box | None = None) -> None:
        self.name, self.parent = name, parent
        self.children: list[int | _Box] = []
        self._calls: dict[int, _Box] = {}

    def call(self, calls: Sequence[int], names: Sequence[str]) -> _Box:
        """The box of a call within a call ..., created if it is not there yet."""
        if not calls or len(_path(self)) > DEEPEST:
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
    """A box that holds only one node is replaced by that node."""
    if isinstance(child, int):
        return child
    box = child.described()
    return box["children"][0] if len(box["children"]) == 1 else box


def _in_boxes(children: list[Any], first: int) -> list[Any]:
    """At most `BOXES` children: the others are put into numbered boxes."""
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
            if other.index in homes:  # a plain number is not a node of its own
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
    """The boxes from the outermost one to this one."""
    return [*(_path(box.parent) if box.parent else []), box]
