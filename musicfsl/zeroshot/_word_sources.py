"""Where word vectors come from: a file, gensim's own file, or vectors that gensim has in memory."""

from __future__ import annotations

import difflib
import heapq
import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Set
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from musicfsl.errors import InputError
from musicfsl.zeroshot._gensim_files import is_gensim_file, read_gensim
from musicfsl.zeroshot._word_downloads import published_file, published_set
from musicfsl.zeroshot._word_files import is_vector_file, read_rows

__all__ = ["KeyedVectorsLike", "WordSource", "open_words"]


@runtime_checkable
class KeyedVectorsLike(Protocol):
    """What is used of gensim's ``KeyedVectors``.

    Attributes:
        key_to_index: from words to rows.
        vectors: float ``(n_words, dim)``.
    """

    key_to_index: dict[str, int]
    vectors: NDArray[Any]


class WordSource(ABC):
    """A vocabulary with vectors.

    Attributes:
        name: for messages.
        dim: length of a vector.
        vocabulary: the words that have one.
    """

    name: str
    dim: int
    vocabulary: Set[str]

    @abstractmethod
    def fetch(self, words: Iterable[str]) -> Mapping[str, NDArray[np.float32]]:
        """Vectors ``(dim,)`` of words, at least of these, which the vocabulary must have."""

    @abstractmethod
    def provenance(self) -> dict[str, Any]:
        """What is known of the vectors, as JSON can hold it."""

    def nearest(self, word: str, n: int = 3) -> str:
        """As `nearest_names`, but quick for millions of words: only those with most pairs of letters in common."""
        word = word.lower()
        pairs = _letter_pairs(word)
        candidates = (w for w in self.vocabulary if w[:1] == word[:1] and abs(len(w) - len(word)) <= 2)
        alike = heapq.nlargest(200, candidates, key=lambda w: len(pairs & _letter_pairs(w)))
        nearest = difflib.get_close_matches(word, alike, n=n, cutoff=0.5)
        return f" The nearest words it has are: {', '.join(nearest)}." if nearest else ""


def open_words(name_or_path: str | os.PathLike[str] | KeyedVectorsLike, likely: Collection[str]) -> WordSource:
    """Opens word vectors.

    Args:
        name_or_path: a published set's name, a file, or vectors in memory.
        likely: words that will be asked for, so that a file need not be read again.

    Raises:
        InputError: there is no such set or file, or it is damaged.
    """
    if isinstance(name_or_path, KeyedVectorsLike):
        return _InMemory(name_or_path)
    if not isinstance(name_or_path, (str, os.PathLike)):
        raise InputError(
            f"word vectors are given as {type(name_or_path).__name__}; expected the name of a published set, the path "
            "of a file, or gensim's KeyedVectors (of a model: model.wv)"
        )
    path = Path(name_or_path).expanduser()
    facts: dict[str, Any] = {"source": path.name}
    if not is_vector_file(path):
        if path.exists():
            raise InputError(f"{path} is a folder; expected a file of word vectors")
        text = os.fspath(name_or_path)
        if any(sign in text for sign in "./\\~"):
            raise InputError(
                f"there is no file {path}; expected a file of word vectors, or the name of a published set"
            )
        published = published_set(text)
        path = published_file(published)
        facts = {"source": published.name, "licence": published.licence, "description": published.description}
        facts["md5"] = published.md5
    return _InGensimFile(path, facts) if is_gensim_file(path) else _InFile(path, facts, likely)


class _InFile(WordSource):
    """A text or binary file, of which only the rows that were asked for are in memory."""

    def __init__(self, path: Path, facts: dict[str, Any], likely: Collection[str]) -> None:
        rows = read_rows(path, likely)
        self.name, self._path, self._facts = str(path), path, facts
        self.layout, self.dim, self.vocabulary, self._vectors = rows

    def fetch(self, words: Iterable[str]) -> Mapping[str, NDArray[np.float32]]:
        missing = set(words) - self._vectors.keys()
        if missing:
            rows = read_rows(self._path, missing)
            if rows.dim != self.dim or not missing <= rows.vectors.keys():
                raise InputError(f"{self._path} has changed since it was opened; open it again")
            self._vectors.update(rows.vectors)
        return self._vectors

    def provenance(self) -> dict[str, Any]:
        return {**self._facts, "format": self.layout, "n_words": len(self.vocabulary), "dim": self.dim}


class _InArray(WordSource):
    """Words with a row each of one array, which may lie on disk."""

    _facts: dict[str, Any]
    _row_of: dict[str, int]
    _array: NDArray[Any]

    def fetch(self, words: Iterable[str]) -> Mapping[str, NDArray[np.float32]]:
        return {word: np.array(self._array[self._row_of[word]], dtype=np.float32) for word in words}

    def provenance(self) -> dict[str, Any]:
        return {**self._facts, "n_words": len(self.vocabulary), "dim": self.dim}


class _InGensimFile(_InArray):
    def __init__(self, path: Path, facts: dict[str, Any]) -> None:
        words, self._array = read_gensim(path)
        self.name, self.dim, self._facts = str(path), self._array.shape[1], {**facts, "format": "gensim"}
        self._row_of = {word: row for row, word in enumerate(words)}
        self.vocabulary = self._row_of.keys()


class _InMemory(_InArray):
    def __init__(self, vectors: KeyedVectorsLike) -> None:
        self.name = f"gensim's {type(vectors).__name__}"
        self._row_of, self._array = dict(vectors.key_to_index), vectors.vectors
        if not self._row_of:
            raise InputError(f"{self.name} has no words in it; expected at least one")
        if not np.isfinite(self._array).all():
            raise InputError(f"{self.name} holds NaN or infinite values; give sound vectors")
        self.dim, self._facts = self._array.shape[1], {"source": self.name, "format": "in memory"}
        self.vocabulary = self._row_of.keys()


def _letter_pairs(word: str) -> set[str]:
    return {word[i : i + 2] for i in range(len(word) - 1)}
