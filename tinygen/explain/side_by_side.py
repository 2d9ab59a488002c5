"""One gradient, three ways, side by side: by hand, by autograd, by finite differences.

Each line of a derivation is put beside the step of autograd's graph that has the same array, as its
value or as its gradient; and for one element, the measured derivative is put beside both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from os import PathLike
from typing import Any, NamedTuple

import numpy as np

from tinygen.backend import to_host
from tinygen.explain import stepper
from tinygen.explain.derivation import Line, derivation
from tinygen.explain.measured import finite_difference
from tinygen.explain.table import WIDTH, gradient_name
from tinygen.explain.trace import Node, Trace, trace
from tinygen.files import named_with, write_text

NEAR = 1e-5
"""Arrays with a relative difference below this are the same; in float64 it is about 1e-16."""


@dataclass(frozen=True)
class Match:
    """An array that a line by hand has computed, and the step of autograd with the same one.

    Attributes:
        line: the line, and `name`, which of its arrays.
        node: the step of autograd, and `is_gradient`, whether its gradient or its value is meant.
        sender: if only a part of the gradient is meant, the step that it arrives from.
        sign: 1, or -1 if one is minus the other.
        difference: the largest, relative to the largest element. It is above `NEAR` only where the
            two have the same name, and so should be equal.
        index: that of the element that is largest, or differs most, in the array by hand.
        by_hand, by_autograd: this element.
        measured: the same by a central difference; None for a value.

    The derivative of the KL with respect to the log of a variance, (exp(v) - 1) / 2, three ways:

    >>> import numpy as np
    >>> import tinygen as tg
    >>> from tinygen.byhand import pieces
    >>> def by_hand(p):
    ...     return pieces.kl(p["mu"], p["v"])
    >>> def loss(p):
    ...     return tg.sum(tg.gaussian_kl(p["mu"], p["v"]))
    >>> both = side_by_side(loss, by_hand, {"mu": np.array([3.0]), "v": np.array([1.0])})
    >>> m = both.matches[-1]
    >>> m.called, *(round(x, 4) for x in (m.by_hand, m.by_autograd, m.measured))
    ('dv', 0.8591, 0.8591, 0.8591)
    """

    line: Line
    name: str
    node: Node
    is_gradient: bool
    sender: Node | None
    sign: int
    difference: float
    index: tuple[int, ...]
    by_hand: float
    by_autograd: float
    measured: float | None

    @property
    def called(self) -> str:
        """What autograd calls it: ``h``, ``dh``, ``dh from z``, or the same with a minus."""
        minus = "-" if self.sign < 0 else ""
        if not self.is_gradient:
            return minus + self.node.name
        return (
            minus + gradient_name(self.node) + (f" from {self.sender.name}" if self.sender else "")
        )

    @property
    def differs(self) -> bool:
        """Whether the two have the same name but different numbers."""
        return self.difference > NEAR


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
        parameters, data: for both; float64 shows more.

    Returns:
        An object that ``print`` shows as a table, and ``save`` writes as a page to step through.

    >>> import numpy as np
    >>> import tinygen as tg
    >>> model, rng = tg.VAE(pixels=6, hidden=(4,), latent=2), np.random.default_rng(0)
    >>> p = model.initialise(seed=0, dtype=np.float64)
    >>> data = model.draw(rng.random((5, 6)), rng)
    >>> both = side_by_side(model.loss, model.gradients("by-hand"), p, *data)
    >>> "reparameterise(mu, v, noise)" in str(both)
    True
    """
    graph = trace(loss, parameters, *data)
    lines = derivation(by_hand, parameters, *data)
    candidates = _candidates(graph)
    matches = [match for line in lines for match in _of_line(line, graph, candidates)]
    return SideBySide(graph, lines, matches)


@dataclass(frozen=True)
class SideBySide:
    """A whole derivation beside a graph.

    Attributes:
        trace: autograd's steps.
        lines: those by hand, in the order in which they ran.
        matches: a `Match` for each array of each line that autograd has too.

    For the KL and its two derivatives, the first of which is mu itself:

    >>> import numpy as np
    >>> import tinygen as tg
    >>> from tinygen.byhand import pieces
    >>> def by_hand(p):
    ...     return pieces.kl(p["mu"], p["v"])
    >>> def loss(p):
    ...     return tg.sum(tg.gaussian_kl(p["mu"], p["v"]))
    >>> both = side_by_side(loss, by_hand, {"mu": np.array([3.0]), "v": np.array([1.0])})
    >>> [match.called for match in both.matches]
    ['gaussian_kl1', 'mu', 'dv']
    """

    trace: Trace
    lines: Sequence[Line]
    matches: Sequence[Match]

    def save(self, path: str | PathLike[str], about: str = "") -> None:
        """Write the stepper of `Trace.save`, followed by the derivation, line by line."""
        path = named_with(path, ".html")
        write_text(path, stepper.page(self.trace, path.stem, about, self))

    def _repr_html_(self) -> str:
        """The stepper in a notebook."""
        return stepper.frame(self.trace, self)

    def __str__(self) -> str:
        """A table of 80 columns: each line of code with its equations, and its numbers below it."""
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
    other = "" if _has_name(m, m.name) and not m.sender else f" = {m.called}"
    numbers = (m.by_hand, m.by_autograd, m.measured)
    cells = [f"{'' if x is None else f'{x:.6g}':>12}" for x in numbers]
    differs = " differs" if m.differs else ""
    return f"{f'  {m.name}{other} {index}{differs}'[:40]:40} {' '.join(cells)}".rstrip()


class _Candidate(NamedTuple):
    """One of autograd's arrays."""

    node: Node
    is_gradient: bool
    array: Any
    sender: Node | None = None
    sign: int = 1


def _of_line(
    line: Line, graph: Trace, candidates: Mapping[int, Sequence[_Candidate]]
) -> Iterator[Match]:
    for name, x in line.made.items():
        near = [(_difference(x, c), c) for c in candidates.get(x.size, ())]
        same = [candidate for candidate in near if candidate[0] <= NEAR]
        same = same or [n for n in near if _should_be(n[1], name)]
        if same:
            difference, candidate = min(same, key=lambda n: (_unlikely(n[1], name, x), n[0]))
            yield _match(line, name, x, graph, candidate, difference)


def _unlikely(c: _Candidate, name: str, x: Any) -> tuple[bool, ...]:
    """Ranks equal candidates by which is meant: a name that begins with d means a gradient."""
    kind, named = c.is_gradient != name.startswith("d"), _has_name(c, name)
    return kind, not named, c.array.shape != x.shape, c.sender is not None, c.sign < 0


def _has_name(c: _Candidate | Match, name: str) -> bool:
    """Whether a line gives its array the same name as autograd."""
    own = c.node.name
    return name in (f"d{own}", f"gradients[{own}]") if c.is_gradient else name == own


def _should_be(c: _Candidate, name: str) -> bool:
    """Whether a line has filled the gradient of this parameter, right or wrong."""
    return c.is_gradient and not c.sender and c.sign > 0 and name == f"gradients[{c.node.name}]"


def _match(line: Line, name: str, x: Any, graph: Trace, c: _Candidate, difference: float) -> Match:
    y = c.sign * c.array.reshape(x.shape)
    flat = int(np.argmax(abs(y) if difference <= NEAR else abs(x - y)))
    index = tuple(int(i) for i in np.unravel_index(flat, x.shape))
    measured = None
    if c.is_gradient and c.array.shape == c.node.value.shape:  # not a part still to be summed
        there = tuple(int(i) for i in np.unravel_index(flat, c.array.shape))
        measured = c.sign * finite_difference(graph, c.node, there, c.sender)
    by_hand, by_autograd = float(x[index]), float(y[index])
    return Match(
        line, name, c.node, c.is_gradient, c.sender, c.sign, difference, index, by_hand,
        by_autograd, measured,
    )  # fmt: skip


def _candidates(graph: Trace) -> dict[int, list[_Candidate]]:
    """The arrays of the graph that are not 0, with either sign, by their number of elements."""
    by_size: dict[int, list[_Candidate]] = {}
    for c in _arrays(graph):
        if c.array.any():
            by_size.setdefault(c.array.size, []).extend([c, c._replace(sign=-1)])
    return by_size


def _arrays(graph: Trace) -> Iterator[_Candidate]:
    """Values, gradients, and the parts of gradients that are sums."""
    for node in graph.nodes:
        yield _Candidate(node, False, to_host(node.value))
        if node.gradient is not None:
            yield _Candidate(node, True, to_host(node.gradient))
        senders = [arrival.sender.index for arrival in node.arrivals]
        if len(senders) > 1:
            for arrival in node.arrivals:
                if senders.count(arrival.sender.index) > 1:  # which of its arguments is meant?
                    continue
                yield _Candidate(node, True, to_host(arrival.value), arrival.sender)


def _difference(x: Any, c: _Candidate) -> float:
    y = c.sign * c.array
    largest = float(abs(y).max())
    return float(abs(x.ravel() - y.ravel()).max()) / largest if largest else np.inf
