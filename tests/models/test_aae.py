"""The adversarial autoencoder: closed forms, the routing of its three phases, theory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from aae_checks import (
    KINDS,
    LINE,
    LINEAR,
    NUMPY,
    RATIO,
    START,
    N,
    X,
    Z,
    aae,
    begin,
    check_each_phase_alone,
    check_figures,
    check_interpolates,
    check_losses_of_a_linear_discriminator,
    check_moments_of_draws,
    check_ratio,
    check_step_of_the_worked_example,
    check_three_phases,
    check_vectors_of_the_phases,
    check_whitening,
    check_worked_example,
    data_of,
    exactly,
    gradients_on_paper,
    moments,
    on_paper,
    trained,
)
from running import before_each_step, press_at, rows_without_time
from strict import STRICT, count_syncs, see_dtypes

import tinygen as tg
from tinygen import optim
from tinygen.autograd import NonFiniteError, stop_at_nonfinite
from tinygen.backend.numpy_backend import adam_numpy
from tinygen.errors import InputError
from tinygen.models import GAN, AdversarialAutoencoder, Autoencoder
from tinygen.models.gan import LOSSES
from tinygen.models.serialization import describe, from_description
from tinygen.training import (
    AAELearner,
    Diverged,
    Interrupted,
    Plan,
    Progress,
    RunDir,
    State,
    Trainer,
)

BOTH_KINDS = pytest.mark.parametrize("gradients", KINDS)
EVERY_LOSS = pytest.mark.parametrize("loss", LOSSES)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither for the disk nor for numba's threads, as in tests/training/running.py."""
    monkeypatch.setattr("os.fsync", lambda file: None)
    monkeypatch.setattr(NUMPY, "_adam", adam_numpy)


# The model.


@EVERY_LOSS
def test_the_losses_of_a_linear_discriminator(loss: str) -> None:
    check_losses_of_a_linear_discriminator(loss)


def test_the_penalty_of_wasserstein_lies_between_a_draw_and_a_code() -> None:
    check_interpolates()


def test_it_begins_as_an_autoencoder_with_a_discriminator_beside_it() -> None:
    model = aae()
    p, q = model.initialise(3), model.autoencoder.initialise(3)
    assert list(model.shapes) == [
        *q,
        *(f"discriminator.{n}" for n in model.gan.discriminator.shapes),
    ]
    np.testing.assert_array_equal(p.only("encoder.", "decoder.").flat, q.flat)
    assert model.autoencoder == Autoencoder(4, (4,), 2, "gelu", reconstruction="bce",
                                            biases="normal")  # fmt: skip
    assert isinstance(model.gan, GAN) and model.gan.weight == 0
    assert (model.gan.pixels, model.gan.latent, model.gan.generator_norm) == (2, 4, "none")


def test_codes_and_images() -> None:
    model = aae()
    p = model.initialise(0, np.float64)
    x, z, _ = data_of(model)
    codes = model.encode(p, x)
    assert codes.shape == z.shape == (N, 2)
    np.testing.assert_array_equal(codes, model.encoder(p.part("encoder."), x))
    np.testing.assert_array_equal(codes, model.gan.generate(p.part("encoder."), x))
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
    assert (drawn.alpha is None) == (loss != "wasserstein-gp")
    if drawn.alpha is not None:
        assert drawn.alpha.shape == (N, 1) and drawn.alpha.dtype == dtype
    for one, other in zip(drawn, again, strict=True):
        if one is not None:
            np.testing.assert_array_equal(backend.to_numpy(one), backend.to_numpy(other))


def test_the_prior_is_standard_normal_and_alpha_uniform() -> None:
    check_moments_of_draws()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"reconstruction": "mae"}, r"unknown reconstruction 'mae' .*; choose one of mse, bce"),
        ({"output": "tanh"}, "unknown output 'tanh'; choose one of sigmoid, none"),
        ({"output": "none"}, "reconstruction bce compares probabilities; it needs output sigmoid"),
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
    with pytest.raises(InputError, match=r"alpha is None, expected \(6, 1\)"):
        model.discriminator_loss(d, np.zeros((6, 2)), np.zeros((6, 2)))


def test_it_says_what_it_is_and_is_made_of_that_again() -> None:
    model = aae("r1", penalty=0.5)
    assert from_description(describe(model)) == model
    assert type(AdversarialAutoencoder(loss="r1", penalty=np.float32(0.5)).penalty) is float


# The routing: what each phase reads, and what it changes.


@EVERY_LOSS
@BOTH_KINDS
def test_a_step_is_its_three_phases_one_after_the_other(gradients: str, loss: str) -> None:
    check_three_phases(gradients, loss)


@EVERY_LOSS
@BOTH_KINDS
def test_each_phase_changes_its_own_parameters_and_moments_alone(gradients: str, loss: str) -> None:
    check_each_phase_alone(gradients, loss)


@EVERY_LOSS
@BOTH_KINDS
def test_the_figures_are_the_losses_that_each_phase_went_down(gradients: str, loss: str) -> None:
    check_figures(gradients, loss)


@BOTH_KINDS
def test_the_ratio_is_that_of_both_phases_of_the_game(gradients: str) -> None:
    check_ratio(gradients)


def test_all_vectors_have_a_name_and_all_optimizers_one_count() -> None:
    check_vectors_of_the_phases()


# Backends, and both kinds of gradients.


@EVERY_LOSS
@BOTH_KINDS
def test_steps_are_the_same_on_every_backend_and_wait_for_nothing(
    backend: Any, gradients: str, loss: str
) -> None:
    model, ends = aae(loss), []
    for place in (NUMPY, backend):
        state = State()
        learner = begin(model, gradients, optim.Adam, 0.5, place, np.float32)
        data = [
            tuple(None if a is None else place.asarray(a) for a in data_of(model, k, np.float32))
            for k in range(3)
        ]
        with count_syncs() as syncs, see_dtypes() as dtypes:
            for each in data:
                figures = learner.step(each, 1e-3)
                state.add(figures, N)
        assert not syncs and np.dtype(np.float64) not in dtypes
        assert all(x.shape == () and x.dtype == np.float32 for x in figures.values())
        ends.append(place.to_numpy(learner.parameters.flat))
    # The same float32 arithmetic in another library: a few roundings, three steps of 1e-3.
    np.testing.assert_allclose(ends[1], ends[0], atol=5e-6)


@EVERY_LOSS
def test_by_hand_and_autograd_train_alike(loss: str) -> None:
    model, ends = aae(loss), []
    for gradients in KINDS:
        learner = begin(model, gradients, optim.Adam, RATIO)
        for step in range(8):
            learner.step(data_of(model, step), 1e-2)
        ends.append(learner.parameters.flat)
    # Adam divides by the root of v, which magnifies rounding where gradients are tiny.
    np.testing.assert_allclose(ends[1], ends[0], rtol=1e-7, atol=1e-10)


@BOTH_KINDS
def test_the_one_that_looks_for_nan_makes_the_same_steps(gradients: str) -> None:
    model = aae("r1")
    ends = []
    for watched in (False, True):
        learner = begin(model, gradients if watched else "autograd", optim.Adam, ratio=0.3)
        learner = learner.watched() if watched else learner
        for step in range(4):
            learner.step(data_of(model, step), 1e-2)
        ends.append(learner.parameters.flat.tobytes())
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
        self.backend, run_dir = backend, RunDir(folder)
        run_dir.open()
        p = model.initialise(1, dtype, backend)
        self.learner = AAELearner(model, p, optim.Adam, model.gradients(gradients), ratio=0.5)
        plan = {"epochs": EPOCHS, "batch_size": BATCH, "seed": 3, "show_every": 4, "config": {},
                "schedule": optim.linear(1e-2, STEPS), "data": {"shape": (2, 2)}}  # fmt: skip
        quiet = Progress(EPOCHS, {}, quiet=True)
        self.trainer = Trainer(self.learner, Plan(**(plan | changes)), run_dir, quiet, backend)

    def resume(self) -> Run:
        self.trainer.restore()
        return self

    def fit(self, each: Any = None) -> Run:
        """Train; `each(step)` is called before a step."""
        if each:
            before_each_step(self.learner, each)
        self.trainer.fit(self.backend.asarray(IMAGES), dict)
        return self

    @property
    def end(self) -> Any:
        learner = self.learner
        vectors = learner.vectors.items()
        found = {name: self.backend.to_numpy(v).tobytes() for name, v in vectors}
        every = learner.p_optimizer, learner.d_optimizer, learner.e_optimizer
        return found, [one.steps for one in every], rows_without_time(self.trainer.state.history)


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
        with pytest.raises(Interrupted, match=f"stopped after step {step + 1} of {STEPS}$"):
            (run("often") if step == 0 else run("often").resume()).fit(press_at({step}))
    assert run("often").resume().fit().end == straight.end
    found, steps, rows = straight.end
    assert steps == [STEPS] * 3
    assert all(any(moment) for moment in found.values())
    assert {f"train_{name}" for name in AAELearner.figures} <= set(rows[0])


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
    trained, p = tg.load(tmp_path), run.learner.parameters
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
    drawn = Trainer.draw

    def draw(trainer: Trainer, batch: Any) -> Any:
        seen = drawn(trainer, batch)
        if trainer.state.step == 7:
            getattr(seen, which)[0, 0] = np.nan
        return seen

    monkeypatch.setattr(Trainer, "draw", draw)
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
    learner = begin(model, "autograd")
    learner = learner.watched()
    which = learner.p_optimizer if bad == "encode" else learner.d_optimizer
    right = which.update

    def wrong(*arguments: Any) -> None:
        right(*arguments)
        learner.e["W1"][0, 0] = np.nan

    monkeypatch.setattr(which, "update", wrong)
    with pytest.raises(NonFiniteError, match=words), stop_at_nonfinite():
        learner.step(data_of(model), 0.1)


# The worked example, section 6 of docs/derivations/aae.md.


def test_the_worked_example() -> None:
    check_worked_example()


@BOTH_KINDS
def test_the_step_of_the_worked_example(gradients: str) -> None:
    check_step_of_the_worked_example(gradients)


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


# Theory: with linear networks and normal images, all is known of where training ends.


@pytest.mark.parametrize(
    ("loss", "gradients"),
    [("r1", "autograd"), ("non-saturating", "by-hand"), ("least-squares", "by-hand")],
)  # fmt: skip
def test_linear_codes_of_normal_images_become_whitened_principal_components(
    loss: str, gradients: str
) -> None:
    check_whitening(loss, gradients)


def test_without_the_game_the_codes_stay_what_they_are() -> None:
    _, p = trained("r1", "by-hand", ratio=0.0, steps=500)
    mean, covariance, R = moments(p)
    assert R < 0.1
    assert abs(mean).max() > 0.5 and abs(covariance - np.eye(2)).max() > 1
