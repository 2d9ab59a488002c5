"""Fused functions: the same results as without, and nothing that CuPy could not fuse."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import cache
from types import FunctionType
from typing import Any

import numpy as np
import pytest
from strict import STRICT, Signature, see_fused

from tinygen import Adam, losses
from tinygen.autograd.engine import Tensor
from tinygen.autograd.registry import OPS
from tinygen.backend import register
from tinygen.backend.fused import fused
from tinygen.byhand import pieces
from tinygen.errors import InputError
from tinygen.models import GAN, VAE, Autoencoder
from tinygen.nn import layers
from tinygen.ops import activations
from tinygen.training import AdversarialLearner, SingleLossLearner, state


def is_fused(function: Any) -> bool:
    return getattr(function, "__code__", None) is fused(lambda x: x).__code__


def functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Those of the modules, and the forwards and partials of ops."""
    for module in (pieces, activations, losses, layers, state):
        for name, f in vars(module).items():
            if is_fused(f) and f.__module__ == module.__name__:
                yield f"{module.__name__.removeprefix('tinygen.')}.{name}", f
    for op in OPS.values():
        if is_fused(op.forward):
            yield f"ops.{op.name}", op.forward
        for i, partial in enumerate([] if op.variadic else op.partials):
            if is_fused(partial):
                yield f"ops.{op.name}, d{op.arguments[i]}", partial


FUSED = dict(functions())
BLOCKS = {"pixels": 20, "hidden": (6, 5), "latent": 3}
PLAYERS = {"pixels": 20, "latent": 3, "generator_hidden": (6, 5), "discriminator_hidden": (6,)}
MODELS = (
    Autoencoder(reconstruction="bce", weight_decay=0.1, dropout=0.1, **BLOCKS),
    VAE(activation="gelu", **BLOCKS),
    VAE(likelihood="gaussian", activation="tanh", **BLOCKS),
    VAE(objective="iwae", samples=2, activation="sigmoid", **BLOCKS),
    GAN(loss="r1", discriminator_activation="gelu", **PLAYERS),
    GAN(loss="wasserstein-gp", discriminator_activation="softplus", **PLAYERS),
    GAN(generator_norm="layer", discriminator_activation="maxout", **PLAYERS),
)


@cache
def signatures() -> dict[Callable[..., Any], set[Signature]]:
    """What two training steps of these models call fused functions with, both ways."""
    x = STRICT.asarray(np.random.default_rng(0).random((4, 20)).astype(np.float32))
    with see_fused() as found:
        for model in MODELS:
            for how in ("autograd", "by-hand"):
                try:
                    gradients = model.gradients(how)
                except InputError:  # not covered by hand
                    continue
                kind = AdversarialLearner if isinstance(model, GAN) else SingleLossLearner
                learner = kind(model, model.initialise(0, backend=STRICT), Adam, gradients)
                totals = state.State()
                for step in (0, 1):
                    figures = learner.step(learner.draw(x, STRICT.generator(step), step), 1e-3)
                    totals.add(figures, len(x))
    return found


NUMBERS = {"n": 3, "slope": 0.3, "factor": 0.7, "epsilon": 1e-5}
"""What is no array among the arguments, by their names."""


def arguments(function: Callable[..., Any], dtype: Any = np.float32) -> list[Any]:
    rng = np.random.default_rng(0)
    names = inspect.signature(function).parameters
    return [NUMBERS.get(name) or 0.1 + rng.random((4, 3)).astype(dtype) for name in names]


def every_arguments(function: Callable[..., Any], dtype: Any = np.float32) -> list[list[Any]]:
    """Those above; and of the shapes that models have, such as (n, 1), (o,) and ()."""
    rng = np.random.default_rng(0)
    of_models = [
        [
            np.asarray(0.1 + rng.random(kind[0])).astype(dtype) if isinstance(kind, tuple) else kind
            for kind in signature
        ]
        for signature in sorted(signatures().get(inspect.unwrap(function), ()), key=str)
    ]
    return [arguments(function, dtype), *of_models]


def as_tuple(y: Any) -> tuple[Any, ...]:
    return y if isinstance(y, tuple) else (y,)


def test_the_search_finds_them() -> None:
    assert {"byhand.pieces.gelu", "losses._kl", "ops.sigmoid", "ops.tanh, dx"} <= {*FUSED}
    assert len(FUSED) > 40


@pytest.mark.parametrize("name", FUSED)
def test_a_fused_function_is_the_plain_one_bit_for_bit(name: str) -> None:
    f = FUSED[name]
    cases = [(dtype, a) for dtype in (np.float32, np.float64) for a in every_arguments(f, dtype)]
    for dtype, given in cases:
        plain = as_tuple(inspect.unwrap(f)(*given))
        there = [STRICT.asarray(x) if isinstance(x, np.ndarray) else x for x in given]
        for y, here, expected in zip(as_tuple(f(*there)), as_tuple(f(*given)), plain, strict=True):
            assert y.dtype == here.dtype == dtype
            np.testing.assert_array_equal(here, expected)
            np.testing.assert_array_equal(y.get(), expected)


def test_models_have_other_shapes_than_one() -> None:
    """Numbers, vectors, columns and stacks; and most of the functions are in a step of theirs."""
    kinds = {kind for found in signatures().values() for s in found for kind in s}
    shapes = {kind[0] for kind in kinds if isinstance(kind, tuple)}
    assert {(), (6,), (4, 1), (4, 6)} <= shapes and {len(shape) for shape in shapes} == {0, 1, 2, 3}
    assert len({inspect.unwrap(f) for f in FUSED.values()} & {*signatures()}) > 25


@pytest.mark.parametrize("name", FUSED)
def test_cupy_can_fuse_it(name: str) -> None:
    """CuPy calls a function once with what stands for arrays, for which it needs no GPU."""
    cupy = pytest.importorskip("cupy")
    from cupy._core import _fusion_thread_local, fusion

    from tinygen.backend.cupy_backend import CupyBackend

    backend, f = CupyBackend(cupy), FUSED[name]
    register(cupy.ndarray, backend)
    nowhere = cupy.cuda.MemoryPointer(cupy.cuda.UnownedMemory(1, 1, None, 0), 0)
    for host in every_arguments(f):
        given = [
            cupy.ndarray(x.shape, x.dtype, nowhere) if isinstance(x, np.ndarray) else x
            for x in host
        ]
        history = fusion._FusionHistory()
        _fusion_thread_local.thread_local.history = history
        _fusion_thread_local.thread_local.is_old_fusing = True
        try:
            history.get_fusion(backend.fuse(inspect.unwrap(f)).func, given, "fused")
        finally:
            _fusion_thread_local.thread_local.history = None
            _fusion_thread_local.thread_local.is_old_fusing = False
        computed = {x.dtype for x in history.local_list if x.const_value is None}
        assert computed <= {np.dtype("f4"), np.dtype(bool)}


def test_a_fused_function_may_call_another() -> None:
    half = fused(lambda x: 0.5 * x)
    both = fused(lambda x, z: half(x) + half(z))
    x = STRICT.asarray(np.ones((2, 3), np.float32))
    assert both(x, 3.0).tolist() == both(np.ones((2, 3)), 3.0).tolist() == [[2.0] * 3] * 2


def test_with_a_tensor_among_its_arguments_each_op_is_recorded(backend: Any) -> None:
    a = backend.asarray(np.array([1.0, 2.0]))
    x = Tensor(backend.asarray(np.array([3.0, 4.0])), requires_grad=True)
    product = fused(lambda x, z: x * z + 1)
    for y in (product(x, a), product(a, x), product(x, 2.0)):
        assert type(y) is Tensor and y.requires_grad
    product(a, x).sum().backward()
    assert x.grad.tolist() == [1, 2]


def test_a_number_or_a_scalar_is_computed_as_ever() -> None:
    square = fused(lambda x: x * x)
    assert square(3.0) == square(np.float32(3)) == 9 and type(square(np.float32(3))) is np.float32


def in_place(x: Any) -> Any:
    x += 1
    return x


def on_the_host(x: Any) -> Any:
    return x * np.ones(3, np.float32)


@pytest.mark.parametrize(
    "wrong",
    [
        in_place, on_the_host, lambda x: x * len(x), lambda x: x.shape, lambda x: x.reshape(-1),
        lambda x: x[0], lambda x: x @ x, lambda x: x if x.sum() > 0 else -x, lambda x: abs(x),
        lambda x: float(x), lambda x: 1.0, lambda x: pieces.namespace(x).zeros_like(x),
        lambda x: pieces.namespace(x).sum(pieces.namespace(x).sum(x, axis=0), axis=0),
        lambda x: x - pieces.namespace(x).sum(x, axis=0),
        lambda x: pieces.namespace(x).sum(x, axis=0, keepdims=True),
        lambda x: pieces.namespace(x).add(x, 1, where=x > 0),
    ],
)  # fmt: skip
def test_what_cupy_could_not_fuse_is_refused(wrong: Any) -> None:
    x = STRICT.asarray(np.ones((2, 3), np.float32))
    with pytest.raises((TypeError, ValueError, AttributeError)):
        fused(wrong)(x)


def test_each_result_has_the_shape_of_all_arguments() -> None:
    """CuPy broadcasts all of them, and computes so many numbers."""
    x, b = (STRICT.asarray(np.ones(shape, np.float32)) for shape in ((2, 3), (3,)))
    assert fused(lambda x, b: x + b)(x, b).shape == (2, 3)
    with pytest.raises(ValueError, match=r"expected \(2, 3\), as of all arguments, got \(3,\)"):
        fused(lambda x, b: (x + b, b * b))(x, b)


def test_a_sum_is_its_end(backend: Any) -> None:
    x = backend.asarray(np.arange(6, dtype=np.float32).reshape(2, 3))
    f = fused(lambda x: 0.5 * pieces.namespace(x).sum(x * x, axis=-1))
    assert f(x).tolist() == [2.5, 25]


def test_the_sum_of_squares(backend: Any) -> None:
    x = backend.asarray(np.arange(6, dtype=np.float32).reshape(2, 3))
    y = backend.sum_of_squares(x.T)
    assert y.shape == () and y.dtype == np.float32 and float(y) == 55


def test_it_keeps_what_it_says_of_itself() -> None:
    assert isinstance(inspect.unwrap(pieces.elu), FunctionType)
    assert pieces.elu.__name__ == "elu" and "Clevert" in (pieces.elu.__doc__ or "")
