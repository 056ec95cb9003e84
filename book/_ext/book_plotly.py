"""Interactive Plotly figures that need no network: the figure's data in the page, one script for the whole site.

A cell's Plotly output becomes a `plotly_figure` node: a box that holds the figure as JSON (arrays stay in
Plotly's compact base64 form) and that ``book_plotly.js`` draws when the reader comes near it. Alternative
text comes from the cell's ``mystnb: {image: {alt: ...}}``; number and caption, as for every other output,
from ``mystnb: {figure: {name: ..., caption: ...}}``.
"""

from __future__ import annotations

import html
import json
import shutil
from pathlib import Path
from typing import Any

import plotly
from docutils import nodes
from markdown_it.tree import SyntaxTreeNode
from myst_nb.core import render
from myst_nb.core.render import MimeData, NbElementRenderer
from myst_nb.sphinx_ import SphinxNbRenderer
from nbformat import NotebookNode
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

__all__ = ["PlotlyRenderer", "plotly_figure", "setup"]

MIME_TYPE = "application/vnd.plotly.v1+json"
DEFAULT_HEIGHT = 450

_PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
_OURS = Path(__file__).with_suffix(".js")

logger = logging.getLogger(__name__)


class plotly_figure(nodes.General, nodes.Element):
    """A figure: ``json`` for plotly.js, ``alt`` in words, ``height`` in pixels."""


class PlotlyRenderer:
    """What myst-nb asks for each output of a cell; answers for Plotly's alone."""

    mime_priority_overrides = (("html", MIME_TYPE, 1),)

    @staticmethod
    def handle_mime(renderer: NbElementRenderer, data: MimeData, inline: bool) -> list[nodes.Element] | None:
        """Makes the node of a Plotly figure."""
        if data.mime_type != MIME_TYPE or inline:
            return None
        figure: dict[str, Any] = data.content
        layout = figure.get("layout", {})
        image = renderer.renderer.get_cell_level_config("render_image_options", data.cell_metadata, line=data.line)
        alt = " ".join(str(image.get("alt", "")).split())
        if not alt:
            place = (renderer.renderer.sphinx_env.docname, data.line)
            logger.warning("a plotly figure has no alternative text (mystnb: image: alt:)", location=place)
        kept = {key: figure[key] for key in ("data", "layout", "config", "frames") if figure.get(key)}
        return [
            plotly_figure(
                json=json.dumps(kept, separators=(",", ":")),
                alt=alt,
                height=int(layout.get("height") or DEFAULT_HEIGHT),
            )
        ]


def _visit(self: HTML5Translator, node: plotly_figure) -> None:
    alt = html.escape(node["alt"], quote=True)
    figure = node["json"].replace("<", "\\u003c")  # so that no string of the figure can end the script
    self.body.append(
        f'<div class="book-plotly" role="img" aria-label="{alt}" style="min-height: {node["height"]}px">'
        f'<script type="application/json">{figure}</script><noscript>{alt}</noscript></div>\n'
    )
    raise nodes.SkipNode


def _visit_elsewhere(self: Any, node: plotly_figure) -> None:
    raise nodes.SkipNode


def _caption_last_output_only(render_outputs: Any) -> Any:
    """A cell with a sound player above its figure has two outputs; number and caption are the figure's."""

    def render_one_figure(self: SphinxNbRenderer, token: SyntaxTreeNode, outputs: list[NotebookNode]) -> None:
        metadata = token.meta["metadata"]
        settings = metadata.get("mystnb", {})
        shown = [output for output in outputs if output.output_type in ("display_data", "execute_result")]
        if "figure" in settings and len(shown) > 1:
            last = outputs.index(shown[-1])
            without = {key: value for key, value in settings.items() if key != "figure"}
            token.meta["metadata"] = {**metadata, "mystnb": without}
            render_outputs(self, token, outputs[:last])
            token.meta["metadata"] = metadata
            outputs = outputs[last:]
        render_outputs(self, token, outputs)

    return render_one_figure


def _add_scripts(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    if doctree is not None and next(doctree.findall(plotly_figure), None) is not None:
        app.add_js_file(f"plotly/{_PLOTLY.name}", loading_method="defer")
        app.add_js_file(f"plotly/{_OURS.name}", loading_method="defer")


def _copy_scripts(app: Sphinx) -> None:
    if app.builder.format == "html":
        folder = Path(app.outdir) / "_static" / "plotly"
        folder.mkdir(parents=True, exist_ok=True)
        for script in (_PLOTLY, _OURS):
            shutil.copyfile(script, folder / script.name)


def _teach_myst_nb() -> None:
    """Gives myst-nb our renderer; by itself it looks for renderers in installed packages only."""
    if PlotlyRenderer not in render.load_mime_renders():
        installed = render.load_mime_renders
        render.load_mime_renders = lambda: [*installed(), PlotlyRenderer]
        outputs = "_render_nb_cell_code_outputs"
        setattr(SphinxNbRenderer, outputs, _caption_last_output_only(getattr(SphinxNbRenderer, outputs)))


def setup(app: Sphinx) -> dict[str, Any]:
    """Adds node, renderer and scripts."""
    _teach_myst_nb()
    app.add_node(plotly_figure, html=(_visit, None), latex=(_visit_elsewhere, None), text=(_visit_elsewhere, None))
    app.connect("builder-inited", _copy_scripts)
    app.connect("html-page-context", _add_scripts)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
