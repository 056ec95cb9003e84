"""Side information from text at large: vectors of words (GloVe, word2vec), averaged over the words of a class."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musicfsl._tables import embedded_table, read_mapping
from musicfsl.errors import InputError
from musicfsl.instruments import canonical, canonical_names, name_key
from musicfsl.zeroshot._word_sources import KeyedVectorsLike, open_words
from musicfsl.zeroshot.side_information import SideInformation, UnknownNameError

__all__ = ["WordVectors"]


class WordVectors(SideInformation):
    r"""Vectors of the words that name a class, averaged.

    Which words stand for an instrument says ``tables/words.yaml`` ("Clarinet in Bb": clarinet; "Bass Tuba": tuba); a
    name that neither it nor ``words`` lists stands for its own words. Files in text and binary form are read from front
    to back with little memory, gensim's own form without running what it may hold. A file is read once, and once more
    where a word is asked for that no table has.

    Args:
        name_or_path: a published set by the name of gensim's downloader (``"glove-wiki-gigaword-300"``), kept in
            ``~/gensim-data`` or the folder that ``GENSIM_DATA_DIR`` names; or a file: GloVe's or word2vec's text,
            word2vec's binary form, each also in ``.gz`` or ``.zip`` (``"glove.6B.zip/glove.6B.300d.txt"``), or gensim's
            ``KeyedVectors.save``; or vectors that gensim has in memory (``KeyedVectors``, ``model.wv``).
        words: a YAML file like ``tables/words.yaml``, or a mapping, from names to a word or a list of words; its
            entries replace or extend those of the table.

    Raises:
        InputError: the name or file is unknown, cannot be downloaded, or is damaged; ``words`` is no such mapping.
        MissingExtraError: a set has to be downloaded, and gensim is not installed.

    Reference:
        J. Pennington, R. Socher, C. D. Manning, GloVe: global vectors for word representation, EMNLP 2014.
        T. Mikolov, I. Sutskever, K. Chen, G. Corrado, J. Dean, Distributed representations of words and phrases and
        their compositionality, NeurIPS 2013 (phrases as sums of words).

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> path = Path(tempfile.mkdtemp()) / "vectors.txt"
        >>> _ = path.write_text("clarinet 1 0\nbass 0 1\noud 1 1\n")
        >>> vectors = WordVectors(path)
        >>> vectors(["Clarinet in Bb", "Bass Clarinet", "oud"]).tolist()
        [[1.0, 0.0], [0.5, 0.5], [1.0, 1.0]]
        >>> vectors.words_of("Clarinet in Bb")
        ['clarinet']
    """

    kind = "words"

    def __init__(
        self,
        name_or_path: str | os.PathLike[str] | KeyedVectorsLike,
        words: str | os.PathLike[str] | Mapping[str, str | Sequence[str]] | None = None,
    ) -> None:
        own = {} if words is None else _word_lists(words)
        self._own_names = list(own)
        self._own_words = {name_key(name): listed for name, listed in own.items()}
        self._words = {name_key(name): listed for name, listed in _word_lists(embedded_table("words.yaml")).items()}
        self._words |= {name_key(canonical(name) or name): listed for name, listed in own.items()}
        likely = {spelling for listed in self._words.values() for word in listed for spelling in (word, word.lower())}
        self._source = open_words(name_or_path, likely)
        self.dim = self._source.dim

    def __call__(self, names: Sequence[str]) -> NDArray[np.float32]:
        if not isinstance(names, str):
            names = list(names)
            # The words of all names at once, so that a file is not read anew for each.
            known = (self._known_words(name) for name in names if isinstance(name, str))
            self._source.fetch({word for words in known for word in words if word is not None})
        return super().__call__(names)

    def vector(self, name: str) -> NDArray[np.float32]:
        words = []
        for word, known in zip(self.words_of(name), self._known_words(name), strict=True):
            if known is None:
                raise UnknownNameError(
                    f"class '{name}' needs the word '{word}', which {self._source.name} lacks."
                    f"{self._source.nearest(word)} Name other words for it: "
                    f"WordVectors(..., words={{'{name}': ['...']}})"
                )
            words.append(known)
        if not words:
            raise UnknownNameError(f"class '{name}' has no word in it; name words for it: WordVectors(..., words=...)")
        vectors = self._source.fetch(words)
        mean: NDArray[np.float32] = np.mean([vectors[word] for word in words], axis=0)
        if not mean.any():
            raise InputError(
                f"the words of class '{name}' ({', '.join(words)}) have the mean 0; name other words for it"
            )
        return mean

    def knows(self, name: str) -> bool:
        known = self._known_words(name)
        return bool(known) and None not in known

    def words_of(self, name: str) -> list[str]:
        """The words whose vectors are averaged for a class, whether or not these vectors have them."""
        listed = self._own_words.get(name_key(name)) or self._words.get(name_key(canonical(name) or name))
        return list(listed) if listed else _split(name)

    def known_names(self) -> list[str]:
        return [name for name in dict.fromkeys([*self._own_names, *canonical_names()]) if self.knows(name)]

    def provenance(self) -> dict[str, Any]:
        own = {name: self.words_of(name) for name in self._own_names}
        return {"kind": self.kind, **self._source.provenance(), "own_words": own}

    def _known_words(self, name: str) -> list[str | None]:
        """Each word of a class as the vocabulary has it: as written, or else in lower case, or None."""
        vocabulary = self._source.vocabulary
        return [
            next((spelling for spelling in (word, word.lower()) if spelling in vocabulary), None)
            for word in self.words_of(name)
        ]


def _split(name: str) -> list[str]:
    """The words of a name that no table lists."""
    return [word for word in re.split(r"[\s_\-]+", name.lower()) if word]


def _word_lists(words: str | os.PathLike[str] | Mapping[str, str | Sequence[str]]) -> dict[str, list[str]]:
    """A table of words, as lists without spaces in them."""
    if isinstance(words, (str, os.PathLike)):
        entries = {name: (entry.value, f"{words}, line {entry.line}") for name, entry in read_mapping(words).items()}
    elif isinstance(words, Mapping):
        entries = {name: (value, "words") for name, value in words.items()}
    else:
        raise InputError(f"words is a {type(words).__name__}; expected a YAML file, or a mapping from names to words")
    return {name: _word_list(name, value, where) for name, (value, where) in entries.items()}


def _word_list(name: Any, value: Any, where: str) -> list[str]:
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"{where}: {name!r} is no name; expected text")
    listed = value.split() if isinstance(value, str) else list(value) if isinstance(value, (list, tuple)) else []
    if not listed or not all(isinstance(word, str) and word.strip() for word in listed):
        raise InputError(f"{where}: '{name}' has {value!r} for words; expected a word or a list of words")
    return [word.strip() for word in listed]
