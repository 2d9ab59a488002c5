"""What the strict backend claims of CuPy, asked of both: a card tells whether a rule is true.

Where there is a GPU, `python -m pytest -m gpu tests/backend` is the short check, and
`python -m pytest -m gpu` runs every test that takes a backend on CuPy as well.
"""

from __future__ import annotations

import copy
import operator
import pickle

import numpy as np
import pytest
from strict import STRICT

import tinygen as tg


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
    with pytest.raises(TypeError):
        mix(device.asarray(HOST), device.xp)


@pytest.mark.parametrize("axis", [0, -1, (0,)])
def test_a_number_has_no_axis(device, axis):
    x = device.asarray(np.float32(3))
    for name in ("sum", "mean", "max", "min", "prod", "all", "any", "argmax"):
        with pytest.raises(np.exceptions.AxisError):
            getattr(device.xp, name)(x, axis=axis)
    assert float(x.sum(axis=None)) == float(x.sum(axis=())) == 3


def test_results_stay_on_the_device(device):
    a = device.asarray(HOST)
    for y in (a.sum(), a.max(), a[0, 1], a[0] @ a[0], (a > 2).all(), a.argmax()):
        assert type(y) is device.xp.ndarray and y.shape == ()
    n = a.argmax()
    for use in (lambda: [0][n], lambda: range(n), lambda: a[:n]):
        with pytest.raises(TypeError):
            use()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64])
def test_dtypes_are_those_of_numpy_2(device, dtype):
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
    before = x = device.asarray(np.ones((2, 2), np.float32))
    y = device.xp.broadcast_to(x[:1], (3, 2))
    y[2] = 5.0
    assert y.tolist() == [[5, 5]] * 3 and x.tolist() == [[5, 5], [1, 1]]
    x @= x
    assert x is not before and before.tolist() == [[5, 5], [1, 1]]


@pytest.mark.parametrize("f", [*OPERATORS, operator.lt, operator.ge])
def test_arrays_leave_tensors_to_tensors(device, f):
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
    x = tg.Tensor(device.asarray(HOST), requires_grad=True)
    for y in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        (y * y).sum().backward()
        assert y.grad.tolist() == (2 * HOST).tolist() and x.grad is None


def test_generators_have_no_more_methods_than_these(device):
    generator = device.generator((1, 2))
    for name in ("normal", "permutation", "shuffle", "choice"):
        assert not hasattr(generator, name)
    for draw in (generator.standard_normal, generator.random):
        y = draw((3, 2), dtype=np.float32)
        assert type(y) is device.xp.ndarray and y.shape == (3, 2) and y.dtype == np.float32
    assert generator.integers(0, 5, size=(4,)).dtype == np.int64


def test_what_waits_for_nothing(device):
    """Views, and what is known without the device."""
    a = device.asarray(HOST)
    assert a.T.strides == (4, 12) and a.reshape(3, -1).shape == (3, 2) and a[None].ndim == 3
    assert device.address(a[1]) - device.address(a) == 12
    assert device.xp.may_share_memory(a, a[1:]) and not device.xp.may_share_memory(a, a + 0)
    assert a.astype(np.float32, copy=False) is a
