"""A zip of texts, the same bytes for the same texts."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

from tinygen.files import replacing


def write_zip(path: Path, texts: Mapping[str, str]) -> None:
    """Write files into a zip; only their owner can read them, and run those beginning with #!."""
    with replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in sorted(texts.items()):
            member = zipfile.ZipInfo(name)  # of 1980
            member.compress_type = zipfile.ZIP_DEFLATED
            member.external_attr = (0o100700 if text.startswith("#!") else 0o100600) << 16
            archive.writestr(member, text)
