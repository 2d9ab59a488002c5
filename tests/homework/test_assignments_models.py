"""Assignments 7 to 10: their solutions against other derivations, differences and paper."""

from __future__ import annotations

import inspect
import math
import os
import re
import runpy
from itertools import product
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from tinygen.byhand import chain, pieces
from tinygen.byhand import gan as byhand
from tinygen.byhand.conv import Conv, ConvTranspose
from tinygen.homework import assignment, student
from tinygen.homework.feedback import Verdict, verdict
from tinygen.homework.grading import grade

GAN, CONVOLUTION, FIND, WRITE = map(
    assignment.load, ("gan", "convolution", "find_the_mistake", "write_the_check")
)
RANDOM = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape)


def solution(of: assignment.Assignment, form: str = "") -> ModuleType:
    """The solution of a form, in letters that are not those of its file."""
    number = 2 * len(of.forms) + of.forms.index(form)
    return assignment.execute(of.solution(of.variant(number)), "solution")


def on_the_page(of: assignment.Assignment, form: str = "") -> np.ndarray:
    """Numbers with four digits after the point."""
    text = student.page(of, of.variant(of.forms.index(form)))
    return np.array([float(x) for x in re.findall(r"-?\d+\.\d{4}", text)])


def assert_on_the_page(numbers: list, page: np.ndarray) -> None:
    for number in np.concatenate([np.ravel(x) for x in numbers]):
        assert np.abs(page - number).min() < 5.1e-5, number


def assert_close(got, expected) -> None:
    # Both are float64, and sums of a few hundred terms at most.
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-12)


def differences(loss, x) -> np.ndarray:
    """The gradient of a loss with respect to an array; the error is about 1e-9."""
    x, gradient = np.array(x, float), np.zeros(np.shape(x))
    for place in np.ndindex(x.shape):
        moved = []
        for step in (1e-5, -1e-5):
            other = x.copy()
            other[place] += step
            moved.append(loss(other))
        gradient[place] = (moved[0] - moved[1]) / 2e-5
    return gradient


def assert_measured(got, expected) -> None:
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-7)


# 7: the GAN.

GAN_FORMS = pytest.mark.parametrize("form", GAN.forms)


@GAN_FORMS
def test_losses_of_both_players_are_those_of_byhand(form: str) -> None:
    s, real, fake = solution(GAN, form), 3 * normal(7), 3 * normal(7)
    J, dr, df = byhand.cross_entropy_of_d(real[:, None], fake[:, None], 0.0)
    assert_close(s.discriminator_loss(real, fake), J)
    for got, expected in zip(s.discriminator_gradient(real, fake), (dr, df), strict=True):
        assert_close(got, expected[:, 0])
    for got, function in (
        (s.non_saturating(fake), byhand.non_saturating_of_g),
        (s.minimax(fake), byhand.minimax_of_g),
    ):
        loss, db = function(fake[:, None])
        assert_close(got[0], loss)
        assert_close(got[1], db[:, 0])


@GAN_FORMS
def test_losses_of_a_sure_discriminator_have_their_digits(form: str) -> None:
    s = solution(GAN, form)
    assert s.discriminator_loss(np.array([-800.0]), np.array([900.0])) == 1700
    right, _ = s.discriminator_gradient(np.array([40.0]), np.array([-40.0]))
    assert right == pytest.approx(-math.exp(-40), rel=1e-12)


def discriminator(form: str) -> SimpleNamespace:
    """One that is not the solution's own, written for rows; images and weights in its form."""
    shapes = {"A": (4, 6), "e": (6,), "w": (6,), "Y": (7, 4)}
    d = SimpleNamespace(**{name: normal(*shape) for name, shape in shapes.items()})
    phi = {"rows": np.tanh, "columns": lambda x: np.log(1 + np.exp(x))}[form]
    d.turned = (lambda x: x) if form == "rows" else np.transpose
    d.sums = lambda A, e, Y: Y @ A + e
    d.logits = lambda A, e, w, Y: phi(d.sums(A, e, Y)) @ w
    d.activation = {"rows": "tanh", "columns": "softplus"}[form]
    return d


@GAN_FORMS
def test_the_gradient_reaches_images_and_generator(form: str) -> None:
    s, d = solution(GAN, form), discriminator(form)
    B, b, Z = normal(3, 4), normal(4), normal(5, 3)
    images = lambda B, b: 1 / (1 + np.exp(-(Z @ B + b)))  # noqa: E731
    loss = lambda B, b: np.log1p(np.exp(-d.logits(d.A, d.e, d.w, images(B, b)))).mean()  # noqa: E731
    Y, turned = images(B, b), d.turned
    _, dlogits = s.non_saturating(d.logits(d.A, d.e, d.w, Y))
    F, _ = s.activation(turned(d.sums(d.A, d.e, Y)))
    dY = s.to_images(dlogits, d.w, F, turned(d.A))
    dB, db = s.to_generator(dY, turned(Y), turned(Z))
    assert_measured(turned(dB), differences(lambda other: loss(other, b), B))
    assert_measured(db, differences(lambda other: loss(B, other), b))


@GAN_FORMS
def test_r1_and_its_gradient(form: str) -> None:
    """Against the chain of byhand, and against differences of the penalty."""
    s, d, lam = solution(GAN, form), discriminator(form), 3.0
    turned = d.turned

    def penalty(A, e, w):
        F, _ = s.activation(turned(d.sums(A, e, d.Y)))
        return s.penalty(w, F, turned(A), lam)

    layers = {1: [d.A, d.e], 2: [d.w[:, None], np.zeros(1)]}
    _, cache = chain.chain(layers, d.Y, d.activation)
    v, path = chain.input_derivative(layers, cache)
    P, dv = pieces.zero_centred(v, lam)
    gradients = {k: [0 * x for x in layer] for k, layer in layers.items()}
    chain.input_derivative_backward(dv, layers, cache, path, gradients)

    V, R = penalty(d.A, d.e, d.w)
    assert_close(turned(V), v)
    assert_close(R, P)
    F, K = s.activation(turned(d.sums(d.A, d.e, d.Y)))
    dA, dw = s.penalty_gradient(V, d.w, F, turned(d.A), lam)
    more, de = s.penalty_curvature(V, d.w, K, turned(d.A), turned(d.Y), lam)
    assert_close(turned(dA + more), gradients[1][0])
    assert_close(de, gradients[1][1])
    assert_close(dw, gradients[2][0][:, 0])
    assert_measured(turned(dA + more), differences(lambda A: penalty(A, d.e, d.w)[1], d.A))


@GAN_FORMS
def test_the_gan_on_paper(form: str) -> None:
    s, page, log3 = solution(GAN, form), on_the_page(GAN, form), math.log(3)
    vector, matrix = lambda x: np.array([float(x)]), lambda x: np.array([[float(x)]])
    A, e, w, real = {
        "rows": (log3, -log3 / 2, 2 * log3, log3),
        "columns": (2 * log3, -log3, 2.0, math.log(4)),
    }[form]
    F, K = s.activation(matrix(A + e))
    F_fake, _ = s.activation(matrix(A / 2 + e))
    dY = s.to_images(vector(-0.5), vector(w), F_fake, matrix(A))
    V, R = s.penalty(vector(w), F, matrix(A), 2.0)
    numbers = [
        s.discriminator_loss(vector(real), vector(0)),
        s.non_saturating(vector(0))[0],
        s.minimax(vector(0))[0],
        dY,
        *s.to_generator(dY, matrix(0.5), matrix(2)),
        V,
        R,
        2 * V,
        *s.penalty_gradient(V, vector(w), F, matrix(A), 2.0),
        *s.penalty_curvature(V, vector(w), K, matrix(A), matrix(1), 2.0),
    ]
    assert_on_the_page(numbers, page)


def said_of(of: assignment.Assignment, id_: str, source: str) -> str:
    """What a student is told of a function."""
    known = of.known(id_, of.variant(0), student.PUBLIC_SEED)
    results = of.results(f"import numpy as np\n{source}", id_, of.variant(0), student.PUBLIC_SEED)
    return verdict(results, known).sentence


@pytest.mark.parametrize(
    ("id_", "source", "sentence"),
    [
        (
            "q1",
            "def discriminator_loss(r, q):\n"
            "    p, q = (np.clip(1 / (1 + np.exp(-x)), 1e-9, 1 - 1e-9) for x in (r, q))\n"
            "    return -np.log(p).mean() - np.log(1 - q).mean()",
            "the logits here are in the hundreds",
        ),
        (
            "q2",
            "def discriminator_gradient(r, q):\n"
            "    p, q = (1 / (1 + np.exp(-x)) for x in (r, q))\n"
            "    return -(1 - p) / len(p), q / len(q)",
            "has lost their digits",
        ),
    ],
)
def test_what_is_lost_where_a_discriminator_is_sure(id_: str, source: str, sentence: str) -> None:
    assert sentence in said_of(GAN, id_, source)


# 8: convolution.


def test_a_number_of_windows_is_an_integer() -> None:
    body = "return {}((length + 2 * pad - size) / stride) + 1"
    source = f"def windows_in(length, size, stride, pad): {body}"
    assert said_of(CONVOLUTION, "q1", source.format("int")) == ""
    assert "make it an int" in said_of(CONVOLUTION, "q1", source.format("np.floor"))


SETTINGS = pytest.mark.parametrize(
    ("form", "size", "stride", "pad"),
    [(form, *s) for form, s in product(CONVOLUTION.forms, [(3, 2, 1), (2, 3, 0), (3, 1, 2)])],
)


def arranged(form: str, x: np.ndarray) -> np.ndarray:
    """Images with channels last in the order of a form."""
    return x if form == "channels_last" else np.moveaxis(x, -1, 1)


@SETTINGS
def test_a_convolution_is_that_of_byhand(form: str, size: int, stride: int, pad: int) -> None:
    """Result and gradients."""
    s, n, h, w, c, o = solution(CONVOLUTION, form), 2, 7, 9, 3, 4
    p, q = (s.windows_in(length, size, stride, pad) for length in (h, w))
    X, W, b, dY = normal(n, h, w, c), normal(size**2 * c, o), normal(o), normal(n, p, q, o)
    conv = Conv(size=(h, w), kernel=size, stride=stride, padding=pad)
    assert conv.windows == (p, q)
    last = form == "channels_last"

    def weights(W):  # (k k c, o) -> that of the form
        return W if last else W.reshape(size, size, c, o).transpose(3, 2, 0, 1).reshape(o, -1)

    rows = s.cut(arranged(form, X), size, stride, pad, p, q)
    got = s.convolution(rows, weights(W), b, n, p, q)
    assert_close(
        got,
        arranged(form, (conv.product(X.reshape(n, -1), W) + np.tile(b, p * q)).reshape(dY.shape)),
    )
    dW, db = s.parameter_gradient(rows, arranged(form, dY))
    assert_close(dW, weights(conv.weight_gradient(X.reshape(n, -1), dY.reshape(n, -1))))
    assert_close(db, dY.sum(axis=(0, 1, 2)))
    drows = s.window_gradient(arranged(form, dY), weights(W))
    dX = s.paste(drows, size, stride, pad, n, h, w, p, q)
    assert_close(dX, arranged(form, conv.input_gradient(dY.reshape(n, -1), W).reshape(X.shape)))


@SETTINGS
def test_a_transposed_convolution(form: str, size: int, stride: int, pad: int) -> None:
    """Against byhand, and the gradients against differences."""
    s, n, h, w, c, o = solution(CONVOLUTION, form), 2, 5, 6, 3, 2
    transposed = ConvTranspose(size=(h, w), kernel=size, stride=stride, padding=pad)
    p, q = transposed.windows
    X, W, b, dY = normal(n, p, q, c), normal(c, size, size, o), normal(o), normal(n, h, w, o)
    T = W if form == "channels_last" else np.moveaxis(W, -1, 1)
    here = lambda x: arranged(form, x)  # noqa: E731
    expected = transposed.product(X.reshape(n, -1), W.reshape(c, -1)).reshape(dY.shape) + b
    assert_close(s.transposed(here(X), T, b, stride, pad, h, w), here(expected))

    loss = lambda X, T, b: np.sum(s.transposed(X, T, b, stride, pad, h, w) * here(dY))  # noqa: E731
    dX = s.transposed_input_gradient(here(dY), T, stride, pad, p, q)
    dT, db = s.transposed_parameter_gradient(here(X), here(dY), size, stride, pad)
    assert_measured(dX, differences(lambda other: loss(other, T, b), here(X)))
    assert_measured(dT, differences(lambda other: loss(here(X), other, b), T))
    assert_measured(db, differences(lambda other: loss(here(X), T, other), b))


@SETTINGS
def test_paste_is_the_transpose_of_cut(form: str, size: int, stride: int, pad: int) -> None:
    s, n, h, w, c = solution(CONVOLUTION, form), 2, 7, 9, 3
    p, q = (s.windows_in(length, size, stride, pad) for length in (h, w))
    X, rows = arranged(form, normal(n, h, w, c)), normal(n * p * q, size**2 * c)
    pasted = s.paste(rows, size, stride, pad, n, h, w, p, q)
    assert_close(np.vdot(s.cut(X, size, stride, pad, p, q), rows), np.vdot(X, pasted))


def test_sizes_are_different_and_those_of_each_seed() -> None:
    """No table of positions can be read off the public numbers and handed in."""
    shapes = set()
    for seed in range(20):
        for case in CONVOLUTION.cases("q2", "channels_last", seed):
            n, h, w, c = case["X"].shape
            p, q = (
                (length + 2 * case["pad"] - case["size"]) // case["stride"] + 1 for length in (h, w)
            )
            assert (case["p"], case["q"]) == (p, q)
            assert len({n, h, w, c, p, q}) == 6
            assert min(n, h, w, c, p, q) > 1
            assert case["X"].size < 6000
            shapes.add(case["X"].shape)
    assert len(shapes) > 35
    lengths = [case["length"] for seed in range(20) for case in CONVOLUTION.cases("q1", "", seed)]
    assert len({*lengths}) > 20


@pytest.mark.parametrize("form", CONVOLUTION.forms)
def test_a_window_has_the_order_of_the_page(form: str) -> None:
    """One window of two pixels by two, whose numbers say their row, column and channel."""
    s = solution(CONVOLUTION, form)
    places = [100 * u + 10 * v + j for u, v, j in product(range(2), range(2), range(3))]
    rows = s.cut(arranged(form, np.reshape(places, (1, 2, 2, 3))), 2, 1, 0, 1, 1)
    first = [100 * u + 10 * v + j for j, u, v in product(range(3), range(2), range(2))]
    assert rows.tolist() == [places if form == "channels_last" else first]


@pytest.mark.parametrize("form", CONVOLUTION.forms)
def test_the_convolution_on_paper(form: str) -> None:
    s, rest = solution(CONVOLUTION, form), (3, 2, 1)
    X = arranged(form, np.reshape([1.0, 2, 0, 0, 3, 1, 2, 0, 1], (1, 3, 3, 1)))
    window = np.array([1.0, 0, 2, 0, 1, 0, -1, 0, 1])
    M = window.reshape((9, 1) if form == "channels_last" else (1, 9))
    T = arranged(form, window.reshape(1, 3, 3, 1))
    images = lambda *x: arranged(form, np.reshape([float(i) for i in x], (1, 2, 2, 1)))  # noqa: E731
    rows = s.cut(X, *rest, 2, 2)
    assert rows[:2].tolist() == [[0, 0, 0, 0, 1, 2, 0, 0, 3], [0, 0, 0, 2, 0, 0, 3, 1, 0]]
    assert s.convolution(rows, M, np.ones(1), 1, 2, 2).ravel().tolist() == [5, -2, 9, 5]
    dY = images(1, 0, 2, -1)
    dM, de = s.parameter_gradient(rows, dY)
    assert dM.ravel().tolist() == [-3, -1, 6, 0, 4, 2, 0, 0, 3]
    assert de.tolist() == [2]
    dX = s.paste(s.window_gradient(dY, M), *rest, 1, 3, 3, 2, 2)
    assert dX.ravel().tolist() == [1, 0, 0, 0, 4, 0, 2, 0, -1]
    small, middle = images(1, 2, 3, 0), 0 * X
    middle.ravel()[4] = 1
    got = s.transposed(small, T, np.zeros(1), 2, 1, 3, 3)
    assert got.ravel().tolist() == [1, 0, 2, 0, 5, 0, 3, 0, 0]
    assert s.transposed_input_gradient(middle, T, 2, 1, 2, 2).ravel().tolist() == [1, -1, 2, 1]
    dT, _ = s.transposed_parameter_gradient(small, middle, *rest)
    assert dT.ravel().tolist() == [0, 0, 3, 0, 0, 0, 2, 0, 1]


@pytest.mark.parametrize("seed", range(50))
def test_numbers_of_windows_tell_each_mistake_whatever_the_seed(seed: int) -> None:
    variant = CONVOLUTION.variant(0)
    known = CONVOLUTION.known("q1", variant, seed)
    for mistake in CONVOLUTION.mistakes_of("q1", variant.form):
        results = CONVOLUTION.results(CONVOLUTION.source(variant, [mistake]), "q1", variant, seed)
        assert verdict(results, known).fraction < 1, mistake.hint


# 9: find the mistake.

LISTS = runpy.run_path(str(FIND.folder / "mistakes.py"))
SEEN, UNSEEN = LISTS["SEEN"], LISTS["UNSEEN"]
CHECKED = {"q1": "vae", "q3": "gan_step", "q7": "batch_norm"}


def checked_gradients(mistakes: list, capsys: pytest.CaptureFixture) -> dict[str, float]:
    """What the gradient check at the end of the file says of a program with a mistake."""
    with np.errstate(all="ignore"):
        assignment.execute(FIND.source(FIND.variant(0), mistakes), "planted").main()
    lines = capsys.readouterr().out.splitlines()
    return {line.split(":")[0]: float(line.split()[-1]) for line in lines}


def test_the_gradient_check_finds_nothing_in_what_is_right(capsys) -> None:
    assert max(checked_gradients([], capsys).values()) < 1e-6


@pytest.mark.parametrize("mistake", SEEN, ids=lambda m: m.new)
def test_a_gradient_check_sees(mistake, capsys) -> None:
    if mistake.question in CHECKED:
        seen = {
            k.split(",")[0] for k, x in checked_gradients([mistake], capsys).items() if x > 1e-2
        }
        assert seen == {CHECKED[mistake.question]}


@pytest.mark.parametrize("mistake", UNSEEN, ids=lambda m: m.new)
def test_a_gradient_check_does_not_see(mistake, capsys) -> None:
    assert max(checked_gradients([mistake], capsys).values()) < 1e-5


def test_each_variant_has_mistakes_of_both_kinds() -> None:
    for number in range(9 * 8):
        faults = [FIND.fault(q, FIND.variant(number)) for q in ("q1", "q3", "q5", "q7")]
        assert 1 <= sum(fault in SEEN for fault in faults) <= 3, number


def test_what_the_short_homework_does_not_ask_for_is_right() -> None:
    for number in range(9):
        variant = FIND.variant(number)
        right, stub = FIND.solution(variant).splitlines(), FIND.stub(variant, 1).splitlines()
        labels = [int(line.rstrip("]").rpartition("[")[2]) for line in stub if "# [" in line]
        wrong = [line for line in stub if "# [" in line and line not in right]
        assert len(wrong) == 2 and labels == [*range(1, 56)]
        assert all(int(line.rstrip("]").rpartition("[")[2]) < 29 for line in wrong), wrong
        assert stub.count("    return 0") == 2


def test_the_label_is_that_of_the_line_that_differs() -> None:
    """By comparing the stub with the solution, line by line."""
    for number in range(9):
        variant = FIND.variant(number)
        right, stub = FIND.solution(variant).splitlines(), FIND.stub(variant).splitlines()
        wrong = [line for line in stub if "# [" in line and line not in right]
        labels = [int(re.search(r"# \[(\d+)\]$", line)[1]) for line in wrong]
        answers = assignment.execute(FIND.solution(variant), "solution")
        functions = ("line_of_vae", "line_of_gan", "line_of_training", "line_of_batch_norm")
        assert [getattr(answers, f)() for f in functions] == labels


def test_the_right_label_is_never_told() -> None:
    assert FIND.module.judge_q2(7, 12, {}) == Verdict(0, "the mistake is in another line")
    assert not [m.hint for m in SEEN + UNSEEN if re.search(r"\[\d|line \d", m.hint)]


@pytest.mark.parametrize("label", [0, 56, 7.5])
def test_what_is_no_label_is_said(label: float) -> None:
    assert "from 1 to 55" in FIND.module.judge_q2(label, 12, {}).sentence


def test_the_gradient_check_and_the_results_have_the_names_of_the_student(capsys) -> None:
    for number in range(4):
        variant = FIND.variant(number)
        program = assignment.execute(FIND.solution(variant), "solution")
        program.main()
        printed = dict.fromkeys(re.findall(r"(\w+), `(\w+)`", capsys.readouterr().out))
        assert len(printed) == 9
        for function, name in printed:
            assert name in inspect.signature(getattr(program, function)).parameters


def test_which_result_is_wrong_is_said_by_its_name() -> None:
    source = FIND.solution(FIND.variant(0)).replace("return loss_D, loss_G, A,", "return 0, 0, A,")
    (got,) = FIND.results(source, "q3", FIND.variant(0), 0)
    assert [*got] == ["`loss_D`", "`loss_G`", "the new `A`", "the new `w`", "the new `G`"]
    assert (got["`loss_D`"], got["`loss_G`"]) == (0, 0)
    with pytest.raises(ValueError, match=r"expected 5 results, `loss_D`, .* got 3"):
        FIND.results(source.replace("0, 0, A,", "A,"), "q3", FIND.variant(0), 0)


def test_the_programs_are_those_of_byhand() -> None:
    s = solution(FIND)
    r, da, gain, shift = normal(7, 4), normal(7, 4), normal(4), normal(4)
    a, dr, dgain, dshift, *_ = s.batch_norm(r, da, gain, shift, 0, 1, 0.1, r)
    expected, cache = pieces.batch_norm(r, gain, shift)
    rest = np.empty(4), np.empty(4)
    assert_close(a, expected)
    assert_close(dr, pieces.batch_norm_backward(da, cache, gain, *rest))
    assert_close((dgain, dshift), rest)

    x, M, L, D = RANDOM.random((5, 7)), normal(7, 3), normal(7, 3), normal(3, 7)
    mu, v = x @ M, x @ L
    z, _ = pieces.reparameterise(mu, v, np.random.default_rng(1).standard_normal((1, 5, 3)))
    log_p, _ = pieces.bernoulli(z @ D, x)
    assert_close(s.vae(x, M, L, D, 1)[0], pieces.kl(mu, v)[0].sum() / 5 - log_p.mean())


# 10: write the check.


def judged(source: str, id_: str) -> Verdict:
    """The verdict on a check."""
    got, cases = WRITE.results(source, id_, WRITE.variant(0), 5), WRITE.cases(id_, "", 5)
    return WRITE.module.judge(got, None, cases)


def written(body: str) -> str:
    """Four checks that do the same."""
    names = ("softmax_cross_entropy", "kl", "sampler", "adam")
    return "import numpy as np\n" + "\n".join(
        f"def check_{n}(function):\n    {body}" for n in names
    )


@pytest.mark.parametrize("id_", ["q1", "q2", "q3", "q4"])
@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("pass", r"0 of \d+ wrong ones are refused; in one that is not refused, "),
        ("assert False", "the check refuses a right implementation"),
        ("1 / 0", "the check does not get through with a right implementation"),
        ("function()", "the check does not get through with a right implementation"),
        ("function(*[np.ones((40, 40))] * 6)", "the check does not get through with a right"),
    ],
)
def test_a_check_that_always_says_the_same_gets_nothing(id_: str, body: str, sentence: str) -> None:
    got = judged(written(body), id_)
    assert got.fraction == 0
    assert re.match(sentence, got.sentence)


def test_a_check_of_the_gradient_alone_gets_a_part() -> None:
    source = WRITE.solution(WRITE.variant(0))
    body = source.replace('assert np.isclose(loss, -np.sum(t * np.log(q)) / 2), "the loss"', "")
    got = judged(body.replace("(1000.0, -1000.0)", "()"), "q1")
    assert got.fraction == pytest.approx(4 / 11)


def test_a_check_cannot_ask_for_much() -> None:
    case = WRITE.cases("q3", "", 5)[0]
    much = ((20_001, (1, 1)), (20_000, (10, 10)), (10, (1, 1001)), (0, (1, 1)))
    nothing = ((1, (1001, 0)), (1, (0, 1001)))  # a loop over the rows is not done for ages
    for count, shape in much + nothing:
        with pytest.raises(ValueError, match="expected"):
            WRITE.module.ask_call(case, mu=np.zeros(shape), v=np.zeros(shape), count=count, seed=1)


def test_arguments_have_their_names_and_their_size_is_that_of_the_result() -> None:
    case, one = WRITE.cases("q3", "", 5)[0], np.zeros((1, 1))
    with pytest.raises(ValueError, match="expected arguments mu, v, count, seed, got mu, v, n, se"):
        WRITE.module.ask_call(case, mu=one, v=one, n=10**8, seed=1)
    with pytest.raises(ValueError, match="at most 1,000 numbers"):
        WRITE.module.ask_call(case, mu=np.zeros((500, 1)), v=np.zeros((1, 500)), count=1, seed=1)


def test_the_order_is_secret_and_the_same_while_the_grader_runs(monkeypatch) -> None:
    """A case has a key, which tells nothing; where the right ones stand differs."""

    def orders() -> list[list[str]]:
        return [
            [WRITE.module.ASKED_ABOUT[case["key"]][1] for case in WRITE.cases("q2", "", seed)]
            for seed in range(9)
        ]

    keys = [case["key"] for seed in (5, 5) for case in WRITE.cases("q2", "", seed)]
    assert len({*keys}) == 26
    before = orders()
    assert before == orders()
    assert len({*map(tuple, before)}) > 5
    monkeypatch.setattr(WRITE.module, "SECRET", 1)
    assert all(a != b for a, b in zip(orders(), before, strict=True))


VOTE = """
import sys
import numpy as np

def check_kl(function):
    mu, v = np.arange(6.0).reshape(3, 2), np.arange(6.0).reshape(3, 2) / 3
    got = str([np.round(x, 6) for x in function(mu, v)])
    for memory in (np.__dict__, sys.__dict__, vars(sys.modules["builtins"]), globals()):
        seen = memory.setdefault("seen", [])
        seen.append(got)
    {}
"""


@pytest.mark.skipif(os.name != "posix", reason="grading needs Linux or a Mac")
@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ("assert len(seen) < 2 or seen.count(got) > 1", "0 of 10 wrong ones are refused"),
        ("assert len(seen) == 1", "0 of 10 wrong ones are refused"),
    ],
)
def test_a_check_knows_nothing_of_the_other_implementations(rule, sentence, tmp_path) -> None:
    """Whatever it writes down, nothing of it is there when it meets the next one."""
    path = tmp_path / "write_the_check.py"
    path.write_text(WRITE.header(WRITE.variant(0), 1) + VOTE.format(rule))
    _, kl = grade(path).questions
    assert (kl.points, kl.text[: len(sentence)]) == (0, sentence)


def test_the_losses_on_paper() -> None:
    page, a = on_the_page(WRITE), np.log([[1.0, 3.0]])
    for labels, gradient in (([1.0, 0.0], [-0.75, 0.75]), ([0.5, 0.5], [-0.25, 0.25])):
        loss, da = pieces.softmax_cross_entropy(a, np.array([labels]))
        assert_on_the_page([loss], page)
        assert_close(da, [gradient])
    assert_on_the_page([loss - math.log(2)], page)
