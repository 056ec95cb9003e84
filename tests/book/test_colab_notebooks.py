"""Every exported notebook runs as it will on Colab: beside nothing but the wheel and the packages that it asks for.

Needs a book that was built (``make book``), and takes as long as its chapters do.
"""

from __future__ import annotations

import email
import functools
import json
import os
import shlex
import subprocess
import sys
import sysconfig
import textwrap
import venv
import zipfile
from collections.abc import Callable
from importlib.metadata import distribution
from pathlib import Path

import jupytext
import nbformat
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = [pytest.mark.book, pytest.mark.slow, pytest.mark.timeout(1800)]

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "book"
CHAPTERS = sorted(
    path.relative_to(BOOK).with_suffix("").as_posix()
    for path in BOOK.rglob("*.md")
    if "_build" not in path.parts and "format_name: myst" in path.read_text(encoding="utf-8")[:500]
)
# What every notebook server brings with it, Colab's too.
NOTEBOOK_SERVER = ["ipykernel", "nbformat"]

# What the first cell of a chapter installs on Colab.
USUAL = ("musicfsl[plots]",)

Run = Callable[..., nbformat.NotebookNode]


@pytest.fixture(scope="module")
def wheel(built_book: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT], check=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def kernel(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[tuple[str, ...]], Path]:
    """A folder of Jupyter's with the kernel ``fresh``: that of a new virtual environment, for some requirements.

    The environment lends packages from the one that runs the tests, which saves downloads: those that the requirements
    ask for, these ask for, and so on, and no others.
    """

    @functools.cache
    def kernel(requirements: tuple[str, ...]) -> Path:
        folder = tmp_path_factory.mktemp("environment")
        venv.create(folder, with_pip=True)
        python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", wheel], check=True)
        packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
        for name in sorted(required_packages(wheel, requirements)):
            lend(name, packages)
        specification = folder / "share/jupyter/kernels/fresh/kernel.json"
        specification.parent.mkdir(parents=True)
        command = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        specification.write_text(json.dumps({"argv": command, "display_name": "fresh", "language": "python"}))
        return folder / "share/jupyter"

    return kernel


@pytest.fixture(scope="module")
def run(kernel: Callable[[tuple[str, ...]], Path]) -> Run:
    """Executes a notebook in an empty folder, and returns it with its outputs."""

    def run(
        notebook: nbformat.NotebookNode, folder: Path, requirements: tuple[str, ...] = USUAL
    ) -> nbformat.NotebookNode:
        workplace = folder / "work"
        workplace.mkdir()
        nbformat.write(notebook, workplace / "notebook.ipynb")
        # The user's own settings, caches and paths are as unknown there as those of the tests.
        kept = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT", "OMP_NUM_THREADS")
        environment = {name: os.environ[name] for name in kept if name in os.environ}
        environment |= {
            "HOME": str(folder),
            "MUSICFSL_CACHE": str(folder / "cache"),
            "JUPYTER_PATH": str(kernel(requirements)),
        }
        execute = "from nbclient.cli import main; main()"
        options = ["--kernel_name=fresh", "--timeout=1200", "--inplace", "notebook.ipynb"]
        done = subprocess.run(
            [sys.executable, "-c", execute, *options], cwd=workplace, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return nbformat.read(workplace / "notebook.ipynb", as_version=4)

    return run


def installed_by(install_cell: str) -> tuple[str, ...]:
    """Requirements that the first cell of a chapter installs on Colab."""
    (command,) = [line.strip() for line in install_cell.splitlines() if line.strip().startswith("%pip install")]
    return tuple(word for word in shlex.split(command)[2:] if not word.startswith("-"))


def required_packages(wheel: Path, requirements: tuple[str, ...]) -> set[str]:
    """Packages that an installer would add for some requirements and the notebook server."""
    found: dict[str, set[str]] = {}
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        lines = email.message_from_bytes(archive.read(metadata)).get_all("Requires-Dist", [])
    waiting = [Requirement(text) for text in (*requirements, *NOTEBOOK_SERVER)]
    (own,) = [requirement for requirement in waiting if requirement.name == "musicfsl"]
    waiting += wanted(lines, own.extras)
    waiting.remove(own)
    while waiting:
        requirement = waiting.pop()
        name, extras = canonicalize_name(requirement.name), requirement.extras
        if name not in found or extras - found[name]:
            found[name] = found.get(name, set()) | extras
            waiting += wanted(distribution(name).requires or [], found[name])
    return found.keys() - {"musicfsl", "pip", "setuptools"}


def wanted(lines: list[str], extras: set[str]) -> list[Requirement]:
    """Those of a package's requirements that hold on this system for some of its extras."""
    requirements = [Requirement(line) for line in lines]
    return [r for r in requirements if r.marker is None or any(r.marker.evaluate({"extra": e}) for e in {"", *extras})]


def lend(name: str, packages: Path) -> None:
    """Links the files of an installed package into another environment."""
    for file in distribution(name).files or []:
        if ".." not in file.parts and "__pycache__" not in file.parts:  # neither commands nor compiled copies
            link = packages / file
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)  # two packages may bring the same file, such as a namespace's
            link.symlink_to(file.locate())


def test_environment_holds_what_the_wheel_asks_for_and_no_more(run: Run, tmp_path: Path) -> None:
    code = textwrap.dedent(
        """
        import importlib.util, os, pathlib, sys
        import musicfsl, plotly, torch

        assert pathlib.Path(musicfsl.__file__).is_relative_to(sys.prefix), musicfsl.__file__
        names = ["jupytext", "librosa", "mirdata", "pytest", "sphinx", "torchaudio"]
        assert not [name for name in names if importlib.util.find_spec(name)]
        assert "PYTHONPATH" not in os.environ
        assert os.listdir() == ["notebook.ipynb"]
        """
    )
    run(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)]), tmp_path)


def test_a_notebook_that_fails_is_noticed(run: Run, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        run(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")]), tmp_path)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_chapter_runs(chapter: str, built_book: Path, run: Run, tmp_path: Path) -> None:
    notebook = nbformat.read(built_book / "colab" / f"{chapter}.ipynb", as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    source = [cell for cell in jupytext.read(BOOK / f"{chapter}.md").cells if cell.cell_type == "code"]
    assert [c.source for c in cells[1:]] == [c.source for c in source[1:]], "the book was built from other sources"

    executed = [
        cell for cell in run(notebook, tmp_path, installed_by(source[0].source)).cells if cell.cell_type == "code"
    ]
    assert all(cell.execution_count for cell in executed if cell.source.strip())
    outputs = [output for cell in executed for output in cell.outputs]
    # What fails while an output is shown does not stop a notebook.
    complaints = [o.text for o in outputs if o.output_type == "stream" and "Traceback" in o.text]
    assert not complaints, complaints[0]
    if any("plot" in cell.source for cell in executed):
        shown = {kind for output in outputs for kind in output.get("data", {})}
        assert shown & {"image/png", "image/svg+xml", "application/vnd.plotly.v1+json", "text/html"}
