"""All that changes while training, on its way to a checkpoint and back."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from tinygen.backend import Backend
from tinygen.errors import InputError
from tinygen.optim import Optimizer
from tinygen.parameters import Parameters, Shapes
from tinygen.training import checkpoint
from tinygen.training.record import Record


@dataclass
class State:
    """All that changes while training.

    Attributes:
        parameters: of the model.
        optimizer: with its moments.
        step: how many updates were made.
        total: the sum of the losses of this epoch's batches, each times its images; 0-d.
        history: one row for each finished epoch.
        seconds: training time before this process, for a run that was resumed.
    """

    parameters: Parameters
    optimizer: Optimizer
    step: int = 0
    total: Any = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0

    def save(self, record: Record, backend: Backend, config: dict[str, Any]) -> None:
        """Write a checkpoint of everything; the one before survives until it is complete."""
        arrays = {"parameters": self.parameters.flat, **self.optimizer.state}
        host = {name: backend.to_numpy(array) for name, array in arrays.items()}
        meta = {
            "config": config,
            "shapes": self.parameters.shapes,
            "step": self.step,
            "total": float(self.total),
            "history": self.history,
            "seconds": self.seconds,
        }
        checkpoint.save(record.checkpoint, host, meta)

    def restore(self, record: Record, backend: Backend) -> None:
        """Go back to what the checkpoint says; if it is refused, nothing has changed.

        Raises:
            InputError: it is damaged, or of another architecture.
        """
        path = record.checkpoint
        meta = checkpoint.read_meta(path)
        _refuse_other_shapes(meta.get("shapes"), self.parameters.shapes, path)
        vectors = {"parameters": self.parameters.flat, **self.optimizer.state}
        arrays, _ = checkpoint.load(path, vectors)
        scalar = self.parameters.flat.dtype.type
        largest = float(np.finfo(scalar).max)
        step, total, seconds = (meta.get(key) for key in ("step", "total", "seconds"))
        history = meta.get("history")
        if not (
            type(step) is int
            and 0 <= step < 2**53
            and _is_number(seconds)
            and _is_number(total, largest)
            and isinstance(history, list)
            and all(_is_row(row, epoch) for epoch, row in enumerate(history, 1))
        ):
            raise checkpoint.damaged(path, "its description makes no sense")
        if not all(np.isfinite(array).all() for array in arrays.values()):
            raise checkpoint.damaged(path, "it holds NaN or infinity")
        for name, vector in vectors.items():
            vector[...] = backend.asarray(arrays[name])
        self.parameters.version += 1
        self.step = self.optimizer.steps = step
        self.total = scalar(total)  # written as a float, which holds a float32 exactly
        self.history, self.seconds = history, float(seconds)


def _refuse_other_shapes(saved: Any, expected: Shapes, path: Path) -> None:
    """The same numbers in another layout would be another network."""
    found = [f"{k} {shape}" for k, shape in saved.items()] if isinstance(saved, dict) else []
    wanted = [f"{k} {list(shape)}" for k, shape in expected.items()]
    for was, now in zip_longest(found, wanted, fillvalue="nothing"):
        if was != now:
            raise InputError(
                f"{path}: the checkpoint is of another architecture: "
                f"it has {was[:200]}, expected {now}"
            )


def _is_row(row: Any, epoch: int) -> bool:
    """Whether it can be the row that `fit` wrote after that epoch."""
    return (
        isinstance(row, dict)
        and row.get("epoch") == epoch
        and {"step", "train_loss", "rate", "seconds"} <= set(row)
        and all(_is_number(x) for x in row.values())
    )


def _is_number(x: Any, most: float = sys.float_info.max) -> TypeGuard[float]:
    """Whether it is a number, neither NaN nor infinite (nor a bool)."""
    return type(x) in (int, float) and abs(x) <= most
