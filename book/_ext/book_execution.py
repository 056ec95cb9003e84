"""How the chapters' code is executed, and when it is executed anew.

jupyter-cache keeps a chapter's outputs for as long as its code cells and its kernelspec stay the same. The
chapter's *fingerprint*, a hash of everything else that its outputs depend on, is therefore written into its
kernelspec as the page is read (in memory, never in the file).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from book_dependencies import Package
from book_repository import ROOT
from docutils import nodes
from ipykernel.kernelspec import get_kernel_dict
from IPython.core.inputtransformer2 import TransformerManager
from myst_nb.core.read import is_myst_markdown_notebook, read_myst_markdown_notebook
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.util import logging

__all__ = ["DATASET_VARIABLE", "code_cells", "dataset_in_use", "fingerprint_of", "setup"]

logger = logging.getLogger(__name__)

DATASET_VARIABLE = "MUSICFSL_DATASET"
DEFAULT_DATASET = "synthetic"

_FOLDER_VARIABLES = ("MUSICFSL_CACHE", "MUSICFSL_DATA")
#: What readers may bring to single chapters: a published network, by its name or path, or a folder of sounds.
_READERS_VARIABLES = ("MUSICFSL_AST", "MUSICFSL_CNN14", "MUSICFSL_SOUNDS")

#: What kernels are told. Progress bars and remarks would be frozen into the page.
_KERNEL_ENVIRONMENT = {
    "TQDM_DISABLE": "1",
    "POSSIBLE_USER_WARNINGS": "off",  # Lightning's advice on settings
    "PLOTLY_RENDERER": "plotly_mimetype",  # the figure's data alone, which book_plotly draws
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
}

#: Run in every kernel before the first cell. Lightning announces the hardware and prints tips as log messages;
#: tqdm misses a package that only its widgets need.
_KERNEL_START = (
    "import logging, warnings; logging.getLogger('pytorch_lightning.utilities.rank_zero').setLevel('WARNING'); "
    "warnings.filterwarnings('ignore', message='IProgress not found'); "
    "warnings.filterwarnings('ignore', message='.isinstance.treespec, LeafSpec.. is deprecated')"
)


def dataset_in_use() -> str:
    """The data set that chapters open: a name, or the absolute path of a folder."""
    chosen = os.environ.get(DATASET_VARIABLE) or DEFAULT_DATASET
    folder = Path(chosen).expanduser()
    if not folder.is_dir() or (folder.name == chosen and chosen in _dataset_names()):
        return chosen
    return str(folder.absolute())


def code_cells(source: str) -> list[str]:
    """The code of a chapter, cell by cell; empty for a page that is no notebook."""
    if not is_myst_markdown_notebook(source):
        return []
    return [cell.source for cell in read_myst_markdown_notebook(source).cells if cell.cell_type == "code"]


def fingerprint_of(source: str) -> str | None:
    """A hash of what a chapter's outputs depend on, apart from its own cells; None where there are none."""
    cells = code_cells(source)
    if not cells:
        return None
    package = _package()
    used = package.used_by("\n".join(TransformerManager().transform_cell(cell) for cell in cells))
    parts = [package.fingerprint(used), _state_of(dataset_in_use()), _environment()]
    asked_for = [name for name in _READERS_VARIABLES if any(name in cell for cell in cells)]
    parts += [_state_of(_brought(name)) for name in asked_for]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _brought(variable: str) -> str:
    """What a reader brings: a name, or the absolute path of a file or folder, for kernels run elsewhere; or nothing."""
    chosen = os.environ.get(variable, "")
    return str(Path(chosen).absolute()) if chosen and Path(chosen).exists() else chosen


@cache
def _package() -> Package:
    return Package(ROOT / "musicfsl")


@cache
def _state_of(dataset: str) -> str:
    """Changes when a data set (or network) does: for a file or folder, with names, sizes and times."""
    folder = Path(dataset)
    if not folder.is_absolute():
        return f"{dataset} {os.environ.get('MUSICFSL_DATA', '')}"
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return "\n".join(f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in [folder, *files])


@cache
def _environment() -> str:
    """How kernels are started, Python's version, and those of the packages that requirements.txt pins."""
    requirements = ROOT / "requirements.txt"
    lines = requirements.read_text(encoding="utf-8").splitlines() if requirements.exists() else []
    names = sorted({name[0] for line in lines if (name := re.match(r"[\w.-]+", line))})
    versions = [f"{name} {_version(name)}" for name in names]
    return "\n".join([f"{_KERNEL_ENVIRONMENT} {_KERNEL_START}", f"Python {sys.version.split()[0]}", *versions])


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"  # meant for another system or Python


def _dataset_names() -> list[str]:
    from musicfsl.datasets import dataset_names

    return list(dataset_names())


def _prepare_kernels(app: Sphinx) -> None:
    """Makes "python3" this very interpreter, with this checkout's package, whatever kernels the user has."""
    # Folders may be given relative to where the build was started; kernels run elsewhere.
    named = {name: os.environ[name] for name in _FOLDER_VARIABLES if os.environ.get(name)}
    folders = {name: str(Path(folder).expanduser().absolute()) for name, folder in named.items()}
    search_path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    specification = {
        **get_kernel_dict(extra_arguments=["--log-level=ERROR", f"--IPKernelApp.exec_lines={_KERNEL_START}"]),
        "display_name": "Python 3",
        "env": {
            **_KERNEL_ENVIRONMENT,
            **folders,
            DATASET_VARIABLE: dataset_in_use(),
            **{name: _brought(name) for name in _READERS_VARIABLES if name in os.environ},
            "PYTHONPATH": search_path,
        },
    }
    folder = Path(app.outdir).parent / "jupyter"
    kernel = folder / "kernels" / "python3"
    kernel.mkdir(parents=True, exist_ok=True)
    (kernel / "kernel.json").write_text(json.dumps(specification, indent=1), encoding="utf-8")
    # Folders of JUPYTER_PATH come before the user's and the environment's.
    os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, [str(folder), os.environ.get("JUPYTER_PATH")]))


def _note_extensions(app: Sphinx, config: Config) -> None:
    """Reads every page anew when an extension of the book has changed (no code runs for that)."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    config.book_extensions = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()


def _outdated(app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]) -> list[str]:
    known = _fingerprints(env)
    return [name for name in env.found_docs - added - removed if _page_fingerprint(env, name) != known.get(name)]


def _page_fingerprint(env: BuildEnvironment, docname: str) -> str | None:
    path = Path(env.doc2path(docname))
    try:
        return fingerprint_of(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError):
        return None  # the page tells what is wrong with it as it is read


def _write_fingerprint(app: Sphinx, docname: str, content: list[str]) -> None:
    try:
        fingerprint = fingerprint_of(content[0])
    except SyntaxError as error:
        raise ExtensionError(f"{docname}: its code cells are not Python: {error}") from None
    _fingerprints(app.env)[docname] = fingerprint
    if fingerprint is not None:
        content[0], found = re.subn(
            r"^kernelspec:\n( +)", rf"kernelspec:\n\1fingerprint: {fingerprint}\n\1", content[0], count=1, flags=re.M
        )
        if not found:
            raise ExtensionError(f"{docname} has code cells, but no kernelspec in its header")


def _warn_of_remarks(app: Sphinx, doctree: nodes.document) -> None:
    """Takes what cells wrote to the error stream out of the page, and tells whoever builds the book."""
    for block in list(doctree.findall(nodes.literal_block)):
        if "stderr" in block["classes"]:
            logger.warning("a cell wrote to the error stream: %s", block.astext().strip()[:500], location=block)
            block.parent.remove(block)


def _forget(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    _fingerprints(env).pop(docname, None)


def _fingerprints(env: BuildEnvironment) -> dict[str, str | None]:
    """The fingerprint that every page had when it was read; kept with Sphinx's environment."""
    found: dict[str, str | None] = vars(env).setdefault("book_fingerprints", {})
    return found


def _in_order_of_contents(app: Sphinx, env: BuildEnvironment, docnames: list[str]) -> None:
    """Reads, and so executes, chapter after chapter, except those whose results others use: they come first."""
    contents = app.config.external_site_map

    def below(name: str) -> Iterator[str]:
        for child in contents[name].child_files():
            yield child.removesuffix(".md")
            yield from below(child)

    root = contents.root.docname
    order = [*app.config.book_executed_first, *below(root), root.removesuffix(".md")]
    place = {name: number for number, name in reversed(list(enumerate(order)))}  # what stands twice counts once, first
    docnames.sort(key=lambda name: place.get(name, len(place)))


def setup(app: Sphinx) -> dict[str, Any]:
    """Connects all of it."""
    sys.path.insert(0, str(ROOT))  # for autodoc
    app.add_config_value("book_extensions", "", "env")
    app.add_config_value("book_executed_first", [], "")
    app.connect("config-inited", _note_extensions)
    app.connect("builder-inited", _prepare_kernels)
    app.connect("env-get-outdated", _outdated)
    app.connect("env-before-read-docs", _in_order_of_contents)
    app.connect("env-purge-doc", _forget)
    app.connect("source-read", _write_fingerprint)
    app.connect("doctree-read", _warn_of_remarks)
    return {"parallel_read_safe": False, "parallel_write_safe": True}  # chapters use what earlier ones left
