from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch

from musicfsl.datasets import SyntheticMixtures, open_dataset, synthetic, synthetic_mixtures
from musicfsl.datasets._instruments import INSTRUMENTS
from musicfsl.errors import DatasetError, InputError
from musicfsl.vocabularies import open_vocabulary

RATE = 8000
SIZES = {"n_training": 4, "n_validation": 4, "n_testing": 4, "sample_rate": RATE, "progress": False}
TWO = {"vocabulary": ["Flute", "Cello"], **SIZES}


@pytest.fixture(autouse=True, scope="module")
def _few_notes() -> Iterator[None]:
    """Players and notes take most of the time, and nothing here depends on how many there are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic_mixtures, "_PLAYERS", dict.fromkeys(synthetic_mixtures._PLAYERS, 1))
        patch.setattr(synthetic_mixtures, "_NOTES_PER_PLAYER", 3)
        yield


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def subsets(cache: Path) -> dict[str, SyntheticMixtures]:
    return {s: SyntheticMixtures(s, cache_dir=cache, **TWO) for s in ("training", "validation", "testing")}  # type: ignore[arg-type]


def test_the_protocol_of_irmas(subsets: dict[str, SyntheticMixtures]) -> None:
    for subset in ("training", "validation"):
        assert (subsets[subset].lengths == 3 * RATE).all()
        assert (subsets[subset].targets.sum(axis=1) == 1).all()
    testing = subsets["testing"]
    assert (testing.targets == testing.sounding).all()
    assert (testing.lengths >= 5 * RATE).all() and (testing.lengths <= 20 * RATE).all()
    assert all(subset.is_synthetic and subset.is_multilabel for subset in subsets.values())


def test_no_player_is_in_two_subsets(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Players are functions of the seed, the instrument and their number: no two subsets, nor seeds, share a seed."""
    seeds: list[int] = []

    class Spied(synthetic_mixtures.SyntheticInstruments):
        def __init__(self, **settings: object) -> None:
            seeds.append(int(str(settings["seed"])))
            super().__init__(**settings)  # type: ignore[arg-type]

    monkeypatch.setattr(synthetic_mixtures, "SyntheticInstruments", Spied)
    for seed in (10, 11):
        for subset in ("training", "validation", "testing"):
            SyntheticMixtures(subset, seed=seed, cache_dir=cache, **{**TWO, "n_training": 1})  # type: ignore[arg-type]
    assert len(set(seeds)) == 6 and not {0, 10, 11} & set(seeds)


def test_the_notes_do_not_stay_in_the_cache(subsets: dict[str, SyntheticMixtures]) -> None:
    for subset in subsets.values():
        assert {path.name for path in subset.cache_folder.iterdir()} == {"samples.npy", "excerpts.json"}


def test_classes_are_the_vocabulary_that_the_embedded_set_has(cache: Path) -> None:
    settings = {"cache_dir": cache, **SIZES, "n_testing": 1, "sample_rate": RATE}
    irmas = open_dataset("synthetic_mixtures", subset="testing", **settings)
    vocabulary = open_vocabulary("irmas")
    assert isinstance(irmas, SyntheticMixtures)
    assert tuple(irmas.codes) == vocabulary.codes and tuple(irmas.classes) == vocabulary.names
    openmic = SyntheticMixtures("testing", vocabulary="openmic", accompaniment=1.0, **settings)  # type: ignore[arg-type]
    assert len(openmic.classes) == 17
    missing = set(open_vocabulary("openmic").codes) - set(openmic.codes)
    assert missing == {"cymbals", "drums", "synthesizer"}
    assert openmic.families["Mallet Percussion"] == "pitched percussion"
    assert openmic.accompaniment[0] and set(openmic.accompaniment[0]) <= set(INSTRUMENTS) - set(openmic.classes)


def test_what_a_label_means_does_not_play_along_unlabelled() -> None:
    def outside(vocabulary: str | list[str]) -> set[str]:
        _, classes, instruments = synthetic_mixtures._instruments(vocabulary)
        return set(synthetic_mixtures._outside(classes, instruments))

    assert outside("openmic") == {"French Horn", "Harp", "Harpsichord", "Oboe", "Timpani", "Viola"}
    assert outside("irmas") == set(synthetic_mixtures._ACCOMPANISTS) <= set(INSTRUMENTS)
    assert outside(["Viola"]) == outside("irmas") - {"Viola"}


@pytest.mark.parametrize("sample_rate", [16000, 22050, 32000])
def test_usual_sample_rates(tmp_path: Path, sample_rate: int) -> None:
    dataset = SyntheticMixtures(
        "training", vocabulary=["Flute"], n_training=1, sample_rate=sample_rate, cache_dir=tmp_path, progress=False
    )
    assert dataset[0][0].shape == (1, 3 * sample_rate)


def test_excerpts_do_not_depend_on_the_number_of_processes(
    subsets: dict[str, SyntheticMixtures], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    monkeypatch.setattr(synthetic, "_FEWEST_NOTES_FOR_PROCESSES", 0)
    monkeypatch.setattr("joblib.cpu_count", lambda: 2)
    parallel = joblib.Parallel
    monkeypatch.setattr("joblib.Parallel", lambda **options: calls.append(1) or parallel(**{**options, "n_jobs": 2}))
    again = SyntheticMixtures("testing", cache_dir=tmp_path, **TWO)  # type: ignore[arg-type]
    assert calls
    testing = subsets["testing"]
    assert again.fingerprint() == testing.fingerprint()
    assert all(torch.equal(again.read(i), testing.read(i)) for i in range(4))


def test_bad_arguments(tmp_path: Path) -> None:
    for settings, error, message in (
        ({"subset": "test"}, InputError, "expected training, validation or testing"),
        ({"vocabulary": "irma"}, InputError, "Did you mean 'irmas'"),
        ({"vocabulary": ["Flute", "Vilin"]}, DatasetError, "no instrument 'Vilin'. Did you mean 'Violin'"),
        ({"n_training": 0}, InputError, "n_training is 0"),
        ({"seed": -1}, InputError, "seed is -1"),
        ({"sample_rate": 4000}, InputError, "sample_rate is 4000"),
        ({"accompaniment": -0.1}, InputError, "accompaniment"),
    ):
        with pytest.raises(error, match=message):
            SyntheticMixtures(cache_dir=tmp_path, progress=False, **settings)  # type: ignore[arg-type]
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_the_seed_decides(cache: Path, subsets: dict[str, SyntheticMixtures]) -> None:
    other = SyntheticMixtures("training", cache_dir=cache, seed=1, **TWO)  # type: ignore[arg-type]
    training = subsets["training"]
    assert not torch.equal(other.read(0), training.read(0))
    assert not np.array_equal(other.tempos, training.tempos)
