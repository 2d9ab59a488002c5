"""What is released: the sdist and the wheel have all files, and the wheel passes from elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LEFT = shutil.ignore_patterns(".*", "*.egg-info", "__pycache__", "build", "dist", "runs", "_build")

pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path, **environment: str) -> None:
    done = subprocess.run(
        command, cwd=cwd, env=os.environ | environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built in a copy, with the setuptools that is here; the wheel is made from the sdist."""
    pytest.importorskip("build")
    pytest.importorskip("setuptools", minversion="70.1")  # older ones need wheel besides
    folder = tmp_path_factory.mktemp("release")
    shutil.copytree(ROOT, folder / "copy", ignore=LEFT)
    shutil.copytree(ROOT / ".github", folder / "copy/.github")
    run(sys.executable, "-m", "build", "--no-isolation", "-o", folder, cwd=folder / "copy")
    return folder


def released(*folders: str) -> set[str]:
    """The files of some folders, by their paths below the repository."""
    files = {path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()}
    names = {path.relative_to(ROOT).as_posix() for path in files}
    return {name for name in names if not {"__pycache__", "_build"} & {*name.split("/")}
            and not name.startswith("docs/.")}  # fmt: skip


def sdist(dist: Path, to: Path) -> Path:
    """The unpacked sdist."""
    with tarfile.open(next(dist.glob("*.tar.gz"))) as file:
        file.extractall(to)
    return next(to.iterdir())


def test_the_wheel_has_every_file_of_the_package(dist: Path) -> None:
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as file:
        names = {name for name in file.namelist() if ".dist-info/" not in name}
    assert names == released("tinygen")


def test_the_sdist_has_what_the_tests_read(dist: Path, tmp_path: Path) -> None:
    unpacked = sdist(dist, tmp_path)
    needed = released("tinygen", "tests", "docs", "examples", ".github")
    needed |= {"README.md", "LICENSE", "CITATION.cff", "setup.cfg", "pyproject.toml"}
    assert not {name for name in needed if not (unpacked / name).is_file()}


def test_the_index_can_show_the_description(dist: Path) -> None:
    pytest.importorskip("twine")
    run(sys.executable, "-m", "twine", "check", "--strict",
        *dist.glob("*.whl"), *dist.glob("*.gz"), cwd=dist)  # fmt: skip


def test_the_installed_wheel_passes_the_quick_tests_from_another_folder(
    dist: Path, tmp_path: Path
) -> None:
    installed = tmp_path / "installed"
    wheel = next(dist.glob("*.whl"))
    run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index",
        "--target", installed, wheel, cwd=tmp_path)  # fmt: skip
    elsewhere = sdist(dist, tmp_path / "sdist")
    shutil.rmtree(elsewhere / "tinygen")
    code = "import sys, tinygen; sys.exit(not tinygen.__file__.startswith(sys.argv[1]))"
    run(sys.executable, "-c", code, str(installed), cwd=elsewhere, PYTHONPATH=str(installed))
    run(sys.executable, "-m", "pytest", "-q", "-m", "quick", "tests",
        cwd=elsewhere, PYTHONPATH=str(installed))  # fmt: skip


def test_the_workflow_gives_every_link_of_the_readme_an_address(tmp_path: Path) -> None:
    """Its step is run as it stands; the address of the repository is what the runner says."""
    workflow = (ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8")
    step = workflow.partition("run: |\n")[2].partition("      - run:")[0]
    shutil.copy(ROOT / "README.md", tmp_path)
    run("bash", "-c", step, cwd=tmp_path, GITHUB_SERVER_URL="https://host",
        GITHUB_REPOSITORY="somebody/tinygen", GITHUB_SHA="abc")  # fmt: skip
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "](https://host/somebody/tinygen/raw/abc/docs/images/reconstructions.png)" in text
    assert "](https://host/somebody/tinygen/blob/abc/docs/tour.md)" in text
    assert text.count("](") == text.count("](https://")
