"""Sets of word vectors by name: gensim's downloader, with the checksum looked at before a file is used.

gensim's ``load`` would run a Python file that it downloads beside the vectors; only its download is used here.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from musicfsl.errors import InputError, did_you_mean, import_extra

__all__ = ["PublishedSet", "published_file", "published_names", "published_set"]

_URL = "https://github.com/piskvorky/gensim-data/releases/download"
_FOLDER_VARIABLE = "GENSIM_DATA_DIR"


class PublishedSet(NamedTuple):
    """A published set of word vectors, as gensim-data lists it (https://github.com/piskvorky/gensim-data, list.json).

    Attributes:
        name: the downloader's.
        size: of the download, in bytes.
        md5: its checksum, in hexadecimal.
        licence: of the vectors.
        description: what they were trained on.
    """

    name: str
    size: int
    md5: str
    licence: str
    description: str


_PDDL = "PDDL, http://opendatacommons.org/licenses/pddl/"
_WIKIPEDIA = "GloVe, Wikipedia 2014 and Gigaword 5, 6 billion tokens, 400,000 words without case"
_TWITTER = "GloVe, 2 billion tweets, 27 billion tokens, 1.2 million words without case"
_SETS = (
    PublishedSet("glove-wiki-gigaword-50", 69182535, "c289bc5d7f2f02c6dc9f2f9b67641813", _PDDL, _WIKIPEDIA),
    PublishedSet("glove-wiki-gigaword-100", 134300434, "40ec481866001177b8cd4cb0df92924f", _PDDL, _WIKIPEDIA),
    PublishedSet("glove-wiki-gigaword-200", 264336934, "59652db361b7a87ee73834a6c391dfc1", _PDDL, _WIKIPEDIA),
    PublishedSet("glove-wiki-gigaword-300", 394362229, "29e9329ac2241937d55b852e8284e89b", _PDDL, _WIKIPEDIA),
    PublishedSet("glove-twitter-25", 109885004, "50db0211d7e7a2dcd362c6b774762793", _PDDL, _TWITTER),
    PublishedSet("glove-twitter-50", 209216938, "c168f18641f8c8a00fe30984c4799b2b", _PDDL, _TWITTER),
    PublishedSet("glove-twitter-100", 405932991, "b04f7bed38756d64cf55b58ce7e97b15", _PDDL, _TWITTER),
    PublishedSet("glove-twitter-200", 795373100, "e52e8392d1860b95d5308a525817d8f9", _PDDL, _TWITTER),
    PublishedSet(
        "word2vec-google-news-300",
        1743563840,
        "a5e5354d40acb95f9ec66d5977d140ef",
        "not stated",
        "word2vec, Google News, 100 billion words, 3 million words and phrases",
    ),
    PublishedSet(
        "fasttext-wiki-news-subwords-300",
        1005007116,
        "de2bb3a20c46ce65c9c131e1ad9a77af",
        "CC BY-SA 3.0, https://creativecommons.org/licenses/by-sa/3.0/",
        "fastText, Wikipedia 2017, UMBC webbase and statmt.org news, 16 billion tokens, 1 million words",
    ),
)


def published_names() -> list[str]:
    """Names of the sets that can be had.

    Example:
        >>> published_names()[:2]
        ['glove-wiki-gigaword-50', 'glove-wiki-gigaword-100']
    """
    return [published.name for published in _SETS]


def published_set(name: str) -> PublishedSet:
    """What is known of a set.

    Raises:
        InputError: there is none of this name.
    """
    for published in _SETS:
        if published.name == name:
            return published
    raise InputError(
        f"'{name}' is neither a file nor a published set of word vectors.{did_you_mean(name, published_names())} Known "
        f"sets: {', '.join(published_names())}"
    )


def published_file(published: PublishedSet) -> Path:
    """The file of a set, downloaded unless it is there, with its checksum verified.

    Raises:
        InputError: it cannot be downloaded, or its checksum is wrong.
        MissingExtraError: it has to be downloaded, and gensim is not installed.
    """
    path = _folder() / published.name / f"{published.name}.gz"
    if not path.is_file():
        path = _download(published, path)
    md5 = hashlib.md5(usedforsecurity=False)  # what gensim-data publishes
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            md5.update(block)
    if md5.hexdigest() != published.md5:
        raise InputError(
            f"{path} has the MD5 checksum {md5.hexdigest()}, but {published.name} has {published.md5}; remove the "
            "file, so that it is fetched again"
        )
    return path


def _folder() -> Path:
    return Path(os.environ.get(_FOLDER_VARIABLE) or "~/gensim-data").expanduser().absolute()


def _download(published: PublishedSet, path: Path) -> Path:
    downloader = import_extra("gensim.downloader", extra="zeroshot")
    try:
        with _quiet():
            found = Path(downloader.load(published.name, return_path=True))
    except Exception as error:  # gensim raises bare exceptions of many kinds
        raise _unreachable(published, path, str(error) or type(error).__name__) from None
    if not found.is_file():
        raise _unreachable(published, path, f"the folder {found.parent} is there, but not the file in it")
    return found


def _unreachable(published: PublishedSet, path: Path, problem: str) -> InputError:
    return InputError(
        f"{published.name} cannot be downloaded ({problem}); fetch {_URL}/{published.name}/{published.name}.gz "
        f"({published.size / 1e6:.0f} MB) where there is a network and put it at {path}, or give WordVectors the path "
        "of any file of word vectors"
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps standard output and the log clean: gensim draws its progress on the one, and tracebacks on the other."""
    logger, handler = logging.getLogger("gensim.downloader"), logging.NullHandler()
    logger.addHandler(handler)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        logger.removeHandler(handler)
