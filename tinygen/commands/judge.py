"""Train the classifier that scores generated images, and print the baselines' scores.

tinygen train judge
"""

from argparse import ArgumentParser
from collections.abc import Sequence

from tinygen.commands import command_line
from tinygen.commands.setup import load_dataset
from tinygen.data import CHOICES
from tinygen.evaluation import scores_table
from tinygen.evaluation.reference_models import baselines, reference_classifier
from tinygen.training import Progress

SMOKE = {"data": "strokes"}


def flags(prog: str | None = None) -> ArgumentParser:
    p = command_line.bare_parser(__doc__, prog)
    about = "data set; auto is mnist, or strokes without a network"
    p.add_argument("--data", **command_line.choice(CHOICES, about))
    p.add_argument(
        "--data-dir", type=command_line.path, metavar="DIR",
        help="folder of the four IDX files or of pictures, or the .npz file",
    )  # fmt: skip
    p.add_argument("--smoke", action="store_true", help="the classifier of a GAN's --smoke run")
    p.set_defaults(task="mnist_judge", out=None, quiet=False)  # expected by shared code
    return p


def main(arguments: Sequence[str] | None = None, prog: str | None = None) -> None:
    args = command_line.parse(flags(prog), arguments, SMOKE)
    progress = Progress(0, {})
    dataset = load_dataset(args, progress)
    classifier = reference_classifier(dataset, progress, args.smoke)
    rows = baselines(dataset, classifier, progress, args.smoke)
    print(f"test error {classifier.error:.2%}, sha256 {classifier.sha256}")
    print(scores_table(rows))
