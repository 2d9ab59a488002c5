"""Where a run is, on its way to a checkpoint and back."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeGuard

import numpy as np

from tinygen.backend import Array, Backend
from tinygen.backend.fused import fused
from tinygen.backend.writes import WRITES
from tinygen.errors import InputError
from tinygen.models.serialization import describe, from_description
from tinygen.parameters import Shapes
from tinygen.training import checkpoint
from tinygen.training.learners.learner import Learner


@dataclass
class State:
    """Where a run is: all that changes while training, besides what the learner owns.

    Attributes:
        step: how many steps were taken.
        totals: for each figure of this epoch's steps, the sum over their images, 0-d, and the
            number of these images.
        history: one row for each finished epoch.
        seconds: training time before this process, for a run that was resumed.
    """

    step: int = 0
    totals: dict[str, tuple[Any, int]] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, figures: dict[str, Any], images: int) -> None:
        """Add the figures of a step on so many images, 0-d arrays, to the epoch's means."""
        for name, figure in figures.items():
            total, seen = self.totals.get(name, (0.0, 0))
            self.totals[name] = _added(figure, images, total), seen + images

    def means(self) -> dict[str, float]:
        """The epoch's means as they go into its row; it waits for a GPU."""
        return {f"train_{name}": float(x) / seen for name, (x, seen) in self.totals.items()}

    def save(
        self,
        path: Path,
        learner: Learner,
        backend: Backend,
        config: Mapping[str, Any],
        about: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Write a checkpoint of a learner and this state; the previous one stays until it is done.

        Args:
            config: the only one with which the run can be resumed.
            about: what else its description says, for those who `load` it.
        """
        host = {name: backend.to_numpy(array) for name, array in learner.vectors.items()}
        meta = {
            "config": config,
            "shapes": learner.parameters.shapes,
            "step": self.step,
            "totals": {name: [float(x), seen] for name, (x, seen) in self.totals.items()},
            "history": self.history,
            "seconds": self.seconds,
            "dtype": str(learner.parameters.flat.dtype),
            "averaged": learner.averaged,
            **about,
        }
        checkpoint.save(path, host, meta)

    def restore(self, path: Path, learner: Learner, backend: Backend) -> None:
        """Put a learner and this state back to where the checkpoint was saved.

        Raises:
            InputError: it is damaged, or of another model; then nothing has changed.
        """
        meta = checkpoint.read_meta(path)
        _refuse_other_shapes(meta.get("shapes"), learner.parameters.shapes, path)
        if meta.get("model") is not None:  # else the model is of no kind that can be described
            _refuse_other_model(meta["model"], learner.model, path)
        arrays, _ = checkpoint.load(path, learner.vectors)
        scalar = learner.parameters.flat.dtype.type
        _refuse_nonsense(meta, float(np.finfo(scalar).max), path)
        if not all(np.isfinite(array).all() for array in arrays.values()):
            raise checkpoint.damaged(path, "it holds NaN or infinity")
        for name, vector in learner.vectors.items():
            vector[...] = backend.asarray(arrays[name])
            WRITES.note(vector)
        self.step = learner.steps = meta["step"]
        # The sums were written as floats, which hold a float32 exactly.
        self.totals = {name: (scalar(x), seen) for name, (x, seen) in meta["totals"].items()}
        self.history, self.seconds = meta["history"], float(meta["seconds"])


def _refuse_other_shapes(saved: Any, expected: Shapes, path: Path) -> None:
    """The same numbers in another layout would be another network."""
    there = [f"{k} {shape}" for k, shape in saved.items()] if isinstance(saved, dict) else []
    wanted = [f"{k} {list(shape)}" for k, shape in expected.items()]
    for was, now in zip_longest(there, wanted, fillvalue="nothing"):
        if was != now:
            raise InputError(
                f"{path}: the checkpoint is of another architecture: "
                f"it has {was[:200]}, expected {now}"
            )


def _refuse_other_model(saved: Any, model: Any, path: Path) -> None:
    """Networks of the same shapes can differ in what shapes do not show, such as the activation."""
    was, now = describe(from_description(saved)), describe(model)
    if was != now:
        there, here = ({"kind": d["kind"], **d["options"]} if d else {} for d in (was, now))
        differ = [f"{k} was {x}, is {here.get(k)}" for k, x in there.items() if here.get(k) != x]
        raise InputError(f"{path}: the checkpoint is of another model ({'; '.join(differ)})")


def _refuse_nonsense(meta: Mapping[str, Any], largest: float, path: Path) -> None:
    """The entries that `State.restore` takes must be such as `State.save` could have written.

    Args:
        largest: the largest number of the parameters' dtype.
    """
    step, totals, history = (meta.get(key) for key in ("step", "totals", "history"))
    if not (
        type(step) is int
        and 0 <= step < 2**53
        and _is_number(meta.get("seconds"))
        and isinstance(totals, dict)
        and all(_is_total(total, largest) for total in totals.values())
        and isinstance(history, list)
        and all(_is_row(row, epoch) for epoch, row in enumerate(history, 1))
    ):
        raise checkpoint.damaged(path, "its description makes no sense")


def _is_row(row: Any, epoch: int) -> bool:
    """Whether this can be the row that the trainer wrote after that epoch."""
    return (
        isinstance(row, dict)
        and row.get("epoch") == epoch
        and {"step", "rate", "seconds"} <= set(row)
        and all(_is_number(x) for x in row.values())
    )


def _is_total(total: Any, largest: float) -> bool:
    """Whether this can be a figure's sum and its number of images."""
    return (
        isinstance(total, list)
        and len(total) == 2
        and _is_number(total[0], largest)
        and type(total[1]) is int
        and 0 < total[1] < 2**53
    )


def _is_number(x: Any, most: float = sys.float_info.max) -> TypeGuard[float]:
    """Whether it is a number, neither NaN nor infinite (nor a bool)."""
    return type(x) in (int, float) and abs(x) <= most


@fused
def _added(figure: Array, images: int, total: Array | float) -> Array:
    return total + figure * images
