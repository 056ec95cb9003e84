"""Writes running text, given as docutils nodes, as the plain Markdown that notebooks show."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable

from book_colab_references import References
from docutils import nodes

__all__ = ["InlineWriter", "as_code", "as_html"]


class InlineWriter:
    """Markdown of running text.

    A method ``inline_NAME`` writes the nodes of the class NAME and of its subclasses; of all others, what they
    contain is written.
    """

    def __init__(self, references: References) -> None:
        self.references = references

    def inline(self, node: nodes.Node) -> str:
        """Markdown of a node's running text."""
        method = self._method("inline", node)
        return method(node) if method else self._inside(node)

    def _inside(self, node: nodes.Node) -> str:
        return "".join(map(self.inline, node.children))

    def _method(self, kind: str, node: nodes.Node) -> Callable[..., str] | None:
        names = (f"{kind}_{cls.__name__}" for cls in type(node).__mro__)
        return next((getattr(self, name) for name in names if hasattr(self, name)), None)

    def inline_Text(self, node: nodes.Text) -> str:
        return _escaped(node.astext())

    def inline_emphasis(self, node: nodes.Element) -> str:
        return f"_{self._inside(node)}_"  # a caption, in asterisks, may hold it

    inline_literal_emphasis = inline_title_reference = inline_emphasis

    def inline_strong(self, node: nodes.Element) -> str:
        return f"**{self._inside(node)}**"

    inline_literal_strong = inline_strong

    def inline_literal(self, node: nodes.literal) -> str:
        return as_code(node.astext())

    def inline_math(self, node: nodes.Element) -> str:
        text = " ".join(node.astext().split())
        if any(isinstance(ancestor, nodes.entry) for ancestor in _ancestors(node)):
            text = text.replace(r"\|", r"\Vert ").replace("|", r"\vert ")  # bars divide the cells of tables
        return f"${text}$"

    def inline_reference(self, node: nodes.reference) -> str:
        text, address = self._inside(node), self.references.link(node)
        return f"[{text}]({address})" if text and address else text

    inline_download_reference = inline_reference

    def inline_footnote_reference(self, node: nodes.footnote_reference) -> str:
        return f"<sup>{node.astext()}</sup>"

    def inline_subscript(self, node: nodes.subscript) -> str:
        return f"<sub>{node.astext()}</sub>"

    def inline_superscript(self, node: nodes.superscript) -> str:
        return f"<sup>{node.astext()}</sup>"

    def inline_image(self, node: nodes.image) -> str:
        return f"![{_escaped(' '.join(node.get('alt', '').split()))}]({self.references.image(node)})"

    def inline_raw(self, node: nodes.raw) -> str:
        """HTML, which notebooks show too, but not the icons of sphinx-design."""
        text = node.astext()
        return text if "html" in node["format"].split() and not text.startswith("<svg") else ""

    def inline_Invisible(self, node: nodes.Element) -> str:
        return ""

    inline_system_message = inline_Invisible


def as_code(text: str) -> str:
    """A code span, whatever backticks the text holds."""
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    space = " " if "`" in (text[:1], text[-1:]) else ""
    return f"{fence}{space}{text}{space}{fence}"


def as_html(node: nodes.Node) -> str:
    """Running text as HTML, for places where Markdown is not read."""
    if isinstance(node, nodes.Text):
        return html.escape(node.astext(), quote=False)
    text = "".join(map(as_html, node.children))
    tags = {"literal": "code", "emphasis": "em", "strong": "strong"}
    if isinstance(node, nodes.math):
        return f"${text}$"
    return f"<{tags[node.tagname]}>{text}</{tags[node.tagname]}>" if node.tagname in tags else text


def _escaped(text: str) -> str:
    """Text in which no character acts as Markdown, with as few backslashes as that needs."""
    text = re.sub(r"[\\`*$]|~~", r"\\\g<0>", text)
    text = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\_", text)  # not within a word
    text = text.replace("](", r"]\(")
    return re.sub(r"<(?=[a-zA-Z/!?])|&(?=#?\w+;)", lambda found: html.escape(found[0]), text)


def _ancestors(node: nodes.Node) -> Iterable[nodes.Node]:
    while node.parent is not None:
        node = node.parent
        yield node
