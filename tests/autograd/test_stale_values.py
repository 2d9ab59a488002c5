"""A value that was written between forward and backward never gives a wrong gradient silently.

What is drawn here: an op, what stands between the memory and the op (a view, a copy of the Tensor,
a second Tensor, ...), and who writes, through what, and when. If something was written that the
graph holds, the gradient is refused; if not, it must be right.
"""

from __future__ import annotations

import copy
import gc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strict import STRICT

import tinygen as tg
from tinygen import Parameters, Tensor, grad, leaves, no_grad
from tinygen.backend.writes import WRITES, Writes, span_of

NUMPY = tg.get_backend("numpy")
N = 4


def no_grad_view(x: Tensor) -> Tensor:
    with no_grad():
        return x.reshape(2, 2).reshape(N)


SHARING = {
    "itself": lambda x: x,
    "detach": lambda x: x.detach(),
    "a second Tensor": lambda x: Tensor(x.array),
    "copy.copy": copy.copy,
    "a view under no_grad": no_grad_view,
    "a view": lambda x: x.reshape(2, 2).reshape(N),
    "a view of a view": lambda x: x[::-1].detach()[::-1],
    "the array": lambda x: x.array,
}
"""Ways in which another name leads to the same memory."""

OPERATIONS = {
    "multiply": lambda x, z: x * z,
    "divide": lambda x, z: z / x,
    "exp": lambda x, z: tg.exp(0.1 * x) * z,
    "square": lambda x, z: tg.square(x) + z,
    "where": lambda x, z: tg.where(tg.sign(x) + 1.5, x, z),
    "affine": lambda x, z: tg.reshape(x, shape=(1, N)) @ tg.reshape(z * x, shape=(N, 1)),
    "max": lambda x, z: tg.maximum(x, z),
    "logsumexp": lambda x, z: x - tg.logsumexp(z * x),
}


def write_tensor(x: Tensor, k: int) -> None:
    x[k] = 7.0


def write_all(x: Tensor, k: int) -> None:
    x[:] = x.detach() + 3.0 + k


def update(x: Tensor, k: int) -> None:
    """An optimiser that has the memory as parameters."""
    p = Parameters({"x": x.shape}, x.array)
    g = Parameters({"x": x.shape}, x.array.copy())
    tg.SGD(p).update(p, g, 0.5 + k)


def clip(x: Tensor, k: int) -> None:
    tg.clip_by_norm(Parameters({"x": x.shape}, x.array), 0.01 * (k + 1))


WRITES_BY = {"x[k] = 7": write_tensor, "x[:] = ...": write_all, "SGD": update, "clipping": clip}


def textbook(name: str, x: Any, z: Any, k: float) -> Any:
    """The gradients that are right: those of a fresh graph, on memory of its own."""
    xs = [Tensor(a.copy(), requires_grad=True) for a in (x, z)]
    return grad((OPERATIONS[name](*xs) * k).sum(), xs)


@settings(max_examples=200)
@given(
    name=st.sampled_from(sorted(OPERATIONS)),
    read_through=st.sampled_from(sorted(SHARING)),
    write_through=st.sampled_from(sorted(set(SHARING) - {"the array"})),
    write=st.sampled_from(sorted(WRITES_BY)),
    which=st.integers(0, 1),
    k=st.integers(0, N - 1),
    seed=st.integers(0, 99),
    create_graph=st.booleans(),
)
def test_a_written_value_is_noticed_whoever_writes_it(
    name: str,
    read_through: str,
    write_through: str,
    write: str,
    which: int,
    k: int,
    seed: int,
    create_graph: bool,
) -> None:
    make = np.random.default_rng(seed)
    arrays = [(0.5 + make.random((N, 2)))[:, 0] for _ in range(2)]  # every second number in memory
    bases = [Tensor(a) for a in arrays]
    before = [a.copy() for a in arrays]
    used = [SHARING[read_through](x) for x in bases]
    wanted = [Tensor(np.ones(N), requires_grad=True) for _ in bases]
    # The factors are wanted; what was written is the constant that they stand beside, or a view.
    xs = [w * u for w, u in zip(wanted, used, strict=True)]
    loss = (OPERATIONS[name](*xs) * (1 + k)).sum()
    target = SHARING[write_through](bases[which])
    if not target.is_leaf:
        target = target.detach()
    WRITES_BY[write](target, k)
    assert not np.array_equal(arrays[which], before[which])  # the write has reached the memory
    with pytest.raises(RuntimeError, match="was written in place after the graph was recorded"):
        grad(loss, wanted, create_graph=create_graph)


@settings(max_examples=100)
@given(
    name=st.sampled_from(sorted(OPERATIONS)),
    write_through=st.sampled_from(sorted({*SHARING} - {"the array"})),
    write=st.sampled_from(sorted(WRITES_BY)),
    which=st.integers(0, 1),
    seed=st.integers(0, 99),
)
def test_a_leaf_that_was_written_is_noticed(
    name: str, write_through: str, write: str, which: int, seed: int
) -> None:
    """The tensors whose gradients are wanted are themselves what the op reads."""
    make = np.random.default_rng(seed)
    xs = [Tensor(0.5 + make.random(N), requires_grad=True) for _ in range(2)]
    loss = (OPERATIONS[name](*xs) * 2).sum()
    target = SHARING[write_through](xs[which])
    WRITES_BY[write](target if target.is_leaf else target.detach(), 1)
    with pytest.raises(RuntimeError, match="was written in place after the graph was recorded"):
        grad(loss, xs)


@settings(max_examples=100)
@given(
    name=st.sampled_from(sorted(OPERATIONS)),
    write=st.sampled_from(sorted(WRITES_BY)),
    k=st.integers(0, N - 1),
    seed=st.integers(0, 99),
)
def test_a_write_elsewhere_raises_no_false_alarm(name: str, write: str, k: int, seed: int) -> None:
    """Into another part of the same parameters, side by side with that which the graph needs."""
    make = np.random.default_rng(seed)
    p = Parameters({"a": (N,), "x": (N,), "z": (N,), "b": (N,)}, 0.5 + make.random(4 * N))
    named = leaves(p)
    loss = (OPERATIONS[name](named["x"], named["z"]) * (1 + k)).sum()
    for other in ("a", "b"):
        WRITES_BY[write](Tensor(p[other]), k)
    gradients = grad(loss, [named["x"], named["z"]])
    for g, right in zip(gradients, textbook(name, p["x"], p["z"], 1 + k), strict=True):
        np.testing.assert_array_equal(g, right)


@settings(max_examples=100)
@given(
    name=st.sampled_from(sorted(OPERATIONS)),
    write=st.sampled_from(sorted(WRITES_BY)),
    seed=st.integers(0, 99),
)
def test_a_write_before_the_recording_is_fine(name: str, write: str, seed: int) -> None:
    make = np.random.default_rng(seed)
    xs = [Tensor(0.5 + make.random(N), requires_grad=True) for _ in range(2)]
    WRITES_BY[write](xs[0].detach(), 1)
    gradients = grad((OPERATIONS[name](*xs) * 2).sum(), xs)
    right = textbook(name, *(x.array for x in xs), 2)
    for g, expected in zip(gradients, right, strict=True):
        np.testing.assert_array_equal(g, expected)


# What a graph holds beside its arguments.


def test_a_result_that_was_written() -> None:
    x = Tensor(np.ones(2), requires_grad=True)
    y = tg.exp(x)  # whose derivative is the result itself
    y.detach()[0] = 100
    with pytest.raises(RuntimeError, match="exp: its result was written in place"):
        y.sum().backward()


@pytest.mark.parametrize("inside_a_tuple", [False, True])
def test_an_index_that_was_written(backend: Any, inside_a_tuple: bool) -> None:
    x = Tensor(backend.asarray(np.arange(4.0)), requires_grad=True)
    index = Tensor(backend.asarray(np.array([0, 1])))
    y = x[(index,)] if inside_a_tuple else x[index]
    index[0] = 3
    with pytest.raises(RuntimeError, match="getitem: its option index was written in place"):
        grad(y.sum(), x)


@pytest.mark.parametrize("requires_grad", [False, True])
@pytest.mark.parametrize("view_of", [lambda a: a.reshape(2, 2), lambda a: a[1:], lambda a: a.T])
def test_a_view_is_stale_when_its_memory_was_written(
    backend: Any, view_of: Any, requires_grad: bool
) -> None:
    a = Tensor(backend.asarray(np.ones(4)), requires_grad)
    v = view_of(a)
    w = Tensor(backend.asarray(np.full(v.shape, 3.0)), requires_grad=True)
    y = (v * w).sum()
    a[1] = 100
    with pytest.raises(RuntimeError, match="multiply: its argument x was written in place"):
        grad(y, w)


def test_gradients_in_memory_that_is_used_again(backend: Any) -> None:
    """A graph on the gradients of one step, and a next step that writes into the same `out`."""
    p = Parameters({"x": (2,)}, backend.asarray(np.array([1.0, 2.0])))
    step = tg.value_and_grad(lambda p: (p["x"] * p["x"]).sum())
    _, out = step(p)
    w = Tensor(backend.asarray(np.ones(2)), requires_grad=True)
    loss = (w * out["x"]).sum()
    step(p, out=out)
    with pytest.raises(RuntimeError, match="was written in place"):
        grad(loss, w)


def test_a_step_of_training_looks_at_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not written between forward and backward costs a comparison of two numbers."""
    monkeypatch.setattr(Writes, "any_since", lambda *_: pytest.fail("nothing was written"))
    p = Parameters({"x": (2,)}, np.array([1.0, 2.0]))
    adam, out = tg.Adam(p), p.zeros_like()
    step = tg.value_and_grad(lambda p: (p["x"] * p["x"]).sum())
    for _ in range(3):
        step(p, out=out)
        adam.update(p, out, 0.1)


def test_a_mask_that_was_written() -> None:
    x = Tensor(np.arange(4.0), requires_grad=True)
    mask = Tensor(np.array([True, False, True, False]))
    y = x[mask]
    mask[0] = False
    with pytest.raises(RuntimeError, match="getitem: its option index was written in place"):
        grad(y.sum(), x)


@pytest.mark.parametrize("make", [np.frombuffer, lambda b: np.asarray(memoryview(b))[:].view("f8")])
def test_memory_that_belongs_to_no_array(make: Any) -> None:
    """Two arrays on one buffer have nothing in common but their addresses."""
    buffer = bytearray(np.ones(4).tobytes())
    w, x = Tensor(np.ones(4), requires_grad=True), Tensor(make(buffer))
    loss = (w * x).sum()
    Tensor(make(buffer))[0] = 7.0
    gc.collect()
    with pytest.raises(RuntimeError, match="was written in place"):
        grad(loss, w)


def test_a_write_that_fails_halfway_is_a_write() -> None:
    w, x = Tensor(np.ones(2), requires_grad=True), Tensor(np.ones(2))
    loss = (w * x).sum()
    with pytest.raises(ValueError, match="could not convert"):
        x[:] = np.array([9.0, "no number"], dtype=object)
    with pytest.raises(RuntimeError, match="was written in place"):
        grad(loss, w)


def test_a_graph_on_an_optimisers_memory() -> None:
    p = Parameters({"x": (2,)}, np.ones(2))
    adam, w = tg.Adam(p), Tensor(np.ones(2), requires_grad=True)
    loss = (w * adam.state["m"]).sum()
    adam.update(p, p.copy(), 0.1)
    with pytest.raises(RuntimeError, match="was written in place"):
        grad(loss, w)


# The log of writes itself.


@pytest.mark.parametrize("place", [NUMPY, STRICT], ids=["numpy", "strict"])
def test_memory_that_is_gone_is_forgotten(place: Any) -> None:
    before = len(WRITES._last)
    x = Tensor(place.asarray(np.zeros(3)))
    for k in range(3):
        x[k] = 1.0
        x.detach()[:] = 2.0
    assert len(WRITES._last) == before + 1
    part = x.array[1:]
    del x
    gc.collect()
    assert len(WRITES._last) == before + 1  # a view still has it
    del part
    gc.collect()
    assert len(WRITES._last) == before


@pytest.mark.parametrize(
    "view",
    [lambda a: a, lambda a: a[::-1], lambda a: a[:, ::-2], lambda a: a.T[1:], lambda a: a[1, 2:]],
)
def test_the_span_of_a_view_is_numpys(view: Any) -> None:
    a = view(np.arange(20.0).reshape(4, 5))
    assert span_of(a) == np.lib.array_utils.byte_bounds(a)


def test_what_has_no_memory_of_its_own_is_never_stale() -> None:
    x = np.zeros(3)
    WRITES.note(x)
    assert WRITES.any_since(0, x) and WRITES.any_since(0, x[1:])
    assert not WRITES.any_since(0, x[:0]) and not WRITES.any_since(0, x.sum())
    assert not WRITES.any_since(WRITES.latest, x)
