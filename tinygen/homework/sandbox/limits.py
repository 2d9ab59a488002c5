"""How much a submission may use."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass

try:
    import resource
except ImportError:  # on Windows, where nothing is graded
    resource = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Limits:
    """What a submission may use.

    Attributes:
        seconds: for all of its questions together; each also has its own limit.
        start: seconds until it is loaded, including all that its top level does.
        memory: bytes of address space.
        asks: how often a question may ask the grader.
    """

    seconds: float = 8
    start: float = 4
    memory: int = 2**30
    asks: int = 5000


LIBRARIES = ("OPENBLAS_NUM", "OMP_NUM", "MKL_NUM", "VECLIB_MAXIMUM")
ONE_THREAD = {f"{name}_THREADS": "1" for name in LIBRARIES}
"""The environment variables that tell NumPy to start no threads, each of which needs memory."""


def set_limits(limits: Limits) -> list[str]:
    """Limit this process for good; it can start neither others nor threads, unless it is root's.

    Returns:
        the limits that this system has: "memory", "forks", ...
    """
    wanted = {
        "memory": ("RLIMIT_AS", limits.memory),
        "forks": ("RLIMIT_NPROC", 0),
        "file size": ("RLIMIT_FSIZE", 0),
        "open files": ("RLIMIT_NOFILE", 64),
        "processor time": ("RLIMIT_CPU", round(limits.start + limits.seconds) + 1),
        "core dumps": ("RLIMIT_CORE", 0),
    }
    return [name for name, limit in wanted.items() if set_limit(*limit)]


def set_limit(constant: str, value: int) -> bool:
    """Limit this process for good, if this system can: a Mac does not limit memory."""
    with suppress(AttributeError, ValueError, OSError):
        resource.setrlimit(getattr(resource, constant), (value, value))
        return True
    return False


def busy() -> float:
    """How many programs compete for each core, at least 1: how many times longer each takes."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0  # Windows does not say
    return max(1.0, load / (os.cpu_count() or 1))
