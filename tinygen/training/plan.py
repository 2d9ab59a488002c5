"""How a run trains, and for how long: what is decided before it begins and never changes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from tinygen.optim import Schedule


@dataclass(frozen=True)
class Plan:
    """How to train, and for how long.

    Attributes:
        epochs, batch_size, seed: as on the command line.
        show_every: steps between two looks at the loss, the only times when Python waits for a GPU.
        schedule: the learning rate of each step.
        config: written into the checkpoint; a run can only be resumed with the same.
        drop_last: whether an epoch leaves out its last images if they do not fill a batch.
        data: what the checkpoint says of the images.

    >>> from tinygen import optim
    >>> rate = optim.constant(0.1)
    >>> plan = Plan(10, batch_size=32, seed=0, show_every=50, schedule=rate, config={})
    >>> plan.steps(100)  # of 32, 32, 32 and 4 images
    4
    >>> [epoch for epoch in range(1, 11) if plan.has_frame(epoch, most=5)]
    [2, 4, 6, 8, 10]
    """

    epochs: int
    batch_size: int
    seed: int
    show_every: int
    schedule: Schedule
    config: dict[str, Any]
    drop_last: bool = False
    data: dict[str, Any] = field(default_factory=dict)

    def steps(self, n: int) -> int:
        """Steps of an epoch over n images."""
        return n // self.batch_size if self.drop_last else math.ceil(n / self.batch_size)

    def batches(self) -> dict[str, Any]:
        """What decides which images and noise a step gets, and so must not change on resuming."""
        return {
            "batch_size": int(self.batch_size),
            "seed": int(self.seed),
            "drop_last": bool(self.drop_last),
        }

    def has_frame(self, epoch: int, most: int) -> bool:
        """Whether an epoch, counted from 1, has a frame in a film of at most so many."""
        frames = min(most, self.epochs)
        return frames * epoch // self.epochs > frames * (epoch - 1) // self.epochs
