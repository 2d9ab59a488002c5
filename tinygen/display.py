"""How things are displayed: sizes in words and, in a notebook, a small table and images."""

from __future__ import annotations

import io
from binascii import b2a_base64
from collections.abc import Iterable, Sequence
from typing import Any


def times(shape: Iterable[int]) -> str:
    """Sizes in words.

    >>> times((28, 28))
    '28 x 28'
    """
    return " x ".join(map(str, shape))


def html_table(caption: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in HTML; whatever is in it is escaped as text.

    >>> html_table("p", ["name"], [["<b>"]])
    '<table><caption>p</caption><tr><th>name</th></tr><tr><td>&lt;b&gt;</td></tr></table>'
    """
    lines = "".join(_line("td", row) for row in rows)
    head = _line("th", header) if header else ""
    return f"<table><caption>{_escaped(caption)}</caption>{head}{lines}</table>"


def html_images(images: Any) -> str:
    """Images ``(n, h, w)`` or ``(n, h, w, c)`` of uint8 side by side, in HTML."""
    from PIL import Image  # only where a picture is shown

    rows = images[..., 0] if images.shape[3:] == (1,) else images
    strip = rows.swapaxes(0, 1).reshape(rows.shape[1], -1, *rows.shape[3:])
    file = io.BytesIO()
    Image.fromarray(strip).save(file, "PNG")
    code = b2a_base64(file.getvalue(), newline=False).decode()
    return f'<img alt="{len(images)} images" src="data:image/png;base64,{code}">'


def _line(cell: str, row: Sequence[object]) -> str:
    return f"<tr>{''.join(f'<{cell}>{_escaped(x)}</{cell}>' for x in row)}</tr>"


def _escaped(x: object) -> str:
    import html  # only where something is shown, as Image above

    return html.escape(str(x), quote=False)
