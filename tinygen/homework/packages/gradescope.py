"""The zip that Gradescope takes as an autograder.

It is unpacked to ``/autograder/source``, and ``setup.sh`` is run, once. For each submission, a copy
of ``run_autograder`` in ``/autograder`` is run: it reads ``submission/``, and writes
``results/results.json``. See https://gradescope-autograders.readthedocs.io/en/latest/specs/.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinygen.homework.assignment import Assignment
from tinygen.homework.packages.archive import write_zip
from tinygen.homework.packages.bundle import bundle

AUTOGRADER = "tinygen.homework.packages.gradescope_autograder"

SETUP = """\
#!/usr/bin/env bash
# Run once, as root, when the image is built: NumPy is all that is installed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

apt-get install -y -qq python3 python3-venv >/dev/null
python3 -m venv venv
venv/bin/pip install -q "numpy>=2.0"
"""

RUN = f"""\
#!/usr/bin/env bash
# Run as root for each submission, which can read neither the solution nor the results: it runs as
# another user, in an empty folder.
set -euo pipefail
cd "$(dirname "${{BASH_SOURCE[0]}}")"

umask 077
mkdir -p results
chmod -R go= source submission results
PYTHONPATH=source venv/bin/python -m {AUTOGRADER}
"""


def write(path: Path, assignment: Assignment, settings: Mapping[str, Any]) -> None:
    """Write the zip that grades one assignment on Gradescope.

    Args:
        path: that of the zip.
        assignment: the one to be graded.
        settings: the arguments of `tinygen.homework.grading.grade` except the submission.
    """
    write_zip(
        path,
        {
            "setup.sh": SETUP,
            "run_autograder": RUN,
            "settings.json": json.dumps(settings, indent=1),
            **bundle(assignment.folder, AUTOGRADER),
        },
    )
