"""The trace: the numbers of the pages on paper, the names of the program, the lines of the ops."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from strict import STRICT

import tinygen as tg
from tinygen import Tensor
from tinygen.explain import Trace, trace
from tinygen.explain.sources import formula, partial_formula, place
from tinygen.models import GAN, VAE, Autoencoder


def diamond() -> Trace:
    """docs/autograd.md works it on paper."""
    x = Tensor(3.0, requires_grad=True)
    a = x * x
    b = x + 1
    y = a * b
    return trace(y)


def test_the_diamond_of_the_page():
    t = diamond()
    assert t.names == ("x", "a", "b", "y")
    assert [node.value.item() for node in t.nodes] == [3, 9, 4, 36]
    assert [(n.name, n.gradient.item()) for n in t.visits] == [
        ("y", 1),
        ("b", 9),
        ("a", 4),
        ("x", 33),
    ]
    sent = [(a.sender.name, a.argument, a.formula, a.value.item()) for a in t["x"].arrivals]
    assert sent == [("b", "x", "g", 9), ("a", "x", "g * z", 12), ("a", "z", "g * x", 12)]
    assert [(argument, n.name) for argument, n in t["b"].inputs] == [("x", "x"), ("z", "1")]


def test_the_table_fits_a_terminal():
    assert str(diamond()).splitlines()[2:] == [
        "   1  x                                                                        3",
        "   2  a = x * x                                                                9",
        "   3  b = x + 1                                                                4",
        "   4  y = a * b                                                               36",
        "",
        "back                                                                    gradient",
        80 * "-",
        "   4  y                                                                        1",
        "   3  b                                                                        9",
        "        from y: dy * a                                                         9",
        "   2  a                                                                        4",
        "        from y: dy * b                                                         4",
        "   1  x                                                         9 + 12 + 12 = 33",
        "        from b: db                                                             9",
        "        from a: da * x                                                        12",
        "        from a: da * x                                                        12",
    ]
    model = VAE(6, (5,), 2)
    p = model.initialise(0)
    t = trace(model.loss, p, *model.draw(np.ones((4, 6), np.float32), np.random.default_rng(0)))
    assert max(map(len, str(t).splitlines())) <= 80


def loss_of(model, dtype=np.float64):
    rng = np.random.default_rng(1)
    p = model.initialise(0, dtype)
    p.flat[...] += 0.1 * rng.standard_normal(p.flat.shape)
    return p, model.draw(rng.random((4, 6)).astype(dtype), rng)


@pytest.mark.parametrize(
    "model",
    [VAE(6, (5,), 2), VAE(6, (5,), 2, objective="iwae", samples=3), Autoencoder(6, (5, 4), 2)],
)
def test_the_gradients_are_those_of_value_and_grad(model):
    p, data = loss_of(model)
    loss, gradients = tg.value_and_grad(model.loss)(p, *data)
    t = trace(model.loss, p, *data)
    assert t.nodes[-1].value == loss
    for name, g in gradients.items():
        np.testing.assert_array_equal(t[name].gradient, g)
        # What arrives is all of it.
        total = sum((arrival.value for arrival in t[name].arrivals), np.zeros(()))
        np.testing.assert_allclose(total, g, rtol=1e-12, atol=1e-15)


def test_each_gradient_is_what_finite_differences_of_the_rest_say():
    """From any node on, also from an interior one."""
    W = Tensor(np.array([[1.0, 2.0], [3.0, 5.0]]), requires_grad=True)
    x = np.array([[0.5, -1.0]])

    def rest(h):
        return float((np.tanh(h) ** 2).sum())

    h = tg.matmul(x, W)
    t = trace(tg.sum(tg.square(tg.tanh(h))))
    for j in range(2):
        step = np.zeros((1, 2))
        step[0, j] = 1e-6
        measured = (rest(h.array + step) - rest(h.array - step)) / 2e-6
        assert t["h"].gradient[0, j] == pytest.approx(measured, abs=1e-9)


def test_names_come_from_parameters_arguments_variables_and_the_program():
    def loss(p, x, scale):
        h = tg.tanh(x @ p["W"])
        tg.name(h * scale, "scaled")
        return tg.sum(h * h) + tg.sum(tg.name(h * scale, "s"))

    t = trace(loss, {"W": np.ones((3, 2))}, np.ones((4, 3)), np.array(2.0))
    assert {"W", "x", "h", "scale", "s"} <= {*t.names}
    assert len({*t.names}) == len(t.names)
    assert t["h"].line.startswith("test_trace.py:") and "tg.tanh(x @ p" in t["h"].line
    assert t["h"].scopes == ("loss",)
    with pytest.raises(KeyError, match=r"no step is called 'k'; there are .*h"):
        t["k"]


def test_functions_and_layers_are_scopes():
    model = VAE(6, (5,), 2)
    p, data = loss_of(model)
    t = trace(model.loss, p, *data)
    assert t["z"].scopes == ("loss", "reparameterise")
    assert any(node.scopes[-1:] == ("Dense",) for node in t.nodes)


def test_the_generators_gradient_passes_through_the_discriminator():
    model = GAN(6, 2, (5,), (3,))
    p = model.initialise(0, np.float64)
    g, d = p.part("generator."), p.part("discriminator.")
    t = trace(model.generator_loss, g, d, np.random.default_rng(0).standard_normal((4, 2)))
    on_the_way = [name for node in t.visits for name in node.scopes]
    assert "logits" in on_the_way and t["W1"].gradient.shape == g["W1"].shape
    (constant,) = [n for n in t.nodes if n.op is None and n.value is d["W1"]]
    assert constant.gradient is None


def test_formulas_are_those_of_the_source():
    assert formula(tg.multiply) == "x * z" and formula(tg.affine) == "x W + b"
    assert formula(tg.exp) == "e ** x" and formula(tg.sum) == "sum(x)"
    assert partial_formula(tg.multiply, 0) == "g * z"
    assert partial_formula(tg.where, 0) == "0"
    assert place(tg.exp.forward).startswith("tinygen/ops/arithmetic.py:")
    for op in tg.OPS.values():
        for i in range(len(op.arguments)):
            assert partial_formula(op, i) and "lambda" not in partial_formula(op, i)


@pytest.mark.parametrize("op", tg.OPS.values(), ids=str)
def test_formulas_need_no_helper_to_be_read(op):
    for text in [formula(op), *(partial_formula(op, i) for i in range(len(op.arguments)))]:
        assert not re.search(r"(?<!\w)_\w|\braw\(|axis=|shape=", text), text


ROW, OTHER = np.array([[0.7, 1.4]]), np.array([[0.2, 2.5]])
SAID = {
    "power": (ROW, OTHER), "logsumexp": (ROW,), "norm": (ROW,), "softmax": (ROW,),
    "log_softmax": (ROW,), "matmul": (ROW, OTHER.T), "mse": (ROW, OTHER),
    "bernoulli_nll": (ROW, OTHER), "gaussian_kl": (ROW, OTHER),
}  # fmt: skip


@pytest.mark.parametrize("name", SAID)
def test_what_a_docstring_says_is_what_the_partial_computes(name):
    op, inputs = tg.OPS[name], SAID[name]
    y = op(*inputs)
    g = np.full(np.shape(y), 1.3)
    letters = {**vars(tg), **dict(zip(op.arguments, inputs, strict=True)), "g": g, "y": y, "n": 2}
    for i, partial in enumerate(op.partials):
        said = eval(partial_formula(op, i), letters)
        np.testing.assert_allclose(said, partial(g, y, *inputs, **op.defaults), rtol=1e-12)


def test_slices_are_shown_as_in_a_program():
    x = Tensor(np.ones((3, 4)), requires_grad=True)
    text = str(trace(tg.sum(tg.name(x[1:, :-1], "part"))))
    assert "part = x[1:, :-1]" in text and "dpart at [1:, :-1], zeros elsewhere" in text


def test_a_leaf_stands_right_before_what_is_first_computed_from_it():
    def loss(p, x):
        h = x @ p["W"]
        return tg.sum(h * p["a"])

    p = {"a": np.ones(2), "W": np.ones((3, 2))}
    t = trace(loss, p, np.ones((4, 3)))
    assert t.names == ("x", "W", "h", "a", "multiply1", "loss")
    assert [node.name for node in t.visits] == ["loss", "multiply1", "a", "h", "W"]
    assert [node.name for node in t.nodes if node.is_data] == ["x"]


def test_the_result_of_a_loss_is_called_by_its_function():
    p, data = loss_of(VAE(6, (5,), 2))
    assert trace(VAE(6, (5,), 2).loss, p, *data).names[-1] == "loss"

    def named(x):
        J = tg.sum(x)
        return J

    assert trace(named, np.ones(2)).names[-1] == "J"


def test_an_op_without_source():
    """As in an interactive session."""
    scope = {"op": tg.op}
    exec("@op(dx=lambda g, y, x: 2 * g)\ndef twice(x):\n    return 2 * x", scope)
    del tg.OPS["twice"]
    x = Tensor(1.0, requires_grad=True)
    t = trace(scope["twice"](x))
    assert "twice(x)" in str(t) and place(scope["twice"].forward) == ""


def test_dot_draws_each_node_and_edge():
    lines = diamond().dot().splitlines()
    assert lines[0] == "digraph trace {" and lines[-1] == "}"
    assert sum("label=" in line for line in lines) == 4
    assert [line.strip() for line in lines if "->" in line] == [
        "n0 -> n1;", "n0 -> n1;", "n0 -> n2;", "n1 -> n3;", "n2 -> n3;",
    ]  # fmt: skip
    x = Tensor(1.0, requires_grad=True)
    assert r"\"quoted\"" in trace(tg.name(x * 2, '"quoted"')).dot()


def test_a_long_graph_is_cut_in_the_middle():
    x = Tensor(1.0, requires_grad=True)
    y = x
    for _ in range(10_000):
        y = y + 1
    text = str(trace(y))
    assert len(text.splitlines()) < 200 and "more" in text


def test_nan_is_shown_where_it_begins():
    x = Tensor(np.array([1.0, -1.0, 2.0, 3.0, 4.0]), requires_grad=True)
    with np.errstate(invalid="ignore"):
        h = tg.log(x)
        text = str(trace(tg.sum(h * 2)))
    assert "5, 1 of them NaN or infinite" in text


def test_a_trace_on_another_backend():
    x = Tensor(STRICT.asarray(np.array([1.0, 2.0])), requires_grad=True)
    assert "[1 2]" in str(trace(tg.sum(x * x)))


def test_what_cannot_be_traced_is_refused():
    x = Tensor(2.0, requires_grad=True)
    y = x * x
    y.backward()
    with pytest.raises(RuntimeError, match="was freed by an earlier backward pass"):
        trace(y)
    with pytest.raises(ValueError, match="depends on no tensor that requires a gradient"):
        trace(Tensor(1.0))
    with pytest.raises(ValueError, match="reduce it with sum"):
        trace(Tensor([1.0, 2.0], requires_grad=True) * 2)
    with pytest.raises(TypeError, match="trace: expected a Tensor, the function returned a float"):
        trace(lambda p: 1.0, np.ones(2))
    with pytest.raises(TypeError, match="expected a function or a Tensor, got a dict"):
        trace({})
    with pytest.raises(TypeError, match="expected no further arguments"):
        trace(x * x, 3)


def test_the_graph_of_a_tensor_is_left_as_it_was():
    x = Tensor(3.0, requires_grad=True)
    y = x * x
    trace(y)
    y.backward()
    assert x.grad == 6 and math.isclose(trace(x * x)["x"].gradient, 6)
