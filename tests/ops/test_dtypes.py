"""Which dtypes ops take: arithmetic is NumPy's, and functions of real numbers need floats."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygen as tg
from tinygen import ops

OF_FLOATS = [
    "elu", "exp", "expm1", "gelu", "leaky_relu", "log", "log1p", "log_softmax", "logsumexp", "relu",
    "sigmoid", "sin", "cos", "softmax", "softplus", "sqrt", "tanh", "erf", "lgamma", "norm",
]  # fmt: skip


@pytest.mark.parametrize("name", OF_FLOATS)
@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.bool_, np.complex64])
def test_integers_and_their_like_are_refused_where_floats_are_meant(
    backend: Any, name: str, kind: Any
) -> None:
    """In bytes -3 is 253, and exp(20) is computed in float16, where it is infinite."""
    f, x = getattr(ops, name), backend.asarray(np.array([[1, 0]], kind))
    sentence = rf"^{name}: x is \(1, 2\) {np.dtype(kind)}; expected floats, got {np.dtype(kind)}"
    for argument in (x,) if kind is np.complex64 else (x, tg.Tensor(x)):  # which refuses it, too
        with pytest.raises(TypeError, match=sentence) as error:
            f(argument)
        assert "astype" in str(error.value) and "\n" not in str(error.value)


def test_an_array_of_objects_is_refused() -> None:
    with pytest.raises(TypeError, match="expected floats, got object"):
        ops.relu(np.array([None, 1.0]))


@pytest.mark.parametrize("name", ["logaddexp"])
def test_both_arguments_are_looked_at(backend: Any, name: str) -> None:
    x, z = backend.asarray(np.ones(2)), backend.asarray(np.ones(2, np.uint8))
    for pair in ((x, z), (z, x), (1.0, z)):
        with pytest.raises(TypeError, match=f"{name}: .*expected floats, got uint8"):
            getattr(ops, name)(*pair)


def test_a_dense_layer_is_of_floats_in_all_its_arguments(backend: Any) -> None:
    x, W, b = (backend.asarray(np.ones(shape)) for shape in ((2, 3), (3, 4), (4,)))
    for k in range(3):
        arguments = [x, W, b]
        arguments[k] = arguments[k].astype(np.int32)
        with pytest.raises(TypeError, match=r"affine: .*expected floats, got int32"):
            ops.affine(*arguments)


def test_python_numbers_are_numbers_and_not_arrays_of_integers() -> None:
    assert float(ops.exp(1)) == pytest.approx(np.e, rel=1e-15)
    assert float(ops.sigmoid(0)) == 0.5 and float(ops.relu(-3)) == 0


def test_arithmetic_of_integers_is_numpys(backend: Any) -> None:
    """Indices and masks are computed with it; bytes wrap around, as they do in NumPy."""
    x, z = np.array([[7, 200]], np.uint8), np.array([[3, 100]], np.uint8)
    for f, expected in (
        (ops.add, x + z), (ops.subtract, x - z), (ops.multiply, x * z), (ops.divide, x / z),
        (ops.maximum, x), (ops.minimum, z),
    ):  # fmt: skip
        y = f(backend.asarray(x), backend.asarray(z))
        assert y.dtype == expected.dtype
        np.testing.assert_array_equal(backend.to_numpy(y), expected)
    for f, expected in ((ops.sum, 207), (ops.mean, 103.5), (ops.max, 200), (ops.linear, x)):
        np.testing.assert_array_equal(backend.to_numpy(f(backend.asarray(x))), expected)


@pytest.mark.parametrize("kind", [np.ma.MaskedArray, np.matrix])
def test_arrays_that_compute_otherwise_are_refused(kind: Any) -> None:
    """The product of two matrices is no product of elements, and a mask would be lost halfway."""
    x = np.array([[1.0, 2.0]]).view(kind)
    for call in (tg.Tensor, ops.relu, lambda x: tg.mse(x, x)):
        with pytest.raises(TypeError, match=f"expected a plain array, got {type(x).__name__}"):
            call(x)


@pytest.mark.parametrize("kind", [np.ma.MaskedArray, np.matrix])
def test_arithmetic_of_a_tensor_with_such_an_array_is_refused(kind: Any) -> None:
    """A Tensor of ones times a matrix of ones, 2 by 2, was 2."""
    x, z = tg.Tensor(np.ones((2, 2)), requires_grad=True), np.ones((2, 2)).view(kind)
    for f in (ops.multiply, ops.add, ops.maximum, ops.matmul, ops.concatenate):
        with pytest.raises(TypeError, match=rf"{f.__name__}: .*plain array, got {kind.__name__}"):
            f(x, z)


def test_an_array_in_a_file_is_an_array(tmp_path: Any) -> None:
    x = np.memmap(tmp_path / "x", np.float32, "w+", shape=(2,))
    x[...] = 3
    assert tg.Tensor(x).sum().item() == 6
