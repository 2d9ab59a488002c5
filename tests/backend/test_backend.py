"""Backends can be swapped: one interface, one Adam, clear refusals; the strict one is strict."""

from __future__ import annotations

import inspect
import operator
import re
import subprocess
import sys
import types

import numpy as np
import pytest
from elementwise import COMPILER, ON_THE_PROCESSOR
from strict import (
    KEYWORDS,
    STRICT,
    SYNCING,
    XP,
    StrictArray,
    StrictBackend,
    count_syncs,
    see_dtypes,
)

import tinygen as tg
from tinygen.backend import NAMES, backend_of, cupy_backend, get_backend, namespace
from tinygen.backend.base import Backend
from tinygen.backend.cupy_backend import CupyBackend
from tinygen.backend.numpy_backend import BLOCK, NumpyBackend, adam_numpy
from tinygen.backend.philox import PhiloxGenerator
from tinygen.errors import InputError

# One interface.


def public(cls):
    return {n: f for n, f in vars(cls).items() if inspect.isfunction(f) and not n.startswith("_")}


@pytest.mark.parametrize("cls", [NumpyBackend, CupyBackend, StrictBackend])
def test_all_backends_have_the_same_methods(cls):
    expected, found = public(Backend), public(cls)
    assert set(found) == set(expected)

    def kinds(f):
        return [(p.name, p.kind, p.default) for p in inspect.signature(f).parameters.values()]

    for name, f in expected.items():
        assert kinds(found[name]) == kinds(f), name
    assert isinstance(cls.name, str)
    assert cls is CupyBackend or cls.xp is not None  # CuPy's comes with CuPy


def test_what_a_backend_gives(backend):
    a = backend.asarray([1.0, 2.0], np.float32)
    assert a.dtype == np.float32 and type(a) is backend.xp.ndarray
    assert backend.asarray(a) is a
    assert backend.asarray(a, np.float64).dtype == np.float64
    host = backend.to_numpy(a)
    assert type(host) is np.ndarray and host.tolist() == [1, 2]
    assert namespace(a) is backend.xp and backend_of(a) is backend
    assert backend.xp.__name__ if backend is not STRICT else True
    backend.synchronize()
    assert backend.name in backend.describe()


def test_generators(backend):
    def draw(seed):
        generator = backend.generator(seed)
        parts = [
            generator.standard_normal((5,), dtype=np.float32),
            generator.random((5,), dtype=np.float32),
            generator.integers(0, 1000, size=(5,)),
        ]
        assert [p.dtype for p in parts[:2]] == [np.float32] * 2
        return [backend.to_numpy(p).tolist() for p in parts]

    assert draw((1, 2)) == draw((1, 2))
    assert draw(7) == draw(7)
    others = [draw(seed) for seed in (7, 8, (7, 0), (7, 1), (8, 0), (1, 7))]
    for k in range(3):  # no two seeds share a stream
        assert len({str(other[k]) for other in others}) == len(others)


def test_the_moments_of_the_generators(backend):
    generator = backend.generator((0, 0))
    z = backend.to_numpy(generator.standard_normal((40_000,), dtype=np.float32))
    u = backend.to_numpy(generator.random((40_000,), dtype=np.float32))
    # Five standard errors of a mean: sqrt(1 / 40000) and sqrt(1 / 12 / 40000).
    assert abs(z.mean()) < 0.025 and abs(z.std() - 1) < 0.02
    assert abs(u.mean() - 0.5) < 0.0075 and u.min() >= 0 and u.max() < 1


# Who computes what.


def test_namespace_and_backend_of():
    numpy = get_backend("numpy")
    for x in (np.ones(2), np.float32(1), 1, 1.0, True):
        assert namespace(x) is np and backend_of(x) is numpy
    assert namespace(STRICT.asarray(1.0)) is XP
    for x in ("text", [1.0], None, object(), tg.Tensor(1.0)):
        with pytest.raises(
            TypeError, match=f"expected an array or a number, got {type(x).__name__}"
        ):
            namespace(x)


@pytest.mark.parametrize(
    "kind",
    [np.ma.MaskedArray, np.matrix, np.recarray],
)
def test_arrays_that_compute_otherwise_are_refused(kind):
    """The product of two matrices is another one, and the mean of a masked array has a mask."""
    x = np.ones((2, 2)).view(kind)
    for ask in (namespace, backend_of, tg.Tensor, tg.exp):
        with pytest.raises(TypeError, match=f"expected a plain array, got {type(x).__name__}"):
            ask(x)


def test_a_file_in_place_of_memory_is_an_array(tmp_path):
    x = np.memmap(tmp_path / "x", np.float32, "w+", shape=(2,))
    assert namespace(x) is np and backend_of(x) is get_backend("numpy")


def test_an_unknown_backend():
    with pytest.raises(InputError, match="unknown backend 'torch'; choose one of numpy, cupy"):
        get_backend("torch")
    assert NAMES == ("numpy", "cupy")
    assert get_backend("numpy") is get_backend("numpy")


@pytest.fixture
def fresh_connection():
    cupy_backend.connect.cache_clear()
    yield
    cupy_backend.connect.cache_clear()


def refusal():
    with pytest.raises(InputError) as caught:
        get_backend("cupy")
    message = str(caught.value)
    assert "\n" not in message and message.startswith("the cupy backend needs ")
    assert "backend 'numpy'" in message  # what to do instead
    return message


def test_cupy_is_not_installed(monkeypatch, fresh_connection):
    monkeypatch.setitem(sys.modules, "cupy", None)  # makes `import cupy` raise ImportError
    message = refusal()
    assert 'needs CuPy; install it with pip install "cupy-cuda12x[ctk]>=14.1"' in message
    assert "import of cupy halted" in message


def test_cupy_does_not_fit_the_numpy_that_is_there(monkeypatch, tmp_path, fresh_connection):
    (tmp_path / "cupy.py").write_text("import numpy\nnumpy.gone_since_then")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    assert "needs CuPy; " in (message := refusal()) and "no attribute 'gone_since" in message


def fake_cupy(monkeypatch, fails_at="", error=None, version="14.2.0", cuda=12090):
    """A module that computes as CuPy does until `fails_at`, one of draw, product, kernel, wait."""

    def at(step):
        if step == fails_at:
            raise error

    class Array(np.ndarray):
        def __matmul__(self, other):
            at("product")
            return self

        def sum(self):
            return self

        def __float__(self):
            at("wait")
            return 0.0

    def exp(x):
        at("kernel")
        return x

    cupy = types.ModuleType("cupy")
    cupy.__version__, cupy.ndarray, cupy.float32, cupy.exp = version, Array, np.float32, exp
    cupy.empty = lambda size, dtype: np.zeros(size, dtype).view(Array)
    cupy.ElementwiseKernel = lambda *_, **__: lambda *_: at("draw")
    cupy.used = []
    runtime = types.SimpleNamespace(runtimeGetVersion=lambda: cuda, getDeviceCount=lambda: 2)
    device = lambda number: types.SimpleNamespace(use=lambda: cupy.used.append(number))  # noqa: E731
    cupy.cuda = types.SimpleNamespace(runtime=runtime, Device=device)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    return cupy


def an_error(kind, text):
    return type(kind, (RuntimeError,), {})(text)


# What CuPy 14.2 says; the first four were seen, the others are those of CUDA's own tables.
BROKEN = {
    "no NVRTC": (
        "kernel",
        an_error("DynamicLibNotFoundError", 'Failure finding "libnvrtc.so.12": No such file\n'),
        'needs CUDA\'s libraries and headers, .* pip install "cupy-cuda12x\\[ctk\\]>=14.1" does, '
        '.*\\(Failure finding "libnvrtc.so.12": No such file\\)',
    ),
    "no cuBLAS": (
        "product",
        ImportError("libcublasLt.so.12: cannot open shared object file: No such file"),
        r"needs CUDA's libraries and headers, .*\(libcublasLt.so.12: cannot open",
    ),
    "no driver, or an old one": (
        "draw",
        an_error("CUDARuntimeError", "cudaErrorInsufficientDriver: CUDA driver version is insuf"),
        r"needs an NVIDIA driver for CUDA 12: .* 525 .* 580; .*\(cudaErrorInsufficientDriver: CU",
    ),
    "no headers": (
        "kernel",
        RuntimeError("Failed to find CUDA headers. Please install CUDA toolkit headers"),
        r"needs CUDA's libraries and headers, .*\(Failed to find CUDA headers",
    ),
    "headers of another version": (
        "kernel",
        an_error("CompileException", "a.cu(5): error: identifier is undefined\n\n1 error"),
        r"needs CUDA's libraries and headers, .*\(a.cu\(5\): error: identifier is undefined\)",
    ),
    "no device": (
        "draw",
        an_error("CUDARuntimeError", "cudaErrorNoDevice: no CUDA-capable device is detected"),
        "needs a GPU: CuPy is installed, but finds no CUDA device; `nvidia-smi -L`",
    ),
    "busy": (
        "draw",
        an_error("CUDARuntimeError", "cudaErrorDevicesUnavailable: CUDA-capable device(s) is/are"),
        "needs a GPU that it may use: .* `sudo nvidia-smi -c DEFAULT`",
    ),
    "another GPU": (
        "kernel",
        an_error("CUDARuntimeError", "cudaErrorNoKernelImageForDevice: no kernel image is avail"),
        r"needs a CuPy that knows this GPU; .*cupy-cuda13x\[ctk\]",
    ),
    "another GPU, seen by the driver": (
        "kernel",
        an_error("CUDADriverError", "CUDA_ERROR_NO_BINARY_FOR_GPU: no kernel image is available"),
        "needs a CuPy that knows this GPU",
    ),
    "a GPU that NVRTC does not know": (
        "kernel",
        an_error("CompileException", "nvrtc: error: invalid value for --gpu-architecture (-arch)"),
        "needs a CuPy that knows this GPU",
    ),
    "no memory": (
        "draw",
        an_error("OutOfMemoryError", "Out of memory allocating 512 bytes (allocated so far: 0"),
        r"needs free memory on the GPU; `nvidia-smi` lists .*\(Out of memory allocating 512 bytes",
    ),
    "no memory for cuBLAS": (
        "product",
        an_error("CUBLASError", "CUBLAS_STATUS_NOT_INITIALIZED"),
        "needs free memory on the GPU",
    ),
    "something else": (
        "wait",
        an_error("CUDARuntimeError", "cudaErrorECCUncorrectable: uncorrectable ECC error encount"),
        r"needs a GPU that computes, .*show_config\(\).*\(cudaErrorECCUncorrectable: uncorrectable",
    ),
    "without a word": ("wait", AssertionError(), r"needs a GPU that computes, .* backend 'numpy'$"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_cupy_is_there_and_does_not_work(case, monkeypatch, fresh_connection):
    """One sentence each, which says how to mend it and has the first line of CuPy's message."""
    step, error, expected = BROKEN[case]
    fake_cupy(monkeypatch, step, error)
    assert re.search(expected, refusal())


def test_the_cuda_that_is_asked_for_is_that_of_the_cupy_at_hand(monkeypatch, fresh_connection):
    fake_cupy(monkeypatch, "product", ImportError("libcublas.so.13"), cuda=13020)
    assert 'pip install "cupy-cuda13x[ctk]>=14.1" does' in refusal()


def test_what_cupy_explains_at_length_is_given_by_its_cause(monkeypatch, fresh_connection):
    """cupy/__init__.py frames the explanation of a failed import in lines of equals signs."""
    explained = ImportError("\n=======\nFailed to import CuPy.\n\nOriginal error: ...\n=======")
    explained.__cause__ = ImportError("libcuda.so.1: cannot open shared object file")
    fake_cupy(monkeypatch, "product", explained)
    assert refusal().endswith("(libcuda.so.1: cannot open shared object file)")


def test_an_old_cupy(monkeypatch, fresh_connection):
    fake_cupy(monkeypatch, version="13.6.0")
    assert "needs CuPy 14 or newer, got 13.6.0; pip install " in refusal()


@pytest.mark.parametrize("version", ["14.2.0", "15.0.0a1"])
def test_a_cupy_that_works(monkeypatch, fresh_connection, version):
    cupy = fake_cupy(monkeypatch, version=version)
    assert get_backend("cupy").xp is cupy and get_backend("cupy") is get_backend("cupy")


@pytest.mark.parametrize(("local_rank", "used"), [(None, []), (0, [0]), (1, [1]), (2, [0])])
def test_processes_on_a_machine_take_turns_at_its_gpus(
    local_rank, used, monkeypatch, fresh_connection
):
    """Two GPUs; `use` is that of cupy/cuda/device.pyx, and by default nothing is chosen."""
    cupy = fake_cupy(monkeypatch)
    get_backend("cupy", local_rank)
    assert cupy.used == used


def test_importing_tinygen_imports_nothing_heavy():
    """Neither a library that is slow to import nor one that may be missing."""
    code = (
        "import sys, tinygen, tinygen.backend.cupy_backend\n"
        "tinygen.models.Autoencoder().initialise(0)\n"
        "print([m for m in ('cupy', 'matplotlib', 'numba', 'pooch', 'tqdm') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Adam.


def textbook_adam(x, gradients, rate, beta1, beta2, epsilon, weight_decay):
    """Algorithm 1 of Kingma and Ba (2015), with decoupled decay, in Python numbers."""
    m = v = 0.0
    for t, g in enumerate(gradients, start=1):
        x = x - rate * weight_decay * x
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        x = x - rate * (m / (1 - beta1**t)) / ((v / (1 - beta2**t)) ** 0.5 + epsilon)
    return x


def adam_kernels():
    numpy = NumpyBackend()
    numpy._adam = adam_numpy
    yield pytest.param(numpy, id="numpy")
    yield pytest.param(STRICT, id="strict")
    yield pytest.param(
        CupyBackend(ON_THE_PROCESSOR),
        id="cupy's, compiled",
        marks=pytest.mark.skipif(not COMPILER, reason="there is no C compiler here"),
    )
    try:
        from tinygen.backend.numba_kernels import adam_numba
    except ImportError:
        yield pytest.param(
            None, id="numba", marks=pytest.mark.skip(reason="numba is not installed")
        )
    else:
        numba = NumpyBackend()
        numba._adam = adam_numba
        yield pytest.param(numba, id="numba")


@pytest.fixture(params=adam_kernels())
def kernel(request, monkeypatch):
    backend = request.param
    monkeypatch.setattr(tg.optim, "backend_of", lambda x: backend)
    return backend


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1, 7, 33, BLOCK + 5])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_adam_is_the_textbooks(kernel, dtype, size, weight_decay):
    random = np.random.default_rng(size)
    start = random.standard_normal(size).astype(dtype)
    # Gradients of many sizes: beside the smallest, it counts where epsilon stands.
    scales = 10.0 ** random.uniform(-9, 2, size)
    gradients = [(random.standard_normal(size) * scales).astype(dtype) for _ in range(5)]
    p = tg.Parameters({"x": (size,)}, kernel.asarray(start.copy()))
    optimizer = tg.AdamW(p, 0.8, 0.95, 1e-7, weight_decay=weight_decay)
    with count_syncs() as syncs, see_dtypes() as dtypes:
        for g in gradients:
            optimizer.update(p, p.like(kernel.asarray(g)), rate=0.01)
    assert syncs == [] and (dtype == np.float64 or np.dtype(np.float64) not in dtypes)
    found = kernel.to_numpy(p.flat)
    assert found.dtype == dtype
    tolerance = 2e-6 if dtype == np.float32 else 1e-13  # x is of the order 1, rounded five times
    for i in (*range(min(size, 40)), size - 1):
        expected = textbook_adam(
            float(start[i]), [float(g[i]) for g in gradients], 0.01, 0.8, 0.95, 1e-7, weight_decay
        )
        assert abs(found[i] - expected) < tolerance, i


def test_adams_first_step_has_the_size_of_the_rate(kernel):
    """Whatever the gradient's size: a property of the algorithm, from section 2.1 of the paper."""
    p = tg.Parameters({"x": (3,)}, kernel.asarray(np.zeros(3)))
    g = kernel.asarray(np.array([1e-3, -5.0, 1e4]))
    tg.Adam(p).update(p, p.like(g), rate=0.1)
    np.testing.assert_allclose(kernel.to_numpy(p.flat), [-0.1, 0.1, -0.1], rtol=2e-5)  # epsilon


def test_adam_keeps_a_nan(kernel):
    """A diverged run must be seen; and its neighbours go on."""
    p = tg.Parameters({"x": (3,)}, kernel.asarray(np.ones(3, np.float32)))
    g = kernel.asarray(np.array([1.0, np.nan, 1.0], np.float32))
    tg.Adam(p).update(p, p.like(g), rate=0.1)
    assert np.isnan(kernel.to_numpy(p.flat)).tolist() == [False, True, False]


def test_adam_writes_views_of_a_larger_vector(kernel):
    whole = kernel.asarray(np.ones(10))
    p = tg.Parameters({"x": (4,)}, whole[3:7])
    tg.Adam(p).update(p, p.like(kernel.asarray(np.ones(4))), rate=0.5)
    np.testing.assert_allclose(kernel.to_numpy(whole), [1] * 3 + [0.5] * 4 + [1] * 3)


# The strict backend itself.


@pytest.fixture
def a():
    return STRICT.asarray(np.array([[1.0, 2.0], [3.0, 4.0]], np.float32))


HOST = np.ones((2, 2), np.float32)


@pytest.mark.parametrize(
    "mix",
    [
        lambda a: a + HOST, lambda a: HOST + a, lambda a: HOST @ a, lambda a: a < HOST,
        lambda a: operator.eq(HOST, a), lambda a: a.__iadd__(HOST), lambda a: HOST.__iadd__(a),
        lambda a: XP.exp(HOST), lambda a: XP.add(a, HOST), lambda a: XP.where(a > 0, a, HOST),
        lambda a: XP.concatenate([a, HOST]), lambda a: XP.sum(HOST), lambda a: XP.exp(a, out=HOST),
        lambda a: XP.einsum("ij,ij->", a, HOST), lambda a: XP.copyto(a, HOST),
        lambda a: a.__setitem__(0, HOST[0]), lambda a: a[np.array([0])],
        lambda a: XP.add.at(a, STRICT.asarray(np.array([0])), HOST[:1]),
        np.exp, np.asarray, lambda a: np.concatenate([a, a]), lambda a: np.ones(2) * a.sum(),
        lambda a: HOST.__setitem__(0, a[0]), lambda a: np.array([a[0, 0], a[0, 1]]),
        lambda a: STRICT.adam(a, a, a, HOST, rate=1, beta1=0, beta2=0, epsilon=1, decay=0),
    ],
)  # fmt: skip
def test_host_and_device_do_not_mix(mix, a):
    with pytest.raises(TypeError):
        mix(a)


@pytest.mark.parametrize(
    ("name", "wait"),
    [
        ("float", lambda a: float(a.sum())), ("int", lambda a: int(a.sum())),
        ("bool", lambda a: bool(a.sum())), ("bool", lambda a: (a > 0).all() and 1),
        ("item", lambda a: a.sum().item()), ("tolist", lambda a: a.tolist()),
        ("get", lambda a: a.get()), ("get", STRICT.to_numpy), ("bool", lambda a: 1.0 in a[0]),
        ("boolean mask", lambda a: a[a > 1]), ("boolean mask", lambda a: a.__setitem__(a > 1, 0)),
        ("repr", repr), ("repr", str), ("bool", lambda a: a.copy().fill(a.sum())),
        ("format", lambda a: f"{a.sum():.3f}"), ("nonzero", XP.nonzero), ("unique", XP.unique),
        ("synchronize", lambda a: STRICT.synchronize()),
    ],
)  # fmt: skip
def test_what_waits_is_counted(name, wait, a):
    with count_syncs() as outer, count_syncs() as syncs:
        wait(a)
    assert name in syncs and outer == syncs
    with count_syncs() as nothing:
        pass
    wait(a)
    assert nothing == []


def test_what_does_not_wait(a):
    with count_syncs() as syncs, see_dtypes() as dtypes:
        i = STRICT.asarray(np.array([0, 1]))
        y = a * 2.0 + a.sum() / a.max(axis=0) - XP.sqrt(a) @ a.T
        y[0, :] = a[i, i]
        y += 1
        XP.matmul(a, a, out=y)
        XP.copyto(y, a, where=a > 2)
        assert len(a) == 2 and a.shape == (2, 2) and a.size == 4 and a.nbytes == 16
    assert syncs == []
    assert list(dtypes) == [np.dtype(t) for t in (np.int64, np.float32, bool)]


def test_numbers_stay_on_the_device(a):
    for y in (
        a.sum(),
        a.mean(),
        a.max(),
        XP.min(a),
        a[0, 1],
        a.all(),
        XP.exp(a.sum()),
        a[0] @ a[0],
    ):
        assert type(y) is StrictArray and y.shape == ()
    view = a[0, 1]
    view += 10
    assert a.tolist()[0][1] == 12


@pytest.mark.parametrize("axis", [0, -1, (0,)])
def test_a_number_has_no_axis(axis):
    """NumPy takes axes 0 and -1 of a 0-d array, CuPy does not."""
    x = STRICT.asarray(np.float32(3))
    for name in ("sum", "mean", "max", "min", "prod", "all", "any", "std", "var", "cumsum"):
        with pytest.raises(np.exceptions.AxisError, match="out of bounds for array of dimension 0"):
            getattr(XP, name)(x, axis=axis)
        with pytest.raises(np.exceptions.AxisError):
            getattr(x, name)(axis)
    assert x.sum(axis=None).tolist() == x.sum(axis=()).tolist() == 3


def test_nep_50(a):
    assert (a * 2.0).dtype == (a * True).dtype == np.float32
    assert (a * np.float64(2)).dtype == (np.float64(2) * a).dtype == np.float64
    assert (a * STRICT.asarray(np.float64(2))).dtype == np.float64


def test_views_share_memory_and_copies_do_not():
    host = np.arange(6.0)
    a = STRICT.asarray(host)
    host[:] = -1  # the device has its own memory
    for view in (a[1:], a[::-1], a.reshape(2, 3), a.reshape(2, 3).T, a[None], a[...]):
        before = a.get().sum()
        view += 1
        assert a.get().sum() == before + view.size
    before = a.get()
    for other in (a.copy(), a.astype(np.float64), a.flatten(), XP.array(a), a[[0, 1]], a + 0):
        other += 1
    got = a.get()
    got += 1
    assert a.tolist() == before.tolist()


def test_indices_out_of_range_wrap_silently(a):
    i = STRICT.asarray(np.array([2, -3, 5]))
    assert a[i].tolist() == [[1, 2], [3, 4], [3, 4]]
    assert a[:, i].tolist() == [[1, 2, 2], [3, 4, 4]]
    assert a.take(i, axis=0).tolist() == [[1, 2], [3, 4], [3, 4]]
    a[i[:1]] = 9.0
    assert a.tolist() == [[9, 9], [3, 4]]
    XP.add.at(a, i[:1], 1.0)
    assert a.tolist() == [[10, 10], [3, 4]]
    with pytest.raises(IndexError):
        a[2]  # a Python number is looked at, as in CuPy


def test_of_values_for_one_place_any_may_stay():
    a = STRICT.asarray(np.zeros(3))
    i = STRICT.asarray(np.array([1, 1, 2]))
    a[i] = STRICT.asarray(np.array([5.0, 6.0, 7.0]))
    assert a.tolist() == [0, 5, 7]  # NumPy would keep the 6, and code must not rely on it
    a = STRICT.asarray(np.zeros(3))
    XP.add.at(a, i, STRICT.asarray(np.array([5.0, 6.0, 7.0])))
    assert a.tolist() == [0, 11, 7]
    with pytest.raises(TypeError, match=r"cupy\.add\.at only supports"):
        XP.add.at(a.astype(np.int8), i, 1)
    b = STRICT.asarray(np.zeros((2, 3))).T
    b[STRICT.asarray(np.array([0, 2]))] = 1.0
    assert b.tolist() == [[1, 1], [0, 0], [1, 1]]


def test_what_cupy_lacks_is_absent(a):
    for name in ("median", "from_dlpack", "vectorize", "errstate", "nditer"):
        with pytest.raises(AttributeError, match="not among the functions of CuPy"):
            getattr(XP, name)
    for name in ("normal", "permutation", "shuffle", "choice", "uniform"):
        assert not hasattr(STRICT.generator(0), name)
    for call in (
        lambda: XP.exp(a, where=a > 0),
        lambda: XP.max(a, initial=0),
        lambda: XP.sum(a, where=a > 0),
    ):
        with pytest.raises(TypeError, match="unexpected keyword argument"):
            call()
    with pytest.raises(ValueError, match="Unsupported dtype"):
        STRICT.asarray(np.array(["text"]))
    with pytest.raises(AttributeError):
        XP.where(True, a, a)  # CuPy asks the condition for its astype
    n = XP.argmax(a)
    for use in (lambda: [5, 6, 7, 8][n], lambda: range(n), lambda: a[:n], lambda: HOST[n]):
        with pytest.raises(TypeError):  # its arrays have no __index__; int(n) waits
            use()


def test_a_broadcast_view_may_be_written_and_a_product_is_never_in_place(a):
    before = x = XP.ones((2, 2), np.float32)
    y = XP.broadcast_to(x[:1], (3, 2))
    y[2] = 5.0
    assert y.tolist() == [[5, 5]] * 3 and x.tolist() == [[5, 5], [1, 1]]
    x @= a
    assert x is not before and before.tolist() == [[5, 5], [1, 1]]


def test_the_strict_generator_has_what_the_one_on_the_gpu_has():
    assert public(type(STRICT.generator(0))).keys() == public(PhiloxGenerator).keys()


def test_what_the_strict_namespace_has_cupy_has():
    """CuPy can be imported where there is no GPU, and asked what its functions take."""
    cupy = pytest.importorskip("cupy")
    for name, keywords in {**KEYWORDS, **SYNCING}.items():
        function = getattr(cupy, name)
        if isinstance(function, cupy.ufunc):
            continue
        parameters = inspect.signature(function).parameters
        assert "kwargs" in parameters or {*keywords.split()} <= {*parameters}, name
    ours = {"_a", "__slots__", "__weakref__", "__contains__"}  # CuPy looks for x by iterating
    for name in {*dir(StrictArray)} - ours:
        assert hasattr(cupy.ndarray, name), name
    for name in dir(XP):
        assert name.startswith("_") or hasattr(cupy, name), name
