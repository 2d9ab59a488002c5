"""Says out loud when two players are stuck, and what to try."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

SURE = 0.98
"""D's accuracy on real images and on fake ones from which on it is called perfect."""
FAINT = 0.01
"""Of its largest epoch's mean, the norm of G's gradient below which it is called vanished."""
FELL = 0.7
"""Of the most that were covered, the share below which coverage has fallen."""


def troubles(history: Sequence[dict[str, Any]], covered: str, critic: bool) -> dict[str, str]:
    """What is wrong after the last epoch of a history, by a short name, with what to try.

    Args:
        history: rows with ``real_accuracy``, ``fake_accuracy``, ``train_generator_norm``.
        covered: the key of what is to be covered, such as "digits_covered".
        critic: the discriminator is a critic, which does no harm when it is sure.
    """
    now, found = history[-1], {}
    most = max(row[covered] for row in history)
    if now[covered] < FELL * most:
        found["collapse"] = (
            f"coverage fell from {most:.0f} to {now[covered]:.0f}: the generator is collapsing; "
            "try --loss r1 or wasserstein-gp, --pack 2, a larger --penalty, or a lower --lr"
        )
    sure = not critic and min(now["real_accuracy"], now["fake_accuracy"]) >= SURE
    largest = max(row["train_generator_norm"] for row in history)
    if sure and now["train_generator_norm"] < FAINT * largest:
        found["vanished"] = (
            "the discriminator is sure of every image, and the generator's gradient has vanished; "
            "try --loss non-saturating or r1, or a lower --lr with a higher --generator-lr"
        )
    elif sure:
        found["perfect"] = (
            "the discriminator tells all fake images from real ones, so the generator learns "
            "little; try --loss r1 with a larger --penalty, --dropout 0.3, or a smaller "
            "--discriminator-hidden"
        )
    return found


def new_troubles(
    history: Sequence[dict[str, Any]], covered: str, critic: bool = False
) -> list[str]:
    """Those that were not there one epoch before, so that each is said once."""
    before = troubles(history[:-1], covered, critic) if len(history) > 1 else {}
    now = troubles(history, covered, critic)
    return [text for name, text in now.items() if name not in before]
