"""Write the page of an example, to be opened in a browser.

python -m tinygen.explain diamond --out diamond.html
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

from tinygen.arguments import Parser, refused
from tinygen.errors import InputError
from tinygen.explain.examples import EXAMPLES
from tinygen.files import named_with, refuse_existing

PROG = "python -m tinygen.explain"


def parser(prog: str = PROG) -> argparse.ArgumentParser:
    """The parser of the command line; `prog` is what the user typed to get here."""
    p = Parser(
        prog,
        description="Write a page on which one steps through an example, forward and back.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(map(described, EXAMPLES)),
    )
    p.add_argument(
        "example", choices=[*EXAMPLES], metavar="EXAMPLE", help="one of the programs below"
    )
    p.add_argument("--out", type=Path, metavar="FILE", help="the page, by default EXAMPLE.html")
    p.add_argument("--overwrite", action="store_true", help="replace an existing file")
    return p


def described(name: str) -> str:
    """A line or two about an example, for the help."""
    text = f"{name:9} {EXAMPLES[name].__doc__ or ''}"
    return fill(text, width=78, subsequent_indent=" " * 10)


def main(arguments: Sequence[str] | None = None, prog: str = PROG) -> None:
    """Write the page that the arguments ask for; exit with 2 on an error."""
    try:
        write(parser(prog).parse_args(arguments))
    except InputError as error:
        refused(error)


def write(chosen: argparse.Namespace) -> None:
    """Write a page, and print its path."""
    path = named_with(chosen.out or f"{chosen.example}.html", ".html")
    if not chosen.overwrite:
        refuse_existing(path)
    example = EXAMPLES[chosen.example]
    try:
        example().save(path, about=example.__doc__ or "")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from None
    print(path)


if __name__ == "__main__":
    main()
