"""The backend that computes with CuPy on the GPU; the only file that imports CuPy."""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property, lru_cache, partial
from typing import Any

from tinygen.backend import register
from tinygen.backend.base import Array, Generator, T
from tinygen.backend.cublas import WORKSPACE, unrefused
from tinygen.backend.philox import PhiloxGenerator, kernels
from tinygen.errors import InputError

OLDEST = 14
"""The first CuPy that promotes dtypes as NumPy 2 does (NEP 50)."""

FAILURES = {
    r"Insufficient_?Driver|Driver_?Mismatch|Unsupported_?Ptx|Stub_?Library": (
        "an NVIDIA driver for CUDA {cuda}: CUDA 12 needs version 525 or newer, CUDA 13 needs 580",
        "update the one that `nvidia-smi` shows, or if that is older than 580, pip install "
        '"cupy-cuda12x[ctk]>=14.1"',
    ),
    r"No_?Device|Invalid_?Device:": (
        "a GPU: CuPy is installed, but finds no CUDA device",
        "`nvidia-smi -L` lists them, and CUDA_VISIBLE_DEVICES must not hide them",
    ),
    r"Devices?_?Unavailable|prohibited|System_?Not_?Ready": (
        "a GPU that it may use: this one is busy, or reserved for another process",
        "`sudo nvidia-smi -c DEFAULT` lets processes use it side by side, and "
        "CUDA_VISIBLE_DEVICES=1 takes another",
    ),
    r"No_?Kernel_?Image|No_?Binary|Device_?Function|Invalid_?Ptx|gpu-architecture": (
        "a CuPy that knows this GPU",
        'a GPU newer than CUDA 12 needs pip install "cupy-cuda13x[ctk]>=14.1", one older than '
        'Turing pip install "cupy-cuda12x[ctk]>=14.1"',
    ),
    r"Out_?Of_?Memory|Memory_?Allocation|Status_(Alloc|Not_Init)": (
        "free memory on the GPU",
        "`nvidia-smi` lists the processes that hold it, and CUDA_VISIBLE_DEVICES=1 takes another "
        "GPU",
    ),
    r"DynamicLib|ImportError|Compile|NVRTC|headers": (
        "CUDA's libraries and headers, which CuPy by itself does not bring",
        'pip install "cupy-cuda{cuda}x[ctk]>=14.1" does',
    ),
    "": (
        "a GPU that computes, and CuPy's first operations failed",
        '`python -c "import cupy; cupy.show_config()"` prints what CuPy works with',
    ),
}
"""What to look for in CuPy's message or the name of its error; what is needed then, and how to get
it. The first match counts.

The names are those of CUDA's runtime (cudaErrorNoDevice) and driver (CUDA_ERROR_NO_DEVICE), which
`cupy_backends/cuda/api` puts before its messages. Libraries are loaded when they are first used
(`cupy_backends/cuda/libs`), so that only an operation shows what is missing. Drivers:
https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html
"""


@lru_cache(maxsize=1)
def connect(local_rank: int | None = None) -> CupyBackend:
    """The backend on the current GPU, after it has shown that it can compute.

    Args:
        local_rank: makes another GPU the current one, before anything is allocated; with more
            processes than GPUs, some share one.

    Raises:
        InputError: CuPy is not installed or too old, or its first operations fail; the message
            says how to fix that.
    """
    try:
        import cupy
    except Exception as error:  # absent, broken, or for another NumPy: not always an ImportError
        raise _refusal(
            "CuPy", 'install it with pip install "cupy-cuda12x[ctk]>=14.1", or cupy-cuda13x', error
        ) from error
    if int(cupy.__version__.split(".")[0]) < OLDEST:
        raise _refusal(
            f"CuPy {OLDEST} or newer, got {cupy.__version__}",
            'pip install "cupy-cuda12x[ctk]>=14.1", or cupy-cuda13x',
        )
    backend = CupyBackend(cupy)
    try:
        if local_rank is not None:
            cupy.cuda.Device(local_rank % cupy.cuda.runtime.getDeviceCount()).use()
        noise = backend.generator(0).standard_normal((2, 2), dtype=cupy.float32)
        float(cupy.exp(noise @ noise).sum())  # waits, so that what failed on the GPU fails here
    except Exception as error:  # CuPy's errors have no common type
        shown = f"{type(error).__name__}: {error}"
        needed, mend = next(
            both for pattern, both in FAILURES.items() if re.search(pattern, shown, re.IGNORECASE)
        )
        cuda = cupy.cuda.runtime.runtimeGetVersion() // 1000  # the one that CuPy was built for
        raise _refusal(needed.format(cuda=cuda), mend.format(cuda=cuda), error) from error
    return backend


def _refusal(needed: str, mend: str, error: Exception | None = None) -> InputError:
    """One sentence, with the first line of CuPy's own message."""
    # Where CuPy explains at length, the error that made it do so is shorter.
    lines = str((error and error.__cause__) or error or "").strip().splitlines()
    said = f" ({lines[0].rstrip()})" if lines else ""
    return InputError(f"the cupy backend needs {needed}; {mend}, or take backend 'numpy'{said}")


class CupyBackend:
    """CuPy behind the interface of `tinygen.backend.base.Backend`."""

    name = "cupy"

    def __init__(self, cupy: Any) -> None:
        self.xp = cupy

    def asarray(self, x: Any, dtype: Any = None) -> Array:
        return self.xp.asarray(x, dtype)

    def to_numpy(self, x: Array) -> Any:
        return self.xp.asnumpy(x)

    def address(self, x: Array) -> int:
        return x.data.ptr

    def generator(self, seed: int | Sequence[int]) -> Generator:
        # CuPy's own has a state on the GPU, 64 bytes for each thread that it can run: making one
        # writes all of it, and so does a draw; and it takes only 32 bits of the seed.
        return PhiloxGenerator(self.xp, self._draws, seed)

    @cached_property
    def _draws(self) -> Any:
        return kernels(self.xp)

    def erf(self, x: Array) -> Array:
        return self._special.erf(x).astype(x.dtype, copy=False)  # for float16 it is wider

    def lgamma(self, x: Array) -> Array:
        return self._special.gammaln(x).astype(x.dtype, copy=False)

    @cached_property
    def _special(self) -> Any:
        import cupyx.scipy.special

        return cupyx.scipy.special

    def sum_of_squares(self, x: Array) -> Array:
        x = x.ravel()
        if x.dtype.char not in "fd":
            return (x * x).sum()
        return self._dot(x, x)  # CuPy turns `x @ x` into a product, a sum and a copy

    @cached_property
    def _dot(self) -> Any:
        from cupy import cublas

        return cublas.dot

    def fuse(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def traced(*proxies: Any) -> Any:
            # CuPy finds out what is computed by calling the function once for each combination of
            # dtypes and numbers of axes, with proxies for the arrays.
            for proxy in proxies:
                register(type(proxy), self)
            return function(*proxies)

        name = f"tinygen_{function.__name__.strip('<>')}"  # of a lambda, too
        return self.xp.fuse(kernel_name=name)(traced)

    def record(self, function: Callable[[], T]) -> tuple[T, Callable[[], None]]:
        cupy, cuda = self.xp, self.xp.cuda
        # Every launch uses the memory that the function asks for. It is from a pool of its own, so
        # nobody else gets it, though CuPy counts it as free when the function returns.
        pool, stream = _PoolOfAGraph(cuda), cuda.Stream(non_blocking=True)
        self.synchronize()  # the new stream does not wait for what others have queued
        with stream, cuda.using_allocator(pool.malloc):
            workspace = cupy.empty(WORKSPACE, cupy.uint8)
            with unrefused(*self._cublas, stream.ptr, workspace.data.ptr, workspace.nbytes):
                function()  # compiles kernels and loads libraries, which cannot be recorded
                stream.synchronize()
                stream.begin_capture()
                try:
                    y = function()
                except BaseException:
                    with suppress(RuntimeError):  # an invalidated capture raises at its end, too
                        stream.end_capture()
                    raise
                graph = stream.end_capture()
        return y, partial(_launch, graph, pool, workspace)

    @property
    def _cublas(self) -> tuple[Any, Any, int]:
        """CuPy's module, the library that it calls, and its handle for this thread."""
        from cuda import pathfinder  # with which CuPy finds the library, too
        from cupy_backends.cuda.libs import cublas

        library = ctypes.CDLL(pathfinder.load_nvidia_dynamic_lib("cublas").abs_path)
        return cublas, library, self.xp.cuda.device.get_cublas_handle()

    def synchronize(self) -> None:
        self.xp.cuda.get_current_stream().synchronize()

    def describe(self) -> str:
        device = self.xp.cuda.runtime.getDeviceProperties(self.xp.cuda.Device().id)
        return f"cupy {self.xp.__version__}, {device['name'].decode()}"

    def adam(
        self,
        x: Array,
        g: Array,
        m: Array,
        v: Array,
        *,
        rate: float,
        beta1: float,
        beta2: float,
        epsilon: float,
        decay: float,
    ) -> None:
        # Scalars take the vectors' dtype, or the kernel would compute in float64.
        s = x.dtype.type
        self._adam(g, s(rate), s(1 - beta1), s(1 - beta2), s(epsilon), s(1 - decay), x, m, v)

    @cached_property
    def _adam(self) -> Any:
        return self.xp.ElementwiseKernel(
            "T g, T rate, T one_minus_beta1, T one_minus_beta2, T epsilon, T keep",
            "T x, T m, T v",
            """
            m += one_minus_beta1 * (g - m);
            v += one_minus_beta2 * (g * g - v);
            x = keep * x - rate * m / (sqrt(v) + epsilon);
            """,
            "tinygen_adam",
        )


class _PoolOfAGraph:
    """A CuPy memory pool that neither takes memory from a graph nor leaks it afterwards.

    CuPy 14.2 does both (cupy/cuda/memory.pyx). When the GPU is full, `_try_malloc` frees what the
    pool does not use just then, and a graph that is being recorded may compute there. And when a
    pool is dropped, nobody frees its blocks: `_Arena` owns them, and has no destructor.
    """

    def __init__(self, cuda: Any) -> None:
        self._pool = cuda.MemoryPool(partial(_reserve, cuda))
        self.malloc = self._pool.malloc

    def __del__(self) -> None:
        if not sys.is_finalizing():
            self._pool.free_all_blocks()


def _reserve(cuda: Any, size: int) -> Any:
    """GPU memory, or an error that makes no pool free its blocks."""
    try:
        memory = cuda.Memory(size)
    except cuda.runtime.CUDARuntimeError as error:
        raise MemoryError(f"{size} bytes for a graph: {error}") from None
    return cuda.MemoryPointer(memory, 0)


def _launch(graph: Any, *memory: Any) -> None:
    """Launch a graph on the current stream; its memory is held as long as it can be launched."""
    graph.launch()
