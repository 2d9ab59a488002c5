"""Assignments 3, 5 and 6: their solutions against other derivations, differences and paper."""

from __future__ import annotations

import math
import re
from itertools import product
from statistics import NormalDist
from types import ModuleType

import numpy as np
import pytest

import tinygen as tg
from tinygen import ops
from tinygen.byhand import vae as byhand
from tinygen.homework import assignment, student
from tinygen.homework.feedback import verdict

VAE, AUTOENCODER, IWAE = map(assignment.load, ("vae", "autoencoder", "iwae"))
RANDOM = np.random.default_rng(0)


def solution(of: assignment.Assignment, form: str = "") -> ModuleType:
    """The solution of a form, in letters that are not those of its file."""
    number = 2 * len(of.forms) + of.forms.index(form)
    return assignment.execute(of.solution(of.variant(number)), "solution")


def page(of: assignment.Assignment, form: str = "") -> str:
    return student.page(of, of.variant(of.forms.index(form)))


def assert_on_the_page(numbers, text: str) -> None:
    """To the four digits after the point that an example has."""
    on_the_page = np.array([float(x) for x in re.findall(r"-?\d+\.\d{4}", text)])
    for number in np.concatenate([np.ravel(x) for x in numbers]):
        assert number == 0 or np.abs(on_the_page - number).min() < 5.1e-5, number


def normal(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape)


def assert_close(got, expected) -> None:
    # Both are float64, and sums of a few hundred terms at most.
    np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-13)


def assert_differences(loss, arrays, gradients) -> None:
    """Central differences in a random direction; their error is about the step's square, 1e-10."""
    directions = [normal(*np.shape(x)) for x in arrays]
    products = [g * v for g, v in zip(gradients, directions, strict=True)]
    expected, size = (sum(f(x).sum() for x in products) for f in (np.positive, np.abs))
    step = 1e-5
    moved = lambda t: loss(*(x + t * v for x, v in zip(arrays, directions, strict=True)))  # noqa: E731
    assert (moved(step) - moved(-step)) / (2 * step) == pytest.approx(expected, abs=1e-7 * size)


def linear(d: int, c: int) -> list[np.ndarray]:
    """An encoder of one layer, whose columns are means and logarithms, and such a decoder."""
    return [0.5 * normal(*shape) for shape in ((d, 2 * c), (2 * c,), (c, d), (d,))]


def assert_by_hand_agrees(J, gradients, p, x, noise, *beta, logs: float, **options) -> None:
    """With tinygen's VAE, whose encoder gives logs of variances: so many times the logs of `p`."""
    scale = np.where(np.arange(p[1].size) < p[1].size // 2, 1, logs)
    values = [scale * p[0], scale * p[1], *p[2:]]
    names = "encoder.W1", "encoder.b1", "decoder.W1", "decoder.b1"
    parameters = tg.Parameters(
        {name: value.shape for name, value in zip(names, values, strict=True)},
        np.concatenate([value.ravel() for value in values]),
    )
    terms = {"activation": "none", "likelihood": "bernoulli"} | options
    expected, gradient = byhand.loss_and_grads(parameters, x, noise, *beta, **terms)
    assert_close(J, expected)
    for name, got, factor in zip(names, gradients, (scale, scale, 1, 1), strict=True):
        assert_close(got, factor * gradient[name])


# 5: the VAE.

FORMS = pytest.mark.parametrize("form", VAE.forms)


@FORMS
def test_the_vae_has_the_loss_and_the_gradient_that_tinygen_has(form: str) -> None:
    data = linear(7, 4), RANDOM.uniform(0, 1, (5, 7)), normal(3, 5, 4), 1.7
    result = solution(VAE, form).loss_and_grads(*data)
    assert_by_hand_agrees(*result, *data, logs=2 if form == "log_sigma" else 1)


@FORMS
def test_the_vaes_gradient_is_that_of_its_loss(form: str) -> None:
    module, x, noise = solution(VAE, form), RANDOM.uniform(0, 1, (5, 7)), normal(3, 5, 4)
    p = linear(7, 4)
    loss = lambda *p: module.loss_and_grads(p, x, noise, 1.7)[0]  # noqa: E731
    assert_differences(loss, p, module.loss_and_grads(p, x, noise, 1.7)[1])


@FORMS
def test_the_vaes_draw_and_kl_mean_the_same_deviation(form: str) -> None:
    """No gradient check sees it: the mean over the noise 1 and -1 of `log q - log p` is the KL."""
    module, mean, scale = solution(VAE, form), normal(5, 4), 0.5 * normal(5, 4)
    deviation = np.exp(scale if form == "log_sigma" else scale / 2)
    codes = module.reparameterise(mean, scale, np.array([1.0, -1.0])[:, None, None])
    for i, j in product(range(5), range(4)):
        q = NormalDist(mean[i, j], deviation[i, j])
        log_ratios = [math.log(q.pdf(z) / NormalDist().pdf(z)) for z in codes[:, i, j]]
        assert_close(module.kl(mean, scale)[i, j], sum(log_ratios) / 2)


@FORMS
def test_the_log_likelihood_is_that_of_coins_and_is_finite_for_every_logit(form: str) -> None:
    module, logits, x = solution(VAE, form), normal(3, 5, 7), RANDOM.uniform(0, 1, (5, 7))
    for r, i in product(range(3), range(5)):
        white = [1 / (1 + math.exp(-a)) for a in logits[r, i]]
        expected = math.fsum(
            x * math.log(y) + (1 - x) * math.log1p(-y) for x, y in zip(x[i], white, strict=True)
        )
        assert_close(module.log_likelihood(logits, x)[r, i], expected)
    black_and_white = np.array([[0.0, 1.0, 0.0, 1.0]])
    extreme = np.array([[[1000.0, -2000, -3000, 4000]]])
    assert module.log_likelihood(extreme, black_and_white) == [[-3000]]


@FORMS
def test_the_vaes_free_bits_are_tinygens(form: str) -> None:
    module, mean, v = solution(VAE, form), normal(5, 4), normal(5, 4)
    KL = byhand.kl(mean, v)[0]
    floor = float(np.median(KL.mean(axis=0)))
    expected, _, direct = byhand.elbo(np.zeros((1, 5)), mean, v, 1.7, floor)
    cost, dKL = module.free_bits(KL, floor, 1.7)
    assert_close(cost, expected)
    assert_close(dKL * mean, direct.dmu)


@FORMS
def test_the_vaes_example_on_paper(form: str) -> None:
    module, text = solution(VAE, form), page(VAE, form)
    ln2, ln3 = math.log(2), math.log(3)
    mean, noise, x = np.array([[2.0]]), np.array([[[1.5]]]), np.ones((1, 2))
    scale = np.array([[ln2 if form == "log_sigma" else 2 * ln2]])
    W = ln3 / 5 * np.array([[1.0, -1.0]])
    code = module.reparameterise(mean, scale, noise)
    assert_close(code, 5)
    log_p, KL = module.log_likelihood(code @ W, x), module.kl(mean, scale)
    df = module.logit_gradient(code @ W, x)
    assert_close(df, [[[-1 / 4, -3 / 4]]])
    du = df @ W.T
    draw = module.mean_through_draw(du), module.scale_through_draw(du, scale, noise)
    by_kl = module.mean_through_kl(mean, 1), module.scale_through_kl(scale, 1)
    assert_close(by_kl, [[[2]], [[3 if form == "log_sigma" else 1.5]]])
    both = module.encoder_gradient(*draw, *by_kl)
    assert_on_the_page([log_p, KL, module.loss(log_p, KL, 1), du, *draw, both], text)
    assert [float(np.sum(x)) for x in module.free_bits(KL, 3, 1)] == [3, 0]


# 3: the autoencoder.

LAYOUTS = pytest.mark.parametrize("form", AUTOENCODER.forms)


@LAYOUTS
def test_the_autoencoder_has_the_gradient_that_autograd_has(form: str) -> None:
    n, (d, h, c), kappa, lam = 5, (7, 6, 3), 0.7, 0.3
    shapes = {"A0": (h, d), "e0": (h,), "A1": (c, h), "e1": (c,), "A2": (d, c), "e2": (d,)}
    p = tg.Parameters(shapes, normal(sum(map(math.prod, shapes.values()))))
    x = RANDOM.uniform(0, 1, (n, d))
    seen = x + 0.1 * normal(n, d)

    def loss(p):
        hidden = ops.silu(seen @ p["A0"].T + p["e0"])
        code = hidden @ p["A1"].T + p["e1"]
        y = ops.sigmoid(code @ p["A2"].T + p["e2"])
        squares = sum((p[f"A{k}"] ** 2).sum() for k in range(3))
        return ((y - x) ** 2).mean() + kappa / n * ops.absolute(code).sum() + lam / 2 * squares

    expected, gradient = tg.value_and_grad(loss)(p)
    layers = [(p[f"A{k}"], p[f"e{k}"]) for k in range(3)]
    batch = (x, seen) if form == "rows" else (x.T, seen.T)
    J, gradients = solution(AUTOENCODER, form).loss_and_grads(layers, *batch, kappa, lam)
    assert_close(J, expected)
    for k, (dA, de) in enumerate(gradients):
        assert_close(dA, gradient[f"A{k}"])
        assert_close(de, gradient[f"e{k}"])


@LAYOUTS
def test_the_autoencoders_gradient_is_that_of_its_loss(form: str) -> None:
    module, batch = solution(AUTOENCODER, form), normal(2, 5, 7)
    x, seen = batch if form == "rows" else batch.transpose(0, 2, 1)
    flat = [normal(*shape) for shape in ((6, 7), (6,), (3, 6), (3,), (7, 3), (7,))]
    run = lambda *p: module.loss_and_grads([p[:2], p[2:4], p[4:]], x, seen, 0.7, 0.3)  # noqa: E731
    assert_differences(lambda *p: run(*p)[0], flat, [g for pair in run(*flat)[1] for g in pair])


@LAYOUTS
def test_tied_weights_get_the_gradients_of_both_their_uses(form: str) -> None:
    module, A, x, y = solution(AUTOENCODER, form), normal(3, 7), normal(5, 7), normal(5, 7)
    code = x @ A.T
    at_pixels = code @ A - y  # of half the squared error
    arrays = at_pixels @ A.T, x, at_pixels, code
    got = module.tied_gradient(*(arrays if form == "rows" else [a.T for a in arrays]))
    assert_differences(lambda A: ((x @ A.T @ A - y) ** 2).sum() / 2, [A], [got])


@LAYOUTS
def test_the_autoencoders_example_on_paper(form: str) -> None:
    module, text, ln3 = solution(AUTOENCODER, form), page(AUTOENCODER, form), math.log(3)
    layers = [
        (np.array([[ln3, -ln3]]), np.zeros(1)),
        (np.array([[8 / (3 * ln3)]]), np.array([-1.0])),
        (np.array([[ln3], [-ln3]]), np.array([0, ln3])),
    ]
    turned = np.asarray if form == "rows" else np.transpose
    x = turned([[1.0, 0], [1, 1]])
    hidden = module.dense(x, *layers[0])
    g = module.silu(hidden)
    code = module.dense(g, *layers[1])
    assert_close(turned(code), [[1], [-1]])
    J, gradients = module.loss_and_grads(layers, x, x, 0.5, 0.1)
    decay = 0.05 * sum((A**2).sum() for A, _ in layers)
    numbers = [J, decay, J - decay - 0.5, g]
    ds = module.output_gradient(module.dense(code, *layers[2]), x)
    by_decoder = module.input_gradient(ds, layers[2][0])
    du = module.code_gradient(by_decoder, code, 0.5)
    dg = module.input_gradient(du, layers[1][0])
    numbers += [ds, by_decoder, du, dg, module.activation_backward(dg, hidden)]
    numbers += [array for pair in gradients for array in pair]
    numbers += [dA - 0.1 * A for (dA, _), (A, _) in zip(gradients, layers, strict=True)]
    assert_on_the_page(numbers, text)


# 6: the IWAE.


def test_the_iwae_has_the_loss_and_the_gradient_that_tinygen_has() -> None:
    """Which takes the gradient apart in another way: at given noise, not at given mean."""
    p, x, noise = linear(7, 4), RANDOM.uniform(0, 1, (5, 7)), normal(5, 6, 4)
    J, gradients, _ = solution(IWAE).loss_and_grads(p, x, noise)
    draws_first = noise.swapaxes(0, 1)
    assert_by_hand_agrees(J, gradients, p, x, draws_first, logs=2, objective="iwae")


def test_the_iwaes_gradient_is_that_of_its_loss() -> None:
    module, p = solution(IWAE), linear(7, 4)
    x, noise = RANDOM.uniform(0, 1, (5, 7)), normal(5, 6, 4)
    run = lambda *p: module.loss_and_grads(p, x, noise)  # noqa: E731
    assert_differences(lambda *p: run(*p)[0], p, run(*p)[1])


def test_gradients_at_given_codes_are_those_of_the_log_weights() -> None:
    module, arrays = solution(IWAE), [normal(5, 6, 4), normal(5, 4), 0.5 * normal(5, 4)]
    log_p, dr = normal(5, 6), normal(5, 6)
    functions = module.code_direct, module.mean_direct, module.scale_direct
    gradients = [function(dr, *arrays) for function in functions]
    loss = lambda *arrays: (dr * module.log_weights(log_p, *arrays)).sum()  # noqa: E731
    assert_differences(loss, arrays, gradients)


def test_a_weight_is_a_ratio_of_densities() -> None:
    module, log_p = solution(IWAE), normal(1, 6)
    codes, mean, scale = normal(1, 6, 4), normal(1, 4), 0.5 * normal(1, 4)
    for r in range(6):
        ratio = 1.0
        for z, m, t in zip(codes[0, r], mean[0], scale[0], strict=True):
            ratio *= NormalDist().pdf(z) / NormalDist(m, math.exp(t)).pdf(z)
        expected = log_p[0, r] + math.log(ratio)
        assert_close(module.log_weights(log_p, codes, mean, scale)[0, r], expected)


def test_the_log_of_a_mean_for_weights_of_all_sizes_at_once() -> None:
    module, far = solution(IWAE), np.array([-3000.0, 0, 3000])
    weights = np.array([1.0, 2, 3, 10])
    log_w = np.log(weights) + far[:, None]
    assert_close(module.log_mean_exp(log_w), far + np.log(4))
    # Of a logarithm of 3000, rounding has taken three digits.
    np.testing.assert_allclose(module.normalised(log_w), [weights / 16] * 3, rtol=1e-12)


def test_as_many_draws_count_as_weigh_the_same() -> None:
    module = solution(IWAE)
    weights = np.array([[1, 0, 0, 0], [0.5, 0.5, 0, 0], [0.25] * 4])
    assert_close(module.effective_sample_size(weights), [1, 2, 4])


def test_the_bounds_are_in_order() -> None:
    module, log_w = solution(IWAE), normal(400, 6)
    one, two, three, six = (module.bound(log_w, size) for size in (1, 2, 3, 6))
    assert one < two < three < six
    assert_close(one, log_w.mean())
    assert_close(six, module.log_mean_exp(log_w).mean())
    assert_close(module.bound(np.log([[1.0, 3, 5, 11]]), 2), np.log(2 * 8) / 2)


def test_the_iwaes_example_on_paper() -> None:
    module, text = solution(IWAE), page(IWAE)
    mean, scale, noise = np.array([[1.0]]), np.array([[math.log(2)]]), np.array([[[0.5], [-0.5]]])
    codes = mean + np.exp(scale) * noise
    log_w = module.log_weights(np.array([[-1.0, -4.0]]), codes, mean, scale)
    weights = module.normalised(log_w)
    dr = module.log_weight_gradient(weights)
    du = module.code_direct(dr, codes, mean, scale)
    direct = [f(dr, codes, mean, scale) for f in (module.mean_direct, module.scale_direct)]
    numbers = [log_w, weights, dr, du, module.log_mean_exp(log_w), *direct]
    numbers += [module.effective_sample_size(weights)]
    numbers += [*module.both_paths(du, scale, noise, *direct)]
    numbers += [module.bound(log_w, 1), module.bound(log_w, 2)]
    assert_on_the_page(numbers, text)


# What the pages promise of the file when it is run.


def numbers_in(text: str) -> list[float]:
    return [float(x) for x in re.findall(r"-?\d+(?:\.\d+)?", text)]


@pytest.mark.parametrize(
    ("of", "form", "below"),
    [(VAE, f, 7.0) for f in VAE.forms]
    + [(AUTOENCODER, f, 0.05) for f in AUTOENCODER.forms]
    + [(IWAE, "", 7.2)],
)
def test_the_functions_put_together_learn_the_bars_as_the_page_says(
    of, form, below, capsys
) -> None:
    solution(of, form).train()
    printed = capsys.readouterr().out
    losses = [float(x) for x in re.findall(r"J = ([\d.]+)", printed)]
    assert losses[0] > 1.4 * below
    assert losses[-1] < below
    (promised,) = re.findall(r"```\n(step .*?)```", page(of, form), flags=re.S)
    # Another machine may round the last digit in another way.
    assert numbers_in(printed) == pytest.approx(numbers_in(promised), rel=4e-3)


# Cures for overflow that make a result finite, but not right.


def sentence(of: assignment.Assignment, id_: str, old: str, new: str, form: str = "") -> str:
    """What a student is told of a wrong answer that is not among the planted mistakes."""
    variant = of.variant(of.forms.index(form))
    wrong = of.source(variant, [assignment.Mistake(id_, old, new, "")])
    known = of.known(id_, variant, student.PUBLIC_SEED)
    result = verdict(of.results(wrong, id_, variant, student.PUBLIC_SEED), known)
    assert result.fraction == 0
    return result.sentence


@pytest.mark.parametrize(
    "cure",
    [
        "np.log(1 / (1 + np.exp(-f)) + 1e-10), np.log(1 / (1 + np.exp(f)) + 1e-10)",
        "np.log(1 / (1 + np.exp(-f)) + 1e-16), np.log(1 / (1 + np.exp(f)) + 1e-16)",
        "np.log(np.maximum(1 / (1 + np.exp([-f, f])), 1e-12))",
        "-np.log(1 + np.exp(np.clip([-f, f], -30, 30)))",
        "np.nan_to_num(np.log(1 / (1 + np.exp([-f, f]))))",
    ],
)
def test_the_log_likelihood_of_large_logits_is_not_cured_by_clipping(cure: str) -> None:
    right = "-np.logaddexp(0, -f), -np.logaddexp(0, f)"
    text = sentence(VAE, "q2", right, cure, "log_variance")
    assert text.startswith("case 2 of 2")
    assert "logits here are in the thousands" in text


def test_a_likelihood_that_is_wrong_for_small_logits_is_not_told_of_large_ones() -> None:
    text = sentence(VAE, "q2", "logaddexp(0, f)", "logaddexp(1, f)", "log_sigma")
    assert text.startswith("case 1 of 2")
    assert "thousands" not in text


@pytest.mark.parametrize(
    ("id_", "old", "cure"),
    [
        ("q2", "r.max(axis=1, keepdims=True)", "0 * r[:, :1]; r = np.clip(r, -700, 700)"),
        ("q3", "r - r.max(axis=1, keepdims=True)", "np.clip(r, -700, 700)"),
    ],
)
def test_weights_of_all_sizes_are_not_cured_by_clipping(id_: str, old: str, cure: str) -> None:
    assert "the logarithms here go from -3000 to 3000" in sentence(IWAE, id_, old, cure)


@pytest.mark.parametrize("subtracted", ["r.mean(", "r.min("])
@pytest.mark.parametrize("id_", ["q2", "q3"])
def test_only_the_largest_weight_keeps_all_from_overflowing(id_: str, subtracted: str) -> None:
    assert "draws that are thousands apart" in sentence(IWAE, id_, "r.max(", subtracted)
