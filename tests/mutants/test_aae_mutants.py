"""The mistakes of an adversarial autoencoder, planted one at a time: which checks see them.

A mistake is a piece of the code that is replaced, as in tests/test_gan_mutants.py. Its lesson
here: nearly all that can go wrong goes wrong between right gradients. Three derivations agree on
each of them, and only a look at the routing, a closed form or the theory sees that it is the wrong
one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import test_aae
import test_byhand_aae
from mutants import Plant, both, in_functions, mutated, rows_of, table_tests
from test_aae import KINDS, LOSSES, NUMPY, aae

import tinygen as tg
from tinygen.backend.numpy_backend import adam_numpy
from tinygen.byhand import aae as byhand
from tinygen.models import AdversarialAutoencoder
from tinygen.models import aae as model_file
from tinygen.training.learners import aae as learner_file


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """For numba's threads."""
    monkeypatch.setattr(NUMPY, "_adam", adam_numpy)


# The checks, from the one that knows least.


def slopes() -> None:
    """Differences: autograd's gradients are those of the model's losses, whatever these are."""
    for loss in LOSSES:
        model = aae(loss)
        for phase, (p, *data) in test_byhand_aae.turn(model, 3, 1).items():
            right = getattr(model, f"{phase}_loss")
            tg.check_gradients(lambda q: right(q, *data), p, directions=1)  # noqa: B023


def by_hand() -> None:
    """Two derivations agree, of all losses and gradients."""
    for loss in LOSSES:
        model = aae(loss)
        for phase, seen in test_byhand_aae.turn(model, 3, 1).items():
            found = test_byhand_aae.by_hand(model, phase, *seen)
            expected = test_byhand_aae.by_autograd(model, phase, *seen)
            test_byhand_aae.assert_close(found, expected, 1e-12, floor=0.1)


def closed() -> None:
    """Closed forms of a linear discriminator, and of where the penalty is."""
    for loss in LOSSES:
        test_aae.test_the_losses_of_a_linear_discriminator(loss)
    test_aae.test_the_penalty_of_wasserstein_lies_between_a_draw_and_a_code()


def draws() -> None:
    test_aae.test_the_prior_is_standard_normal_and_the_share_uniform()


def routed() -> None:
    """A step is made of slopes that were measured, each where it should be."""
    for kind in KINDS:
        for loss in ("non-saturating", "wasserstein-gp", "r1"):
            test_aae.test_a_step_is_its_three_phases_one_after_the_other(kind, loss)


def alone() -> None:
    """A phase changes its own parameters and moments alone, and is given what it should be."""
    for kind in KINDS:
        test_aae.test_each_phase_changes_its_own_parameters_and_moments_alone(kind, "r1")


def figures() -> None:
    for kind in KINDS:
        test_aae.test_the_figures_are_the_losses_that_each_phase_went_down(kind, "r1")


def rates() -> None:
    test_aae.test_the_ratio_is_that_of_both_phases_of_the_game("by-hand")


def vectors() -> None:
    test_aae.test_all_vectors_have_a_name_and_all_optimizers_one_count()


def paper() -> None:
    test_aae.test_the_worked_example()
    for kind in KINDS:
        test_aae.test_the_step_of_the_worked_example(kind)


def theory() -> None:
    test_aae.test_linear_codes_of_normal_images_become_whitened_principal_components(
        "r1", "by-hand"
    )


CHECKS: list[Callable[[], None]] = [
    slopes, by_hand, closed, draws, routed, alone, figures, rates, vectors, paper, theory,
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
    """A mistake in tinygen/training/aae.py."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        made = mutated(learner_file, *pieces)
        for name in ("ThreePhases", "Optimizers", "aae_learner"):
            patch.setattr(test_aae, name, getattr(made, name))

    return plant


def climbing_by_hand(patch: pytest.MonkeyPatch) -> None:
    """The encoder's loss by hand with the other sign, and its gradient, too."""
    right = byhand.encoder_loss_and_grads

    def wrong(*arguments: Any, **options: Any) -> Any:
        J, g = right(*arguments, **options)
        np.negative(g.flat, out=g.flat)
        return -J, g

    patch.setattr(byhand, "encoder_loss_and_grads", wrong)


BEGIN = "x, z, share = data"
CODES = "codes = self.encode(e, x)"
UPDATE_P = "optimizers.of_p.update(p, dp, rate)"
UPDATE_D = "optimizers.of_d.update(d, dd, rate * self.ratio)"
UPDATE_E = "optimizers.of_e.update(e, de, rate * self.ratio)"
OF_E = "self.of_encoder(e, d, x, out=de)"
OF_D = "self.of_discriminator(d, z, codes, share, out=dd)"
JUDGED = "self.game.discriminator_loss(d, z, codes, share=share)"
MISLED = "self.game.generator_loss(e, d, x)"
JUDGED_BY_HAND = (
    "gan.discriminator_loss_and_grads(d, z, codes, alpha=alpha, loss=loss, penalty=penalty,"
    " smoothing=0.0, pack=1, discriminator_activation=discriminator_activation,"
    " discriminator_norm='none', out=out)"
)
ENCODED_BY_HAND = (
    "gan.generate(e, x, output='none', generator_activation=activation, generator_norm='none')"
)
STALE_CODES = (
    (BEGIN, f"{BEGIN}\nstale = self.encode(e, x).copy()"),
    (CODES, "codes = stale"),
)
STALE_ENCODER = (
    (BEGIN, f"{BEGIN}\nbefore = e.copy()"),
    (OF_E, OF_E.replace("(e,", "(before,")),
)
LEAK = (
    "judged = lambda q: mean(softplus(self.model.game.logits(d, self.model.encoder(q, x))))\n"
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
            "from typing import Any, ClassVar\nfrom tinygen.ops import mean, softplus",
        ),
    ),
    "the reconstruction moves the decoder alone": in_step(
        (UPDATE_P, f"(dp.only('encoder.').flat.fill(0), {UPDATE_P})")
    ),
    "the encoder's step moves D, too": in_step((UPDATE_E, f"({UPDATE_E}, {UPDATE_D})")),
    "the encoder's step moves the decoder, too": in_step((UPDATE_E, f"({UPDATE_E}, {UPDATE_P})")),
    "one Adam for both losses of the encoder": in_step(
        (
            f"loss_e, _ = {OF_E}",
            f"loss_e, _ = {OF_E}\ndp.flat[...] = 0\ndp.only('encoder.').flat[...] = de.flat",
        ),
        (UPDATE_E, "optimizers.of_p.update(p, dp, rate * self.ratio)"),
    ),
    "the encoder's moments are D's gradients": in_step(
        (UPDATE_D, f"({UPDATE_D}, [m.__iadd__(1e-3) for m in optimizers.of_e.state.values()])")
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
    "the share is normal": in_model(("generator.random", "generator.standard_normal")),
    "the encoder's moments are not saved": in_step(
        (
            '{"reconstruction": self.of_p, "discriminator": self.of_d, "encoder": self.of_e}',
            '{"reconstruction": self.of_p, "discriminator": self.of_d}',
        )
    ),
    "the encoder's steps are not restored": in_step(
        (
            "self.of_p.steps = self.of_d.steps = self.of_e.steps = steps",
            "self.of_p.steps = self.of_d.steps = steps",
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
codes from before the reconstruction             | routed alone figures paper              | slopes by_hand closed
and the encoder's gradient, too                  | routed alone figures paper              | slopes by_hand closed
the encoder learns through D as it was           | routed alone figures paper              | slopes by_hand closed
the game before the reconstruction               | routed alone figures paper              | slopes by_hand closed
D's gradient leaks into the encoder              | routed alone figures rates              | slopes by_hand closed
the reconstruction moves the decoder alone       | routed alone figures rates paper        | slopes by_hand closed
the encoder's step moves D, too                  | routed alone figures rates paper        | slopes by_hand closed
the encoder's step moves the decoder, too        | routed alone rates paper                | figures closed
one Adam for both losses of the encoder          | alone rates                             | routed figures paper
the encoder's moments are D's gradients          | alone                                   | routed figures paper
the encoder climbs                               | routed paper theory                     | slopes by_hand alone figures
D climbs                                         | routed paper theory                     | slopes by_hand alone figures rates
the prior and the codes are swapped on the way   | routed alone figures paper theory       | slopes by_hand closed
the model: the prior and the codes are swapped   | by_hand closed routed paper             | slopes alone
both: the prior and the codes are swapped        | closed paper theory                     | slopes by_hand routed alone figures
the model: the encoder's loss has the other sign | by_hand closed routed paper             | slopes alone
both: the encoder's loss has the other sign      | closed paper theory                     | slopes by_hand routed alone figures
the ratio is forgotten in D's step               | routed rates paper                      | alone figures
the ratio is forgotten in the encoder's          | routed rates paper                      | alone figures
the ratio is the reconstruction's, too           | routed rates paper                      | alone
the prior is uniform                             | draws theory                            | slopes by_hand routed
the share is normal                              | draws                                   | slopes by_hand routed
the encoder's moments are not saved              | alone vectors                           | routed figures
the encoder's steps are not restored             | vectors                                 | routed alone figures
by hand: the codes are squashed                  | routed figures paper                    | by_hand alone
by hand: no penalty                              | by_hand closed routed                   | alone paper
"""  # noqa: E501
ROWS = rows_of(TABLE)
(
    test_all_checks_pass_without_a_mistake,
    test_who_sees_a_mistake,
    test_each_mistake_is_in_the_table_and_seen,
) = table_tests(ROWS, MUTANTS, CHECKS)
