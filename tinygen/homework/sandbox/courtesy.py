"""Sentences about what a submission may not do, where walls would only say "permission denied".

Whoever wants to can get around these. They are for those who did not know, and for systems without
walls.
"""

from __future__ import annotations

import builtins
import re
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

MODULES = [
    *("__future__", "abc", "bisect", "cmath", "collections", "contextlib", "copy", "dataclasses"),
    *("enum", "fractions", "functools", "heapq", "inspect", "itertools", "json", "math", "numbers"),
    *("numpy", "operator", "pprint", "random", "re", "statistics", "string", "sys", "textwrap"),
    *("time", "traceback", "types", "typing", "unittest", "warnings"),
]
"""What a submission may import."""
PARTS = [
    *("collections.abc", "numpy.exceptions", "numpy.fft", "numpy.lib", "numpy.lib.stride_tricks"),
    *("numpy.linalg", "numpy.ma", "numpy.polynomial", "numpy.random", "numpy.testing"),
    *("numpy.typing", "unittest.mock"),
]


def named_in(source: str) -> list[str]:
    """The modules that a submission may need: they are loaded while there are still files.

    The last one is "*" if one of them may be needed with everything that it loads late.
    """
    words = {*re.findall(r"\w+", source)}
    named = [name for name in MODULES + PARTS if name.rpartition(".")[2] in words]
    stars = ["*"] if re.search(r"\bimport\s*\*", source) else []
    return ["numpy.ma", *named, *stars]  # np.unique needs it, and others


REFUSED = MappingProxyType(
    {
        "open": "open files",
        "os.": "use the operating system",
        "shutil.": "use the operating system",
        "glob.": "use the operating system",
        "pty.": "start processes",
        "subprocess.": "start processes",
        "signal.": "send signals",
        "syslog.": "use the operating system",
        "socket.": "use the network",
        "ssl.": "use the network",
        "urllib.": "use the network",
        "ctypes.": "call C",
    }
)
"""Names of audit events, or their beginnings, with what they mean."""


def refuse_actions() -> None:
    """From now on, give this process a PermissionError with a sentence for what it may not do."""
    refused = tuple(REFUSED)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith(refused):
            what = next(words for name, words in REFUSED.items() if event.startswith(name))
            raise PermissionError(f"a homework may not {what} ({event})")

    sys.addaudithook(hook)


def builtins_of_a_submission() -> dict[str, Any]:
    """Python's builtins, but with an import whose errors are sentences."""

    def import_known(
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: tuple[str, ...] = (),
        level: int = 0,
    ) -> Any:
        if level or name.partition(".")[0] not in MODULES:
            raise ImportError(
                f"a homework may not import {name or 'parts of a package'}; expected numpy, or a "
                "module of Python's that computes, such as math; what does without it still counts"
            )
        return __import__(name, globals, locals, fromlist, level)

    return {**vars(builtins), "__import__": import_known}
