"""Makes the notebook of one executable page of the book, for readers who run it on Colab.

Its code cells are those of the page's source, hidden ones too. Its text is written from the page as Sphinx has
resolved it, so it needs a build's environment.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
from book_colab_markdown import MarkdownWriter
from book_colab_references import References
from book_execution import code_cells
from docutils import nodes
from myst_nb.core.read import read_myst_markdown_notebook
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from sphinx.application import Sphinx

__all__ = ["is_executable", "make_notebook"]

# "musicfsl[plots]" in the cell that installs the package.
REQUIREMENT = re.compile(r'(?<=")musicfsl(?:\[[\w,]+\])?(?=")')

# Tags of cells whose code the page shows only when asked; a quiz may have its answer there.
HIDDEN = {"hide-input", "hide-cell", "remove-input"}


def is_executable(app: Sphinx, docname: str) -> bool:
    """Whether a page holds code cells."""
    return docname in app.env.found_docs and bool(code_cells(_text(app, docname)))


def make_notebook(app: Sphinx, docname: str, site: str | None, repository: str | None) -> NotebookNode:
    """A page as a notebook without outputs.

    Args:
        app: the build, in which all pages have been read.
        docname: an executable page.
        site: address of the published book, ending in a slash; None leaves references to the book plain text.
        repository: ``owner/name`` on GitHub that the notebook installs the package from; None for the package index.
    """
    page = _Page(app, docname, References(app, docname, site))
    cells = [new_markdown_cell(page.origin()), *page.cells()]
    install = next((cell for cell in cells if cell.cell_type == "code"), None)
    if install is not None and repository is not None:
        install.source = REQUIREMENT.sub(rf"\g<0> @ git+https://github.com/{repository}", install.source)
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"  # the same at every build
    notebook = new_notebook(
        cells=cells,
        metadata={
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "colab": {"name": f"{docname.rpartition('/')[2]}.ipynb", "provenance": []},
        },
    )
    nbformat.validate(notebook)
    return notebook


class _Page:
    """A page of the book, taken apart into cells."""

    def __init__(self, app: Sphinx, docname: str, references: References) -> None:
        self.app, self.docname, self.references = app, docname, references
        self.writer = MarkdownWriter(references)
        self.source = _read(app, docname)
        self.waiting = [index for index, cell in enumerate(self.source.cells) if cell.cell_type == "code"]

    def origin(self) -> str:
        """Which chapter of which book this is."""
        chapter, book = self.app.env.titles[self.docname].astext(), self.app.config.html_title
        if self.references.site:
            chapter, book = f"[{chapter}]({self.references.page})", f"[{book}]({self.references.site})"
        return f"*This notebook is the chapter “{chapter}” of the book “{book}”, to run and to change.*"

    def cells(self) -> Iterator[NotebookNode]:
        """The page's code, and between it the page's text, in which each heading begins a new cell."""
        text: list[str] = []
        page = self.app.env.get_and_resolve_doctree(self.docname, self.app.builder)
        for part in (*self._parts(page, level=0), None):
            begins_a_cell = not isinstance(part, str) or part.startswith("#")
            if begins_a_cell and text:
                yield new_markdown_cell("\n\n".join(text))
                text = []
            if isinstance(part, str):
                text.append(part)
            elif part is not None:
                yield part
        yield from self._code_while(lambda index: True)

    def _parts(self, parent: nodes.Element, level: int) -> Iterator[str | NotebookNode]:
        """Code cells and blocks of Markdown, in order."""
        for node in parent.children:
            if isinstance(node, nodes.Element) and node.get("nb_element") == "cell_code":
                yield from self._code_while(node["cell_index"].__ge__)
                yield from self._captions(node)
                continue
            # Of hidden cells nothing but the line is known. A section's line is that of its heading.
            lines, line = self.source.metadata["source_map"], node.line or 0
            yield from self._code_while(lambda index, lines=lines, line=line: lines[index] < line)
            if isinstance(node, nodes.section):
                yield from self._parts(node, level + 1)
            elif isinstance(node, nodes.title):
                yield f"{'#' * min(level, 6)} {self.writer.inline(node)}"
            elif text := self.writer.block(node):
                yield text

    def _code_while(self, is_next: Callable[[int], bool]) -> Iterator[NotebookNode]:
        """The code cells that were not given yet, as long as their index in the source fulfils a condition."""
        while self.waiting and is_next(self.waiting[0]):
            code = self.source.cells[self.waiting.pop(0)]
            tags = code.metadata.get("tags", [])
            metadata: dict[str, Any] = {"tags": tags} if tags else {}
            if HIDDEN & set(tags):
                metadata |= {"cellView": "form", "jupyter": {"source_hidden": True}}  # for Colab, for JupyterLab
            yield new_code_cell(code.source, metadata=metadata)

    def _captions(self, cell: nodes.Element) -> Iterator[str]:
        """Captions of the figures that a cell draws; where there are none, what is said of them to the blind."""
        captions = [self.writer.caption(caption.parent) for caption in cell.findall(nodes.caption)]
        if captions:
            yield from captions
        elif alt := cell["cell_metadata"].get("mystnb", {}).get("image", {}).get("alt"):
            yield f"*Figure: {self.writer.paragraph(nodes.inline('', alt))}*"


def _text(app: Sphinx, docname: str) -> str:
    return Path(app.env.doc2path(docname)).read_text(encoding="utf-8")


def _read(app: Sphinx, docname: str) -> NotebookNode:
    """The cells of a page's source, as they were executed."""
    return read_myst_markdown_notebook(_text(app, docname), app.env.myst_config, add_source_map=True)
