"""Files of word vectors in text or binary form, read once from front to back.

Published sets hold up to three million words, of which a study needs some dozens. Every row is checked, and only those
that are asked for are kept, so that a set of any size is read with little memory. (gensim's own loader keeps all rows,
takes NaN as it comes, and does not say which line of a file is damaged. The tests hold both equal on sound files.)

Layouts, told apart by their content, each as it is or inside ``.gz`` or ``.zip``:

- GloVe text: a line a word, ``word v1 v2 ... vd``;
- word2vec text: the same behind a line with the number of words and of dimensions;
- word2vec binary: that line, then for each word its name, a space and little-endian 32-bit floats.
"""

from __future__ import annotations

import gzip
import io
import math
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from musicfsl.errors import InputError

__all__ = ["Rows", "is_vector_file", "open_bytes", "read_rows"]

_EXPECTED = "expected GloVe's or word2vec's text, word2vec's binary form, or gensim's KeyedVectors.save"
_FETCH = "it is truncated or damaged, so fetch it again"
_BLOCK = 1 << 20
_HEAD = 1 << 17  # holds the first line, one word and one vector
_LARGEST_DIM = 16384


class Rows(NamedTuple):
    """What one reading of a file gives.

    Attributes:
        layout: "text" or "binary".
        dim: length of a vector.
        vocabulary: all words of the file.
        vectors: float32 ``(dim,)`` for each wanted word that the file has.
    """

    layout: str
    dim: int
    vocabulary: set[str]
    vectors: dict[str, NDArray[np.float32]]


def read_rows(path: Path, wanted: Collection[str]) -> Rows:
    """Reads a file of word vectors, checks all of it, and keeps the vectors of some words.

    Args:
        path: of a text or binary file, as it is or in ``.gz`` or ``.zip``; a file in an archive of several is named
            as if the archive were a folder (``glove.6B.zip/glove.6B.300d.txt``).
        wanted: words to keep.

    Raises:
        InputError: there is no such file, it is no file of word vectors, it is cut off, a row has another length than
            the others, a value is no finite number, or a wanted word has two different vectors.
    """
    with open_bytes(path) as file:
        layout = _layout(file.read(_HEAD), path)
    kept = _Kept(path, set(wanted))
    with open_bytes(path) as file:
        if layout.is_binary:
            _read_binary(file, layout, kept)
        else:
            _read_text(file, layout, kept)
    return Rows("binary" if layout.is_binary else "text", layout.dim, kept.vocabulary, kept.vectors)


def is_vector_file(path: Path) -> bool:
    """Whether there is such a file, or such a path into a ``.zip``."""
    return path.is_file() or _archive_of(path) is not None


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a file, unpacked where it is ``.gz`` or ``.zip``; problems of either become an `InputError`."""
    try:
        with _opened(path) as file:
            yield file
    except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{path} cannot be unpacked ({error}); {_FETCH}") from None
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror or error}); expected a file of word vectors"
        ) from None


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    archive = path if _begins_with(path, b"PK\x03\x04") else _archive_of(path)
    if archive is not None:
        with zipfile.ZipFile(archive) as packed, packed.open(_member(packed, archive, path)) as member:
            yield cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, member), _BLOCK))
    elif _begins_with(path, b"\x1f\x8b"):
        with gzip.open(path) as unpacked:
            yield cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, unpacked), _BLOCK))
    else:
        with path.open("rb") as file:
            yield file


def _begins_with(path: Path, magic: bytes) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


def _archive_of(path: Path) -> Path | None:
    """The ``.zip`` that a path leads into."""
    return next((parent for parent in path.parents if _begins_with(parent, b"PK\x03\x04")), None)


def _member(packed: zipfile.ZipFile, archive: Path, path: Path) -> str:
    names = [
        item.filename for item in packed.infolist() if not item.is_dir() and not item.filename.startswith("__MACOSX")
    ]
    asked = path.relative_to(archive).as_posix()
    if asked in names:
        return asked
    if asked == "." and len(names) == 1:
        return names[0]
    holds = f"it holds {', '.join(names)}" if names else "it is empty"
    example = f"; name one of them, as in '{archive / names[0]}'" if names else ""
    raise InputError(f"{archive} holds no single file{'' if asked == '.' else f' {asked}'}: {holds}{example}")


class _Layout(NamedTuple):
    is_binary: bool
    has_header: bool
    n_words: int | None
    dim: int


class _Kept:
    """The vocabulary, and the wanted vectors, as they are met."""

    def __init__(self, path: Path, wanted: set[str]) -> None:
        self.path = path
        self.wanted = wanted
        self.vocabulary: set[str] = set()
        self.vectors: dict[str, NDArray[np.float32]] = {}

    def word(self, raw: bytes, where: str) -> str:
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            raise InputError(f"{where}: the word {raw!r} is not UTF-8; write the file in UTF-8") from None

    def add(self, word: str, vector: list[float] | NDArray[np.float32], is_finite: bool, where: str) -> None:
        self.vocabulary.add(word)
        if is_finite and word in self.wanted:
            with np.errstate(over="ignore"):
                row = np.array(vector, dtype=np.float32)
            is_finite = bool(np.isfinite(row).all())  # also as 32-bit floats
            if not np.array_equal(self.vectors.setdefault(word, row), row):
                raise InputError(f"{where}: '{word}' has another vector earlier in the file; leave one of the two")
        if not is_finite:
            raise InputError(f"{where}: the vector of '{word}' holds NaN or infinite values; {_FETCH}")

    def check_count(self, n_words: int | None, n_read: int) -> None:
        if n_words is not None and n_read != n_words:
            raise InputError(f"{self.path} promises {n_words} words in its first line, but has {n_read}; {_FETCH}")


def _layout(head: bytes, path: Path) -> _Layout:
    if not head.strip():
        raise InputError(f"{path} is empty; {_EXPECTED}")
    if head.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{path} begins with a byte-order mark; write it in UTF-8 without one")
    first, _, rest = head.partition(b"\n")
    tokens = first.split()
    if len(tokens) == 2 and all(token.isdigit() for token in tokens):
        n_words, dim = int(tokens[0]), int(tokens[1])
        if n_words == 0 or dim == 0:
            raise InputError(f"{path} has no words in it: its first line says {n_words} words of {dim} dimensions")
        if dim > _LARGEST_DIM:
            raise InputError(f"{path} cannot hold what its first line says, vectors of {dim} dimensions; {_FETCH}")
        return _Layout(_is_binary(rest, dim), True, n_words, dim)
    if len(tokens) < 2 or _numbers(tokens[1:]) is None:
        shown = first[:40].decode("ascii", "backslashreplace").strip()
        raise InputError(f"{path} is no file of word vectors: it begins with '{shown}'; {_EXPECTED}")
    return _Layout(False, False, None, len(tokens) - 1)


def _is_binary(rest: bytes, dim: int) -> bool:
    """Whether floats, not their digits, follow the first word."""
    tokens = rest.partition(b"\n")[0].split()
    if len(tokens) > dim and _numbers(tokens[-dim:]) is not None:
        return False
    start = rest.find(b" ") + 1
    values = rest[start : start + 4 * dim]
    try:
        values.decode("ascii")
    except UnicodeDecodeError:
        return True
    return any(byte < 32 and byte not in b"\t\n\r" for byte in values)


def _numbers(tokens: list[bytes]) -> list[float] | None:
    try:
        return list(map(float, tokens))  # the quickest of several ways tried
    except ValueError:
        return None


def _read_text(file: BinaryIO, layout: _Layout, kept: _Kept) -> None:
    if layout.has_header:
        file.readline()
    first_line = 2 if layout.has_header else 1
    n_read = 0
    for line in file:
        where = f"{kept.path}, line {first_line + n_read}"
        # Split from the right, since a few words of the largest GloVe set have spaces in them.
        raw, *tokens = line.rsplit(None, layout.dim) or [b""]
        values = _numbers(tokens)
        if values is None or len(values) != layout.dim or (b" " in raw and _numbers(raw.split()[-1:]) is not None):
            if not line.strip() and not file.read().strip():
                break  # nothing but empty lines is left
            raise InputError(f"{where}: {_row_problem(line, layout.dim)}; {_FETCH}")
        kept.add(kept.word(raw, where), values, math.isfinite(sum(values)), where)
        n_read += 1
    kept.check_count(layout.n_words, n_read)


def _row_problem(line: bytes, dim: int) -> str:
    raw, *tokens = line.split() or [b""]
    shown = raw[:40].decode("utf-8", "backslashreplace")
    if len(tokens) != dim:
        return f"'{shown}' has {len(tokens)} values, but vectors of this file have {dim}"
    wrong = next(token for token in tokens if _numbers([token]) is None)
    return f"a value of '{shown}' is '{wrong[:40].decode('utf-8', 'backslashreplace')}', which is no number"


def _read_binary(file: BinaryIO, layout: _Layout, kept: _Kept) -> None:
    file.readline()
    n_words = layout.n_words or 0
    data, position, n_read = b"", 0, 0
    while n_read < n_words:
        space = data.find(b" ", position)
        end = space + 1 + 4 * layout.dim
        if space < 0 or end > len(data):
            if len(data) - position > _BLOCK:
                raise InputError(f"{kept.path}, word {n_read + 1}: there is no end to the word; {_FETCH}")
            block = file.read(_BLOCK)
            if not block:
                break
            data, position = data[position:] + block, 0
            continue
        where = f"{kept.path}, word {n_read + 1}"
        word = kept.word(data[position:space].lstrip(b"\n"), where)  # the original program ends vectors with one
        vector = np.frombuffer(data, dtype="<f4", count=layout.dim, offset=space + 1)
        kept.add(word, vector, bool(np.isfinite(vector).all()), where)
        position = end
        n_read += 1
    kept.check_count(n_words, n_read)
    if data[position:].strip() or file.read(_BLOCK).strip():
        raise InputError(f"{kept.path} goes on behind the {n_words} words that its first line promises; {_FETCH}")
