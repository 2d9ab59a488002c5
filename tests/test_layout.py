"""Where tests are: folders that mirror the package, and no test module that another one imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "tinygen"
FILES = sorted(TESTS.rglob("*.py"))
MORE_FOLDERS = {"helpers", "theory", "mutants", "examples", "benchmarks"}
MORE_FILES = {"architecture", "docs", "layout", "notebooks", "reference", "release", "site"}
"""What is about more than one place of the package."""


def folders(path: Path) -> set[str]:
    return {file.parent.relative_to(path).as_posix() for file in path.rglob("*.py")} - {"."}


def imported(source: str) -> set[str]:
    """The last names of all modules that are imported, or from which something is."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module or "", *(alias.name for alias in node.names)}
    return {name.rpartition(".")[2] for name in names}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(TESTS).as_posix())
def test_no_test_module_is_imported(path: Path) -> None:
    modules = {file.stem for file in FILES if file.stem.startswith("test_")}
    assert not imported(path.read_text(encoding="utf-8")) & modules


def test_an_import_is_seen_in_every_form() -> None:
    for line in ("import test_a", "import b.test_a as c", "from test_a import d",
                 "from b import test_a", "def f():\n    from . import test_a"):  # fmt: skip
        assert "test_a" in imported(line), line


def test_each_folder_of_the_package_has_one_of_its_name() -> None:
    rooms = {name for name in folders(PACKAGE) if "/" not in name}
    assert folders(TESTS) - MORE_FOLDERS == rooms


def test_each_test_beside_the_folders_is_of_a_module_beside_the_rooms() -> None:
    modules = {path.stem for path in PACKAGE.glob("*.py")} | MORE_FILES
    assert {path.stem.removeprefix("test_") for path in TESTS.glob("test_*.py")} <= modules


ROOMS_OF_A_MODEL = (
    "docs/derivations/{}.md",
    "tinygen/models/{}.py",
    "tests/byhand/test_{}.py",
    "tests/models/test_{}.py",
    "tests/mutants/test_{}.py",
)
EXAMPLES = {
    "aae": "experiments/encoder_generator.py",
    "classifier": "experiments/encoder_classifier.py",
}
"""The models that are trained in an experiment, not in examples/mnist_NAME.py."""
MUTANTS = {"autoencoder": "byhand"}
"""The autoencoder's mistakes are planted with those of the pieces that it consists of."""


@pytest.mark.parametrize(
    "name",
    sorted(
        path.stem
        for path in (PACKAGE / "byhand").glob("*.py")
        if path.stem not in ("__init__", "pieces", "chain", "conv", "checks")
    ),
)
def test_a_model_has_all_of_its_rooms(name: str) -> None:
    root = TESTS.parent
    for room in ROOMS_OF_A_MODEL:
        file = room.format(MUTANTS.get(name, name) if "mutants" in room else name)
        assert (root / file).exists(), file
    assert (root / "examples" / EXAMPLES.get(name, f"mnist_{name}.py")).exists()
    assert f"({name}.md)" in (root / "docs" / "derivations" / "README.md").read_text()


def test_helpers_are_no_tests() -> None:
    assert not list((TESTS / "helpers").glob("test_*.py"))


def test_an_editable_install_is_a_plain_path() -> None:
    """With another root than the package's folder pip would lay a hook, which others do not see."""
    setup = ConfigParser()
    setup.read(TESTS.parent / "setup.cfg")
    assert setup["options"]["package_dir"].split() == ["=", "."]


@pytest.mark.parametrize("cuda", ["12", "13"])
def test_cupy_is_installed_with_its_toolkit(cuda: str) -> None:
    """Without it CuPy can be imported, and no kernel compiles."""
    setup = ConfigParser()
    setup.read(TESTS.parent / "setup.cfg")
    needed = f"cupy-cuda{cuda}x[ctk]>=14.1"
    assert setup["options.extras_require"][f"cuda{cuda}"].split() == [needed]
    assert needed in (TESTS.parent / "docs/backends.md").read_text()


def test_a_folder_that_is_called_tinygen_hides_nothing(tmp_path: Path) -> None:
    """As the clone is, seen from the folder that holds it. A plain path in the environment wins."""
    (tmp_path / "tinygen").mkdir()
    code = "import tinygen; print(tinygen.Tensor)"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)
