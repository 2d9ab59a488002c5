"""CuPy's ElementwiseKernel on the processor: the same text, compiled by the C compiler at hand.

So what a kernel computes can be tested where there is no GPU, whole numbers bit for bit. What CuPy
does around it is not shown.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
C_TYPES = {
    "float32": "float",
    "float64": "double",
    "int64": "long long",
    "uint64": "unsigned long long",
    "uint32": "unsigned int",
    "uint8": "unsigned char",
}


class ElementwiseKernel:
    """As in CuPy, called with its outputs last, of which the last has the type T.

    Inputs are arrays of one size and scalars; both have to have their types already.
    """

    def __init__(
        self, inputs: str, outputs: str, operation: str, name: str, preamble: str = ""
    ) -> None:
        self.parameters = [each.split() for each in f"{inputs}, {outputs}".split(",")]
        self.operation, self.name, self.preamble = operation, name, preamble

    def __call__(self, *arguments: Any) -> None:
        T, size = arguments[-1].dtype, arguments[-1].size
        function = getattr(compiled(self.source(T, arguments)), self.name)
        passed = []
        for (kind, name), x in zip(self.parameters, arguments, strict=True):
            assert x.dtype == (T if kind == "T" else kind), f"{name} is {x.dtype}"
            assert x.ndim == 0 or x.size == size
            passed.append(
                pointer(x) if isinstance(x, np.ndarray) else np.ctypeslib.as_ctypes_type(x.dtype)(x)
            )
        function(ctypes.c_long(size), *passed)

    def source(self, T: np.dtype, arguments: Any) -> str:
        """A function that goes through the elements: `x` is the element of the array `_x`."""
        taken, names = ["long _size"], []
        for (kind, name), x in zip(self.parameters, arguments, strict=True):
            array = isinstance(x, np.ndarray)
            taken.append(f"{C_TYPES.get(kind, 'T')} {'*_' if array else ''}{name}")
            names += [name] if array else []
        return f"""
#include <tgmath.h>
#define __device__ static
typedef {C_TYPES[T.name]} T;
{self.preamble}
void {self.name}({", ".join(taken)}) {{
{"".join(f"#define {name} _{name}[i]{chr(10)}" for name in names)}
    for (long i = 0; i < _size; ++i) {{
        {self.operation};
    }}
}}
"""


def pointer(x: np.ndarray) -> ctypes.c_void_p:
    assert x.flags.c_contiguous
    return ctypes.c_void_p(x.ctypes.data)


@cache
def compiled(source: str) -> ctypes.CDLL:
    # Windows does not let go of a library that is loaded.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        file, library = Path(folder, "kernel.c"), Path(folder, "kernel.so")
        file.write_text(source)
        command = [COMPILER, "-std=c11", "-O1", "-ffp-contract=off", "-shared", "-fPIC"]
        command += [str(file), "-o", str(library), "-lm"]
        subprocess.run(command, check=True)
        return ctypes.CDLL(str(library))


ON_THE_PROCESSOR = SimpleNamespace(
    ElementwiseKernel=ElementwiseKernel, empty=np.empty, asarray=np.asarray, asnumpy=np.asarray
)
"""As much of the module cupy as its kernels need."""
