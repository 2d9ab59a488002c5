"""Checkpoint files with whatever somebody may have put in them."""

from __future__ import annotations

import io
import zipfile

import numpy as np


def forged(path, entries, compression=zipfile.ZIP_STORED):
    """A zip file with whatever somebody wants in it."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def npy(array, **options):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, **options)
    return file.getvalue()
