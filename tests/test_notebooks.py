"""The notebooks: clean sources, and they run from top to bottom within a minute."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
SECONDS = 60
"""Of the processor, which do not depend on what else a machine is doing."""

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells(path: Path, kind: str) -> Iterator[str]:
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == kind:
            yield "".join(cell["source"])


def unclean(notebook: dict[str, Any]) -> list[str]:
    """What a diff of a notebook's text should not show."""
    wrong = [
        f"metadata {name}" for name in {*notebook["metadata"]} - {"kernelspec", "language_info"}
    ]
    if {*notebook["metadata"].get("language_info", {})} - {"name"}:
        wrong.append("the version of Python")
    for cell in notebook["cells"]:
        wrong += [f"metadata {name} of {cell['id']}" for name in {*cell["metadata"]} - {"tags"}]
        wrong += [f"outputs of {cell['id']}"] if cell.get("outputs") else []
        wrong += [f"the count of {cell['id']}"] if cell.get("execution_count") else []
    return wrong


@each
def test_a_notebook_has_no_outputs_and_no_other_metadata(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    notebook = json.loads(text)
    assert unclean(notebook) == []
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    names = [cell["id"] for cell in notebook["cells"]]
    assert len(names) == len({*names})
    assert text == json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"  # as Jupyter writes it


def test_what_is_not_clean_is_seen() -> None:
    clean = {"cell_type": "code", "id": "a", "metadata": {}, "outputs": [], "execution_count": None}
    assert unclean({"metadata": {"language_info": {"name": "python"}}, "cells": [clean]}) == []
    assert unclean({"metadata": {"language_info": {"version": "3.11"}}, "cells": []})
    assert unclean({"metadata": {"widgets": {}}, "cells": []})
    for more in ({"outputs": ["x"]}, {"execution_count": 1}, {"metadata": {"collapsed": True}}):
        assert len(unclean({"metadata": {}, "cells": [clean | more]})) == 1


@each
def test_it_says_how_tinygen_is_installed_where_it_is_not(path: Path) -> None:
    first = next(cells(path, "code"))
    assert '\n# %pip install -q "tinygen[fast]"\n' in first


@each
def test_cells_are_short(path: Path) -> None:
    assert max(code.count("\n") + 1 for code in cells(path, "code")) <= 20


@each
def test_links_lead_to_files_and_headings(path: Path) -> None:
    for text in cells(path, "markdown"):
        for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", text):
            if "://" not in target:
                file = path.parent / target
                assert file.exists(), target
                if anchor:
                    headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.M)
                    anchors = [re.sub(r"[^\w\- ]", "", h.lower()) for h in headings]
                    assert anchor in [a.replace(" ", "-") for a in anchors], anchor


def test_the_list_has_all_of_them() -> None:
    listed = re.findall(r"\(([^)]*\.ipynb)\)", (FOLDER / "README.md").read_text(encoding="utf-8"))
    assert listed == [path.name for path in NOTEBOOKS]


@pytest.mark.slow
@each
def test_it_runs_within_a_minute(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    notebook = nbformat.read(path, as_version=4)
    time = nbformat.v4.new_code_cell("import time\nprint(time.process_time())")
    notebook.cells.append(time)
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=1200, resources=resources).execute()
    assert float(time.outputs[0]["text"]) < SECONDS
    errors = [
        o["text"]
        for cell in notebook.cells
        for o in cell.get("outputs", [])
        if o.get("name") == "stderr"
    ]
    assert "Warning" not in "".join(errors)
