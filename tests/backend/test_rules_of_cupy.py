"""What the strict backend claims of CuPy, asked of both: a card tells whether a rule is true.

Where there is a GPU, `python -m pytest -m gpu tests/backend` is the short check, and
`python -m pytest -m gpu` runs every test that takes a backend on CuPy as well.

Each rule says from where in the sources of CuPy 14.2 it is; file names are those in cupy/, and
those that begin with an underscore are in cupy/_core/.
"""

from __future__ import annotations

import copy
import operator
import pickle

import numpy as np
import pytest
from strict import STRICT

import tinygen as tg
from tinygen.backend.writes import WRITES


@pytest.fixture(params=["strict", pytest.param("cupy", marks=pytest.mark.gpu)])
def device(request):
    return STRICT if request.param == "strict" else request.getfixturevalue("gpu")


HOST = np.arange(6, dtype=np.float32).reshape(2, 3)
OPERATORS = (operator.add, operator.sub, operator.mul, operator.truediv, operator.pow)


@pytest.mark.parametrize(
    "mix",
    [
        lambda a, xp: a + HOST, lambda a, xp: HOST + a, lambda a, xp: HOST @ a.T,
        lambda a, xp: a.__iadd__(HOST), lambda a, xp: xp.exp(HOST), lambda a, xp: np.asarray(a),
        lambda a, xp: xp.where(a > 0, a, HOST), lambda a, xp: xp.concatenate([a, HOST]),
        lambda a, xp: xp.exp(a, where=a > 0), lambda a, xp: xp.sum(a, where=a > 0),
        lambda a, xp: xp.max(a, initial=0), lambda a, xp: HOST.__setitem__(0, a[0]),
    ],
)  # fmt: skip
def test_host_and_device_do_not_mix(device, mix):
    """``ndarray.__array__`` in core.pyx refuses; `CScalar`, in _scalar.pyx, all but numbers.

    What keywords there are: `ufunc.__call__` in _kernel.pyx, `sum` in _math/sumprod.py.
    """
    with pytest.raises(TypeError):
        mix(device.asarray(HOST), device.xp)


@pytest.mark.parametrize("axis", [0, -1, (0,)])
def test_a_number_has_no_axis(device, axis):
    """`_get_axis` in _reduction.pyx, for which no axis of 0 dimensions exists."""
    x = device.asarray(np.float32(3))
    for name in ("sum", "mean", "max", "min", "prod", "all", "any", "argmax"):
        with pytest.raises(np.exceptions.AxisError):
            getattr(device.xp, name)(x, axis=axis)
    assert float(x.sum(axis=None)) == float(x.sum(axis=())) == 3


def test_results_stay_on_the_device(device):
    """`_call` in _reduction.pyx gives arrays, `_view_getitem` in _routines_indexing.pyx views.

    ``ndarray`` in core.pyx has `__int__`, which waits, and no `__index__`.
    """
    a = device.asarray(HOST)
    for y in (a.sum(), a.max(), a[0, 1], a[0] @ a[0], (a > 2).all(), a.argmax()):
        assert type(y) is device.xp.ndarray and y.shape == ()
    n = a.argmax()
    for use in (lambda: [0][n], lambda: range(n), lambda: a[:n], lambda: operator.index(n)):
        with pytest.raises(TypeError):
            use()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64])
def test_dtypes_are_those_of_numpy_2(device, dtype):
    """`_guess_routine_from_in_types` in _kernel.pyx: Python's numbers are weak, NumPy's are not."""

    def results(backend):
        x = backend.asarray(HOST.astype(dtype))
        with np.errstate(all="ignore"):
            for z in (3, 3.0, True, np.float32(3), np.float64(3), np.int64(3)):
                yield from (op(x, z) for op in OPERATORS)
                yield z * x
            yield from (x.sum(), x.mean(), x.max(), x.std(), x.argmax(), x.cumsum(), x == x, -x)
            yield from (backend.xp.exp(x), backend.xp.maximum(x, 0), backend.xp.sqrt(x), x @ x.T)
            yield from (backend.xp.where(x > 0, x, 0), backend.xp.einsum("ij->j", x), x**2, x**0.5)

    for k, (y, expected) in enumerate(
        zip(results(device), results(tg.get_backend("numpy")), strict=True)
    ):
        assert y.dtype == expected.dtype, k


def test_indices(device):
    """`_view_getitem` and the kernels of `take` and `scatter` in _routines_indexing.pyx.

    What may be added there: `_scatter_op_single` in the same file.
    """
    a, i = device.asarray(HOST), device.asarray(np.array([1, 2, -3, 5]))
    assert device.to_numpy(a[i]).tolist() == HOST[[1, 0, 1, 1]].tolist()
    for index in ((0,), (0, 1), (slice(None), 1), (None, ..., 0), (slice(None, None, -1),)):
        view = a[index]
        view += 10
        expected = device.to_numpy(a)[index]
        assert device.to_numpy(view).tolist() == expected.tolist()
    device.xp.add.at(a, i, device.asarray(np.float32(1)))
    device.xp.add.at(a.astype(np.int64), i, 1)
    with pytest.raises(TypeError, match=r"add\.at only supports"):
        device.xp.add.at(a.astype(np.int8), i, 1)
    with pytest.raises(IndexError):
        a[2]


def test_a_broadcast_view_may_be_written_and_a_product_is_never_in_place(device):
    """`broadcast_to` in _routines_manipulation.pyx; core.pyx has no `__imatmul__`."""
    before = x = device.asarray(np.ones((2, 2), np.float32))
    y = device.xp.broadcast_to(x[:1], (3, 2))
    y[2] = 5.0
    assert y.tolist() == [[5, 5]] * 3 and x.tolist() == [[5, 5], [1, 1]]
    x @= x
    assert x is not before and before.tolist() == [[5, 5], [1, 1]]


@pytest.mark.parametrize("f", [*OPERATORS, operator.lt, operator.ge])
def test_arrays_leave_tensors_to_tensors(device, f):
    """`_should_use_rop` and ``ndarray.__array_ufunc__`` in core.pyx decline unknown types."""
    a = device.asarray(HOST + 1)
    x = tg.Tensor(a, requires_grad=True)
    y, z = f(a, x), f(x, a)
    expected = tg.Tensor if f in OPERATORS else device.xp.ndarray
    assert type(y) is type(z) is expected
    for each in (y, z):
        values = device.to_numpy(getattr(each, "array", each))
        np.testing.assert_allclose(values, f(HOST + 1, HOST + 1), rtol=1e-6)
    assert type(a @ tg.Tensor(a.T)) is tg.Tensor
    with pytest.raises(TypeError):
        a += x


def test_tensors_are_copied_and_pickled(device):
    """``ndarray.__deepcopy__`` and `__reduce__` in core.pyx."""
    x = tg.Tensor(device.asarray(HOST), requires_grad=True)
    for y in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        (y * y).sum().backward()
        assert y.grad.tolist() == (2 * HOST).tolist() and x.grad is None


def test_generators_have_no_more_methods_than_these(device):
    """`Generator` in random/_generator_api.pyx."""
    generator = device.generator((1, 2))
    for name in ("normal", "permutation", "shuffle", "choice"):
        assert not hasattr(generator, name)
    for draw in (generator.standard_normal, generator.random):
        y = draw((3, 2), dtype=np.float32)
        assert type(y) is device.xp.ndarray and y.shape == (3, 2) and y.dtype == np.float32
    assert generator.integers(0, 5, size=(4,)).dtype == np.int64


def test_what_waits_for_nothing(device):
    """Views, and what is known without the device.

    Attributes and `_astype` in core.pyx, `_reshape` and `_T` in _routines_manipulation.pyx,
    `may_share_bounds` in _memory_range.pyx.
    """
    a = device.asarray(HOST)
    assert a.T.strides == (4, 12) and a.reshape(3, -1).shape == (3, 2) and a[None].ndim == 3
    assert device.address(a[1]) - device.address(a) == 12
    assert device.xp.may_share_memory(a, a[1:]) and not device.xp.may_share_memory(a, a + 0)
    assert a.astype(np.float32, copy=False) is a


def test_one_number_is_read_without_saying_where(device):
    """``ndarray.item`` in core.pyx takes no index, and refuses arrays of more than one number."""
    a = device.asarray(HOST)
    assert a[0, 1].item() == a[:1, 1:2].item() == 1
    with pytest.raises(TypeError):
        a.item(0, 1)
    with pytest.raises(ValueError, match=r"can only convert an array of size 1"):
        a.item()


def test_a_list_is_no_value_to_store(device):
    """`_scatter_op` in _routines_indexing.pyx fills with what is no array of the device."""
    a = device.asarray(HOST)
    for index in (0, ..., (slice(None), slice(0, 3))):
        with pytest.raises(ValueError, match="non-scalar"):
            a[index] = [1.0, 2.0, 3.0]
    a[0] = 7
    assert a.tolist() == [[7, 7, 7], [3, 4, 5]]


def test_a_copy_that_is_needed_is_not_made_in_secret(device):
    """`_astype` in core.pyx, to which `_array_from_cupy_ndarray` hands `copy` on."""
    a = device.asarray(HOST)
    assert device.xp.array(a, copy=False) is device.xp.asarray(a) is a
    assert device.xp.array(a) is not a
    with pytest.raises(ValueError, match="Unable to avoid copy"):
        device.xp.array(a, dtype=np.float64, copy=False)
    assert device.xp.asarray(a, np.float64).dtype == np.float64


def test_views_know_the_array_whose_memory_they_have(device):
    """`_view` in core.pyx: the first array of all, not the view of which this one is a view."""
    a, xp = device.asarray(HOST), device.xp
    views = (
        *(a[1:], a[1:][:, ::2], a.T, a.T[0], a.reshape(3, 2), a[None], a.ravel(), a[..., 0]),
        *(a.swapaxes(0, 1), a.transpose(1, 0), xp.broadcast_to(a, (4, 2, 3)), xp.flip(a, 0)),
        *(xp.split(a, [1])[1], xp.squeeze(a[:1]), xp.expand_dims(a, 0)),
    )
    for k, view in enumerate(views):
        assert view.base is a, k
    for k, other in enumerate((a, a + 1, a.copy(), a.T.reshape(-1), a.flatten(), a.sum(), -a)):
        assert other.base is None, k


def test_a_write_into_memory_is_forgotten_with_the_memory(device):
    """It ends with its last view, as each view holds its ``base``: `_view` in core.pyx."""
    a = device.asarray(HOST)
    view, before = a[1:], WRITES.latest
    WRITES.note(view)
    del a
    assert WRITES.any_since(before, view[:, :1])
    count = len(WRITES._last)
    del view
    assert len(WRITES._last) == count - 1


def test_rows_are_gone_through_without_waiting(device):
    """``ndarray.__iter__`` in core.pyx gives views; a number has no rows."""
    a = device.asarray(HOST)
    for k, row in enumerate(a):
        assert row.base is a and row.tolist() == HOST[k].tolist()
    with pytest.raises(TypeError):
        iter(a[0, 0])
    with pytest.raises(TypeError):
        len(a[0, 0])


def test_functions_of_arrays_take_no_plain_numbers(device):
    """`sum` in _math/sumprod.py, `amax` in _statistics/order.py, and so on call a method of it.

    Those that are ufuncs do take numbers: `_preprocess_args` in _kernel.pyx.
    """
    for name in ("sum", "mean", "max", "min", "prod", "argmax", "std", "cumsum"):
        with pytest.raises((TypeError, AttributeError)):
            getattr(device.xp, name)(3.0)
    assert type(device.xp.exp(0.0)) is device.xp.ndarray


def test_the_smallest_float32_are_0_to_a_kernel(device):
    """`_compile_with_cache_cuda` in cuda/compiler.py passes -ftz=true to the compiler.

    It is about arithmetic with float32 alone: copies keep them, and float64 has smaller ones.
    """
    xp, tiny = device.xp, np.array([1e-39, -1e-39, 1e-38 * 2], np.float32)
    x = device.asarray(tiny)
    assert device.to_numpy(x).tolist() == device.to_numpy(x.copy()).tolist() == tiny.tolist()
    assert (x * 1).tolist() == [0, 0, tiny[2]] and (x + x).tolist() == [0, 0, 2 * tiny[2]]
    assert xp.exp(device.asarray(np.float32(-100))).item() == 0  # 3.8e-44
    assert (x > 0).tolist() == [False, False, True]
    assert (device.asarray(np.array([1e-39])) * 1).item() == 1e-39


def test_what_overlaps_the_output_is_read_before_it_is_written(device):
    """`_copy_in_args_if_needed` in _kernel.pyx copies it; helpers/launches.py counts the copy.

    ``dot`` of a matrix into itself: `tensordot_core` in _routines_linalg.pyx.
    """
    x = device.asarray(np.arange(4, dtype=np.float32))
    x[1:] += x[:-1]
    assert x.tolist() == [0, 1, 3, 5]
    y = device.asarray(np.arange(9, dtype=np.float32).reshape(3, 3))
    y += y.T
    assert y.tolist() == [[0, 4, 8], [4, 8, 12], [8, 12, 16]]
    z = device.asarray(np.array([[0, 1], [1, 0]], np.float32))
    device.xp.matmul(z, z, out=z)
    assert z.tolist() == [[1, 0], [0, 1]]
