"""Above each notebook: where one can open it, and how to run it.

The sources do not know the address of their repository. In GitHub's Actions it is in the
environment, and pages then link to Colab and Binder; elsewhere they offer the file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from copy import copy
from pathlib import Path
from typing import Any

from docutils import nodes
from myst_nb.core import render
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform


class Open(SphinxTransform):
    """Puts the links under the title."""

    default_priority = 400

    def apply(self, **_: Any) -> None:
        path = Path(self.env.doc2path(self.env.docname))
        if path.suffix != ".ipynb":
            return
        title = next(iter(self.document.findall(nodes.title)))
        line = nodes.paragraph("", "", classes=["open-notebook"])
        for name, address in services(self.env.docname, os.environ).items():
            line += [nodes.reference("", f"Open in {name}", refuri=address), nodes.Text(" · ")]
        line += addnodes.download_reference(
            "", "", nodes.Text("Download"), reftarget=path.name, refdoc=self.env.docname
        )
        line += [
            nodes.Text(", then "),
            nodes.literal("", 'pip install "tinygen[fast,notebook]"'),
            nodes.Text(" and "),
            nodes.literal("", f"jupyter lab {path.name}"),
        ]
        title.parent.insert(title.parent.index(title) + 1, line)


def services(docname: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Addresses at which a page's notebook opens, if it is known where it is published."""
    repository = environment.get("GITHUB_REPOSITORY")
    if not repository:
        return {}
    branch, file = environment.get("GITHUB_REF_NAME", "main"), f"docs/{docname}.ipynb"
    return {
        "Colab": f"https://colab.research.google.com/github/{repository}/blob/{branch}/{file}",
        "Binder": f"https://mybinder.org/v2/gh/{repository}/{branch}?labpath={file}",
    }


def in_one_piece(outputs: Iterable[Any]) -> list[Any]:
    """Each stream of a cell as one text; MyST-NB ends a line wherever the kernel has flushed."""
    merged: list[Any] = []
    streams: dict[str, Any] = {}
    for output in map(copy, outputs):
        name = output["name"] if output["output_type"] == "stream" else ""
        if name in streams:
            streams[name]["text"] += output["text"]
            continue
        merged.append(output)
        if name:
            streams[name] = output
    return merged


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_transform(Open)
    render.coalesce_streams = in_one_piece
    return {"parallel_read_safe": True, "parallel_write_safe": True}
