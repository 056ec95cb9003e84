"""Vectors of words: files in the layouts that are published, against gensim's own loaders; and what can be wrong."""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
import os
import pickle
import subprocess
import sys
import tracemalloc
import urllib.request
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from musicfsl._tables import embedded_table, read_mapping
from musicfsl.errors import InputError
from musicfsl.instruments import canonical_names
from musicfsl.zeroshot import _word_downloads, _word_sources
from musicfsl.zeroshot._word_downloads import PublishedSet, published_set
from musicfsl.zeroshot.side_information import UnknownNameError
from musicfsl.zeroshot.words import WordVectors

gensim_models = pytest.importorskip("gensim.models")
KeyedVectors = gensim_models.KeyedVectors

DIM = 7
#: In the order of the file; a word with accents, one with case, and filling.
VOCABULARY = [
    "the", "clarinet", "bass", "oud", "tuba", "horn", "cajón", "French_horn", "guitar", "acoustic", "theremin",
    *(f"w{number}" for number in range(300)),
]  # fmt: skip


@pytest.fixture(scope="module")
def keyed() -> Any:
    """The vectors as gensim has them."""
    vectors = KeyedVectors(DIM)
    vectors.add_vectors(VOCABULARY, np.random.default_rng(0).normal(size=(len(VOCABULARY), DIM)).astype(np.float32))
    return vectors


def load_glove(path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # gensim leaves the file open
        return KeyedVectors.load_word2vec_format(str(path), no_header=True)


def glove(keyed: Any, path: Path) -> Any:
    keyed.save_word2vec_format(str(path), write_header=False)
    return load_glove(path)


def word2vec_text(keyed: Any, path: Path) -> Any:
    keyed.save_word2vec_format(str(path))
    return KeyedVectors.load_word2vec_format(str(path))


def word2vec_binary(keyed: Any, path: Path) -> Any:
    keyed.save_word2vec_format(str(path), binary=True)
    return KeyedVectors.load_word2vec_format(str(path), binary=True)


def original_text(keyed: Any, path: Path) -> Any:
    """As the program of Mikolov and others writes it: a space at the end of each line."""
    rows = (f"{word} " + "".join(f"{value:f} " for value in keyed[word]) + "\n" for word in VOCABULARY)
    path.write_text(f"{len(VOCABULARY)} {DIM}\n" + "".join(rows))
    return KeyedVectors.load_word2vec_format(str(path))


def original_binary(keyed: Any, path: Path) -> Any:
    """As the program of Mikolov and others writes it: a line end behind each vector."""
    rows = (word.encode() + b" " + keyed[word].astype("<f4").tobytes() + b"\n" for word in VOCABULARY)
    path.write_bytes(f"{len(VOCABULARY)} {DIM}\n".encode() + b"".join(rows))
    return KeyedVectors.load_word2vec_format(str(path), binary=True)


def gensim_whole(keyed: Any, path: Path) -> Any:
    keyed.save(str(path))
    return KeyedVectors.load(str(path))


def gensim_apart(keyed: Any, path: Path) -> Any:
    keyed.save(str(path), separately=["vectors"])
    return KeyedVectors.load(str(path))


def gensim_python_2(keyed: Any, path: Path) -> Any:
    keyed.save(str(path), pickle_protocol=2)
    return KeyedVectors.load(str(path))


def gensim_newest(keyed: Any, path: Path) -> Any:
    keyed.save(str(path), pickle_protocol=5)
    return KeyedVectors.load(str(path))


TEXT_OR_BINARY = [glove, word2vec_text, word2vec_binary, original_text, original_binary]
GENSIM = [gensim_whole, gensim_apart, gensim_python_2, gensim_newest]


@pytest.mark.parametrize("write", [*TEXT_OR_BINARY, *GENSIM])
def test_same_vectors_as_gensim(keyed: Any, tmp_path: Path, write: Callable[[Any, Path], Any]) -> None:
    reference = write(keyed, tmp_path / "vectors")
    vectors = WordVectors(tmp_path / "vectors")
    names = [*VOCABULARY[:6], *VOCABULARY[10:]]  # the others are split, or stand for other words
    got = vectors(names)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, np.stack([reference[word] for word in names]))
    assert vectors.dim == DIM == reference.vector_size
    assert vectors.provenance()["n_words"] == len(reference)


@pytest.mark.parametrize("write", [glove, word2vec_binary, gensim_whole, gensim_apart])
def test_compressed_files(keyed: Any, tmp_path: Path, write: Callable[[Any, Path], Any]) -> None:
    expected = write(keyed, tmp_path / "vectors.gz")["oud"]  # gensim compresses by the name
    assert (tmp_path / "vectors.gz").read_bytes()[:2] == b"\x1f\x8b"
    np.testing.assert_array_equal(WordVectors(tmp_path / "vectors.gz").vector("oud"), expected)


def test_files_in_an_archive(keyed: Any, tmp_path: Path) -> None:
    expected = glove(keyed, tmp_path / "glove.txt")["oud"]
    with zipfile.ZipFile(tmp_path / "one.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(tmp_path / "glove.txt", "glove.6B.7d.txt")
        archive.writestr("__MACOSX/._glove.6B.7d.txt", b"\0")
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("glove.6B.2d.txt", "oud 3 4\n")
        archive.write(tmp_path / "glove.txt", "glove.6B.7d.txt")
    for path in ("one.zip", "one.zip/glove.6B.7d.txt", "two.zip/glove.6B.7d.txt"):
        np.testing.assert_array_equal(WordVectors(tmp_path / path).vector("oud"), expected)
    assert WordVectors(tmp_path / "two.zip" / "glove.6B.2d.txt").vector("oud").tolist() == [3, 4]
    with pytest.raises(
        InputError, match=r"holds glove.6B.2d.txt, glove.6B.7d.txt; name one .*two.zip/glove.6B.2d.txt'"
    ):
        WordVectors(tmp_path / "two.zip")
    with pytest.raises(InputError, match=r"two.zip holds no single file glove.6B.9d.txt"):
        WordVectors(tmp_path / "two.zip" / "glove.6B.9d.txt")
    with zipfile.ZipFile(tmp_path / "three.zip", "w") as archive:
        archive.mkdir("empty") if hasattr(archive, "mkdir") else archive.writestr("empty/", "")
    with pytest.raises(InputError, match="three.zip holds no single file: it is empty"):
        WordVectors(tmp_path / "three.zip")


def test_vectors_in_memory(keyed: Any) -> None:
    vectors = WordVectors(keyed)
    np.testing.assert_array_equal(vectors(["oud", "theremin"]), [keyed["oud"], keyed["theremin"]])
    with pytest.raises(InputError, match="given as dict; expected"):
        WordVectors({"oud": [1.0]})  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no words in it"):
        WordVectors(KeyedVectors(3))
    broken = KeyedVectors(2)
    broken.add_vectors(["oud"], np.array([[1, np.nan]], dtype=np.float32))
    with pytest.raises(InputError, match="NaN"):
        WordVectors(broken)


@pytest.mark.parametrize(
    "name", ["test_glove.txt", "euclidean_vectors.bin", "high_precision.kv.bin", "lee_fasttext.vec", "toy-model.vec",
             "crime-and-punishment.vec", "poincare_vectors.bin", "old_keyedvectors_320.dat"],
)  # fmt: skip
def test_files_of_gensims_own_tests(name: str) -> None:
    """Written by several programs and versions over ten years."""
    path = Path(pytest.importorskip("gensim.test.utils").datapath(name))
    if not path.is_file():
        pytest.skip("this gensim comes without its tests' files")
    if name.endswith(".dat"):
        reference = KeyedVectors.load(str(path))
    elif name.endswith("glove.txt"):
        reference = load_glove(path)
    else:
        reference = KeyedVectors.load_word2vec_format(str(path), binary=name.endswith(".bin"))
    words = {f"name {number}": [word] for number, word in enumerate(reference.index_to_key)}
    vectors = WordVectors(path, words=words)
    np.testing.assert_array_equal(vectors(list(words)), reference.vectors)


def test_several_words_are_averaged(keyed: Any) -> None:
    vectors = WordVectors(keyed)
    for name in ("Acoustic Guitar", "guitar", "gac"):
        np.testing.assert_array_equal(vectors.vector(name), np.mean([keyed["acoustic"], keyed["guitar"]], axis=0))
    np.testing.assert_array_equal(vectors.vector("Theremin-Oud"), np.mean([keyed["theremin"], keyed["oud"]], axis=0))


def test_the_table_of_words(keyed: Any) -> None:
    vectors = WordVectors(keyed)
    expected = {
        "Clarinet in Bb": ["clarinet"],
        "Bass Tuba": ["tuba"],
        "French Horn": ["horn"],
        "Contrabass": ["contrabass"],
    }
    expected |= {"Alto Saxophone": ["saxophone"], "Trumpet in C": ["trumpet"], "double_bass": ["contrabass"]}
    expected |= {"slide-whistle of_Tin": ["slide", "whistle", "of", "tin"]}
    assert {name: vectors.words_of(name) for name in expected} == expected
    table = {name: entry.value for name, entry in read_mapping(embedded_table("words.yaml")).items()}
    assert list(table) == canonical_names()
    assert len({frozenset(words) for words in table.values()}) == len(table), "two instruments have the same words"
    assert all(word == word.lower() for words in table.values() for word in words)


def test_own_words_replace_and_extend(keyed: Any, tmp_path: Path) -> None:
    own = {"french horn": "French_horn", "Kazoo": ["the", "horn"], "double bass": "bass the"}
    (tmp_path / "own.yaml").write_text("french horn: French_horn\nKazoo: [the, horn]\ndouble bass: bass the\n")
    for words in (own, tmp_path / "own.yaml"):
        vectors = WordVectors(keyed, words=words)
        np.testing.assert_array_equal(vectors.vector("French Horn"), keyed["French_horn"])
        np.testing.assert_array_equal(vectors.vector("kazoo"), np.mean([keyed["the"], keyed["horn"]], axis=0))
        for name in ("Contrabass", "double-bass"):
            np.testing.assert_array_equal(vectors.vector(name), np.mean([keyed["bass"], keyed["the"]], axis=0))
        assert vectors.provenance()["own_words"]["Kazoo"] == ["the", "horn"]
        assert {"Kazoo", "French Horn", "Oud"} < set(vectors.known_names())
        assert "Oboe" not in vectors.known_names()
        assert vectors.knows("kazoo")
        assert not vectors.knows("oboe")


def test_case_is_tried_as_written_and_then_lower(keyed: Any) -> None:
    vectors = WordVectors(keyed, words={"a": "French_horn", "b": "OUD"})
    np.testing.assert_array_equal(vectors(["a", "b"]), [keyed["French_horn"], keyed["oud"]])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"Oboe": []}, r"'Oboe' has \[\] for words"),
        ({"Oboe": ["a", 3]}, r"'Oboe' has \['a', 3\] for words"),
        ({"Oboe": " "}, "'Oboe' has ' ' for words"),
        ({"": "a"}, "'' is no name"),
        (["oboe"], "words is a list; expected"),
    ],
)
def test_bad_words_are_refused(keyed: Any, words: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        WordVectors(keyed, words=words)


def test_bad_file_of_words_is_refused_by_line(keyed: Any, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("Flute: flute\nOboe: 3\n")
    with pytest.raises(InputError, match=r"own.yaml, line 2: 'Oboe' has 3 for words"):
        WordVectors(keyed, words=tmp_path / "own.yaml")


def test_unknown_words_are_named_with_their_class_and_the_nearest(keyed: Any, tmp_path: Path) -> None:
    glove(keyed, tmp_path / "glove.txt")
    for vectors in (WordVectors(keyed), WordVectors(tmp_path / "glove.txt")):
        with pytest.raises(
            UnknownNameError, match=r"class 'Bass Clarinette' needs the word 'clarinette', .* are: clarinet"
        ):
            vectors(["oud", "Bass Clarinette"])
        with pytest.raises(UnknownNameError, match="class '--' has no word in it"):
            vectors(["--"])
        assert not vectors.knows("--")
        with pytest.raises(UnknownNameError, match=r"class 'Oboe' needs the word 'oboe', which"):
            vectors(["Oboe"])


def test_words_whose_mean_is_zero_are_refused(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("oud 1 -1\nlute -1 1\nzero 0 0\n")
    vectors = WordVectors(tmp_path / "v.txt")
    for name in ("oud lute", "zero"):
        with pytest.raises(InputError, match=f"the words of class '{name}' .* have the mean 0"):
            vectors.vector(name)


def test_words_outside_the_tables_are_read_later(keyed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = word2vec_binary(keyed, tmp_path / "vectors.bin")
    reads: list[Path] = []
    read_rows = _word_sources.read_rows
    monkeypatch.setattr(_word_sources, "read_rows", lambda path, wanted: reads.append(path) or read_rows(path, wanted))
    vectors = WordVectors(tmp_path / "vectors.bin")
    assert len(reads) == 1
    vectors(["oud", "Clarinet in Bb"])
    assert len(reads) == 1, "words of the table are read when the file is opened"
    np.testing.assert_array_equal(vectors(["w3", "w99", "w7"]), [reference[word] for word in ("w3", "w99", "w7")])
    assert len(reads) == 2, "the words of all names are read at once"
    vectors(["w3", "oud"])
    assert len(reads) == 2
    (tmp_path / "vectors.bin").write_bytes(b"1 7\nother " + bytes(28))
    with pytest.raises(InputError, match="has changed since it was opened"):
        vectors(["w4"])


def test_only_rows_that_are_needed_are_kept(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(400, 300)).astype(np.float32)
    for layout in ("text", "binary"):
        many = KeyedVectors(300)
        many.add_vectors([f"w{i}" for i in range(399)] + ["oud"], rows)
        many.save_word2vec_format(str(tmp_path / layout), binary=layout == "binary")
        tracemalloc.start()
        vectors = WordVectors(tmp_path / layout)
        used, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        np.testing.assert_array_equal(vectors.vector("oud"), rows[-1])
        assert used < rows.nbytes / 4


def test_words_with_spaces_as_in_the_largest_glove_set(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("the 1 2\n. . . 3 4\nat name@domain.com 5 6\n\xa0 7 8\noud 9 10\n")
    vectors = WordVectors(
        tmp_path / "v.txt", words={"dots": [". . ."], "contact": ["at name@domain.com"], "blank": "\xa0x"}
    )
    assert vectors(["dots", "contact", "oud"]).tolist() == [[3, 4], [5, 6], [9, 10]]
    assert vectors.provenance()["n_words"] == 5


def test_empty_lines_at_the_end_and_windows_line_ends(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_bytes(b"2 2\r\noud 1 2\r\nlute 3 4\r\n\r\n\n")
    assert WordVectors(tmp_path / "v.txt")(["oud", "Lute"]).tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "v.txt is empty"),
        (b" \n\n", "v.txt is empty"),
        (b"0 5\n", "has no words in it"),
        (b"5 0\n", "has no words in it"),
        (b"5 99999999\na 1 2\n", "vectors of 99999999 dimensions"),
        (b"a 1 2\nb 3\n", "line 2: 'b' has 1 values, but vectors of this file have 2"),
        (b"a 1 2\nb 3 4 5\n", "line 2: 'b' has 3 values, but vectors of this file have 2"),
        (b"2 2\na 1 2\nb 3\n", "line 3: 'b' has 1 values"),
        (b"a 1 2\n\nb 3 4\n", "line 2: '' has 0 values"),
        (b"a 1 2\nb 3 x\n", "line 2: a value of 'b' is 'x', which is no number"),
        (b"a 1 2\nb 3 nan\n", "line 2: the vector of 'b' holds NaN"),
        (b"a 1 2\nb inf 3\n", "line 2: the vector of 'b' holds NaN or infinite"),
        (b"a 1 2\noud 1e39 3\n", "line 2: the vector of 'oud' holds NaN or infinite"),
        (b"3 2\na 1 2\nb 3 4\n", "promises 3 words in its first line, but has 2"),
        (b"1 2\na 1 2\nb 3 4\n", "promises 1 words in its first line, but has 2"),
        (b"oud 1 2\nb 3 4\noud 5 6\n", "line 3: 'oud' has another vector earlier in the file"),
        ("a 1 2\ncajón 3 4\n".encode("latin-1"), r"line 2: the word b'caj\\xf3n' is not UTF-8"),
        ("a 1 2\nb 3 4\n".encode("utf-16"), "begins with a byte-order mark"),
        ("\ufeffa 1 2\n".encode(), "begins with a byte-order mark"),
        (b"<!DOCTYPE html>\n<html>", "is no file of word vectors: it begins with '<!DOCTYPE html>'"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is no file of word vectors"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is no file of word vectors"),
        (b"oud\n", "is no file of word vectors"),
    ],
)
def test_bad_text_is_refused_by_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "v.txt").write_bytes(content)
    with pytest.raises(InputError, match=message):
        WordVectors(tmp_path / "v.txt")


def test_bad_binary_files_are_refused(keyed: Any, tmp_path: Path) -> None:
    word2vec_binary(keyed, tmp_path / "whole.bin")
    whole = (tmp_path / "whole.bin").read_bytes()
    path = tmp_path / "v.bin"
    for cut in (1, 4 * DIM, len(whole) // 2):
        path.write_bytes(whole[:-cut])
        with pytest.raises(InputError, match=f"promises {len(VOCABULARY)} words in its first line, but has"):
            WordVectors(path)
    path.write_bytes(whole + b"more")
    with pytest.raises(InputError, match=f"goes on behind the {len(VOCABULARY)} words"):
        WordVectors(path)
    path.write_bytes(b"2 2\na " + np.array([1, 2], "<f4").tobytes() + b"b " + np.array([np.nan, 2], "<f4").tobytes())
    with pytest.raises(InputError, match=r"word 2: the vector of 'b' holds NaN"):
        WordVectors(path)
    path.write_bytes(b"9 2\na " + np.array([1.3, -2.7], "<f4").tobytes() + b"\1" * 3_000_000)
    with pytest.raises(InputError, match="word 2: there is no end to the word"):
        WordVectors(path)
    path.write_bytes(b"1 2\n\xff\xfe " + np.array([1.3, -2.7], "<f4").tobytes())
    with pytest.raises(InputError, match=r"word 1: the word b'\\xff\\xfe' is not UTF-8"):
        WordVectors(path)


@pytest.mark.parametrize("write", [glove, word2vec_binary, gensim_whole])
def test_truncated_archives_are_refused(keyed: Any, tmp_path: Path, write: Callable[[Any, Path], Any]) -> None:
    write(keyed, tmp_path / "vectors")
    whole = gzip.compress((tmp_path / "vectors").read_bytes())
    with zipfile.ZipFile(tmp_path / "v.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(tmp_path / "vectors", "vectors.txt")
    packed = (tmp_path / "v.zip").read_bytes()
    middle = len(packed) // 2
    for name, content in [
        ("cut.gz", whole[:-5]), ("half.gz", whole[: len(whole) // 2]),
        ("flipped.gz", whole[:2000] + bytes([whole[2000] ^ 0x55]) + whole[2001:]),
        ("half.zip", packed[:middle]),
        ("flipped.zip", packed[:middle] + bytes([packed[middle] ^ 0x55]) + packed[middle + 1 :]),
    ]:  # fmt: skip
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=f"{name}.*(fetch it again|no number|not UTF-8)"):
            WordVectors(tmp_path / name)


class Malicious:
    """Would run a command when unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return (os.system, (f"touch {self.marker}",))


def test_a_malicious_pickle_is_refused_and_not_run(keyed: Any, tmp_path: Path) -> None:
    hidden = KeyedVectors(DIM)
    hidden.add_vectors(VOCABULARY, keyed.vectors)
    hidden.extra = Malicious(tmp_path / "was-run")
    for number, thing in enumerate([Malicious(tmp_path / "was-run"), {"a": [Malicious(tmp_path / "was-run")]}, hidden]):
        path = tmp_path / f"{number}.kv"
        path.write_bytes(pickle.dumps(thing))
        with pytest.raises(
            InputError, match=r"names (posix|nt)\.system, which .* not need, so it is not loaded; open it"
        ):
            WordVectors(path)
    assert not (tmp_path / "was-run").exists()
    pickle.loads((tmp_path / "0.kv").read_bytes())
    assert (tmp_path / "was-run").exists(), "the test's pickle does what it is feared for"


def test_a_pickle_names_nothing_that_is_imported(tmp_path: Path) -> None:
    """Reading gensim's own form needs no gensim, and no class of it is made."""
    vectors = KeyedVectors(2)
    vectors.add_vectors(["oud"], np.array([[1, 2]], dtype=np.float32))
    vectors.save(str(tmp_path / "v.kv"))
    code = (
        "import sys\nfrom musicfsl.zeroshot.words import WordVectors\n"
        f"print(WordVectors({str(tmp_path / 'v.kv')!r}).vector('oud').tolist(), 'gensim' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split("\n")[0] == "[1.0, 2.0] False"


def test_other_pickles_are_refused(keyed: Any, tmp_path: Path) -> None:
    path = tmp_path / "v.kv"
    model = gensim_models.Word2Vec([["oud", "lute"]], vector_size=3, min_count=1, seed=1, workers=1)
    model.save(str(path))
    with pytest.raises(InputError, match=r"names gensim.models.word2vec.Word2Vec, .*save_word2vec_format"):
        WordVectors(path)
    for thing in ({"oud": [1.0]}, np.zeros(3), 7):
        path.write_bytes(pickle.dumps(thing))
        with pytest.raises(InputError, match=r"but not of gensim's KeyedVectors|names numpy"):
            WordVectors(path)
    objects = KeyedVectors(2)
    objects.add_vectors(["oud"], np.array([[1, 2]], dtype=np.float32))
    objects.vectors = np.array([[{}, []]], dtype=object)
    path.write_bytes(pickle.dumps(objects))
    with pytest.raises(InputError, match="no array of numbers"):
        WordVectors(path)


def test_damaged_files_of_gensim_are_refused(keyed: Any, tmp_path: Path) -> None:
    path = tmp_path / "v.kv"
    gensim_whole(keyed, path)
    whole = path.read_bytes()
    for end in (20, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:end])
        with pytest.raises(InputError, match=r"v\.kv is truncated or damaged"):
            WordVectors(path)
    gensim_apart(keyed, path)
    beside = tmp_path / "v.kv.vectors.npy"
    array = beside.read_bytes()
    for content in (array[:-10], array[:50], pickle.dumps([1])):
        beside.write_bytes(content)
        with pytest.raises(InputError, match=r"v\.kv\.vectors\.npy is truncated or damaged"):
            WordVectors(path)
    np.save(beside, keyed.vectors[1:])
    with pytest.raises(InputError, match="expected a row of numbers a word"):
        WordVectors(path)
    np.save(beside, np.where(keyed.vectors == keyed["oud"][3], np.nan, keyed.vectors))
    with pytest.raises(InputError, match="the vector of 'oud' holds NaN"):
        WordVectors(path)
    beside.unlink()
    with pytest.raises(InputError, match=r"needs v\.kv\.vectors\.npy beside it"):
        WordVectors(path)


def test_missing_files_and_unknown_names(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file .*nowhere.txt"):
        WordVectors(tmp_path / "nowhere.txt")
    with pytest.raises(InputError, match="is a folder"):
        WordVectors(tmp_path)
    with pytest.raises(InputError, match="neither a file nor a published set.* Did you mean 'glove-wiki-gigaword-300'"):
        WordVectors("glove-wiki-gigawort-300")


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small set under a published name, as the downloader's folder would hold it; the network fails."""
    content = gzip.compress(b"2 2\noud 1 2\nlute 3 4\n", mtime=0)
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    small = PublishedSet("glove-small", len(content), md5, "PDDL", "two words")
    monkeypatch.setattr(_word_downloads, "_SETS", (*_word_downloads._SETS, small))
    monkeypatch.setenv("GENSIM_DATA_DIR", str(tmp_path))
    downloader = pytest.importorskip("gensim.downloader")
    monkeypatch.setattr(downloader, "BASE_DIR", str(tmp_path))

    def no_network(*_: Any, **__: Any) -> Any:
        raise urllib.request.URLError("no network")

    monkeypatch.setattr(downloader, "urlopen", no_network)
    monkeypatch.setattr(downloader.urllib, "urlretrieve", no_network)
    (tmp_path / "prepared.gz").write_bytes(content)
    return tmp_path


def test_without_a_network_the_message_says_what_to_fetch(published: Path, capfd: pytest.CaptureFixture[str]) -> None:
    place = published / "glove-small" / "glove-small.gz"
    with pytest.raises(InputError, match=rf"cannot be downloaded.*fetch https://.*/glove-small.gz .*put it at {place}"):
        WordVectors("glove-small")
    place.parent.mkdir()
    place.write_bytes((published / "prepared.gz").read_bytes())
    vectors = WordVectors("glove-small")
    assert vectors(["oud", "lute"]).tolist() == [[1, 2], [3, 4]]
    assert vectors.provenance() == {
        "kind": "words", "source": "glove-small", "licence": "PDDL", "description": "two words",
        "md5": published_set("glove-small").md5, "format": "text", "n_words": 2, "dim": 2, "own_words": {},
    }  # fmt: skip
    assert capfd.readouterr().out == ""


def test_a_wrong_checksum_is_refused(published: Path) -> None:
    place = published / "glove-small" / "glove-small.gz"
    place.parent.mkdir()
    with pytest.raises(InputError, match="is there, but not the file in it|cannot be downloaded"):
        WordVectors("glove-small")
    place.write_bytes(gzip.compress(b"2 2\noud 1 2\nlute 3 5\n"))
    with pytest.raises(InputError, match="has the MD5 checksum .* remove the file"):
        WordVectors("glove-small")


def test_gensims_downloader_is_used_and_runs_nothing(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real downloader, with the network played by the test; its ``__init__.py`` would fail if it ran."""
    downloader = sys.modules["gensim.downloader"]
    md5 = published_set("glove-small").md5
    entry = {"checksum": md5, "file_name": "glove-small.gz", "parts": 1}
    listing = json.dumps({"corpora": {}, "models": {"glove-small": entry}})

    class Answer:
        def read(self) -> bytes:
            return listing.encode()

    def retrieve(url: str, target: str, reporthook: Any = None) -> None:
        is_vectors = url.endswith(".gz")
        Path(target).write_bytes((published / "prepared.gz").read_bytes() if is_vectors else b"raise SystemExit\n")
        if reporthook is not None:
            reporthook(1, 1, 1)

    monkeypatch.setattr(downloader, "urlopen", lambda url: Answer())
    monkeypatch.setattr(downloader.urllib, "urlretrieve", retrieve)
    assert WordVectors("glove-small").vector("oud").tolist() == [1, 2]
    assert (published / "glove-small" / "__init__.py").is_file()
    assert not logging.getLogger("gensim.downloader").handlers
