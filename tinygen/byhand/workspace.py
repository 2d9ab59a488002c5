"""Memory that is fetched once and used again in every step."""

from __future__ import annotations

from math import prod

from tinygen.backend import Array, namespace


class Workspace:
    """Scratch arrays by name, so that a training step need not ask for memory.

    A buffer is fetched anew only when a larger one, another dtype or another library is asked
    for. The smaller last batch of an epoch therefore uses the front part of the same buffers.
    An array from a workspace holds whatever was left in it, and is valid until its name is asked
    for again; so one workspace serves one computation at a time.

    >>> import numpy as np
    >>> workspace = Workspace()
    >>> x = np.zeros((4, 3), np.float32)
    >>> h = workspace.array("h", (4, 3), like=x)
    >>> last = workspace.array("h", (2, 3), like=x)
    >>> np.shares_memory(h, last), last.dtype
    (True, dtype('float32'))
    """

    def __init__(self) -> None:
        self._buffers: dict[str, Array] = {}

    def array(self, name: str, shape: tuple[int, ...], *, like: Array) -> Array:
        """A contiguous array of `shape`, with the dtype and on the library of `like`."""
        size = prod(shape)
        xp = namespace(like)
        buffer = self._buffers.get(name)
        if (
            buffer is None
            or buffer.size < size
            or buffer.dtype != like.dtype
            or namespace(buffer) is not xp
        ):
            buffer = self._buffers[name] = xp.empty(size, like.dtype)
        return buffer[:size].reshape(shape)

    def __repr__(self) -> str:
        return f"Workspace({sum(b.nbytes for b in self._buffers.values())} bytes)"
