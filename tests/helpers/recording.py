"""What a CUDA graph of CuPy does, on the processor: it repeats launches in the memory they had.

While a stream is capturing, CuPy launches into the graph what it is asked for, with the addresses
and the numbers of that moment; from then on the graph is launched without Python. So here each call
notes how it is computed anew, and into which memory. A number that Python computed stays what it
was; memory that somebody frees is not the graph's any more.

From CuPy 14.2. What is refused while capturing: `copy_from_host_async` and `copy_to_host_async` in
cupy/cuda/memory.pyx, `setStream` in cupy_backends/cuda/libs/cublas.pyx. Memory that is asked for
meanwhile is of a pool that only the graph has: `CupyBackend.record`.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np


class Recording:
    """What was launched, in its order."""

    def __init__(self) -> None:
        self._steps: list[Callable[[], None]] = []
        self._own: dict[int, Any] = {}
        self._outside: list[weakref.ref[Any]] = []

    def note(self, compute: Callable[[], Any], made: Iterable[Any], used: Iterable[Any]) -> None:
        """A launch that computes arrays.

        Args:
            compute: gives anew the values of `made`; or writes by itself.
            made: arrays that did not exist before.
            used: arrays that it reads or writes.
        """
        for x in used:
            owner = x if x.base is None else x.base
            if id(owner) not in self._own:
                self._outside.append(weakref.ref(owner))
        made = list(made)
        self._own |= {id(x): x for x in made}

        def step() -> None:
            y = compute()
            values = y if isinstance(y, (tuple, list)) else (y,)
            for x, value in zip(made, values, strict=False):
                x._a[...] = value

        self._steps.append(step)

    def launch(self) -> None:
        if any(owner() is None for owner in self._outside):
            raise MemoryError("a graph uses memory that was freed since it was recorded")
        for step in self._steps:
            step()


def refuse_waiting() -> None:
    raise RuntimeError("the current stream is capturing, so synchronous API calls are disallowed")


def refuse_copy_from_host() -> None:
    raise RuntimeError("the current stream is capturing, so H2D transfers are disallowed")


def refuse_stacks(name: str, *arguments: Any) -> None:
    """`CupyBackend.record` lets products of matrices pass, and of vectors; not of stacks."""
    if name in ("matmul", "dot", "einsum", "tensordot") and any(
        isinstance(x, np.ndarray) and x.ndim > 2 for x in arguments
    ):
        raise NotImplementedError(
            "calling cuBLAS API during stream capture is currently unsupported"
        )
