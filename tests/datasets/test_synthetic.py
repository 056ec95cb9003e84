"""The embedded data set: its notes and their table, its determinism, its cache, its difficulty."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import torch

from musicfsl.datasets import _synthesis, synthetic
from musicfsl.datasets._instruments import INSTRUMENTS
from musicfsl.datasets._models import ARTICULATIONS
from musicfsl.datasets.synthetic import IRMAS_CODES, SyntheticInstruments
from musicfsl.errors import CacheError, DatasetError, InputError

SAMPLE_RATE = 16000
TINYSOL = {
    "Accordion", "Contrabass", "Bass Tuba", "French Horn", "Trumpet in C", "Trombone", "Alto Saxophone", "Bassoon",
    "Clarinet in Bb", "Flute", "Oboe", "Cello", "Viola", "Violin",
}  # fmt: skip
IRMAS = {"cel", "cla", "flu", "gac", "gel", "org", "pia", "sax", "tru", "vio", "voi"}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def every_class(cache: Path) -> SyntheticInstruments:
    return SyntheticInstruments(n_players=2, notes_per_player=2, duration=None, cache_dir=cache, progress=False)


def small(cache_dir: Path, **changes: Any) -> SyntheticInstruments:
    settings: dict[str, Any] = {"n_players": 2, "notes_per_player": 2, "classes": ["Piano", "Flute"], "duration": None}
    return SyntheticInstruments(**{**settings, "cache_dir": cache_dir, "progress": False, **changes})


def waves(dataset: SyntheticInstruments, name: str) -> dict[tuple[int, int], bytes]:
    """(player, number of the note) -> samples."""
    found: dict[tuple[int, int], bytes] = {}
    for index in dataset.class_to_indices[name]:
        player = int(dataset.players[index])
        number = sum(key[0] == player for key in found)
        found[player, number] = dataset.read(int(index)).numpy().tobytes()
    return found


# ---- The table


def test_names_of_the_real_data_sets_are_there() -> None:
    assert len(INSTRUMENTS) >= 28
    assert set(INSTRUMENTS) >= TINYSOL
    assert set(IRMAS_CODES) == IRMAS
    assert set(IRMAS_CODES.values()) <= set(INSTRUMENTS)
    assert len(set(IRMAS_CODES.values())) == len(IRMAS)


def test_families(every_class: SyntheticInstruments) -> None:
    wanted = {
        "bowed strings", "plucked strings", "struck strings", "flutes", "single reeds", "double reeds", "free reeds",
        "brass", "pitched percussion", "voice", "organ",
    }  # fmt: skip
    assert set(every_class.families) == set(every_class.classes)
    assert set(every_class.families.values()) == wanted


def test_rows_are_consistent() -> None:
    for instrument in INSTRUMENTS.values():
        assert 20 <= instrument.lowest < instrument.highest <= 108, instrument.name
        assert set(instrument.articulations) <= set(ARTICULATIONS), instrument.name


# ---- The notes


def test_notes_are_sound_and_audible(every_class: SyntheticInstruments) -> None:
    assert every_class.is_synthetic
    assert len(every_class) == len(INSTRUMENTS) * 4
    for index in range(len(every_class)):
        wave = every_class.read(index)
        assert wave.shape == (1, every_class.lengths[index]) and wave.dtype == torch.float32
        assert torch.isfinite(wave).all() and wave.abs().max() <= 1
        assert wave.square().mean().sqrt() > 10 ** (-50 / 20), every_class.classes[every_class.targets[index]]
    seconds = every_class.lengths / every_class.sample_rate
    assert seconds.min() >= 0.6 and seconds.max() <= 2.0


def test_metadata_stays_in_range(every_class: SyntheticInstruments) -> None:
    for index in range(len(every_class)):
        instrument = INSTRUMENTS[every_class.classes[every_class.targets[index]]]
        assert instrument.lowest <= every_class.pitches[index] <= instrument.highest
        assert every_class.articulations[index] in instrument.articulations
    assert every_class.dynamics.min() >= 0 and every_class.dynamics.max() <= 1
    assert every_class.dynamics.std() > 0.2  # uniform from 0 to 1: 0.29


def test_every_player_is_a_group_of_one_class(every_class: SyntheticInstruments) -> None:
    assert every_class.groups is not None
    groups, first = np.unique(every_class.groups, return_index=True)
    assert len(groups) == len(INSTRUMENTS) * 2
    for group, index in zip(groups, first, strict=True):
        members = every_class.groups == group
        assert members.sum() == 2
        assert set(every_class.targets[members]) == {every_class.targets[index]}
        assert set(every_class.players[members]) == {every_class.players[index]}


# ---- The same seed, the same notes


def test_a_note_does_not_depend_on_how_many_others_are_made(tmp_path: Path) -> None:
    few = small(tmp_path, classes=["Flute"])
    many = small(tmp_path, n_players=3, notes_per_player=3, classes=["Oboe", "Flute", "Piano"])
    flutes = waves(many, "Flute")
    assert len(flutes) == 9
    for key, wave in waves(few, "Flute").items():
        assert wave == flutes[key]
    assert len(set(flutes.values())) == 9


def test_the_seed_decides(tmp_path: Path) -> None:
    one, same, other = small(tmp_path / "a"), small(tmp_path / "b"), small(tmp_path / "b", seed=1)
    assert waves(one, "Piano") == waves(same, "Piano")
    assert one.fingerprint() == same.fingerprint() != other.fingerprint()
    assert not set(waves(one, "Piano").values()) & set(waves(other, "Piano").values())


def test_another_process_makes_the_same_notes() -> None:
    program = (
        "import hashlib\n"
        "from musicfsl.datasets._synthesis import notes_of_player\n"
        "names = ['Violin', 'Piano', 'Marimba', 'Electric Guitar']\n"
        "notes = [n.tobytes() for name in names for n in notes_of_player(name, 1, 2, 16000, 5)]\n"
        "print(hashlib.sha256(b''.join(notes)).hexdigest())\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    there = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    names = ["Violin", "Piano", "Marimba", "Electric Guitar"]
    here = [n.tobytes() for name in names for n in _synthesis.notes_of_player(name, 1, 2, SAMPLE_RATE, 5)]
    assert there.stdout.strip() == hashlib.sha256(b"".join(here)).hexdigest()


def test_several_processes_make_the_same_notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = small(tmp_path / "alone")
    monkeypatch.setattr(synthetic, "_FEWEST_NOTES_FOR_PROCESSES", 1)
    monkeypatch.setattr(joblib, "cpu_count", lambda: 2)
    together = small(tmp_path / "together")
    assert waves(alone, "Flute") == waves(together, "Flute")
    assert waves(alone, "Piano") == waves(together, "Piano")


def test_one_process_goes_on_where_several_are_impossible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __init__(self, **settings: Any) -> None:
            pass

        def __call__(self, tasks: Any) -> Any:
            function, arguments, keywords = next(tasks)
            yield function(*arguments, **keywords)
            raise OSError("no semaphores here")

    alone = small(tmp_path / "alone")
    monkeypatch.setattr(synthetic, "_FEWEST_NOTES_FOR_PROCESSES", 1)
    monkeypatch.setattr(joblib, "cpu_count", lambda: 2)
    monkeypatch.setattr(joblib, "Parallel", Broken)
    fallen_back = small(tmp_path / "fallen back")
    assert waves(alone, "Flute") == waves(fallen_back, "Flute")


# ---- The cache


def test_the_cache_is_opened_and_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = small(tmp_path, duration=1.0)
    monkeypatch.setattr(synthetic, "notes_of_player", None)  # cannot be called
    start = time.perf_counter()
    opened = small(tmp_path, duration=1.0)
    assert time.perf_counter() - start < 0.5
    whole = small(tmp_path, duration=None)  # the duration is no reason to make them again
    for index in range(len(made)):
        assert torch.equal(made[index][0], opened[index][0])
        assert opened[index][0].shape == (1, SAMPLE_RATE)
        assert whole[index][0].shape == (1, whole.lengths[index])
    for name in ("pitches", "dynamics", "articulations", "players", "groups", "lengths", "targets"):
        assert np.array_equal(getattr(made, name), getattr(opened, name))


def test_read_gives_parts(tmp_path: Path) -> None:
    dataset = small(tmp_path)
    whole = dataset.read(2)
    n_samples = int(dataset.lengths[2])
    assert torch.equal(dataset.read(2, 100, 50), whole[:, 100:150])
    assert torch.equal(dataset.read(2, n_samples - 10, 50), whole[:, -10:])
    assert dataset.read(2, n_samples + 10, 50).shape == (1, 0)


def test_worker_processes_open_the_cache_instead_of_copying_it(tmp_path: Path) -> None:
    dataset = small(tmp_path)
    pickled = pickle.dumps(dataset)
    assert len(pickled) < dataset.lengths.sum() / 10
    assert torch.equal(pickle.loads(pickled).read(1), dataset.read(1))


def truncate(folder: Path) -> None:
    data = (folder / "samples.npy").read_bytes()
    (folder / "samples.npy").write_bytes(data[: len(data) // 2])


def break_table(folder: Path) -> None:
    (folder / "notes.json").write_text('{"notes": ')


def empty_table(folder: Path) -> None:
    (folder / "notes.json").write_text("[]")


def lose_samples(folder: Path) -> None:
    (folder / "samples.npy").unlink()


def lose_a_note(folder: Path) -> None:
    table = json.loads((folder / "notes.json").read_text())
    table["notes"]["n_samples"].pop()
    (folder / "notes.json").write_text(json.dumps(table))


@pytest.mark.parametrize("damage", [truncate, break_table, empty_table, lose_samples, lose_a_note])
def test_a_damaged_cache_is_named(tmp_path: Path, damage: Any) -> None:
    folder = small(tmp_path).cache_folder
    damage(folder)
    with pytest.raises(CacheError, match=f"{folder.name} is damaged .*delete that folder"):
        small(tmp_path)


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match=r"file.* cannot be written .*MUSICFSL_CACHE"):
        small(tmp_path / "file")


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"classes": ["Flut"]}, DatasetError, "no class 'Flut'. Did you mean 'Flute'?"),
        ({"classes": "Flute"}, InputError, "the string 'Flute'"),
        ({"classes": []}, DatasetError, "at least one name"),
        ({"classes": ["Flute", "Flute"]}, DatasetError, "every name once"),
        ({"n_players": 0}, InputError, "n_players is 0"),
        ({"notes_per_player": 1.5}, InputError, "notes_per_player is 1.5"),
        ({"sample_rate": 4000}, InputError, "sample_rate is 4000"),
        ({"duration": -1.0}, InputError, "duration is -1.0"),
        ({"duration": float("nan")}, InputError, "duration is nan"),
        ({"seed": -1}, InputError, "seed is -1"),
    ],
)
def test_bad_arguments_are_named(tmp_path: Path, changes: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message.replace("?", r"\?")):
        small(tmp_path, **changes)
    assert list(tmp_path.iterdir()) == []
