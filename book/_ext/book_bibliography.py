"""Citations by author and year, with the same labels in the text and in the bibliography.

sphinxcontrib-bibtex cites "Wang et al. [2020]" in the text, but labels the list otherwise, and cannot tell three works
of one author and year apart. Here a work is "Wang et al., 2020b" in both places, whatever list it stands in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any, ClassVar

import sphinxcontrib.bibtex.plugin
from pybtex.database import Entry
from pybtex.plugin import register_plugin
from pybtex.richtext import Text
from pybtex.style.formatting.unsrt import Style as UnsrtStyle
from pybtex.style.labels import BaseLabelStyle
from pybtex.style.sorting import BaseSortingStyle
from sphinxcontrib.bibtex.style.referencing.author_year import AuthorYearReferenceStyle
from sphinxcontrib.bibtex.style.referencing.basic_author_year import (
    BasicAuthorYearParentheticalReferenceStyle,
    BasicAuthorYearTextualReferenceStyle,
)
from sphinxcontrib.bibtex.style.template import entry_label, join, join2, node, post_text, pre_text, reference

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.config import Config

_NAME = "author_year_letter"


def work_labels(entries: Mapping[str, Entry]) -> dict[str, str]:
    """Labels of all works: "Koch et al., 2015", with a letter behind the year where it is needed.

    Args:
        entries: key -> entry of the whole BibTeX file.

    Returns:
        key -> label; no two works have the same.
    """
    plain = {key: f"{_names(entry)}, {entry.fields.get('year', 'n.d.')}" for key, entry in entries.items()}
    shared = {label for label, count in Counter(plain.values()).items() if count > 1}
    letters = {label: iter(ascii_lowercase) for label in shared}
    return {key: label + next(letters[label]) if label in shared else label for key, label in sorted(plain.items())}


def _names(entry: Entry) -> str:
    """Last names of one or two authors (or editors), the first of more."""
    persons = entry.persons.get("author") or entry.persons.get("editor") or []
    names = [Text.from_latex(" ".join([*person.prelast_names, *person.last_names])) for person in persons]
    if len(names) > 2:
        return f"{names[0]} et al."
    return " and ".join(str(name) for name in names) or str(Text.from_latex(entry.fields["title"]))


class _Labels(BaseLabelStyle):  # type: ignore[misc]
    """Looks labels up, since a list may hold only some of the works."""

    of_key: ClassVar[dict[str, str]] = {}

    def format_labels(self, sorted_entries: Sequence[Entry]) -> Iterator[str]:
        for entry in sorted_entries:
            yield self.of_key[entry.key]


class _ByLabel(BaseSortingStyle):  # type: ignore[misc]
    def sorting_key(self, entry: Entry) -> str:
        return _Labels.of_key[entry.key].casefold()


class AuthorYearStyle(UnsrtStyle):  # type: ignore[misc]
    """The list, in the order of its labels."""

    default_label_style = _Labels
    default_sorting_style = _ByLabel


@node
def _lettered_year(children: Sequence[Any], data: Mapping[str, Any]) -> Text:
    return Text(data["formatted_entry"].label.rpartition(", ")[2])


class _Parenthetical(BasicAuthorYearParentheticalReferenceStyle):
    """Such as [Wang et al., 2020b]."""

    def inner(self, role_name: str) -> Any:
        return join2(sep1=self.pre_text_sep, sep2=self.post_text_sep)[pre_text, reference[entry_label], post_text]


class _Textual(BasicAuthorYearTextualReferenceStyle):
    """Such as Wang et al. [2020b]."""

    def inner(self, role_name: str) -> Any:
        year = join2(sep1=self.pre_text_sep, sep2=self.post_text_sep)[pre_text, reference[_lettered_year], post_text]
        names = self.person.author_or_editor_or_title(full="s" in role_name)
        return join(sep=self.text_reference_sep)[names, join[self.bracket.left, year, self.bracket.right]]


class AuthorYearReferences(AuthorYearReferenceStyle):
    """References in the text."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.role_style |= {role: style for style in (_Parenthetical(), _Textual()) for role in style.role_names()}


def _choose_styles(app: Sphinx, config: Config) -> None:
    config["bibtex_default_style"] = _NAME
    config["bibtex_reference_style"] = _NAME


def _read_labels(app: Sphinx) -> None:
    _Labels.of_key = work_labels(app.env.get_domain("cite").bibdata.data.entries)  # type: ignore[attr-defined]


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers both styles and makes them the book's."""
    register_plugin("pybtex.style.formatting", _NAME, AuthorYearStyle)
    sphinxcontrib.bibtex.plugin.register_plugin(
        "sphinxcontrib.bibtex.style.referencing", _NAME, AuthorYearReferences, force=True
    )
    app.connect("config-inited", _choose_styles)
    app.connect("builder-inited", _read_labels, priority=600)  # once sphinxcontrib-bibtex has read the file
    return {"parallel_read_safe": True, "parallel_write_safe": True}
