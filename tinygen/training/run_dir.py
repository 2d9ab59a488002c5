"""What a run leaves in its folder: a line an epoch, a summary, a checkpoint, and the pictures."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np

import tinygen
from tinygen.backend import Backend
from tinygen.data import Dataset
from tinygen.errors import InputError
from tinygen.files import write_text
from tinygen.models.encoder_decoder import RECONSTRUCTIONS
from tinygen.training import checkpoint


class RunDir:
    """The folder of a run; nothing is written before `open`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self) -> None:
        """Make the folder if it is not there.

        Raises:
            InputError: the folder cannot be created or written into.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=self.folder):
                pass
            for left in self.folder.glob(".*.unfinished"):  # by a process that was killed
                left.unlink()
        except OSError as error:
            raise InputError(
                f"--out {self.folder}: cannot be written into ({error.strerror or error})"
            ) from None

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.npz"

    @property
    def summary(self) -> Path:
        return self.folder / "summary.json"

    def refuse_unfinished(self) -> None:
        """A new run must not overwrite one that could still go on.

        Raises:
            InputError: there is a checkpoint without a summary.
        """
        if self.checkpoint.exists() and not self.summary.exists():
            raise self._unfinished()

    def refuse_experiment(self, resume: bool, restart: bool, trainings: Iterable[Path]) -> None:
        """An experiment of many trainings goes on only where there is one, and overwrites none.

        Args:
            resume, restart: whether the user said so.
            trainings: paths in the folder, one of which exists as soon as a training has begun.

        Raises:
            InputError: the folder is that of a single run; there is nothing to resume; or there are
                trainings that could still go on.
        """
        if self.checkpoint.exists():
            raise InputError(f"{self.folder} holds another run; choose another --out")
        begun = any(path.exists() for path in trainings)
        if resume and not begun:
            raise self._nothing_to_resume()
        if begun and not (resume or restart or self.summary.exists()):
            raise self._unfinished()

    def forget_summary(self) -> None:
        """A new run begins: the folder no longer holds a complete one."""
        self.summary.unlink(missing_ok=True)

    def write_history(self, rows: Sequence[dict[str, Any]]) -> None:
        """``metrics.jsonl``: one line an epoch, written whole so that none is ever half."""
        text = "".join(json.dumps(row) + "\n" for row in rows)
        write_text(self.folder / "metrics.jsonl", text)

    def write_summary(self, **entries: Any) -> None:
        """``summary.json``; its presence says that the run is complete."""
        write_text(self.summary, json.dumps(entries, indent=2) + "\n")

    def saved_configuration(self) -> dict[str, Any]:
        """The configuration in the run's checkpoint.

        Raises:
            InputError: there is no checkpoint, or it is damaged.
        """
        try:
            there = self.checkpoint.exists()
        except OSError as error:
            raise InputError(f"--out {self.folder}: {error.strerror or error}") from None
        if not there:
            raise self._nothing_to_resume()
        config = checkpoint.read_meta(self.checkpoint).get("config")
        if not isinstance(config, dict):
            raise checkpoint.damaged(self.checkpoint, "it has no configuration")
        if config.get("loss") in RECONSTRUCTIONS:  # what --reconstruction was once called
            config["reconstruction"] = config.pop("loss")
        return config

    def _unfinished(self) -> InputError:
        return InputError(
            f"{self.folder} holds an unfinished run; add --resume to go on with it, "
            "--restart to begin anew, or choose another --out"
        )

    def _nothing_to_resume(self) -> InputError:
        return InputError(
            f"there is no checkpoint in {self.folder} to resume from; start without --resume"
        )


def about(dataset: Dataset) -> dict[str, Any]:
    """What a run records of its data."""
    images = dataset.train_images
    return {
        "name": dataset.name,
        "source": dataset.source,
        "sha256": dataset.sha256,
        "train": len(images),
        "test": len(dataset.test_images),
        "shape": list(images.shape[1:]),
        "preprocessing": "none" if images.dtype.kind == "f" else "uint8 / 255",
    }


def versions(backend: Backend) -> dict[str, str]:
    """What the figures of a run depend on, besides its configuration."""
    return {
        "tinygen": tinygen.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "backend": backend.describe(),
        "machine": f"{platform.system()} {platform.machine()}",
    }
