"""Write the page of an example, to be opened in a browser.

python -m tinygen.explain diamond --out diamond.html
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

from tinygen.explain.examples import EXAMPLES

PROG = "python -m tinygen.explain"


def parser(prog: str = PROG) -> argparse.ArgumentParser:
    """The command line; `prog` is what the user typed to get here."""
    p = argparse.ArgumentParser(
        prog,
        description="Write a page on which one steps through an example, forward and back.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(map(described, EXAMPLES)),
    )
    p.add_argument("example", choices=[*EXAMPLES], help="one of those below")
    p.add_argument("--out", type=Path, metavar="FILE", help="by default EXAMPLE.html")
    return p


def described(name: str) -> str:
    """A line or two of the help about an example."""
    text = f"{name:9} {EXAMPLES[name].__doc__ or ''}"
    return fill(text, width=78, subsequent_indent=" " * 10)


def main(arguments: Sequence[str] | None = None, prog: str = PROG) -> None:
    """Write the page that the arguments ask for."""
    p = parser(prog)
    chosen = p.parse_args(arguments)
    path = chosen.out or Path(f"{chosen.example}.html")
    example = EXAMPLES[chosen.example]
    try:
        example().save(path, about=example.__doc__ or "")
    except OSError as error:
        p.error(f"cannot write {path}: {error.strerror}")
    print(path)


if __name__ == "__main__":
    main()
