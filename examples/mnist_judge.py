"""Train the judge of generated images, and what they are compared with; print what it says.

python examples/mnist_judge.py
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from tinygen.data import CHOICES, load, stroke_digits
from tinygen.metrics import comparison
from tinygen.training import Progress, command_line
from tinygen.training.kept import judge, yardsticks
from tinygen.training.progress import warn
from tinygen.training.start import SMOKE_IMAGES


def flags():
    p = command_line.bare_parser(__doc__.splitlines()[0])
    p.add_argument("--data", **command_line.choice(CHOICES, "as in mnist_gan"))
    p.add_argument("--data-dir", type=Path, metavar="DIR", help="folder of the four IDX files")
    p.add_argument("--smoke", action="store_true", help="the judge of `mnist_gan --smoke`")
    return p


def main(arguments: Sequence[str] | None = None) -> None:
    args = flags().parse_args(arguments)
    if args.smoke:
        dataset = stroke_digits(**SMOKE_IMAGES)
    else:
        dataset = load(args.data, args.data_dir, say=warn)
    progress = Progress(0, {})
    read = judge(dataset, progress, args.smoke)
    rows = yardsticks(dataset, read, progress, args.smoke)
    print(f"test error {read.error:.2%}, sha256 {read.sha256}")
    print(comparison(rows))


if __name__ == "__main__":
    sys.exit(command_line.run(main))
