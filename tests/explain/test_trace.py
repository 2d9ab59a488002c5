"""The trace: the numbers of the pages on paper, the names of the program, the lines of the ops."""

from __future__ import annotations

import linecache
import math
import re

import numpy as np
import pytest
from strict import STRICT

import tinygen as tg
from tinygen import Tensor
from tinygen.backend.numpy_backend import NUMPY
from tinygen.explain import Trace, trace
from tinygen.explain.__main__ import main
from tinygen.explain.sources import formula, partial_formula, place
from tinygen.explain.stepper.page import described
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


def test_a_line_of_a_notebook_is_of_its_cell():
    namespace = {"tg": tg}
    cell = "def loss(x):\n    h = x * x\n    return h + 1"
    file = "/tmp/ipykernel_7/1221192188.py"
    exec(compile(cell, file, "exec"), namespace)
    assert trace(namespace["loss"], np.array(3.0))["h"].line.startswith("cell:2: ")
    linecache.cache[file] = (len(cell), None, cell.splitlines(keepends=True), file)
    assert place(namespace["loss"]) == "cell:1"


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


def test_a_long_sum_is_shortened():
    def fan(p, n):
        return sum((p * float(i) for i in range(1, n + 1)), start=0.0)

    assert "5 + 4 + 3 + 2 + 1 = 15\n" in str(trace(fan, np.array(3.0), 5))
    for n in (12, 30):
        text = str(trace(fan, np.array(3.0), n))
        assert f"{n} + {n - 1} + … + 1 = {n * (n + 1) // 2}, {n} terms\n" in text
        assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("number", [-1.23456e-100, 0.5])
def test_long_numbers_leave_room_for_a_name(number):
    def f(p):
        return (p * p * p * p).sum()

    text = str(trace(f, np.full(4, number)))
    assert max(map(len, text.splitlines())) <= 80
    assert "   3  multiply2 " in text


def test_what_a_hook_makes_of_a_sum_is_no_part_of_it():
    def f(p):
        h = p * 2.0
        h.register_hook(lambda g: g * 0.5)
        return h * h + h

    t = trace(f, np.array(3.0))
    assert re.search(r"h +1 \+ 6 \+ 6 = 13; the hook: 6.5\n", str(t))
    assert (t["h"].hooked, t["p"].hooked) == (True, False) and t["p"].gradient == 13

    def alone(p):
        h = p * 2.0
        h.register_hook(lambda g: g * 0.5)
        return h * 3.0

    assert re.search(r"h +1.5 after the hook\n", str(trace(alone, np.array(3.0))))
    assert described(t)["nodes"][t["h"].index]["sum"]["total"] == 13


def test_each_name_is_given_once():
    parameters = {"multiply1": 2.0, "multiply2": 3.0}
    t = trace(lambda p: p["multiply1"] * p["multiply1"] * p["multiply2"], parameters)
    assert t.names == ("multiply1", "multiply3", "multiply2", "multiply4")

    def f(p):
        a, b, c = tg.name(p * 2, "x"), tg.name(p * 3, "x"), tg.name(p * 4, "x2")
        return tg.name(a * b * c, "x")

    assert trace(f, np.array(2.0)).names == ("p", "x", "x3", "x2", "multiply1", "x4")


def test_a_program_keeps_its_own_names_where_functions_call_them_something_else():
    def head(a, W):
        h = a @ W
        return h

    def tail(a):
        h = tg.tanh(a)
        return h

    def loss(p, x):
        h2 = tg.tanh(x @ p["W"])
        return tg.sum(tail(head(h2, p["V"])))

    t = trace(loss, {"W": np.ones((3, 4)), "V": np.ones((4, 4))}, np.ones((2, 3)))
    assert t.names == ("x", "W", "matmul1", "h2", "V", "h", "h3", "loss")

    def layer(x, W):
        x = x @ W
        return x

    def net(p, x):
        y = layer(x, p)
        return tg.sum(y)

    assert trace(net, np.ones((3, 4)), np.ones((2, 3))).names == ("x", "p", "y", "net")


def test_the_names_on_another_backend_are_the_same():
    model = VAE(6, (5,), 2)
    p, data = loss_of(model)
    names = trace(model.loss, p, *data).names
    there = {name: STRICT.asarray(np.asarray(array)) for name, array in p.items()}
    assert trace(model.loss, there, *map(STRICT.asarray, data)).names == names
    assert {"sigma", "mu", "z", "loss"} <= {*names} and "self" not in names


def test_what_stands_in_a_list_is_called_by_its_place():
    def f(p, *data):
        return tg.sum(p[0] * data[0] + p[1] * data[1])

    def unpacked(p, batch):
        x, y = batch
        return tg.sum(p * x + y)

    one, two, three = np.ones(2), np.full(2, 2.0), np.full(2, 3.0)
    t = trace(f, [one, two], two, three)
    assert {"p[0]", "p[1]", "data[0]", "data[1]"} <= {*t.names}
    assert [node.name for node in t.nodes if node.is_data] == ["data[0]", "data[1]"]
    t = trace(unpacked, one, (two, three))
    assert [node.name for node in t.nodes if node.is_data] == ["x", "y"]


def test_a_gradient_of_a_gradient_arrives_by_the_name_of_its_step():
    def f(p):
        (g,) = tg.grad(tg.sum(p * p * p), [p], create_graph=True)
        return tg.sum(g * g)

    t = trace(f, np.array([1.0, 2.0]))
    assert "from g: dg " in str(t)
    assert t.finite_difference("p", 1) == pytest.approx(t["p"].gradient[1], rel=1e-8)


def test_data_may_be_called_f():
    t = trace(lambda p, f: tg.sum(p["_w"] * f), {"_w": np.ones(2)}, f=np.ones(2))
    assert t.names == ("_w", "f", "multiply1", "sum1")


@pytest.mark.parametrize("backend", [NUMPY, STRICT], ids=["numpy", "strict"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_what_is_measured_is_measured_in_float64(dtype, backend):
    """A small derivative beside a large loss, through options and dtypes of the graph's own."""

    def loss(x):
        h = tg.astype(x * 3, dtype=np.float32)
        return tg.sum(tg.where(h > 0, h, 0.1 * h)) * np.float32(1e-3) + 500.0

    t = trace(loss, backend.asarray(np.array([0.5, -1e-3], dtype)))
    for i, expected in enumerate([3e-3, 3e-4]):
        exact = expected * float(np.float32(1e-3)) / 1e-3
        assert t.finite_difference("x", i) == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize(
    ("f", "x", "i", "expected"),
    [
        (lambda p: p[0] ** 4, [1, 1e8], 0, 4),
        (lambda p: p[1] ** 2, [1, 1e8], 1, 2e8),
        (lambda p: tg.sum(tg.log(p)), [1, 1e-9], 1, 1e9),
        (lambda p: p[0] * 2, [1, np.nan], 0, 2),
        (lambda p: tg.sum(tg.relu(p)), [1e-5, -1e-5], 0, 1),
        (lambda p: tg.sum(p * p) + 1e3, [0, 1e-9], 1, 2e-9),
        (lambda p: tg.sum(tg.relu(p)), [-1.5, -2], 0, 0),
    ],
)
def test_the_step_suits_the_element(f, x, i, expected):
    t = trace(f, np.array(x, float))
    assert t.finite_difference("p", i) == pytest.approx(expected, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("index", [(), slice(None), [0, 1], None, 2, (0, 0), "a"])
def test_one_element_is_measured(index):
    t = trace(lambda p: tg.sum(p * p), np.array([1.0, 2.0]))
    with pytest.raises(IndexError, match=r"one element of p, whose shape is \(2,\), got "):
        t.finite_difference("p", index)


def test_what_cannot_be_measured_is_refused():
    t = trace(lambda p, x: tg.sum(p * x), np.ones(2), np.array([1, 2]))
    with pytest.raises(TypeError, match="expected a step of floats, got x, which is of int64"):
        t.finite_difference("x", 0)
    with pytest.raises(TypeError, match="expected the name of a step, got a Node"):
        t.finite_difference(t["p"], 0)


def test_a_gradient_by_hand_has_no_trace():
    model = tg.VAE(6, (4,), 2)
    p = model.initialise(0, np.float64)
    data = model.draw(np.full((5, 6), 0.5), np.random.default_rng(0))
    with pytest.raises(TypeError, match=r"expected arrays .* got a Tensor .*; model\.loss takes"):
        trace(model.gradients("by-hand"), p, *data)
    with pytest.raises(TypeError, match=r"returned a tuple; model\.loss is a function that can be"):
        trace(lambda p, *data: (model.loss(p, *data), {}), p, *data)


def test_a_line_says_what_was_traced():
    x = tg.Tensor(3.0, requires_grad=True)
    loss = x * x + 1
    expected = "Trace(loss; 3 steps; 3 gradients; print it for a table)"
    assert repr(trace(loss)) == expected


def test_a_page_that_cannot_be_written_is_refused(capsys, tmp_path):
    for path in ("", ".", "/"):
        with pytest.raises(tg.InputError, match=r"expected a name that ends in \.html"):
            diamond().save(path)
        with pytest.raises(SystemExit):
            main(["diamond", "--out", path])
        assert "expected a name that ends in .html" in capsys.readouterr().err
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(IsADirectoryError):
        diamond().save(tmp_path / "folder.html")
    with pytest.raises(SystemExit):
        main(["diamond", "--overwrite", "--out", str(tmp_path / "folder.html")])
    assert "folder.html: Is a directory" in capsys.readouterr().err


def test_a_page_is_written_where_a_link_leads_and_says_what_it_can(tmp_path):
    (tmp_path / "link.html").symlink_to(tmp_path / "page.html")
    diamond().save(tmp_path / "link.html", about="half a character: \ud800")
    assert (tmp_path / "link.html").is_symlink()
    assert "half a character: ?" in (tmp_path / "page.html").read_text("utf-8")
    diamond().save(tmp_path / "half \udcff.html")


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
    with pytest.raises(TypeError, match="expected the parameters after the function"):
        trace(lambda: 1)
    with pytest.raises(TypeError, match="name: expected a Tensor, got a ndarray"):
        tg.name(np.ones(2), "z")
    with pytest.raises(TypeError, match="name: expected a name of type str, got a int"):
        tg.name(x, 5)


def test_the_graph_of_a_tensor_is_left_as_it_was():
    x = Tensor(3.0, requires_grad=True)
    y = x * x
    trace(y)
    y.backward()
    assert x.grad == 6 and math.isclose(trace(x * x)["x"].gradient, 6)
