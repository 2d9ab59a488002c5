"""The adversarial autoencoder: closed forms, the routing of its three phases, theory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import test_byhand_aae
import test_equations
from strict import STRICT, count_syncs, see_dtypes
from test_byhand_aae import by_autograd, by_hand, turn
from test_gan import expected_of_d, expected_of_g
from test_trainer import press_at, rows_without_time

import tinygen as tg
from tinygen import optim
from tinygen.autograd import NonFiniteError, stop_at_nonfinite
from tinygen.backend.numpy_backend import adam_numpy
from tinygen.errors import InputError
from tinygen.models import GAN, AdversarialAutoencoder, Autoencoder
from tinygen.models.gan import LOSSES, PENALTIES
from tinygen.models.serialization import described, from_description
from tinygen.training import Diverged, Interrupted, Plan, Progress, Record, State, fit, trainer
from tinygen.training.learners.aae import Optimizers, ThreePhases, aae_learner

NUMPY = tg.get_backend("numpy")
SMALL: dict[str, Any] = {"pixels": 4, "hidden": (4,), "latent": 2, "activation": "gelu",
                         "discriminator_hidden": (5, 4), "discriminator_activation": "tanh",
                         "biases": "normal"}  # fmt: skip
LINEAR: dict[str, Any] = {"hidden": (), "discriminator_hidden": (), "activation": "none",
                          "output": "none", "reconstruction": "mse"}  # fmt: skip
KINDS = ("autograd", "by-hand")
BOTH_KINDS = pytest.mark.parametrize("gradients", KINDS)
EVERY_LOSS = pytest.mark.parametrize("loss", LOSSES)
RATE, RATIO, N = 0.5, 0.25, 6


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither for the disk nor for numba's threads, as in tests/training/test_trainer.py."""
    monkeypatch.setattr("os.fsync", lambda file: None)
    monkeypatch.setattr(NUMPY, "_adam", adam_numpy)


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
) -> tuple[ThreePhases, State, Any]:
    p = model.initialise(1, np.float64).to(backend, dtype)
    optimizers: Any = Optimizers(p, optimizer)
    return aae_learner(model, gradients, ratio), State(p, optimizers), optimizers


# The model.


@EVERY_LOSS
def test_the_losses_of_a_linear_discriminator(loss: str) -> None:
    """Draws of the prior are what is real; the encoder wants its codes to be taken for them."""
    model = aae(loss, **LINEAR)
    turns = turn(model, N, 1)
    d, z, codes, _ = turns["discriminator"]
    e, _, x = turns["encoder"]
    slope = np.linalg.norm(d["W1"])
    a, b = ((rows * d["W1"][:, 0]).sum(axis=1) + d["b1"][0] for rows in (z, codes))
    penalty = {"wasserstein-gp": 10 * (slope - 1) ** 2, "r1": slope**2 / 2}.get(loss, 0.0)
    of_d = expected_of_d(loss, a, b) + penalty
    of_e = expected_of_g(loss, (x @ e["W1"] + e["b1"]) @ d["W1"][:, 0] + d["b1"][0])
    for derive in (by_hand, by_autograd):
        found = float(derive(model, "discriminator", *turns["discriminator"])[0])
        assert found == pytest.approx(of_d, rel=1e-10)  # 1e-12 under the root of the norm
        found = float(derive(model, "encoder", *turns["encoder"])[0])
        assert found == pytest.approx(of_e, rel=1e-13)


def test_the_penalty_of_wasserstein_lies_between_a_draw_and_a_code() -> None:
    """With a share of 1 it is that of the draws, with 0 that of the codes, and these alone."""
    model = aae("wasserstein-gp")
    d, z, codes, share = turn(model, N, 1)["discriminator"]
    for derive in (by_hand, by_autograd):

        def loss(z: Any, codes: Any, at: float, derive: Any = derive) -> float:
            return float(derive(model, "discriminator", d, z, codes, 0 * share + at)[0])

        def critic(x: Any) -> float:
            return float(model.game.logits(d, x).mean())

        for at, where in ((1.0, z), (0.0, codes)):
            penalty = loss(z, codes, at) - (critic(codes) - critic(z))
            assert penalty == pytest.approx(loss(where, where, 0.5), rel=1e-12)


def test_it_begins_as_an_autoencoder_with_a_discriminator_beside_it() -> None:
    model = aae()
    p, q = model.initialise(3), model.autoencoder.initialise(3)
    assert list(model.shapes) == [
        *q,
        *(f"discriminator.{n}" for n in model.game.discriminator.shapes),
    ]
    np.testing.assert_array_equal(p.only("encoder.", "decoder.").flat, q.flat)
    assert model.autoencoder == Autoencoder(4, (4,), 2, "gelu", reconstruction="bce",
                                            biases="normal")  # fmt: skip
    assert isinstance(model.game, GAN) and model.game.weight == 0
    assert (model.game.pixels, model.game.latent, model.game.generator_norm) == (2, 4, "none")


def test_codes_and_images() -> None:
    model = aae()
    p = model.initialise(0, np.float64)
    x, z, _ = data_of(model)
    codes = model.encode(p, x)
    assert codes.shape == z.shape == (N, 2)
    np.testing.assert_array_equal(codes, model.encoder(p.part("encoder."), x))
    np.testing.assert_array_equal(codes, model.game.generate(p.part("encoder."), x))
    np.testing.assert_array_equal(model.decode(p, z), model.decoder(p.part("decoder."), z))
    np.testing.assert_array_equal(model.reconstruct(p, x), model.decode(p, codes))
    assert ((model.decode(p, z) > 0) & (model.decode(p, z) < 1)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@EVERY_LOSS
def test_what_is_drawn(backend: Any, loss: str, dtype: Any) -> None:
    model = aae(loss)
    x = backend.asarray(np.full((N, 4), 0.3, dtype))
    with count_syncs() as syncs, see_dtypes() as seen:
        drawn = model.draw(x, backend.generator((0, 1, 7)), 7)
        again = model.draw(x, backend.generator((0, 1, 7)), 7)
    assert not syncs and {*seen} <= {np.dtype(dtype), np.dtype(np.float32)}
    assert drawn.x is x and drawn.z.shape == (N, 2) and drawn.z.dtype == dtype
    assert (drawn.share is None) == (loss != "wasserstein-gp")
    if drawn.share is not None:
        assert drawn.share.shape == (N, 1) and drawn.share.dtype == dtype
    for one, other in zip(drawn, again, strict=True):
        if one is not None:
            np.testing.assert_array_equal(backend.to_numpy(one), backend.to_numpy(other))


def test_the_prior_is_standard_normal_and_the_share_uniform() -> None:
    n = 20_000
    _, z, share = aae("wasserstein-gp").draw(np.zeros((n, 4)), NUMPY.generator(0))
    # The moments of N(0, 1), and the deviations of powers of it: five of them in 2 n numbers.
    for power, moment, deviation in ((1, 0, 1), (2, 1, 2**0.5), (4, 3, 96**0.5)):
        assert (z**power).mean() == pytest.approx(moment, abs=5 * deviation / z.size**0.5)
    assert abs(np.corrcoef(z.T)[0, 1]) < 5 / n**0.5
    assert (share >= 0).all() and (share <= 1).all()
    assert share.mean() == pytest.approx(0.5, abs=5 / (12 * n) ** 0.5)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"reconstruction": "mae"}, "unknown reconstruction 'mae'; choose one of mse, bce"),
        ({"output": "tanh"}, "unknown output 'tanh'; choose one of sigmoid, none"),
        ({"output": "none"}, "the loss bce is that of probabilities; it needs the output sigmoid"),
        ({"activation": "maxout"}, "unknown activation 'maxout'; choose one of none, relu"),
        ({"discriminator_activation": "swish"}, "unknown activation 'swish'"),
        ({"loss": "hinge"}, "unknown loss 'hinge'; choose one of non-saturating"),
        ({"penalty": 1.0}, "the loss non-saturating has no gradient penalty to weigh"),
        ({"loss": "r1", "penalty": -1.0}, r"penalty must be at least 0, got -1\.0"),
        ({"loss": "r1", "penalty": float("nan")}, "penalty must be at least 0, got nan"),
        ({"weights": "magic"}, "unknown weights 'magic'"),
        ({"latent": 0}, "at least 1"),
        ({"discriminator_hidden": (0,)}, "at least 1"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words) as refused:
        AdversarialAutoencoder(**wrong)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("z", "codes"), [((6, 2), (6, 3)), ((6, 2), (5, 2)), ((6, 3), (6, 3)), ((2,), (2,))]
)
def test_codes_that_are_none_are_refused(z: Any, codes: Any) -> None:
    model = aae()
    d = model.initialise(0, np.float64).part("discriminator.")
    with pytest.raises(InputError, match=r"AAE: z is \(.*\), codes are \(.*\); expected 2 numbers"):
        model.discriminator_loss(d, np.zeros(z), np.zeros(codes))
    model = aae("wasserstein-gp")
    with pytest.raises(InputError, match=r"share is None, expected \(6, 1\)"):
        model.discriminator_loss(d, np.zeros((6, 2)), np.zeros((6, 2)))


def test_it_says_what_it_is_and_is_made_of_that_again() -> None:
    model = aae("r1", penalty=0.5)
    assert from_description(described(model)) == model
    assert type(AdversarialAutoencoder(loss="r1", penalty=np.float32(0.5)).penalty) is float


# The routing: what each phase reads, and what it changes.


def measured(loss: Callable[[Any], Any], p: tg.Parameters) -> Any:
    """The gradient by central differences, one parameter after the other."""
    moves = 1e-5 * np.eye(p.flat.size)
    ups, downs = ([float(loss(p.like(p.flat + s * v))) for v in moves] for s in (1, -1))
    return (np.array(ups) - downs) / 2e-5


def expected_step(
    model: AdversarialAutoencoder, p: tg.Parameters, data: Any, rate: float, ratio: float
) -> tg.Parameters:
    """The three phases as the derivation has them, by gradient descent on measured slopes."""
    p, (x, z, share) = p.copy(), data
    both, e, d = p.only("encoder.", "decoder."), p.part("encoder."), p.part("discriminator.")
    both.flat[...] -= rate * measured(lambda q: model.reconstruction_loss(q, x), both)
    codes = model.encoder(e, x)
    d.flat[...] -= (
        rate * ratio * measured(lambda q: model.discriminator_loss(q, z, codes, share), d)
    )
    e.flat[...] -= rate * ratio * measured(lambda q: model.encoder_loss(q, d, x), e)
    return p


@EVERY_LOSS
@BOTH_KINDS
def test_a_step_is_its_three_phases_one_after_the_other(gradients: str, loss: str) -> None:
    model = aae(loss, penalty=2.0 if loss in PENALTIES else None)
    learner, state, _ = begin(model, gradients, ratio=RATIO)
    for step in (1, 2):  # so that there is something old that could be mistaken for new
        learner.step(state, data_of(model, step), 0.1)
    before, data = state.parameters.copy(), data_of(model)
    learner.step(state, data, RATE)
    expected = expected_step(model, before, data, RATE, RATIO)
    # 1e-5 squared is 1e-10, rounding 1e-16 / 1e-5; times a third derivative of up to some 100.
    np.testing.assert_allclose(state.parameters.flat, expected.flat, rtol=0, atol=1e-7)


def fingerprints(state: State, optimizers: Any) -> dict[str, bytes]:
    """Of all that a step can change."""
    p = state.parameters
    halves = {who: p.part(f"{who}.").flat for who in ("encoder", "decoder", "discriminator")}
    return {name: x.tobytes() for name, x in (halves | optimizers.state).items()}


@EVERY_LOSS
@BOTH_KINDS
def test_each_phase_changes_its_own_parameters_and_moments_alone(gradients: str, loss: str) -> None:
    model = aae(loss)
    learner, state, optimizers = begin(model, gradients, optim.Adam)
    learner.step(state, data_of(model, 1), 1e-2)  # moments that are not 0
    data, seen = data_of(model), []

    def noted(name: str) -> None:
        right = getattr(learner, name)

        def call(*arguments: Any, **options: Any) -> Any:
            seen.append((name, fingerprints(state, optimizers), arguments))
            return right(*arguments, **options)

        setattr(learner, name, call)

    for name in ("of_reconstruction", "encode", "of_discriminator", "of_encoder"):
        noted(name)
    given_data = [None if a is None else a.tobytes() for a in data]
    figures = learner.step(state, data, 1e-2)
    assert [None if a is None else a.tobytes() for a in data] == given_data
    names, states, arguments = zip(*seen, strict=True)
    assert names == ("of_reconstruction", "encode", "of_discriminator", "of_encoder")
    states = *states, fingerprints(state, optimizers)
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
    assert set(figures) == set(ThreePhases.figures)
    (p, x), (e, seen_x), (d, z, codes, share), (e_again, d_again, last_x) = arguments
    assert p is optimizers.p and e is e_again is optimizers.e and d is d_again is optimizers.d
    assert x is seen_x is last_x is data.x and z is data.z and share is data.share
    assert isinstance(codes, np.ndarray) and not np.shares_memory(codes, z)


@EVERY_LOSS
@BOTH_KINDS
def test_the_figures_are_the_losses_that_each_phase_went_down(gradients: str, loss: str) -> None:
    model = aae(loss)
    learner, state, _ = begin(model, gradients)
    p, (x, z, share) = state.parameters.copy(), data_of(model)
    figures = learner.step(state, (x, z, share), RATE)
    halves = p.only("encoder.", "decoder.")
    R, g = by_autograd(model, "reconstruction", halves, x)
    halves.flat[...] -= RATE * g.flat
    codes, d = model.encode(p, x), p.part("discriminator.")
    expected = {
        "reconstruction_loss": R,
        "discriminator_loss": model.discriminator_loss(d, z, codes, share),
        "encoder_loss": model.encoder_loss(
            p.part("encoder."), state.parameters.part("discriminator."), x
        ),
    }
    for name, value in expected.items():
        assert float(figures[name]) == pytest.approx(float(value), rel=1e-11)


@BOTH_KINDS
def test_the_ratio_is_that_of_both_phases_of_the_game(gradients: str) -> None:
    """Adam's first step has the size of the rate, whatever the gradient: g / (|g| + 1e-8)."""
    learner, state, optimizers = begin(aae(), gradients, optim.Adam, ratio=0.1)
    before = state.parameters.copy()
    after_phase_1 = []
    right = learner.of_encoder

    def watched(e: Any, *arguments: Any, **options: Any) -> Any:
        after_phase_1.append(e.flat.copy())
        return right(e, *arguments, **options)

    learner.of_encoder = watched
    learner.step(state, data_of(aae()), 1e-3)
    p, moved = state.parameters, {}
    for who in ("decoder", "discriminator"):
        moved[who] = p.part(f"{who}.").flat - before.part(f"{who}.").flat
    moved["encoder, first"] = after_phase_1[0] - before.part("encoder.").flat
    moved["encoder, then"] = p.part("encoder.").flat - after_phase_1[0]
    sizes = {who: np.median(abs(move)) for who, move in moved.items()}
    expected = {"decoder": 1e-3, "discriminator": 1e-4, "encoder, first": 1e-3,
                "encoder, then": 1e-4}  # fmt: skip
    assert sizes == pytest.approx(expected, rel=1e-3)
    assert optimizers.steps == optimizers.of_p.steps == optimizers.of_d.steps == 1
    assert optimizers.of_e.steps == 1


def test_all_vectors_have_a_name_and_all_optimizers_one_count() -> None:
    p = aae().initialise(0)
    optimizers: Any = Optimizers(p, optim.Adam)
    assert list(optimizers.state) == [
        f"{phase}.{x}" for phase in test_byhand_aae.PHASES for x in "mv"
    ]
    assert optimizers.state["encoder.v"] is optimizers.of_e.state["v"]
    assert optimizers.state["discriminator.m"] is optimizers.of_d.state["m"]
    assert optimizers.state["reconstruction.m"] is optimizers.of_p.state["m"]
    assert all(np.shares_memory(q.flat, p.flat) for q in (optimizers.p, optimizers.d, optimizers.e))
    optimizers.steps = 7  # as a checkpoint says
    every = optimizers.of_p, optimizers.of_d, optimizers.of_e
    assert [one.steps for one in every] == [7, 7, 7]


# Backends, and both kinds of gradients.


@EVERY_LOSS
@BOTH_KINDS
def test_steps_are_the_same_on_every_backend_and_wait_for_nothing(
    backend: Any, gradients: str, loss: str
) -> None:
    model, ends = aae(loss), []
    for place in (NUMPY, backend):
        learner, state, _ = begin(model, gradients, optim.Adam, 0.5, place, np.float32)
        data = [
            tuple(None if a is None else place.asarray(a) for a in data_of(model, k, np.float32))
            for k in range(3)
        ]
        with count_syncs() as syncs, see_dtypes() as dtypes:
            for each in data:
                figures = learner.step(state, each, 1e-3)
                state.add(figures, N)
        assert not syncs and np.dtype(np.float64) not in dtypes
        assert all(x.shape == () and x.dtype == np.float32 for x in figures.values())
        ends.append(place.to_numpy(state.parameters.flat))
    # The same float32 arithmetic in another library: a few roundings, three steps of 1e-3.
    np.testing.assert_allclose(ends[1], ends[0], atol=5e-6)


@EVERY_LOSS
def test_by_hand_and_autograd_train_alike(loss: str) -> None:
    model, ends = aae(loss), []
    for gradients in KINDS:
        learner, state, _ = begin(model, gradients, optim.Adam, RATIO)
        for step in range(8):
            learner.step(state, data_of(model, step), 1e-2)
        ends.append(state.parameters.flat)
    # Adam divides by the root of v, which magnifies rounding where gradients are tiny.
    np.testing.assert_allclose(ends[1], ends[0], rtol=1e-7, atol=1e-10)


@BOTH_KINDS
def test_the_one_that_looks_for_nan_makes_the_same_steps(gradients: str) -> None:
    model = aae("r1")
    ends = []
    for watched in (False, True):
        learner, state, _ = begin(model, "autograd", optim.Adam, ratio=0.3)
        learner = aae_learner(model, gradients, 0.3).watched() if watched else learner
        for step in range(4):
            learner.step(state, data_of(model, step), 1e-2)
        ends.append(state.parameters.flat.tobytes())
    assert ends[0] == ends[1]


# A run: interrupted, resumed, loaded, and struck by NaN.


IMAGES = np.random.default_rng(0).integers(0, 256, (42, 2, 2), dtype=np.uint8)
EPOCHS, BATCH, PER_EPOCH = 2, 8, 6  # the last batch has but two images
STEPS = EPOCHS * PER_EPOCH


class Run:
    """A run as an example makes it, on a few random images."""

    def __init__(
        self, folder: Any, model: AdversarialAutoencoder, gradients: str, backend: Any = NUMPY,
        dtype: Any = np.float32, **changes: Any,
    ) -> None:  # fmt: skip
        self.backend, self.record = backend, Record(folder)
        self.record.open()
        p = model.initialise(1, dtype, backend)
        self.optimizers: Any = Optimizers(p, optim.Adam)
        self.state = State(p, self.optimizers)
        self.learner = aae_learner(model, gradients, ratio=0.5)
        plan = {"epochs": EPOCHS, "batch_size": BATCH, "seed": 3, "show_every": 4, "config": {},
                "schedule": optim.linear(1e-2, STEPS), "data": {"shape": (2, 2)}}  # fmt: skip
        self.plan = Plan(**(plan | changes))

    def resume(self) -> Run:
        self.state.restore(self.record, self.backend)
        return self

    def fit(self, each: Any = None) -> Run:
        """Train; `each(step)` is called before a step."""
        right = self.learner.step

        def step(state: State, data: Any, rate: float) -> Any:
            if each:
                each(state.step)
            return right(state, data, rate)

        self.learner.step = step  # type: ignore[method-assign]
        fit(self.state, self.learner, self.backend.asarray(IMAGES), self.plan, dict, self.record,
            Progress(EPOCHS, {}, quiet=True), self.backend)  # fmt: skip
        return self

    @property
    def end(self) -> Any:
        vectors = {"parameters": self.state.parameters.flat, **self.optimizers.state}
        found = {name: self.backend.to_numpy(v).tobytes() for name, v in vectors.items()}
        every = self.optimizers.of_p, self.optimizers.of_d, self.optimizers.of_e
        return found, [one.steps for one in every], rows_without_time(self.state.history)


@pytest.mark.parametrize("backend", [NUMPY, STRICT], ids=["numpy", "strict"])
@pytest.mark.parametrize("loss", ["non-saturating", "wasserstein-gp"])
@BOTH_KINDS
def test_a_run_that_is_stopped_at_every_step_ends_the_same(
    tmp_path: Any, gradients: str, loss: str, backend: Any
) -> None:
    def run(folder: str) -> Run:
        return Run(tmp_path / folder, aae(loss), gradients, backend)

    straight = run("straight").fit()
    for step in range(STEPS):
        with pytest.raises(Interrupted, match=f"stopped after step {step + 1} of {STEPS};"):
            (run("often") if step == 0 else run("often").resume()).fit(press_at({step}))
    assert run("often").resume().fit().end == straight.end
    found, steps, rows = straight.end
    assert steps == [STEPS] * 3
    assert all(any(moment) for moment in found.values())
    assert {f"train_{name}" for name in ThreePhases.figures} <= set(rows[0])


@BOTH_KINDS
def test_no_step_of_a_run_waits_for_the_device(tmp_path: Any, gradients: str) -> None:
    run = Run(tmp_path, aae("wasserstein-gp"), gradients, STRICT, show_every=10**9)
    with count_syncs() as syncs:
        waits: dict[int, int] = {}
        run.fit(lambda step: waits.update({step: len(syncs)}))
    for step in range(1, STEPS):
        # The end of an epoch may wait: for the figures, and to save.
        assert (waits[step] > waits[step - 1]) == (step % PER_EPOCH == 0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_its_checkpoint_gives_back_the_model_its_encoder_and_its_decoder(
    tmp_path: Any, dtype: str
) -> None:
    model = aae("r1", penalty=0.5)
    run = Run(tmp_path, model, "by-hand", dtype=np.dtype(dtype), config={"dtype": dtype}).fit()
    trained, p = tg.load(tmp_path), run.state.parameters
    assert trained.model == model
    np.testing.assert_array_equal(trained.parameters.flat, p.flat)
    x = trained.prepare(IMAGES)
    codes = trained.encoder(x)
    np.testing.assert_array_equal(codes, model.encode(p, x))
    z = model.draw(x, NUMPY.generator(0)).z
    np.testing.assert_array_equal(trained.decoder(z), model.decode(p, z))
    assert codes.dtype == trained.decoder(z).dtype == dtype


@pytest.mark.parametrize(
    ("which", "words"),
    [
        ("x", "in the reconstruction, affine made"),
        ("z", "in the discriminator's step, affine made"),
    ],
)
@BOTH_KINDS
def test_nan_is_told_by_phase_and_op(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, gradients: str, which: str, words: str
) -> None:
    drawn = trainer._data

    def data(learner: Any, batch: Any, seed: Any, step: int, backend: Any) -> Any:
        seen = drawn(learner, batch, seed, step, backend)
        if step == 7:
            getattr(seen, which)[0, 0] = np.nan
        return seen

    monkeypatch.setattr(trainer, "_data", data)
    with pytest.raises(Diverged) as error:
        Run(tmp_path, aae(), gradients).fit()
    assert f"at step 8, {words}" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("bad", "words"),
    [("encode", "in the codes, "), ("encoder_loss", "in the encoder's step, ")],
)
def test_nan_of_codes_is_told_where_it_arises(
    monkeypatch: pytest.MonkeyPatch, bad: str, words: str
) -> None:
    """They are made by ops that are looked at, too, which arrays by themselves are not."""
    model = aae()
    learner, state, optimizers = begin(model, "autograd")
    learner = learner.watched()
    right = optimizers.of_p.update if bad == "encode" else optimizers.of_d.update

    def wrong(*arguments: Any) -> None:
        right(*arguments)
        optimizers.e["W1"][0, 0] = np.nan

    which = optimizers.of_p if bad == "encode" else optimizers.of_d
    monkeypatch.setattr(which, "update", wrong)
    with pytest.raises(NonFiniteError, match=words), stop_at_nonfinite():
        learner.step(state, data_of(model), 0.1)


# The worked example, section 6 of docs/derivations/aae.md.


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
    halves = p.only("encoder.", "decoder.")
    own = halves if phase == "reconstruction" else p.part(f"{phase}.")
    loss, g = by_hand(model, phase, own, *data)
    other, h = by_autograd(model, phase, own, *data)
    assert loss == exactly(float(other)) and g.flat == exactly(h.flat)
    return float(loss), g.flat.tolist()


def test_the_worked_example() -> None:
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


@BOTH_KINDS
def test_the_step_of_the_worked_example(gradients: str) -> None:
    """The rate is 1, that of the game 1/2."""
    p = on_paper(*START)
    optimizers: Any = Optimizers(p, optim.SGD)
    figures = aae_learner(LINE, gradients, ratio=0.5).step(State(p, optimizers), (X, Z, None), 1.0)
    assert [float(x) for x in figures.values()] == exactly([1 / 2, 9 / 4, 81 / 64])
    assert p.flat.tolist() == exactly([69 / 64, 5 / 64, 1 / 2, -1, -3 / 4, 1 / 4])
    assert LINE.encode(p, X).ravel().tolist() == exactly([37 / 32, -1])


def test_what_other_orders_would_have_made_of_it() -> None:
    """The exercises: a D that is told stale codes, and an encoder that is told by the old D."""
    p = on_paper(3 / 2, 1 / 2, 1 / 2, -1, 1, 0)
    stale = LINE.encode(on_paper(*START), X)
    assert stale.ravel().tolist() == [2, 0]
    loss, g = gradients_on_paper(LINE, "discriminator", p, Z, stale)
    assert loss == exactly(2) and g == exactly([3, 0])
    loss, g = gradients_on_paper(LINE, "encoder", p, p.part("discriminator."), X)
    assert loss == exactly(5 / 4) and g == exactly([3 / 2, -1 / 2])


def test_the_exercise_with_the_non_saturating_loss() -> None:
    model = AdversarialAutoencoder(pixels=1, latent=1, **LINEAR)
    ln2 = np.log(2)
    p = on_paper(3 / 2, 1 / 2, 1 / 2, -1, ln2, 0)
    loss, g = gradients_on_paper(model, "discriminator", p, Z, model.encode(p, X))
    assert loss == exactly(np.log(135 / 4) / 2)
    assert g == exactly([4 / 5, 1 / 15])
    loss, g = gradients_on_paper(model, "encoder", p, p.part("discriminator."), X)
    assert loss == exactly(np.log(15 / 4) / 2)
    assert g == exactly([7 / 30 * ln2, -13 / 30 * ln2])


def test_the_page_has_no_equation_that_needs_a_line() -> None:
    tags = test_equations.tags(test_equations.page_of("aae"))
    assert tags and all(test_equations.letter_of(tag) == "A" for tag in tags)


# Theory: with linear networks and normal images, all is known of where training ends.


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
    optimizers: Any = Optimizers(p, partial(optim.Adam, beta1=0.5))
    state, schedule = State(p, optimizers), optim.cosine(0.05, steps)
    learner = aae_learner(model, gradients, ratio)
    for step in range(steps):
        random = NUMPY.generator((0, step))
        x = MU + random.standard_normal((256, 3)) @ A.T
        learner.step(state, model.draw(x, random, step), schedule(step))
    return model, p


@pytest.mark.parametrize(
    ("loss", "gradients"),
    [("r1", "by-hand"), ("r1", "autograd"), ("non-saturating", "by-hand"),
     ("least-squares", "by-hand")],
)  # fmt: skip
def test_linear_codes_of_normal_images_become_whitened_principal_components(
    loss: str, gradients: str
) -> None:
    model, p = trained(loss, gradients, ratio=1.0)
    mean, covariance, error = moments(p)
    # Measured: up to 0.04 for all of them, from batches whose own moments are off by 1 / 16.
    np.testing.assert_allclose(mean, 0, atol=0.06)
    np.testing.assert_allclose(covariance, np.eye(2), atol=0.06)
    # It costs no reconstruction: any basis of the principal subspace will do, this one, too.
    assert error == pytest.approx(np.linalg.eigvalsh(C)[0] / 3, rel=0.05)  # measured: 0.013
    # And the discriminator has nothing to say any more: measured, 0.002 and 2e-4.
    random = NUMPY.generator(1)
    x, z, _ = model.draw(MU + random.standard_normal((2000, 3)) @ A.T, random)
    e, d = p.part("encoder."), p.part("discriminator.")
    undecided, of_d, of_e = END[loss]
    assert abs(model.game.logits(d, z) - undecided).mean() < 0.02
    assert model.discriminator_loss(d, z, model.encoder(e, x)) == pytest.approx(of_d, abs=2e-3)
    assert model.encoder_loss(e, d, x) == pytest.approx(of_e, abs=2e-3)


def test_without_the_game_the_codes_stay_what_they_are() -> None:
    _, p = trained("r1", "by-hand", ratio=0.0, steps=500)
    mean, covariance, R = moments(p)
    assert R < 0.1
    assert abs(mean).max() > 0.5 and abs(covariance - np.eye(2)).max() > 1
