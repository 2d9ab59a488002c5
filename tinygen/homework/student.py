"""The student's folder: page, stub, and what checks it with public numbers; no solution."""

from __future__ import annotations

import ast
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tinygen.errors import InputError, refuse_unknown
from tinygen.files import write_text
from tinygen.homework import marks, variants
from tinygen.homework.assignment import Assignment
from tinygen.homework.feedback import packed
from tinygen.homework.grading import HINTS
from tinygen.homework.notebooks import Cell, cells, notebook
from tinygen.homework.sandbox import wire
from tinygen.homework.submission import LONGEST_NAME, name_of
from tinygen.homework.variants import Variant

PUBLIC_SEED = 0
"""The seed of the numbers that students check with; grades are computed with another."""

FORMATS = {"py": ".py", "notebook": ".ipynb"}

PACKAGE = Path(__file__).parent.parent
COPIED = (
    "errors.py explain/diagnosis/arrays.py explain/diagnosis/factors.py homework/checker.py "
    "homework/feedback.py homework/notebooks.py homework/sandbox/courtesy.py "
    "homework/sandbox/limits.py homework/sandbox/loading.py homework/sandbox/wire.py"
)

CHECK = '''"""Check the homework: python check.py, or only some questions: python check.py q3 q4"""

import sys

try:
    from checking.checker import check
except ModuleNotFoundError as missing:
    if missing.name.split(".")[0] == "checking":
        sys.exit("check.py: expected the folder `checking` beside it, with all that was in it")
    sys.exit(f"check.py needs {{missing.name}}: python -m pip install {{missing.name}}")

if __name__ == "__main__":
    check("{file}", "{header}", sys.argv[1:])
'''


def new(
    assignment: Assignment,
    out: Path,
    number: int = 0,
    *,
    level: int = marks.LEVELS[-1],
    format: str = "py",
    hints: str = "shown",
) -> Path:
    """Write the folder of a student.

    Args:
        assignment: which homework.
        out: the folder, which must not exist.
        number: that of the variant.
        level: 1 for the short homework, 2 for all of it.
        format: ``"py"`` or ``"notebook"``.
        hints: ``"shown"``, or ``"hidden"``: check.py does not know the common mistakes.

    Returns:
        The file in which the student writes.

    Raises:
        InputError: `out` exists, or there is no such level, format or hints.
        OSError: the folder cannot be written.
    """
    refuse_unknown("format", format, FORMATS)
    refuse_unknown("hints", hints, HINTS)
    marks.refuse_other_level(level)
    with _new_folder(out) as unfinished:
        _write(assignment, assignment.variant(number), level, format, hints, unfinished)
    return out.resolve() / (assignment.name + FORMATS[format])


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """A folder that becomes `out` once it is complete, and is removed otherwise."""
    out = out.resolve()
    if out.exists():
        raise InputError(f"{out.name} exists already; expected the name of a new folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(f".{out.name}.{secrets.token_hex(4)}.unfinished")
    try:
        yield unfinished
        os.rename(unfinished, out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def new_class(assignment: Assignment, out: Path, students: Sequence[str], **options: Any) -> Path:
    """Write the folder of each student, ``out/ada/vae``: the first has variant 1, the next 2, ...

    Args:
        assignment: which homework.
        out: the folder for all of them, which must not exist.
        students: their names.
        options: those of `new`.

    Returns:
        a table of the variants, ``out/variants.csv``.

    Raises:
        InputError: `out` exists, or a name cannot be a folder's, or occurs twice.
        OSError: a folder cannot be written.
    """
    names = [name_of(name) for name in students]
    _refuse_names(names)
    with _new_folder(out) as unfinished:
        for number, name in enumerate(names, 1):
            new(assignment, unfinished / name / assignment.name, number, **options)
        rows = [f"{name},{number}\n" for number, name in enumerate(names, 1)]
        write_text(unfinished / "variants.csv", "student,variant\n" + "".join(rows))
    return out / "variants.csv"


def _refuse_names(names: Sequence[str]) -> None:
    """Refuse names that cannot be a folder's, or occur twice, as Ada and ada do on some disks."""
    if not names:
        raise InputError("expected the names of students, got none")
    lower = [name.lower() for name in names]
    for number, name in enumerate(names, 1):
        wrong = sorted({*name} & {*'/\\:*?"<>|,'})
        if wrong:
            raise InputError(f"expected a name without {wrong[0]!r}, got {name!r}")
        if name.startswith("."):
            raise InputError(f"expected a name that begins with no full stop, got {name!r}")
        if len(name) > LONGEST_NAME:
            raise InputError(f"expected names of at most {LONGEST_NAME} characters, got {name!r}")
        if lower.index(name.lower()) != number - 1:
            raise InputError(f"expected each student once, got {name!r} twice")


def _write(
    assignment: Assignment, variant: Variant, level: int, format: str, hints: str, folder: Path
) -> None:
    name = assignment.name + FORMATS[format]
    stub, its_page = assignment.stub(variant, level), page(assignment, variant, level, format)
    texts = {
        "page.md": its_page,
        name: stub if format == "py" else notebook(student_cells(its_page, stub)),
        "check.py": CHECK.format(file=name, header=stub.splitlines()[0]),
        "checking/driver.py": assignment.driver(variant),
        "checking/judges.py": judges(assignment),
    }
    for path in COPIED.split():
        copied = (PACKAGE / path).read_text(encoding="utf-8")
        texts[f"checking/{Path(path).name}"] = beside_each_other(copied)
    (folder / "checking").mkdir(parents=True)
    for path, text in texts.items():
        (folder / path).write_text(text, encoding="utf-8", newline="\n")
    for question in assignment.questions(variant, level):
        numbers = wire.pack(_numbers(assignment, question, variant, hints))
        (folder / "checking" / f"{question.id}.npz").write_bytes(numbers)


CHECK_CELL = Cell(
    "code", "# Save the notebook first.\nimport sys\n\n!{sys.executable} check.py", ["check"]
)


def student_cells(page: str, program: str) -> list[Cell]:
    """The cells of a notebook: page, program, and the check, before the code that tries it."""
    first, *functions = cells(program)
    demo = [cell for cell in functions if cell.text.startswith('if __name__ == "__main__"')]
    functions = [cell for cell in functions if cell not in demo]
    return [Cell("markdown", page), first, *functions, CHECK_CELL, *demo]


def beside_each_other(text: str) -> str:
    """A file of tinygen, changed to import those copied with it from the same folder."""
    text = re.sub(
        r"^from tinygen\.homework\.sandbox import", "from checking import", text, flags=re.M
    )
    return re.sub(
        r"^from tinygen\.(?:\w+\.)*(\w+) import", r"from checking.\1 import", text, flags=re.M
    )


def _numbers(
    assignment: Assignment, question: marks.Question, variant: Variant, hints: str
) -> dict[str, Any]:
    """What check.py needs to know about a question."""
    seconds = assignment.seconds(question.id)
    titled = {"title": question.title, "points": question.points, "seconds": seconds}
    if question.label_of:
        return titled | {"labels": tuple(assignment.labels(question, variant))}
    if assignment.is_secret(question):
        return titled
    known = assignment.known(question.id, variant, PUBLIC_SEED)
    mistakes = (*known.mistakes(), *known.pairs()) if hints == "shown" else ()
    return titled | {
        "tolerance": known.tolerance,
        "cases": tuple(known.cases),
        "expected": tuple(known.expected),
        "names": dict(known.names),
        "hints": packed(mistakes),
    }


IN_FILE = """
Your file is `{file}`, for Python 3.10 or newer and NumPy 2. `python check.py` checks what is in it.
To try a function yourself, start `python` in this folder, and then `from {module} import *`. A
function leaves its arguments as they are: whoever calls it may need them once more. One that calls
another of yours has that one's mistakes, too. Keep the first line of the file.
"""
IN_NOTEBOOK = """
Your file is this notebook, `{file}`, for Python 3.10 or newer and NumPy 2. Where it says
`python check.py`, save the notebook and run the cell that ends with `check.py`; with `check.py q3`
there, it checks one question. To run the file itself is to run the last cell. A function leaves its
arguments as they are: whoever calls it may need them once more. One that calls another of yours has
that one's mistakes, too. Keep the first line of the first cell with a program.
"""


def page(
    assignment: Assignment, variant: Variant, level: int = marks.LEVELS[-1], format: str = "py"
) -> str:
    """The page in the form and the letters of a variant, with the table of its questions."""

    def of_form(block: re.Match[str]) -> str:
        refuse_unknown("form", block[1], assignment.forms)
        return block[2] if block[1] == variant.form else ""

    text = re.sub(
        r"<!-- form (\w+) -->\n?(.*?)<!-- end -->\n?", of_form, assignment.page, flags=re.S
    )
    how = (IN_FILE if format == "py" else IN_NOTEBOOK).format(
        file=assignment.name + FORMATS[format], module=assignment.name
    )
    table = "\n".join([*_table(assignment, variant, level), how.rstrip()])
    return variants.rename_page(text, variant).replace("<!-- questions -->", table)


def _table(assignment: Assignment, variant: Variant, level: int) -> Iterator[str]:
    questions = assignment.questions(variant, level)
    yield "| question | where | equations | points |"
    yield "|---|---|---|---|"
    for q in questions:
        yield f"| {q.id} | `{q.function}` | {' '.join(q.equations)} | {q.points:g} |"
    yield f"| | | | {sum(q.points for q in questions):g} |"


def judges(assignment: Assignment) -> str:
    """The judges that students may have, and what they use of assignment.py: no answers."""
    text = (assignment.folder / "assignment.py").read_text(encoding="utf-8")
    statements = ast.parse(text).body
    defined = {name: node for node in statements for name in _defines(node)}
    checked = {
        q.id for q in assignment.questions(assignment.variant(0)) if not assignment.is_secret(q)
    }
    waiting = [f"judge_{id_}" for id_ in checked]
    used: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in defined and name not in used:
            used.add(name)
            waiting += [n.id for n in ast.walk(defined[name]) if isinstance(n, ast.Name)]
    parts = [
        ast.get_source_segment(text, node) or ""
        for node in statements
        if used.intersection(_defines(node))
    ]
    return beside_each_other("\n\n\n".join(parts) + "\n")


def _defines(node: ast.stmt) -> list[str]:
    """The names that a statement defines."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [(alias.asname or alias.name).split(".")[0] for alias in node.names]
    if isinstance(node, (ast.Assign, ast.AnnAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return [n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)]
    return []
