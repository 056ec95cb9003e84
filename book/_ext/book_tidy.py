"""Takes away what the stock book brings along and this one does not use.

sphinx-thebe, which Jupyter Book always loads, puts scripts into every page that look for a server on the
network and raise errors. The search page fetches pages to show where a word was found, which browsers refuse for
files that are opened from a disk.
"""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config

__all__ = ["setup"]

_UNUSED_EXTENSION = "sphinx_thebe"
_STYLE_OF_UNUSED = "sphinx-thebe.css"

_SEARCH_FROM_DISK = "if (location.protocol === 'file:') DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;"


def _switch_off_unused_extension(app: Sphinx, config: Config) -> None:
    for listeners in list(app.events.listeners.values()):
        for listener in list(listeners):
            if listener.handler.__module__.partition(".")[0] == _UNUSED_EXTENSION:
                app.disconnect(listener.id)


def _tidy_page(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    context["css_files"] = [file for file in context["css_files"] if _STYLE_OF_UNUSED not in str(file.filename)]
    if pagename == "search":
        app.add_js_file(None, body=_SEARCH_FROM_DISK, priority=900)


def setup(app: Sphinx) -> dict[str, Any]:
    """Connects the tidying."""
    app.connect("config-inited", _switch_off_unused_extension)
    app.connect("html-page-context", _tidy_page)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
