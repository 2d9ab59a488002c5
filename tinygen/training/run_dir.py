"""What a run leaves in its folder: a line per epoch, a summary, a checkpoint, and the pictures."""

from __future__ import annotations

import atexit
import json
import os
import platform
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

import tinygen
from tinygen.backend import Backend
from tinygen.data import Dataset
from tinygen.data.batches import background
from tinygen.errors import InputError
from tinygen.files import write_text
from tinygen.models.encoder_decoder import RECONSTRUCTIONS
from tinygen.training import checkpoint
from tinygen.training.progress import warn

EXPERIMENTS = {
    "encoder_classifier": ("cells/*",),
    "encoder_generator": ("encoder", "generator", "adversarial"),
    "gan_seeds": ("seed-*",),
}
"""The experiments of many training runs, with the folders in which these leave checkpoints."""

_claimed: dict[Path, tuple[FileLock, list[Path]]] = {}
"""The folders claimed by this process: their locks, and the paths created for them."""


class RunDir:
    """The folder of a run; nothing is written before `open`.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     run_dir = RunDir(Path(folder, "run"))
    ...     run_dir.open()
    ...     run_dir.write_history([{"epoch": 1, "test_mse": 0.05}])
    ...     run_dir.write_summary(test={"mse": 0.05})
    ...     print(sorted(path.name for path in run_dir.folder.iterdir()))
    ['metrics.jsonl', 'summary.json']
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self) -> None:
        """Create the folder if it is not there.

        Raises:
            InputError: the folder cannot be created or written into.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=self.folder):
                pass
        except OSError as error:
            raise InputError(
                f"{self.folder}: cannot be written into ({error.strerror or error})"
            ) from None

    def claim(self, task: str) -> None:
        """Open the folder for one task, and keep other processes out until `release_claims`.

        The system releases the lock when this process dies, however it dies. A run may claim again
        a folder that its own process holds.

        Raises:
            InputError: the folder cannot be written into, another process is writing into it, or it
                holds a run of another task.
        """
        made = [path for path in (self.folder, *self.folder.parents) if not os.path.exists(path)]
        self.open()
        if (folder := self.folder.resolve()) not in _claimed:
            lock = FileLock(folder / ".lock", thread_local=False)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                raise InputError(
                    f"another run is writing into {self.folder}; choose another --out, or wait"
                ) from None
            except OSError as error:  # as on some network drives
                warn(
                    f"warning: {self.folder} cannot be locked ({error.strerror or error}); "
                    "do not start a second run there"
                )
            _claimed[folder] = lock, made
            self.sweep()
        there = {self._task_of_summary()} | {
            other
            for other, folders in EXPERIMENTS.items()
            if any(any(self.folder.glob(f"{name}/checkpoint.npz")) for name in folders)
        }
        if others := there - {task, None}:
            raise InputError(f"{self.folder} holds a run of {others.pop()}; choose another --out")

    def sweep(self) -> None:
        """Remove what a killed process left unfinished; no other process may be writing here."""
        for left in self.folder.glob(".*.unfinished"):
            with suppress(OSError):
                left.unlink()

    def _task_of_summary(self) -> str | None:
        """The task of the finished run in the folder, as far as one can tell."""
        with suppress(OSError, ValueError, AttributeError):
            task = json.loads(self.summary.read_bytes()).get("task")
            return task if isinstance(task, str) else None
        return None

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.npz"

    @property
    def summary(self) -> Path:
        return self.folder / "summary.json"

    @property
    def holds(self) -> str:
        """What a new run would replace: "a finished run", "an unfinished run", or ""."""
        if self.summary.exists():
            return "a finished run"
        return "an unfinished run" if self.checkpoint.exists() else ""

    def refuse_earlier(self) -> None:
        """A new run replaces no other unasked, least of all one that could still continue.

        Raises:
            InputError: there is one.
        """
        if self.holds:
            raise self._earlier(self.holds)

    def refuse_experiment(self, resume: bool, restart: bool, trainings: Iterable[Path]) -> None:
        """An experiment of many training runs resumes only where there is one, and overwrites none.

        Args:
            resume, restart: whether the user said so.
            trainings: paths in the folder, one of which exists as soon as a run has begun.

        Raises:
            InputError: the folder is that of a single run; there is nothing to resume; or there is
                an earlier experiment.
        """
        if self.checkpoint.exists():
            raise InputError(f"{self.folder} holds another run; choose another --out")
        begun = any(path.exists() for path in trainings)
        if resume and not begun:
            raise self._nothing_to_resume()
        if (holds := self.holds or "an unfinished run" * begun) and not (resume or restart):
            raise self._earlier(holds)

    def forget_summary(self) -> None:
        """A new run begins: the folder no longer holds a complete one."""
        self.summary.unlink(missing_ok=True)

    def write_history(self, rows: Sequence[dict[str, Any]]) -> None:
        """``metrics.jsonl``: one line per epoch, written as a whole so that no line is cut off."""
        text = "".join(json.dumps(row) + "\n" for row in rows)
        write_text(self.folder / "metrics.jsonl", text)

    def write_summary(self, **entries: Any) -> None:
        """``summary.json``; its presence means that the run is complete."""
        write_text(self.summary, json.dumps(entries, indent=2) + "\n")

    def saved_configuration(self) -> dict[str, Any]:
        """The configuration in the run's checkpoint.

        Raises:
            InputError: there is no checkpoint, or it is damaged.
        """
        try:
            there = self.checkpoint.exists()
        except OSError as error:
            raise InputError(f"{self.folder}: {error.strerror or error}") from None
        if not there:
            raise self._nothing_to_resume()
        config = checkpoint.read_meta(self.checkpoint).get("config")
        if not isinstance(config, dict):
            raise checkpoint.damaged(self.checkpoint, "it has no configuration")
        if config.get("loss") in RECONSTRUCTIONS:  # what --reconstruction was once called
            config["reconstruction"] = config.pop("loss")
        return config

    def saved_data(self) -> dict[str, Any]:
        """What the run's checkpoint records about its data, as returned by `about`."""
        data = checkpoint.read_meta(self.checkpoint).get("data")
        return data if isinstance(data, dict) else {}

    def _earlier(self, holds: str) -> InputError:
        go_on = "--resume to go on with it, " * (holds == "an unfinished run")
        return InputError(
            f"{self.folder} holds {holds}; add {go_on}--restart to begin anew, or choose another "
            "--out"
        )

    def _nothing_to_resume(self) -> InputError:
        return InputError(
            f"there is no checkpoint in {self.folder} to resume from; start without --resume"
        )


@atexit.register
def release_claims() -> None:
    """Release the folders that were claimed; those in which nothing was left are removed.

    `command_line.run` calls it at the end of a run, and Python at the end of a script.
    """
    while _claimed:
        _, (lock, made) = _claimed.popitem()
        with suppress(OSError):  # Windows removes it with the lock
            Path(lock.lock_file).unlink()
        lock.release()
        for path in made:
            with suppress(OSError):  # it is not empty
                path.rmdir()


def about(dataset: Dataset) -> dict[str, Any]:
    """What a run records about its data."""
    images = dataset.train_images
    floats = images.dtype.kind == "f"
    return {
        "name": dataset.name,
        "source": dataset.source,
        "sha256": dataset.sha256,
        "train": len(images),
        # Images given alone to `tinygen.fit` stand in for test images, but do not count as such.
        "test": 0 if dataset.test_images is images else len(dataset.test_images),
        "shape": list(images.shape[1:]),
        "preprocessing": "none" if floats else "uint8 / 255",
        "range": [float(images.min()), float(images.max())] if floats else None,
        "background": None if images.ndim == 2 else round(background(images), 3),
    }


def versions(backend: Backend) -> dict[str, str]:
    """The versions that the figures of a run depend on, besides its configuration."""
    return {
        "tinygen": tinygen.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "backend": backend.describe(),
        "machine": f"{platform.system()} {platform.machine()}",
    }
