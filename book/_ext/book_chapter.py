"""The directive ``{chapter-goals}``: a box with what a chapter teaches, how long it runs and on which data.

The running time is known only once the chapter has been executed, and the data set is chosen for each build;
so both are filled in as the page is written.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from book_execution import dataset_in_use
from docutils import nodes
from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

__all__ = ["ChapterGoals", "data_in_words", "setup", "time_in_words"]

TITLE = "In this chapter"


class ChapterGoals(SphinxDirective):
    """A list of goals; the line on time and data follows by itself."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Makes the box."""
        self.assert_has_content()
        box = nodes.admonition("", nodes.title("", TITLE), classes=["chapter-goals"])
        self.state.nested_parse(self.content, self.content_offset, box)
        box += _Measured(classes=["chapter-measured"])
        return [box]


class _Measured(nodes.paragraph):
    """Place of the line on time and data."""


def time_in_words(seconds: float) -> str:
    """A duration as readers plan with it.

    Example:
        >>> [time_in_words(seconds) for seconds in (0.4, 42.3, 59.7, 125.0)]
        ['1 s', '42 s', '1 min', '2 min 5 s']
    """
    minutes, rest = divmod(max(round(seconds), 1), 60)
    words = [f"{minutes} min"] * (minutes > 0) + [f"{rest} s"] * (rest > 0)
    return " ".join(words)


def data_in_words(dataset: str) -> str:
    """A data set's name, or its folder's name; never the path, which concerns the author's machine alone.

    Example:
        >>> data_in_words("synthetic"), data_in_words("/somewhere/my notes")
        ('the embedded synthetic set', 'my notes')
    """
    return "the embedded synthetic set" if dataset == "synthetic" else Path(dataset).name


def _fill_in(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    for place in list(doctree.findall(_Measured)):
        text = f"{_running_time(app.env, docname)} Figures: computed on {data_in_words(dataset_in_use())}."
        place.replace_self(nodes.paragraph("", text, classes=place["classes"]))


def _running_time(env: BuildEnvironment | None, docname: str) -> str:
    if env is None:
        raise ExtensionError("a page is written before Sphinx has an environment")
    executed = NbMetadataCollector.get_exec_data(env, docname)
    if executed is None or executed["runtime"] is None:
        return "Not executed in this build."
    cores = os.cpu_count() or 1
    return f"Running time: {time_in_words(executed['runtime'])} on {cores} core{'s' * (cores > 1)}."


def setup(app: Sphinx) -> dict[str, Any]:
    """Adds the directive."""
    app.add_directive("chapter-goals", ChapterGoals)
    app.connect("doctree-resolved", _fill_in)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
