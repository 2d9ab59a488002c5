"""Diagnoses of adversarial training that is stuck, each with what to try."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

SURE = 0.98
"""D is called perfect if its accuracy reaches this on real images and on fake ones."""
FAINT, NOTHING = 0.01, 1e-6
"""G's gradient has vanished below this fraction of its largest epoch mean, or below this norm."""
FELL = 0.7
"""The generator has collapsed if coverage is below this fraction of its best."""
ENOUGH = 0.05
"""The fraction of good samples from which coverage means something: how many modes a few of them
hit is luck."""
PATIENCE = 3
"""The generator is stuck if it covers less than half for this many epochs in a row."""


def diagnoses(
    history: Sequence[dict[str, Any]], covered: str, total: int, critic: bool = False
) -> dict[str, str]:
    """What is wrong after the last epoch of a history, by a short name, and what to try.

    Args:
        history: rows with ``real_accuracy``, ``fake_accuracy``, ``train_generator_norm``; and
            with ``good_samples`` where samples may be bad, that is, cover nothing.
        covered: the key of the number covered, such as "digits_covered".
        total: how many there are to cover.
        critic: whether the discriminator is a critic, which does no harm when it is sure.
    """
    now, diagnosed = history[-1], {}
    most = max((row[covered] for row in history if row.get("good_samples", 1) >= ENOUGH), default=0)
    last = [row[covered] for row in history[-PATIENCE:]]
    if now[covered] < FELL * most:
        diagnosed["collapse"] = (
            f"coverage fell from {most:.0f} to {now[covered]:.0f}: the generator is collapsing; "
            "try --loss r1 or wasserstein-gp, --pack 2, a larger --penalty, or a lower --lr"
        )
    elif len(last) == PATIENCE and max(last) < total / 2:
        diagnosed["stuck"] = (
            f"for {PATIENCE} epochs at most {max(last):.0f} of {total} were covered; "
            "try --loss r1, another --penalty, another --lr, or wider networks"
        )
    largest = max(row["train_generator_norm"] for row in history)
    if now["train_generator_norm"] < max(FAINT * largest, NOTHING):
        diagnosed["vanished"] = (
            "the generator's gradient has vanished; "
            "try --loss non-saturating or r1, or a lower --lr with a higher --generator-lr"
        )
    elif not critic and min(now["real_accuracy"], now["fake_accuracy"]) >= SURE:
        diagnosed["perfect"] = (
            "the discriminator tells all fake images from real ones, so the generator learns "
            "little; try --loss r1 with a larger --penalty, --dropout 0.3, or a smaller "
            "discriminator"
        )
    return diagnosed


def new_diagnoses(
    history: Sequence[dict[str, Any]], covered: str, total: int, critic: bool = False
) -> list[str]:
    """The diagnoses that did not hold one epoch earlier, so that each is reported once."""
    before = diagnoses(history[:-1], covered, total, critic) if len(history) > 1 else {}
    now = diagnoses(history, covered, total, critic)
    return [text for name, text in now.items() if name not in before]
