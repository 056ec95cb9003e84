"""Exports each executable page as a notebook for Colab, and gives the page the buttons that lead to it.

A build of the site leaves ``<docname>.ipynb`` in ``colab/`` beside the site. A workflow publishes that folder as the
branch ``notebooks``, which the pages' Colab buttons point to; with no repository known there is no such button. The
same notebooks can be downloaded from the pages.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import nbformat
from book_colab_notebook import is_executable, make_notebook
from book_repository import pages_url, repository
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util import logging

__all__ = ["colab_url", "setup"]

BRANCH = "notebooks"
logger = logging.getLogger(__name__)


def colab_url(docname: str) -> str | None:
    """Address at which Colab opens a page's published notebook; None where no repository is known."""
    known = repository()
    return known and f"https://colab.research.google.com/github/{known}/blob/{BRANCH}/{docname}.ipynb"


def setup(app: Sphinx) -> dict[str, Any]:
    """Connects the export and the buttons."""
    app.connect("config-inited", _switch_off_buttons_of_the_theme)
    app.connect("html-page-context", _offer_download, priority=500)  # before the theme makes its buttons, at 501
    app.connect("html-page-context", _add_button, priority=600)  # after it
    app.connect("build-finished", _export)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _switch_off_buttons_of_the_theme(app: Sphinx, config: Config) -> None:
    """The theme's own buttons would point to the ``.md`` sources, which Colab cannot open."""
    config.html_theme_options = {**config.html_theme_options, "launch_buttons": {}}


def _offer_download(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    if is_executable(app, pagename):
        context["ipynb_source"] = f"{pagename}.ipynb"


def _add_button(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    url = colab_url(pagename)
    if url is not None and is_executable(app, pagename) and "header_buttons" in context:
        button = {"type": "link", "text": "Colab", "tooltip": "Launch on Colab", "url": url}
        button["icon"] = "_static/images/logo_colab.png"  # of the theme
        group = {"type": "group", "label": "launch-buttons", "buttons": [button]}
        group |= {"tooltip": "Launch interactive content", "icon": "fas fa-rocket"}
        context["header_buttons"].insert(0, group)


def _export(app: Sphinx, exception: Exception | None) -> None:
    if exception is not None or app.builder.name != "html":
        return
    folder, downloads = Path(app.outdir).parent / "colab", Path(app.outdir) / "_sources"
    shutil.rmtree(folder, ignore_errors=True)
    site = app.config.html_baseurl or pages_url()
    site = site and f"{site.rstrip('/')}/"
    names = sorted(name for name in app.env.found_docs if is_executable(app, name))
    for name in names:
        notebook = make_notebook(app, name, site or None, repository())
        for path in (folder / f"{name}.ipynb", downloads / f"{name}.ipynb"):
            path.parent.mkdir(parents=True, exist_ok=True)
            nbformat.write(notebook, path)
    logger.info("%d notebooks for Colab in %s", len(names), folder)
