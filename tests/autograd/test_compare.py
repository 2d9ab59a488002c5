"""compare_gradients says where two gradients differ, and lets roundings pass."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

import tinygen as tg
from tinygen.byhand import vae

RNG = np.random.default_rng(0)
G = {"W1": RNG.standard_normal((3, 4)), "b1": 1e-3 * RNG.standard_normal(4), "W2": np.ones((4, 2))}


def gives(loss: Any, gradients: Any) -> Any:
    return lambda p, *data: (loss, gradients)


def changed(name: str, index: Any, value: float) -> dict[str, Any]:
    """G with one number replaced."""
    array = G[name].copy()
    array[index] = value
    return G | {name: array}


def test_by_hand_and_autograd_are_compared_as_they_are(backend: Any) -> None:
    model = tg.models.VAE(pixels=6, hidden=(5,), latent=2, activation="tanh")
    for dtype, tolerance in ((np.float64, 1e-14), (np.float32, 1e-6)):
        p = model.initialise(0, dtype, backend)
        data = model.draw(backend.generator(1).random((3, 6), dtype=dtype), backend.generator(2))
        by_hand, autograd = (
            partial(vae.loss_and_grads, **model.terms),
            tg.value_and_grad(model.loss),
        )
        report = tg.compare_gradients(by_hand, autograd, p, *data)
        assert report.gradient < tolerance and report.loss < tolerance
        assert report.worst in p


def test_the_message_names_parameter_index_both_numbers_and_their_ratio() -> None:
    wrong = changed("W1", (2, 1), 3 * G["W1"][2, 1])
    with pytest.raises(tg.GradientError) as raised:
        tg.compare_gradients(gives(1.0, wrong), gives(1.0, G), {})
    a, b = wrong["W1"][2, 1], G["W1"][2, 1]
    assert f"W1[2, 1]: the first gradient is {a:.12g}, the second {b:.12g}, ratio 3;" in " ".join(
        str(raised.value).split()
    )


def test_of_several_wrong_parameters_the_worst_is_named() -> None:
    wrong = changed("W1", (0, 0), G["W1"][0, 0] + 1e-6) | {"W2": 2 * G["W2"]}
    with pytest.raises(tg.GradientError, match=r"^W2\[0, 0\]: ") as raised:
        tg.compare_gradients(gives(1.0, wrong), gives(1.0, G), {})
    said = " ".join(str(raised.value).split())
    assert "ratio 2; all of W2: relative difference 1; these agree: b1" in said


@pytest.mark.parametrize(("factor", "seen"), [(1 + 1e-13, False), (1 + 1e-11, True)])
def test_roundings_pass_and_nothing_else(factor: float, seen: bool) -> None:
    g = {name: factor * x for name, x in G.items()}
    for f, h in ((g, G), (G, g)):
        if seen:
            with pytest.raises(tg.GradientError):
                tg.compare_gradients(gives(1.0, f), gives(1.0, h), {})
        else:
            report = tg.compare_gradients(gives(1.0, f), gives(1.0, h), {})
            assert report.gradient == pytest.approx(1e-13, rel=0.01)


def test_a_wrong_gradient_does_not_hide_behind_a_large_one() -> None:
    """In float32, with a tolerance of 1e-5: the bias is below that, and has the wrong sign."""
    right = {"b1": np.float32([1e-3, 2e-3]), "W": np.full((10, 10), 100, np.float32)}
    wrong = right | {"b1": -right["b1"]}
    assert np.linalg.norm(2 * right["b1"]) < 1e-5 * np.linalg.norm(right["W"])
    with pytest.raises(tg.GradientError, match=r"(?s)b1\[1\]: .*\sratio\s-1"):
        tg.compare_gradients(gives(1.0, wrong), gives(1.0, right), {}, tolerance=1e-5)


def test_what_is_as_small_as_rounding_is_not_judged() -> None:
    """The gradient of a bias before a batch norm is 0, and comes out as some roundings."""
    f, g = (G | {"b1": rounding * np.ones(4)} for rounding in (3e-17, -1e-17))
    tg.compare_gradients(gives(1.0, f), gives(1.0, g), {})


def test_losses_are_compared() -> None:
    with pytest.raises(tg.GradientError, match=r"the first loss is 1, the second 2, ratio 0\.5"):
        tg.compare_gradients(gives(1.0, G), gives(2.0, G), {})
    tg.compare_gradients(gives(1e-16, G), gives(0.0, G), {})  # of numbers of size 1, cancelled


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_never_agrees(bad: float) -> None:
    with pytest.raises(tg.GradientError, match="the first loss is"):
        tg.compare_gradients(gives(bad, G), gives(1.0, G), {})
    wrong = changed("W2", (1, 0), bad)
    for f, g in ((wrong, G), (G, wrong), (wrong, wrong)):
        with pytest.raises(tg.GradientError, match=r"W2\[1, 0\]"):
            tg.compare_gradients(gives(1.0, f), gives(1.0, g), {})


def test_other_names_shapes_and_dtypes_are_refused() -> None:
    others = ({"W1": G["W1"]}, G | {"b1": np.ones((4, 1))},
              {name: x.astype("f4") for name, x in G.items()})  # fmt: skip
    for other in others:
        with pytest.raises(
            tg.GradientError, match=r"the first gradient is .*, the second .* float64"
        ):
            tg.compare_gradients(gives(1.0, other), gives(1.0, G), {})


def test_two_functions_that_write_to_the_same_memory_are_told_apart() -> None:
    out = {"W": np.zeros(2)}

    def writes(value: float) -> Any:
        def function(p: Any) -> Any:
            out["W"][...] = value
            return 1.0, out

        return function

    with pytest.raises(tg.GradientError, match="ratio 2"):
        tg.compare_gradients(writes(2.0), writes(1.0), {})


def test_the_tolerance_may_be_chosen() -> None:
    wrong = {name: 1.001 * x for name, x in G.items()}
    tg.compare_gradients(gives(1.0, wrong), gives(1.0, G), {}, tolerance=1e-2)
    with pytest.raises(tg.GradientError):
        tg.compare_gradients(gives(1.0, wrong), gives(1.0, G), {}, tolerance=1e-4)


def test_what_has_no_tolerance_of_its_own_needs_one() -> None:
    narrow = {name: x.astype(np.float16) for name, x in G.items()}
    with pytest.raises(tg.GradientError, match="gradients of float16 need a tolerance"):
        tg.compare_gradients(gives(1.0, narrow), gives(1.0, narrow), {})
    tg.compare_gradients(gives(1.0, narrow), gives(1.0, narrow), {}, tolerance=1e-2)


def test_no_gradient_is_no_agreement() -> None:
    with pytest.raises(tg.GradientError, match="there is no gradient to compare"):
        tg.compare_gradients(gives(1.0, {}), gives(1.0, {}), {})


@pytest.mark.parametrize("returned", [None, (1.0, [G["W1"]]), (1.0, G, 0)])
def test_what_is_no_loss_with_gradients_is_refused_in_a_sentence(returned: Any) -> None:
    with pytest.raises(tg.GradientError, match=r"the second function returns \w+; it needs to"):
        tg.compare_gradients(gives(1.0, G), lambda p: returned, {})


def test_a_loss_alone_has_to_be_of_tensors() -> None:
    with pytest.raises(TypeError, match=r"expected \(loss, gradients\), or the loss of Tensors"):
        tg.compare_gradients(gives(1.0, G), lambda p: 1.0, {})


def test_a_function_that_changes_what_it_was_given_is_refused() -> None:
    """Both would agree, on other data."""

    def centred(p: Any, x: Any, masks: Any) -> Any:
        x -= x.mean(axis=0)
        return 1.0, {"W": x}

    with pytest.raises(tg.GradientError, match="the first function changes the parameters or data"):
        tg.compare_gradients(centred, centred, {}, RNG.standard_normal((3, 2)), (None, ()))

    def scaled(p: Any) -> Any:
        p["W1"][...] *= 3
        return 1.0, G

    with pytest.raises(tg.GradientError, match="the second function changes the parameters or"):
        tg.compare_gradients(gives(1.0, G), scaled, {name: x.copy() for name, x in G.items()})


@pytest.mark.parametrize("size", [1e200, 1e-200])
def test_numbers_whose_squares_leave_the_range_are_compared(size: float) -> None:
    right, wrong = {"W": np.array([size, size])}, {"W": np.array([size, 3 * size])}
    report = tg.compare_gradients(gives(1.0, right), gives(1.0, right), {})
    assert report.gradient == 0
    with pytest.raises(tg.GradientError, match=r"(?s)W\[1\]: .*\sratio\s3"):
        tg.compare_gradients(gives(1.0, wrong), gives(1.0, right), {})


def test_what_is_finite_may_be_as_large_as_it_gets() -> None:
    largest = {"W": np.full(1, np.finfo(np.float64).max)}
    tg.compare_gradients(gives(1.0, largest), gives(1.0, largest), {})


def test_a_function_that_adds_a_parameter_is_refused() -> None:
    def adds(p: Any) -> Any:
        p["more"] = np.ones(1)
        return 1.0, G

    with pytest.raises(tg.GradientError, match="the first function changes the parameters or data"):
        tg.compare_gradients(adds, gives(1.0, G), dict(G))


def test_functions_that_draw_their_own_noise_are_not_judged():
    random = np.random.default_rng(0)

    def noisy(p):
        noise = random.standard_normal(3)
        return (p["W"] * noise).sum(), {"W": noise}

    def quiet(p):
        return p["W"].sum(), {"W": np.ones(3)}

    for f, g, which in ((noisy, quiet, "first"), (quiet, noisy, "second")):
        with pytest.raises(ValueError, match=f"two calls of the {which} function differ"):
            tg.compare_gradients(f, g, {"W": np.ones(3)})


def test_what_is_printed_is_a_sentence() -> None:
    near = G | {"W1": G["W1"] * (1 + 1e-14)}
    same, close = (tg.compare_gradients(gives(2.0, g), gives(2.0, G), {}) for g in (G, near))
    assert str(same) == "they agree: gradients 0 apart; losses 0"
    assert str(close).startswith("they agree: gradients ") and "W1 the furthest" in str(close)
    report = tg.check_gradients(lambda x: x * x, [np.array([1.0, 2.0])])
    assert str(report).startswith(f"passed: {report.checks} derivatives, the worst ")
