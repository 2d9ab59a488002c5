"""A gradient that is wrong says why: planted mistakes of each kind, by hand and in ops."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import numpy as np
import pytest

import tinygen as tg
from tinygen.autograd import OPS, op
from tinygen.autograd.operators import raw
from tinygen.explain import checks
from tinygen.explain.diagnosis.arrays import explain_array
from tinygen.explain.diagnosis.factors import named

RNG = np.random.default_rng(0)
G = {"W": RNG.standard_normal((4, 4)), "V": RNG.standard_normal((4, 4)), "b": RNG.random(5)}
SIZES = {5: "n", 4: "W.shape[0]"}


def kind_of(wrong: Any, name: str = "W", tolerance: float = 1e-7) -> tuple[str, str]:
    """That of the simplest explanation of one array, and its words."""
    explanations = explain_array(name, G | {name: wrong}, G, SIZES, tolerance)
    return (explanations[0].kind, explanations[0].text) if explanations else ("", "")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-1, "-1"),
        (0.5, "1/2"),
        (0.2, "1/n with n = 5"),
        (5**0.5, "sqrt(n) with n = 5"),
        (0.05, "1/(4 n) with 4 = W.shape[0] and n = 5"),
        (1.25, "n/(n - 1) with n = 5"),
        (3 / 7, "3/7"),
    ],
)
def test_a_factor_is_named_in_the_sizes_at_hand(value: float, text: str) -> None:
    factor = named(value * (1 + 1e-9), SIZES, 1e-7)
    assert factor is not None and factor.text == text
    assert named(0.1234567, SIZES, 1e-7) is None


@pytest.mark.parametrize(
    ("kind", "name", "wrong"),
    [
        ("factor", "W", -G["W"]),
        ("factor", "b", G["b"] / 5),
        ("zero", "W", 0 * G["W"]),
        ("transposed", "W", G["W"].T),
        ("exchanged", "W", G["V"]),
        ("rows", "b", G["b"] * [0, 0, 0, 1, 1]),
        ("axis", "W", np.tile(G["W"].sum(axis=0), (4, 1))),
        ("shift", "b", G["b"] + 0.3),
        ("", "W", RNG.standard_normal((4, 4))),
    ],
)
def test_what_is_wrong_with_one_array(kind: str, name: str, wrong: Any) -> None:
    assert kind_of(wrong, name)[0] == kind


# A network of one hidden layer, by hand, in which each line can be wrong.

X, T = RNG.standard_normal((5, 3)), RNG.standard_normal((5, 2))
P = {
    "W": RNG.standard_normal((3, 4)),
    "b": RNG.standard_normal(4),
    "V": RNG.standard_normal((4, 2)),
}


def loss(p: Any, x: Any, t: Any) -> Any:
    h = tg.tanh(tg.affine(x, p["W"], p["b"]))
    error = h @ p["V"] - t
    return tg.mean(tg.sum(error * error, axis=1))


LINES = {
    "de": "2 * e / len(x)",
    "dV": "h.T @ de",
    "dh": "de @ p['V'].T",
    "da": "dh * (1 - h * h)",
    "dW": "x.T @ da",
    "db": "da.sum(axis=0)",
}


def by_hand(p: Any, x: Any, t: Any, **wrong: str) -> Any:
    h = np.tanh(x @ p["W"] + p["b"])
    e = h @ p["V"] - t
    values = {"p": p, "x": x, "h": h, "e": e}
    for name, line in {**LINES, **wrong}.items():
        values[name] = eval(line, {"len": len, "np": np}, values)
    return (e * e).sum() / len(x), {name: values[f"d{name}"] for name in p}


def reason(f: Any, g: Any = None, dtype: Any = np.float64) -> str:
    """The lines that a failed comparison adds, as one."""
    p = {name: x.astype(dtype) for name, x in P.items()}
    with pytest.raises(tg.GradientError) as raised:
        tg.compare_gradients(f, g or tg.value_and_grad(loss), p, X.astype(dtype), T.astype(dtype))
    message = str(raised.value)
    assert max(map(len, message.split("\n"))) <= 80
    first, *reasons = re.split(r"\n(?! )", message)  # what goes on in the next line is indented
    assert "these agree" in " ".join(first.split())
    return " ".join(" ".join(reasons).split())


MISTAKES = [
    ("de", "2 * e", "a sum for a mean"),
    ("de", "e / len(x)", "multiplied by 1/2|factor error were left out|counted"),
    ("dV", "-h.T @ de", "the gradient of V has the other sign"),
    ("dV", "h[-1:].T @ de[-1:]", "only the last row of the batch counted"),
    ("da", "dh", "the derivative of tanh were left out on the path back from tanh1|from h "),
    ("da", "dh * (1 - h * h) ** 2", "the derivative of tanh were applied twice"),
    ("da", "dh * (1 - h)", "1 - the result of tanh stood for the derivative of tanh"),
    ("dh", "0 * h", "were missing"),
    ("dW", "x.T @ da / 5", "1/n with n = 5"),
    ("db", "da.mean(axis=0)", "the gradient of b is 1/n with n = 5 times what is right"),
    ("dh", "0.5 + 0 * h", "the same number, 0.5, arrived at every element of h"),
    ("de", "2 * e / len(x) * (1 - np.tanh(h @ p['V']) ** 2)", "tanh were applied to matmul1"),
    ("da", "de @ p['V'].T * (1 - h[::-1] ** 2)", "no known mistake"),
    ("dW", "np.cos(x).T @ da", "no known mistake"),
]


@pytest.mark.parametrize(("name", "line", "words"), MISTAKES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_mistake_by_hand_is_named(name: str, line: str, words: str, dtype: Any) -> None:
    said = reason(partial(by_hand, **{name: line}), dtype=dtype)
    assert any(w in said for w in words.split("|")), said


def test_the_function_of_tensors_may_be_the_first_one_and_as_it_is() -> None:
    wrong = partial(by_hand, da="dh")
    assert "why: the second one is as if the derivative of tanh" in reason(loss, wrong)
    assert "the derivative of tanh" in reason(wrong, loss)


def test_what_compare_gradients_cannot_compare_is_named() -> None:
    model = tg.VAE(6, (4,), 2)
    p = model.initialise(0, np.float64)
    data = model.draw(RNG.random((5, 6)), np.random.default_rng(0))
    by_hand = model.gradients("by-hand")
    for loss_alone in (lambda p, *data: by_hand(p, *data)[0],
                       lambda p, *data: float(by_hand(p, *data)[0])):  # fmt: skip
        for pair in ((loss_alone, model.loss), (by_hand, loss_alone)):
            with pytest.raises(
                TypeError, match=r"expected \(loss, gradients\), or the loss of Tens"
            ):
                tg.compare_gradients(*pair, p, *data)
    with pytest.raises(TypeError, match=r"expected two functions, .* got a str"):
        tg.compare_gradients(by_hand, "autograd", p, *data)


def test_two_functions_by_hand_are_compared_array_by_array() -> None:
    wrong = partial(by_hand, db="-da.sum(axis=0)")
    assert "why: the gradient of b has the other sign; fits to 16 digits" in reason(wrong, by_hand)


@pytest.mark.parametrize("names", [("W", "V"), ("a", "b"), ("is", "i"), ("W1", "W10")])
def test_one_mistake_in_several_gradients_is_one_whatever_they_are_called(names: Any) -> None:
    """A name may be a part of the sentence that it stands in."""
    p = {name: RNG.standard_normal((3, 4 + i)) for i, name in enumerate(names)}

    def squares(p: Any, factor: float) -> Any:
        return sum((x**2).sum() for x in p.values()), {n: factor * x for n, x in p.items()}

    said = f"(?s)why: the gradient of {names[0]}, {names[1]} is 13/2 times what is right; fits"
    with pytest.raises(tg.GradientError, match=said):
        tg.compare_gradients(lambda p: squares(p, 13.0), lambda p: squares(p, 2.0), p)


def test_of_two_paths_the_one_that_is_missing_is_named() -> None:
    def two(p: Any, x: Any, _: Any) -> Any:
        h = tg.exp(p["b"])
        return tg.sum(h * h) + 3.0 * tg.sum(tg.sin(h))

    def one(p: Any, *_: Any) -> Any:
        h = np.exp(p["b"])
        return (h * h).sum() + 3 * np.sin(h).sum(), {"b": 3 * np.cos(h) * h}

    with pytest.raises(tg.GradientError, match=r"back from (add1|two) to sum1 were missing"):
        tg.compare_gradients(one, tg.value_and_grad(two), {"b": P["b"]}, X, T)


def test_a_loss_that_is_wrong_is_explained_as_well() -> None:
    def half(p: Any, x: Any, t: Any) -> Any:
        J, g = by_hand(p, x, t)
        return J + np.log(5), g

    with pytest.raises(tg.GradientError, match=r"the loss is log\(5\) more than it should be"):
        tg.compare_gradients(half, loss, P, X, T)


def test_a_step_that_is_a_constant_in_the_graph_is_named() -> None:
    def cut(p: Any, x: Any, _: Any) -> Any:
        h = tg.tanh(x @ p["W"])
        return tg.sum(h * raw(h) + h)

    def whole(p: Any, x: Any, _: Any) -> Any:
        h = np.tanh(x @ p["W"])
        return (h * h + h).sum(), {"W": x.T @ ((2 * h + 1) * (1 - h * h))}

    with pytest.raises(tg.GradientError, match=r"(?s)were\s+no\s+constant,\s+but\s+h\s+with"):
        tg.compare_gradients(whole, cut, {"W": P["W"]}, X, T)


def test_a_loss_along_another_axis_is_named() -> None:
    def of(p: Any, axis: int) -> Any:
        return -tg.mean(tg.log_softmax(X @ p["W"], axis=axis) * X[:, :1])

    wrong = tg.value_and_grad(lambda p, *_: of(p, 0))
    with pytest.raises(
        tg.GradientError, match=r"log_softmax1\s+were\s+along\s+axis\s+0,\s+not\s+1"
    ):
        tg.compare_gradients(wrong, lambda p, *_: of(p, 1), {"W": P["W"]}, X, T)


# Finite differences.


def test_a_gradient_by_hand_is_checked_by_differences() -> None:
    right = lambda p: by_hand(p, X, T)  # noqa: E731
    assert tg.check_gradients(right, P).checks == 9
    p = tg.Parameters({name: x.shape for name, x in P.items()}, np.zeros(24))
    p.flat = RNG.standard_normal(24)
    assert tg.check_gradients(right, p, elementwise=True).checks == 9 + 24
    with pytest.raises(tg.GradientError, match=r"why: the gradient of b is 1/5 times|1/n|5 with"):
        tg.check_gradients(lambda p: by_hand(p, X, T, db="da.mean(axis=0)"), P)
    with pytest.raises(ValueError, match="expected order=1 for a function that returns gradients"):
        tg.check_gradients(right, P, order=2)
    with pytest.raises(tg.GradientError, match=r"expected a gradient of shape \(4,\), got one of"):
        tg.check_gradients(lambda p: by_hand(p, X, T, db="da"), P)


@pytest.fixture
def cube(request: Any) -> Any:
    """An op of which a partial is wrong."""

    @op(dx=request.param)
    def cube(x: Any) -> Any:
        return x * x * x

    yield cube
    del OPS["cube"]


@pytest.mark.parametrize(
    ("cube", "words"),
    [
        (lambda g, y, x: 3.0 * x * g, "the partial dx of cube is wrong"),
        (lambda g, y, x: -3.0 * x * x * g, "what it returns has the other sign"),
        (lambda g, y, x: 1.5 * x * x * g, "what it returns is 1/2 times what is right"),
    ],
    indirect=["cube"],
)
def test_the_op_whose_partial_is_wrong_is_named_with_its_line(cube: Any, words: str) -> None:
    def f(p: Any) -> Any:
        return tg.sin(cube(tg.tanh(p["b"])) + p["b"])

    with pytest.raises(tg.GradientError) as raised:
        tg.check_gradients(f, P)
    said = " ".join(str(raised.value).split())
    assert said.startswith("input b, index (0,): expected ")
    assert words in said and "test_diagnosis.py" in said and "the partial dx of cube" in said


@pytest.mark.parametrize("name", ["multiply", "sum"])
def test_ops_that_the_check_itself_needs_are_named_as_well(name: str, monkeypatch: Any) -> None:
    right = OPS[name].partials
    monkeypatch.setattr(OPS[name], "partials", (lambda *a, **o: 2 * right[0](*a, **o), *right[1:]))
    with pytest.raises(
        tg.GradientError, match=rf"(?s)the\s+partial\s+dx\s+of\s+{name}\s+is\s+wrong"
    ):
        tg.check_gradients(lambda p: tg.exp(p["b"] * X[0, 0]), P)


def test_a_path_that_is_cut_is_told_from_a_wrong_partial() -> None:
    def f(p: Any) -> Any:
        return p["b"] * p["b"].array

    with pytest.raises(tg.GradientError, match=r"(?s)1/2 times what is right.*a path is\s+missing"):
        tg.check_gradients(f, P)


def test_what_was_said_before_is_said_first_and_the_error_carries_both_gradients() -> None:
    wrong = partial(by_hand, db="-da.sum(axis=0)")
    for check in (tg.compare_gradients, tg.autograd.compare_gradients):
        with pytest.raises(tg.GradientError, match=r"^b\[\d\]: the first gradient is") as raised:
            check(wrong, by_hand, P, X, T)
        error: Any = raised.value
        assert error.name == "b"
        np.testing.assert_array_equal(error.got["b"], -error.expected["b"])


def test_it_works_on_every_backend(backend: Any) -> None:
    model = tg.models.VAE(pixels=6, hidden=(5,), latent=4, activation="tanh")
    p = model.initialise(0, np.float64, backend)
    data = model.draw(backend.generator(1).random((3, 6), dtype=np.float64), backend.generator(2))
    autograd = model.gradients("autograd")

    def wrong(p: Any, *data: Any) -> Any:
        J, g = autograd(p, *data)
        g["decoder.b2"][...] *= -1
        return J, g

    with pytest.raises(
        tg.GradientError, match=r"(?s)why: the gradient of decoder.b2 has the\s+other"
    ):
        tg.compare_gradients(wrong, autograd, p, *data)
    dtanh = OPS["tanh"].partials
    OPS["tanh"].partials = (lambda g, y, x: -g * (1 - y * y),)
    try:
        with pytest.raises(tg.GradientError, match=r"(?s)partial\s+dx\s+of\s+tanh.*other\s+sign"):
            tg.check_gradients(lambda q: model.loss(q, *data), p)
    finally:
        OPS["tanh"].partials = dtanh


def test_a_search_that_fails_says_so_and_hides_nothing(monkeypatch: Any) -> None:
    def broken(*_: Any) -> Any:
        raise KeyError("W9")

    monkeypatch.setattr(checks, "why_not_equal", broken)
    said = reason(partial(by_hand, db="-da.sum(axis=0)"))
    assert said == "(the search for a reason failed: KeyError: 'W9')"


def test_what_has_no_reason_gets_none() -> None:
    bad = lambda p, x, t: (np.nan, by_hand(p, x, t)[1])  # noqa: E731
    missing = lambda p, x, t: (by_hand(p, x, t)[0], {"W": P["W"]})  # noqa: E731
    for f in (bad, missing):
        with pytest.raises(tg.GradientError) as raised:
            tg.compare_gradients(f, loss, P, X, T)
        assert "why: as if" not in str(raised.value)
    assert "why" not in str(raised.value), "what is missing says it all"


def test_a_partial_that_is_cut_off_from_its_argument_is_named_by_the_second_order() -> None:
    @op(dx=lambda g, y, x: g * 2.0 * getattr(x, "array", x))
    def parabola(x: Any) -> Any:
        return x * x

    try:
        tg.check_gradients(lambda p: parabola(tg.sin(p["b"])), P)
        with pytest.raises(
            tg.GradientError, match=r"(?s)second order.*dx\s+of\s+parabola\s+is\s+wrong"
        ):
            tg.check_gradients(lambda p: parabola(tg.sin(p["b"])), P, order=2)
    finally:
        del OPS["parabola"]


def test_one_mistake_in_every_layer_is_one_mistake() -> None:
    model = tg.models.Classifier(pixels=6, hidden=(5, 8), classes=4, activation="tanh", dropout=0.3)
    right = model.gradients("autograd")

    def no_masks_on_the_way_back(p: Any, x: Any, t: Any, masks: Any) -> Any:
        h = [x]
        f = []
        for k in (1, 2):
            y = np.tanh(h[-1] @ p[f"W{k}"] + p[f"b{k}"])
            h.append(y * masks[k - 1])
            f.append(1 - y * y)
        J, g = right(p, x, t, masks)
        a = h[-1] @ p["W3"] + p["b3"]
        q = np.exp(a) / np.exp(a).sum(axis=1, keepdims=True)
        da = (q - t) / len(x)
        for k in (2, 1):
            da = da @ p[f"W{k + 1}"].T * f[k - 1]
            g[f"W{k}"][...], g[f"b{k}"][...] = h[k - 1].T @ da, da.sum(axis=0)
        return J, g

    p = model.initialise(0, np.float64)
    labels = np.eye(4)[[0, 3, 2, 1, 1, 0, 2]]
    data = model.draw(RNG.random((7, 6)), tg.get_backend("numpy").generator(0), labels=labels)
    with pytest.raises(tg.GradientError) as raised:
        tg.compare_gradients(no_masks_on_the_way_back, right, p, *data)
    said = " ".join(str(raised.value).split())
    assert "were left out on the path back from" in said and "in all 2 uses of multiply" in said
