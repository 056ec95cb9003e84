"""Labels of multi-label data sets: which class each code and name means."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from musicfsl.datasets.synthetic import IRMAS_CODES
from musicfsl.errors import InputError
from musicfsl.instruments import canonical
from musicfsl.vocabularies import Vocabulary, open_vocabulary, vocabulary_names


def test_irmas_is_the_one_that_the_embedded_set_knows() -> None:
    irmas = open_vocabulary("irmas")
    assert dict(zip(irmas.codes, irmas.names, strict=True)) == IRMAS_CODES
    assert list(irmas.codes) == sorted(irmas.codes)


def test_openmic_has_its_twenty_labels() -> None:
    openmic = open_vocabulary("openmic")
    assert len(openmic) == 20 and list(openmic.codes) == sorted(openmic.codes)
    assert {"mallet_percussion", "synthesizer", "bass"} <= set(openmic.codes)


@pytest.mark.parametrize("name", vocabulary_names())
def test_names_are_canonical_where_there_is_one(name: str) -> None:
    vocabulary = open_vocabulary(name)
    assert all(canonical(label) in (label, None) for label in vocabulary.names)
    for number, (code, label) in enumerate(zip(vocabulary.codes, vocabulary.names, strict=True)):
        assert canonical(code) in (label, None)
        for spelled in (code, label, code.upper(), f" {label.lower()}\t", label.replace(" ", "_")):
            assert vocabulary.find(spelled) == number


def test_other_names_of_an_instrument() -> None:
    irmas = open_vocabulary("irmas")
    assert irmas.names[irmas.index("violoncello")] == "Cello"
    assert irmas.names[irmas.index("Saxophone")] == "Alto Saxophone"
    assert irmas.find("oboe") is None and irmas.find("") is None
    # Two classes of one instrument: its other names could mean either.
    voices = open_vocabulary(["Singer", "Vocals"])
    assert voices.index("vocals") == 1 and voices.find("Voice") is None


def test_multi_hot_against_a_loop() -> None:
    openmic = open_vocabulary("openmic")
    labels = [["voice", "bass"], [], ["Drum Kit"], ["violin", "violin", "cello"]]
    expected = np.zeros((4, 20), dtype=np.uint8)
    for i, of_item in enumerate(labels):
        for label in of_item:
            for c in range(20):
                expected[i, c] |= label in (openmic.codes[c], openmic.names[c])
    targets = openmic.multi_hot(labels)
    assert targets.dtype == np.uint8 and np.array_equal(targets, expected)
    with pytest.raises(InputError, match="the string 'cel'; expected a list"):
        openmic.multi_hot(["cel"])


def test_unknown_label() -> None:
    with pytest.raises(InputError, match=r"'pianno' is no label of the vocabulary 'irmas'. Did you mean 'Piano'\?"):
        open_vocabulary("irmas").index("pianno")


def test_own_vocabulary(tmp_path: Path) -> None:
    (tmp_path / "band.yaml").write_text("kb: Keyboard\ngt: Guitar\n")
    band = open_vocabulary(tmp_path / "band.yaml")
    assert (band.name, band.codes, band.names) == ("band", ("kb", "gt"), ("Keyboard", "Guitar"))
    assert open_vocabulary(band) is band
    assert open_vocabulary(str(tmp_path / "band.yaml")) == band


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("- cel\n- cla\n", "expected a mapping"),
        ("a: One\na: Two\n", "'a' stands in line 1 too"),
        ("a: One\nb: one\n", "holds 'One' twice"),
        ("a: One\nb: [Two]\n", r"'b' stands for \['Two'\]; expected lines such as"),
        ("a: One\nb: A\n", "has 'a' as a code of 'One', and as the name of another class"),
        ("a: ' '\n", "expected names with letters or digits"),
    ],
)
def test_bad_tables(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        open_vocabulary(path)


def test_bad_lists() -> None:
    with pytest.raises(InputError, match="has no classes"):
        open_vocabulary([])
    with pytest.raises(InputError, match="holds 'Flute' twice"):
        Vocabulary("mine", ("a", "b"), ("Flute", "flute"))
    with pytest.raises(InputError, match="there is no vocabulary 'openmik', nor such a file. Did you mean 'openmic'"):
        open_vocabulary("openmik")
