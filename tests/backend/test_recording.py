"""How CuPy is asked to record a graph, and cuBLAS within it; most of it without a GPU."""

from __future__ import annotations

import re
from contextlib import contextmanager
from ctypes import c_int
from types import SimpleNamespace

import numpy as np
import pytest

from tinygen.backend.cublas import CALLS, WORKSPACE, unrefused
from tinygen.backend.cupy_backend import CupyBackend, _reserve

HANDLE, STREAM = 11, 22
ARGUMENTS = {"gemmEx": tuple(range(100, 118)), "sdot": tuple(range(6)), "ddot": tuple(range(6))}


class Library:
    """Functions that note their calls; those of cuBLAS answer with a status."""

    def __init__(self, log, status=0):
        self.log, self.status = log, status

    def __getattr__(self, name):
        def function(*arguments):
            self.log.append((name, *arguments))
            return self.status

        setattr(self, name, function)
        return function


def cupys_cublas(log):
    names = (*CALLS, "setStream")
    return SimpleNamespace(**{n: lambda *a, n=n: log.append((f"CuPy's {n}", *a)) for n in names})


@pytest.mark.parametrize("name", CALLS)
def test_a_product_is_the_same_call_of_the_library(name):
    log = []
    cublas, library = cupys_cublas(log), Library(log)
    with unrefused(cublas, library, HANDLE, STREAM, 33, 44):
        getattr(cublas, name)(HANDLE, *ARGUMENTS[name])
    assert log == [
        ("CuPy's setStream", HANDLE, STREAM),
        ("cublasSetWorkspace_v2", HANDLE, 33, 44),  # after the stream, which would forget it
        (CALLS[name][0], HANDLE, *ARGUMENTS[name]),
    ]
    assert len(getattr(library, CALLS[name][0]).argtypes) == 1 + len(ARGUMENTS[name])


def test_afterwards_and_with_another_handle_it_is_cupys():
    log = []
    cublas = cupys_cublas(log)
    with pytest.raises(ZeroDivisionError), unrefused(cublas, Library(log), HANDLE, STREAM, 33, 44):
        cublas.sdot(HANDLE + 1, 1, 2)
        raise ZeroDivisionError
    cublas.sdot(HANDLE, 3, 4)
    assert log[-2:] == [("CuPy's sdot", HANDLE + 1, 1, 2), ("CuPy's sdot", HANDLE, 3, 4)]


def test_a_status_of_cublas_is_an_error():
    log = []
    cublas, library = cupys_cublas(log), Library(log)
    with unrefused(cublas, library, HANDLE, STREAM, 33, 44):
        library.status = 14
        with pytest.raises(RuntimeError, match="cublasDdot_v2: cuBLAS answers with status 14"):
            cublas.ddot(HANDLE, *ARGUMENTS["ddot"])


@pytest.mark.parametrize("name", CALLS)
def test_cupys_functions_take_these_arguments(name):
    """Each `int` of CuPy's is one, and all else is as large as a pointer."""
    pytest.importorskip("cupy")
    from cupy_backends.cuda import libs

    try:
        function = getattr(libs.cublas, name)  # which loads the library
    except ImportError as error:
        pytest.skip(str(error))
    (taken,) = re.findall(r"\((.*)\)", function.__doc__)
    kinds = [each.split()[0] for each in taken.split(", ")]
    assert set(kinds) <= {"int", "intptr_t", "size_t"}
    assert [kind == "int" for kind in kinds] == [kind is c_int for kind in CALLS[name][1]]


class Cupy:
    """As much of CuPy as a recording needs, which notes what it is asked for."""

    uint8 = np.uint8

    def __init__(self):
        self.log, self.within = [], []
        self.cuda = SimpleNamespace(
            MemoryPool=lambda allocator: SimpleNamespace(
                malloc="a pool's malloc", free_all_blocks=lambda: self.note("free")
            ),
            Stream=lambda non_blocking: Stream(self, non_blocking),
            get_current_stream=lambda: SimpleNamespace(
                synchronize=lambda: self.note("wait for the current stream")
            ),
            using_allocator=self.using,
        )

    def note(self, what):
        self.log.append(f"{what}{' within ' * bool(self.within)}{', '.join(self.within)}")

    @contextmanager
    def using(self, what):
        self.within.append(what)
        try:
            yield
        finally:
            self.within.pop()

    def empty(self, size, dtype):
        self.note(f"{size} bytes")
        return SimpleNamespace(data=SimpleNamespace(ptr=33), nbytes=size)


class Stream:
    ptr = STREAM

    def __init__(self, cupy, non_blocking):
        assert non_blocking  # otherwise work on CuPy's own stream would break the recording
        self.cupy = cupy

    def __enter__(self):
        self.cupy.within.append("a stream")

    def __exit__(self, *_):
        self.cupy.within.pop()

    def synchronize(self):
        self.cupy.note("wait for the stream")

    def begin_capture(self):
        self.cupy.note("begin")

    def end_capture(self):
        self.cupy.note("end")
        return SimpleNamespace(launch=lambda: self.cupy.note("launch"))


class Backend(CupyBackend):
    @property
    def _cublas(self):
        return cupys_cublas([]), Library([]), HANDLE


def test_the_order_in_which_cupy_is_asked():
    cupy = Cupy()

    def function():
        cupy.note("function")
        return 5

    result, launch = Backend(cupy).record(function)
    launch()
    del launch
    where = " within a stream, a pool's malloc"
    inside = [f"{WORKSPACE} bytes", "function", "wait for the stream", "begin", "function", "end"]
    assert result == 5
    assert cupy.log == [
        "wait for the current stream",
        *(x + where for x in inside),
        "launch",
        "free",
    ]


def test_a_stream_does_not_go_on_capturing_after_an_error():
    cupy = Cupy()

    def function():
        if "begin" in "".join(cupy.log):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Backend(cupy).record(function)
    assert "end within a stream, a pool's malloc" in cupy.log and not cupy.within


def test_a_full_gpu_takes_no_memory_from_a_graph():
    """Only for an error of CUDA's own does CuPy's pool free blocks; see `_try_malloc`."""

    class CUDARuntimeError(RuntimeError):
        pass

    def full(size):
        raise CUDARuntimeError("cudaErrorMemoryAllocation: out of memory")

    cuda = SimpleNamespace(Memory=full, runtime=SimpleNamespace(CUDARuntimeError=CUDARuntimeError))
    with pytest.raises(MemoryError, match="512 bytes for a graph: cudaErrorMemoryAllocation"):
        _reserve(cuda, 512)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_graph_computes_from_what_is_there_when_it_is_launched(gpu, dtype):
    xp = gpu.xp
    x, W = xp.ones((6, 5), dtype), xp.ones((5, 4), dtype)

    def function():
        y = (x @ W) @ W.T
        return y, y.sum(axis=0), gpu.sum_of_squares(y), xp.tanh(y)

    result, launch = gpu.record(function)
    for seed in range(3):
        x[...] = gpu.generator(seed).standard_normal(x.shape, dtype)
        launch()
        others = [gpu.generator(7).standard_normal((6, 5), dtype) for _ in range(9)]
        for found, expected in zip(result, function(), strict=True):
            tolerance = 1e-5 if dtype == np.float32 else 1e-12
            np.testing.assert_allclose(
                gpu.to_numpy(found), gpu.to_numpy(expected), rtol=tolerance, atol=tolerance
            )
        del others


@pytest.mark.gpu
def test_a_stream_refuses_to_be_waited_for_and_cupy_is_well_afterwards(gpu):
    x = gpu.xp.ones((3, 3))
    with pytest.raises(RuntimeError, match="captur"):
        gpu.record(lambda: float(x.sum()))
    assert float((x @ x).sum()) == 27
