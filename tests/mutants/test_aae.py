"""The mistakes of an adversarial autoencoder, planted one at a time: which checks see them.

A mistake is a piece of the code that is replaced, as in test_gan.py. Its lesson
here: nearly all that can go wrong goes wrong between right gradients. Three derivations agree on
each of them, and only a look at the routing, a closed form or the theory sees that it is the wrong
one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import aae_checks
import aae_phases
import agreement
import numpy as np
import pytest
from aae_checks import KINDS, NUMPY, aae
from mutants import Plant, both, in_functions, mutated, rows_of, table_tests

import tinygen as tg
from tinygen.backend.numpy_backend import adam_numpy
from tinygen.byhand import aae as byhand
from tinygen.models import AdversarialAutoencoder
from tinygen.models import aae as model_file
from tinygen.models.gan import LOSSES
from tinygen.training.learners import aae as learner_file


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """For numba's threads."""
    monkeypatch.setattr(NUMPY, "_adam", adam_numpy)


# The checks, from the one that knows least.


def differences() -> None:
    """Differences: autograd's gradients are those of the model's losses, whatever these are."""
    for loss in LOSSES:
        model = aae(loss)
        for phase, (p, *data) in aae_phases.turn(model, 3, 1).items():
            right = getattr(model, f"{phase}_loss")
            tg.check_gradients(lambda q: right(q, *data), p, directions=1)  # noqa: B023


def by_hand() -> None:
    """Two derivations agree, of all losses and gradients."""
    for loss in LOSSES:
        model = aae(loss)
        for phase, seen in aae_phases.turn(model, 3, 1).items():
            found = aae_phases.by_hand(model, phase, *seen)
            expected = aae_phases.by_autograd(model, phase, *seen)
            agreement.assert_close(found, expected, 1e-12, floor=0.1)


def closed() -> None:
    """Closed forms of a linear discriminator, and of where the penalty is."""
    for loss in LOSSES:
        aae_checks.check_losses_of_a_linear_discriminator(loss)
    aae_checks.check_interpolates()


def draws() -> None:
    aae_checks.check_moments_of_draws()


def routed() -> None:
    """A step goes down measured gradients, each taken where it should be."""
    for kind in KINDS:
        for loss in ("non-saturating", "wasserstein-gp"):
            aae_checks.check_three_phases(kind, loss)


def alone() -> None:
    """A phase changes its own parameters and moments alone, and is given what it should be."""
    for kind in KINDS:
        aae_checks.check_each_phase_alone(kind, "r1")


def figures() -> None:
    for kind in KINDS:
        aae_checks.check_figures(kind, "r1")


def rates() -> None:
    aae_checks.check_ratio("by-hand")


def vectors() -> None:
    aae_checks.check_vectors_of_the_phases()


def paper() -> None:
    aae_checks.check_worked_example()
    for kind in KINDS:
        aae_checks.check_step_of_the_worked_example(kind)


def theory() -> None:
    _, p = aae_checks.trained("r1", "by-hand", ratio=1.0, steps=1000)
    aae_checks.check_moments_of_codes(p)


CHECKS: list[Callable[[], None]] = [
    differences, by_hand, closed, draws, routed, alone, figures, rates, vectors, paper, theory,
]  # fmt: skip


# How a mistake is planted.


def in_model(*pieces: tuple[str, str]) -> Plant:
    """A mistake in tinygen/models/aae.py."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        made = mutated(model_file, *pieces).AdversarialAutoencoder
        for name in ("draw", "discriminator_loss", "encoder_loss"):
            patch.setattr(AdversarialAutoencoder, name, vars(made)[name])

    return plant


def in_step(*pieces: tuple[str, str]) -> Plant:
    """A mistake in tinygen/training/learners/aae.py."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(aae_checks, "AAELearner", mutated(learner_file, *pieces).AAELearner)

    return plant


def climbing_by_hand(patch: pytest.MonkeyPatch) -> None:
    """The encoder's loss by hand with the other sign, and its gradient, too."""
    right = byhand.encoder_loss_and_grads

    def wrong(*arguments: Any, **options: Any) -> Any:
        J, g = right(*arguments, **options)
        np.negative(g.flat, out=g.flat)
        return -J, g

    patch.setattr(byhand, "encoder_loss_and_grads", wrong)


BEGIN = "p, d, e, (x, z, alpha) = self.p, self.d, self.e, data"
CODES = "codes = self.gradients.encode(e, x)"
UPDATE_P = "self.p_optimizer.update(p, self._dp, rate)"
UPDATE_D = "self.d_optimizer.update(d, self._dd, rate * self.ratio)"
UPDATE_E = "self.e_optimizer.update(e, self._de, rate * self.ratio)"
OF_E = "self.gradients.encoder(e, d, x, out=self._de)"
OF_D = "self.gradients.discriminator(d, z, codes, alpha, out=self._dd)"
JUDGED = "self.gan.discriminator_loss(d, z, codes, alpha=alpha)"
MISLED = "self.gan.generator_loss(e, d, x)"
JUDGED_BY_HAND = (
    "gan.discriminator_loss_and_grads(d, z, codes, alpha=alpha, loss=loss, penalty=penalty,"
    " smoothing=0.0, pack=1, discriminator_activation=discriminator_activation,"
    " discriminator_norm='none', out=out)"
)
ENCODED_BY_HAND = (
    "gan.generate(e, x, output='none', generator_activation=activation, generator_norm='none', "
    "generator_geometry=encoder_geometry)"
)
STALE_CODES = (
    (BEGIN, f"{BEGIN}\nstale = self.gradients.encode(e, x).copy()"),
    (CODES, "codes = stale"),
)
STALE_ENCODER = (
    (BEGIN, f"{BEGIN}\nbefore = e.copy()"),
    (OF_E, OF_E.replace("(e,", "(before,")),
)
LEAK = (
    "judged = lambda q: mean(softplus(self.model.gan.logits(d, self.model.encoder(q, x))))\n"
    "e.flat[...] -= rate * value_and_grad(judged)(e)[1].flat"
)

MUTANTS: dict[str, Plant] = {
    # Of the order.
    "codes from before the reconstruction": in_step(*STALE_CODES),
    "and the encoder's gradient, too": in_step(*STALE_CODES, *STALE_ENCODER),
    "the encoder learns through D as it was": in_step(
        (BEGIN, f"{BEGIN}\nold = d.copy()"), (OF_E, OF_E.replace("d,", "old,"))
    ),
    "the game before the reconstruction": in_step(
        (UPDATE_P, "None"), (UPDATE_E, f"({UPDATE_E}, {UPDATE_P})")
    ),
    # Of who moves.
    "D's gradient leaks into the encoder": in_step(
        (f"loss_e, _ = {OF_E}", f"{LEAK}\nloss_e, _ = {OF_E}"),
        (
            "from typing import Any, ClassVar",
            "from typing import Any, ClassVar\nfrom tinygen.autograd import value_and_grad\n"
            "from tinygen.ops import mean, softplus",
        ),
    ),
    "the reconstruction moves the decoder alone": in_step(
        (UPDATE_P, f"(self._dp.only('encoder.').flat.fill(0), {UPDATE_P})")
    ),
    "the encoder's step moves D, too": in_step((UPDATE_E, f"({UPDATE_E}, {UPDATE_D})")),
    "the encoder's step moves the decoder, too": in_step((UPDATE_E, f"({UPDATE_E}, {UPDATE_P})")),
    "one Adam for both losses of the encoder": in_step(
        (
            f"loss_e, _ = {OF_E}",
            f"loss_e, _ = {OF_E}\nself._dp.flat[...] = 0\n"
            "self._dp.only('encoder.').flat[...] = self._de.flat",
        ),
        (UPDATE_E, "self.p_optimizer.update(p, self._dp, rate * self.ratio)"),
    ),
    "the encoder's moments are D's gradients": in_step(
        (UPDATE_D, f"({UPDATE_D}, [m.__iadd__(1e-3) for m in self.e_optimizer.state.values()])")
    ),
    # Of the direction.
    "the encoder climbs": in_step((UPDATE_E, UPDATE_E.replace("rate *", "-rate *"))),
    "D climbs": in_step((UPDATE_D, UPDATE_D.replace("rate *", "-rate *"))),
    "the prior and the codes are swapped on the way": in_step(
        (OF_D, OF_D.replace("z, codes", "codes, z"))
    ),
    "the model: the prior and the codes are swapped": in_model(
        (JUDGED, JUDGED.replace("z, codes", "codes, z"))
    ),
    "both: the prior and the codes are swapped": both(
        in_model((JUDGED, JUDGED.replace("z, codes", "codes, z"))),
        in_functions(byhand, (JUDGED_BY_HAND, JUDGED_BY_HAND.replace("z, codes", "codes, z"))),
    ),
    "the model: the encoder's loss has the other sign": in_model((MISLED, f"-{MISLED}")),
    "both: the encoder's loss has the other sign": both(
        in_model((MISLED, f"-{MISLED}")),
        climbing_by_hand,
    ),
    # Of the rest.
    "the ratio is forgotten in D's step": in_step(
        (UPDATE_D, UPDATE_D.replace(" * self.ratio", ""))
    ),
    "the ratio is forgotten in the encoder's": in_step(
        (UPDATE_E, UPDATE_E.replace(" * self.ratio", ""))
    ),
    "the ratio is the reconstruction's, too": in_step(
        (UPDATE_P, UPDATE_P.replace("rate", "rate * self.ratio"))
    ),
    "the prior is uniform": in_model(("generator.standard_normal", "generator.random")),
    "alpha is normal": in_model(("generator.random", "generator.standard_normal")),
    "the encoder's moments are not saved": in_step(
        (
            '"encoder": self.e_optimizer,',
            "",
        )
    ),
    "the encoder's steps are not restored": in_step(
        (
            "self.p_optimizer.steps = self.d_optimizer.steps = self.e_optimizer.steps = steps",
            "self.p_optimizer.steps = self.d_optimizer.steps = steps",
        )
    ),
    "by hand: the codes are squashed": in_functions(
        byhand, (ENCODED_BY_HAND, ENCODED_BY_HAND.replace("output='none'", "output='sigmoid'"))
    ),
    "by hand: no penalty": in_functions(
        byhand, (JUDGED_BY_HAND, JUDGED_BY_HAND.replace("penalty=penalty", "penalty=0.0"))
    ),
}

# Which checks see a mistake, and which do not that one might think of.
TABLE = """
codes from before the reconstruction             | routed alone figures paper        | differences by_hand closed
and the encoder's gradient, too                  | routed alone figures paper        | differences by_hand closed
the encoder learns through D as it was           | routed alone figures paper        | differences by_hand closed
the game before the reconstruction               | routed alone figures paper        | differences by_hand closed
D's gradient leaks into the encoder              | routed alone figures rates        | differences by_hand closed
the reconstruction moves the decoder alone       | routed alone figures rates paper  | differences by_hand closed
the encoder's step moves D, too                  | routed alone figures rates paper  | differences by_hand closed
the encoder's step moves the decoder, too        | routed alone rates paper          | figures closed
one Adam for both losses of the encoder          | alone rates                       | routed figures paper
the encoder's moments are D's gradients          | alone                             | routed figures paper
the encoder climbs                               | routed paper theory               | differences by_hand alone figures
D climbs                                         | routed paper theory               | differences by_hand alone figures rates
the prior and the codes are swapped on the way   | routed alone figures paper theory | differences by_hand closed
the model: the prior and the codes are swapped   | by_hand closed routed paper       | differences alone
both: the prior and the codes are swapped        | closed paper theory               | differences by_hand routed alone figures
the model: the encoder's loss has the other sign | by_hand closed routed paper       | differences alone
both: the encoder's loss has the other sign      | closed paper theory               | differences by_hand routed alone figures
the ratio is forgotten in D's step               | routed rates paper                | alone figures
the ratio is forgotten in the encoder's          | routed rates paper                | alone figures
the ratio is the reconstruction's, too           | routed rates paper                | alone
the prior is uniform                             | draws theory                      | differences by_hand routed
alpha is normal                                  | draws                             | differences by_hand routed
the encoder's moments are not saved              | alone vectors                     | routed figures
the encoder's steps are not restored             | vectors                           | routed alone figures
by hand: the codes are squashed                  | routed figures paper              | by_hand alone
by hand: no penalty                              | by_hand closed routed             | alone paper
"""  # noqa: E501
ROWS = rows_of(TABLE)
(
    test_all_checks_pass_without_a_mistake,
    test_who_sees_a_mistake,
    test_each_mistake_is_in_the_table_and_seen,
) = table_tests(ROWS, MUTANTS, CHECKS)
