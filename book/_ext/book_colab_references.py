"""Where the references of one page of the book lead, and what the book calls its figures and equations."""

from __future__ import annotations

import base64
import mimetypes
from pathlib import Path
from urllib.parse import quote, urljoin

from docutils import nodes
from sphinx.application import Sphinx

__all__ = ["References"]


class References:
    """Addresses and numbers of what a page refers to.

    Args:
        app: the build, in which all pages have been read.
        docname: the page.
        site: address of the published book, ending in a slash; None where it is unknown.

    Attributes:
        page: address of the page in the published book, or None.
    """

    def __init__(self, app: Sphinx, docname: str, site: str | None) -> None:
        self.app, self.docname, self.site = app, docname, site
        self.page = site and urljoin(site, quote(app.builder.get_target_uri(docname)))

    def link(self, node: nodes.Element) -> str | None:
        """Address of a reference, or None where it is unknown."""
        if "filename" in node:  # a file to download
            return self.site and urljoin(self.site, f"_downloads/{quote(node['filename'])}")
        target = node.get("refuri") or (f"#{node['refid']}" if "refid" in node else None)
        if target is None or (node.get("refuri") and not node.get("internal")):
            return target
        return self.page and urljoin(self.page, target)

    def image(self, node: nodes.image) -> str:
        """Address of an image; where that of the book is unknown, the image itself."""
        uri = node["uri"]
        if uri not in self.app.env.images:
            return uri  # somewhere else in the web
        if self.site:
            return urljoin(self.site, f"_images/{quote(self.app.env.images[uri][1])}")
        content = base64.b64encode(Path(self.app.srcdir, uri).read_bytes()).decode()
        return f"data:{mimetypes.guess_type(uri)[0]};base64,{content}"

    def number(self, node: nodes.Element) -> str:
        """What the book calls a figure or table, such as "Fig. 3"; empty where it has no number."""
        kind = self.app.env.domains["std"].get_enumerable_node_type(node)
        number = self._number(kind, node) if kind else ""
        return self.app.config.numfig_format[kind].replace("%s", number) if number else ""

    def equation(self, node: nodes.math_block) -> str:
        """Number of an equation, or an empty string."""
        return self._number("displaymath", node) or str(node["number"] or "")

    def _number(self, kind: str, node: nodes.Element) -> str:
        numbers = self.app.env.toc_fignumbers.get(self.docname, {}).get(kind, {})
        return next((".".join(map(str, numbers[name])) for name in node["ids"] if name in numbers), "")
