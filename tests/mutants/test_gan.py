"""The well-known mistakes of a GAN, planted one at a time: which checks see them, and which cannot.

A mistake is a piece of the source that is replaced; the piece must be there exactly once, so that
no mutant goes stale in silence. The lesson of the table: differences see a gradient that is not
that of its loss, two derivations see what is in one of them, and only closed forms and a look at
the routing see a loss that is another one, or a right gradient taken at the wrong place.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import FunctionType
from typing import Any

import adversarial_step_checks
import gan_checks
import numpy as np
import pytest
from agreement import assert_directional_derivatives
from gan_checks import NUMPY, gan, turn
from mutants import Plant, both, in_functions, mutated, rows_of, table_tests

import tinygen as tg
from tinygen import optim as optim_file
from tinygen.autograd import OPS, op
from tinygen.autograd.operators import raw
from tinygen.backend.numpy_backend import adam_numpy
from tinygen.byhand import chain, pieces
from tinygen.byhand import gan as byhand
from tinygen.models import GAN
from tinygen.models import gan as model_file
from tinygen.nn import layers as layers_file
from tinygen.training.learners import adversarial_step as step_file

LOSSES, PENALTIES = model_file.LOSSES, model_file.PENALTIES
KINDS = ("autograd", "by-hand")


def some_models() -> list[GAN]:
    """All losses, with all that the derivation by hand covers."""
    found = []
    for loss in LOSSES:
        weighed = {"penalty": 3.0} if loss in PENALTIES else {}
        smoothed = {} if loss == "wasserstein-gp" else {"smoothing": 0.2}
        found += [gan(loss, **weighed, **smoothed),
                  gan(loss, **weighed, pack=2, classes=3, dropout=0.3, output="none",
                      discriminator_hidden=(5, 4)),
                  gan(loss, **weighed, **gan_checks.OPTIONS["maxout"])]  # fmt: skip
    return found


# The checks, from the one that knows least.


def differences() -> None:
    """Differences: autograd's gradients are those of the model's losses, whatever these are."""
    for model in some_models():
        g, d, by_d, by_g = turn(model)
        for loss, p in (
            (lambda q: model.discriminator_loss(q, *by_d), d),  # noqa: B023  called at once
            (lambda q: model.generator_loss(q, d, *by_g), g),  # noqa: B023
        ):
            along(loss, p, tg.value_and_grad(loss)(p)[1])


def differences_by_hand() -> None:
    """Differences: the gradients by hand are those of the losses by hand, whatever these are."""
    for model in some_models():
        g, d, by_d, by_g = turn(model)
        of_d = partial(byhand.discriminator_loss_and_grads, **model.discriminator_terms)
        of_g = partial(byhand.generator_loss_and_grads, **model.generator_terms)
        along(lambda q: of_d(q, *by_d)[0], d, of_d(d, *by_d)[1])  # noqa: B023
        along(lambda q: of_g(q, d, *by_g)[0], g, of_g(g, d, *by_g)[1])  # noqa: B023


def along(loss: Callable[[Any], Any], p: tg.Parameters, gradient: tg.Parameters) -> None:
    # The step's square is 1e-10, and rounding 1e-15 / 1e-5; the mistakes are of order 0.1.
    assert_directional_derivatives(loss, p, gradient, tolerance=1e-6)


def by_hand() -> None:
    """Two derivations agree, of both losses and of both gradients."""
    for model in some_models():
        g, d, by_d, by_g = turn(model)
        pairs = (
            (byhand.discriminator_loss_and_grads(d, *by_d, **model.discriminator_terms),
             tg.value_and_grad(model.discriminator_loss)(d, *by_d)),
            (byhand.generator_loss_and_grads(g, d, *by_g, **model.generator_terms),
             tg.value_and_grad(model.generator_loss)(g, d, *by_g)),
        )  # fmt: skip
        for (J, f), (loss, h) in pairs:
            assert float(J) == pytest.approx(float(loss), rel=1e-11, abs=1e-12)
            np.testing.assert_allclose(f.flat, h.flat, rtol=1e-9, atol=1e-12)


def gradients() -> None:
    """The gradient three times."""
    differences()
    differences_by_hand()
    by_hand()


def losses() -> None:
    """Closed forms where the discriminator is linear."""
    for loss in LOSSES:
        for classes, pack in ((0, 1), (4, 3)):
            gan_checks.check_losses_of_a_linear_discriminator(loss, classes, pack)


def losses_by_hand() -> None:
    """The same ones, of the losses by hand."""
    for loss in LOSSES:
        smoothing = 0.0 if loss == "wasserstein-gp" else 0.2
        model = GAN(loss=loss, smoothing=smoothing, pack=3, classes=4, **gan_checks.LINEAR)
        g, d, (real, fake, labels, alpha, masks), (z, _, _) = turn(model, rows=4)
        a, b = (gan_checks.linear_logits(d, x, labels, 3) for x in (real, fake))
        W = d["W1"][:, 0].reshape(3, 7)[:, :3]
        size = np.sqrt((W**2).sum())
        penalty = {"wasserstein-gp": 10 * (size - 1) ** 2, "r1": size**2 / 2}.get(loss, 0.0)
        J, _ = byhand.discriminator_loss_and_grads(
            d, real, fake, labels, alpha, masks, **model.discriminator_terms
        )
        expected = gan_checks.expected_of_d(loss, a, b, smoothing) + penalty
        assert float(J) == pytest.approx(expected, rel=1e-10)
        images = 1 / (1 + np.exp(-np.append(z, labels, axis=1) @ g["W1"] - g["b1"]))
        J, _ = byhand.generator_loss_and_grads(g, d, z, labels, **model.generator_terms)
        expected = gan_checks.expected_of_g(loss, gan_checks.linear_logits(d, images, labels, 3))
        assert float(J) == pytest.approx(expected, rel=1e-12)


def curved() -> None:
    """The penalty of a tanh critic in closed form, and differences of that for its gradient."""
    for loss in PENALTIES:
        for dropout in (0.0, 0.4):
            gan_checks.check_penalty_of_a_tanh_critic(loss, dropout)


def measured() -> None:
    """The penalty is that of measured derivatives."""
    for loss in PENALTIES:
        for name in ("packs of 2 with classes", "dropout", "maxout"):
            gan_checks.check_penalty_by_differences(loss, name)
    gan_checks.check_interpolates()


def dropped() -> None:
    gan_checks.check_dropout_masks()


def draws() -> None:
    for loss in LOSSES:
        gan_checks.check_draws(NUMPY, loss, np.float64)
    gan_checks.check_moments_of_draws()


def told() -> None:
    gan_checks.check_classes()


def packs() -> None:
    gan_checks.check_packs()


def samples() -> None:
    for norm in ("batch", "none"):
        gan_checks.check_samples_are_independent(norm, 3)
    gan_checks.check_running_statistics()
    gan_checks.check_running_statistics_of_classes()
    gan_checks.check_sampler_is_repeatable()


def accuracy() -> None:
    for loss in LOSSES:
        gan_checks.check_accuracy(NUMPY, loss)
    gan_checks.check_accuracy_of_a_critic()


ROUTED = ("non-saturating", "wasserstein-gp, all options", "r1, all options")


def of_d(kinds: Any = KINDS) -> None:
    """What moved D is the gradient of its loss at images of G as it was, of D's own noise."""
    for kind in kinds:
        for name in ROUTED:
            adversarial_step_checks.check_what_moves_the_discriminator(kind, name)


def of_g(kinds: Any = KINDS) -> None:
    """What moved G is the gradient of its loss through D as it was left by its step."""
    for kind in kinds:
        for name in ROUTED:
            adversarial_step_checks.check_what_moves_the_generator(kind, name)


def through() -> None:
    for kind in KINDS:
        adversarial_step_checks.check_gradient_through_the_discriminator(kind)


def alone() -> None:
    """A player's step changes that player alone."""
    for kind in KINDS:
        for name in ROUTED:
            adversarial_step_checks.check_discriminator_step_alone(kind, name)
            adversarial_step_checks.check_generator_step_alone(kind, name)


def again() -> None:
    """The same call gives the same bits, whatever was computed in between."""
    for kind in KINDS:
        for name in ROUTED:
            adversarial_step_checks.check_passes_are_independent(kind, name)


def order() -> None:
    for kind in KINDS:
        adversarial_step_checks.check_order(kind, ROUTED[1])


def counts() -> None:
    for k in (1, 3):
        adversarial_step_checks.check_critic_steps("by-hand", k)
    adversarial_step_checks.check_first_step_of_adam()


def rates() -> None:
    adversarial_step_checks.check_ratio("by-hand")


def average() -> None:
    adversarial_step_checks.check_average_at_first()
    adversarial_step_checks.check_average_later()
    adversarial_step_checks.check_average_every_tenth_step()
    adversarial_step_checks.check_average_follows_the_generator("by-hand")


def figures() -> None:
    adversarial_step_checks.check_figures("by-hand", ROUTED[2])


def state() -> None:
    adversarial_step_checks.check_vectors_of_the_players()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """For numba's threads."""
    monkeypatch.setattr(NUMPY, "_adam", adam_numpy)


CHECKS: list[Callable[[], None]] = [
    differences, differences_by_hand, by_hand, gradients, losses, losses_by_hand, curved,
    measured, dropped, draws, told, packs, samples, accuracy, of_d, of_g, through, alone, again,
    order, counts, rates, average, figures, state,
]  # fmt: skip


# How a mistake is planted.


def in_model(*pieces: tuple[str, str]) -> Plant:
    """A mistake in tinygen/models/gan.py."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        made = mutated(model_file, *pieces)
        for name, method in vars(made.GAN).items():
            if isinstance(method, FunctionType) and not name.startswith("__"):
                patch.setattr(GAN, name, method)

    return plant


def in_layers(*pieces: tuple[str, str]) -> Plant:
    """A mistake in batch norm, tinygen/nn/layers.py."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        made = mutated(layers_file, *pieces)
        patch.setattr(layers_file, "_normalised", made._normalised)
        patch.setattr(layers_file.BatchNorm, "calibrate", made.BatchNorm.calibrate)

    return plant


def in_learner(*pieces: tuple[str, str]) -> Plant:
    """A mistake in tinygen/training/learners/adversarial_step.py."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        made = mutated(step_file, *pieces)
        patch.setattr(adversarial_step_checks, "AdversarialLearner", made.AdversarialLearner)

    return plant


def in_average(*pieces: tuple[str, str]) -> Plant:
    """A mistake in the moving average of tinygen/optim.py."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(step_file, "MovingAverage", mutated(optim_file, *pieces).MovingAverage)

    return plant


def flat_tanh(patch: pytest.MonkeyPatch) -> None:
    """A tanh whose derivative is taken for a constant when it is differentiated in turn."""

    @op(dx=lambda g, y, x: g * raw(1 - y * y))
    def tanh_without_curvature(x: Any) -> Any:
        return np.tanh(x)

    del OPS["tanh_without_curvature"]
    patch.setitem(tg.ops.ACTIVATIONS, "tanh", tanh_without_curvature)


def moves_late(before: str, between: str) -> Plant:
    """D's update in two parts: where it belongs, and between G's forward pass and its backward."""
    return in_learner(
        (UPDATE_D, before),
        (
            f"loss_g, _ = {OF_G}",
            "leaf = leaves(g)\n"
            "loss_g = self.model.generator_loss(leaf, d, *seen_by_g)\n"
            f"{between}\n"
            "self._dg, loss_g = g.gathered(tg.grad(loss_g, leaf)), loss_g.array",
        ),
        ("from tinygen import ops", "from tinygen import ops\nimport tinygen as tg"),
    )


SWAPPED = (
    "for_real, for_fake, for_interpolates = masks",
    "real, fake, (for_fake, for_real, for_interpolates) = fake, real, masks",
)
SKIPS_D = (
    "a = self._in_step(d, self.generate(g, z, labels), labels, masks)",
    "made = self.generate(g, z, labels)\n"
    "still = getattr(made, 'array', made)\n"
    "a = self._in_step(d, still, labels, masks) + mean(made) - mean(still)",
)
SQUASHED = (
    (
        "self._in_step(d, x, labels, for_interpolates)",
        "sigmoid(self._in_step(d, x, labels, for_interpolates))",
    ),
    ("self._squared_gradient_norms(a_real, x)", "self._squared_gradient_norms(sigmoid(a_real), x)"),
)
WGAN_PENALTY = "self.weight * mean(square(norm - 1))"
IMAGES = "self.gradients.generate(g, seen_by_d.z, seen_by_d.labels)"
OF_D = "self.gradients.discriminator(d, seen_by_d.real, fake, *seen_by_d[2:], out=self._dd)"
OF_G = "self.gradients.generator(g, d, *seen_by_g, out=self._dg)"
UPDATE_D = "self.d_optimizer.update(d, self._dd, rate)"
UPDATE_G = "self.g_optimizer.update(g, self._dg, rate * self.ratio)"
DRAWN = (
    "return (DiscriminatorBatch(x, noise(), labels, alpha, hidden), "
    "GeneratorBatch(noise(), labels, masks()))"
)

# By hand, in the room where the line is.
BEGIN = "D, dD = layers(d), layers(gradients)"
JUDGED = "J, da, db = LOSSES_OF_D[loss](a, b, smoothing)"
PASSED = "gradients[k][0] += kind[k].weight_gradient(p[k - 1], e[k])"
BELOW = "c[k] + activation_backward(dh, cache.f[k])"
CURVED_BY_HAND = in_functions(chain, ("SECOND[cache.activation]", "None"))
SKIPS_D_BY_HAND = in_functions(
    byhand, ("dy = dx.reshape(len(y), -1)[:, : y.shape[1]]", "dy = 0 * y + db.mean()")
)
# With all that belongs to it: its gradient is the right one of the wrong penalty.
SQUASHED_BY_HAND = in_functions(
    chain,
    ("namespace(cache.h[L]).ones_like(cache.h[L])", "ACTIVATIONS['sigmoid'](cache.h[L])[1]"),
    (
        "da = namespace(dv).zeros_like(cache.h[L])",
        "da = p[L - 1] @ layers[L][0] * SECOND['sigmoid'](cache.a[L])\n"
        "gradients[L][0] += cache.h[L - 1].T @ da\n"
        "gradients[L][1] += da.sum(axis=0)",
    ),
    ("reversed(c)", "range(L - 1, 0, -1)"),
    (BELOW, BELOW.replace("c[k]", "c.get(k, 0)")),
)

MUTANTS: dict[str, Plant] = {
    # In the model, with autograd.
    "real and fake are swapped": in_model(SWAPPED),
    "G's loss has the other sign": in_model(
        ("return mean(softplus(-a))", "return -mean(softplus(-a))")
    ),
    "the critic's G has the other sign": in_model(("return -mean(a)", "return mean(a)")),
    "G plays minimax": in_model(("return mean(softplus(-a))", "return -mean(softplus(a))")),
    "least squares: G wants a 0": in_model(("mean(square(a - 1))", "mean(square(a))")),
    "least squares lacks its half": in_model(
        (
            "0.5 * (mean(square(a_real - (1 - self.smoothing))) + mean(square(a_fake)))",
            "mean(square(a_real - (1 - self.smoothing))) + mean(square(a_fake))",
        )
    ),
    "G's update skips D": in_model(SKIPS_D),
    "D is not told the class": in_model(
        (
            "x = self._with_labels(x, labels)",
            "x = self._with_labels(x, 0 * labels if self.classes else None)",
        )
    ),
    "G is not told the class": in_model(
        (
            "self.generator(g, self._with_labels(z, labels), training=True)",
            "self.generator(\n"
            "    g, self._with_labels(z, 0 * labels if self.classes else None), training=True\n"
            ")",
        )
    ),
    "a pack is of images far apart": in_model(
        (
            "return reshape(x, shape=(x.shape[0] // self.pack, self.pack * x.shape[1]))",
            "m = x.shape[0] // self.pack\n"
            "return concatenate(*[x[k * m :][:m] for k in range(self.pack)], axis=1)",
        )
    ),
    "smoothing on the fake side": in_model(
        ("self.smoothing * mean(a_real)", "-self.smoothing * mean(a_fake)")
    ),
    "smoothing upwards": in_model(
        ("total + self.smoothing * mean(a_real)", "total - self.smoothing * mean(a_real)")
    ),
    "least squares: smoothing of fake ones": in_model(
        (
            "mean(square(a_real - (1 - self.smoothing))) + mean(square(a_fake))",
            "mean(square(a_real - 1)) + mean(square(a_fake - self.smoothing))",
        )
    ),
    "the images are not squashed": in_model(('sigmoid(a) if self.output == "sigmoid" else a', "a")),
    "one dropout mask for real and fake": in_model(
        ("self._in_step(d, fake, labels, for_fake)", "self._in_step(d, fake, labels, for_real)")
    ),
    "no dropout between": in_model(
        ("self._in_step(d, x, labels, for_interpolates)", "self._in_step(d, x, labels, ())")
    ),
    "no dropout in G's step": in_model(
        (
            "self._in_step(d, self.generate(g, z, labels), labels, masks)",
            "self._in_step(d, self.generate(g, z, labels), labels, ())",
        )
    ),
    # The penalties.
    "the penalty without curvature": flat_tanh,
    "the penalty is a constant": in_model(
        ("dx = grad(sum(a), x, create_graph=True)", "dx = grad(sum(a), x, create_graph=True).array")
    ),
    "WGAN: a penalty on the sigmoid's output": in_model(SQUASHED[0]),
    "R1: a penalty on the sigmoid's output": in_model(SQUASHED[1]),
    "WGAN: no lambda": in_model((WGAN_PENALTY, "mean(square(norm - 1))")),
    "WGAN: the penalty is a sum": in_model((WGAN_PENALTY, "self.weight * sum(square(norm - 1))")),
    "WGAN: the norm lacks its root": in_model(
        (
            "norm = sqrt(self._squared_gradient_norms(a, x) + TINY)",
            "norm = self._squared_gradient_norms(a, x)",
        )
    ),
    "WGAN: a norm with a bias": in_model(
        (
            "sqrt(self._squared_gradient_norms(a, x) + TINY)",
            "sqrt(self._squared_gradient_norms(a, x) + 1e-2)",
        )
    ),
    "the norm is a mean over pixels": in_model(
        ("return sum(square(rows), axis=1)", "return mean(square(rows), axis=1)")
    ),
    "a norm for each image of a pack": in_model(
        ("(a.shape[0], self.pack * self.pixels)", "(dx.shape[0], self.pixels)")
    ),
    "R1 lacks its half": in_model(("(0.5 * self.weight)", "self.weight")),
    "R1 at the fake images": in_model(
        (
            "a_fake = self._in_step(d, fake, labels, for_fake)",
            'fake = Tensor(fake, requires_grad=True) if self.loss == "r1" else fake\n'
            "a_fake = self._in_step(d, fake, labels, for_fake)",
        ),
        ("self._squared_gradient_norms(a_real, x)", "self._squared_gradient_norms(a_fake, fake)"),
    ),
    "alpha is that of the fake images": in_model(
        ("fake + repeated * (real - fake)", "real + repeated * (fake - real)")
    ),
    "the alpha of another row": in_model(
        (
            "namespace(alpha).repeat(alpha, self.pack, axis=0)",
            "namespace(alpha).tile(alpha, (self.pack, 1))",
        )
    ),
    "one alpha for all rows": in_model(
        ("fake + repeated * (real - fake)", "fake + repeated[:1] * (real - fake)")
    ),
    # What is drawn.
    "both players see one noise": in_model(
        (DRAWN, "z = noise()\n" + DRAWN.replace("noise()", "z"))
    ),
    "one mask for all passes": in_model(
        (
            "hidden = masks(), masks(), masks() if penalised else ()",
            "one = masks()\nhidden = one, one, one if penalised else ()",
        )
    ),
    "the noise is uniform": in_model(
        (
            "generator.standard_normal((n, self.latent), dtype=dtype)",
            "generator.random((n, self.latent), dtype=dtype)",
        )
    ),
    "alpha is normal": in_model(
        (
            "generator.random((n // self.pack, 1), dtype=dtype)",
            "generator.standard_normal((n // self.pack, 1), dtype=dtype)",
        )
    ),
    # Batch norm and sampling.
    "batch norm: the deviation is a constant": in_layers(
        ("(x - m) / sqrt(v + epsilon)", "(x - m) / sqrt(raw(v) + epsilon)")
    ),
    "batch norm: the mean is a constant": in_layers(
        ("(x - m) / sqrt(v + epsilon)", "(x - raw(m)) / sqrt(v + epsilon)")
    ),
    "the sampler's variance is biased": in_layers(
        (
            '{"mean": m, "variance": v * (_rows(x) / (_rows(x) - 1))}',
            '{"mean": m, "variance": v}',
        )
    ),
    "a sample depends on the batch": in_model(
        (
            "self.generator(g, self._with_labels(z, labels), calibrated=calibrated)",
            "self.generator(\n"
            "    g, self._with_labels(z, labels), training=len(z) > 1, calibrated=calibrated\n"
            ")",
        )
    ),
    "the sampler calibrates once for all": in_model(
        (
            "calibrated = self.calibrate_generator(g)",
            "calibrated = vars(self.generator).setdefault('once', self.calibrate_generator(g))",
        )
    ),
    "the sampler calibrates on one class": in_model(
        ("np.arange(CALIBRATION_ROWS) % self.classes", "np.arange(CALIBRATION_ROWS) * 0")
    ),
    # Accuracy.
    "accuracy: what is fake is called real": in_model(("(b <= threshold)", "(b > threshold)")),
    "accuracy: a critic has a zero": in_model(("0.5 * (a.mean() + b.mean())", "0.0")),
    "accuracy: least squares at 0": in_model(
        (
            "thresholds.get(self.loss, 0.0)",
            "{**thresholds, 'least-squares': 0.0}.get(self.loss, 0.0)",
        )
    ),
    # In the step of two players.
    "D learns from G's noise": in_learner((IMAGES, IMAGES.replace("seen_by_d.z", "seen_by_g.z"))),
    "D learns from the average's images": in_learner(
        (IMAGES, IMAGES.replace("(g,", "(self.average or g,"))
    ),
    "G learns from D's noise": in_learner(
        (OF_G, OF_G.replace("*seen_by_g", "seen_by_d.z, *seen_by_g[1:]"))
    ),
    "real and fake are swapped on the way": in_learner(
        (OF_D, OF_D.replace("seen_by_d.real, fake", "fake, seen_by_d.real"))
    ),
    "G learns through D as it was": in_learner(
        (UPDATE_D, f"(old := d.copy(), {UPDATE_D})"),
        (OF_G, OF_G.replace("g, d,", "g, old,")),
    ),
    # Written past the engine, which refuses what an optimizer does; see the last test.
    "D moves while G's gradient is taken": moves_late(
        UPDATE_D.replace("(d,", "(later := d.copy(),"), "d.flat[...] = later.flat"
    ),
    "D's gradients add up": in_learner(
        (
            UPDATE_D,
            "(setattr(self, 'whole', self._dd.flat + getattr(self, 'whole', 0)),"
            " self.d_optimizer.update(d, d.like(self.whole), rate))",
        )
    ),
    "G's step moves D, too": in_learner((UPDATE_G, f"({UPDATE_G}, {UPDATE_D})")),
    "G's step moves D's moments": in_learner(
        (UPDATE_G, f"({UPDATE_G}, [m.__iadd__(1e-3) for m in self.d_optimizer.state.values()])")
    ),
    "D climbs": in_learner((UPDATE_D, "self.d_optimizer.update(d, self._dd, -rate)")),
    "G climbs": in_learner((UPDATE_G, UPDATE_G.replace("rate *", "-rate *"))),
    "the ratio is forgotten": in_learner((UPDATE_G, UPDATE_G.replace("rate * self.ratio", "rate"))),
    "the ratio is D's": in_learner((UPDATE_D, UPDATE_D.replace("rate)", "rate / self.ratio)"))),
    "G moves too soon": in_learner(
        (
            "self.d_optimizer.steps % self.critic_steps",
            "(self.d_optimizer.steps - 1) % self.critic_steps",
        )
    ),
    "G's steps are counted as D's": in_learner(("steps // self.critic_steps", "steps")),
    "the average never moves": in_learner(("self.update_average()", "None")),
    "the average is the generator itself": in_average(
        ("parameters.copy(), decay", "parameters, decay")
    ),
    "the average moves in every step": in_learner(
        ("self._moving is not None and not rest", "self._moving is not None")
    ),
    "the average begins with the start": in_average(
        ("min(self.decay, count / (count + 9))", "self.decay")
    ),
    "the average forgets too slowly": in_learner(("average**AVERAGED_EVERY", "average")),
    "the average keeps what it should not": in_average(
        ("x += (1 - decay) * (parameters.flat - x)", "x += decay * (parameters.flat - x)")
    ),
    "D's moments are not saved": in_learner(
        (
            'vectors |= {f"discriminator.{name}": x for name, x in self.d_optimizer.state.items()}',
            "pass",
        )
    ),
    "the average is not saved": in_learner(
        ('{} if self.average is None else {"average": self.average.flat}', "{}")
    ),
    "a norm lacks its root": in_learner(
        ("namespace(x).sqrt(backend_of(x).sum_of_squares(x))", "x @ x")
    ),
    # By hand, in the losses.
    "by hand: D(fake) overwrites D(real)": in_functions(
        byhand,
        (
            JUDGED,
            f"{JUDGED}\nfor k in range(1, len(D)):\n    cache.h[k][:m] = cache.h[k][m : 2 * m]",
        ),
    ),
    "by hand: G's update skips D": SKIPS_D_BY_HAND,
    "by hand: the critic's G climbs": in_functions(
        byhand, ("namespace(b).full_like(b, -1 / m)", "namespace(b).full_like(b, 1 / m)")
    ),
    "by hand: the critic climbs": in_functions(
        byhand,
        ("xp.full_like(a, -1 / m)", "xp.full_like(a, 1 / m)"),
        ("xp.full_like(b, 1 / m)", "xp.full_like(b, -1 / m)"),
    ),
    "by hand: D moves while G's gradient is taken": in_functions(
        byhand,
        (
            "dx = chain_backward(db, D, cache_D)",
            "dx = chain_backward(db, {k: [0.9 * W, b] for k, (W, b) in D.items()}, cache_D)",
        ),
    ),
    "by hand: smoothing on the fake side": in_functions(
        byhand,
        ("(smoothing - sigmoid_minus_a) * (1 / m)", "-sigmoid_minus_a * (1 / m)"),
        ("sigmoid_b * (1 / m)", "(sigmoid_b - smoothing) * (1 / m)"),
    ),
    "by hand: dy is that of the class": in_functions(
        byhand,
        (
            "dx.reshape(len(y), -1)[:, : y.shape[1]]",
            "dx.reshape(len(y), -1)[:, dx.size // len(y) - y.shape[1] :]",
        ),
    ),
    "by hand: a pack is taken apart the wrong way": in_functions(
        byhand,
        (
            "dx.reshape(len(y), -1)[:, : y.shape[1]]",
            "dx.reshape(len(dx), pack, -1).swapaxes(0, 1).reshape(len(y), -1)[:, : y.shape[1]]",
        ),
    ),
    "by hand: nothing through the sigmoid": in_functions(byhand, ("dy * f", "dy")),
    "by hand: real and fake share a mask": in_functions(
        byhand, (BEGIN, f"{BEGIN}\nmasks = masks[0], masks[0], masks[2]")
    ),
    "by hand: alpha is changed on the way": in_functions(
        byhand,
        (
            "alpha * real + (1 - alpha) * fake",
            "alpha * real + namespace(real).subtract(1, alpha, out=alpha) * fake",
        ),
    ),
    # In the penalties.
    "by hand: no penalty in the loss": in_functions(byhand, ("return P", "return 0 * P")),
    "by hand: R1's gradient has a half": in_functions(
        pieces, ("v * (weight / m)", "v * (0.5 * weight / m)")
    ),
    "by hand: a class has a derivative": in_functions(byhand, ("images[:, pixels:] = 0", "pass")),
    "by hand: alpha is that of the fake images": in_functions(
        byhand, ("alpha * real + (1 - alpha) * fake", "alpha * fake + (1 - alpha) * real")
    ),
    "by hand: R1 at the fake images": in_functions(
        byhand, ("cache.rows(0, m)", "cache.rows(m, 2 * m)")
    ),
    "by hand: WGAN's penalty at the real images": in_functions(
        byhand, ("cache.rows(2 * m, 3 * m)", "cache.rows(0, m)")
    ),
    "by hand: a penalty on the sigmoid's output": SQUASHED_BY_HAND,
    "by hand: the penalty without curvature": CURVED_BY_HAND,
    "by hand: a layer without p and e": in_functions(chain, (PASSED, f"if k != 2:\n    {PASSED}")),
    "by hand: q is not led through the activation": in_functions(
        chain, ("activation_jvp(q, cache.f[k], units=t[k].shape[1])", "q")
    ),
    "by hand: the curvature without t": in_functions(
        chain, ("q * t[k] * second(cache.a[k])", "q * second(cache.a[k])")
    ),
    "by hand: the mask is not in the curvature": in_functions(
        chain, ("q * t[k] * second(cache.a[k]) * mask", "q * t[k] * second(cache.a[k])")
    ),
    "by hand: nothing through what lies between": in_functions(chain, (BELOW, "c[k]")),
    "by hand: the curvature is not in W": in_functions(
        chain, ("dW += kind[k].weight_gradient(cache.h[k - 1], da)", "pass")
    ),
    "by hand: the curvature is not in b": in_functions(
        chain, ("db += bias_gradient(da.reshape(-1, len(db)))", "pass")
    ),
    # In the pieces that both players are made of.
    "by hand: the mask is not in the derivative": in_functions(
        pieces, ("activation_backward(mask, f)", "f")
    ),
    "by hand: the deviation is a constant": in_functions(
        pieces, ("dr = y * (s * dgamma / n)", "dr = 0 * y")
    ),
    "by hand: the mean is a constant": in_functions(pieces, ("dr += dbeta / n", "pass")),
    "by hand: gradients add up": in_functions(
        chain,
        (
            "cache.kind[k].weight_gradient(cache.h[k - 1], da, out=dW)",
            "dW += cache.kind[k].weight_gradient(cache.h[k - 1], da)",
        ),
    ),
    "by hand: every sum of a maxout unit is moved": in_functions(
        pieces,
        (
            "dh[:, None] * f.reshape(len(f), SUMS, -1)",
            "dh[:, None] + 0 * f.reshape(len(f), SUMS, -1)",
        ),
    ),
    "by hand: q of a maxout unit is a mean": in_functions(
        pieces,
        (
            "(q * f).reshape(len(f), SUMS, units).sum(axis=1)",
            "(q * f).reshape(len(f), SUMS, units).mean(axis=1)",
        ),
    ),
    # In both.
    "both: the penalty without curvature": both(flat_tanh, CURVED_BY_HAND),
    "both: a penalty on the sigmoid's output": both(in_model(*SQUASHED), SQUASHED_BY_HAND),
    "both: G's update skips D": both(in_model(SKIPS_D), SKIPS_D_BY_HAND),
    "both: real and fake are swapped": both(
        in_model(SWAPPED),
        in_functions(
            byhand,
            (
                BEGIN,
                f"{BEGIN}\nreal, fake, masks = fake, real, (masks[1], masks[0], masks[2])",
            ),
        ),
    ),
    "both: the critic's G has the other sign": both(
        in_model(("return -mean(a)", "return mean(a)")),
        in_functions(
            byhand,
            ("b.sum() * (-1 / m)", "b.sum() * (1 / m)"),
            ("namespace(b).full_like(b, -1 / m)", "namespace(b).full_like(b, 1 / m)"),
        ),
    ),
    "both: R1 lacks its half": both(
        in_model(("(0.5 * self.weight)", "self.weight")),
        in_functions(
            pieces,
            ("weight / (2 * m)", "weight / m"),
            ("v * (weight / m)", "v * (2 * weight / m)"),
        ),
    ),
}

# Which checks see a mistake, and which do not that one might think of.
TABLE = """
real and fake are swapped                    | by_hand losses curved measured dropped               | differences
G's loss has the other sign                  | by_hand losses                                       | differences
the critic's G has the other sign            | by_hand losses                                       | differences
G plays minimax                              | by_hand losses                                       | differences
least squares: G wants a 0                   | by_hand losses                                       | differences
least squares lacks its half                 | by_hand losses                                       | differences
G's update skips D                           | differences by_hand through                          |
D is not told the class                      | by_hand losses told packs                            | differences
G is not told the class                      | by_hand losses told                                  | differences
a pack is of images far apart                | by_hand losses measured packs                        | differences
smoothing on the fake side                   | by_hand losses                                       | differences
smoothing upwards                            | by_hand losses                                       | differences
least squares: smoothing of fake ones        | by_hand losses                                       | differences
the images are not squashed                  | differences by_hand losses samples                   |
one dropout mask for real and fake           | by_hand dropped                                      | differences
no dropout between                           | by_hand curved measured dropped                      | differences
no dropout in G's step                       | by_hand dropped                                      | differences
the penalty without curvature                | differences by_hand curved                           |
the penalty is a constant                    | differences by_hand curved                           |
WGAN: a penalty on the sigmoid's output      | by_hand losses curved measured dropped               | differences
R1: a penalty on the sigmoid's output        | by_hand losses curved measured                       | differences
WGAN: no lambda                              | by_hand losses curved measured dropped               | differences
WGAN: the penalty is a sum                   | by_hand losses curved measured dropped               | differences
WGAN: the norm lacks its root                | by_hand losses curved measured dropped               | differences
WGAN: a norm with a bias                     | by_hand losses curved measured dropped               | differences
the norm is a mean over pixels               | by_hand losses curved measured dropped               | differences
a norm for each image of a pack              | by_hand losses measured                              | differences
R1 lacks its half                            | by_hand losses curved measured                       | differences
R1 at the fake images                        | by_hand curved measured                              | differences
alpha is that of the fake images             | by_hand curved measured dropped                      | differences
the alpha of another row                     | by_hand measured                                     | differences
one alpha for all rows                       | by_hand curved measured dropped                      | differences
both players see one noise                   | draws                                                | differences by_hand
one mask for all passes                      | draws                                                | differences by_hand
the noise is uniform                         | draws                                                | differences by_hand
alpha is normal                              | draws                                                | differences by_hand
batch norm: the deviation is a constant      | differences by_hand                                  |
batch norm: the mean is a constant           | differences by_hand                                  |
the sampler's variance is biased             | samples                                              | differences by_hand
a sample depends on the batch                | samples                                              | differences by_hand
the sampler calibrates once for all          | samples                                              | differences by_hand
the sampler calibrates on one class          | samples                                              | differences by_hand
accuracy: what is fake is called real        | accuracy                                             | differences by_hand
accuracy: a critic has a zero                | accuracy                                             | differences by_hand
accuracy: least squares at 0                 | accuracy                                             | differences by_hand
D learns from G's noise                      | of_d order figures                                   | of_g
D learns from the average's images           | of_d order                                           | of_g
G learns from D's noise                      | of_g order figures                                   | of_d
real and fake are swapped on the way         | of_d order figures                                   | of_g
G learns through D as it was                 | of_g order figures                                   | of_d
D moves while G's gradient is taken          | of_g figures                                         | of_d
D's gradients add up                         | of_d                                                 | of_g
G's step moves D, too                        | of_d of_g alone counts average figures               |
G's step moves D's moments                   | alone                                                | of_d of_g
D climbs                                     | of_d                                                 | of_g
G climbs                                     | of_g                                                 | of_d
the ratio is forgotten                       | of_g counts rates                                    | of_d
the ratio is D's                             | counts rates                                         | of_d of_g
G moves too soon                             | alone counts average                                 | of_d of_g
G's steps are counted as D's                 | counts                                               | of_d of_g
the average never moves                      | average                                              | of_d of_g
the average is the generator itself          | average                                              | of_d of_g
the average moves in every step              | average                                              | of_d of_g
the average begins with the start            | average                                              | of_d of_g
the average forgets too slowly               | average                                              | of_d of_g
the average keeps what it should not         | average                                              | of_d of_g
D's moments are not saved                    | state                                                | of_d of_g
the average is not saved                     | state                                                | of_d of_g
a norm lacks its root                        | figures                                              | of_d of_g
by hand: D(fake) overwrites D(real)          | differences_by_hand by_hand of_d                     | losses_by_hand
by hand: G's update skips D                  | differences_by_hand by_hand of_g through             | losses_by_hand
by hand: the critic's G climbs               | differences_by_hand by_hand of_g                     | losses_by_hand
by hand: the critic climbs                   | differences_by_hand by_hand of_d                     | losses_by_hand
by hand: D moves while G's gradient is taken | differences_by_hand by_hand of_g                     | losses_by_hand
by hand: smoothing on the fake side          | differences_by_hand by_hand                          | losses_by_hand
by hand: dy is that of the class             | differences_by_hand by_hand of_g                     | losses_by_hand
by hand: a pack is taken apart the wrong way | differences_by_hand by_hand of_g                     | losses_by_hand
by hand: nothing through the sigmoid         | differences_by_hand by_hand of_g                     | losses_by_hand
by hand: real and fake share a mask          | by_hand of_d figures                                 | differences_by_hand losses_by_hand
by hand: alpha is changed on the way         | differences_by_hand by_hand of_d alone again         | losses_by_hand
by hand: no penalty in the loss              | differences_by_hand by_hand losses_by_hand           |
by hand: R1's gradient has a half            | differences_by_hand by_hand of_d                     | losses_by_hand
by hand: a class has a derivative            | by_hand losses_by_hand of_d                          | differences_by_hand
by hand: alpha is that of the fake images    | by_hand of_d                                         | differences_by_hand losses_by_hand
by hand: R1 at the fake images               | by_hand of_d figures                                 | differences_by_hand losses_by_hand
by hand: WGAN's penalty at the real images   | by_hand of_d                                         | differences_by_hand losses_by_hand
by hand: a penalty on the sigmoid's output   | by_hand losses_by_hand of_d                          | differences_by_hand
by hand: the penalty without curvature       | differences_by_hand by_hand of_d                     | losses_by_hand
by hand: a layer without p and e             | differences_by_hand by_hand of_d                     | losses_by_hand
by hand: q is not led through the activation | differences_by_hand by_hand of_d                     | losses_by_hand
by hand: the curvature without t             | differences_by_hand by_hand of_d                     | losses_by_hand
by hand: the mask is not in the curvature    | differences_by_hand by_hand of_d                     | losses_by_hand
by hand: nothing through what lies between   | differences_by_hand by_hand of_d                     | losses_by_hand
by hand: the curvature is not in W           | differences_by_hand by_hand of_d                     | losses_by_hand
by hand: the curvature is not in b           | differences_by_hand by_hand of_d                     | losses_by_hand
by hand: the mask is not in the derivative   | differences_by_hand by_hand of_d of_g                | losses_by_hand
by hand: the deviation is a constant         | differences_by_hand by_hand of_g                     | losses_by_hand
by hand: the mean is a constant              | differences_by_hand by_hand of_g                     | losses_by_hand
by hand: gradients add up                    | of_d of_g                                            | again
by hand: every sum of a maxout unit is moved | differences_by_hand by_hand                          | losses_by_hand of_d of_g
by hand: q of a maxout unit is a mean        | differences_by_hand by_hand                          | losses_by_hand of_d
both: the penalty without curvature          | differences differences_by_hand curved               | by_hand
both: a penalty on the sigmoid's output      | losses losses_by_hand curved measured                | differences differences_by_hand by_hand of_d
both: G's update skips D                     | differences differences_by_hand by_hand of_g through |
both: real and fake are swapped              | losses losses_by_hand curved measured                | differences differences_by_hand by_hand
both: the critic's G has the other sign      | losses losses_by_hand                                | differences differences_by_hand by_hand
both: R1 lacks its half                      | losses losses_by_hand curved measured                | differences differences_by_hand by_hand
"""  # noqa: E501
ROWS = rows_of(TABLE)
(
    test_all_checks_pass_without_a_mistake,
    test_who_sees_a_mistake,
    test_each_mistake_is_in_the_table_and_seen,
) = table_tests(ROWS, MUTANTS, CHECKS)


def test_a_piece_that_is_gone_is_noticed() -> None:
    with pytest.raises(AssertionError, match="0 times 'no such line'"):
        mutated(step_file, ("no such line", ""))


def test_an_update_of_d_while_gs_gradient_is_taken_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Autograd keeps D's weights for its way back, and notices that they are others by then."""
    moves_late("None", UPDATE_D)(monkeypatch)
    with pytest.raises(
        RuntimeError, match=r"was written in place after .* the gradient would be wrong"
    ):
        of_g(["autograd"])
