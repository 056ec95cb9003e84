"""Formulas without a network: one file of MathJax, from an installed package, on the pages that have formulas."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ExtensionError

__all__ = ["setup"]

_FILE = "tex-svg-full.js"  # draws glyphs as curves, so there are no fonts to load
_PACKAGE = "sphinx-mathjax-offline"  # a module's name too, though no import statement could name it


def _source() -> Path:
    found = find_spec(_PACKAGE)
    if found is None or found.origin is None:
        raise ExtensionError(f"the package {_PACKAGE} is not installed; run pip install -r requirements.txt")
    return Path(found.origin).parent / "static" / "mathjax" / _FILE


def _use_local_file(app: Sphinx, config: Config) -> None:
    config.mathjax_path = f"mathjax/{_FILE}"
    # The menu offers explorers whose scripts are not in the one file. Screen readers get MathML all the same.
    config.mathjax3_config = {"options": {"enableMenu": False}}


def _copy(app: Sphinx) -> None:
    if app.builder.format == "html":
        folder = Path(app.outdir) / "_static" / "mathjax"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_source(), folder / _FILE)


def _only_where_needed(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Sphinx loads MathJax on the landing page too where any chapter has formulas."""
    if doctree is None or not any(map(doctree.next_node, (nodes.math, nodes.math_block))):
        context["script_files"] = [file for file in context["script_files"] if not _is_about_mathjax(file)]


def _is_about_mathjax(script: Any) -> bool:
    return _FILE in str(script.filename) or "window.MathJax" in str(script.attributes.get("body"))


def setup(app: Sphinx) -> dict[str, Any]:
    """Tells Sphinx's own extension where MathJax is."""
    app.connect("config-inited", _use_local_file)
    app.connect("builder-inited", _copy)
    app.connect("html-page-context", _only_where_needed, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
