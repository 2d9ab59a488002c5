"""Keeps the memory that a training step frees for the next one.

A step frees its arrays when its gradients are known. The C library of Linux (glibc) then gives the
memory back to the system, and the next step gets it anew, page by page, each filled with zeros. In
a convolutional autoencoder this was a third of the time of a step.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""M_TRIM_THRESHOLD and M_MMAP_THRESHOLD in glibc's malloc.h."""


@lru_cache(maxsize=1)
def keep_freed_memory() -> None:
    """From now on the process keeps up to 512 MB that it has freed, in arrays of up to 32 MB.

    This is for a program or a notebook to decide; `tinygen.commands.command_line.run` does so, and
    no other function of tinygen. Nothing happens with a C library other than glibc. See ``man
    mallopt``.

    >>> keep_freed_memory()  # once, at the beginning of a program
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # no such function; Windows has no such library
        return
    mallopt(MMAP_THRESHOLD, 2**25)  # the most that any version accepts
    mallopt(TRIM_THRESHOLD, 2**29)
