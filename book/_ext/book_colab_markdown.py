"""Writes docutils nodes as the plain Markdown that notebooks show.

The nodes are those of a page whose references Sphinx has resolved, so numbers, citations and links read as in
the book, whatever syntax they were written in. What notebooks have no Markdown for becomes what reads best there:
boxes become block quotes, dropdowns ``<details>``, tabs headed sections, definitions lists.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from book_colab_inline import InlineWriter, as_code, as_html
from docutils import nodes
from sphinx.locale import admonitionlabels

__all__ = ["MarkdownWriter"]

# Languages of code blocks that notebooks know under another name, or not at all.
LANGUAGES = {"ipython3": "python", "ipython": "python", "default": "", "none": "", "myst-ansi": ""}


class MarkdownWriter(InlineWriter):
    """Markdown of blocks, with the methods ``block_NAME`` as those of `InlineWriter`."""

    def blocks(self, children: Iterable[nodes.Node]) -> str:
        """Paragraphs, lists and other blocks, with blank lines between them."""
        return "\n\n".join(filter(None, map(self.block, children)))

    def block(self, node: nodes.Node) -> str:
        """One block, without blank lines around it; an empty string if the notebook has no use for it."""
        if method := self._method("block", node):
            return method(node)
        if isinstance(node, (nodes.Inline, nodes.Text, nodes.TextElement)):
            return self.paragraph(node)
        return self.blocks(node.children)

    def paragraph(self, node: nodes.Node) -> str:
        """A node's running text as a block of its own."""
        text = "\n".join(line.strip() for line in self.inline(node).strip().splitlines() if line.strip())
        # What would begin a list, heading or quotation at the start of a line gets a backslash before its end.
        return re.sub(r"(?m)^(>|(?:[-+]|#+|\d+[.)])(?=\s))", lambda found: f"{found[0][:-1]}\\{found[0][-1]}", text)

    def caption(self, node: nodes.Element) -> str:
        """The caption of a figure or table with its number, in italics; empty if there is neither."""
        text = next((self.inline(child) for child in node if isinstance(child, (nodes.caption, nodes.title))), "")
        parts = [self.references.number(node), " ".join(text.split())]
        line = ". ".join(filter(None, parts))
        return f"*{line}*" if line else ""

    def block_paragraph(self, node: nodes.paragraph) -> str:
        # Running time and data of the book's figures do not concern those who compute their own.
        return "" if "chapter-measured" in node["classes"] else self.paragraph(node)

    def block_rubric(self, node: nodes.rubric) -> str:
        return f"**{self.paragraph(node)}**"

    block_sd_tab_label = block_rubric  # the label of a tab, of sphinx-design

    def block_Invisible(self, node: nodes.Element) -> str:
        return ""

    block_system_message = block_Invisible

    def block_caption(self, node: nodes.caption) -> str:
        return self.caption(node.parent)

    def block_transition(self, node: nodes.transition) -> str:
        return "---"

    def block_raw(self, node: nodes.raw) -> str:
        return self.inline_raw(node).strip()

    def block_literal_block(self, node: nodes.literal_block) -> str:
        code = node.astext().rstrip("\n")
        fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", code)), default=0))
        language = node.get("language", "")
        return f"{fence}{LANGUAGES.get(language, language)}\n{code}\n{fence}"

    block_doctest_block = block_literal_block

    def block_math_block(self, node: nodes.math_block) -> str:
        text = re.sub(r"(?<!\\)%.*", "", node.astext())  # without comments
        lines, number = list(filter(str.strip, text.splitlines())), self.references.equation(node)
        tag = [rf"\tag{{{number}}}"] if number else []
        if node.get("nowrap") and r"\begin" in lines[0]:  # an environment that numbers its own lines
            lines[-1:-1] = tag
        elif r"\\" in text and r"\begin" not in text:
            lines = [r"\begin{split}", *lines, r"\end{split}", *tag]
        else:
            lines += tag
        # Notebooks take the marks of a surrounding quotation for a part of the equation, were they to stand in it.
        nested = not isinstance(node.parent, (nodes.section, nodes.document))
        return (" " if nested else "\n").join(["$$", *lines, "$$"])

    def block_Admonition(self, node: nodes.Element) -> str:
        first, *rest = node.children or [nodes.Text("")]
        title, body = (first, rest) if isinstance(first, nodes.title) else (None, node.children)
        label = title or nodes.Text(admonitionlabels.get(node.tagname, node.tagname.capitalize()))
        if {"dropdown", "toggle"} & set(node["classes"]):
            return self._details(label, body)
        return _prefixed("> ", f"**{self.inline(label)}**\n\n{self.blocks(body)}".strip())

    block_sidebar = block_topic = block_Admonition

    def block_dropdown_main(self, node: nodes.Element) -> str:
        """A dropdown of sphinx-design; its title stands between icons."""
        title, *body = node.children
        words = [child for child in title.children if "sd-summary-text" in getattr(child, "attributes", {})["classes"]]
        return self._details(words[0] if words else nodes.Text("More"), body)

    def block_block_quote(self, node: nodes.block_quote) -> str:
        return _prefixed("> ", self.blocks(node.children))

    def block_bullet_list(self, node: nodes.bullet_list) -> str:
        return self._list(node, ["- "] * len(node))

    def block_enumerated_list(self, node: nodes.enumerated_list) -> str:
        start = node.get("start", 1)
        return self._list(node, [f"{number}. " for number in range(start, start + len(node))])

    def block_definition_list(self, node: nodes.definition_list) -> str:
        return self._list(node, ["- "] * len(node))

    def block_term(self, node: nodes.term) -> str:
        return f"**{self.paragraph(node)}**"

    def block_footnote(self, node: nodes.footnote) -> str:
        label, *body = node.children
        return f"<sup>{label.astext()}</sup> {self.blocks(body)}"

    def block_figure(self, node: nodes.figure) -> str:
        legend = [child for child in node if not isinstance(child, (nodes.caption, nodes.image, nodes.reference))]
        images = "\n".join(map(self.inline, node.findall(nodes.image)))
        return "\n\n".join(filter(None, [images, self.caption(node), self.blocks(legend)]))

    def block_table(self, node: nodes.table) -> str:
        rows = [[self._cell(entry) for entry in row] for row in node.findall(nodes.row)]
        if not any(True for _ in node.findall(nodes.thead)):
            rows.insert(0, [""] * len(rows[0]))
        right = ["text-right" in entry["classes"] for entry in next(node.findall(nodes.row))]
        rows.insert(1, ["--:" if flag else ":--" for flag in right])
        lines = "\n".join(f"| {' | '.join(row)} |" for row in rows)
        return "\n\n".join(filter(None, [self.caption(node), lines]))

    def _details(self, title: nodes.Node, body: Iterable[nodes.Node]) -> str:
        return f"<details>\n<summary>{as_html(title)}</summary>\n\n{self.blocks(body)}\n\n</details>"

    def _list(self, node: nodes.Element, markers: list[str]) -> str:
        items = [_indented(marker, self.blocks(item.children)) for marker, item in zip(markers, node, strict=True)]
        return ("\n" if all(len(item) == 1 for item in node) else "\n\n").join(items)

    def _cell(self, entry: nodes.entry) -> str:
        """The content of a table's cell on one line."""
        lines = []
        for child in entry:
            if isinstance(child, (nodes.bullet_list, nodes.enumerated_list)):
                lines += [f"• {self.blocks(item.children)}" for item in child]
            elif isinstance(child, nodes.math_block):
                lines.append(self.inline_math(child))
            elif isinstance(child, nodes.literal_block):
                lines += [as_code(line) for line in child.astext().splitlines()]
            else:
                lines.append(self.block(child))
        return "<br>".join(" ".join(line.split()) for line in lines).replace("|", r"\|")


def _prefixed(prefix: str, text: str) -> str:
    return "\n".join((prefix + line).rstrip() for line in text.split("\n"))


def _indented(marker: str, text: str) -> str:
    """A list's item: its marker, and all further lines set in below it."""
    lines = [" " * len(marker) + line if line else "" for line in text.split("\n")]
    return "\n".join([marker + lines[0][len(marker) :], *lines[1:]]).rstrip()
