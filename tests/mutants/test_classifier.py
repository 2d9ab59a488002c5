"""The mistakes of a classifier, planted one at a time: which checks see them, and which cannot.

Where an encoder is taken over, frozen, or taught with few labels, the gradients are right in spite
of all of them: what is differentiated is not what should be. Only a look at the numbers themselves
sees that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import FunctionType
from typing import Any

import byhand_classifier_checks
import classifier_checks
import numpy as np
import pseudo_labels_checks
import pytest
from classifier_checks import NUMPY, batch
from differences import check_directional_derivatives
from mutants import Plant, both, in_functions, mutated, rows_of, table_tests

import tinygen as tg
from tinygen.backend.numpy_backend import adam_numpy
from tinygen.byhand import chain as byhand_chain
from tinygen.byhand import classifier as byhand
from tinygen.byhand import pieces as byhand_pieces
from tinygen.models import Classifier
from tinygen.models import classifier as model_file
from tinygen.models.classifier import READS, Frozen
from tinygen.training.learners import pseudo_labels as learner_file


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """For numba's threads."""
    monkeypatch.setattr(NUMPY, "_adam", adam_numpy)


SMALL: dict[str, Any] = {"pixels": 3, "hidden": (4, 3), "classes": 3, "activation": "gelu",
                         "dropout": 0.4, "biases": "normal"}  # fmt: skip
MODELS = [
    Classifier(reads=reads, latent=latent, weight_decay=0.3, **SMALL)
    for reads in READS
    for latent in (0, 2)
]
# Layers that are all as wide as the images, so that one could be taken for another.
MODELS += [
    Classifier(reads=reads, latent=3, weight_decay=0.3, **SMALL | {"hidden": (3, 3)})
    for reads in READS
]
COUNTED = (False, True)
"""Labels of which each row counts once, and labels of which it may count as it likes."""
KINDS = ("autograd", "by-hand")


# The checks, from the one that knows least.


def differences() -> None:
    """Differences: autograd's gradient is that of the model's loss, whatever that is."""
    for model in MODELS:
        for counted in COUNTED:
            classifier_checks.check_finite_differences(model, 3, 1, counted, directions=1)


def differences_by_hand() -> None:
    """Differences: the gradient by hand is that of the loss by hand, whatever that is."""
    for model in MODELS:
        for counted in COUNTED:
            p, *data = classifier_checks.drawn(model, 3, 1, np.float64, counted)
            rng = np.random.default_rng(0)
            by_hand = byhand_classifier_checks.loss_and_grads
            check_directional_derivatives(by_hand, p, data, model.terms, rng)


def by_hand() -> None:
    """Two derivations agree, of the loss and of the gradient."""
    for model in MODELS:
        for counted in COUNTED:
            classifier_checks.check_by_hand("float64", 1e-12, model, 3, 1, counted)


def gradients() -> None:
    """The gradient three times."""
    differences()
    differences_by_hand()
    by_hand()


def textbook() -> None:
    """Both losses are what plain loops over images give."""
    for model in MODELS:
        for counted in COUNTED:
            p, x, t, masks = classifier_checks.drawn(model, 4, 2, np.float64, counted)
            expected = byhand_classifier_checks.textbook_loss(p, x, t, masks, **model.terms)
            found = classifier_checks.loss_and_grads(p, x, t, masks, **model.terms)[0]
            assert found == pytest.approx(expected, rel=1e-12)
            assert model.loss(p, x, t, masks) == pytest.approx(expected, rel=1e-12)


def zeros() -> None:
    """Weights of zero lose the logarithm of the classes."""
    byhand_classifier_checks.check_weights_of_zero()
    classifier_checks.check_loss_of_zero_weights(NUMPY)


def paper() -> None:
    """The worked example of docs/derivations/classifier.md, by both."""
    byhand_classifier_checks.check_worked_example()
    byhand_classifier_checks.check_exercise_reading_the_code_alone()
    byhand_classifier_checks.check_exercise_with_a_label_that_sums_to_two()
    p, x, t, _ = byhand_classifier_checks.worked_example()
    model = Classifier(2, (1,), 2, "relu", latent=1, reads="all")
    loss, g = tg.value_and_grad(model.loss)(p, x, t)
    assert loss == pytest.approx(np.log(4), rel=1e-14)
    assert g["b1"] == pytest.approx([0.75 * np.log(3)], rel=1e-14)
    assert g["W3"] == pytest.approx(np.array([[-1.5, 1.5], [-0.75, 0.75]]), rel=1e-14)


def counting() -> None:
    """A row of labels that sums to w counts w times, by hand and by autograd."""
    for reads in READS:
        byhand_classifier_checks.check_rows_of_zeros(reads)
    for model in MODELS:
        model = replace(model, weight_decay=0.0)
        p, x, _, masks = batch(model, 4, 2, np.float64)
        t = np.array([[0.5, 0.5, 0], [0, 1, 0], [0, 0, 2], [0.2, 0.3, 0]])
        case = p, (x, t, masks), model.terms, None
        byhand_classifier_checks.check_row_weight(case, 3.5)
        J, K, one = (model.loss(p, x[:k], s[:k], [m[:k] for m in masks])
                     for k, s in ((4, t), (4, np.diag([3.5, 1, 1, 1]) @ t), (1, t)))  # fmt: skip
        assert pytest.approx(J + 2.5 * one / 4, rel=1e-11) == K


def sure() -> None:
    """Extreme logits: no logarithm of something that was clipped."""
    byhand_classifier_checks.check_extreme_logits(np.float64)
    p = byhand_classifier_checks.make([1], 3)
    p["b1"][...] = [1000, -1000, 0]
    model = Classifier(1, (), 3)
    for k, expected in enumerate((0, 2000, 1000)):
        assert model.loss(p, np.ones((1, 1)), np.eye(3)[[k]]) == expected


def decay() -> None:
    classifier_checks.check_weight_decay()
    byhand_classifier_checks.check_no_labels()


def read() -> None:
    """What the softmax reads: the layers, as plain arithmetic has them, masked in training."""
    for hidden in ((), (4,), (4, 3)):
        for latent in (0, 2):
            classifier_checks.check_features(NUMPY, hidden, latent)


def noise() -> None:
    classifier_checks.check_noise_moments(NUMPY)


def taken() -> None:
    """The layers of an encoder arrive, and the softmax has no opinion."""
    for kind in classifier_checks.CODERS:
        for reads in READS:
            for latent in (0, 2):
                classifier_checks.check_layers_of_an_encoder(NUMPY, kind, reads, latent)


def frozen() -> None:
    """A softmax on top: what its answers are, and what a step sees of them."""
    classifier_checks.check_frozen_features_are_standardised(NUMPY, np.float64)
    classifier_checks.check_constant_features()
    classifier_checks.check_frozen_step_with_noise(NUMPY)
    classifier_checks.check_frozen_is_softmax_regression()


def rows() -> None:
    """Few labels: what a step draws."""
    pseudo_labels_checks.check_labelled_images_first()
    pseudo_labels_checks.check_labelled_images_are_drawn_alike()
    pseudo_labels_checks.check_noise_of_all_rows()
    pseudo_labels_checks.check_weight_of_the_unlabelled()


def step() -> None:
    """Few labels: a step goes down the measured gradient of both means."""
    for kind in KINDS:
        for at in (0, 5):
            pseudo_labels_checks.check_gradient_of_both_means(kind, at)


def alike() -> None:
    """Few labels: by hand and by autograd the steps end at one place."""
    pseudo_labels_checks.check_by_hand_after_three_steps("float64", 1e-9)


def named() -> None:
    """Few labels: who names the images, and how sure it has to be."""
    for kind in KINDS:
        pseudo_labels_checks.check_pseudo_labels_of_the_average(kind)
        for q, counts in ((0.5, 0), (0.95 - 1e-6, 0), (0.95 + 1e-6, 1)):
            pseudo_labels_checks.check_threshold(kind, q, counts)


def aligned() -> None:
    for kind in KINDS:
        pseudo_labels_checks.check_alignment(kind)
        pseudo_labels_checks.check_a_class_without_labels(kind)


def average() -> None:
    for kind in KINDS:
        pseudo_labels_checks.check_average_after_the_step(kind)


CHECKS: list[Callable[[], None]] = [
    differences, differences_by_hand, by_hand, gradients, textbook, zeros, paper, counting,
    sure, decay, read, noise, taken, frozen, rows, step, alike, named, aligned, average,
]  # fmt: skip


# How a mistake is planted.


in_hand = partial(in_functions, byhand)
in_chain = partial(in_functions, byhand_chain)
in_pieces = partial(in_functions, byhand_pieces)


def in_model(*pieces: tuple[str, str]) -> Plant:
    """A mistake in tinygen/models/classifier.py."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        made = mutated(model_file, *pieces)
        for right, wrong in ((Classifier, made.Classifier), (Frozen, made.Frozen)):
            for name, method in vars(wrong).items():
                if isinstance(method, (FunctionType, classmethod)) and not name.startswith("__"):
                    patch.setattr(right, name, method)

    return plant


def in_loss(wrong: Callable[..., Any]) -> Plant:
    """A mistake in the cross-entropy, where the model finds it."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        right = model_file.cross_entropy
        patch.setattr(model_file, "cross_entropy", lambda z, t: wrong(right, z, t))

    return plant


def in_partial(patch: pytest.MonkeyPatch) -> None:
    """A mistake in the partial of an op that the model uses."""

    def l2(x: Any) -> Any:
        return 0.5 * np.sum(x * x)

    wrong = tg.Op(l2, {"dx": lambda g, y, x: 2 * g * x})
    patch.setattr(model_file, "l2", wrong)


def in_step(*pieces: tuple[str, str]) -> Plant:
    """A mistake in tinygen/training/learners/pseudo_labels.py."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        made = mutated(learner_file, *pieces)
        patch.setattr(pseudo_labels_checks, "PseudoLabelLearner", made.PseudoLabelLearner)

    return plant


def rescaled(t: Any) -> Any:
    """Labels whose rows sum to 1, but for those that sum to 0."""
    return t / np.maximum(t.sum(axis=1, keepdims=True), 1e-300)


OVER_N = ("q *= 1 / n", "pass")
LOSS_OVER_N = ("(t * log_q).sum() * (-1 / n)", "-(t * log_q).sum()")
HALF = ("sum_of_squares(W) * (weight / 2)", "sum_of_squares(W) * weight")
TWICE = ("dW += weight * W", "dW += 2 * weight * W")
DECAY = "sum(l2_penalty(layers[k][0], gradients[k][0], weight) for k in layers)"
ON_ALL = "sum(l2_penalty(layers[k][j], gradients[k][j], weight) for k in layers for j in (0, 1))"
ON_BIASES = "for k in layers: gradients[k][1] += weight * layers[k][1]"
ACTIVATED = "da = activation_backward(dh, cache.f[k]) if k in cache.f else dh"
ALSO = "dh = dh + also[k]"
READ = "[cache.h[k] for k in body]"
PARTS = "*G, G_last = namespace(x).split(dF, [*ends], axis=1)"
OTHERS, REVERSED = "dict(enumerate(G, 1))", "dict(enumerate(G[::-1], 1))"
OTHER_ORDER = [
    (READ, f"{READ}[::-1]"),
    (PARTS, f"G_last, *G = {PARTS.partition('= ')[2]}"),
    (OTHERS, REVERSED),
]
# Two mistakes that are not made where NumPy would refuse the shapes.
SWAPPED = f"{REVERSED} if len({{part.shape for part in G}}) == 1 else {OTHERS}"
BELOW = "cache.h[L - 2] if len(read) == 1 < L - 1 and cache.h[L - 2].shape == F.shape else F"
ROWS_OF_ONE = "labels / namespace(x).maximum(labels.sum(axis=1, keepdims=True), 1e-300)"
NORMALISED = ("softmax_cross_entropy(a, labels)", f"softmax_cross_entropy(a, {ROWS_OF_ONE})")
FOLLOWS = "elif hidden:"
UNDROPPED = "elif hidden and type(layer).__name__ != 'Dropout':"
TAKEN = "[..., : p[name].shape[-1]]"
SEEN = (
    "noisy, labels, masks = self.head.draw(x, generator, step, labels)\n"
    "        return self.features(noisy), labels, masks"
)
ALIGNED = "q = q * (self._prior / namespace(q).maximum(self.frequencies, RARE))"
OF_LABELLED = "of_labelled = labels * (n / self.batch_size)"
OF_OTHERS = "of_others = pseudo_labels * (weight * n / len(x))"


MUTANTS: dict[str, Plant] = {
    # By hand.
    "by hand: no row sums in delta": in_pieces(("q *= t.sum(axis=1, keepdims=True)", "pass")),
    "by hand: softmax over the images": in_pieces(
        ("q.sum(axis=1, keepdims=True)", "q.sum(axis=0, keepdims=True)")
    ),
    "by hand: the largest logit of a class": in_pieces(
        ("a.max(axis=1, keepdims=True)", "a.max(axis=0, keepdims=True)")
    ),
    "by hand: the log of clipped numbers": in_pieces(
        ("log_q -= xp.log(total)", "log_q = xp.log(xp.clip(q, 1e-7, 1))")
    ),
    "by hand: the softmax's part is forgotten": in_hand((OTHERS, "{}")),
    "by hand: the last layer's part is forgotten": in_hand(
        (PARTS, f"{PARTS}; G_last = 0 * G_last")
    ),
    "by hand: the parts in another order": in_hand((OTHERS, SWAPPED)),
    "by hand: the part goes round the activation": in_chain(
        (ALSO, "pass"), (ACTIVATED, f"{ACTIVATED}; da = da + also.get(k, 0)")
    ),
    "by hand: the layer above is forgotten": in_chain(
        (
            "cache.kind[k].input_gradient(da, W)",
            "cache.kind[k].input_gradient(0 * da, W)",
        )
    ),
    "by hand: the softmax learns from layer L - 2": in_hand(
        (
            "a, cache_last = chain(last, F, activation)",
            f"a, cache_last = chain(last, F, activation)\n    cache_last.h[0] = {BELOW}",
        )
    ),
    "by hand: it reads sums": in_hand((READ, READ.replace("h[k]", "a[k]"))),
    "by hand: no activation on the last layer": in_hand(
        (
            "chain(body, x, activation, masks, linear, geometry=geometry)",
            "chain(body, x, activation, masks, geometry=geometry)",
        )
    ),
    "by hand: no mask on the way back": in_pieces(("activation_backward(mask, f)", "f")),
    "by hand: no mask on the way": in_pieces(("h * mask", "h")),
    "by hand: no derivative": in_chain(
        ("h[k], f[k] = phi(a[k])", "h[k] = phi(a[k])[0]; f[k] = namespace(x).ones_like(a[k])")
    ),
    "by hand: a derivative on the code": in_chain(
        ("h[k] = a[k]", "h[k] = a[k]; f[k] = phi(a[k])[1]")
    ),
    "by hand: no 1/n in the gradient": in_pieces(OVER_N),
    "by hand: a sum over images": in_pieces(OVER_N, LOSS_OVER_N),
    "by hand: no biases": in_chain(("pixels = add_bias(pixels, *vectors)", "pass")),
    "by hand: the biases' gradient is a mean": in_pieces(
        ("da.sum(axis=0, out=out)", "da.mean(axis=0, out=out)")
    ),
    "by hand: the biases decay": in_chain((f"return {DECAY}", f"{ON_BIASES}\nreturn {DECAY}")),
    "by hand: the biases decay, in the loss, too": in_chain((DECAY, ON_ALL)),
    "by hand: the decay lacks its half": in_pieces(HALF),
    "by hand: twice the decay": in_pieces(HALF, TWICE),
    "by hand: the softmax does not decay": in_hand(
        ("decay(every, devery, weight_decay)", "decay(body, dbody, weight_decay)")
    ),
    "by hand: the layers in another order": in_hand(*OTHER_ORDER),
    "by hand: rows of labels are rescaled": in_hand(NORMALISED),
    # In the model, with autograd.
    "the partial of l2 is twice what it is": in_partial,
    "softmax over the images": in_loss(
        lambda loss, z, t: loss(tg.transpose(z), t.T) * (t.shape[1] / t.shape[0])
    ),
    "a sum over images": in_loss(lambda loss, z, t: loss(z, t) * t.shape[0]),
    "rows of labels are rescaled": in_loss(lambda loss, z, t: loss(z, rescaled(t))),
    "the biases decay": in_model(("if len(W.shape) == 2:", "if True:")),
    "the decay lacks its half": in_model(
        ("self.weight_decay * l2(W)", "2 * self.weight_decay * l2(W)")
    ),
    "no masks": in_model(("training=bool(masks), masks=masks)", "training=False)")),
    "what is read has no activation": in_model((FOLLOWS, "elif False:")),
    "what is read is not dropped": in_model((FOLLOWS, UNDROPPED)),
    "the layers in another order": in_model(
        ("concatenate(*used, axis=1)", "concatenate(*used[::-1], axis=1)")
    ),
    "the noise has another deviation": in_model(
        ("self.input_noise * generator", "self.input_noise**2 * generator")
    ),
    "one noise for all images": in_model(
        ("generator.standard_normal(x.shape,", "generator.standard_normal((1, x.shape[1]),")
    ),
    "the noise is uniform": in_model(
        ("generator.standard_normal(x.shape,", "generator.random(x.shape,")
    ),
    "variances in the place of means": in_model((TAKEN, "[..., -p[name].shape[-1] :]")),
    "the softmax keeps its weights": in_model(("p.flat[...] = 0", "pass")),
    "the code is not taken over": in_model(
        ("in self.body.shapes:", "in [*self.body.shapes][: 2 * len(self.hidden)]:")
    ),
    "biases are not taken over": in_model(
        ("in self.body.shapes:", "in [n for n in self.body.shapes if n[0] == 'W']:")
    ),
    "the answers are not centred": in_model(("(raw - self.mean)", "raw")),
    "the answers' norm grows with their width": in_model((" * raw.shape[1] ** 0.5)", ")")),
    "what never changes is blown up": in_model(
        ("xp.maximum(std, least)", "xp.maximum(std, 1e-12)")
    ),
    "the features are those of clean images": in_model((SEEN, SEEN.replace("(noisy)", "(x)"))),
    "the noise is on the answers": in_model(
        (SEEN, SEEN.replace("(x,", "(self.features(x),").replace("self.features(noisy),", "noisy,"))
    ),
    # In a step on few labels.
    "the others have no disturbance": in_step(
        (
            "seen, masks = self.model.perturb(rows, generator)",
            "seen, masks = self.model.perturb(rows, generator); seen[self.batch_size :] = x",
        )
    ),
    "the labels are those of other images": in_step(
        ("x, seen, self.labels[index]", "x, seen, self.labels[index[::-1]]")
    ),
    "only the first half is drawn": in_step(
        ("dtype=xp.float64) * n)", "dtype=xp.float64) * (n // 2))")
    ),
    "the weight rises for ever": in_step(
        ("min(1.0, (step + 1) / self.ramp_up)", "(step + 1) / self.ramp_up")
    ),
    "the weight begins at 0": in_step(("(step + 1) / self.ramp_up", "step / self.ramp_up")),
    "disturbed images are named": in_step(
        (
            "self.model.probabilities(self.average, x)",
            "self.model.probabilities(self.average, seen[self.batch_size :])",
        )
    ),
    "the last parameters name the images": in_step(
        ("self.model.probabilities(self.average, x)", "self.model.probabilities(p, x)")
    ),
    "everybody is sure": in_step(("(q >= THRESHOLD)", "(q >= q.max(axis=1, keepdims=True))")),
    "own labels are probabilities": in_step(
        ("(q >= THRESHOLD).astype(x.dtype)", "q * (q >= THRESHOLD)")
    ),
    "predictions are not aligned": in_step((ALIGNED, "pass")),
    "as many labels of each class": in_step((ALIGNED, ALIGNED.replace("self._prior", "1"))),
    "aligned the other way round": in_step((ALIGNED, ALIGNED.replace("q * (", "q / ("))),
    "the frequencies stand still": in_step(("self.frequencies += ", "")),
    "one mean over all rows": in_step(
        (OF_LABELLED, "of_labelled = labels"), (OF_OTHERS, "of_others = pseudo_labels * weight")
    ),
    "the others' mean is over those it is sure of": in_step(
        (OF_OTHERS, OF_OTHERS.replace("len(x)", "max(1, pseudo_labels.sum())"))
    ),
    "the weight is forgotten": in_step((OF_OTHERS, OF_OTHERS.replace("weight * n", "n"))),
    "nothing is dropped": in_step(("seen, targets, masks, out", "seen, targets, (), out")),
    "the average stands still": in_step(("self._moving.update(p, self.optimizer.steps)", "None")),
    # In both derivations.
    "both: a sum over images": both(
        in_loss(lambda loss, z, t: loss(z, t) * t.shape[0]), in_pieces(OVER_N, LOSS_OVER_N)
    ),
    "both: rows of labels are rescaled": both(
        in_loss(lambda loss, z, t: loss(z, rescaled(t))), in_hand(NORMALISED)
    ),
    "both: the decay lacks its half": both(
        in_model(("self.weight_decay * l2(W)", "2 * self.weight_decay * l2(W)")),
        in_pieces(HALF, TWICE),
    ),
    "both: the biases decay": both(
        in_model(("if len(W.shape) == 2:", "if True:")), in_chain((DECAY, ON_ALL))
    ),
    "both: the layers in another order": both(
        in_model(("concatenate(*used, axis=1)", "concatenate(*used[::-1], axis=1)")),
        in_hand(*OTHER_ORDER),
    ),
}

# Which checks see a mistake, and which do not that one might think of.
TABLE = """
by hand: no row sums in delta                | differences_by_hand by_hand paper counting decay          | textbook zeros
by hand: softmax over the images             | differences_by_hand by_hand textbook zeros paper counting |
by hand: the largest logit of a class        | differences_by_hand by_hand textbook paper counting sure  | zeros
by hand: the log of clipped numbers          | sure                                                      | differences_by_hand by_hand textbook zeros paper
by hand: the softmax's part is forgotten     | differences_by_hand by_hand paper                         | textbook zeros
by hand: the last layer's part is forgotten  | differences_by_hand by_hand paper                         | textbook zeros
by hand: the parts in another order          | differences_by_hand by_hand                               | textbook zeros paper
by hand: the part goes round the activation  | differences_by_hand by_hand                               | textbook zeros paper
by hand: the layer above is forgotten        | differences_by_hand by_hand paper                         | textbook zeros
by hand: the softmax learns from layer L - 2 | differences_by_hand by_hand                               | textbook zeros paper
by hand: it reads sums                       | differences_by_hand by_hand textbook                      | zeros paper
by hand: no activation on the last layer     | by_hand textbook                                          | differences_by_hand zeros paper
by hand: no mask on the way back             | differences_by_hand by_hand                               | textbook zeros paper
by hand: no mask on the way                  | differences_by_hand by_hand textbook                      | zeros paper
by hand: no derivative                       | differences_by_hand by_hand                               | textbook zeros paper
by hand: a derivative on the code            | differences_by_hand by_hand                               | textbook zeros paper
by hand: no 1/n in the gradient              | differences_by_hand by_hand zeros counting                | textbook paper
by hand: a sum over images                   | by_hand textbook zeros counting                           | differences_by_hand paper
by hand: no biases                           | differences_by_hand by_hand textbook paper sure           | zeros
by hand: the biases' gradient is a mean      | differences_by_hand by_hand zeros counting                | textbook paper
by hand: the biases decay                    | differences_by_hand by_hand decay                         | textbook zeros paper
by hand: the biases decay, in the loss, too  | by_hand textbook decay                                    | differences_by_hand zeros paper
by hand: the decay lacks its half            | differences_by_hand by_hand textbook decay                | zeros paper
by hand: twice the decay                     | by_hand textbook decay                                    | differences_by_hand zeros paper
by hand: the softmax does not decay          | by_hand textbook decay                                    | differences_by_hand zeros paper
by hand: the layers in another order         | by_hand textbook paper                                    | differences_by_hand zeros
by hand: rows of labels are rescaled         | by_hand textbook paper counting                           | differences_by_hand zeros
the partial of l2 is twice what it is        | differences by_hand                                       | textbook paper
softmax over the images                      | by_hand textbook zeros paper counting sure taken frozen   | differences
a sum over images                            | by_hand textbook zeros counting taken frozen              | differences paper
rows of labels are rescaled                  | by_hand textbook counting                                 | differences paper
the biases decay                             | by_hand textbook decay                                    | differences paper
the decay lacks its half                     | by_hand textbook decay frozen                             | differences paper
no masks                                     | by_hand textbook read                                     | differences paper
what is read has no activation               | by_hand textbook read taken                               | differences paper
what is read is not dropped                  | by_hand textbook read                                     | differences paper
the layers in another order                  | by_hand textbook paper read taken                         | differences
the noise has another deviation              | noise frozen                                              | gradients
one noise for all images                     | noise frozen                                              | gradients
the noise is uniform                         | noise frozen                                              | gradients
variances in the place of means              | taken                                                     | gradients
the softmax keeps its weights                | taken                                                     | gradients
the code is not taken over                   | taken                                                     | gradients
biases are not taken over                    | taken                                                     | gradients
the answers are not centred                  | frozen                                                    | gradients
the answers' norm grows with their width     | frozen                                                    | gradients
what never changes is blown up               | frozen                                                    | gradients
the features are those of clean images       | frozen                                                    | gradients
the noise is on the answers                  | frozen                                                    | gradients
the others have no disturbance               | rows named                                                | gradients alike
the labels are those of other images         | rows                                                      | gradients alike
only the first half is drawn                 | rows                                                      | gradients alike
the weight rises for ever                    | rows                                                      | gradients alike
the weight begins at 0                       | rows named                                                | gradients alike
disturbed images are named                   | step named                                                | gradients alike
the last parameters name the images          | step named                                                | gradients alike
everybody is sure                            | step named                                                | gradients alike
own labels are probabilities                 | step named                                                | gradients alike
predictions are not aligned                  | aligned                                                   | gradients alike
as many labels of each class                 | aligned                                                   | gradients alike
aligned the other way round                  | aligned                                                   | gradients alike
the frequencies stand still                  | aligned                                                   | gradients alike
one mean over all rows                       | step named                                                | gradients alike
the others' mean is over those it is sure of | step named                                                | gradients alike
the weight is forgotten                      | step                                                      | gradients alike
nothing is dropped                           | step named                                                | gradients alike
the average stands still                     | average                                                   | gradients alike
both: a sum over images                      | textbook zeros counting taken frozen                      | gradients alike
both: rows of labels are rescaled            | textbook paper counting                                   | gradients alike
both: the decay lacks its half               | textbook decay frozen                                     | gradients alike
both: the biases decay                       | textbook decay                                            | gradients alike
both: the layers in another order            | textbook paper read taken                                 | gradients alike
"""  # noqa: E501
ROWS = rows_of(TABLE)
(
    test_all_checks_pass_without_a_mistake,
    test_who_sees_a_mistake,
    test_each_mistake_is_in_the_table_and_seen,
) = table_tests(ROWS, MUTANTS, CHECKS)


def test_each_check_sees_something() -> None:
    """What sees nothing is no check; `gradients` and `alike` are there for what they do not see."""
    seeing = {name for _, names, _ in ROWS for name in names.split()}
    assert seeing == {check.__name__ for check in CHECKS} - {"gradients", "alike"}
