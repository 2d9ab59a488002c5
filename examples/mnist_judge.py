"""Train the judge of generated images, and what they are compared with; print what it says.

python examples/mnist_judge.py
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from tinygen.data import CHOICES
from tinygen.evaluation import comparison
from tinygen.evaluation.reference_models import judge, yardsticks
from tinygen.training import Progress, command_line, data_of

SMOKE = {"data": "strokes"}


def flags():
    p = command_line.bare_parser(__doc__.splitlines()[0])
    p.add_argument("--data", **command_line.choice(CHOICES, "as in mnist_gan"))
    p.add_argument("--data-dir", type=Path, metavar="DIR", help="folder of the four IDX files")
    p.add_argument("--smoke", action="store_true", help="the judge of `mnist_gan --smoke`")
    p.set_defaults(task="mnist_judge", out=None, quiet=False)  # what all others may ask for
    return p


def main(arguments: Sequence[str] | None = None) -> None:
    args = command_line.parse(flags(), arguments, SMOKE)
    progress = Progress(0, {})
    dataset = data_of(args, progress)
    read = judge(dataset, progress, args.smoke)
    rows = yardsticks(dataset, read, progress, args.smoke)
    print(f"test error {read.error:.2%}, sha256 {read.sha256}")
    print(comparison(rows))


if __name__ == "__main__":
    sys.exit(command_line.run(main))
