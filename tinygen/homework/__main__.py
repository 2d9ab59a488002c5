"""Homework that grades itself.

python -m tinygen.homework list
python -m tinygen.homework new vae --out vae_of_ada --variant 7
python -m tinygen.homework grade vae_of_ada
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tinygen.arguments import Parser, name_in, refused
from tinygen.errors import InputError
from tinygen.homework import marks, student
from tinygen.homework.assignment import load, names
from tinygen.homework.classroom import grade_class, is_class, variants_in
from tinygen.homework.grading import HINTS, grade
from tinygen.homework.notebooks import text_of
from tinygen.homework.packages import PLATFORMS, package
from tinygen.homework.prove import prove, prove_cheats, prove_grading
from tinygen.homework.report import csv_of, report, results_in
from tinygen.homework.sandbox.parent import SandboxError
from tinygen.homework.submission import read

Chosen = argparse.Namespace
PROG = "python -m tinygen.homework"


def main(arguments: Sequence[str] | None = None, prog: str = PROG) -> None:
    """Run a command; `prog` is what the user typed to get here.

    Exit with 0 on success, 2 on wrong input, 130 on Ctrl-C, and 1 if a proof fails, or the grader
    itself, for instance without a sandbox.
    """
    try:
        chosen = parser(prog).parse_args(arguments)
        chosen.run(chosen)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (InputError, OSError) as error:
        refused(error)
    except SandboxError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted; with a class, the same command goes on from here", file=sys.stderr)
        sys.exit(130)


def parser(prog: str = PROG) -> argparse.ArgumentParser:
    """The command line."""
    p = Parser(
        prog,
        description=(__doc__ or "").replace(PROG, prog),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    assignment = name_in(tuple(names()))
    commands = p.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[Chosen], None], about: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=about, description=about)
        one.set_defaults(run=run)
        return one

    command("list", run_list, "show all assignments")

    c = command("new", run_new, "write the folder that a student gets")
    c.add_argument("name", type=assignment, metavar="NAME", help="one of the assignments of `list`")
    c.add_argument("--out", type=Path, metavar="DIR", help="a new folder; by default NAME")
    add_which(c, 0, 2)
    c.set_defaults(variant=None)  # to know whether it was given
    c.add_argument("--hints", choices=HINTS, default="shown", help="whether check.py gives them")
    c.add_argument(
        "--class", dest="students", type=Path, metavar="FILE",
        help="names of students, one a line; each gets a folder in DIR, and variant 1, 2, ...",
    )  # fmt: skip
    c.add_argument(
        "--format",
        choices=student.FORMATS,
        default="py",
        help="of what is handed in; by default py",
    )

    c = command("grade", run_grade, "grade what a student or a class handed in")
    c.add_argument(
        "submission", type=Path, help="a student's file, folder or zip, or a class's folder"
    )
    c.add_argument(
        "--assignment", type=assignment, metavar="NAME",
        help="which one it is; by default what the submission says",
    )  # fmt: skip
    add_which(c, None, None)
    add_how(c)
    c.add_argument("--json", action="store_true", help="print the result as JSON")
    c.add_argument(
        "--out", type=Path, metavar="DIR",
        help="for a class: a folder for its results; by default SUBMISSION-graded",
    )  # fmt: skip
    c.add_argument(
        "--class", dest="table", type=Path, metavar="FILE",
        help="for a class: the variants.csv that `new --class` wrote",
    )  # fmt: skip

    c = command("package", run_package, "write a package for another grader")
    c.add_argument("name", type=assignment, metavar="NAME", help="one of the assignments of `list`")
    c.add_argument("--for", dest="platform", choices=PLATFORMS, required=True, help="which grader")
    c.add_argument("--out", type=Path, metavar="PATH", help="a new zip or folder")
    add_which(c, None, 2)
    add_how(c)

    c = command("report", run_report, "show the results of a class")
    c.add_argument("folder", type=Path, metavar="DIR", help="the results of `grade`")
    form = c.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print the results as JSON")
    form.add_argument(
        "--csv", action="store_true", help="print the points as CSV, for spreadsheets"
    )

    c = command("prove", run_prove, "show that the grades are right (about a minute an assignment)")
    c.add_argument(
        "names", type=assignment, metavar="NAME", nargs="*", help="assignments; by default all"
    )
    return p


def add_which(c: argparse.ArgumentParser, variant: int | None, level: int | None) -> None:
    """The flags that say which homework."""
    meaning = "by default 0" if variant == 0 else "by default what the submission says"
    c.add_argument(
        "--variant", type=whole_number, default=variant, metavar="N",
        help=f"picks the letters and the parametrisation, so that copies differ; {meaning}",
    )  # fmt: skip
    c.add_argument(
        "--level", type=int, choices=marks.LEVELS, default=level,
        help=f"1 is the short homework, 2 all of it; by default {level or 'as submitted'}",
    )  # fmt: skip


def add_how(c: argparse.ArgumentParser) -> None:
    """The flags that say how to grade."""
    c.add_argument(
        "--seed", type=whole_number, default=None, metavar="N",
        help="seed of the random inputs to grade with, which students must not know; by default a "
        "new one, which is stored with the results of a class",
    )  # fmt: skip
    c.add_argument(
        "--hints", choices=HINTS, default="shown", help="whether a wrong answer is explained"
    )


def whole_number(text: str) -> int:
    """A number from 0, for argparse."""
    if not text.isdecimal() or len(text) > 9:
        raise argparse.ArgumentTypeError(f"expected a whole number such as 7, got {text!r}")
    return int(text)


def run_list(chosen: Chosen) -> None:
    """A line for each assignment."""
    for name in names():
        try:
            a = load(name)
        except InputError as error:  # one still being written
            print(f"{name:18}{error}")
            continue
        points = [[q.points for q in a.questions(a.variant(0), level)] for level in marks.LEVELS]
        short = f", {sum(points[0]):g} at level 1" if points[0] != points[1] else ""
        print(f"{name:18}{a.title}")
        print(
            f"{'':18}{marks.plural(len(points[1]), 'question')}, "
            f"{marks.plural(sum(points[1]), 'point')}{short}, "
            f"{a.minutes} minutes"
        )


def run_new(chosen: Chosen) -> None:
    """Write a student's folder, or one for each student in a class."""
    assignment, out = load(chosen.name), chosen.out or Path(chosen.name)
    options = {key: getattr(chosen, key) for key in ("level", "format", "hints")}
    if chosen.students:
        if chosen.variant is not None:
            raise InputError("expected --class or --variant, got both: a class has 1, 2, ...")
        lines = text_of(chosen.students.name, chosen.students.read_bytes()).split("\n")
        students = [line for line in lines if line.strip()]
        print(student.new_class(assignment, out, students, **options))
    else:
        print(student.new(assignment, out, chosen.variant or 0, **options))


def run_grade(chosen: Chosen) -> None:
    """Grade a student, or all students in a class."""
    options = {
        key: getattr(chosen, key) for key in ("assignment", "variant", "level", "seed", "hints")
    }
    if chosen.out or chosen.table or is_class(chosen.submission):
        run_grade_class(chosen, options)
        return
    result = grade(read(chosen.submission, chosen.assignment or ""), **options)
    print(json.dumps(result.as_dict(), indent=1) if chosen.json else result)


def run_grade_class(chosen: Chosen, options: dict[str, Any]) -> None:
    """Print the report on a class, whose table of variants may be known."""
    folder = chosen.submission.resolve()
    out = chosen.out or folder.with_name(f"{folder.name}-graded")
    variants = variants_in(chosen.table) if chosen.table else None
    results = grade_class(folder, out, variants=variants, **options)
    print(json.dumps(results, indent=1) if chosen.json else report(out))
    if any(result["points"] is None for result in results):
        sys.exit(1)


def run_package(chosen: Chosen) -> None:
    """Write the package for another grader."""
    options = {key: getattr(chosen, key) for key in ("variant", "level", "seed", "hints")}
    print(package(chosen.name, chosen.platform, chosen.out, **options))


def run_report(chosen: Chosen) -> None:
    """Print the results of a class."""
    if chosen.json:
        print(json.dumps(results_in(chosen.folder), indent=1))
    elif chosen.csv:
        print(csv_of(chosen.folder), end="")
    else:
        print(report(chosen.folder))


def run_prove(chosen: Chosen) -> None:
    """Print what is wrong with the assignments, if anything; progress goes to stderr."""
    wrong, all_ = 0, chosen.names or names()
    for number, name in enumerate(all_, 1):
        sentences = proved(name, f"{number} of {len(all_)}, {name}")
        wrong += len(sentences)
        for sentence in sentences or [f"all is well, with {len(load(name).mistakes)} mistakes"]:
            print(f"{name}: {sentence}", flush=True)
    sys.exit(bool(wrong))


def proved(name: str, where: str) -> list[str]:
    """What is wrong with an assignment; `where` is put before the name of what is checked now."""
    steps: dict[str, Callable[..., Iterator[str]]] = {
        "solution, stub and mistakes": prove,
        "grades in the sandbox": prove_grading,
        "cheats": prove_cheats,
    }
    sentences: list[str] = []
    for step, proof in steps.items():
        print(f"{where}: {step}", file=sys.stderr, flush=True)
        try:
            sentences += proof(load(name))
        except InputError as error:  # it cannot be loaded
            return [*sentences, str(error)]
    return sentences


if __name__ == "__main__":
    main()
