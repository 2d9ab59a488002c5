"""Files that are written: where there is no folder yet, and where one cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tinygen as tg
from tinygen.data import idx
from tinygen.files import named_with, refuse_existing, write_text

X = np.zeros((4, 2, 2), np.uint8)
WRITERS = {
    "a.txt": lambda path: write_text(path, "text"),
    "a.html": lambda path: tg.trace(lambda p: (p * p).sum(), np.ones(2)).save(path),
    "a.png": lambda path: tg.plots.sheet(X.reshape(4, 4), (2, 2), 2, path=path),
    "a-idx3-ubyte": lambda path: idx.write(path, X),
    "a.npz": lambda path: tg.save(path, MODEL, MODEL.initialise(0)),
}
MODEL = tg.VAE(4, (3,), 2)


@pytest.mark.parametrize("name", WRITERS)
def test_missing_folders_are_made_whatever_is_written(name: str, tmp_path: Path) -> None:
    for _ in range(2):  # a function replaces what is there
        WRITERS[name](tmp_path / "new" / "folder" / name)
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == [name]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("dear")
    with pytest.raises(NotADirectoryError) as refused:
        write_text(tmp_path / "file" / "a.txt", "text")
    assert refused.value.filename == str(tmp_path / "file" / "a.txt")
    assert (tmp_path / "file").read_text() == "dear"


def test_names_and_files_that_are_refused(tmp_path: Path) -> None:
    assert named_with("a/b.PNG", ".png", ".npz") == Path("a/b.PNG")
    for name in ("a.txt", "a", "", "html", ".html"):
        with pytest.raises(tg.InputError, match=r"expected a name that ends in \.html$"):
            named_with(name, ".html")
    refuse_existing(tmp_path / "a.txt")
    (tmp_path / "a.txt").touch()
    with pytest.raises(tg.InputError, match=r"a\.txt exists already; --overwrite replaces it"):
        refuse_existing(tmp_path / "a.txt")
