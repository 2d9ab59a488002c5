"""Write the page of an example, to be opened in a browser.

python -m tinygen.explain diamond --out diamond.html
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from tinygen.explain.examples import EXAMPLES


def main(arguments: Sequence[str] | None = None) -> None:
    p = argparse.ArgumentParser(
        "python -m tinygen.explain",
        description="Write a page on which one steps through an example, forward and back.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(f"{name:9} {function.__doc__}" for name, function in EXAMPLES.items()),
    )
    p.add_argument("example", choices=EXAMPLES, help="one of those below")
    p.add_argument("--out", type=Path, metavar="FILE", help="by default EXAMPLE.html")
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
