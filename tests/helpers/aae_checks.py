"""Checks of the adversarial autoencoder, for its tests and for the table of mutants."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import aae_phases
import numpy as np
import pytest
from aae_phases import by_autograd, by_hand, turn
from adversarial_step_checks import spy
from gan_checks import expected_of_d, expected_of_g

import tinygen as tg
from tinygen import optim
from tinygen.models import AdversarialAutoencoder
from tinygen.models.gan import PENALTIES
from tinygen.training import AAELearner

NUMPY = tg.get_backend("numpy")
SMALL: dict[str, Any] = {"pixels": 4, "hidden": (4,), "latent": 2, "activation": "gelu",
                         "discriminator_hidden": (3, 2), "discriminator_activation": "tanh",
                         "biases": "normal"}  # fmt: skip
LINEAR: dict[str, Any] = {"hidden": (), "discriminator_hidden": (), "activation": "none",
                          "output": "none", "reconstruction": "mse"}  # fmt: skip
KINDS = ("autograd", "by-hand")
RATE, RATIO, N = 0.5, 0.25, 6


def aae(loss: str = "non-saturating", **options: Any) -> AdversarialAutoencoder:
    return AdversarialAutoencoder(loss=loss, **(SMALL | options))


def data_of(model: AdversarialAutoencoder, step: int = 0, dtype: Any = np.float64) -> Any:
    random = NUMPY.generator((9, step))
    return model.draw(random.random((N, model.pixels), dtype=dtype), random, step)


def begin(
    model: AdversarialAutoencoder,
    gradients: str,
    optimizer: Any = optim.SGD,
    ratio: float = 1.0,
    backend: Any = NUMPY,
    dtype: Any = np.float64,
) -> AAELearner:
    p = model.initialise(1, np.float64).to(backend, dtype)
    return AAELearner(model, p, optimizer, model.gradients(gradients), ratio=ratio)


# The model.


def check_losses_of_a_linear_discriminator(loss: str) -> None:
    """Draws of the prior are what is real; the encoder wants its codes to be taken for them."""
    model = aae(loss, **LINEAR)
    turns = turn(model, N, 1)
    d, z, codes, _ = turns["discriminator"]
    e, _, x = turns["encoder"]
    norm = np.linalg.norm(d["W1"])
    a, b = ((rows * d["W1"][:, 0]).sum(axis=1) + d["b1"][0] for rows in (z, codes))
    penalty = {"wasserstein-gp": 10 * (norm - 1) ** 2, "r1": norm**2 / 2}.get(loss, 0.0)
    of_d = expected_of_d(loss, a, b) + penalty
    of_e = expected_of_g(loss, (x @ e["W1"] + e["b1"]) @ d["W1"][:, 0] + d["b1"][0])
    for derive in (by_hand, by_autograd):
        found = float(derive(model, "discriminator", *turns["discriminator"])[0])
        assert found == pytest.approx(of_d, rel=1e-10)  # 1e-12 under the root of the norm
        found = float(derive(model, "encoder", *turns["encoder"])[0])
        assert found == pytest.approx(of_e, rel=1e-13)


def check_interpolates() -> None:
    """With an alpha of 1 it is that of the draws, with 0 that of the codes, and these alone."""
    model = aae("wasserstein-gp")
    d, z, codes, alpha = turn(model, N, 1)["discriminator"]
    for derive in (by_hand, by_autograd):

        def loss(z: Any, codes: Any, at: float, derive: Any = derive) -> float:
            return float(derive(model, "discriminator", d, z, codes, 0 * alpha + at)[0])

        def critic(x: Any) -> float:
            return float(model.gan.logits(d, x).mean())

        for at, where in ((1.0, z), (0.0, codes)):
            penalty = loss(z, codes, at) - (critic(codes) - critic(z))
            assert penalty == pytest.approx(loss(where, where, 0.5), rel=1e-12)


def check_moments_of_draws() -> None:
    n = 20_000
    _, z, alpha = aae("wasserstein-gp").draw(np.zeros((n, 4)), NUMPY.generator(0))
    # The moments of N(0, 1); and how far their estimates may be off: five standard
    # deviations of such powers, over the root of 2 n numbers.
    for power, moment, std in ((1, 0, 1), (2, 1, 2**0.5), (4, 3, 96**0.5)):
        assert (z**power).mean() == pytest.approx(moment, abs=5 * std / z.size**0.5)
    assert abs(np.corrcoef(z.T)[0, 1]) < 5 / n**0.5
    assert (alpha >= 0).all() and (alpha <= 1).all()
    assert alpha.mean() == pytest.approx(0.5, abs=5 / (12 * n) ** 0.5)


# The routing: what each phase reads, and what it changes.


def measured(loss: Callable[[Any], Any], p: tg.Parameters) -> Any:
    """The gradient by central differences, one parameter after the other."""
    moves = 1e-5 * np.eye(p.flat.size)
    ups, downs = ([loss(p.like(p.flat + s * v)).item() for v in moves] for s in (1, -1))
    return (np.array(ups) - downs) / 2e-5


def expected_step(
    model: AdversarialAutoencoder, p: tg.Parameters, data: Any, rate: float, ratio: float
) -> tg.Parameters:
    """The three phases as the derivation has them, by gradient descent along measured gradients."""
    p, (x, z, alpha) = p.copy(), data
    both, e, d = p.only("encoder.", "decoder."), p.part("encoder."), p.part("discriminator.")
    both.flat[...] -= rate * measured(lambda q: model.reconstruction_loss(q, x), both)
    codes = model.encoder(e, x)
    d.flat[...] -= (
        rate * ratio * measured(lambda q: model.discriminator_loss(q, z, codes, alpha), d)
    )
    e.flat[...] -= rate * ratio * measured(lambda q: model.encoder_loss(q, d, x), e)
    return p


def check_three_phases(gradients: str, loss: str) -> None:
    model = aae(loss, penalty=2.0 if loss in PENALTIES else None)
    learner = begin(model, gradients, ratio=RATIO)
    for step in (1, 2):  # so that there is something old that could be mistaken for new
        learner.step(data_of(model, step), 0.1)
    before, data = learner.parameters.copy(), data_of(model)
    learner.step(data, RATE)
    expected = expected_step(model, before, data, RATE, RATIO)
    # 1e-5 squared is 1e-10, rounding 1e-16 / 1e-5; times a third derivative of up to some 100.
    np.testing.assert_allclose(learner.parameters.flat, expected.flat, rtol=0, atol=1e-7)


def fingerprints(learner: AAELearner) -> dict[str, bytes]:
    """Of all that a step can change."""
    p, vectors = learner.parameters, learner.vectors
    del vectors["parameters"]  # which are looked at part by part
    vectors |= {who: p.part(f"{who}.").flat for who in ("encoder", "decoder", "discriminator")}
    return {name: x.tobytes() for name, x in vectors.items()}


def check_each_phase_alone(gradients: str, loss: str) -> None:
    model = aae(loss)
    learner = begin(model, gradients, optim.Adam)
    learner.step(data_of(model, 1), 1e-2)  # moments that are not 0
    data, seen = data_of(model), []
    phases = ("reconstruction", "encode", "discriminator", "encoder")
    for phase in phases:

        def note(*arguments: Any, phase: str = phase) -> None:
            seen.append((phase, fingerprints(learner), arguments))

        spy(learner, phase, note)
    given_data = [None if a is None else a.tobytes() for a in data]
    figures = learner.step(data, 1e-2)
    assert [None if a is None else a.tobytes() for a in data] == given_data
    names, states, arguments = zip(*seen, strict=True)
    assert names == phases
    states = *states, fingerprints(learner)
    changed = [
        {name for name in before if before[name] != after[name]}
        for before, after in pairwise(states)
    ]
    assert changed == [
        {"encoder", "decoder", "reconstruction.m", "reconstruction.v"},
        set(),
        {"discriminator", "discriminator.m", "discriminator.v"},
        {"encoder", "encoder.m", "encoder.v"},
    ]
    assert set(figures) == set(AAELearner.figures)
    (p, x), (e, seen_x), (d, z, codes, alpha), (e_again, d_again, last_x) = arguments
    assert p is learner.p and e is e_again is learner.e and d is d_again is learner.d
    assert x is seen_x is last_x is data.x and z is data.z and alpha is data.alpha
    assert isinstance(codes, np.ndarray) and not np.shares_memory(codes, z)


def check_figures(gradients: str, loss: str) -> None:
    model = aae(loss)
    learner = begin(model, gradients)
    p, (x, z, alpha) = learner.parameters.copy(), data_of(model)
    figures = learner.step((x, z, alpha), RATE)
    autoencoder = p.only("encoder.", "decoder.")
    R, g = by_autograd(model, "reconstruction", autoencoder, x)
    autoencoder.flat[...] -= RATE * g.flat
    codes, d = model.encode(p, x), p.part("discriminator.")
    expected = {
        "reconstruction_loss": R,
        "discriminator_loss": model.discriminator_loss(d, z, codes, alpha),
        "encoder_loss": model.encoder_loss(
            p.part("encoder."), learner.parameters.part("discriminator."), x
        ),
    }
    for name, value in expected.items():
        assert float(figures[name]) == pytest.approx(value.item(), rel=1e-11)


def check_ratio(gradients: str) -> None:
    """Adam's first step has the size of the rate, whatever the gradient: g / (|g| + 1e-8)."""
    learner = begin(aae(), gradients, optim.Adam, ratio=0.1)
    before = learner.parameters.copy()
    after_phase_1: list[Any] = []
    spy(learner, "encoder", lambda e, *arguments: after_phase_1.append(e.flat.copy()))
    learner.step(data_of(aae()), 1e-3)
    p, moved = learner.parameters, {}
    for who in ("decoder", "discriminator"):
        moved[who] = p.part(f"{who}.").flat - before.part(f"{who}.").flat
    moved["encoder, first"] = after_phase_1[0] - before.part("encoder.").flat
    moved["encoder, then"] = p.part("encoder.").flat - after_phase_1[0]
    sizes = {who: np.median(abs(move)) for who, move in moved.items()}
    expected = {"decoder": 1e-3, "discriminator": 1e-4, "encoder, first": 1e-3,
                "encoder, then": 1e-4}  # fmt: skip
    assert sizes == pytest.approx(expected, rel=1e-3)
    assert learner.steps == learner.p_optimizer.steps == learner.d_optimizer.steps == 1
    assert learner.e_optimizer.steps == 1


def check_vectors_of_the_phases() -> None:
    learner = begin(aae(), "autograd", optim.Adam)
    p, vectors = learner.parameters, learner.vectors
    names = [f"{phase}.{x}" for phase in aae_phases.PHASES for x in "mv"]
    assert list(vectors) == ["parameters", *names]
    assert vectors["parameters"] is p.flat
    assert vectors["encoder.v"] is learner.e_optimizer.state["v"]
    assert vectors["discriminator.m"] is learner.d_optimizer.state["m"]
    assert vectors["reconstruction.m"] is learner.p_optimizer.state["m"]
    assert all(np.shares_memory(q.flat, p.flat) for q in (learner.p, learner.d, learner.e))
    learner.steps = 7  # as a checkpoint says
    every = learner.p_optimizer, learner.d_optimizer, learner.e_optimizer
    assert [one.steps for one in every] == [7, 7, 7]


LINE = AdversarialAutoencoder(pixels=1, latent=1, loss="least-squares", **LINEAR)


def on_paper(u: float, b: float, w: float, c: float, v: float, f: float) -> tg.Parameters:
    """The code is u x + b, its image w z + c, its logit v z + f."""
    return tg.Parameters(LINE.shapes, np.array([u, b, w, c, v, f], np.float64))


def column(*numbers: float) -> Any:
    return np.array(numbers, np.float64)[:, None]


X, Z = column(1, -1), column(1, -1)
START = 1, 1, 1 / 2, 0, 1, 0
exactly = partial(pytest.approx, rel=1e-14, abs=1e-15)  # the rounding of a few operations


def gradients_on_paper(model: Any, phase: str, p: tg.Parameters, *data: Any) -> Any:
    """The loss and the numbers of its gradient, by hand; autograd has the same."""
    autoencoder = p.only("encoder.", "decoder.")
    own = autoencoder if phase == "reconstruction" else p.part(f"{phase}.")
    loss, g = by_hand(model, phase, own, *data)
    other, h = by_autograd(model, phase, own, *data)
    assert loss == exactly(float(other)) and g.flat == exactly(h.flat)
    return float(loss), g.flat.tolist()


def check_worked_example() -> None:
    p = on_paper(*START)
    loss, g = gradients_on_paper(LINE, "reconstruction", p, X)
    assert loss == exactly(1 / 2) and g == exactly([-1 / 2, 1 / 2, 0, 1])
    p = on_paper(3 / 2, 1 / 2, 1 / 2, -1, 1, 0)
    codes = LINE.encode(p, X)
    assert codes.ravel().tolist() == [2, -1]
    loss, g = gradients_on_paper(LINE, "discriminator", p, Z, codes)
    assert loss == exactly(9 / 4) and g == exactly([7 / 2, -1 / 2])
    p = on_paper(3 / 2, 1 / 2, 1 / 2, -1, -3 / 4, 1 / 4)
    loss, g = gradients_on_paper(LINE, "encoder", p, p.part("discriminator."), X)
    assert loss == exactly(81 / 64) and g == exactly([27 / 32] * 2)


def check_step_of_the_worked_example(gradients: str) -> None:
    """The rate is 1, that of the game 1/2."""
    p = on_paper(*START)
    learner = AAELearner(LINE, p, optim.SGD, LINE.gradients(gradients), ratio=0.5)
    figures = learner.step((X, Z, None), 1.0)
    assert [float(x) for x in figures.values()] == exactly([1 / 2, 9 / 4, 81 / 64])
    assert p.flat.tolist() == exactly([69 / 64, 5 / 64, 1 / 2, -1, -3 / 4, 1 / 4])
    assert LINE.encode(p, X).ravel().tolist() == exactly([37 / 32, -1])


MU = np.array([3.0, -2.0, 1.0])
A = np.array([[2.0, 0, 0], [1, 1, 0], [0.5, -0.5, 0.3]])
C = A @ A.T
"""The images are ``MU + A g`` with three standard normal numbers g; their covariance is C."""
WHITENING: dict[str, Any] = {**LINEAR, "pixels": 3, "latent": 2, "discriminator_hidden": (16, 16),
                             "discriminator_activation": "elu"}  # fmt: skip

END = {"r1": (0, 2 * np.log(2), np.log(2)), "non-saturating": (0, 2 * np.log(2), np.log(2)),
       "least-squares": (1 / 2, 1 / 4, 1 / 8)}  # fmt: skip
"""Of each loss, when the game is over: the logit, and what is left to both players."""


def moments(p: tg.Parameters) -> tuple[Any, Any, float]:
    """Of the codes of all images there are: their mean, their covariance, and the loss R."""
    W, b, V, c = (p[name] for name in p if not name.startswith("discriminator."))
    left = np.eye(3) - W @ V  # of an image's deviation from MU
    bias = MU - (MU @ W + b) @ V - c
    return MU @ W + b, W.T @ C @ W, float(np.trace(left.T @ C @ left) + bias @ bias) / 3


def trained(loss: str, gradients: str, ratio: float, steps: int = 2000) -> tuple[Any, Any]:
    """The model and its parameters after a training from codes that are far from the prior."""
    model = AdversarialAutoencoder(loss=loss, **WHITENING)
    p = model.initialise(0, np.float64)
    p["encoder.W1"][...], p["encoder.b1"][...] = [[2, 0], [1.5, 0.2], [0, 0.1]], [-2, 3]
    mean, covariance, R = moments(p)
    assert abs(mean).max() > 2 and covariance[0, 0] > 30 > 1 / 10 > covariance[1, 1] and R > 10
    adam, schedule = partial(optim.Adam, beta1=0.5), optim.cosine(0.05, steps)
    learner = AAELearner(model, p, adam, model.gradients(gradients), ratio=ratio)
    for step in range(steps):
        random = NUMPY.generator((0, step))
        x = MU + random.standard_normal((256, 3)) @ A.T
        learner.step(model.draw(x, random, step), schedule(step))
    return model, p


def check_moments_of_codes(p: tg.Parameters) -> None:
    mean, covariance, _ = moments(p)
    # Measured: up to 0.04 for all of them, from batches whose own moments are off by 1 / 16.
    np.testing.assert_allclose(mean, 0, atol=0.06)
    np.testing.assert_allclose(covariance, np.eye(2), atol=0.06)


def check_whitening(loss: str, gradients: str) -> None:
    model, p = trained(loss, gradients, ratio=1.0)
    check_moments_of_codes(p)
    _, _, error = moments(p)
    # It costs no reconstruction: any basis of the principal subspace will do, this one, too.
    assert error == pytest.approx(np.linalg.eigvalsh(C)[0] / 3, rel=0.05)  # measured: 0.013
    # And the discriminator has nothing to say any more: measured, 0.002 and 2e-4.
    random = NUMPY.generator(1)
    x, z, _ = model.draw(MU + random.standard_normal((2000, 3)) @ A.T, random)
    e, d = p.part("encoder."), p.part("discriminator.")
    undecided, of_d, of_e = END[loss]
    assert abs(model.gan.logits(d, z) - undecided).mean() < 0.02
    assert model.discriminator_loss(d, z, model.encoder(e, x)) == pytest.approx(of_d, abs=2e-3)
    assert model.encoder_loss(e, d, x) == pytest.approx(of_e, abs=2e-3)
