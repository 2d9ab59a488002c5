"""cuBLAS in a graph: the calls that CuPy makes for a product, without its refusal to record them.

CuPy 14.2 sets the stream of cuBLAS before each call, and refuses while that stream is capturing:
`setStream` in cupy_backends/cuda/libs/cublas.pyx, whose comment says that most of cuBLAS could be
captured, and that it is switched off until that can be tested. NVIDIA's manual says what can be:
https://docs.nvidia.com/cuda/cublas/#cuda-graphs-support. So here the stream is set once, before
anything is captured, and while a function is recorded, CuPy's products call the library directly:
the same function, with the same arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import c_int, c_size_t, c_void_p
from typing import Any

WORKSPACE = 32 * 2**20
"""Bytes of workspace for cuBLAS: the largest number that its manual recommends."""

I, P = c_int, c_void_p  # noqa: E741
CALLS = {
    # handle, transa, transb, m, n, k, alpha, A, type, lda, B, type, ldb, beta, C, type, ldc,
    # compute type, algorithm
    "gemmEx": ("cublasGemmEx", (P, I, I, I, I, I, P, P, I, I, P, I, I, P, P, I, I, I, I)),
    # handle, n, x, incx, y, incy, result
    "sdot": ("cublasSdot_v2", (P, I, P, I, P, I, P)),
    "ddot": ("cublasDdot_v2", (P, I, P, I, P, I, P)),
}
"""CuPy's names of its functions, with those of the library and the types of their arguments.

`tensordot_core_v11` in cupy/_core/_routines_linalg.pyx calls `gemmEx` for a product of matrices,
`dot` in cupy/cublas.py the others; both look them up in the module each time. Products of stacks of
matrices use other functions, and are still refused.
"""


@contextmanager
def unrefused(
    cublas: Any, library: Any, handle: int, stream: int, workspace: int, size: int
) -> Iterator[None]:
    """Let products be recorded on a stream.

    Args:
        cublas: CuPy's module ``cupy_backends.cuda.libs.cublas``.
        library: the same cuBLAS, opened by ctypes.
        handle: CuPy's for this thread; calls with another one go on as before.
        stream: the stream's address.
        workspace, size: memory that the graph holds. Otherwise cuBLAS would reserve some for each
            graph by itself.
    """
    # Afterwards CuPy's next call sets the stream anew, which makes cuBLAS forget the workspace.
    cublas.setStream(handle, stream)
    set_workspace = library.cublasSetWorkspace_v2
    set_workspace.argtypes = P, P, c_size_t
    _check(set_workspace(handle, workspace, size), "cublasSetWorkspace_v2")
    before = {name: getattr(cublas, name) for name in CALLS}
    for name, function in before.items():
        setattr(cublas, name, _direct(library, *CALLS[name], handle, function))
    try:
        yield
    finally:
        for name, function in before.items():
            setattr(cublas, name, function)


def _direct(
    library: Any, name: str, kinds: tuple[Any, ...], handle: int, otherwise: Callable[..., Any]
) -> Callable[..., None]:
    """A function of the library, for one handle; for other handles it is `otherwise`."""
    function = getattr(library, name)
    function.argtypes = kinds

    def call(of: int, *arguments: Any) -> None:
        if of != handle:  # that of another thread, which records nothing
            otherwise(of, *arguments)
        else:
            _check(function(of, *arguments), name)

    return call


def _check(status: int, name: str) -> None:
    if status:
        raise RuntimeError(f"{name}: cuBLAS answers with status {status}")
