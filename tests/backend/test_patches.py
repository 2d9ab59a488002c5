"""Windows of images as rows, and rows added up: against loops over single numbers."""

from __future__ import annotations

import ctypes
import math
import platform
import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strict import STRICT

from tinygen.backend import keep_freed_memory, memory
from tinygen.backend import patches as module
from tinygen.backend.patches import fold, margins, output_size, patches, smallest_size
from tinygen.errors import InputError


@st.composite
def fitting(draw):
    """The size of images, with the kernel, stride and padding of windows that fit into them."""
    size = draw(st.tuples(st.integers(1, 8), st.integers(1, 8)))
    padding = draw(st.one_of(st.integers(0, 3), st.just("same")))
    largest = 5 if padding == "same" else min(5, min(size) + 2 * padding)
    return size, draw(st.integers(1, largest)), draw(st.integers(1, 4)), padding


def places(size, kernel, stride, padding):
    """Where the windows begin, by definition: the first on the padding, each a stride further."""
    starts = []
    for length in size:
        if padding == "same":
            # https://www.tensorflow.org/api_docs/python/tf/nn#same_padding
            zeros = max(kernel - (stride if length % stride == 0 else length % stride), 0)
            before, after = zeros // 2, zeros - zeros // 2
        else:
            before = after = padding
        starts.append(range(-before, length + after - kernel + 1, stride))
    return starts


@given(drawn=fitting(), n=st.integers(0, 2), c=st.integers(1, 3))
def test_a_row_is_what_a_window_sees(drawn, n, c):
    size, kernel, stride, padding = drawn
    x = np.random.default_rng(0).standard_normal((n, *size, c))
    rows, columns = places(size, kernel, stride, padding)
    p = patches(x, kernel, stride, padding)
    assert p.shape == (n, len(rows), len(columns), kernel * kernel * c)
    assert p.shape[1:3] == output_size(size, kernel, stride, padding)
    p = p.reshape(n, len(rows), len(columns), kernel, kernel, c)
    for a, b, i, j in np.ndindex(p.shape[1:5]):
        row, column = rows[a] + i, columns[b] + j
        inside = 0 <= row < size[0] and 0 <= column < size[1]
        expected = x[:, row, column] if inside else np.zeros((n, c))
        np.testing.assert_array_equal(p[:, a, b, i, j], expected)


@given(drawn=fitting(), seed=st.integers(0, 99))
def test_each_is_the_transposed_matrix_of_the_other(drawn, seed):
    """<patches(x), p> = <x, fold(p)>, in whole numbers exactly."""
    size, *settings = drawn
    rng = np.random.default_rng(seed)
    x = rng.integers(-9, 10, (2, *size, 2)).astype(float)
    rows = patches(x, *settings)
    p = rng.integers(-9, 10, rows.shape).astype(float)
    assert (rows * p).sum() == (x * fold(p, size, *settings)).sum()


@given(drawn=fitting())
def test_what_patches_reads_once_fold_gives_back(drawn):
    """Of ones, it is the number of windows that see a pixel."""
    size, kernel, *_ = drawn
    settings = drawn[1:]
    seen = fold(patches(np.ones((1, *size, 1)), *settings), size, *settings)[0, :, :, 0]
    counts = [
        [sum(start <= at < start + kernel for start in starts) for at in range(length)]
        for starts, length in zip(places(size, *settings), size, strict=True)
    ]
    np.testing.assert_array_equal(seen, np.outer(*counts))


@given(drawn=fitting())
def test_same_divides_by_the_stride_and_smallest_is_the_smallest(drawn):
    size, _, stride, padding = drawn
    settings = drawn[1:]
    windows = output_size(size, *settings)
    if padding == "same":
        assert windows == tuple(math.ceil(length / stride) for length in size)
    smallest = smallest_size(windows, *settings)
    for length, other in zip(size, smallest, strict=True):
        assert 0 <= length - other < stride
    if min(smallest) > 0:
        assert output_size(smallest, *settings) == windows


def test_backends_agree(backend):
    x = np.arange(2 * 5 * 4 * 3.0).reshape(2, 5, 4, 3)
    for settings in ((3, 2, "same"), (2, 1, 0), (3, 3, 1), (1, 2, 0)):
        p = patches(x, *settings)
        for dtype in (np.float32, np.float64):
            there = patches(backend.asarray(x, dtype), *settings)
            back = fold(there, (5, 4), *settings)
            assert there.dtype == back.dtype == dtype
            np.testing.assert_array_equal(backend.to_numpy(there), p)
            np.testing.assert_array_equal(backend.to_numpy(back), fold(p, (5, 4), *settings))


IMAGES = np.zeros((2, 4, 6, 3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: patches(IMAGES, 5), "a kernel of at most 4 for images of 4 x 6, got kernel 5"),
        (lambda: patches(IMAGES, 7, 1, 1), "a kernel of at most 6 for images of 4 x 6"),
        (lambda: patches(IMAGES[0], 2), "expected images (n, h, w, c), got (4, 6, 3)"),
        (lambda: patches(IMAGES[:, :0], 2), "of at least 1 x 1, got (0, 6)"),
        (lambda: patches(IMAGES, 3, 0), "at least 1, got 3 and 0"),
        (lambda: patches(IMAGES, 2.0), "whole numbers, at least 1, got 2.0 and 1"),
        (lambda: patches(IMAGES, True), "whole numbers, at least 1, got True and 1"),
        (lambda: patches(IMAGES, 3, 1, -1), "'same' or a whole number, at least 0, got -1"),
        (lambda: patches(IMAGES, 3, 1, "valid"), "at least 0, got 'valid'"),
        (lambda: patches(IMAGES, 3, 1, (1, 1)), "at least 0, got (1, 1)"),
        (lambda: patches(IMAGES, 3, 1, np.array([1, 1])), "at least 0, got array([1, 1])"),
        (lambda: margins((4, 6), 3, -1, "same"), "at least 1, got 3 and -1"),
        (lambda: smallest_size((4, 6), 0), "at least 1, got 0 and 1"),
        (
            lambda: fold(np.zeros((2, 3, 3, 12)), (4, 6), 2),
            "expected (n, 3, 5, a multiple of 4), the windows of images of 4 x 6 with kernel 2, "
            "stride 1 and padding 0, got (2, 3, 3, 12)",
        ),
        (lambda: fold(np.zeros((2, 3, 5, 10)), (4, 6), 2), "a multiple of 4"),
        (lambda: fold(np.zeros((3, 5, 12)), (4, 6), 2), "got (3, 5, 12)"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_sizes(call, message):
    with pytest.raises(InputError, match=re.escape(message)):
        call()


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int64])
def test_numbers_of_numpy_are_as_good_as_pythons(kind):
    """Of 8 bits, most products here would be others: 3 times 43 would be -127."""
    x = np.random.default_rng(0).standard_normal((1, 128, 13, 2))
    for kernel, stride, padding in ((1, 3, 0), (12, 1, 1), (12, 3, "same"), (2, 2, 100)):
        p = patches(x, kernel, stride, padding)
        settings = kind(kernel), kind(stride), padding if padding == "same" else kind(padding)
        np.testing.assert_array_equal(patches(x, *settings), p)
        size = np.int64(128), np.int64(13)
        back = fold(p, size, *settings)
        np.testing.assert_array_equal(back, fold(p, (128, 13), kernel, stride, padding))
        windows = p.shape[1], kind(p.shape[2])
        assert smallest_size(windows, *settings) == smallest_size(
            p.shape[1:3], kernel, stride, padding
        )


def test_bytes_are_not_added_up(backend):
    with pytest.raises(TypeError, match="expected floats, got uint8"):
        fold(backend.asarray(np.zeros((1, 2, 2, 4), np.uint8)), (3, 3), 2)


def test_the_result_is_no_view_of_the_images():
    x = np.ones((1, 2, 2, 1))
    p = patches(x, 1)
    p[...] = 0
    assert x.all()


# Compiled loops, and memory.


@pytest.fixture
def compiled(monkeypatch):
    """As if every image had many windows."""
    pytest.importorskip("numba")
    monkeypatch.setattr(module, "MANY", 0)
    assert module._loops(np.zeros(1)) != (module.copy_windows, module.add_windows)


@given(drawn=fitting(), c=st.integers(1, 3), seed=st.integers(0, 99))
def test_compiled_loops_do_what_the_plain_ones_do(compiled, drawn, c, seed):
    size, *settings = drawn
    rng = np.random.default_rng(seed)
    x = rng.integers(-9, 10, (2, c, *size)).transpose(0, 2, 3, 1)  # not contiguous
    for dtype in (np.float32, np.float64):
        p = patches(x.astype(dtype), *settings)
        g = rng.integers(-9, 10, (*p.shape[1:], 2)).astype(dtype).transpose(3, 0, 1, 2)
        both = p, fold(g, size, *settings)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "MANY", 10**9)
            plain = patches(x.astype(dtype), *settings), fold(g, size, *settings)
        for fast, slow in zip(both, plain, strict=True):
            assert fast.dtype == slow.dtype == dtype
            np.testing.assert_array_equal(fast, slow)  # whole numbers


def test_float16_and_few_windows_take_the_plain_loops():
    plain = module.copy_windows, module.add_windows
    assert module._loops(np.zeros(module.MANY, np.float16)) == plain
    assert module._loops(np.zeros(module.MANY - 1)) == plain
    assert module._loops(STRICT.asarray(np.zeros(module.MANY))) == plain


def test_a_numba_that_is_absent_or_broken_leaves_the_plain_loops(monkeypatch):
    for broken in (None, object()):
        monkeypatch.setitem(sys.modules, "tinygen.backend.numba_kernels", broken)
        plain = module.copy_windows, module.add_windows
        assert module._compiled.__wrapped__() == plain


def test_a_c_library_without_mallopt_is_left_alone(monkeypatch):
    for failing in (OSError, TypeError, AttributeError):
        monkeypatch.setattr(ctypes, "CDLL", raising(failing))
        keep_freed_memory.__wrapped__()


def test_what_computes_leaves_the_memory_of_the_process_alone(monkeypatch):
    keep_freed_memory.cache_clear()
    monkeypatch.setattr(memory, "ctypes", SimpleNamespace(CDLL=raising(AssertionError)))
    x = np.zeros((1, 128, 128, 1), np.float32)
    assert patches(x, 3).size > module.MANY
    with pytest.raises(AssertionError):  # that is only for whoever owns the process
        keep_freed_memory()


def raising(error):
    def f(name):
        raise error

    return f


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries differ")
def test_what_a_step_frees_the_next_one_need_not_fetch():
    """Steps of 48 MB, in pieces of 3 MB: 12,288 pages each, which else come from the system."""
    code = (
        "import resource, numpy as np\n"
        "from tinygen.backend import keep_freed_memory\n"
        "def pages():\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    for _ in range(5): [np.ones(3 * 2**17) for _ in range(16)]\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before\n"
        "keep_freed_memory(); pages(); print(pages())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 500
