"""By hand, by autograd and measured: the lines of the book stand beside the steps that agree."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

import tinygen as tg
from tinygen import byhand
from tinygen.explain import derivation, side_by_side
from tinygen.models import GAN, VAE, Autoencoder, Classifier

BOOK = Path(tg.__file__).parent / "byhand"


def drawn(model):
    """Parameters whose biases are not 0, and the data of a step."""
    rng = np.random.default_rng(1)
    p = model.initialise(0, np.float64)
    p.flat[...] += 0.1 * rng.standard_normal(p.flat.shape)
    labels = [np.array([0, 1, 2, 1, 0])] if isinstance(model, Classifier) else []
    if labels:
        labels = [tg.one_hot(labels[0], 3, np.float64)]
    return p, model.draw(rng.random((5, 6)), rng, 0, *labels)


MODELS = [
    Autoencoder(6, (4, 3), 2, reconstruction="bce", activation="gelu"),
    VAE(6, (4,), 2),
    VAE(6, (4,), 2, objective="iwae", samples=3, likelihood="gaussian"),
]


@pytest.mark.parametrize("model", MODELS)
def test_three_opinions_of_every_gradient(model):
    p, data = drawn(model)
    both = side_by_side(model.loss, model.gradients("by-hand"), p, *data)
    gradients = [match for match in both.matches if match.is_gradient]
    assert {*p} <= {match.node.name for match in gradients}
    for match in gradients:
        assert match.by_hand == pytest.approx(match.by_autograd, rel=1e-12)
        assert match.by_hand == pytest.approx(match.measured, rel=1e-6)
        assert match.difference < 1e-12


def test_lines_are_those_of_the_book_with_their_equations():
    p, data = drawn(MODELS[1])
    lines = derivation(MODELS[1].gradients("by-hand"), p, *data)
    assert {line.file for line in lines} == {"vae.py", "chain.py", "pieces.py"}
    for line in lines:
        written = (BOOK / line.file).read_text().splitlines()[line.number - 1]
        assert line.code in written
        assert {*line.equations} == {*re.findall(r"\(([PC]?\d+)\)", written.rpartition("#")[2])}
    (line,) = [line for line in lines if line.code.startswith("z, scaled =")]
    assert {*line.made} == {"z", "scaled"} and line.depth == 1
    (k, noise), scaled = (1, data[1]), line.made["scaled"]
    assert scaled.shape == (k, *noise.shape[1:])
    assert (np.sign(scaled) == np.sign(noise)).all()  # sigma is positive


def test_what_a_line_writes_in_place_is_what_it_made():
    W, dW = np.full((3, 1), 2.0), np.ones((3, 1))
    line, _ = derivation(byhand.pieces.l2_penalty, W, dW, 0.5)
    assert line.equations == ("P70",) and line.code == "dW += weight * W"
    assert line.made["dW"].tolist() == [[2], [2], [2]]


def test_from_a_mistake_on_nothing_agrees():
    """By hand with another activation: what comes before it on the way back is right, too."""
    p, data = drawn(MODELS[0])
    other = Autoencoder(6, (4, 3), 2, reconstruction="bce", activation="tanh")
    loss = MODELS[0].loss
    right, wrong = (
        side_by_side(loss, model.gradients("by-hand"), p, *data).matches
        for model in (MODELS[0], other)
    )
    assert {"x", "encoder.W1", "decoder.W3"} <= {m.node.name for m in right}
    assert not any(m.differs for m in right)
    agree = {m.node.name for m in wrong if not m.differs}
    assert "x" in agree and not {"encoder.W1", "decoder.W3"} & agree
    # What should have been the same stands there, and says that it is not.
    of_encoder = {f"gradients[{name}]" for name in p if name.startswith("encoder.")}
    assert {m.name for m in wrong if m.differs} == of_encoder
    for match in wrong:
        if match.differs:
            assert match.by_autograd == pytest.approx(match.measured, rel=1e-6)
            assert match.by_hand != pytest.approx(match.measured, rel=1e-3)


def test_a_part_of_a_gradient_and_what_has_the_other_sign():
    """The half of the reparameterisation is in one of two paths that meet at log_var."""
    model = MODELS[1]
    p, data = drawn(model)
    both = side_by_side(model.loss, model.gradients("by-hand"), p, *data)
    matches = {(m.line.file, m.name): m for m in both.matches}
    dv, log_p = matches["vae.py", "dv"], matches["vae.py", "log_p"]
    assert dv.called.startswith("dlog_var from ") and dv.difference < 1e-12
    assert dv.by_hand == pytest.approx(dv.measured, rel=1e-6)
    whole = both.trace.finite_difference("log_var", dv.index)
    assert whole != pytest.approx(dv.measured, rel=1e-2)
    assert log_p.called == "-bernoulli_nll1" and log_p.by_hand == log_p.by_autograd < 0


def test_an_array_of_two_names_is_named_once_and_what_leads_to_a_line_stands_before_it():
    (p,) = [line for line in derivation(byhand.pieces.gelu_gate, np.ones((2, 2)))
            if line.equations == ("P24",)]  # fmt: skip
    assert {*p.made} == {"p"}  # u lies in the same memory by then
    assert p.before[0] == "p = xp.tanh(u, out=u)" and p.code == "p *= 0.5"


@pytest.mark.parametrize("blank", ["", "\n\n"])
@pytest.mark.parametrize("signature", ["def f(p, x):", "def f(\n    p,\n    x,\n):"])
def test_what_leads_to_a_line_makes_what_it_needs(tmp_path, monkeypatch, blank, signature):
    """However the code is formatted: no other line does, nor one before another equation."""
    lines = [
        signature,
        '    """Formulas, for example."""',
        "    n = len(x)",
        "    a = x * p",
        "    h = a + (",
        "        a",
        "    )  # (A1)",
        "    unused = h + 1",
        "    m = n + 1",
        "    z = m * h  # (A3)",
        "    for k in range(1):",
        "        parts = []",
        "        # A comment is no code.",
        "        parts.append(h)",
        "        if k == 0:",
        "            y = parts[k] * 2  # (A2)",
        "    return y, {}",
    ]
    path = tmp_path / "book.py"
    path.write_text(blank.join(f"{line}\n" for line in lines))
    monkeypatch.setattr(sys.modules["tinygen.explain.derivation"], "BOOK", tmp_path)
    functions = {}
    exec(compile(path.read_text(), path, "exec"), functions)
    before = {line.equations: line.before for line in derivation(functions["f"], *np.ones((2, 3)))}
    assert before == {("A2",): ("parts = []", "parts.append(h)"), ("A3",): ("m = n + 1",)}


def test_lines_that_write_into_what_they_were_given():
    model = GAN(6, 3, (4,), (4,), discriminator_activation="elu", loss="r1")
    p, x = model.initialise(0, np.float64).part("discriminator."), np.ones((4, 6))
    masks = model.draw(x, np.random.default_rng(0))[0].masks
    lines = derivation(model.gradients("by-hand").discriminator, p, x, 0 * x, None, None, masks)
    (line, *_) = [line for line in lines if line.equations == ("C16",)]
    assert {*line.made} == {"gradients[k][0]"}


def test_the_table_fits_a_terminal():
    model = MODELS[1]
    p, data = drawn(model)
    rows = str(side_by_side(model.loss, model.gradients("by-hand"), p, *data)).splitlines()
    assert max(map(len, rows)) <= 80
    assert rows[0].split() == ["by", "hand", "autograd", "measured"]
    (at,) = [i for i, row in enumerate(rows) if "dmu, dv = reparameterise_backward" in row]
    assert rows[at].endswith("(P54) (P55)")


def test_whoever_traced_before_goes_on_after_it():
    """A debugger, or a tool that counts lines; also after an error."""
    before = sys.gettrace()
    derivation(byhand.pieces.kl, np.ones((1, 1)), np.ones((1, 1)))
    assert sys.gettrace() is before
    with pytest.raises(TypeError):
        derivation(byhand.pieces.kl, {})
    assert sys.gettrace() is before


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_finite_differences_from_the_middle(dtype):
    x = tg.Tensor(np.array([0.5, -1.0, 2.0], dtype), requires_grad=True)
    h = tg.tanh(x)
    t = tg.trace(tg.sum(h * h * h))
    for i in range(3):
        expected = 3 * np.tanh(x.array[i]) ** 2
        tolerance = 1e-8 if dtype == np.float64 else 1e-3
        assert t.finite_difference("h", i) == pytest.approx(expected, rel=tolerance)
        by_hand = expected * (1 - np.tanh(x.array[i]) ** 2)
        assert t.finite_difference("x", (i,)) == pytest.approx(by_hand, rel=10 * tolerance)


def test_what_is_written_into_memory_that_held_the_same_before():
    """As new memory may, where the last call has left its gradients."""
    da, y = np.ones((3, 4)), np.full((3, 4), 2.0)
    s, dgamma, dbeta = np.ones(4), np.full(4, 6.0), np.full(4, 3.0)
    lines = derivation(byhand.pieces.batch_norm_backward, da, (y, s), s, dgamma, dbeta)
    assert [[*line.made] for line in lines[:2]] == [["dbeta"], ["dgamma"]]
