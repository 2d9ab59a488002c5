"""How much a submission may use."""

from __future__ import annotations

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
        seconds: for all of its questions together; each has its own limit, too.
        start: seconds until it is loaded, with all that its own top level does.
        memory: bytes of addresses.
        asks: how often a question may ask the grader.
        printed: bytes of what is printed that are shown.
    """

    seconds: float = 60
    start: float = 5
    memory: int = 2**30
    asks: int = 5000
    printed: int = 10_000


def set_limits(limits: Limits) -> list[str]:
    """Limit this process for good; it cannot start others, nor threads, unless it is root's.

    Returns:
        the limits that this system has: of "memory", "forks", ...
    """
    wanted = {
        "memory": ("RLIMIT_AS", limits.memory),
        "forks": ("RLIMIT_NPROC", 0),
        "file size": ("RLIMIT_FSIZE", 0),
        "open files": ("RLIMIT_NOFILE", 64),
        "processor time": ("RLIMIT_CPU", round(limits.start + limits.seconds) + 1),
        "core dumps": ("RLIMIT_CORE", 0),
    }
    limited = []
    for name, (constant, value) in wanted.items():
        with suppress(AttributeError, ValueError, OSError):  # a Mac does not limit memory
            resource.setrlimit(getattr(resource, constant), (value, value))
            limited.append(name)
    return limited
