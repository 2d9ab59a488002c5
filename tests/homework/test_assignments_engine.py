"""Assignments 1, 2 and 4: their solutions against tinygen, against differences and on paper."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygen as tg
from tinygen import ops, optim
from tinygen.homework import assignment, feedback

ENGINE, PARTIALS, TRAINING = map(assignment.load, ("engine", "partials", "training"))
engine, partials, training = (
    # In other letters than the files have.
    assignment.execute(of.solution(of.variant(2)), "solution")
    for of in (ENGINE, PARTIALS, TRAINING)
)
RANDOM = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape)


def assert_close(got, expected) -> None:
    # Both are float64, and sums of few terms.
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-14)


def verdict_on(
    of: assignment.Assignment, question: str, region: str, seed: int = 0, number: int = 0
) -> feedback.Verdict:
    """On the solution with another answer, written below the function that is asked for."""
    variant = of.variant(number)
    source = of.solution(variant) + region
    known = of.known(question, variant, seed)
    return feedback.verdict(of.results(source, question, variant, seed), known)


# 1: the engine.


def test_the_engine_has_the_gradients_that_tinygens_has() -> None:
    """Diamonds, a node used twice at once, and all kinds of broadcasting."""

    def loss(of: Any, x: Any, z: Any, b: Any) -> Any:
        product = of.multiply(x, z)
        both = of.add(of.multiply(product, product), b)
        return of.total(of.exp(of.add(of.multiply(both, x), product)))

    class Tinygens:
        add, multiply, exp, total = ops.add, ops.multiply, ops.exp, ops.sum

    values = [0.5 * normal(*shape) for shape in ((4, 1), (2, 1, 3), ())]
    nodes = [engine.Node(value) for value in values]
    leaves = [tg.Tensor(np.asarray(value), requires_grad=True) for value in values]
    gradients = engine.gradients_of(loss(engine, *nodes))
    expected = tg.grad(loss(Tinygens, *leaves), leaves)
    for node, right in zip(nodes, expected, strict=True):
        assert gradients[node].shape == right.shape
        assert_close(gradients[node], right)


@given(st.lists(st.lists(st.integers(0, 30), max_size=3), min_size=1, max_size=30))
@settings(deadline=None, max_examples=50)
def test_an_order_is_a_topological_one_of_what_is_needed(choices: list[list[int]]) -> None:
    nodes: list[Any] = []
    for numbers in choices:
        parents = [nodes[i % len(nodes)] for i in numbers if nodes]
        nodes.append(engine.Node(0.0, parents, [lambda g: g] * len(parents)))

    def behind(node: Any) -> set[Any]:
        return {node}.union(*map(behind, node.parents)) if len(choices) < 12 else set()

    order = engine.order(nodes[-1])
    assert len(set(order)) == len(order)
    assert order[0] is nodes[-1]
    place = {node: i for i, node in enumerate(order)}
    assert all(place[p] > place[node] for node in order for p in node.parents)
    if len(choices) < 12:  # a walk along all paths
        assert set(order) == behind(nodes[-1])


def test_unbroadcast_is_the_gradient_of_a_broadcast() -> None:
    g = normal(2, 4, 3)
    for shape in ((), (3,), (1,), (4, 1), (1, 3), (2, 1, 3), (1, 1, 1), (2, 4, 3)):
        x = tg.Tensor(normal(*shape), requires_grad=True)
        expected = tg.grad(ops.broadcast_to(x, shape=g.shape), x, g=g)
        got = engine.unbroadcast(g, shape)
        assert got.shape == shape
        assert_close(got, expected)


def test_what_arrives_is_passed_on_and_not_written_into() -> None:
    """y = c + c x with c = x + b, so dx = g (1 + 2 x + b): a sum passes on the array itself."""
    (x, b), g = (engine.Node(normal(4)) for _ in range(2)), normal(4)
    c = engine.add(x, b)
    y = engine.add(c, engine.multiply(c, x))
    before = g.copy()
    gradients = engine.backward(engine.order(y), g)
    assert (g == before).all()
    assert_close(gradients[x], g * (1 + 2 * x.value + b.value))
    assert_close(gradients[b], g * (1 + x.value))


def test_measuring_is_exact_for_a_parabola() -> None:
    x, c = normal(2, 3), normal(2, 3)
    before = x.copy()
    got = engine.measure(lambda x: float(np.sum(c * x**2)), x, 0.1)
    assert (x == before).all()
    np.testing.assert_allclose(got, 2 * c * x, rtol=1e-12, atol=1e-12)


def diamond() -> list[Any]:
    """The result, b, a and x of the page."""
    x = engine.Node(2.0)
    a = engine.multiply(x, x)
    b = engine.add(a, x)
    return [engine.multiply(a, b), b, a, x]


def test_the_diamond_on_paper_and_the_two_wrong_numbers() -> None:
    y, b, a, x = diamond()
    assert y.value == 24
    assert engine.order(y) == [y, b, a, x]
    one = np.array(1.0)
    assert engine.backward([y, b, a, x], one) == {y: 1, b: 4, a: 10, x: 44}
    assert engine.backward([y, a, b, x], one)[x] == 28
    replaced = next(m for m in ENGINE.mistakes if m.question == "q4" and m.new.endswith("= part"))
    module = assignment.execute(ENGINE.solution(ENGINE.variant(0), [replaced]), "solution")
    assert module.backward([y, b, a, x], one)[x] == 8


def test_the_engines_other_examples_on_paper() -> None:
    product = engine.multiply(engine.Node([2, 3]), engine.Node([5, -1]))
    assert product.value.tolist() == [10, -3]
    parts = [partial(np.array([1, 10])) for partial in product.partials]
    assert [part.tolist() for part in parts] == [[5, -10], [2, 30]]
    g = np.array([[1.0, 2, 3], [4, 5, 6]])
    shapes = ((3,), (1, 3), (2, 1), ())
    got = [engine.unbroadcast(g, shape).tolist() for shape in shapes]
    assert got == [[5, 7, 9], [[5, 7, 9]], [[6], [15]], 21]
    assert engine.measure(lambda x: x[0] ** 3, np.ones(1), 0.1) == pytest.approx([3.01])


ORDERS = {
    "by the number of creation": """
class Node(Node):
    made = 0
    def __init__(self, *arguments):
        super().__init__(*arguments)
        Node.made += 1
        self.number = Node.made
def order(y):
    seen, waiting = {y}, [y]
    while waiting:
        for p in waiting.pop().parents:
            if p not in seen:
                seen.add(p)
                waiting.append(p)
    return sorted(seen, key=lambda node: -node.number)
""",
    "depth first, backwards": """
def order(y):
    done, finished, waiting = set(), [], [(y, False)]
    while waiting:
        node, left = waiting.pop()
        if left:
            finished.append(node)
        elif node not in done:
            done.add(node)
            waiting += [(node, True), *((p, False) for p in node.parents)]
    return finished[::-1]
""",
}


@pytest.mark.parametrize("name", ORDERS)
def test_every_order_is_accepted(name: str) -> None:
    assert verdict_on(ENGINE, "q2", ORDERS[name]) == feedback.Verdict(1)


WRONG_ORDERS = {
    "each when it is first met": ("order = [y]; [order.append(p) for n in order for p in n.parents "
                                  "if p not in order]", "which was computed from it"),
    "the leaves are missing": ("order = [y]", "it lacks 12 of the 13 nodes"),
    "the other way round": ("order = right(y)[::-1]; order[:2] = order[1::-1]",
                            "the list is the other way round: the result comes first"),
    "the result is missing": ("order = right(y)[2:]", "it lacks 2 of the 13 nodes, the result"),
    "a stranger": ("order = right(y) + [Node(0.0)]", "was not computed from"),
    "everything twice": ("order = [n for n in right(y) for _ in range(2)]", "each is due once"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG_ORDERS)
def test_what_is_no_order_is_refused_in_a_sentence(name: str) -> None:
    line, sentence = WRONG_ORDERS[name]
    source = f"\nright = order\ndef order(y):\n    {line}\n    return order\n"
    got = verdict_on(ENGINE, "q2", source)
    assert got.fraction == 0
    assert sentence in got.sentence


COUNTED_ONCE = """
def order(y):
    uses, waiting, nodes, ready = {y: 0}, [y], [], [y]
    while waiting:
        for p in set(waiting.pop().parents):
            waiting += [p] * (p not in uses)
            uses[p] = uses.get(p, 0) + 1
    while ready:
        nodes.append(ready.pop(PLACE))
        for p in nodes[-1].parents:
            uses[p] -= 1
            ready += [p] * (uses[p] == 0)
    return nodes
"""


@pytest.mark.parametrize("place", ["0", "-1"])
@pytest.mark.parametrize("seed", range(4))  # the parents in both orders
def test_a_parent_used_twice_is_two_uses(place: str, seed: int) -> None:
    got = verdict_on(ENGINE, "q2", COUNTED_ONCE.replace("PLACE", place), seed)
    assert "stands before node" in got.sentence


INTO_ZEROS = """
def backward(nodes, g):
    gradients = {n: np.zeros_like(n.value) for n in nodes}
    gradients[nodes[0]] = g
    for node in nodes:
        for parent, part in node.pass_on(gradients[node]):
            gradients[parent] += part
    return gradients
"""


INTO_THE_PART = """
def backward(nodes, g):
    gradients = {nodes[0]: g}
    for node in nodes:
        for parent, part in node.pass_on(gradients[node]):
            if parent in gradients:
                part += gradients[parent]
            gradients[parent] = part
    return gradients
"""


def test_what_a_node_passes_on_may_not_be_written_into() -> None:
    got = verdict_on(ENGINE, "q4", INTO_THE_PART)
    assert got.fraction == 0 and got.sentence.startswith("the gradient of d")


def test_nodes_in_reverse_order_are_not_a_strange_factor() -> None:
    source = INTO_ZEROS.replace("node in nodes:\n        for", "node in nodes[::-1]:\n        for")
    assert "from the leaves on" in verdict_on(ENGINE, "q4", source).sentence


def test_gradients_may_be_added_to_zeros_of_their_own_shapes() -> None:
    assert verdict_on(ENGINE, "q4", INTO_ZEROS) == feedback.Verdict(1)
    got = verdict_on(ENGINE, "q4", INTO_ZEROS.replace("n.value", "g"))
    assert "expected the shape (3,), got (4, 3)" in got.sentence


STOPPED = {
    "only the leaves": (
        "q4",
        INTO_ZEROS.replace(
            "return gradients", "return {n: gradients[n] for n in nodes if not n.parents}"
        ),
        "expected gradients of 6 nodes, got 1: none of f, e, d, c, b",
    ),
    "a partial that writes": (
        "q1",
        "def multiply(x, z):\n    return Node(x.value * z.value, (x, z), (lambda g: np.multiply("
        "g, z.value, out=g), lambda g: g * x.value))\n",
        "leave `g` as it is",
    ),
    "an array as a partial": (
        "q1",
        "def multiply(x, z):\n    return Node(x.value * z.value, (x, z), (z.value, x.value))\n",
        "expected partials that are functions of `g`, got ndarray",
    ),
    "values as parents": (
        "q1",
        "def multiply(x, z):\n    return Node(x.value * z.value, (x.value, z.value), (1, 1))\n",
        "expected as parents the two Nodes that were multiplied, got ndarray, ndarray",
    ),
    "no parents": (
        "q1",
        "def multiply(x, z):\n    return Node(x.value * z.value)\n",
        "expected as parents the two Nodes that were multiplied, got none",
    ),
    "no return": (
        "q1",
        "def multiply(x, z):\n    Node(x.value * z.value)\n",
        "expected a Node, got None: is there a return?",
    ),
    "an order of values": (
        "q2",
        "def order(y):\n    return [y.value]\n",
        "expected a list of nodes, got one with ndarray in it",
    ),
    "axes by their lengths": (
        "q3",
        "def unbroadcast(g, shape):\n    axes = tuple(i for i, n in enumerate(g.shape) "
        "if n not in shape)\n    return g.sum(axis=axes).reshape(shape)\n",
        "cannot reshape array of size 9",
    ),
    "moved and not moved back": (
        "q5",
        "def measure(f, x, h):\n    x += h\n    return x\n",
        "expected `x` as it was before",
    ),
}


@pytest.mark.parametrize("name", STOPPED)
def test_what_the_driver_refuses_it_says_in_a_sentence(name: str) -> None:
    question, source, sentence = STOPPED[name]
    with pytest.raises((TypeError, ValueError), match=re.escape(sentence)):
        verdict_on(ENGINE, question, source)


def test_what_a_product_passes_on_is_named_in_the_students_letters() -> None:
    for functions, sentence in {
        "lambda q: 0 * q, lambda q: q * s.value": "what goes to `s` is 0",
        "lambda q: q * s.value, lambda q: q * s.value": "what goes to `s` is what goes to `r`",
        "lambda q: q * r.value, lambda q: q": "what goes to `r` is wrong in all 12 elements",
    }.items():
        product = f"Node(s.value * r.value, (s, r), ({functions}))"
        source = f"def multiply(s, r):\n    return {product}\n"
        assert verdict_on(ENGINE, "q1", source, number=2).sentence.startswith(sentence)


def test_elements_that_stay_moved_are_seen() -> None:
    source = """
def measure(f, x, h):
    there, back, gradient = x.copy(), x.copy(), np.zeros_like(x)
    for i in np.ndindex(x.shape):
        there[i] += h
        back[i] = there[i] - 2 * h
        gradient[i] = (f(there) - f(back)) / (2 * h)
        back[i] = there[i]
    return gradient
"""
    assert "wrong in 5 of 6 elements" in verdict_on(ENGINE, "q5", source).sentence


# 2: partials.

MATRIX, ROW, LEFT, RIGHT = (5, 3), (3,), (5, 4), (4, 3)
OPS: dict[str, tuple[Callable[..., Any], tuple[int, ...], tuple[tuple[int, ...], ...]]] = {
    "divide": (ops.divide, MATRIX, (MATRIX, ROW)),
    "tanh": (ops.tanh, MATRIX, (MATRIX,)),
    "logsumexp": (lambda x: ops.logsumexp(x, axis=1), (5,), (MATRIX,)),
    "matmul": (ops.matmul, MATRIX, (LEFT, RIGHT)),
    "mean": (lambda x: ops.mean(x, axis=1), (5,), (MATRIX,)),
    "largest": (lambda x: ops.max(x, axis=1), (5,), (MATRIX,)),
}


TWICE = [name for name in OPS if name != "mean"]
"""What the second order is asked of."""

TIES = "largest", "ties"


def tensors(*arrays: np.ndarray) -> list[tg.Tensor]:
    return [tg.Tensor(x, requires_grad=True) for x in arrays]


def as_list(result: Any) -> list[Any]:
    return [*result] if isinstance(result, tuple) else [result]


def case_of(name: str, kind: str) -> tuple[np.ndarray, list[np.ndarray]]:
    """A cotangent, and arguments: generic, or with several largest elements in a row."""
    _, of_result, shapes = OPS[name]
    arguments = [normal(*shape) for shape in shapes]
    if kind == "ties":
        arguments[0] = np.round(arguments[0])
    return normal(*of_result), arguments


@pytest.mark.parametrize(("name", "kind"), [*((name, "generic") for name in OPS), TIES])
def test_first_order_partials_are_tinygens(name: str, kind: str) -> None:
    op, (g, xs) = OPS[name][0], case_of(name, kind)
    leaves = tensors(*xs)
    assert_close(getattr(partials, name)(*xs), op(*xs))
    got = as_list(getattr(partials, f"{name}_partials")(g, *xs))
    for dx, expected in zip(got, tg.grad(op(*leaves), leaves, g=g), strict=True):
        assert dx.shape == expected.shape
        assert_close(dx, expected)


@pytest.mark.parametrize(("name", "kind"), [*((name, "generic") for name in TWICE), TIES])
def test_second_order_partials_are_tinygens(name: str, kind: str) -> None:
    op, (g, xs) = OPS[name][0], case_of(name, kind)
    leaves = tensors(g, *xs)
    first = tg.grad(op(*leaves[1:]), leaves[1:], g=leaves[0], create_graph=True)
    directions = [normal(*x.shape) for x in xs]
    P = sum((v * r).sum() for v, r in zip(first, directions, strict=True))
    got = as_list(getattr(partials, f"{name}_second")(*directions, g, *xs))
    for dx, expected in zip(got, tg.grad(P, leaves), strict=True):
        assert dx.shape == expected.shape
        assert_close(dx, expected)


@pytest.mark.parametrize("name", TWICE)
def test_second_order_partials_are_differences_of_the_first(name: str) -> None:
    g, xs = case_of(name, "generic")
    first, second = (getattr(partials, f"{name}_{order}") for order in ("partials", "second"))
    directions, ways = [normal(*x.shape) for x in xs], [normal(*x.shape) for x in (g, *xs)]

    def P(step: float) -> float:
        moved = [x + step * way for x, way in zip((g, *xs), ways, strict=True)]
        return sum(np.sum(r * v) for r, v in zip(directions, as_list(first(*moved)), strict=True))

    got = sum(
        np.sum(d * way) for d, way in zip(as_list(second(*directions, g, *xs)), ways, strict=True)
    )
    # The error of a central difference is the square of its step, 1e-10.
    assert got == pytest.approx((P(1e-5) - P(-1e-5)) / 2e-5, rel=1e-6)


def test_logsumexps_partial_does_not_overflow() -> None:
    got = partials.logsumexp_partials(np.ones(1), np.array([[-1000.0, 1000]]))
    assert got.tolist() == [[0, 1]]


HALF = np.array([math.log(3) / 2])
LOG3 = np.array([[0.0, math.log(3)]])
FOUR = np.array([[1.0, 3, 2, 3]])


def test_examples_of_partials_on_paper() -> None:
    x, z, g = np.array([[2.0, 6], [4, 3]]), np.array([2.0, 3]), np.array([[1.0, 3], [2, 6]])
    assert_close(partials.divide(x, z), [[1, 2], [2, 1]])
    dx, dz = partials.divide_partials(g, x, z)
    assert_close(dx, [[0.5, 1], [1, 2]])
    assert_close(dz, [-2.5, -4])
    assert_close(partials.tanh(HALF), [0.5])
    assert_close(partials.tanh_partials(np.array([4.0]), HALF), [3])
    assert_close(partials.logsumexp(LOG3), [math.log(4)])
    assert_close(partials.logsumexp_partials(np.array([8.0]), LOG3), [[2, 6]])
    A, B, g = np.array([[1, 2], [0, 1]]), np.array([[1, -1], [2, 0]]), np.array([[1, 0], [2, -1]])
    assert_close(partials.matmul(A, B), [[5, -1], [2, 0]])
    dA, dB = partials.matmul_partials(g, A, B)
    assert_close(dA, [[1, 2], [3, 4]])
    assert_close(dB, [[1, 0], [4, -1]])
    assert_close(partials.mean_partials(np.array([8.0]), FOUR), [[2, 2, 2, 2]])
    assert_close(partials.largest_partials(np.array([4.0]), FOUR), [[0, 2, 0, 2]])


def test_examples_of_second_order_on_paper() -> None:
    one, two, three = (np.full((1, 1), float(i)) for i in (1, 2, 3))
    x, g = np.array([[6.0], [3]]), np.array([[4.0], [2]])
    v, w = partials.divide_partials(g, x, two[0])
    assert (v.tolist(), w.tolist()) == ([[2], [1]], [-7.5])
    dg, dx, dz = partials.divide_second(np.ones((2, 1)), one[0], g, x, two[0])
    assert (dg.tolist(), dx.tolist(), dz.tolist()) == ([[-1], [-0.25]], [[-1], [-0.5]], [6])
    dg, dx = partials.tanh_second(np.ones(1), np.full(1, 4.0), HALF)
    assert_close([dg[0], dx[0]], [0.75, -3])
    dg, dx = partials.logsumexp_second(np.array([[1.0, 0]]), np.array([8.0]), LOG3)
    assert_close(dg, [0.25])
    assert_close(dx, [[1.5, -1.5]])
    got = partials.matmul_second(7 * one, 11 * one, 5 * one, two, three)
    assert [d.item() for d in got] == [43, 55, 35]
    dg, dx = partials.largest_second(np.array([[1.0, 2, 3, 4]]), np.array([4.0]), FOUR)
    assert (dg.tolist(), dx.tolist()) == ([3], [[0, 0, 0, 0]])


@pytest.mark.parametrize("number", range(3))
def test_each_of_several_results_has_the_name_that_the_student_gave_it(number: int) -> None:
    variant = PARTIALS.variant(number)
    (got,) = PARTIALS.results(PARTIALS.solution(variant), "q10", variant, 0)
    g, A, B = (variant.names.get(name, name) for name in "gAB")
    assert [*got] == [f"`d{letter}`" for letter in (g, A, B)]


@pytest.mark.parametrize(
    ("result", "got"), [("g", "one alone"), ("None", "None: is there a ret"), ("g, g, g", 3)]
)
def test_too_few_or_too_many_results_are_counted(result: str, got: object) -> None:
    source = f"def matmul_partials(g, A, B): return {result}"
    with pytest.raises(ValueError, match=f"expected 2 results, `dA`, `dB`, got {got}"):
        PARTIALS.results(source, "q4", PARTIALS.variant(0), 0)


# 4: training.


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_adam_is_tinygens(decay: float) -> None:
    p = normal(7)
    expected = tg.Parameters({"p": (7,)}, p.copy())
    adam = tg.AdamW(expected, beta1=0.8, beta2=0.9, epsilon=0.01, weight_decay=decay)
    state = None
    for rate in (0.1, 0.3, 0.2, 0.05):
        g = normal(7)
        p, state = training.adam(p, g, state, rate, 0.8, 0.9, 0.01, decay)
        adam.update(expected, tg.Parameters({"p": (7,)}, g), rate)
        assert_close(p, expected.flat)


def test_the_averages_are_those_sums() -> None:
    """(1) and (2) of the page, with all gradients at once."""
    gradients, beta1, beta2 = normal(6, 3), 0.8, 0.95
    m = v = np.zeros(3)
    for g in gradients:
        m, v = training.moments(m, v, g, beta1, beta2)
    ages = np.arange(6)[::-1, None]
    assert_close(m, (1 - beta1) * np.sum(beta1**ages * gradients, axis=0))
    assert_close(v, (1 - beta2) * np.sum(beta2**ages * gradients**2, axis=0))


def test_l2_is_the_gradient_of_the_penalty() -> None:
    p, g, way = normal(5), normal(5), normal(5)
    J = lambda p: g @ p + 0.3 / 2 * p @ p  # noqa: E731
    difference = (J(p + 1e-5 * way) - J(p - 1e-5 * way)) / 2e-5
    assert training.with_l2(g, p, 0.3) @ way == pytest.approx(difference, rel=1e-8)


def test_the_schedule_is_tinygens() -> None:
    top, warm, steps = 0.7, 5, 17
    expected = optim.warm_up(optim.linear(top, steps - warm), warm)
    for t in range(steps):
        assert training.rate_of(t, top, warm, steps) == pytest.approx(expected(t), rel=1e-14)


def test_an_epoch_has_each_image_once_and_a_seed_has_its_order() -> None:
    random = np.random.default_rng(5)
    first, second = (np.concatenate(training.batches(23, 4, random)) for _ in range(2))
    assert sorted(first) == sorted(second) == [*range(23)]
    assert [*first] != sorted(first)
    assert [*first] != [*second]
    again = training.batches(23, 4, np.random.default_rng(5))
    assert [*first] == [*np.concatenate(again)]
    assert [*map(len, again)] == [4, 4, 4, 4, 4, 3]


def test_each_step_gets_the_results_of_the_one_before() -> None:
    calls: list[Any] = []

    def update(*arguments: Any) -> tuple[int, int]:
        calls.append(arguments)
        return arguments[0] + 1, len(calls)

    p = training.train(
        10,
        2,
        lambda epoch: [(epoch, "first"), (epoch, "second")],
        lambda t: 7 * t,
        lambda p, batch: (0.0, (p, *batch)),
        update,
    )
    assert p == 14
    assert calls == [
        (10, (10, 0, "first"), None, 0),
        (11, (11, 0, "second"), 1, 7),
        (12, (12, 1, "first"), 2, 14),
        (13, (13, 1, "second"), 3, 21),
    ]


def test_examples_of_training_on_paper() -> None:
    m = v = 0.0
    table = []
    for t, g in ((1, 4.0), (2, 2.0)):
        m, v = training.moments(m, v, g, 1 / 2, 3 / 4)
        table.append((m, v, *training.corrected(m, v, t, 1 / 2, 3 / 4)))
    assert_close(table, [(2, 4, 4, 16), (2, 4, 8 / 3, 64 / 7)])
    assert training.step(1.0, 4.0, 16.0, 0.1, 1.0) == pytest.approx(0.92)
    assert 1 - 0.1 * 4 / math.sqrt(17) == pytest.approx(0.903, abs=5e-4)
    assert training.with_l2(1.0, 3.0, 0.5) == 2.5
    assert training.decayed(3.0, 0.1, 0.5) == pytest.approx(2.85)
    assert [training.rate_of(t, 1, 2, 6) for t in range(6)] == [0.5, 1, 1, 0.75, 0.5, 0.25]
    assert [*map(len, training.batches(7, 3, np.random.default_rng(0)))] == [3, 3, 1]


def test_what_playing_prints_is_on_the_page(capsys) -> None:
    training.play()
    lines = capsys.readouterr().out.splitlines()
    numbers = {line.rpartition(": ")[0]: line.split()[-1] for line in lines}
    assert all(
        numbers[name] in TRAINING.page
        for name in ("before training", "after training with adam", "the least that is possible")
    )


BATCHES = {
    "a shuffle": ("order = np.arange(n); random.shuffle(order)", ""),
    "by random keys": ("order = np.argsort(random.random(n))", ""),
    "numpy's own generator": ("order = np.random.permutation(n)", "not drawn from `random`"),
    "the order of the numbers": ("order = np.arange(n)", "in the order of their numbers"),
    "the same, turned": ("order = np.roll(np.arange(n), random.integers(1, n))", "not shuffled"),
    "the same, in steps": (
        "order = 7 * np.arange(n) % n if n % 7 else np.arange(n)[::-1]",
        "order",
    ),
    "one order, turned": (
        "order = np.roll(np.random.default_rng(0).permutation(n), random.integers(1, n))",
        "not shuffled",
    ),
    "batches are shuffled": (
        "starts = random.permutation(range(0, n, size)); "
        "order = np.concatenate([np.arange(n)[i : i + size] for i in starts])",
        "not shuffled",
    ),
    "one image is missing": ("order = random.permutation(n)[1:]", "1 of "),
    "one image twice": ("order = np.append(random.permutation(n), 0)", "in its batches"),
    "numbers that are not whole": ("order = random.permutation(n) / 2", "whole numbers"),
    "nothing": ("return", "got None: is there a return?"),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", BATCHES)
def test_batches_are_judged_by_what_they_have_to_be(name: str, seed: int) -> None:
    line, sentence = BATCHES[name]
    body = f"    {line}\n    return [order[i : i + size] for i in range(0, n, size)]\n"
    source = f"\ndef batches(n, size, random):\n{body}"
    try:
        got = verdict_on(TRAINING, "q7", source, seed)
    except TypeError as error:  # the driver's
        assert sentence and sentence in str(error)
        return
    assert got.fraction == (not sentence)
    if sentence:
        hints = [h.hint for h in TRAINING.mistakes if h.question == "q7"]
        assert sentence in got.sentence or got.sentence in hints


LOOP = """
def train(p, epochs, batches, schedule, loss_and_grad, update):
    first, state, t = p, None, 0
    for epoch in range(epochs):
        for batch in {batches}:
            _, g = loss_and_grad(p, batch)
            {step}
            t += 1
    return {result}
"""
STEP = "p, state = update(p, g, state, schedule(t))"
LOOPS: Mapping[str, tuple[float, dict[str, str]]] = {
    "right": (1, {}),
    "the batches in another order": (1, {"batches": "batches(epoch)[::-1]"}),
    "half of the steps": (0, {"step": f"if epoch % 2: {STEP}"}),
    "the batches of the first epoch": (0.5, {"batches": "batches(0)"}),
    "a first state of one's own": (0.5, {"step": "state = 0 if state is None else state; " + STEP}),
    "a rate of one's own": (0.5, {"step": STEP.replace("schedule(t)", "0.7")}),
    "gradient descent": (0, {"step": "p = p - schedule(t) * g"}),
    "update is called, and ignored": (0, {"step": STEP.replace("p,", "_,") + "; p = p - g"}),
    "the first parameters": (0, {"result": "first"}),
    "zeros": (0, {"result": "0 * p"}),
    "another shape": (0, {"result": "p.T"}),
    "nothing is done": (0, {"step": "pass"}),
    "from outside, as if trained": (0, {"result": "np.linalg.qr(p)[0]"}),
    "too many steps": (0, {"batches": "batches(epoch) * 2", "step": STEP.replace("t)", "t // 2)")}),
}


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_gets_its_points_for_what_update_made(name: str) -> None:
    """A loop that finds its parameters in another way gets none, however good they are."""
    fraction, parts = LOOPS[name]
    loop = LOOP.format(**{"batches": "batches(epoch)", "step": STEP, "result": "p", **parts})
    assert verdict_on(TRAINING, "q8", loop).fraction == fraction


@pytest.mark.parametrize(("result", "got"), [("None", "None: is there a return?"), ("0", "int")])
def test_a_loop_that_returns_no_parameters_is_told_so(result: str, got: str) -> None:
    loop = LOOP.format(batches="batches(epoch)", step=STEP, result=result)
    with pytest.raises(ValueError, match=re.escape(f"expected the parameters, got {got}")):
        verdict_on(TRAINING, "q8", loop)


def test_adam_of_ones_own_is_not_the_update_that_was_given() -> None:
    own = LOOP.format(
        batches="batches(epoch)", step="p, state = adam(p, g, state, 0.02)", result="p"
    )
    got = verdict_on(TRAINING, "q8", own)
    assert got == feedback.Verdict(0, "`update` was never called")


@pytest.mark.parametrize("seed", range(50))
def test_a_right_order_is_never_taken_for_another(seed: int) -> None:
    assert verdict_on(TRAINING, "q7", "", seed) == feedback.Verdict(1)


def test_all_numbers_are_those_of_the_seed() -> None:
    """Else what is made of them could be read off the public results."""
    for question in ("q1", "q2", "q3", "q4", "q5", "q6", "q7"):
        cases = [TRAINING.cases(question, "", seed)[-1] for seed in range(6)]
        for name in cases[0]:
            assert len({np.sum(case[name]) for case in cases}) > 2, (question, name)


def test_steps_that_are_made_up_are_refused_before_they_are_repeated() -> None:
    (case,) = TRAINING.cases("q8", "", 0)
    (got,) = TRAINING.results(TRAINING.solution(TRAINING.variant(0)), "q8", TRAINING.variant(0), 0)
    steps = len(got["sizes"])
    for made_up in (
        {"images": np.zeros((1, 10**6), dtype=int)},
        {"images": got["images"] + 90},
        {"images": got["images"] * 1.0},
        {"sizes": np.array([steps])},
        {"sizes": np.append(got["sizes"][:-2], [-1, 31])},
        {"rates": got["rates"][None]},
        {"state is None": got["state is None"][1:]},
    ):
        verdict = TRAINING.module.judge_q8(got | made_up, got, case)
        assert verdict == feedback.Verdict(0, "this is no record of steps")


@pytest.mark.parametrize("seed", range(3, 9))
def test_a_right_loop_is_far_below_the_figure(seed: int) -> None:
    """The page says less than 1.03 times the error of singular vectors."""
    case = TRAINING.cases("q8", "", seed)[0]
    variant = TRAINING.variant(0)
    p = TRAINING.results(TRAINING.solution(variant), "q8", variant, seed)[0]["p"]
    axes = np.linalg.svd(case["images"])[2][:5].T
    errors = [np.mean((case["held"] @ q @ q.T - case["held"]) ** 2) for q in (p, axes)]
    assert errors[0] < 1.03 * errors[1]
