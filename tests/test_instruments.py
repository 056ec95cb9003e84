"""Names of instruments: every name that a data set of the package uses means one instrument."""

from __future__ import annotations

import pytest

from musicfsl import instruments
from musicfsl.datasets._instruments import INSTRUMENTS, IRMAS_CODES
from musicfsl.errors import InputError
from musicfsl.instruments import canonical, canonical_names, name_key

TINYSOL = [
    "Accordion", "Contrabass", "Viola", "Cello", "Violin", "French Horn", "Bassoon", "Clarinet in Bb", "Flute",
    "Trombone", "Bass Tuba", "Oboe", "Alto Saxophone", "Trumpet in C",
]  # fmt: skip
MEDLEY_SOLOS = [
    "clarinet", "distorted electric guitar", "female singer", "flute", "piano", "tenor saxophone", "trumpet", "violin",
]  # fmt: skip
ORCHESTRA = [
    "banjo", "bass clarinet", "contrabassoon", "cor anglais", "double bass", "flute", "guitar", "mandolin", "oboe",
    "trombone",
]  # fmt: skip
PPMI = [
    "bassoon", "cello", "clarinet", "erhu", "flute", "french_horn", "guitar", "harp", "recorder", "saxophone",
    "trumpet", "violin",
]  # fmt: skip


def test_names_of_the_embedded_set_and_tinysol_are_canonical() -> None:
    for name in (*INSTRUMENTS, *TINYSOL):
        assert canonical(name) == name


def test_codes_of_irmas_mean_the_same_as_in_the_embedded_set() -> None:
    assert {code: canonical(code) for code in IRMAS_CODES} == IRMAS_CODES


@pytest.mark.parametrize("name", [*MEDLEY_SOLOS, *ORCHESTRA, *PPMI, "oud", "sitar", "theremin"])
def test_names_of_other_data_sets_are_known(name: str) -> None:
    assert canonical(name) in canonical_names()


@pytest.mark.parametrize("names", [MEDLEY_SOLOS, ORCHESTRA, PPMI, TINYSOL, list(INSTRUMENTS)])
def test_classes_of_one_data_set_stay_apart(names: list[str]) -> None:
    assert len({canonical(name) for name in names}) == len(names)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Double Bass", "Contrabass"),
        (" english_horn ", "Cor Anglais"),
        ("ENGLISH-HORN", "Cor Anglais"),
        ("clarinet in B♭", "Clarinet in Bb"),
        ("Oboe d’Amore", "Oboe d'Amore"),
        ("Cajón", "Cajon"),
        ("hi hat", "Hi-Hat"),
        ("Tuba", "Bass Tuba"),
        ("saxophone", "Alto Saxophone"),
        ("kazoo", None),
        ("", None),
    ],
)
def test_spelling_makes_no_difference(name: str, expected: str | None) -> None:
    assert canonical(name) == expected


def test_every_canonical_name_means_itself() -> None:
    names = canonical_names()
    assert len({name_key(name) for name in names}) == len(names)
    assert [canonical(name) for name in names] == names


def test_an_alias_of_two_instruments_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instruments, "_table", lambda: {"Oud": ["lute"], "Lute": []})
    with pytest.raises(InputError, match=r"'Lute' stands for both 'Oud' and 'Lute'"):
        instruments._canonical_of_key.__wrapped__()
