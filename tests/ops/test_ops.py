"""The op table: every op against a formula, finite differences and itself on other backends."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from strict import STRICT, count_syncs, see_dtypes

import tinygen as tg
from tinygen import OPS, Tensor, check_gradients, grad, ops
from tinygen.autograd.operators import raw
from tinygen.ops import einsum, getitem, matmul, scatter, stack, variance

random = np.random.default_rng(7)


def normal(*shape: int) -> Any:
    return random.standard_normal(shape)


def away(*shape: int) -> Any:
    """Numbers at least 0.3 away from zero, where some functions have a corner or a pole."""
    x = normal(*shape)
    return x + np.copysign(0.3, x)


def positive(*shape: int) -> Any:
    return 0.3 + random.random(shape)


def padded(x: Any) -> Any:
    """Images with a row of zeros above and one below, and a column on the right."""
    return np.pad(x, ((0, 0), (1, 1), (0, 1), (0, 0)))


def on(convert: Callable[..., Any], a: Any) -> Any:
    """An argument that is an array, converted; einsum's subscripts as they are."""
    return a if isinstance(a, str) else convert(a)


@dataclass
class Case:
    """One way to call an op.

    `expect` computes the same in plain float64 NumPy or with `math`, from the definition and not
    from the code; `order` is how often the op can be differentiated at these inputs; the first
    `fixed` arguments have no gradient, and may be text.
    """

    arguments: list[Any]
    expect: Callable[..., Any] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    order: int = 2
    fixed: int = 0

    def floats(self, dtype: Any) -> list[Any]:
        return [
            np.array(a, dtype) if np.asarray(a).dtype.kind == "f" else on(np.array, a)
            for a in self.arguments
        ]


def function(name: str) -> Callable[..., Any]:
    """An op, or a function of `tinygen.ops` that is put together from ops."""
    return getattr(ops, name) if hasattr(ops, name) else OPS[name]


def each(f: Callable[..., float]) -> Callable[..., Any]:
    """`f` on Python numbers, element by element."""
    return np.vectorize(f, otypes=[np.float64])


def unary(f: Callable[..., Any] | None, draw: Any = normal, order: int = 2, **options: Any) -> Any:
    """An op of one argument on a matrix and on a single number."""
    return [Case([draw(3, 4)], f, options, order), Case([draw()], f, options, order)]


def binary(f: Callable[..., Any], left: Any = normal, right: Any = normal, order: int = 2) -> Any:
    return [
        Case([left(2, 3), right(2, 3)], f, order=order),
        Case([left(2, 1), right(3)], f, order=order),
        Case([left(), right(2, 2)], f, order=order),
    ]


def softmax_by_definition(x: Any, axis: int) -> Any:
    e = np.exp(x)
    return e / e.sum(axis=axis, keepdims=True)


def bernoulli_by_definition(z: Any, t: Any) -> Any:
    p = 1 / (1 + np.exp(-z))
    return -(t * np.log(p) + (1 - t) * np.log(1 - p)).sum(axis=-1)


def gaussian_kl_by_quadrature(mean: Any, log_var: Any) -> Any:
    """The integral of q log(q / p) over a fine grid; for a smooth q the sum converges fast."""
    shape = (*np.shape(mean), 1)
    deviation = np.exp(np.reshape(log_var, shape) * 0.5)
    u = np.linspace(-9, 9, 201)
    z = np.reshape(mean, shape) + deviation * u
    log_ratio = 0.5 * (z * z - u * u) - np.log(deviation)
    return (np.exp(-0.5 * u * u) * log_ratio).sum(axis=-1) * (u[1] - u[0]) / math.sqrt(2 * math.pi)


def log_gamma_by_lanczos(x: float) -> float:
    """Lanczos's approximation with g = 7 and nine coefficients, good to 15 digits."""
    coefficients = (
        0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313,
        -176.61502916214059, 12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6,
        1.5056327351493116e-7,
    )  # fmt: skip
    series = coefficients[0] + sum(c / (x - 1 + i) for i, c in enumerate(coefficients[1:], 1))
    t = x + 6.5
    return 0.5 * math.log(2 * math.pi) + (x - 0.5) * math.log(t) - t + math.log(series)


def polygamma_by_quadrature(n: int) -> Callable[..., Any]:
    """The integral of ``t^n exp(-x t) / (1 - exp(-t))``; of order 0, Gauss's (DLMF 5.9.12)."""
    u = np.linspace(-4.5, 5.5, 4001)
    t = np.exp(u - np.exp(-u))  # doubly exponential at 0, where the sum of a grid converges fast
    dt = t * (1 + np.exp(-u)) * (u[1] - u[0])

    def at(x: float) -> float:
        tail = -np.exp(-x * t) / np.expm1(-t)
        integrand = np.exp(-t) / t - tail if n == 0 else (-1) ** (n + 1) * t**n * tail
        return (integrand * dt).sum()

    return each(at)


def erf_by_quadrature(x: float) -> float:
    nodes, weights = np.polynomial.legendre.leggauss(60)
    t = x * (nodes + 1) / 2
    return 2 / math.sqrt(math.pi) * x / 2 * (weights * np.exp(-t * t)).sum()


DISTINCT = random.permutation(24).reshape(2, 3, 4) / 5.0
TIED = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])
REDUCED = ({}, {"axis": 1}, {"axis": (0, -1)}, {"axis": -1, "keepdims": True})

CASES: dict[str, list[Case]] = {
    "add": binary(lambda x, z: x + z),
    "subtract": binary(lambda x, z: x - z),
    "multiply": binary(lambda x, z: x * z),
    "divide": binary(lambda x, z: x * z**-1, right=away),
    "power": binary(each(lambda x, z: math.exp(z * math.log(x))), left=positive),
    "negative": unary(lambda x: 0 - x),
    "absolute": unary(each(lambda x: math.sqrt(x * x)), away),
    "sign": unary(each(lambda x: math.copysign(1, x)), away),
    "exp": unary(each(math.exp)),
    "expm1": unary(each(math.expm1)),
    "log": unary(each(math.log), positive),
    "log1p": unary(each(math.log1p), positive),
    "sqrt": unary(each(math.sqrt), positive),
    "square": unary(each(lambda x: x**2)),
    "sin": unary(each(math.sin)),
    "cos": unary(each(math.cos)),
    "logaddexp": binary(each(lambda x, z: math.log(math.exp(x) + math.exp(z)))),
    "maximum": [Case([DISTINCT, DISTINCT[::-1, ::-1] + 0.1], each(max))],
    "minimum": [Case([DISTINCT, DISTINCT[::-1, ::-1] + 0.1], each(min))],
    "where": [
        Case(
            [normal(2, 3) > 0, normal(2, 3), normal(3)],
            each(lambda c, x, z: x if c else z),
            fixed=1,
        ),
        Case([normal(4) > 0, normal(), normal(2, 4)], each(lambda c, x, z: x if c else z), fixed=1),
    ],
    "astype": [],  # gives another dtype on purpose: test_astype
    "relu": unary(each(lambda x: x if x > 0 else 0), away),
    "leaky_relu": [
        *unary(each(lambda x: x if x > 0 else 0.01 * x), away),
        *unary(each(lambda x: x if x > 0 else 0.2 * x), away, slope=0.2),
    ],
    "elu": [
        *unary(each(lambda x: x if x > 0 else math.expm1(x)), away),
    ],
    "gelu": unary(
        each(lambda x: x / 2 * (1 + math.tanh((2 / math.pi) ** 0.5 * (x + 0.044715 * x**3))))
    )
    + unary(each(lambda x: x * math.erfc(-x / math.sqrt(2)) / 2), approximate=False),
    "erf": unary(each(erf_by_quadrature)),
    "lgamma": unary(each(log_gamma_by_lanczos), positive),
    "polygamma": [
        *(Case([positive(3)], polygamma_by_quadrature(n), {"order": n}) for n in (0, 1, 2, 3)),
        Case([20 * positive(3)], polygamma_by_quadrature(0), {"order": 0}),
    ],
    "clip": [
        Case([DISTINCT], lambda x: np.where(x < 1.1, 1.1, x), {"min": 1.1}),
        Case([DISTINCT], lambda x: np.where(x > 3.3, 3.3, x), {"max": 3.3}),
        Case(
            [DISTINCT, np.array([0.5, 1.1, 1.5, 0.1]), np.array(2.9)],
            lambda x, low, high: np.where(x < low, low, np.where(x > high, high, x)),
        ),
    ],
    "tanh": unary(each(math.tanh)),
    "sigmoid": unary(each(lambda x: (1 + math.tanh(x / 2)) / 2)),
    "softplus": unary(each(lambda x: math.log(1 + math.exp(x)))),
    "silu": unary(each(lambda x: x * (1 + math.tanh(x / 2)) / 2)),
    "linear": unary(lambda x: x),
    "softmax": [
        Case([normal(3, 4)], lambda x: softmax_by_definition(x, -1)),
        Case([normal(3, 2, 2)], lambda x: softmax_by_definition(x, 0), {"axis": 0}),
    ],
    "log_softmax": [
        Case([normal(3, 4)], lambda x: np.log(softmax_by_definition(x, -1))),
        Case([normal(3, 2, 2)], lambda x: np.log(softmax_by_definition(x, 0)), {"axis": 0}),
    ],
    "sum": [Case([normal(2, 3, 4)], lambda x, o=o: x.sum(**o), o) for o in REDUCED],
    "mean": [Case([normal(2, 3, 4)], lambda x, o=o: x.mean(**o), o) for o in REDUCED],
    "max": [Case([DISTINCT], lambda x, o=o: x.max(**o), o) for o in REDUCED],
    "min": [Case([DISTINCT], lambda x, o=o: x.min(**o), o) for o in REDUCED],
    "logsumexp": [
        Case([normal(2, 3, 4)], lambda x, o=o: np.log(np.exp(x).sum(**o)), o) for o in REDUCED
    ],
    "argmax": [],  # an integer: test_argmax
    "norm": [Case([normal(2, 3, 4)], lambda x, o=o: (x * x).sum(**o) ** 0.5, o) for o in REDUCED],
    "variance": [
        Case([normal(2, 3, 4)], lambda x, o=o: x.var(**o), o)
        for o in (*REDUCED, {"axis": 1, "ddof": 1}, {"ddof": 1.5})
    ],
    "std": [
        Case([normal(2, 3, 4)], lambda x, o=o: x.std(**o), o)
        for o in (*REDUCED, {"axis": 1, "ddof": 1}, {"ddof": 1.5})
    ],
    "cumsum": [
        Case([normal(2, 3)], lambda x: np.tril(np.ones((6, 6))) @ x.ravel()),
        Case([normal(2, 3)], lambda x: np.tril(np.ones((2, 2))) @ x, {"axis": 0}),
        Case([normal(2, 3)], lambda x: x @ np.triu(np.ones((3, 3))), {"axis": -1}),
    ],
    "squeeze": [
        Case([normal(1, 3, 1)], lambda x: x[0, :, 0]),
        Case([normal(1, 3, 1)], lambda x: x[:, :, 0], {"axis": -1}),
        Case([normal(1, 3, 1)], lambda x: x[0, :, 0], {"axis": (0, 2)}),
    ],
    "expand_dims": [
        Case([normal(2, 3)], lambda x: x[:, None], {"axis": 1}),
        Case([normal(2, 3)], lambda x: x[None, ..., None], {"axis": (0, -1)}),
    ],
    "pad": [
        Case(
            [normal(2, 3)],
            lambda x: np.vstack([np.zeros(4), np.hstack([np.zeros((2, 1)), x])]),
            {"widths": (1, 0)},
        ),
        Case(
            [normal(2, 3)],
            lambda x: np.vstack([x, np.full((2, 3), -1.0)]),
            {"widths": ((0, 2), (0, 0)), "value": -1.0},
        ),
        Case([normal(2)], lambda x: np.array([0, 0, *x, 0, 0]), {"widths": 2}),
    ],
    "split": [],  # gives a list: test_split
    "stack": [
        Case([normal(2, 3), normal(2, 3)], lambda x, z: np.array([x, z])),
        Case([normal(2), normal(2)], lambda x, z: np.array([x, z]).T, {"axis": -1}),
    ],
    "reshape": [
        Case([normal(2, 3)], lambda x: x.reshape(3, 2), {"shape": (3, 2)}),
        Case([normal(2, 3)], lambda x: x.ravel(), {"shape": (-1,)}),
    ],
    "broadcast_to": [
        Case([normal(2, 1)], lambda x: x + np.zeros((3, 2, 4)), {"shape": (3, 2, 4)}),
        Case([normal()], lambda x: x + np.zeros(3), {"shape": (3,)}),
    ],
    "transpose": [
        Case([normal(2, 3, 4)], lambda x: x.T),
        Case([normal(2, 3, 4)], lambda x: np.moveaxis(x, 1, 0), {"axes": (1, 0, 2)}),
        Case([normal(2, 3, 4)], lambda x: np.moveaxis(x, 0, -1), {"axes": (1, -1, 0)}),
    ],
    "swapaxes": [
        Case([normal(2, 3, 4)], lambda x: np.transpose(x, (2, 1, 0)), {"axis1": 0, "axis2": -1})
    ],
    "concatenate": [
        Case([normal(2, 3), normal(1, 3)], lambda *xs: np.vstack(xs)),
        Case([normal(2, 3), normal(2, 1), normal(2, 2)], lambda *xs: np.hstack(xs), {"axis": -1}),
        Case([normal(2, 3), normal(2)], lambda x, z: np.array([*x.flat, *z]), {"axis": None}),
    ],
    "getitem": [
        Case(
            [normal(4, 3)], lambda x: x[1:, ::2], {"index": (slice(1, None), slice(None, None, 2))}
        ),
        Case([normal(4, 3)], lambda x: np.stack([x[3], x[0], x[3]]), {"index": [3, 0, -1]}),
        Case([normal(4, 3)], lambda x: x[1][2], {"index": (1, -1)}),
    ],
    "scatter": [
        Case(
            [normal(3)],
            lambda x: np.array([x[1], 0, x[0] + x[2], 0]),
            {"index": np.array([2, 0, 2]), "shape": (4,)},
        ),
        Case(
            [normal(2)],
            lambda x: np.array([0, x[1], x[0]]),
            {"index": slice(2, 0, -1), "shape": (3,)},
        ),
    ],
    "matmul": [
        Case([normal(2, 3), normal(3, 4)], lambda x, W: np.tensordot(x, W, 1)),
        Case([normal(5, 2, 3), normal(3, 2)], lambda x, W: np.tensordot(x, W, 1)),
        Case(
            [normal(4, 1, 2, 3), normal(2, 3, 2)],
            lambda x, W: (x[..., :, :, None] * W[..., None, :, :]).sum(axis=-2),
        ),
        Case([normal(3), normal(3)], lambda x, W: (x * W).sum()),
        Case([normal(4, 2, 3), normal(3)], lambda x, W: (x * W).sum(axis=-1)),
        Case([normal(3), normal(2, 3, 4)], lambda x, W: (x[:, None] * W).sum(axis=-2)),
    ],
    "affine": [
        Case([normal(4, 3), normal(3, 2), normal(2)], lambda x, W, b: np.tensordot(x, W, 1) + b)
    ],
    "einsum": [
        Case(
            ["ij,jk->ik", normal(2, 3), normal(3, 4)],
            lambda _, x, W: np.tensordot(x, W, 1),
            fixed=1,
        ),
        Case(["ij->ji", normal(3, 2)], lambda _, x: x.T, fixed=1),
        Case(["ij->", normal(3, 2)], lambda _, x: x.sum(), fixed=1),
        # The index j belongs to one operand alone, k to the other.
        Case(
            ["ij,ik->i", normal(3, 2), normal(3, 4)],
            lambda _, x, z: x.sum(axis=1) * z.sum(axis=1),
            fixed=1,
        ),
        Case(["i, i -> ", normal(3), normal(3)], lambda _, x, z: (x * z).sum(), fixed=1),
        Case(
            ["a,b,ab->ba", normal(2), normal(3), normal(2, 3)],
            lambda _, x, z, w: (x[:, None] * z * w).T,
            fixed=1,
        ),
        # NumPy and CuPy repeat an axis of length 1 here as well.
        Case(["i,i->i", normal(1), normal(3)], lambda _, x, z: x * z, fixed=1),
        Case(["i,i->", normal(1), normal(2)], lambda _, x, z: x[0] * z.sum(), fixed=1),
        Case(["i,i->", normal(2), normal(1)], lambda _, x, z: x.sum() * z[0], fixed=1),
        Case(
            ["i,i,i->", normal(1), normal(3), normal(1)],
            lambda _, x, z, w: x[0] * z.sum() * w[0],
            fixed=1,
        ),
        Case(
            ["ij,ij->j", normal(1, 3), normal(2, 1)],
            lambda _, x, z: x[0] * z.sum(),
            fixed=1,
        ),
        # Without an arrow: the axes that are named once, in alphabetical order.
        Case(["kj,ji", normal(2, 3), normal(3, 4)], lambda _, x, W: (x @ W).T, fixed=1),
        Case(["i,i", normal(3), normal(3)], lambda _, x, z: (x * z).sum(), fixed=1),
    ],
    "patches": [
        Case(
            [normal(2, 3, 4, 2)],
            lambda x: np.dstack(
                [x[:, i : 2 + i, j : 3 + j].reshape(2, 6, 2) for i in (0, 1) for j in (0, 1)]
            ).reshape(2, 2, 3, 8),
            {"kernel": 2},
        ),
        Case(
            [normal(1, 3, 4, 1)],  # zeros above and below, but only on the right
            lambda x: np.array(
                [[[padded(x)[0, i : i + 3, j : j + 3].ravel() for j in (0, 2)] for i in (0, 2)]]
            ),
            {"kernel": 3, "stride": 2, "padding": "same"},
        ),
    ],
    "fold": [
        Case(
            [normal(2, 2, 3, 8)],
            lambda p: sum(
                np.pad(part, ((0, 0), (i, 1 - i), (j, 1 - j), (0, 0)))
                for part, (i, j) in zip(np.split(p, 4, -1), np.ndindex(2, 2), strict=True)
            ),
            {"size": (3, 4), "kernel": 2},
        ),
        Case(
            [normal(2, 2, 2, 4)],  # side by side, and what lies on the padding is left out
            lambda p: p.reshape(2, 2, 2, 2, 2).swapaxes(2, 3).reshape(2, 4, 4, 1)[:, 1:, 1:],
            {"size": (3, 3), "kernel": 2, "stride": 2, "padding": 1},
        ),
    ],
    "average_pool": [
        Case(
            [normal(2, 5, 4, 3)],
            lambda x: x[:, :4].reshape(2, 2, 2, 2, 2, 3).mean(axis=(2, 4)),
            {"kernel": 2},
        ),
        Case(
            [normal(1, 3, 3, 1)],
            lambda x: (x[:, 1:, 1:] + x[:, 1:, :-1] + x[:, :-1, 1:] + x[:, :-1, :-1]) / 4,
            {"kernel": 2, "stride": 1},
        ),
    ],
    "max_pool": [
        Case(
            [DISTINCT.reshape(1, 4, 3, 2)],
            lambda x: x[:, :, :2].reshape(1, 2, 2, 2, 2).max(axis=(2, 3))[:, :, None],
            {"kernel": 2},
        ),
        Case(
            [DISTINCT.reshape(2, 3, 4, 1)],
            lambda x: np.array([[[[x[b, :, j : j + 3].max()] for j in (0, 1)]] for b in (0, 1)]),
            {"kernel": 3, "stride": 1},
        ),
    ],
    "upsample": [
        Case(
            [normal(2, 2, 3, 2)],
            lambda x: x.repeat(3, axis=1).repeat(3, axis=2),
            {"factor": 3},
        ),
    ],
    "mse": [Case([normal(3, 2), normal(3, 2)], lambda x, t: ((x - t) ** 2).sum() / 6)],
    "bernoulli_nll": [
        Case([normal(3, 2), random.random((3, 2))], bernoulli_by_definition),
        Case([normal(4, 3, 2), random.random((3, 2))], bernoulli_by_definition),
    ],
    "gaussian_kl": [Case([normal(3, 2), normal(3, 2)], gaussian_kl_by_quadrature)],
    "l2": [Case([normal(3, 2)], lambda x: (x**2).sum() / 2)],
}

TABLE = [
    pytest.param(name, case, id=f"{name}-{i}")
    for name, cases in CASES.items()
    for i, case in enumerate(cases)
]
SINGLE = [
    name
    for name, cases in CASES.items()
    if name != "broadcast_to"
    and any(np.shape(c.arguments[0]) == () and c.arguments[1:] == [] for c in cases)
]
over_the_table = pytest.mark.parametrize(("name", "case"), TABLE)


def test_the_table_covers_every_op():
    rooms = tuple(f"tinygen.{room}" for room in ("ops", "losses", "nn", "models"))
    of_ops = {name for name in ops.__all__ if callable(getattr(ops, name))}
    every = {name for name, op in OPS.items() if op.__module__.startswith(rooms)}
    assert set(CASES) == every | of_ops


def called(name: str, case: Case) -> Callable[..., Any]:
    """The op as a function of the arguments that have gradients."""
    fixed = case.floats(np.float64)[: case.fixed]
    return lambda *xs: function(name)(*fixed, *xs, **case.options)


@over_the_table
def test_value(name, case):
    arrays = case.floats(np.float64)
    y = function(name)(*arrays, **case.options)
    expected = case.expect(*arrays)
    assert y.shape == np.shape(expected)
    # Two ways to compute the same in float64 differ by some roundings.
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-14)
    assert isinstance(function(name)(*(on(Tensor, a) for a in arrays), **case.options), Tensor)


@over_the_table
def test_gradients(name, case):
    inputs = case.floats(np.float64)[case.fixed :]
    report = check_gradients(called(name, case), inputs, order=case.order, elementwise=True)
    assert not report.kinks  # the table stays clear of corners, so every derivative was compared


def gradients_on(backend, name, case, dtype, create_graph=False):
    """The result and the gradients by one fixed cotangent, as arrays of the backend."""
    arrays = [on(backend.asarray, a) for a in case.floats(dtype)]
    xs = [Tensor(a, requires_grad=True) for a in arrays[case.fixed :]]
    y = function(name)(*arrays[: case.fixed], *xs, **case.options)
    if not y.requires_grad:  # sign
        return y.array, []
    g = np.random.default_rng(1).standard_normal(y.shape).astype(dtype)
    gradients = grad(y, xs, g=backend.asarray(g), create_graph=create_graph)
    return y.array, [dx.array if create_graph else dx for dx in gradients]


@over_the_table
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_backends_agree_and_keep_the_dtype(backend, name, case, dtype):
    y, gradients = gradients_on(backend, name, case, dtype)
    expected, expected_gradients = gradients_on(tg.get_backend("numpy"), name, case, np.float64)
    for a, b in zip([y, *gradients], [expected, *expected_gradients], strict=True):
        assert type(a) is type(backend.asarray(np.zeros(2))) or a.shape == ()
        assert a.dtype == dtype
        # The strict backend is NumPy inside; float32 and CuPy's own kernels round otherwise.
        tolerance = 1e-12 if dtype == np.float64 else 2e-5
        np.testing.assert_allclose(backend.to_numpy(a), b, rtol=tolerance, atol=tolerance)


@over_the_table
@pytest.mark.parametrize("create_graph", [False, True])
def test_no_waiting_and_no_float64_inside(name, case, create_graph):
    """Neither forward nor backward waits for the device, or computes in float64 on the way."""
    with count_syncs() as syncs, see_dtypes() as dtypes:
        gradients_on(STRICT, name, case, np.float32, create_graph)
    assert syncs == []
    assert np.dtype(np.float64) not in dtypes


@over_the_table
def test_inputs_may_lie_anyhow_and_are_not_written(name, case):
    """Read-only arrays with odd strides give the same as contiguous ones."""
    _, expected = gradients_on(tg.get_backend("numpy"), name, case, np.float64)
    arrays = case.floats(np.float64)
    for i, a in enumerate(arrays):
        if isinstance(a, str):
            continue
        if a.ndim:
            wide = np.repeat(a, 2, axis=-1)[..., ::-2][..., ::-1]
            arrays[i] = wide if a.ndim == 1 else np.asfortranarray(wide)
        arrays[i].setflags(write=False)
    xs = [Tensor(a, requires_grad=True) for a in arrays[case.fixed :]]
    y = function(name)(*arrays[: case.fixed], *xs, **case.options)
    np.testing.assert_allclose(y.array, case.expect(*arrays), rtol=1e-12, atol=1e-14)  # roundings
    if not y.requires_grad:
        return
    g = np.random.default_rng(1).standard_normal(y.shape)
    g.setflags(write=False)
    for dx, other in zip(grad(y, xs, g=g), expected, strict=True):
        np.testing.assert_allclose(dx, other, rtol=1e-12, atol=1e-14)  # roundings, BLAS's order


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("shape", [(0,), (2, 0)])
def test_empty_arrays(backend, name, shape):
    x = Tensor(backend.asarray(np.zeros(shape, np.float32)), requires_grad=True)
    y = function(name)(x)
    assert y.shape == shape
    if y.requires_grad:
        dx = grad(y.sum(), x)
        assert dx.shape == shape and dx.dtype == np.float32


def test_empty_sum_and_product(backend):
    x = Tensor(backend.asarray(np.zeros((0, 3), np.float32)), requires_grad=True)
    W = Tensor(backend.asarray(np.ones((3, 2), np.float32)), requires_grad=True)
    y = (x @ W).sum()
    assert y.item() == 0
    dx, dW = grad(y, [x, W])
    assert dx.shape == (0, 3) and backend.to_numpy(dW).tolist() == [[0, 0]] * 3


# Broadcasting, axes and indices, drawn at random.

TWO_SHAPES = hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3)


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "divide", "power", "logaddexp"])
@settings(max_examples=15)
@given(shapes=TWO_SHAPES, seed=st.integers(0, 99))
def test_broadcasting(name, shapes, seed):
    make = np.random.default_rng(seed)
    x, z = (0.5 + make.random(shape) for shape in shapes.input_shapes)
    y = OPS[name](x, z)
    assert y.shape == shapes.result_shape
    check_gradients(OPS[name], [x, z], directions=1)
    # The gradient of a repeated element is the sum over its copies.
    g = make.standard_normal(y.shape)
    dx, dz = grad(OPS[name](*(xs := [Tensor(a, requires_grad=True) for a in (x, z)])), xs, g=g)
    copies = [np.array(np.broadcast_to(a, y.shape)) for a in (x, z)]
    parts = grad(OPS[name](*(xs := [Tensor(a, requires_grad=True) for a in copies])), xs, g=g)
    for da, part, a in zip((dx, dz), parts, (x, z), strict=True):
        total = np.zeros(a.shape)
        for at in np.ndindex(y.shape):
            own = at[len(y.shape) - a.ndim :]
            total[tuple(0 if n == 1 else i for i, n in zip(own, a.shape, strict=True))] += part[at]
        np.testing.assert_allclose(da, total, rtol=1e-12, atol=1e-12)  # order of the additions


@pytest.mark.parametrize("name", ["maximum", "minimum"])
@settings(max_examples=15)
@given(shapes=TWO_SHAPES, seed=st.integers(0, 99))
def test_broadcasting_with_corners(name, shapes, seed):
    make = np.random.default_rng(seed)
    x = make.permutation(27)[: math.prod(shapes.input_shapes[0])].reshape(shapes.input_shapes[0])
    z = make.permutation(27)[: math.prod(shapes.input_shapes[1])].reshape(shapes.input_shapes[1])
    report = check_gradients(OPS[name], [x / 3.0, z / 3.0 + 0.1], directions=1)
    assert not report.kinks


@st.composite
def reductions(draw):
    shape = draw(hnp.array_shapes(max_dims=4, max_side=3))
    axis = draw(
        st.one_of(
            st.none(),
            st.integers(-len(shape), len(shape) - 1),
            st.lists(st.integers(0, len(shape) - 1), unique=True).map(tuple),
        )
    )
    return shape, axis, draw(st.booleans())


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "logsumexp", "variance"])
@settings(max_examples=20)
@given(drawn=reductions(), seed=st.integers(0, 99))
def test_reductions(name, drawn, seed):
    shape, axis, keepdims = drawn
    x = np.random.default_rng(seed).permutation(math.prod(shape)).reshape(shape) / 7.0
    f = variance if name == "variance" else OPS[name]
    numpys = {
        "variance": np.var,
        "logsumexp": lambda x, **o: np.log(np.sum(np.exp(x), **o)),
    }.get(name) or getattr(np, name)
    y = f(x, axis=axis, keepdims=keepdims)
    expected = numpys(x, axis=axis, keepdims=keepdims)
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-14)  # order of the additions
    check_gradients(lambda x: f(x, axis=axis, keepdims=keepdims), x, directions=1)


def test_a_single_number_summed_along_an_axis():
    """NumPy allows this for sums."""
    x = Tensor(np.array(0.7), requires_grad=True)
    assert grad(tg.sum(x, axis=0), x) == 1


@st.composite
def indexed(draw):
    """A shape, and an index of any kind that NumPy accepts for it, Tensors and lists included."""
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=4))
    kind = draw(st.sampled_from(["basic", "arrays", "mask", "mixed"]))
    if kind == "basic":
        return shape, draw(hnp.basic_indices(shape, allow_newaxis=True))
    if kind == "arrays":
        some = draw(st.integers(1, len(shape)))
        return shape, draw(
            hnp.integer_array_indices(
                shape[:some], result_shape=hnp.array_shapes(min_side=0, max_dims=2)
            )
        )
    k = draw(st.integers(1, len(shape)))
    mask = draw(hnp.arrays(bool, shape[:k]))
    if kind == "mask":
        return shape, mask.tolist() if draw(st.booleans()) else mask
    n = shape[0]
    listed = draw(st.lists(st.integers(-n, n - 1), min_size=1, max_size=3))
    rest = draw(
        st.sampled_from([(), (...,), (None,), (slice(None, None, -1),)][: 3 + (len(shape) > 1)])
    )
    return shape, (listed, *rest)


@settings(max_examples=150)
@given(drawn=indexed(), seed=st.integers(0, 99))
def test_indexing_is_numpys(drawn, seed):
    shape, index = drawn
    make = np.random.default_rng(seed)
    x = make.standard_normal(shape)
    expected = x[tuple(map(_plain, index)) if isinstance(index, tuple) else _plain(index)]
    g = make.standard_normal(np.shape(expected))
    expected_dx = np.zeros(shape)
    np.add.at(expected_dx, index if not isinstance(index, list) else np.array(index), g)
    for backend in (tg.get_backend("numpy"), STRICT):
        t = Tensor(backend.asarray(x), requires_grad=True)
        with count_syncs() as syncs:
            y = t[index]
            dx = grad(y, t, g=backend.asarray(g))
        assert syncs == []  # the index is on the host
        np.testing.assert_array_equal(backend.to_numpy(y.array), expected)
        # Duplicates are added, in some order.
        np.testing.assert_allclose(backend.to_numpy(dx), expected_dx, rtol=1e-12, atol=1e-12)


def _plain(part):
    return np.array(part) if isinstance(part, list) else part


@pytest.mark.parametrize(
    "index",
    [
        *(4, -5, (0, 3), [0, 4], np.array([-5]), (..., 3), (None, 4), np.array([[True] * 4])),
        *((..., [3]), (..., np.array([0, -4])), (np.array([True] * 4), [3])),
    ],
)
def test_an_index_out_of_range_is_refused(backend, index):
    x = Tensor(backend.asarray(np.zeros((4, 3))), requires_grad=True)
    with pytest.raises(IndexError, match="getitem"):
        x[index]


def test_a_device_index_is_checked_which_waits(backend):
    x = Tensor(backend.asarray(np.arange(4.0)), requires_grad=True)
    assert backend.to_numpy(x[backend.asarray(np.array([3, 0]))].array).tolist() == [3, 0]
    with pytest.raises(
        IndexError, match="index 4 is out of range for axis 0, which has 4 elements"
    ):
        x[backend.asarray(np.array([1, 4]))]
    with pytest.raises(IndexError, match="out of range"):
        scatter(x, index=backend.asarray(np.array([0, 1, 2, 9])), shape=(9,))


def test_a_device_mask(backend):
    x = Tensor(backend.asarray(np.arange(4.0)), requires_grad=True)
    y = x[backend.asarray(np.array([True, False, True, True]))]
    assert backend.to_numpy(grad(y.sum(), x)).tolist() == [1, 0, 1, 1]


def test_indices_may_be_tensors_and_elements_named_twice(backend):
    x = Tensor(backend.asarray(np.arange(3.0)), requires_grad=True)
    y = x[Tensor(backend.asarray(np.array([1, 1, 2])))]
    assert backend.to_numpy(grad((y * y).sum(), x)).tolist() == [0, 4, 4]


def test_getitem_and_scatter_are_each_others_gradient():
    index = np.array([2, 0, 2])
    check_gradients(lambda x: getitem(x * x, index=index), normal(4), order=2, elementwise=True)
    check_gradients(lambda x: scatter(x * x, index=index, shape=(4,)), normal(3), order=2)


# Numbers far out.

EXTREME = {
    "sigmoid": lambda x: 1.0 if x > 0 else 0.0,
    "softplus": lambda x: max(x, 0.0),
    "elu": lambda x: x if x > 0 else -1.0,
    "gelu": lambda x: max(x, 0.0),
    "silu": lambda x: max(x, 0.0),
    "tanh": lambda x: math.copysign(1, x),
}
SLOPES = dict.fromkeys(("softplus", "elu", "gelu", "silu"), lambda x: x > 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", EXTREME)
def test_far_out(backend, name, dtype):
    numbers = [-1000.0, 1000.0]
    x = Tensor(backend.asarray(np.array(numbers, dtype)), requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = function(name)(x)
        dx = grad(y.sum(), x)
    assert y.numpy().tolist() == [EXTREME[name](number) for number in numbers]
    assert backend.to_numpy(dx).tolist() == [
        float(SLOPES.get(name, lambda x: 0)(n)) for n in numbers
    ]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_far_out_along_an_axis(backend, dtype):
    x = Tensor(
        backend.asarray(np.array([[-1000, 0, 1000], [1000, 1000, -1000]], dtype)),
        requires_grad=True,
    )
    for name, expected in {
        "softmax": [[0, 0, 1], [0.5, 0.5, 0]],
        "log_softmax": [[-2000, -1000, 0], [-math.log(2), -math.log(2), -2000 - math.log(2)]],
    }.items():
        y = OPS[name](x)
        np.testing.assert_allclose(y.numpy(), expected, rtol=1e-6)  # float32
        dx = grad(y, x, g=backend.asarray(np.array([[1, 2, 3], [4, 5, 6]], dtype)))
        assert np.isfinite(backend.to_numpy(dx)).all()
    y = tg.logsumexp(x, axis=1)
    np.testing.assert_allclose(y.numpy(), [1000, 1000 + math.log(2)], rtol=1e-6)  # float32
    dx = grad(y.sum(), x)
    np.testing.assert_allclose(backend.to_numpy(dx), [[0, 0, 1], [0.5, 0.5, 0]], atol=1e-4)  # log 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logaddexp_far_out(backend, dtype):
    x = Tensor(backend.asarray(np.array([-1000, 1000, 1000], dtype)), requires_grad=True)
    z = Tensor(backend.asarray(np.array([-1000, 1000, -1000], dtype)), requires_grad=True)
    y = tg.logaddexp(x, z)
    expected = [math.log(2) - 1000, math.log(2) + 1000, 1000]
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-6)  # float32
    dx, dz = grad(y.sum(), [x, z])
    np.testing.assert_allclose(backend.to_numpy(dx), [0.5, 0.5, 1], atol=1e-4)  # 1000 in float32
    np.testing.assert_allclose(backend.to_numpy(dz), [0.5, 0.5, 0], atol=1e-4)  # 1000 in float32


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_binary_cross_entropy_far_out(backend, dtype):
    z = np.array([[1000.0], [1000.0], [-1000.0], [-1000.0]], dtype)
    t = backend.asarray(np.array([[1.0], [0.0], [1.0], [0.0]], dtype))
    x = Tensor(backend.asarray(z), requires_grad=True)
    loss = tg.binary_cross_entropy_with_logits(x, t)
    assert loss.item() == 500  # two of four are wrong, by 1000 nats each
    # A wrong answer far out still has its whole gradient: nothing is clipped.
    assert backend.to_numpy(grad(loss, x)).ravel().tolist() == [0, 0.25, -0.25, 0]


@pytest.mark.parametrize(
    "name", ["relu", "leaky_relu", "elu", "gelu", "sigmoid", "silu", "softplus", "tanh", "erf"]
)
def test_a_nan_stays_a_nan(backend, name):
    x = backend.asarray(np.array([np.nan, 1.0], np.float32))
    assert np.isnan(backend.to_numpy(function(name)(x))).tolist() == [True, False]


def test_relu_of_infinities(backend):
    """``x * (x > 0)`` would make a NaN of minus infinity."""
    x = Tensor(backend.asarray(np.array([-np.inf, np.inf], np.float32)), requires_grad=True)
    y = tg.relu(x)
    assert y.numpy().tolist() == [0, np.inf]
    assert backend.to_numpy(grad(y.sum(), x)).tolist() == [0, 1]


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_a_nan_passes_through_both_arguments(backend, name):
    x = backend.asarray(np.array([np.nan, 1.0, 1.0]))
    z = backend.asarray(np.array([1.0, np.nan, 1.0]))
    assert np.isnan(backend.to_numpy(OPS[name](x, z))).tolist() == [True, True, False]
    assert np.isnan(backend.to_numpy(OPS[name](x, 0.0))).tolist() == [True, False, False]


def test_equal_elements_share_the_gradient(backend):
    x = Tensor(backend.asarray(TIED), requires_grad=True)
    for name, expected in {
        "max": [[0, 0.5, 0.5], [1 / 3] * 3],
        "min": [[1, 0, 0], [1 / 3] * 3],
    }.items():
        dx = backend.to_numpy(grad(OPS[name](x, axis=1).sum(), x))
        np.testing.assert_allclose(dx, expected, rtol=1e-15)  # one division
    for name in ("maximum", "minimum"):
        z = Tensor(backend.asarray(TIED), requires_grad=True)
        dx, dz = grad(OPS[name](x, z).sum(), [x, z])
        assert backend.to_numpy(dx).tolist() == backend.to_numpy(dz).tolist() == [[0.5] * 3] * 2
    assert backend.to_numpy(grad(tg.relu(x - 2.0).sum(), x)).tolist() == [[0, 1, 1], [0, 0, 0]]


@pytest.mark.parametrize("axis", [None, 0])
def test_more_elements_than_float16_can_count(backend, axis):
    """Its largest number is 65,504, and 70,000 in it infinite."""
    n = 70_000
    x = Tensor(backend.asarray(np.zeros(n, np.float16)), requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("max", "min", "mean", "logsumexp"):
            y = OPS[name](x, axis=axis)
            dx = backend.to_numpy(grad(y, x))
            assert dx.dtype == y.dtype == np.float16
            np.testing.assert_allclose(dx, np.full(n, 1 / n), atol=2**-24)  # the spacing there
        assert y.item() == np.float16(math.log(n))
        y = tg.softmax(x)
        assert y.dtype == np.float16
        np.testing.assert_allclose(y.numpy(), np.full(n, 1 / n), atol=2**-24)  # the spacing there
        assert (tg.log_softmax(x).numpy() == np.float16(-math.log(n))).all()
        for f in (tg.norm, tg.std):
            assert f(x + 3).dtype == np.float16 and f(tg.multiply(x[:100] + 300, 1)).item() < 3001
        assert tg.norm(x + 3).item() == np.float16(3 * math.sqrt(n))


def test_sums_of_float16_do_not_stop_at_2048(backend):
    """Where one more is rounded away: the gradient of a bias under 3,000 rows was 2048."""
    n = 3000
    x = Tensor(backend.asarray(np.ones((n, 2), np.float16)), requires_grad=True)
    b = Tensor(backend.asarray(np.zeros(2, np.float16)), requires_grad=True)
    assert tg.sum(x, axis=0).numpy().tolist() == [n, n]
    assert tg.cumsum(x[:, 0]).numpy()[-1] == n
    g = backend.asarray(np.ones((n, 2), np.float16))
    for create_graph in (False, True):
        db, dx = grad(x + b, [b, x], g=g, create_graph=create_graph)
        assert raw(db).tolist() == [n, n] and db.dtype == dx.dtype == np.float16
    assert float(grad(tg.cumsum(x[:, 0]), x, g=g[:, 0])[0, 0]) == n
    many = Tensor(backend.asarray(np.zeros(70_000, np.float16)), requires_grad=True)
    assert tg.variance(many, ddof=1).dtype == np.float16


def test_the_norm_of_tiny_numbers_has_a_derivative(backend):
    """One over them is infinite."""
    x = Tensor(backend.asarray(np.float16([3e-6, 4e-6])), requires_grad=True)
    dx = backend.to_numpy(grad(tg.norm(x), x))
    np.testing.assert_allclose(dx, [0.6, 0.8], rtol=0.02)  # multiples of 2^-24


def test_the_norm_of_zeros_has_a_derivative_of_0(backend):
    """And so has the standard deviation of equal numbers, whatever they are."""
    x = Tensor(backend.asarray(np.array([[0.0, 0.0], [3.0, 4.0]])), requires_grad=True)
    dx = grad(tg.norm(x, axis=1).sum(), x)
    np.testing.assert_allclose(backend.to_numpy(dx), [[0, 0], [0.6, 0.8]], rtol=1e-15)  # roundings
    x = Tensor(backend.asarray(np.array([[2.0, 2.0], [1.0, 3.0]])), requires_grad=True)
    dx = grad(tg.std(x, axis=1).sum(), x)
    np.testing.assert_allclose(backend.to_numpy(dx), [[0, 0], [-0.5, 0.5]], rtol=1e-15)  # roundings


@pytest.mark.parametrize("f", [tg.variance, tg.std])
def test_more_degrees_of_freedom_than_elements(f):
    for ddof in (2, 3):
        with pytest.raises(ValueError, match=f"{f.__name__}: .* got 2 and ddof={ddof}"):
            f(np.ones((2, 5)), axis=0, ddof=ddof)


def test_special_functions_where_they_are_delicate(backend):
    x = Tensor(backend.asarray(np.array([-40.0, 0.0, 1e-300, 40.0])), requires_grad=True)
    y = tg.erf(x)
    # Near 0, erf(x) is 2 x / sqrt(pi).
    np.testing.assert_allclose(y.numpy(), [-1, 0, 2e-300 / math.sqrt(math.pi), 1], rtol=1e-15)
    np.testing.assert_allclose(
        backend.to_numpy(grad(y.sum(), x)), np.array([0, 2, 2, 0]) / math.sqrt(math.pi), rtol=1e-15
    )
    assert np.isnan(tg.erf(np.nan)) and np.isnan(tg.lgamma(np.nan))
    assert tg.erf(1) == tg.erf(1.0) == math.erf(1)
    # Gamma(1/2) and Gamma(-1/2) are sqrt(pi) and -2 sqrt(pi), and n! is Gamma(n + 1).
    x = backend.asarray(np.array([0.5, -0.5, 1.0, 2.0, 101.0, 0.0, -3.0, 1e308, np.inf]))
    half, hundred = 0.5 * math.log(math.pi), math.log(math.factorial(100))
    expected = [half, half + math.log(2), 0, 0, hundred, *[math.inf] * 4]
    np.testing.assert_allclose(backend.to_numpy(tg.lgamma(x)), expected, rtol=1e-14)  # roundings


def test_polygamma_where_it_is_known(backend):
    """Abramowitz and Stegun 6.3.2, 6.3.3, 6.4.2 and 6.4.4; far out, digamma is log(x) - 1 / 2x."""
    x = backend.asarray(np.array([1.0, 0.5, 1e8, 1e-8, 1e200]))
    euler, zeta3 = 0.57721566490153286, 1.2020569031595943
    for n, expected in {
        0: [-euler, -euler - math.log(4), math.log(1e8) - 5e-9, -1e8 - euler, math.log(1e200)],
        1: [math.pi**2 / 6, math.pi**2 / 2, 1e-8 + 5e-17, 1e16 + math.pi**2 / 6, 1e-200],
        2: [-2 * zeta3, -14 * zeta3, -1e-16 - 1e-24, -2e24 - 2 * zeta3, 0],
    }.items():
        y = backend.to_numpy(tg.polygamma(x, order=n))
        np.testing.assert_allclose(y, expected, rtol=1e-14)  # of some dozen roundings
    assert np.isnan(backend.to_numpy(tg.polygamma(-x, order=0))).all()
    with pytest.raises(ValueError, match=r"polygamma: .* order of 0 or more, got -1"):
        tg.polygamma(x, order=-1)


def test_exact_gelu_far_out(backend):
    x = Tensor(backend.asarray(np.array([-1000.0, -9.0, 1000.0])), requires_grad=True)
    y = tg.gelu(x, approximate=False)
    assert y.numpy().tolist() == [0, 0, 1000]
    np.testing.assert_allclose(backend.to_numpy(grad(y.sum(), x)), [0, 0, 1], atol=1e-15)


def test_python_numbers_on_either_side(backend):
    x = Tensor(backend.asarray(np.array([0.5, 2.0], np.float32)), requires_grad=True)
    sigmoids = [1 / (1 + math.exp(-0.5)), 1 / (1 + math.exp(-2))]
    for y, dx in [
        (3 + x, [1, 1]), (x + 3, [1, 1]), (3 - x, [-1, -1]), (x - 3, [1, 1]), (3 * x, [3, 3]),
        (x / 2, [0.5, 0.5]), (1 / x, [-4, -0.25]), (x**3, [0.75, 12]),
        (2**x, [math.log(2) * 2**0.5, math.log(2) * 4]), (tg.maximum(1.0, x), [0, 1]),
        (tg.minimum(x, 1), [1, 0]), (tg.softplus(x), sigmoids), (tg.logaddexp(0.0, x), sigmoids),
    ]:  # fmt: skip
        assert y.dtype == np.float32
        with see_dtypes() as dtypes:
            found = grad(y.sum(), x, create_graph=True)
        assert np.dtype(np.float64) not in dtypes
        np.testing.assert_allclose(found.numpy(), dx, rtol=1e-6)  # float32


@pytest.mark.parametrize("mixed", [tg.maximum, tg.minimum, tg.where, tg.power])
def test_arrays_beside_tensors_in_recorded_gradients(backend, mixed):
    """In a recorded gradient an argument may be an array while the other is a Tensor."""
    a = backend.asarray(np.array([0.5, 2.0]))
    x = Tensor(backend.asarray(np.array([1.0, 1.5])), requires_grad=True)
    f = (lambda *xs: tg.where(a > 1, *xs)) if mixed is tg.where else mixed
    for y in (f(a, x), f(x, a)):
        plain = grad(y.sum(), x, retain_graph=True)
        recorded = grad(y.sum(), x, create_graph=True).array
        np.testing.assert_array_equal(backend.to_numpy(plain), backend.to_numpy(recorded))


# x ** z where it is delicate.


@pytest.mark.parametrize(
    ("z", "slopes"), [(0, (0, 0)), (1, (1, 0)), (2, (0, 2)), (3, (0, 0)), (2.0, (0, 2))]
)
@pytest.mark.parametrize("as_array", [False, True])
def test_power_at_zero(z, slopes, as_array):
    x = Tensor(np.array([0.0, 0.0]), requires_grad=True)
    first = grad((x ** (np.array([z, z], float) if as_array else z)).sum(), x, create_graph=True)
    second = grad(first.sum(), x, create_graph=True)
    third = grad(second.sum(), x)
    assert first.numpy().tolist() == [slopes[0]] * 2
    assert second.numpy().tolist() == [slopes[1]] * 2
    assert third.tolist() == [6 if z == 3 else 0] * 2


def test_power_of_negative_numbers_and_by_the_exponent():
    check_gradients(lambda x: x**3, np.array([-2.0, -0.5]), order=2, elementwise=True)
    check_gradients(lambda x: x**-2, np.array([-2.0, -0.5]), order=2, elementwise=True)
    z = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    assert grad((np.zeros(2) ** z).sum(), z).tolist() == [0, 0]
    assert grad((0.0**z).sum(), z).tolist() == [0, 0]


# Ops that are put together from others, and what ops refuse.


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((3,), (3,)),
        ((2, 3), (3,)),
        ((3,), (3, 2)),
        ((4, 2, 3), (3,)),
        ((3,), (4, 3, 2)),
        ((2, 3), (3, 2)),
    ],
)
def test_matmul_with_vectors(backend, left, right):
    x, W = normal(*left), normal(*right)
    y = matmul(Tensor(backend.asarray(x)), Tensor(backend.asarray(W)))
    np.testing.assert_allclose(y.numpy(), np.matmul(x, W), rtol=1e-12)  # order of the additions
    check_gradients(matmul, [x, W], order=2, elementwise=True)


def test_split(backend):
    x = normal(2, 6)
    t = Tensor(backend.asarray(x), requires_grad=True)
    for sections in (3, np.int64(3), (2, 4), [2, 4]):
        parts = tg.split(t, sections, axis=-1)
        for part, expected in zip(parts, (x[:, :2], x[:, 2:4], x[:, 4:]), strict=True):
            np.testing.assert_array_equal(part.numpy(), expected)
    dx = grad(parts[0].sum() + 3 * parts[2].sum(), t)
    assert backend.to_numpy(dx).tolist() == [[1, 1, 0, 0, 3, 3]] * 2
    assert [p.shape for p in tg.split(x, [1, 1, 9], axis=0)] == [(1, 6), (0, 6), (1, 6), (0, 6)]
    assert [p.shape for p in tg.split(x[:, :0], 2, axis=1)] == [(2, 0), (2, 0)]
    for wrong, axis in ((4, 1), (0, 1), (2, 2), (2, -3)):
        with pytest.raises(ValueError, match=r"^split: axis"):
            tg.split(t, wrong, axis=axis)


def test_many_parts_are_cut_as_numpy_cuts_them(monkeypatch):
    """Out of blocks, or each part's gradient would be as large as all of them together."""
    monkeypatch.setattr("tinygen.ops.shaping.MANY", 3)
    x = Tensor(normal(2, 20), requires_grad=True)
    for sections in (20, 10, [3, 1, 7, -2, 30, 2, 2], [-30, 5]):
        parts, expected = tg.split(x, sections, axis=1), np.split(x.array, sections, axis=1)
        for part, numbers in zip(parts, expected, strict=True):
            np.testing.assert_array_equal(part.numpy(), numbers)
        y = sum((float(k) * part).sum() for k, part in enumerate(parts))
        times = np.zeros(20)
        for k, places in enumerate(np.split(np.arange(20), sections)):
            times[places] += k
        assert grad(y, x).tolist() == [times.tolist()] * 2


@pytest.mark.parametrize("rows", [lambda x: tg.split(x, len(x)), lambda x: [*x]])
def test_no_row_of_many_has_a_gradient_as_large_as_all(rows):
    x = Tensor(np.zeros((300, 2)), requires_grad=True)
    parts = rows(x)
    assert all(part._parents[0].size <= 2 * 128 for part in parts)
    y = sum((float(k) * part).sum() for k, part in enumerate(parts))
    assert grad(y, x)[:, 1].tolist() == [*range(300)]


def test_argmax(backend):
    x = np.array([[1.0, 5.0, 5.0], [7.0, 2.0, 0.0]])
    t = Tensor(backend.asarray(x), requires_grad=True)
    y = tg.argmax(t, axis=1)
    assert y.dtype == np.int64 and y.numpy().tolist() == [1, 0] and not y.requires_grad
    assert tg.argmax(t).item() == 3 and tg.argmax(t, axis=0, keepdims=True).shape == (1, 3)
    assert backend.to_numpy(grad(t[backend.asarray(np.arange(2)), y].sum(), t)).tolist() == [
        [0, 1, 0], [1, 0, 0]
    ]  # fmt: skip


def test_stack(backend):
    xs = [backend.asarray(normal(2, 3)) for _ in range(2)]
    for axis in (0, 1, -1):
        y = stack(*xs, axis=axis)
        np.testing.assert_array_equal(
            backend.to_numpy(y), np.stack([backend.to_numpy(x) for x in xs], axis)
        )
    check_gradients(lambda *xs: stack(*xs, axis=1), [normal(2, 3), normal(2, 3)], order=2)


def test_gelu_is_near_the_exact_one():
    x = np.linspace(-5, 5, 101)
    exact = each(lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2)(x)
    assert abs(tg.gelu(x) - exact).max() < 5e-4  # as Hendrycks and Gimpel say


def test_astype(backend):
    x = Tensor(backend.asarray(np.array([1.5, 2.5], np.float32)), requires_grad=True)
    y = x.astype(np.float64)
    dx = grad((y * y).sum(), x)
    assert y.dtype == np.float64 and dx.dtype == np.float32
    assert backend.to_numpy(dx).tolist() == [3, 5]
    # An integer does not move when x moves a little: nothing may flow through it.
    assert not x.astype(np.int64).astype(np.float32).requires_grad


def test_cross_entropy(backend):
    z = normal(4, 3)
    labels = np.array([2, 0, 1, 2])
    expected = -np.log(softmax_by_definition(z, 1)[np.arange(4), labels]).mean()
    x = Tensor(backend.asarray(z), requires_grad=True)
    for given_labels in (labels, labels.tolist(), backend.asarray(labels), np.eye(3)[labels]):
        if type(given_labels) is np.ndarray and given_labels.ndim == 2:
            given_labels = backend.asarray(given_labels)
        loss = tg.cross_entropy(x, given_labels)
        np.testing.assert_allclose(loss.item(), expected, rtol=1e-12)  # roundings
        dz = (softmax_by_definition(z, 1) - np.eye(3)[labels]) / 4
        np.testing.assert_allclose(backend.to_numpy(grad(loss, x)), dz, rtol=1e-11, atol=1e-15)
    for wrong in ([0, 1, 2, 3], [0, 1, 2, -1], backend.asarray(np.array([0, 0, 0, 7]))):
        with pytest.raises(ValueError, match="out of range"):
            tg.cross_entropy(x, wrong)


def test_einsum_of_many_arrays_takes_them_two_at_a_time():
    """In one go, a product of 19 matrices of 3 by 3 would be 3^20 terms, and minutes."""
    letters = "abcdefghijklmnopqrst"
    xs = [Tensor(normal(3, 3), requires_grad=True) for _ in letters[1:]]
    y = einsum(",".join(a + b for a, b in pairwise(letters)) + "->at", *xs)
    product = reduce(matmul, xs)
    np.testing.assert_allclose(y.numpy(), product.numpy(), rtol=1e-11)  # of 19 products
    for g, expected in zip(grad(y.sum(), xs), grad(product.sum(), xs), strict=True):
        np.testing.assert_allclose(g, expected, rtol=1e-10)


def test_einsum_with_spaces_and_repeated_arguments():
    x = normal(3, 3)
    check_gradients(lambda x: einsum("ij , jk -> ik", x, x), x, order=2, elementwise=True)


@pytest.mark.parametrize(
    ("subscripts", "arrays", "message"),
    [
        ("ii->i", [normal(3, 3)], "names an axis twice"),
        ("ij,jk", [normal(3, 3)], "of 1 operands"),
        ("ii", [normal(3, 3)], "names an axis twice"),
        ("i->j->k", [normal(3)], "by letters"),
        ("...i->i", [normal(3, 3)], "by letters"),
        ("ij->i", [normal(3, 3), normal(3)], "2 operands"),
        ("ij->k", [normal(3, 3)], "einsum: subscripts is 'ij->k'"),
        ("ijk->i", [normal(3, 3)], "einsum: subscripts is 'ijk->i'"),
        ("ij,jk->ik", [normal(3, 2), normal(3, 2)], r"xs is \(3, 2\) float64; "),
    ],
)
def test_einsum_refuses(backend, subscripts, arrays, message):
    with pytest.raises(ValueError, match=message):
        einsum(subscripts, *(Tensor(backend.asarray(a), requires_grad=True) for a in arrays))


def refused(f, *shapes):
    xs = [Tensor(np.zeros(s, np.float32), requires_grad=True) for s in shapes]
    with pytest.raises((ValueError, TypeError, IndexError)) as caught:
        f(*xs)
    return str(caught.value)


def test_errors_name_the_op_and_the_shapes():
    assert refused(tg.add, (3,), (4,)).startswith("add: x is (3,) float32, z is (4,) float32; ")
    assert (
        refused(tg.mse, (3, 1), (3,)) == "mse: output is (3, 1), target is (3,); expected one shape"
    )
    assert "binary_cross_entropy_with_logits: output is (3, 1)" in refused(
        tg.binary_cross_entropy_with_logits, (3, 1), (3,)
    )
    assert refused(tg.affine, (64, 784), (400, 784), (784,)) == (
        "affine: x is (64, 784), W is (400, 784); x needs as many columns as W has rows"
    )
    assert refused(tg.affine, (64, 28, 28), (784, 400), (400,)).endswith(
        "W has rows; x.reshape(len(x), -1) has, a row for each image"
    )
    assert "b is (3,), W is (4, 2)" in refused(tg.affine, (5, 4), (4, 2), (3,))
    assert "a number is no matrix" in refused(matmul, (), (3, 3))
    for shapes in ((2, 3), (4, 2)), ((2, 3), (4,)), ((3,), (4, 2)), ((3,), (4,)):
        assert "float32; x needs as many columns as W has rows" in refused(matmul, *shapes)
    assert refused(lambda x: x.reshape(4), (3,)).startswith("reshape: x is (3,) float32; ")
    assert refused(lambda x: x.sum(axis=2), (3, 3)).startswith("sum: x is (3, 3) float32; ")
    assert "one shape, got (2,), (3,)" in refused(stack, (2,), (3,))
    assert refused(tg.concatenate, (2, 3), (2, 4)).startswith(
        "concatenate: xs is (2, 3) float32, xs"
    )
    assert "one integer a row" in refused(lambda z: tg.cross_entropy(z, [1, 1]), (3, 4))
