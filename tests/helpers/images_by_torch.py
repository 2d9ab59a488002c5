"""Convolutions, transposed ones and pools by PyTorch, and 200 of them kept in a file.

``python tests/helpers/images_by_torch.py`` writes the file, which is all that the tests need. Every
number in it is a whole one, so that sums are exact in whatever order they are made.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

FILE = Path(__file__).with_name("images_by_torch.npz")
KINDS = ("conv", "transposed", "max", "average")
Rng = np.random.Generator


class Case(NamedTuple):
    """One layer, without its arrays. Pools use kernel and stride alone."""

    kind: int
    n: int
    h: int
    w: int
    inputs: int
    outputs: int
    kernel: int
    stride: int
    padding: int
    more_rows: int
    more_columns: int

    @property
    def name(self) -> str:
        return KINDS[self.kind]

    @property
    def more(self) -> tuple[int, int]:
        """The output padding of a transposed convolution."""
        return self.more_rows, self.more_columns

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Of the arguments: x, and with a convolution W and b."""
        x, window = (self.n, self.h, self.w, self.inputs), self.kernel**2
        W = {"conv": (window * self.inputs, self.outputs),
             "transposed": (self.inputs, window * self.outputs)}.get(self.name)  # fmt: skip
        return [x, W, (self.outputs,)] if W else [x]

    @property
    def output(self) -> tuple[int, ...]:
        """The shape of the result; a side without pixels is one that PyTorch refuses."""
        k, s, p = self.kernel, self.stride, self.padding
        if self.name == "transposed":
            sides = [
                (a - 1) * s - 2 * p + k + m
                for a, m in zip((self.h, self.w), self.more, strict=True)
            ]
            return (self.n, *sides, self.outputs)
        p, channels = (p, self.outputs) if self.name == "conv" else (0, self.inputs)
        return (self.n, *((a + 2 * p - k) // s + 1 for a in (self.h, self.w)), channels)


def draw_case(rng: Rng) -> Case:
    while True:
        n, inputs, outputs = rng.integers(1, 4, 3).tolist()
        h, w = rng.integers(1, 8, 2).tolist()
        kernel, stride, padding = (int(rng.integers(*ends)) for ends in ((1, 6), (1, 5), (0, 4)))
        more = rng.integers(0, stride, 2).tolist()
        kind = int(rng.choice(len(KINDS), p=(0.4, 0.4, 0.1, 0.1)))
        case = Case(kind, n, h, w, inputs, outputs, kernel, stride, padding, *more)
        if min(case.output) > 0:
            return case


def draw_integers(case: Case, rng: Rng) -> list[np.ndarray]:
    """The arguments, a weight for every number of the result, a direction for every argument.

    The numbers of a maximum are all different, and those of a mean can be divided.
    """
    shapes = [*case.shapes, case.output, *case.shapes]
    drawn = [rng.integers(-3, 4, shape).astype(float) for shape in shapes]
    if case.name == "max":
        drawn[0] = rng.permutation(drawn[0].size).reshape(drawn[0].shape) - drawn[0].size // 2.0
    if case.name == "average":
        drawn = [a * case.kernel**2 for a in drawn]
    return drawn


def orders(
    f: Callable[..., Any],
    grad: Callable[..., Any],
    arrays: list[Any],
    g: Any,
    directions: list[Any],
) -> list[Any]:
    """f(x), the gradients of ``sum(g f(x)^2)``, and those of their product with directions."""
    y = f(*arrays)
    first = grad((g * y * y).sum(), arrays)
    along = sum((d * v).sum() for d, v in zip(first, directions, strict=True))
    return [y, *first, *grad(along, arrays)]


def by_torch(case: Case, arrays: list[np.ndarray]) -> list[np.ndarray]:
    import torch
    from torch.nn import functional

    def f(x: Any, *weights: Any) -> Any:
        x = x.permute(0, 3, 1, 2).contiguous()
        k, s, p = case.kernel, case.stride, case.padding
        if case.name == "conv":
            W = weights[0].reshape(k, k, case.inputs, case.outputs).permute(3, 2, 0, 1).contiguous()
            y = functional.conv2d(x, W, weights[1], s, p)
        elif case.name == "transposed":
            W = weights[0].reshape(case.inputs, k, k, case.outputs).permute(0, 3, 1, 2).contiguous()
            y = functional.conv_transpose2d(
                x, W, weights[1], s, p, (case.more_rows, case.more_columns)
            )
        else:
            y = {"max": functional.max_pool2d, "average": functional.avg_pool2d}[case.name](x, k, s)
        return y.permute(0, 2, 3, 1)

    count = len(case.shapes)
    tensors = [torch.tensor(a, requires_grad=True) for a in arrays[:count]]
    g, *directions = map(torch.tensor, arrays[count:])
    both = orders(f, lambda y, xs: torch.autograd.grad(y, xs, create_graph=True), tensors, g,
                  directions)  # fmt: skip
    return [y.detach().numpy() for y in both]


def write() -> None:
    rng = np.random.default_rng(0)
    cases = [draw_case(rng) for _ in range(200)]
    given, expected = [], []
    for case in cases:
        arrays = draw_integers(case, rng)
        given += arrays
        expected += by_torch(case, arrays)
    for a in [*given, *expected]:
        assert (a == a.round()).all() and abs(a).max() < 2**31
    flat = [np.concatenate([a.ravel() for a in all_of_them]) for all_of_them in (given, expected)]
    np.savez_compressed(
        FILE, cases=np.array(cases, np.int8), given=flat[0].astype(np.int16),
        expected=flat[1].astype(np.int32),
    )  # fmt: skip


def read() -> list[tuple[Case, list[np.ndarray], list[np.ndarray]]]:
    """All cases, each with what is given and what PyTorch makes of it, in float64."""
    with np.load(FILE) as file:
        cases = [Case(*row) for row in file["cases"].tolist()]
        given, expected = (iter(file[name].astype(float)) for name in ("given", "expected"))

    def shaped(numbers: Any, shapes: list[tuple[int, ...]]) -> list[np.ndarray]:
        return [np.fromiter(numbers, float, prod(shape)).reshape(shape) for shape in shapes]

    return [
        (case, shaped(given, [*case.shapes, case.output, *case.shapes]),
         shaped(expected, [case.output, *case.shapes, *case.shapes]))
        for case in cases
    ]  # fmt: skip


if __name__ == "__main__":
    write()
