"""The autograder.zip for otter-grader: ``otter run``, ``otter grade``, and on Gradescope.

It is like that of ``otter generate``, but its tests hold no answers: a plugin grades the submission
in tinygen's sandbox, instead of running it where the tests run, and gives each test its points.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from tinygen.homework.assignment import Assignment
from tinygen.homework.packages.archive import write_zip
from tinygen.homework.packages.bundle import bundle

PLUGIN = "tinygen.homework.packages.otter_plugin"

SETUP = """\
#!/usr/bin/env bash
# Run once, as root, when the image is built.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

apt-get install -y -qq python3 python3-venv >/dev/null
python3 -m venv venv
venv/bin/pip install -q "numpy>=2.0" "otter-grader[grading,plugins]VERSION"
"""

RUN = """\
#!/usr/bin/env bash
# Run as root for each submission, which can read nothing of this: see Gradescope's.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

umask 077
mkdir -p results
chmod -R go= source submission results
[ -s submission_metadata.json ] || echo "{}" >submission_metadata.json # `otter grade` has it empty
PYTHONPATH=$PWD/source/files/tinygen_grader venv/bin/python source/run_otter.py
"""

RUN_OTTER = """\
import os

from otter.run.run_autograder import main

main(os.getcwd())
"""

TEST = """\
OK_FORMAT = False
from otter.test_files import test_case

name = {name!r}
points = {points!r}


@test_case({title!r})
def graded_by_tinygen():
    raise RuntimeError("not graded: otter has not loaded the plugin of otter_config.json")
"""


def write(path: Path, assignment: Assignment, settings: Mapping[str, Any]) -> None:
    """Write the zip that grades one assignment with otter-grader.

    Args:
        path: that of the zip.
        assignment: the one to be graded.
        settings: the arguments of `tinygen.homework.grading.grade` except the submission.
    """
    config = {"plugins": [{f"{PLUGIN}.GradedByTinygen": dict(settings)}], "show_all_public": True}
    texts = {
        "setup.sh": SETUP.replace("VERSION", _version()),
        "environment.yml": "# Not used: setup.sh installs what is needed.\n",
        "run_autograder": RUN,
        "run_otter.py": RUN_OTTER,
        "otter_config.json": json.dumps(config, indent=1),
    }
    for question in assignment.questions(assignment.variant(0), settings["level"]):
        number = int(question.id[1:])  # otter sorts tests by their names
        test = TEST.format(name=question.id, title=question.title, points=question.points)
        texts[f"tests/q{number:02}.py"] = test
    for name, text in bundle(assignment.folder, PLUGIN).items():
        texts[f"files/tinygen_grader/{name}"] = text
    write_zip(path, texts)


def _version() -> str:
    """The requirement on otter: the version here, which reads the results of ``otter grade``."""
    try:
        return "==" + metadata.version("otter-grader")
    except metadata.PackageNotFoundError:
        return ">=6"
